#include <criterion/criterion.h>
#include <string.h>
#include <xxhash.h>

#include "storage/checksum.h"
#include "storage/codec.h"

Test(checksum, is_xxh3_of_the_published_empty_input)
{
    cr_assert_eq(checksum("", 0), 0x2D06800538D394C2ull);
}

/* Whether checksum() uses it or not. */
static void check_avx2(const uint8_t *bytes, size_t size)
{
#ifdef __x86_64__
    if (__builtin_cpu_supports("avx2"))
        cr_assert_eq(checksum_avx2(bytes, size, size), XXH3_64bits_withSeed(bytes, size, size));
#else
    (void)bytes;
    (void)size;
#endif
}

/* What one node writes another one reads, whatever their processors are. */
Test(checksum, is_the_same_in_registers_of_any_width)
{
    static uint8_t bytes[20000];

    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)(i * 131 + i / 256);
    for (size_t size = 0; size < sizeof(bytes); size += size < 1100 ? 1 : 331) {
        cr_assert_eq(checksum(bytes, size), XXH3_64bits(bytes, size));
        cr_assert_eq(checksum_seeded(bytes, size, size), XXH3_64bits_withSeed(bytes, size, size));
        check_avx2(bytes, size);
    }
}

Test(checksum, a_pair_is_its_concatenation_at_any_size)
{
    uint8_t bytes[4096];

    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)(i * 31);
    for (size_t size = 0; size < sizeof(bytes); size += 37)
        for (size_t cut = 0; cut <= size; cut += 111)
            cr_assert_eq(checksum_pair(bytes, cut, bytes + cut, size - cut, 9),
                         checksum_seeded(bytes, size, 9));
}

Test(checksum, the_seed_matters)
{
    cr_assert_neq(checksum_seeded("abc", 3, 1), checksum_seeded("abc", 3, 2));
    cr_assert_eq(checksum_seeded("abc", 3, 0), checksum("abc", 3));
}

/* Leaves words of `seed`, and zeros where a pointer would be looked for, where the next call's
 * variables will lie. */
static __attribute__((noinline)) uint64_t litter(uint64_t seed, size_t period)
{
    volatile uint64_t stack[512];
    uint64_t sum = 0;

    for (size_t i = 0; i < 512; i++)
        stack[i] = i % period == 0 ? 0 : seed;
    for (size_t i = 0; i < 512; i++)
        sum += stack[i];
    return sum;
}

/* Simulator, seed 72: a sound batch did not check, depending on what had been on the stack. */
Test(checksum, pair_does_not_depend_on_what_lay_on_the_stack)
{
    uint8_t bytes[2048] = {7};

    for (size_t period = 2; period < 64; period++) {
        uint64_t whole = checksum_seeded(bytes, 2048, period);
        uint64_t sum = litter(period, period);
        uint64_t pair = checksum_pair(bytes, 1000, bytes + 1000, 1048, period);

        cr_assert_neq(sum, 0);
        cr_assert_eq(pair, whole);
    }
}

Test(codec, integers_are_little_endian_at_any_address)
{
    uint8_t bytes[9] = {0};

    codec_put_u64(bytes + 1, 0x0807060504030201ull);
    for (uint8_t i = 1; i <= 8; i++)
        cr_assert_eq(bytes[i], i);
    cr_assert_eq(codec_get_u64(bytes + 1), 0x0807060504030201ull);
    cr_assert_eq(codec_get_u32(bytes + 1), 0x04030201u);
    cr_assert_eq(codec_get_u16(bytes + 3), 0x0403u);
    codec_put_u16(bytes, 0xABCD);
    cr_assert_eq(bytes[0], 0xCD);
    codec_put_u32(bytes + 3, 0xFFFFFFFFu);
    cr_assert_eq(codec_get_u8(bytes + 6), 0xFF);
}
