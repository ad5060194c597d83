#include <errno.h>
#include <stdlib.h>

#include "storage/store_state.h"

#define SIZE_MIN_TRAINED 32u        /* with a dictionary smaller values pay */
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

static bool compressible(const struct store *store, const struct record *record, bool trained)
{
    uint32_t size_min = store->options.compress_size_min;

    if (trained && size_min > SIZE_MIN_TRAINED)
        size_min = SIZE_MIN_TRAINED;
    return record->kind == RECORD_KIND_PUT && record->value_size >= size_min &&
           !(record->flags & (RECORD_FLAG_COMPRESSED | RECORD_FLAG_ENCRYPTED));
}

/* Without memory a value stays plain. */
void store_compress(struct store *store, uint16_t partition, struct record *records, size_t count)
{
    struct store_partition *part = store_partition(store, partition);
    uint32_t number = store_dictionary_newest(store, partition);
    const struct compress_dictionary *dictionary;
    size_t size = 0, used = 0;

    if (store->options.compress_level == 0)
        return;
    if (number > 0 && store_dictionary_ready(store, part, number) != 0)
        number = 0;
    dictionary = number ? part->dictionaries[number - 1].dictionary : NULL;
    for (size_t i = 0; i < count; i++)
        size += compressible(store, &records[i], number > 0) ? records[i].value_size : 0;
    if (size == 0 || !compress_ready(store) ||
        !buffer_room(&store->packed, &store->packed_capacity, size))
        return;
    for (size_t i = 0; i < count; i++) {
        struct record *record = &records[i];
        uint8_t *out = store->packed + used;
        size_t packed;
        int r;

        if (!compressible(store, record, number > 0))
            continue;
        store->stats.compress_in += record->value_size;
        r = compress_value(store->compress, dictionary, store->options.compress_level,
                           record->value, record->value_size, out, &packed);
        store->stats.compress_out += r == 0 ? packed : record->value_size;
        if (r != 0)
            continue;
        record->flags |= RECORD_FLAG_COMPRESSED;
        record->codec = (uint8_t)(COMPRESS_CODEC_ZSTD + number);
        record->value = out;
        record->value_size = packed;
        used += packed;
    }
}

bool store_encrypts(const struct store *store)
{
    return store->options.vault && store->options.vault->current != 0;
}

static bool sealable(const struct record *record)
{
    return (record->kind == RECORD_KIND_PUT || record->kind == RECORD_KIND_DELETE ||
            record->kind == RECORD_KIND_DICTIONARY) &&
           !(record->flags & RECORD_FLAG_ENCRYPTED);
}

int store_encrypt(struct store *store, struct record *records, const struct keydir_digest *digests,
                  size_t count, uint64_t tail)
{
    size_t size = 0, used = 0;

    if (!store_encrypts(store))
        return 0;
    for (size_t i = 0; i < count; i++)
        if (sealable(&records[i]))
            size += VAULT_DIGEST_SIZE + vault_sealed_size(&records[i]);
    if (size > 0 && !buffer_room(&store->sealed, &store->sealed_capacity, size))
        return -ENOMEM;
    for (size_t i = 0; i < count; i++) {
        if (!sealable(&records[i]))
            continue;
        vault_seal(store->options.vault, &records[i], &digests[i], tail, store->sealed + used);
        used += VAULT_DIGEST_SIZE + records[i].value_size;
    }
    return 0;
}

int store_decrypt(struct store *store, struct record *record)
{
    int r;

    if (!(record->flags & RECORD_FLAG_ENCRYPTED))
        return 0;
    if (!buffer_room(&store->opened, &store->opened_capacity, record->value_size))
        return -ENOMEM;
    r = vault_open(store->options.vault, record, store->opened);
    if (r == 0)
        return 0;
    return r == VAULT_E_NO_KEY ? STORE_E_NO_KEY : STORE_E_CORRUPT;
}

/* Of a record that is not sealed. */
static int decompress(struct store *store, struct record *record)
{
    struct store_partition *part = store_partition(store, record->partition);
    const struct compress_dictionary *dictionary = NULL;
    uint32_t number = (uint32_t)record->codec - COMPRESS_CODEC_ZSTD;
    size_t size;
    int r;

    if (!(record->flags & RECORD_FLAG_COMPRESSED))
        return 0;
    if (record->codec < COMPRESS_CODEC_ZSTD || !part || number > part->dictionary_count ||
        compress_plain_size(record->value, record->value_size, RECORD_VALUE_SIZE_MAX, &size) != 0)
        return STORE_E_CORRUPT;
    if (number > 0) {
        if (record->index < part->dictionaries[number - 1].index)
            return STORE_E_GONE;
        r = store_dictionary_ready(store, part, number);
        if (r != 0)
            return r;
        dictionary = part->dictionaries[number - 1].dictionary;
    }
    if (!compress_ready(store) || !buffer_room(&store->plain, &store->plain_capacity, size))
        return -ENOMEM;
    if (compress_expand(store->compress, dictionary, record->value, record->value_size,
                        store->plain, size) != 0)
        return STORE_E_CORRUPT;
    record->value = store->plain;
    record->value_size = size;
    return 0;
}

int store_expand(struct store *store, struct record *record)
{
    struct record opened = *record;
    int r = store_decrypt(store, &opened);

    if (r == 0)
        r = decompress(store, &opened);
    if (r == 0)
        *record = opened;
    return r;
}
