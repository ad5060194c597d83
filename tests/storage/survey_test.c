#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "storage/cask.h"
#include "storage/checksum.h"
#include "storage/journal_format.h"
#include "storage/survey.h"
#include "tests/dice.h"

#define FOLDER "shard-00"
#define LIVE   27u /* see shard_make() */

static void digest_of(const void *context, const uint8_t *key, size_t size,
                      struct keydir_digest *out)
{
    *out = (struct keydir_digest){.high = checksum_seeded(key, size, 7),
                                  .low = checksum_seeded(key, size, *(const uint64_t *)context)};
}

static size_t record_make(uint16_t partition, uint64_t index, unsigned key, bool is_delete,
                          uint8_t *out)
{
    static const uint8_t value[300];
    char text[16];
    struct record record = {.partition = partition,
                            .kind = is_delete ? RECORD_KIND_DELETE : RECORD_KIND_PUT,
                            .term = 1,
                            .sub_count = 1,
                            .index = index,
                            .key = (const uint8_t *)text,
                            .key_size = (size_t)snprintf(text, sizeof(text), "key-%02u", key),
                            .value = value,
                            .value_size = is_delete ? 0 : sizeof(value)};

    return record_encode(&record, out);
}

static struct vfs_file *file_new(struct vfs *vfs, const char *path)
{
    struct vfs_file *file;

    cr_assert_eq(vfs_open(vfs, path, VFS_OPEN_WRITE | VFS_OPEN_CREATE, &file), 0);
    return file;
}

/* Entries `index` and on of a partition, over the keys from `key` on. */
struct run {
    uint16_t partition;
    uint64_t index;
    unsigned key;
    uint16_t count;
    bool is_delete;
};

/* A segment of one batch. Returns the length of its data. */
static uint32_t segment_write(struct vfs *vfs, uint64_t number, const struct run *runs,
                              uint32_t run_count)
{
    static uint8_t bytes[64 << 10];
    uint8_t *batch = bytes + JOURNAL_BLOCK_SIZE;
    struct journal_run items[4];
    struct iovec iov = {.iov_base = bytes};
    char path[FILENAME_PATH_SIZE];
    uint32_t at = JOURNAL_BATCH_HEADER_SIZE, length;
    struct vfs_file *file;

    memset(bytes, 0, sizeof(bytes));
    for (uint32_t i = 0; i < run_count; i++) {
        items[i] = (struct journal_run){.partition = runs[i].partition,
                                        .count = runs[i].count,
                                        .offset = at,
                                        .first_index = runs[i].index,
                                        .last_index = runs[i].index + runs[i].count - 1};
        for (unsigned k = 0; k < runs[i].count; k++)
            at += (uint32_t)record_make(runs[i].partition, runs[i].index + k, runs[i].key + k,
                                        runs[i].is_delete, batch + at);
    }
    for (uint32_t i = 0; i < run_count; i++)
        journal_run_encode(&items[i], batch + at + i * JOURNAL_RUN_ITEM_SIZE);
    length = (uint32_t)journal_block_round(at + run_count * JOURNAL_RUN_ITEM_SIZE);
    journal_batch_header_encode(&(struct journal_batch_header){.number = number,
                                                               .synced_through = number - 1,
                                                               .segment = number,
                                                               .offset = JOURNAL_BLOCK_SIZE,
                                                               .length = length,
                                                               .directory_offset = at,
                                                               .run_count = run_count},
                                batch);
    journal_batch_finish(batch, number + 50);
    journal_segment_header_encode(
        &(struct journal_segment_header){.number = number, .epoch = number + 50}, bytes);
    cr_assert_eq(filename_journal(path, FOLDER, number), 0);
    file = file_new(vfs, path);
    iov.iov_len = JOURNAL_BLOCK_SIZE + length;
    cr_assert_eq(vfs_pwritev(file, &iov, 1, 0), 0);
    vfs_close(file);
    return JOURNAL_BLOCK_SIZE + length;
}

static void cask_write(struct vfs *vfs, struct manifest *manifest)
{
    char path[FILENAME_PATH_SIZE];
    struct cask_writer writer;
    struct cask_info info;
    struct vfs_file *file;
    uint8_t bytes[512];

    cr_assert_eq(filename_cask(path, FOLDER, 0, 1), 0);
    file = file_new(vfs, path);
    cr_assert_eq(cask_writer_begin(&writer, file, 0, 1), 0);
    for (unsigned i = 0; i < 20; i++) {
        size_t size = record_make(0, i + 1, i, i == 19, bytes);

        cr_assert_eq(cask_writer_add(&writer, bytes, size, NULL), 0);
    }
    cr_assert_eq(cask_writer_finish(&writer, &info), 0);
    cask_writer_end(&writer);
    vfs_close(file);
    cr_assert_eq(manifest_cask_add(manifest, &(struct manifest_cask){.partition = 0,
                                                                     .number = 1,
                                                                     .stamp = info.stamp,
                                                                     .length = info.length,
                                                                     .count = info.count,
                                                                     .tombstones = info.tombstones,
                                                                     .index_min = info.index_min,
                                                                     .index_max = info.index_max}),
                 0);
}

/* Partition 0: a cask has keys 0 … 19, the last one deleted; segment 1 has 0 … 9 again; segment 2
 * has 5 … 9, of which 8 and 9 are truncated by the open segment 3, which puts key 0 there.
 * Partition 1: keys 0 … 9 in segment 1 are void by a floor; segment 2 has 0 … 4 and deletes 5
 * and 6. So 20 and 7 records are alive, three tombstones among them. */
static void shard_make(struct vfs *vfs)
{
    static const struct run first[] = {{0, 101, 0, 10, false}, {1, 101, 0, 10, false}};
    static const struct run second[] = {
        {0, 111, 5, 5, false}, {1, 111, 0, 5, false}, {1, 116, 5, 2, true}};
    static const struct run third[] = {{0, 114, 0, 1, false}};
    struct manifest_floor floor = {.partition = 1, .segment = 2};
    struct manifest manifest;
    uint32_t lengths[2];

    cr_assert_eq(vfs_mkdir(vfs, FOLDER), 0);
    lengths[0] = segment_write(vfs, 1, first, 2);
    lengths[1] = segment_write(vfs, 2, second, 3);
    segment_write(vfs, 3, third, 1);
    manifest_init(&manifest);
    for (uint64_t number = 1; number <= 3; number++)
        cr_assert_eq(manifest_segment_add(&manifest, number, number + 50), 0);
    for (uint64_t number = 1; number <= 2; number++) {
        cr_assert_eq(manifest_segment_seal(&manifest, number, lengths[number - 1], number), 0);
        cr_assert_eq(manifest_segment_retire(&manifest, number), 0);
    }
    cr_assert_eq(manifest_floor_set(&manifest, &floor), 0);
    cask_write(vfs, &manifest);
    cr_assert_eq(manifest_rewrite(&manifest, vfs, FOLDER), 0);
    manifest_deinit(&manifest);
}

static const struct survey_file *find(const struct survey *survey, enum survey_kind kind,
                                      bool with_hint)
{
    for (size_t i = 0; i < survey->file_count; i++)
        if (survey->files[i].kind == kind && (!with_hint || survey->files[i].hint_wanted) &&
            survey->files[i].state != SURVEY_UNLISTED)
            return &survey->files[i];
    return NULL;
}

static const struct survey_file *find_name(const struct survey *survey, const char *name)
{
    for (size_t i = 0; i < survey->file_count; i++)
        if (strcmp(survey->files[i].name, name) == 0)
            return &survey->files[i];
    return NULL;
}

struct shard {
    struct vfs *vfs;
    uint64_t secret; /* of digests */
    struct survey survey;
    struct dice dice;
};

static void survey_it(struct survey *survey, struct shard *shard, bool with_digest)
{
    cr_assert_eq(
        survey_shard(survey, shard->vfs, FOLDER, with_digest ? digest_of : NULL, &shard->secret),
        0);
}

static void shard_begin(struct shard *shard)
{
    size_t made;

    shard->dice.state = 1;
    shard->vfs = vfs_mem_new();
    shard_make(shard->vfs);
    shard->secret = 99;
    survey_it(&shard->survey, shard, true);
    cr_assert_eq(survey_repair(&shard->survey, &made), 0);
    cr_assert_eq(made, 3);
    survey_deinit(&shard->survey);
    survey_it(&shard->survey, shard, true);
}

static void shard_again(struct shard *shard)
{
    survey_deinit(&shard->survey);
    survey_it(&shard->survey, shard, true);
}

static void shard_end(struct shard *shard)
{
    survey_deinit(&shard->survey);
    vfs_mem_free(shard->vfs);
}

static void flip(struct vfs *vfs, const char *path, uint64_t offset, unsigned bit)
{
    struct vfs_file *file;
    uint8_t byte;
    struct iovec iov = {.iov_base = &byte, .iov_len = 1};

    cr_assert_eq(vfs_open(vfs, path, VFS_OPEN_WRITE, &file), 0);
    cr_assert_eq(vfs_pread(file, &byte, 1, offset), 1);
    byte ^= (uint8_t)(1u << bit);
    cr_assert_eq(vfs_pwritev(file, &iov, 1, offset), 0);
    vfs_close(file);
}

static void path_of(char path[FILENAME_PATH_SIZE], const char *name)
{
    cr_assert_eq(filename_join(path, FOLDER, name), 0);
}

Test(survey, counts_each_key_alive_once_and_finds_no_fault)
{
    static const struct {
        const char *name;
        uint64_t records, tombstones, live;
    } expected[] = {{"journal-0000000001.log", 20, 0, 6},
                    {"journal-0000000002.log", 12, 2, 10},
                    {"journal-0000000003.log", 1, 0, 1},
                    {"p0000-0000000001.cask", 20, 1, 10}};
    struct shard shard;
    uint64_t live = 0;

    shard_begin(&shard);
    for (size_t i = 0; i < shard.survey.file_count; i++) {
        const struct survey_file *file = &shard.survey.files[i];

        cr_assert_eq(file->state, SURVEY_OK, "%s: %s", file->name, file->note);
        live += file->live_records;
        cr_assert_leq(file->live_bytes + file->dead_bytes, file->size);
    }
    cr_assert_eq(shard.survey.file_count, 8);
    cr_assert_not(survey_is_damaged(&shard.survey));
    for (size_t i = 0; i < 4; i++) {
        const struct survey_file *file = find_name(&shard.survey, expected[i].name);

        cr_assert_not_null(file);
        cr_assert_eq(file->records, expected[i].records, "%s", file->name);
        cr_assert_eq(file->tombstones, expected[i].tombstones, "%s", file->name);
        cr_assert_eq(file->live_records, expected[i].live, "%s: %lu", file->name,
                     (unsigned long)file->live_records);
    }
    cr_assert_eq(live, LIVE);
    shard_end(&shard);
}

/* Without the secret the same is found, but for digests that are wrong. */
Test(survey, needs_no_digest_to_judge)
{
    struct shard shard;
    struct survey blind;

    shard_begin(&shard);
    survey_it(&blind, &shard, false);
    cr_assert_eq(blind.file_count, shard.survey.file_count);
    for (size_t i = 0; i < blind.file_count; i++) {
        cr_assert_eq(blind.files[i].state, shard.survey.files[i].state);
        cr_assert_eq(blind.files[i].live_bytes, shard.survey.files[i].live_bytes);
        cr_assert_eq(blind.files[i].dead_bytes, shard.survey.files[i].dead_bytes);
    }
    survey_deinit(&blind);
    shard_end(&shard);
}

static uint8_t *bytes_of(struct vfs *vfs, const char *path, size_t *size)
{
    struct vfs_file *file;
    uint64_t length;
    uint8_t *bytes;

    cr_assert_eq(vfs_open(vfs, path, VFS_OPEN_READ, &file), 0);
    cr_assert_eq(vfs_size(file, &length), 0);
    *size = (size_t)length;
    bytes = malloc(*size);
    cr_assert_eq(vfs_pread(file, bytes, *size, 0), (int64_t)length);
    vfs_close(file);
    return bytes;
}

Test(survey, repairs_hints_that_are_missing_or_damaged)
{
    char segment[FILENAME_PATH_SIZE], cask[FILENAME_PATH_SIZE];
    struct shard shard;
    const struct survey_file *row;
    uint8_t *before[2], *after[2];
    size_t size[2], size_after[2], count;

    shard_begin(&shard);
    row = find(&shard.survey, SURVEY_SEGMENT, true);
    cr_assert_eq(filename_journal_hint(segment, FOLDER, row->number), 0);
    row = find(&shard.survey, SURVEY_CASK, true);
    cr_assert_eq(filename_cask_hint(cask, FOLDER, row->partition, row->number), 0);
    before[0] = bytes_of(shard.vfs, segment, &size[0]);
    before[1] = bytes_of(shard.vfs, cask, &size[1]);
    cr_assert_eq(vfs_remove(shard.vfs, segment), 0);
    flip(shard.vfs, cask, 100, 3);
    shard_again(&shard);
    cr_assert(survey_is_damaged(&shard.survey));
    cr_assert_eq(find_name(&shard.survey, segment + sizeof(FOLDER))->state, SURVEY_MISSING);
    cr_assert_eq(find_name(&shard.survey, cask + sizeof(FOLDER))->state, SURVEY_DAMAGED);
    cr_assert_eq(survey_repair(&shard.survey, &count), 0);
    cr_assert_eq(count, 2);
    shard_again(&shard);
    cr_assert_not(survey_is_damaged(&shard.survey));
    after[0] = bytes_of(shard.vfs, segment, &size_after[0]);
    after[1] = bytes_of(shard.vfs, cask, &size_after[1]);
    for (int i = 0; i < 2; i++) {
        cr_assert_eq(size[i], size_after[i]);
        cr_assert_eq(memcmp(before[i], after[i], size[i]), 0);
        free(before[i]);
        free(after[i]);
    }
    shard_end(&shard);
}

/* A whole hint, with every checksum, that says something else. */
Test(survey, finds_a_hint_that_does_not_say_what_its_data_file_holds)
{
    char path[FILENAME_PATH_SIZE];
    struct shard shard;
    const struct survey_file *row;
    struct hint hint;
    struct hint_cursor cursor;
    struct hint_entry *entries;
    struct hint_writer writer;
    struct vfs_file *file;
    size_t count = 0, repaired;

    shard_begin(&shard);
    row = find(&shard.survey, SURVEY_CASK, true);
    cr_assert_eq(filename_cask_hint(path, FOLDER, row->partition, row->number), 0);
    cr_assert_eq(vfs_open(shard.vfs, path, VFS_OPEN_WRITE, &file), 0);
    cr_assert_eq(hint_open(&hint, file, &row->subject), 0);
    entries = calloc((size_t)hint.count, sizeof(*entries));
    cr_assert_eq(hint_cursor_open(&cursor, &hint, row->partition), 0);
    while (hint_cursor_next(&cursor) == 0)
        entries[count++] = cursor.entry;
    hint_cursor_close(&cursor);
    hint_close(&hint);
    for (int kind = 0; kind < 3; kind++) {
        cr_assert_eq(vfs_truncate(file, 0), 0);
        cr_assert_eq(hint_writer_begin(&writer, file, &row->subject), 0);
        for (size_t i = kind == 0; i < count; i++) { /* 0: one is left out */
            struct hint_entry entry = entries[i];

            entry.index += kind == 1 && i == 0;
            entry.digest.low += kind == 2 && i == count - 1;
            cr_assert_eq(hint_writer_add(&writer, &entry), 0);
        }
        cr_assert_eq(hint_writer_finish(&writer), 0);
        hint_writer_end(&writer);
        shard_again(&shard);
        row = find_name(&shard.survey, path + sizeof(FOLDER));
        cr_assert_eq(row->state, SURVEY_DAMAGED, "kind %d", kind);
        cr_assert_str_eq(row->note, "does not say what its data file holds");
    }
    vfs_close(file);
    cr_assert_eq(survey_repair(&shard.survey, &repaired), 0);
    cr_assert_eq(repaired, 1);
    shard_again(&shard);
    cr_assert_not(survey_is_damaged(&shard.survey));
    free(entries);
    shard_end(&shard);
}

Test(survey, a_flipped_bit_of_data_is_found_in_its_file, .timeout = 120)
{
    struct shard shard;

    shard_begin(&shard);
    for (unsigned round = 0; round < 60; round++) {
        size_t at = (size_t)dice_below(&shard.dice, shard.survey.file_count);
        struct survey_file file = shard.survey.files[at];
        uint64_t size = file.kind == SURVEY_SEGMENT ? file.subject.length : file.size;
        uint64_t offset;
        char path[FILENAME_PATH_SIZE];
        const struct survey_file *row;

        if (file.state == SURVEY_UNLISTED || file.kind == SURVEY_MANIFEST || size == 0)
            continue; /* the tail of the log may be torn, the manifest has room behind its edits */
        offset = dice_below(&shard.dice, size);
        if (file.kind == SURVEY_SEGMENT)
            offset %= 44; /* batches are padded with zeros that nothing depends on */
        path_of(path, file.name);
        flip(shard.vfs, path, offset, round % 8);
        shard_again(&shard);
        row = find_name(&shard.survey, file.name);
        if (!(file.kind == SURVEY_SEGMENT && offset >= 40))
            cr_assert_geq(row->state, SURVEY_MISSING, "%s at %lu", file.name,
                          (unsigned long)offset);
        flip(shard.vfs, path, offset, round % 8);
        shard_again(&shard);
        cr_assert_not(survey_is_damaged(&shard.survey));
    }
    shard_end(&shard);
}

/* A batch that a start would cut: what it says is not so, and least of all for a hint that is made
 * again. Its file may have been used before, so that old records lie there whole. */
Test(survey, of_a_torn_tail_nothing_counts)
{
    char path[FILENAME_PATH_SIZE];
    struct shard shard;

    shard_begin(&shard);
    cr_assert_eq(filename_journal(path, FOLDER, 3), 0);
    flip(shard.vfs, path, JOURNAL_BLOCK_SIZE + JOURNAL_BATCH_HEADER_SIZE + 150, 1);
    shard_again(&shard);
    for (size_t i = 0; i < shard.survey.file_count; i++) {
        const struct survey_file *file = &shard.survey.files[i];

        if (file->kind != SURVEY_SEGMENT)
            continue;
        cr_assert_eq(file->state, SURVEY_OK);
        if (file->number == 2)
            cr_assert_eq(file->live_records, 12, "%lu", (unsigned long)file->live_records);
        if (file->number == 3)
            cr_assert_eq(file->records + file->live_records, 0);
    }
    cr_assert_eq(shard.survey.span_count, 0);
    shard_end(&shard);
}

Test(survey, names_what_is_missing_and_what_is_not_listed)
{
    char path[FILENAME_PATH_SIZE];
    struct shard shard;
    const struct survey_file *row;
    struct vfs_file *file;

    shard_begin(&shard);
    row = find(&shard.survey, SURVEY_CASK, true);
    path_of(path, row->name);
    cr_assert_eq(vfs_remove(shard.vfs, path), 0);
    cr_assert_eq(vfs_open(shard.vfs, FOLDER "/p0003-0000099999.cask",
                          VFS_OPEN_WRITE | VFS_OPEN_CREATE, &file),
                 0);
    vfs_close(file);
    shard_again(&shard);
    cr_assert_eq(find_name(&shard.survey, path + sizeof(FOLDER))->state, SURVEY_MISSING);
    row = find_name(&shard.survey, "p0003-0000099999.cask");
    cr_assert(row && row->state == SURVEY_UNLISTED && row->partition == 3 && row->number == 99999);
    cr_assert(survey_is_damaged(&shard.survey));
    shard_end(&shard);
}

Test(survey, a_folder_without_a_manifest_is_one_row)
{
    struct vfs *vfs = vfs_mem_new();
    struct survey survey;

    cr_assert_eq(vfs_mkdir(vfs, FOLDER), 0);
    cr_assert_eq(survey_shard(&survey, vfs, FOLDER, NULL, NULL), 0);
    cr_assert_eq(survey.file_count, 1);
    cr_assert_eq(survey.files[0].state, SURVEY_MISSING);
    cr_assert(survey_is_damaged(&survey));
    survey_deinit(&survey);
    vfs_mem_free(vfs);
}

/* What the disk does not give of a file is no reason not to look at the others. */
static bool is_row(const struct survey *survey)
{
    for (size_t i = 0; i < survey->file_count; i++)
        if (strcmp(survey->files[i].note, "the disk does not give it") == 0)
            return survey->files[i].state == SURVEY_DAMAGED;
    return false;
}

static void fail_each_call(int error)
{
    struct shard shard;
    struct survey survey;
    uint64_t calls, rows = 0;

    shard_begin(&shard);
    calls = vfs_mem_calls(shard.vfs);
    shard_again(&shard);
    calls = vfs_mem_calls(shard.vfs) - calls;
    for (uint64_t n = 1; n <= calls; n++) {
        vfs_mem_fail_after(shard.vfs, n, error);
        int r = survey_shard(&survey, shard.vfs, FOLDER, digest_of, &shard.secret);

        vfs_mem_fail_after(shard.vfs, 0, 0);
        if (error == EIO && n < calls) /* the last one lists the folder */
            cr_assert(r == 0 && (n < 8 || is_row(&survey)), "call %lu: %d", (unsigned long)n, r);
        else
            cr_assert(r == -error || (r == 0 && n < 8), "call %lu: %d", (unsigned long)n, r);
        rows += is_row(&survey);
        survey_deinit(&survey);
    }
    cr_assert_eq(rows > 3, error == EIO);
    shard_end(&shard);
}

Test(survey, every_failing_call_is_told)
{
    fail_each_call(EACCES);
}

Test(survey, a_file_that_the_disk_does_not_give_is_damaged)
{
    fail_each_call(EIO);
}
