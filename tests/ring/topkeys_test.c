#include "ring/topkeys.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "tests/dice.h"
#include "tests/storage/alloc.h"

#define KEYS 5000u

static const uint8_t secret[HASH_KEY_SIZE] = {7};

static void count(struct topkeys *topkeys, uint32_t key, uint64_t weight)
{
    topkeys_count(topkeys, hash_key(secret, &key, sizeof key), &key, sizeof key, weight);
}

static uint32_t key_of(const struct topkeys_counter *counter)
{
    uint32_t key;

    cr_assert_eq(counter->key_size, sizeof key);
    memcpy(&key, counter->key, sizeof key);
    return key;
}

/* Key i about as often as 1 / i: most of the load on few, and a long tail. */
static uint32_t skewed(struct dice *dice)
{
    uint64_t bound = 1 + dice_below(dice, KEYS);

    return (uint32_t)dice_below(dice, bound);
}

/* Against exact counts: the bounds of the paper (lemmas 3 and 4, theorem 2). */
static void expect_bounds(struct topkeys *topkeys, const uint64_t *exact, uint64_t n)
{
    const struct topkeys_counter *list[TOPKEYS_COUNTERS_MAX];
    uint32_t listed = topkeys_list(topkeys, list, TOPKEYS_COUNTERS_MAX);
    uint64_t error_max = n / topkeys->counters_max;
    bool *present = calloc(KEYS, sizeof *present);

    topkeys_check(topkeys);
    cr_assert_eq(listed, topkeys->count);
    for (uint32_t i = 0; i < listed; i++) {
        uint64_t true_count = exact[key_of(list[i])];

        cr_assert(i == 0 || list[i - 1]->count >= list[i]->count);
        cr_assert_geq(list[i]->count, true_count);
        cr_assert_leq(list[i]->count - list[i]->error, true_count);
        cr_assert_leq(list[i]->error, error_max);
        present[key_of(list[i])] = true;
    }
    for (uint32_t key = 0; key < KEYS; key++)
        cr_assert(present[key] || exact[key] <= error_max, "key %u was asked for %lu times", key,
                  (unsigned long)exact[key]);
    free(present);
}

Test(topkeys, counts_are_within_their_error_and_errors_within_n_by_k)
{
    static const uint32_t sizes[] = {1, 2, 7, 64, 500, 4096};

    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        for (unsigned weighted = 0; weighted < 2; weighted++) {
            uint64_t *exact = calloc(KEYS, sizeof *exact);
            struct dice dice = {i};
            struct topkeys topkeys;
            uint64_t n = 0;

            cr_assert_eq(topkeys_init(&topkeys, sizes[i]), 0);
            for (unsigned request = 0; request < 60000; request++) {
                uint32_t key = skewed(&dice);
                uint64_t weight = weighted ? dice_number(&dice, 12) : 1;

                count(&topkeys, key, weight);
                exact[key] += weight;
                n += weight;
                if (request % 20000 == 777)
                    expect_bounds(&topkeys, exact, n);
            }
            expect_bounds(&topkeys, exact, n);
            topkeys_deinit(&topkeys);
            free(exact);
        }
    }
}

Test(topkeys, few_keys_are_counted_exactly)
{
    const struct topkeys_counter *list[10];
    struct topkeys topkeys;

    cr_assert_eq(topkeys_init(&topkeys, 10), 0);
    cr_assert_eq(topkeys_list(&topkeys, list, 10), 0);
    for (uint32_t key = 0; key < 10; key++)
        for (uint32_t i = 0; i <= key; i++)
            count(&topkeys, key, 1);
    cr_assert_eq(topkeys_list(&topkeys, list, 3), 3);
    for (uint32_t i = 0; i < 3; i++) {
        cr_assert_eq(key_of(list[i]), 9 - i);
        cr_assert_eq(list[i]->count, 10 - i);
        cr_assert_eq(list[i]->error, 0);
    }
    cr_assert_eq(topkeys_list(&topkeys, list, 0), 0);
    topkeys_deinit(&topkeys);
}

Test(topkeys, long_keys_are_told_apart_and_shown_by_their_beginning)
{
    const struct topkeys_counter *list[2];
    struct topkeys topkeys;
    uint8_t key[200];

    memset(key, 'x', sizeof key);
    cr_assert_eq(topkeys_init(&topkeys, 4), 0);
    for (unsigned i = 0; i < 3; i++) {
        key[199] = (uint8_t)(i / 2);
        topkeys_count(&topkeys, hash_key(secret, key, sizeof key), key, sizeof key, 1);
    }
    cr_assert_eq(topkeys_list(&topkeys, list, 2), 2);
    cr_assert(list[0]->count == 2 && list[1]->count == 1);
    cr_assert_eq(list[0]->key_size, 200);
    cr_assert_eq(memcmp(list[0]->key, key, TOPKEYS_KEY_SIZE), 0);
    topkeys_deinit(&topkeys);
}

Test(topkeys, no_memory_is_an_answer)
{
    struct topkeys topkeys;

    for (uint64_t n = 1; n <= 3; n++) {
        alloc_fail_after(n);
        cr_assert_eq(topkeys_init(&topkeys, 100), -ENOMEM);
        cr_assert(alloc_failed());
    }
    alloc_fail_after(0);
}
