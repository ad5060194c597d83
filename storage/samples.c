#include "storage/samples.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

bool samples_ready(struct samples *samples, uint32_t count_max)
{
    if (!samples->bytes)
        samples->bytes = malloc(SAMPLES_SIZE_MAX);
    if (!samples->sizes)
        samples->sizes = calloc(count_max, sizeof *samples->sizes);
    return samples->bytes && samples->sizes;
}

bool samples_add(struct samples *samples, uint32_t count_max, const uint8_t *value, size_t size)
{
    if (size < SAMPLES_VALUE_MIN || size > SAMPLES_VALUE_MAX)
        return false;
    assert(samples->count < count_max);
    assert(samples->size + size <= SAMPLES_SIZE_MAX);
    memcpy(samples->bytes + samples->size, value, size);
    samples->size += size;
    samples->sizes[samples->count++] = size;
    return samples->count == count_max || samples->size + SAMPLES_VALUE_MAX > SAMPLES_SIZE_MAX;
}

void samples_clear(struct samples *samples)
{
    samples->size = 0;
    samples->count = 0;
}

void samples_deinit(struct samples *samples)
{
    free(samples->bytes);
    free(samples->sizes);
    *samples = (struct samples){0};
}
