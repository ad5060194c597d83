/* Random numbers of the simulator: xoshiro256** (Blackman and Vigna), seeded through splitmix64.
 * One stream a concern, so that a fault left out by --shrink does not change what the others draw.
 */
#ifndef TESTS_SIM_SIM_RANDOM_H
#define TESTS_SIM_SIM_RANDOM_H

#include "ring/mix.h"

#include <stdbool.h>
#include <stdint.h>

struct sim_random {
    uint64_t state[4];
};

static inline void sim_random_init(struct sim_random *random, uint64_t seed, uint64_t stream)
{
    uint64_t x = mix_of(seed) ^ mix_of(~stream);
    for (int i = 0; i < 4; i++) {
        x = mix_of(x + (uint64_t)i);
        random->state[i] = x;
    }
}

static inline uint64_t sim_random_next(struct sim_random *random)
{
    uint64_t *s = random->state;
    uint64_t m = s[1] * 5, result = ((m << 7) | (m >> 57)) * 9, t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = (s[3] << 45) | (s[3] >> 19);
    return result;
}

/* 0 … bound - 1; bound > 0. */
static inline uint64_t sim_random_below(struct sim_random *random, uint64_t bound)
{
    return sim_random_next(random) % bound;
}

/* low … high, both included. */
static inline uint64_t sim_random_between(struct sim_random *random, uint64_t low, uint64_t high)
{
    return low + sim_random_below(random, high - low + 1);
}

/* True in `ppm` of a million draws. */
static inline bool sim_random_chance(struct sim_random *random, uint32_t ppm)
{
    return ppm && sim_random_below(random, 1000000) < ppm;
}

/* Mostly around `typical`, rarely up to `most`: a delay with a tail. */
static inline uint64_t sim_random_tail(struct sim_random *random, uint64_t typical, uint64_t most)
{
    uint64_t base = typical / 2 + sim_random_below(random, typical + 1);
    if (most > base && sim_random_below(random, 64) == 0)
        base += sim_random_below(random, most - base);
    return base;
}

#endif
