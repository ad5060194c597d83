/* Next map scene: clusters with placement, plans that are begun, replaced and ended on them. */
#ifndef TESTS_RING_NEXT_MAP_SCENE_H
#define TESTS_RING_NEXT_MAP_SCENE_H

#include "ring/next_map.h"
#include "ring/staged.h"
#include "ring/voters.h"

#include <string.h>

#include <criterion/criterion.h>

#include "placement_model.h"

#define PARTITIONS 32u

static inline struct ringmap founded(uint32_t members, uint32_t joining, uint32_t replicas)
{
    struct ringmap map = model_cluster(members + joining, PARTITIONS, replicas);

    map.epoch = 5;
    for (uint32_t i = 0; i < map.member_count; i++) {
        map.members[i].public_key[0] = (uint8_t)(i + 1);
        strcpy(map.members[i].address, "10.0.0.1:7000");
        if (i >= members)
            map.members[i].state = RINGMAP_STATE_JOINING;
    }
    cr_assert_eq(placement_solve(&map), 0);
    cr_assert_eq(voters_choose(&map, NULL), 0);
    return map;
}

static inline void expect_may_follow(const struct ringmap *next, const struct ringmap *before)
{
    const char *problem = ringmap_next_problem(next, before);

    ringmap_check(next);
    cr_assert_null(problem, "%s", problem);
}

/* The change is asked for and committed: the map that goes there. */
static inline struct ringmap begun(const struct ringmap *now, const struct staged *staged)
{
    struct placement_cost cost;
    struct ringmap wanted, next;

    cr_assert_eq(staged_wanted(staged, now, NULL, &wanted, &cost), 0);
    cr_assert_eq(next_map_commit(now, &wanted, &next), 0);
    expect_may_follow(&next, now);
    ringmap_deinit(&wanted);
    return next;
}

static inline struct ringmap begun_one(const struct ringmap *now, uint8_t op, uint16_t member,
                                       uint32_t value)
{
    struct staged_change change = {.op = op, .member = member, .value = value};
    struct staged staged = {.count = 0};

    cr_assert_eq(staged_add(&staged, now, &change), 0);
    return begun(now, &staged);
}

static inline struct ringmap ended(const struct ringmap *moving)
{
    struct ringmap next;

    cr_assert_eq(ringmap_finished(moving, &next), 0);
    expect_may_follow(&next, moving);
    cr_assert_null(next.target);
    return next;
}

static inline const uint16_t *target_row(const struct ringmap *map, uint32_t partition)
{
    return map->target + (size_t)partition * map->replica_count;
}

static inline void hold(struct next_map_held *held, const uint16_t *row, uint32_t width)
{
    held->voter_count = 0;
    while (held->voter_count < width && row[held->voter_count] != 0) {
        held->voters[held->voter_count] = row[held->voter_count];
        held->voter_count++;
    }
}

static inline bool row_has(const uint16_t *row, uint32_t width, uint16_t member)
{
    for (uint32_t i = 0; i < width; i++)
        if (row[i] == member)
            return true;
    return false;
}

/* The changes are asked for while a plan is under way. */
static inline struct ringmap replaced(const struct ringmap *moving,
                                      const struct next_map_held *held, const struct staged *staged)
{
    struct placement_cost cost;
    struct ringmap from, wanted, next;

    cr_assert_eq(next_map_from(moving, held, &from), 0);
    cr_assert_eq(staged_wanted(staged, &from, NULL, &wanted, &cost), 0);
    cr_assert_eq(next_map_commit(moving, &wanted, &next), 0);
    expect_may_follow(&next, moving);
    cr_assert_not_null(next.target);
    ringmap_deinit(&from);
    ringmap_deinit(&wanted);
    return next;
}

static inline struct staged forced(const struct ringmap *moving, uint16_t dead, uint16_t comes)
{
    struct staged staged = {.count = 0};

    cr_assert_eq(
        staged_add(&staged, moving, &(struct staged_change){.op = STAGED_REMOVE, .member = dead}),
        0);
    if (comes != 0)
        cr_assert_eq(staged_add(&staged, moving,
                                &(struct staged_change){.op = STAGED_JOIN, .member = comes}),
                     0);
    return staged;
}

#endif
