#include "storage/store_scan.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "storage/grow.h"
#include "storage/store_state.h"

static_assert(KEYDIR_SIZE_MAX / RECORD_ALIGN <= 0xFFFFFFu, "a size fits an item");

struct build {
    const struct store *store;
    const struct store_scan_options *options;
    struct store_scan *scan;
};

static int item_add(struct store_scan *scan, const struct keydir_entry *entry)
{
    int r = GROW(scan->items, scan->item_capacity, scan->item_count + 1);

    if (r == 0)
        scan->items[scan->item_count++] = entry->location << 24 | entry->size_max / RECORD_ALIGN;
    return r;
}

static int walk_entry(void *context, const struct keydir_digest *digest,
                      const struct keydir_entry *entry)
{
    const struct build *build = context;

    (void)digest;
    if (build->options->journal_only ? store_scan_in_cask(build->store, entry->location)
                                     : entry->tombstone)
        return 0;
    return item_add(build->scan, entry);
}

static int item_order(const void *a, const void *b)
{
    store_scan_item x = *(const store_scan_item *)a, y = *(const store_scan_item *)b;

    return (x > y) - (x < y);
}

/* What is in the journal, in the order of the index. */
static int take_indexed(struct build *build, const struct keydir *keydir)
{
    const struct store_scan_options *options = build->options;
    struct key_index_cursor cursor =
        key_index_seek(options->index, options->from, options->from_size);
    const uint8_t *key;
    size_t size;
    int r = 0;

    while (r == 0 && key_index_next(options->index, &cursor, &key, &size)) {
        struct keydir_digest digest;
        struct keydir_entry entry;

        if (options->to_size > 0 &&
            key_index_compare(key, size, options->to, options->to_size) >= 0)
            break;
        options->digest(options->digest_context, key, size, &digest);
        if (keydir_get(keydir, &digest, &entry) != 0 ||
            store_scan_in_cask(build->store, entry.location) ||
            (entry.tombstone && build->scan->cask_count == 0))
            continue;
        r = item_add(build->scan, &entry);
    }
    return r;
}

/* The casks that hold the partition. One that flush has replaced still has the keydir's pointers
 * for a moment, but no claim any more: tombstones that hid records of it may be gone. */
static int take_casks(struct build *build, uint16_t partition)
{
    const struct casks *casks = &build->store->casks;
    struct store_scan *scan = build->scan;

    scan->casks = calloc(casks->count + 1, sizeof(*scan->casks));
    if (!scan->casks)
        return -ENOMEM;
    for (size_t i = 0; i < casks->count; i++) {
        struct cask_file *file = casks->items[i];

        if (file->info.partition == partition && file->state == CASK_FILE_LIVE && !file->replaced)
            scan->casks[scan->cask_count++] =
                (struct store_scan_cask){.file = file, .cask = file->reader};
    }
    return 0;
}

/* Pins each file that a place is in, and the casks. */
static int pin_files(struct build *build)
{
    struct store_scan *scan = build->scan;
    const struct data_files *files = &build->store->files;
    uint8_t *seen = calloc(files->slot_count + 1, 1);
    size_t capacity = 0;
    int r = seen ? GROW(scan->pinned, capacity, scan->cask_count + 1) : -ENOMEM;

    for (size_t i = 0; r == 0 && i < scan->item_count; i++) {
        store_location location = store_scan_location(scan->items[i]);
        size_t slot = (size_t)(location >> DATA_FILE_LOCATION_BITS);

        if (seen[slot])
            continue;
        seen[slot] = 1;
        r = GROW(scan->pinned, capacity, scan->pinned_count + scan->cask_count + 1);
        if (r == 0)
            scan->pinned[scan->pinned_count++] = data_files_at(files, location);
    }
    for (size_t i = 0; r == 0 && i < scan->cask_count; i++)
        scan->pinned[scan->pinned_count++] = &scan->casks[i].file->base;
    if (r != 0)
        scan->pinned_count = 0;
    for (size_t i = 0; i < scan->pinned_count; i++)
        scan->pinned[i]->pins++;
    free(seen);
    return r;
}

int store_scan_open(struct store_scan *scan, struct store *store, uint16_t partition,
                    const struct store_scan_options *options)
{
    const struct store_partition *part = store_partition(store, partition);
    struct build build = {.store = store, .options = options, .scan = scan};
    int r;

    assert(part && part->is_hosted);
    *scan = (struct store_scan){0};
    r = options->index ? take_casks(&build, partition)
                       : keydir_walk(part->keydir, walk_entry, &build);
    if (r == 0 && options->index)
        r = take_indexed(&build, part->keydir);
    if (r == 0)
        r = pin_files(&build);
    if (r != 0)
        store_scan_close(scan);
    return r;
}

void store_scan_sort(struct store_scan *scan)
{
    if (scan->item_count > 0)
        qsort(scan->items, scan->item_count, sizeof(*scan->items), item_order);
}

int store_scan_cask_open(struct store_scan_cask *cask)
{
    struct cask *opened;
    int r;

    if (cask->cask)
        return 0;
    opened = calloc(1, sizeof(*opened));
    if (!opened)
        return -ENOMEM;
    r = cask_open(opened, cask->file->base.file);
    if (r == 0 && opened->info.stamp != cask->file->info.stamp) {
        cask_close(opened);
        r = CASK_E_CORRUPT;
    }
    if (r != 0) {
        free(opened);
        return r;
    }
    cask->cask = cask->cask_opened = opened;
    return 0;
}

/* What was opened stays with the file, for the next scan. */
static void cask_leave(struct store_scan_cask *cask)
{
    if (cask->cask_opened && !cask->file->reader) {
        cask->file->reader = cask->cask_opened;
    } else if (cask->cask_opened) {
        cask_close(cask->cask_opened);
        free(cask->cask_opened);
    }
}

void store_scan_close(struct store_scan *scan)
{
    for (size_t i = 0; i < scan->cask_count; i++)
        cask_leave(&scan->casks[i]);
    for (size_t i = 0; i < scan->pinned_count; i++) {
        assert(scan->pinned[i]->pins > 0);
        scan->pinned[i]->pins--;
    }
    free(scan->items);
    free(scan->casks);
    free(scan->pinned);
    *scan = (struct store_scan){0};
}

bool store_scan_in_cask(const struct store *store, store_location location)
{
    return data_files_at(&store->files, location)->kind == DATA_FILE_CASK;
}

bool store_scan_settled(const struct store *store, store_location location)
{
    const struct data_file *file = data_files_at(&store->files, location);

    if (file->kind == DATA_FILE_CASK)
        return true;
    switch (((const struct journal_segment *)file)->state) {
    case JOURNAL_SEGMENT_SEALED:
    case JOURNAL_SEGMENT_RETIRED:
    case JOURNAL_SEGMENT_DROPPING:
        return true;
    default:
        return false;
    }
}
