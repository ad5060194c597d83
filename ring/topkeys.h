/* Top keys: the keys that are asked for most, found in bounded memory by the Space-Saving sketch
 * (Metwally, Agrawal, El Abbadi 2005).
 *
 * It counts `counters_max` keys. A key that is not among them takes the place of the one counted
 * least and goes on from that count, which is kept as the new key's error. So, after n requests
 * with k counters: a key's count is at least the true one and more by its error at most, no error
 * is greater than n / k, and every key asked for more than n / k times is in the table.
 *
 * Counters are in a binary heap by count, the least on top; an index by digest finds them. A
 * request costs a look-up and log k steps at most, and no memory. Keys are told apart by their
 * digests, which are keyed, so nobody can aim keys at one place of the index; what is shown of a
 * long key is its beginning. On demand: allocated by init, gone with deinit. Owner: one thread.
 */
#ifndef RING_TOPKEYS_H
#define RING_TOPKEYS_H

#include "ring/hash.h"

#include <stddef.h>
#include <stdint.h>

#define TOPKEYS_KEY_SIZE     48u /* bytes of a key that are kept */
#define TOPKEYS_COUNTERS_MAX 4096u

struct topkeys_counter {
    struct hash_digest digest;
    uint64_t count;
    uint64_t error;    /* the true count is between count - error and count */
    uint32_t key_size; /* of the whole key */
    uint32_t heap_at;  /* its place there */
    uint8_t key[TOPKEYS_KEY_SIZE];
};

struct topkeys {
    uint32_t counters_max;
    uint32_t count;                   /* of counters in use */
    uint64_t seen;                    /* n */
    struct topkeys_counter *counters; /* in order of their first use */
    uint32_t *heap;                   /* numbers of counters */
    uint32_t *index;                  /* open addressing: number of a counter + 1; 0: free */
    uint32_t index_mask;
};

/* counters_max: 1 … TOPKEYS_COUNTERS_MAX. 0 or -ENOMEM. */
int topkeys_init(struct topkeys *topkeys, uint32_t counters_max);
void topkeys_deinit(struct topkeys *topkeys);
/* Counts `weight` for the key: 1 an operation, or its bytes. The key is copied. */
void topkeys_count(struct topkeys *topkeys, struct hash_digest digest, const void *key,
                   size_t key_size, uint64_t weight);
/* The counters with the highest counts, those first, `most` of them at most; good until the next
 * call of another function. Returns how many. */
uint32_t topkeys_list(const struct topkeys *topkeys, const struct topkeys_counter **out,
                      uint32_t most);
void topkeys_check(const struct topkeys *topkeys);

#endif
