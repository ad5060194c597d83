#include "shard_cluster.h"

#include "replication/raft.h"

#include <criterion/criterion.h>

#include <stdio.h>

/* A group changes who is in it, over shards with stores. raft_config_test has the rules. */

static const struct raft_config *config_of(const struct cluster *cluster, int node,
                                           uint16_t partition)
{
    return &shard_raft(cluster->shards[node], partition)->config;
}

static struct raft_config next_of(const struct cluster *cluster, uint16_t partition)
{
    return *config_of(cluster, cluster_leader(cluster, partition), partition);
}

static bool settled(const struct cluster *cluster, uint16_t partition, uint64_t index)
{
    int leader = cluster_leader(cluster, partition);

    if (leader < 0)
        return false;
    for (int node = 0; node < CLUSTER_NODES; node++) {
        const struct raft *raft =
            cluster->shards[node] ? shard_raft(cluster->shards[node], partition) : NULL;

        if (raft && raft_peer(shard_raft(cluster->shards[leader], partition), (uint16_t)(node + 1)))
            if (raft->config.index != index || raft->applied < index)
                return false;
    }
    return true;
}

/* Proposes it and waits until all that are in it go by it. */
static void change(struct cluster *cluster, uint16_t partition, const struct raft_config *next)
{
    int leader = cluster_leader(cluster, partition);
    uint64_t before, index;

    cr_assert_geq(leader, 0);
    before = config_of(cluster, leader, partition)->index;
    cluster_configure(cluster, partition, next);
    index = config_of(cluster, leader, partition)->index;
    cr_assert_gt(index, before);
    for (int i = 0; i < 300 && !settled(cluster, partition, index); i++)
        cluster_run(cluster, 10);
    cr_assert(settled(cluster, partition, index));
}

static void restart_all(struct cluster *cluster)
{
    for (int node = 0; node < CLUSTER_NODES; node++)
        cluster_kill(cluster, node);
    for (int node = 0; node < CLUSTER_NODES; node++)
        cluster_restart(cluster, node);
    cluster_await_leaders(cluster);
}

static void remove_voter(struct raft_config *config, uint16_t member)
{
    uint8_t kept = 0;

    for (uint8_t i = 0; i < config->voter_count; i++)
        if (config->voters[i].member != member)
            config->voters[kept++] = config->voters[i];
    config->voter_count = kept;
}

/* A joint configuration, then the new one alone; with a restart of all at each step, or without. */
Test(shard_config, a_voter_leaves_by_a_joint_configuration_and_all_is_there, .timeout = 120)
{
    for (int restarts = 0; restarts < 2; restarts++) {
        struct cluster cluster;
        struct raft_config next;
        uint16_t p;
        int gone;

        cluster_begin(&cluster);
        cluster_set(&cluster, "key", "one");
        p = cluster_partition(&cluster, "key");
        gone = (cluster_leader(&cluster, p) + 1) % CLUSTER_NODES;
        next = next_of(&cluster, p);
        for (uint8_t i = 0; i < next.voter_count; i++)
            next.voters_old[i] = next.voters[i];
        next.voter_old_count = next.voter_count;
        remove_voter(&next, (uint16_t)(gone + 1));
        change(&cluster, p, &next);
        if (restarts)
            restart_all(&cluster);
        cr_assert_eq(next_of(&cluster, p).voter_old_count, 3);
        cr_assert_eq(next_of(&cluster, p).voter_count, 2);
        cluster_set(&cluster, "key", "two");
        next = next_of(&cluster, p);
        next.voter_old_count = 0;
        change(&cluster, p, &next);
        if (restarts)
            restart_all(&cluster);
        cr_assert_eq(next_of(&cluster, p).voter_old_count, 0);
        cr_assert_eq(next_of(&cluster, p).voter_count, 2);
        cluster_set(&cluster, "key", "three");
        cluster_kill(&cluster, gone); /* the two are a quorum of two */
        cluster_run(&cluster, 50);
        cluster_set(&cluster, "key", "four");
        cluster_expect(&cluster, "key", "four");
        cluster_restart(&cluster, gone);
        cluster_stop(&cluster);
    }
}

/* The removed one asks for votes and is heard by nobody. */
Test(shard_config, one_that_was_removed_neither_leads_nor_disturbs, .timeout = 120)
{
    struct cluster cluster;
    struct raft_config next;
    uint16_t p;
    uint32_t term;
    int gone, leader;

    cluster_begin(&cluster);
    cluster_set(&cluster, "key", "one");
    p = cluster_partition(&cluster, "key");
    leader = cluster_leader(&cluster, p);
    gone = (leader + 1) % CLUSTER_NODES;
    cluster.cut[gone] = true; /* it never hears of it */
    next = next_of(&cluster, p);
    for (uint8_t i = 0; i < next.voter_count; i++)
        next.voters_old[i] = next.voters[i];
    next.voter_old_count = next.voter_count;
    remove_voter(&next, (uint16_t)(gone + 1));
    cluster_configure(&cluster, p, &next);
    cluster_run(&cluster, 500);
    next = next_of(&cluster, p);
    next.voter_old_count = 0;
    cluster_configure(&cluster, p, &next);
    cluster_run(&cluster, 500);
    cr_assert_eq(next_of(&cluster, p).voter_count, 2);
    term = shard_raft(cluster.shards[leader], p)->term;
    cluster.cut[gone] = false;
    cluster_run(&cluster, 3000);
    cr_assert_eq(cluster_leader(&cluster, p), leader);
    cr_assert_eq(shard_raft(cluster.shards[leader], p)->term, term);
    cr_assert_neq(shard_raft(cluster.shards[gone], p)->role, RAFT_LEADER);
    cluster_set(&cluster, "key", "two");
    cluster_stop(&cluster);
}

Test(shard_config, what_may_not_follow_is_not_proposed)
{
    struct cluster cluster;
    struct raft_config next;
    const struct raft *raft;

    cluster_begin(&cluster);
    raft = shard_raft(cluster.shards[cluster_leader(&cluster, 0)], 0);
    next = next_of(&cluster, 0);
    remove_voter(&next, next.voters[0].member); /* not by way of a joint one */
    cluster_configure(&cluster, 0, &next);
    cr_assert_eq(raft->config.index, 1);
    next.voter_count = 0;
    cluster_configure(&cluster, 0, &next);
    cr_assert_eq(raft->config.index, 1);
    cluster_run(&cluster, 100);
    cluster_stop(&cluster);
}
