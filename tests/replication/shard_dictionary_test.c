#include "shard_cluster.h"

#include "replication/raft.h"
#include "storage/record.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#define KEYS 150

static struct cluster cluster;

static void key_of(char key[32], int number)
{
    snprintf(key, 32, "{tag}%d", number);
}

static void value_of(char value[64], int number)
{
    static const char *const cities[] = {"Berlin", "Paris", "Madrid", "Vienna"};

    snprintf(value, 64, "{\"user\":%d,\"city\":\"%s\",\"state\":\"active\"}", number * 7919,
             cities[number % 4]);
}

static void write_all(int first, int end)
{
    char key[32], value[64];

    for (int i = first; i < end; i++) {
        key_of(key, i);
        value_of(value, i);
        cr_assert_eq(cluster_set(&cluster, key, value)->status, WIRE_STATUS_OK);
        if (cluster.result_count > CLUSTER_RESULTS / 2)
            cluster.result_count = 0;
    }
}

static void expect_all(int end)
{
    char key[32], value[64];

    for (int i = 0; i < end; i++) {
        key_of(key, i);
        value_of(value, i);
        cluster_expect(&cluster, key, value);
        if (cluster.result_count > CLUSTER_RESULTS / 2)
            cluster.result_count = 0;
    }
}

/* The first node compresses: it has to lead the partition of the keys. */
static uint16_t begin(void)
{
    char key[32];
    uint16_t partition;

    cluster_begin(&cluster);
    key_of(key, 0);
    partition = cluster_partition(&cluster, key);
    cr_assert_eq(cluster_leader(&cluster, partition), 0, "another tag is needed");
    return partition;
}

/* In the partition's log on that node. */
static uint32_t records_with(int node, uint16_t partition, uint8_t codec)
{
    struct store *store = shard_store(cluster.shards[node]);
    const struct raft_log *log = &shard_raft(cluster.shards[node], partition)->log;
    uint32_t count = 0;

    for (uint64_t index = log->first; index <= log->last; index++) {
        const struct raft_log_entry *entry = raft_log_at(log, index);
        struct record record;
        const uint8_t *bytes;
        size_t size;

        cr_assert_eq(store_peek(store, entry->location, entry->size, &bytes, &size), 0);
        cr_assert_eq(record_decode(bytes, size, &record), 0);
        count += record.codec == codec;
    }
    return count;
}

static void expect_dictionaries(uint16_t partition, uint32_t count)
{
    uint64_t digest, other;

    cr_assert_eq(store_digest(shard_store(cluster.shards[0]), partition, &digest), 0);
    for (int node = 0; node < CLUSTER_NODES; node++) {
        cr_assert_eq(store_dictionaries(shard_store(cluster.shards[node]), partition), count,
                     "node %d", node);
        cr_assert_eq(store_digest(shard_store(cluster.shards[node]), partition, &other), 0);
        cr_assert_eq(other, digest, "node %d", node);
    }
}

Test(shard_dictionary, values_teach_one_and_all_replicas_know_it)
{
    uint16_t partition = begin();

    write_all(0, KEYS);
    cluster_run(&cluster, 1000);
    expect_dictionaries(partition, 1);
    cr_assert_eq(records_with(1, partition, COMPRESS_CODEC_ZSTD + 2), 0);
    cr_assert_gt(records_with(1, partition, COMPRESS_CODEC_ZSTD + 1), 8);
    expect_all(KEYS);
    cluster_stop(&cluster);
}

Test(shard_dictionary, it_survives_the_restart_of_all)
{
    uint16_t partition = begin();

    write_all(0, KEYS);
    cluster_run(&cluster, 1000);
    for (int node = 0; node < CLUSTER_NODES; node++)
        cluster_kill(&cluster, node);
    for (int node = 0; node < CLUSTER_NODES; node++)
        cluster_restart(&cluster, node);
    cluster_await_leaders(&cluster);
    cluster_run(&cluster, 1000);
    cluster.epochs[partition]++;
    expect_all(KEYS);
    expect_dictionaries(partition, 1);
    cluster_stop(&cluster);
}

/* The next leader does not compress, and reads what the one before it did. */
Test(shard_dictionary, another_leader_reads_with_it)
{
    uint16_t partition = begin();

    write_all(0, KEYS);
    cluster_run(&cluster, 1000);
    cluster_kill(&cluster, 0);
    cluster_await_leaders(&cluster);
    cluster.epochs[partition]++;
    expect_all(KEYS);
    cluster_stop(&cluster);
}

/* Enough is overwritten that its entry's segment goes: it lives on in checkpoints. */
Test(shard_dictionary, it_outlives_the_log_that_brought_it)
{
    uint16_t partition = begin();

    write_all(0, KEYS);
    cluster_run(&cluster, 1000);
    for (int round = 0; round < 25; round++)
        write_all(KEYS - 100, KEYS);
    cluster_run(&cluster, 5000);
    cr_assert_gt(shard_raft(cluster.shards[0], partition)->log.first, KEYS,
                 "the log was to be cut");
    for (int node = 0; node < CLUSTER_NODES; node++)
        cluster_kill(&cluster, node);
    for (int node = 0; node < CLUSTER_NODES; node++)
        cluster_restart(&cluster, node);
    cluster_await_leaders(&cluster);
    cluster_run(&cluster, 1000);
    cluster.epochs[partition]++;
    expect_all(KEYS);
    expect_dictionaries(partition, 1);
    cluster_stop(&cluster);
}

Test(shard_dictionary, values_without_anything_in_common_teach_none)
{
    char key[32], value[64];
    uint16_t partition = begin();
    uint64_t x = 1;

    for (int i = 0; i < KEYS; i++) {
        key_of(key, i);
        for (int at = 0; at < 60; at++) {
            x = x * 6364136223846793005u + 1442695040888963407u;
            value[at] = (char)(1 + (x >> 33) % 255);
        }
        value[60] = 0;
        cr_assert_eq(cluster_set(&cluster, key, value)->status, WIRE_STATUS_OK);
    }
    cluster_run(&cluster, 1000);
    expect_dictionaries(partition, 0);
    cluster_stop(&cluster);
}
