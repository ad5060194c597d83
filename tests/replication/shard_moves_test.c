#include "shard_scene.h"

#include "replication/shard_internal.h"
#include "replication/transfer.h"

#include <criterion/criterion.h>

/* Leaders take their groups to what the ring map wants, while a client writes. shard_lives_test has
 * how replicas begin and end, shard_moves_crash_test what happens when nodes end on the way,
 * shard_votes_test who votes meanwhile. */

/* Snapshots take seconds from here on: all nodes start again with a small budget, and much to send.
 */
static void fill_slow(struct scene *scene, unsigned keys)
{
    scene->cluster.options.snapshot_rate = 20u << 10;
    cluster_restart_all(&scene->cluster);
    scene_fill(scene, keys, 59);
}

static const struct wire_move *move_of(struct scene *scene)
{
    cluster_moves(&scene->cluster, cluster_leader(&scene->cluster, scene->p));
    for (uint32_t i = 0; i < scene->cluster.move_count; i++)
        if (scene->cluster.moves[i].group == scene->p)
            return &scene->cluster.moves[i];
    cr_assert_fail("the leader tells of its group");
    return NULL;
}

Test(shard_moves, a_node_that_joins_takes_the_place_of_another, .timeout = 120)
{
    struct scene scene;
    uint64_t before;
    int node;

    scene_begin(&scene, 3);
    node = cluster_map_join(&scene.cluster, false);
    writer_run(&scene.writer, 1500);
    for (uint16_t p = 0; p < CLUSTER_PARTITIONS; p++)
        cr_assert_null(shard_raft(scene.cluster.shards[node], p), "it has joined, no more");
    before = scene.cluster.newest.epoch;
    cluster_map_state(&scene.cluster, node, RINGMAP_STATE_ACTIVE);
    scene_want(&scene, (int[]){0, 1, node}, 3);
    scene_await_moved(&scene);
    cr_assert_null(shard_raft(scene.cluster.shards[2], scene.p));
    writer_run(&scene.writer, 1500);
    for (uint16_t p = 0; p < CLUSTER_PARTITIONS; p++)
        cr_assert_eq(scene.cluster.moved[p], before + 1, "partition %u is told of as done", p);
    cr_assert_eq(scene.cluster.moved[CLUSTER_PARTITIONS], before + 1, "so is the meta group");
    for (int i = 0; i < scene.cluster.nodes; i++) {
        cluster_moves(&scene.cluster, i);
        for (uint32_t j = 0; j < scene.cluster.move_count; j++)
            cr_assert_eq(scene.cluster.moves[j].config_epoch, before + 1, "moved or not");
    }
    cr_assert_eq(move_of(&scene)->step, TRANSFER_DONE);
    cr_assert_eq(move_of(&scene)->config_epoch, before + 1);
    cr_assert(move_of(&scene)->committed);
    cluster_map_finish(&scene.cluster);
    cluster_map_tell(&scene.cluster);
    writer_run(&scene.writer, 1500);
    cr_assert_eq(move_of(&scene)->config_epoch, before + 1, "nothing is to do");
    scene_end(&scene);
}

Test(shard_moves, a_leader_that_is_to_go_hands_over_and_goes, .timeout = 120)
{
    struct scene scene;
    int leader, comes;

    scene_begin(&scene, 3);
    comes = cluster_map_join(&scene.cluster, true);
    leader = cluster_leader(&scene.cluster, scene.p);
    writer_run(&scene.writer, 2000);
    scene.writer.pause_ms = 0;
    scene_want(&scene, (int[]){comes, (leader + 1) % 3, (leader + 2) % 3}, 3);
    scene_await_moved(&scene);
    cr_assert_null(shard_raft(scene.cluster.shards[leader], scene.p));
    cr_assert_leq(scene.writer.pause_ms, 100, "no election was waited for: %llu ms",
                  (unsigned long long)scene.writer.pause_ms);
    writer_run(&scene.writer, 4000);
    cr_assert_eq(cluster_leader(&scene.cluster, scene.p), comes, "the first of the row leads");
    scene_end(&scene);
}

Test(shard_moves, a_group_goes_to_other_nodes_altogether, .timeout = 120)
{
    struct scene scene;
    int comes[3];

    scene_begin(&scene, 3);
    for (int i = 0; i < 3; i++)
        comes[i] = cluster_map_join(&scene.cluster, true);
    scene_want(&scene, comes, 3);
    scene_await_moved(&scene);
    for (int node = 0; node < 3; node++)
        cr_assert_null(shard_raft(scene.cluster.shards[node], scene.p));
    scene_want(&scene, (int[]){0, 1, 2}, 3);
    scene_await_moved(&scene);
    cr_assert_gt(shard_raft(scene.cluster.shards[0], scene.p)->options.self.life, 1);
    scene_end(&scene);
}

Test(shard_moves, what_has_left_the_log_comes_as_a_snapshot, .timeout = 240)
{
    struct scene scene;
    struct shard_stats stats;
    uint64_t life;
    int comes;

    scene_begin(&scene, 3);
    scene_fill(&scene, 3000, 59);
    comes = cluster_map_join(&scene.cluster, true);
    cr_assert_gt(shard_raft(scene.cluster.shards[cluster_leader(&scene.cluster, scene.p)], scene.p)
                     ->log.first,
                 1);
    scene_want(&scene, (int[]){0, comes, 2}, 3);
    scene_await_moved(&scene);
    shard_stats(scene.cluster.shards[comes], &stats);
    cr_assert_eq(stats.snapshots_installed, 1);
    /* It is still the replica that it was, whoever's state that was. */
    life = shard_raft(scene.cluster.shards[comes], scene.p)->options.self.life;
    cr_assert_gt(life, 1);
    cluster_kill(&scene.cluster, comes);
    cluster_restart(&scene.cluster, comes);
    cr_assert_eq(shard_raft(scene.cluster.shards[comes], scene.p)->options.self.life, life);
    writer_run(&scene.writer, 3000);
    scene_await_moved(&scene);
    scene_end(&scene);
}

/* The meta group is led by another than that node: who leads it asks all nodes all the time. */
static void lead_meta_elsewhere(struct scene *scene, int node)
{
    struct raft_event event = {.kind = RAFT_EVENT_TRANSFER};
    struct shard *shard = scene->cluster.shards[node];

    event.from.member = (uint16_t)((node + 1) % CLUSTER_NODES + 1);
    if (shard->meta->raft.role == RAFT_LEADER)
        shard_raft_event(shard, shard->meta, &event);
    writer_run(&scene->writer, 1000);
    cr_assert_eq(shard->meta->raft.role, RAFT_FOLLOWER);
}

/* It takes nothing on before, and so has nothing to say; meanwhile the log that it lacks goes. */
Test(shard_moves, who_hears_late_that_it_has_joined_gets_its_snapshot, .timeout = 240)
{
    struct scene scene;
    const struct raft *raft;
    int leader, comes;

    scene_begin(&scene, 3);
    for (int node = 0; node < CLUSTER_NODES; node++) {
        cluster_kill(&scene.cluster, node);
        scene.cluster.options.log_ms_max = 0;
        cluster_restart(&scene.cluster, node);
    }
    cluster_await_leaders(&scene.cluster);
    comes = cluster_map_join(&scene.cluster, false);
    leader = cluster_leader(&scene.cluster, scene.p);
    lead_meta_elsewhere(&scene, leader);
    scene.cluster.deaf[comes] = true;
    cluster_map_state(&scene.cluster, comes, RINGMAP_STATE_ACTIVE);
    scene_want(&scene, (int[]){leader, (leader + 1) % CLUSTER_NODES, comes}, 3);
    writer_run(&scene.writer, 2000);
    scene_fill(&scene, 3000, 59);
    writer_run(&scene.writer, 10000);
    raft = scene_raft(&scene, leader);
    cr_assert_eq(raft->role, RAFT_LEADER);
    cr_assert_gt(raft->log.first, raft->config.index);
    cr_assert(raft_peer(raft, (uint16_t)(comes + 1))->snapshot_wanted);
    cr_assert_null(scene_raft(&scene, comes), "it has joined, no more");
    scene.cluster.deaf[comes] = false;
    cluster_map_tell_node(&scene.cluster, comes);
    scene_await_moved(&scene);
    scene_end(&scene);
}

/* The log that it lacks is gone before it was ever there: nothing but a snapshot is sent to it. */
Test(shard_moves, a_learner_may_begin_with_a_snapshot, .timeout = 240)
{
    struct scene scene;
    const struct raft *raft;
    int comes;

    scene_begin(&scene, 3);
    comes = cluster_map_join(&scene.cluster, true);
    cluster_kill(&scene.cluster, comes);
    scene_want(&scene, (int[]){0, comes, 2}, 3);
    writer_run(&scene.writer, 2000);
    scene.cluster.options.log_ms_max = 0;
    for (int node = 0; node < CLUSTER_NODES; node++) {
        cluster_kill(&scene.cluster, node);
        cluster_restart(&scene.cluster, node);
        writer_run(&scene.writer, 2000);
    }
    scene_fill(&scene, 3000, 59);
    raft = shard_raft(scene.cluster.shards[cluster_leader(&scene.cluster, scene.p)], scene.p);
    cr_assert_gt(raft->log.first, raft->config.index);
    cr_assert(raft_peer(raft, (uint16_t)(comes + 1))->snapshot_wanted);
    cluster_restart(&scene.cluster, comes);
    scene_await_moved(&scene);
    scene_end(&scene);
}

/* One after the other and by twos, up and down. */
Test(shard_moves, the_number_of_replicas_changes, .timeout = 240)
{
    static const uint32_t counts[] = {3, 5, 4, 2, 1, 3};
    struct scene scene;

    scene_begin(&scene, 2);
    for (int i = 0; i < 2; i++)
        (void)cluster_map_join(&scene.cluster, true);
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        scene_want(&scene, (int[]){4, 1, 2, 3, 0}, counts[i]);
        scene_await_moved(&scene);
        writer_check(&scene.writer);
    }
    scene_end(&scene);
}

Test(shard_moves, a_dead_node_is_replaced, .timeout = 120)
{
    struct scene scene;
    int leader, dead, comes;

    scene_begin(&scene, 3);
    comes = cluster_map_join(&scene.cluster, true);
    leader = cluster_leader(&scene.cluster, scene.p);
    dead = (leader + 1) % 3;
    cluster_kill(&scene.cluster, dead);
    writer_run(&scene.writer, 3000);
    cluster_map_state(&scene.cluster, dead, RINGMAP_STATE_REMOVED);
    scene_want(&scene, (int[]){leader, comes, (leader + 2) % 3}, 3);
    scene_await_moved(&scene);
    scene_end(&scene);
}

/* The ring map itself is of a group that moves. */
Test(shard_moves, the_meta_group_moves_and_comes_back, .timeout = 120)
{
    struct scene scene;
    int comes;

    scene_begin(&scene, 3);
    comes = cluster_map_join(&scene.cluster, true);
    cr_assert_null(shard_raft(scene.cluster.shards[comes], STORE_PARTITION_META));
    for (int back = 0; back < 2; back++) {
        cluster_map_meta(&scene.cluster, (int[]){back ? 0 : comes, 1, 2}, 3);
        cluster_map_tell(&scene.cluster);
        cr_assert(cluster_await_moved(&scene.cluster, STORE_PARTITION_META, SCENE_MOVE_MS));
        cr_assert_null(shard_raft(scene.cluster.shards[back ? comes : 0], STORE_PARTITION_META));
        cluster_run(&scene.cluster, 2000);
        for (int node = 0; node < scene.cluster.nodes; node++) {
            cluster_kill(&scene.cluster, node);
            cluster_restart(&scene.cluster, node);
        }
        cr_assert(cluster_await_moved(&scene.cluster, STORE_PARTITION_META, SCENE_MOVE_MS));
    }
    scene_end(&scene);
}

/* Back to where it was, in any state that it may be in by then. */
Test(shard_moves, an_aborted_plan_leaves_no_learner_behind, .timeout = 240)
{
    for (uint32_t ms = 0; ms < 1500; ms += 50) {
        struct scene scene;
        int comes;

        scene_begin(&scene, 3);
        comes = cluster_map_join(&scene.cluster, true);
        scene_want(&scene, (int[]){0, comes, 2}, 3);
        writer_run(&scene.writer, ms);
        scene_want(&scene, (int[]){0, 1, 2}, 3);
        scene_await_moved(&scene);
        cr_assert_null(shard_raft(scene.cluster.shards[comes], scene.p), "%u", ms);
        scene_end(&scene);
    }
}

static uint32_t learners(const struct scene *scene)
{
    uint32_t count = 0;

    for (uint16_t p = 0; p < CLUSTER_PARTITIONS; p++) {
        int leader = cluster_leader(&scene->cluster, p);

        count +=
            leader < 0 ? 0 : shard_raft(scene->cluster.shards[leader], p)->config.learner_count;
    }
    return count;
}

static bool all_moved(struct scene *scene)
{
    for (uint16_t p = 0; p < CLUSTER_PARTITIONS; p++)
        if (!cluster_await_moved(&scene->cluster, p, 0))
            return false;
    return true;
}

/* Each leader begins so many at once, and a map that says stop lets no more begin. */
Test(shard_moves, only_so_many_learners_are_fed_at_once_and_none_begins_while_paused,
     .timeout = 240)
{
    struct scene scene;
    uint32_t most = 0;
    int comes;

    scene_begin(&scene, 3);
    comes = cluster_map_join(&scene.cluster, true);
    scene.cluster.options.moves_max = 1;
    cluster_restart_all(&scene.cluster);
    scene.cluster.cut[comes] = true; /* there, and never far enough */
    for (uint16_t p = 0; p < CLUSTER_PARTITIONS; p++)
        cluster_map_want(&scene.cluster, p, (int[]){0, 1, comes}, 3);
    scene.cluster.newest.paused = true;
    cluster_map_tell(&scene.cluster);
    writer_run(&scene.writer, 1000);
    cr_assert_eq(learners(&scene), 0);
    cr_assert_eq(move_of(&scene)->step, TRANSFER_PAUSED);
    cr_assert(scene.cluster.moves_head.paused);
    scene.cluster.newest.paused = false;
    cluster_map_tell(&scene.cluster);
    for (int i = 0; i < 200; i++) {
        writer_run(&scene.writer, 10);
        most = learners(&scene) > most ? learners(&scene) : most;
    }
    cr_assert(most >= 1 && most <= CLUSTER_NODES, "one for each leader: %u", most);
    scene.cluster.cut[comes] = false;
    for (int i = 0; i < 3000 && !all_moved(&scene); i++)
        writer_run(&scene.writer, 10);
    cr_assert(all_moved(&scene));
    scene_end(&scene);
}

/* So many ms from when the group is as the newest map wants it until it is told. */
static uint64_t told_after(struct scene *scene)
{
    uint64_t epoch = scene->cluster.newest.epoch, done_ms = 0;

    for (int i = 0; i < 2000; i++) {
        int leader = cluster_leader(&scene->cluster, scene->p);
        const struct raft *raft =
            leader < 0 ? NULL : shard_raft(scene->cluster.shards[leader], scene->p);

        if (done_ms == 0 && raft && raft->config.epoch == epoch &&
            raft->config.voter_old_count == 0 && raft->config.learner_count == 0 &&
            raft->commit >= raft->config.index)
            done_ms = scene->cluster.now_ms;
        if (scene->cluster.moved[scene->p] == epoch)
            return done_ms == 0 ? 0 : scene->cluster.now_ms - done_ms;
        writer_run(&scene->writer, 10);
    }
    cr_assert_fail("it is told");
    return 0;
}

/* Whenever it comes to be in the rounds of duties, which are 100 ms apart. */
Test(shard_moves, the_end_of_a_move_is_told_at_once, .timeout = 240)
{
    struct scene scene;
    int comes;

    scene_begin(&scene, 3);
    comes = cluster_map_join(&scene.cluster, true);
    for (int i = 0; i < 6; i++) {
        writer_run(&scene.writer, 2000 + 30 * (uint64_t)i);
        scene_want(&scene, (int[]){0, 1, i % 2 == 0 ? comes : 2}, 3);
        cr_assert_leq(told_after(&scene), 30);
        cluster_map_finish(&scene.cluster);
        cluster_map_tell(&scene.cluster);
    }
    scene_end(&scene);
}

/* One node takes links and says nothing, as a stopped process does: those who are to go to another
 * have their turn. */
Test(shard_moves, a_silent_learner_takes_nobodys_turn, .timeout = 240)
{
    struct scene scene;
    int silent, comes;

    scene_begin(&scene, 3);
    silent = cluster_map_join(&scene.cluster, true);
    comes = cluster_map_join(&scene.cluster, true);
    scene.cluster.options.moves_max = 1;
    cluster_restart_all(&scene.cluster);
    scene.cluster.cut[silent] = true;
    for (uint16_t p = 0; p < CLUSTER_PARTITIONS; p++)
        cluster_map_want(&scene.cluster, p, (int[]){0, 1, p == scene.p ? comes : silent}, 3);
    cluster_map_tell(&scene.cluster);
    scene_await_moved(&scene);
    writer_run(&scene.writer, SCENE_MOVE_MS);
    cr_assert_eq(learners(&scene), CLUSTER_PARTITIONS - 1, "each has had its turn");
    scene.cluster.cut[silent] = false;
    for (int i = 0; i < 3000 && !all_moved(&scene); i++)
        writer_run(&scene.writer, 10);
    cr_assert(all_moved(&scene), "the others go on when it is heard");
    scene_end(&scene);
}

/* What a node sends as snapshots in a second is at most what the map says, and about that when only
 * one of its shards has something to send. */
Test(shard_moves, the_byte_budget_of_the_map_holds, .timeout = 240)
{
    struct scene scene;
    struct shard_stats before, after;
    int comes, leader;

    scene_begin(&scene, 3);
    fill_slow(&scene, 6000);
    comes = cluster_map_join(&scene.cluster, true);
    scene_want(&scene, (int[]){0, 1, comes}, 3);
    writer_run(&scene.writer, 500);
    leader = cluster_leader(&scene.cluster, scene.p);
    shard_stats(scene.cluster.shards[leader], &before);
    writer_run(&scene.writer, 2000);
    cr_assert_eq(cluster_leader(&scene.cluster, scene.p), leader);
    shard_stats(scene.cluster.shards[leader], &after);
    cr_assert(after.snapshot_bytes_sent - before.snapshot_bytes_sent >= 30u << 10 &&
                  after.snapshot_bytes_sent - before.snapshot_bytes_sent <= 60u << 10,
              "%llu bytes",
              (unsigned long long)(after.snapshot_bytes_sent - before.snapshot_bytes_sent));
    cr_assert_eq(move_of(&scene)->step, TRANSFER_CLIENTS);
    cr_assert_eq(move_of(&scene)->member, comes + 1);
    cr_assert(move_of(&scene)->sent > 0 && move_of(&scene)->sent < move_of(&scene)->bytes);
    scene.cluster.newest.move_rate = 64;
    cluster_map_tell(&scene.cluster);
    cr_assert(writer_await_moved(&scene.writer, 3000), "faster, while it runs");
    cr_assert_eq(scene.cluster.moves_head.rate, 20u << 10);
    cluster_moves(&scene.cluster, 0);
    cr_assert_eq(scene.cluster.moves_head.rate, 64u << 20);
    scene_end(&scene);
}

static void await_resumed(struct scene *scene, int node)
{
    struct shard_stats stats = {0};

    for (int i = 0; i < 2000 && stats.snapshots_resumed == 0; i++) {
        writer_run(&scene->writer, 10);
        shard_stats(scene->cluster.shards[node], &stats);
    }
    cr_assert_eq(stats.snapshots_resumed, 1);
}

/* The source dies half way; the new one sends what is left, and not what is there. */
Test(shard_moves, a_new_leader_goes_on_with_the_snapshot_where_it_ended, .timeout = 240)
{
    struct scene scene;
    struct shard_stats stats;
    uint64_t before, sent;
    int comes, leader, next;

    scene_begin(&scene, 3);
    fill_slow(&scene, 6000);
    comes = cluster_map_join(&scene.cluster, true);
    scene_want(&scene, (int[]){0, 1, comes}, 3);
    writer_run(&scene.writer, 3500);
    leader = cluster_leader(&scene.cluster, scene.p);
    shard_stats(scene.cluster.shards[leader], &stats);
    before = stats.snapshot_bytes_sent;
    cr_assert(before > 40u << 10 && move_of(&scene)->step == TRANSFER_CLIENTS, "half way");
    sent = move_of(&scene)->sent;
    cluster_kill(&scene.cluster, leader);
    writer_await(&scene.writer, 50);
    next = cluster_leader(&scene.cluster, scene.p);
    cr_assert_neq(next, leader);
    await_resumed(&scene, next);
    cr_assert_gt(move_of(&scene)->sent, sent - sent / 10, "what is there counts as sent");
    for (int i = 0; i < 2000 && cluster_installed(&scene.cluster, comes) == 0; i++)
        writer_run(&scene.writer, 10);
    shard_stats(scene.cluster.shards[next], &stats);
    cr_assert_eq(stats.snapshots_resumed, 1);
    cr_assert_lt(stats.snapshot_bytes_sent, before, "%llu of about 100,000 bytes were there",
                 (unsigned long long)before);
    cluster_restart(&scene.cluster, leader);
    scene_await_moved(&scene);
    scene_end(&scene);
}

/* The node that comes ends half way, so quickly back that the source has not given up, or not; with
 * what was on its disk by then it goes on. */
static void restart_target(unsigned away_ms, unsigned opening_ms)
{
    struct scene scene;
    struct shard_stats stats;
    uint64_t before;
    int comes;

    scene_begin(&scene, 3);
    scene.cluster.options.snapshot_rate = 20u << 10;
    scene.cluster.options.store.install_size = 4096;
    cluster_restart_all(&scene.cluster);
    scene_fill(&scene, 6000, 59);
    comes = cluster_map_join(&scene.cluster, true);
    scene_want(&scene, (int[]){0, 1, comes}, 3);
    writer_run(&scene.writer, 3500);
    before = move_of(&scene)->sent;
    cr_assert(before > 40u << 10 && move_of(&scene)->step == TRANSFER_CLIENTS, "half way");
    cluster_kill(&scene.cluster, comes);
    writer_run(&scene.writer, away_ms);
    scene.cluster.opening_ms = opening_ms;
    cluster_restart(&scene.cluster, comes);
    shard_stats(scene.cluster.shards[comes], &stats);
    cr_assert_eq(stats.snapshots_kept, 1);
    for (int i = 0; i < 2000 && cluster_installed(&scene.cluster, comes) == 0; i++)
        writer_run(&scene.writer, 10);
    cr_assert_eq(cluster_installed(&scene.cluster, comes), 1);
    shard_stats(scene.cluster.shards[cluster_leader(&scene.cluster, scene.p)], &stats);
    cr_assert_eq(stats.snapshots_resumed, 1);
    cr_assert_lt(stats.snapshot_bytes_sent, 160000, "%llu, %llu of them before, of about 130,000",
                 (unsigned long long)stats.snapshot_bytes_sent, (unsigned long long)before);
    scene_await_moved(&scene);
    scene_end(&scene);
}

Test(shard_moves, a_target_that_is_restarted_goes_on_where_its_disk_ends, .timeout = 240)
{
    restart_target(100, 0);
}

Test(shard_moves, so_does_one_whose_source_has_given_up, .timeout = 240)
{
    restart_target(12000, 0);
}

/* All shards of a node are opened before the first of them goes on. */
Test(shard_moves, and_one_whose_node_was_long_in_starting, .timeout = 240)
{
    restart_target(20000, 25000);
}

/* A leader that goes by an older map does not take the group back. */
Test(shard_moves, an_older_map_moves_nothing, .timeout = 120)
{
    struct scene scene;
    int comes, leader, other;

    scene_begin(&scene, 3);
    comes = cluster_map_join(&scene.cluster, true);
    leader = cluster_leader(&scene.cluster, scene.p);
    other = (leader + 1) % 3;
    scene.cluster.deaf[other] = scene.cluster.deaf[(leader + 2) % 3] = true;
    scene_want(&scene, (int[]){comes, leader, other}, 3); /* nobody who is there stands early */
    scene_await_moved(&scene);
    cluster_kill(&scene.cluster, comes);
    for (int i = 0; i < 20 && cluster_leader(&scene.cluster, scene.p) != other; i++) {
        cluster_kill(&scene.cluster, leader);
        writer_run(&scene.writer, 1000);
        cluster_restart(&scene.cluster, leader);
        for (int j = 0; j < 200 && cluster_leader(&scene.cluster, scene.p) < 0; j++)
            writer_run(&scene.writer, 10);
    }
    cr_assert_eq(cluster_leader(&scene.cluster, scene.p), other);
    writer_run(&scene.writer, 500);
    cr_assert_eq(move_of(&scene)->step, TRANSFER_MAP);
    cluster_restart(&scene.cluster, comes);
    writer_run(&scene.writer, 1000);
    cr_assert(cluster_await_moved(&scene.cluster, scene.p, 0),
              "it is where the newest map wants it");
    scene.cluster.deaf[other] = false;
    cluster_map_tell_node(&scene.cluster, other);
    scene_await_moved(&scene);
    scene_end(&scene);
}
