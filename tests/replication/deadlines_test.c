#include "replication/deadlines.h"

#include "tests/dice.h"

#include <criterion/criterion.h>

static struct keydir_digest digest_of(uint64_t id)
{
    return (struct keydir_digest){.high = id * 7, .low = id};
}

static void note(struct deadlines *deadlines, uint64_t ms, uint64_t id)
{
    struct keydir_digest digest = digest_of(id);

    deadlines_note(deadlines, ms, &digest);
    deadlines_check(deadlines);
}

Test(deadlines, come_out_in_order_and_not_early)
{
    struct dice dice = {.state = 3};
    struct deadlines deadlines;
    struct keydir_digest digest;
    uint64_t before = 0;

    deadlines_init(&deadlines);
    deadlines_cover(&deadlines);
    for (uint64_t i = 0; i < 500; i++) {
        uint64_t ms = 100 + dice_pick(&dice, 1000);

        note(&deadlines, ms, ms);
    }
    cr_assert_not(deadlines_take(&deadlines, 99, &digest));
    for (uint64_t i = 0; i < 500; i++) {
        cr_assert(deadlines_take(&deadlines, 1100, &digest));
        deadlines_check(&deadlines);
        cr_assert_geq(digest.low, before);
        cr_assert_eq(digest.high, digest.low * 7);
        before = digest.low;
    }
    cr_assert_not(deadlines_take(&deadlines, UINT64_MAX, &digest));
    cr_assert_eq(deadlines.horizon_ms, UINT64_MAX);
    deadlines_deinit(&deadlines);
}

Test(deadlines, nothing_is_kept_before_a_walk_covers_it)
{
    struct deadlines deadlines;
    struct keydir_digest digest;

    deadlines_init(&deadlines);
    note(&deadlines, 5, 1);
    cr_assert_not(deadlines_take(&deadlines, 10, &digest));
    deadlines_cover(&deadlines);
    note(&deadlines, 5, 1);
    cr_assert(deadlines_take(&deadlines, 10, &digest));
    deadlines_clear(&deadlines);
    note(&deadlines, 5, 1);
    cr_assert_not(deadlines_take(&deadlines, 10, &digest));
    deadlines_deinit(&deadlines);
}

/* Walk after walk over more keys than it holds: each comes out once, none too late. */
Test(deadlines, more_than_it_holds_come_out_over_several_walks)
{
    enum { KEYS = 10 * DEADLINES_MAX };
    static uint64_t due[KEYS];
    static bool taken[KEYS];
    struct dice dice = {.state = 4};
    struct deadlines deadlines;
    struct keydir_digest digest;
    unsigned walks = 0, left = KEYS;

    for (unsigned i = 0; i < KEYS; i++)
        due[i] = 1 + dice_pick(&dice, 100000);
    deadlines_init(&deadlines);
    for (uint64_t now = 0; left > 0; now++) {
        cr_assert_leq(now, 100000);
        while (deadlines_take(&deadlines, now, &digest)) {
            cr_assert_not(taken[digest.low]);
            cr_assert_leq(due[digest.low], now);
            taken[digest.low] = true;
            left--;
        }
        if (now < deadlines.horizon_ms)
            continue;
        for (unsigned i = 0; i < KEYS; i++)
            cr_assert(taken[i] || due[i] >= now, "key %u is late", i);
        walks++;
        deadlines_cover(&deadlines);
        for (unsigned i = 0; i < KEYS; i++)
            if (!taken[i])
                note(&deadlines, due[i], i);
    }
    cr_assert_leq(walks, 2 * KEYS / DEADLINES_MAX + 2);
    deadlines_deinit(&deadlines);
}
