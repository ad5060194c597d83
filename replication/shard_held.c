#include "replication/shard_internal.h"

#include <stdlib.h>
#include <string.h>

/* A leader sends again what was not answered, about this late at the earliest: what has been held
 * for longer is on its way once more. */
#define HELD_MS 1000u

void shard_hold(struct shard *shard, const struct wire_raft *wire)
{
    struct shard_held *held;
    uint8_t *bytes;

    if (shard->held_size + wire->entries.size > SHARD_HELD_SIZE_MAX)
        return;
    bytes = malloc(wire->entries.size);
    held = bytes ? fifo_push(&shard->held) : NULL;
    if (!held) {
        free(bytes);
        return; /* as good as lost on its way */
    }
    memcpy(bytes, wire->entries.data, wire->entries.size);
    held->wire = *wire;
    held->wire.entries.data = bytes;
    held->until_ms = shard->now_ms + HELD_MS;
    shard->held_size += wire->entries.size;
}

static void held_pop(struct shard *shard, struct shard_held *held)
{
    shard->held_size -= held->wire.entries.size;
    fifo_pop(&shard->held);
}

void shard_held_run(struct shard *shard)
{
    struct shard_held *held;

    while (!shard->fatal && (held = fifo_peek(&shard->held))) {
        struct wire_raft wire = held->wire;
        uint64_t until_ms = held->until_ms;

        if (shard->now_ms < until_ms && store_room(shard->store, wire.entries.size) != 0)
            return;
        held_pop(shard, held);
        if (shard->now_ms < until_ms)
            shard_raft_wire(shard, &wire);
        free((void *)(uintptr_t)wire.entries.data);
    }
}

void shard_held_deinit(struct shard *shard)
{
    struct shard_held *held;

    while ((held = fifo_peek(&shard->held))) {
        free((void *)(uintptr_t)held->wire.entries.data);
        held_pop(shard, held);
    }
    fifo_deinit(&shard->held);
}
