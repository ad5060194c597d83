#include "shard_cluster_internal.h"
#include "shard_scene.h"

#include "replication/raft.h"
#include "storage/filename.h"
#include "storage/journal_format.h"
#include "storage/manifest.h"

#include <criterion/criterion.h>

#include <stdlib.h>
#include <string.h>

/* What a node finds damaged when it starts is fenced, whether the partition was founded there,
 * moved there or came back, and heals from the others. */

#define HEAL_MS 30000u

static void move_to(struct scene *scene, int node)
{
    scene_want(scene, (int[]){scene->leader, scene->other, node}, 3);
    scene_await_moved(scene);
    cluster_map_finish(&scene->cluster);
    cluster_map_tell(&scene->cluster);
    writer_run(&scene->writer, 1500);
}

/* One replica has moved, as a snapshot: the log that it lacked is gone. */
static void begin_moved(struct scene *scene)
{
    scene_begin_joined(scene);
    scene_fill(scene, 400, 11999);
    move_to(scene, scene->comes);
}

/* Log is kept for nobody. */
static void forget_log(struct scene *scene)
{
    scene->cluster.options.log_size_max = 1;
    scene->cluster.options.retain_entries_min = 0;
    cluster_restart_all(&scene->cluster);
    writer_await(&scene->writer, 20);
    scene->goes = (cluster_leader(&scene->cluster, scene->p) + 1) % 3;
}

static bool fenced(const struct scene *scene, int node)
{
    return shard_fenced(scene->cluster.shards[node], scene->p, NULL);
}

static void expect_heals(struct scene *scene, int node)
{
    const struct raft *raft;

    cr_assert(fenced(scene, node), "what is damaged is not believed");
    for (uint64_t ms = 0; ms < HEAL_MS && fenced(scene, node); ms += 100)
        writer_run(&scene->writer, 100);
    cr_assert(!fenced(scene, node), "a snapshot came");
    raft = shard_raft(scene->cluster.shards[node], scene->p);
    cr_assert_neq(raft->options.self.life, UINT64_MAX);
    writer_await(&scene->writer, 20);
    writer_run(&scene->writer, 1500);
}

/* --- damage -------------------------------------------------------------------------------- */

static void remove_casks(struct scene *scene, int node)
{
    struct cluster_files files;
    uint32_t casks = 0;

    cluster_files(&scene->cluster, node, &files);
    for (size_t i = 0; i < files.count; i++) {
        uint64_t number;
        uint16_t partition;

        if (!filename_is_cask(files.paths[i] + strlen("shard-00/"), &partition, &number) ||
            partition != scene->p)
            continue;
        cr_assert_eq(vfs_remove(scene->cluster.disks[node], files.paths[i]), 0);
        casks++;
    }
    cr_assert_gt(casks, 0);
}

static void flip(struct vfs_file *file, uint64_t offset)
{
    uint8_t byte;
    struct iovec iov = {&byte, 1};

    cr_assert_eq(vfs_pread(file, &byte, 1, offset), 1);
    byte ^= 1;
    cr_assert_eq(vfs_pwritev(file, &iov, 1, offset), 0);
}

/* The runs of the partition in all segments, the checkpoints that are there with them. */
static void flip_runs(struct scene *scene, int node, const char *path)
{
    static uint8_t bytes[8u << 20];
    struct journal_batch_header header;
    struct vfs_file *file;
    int64_t size;

    cr_assert_eq(vfs_open(scene->cluster.disks[node], path, VFS_OPEN_WRITE, &file), 0);
    size = vfs_pread(file, bytes, sizeof bytes, 0);
    cr_assert_gt(size, 0);
    for (uint64_t at = JOURNAL_BLOCK_SIZE; at + JOURNAL_BLOCK_SIZE <= (uint64_t)size;) {
        if (journal_batch_header_peek(bytes + at, (size_t)size - at, &header) != 0 ||
            header.offset != at || at + header.length > (uint64_t)size) {
            at += JOURNAL_BLOCK_SIZE;
            continue;
        }
        for (uint32_t i = 0; i < header.run_count; i++) {
            struct journal_run run;
            uint32_t run_end;

            if (journal_run_at(bytes + at, &header, i, &run, &run_end) && run.partition == scene->p)
                flip(file, at + run.offset + 8);
        }
        at += header.length;
    }
    vfs_close(file);
}

static void flip_journal(struct scene *scene, int node)
{
    struct cluster_files files;
    uint64_t number;

    cluster_files(&scene->cluster, node, &files);
    for (size_t i = 0; i < files.count; i++)
        if (filename_is_journal(files.paths[i] + strlen("shard-00/"), &number))
            flip_runs(scene, node, files.paths[i]);
}

static void rewrite_begin(struct manifest *manifest, struct scene *scene, int node)
{
    manifest_init(manifest);
    cr_assert_eq(manifest_load(manifest, scene->cluster.disks[node], "shard-00"), 0);
}

static void rewrite_end(struct manifest *manifest, struct scene *scene, int node)
{
    cr_assert_eq(manifest_rewrite(manifest, scene->cluster.disks[node], "shard-00"), 0);
    manifest_deinit(manifest);
}

static void forget_casks(struct manifest *manifest, uint16_t partition)
{
    const struct manifest_cask *casks;
    size_t count;

    while ((casks = manifest_casks(manifest, partition, &count)))
        cr_assert_eq(manifest_cask_drop(manifest, partition, casks->number), 0);
}

/* As it is when the segment of the partition's floor has gone: its life is in checkpoints only. */
static void forget_floors(struct scene *scene, int node)
{
    struct manifest manifest;

    rewrite_begin(&manifest, scene, node);
    for (size_t i = 0; i < manifest.floor_count; i++)
        free(manifest.floors[i].state);
    manifest.floor_count = 0;
    rewrite_end(&manifest, scene, node);
}

static void forget_life(struct scene *scene, int node)
{
    forget_floors(scene, node);
    flip_journal(scene, node);
}

/* As if the edit that ended the install had rotted behind the last one: the replica is as it began,
 * but for what the journal has from then on. */
static void forget_install(struct scene *scene, int node)
{
    struct store_checkpoint checkpoint;
    struct manifest manifest;
    struct manifest_floor *floor = NULL;
    bool marked;

    rewrite_begin(&manifest, scene, node);
    forget_casks(&manifest, scene->p);
    for (size_t i = 0; i < manifest.floor_count; i++)
        if (manifest.floors[i].partition == scene->p)
            floor = &manifest.floors[i];
    cr_assert(floor && floor->state);
    cr_assert(journal_checkpoint_decode(floor->state, floor->state_size, &checkpoint, &marked));
    cr_assert_gt(checkpoint.applied, 0);
    checkpoint.applied = checkpoint.applied_term = 0;
    checkpoint.first_index = 1;
    checkpoint.first_prev_term = 0;
    journal_checkpoint_encode(&checkpoint, false, floor->state);
    rewrite_end(&manifest, scene, node);
}

/* The same of a founded one, which had no floor before. */
static void forget_floor_and_casks(struct scene *scene, int node)
{
    struct manifest manifest;
    size_t kept = 0;

    rewrite_begin(&manifest, scene, node);
    forget_casks(&manifest, scene->p);
    for (size_t i = 0; i < manifest.floor_count; i++)
        if (manifest.floors[i].partition != scene->p)
            manifest.floors[kept++] = manifest.floors[i];
        else
            free(manifest.floors[i].state);
    cr_assert_eq(kept + 1, manifest.floor_count, "it came as a snapshot");
    manifest.floor_count = kept;
    rewrite_end(&manifest, scene, node);
}

static void restart_hurt(struct scene *scene, int node, void (*hurt)(struct scene *, int))
{
    cluster_kill(&scene->cluster, node);
    hurt(scene, node);
    cluster_restart(&scene->cluster, node);
}

/* --- tests --------------------------------------------------------------------------------- */

Test(shard_damage, a_founded_partition_whose_journal_is_damaged_is_fenced, .timeout = 240)
{
    struct scene scene;

    scene_begin_joined(&scene);
    restart_hurt(&scene, scene.goes, flip_journal);
    expect_heals(&scene, scene.goes);
    scene_end(&scene);
}

Test(shard_damage, one_that_moved_in_and_lost_a_cask_is_fenced, .timeout = 240)
{
    struct scene scene;

    begin_moved(&scene);
    restart_hurt(&scene, scene.comes, remove_casks);
    expect_heals(&scene, scene.comes);
    scene_end(&scene);
}

Test(shard_damage, what_was_lost_is_listed_no_more_when_it_has_healed, .timeout = 240)
{
    struct scene scene;

    begin_moved(&scene);
    restart_hurt(&scene, scene.comes, remove_casks);
    expect_heals(&scene, scene.comes);
    cluster_kill(&scene.cluster, scene.comes);
    cluster_restart(&scene.cluster, scene.comes);
    cr_assert(!fenced(&scene, scene.comes));
    move_to(&scene, scene.goes);
    cr_assert_null(shard_raft(scene.cluster.shards[scene.comes], scene.p));
    scene_end(&scene);
}

/* It need not heal before. */
Test(shard_damage, a_fenced_one_that_lost_a_cask_can_leave, .timeout = 240)
{
    struct scene scene;

    begin_moved(&scene);
    cluster_kill(&scene.cluster, scene.comes);
    remove_casks(&scene, scene.comes);
    move_to(&scene, scene.goes);
    cluster_restart(&scene.cluster, scene.comes);
    writer_run(&scene.writer, 5000);
    cr_assert_null(shard_raft(scene.cluster.shards[scene.comes], scene.p));
    scene_end(&scene);
}

Test(shard_damage, one_that_came_back_and_lost_a_cask_is_fenced, .timeout = 240)
{
    struct scene scene;

    begin_moved(&scene);
    move_to(&scene, scene.goes);
    restart_hurt(&scene, scene.goes, remove_casks);
    expect_heals(&scene, scene.goes);
    scene_end(&scene);
}

Test(shard_damage, one_whose_snapshot_the_manifest_has_lost_is_fenced, .timeout = 240)
{
    struct scene scene;

    begin_moved(&scene);
    restart_hurt(&scene, scene.comes, forget_install);
    expect_heals(&scene, scene.comes);
    scene_end(&scene);
}

Test(shard_damage, a_founded_one_whose_snapshot_the_manifest_has_lost_is_fenced, .timeout = 240)
{
    struct scene scene;

    scene_begin_joined(&scene);
    forget_log(&scene);
    cluster_kill(&scene.cluster, scene.goes);
    scene_fill(&scene, 400, 11999);
    cluster_run(&scene.cluster, 1000);
    cluster_restart(&scene.cluster, scene.goes);
    for (uint32_t ms = 0; ms < HEAL_MS && cluster_installed(&scene.cluster, scene.goes) == 0;
         ms += 10)
        cluster_run(&scene.cluster, 10);
    writer_await(&scene.writer, 5);
    restart_hurt(&scene, scene.goes, forget_floor_and_casks);
    expect_heals(&scene, scene.goes);
    scene_end(&scene);
}

static void flip_manifest(struct scene *scene, int node)
{
    struct vfs_file *file;

    cr_assert_eq(vfs_open(scene->cluster.disks[node], "shard-00/MANIFEST", VFS_OPEN_WRITE, &file),
                 0);
    flip(file, 40);
    vfs_close(file);
}

/* Nothing there tells any more that it has come: the map does. */
Test(shard_damage, one_that_moved_in_is_shown_as_fenced_when_the_manifest_is_damaged,
     .timeout = 240)
{
    struct scene scene;

    begin_moved(&scene);
    scene.cluster.opened = STORE_E_FENCED;
    restart_hurt(&scene, scene.comes, flip_manifest);
    scene.cluster.opened = 0;
    cluster_run(&scene.cluster, 100);
    cr_assert(fenced(&scene, scene.comes));
    writer_run(&scene.writer, 5000);
    cr_assert(fenced(&scene, scene.comes), "no snapshot helps");
    move_to(&scene, scene.goes);
    scene_end(&scene);
}

Test(shard_damage, one_that_moved_in_is_fenced_when_its_life_is_forgotten, .timeout = 240)
{
    struct scene scene;

    begin_moved(&scene);
    restart_hurt(&scene, scene.comes, forget_life);
    expect_heals(&scene, scene.comes);
    scene_end(&scene);
}

Test(shard_damage, one_that_came_back_is_fenced_when_its_life_is_forgotten, .timeout = 240)
{
    struct scene scene;

    begin_moved(&scene);
    move_to(&scene, scene.goes);
    restart_hurt(&scene, scene.goes, forget_life);
    cr_assert(fenced(&scene, scene.goes));
    cluster_kill(&scene.cluster, scene.goes); /* and once more, before anything has come */
    cluster_restart(&scene.cluster, scene.goes);
    expect_heals(&scene, scene.goes);
    scene_end(&scene);
}

/* What it has forgotten, a later leader may count on: nobody else is there to say that none is. */
Test(shard_damage, it_is_not_repaired_without_a_majority_of_the_others, .timeout = 240)
{
    struct scene scene;

    scene_begin_joined(&scene);
    cluster_run(&scene.cluster, 1000);
    scene_name_nodes(&scene);
    cluster_kill(&scene.cluster, scene.goes);
    flip_journal(&scene, scene.goes);
    scene.cluster.cut[scene.other] = true;
    cluster_restart(&scene.cluster, scene.goes);
    cluster_run(&scene.cluster, 3000);
    cr_assert(fenced(&scene, scene.goes));
    cr_assert_eq(shard_raft(scene.cluster.shards[scene.goes], scene.p)->leader, 0);
    scene.cluster.cut[scene.other] = false;
    expect_heals(&scene, scene.goes);
    scene_end(&scene);
}

/* Opens the first node's folder as that of another; what it answers. */
static int open_as(struct cluster *cluster, uint16_t self, uint16_t number, uint8_t genesis)
{
    uint8_t hash[RINGMAP_HASH_SIZE] = {genesis};
    struct shard_options options = cluster->options;
    struct shard *shard = NULL;
    int r;

    options.self = self;
    options.number = number;
    options.shards = (uint16_t)(number + 1);
    r = shard_open(&shard, cluster->disks[0], &options, &cluster->map, hash, false, 1, 1);
    for (uint16_t p = 0; shard && r != 0 && p < CLUSTER_PARTITIONS; p++)
        cr_assert(!shard_raft(shard, p) || shard_fenced(shard, p, NULL), "it votes in %u", p);
    shard_close(shard);
    return r;
}

/* Folders may lie on disks of their own, which get mixed up. The votes of who is asked are not
 * there, and what it has not is not to begin anew. */
Test(shard_damage, the_folder_of_another_shard_or_node_or_cluster_is_fenced, .timeout = 240)
{
    struct cluster cluster;

    cluster_start_replicas(&cluster, 2, NULL);
    cluster_await_leaders(&cluster);
    cluster_kill(&cluster, 0);
    cr_assert_eq(open_as(&cluster, 1, 1, 1), STORE_E_FENCED, "of another shard");
    cr_assert_eq(open_as(&cluster, 2, 0, 1), STORE_E_FENCED, "of another node");
    cr_assert_eq(open_as(&cluster, 1, 0, 2), STORE_E_FENCED, "of another cluster");
    cr_assert_eq(open_as(&cluster, 1, 0, 1), 0, "its own, as it was");
    cluster_restart(&cluster, 0);
    cluster_await_leaders(&cluster);
    cluster_stop(&cluster);
}
