#include "ring/placement.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "placement_model.h"
#include "tests/storage/alloc.h"

#define CLUSTERS 400u

Test(placement, balance_zones_and_leaders_are_as_promised_from_nothing)
{
    unsigned distinct = 0;

    for (uint64_t seed = 0; seed < CLUSTERS; seed++) {
        struct dice dice = {seed};
        struct ringmap map = model_any(&dice, 60, 1024);
        uint32_t low, high;

        cr_assert_eq(placement_solve(&map), 0);
        model_expect_placed(&map, seed);
        model_zone_bounds(&map, map.members[0].zone, &low, &high);
        distinct += high == 1;
        ringmap_deinit(&map);
    }
    cr_assert(distinct > CLUSTERS / 10 && distinct < CLUSTERS, "both sorts of clusters are met");
}

/* From nothing a member holds its ideal rounded up or down, not one more or less. */
Test(placement, whole_ideals_are_met_exactly_from_nothing)
{
    for (uint64_t seed = 0; seed < CLUSTERS / 4; seed++) {
        struct dice dice = {seed};
        struct ringmap map = model_any(&dice, 60, 1024);
        double *ideals = model_ideals(&map);
        uint32_t *held;

        cr_assert_eq(placement_solve(&map), 0);
        held = model_held(&map);
        for (uint32_t i = 0; i < map.member_count; i++)
            cr_assert_lt(fabs(held[i] - ideals[i]), 1 - 1e-7);
        free(ideals);
        free(held);
        ringmap_deinit(&map);
    }
}

/* Five nodes in three zones: the one that is alone in its zone holds everything. */
Test(placement, zones_are_kept_apart_where_weights_alone_would_join_them)
{
    struct ringmap map = model_cluster(5, 64, 3);
    uint32_t *held;

    for (uint32_t i = 0; i < 5; i++)
        model_zone(&map, i, i / 2);
    cr_assert_eq(placement_solve(&map), 0);
    held = model_held(&map);
    for (uint32_t p = 0; p < 64; p++)
        cr_assert_eq(model_in_zone(&map, p, "zone-2"), 1);
    for (uint32_t i = 0; i < 5; i++)
        cr_assert_eq(held[i], i == 4 ? 64 : 32);
    free(held);
    ringmap_deinit(&map);
}

Test(placement, two_zones_share_five_replicas_three_and_two)
{
    struct ringmap map = model_cluster(8, 64, 5);
    unsigned threes = 0;

    for (uint32_t i = 0; i < 8; i++)
        model_zone(&map, i, i % 2);
    cr_assert_eq(placement_solve(&map), 0);
    for (uint32_t p = 0; p < 64; p++) {
        uint32_t in_zone = model_in_zone(&map, p, "zone-0");

        cr_assert(in_zone == 2 || in_zone == 3);
        threes += in_zone == 3;
    }
    cr_assert_eq(threes, 32, "the odd replica is now here, now there");
    ringmap_deinit(&map);
}

Test(placement, three_equal_nodes_hold_all_and_lead_a_third_each)
{
    struct ringmap map = model_cluster(3, 256, 3);
    uint32_t *held, *led;

    cr_assert_eq(placement_solve(&map), 0);
    held = model_held(&map);
    led = model_led(&map);
    for (uint32_t i = 0; i < 3; i++) {
        cr_assert_eq(held[i], 256);
        cr_assert(led[i] == 85 || led[i] == 86);
    }
    free(held);
    free(led);
    ringmap_deinit(&map);
}

/* Three nodes hold everything whatever their weights; leading is what weight can still share. */
Test(placement, heavier_node_of_three_leads_more)
{
    struct ringmap map = model_cluster(3, 256, 3);
    uint32_t *led;

    map.members[1].weight = 200;
    cr_assert_eq(placement_solve(&map), 0);
    led = model_led(&map);
    cr_assert_eq(led[0], 64);
    cr_assert_eq(led[1], 128);
    cr_assert_eq(led[2], 64);
    free(led);
    ringmap_deinit(&map);
}

/* The light zones hold a replica of everything, so some of their rows have no heavy member. */
Test(placement, leaders_are_as_near_to_their_share_as_the_rows_allow)
{
    struct ringmap map = model_cluster(4, 64, 2);
    uint32_t *led;

    for (uint32_t i = 0; i < 4; i++) {
        model_zone(&map, i, i / 2);
        map.members[i].weight = i < 2 ? 1000 : 1;
    }
    map.members[1].weight = 1;
    cr_assert_eq(placement_solve(&map), 0);
    model_expect_placed(&map, 0);
    led = model_led(&map);
    cr_assert_geq(led[0], 62);
    free(led);
    ringmap_deinit(&map);
}

Test(placement, fewer_members_than_replicas_leave_places_free)
{
    struct ringmap map = model_cluster(2, 8, 5);

    cr_assert_eq(placement_solve(&map), 0);
    model_expect_placed(&map, 0);
    ringmap_deinit(&map);
}

static void expect_load_spread(const struct ringmap *map, double least, double most)
{
    uint32_t met[12] = {0};

    for (uint32_t p = 0; p < 1024; p++) {
        if (!ringmap_holds(map, (uint16_t)p, 1))
            continue;
        for (uint32_t i = 0; i < 3; i++)
            met[ringmap_row(map, (uint16_t)p)[i] - 1]++;
    }
    for (uint32_t i = 1; i < map->member_count; i++)
        cr_assert(met[i] > least && met[i] < most, "member %u shares %u", i + 1, met[i]);
}

Test(placement, what_a_lost_member_held_falls_on_all_others)
{
    struct ringmap map = model_cluster(12, 1024, 3);

    cr_assert_eq(placement_solve(&map), 0);
    /* 256 partitions with two peers each over eleven members: 46.5 on the mean. */
    expect_load_spread(&map, 23, 93);
    ringmap_deinit(&map);
}

Test(placement, what_joined_one_after_another_is_mixed_too)
{
    struct ringmap map = model_cluster(3, 1024, 3);

    cr_assert_eq(placement_solve(&map), 0);
    for (uint32_t members = 4; members <= 12; members++) {
        struct ringmap next = model_cluster(members, 1024, 3);
        struct placement_cost cost;

        cr_assert_eq(placement_change(&map, &next, &cost), 0);
        ringmap_deinit(&map);
        map = next;
    }
    expect_load_spread(&map, 10, 93);
    ringmap_deinit(&map);
}

Test(placement, same_members_give_the_same_rows_whatever_was_there)
{
    for (uint64_t seed = 0; seed < 50; seed++) {
        struct dice dice_a = {seed}, dice_b = {seed};
        struct ringmap a = model_any(&dice_a, 60, 1024);
        struct ringmap b = model_any(&dice_b, 60, 1024);
        size_t size = (size_t)a.partition_count * a.replica_count * sizeof *a.replicas;

        memset(b.replicas, 0x5a, size);
        cr_assert_eq(placement_solve(&a), 0);
        cr_assert_eq(placement_solve(&b), 0);
        cr_assert_eq(memcmp(a.replicas, b.replicas, size), 0);
        ringmap_deinit(&a);
        ringmap_deinit(&b);
    }
}

Test(placement, the_largest_cluster_is_solved)
{
    struct dice dice = {5};
    struct ringmap map =
        model_cluster(RINGMAP_MEMBERS_MAX, RINGMAP_PARTITIONS_MAX, RINGMAP_REPLICAS_MAX);
    double sum = 0, most = 0;
    uint32_t *held;

    for (uint32_t i = 0; i < map.member_count; i++) {
        map.members[i].weight = i % 3 ? UINT32_MAX - i : 1 + (uint32_t)dice_number(&dice, 32);
        model_zone(&map, i, i % 20);
        sum += map.members[i].weight;
        most = fmax(most, map.members[i].weight);
    }
    cr_assert_eq(placement_solve(&map), 0);
    held = model_held(&map);
    for (uint32_t i = 0; i < map.member_count; i++)
        cr_assert_leq(fabs(held[i] - 4096 * 7 * (map.members[i].weight / sum)), 1 + 1e-6,
                      "zones are alike and nobody is due more than Q, so it is by weight");
    for (uint32_t zone = 0; zone < 20; zone++)
        for (uint32_t p = 0; p < 4096; p += 64)
            cr_assert_leq(model_in_zone(&map, p, map.members[zone].zone), 1);
    free(held);
    ringmap_deinit(&map);
}

Test(placement, no_active_member_and_no_memory_are_answers)
{
    struct ringmap map = model_cluster(2, 8, 2);
    uint64_t failed = 0;
    int r;

    for (uint64_t n = 1;; n++) {
        alloc_fail_after(n);
        r = placement_solve(&map);
        if (!alloc_failed())
            break;
        cr_assert_eq(r, -ENOMEM);
        failed++;
    }
    alloc_fail_after(0);
    cr_assert_eq(r, 0);
    cr_assert_geq(failed, 30, "placement's own and both assignments'");
    map.members[0].state = RINGMAP_STATE_JOINING;
    map.members[1].state = RINGMAP_STATE_REMOVED;
    cr_assert_eq(placement_solve(&map), PLACEMENT_E_NO_MEMBERS);
    ringmap_deinit(&map);
}
