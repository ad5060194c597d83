#include "shard_cluster.h"

#include "replication/raft.h"

#include <criterion/criterion.h>

#include <stdio.h>
#include <string.h>

#define ARGS(...) ((const char *const[]){__VA_ARGS__})

static struct cluster cluster;

static const struct cluster_result *set(const char *key, const char *value)
{
    return cluster_do(&cluster, WIRE_OP_SET, 0, ARGS(key, value), 2);
}

static void expect(const char *key, const char *value)
{
    const struct cluster_result *result = cluster_do(&cluster, WIRE_OP_GET, 0, ARGS(key), 1);

    cr_assert_eq(result->status, WIRE_STATUS_OK);
    if (!value) {
        cr_assert(result->is_nil);
        return;
    }
    cr_assert_eq(result->size, strlen(value));
    cr_assert_eq(memcmp(result->bytes, value, result->size), 0);
}

static void start(void)
{
    cluster_start(&cluster);
    cluster_await_leaders(&cluster);
}

Test(shard, a_value_written_is_read_back)
{
    start();
    cr_assert_eq(set("a", "1")->status, WIRE_STATUS_OK);
    expect("a", "1");
    expect("b", NULL);
    cluster_stop(&cluster);
}

/* The beat that confirms the read also tells the followers of the write's commit. */
Test(shard, a_read_behind_a_write_waits_for_one_round_only)
{
    uint64_t before_ms;

    start();
    for (int i = 0; i < 5; i++) {
        cr_assert_eq(set("a", "1")->status, WIRE_STATUS_OK);
        before_ms = cluster.now_ms;
        expect("a", "1");
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

    start();
    cr_assert_eq(set("a", "1")->status, WIRE_STATUS_OK);
    leader = cluster_leader(&cluster, cluster_partition(&cluster, "a"));
    for (int silent = 0; silent < CLUSTER_NODES; silent++) {
        if (silent == leader)
            continue;
        cluster.cut[silent] = true;
        before_ms = cluster.now_ms;
        expect("a", "1");
        cr_assert_leq(cluster.now_ms, before_ms + 120);
        cluster_run(&cluster, 250); /* two heartbeats: it is known to be silent */
        before_ms = cluster.now_ms;
        expect("a", "1");
        cr_assert_leq(cluster.now_ms, before_ms + 10);
        cluster.cut[silent] = false;
        cluster_run(&cluster, 2000);
    }
    cluster_stop(&cluster);
}

Test(shard, preferred_members_lead_after_founding)
{
    start();
    for (uint16_t p = 0; p < CLUSTER_PARTITIONS; p++)
        cr_assert_eq(cluster_leader(&cluster, p) + 1, ringmap_row(&cluster.map, p)[0]);
    cluster_stop(&cluster);
}

Test(shard, counters_conditions_and_deletes)
{
    const struct cluster_result *result;

    start();
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
    expect("t", NULL);
    cluster_stop(&cluster);
}

Test(shard, pipelined_operations_see_each_other)
{
    uint32_t ids[20];
    int leader;

    start();
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

    start();
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

    start();
    leader = cluster_leader(&cluster, cluster_partition(&cluster, "n"));
    cluster_send(&cluster, leader, WIRE_OP_INCRBY, 0, ARGS("n", "1"), 2);
    cluster_run(&cluster, 50);
    id = cluster_resend(&cluster, leader, WIRE_OP_INCRBY, 0, ARGS("n", "1"), 2, 1);
    cluster_run(&cluster, 50);
    result = cluster_result(&cluster, id);
    cr_assert(result);
    cr_assert_eq(result->integer, 1);
    expect("n", "1");
    cluster_stop(&cluster);
}

Test(shard, a_retry_at_the_next_leader_is_not_applied_again)
{
    const struct cluster_result *result;
    uint32_t id;
    int leader;

    start();
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
    expect("n", "1");
    cluster_stop(&cluster);
}

/* The answer of a retry that changed nothing must bind the attempt before it, which may still come:
 * else that would take effect behind the answer. */
Test(shard, an_attempt_behind_an_idle_retry_has_no_effect)
{
    const struct cluster_result *result;
    uint32_t id;
    int leader;

    start();
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
    expect("k", "v");
    cluster_stop(&cluster);
}

Test(shard, an_error_of_a_retry_is_unknown)
{
    uint32_t id;
    int leader;

    start();
    cr_assert_eq(set("k", "text")->status, WIRE_STATUS_OK);
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

    start();
    leader = cluster_leader(&cluster, cluster_partition(&cluster, "a"));
    id = cluster_send(&cluster, (leader + 1) % CLUSTER_NODES, WIRE_OP_GET, 0, ARGS("a"), 1);
    cluster_run(&cluster, 20);
    result = cluster_result(&cluster, id);
    cr_assert(result);
    cr_assert_eq(result->status, WIRE_STATUS_NOT_LEADER);
    cr_assert_eq(result->integer, leader + 1);
    cluster_stop(&cluster);
}

Test(shard, a_refused_lane_stays_closed_until_its_next_epoch)
{
    uint16_t partition;
    int leader, follower;
    uint32_t id;

    start();
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
    expect("a", NULL);
    cluster_stop(&cluster);
}

Test(shard, everything_survives_the_restart_of_all)
{
    char key[16], value[32];

    start();
    for (int i = 0; i < 100; i++) {
        snprintf(key, sizeof key, "key-%d", i);
        snprintf(value, sizeof value, "value-%d", i);
        cr_assert_eq(set(key, value)->status, WIRE_STATUS_OK);
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
        expect(key, value);
    }
    cluster_stop(&cluster);
}

/* Enough overwrites to go through many segments, with one node away: it catches up from its peers'
 * journals, old segments go, and replicas end up equal. */
Test(shard, a_node_that_was_away_catches_up)
{
    char key[16], value[64];

    start();
    cluster_kill(&cluster, 2);
    cluster_await_leaders(&cluster);
    for (int i = 0; i < 400; i++) {
        snprintf(key, sizeof key, "key-%d", i % 7);
        snprintf(value, sizeof value, "%060d", i);
        cr_assert_eq(set(key, value)->status, WIRE_STATUS_OK);
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
        cr_assert_eq(cluster_leader(&cluster, p) + 1, ringmap_row(&cluster.map, p)[0]);
    }
    cluster_stop(&cluster);
}

Test(shard, draining_hands_over_every_leadership)
{
    struct shard_event drain = {.kind = SHARD_EVENT_DRAIN, .now_ms = 0};

    start();
    drain.now_ms = cluster.now_ms;
    shard_step(cluster.shards[0], &drain);
    cluster_run(&cluster, 100);
    for (uint16_t p = 0; p < CLUSTER_PARTITIONS; p++)
        cr_assert_neq(cluster_leader(&cluster, p), 0);
    cr_assert(cluster.drained[0]);
    cluster_stop(&cluster);
}

/* Two of three disks full: no value is taken by anybody, whoever leads; deletes and reads go on,
 * and with space it heals by itself. */
Test(shard, values_are_refused_while_a_majority_is_full)
{
    const struct cluster_result *result = NULL;
    char value[64];

    start();
    cr_assert_eq(set("gone", "1")->status, WIRE_STATUS_OK);
    vfs_mem_set_capacity(cluster.disks[0], 1);
    vfs_mem_set_capacity(cluster.disks[1], 1);
    for (int i = 0; i < 20000 && (!result || result->status == WIRE_STATUS_OK); i++) {
        snprintf(value, sizeof value, "%060d", i);
        result = set("k", value);
        if (cluster.result_count > CLUSTER_RESULTS / 2)
            cluster.result_count = 0;
    }
    cr_assert_eq(result->status, WIRE_STATUS_NOSPACE);
    cluster.result_count = 0;
    cluster.epochs[cluster_partition(&cluster, "gone")]++;
    result = cluster_do(&cluster, WIRE_OP_DEL, 0, ARGS("gone"), 1);
    cr_assert_eq(result->status, WIRE_STATUS_OK);
    cr_assert_eq(result->integer, 1);
    expect("gone", NULL);
    vfs_mem_set_capacity(cluster.disks[0], UINT64_MAX);
    vfs_mem_set_capacity(cluster.disks[1], UINT64_MAX);
    cluster_run(&cluster, 1000);
    cluster.epochs[cluster_partition(&cluster, "k")]++;
    cr_assert_eq(set("k", "v")->status, WIRE_STATUS_OK);
    expect("k", "v");
    cluster_stop(&cluster);
}

Test(shard, a_leader_without_a_majority_answers_no_read)
{
    uint32_t id;
    int leader;

    start();
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

    start();
    leader = cluster_leader(&cluster, cluster_partition(&cluster, "a"));
    cluster.cut[leader] = true;
    id = cluster_send(&cluster, leader, WIRE_OP_SET, 0, ARGS("a", "1"), 2);
    cluster_run(&cluster, 3000);
    cr_assert(cluster_result(&cluster, id));
    cr_assert_eq(cluster_result(&cluster, id)->status, WIRE_STATUS_LOST);
    cluster_stop(&cluster);
}

Test(shard, garbage_changes_nothing)
{
    uint8_t bytes[64];
    struct link_message message = {.body = bytes, .body_size = sizeof bytes};
    static const uint8_t types[] = {WIRE_RAFT, WIRE_BEAT, WIRE_BEAT_ACK, WIRE_OPS, 99};

    start();
    cr_assert_eq(set("a", "1")->status, WIRE_STATUS_OK);
    for (unsigned i = 0; i < 20000; i++) {
        struct shard_event event = {.kind = SHARD_EVENT_MESSAGE,
                                    .now_ms = cluster.now_ms,
                                    .message = &message,
                                    .from = {.role = LINK_ROLE_NODE, .member = 2}};

        for (size_t j = 0; j < sizeof bytes; j++)
            bytes[j] = (uint8_t)((i * 2654435761u + j * 40503u) >> (j % 13));
        bytes[0] = (uint8_t)(0x90 | (i % 16));
        message.type = types[i % sizeof types];
        if (message.type == WIRE_OPS)
            event.from = (struct shard_address){.role = LINK_ROLE_ROUTER, .link = 77};
        shard_step(cluster.shards[0], &event);
    }
    cluster_run(&cluster, 100);
    expect("a", "1");
    cluster_stop(&cluster);
}

/* An APPEND of these records to a follower of the partition, as its leader would send it. */
static void append_by_hand(uint16_t partition, struct record *records, size_t count)
{
    int leader = cluster_leader(&cluster, partition);
    int follower = (leader + 1) % CLUSTER_NODES;
    const struct raft *raft = shard_raft(cluster.shards[follower], partition);
    struct link_message message = {.type = WIRE_RAFT};
    struct shard_event event = {.kind = SHARD_EVENT_MESSAGE,
                                .now_ms = cluster.now_ms,
                                .from = {.role = LINK_ROLE_NODE, .member = (uint16_t)(leader + 1)},
                                .message = &message};
    struct wire_buffer body = {0};
    struct wire_raft wire = {.kind = RAFT_APPEND,
                             .group = partition,
                             .from_member = (uint16_t)(leader + 1),
                             .to_member = (uint16_t)(follower + 1),
                             .from_life = 1,
                             .to_life = 1,
                             .term = raft->term,
                             .log_term = raft_log_term(&raft->log, raft->log.last),
                             .index = raft->log.last,
                             .entry_count = 1};
    uint8_t bytes[1024];
    uint64_t last = raft->log.last;

    for (size_t i = 0; i < count; i++) {
        records[i].partition = partition;
        records[i].term = raft->term;
        records[i].index = last + 1;
        wire.entries.size += record_encode(&records[i], bytes + wire.entries.size);
    }
    wire.entries.data = bytes;
    wire_put_raft(&body, &wire);
    message.body = body.data;
    message.body_size = body.size;
    shard_step(cluster.shards[follower], &event);
    wire_buffer_deinit(&body);
    cr_assert_eq(raft->log.last, last, "it was taken");
}

Test(shard, an_entry_that_is_not_whole_is_refused)
{
    struct record record = {
        .kind = RECORD_KIND_PUT, .sub_count = 2, .key = (const uint8_t *)"k", .key_size = 1};
    struct record records[2] = {record, record};

    start();
    append_by_hand(0, &record, 1);
    records[0].sub_count = 3;
    records[1].sub_index = 1;
    append_by_hand(0, records, 2);
    cluster_stop(&cluster);
}

Test(shard, a_configuration_that_no_leader_of_this_version_sends_is_refused)
{
    struct record record = {
        .kind = RECORD_KIND_CONFIG, .sub_count = 1, .value = (const uint8_t *)"?", .value_size = 1};

    start();
    append_by_hand(0, &record, 1);
    cluster_stop(&cluster);
}

/* Beyond 64 MiB a link breaks; then a node that was away would never catch up in peace. */
Test(shard, appends_to_one_peer_stay_within_its_links_queue)
{
    uint64_t size = 0;

    start();
    for (uint16_t p = 0; p < CLUSTER_PARTITIONS; p++) {
        const struct raft_options *options = &shard_raft(cluster.shards[0], p)->options;

        cr_assert_geq(options->append_size_max, 16u << 10);
        size += options->inflight_size_max;
    }
    cr_assert_leq(size, 24u << 20);
    cluster_stop(&cluster);
}

static void restart_all(void)
{
    for (int node = 0; node < CLUSTER_NODES; node++)
        cluster_kill(&cluster, node);
    for (int node = 0; node < CLUSTER_NODES; node++)
        cluster_restart(&cluster, node);
    cluster_await_leaders(&cluster);
}

/* A small request may have a large answer, which waits here for its round. */
Test(shard, answers_that_wait_count_against_admission)
{
    const char *value = "a value about as large as the request for it, and 64 more";
    uint32_t ids[2];
    int leader;

    start();
    cr_assert_eq(set("a", value)->status, WIRE_STATUS_OK);
    cluster.options.operations_size_max = 180;
    restart_all();
    leader = cluster_leader(&cluster, cluster_partition(&cluster, "a"));
    for (int i = 0; i < 2; i++)
        ids[i] = cluster_send(&cluster, leader, WIRE_OP_STRLEN, 0, ARGS("a"), 1);
    cluster_run(&cluster, 50);
    for (int i = 0; i < 2; i++)
        cr_assert_eq(cluster_result(&cluster, ids[i])->status, WIRE_STATUS_OK);
    for (int i = 0; i < 2; i++)
        ids[i] = cluster_send(&cluster, leader, WIRE_OP_GET, 0, ARGS("a"), 1);
    cluster_run(&cluster, 50);
    cr_assert_eq(cluster_result(&cluster, ids[0])->status, WIRE_STATUS_OK);
    cr_assert_eq(cluster_result(&cluster, ids[1])->status, WIRE_STATUS_TRYAGAIN);
    cluster_stop(&cluster);
}

Test(shard, values_that_come_from_the_disk_count_against_admission)
{
    const char *value = "a value about as large as the request for it, and 64 more";
    uint32_t ids[2];
    int leader;

    start();
    cr_assert_eq(set("a", value)->status, WIRE_STATUS_OK);
    cluster.options.operations_size_max = 200;
    restart_all();
    for (int node = 0; node < CLUSTER_NODES; node++)
        vfs_mem_set_cold(cluster.disks[node], true);
    leader = cluster_leader(&cluster, cluster_partition(&cluster, "a"));
    for (int i = 0; i < 2; i++)
        ids[i] = cluster_send(&cluster, leader, WIRE_OP_GET, 0, ARGS("a"), 1);
    cluster_run(&cluster, 50);
    cr_assert_eq(cluster_result(&cluster, ids[1])->status, WIRE_STATUS_TRYAGAIN);
    cluster_stop(&cluster);
}

/* Inverts a bit of the text wherever it lies in the node's journal. */
static void rot(int node, const char *text)
{
    static uint8_t bytes[256u << 10];
    size_t size = strlen(text), found = 0;

    for (int number = 1; number < 20; number++) {
        struct vfs_file *file;
        char path[64];
        int64_t got;

        snprintf(path, sizeof path, "shard-00/journal-%010d.log", number);
        if (vfs_open(cluster.disks[node], path, VFS_OPEN_WRITE, &file) != 0)
            continue;
        got = vfs_pread(file, bytes, sizeof bytes, 0);
        for (int64_t at = 0; at + (int64_t)size <= got; at++) {
            if (memcmp(bytes + at, text, size) != 0)
                continue;
            bytes[at] ^= 1;
            cr_assert_eq(vfs_pwritev(file, &(struct iovec){bytes + at, 1}, 1, (uint64_t)at), 0);
            found++;
        }
        vfs_close(file);
    }
    cr_assert_gt(found, 0);
}

Test(shard, a_leader_whose_log_rots_lets_another_bring_up_who_was_away)
{
    uint16_t partition;
    uint64_t applied;
    int leader;

    start();
    partition = cluster_partition(&cluster, "a");
    cluster_kill(&cluster, 2);
    cluster_await_leaders(&cluster);
    cr_assert_eq(set("a", "what will rot")->status, WIRE_STATUS_OK);
    cluster_run(&cluster, 500);
    for (int node = 0; node < 2; node++) { /* so that nothing is in memory any more */
        cluster_kill(&cluster, node);
        cluster_restart(&cluster, node);
    }
    cluster_await_leaders(&cluster);
    leader = cluster_leader(&cluster, partition);
    applied = shard_raft(cluster.shards[leader], partition)->applied;
    rot(leader, "what will rot");
    cluster_restart(&cluster, 2);
    cluster_run(&cluster, 5000);
    cr_assert_geq(shard_raft(cluster.shards[2], partition)->applied, applied);
    cr_assert(shard_fenced(cluster.shards[leader], partition, NULL));
    cluster.epochs[partition]++;
    expect("a", "what will rot");
    cluster_stop(&cluster);
}
