/* Keydir: maps the digest of each key of one partition to the place of its newest record.
 *
 * 16 B a slot: 40-bit location (16-bit file slot, 24-bit offset in 16 B units), 6-bit size class,
 * two flags (tombstone, expires), 80 bits of the key's keyed 128-bit digest: the low 16 bits of
 * `high` and all of `low`. At most 24 B a key in all, at any length of the key.
 *
 * Extendible hashing over small segments (Fagin et al. 1979): the leading bits of the 80 lead
 * through a directory to a segment, in which a key has its place by Robin Hood linear probing
 * (Celis 1986). A segment grows by an eighth when it is 7/8 full and splits in two at its largest,
 * so growth moves at most a few KiB at a time and memory never doubles; only the directory does,
 * 8 B a segment. Every position derives from the slot itself: no growth reads a record. The
 * segments span digests unevenly, so that they do not all grow at the same time: see
 * directory_spread().
 *
 * Identity of a key here is 80 digest bits within a partition. The digest is keyed by a secret of
 * the cluster, so nobody can aim at a collision; by chance one among 100 million keys in 256
 * partitions is 2e-11 likely. A GET compares the stored key, so that even then it errs and never
 * answers with wrong data. Digests that are not evenly spread make it slow, never wrong and never
 * large.
 *
 * Owner: one shard thread; no locks. Limits: options-free; -ENOMEM is returned, nothing changes.
 */
#ifndef STORAGE_KEYDIR_H
#define STORAGE_KEYDIR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The 128-bit SipHash-2-4 of a key, as ring/hash.h computes it. */
struct keydir_digest {
    uint64_t high;
    uint64_t low;
};

#define KEYDIR_LOCATION_MAX ((UINT64_C(1) << 40) - 2) /* all 40 bits set: an empty slot */
#define KEYDIR_SIZE_MAX     16940928u                 /* bytes; above any record's size */

struct keydir_entry {
    uint64_t location; /* 40 bits: file slot << 24 | offset in 16 B units */
    uint32_t size_max; /* upper bound of the record's size, from its size class; bytes */
    bool tombstone;
    bool expires;
};

enum keydir_e { KEYDIR_E_OK, KEYDIR_E_ABSENT };

struct keydir;

struct keydir *keydir_new(void);                   /* NULL: no memory */
struct keydir *keydir_free(struct keydir *keydir); /* returns NULL */

/* The place of the key is about to be looked at: brings it nearer, beside other work. */
void keydir_prefetch(const struct keydir *keydir, const struct keydir_digest *digest);
/* Writes *out only on 0; else KEYDIR_E_ABSENT. Tombstones are found like any entry. */
int keydir_get(const struct keydir *keydir, const struct keydir_digest *digest,
               struct keydir_entry *out);
/* Inserts or replaces. size: the record's bytes, ≤ KEYDIR_SIZE_MAX, rounded up to a class. *old is
 * what was there (KEYDIR_E_OK) or untouched (KEYDIR_E_ABSENT); it may be NULL. -ENOMEM changes
 * nothing, and comes only where KEYDIR_E_ABSENT would have. */
int keydir_put(struct keydir *keydir, const struct keydir_digest *digest, uint64_t location,
               uint32_t size, bool tombstone, bool expires, struct keydir_entry *old);
/* Replaces the location only while it still is `expected`: relocation by compare-and-swap. Size
 * and flags stay. 0, or KEYDIR_E_ABSENT: no such key, or it has moved on; nothing changes. */
int keydir_move(struct keydir *keydir, const struct keydir_digest *digest, uint64_t expected,
                uint64_t location);
/* Forgets the key; 0 or KEYDIR_E_ABSENT. A segment that has become sparse gives memory back. */
int keydir_remove(struct keydir *keydir, const struct keydir_digest *digest);
uint64_t keydir_count(const struct keydir *keydir); /* tombstones included */
uint64_t keydir_tombstones(const struct keydir *keydir);
uint64_t keydir_expiring(const struct keydir *keydir); /* flag expires, and no tombstone */
/* Upper bound of the bytes of all records but tombstones, by their size classes. */
uint64_t keydir_live_bytes(const struct keydir *keydir);
size_t keydir_memory(const struct keydir *keydir); /* bytes, allocator overhead estimated */
/* Visits every entry; the digest's 80 known bits are in high (low 16 bits) and low. Segments come
 * in ascending order of digests, entries of one segment in no order. The visit must not change the
 * keydir. A non-zero return ends the walk and is returned. */
typedef int (*keydir_visit)(void *context, const struct keydir_digest *digest,
                            const struct keydir_entry *entry);
int keydir_walk(const struct keydir *keydir, keydir_visit visit, void *context);
/* A part of the keydir in the order of positions, the first 64 of the 80 bits of a digest: for
 * walks that go on another time, or on another replica. A key that is there through all the slices
 * from position 0 to the end is in one at least; keys that share a position may be in two. */
enum keydir_filter {
    KEYDIR_ALL,
    KEYDIR_LIVE,     /* no tombstones */
    KEYDIR_EXPIRING, /* live ones with the flag expires */
};
static inline uint64_t keydir_position(const struct keydir_digest *digest)
{
    return digest->high << 48 | digest->low >> 16;
}
struct keydir_item {
    struct keydir_digest digest; /* as keydir_walk() gives it */
    struct keydir_entry entry;
};
struct keydir_slice {
    uint64_t from;      /* in: position */
    uint8_t filter;     /* in: enum keydir_filter */
    uint32_t items_max; /* in: room in items, > 0 */
    uint32_t walk_max;  /* in: ends with the segment in which so many entries were looked at */
    struct keydir_item *items;
    uint32_t count; /* out: items, ascending */
    uint64_t next;  /* out: where the next slice begins, above `from` but for a common position of
                       more than items_max keys; 0: this was the last */
};
void keydir_slice(const struct keydir *keydir, struct keydir_slice *slice);
/* Fills an empty keydir with digests that ascend, as recovery merges them: each segment is made
 * once and in its final size, several times as fast as putting them. Between new and end no other
 * call may change the keydir; what is added shows at the end. count: at most so many will come, as
 * a hint only, it may be far off. */
struct keydir_load;
struct keydir_load *keydir_load_new(struct keydir *keydir, uint64_t count); /* NULL: no memory */
/* Are its 80 bits above those of the last one? */
bool keydir_load_ascends(const struct keydir_load *load, const struct keydir_digest *digest);
/* As keydir_put(); the digest's 80 bits above those of the last one (asserted). 0 or -ENOMEM, after
 * which only keydir_load_end() may follow. */
int keydir_load_add(struct keydir_load *load, const struct keydir_digest *digest, uint64_t location,
                    uint32_t size, bool tombstone, bool expires);
/* Frees the load. 0, or -ENOMEM: the keydir lacks some of what was added. */
int keydir_load_end(struct keydir_load *load);
/* Upper bound in bytes, a multiple of 16, of the size class that `size` falls in: the same both
 * ways, so that dead bytes are added and subtracted alike. */
uint32_t keydir_size_class_max(uint32_t size);
void keydir_check(const struct keydir *keydir);

#endif
