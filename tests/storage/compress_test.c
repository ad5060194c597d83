#include "storage/compress.h"
#include "storage/record.h"
#include "tests/dice.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SAMPLES     1000u
#define SAMPLE_SIZE 256u

static struct dice dice;

/* A record of a user as an application would keep it, about 200 bytes. */
static size_t json(uint8_t *out)
{
    static const char *const cities[] = {"Berlin", "Paris", "London", "Madrid", "Vienna"};
    static const char *const states[] = {"active", "suspended", "pending", "closed"};

    return (size_t)snprintf(
        (char *)out, SAMPLE_SIZE,
        "{\"id\":%u,\"email\":\"user%u@example.com\",\"city\":\"%s\",\"status\":\"%s\","
        "\"balance\":%u.%02u,\"created\":\"20%02u-%02u-%02uT%02u:%02u:00Z\","
        "\"tags\":[\"%s\",\"%s\"],\"score\":%u}",
        (unsigned)dice_below(&dice, 100000000), (unsigned)dice_below(&dice, 1000000),
        cities[dice_below(&dice, 5)], states[dice_below(&dice, 4)],
        (unsigned)dice_below(&dice, 100000), (unsigned)dice_below(&dice, 100),
        (unsigned)(10 + dice_below(&dice, 16)), (unsigned)(1 + dice_below(&dice, 12)),
        (unsigned)(1 + dice_below(&dice, 28)), (unsigned)dice_below(&dice, 24),
        (unsigned)dice_below(&dice, 60), states[dice_below(&dice, 4)], cities[dice_below(&dice, 5)],
        (unsigned)dice_below(&dice, 1000));
}

static void fill_random(uint8_t *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)dice_below(&dice, 256);
}

static struct compress_dictionary *train(int level)
{
    uint8_t *samples = malloc(SAMPLES * SAMPLE_SIZE), bytes[COMPRESS_DICTIONARY_SIZE_MAX];
    struct compress_dictionary *dictionary;
    size_t sizes[SAMPLES], used = 0, size = 0;

    for (unsigned i = 0; i < SAMPLES; i++)
        used += sizes[i] = json(samples + used);
    cr_assert_eq(compress_train(samples, sizes, SAMPLES, bytes, &size), 0);
    cr_assert_leq(size, COMPRESS_DICTIONARY_SIZE_MAX);
    free(samples);
    cr_assert_eq(compress_dictionary_new(bytes, size, level, &dictionary), 0);
    return dictionary;
}

/* What comes back is what went in; returns how large it was in between. */
static size_t round_trip(struct compress *context, const struct compress_dictionary *dictionary,
                         const uint8_t *bytes, size_t size)
{
    uint8_t *packed = malloc(size), *plain = malloc(size);
    size_t packed_size = size, plain_size;
    int r = compress_value(context, dictionary, 1, bytes, size, packed, &packed_size);

    if (r == 0) {
        cr_assert_leq(packed_size, size - RECORD_ALIGN);
        cr_assert_eq(compress_plain_size(packed, packed_size, size, &plain_size), 0);
        cr_assert_eq(plain_size, size);
        cr_assert_eq(compress_expand(context, dictionary, packed, packed_size, plain, plain_size),
                     0);
        cr_assert_arr_eq(plain, bytes, size);
    } else {
        cr_assert_eq(r, COMPRESS_E_PLAIN);
    }
    free(packed);
    free(plain);
    return packed_size;
}

Test(compress, every_size_comes_back)
{
    struct compress *context = compress_new();
    uint8_t *bytes = malloc(70000);

    for (size_t i = 0; i < 70000; i++)
        bytes[i] = (uint8_t) "abcdefgh"[dice_below(&dice, 8)];
    for (size_t size = 1; size < 70000; size += 1 + size / 8)
        round_trip(context, NULL, bytes, size);
    cr_assert_lt(round_trip(context, NULL, bytes, 70000), 35000);
    free(bytes);
    cr_assert_null(compress_free(context));
    cr_assert_null(compress_free(NULL));
}

Test(compress, what_does_not_shrink_stays_plain)
{
    struct compress *context = compress_new();
    uint8_t bytes[4096], out[4096];
    size_t size;

    fill_random(bytes, sizeof bytes);
    cr_assert_eq(compress_value(context, NULL, 1, bytes, sizeof bytes, out, &size),
                 COMPRESS_E_PLAIN);
    memset(bytes, 'x', sizeof bytes);
    cr_assert_eq(compress_value(context, NULL, 1, bytes, RECORD_ALIGN, out, &size),
                 COMPRESS_E_PLAIN, "less than a unit of the file cannot be saved");
    cr_assert_eq(compress_value(context, NULL, 1, bytes, sizeof bytes, out, &size), 0);
    compress_free(context);
}

Test(compress, a_claim_beyond_the_limit_is_refused_before_it_is_believed)
{
    struct compress *context = compress_new();
    size_t size = RECORD_VALUE_SIZE_MAX + 1, packed_size, plain_size;
    uint8_t *bytes = calloc(1, size), *packed = malloc(size);

    cr_assert_eq(compress_value(context, NULL, 1, bytes, size, packed, &packed_size), 0);
    cr_assert_lt(packed_size, 4096, "a bomb is small");
    cr_assert_eq(compress_plain_size(packed, packed_size, RECORD_VALUE_SIZE_MAX, &plain_size),
                 COMPRESS_E_CORRUPT);
    cr_assert_eq(compress_plain_size(packed, packed_size, size, &plain_size), 0);
    /* More than it claims is never written, less is not enough. */
    cr_assert_eq(compress_expand(context, NULL, packed, packed_size, bytes, size - 1),
                 COMPRESS_E_CORRUPT);
    cr_assert_eq(compress_expand(context, NULL, packed, packed_size - 1, bytes, size),
                 COMPRESS_E_CORRUPT);
    cr_assert_eq(compress_plain_size((const uint8_t *)"no frame", 8, size, &plain_size),
                 COMPRESS_E_CORRUPT);
    cr_assert_eq(compress_plain_size(packed, 0, size, &plain_size), COMPRESS_E_CORRUPT);
    free(bytes);
    free(packed);
    compress_free(context);
}

/* Nothing that is read is written beyond what was asked for; the sanitizers watch. */
Test(compress, damaged_frames_do_no_harm)
{
    struct compress *context = compress_new();
    struct compress_dictionary *dictionary = train(1);
    uint8_t bytes[SAMPLE_SIZE], packed[SAMPLE_SIZE], out[SAMPLE_SIZE];
    size_t size = json(bytes), packed_size, plain_size;

    cr_assert_eq(compress_value(context, dictionary, 1, bytes, size, packed, &packed_size), 0);
    for (unsigned i = 0; i < 20000; i++) {
        uint8_t damaged[SAMPLE_SIZE];

        memcpy(damaged, packed, packed_size);
        damaged[dice_below(&dice, packed_size)] ^= (uint8_t)(1 + dice_below(&dice, 255));
        if (compress_plain_size(damaged, packed_size, sizeof out, &plain_size) == 0) {
            uint8_t *plain = malloc(plain_size);

            (void)compress_expand(context, dictionary, damaged, packed_size, plain, plain_size);
            free(plain);
        }
    }
    compress_dictionary_free(dictionary);
    compress_free(context);
}

Test(compress, a_dictionary_makes_small_values_smaller)
{
    struct compress *context = compress_new();
    struct compress_dictionary *dictionary = train(1);
    size_t plain = 0, packed = 0;

    for (unsigned i = 0; i < 2000; i++) {
        uint8_t bytes[SAMPLE_SIZE];
        size_t size = json(bytes);

        plain += size;
        packed += round_trip(context, dictionary, bytes, size);
    }
    cr_assert_gt(plain * 10, packed * 25, "%zu bytes became %zu", plain, packed);
    cr_assert_null(compress_dictionary_free(dictionary));
    cr_assert_null(compress_dictionary_free(NULL));
    compress_free(context);
}

Test(compress, another_dictionary_does_not_pass_for_it)
{
    struct compress *context = compress_new();
    struct compress_dictionary *dictionary = train(1), *other;
    uint8_t bytes[SAMPLE_SIZE], packed[SAMPLE_SIZE], out[SAMPLE_SIZE];
    size_t size = json(bytes), packed_size, dictionary_size;
    const uint8_t *text = compress_dictionary_bytes(dictionary, &dictionary_size);
    uint8_t changed[COMPRESS_DICTIONARY_SIZE_MAX];

    memcpy(changed, text, dictionary_size);
    for (size_t i = dictionary_size / 2; i < dictionary_size; i++)
        changed[i] = 'x';
    cr_assert_eq(compress_dictionary_new(changed, dictionary_size, 0, &other), 0);
    cr_assert_eq(compress_value(context, dictionary, 1, bytes, size, packed, &packed_size), 0);
    cr_assert(compress_expand(context, other, packed, packed_size, out, size) != 0 ||
              memcmp(out, bytes, size) != 0);
    cr_assert(compress_expand(context, NULL, packed, packed_size, out, size) != 0 ||
              memcmp(out, bytes, size) != 0);
    compress_dictionary_free(dictionary);
    compress_dictionary_free(other);
    compress_free(context);
}

Test(compress, bytes_that_are_no_dictionary_are_corrupt)
{
    struct compress_dictionary *dictionary = train(1), *other;
    size_t size;
    const uint8_t *bytes = compress_dictionary_bytes(dictionary, &size);
    uint8_t damaged[COMPRESS_DICTIONARY_SIZE_MAX];

    for (size_t length = 0; length < 60; length++)
        cr_assert_eq(compress_dictionary_new(bytes, length, 1, &other), COMPRESS_E_CORRUPT);
    for (size_t at = 8; at < 60; at++) { /* its tables; behind them anything goes */
        memcpy(damaged, bytes, size);
        memset(damaged + at, 0xFF, 16);
        for (int level = 0; level <= 1; level++) {
            int r = compress_dictionary_new(damaged, size, level, &other);

            cr_assert(r == 0 || r == COMPRESS_E_CORRUPT, "at %zu: %d", at, r);
            compress_dictionary_free(other);
        }
    }
    memset(damaged, 0xFF, size);
    cr_assert_eq(compress_dictionary_new(damaged, size, 0, &other), COMPRESS_E_CORRUPT);
    cr_assert_null(other);
    compress_dictionary_free(dictionary);
}

Test(compress, no_dictionary_comes_of_too_few_samples)
{
    uint8_t bytes[SAMPLE_SIZE], out[COMPRESS_DICTIONARY_SIZE_MAX];
    size_t sizes[1] = {json(bytes)}, size;

    cr_assert_eq(compress_train(bytes, sizes, 1, out, &size), COMPRESS_E_NONE);
}
