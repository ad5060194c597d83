#include "storage/store_snapshot.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "storage/cask.h"
#include "storage/checksum.h"
#include "storage/data_file.h"
#include "storage/filename.h"
#include "vfs_crash.h"

#define PARTITION   1u
#define KEYS        40u
#define ENTRIES_MAX 256u

struct entry {
    uint64_t index;
    struct keydir_digest digest;
    store_location location;
    uint32_t size;
    bool tombstone;
};

/* A store and just enough of a replica: entries wait until a commit says so. */
struct bench {
    struct vfs *vfs;
    struct store *store;
    uint64_t applied;
    uint8_t state; /* of the newest checkpoint that counts */
    bool fenced;
    bool failed; /* the power is off */
    struct entry entries[ENTRIES_MAX];
    size_t entry_count;
};

static void digest_of(const void *context, const uint8_t *key, size_t size,
                      struct keydir_digest *out)
{
    (void)context;
    *out =
        (struct keydir_digest){.high = checksum_seeded(key, size, 1), .low = checksum(key, size)};
}

static void apply(struct bench *bench, uint64_t commit)
{
    size_t kept = 0;

    for (size_t i = 0; i < bench->entry_count; i++) {
        const struct entry *entry = &bench->entries[i];

        if (entry->index > commit) {
            bench->entries[kept++] = *entry;
            continue;
        }
        cr_assert_eq(store_apply(bench->store, PARTITION, &entry->digest, entry->location,
                                 entry->size, entry->tombstone, false),
                     0);
        bench->applied = entry->index > bench->applied ? entry->index : bench->applied;
    }
    bench->entry_count = kept;
}

static void on_checkpoint(void *context, uint16_t partition,
                          const struct store_checkpoint *checkpoint)
{
    struct bench *bench = context;

    if (partition != PARTITION || checkpoint->state_size == 0)
        return;
    apply(bench, checkpoint->applied);
    cr_assert_geq(checkpoint->applied, bench->applied, "what was installed is undone");
    bench->applied = checkpoint->applied;
    bench->state = checkpoint->state[0];
}

static void on_hard_state(void *context, uint16_t partition, const struct store_hard_state *state)
{
    (void)context;
    (void)partition;
    (void)state;
}

static void on_entry(void *context, uint16_t partition, const struct record *records, size_t count,
                     store_location location, uint32_t size)
{
    struct bench *bench = context;
    struct entry entry = {.index = records->index,
                          .location = location,
                          .size = size,
                          .tombstone = records->kind == RECORD_KIND_DELETE};

    cr_assert(partition == PARTITION && count == 1);
    digest_of(NULL, records->key, records->key_size, &entry.digest);
    bench->entries[bench->entry_count++] = entry;
}

static void on_commit(void *context, uint16_t partition, uint64_t commit)
{
    if (partition == PARTITION)
        apply(context, commit);
}

static void on_fence(void *context, uint16_t partition, const char *why)
{
    (void)why;
    ((struct bench *)context)->fenced |= partition == PARTITION;
}

static void save_checkpoint(void *context, uint16_t partition, struct store_checkpoint *checkpoint)
{
    struct bench *bench = context;

    *checkpoint = (struct store_checkpoint){.first_index = 1};
    if (partition == PARTITION)
        *checkpoint = (struct store_checkpoint){.term = 1,
                                                .applied = bench->applied,
                                                .applied_term = 1,
                                                .first_index = bench->applied + 1,
                                                .first_prev_term = 1,
                                                .state = &bench->state,
                                                .state_size = 1};
}

static int open_store(struct bench *bench, struct vfs *vfs)
{
    struct store_options options = {.folder = "shard-00",
                                    .partitions = 4,
                                    .segment_size = 64u << 10,
                                    .batch_size_max = 16u << 10,
                                    .queue_size_max = 1u << 20,
                                    .memory_size_max = 4096,
                                    .zero_ahead_size = 8192,
                                    .journal_size_max = 8u << 20,
                                    .digest = digest_of};
    struct store_visitor visitor = {.context = bench,
                                    .on_checkpoint = on_checkpoint,
                                    .on_hard_state = on_hard_state,
                                    .on_entry = on_entry,
                                    .on_commit = on_commit,
                                    .on_fence = on_fence,
                                    .save_checkpoint = save_checkpoint};

    *bench = (struct bench){.vfs = vfs, .state = 'o'};
    return store_open(&bench->store, vfs, &options, &visitor);
}

static void found(struct bench *bench)
{
    const uint8_t hash[32] = {1};
    const uint16_t partitions[] = {0, PARTITION};

    cr_assert_eq(store_found(bench->store, hash, partitions, 2), 0);
}

/* Runs all there is to do, or until an install has ended; false: the power is off. */
static bool work_until(struct bench *bench, struct store_install *install)
{
    static const enum store_job_class classes[] = {STORE_JOB_WRITE, STORE_JOB_BACKGROUND};
    bool any = true;

    for (uint64_t now_ms = 1000; any && !bench->failed; now_ms += 200) {
        any = false;
        if (install && store_install_state(install) != STORE_INSTALL_COMMIT)
            break;
        for (size_t i = 0; i < 2 && !bench->failed; i++) {
            struct store_job *job = store_next_job(bench->store, classes[i], now_ms);

            if (!job)
                continue;
            any = true;
            bench->failed = store_done(bench->store, job, store_job_run(job)) < 0 ||
                            vfs_crash_is_cut(bench->vfs);
        }
    }
    return !bench->failed;
}

static bool work(struct bench *bench)
{
    return work_until(bench, NULL);
}

static struct record record_of(char key[16], char value[32], uint32_t number, const char *word,
                               uint64_t index)
{
    snprintf(key, 16, "key-%u", number);
    snprintf(value, 32, "%s-%u", word, number);
    return (struct record){.partition = PARTITION,
                           .kind = RECORD_KIND_PUT,
                           .term = 1,
                           .index = index,
                           .sub_count = 1,
                           .key = (const uint8_t *)key,
                           .key_size = strlen(key),
                           .value = (const uint8_t *)value,
                           .value_size = strlen(value)};
}

static void append(struct bench *bench, uint32_t number, const char *word, bool delete_it)
{
    char key[16], value[32];
    struct record record = record_of(key, value, number, word, bench->applied + 1);
    struct entry *entry = &bench->entries[bench->entry_count];

    if (delete_it) {
        record.kind = RECORD_KIND_DELETE;
        record.value_size = 0;
    }
    *entry = (struct entry){.index = record.index, .tombstone = delete_it};
    digest_of(NULL, record.key, record.key_size, &entry->digest);
    cr_assert_eq(store_room(bench->store, record_size_padded(&record)), 0);
    cr_assert_eq(store_append(bench->store, &record, 1, &entry->location, &entry->size), 0);
    bench->entry_count++;
    store_commit(bench->store, PARTITION, record.index);
    apply(bench, record.index);
}

/* Keys from … to of the state `word` as one piece. */
static size_t piece(uint8_t *bytes, struct keydir_digest *digests, uint32_t from, uint32_t to,
                    const char *word, uint64_t index)
{
    char key[16], value[32];
    size_t size = 0;

    for (uint32_t i = from; i < to; i++) {
        struct record record = record_of(key, value, i, word, index);

        digest_of(NULL, record.key, record.key_size, &digests[i - from]);
        size += record_encode(&record, bytes + size);
    }
    return size;
}

static enum store_install_state commit(struct bench *bench, struct store_install *install,
                                       uint64_t applied)
{
    const uint8_t state = 'n';
    struct store_checkpoint checkpoint = {.term = 2,
                                          .vote = 1,
                                          .applied = applied,
                                          .applied_term = 1,
                                          .first_index = applied + 1,
                                          .first_prev_term = 1,
                                          .state = &state,
                                          .state_size = 1};
    enum store_install_state now;

    cr_assert_eq(store_install_commit(install, &checkpoint), 0);
    do {
        bench->failed |= !work_until(bench, install);
        now = store_install_state(install);
    } while (now == STORE_INSTALL_COMMIT && !bench->failed);
    if (now == STORE_INSTALL_DONE) {
        bench->applied = applied;
        bench->state = 'n';
        store_install_end(install);
    }
    return now;
}

static enum store_install_state install(struct bench *bench, uint32_t from, uint32_t to,
                                        uint64_t applied)
{
    struct keydir_digest digests[KEYS];
    struct store_install *install;
    uint8_t bytes[8192];
    size_t size;

    cr_assert_eq(store_install_begin(bench->store, PARTITION, &install), 0);
    for (uint32_t i = from; i < to; i += 7) {
        uint32_t end = i + 7 < to ? i + 7 : to;

        size = piece(bytes, digests, i, end, "new", applied - 1);
        cr_assert_eq(store_install_add(install, bytes, size, digests, end - i), 0);
    }
    return commit(bench, install, applied);
}

/* What the store gives for a key: "" for nothing. */
static void value_of(struct bench *bench, uint32_t number, char out[32])
{
    char key[16], value[32];
    struct record record = record_of(key, value, number, "", 1);
    struct keydir_digest digest;
    struct keydir_entry entry;
    const uint8_t *bytes;
    size_t size;

    out[0] = 0;
    digest_of(NULL, record.key, record.key_size, &digest);
    if (store_find(bench->store, PARTITION, &digest, &entry) != 0 || entry.tombstone)
        return;
    cr_assert_eq(store_peek(bench->store, entry.location, entry.size_max, &bytes, &size), 0);
    cr_assert_eq(record_decode(bytes, size, &record), 0);
    memcpy(out, record.value, record.value_size);
    out[record.value_size] = 0;
}

/* Keys from … to, and no others, have this state's values. */
static void expect(struct bench *bench, uint32_t from, uint32_t to, const char *word)
{
    char want[32], got[32];

    for (uint32_t i = 0; i < KEYS; i++) {
        want[0] = 0;
        if (i >= from && i < to)
            snprintf(want, sizeof want, "%s-%u", word, i);
        value_of(bench, i, got);
        cr_assert_str_eq(got, want, "key-%u", i);
    }
    cr_assert_eq(store_keys(bench->store, PARTITION), to - from);
    store_check(bench->store);
}

/* Keys 0 … 19 in their old state, applied and durable. */
static void begin(struct bench *bench, uint64_t seed)
{
    cr_assert_eq(open_store(bench, vfs_crash_new(seed)), 0);
    found(bench);
    for (uint32_t i = 0; i < 20; i++)
        append(bench, i, "old", false);
    cr_assert(work(bench));
    append(bench, 0, "old", false); /* carries the commit of those before it */
    cr_assert(work(bench));
}

static void end(struct bench *bench)
{
    struct vfs *vfs = bench->vfs;

    store_close(bench->store);
    vfs_crash_free(vfs);
}

Test(store_snapshot, what_was_there_is_replaced_not_merged)
{
    struct bench bench;

    begin(&bench, 1);
    expect(&bench, 0, 20, "old");
    cr_assert_eq(install(&bench, 10, 30, 100), STORE_INSTALL_DONE);
    expect(&bench, 10, 30, "new");
    cr_assert_eq(install(&bench, 25, 40, 200), STORE_INSTALL_DONE); /* and again, over casks */
    expect(&bench, 25, 40, "new");
    end(&bench);
}

Test(store_snapshot, the_casks_of_the_one_before_are_gone_for_good)
{
    struct bench bench, again;

    begin(&bench, 1);
    cr_assert_eq(install(&bench, 0, 30, 100), STORE_INSTALL_DONE);
    cr_assert_eq(install(&bench, 25, 40, 200), STORE_INSTALL_DONE);
    store_close(bench.store);
    cr_assert_eq(open_store(&again, bench.vfs), 0);
    expect(&again, 25, 40, "new");
    end(&again);
}

Test(store_snapshot, an_empty_one_empties)
{
    struct bench bench;

    begin(&bench, 1);
    cr_assert_eq(install(&bench, 0, 0, 100), STORE_INSTALL_DONE);
    expect(&bench, 0, 0, "new");
    end(&bench);
}

Test(store_snapshot, what_follows_it_counts_and_what_went_before_does_not)
{
    struct bench bench, again;

    begin(&bench, 1);
    cr_assert_eq(install(&bench, 10, 30, 100), STORE_INSTALL_DONE);
    append(&bench, 30, "new", false);
    append(&bench, 10, "new", true);
    cr_assert(work(&bench));
    append(&bench, 30, "new", false);
    cr_assert(work(&bench));
    expect(&bench, 11, 31, "new");
    store_close(bench.store);
    cr_assert_eq(open_store(&again, bench.vfs), 0);
    cr_assert_geq(again.applied, 102);
    cr_assert_eq(again.state, 'n');
    expect(&again, 11, 31, "new");
    end(&again);
}

Test(store_snapshot, one_that_is_given_up_leaves_everything_as_it_was)
{
    struct keydir_digest digests[KEYS];
    struct store_install *install;
    struct store_stats stats;
    struct bench bench;
    uint8_t bytes[8192];
    size_t size;

    begin(&bench, 1);
    cr_assert_eq(store_install_begin(bench.store, PARTITION, &install), 0);
    size = piece(bytes, digests, 0, KEYS, "new", 9);
    cr_assert_eq(store_install_add(install, bytes, size, digests, KEYS), 0);
    store_install_end(install);
    cr_assert(work(&bench));
    expect(&bench, 0, 20, "old");
    store_stats(bench.store, &stats);
    cr_assert_eq(stats.casks, 0);
    cr_assert_eq(store_install_begin(bench.store, PARTITION, &install), 0, "another may follow");
    store_install_end(install);
    cr_assert(work(&bench));
    end(&bench);
}

/* Every call that changes a disk is once the last one; then the power goes, and the store is opened
 * on what is left: all of the old state or all of the new, and new it stays. */
Test(store_snapshot, a_crash_leaves_the_old_state_or_the_new, .timeout = 300)
{
    uint32_t states[2] = {0, 0};

    for (uint64_t n = 1;; n++) {
        struct bench bench, again;
        bool done, cut;

        begin(&bench, n);
        vfs_crash_cut_after(bench.vfs, n);
        done = install(&bench, 10, 30, 100) == STORE_INSTALL_DONE;
        if (done && !bench.failed) {
            append(&bench, 30, "new", false);
            (void)work(&bench);
        }
        cut = vfs_crash_is_cut(bench.vfs);
        store_close(bench.store);
        vfs_crash_restart(bench.vfs);
        cr_assert_eq(open_store(&again, bench.vfs), 0, "cut %llu", (unsigned long long)n);
        cr_assert_not(again.fenced);
        cr_assert(!done || again.state == 'n', "cut %llu: it was done", (unsigned long long)n);
        if (again.applied <= 100)
            expect(&again, again.state == 'n' ? 10 : 0, again.state == 'n' ? 30 : 20,
                   again.state == 'n' ? "new" : "old");
        states[again.state == 'n']++;
        end(&again);
        if (!cut)
            break;
    }
    cr_assert_gt(states[0], 3);
    cr_assert_gt(states[1], 3);
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

/* The edit is durable, the batch that the floor lies in is not, and it was the first one of its
 * segment: the file is used again, and what it gets then is newer than the snapshot. */
Test(store_snapshot, a_segment_that_is_used_again_holds_nothing_void)
{
    const uint8_t state = 'n';
    struct store_checkpoint checkpoint = {.term = 2,
                                          .applied = 100,
                                          .applied_term = 1,
                                          .first_index = 101,
                                          .first_prev_term = 1,
                                          .state = &state,
                                          .state_size = 1};
    struct bench bench, again, last;
    struct store_install *install;
    store_location slot;

    begin(&bench, 1);
    slot = bench.entries[0].location >> DATA_FILE_LOCATION_BITS;
    do {
        cr_assert(work(&bench));
        append(&bench, 0, "old", false);
    } while (bench.entries[0].location >> DATA_FILE_LOCATION_BITS == slot);
    for (uint32_t i = 0; i < 20; i++)
        append(&bench, i, "old", false);
    cr_assert_lt(bench.applied, 100);
    cr_assert_eq(store_install_begin(bench.store, PARTITION, &install), 0);
    cr_assert_eq(store_install_commit(install, &checkpoint), 0);
    work_in_background(&bench);
    cr_assert_eq(store_install_state(install), STORE_INSTALL_COMMIT);
    store_close(bench.store);
    vfs_crash_restart(bench.vfs);

    cr_assert_eq(open_store(&again, bench.vfs), 0);
    cr_assert_eq(again.state, 'n');
    expect(&again, 0, 0, "new");
    for (uint32_t i = 0; i < 10; i++)
        append(&again, i, "new", false);
    cr_assert(work(&again));
    append(&again, 0, "new", false); /* carries the commit of those before it */
    cr_assert(work(&again));
    store_close(again.store);

    cr_assert_eq(open_store(&last, bench.vfs), 0);
    expect(&last, 0, 10, "new");
    end(&last);
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
        digest_of(NULL, cursor.record.key, cursor.record.key_size, &digests[*count]);
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
        digest_of(NULL, record.key, record.key_size, &digests[*count]);
    }
    return size;
}

/* Why a snapshot is records that the keydir names, never files: the source has deleted a key; the
 * tombstone lies in its journal, the value still in its cask. */
Test(store_snapshot, a_file_that_is_shipped_brings_back_what_was_deleted)
{
    struct keydir_digest digests[KEYS];
    struct store_install *install_it;
    struct bench source, target;
    uint8_t bytes[8192];
    char value[32];
    size_t count, size;

    begin(&source, 1);
    cr_assert_eq(install(&source, 0, 10, 100), STORE_INSTALL_DONE); /* all in one cask */
    append(&source, 3, "new", true);
    cr_assert(work(&source));
    value_of(&source, 3, value);
    cr_assert_str_empty(value);

    begin(&target, 2);
    size = cask_records(&source, bytes, digests, &count);
    cr_assert_eq(store_install_begin(target.store, PARTITION, &install_it), 0);
    cr_assert_eq(store_install_add(install_it, bytes, size, digests, count), 0);
    cr_assert_eq(commit(&target, install_it, source.applied), STORE_INSTALL_DONE);
    value_of(&target, 3, value);
    cr_assert_str_eq(value, "new-3", "the file does not know that it was deleted");

    size = slice_records(&source, bytes, digests, &count);
    cr_assert_eq(store_install_begin(target.store, PARTITION, &install_it), 0);
    cr_assert_eq(store_install_add(install_it, bytes, size, digests, count), 0);
    cr_assert_eq(commit(&target, install_it, source.applied + 1), STORE_INSTALL_DONE);
    value_of(&target, 3, value);
    cr_assert_str_empty(value);
    value_of(&target, 4, value);
    cr_assert_str_eq(value, "new-4");
    end(&source);
    end(&target);
}
