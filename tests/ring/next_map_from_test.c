/* A plan in the place of another, whose members died for good on the way. */
#include "next_map_scene.h"

Test(next_map_from, a_newcomer_that_is_removed_on_the_way_leaves_all_as_it_was)
{
    struct next_map_held held[PARTITIONS + 1] = {0};
    struct ringmap now = founded(3, 1, 3), moving, next, end;
    struct staged staged;
    uint32_t had = 0;

    moving = begun_one(&now, STAGED_JOIN, 4, 0);
    for (uint32_t p = 0; p < PARTITIONS; p++) { /* every third has moved, and nobody knows of one */
        hold(&held[p], p % 3 == 0 ? target_row(&moving, p) : ringmap_row(&now, (uint16_t)p), 3);
        had += row_has(target_row(&moving, p), 3, 4) && p % 3 == 0;
    }
    cr_assert_gt(had, 0);
    held[1].voter_count = 0;
    hold(&held[PARTITIONS], now.meta_voters, RINGMAP_META_VOTERS_MAX);
    staged = forced(&moving, 4, 0);
    next = replaced(&moving, held, &staged);
    cr_assert_eq(next.members[3].state, RINGMAP_STATE_REMOVED);
    cr_assert_arr_eq(next.replicas, now.replicas, PARTITIONS * 3 * sizeof *now.replicas);
    cr_assert_arr_eq(next.meta_voters, now.meta_voters, sizeof now.meta_voters);
    end = ended(&next);
    for (uint32_t p = 0; p < PARTITIONS; p++)
        for (uint16_t id = 1; id <= 3; id++)
            cr_assert(ringmap_holds(&end, (uint16_t)p, id));
    ringmap_deinit(&now);
    ringmap_deinit(&moving);
    ringmap_deinit(&next);
    ringmap_deinit(&end);
}

/* Of a plan of two changes one goes on, from where it is. */
Test(next_map_from, placement_goes_out_from_what_the_groups_have)
{
    struct next_map_held held[PARTITIONS + 1] = {0};
    struct ringmap now = founded(5, 0, 3), moving, from;
    uint32_t other = 0;

    moving = begun_one(&now, STAGED_LEAVE, 2, 0);
    for (uint32_t p = 0; p < PARTITIONS; p++)
        hold(&held[p], p % 2 ? target_row(&moving, p) : ringmap_row(&moving, (uint16_t)p), 3);
    held[4].voter_count = 0;
    hold(&held[PARTITIONS], now.meta_voters, RINGMAP_META_VOTERS_MAX);
    cr_assert_eq(next_map_from(&moving, held, &from), 0);
    cr_assert_eq(ringmap_copies(&from), 3);
    cr_assert_arr_eq(from.meta_voters, now.meta_voters, sizeof now.meta_voters);
    cr_assert(row_has(from.meta_voters, from.meta_voter_count, 2));
    for (uint32_t p = 0; p < PARTITIONS; p++) {
        const uint16_t *row = p % 2 ? target_row(&moving, p) : ringmap_row(&moving, (uint16_t)p);

        for (uint32_t i = 0; i < 3; i++)
            cr_assert(ringmap_holds(&from, (uint16_t)p, row[i]));
        other += !ringmap_holds(&from, (uint16_t)p, 2) && ringmap_holds(&now, (uint16_t)p, 2);
    }
    cr_assert_gt(other, 0);
    ringmap_deinit(&now);
    ringmap_deinit(&moving);
    ringmap_deinit(&from);
}

/* Others hold what it was to get: they get it, and what has not moved does not move for that. */
Test(next_map_from, what_a_newcomer_was_to_get_stays_where_it_is)
{
    struct next_map_held held[PARTITIONS + 1] = {0};
    struct ringmap now = founded(5, 1, 3), moving, next;
    struct staged staged;
    uint32_t moved = 0;

    moving = begun_one(&now, STAGED_JOIN, 6, 0);
    for (uint32_t p = 0; p < PARTITIONS; p++)
        hold(&held[p], ringmap_row(&now, (uint16_t)p), 3);
    hold(&held[PARTITIONS], now.meta_voters, RINGMAP_META_VOTERS_MAX);
    staged = forced(&moving, 6, 0);
    next = replaced(&moving, held, &staged);
    for (uint32_t p = 0; p < PARTITIONS; p++)
        for (uint32_t i = 0; i < 3; i++)
            moved += !row_has(ringmap_row(&now, (uint16_t)p), 3, target_row(&next, p)[i]);
    cr_assert_eq(moved, 0);
    ringmap_deinit(&now);
    ringmap_deinit(&moving);
    ringmap_deinit(&next);
}

Test(next_map_from, a_replacement_that_died_is_replaced_in_turn)
{
    struct next_map_held held[PARTITIONS + 1] = {0};
    struct ringmap now = founded(3, 2, 3), moving, next, end;
    struct staged staged = forced(&now, 3, 4);

    moving = begun(&now, &staged);
    for (uint32_t p = 0; p < PARTITIONS; p++)
        hold(&held[p], p % 4 == 0 ? target_row(&moving, p) : ringmap_row(&now, (uint16_t)p), 3);
    hold(&held[PARTITIONS], now.meta_voters, RINGMAP_META_VOTERS_MAX); /* 3 is one of them */
    staged = forced(&moving, 4, 5);
    next = replaced(&moving, held, &staged);
    end = ended(&next);
    cr_assert_eq(ringmap_copies(&end), 3);
    cr_assert_eq(end.meta_voter_count, 3);
    for (uint32_t p = 0; p < PARTITIONS; p++)
        cr_assert(ringmap_holds(&end, (uint16_t)p, 5));
    ringmap_deinit(&now);
    ringmap_deinit(&moving);
    ringmap_deinit(&next);
    ringmap_deinit(&end);
}

/* With one replica: the first table has nobody left to name. */
Test(next_map_from, who_is_removed_after_all_has_moved_away_from_it_leaves_no_empty_row)
{
    struct next_map_held held[PARTITIONS + 1] = {0};
    struct ringmap now = founded(3, 1, 1), moving, next;
    struct staged staged;

    moving = begun_one(&now, STAGED_LEAVE, 2, 0);
    for (uint32_t p = 0; p < PARTITIONS; p++)
        hold(&held[p], target_row(&moving, p), 1);
    hold(&held[PARTITIONS], moving.meta_voters, RINGMAP_META_VOTERS_MAX);
    staged = forced(&moving, 2, 0);
    next = replaced(&moving, held, &staged);
    for (uint32_t p = 0; p < PARTITIONS; p++)
        if (ringmap_holds(&now, (uint16_t)p, 2))
            cr_assert_eq(ringmap_row(&next, (uint16_t)p)[0], target_row(&next, p)[0]);
    ringmap_deinit(&now);
    ringmap_deinit(&moving);
    ringmap_deinit(&next);
}

/* Groups may have gone on by a later map, which whoever asks has yet to hear of. */
Test(next_map_from, what_groups_have_by_a_later_map_is_not_taken_for_this_one)
{
    struct next_map_held held[PARTITIONS + 1] = {0};
    struct ringmap now = founded(4, 1, 3), moving, next, from;

    moving = begun_one(&now, STAGED_LEAVE, 2, 0);
    for (uint32_t p = 0; p < PARTITIONS; p++)
        hold(&held[p], (const uint16_t[]){1, 3, p % 2 ? 5 : 6}, 3);
    hold(&held[PARTITIONS], (const uint16_t[]){1, 3, 5}, 3);
    cr_assert_eq(next_map_abort(&moving, held, &next), 0);
    cr_assert_null(ringmap_next_problem(&next, &moving));
    cr_assert_arr_eq(next.target, now.replicas, PARTITIONS * 3 * sizeof *now.replicas);
    cr_assert_eq(next_map_from(&moving, held, &from), 0);
    cr_assert_arr_eq(from.replicas, now.replicas, PARTITIONS * 3 * sizeof *now.replicas);
    for (uint32_t i = 0; i < from.meta_voter_count; i++)
        cr_assert_leq(from.meta_voters[i], 4);
    ringmap_deinit(&now);
    ringmap_deinit(&moving);
    ringmap_deinit(&next);
    ringmap_deinit(&from);
}
