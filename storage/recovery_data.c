#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "storage/grow.h"
#include "storage/mutant.h"
#include "storage/recovery_state.h"

/* The data files: casks and retired segments. Their hints are merged partition by partition, in the
 * order of digests; of one digest the highest index wins, tombstones included. All that the scan of
 * the log finds behind this is newer. */

/* One hint, on disk or made again in memory. */
struct source {
    struct data_file *file;
    struct vfs_file *hint_file;
    struct hint hint;
    struct hint_build build;
    bool hint_open, built;
    /* While a partition is merged: */
    struct hint_cursor cursor;
    bool cursor_open;
    size_t at; /* entry of the build */
    struct hint_entry entry;
    uint64_t position; /* of its digest, which tells the order nearly always */
};

struct merge {
    struct store *store;
    struct source *segments; /* of all retired ones, oldest first */
    size_t segment_count;
    struct source *casks; /* of the partition at hand */
    size_t cask_count;
    struct source **heap;
    size_t heap_count;
};

static void source_close(struct source *source)
{
    if (source->hint_open)
        hint_close(&source->hint);
    if (source->built)
        hint_build_end(&source->build);
    vfs_close(source->hint_file);
    *source = (struct source){0};
}

static int file_path(const struct store *store, const struct data_file *file,
                     char path[FILENAME_PATH_SIZE])
{
    if (file->kind == DATA_FILE_SEGMENT)
        return filename_journal(path, store->folder, file->number);
    return filename_cask(path, store->folder, ((const struct cask_file *)file)->info.partition,
                         file->number);
}

static int hint_path(const struct store *store, const struct data_file *file,
                     char path[FILENAME_PATH_SIZE])
{
    if (file->kind == DATA_FILE_SEGMENT)
        return filename_journal_hint(path, store->folder, file->number);
    return filename_cask_hint(path, store->folder, ((const struct cask_file *)file)->info.partition,
                              file->number);
}

/* 0, HINT_E_CORRUPT and its like when it is to be made again, or -errno. */
static int source_open_hint(const struct store *store, struct source *source)
{
    struct hint_subject subject = store_hint_subject(source->file);
    char path[FILENAME_PATH_SIZE];
    int r = hint_path(store, source->file, path);

    if (r == 0)
        r = vfs_open(store->vfs, path, VFS_OPEN_READ, &source->hint_file);
    if (r == -ENOENT)
        return HINT_E_CORRUPT;
    if (r == 0)
        r = hint_open(&source->hint, source->hint_file,
                      mutant(MUTANT_HINT_TRUSTED) ? NULL : &subject);
    source->hint_open = r == 0;
    if (r == 0 && !mutant(MUTANT_HINT_TRUSTED))
        r = hint_verify(&source->hint);
    return vfs_is_unreadable(r) ? HINT_E_CORRUPT : r;
}

/* Makes the hint again from the data file; what is damaged there, or what the disk does not give,
 * fences its partitions. */
static int source_build(struct merge *merge, struct source *source)
{
    struct store *store = merge->store;
    struct data_file *file = source->file;
    char path[FILENAME_PATH_SIZE];
    int r = file_path(store, file, path);

    if (!store->options.digest)
        return -EINVAL;
    if (r == 0)
        r = store_hint_begin(store, file, &source->build);
    if (r != 0)
        return r;
    source->built = true;
    do {
        r = hint_build_step(&source->build);
        if (r < 0 && source->build.stage == HINT_BUILD_SCAN && recovery_unreadable(store, path, r))
            r = hint_build_give_up(&source->build);
    } while (r == HINT_BUILD_E_MORE);
    if (r == HINT_BUILD_E_DAMAGED)
        store_hint_damaged(store, file, &source->build);
    if (vfs_is_full(r) && source->build.stage == HINT_BUILD_WRITE)
        r = 0; /* it stays in memory; background jobs write it when there is room */
    else if (r == 0)
        return 0;
    file->hint_bad = true;
    store_file_changed(store, file);
    return r < 0 ? r : 0;
}

static int source_open(struct merge *merge, struct data_file *file, struct source *source)
{
    int r;

    *source = (struct source){.file = file};
    r = source_open_hint(merge->store, source);
    if (r > 0) {
        source_close(source);
        source->file = file;
        r = source_build(merge, source);
    }
    return r;
}

/* --- merging a partition ------------------------------------------------------------------- */

/* Lets the source go to a partition. True when it has something there. */
static bool source_begin(struct source *source, uint16_t partition)
{
    const struct hint_build *build = &source->build;

    if (!source->built) {
        source->cursor_open = hint_cursor_open(&source->cursor, &source->hint, partition) == 0;
        return source->cursor_open;
    }
    source->at = 0;
    while (source->at < build->count && build->entries[source->at].partition < partition)
        source->at++;
    return source->at < build->count && build->entries[source->at].partition == partition;
}

/* The next entry of the partition. 0, HINT_E_END, HINT_E_CORRUPT when the disk does not give what
 * it has just given, or -errno. */
static int source_next(struct merge *merge, struct source *source, uint16_t partition)
{
    const struct hint_build *build = &source->build;
    char path[FILENAME_PATH_SIZE];
    int r;

    if (!source->built) {
        r = hint_cursor_next(&source->cursor);
        source->entry = source->cursor.entry;
        source->position = keydir_position(&source->entry.digest);
        if (r == 0 || r == HINT_E_END || hint_path(merge->store, source->file, path) != 0)
            return r;
        if (r > 0 && mutant(MUTANT_HINT_TRUSTED))
            return HINT_E_END;
        return recovery_unreadable(merge->store, path, r > 0 ? -EIO : r) ? HINT_E_CORRUPT : r;
    }
    if (source->at == build->count || build->entries[source->at].partition != partition)
        return HINT_E_END;
    source->entry = build->entries[source->at++];
    source->position = keydir_position(&source->entry.digest);
    return 0;
}

static void source_leave(struct source *source)
{
    if (source->cursor_open)
        hint_cursor_close(&source->cursor);
    source->cursor_open = false;
}

/* Ascending digests; of one digest the newest first. */
static bool before(const struct source *a, const struct source *b)
{
    int order;

    if (a->position != b->position)
        return a->position < b->position;
    order = hint_entry_compare(&a->entry, &b->entry);
    return order != 0 ? order < 0 : a->entry.index > b->entry.index;
}

static void heap_sink(struct merge *merge, size_t i)
{
    struct source **heap = merge->heap;

    for (;;) {
        size_t child = 2 * i + 1;
        struct source *moved = heap[i];

        if (child >= merge->heap_count)
            return;
        if (child + 1 < merge->heap_count && before(heap[child + 1], heap[child]))
            child++;
        if (!before(heap[child], moved))
            return;
        heap[i] = heap[child];
        heap[child] = moved;
        i = child;
    }
}

/* The entry counts: the keydir points at it. */
static int entry_take(struct store *store, struct keydir_load *load, struct data_file *file,
                      const struct hint_entry *entry)
{
    int r = keydir_load_add(load, &entry->digest, data_file_location(file, entry->offset),
                            entry->size, entry->tombstone, entry->expires);

    if (r < 0)
        return r;
    store_record_lives(store, file, keydir_size_class_max(entry->size));
    return 0;
}

static bool entry_counts(const struct store *store, const struct store_partition *part,
                         const struct data_file *file, const struct hint_entry *entry)
{
    if (entry->size > KEYDIR_SIZE_MAX || entry->offset > file->length ||
        entry->size > file->length - entry->offset)
        return false;
    return file->kind != DATA_FILE_SEGMENT ||
           !manifest_void(&store->manifest, part->number, file->number, entry->offset);
}

static void index_note(const struct store_partition *part, struct data_file *file, uint64_t index)
{
    struct journal_segment *segment = (struct journal_segment *)file;

    if (file->kind != DATA_FILE_SEGMENT)
        return;
    if (index > segment->index_max[part->slot])
        segment->index_max[part->slot] = index;
    if (segment->index_min[part->slot] == 0 || index < segment->index_min[part->slot])
        segment->index_min[part->slot] = index;
}

static int heap_run(struct merge *merge, struct store_partition *part, struct keydir_load *load)
{
    struct hint_entry last = {0};
    bool any = false;
    int r = 0;

    for (size_t i = merge->heap_count / 2; i-- > 0;)
        heap_sink(merge, i);
    while (r == 0 && merge->heap_count > 0) {
        struct source *source = merge->heap[0];

        if (entry_counts(merge->store, part, source->file, &source->entry)) {
            index_note(part, source->file, source->entry.index);
            if (!any || hint_entry_compare(&last, &source->entry) != 0)
                r = entry_take(merge->store, load, source->file, &source->entry);
            last = source->entry;
            any = true;
        }
        if (r == 0)
            r = source_next(merge, source, part->number);
        if (r == HINT_E_END) {
            merge->heap[0] = merge->heap[--merge->heap_count];
            r = 0;
        }
        if (r == 0)
            heap_sink(merge, 0);
    }
    return r;
}

static int heap_add(struct merge *merge, struct source *source, const struct store_partition *part)
{
    int r;

    if (!source_begin(source, part->number))
        return 0;
    r = source_next(merge, source, part->number);
    if (r == 0)
        merge->heap[merge->heap_count++] = source;
    return r == HINT_E_END ? 0 : r;
}

/* Entries of the partition, of which the first has been read; one key may have several. */
static uint64_t source_count(const struct source *source, uint16_t partition)
{
    const struct hint_partition *found;
    uint64_t count = 0;

    if (!source->built) {
        found = hint_partition_find(&source->hint, partition);
        return found ? found->count : 0;
    }
    for (size_t i = source->at; i < source->build.count; i++, count++)
        if (source->build.entries[i].partition != partition)
            break;
    return count + 1;
}

static int heap_load(struct merge *merge, struct store_partition *part)
{
    struct keydir_load *load;
    uint64_t count = 0;
    int r, ended;

    for (size_t i = 0; i < merge->heap_count; i++)
        count += source_count(merge->heap[i], part->number);
    if (count == 0)
        return 0;
    load = keydir_load_new(part->keydir, count);
    if (!load)
        return -ENOMEM;
    r = heap_run(merge, part, load);
    ended = keydir_load_end(load);
    return r != 0 ? r : ended;
}

static int casks_of(struct merge *merge, const struct store_partition *part)
{
    const struct casks *casks = &merge->store->casks;
    size_t count = 0;
    int r = 0;

    for (size_t i = 0; i < casks->count; i++)
        count += casks->items[i]->info.partition == part->number;
    merge->cask_count = 0;
    merge->casks = calloc(count + 1, sizeof(*merge->casks));
    merge->heap = calloc(count + merge->segment_count + 1, sizeof(*merge->heap));
    if (!merge->casks || !merge->heap)
        return -ENOMEM;
    for (size_t i = 0; r == 0 && i < casks->count; i++)
        if (casks->items[i]->info.partition == part->number)
            r = source_open(merge, &casks->items[i]->base, &merge->casks[merge->cask_count++]);
    return r;
}

static int merge_partition(struct merge *merge, struct store_partition *part)
{
    static const char why[] = "the disk does not give its index";
    int r = casks_of(merge, part);

    merge->heap_count = 0;
    for (size_t i = 0; r == 0 && i < merge->segment_count; i++)
        r = heap_add(merge, &merge->segments[i], part);
    for (size_t i = 0; r == 0 && i < merge->cask_count; i++)
        r = heap_add(merge, &merge->casks[i], part);
    if (r == 0)
        r = heap_load(merge, part);
    if (r == HINT_E_CORRUPT) {
        store_fence_partition(merge->store, part, why);
        r = 0;
    }
    for (size_t i = 0; i < merge->segment_count; i++)
        source_leave(&merge->segments[i]);
    for (size_t i = 0; i < merge->cask_count; i++) {
        source_leave(&merge->casks[i]);
        source_close(&merge->casks[i]);
    }
    free(merge->casks);
    free(merge->heap);
    merge->casks = NULL;
    merge->heap = NULL;
    merge->cask_count = 0;
    return r;
}

/* --- files --------------------------------------------------------------------------------- */

static int cask_file_open(struct store *store, const struct manifest_cask *listed)
{
    struct store_partition *part = store_partition(store, listed->partition);
    struct cask_file *cask = NULL;
    char path[FILENAME_PATH_SIZE];
    struct vfs_file *file = NULL;
    uint64_t size = 0;
    int r = filename_cask(path, store->folder, listed->partition, listed->number);

    if (!part || !part->is_hosted)
        return STORE_E_FENCED;
    if (r == 0)
        r = vfs_open(store->vfs, path, VFS_OPEN_READ, &file);
    if (r == 0)
        r = vfs_size(file, &size);
    if (recovery_unreadable(store, path, r) || r == -ENOENT || (r == 0 && size < listed->length)) {
        vfs_close(file);
        snprintf(part->why, sizeof(part->why), "p%04u-%010" PRIu64 ".cask is %s",
                 (unsigned)listed->partition, listed->number,
                 r < 0 && r != -ENOENT ? "not given by the disk" : "missing or short");
        store_fence_partition(store, part, part->why);
        return 0;
    }
    if (r == 0)
        r = casks_add(&store->casks, &store->files, listed, file, &cask);
    if (r != 0) {
        vfs_close(file);
        return r;
    }
    cask->state = CASK_FILE_LIVE;
    store_file_changed(store, &cask->base);
    return 0;
}

static int sources_open(struct merge *merge)
{
    struct store *store = merge->store;
    int r = 0;

    merge->segments = calloc(store->segments.count + 1, sizeof(*merge->segments));
    if (!merge->segments)
        return -ENOMEM;
    for (size_t i = 0; r == 0 && i < store->segments.count; i++) {
        struct journal_segment *segment = store->segments.items[i];

        if (segment->state != JOURNAL_SEGMENT_RETIRED)
            continue;
        r = source_open(merge, &segment->base, &merge->segments[merge->segment_count++]);
    }
    return r;
}

int recovery_data(struct recovery *recovery)
{
    struct store *store = recovery->store;
    struct merge merge = {.store = store};
    int r = 0;

    for (size_t i = 0; r == 0 && i < store->manifest.cask_count; i++)
        r = cask_file_open(store, &store->manifest.casks[i]);
    if (r == 0)
        r = sources_open(&merge);
    for (size_t i = 0; r == 0 && i < store->hosted_count; i++)
        r = merge_partition(&merge, store_partition(store, store->hosted[i]));
    for (size_t i = 0; i < merge.segment_count; i++)
        source_close(&merge.segments[i]);
    free(merge.segments);
    return r;
}
