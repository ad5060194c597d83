#include "shard_cluster.h"

#include "replication/raft.h"
#include "replication/shard_internal.h"
#include "storage/checksum.h"
#include "storage/store_state.h"
#include "tests/dice.h"

#include <criterion/criterion.h>

#include <stdio.h>
#include <string.h>

static struct cluster cluster;

/* Log is kept for nobody: who misses an entry needs a snapshot. */
static void restart_all_forgetful(void)
{
    cluster.options.log_size_max = 1;
    cluster.options.retain_entries_min = 0;
    cluster_restart_all(&cluster);
}

static void begin(void)
{
    cluster_begin(&cluster);
    restart_all_forgetful();
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

static void delete_many(const char *prefix, int from, int to)
{
    char key[32];
    const char *args[] = {key};

    for (int i = from; i < to; i++) {
        cluster.result_count = 0;
        snprintf(key, sizeof key, "%s%d", prefix, i);
        cr_assert_eq(cluster_do(&cluster, WIRE_OP_DEL, 0, args, 1)->status, WIRE_STATUS_OK);
    }
}

static uint64_t resumed(int node)
{
    struct shard_stats stats;

    shard_stats(cluster.shards[node], &stats);
    return stats.snapshots_resumed;
}

/* Every replica of every partition has applied the same and holds the same. */
static void expect_same(void)
{
    for (uint16_t p = 0; p < CLUSTER_PARTITIONS; p++) {
        uint64_t first = 0, digest;

        for (int node = 0; node < CLUSTER_NODES; node++) {
            cr_assert_not(shard_fenced(cluster.shards[node], p, NULL), "node %d p%u", node, p);
            cr_assert(shard_settled(cluster.shards[node], p));
            cr_assert_eq(shard_raft(cluster.shards[node], p)->applied,
                         shard_raft(cluster.shards[0], p)->applied, "node %d p%u", node, p);
            cr_assert_eq(store_digest(shard_store(cluster.shards[node]), p, &digest), 0);
            first = node == 0 ? digest : first;
            cr_assert_eq(digest, first, "node %d p%u", node, p);
            store_check(shard_store(cluster.shards[node]));
        }
    }
}

Test(shard_snapshot, who_was_away_past_the_log_comes_back_with_the_same_content)
{
    begin();
    set_many("k", 0, 100, "before");
    cluster_kill(&cluster, 2);
    cluster_await_leaders(&cluster);
    set_many("k", 50, 150, "meanwhile");
    delete_many("k", 0, 25); /* what it has still and nobody else */
    cluster_run(&cluster, 1000);
    cluster_restart(&cluster, 2);
    cluster_run(&cluster, 5000);
    cr_assert_gt(cluster_installed(&cluster, 2), 0);
    expect_same();
    cluster_expect(&cluster, "k10", NULL);
    cluster_expect(&cluster, "k30", "before");
    cluster_expect(&cluster, "k60", "meanwhile");
    cluster_stop(&cluster);
}

Test(shard_snapshot, what_was_installed_outlives_a_power_cut)
{
    begin();
    set_many("k", 0, 60, "before");
    cluster_kill(&cluster, 2);
    cluster_await_leaders(&cluster);
    set_many("k", 30, 90, "meanwhile");
    delete_many("k", 0, 15);
    cluster_run(&cluster, 1000);
    cluster_restart(&cluster, 2);
    cluster_run(&cluster, 5000);
    cr_assert_gt(cluster_installed(&cluster, 2), 0);
    for (int round = 0; round < 2; round++) {
        cluster_kill(&cluster, 2);
        cluster_restart(&cluster, 2);
        cluster_run(&cluster, 5000);
        cr_assert_eq(cluster_installed(&cluster, 2), 0, "it had it all");
        expect_same();
    }
    cluster_stop(&cluster);
}

Test(shard_snapshot, writes_go_on_while_it_comes)
{
    char value[2001];

    memset(value, 'v', sizeof value - 1);
    value[sizeof value - 1] = 0;
    begin();
    cluster.options.snapshot_rate = 100000;
    restart_all_forgetful();
    set_many("large", 0, 400, value);
    cluster_kill(&cluster, 2);
    cluster_await_leaders(&cluster);
    set_many("k", 0, 20, "meanwhile");
    cluster_run(&cluster, 1000);
    cluster_restart(&cluster, 2);
    cluster_run(&cluster, 500);
    set_many("k", 10, 60, "under way");
    delete_many("large", 0, 50);
    cluster_run(&cluster, 20000);
    cr_assert_gt(cluster_installed(&cluster, 2), 0);
    expect_same();
    cluster_stop(&cluster);
}

Test(shard_snapshot, a_lost_link_costs_only_what_was_on_its_way)
{
    char value[2001];

    memset(value, 'v', sizeof value - 1);
    value[sizeof value - 1] = 0;
    begin();
    cluster.options.snapshot_rate = 200000;
    restart_all_forgetful();
    set_many("large", 0, 400, value);
    cluster_kill(&cluster, 2);
    cluster_await_leaders(&cluster);
    set_many("k", 0, 50, "meanwhile");
    cluster_run(&cluster, 1000);
    cluster_restart(&cluster, 2);
    for (int i = 0; i < 10; i++) {
        cluster_run(&cluster, 300);
        cluster.cut[2] = true;
        cluster_run(&cluster, 300);
        cluster.cut[2] = false;
    }
    cluster_run(&cluster, 20000);
    cr_assert_gt(cluster_installed(&cluster, 2), 0);
    expect_same();
    cluster_stop(&cluster);
}

/* It keeps no log; shard_moves_test has one whose log reaches back, and that goes on. */
Test(shard_snapshot, a_new_leader_with_too_short_a_log_begins_again)
{
    char value[2001];

    memset(value, 'v', sizeof value - 1);
    value[sizeof value - 1] = 0;
    begin();
    cluster.options.snapshot_rate = 200000;
    restart_all_forgetful();
    set_many("large", 0, 400, value);
    cluster_kill(&cluster, 2);
    cluster_await_leaders(&cluster);
    set_many("k", 0, 50, "meanwhile");
    cluster_run(&cluster, 1000);
    cluster_restart(&cluster, 2);
    cluster_run(&cluster, 300);
    set_many("k", 50, 100, "under way");
    cluster_run(&cluster, 200); /* the other one lets go its log, too */
    cluster_kill(&cluster, 0);
    cluster_restart(&cluster, 0);
    cluster_run(&cluster, 20000);
    cr_assert_gt(cluster_installed(&cluster, 2), 0);
    cr_assert_eq(resumed(0) + resumed(1), 0);
    expect_same();
    cluster_stop(&cluster);
}

/* Two of one leader, each of which would take longer than a target is waited for, on a budget that
 * is below a frame in all that time. */
Test(shard_snapshot, none_waits_for_ever_behind_another)
{
    char value[2001], tags[2][8];
    int found = 0;

    memset(value, 'v', sizeof value - 1);
    value[sizeof value - 1] = 0;
    begin();
    cluster.options.snapshot_rate = 15000;
    restart_all_forgetful();
    cluster_run(&cluster, 5000); /* leaders go home; the first compresses */
    for (char c = 'a'; found < 2 && c <= 'z'; c++) {
        snprintf(tags[found], sizeof tags[0], "{%c}", c);
        if (cluster_leader(&cluster, cluster_partition(&cluster, tags[found])) == 1 &&
            (found == 0 ||
             cluster_partition(&cluster, tags[0]) != cluster_partition(&cluster, tags[1])))
            found++;
    }
    cr_assert_eq(found, 2);
    for (int i = 0; i < 2; i++)
        set_many(tags[i], 0, 150, value);
    cluster_kill(&cluster, 2);
    cluster_await_leaders(&cluster);
    for (int i = 0; i < 2; i++)
        set_many(tags[i], 150, 155, "meanwhile");
    cluster_run(&cluster, 1000);
    cluster_restart(&cluster, 2);
    cluster_run(&cluster, 60000);
    cr_assert_geq(cluster_installed(&cluster, 2), 2);
    expect_same();
    cluster_stop(&cluster);
}

/* Retries are answered from the session's window: it has to come along. */
Test(shard_snapshot, what_was_done_once_is_not_done_again_by_who_came_back)
{
    char key[32];
    const char *args[] = {key, "1"};
    uint16_t partition = 0;
    uint64_t sequence;
    uint32_t id;

    begin();
    for (int i = 0; partition % CLUSTER_NODES != 2; i++) { /* one that node 2 is to lead */
        snprintf(key, sizeof key, "counter%d", i);
        partition = cluster_partition(&cluster, key);
    }
    cluster_kill(&cluster, 2);
    cluster_await_leaders(&cluster);
    set_many("k", 0, 50, "meanwhile");
    cr_assert_eq(cluster_do(&cluster, WIRE_OP_INCRBY, 0, args, 2)->integer, 1);
    sequence = cluster.sequences[partition];
    cluster_run(&cluster, 1000);
    cluster_restart(&cluster, 2);
    cluster_run(&cluster, 10000);
    cr_assert_gt(cluster_installed(&cluster, 2), 0);
    cr_assert_eq(cluster_leader(&cluster, partition), 2);
    cluster.epochs[partition]++;
    cluster.retry = true;
    id = cluster_resend(&cluster, 2, WIRE_OP_INCRBY, 0, args, 2, sequence);
    cluster_run(&cluster, 1000);
    cr_assert_eq(cluster_result(&cluster, id)->status, WIRE_STATUS_OK);
    cr_assert_eq(cluster_result(&cluster, id)->integer, 1);
    cluster_stop(&cluster);
}

/* A last piece of no records, as the leader of the partition would send it to a follower. */
static void piece_by_hand(uint16_t partition, void (*change)(struct wire_snapshot *piece))
{
    int leader = cluster_leader(&cluster, partition);
    int follower = (leader + 1) % CLUSTER_NODES;
    const struct raft *raft = shard_raft(cluster.shards[follower], partition);
    struct wire_buffer body = {0};
    struct link_message message = {.type = WIRE_SNAPSHOT};
    struct shard_event event = {.kind = SHARD_EVENT_MESSAGE,
                                .now_ms = cluster.now_ms,
                                .message = &message,
                                .from = {.role = LINK_ROLE_NODE, .member = (uint16_t)(leader + 1)}};
    uint8_t state[20] = {2};
    struct wire_snapshot piece = {.group = partition,
                                  .from_member = (uint16_t)(leader + 1),
                                  .from_life = 1,
                                  .to_member = (uint16_t)(follower + 1),
                                  .to_life = 1,
                                  .term = raft->term,
                                  .log_term = raft->term,
                                  .index = raft->log.last + 50,
                                  .state = {state, sizeof state}};

    change(&piece);
    if (piece.checksum == 0)
        piece.checksum = checksum_seeded(NULL, 0, checksum(piece.state.data, piece.state.size));
    wire_put_snapshot(&body, &piece);
    message.body = body.data;
    message.body_size = body.size;
    shard_step(cluster.shards[follower], &event);
    wire_buffer_deinit(&body);
}

static void state_of_no_configuration(struct wire_snapshot *piece)
{
    (void)piece;
}

static void other_checksum(struct wire_snapshot *piece)
{
    piece->checksum = 1;
}

static void no_state(struct wire_snapshot *piece)
{
    piece->state = (struct wire_bytes){0};
}

static void from_the_middle(struct wire_snapshot *piece)
{
    piece->from = 7;
    piece->state = (struct wire_bytes){0};
}

static void other_life(struct wire_snapshot *piece)
{
    piece->to_life = 0;
}

static void earlier_term(struct wire_snapshot *piece)
{
    piece->term = 0;
}

static void term_that_never_was(struct wire_snapshot *piece)
{
    piece->log_term = piece->term + 1;
}

static void no_such_partition(struct wire_snapshot *piece)
{
    piece->group = 999;
}

Test(shard_snapshot, what_no_leader_sends_changes_nothing)
{
    static void (*const changes[])(struct wire_snapshot * piece) = {
        state_of_no_configuration, other_checksum,   no_state,
        from_the_middle,           other_life,       earlier_term,
        term_that_never_was,       no_such_partition};
    uint16_t partition;

    cluster_begin(&cluster);
    cr_assert_eq(cluster_set(&cluster, "a", "1")->status, WIRE_STATUS_OK);
    cluster_run(&cluster, 500);
    partition = cluster_partition(&cluster, "a");
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        piece_by_hand(partition, changes[i]);
        cluster_run(&cluster, 500);
    }
    for (int node = 0; node < CLUSTER_NODES; node++)
        cr_assert_eq(cluster_installed(&cluster, node), 0);
    expect_same();
    cluster_expect(&cluster, "a", "1");
    cluster_stop(&cluster);
}

static bool fence_installing, fence_done;

/* Damage is found in node 2's partition 0 while a snapshot of it comes in, or is installed. */
static void fence_meanwhile(struct cluster *all, int node)
{
    struct replica *replica = node == 2 ? shard_replica(all->shards[2], 0) : NULL;
    struct store *store;

    if (fence_done || !replica || !replica->target || replica->fence.installing != fence_installing)
        return;
    fence_done = true;
    store = shard_store(all->shards[2]);
    store_fence_partition(store, store_partition(store, 0), "found damaged");
    cr_assert(shard_fenced(all->shards[2], 0, NULL), "whatever comes of the snapshot");
    cr_assert_eq(replica->target != NULL, fence_installing, "it was not meant for a fenced one");
}

static void fence_while_it_lags(bool installing)
{
    static char value[20000];
    struct shard_stats stats;

    for (uint32_t i = 0; i + 1 < sizeof value; i++) /* which does not get smaller: many pieces */
        value[i] = (char)('!' + checksum(&i, sizeof i) % 90);
    begin();
    cluster_kill(&cluster, 2);
    cluster_await_leaders(&cluster);
    cluster_set_of(&cluster, 0, "k", 40, value);
    set_many("k", 0, 100, "meanwhile");
    cluster_run(&cluster, 1000);
    fence_installing = installing;
    fence_done = false;
    cluster.stepped = fence_meanwhile;
    cluster_restart(&cluster, 2);
    cluster_run(&cluster, 20000);
    cr_assert(fence_done);
    shard_stats(cluster.shards[2], &stats);
    cr_assert_eq(stats.repaired, 1, "by one more");
    cr_assert_geq(stats.snapshots_installed, installing ? 2 : 1);
    expect_same();
    cluster_stop(&cluster);
}

Test(shard_snapshot, one_that_comes_in_while_its_target_is_fenced_repairs_nothing, .timeout = 120)
{
    fence_while_it_lags(false);
}

Test(shard_snapshot, a_fence_outlasts_the_install_that_it_came_in, .timeout = 120)
{
    fence_while_it_lags(true);
}

static bool slow_disk_holds(struct cluster *all, int node)
{
    return node == 2 && all->now_ms % 50 != 0;
}

/* What its disk takes is what it gets: nobody waits longer than for it, or sends again and again.
 */
Test(shard_snapshot, a_slow_target_says_when_there_is_room)
{
    char value[2001];
    uint64_t begun_ms;
    uint32_t pieces;

    memset(value, 'v', sizeof value - 1);
    value[sizeof value - 1] = 0;
    begin();
    cluster.options.store.compress_level = 0;
    cluster.options.store.install_size = 16u << 10;
    cluster.options.snapshot_piece_size = 4096;
    restart_all_forgetful();
    for (int i = 0, count = 0; count < 150; i++) {
        char key[32];

        snprintf(key, sizeof key, "large%d", i);
        if (cluster_partition(&cluster, key) != 1) /* the first node compresses what it leads */
            continue;
        cluster.result_count = 0;
        cr_assert_eq(cluster_set(&cluster, key, value)->status, WIRE_STATUS_OK);
        count++;
    }
    cluster_kill(&cluster, 2);
    cluster_await_leaders(&cluster);
    set_many("k", 0, 50, "meanwhile");
    cluster_run(&cluster, 1000);
    pieces = cluster.snapshot_pieces;
    cluster.holds_background = true;
    cluster.holds = slow_disk_holds;
    cluster_restart(&cluster, 2);
    begun_ms = cluster.now_ms;
    while (cluster_installed(&cluster, 2) < CLUSTER_PARTITIONS && cluster.now_ms < begun_ms + 1000)
        cluster_run(&cluster, 10);
    cr_assert_eq(cluster_installed(&cluster, 2), CLUSTER_PARTITIONS, "within a second");
    cr_assert_leq(cluster.snapshot_pieces - pieces, 180u, "of some 150");
    cluster.holds = NULL;
    cluster_run(&cluster, 20000);
    expect_same();
    cluster_stop(&cluster);
}

/* Its disk takes no snapshot, again and again: that is no reason for the leader to keep its log. */
Test(shard_snapshot, a_target_without_room_holds_up_no_log)
{
    static char value[(512u << 10) + 1];
    const struct raft *raft;

    memset(value, 'v', sizeof value - 1);
    begin();
    cluster_set_of(&cluster, 0, "large", 24, value);
    cluster_kill(&cluster, 2);
    cluster_await_leaders(&cluster);
    set_many("k", 0, 100, "meanwhile");
    cluster_run(&cluster, 1000);
    vfs_mem_set_capacity(cluster.disks[2], UINT64_C(1) << 30);
    cluster.options.store.space_reserve = UINT64_C(2) << 30;
    cluster_restart(&cluster, 2);
    for (int round = 0; round < 60; round++) {
        set_many("k", 0, 50, "under way");
        cluster_run(&cluster, 1000);
    }
    cr_assert_eq(cluster_installed(&cluster, 2), 0);
    raft = shard_raft(cluster.shards[cluster_leader(&cluster, 0)], 0);
    cr_assert_gt(raft->log.last, 150u);
    cr_assert_leq(raft->log.last + 1 - raft->log.first, 60u);
    cluster_stop(&cluster);
}

/* Of partition 0, to node 2: what its leader's core knows. */
static const struct raft_progress *progress_of(void)
{
    const struct raft *raft = shard_raft(cluster.shards[cluster_leader(&cluster, 0)], 0);

    return raft_peer(raft, 3);
}

/* Node 2 has some pieces of a snapshot of partition 0, and lacks most. Returns its index. */
static uint64_t half_way(void)
{
    static char value[8001];

    dice_text(1, value, sizeof value - 1);
    begin();
    cluster.options.snapshot_rate = 50000;
    restart_all_forgetful();
    cluster_set_of(&cluster, 0, "large", 100, value);
    cluster_kill(&cluster, 2);
    cluster_await_leaders(&cluster);
    cluster_set_of(&cluster, 0, "k", 5, "meanwhile");
    cluster_run(&cluster, 1000);
    cluster_restart(&cluster, 2);
    for (int i = 0; progress_of()->snapshot == 0; i++) {
        cr_assert_lt(i, 100, "no snapshot begins");
        cluster_run(&cluster, 100);
    }
    cluster_run(&cluster, 3000);
    cr_assert_neq(progress_of()->snapshot, 0);
    cr_assert_eq(progress_of()->snapshot_left, 0, "none has failed");
    return progress_of()->snapshot;
}

Test(shard_snapshot, of_one_that_is_given_up_remains_what_was_acknowledged)
{
    uint64_t index = half_way();

    cluster.cut[2] = true;
    cluster_set_of(&cluster, 0, "k", 5, "newer");
    cluster_run(&cluster, 15000);
    cr_assert_eq(progress_of()->snapshot_left, index);
    cluster.cut[2] = false;
    cluster_run(&cluster, 60000);
    expect_same();
    cluster_stop(&cluster);
}

Test(shard_snapshot, of_one_that_the_target_has_lost_nothing_remains)
{
    uint64_t index = half_way();
    int leader = cluster_leader(&cluster, 0);
    struct wire_buffer body = {0};

    cluster_set_of(&cluster, 0, "k", 5, "newer");
    wire_put_snapshot_ack(&body,
                          &(struct wire_snapshot_ack){
                              .kind = WIRE_SNAPSHOT_TAKEN,
                              .from_member = 3,
                              .from_life = progress_of()->replica.life,
                              .to_member = (uint16_t)(leader + 1),
                              .to_life = shard_raft(cluster.shards[leader], 0)->options.self.life,
                              .term = shard_raft(cluster.shards[leader], 0)->term,
                              .index = index});
    cluster_inject(&cluster, 2, leader, WIRE_SNAPSHOT_ACK, 0, &body);
    wire_buffer_deinit(&body);
    cluster.cut[2] = true;
    cluster_run(&cluster, 1000);
    cr_assert_eq(progress_of()->snapshot_left, 0);
    cr_assert_gt(progress_of()->snapshot, index, "the next one is a newer one");
    cluster.cut[2] = false;
    cluster_run(&cluster, 60000);
    expect_same();
    cluster_stop(&cluster);
}
