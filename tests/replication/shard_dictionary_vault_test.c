/* Compression dictionaries where values are sealed. */
#include "shard_kinds.h"

#include "storage/codec.h"
#include "storage/record.h"
#include "storage/vault.h"

#include <criterion/criterion.h>
#include <sodium.h>

static struct cluster cluster;
static struct vault vault;

static uint16_t begin_sealed(bool train)
{
    char key[32];
    uint16_t partition;

    cr_assert_geq(sodium_init(), 0);
    vault_init(&vault);
    cr_assert_eq(vault_add(&vault, 1, (const uint8_t[VAULT_KEY_SIZE]){1, 2, 3}), 0);
    vault_use(&vault, 1);
    cluster_start_sealed(&cluster, &vault);
    cluster_await_leaders(&cluster);
    kinds_key(key, 0);
    partition = cluster_partition(&cluster, key);
    cluster.options.train_sealed = train;
    kinds_restart(&cluster, partition);
    cr_assert_eq(cluster_leader(&cluster, partition), 0);
    return partition;
}

Test(shard_dictionary_vault, where_values_are_sealed_none_is_made_unasked)
{
    uint16_t partition = begin_sealed(false);

    kinds_write(&cluster, 0);
    cluster_run(&cluster, 2000);
    kinds_expect_dictionaries(&cluster, partition, 0);
    cluster_stop(&cluster);
}

/* Also not in the checkpoints: each restart writes some. */
Test(shard_dictionary_vault, a_sealed_one_is_used_and_is_in_no_file)
{
    uint16_t partition = begin_sealed(true);

    kinds_write(&cluster, 0);
    cluster_run(&cluster, 2000);
    kinds_expect_dictionaries(&cluster, partition, 1);
    cr_assert_gt(kinds_records_with(&cluster, 1, partition, COMPRESS_CODEC_ZSTD + 1), 8);
    for (int round = 0; round < 2; round++) {
        kinds_restart(&cluster, partition);
        kinds_expect_dictionaries(&cluster, partition, 1);
        kinds_write(&cluster, 0);
        kinds_expect(&cluster, 0);
    }
    for (int node = 0; node < CLUSTER_NODES; node++)
        cr_assert_eq(cluster_files_with(&cluster, node, "Berlin"), 0, "node %d", node);
    cluster_stop(&cluster);
}

/* Data keys may come later than the log that was sealed with them. */
Test(shard_dictionary_vault, a_sealed_one_waits_for_its_data_key)
{
    static const uint8_t key[VAULT_KEY_SIZE] = {1, 2, 3};
    uint16_t partition = begin_sealed(true);

    kinds_write(&cluster, 0);
    cluster_run(&cluster, 2000);
    kinds_expect_dictionaries(&cluster, partition, 1);
    vault_init(&vault);
    kinds_restart(&cluster, partition);
    for (int node = 0; node < CLUSTER_NODES; node++)
        cr_assert_not(shard_fenced(cluster.shards[node], partition, NULL), "node %d", node);
    cr_assert_eq(vault_add(&vault, 1, key), 0);
    vault_use(&vault, 1);
    kinds_expect(&cluster, 0);
    kinds_write(&cluster, 0);
    cluster_run(&cluster, 1000);
    kinds_expect_dictionaries(&cluster, partition, 1);
    cluster_stop(&cluster);
}

/* As the next checkpoint or snapshot has it. */
static size_t saved(int node, uint16_t partition, uint8_t *out, uint8_t *key_id)
{
    struct store *store = shard_store(cluster.shards[node]);
    size_t size = store_dictionaries_save(store, partition, NULL);
    struct record record;

    cr_assert_eq(store_dictionaries_save(store, partition, out), size);
    cr_assert(store_dictionaries_sound(out, size));
    cr_assert_eq(record_decode(out + 2, codec_get_u16(out), &record), 0);
    cr_assert(record.flags & RECORD_FLAG_ENCRYPTED);
    *key_id = record.key_id;
    return size;
}

static void expect_saved(uint16_t partition, uint8_t key_id, size_t size)
{
    uint8_t bytes[STORE_DICTIONARIES_SIZE_MAX], first[STORE_DICTIONARIES_SIZE_MAX], found;

    cr_assert_eq(saved(0, partition, first, &found), size);
    for (int node = 0; node < CLUSTER_NODES; node++) {
        cr_assert_eq(saved(node, partition, bytes, &found), size);
        cr_assert_eq(found, key_id, "node %d: %u", node, found);
        cr_assert_arr_eq(bytes, first, size);
    }
}

/* When all values are sealed with a later data key nothing needs the one before it. */
Test(shard_dictionary_vault, checkpoints_have_it_under_the_newest_data_key)
{
    uint16_t partition = begin_sealed(true);
    uint8_t bytes[STORE_DICTIONARIES_SIZE_MAX], key_id;
    size_t size;

    kinds_write(&cluster, 0);
    cluster_run(&cluster, 2000);
    size = saved(0, partition, bytes, &key_id);
    expect_saved(partition, 1, size);
    cr_assert_eq(vault_add(&vault, 2, (const uint8_t[VAULT_KEY_SIZE]){4, 5, 6}), 0);
    vault_use(&vault, 2);
    vault.known[1] = false;
    expect_saved(partition, 1, size); /* who has not both leaves it alone */
    vault.known[1] = true;
    kinds_write(&cluster, 0);
    cluster_run(&cluster, 2000);
    for (int round = 0; round < 2; round++)
        kinds_restart(&cluster, partition);
    vault.known[1] = false;
    kinds_restart(&cluster, partition);
    expect_saved(partition, 2, size);
    kinds_expect_dictionaries(&cluster, partition, 1);
    kinds_expect(&cluster, 0);
    kinds_write(&cluster, 0);
    kinds_expect(&cluster, 0);
    for (int node = 0; node < CLUSTER_NODES; node++)
        cr_assert_not(shard_fenced(cluster.shards[node], partition, NULL), "node %d", node);
    cluster_stop(&cluster);
}

/* A leader without a data key cannot write again what is sealed with it; nothing is damaged. */
Test(shard_dictionary_vault, what_another_data_key_seals_is_no_damage)
{
    static const uint8_t other[VAULT_KEY_SIZE] = {4, 5, 6};
    uint16_t partition = begin_sealed(true);
    char key[32], value[64];

    for (int kind = 0; kind < (int)COMPRESS_DICTIONARIES_MAX; kind++)
        for (int round = 0; round < 4 && kinds_newest(&cluster, partition) != (uint32_t)kind + 1;
             round++) {
            kinds_write(&cluster, kind);
            cluster_run(&cluster, 2000);
        }
    kinds_expect_dictionaries(&cluster, partition, COMPRESS_DICTIONARIES_MAX);
    vault_init(&vault);
    cr_assert_eq(vault_add(&vault, 2, other), 0);
    vault_use(&vault, 2);
    for (int i = 0; i < KEYS; i++) {
        const char *why = "nothing";

        kinds_key(key, 9000 + i);
        kinds_value(value, COMPRESS_DICTIONARIES_MAX, i);
        (void)cluster_set(&cluster, key, value);
        for (int step = 0; step < 30; step++) {
            cluster_run(&cluster, 10);
            cr_assert_not(shard_fenced(cluster.shards[0], partition, &why), "%d: %s", i, why);
        }
    }
    cluster_stop(&cluster);
}
