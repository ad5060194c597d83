#include "shard_cluster.h"

#include "replication/raft.h"

#include <criterion/criterion.h>

#include <stdio.h>
#include <string.h>

#define STUCK   "stuck" /* the key whose partition loses its majority */
#define SEGMENT (16u << 10)

static struct cluster cluster;

/* Turns over a bit of each place where the key stands in a journal of the disk: its partition is
 * fenced there. */
static unsigned flip_in(struct vfs *disk, const char *path)
{
    static uint8_t bytes[1u << 20];
    struct vfs_file *file;
    unsigned count = 0;
    int64_t got;

    cr_assert_eq(vfs_open(disk, path, VFS_OPEN_WRITE, &file), 0);
    got = vfs_pread(file, bytes, sizeof bytes, 0);
    for (int64_t i = 0; i + (int64_t)sizeof STUCK <= got; i++) {
        struct iovec iov = {bytes + i + 1, 1};

        /* Its first letter stays, so that it is found again. */
        if (bytes[i] != 's' || memcmp(bytes + i + 2, "uck", 3) != 0)
            continue;
        bytes[i + 1] ^= 1;
        cr_assert_eq(vfs_pwritev(file, &iov, 1, (uint64_t)i + 1), 0);
        count++;
    }
    vfs_close(file);
    return count;
}

struct names {
    char items[64][64];
    size_t count;
};

static int name_note(void *context, const char *name)
{
    struct names *names = context;

    if (strstr(name, ".log") && names->count < 64)
        snprintf(names->items[names->count++], sizeof names->items[0], "shard-00/%s", name);
    return 0;
}

static void flip(int node)
{
    struct names names = {.count = 0};
    unsigned count = 0;

    cr_assert_eq(vfs_list(cluster.disks[node], "shard-00", name_note, &names), 0);
    for (size_t i = 0; i < names.count; i++)
        count += flip_in(cluster.disks[node], names.items[i]);
    cr_assert_gt(count, 0);
}

static void send_set(int node, const char *key, const char *value)
{
    const char *args[] = {key, value};

    cluster_send(&cluster, node, WIRE_OP_SET, 0, args, 2);
}

/* A node alone has an entry of the partition that no majority will ever decide, for the others are
 * fenced there. Returns the node. */
static int make_stuck(uint16_t partition)
{
    int alone;

    cluster_begin(&cluster);
    cr_assert_eq(cluster_set(&cluster, STUCK, "before")->status, WIRE_STATUS_OK);
    cluster_run(&cluster, 300);
    alone = cluster_leader(&cluster, partition);
    cluster.cut[alone] = true;
    send_set(alone, STUCK, "undecided");
    cluster_run(&cluster, 300);
    /* From now on all is let go that can be. */
    cluster.options.log_size_max = 1;
    cluster.options.retain_entries_min = 0;
    cluster.options.store.segment_size = SEGMENT;
    cluster.options.store.zero_ahead_size = SEGMENT;
    for (int node = 0; node < CLUSTER_NODES; node++)
        cluster_kill(&cluster, node);
    for (int node = 0; node < CLUSTER_NODES; node++) {
        if (node != alone)
            flip(node);
        cluster_restart(&cluster, node);
        cr_assert_eq(shard_fenced(cluster.shards[node], partition, NULL), node != alone);
    }
    cluster.cut[alone] = false;
    cluster_run(&cluster, 3000);
    return alone;
}

/* So many values of a kilobyte, to any other partition. */
static void write_others(uint16_t partition, int count)
{
    char key[32], value[1001] = {0};

    for (int i = 0, done = 0; done < count; i++) {
        snprintf(key, sizeof key, "other-%d", i);
        if (cluster_partition(&cluster, key) == partition)
            continue;
        for (size_t j = 0; j + 1 < sizeof value; j++)
            value[j] = (char)('a' + (i * 31 + (int)(j * j)) % 26);
        cluster.result_count = 0;
        cr_assert_eq(cluster_set(&cluster, key, value)->status, WIRE_STATUS_OK);
        done++;
    }
}

static uint64_t tail_bytes(int node)
{
    struct store_stats stats;

    store_stats(shard_store(cluster.shards[node]), &stats);
    return stats.tail_bytes;
}

static uint64_t relocated(int node)
{
    struct shard_stats stats;

    shard_stats(cluster.shards[node], &stats);
    return stats.relocated;
}

/* The last entry of the partition's log is what nobody else ever had. */
static void expect_undecided(int node, uint16_t partition, uint64_t last)
{
    const struct raft_log *log = &shard_raft(cluster.shards[node], partition)->log;
    const uint8_t *bytes;
    struct record record;
    size_t size;

    cr_assert_eq(log->last, last);
    cr_assert_eq(store_peek(shard_store(cluster.shards[node]), raft_log_at(log, last)->location,
                            raft_log_at(log, last)->size, &bytes, &size),
                 0);
    cr_assert_eq(record_decode(bytes, size, &record), 0);
    cr_assert_eq(record.index, last);
    cr_assert_eq(record.partition, partition);
    cr_assert_eq(record.value_size, strlen("undecided"));
    cr_assert_eq(memcmp(record.value, "undecided", record.value_size), 0);
}

Test(shard_relocate, a_group_without_a_majority_does_not_hold_up_the_journal, .timeout = 120)
{
    uint16_t partition;
    uint64_t last;
    int alone;

    cluster_start(&cluster);
    partition = cluster_partition(&cluster, STUCK);
    cluster_stop(&cluster);
    alone = make_stuck(partition);
    last = shard_raft(cluster.shards[alone], partition)->log.last;
    cr_assert_gt(last, shard_raft(cluster.shards[alone], partition)->commit, "nothing is stuck");
    write_others(partition, 400);
    cr_assert_gt(relocated(alone), 1, "it grows old again and again");
    expect_undecided(alone, partition, last);
    cr_assert_lt(tail_bytes(alone), 8 * SEGMENT, "%llu", (unsigned long long)tail_bytes(alone));
    store_check(shard_store(cluster.shards[alone]));

    /* It is as durable as before, and as undecided. */
    cluster_kill(&cluster, alone);
    cluster_restart(&cluster, alone);
    cr_assert_not(shard_fenced(cluster.shards[alone], partition, NULL));
    cr_assert_lt(shard_raft(cluster.shards[alone], partition)->commit, last);
    expect_undecided(alone, partition, last);
    cluster_stop(&cluster);
}
