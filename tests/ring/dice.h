/* Dice: repeatable random numbers for property tests (SplitMix64). A failing case is found again
 * by its seed, which tests put into their messages. */
#ifndef TESTS_RING_DICE_H
#define TESTS_RING_DICE_H

#include <stddef.h>
#include <stdint.h>

struct dice {
    uint64_t state;
};

static inline uint64_t dice_next(struct dice *dice)
{
    uint64_t z = dice->state += 0x9e3779b97f4a7c15u;

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* 0 … bound - 1; bound > 0. */
static inline uint64_t dice_below(struct dice *dice, uint64_t bound)
{
    return dice_next(dice) % bound;
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

#endif
