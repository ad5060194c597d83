#include "store_bench.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "storage/checksum.h"
#include "vfs_crash.h"

void bench_digest(const void *context, const uint8_t *key, size_t size, struct keydir_digest *out)
{
    (void)context;
    *out =
        (struct keydir_digest){.high = checksum_seeded(key, size, 1), .low = checksum(key, size)};
}

static void apply(struct bench *bench, uint64_t commit)
{
    size_t kept = 0;

    for (size_t i = 0; i < bench->entry_count; i++) {
        const struct bench_entry *entry = &bench->entries[i];

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
    struct bench_entry entry = {.index = records->index,
                                .location = location,
                                .size = size,
                                .tombstone = records->kind == RECORD_KIND_DELETE};

    cr_assert(partition == PARTITION && count == 1);
    bench_digest(NULL, records->key, records->key_size, &entry.digest);
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

int bench_open(struct bench *bench, struct vfs *vfs)
{
    struct store_options options = {.folder = "shard-00",
                                    .partitions = 4,
                                    .segment_size = 64u << 10,
                                    .batch_size_max = 16u << 10,
                                    .queue_size_max = 1u << 20,
                                    .memory_size_max = 4096,
                                    .zero_ahead_size = 8192,
                                    .journal_size_max = 8u << 20,
                                    .install_size = INSTALL_SIZE,
                                    .digest = bench_digest};
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

bool bench_work(struct bench *bench)
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

void bench_append(struct bench *bench, uint32_t number, const char *word, bool delete_it)
{
    char key[16], value[32];
    struct record record = record_of(key, value, number, word, bench->applied + 1);
    struct bench_entry *entry = &bench->entries[bench->entry_count];

    if (delete_it) {
        record.kind = RECORD_KIND_DELETE;
        record.value_size = 0;
    }
    *entry = (struct bench_entry){.index = record.index, .tombstone = delete_it};
    bench_digest(NULL, record.key, record.key_size, &entry->digest);
    cr_assert_eq(store_room(bench->store, record_size_padded(&record)), 0);
    cr_assert_eq(store_append(bench->store, &record, 1, &entry->location, &entry->size), 0);
    bench->entry_count++;
    store_commit(bench->store, PARTITION, record.index);
    apply(bench, record.index);
}

size_t bench_piece(uint8_t *bytes, struct keydir_digest *digests, uint32_t from, uint32_t to,
                   const char *word, uint64_t index)
{
    char key[16], value[32];
    size_t size = 0;

    for (uint32_t i = from; i < to; i++) {
        struct record record = record_of(key, value, i, word, index);

        bench_digest(NULL, record.key, record.key_size, &digests[i - from]);
        size += record_encode(&record, bytes + size);
    }
    return size;
}

struct store_checkpoint bench_checkpoint(uint64_t applied)
{
    static const uint8_t state = 'n';

    return (struct store_checkpoint){.term = 2,
                                     .vote = 1,
                                     .applied = applied,
                                     .applied_term = 1,
                                     .first_index = applied + 1,
                                     .first_prev_term = 1,
                                     .state = &state,
                                     .state_size = 1};
}

enum store_install_state bench_commit(struct bench *bench, struct store_install *install,
                                      uint64_t applied)
{
    const struct store_checkpoint checkpoint = bench_checkpoint(applied);
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

enum store_install_state bench_install(struct bench *bench, uint32_t from, uint32_t to,
                                       uint64_t applied)
{
    const struct store_checkpoint checkpoint = bench_checkpoint(applied);
    struct keydir_digest digests[KEYS];
    struct store_install *install;
    uint8_t bytes[8192];

    cr_assert_eq(store_install_begin(bench->store, PARTITION, &checkpoint, &install), 0);
    for (uint32_t i = from; i < to && !bench->failed; i += PIECE_KEYS) {
        uint32_t end = i + PIECE_KEYS < to ? i + PIECE_KEYS : to;
        size_t size = bench_piece(bytes, digests, i, end, "new", applied - 1);
        int r;

        while ((r = store_install_add(install, bytes, size, digests, end - i, end)) == STORE_E_FULL)
            if (!bench_work(bench))
                break;
        if (r != 0) /* only when the power is off */
            break;
    }
    return bench_commit(bench, install, applied);
}

void bench_value(struct bench *bench, uint32_t number, char out[32])
{
    char key[16], value[32];
    struct record record = record_of(key, value, number, "", 1);
    struct keydir_digest digest;
    struct keydir_entry entry;
    const uint8_t *bytes;
    size_t size;

    out[0] = 0;
    bench_digest(NULL, record.key, record.key_size, &digest);
    if (store_find(bench->store, PARTITION, &digest, &entry) != 0 || entry.tombstone)
        return;
    cr_assert_eq(store_peek(bench->store, entry.location, entry.size_max, &bytes, &size), 0);
    cr_assert_eq(record_decode(bytes, size, &record), 0);
    memcpy(out, record.value, record.value_size);
    out[record.value_size] = 0;
}

void bench_expect(struct bench *bench, uint32_t from, uint32_t to, const char *word)
{
    char want[32], got[32];

    for (uint32_t i = 0; i < KEYS; i++) {
        want[0] = 0;
        if (i >= from && i < to)
            snprintf(want, sizeof want, "%s-%u", word, i);
        bench_value(bench, i, got);
        cr_assert_str_eq(got, want, "key-%u", i);
    }
    cr_assert_eq(store_keys(bench->store, PARTITION), to - from);
    store_check(bench->store);
}

void bench_begin(struct bench *bench, uint64_t seed)
{
    cr_assert_eq(bench_open(bench, vfs_crash_new(seed)), 0);
    found(bench);
    for (uint32_t i = 0; i < 20; i++)
        bench_append(bench, i, "old", false);
    cr_assert(bench_work(bench));
    bench_append(bench, 0, "old", false); /* carries the commit of those before it */
    cr_assert(bench_work(bench));
}

void bench_end(struct bench *bench)
{
    struct vfs *vfs = bench->vfs;

    store_close(bench->store);
    vfs_crash_free(vfs);
}
