#include "shard_writer.h"

#include "replication/raft.h"
#include "tests/storage/vfs_crash.h"
#include "tests/dice.h"

#include <criterion/criterion.h>

#include <stdio.h>

/* A plan is carried out while nodes lose power at any write to their disk, and while messages get
 * lost, come twice or late. It always ends, nothing that was acknowledged is lost, and all replicas
 * are the same. Who comes gets the log, or, where there is none, snapshots in several pieces. */

#define MOVE_MS       30000u
#define FILL_KEYS     24u
#define FILL_SIZE     1000u
#define SNAPSHOT_RATE 100000u /* bytes a second: some 12 KiB a piece */

static struct vfs *unmake(struct vfs *disk)
{
    vfs_crash_free(disk);
    return NULL;
}

static const struct cluster_disks crashing = {vfs_crash_new, unmake};

enum victim { LEADER, STAYS, GOES, COMES, VICTIMS };
enum means { BY_LOG, BY_SNAPSHOT };

struct scene {
    struct cluster cluster;
    struct writer writer;
    uint16_t p;
    int nodes[VICTIMS];
};

/* Log is kept for nobody. */
static void forget_log(struct cluster *cluster)
{
    cluster->options.log_size_max = 1;
    cluster->options.retain_entries_min = 0;
    cluster->options.snapshot_rate = SNAPSHOT_RATE;
    cluster_restart_all(cluster);
}

/* More than goes into one piece, and does not compress. */
static void fill(struct cluster *cluster, uint16_t partition)
{
    uint32_t filled = 0;

    for (uint32_t i = 0; filled < FILL_KEYS; i++) {
        char key[16], value[FILL_SIZE + 1];

        snprintf(key, sizeof key, "fill-%u", i);
        if (cluster_partition(cluster, key) != partition)
            continue;
        dice_text(i, value, FILL_SIZE);
        value[FILL_SIZE] = 0;
        cr_assert_eq(cluster_set(cluster, key, value)->status, WIRE_STATUS_OK);
        filled++;
    }
}

static void begin(struct scene *scene, enum means means)
{
    cluster_start_on(&scene->cluster, 3, NULL, &crashing);
    scene->cluster.options.store.install_size = 128; /* what comes in is on the disk soon */
    cluster_restart_all(&scene->cluster);
    if (means == BY_SNAPSHOT)
        forget_log(&scene->cluster);
    writer_init(&scene->writer, &scene->cluster);
    scene->p = scene->writer.partition;
    if (means == BY_SNAPSHOT)
        fill(&scene->cluster, scene->p);
    scene->nodes[COMES] = cluster_map_join(&scene->cluster, true);
    writer_await(&scene->writer, 100);
    scene->nodes[LEADER] = cluster_leader(&scene->cluster, scene->p);
    scene->nodes[STAYS] = (scene->nodes[LEADER] + 1) % 3;
    scene->nodes[GOES] = (scene->nodes[LEADER] + 2) % 3;
}

static void begin_plan(struct scene *scene, bool leader_goes)
{
    cluster_map_want(&scene->cluster, scene->p,
                     (int[]){scene->nodes[leader_goes ? GOES : LEADER], scene->nodes[STAYS],
                             scene->nodes[COMES]},
                     3);
    cluster_map_tell(&scene->cluster);
}

static void end(struct scene *scene)
{
    writer_check(&scene->writer);
    cluster_stop(&scene->cluster);
}

/* It may be that it has not noticed yet, or that its disk was never cut. */
static void bring_back(struct scene *scene, int node)
{
    vfs_crash_cut_after(scene->cluster.disks[node], 0);
    scene->cluster.dying[node] = false;
    if (scene->cluster.shards[node] && !vfs_crash_is_cut(scene->cluster.disks[node]))
        return;
    if (scene->cluster.shards[node])
        cluster_kill(&scene->cluster, node);
    vfs_crash_restart(scene->cluster.disks[node]);
    cluster_restart(&scene->cluster, node);
}

/* The victim's n-th write from the plan's beginning on is its last. False: the plan was done
 * before. */
static bool crash_at(enum victim victim, uint64_t n, bool leader_goes, enum means means)
{
    struct scene scene;
    bool died = false, moved = false;
    uint32_t pieces;
    int node;

    begin(&scene, means);
    node = scene.nodes[victim];
    pieces = scene.cluster.snapshot_pieces;
    scene.cluster.dying[node] = true;
    vfs_crash_cut_after(scene.cluster.disks[node], n);
    begin_plan(&scene, leader_goes);
    for (int i = 0; i < 2000 && !died && !moved; i++) {
        moved = writer_await_moved(&scene.writer, 10);
        died = !scene.cluster.shards[node];
    }
    cr_assert(died || moved);
    if (died)
        writer_run(&scene.writer, 300);
    bring_back(&scene, node);
    cr_assert(writer_await_moved(&scene.writer, MOVE_MS), "victim %d, write %llu", victim,
              (unsigned long long)n);
    writer_await(&scene.writer, 10);
    if (means == BY_SNAPSHOT)
        cr_assert_geq(scene.cluster.snapshot_pieces - pieces, 3, "by log: victim %d, write %llu",
                      victim, (unsigned long long)n);
    end(&scene);
    return died;
}

static void crash_everywhere(enum victim victim, bool leader_goes)
{
    uint64_t n = 1;

    while (crash_at(victim, n, leader_goes, BY_LOG) && n < 400)
        n += n < 40 ? 1 : 10;
    cr_assert_gt(n, 20, "it was cut while the plan was under way: %llu", (unsigned long long)n);
}

/* Fewer places: only those differ at which a snapshot is under way. */
static void crash_in_snapshots(enum victim victim, bool leader_goes)
{
    uint64_t n = 1;

    while (crash_at(victim, n, leader_goes, BY_SNAPSHOT) && n < 400)
        n += n < 40 ? 3 : 30;
    cr_assert_gt(n, 20, "it was cut while the plan was under way: %llu", (unsigned long long)n);
}

Test(shard_moves_crash, the_leader_loses_power_at_any_write, .timeout = 600)
{
    crash_everywhere(LEADER, false);
}

Test(shard_moves_crash, the_leader_that_is_to_go_loses_power_at_any_write, .timeout = 600)
{
    crash_everywhere(LEADER, true);
}

Test(shard_moves_crash, one_that_stays_loses_power_at_any_write, .timeout = 600)
{
    crash_everywhere(STAYS, false);
}

Test(shard_moves_crash, one_that_goes_loses_power_at_any_write, .timeout = 600)
{
    crash_everywhere(GOES, false);
}

Test(shard_moves_crash, one_that_comes_loses_power_at_any_write, .timeout = 600)
{
    crash_everywhere(COMES, false);
}

Test(shard_moves_crash, the_leader_loses_power_while_snapshots_move, .timeout = 600)
{
    crash_in_snapshots(LEADER, false);
}

Test(shard_moves_crash, the_leader_that_is_to_go_loses_power_while_snapshots_move, .timeout = 600)
{
    crash_in_snapshots(LEADER, true);
}

Test(shard_moves_crash, one_that_stays_loses_power_while_snapshots_move, .timeout = 600)
{
    crash_in_snapshots(STAYS, false);
}

Test(shard_moves_crash, one_that_goes_loses_power_while_snapshots_move, .timeout = 600)
{
    crash_in_snapshots(GOES, false);
}

Test(shard_moves_crash, one_that_comes_loses_power_while_snapshots_move, .timeout = 600)
{
    crash_in_snapshots(COMES, false);
}

/* Four nodes, three replicas that go round among them. */
static void go_round(struct scene *scene, uint32_t round)
{
    int first = (int)(round % 4);

    cluster_map_want(&scene->cluster, scene->p, (int[]){first, (first + 1) % 4, (first + 2) % 4},
                     3);
    cluster_map_tell(&scene->cluster);
}

Test(shard_moves_crash, messages_get_lost_come_twice_and_late, .timeout = 600)
{
    for (uint64_t seed = 1; seed <= 12; seed++) {
        struct scene scene;

        begin(&scene, BY_LOG);
        scene.cluster.random = seed * 7919;
        scene.cluster.loss = scene.cluster.twice = scene.cluster.late = 30 * (uint32_t)(seed % 4);
        for (uint32_t round = 0; round < 6; round++) {
            go_round(&scene, round);
            cr_assert(writer_await_moved(&scene.writer, MOVE_MS), "seed %llu, round %u",
                      (unsigned long long)seed, round);
            writer_await(&scene.writer, 5);
        }
        scene.cluster.loss = scene.cluster.twice = scene.cluster.late = 0;
        writer_run(&scene.writer, 3000);
        end(&scene);
    }
}

/* Plans change before they are done, nodes lose power, one at a time, and everything gets lost. */
Test(shard_moves_crash, all_of_it_at_once, .timeout = 600)
{
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct scene scene;
        uint64_t random = seed;

        begin(&scene, BY_LOG);
        scene.cluster.random = seed * 104729;
        scene.cluster.loss = scene.cluster.twice = scene.cluster.late = 20;
        for (uint32_t round = 0; round < 12; round++) {
            int node;

            random = random * 6364136223846793005u + 1442695040888963407u;
            node = (int)((random >> 33) % 4);
            go_round(&scene, (uint32_t)(random >> 40));
            scene.cluster.dying[node] = true;
            vfs_crash_cut_after(scene.cluster.disks[node], 1 + (random >> 50) % 60);
            writer_run(&scene.writer, 200 + (random >> 36) % 3000);
            bring_back(&scene, node);
        }
        scene.cluster.loss = scene.cluster.twice = scene.cluster.late = 0;
        cr_assert(writer_await_moved(&scene.writer, MOVE_MS), "seed %llu",
                  (unsigned long long)seed);
        writer_await(&scene.writer, 20);
        end(&scene);
    }
}
