/* Store gather: many records of one partition, read in one job into one piece of memory.
 *
 * What lies in memory is copied at once, the rest by the job, each record straight to its place
 * behind the one before. Each is checked, with both its checksums, after it has come from the disk;
 * the order is any. A record newer than index_max is left out.
 *
 * Owner: the shard thread; `items` and `out` are lent until store_done(), *gather too, and the job
 * pins the files.
 */
#ifndef STORAGE_STORE_GATHER_H
#define STORAGE_STORE_GATHER_H

#include "storage/store.h"

struct store_gather_item {
    store_location location;
    uint32_t size_max;     /* of a keydir's entry */
    uint32_t size;         /* the store's: bytes to read, */
    struct vfs_file *file; /* of this file; NULL: it was in memory */
};

struct store_gather {
    uint16_t partition;
    uint64_t index_max;
    struct store_gather_item *items;
    uint32_t count;
    uint8_t *out; /* room for the sum of all size_max */
    /* When it is over: */
    size_t size;  /* bytes of records, without gaps */
    bool damaged; /* one of them does not check, or is not the partition's */
};

/* 0: it is over. STORE_E_AGAIN: *job, of class READ, is to be run; store_read_result() gives
 * `context` and what is in `out`. -ENOMEM: nothing happened. */
int store_gather(struct store *store, struct store_gather *gather, void *context,
                 struct store_job **job);

#endif
