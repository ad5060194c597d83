#include "cli/remedy.h"

#include "cli/planning.h"
#include "ring/placement.h"

#include <criterion/criterion.h>
#include <string.h>

#include "view_scene.h"

static struct view view;
static char text[REMEDY_TEXT_SIZE];

/* Of that member, when nothing has moved. */
static const char *remedy_of(uint16_t member)
{
    struct moves moves = scene_moves(&view);

    remedy_text(&view, &moves, view_node(&view, member), text, sizeof text);
    moves_deinit(&moves);
    return text;
}

Test(remedy, who_can_be_missed_may_be_removed_or_replaced)
{
    view = scene_view(4, 0, 16, 3);
    scene_lose(&view, 2);
    cr_assert_str_eq(
        remedy_of(2),
        "start it; if it is lost: ring-admin remove --force 2, or ring-admin replace 2 "
        "NEW with a node that has joined");
    view_deinit(&view);
}

Test(remedy, where_all_are_needed_only_another_node_helps)
{
    view = scene_view(3, 0, 16, 3);
    scene_lose(&view, 2);
    cr_assert_str_eq(remedy_of(2), "start it; if it is lost: ring-admin replace 2 NEW with a node "
                                   "that has joined");
    view_deinit(&view);
    view = scene_view(3, 1, 16, 3);
    scene_lose(&view, 2);
    cr_assert_str_eq(remedy_of(2), "start it; if it is lost: ring-admin replace 2 4");
    scene_lose(&view, 4);
    cr_assert_str_eq(remedy_of(4), "start it; if it is lost: ring-admin remove --force 4",
                     "it holds nothing that another could take");
    view_deinit(&view);
}

static const char *remedy_of_lost(uint16_t member)
{
    struct moves moves = scene_moves(&view);

    view.nodes[member - 1].status.shards_lost = 1;
    remedy_lost_text(&view, &moves, view_node(&view, member), text, sizeof text);
    moves_deinit(&moves);
    return text;
}

Test(remedy, who_has_a_shard_beyond_repair_leaves_or_is_replaced)
{
    view = scene_view(4, 0, 16, 3);
    cr_assert_str_eq(remedy_of_lost(2),
                     "ring-admin leave 2, or ring-admin replace 2 NEW with a node that has joined");
    view.map.members[1].state = RINGMAP_STATE_LEAVING;
    cr_assert_str_eq(remedy_of_lost(2), "wait: it leaves; watch with ring-admin moves");
    view_deinit(&view);
    view = scene_view(3, 0, 16, 3);
    cr_assert_str_eq(remedy_of_lost(2), "ring-admin replace 2 NEW with a node that has joined",
                     "nobody else could hold it");
    view_deinit(&view);
    view = scene_view(3, 1, 16, 3);
    cr_assert_str_eq(remedy_of_lost(2), "ring-admin replace 2 4");
    view_deinit(&view);
}

Test(remedy, the_only_node_does_not_go_without_another)
{
    view = scene_view(1, 0, 16, 1);
    cr_assert_str_eq(remedy_of_lost(1), "ring-admin replace 1 NEW with a node that has joined");
    view_deinit(&view);
    view = scene_view(1, 1, 16, 1);
    cr_assert_str_eq(remedy_of_lost(1), "ring-admin replace 1 2");
    scene_lose(&view, 1);
    cr_assert_str_eq(remedy_of(1),
                     "start it: without it there is no majority that could change anything");
    view_deinit(&view);
}

/* Each alone would be given what the other holds. */
Test(remedy, those_with_shards_beyond_repair_and_the_dead_go_together)
{
    struct moves moves;

    view = scene_view(7, 0, 16, 5);
    view.nodes[6].status.shards_lost = 1;
    cr_assert_str_eq(remedy_of_lost(6),
                     "ring-admin commit --auto leave 6 leave 7, or ring-admin replace 6 NEW with a "
                     "node that has joined");
    view_deinit(&view);

    view = scene_view(7, 0, 16, 5);
    scene_lose(&view, 6);
    cr_assert_str_eq(remedy_of_lost(7),
                     "ring-admin commit --auto remove 6 leave 7, or ring-admin replace 7 NEW with "
                     "a node that has joined");
    moves = scene_moves(&view);
    remedy_text(&view, &moves, view_node(&view, 6), text, sizeof text);
    cr_assert(strstr(text, "ring-admin commit --auto remove 6 leave 7"), "%s", text);
    moves_deinit(&moves);
    view_deinit(&view);
}

Test(remedy, of_a_shard_beyond_repair_nothing_is_advised_that_no_majority_could_do)
{
    view = scene_view(3, 1, 16, 3);
    scene_lose(&view, 1);
    scene_lose(&view, 3);
    cr_assert_str_eq(remedy_of_lost(2),
                     "start who is down: there is no majority that could change anything");
    view_deinit(&view);
}

Test(remedy, who_is_joining_with_a_shard_beyond_repair_is_let_go)
{
    view = scene_view(4, 1, 16, 3);
    cr_assert_str_eq(remedy_of_lost(5), "ring-admin leave 5");
    view_deinit(&view);
}

/* What node 6 held is to go to others, of which one cannot take it. There is no way back. */
Test(remedy, no_abort_is_advised_that_needs_a_shard_beyond_repair)
{
    const struct staged both = {
        .changes = {{.op = STAGED_LEAVE, .member = 1}, {.op = STAGED_REMOVE, .member = 6}},
        .count = 2};
    const struct staged leave = {.changes = {{.op = STAGED_LEAVE, .member = 3}}, .count = 1};
    struct planning planning;
    struct moves moves;

    view = scene_view(6, 0, 16, 3);
    scene_lose(&view, 6);
    scene_begin_all(&view, &both);
    cr_assert_null(strstr(remedy_of_lost(3), "abort"), "%s", text);
    cr_assert(strstr(text, "ring-admin leave 3"), "%s", text);
    moves = scene_moves(&view);
    cr_assert_eq(planning_make(&planning, &view, &moves, &leave), 0);
    cr_assert_null(ringmap_next_problem(&planning.next, &view.map));
    planning_deinit(&planning);
    moves_deinit(&moves);
    view_deinit(&view);
}

Test(remedy, the_last_of_a_zone_is_removed_where_replicas_may_share_one)
{
    view = scene_view(4, 0, 16, 3);
    for (uint32_t i = 0; i < 4; i++)
        view.map.members[i].zone[0] = "aabc"[i];
    cr_assert_eq(placement_solve(&view.map), 0);
    scene_answer(&view);
    scene_lose(&view, 4);
    cr_assert(strstr(remedy_of(4), "ring-admin commit --auto remove 4 share-zones, or ring-admin "
                                   "replace 4 NEW"),
              "%s", text);
    scene_answer(&view);
    scene_lose(&view, 1);
    cr_assert(strstr(remedy_of(1), "ring-admin remove --force 1"), "%s", text);
    view_deinit(&view);
}

Test(remedy, without_a_majority_no_command_helps)
{
    view = scene_view(3, 0, 16, 3);
    scene_lose(&view, 1);
    scene_lose(&view, 2);
    cr_assert_null(strstr(remedy_of(2), "ring-admin"), "%s", text);
    cr_assert(strstr(text, "start it"));
    view_deinit(&view);
}

/* Of five replicas each, so that all keep their majority. */
Test(remedy, two_that_would_take_from_each_other_go_together)
{
    view = scene_view(7, 0, 16, 5);
    scene_lose(&view, 6);
    scene_lose(&view, 7);
    cr_assert(strstr(remedy_of(6), "ring-admin commit --auto remove 6 remove 7"), "%s", text);
    cr_assert_null(strstr(text, "--force"), "%s", text);
    view_deinit(&view);
}

Test(remedy, who_would_not_be_accepted_is_not_advised)
{
    view = scene_view(3, 1, 16, 3);
    scene_lose(&view, 2);
    view.nodes[3].status.disk_free = 0;
    cr_assert_null(strstr(remedy_of(2), "ring-admin replace"), "%s", text);
    cr_assert(strstr(text, "ring-admin plan replace 2 4, which says what that one lacks"), "%s",
              text);
    view_deinit(&view);

    view = scene_view(6, 0, 16, 5); /* four are too few */
    scene_lose(&view, 5);
    scene_lose(&view, 6);
    cr_assert_null(strstr(remedy_of(6), "remove"), "%s", text);
    view_deinit(&view);
}

Test(remedy, a_plan_may_be_given_up_where_that_ends)
{
    view = scene_view(4, 1, 16, 3);
    scene_begin(&view, &(struct staged_change){.op = STAGED_JOIN, .member = 5});
    scene_lose(&view, 5);
    cr_assert(strstr(remedy_of(5), "ring-admin abort, or ring-admin remove --force 5"), "%s", text);
    view_deinit(&view);
}

Test(remedy, a_plan_is_not_given_up_for_one_that_it_does_not_wait_for)
{
    view = scene_view(5, 1, 16, 3);
    scene_begin(&view, &(struct staged_change){.op = STAGED_JOIN, .member = 6});
    scene_lose(&view, 2);
    cr_assert_null(strstr(remedy_of(2), "abort"), "%s", text);
    cr_assert(strstr(text, "ring-admin remove --force 2"), "%s", text);
    view_deinit(&view);
}

/* What is said when these changes are refused. */
static const char *without_dead(const struct staged *staged, const char *words)
{
    struct moves moves = scene_moves(&view);
    struct planning planning;

    cr_assert_eq(planning_make(&planning, &view, &moves, staged), 0);
    cr_assert(plan_refused(&planning.plan));
    remedy_without_dead(&view, &moves, staged, &planning.plan, words, text, sizeof text);
    planning_deinit(&planning);
    moves_deinit(&moves);
    return text;
}

Test(remedy, what_needs_the_dead_goes_on_without_them_where_that_would_be_accepted)
{
    const struct staged leave = {.changes = {{.op = STAGED_LEAVE, .member = 1}}, .count = 1};
    struct staged joins = {.changes = {{.op = STAGED_JOIN, .member = 5}}, .count = 1};

    view = scene_view(5, 0, 16, 3);
    scene_lose(&view, 5);
    cr_assert_str_eq(without_dead(&leave, "leave 1"), "ring-admin commit --auto leave 1 remove 5");
    view_deinit(&view);

    view = scene_view(4, 0, 16, 3);
    scene_lose(&view, 4);
    cr_assert_str_eq(without_dead(&leave, "leave 1"), "", "two are too few for three replicas");
    view_deinit(&view);

    view = scene_view(4, 1, 16, 3);
    scene_lose(&view, 5);
    cr_assert_str_eq(without_dead(&joins, ""), "ring-admin remove --force 5");
    view_deinit(&view);
}

Test(remedy, what_would_give_more_to_a_shard_beyond_repair_goes_on_beside_its_leaving)
{
    const struct staged leave = {.changes = {{.op = STAGED_LEAVE, .member = 6}}, .count = 1};
    struct planning planning;
    struct moves moves;

    view = scene_view(7, 0, 16, 5);
    view.nodes[5].status.shards_lost = view.nodes[6].status.shards_lost = 1;
    moves = scene_moves(&view);
    cr_assert_eq(planning_make(&planning, &view, &moves, &leave), 0);
    cr_assert(plan_refused(&planning.plan));
    remedy_with_lost(&view, &moves, &leave, &planning.plan, "leave 6", text, sizeof text);
    cr_assert_str_eq(text, "ring-admin commit --auto leave 6 leave 7");
    planning_deinit(&planning);
    moves_deinit(&moves);
    view_deinit(&view);
}

/* A removal beside no other word would be all that is done. */
Test(remedy, who_is_joining_without_a_word_still_is_beside_a_removal)
{
    const struct staged_change join = {.op = STAGED_JOIN, .member = 5};
    struct staged staged = {.changes = {join}, .count = 1};

    view = scene_view(4, 1, 16, 3);
    view.map.members[3].weight = 1;
    cr_assert_eq(placement_solve(&view.map), 0);
    view.map.members[3].weight = 400;
    scene_answer(&view);
    scene_lose(&view, 4);
    cr_assert_str_eq(without_dead(&staged, ""), "ring-admin commit --auto join 5 remove 4");
    cr_assert_str_eq(without_dead(&staged, "join 5"), "ring-admin commit --auto join 5 remove 4");
    staged.shares_zones = true;
    cr_assert_str_eq(without_dead(&staged, "share-zones"),
                     "ring-admin commit --auto share-zones join 5 remove 4",
                     "a word that changes nothing");
    view_deinit(&view);
}

/* What is said when too few would be active. */
static const char *with_fewer(const struct staged *staged, const char *words)
{
    struct moves moves = scene_moves(&view);
    struct planning planning;

    cr_assert_eq(planning_make(&planning, &view, &moves, staged), 0);
    remedy_with_fewer(&view, &moves, staged, &planning.plan, words, text, sizeof text);
    planning_deinit(&planning);
    moves_deinit(&moves);
    return text;
}

/* Three hold all, and a plan that takes in a fourth is under way when one is lost. */
Test(remedy, fewer_replicas_are_named_where_they_would_be_accepted)
{
    struct staged both = {
        .changes = {{.op = STAGED_REMOVE, .member = 3}, {.op = STAGED_REMOVE, .member = 4}},
        .count = 2};

    view = scene_view(3, 1, 16, 3);
    cr_assert_str_eq(with_fewer(&both, "remove 3 remove 4"), "", "no plan is under way");
    scene_begin(&view, &(struct staged_change){.op = STAGED_JOIN, .member = 4});
    scene_lose(&view, 3);
    scene_lose(&view, 4);
    scene_elect(&view);
    cr_assert_str_eq(with_fewer(&both, "remove 3 remove 4"),
                     "ring-admin commit --auto remove 3 remove 4 replicas 2");
    scene_lose(&view, 2);
    cr_assert_str_eq(with_fewer(&both, "remove 3 remove 4"), "",
                     "with two replicas the plan would need a dead node too");
    view_deinit(&view);
}

/* A group that has come to its target would be sent back from it. */
Test(remedy, no_plan_is_given_up_while_nobody_says_what_a_group_has)
{
    struct remedy_abort abort;
    struct ringmap next;
    struct moves moves;

    view = scene_view(4, 1, 16, 3);
    scene_begin(&view, &(struct staged_change){.op = STAGED_JOIN, .member = 5});
    moves = scene_moves(&view);
    cr_assert(remedy_can_abort(&view, &moves));
    for (uint32_t i = 0; i <= 16; i += 8) { /* 16: the meta group */
        moves.groups[i].known = false;
        cr_assert_eq(remedy_abort(&view, &moves, &next, &abort), REMEDY_E_UNKNOWN);
        cr_assert_not(remedy_can_abort(&view, &moves));
        moves.groups[i].known = true;
    }
    moves_deinit(&moves);
    view_deinit(&view);
}

static int abort_of(struct remedy_abort *abort)
{
    struct moves moves = scene_moves(&view);
    struct ringmap next;
    int r = remedy_abort(&view, &moves, &next, abort);

    if (r == 0)
        ringmap_deinit(&next);
    cr_assert_eq(remedy_can_abort(&view, &moves), r == 0 && !abort->missing);
    moves_deinit(&moves);
    return r;
}

/* What lay on a removed node has to go somewhere, whatever else is given up. */
Test(remedy, what_cannot_be_taken_back_is_counted_and_no_abort_where_it_is_all)
{
    const struct staged both = {
        .changes = {{.op = STAGED_LEAVE, .member = 1}, {.op = STAGED_REMOVE, .member = 4}},
        .count = 2};
    struct remedy_abort abort;

    view = scene_view(4, 0, 16, 3);
    scene_lose(&view, 4);
    scene_begin(&view, &both.changes[1]);
    cr_assert_eq(abort_of(&abort), REMEDY_E_NOTHING);
    cr_assert(abort.kept > 0 && abort.kept + 1 >= abort.waiting, "the meta group, too");
    view_deinit(&view);

    view = scene_view(4, 0, 16, 3);
    scene_begin(&view, &both.changes[0]);
    cr_assert_eq(abort_of(&abort), 0);
    cr_assert(abort.waiting > 0 && abort.kept == 0);
    view_deinit(&view);

    view = scene_view(6, 0, 16, 3);
    scene_lose(&view, 4);
    scene_begin_all(&view, &both);
    cr_assert_eq(abort_of(&abort), 0);
    cr_assert(abort.kept > 0 && abort.kept < abort.waiting, "%u of %u", abort.kept, abort.waiting);
    view_deinit(&view);
}

/* It only commits that: nothing that it had is on a removed node. */
Test(remedy, what_has_come_where_it_goes_is_not_kept_from_going_back)
{
    const struct staged_change leave = {.op = STAGED_LEAVE, .member = 1};
    struct remedy_abort abort;
    struct ringmap next;
    struct moves moves;
    uint16_t p = 0;

    view = scene_view(4, 0, 16, 3);
    scene_begin(&view, &leave);
    moves = scene_moves(&view);
    while (!moves_changes(&view.map, p))
        p++;
    scene_move(&view, &moves, p, 20);
    moves.groups[p].move.committed = false;
    cr_assert_eq(remedy_abort(&view, &moves, &next, &abort), 0);
    cr_assert(moves_is_waiting(&moves, &next, p));
    cr_assert(abort.waiting > 1 && abort.kept == 0, "%u of %u", abort.kept, abort.waiting);
    ringmap_deinit(&next);
    moves_deinit(&moves);
    view_deinit(&view);
}

Test(remedy, nothing_is_given_up_when_nothing_is_under_way)
{
    struct moves moves;

    view = scene_view(3, 0, 16, 3);
    moves = scene_moves(&view);
    cr_assert_not(remedy_can_abort(&view, &moves));
    moves_deinit(&moves);
    view_deinit(&view);
}
