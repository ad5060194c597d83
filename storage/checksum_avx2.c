/* XXH3 once more, compiled for processors that have registers of 256 bits: see checksum.c. The
 * library has functions that look at the processor, too, but Debian's (0.8.1) leave the upper
 * halves of those registers in use, and all older code behind them runs at a quarter of its pace.
 */
#include "storage/checksum.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

uint64_t checksum_avx2(const void *bytes, size_t size, uint64_t seed)
{
    return XXH3_64bits_withSeed(bytes, size, seed);
}
