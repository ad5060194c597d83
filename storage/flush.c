#include "storage/flush.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "storage/cask.h"
#include "storage/grow.h"
#include "storage/mutant.h"
#include "storage/pages.h"

#define SYNCS_MAX 8u /* a step */

double flush_score(uint64_t live, uint64_t length, double rate)
{
    double u = length > 0 && live < length ? (double)live / (double)length : live > 0;

    return (1 - u) * (1 - u) / (u * rate);
}

int flush_records_add(struct flush_records *records, const struct flush_record *record)
{
    int r = PAGES_GROW(records->items, records->capacity, records->count + 1);

    if (r == 0)
        records->items[records->count++] = *record;
    return r;
}

static void records_free(struct flush_records *records)
{
    PAGES_FREE(records->items, records->capacity);
    *records = (struct flush_records){0};
}

static void scan_close(struct flush *flush)
{
    if (flush->cursor_open)
        hint_cursor_close(&flush->cursor);
    if (flush->hint_open)
        hint_close(&flush->hint);
    vfs_close(flush->hint_file);
    flush->cursor_open = flush->hint_open = false;
    flush->hint_file = NULL;
}

void flush_end(struct flush *flush)
{
    scan_close(flush);
    records_free(&flush->scanned);
    records_free(&flush->kept);
    records_free(&flush->gone);
    for (size_t i = 0; i < flush->output_count; i++)
        if (!flush->outputs[i].cask)
            vfs_close(flush->outputs[i].file);
    free(flush->outputs);
    free(flush->arena);
    free(flush->window);
    free(flush->resealed);
    free(flush->safe_index);
    free(flush->generations);
    *flush = (struct flush){.vfs = flush->vfs, .stage = FLUSH_IDLE};
}

/* --- SCAN ---------------------------------------------------------------------------------- */

static int hint_path(const struct flush *flush, const struct flush_victim *victim,
                     char path[FILENAME_PATH_SIZE])
{
    if (victim->subject.kind == HINT_KIND_SEGMENT)
        return filename_journal_hint(path, flush->folder, victim->subject.number);
    return filename_cask_hint(path, flush->folder, victim->partition, victim->subject.number);
}

/* What the disk does not give of a hint is made again, too. */
static int hint_error(int r)
{
    return r > 0 || vfs_is_unreadable(r) ? FLUSH_E_HINT : r;
}

static int scan_open(struct flush *flush)
{
    struct flush_victim *victim = &flush->victims[flush->victim_at];
    char path[FILENAME_PATH_SIZE];
    int r = hint_path(flush, victim, path);

    if (r == 0)
        r = vfs_open(flush->vfs, path, VFS_OPEN_READ, &flush->hint_file);
    if (r == 0)
        r = hint_open(&flush->hint, flush->hint_file, &victim->subject);
    flush->hint_open = r == 0;
    flush->partition_at = 0;
    flush->bad = flush->victim_at;
    return r == -ENOENT ? FLUSH_E_HINT : hint_error(r);
}

/* The next entry of the victim's hint. FLUSH_E_OK, MORE when the victim has no more, … */
static int scan_entry(struct flush *flush)
{
    for (;;) {
        int r;

        if (!flush->cursor_open) {
            if (flush->partition_at == flush->hint.partition_count)
                return FLUSH_E_MORE;
            r = hint_cursor_open(&flush->cursor, &flush->hint,
                                 flush->hint.partitions[flush->partition_at++].partition);
            if (r != 0)
                return hint_error(r);
            flush->cursor_open = true;
        }
        r = hint_cursor_next(&flush->cursor);
        if (r != HINT_E_END)
            return hint_error(r);
        hint_cursor_close(&flush->cursor);
        flush->cursor_open = false;
    }
}

static int scan_step(struct flush *flush)
{
    size_t until = flush->step_size / HINT_ENTRY_SIZE + 1;
    int r = 0;

    flush->scanned.count = flush->scanned_at = 0;
    while (flush->victim_at < flush->victim_count && flush->scanned.count < until) {
        if (!flush->hint_open && flush->victims[flush->victim_at].dead)
            r = FLUSH_E_MORE;
        else if (!flush->hint_open)
            r = scan_open(flush);
        if (r == 0)
            r = scan_entry(flush);
        if (r == FLUSH_E_MORE) {
            scan_close(flush);
            flush->victim_at++;
            r = 0;
            continue;
        }
        if (r == 0)
            r = flush_records_add(&flush->scanned,
                                  &(struct flush_record){.entry = flush->cursor.entry,
                                                         .victim = (uint32_t)flush->victim_at});
        if (r != 0)
            return r;
    }
    flush->bytes_done = flush->scanned.count * HINT_ENTRY_SIZE;
    flush->stage = FLUSH_KEEP;
    return FLUSH_E_OK;
}

/* --- READ ---------------------------------------------------------------------------------- */

static int compare_places(const void *a, const void *b)
{
    const struct flush_record *left = a, *right = b;

    if (left->victim != right->victim)
        return left->victim < right->victim ? -1 : 1;
    return left->entry.offset < right->entry.offset   ? -1
           : left->entry.offset > right->entry.offset ? 1
                                                      : 0;
}

/* No larger than the files are. */
static size_t window_size(const struct flush *flush)
{
    size_t size = 1;

    for (size_t i = 0; i < flush->victim_count; i++)
        if (flush->victims[i].subject.length > size)
            size = flush->victims[i].subject.length;
    return size < flush->step_size ? size : flush->step_size;
}

static int read_begin(struct flush *flush)
{
    for (size_t i = 0; i < flush->kept.count; i++)
        flush->arena_size += flush->kept.items[i].entry.size;
    if (flush->arena_size > UINT32_MAX)
        return -EFBIG;
    flush->arena = malloc(flush->arena_size > 0 ? flush->arena_size : 1);
    flush->window_size = window_size(flush);
    flush->window = malloc(flush->window_size);
    if (!flush->arena || !flush->window)
        return -ENOMEM;
    if (flush->kept.count > 0)
        qsort(flush->kept.items, flush->kept.count, sizeof(*flush->kept.items), compare_places);
    return 0;
}

/* The bytes of a record, through a window that moves along the file. */
static int read_bytes(struct flush *flush, const struct flush_record *record, uint8_t *out)
{
    const struct data_file *file = flush->victims[record->victim].file;
    uint32_t offset = record->entry.offset;
    size_t size = record->entry.size;
    int64_t got;

    if (size > flush->window_size) {
        got = vfs_pread(file->file, out, size, offset);
        flush->bytes_done += size;
        return got < 0 ? (int)got : (size_t)got < size ? FLUSH_E_DAMAGED : 0;
    }
    if (flush->window_filled == 0 || flush->window_victim != record->victim ||
        offset < flush->window_base || offset + size > flush->window_base + flush->window_filled) {
        flush->window_filled = 0;
        got = vfs_pread(file->file, flush->window, flush->window_size, offset);
        if (got < 0)
            return (int)got;
        flush->bytes_done += (uint64_t)got;
        flush->window_base = offset;
        flush->window_filled = (uint32_t)got;
        flush->window_victim = record->victim;
        if ((size_t)got < size)
            return FLUSH_E_DAMAGED;
    }
    memcpy(out, flush->window + (offset - flush->window_base), size);
    return 0;
}

/* The record that lies at `out`, for the same place there. What cannot be opened stays as it is:
 * whoever reads it finds out. 0 or -ENOMEM. */
static int reseal(struct flush *flush, struct record *record, uint8_t *out)
{
    size_t size = VAULT_DIGEST_SIZE + record->value_size;
    size_t padded = record_size_padded(record);

    if (flush->key_id == 0 || !(record->flags & RECORD_FLAG_ENCRYPTED) ||
        record->key_id == flush->key_id)
        return 0;
    if (GROW(flush->resealed, flush->resealed_capacity, size) != 0)
        return -ENOMEM;
    if (vault_reseal(flush->vault, flush->key_id, record, flush->resealed) != 0) {
        flush->key_missed = true;
        return 0;
    }
    assert(record_size_padded(record) == padded);
    record_encode(record, out);
    return record_decode(out, padded, record) == 0 ? 0 : FLUSH_E_DAMAGED;
}

static int read_step(struct flush *flush)
{
    int r = flush->arena ? 0 : read_begin(flush);

    flush->bytes_done = 0;
    while (r == 0 && flush->at < flush->kept.count && flush->bytes_done < flush->step_size) {
        struct flush_record *moved = &flush->kept.items[flush->at];
        uint8_t *out = flush->arena + flush->arena_used;
        struct record record;

        r = read_bytes(flush, moved, out);
        if (r == 0 &&
            (record_decode(out, moved->entry.size, &record) != 0 ||
             record_size_padded(&record) != moved->entry.size ||
             record.partition != moved->entry.partition || record.index != moved->entry.index))
            r = FLUSH_E_DAMAGED;
        if (r == 0) /* bits that rot there harm nothing, and are not to be copied */
            memset(out + record_size(&record), 0, moved->entry.size - record_size(&record));
        if (r == 0)
            r = reseal(flush, &record, out);
        if (r != 0) {
            flush->bad = moved->victim;
            flush->bad_partition = moved->entry.partition;
            return r;
        }
        moved->at = (uint32_t)flush->arena_used;
        moved->key_at = (uint32_t)(record.key - flush->arena);
        moved->key_size = (uint16_t)record.key_size;
        flush->arena_used += moved->entry.size;
        flush->at++;
    }
    if (r != 0 || flush->at < flush->kept.count)
        return r < 0 ? r : FLUSH_E_MORE;
    flush->stage = FLUSH_SORT;
    return FLUSH_E_OK;
}

/* --- SORT ---------------------------------------------------------------------------------- */

static int compare_keys(const void *a, const void *b, void *arena)
{
    const struct flush_record *left = a, *right = b;

    if (left->entry.partition != right->entry.partition)
        return left->entry.partition < right->entry.partition ? -1 : 1;
    return cask_key_compare((const uint8_t *)arena + left->key_at, left->key_size,
                            (const uint8_t *)arena + right->key_at, right->key_size);
}

static int sort_step(struct flush *flush)
{
    struct flush_records *kept = &flush->kept;

    if (kept->count > 0)
        qsort_r(kept->items, kept->count, sizeof(*kept->items), compare_keys, flush->arena);
    for (size_t i = 1; i < kept->count; i++)
        if (compare_keys(&kept->items[i - 1], &kept->items[i], flush->arena) == 0) {
            flush->bad = kept->items[i].victim; /* one key, two digests: a hint lies */
            return FLUSH_E_HINT;
        }
    flush->at = 0;
    flush->stage = FLUSH_WRITE;
    return FLUSH_E_OK;
}

/* --- WRITE --------------------------------------------------------------------------------- */

static int output_begin(struct flush *flush, uint16_t partition, struct flush_output **out)
{
    char path[FILENAME_PATH_SIZE];
    struct flush_output *output;
    int r = GROW(flush->outputs, flush->output_capacity, flush->output_count + 1);

    if (r == 0 && flush->number_next == flush->number_end)
        r = -ENFILE;
    if (r != 0)
        return r;
    output = &flush->outputs[flush->output_count++];
    *output =
        (struct flush_output){.info.partition = partition, .info.number = flush->number_next++};
    r = filename_cask(path, flush->folder, partition, output->info.number);
    if (r == 0)
        r = vfs_open(flush->vfs, path, VFS_OPEN_WRITE | VFS_OPEN_CREATE, &output->file);
    *out = output;
    return r == 0 ? vfs_truncate(output->file, 0) : r;
}

/* Writes records from flush->at on into one cask. FLUSH_E_DAMAGED: a record that was good in memory
 * is not. */
static int cask_write(struct flush *flush, struct flush_output *output)
{
    struct cask_writer writer;
    struct cask_info info = {0};
    int r = cask_writer_begin(&writer, output->file, output->info.partition, output->info.number);

    if (r != 0)
        return r;
    while (r == 0 && flush->at < flush->kept.count) {
        struct flush_record *record = &flush->kept.items[flush->at];

        if (record->entry.partition != output->info.partition)
            break;
        r = cask_writer_add(&writer, flush->arena + record->at, record->entry.size,
                            &record->offset);
        if (r != 0)
            break;
        record->output = (uint32_t)(output - flush->outputs);
        flush->bytes_done += record->entry.size;
        flush->at++;
    }
    if (r == CASK_E_CORRUPT) {
        flush->bad = flush->kept.items[flush->at].victim;
        flush->bad_partition = output->info.partition;
        r = FLUSH_E_DAMAGED;
    } else if (r >= 0) {
        r = cask_writer_finish(&writer, &info); /* also of a full one */
    }
    cask_writer_end(&writer);
    if (r != 0)
        return r;
    vfs_sync_soon(output->file);
    output->info.stamp = info.stamp;
    output->info.length = info.length;
    output->info.count = info.count;
    output->info.tombstones = info.tombstones;
    output->info.index_min = info.index_min;
    output->info.index_max = info.index_max;
    return 0;
}

/* The hint of the cask that holds the records kept[from … to). */
static int hint_write(struct flush *flush, const struct flush_output *output, size_t from,
                      size_t to)
{
    struct hint_subject subject = {.kind = HINT_KIND_CASK,
                                   .number = output->info.number,
                                   .stamp = output->info.stamp,
                                   .length = output->info.length};
    struct hint_entry *entries = malloc((to - from + 1) * sizeof(*entries));
    char path[FILENAME_PATH_SIZE];
    struct hint_writer writer;
    struct vfs_file *file = NULL;
    int r = filename_cask_hint(path, flush->folder, output->info.partition, output->info.number);

    if (r == 0 && !entries)
        r = -ENOMEM;
    if (r == 0)
        r = vfs_open(flush->vfs, path, VFS_OPEN_WRITE | VFS_OPEN_CREATE, &file);
    if (r == 0)
        r = vfs_truncate(file, 0);
    if (r == 0)
        r = hint_writer_begin(&writer, file, &subject);
    if (r == 0) {
        for (size_t i = from; i < to; i++) {
            entries[i - from] = flush->kept.items[i].entry;
            entries[i - from].offset = flush->kept.items[i].offset;
        }
        size_t count = to > from ? hint_entries_sort(entries, to - from) : 0;

        for (size_t i = 0; r == 0 && i < count; i++)
            r = hint_writer_add(&writer, &entries[i]);
        if (r == 0)
            r = hint_writer_finish(&writer);
        hint_writer_end(&writer);
        flush->bytes_done += count * HINT_ENTRY_SIZE;
    }
    vfs_close(file);
    free(entries);
    return r;
}

static int write_step(struct flush *flush)
{
    flush->bytes_done = 0;
    while (flush->at < flush->kept.count && flush->bytes_done < flush->step_size) {
        struct flush_output *output = NULL;
        size_t from = flush->at;
        int r = output_begin(flush, flush->kept.items[from].entry.partition, &output);

        if (r == 0)
            r = cask_write(flush, output);
        if (r == 0 && flush->at == from)
            r = -EFBIG; /* a record that no cask takes */
        if (r == 0)
            r = hint_write(flush, output, from, flush->at);
        if (r != 0)
            return r;
    }
    if (flush->at < flush->kept.count)
        return FLUSH_E_MORE;
    free(flush->arena);
    free(flush->window);
    flush->arena = flush->window = NULL;
    flush->at = 0;
    flush->stage = FLUSH_SYNC;
    return FLUSH_E_OK;
}

/* --- SYNC ---------------------------------------------------------------------------------- */

/* All casks are written first: the disk works on them together, and most of these syncs find little
 * left to do. Hints are not waited for: one that a crash takes is made again. */
static int sync_step(struct flush *flush)
{
    size_t until = flush->at + SYNCS_MAX;

    if (mutant(MUTANT_EDIT_BEFORE_SYNC))
        flush->at = flush->output_count;
    for (; flush->at < flush->output_count && flush->at < until; flush->at++) {
        int r = vfs_sync(flush->outputs[flush->at].file);

        if (r != 0)
            return r;
    }
    if (flush->at < flush->output_count)
        return FLUSH_E_MORE;
    flush->stage = FLUSH_EDIT;
    if (flush->output_count == 0 || mutant(MUTANT_EDIT_BEFORE_SYNC))
        return FLUSH_E_OK;
    return vfs_sync_dir(flush->vfs, flush->folder);
}

/* --- ABORT --------------------------------------------------------------------------------- */

/* What cannot be removed now goes when the shard is opened again. */
static int abort_step(struct flush *flush)
{
    for (size_t i = 0; i < flush->output_count; i++) {
        struct flush_output *output = &flush->outputs[i];
        char path[FILENAME_PATH_SIZE];

        vfs_close(output->file);
        output->file = NULL;
        if (filename_cask(path, flush->folder, output->info.partition, output->info.number) == 0)
            (void)vfs_remove(flush->vfs, path);
        if (filename_cask_hint(path, flush->folder, output->info.partition, output->info.number) ==
            0)
            (void)vfs_remove(flush->vfs, path);
    }
    return FLUSH_E_OK;
}

int flush_step(struct flush *flush)
{
    flush->bytes_done = 0;
    switch (flush->stage) {
    case FLUSH_SCAN:
        return scan_step(flush);
    case FLUSH_READ:
        return read_step(flush);
    case FLUSH_SORT:
        return sort_step(flush);
    case FLUSH_WRITE:
        return write_step(flush);
    case FLUSH_SYNC:
        return sync_step(flush);
    case FLUSH_ABORT:
        return abort_step(flush);
    default:
        assert(!"not a stage of jobs");
        return -EINVAL;
    }
}
