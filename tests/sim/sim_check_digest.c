#include "tests/sim/sim_check.h"

#include <inttypes.h>

static void digest_compare(struct sim_check *check, uint8_t node, uint32_t group, uint64_t applied,
                           uint64_t digest)
{
    struct sim_group *g = &check->groups[group];
    for (uint32_t i = 0; i < SIM_DIGESTS; i++) {
        if (g->digests[i].applied != applied)
            continue;
        check->digests_compared++;
        if (g->digests[i].digest != digest)
            sim_fail(check->sim,
                     "node %u p%02u has other content or results than another replica at applied "
                     "%" PRIu64,
                     node, group, applied);
        return;
    }
    g->digests[g->digest_at].applied = applied;
    g->digests[g->digest_at].digest = digest;
    g->digest_at = (g->digest_at + 1) % SIM_DIGESTS;
}

uint32_t sim_check_digest(struct sim_check *check, uint32_t group)
{
    uint32_t count = 0;
    for (uint8_t i = 1; i <= check->cluster->node_count; i++) {
        struct sim_node *node = sim_cluster_node(check->cluster, i);
        const struct raft *raft = sim_check_raft(check, i, group);
        uint32_t shards = check->sim->swarm.shards;
        uint64_t digest;
        if (!raft || raft->applied == 0 || node->rotten)
            continue;
        struct sim_shard *shard = &node->shards[group == SIM_PARTITIONS ? 0 : group % shards];
        if (!shard_settled(shard->shard, sim_group_partition(group)))
            continue; /* a snapshot's content, on its way to be that of applied */
        if (store_digest(shard_store(shard->shard), sim_group_partition(group), &digest) != 0)
            continue; /* not to be read without waiting, or a read failed */
        digest ^= shard_sessions_sum(shard->shard, sim_group_partition(group));
        digest_compare(check, i, group, raft->applied, digest);
        count++;
    }
    return count;
}
