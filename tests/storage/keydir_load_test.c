#include "storage/keydir.h"
#include "ring/mix.h"

#include "alloc.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>

static int digest_order(const void *a, const void *b)
{
    const struct keydir_digest *x = a, *y = b;

    if (x->high != y->high)
        return x->high < y->high ? -1 : 1;
    return (x->low > y->low) - (x->low < y->low);
}

/* `keys` digests, ascending, whose first bits are those of `prefix`. */
static struct keydir_digest *digests_new(size_t keys, uint64_t prefix, unsigned bits)
{
    struct keydir_digest *digests = calloc(keys, sizeof(*digests));

    for (size_t i = 0; i < keys; i++) {
        digests[i] = (struct keydir_digest){mix_of(2 * i) & 0xffff, mix_of(2 * i + 1)};
        if (bits > 0)
            digests[i].high = prefix | (digests[i].high & ((1u << (16 - bits)) - 1));
    }
    qsort(digests, keys, sizeof(*digests), digest_order);
    return digests;
}

static bool is_tombstone(size_t i)
{
    return i % 7 == 0;
}

static bool expires(size_t i)
{
    return i % 5 == 0;
}

static int add(struct keydir_load *load, const struct keydir_digest *digests, size_t i)
{
    return keydir_load_add(load, &digests[i], i, 100, is_tombstone(i), expires(i));
}

/* What is loaded is what was put, for whatever count was foretold. */
static void expect_loaded(size_t keys, uint64_t count, uint64_t prefix, unsigned bits)
{
    struct keydir_digest *digests = digests_new(keys, prefix, bits);
    struct keydir *keydir = keydir_new();
    struct keydir_load *load = keydir_load_new(keydir, count);
    uint64_t tombstones = 0, expiring = 0;
    struct keydir_entry entry;

    for (size_t i = 0; i < keys; i++) {
        cr_assert_eq(add(load, digests, i), 0);
        tombstones += is_tombstone(i);
        expiring += expires(i) && !is_tombstone(i);
    }
    cr_assert_eq(keydir_load_end(load), 0);
    keydir_check(keydir);
    cr_assert_eq(keydir_count(keydir), keys);
    cr_assert_eq(keydir_tombstones(keydir), tombstones);
    cr_assert_eq(keydir_expiring(keydir), expiring);
    for (size_t i = 0; i < keys; i++) {
        cr_assert_eq(keydir_get(keydir, &digests[i], &entry), 0);
        cr_assert_eq(entry.location, i);
        cr_assert_eq(entry.tombstone, is_tombstone(i));
        cr_assert_eq(entry.expires, expires(i));
    }
    /* It goes on like any other. */
    for (size_t i = 0; i < keys; i++) {
        struct keydir_digest other = {mix_of(3 * keys + i), mix_of(5 * keys + i)};

        cr_assert_eq(keydir_put(keydir, &other, i, 100, false, false, NULL), KEYDIR_E_ABSENT);
        if (i % 2 == 0)
            cr_assert_eq(keydir_remove(keydir, &digests[i]), 0);
    }
    keydir_check(keydir);
    keydir_free(keydir);
    free(digests);
}

Test(keydir_load, holds_what_was_added)
{
    expect_loaded(0, 0, 0, 0);
    expect_loaded(1, 1, 0, 0);
    expect_loaded(448, 448, 0, 0);
    expect_loaded(449, 449, 0, 0);
    expect_loaded(100000, 100000, 0, 0);
}

Test(keydir_load, count_may_be_wrong)
{
    expect_loaded(100000, 1, 0, 0);
    expect_loaded(100000, 3000000, 0, 0);
    expect_loaded(3, 1000000, 0, 0);
}

Test(keydir_load, digests_need_not_be_even)
{
    expect_loaded(20000, 20000, 0, 14);
    expect_loaded(20000, 20000, 0xFFFC, 14);
    expect_loaded(20000, 20000, 0x1230, 12);
}

Test(keydir_load, takes_no_more_memory_than_putting)
{
    enum { KEYS = 1000000 };
    struct keydir_digest *digests = digests_new(KEYS, 0, 0);
    static const double off[] = {0.5, 1, 1.4, 2, 4};

    for (size_t n = 0; n < sizeof(off) / sizeof(*off); n++) {
        struct keydir *keydir = keydir_new();
        struct keydir_load *load = keydir_load_new(keydir, (uint64_t)(off[n] * KEYS));

        for (size_t i = 0; i < KEYS; i++)
            cr_assert_eq(add(load, digests, i), 0);
        cr_assert_eq(keydir_load_end(load), 0);
        cr_assert_leq((double)keydir_memory(keydir) / KEYS, 20.0, "%.1f times the count: %.2f",
                      off[n], (double)keydir_memory(keydir) / KEYS);
        keydir_free(keydir);
    }
    free(digests);
}

Test(keydir_load, descending_digest_asserts, .signal = SIGABRT)
{
    struct keydir_digest digests[] = {{1, 1}, {1, 1}};
    struct keydir_load *load = keydir_load_new(keydir_new(), 2);

    cr_assert_eq(add(load, digests, 0), 0);
    add(load, digests, 1);
}

Test(keydir_load, every_allocation_may_fail)
{
    enum { KEYS = 5000 };
    struct keydir_digest *digests = digests_new(KEYS, 0, 0);
    unsigned failures = 0;
    bool failed = true;

    for (uint64_t n = 1; failed; n++) {
        struct keydir *keydir = keydir_new();
        struct keydir_load *load;
        int r = 0;

        alloc_fail_after(n);
        load = keydir_load_new(keydir, KEYS);
        for (size_t i = 0; load && r == 0 && i < KEYS; i++)
            r = add(load, digests, i);
        if (load) {
            int ended = keydir_load_end(load);

            r = r != 0 ? r : ended;
        }
        failed = alloc_failed();
        alloc_fail_after(0);
        cr_assert_eq(load ? r : -ENOMEM, failed ? -ENOMEM : 0);
        failures += failed;
        keydir_check(keydir);
        keydir_free(keydir);
    }
    cr_assert_gt(failures, 20);
    free(digests);
}
