#include "ring/hash.h"

#include <assert.h>
#include <string.h>

#include <sodium.h>

/* Little endian everywhere, so that a key has one partition on every machine. */
static uint64_t load_word(const uint8_t *bytes)
{
    uint64_t word = 0;

    for (unsigned i = 0; i < sizeof word; i++)
        word |= (uint64_t)bytes[i] << (8 * i);
    return word;
}

struct hash_digest hash_key(const uint8_t secret[HASH_KEY_SIZE], const void *key, size_t size)
{
    uint8_t out[crypto_shorthash_siphashx24_BYTES];
    struct hash_digest digest;

    crypto_shorthash_siphashx24(out, key, size, secret);
    digest.high = load_word(out);
    digest.low = load_word(out + sizeof digest.high);
    return digest;
}

const uint8_t *hash_tag(const void *key, size_t size, size_t *tag_size)
{
    const uint8_t *bytes = key;
    const uint8_t *open = size ? memchr(bytes, '{', size) : NULL;

    if (open) {
        const uint8_t *start = open + 1;
        size_t left = size - (size_t)(start - bytes);
        const uint8_t *close = left ? memchr(start, '}', left) : NULL;

        if (close && close > start) {
            *tag_size = (size_t)(close - start);
            return start;
        }
    }
    *tag_size = size;
    return bytes;
}

uint16_t hash_partition(const uint8_t secret[HASH_KEY_SIZE], uint32_t partitions, const void *key,
                        size_t size, struct hash_digest *digest)
{
    size_t tag_size;
    const uint8_t *tag = hash_tag(key, size, &tag_size);
    struct hash_digest of_key = hash_key(secret, key, size);
    struct hash_digest of_tag = tag_size == size ? of_key : hash_key(secret, tag, tag_size);

    assert(partitions > 0 && (partitions & (partitions - 1)) == 0);
    if (digest)
        *digest = of_key;
    /* The top log2(partitions) bits: equal arcs of the ring. */
    return (uint16_t)(((of_tag.high >> 32) * partitions) >> 32);
}
