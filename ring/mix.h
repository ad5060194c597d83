/* Mix: SplitMix64 (Steele, Lea and Flood, 2014), for draws that can be repeated and for words whose
 * every bit is to depend on every other. Not cryptographic. */
#ifndef RING_MIX_H
#define RING_MIX_H

#include <stdint.h>

/* One to one. */
static inline uint64_t mix_word(uint64_t word)
{
    word = (word ^ (word >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    word = (word ^ (word >> 27)) * UINT64_C(0x94d049bb133111eb);
    return word ^ (word >> 31);
}

/* The next of the sequence that a state begins; all 2^64 come before one comes again. */
static inline uint64_t mix_next(uint64_t *state)
{
    return mix_word(*state += UINT64_C(0x9e3779b97f4a7c15));
}

/* The first of the sequence that begins there: one to one, and not 0 for 0. */
static inline uint64_t mix_of(uint64_t number)
{
    return mix_next(&number);
}

#endif
