/* Cache: decoded values of the keys that are read most, within a budget of bytes.
 *
 * The idea: a hit gives the value as a client gets it - no read, no checksum, no decompression.
 * What stays is chosen by S3-FIFO (Yang, Zhang, Qiu, Yue and Rashmi, "FIFO queues are all you need
 * for cache eviction", SOSP 2023): a new entry enters a small queue of a tenth of the budget; one
 * that is hit twice there moves to the main queue, the others leave, and a fingerprint of their
 * digest is remembered for as many departures as main has entries; whoever comes back in that time
 * enters main at once. So one pass over cold keys never drives out what is in use.
 *
 * Never stale: an entry is found only by partition, the whole 128-bit digest, the location of the
 * record it was decoded from, and the key itself. cache_drop() must be called when a record of the
 * key is applied, cache_drop_partition() when a partition is replaced: a location may be used again
 * for a later record of the same key.
 *
 * Memory never exceeds the budget: tables, entries and the allocator's share (estimated) count.
 * Limits: an entry takes at most a tenth of the budget; larger ones are not kept. No memory is no
 * error: nothing is kept then. Owner: one shard thread; no locks.
 */
#ifndef STORAGE_CACHE_H
#define STORAGE_CACHE_H

#include "storage/keydir.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CACHE_SIZE_MIN 4096u /* bytes; the tables alone need a part of it */

struct cache;

/* What names an entry. key is borrowed for the call. */
struct cache_key {
    uint16_t partition;
    struct keydir_digest digest;
    uint64_t location; /* of the record, see store.h */
    const uint8_t *key;
    size_t key_size; /* ≤ RECORD_KEY_SIZE_MAX */
};

struct cache_value {
    const uint8_t *bytes; /* not NULL, also when size is 0 */
    size_t size;          /* ≤ RECORD_VALUE_SIZE_MAX */
    uint64_t expiry_ms;   /* 0: none */
};

struct cache_stats {
    uint64_t hits, misses;
    uint64_t evictions; /* for want of room; drops are not counted */
    uint64_t entries;
    uint64_t bytes; /* all memory in use, ≤ the budget */
};

enum cache_e { CACHE_E_OK, CACHE_E_ABSENT };

/* size_max: the budget in bytes, ≥ CACHE_SIZE_MIN. NULL: no memory. */
struct cache *cache_new(size_t size_max);
struct cache *cache_free(struct cache *cache); /* returns NULL */

/* A hit counts for the entry. value->bytes is borrowed until the next put or drop. */
int cache_get(struct cache *cache, const struct cache_key *key, struct cache_value *value);
/* Copies key and value in, and replaces what is there of the digest. May evict; may keep nothing.
 */
void cache_put(struct cache *cache, const struct cache_key *key, const struct cache_value *value);
/* Forgets what is there of the digest. */
void cache_drop(struct cache *cache, uint16_t partition, const struct keydir_digest *digest);
/* Walks all entries: for the rare event. */
void cache_drop_partition(struct cache *cache, uint16_t partition);

void cache_stats(const struct cache *cache, struct cache_stats *stats);
/* Walks the invariants: queues, chains and byte counts agree, and the budget holds. */
void cache_check(const struct cache *cache);

#endif
