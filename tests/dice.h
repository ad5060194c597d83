/* Dice: repeatable random numbers for tests (ring/mix.h). A failing case is found again by its
 * seed, which tests put into their messages. */
#ifndef TESTS_DICE_H
#define TESTS_DICE_H

#include "ring/mix.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct dice {
    uint64_t state;
};

static inline uint64_t dice_next(struct dice *dice)
{
    return mix_next(&dice->state);
}

/* 0 … bound - 1; bound > 0. */
static inline uint64_t dice_below(struct dice *dice, uint64_t bound)
{
    return dice_next(dice) % bound;
}

/* The same, for what is counted in 32 bits. */
static inline uint32_t dice_pick(struct dice *dice, uint32_t count)
{
    return (uint32_t)dice_below(dice, count);
}

/* All magnitudes alike: numbers of 0 to `bits` bits, so that every encoding's width is met. */
static inline uint64_t dice_number(struct dice *dice, unsigned bits)
{
    unsigned width = (unsigned)dice_below(dice, bits + 1);

    return width == 0 ? 0 : dice_next(dice) >> (64 - width);
}

static inline void dice_fill(struct dice *dice, void *out, size_t size)
{
    uint8_t *bytes = out;

    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)dice_next(dice);
}

/* Values that do not compress, the same for the same seed: bytes, many at a time; */
static inline void dice_bytes(uint64_t seed, void *out, size_t size)
{
    uint8_t *bytes = out;

    for (size_t at = 0; at < size; at += sizeof seed) {
        uint64_t word = mix_next(&seed);

        memcpy(bytes + at, &word, size - at < sizeof word ? size - at : sizeof word);
    }
}

/* or '!' to 'z', and no 0 behind them. */
static inline void dice_text(uint64_t seed, char *out, size_t size)
{
    for (size_t i = 0; i < size; i++)
        out[i] = (char)('!' + mix_next(&seed) % 90);
}

#endif
