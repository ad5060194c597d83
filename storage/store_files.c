#include "storage/store_state.h"

/* How many files are open: each segment and cask costs a descriptor for as long as it is there.
 *
 * Over its bound the store does as on a full disk: no segment is prepared, so values are refused,
 * while deletes, reads and flush go on; and flush moves what lies in segments into fewer casks,
 * until there is room again. What a round of flush may open is kept back from the start, for
 * without it nothing could ever be closed. */

#define FILES_OTHER 16u /* manifest, hints, an install's cask, folders that are synced */

/* That a round of flush opens beside its victims: a cask a partition, and large ones cut. */
static uint64_t round_files(size_t partitions, uint32_t flush_size_max)
{
    return partitions + flush_size_max / (CASK_SIZE_MAX / 2) + 1;
}

uint32_t store_files_min(size_t partitions)
{
    return (uint32_t)(4 * round_files(partitions, CASK_SIZE_MAX)) + FILES_OTHER;
}

static uint64_t files_wanted(const struct store *store)
{
    return store->files.used + FILES_OTHER +
           round_files(store->hosted_count, store->options.flush_size_max);
}

bool store_files_short(const struct store *store)
{
    return files_wanted(store) >= store->options.files_max;
}

bool store_files_short_soon(const struct store *store)
{
    return files_wanted(store) + store->options.files_max / 8 >= store->options.files_max;
}
