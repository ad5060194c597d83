/* The meta group's state is one record, under the key `map`: the ring map that is committed. Shard
 * 0 of its voters looks at it whenever more is applied, tells the node of a later epoch, and, where
 * the group's leader is, evaluates what is to come next. */
#include "replication/shard_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAP_KEY       "map"
#define TELL_AGAIN_MS 1000u /* a node whose disk was full did not take it */

static const struct wire_bytes map_key = {.data = (const uint8_t *)MAP_KEY,
                                          .size = sizeof MAP_KEY - 1};

static struct keydir_digest map_digest(const struct shard *shard)
{
    struct hash_digest digest = hash_key(shard->hash_secret, map_key.data, map_key.size);

    return (struct keydir_digest){.high = digest.high, .low = digest.low};
}

int shard_map_init(struct shard *shard, const struct ringmap *genesis)
{
    return shard->meta ? ringmap_copy(&shard->ring.map, genesis) : 0;
}

void shard_map_deinit(struct shard *shard)
{
    if (shard->ring.map.members)
        ringmap_deinit(&shard->ring.map);
}

static void put_map(struct shard *shard, struct wire_buffer *body)
{
    uint8_t *out = wire_put_bin_space(body, ringmap_encoded_size(&shard->ring.map));

    if (out)
        ringmap_encode(&shard->ring.map, out);
}

/* --- what is applied ----------------------------------------------------------------------- */

static void tell_node(struct shard *shard)
{
    struct wire_buffer body = {0};

    shard->ring.tell_due_ms = shard->now_ms + TELL_AGAIN_MS;
    wire_put_map_epoch(&body, shard->ring.map.epoch);
    shard_out(shard, shard_to_member(shard->options.self), WIRE_MAP_EPOCH, WIRE_PARTITION_NODE, 0,
              &body);
    wire_buffer_deinit(&body);
}

/* The record may be the one that the map is from: only its index tells. Where it lies does not, for
 * flush moves records, and what comes later may lie where they lay. */
static void take(struct shard *shard, const uint8_t *bytes, size_t size)
{
    struct shard_ring *ring = &shard->ring;
    struct record record;
    struct ringmap map;
    int r;

    if (record_decode(bytes, size, &record) != 0 || record.kind != RECORD_KIND_PUT ||
        record.key_size != map_key.size || memcmp(record.key, map_key.data, map_key.size) != 0) {
        shard_fence(shard, shard->meta, "a record that was synced does not check");
        return;
    }
    if (record.index == ring->index)
        return;
    r = ringmap_decode(record.value, record.value_size, &map);
    if (r == -ENOMEM) {
        shard->fatal = r;
        return;
    }
    if (r != 0) {
        shard_fence(shard, shard->meta, "the ring map is of a newer version");
        return;
    }
    ringmap_deinit(&ring->map);
    ring->map = map;
    ring->index = record.index;
    tell_node(shard);
}

static void look(struct shard *shard)
{
    struct shard_ring *ring = &shard->ring;
    struct keydir_digest digest = map_digest(shard);
    struct keydir_entry entry;
    const uint8_t *bytes;
    size_t size;

    ring->looked = shard->meta->raft.applied;
    if (store_find(shard->store, STORE_PARTITION_META, &digest, &entry) != 0 || entry.tombstone)
        return;
    if (store_peek(shard->store, entry.location, entry.size_max, &bytes, &size) == 0)
        take(shard, bytes, size);
    else
        ring->reading = shard_read_start(shard, SHARD_READ_MAP, NULL, 0, entry.location,
                                         (uint32_t)entry.size_max);
}

void shard_map_read(struct shard *shard, const uint8_t *bytes, size_t size)
{
    shard->ring.reading = false;
    if (bytes)
        take(shard, bytes, size);
    else
        shard->ring.looked = 0; /* the disk failed to give it: again in the next round */
}

/* Whether ring->map is that of all that is applied. */
static bool is_known(const struct shard *shard)
{
    return shard->ring.looked == shard->meta->raft.applied && !shard->ring.reading;
}

/* --- changes ------------------------------------------------------------------------------- */

static void answer(struct shard *shard, struct shard_address to, uint64_t correlation,
                   struct wire_map_reply *reply)
{
    struct wire_buffer body = {0};

    reply->epoch = shard->meta ? shard->ring.map.epoch : 0;
    wire_put_map_reply(&body, reply);
    shard_out(shard, to, WIRE_MAP_CHANGE_REPLY, WIRE_PARTITION_NODE, correlation, &body);
    wire_buffer_deinit(&body);
}

/* The entry was proposed in a leadership that has not ended: what is applied there is it. */
static void finish_change(struct shard *shard)
{
    struct shard_ring *ring = &shard->ring;
    struct wire_map_reply reply = {.outcome = WIRE_MAP_DONE};

    if (ring->change == 0 || shard->meta->raft.applied < ring->change || !is_known(shard))
        return;
    ring->change = 0;
    answer(shard, ring->change_from, ring->change_correlation, &reply);
}

static bool is_same(const struct shard *shard, const struct wire_bytes *blob, bool *same)
{
    size_t size = ringmap_encoded_size(&shard->ring.map);
    uint8_t *bytes = malloc(size);

    if (!bytes)
        return false;
    ringmap_encode(&shard->ring.map, bytes);
    *same = size == blob->size && memcmp(bytes, blob->data, size) == 0;
    free(bytes);
    return true;
}

static void propose(struct shard *shard, const struct wire_bytes *blob, struct shard_address from,
                    uint64_t correlation)
{
    struct record record = {.kind = RECORD_KIND_PUT,
                            .key = map_key.data,
                            .key_size = map_key.size,
                            .value = blob->data,
                            .value_size = blob->size};
    struct keydir_digest digest = map_digest(shard);
    struct wire_map_reply again = {.outcome = WIRE_MAP_AGAIN};

    if (shard_propose(shard, shard->meta, &record, &digest, 1) != 0) {
        answer(shard, from, correlation, &again);
        return;
    }
    shard->ring.change = shard->meta->raft.log.last;
    shard->ring.change_from = from;
    shard->ring.change_correlation = correlation;
}

/* Compare and set by epoch: a map is the next one, or was taken before, or came too late. One at a
 * time, so that each is held against all before it. True: it is to be proposed. */
static bool evaluate(struct shard *shard, const struct wire_bytes *blob,
                     struct wire_map_reply *reply)
{
    const struct ringmap *now = &shard->ring.map;
    const char *problem = NULL;
    struct ringmap map;
    bool same = false;
    int r = ringmap_decode(blob->data, blob->size, &map);

    if (r < 0 || !is_same(shard, blob, &same)) {
        shard->fatal = -ENOMEM;
    } else if (r != 0) {
        problem = "the ring map does not decode";
    } else if (same) {
        reply->outcome = WIRE_MAP_DONE;
    } else if (mutant(MUTANT_MAP_NOT_COMPARED)) {
        reply->outcome = 0;
    } else if (map.epoch != now->epoch + 1) {
        reply->outcome = WIRE_MAP_CONFLICT;
    } else {
        problem = ringmap_next_problem(&map, now);
        reply->outcome = 0;
    }
    if (r == 0)
        ringmap_deinit(&map);
    if (problem) {
        reply->outcome = WIRE_MAP_REFUSED;
        snprintf(reply->why, sizeof reply->why, "%s", problem);
    }
    return reply->outcome == 0 && !shard->fatal;
}

void shard_map_change(struct shard *shard, struct shard_address from,
                      const struct link_message *message)
{
    struct wire_map_reply reply = {.outcome = WIRE_MAP_AGAIN};
    struct wire_cursor cursor;
    struct wire_bytes blob;
    int64_t leader = 0;

    wire_cursor_init(&cursor, message->body, message->body_size);
    blob.data = wire_get_bin(&cursor, RINGMAP_SIZE_MAX, &blob.size);
    if (cursor.failed)
        return;
    if (!shard->meta || shard_replica_status(shard, shard->meta, &leader) != WIRE_STATUS_OK ||
        !is_known(shard) || shard->ring.change != 0)
        reply.leader = (uint16_t)leader;
    else if (evaluate(shard, &blob, &reply)) {
        propose(shard, &blob, from, message->correlation);
        return;
    }
    answer(shard, from, message->correlation, &reply);
}

void shard_map_get(struct shard *shard, struct shard_address from,
                   const struct link_message *message)
{
    struct wire_buffer body = {0};

    if (!shard->meta)
        return;
    put_map(shard, &body);
    shard_out(shard, from, WIRE_MAP, WIRE_PARTITION_NODE, message->correlation, &body);
    wire_buffer_deinit(&body);
}

void shard_map_forget(struct shard *shard)
{
    shard->ring.change = 0;
}

void shard_map_step(struct shard *shard)
{
    if (!shard->meta || shard->meta->fenced || !shard_settled(shard, STORE_PARTITION_META))
        return;
    if (!shard->ring.reading && shard->ring.looked != shard->meta->raft.applied)
        look(shard);
    finish_change(shard);
    if (shard->now_ms >= shard->ring.tell_due_ms)
        tell_node(shard);
}
