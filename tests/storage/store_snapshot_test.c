#include "store_bench.h"

#include <criterion/criterion.h>
#include <string.h>

#include "storage/cask.h"
#include "storage/data_file.h"
#include "storage/filename.h"
#include "storage/store_state.h"
#include "storage/store_install.h"
#include "vfs_crash.h"

Test(store_snapshot, what_was_there_is_replaced_not_merged)
{
    struct bench bench;

    bench_begin(&bench, 1);
    bench_expect(&bench, 0, 20, "old");
    cr_assert_eq(bench_install(&bench, 10, 30, 100), STORE_INSTALL_DONE);
    bench_expect(&bench, 10, 30, "new");
    cr_assert_eq(bench_install(&bench, 25, 40, 200),
                 STORE_INSTALL_DONE); /* and again, over casks */
    bench_expect(&bench, 25, 40, "new");
    bench_end(&bench);
}

Test(store_snapshot, the_casks_of_the_one_before_are_gone_for_good)
{
    struct bench bench, again;

    bench_begin(&bench, 1);
    cr_assert_eq(bench_install(&bench, 0, 30, 100), STORE_INSTALL_DONE);
    cr_assert_eq(bench_install(&bench, 25, 40, 200), STORE_INSTALL_DONE);
    store_close(bench.store);
    cr_assert_eq(bench_open(&again, bench.vfs), 0);
    bench_expect(&again, 25, 40, "new");
    bench_end(&again);
}

Test(store_snapshot, an_empty_one_empties)
{
    struct bench bench;

    bench_begin(&bench, 1);
    cr_assert_eq(bench_install(&bench, 0, 0, 100), STORE_INSTALL_DONE);
    bench_expect(&bench, 0, 0, "new");
    bench_end(&bench);
}

Test(store_snapshot, what_follows_it_counts_and_what_went_before_does_not)
{
    struct bench bench, again;

    bench_begin(&bench, 1);
    cr_assert_eq(bench_install(&bench, 10, 30, 100), STORE_INSTALL_DONE);
    bench_append(&bench, 30, "new", false);
    bench_append(&bench, 10, "new", true);
    cr_assert(bench_work(&bench));
    bench_append(&bench, 30, "new", false);
    cr_assert(bench_work(&bench));
    bench_expect(&bench, 11, 31, "new");
    store_close(bench.store);
    cr_assert_eq(bench_open(&again, bench.vfs), 0);
    cr_assert_geq(again.applied, 102);
    cr_assert_eq(again.state, 'n');
    bench_expect(&again, 11, 31, "new");
    bench_end(&again);
}

Test(store_snapshot, one_that_is_given_up_leaves_everything_as_it_was)
{
    const struct store_checkpoint checkpoint = bench_checkpoint(100);
    struct keydir_digest digests[KEYS];
    struct store_install *install;
    struct store_stats stats;
    struct bench bench;
    uint8_t bytes[8192];
    size_t size;

    bench_begin(&bench, 1);
    cr_assert_eq(store_install_begin(bench.store, PARTITION, &checkpoint, &install), 0);
    size = bench_piece(bytes, digests, 0, KEYS, "new", 9);
    cr_assert_eq(store_install_add(install, bytes, size, digests, KEYS, 0), 0);
    store_install_end(install);
    cr_assert(bench_work(&bench));
    bench_expect(&bench, 0, 20, "old");
    store_stats(bench.store, &stats);
    cr_assert_eq(stats.casks, 0);
    cr_assert_eq(store_install_begin(bench.store, PARTITION, &checkpoint, &install), 0,
                 "another may follow");
    store_install_end(install);
    cr_assert(bench_work(&bench));
    bench_end(&bench);
}

Test(store_snapshot, a_value_that_does_not_check_is_not_installed)
{
    const struct store_checkpoint checkpoint = bench_checkpoint(100);
    struct keydir_digest digests[KEYS];
    struct store_install *install;
    struct store_stats stats;
    struct record record;
    struct bench bench;
    uint8_t bytes[8192];
    size_t size;

    bench_begin(&bench, 1);
    cr_assert_eq(store_install_begin(bench.store, PARTITION, &checkpoint, &install), 0);
    size = bench_piece(bytes, digests, 0, KEYS, "new", 9);
    cr_assert_eq(record_decode(bytes, size, &record), 0);
    bytes[record.value - bytes] ^= 1;
    cr_assert_eq(store_install_add(install, bytes, size, digests, KEYS, 0), 0);
    cr_assert_eq(store_install_commit(install, &checkpoint), 0);
    cr_assert(bench_work(&bench));
    cr_assert_eq(store_install_state(install), STORE_INSTALL_FAILED);
    store_install_end(install);
    cr_assert(bench_work(&bench));
    bench_expect(&bench, 0, 20, "old");
    store_stats(bench.store, &stats);
    cr_assert_eq(stats.casks, 0);
    bench_end(&bench);
}

Test(store_snapshot, one_that_the_disk_has_no_room_for_tells_how_much_it_would_have_taken)
{
    const struct store_checkpoint checkpoint = bench_checkpoint(100);
    struct keydir_digest digests[KEYS];
    struct store_install *install;
    struct bench bench;
    uint8_t bytes[8192];
    size_t size;

    bench_begin(&bench, 1);
    size = bench_piece(bytes, digests, 0, KEYS, "new", 9);
    cr_assert_eq(store_install_begin(bench.store, PARTITION, &checkpoint, &install), 0);
    install->filled.space_reserve = INT64_MAX;
    cr_assert_eq(store_install_add(install, bytes, size, digests, KEYS, 0), 0);
    cr_assert_eq(store_install_lacked(install), 0);
    cr_assert_eq(bench_commit(&bench, install, 100), STORE_INSTALL_FAILED);
    cr_assert_eq(store_install_lacked(install), size);
    store_install_end(install);
    cr_assert(bench_work(&bench));
    cr_assert(store_has_room(bench.store, size));
    cr_assert_not(store_has_room(bench.store, INT64_MAX));
    bench_end(&bench);
}

#define TWICE 4u /* keys: both times they fit into one cask */

Test(store_snapshot, a_key_that_comes_twice_counts_as_its_newest)
{
    const struct store_checkpoint checkpoint = bench_checkpoint(100);
    struct keydir_digest digests[KEYS];
    struct store_install *install;
    struct bench bench;
    uint8_t bytes[8192];
    size_t size;

    bench_begin(&bench, 1);
    cr_assert_eq(store_install_begin(bench.store, PARTITION, &checkpoint, &install), 0);
    size = bench_piece(bytes, digests, 0, TWICE, "new", 90);
    cr_assert_eq(store_install_add(install, bytes, size, digests, TWICE, 1), 0);
    size = bench_piece(bytes, digests, 0, TWICE, "old", 9);
    cr_assert_eq(store_install_add(install, bytes, size, digests, TWICE, 0), 0);
    cr_assert_eq(bench_commit(&bench, install, 100), STORE_INSTALL_DONE);
    bench_expect(&bench, 0, TWICE, "new");
    bench_end(&bench);
}

/* All keys by their digests, lowest first, as a source sends them. */
static void keys_by_digest(uint32_t numbers[KEYS])
{
    struct keydir_digest digests[KEYS];
    uint8_t bytes[8192];

    (void)bench_piece(bytes, digests, 0, KEYS, "new", 9);
    for (uint32_t i = 0; i < KEYS; i++) {
        uint32_t at = i;

        for (; at > 0 && keydir_position(&digests[numbers[at - 1]]) > keydir_position(&digests[i]);
             at--)
            numbers[at] = numbers[at - 1];
        numbers[at] = i;
    }
}

/* Of each piece behind the first so many keys were in the one before. */
static void ordered_install(uint32_t again)
{
    const struct store_checkpoint checkpoint = bench_checkpoint(100);
    struct keydir_digest digests[PIECE_KEYS];
    struct store_install *install;
    uint32_t numbers[KEYS];
    uint8_t bytes[4096];
    struct bench bench;

    keys_by_digest(numbers);
    bench_begin(&bench, 1);
    cr_assert_eq(store_install_begin(bench.store, PARTITION, &checkpoint, &install), 0);
    for (uint32_t from = 0; from < KEYS; from += PIECE_KEYS - again) {
        uint32_t count = KEYS - from < PIECE_KEYS ? KEYS - from : PIECE_KEYS;
        size_t size = 0;

        for (uint32_t i = 0; i < count; i++)
            size += bench_piece(bytes + size, &digests[i], numbers[from + i], numbers[from + i] + 1,
                                "new", 9);
        cr_assert_eq(store_install_add(install, bytes, size, digests, count, from + 1), 0);
        cr_assert(bench_work(&bench));
    }
    cr_assert_eq(bench_commit(&bench, install, 100), STORE_INSTALL_DONE);
    bench_expect(&bench, 0, KEYS, "new");
    keydir_check(store_partition(bench.store, PARTITION)->keydir);
    cr_assert_eq(keydir_count(store_partition(bench.store, PARTITION)->keydir), KEYS);
    bench_end(&bench);
}

Test(store_snapshot, keys_in_the_order_of_their_digests_are_all_there)
{
    ordered_install(0);
}

Test(store_snapshot, keys_that_a_later_source_sends_again_are_there_once)
{
    ordered_install(3);
}

/* Every call that changes a disk is once the last one; then the power goes, and the store is opened
 * on what is left: all of the old state or all of the new, and new it stays. */
Test(store_snapshot, a_crash_leaves_the_old_state_or_the_new, .timeout = 300)
{
    uint32_t states[2] = {0, 0};

    for (uint64_t n = 1;; n++) {
        struct bench bench, again;
        bool done, cut;

        bench_begin(&bench, n);
        vfs_crash_cut_after(bench.vfs, n);
        done = bench_install(&bench, 10, 30, 100) == STORE_INSTALL_DONE;
        if (done && !bench.failed) {
            bench_append(&bench, 30, "new", false);
            (void)bench_work(&bench);
        }
        cut = vfs_crash_is_cut(bench.vfs);
        store_close(bench.store);
        vfs_crash_restart(bench.vfs);
        cr_assert_eq(bench_open(&again, bench.vfs), 0, "cut %llu", (unsigned long long)n);
        cr_assert_not(again.fenced);
        cr_assert(!done || again.state == 'n', "cut %llu: it was done", (unsigned long long)n);
        if (again.applied <= 100)
            bench_expect(&again, again.state == 'n' ? 10 : 0, again.state == 'n' ? 30 : 20,
                         again.state == 'n' ? "new" : "old");
        states[again.state == 'n']++;
        bench_end(&again);
        if (!cut)
            break;
    }
    cr_assert_gt(states[0], 3);
    cr_assert_gt(states[1], 3);
}

/* Runs what there is to do until the partition has switched to the snapshot, but not to the end. */
static void work_until_switched(struct bench *bench, const struct store_install *install)
{
    for (uint64_t now_ms = 1000; install->stage != INSTALL_STAGE_LISTED; now_ms += 10) {
        struct store_job *job = store_next_job(bench->store, STORE_JOB_BACKGROUND, now_ms);

        cr_assert_lt(now_ms, 20000u);
        if (job)
            cr_assert_eq(store_done(bench->store, job, store_job_run(job)), 0);
    }
}

Test(store_snapshot, it_lifts_no_fence_that_came_after_it_began)
{
    static const struct {
        bool before, meanwhile, behind; /* a fence: it began, on its way, the switch */
        bool stays;
    } cases[] = {{true, false, false, false},
                 {false, true, false, true},
                 {false, false, true, true},
                 {true, false, true, true},
                 {false, true, true, true}};
    const struct store_checkpoint checkpoint = bench_checkpoint(100);

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct store_install *install;
        struct store_partition *part;
        struct bench bench;

        bench_begin(&bench, 1);
        part = store_partition(bench.store, PARTITION);
        if (cases[i].before)
            store_fence_partition(bench.store, part, "before");
        cr_assert_eq(store_install_begin(bench.store, PARTITION, &checkpoint, &install), 0);
        if (cases[i].meanwhile)
            store_fence_partition(bench.store, part, "meanwhile");
        cr_assert_eq(store_install_commit(install, &checkpoint), 0);
        work_until_switched(&bench, install);
        bench.fenced = false;
        if (cases[i].behind)
            store_fence_partition(bench.store, part, "behind");
        cr_assert_eq(bench.fenced, cases[i].behind, "case %zu: the host hears of it", i);
        for (int n = 0; n < 100 && store_install_state(install) == STORE_INSTALL_COMMIT; n++)
            cr_assert(bench_work(&bench));
        cr_assert_eq(store_install_state(install), STORE_INSTALL_DONE);
        store_install_end(install);
        cr_assert_eq(store_fenced(bench.store, PARTITION) != NULL, cases[i].stays, "case %zu", i);
        cr_assert_eq(bench_install(&bench, 10, 30, 200), STORE_INSTALL_DONE);
        cr_assert_null(store_fenced(bench.store, PARTITION), "the next one does");
        bench_end(&bench);
    }
}

/* Runs what the write job does not; the journal stays as it is on disk. */
static void work_in_background(struct bench *bench)
{
    for (uint64_t now_ms = 1000; now_ms < 20000; now_ms += 200) {
        struct store_job *job = store_next_job(bench->store, STORE_JOB_BACKGROUND, now_ms);

        if (job)
            cr_assert_eq(store_done(bench->store, job, store_job_run(job)), 0);
    }
}

/* The first ten keys, which were just written, are there after one more start, which ends it. */
static void expect_ten_stay(struct bench *bench)
{
    struct bench last;

    cr_assert(bench_work(bench));
    bench_append(bench, 0, "new", false); /* carries the commit of those before it */
    cr_assert(bench_work(bench));
    store_close(bench->store);
    cr_assert_eq(bench_open(&last, bench->vfs), 0);
    bench_expect(&last, 0, 10, "new");
    bench_end(&last);
}

/* The edit is durable, the batch that the floor lies in is not, and it was the first one of its
 * segment: the file is used again, and what it gets then is newer than the snapshot. */
Test(store_snapshot, a_segment_that_is_used_again_holds_nothing_void)
{
    const struct store_checkpoint checkpoint = bench_checkpoint(100);
    struct bench bench, again;
    struct store_install *install;
    store_location slot;

    bench_begin(&bench, 1);
    slot = bench.entries[0].location >> DATA_FILE_LOCATION_BITS;
    do {
        cr_assert(bench_work(&bench));
        bench_append(&bench, 0, "old", false);
    } while (bench.entries[0].location >> DATA_FILE_LOCATION_BITS == slot);
    for (uint32_t i = 0; i < 20; i++)
        bench_append(&bench, i, "old", false);
    cr_assert_lt(bench.applied, 100);
    cr_assert_eq(store_install_begin(bench.store, PARTITION, &checkpoint, &install), 0);
    cr_assert_eq(store_install_commit(install, &checkpoint), 0);
    work_in_background(&bench);
    cr_assert_eq(store_install_state(install), STORE_INSTALL_COMMIT);
    store_close(bench.store);
    vfs_crash_restart(bench.vfs);

    cr_assert_eq(bench_open(&again, bench.vfs), 0);
    cr_assert_eq(again.state, 'n');
    bench_expect(&again, 0, 0, "new");
    for (uint32_t i = 0; i < 10; i++)
        bench_append(&again, i, "new", false);
    expect_ten_stay(&again);
}

/* The same two segments on: the one that holds the floor goes, the one before it is used again. */
Test(store_snapshot, a_floor_in_a_segment_that_is_given_up_voids_nothing_newer)
{
    const struct store_checkpoint checkpoint = bench_checkpoint(1000);
    struct bench bench, again;
    struct store_install *install;
    uint64_t lost;

    bench_begin(&bench, 1);
    lost = bench.store->current->base.number + 1;
    while (bench.store->current->base.number < lost + 1) {
        work_in_background(&bench);
        for (uint32_t i = 0; i < 20; i++)
            bench_append(&bench, i, "old", false);
    }
    cr_assert_lt(bench.applied, 1000);
    cr_assert_eq(store_install_begin(bench.store, PARTITION, &checkpoint, &install), 0);
    cr_assert_eq(store_install_commit(install, &checkpoint), 0);
    work_in_background(&bench);
    cr_assert_eq(manifest_floor_find(&bench.store->manifest, PARTITION)->segment, lost + 1);
    store_close(bench.store);
    vfs_crash_restart(bench.vfs);

    cr_assert_eq(bench_open(&again, bench.vfs), 0);
    cr_assert_eq(again.state, 'n');
    for (uint32_t i = 0; i < 10; i++)
        bench_append(&again, i, "new", false);
    cr_assert_eq(again.store->current->base.number, lost);
    expect_ten_stay(&again);
}

/* A cask that is listed and gone: fenced until a snapshot comes in, and not once more behind it. */
Test(store_snapshot, a_cask_that_is_missing_is_forgotten_with_what_it_was_part_of)
{
    char path[FILENAME_PATH_SIZE];
    struct bench bench, again, last;
    size_t count;

    bench_begin(&bench, 1);
    cr_assert_eq(bench_install(&bench, 0, 30, 100), STORE_INSTALL_DONE);
    cr_assert(bench_work(&bench));
    cr_assert_eq(filename_cask(path, "shard-00", PARTITION,
                               manifest_casks(&bench.store->manifest, PARTITION, &count)->number),
                 0);
    store_close(bench.store);
    cr_assert_eq(vfs_remove(bench.vfs, path), 0);

    cr_assert_eq(bench_open(&again, bench.vfs), 0);
    cr_assert(again.fenced);
    again.applied = 100; /* nothing is told of who is fenced */
    again.fenced = false;
    cr_assert_eq(bench_install(&again, 10, 40, 200), STORE_INSTALL_DONE);
    cr_assert(bench_work(&again));
    store_close(again.store);

    cr_assert_eq(bench_open(&last, bench.vfs), 0);
    cr_assert_not(last.fenced);
    bench_expect(&last, 10, 40, "new");
    bench_end(&last);
}

static size_t cask_records(struct bench *bench, uint8_t *bytes, struct keydir_digest *digests,
                           size_t *count)
{
    char path[FILENAME_PATH_SIZE];
    struct vfs_file *file;
    struct cask_cursor cursor;
    struct cask cask;
    size_t size = 0;

    cr_assert_eq(filename_cask(path, "shard-00", PARTITION, 1), 0);
    cr_assert_eq(vfs_open(bench->vfs, path, 0, &file), 0);
    cr_assert_eq(cask_open(&cask, file), 0);
    cask_cursor_open(&cursor, &cask, 65536);
    for (*count = 0; cask_cursor_next(&cursor) == 0; (*count)++) {
        memcpy(bytes + size, cursor.bytes, cursor.size);
        size += cursor.size;
        bench_digest(NULL, cursor.record.key, cursor.record.key_size, &digests[*count]);
    }
    cask_cursor_close(&cursor);
    cask_close(&cask);
    vfs_close(file);
    return size;
}

static size_t slice_records(struct bench *bench, uint8_t *bytes, struct keydir_digest *digests,
                            size_t *count)
{
    struct keydir_item items[KEYS];
    struct keydir_slice slice = {
        .filter = KEYDIR_LIVE, .items_max = KEYS, .walk_max = 1000, .items = items};
    size_t size = 0;

    store_slice(bench->store, PARTITION, &slice);
    cr_assert_eq(slice.next, 0);
    for (*count = 0; *count < slice.count; (*count)++) {
        const uint8_t *from;
        struct record record;
        size_t got;

        cr_assert_eq(store_peek(bench->store, items[*count].entry.location,
                                items[*count].entry.size_max, &from, &got),
                     0);
        cr_assert_eq(record_decode(from, got, &record), 0);
        memcpy(bytes + size, from, record_size_padded(&record));
        size += record_size_padded(&record);
        bench_digest(NULL, record.key, record.key_size, &digests[*count]);
    }
    return size;
}

/* Why a snapshot is records that the keydir names, never files: the source has deleted a key; the
 * tombstone lies in its journal, the value still in its cask. */
Test(store_snapshot, a_file_that_is_shipped_brings_back_what_was_deleted)
{
    const struct store_checkpoint checkpoint = bench_checkpoint(100);
    struct keydir_digest digests[KEYS];
    struct store_install *install_it;
    struct bench source, target;
    uint8_t bytes[8192];
    char value[32];
    size_t count, size;

    bench_begin(&source, 1);
    cr_assert_eq(bench_install(&source, 0, 10, 100), STORE_INSTALL_DONE); /* all in one cask */
    bench_append(&source, 3, "new", true);
    cr_assert(bench_work(&source));
    bench_value(&source, 3, value);
    cr_assert_str_empty(value);

    bench_begin(&target, 2);
    size = cask_records(&source, bytes, digests, &count);
    cr_assert_eq(store_install_begin(target.store, PARTITION, &checkpoint, &install_it), 0);
    cr_assert_eq(store_install_add(install_it, bytes, size, digests, count, 0), 0);
    cr_assert_eq(bench_commit(&target, install_it, source.applied), STORE_INSTALL_DONE);
    bench_value(&target, 3, value);
    cr_assert_str_eq(value, "new-3", "the file does not know that it was deleted");

    size = slice_records(&source, bytes, digests, &count);
    cr_assert_eq(store_install_begin(target.store, PARTITION, &checkpoint, &install_it), 0);
    cr_assert_eq(store_install_add(install_it, bytes, size, digests, count, 0), 0);
    cr_assert_eq(bench_commit(&target, install_it, source.applied + 1), STORE_INSTALL_DONE);
    bench_value(&target, 3, value);
    cr_assert_str_empty(value);
    bench_value(&target, 4, value);
    cr_assert_str_eq(value, "new-4");
    bench_end(&source);
    bench_end(&target);
}
