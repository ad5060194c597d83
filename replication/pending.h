/* Pending: the entries of one partition that are appended and not yet applied, and what they write.
 *
 * Two views of one list. By index: what apply takes next, and what a conflict truncates. By key:
 * the overlay over the keydir that a leader evaluates against - a SET just proposed is what the
 * next INCR must see, though it is neither committed nor in the keydir.
 *
 * Entries lie in a ring by index, their writes in a second ring in the same order. A hash table
 * over digests finds the newest write of a key; each write knows the next older one of its key, so
 * that truncation makes the older one visible again. All in O(1) a write, memory only by doubling.
 *
 * Invariants: indexes are contiguous; an index is added once, after truncation again; the table
 * holds exactly the newest pending write of each key that has one.
 * Limits: none of its own; it is as long as the log between applied and last, which admission at
 * the leader bounds. At most 2^31 writes. Owner: one shard thread.
 */
#ifndef REPLICATION_PENDING_H
#define REPLICATION_PENDING_H

#include "storage/keydir.h"
#include "storage/record.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum pending_e { PENDING_E_OK, PENDING_E_ABSENT };

struct pending_entry {
    uint64_t index;
    uint64_t location; /* store_location of the first record */
    uint32_t size;     /* all records, padded */
    uint32_t term;
    uint8_t kind;     /* enum record_kind of the first record */
    bool has_request; /* request is one */
    struct record_request request;
    void *owned;          /* malloc()ed by the host, or NULL; freed here when the entry goes */
    uint32_t write_count; /* kept here: pending_add() sets 0, pending_add_write() counts */
    uint64_t write_first; /* private */
};

struct pending_write {
    struct keydir_digest digest;
    uint64_t index;    /* of its entry; kept here */
    uint64_t location; /* store_location of this record */
    uint32_t size;     /* of this record, padded */
    bool tombstone;
    bool expires;
    uint64_t older; /* private */
};

struct pending {
    struct pending_entry *entries;
    struct pending_write *writes;
    uint64_t *table; /* positions in writes, UINT64_MAX empty; twice write_capacity places */
    uint32_t entry_capacity, write_capacity;
    uint32_t entry_count;
    uint64_t first;  /* index of the oldest entry, when there is one */
    uint64_t origin; /* index of the entry at the ring's first place */
    uint64_t write_first,
        write_next;     /* positions: they grow, but for truncation, until it is empty */
    uint32_t key_count; /* keys in the table */
};

/* Allocates nothing; memory comes with use. */
void pending_init(struct pending *pending);
void pending_deinit(struct pending *pending);

/* Room for one more entry with that many writes. 0 or -ENOMEM (nothing changed). */
int pending_reserve(struct pending *pending, uint32_t writes);
/* Adds an entry (copied); room must have been reserved. index = last + 1, or any when empty. */
void pending_add(struct pending *pending, const struct pending_entry *entry);
/* Adds a write to the newest entry, in order of sub_index; a key may occur again, the later write
 * is the newer. `index` and `older` of *write are ignored. */
void pending_add_write(struct pending *pending, const struct pending_write *write);

/* Apply or pending_add() comes soon: what they begin with is brought nearer, beside other work. */
void pending_prefetch(const struct pending *pending);

/* The entry of this index, with its records, lies there from now on. */
void pending_move(struct pending *pending, uint64_t index, uint64_t location);

/* Entries of index >= from go, newest first; older writes of their keys show again. */
void pending_truncate(struct pending *pending, uint64_t from);

/* Newest pending write of the key: borrowed until the next change. PENDING_E_OK or ABSENT: then
 * the keydir is the truth. */
int pending_find(const struct pending *pending, const struct keydir_digest *digest,
                 const struct pending_write **out);

/* Apply: while (first && first->index <= commit) { apply its writes; pending_pop(); }
 * Entry pointers are borrowed until the next add, truncate or pop; NULL when there is none. */
struct pending_entry *pending_first(const struct pending *pending);
struct pending_entry *pending_at(const struct pending *pending, uint64_t index);
/* number < entry->write_count. */
const struct pending_write *pending_write_at(const struct pending *pending,
                                             const struct pending_entry *entry, uint32_t number);
void pending_pop(struct pending *pending);

uint32_t pending_count(const struct pending *pending);
uint64_t pending_last(const struct pending *pending); /* 0 when empty */
size_t pending_memory(const struct pending *pending);
void pending_check(const struct pending *pending);

#endif
