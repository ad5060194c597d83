/* leave, and commit of a leave. */
#include "admin_fake.h"

#include "replication/raft.h"

#include <criterion/criterion.h>
#include <string.h>

#include <jansson.h>

/* Node 1 of 4 is leaving, and will have left when it was looked at so many times. */
static void leaving(unsigned times)
{
    struct view *view = &admin_fake.view;

    admin_fake_open(4, 0, 3);
    moves_deinit(&admin_fake.moves);
    scene_begin(view, &(struct staged_change){.op = STAGED_LEAVE, .member = 1});
    admin_fake.moves = scene_moves(view);
    cr_assert_eq(ringmap_finished(&view->map, &admin_fake.settled), 0);
    admin_fake.looks = times;
}

Test(admin_leave, said_again_it_joins_the_waiting_and_proves)
{
    leaving(3);
    cr_assert_eq(admin_fake_command("leave 1 --wait"), EXIT_CODE_OK, "%s%s", admin_fake.said,
                 admin_fake.printed);
    cr_assert(strstr(admin_fake.printed,
                     "SAFE TO REMOVE: 17 of 17 groups have committed a configuration "
                     "without node 1 and have a majority that is up to date\n"),
              "%s", admin_fake.printed);
    cr_assert_eq(admin_fake.changes, 0, "nothing is sent again");
    admin_fake_close();
}

Test(admin_leave, said_again_without_waiting_it_names_the_command_that_waits)
{
    leaving(100);
    cr_assert_eq(admin_fake_command("leave 1"), EXIT_CODE_OK, "%s", admin_fake.said);
    cr_assert(strstr(admin_fake.printed, "leaving already") &&
                  strstr(admin_fake.printed, "ring-admin leave 1 --wait"),
              "%s", admin_fake.printed);
    cr_assert_eq(admin_fake.changes, 0);
    admin_fake_close();
}

Test(admin_leave, of_another_node_it_names_the_command_that_waits_for_the_plan)
{
    leaving(100);
    cr_assert_eq(admin_fake_command("leave 2 --wait"), EXIT_CODE_CONFLICT);
    cr_assert(strstr(admin_fake.said, "wait for it (`ring-admin leave 1 --wait`)"), "%s",
              admin_fake.said);
    admin_fake_close();
}

Test(admin_leave, of_a_node_that_has_left_it_proves_again)
{
    leaving(0);
    admin_fake_settle();
    cr_assert_eq(admin_fake_command("leave 1 --wait"), EXIT_CODE_OK, "%s", admin_fake.said);
    cr_assert(strstr(admin_fake.printed, "removed already, by leave or by force"), "%s",
              admin_fake.printed);
    cr_assert(strstr(admin_fake.printed, "SAFE TO REMOVE: 17 of 17 groups"), "%s",
              admin_fake.printed);
    cr_assert_eq(admin_fake.changes, 0);
    admin_fake_close();
}

Test(admin_leave, what_a_group_holds_still_is_not_proven)
{
    leaving(0);
    admin_fake_settle();
    admin_fake.moves.groups[3].move.learners = (struct wire_members){1, {1}};
    cr_assert_eq(admin_fake_command("leave 1 --wait"), EXIT_CODE_FAILED);
    cr_assert(strstr(admin_fake.printed, "NOT PROVEN: 16 of 17 groups"), "%s", admin_fake.printed);
    admin_fake_close();
}

/* Both who took over partition 3 are not what a majority is made of. */
static void damage(void)
{
    for (uint32_t i = 0; i < VIEW_PLACES; i++) {
        struct view_replica *replica = &admin_fake.view.replicas[3 * VIEW_PLACES + i];

        replica->status.fenced = replica->status.role != RAFT_LEADER;
    }
}

Test(admin_leave, what_is_held_by_too_few_that_are_whole_is_not_proven)
{
    leaving(0);
    admin_fake_settle();
    damage();
    cr_assert_eq(admin_fake_command("leave 1 --wait"), EXIT_CODE_FAILED);
    cr_assert(strstr(admin_fake.printed, "NOT PROVEN: 16 of 17 groups") &&
                  strstr(admin_fake.printed, "; 1 lack that alone"),
              "%s", admin_fake.printed);
    admin_fake_close();
}

Test(admin_leave, the_table_says_which_groups_have_too_few)
{
    json_t *root, *row;

    admin_fake.format = OUTPUT_JSON;
    leaving(0);
    admin_fake_settle();
    damage();
    cr_assert_eq(admin_fake_command("leave 1 --wait"), EXIT_CODE_FAILED);
    root = json_loads(admin_fake.printed, 0, NULL);
    cr_assert_eq(json_integer_value(json_object_get(root, "groups")), 17);
    cr_assert_eq(json_integer_value(json_object_get(root, "groups_proven")), 16);
    for (size_t i = 2; i < 5; i++) {
        row = json_array_get(json_object_get(root, "held"), i);
        cr_assert_eq(json_integer_value(json_object_get(row, "partition")), i);
        cr_assert_eq(json_integer_value(json_object_get(row, "up_to_date")), i == 3 ? 1 : 3);
    }
    json_decref(root);
    admin_fake_close();
}

static unsigned asked, looked;

/* At first no leader says anything, and then nobody: some have lost what they had by the time when
 * all are back. */
static bool goes_and_comes_back(uint8_t type)
{
    if (type == WIRE_MOVES_GET)
        return asked++ == 0;
    if (looked++ > 0)
        return false;
    damage();
    return true;
}

Test(admin_leave, what_was_seen_before_all_were_gone_proves_nothing)
{
    leaving(0);
    admin_fake_settle();
    admin_fake.is_silent = goes_and_comes_back;
    cr_assert_eq(admin_fake_command("leave 1 --wait"), EXIT_CODE_FAILED, "%s", admin_fake.printed);
    cr_assert(strstr(admin_fake.printed, "NOT PROVEN: 16 of 17 groups"), "%s", admin_fake.printed);
    admin_fake_close();
}

/* What it has got by the plan that is under way the map does not tell. */
Test(admin_leave, while_a_plan_is_under_way_all_groups_are_asked)
{
    admin_fake_open(5, 1, 3);
    scene_begin(&admin_fake.view, &(struct staged_change){.op = STAGED_JOIN, .member = 6});
    scene_lose(&admin_fake.view, 3);
    scene_elect(&admin_fake.view);
    for (uint32_t i = 0; i <= ADMIN_FAKE_PARTITIONS; i++)
        if (admin_fake.moves.groups[i].leader == 3)
            admin_fake.moves.groups[i].leader = 2;
    cr_assert_eq(admin_fake_command("commit --auto remove 3 leave 2 --wait"), EXIT_CODE_OK, "%s",
                 admin_fake.said);
    cr_assert(strstr(admin_fake.printed, "SAFE TO REMOVE: 17 of 17 groups have committed a "
                                         "configuration without node 2 and"),
              "%s", admin_fake.printed);
    admin_fake_close();
}

Test(admin_leave, another_plan_that_begins_when_it_has_left_is_not_waited_for)
{
    admin_fake_open(6, 0, 3);
    admin_fake.then_leaves = 2;
    cr_assert_eq(admin_fake_command("leave 1 --wait"), EXIT_CODE_OK, "%s%s", admin_fake.said,
                 admin_fake.printed);
    cr_assert(strstr(admin_fake.printed, "SAFE TO REMOVE"), "%s", admin_fake.printed);
    cr_assert_eq(admin_fake.view.map.members[1].state, RINGMAP_STATE_LEAVING);
    admin_fake_close();
}

Test(admin_leave, a_leaving_that_was_aborted_meanwhile_is_no_success)
{
    leaving(2);
    for (uint32_t i = 0; i < admin_fake.settled.member_count; i++)
        admin_fake.settled.members[i].state = RINGMAP_STATE_ACTIVE;
    cr_assert_eq(admin_fake_command("leave 1 --wait"), EXIT_CODE_CONFLICT);
    cr_assert(strstr(admin_fake.said, "node 1 had left"), "%s", admin_fake.said);
    cr_assert_not(strstr(admin_fake.printed, "SAFE"), "%s", admin_fake.printed);
    admin_fake_close();
}

Test(admin_leave, the_first_time_it_proves_what_the_node_held)
{
    admin_fake_open(4, 0, 3);
    cr_assert_eq(admin_fake_command("leave 1 --wait"), EXIT_CODE_OK, "%s", admin_fake.said);
    cr_assert_eq(admin_fake.changes, 1);
    cr_assert(strstr(admin_fake.printed,
                     "groups that node 1 held have committed a configuration without it"),
              "%s", admin_fake.printed);
    admin_fake_close();
}

Test(admin_leave, a_commit_of_it_proves_likewise)
{
    admin_fake_open(5, 0, 3);
    cr_assert_eq(admin_fake_command("commit --auto leave 1 leave 5 --wait"), EXIT_CODE_OK, "%s",
                 admin_fake.said);
    cr_assert(strstr(admin_fake.printed, "SAFE TO REMOVE: ") &&
                  strstr(admin_fake.printed,
                         "groups that nodes 1, 5 held have committed a configuration "
                         "without them and have a majority that is up to date\n"),
              "%s", admin_fake.printed);
    admin_fake_close();
}

Test(admin_leave, a_commit_of_something_else_proves_nothing)
{
    admin_fake_open(4, 0, 3);
    cr_assert_eq(admin_fake_command("commit --auto weight 1 50 --wait"), EXIT_CODE_OK, "%s",
                 admin_fake.said);
    cr_assert_eq(admin_fake.changes, 1);
    cr_assert_not(strstr(admin_fake.printed, "SAFE"), "%s", admin_fake.printed);
    admin_fake_close();
}

Test(admin_leave, when_all_nodes_are_gone_it_gives_up_and_says_what_is_known)
{
    admin_fake_open(4, 0, 3);
    admin_fake.dies = true;
    cr_assert_eq(admin_fake_command("leave 1 --wait"), EXIT_CODE_UNREACHABLE);
    cr_assert(strstr(admin_fake.said, "no node answers any more, asked 20 times: the change was "
                                      "committed, epoch 2, and how far it is is not known"),
              "%s", admin_fake.said);
    cr_assert(strstr(admin_fake.said, "start nodes, then `ring-admin leave 1 --wait`"), "%s",
              admin_fake.said);
    cr_assert_geq(admin_fake.now_ms, 57000, "who starts all nodes again has a minute for it");
    admin_fake_close();
}
