#include "shard_cluster.h"

#include "replication/raft.h"
#include "storage/vault.h"

#include <criterion/criterion.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#define KEYS   200
#define SECRET "nobody-may-see-this"

static struct cluster cluster;
static struct vault vault;

static void begin(void)
{
    cr_assert_geq(sodium_init(), 0);
    vault_init(&vault);
    cr_assert_eq(vault_add(&vault, 1, (const uint8_t[VAULT_KEY_SIZE]){1, 2, 3}), 0);
    vault_use(&vault, 1);
    cluster_start_sealed(&cluster, &vault);
    cluster_await_leaders(&cluster);
}

static void key_of(char key[48], int number)
{
    snprintf(key, 48, SECRET "-key-%d", number);
}

static void value_of(char value[60], int number, int round)
{
    snprintf(value, 60, SECRET "-value-%d-%d", number, round);
}

static void forget_results(void)
{
    if (cluster.result_count > CLUSTER_RESULTS / 2)
        cluster.result_count = 0;
}

static void write_all(int round)
{
    char key[48], value[60];

    for (int i = 0; i < KEYS; i++) {
        key_of(key, i);
        value_of(value, i, round);
        cr_assert_eq(cluster_set(&cluster, key, value)->status, WIRE_STATUS_OK);
        forget_results();
    }
}

static void expect_all(int round)
{
    char key[48], value[60];

    for (int i = 0; i < KEYS; i++) {
        key_of(key, i);
        value_of(value, i, round);
        cluster_expect(&cluster, key, value);
        forget_results();
    }
}

static void expect_same_digests(void)
{
    for (uint16_t p = 0; p < CLUSTER_PARTITIONS; p++) {
        uint64_t digest, other;

        cr_assert_eq(store_digest(shard_store(cluster.shards[0]), p, &digest), 0);
        for (int node = 1; node < CLUSTER_NODES; node++) {
            cr_assert_eq(store_digest(shard_store(cluster.shards[node]), p, &other), 0);
            cr_assert_eq(other, digest, "partition %u, node %d", p, node);
        }
    }
}

static void restart_all(void)
{
    for (int node = 0; node < CLUSTER_NODES; node++)
        cluster_kill(&cluster, node);
    for (int node = 0; node < CLUSTER_NODES; node++)
        cluster_restart(&cluster, node);
    cluster_await_leaders(&cluster);
    for (int p = 0; p < CLUSTER_PARTITIONS; p++)
        cluster.epochs[p]++;
}

Test(shard_vault, no_file_holds_a_key_or_value_in_plain_text)
{
    begin();
    write_all(1);
    cluster_run(&cluster, 1000);
    for (int node = 0; node < CLUSTER_NODES; node++)
        cr_assert_eq(cluster_files_with(&cluster, node, SECRET), 0, "node %d", node);
    expect_all(1);
    expect_same_digests();
    cluster_stop(&cluster);
}

/* What the test above looks for is there when nothing is sealed. */
Test(shard_vault, without_a_current_key_files_do)
{
    vault_init(&vault);
    cluster_start_sealed(&cluster, &vault);
    cluster_await_leaders(&cluster);
    write_all(1);
    cluster_run(&cluster, 1000);
    cr_assert_gt(cluster_files_with(&cluster, 0, SECRET), 0);
    cluster_stop(&cluster);
}

Test(shard_vault, after_a_restart_all_is_read_and_deleted_again)
{
    char key[48];
    const char *args[] = {key};

    begin();
    write_all(1);
    key_of(key, 3);
    cr_assert_eq(cluster_do(&cluster, WIRE_OP_DEL, 0, args, 1)->integer, 1);
    restart_all();
    cluster_expect(&cluster, key, NULL);
    cr_assert_eq(cluster_set(&cluster, key, SECRET)->status, WIRE_STATUS_OK);
    cluster_expect(&cluster, key, SECRET);
    write_all(2);
    expect_all(2);
    expect_same_digests();
    cluster_stop(&cluster);
}

/* Overwritten again and again, flush moves what stays: to casks that are sorted by digest. */
Test(shard_vault, what_flush_moved_is_read)
{
    struct store_stats stats;

    begin();
    cluster.options.log_size_max = 1;               /* what is no log any more is a victim */
    cluster.options.store.segment_size = 64u << 10; /* of which a few are written */
    cluster.options.retain_entries_min = 0;
    restart_all();
    for (int round = 0; round < 30; round++)
        write_all(round);
    for (int node = 0; node < CLUSTER_NODES; node++)
        cr_assert_eq(store_flush(shard_store(cluster.shards[node])), 0);
    cluster_run(&cluster, 5000);
    store_stats(shard_store(cluster.shards[0]), &stats);
    cr_assert_gt(stats.flush_bytes, 0, "nothing was moved");
    for (int node = 0; node < CLUSTER_NODES; node++)
        cr_assert_eq(cluster_files_with(&cluster, node, SECRET), 0, "node %d", node);
    expect_all(29);
    restart_all();
    expect_all(29);
    expect_same_digests();
    cluster_stop(&cluster);
}

static void flush_all(void)
{
    struct store_stats stats = {.flushing = true};

    for (int node = 0; node < CLUSTER_NODES; node++)
        cr_assert_eq(store_flush(shard_store(cluster.shards[node])), 0);
    for (int rounds = 0; rounds < 100 && stats.flushing; rounds++) {
        cluster_run(&cluster, 200);
        for (int node = 0; node < CLUSTER_NODES; node++) {
            store_stats(shard_store(cluster.shards[node]), &stats);
            if (stats.flushing)
                break;
        }
    }
    cr_assert_not(stats.flushing);
}

/* So many that what was there before is no log any more. */
static void write_others(void)
{
    char key[48];

    for (int i = 0; i < 30 * KEYS; i++) {
        snprintf(key, sizeof key, "other-%d", i % KEYS);
        cr_assert_eq(cluster_set(&cluster, key, "something to fill the log")->status,
                     WIRE_STATUS_OK);
        forget_results();
    }
}

/* Twice: from segments to casks, and from casks to casks that had nothing dead in them. The keys of
 * before are then of no use any more. */
Test(shard_vault, flush_seals_again_what_older_keys_have_sealed)
{
    begin();
    cluster.options.log_size_max = 1;
    cluster.options.store.segment_size = 64u << 10;
    cluster.options.retain_entries_min = 0;
    restart_all();
    write_all(1);
    for (uint8_t id = 2; id <= 3; id++) {
        cr_assert_eq(vault_add(&vault, id, (const uint8_t[VAULT_KEY_SIZE]){id}), 0);
        vault_use(&vault, id);
        write_others();
        flush_all();
        vault.known[id - 1] = false;
        expect_all(1);
        expect_same_digests();
    }
    restart_all();
    expect_all(1);
    cluster_stop(&cluster);
}

/* Another key under the same number: records are not given out, and the node does not fall. */
Test(shard_vault, a_wrong_data_key_reads_nothing)
{
    char key[48];
    const char *args[] = {key};

    begin();
    write_all(1);
    for (int node = 0; node < CLUSTER_NODES; node++)
        cluster_kill(&cluster, node);
    memset(vault.keys[1], 7, VAULT_KEY_SIZE);
    for (int node = 0; node < CLUSTER_NODES; node++)
        cluster_restart(&cluster, node);
    cluster_await_leaders(&cluster);
    for (int p = 0; p < CLUSTER_PARTITIONS; p++)
        cluster.epochs[p]++;
    key_of(key, 1);
    cr_assert_neq(cluster_do(&cluster, WIRE_OP_GET, 0, args, 1)->status, WIRE_STATUS_OK);
    cluster_stop(&cluster);
}
