/* Wire load: bodies of the messages by which leaderships go where there is room for them.
 *
 *   BALANCE:     [term, ask bool, slow bool] then per wish an array [partition, to member]
 *   LOAD:        [term, may_lead bool, syncs, sync_us] then per partition led there an array
 *                [partition, term, operations, bytes, [voter…]]
 *   TOP:         [sample_ms]
 *   TOP_REPLY:   [may_lead bool, drained bool, slow bool, sync_us, sample_ms, seen,
 * partition_count] then so many arrays [partition, operations, bytes], then per key an array [key
 * bin, key_size, count, error] DRAIN:       [drained bool] DRAIN_REPLY: [drained bool, leaders]
 *   LEADERS_GET: empty   LEADERS: per partition led there [partition, term]
 */
#ifndef RING_WIRE_LOAD_H
#define RING_WIRE_LOAD_H

#include "ring/wire.h"

/* LEADERS: the sender leads the partition. */
struct wire_leader {
    uint16_t partition;
    uint32_t term;
};
void wire_put_leader(struct wire_buffer *buffer, const struct wire_leader *leader);
bool wire_get_leader(struct wire_cursor *cursor, struct wire_leader *leader);

/* From the meta group's leader to a shard. */
struct wire_balance {
    uint32_t term; /* of that leadership */
    bool ask;      /* LOAD is wanted */
    bool slow;     /* the member's disk is far off its peers' */
};
/* The leader of the partition should hand over, if it can. */
struct wire_wish {
    uint16_t partition;
    uint16_t to; /* member */
};
void wire_put_balance(struct wire_buffer *buffer, const struct wire_balance *balance);
bool wire_get_balance(struct wire_cursor *cursor, struct wire_balance *balance);
void wire_put_wish(struct wire_buffer *buffer, const struct wire_wish *wish);
bool wire_get_wish(struct wire_cursor *cursor, struct wire_wish *wish);

/* The answer of one shard. */
struct wire_load {
    uint32_t term;    /* of the asker's leadership */
    bool may_lead;    /* false: drained, stopping, or without disk for values */
    uint32_t syncs;   /* of the journal since the answer before; one under way for long counts */
    uint32_t sync_us; /* their p99 */
};
#define WIRE_LOAD_VOTERS_MAX 7u
struct wire_load_partition {
    uint16_t partition;
    uint32_t term;
    uint32_t operations; /* a second */
    uint64_t bytes;      /* a second */
    uint8_t voter_count;
    uint16_t voters[WIRE_LOAD_VOTERS_MAX]; /* others that could lead it at once */
};
void wire_put_load(struct wire_buffer *buffer, const struct wire_load *load);
bool wire_get_load(struct wire_cursor *cursor, struct wire_load *load);
void wire_put_load_partition(struct wire_buffer *buffer,
                             const struct wire_load_partition *partition);
bool wire_get_load_partition(struct wire_cursor *cursor, struct wire_load_partition *partition);

#define WIRE_TOP_SAMPLE_MS_MAX 60000u
/* sample_ms: keys are to be counted for so long; 0: only tell. */
void wire_put_top(struct wire_buffer *buffer, uint32_t sample_ms);
bool wire_get_top(struct wire_cursor *cursor, uint32_t *sample_ms);

struct wire_top {
    bool may_lead;
    bool drained;
    bool slow;
    uint32_t sync_us;   /* p99, as told to the meta leader last */
    uint32_t sample_ms; /* how long keys are still being counted */
    uint64_t seen;      /* operations' keys that were */
    uint32_t partition_count;
};
struct wire_top_partition {
    uint16_t partition;
    uint32_t operations; /* a second, smoothed */
    uint64_t bytes;
};
#define WIRE_TOP_KEY_SIZE_MAX 48u
struct wire_top_key {
    struct wire_bytes key; /* its beginning */
    uint32_t key_size;     /* of all of it */
    uint64_t count;        /* at most so often, and at least count - error times */
    uint64_t error;
};
void wire_put_top_reply(struct wire_buffer *buffer, const struct wire_top *top);
bool wire_get_top_reply(struct wire_cursor *cursor, struct wire_top *top);
void wire_put_top_partition(struct wire_buffer *buffer, const struct wire_top_partition *partition);
bool wire_get_top_partition(struct wire_cursor *cursor, struct wire_top_partition *partition);
void wire_put_top_key(struct wire_buffer *buffer, const struct wire_top_key *key);
bool wire_get_top_key(struct wire_cursor *cursor, struct wire_top_key *key);

/* A node's shard is to lead nothing, or may again. */
void wire_put_drain(struct wire_buffer *buffer, bool drained);
bool wire_get_drain(struct wire_cursor *cursor, bool *drained);
/* As it is now; leaders: groups that it leads still. */
void wire_put_drain_reply(struct wire_buffer *buffer, bool drained, uint32_t leaders);
bool wire_get_drain_reply(struct wire_cursor *cursor, bool *drained, uint32_t *leaders);

#endif
