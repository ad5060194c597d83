/* Info: the text of INFO. Redis's fields where clients and exporters read them, the truth about
 * the cluster as this router sees it in a section of its own. */
#ifndef ROUTER_INFO_H
#define ROUTER_INFO_H

#include "ring/wire.h"
#include "router/buffer.h"

#include <stdint.h>

struct client;
struct request;
struct router;

enum info_section {
    INFO_SERVER = 1,
    INFO_CLIENTS = 2,
    INFO_MEMORY = 4,
    INFO_STATS = 8,
    INFO_REPLICATION = 16,
    INFO_CLUSTER = 32,
    INFO_KEYSPACE = 64,
    INFO_RINGCASK = 128,
    INFO_ALL = 255,
};

/* How long INFO waits for the partitions to count their keys. */
#define INFO_WAIT_MS 500u

/* 0 when the word names no section. */
uint32_t info_section(const struct wire_bytes *word);
/* keys: of the whole cluster, -1 when unknown. */
void info_write(struct router *router, uint32_t sections, int64_t keys, struct buffer *out);
/* The reply of a REQUEST_INFO. */
void info_reply(struct router *router, struct request *request, struct buffer *out);

#endif
