/* Checksum: XXH3-64. Unseeded for records, whose bytes stay valid wherever they are copied; seeded
 * with the segment's epoch for batches, so that what a recycled file held before never checks. */
#ifndef STORAGE_CHECKSUM_H
#define STORAGE_CHECKSUM_H

#include <stddef.h>
#include <stdint.h>

uint64_t checksum(const void *bytes, size_t size);
uint64_t checksum_seeded(const void *bytes, size_t size, uint64_t seed);
/* Over two pieces as if they were one; what lies between them is left out. */
uint64_t checksum_pair(const void *first, size_t first_size, const void *second, size_t second_size,
                       uint64_t seed);
/* checksum_seeded() with AVX2, which the processor must have. For checksum.c. */
uint64_t checksum_avx2(const void *bytes, size_t size, uint64_t seed);

#endif
