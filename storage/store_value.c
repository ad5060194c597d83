#include <errno.h>
#include <stdlib.h>

#include "storage/store_state.h"

#define BUFFER_SIZE_KEPT (1u << 20) /* a buffer that was larger once is given back */

int store_cached(struct store *store, const struct cache_key *key, struct cache_value *value)
{
    if (!store->cache || cache_get(store->cache, key, value) != CACHE_E_OK)
        return STORE_E_ABSENT;
    return 0;
}

void store_cache(struct store *store, const struct cache_key *key, const struct cache_value *value)
{
    if (store->cache)
        cache_put(store->cache, key, value);
}

void store_cache_stats(const struct store *store, struct cache_stats *stats)
{
    *stats = (struct cache_stats){0};
    if (store->cache)
        cache_stats(store->cache, stats);
}

/* --- compression --------------------------------------------------------------------------- */

/* Room for size bytes; what was there is lost. */
static bool buffer_room(uint8_t **buffer, size_t *capacity, size_t size)
{
    if (size <= *capacity && *capacity <= BUFFER_SIZE_KEPT)
        return true;
    free(*buffer);
    *capacity = size > BUFFER_SIZE_KEPT / 16 ? size : BUFFER_SIZE_KEPT / 16;
    *buffer = malloc(*capacity);
    if (!*buffer)
        *capacity = 0;
    return *buffer != NULL;
}

static bool compress_ready(struct store *store)
{
    if (!store->compress)
        store->compress = compress_new();
    return store->compress != NULL;
}

static bool compressible(const struct store *store, const struct record *record)
{
    return record->kind == RECORD_KIND_PUT &&
           record->value_size >= store->options.compress_size_min &&
           !(record->flags & (RECORD_FLAG_COMPRESSED | RECORD_FLAG_ENCRYPTED));
}

/* Without memory a value stays plain. */
void store_compress(struct store *store, struct record *records, size_t count)
{
    size_t size = 0, used = 0;

    if (store->options.compress_level == 0)
        return;
    for (size_t i = 0; i < count; i++)
        size += compressible(store, &records[i]) ? records[i].value_size : 0;
    if (size == 0 || !compress_ready(store) ||
        !buffer_room(&store->packed, &store->packed_capacity, size))
        return;
    for (size_t i = 0; i < count; i++) {
        struct record *record = &records[i];
        uint8_t *out = store->packed + used;
        size_t packed;

        if (!compressible(store, record) ||
            compress_value(store->compress, NULL, store->options.compress_level, record->value,
                           record->value_size, out, &packed) != 0)
            continue;
        record->flags |= RECORD_FLAG_COMPRESSED;
        record->codec = COMPRESS_CODEC_ZSTD;
        record->value = out;
        record->value_size = packed;
        used += packed;
    }
}

int store_expand(struct store *store, struct record *record)
{
    size_t size;

    if (!(record->flags & (RECORD_FLAG_COMPRESSED | RECORD_FLAG_ENCRYPTED)))
        return 0;
    if ((record->flags & RECORD_FLAG_ENCRYPTED) || record->codec != COMPRESS_CODEC_ZSTD ||
        compress_plain_size(record->value, record->value_size, RECORD_VALUE_SIZE_MAX, &size) != 0)
        return STORE_E_CORRUPT;
    if (!compress_ready(store) || !buffer_room(&store->plain, &store->plain_capacity, size))
        return -ENOMEM;
    if (compress_expand(store->compress, NULL, record->value, record->value_size, store->plain,
                        size) != 0)
        return STORE_E_CORRUPT;
    record->value = store->plain;
    record->value_size = size;
    return 0;
}
