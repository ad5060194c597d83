#include "storage/hint_build.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "storage/grow.h"
#include "storage/pages.h"
#include "storage/vault.h"

#define PARTITIONS_MAX 65536u

int hint_build_begin(struct hint_build *build, const struct hint_build_options *options)
{
    int r = 0;

    *build = (struct hint_build){.options = *options, .offset = JOURNAL_BLOCK_SIZE};
    if (options->subject.kind == HINT_KIND_SEGMENT) {
        build->last = calloc(PARTITIONS_MAX, sizeof(*build->last));
        r = build->last
                ? journal_reader_open(&build->reader, options->file, options->subject.number,
                                      options->subject.stamp, options->subject.length)
                : -ENOMEM;
        if (r != 0)
            free(build->last);
    }
    return r;
}

void hint_build_end(struct hint_build *build)
{
    if (build->options.subject.kind == HINT_KIND_SEGMENT)
        journal_reader_close(&build->reader);
    if (build->cursor.cask)
        cask_cursor_close(&build->cursor);
    if (build->cask_opened)
        cask_close(&build->cask);
    if (build->writer_begun)
        hint_writer_end(&build->writer);
    vfs_close(build->out);
    PAGES_FREE(build->entries, build->capacity);
    free(build->spans);
    free(build->floors);
    free(build->last);
    free(build->bad);
    *build = (struct hint_build){.stage = HINT_BUILD_DONE};
}

int hint_build_span(struct hint_build *build, const struct manifest_span *span)
{
    int r = GROW(build->spans, build->span_capacity, build->span_count + 1);

    if (r == 0)
        build->spans[build->span_count++] = *span;
    return r;
}

int hint_build_floor(struct hint_build *build, const struct manifest_floor *floor)
{
    int r = GROW(build->floors, build->floor_capacity, build->floor_count + 1);

    if (r == 0)
        build->floors[build->floor_count++] = *floor;
    return r;
}

/* 0 or -ENOMEM. */
static int bad_note(struct hint_build *build, uint16_t partition, uint32_t end)
{
    if (!build->bad)
        build->bad = calloc(PARTITIONS_MAX, sizeof(*build->bad));
    if (!build->bad)
        return -ENOMEM;
    build->bad[partition] = end;
    return 0;
}

/* --- reading a segment --------------------------------------------------------------------- */

static int entry_add(struct hint_build *build, const struct record *record, uint32_t offset)
{
    struct hint_entry *entry;
    int r = PAGES_GROW(build->entries, build->capacity, build->count + 1);

    if (r != 0)
        return r;
    entry = &build->entries[build->count++];
    *entry = (struct hint_entry){
        .partition = record->partition,
        .tombstone = record->kind == RECORD_KIND_DELETE,
        .expires = record->flags & RECORD_FLAG_EXPIRES,
        .offset = offset,
        .index = record->index,
        .size = (uint32_t)record_size_padded(record),
    };
    if (!vault_digest(record, &entry->digest))
        build->options.digest(build->options.digest_context, record->key, record->key_size,
                              &entry->digest);
    return 0;
}

/* Notes what a record truncates of those before it in the same file. */
static int record_truncates(struct hint_build *build, const struct record *record, uint32_t offset)
{
    uint64_t *last = &build->last[record->partition];
    bool relocated = record->flags & RECORD_FLAG_RELOCATED;
    int r = 0;

    if (record->sub_index != 0 || record->index == 0)
        return 0;
    if (!relocated && record->index <= *last)
        r = hint_build_span(build, &(struct manifest_span){
                                       .segment = build->options.subject.number,
                                       .offset = offset,
                                       .partition = record->partition,
                                       .first = record->index,
                                   });
    if (!relocated || record->index > *last)
        *last = record->index;
    return r;
}

static bool place_is_void(const struct hint_build *build, uint16_t partition, uint32_t offset)
{
    for (size_t i = 0; i < build->floor_count; i++) {
        const struct manifest_floor *floor = &build->floors[i];

        if (floor->partition == partition &&
            (build->options.subject.number < floor->segment ||
             (build->options.subject.number == floor->segment && offset < floor->offset)))
            return true;
    }
    return false;
}

static int run_read(struct hint_build *build, const uint8_t *batch, uint32_t batch_offset,
                    const struct journal_run *run, uint32_t end)
{
    struct journal_run_cursor cursor = {.batch = batch, .offset = run->offset, .end = end};
    struct record record;
    uint32_t at;

    if (place_is_void(build, run->partition, batch_offset + run->offset))
        return 0;
    if (!journal_run_check(batch, run, end, build->options.subject.stamp))
        return HINT_BUILD_E_DAMAGED;
    while (journal_run_next(&cursor, &record, &at)) {
        int r = 0;

        if (record.partition != run->partition)
            return HINT_BUILD_E_DAMAGED;
        if (record.kind != RECORD_KIND_HARD_STATE && record.kind != RECORD_KIND_CHECKPOINT)
            r = record_truncates(build, &record, batch_offset + at);
        if (r == 0 && (record.kind == RECORD_KIND_PUT || record.kind == RECORD_KIND_DELETE))
            r = entry_add(build, &record, batch_offset + at);
        if (r != 0)
            return r;
    }
    return cursor.bad ? HINT_BUILD_E_DAMAGED : 0;
}

/* Up to `end` any partition's records may have been, but of those of which all that lies there is
 * void. */
static int any_bad(struct hint_build *build, uint32_t end)
{
    int r = 0;

    build->bad_all = true;
    for (uint32_t p = 0; r == 0 && p < PARTITIONS_MAX; p++)
        if (!place_is_void(build, (uint16_t)p, end - 1))
            r = bad_note(build, (uint16_t)p, end);
    return r;
}

/* Goes on behind a batch that does not check. */
static int batch_bad(struct hint_build *build)
{
    struct journal_batch_header header;
    int r;

    build->offset += JOURNAL_BLOCK_SIZE;
    r = journal_reader_seek(&build->reader, &build->offset, &header);
    if (r > 0)
        build->offset = build->options.subject.length;
    return r < 0 ? r : any_bad(build, build->offset);
}

static int batch_read(struct hint_build *build, const struct journal_batch_header *header,
                      const uint8_t *batch)
{
    for (uint32_t i = 0; i < header->run_count; i++) {
        struct journal_run run;
        uint32_t end;
        int r;

        if (!journal_run_at(batch, header, i, &run, &end))
            return batch_bad(build);
        r = run_read(build, batch, header->offset, &run, end);
        if (r == HINT_BUILD_E_DAMAGED)
            r = bad_note(build, run.partition, header->offset + end);
        if (r != 0)
            return r;
    }
    build->offset += header->length;
    build->bytes_done += header->length;
    return 0;
}

static int segment_step(struct hint_build *build)
{
    uint32_t until = build->offset + (uint32_t)build->options.step_size;

    while (build->offset < build->options.subject.length && build->offset < until) {
        struct journal_batch_header header;
        const uint8_t *batch;
        int r = journal_reader_batch(&build->reader, build->offset, &header, &batch);

        if (r == 0)
            r = batch_read(build, &header, batch);
        else if (r > 0)
            r = batch_bad(build);
        if (r != 0)
            return r;
    }
    if (build->offset >= build->options.subject.length)
        build->stage = HINT_BUILD_SORT;
    return HINT_BUILD_E_MORE;
}

/* --- reading a cask ------------------------------------------------------------------------ */

/* What lies behind the damage is given up: the cask is of one partition. */
static int cask_bad(struct hint_build *build)
{
    int r = bad_note(build, build->options.partition, build->options.subject.length);

    build->stage = HINT_BUILD_SORT;
    return r < 0 ? r : HINT_BUILD_E_MORE;
}

static int cask_step(struct hint_build *build)
{
    size_t read = 0;
    int r = 0;

    if (!build->cask_opened) {
        r = cask_open(&build->cask, build->options.file);
        if (r < 0)
            return r;
        build->cask_opened = r == 0;
        if (r != 0 || build->cask.info.stamp != build->options.subject.stamp)
            return cask_bad(build);
        cask_cursor_open(&build->cursor, &build->cask, CASK_BUFFER_SIZE);
    }
    while (r == 0 && read < build->options.step_size) {
        r = cask_cursor_next(&build->cursor);
        if (r == 0) {
            read += build->cursor.size;
            r = entry_add(build, &build->cursor.record, build->cursor.offset);
        }
    }
    build->bytes_done += read;
    if (r == CASK_E_END)
        build->stage = HINT_BUILD_SORT;
    else if (r > 0)
        return cask_bad(build);
    return r < 0 ? r : HINT_BUILD_E_MORE;
}

/* --- the hint ------------------------------------------------------------------------------ */

static bool entry_truncated(const struct hint_build *build, const struct hint_entry *entry)
{
    uint64_t number = build->options.subject.number;

    for (size_t i = 0; i < build->span_count; i++) {
        const struct manifest_span *span = &build->spans[i];

        if (span->partition == entry->partition && entry->index >= span->first &&
            (number < span->segment || (number == span->segment && entry->offset < span->offset)))
            return true;
    }
    return false;
}

static int path_of(const struct hint_build *build, char path[FILENAME_PATH_SIZE])
{
    const struct hint_build_options *options = &build->options;

    if (options->subject.kind == HINT_KIND_SEGMENT)
        return filename_journal_hint(path, options->folder, options->subject.number);
    return filename_cask_hint(path, options->folder, options->partition, options->subject.number);
}

static int sort_step(struct hint_build *build)
{
    char path[FILENAME_PATH_SIZE];
    size_t kept = 0;
    int r;

    for (size_t i = 0; build->span_count > 0 && i < build->count; i++)
        if (!entry_truncated(build, &build->entries[i]))
            build->entries[kept++] = build->entries[i];
    if (build->span_count > 0)
        build->count = kept;
    if (build->count > 0)
        build->count = hint_entries_sort(build->entries, build->count);
    if (build->bad || build->bad_all) {
        build->stage = HINT_BUILD_DONE;
        return HINT_BUILD_E_DAMAGED;
    }
    r = path_of(build, path);
    if (r == 0)
        r = vfs_open(build->options.vfs, path, VFS_OPEN_WRITE | VFS_OPEN_CREATE, &build->out);
    if (r == 0)
        r = vfs_truncate(build->out, 0); /* one that was bad, or half written, may be there */
    if (r == 0)
        r = hint_writer_begin(&build->writer, build->out, &build->options.subject);
    build->writer_begun = r == 0;
    build->stage = HINT_BUILD_WRITE;
    return r < 0 ? r : HINT_BUILD_E_MORE;
}

static int write_step(struct hint_build *build)
{
    size_t until = build->written + build->options.step_size / HINT_ENTRY_SIZE + 1;
    int r = 0;

    while (r == 0 && build->written < build->count && build->written < until)
        r = hint_writer_add(&build->writer, &build->entries[build->written++]);
    build->bytes_done += build->options.step_size;
    if (r != 0 || build->written < build->count)
        return r < 0 ? r : HINT_BUILD_E_MORE;
    r = hint_writer_finish(&build->writer);
    if (r == 0)
        r = vfs_sync(build->writer.file);
    if (r == 0)
        r = vfs_sync_dir(build->options.vfs, build->options.folder);
    if (r == 0)
        build->stage = HINT_BUILD_DONE;
    return r;
}

int hint_build_give_up(struct hint_build *build)
{
    int r;

    assert(build->stage == HINT_BUILD_SCAN);
    if (build->options.subject.kind == HINT_KIND_CASK)
        return cask_bad(build);
    r = any_bad(build, build->options.subject.length);
    build->stage = HINT_BUILD_SORT;
    return r < 0 ? r : HINT_BUILD_E_MORE;
}

int hint_build_step(struct hint_build *build)
{
    char path[FILENAME_PATH_SIZE];
    int r;

    switch (build->stage) {
    case HINT_BUILD_SCAN:
        r = build->options.subject.kind == HINT_KIND_SEGMENT ? segment_step(build)
                                                             : cask_step(build);
        break;
    case HINT_BUILD_SORT:
        r = sort_step(build);
        break;
    case HINT_BUILD_WRITE:
        r = write_step(build);
        break;
    default:
        r = 0;
        break;
    }
    if (r < 0 && build->out && path_of(build, path) == 0)
        (void)vfs_remove(build->options.vfs, path); /* the space it took */
    return r;
}
