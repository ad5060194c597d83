/* What is needed soon is fetched into the processor's caches beside other work. A frame's messages
 * are of many groups, each of some kilobytes, and those of all partitions are larger than the
 * caches: whatever a group needs has left them since its last message. Nothing here changes
 * anything. */
#include "replication/shard_internal.h"

#define KEYS_MAX 8u /* about as many fetches as a core keeps under way */

void shard_ahead_replica(const struct replica *replica)
{
    if (!replica)
        return;
    __builtin_prefetch(replica);
    __builtin_prefetch(&replica->raft.options);
    __builtin_prefetch(&replica->raft.role);
    __builtin_prefetch(&replica->raft.synced);
    __builtin_prefetch(&replica->raft.log);
    __builtin_prefetch(&replica->raft.peers[1]);
    __builtin_prefetch(&replica->sessions);
    __builtin_prefetch(&replica->pending);
}

void shard_ahead_parts(const struct replica *replica)
{
    const struct raft_log *log;

    if (!replica)
        return;
    log = &replica->raft.log;
    pending_prefetch(&replica->pending);
    if (log->capacity > 0)
        __builtin_prefetch(&log->entries[(log->last + 1) & (log->capacity - 1)]);
    if (replica->waiters)
        __builtin_prefetch(replica->waiters);
}

void shard_ahead_keys(const struct shard *shard, const struct replica *replica)
{
    const struct pending *pending = &replica->pending;

    for (uint32_t i = 0; i < pending->entry_count && i < KEYS_MAX; i++) {
        const struct pending_entry *entry = pending_at(pending, pending->first + i);

        if (entry->index > replica->raft.commit)
            return;
        if (entry->write_count > 0)
            store_prefetch(shard->store, replica->partition,
                           &pending_write_at(pending, entry, 0)->digest);
    }
}
