/* Harness: a router with clients that type and a small cluster that answers.
 *
 * The cluster is a model: one applied state, one leader a partition, requests remembered by their
 * id as the real one does, the lane rule of replication/shard.h. A test's hook may decide for each
 * operation that arrives what becomes of it. Time moves only by harness_advance(). */
#ifndef TESTS_ROUTER_HARNESS_H
#define TESTS_ROUTER_HARNESS_H

#include "ring/ringmap.h"
#include "ring/wire_load.h"
#include "router/router.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HARNESS_MEMBERS     3u /* of the first map */
#define HARNESS_MEMBERS_MAX 5u
#define HARNESS_PARTITIONS  8u
#define HARNESS_CLIENTS     16u
#define HARNESS_KEYS        512u
#define HARNESS_REQUESTS    8192u /* remembered */
#define HARNESS_SHARDS      2u
#define HARNESS_EPOCH_MS    1700000000000u /* wall time is this + now_ms, also the cluster's */

struct harness;

enum harness_fate {
    HARNESS_SERVE,       /* as a cluster in order would */
    HARNESS_REFUSE,      /* with decision.status and payload, unproposed */
    HARNESS_LOSE,        /* not carried out, not answered */
    HARNESS_LOSE_REPLY,  /* carried out, not answered */
    HARNESS_SAY_LOST,    /* not carried out, answered LOST */
    HARNESS_DO_SAY_LOST, /* carried out, answered LOST */
    HARNESS_TWICE,       /* answered twice */
    HARNESS_KEEP,        /* carried out, the answer kept for harness_release() */
    HARNESS_ANSWER,      /* with decision.status and payload, as a result */
};

struct harness_decision {
    enum harness_fate fate;
    uint8_t status;
    int64_t payload;
};

typedef struct harness_decision harness_hook(struct harness *h, uint16_t member,
                                             const struct wire_op *op,
                                             const struct wire_bytes *args);

struct harness_entry {
    char *key;
    size_t key_size;
    char *value;
    size_t value_size;
    int64_t expiry_ms; /* 0: none */
};

struct harness_request {
    uint64_t session, sequence;
    uint16_t partition;
    int64_t result;
};

struct harness_client {
    uint64_t id;
    char *output;
    size_t output_size;
    bool closed;
};

struct harness_kept {
    uint16_t member;
    uint32_t link;
    struct wire_buffer body;
};

struct harness {
    struct router *router;
    struct router_options options;
    struct ringmap map; /* the cluster's newest */
    bool map_due;       /* the router has asked for it */
    uint32_t map_asks;
    uint32_t leaders_asks; /* and whom it leads, by shard */
    uint32_t term;         /* that leaders claim to lead in */
    uint64_t now_ms;
    uint64_t random;
    uint64_t deadline_ms; /* as the last flush said */
    uint64_t clients_opened;
    struct harness_client clients[HARNESS_CLIENTS];
    bool up[HARNESS_MEMBERS_MAX + 1];
    uint32_t link[HARNESS_MEMBERS_MAX + 1]; /* counts the links there have been */
    uint16_t leader[HARNESS_PARTITIONS];
    uint32_t refused[HARNESS_MEMBERS_MAX + 1][HARNESS_PARTITIONS];
    uint32_t lost[HARNESS_MEMBERS_MAX + 1]
                 [HARNESS_PARTITIONS]; /* lane epochs of which one was lost */
    uint32_t epoch_seen[HARNESS_MEMBERS_MAX + 1][HARNESS_PARTITIONS];
    uint64_t sequence_seen[HARNESS_MEMBERS_MAX + 1][HARNESS_PARTITIONS];
    struct wire_buffer results[HARNESS_MEMBERS_MAX + 1];
    struct wire_buffer claims[HARNESS_MEMBERS_MAX + 1]; /* LEADERS */
    struct harness_entry entries[HARNESS_KEYS];
    size_t entry_count;
    struct harness_request requests[HARNESS_REQUESTS];
    size_t request_count;
    struct harness_kept kept[64];
    size_t kept_count;
    harness_hook *hook; /* NULL: serve everything */
    int hook_count;     /* for the hook's own use */
    uint64_t hook_word;
    enum harness_fate first_fate; /* of harness_first() */
    uint32_t operations;          /* that arrived */
    uint32_t frames;
    bool deaf; /* the cluster takes nothing and answers nothing */
    struct wire_bytes args[WIRE_ARGS_MAX];
    struct wire_bytes values[WIRE_ARGS_MAX];
};

/* options NULL: the defaults. All links are up and the map is known unless `bare`. */
struct harness *harness_new(const struct router_options *options, bool bare);
struct harness *harness_free(struct harness *h);
void harness_up(struct harness *h, uint16_t member);
void harness_down(struct harness *h, uint16_t member);
void harness_map(struct harness *h);
/* The cluster goes on to its next map, which the router has to learn: partition p is wanted on
 * `width` members beginning with first[p], which leads it. moving: it is still where it was, too.
 */
void harness_move(struct harness *h, uint32_t width, const uint16_t *first, bool moving);

/* A hook: the fate of the first `count` operations that arrive; the rest is served. */
void harness_first(struct harness *h, int count, enum harness_fate fate);

uint64_t harness_client(struct harness *h);
void harness_close(struct harness *h, uint64_t client);
/* Only steps; nothing leaves before harness_run() or harness_flush(). */
void harness_bytes(struct harness *h, uint64_t client, const void *bytes, size_t size);
void harness_type(struct harness *h, uint64_t client, const char *text);
/* One round out of the router: frames reach the cluster, its results wait. */
void harness_flush(struct harness *h);
/* The member tells what it has heard of one. */
void harness_liveness(struct harness *h, uint16_t member, const struct wire_liveness *heard);
/* The waiting results reach the router. True when there were any. */
bool harness_deliver(struct harness *h);
/* Rounds until nothing moves. */
void harness_run(struct harness *h);
/* Time passes in steps of at most 5 ms, with rounds. */
void harness_advance(struct harness *h, uint64_t ms);
/* Results that hooks kept reach the router now, unless their link has gone. */
void harness_release(struct harness *h);
/* What the client has got, then forgets it. Valid until the next call for the client. */
const char *harness_output(struct harness *h, uint64_t client);
/* Types a line, runs, and gives the reply. */
const char *harness_ask(struct harness *h, uint64_t client, const char *line);
bool harness_closed(const struct harness *h, uint64_t client);
uint16_t harness_partition(const struct harness *h, const char *key);
/* A key of that partition: its i-th by counting. */
const char *harness_key(const struct harness *h, uint16_t partition, unsigned i, char *text);
const struct harness_entry *harness_entry(const struct harness *h, const char *key);

/* harness_model.c: carries out an operation that was not seen before, or repeats its result.
 * *scratch: memory for the result's bytes. */
void harness_apply(struct harness *h, const struct wire_op *op, uint64_t session,
                   const struct wire_bytes *args, struct wire_result *result);

#endif
