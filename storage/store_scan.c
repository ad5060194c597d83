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
    uint32_t *run_of; /* by slot: number of its run and 1; 0: none yet */
};

static int run_add(struct store_scan_run *run, const struct keydir_entry *entry)
{
    int r = GROW(run->items, run->capacity, run->count + 1);

    if (r == 0)
        run->items[run->count++] = entry->location << 24 | entry->size_max / RECORD_ALIGN;
    return r;
}

/* Run 0 takes what is in the journal, and everything when there is no index. */
static int run_of_slot(struct build *build, const struct data_file *file, size_t *run)
{
    struct store_scan *scan = build->scan;
    size_t capacity = scan->run_count;

    *run = 0;
    if (!build->options->index || file->kind != DATA_FILE_CASK)
        return 0;
    if (build->run_of[file->slot] == 0) {
        struct store_scan_run *grown = realloc(scan->runs, (capacity + 1) * sizeof(*scan->runs));

        if (!grown)
            return -ENOMEM;
        scan->runs = grown;
        scan->runs[scan->run_count++] = (struct store_scan_run){.cask = true};
        build->run_of[file->slot] = (uint32_t)scan->run_count;
    }
    *run = build->run_of[file->slot] - 1;
    return 0;
}

static int walk_entry(void *context, const struct keydir_digest *digest,
                      const struct keydir_entry *entry)
{
    struct build *build = context;
    const struct data_file *file = data_files_at(&build->store->files, entry->location);
    bool in_cask = file->kind == DATA_FILE_CASK;
    size_t run;
    int r;

    (void)digest;
    if (entry->tombstone ||
        (in_cask ? build->options->journal_only : build->options->index != NULL))
        return 0;
    r = run_of_slot(build, file, &run);
    return r == 0 ? run_add(&build->scan->runs[run], entry) : r;
}

static int item_order(const void *a, const void *b)
{
    store_scan_item x = *(const store_scan_item *)a, y = *(const store_scan_item *)b;

    return (x > y) - (x < y);
}

/* What is in casks, or everything when there is no index. */
static int take_places(struct build *build, const struct keydir *keydir)
{
    bool any = build->options->index == NULL;
    int r;

    for (size_t i = 0; i < build->store->files.slot_count && !any; i++) {
        const struct data_file *file = build->store->files.slots[i];

        any = file && file->kind == DATA_FILE_CASK && file->live_records > 0;
    }
    if (!any || (build->options->index && build->options->journal_only))
        return 0;
    r = keydir_walk(keydir, walk_entry, build);
    for (size_t i = 0; r == 0 && i < build->scan->run_count; i++) {
        struct store_scan_run *run = &build->scan->runs[i];

        if ((run->cask || !build->options->index) && run->count > 0)
            qsort(run->items, run->count, sizeof(*run->items), item_order);
    }
    return r;
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
        if (keydir_get(keydir, &digest, &entry) != 0 || entry.tombstone ||
            data_files_at(&build->store->files, entry.location)->kind == DATA_FILE_CASK)
            continue;
        r = run_add(&build->scan->runs[0], &entry);
    }
    return r;
}

/* Pins each file that a place is in. */
static int pin_files(struct build *build)
{
    struct store_scan *scan = build->scan;
    const struct data_files *files = &build->store->files;
    uint8_t *seen = calloc(files->slot_count + 1, 1);
    size_t capacity = 0;
    int r = seen ? 0 : -ENOMEM;

    for (size_t i = 0; r == 0 && i < scan->run_count; i++)
        for (size_t k = 0; r == 0 && k < scan->runs[i].count; k++) {
            store_location location = store_scan_location(scan->runs[i].items[k]);
            size_t slot = (size_t)(location >> DATA_FILE_LOCATION_BITS);

            if (seen[slot])
                continue;
            seen[slot] = 1;
            r = GROW(scan->pinned, capacity, scan->pinned_count + 1);
            if (r != 0)
                break;
            scan->pinned[scan->pinned_count] = data_files_at(files, location);
            scan->pinned[scan->pinned_count++]->pins++;
        }
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
    *scan = (struct store_scan){.runs = calloc(1, sizeof(*scan->runs))};
    if (!scan->runs)
        return -ENOMEM;
    scan->run_count = 1;
    build.run_of = calloc(store->files.slot_count + 1, sizeof(*build.run_of));
    r = build.run_of ? take_places(&build, part->keydir) : -ENOMEM;
    if (r == 0 && options->index)
        r = take_indexed(&build, part->keydir);
    if (r == 0)
        r = pin_files(&build);
    free(build.run_of);
    if (r != 0)
        store_scan_close(scan);
    return r;
}

void store_scan_close(struct store_scan *scan)
{
    for (size_t i = 0; i < scan->pinned_count; i++) {
        assert(scan->pinned[i]->pins > 0);
        scan->pinned[i]->pins--;
    }
    for (size_t i = 0; i < scan->run_count; i++)
        free(scan->runs[i].items);
    free(scan->runs);
    free(scan->pinned);
    *scan = (struct store_scan){0};
}

bool store_scan_in_cask(const struct store *store, store_location location)
{
    return data_files_at(&store->files, location)->kind == DATA_FILE_CASK;
}
