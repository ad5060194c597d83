/* Store scan: where the live records of a partition are, at one moment and in the order of their
 * keys.
 *
 * Opening one takes the state as it is applied then; what is applied later does not show, for the
 * scan holds places and pins the files they are in: a record that is overwritten or moved meanwhile
 * is still read where it was. Nothing is read at the opening.
 *
 * Without an index there is one list of places, of everything, in no order.
 *
 * With an index the scan is a merge. The records of the journal are a list in the order of keys,
 * tombstones with them; each cask is read from its own begin of the range, for it is sorted by key.
 * Of one key the list's record counts, else that of the highest index among the casks; a tombstone
 * hides the key. It is what recovery does with all of them, and right for the same reason: a
 * tombstone goes only when nothing older of its key is left in any file. So no cask's record needs
 * a look into the keydir, and opening costs what lies in the range of the journal and no more.
 *
 * Limits and cost: 8 B a record of the list; a cask's index, 0.1 % of the file, is read once and
 * stays in memory. Owner: the thread that owns the store, for opening and closing; what is in a
 * scan may be read by any one.
 */
#ifndef STORAGE_STORE_SCAN_H
#define STORAGE_STORE_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "storage/cask.h"
#include "storage/key_index.h"
#include "storage/store.h"

struct cask_file;
struct data_file;

struct store_scan_options {
    /* The keys of all records of the partition that the keydir finds in the journal, tombstones
     * included, and perhaps others; NULL: none is kept. */
    const struct key_index *index;
    void (*digest)(const void *context, const uint8_t *key, size_t size, struct keydir_digest *out);
    const void *digest_context;
    const uint8_t *from; /* with an index: the first key of the range; from_size 0: of all */
    size_t from_size;
    const uint8_t *to; /* the first key behind it; to_size 0: none is */
    size_t to_size;
    bool journal_only; /* without an index: casks are left out, tombstones are not */
};

/* A place: location in the upper 40 bits, bytes to read in units of RECORD_ALIGN below. */
typedef uint64_t store_scan_item;

struct store_scan_cask {
    struct cask_file *file;   /* pinned */
    const struct cask *cask;  /* NULL until store_scan_cask_open() */
    struct cask *cask_opened; /* by this scan */
};

struct store_scan {
    store_scan_item *items;
    size_t item_count;
    size_t item_capacity;
    struct store_scan_cask *casks; /* none without an index */
    size_t cask_count;
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
/* Without an index: puts the list in the order of places, which reads fastest. The store may be in
 * other hands meanwhile. */
void store_scan_sort(struct store_scan *scan);
/* Reads the cask's index unless that has been done; the store may be in other hands meanwhile.
 * 0, CASK_E_CORRUPT (also: not the file that the manifest lists), CASK_E_NEWER or -errno. */
int store_scan_cask_open(struct store_scan_cask *cask);
/* Whether the record there is in a cask. */
bool store_scan_in_cask(const struct store *store, store_location location);
/* Whether the file of that place is written to its end: what follows may be read ahead. */
bool store_scan_settled(const struct store *store, store_location location);
/* Lets go of the files; cursors over the casks are closed before. */
void store_scan_close(struct store_scan *scan);

#endif
