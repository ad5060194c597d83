#include "replication/quorum.h"

#include <criterion/criterion.h>

#include <signal.h>
#include <string.h>

Test(quorum, a_majority_is_more_than_half)
{
    static const uint32_t sizes[] = {1, 1, 2, 2, 3, 3, 4, 4};

    for (uint32_t count = 0; count < 8; count++)
        cr_expect_eq(quorum_size(count), sizes[count]);
}

Test(quorum, value_is_the_largest_that_a_majority_reached)
{
    static const struct {
        uint64_t values[7];
        uint32_t count;
        uint64_t want;
    } rows[] = {
        {{7}, 1, 7},
        {{7, 3}, 2, 3},
        {{0, 9}, 2, 0},
        {{1, 2, 3}, 3, 2},
        {{3, 3, 0}, 3, 3},
        {{9, 0, 0}, 3, 0},
        {{UINT64_MAX, 4, 2}, 3, 4},
        {{5, 5, 5, 1}, 4, 5},
        {{5, 5, 1, 1}, 4, 1},
        {{1, 9, 2, 8, 3}, 5, 3},
        {{9, 9, 0, 0, 0}, 5, 0},
        {{7, 6, 5, 4, 3, 2, 1}, 7, 4},
        {{0}, 0, UINT64_MAX},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        uint64_t values[7];

        memcpy(values, rows[i].values, sizeof(values));
        cr_expect_eq(quorum_value(values, rows[i].count), rows[i].want, "row %zu", i);
    }
}

/* Against counting, over every assignment of five small values. */
Test(quorum, value_agrees_with_counting)
{
    for (uint32_t count = 1; count <= 5; count++) {
        for (uint32_t code = 0; code < 1024; code++) {
            uint64_t values[5], copy[5];
            uint64_t want = 0;

            for (uint32_t i = 0; i < count; i++)
                copy[i] = values[i] = (code >> (2 * i)) & 3;
            for (uint64_t value = 1; value < 4; value++) {
                uint32_t reached = 0;

                for (uint32_t i = 0; i < count; i++)
                    reached += copy[i] >= value;
                if (reached * 2 > count)
                    want = value;
            }
            cr_assert_eq(quorum_value(values, count), want);
        }
    }
}

Test(quorum, votes_are_won_lost_or_open)
{
    static const struct {
        uint32_t granted, refused, count;
        enum quorum_verdict want;
    } rows[] = {
        {0, 0, 0, QUORUM_WON},  {0, 0, 1, QUORUM_OPEN}, {1, 0, 1, QUORUM_WON},
        {0, 1, 1, QUORUM_LOST}, {1, 0, 2, QUORUM_OPEN}, {1, 1, 2, QUORUM_LOST},
        {2, 0, 2, QUORUM_WON},  {1, 0, 3, QUORUM_OPEN}, {1, 1, 3, QUORUM_OPEN},
        {2, 1, 3, QUORUM_WON},  {1, 2, 3, QUORUM_LOST}, {2, 1, 4, QUORUM_OPEN},
        {2, 2, 4, QUORUM_LOST}, {3, 1, 4, QUORUM_WON},  {2, 2, 5, QUORUM_OPEN},
        {2, 3, 5, QUORUM_LOST}, {3, 0, 5, QUORUM_WON},  {4, 3, 7, QUORUM_WON},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        cr_expect_eq(quorum_votes(rows[i].granted, rows[i].refused, rows[i].count), rows[i].want,
                     "row %zu", i);
}

Test(quorum, more_answers_than_voters_asserts, .signal = SIGABRT)
{
    quorum_votes(2, 2, 3);
}

Test(quorum, joint_needs_both_halves)
{
    static const enum quorum_verdict all[] = {QUORUM_OPEN, QUORUM_WON, QUORUM_LOST};

    for (int one = 0; one < 3; one++) {
        for (int other = 0; other < 3; other++) {
            enum quorum_verdict want = QUORUM_OPEN;

            if (all[one] == QUORUM_WON && all[other] == QUORUM_WON)
                want = QUORUM_WON;
            if (all[one] == QUORUM_LOST || all[other] == QUORUM_LOST)
                want = QUORUM_LOST;
            cr_expect_eq(quorum_joint(all[one], all[other]), want);
        }
    }
}
