/* Scatter: groups the keys of a command by partition, and makes the operations.
 *
 * Order within a group is the command's. A group goes into one operation, which the partition
 * carries out as a whole; over SCATTER_ARGS_MAX arguments or SCATTER_SIZE_MAX bytes it is cut into
 * several. Memory: grows to the largest command seen, trimmed when that was unusual. */
#ifndef ROUTER_SCATTER_H
#define ROUTER_SCATTER_H

#include "ring/wire.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SCATTER_ARGS_MAX WIRE_ARGS_MAX
#define SCATTER_SIZE_MAX (16u << 20)

struct client;
struct request;
struct router;
struct scan;

struct scatter {
    uint32_t *heads, *tails; /* by partition: first and last unit of its group */
    uint32_t partition_count;
    uint32_t *next;       /* by unit: the next of its group */
    uint16_t *partitions; /* those touched, in the order of their first unit */
    uint32_t capacity;
};

/* What a command wants of the partitions. A unit is a key with what belongs to it. */
struct scatter_plan {
    const struct wire_bytes *args; /* units * stride */
    uint32_t units;
    uint32_t stride;
    uint8_t operation;
    uint8_t flags;
    uint8_t kind; /* enum request_kind of the reply */
};

int scatter_init(struct scatter *scatter, uint32_t partitions); /* 0 or -ENOMEM */
void scatter_deinit(struct scatter *scatter);

/* Checks keys and values, admission and the ring map, then queues the operations; or answers the
 * client why not. Nothing is queued in part. */
void scatter_command(struct router *router, struct client *client, const struct scatter_plan *plan);
/* Room for so many operations of that many bytes in all. */
bool scatter_admitted(const struct router *router, uint32_t operations, size_t size);
/* Begins a SCAN, which is taken over. */
void scatter_scan(struct router *router, struct client *client, struct scan *scan);
/* Asks the wave that its scan is at. False, and nothing is queued: too much waits already, or there
 * is no memory. */
bool scatter_wave(struct router *router, struct request *request);
/* One COUNT for every partition. The request is answered when all have ended, or at expires_ms if
 * not 0. NULL: it was answered with an error, or out of memory. */
struct request *scatter_count(struct router *router, struct client *client, uint8_t kind,
                              uint64_t expires_ms, uint32_t sections);

#endif
