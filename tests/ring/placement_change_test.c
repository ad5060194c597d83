#include "ring/placement.h"

#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "placement_model.h"

static size_t rows_size(const struct ringmap *map)
{
    return (size_t)map->partition_count * map->replica_count * sizeof *map->replicas;
}

/* Chains of changes, each map the next one's start. */
static void expect_chain(uint64_t seed, bool exact, uint32_t *lower, uint32_t *moved)
{
    struct dice dice = {seed};
    struct ringmap map = model_any(&dice, exact ? 10 : 40, exact ? 16 : 512);
    struct placement_cost cost;

    cr_assert_eq(placement_solve(&map), 0);
    for (unsigned step = 0; step < 6; step++) {
        struct ringmap next = model_changed(&dice, &map);

        cr_assert_eq(placement_change(&map, &next, &cost), 0);
        model_expect_placed(&next, seed);
        cr_assert_eq(cost.moves, model_moves(&map, &next), "seed %lu", (unsigned long)seed);
        cr_assert_leq(cost.moves_min, cost.moves);
        if (exact) {
            uint32_t least = model_moves_least(&map, &next);

            cr_assert_eq(cost.moves, least, "seed %lu step %u: %u moves, %u would do",
                         (unsigned long)seed, step, cost.moves, least);
            cr_assert_leq(cost.moves_min, least, "a bound is a bound");
        }
        *lower += cost.moves_min;
        *moved += cost.moves;
        ringmap_deinit(&map);
        map = next;
    }
    ringmap_deinit(&map);
}

Test(placement_change, no_table_with_fewer_moves_exists)
{
    uint32_t lower = 0, moved = 0;

    for (uint64_t seed = 0; seed < 150; seed++)
        expect_chain(seed, true, &lower, &moved);
    cr_assert_gt(moved, 0);
}

Test(placement_change, chains_of_changes_keep_every_promise_near_the_bound)
{
    uint32_t lower = 0, moved = 0;

    for (uint64_t seed = 1000; seed < 1300; seed++)
        expect_chain(seed, false, &lower, &moved);
    cr_assert_leq(moved, lower * 1.02, "%u moves, the bound is %u", moved, lower);
}

Test(placement_change, no_change_moves_nothing)
{
    for (uint64_t seed = 0; seed < 200; seed++) {
        struct dice dice = {seed};
        struct ringmap map = model_any(&dice, 60, 512);
        struct ringmap changed, again;
        struct placement_cost cost;

        cr_assert_eq(placement_solve(&map), 0);
        cr_assert_eq(ringmap_copy(&again, &map), 0);
        cr_assert_eq(placement_change(&map, &again, &cost), 0);
        cr_assert(cost.moves == 0 && cost.leaders == 0, "seed %lu", (unsigned long)seed);
        cr_assert_eq(memcmp(map.replicas, again.replicas, rows_size(&map)), 0);
        ringmap_deinit(&again);

        changed = model_changed(&dice, &map);
        cr_assert_eq(placement_change(&map, &changed, &cost), 0);
        cr_assert_eq(ringmap_copy(&again, &changed), 0);
        cr_assert_eq(placement_change(&changed, &again, &cost), 0);
        cr_assert(cost.moves == 0 && cost.leaders == 0, "seed %lu", (unsigned long)seed);
        cr_assert_eq(memcmp(changed.replicas, again.replicas, rows_size(&changed)), 0);
        ringmap_deinit(&again);
        ringmap_deinit(&changed);
        ringmap_deinit(&map);
    }
}

Test(placement_change, same_maps_give_the_same_rows)
{
    for (uint64_t seed = 0; seed < 50; seed++) {
        struct dice dice = {seed};
        struct ringmap map = model_any(&dice, 60, 512);
        struct ringmap a, b;
        struct placement_cost cost;

        cr_assert_eq(placement_solve(&map), 0);
        a = model_changed(&dice, &map);
        cr_assert_eq(ringmap_copy(&b, &a), 0);
        memset(b.replicas, 0x5a, rows_size(&b));
        cr_assert_eq(placement_change(&map, &a, &cost), 0);
        cr_assert_eq(placement_change(&map, &b, &cost), 0);
        cr_assert_eq(memcmp(a.replicas, b.replicas, rows_size(&a)), 0);
        ringmap_deinit(&a);
        ringmap_deinit(&b);
        ringmap_deinit(&map);
    }
}

static struct placement_cost change(const struct ringmap *map, struct ringmap *next)
{
    struct placement_cost cost;

    cr_assert_eq(placement_change(map, next, &cost), 0);
    model_expect_placed(next, 0);
    return cost;
}

Test(placement_change, a_fourth_node_takes_a_quarter_and_nobody_else_moves)
{
    struct ringmap map = model_cluster(3, 256, 3);
    struct ringmap next = model_cluster(4, 256, 3);
    struct placement_cost cost;

    cr_assert_eq(placement_solve(&map), 0);
    cost = change(&map, &next);
    cr_assert_eq(cost.moves, 191, "one less than its ideal");
    for (uint32_t p = 0; p < 256; p++)
        for (uint32_t i = 0; i < 3; i++) {
            uint16_t id = ringmap_row(&next, (uint16_t)p)[i];

            cr_assert(id == 4 || ringmap_holds(&map, (uint16_t)p, id));
        }
    cr_assert_leq(cost.leaders, 64);
    ringmap_deinit(&map);
    ringmap_deinit(&next);
}

Test(placement_change, a_node_that_leaves_loses_what_it_held_and_no_more_moves)
{
    struct ringmap map = model_cluster(7, 256, 3);
    struct ringmap next = model_cluster(7, 256, 3);
    uint32_t *held;

    cr_assert_eq(placement_solve(&map), 0);
    held = model_held(&map);
    next.members[2].state = RINGMAP_STATE_LEAVING;
    cr_assert_eq(change(&map, &next).moves, held[2]);
    free(held);
    ringmap_deinit(&map);
    ringmap_deinit(&next);
}

Test(placement_change, replicas_are_added_and_taken_without_moving_the_others)
{
    struct ringmap map = model_cluster(7, 256, 3);
    struct ringmap five = model_cluster(7, 256, 5);
    struct ringmap two = model_cluster(7, 256, 2);

    cr_assert_eq(placement_solve(&map), 0);
    cr_assert_eq(change(&map, &five).moves, 512);
    cr_assert_eq(change(&five, &two).moves, 0);
    ringmap_deinit(&map);
    ringmap_deinit(&five);
    ringmap_deinit(&two);
}

Test(placement_change, a_dead_node_replaced_by_a_new_one_gives_it_its_rows)
{
    struct ringmap map = model_cluster(6, 256, 3);
    struct ringmap next = model_cluster(7, 256, 3);
    struct placement_cost cost;
    uint32_t *held;

    cr_assert_eq(placement_solve(&map), 0);
    held = model_held(&map);
    next.members[5].state = RINGMAP_STATE_REMOVED;
    cost = change(&map, &next);
    cr_assert_eq(cost.moves, held[5]);
    cr_assert_leq(cost.leaders, 43 + 1);
    free(held);
    ringmap_deinit(&map);
    ringmap_deinit(&next);
}

Test(placement_change, the_largest_cluster_changes_near_the_bound)
{
    struct dice dice = {3};
    struct ringmap map =
        model_cluster(RINGMAP_MEMBERS_MAX, RINGMAP_PARTITIONS_MAX, RINGMAP_REPLICAS_MAX);
    struct ringmap next =
        model_cluster(RINGMAP_MEMBERS_MAX, RINGMAP_PARTITIONS_MAX, RINGMAP_REPLICAS_MAX);
    struct placement_cost cost;

    for (uint32_t i = 0; i < map.member_count; i++) {
        model_zone(&map, i, i % 20);
        model_zone(&next, i, i % 20);
        next.members[i].weight = 100 + (uint32_t)dice_below(&dice, 100);
    }
    cr_assert_eq(placement_solve(&map), 0);
    cr_assert_eq(placement_change(&map, &next, &cost), 0);
    cr_assert_gt(cost.moves, 0);
    cr_assert_leq(cost.moves, cost.moves_min * 1.02);
    ringmap_deinit(&map);
    ringmap_deinit(&next);
}
