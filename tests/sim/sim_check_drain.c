#include "tests/sim/sim_check.h"

#include "tests/sim/sim_drain.h"

#include <inttypes.h>
#include <stdio.h>

/* No fault is at work any more, and it leads something all the time for so long: the meta group's
 * leader has to be there, to listen (2 s), and to have its wishes fulfilled. */
#define LEADS_US_MAX (15 * SIM_SECOND)

/* Leaders go to nobody whose clock is ahead of theirs by a second. */
static bool is_ahead(const struct sim_node *other, const struct sim_node *node)
{
    uint64_t now_us = node->cluster->sim->now_us;
    return sim_clock_wall_ms(&other->clock, now_us) > sim_clock_wall_ms(&node->clock, now_us) + 500;
}

/* Leaders go to nobody whose disk the meta group's leader calls slow, which is half a minute longer
 * than it is (replication/slow_disk.h). */
static bool is_slow(const struct sim_node *other)
{
    struct shard_stats stats;
    if (other->state == SIM_DOWN || !other->serving)
        return false;
    shard_stats(other->shards[0].shard, &stats);
    return stats.slow;
}

/* A voter of the group, beside the node that leads it, which could do so as well. */
static bool another_may(const struct sim_check *check, uint32_t group, const struct raft *raft,
                        const struct sim_node *node)
{
    for (uint32_t i = 0; i < raft->config.voter_count; i++) {
        const struct sim_node *other =
            sim_cluster_member(check->cluster, raft->config.voters[i].member);
        if (other && other != node && !other->rotten && !is_ahead(other, node) && !is_slow(other) &&
            sim_check_raft(check, other->endpoint, group) && !sim_drain_is(other))
            return true;
    }
    return false;
}

/* A group that the node leads though another could; SIM_GROUPS: none. */
static uint32_t led_by(const struct sim_check *check, const struct sim_node *node)
{
    for (uint32_t group = 0; group < SIM_GROUPS; group++) {
        const struct raft *raft = sim_check_raft(check, node->endpoint, group);
        if (raft && raft->role == RAFT_LEADER && another_may(check, group, raft, node))
            return group;
    }
    return SIM_GROUPS;
}

void sim_check_drain(struct sim_check *check, const struct sim_node *node)
{
    const struct sim_cluster *cluster = check->cluster;
    uint32_t group;
    if (!cluster->healing || node->endpoint != cluster->drain.node)
        return;
    group = sim_drain_is(node) ? led_by(check, node) : SIM_GROUPS;
    if (check->drained_node != node->endpoint || group == SIM_GROUPS) {
        check->drained_node = node->endpoint;
        check->drained_us = check->sim->now_us;
    } else if (check->sim->now_us > check->drained_us + LEADS_US_MAX) {
        sim_fail(check->sim, "node %u is drained, and has led for %" PRIu64 " s, p%02u last",
                 node->endpoint, LEADS_US_MAX / SIM_SECOND, group);
    }
}

bool sim_check_drained(const struct sim_check *check, char *why, size_t size)
{
    struct sim_cluster *cluster = check->cluster;
    const struct sim_node *node;
    uint32_t group;
    if (cluster->drain.node == 0)
        return true;
    node = sim_cluster_node(cluster, cluster->drain.node);
    group = led_by(check, node);
    if (!sim_drain_is(node))
        (void)snprintf(why, size, "node %u is not drained", node->endpoint);
    else
        (void)snprintf(why, size, "node %u is drained and leads p%02u", node->endpoint, group);
    return sim_drain_is(node) && group == SIM_GROUPS;
}
