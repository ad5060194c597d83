#include "next_map_scene.h"

#include <errno.h>

#include "tests/storage/alloc.h"

/* Each partition is at the start of the way, at its end, or nobody knows. */
static void hold_any(struct dice *dice, const struct ringmap *map, struct next_map_held *held)
{
    for (uint32_t p = 0; p < map->partition_count; p++) {
        held[p] = (struct next_map_held){.voter_count = 0};
        if (dice_below(dice, 5) > 0)
            hold(&held[p], dice_below(dice, 2) ? target_row(map, p) : ringmap_row(map, (uint16_t)p),
                 map->replica_count);
    }
    held[map->partition_count] = (struct next_map_held){.voter_count = 0};
    for (uint32_t i = 0; i < map->member_count && dice_below(dice, 4) > 0; i++)
        if (map->members[i].state != RINGMAP_STATE_JOINING &&
            held[map->partition_count].voter_count < RINGMAP_META_VOTERS_MAX)
            held[map->partition_count].voters[held[map->partition_count].voter_count++] =
                map->members[i].id;
}

Test(next_map, a_leave_goes_from_the_old_rows_to_the_new_and_ends_without_the_member)
{
    struct ringmap now = founded(4, 0, 3), next, settled;

    next = begun_one(&now, STAGED_LEAVE, 2, 0);
    cr_assert_eq(next.epoch, 6);
    cr_assert_eq(next.members[1].state, RINGMAP_STATE_LEAVING);
    cr_assert_not_null(next.target);
    cr_assert_eq(memcmp(next.replicas, now.replicas, PARTITIONS * 3 * sizeof *now.replicas), 0);
    for (uint32_t p = 0; p < PARTITIONS; p++)
        cr_assert_not(row_has(target_row(&next, p), 3, 2));
    for (uint32_t i = 0; i < next.meta_voter_count; i++)
        cr_assert_neq(next.meta_voters[i], 2);
    settled = ended(&next);
    cr_assert_eq(settled.members[1].state, RINGMAP_STATE_REMOVED);
    ringmap_deinit(&now);
    ringmap_deinit(&next);
    ringmap_deinit(&settled);
}

Test(next_map, more_and_fewer_replicas_keep_the_wider_rows_until_the_end)
{
    struct ringmap now = founded(5, 0, 3), wider, settled, narrower, end;

    wider = begun_one(&now, STAGED_REPLICAS, 0, 5);
    cr_assert_eq(wider.replica_count, 5);
    cr_assert_eq(ringmap_row(&wider, 0)[2], ringmap_row(&now, 0)[2]);
    cr_assert_eq(ringmap_row(&wider, 0)[3], 0);
    cr_assert_neq(target_row(&wider, 0)[4], 0);
    settled = ended(&wider);
    cr_assert_eq(settled.replica_count, 5);
    narrower = begun_one(&settled, STAGED_REPLICAS, 0, 2);
    cr_assert_eq(narrower.replica_count, 5);
    cr_assert_eq(target_row(&narrower, 0)[2], 0);
    end = ended(&narrower);
    cr_assert_eq(end.replica_count, 2);
    ringmap_deinit(&now);
    ringmap_deinit(&wider);
    ringmap_deinit(&settled);
    ringmap_deinit(&narrower);
    ringmap_deinit(&end);
}

Test(next_map, who_is_removed_by_force_is_in_no_row_at_once)
{
    struct ringmap now = founded(4, 1, 3), next;
    struct staged staged = {.count = 0};

    cr_assert_eq(
        staged_add(&staged, &now, &(struct staged_change){.op = STAGED_REMOVE, .member = 3}), 0);
    cr_assert_eq(staged_add(&staged, &now, &(struct staged_change){.op = STAGED_JOIN, .member = 5}),
                 0);
    next = begun(&now, &staged);
    cr_assert_eq(next.members[2].state, RINGMAP_STATE_REMOVED);
    cr_assert_eq(next.members[4].state, RINGMAP_STATE_ACTIVE);
    for (uint32_t p = 0; p < PARTITIONS; p++) {
        cr_assert_not(ringmap_holds(&next, (uint16_t)p, 3));
        cr_assert_not(row_has(target_row(&next, p), 3, 3));
        cr_assert_eq(ringmap_row(&next, (uint16_t)p)[2] == 0, ringmap_holds(&now, (uint16_t)p, 3));
    }
    ringmap_deinit(&now);
    ringmap_deinit(&next);
}

Test(next_map, what_moves_nothing_needs_no_way)
{
    struct ringmap now = founded(3, 1, 3), zoned, gone;
    struct staged_change change = {.op = STAGED_ZONE, .member = 1, .zone = "east"};
    struct staged staged = {.count = 0};

    cr_assert_eq(staged_add(&staged, &now, &change), 0);
    zoned = begun(&now, &staged);
    cr_assert_null(zoned.target);
    cr_assert_str_eq(zoned.members[0].zone, "east");
    gone = begun_one(&now, STAGED_REMOVE, 4, 0); /* it has not come further than JOINING */
    cr_assert_null(gone.target);
    cr_assert_eq(gone.members[3].state, RINGMAP_STATE_REMOVED);
    ringmap_deinit(&now);
    ringmap_deinit(&zoned);
    ringmap_deinit(&gone);
}

Test(next_map, an_abort_leaves_each_partition_where_it_is)
{
    struct next_map_held held[PARTITIONS + 1] = {0};
    struct ringmap now = founded(4, 0, 3), moving, next;

    moving = begun_one(&now, STAGED_LEAVE, 2, 0);
    for (uint32_t p = 0; p < PARTITIONS; p++)
        hold(&held[p], p % 2 ? target_row(&moving, p) : ringmap_row(&moving, (uint16_t)p), 3);
    cr_assert_eq(next_map_abort(&moving, held, &next), 0);
    expect_may_follow(&next, &moving);
    cr_assert_eq(next.members[1].state, RINGMAP_STATE_ACTIVE);
    for (uint32_t p = 0; p < PARTITIONS; p++)
        for (uint32_t i = 0; i < 3; i++)
            cr_assert(row_has(target_row(&next, p), 3, held[p].voters[i]));
    cr_assert_eq(next_map_abort(&now, held, &next), NEXT_MAP_E_SETTLED);
    ringmap_deinit(&now);
    ringmap_deinit(&moving);
    ringmap_deinit(&next);
}

Test(next_map, an_abort_keeps_one_number_of_replicas_and_nobody_who_was_removed)
{
    struct next_map_held held[PARTITIONS + 1] = {0};
    struct ringmap now = founded(5, 0, 3), moving, next;

    moving = begun_one(&now, STAGED_REPLICAS, 0, 5);
    hold(&held[0], target_row(&moving, 0), 5);
    hold(&held[1], ringmap_row(&now, 1), 3);
    cr_assert_eq(next_map_abort(&moving, held, &next), 0);
    expect_may_follow(&next, &moving);
    for (uint32_t p = 0; p < PARTITIONS; p++)
        cr_assert(target_row(&next, p)[2] != 0 && target_row(&next, p)[3] == 0);
    ringmap_deinit(&moving);
    ringmap_deinit(&next);

    moving = begun_one(&now, STAGED_REMOVE, 3, 0);
    for (uint32_t p = 0; p < PARTITIONS; p++)
        hold(&held[p], ringmap_row(&now, (uint16_t)p), 3);
    cr_assert_eq(next_map_abort(&moving, held, &next), 0);
    expect_may_follow(&next, &moving);
    for (uint32_t p = 0; p < PARTITIONS; p++)
        cr_assert(!row_has(target_row(&next, p), 3, 3) && target_row(&next, p)[2] != 0);
    ringmap_deinit(&now);
    ringmap_deinit(&moving);
    ringmap_deinit(&next);
}

/* Else it would wait for ever for a newcomer that is gone for good. */
Test(next_map, an_abort_leaves_the_meta_group_where_it_is)
{
    struct next_map_held held[PARTITIONS + 1] = {0};
    struct ringmap now = founded(4, 1, 3), moving, next;

    moving = begun_one(&now, STAGED_JOIN, 5, 0);
    cr_assert_eq(moving.meta_voter_count, 5);
    hold(&held[PARTITIONS], now.meta_voters, RINGMAP_META_VOTERS_MAX);
    cr_assert_eq(next_map_abort(&moving, held, &next), 0);
    expect_may_follow(&next, &moving);
    cr_assert_eq(next.meta_voter_count, now.meta_voter_count);
    cr_assert_arr_eq(next.meta_voters, now.meta_voters, sizeof now.meta_voters);
    ringmap_deinit(&next);
    held[PARTITIONS].voter_count = 0; /* nobody knows */
    cr_assert_eq(next_map_abort(&moving, held, &next), 0);
    cr_assert_eq(next.meta_voter_count, 5);
    ringmap_deinit(&next);
    ringmap_deinit(&moving);

    moving = begun_one(&now, STAGED_REMOVE, now.meta_voters[0], 0); /* no way back */
    hold(&held[PARTITIONS], now.meta_voters, RINGMAP_META_VOTERS_MAX);
    cr_assert_eq(next_map_abort(&moving, held, &next), 0);
    expect_may_follow(&next, &moving);
    cr_assert_arr_eq(next.meta_voters, moving.meta_voters, sizeof moving.meta_voters);
    ringmap_deinit(&now);
    ringmap_deinit(&moving);
    ringmap_deinit(&next);
}

/* As many as there were, although all rows have lost one: nobody asked for fewer. */
Test(next_map, an_abort_of_a_replacement_goes_on_to_it_and_keeps_the_number_of_replicas)
{
    struct next_map_held held[PARTITIONS + 1] = {0};
    struct ringmap now = founded(3, 1, 3), moving, next;
    struct staged staged = {.count = 0};

    cr_assert_eq(
        staged_add(&staged, &now, &(struct staged_change){.op = STAGED_REMOVE, .member = 3}), 0);
    cr_assert_eq(staged_add(&staged, &now, &(struct staged_change){.op = STAGED_JOIN, .member = 4}),
                 0);
    moving = begun(&now, &staged);
    for (uint32_t p = 0; p < PARTITIONS; p++)
        hold(&held[p], ringmap_row(&now, (uint16_t)p), 3);
    hold(&held[PARTITIONS], now.meta_voters, RINGMAP_META_VOTERS_MAX);
    cr_assert_eq(next_map_abort(&moving, held, &next), 0);
    expect_may_follow(&next, &moving);
    cr_assert_eq(ringmap_copies(&next), 3);
    for (uint32_t p = 0; p < PARTITIONS; p++)
        cr_assert(row_has(target_row(&next, p), 3, 4));
    ringmap_deinit(&now);
    ringmap_deinit(&moving);
    ringmap_deinit(&next);
}

/* No group can go back to five, nor was it four that anybody asked for. */
Test(next_map, an_abort_goes_on_to_fewer_replicas_when_one_of_the_former_was_removed)
{
    struct next_map_held held[PARTITIONS + 1] = {0};
    struct ringmap now = founded(5, 0, 5), moving, next;
    struct staged staged = {.count = 0};

    cr_assert_eq(
        staged_add(&staged, &now, &(struct staged_change){.op = STAGED_REMOVE, .member = 3}), 0);
    cr_assert_eq(
        staged_add(&staged, &now, &(struct staged_change){.op = STAGED_REPLICAS, .value = 3}), 0);
    moving = begun(&now, &staged);
    for (uint32_t p = 0; p < PARTITIONS; p++)
        hold(&held[p], ringmap_row(&now, (uint16_t)p), 5);
    cr_assert_eq(next_map_abort(&moving, held, &next), 0);
    expect_may_follow(&next, &moving);
    cr_assert_eq(ringmap_copies(&next), 3);
    ringmap_deinit(&now);
    ringmap_deinit(&moving);
    ringmap_deinit(&next);
}

Test(next_map, an_abort_stays_with_another_number_of_replicas_once_all_have_it)
{
    struct next_map_held held[PARTITIONS + 1] = {0};
    struct ringmap now = founded(5, 0, 3), moving, next;

    moving = begun_one(&now, STAGED_REPLICAS, 0, 5);
    for (uint32_t p = 0; p < PARTITIONS; p++)
        hold(&held[p], target_row(&moving, p), 5);
    cr_assert_eq(next_map_abort(&moving, held, &next), 0);
    expect_may_follow(&next, &moving);
    cr_assert_eq(ringmap_copies(&next), 5);
    ringmap_deinit(&next);
    hold(&held[7], ringmap_row(&now, 7), 3);
    cr_assert_eq(next_map_abort(&moving, held, &next), 0);
    cr_assert_eq(ringmap_copies(&next), 3);
    ringmap_deinit(&now);
    ringmap_deinit(&moving);
    ringmap_deinit(&next);
}

static void stage_any(struct dice *dice, const struct ringmap *now, struct staged *staged)
{
    for (uint64_t left = 1 + dice_below(dice, 4); left > 0; left--) {
        struct staged_change change = {.op = (uint8_t)dice_below(dice, STAGED_OP_COUNT)};

        if (change.op != STAGED_REPLICAS)
            change.member = (uint16_t)(1 + dice_below(dice, now->member_count));
        if (change.op == STAGED_WEIGHT)
            change.value = 1 + (uint32_t)dice_below(dice, 300);
        if (change.op == STAGED_REPLICAS)
            change.value = 1 + (uint32_t)dice_below(dice, 5);
        if (change.op == STAGED_ZONE)
            change.zone[0] = (char)('a' + dice_below(dice, 3));
        staged_add(staged, now, &change);
    }
}

/* What a plan refuses: a partition that loses all it has, and too few members for N. */
static bool is_refused(const struct staged *staged, const struct ringmap *now)
{
    struct placement_cost cost;
    struct ringmap wanted;
    bool refused;

    cr_assert_eq(staged_wanted(staged, now, NULL, &wanted, &cost), 0);
    refused = ringmap_row(&wanted, 0)[wanted.replica_count - 1] == 0;
    for (uint32_t p = 0; p < now->partition_count && !refused; p++) {
        uint32_t left = 0;

        for (uint32_t i = 0; i < ringmap_row_count(now, ringmap_row(now, (uint16_t)p)); i++)
            left += ringmap_member(&wanted, ringmap_row(now, (uint16_t)p)[i])->state !=
                    RINGMAP_STATE_REMOVED;
        refused = left == 0;
    }
    ringmap_deinit(&wanted);
    return refused;
}

/* Somebody dies for good on the way; false: not now, as it would be refused. */
static bool lose_any(struct dice *dice, const struct next_map_held *held, struct ringmap *now)
{
    uint16_t dead = (uint16_t)(1 + dice_below(dice, now->member_count));
    struct staged staged = {.count = 0};
    struct ringmap from, next;
    bool refused;

    if (staged_add(&staged, now, &(struct staged_change){.op = STAGED_REMOVE, .member = dead}) != 0)
        return false;
    cr_assert_eq(next_map_from(now, held, &from), 0);
    refused = is_refused(&staged, &from);
    ringmap_deinit(&from);
    if (refused)
        return false;
    next = replaced(now, held, &staged);
    ringmap_deinit(now);
    *now = next;
    return true;
}

/* Chains of plans of any sort, a third of them aborted on the way, one of those twice; and of some
 * somebody is removed by force. */
Test(next_map, every_result_may_follow_the_map_before)
{
    uint32_t begun_count = 0, aborted = 0, lost = 0;

    for (uint64_t seed = 0; seed < 60; seed++) {
        struct next_map_held held[PARTITIONS + 1];
        struct dice dice = {seed};
        struct ringmap now = founded(3 + (uint32_t)dice_below(&dice, 5),
                                     (uint32_t)dice_below(&dice, 3), 1 + (uint32_t)(seed % 3));

        for (unsigned round = 0; round < 8; round++) {
            struct staged staged = {.count = 0};
            struct ringmap next;

            stage_any(&dice, &now, &staged);
            if (staged.count == 0 || is_refused(&staged, &now))
                continue;
            next = begun(&now, &staged);
            begun_count++;
            ringmap_deinit(&now);
            now = next;
            while (now.target && dice_below(&dice, 3) == 0) {
                hold_any(&dice, &now, held);
                cr_assert_eq(next_map_abort(&now, held, &next), 0);
                expect_may_follow(&next, &now);
                aborted++;
                ringmap_deinit(&now);
                now = next;
                hold_any(&dice, &now, held);
                lost += dice_below(&dice, 2) && lose_any(&dice, held, &now);
            }
            if (now.target) {
                next = ended(&now);
                ringmap_deinit(&now);
                now = next;
            }
        }
        ringmap_deinit(&now);
    }
    cr_assert_gt(begun_count, 200);
    cr_assert_gt(aborted, 50);
    cr_assert_gt(lost, 20);
}

Test(next_map, no_memory_is_an_answer)
{
    struct staged staged = {.count = 0};
    struct ringmap now = founded(4, 0, 3), wanted, moving, next;
    struct next_map_held held[PARTITIONS + 1] = {0};
    struct placement_cost cost;
    int r;

    cr_assert_eq(
        staged_add(&staged, &now, &(struct staged_change){.op = STAGED_LEAVE, .member = 2}), 0);
    cr_assert_eq(staged_wanted(&staged, &now, NULL, &wanted, &cost), 0);
    for (uint64_t n = 1;; n++) {
        alloc_fail_after(n);
        r = next_map_commit(&now, &wanted, &moving);
        if (!alloc_failed())
            break;
        cr_assert_eq(r, -ENOMEM);
    }
    for (uint64_t n = 1;; n++) {
        alloc_fail_after(n);
        r = next_map_abort(&moving, held, &next);
        if (!alloc_failed())
            break;
        cr_assert_eq(r, -ENOMEM);
    }
    cr_assert_eq(r, 0);
    ringmap_deinit(&next);
    for (uint64_t n = 1;; n++) {
        alloc_fail_after(n);
        r = next_map_from(&moving, held, &next);
        if (!alloc_failed())
            break;
        cr_assert_eq(r, -ENOMEM);
    }
    alloc_fail_after(0);
    cr_assert_eq(r, 0);
    ringmap_deinit(&now);
    ringmap_deinit(&wanted);
    ringmap_deinit(&moving);
    ringmap_deinit(&next);
}
