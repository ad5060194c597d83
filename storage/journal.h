/* Journal: the batches of a shard that are in memory, from the open one to the oldest that reads
 * still profit from.
 *
 * Records are encoded straight into the open batch, which is the buffer that will be written: one
 * copy from caller to disk. Batch numbers are consecutive, so a ring indexed by number holds them:
 *   first … synced      on disk, kept for reads, evicted oldest first when room is needed
 *   synced+1 … writing  in the write job that is out
 *   writing+1 … open-1  sealed, waiting for the next job
 *   open                takes appends; begun only when it has a buffer
 * Buffers are cut from one arena, first in first out; a batch that finds no room there (one huge
 * entry, or the arena pinned by a write) gets its own block of the heap.
 *
 * No I/O here. Limits: arena_size, JOURNAL_BATCHES_MAX. Owner: one shard thread; the bytes of
 * batches in a write job are not touched until journal_synced(), except by the job itself, which
 * fills in checksums where no reader looks.
 */
#ifndef STORAGE_JOURNAL_H
#define STORAGE_JOURNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "storage/journal_format.h"

#define JOURNAL_BATCHES_MAX 2048u /* in memory; a power of two */

struct journal_batch {
    uint64_t number;
    uint64_t segment; /* number of the segment; 0: not placed yet */
    uint64_t epoch;
    uint32_t offset; /* in the segment */
    uint32_t length; /* sealed: padded to blocks; open: header and records so far */
    uint32_t flags;  /* enum journal_batch_flags */
    uint8_t *bytes;
    size_t capacity;
    bool heap;
};

struct journal {
    struct journal_batch *ring;
    uint64_t first;   /* oldest in memory */
    uint64_t synced;  /* newest durable */
    uint64_t writing; /* newest in the job that is out; synced when none is */
    uint64_t open;    /* number of the open batch */
    bool begun;
    uint64_t queued_size; /* bytes of batches behind `synced` */

    struct journal_run *runs; /* of the open batch */
    size_t run_count;
    size_t run_capacity;
    size_t run_reserve;  /* runs and */
    size_t size_reserve; /* bytes that can always be added without new memory */

    uint8_t *arena;
    size_t arena_size;
    size_t arena_head;    /* end of the newest batch in the arena */
    uint64_t arena_count; /* batches in the arena */
};

/* run_reserve, size_reserve: what journal_extend() leaves room for besides what it gives. */
int journal_init(struct journal *journal, size_t arena_size, uint64_t next_number);
void journal_deinit(struct journal *journal);
/* Starts over with this number; nothing may be in memory yet. */
void journal_start(struct journal *journal, uint64_t next_number);
int journal_set_reserve(struct journal *journal, size_t runs, size_t size);

/* NULL unless begun. */
struct journal_batch *journal_open_batch(struct journal *journal);
struct journal_batch *journal_batch_at(const struct journal *journal, uint64_t number);
/* True when no further batch can be begun behind the open one. */
bool journal_is_full(const struct journal *journal);
/* Begins the open batch with room for `size` bytes of records. 0 or -ENOMEM. */
int journal_begin(struct journal *journal, size_t size);
/* Forgets the open batch; its number will be used by the next one begun. */
void journal_abort(struct journal *journal);
void journal_place(struct journal *journal, uint64_t segment, uint64_t epoch, uint32_t offset);
/* `size` bytes at the end of the open batch's records, to be filled at once; they count only after
 * journal_run_add(). The batch may move. NULL: no memory. */
uint8_t *journal_extend(struct journal *journal, size_t size);
/* Counts the bytes just written: count records of one partition with entries first … last (0, 0
 * for none). Joins the run before it when that is of the same partition and continues. */
void journal_run_add(struct journal *journal, uint16_t partition, uint32_t count, uint64_t first,
                     uint64_t last, size_t size);
/* Length of the open batch if it were sealed with `size` more bytes in `runs` more runs. */
uint64_t journal_sealed_size(const struct journal *journal, size_t size, size_t runs);
/* Seals the open batch: writes header and directory, without what is known only when the write
 * starts. The runs' commits must be set. The next number becomes the open one. */
void journal_seal(struct journal *journal);

/* Takes the sealed batches that lie one behind the other in one segment, at most max: stamps the
 * synced mark on them. Returns how many; out[i] stay valid until journal_synced(). */
size_t journal_write_begin(struct journal *journal, const struct journal_batch **out, size_t max);
/* The job is back: written (they are durable now) or not (they wait again). */
void journal_write_end(struct journal *journal, bool written);

/* The batch in memory that holds (segment, offset), or NULL. */
const struct journal_batch *journal_find(const struct journal *journal, uint64_t segment,
                                         uint32_t offset);
void journal_check(const struct journal *journal);

#endif
