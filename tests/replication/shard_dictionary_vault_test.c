/* Compression dictionaries where values are sealed. */
#include "shard_kinds.h"

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
        cr_assert_eq(kinds_files_with(&cluster, node, "Berlin"), 0, "node %d", node);
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
