/* Which map may come after which: each rule, by a change that breaks it alone. */
#include "ringmap_scene.h"

static void expect(const char *problem, const char *want)
{
    if (!want)
        cr_assert_null(problem, "%s", problem);
    else
        cr_assert_str_eq(problem ? problem : "nothing", want);
}

/* What is wrong with it some epochs later, and with it as the very next. */
static void expect_changed(const struct ringmap *before, void (*change)(struct ringmap *map),
                           const char *follows, const char *next)
{
    struct ringmap map = scene_next(before);

    change(&map);
    expect(ringmap_follows_problem(&map, before), follows);
    expect(ringmap_next_problem(&map, before), next);
    if (!follows) {
        map.epoch += 7;
        expect(ringmap_follows_problem(&map, before), NULL);
        expect(ringmap_next_problem(&map, before), "its epoch is not the next one");
    }
    ringmap_deinit(&map);
}

static void nothing(struct ringmap *map)
{
    (void)map;
}

static void other_cluster(struct ringmap *map)
{
    map->cluster[3] ^= 1;
}

static void other_secret(struct ringmap *map)
{
    map->hash_secret[15] ^= 1;
}

static void same_epoch(struct ringmap *map)
{
    map->epoch--;
}

static void other_key(struct ringmap *map)
{
    map->members[1].public_key[31] ^= 1;
}

static void other_id(struct ringmap *map)
{
    map->members[4].id = 6;
}

static void one_less(struct ringmap *map)
{
    map->member_count--;
}

static void moved_and_weighed(struct ringmap *map)
{
    strcpy(map->members[1].address, "127.0.0.1:9999");
    strcpy(map->members[1].zone, "west");
    map->members[1].weight = 7;
}

static void settings(struct ringmap *map)
{
    map->paused = true;
    map->move_rate = 100;
}

Test(ringmap_follow, identities_are_for_ever_and_the_rest_of_a_member_is_not)
{
    struct ringmap map = scene_map();

    expect_changed(&map, nothing, NULL, NULL);
    expect_changed(&map, moved_and_weighed, NULL, NULL);
    expect_changed(&map, settings, NULL, NULL);
    expect_changed(&map, other_cluster, "it is a map of another cluster",
                   "it is a map of another cluster");
    expect_changed(&map, other_secret, "it is a map of another cluster",
                   "it is a map of another cluster");
    expect_changed(&map, same_epoch, "its epoch is not a later one",
                   "its epoch is not a later one");
    expect_changed(&map, other_key, "a member's id and key are for ever",
                   "a member's id and key are for ever");
    expect_changed(&map, other_id, "a member's id and key are for ever",
                   "a member's id and key are for ever");
    expect_changed(&map, one_less, "members cannot be taken out of the list",
                   "members cannot be taken out of the list");
    ringmap_deinit(&map);
}

static void add_member(struct ringmap *map, uint8_t state)
{
    map->members = realloc(map->members, (map->member_count + 1) * sizeof *map->members);
    map->members[map->member_count] = scene_member((uint16_t)(map->member_count + 1));
    map->members[map->member_count++].state = state;
}

static void add_joining(struct ringmap *map)
{
    add_member(map, RINGMAP_STATE_JOINING);
    add_member(map, RINGMAP_STATE_JOINING);
}

static void add_active(struct ringmap *map)
{
    add_member(map, RINGMAP_STATE_ACTIVE);
}

Test(ringmap_follow, new_members_come_as_joining)
{
    struct ringmap map = scene_map(), plan = scene_plan(&map);

    expect_changed(&map, add_joining, NULL, NULL);
    expect_changed(&plan, add_joining, NULL, NULL);
    expect_changed(&map, add_active, NULL, "new members come as joining");
    ringmap_deinit(&plan);
    ringmap_deinit(&map);
}

/* Every state after every other: what is final, and what may have happened in between. */
Test(ringmap_follow, states_go_forwards_only)
{
    static const bool may[5][5] = {
        [RINGMAP_STATE_JOINING] = {0, true, true, true, true},
        [RINGMAP_STATE_ACTIVE] = {0, false, true, true, true},
        [RINGMAP_STATE_LEAVING] = {0, false, true, true, true},
        [RINGMAP_STATE_REMOVED] = {0, false, false, false, true},
    };
    struct ringmap map = scene_map(), next = scene_next(&map);

    for (uint8_t was = 1; was <= 4; was++)
        for (uint8_t state = 1; state <= 4; state++) {
            map.members[4].state = was;
            next.members[4].state = state;
            cr_assert_eq(ringmap_follows_problem(&next, &map) == NULL, may[was][state],
                         "from %u to %u", was, state);
        }
    ringmap_deinit(&next);
    ringmap_deinit(&map);
}

static void take_in(struct ringmap *map)
{
    map->members[4].state = RINGMAP_STATE_ACTIVE;
}

static void let_leave(struct ringmap *map)
{
    map->members[0].state = RINGMAP_STATE_LEAVING;
}

static void begin_joining(struct ringmap *map)
{
    map->members[3].state = RINGMAP_STATE_JOINING;
}

static void joining_leaves(struct ringmap *map)
{
    map->members[4].state = RINGMAP_STATE_LEAVING;
}

static void turn_away(struct ringmap *map)
{
    map->members[4].state = RINGMAP_STATE_REMOVED;
}

Test(ringmap_follow, without_a_plan_members_are_only_turned_away)
{
    struct ringmap map = scene_map();

    expect_changed(&map, turn_away, NULL, NULL);
    expect_changed(&map, take_in, NULL, "only a plan takes members in or lets them leave");
    expect_changed(&map, let_leave, NULL, "only a plan takes members in or lets them leave");
    expect_changed(&map, joining_leaves, NULL, "who is joining holds nothing to leave with");
    expect_changed(&map, begin_joining, "no member begins to join again",
                   "no member begins to join again");
    turn_away(&map);
    expect_changed(&map, take_in, "a removed member cannot come back",
                   "a removed member cannot come back");
    ringmap_deinit(&map);
}

static void swap_leaders(struct ringmap *map)
{
    map->replicas[0] = 2;
    map->replicas[1] = 1;
}

static void other_voters(struct ringmap *map)
{
    map->meta_voters[2] = 4;
}

static void fewer_voters(struct ringmap *map)
{
    map->meta_voters[1] = map->meta_voters[2] = 0;
    map->meta_voter_count = 1;
}

Test(ringmap_follow, replicas_and_voters_change_by_a_plan_only)
{
    struct ringmap map = scene_map(), plan = scene_plan(&map);

    cr_assert_null(ringmap_next_problem(&plan, &map));
    expect_changed(&map, swap_leaders, NULL, "replicas move by a plan only");
    expect_changed(&plan, swap_leaders, NULL, "replicas move by a plan only");
    expect_changed(&map, other_voters, NULL, "voters of the meta group change by a plan only");
    expect_changed(&map, fewer_voters, NULL, "voters of the meta group change by a plan only");
    expect_changed(&plan, fewer_voters, NULL, NULL);
    ringmap_deinit(&plan);
    ringmap_deinit(&map);
}

/* Back to where it came from: who was leaving stays, who was taken in holds nothing for now. */
static void abort_plan(struct ringmap *map)
{
    memcpy(map->target, map->replicas, SCENE_PARTITIONS * SCENE_COPIES * sizeof *map->target);
    map->members[0].state = RINGMAP_STATE_ACTIVE;
}

static void more_copies(struct ringmap *map)
{
    uint16_t *wide = calloc(SCENE_PARTITIONS * 4, sizeof *wide), *target;

    for (uint32_t p = 0; p < SCENE_PARTITIONS; p++)
        memcpy(wide + p * 4, map->replicas + p * SCENE_COPIES, SCENE_COPIES * sizeof *wide);
    target = calloc(SCENE_PARTITIONS * 4, sizeof *target);
    for (uint32_t i = 0; i < SCENE_PARTITIONS * 4; i++)
        target[i] = (uint16_t)(i % 4 + 1);
    free(map->replicas);
    free(map->target);
    map->replicas = wide;
    map->target = target;
    map->replica_count = 4;
    map->members[0].state = RINGMAP_STATE_ACTIVE;
    ringmap_check(map);
}

static void more_replicas(struct ringmap *map)
{
    more_copies(map);
    map->replicas[3] = 4;
    ringmap_check(map);
}

Test(ringmap_follow, a_plan_may_be_replaced_by_another)
{
    struct ringmap map = scene_map(), plan = scene_plan(&map);

    expect_changed(&plan, abort_plan, NULL, NULL);
    expect_changed(&plan, more_copies, NULL, NULL);
    expect_changed(&map, more_copies, NULL, NULL);
    expect_changed(&map, more_replicas, NULL, "replicas move by a plan only");
    ringmap_deinit(&plan);
    ringmap_deinit(&map);
}

static void drop_target(struct ringmap *map)
{
    free(map->target);
    map->target = NULL;
}

static void finish(struct ringmap *map)
{
    free(map->replicas);
    map->replicas = map->target;
    map->target = NULL;
    map->members[0].state = RINGMAP_STATE_REMOVED;
    ringmap_check(map);
}

static void finish_but_one(struct ringmap *map)
{
    finish(map);
    map->members[0].state = RINGMAP_STATE_LEAVING;
}

static void finish_and_remove(struct ringmap *map)
{
    finish(map);
    map->members[3].state = RINGMAP_STATE_REMOVED;
}

static void finish_elsewhere(struct ringmap *map)
{
    finish(map);
    map->replicas[1] = map->replicas[1] == 5 ? 4 : 5;
}

static void finish_and_vote(struct ringmap *map)
{
    finish(map);
    map->meta_voters[0] = 5;
}

Test(ringmap_follow, a_plan_ends_where_it_led_to)
{
    struct ringmap map = scene_map(), plan = scene_plan(&map);

    expect_changed(&plan, finish, NULL, NULL);
    expect_changed(&plan, drop_target, NULL, "a member is leaving, and no plan says where to");
    expect_changed(&plan, finish_but_one, NULL, "a member is leaving, and no plan says where to");
    expect_changed(&plan, finish_and_remove, NULL,
                   "the end of a plan changes nobody but those who leave");
    expect_changed(&plan, finish_elsewhere, NULL, "a plan ends where it led to");
    expect_changed(&plan, finish_and_vote, NULL, "voters of the meta group change by a plan only");
    ringmap_deinit(&plan);
    ringmap_deinit(&map);
}

/* --- force --------------------------------------------------------------------------------- */

static void strip(struct ringmap *map, uint16_t *table, uint16_t id)
{
    for (uint32_t p = 0; p < SCENE_PARTITIONS; p++) {
        uint16_t *row = table + p * SCENE_COPIES;
        uint32_t kept = 0;

        for (uint32_t i = 0; i < SCENE_COPIES; i++)
            if (row[i] != id)
                row[kept++] = row[i];
        while (kept < SCENE_COPIES)
            row[kept++] = 0;
    }
    map->members[id - 1].state = RINGMAP_STATE_REMOVED;
}

/* Member 1 is dead: 5 gets what it held. */
static void replace_by_force(struct ringmap *map)
{
    struct ringmap plan = scene_plan(map);

    free(map->target);
    map->target = plan.target;
    plan.target = NULL;
    memcpy(map->meta_voters, plan.meta_voters, sizeof map->meta_voters);
    ringmap_deinit(&plan);
    take_in(map);
    strip(map, map->replicas, 1);
    ringmap_check(map);
}

static void replace_and_move(struct ringmap *map)
{
    replace_by_force(map);
    map->replicas[0] = map->replicas[0] == 2 ? 4 : 2;
}

static void remove_from_all(struct ringmap *map)
{
    strip(map, map->replicas, 1);
    map->meta_voters[0] = 2;
    map->meta_voters[1] = map->meta_voters[2] = 0;
    map->meta_voter_count = 1;
}

Test(ringmap_follow, who_is_removed_by_force_is_in_no_row_any_more)
{
    struct ringmap map = scene_map(), plan = scene_plan(&map);

    expect_changed(&map, replace_by_force, NULL, NULL);
    expect_changed(&plan, replace_by_force, NULL, NULL);
    expect_changed(&map, replace_and_move, NULL, "replicas move by a plan only");
    ringmap_deinit(&plan);
    ringmap_deinit(&map);
}

/* All three that the first partition comes from are removed, whoever was to get it: it comes from
 * where it goes to. */
static void begin_anew(struct ringmap *map)
{
    uint16_t dead[SCENE_COPIES], left = 1 + 2 + 3 + 4;

    memcpy(dead, map->replicas, sizeof dead);
    for (uint32_t i = 0; i < SCENE_COPIES; i++) {
        strip(map, map->replicas, dead[i]);
        left = (uint16_t)(left - dead[i]);
    }
    map->members[left - 1].state = RINGMAP_STATE_ACTIVE;
    for (uint32_t p = 0; p < SCENE_PARTITIONS; p++) {
        uint16_t *from = map->replicas + p * SCENE_COPIES, *to = map->target + p * SCENE_COPIES;

        memcpy(to, (const uint16_t[SCENE_COPIES]){left, 5}, SCENE_COPIES * sizeof *to);
        if (from[0] == 0)
            memcpy(from, to, SCENE_COPIES * sizeof *to);
    }
    memset(map->meta_voters, 0, sizeof map->meta_voters);
    map->meta_voters[0] = left;
    map->meta_voter_count = 1;
    ringmap_check(map);
}

static void begin_elsewhere(struct ringmap *map)
{
    begin_anew(map);
    map->replicas[1] = 0;
    ringmap_check(map);
}

static void lose_all(struct ringmap *map)
{
    struct ringmap plan = scene_plan(map);

    map->target = plan.target;
    plan.target = NULL;
    ringmap_deinit(&plan);
    take_in(map);
    begin_anew(map);
}

Test(ringmap_follow, a_partition_on_its_way_may_lose_all_that_it_came_from)
{
    struct ringmap map = scene_map(), plan = scene_plan(&map);

    expect_changed(&plan, begin_anew, NULL, NULL);
    expect_changed(&plan, begin_elsewhere, NULL, "replicas move by a plan only");
    expect_changed(&map, lose_all, NULL, "replicas move by a plan only");
    ringmap_deinit(&plan);
    ringmap_deinit(&map);
}

/* Three members with everything, one of which goes for good: no plan is needed for what is left. */
Test(ringmap_follow, all_rows_may_lose_the_same_member)
{
    struct ringmap map = scene_map(), next;

    for (uint32_t i = 0; i < SCENE_PARTITIONS * SCENE_COPIES; i++)
        map.replicas[i] = (uint16_t)(i % SCENE_COPIES + 1);
    next = scene_next(&map);
    remove_from_all(&next);
    ringmap_check(&next);
    cr_assert_eq(ringmap_copies(&next), 2);
    cr_assert_null(ringmap_next_problem(&next, &map));
    next.members[0].state = RINGMAP_STATE_ACTIVE;
    cr_assert_not_null(ringmap_next_problem(&next, &map), "nobody was removed");
    ringmap_deinit(&next);
    ringmap_deinit(&map);
}

/* --- data keys ----------------------------------------------------------------------------- */

Test(ringmap_follow, data_keys_are_only_added)
{
    struct ringmap map = scene_map(), next;

    scene_add_key(&map, 1, 0xAB);
    next = scene_next(&map);
    scene_add_key(&next, 2, 0xCD);
    cr_assert_null(ringmap_next_problem(&next, &map));
    next.key_ids[0] = 3;
    expect(ringmap_follows_problem(&next, &map), "data keys can only be added");
    next.key_count = 0;
    expect(ringmap_follows_problem(&next, &map), "data keys can only be added");
    ringmap_deinit(&next);
    ringmap_deinit(&map);
}

static const char for_ever[] = "a member's box of a data key is for ever";
static const char not_taken_in[] = "a data key for a member that no plan has taken in";
static const char no_part[] = "a data key for a member that does not take part";
static const char no_box[] = "a member that is to take part has no box of a data key";

Test(ringmap_follow, a_box_stays_as_it_is_whoever_comes_and_goes)
{
    struct ringmap map = scene_map(), next, gone;
    struct ringmap_member who = scene_member(6);

    scene_add_key(&map, 1, 0xAB);
    scene_add_key(&map, 2, 0xCD);
    cr_assert_eq(ringmap_joined(&map, &who, &next), 0);
    cr_assert_null(ringmap_next_problem(&next, &map));
    next.boxes[7][80] ^= 1; /* member 2's of the second key */
    expect(ringmap_follows_problem(&next, &map), for_ever);
    scene_box(&next, 1, 1, 0);
    expect(ringmap_follows_problem(&next, &map), for_ever);
    scene_box(&next, 1, 1, 0xCD);
    cr_assert_null(ringmap_next_problem(&next, &map));
    gone = scene_next(&next);
    gone.members[5].state = RINGMAP_STATE_REMOVED;
    cr_assert_null(ringmap_next_problem(&gone, &next));
    scene_box(&gone, 0, 5, 1);
    expect(ringmap_next_problem(&gone, &next), no_part);
    cr_assert_null(ringmap_follows_problem(&gone, &next), "a plan may have taken it in between");
    scene_box(&gone, 0, 5, 0);
    ringmap_deinit(&next);
    next = scene_next(&gone);
    scene_box(&next, 0, 5, 1);
    expect(ringmap_follows_problem(&next, &gone), "a data key for a member that was removed");
    ringmap_deinit(&gone);
    ringmap_deinit(&next);
    ringmap_deinit(&map);
}

Test(ringmap_follow, who_is_joining_gets_its_boxes_with_the_plan_that_takes_it_in)
{
    struct ringmap map = scene_map(), next, plan, later;

    scene_add_key(&map, 1, 0xAB);
    scene_add_key(&map, 2, 0xCD);
    next = scene_next(&map);
    cr_assert_null(ringmap_next_problem(&next, &map));
    scene_box(&next, 0, 4, 1);
    expect(ringmap_follows_problem(&next, &map), not_taken_in);
    plan = scene_plan(&map);
    expect(ringmap_next_problem(&plan, &map), no_box);
    cr_assert_null(ringmap_follows_problem(&plan, &map), "they may come later");
    scene_box(&plan, 0, 4, 1);
    expect(ringmap_next_problem(&plan, &map), no_box);
    scene_box(&plan, 1, 4, 2);
    cr_assert_null(ringmap_next_problem(&plan, &map));
    cr_assert_eq(ringmap_finished(&plan, &later), 0);
    cr_assert_null(ringmap_next_problem(&later, &plan));
    cr_assert_null(ringmap_follows_problem(&later, &map));
    scene_box(&later, 1, 4, 0);
    expect(ringmap_follows_problem(&later, &plan), for_ever);
    ringmap_deinit(&later);
    ringmap_deinit(&plan);
    ringmap_deinit(&next);
    ringmap_deinit(&map);
}

Test(ringmap_follow, a_new_data_key_is_for_all_who_take_part_and_nobody_else)
{
    struct ringmap map = scene_map(), next;

    scene_add_key(&map, 1, 0xAB);
    next = scene_next(&map);
    scene_add_key(&next, 2, 0xCD);
    scene_box(&next, 1, 4, 1);
    expect(ringmap_next_problem(&next, &map), no_part);
    cr_assert_null(ringmap_follows_problem(&next, &map), "versions before gave it to all");
    scene_box(&next, 1, 4, 0);
    cr_assert_null(ringmap_next_problem(&next, &map));
    scene_box(&next, 1, 3, 0);
    expect(ringmap_next_problem(&next, &map), no_box);
    ringmap_deinit(&next);
    ringmap_deinit(&map);
}

/* Versions before made them when the node joined. */
Test(ringmap_follow, boxes_that_somebody_joining_has_stay_and_serve)
{
    struct ringmap map = scene_map(), next, plan;

    scene_add_key(&map, 1, 0xAB);
    scene_box(&map, 0, 4, 1);
    next = scene_next(&map);
    cr_assert_null(ringmap_next_problem(&next, &map));
    plan = scene_plan(&map);
    cr_assert_null(ringmap_next_problem(&plan, &map));
    scene_box(&next, 0, 4, 0);
    expect(ringmap_follows_problem(&next, &map), for_ever);
    ringmap_deinit(&plan);
    ringmap_deinit(&next);
    ringmap_deinit(&map);
}

Test(ringmap_follow, boxes_that_are_missing_may_come_at_any_time)
{
    struct ringmap map = scene_map(), next;

    scene_add_key(&map, 1, 0xAB);
    scene_box(&map, 0, 2, 0);
    next = scene_next(&map);
    cr_assert_null(ringmap_next_problem(&next, &map), "and be missing until then");
    scene_box(&next, 0, 2, 7);
    cr_assert_null(ringmap_next_problem(&next, &map));
    ringmap_deinit(&next);
    ringmap_deinit(&map);
}

Test(ringmap_follow, a_cluster_founded_without_encryption_stays_so)
{
    struct ringmap map = scene_map(), next = scene_next(&map);

    scene_add_key(&next, 1, 0xAB);
    expect(ringmap_follows_problem(&next, &map),
           "a cluster that was founded without encryption cannot switch to it");
    ringmap_deinit(&next);
    ringmap_deinit(&map);
}
