#include "storage/cache.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "storage/record.h"

#define BUCKET_SHARE      256u /* a chain for each so many bytes of the budget */
#define GHOST_SHARE       512u /* a remembered fingerprint for each so many */
#define GHOST_WAYS        4u   /* places a fingerprint may be in */
#define SMALL_SHARE       10u  /* the small queue has a tenth */
#define FREQUENCY_MAX     3u
#define FREQUENCY_TO_MAIN 1u /* read so often, an entry leaves the small queue upwards */
#define CHUNK_OVERHEAD    8u /* what malloc adds, and the multiple it rounds to */
#define CHUNK_ALIGN       16u
#define TABLE_OVERHEAD    64u /* of one large allocation, rounded up */

enum queue_name { QUEUE_SMALL, QUEUE_MAIN, QUEUES };

struct entry {
    struct entry *chain;
    struct entry *newer, *older; /* in its queue */
    struct keydir_digest digest;
    uint64_t location;
    uint64_t expiry_ms;
    uint32_t value_size;
    uint16_t key_size;
    uint16_t partition;
    uint8_t queue;
    uint8_t frequency;
    uint8_t bytes[]; /* key, value */
};

struct queue {
    struct entry *newest, *oldest;
    uint64_t size; /* bytes */
    uint64_t count;
};

struct ghost {
    uint32_t fingerprint; /* 0: empty */
    uint32_t stamp;       /* of ghost_clock when it came */
};

struct cache {
    size_t size_max;
    size_t fixed_size; /* this struct and the tables */
    struct entry **buckets;
    struct ghost *ghosts;
    uint64_t bucket_mask;
    uint64_t ghost_mask; /* of the first of GHOST_WAYS places */
    uint32_t ghost_clock;
    struct queue queues[QUEUES];
    struct cache_stats stats; /* hits, misses, evictions */
};

static size_t chunk_size(size_t size)
{
    return (size + CHUNK_OVERHEAD + CHUNK_ALIGN - 1) & ~(size_t)(CHUNK_ALIGN - 1);
}

static size_t entry_size(const struct entry *entry)
{
    return chunk_size(sizeof *entry + entry->key_size + entry->value_size);
}

static size_t used(const struct cache *cache)
{
    return cache->fixed_size + cache->queues[QUEUE_SMALL].size + cache->queues[QUEUE_MAIN].size;
}

/* Largest power of two ≤ n; n > 0. */
static size_t power_below(size_t n)
{
    size_t power = 1;

    while (power <= n / 2)
        power *= 2;
    return power;
}

struct cache *cache_new(size_t size_max)
{
    struct cache *cache = calloc(1, sizeof *cache);
    size_t buckets, ghosts;

    assert(size_max >= CACHE_SIZE_MIN);
    buckets = power_below(size_max / BUCKET_SHARE);
    ghosts = power_below(size_max / GHOST_SHARE);
    if (!cache)
        return NULL;
    cache->size_max = size_max;
    cache->bucket_mask = buckets - 1;
    cache->ghost_mask = (ghosts - 1) & ~(uint64_t)(GHOST_WAYS - 1);
    cache->buckets = calloc(buckets, sizeof(struct entry *));
    cache->ghosts = calloc(ghosts, sizeof *cache->ghosts);
    cache->fixed_size = chunk_size(sizeof *cache) + buckets * sizeof(struct entry *) +
                        ghosts * sizeof *cache->ghosts + 2 * (size_t)TABLE_OVERHEAD;
    if (!cache->buckets || !cache->ghosts)
        return cache_free(cache);
    return cache;
}

struct cache *cache_free(struct cache *cache)
{
    for (int name = 0; cache && name < QUEUES; name++)
        for (struct entry *entry = cache->queues[name].newest; entry;) {
            struct entry *older = entry->older;

            free(entry);
            entry = older;
        }
    if (cache) {
        free(cache->buckets);
        free(cache->ghosts);
    }
    free(cache);
    return NULL;
}

/* --- the ghost: who left the small queue, or was rewritten while it was in use ------------- */

static struct ghost *ghost_set(const struct cache *cache, const struct keydir_digest *digest,
                               uint32_t *fingerprint)
{
    *fingerprint = (uint32_t)(digest->low >> 32) | 1;
    return &cache->ghosts[(digest->high ^ digest->low) & cache->ghost_mask];
}

static void ghost_add(struct cache *cache, const struct keydir_digest *digest)
{
    uint32_t fingerprint, age_max = 0;
    struct ghost *set = ghost_set(cache, digest, &fingerprint);
    struct ghost *place = set;

    for (unsigned i = 0; i < GHOST_WAYS; i++) {
        uint32_t age = cache->ghost_clock - set[i].stamp;

        if (set[i].fingerprint == 0 || set[i].fingerprint == fingerprint) {
            place = &set[i];
            break;
        }
        if (age >= age_max) {
            age_max = age;
            place = &set[i];
        }
    }
    *place = (struct ghost){.fingerprint = fingerprint, .stamp = cache->ghost_clock++};
}

/* Whether it was there; then no longer. It counts for as many departures as main has entries. */
static bool ghost_take(struct cache *cache, const struct keydir_digest *digest)
{
    uint32_t fingerprint;
    struct ghost *set = ghost_set(cache, digest, &fingerprint);

    for (unsigned i = 0; i < GHOST_WAYS; i++)
        if (set[i].fingerprint == fingerprint) {
            set[i].fingerprint = 0;
            return cache->ghost_clock - set[i].stamp <= cache->queues[QUEUE_MAIN].count + 1;
        }
    return false;
}

/* --- queues and chains --------------------------------------------------------------------- */

static void queue_push(struct cache *cache, struct entry *entry, enum queue_name name)
{
    struct queue *queue = &cache->queues[name];

    entry->queue = (uint8_t)name;
    entry->frequency = 0;
    entry->newer = NULL;
    entry->older = queue->newest;
    if (queue->newest)
        queue->newest->newer = entry;
    else
        queue->oldest = entry;
    queue->newest = entry;
    queue->size += entry_size(entry);
    queue->count++;
}

static void queue_unlink(struct cache *cache, struct entry *entry)
{
    struct queue *queue = &cache->queues[entry->queue];

    *(entry->newer ? &entry->newer->older : &queue->newest) = entry->older;
    *(entry->older ? &entry->older->newer : &queue->oldest) = entry->newer;
    queue->size -= entry_size(entry);
    queue->count--;
}

static struct entry **bucket_of(const struct cache *cache, const struct keydir_digest *digest)
{
    return &cache->buckets[digest->low & cache->bucket_mask];
}

static struct entry *find(const struct cache *cache, uint16_t partition,
                          const struct keydir_digest *digest)
{
    struct entry *entry = *bucket_of(cache, digest);

    while (entry && (entry->digest.low != digest->low || entry->digest.high != digest->high ||
                     entry->partition != partition))
        entry = entry->chain;
    return entry;
}

static void entry_remove(struct cache *cache, struct entry *entry)
{
    struct entry **at = bucket_of(cache, &entry->digest);

    while (*at != entry)
        at = &(*at)->chain;
    *at = entry->chain;
    queue_unlink(cache, entry);
    free(entry);
}

/* --- eviction ------------------------------------------------------------------------------ */

/* The oldest of the small queue: up, or out. */
static void evict_small(struct cache *cache)
{
    struct entry *entry = cache->queues[QUEUE_SMALL].oldest;

    if (entry->frequency > FREQUENCY_TO_MAIN) {
        queue_unlink(cache, entry);
        queue_push(cache, entry, QUEUE_MAIN);
        return;
    }
    ghost_add(cache, &entry->digest);
    entry_remove(cache, entry);
    cache->stats.evictions++;
}

/* The oldest of the main queue: round again with one chance less, or out. */
static void evict_main(struct cache *cache)
{
    struct entry *entry = cache->queues[QUEUE_MAIN].oldest;
    uint8_t frequency = entry->frequency;

    if (frequency == 0) {
        entry_remove(cache, entry);
        cache->stats.evictions++;
        return;
    }
    queue_unlink(cache, entry);
    queue_push(cache, entry, QUEUE_MAIN);
    entry->frequency = (uint8_t)(frequency - 1);
}

/* Ends: each turn removes an entry, moves one up for good, or takes a chance from one. */
static void make_room(struct cache *cache, size_t size)
{
    size_t small_max = (cache->size_max - cache->fixed_size) / SMALL_SHARE;

    while (used(cache) + size > cache->size_max) {
        const struct queue *small = &cache->queues[QUEUE_SMALL];

        assert(small->count + cache->queues[QUEUE_MAIN].count > 0);
        if (small->count > 0 && (small->size >= small_max || cache->queues[QUEUE_MAIN].count == 0))
            evict_small(cache);
        else if (cache->queues[QUEUE_MAIN].count > 0)
            evict_main(cache);
        else
            evict_small(cache);
    }
}

/* --- the face ------------------------------------------------------------------------------ */

int cache_get(struct cache *cache, const struct cache_key *key, struct cache_value *value)
{
    struct entry *entry = find(cache, key->partition, &key->digest);

    if (!entry || entry->location != key->location || entry->key_size != key->key_size ||
        memcmp(entry->bytes, key->key, key->key_size) != 0) {
        cache->stats.misses++;
        return CACHE_E_ABSENT;
    }
    if (entry->frequency < FREQUENCY_MAX)
        entry->frequency++;
    cache->stats.hits++;
    *value = (struct cache_value){.bytes = entry->bytes + entry->key_size,
                                  .size = entry->value_size,
                                  .expiry_ms = entry->expiry_ms};
    return CACHE_E_OK;
}

void cache_put(struct cache *cache, const struct cache_key *key, const struct cache_value *value)
{
    size_t bytes = sizeof(struct entry) + key->key_size + value->size;
    size_t size = chunk_size(bytes);
    struct entry *entry, **bucket;
    enum queue_name queue;

    assert(key->key_size <= RECORD_KEY_SIZE_MAX);
    assert(value->size <= RECORD_VALUE_SIZE_MAX);
    entry = find(cache, key->partition, &key->digest);
    queue = entry ? (enum queue_name)entry->queue : QUEUE_SMALL;
    if (entry)
        entry_remove(cache, entry);
    else if (ghost_take(cache, &key->digest))
        queue = QUEUE_MAIN;
    if (size > (cache->size_max - cache->fixed_size) / SMALL_SHARE)
        return;
    make_room(cache, size);
    entry = malloc(bytes);
    if (!entry)
        return;
    entry->digest = key->digest;
    entry->location = key->location;
    entry->expiry_ms = value->expiry_ms;
    entry->value_size = (uint32_t)value->size;
    entry->key_size = (uint16_t)key->key_size;
    entry->partition = key->partition;
    memcpy(entry->bytes, key->key, key->key_size);
    if (value->size > 0)
        memcpy(entry->bytes + key->key_size, value->bytes, value->size);
    bucket = bucket_of(cache, &key->digest);
    entry->chain = *bucket;
    *bucket = entry;
    queue_push(cache, entry, queue);
}

/* What is rewritten while it is in the main queue is in use: it comes back there. */
void cache_drop(struct cache *cache, uint16_t partition, const struct keydir_digest *digest)
{
    struct entry *entry = find(cache, partition, digest);

    if (!entry)
        return;
    if (entry->queue == QUEUE_MAIN)
        ghost_add(cache, digest);
    entry_remove(cache, entry);
}

void cache_drop_partition(struct cache *cache, uint16_t partition)
{
    for (int name = 0; name < QUEUES; name++)
        for (struct entry *entry = cache->queues[name].newest; entry;) {
            struct entry *older = entry->older;

            if (entry->partition == partition)
                entry_remove(cache, entry);
            entry = older;
        }
}

void cache_stats(const struct cache *cache, struct cache_stats *stats)
{
    *stats = cache->stats;
    stats->entries = cache->queues[QUEUE_SMALL].count + cache->queues[QUEUE_MAIN].count;
    stats->bytes = used(cache);
}

static void queue_check(const struct cache *cache, enum queue_name name)
{
    const struct queue *queue = &cache->queues[name];
    const struct entry *newer = NULL;
    uint64_t size = 0, count = 0;

    for (const struct entry *entry = queue->newest; entry; entry = entry->older) {
        assert(entry->newer == newer);
        assert(entry->queue == name);
        assert(entry->frequency <= FREQUENCY_MAX);
        assert(find(cache, entry->partition, &entry->digest) == entry);
        size += entry_size(entry);
        count++;
        newer = entry;
    }
    assert(queue->oldest == newer);
    assert(queue->size == size);
    assert(queue->count == count);
}

void cache_check(const struct cache *cache)
{
    uint64_t chained = 0;

    queue_check(cache, QUEUE_SMALL);
    queue_check(cache, QUEUE_MAIN);
    for (uint64_t i = 0; i <= cache->bucket_mask; i++)
        for (const struct entry *entry = cache->buckets[i]; entry; entry = entry->chain)
            chained++;
    assert(chained == cache->queues[QUEUE_SMALL].count + cache->queues[QUEUE_MAIN].count);
    assert(used(cache) <= cache->size_max);
}
