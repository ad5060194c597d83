/* Ring map, any: a random one for property tests, which holds all that holds of a map. */
#ifndef TESTS_RING_RINGMAP_ANY_H
#define TESTS_RING_RINGMAP_ANY_H

#include <stdlib.h>

#include "tests/dice.h"
#include "ringmap_example.h"

/* `count` of the members that are in one of two states, from a random one on. */
static inline void any_row(struct dice *dice, const struct ringmap *map, uint8_t state,
                           uint8_t other, uint16_t *row, uint32_t count)
{
    uint32_t from = (uint32_t)dice_below(dice, map->member_count);

    for (uint32_t i = 0; i < map->member_count && count > 0; i++) {
        const struct ringmap_member *member = &map->members[(from + i) % map->member_count];

        if (member->state != state && member->state != other)
            continue;
        *row++ = member->id;
        count--;
    }
}

static inline uint32_t count_of(const struct ringmap *map, uint8_t state)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < map->member_count; i++)
        count += map->members[i].state == state;
    return count;
}

static inline uint32_t any_count(struct dice *dice, uint32_t a, uint32_t b)
{
    return 1 + (uint32_t)dice_below(dice, a < b ? a : b);
}

/* Rows of one length, and where a plan is under way others of any length before them. */
static inline void any_tables(struct dice *dice, struct ringmap *map)
{
    const uint8_t active = RINGMAP_STATE_ACTIVE, leaving = RINGMAP_STATE_LEAVING;
    uint32_t width = map->replica_count, actives = count_of(map, active);
    uint32_t holders = actives + count_of(map, leaving), copies = any_count(dice, width, actives);

    if (dice_below(dice, 3) == 0)
        map->target = calloc((size_t)map->partition_count * width, sizeof *map->target);
    for (uint32_t p = 0; p < map->partition_count; p++) {
        uint16_t *row = (map->target ? map->target : map->replicas) + (size_t)p * width;

        any_row(dice, map, active, active, row, copies);
        if (map->target)
            any_row(dice, map, active, leaving, map->replicas + (size_t)p * width,
                    any_count(dice, width, holders));
    }
    map->meta_voter_count = any_count(dice, RINGMAP_META_VOTERS_MAX, actives);
    any_row(dice, map, active, active, map->meta_voters, map->meta_voter_count);
}

/* Of any size; with gaps in the ids, members of all states, a plan and settings now and then. */
static inline struct ringmap any_map(struct dice *dice)
{
    uint32_t members = 1 + (uint32_t)dice_below(dice, 20);
    uint32_t replicas = 1 + (uint32_t)dice_below(dice, RINGMAP_REPLICAS_MAX);
    struct ringmap map;

    cr_assert_eq(ringmap_init(&map, members, 8u << dice_below(dice, 3), replicas), 0);
    map.epoch = 1 + dice_number(dice, 63);
    dice_fill(dice, map.cluster, sizeof map.cluster);
    dice_fill(dice, map.hash_secret, sizeof map.hash_secret);
    for (uint32_t i = 0, id = 0; i < members; i++) {
        id += 1 + (uint32_t)(dice_below(dice, 4) == 0 ? dice_below(dice, 40) : 0);
        member_set(&map, i, (uint16_t)id, "");
        dice_fill(dice, map.members[i].public_key, RINGMAP_KEY_SIZE);
        map.members[i].weight = 1 + (uint32_t)dice_number(dice, 31);
        for (size_t k = dice_below(dice, RINGMAP_ZONE_SIZE); k > 0; k--)
            map.members[i].zone[k - 1] = (char)(' ' + dice_below(dice, 95));
        if (i > 0)
            map.members[i].state = (uint8_t)(1 + dice_below(dice, 4));
    }
    any_tables(dice, &map);
    map.paused = dice_below(dice, 4) == 0;
    map.move_rate = dice_below(dice, 4) == 0 ? (uint32_t)dice_number(dice, 32) : 0;
    for (uint64_t i = 0, keys = dice_below(dice, 4); i < keys; i++) {
        uint8_t(*boxes)[RINGMAP_BOX_SIZE];

        cr_assert_eq(ringmap_add_key(&map, (uint8_t)(10 * i + 1 + dice_below(dice, 9)), &boxes), 0);
        dice_fill(dice, boxes, members * sizeof *boxes);
    }
    return map;
}

#endif
