/* Pool: the members a router has links to, and the frames that are being filled for them.
 *
 * A frame is one OPS message for one (member, shard). It is open while operations are added,
 * sealed when it is full or the round ends, then taken by the host, and recycled at the next
 * round. Frames of one (member, shard) leave in the order in which they were filled.
 * Limits: a frame is sealed at POOL_FRAME_SIZE or WIRE_FRAME_OPS_MAX operations; a single larger
 * operation makes a larger message. Owner: one router.
 *
 * A member is mute when an attempt was waited for in vain and nothing else has come from it lately:
 * a broken link is noticed much later than that. It is asked only when nobody else can be, until it
 * is heard, or for the time of another attempt. */
#ifndef ROUTER_POOL_H
#define ROUTER_POOL_H

#include "ring/link.h"
#include "ring/wire.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define POOL_FRAME_SIZE (200u << 10)

struct frame {
    struct frame *next;
    uint64_t session;
    uint32_t operations;
    uint16_t member;
    uint16_t partition; /* one of the shard's */
    struct wire_buffer body;
};

struct peer {
    bool up;
    uint16_t shards;
    size_t in_flight_size;
    uint64_t heard_ms;        /* its newest message */
    uint64_t mute_ms;         /* since when it is mute; 0: it is not */
    struct frame **open;      /* shards of them, NULL where none is open */
    uint64_t leaders_digest;  /* hints.h: of what it leads, when it was last asked; 0: never */
    uint16_t leaders_unasked; /* so many of its shards are to be */
};

struct pool {
    struct peer *peers; /* by member id */
    uint32_t peer_count;
    struct frame *queue_first, *queue_last; /* sealed */
    struct frame *taken;                    /* the host borrows them */
    struct frame *spare;
    uint32_t spare_count;
    uint32_t open_count;
    uint32_t up_count;
};

void pool_init(struct pool *pool);
void pool_deinit(struct pool *pool);
/* 0 or -ENOMEM. shards ≥ 1. */
int pool_link_up(struct pool *pool, uint16_t member, uint16_t shards);
/* Frames for it that have not left are dropped. */
void pool_link_down(struct pool *pool, uint16_t member);
/* NULL when it never had a link. */
struct peer *pool_peer(struct pool *pool, uint16_t member);
bool pool_up(const struct pool *pool, uint16_t member);
/* It has said something. */
void pool_heard(struct pool *pool, uint16_t member, uint64_t now_ms);
/* It has a link, and is not known to be mute for less than `mute_ms_max`. */
bool pool_answers(const struct pool *pool, uint16_t member, uint64_t now_ms, uint32_t mute_ms_max);
/* The frame for one more operation of about `size` bytes; the peer must be up. The caller appends
 * to frame->body and counts frame->operations. NULL on no memory. */
struct frame *pool_frame(struct pool *pool, uint16_t member, uint16_t partition, uint64_t session,
                         size_t size);
void pool_seal(struct pool *pool); /* all open frames */
/* The next sealed frame with its message, borrowed until pool_recycle(); NULL: none is left. */
const struct frame *pool_take(struct pool *pool, struct link_message *message);
void pool_recycle(struct pool *pool);

#endif
