/* Shard writer: one client that writes to one partition of a cluster of the tests without a pause,
 * asks again as a router does, and knows which values may be there. All functions assert what they
 * expect.
 */
#ifndef TESTS_REPLICATION_SHARD_WRITER_H
#define TESTS_REPLICATION_SHARD_WRITER_H

#include "shard_cluster.h"

#define WRITER_KEYS 12

struct writer {
    struct cluster *cluster;
    uint16_t partition;
    char keys[WRITER_KEYS][16];
    uint32_t sent[WRITER_KEYS];  /* the newest value, */
    uint32_t acked[WRITER_KEYS]; /* and the newest that was acknowledged */
    uint32_t next;               /* key */
    uint32_t id;                 /* of the operation on its way; 0: none */
    uint64_t since_ms;
    int node; /* that it went to */
    bool retry;
    uint32_t acks;
    uint64_t acked_ms, pause_ms; /* the newest; the longest time between two */
};

/* Keys of the partition of `key-0`. */
void writer_init(struct writer *writer, struct cluster *cluster);
/* Time passes, and it writes. */
void writer_run(struct writer *writer, uint64_t ms);
/* Writes until `acks` more are acknowledged, within 20 s. */
void writer_await(struct writer *writer, uint32_t acks);
/* As cluster_await_moved(), of its partition. */
bool writer_await_moved(struct writer *writer, uint64_t ms);
/* Waits for what is on its way, and reads all keys: nothing that was acknowledged is lost, nothing
 * is there that was never sent. Where the group is as it should be, all replicas are the same. */
void writer_check(struct writer *writer);

#endif
