#include "ring/voters.h"

#include <string.h>

#include <criterion/criterion.h>

#include "placement_model.h"

static void expect_voters(struct ringmap *source, uint32_t members, const uint16_t *expected,
                          uint32_t expected_count)
{
    struct ringmap map = *source;

    map.member_count = members;
    cr_assert_eq(voters_choose(&map, NULL), 0);
    cr_assert_eq(map.meta_voter_count, expected_count);
    for (uint32_t i = 0; i < RINGMAP_META_VOTERS_MAX; i++)
        cr_assert_eq(map.meta_voters[i], i < expected_count ? expected[i] : 0);
}

Test(voters, are_odd_in_number_and_in_distinct_zones)
{
    struct ringmap map = model_cluster(9, 8, 3);

    for (uint32_t i = 0; i < 9; i++)
        model_zone(&map, i, i < 4 ? 0 : i / 2); /* 0 0 0 0 2 2 3 3 4 */
    expect_voters(&map, 1, (const uint16_t[]){1}, 1);
    expect_voters(&map, 2, (const uint16_t[]){1}, 1);
    expect_voters(&map, 3, (const uint16_t[]){1, 2, 3}, 3);
    expect_voters(&map, 4, (const uint16_t[]){1, 2, 3}, 3);
    expect_voters(&map, 5, (const uint16_t[]){1, 2, 3, 4, 5}, 5);
    expect_voters(&map, 9, (const uint16_t[]){1, 2, 5, 7, 9}, 5);
    map.members[4].state = RINGMAP_STATE_LEAVING;
    expect_voters(&map, 9, (const uint16_t[]){1, 2, 6, 7, 9}, 5);
    ringmap_deinit(&map);
}

Test(voters, stay_when_equals_join_and_are_replaced_one_for_one)
{
    struct ringmap map = model_cluster(7, 8, 3);

    memcpy(map.meta_voters, (const uint16_t[]){3, 4, 5, 6, 7}, sizeof map.meta_voters);
    map.meta_voter_count = 5;
    cr_assert_eq(voters_choose(&map, NULL), 0);
    cr_assert_eq(memcmp(map.meta_voters, (const uint16_t[]){3, 4, 5, 6, 7}, 10), 0);
    map.members[4].state = RINGMAP_STATE_REMOVED;
    cr_assert_eq(voters_choose(&map, NULL), 0);
    cr_assert_eq(memcmp(map.meta_voters, (const uint16_t[]){1, 3, 4, 6, 7}, 10), 0);
    ringmap_deinit(&map);
}

static void expect_living(struct ringmap *map, const bool *alive, const uint16_t *expected,
                          uint32_t expected_count)
{
    struct ringmap copy = *map;

    cr_assert_eq(voters_choose(&copy, alive), 0);
    cr_assert_eq(copy.meta_voter_count, expected_count);
    for (uint32_t i = 0; i < expected_count; i++)
        cr_assert_eq(copy.meta_voters[i], expected[i], "%u", copy.meta_voters[i]);
}

Test(voters, the_dead_become_none_where_others_can)
{
    struct ringmap map = model_cluster(7, 8, 3);
    bool alive[7] = {true, true, true, false, false, true, true};

    expect_living(&map, alive, (const uint16_t[]){1, 2, 3, 6, 7}, 5);
    alive[6] = false;
    expect_living(&map, alive, (const uint16_t[]){1, 2, 3, 4, 6}, 5);
    alive[6] = true;
    memcpy(map.meta_voters, (const uint16_t[]){1, 2, 3, 4, 6}, sizeof map.meta_voters);
    map.meta_voter_count = 5;
    expect_living(&map, alive, (const uint16_t[]){1, 2, 3, 4, 6}, 5); /* who votes stays */
    for (uint32_t i = 0; i < 7; i++)
        model_zone(&map, i, i == 4 ? 1 : 0); /* 5, which is dead, alone in its zone */
    expect_living(&map, alive, (const uint16_t[]){1, 2, 3, 4, 6}, 5);
    map.member_count = 4; /* one of four that vote has to go: the dead one */
    map.meta_voter_count = 4;
    alive[3] = true;
    alive[1] = false;
    expect_living(&map, alive, (const uint16_t[]){1, 3, 4}, 3);
    map.member_count = 7;
    ringmap_deinit(&map);
}

Test(voters, nobody_active_changes_nothing)
{
    struct ringmap map = model_cluster(2, 8, 2);

    map.meta_voters[0] = 2;
    map.meta_voter_count = 1;
    map.members[0].state = RINGMAP_STATE_JOINING;
    map.members[1].state = RINGMAP_STATE_REMOVED;
    cr_assert_eq(voters_choose(&map, NULL), VOTERS_E_NO_MEMBERS);
    cr_assert_eq(map.meta_voters[0], 2);
    cr_assert_eq(map.meta_voter_count, 1);
    ringmap_deinit(&map);
}

/* Of a set of slots: how uneven the zones are, and how many of the present voters it keeps. */
static uint64_t worth(const struct ringmap *map, uint32_t set)
{
    uint32_t squares = 0, kept = 0;

    for (uint32_t i = 0; i < map->member_count; i++) {
        for (uint32_t j = 0; (set >> i & 1) && j < map->member_count; j++)
            squares += (set >> j & 1) && strcmp(map->members[i].zone, map->members[j].zone) == 0;
        for (uint32_t j = 0; (set >> i & 1) && j < map->meta_voter_count; j++)
            kept += map->meta_voters[j] == map->members[i].id;
    }
    return (uint64_t)(100 - squares) * 100 + kept;
}

static uint64_t best_worth(const struct ringmap *map, uint32_t active, int size)
{
    uint64_t best = 0;

    for (uint32_t set = 0; set < 1u << map->member_count; set++) {
        if ((set & ~active) == 0 && __builtin_popcount(set) == size && worth(map, set) > best)
            best = worth(map, set);
    }
    return best;
}

Test(voters, no_choice_is_as_even_and_keeps_more)
{
    struct dice dice = {7};

    for (unsigned number = 0; number < 400; number++) {
        struct ringmap map = model_cluster(1 + (uint32_t)dice_below(&dice, 9), 8, 3);
        struct ringmap before;
        uint32_t active = 0, chosen = 0;

        for (uint32_t i = 0; i < map.member_count; i++) {
            model_zone(&map, i, (uint32_t)dice_below(&dice, 5));
            if (dice_below(&dice, 3) == 0 && map.meta_voter_count < 5)
                map.meta_voters[map.meta_voter_count++] = (uint16_t)(i + 1);
            if (i > 0 && dice_below(&dice, 4) == 0)
                map.members[i].state = RINGMAP_STATE_LEAVING;
            active |= (uint32_t)(map.members[i].state == RINGMAP_STATE_ACTIVE) << i;
        }
        before = map;
        cr_assert_eq(voters_choose(&map, NULL), 0);
        for (uint32_t i = 0; i < map.meta_voter_count; i++)
            chosen |= 1u << (map.meta_voters[i] - 1);
        cr_assert_eq(__builtin_popcount(chosen), map.meta_voter_count);
        cr_assert_eq(chosen & ~active, 0);
        cr_assert_eq(worth(&before, chosen), best_worth(&before, active, (int)map.meta_voter_count),
                     "case %u", number);
        ringmap_deinit(&map);
    }
}
