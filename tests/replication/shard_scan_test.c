#include "shard_cluster.h"

#include "replication/raft.h"

#include <criterion/criterion.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ARGS(...) ((const char *const[]){__VA_ARGS__})
#define KEYS      700

static struct cluster cluster;

/* One call; marks the keys {t}N that it gave. Returns the next position. */
static unsigned long long scan(uint16_t partition, unsigned long long position, const char *count,
                               unsigned seen[KEYS])
{
    const struct cluster_result *result;
    char text[24];

    snprintf(text, sizeof text, "%llu", position);
    result = cluster_do_at(&cluster, partition, WIRE_OP_SCAN, ARGS(text, count), 2);
    cr_assert_eq(result->status, WIRE_STATUS_OK);
    for (uint32_t i = 0; i < cluster.scanned_count; i++) {
        cr_assert_eq(strncmp(cluster.scanned[i], "{t}", 3), 0, "%s", cluster.scanned[i]);
        seen[atoi(cluster.scanned[i] + 3)]++;
    }
    return strtoull(result->bytes, NULL, 10);
}

static void write_keys(int first, int end)
{
    int leader = cluster_leader(&cluster, cluster_partition(&cluster, "{t}"));
    char key[24];

    for (int i = first; i < end; i++) {
        snprintf(key, sizeof key, "{t}%d", i);
        cluster_send(&cluster, leader, WIRE_OP_SET, 0, ARGS(key, "1"), 2);
        if (i % 200 == 199) {
            cluster_run(&cluster, 50);
            cluster.result_count = 0;
        }
    }
    cluster_run(&cluster, 50);
    cluster.result_count = 0;
}

Test(shard_scan, gives_every_key_once)
{
    static const char *const counts[] = {"1", "10", "100", "512", "9223372036854775807"};
    uint16_t partition;

    cluster_begin(&cluster);
    partition = cluster_partition(&cluster, "{t}");
    write_keys(0, KEYS);
    cluster_do(&cluster, WIRE_OP_DEL, 0, ARGS("{t}5", "{t}6"), 2);
    for (size_t k = 0; k < sizeof counts / sizeof counts[0]; k++) {
        unsigned seen[KEYS] = {0};
        unsigned long long position = 0;

        do {
            position = scan(partition, position, counts[k], seen);
            cluster.result_count = 0;
        } while (position != 0);
        for (int i = 0; i < KEYS; i++)
            cr_assert_eq(seen[i], i != 5 && i != 6, "%d with count %s", i, counts[k]);
    }
    cluster_stop(&cluster);
}

/* The keydirs of replicas differ in their insides, the positions do not: the leader changes after
 * each call, keys are written meanwhile, and yet nothing is missed that was there from the start.
 */
Test(shard_scan, a_position_is_good_on_every_replica)
{
    unsigned seen[KEYS] = {0};
    unsigned long long position = 0;
    uint16_t partition;
    int written = 300, leader, calls = 0;

    cluster_begin(&cluster);
    partition = cluster_partition(&cluster, "{t}");
    write_keys(0, 300);
    do {
        position = scan(partition, position, "40", seen);
        write_keys(written, written + 30);
        written += 30;
        leader = cluster_leader(&cluster, partition);
        cluster_kill(&cluster, leader);
        cluster_await_leaders(&cluster);
        cluster_restart(&cluster, leader);
        cluster_run(&cluster, 200);
        cr_assert_lt(++calls, 13);
    } while (position != 0);
    for (int i = 0; i < 300; i++)
        cr_assert_geq(seen[i], 1, "%d", i);
    cr_assert_gt(calls, 5);
    cluster_stop(&cluster);
}

/* An empty store does not keep it from the disk: after a restart all records are read from there.
 */
Test(shard_scan, reads_what_lies_on_disk)
{
    unsigned seen[KEYS] = {0};
    unsigned long long position = 0;
    uint16_t partition;

    cluster_begin(&cluster);
    partition = cluster_partition(&cluster, "{t}");
    write_keys(0, KEYS);
    cluster_restart_all(&cluster);
    for (int node = 0; node < CLUSTER_NODES; node++)
        vfs_mem_set_cold(cluster.disks[node], true);
    do {
        position = scan(partition, position, "200", seen);
        cluster.result_count = 0;
    } while (position != 0);
    for (int i = 0; i < KEYS; i++)
        cr_assert_geq(seen[i], 1, "%d", i);
    cluster_stop(&cluster);
}

/* A leader that was overtaken must not answer: it may lack keys. */
Test(shard_scan, a_leader_that_is_cut_off_gives_nothing)
{
    uint16_t partition;
    uint32_t id;
    int leader;

    cluster_begin(&cluster);
    partition = cluster_partition(&cluster, "{t}");
    write_keys(0, 10);
    leader = cluster_leader(&cluster, partition);
    cluster.cut[leader] = true;
    id = cluster_send_at(&cluster, leader, partition, WIRE_OP_SCAN, ARGS("0", "10"), 2);
    cluster_run(&cluster, 300);
    cr_assert_null(cluster_result(&cluster, id));
    cluster.cut[leader] = false;
    cluster_run(&cluster, 2000);
    cluster_stop(&cluster);
}

Test(shard_scan, bad_numbers_are_refused)
{
    static const char *const bad[][2] = {{"-1", "10"}, {"x", "10"}, {"281474976710656", "10"},
                                         {"0", "0"},   {"0", "-1"}, {"0", "x"}};
    uint16_t partition;

    cluster_begin(&cluster);
    partition = cluster_partition(&cluster, "{t}");
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        cr_assert_eq(cluster_do_at(&cluster, partition, WIRE_OP_SCAN, bad[i], 2)->status,
                     WIRE_STATUS_MALFORMED);
    cluster_stop(&cluster);
}
