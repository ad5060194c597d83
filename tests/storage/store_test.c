#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "store_host.h"

Test(store, what_was_synced_is_there_after_reopen)
{
    struct host host;

    host_start(&host);
    cr_assert_eq(host_hard(&host, 0, 3, 2), 0);
    host_fill(&host, 10);
    host_commit(&host, 1, 5);
    cr_assert(host_sync(&host));
    cr_assert_eq(store_synced(host.store), store_batch(host.store) - 1);
    cr_assert_eq(store_queued(host.store), 0);
    host_check(&host);
    host_reopen_and_compare(&host);
    host_stop(&host);
}

Test(store, one_sync_serves_all_partitions_of_a_batch)
{
    struct store_stats before, after;
    struct host host;

    host_start(&host);
    store_stats(host.store, &before);
    host_fill(&host, 5);
    cr_assert_eq(host_hard(&host, 3, 2, 1), 0);
    cr_assert_gt(store_queued(host.store), 0);
    cr_assert(host_sync(&host));
    store_stats(host.store, &after);
    cr_assert_eq(after.syncs, before.syncs + 1);
    cr_assert_eq(after.entries, before.entries + 5 * HOST_PARTITIONS);
    host_stop(&host);
}

Test(store, a_later_append_truncates_what_is_at_its_index_and_behind_it)
{
    struct host host, again;

    host_start(&host);
    host_fill(&host, 8);
    cr_assert(host_sync(&host));
    cr_assert_eq(host_hard(&host, 2, 5, 1), 0);
    cr_assert_eq(host_append(&host, 2, 4, 1, false), 0);
    cr_assert(host_sync(&host));
    host_reopen(&host, &again);
    cr_assert_eq(again.parts[2].last, 4);
    cr_assert_eq(again.parts[2].log[4].term, 5);
    host_deinit(&again);
    host_stop(&host);
}

Test(store, a_lone_synced_mark_follows_within_100_ms_and_only_once)
{
    struct store_stats stats;
    struct host host;
    int r;

    host_start(&host);
    host_fill(&host, 1);
    cr_assert(host_write_one(&host, &r));
    cr_assert_not(host_write_one(&host, &r));
    host.now_ms += 99;
    cr_assert_not(host_write_one(&host, &r));
    host.now_ms += 1;
    cr_assert(host_write_one(&host, &r));
    cr_assert_eq(r, 0);
    for (int i = 0; i < 10; i++) {
        host.now_ms += 100;
        cr_assert_not(host_write_one(&host, &r), "an idle store writes");
    }
    store_stats(host.store, &stats);
    cr_assert_eq(stats.syncs, 2);
    host_reopen_and_compare(&host);
    host_stop(&host);
}

Test(store, unsynced_batches_are_served_from_memory_and_old_ones_from_the_file)
{
    struct host host;

    host_start(&host);
    host_fill(&host, 4);
    host_commit_all(&host);
    host_check(&host); /* nothing is written yet */
    cr_assert(host_sync(&host));
    host_fill(&host, 400); /* far more than memory_size_max */
    cr_assert(host_sync(&host));
    host_check(&host); /* the first entries are still the applied ones */
    host_stop(&host);
}

Test(store, bytes_handed_out_stay_until_a_call_that_is_not_a_read)
{
    const uint8_t *bytes[8];
    size_t sizes[8];
    struct record record;
    struct host host;

    host_start(&host);
    host_fill(&host, 8);
    host_commit_all(&host);
    host_fill(&host, 400);
    cr_assert(host_sync(&host));
    for (uint32_t i = 0; i < 8; i++)
        cr_assert_eq(store_peek(host.store, host.parts[0].log[i + 1].location,
                                host.parts[0].log[i + 1].size, &bytes[i], &sizes[i]),
                     0);
    for (uint32_t i = 0; i < 8; i++) {
        cr_assert_eq(record_decode(bytes[i], sizes[i], &record), 0);
        cr_assert_eq(record.index, i + 1);
    }
    host_stop(&host);
}

Test(store, a_cold_read_is_a_job_that_pins_its_segment)
{
    struct host_entry old;
    const uint8_t *bytes;
    struct store_stats stats;
    struct store_job *job;
    struct record record;
    struct host host;
    size_t size;
    int context;
    uint64_t dropped;

    host_start(&host);
    host_fill(&host, 2);
    host_commit_all(&host);
    old = host.parts[0].log[1];
    host_fill(&host, 400);
    cr_assert(host_sync(&host));
    vfs_mem_set_cold(host.vfs, true);
    cr_assert_eq(store_peek(host.store, old.location, old.size, &bytes, &size), STORE_E_AGAIN);
    job = store_read(host.store, old.location, old.size, &context);
    cr_assert_eq(store_job_class(job), STORE_JOB_READ);
    /* Everything of that time dies; the pinned segment's drop is durable but its file stays. */
    for (int i = 0; i < 6; i++) {
        host_fill(&host, 300);
        host_commit_all(&host);
        host_retain_none(&host);
        host_settle(&host);
    }
    store_stats(host.store, &stats);
    dropped = stats.segments_dropped;
    cr_assert_gt(dropped, 0, "nothing else was dropped");
    cr_assert_eq(store_job_run(job), 0);
    cr_assert_eq(store_read_result(job, &bytes, &size), (void *)&context);
    cr_assert_eq(record_decode(bytes, size, &record), 0);
    cr_assert_eq(record.index, 1);
    cr_assert_eq(store_done(host.store, job, 0), 0);
    host_settle(&host);
    store_stats(host.store, &stats);
    cr_assert_eq(stats.segments_dropped, dropped + 1, "the pin held back exactly one");
    host_stop(&host);
}

Test(store, a_queue_at_its_bound_says_full_until_a_batch_is_synced)
{
    struct host host;
    int r = 0;

    host_init(&host, vfs_mem_new());
    host.options.zero_ahead_size = host.options.segment_size;
    cr_assert_eq(host_open(&host), 0);
    host_found(&host);
    while (r == 0)
        r = host_append_next(&host, 0, 1);
    cr_assert_eq(r, STORE_E_FULL);
    cr_assert_leq(store_queued(host.store), host.options.queue_size_max);
    cr_assert_eq(host_hard(&host, 1, 9, 1), 0, "a hard state is never refused");
    cr_assert(host_sync(&host));
    cr_assert_eq(host_append_next(&host, 0, 1), 0);
    host_reopen_and_compare(&host);
    host_stop(&host);
}

Test(store, an_entry_larger_than_a_batch_and_than_what_is_prepared_goes_in)
{
    struct host host;
    int r;

    host_init(&host, vfs_mem_new());
    host.options.segment_size = 8u << 10;
    host.options.zero_ahead_size = 4u << 10;
    host.options.batch_size_max = 512;
    host.options.queue_size_max = 1024;
    host.options.memory_size_max = 512;
    cr_assert_eq(host_open(&host), 0);
    host_found(&host);
    host.padding = 8000;
    r = host_append_next(&host, 0, 1);
    cr_assert_eq(r, STORE_E_FULL, "it needs a larger segment first");
    host_settle(&host);
    cr_assert_eq(host_append_next(&host, 0, 1), 0);
    host_commit(&host, 0, 1);
    cr_assert(host_sync(&host));
    host_check(&host);
    host_reopen_and_compare(&host);
    host_stop(&host);
}

/* --- founding ------------------------------------------------------------------------------ */

Test(store, founding_again_with_the_same_arguments_changes_nothing)
{
    static const uint8_t hash[32] = {1, 2, 3}, other[32] = {1, 2, 4};
    static const uint16_t partitions[] = {0, 1, 2, 3};
    const uint16_t *hosted;
    struct host host;

    host_start(&host);
    host_fill(&host, 3);
    cr_assert_eq(store_found(host.store, hash, partitions, 4), 0);
    cr_assert_eq(store_found(host.store, other, partitions, 4), STORE_E_FENCED);
    cr_assert_eq(store_partitions(host.store, &hosted), 4);
    cr_assert_eq(hosted[3], 3);
    cr_assert(host_sync(&host));
    host_reopen_and_compare(&host);
    host_stop(&host);
}

Test(store, a_founded_shard_without_manifest_is_fenced_not_empty)
{
    struct host host;

    host_start(&host);
    host_fill(&host, 3);
    cr_assert(host_sync(&host));
    host_close(&host);
    cr_assert_eq(vfs_remove(host.vfs, "shard-00/MANIFEST"), 0);
    cr_assert_eq(host_open(&host), STORE_E_FENCED);
    host_close(&host);
    /* Even a node that forgot its founding sees the journal. */
    host.options.founded = false;
    cr_assert_eq(host_open(&host), STORE_E_FENCED);
    host_stop(&host);
}

/* The first segment's file comes before the manifest that lists it. */
Test(store, a_founding_that_was_cut_short_is_begun_again)
{
    struct host host;

    host_start(&host);
    host_close(&host);
    cr_assert_eq(vfs_remove(host.vfs, "shard-00/MANIFEST"), 0);
    host.options.founded = false;
    cr_assert_eq(host_open(&host), 0);
    host_found(&host);
    host_fill(&host, 3);
    cr_assert(host_sync(&host));
    host_reopen_and_compare(&host);
    host_stop(&host);
}

Test(store, a_missing_journal_file_fences_the_shard)
{
    struct host host;

    host_start(&host);
    host_fill(&host, 3);
    cr_assert(host_sync(&host));
    host_close(&host);
    cr_assert_eq(vfs_remove(host.vfs, "shard-00/journal-0000000001.log"), 0);
    cr_assert_eq(host_open(&host), STORE_E_FENCED);
    for (uint16_t p = 0; p < HOST_PARTITIONS; p++)
        cr_assert(host.parts[p].fenced);
    cr_assert_eq(host_append_next(&host, 0, 1), STORE_E_FENCED);
    host_stop(&host);
}

/* --- entries of many records, bytes of another node ---------------------------------------- */

struct capture {
    size_t entries, records;
    uint64_t last;
    uint32_t size;
    store_location location;
};

static void capture_entry(void *context, uint16_t partition, const struct record *records,
                          size_t count, store_location location, uint32_t size)
{
    struct capture *capture = context;

    cr_assert_eq(partition, 5);
    for (size_t i = 0; i < count; i++) {
        cr_assert_eq(records[i].sub_index, i);
        cr_assert_eq(records[i].sub_count, count);
        cr_assert_eq(records[i].key[0], (uint8_t)i);
    }
    capture->entries++;
    capture->records += count;
    capture->last = records[0].index;
    capture->size = size;
    capture->location = location;
}
static void capture_checkpoint(void *context, uint16_t partition,
                               const struct store_checkpoint *checkpoint)
{
    (void)context;
    cr_assert_eq(partition, 5);
    cr_assert_eq(checkpoint->applied_term, 77);
}
static void capture_hard_state(void *context, uint16_t partition,
                               const struct store_hard_state *state)
{
    (void)context, (void)partition, (void)state;
}
static void capture_commit(void *context, uint16_t partition, uint64_t commit)
{
    (void)context;
    cr_assert_eq(partition, 5);
    cr_assert_eq(commit, 1);
}
static void capture_fence(void *context, uint16_t partition, const char *why)
{
    (void)context;
    cr_assert_fail("partition %u is fenced: %s", partition, why);
}
static void capture_save(void *context, uint16_t partition, struct store_checkpoint *checkpoint)
{
    (void)context, (void)partition;
    *checkpoint = (struct store_checkpoint){.applied_term = 77, .first_index = 1};
}

Test(store, whole_entries_of_many_records_come_back_at_the_same_place)
{
    static const uint8_t hash[32] = {1};
    static const uint16_t partitions[] = {5};
    struct capture capture = {0};
    struct store_visitor visitor = {.context = &capture,
                                    .on_checkpoint = capture_checkpoint,
                                    .on_hard_state = capture_hard_state,
                                    .on_entry = capture_entry,
                                    .on_commit = capture_commit,
                                    .on_fence = capture_fence,
                                    .save_checkpoint = capture_save};
    struct record *records = calloc(RECORD_SUB_COUNT_MAX, sizeof(*records));
    struct vfs *vfs = vfs_mem_new();
    struct store_options options;
    store_location first, second;
    struct store_job *job;
    struct store *store;
    const uint8_t *bytes;
    uint8_t *copy;
    uint8_t keys[RECORD_SUB_COUNT_MAX];
    size_t got;
    uint32_t size;

    host_options(&options);
    options.segment_size = 4u << 20;
    options.zero_ahead_size = 1u << 20;
    options.batch_size_max = 1u << 20;
    options.queue_size_max = 1u << 20;
    cr_assert_eq(store_open(&store, vfs, &options, &visitor), 0);
    cr_assert_eq(store_found(store, hash, partitions, 1), 0);
    for (size_t i = 0; i < RECORD_SUB_COUNT_MAX; i++) {
        keys[i] = (uint8_t)i;
        records[i] = (struct record){
            .partition = 5, .kind = RECORD_KIND_PUT, .index = 1, .key = &keys[i], .key_size = 1};
    }
    cr_assert_eq(store_append(store, records, RECORD_SUB_COUNT_MAX, &first, &size), 0);
    cr_assert_eq(size, RECORD_SUB_COUNT_MAX * 48);
    store_commit(store, 5, 1);
    /* The same bytes as another entry, as a follower gets them. */
    cr_assert_eq(store_peek(store, first, size, &bytes, &got), 0);
    cr_assert_eq(got, size);
    for (size_t i = 0; i < 3; i++)
        records[i].index = 2;
    copy = malloc(size);
    got = 0;
    for (size_t i = 0; i < 3; i++) {
        records[i].sub_count = 3;
        got += record_encode(&records[i], copy + got);
    }
    cr_assert_eq(store_append_bytes(store, 5, 2, 2, copy, got, &second), 0);
    cr_assert_eq(second, first + size / RECORD_ALIGN);
    while ((job = store_next_job(store, STORE_JOB_WRITE, 0)) != NULL)
        cr_assert_eq(store_done(store, job, store_job_run(job)), 0);
    store_close(store);
    cr_assert_eq(store_open(&store, vfs, &options, &visitor), 0);
    cr_assert_eq(capture.entries, 2);
    cr_assert_eq(capture.records, RECORD_SUB_COUNT_MAX + 3);
    cr_assert_eq(capture.last, 2);
    cr_assert_eq(capture.size, got);
    cr_assert_eq(store_peek(store, capture.location, got, &bytes, &got), 0);
    cr_assert_eq(memcmp(bytes, copy, got), 0);
    store_close(store);
    free(copy);
    free(records);
    vfs_mem_free(vfs);
}

/* --- digests ------------------------------------------------------------------------------- */

Test(store, digests_are_equal_for_equal_content_wherever_it_lies)
{
    struct host a, b;
    uint64_t digest_a, digest_b;

    host_start(&a);
    host_start(&b);
    /* The same last values in another order, at other places, with another history. */
    host_fill(&b, 40);
    host_commit_all(&b);
    a.value_next = b.value_next = 1000;
    for (uint32_t key = 0; key < HOST_KEYS; key++)
        cr_assert_eq(host_append_next(&a, 0, key), 0);
    for (uint32_t key = HOST_KEYS; key-- > 0;) {
        b.value_next = 1000 + key;
        cr_assert_eq(host_append_next(&b, 0, key), 0);
    }
    host_commit_all(&a);
    host_commit_all(&b);
    cr_assert(host_sync(&b));
    vfs_mem_set_cold(b.vfs, true);
    cr_assert_eq(store_digest(a.store, 0, &digest_a), 0);
    cr_assert_eq(store_digest(b.store, 0, &digest_b), 0);
    cr_assert_eq(digest_a, digest_b);
    cr_assert_eq(host_append(&a, 0, a.parts[0].last + 1, 3, true), 0);
    host_commit_all(&a);
    cr_assert_eq(store_digest(a.store, 0, &digest_a), 0);
    cr_assert_neq(digest_a, digest_b);
    cr_assert_eq(store_keys(a.store, 0), HOST_KEYS - 1);
    host_stop(&a);
    host_stop(&b);
}
