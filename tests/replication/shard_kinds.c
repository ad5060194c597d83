#include "shard_kinds.h"

#include "replication/raft.h"
#include "storage/record.h"

#include <criterion/criterion.h>
#include <stdio.h>

void kinds_key(char key[32], int number)
{
    snprintf(key, 32, "{tag}%d", number);
}

void kinds_write_one(struct cluster *cluster, const char *key, const char *value)
{
    cr_assert_eq(cluster_set(cluster, key, value)->status, WIRE_STATUS_OK);
    if (cluster->result_count > CLUSTER_RESULTS / 2)
        cluster->result_count = 0;
}

/* In the partition's log on that node. */
uint32_t kinds_records_with(struct cluster *cluster, int node, uint16_t partition, uint8_t codec)
{
    struct store *store = shard_store(cluster->shards[node]);
    const struct raft_log *log = &shard_raft(cluster->shards[node], partition)->log;
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

void kinds_expect_dictionaries(struct cluster *cluster, uint16_t partition, uint32_t count)
{
    uint64_t digest, other;

    cr_assert_eq(store_digest(shard_store(cluster->shards[0]), partition, &digest), 0);
    for (int node = 0; node < CLUSTER_NODES; node++) {
        cr_assert_eq(store_dictionaries(shard_store(cluster->shards[node]), partition), count,
                     "node %d", node);
        cr_assert_eq(store_digest(shard_store(cluster->shards[node]), partition, &other), 0);
        cr_assert_eq(other, digest, "node %d", node);
    }
}

/* Values of one kind have little in common with those of another. */
void kinds_value(char value[64], int kind, int number)
{
    static const char *const forms[KINDS] = {
        "{\"user\":%05d,\"city\":\"Berlin\",\"state\":\"active\"}",
        "<item n='%05d' colour='magenta' weight='9 kg'/>",
        "GET /images/%05d/thumbnail.jpg?width=640 HTTP/1.1",
        "ship-no %05d; depart Rotterdam; arrive Singapore ok",
        "temperature=%05d;unit=kelvin;sensor=rooftop-north;q",
        "From: support@example.org To: %05d Re: Your invoice",
        "#%05d Lorem ipsum dolor sit amet, consectetur elit.",
    };

    snprintf(value, 64, forms[kind], (number * 7919 + kind * 31) % 100000);
}

/* Its keys are its own. */
void kinds_write(struct cluster *cluster, int kind)
{
    char key[32], value[64];

    for (int i = 0; i < KEYS; i++) {
        kinds_key(key, 1000 * (kind + 1) + i);
        kinds_value(value, kind, i);
        kinds_write_one(cluster, key, value);
    }
}

void kinds_expect(struct cluster *cluster, int kind)
{
    char key[32], value[64];

    for (int i = 0; i < KEYS; i += 7) {
        kinds_key(key, 1000 * (kind + 1) + i);
        kinds_value(value, kind, i);
        cluster_expect(cluster, key, value);
        if (cluster->result_count > CLUSTER_RESULTS / 2)
            cluster->result_count = 0;
    }
}

/* The newest dictionary of the partition on the node that leads it. */
uint32_t kinds_newest(struct cluster *cluster, uint16_t partition)
{
    return store_dictionary_newest(shard_store(cluster->shards[0]), partition);
}

void kinds_restart(struct cluster *cluster, uint16_t partition)
{
    for (int node = 0; node < CLUSTER_NODES; node++)
        cluster_kill(cluster, node);
    for (int node = 0; node < CLUSTER_NODES; node++)
        cluster_restart(cluster, node);
    cluster_await_leaders(cluster);
    cluster_run(cluster, 5000); /* who compresses leads again */
    cluster->epochs[partition] += 4;
}
