#include "shard_cluster.h"

#include "replication/raft.h"

#include <criterion/criterion.h>

#include <stdio.h>
#include <string.h>

#define ARGS(...) ((const char *const[]){__VA_ARGS__})
#define RELATIVE  (WIRE_SET_EXPIRY | WIRE_SET_RELATIVE)

static struct cluster cluster;

static void set_for(const char *key, const char *value, const char *ms)
{
    cr_assert_eq(cluster_do(&cluster, WIRE_OP_SET, RELATIVE, ARGS(key, value, ms), 3)->status,
                 WIRE_STATUS_OK);
}

static int64_t ask(uint8_t operation, uint8_t flags, const char *key)
{
    const struct cluster_result *result = cluster_do(&cluster, operation, flags, ARGS(key), 1);

    cr_assert_eq(result->status, WIRE_STATUS_OK);
    return result->integer;
}

static int64_t count_of(const char *key)
{
    return cluster_do(&cluster, WIRE_OP_COUNT, 0, ARGS(key), 0)->integer;
}

/* All clocks show another time by so much. */
static void turn_clocks(int64_t ms)
{
    for (int node = 0; node < CLUSTER_NODES; node++)
        cluster.skew_ms[node] += ms;
}

/* So much time passes, most of it between two duties: too little for a jump that leaders mistrust.
 */
static void pass(uint64_t ms)
{
    cluster_run(&cluster, ms - 900);
    turn_clocks(900);
}

Test(shard_expiry, a_value_is_there_until_its_deadline_and_not_behind_it)
{
    cluster_begin(&cluster);
    set_for("a", "1", "1000");
    cr_assert_leq(ask(WIRE_OP_TTL, WIRE_EXPIRE_RELATIVE, "a"), 1000);
    cr_assert_gt(ask(WIRE_OP_TTL, WIRE_EXPIRE_RELATIVE, "a"), 900);
    cr_assert_gt(ask(WIRE_OP_TTL, 0, "a"), (int64_t)CLUSTER_EPOCH_MS);
    cluster_run(&cluster, 800);
    cluster_expect(&cluster, "a", "1");
    cr_assert_eq(ask(WIRE_OP_EXISTS, 0, "a"), 1);
    cluster_run(&cluster, 300);
    cr_assert_eq(ask(WIRE_OP_EXISTS, 0, "a"), 0);
    cr_assert_eq(count_of("a"), 0, "what EXISTS says, COUNT says");
    cr_assert_eq(ask(WIRE_OP_TTL, 0, "a"), -2);
    cluster_expect(&cluster, "a", NULL);
    cluster_stop(&cluster);
}

Test(shard_expiry, every_command_takes_an_expired_value_for_absent)
{
    static const char *const keys[] = {"get",    "exists",  "strlen", "nx",     "xx",
                                       "append", "incrby",  "del",    "getdel", "getex",
                                       "expire", "persist", "set-get"};

    cluster_begin(&cluster);
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        set_for(keys[i], "5", "2000");
    pass(2000);
    cluster_expect(&cluster, "get", NULL);
    cr_assert_eq(ask(WIRE_OP_EXISTS, 0, "exists"), 0);
    cr_assert_eq(ask(WIRE_OP_STRLEN, 0, "strlen"), 0);
    cr_assert_eq(cluster_do(&cluster, WIRE_OP_SET, WIRE_SET_XX, ARGS("xx", "6"), 2)->integer, 0);
    cr_assert_eq(cluster_do(&cluster, WIRE_OP_SET, WIRE_SET_NX, ARGS("nx", "6"), 2)->integer, 1);
    cr_assert_eq(cluster_do(&cluster, WIRE_OP_APPEND, 0, ARGS("append", "6"), 2)->integer, 1);
    cr_assert_eq(cluster_do(&cluster, WIRE_OP_INCRBY, 0, ARGS("incrby", "1"), 2)->integer, 1);
    cr_assert_eq(ask(WIRE_OP_TTL, 0, "incrby"), -1, "the new value has no deadline");
    cr_assert_eq(ask(WIRE_OP_DEL, 0, "del"), 0);
    cr_assert(cluster_do(&cluster, WIRE_OP_GETDEL, 0, ARGS("getdel"), 1)->is_nil);
    cr_assert(cluster_do(&cluster, WIRE_OP_GETEX, WIRE_GETEX_PERSIST, ARGS("getex"), 1)->is_nil);
    cr_assert_eq(
        cluster_do(&cluster, WIRE_OP_EXPIRE, WIRE_EXPIRE_RELATIVE, ARGS("expire", "9999"), 2)
            ->integer,
        0);
    cr_assert_eq(ask(WIRE_OP_PERSIST, 0, "persist"), 0);
    cr_assert(cluster_do(&cluster, WIRE_OP_SET, WIRE_SET_GET, ARGS("set-get", "6"), 2)->is_nil);
    cluster_expect(&cluster, "set-get", "6");
    cluster_stop(&cluster);
}

/* Several keys in one operation, one of them twice, some of them expired. */
Test(shard_expiry, of_many_keys_only_the_expired_ones_go)
{
    cluster_begin(&cluster);
    set_for("{t}1", "1", "1000");
    set_for("{t}2", "2", "60000");
    cluster_set(&cluster, "{t}3", "3");
    set_for("{t}4", "4", "1000");
    pass(1100);
    cr_assert_eq(cluster_do(&cluster, WIRE_OP_EXISTS, 0,
                            ARGS("{t}1", "{t}2", "{t}1", "{t}3", "{t}4", "{t}5"), 6)
                     ->integer,
                 2);
    cr_assert_eq(count_of("{t}1"), 2);
    cr_assert_eq(cluster_do(&cluster, WIRE_OP_DEL, 0, ARGS("{t}1", "{t}2", "{t}4"), 3)->integer, 1);
    cluster_stop(&cluster);
}

/* Nobody is told that a value has expired before a majority knows it. */
Test(shard_expiry, an_answer_waits_for_the_commit_of_the_delete)
{
    uint16_t partition;
    uint32_t id;
    int leader;

    cluster_begin(&cluster);
    set_for("a", "1", "1000");
    partition = cluster_partition(&cluster, "a");
    leader = cluster_leader(&cluster, partition);
    cluster_run(&cluster, 500);
    cluster.cut[leader] = true;
    turn_clocks(900);
    id = cluster_send(&cluster, leader, WIRE_OP_GET, 0, ARGS("a"), 1);
    cluster_run(&cluster, 300);
    cr_assert_null(cluster_result(&cluster, id));
    cluster.cut[leader] = false;
    for (int rounds = 0; rounds < 300 && !cluster_result(&cluster, id); rounds++)
        cluster_run(&cluster, 10);
    cr_assert(cluster_result(&cluster, id));
    cluster_stop(&cluster);
}

Test(shard_expiry, an_older_value_never_shows_again)
{
    cluster_begin(&cluster);
    cluster_set(&cluster, "a", "old");
    set_for("a", "new", "1000");
    pass(1100);
    cluster_expect(&cluster, "a", NULL);
    turn_clocks(-5000);
    cluster_expect(&cluster, "a", NULL);
    cluster_restart_all(&cluster);
    cluster_expect(&cluster, "a", NULL);
    cr_assert_eq(count_of("a"), 0);
    cluster_stop(&cluster);
}

/* A leader logs the delete of a key by its time, which is returned; then all clocks go back. */
static uint64_t log_time_and_go_back(const char *key)
{
    uint64_t time_ms;

    set_for(key, "1", "1000");
    pass(1100);
    time_ms = CLUSTER_EPOCH_MS + cluster.now_ms + (uint64_t)cluster.skew_ms[0];
    cluster_expect(&cluster, key, NULL);
    turn_clocks(-10000);
    return time_ms;
}

/* A value whose deadline is that has expired for the key's leader, whatever its clock says. */
static void expect_passed(const char *key, uint64_t time_ms)
{
    char text[24];

    sprintf(text, "%llu", (unsigned long long)time_ms);
    cluster_do(&cluster, WIRE_OP_SET, WIRE_SET_EXPIRY, ARGS(key, "1", text), 3);
    cluster_expect(&cluster, key, NULL);
}

/* What was expired for one leader is so for the next, though its clock be behind. */
Test(shard_expiry, time_does_not_go_back_with_a_change_of_leader)
{
    uint64_t time_ms;
    int leader;

    cluster_begin(&cluster);
    time_ms = log_time_and_go_back("a");
    expect_passed("a", time_ms);
    leader = cluster_leader(&cluster, cluster_partition(&cluster, "a"));
    cluster_kill(&cluster, leader);
    cluster_await_leaders(&cluster);
    expect_passed("a", time_ms);
    cluster_restart(&cluster, leader);
    cluster_stop(&cluster);
}

Test(shard_expiry, logged_time_survives_restarts)
{
    uint64_t time_ms;

    cluster_begin(&cluster);
    time_ms = log_time_and_go_back("a");
    cluster_restart_all(&cluster);
    expect_passed("a", time_ms);
    cluster_stop(&cluster);
}

/* All but this one. */
static void drain_others(int node)
{
    struct wire_buffer body = {0};

    wire_put_drain(&body, true);
    for (int other = 0; other < CLUSTER_NODES; other++)
        if (other != node)
            cluster_ask(&cluster, other, 0, WIRE_DRAIN, &body);
    wire_buffer_deinit(&body);
}

/* Who was away, and gets no entries but a snapshot, leads again afterwards. */
Test(shard_expiry, logged_time_comes_with_a_snapshot)
{
    static char large[8192];
    struct shard_stats stats;
    uint64_t time_ms;
    int node;

    cluster_begin(&cluster);
    memset(large, 'x', sizeof large - 1);
    cluster.options.log_size_max = 1;
    cluster.options.retain_entries_min = 0;
    cluster_restart_all(&cluster);
    cluster_run(&cluster, 3000);
    node = ringmap_row(&cluster.map, cluster_partition(&cluster, "a"))[0] - 1;
    cluster_kill(&cluster, node);
    cluster_await_leaders(&cluster);
    time_ms = log_time_and_go_back("a");
    for (int i = 0; i < 100; i++) {
        cluster_set(&cluster, "a", large);
        cluster.result_count = 0;
    }
    cluster_run(&cluster, 2000);
    cluster_restart(&cluster, node);
    drain_others(node);
    for (int rounds = 0;
         rounds < 100 && cluster_leader(&cluster, cluster_partition(&cluster, "a")) != node;
         rounds++)
        cluster_run(&cluster, 100);
    shard_stats(cluster.shards[node], &stats);
    cr_assert_gt(stats.snapshots_installed, 0);
    cr_assert_eq(cluster_leader(&cluster, cluster_partition(&cluster, "a")), node);
    expect_passed("a", time_ms);
    cluster_stop(&cluster);
}

Test(shard_expiry, a_deadline_that_has_passed_deletes)
{
    cluster_begin(&cluster);
    cluster_set(&cluster, "a", "1");
    cr_assert_eq(cluster_do(&cluster, WIRE_OP_EXPIRE, 0, ARGS("a", "1"), 2)->integer, 1);
    cluster_expect(&cluster, "a", NULL);
    cluster_set(&cluster, "b", "1");
    cr_assert_eq(cluster_do(&cluster, WIRE_OP_GETEX, 0, ARGS("b", "1"), 2)->bytes[0], '1');
    cluster_expect(&cluster, "b", NULL);
    cr_assert_eq(
        cluster_do(&cluster, WIRE_OP_SET, WIRE_SET_EXPIRY, ARGS("c", "1", "1"), 3)->integer, 1);
    cluster_expect(&cluster, "c", NULL);
    cluster_stop(&cluster);
}

/* The first answer is kept, though the key has gone since. */
Test(shard_expiry, a_retry_gets_the_first_answer)
{
    const struct cluster_result *result;
    uint16_t partition;
    int leader;
    uint32_t id;

    cluster_begin(&cluster);
    cluster_set(&cluster, "a", "1");
    partition = cluster_partition(&cluster, "a");
    leader = cluster_leader(&cluster, partition);
    result = cluster_do(&cluster, WIRE_OP_EXPIRE, WIRE_EXPIRE_RELATIVE, ARGS("a", "500"), 2);
    cr_assert_eq(result->integer, 1);
    pass(1000);
    cluster_expect(&cluster, "a", NULL);
    id = cluster_resend(&cluster, leader, WIRE_OP_EXPIRE, WIRE_EXPIRE_RELATIVE, ARGS("a", "500"), 2,
                        cluster.sequences[partition]);
    cluster_run(&cluster, 50);
    cr_assert(cluster_result(&cluster, id));
    cr_assert_eq(cluster_result(&cluster, id)->integer, 1);
    cluster_expect(&cluster, "a", NULL);
    cluster_stop(&cluster);
}

static void await_count(const char *key, int64_t count)
{
    for (int rounds = 0; rounds < 100 && count_of(key) != count; rounds++)
        cluster_run(&cluster, 100);
    cr_assert_eq(count_of(key), count);
}

Test(shard_expiry, what_nobody_reads_goes_too)
{
    cluster_begin(&cluster);
    set_for("{t}1", "1", "1000");
    set_for("{t}2", "2", "60000");
    cluster_set(&cluster, "{t}3", "3");
    cluster_run(&cluster, 900);
    cr_assert_eq(count_of("{t}1"), 3);
    cluster_run(&cluster, 400);
    cr_assert_eq(count_of("{t}1"), 2);
    turn_clocks(60000);
    cluster_run(&cluster, 300);
    cr_assert_eq(count_of("{t}1"), 1);
    cluster_stop(&cluster);
}

/* A deadline that was moved, or taken away, or written over, ends nothing. */
Test(shard_expiry, what_has_another_deadline_since_stays)
{
    cluster_begin(&cluster);
    for (int i = 1; i <= 4; i++) {
        char key[24];

        sprintf(key, "{t}%d", i);
        set_for(key, "1", "1000");
    }
    cluster_do(&cluster, WIRE_OP_PERSIST, 0, ARGS("{t}1"), 1);
    cluster_do(&cluster, WIRE_OP_EXPIRE, WIRE_EXPIRE_RELATIVE, ARGS("{t}2", "5000"), 2);
    cluster_set(&cluster, "{t}3", "2");
    cluster_do(&cluster, WIRE_OP_APPEND, 0, ARGS("{t}4", "1"), 2);
    cluster_run(&cluster, 1500);
    cr_assert_eq(count_of("{t}1"), 3, "only the one that was appended to");
    cluster_run(&cluster, 4500);
    cr_assert_eq(count_of("{t}1"), 2);
    cluster_stop(&cluster);
}

/* More keys than are kept in mind, by leaders that have never seen them written. */
Test(shard_expiry, new_leaders_find_what_expires)
{
    enum { KEYS = 3000, BATCH = 250 };
    char keys[BATCH][24], ms[24];
    int leader;

    cluster_begin(&cluster);
    leader = cluster_leader(&cluster, cluster_partition(&cluster, "{t}"));
    for (int i = 0; i < KEYS; i += BATCH) {
        for (int k = 0; k < BATCH; k++) {
            sprintf(keys[k], "{t}%d", i + k);
            sprintf(ms, "%d", 20000 + (i + k) * 7 % KEYS);
            cluster_send(&cluster, leader, WIRE_OP_SET, RELATIVE, ARGS(keys[k], "1", ms), 3);
        }
        cluster.result_count = 0;
        cluster_run(&cluster, 50);
        cluster.result_count = 0;
    }
    cr_assert_eq(count_of("{t}"), KEYS);
    cluster_restart_all(&cluster);
    for (int node = 0; node < CLUSTER_NODES; node++) /* deadlines have to be read from disk */
        vfs_mem_set_cold(cluster.disks[node], true);
    cr_assert_eq(count_of("{t}"), KEYS);
    cluster_run(&cluster, 500);
    turn_clocks(30000);
    await_count("{t}", 0);
    cluster_restart_all(&cluster);
    cr_assert_eq(count_of("{t}"), 0);
    cluster_stop(&cluster);
}

/* Time stands still for a leader that cannot commit: nothing is lost by that. */
Test(shard_expiry, deletes_that_were_not_committed_come_again)
{
    uint16_t partition;
    int leader;

    cluster_begin(&cluster);
    set_for("a", "1", "1000");
    partition = cluster_partition(&cluster, "a");
    leader = cluster_leader(&cluster, partition);
    cluster.cut[leader] = true;
    turn_clocks(2000);
    cluster_run(&cluster, 3000);
    cluster.cut[leader] = false;
    cluster_run(&cluster, 3000);
    await_count("a", 0);
    cluster_stop(&cluster);
}

/* The clock of one node jumps: it ends nothing and sets no deadline, and hands over. When it is
 * right again, the node leads again. */
Test(shard_expiry, a_leader_whose_clock_is_ahead_hands_over)
{
    const struct cluster_result *result;
    uint16_t partition;
    uint32_t id, read;
    int node;

    cluster_begin(&cluster);
    partition = cluster_partition(&cluster, "a");
    node = cluster_leader(&cluster, partition);
    cluster_run(&cluster, 2000);
    set_for("a", "1", "9000");
    cluster.skew_ms[node] += 3600000;
    read = cluster_send(&cluster, node, WIRE_OP_GET, 0, ARGS("a"), 1);
    id = cluster_send(&cluster, node, WIRE_OP_SET, RELATIVE, ARGS("a", "2", "9000"), 3);
    cluster_run(&cluster, 50);
    cr_assert_eq(cluster_result(&cluster, id)->status, WIRE_STATUS_TRYAGAIN);
    cr_assert_eq(cluster_result(&cluster, read)->bytes[0], '1', "not expired by that clock");
    cluster.epochs[partition]++;
    cluster_run(&cluster, 2000);
    cr_assert_neq(cluster_leader(&cluster, partition), node);
    cluster_expect(&cluster, "a", "1");
    cr_assert_leq(ask(WIRE_OP_TTL, WIRE_EXPIRE_RELATIVE, "a"), 9000);
    result = cluster_do(&cluster, WIRE_OP_SET, RELATIVE, ARGS("a", "2", "500"), 3);
    cr_assert_eq(result->status, WIRE_STATUS_OK);
    cluster_run(&cluster, 5000);
    cr_assert_neq(cluster_leader(&cluster, partition), node, "and it is not sent back");
    cluster_expect(&cluster, "a", NULL);
    cluster.skew_ms[node] -= 3600000;
    cluster_run(&cluster, 4000);
    cr_assert_eq(cluster_leader(&cluster, partition), node);
    cluster_stop(&cluster);
}
