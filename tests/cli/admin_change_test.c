/* Commands that change the cluster by a plan: what they print, and their exit codes. */
#include "admin_fake.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "replication/raft.h"
#include "ring/placement.h"

/* What it printed, as one document. */
static json_t *document(void)
{
    json_error_t error;
    json_t *root = json_loads(admin_fake.printed, 0, &error);

    cr_assert_not_null(root, "%s: %s", error.text, admin_fake.printed);
    return root;
}

static const char *text_of(const json_t *root, const char *name)
{
    return json_string_value(json_object_get(root, name));
}

Test(admin_change, a_document_of_what_was_committed_says_so)
{
    json_t *root;

    admin_fake.format = OUTPUT_JSON;
    admin_fake_open(4, 0, 3);
    cr_assert_eq(admin_fake_command("weight 2 110 --wait"), EXIT_CODE_OK, "%s", admin_fake.said);
    root = document();
    cr_assert_str_eq(text_of(root, "verdict"), "committed");
    cr_assert(json_is_null(json_object_get(root, "commit")), "there is nothing left to commit");
    cr_assert_eq(json_integer_value(json_object_get(root, "committed_epoch")), 2);
    json_decref(root);
    admin_fake_close();
}

Test(admin_change, a_document_of_a_plan_says_that_nothing_was_changed)
{
    json_t *root;

    admin_fake.format = OUTPUT_JSON;
    admin_fake_open(4, 0, 3);
    cr_assert_eq(admin_fake_command("plan weight 2 110"), EXIT_CODE_OK, "%s", admin_fake.said);
    root = document();
    cr_assert_str_eq(text_of(root, "verdict"), "can be committed: nothing has been changed yet");
    cr_assert(strstr(text_of(root, "commit"), "ring-admin commit --plan "));
    json_decref(root);
    cr_assert_eq(admin_fake.changes, 0);
    admin_fake_close();
}

/* Whoever reads documents has to learn that the map was changed. */
Test(admin_change, a_document_says_what_was_committed_also_when_its_end_is_not_seen)
{
    json_t *root;

    admin_fake.format = OUTPUT_JSON;
    admin_fake_open(4, 0, 3);
    admin_fake.dies = true;
    cr_assert_eq(admin_fake_command("leave 1 --wait"), EXIT_CODE_UNREACHABLE);
    root = document();
    cr_assert_str_eq(text_of(root, "verdict"), "committed");
    cr_assert_eq(json_integer_value(json_object_get(root, "committed_epoch")), 2);
    cr_assert_null(json_object_get(root, "settled_epoch"));
    cr_assert_null(json_object_get(root, "proof"));
    json_decref(root);
    admin_fake_close();
}

Test(admin_change, a_document_says_that_a_plan_was_aborted_also_when_its_end_is_not_seen)
{
    json_t *root;

    admin_fake.format = OUTPUT_JSON;
    admin_fake_open(4, 0, 3);
    scene_begin(&admin_fake.view, &(struct staged_change){.op = STAGED_LEAVE, .member = 1});
    admin_fake.dies = true;
    cr_assert_eq(admin_fake_command("abort --wait"), EXIT_CODE_UNREACHABLE);
    root = document();
    cr_assert_eq(json_integer_value(json_object_get(root, "epoch")), 3);
    json_decref(root);
    admin_fake_close();
}

/* What is done is not offered to be done. */
Test(admin_change, who_commits_is_not_told_how_to)
{
    admin_fake_open(4, 0, 3);
    cr_assert_eq(admin_fake_command("weight 2 110"), EXIT_CODE_OK, "%s", admin_fake.said);
    cr_assert_null(strstr(admin_fake.printed, "ring-admin commit"), "%s", admin_fake.printed);
    cr_assert_null(strstr(admin_fake.printed, "nothing has been changed"), "%s",
                   admin_fake.printed);
    cr_assert(strstr(admin_fake.printed, "committed, epoch: 2"), "%s", admin_fake.printed);
    admin_fake_close();
}

/* Of a plan that is paused no waiting sees the end. */
Test(admin_change, beside_a_paused_plan_one_is_told_how_it_goes_on)
{
    admin_fake_open(4, 0, 3);
    scene_begin(&admin_fake.view, &(struct staged_change){.op = STAGED_LEAVE, .member = 1});
    admin_fake.view.map.paused = true;
    cr_assert_eq(admin_fake_command("weight 2 110"), EXIT_CODE_CONFLICT);
    cr_assert(strstr(admin_fake.said, "and paused: go on with it (`ring-admin resume`)"), "%s",
              admin_fake.said);
    cr_assert_null(strstr(admin_fake.said, "--watch"), "%s", admin_fake.said);
    admin_fake_close();
}

Test(admin_change, who_waits_for_a_paused_plan_is_told_so_once)
{
    const char *said;

    admin_fake_open(4, 0, 3);
    scene_begin(&admin_fake.view, &(struct staged_change){.op = STAGED_LEAVE, .member = 1});
    admin_fake.view.map.paused = true;
    cr_assert_eq(ringmap_finished(&admin_fake.view.map, &admin_fake.settled), 0);
    admin_fake.looks = 40;
    (void)admin_fake_command("leave 1 --wait");
    said = strstr(admin_fake.said, "the plan is paused: `ring-admin resume` goes on with it");
    cr_assert(said, "%s", admin_fake.said);
    cr_assert_null(strstr(said + 1, "the plan is paused"), "%s", admin_fake.said);
    admin_fake_close();
}

Test(admin_change, who_waits_for_a_plan_that_needs_a_dead_node_is_told_once_what_helps)
{
    const char *said;

    admin_fake_open(3, 1, 3);
    scene_begin(&admin_fake.view, &(struct staged_change){.op = STAGED_JOIN, .member = 4});
    scene_lose(&admin_fake.view, 4);
    cr_assert_eq(ringmap_finished(&admin_fake.view.map, &admin_fake.settled), 0);
    admin_fake.looks = 40;
    cr_assert_eq(admin_fake_command("moves --watch"), EXIT_CODE_OK, "%s", admin_fake.said);
    said =
        strstr(admin_fake.said, "the plan waits: node-4 (127.0.0.1:7004) is not alive: start it; "
                                "if it is lost: ring-admin abort");
    cr_assert(said, "%s", admin_fake.said);
    cr_assert_null(strstr(said + 1, "the plan waits"), "%s", admin_fake.said);
    admin_fake_close();
}

Test(admin_change, an_abort_says_what_it_does_and_how_to_see_its_end)
{
    admin_fake_open(4, 0, 3);
    scene_begin(&admin_fake.view, &(struct staged_change){.op = STAGED_LEAVE, .member = 1});
    cr_assert_eq(admin_fake_command("abort"), EXIT_CODE_OK, "%s", admin_fake.said);
    cr_assert(strstr(admin_fake.printed, "the plan is given up") &&
                  strstr(admin_fake.printed, "follow it: ring-admin moves --watch"),
              "%s", admin_fake.printed);
    admin_fake_close();
}

/* Three of five voters are lost. */
static void lose_majority(void)
{
    admin_fake_open(5, 0, 3);
    for (uint16_t id = 3; id <= 5; id++)
        scene_lose(&admin_fake.view, id);
}

static void expect_unreachable(const char *line)
{
    lose_majority();
    cr_assert_eq(admin_fake_command(line), EXIT_CODE_UNREACHABLE, "%s: %s", line, admin_fake.said);
    cr_assert_eq(admin_fake.changes, 0);
    admin_fake_close();
}

Test(admin_change, without_a_majority_of_the_meta_group_a_weight_gives_3)
{
    expect_unreachable("weight 1 200");
    cr_assert(strstr(admin_fake.said, "meta group"), "%s", admin_fake.said);
}

Test(admin_change, without_a_majority_of_the_meta_group_a_leave_gives_3)
{
    expect_unreachable("leave 1");
}

Test(admin_change, without_a_majority_of_the_meta_group_a_plan_gives_3)
{
    expect_unreachable("plan replicas 1");
}

Test(admin_change, without_a_majority_of_the_meta_group_a_removal_gives_3)
{
    expect_unreachable("remove --force 5");
}

/* The same is noted of a few partitions, not of all. */
Test(admin_change, a_plan_tells_how_many_notes_are_not_listed)
{
    lose_majority();
    cr_assert_eq(admin_fake_command("plan replicas 1"), EXIT_CODE_UNREACHABLE);
    cr_assert(strstr(admin_fake.printed, "more notes like those listed: "), "%s",
              admin_fake.printed);
    admin_fake_close();
    admin_fake_open(3, 0, 3);
    cr_assert_eq(admin_fake_command("plan weight 1 200"), EXIT_CODE_OK, "%s", admin_fake.said);
    cr_assert_null(strstr(admin_fake.printed, "more notes"), "%s", admin_fake.printed);
    admin_fake_close();
}

Test(admin_change, what_is_refused_for_another_reason_gives_1)
{
    admin_fake_open(3, 0, 3);
    cr_assert_eq(admin_fake_command("leave 1"), EXIT_CODE_FAILED);
    admin_fake_close();
}

Test(admin_change, where_no_plan_is_under_way_there_is_none_to_pause)
{
    admin_fake_open(3, 0, 3);
    cr_assert_eq(admin_fake_command("pause"), EXIT_CODE_FAILED);
    cr_assert(strstr(admin_fake.said, "no plan is under way"), "%s", admin_fake.said);
    admin_fake_close();
}

Test(admin_change, where_no_plan_is_under_way_there_is_none_to_resume)
{
    admin_fake_open(3, 0, 3);
    cr_assert_eq(admin_fake_command("resume"), EXIT_CODE_FAILED);
    cr_assert(strstr(admin_fake.said, "no plan is under way"), "%s", admin_fake.said);
    admin_fake_close();
}

/* Two nodes, N = 2 and no majority without the dead one: to share a zone does not help. */
Test(admin_change, no_word_is_advised_that_would_be_refused_too)
{
    admin_fake_open(2, 0, 2);
    memcpy(admin_fake.view.map.members[0].zone, "a", 2);
    memcpy(admin_fake.view.map.members[1].zone, "b", 2);
    scene_lose(&admin_fake.view, 2);
    cr_assert_neq(admin_fake_command("remove --force 2"), EXIT_CODE_OK);
    cr_assert_not(strstr(admin_fake.said, "ring-admin commit"), "%s", admin_fake.said);
    admin_fake_close();
}

Test(admin_change, sharing_a_zone_is_advised_where_it_helps)
{
    struct view *view = &admin_fake.view;

    admin_fake_open(4, 0, 3);
    moves_deinit(&admin_fake.moves);
    for (uint32_t i = 0; i < 4; i++)
        memcpy(view->map.members[i].zone, i == 0 ? "a" : i == 1 ? "b" : "c", 2);
    cr_assert_eq(placement_solve(&view->map), 0);
    scene_answer(view);
    admin_fake.moves = scene_moves(view);
    cr_assert_eq(admin_fake_command("leave 1"), EXIT_CODE_FAILED);
    cr_assert(strstr(admin_fake.said, "ring-admin commit --auto leave 1 share-zones\n"), "%s",
              admin_fake.said);
    admin_fake_close();
}

/* Two of three are alive everywhere, and rows of two would keep the dead one here and there. */
Test(admin_change, fewer_replicas_go_with_the_removal_of_who_is_dead)
{
    admin_fake_open(3, 0, 3);
    scene_lose(&admin_fake.view, 3);
    cr_assert_eq(admin_fake_command("set-replicas 2"), EXIT_CODE_FAILED);
    cr_assert(
        strstr(admin_fake.said, "would have 1 of 2 replicas alive and up to date and needs 2"),
        "%s", admin_fake.said);
    cr_assert(strstr(admin_fake.said, "ring-admin commit --auto replicas 2 remove 3\n"), "%s",
              admin_fake.said);
    cr_assert_eq(admin_fake_command("commit --auto replicas 2 remove 3"), EXIT_CODE_OK, "%s",
                 admin_fake.said);
    admin_fake_close();
}

/* Two of three are dead: no removal would be accepted, so none is advised. */
Test(admin_change, without_a_majority_the_leave_of_a_dead_node_ends_with_3)
{
    admin_fake_open(3, 0, 3);
    scene_lose(&admin_fake.view, 2);
    scene_lose(&admin_fake.view, 3);
    cr_assert_eq(admin_fake_command("leave 2"), EXIT_CODE_UNREACHABLE, "%s", admin_fake.said);
    cr_assert(strstr(admin_fake.said, "has 1 voters alive and up to date and needs 2"), "%s",
              admin_fake.said);
    cr_assert_null(strstr(admin_fake.said, "remove --force"), "%s", admin_fake.said);
    admin_fake_close();
}

/* Two of three are to vote in the meta group, and do not yet: what is refused is not for that. */
Test(admin_change, while_voters_of_the_meta_group_come_what_is_refused_says_why)
{
    admin_fake_open(3, 0, 3);
    admin_fake.view.map.target = calloc(16 * 3, sizeof(uint16_t));
    cr_assert(admin_fake.view.map.target);
    memcpy(admin_fake.view.map.target, admin_fake.view.map.replicas, 16 * 3 * sizeof(uint16_t));
    for (uint32_t i = 0; i < VIEW_PLACES; i++)
        admin_fake.view.meta[i].known = admin_fake.view.meta[i].status.role == RAFT_LEADER;
    cr_assert_eq(admin_fake_command("remove --force 2"), EXIT_CODE_FAILED, "%s", admin_fake.said);
    cr_assert(strstr(admin_fake.said, "node 2 (127.0.0.1:7002) answers: let it leave"), "%s",
              admin_fake.said);
    cr_assert_null(strstr(admin_fake.said, "nothing can be changed"), "%s", admin_fake.said);
    admin_fake_close();
}

Test(admin_change, the_leave_of_a_dead_node_advises_what_would_be_accepted)
{
    admin_fake_open(4, 0, 3);
    scene_lose(&admin_fake.view, 2);
    scene_elect(&admin_fake.view);
    cr_assert_eq(admin_fake_command("leave 2"), EXIT_CODE_FAILED);
    cr_assert(strstr(admin_fake.said, "is not alive, and can hand nothing over; start it; if it is "
                                      "lost: ring-admin remove --force 2"),
              "%s", admin_fake.said);
    admin_fake_close();
}

Test(admin_change, of_three_with_three_replicas_no_removal_is_advised)
{
    admin_fake_open(3, 0, 3);
    scene_lose(&admin_fake.view, 2);
    scene_elect(&admin_fake.view);
    cr_assert_eq(admin_fake_command("leave 2"), EXIT_CODE_FAILED);
    cr_assert_null(strstr(admin_fake.said, "remove --force"), "%s", admin_fake.said);
    cr_assert(strstr(admin_fake.said, "ring-admin replace 2 NEW"), "%s", admin_fake.said);
    admin_fake_close();
}

Test(admin_change, a_refused_plan_does_not_tell_of_moves)
{
    admin_fake_open(3, 0, 3);
    cr_assert_eq(admin_fake_command("leave 2"), EXIT_CODE_FAILED);
    cr_assert(strstr(admin_fake.printed, "refused: nothing was changed"), "%s", admin_fake.printed);
    cr_assert_null(strstr(admin_fake.printed, "moves: "), "%s", admin_fake.printed);
    admin_fake_close();
}

Test(admin_change, the_word_of_a_change_is_said_once)
{
    admin_fake_open(3, 0, 3);
    cr_assert_eq(admin_fake_command("set-replicas 9"), EXIT_CODE_USAGE);
    cr_assert_str_eq(admin_fake.said, "ring-admin set-replicas: 9 is no number from 1 to 7\n");
    admin_fake_close();
}

Test(admin_change, the_word_of_a_change_is_said_once_before_a_node_too)
{
    admin_fake_open(3, 0, 3);
    cr_assert_eq(admin_fake_command("replace 1 9"), EXIT_CODE_USAGE);
    cr_assert_str_eq(admin_fake.said, "ring-admin replace: 9: no node has this id or address; see "
                                      "`ring-admin members`\n");
    admin_fake_close();
}
