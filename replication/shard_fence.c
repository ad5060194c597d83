#include "replication/shard_fence.h"

#include "replication/shard_internal.h"

#include <assert.h>

void shard_fence(struct shard *shard, struct replica *replica, const char *why)
{
    struct replica_fence *fence = &replica->fence;

    if (fence->installing) { /* what the snapshot brings is not to be trusted, or not enough */
        if (!fence->again)
            fence->again = why;
        return;
    }
    if (fence->why)
        return;
    shard_target_free(replica); /* for one that had lost nothing */
    fence->why = why;
    fence->report = shard_random(shard);
    fence->failing = true;
    shard->failing = true;
}

void shard_fence_sound(struct shard *shard, struct replica *replica, const char *why)
{
    replica->fence.sound |= !replica_fenced(replica);
    shard_fence(shard, replica, why);
}

void shard_fence_finish(struct shard *shard)
{
    shard->failing = false;
    for (size_t i = 0; i < shard->hosted_count; i++) {
        struct replica *replica = shard->hosted[i];

        if (!replica->fence.failing)
            continue;
        replica->fence.failing = false;
        shard_stop_leading(shard, replica);
    }
}

bool shard_takes_snapshot(const struct shard *shard, const struct replica *replica)
{
    return !shard->unreadable && !replica->leaving && !replica->fence.installing;
}

bool shard_fenced(const struct shard *shard, uint16_t partition, const char **why)
{
    const struct replica *replica = shard_replica(shard, partition);
    const char *fenced = replica ? replica_fenced(replica) : NULL;

    if (fenced && why)
        *why = fenced;
    return fenced != NULL;
}

void shard_fence_check(const struct shard *shard, const struct replica *replica)
{
    const struct replica_fence *fence = &replica->fence;

    assert(!fence->again || fence->installing);
    if (!replica_serves(replica))
        return;
    assert(!shard->unreadable);
    assert(!replica->leaving);
    assert(!fence->sound);
    assert(!fence->log_gone);
    assert(!fence->anonymous);
}
