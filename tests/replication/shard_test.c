#include "shard_cluster.h"

#include "replication/raft.h"

#include <criterion/criterion.h>

#include <stdio.h>
#include <string.h>

#define ARGS(...) ((const char *const[]){__VA_ARGS__})

static struct cluster cluster;

Test(shard, a_value_written_is_read_back)
{
    cluster_begin(&cluster);
    cr_assert_eq(cluster_set(&cluster, "a", "1")->status, WIRE_STATUS_OK);
    cluster_expect(&cluster, "a", "1");
    cluster_expect(&cluster, "b", NULL);
    cluster_stop(&cluster);
}

/* The beat that confirms the read also tells the followers of the write's commit. */
Test(shard, a_read_behind_a_write_waits_for_one_round_only)
{
    uint64_t before_ms;

    cluster_begin(&cluster);
    for (int i = 0; i < 5; i++) {
        cr_assert_eq(cluster_set(&cluster, "a", "1")->status, WIRE_STATUS_OK);
        before_ms = cluster.now_ms;
        cluster_expect(&cluster, "a", "1");
        cr_assert_leq(cluster.now_ms, before_ms + 10);
    }
    cluster_stop(&cluster);
}

/* A read asks as many peers as make a majority. One that does not answer costs a heartbeat, once.
 */
Test(shard, a_read_is_answered_while_one_peer_is_silent)
{
    uint64_t before_ms;
    int leader;

    cluster_begin(&cluster);
    cr_assert_eq(cluster_set(&cluster, "a", "1")->status, WIRE_STATUS_OK);
    leader = cluster_leader(&cluster, cluster_partition(&cluster, "a"));
    for (int silent = 0; silent < CLUSTER_NODES; silent++) {
        if (silent == leader)
            continue;
        cluster.cut[silent] = true;
        before_ms = cluster.now_ms;
        cluster_expect(&cluster, "a", "1");
        cr_assert_leq(cluster.now_ms, before_ms + 120);
        cluster_run(&cluster, 250); /* two heartbeats: it is known to be silent */
        before_ms = cluster.now_ms;
        cluster_expect(&cluster, "a", "1");
        cr_assert_leq(cluster.now_ms, before_ms + 10);
        cluster.cut[silent] = false;
        cluster_run(&cluster, 2000);
    }
    cluster_stop(&cluster);
}

Test(shard, preferred_members_lead_after_founding)
{
    cluster_begin(&cluster);
    for (uint16_t p = 0; p < CLUSTER_PARTITIONS; p++)
        cr_assert_eq(cluster_leader(&cluster, p) + 1, ringmap_row(&cluster.map, p)[0]);
    cluster_stop(&cluster);
}

Test(shard, counters_conditions_and_deletes)
{
    const struct cluster_result *result;

    cluster_begin(&cluster);
    result = cluster_do(&cluster, WIRE_OP_INCRBY, 0, ARGS("n", "5"), 2);
    cr_assert_eq(result->integer, 5);
    result = cluster_do(&cluster, WIRE_OP_INCRBY, 0, ARGS("n", "-7"), 2);
    cr_assert_eq(result->integer, -2);
    result = cluster_do(&cluster, WIRE_OP_SET, WIRE_SET_NX, ARGS("n", "x"), 2);
    cr_assert_eq(result->integer, 0);
    result = cluster_do(&cluster, WIRE_OP_APPEND, 0, ARGS("t", "abc"), 2);
    cr_assert_eq(result->integer, 3);
    result = cluster_do(&cluster, WIRE_OP_INCRBY, 0, ARGS("t", "1"), 2);
    cr_assert_eq(result->status, WIRE_STATUS_NOT_INTEGER);
    result = cluster_do(&cluster, WIRE_OP_DEL, 0, ARGS("t"), 1);
    cr_assert_eq(result->integer, 1);
    cluster_expect(&cluster, "t", NULL);
    cluster_stop(&cluster);
}

Test(shard, pipelined_operations_see_each_other)
{
    uint32_t ids[20];
    int leader;

    cluster_begin(&cluster);
    leader = cluster_leader(&cluster, cluster_partition(&cluster, "n"));
    for (int i = 0; i < 20; i++)
        ids[i] = cluster_send(&cluster, leader, WIRE_OP_INCRBY, 0, ARGS("n", "1"), 2);
    cluster_run(&cluster, 100);
    for (int i = 0; i < 20; i++) {
        const struct cluster_result *result = cluster_result(&cluster, ids[i]);

        cr_assert(result);
        cr_assert_eq(result->integer, i + 1);
    }
    cluster_stop(&cluster);
}

/* Also what was sent just before on the same lane is counted. */
Test(shard, a_count_sees_what_is_pending)
{
    static const int expected[] = {1, 1, 0};
    uint32_t ids[3];
    int leader;

    cluster_begin(&cluster);
    leader = cluster_leader(&cluster, cluster_partition(&cluster, "a"));
    for (int i = 0; i < 3; i++) {
        if (i < 2)
            cluster_send(&cluster, leader, WIRE_OP_SET, 0, ARGS("a", "1"), 2);
        else
            cluster_send(&cluster, leader, WIRE_OP_DEL, 0, ARGS("a"), 1);
        ids[i] = cluster_send(&cluster, leader, WIRE_OP_COUNT, 0, ARGS("a"), 0);
    }
    cluster_run(&cluster, 50);
    for (int i = 0; i < 3; i++) {
        cr_assert(cluster_result(&cluster, ids[i]));
        cr_assert_eq(cluster_result(&cluster, ids[i])->integer, expected[i]);
    }
    cluster_stop(&cluster);
}

Test(shard, a_retry_gets_the_first_answer_and_is_not_applied_again)
{
    const struct cluster_result *result;
    uint32_t id;
    int leader;

    cluster_begin(&cluster);
    leader = cluster_leader(&cluster, cluster_partition(&cluster, "n"));
    cluster_send(&cluster, leader, WIRE_OP_INCRBY, 0, ARGS("n", "1"), 2);
    cluster_run(&cluster, 50);
    id = cluster_resend(&cluster, leader, WIRE_OP_INCRBY, 0, ARGS("n", "1"), 2, 1);
    cluster_run(&cluster, 50);
    result = cluster_result(&cluster, id);
    cr_assert(result);
    cr_assert_eq(result->integer, 1);
    cluster_expect(&cluster, "n", "1");
    cluster_stop(&cluster);
}

Test(shard, a_retry_at_the_next_leader_is_not_applied_again)
{
    const struct cluster_result *result;
    uint32_t id;
    int leader;

    cluster_begin(&cluster);
    leader = cluster_leader(&cluster, cluster_partition(&cluster, "n"));
    cluster_send(&cluster, leader, WIRE_OP_INCRBY, 0, ARGS("n", "1"), 2);
    cluster_run(&cluster, 50);
    cluster_kill(&cluster, leader);
    cluster_await_leaders(&cluster);
    leader = cluster_leader(&cluster, cluster_partition(&cluster, "n"));
    id = cluster_resend(&cluster, leader, WIRE_OP_INCRBY, 0, ARGS("n", "1"), 2, 1);
    cluster_run(&cluster, 50);
    result = cluster_result(&cluster, id);
    cr_assert(result);
    cr_assert_eq(result->integer, 1);
    cluster_expect(&cluster, "n", "1");
    cluster_stop(&cluster);
}

/* The answer of a retry that changed nothing must bind the attempt before it, which may still come:
 * else that would take effect behind the answer. */
Test(shard, an_attempt_behind_an_idle_retry_has_no_effect)
{
    const struct cluster_result *result;
    uint32_t id;
    int leader;

    cluster_begin(&cluster);
    leader = cluster_leader(&cluster, cluster_partition(&cluster, "k"));
    cluster.retry = true;
    id = cluster_resend(&cluster, leader, WIRE_OP_DEL, 0, ARGS("k"), 1, 1);
    cluster_run(&cluster, 50);
    cr_assert(cluster_result(&cluster, id));
    cr_assert_eq(cluster_result(&cluster, id)->integer, 0);
    cluster.retry = false;
    cr_assert_eq(cluster_resend(&cluster, leader, WIRE_OP_SET, 0, ARGS("k", "v"), 2, 2), id + 1);
    cluster_run(&cluster, 50);
    id = cluster_resend(&cluster, leader, WIRE_OP_DEL, 0, ARGS("k"), 1, 1);
    cluster_run(&cluster, 50);
    result = cluster_result(&cluster, id);
    cr_assert(result);
    cr_assert_eq(result->integer, 0, "the first answer again");
    cluster_expect(&cluster, "k", "v");
    cluster_stop(&cluster);
}

Test(shard, an_error_of_a_retry_is_unknown)
{
    uint32_t id;
    int leader;

    cluster_begin(&cluster);
    cr_assert_eq(cluster_set(&cluster, "k", "text")->status, WIRE_STATUS_OK);
    leader = cluster_leader(&cluster, cluster_partition(&cluster, "k"));
    cluster.retry = true;
    id = cluster_send(&cluster, leader, WIRE_OP_INCRBY, 0, ARGS("k", "1"), 2);
    cluster_run(&cluster, 50);
    cr_assert(cluster_result(&cluster, id));
    cr_assert_eq(cluster_result(&cluster, id)->status, WIRE_STATUS_UNKNOWN);
    cluster_stop(&cluster);
}

Test(shard, a_follower_says_who_leads)
{
    const struct cluster_result *result;
    int leader;
    uint32_t id;

    cluster_begin(&cluster);
    leader = cluster_leader(&cluster, cluster_partition(&cluster, "a"));
    id = cluster_send(&cluster, (leader + 1) % CLUSTER_NODES, WIRE_OP_GET, 0, ARGS("a"), 1);
    cluster_run(&cluster, 20);
    result = cluster_result(&cluster, id);
    cr_assert(result);
    cr_assert_eq(result->status, WIRE_STATUS_NOT_LEADER);
    cr_assert_eq(result->integer, leader + 1);
    cluster_stop(&cluster);
}

/* A router's map may be older than the node's. */
Test(shard, a_member_without_a_replica_names_who_should_lead)
{
    const char *const args[] = {"a"};
    const struct cluster_result *result;
    uint16_t partition;
    int node;

    cluster_begin(&cluster);
    node = cluster_map_join(&cluster, true);
    cluster_map_tell(&cluster);
    cluster_run(&cluster, 100);
    partition = cluster_partition(&cluster, "a");
    cluster_send(&cluster, node, WIRE_OP_GET, 0, args, 1);
    cluster_run(&cluster, 10);
    result = cluster_result(&cluster, cluster.next_id);
    cr_assert_eq(result->status, WIRE_STATUS_NOT_LEADER);
    cr_assert_eq(result->integer, ringmap_row(&cluster.map, partition)[0]);
    cluster_stop(&cluster);
}

Test(shard, a_refused_lane_stays_closed_until_its_next_epoch)
{
    uint16_t partition;
    int leader, follower;
    uint32_t id;

    cluster_begin(&cluster);
    partition = cluster_partition(&cluster, "a");
    leader = cluster_leader(&cluster, partition);
    follower = (leader + 1) % CLUSTER_NODES;
    cluster_send(&cluster, follower, WIRE_OP_SET, 0, ARGS("a", "1"), 2);
    cluster_run(&cluster, 20);
    cluster_kill(&cluster, leader);
    cluster_await_leaders(&cluster);
    leader = cluster_leader(&cluster, partition);
    id = cluster_send(&cluster, leader, WIRE_OP_GET, 0, ARGS("a"), 1);
    cluster_run(&cluster, 50);
    if (leader == follower)
        cr_assert_eq(cluster_result(&cluster, id)->status, WIRE_STATUS_TRYAGAIN);
    cluster.epochs[partition]++;
    cluster_expect(&cluster, "a", NULL);
    cluster_stop(&cluster);
}

Test(shard, everything_survives_the_restart_of_all)
{
    char key[16], value[32];

    cluster_begin(&cluster);
    for (int i = 0; i < 100; i++) {
        snprintf(key, sizeof key, "key-%d", i);
        snprintf(value, sizeof value, "value-%d", i);
        cr_assert_eq(cluster_set(&cluster, key, value)->status, WIRE_STATUS_OK);
    }
    for (int node = 0; node < CLUSTER_NODES; node++)
        cluster_kill(&cluster, node);
    for (int node = 0; node < CLUSTER_NODES; node++)
        cluster_restart(&cluster, node);
    cluster_await_leaders(&cluster);
    for (int i = 0; i < 100; i++) {
        snprintf(key, sizeof key, "key-%d", i);
        snprintf(value, sizeof value, "value-%d", i);
        cluster.epochs[cluster_partition(&cluster, key)]++;
        cluster_expect(&cluster, key, value);
    }
    cluster_stop(&cluster);
}

/* Enough overwrites to go through many segments, with one node away: it catches up from its peers'
 * journals, old segments go, and replicas end up equal. */
Test(shard, a_node_that_was_away_catches_up)
{
    char key[16], value[64];
    unsigned led = 0;

    cluster_begin(&cluster);
    cluster_kill(&cluster, 2);
    cluster_await_leaders(&cluster);
    for (int i = 0; i < 400; i++) {
        snprintf(key, sizeof key, "key-%d", i % 7);
        snprintf(value, sizeof value, "%060d", i);
        cr_assert_eq(cluster_set(&cluster, key, value)->status, WIRE_STATUS_OK);
        if (cluster.result_count > CLUSTER_RESULTS / 2)
            cluster.result_count = 0;
    }
    cluster_restart(&cluster, 2);
    cluster_await_leaders(&cluster);
    cluster_run(&cluster, 5000);
    for (uint16_t p = 0; p < CLUSTER_PARTITIONS; p++) {
        uint64_t first, other;

        cr_assert_eq(shard_raft(cluster.shards[0], p)->applied,
                     shard_raft(cluster.shards[2], p)->applied);
        cr_assert_eq(store_digest(shard_store(cluster.shards[0]), p, &first), 0);
        cr_assert_eq(store_digest(shard_store(cluster.shards[2]), p, &other), 0);
        cr_assert_eq(first, other);
        led += cluster_leader(&cluster, p) == 2;
    }
    cr_assert_gt(led, 0);
    cluster_stop(&cluster);
}

Test(shard, draining_hands_over_every_leadership)
{
    struct shard_event drain = {.kind = SHARD_EVENT_DRAIN, .now_ms = 0};

    cluster_begin(&cluster);
    drain.now_ms = cluster.now_ms;
    shard_step(cluster.shards[0], &drain);
    cluster_run(&cluster, 100);
    for (uint16_t p = 0; p < CLUSTER_PARTITIONS; p++)
        cr_assert_neq(cluster_leader(&cluster, p), 0);
    cr_assert(cluster.drained[0]);
    cluster_stop(&cluster);
}

Test(shard, a_leader_without_a_majority_answers_no_read)
{
    uint32_t id;
    int leader;

    cluster_begin(&cluster);
    leader = cluster_leader(&cluster, cluster_partition(&cluster, "a"));
    cluster.cut[leader] = true;
    id = cluster_send(&cluster, leader, WIRE_OP_GET, 0, ARGS("a"), 1);
    cluster_run(&cluster, 300);
    cr_assert_null(cluster_result(&cluster, id));
    cluster_run(&cluster, 3000);
    cr_assert(cluster_result(&cluster, id));
    cr_assert_eq(cluster_result(&cluster, id)->status, WIRE_STATUS_NOT_LEADER);
    cluster_stop(&cluster);
}

Test(shard, a_write_whose_leader_fell_is_lost_not_refused)
{
    uint32_t id;
    int leader;

    cluster_begin(&cluster);
    leader = cluster_leader(&cluster, cluster_partition(&cluster, "a"));
    cluster.cut[leader] = true;
    id = cluster_send(&cluster, leader, WIRE_OP_SET, 0, ARGS("a", "1"), 2);
    cluster_run(&cluster, 3000);
    cr_assert(cluster_result(&cluster, id));
    cr_assert_eq(cluster_result(&cluster, id)->status, WIRE_STATUS_LOST);
    cluster_stop(&cluster);
}

static struct cache_stats cache_of(const char *key)
{
    int leader = cluster_leader(&cluster, cluster_partition(&cluster, key));
    struct store_stats stats;

    store_stats(shard_store(cluster.shards[leader]), &stats);
    return stats.cache;
}

/* After a restart nothing lies in memory: the first read goes to the file, the second does not. */
Test(shard, a_value_read_twice_comes_from_the_cache_until_it_is_written)
{
    const char *names[] = {"{a}1", "{a}2"};
    const struct cluster_result *result;
    uint64_t hits;

    cluster_begin(&cluster);
    cluster_set(&cluster, names[0], "one");
    cluster_set(&cluster, names[1], "two");
    for (int node = 0; node < CLUSTER_NODES; node++)
        cluster_kill(&cluster, node);
    for (int node = 0; node < CLUSTER_NODES; node++)
        cluster_restart(&cluster, node);
    cluster_await_leaders(&cluster);
    cluster.epochs[cluster_partition(&cluster, names[0])]++;
    cluster_expect(&cluster, names[0], "one");
    cr_assert_eq(cache_of(names[0]).entries, 1);
    hits = cache_of(names[0]).hits;
    cluster_expect(&cluster, names[0], "one");
    result = cluster_do(&cluster, WIRE_OP_APPEND, 0, ARGS(names[0], "!"), 2);
    cr_assert_eq(result->integer, 4);
    cr_assert_eq(cache_of(names[0]).hits, hits + 2);
    cr_assert_eq(cache_of(names[0]).entries, 0, "what is written over must go");
    cluster_expect(&cluster, names[0], "one!");
    cluster_expect(&cluster, names[1], "two");
    cluster_do(&cluster, WIRE_OP_DEL, 0, ARGS(names[1]), 1);
    cluster_expect(&cluster, names[1], NULL);
    cluster_stop(&cluster);
}

/* Nothing is in the page cache: the first read waits for the disk, and what it brought is kept. */
Test(shard, what_a_read_job_brought_is_kept)
{
    cluster_begin(&cluster);
    cluster_set(&cluster, "a", "1");
    for (int node = 0; node < CLUSTER_NODES; node++)
        cluster_kill(&cluster, node);
    for (int node = 0; node < CLUSTER_NODES; node++)
        cluster_restart(&cluster, node);
    cluster_await_leaders(&cluster);
    cluster.epochs[cluster_partition(&cluster, "a")]++;
    for (int node = 0; node < CLUSTER_NODES; node++)
        vfs_mem_set_cold(cluster.disks[node], true);
    cluster_expect(&cluster, "a", "1");
    cr_assert_eq(cache_of("a").entries, 1);
    cluster_expect(&cluster, "a", "1");
    cr_assert_eq(cache_of("a").hits, 1);
    cluster_stop(&cluster);
}

/* In the partition's log on that node. */
static uint32_t compressed_records(int node, uint16_t partition)
{
    struct store *store = shard_store(cluster.shards[node]);
    const struct raft_log *log = &shard_raft(cluster.shards[node], partition)->log;
    uint32_t count = 0;

    for (uint64_t index = log->first; index <= log->last; index++) {
        const struct raft_log_entry *entry = raft_log_at(log, index);
        struct record record;
        const uint8_t *bytes;
        size_t size;

        cr_assert_eq(store_peek(store, entry->location, entry->size, &bytes, &size), 0);
        cr_assert_eq(record_decode(bytes, size, &record), 0);
        count += (record.flags & RECORD_FLAG_COMPRESSED) != 0;
    }
    return count;
}

/* A leader that compresses and followers that do not hold the same content, and whoever leads
 * next reads it. */
Test(shard, compressed_values_are_read_by_leaders_that_do_not_compress)
{
    char text[64], key[16];
    uint64_t first, other;
    uint32_t compressed = 0;

    memset(text, 'x', sizeof text - 4);
    text[sizeof text - 4] = 0;
    cluster_begin(&cluster);
    for (int i = 0; i < 20; i++) {
        snprintf(key, sizeof key, "key-%d", i);
        cluster_set(&cluster, key, text);
    }
    for (uint16_t p = 0; p < CLUSTER_PARTITIONS; p++)
        compressed += compressed_records(1, p);
    cr_assert_gt(compressed, 0);
    cr_assert_lt(compressed, 20);
    cluster_kill(&cluster, 0);
    cluster_await_leaders(&cluster);
    for (int i = 0; i < 20; i++) {
        snprintf(key, sizeof key, "key-%d", i);
        cluster.epochs[cluster_partition(&cluster, key)]++;
        cluster_expect(&cluster, key, text);
    }
    for (uint16_t p = 0; p < CLUSTER_PARTITIONS; p++) {
        cr_assert_eq(store_digest(shard_store(cluster.shards[1]), p, &first), 0);
        cr_assert_eq(store_digest(shard_store(cluster.shards[2]), p, &other), 0);
        cr_assert_eq(first, other);
    }
    cluster_stop(&cluster);
}
