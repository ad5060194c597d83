#include "replication/shard_internal.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* Stragglers: the undecided end of a group's log that lies in an old segment is appended again, so
 * that a group without a majority holds up the journal of nobody else.
 *
 * All of it goes into one batch, which is durable whole or not at all. So it may look like what a
 * follower appends when a leader repeats itself: at replay it takes the place of the same entries
 * before it, with nothing in between lost, and where they were they are truncated like any others.
 */

#define SIZE_MAX_RELOCATED (UINT32_C(16) << 20) /* a longer end stays where it is */

static bool is_same_log(const struct shard_relocation *relocation)
{
    const struct replica *replica = relocation->replica;
    const struct raft *raft = &replica->raft;

    return replica_serves(replica) && raft->commit + 1 == relocation->first &&
           raft->log.last == relocation->last && replica->placed == relocation->last &&
           raft_log_at(&raft->log, relocation->first)->location == relocation->location &&
           raft_log_term(&raft->log, relocation->last) == relocation->last_term;
}

static void forget(struct shard *shard)
{
    free(shard->relocation.bytes);
    shard->relocation = (struct shard_relocation){0};
}

static bool is_sound(const struct shard_relocation *relocation)
{
    size_t left = relocation->size;
    const uint8_t *at = relocation->bytes;
    struct record record;

    for (; left > 0; at += record_size_padded(&record), left -= record_size_padded(&record))
        if (record_decode(at, left, &record) != 0 || record_size_padded(&record) > left)
            return false;
    return true;
}

static void finish(struct shard *shard)
{
    struct shard_relocation *relocation = &shard->relocation;
    struct replica *replica = relocation->replica;
    store_location location;

    if (relocation->failed || !is_same_log(relocation)) {
        forget(shard);
        return;
    }
    if (!is_sound(relocation)) {
        shard_fence(shard, replica, "an entry that was synced does not check");
        forget(shard);
        return;
    }
    /* Refused for want of room: the next duty tries again. */
    if (store_append_bytes(shard->store, replica->partition, relocation->first, relocation->last,
                           relocation->bytes, relocation->size, &location) == 0) {
        for (uint64_t i = relocation->first; i <= relocation->last; i++) {
            uint32_t size = raft_log_at(&replica->raft.log, i)->size;

            raft_log_place(&replica->raft.log, i, location);
            pending_move(&replica->pending, i, location);
            location += size / RECORD_ALIGN;
        }
        shard->stats.relocated += relocation->last + 1 - relocation->first;
    }
    forget(shard);
}

/* The end's bytes, or 0 when it is not to be moved. */
static uint32_t size_of_end(const struct replica *replica)
{
    const struct raft *raft = &replica->raft;
    uint64_t size = 0;

    /* What is committed is applied soon, and what has no place yet is not old. */
    if (raft->applied != raft->commit || raft->log.last == raft->commit ||
        replica->placed != raft->log.last)
        return 0;
    for (uint64_t i = raft->log.last; i > raft->commit && size <= SIZE_MAX_RELOCATED; i--)
        size += raft_log_at(&raft->log, i)->size;
    return size <= SIZE_MAX_RELOCATED ? (uint32_t)size : 0;
}

void shard_relocate(struct shard *shard, struct replica *replica, uint64_t log_size_max)
{
    struct shard_relocation *relocation = &shard->relocation;
    const struct raft *raft = &replica->raft;
    uint32_t size = size_of_end(replica), at = 0;
    const struct raft_log_entry *entry;

    if (size == 0 || relocation->replica)
        return;
    entry = raft_log_at(&raft->log, raft->commit + 1);
    if (!store_holds_up(shard->store, entry->location, log_size_max))
        return;
    *relocation = (struct shard_relocation){.replica = replica,
                                            .first = raft->commit + 1,
                                            .last = raft->log.last,
                                            .last_term = raft_log_term(&raft->log, raft->log.last),
                                            .location = entry->location,
                                            .bytes = malloc(size),
                                            .size = size,
                                            .reads_left = 1};
    if (!relocation->bytes) {
        *relocation = (struct shard_relocation){0};
        return;
    }
    for (uint64_t i = relocation->first; i <= relocation->last; i++, at += entry->size) {
        const uint8_t *bytes;
        size_t got;

        entry = raft_log_at(&raft->log, i);
        if (store_peek(shard->store, entry->location, entry->size, &bytes, &got) == 0 &&
            got == entry->size)
            memcpy(relocation->bytes + at, bytes, entry->size);
        else if (shard_read_start(shard, SHARD_READ_RELOCATE, relocation, at, entry->location,
                                  entry->size))
            relocation->reads_left++;
        else
            relocation->failed = true;
    }
    if (--relocation->reads_left == 0)
        finish(shard);
}

void shard_relocate_read(struct shard *shard, const struct shard_read *read, const uint8_t *bytes,
                         size_t size)
{
    struct shard_relocation *relocation = &shard->relocation;

    assert(relocation->reads_left > 0);
    if (!bytes || size < read->size)
        relocation->failed = true;
    else
        memcpy(relocation->bytes + read->part, bytes, read->size);
    if (--relocation->reads_left == 0)
        finish(shard);
}
