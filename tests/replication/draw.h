/* Draw: reproducible random numbers for property tests (splitmix64). */
#ifndef TESTS_REPLICATION_DRAW_H
#define TESTS_REPLICATION_DRAW_H

#include <stdint.h>

struct draw {
    uint64_t state;
};

static inline uint64_t draw_bits(struct draw *draw)
{
    uint64_t x = draw->state += UINT64_C(0x9E3779B97F4A7C15);

    x = (x ^ x >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    x = (x ^ x >> 27) * UINT64_C(0x94D049BB133111EB);
    return x ^ x >> 31;
}

/* 0 … count - 1 */
static inline uint32_t draw_below(struct draw *draw, uint32_t count)
{
    return (uint32_t)(draw_bits(draw) % count);
}

#endif
