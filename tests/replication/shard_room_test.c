/* A node is to take a partition, and its disk has no room for it. */
#include "replication/shard_room.h"

#include "replication/raft.h"
#include "replication/shard_internal.h"
#include "replication/transfer.h"
#include "shard_writer.h"

#include <criterion/criterion.h>

#include <stdio.h>
#include <string.h>

#define GIB       (UINT64_C(1) << 30)
#define PAUSE_MS  10000u /* at most this long nobody asks it again, */
#define FORGET_MS 30000u /* and after this long it has forgotten what it had no room for */
#define BEGIN_MS  20000u
#define ROUND_MS  1000u
#define MOVE_MS   120000u

static struct cluster cluster;
static struct writer writer;
static uint16_t partition;
static int comes;

static void fill(unsigned keys)
{
    char key[16], value[60];

    memset(value, 'x', sizeof value);
    value[sizeof value - 1] = '\0';
    for (unsigned i = 0; i < keys; i++) {
        snprintf(key, sizeof key, "fill-%u", i);
        if (cluster_partition(&cluster, key) == partition) {
            cluster.epochs[partition]++;
            cluster_set(&cluster, key, value);
        }
        cluster.result_count = 0;
    }
}

static void want(int node)
{
    cluster_map_want(&cluster, partition, (int[]){0, node, 2}, 3);
    cluster_map_tell(&cluster);
}

/* Nothing but a snapshot helps the learner, and on its way the disk comes to have a GiB less than
 * is to be kept free.
 */
static void begin(void)
{
    cluster_start_replicas(&cluster, 3, NULL);
    cluster_await_leaders(&cluster);
    writer_init(&writer, &cluster);
    partition = writer.partition;
    writer_await(&writer, 40);
    comes = cluster_map_join(&cluster, true);
    cluster_kill(&cluster, comes);
    want(comes);
    writer_run(&writer, 2000);
    cluster.options.log_ms_max = 0;
    cluster.options.snapshot_rate = 20u << 10;
    for (int node = 0; node < CLUSTER_NODES; node++) {
        cluster_kill(&cluster, node);
        cluster_restart(&cluster, node);
        writer_run(&writer, 2000);
    }
    fill(3000);
    cluster.options.store.space_reserve = 2 * GIB;
    cluster_restart(&cluster, comes);
    cluster.options.store.space_reserve = 0;
    writer_run(&writer, ROUND_MS); /* its journal has what it needs, and the snapshot has begun */
    vfs_mem_set_capacity(cluster.disks[comes], GIB);
}

static void end(void)
{
    writer_check(&writer);
    cluster_stop(&cluster);
}

static uint64_t lacked(void)
{
    struct shard_stats stats;

    shard_stats(cluster.shards[comes], &stats);
    return stats.lacked;
}

static struct wire_move move_of(void)
{
    cluster_moves(&cluster, cluster_leader(&cluster, partition));
    for (uint32_t i = 0; i < cluster.move_count; i++)
        if (cluster.moves[i].group == partition)
            return cluster.moves[i];
    cr_assert_fail("the leader tells of its group");
    return (struct wire_move){0};
}

/* What is refused is that one: a smaller one may have room, and waits for nobody. */
static void others_pass(void)
{
    struct shard *leader = cluster.shards[cluster_leader(&cluster, partition)];
    struct shard *target = cluster.shards[comes];
    struct replica other = {.partition = partition + 1};

    cr_assert(shard_room_waits(leader, shard_replica(leader, partition), (uint16_t)(comes + 1)));
    cr_assert_not(shard_room_left(target, shard_replica(target, partition)));
    cr_assert(shard_room_try(leader, &other, (uint16_t)(comes + 1)));
    cr_assert(shard_room_left(target, &other));
}

Test(shard_room, a_full_target_is_asked_seldom_and_goes_on_when_there_is_room, .timeout = 240)
{
    struct wire_move before, after;
    uint32_t pieces;

    begin();
    writer_run(&writer, BEGIN_MS);
    cr_assert_gt(lacked(), 0);
    before = move_of();
    cr_assert_eq(before.step, TRANSFER_ROOM);
    cr_assert_eq(before.member, comes + 1);
    cr_assert_str_eq(transfer_step_name(before.step), "waiting for room on a full disk");
    pieces = cluster.snapshot_pieces;
    writer_run(&writer, 5 * PAUSE_MS);
    after = move_of();
    cr_assert_eq(after.step, TRANSFER_ROOM);
    cr_assert_leq(after.snapshots - before.snapshots, 6, "%u", after.snapshots - before.snapshots);
    cr_assert_geq(after.snapshots - before.snapshots, 4, "%u", after.snapshots - before.snapshots);
    cr_assert_leq(cluster.snapshot_pieces - pieces, 6, "a piece each time");
    cr_assert_gt(lacked(), 0);

    others_pass();

    vfs_mem_set_capacity(cluster.disks[comes], 4 * GIB);
    writer_run(&writer, 2000);
    cr_assert_eq(lacked(), 0, "it has looked");
    cr_assert(writer_await_moved(&writer, MOVE_MS));
    writer_await(&writer, 20);
    end();
}

Test(shard_room, an_abort_ends_what_waits_for_a_full_disk, .timeout = 240)
{
    begin();
    writer_run(&writer, BEGIN_MS);
    cr_assert_eq(move_of().step, TRANSFER_ROOM);
    want(1);
    cr_assert(writer_await_moved(&writer, MOVE_MS));
    cr_assert_eq(move_of().learners.count, 0);
    writer_run(&writer, FORGET_MS + 2000);
    cr_assert_eq(lacked(), 0, "nobody sends it anything any more");
    end();
}

/* Two learners of one group, and both are full: neither is asked more often than when it is alone,
 * and who has room again does not wait for the other. */
Test(shard_room, each_member_is_full_for_itself)
{
    struct shard *leader;
    struct replica *replica;
    uint16_t one, other;

    cluster_start_replicas(&cluster, 3, NULL);
    cluster_await_leaders(&cluster);
    leader = cluster.shards[cluster_leader(&cluster, 0)];
    replica = shard_replica(leader, 0);
    one = leader->options.self % 3 + 1;
    other = one % 3 + 1;
    for (int i = 0; i < 100; i++) { /* others of earlier configurations take nobody's place */
        shard_room_refused(leader, replica, (uint16_t)(100 + i));
        cr_assert(shard_room_waits(leader, replica, (uint16_t)(100 + i)));
    }
    shard_room_refused(leader, replica, one);
    shard_room_refused(leader, replica, other);
    cr_assert_not(shard_room_try(leader, replica, one));
    cr_assert_not(shard_room_try(leader, replica, other));
    shard_room_taken(leader, replica, other);
    cr_assert_not(shard_room_try(leader, replica, one));
    cr_assert(shard_room_try(leader, replica, other));
    cluster_run(&cluster, 600);
    cr_assert(shard_room_try(leader, replica, one), "its pause is over");
    cluster_stop(&cluster);
}

/* A plan tells from them what has to move, and which disk has room for it. */
Test(shard_room, a_leader_tells_the_bytes_of_its_own_partition)
{
    const struct wire_move *move = NULL;
    char key[16], value[2001];
    unsigned large = 0;

    cluster_start_replicas(&cluster, 3, NULL);
    cluster_await_leaders(&cluster);
    writer_init(&writer, &cluster);
    partition = writer.partition;
    writer_await(&writer, 40);
    memset(value, 'x', sizeof value);
    value[sizeof value - 1] = '\0';
    for (unsigned i = 0; i < 60; i++) {
        bool here;

        snprintf(key, sizeof key, "size-%u", i);
        here = cluster_partition(&cluster, key) == partition;
        large += here;
        cluster_set(&cluster, key, here ? value : "x");
        cluster.result_count = 0;
    }
    cr_assert(large > 0 && large < 40);
    cluster_moves(&cluster, cluster_leader(&cluster, partition));
    for (uint32_t i = 0; i < cluster.move_count; i++)
        if (cluster.moves[i].group == partition)
            move = &cluster.moves[i];
    cr_assert(move, "the leader tells of its group");
    cr_assert_geq(move->bytes, large * 2000u);
    cr_assert_leq(move->bytes, large * 3000u + 20000u);
    writer_check(&writer);
    cluster_stop(&cluster);
}
