#include "ring/placement.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "dice.h"
#include "tests/storage/alloc.h"

#define CLUSTERS 600u

struct count {
    uint32_t held;
    uint32_t led;
    double ideal;
    double lead_ideal;
};

static struct ringmap cluster(uint32_t members, uint32_t partitions, uint32_t replicas)
{
    struct ringmap map;

    cr_assert_eq(ringmap_init(&map, members, partitions, replicas), 0);
    for (uint32_t i = 0; i < members; i++) {
        map.members[i].id = (uint16_t)(i + 1);
        map.members[i].state = RINGMAP_STATE_ACTIVE;
        map.members[i].weight = RINGMAP_WEIGHT_DEFAULT;
    }
    return map;
}

static void zone_set(struct ringmap *map, uint32_t slot, uint32_t zone)
{
    snprintf(map->members[slot].zone, RINGMAP_ZONE_SIZE, "zone-%u", zone);
}

/* Members, weights and zones of all sorts; in one of two clusters all weights are equal. */
static struct ringmap any_cluster(uint64_t seed)
{
    struct dice dice = {seed};
    struct ringmap map = cluster(1 + (uint32_t)dice_below(&dice, 60), 8u << dice_below(&dice, 8),
                                 1 + (uint32_t)dice_below(&dice, RINGMAP_REPLICAS_MAX));
    uint32_t zones = 1 + (uint32_t)dice_below(&dice, 12);
    unsigned spread = (unsigned)dice_below(&dice, 2) * (1 + (unsigned)dice_below(&dice, 10));

    for (uint32_t i = 0; i < map.member_count; i++) {
        zone_set(&map, i, (uint32_t)dice_below(&dice, zones));
        map.members[i].weight = 100 + (uint32_t)dice_number(&dice, spread);
        if (i > 0 && dice_below(&dice, 20) == 0)
            map.members[i].state = RINGMAP_STATE_LEAVING;
    }
    return map;
}

static uint32_t active_count(const struct ringmap *map)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < map->member_count; i++)
        count += map->members[i].state == RINGMAP_STATE_ACTIVE;
    return count;
}

static uint32_t copies_of(const struct ringmap *map)
{
    uint32_t active = active_count(map);

    return active < map->replica_count ? active : map->replica_count;
}

/* Ideals found by another way than the solver's: a level of fill, by bisection, at which members
 * capped at Q and the others by weight take Q * R together. */
static void ideals(const struct ringmap *map, struct count *counts)
{
    double wanted = (double)map->partition_count * copies_of(map);
    double low = 0;
    double high = 1e9;
    double weights = 0;

    for (unsigned step = 0; step < 200; step++) {
        double level = (low + high) / 2;
        double sum = 0;

        for (uint32_t i = 0; i < map->member_count; i++) {
            if (map->members[i].state == RINGMAP_STATE_ACTIVE)
                sum += fmin(map->partition_count, level * map->members[i].weight);
        }
        if (sum < wanted)
            low = level;
        else
            high = level;
    }
    for (uint32_t i = 0; i < map->member_count; i++)
        weights += map->members[i].state == RINGMAP_STATE_ACTIVE ? map->members[i].weight : 0;
    for (uint32_t i = 0; i < map->member_count; i++) {
        bool active = map->members[i].state == RINGMAP_STATE_ACTIVE;
        double weight = active ? map->members[i].weight : 0;

        counts[i].ideal = fmin(map->partition_count, high * weight);
        counts[i].lead_ideal = map->partition_count * weight / weights;
    }
}

static struct count *count(const struct ringmap *map)
{
    struct count *counts = calloc(map->member_count, sizeof *counts);

    cr_assert_not_null(counts);
    for (uint32_t p = 0; p < map->partition_count; p++) {
        const uint16_t *row = ringmap_row(map, (uint16_t)p);

        counts[row[0] - 1].led++;
        for (uint32_t i = 0; i < copies_of(map); i++)
            counts[row[i] - 1].held++;
    }
    ideals(map, counts);
    return counts;
}

static const char *zone_of(const struct ringmap *map, uint16_t id)
{
    return map->members[id - 1].zone;
}

static void expect_rows_valid(const struct ringmap *map)
{
    uint32_t copies = copies_of(map);

    for (uint32_t p = 0; p < map->partition_count; p++) {
        const uint16_t *row = ringmap_row(map, (uint16_t)p);

        for (uint32_t i = 0; i < map->replica_count; i++) {
            cr_assert_eq(row[i] == 0, i >= copies, "free places are the last");
            if (row[i] == 0)
                continue;
            cr_assert_leq(row[i], map->member_count);
            cr_assert_eq(map->members[row[i] - 1].state, RINGMAP_STATE_ACTIVE);
            for (uint32_t j = 0; j < i; j++)
                cr_assert_neq(row[i], row[j]);
            cr_assert(i < 2 || row[i] > row[i - 1], "followers by ascending id");
        }
    }
}

Test(placement, members_hold_their_share_within_one_partition)
{
    for (uint64_t seed = 0; seed < CLUSTERS; seed++) {
        struct ringmap map = any_cluster(seed);
        struct count *counts;

        cr_assert_eq(placement_solve(&map), 0);
        expect_rows_valid(&map);
        counts = count(&map);
        for (uint32_t i = 0; i < map.member_count; i++)
            cr_assert_leq(fabs(counts[i].held - counts[i].ideal), 1 + 1e-6,
                          "seed %lu member %u holds %u of %f", (unsigned long)seed, i + 1,
                          counts[i].held, counts[i].ideal);
        free(counts);
        ringmap_deinit(&map);
    }
}

/* Leading by share of weight within one is always possible when no row's members are all that
 * light; random clusters with rows full of heavy capped members are the hard ones. Where one could
 * do better by some chain of changes the solver must have done it: checked here by brute force. */
static bool lead_chain_exists(const struct ringmap *map, const struct count *counts, uint32_t from)
{
    bool seen[64] = {[0] = false};
    bool grew = true;

    seen[from] = true;
    while (grew) {
        grew = false;
        for (uint32_t p = 0; p < map->partition_count; p++) {
            const uint16_t *row = ringmap_row(map, (uint16_t)p);

            for (uint32_t i = 1; seen[row[0] - 1] && i < copies_of(map); i++) {
                grew = grew || !seen[row[i] - 1];
                seen[row[i] - 1] = true;
            }
        }
    }
    for (uint32_t i = 0; i < map->member_count; i++) {
        double gain =
            (counts[from].led - counts[from].lead_ideal) - (counts[i].led - counts[i].lead_ideal);

        if (seen[i] && gain > 1 + 1e-6)
            return true;
    }
    return false;
}

Test(placement, leaders_are_as_even_by_weight_as_rows_allow)
{
    unsigned beyond_one = 0;

    for (uint64_t seed = 0; seed < CLUSTERS / 2; seed++) {
        struct ringmap map = any_cluster(seed);
        struct count *counts;

        cr_assert_eq(placement_solve(&map), 0);
        counts = count(&map);
        for (uint32_t i = 0; i < map.member_count; i++) {
            cr_assert_not(lead_chain_exists(&map, counts, i), "seed %lu member %u",
                          (unsigned long)seed, i + 1);
            beyond_one += fabs(counts[i].led - counts[i].lead_ideal) > 1 + 1e-6;
        }
        free(counts);
        ringmap_deinit(&map);
    }
    cr_assert_eq(beyond_one, 0, "all of these clusters allow leaders within one of their share");
}

/* What a zone's members are due together, and how far its count in rows differs. */
static double zone_ideal(const struct ringmap *map, const struct count *counts, const char *zone)
{
    double sum = 0;

    for (uint32_t i = 0; i < map->member_count; i++) {
        if (map->members[i].state == RINGMAP_STATE_ACTIVE &&
            strcmp(map->members[i].zone, zone) == 0)
            sum += counts[i].ideal;
    }
    return sum;
}

static uint32_t zone_in_row(const struct ringmap *map, uint32_t partition, const char *zone)
{
    const uint16_t *row = ringmap_row(map, (uint16_t)partition);
    uint32_t in_row = 0;

    for (uint32_t i = 0; i < copies_of(map); i++)
        in_row += strcmp(zone_of(map, row[i]), zone) == 0;
    return in_row;
}

static void expect_zone_even(const struct ringmap *map, const struct count *counts,
                             const char *zone, uint64_t seed, bool *over)
{
    uint32_t least = UINT32_MAX;
    uint32_t most = 0;

    for (uint32_t p = 0; p < map->partition_count; p++) {
        uint32_t in_row = zone_in_row(map, p, zone);

        least = in_row < least ? in_row : least;
        most = in_row > most ? in_row : most;
    }
    cr_assert_leq(most - least, 1, "seed %lu %s", (unsigned long)seed, zone);
    if (zone_ideal(map, counts, zone) > map->partition_count + 1e-6)
        *over = true;
    else
        cr_assert_leq(most, 1, "seed %lu %s", (unsigned long)seed, zone);
}

Test(placement, replicas_are_in_distinct_zones_when_no_zone_is_due_more_than_one_each)
{
    unsigned distinct = 0;

    for (uint64_t seed = 0; seed < CLUSTERS; seed++) {
        struct ringmap map = any_cluster(seed);
        struct count *counts;
        bool over = false;

        cr_assert_eq(placement_solve(&map), 0);
        counts = count(&map);
        for (uint32_t i = 0; i < map.member_count; i++)
            expect_zone_even(&map, counts, map.members[i].zone, seed, &over);
        distinct += !over;
        free(counts);
        ringmap_deinit(&map);
    }
    cr_assert_gt(distinct, CLUSTERS / 10, "the feasible case is met");
    cr_assert_lt(distinct, CLUSTERS, "the other one too");
}

/* Zone 0 is due 9 of the 8 partitions, three for each of its members; one of them gets two. */
Test(placement, a_zone_due_little_more_than_one_each_is_rounded_to_fit)
{
    static const uint32_t weights[] = {6, 6, 6, 15, 15};
    static const uint32_t zones[] = {0, 0, 0, 1, 2};
    struct ringmap map = cluster(5, 8, 3);
    struct count *counts;

    for (uint32_t i = 0; i < 5; i++) {
        map.members[i].weight = weights[i];
        zone_set(&map, i, zones[i]);
    }
    cr_assert_eq(placement_solve(&map), 0);
    counts = count(&map);
    for (uint32_t i = 0; i < 5; i++)
        cr_assert_leq(fabs(counts[i].held - counts[i].ideal), 1 + 1e-6);
    for (uint32_t p = 0; p < 8; p++)
        cr_assert_eq(zone_in_row(&map, p, "zone-0"), 1);
    free(counts);
    ringmap_deinit(&map);
}

Test(placement, three_equal_nodes_hold_all_and_lead_a_third_each)
{
    struct ringmap map = cluster(3, 256, 3);
    struct count *counts;

    cr_assert_eq(placement_solve(&map), 0);
    counts = count(&map);
    for (uint32_t i = 0; i < 3; i++) {
        cr_assert_eq(counts[i].held, 256);
        cr_assert(counts[i].led == 85 || counts[i].led == 86);
    }
    free(counts);
    ringmap_deinit(&map);
}

/* Three nodes hold everything whatever their weights; leading is what weight can still share. */
Test(placement, heavier_node_of_three_leads_more)
{
    struct ringmap map = cluster(3, 256, 3);
    struct count *counts;

    map.members[1].weight = 200;
    cr_assert_eq(placement_solve(&map), 0);
    counts = count(&map);
    cr_assert_eq(counts[0].led, 64);
    cr_assert_eq(counts[1].led, 128);
    cr_assert_eq(counts[2].led, 64);
    free(counts);
    ringmap_deinit(&map);
}

Test(placement, fewer_members_than_replicas_leave_places_free)
{
    struct ringmap map = cluster(2, 8, 5);

    cr_assert_eq(placement_solve(&map), 0);
    expect_rows_valid(&map);
    ringmap_deinit(&map);
}

Test(placement, what_a_lost_member_held_falls_on_all_others)
{
    struct ringmap map = cluster(12, 1024, 3);
    uint32_t met[12] = {0};

    cr_assert_eq(placement_solve(&map), 0);
    for (uint32_t p = 0; p < 1024; p++) {
        if (!ringmap_holds(&map, (uint16_t)p, 1))
            continue;
        for (uint32_t i = 0; i < 3; i++)
            met[ringmap_row(&map, (uint16_t)p)[i] - 1]++;
    }
    /* 256 partitions with two peers each over eleven members: 46.5 on the mean. */
    for (uint32_t i = 1; i < 12; i++)
        cr_assert(met[i] > 23 && met[i] < 93, "member %u shares %u", i + 1, met[i]);
    ringmap_deinit(&map);
}

Test(placement, same_members_give_the_same_rows_whatever_was_there)
{
    for (uint64_t seed = 0; seed < 50; seed++) {
        struct ringmap a = any_cluster(seed);
        struct ringmap b = any_cluster(seed);
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
    struct ringmap map = cluster(RINGMAP_MEMBERS_MAX, RINGMAP_PARTITIONS_MAX, 7);
    struct count *counts;

    for (uint32_t i = 0; i < map.member_count; i++) {
        map.members[i].weight = i % 3 ? UINT32_MAX - i : 1 + (uint32_t)dice_number(&dice, 32);
        zone_set(&map, i, i % 20);
    }
    cr_assert_eq(placement_solve(&map), 0);
    expect_rows_valid(&map);
    counts = count(&map);
    for (uint32_t i = 0; i < map.member_count; i++) {
        cr_assert_leq(fabs(counts[i].held - counts[i].ideal), 1 + 1e-6);
        cr_assert_leq(fabs(counts[i].led - counts[i].lead_ideal), 1 + 1e-6);
    }
    free(counts);
    ringmap_deinit(&map);
}

Test(placement, no_active_member_and_no_memory_are_answers)
{
    struct ringmap map = cluster(2, 8, 2);

    for (uint64_t n = 1; n <= 9; n++) {
        alloc_fail_after(n);
        cr_assert_eq(placement_solve(&map), -ENOMEM);
        cr_assert(alloc_failed());
    }
    alloc_fail_after(0);
    map.members[0].state = RINGMAP_STATE_JOINING;
    map.members[1].state = RINGMAP_STATE_REMOVED;
    cr_assert_eq(placement_solve(&map), PLACEMENT_E_NO_MEMBERS);
    cr_assert_eq(placement_meta_voters(&map), PLACEMENT_E_NO_MEMBERS);
    ringmap_deinit(&map);
}

static void expect_voters(const struct ringmap *source, uint32_t members, const uint16_t *expected,
                          uint32_t expected_count)
{
    struct ringmap map = *source;

    map.member_count = members;
    memset(map.meta_voters, 0xff, sizeof map.meta_voters);
    cr_assert_eq(placement_meta_voters(&map), 0);
    cr_assert_eq(map.meta_voter_count, expected_count);
    for (uint32_t i = 0; i < RINGMAP_META_VOTERS_MAX; i++)
        cr_assert_eq(map.meta_voters[i], i < expected_count ? expected[i] : 0);
}

Test(placement, meta_voters_are_odd_and_in_distinct_zones)
{
    struct ringmap map = cluster(9, 8, 3);

    for (uint32_t i = 0; i < 9; i++)
        zone_set(&map, i, i < 4 ? 0 : i / 2); /* 0 0 0 0 2 2 3 3 4 */
    expect_voters(&map, 1, (const uint16_t[]){1}, 1);
    expect_voters(&map, 2, (const uint16_t[]){1}, 1);
    expect_voters(&map, 3, (const uint16_t[]){1, 2, 3}, 3);
    expect_voters(&map, 4, (const uint16_t[]){1, 2, 3}, 3);
    expect_voters(&map, 5, (const uint16_t[]){1, 5, 2, 3, 4}, 5);
    expect_voters(&map, 9, (const uint16_t[]){1, 5, 7, 9, 2}, 5);
    map.members[4].state = RINGMAP_STATE_LEAVING;
    expect_voters(&map, 9, (const uint16_t[]){1, 6, 7, 9, 2}, 5);
    ringmap_deinit(&map);
}
