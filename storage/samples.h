/* Samples: values, one behind the other, until there are enough to make a dictionary of.
 *
 * Only values of SAMPLES_VALUE_MIN … SAMPLES_VALUE_MAX bytes are taken: smaller ones do not pay,
 * and of larger ones a dictionary of 2 KiB knows next to nothing. Memory: SAMPLES_SIZE_MAX, from
 * the first value on until samples_deinit(). Owner: one thread. */
#ifndef STORAGE_SAMPLES_H
#define STORAGE_SAMPLES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SAMPLES_VALUE_MIN 32u
#define SAMPLES_VALUE_MAX 1024u
#define SAMPLES_SIZE_MAX  (128u << 10)

/* All zero at first. */
struct samples {
    uint8_t *bytes;
    size_t *sizes;
    size_t size;
    uint32_t count;
};

/* False: no memory. */
bool samples_ready(struct samples *samples, uint32_t count_max);
/* Copies a value if it is of use. True: they are enough now. samples_ready() was true, with the
 * same count_max; ends when they are enough. */
bool samples_add(struct samples *samples, uint32_t count_max, const uint8_t *value, size_t size);
void samples_clear(struct samples *samples);
void samples_deinit(struct samples *samples);

#endif
