#include "tests/dice.h"

#include "router/attempts.h"

#include <criterion/criterion.h>

/* Operations are only pointed to here. */
static struct op *some(size_t i)
{
    return (struct op *)((i + 1) * 64);
}

Test(attempts, ids_find_their_operation_until_removed)
{
    uint32_t ids[5000];
    struct attempts attempts;

    cr_assert_eq(attempts_init(&attempts), 0);
    for (size_t i = 0; i < 5000; i++) {
        ids[i] = attempts_add(&attempts, some(i));
        cr_assert_neq(ids[i], 0);
    }
    for (size_t i = 0; i < 5000; i += 2)
        attempts_remove(&attempts, ids[i]);
    for (size_t i = 0; i < 5000; i++)
        cr_assert_eq(attempts_find(&attempts, ids[i]), i % 2 ? some(i) : NULL);
    for (size_t i = 1; i < 5000; i += 2)
        attempts_remove(&attempts, ids[i]);
    attempts_deinit(&attempts);
}

Test(attempts, an_id_that_ended_never_finds_another_operation)
{
    struct attempts attempts;
    uint32_t old;

    cr_assert_eq(attempts_init(&attempts), 0);
    old = attempts_add(&attempts, some(0));
    attempts_remove(&attempts, old);
    for (int i = 0; i < 100000; i++) {
        uint32_t id = attempts_add(&attempts, some(1));

        cr_assert_null(attempts_find(&attempts, old));
        attempts_remove(&attempts, id);
    }
    attempts_deinit(&attempts);
}

Test(attempts, zero_is_never_an_id_when_the_count_wraps)
{
    struct attempts attempts;

    cr_assert_eq(attempts_init(&attempts), 0);
    attempts.id_last = UINT32_MAX - 2;
    for (int i = 0; i < 6; i++) {
        uint32_t id = attempts_add(&attempts, some(0));

        cr_assert_neq(id, 0);
        attempts_remove(&attempts, id);
    }
    attempts_deinit(&attempts);
}

Test(attempts, stragglers_do_not_stop_the_rest)
{
    uint32_t ids[64] = {0};
    struct attempts attempts;
    struct dice dice = {.state = 3};

    cr_assert_eq(attempts_init(&attempts), 0);
    for (int i = 0; i < 300000; i++) {
        size_t place = dice_below(&dice, 64);

        if (ids[place]) {
            cr_assert_eq(attempts_find(&attempts, ids[place]), some(place));
            if (place == 0)
                continue; /* stays for ever */
            attempts_remove(&attempts, ids[place]);
        }
        ids[place] = attempts_add(&attempts, some(place));
        cr_assert_neq(ids[place], 0);
    }
    for (size_t i = 0; i < 64; i++)
        attempts_remove(&attempts, ids[i]);
    attempts_deinit(&attempts);
}
