/* Ring map scene: a cluster of five members, eight partitions and three copies that tests change.
 * Members 1 to 4 are ACTIVE and 5 is JOINING; 1, 2 and 3 vote. */
#ifndef TESTS_RING_RINGMAP_SCENE_H
#define TESTS_RING_RINGMAP_SCENE_H

#include "ring/ringmap.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#define SCENE_MEMBERS    5u
#define SCENE_PARTITIONS 8u
#define SCENE_COPIES     3u

static inline struct ringmap_member scene_member(uint16_t id)
{
    struct ringmap_member member = {
        .id = id, .state = RINGMAP_STATE_ACTIVE, .weight = RINGMAP_WEIGHT_DEFAULT};

    memset(member.public_key, (int)id, sizeof member.public_key);
    snprintf(member.address, sizeof member.address, "127.0.0.1:%u", 7000u + id);
    return member;
}

static inline struct ringmap scene_map(void)
{
    struct ringmap map;

    cr_assert_eq(ringmap_init(&map, SCENE_MEMBERS, SCENE_PARTITIONS, SCENE_COPIES), 0);
    map.epoch = 4;
    for (uint16_t i = 0; i < SCENE_MEMBERS; i++)
        map.members[i] = scene_member((uint16_t)(i + 1));
    map.members[4].state = RINGMAP_STATE_JOINING;
    for (uint32_t p = 0; p < SCENE_PARTITIONS; p++)
        for (uint32_t i = 0; i < SCENE_COPIES; i++)
            map.replicas[p * SCENE_COPIES + i] = (uint16_t)((p + i) % 4 + 1);
    for (uint16_t i = 0; i < 3; i++)
        map.meta_voters[i] = (uint16_t)(i + 1);
    map.meta_voter_count = 3;
    ringmap_check(&map);
    return map;
}

static inline struct ringmap scene_next(const struct ringmap *map)
{
    struct ringmap next;

    cr_assert_eq(ringmap_copy(&next, map), 0);
    next.epoch++;
    return next;
}

/* A plan: member 5 takes what 1 has, and 1 leaves. */
static inline struct ringmap scene_plan(const struct ringmap *map)
{
    struct ringmap next = scene_next(map);

    free(next.target);
    next.target = calloc(SCENE_PARTITIONS * SCENE_COPIES, sizeof *next.target);
    for (uint32_t i = 0; i < SCENE_PARTITIONS * SCENE_COPIES; i++)
        next.target[i] = next.replicas[i] == 1 ? 5 : next.replicas[i];
    next.members[4].state = RINGMAP_STATE_ACTIVE;
    next.members[0].state = RINGMAP_STATE_LEAVING;
    next.meta_voters[0] = 2;
    next.meta_voters[1] = 3;
    next.meta_voters[2] = 4;
    ringmap_check(&next);
    return next;
}

/* The box of data key number `key` for the member in that slot; fill 0: none. */
static inline void scene_box(struct ringmap *map, uint32_t key, uint32_t slot, int fill)
{
    memset(map->boxes[(size_t)key * map->member_count + slot], fill, RINGMAP_BOX_SIZE);
}

/* A data key more, for all who take part. */
static inline void scene_add_key(struct ringmap *map, uint8_t id, int fill)
{
    uint8_t(*boxes)[RINGMAP_BOX_SIZE];

    cr_assert_eq(ringmap_add_key(map, id, &boxes), 0);
    for (uint32_t i = 0; i < map->member_count; i++)
        if (ringmap_takes_part(map->members[i].state))
            scene_box(map, map->key_count - 1, i, fill);
}

#endif
