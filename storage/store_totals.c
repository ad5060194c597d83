#include <assert.h>
#include <string.h>

#include "storage/store_state.h"

#define CASKS_MERGE 16u         /* small casks of a partition: more are merged */
#define CASK_SMALL  (64u << 10) /* always */

/* A segment is a sixteenth of what is alive, so that what is no data yet - log, zeros, spares -
 * stays in proportion to it, and large enough for its own checkpoint to cost little. */
#define SEGMENT_PART        16u
#define SEGMENT_SIZE_MIN    (4u << 20)
#define SEGMENT_CHECKPOINTS 32u

uint64_t store_file_live(const struct data_file *file)
{
    const struct cask_file *cask = (const struct cask_file *)file;

    /* Of a segment the upper bounds of what is alive: the rest, batches' heads and all, comes free.
     * Of a cask its share of records: head, index and footer would be there again. */
    if (file->kind == DATA_FILE_CASK)
        return cask->info.count > 0 ? file->live_records * file->length / cask->info.count : 0;
    return file->live_bytes < file->length ? file->live_bytes : file->length;
}

static bool is_dropping(const struct data_file *file)
{
    return file->kind == DATA_FILE_SEGMENT
               ? ((const struct journal_segment *)file)->state == JOURNAL_SEGMENT_DROPPING
               : ((const struct cask_file *)file)->state == CASK_FILE_DROPPING;
}

bool store_file_is_data(const struct data_file *file)
{
    if (file->damaged || file->hint_bad || data_file_unread(file))
        return false;
    return file->kind == DATA_FILE_SEGMENT
               ? ((const struct journal_segment *)file)->state == JOURNAL_SEGMENT_RETIRED
               : ((const struct cask_file *)file)->state == CASK_FILE_LIVE;
}

uint32_t store_casks_max(const struct store *store)
{
    /* Half of all files are casks at most, about. */
    size_t share = store->options.files_max / 2 / (store->hosted_count + 1);

    return share < 2 ? 2 : share < CASKS_MERGE ? (uint32_t)share : CASKS_MERGE;
}

/* A larger one is never rewritten for the number of files: a store of any size would rewrite all of
 * itself again and again. */
bool store_cask_is_small(const struct store *store, const struct data_file *file)
{
    uint32_t size = store->options.flush_size_max / 4;

    return file->kind == DATA_FILE_CASK && file->length < (size > CASK_SMALL ? size : CASK_SMALL);
}

static struct data_file_counts counts_of(const struct store *store, const struct data_file *file)
{
    struct data_file_counts counts = {0};

    if (file->kind == DATA_FILE_SEGMENT)
        counts.capacity = ((const struct journal_segment *)file)->capacity;
    counts.dropping = is_dropping(file);
    counts.hint_bad =
        file->hint_bad && !file->damaged && !data_file_unread(file) && !counts.dropping;
    if (!store_file_is_data(file))
        return counts;
    counts.bytes = file->length;
    counts.live = store_file_live(file);
    counts.retired = file->kind == DATA_FILE_SEGMENT;
    counts.dead = file->live_records == 0;
    counts.rewrite = file->rewrite;
    counts.small = store_cask_is_small(store, file);
    return counts;
}

static void small_count(struct store *store, const struct data_file *file, int change)
{
    const struct cask_file *cask = (const struct cask_file *)file;
    struct store_partition *part = store_partition(store, cask->info.partition);
    uint32_t max = store_casks_max(store);

    store->totals.crowded -= part->casks_small > max;
    part->casks_small += (uint32_t)change;
    store->totals.crowded += part->casks_small > max;
}

void store_totals_crowd(struct store *store)
{
    uint32_t max = store_casks_max(store);

    store->totals.crowded = 0;
    for (size_t i = 0; i < store->part_count; i++)
        store->totals.crowded += store->parts[i].casks_small > max;
}

static void counts_set(struct store *store, struct data_file *file, struct data_file_counts counts)
{
    struct store_totals *totals = &store->totals;
    const struct data_file_counts *old = &file->counts;

    totals->capacity += counts.capacity - old->capacity;
    totals->data_bytes += counts.bytes - old->bytes;
    totals->data_live += counts.live - old->live;
    totals->retired += (uint64_t)counts.retired - old->retired;
    totals->dead += (uint64_t)counts.dead - old->dead;
    totals->rewrite += (uint64_t)counts.rewrite - old->rewrite;
    totals->small += (uint64_t)counts.small - old->small;
    totals->hints_bad += (uint64_t)counts.hint_bad - old->hint_bad;
    totals->dropping += (uint64_t)counts.dropping - old->dropping;
    if (counts.small != old->small)
        small_count(store, file, counts.small ? 1 : -1);
    file->counts = counts;
}

void store_file_changed(struct store *store, struct data_file *file)
{
    counts_set(store, file, counts_of(store, file));
}

void store_file_leaves(struct store *store, struct data_file *file)
{
    counts_set(store, file, (struct data_file_counts){0});
}

/* The counts of a file that is no data yet do not depend on its records. */
static void records_changed(struct store *store, struct data_file *file)
{
    if (file->counts.bytes > 0)
        store_file_changed(store, file);
}

void store_record_lives(struct store *store, struct data_file *file, uint32_t size_max)
{
    file->live_records++;
    file->live_bytes += size_max;
    store->totals.live += size_max;
    records_changed(store, file);
}

/* Its segment may have become free to go. */
void store_record_dies(struct store *store, const struct keydir_entry *old)
{
    struct data_file *file = data_files_at(&store->files, old->location);

    assert(file && file->live_records > 0);
    file->live_records--;
    file->live_bytes -= old->size_max;
    store->totals.live -= old->size_max;
    if (file->kind == DATA_FILE_SEGMENT)
        ((struct journal_segment *)file)->mark = store->checkpoints_taken;
    records_changed(store, file);
}

uint64_t store_journal_bytes(const struct store *store)
{
    uint64_t bytes = store->totals.capacity;

    for (size_t i = 0; i < store->spare_count; i++)
        bytes += store->spares[i].size;
    return bytes;
}

uint32_t store_segment_size(const struct store *store)
{
    uint64_t size = store->totals.live / SEGMENT_PART, min = SEGMENT_SIZE_MIN;

    min = min > SEGMENT_CHECKPOINTS * store->checkpoint_size
              ? min
              : SEGMENT_CHECKPOINTS * store->checkpoint_size;
    size = size > min ? size : min;
    return size < store->options.segment_size ? (uint32_t)journal_block_round(size)
                                              : store->options.segment_size;
}

void store_totals_check(const struct store *store)
{
    struct store_totals sum = {0};

    for (size_t i = 0; i < store->files.slot_count; i++) {
        const struct data_file *file = store->files.slots[i];
        struct data_file_counts counts;

        if (!file)
            continue;
        counts = counts_of(store, file);
        sum.live += file->live_bytes;
        sum.capacity += counts.capacity;
        sum.data_bytes += counts.bytes;
        sum.data_live += counts.live;
        sum.retired += counts.retired;
        sum.dead += counts.dead;
        sum.rewrite += counts.rewrite;
        sum.small += counts.small;
        sum.hints_bad += counts.hint_bad;
        sum.dropping += counts.dropping;
    }
    for (size_t i = 0; i < store->part_count; i++)
        sum.crowded += store->parts[i].casks_small > store_casks_max(store);
    assert(memcmp(&sum, &store->totals, sizeof(sum)) == 0);
}
