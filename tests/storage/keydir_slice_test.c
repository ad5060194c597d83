#include "storage/keydir.h"
#include "ring/mix.h"

#include <criterion/criterion.h>

#define MILLION 1000000u

static struct keydir_digest digest_of(uint64_t id)
{
    return (struct keydir_digest){.high = mix_of(2 * id), .low = mix_of(2 * id + 1)};
}

static void put(struct keydir *keydir, uint64_t id, uint64_t location)
{
    struct keydir_digest digest = digest_of(id);

    cr_assert_eq(keydir_put(keydir, &digest, location, 100, false, false, NULL), KEYDIR_E_ABSENT);
}

/* Slices: what they give together is what a walk gives. */

#define SLICED 5000u

/* Of each id so many slices gave it; *rounds: how many slices there were. */
static void slice_all(const struct keydir *keydir, uint8_t filter, uint32_t items_max,
                      uint32_t walk_max, unsigned seen[SLICED], unsigned *rounds)
{
    struct keydir_item items[64];
    struct keydir_slice slice = {
        .filter = filter, .items_max = items_max, .walk_max = walk_max, .items = items};

    for (unsigned i = 0; i < SLICED; i++)
        seen[i] = 0;
    *rounds = 0;
    do {
        keydir_slice(keydir, &slice);
        cr_assert_leq(slice.count, items_max);
        cr_assert(slice.next == 0 || slice.next > slice.from);
        for (uint32_t i = 0; i < slice.count; i++) {
            uint64_t position = keydir_position(&items[i].digest);

            cr_assert_lt(items[i].entry.location, SLICED);
            seen[items[i].entry.location]++;
            cr_assert_geq(position, slice.from);
            cr_assert(slice.next == 0 || position < slice.next);
            cr_assert(i == 0 || position >= keydir_position(&items[i - 1].digest), "ascending");
        }
        slice.from = slice.next;
        (*rounds)++;
    } while (slice.next != 0);
}

Test(keydir_slice, slices_give_every_key_once_in_order)
{
    static const uint32_t sizes[][2] = {{1, 1}, {7, 100000}, {64, 1}, {64, 1000}};
    static unsigned seen[SLICED];
    struct keydir *keydir = keydir_new();
    unsigned rounds, live = 0, expiring = 0;

    for (uint64_t i = 0; i < SLICED; i++) {
        struct keydir_digest digest = digest_of(i);

        cr_assert_eq(keydir_put(keydir, &digest, i, 100, i % 5 == 0, i % 3 == 0, NULL),
                     KEYDIR_E_ABSENT);
        live += i % 5 != 0;
        expiring += i % 5 != 0 && i % 3 == 0;
    }
    keydir_check(keydir);
    cr_assert_eq(keydir_expiring(keydir), expiring);
    for (size_t k = 0; k < sizeof sizes / sizeof sizes[0]; k++) {
        slice_all(keydir, KEYDIR_ALL, sizes[k][0], sizes[k][1], seen, &rounds);
        cr_assert_geq(rounds, SLICED / sizes[k][0]);
        for (unsigned i = 0; i < SLICED; i++)
            cr_assert_eq(seen[i], 1, "%u", i);
        slice_all(keydir, KEYDIR_LIVE, sizes[k][0], sizes[k][1], seen, &rounds);
        for (unsigned i = 0; i < SLICED; i++)
            cr_assert_eq(seen[i], i % 5 != 0, "%u", i);
        slice_all(keydir, KEYDIR_EXPIRING, sizes[k][0], sizes[k][1], seen, &rounds);
        for (unsigned i = 0; i < SLICED; i++)
            cr_assert_eq(seen[i], i % 5 != 0 && i % 3 == 0, "%u", i);
    }
    keydir_free(keydir);
}

/* Keys come and go and segments split between two slices: what stays is given all the same. */
Test(keydir_slice, slices_give_what_stays_while_the_rest_changes)
{
    static unsigned seen[SLICED];
    struct keydir_item items[16];
    struct keydir_slice slice = {
        .filter = KEYDIR_LIVE, .items_max = 16, .walk_max = 100, .items = items};
    struct keydir *keydir = keydir_new();
    uint64_t other = MILLION;

    for (uint64_t i = 0; i < SLICED; i++)
        put(keydir, i, i);
    do {
        keydir_slice(keydir, &slice);
        for (uint32_t i = 0; i < slice.count; i++)
            if (items[i].entry.location < SLICED)
                seen[items[i].entry.location]++;
        slice.from = slice.next;
        for (unsigned i = 0; i < 20; i++)
            put(keydir, other++, SLICED);
        for (unsigned i = 0; i < 10; i++) {
            struct keydir_digest digest =
                digest_of(MILLION + mix_of(other + i) % (other - MILLION));

            (void)keydir_remove(keydir, &digest);
        }
    } while (slice.next != 0);
    for (unsigned i = 0; i < SLICED; i++)
        cr_assert_eq(seen[i], 1, "%u", i);
    keydir_check(keydir);
    keydir_free(keydir);
}

Test(keydir_slice, slice_of_an_empty_one_ends_at_once)
{
    struct keydir_item item;
    struct keydir_slice slice = {.items_max = 1, .walk_max = 1, .items = &item, .from = 12345};
    struct keydir *keydir = keydir_new();

    keydir_slice(keydir, &slice);
    cr_assert_eq(slice.count, 0);
    cr_assert_eq(slice.next, 0);
    keydir_free(keydir);
}

Test(keydir_slice, expiring_keys_are_counted)
{
    struct keydir *keydir = keydir_new();
    struct keydir_digest digest = digest_of(1);

    keydir_put(keydir, &digest, 1, 100, false, true, NULL);
    cr_assert_eq(keydir_expiring(keydir), 1);
    keydir_put(keydir, &digest, 2, 100, true, true, NULL);
    cr_assert_eq(keydir_expiring(keydir), 0, "a tombstone has expired");
    keydir_put(keydir, &digest, 3, 100, false, true, NULL);
    keydir_put(keydir, &digest, 4, 100, false, false, NULL);
    cr_assert_eq(keydir_expiring(keydir), 0);
    keydir_put(keydir, &digest, 5, 100, false, true, NULL);
    keydir_check(keydir);
    cr_assert_eq(keydir_remove(keydir, &digest), KEYDIR_E_OK);
    cr_assert_eq(keydir_expiring(keydir), 0);
    keydir_check(keydir);
    keydir_free(keydir);
}
