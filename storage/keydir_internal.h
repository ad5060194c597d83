/* What keydir.c, keydir_load.c and keydir_slice.c share: how slots, segments and directory lie in
 * memory. */
#ifndef STORAGE_KEYDIR_INTERNAL_H
#define STORAGE_KEYDIR_INTERNAL_H

#include "storage/keydir.h"

/* meta: bits 0-39 location, 40-45 size class, 46 tombstone, 47 expires, 48-63 the digest's upper
 * 16 of its 80 bits. A slot is empty when all bits of its location are set. */
struct slot {
    uint64_t meta;
    uint64_t low;
};

#define META_CLASS_SHIFT     40
#define META_DIGEST_SHIFT    48
#define META_LOCATION        ((UINT64_C(1) << 40) - 1)
#define META_CLASS           (UINT64_C(0x3f) << META_CLASS_SHIFT)
#define META_TOMBSTONE       (UINT64_C(1) << 46)
#define META_EXPIRES         (UINT64_C(1) << 47)

#define SEGMENT_CAPACITY_MIN 8u
#define SEGMENT_CAPACITY_MAX 512u /* a split comes first; larger only when it is not allowed */
#define DIRECTORY_SIZE_MIN   64u  /* entries that any keydir may have, see keydir_may_split() */
#define DEPTH_MAX            32u

struct segment {
    uint32_t capacity; /* slots; one at least is empty, so that every probe ends */
    uint32_t count;
    uint32_t depth; /* leading bits of slot_place() that all keys here share, ≤ keydir.depth */
    struct slot slots[];
};

/* The capacity is the segment's own: with it here, a look-up knows which slot it needs before the
 * segment's head is in the cache, and waits for memory once instead of twice. */
struct directory_entry {
    struct segment *segment;
    uint32_t capacity;
};

/* directory[i] is the segment of the slots whose place begins with the `depth` bits i. A segment of
 * depth d stands in 2^(depth - d) entries that are neighbours. */
struct keydir {
    struct directory_entry *directory;
    uint32_t depth;
    uint64_t count;
    uint64_t tombstones;
    uint64_t expiring;
    uint64_t live_bytes; /* as keydir_live_bytes() */
    size_t memory;
};

static inline bool slot_is_empty(const struct slot *slot)
{
    return (slot->meta & META_LOCATION) == META_LOCATION;
}

/* The first 64 of the 80 digest bits. */
static inline uint64_t slot_prefix(const struct slot *slot)
{
    return (slot->meta >> META_DIGEST_SHIFT) << 48 | slot->low >> 16;
}

/* Where in the directory a slot belongs, 32 bits: f(x) = x + 0.3431 x (1 - x) of the first 32 of
 * the digest's, as a share of 1. Monotone, and half as steep at the end as at the beginning, so
 * that the segments there span twice as many digests. With one span for all they would grow and
 * split at the same number of keys and each time leave the heap full of blocks of a size that
 * nobody wants any more; like this all sizes are in use at any time, and what one segment leaves
 * the next one takes. (Spiral storage spreads keys like that, by 2^x: Martin 1979.) */
static inline uint32_t directory_spread(uint32_t x)
{
    uint64_t product = (uint64_t)x * ~x >> 32;

    return x + (uint32_t)(product * 22485 >> 16);
}

static inline uint32_t slot_place(const struct slot *slot)
{
    return directory_spread((uint32_t)(slot_prefix(slot) >> 32));
}

static inline size_t directory_index(const struct slot *slot, uint32_t depth)
{
    return (size_t)((uint64_t)slot_place(slot) >> (32 - depth));
}

/* The lowest prefix that leads to this index or behind it. */
static inline uint64_t directory_prefix(size_t index, uint32_t depth)
{
    uint32_t below = 0; /* prefixes that lead elsewhere */

    if (index == 0)
        return 0;
    for (uint32_t bit = UINT32_C(1) << 31; bit > 0; bit >>= 1)
        if ((uint64_t)directory_spread((below | bit) - 1) >> (32 - depth) < index)
            below |= bit;
    return (uint64_t)below << 32;
}

static inline bool entry_expiring(const struct keydir_entry *entry)
{
    return entry->expires && !entry->tombstone;
}

/* Bytes that it adds to those alive. */
static inline uint32_t entry_live(const struct keydir_entry *entry)
{
    return entry->tombstone ? 0 : entry->size_max;
}

/* The index after the last directory entry of the segment that begins at `first`. */
static inline size_t keydir_segment_end(const struct keydir *keydir, size_t first)
{
    return first + ((size_t)1 << (keydir->depth - keydir->directory[first].segment->depth));
}

struct keydir_entry keydir_slot_entry(const struct slot *slot);
struct slot keydir_slot(const struct keydir_digest *digest, uint64_t location, uint32_t size,
                        bool tombstone, bool expires);
/* One more bit of depth for the directory. 0 or -ENOMEM. */
int keydir_double(struct keydir *keydir);
/* Puts ascending slots, at least one, that share `depth` leading bits of their places, where
 * nothing is yet. 0 or -ENOMEM: a part of them may be there. */
int keydir_fill(struct keydir *keydir, const struct slot *slots, size_t count, uint32_t depth);

#endif
