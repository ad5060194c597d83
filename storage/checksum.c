#include "storage/checksum.h"

#include <string.h>
#define XXH_STATIC_LINKING_ONLY /* the streaming state on the stack */
#include <xxhash.h>

/* Headers and keys are short: joined on the stack they cost one pass and no state of 576 bytes. */
#define CHECKSUM_JOIN_SIZE_MAX 512u

/* Shorter ones go through no register that is wider. */
#define CHECKSUM_WIDE_MIN 241u

uint64_t checksum(const void *bytes, size_t size)
{
    return checksum_seeded(bytes, size, 0);
}

uint64_t checksum_seeded(const void *bytes, size_t size, uint64_t seed)
{
#ifdef CHECKSUM_AVX2
    if (size >= CHECKSUM_WIDE_MIN && __builtin_cpu_supports("avx2"))
        return checksum_avx2(bytes, size, seed);
#endif
    return XXH3_64bits_withSeed(bytes, size, seed);
}

uint64_t checksum_pair(const void *first, size_t first_size, const void *second, size_t second_size,
                       uint64_t seed)
{
    if (first_size + second_size <= CHECKSUM_JOIN_SIZE_MAX) {
        uint8_t joined[CHECKSUM_JOIN_SIZE_MAX];

        if (first_size > 0)
            memcpy(joined, first, first_size);
        if (second_size > 0)
            memcpy(joined + first_size, second, second_size);
        return XXH3_64bits_withSeed(joined, first_size + second_size, seed);
    }
    XXH3_state_t state;

    /* Without this, reset reads what lay on the stack, and takes a secret that is not there for
     * made when its seed happens to be the one wanted. */
    XXH3_INITSTATE(&state);
    XXH3_64bits_reset_withSeed(&state, seed);
    XXH3_64bits_update(&state, first, first_size);
    XXH3_64bits_update(&state, second, second_size);
    return XXH3_64bits_digest(&state);
}
