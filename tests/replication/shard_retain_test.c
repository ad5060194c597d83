/* Clients write without a pause, and somebody is behind. */
#include "replication/shard_retain.h"

#include "replication/raft.h"
#include "replication/shard_internal.h"
#include "tests/dice.h"
#include "shard_cluster.h"

#include <criterion/criterion.h>

#include <stdio.h>

#define VALUE_SIZE 4000u
#define BOUND      (128u << 10) /* two segments */
#define MOVE_MS    120000u

static struct cluster cluster;
static uint16_t partition;
static uint32_t files_max;     /* 0: as many as there may be */
static unsigned keys, written; /* of the partition, about */

/* Small segments, and a log of no more than two of them. */
static void restart_all(uint64_t snapshot_rate)
{
    cluster.options.log_size_max = BOUND;
    cluster.options.store.files_max = files_max;
    cluster.options.retain_entries_min = 0;
    cluster.options.append_entries_max = 2;
    cluster.options.inflight_messages_max = 1;
    cluster.options.snapshot_rate = snapshot_rate;
    cluster.options.store.segment_size = 64u << 10;
    cluster.options.store.batch_size_max = 16u << 10;
    cluster_restart_all(&cluster);
}

/* A new value, of which nothing can be compressed. */
static void write_one(void)
{
    char key[32], value[VALUE_SIZE];

    dice_text(written, value, sizeof value - 1);
    value[sizeof value - 1] = '\0';
    do
        snprintf(key, sizeof key, "key %u", written++ % (keys * CLUSTER_PARTITIONS));
    while (cluster_partition(&cluster, key) != partition);
    for (int i = 0; i < 100; i++) { /* leaders change */
        cluster.result_count = 0;
        cluster.epochs[partition]++;
        if (cluster_set(&cluster, key, value)->status == WIRE_STATUS_OK)
            return;
        cluster_run(&cluster, 50);
    }
    cr_assert_fail("it is written in time");
}

static void write_all(void)
{
    for (unsigned i = 0; i < keys; i++)
        write_one();
    cluster_run(&cluster, 1000);
}

static void begin(unsigned count, uint64_t snapshot_rate)
{
    cluster_start_replicas(&cluster, 3, NULL);
    cluster_await_leaders(&cluster);
    restart_all(snapshot_rate);
    partition = cluster_partition(&cluster, "key 0");
    written = 0;
    keys = count;
    write_all();
}

static void write_for(uint64_t ms, uint64_t each_ms)
{
    for (uint64_t end = cluster.now_ms + ms; cluster.now_ms < end;) {
        write_one();
        cluster_run(&cluster, each_ms);
    }
}

static uint64_t tail_of(int node)
{
    return store_log_bytes(shard_store(cluster.shards[node]));
}

static uint64_t begun(void)
{
    struct shard_stats stats;
    uint64_t count = 0;

    for (int node = 0; node < cluster.nodes; node++) {
        shard_stats(cluster.shards[node], &stats);
        count += stats.snapshots_begun;
    }
    return count;
}

/* The node takes a follower's place in the partition. The leader of it. */
static int want_instead_of_follower(int comes)
{
    int leader = cluster_leader(&cluster, partition), stays = (leader + 1) % CLUSTER_NODES;

    cluster_map_want(&cluster, partition, (int[]){leader, stays, comes}, 3);
    cluster_map_tell(&cluster);
    return leader;
}

/* A node more takes a follower's place in the partition. Messages take their time, and what is
 * appended there goes in small parts. False: not within MOVE_MS. */
static bool move_beside_writes(void)
{
    cluster.way_ms = 10;
    want_instead_of_follower(cluster_map_join(&cluster, true));
    for (uint64_t end = cluster.now_ms + MOVE_MS; cluster.now_ms < end;) {
        if (cluster_await_moved(&cluster, partition, 0))
            return true;
        write_for(10, 10);
    }
    return false;
}

/* What is written while the snapshot is on its way is several times the bound. */
Test(shard_retain, a_move_beside_writes_takes_one_snapshot, .timeout = 240)
{
    begin(60, 60000);
    cr_assert(move_beside_writes());
    cr_assert_eq(begun(), 1, "%lu", (unsigned long)begun());
    write_for(3000, 10);
    for (int node = 0; node < CLUSTER_NODES; node++)
        cr_assert_leq(tail_of(node), 2 * BOUND, "node %d", node);
    cluster_stop(&cluster);
}

/* More than is kept for those that gain but need no snapshot. */
Test(shard_retain, so_does_one_whose_snapshot_takes_long, .timeout = 240)
{
    begin(350, 60000);
    cr_assert(move_beside_writes());
    cr_assert_eq(begun(), 1, "%lu", (unsigned long)begun());
    cluster_stop(&cluster);
}

/* Writes for so long; the log of who leads is never larger. */
static void expect_bounded(uint64_t ms, uint64_t each_ms, uint64_t bytes)
{
    for (uint64_t end = cluster.now_ms + ms; cluster.now_ms < end;) {
        write_for(each_ms, each_ms);
        cr_assert_leq(tail_of(cluster_leader(&cluster, partition)), bytes);
    }
}

static uint64_t last_of(int node)
{
    return shard_raft(cluster.shards[node], partition)->log.last;
}

/* A follower that answers and can take nothing, while this is written. */
static void expect_bounded_beside_full(uint64_t each_ms)
{
    int leader, full;
    uint64_t last;

    begin(60, 0);
    leader = cluster_leader(&cluster, partition);
    full = (leader + 1) % CLUSTER_NODES;
    last = last_of(full);
    vfs_mem_set_capacity(cluster.disks[full], 1);
    for (int i = 0; i < 2; i++) {
        expect_bounded(SHARD_RETAIN_GAIN_MS + 2000, each_ms, SHARD_RETAIN_FAR * BOUND + BOUND);
        expect_bounded(10000, each_ms, 2 * BOUND);
        cluster_kill(&cluster, leader); /* whoever leads next knows nothing of the others */
        cluster_restart(&cluster, leader);
        cluster_await_leaders(&cluster);
        leader = cluster_leader(&cluster, partition);
        cr_assert_neq(leader, full);
    }
    cr_assert_leq(last_of(full), last + 100, "it took next to nothing");
    cr_assert_geq(last_of(leader), last + 200);

    vfs_mem_set_capacity(cluster.disks[full], UINT64_C(1) << 30);
    write_for(20000, 100);
    cr_assert_geq(last_of(full) + 2, last_of(leader), "it goes on by itself");
    cluster_stop(&cluster);
}

Test(shard_retain, a_follower_whose_disk_is_full_holds_back_a_bounded_log, .timeout = 240)
{
    expect_bounded_beside_full(10);
}

Test(shard_retain, and_soon_nothing_also_beside_few_writes, .timeout = 240)
{
    expect_bounded_beside_full(100);
}

/* One that is far too slow for what is written beside it. */
Test(shard_retain, a_snapshot_does_not_use_up_the_files, .timeout = 240)
{
    files_max = 256;
    begin(1500, 2000);
    keys = 60; /* the others are there to be sent */
    want_instead_of_follower(cluster_map_join(&cluster, true));
    expect_bounded(60000, 10, (files_max / 2 + 8) * (uint64_t)cluster.options.store.segment_size);
    cr_assert_eq(begun(), 2, "%lu", (unsigned long)begun());
    cluster_stop(&cluster);
}

/* Two of three are fenced: nobody can repair them. What they have of log is in nobody's way. */
Test(shard_retain, fenced_ones_that_cannot_be_repaired_hold_back_a_bounded_log, .timeout = 240)
{
    uint16_t damaged, sound;

    begin(60, 0);
    sound = partition;
    damaged = partition = (uint16_t)((sound + 1) % CLUSTER_PARTITIONS);
    cluster_kill(&cluster, 2); /* log is kept for it */
    cluster_await_leaders(&cluster);
    write_for(100, 10);
    cluster_restart(&cluster, 2);
    partition = sound;
    keys = 4000; /* no segment is dead as a whole */
    for (int node = 0; node < 2; node++)
        shard_fence(cluster.shards[node], shard_replica(cluster.shards[node], damaged), "damaged");
    for (int i = 0; i < 40; i++) {
        write_for(500, 5);
        for (int node = 0; node < 2; node++) {
            cr_assert(shard_fenced(cluster.shards[node], damaged, NULL));
            cr_assert_leq(tail_of(node), (SHARD_RETAIN_FAR + 2) * BOUND, "node %d", node);
        }
        if (i == 20) {
            cluster_kill(&cluster, 1);
            cluster_restart(&cluster, 1);
            cluster_run(&cluster, 2000);
        }
    }
    cluster_stop(&cluster);
}
