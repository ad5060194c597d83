#include "shard_cluster.h"

#include "replication/raft.h"

#include <criterion/criterion.h>

#include <stdio.h>
#include <string.h>

#define META 0xFFFFu

static struct cluster cluster;

/* A key of the partition. */
static const char *key_of(uint16_t partition)
{
    static char keys[CLUSTER_PARTITIONS][16];

    for (unsigned i = 0; keys[partition][0] == '\0'; i++) {
        char key[16];

        snprintf(key, sizeof key, "key%u", i);
        if (cluster_partition(&cluster, key) == partition)
            memcpy(keys[partition], key, sizeof key);
    }
    return keys[partition];
}

static unsigned led_by(int node)
{
    unsigned count = cluster_leader(&cluster, META) == node;

    for (uint16_t p = 0; p < CLUSTER_PARTITIONS; p++)
        count += cluster_leader(&cluster, p) == node;
    return count;
}

/* One write each 10 ms, to the partitions in turn; what is refused is not repeated. */
static void write_for(uint64_t ms, const uint16_t *partitions, unsigned count)
{
    for (uint64_t i = 0; i < ms / 10; i++) {
        uint16_t partition = partitions[i % count];
        int leader = cluster_leader(&cluster, partition);

        if (leader >= 0)
            cluster_send(&cluster, leader, WIRE_OP_SET, 0,
                         (const char *const[]){key_of(partition), "value"}, 2);
        cluster_run(&cluster, 10);
        cluster.result_count = 0;
    }
}

static void top(int node, uint32_t sample_ms)
{
    struct wire_buffer body = {0};

    wire_put_top(&body, sample_ms);
    cluster_ask(&cluster, node, 0, WIRE_TOP, &body);
    wire_buffer_deinit(&body);
}

/* Three partitions that one member prefers to lead have all the load. */
Test(shard_load, what_one_member_leads_is_spread_and_stays)
{
    static const uint16_t hot[] = {0, 3, 6};
    int leaders[3];

    cluster_begin(&cluster);
    for (unsigned i = 0; i < 3; i++)
        cr_assert_eq(cluster_leader(&cluster, hot[i]), 0);
    write_for(40000, hot, 3);
    for (unsigned i = 0; i < 3; i++)
        leaders[i] = cluster_leader(&cluster, hot[i]);
    cr_assert(leaders[0] != leaders[1] && leaders[1] != leaders[2] && leaders[0] != leaders[2],
              "%d %d %d", leaders[0], leaders[1], leaders[2]);
    for (unsigned n = 0; n < 100; n++) {
        write_for(1000, hot, 3);
        for (unsigned i = 0; i < 3; i++)
            cr_assert_eq(cluster_leader(&cluster, hot[i]), leaders[i], "it flaps");
    }
    cluster_stop(&cluster);
}

Test(shard_load, leaders_go_home_when_their_member_is_back)
{
    cluster_begin(&cluster);
    cluster_kill(&cluster, 1);
    cluster_run(&cluster, 5000);
    cr_assert_eq(led_by(1), 0);
    cluster_restart(&cluster, 1);
    cluster_run(&cluster, 6000);
    for (uint16_t p = 0; p < CLUSTER_PARTITIONS; p++)
        cr_assert_eq(cluster_leader(&cluster, p), p % CLUSTER_NODES);
    cluster_stop(&cluster);
}

Test(shard_load, a_drained_member_leads_nothing_until_it_is_told_otherwise)
{
    cluster_begin(&cluster);
    cr_assert_eq(cluster_leader(&cluster, META), 0, "it has to give that up, too");
    cluster_run(&cluster, 3000);
    cluster_drain(&cluster, 0, true);
    cr_assert_eq(cluster.drain_leaders, 4);
    cluster_run(&cluster, 2000);
    cr_assert_eq(led_by(0), 0);
    cluster_drain(&cluster, 0, true);
    cr_assert_eq(cluster.drain_leaders, 0);
    cluster_run(&cluster, 20000);
    cr_assert_eq(led_by(0), 0);
    top(0, 0);
    cr_assert(cluster.top.drained && !cluster.top.may_lead && cluster.top.partition_count == 0);
    cluster_drain(&cluster, 0, false);
    cluster_run(&cluster, 3000);
    for (uint16_t p = 0; p < CLUSTER_PARTITIONS; p++)
        cr_assert_eq(cluster_leader(&cluster, p), p % CLUSTER_NODES);
    top(0, 0);
    cr_assert(!cluster.top.drained && cluster.top.may_lead && cluster.top.partition_count == 3);
    cluster_stop(&cluster);
}

/* All of them are where a leader would have to go: what is asked for must not be done at any price.
 */
Test(shard_load, when_all_are_drained_leaders_stay)
{
    cluster_begin(&cluster);
    cluster_run(&cluster, 3000);
    for (int node = 0; node < CLUSTER_NODES; node++)
        cluster_drain(&cluster, node, true);
    cluster_run(&cluster, 5000);
    cr_assert_eq(led_by(0) + led_by(1) + led_by(2), CLUSTER_PARTITIONS + 1);
    for (uint16_t p = 0; p < CLUSTER_PARTITIONS; p++)
        cr_assert_eq(cluster_set(&cluster, key_of(p), "1")->status, WIRE_STATUS_OK);
    cluster_stop(&cluster);
}

static const uint16_t all[] = {0, 1, 2, 3, 4, 5, 6, 7};

/* After how many times 100 ms of the cluster's time it leads nothing. */
static unsigned turns_slow(int node, unsigned after_ms)
{
    unsigned steps = 0;

    cluster_begin(&cluster);
    for (int i = 0; i < CLUSTER_NODES; i++)
        cluster.sync_us[i] = 1000;
    write_for(after_ms, all, 8);
    cr_assert_gt(led_by(node), 0);
    cluster.sync_us[node] = 300000;
    while (led_by(node) > 0) {
        write_for(100, all, 8);
        cr_assert_leq(++steps, 20, "two seconds of the cluster's time");
    }
    return steps;
}

/* At worst the first write that takes so long has not taken 100 ms when it is asked for: 400 ms
 * until it is, 100 ms until that is judged, and 900 ms more. What is left of two seconds is for the
 * machine. */
Test(shard_load, whenever_a_disk_turns_slow_that_is_noticed_in_time, .timeout = 120)
{
    for (int node = 0; node < 2; node++)
        for (unsigned after_ms = 5000; after_ms < 5500; after_ms += 50) {
            unsigned steps = turns_slow(node, after_ms);

            cr_assert_leq(steps, 14, "%u00 ms, node %d after %u ms", steps, node, after_ms);
            cluster_stop(&cluster);
        }
}

static void slow_disk(int node)
{
    unsigned steps = turns_slow(node, 5000);

    for (steps = 0; steps < 100; steps++) {
        top(node, 0);
        cr_assert(cluster.top.slow, "said for %u ms only", steps * 100);
        write_for(100, all, 8);
        cr_assert_eq(led_by(node), 0);
    }
    cr_assert_geq(cluster.top.sync_us, 300000);
    cluster.sync_us[node] = 1000;
    write_for(20000, all, 8);
    cr_assert_eq(led_by(node), 0, "a moment is no evidence");
    write_for(20000, all, 8);
    cr_assert_gt(led_by(node), 0);
    top(node, 0);
    cr_assert_not(cluster.top.slow);
    cluster_stop(&cluster);
}

Test(shard_load, a_member_whose_disk_is_slow_leads_nothing)
{
    slow_disk(1);
}

Test(shard_load, nor_does_the_one_that_judges)
{
    slow_disk(0);
}

Test(shard_load, top_names_what_is_led_and_the_keys_that_are_asked_for)
{
    cluster_begin(&cluster);
    top(0, 0);
    cr_assert_eq(cluster.top.partition_count, 3);
    cr_assert_eq(cluster.top_keys, 0);
    top(0, 3000);
    cr_assert_eq(cluster.top.sample_ms, 3000);
    for (unsigned i = 0; i < 9; i++)
        cluster_set(&cluster, key_of(i % 3 == 0 ? 6 : 0), "value");
    for (unsigned i = 0; i < 2; i++)
        cluster_expect(&cluster, key_of(0), "value");
    cluster_set(&cluster, key_of(1), "it is led elsewhere");
    top(0, 0);
    cr_assert_eq(cluster.top_keys, 2);
    cr_assert_eq(cluster.top.seen, 11);
    cr_assert_str_eq(cluster.top_key, key_of(0));
    cluster_run(&cluster, 3000);
    cluster_set(&cluster, key_of(3), "too late to be counted");
    top(0, 0);
    cr_assert(cluster.top_keys == 2 && cluster.top.seen == 11 && cluster.top.sample_ms == 0);
    cluster_run(&cluster, 31000);
    top(0, 0);
    cr_assert(cluster.top_keys == 0 && cluster.top.seen == 0, "the memory is given back");
    cluster_stop(&cluster);
}

static void say(int node, uint16_t member, uint32_t term, uint16_t partition, uint16_t to)
{
    struct wire_buffer body = {0};

    wire_put_balance(&body, &(struct wire_balance){.term = term, .ask = true});
    wire_put_wish(&body, &(struct wire_wish){partition, to});
    cluster_ask(&cluster, node, member, WIRE_BALANCE, &body);
    wire_buffer_deinit(&body);
}

/* The first partition that the node leads. */
static uint16_t first_of(int node)
{
    for (uint16_t p = 0; p < CLUSTER_PARTITIONS; p++)
        if (cluster_leader(&cluster, p) == node)
            return p;
    cr_assert_fail("node %d leads nothing", node);
    return 0;
}

static uint64_t digest(int node)
{
    struct shard_stats stats;

    shard_stats(cluster.shards[node], &stats);
    return stats.leaders_digest;
}

/* Asks the node what it leads: that is what it does lead. */
static void check_leaders(int node)
{
    cluster_ask(&cluster, node, 0, WIRE_LEADERS_GET, &(struct wire_buffer){0});
    for (uint16_t p = 0; p < CLUSTER_PARTITIONS; p++)
        cr_assert_eq(cluster.led[p] != 0, cluster_leader(&cluster, p) == node, "%u", p);
}

Test(shard_load, who_asks_is_told_what_is_led_and_a_digest_tells_that_it_is_another)
{
    uint64_t before, away;
    uint32_t term;

    cluster_begin(&cluster);
    cluster_run(&cluster, 3000);
    before = digest(0);
    cr_assert_neq(before, 0);
    check_leaders(0);
    term = cluster.led[0];
    cr_assert_neq(term, 0);
    cluster_run(&cluster, 5000);
    cr_assert_eq(digest(0), before, "nothing has changed");
    cluster_drain(&cluster, 0, true);
    cluster_run(&cluster, 2000);
    cr_assert_eq(digest(0), 0);
    check_leaders(0);
    away = digest(1);
    check_leaders(1);
    cluster_drain(&cluster, 0, false);
    cluster_run(&cluster, 3000);
    check_leaders(0);
    cr_assert_gt(cluster.led[0], term);
    cr_assert_neq(digest(0), before, "the same, anew");
    cr_assert_neq(digest(1), away);
    cluster_stop(&cluster);
}

/* Requests and answers; what gossip tells of the node. */
Test(shard_load, bytes_of_clients_are_counted_where_they_are_answered)
{
    char value[2001] = {0};
    struct shard_stats before, after;
    int leader;

    memset(value, 'v', sizeof value - 1);
    cluster_begin(&cluster);
    leader = cluster_leader(&cluster, 0);
    shard_stats(cluster.shards[leader], &before);
    cluster_send(&cluster, leader, WIRE_OP_SET, 0, (const char *const[]){key_of(0), value}, 2);
    cluster_run(&cluster, 500);
    cluster_send(&cluster, leader, WIRE_OP_STRLEN, 0, (const char *const[]){key_of(0)}, 1);
    cluster_run(&cluster, 500);
    shard_stats(cluster.shards[leader], &after);
    cr_assert_eq(after.operations - before.operations, 2);
    cr_assert_geq(after.operation_bytes - before.operation_bytes, 2000);
    cr_assert_leq(after.operation_bytes - before.operation_bytes, 2400);
    for (int node = 0; node < CLUSTER_NODES; node++) {
        shard_stats(cluster.shards[node], &after);
        cr_assert(node == leader || after.operation_bytes == 0);
    }
    cluster_stop(&cluster);
}

Test(shard_load, a_wish_that_cannot_be_is_passed_over)
{
    uint16_t own, others;

    cluster_begin(&cluster);
    cluster_run(&cluster, 3000);
    own = first_of(0);
    others = first_of(1);
    say(0, 2, 1000, own, 1);      /* to itself */
    say(0, 2, 1000, others, 3);   /* of one that it does not lead */
    say(0, 2, 1000, own, 4);      /* to nobody */
    say(0, 2, 1000, own, 0xFFFF); /* likewise */
    say(0, 2, 1000, 4000, 2);     /* of none */
    say(0, 2, 999, own, 2);       /* from one that was deposed */
    say(0, 0, 1001, own, 2);      /* from an admin */
    cluster_run(&cluster, 100);
    cr_assert(first_of(0) == own && first_of(1) == others);
    say(0, 2, 1000, own, 2);
    cluster_run(&cluster, 100);
    cr_assert_eq(cluster_leader(&cluster, own), 1);
    cluster_kill(&cluster, 2);
    cluster_run(&cluster, 100);
    say(1, 1, 1000, own, 3); /* to one that is away */
    cr_assert_eq(cluster_set(&cluster, key_of(own), "1")->status, WIRE_STATUS_OK);
    cluster_stop(&cluster);
}

/* Load that nobody asked for, of groups that are not, from members that are not. */
Test(shard_load, garbage_changes_nothing)
{
    static const uint8_t bytes[] = {0x93, 0x01, 0xc3, 0xff, 0x92};
    struct wire_buffer garbage = {.data = (uint8_t *)bytes, .size = sizeof bytes};
    struct wire_buffer body = {0};

    cluster_begin(&cluster);
    cluster_run(&cluster, 3000);
    for (uint8_t node = 0; node < CLUSTER_NODES; node++) {
        static const uint8_t types[] = {WIRE_BALANCE, WIRE_LOAD, WIRE_TOP, WIRE_DRAIN};

        for (unsigned i = 0; i < sizeof types; i++) {
            cluster_ask(&cluster, node, 2, types[i], &garbage);
            cluster_ask(&cluster, node, 0, types[i], &garbage);
        }
        for (uint32_t term = 0; term < 8; term++) {
            wire_buffer_clear(&body);
            wire_put_load(&body, &(struct wire_load){.term = term, .syncs = 1});
            for (unsigned p = 1; p < 0x10000; p += 0x0FFF)
                wire_put_load_partition(&body,
                                        &(struct wire_load_partition){.partition = (uint16_t)p,
                                                                      .term = UINT32_MAX,
                                                                      .operations = UINT32_MAX,
                                                                      .bytes = UINT64_MAX,
                                                                      .voter_count = 2,
                                                                      .voters = {9, 0xFFFF}});
            cluster_ask(&cluster, node, 2, WIRE_LOAD, &body);
        }
    }
    wire_buffer_deinit(&body);
    cluster_run(&cluster, 3000);
    cr_assert_eq(led_by(0) + led_by(1) + led_by(2), CLUSTER_PARTITIONS + 1);
    cluster_drain(&cluster, 1, true);
    cluster_run(&cluster, 2000);
    cr_assert_eq(led_by(1), 0, "what was made up is forgotten");
    cluster_stop(&cluster);
}
