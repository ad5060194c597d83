/* Job watch: how far a node is with something that its shards were asked for - a flush, a pass of
 * the scrub - from what they answer.
 *
 * Pure: the command asks, hands in each answer or its absence, and prints what stands here. A shard
 * is asked to begin until it has answered once; what was asked for twice is one. Its counters are
 * since the node's start: when they begin anew, the node was started again and has forgotten.
 *
 * Limits: JOB_WATCH_MISSES_MAX answers in a row that do not come, JOB_WATCH_FAILS_MAX attempts that
 * a shard gives up: then the node is given up here. Owner: one thread.
 */
#ifndef CLI_JOB_WATCH_H
#define CLI_JOB_WATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define JOB_WATCH_MISSES_MAX 5u
#define JOB_WATCH_FAILS_MAX  3u
#define JOB_WATCH_COUNTS_MAX 5u

enum job_watch_state {
    JOB_WATCH_RUNNING,
    JOB_WATCH_DONE,
    JOB_WATCH_FAILED, /* a shard cannot */
    JOB_WATCH_LOST,   /* the node does not answer */
    JOB_WATCH_SPARED, /* it is not asked: it has nothing that could be done */
};

/* What a shard says. */
struct job_watch_answer {
    bool accepted;                         /* false: it is fenced */
    bool running;                          /* what was asked for is not done */
    uint64_t demands;                      /* since the node's start */
    uint64_t failed;                       /* attempts given up since then */
    uint64_t left_bytes;                   /* of what is to be done */
    uint64_t counts[JOB_WATCH_COUNTS_MAX]; /* the command knows of what */
};

struct job_watch_shard {
    bool begun; /* first and now are there */
    uint32_t misses;
    struct job_watch_answer first, now;
};

struct job_watch {
    uint8_t state;
    const char *why; /* FAILED, LOST: borrowed, a text for people */
    uint64_t begin_ms, end_ms;
    struct job_watch_shard *shards;
    uint16_t shard_count;
};

/* All shards of the node together, each count for itself. */
struct job_watch_sum {
    bool begun; /* every shard has answered */
    uint64_t first[JOB_WATCH_COUNTS_MAX], now[JOB_WATCH_COUNTS_MAX];
    uint64_t grown[JOB_WATCH_COUNTS_MAX]; /* where one shrank it counts as 0 */
};

/* 0 or -ENOMEM. */
int job_watch_init(struct job_watch *watch, uint16_t shard_count, uint64_t now_ms);
void job_watch_deinit(struct job_watch *watch);
/* The node is given up: a static text says why. */
void job_watch_lose(struct job_watch *watch, const char *why, uint64_t now_ms);
/* Likewise; its absence is no fault. */
void job_watch_spare(struct job_watch *watch);
/* Whether the shard is to be asked again. */
bool job_watch_wants(const struct job_watch *watch, uint16_t shard);
/* What it answered; NULL: nothing. */
void job_watch_take(struct job_watch *watch, uint16_t shard, const struct job_watch_answer *answer,
                    uint64_t now_ms);
void job_watch_sum(const struct job_watch *watch, struct job_watch_sum *sum);
/* How much of the bytes that were to be done on all nodes has been; 100 when none runs. */
unsigned job_watch_percent(const struct job_watch *watches, size_t count);

#endif
