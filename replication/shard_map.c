/* The ring map that is committed: a record of the meta group, under the key `map`. */
#include "replication/shard_internal.h"

#include <errno.h>
#include <stdlib.h>

static int take(struct shard *shard, const uint8_t *value, size_t size, uint64_t *version)
{
    struct ringmap map;
    int r = ringmap_decode(value, size, &map);

    if (r != 0)
        return r;
    ringmap_deinit(&shard->ring.map);
    shard->ring.map = map;
    *version = map.epoch;
    return 0;
}

static int judge(const struct shard *shard, const struct wire_bytes *next, uint64_t *version,
                 const char **problem)
{
    struct ringmap map;
    int r = ringmap_decode(next->data, next->size, &map);

    if (r != 0) {
        *problem = "the ring map does not decode";
        return r;
    }
    *version = map.epoch;
    *problem = ringmap_next_problem(&map, &shard->ring.map);
    if (!*problem && ringmap_moving(&shard->ring.map) && !ringmap_moving(&map) &&
        !shard_finish_due(shard))
        *problem = "a plan ends by itself, once all groups are as it wants them";
    ringmap_deinit(&map);
    return 0;
}

static const struct shard_record_kind kind = {.key = "map",
                                              .newer = "the ring map is of a newer version",
                                              .told = WIRE_MAP_EPOCH,
                                              .given = WIRE_MAP,
                                              .answered = WIRE_MAP_CHANGE_REPLY,
                                              .size_max = RINGMAP_SIZE_MAX,
                                              .take = take,
                                              .judge = judge};

int shard_map_init(struct shard *shard, const struct ringmap *genesis)
{
    size_t size = ringmap_encoded_size(genesis);
    uint8_t *value;
    int r;

    if (shard->options.number != 0)
        return shard_record_init(&shard->ring.record, &kind, NULL, 0);
    value = malloc(size);
    if (!value)
        return -ENOMEM;
    ringmap_encode(genesis, value);
    r = shard_record_init(&shard->ring.record, &kind, value, size);
    free(value);
    return r != 0 ? r : ringmap_copy(&shard->ring.map, genesis);
}

void shard_map_deinit(struct shard *shard)
{
    if (shard->ring.map.members)
        ringmap_deinit(&shard->ring.map);
    shard_record_deinit(&shard->ring.record);
}
