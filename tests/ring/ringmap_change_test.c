#include "ringmap_scene.h"

#include <errno.h>
#include <signal.h>

#include "tests/storage/alloc.h"

Test(ringmap_change, a_finished_plan_is_what_was_wanted)
{
    struct ringmap map = scene_map(), plan = scene_plan(&map), next;

    scene_add_key(&plan, 4, 0x11);
    plan.paused = true;
    plan.move_rate = 9;
    cr_assert_eq(ringmap_finished(&plan, &next), 0);
    ringmap_check(&next);
    cr_assert_null(ringmap_next_problem(&next, &plan));
    cr_assert_not(ringmap_moving(&next));
    cr_assert_eq(next.epoch, plan.epoch + 1);
    cr_assert_eq(next.members[0].state, RINGMAP_STATE_REMOVED);
    cr_assert_eq(next.members[4].state, RINGMAP_STATE_ACTIVE);
    for (uint16_t p = 0; p < SCENE_PARTITIONS; p++)
        cr_assert_eq(memcmp(ringmap_row(&next, p), ringmap_wanted(&plan, p),
                            SCENE_COPIES * sizeof *next.replicas),
                     0);
    cr_assert(next.paused && next.move_rate == 9);
    cr_assert_eq(memcmp(next.boxes, plan.boxes, SCENE_MEMBERS * sizeof *next.boxes), 0);
    ringmap_deinit(&next);
    ringmap_deinit(&plan);
    ringmap_deinit(&map);
}

Test(ringmap_change, a_plan_for_fewer_copies_ends_with_narrower_rows)
{
    struct ringmap map = scene_map(), plan = scene_next(&map), next;

    plan.target = calloc(SCENE_PARTITIONS * SCENE_COPIES, sizeof *plan.target);
    for (uint32_t p = 0; p < SCENE_PARTITIONS; p++)
        memcpy(plan.target + p * SCENE_COPIES, plan.replicas + p * SCENE_COPIES,
               2 * sizeof *plan.target);
    cr_assert_null(ringmap_next_problem(&plan, &map));
    cr_assert_eq(ringmap_copies(&plan), 2);
    cr_assert_eq(ringmap_finished(&plan, &next), 0);
    cr_assert_null(ringmap_next_problem(&next, &plan));
    cr_assert_eq(next.replica_count, 2);
    for (uint16_t p = 0; p < SCENE_PARTITIONS; p++)
        cr_assert_eq(memcmp(ringmap_row(&next, p), ringmap_row(&map, p), 4), 0);
    ringmap_deinit(&next);
    ringmap_deinit(&plan);
    ringmap_deinit(&map);
}

Test(ringmap_change, nothing_ends_where_nothing_moves, .signal = SIGABRT)
{
    struct ringmap map = scene_map(), next;

    ringmap_finished(&map, &next);
}

Test(ringmap_change, who_joins_is_the_last_and_has_no_data_key)
{
    struct ringmap map = scene_map(), next, again;
    struct ringmap_member who = scene_member(77);

    scene_add_key(&map, 1, 0xAB);
    scene_add_key(&map, 5, 0xCD);
    cr_assert_eq(ringmap_joined(&map, &who, &next), RINGMAP_E_OK);
    ringmap_check(&next);
    cr_assert_null(ringmap_next_problem(&next, &map));
    cr_assert_eq(next.member_count, 6);
    cr_assert_eq(next.members[5].id, 6, "not what it says of itself");
    cr_assert_eq(next.members[5].state, RINGMAP_STATE_JOINING);
    cr_assert_str_eq(next.members[5].address, who.address);
    cr_assert_eq(ringmap_member_by_key(&next, who.public_key), &next.members[5]);
    for (uint32_t key = 0; key < 2; key++) {
        for (uint16_t id = 1; id <= 4; id++)
            cr_assert_eq(
                memcmp(ringmap_box(&next, key, id), ringmap_box(&map, key, id), RINGMAP_BOX_SIZE),
                0);
        cr_assert_null(ringmap_box(&next, key, 5), "it is joining too");
        cr_assert_null(ringmap_box(&next, key, 6));
    }
    cr_assert_eq(ringmap_joined(&next, &who, &again), RINGMAP_E_MALFORMED, "known");
    ringmap_deinit(&next);
    ringmap_deinit(&map);
}

Test(ringmap_change, members_join_while_a_plan_is_under_way)
{
    struct ringmap map = scene_map(), plan = scene_plan(&map), next, finished;
    struct ringmap_member who = scene_member(6);

    cr_assert_eq(ringmap_joined(&plan, &who, &next), RINGMAP_E_OK);
    cr_assert_null(ringmap_next_problem(&next, &plan));
    cr_assert(ringmap_moving(&next));
    cr_assert_eq(ringmap_finished(&next, &finished), 0);
    cr_assert_eq(finished.members[5].state, RINGMAP_STATE_JOINING);
    ringmap_deinit(&finished);
    ringmap_deinit(&next);
    ringmap_deinit(&plan);
    ringmap_deinit(&map);
}

Test(ringmap_change, what_is_no_member_does_not_join)
{
    struct ringmap map = scene_map(), next = {.epoch = 99};
    struct ringmap_member who = scene_member(6);

    who.weight = 0;
    cr_assert_eq(ringmap_joined(&map, &who, &next), RINGMAP_E_MALFORMED);
    who = scene_member(6);
    strcpy(who.address, "127.0.0.1:7 ");
    memset(who.address + 12, 0, sizeof who.address - 12);
    cr_assert_eq(ringmap_joined(&map, &who, &next), RINGMAP_E_MALFORMED);
    memset(who.address, 'a', sizeof who.address);
    cr_assert_eq(ringmap_joined(&map, &who, &next), RINGMAP_E_MALFORMED, "without end");
    who = scene_member(6);
    who.zone[0] = 0x1b;
    cr_assert_eq(ringmap_joined(&map, &who, &next), RINGMAP_E_MALFORMED);
    who = scene_member(3);
    cr_assert_eq(ringmap_joined(&map, &who, &next), RINGMAP_E_MALFORMED, "a known key");
    cr_assert_eq(next.epoch, 99);
    ringmap_deinit(&map);
}

Test(ringmap_change, the_thousandth_member_is_the_last)
{
    struct ringmap map = scene_map(), next;
    struct ringmap_member who = scene_member(6);

    for (uint32_t id = 6; id <= RINGMAP_MEMBERS_MAX; id++) {
        who.public_key[0] = (uint8_t)id;
        who.public_key[1] = (uint8_t)(id >> 8);
        if (id < 900) /* not all of them: keys are compared with each other */
            id += 90;
        cr_assert_eq(ringmap_joined(&map, &who, &next), RINGMAP_E_OK, "%u", id);
        next.members[next.member_count - 1].id = (uint16_t)id;
        next.members[next.member_count - 1].state = RINGMAP_STATE_REMOVED;
        ringmap_deinit(&map);
        map = next;
    }
    who.public_key[2] ^= 0x55;
    cr_assert_eq(ringmap_joined(&map, &who, &next), RINGMAP_E_FULL);
    ringmap_deinit(&map);
}

/* Whoever holds a ticket for nodes can make a member that never comes back. */
Test(ringmap_change, only_so_many_join_at_once)
{
    struct ringmap map = scene_map(), next = {.epoch = 99};
    struct ringmap_member who = scene_member(6);

    while (ringmap_joining(&map) < RINGMAP_JOINING_MAX) {
        who.public_key[0]++;
        cr_assert_eq(ringmap_joined(&map, &who, &next), RINGMAP_E_OK);
        cr_assert_null(ringmap_next_problem(&next, &map));
        ringmap_deinit(&map);
        map = next;
    }
    who.public_key[0]++;
    next.epoch = 99;
    cr_assert_eq(ringmap_joined(&map, &who, &next), RINGMAP_E_CROWDED);
    cr_assert_eq(next.epoch, 99);

    next = scene_next(&map); /* one of them is gone: it is removed, and its place is free */
    next.members[30].state = RINGMAP_STATE_REMOVED;
    cr_assert_null(ringmap_next_problem(&next, &map));
    ringmap_deinit(&map);
    map = next;
    cr_assert_eq(ringmap_joined(&map, &who, &next), RINGMAP_E_OK);
    cr_assert_null(ringmap_next_problem(&next, &map));
    ringmap_deinit(&map);
    ringmap_deinit(&next);
}

/* Also when somebody counts otherwise; and maps in which there are more are changed like others. */
Test(ringmap_change, more_are_no_next_map)
{
    struct ringmap map = scene_map(), next;
    struct ringmap_member who = scene_member(6);

    while (ringmap_joining(&map) < RINGMAP_JOINING_MAX) {
        who.public_key[0]++;
        cr_assert_eq(ringmap_joined(&map, &who, &next), RINGMAP_E_OK);
        ringmap_deinit(&map);
        map = next;
    }
    map.members[10].state = RINGMAP_STATE_ACTIVE;
    who.public_key[0]++;
    cr_assert_eq(ringmap_joined(&map, &who, &next), RINGMAP_E_OK);
    map.members[10].state = RINGMAP_STATE_JOINING;
    next.members[10].state = RINGMAP_STATE_JOINING;
    cr_assert_str_eq(ringmap_next_problem(&next, &map),
                     "too many members are joining: a plan takes them in, or they are removed");
    ringmap_deinit(&map);
    map = scene_next(&next);
    map.move_rate = 5;
    cr_assert_null(ringmap_next_problem(&map, &next));
    ringmap_deinit(&map);
    ringmap_deinit(&next);
}

Test(ringmap_change, out_of_memory_is_returned_and_leaves_nothing)
{
    struct ringmap map = scene_map(), plan = scene_plan(&map), next = {.epoch = 99};
    struct ringmap_member who = scene_member(6);
    uint64_t n = 0;
    int r;

    scene_add_key(&plan, 1, 0xAB);
    do {
        alloc_fail_after(++n);
        r = ringmap_finished(&plan, &next);
        cr_assert(r == 0 || (r == -ENOMEM && next.epoch == 99), "%lu", (unsigned long)n);
    } while (r != 0);
    cr_assert_eq(n, 6);
    ringmap_deinit(&next);
    next.epoch = 99;
    n = 0;
    do {
        alloc_fail_after(++n);
        r = ringmap_joined(&plan, &who, &next);
        cr_assert(r == 0 || (r == -ENOMEM && next.epoch == 99), "%lu", (unsigned long)n);
    } while (r != 0);
    cr_assert_eq(n, 7);
    alloc_fail_after(0);
    ringmap_deinit(&next);
    ringmap_deinit(&plan);
    ringmap_deinit(&map);
}
