#include "storage/survey_entry.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "storage/checksum.h"
#include "storage/codec.h"
#include "storage/grow.h"
#include "storage/hint_build.h"
#include "storage/vault.h"

const char *survey_kind_name(enum survey_kind kind)
{
    static const char *const names[] = {"manifest", "segment", "cask", "hint"};

    return names[kind];
}

const char *survey_state_name(enum survey_state state)
{
    static const char *const names[] = {"ok", "unlisted", "missing", "damaged", "newer"};

    return names[state];
}

struct survey_file *survey_file_add(struct survey *survey, const char *path, enum survey_kind kind)
{
    const char *slash = strrchr(path, '/');
    const char *name = slash ? slash + 1 : path;
    struct survey_file *file;

    if (GROW(survey->files, survey->file_capacity, survey->file_count + 1) != 0)
        return NULL;
    file = &survey->files[survey->file_count++];
    *file = (struct survey_file){.kind = kind, .note = ""};
    strncpy(file->name, name, sizeof(file->name) - 1);
    return file;
}

int survey_entry_add(struct survey *survey, size_t file, const struct record *record,
                     uint32_t offset)
{
    struct survey_file *row = &survey->files[file];
    struct survey_entry *entry;
    int r = GROW(survey->entries, survey->entry_capacity, survey->entry_count + 1);

    if (r != 0)
        return r;
    entry = &survey->entries[survey->entry_count++];
    *entry = (struct survey_entry){
        .file = (uint32_t)file,
        .entry = {.partition = record->partition,
                  .tombstone = record->kind == RECORD_KIND_DELETE,
                  .expires = (record->flags & RECORD_FLAG_EXPIRES) != 0,
                  .offset = offset,
                  .index = record->index,
                  .size = (uint32_t)record_size_padded(record)},
    };
    if (vault_digest(record, &entry->entry.digest)) {
        /* the key is its own digest */
    } else if (survey->digest) {
        survey->digest(survey->digest_context, record->key, record->key_size, &entry->entry.digest);
    } else { /* any good hash tells keys apart here */
        entry->entry.digest.low = checksum(record->key, record->key_size);
        entry->entry.digest.high = checksum_seeded(record->key, record->key_size, 1);
    }
    row->records++;
    row->tombstones += entry->entry.tombstone;
    return 0;
}

int survey_unreadable(struct survey *survey, size_t at, int r)
{
    if (!vfs_is_unreadable(r))
        return r;
    survey->files[at].state = SURVEY_DAMAGED;
    survey->files[at].note = "the disk does not give it";
    return 0;
}

/* --- what is alive ------------------------------------------------------------------------- */

/* Keys together, newest first; a copy in a cask before the record that it was made of. */
static int entry_compare(const void *left, const void *right)
{
    const struct survey_entry *a = left, *b = right;
    int order = hint_entry_compare(&a->entry, &b->entry);

    if (order != 0)
        return order;
    if (a->entry.index != b->entry.index)
        return a->entry.index > b->entry.index ? -1 : 1;
    if (a->file != b->file)
        return a->file > b->file ? -1 : 1;
    return (a->entry.offset < b->entry.offset) - (a->entry.offset > b->entry.offset);
}

static bool place_is_dead(const struct survey *survey, uint16_t partition, uint64_t index,
                          uint64_t segment, uint32_t offset)
{
    struct manifest shown = {.spans = survey->spans, .span_count = survey->span_count};

    return manifest_void(&survey->manifest, partition, segment, offset) ||
           manifest_truncated(&survey->manifest, partition, index, segment, offset) ||
           manifest_truncated(&shown, partition, index, segment, offset);
}

/* Independent of order, so that a hint can be compared without its digests being known. */
static uint64_t entry_fold(const struct survey *survey, const struct hint_entry *entry)
{
    uint8_t bytes[40] = {0};

    codec_put_u16(bytes, entry->partition);
    codec_put_u8(bytes + 2, entry->tombstone);
    codec_put_u8(bytes + 3, entry->expires);
    codec_put_u32(bytes + 4, entry->offset);
    codec_put_u64(bytes + 8, entry->index);
    codec_put_u32(bytes + 16, entry->size);
    if (survey->digest) {
        codec_put_u16(bytes + 20, (uint16_t)entry->digest.high);
        codec_put_u64(bytes + 24, entry->digest.low);
    }
    return checksum(bytes, sizeof(bytes));
}

static int entries_judge(struct survey *survey)
{
    size_t *seen = calloc(survey->file_count + 1, sizeof(*seen)); /* the key last met, a file */
    size_t key = 0, live_key = 0;

    if (!seen)
        return -ENOMEM;
    if (survey->entry_count > 1)
        qsort(survey->entries, survey->entry_count, sizeof(*survey->entries), entry_compare);
    for (size_t i = 0; i < survey->entry_count; i++) {
        const struct hint_entry *entry = &survey->entries[i].entry;
        struct survey_file *file = &survey->files[survey->entries[i].file];

        if (i == 0 || hint_entry_compare(&survey->entries[i - 1].entry, entry) != 0)
            key++;
        if (file->kind == SURVEY_SEGMENT &&
            place_is_dead(survey, entry->partition, entry->index, file->number, entry->offset)) {
            file->dead_bytes += entry->size;
            continue;
        }
        if (seen[survey->entries[i].file] != key) {
            file->newest_count++;
            file->newest_fold += entry_fold(survey, entry);
        }
        seen[survey->entries[i].file] = key;
        if (live_key == key || file->arriving) {
            file->dead_bytes += entry->size;
            continue;
        }
        live_key = key;
        file->live_records++;
        file->live_bytes += entry->size;
    }
    free(seen);
    return 0;
}

/* --- hints --------------------------------------------------------------------------------- */

/* What a whole hint says against what its data file holds. 0, 1: they differ, or -errno. */
static int hint_compare(const struct survey *survey, const struct hint *hint,
                        const struct survey_file *data)
{
    uint64_t count = 0, fold = 0;

    for (size_t i = 0; i < hint->partition_count; i++) {
        struct hint_cursor cursor;
        int r = hint_cursor_open(&cursor, hint, hint->partitions[i].partition);

        while (r == 0 && (r = hint_cursor_next(&cursor)) == 0) {
            const struct hint_entry *entry = &cursor.entry;

            /* A floor may have risen since the hint was made. */
            if (data->kind == SURVEY_SEGMENT &&
                manifest_void(&survey->manifest, entry->partition, data->number, entry->offset))
                continue;
            count++;
            fold += entry_fold(survey, entry);
        }
        hint_cursor_close(&cursor);
        if (r < 0)
            return r;
        if (r != HINT_E_END)
            return 1;
    }
    return count == data->newest_count && fold == data->newest_fold ? 0 : 1;
}

static int hint_judge(const struct survey *survey, struct survey_file *row,
                      const struct survey_file *data, struct vfs_file *file)
{
    struct hint hint;
    int r = vfs_size(file, &row->size);

    if (r == 0)
        r = hint_open(&hint, file, &data->subject);
    if (r < 0)
        return r;
    row->state = r == 0 ? SURVEY_OK : r == HINT_E_NEWER ? SURVEY_NEWER : SURVEY_DAMAGED;
    row->note = r == HINT_E_MISMATCH  ? "made of another data file"
                : r == HINT_E_CORRUPT ? "a checksum does not hold"
                                      : "";
    if (r != 0)
        return 0;
    row->records = hint.count;
    r = hint_verify(&hint);
    if (r == 0 && data->state == SURVEY_OK) {
        r = hint_compare(survey, &hint, data);
        if (r > 0)
            row->note = "does not say what its data file holds";
    } else if (r > 0) {
        row->note = "a checksum does not hold";
    }
    if (r > 0)
        row->state = SURVEY_DAMAGED;
    hint_close(&hint);
    return r < 0 ? r : 0;
}

/* Adds the hint of data file `at` and looks at it. */
static int hint_survey(struct survey *survey, size_t at)
{
    char path[FILENAME_PATH_SIZE];
    struct survey_file data = survey->files[at], *row;
    struct vfs_file *file = NULL;
    int r;

    if (data.kind == SURVEY_SEGMENT)
        r = filename_journal_hint(path, survey->folder, data.number);
    else
        r = filename_cask_hint(path, survey->folder, data.partition, data.number);
    if (r < 0)
        return r;
    row = survey_file_add(survey, path, SURVEY_HINT);
    if (!row)
        return -ENOMEM;
    row->partition = data.partition;
    row->number = data.number;
    row->subject = data.subject;
    r = vfs_open(survey->vfs, path, VFS_OPEN_READ, &file);
    if (r == -ENOENT) {
        row->state = SURVEY_MISSING;
        row->note = "is made again at the next start";
        return 0;
    }
    if (r == 0)
        r = hint_judge(survey, row, &data, file);
    vfs_close(file);
    return survey_unreadable(survey, survey->file_count - 1, r);
}

/* --- the whole ----------------------------------------------------------------------------- */

static int manifest_survey(struct survey *survey)
{
    struct survey_file *row = survey_file_add(survey, FILENAME_MANIFEST, SURVEY_MANIFEST);
    char path[FILENAME_PATH_SIZE];
    struct vfs_file *file = NULL;
    int r;

    if (!row)
        return -ENOMEM;
    r = manifest_load(&survey->manifest, survey->vfs, survey->folder);
    if (r < 0)
        return survey_unreadable(survey, 0, r) < 0 ? r : MANIFEST_E_CORRUPT;
    row->state = r == 0                   ? SURVEY_OK
                 : r == MANIFEST_E_ABSENT ? SURVEY_MISSING
                 : r == MANIFEST_E_NEWER  ? SURVEY_NEWER
                                          : SURVEY_DAMAGED;
    if (r == MANIFEST_E_ABSENT)
        return r;
    if (filename_join(path, survey->folder, FILENAME_MANIFEST) == 0 &&
        vfs_open(survey->vfs, path, VFS_OPEN_READ, &file) == 0)
        (void)vfs_size(file, &row->size);
    vfs_close(file);
    return r;
}

static int unlisted_visit(void *context, const char *name)
{
    struct survey *survey = context;
    struct survey_file *row;
    enum survey_kind kind = SURVEY_HINT;
    uint16_t partition = 0;
    uint64_t number = 0;

    for (size_t i = 0; i < survey->file_count; i++)
        if (strcmp(survey->files[i].name, name) == 0)
            return 0;
    if (filename_is_journal(name, &number))
        kind = SURVEY_SEGMENT;
    else if (filename_is_cask(name, &partition, &number))
        kind = SURVEY_CASK;
    else if (strcmp(name, FILENAME_MANIFEST_NEW) == 0)
        kind = SURVEY_MANIFEST;
    else if (!filename_is_journal_hint(name, &number) &&
             !filename_is_cask_hint(name, &partition, &number))
        return 0;
    row = survey_file_add(survey, name, kind);
    if (!row)
        return -ENOMEM;
    row->state = SURVEY_UNLISTED;
    row->note = "not in the manifest";
    row->partition = partition;
    row->number = number;
    return 0;
}

int survey_shard(struct survey *survey, struct vfs *vfs, const char *folder, survey_digest digest,
                 const void *digest_context)
{
    size_t data_count;
    int r;

    *survey = (struct survey){.vfs = vfs, .digest = digest, .digest_context = digest_context};
    strncpy(survey->folder, folder, sizeof(survey->folder) - 1);
    manifest_init(&survey->manifest);
    r = manifest_survey(survey);
    if (r != 0)
        return r < 0 ? r : 0;
    r = survey_read_data(survey);
    if (r == 0)
        r = entries_judge(survey);
    data_count = survey->file_count;
    for (size_t i = 0; r == 0 && i < data_count; i++)
        if (survey->files[i].hint_wanted)
            r = hint_survey(survey, i);
    if (r == 0)
        r = vfs_list(vfs, folder, unlisted_visit, survey);
    return r;
}

bool survey_is_damaged(const struct survey *survey)
{
    for (size_t i = 0; i < survey->file_count; i++)
        if (survey->files[i].state > SURVEY_UNLISTED)
            return true;
    return false;
}

void survey_deinit(struct survey *survey)
{
    manifest_deinit(&survey->manifest);
    free(survey->files);
    free(survey->entries);
    free(survey->spans);
    *survey = (struct survey){0};
}

/* --- repair -------------------------------------------------------------------------------- */

static int build_run(struct survey *survey, struct hint_build *build)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < survey->span_count; i++)
        r = hint_build_span(build, &survey->spans[i]);
    for (size_t i = 0; r == 0 && i < survey->manifest.span_count; i++)
        r = hint_build_span(build, &survey->manifest.spans[i]);
    for (size_t i = 0; r == 0 && i < survey->manifest.floor_count; i++)
        r = hint_build_floor(build, &survey->manifest.floors[i]);
    if (r < 0)
        return r;
    do
        r = hint_build_step(build);
    while (r == HINT_BUILD_E_MORE);
    return r;
}

static int hint_rebuild(struct survey *survey, const struct survey_file *row, size_t *count)
{
    struct hint_build_options options = {
        .vfs = survey->vfs,
        .folder = survey->folder,
        .subject = row->subject,
        .partition = row->partition,
        .digest = survey->digest,
        .digest_context = survey->digest_context,
        .step_size = 1u << 20,
    };
    char path[FILENAME_PATH_SIZE];
    struct hint_build build;
    int r;

    if (row->subject.kind == HINT_KIND_SEGMENT)
        r = filename_journal(path, survey->folder, row->number);
    else
        r = filename_cask(path, survey->folder, row->partition, row->number);
    if (r == 0)
        r = vfs_open(survey->vfs, path, VFS_OPEN_READ, &options.file);
    if (r < 0)
        return vfs_is_unreadable(r) ? 0 : r;
    r = hint_build_begin(&build, &options);
    if (r == 0) {
        r = build_run(survey, &build);
        if (vfs_is_unreadable(r) && build.stage == HINT_BUILD_SCAN)
            r = HINT_BUILD_E_DAMAGED;
        hint_build_end(&build);
    }
    vfs_close(options.file);
    *count += r == 0;
    return r < 0 ? r : 0; /* a damaged data file has no hint */
}

int survey_repair(struct survey *survey, size_t *count)
{
    int r = 0;

    assert(survey->digest);
    *count = 0;
    for (size_t i = 0; r == 0 && i < survey->file_count; i++) {
        const struct survey_file *row = &survey->files[i];

        if (row->kind == SURVEY_HINT &&
            (row->state == SURVEY_MISSING || row->state == SURVEY_DAMAGED))
            r = hint_rebuild(survey, row, count);
    }
    return r;
}
