#include "tests/sim/sim_check.h"

#include <inttypes.h>
#include <stdio.h>

/* Passes that must be over: the one that was under way when the faults ended may have begun before
 * the last of them. */
#define PASSES 2u

static bool shard_scrubbed(struct sim_check *check, struct sim_node *node, struct sim_shard *shard,
                           char *why, size_t size)
{
    unsigned number = (unsigned)(shard - node->shards);
    struct store_stats stats;
    struct shard_stats shard_stats_now;

    store_stats(shard_store(shard->shard), &stats);
    shard_stats(shard->shard, &shard_stats_now);
    if (stats.fenced) {
        node->lost = true; /* there is no manifest to go by: nothing mends that */
        return true;
    }
    if (shard->scrubs_due == 0)
        shard->scrubs_due = stats.scrub.passes + PASSES;
    if (stats.scrub.passes < shard->scrubs_due) {
        (void)snprintf(why, size,
                       "node %u shard %u has been scrubbed %" PRIu64 " times of %" PRIu64,
                       node->endpoint, number, stats.scrub.passes, shard->scrubs_due);
        return false;
    }
    if (shard_stats_now.fenced > 0) {
        (void)snprintf(why, size, "node %u shard %u has %u fenced partitions still", node->endpoint,
                       number, shard_stats_now.fenced);
        return false;
    }
    /* Everything that is alive there can be read. */
    for (uint32_t group = 0; group < SIM_GROUPS; group++) {
        uint64_t digest;
        uint32_t of = group == SIM_PARTITIONS ? 0 : group % check->sim->swarm.shards;
        uint16_t partition = sim_group_partition(group);

        if (of == number && shard_raft(shard->shard, partition) &&
            store_digest(shard_store(shard->shard), partition, &digest) == STORE_E_CORRUPT)
            sim_fail(check->sim, "node %u p%02u has been scrubbed, but a record does not check",
                     node->endpoint, group);
    }
    return true;
}

bool sim_check_scrubbed(struct sim_check *check, char *why, size_t size)
{
    bool all = true;

    for (uint8_t i = 1; i <= check->cluster->node_count; i++) {
        struct sim_node *node = sim_cluster_node(check->cluster, i);

        if (node->state == SIM_DOWN || !node->serving) {
            (void)snprintf(why, size, "node %u does not serve", i);
            return false;
        }
        for (uint32_t j = 0; j < check->sim->swarm.shards; j++)
            all &= shard_scrubbed(check, node, &node->shards[j], why, size);
    }
    /* From here on the disk is as good as any. */
    for (uint8_t i = 1; all && i <= check->cluster->node_count; i++)
        sim_cluster_node(check->cluster, i)->rotten &= sim_cluster_node(check->cluster, i)->lost;
    return all;
}
