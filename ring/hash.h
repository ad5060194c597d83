/* Hash: from a key to its digest and its partition.
 *
 * digest = SipHash-2-4-128 (libsodium crypto_shorthash_siphashx24) of the key, keyed by the
 * cluster's secret: nobody outside can aim at a partition or a keydir slot. The partition is the
 * top bits of the digest - or, by Redis Cluster's rule, of the digest of the tag: the bytes
 * between the first '{' and the first '}' after it, when there is at least one byte between.
 */
#ifndef RING_HASH_H
#define RING_HASH_H

#include <stddef.h>
#include <stdint.h>

#define HASH_KEY_SIZE 16u

struct hash_digest {
    uint64_t high;
    uint64_t low;
};

struct hash_digest hash_key(const uint8_t secret[HASH_KEY_SIZE], const void *key, size_t size);
/* The part of the key that chooses the partition: its tag, or all of it. Borrows from key. */
const uint8_t *hash_tag(const void *key, size_t size, size_t *tag_size);
/* partitions: a power of two. *digest (may be NULL) gets the digest of the whole key. */
uint16_t hash_partition(const uint8_t secret[HASH_KEY_SIZE], uint32_t partitions, const void *key,
                        size_t size, struct hash_digest *digest);

#endif
