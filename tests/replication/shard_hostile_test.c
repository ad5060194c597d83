/* Full disks, rotten bytes, peers and routers that send what they must not. */
#include "shard_cluster.h"

#include "replication/raft.h"

#include <criterion/criterion.h>

#include <stdio.h>
#include <string.h>

#define ARGS(...) ((const char *const[]){__VA_ARGS__})

static struct cluster cluster;

/* Two of three disks full: no value is taken by anybody, whoever leads; deletes and reads go on,
 * and with space it heals by itself. */
Test(shard_hostile, values_are_refused_while_a_majority_is_full)
{
    const struct cluster_result *result = NULL;
    char value[64];

    cluster_begin(&cluster);
    cr_assert_eq(cluster_set(&cluster, "gone", "1")->status, WIRE_STATUS_OK);
    vfs_mem_set_capacity(cluster.disks[0], 1);
    vfs_mem_set_capacity(cluster.disks[1], 1);
    for (int i = 0; i < 20000 && (!result || result->status == WIRE_STATUS_OK); i++) {
        snprintf(value, sizeof value, "%060d", i);
        result = cluster_set(&cluster, "k", value);
        if (cluster.result_count > CLUSTER_RESULTS / 2)
            cluster.result_count = 0;
    }
    cr_assert_eq(result->status, WIRE_STATUS_NOSPACE);
    cluster.result_count = 0;
    cluster.epochs[cluster_partition(&cluster, "gone")]++;
    result = cluster_do(&cluster, WIRE_OP_DEL, 0, ARGS("gone"), 1);
    cr_assert_eq(result->status, WIRE_STATUS_OK);
    cr_assert_eq(result->integer, 1);
    cluster_expect(&cluster, "gone", NULL);
    vfs_mem_set_capacity(cluster.disks[0], UINT64_MAX);
    vfs_mem_set_capacity(cluster.disks[1], UINT64_MAX);
    cluster_run(&cluster, 1000);
    cluster.epochs[cluster_partition(&cluster, "k")]++;
    cr_assert_eq(cluster_set(&cluster, "k", "v")->status, WIRE_STATUS_OK);
    cluster_expect(&cluster, "k", "v");
    cluster_stop(&cluster);
}

static const struct cluster_result *set_in(uint64_t session)
{
    uint16_t partition = cluster_partition(&cluster, "k");

    cluster.session = session;
    cluster.epochs[partition]++;
    cluster.sequences[partition] = 0;
    return cluster_set(&cluster, "k", "v");
}

/* When such a session is dropped, nobody whose clock is right could begin one any more. */
Test(shard_hostile, a_session_far_ahead_of_the_clock_is_not_made)
{
    static const uint64_t day_ms = 86400000;
    const struct cluster_result *result;
    uint64_t now, id;

    cluster_begin(&cluster);
    now = CLUSTER_EPOCH_MS + cluster.now_ms;
    id = (now + day_ms) << WIRE_SESSION_RANDOM_BITS;
    cr_assert_eq(set_in(id)->status, WIRE_STATUS_OK);
    for (unsigned i = 0; i < 2; i++) {
        id = i == 0 ? UINT64_MAX : (now + 2 * day_ms) << WIRE_SESSION_RANDOM_BITS;
        result = set_in(id);
        cr_assert_eq(result->status, WIRE_STATUS_SESSION_EXPIRED);
        cr_assert_geq((uint64_t)result->integer, now << WIRE_SESSION_RANDOM_BITS);
        cr_assert_lt((uint64_t)result->integer, (now + day_ms) << WIRE_SESSION_RANDOM_BITS);
        cr_assert_eq(set_in((uint64_t)result->integer)->status, WIRE_STATUS_OK);
    }
    /* So many of them that each drops another: who is new still gets in. */
    for (uint64_t i = 0; i < 100; i++)
        cr_assert_eq(set_in(((now + day_ms) << WIRE_SESSION_RANDOM_BITS) + i)->status,
                     WIRE_STATUS_OK);
    result = set_in(now << WIRE_SESSION_RANDOM_BITS);
    cr_assert_eq(result->status, WIRE_STATUS_SESSION_EXPIRED);
    cr_assert_eq(set_in((uint64_t)result->integer)->status, WIRE_STATUS_OK);
    cluster_stop(&cluster);
}

/* One router's clock was an hour ahead, and its session has been dropped: all others are below the
 * floor. In one session the second's write would be answered with what became of the first's. */
Test(shard_hostile, two_routers_below_the_floor_get_sessions_of_their_own)
{
    uint64_t now, ahead, ids[2];

    cluster_begin(&cluster);
    now = CLUSTER_EPOCH_MS + cluster.now_ms;
    ahead = (now + 3600000) << WIRE_SESSION_RANDOM_BITS;
    for (uint64_t i = 0; i < 100; i++)
        cr_assert_eq(set_in(ahead + i)->status, WIRE_STATUS_OK);
    for (uint64_t i = 0; i < 2; i++) {
        const struct cluster_result *result = set_in((now << WIRE_SESSION_RANDOM_BITS) + i);

        cr_assert_eq(result->status, WIRE_STATUS_SESSION_EXPIRED);
        ids[i] = (uint64_t)result->integer;
    }
    cr_assert_neq(ids[0], ids[1]);
    cr_assert_eq(set_in(ids[0])->status, WIRE_STATUS_OK);
    cluster.session = ids[1];
    cluster.epochs[cluster_partition(&cluster, "k")]++;
    cluster.sequences[cluster_partition(&cluster, "k")] = 0;
    cr_assert_eq(cluster_set(&cluster, "k", "of the second")->status, WIRE_STATUS_OK);
    cluster_expect(&cluster, "k", "of the second");
    cluster_stop(&cluster);
}

/* Its clock was set back: what is begun goes on, and who is new goes by that clock. */
Test(shard_hostile, sessions_that_are_known_outlive_a_clock_that_is_set_back)
{
    uint64_t now;

    cluster_begin(&cluster);
    now = CLUSTER_EPOCH_MS + cluster.now_ms;
    cr_assert_eq(set_in(now << WIRE_SESSION_RANDOM_BITS)->status, WIRE_STATUS_OK);
    for (int node = 0; node < 3; node++)
        cluster.skew_ms[node] = -10 * (int64_t)86400000;
    cluster_run(&cluster, 1000);
    cluster.sequences[cluster_partition(&cluster, "k")] = 1;
    cluster.epochs[cluster_partition(&cluster, "k")]++;
    cr_assert_eq(cluster_set(&cluster, "k", "w")->status, WIRE_STATUS_OK);
    cr_assert_eq(set_in((now << WIRE_SESSION_RANDOM_BITS) + 1)->status,
                 WIRE_STATUS_SESSION_EXPIRED);
    cr_assert_eq(set_in((now - 10 * UINT64_C(86400000)) << WIRE_SESSION_RANDOM_BITS)->status,
                 WIRE_STATUS_OK);
    cluster_stop(&cluster);
}

Test(shard_hostile, garbage_changes_nothing)
{
    uint8_t bytes[64];
    struct link_message message = {.body = bytes, .body_size = sizeof bytes};
    static const uint8_t types[] = {WIRE_RAFT,       WIRE_BEAT,     WIRE_BEAT_ACK,
                                    WIRE_OPS,        WIRE_SNAPSHOT, WIRE_SNAPSHOT_ACK,
                                    WIRE_MAP_CHANGE, WIRE_MAP_GET,  99};

    cluster_begin(&cluster);
    cr_assert_eq(cluster_set(&cluster, "a", "1")->status, WIRE_STATUS_OK);
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
    cluster_expect(&cluster, "a", "1");
    cluster_stop(&cluster);
}

/* It tells how much there is: that is for operators. */
Test(shard_hostile, only_an_admin_is_told_of_the_partitions)
{
    const struct wire_buffer body = {0};

    cluster_begin(&cluster);
    cluster_ask(&cluster, 0, 2, WIRE_SHARD_STATUS, &body);
    cr_assert_eq(cluster.statuses, 0);
    cluster_ask(&cluster, 0, 0, WIRE_SHARD_STATUS, &body);
    cr_assert_eq(cluster.statuses, 1);
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

Test(shard_hostile, an_entry_that_is_not_whole_is_refused)
{
    struct record record = {
        .kind = RECORD_KIND_PUT, .sub_count = 2, .key = (const uint8_t *)"k", .key_size = 1};
    struct record records[2] = {record, record};

    cluster_begin(&cluster);
    append_by_hand(0, &record, 1);
    records[0].sub_count = 3;
    records[1].sub_index = 1;
    append_by_hand(0, records, 2);
    cluster_stop(&cluster);
}

Test(shard_hostile, a_configuration_that_no_leader_of_this_version_sends_is_refused)
{
    struct record record = {
        .kind = RECORD_KIND_CONFIG, .sub_count = 1, .value = (const uint8_t *)"?", .value_size = 1};

    cluster_begin(&cluster);
    append_by_hand(0, &record, 1);
    cluster_stop(&cluster);
}

/* Beyond 64 MiB a link breaks; then a node that was away would never catch up in peace. */
Test(shard_hostile, appends_to_one_peer_stay_within_its_links_queue)
{
    uint64_t size = 0;

    cluster_begin(&cluster);
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
Test(shard_hostile, answers_that_wait_count_against_admission)
{
    const char *value = "a value about as large as the request for it, and 64 more";
    uint32_t ids[2];
    int leader;

    cluster_begin(&cluster);
    cr_assert_eq(cluster_set(&cluster, "a", value)->status, WIRE_STATUS_OK);
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

Test(shard_hostile, values_that_come_from_the_disk_count_against_admission)
{
    const char *value = "a value about as large as the request for it, and 64 more";
    uint32_t ids[2];
    int leader;

    cluster_begin(&cluster);
    cr_assert_eq(cluster_set(&cluster, "a", value)->status, WIRE_STATUS_OK);
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

Test(shard_hostile, a_leader_whose_log_rots_lets_another_bring_up_who_was_away)
{
    uint16_t partition;
    uint64_t applied;
    int leader;

    cluster_begin(&cluster);
    partition = cluster_partition(&cluster, "a");
    cluster_kill(&cluster, 2);
    cluster_await_leaders(&cluster);
    cr_assert_eq(cluster_set(&cluster, "a", "what will rot")->status, WIRE_STATUS_OK);
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
    cr_assert_not(shard_fenced(cluster.shards[leader], partition, NULL), "a snapshot mends it");
    cluster.epochs[partition]++;
    cluster_expect(&cluster, "a", "what will rot");
    cluster_stop(&cluster);
}

/* Whatever a member sends: it may keep groups from electing anybody, and no more. Snapshots go to
 * and fro, too. */
Test(shard_hostile, garbled_messages_of_members_end_no_node, .timeout = 240)
{
    static char value[2000];
    char key[16];

    memset(value, 'v', sizeof value - 1);
    cluster_begin(&cluster);
    cluster.options.log_size_max = 16384;
    cluster.options.retain_entries_min = 0;
    cluster_restart_all(&cluster);
    cluster.garbled = 200;
    for (int i = 0; i < 6000; i++) {
        uint16_t partition;
        int leader;

        snprintf(key, sizeof key, "k%d", i % 64);
        partition = cluster_partition(&cluster, key);
        leader = cluster_leader(&cluster, partition);
        cluster.result_count = 0;
        cluster.epochs[partition]++;
        if (leader >= 0)
            (void)cluster_send(&cluster, leader, WIRE_OP_SET, 0, ARGS(key, value), 2);
        cluster.cut[i / 300 % CLUSTER_NODES] = i % 300 >= 200;
        cluster_run(&cluster, (uint64_t)(i % 7));
    }
    for (int node = 0; node < CLUSTER_NODES; node++)
        cr_assert_not_null(cluster.shards[node]);
    cluster_stop(&cluster);
}
