#include "router/lockout.h"

#include "ring/refusal.h"

#include <criterion/criterion.h>

static bool reached(uint32_t open, uint32_t failed, uint32_t refused, uint32_t unanswered)
{
    struct lockout lockout = {.links = {[LOCKOUT_OPEN] = open,
                                        [LOCKOUT_FAILED] = failed,
                                        [LOCKOUT_REFUSED] = refused,
                                        [LOCKOUT_UNANSWERED] = unanswered}};

    return lockout_reached(&lockout);
}

static uint8_t noted(struct lockout_link *link, uint8_t refusal)
{
    lockout_note(link, refusal);
    return link->attempt;
}

Test(lockout, a_refusal_that_another_ticket_would_end_counts)
{
    struct lockout_link link = {0};

    cr_assert_eq(noted(&link, REFUSAL_REVOKED), LOCKOUT_REFUSED);
    cr_assert_eq(noted(&link, REFUSAL_EARLY), LOCKOUT_FAILED);
    cr_assert_eq(noted(&link, REFUSAL_RETIRED), LOCKOUT_REFUSED);
    cr_assert_eq(noted(&link, REFUSAL_NOTING), LOCKOUT_FAILED);
    cr_assert_eq(noted(&link, REFUSAL_NONE), LOCKOUT_FAILED);
}

Test(lockout, silence_counts_when_it_lasts)
{
    struct lockout_link link = {0};

    for (int i = 1; i < LOCKOUT_SILENCES; i++)
        cr_assert_eq(noted(&link, REFUSAL_UNANSWERED), LOCKOUT_FAILED, "a node that starts: %d", i);
    cr_assert_eq(noted(&link, REFUSAL_NONE), LOCKOUT_FAILED);
    for (int i = 1; i < LOCKOUT_SILENCES; i++)
        cr_assert_eq(noted(&link, REFUSAL_UNANSWERED), LOCKOUT_FAILED, "in a row: %d", i);
    for (int i = 0; i < 1000; i++)
        cr_assert_eq(noted(&link, REFUSAL_UNANSWERED), LOCKOUT_UNANSWERED);
}

Test(lockout, one_node_that_says_why_is_enough_where_no_link_may_come_up)
{
    cr_assert(reached(0, 0, 1, 0));
    cr_assert(reached(0, 2, 1, 0));
    cr_assert_not(reached(1, 0, 2, 0));
}

Test(lockout, silence_counts_when_all_are_silent)
{
    cr_assert(reached(0, 0, 0, 3));
    cr_assert_not(reached(0, 1, 0, 2));
    cr_assert_not(reached(1, 0, 0, 2));
    cr_assert_not(reached(0, 3, 0, 0), "all nodes are down");
    cr_assert_not(reached(0, 0, 0, 0));
}

Test(lockout, a_link_that_comes_up_ends_it)
{
    struct lockout lockout = {.links = {[LOCKOUT_OPEN] = 2, [LOCKOUT_REFUSED] = 1},
                              .reached = true};

    cr_assert(lockout_reached(&lockout), "seeds are dialled again");
    lockout.up_count = 1;
    cr_assert_not(lockout_reached(&lockout));
}

Test(lockout, it_ends_when_nobody_refuses_any_more)
{
    struct lockout lockout = {.links = {[LOCKOUT_FAILED] = 2, [LOCKOUT_REFUSED] = 1},
                              .reached = true};

    cr_assert(lockout_reached(&lockout), "one still does");
    lockout.links[LOCKOUT_REFUSED] = 0;
    lockout.links[LOCKOUT_UNANSWERED] = 1;
    cr_assert(lockout_reached(&lockout), "by its silence");
    lockout.links[LOCKOUT_UNANSWERED] = 0;
    lockout.links[LOCKOUT_OPEN] = 1;
    cr_assert(lockout_reached(&lockout), "it may, when it has been asked");
    lockout.links[LOCKOUT_OPEN] = 0;
    lockout.links[LOCKOUT_FAILED] = 3;
    cr_assert_not(lockout_reached(&lockout), "all are down");
}
