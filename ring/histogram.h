/* Histogram: counts of values in buckets that grow with the value, as HdrHistogram has them.
 *
 * Values below 128 have a bucket each; above, each power of two is cut into 128 equal buckets, so
 * that what a percentile answers is at most 1/128 (0.8 %) above the value that was recorded.
 * Histograms add up: percentiles of many threads, processes or runs come from the merged counts,
 * never from an average of percentiles. The unit is the caller's; latencies are in nanoseconds.
 *
 * Invariants (histogram_check): the buckets add up to count; min ≤ max, and both lie in buckets
 * that are not empty.
 * Limits: values above HISTOGRAM_VALUE_MAX count as HISTOGRAM_VALUE_MAX. 35 KiB, no allocation.
 * Owner: one thread.
 */
#ifndef RING_HISTOGRAM_H
#define RING_HISTOGRAM_H

#include <stdint.h>

#define HISTOGRAM_VALUE_MAX    ((UINT64_C(1) << 40) - 1) /* 18 minutes of nanoseconds */
#define HISTOGRAM_BUCKET_COUNT 4352u /* 128 below 128, then 128 a power of two */
#define HISTOGRAM_MILLION      1000000u

struct histogram {
    uint64_t count;
    uint64_t sum; /* of the values as counted */
    uint64_t min; /* UINT64_MAX when empty */
    uint64_t max; /* 0 when empty */
    uint64_t buckets[HISTOGRAM_BUCKET_COUNT];
};

void histogram_init(struct histogram *histogram);
void histogram_record(struct histogram *histogram, uint64_t value);
/* Adds all of `other`, which stays as it is. */
void histogram_merge(struct histogram *histogram, const struct histogram *other);
/* The smallest bucket end that at least per_million of a million values do not exceed: 500,000 is
 * the median, 999,000 is p99.9. Never below the true value, never above max. 0 when empty.
 * per_million: 1 … 1,000,000. */
uint64_t histogram_percentile(const struct histogram *histogram, uint32_t per_million);
uint64_t histogram_mean(const struct histogram *histogram); /* 0 when empty */
/* How many values were ≤ value, as exactly as the buckets tell (a bucket counts whole). */
uint64_t histogram_count_to(const struct histogram *histogram, uint64_t value);
void histogram_check(const struct histogram *histogram);

#endif
