#include "shard_cluster.h"

#include "replication/raft.h"

#include <criterion/criterion.h>

#include <string.h>

static struct cluster cluster;

static void manifest_flip(struct vfs *disk)
{
    struct vfs_file *file;
    uint8_t byte;
    struct iovec iov = {&byte, 1};

    cr_assert_eq(vfs_open(disk, "shard-00/MANIFEST", VFS_OPEN_WRITE, &file), 0);
    cr_assert_eq(vfs_pread(file, &byte, 1, 40), 1);
    byte ^= 1;
    cr_assert_eq(vfs_pwritev(file, &iov, 1, 40), 0);
    vfs_close(file);
}

static void restart_damaged(void)
{
    uint8_t hash[RINGMAP_HASH_SIZE] = {1};

    cluster_kill(&cluster, 0);
    manifest_flip(cluster.disks[0]);
    cluster.options.self = 1;
    cr_assert_eq(shard_open(&cluster.shards[0], cluster.disks[0], &cluster.options, &cluster.map,
                            hash, false, cluster.now_ms, 7),
                 STORE_E_FENCED);
}

/* Simulator, seeds 83 and 387: the shard came back with every partition empty, and voted. */
Test(shard_fence, a_damaged_manifest_fences_every_partition)
{
    const char *why = NULL;

    cluster_start(&cluster);
    cluster_await_leaders(&cluster);
    restart_damaged();
    for (uint16_t p = 0; p < CLUSTER_PARTITIONS; p++) {
        cr_assert(shard_fenced(cluster.shards[0], p, &why), "partition %u", p);
        cr_assert_not_null(why);
    }
    cluster_run(&cluster, 3000);
    for (uint16_t p = 0; p < CLUSTER_PARTITIONS; p++)
        cr_assert_eq(shard_raft(cluster.shards[0], p)->term, 0, "it takes no part in anything");
    cluster_stop(&cluster);
}

/* An older copy of its folder, or another's, is sound in itself. */
Test(shard_fence, a_folder_that_is_not_its_own_fences_every_partition)
{
    uint8_t hash[RINGMAP_HASH_SIZE] = {1};

    cluster_start(&cluster);
    cluster_await_leaders(&cluster);
    cluster_kill(&cluster, 0);
    cluster.options.self = 1;
    cluster.options.foreign = true;
    cr_assert_eq(shard_open(&cluster.shards[0], cluster.disks[0], &cluster.options, &cluster.map,
                            hash, false, cluster.now_ms, 7),
                 STORE_E_FENCED);
    for (uint16_t p = 0; p < CLUSTER_PARTITIONS; p++)
        cr_assert(shard_fenced(cluster.shards[0], p, NULL), "partition %u", p);
    cluster_run(&cluster, 3000);
    for (uint16_t p = 0; p < CLUSTER_PARTITIONS; p++)
        cr_assert_eq(shard_raft(cluster.shards[0], p)->term, 0, "it takes no part in anything");
    cluster_kill(&cluster, 0);
    cluster.options.foreign = false;
    cr_assert_eq(shard_open(&cluster.shards[0], cluster.disks[0], &cluster.options, &cluster.map,
                            hash, false, cluster.now_ms, 7),
                 0, "what was in there is there");
    cluster_stop(&cluster);
}

/* Also while the founding is owed: what is missing in there is not new. */
Test(shard_fence, a_foreign_folder_is_not_founded)
{
    uint8_t hash[RINGMAP_HASH_SIZE] = {1};
    struct vfs *empty = vfs_mem_new();
    struct shard *shard;

    cluster_start(&cluster);
    cluster.options.self = 1;
    cluster.options.foreign = true;
    cr_assert_eq(
        shard_open(&shard, empty, &cluster.options, &cluster.map, hash, true, cluster.now_ms, 7),
        STORE_E_FENCED);
    shard_close(shard);
    cluster.options.foreign = false;
    vfs_mem_free(empty);
    cluster_stop(&cluster);
}

/* The first thing that an operator does is to ask it. */
Test(shard_fence, a_shard_with_a_damaged_manifest_answers_its_operators)
{
    struct wire_buffer body = {0};

    cluster_start(&cluster);
    cluster_await_leaders(&cluster);
    restart_damaged();
    cluster_ask(&cluster, 0, 0, WIRE_SHARD_STATUS, &body);
    cr_assert_eq(cluster.statuses, 1);
    cluster_ask(&cluster, 0, 0, WIRE_MOVES_GET, &body);
    wire_put_top(&body, 1000);
    cluster_ask(&cluster, 0, 0, WIRE_TOP, &body);
    wire_buffer_clear(&body);
    wire_put_drain(&body, true);
    cluster_ask(&cluster, 0, 0, WIRE_DRAIN, &body);
    wire_buffer_clear(&body);
    wire_put_flush(&body, true);
    cluster_ask(&cluster, 0, 0, WIRE_FLUSH, &body);
    wire_buffer_clear(&body);
    wire_put_scrub(&body, true);
    cluster_ask(&cluster, 0, 0, WIRE_SCRUB, &body);
    wire_buffer_deinit(&body);
    cluster_run(&cluster, 3000);
    cr_assert(shard_fenced(cluster.shards[0], 0, NULL));
    cluster_stop(&cluster);
}

static const struct vfs_ops *disk_ops;
static struct vfs_file *unread;

static int open_unread(struct vfs *vfs, const char *path, unsigned flags, struct vfs_file **file)
{
    int r = disk_ops->open(vfs, path, flags, file);

    if (r == 0 && strcmp(path, "shard-00/journal-0000000001.log") == 0)
        unread = *file;
    else if (r == 0 && *file == unread)
        unread = NULL;
    return r;
}

static int64_t pread_unread(struct vfs_file *file, void *buffer, size_t size, uint64_t offset)
{
    return file == unread ? -EIO : disk_ops->pread(file, buffer, size, offset);
}

/* Its log was none that is empty: what it voted and acknowledged is in there. */
Test(shard_fence, a_log_that_the_disk_does_not_give_fences_every_partition)
{
    uint8_t hash[RINGMAP_HASH_SIZE] = {1};
    struct vfs_ops ops;
    const char *file;
    int error = 0;

    cluster_start(&cluster);
    cluster_await_leaders(&cluster);
    cluster_kill(&cluster, 0);
    disk_ops = cluster.disks[0]->ops;
    ops = *disk_ops;
    ops.open = open_unread;
    ops.pread = pread_unread;
    cluster.disks[0]->ops = &ops;
    cluster.options.self = 1;
    cr_assert_eq(shard_open(&cluster.shards[0], cluster.disks[0], &cluster.options, &cluster.map,
                            hash, false, cluster.now_ms, 7),
                 STORE_E_FENCED);
    file = store_unreadable(shard_store(cluster.shards[0]), &error);
    cr_assert_not_null(file);
    cr_assert_str_eq(file, "shard-00/journal-0000000001.log");
    cr_assert_eq(error, -EIO);
    for (uint16_t p = 0; p < CLUSTER_PARTITIONS; p++)
        cr_assert(shard_fenced(cluster.shards[0], p, NULL), "partition %u", p);
    cluster_run(&cluster, 3000);
    for (uint16_t p = 0; p < CLUSTER_PARTITIONS; p++) {
        cr_assert(shard_fenced(cluster.shards[0], p, NULL), "no snapshot helps");
        cr_assert_eq(shard_raft(cluster.shards[0], p)->role, RAFT_FOLLOWER);
        cr_assert_eq(shard_raft(cluster.shards[0], p)->term, 0, "it takes no part in anything");
    }
    cluster.disks[0]->ops = disk_ops;
    cluster_kill(&cluster, 0);
    cluster_restart(&cluster, 0);
    for (uint16_t p = 0; p < CLUSTER_PARTITIONS; p++)
        cr_assert_not(shard_fenced(cluster.shards[0], p, NULL), "the disk gives it again");
    cluster_run(&cluster, 3000);
    cluster_stop(&cluster);
}
