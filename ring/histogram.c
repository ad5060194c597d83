#include "ring/histogram.h"

#include <assert.h>
#include <stddef.h>
#include <string.h>

#define SUB_BITS  7u
#define SUB_COUNT (1u << SUB_BITS)

static_assert(HISTOGRAM_BUCKET_COUNT == SUB_COUNT * (40 - SUB_BITS + 1), "buckets cover 40 bits");

/* The bucket of a value: its eight leading bits choose it, whatever follows them. */
static size_t bucket_of(uint64_t value)
{
    unsigned shift;

    if (value < SUB_COUNT)
        return (size_t)value;
    shift = 63u - (unsigned)__builtin_clzll(value) - SUB_BITS;
    return (size_t)(shift + 1) * SUB_COUNT + (size_t)((value >> shift) - SUB_COUNT);
}

/* The largest value of a bucket. */
static uint64_t bucket_end(size_t bucket)
{
    unsigned shift;

    if (bucket < SUB_COUNT)
        return bucket;
    shift = (unsigned)(bucket / SUB_COUNT) - 1u;
    return ((SUB_COUNT + (uint64_t)(bucket % SUB_COUNT) + 1) << shift) - 1;
}

void histogram_init(struct histogram *histogram)
{
    memset(histogram, 0, sizeof *histogram);
    histogram->min = UINT64_MAX;
}

void histogram_record(struct histogram *histogram, uint64_t value)
{
    if (value > HISTOGRAM_VALUE_MAX)
        value = HISTOGRAM_VALUE_MAX;
    histogram->buckets[bucket_of(value)]++;
    histogram->count++;
    histogram->sum += value;
    if (value < histogram->min)
        histogram->min = value;
    if (value > histogram->max)
        histogram->max = value;
}

void histogram_merge(struct histogram *histogram, const struct histogram *other)
{
    for (size_t i = 0; i < HISTOGRAM_BUCKET_COUNT; i++)
        histogram->buckets[i] += other->buckets[i];
    histogram->count += other->count;
    histogram->sum += other->sum;
    if (other->min < histogram->min)
        histogram->min = other->min;
    if (other->max > histogram->max)
        histogram->max = other->max;
}

uint64_t histogram_percentile(const struct histogram *histogram, uint32_t per_million)
{
    uint64_t rank, rest, seen = 0;

    assert(per_million >= 1);
    assert(per_million <= HISTOGRAM_MILLION);
    if (histogram->count == 0)
        return 0;
    /* ceil(count * per_million / million), in two parts so that no count overflows. */
    rest = histogram->count % HISTOGRAM_MILLION;
    rank = histogram->count / HISTOGRAM_MILLION * per_million +
           (rest * per_million + HISTOGRAM_MILLION - 1) / HISTOGRAM_MILLION;
    for (size_t i = 0; i < HISTOGRAM_BUCKET_COUNT; i++) {
        seen += histogram->buckets[i];
        if (seen >= rank)
            return bucket_end(i) < histogram->max ? bucket_end(i) : histogram->max;
    }
    assert(!"the buckets add up to count");
    return histogram->max;
}

uint64_t histogram_mean(const struct histogram *histogram)
{
    return histogram->count ? histogram->sum / histogram->count : 0;
}

uint64_t histogram_count_to(const struct histogram *histogram, uint64_t value)
{
    uint64_t seen = 0;

    if (value > HISTOGRAM_VALUE_MAX)
        value = HISTOGRAM_VALUE_MAX;
    for (size_t i = 0; i <= bucket_of(value); i++)
        seen += histogram->buckets[i];
    return seen;
}

void histogram_check(const struct histogram *histogram)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < HISTOGRAM_BUCKET_COUNT; i++)
        sum += histogram->buckets[i];
    assert(sum == histogram->count);
    if (sum == 0) {
        assert(histogram->min == UINT64_MAX);
        assert(histogram->max == 0);
        return;
    }
    assert(histogram->min <= histogram->max);
    assert(histogram->max <= HISTOGRAM_VALUE_MAX);
    assert(histogram->buckets[bucket_of(histogram->min)] > 0);
    assert(histogram->buckets[bucket_of(histogram->max)] > 0);
}
