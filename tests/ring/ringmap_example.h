/* Ring map example: the first one of docs/format-ringmap.md. Two members, eight partitions, two
 * replicas. */
#ifndef TESTS_RING_RINGMAP_EXAMPLE_H
#define TESTS_RING_RINGMAP_EXAMPLE_H

#include "ring/ringmap.h"

#include <stdio.h>
#include <string.h>

#include <criterion/criterion.h>

static inline void member_set(struct ringmap *map, uint32_t slot, uint16_t id, const char *zone)
{
    struct ringmap_member *member = &map->members[slot];

    member->id = id;
    member->state = RINGMAP_STATE_ACTIVE;
    member->weight = RINGMAP_WEIGHT_DEFAULT;
    memset(member->public_key, (int)id, sizeof member->public_key);
    snprintf(member->address, sizeof member->address, "127.0.0.1:%u", 7000u + id);
    snprintf(member->zone, sizeof member->zone, "%s", zone);
}

static inline struct ringmap example(void)
{
    struct ringmap map;

    cr_assert_eq(ringmap_init(&map, 2, 8, 2), 0);
    map.epoch = 1;
    for (unsigned i = 0; i < 16; i++) {
        map.cluster[i] = (uint8_t)(15 - i);
        map.hash_secret[i] = (uint8_t)i;
    }
    member_set(&map, 0, 1, "a");
    member_set(&map, 1, 2, "b");
    for (unsigned p = 0; p < 8; p++) {
        map.replicas[2 * p] = (uint16_t)(1 + p % 2);
        map.replicas[2 * p + 1] = (uint16_t)(2 - p % 2);
    }
    map.meta_voters[0] = 1;
    map.meta_voter_count = 1;
    return map;
}

#endif
