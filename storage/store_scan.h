/* Store scan: where the live records of a partition are, at one moment and in the order of their
 * keys.
 *
 * Opening one takes the state as it is applied then; what is applied later does not show, for the
 * scan holds places and pins the files they are in: a record that is overwritten or moved meanwhile
 * is still read where it was. Nothing is read at the opening.
 *
 * The places come in runs, each in the order of the keys. The records in a cask are a run: a cask
 * is sorted by key, so that the order of places is the order of keys. All that lie in the journal
 * are one run, in the order of the key index, which holds their keys. Whoever reads the records
 * merges the runs; a key is in one of them at most, for the keydir has one place a key. Without an
 * index there is one run of everything, in the order of places.
 *
 * Limits and cost: 8 B a record. With an index and no casks what lies in the range is looked at;
 * casks make it a walk over the whole keydir (10 ns a key), for a place does not tell the key: the
 * runs of casks then hold the whole cask, and the reader looks for the range's begin by halving.
 * Owner: the thread that owns the store, for opening and closing; items may be read by any.
 */
#ifndef STORAGE_STORE_SCAN_H
#define STORAGE_STORE_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "storage/key_index.h"
#include "storage/store.h"

struct data_file;

struct store_scan_options {
    /* The keys of all live records of the partition that lie in the journal, and perhaps others;
     * NULL: none is kept. */
    const struct key_index *index;
    void (*digest)(const void *context, const uint8_t *key, size_t size, struct keydir_digest *out);
    const void *digest_context;
    const uint8_t *from; /* the first key of the range; from_size 0: the first of all */
    size_t from_size;
    const uint8_t *to; /* the first key behind it; to_size 0: none is */
    size_t to_size;
    bool journal_only; /* casks are left out */
};

/* A place: location in the upper 40 bits, bytes to read in units of RECORD_ALIGN below. */
typedef uint64_t store_scan_item;

struct store_scan_run {
    store_scan_item *items;
    size_t count;
    size_t capacity;
    bool cask; /* the range is not cut out: see above */
};

struct store_scan {
    struct store_scan_run *runs;
    size_t run_count;
    struct data_file **pinned;
    size_t pinned_count;
};

static inline store_location store_scan_location(store_scan_item item)
{
    return item >> 24;
}
static inline size_t store_scan_size(store_scan_item item)
{
    return (size_t)(item & 0xFFFFFFu) * RECORD_ALIGN;
}

/* Writes *scan; on failure there is nothing to close. 0 or -ENOMEM. */
int store_scan_open(struct store_scan *scan, struct store *store, uint16_t partition,
                    const struct store_scan_options *options);
/* Whether the record there is in a cask. */
bool store_scan_in_cask(const struct store *store, store_location location);
/* Lets go of the files. */
void store_scan_close(struct store_scan *scan);

#endif
