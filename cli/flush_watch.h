/* Flush watch: what a flush of a node has come to, from what its shards answer.
 *
 * Pure: the command asks, hands in each answer or its absence, and prints what stands here. A shard
 * is asked with `begin` until it has answered once; a flush that was asked for twice is one. Its
 * counters are since the node's start: when they begin anew, the node was started again and has
 * forgotten the flush.
 *
 * Limits: FLUSH_WATCH_MISSES_MAX answers in a row that do not come, FLUSH_WATCH_FAILS_MAX rounds
 * that a shard gives up: then the node is given up here. Owner: one thread.
 */
#ifndef CLI_FLUSH_WATCH_H
#define CLI_FLUSH_WATCH_H

#include "ring/wire.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FLUSH_WATCH_MISSES_MAX 5u
#define FLUSH_WATCH_FAILS_MAX  3u

enum flush_watch_state {
    FLUSH_WATCH_RUNNING,
    FLUSH_WATCH_DONE,
    FLUSH_WATCH_FAILED, /* a shard cannot */
    FLUSH_WATCH_LOST,   /* the node does not answer */
};

struct flush_watch_shard {
    bool begun; /* first and now are there */
    uint32_t misses;
    struct wire_flush_state first, now;
};

struct flush_watch {
    uint8_t state;
    const char *why; /* FAILED, LOST: borrowed, a text for people */
    uint64_t begin_ms, end_ms;
    struct flush_watch_shard *shards;
    uint16_t shard_count;
};

/* All shards of the node together. */
struct flush_watch_sum {
    bool begun; /* every shard has answered */
    uint64_t before, after, log, reclaimed, files, left_files;
};

/* 0 or -ENOMEM. */
int flush_watch_init(struct flush_watch *watch, uint16_t shard_count, uint64_t now_ms);
void flush_watch_deinit(struct flush_watch *watch);
/* The node is given up: a static text says why. */
void flush_watch_lose(struct flush_watch *watch, const char *why, uint64_t now_ms);
/* Whether the shard is to be asked again. */
bool flush_watch_wants(const struct flush_watch *watch, uint16_t shard);
/* What it answered; NULL: nothing. */
void flush_watch_take(struct flush_watch *watch, uint16_t shard,
                      const struct wire_flush_state *answer, uint64_t now_ms);
void flush_watch_sum(const struct flush_watch *watch, struct flush_watch_sum *sum);
/* How much of the bytes that were to be taken on all nodes has been; 100 when none runs. */
unsigned flush_watch_percent(const struct flush_watch *watches, size_t count);

#endif
