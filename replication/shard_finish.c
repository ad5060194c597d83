/* The end of a plan. Leaders tell the voters of the meta group which of their groups are as the map
 * of an epoch wants them (MOVED); when all are, the meta group's leader commits the map that ends
 * the plan, at once. What was told is in memory only, at every voter: who leads next knows it too,
 * or is told again within a second. */
#include "replication/shard_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static bool is_moving(const struct shard *shard)
{
    const struct shard_ring *ring = &shard->ring;

    return shard->meta && ringmap_moving(&ring->map) && ring->done_epoch == ring->map.epoch;
}

bool shard_finish_due(const struct shard *shard)
{
    uint32_t groups = shard->partition_count + (mutant(MUTANT_PLAN_ENDS_EARLY) ? 0 : 1);

    return is_moving(shard) && shard->ring.done_count >= groups;
}

/* Groups by their number, the meta group behind the partitions. */
static void note(struct shard *shard, uint16_t group)
{
    uint32_t at = group == STORE_PARTITION_META ? shard->partition_count : group;
    uint8_t bit = (uint8_t)(1u << at % 8);

    if (group != STORE_PARTITION_META && group >= shard->partition_count)
        return; /* no group of ours */
    shard->ring.done_count += !(shard->ring.done[at / 8] & bit);
    shard->ring.done[at / 8] |= bit;
}

/* 0 or -ENOMEM. Not here or not now: the next duty tries it again. */
static int finish(struct shard *shard)
{
    struct ringmap next;
    struct wire_bytes value;
    uint8_t *bytes;
    int r = ringmap_finished(&shard->ring.map, &next);

    if (r != 0)
        return r;
    value.size = ringmap_encoded_size(&next);
    bytes = malloc(value.size);
    if (bytes) {
        ringmap_encode(&next, bytes);
        value.data = bytes;
        shard_record_set(shard, &shard->ring.record, &value);
    }
    free(bytes);
    ringmap_deinit(&next);
    return bytes ? 0 : -ENOMEM;
}

void shard_finish_duty(struct shard *shard)
{
    int r = 0;

    if (shard_finish_due(shard) && shard_record_may_set(shard, &shard->ring.record))
        r = finish(shard);
    if (r < 0)
        shard->fatal = r;
}

void shard_finish_moved(struct shard *shard, const struct link_message *message)
{
    uint16_t groups[RINGMAP_PARTITIONS_MAX + 1];
    struct shard_ring *ring = &shard->ring;
    struct wire_cursor cursor;
    uint64_t epoch;
    uint32_t count;

    wire_cursor_init(&cursor, message->body, message->body_size);
    if (!wire_get_moved(&cursor, &epoch, groups, RINGMAP_PARTITIONS_MAX + 1, &count) ||
        !shard->meta || epoch != ring->map.epoch)
        return;
    if (ring->done_epoch != epoch) {
        memset(ring->done, 0, sizeof ring->done);
        ring->done_count = 0;
        ring->done_epoch = epoch;
    }
    for (uint32_t i = 0; i < count; i++)
        note(shard, groups[i]);
    shard_finish_duty(shard); /* clients of the plan wait for nothing else */
}
