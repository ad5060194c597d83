#include "router/pool.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define POOL_SPARE_MAX      256u
#define POOL_SPARE_SIZE_MAX (512u << 10)

void pool_init(struct pool *pool)
{
    *pool = (struct pool){0};
}

static void frame_free(struct frame *frame)
{
    wire_buffer_deinit(&frame->body);
    free(frame);
}

static void frames_free(struct frame *frame)
{
    while (frame) {
        struct frame *next = frame->next;

        frame_free(frame);
        frame = next;
    }
}

void pool_deinit(struct pool *pool)
{
    for (uint32_t i = 0; i < pool->peer_count; i++) {
        for (uint32_t s = 0; pool->peers[i].open && s < pool->peers[i].shards; s++)
            if (pool->peers[i].open[s])
                frame_free(pool->peers[i].open[s]);
        free(pool->peers[i].open);
    }
    free(pool->peers);
    frames_free(pool->queue_first);
    frames_free(pool->taken);
    frames_free(pool->spare);
    *pool = (struct pool){0};
}

struct peer *pool_peer(struct pool *pool, uint16_t member)
{
    return member < pool->peer_count ? &pool->peers[member] : NULL;
}

bool pool_up(const struct pool *pool, uint16_t member)
{
    return member != 0 && member < pool->peer_count && pool->peers[member].up;
}

void pool_heard(struct pool *pool, uint16_t member, uint64_t now_ms)
{
    struct peer *peer = pool_peer(pool, member);

    if (!peer)
        return;
    peer->heard_ms = now_ms;
    peer->mute_ms = 0;
}

bool pool_answers(const struct pool *pool, uint16_t member, uint64_t now_ms, uint32_t mute_ms_max)
{
    return pool_up(pool, member) && (pool->peers[member].mute_ms == 0 ||
                                     now_ms >= pool->peers[member].mute_ms + mute_ms_max);
}

static void frame_recycle(struct pool *pool, struct frame *frame)
{
    if (pool->spare_count == POOL_SPARE_MAX || frame->body.capacity > POOL_SPARE_SIZE_MAX) {
        frame_free(frame);
        return;
    }
    frame->next = pool->spare;
    pool->spare = frame;
    pool->spare_count++;
}

static void pool_drop_queued(struct pool *pool, uint16_t member)
{
    struct frame **at = &pool->queue_first;

    pool->queue_last = NULL;
    while (*at) {
        struct frame *frame = *at;

        if (frame->member == member) {
            *at = frame->next;
            frame_recycle(pool, frame);
        } else {
            pool->queue_last = frame;
            at = &frame->next;
        }
    }
}

void pool_link_down(struct pool *pool, uint16_t member)
{
    struct peer *peer = pool_peer(pool, member);

    if (!peer || !peer->up)
        return;
    peer->up = false;
    pool->up_count--;
    for (uint32_t s = 0; s < peer->shards; s++) {
        if (peer->open[s]) {
            frame_recycle(pool, peer->open[s]);
            pool->open_count--;
        }
    }
    free(peer->open);
    peer->open = NULL;
    peer->shards = 0;
    peer->leaders_digest = 0;
    peer->leaders_unasked = 0;
    pool_drop_queued(pool, member);
}

static int pool_grow(struct pool *pool, uint16_t member)
{
    uint32_t count = pool->peer_count ? pool->peer_count : 8;
    struct peer *peers;

    while (count <= member)
        count *= 2;
    if (count == pool->peer_count)
        return 0;
    peers = realloc(pool->peers, count * sizeof *peers);
    if (!peers)
        return -ENOMEM;
    memset(peers + pool->peer_count, 0, (count - pool->peer_count) * sizeof *peers);
    pool->peers = peers;
    pool->peer_count = count;
    return 0;
}

int pool_link_up(struct pool *pool, uint16_t member, uint16_t shards)
{
    struct peer *peer;
    struct frame **open;

    assert(member != 0);
    assert(shards != 0);
    pool_link_down(pool, member);
    open = calloc(shards, sizeof(struct frame *));
    if (!open || pool_grow(pool, member) < 0) {
        free(open);
        return -ENOMEM;
    }
    peer = &pool->peers[member];
    peer->open = open;
    peer->shards = shards;
    peer->up = true;
    peer->mute_ms = 0;
    pool->up_count++;
    return 0;
}

static void frame_seal(struct pool *pool, struct frame **open)
{
    struct frame *frame = *open;

    *open = NULL;
    pool->open_count--;
    frame->next = NULL;
    if (frame->body.failed) {
        /* Its operations count as sent and lost: they are asked again after attempt_ms. */
        frame_recycle(pool, frame);
        return;
    }
    if (pool->queue_last)
        pool->queue_last->next = frame;
    else
        pool->queue_first = frame;
    pool->queue_last = frame;
}

struct frame *pool_frame(struct pool *pool, uint16_t member, uint16_t partition, uint64_t session,
                         size_t size)
{
    struct peer *peer = pool_peer(pool, member);
    struct frame **open;
    struct frame *frame;

    assert(peer);
    assert(peer->up);
    open = &peer->open[partition % peer->shards];
    frame = *open;
    if (frame && (frame->session != session || frame->operations == WIRE_FRAME_OPS_MAX ||
                  frame->body.size + size > POOL_FRAME_SIZE))
        frame_seal(pool, open);
    if (*open)
        return *open;
    frame = pool->spare;
    if (frame) {
        pool->spare = frame->next;
        pool->spare_count--;
    } else if (!(frame = calloc(1, sizeof *frame))) {
        return NULL;
    }
    frame->next = NULL;
    frame->session = session;
    frame->operations = 0;
    frame->member = member;
    frame->partition = partition;
    wire_buffer_clear(&frame->body);
    wire_put_ops_head(&frame->body, session);
    *open = frame;
    pool->open_count++;
    return frame;
}

void pool_seal(struct pool *pool)
{
    for (uint32_t i = 0; pool->open_count > 0 && i < pool->peer_count; i++)
        for (uint32_t s = 0; s < pool->peers[i].shards; s++)
            if (pool->peers[i].open[s])
                frame_seal(pool, &pool->peers[i].open[s]);
    assert(pool->open_count == 0);
}

const struct frame *pool_take(struct pool *pool, struct link_message *message)
{
    struct frame *frame = pool->queue_first;

    if (!frame)
        return NULL;
    pool->queue_first = frame->next;
    if (!pool->queue_first)
        pool->queue_last = NULL;
    frame->next = pool->taken;
    pool->taken = frame;
    *message = (struct link_message){.type = WIRE_OPS,
                                     .partition = frame->partition,
                                     .body = frame->body.data,
                                     .body_size = frame->body.size};
    return frame;
}

void pool_recycle(struct pool *pool)
{
    while (pool->taken) {
        struct frame *frame = pool->taken;

        pool->taken = frame->next;
        frame_recycle(pool, frame);
    }
}
