#include "shard_cluster.h"

#include "replication/raft.h"
#include "storage/store.h"

#include <criterion/criterion.h>

#include <stdio.h>
#include <string.h>

static struct cluster cluster;

/* Replicas compare all the time. */
static void begin(void)
{
    cluster_begin(&cluster);
    cluster.options.store.scrub_rate = UINT64_C(1) << 30;
    cluster.options.store.scrub_every_ms = 1000;
    cluster_restart_all(&cluster);
}

static void set_many(const char *prefix, int from, int to, const char *value)
{
    char key[32];

    for (int i = from; i < to; i++) {
        cluster.result_count = 0;
        snprintf(key, sizeof key, "%s%d", prefix, i);
        cr_assert_eq(cluster_set(&cluster, key, value)->status, WIRE_STATUS_OK);
    }
}

static struct shard_stats stats_of(int node)
{
    struct shard_stats stats;

    shard_stats(cluster.shards[node], &stats);
    return stats;
}

static struct shard_stats stats_sum(void)
{
    struct shard_stats sum = {0};

    for (int node = 0; node < CLUSTER_NODES; node++) {
        struct shard_stats stats = stats_of(node);

        sum.compared += stats.compared;
        sum.differences += stats.differences;
        sum.undecided += stats.undecided;
        sum.repaired += stats.repaired;
        sum.fenced += stats.fenced;
    }
    return sum;
}

static void expect_same(uint16_t partition)
{
    uint64_t digests[CLUSTER_NODES];

    for (int node = 0; node < CLUSTER_NODES; node++)
        cr_assert_eq(store_digest(shard_store(cluster.shards[node]), partition, &digests[node]), 0);
    for (int node = 1; node < CLUSTER_NODES; node++)
        cr_assert_eq(digests[node], digests[0], "node %d", node);
}

/* A key of the partition that is there on the node. */
static struct keydir_item some_item(int node, uint16_t partition)
{
    struct keydir_item items[16];
    struct keydir_slice slice = {
        .filter = KEYDIR_LIVE, .items_max = 16, .walk_max = 1000, .items = items};

    store_slice(shard_store(cluster.shards[node]), partition, &slice);
    cr_assert_gt(slice.count, 0);
    return items[0];
}

/* The node forgets that the key was written: a delete that nobody logged. */
static void lose(int node, uint16_t partition)
{
    struct keydir_item item = some_item(node, partition);

    cr_assert_eq(store_apply(shard_store(cluster.shards[node]), partition, &item.digest,
                             item.entry.location, item.entry.size_max, true, false),
                 0);
}

static int follower_of(uint16_t partition)
{
    return (cluster_leader(&cluster, partition) + 1) % CLUSTER_NODES;
}

/* --- what is the same ---------------------------------------------------------------------- */

Test(shard_compare, replicas_that_hold_the_same_are_left_alone)
{
    begin();
    set_many("k", 0, 300, "value");
    for (int i = 0; i < 50; i++) {
        const char *args[] = {"k7"};

        set_many("k", i, i + 40, "again"); /* while it is compared */
        cluster.result_count = 0;
        cr_assert_eq(cluster_do(&cluster, WIRE_OP_DEL, 0, args, 1)->status, WIRE_STATUS_OK);
    }
    cluster_run(&cluster, 5000);
    cr_assert_gt(stats_sum().compared, 3 * CLUSTER_PARTITIONS);
    cr_assert_eq(stats_sum().differences, 0);
    cr_assert_eq(stats_sum().undecided, 0);
    cr_assert_eq(stats_sum().fenced, 0);
    cluster_stop(&cluster);
}

Test(shard_compare, more_keys_than_a_range_has_are_compared_range_by_range)
{
    static char value[3000];
    uint16_t p;

    memset(value, 'v', sizeof value - 1);
    begin();
    p = cluster_partition(&cluster, "{t}");
    for (int i = 0; i < 800; i++) { /* of one partition, more than its bytes too */
        char key[32];

        cluster.result_count = 0;
        snprintf(key, sizeof key, "{t}%d", i);
        cr_assert_eq(cluster_set(&cluster, key, value)->status, WIRE_STATUS_OK);
    }
    cluster_run(&cluster, 8000);
    cr_assert_gt(stats_of(cluster_leader(&cluster, p)).compared, 0);
    cr_assert_eq(stats_sum().differences, 0);
    lose(follower_of(p), p);
    cluster_run(&cluster, 10000);
    cr_assert_eq(stats_sum().differences, 1);
    expect_same(p);
    cluster_stop(&cluster);
}

/* --- what is not --------------------------------------------------------------------------- */

Test(shard_compare, a_follower_that_lost_a_write_is_repaired)
{
    uint16_t p;
    int node;

    begin();
    set_many("k", 0, 200, "value");
    p = cluster_partition(&cluster, "k1");
    node = follower_of(p);
    lose(node, p);
    cluster_run(&cluster, 6000);
    cr_assert_eq(stats_sum().differences, 1);
    cr_assert_eq(stats_of(node).repaired, 1);
    cr_assert_eq(stats_sum().fenced, 0);
    expect_same(p);
    cluster_run(&cluster, 3000);
    cr_assert_eq(stats_sum().differences, 1);
    cluster_stop(&cluster);
}

Test(shard_compare, a_replica_that_kept_an_older_value_is_repaired)
{
    struct keydir_item before, after;
    uint16_t p;
    int node;

    begin();
    set_many("k", 0, 1, "old");
    p = cluster_partition(&cluster, "k0");
    node = follower_of(p);
    cluster_run(&cluster, 1000);
    before = some_item(node, p);
    set_many("k", 0, 1, "new");
    cluster_run(&cluster, 1000);
    after = some_item(node, p);
    cr_assert_eq(before.digest.low, after.digest.low);
    cr_assert_neq(before.entry.location, after.entry.location);
    cr_assert_eq(store_apply(shard_store(cluster.shards[node]), p, &before.digest,
                             before.entry.location, before.entry.size_max, false, false),
                 0);
    cluster_run(&cluster, 6000);
    cr_assert_eq(stats_sum().differences, 1);
    expect_same(p);
    cluster_stop(&cluster);
}

Test(shard_compare, a_leader_that_is_outvoted_hands_over_and_is_repaired)
{
    uint16_t p;
    int node;

    begin();
    set_many("k", 0, 200, "value");
    p = cluster_partition(&cluster, "k1");
    node = cluster_leader(&cluster, p);
    lose(node, p);
    for (int i = 0; i < 100 && stats_of(node).repaired == 0; i++)
        cluster_run(&cluster, 100);
    cr_assert_eq(stats_of(node).differences, 1);
    cr_assert_eq(stats_of(node).repaired, 1);
    cluster_run(&cluster, 3000);
    cr_assert_eq(stats_sum().fenced, 0);
    expect_same(p);
    cluster_expect(&cluster, "k1", "value");
    cluster_stop(&cluster);
}

/* Nobody is there to repair it before it is started again. */
Test(shard_compare, one_that_is_outvoted_is_so_behind_a_restart)
{
    uint16_t p;
    int node;

    begin();
    set_many("k", 0, 200, "value");
    p = cluster_partition(&cluster, "k1");
    node = follower_of(p);
    lose(node, p);
    for (int ms = 0; ms < 20000 && !shard_fenced(cluster.shards[node], p, NULL); ms++)
        cluster_run(&cluster, 1);
    cr_assert(shard_fenced(cluster.shards[node], p, NULL));
    for (int other = 0; other < CLUSTER_NODES; other++)
        if (other != node)
            cluster_kill(&cluster, other);
    cluster_run(&cluster, 100);
    cr_assert(shard_fenced(cluster.shards[node], p, NULL));
    for (int i = 0; i < 2; i++) {
        cluster_kill(&cluster, node);
        cluster_restart(&cluster, node);
        cr_assert(shard_fenced(cluster.shards[node], p, NULL), "restart %d", i);
    }
    for (int other = 0; other < CLUSTER_NODES; other++)
        if (other != node)
            cluster_restart(&cluster, other);
    cluster_run(&cluster, 5000);
    cr_assert_eq(stats_sum().fenced, 0);
    expect_same(p);
    cluster_stop(&cluster);
}

Test(shard_compare, without_a_majority_nothing_is_touched_and_it_is_said)
{
    uint16_t p;
    int leader, away;

    begin();
    set_many("k", 0, 200, "value");
    p = cluster_partition(&cluster, "k1");
    leader = cluster_leader(&cluster, p);
    away = (leader + 2) % CLUSTER_NODES;
    cluster_kill(&cluster, away);
    lose((leader + 1) % CLUSTER_NODES, p);
    cluster_run(&cluster, 10000);
    cr_assert_gt(stats_of(leader).undecided, 0);
    cr_assert_eq(stats_of(leader).differences, 0);
    cr_assert_eq(stats_of(leader).fenced + stats_of((leader + 1) % CLUSTER_NODES).fenced, 0);
    /* With the third there is one. */
    cluster_restart(&cluster, away);
    cluster_run(&cluster, 12000);
    cr_assert_eq(stats_sum().differences, 1);
    cr_assert_eq(stats_sum().fenced, 0);
    expect_same(p);
    cluster_stop(&cluster);
}

Test(shard_compare, a_damaged_record_that_it_meets_fences_only_its_replica)
{
    uint16_t p;
    int node;
    struct keydir_item item;

    begin();
    set_many("k", 0, 200, "value");
    p = cluster_partition(&cluster, "k1");
    node = follower_of(p);
    item = some_item(node, p);
    /* The keydir points into the middle of a record. */
    cr_assert_eq(store_apply(shard_store(cluster.shards[node]), p, &item.digest,
                             item.entry.location + 1, item.entry.size_max, false, false),
                 0);
    cluster_run(&cluster, 6000);
    cr_assert_eq(stats_sum().differences, 0);
    cr_assert_eq(stats_of(node).repaired, 1);
    expect_same(p);
    cluster_stop(&cluster);
}

Test(shard_compare, without_a_pace_nothing_is_compared)
{
    cluster_begin(&cluster);
    cluster.options.store.scrub_rate = 0;
    cluster_restart_all(&cluster);
    set_many("k", 0, 50, "value");
    lose(follower_of(cluster_partition(&cluster, "k1")), cluster_partition(&cluster, "k1"));
    cluster_run(&cluster, 5000);
    cr_assert_eq(stats_sum().compared, 0);
    cr_assert_eq(stats_sum().differences, 0);
    cluster_stop(&cluster);
}
