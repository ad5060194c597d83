#include "shard_cluster.h"

#include "replication/raft.h"
#include "storage/record.h"

#include <criterion/criterion.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
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

static void write_one(const char *key, const char *value)
{
    cr_assert_eq(cluster_set(&cluster, key, value)->status, WIRE_STATUS_OK);
    if (cluster.result_count > CLUSTER_RESULTS / 2)
        cluster.result_count = 0;
}

static void write_all(int first, int end)
{
    char key[32], value[64];

    for (int i = first; i < end; i++) {
        key_of(key, i);
        value_of(value, i);
        write_one(key, value);
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

#define FILES_MAX 64

struct names {
    char paths[FILES_MAX][96];
    size_t count;
};

static int note_name(void *context, const char *name)
{
    struct names *names = context;

    cr_assert_lt(names->count, FILES_MAX);
    snprintf(names->paths[names->count++], sizeof names->paths[0], "shard-00/%s", name);
    return 0;
}

static bool file_holds(struct vfs *disk, const char *path, const char *text)
{
    struct vfs_file *file;
    uint64_t size;
    uint8_t *bytes;
    bool holds;

    cr_assert_eq(vfs_open(disk, path, VFS_OPEN_READ, &file), 0);
    cr_assert_eq(vfs_size(file, &size), 0);
    bytes = malloc(size + 1);
    cr_assert(bytes);
    cr_assert_eq(vfs_pread(file, bytes, size, 0), (int64_t)size);
    holds = memmem(bytes, size, text, strlen(text)) != NULL;
    free(bytes);
    vfs_close(file);
    return holds;
}

static uint32_t files_with(int node, const char *text)
{
    struct names names = {.count = 0};
    uint32_t found = 0;

    cr_assert_eq(vfs_list(cluster.disks[node], "shard-00", note_name, &names), 0);
    cr_assert_gt(names.count, 1);
    for (size_t i = 0; i < names.count; i++)
        found += file_holds(cluster.disks[node], names.paths[i], text);
    return found;
}

/* --- more than one ------------------------------------------------------------------------- */

#define KINDS 7

/* Values of one kind have little in common with those of another. */
static void value_of_kind(char value[64], int kind, int number)
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
static void write_kind(int kind)
{
    char key[32], value[64];

    for (int i = 0; i < KEYS; i++) {
        key_of(key, 1000 * (kind + 1) + i);
        value_of_kind(value, kind, i);
        write_one(key, value);
    }
}

static void expect_kind(int kind)
{
    char key[32], value[64];

    for (int i = 0; i < KEYS; i += 7) {
        key_of(key, 1000 * (kind + 1) + i);
        value_of_kind(value, kind, i);
        cluster_expect(&cluster, key, value);
        if (cluster.result_count > CLUSTER_RESULTS / 2)
            cluster.result_count = 0;
    }
}

/* The newest dictionary of the partition on the node that leads it. */
static uint32_t newest(uint16_t partition)
{
    return store_dictionary_newest(shard_store(cluster.shards[0]), partition);
}

static void restart_all(uint16_t partition)
{
    for (int node = 0; node < CLUSTER_NODES; node++)
        cluster_kill(&cluster, node);
    for (int node = 0; node < CLUSTER_NODES; node++)
        cluster_restart(&cluster, node);
    cluster_await_leaders(&cluster);
    cluster_run(&cluster, 5000); /* who compresses leads again */
    cluster.epochs[partition] += 4;
}

Test(shard_dictionary, values_that_have_changed_teach_another)
{
    uint16_t partition = begin();

    for (int kind = 0; kind < 3; kind++) {
        write_kind(kind);
        cluster_run(&cluster, 2000);
        expect_dictionaries(partition, (uint32_t)kind + 1);
        write_kind(kind);
        cluster_run(&cluster, 2000);
        expect_dictionaries(partition, (uint32_t)kind + 1);
        cr_assert_gt(records_with(1, partition, (uint8_t)(COMPRESS_CODEC_ZSTD + newest(partition))),
                     8);
    }
    for (int kind = 0; kind < 3; kind++)
        expect_kind(kind);
    restart_all(partition);
    expect_dictionaries(partition, 3);
    for (int kind = 0; kind < 3; kind++)
        expect_kind(kind);
    cluster_stop(&cluster);
}

/* More kinds of values than numbers, and all of them stay: what needs the oldest dictionary is
 * written again before another takes its number. */
Test(shard_dictionary, the_oldest_goes_when_nothing_needs_it)
{
    uint16_t partition = begin();
    uint64_t keys;

    for (int kind = 0; kind < KINDS; kind++) {
        uint32_t wanted = (uint32_t)kind % COMPRESS_DICTIONARIES_MAX + 1;

        for (int round = 0; round < 4 && newest(partition) != wanted; round++) {
            write_kind(kind);
            cluster_run(&cluster, 2000);
        }
        cr_assert_eq(newest(partition), wanted, "kind %d", kind);
    }
    keys = store_keys(shard_store(cluster.shards[0]), partition);
    cr_assert_eq(keys, KINDS * KEYS);
    cr_assert_gt(files_with(0, "Rotterdam"), 0, "it is looked for in vain where nothing is sealed");
    expect_dictionaries(partition, COMPRESS_DICTIONARIES_MAX);
    for (int kind = 0; kind < KINDS; kind++)
        expect_kind(kind);
    restart_all(partition);
    expect_dictionaries(partition, COMPRESS_DICTIONARIES_MAX);
    for (int kind = 0; kind < KINDS; kind++)
        expect_kind(kind);
    cluster_stop(&cluster);
}

/* --- made in an earlier leadership ------------------------------------------------------------ */

static uint16_t contested;
static bool reelected;
static uint32_t written;

static bool is_unsettled_leader(const struct raft *raft)
{
    return raft->role == RAFT_LEADER && raft->applied < raft->term_start;
}

/* What the first node makes comes out when it leads again, and its own entry is not committed. */
static bool holds_until_led_again(struct cluster *all, int node)
{
    return node == 0 && !(reelected && is_unsettled_leader(shard_raft(all->shards[0], contested)));
}

/* As soon as it serves again, somebody writes. */
static void write_when_settled(struct cluster *all, int node)
{
    const struct raft *raft = shard_raft(all->shards[node], contested);
    char value[64];

    if (node != 0 || !reelected || written || raft->role != RAFT_LEADER ||
        raft->applied < raft->term_start)
        return;
    value_of_kind(value, 0, 77);
    written = cluster_send(all, 0, WIRE_OP_SET, 0, (const char *const[]){"{tag}last", value}, 2);
}

Test(shard_dictionary, one_made_in_an_earlier_leadership_takes_no_number_twice)
{
    char key[32], value[64];
    int second;

    cluster_start(&cluster);
    cluster_await_leaders(&cluster);
    key_of(key, 0);
    contested = cluster_partition(&cluster, key);
    cr_assert_eq(cluster_leader(&cluster, contested), 0);
    cluster.holds = holds_until_led_again;
    cluster.stepped = write_when_settled;
    write_kind(1); /* enough to begin with one, which is held up */
    cr_assert_eq(cluster.held_count, 1);
    cluster.compressing = 7;
    for (int node = 1; node < 3; node++) {
        cluster_kill(&cluster, node);
        cluster_restart(&cluster, node);
    }
    /* Another leads, and makes its own. */
    cluster.cut[0] = true;
    for (int rounds = 0; rounds < 300 && cluster_leader(&cluster, contested) < 1; rounds++)
        cluster_run(&cluster, 10);
    cluster.cut[0] = false;
    cluster_run(&cluster, 300);
    second = cluster_leader(&cluster, contested);
    cr_assert_geq(second, 1, "leads: %d", second);
    cluster.epochs[contested] += 4;
    for (int i = 0; i < KEYS && shard_raft(cluster.shards[second], contested)->log.last ==
                                    shard_raft(cluster.shards[second], contested)->commit;
         i++) {
        key_of(key, i);
        value_of_kind(value, 0, i);
        (void)cluster_send(&cluster, second, WIRE_OP_SET, 0, (const char *const[]){key, value}, 2);
        cluster_tick(&cluster, second);
        if (store_dictionaries(shard_store(cluster.shards[second]), contested) > 0)
            break;
    }
    cr_assert_eq(store_dictionaries(shard_store(cluster.shards[second]), contested), 1);
    cr_assert_eq(store_dictionaries(shard_store(cluster.shards[0]), contested), 0);
    reelected = true;
    cluster_kill(&cluster, second);
    for (int i = 0; i < 20 && !written; i++) {
        cluster.now_ms += 500;
        cluster_tick(&cluster, 0);
    }
    cr_assert_neq(written, 0, "the first was to lead again");
    cr_assert_eq(cluster.held_count, 0);
    cluster_run(&cluster, 1000);
    cr_assert_eq(cluster_result(&cluster, written)->status, WIRE_STATUS_OK);
    for (int node = 0; node < CLUSTER_NODES; node++)
        cr_assert(node == second || !shard_fenced(cluster.shards[node], contested, NULL));
    value_of_kind(value, 0, 77);
    cluster_expect(&cluster, "{tag}last", value);
    cluster_restart(&cluster, second);
    cluster_run(&cluster, 3000);
    cluster_stop(&cluster);
}

/* --- sealed -------------------------------------------------------------------------------- */

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
    key_of(key, 0);
    partition = cluster_partition(&cluster, key);
    cluster.options.train_sealed = train;
    restart_all(partition);
    cr_assert_eq(cluster_leader(&cluster, partition), 0);
    return partition;
}

Test(shard_dictionary, where_values_are_sealed_none_is_made_unasked)
{
    uint16_t partition = begin_sealed(false);

    write_kind(0);
    cluster_run(&cluster, 2000);
    expect_dictionaries(partition, 0);
    cluster_stop(&cluster);
}

/* Also not in the checkpoints: each restart writes some. */
Test(shard_dictionary, a_sealed_one_is_used_and_is_in_no_file)
{
    uint16_t partition = begin_sealed(true);

    write_kind(0);
    cluster_run(&cluster, 2000);
    expect_dictionaries(partition, 1);
    cr_assert_gt(records_with(1, partition, COMPRESS_CODEC_ZSTD + 1), 8);
    for (int round = 0; round < 2; round++) {
        restart_all(partition);
        expect_dictionaries(partition, 1);
        write_kind(0);
        expect_kind(0);
    }
    for (int node = 0; node < CLUSTER_NODES; node++)
        cr_assert_eq(files_with(node, "Berlin"), 0, "node %d", node);
    cluster_stop(&cluster);
}

/* Data keys may come later than the log that was sealed with them. */
Test(shard_dictionary, a_sealed_one_waits_for_its_data_key)
{
    static const uint8_t key[VAULT_KEY_SIZE] = {1, 2, 3};
    uint16_t partition = begin_sealed(true);

    write_kind(0);
    cluster_run(&cluster, 2000);
    expect_dictionaries(partition, 1);
    vault_init(&vault);
    restart_all(partition);
    for (int node = 0; node < CLUSTER_NODES; node++)
        cr_assert_not(shard_fenced(cluster.shards[node], partition, NULL), "node %d", node);
    cr_assert_eq(vault_add(&vault, 1, key), 0);
    vault_use(&vault, 1);
    expect_kind(0);
    write_kind(0);
    cluster_run(&cluster, 1000);
    expect_dictionaries(partition, 1);
    cluster_stop(&cluster);
}

/* A leader without a data key cannot write again what is sealed with it; nothing is damaged. */
Test(shard_dictionary, what_another_data_key_seals_is_no_damage)
{
    static const uint8_t other[VAULT_KEY_SIZE] = {4, 5, 6};
    uint16_t partition = begin_sealed(true);
    char key[32], value[64];

    for (int kind = 0; kind < (int)COMPRESS_DICTIONARIES_MAX; kind++)
        for (int round = 0; round < 4 && newest(partition) != (uint32_t)kind + 1; round++) {
            write_kind(kind);
            cluster_run(&cluster, 2000);
        }
    expect_dictionaries(partition, COMPRESS_DICTIONARIES_MAX);
    vault_init(&vault);
    cr_assert_eq(vault_add(&vault, 2, other), 0);
    vault_use(&vault, 2);
    for (int i = 0; i < KEYS; i++) {
        const char *why = "nothing";

        key_of(key, 9000 + i);
        value_of_kind(value, COMPRESS_DICTIONARIES_MAX, i);
        (void)cluster_set(&cluster, key, value);
        for (int step = 0; step < 30; step++) {
            cluster_run(&cluster, 10);
            cr_assert_not(shard_fenced(cluster.shards[0], partition, &why), "%d: %s", i, why);
        }
    }
    cluster_stop(&cluster);
}

/* --- bad bytes ----------------------------------------------------------------------------- */

/* An entry that is committed with the append that brings it, as the leader would send it. */
static void append_dictionary(uint16_t partition, int follower, const uint8_t *value, size_t size)
{
    const struct raft *raft = shard_raft(cluster.shards[follower], partition);
    struct record record = {.kind = RECORD_KIND_DICTIONARY,
                            .partition = partition,
                            .term = raft->term,
                            .index = raft->log.last + 1,
                            .sub_count = 1,
                            .codec = COMPRESS_CODEC_ZSTD + 1,
                            .value = value,
                            .value_size = size};
    uint8_t bytes[4096];
    struct wire_raft wire = {.kind = RAFT_APPEND,
                             .group = partition,
                             .from_member = 1,
                             .to_member = (uint16_t)(follower + 1),
                             .from_life = 1,
                             .to_life = 1,
                             .term = raft->term,
                             .log_term = raft_log_term(&raft->log, raft->log.last),
                             .index = raft->log.last,
                             .commit = raft->log.last + 1,
                             .entry_count = 1,
                             .entries = {bytes, record_encode(&record, bytes)}};
    struct wire_buffer body = {0};
    struct link_message message = {.type = WIRE_RAFT};
    struct shard_event event = {.kind = SHARD_EVENT_MESSAGE,
                                .now_ms = cluster.now_ms,
                                .from = {.role = LINK_ROLE_NODE, .member = 1},
                                .message = &message};

    wire_put_raft(&body, &wire);
    message.body = body.data;
    message.body_size = body.size;
    shard_step(cluster.shards[follower], &event);
    wire_buffer_deinit(&body);
}

/* Not a shard that ends, but a partition that is fenced, and fetched again from its leader. */
Test(shard_dictionary, one_that_does_not_decode_fences_its_partition)
{
    uint16_t partition = begin();
    uint8_t bytes[600];
    uint64_t digest, other;
    const char *why = NULL;

    cr_assert_eq(cluster_set(&cluster, "{tag}a", "1")->status, WIRE_STATUS_OK);
    cluster_run(&cluster, 500);
    memset(bytes, 0xA5, sizeof bytes);
    memcpy(bytes, "\x37\xA4\x30\xEC\x01\x02\x03\x04", 8); /* it begins like one */
    append_dictionary(partition, 1, bytes, sizeof bytes);
    cr_assert(shard_fenced(cluster.shards[1], partition, &why));
    cr_assert_str_eq(why, "a compression dictionary does not decode");
    for (uint16_t p = 0; p < CLUSTER_PARTITIONS; p++)
        cr_assert(p == partition || !shard_fenced(cluster.shards[1], p, NULL));
    cluster_run(&cluster, 5000);
    cr_assert_not(shard_fenced(cluster.shards[1], partition, NULL), "it was to be fetched again");
    cr_assert_eq(cluster_set(&cluster, "{tag}a", "2")->status, WIRE_STATUS_OK);
    cluster_run(&cluster, 500);
    cr_assert_eq(store_digest(shard_store(cluster.shards[0]), partition, &digest), 0);
    cr_assert_eq(store_digest(shard_store(cluster.shards[1]), partition, &other), 0);
    cr_assert_eq(digest, other);
    cluster_stop(&cluster);
}
