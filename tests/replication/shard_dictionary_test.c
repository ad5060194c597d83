#include "shard_kinds.h"

#include "replication/raft.h"
#include "replication/shard_internal.h"
#include "storage/record.h"
#include "tests/dice.h"

#include <criterion/criterion.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct cluster cluster;

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
        kinds_key(key, i);
        value_of(value, i);
        kinds_write_one(&cluster, key, value);
    }
}

static void expect_all(int end)
{
    char key[32], value[64];

    for (int i = 0; i < end; i++) {
        kinds_key(key, i);
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
    kinds_key(key, 0);
    partition = cluster_partition(&cluster, key);
    cr_assert_eq(cluster_leader(&cluster, partition), 0, "another tag is needed");
    return partition;
}

Test(shard_dictionary, values_teach_one_and_all_replicas_know_it)
{
    uint16_t partition = begin();

    write_all(0, KEYS);
    cluster_run(&cluster, 1000);
    kinds_expect_dictionaries(&cluster, partition, 1);
    cr_assert_eq(kinds_records_with(&cluster, 1, partition, COMPRESS_CODEC_ZSTD + 2), 0);
    cr_assert_gt(kinds_records_with(&cluster, 1, partition, COMPRESS_CODEC_ZSTD + 1), 8);
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
    kinds_expect_dictionaries(&cluster, partition, 1);
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
    kinds_expect_dictionaries(&cluster, partition, 1);
    cluster_stop(&cluster);
}

Test(shard_dictionary, values_without_anything_in_common_teach_none)
{
    char key[32], value[64];
    uint16_t partition = begin();
    struct dice dice = {1};

    for (int i = 0; i < KEYS; i++) {
        kinds_key(key, i);
        for (int at = 0; at < 60; at++)
            value[at] = (char)(1 + dice_below(&dice, 255));
        value[60] = 0;
        cr_assert_eq(cluster_set(&cluster, key, value)->status, WIRE_STATUS_OK);
    }
    cluster_run(&cluster, 1000);
    kinds_expect_dictionaries(&cluster, partition, 0);
    cluster_stop(&cluster);
}

/* --- more than one ------------------------------------------------------------------------- */

Test(shard_dictionary, values_that_have_changed_teach_another)
{
    uint16_t partition = begin();

    for (int kind = 0; kind < 3; kind++) {
        kinds_write(&cluster, kind);
        cluster_run(&cluster, 2000);
        kinds_expect_dictionaries(&cluster, partition, (uint32_t)kind + 1);
        kinds_write(&cluster, kind);
        cluster_run(&cluster, 2000);
        kinds_expect_dictionaries(&cluster, partition, (uint32_t)kind + 1);
        cr_assert_gt(
            kinds_records_with(&cluster, 1, partition,
                               (uint8_t)(COMPRESS_CODEC_ZSTD + kinds_newest(&cluster, partition))),
            8);
    }
    for (int kind = 0; kind < 3; kind++)
        kinds_expect(&cluster, kind);
    kinds_restart(&cluster, partition);
    kinds_expect_dictionaries(&cluster, partition, 3);
    for (int kind = 0; kind < 3; kind++)
        kinds_expect(&cluster, kind);
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

        for (int round = 0; round < 4 && kinds_newest(&cluster, partition) != wanted; round++) {
            kinds_write(&cluster, kind);
            cluster_run(&cluster, 2000);
        }
        cr_assert_eq(kinds_newest(&cluster, partition), wanted, "kind %d", kind);
    }
    keys = store_keys(shard_store(cluster.shards[0]), partition);
    cr_assert_eq(keys, KINDS * KEYS);
    cr_assert_gt(cluster_files_with(&cluster, 0, "Rotterdam"), 0,
                 "it is looked for in vain where nothing is sealed");
    kinds_expect_dictionaries(&cluster, partition, COMPRESS_DICTIONARIES_MAX);
    for (int kind = 0; kind < KINDS; kind++)
        kinds_expect(&cluster, kind);
    kinds_restart(&cluster, partition);
    kinds_expect_dictionaries(&cluster, partition, COMPRESS_DICTIONARIES_MAX);
    for (int kind = 0; kind < KINDS; kind++)
        kinds_expect(&cluster, kind);
    cluster_stop(&cluster);
}

/* --- a key that is never at rest ----------------------------------------------------------------
 */

static enum { HOLD_ALL, LET_FIRST, KEEP_SECOND, HOLD_NONE } holding;
static uint32_t reads;
static bool asked;

/* Of the first two reads of the first node the second waits for long, and no other. It is asked
 * once about what is held already, and then for each job of the step. */
static bool holds_the_second(struct cluster *all, int node)
{
    if (node != 0 || (holding == LET_FIRST && all->held_count == 2))
        return false;
    if (holding == HOLD_ALL)
        return true;
    if (holding == LET_FIRST) {
        if (asked)
            holding = KEEP_SECOND;
        asked = true;
        return holding == KEEP_SECOND;
    }
    if (holding == KEEP_SECOND && !asked) {
        asked = true;
        return true;
    }
    reads++;
    return false;
}

static void ask_again(struct cluster *all, int node)
{
    (void)all;
    if (node == 0)
        asked = false;
}

/* Somebody reads it to write it all the time, so that the walk can never write it again. */
Test(shard_dictionary, a_walk_ends_that_cannot_write_some_key_again)
{
    uint16_t partition = begin();
    uint32_t append, seen;
    char key[32];

    for (int kind = 0; kind < (int)COMPRESS_DICTIONARIES_MAX; kind++)
        for (int round = 0; round < 4 && kinds_newest(&cluster, partition) != (uint32_t)kind + 1;
             round++) {
            kinds_write(&cluster, kind);
            cluster_run(&cluster, 2000);
        }
    kinds_expect_dictionaries(&cluster, partition, COMPRESS_DICTIONARIES_MAX);
    cluster.options.train_again_ms = 60000;
    kinds_restart(&cluster, partition);
    cr_assert_eq(cluster_leader(&cluster, partition), 0);
    vfs_mem_set_cold(cluster.disks[0], true);
    cluster.holds = holds_the_second;
    cluster.stepped = ask_again;
    kinds_write(&cluster, COMPRESS_DICTIONARIES_MAX); /* what they teach is the first read */
    cr_assert_eq(cluster.held_count, 1);
    kinds_key(key, 1000 + KEYS - 10); /* compressed with the oldest */
    cluster.budget_ms = 3600000;
    append = cluster_send(&cluster, 0, WIRE_OP_APPEND, 0, (const char *const[]){key, "!"}, 2);
    cluster_run(&cluster, 100);
    cr_assert_eq(cluster.held_count, 2);
    holding = LET_FIRST;
    cluster_run(&cluster, 30000);
    cr_assert_eq(holding, KEEP_SECOND);
    cr_assert_gt(reads, KEYS, "it was to walk: %u", reads);
    seen = reads;
    cluster_run(&cluster, 20000);
    cr_assert_eq(reads, seen, "it still walks: %u", reads - seen);
    cr_assert_null(cluster_result(&cluster, append));
    cr_assert_eq(kinds_newest(&cluster, partition), COMPRESS_DICTIONARIES_MAX);
    holding = HOLD_NONE;
    cluster_run(&cluster, 60000);
    cr_assert_eq(cluster_result(&cluster, append)->status, WIRE_STATUS_OK);
    for (int round = 0; round < 4 && kinds_newest(&cluster, partition) != 1; round++) {
        kinds_write(&cluster, COMPRESS_DICTIONARIES_MAX);
        cluster_run(&cluster, 5000);
    }
    cr_assert_eq(kinds_newest(&cluster, partition), 1, "it is free later");
    kinds_expect(&cluster, COMPRESS_DICTIONARIES_MAX);
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
    kinds_value(value, 0, 77);
    written = cluster_send(all, 0, WIRE_OP_SET, 0, (const char *const[]){"{tag}last", value}, 2);
}

Test(shard_dictionary, one_made_in_an_earlier_leadership_takes_no_number_twice)
{
    char key[32], value[64];
    int second;

    cluster_start(&cluster);
    cluster_await_leaders(&cluster);
    kinds_key(key, 0);
    contested = cluster_partition(&cluster, key);
    cr_assert_eq(cluster_leader(&cluster, contested), 0);
    cluster.holds = holds_until_led_again;
    cluster.stepped = write_when_settled;
    kinds_write(&cluster, 1); /* enough to begin with one, which is held up */
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
        kinds_key(key, i);
        kinds_value(value, 0, i);
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
    kinds_value(value, 0, 77);
    cluster_expect(&cluster, "{tag}last", value);
    cluster_restart(&cluster, second);
    cluster_run(&cluster, 3000);
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

/* The first one's entry may be gone by a checkpoint that is read behind the second's. */
Test(shard_dictionary, what_the_log_lacks_of_them_recovery_takes_from_a_later_checkpoint)
{
    uint16_t partition = begin();
    struct shard *shard = cluster.shards[1];
    struct replica *replica = shard_replica(shard, partition);
    struct record record = {.kind = RECORD_KIND_DICTIONARY,
                            .partition = partition,
                            .term = 1,
                            .index = 9,
                            .sub_count = 1,
                            .codec = COMPRESS_CODEC_ZSTD + 2,
                            .value = (const uint8_t *)"second",
                            .value_size = 6};
    struct pending_entry entry = {.index = 9, .owned = shard_dictionary_own(shard, &record)};

    shard->recovering = true;
    for (int brought = 1; brought >= 0; brought--) {
        shard_dictionary_apply(shard, replica, &entry);
        cr_assert(replica_serves(replica));
        cr_assert_eq(replica->dictionary_owed, 9);
        if (brought)
            replica->dictionary_owed = 0;
        shard_recover_end(shard);
        cr_assert_eq(replica_serves(replica), brought, "none came");
        cr_assert_not(shard->recovering);
        shard->recovering = true;
    }
    shard->recovering = false;
    free(entry.owned);
    cluster_stop(&cluster);
}
