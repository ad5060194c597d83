#include "ring/staged.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "placement_model.h"
#include "tests/storage/alloc.h"

static struct ringmap founded(uint32_t members, uint32_t joining, uint32_t replicas)
{
    struct ringmap map = model_cluster(members + joining, 32, replicas);

    map.epoch = 5;
    for (uint32_t i = 0; i < map.member_count; i++) {
        map.members[i].public_key[0] = (uint8_t)(i + 1);
        strcpy(map.members[i].address, "10.0.0.1:7000");
        if (i >= members)
            map.members[i].state = RINGMAP_STATE_JOINING;
    }
    cr_assert_eq(placement_solve(&map), 0);
    map.meta_voters[0] = 1;
    map.meta_voter_count = 1;
    return map;
}

static int add(struct staged *staged, const struct ringmap *now, uint8_t op, uint16_t member,
               uint32_t value)
{
    struct staged_change change = {.op = op, .member = member, .value = value};

    return staged_add(staged, now, &change);
}

static int add_zone(struct staged *staged, const struct ringmap *now, uint16_t member,
                    const char *zone)
{
    struct staged_change change = {.op = STAGED_ZONE, .member = member};

    memcpy(change.zone, zone, strlen(zone));
    return staged_add(staged, now, &change);
}

Test(staged, what_is_asked_for_is_in_the_wanted_map)
{
    struct ringmap now = founded(5, 1, 3);
    struct staged staged = {.count = 0};
    struct placement_cost cost;
    struct ringmap wanted;

    cr_assert_eq(add(&staged, &now, STAGED_JOIN, 6, 0), 0);
    cr_assert_eq(add(&staged, &now, STAGED_LEAVE, 1, 0), 0);
    cr_assert_eq(add(&staged, &now, STAGED_WEIGHT, 2, 300), 0);
    cr_assert_eq(add_zone(&staged, &now, 3, "west"), 0);
    cr_assert_eq(add(&staged, &now, STAGED_REPLICAS, 0, 4), 0);
    cr_assert_eq(staged_wanted(&staged, &now, NULL, &wanted, &cost), 0);
    ringmap_check(&wanted);
    model_expect_placed(&wanted, 0);
    cr_assert_eq(wanted.epoch, 6);
    cr_assert_eq(wanted.replica_count, 4);
    cr_assert_eq(wanted.members[0].state, RINGMAP_STATE_LEAVING);
    cr_assert_eq(wanted.members[5].state, RINGMAP_STATE_ACTIVE);
    cr_assert_eq(wanted.members[1].weight, 300);
    cr_assert_str_eq(wanted.members[2].zone, "west");
    cr_assert_eq(wanted.meta_voter_count, 5);
    cr_assert_eq(cost.moves, model_moves(&now, &wanted));
    cr_assert_eq(now.members[0].state, RINGMAP_STATE_ACTIVE, "the present one is as it was");
    ringmap_deinit(&wanted);
    ringmap_deinit(&now);
}

Test(staged, a_new_node_for_a_dead_one_gets_what_that_held)
{
    struct ringmap now = founded(5, 1, 3);
    struct staged staged = {.count = 0};
    struct placement_cost cost;
    struct ringmap wanted;
    uint32_t *held = model_held(&now);

    cr_assert_eq(add(&staged, &now, STAGED_REMOVE, 2, 0), 0);
    cr_assert_eq(add(&staged, &now, STAGED_JOIN, 6, 0), 0);
    cr_assert_eq(staged_wanted(&staged, &now, NULL, &wanted, &cost), 0);
    cr_assert_eq(cost.moves, held[1]);
    cr_assert_eq(wanted.members[1].state, RINGMAP_STATE_REMOVED);
    free(held);
    ringmap_deinit(&wanted);
    ringmap_deinit(&now);
}

Test(staged, the_last_word_about_a_member_counts)
{
    struct ringmap now = founded(4, 1, 3);
    struct staged staged = {.count = 0};

    cr_assert_eq(add(&staged, &now, STAGED_LEAVE, 2, 0), 0);
    cr_assert_eq(add(&staged, &now, STAGED_WEIGHT, 2, 7), 0);
    cr_assert_eq(add(&staged, &now, STAGED_REMOVE, 2, 0), 0);
    cr_assert_eq(add(&staged, &now, STAGED_WEIGHT, 2, 8), 0);
    cr_assert_eq(staged.count, 2);
    cr_assert(staged.changes[0].op == STAGED_REMOVE && staged.changes[1].value == 8);
    ringmap_deinit(&now);
}

Test(staged, what_cannot_be_is_refused_and_changes_nothing)
{
    struct ringmap now = founded(2, 1, 2);
    struct staged staged = {.count = 0}, before;

    now.members[1].state = RINGMAP_STATE_LEAVING;
    cr_assert_eq(add(&staged, &now, STAGED_WEIGHT, 1, 5), 0);
    before = staged;
    cr_assert_eq(add(&staged, &now, STAGED_JOIN, 9, 0), STAGED_E_NO_MEMBER);
    cr_assert_eq(add(&staged, &now, STAGED_JOIN, 1, 0), STAGED_E_STATE);
    cr_assert_eq(add(&staged, &now, STAGED_LEAVE, 2, 0), STAGED_E_STATE);
    cr_assert_eq(add(&staged, &now, STAGED_LEAVE, 1, 0), STAGED_E_NOBODY);
    cr_assert_eq(add(&staged, &now, STAGED_WEIGHT, 1, 0), STAGED_E_VALUE);
    cr_assert_eq(add(&staged, &now, STAGED_REPLICAS, 0, 8), STAGED_E_VALUE);
    cr_assert_eq(add(&staged, &now, STAGED_REPLICAS, 0, 0), STAGED_E_VALUE);
    cr_assert_eq(add(&staged, &now, STAGED_REPLICAS, 1, 2), STAGED_E_VALUE);
    cr_assert_eq(add(&staged, &now, STAGED_OP_COUNT, 1, 2), STAGED_E_VALUE);
    cr_assert_eq(add_zone(&staged, &now, 1, "a\033b"), STAGED_E_VALUE);
    cr_assert_eq(memcmp(&staged, &before, sizeof staged), 0);
    cr_assert_eq(add(&staged, &now, STAGED_JOIN, 3, 0), 0);
    cr_assert_eq(add(&staged, &now, STAGED_LEAVE, 1, 0), 0, "now there is another");
    now.members[0].state = RINGMAP_STATE_REMOVED;
    cr_assert_eq(add(&staged, &now, STAGED_REMOVE, 1, 0), STAGED_E_STATE);
    ringmap_deinit(&now);
}

Test(staged, it_has_a_bound)
{
    struct ringmap now = founded(70, 0, 3);
    struct staged staged = {.count = 0};

    for (uint16_t i = 1; i <= STAGED_MAX; i++)
        cr_assert_eq(add_zone(&staged, &now, i, "0123456789012345678901234567890"), 0);
    cr_assert_eq(add(&staged, &now, STAGED_WEIGHT, 1, 5), STAGED_E_FULL);
    cr_assert_eq(add_zone(&staged, &now, 7, "0123456789012345678901234567890"), 0, "again");
    ringmap_deinit(&now);
}

Test(staged, no_memory_is_an_answer)
{
    struct ringmap now = founded(4, 0, 3);
    struct staged staged = {.count = 0};
    struct placement_cost cost;
    struct ringmap wanted;
    int r;

    cr_assert_eq(add(&staged, &now, STAGED_LEAVE, 2, 0), 0);
    for (uint64_t n = 1;; n++) {
        alloc_fail_after(n);
        r = staged_wanted(&staged, &now, NULL, &wanted, &cost);
        if (!alloc_failed())
            break;
        cr_assert_eq(r, -ENOMEM);
    }
    alloc_fail_after(0);
    cr_assert_eq(r, 0);
    ringmap_deinit(&wanted);
    ringmap_deinit(&now);
}
