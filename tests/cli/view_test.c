#include "cli/view.h"

#include "replication/raft.h"
#include "ring/swim.h"

#include "view_scene.h"

#include <criterion/criterion.h>
#include <stdio.h>

static struct view view;

/* Three members hold all; a plan takes in a fourth. Nobody has answered yet. */
static void moving(void)
{
    view = scene_view(3, 1, 16, 3);
    scene_begin(&view, &(struct staged_change){.op = STAGED_JOIN, .member = 4});
    cr_assert_eq(view_name_members(&view), 0);
}

static void say(uint16_t partition, uint16_t member, uint8_t role, uint32_t term)
{
    view_take(&view, member,
              &(struct wire_partition_status){.partition = partition, .role = role, .term = term});
}

Test(view, a_partition_has_places_for_those_who_are_wanted_and_those_who_hand_over)
{
    uint32_t both = 0;

    moving();
    for (uint16_t p = 0; p < 16; p++) {
        const struct view_replica *row = view_row(&view, p);

        for (uint32_t i = 0; i < 3; i++)
            cr_assert(row[i].wanted && row[i].member == ringmap_wanted(&view.map, p)[i]);
        for (uint16_t id = 1; id <= 3; id++)
            cr_assert_not_null(view_replica(&view, p, id));
        cr_assert_eq(view_replica(&view, p, 4) != NULL, ringmap_wants(&view.map, p, 4));
        cr_assert_null(view_replica(&view, p, 5));
        both += row[3].member != 0;
        cr_assert(row[3].member == 0 || !row[3].wanted);
        cr_assert_eq(row[4].member, 0);
    }
    cr_assert_gt(both, 0);
    view_deinit(&view);
}

Test(view, whoever_answers_gets_a_place_and_the_newest_leader_leads)
{
    moving();
    say(2, 77, RAFT_LEADER, 5); /* in no row: a replica that is on its way out */
    cr_assert(view_replica(&view, 2, 77)->known);
    cr_assert_not(view_replica(&view, 2, 77)->wanted);
    cr_assert_eq(view_row(&view, 2)[view_leader(&view, 2)].member, 77);
    say(2, 1, RAFT_LEADER, 6);
    cr_assert_eq(view_row(&view, 2)[view_leader(&view, 2)].member, 1);
    for (uint16_t id = 100; id < 150; id++)
        say(3, id, RAFT_LEADER, 1); /* more than there can be */
    say(3, 1, RAFT_LEADER, 2);
    cr_assert_eq(view_row(&view, 3)[view_leader(&view, 3)].member, 1);
    cr_assert_eq(view_meta_leader(&view), 0);
    say(WIRE_PARTITION_META, 4, RAFT_LEADER, 9);
    cr_assert_eq(view_meta_leader(&view), 4);
    say(16, 1, RAFT_LEADER, 9); /* there is no such partition */
    view_deinit(&view);
}

/* 0: none, or more than one. */
static uint16_t found_id(const char *word)
{
    struct view_found found;

    return view_find(&view, word, &found) == 0 ? found.nodes[0]->id : 0;
}

/* Whom the plan has ended for keeps what it had for a moment. */
Test(view, what_is_left_over_lags_behind_nobody)
{
    struct wire_partition_status status = {.role = RAFT_LEADER, .term = 1, .commit = 9, .last = 9};
    uint32_t place = 0;

    view = scene_view(4, 0, 16, 3);
    while (ringmap_holds(&view.map, status.partition, 4))
        status.partition++;
    view_take(&view, ringmap_row(&view.map, status.partition)[0], &status);
    status.role = RAFT_FOLLOWER;
    status.last = 2;
    view_take(&view, 4, &status);
    view_take(&view, ringmap_row(&view.map, status.partition)[1], &status);
    cr_assert_eq(view_lag(&view, status.partition, 1), 7);
    while (view_row(&view, status.partition)[place].member != 4)
        place++;
    cr_assert_eq(view_lag(&view, status.partition, place), 0);
    view_deinit(&view);
}

Test(view, a_node_is_found_by_id_and_by_address_and_a_removed_one_last)
{
    moving();
    cr_assert_eq(found_id("3"), 3);
    cr_assert_eq(found_id("127.0.0.1:7002"), 2);
    cr_assert_eq(found_id("localhost:7002"), 2);
    cr_assert_eq(found_id("5"), 0);
    cr_assert_eq(found_id("03"), 0);
    cr_assert_eq(found_id("127.0.0.1:7009"), 0);
    cr_assert_eq(found_id("nobody"), 0);
    cr_assert_eq(found_id(""), 0);
    snprintf(view.nodes[3].address, sizeof view.nodes[3].address, "127.0.0.1:7001");
    view.map.members[0].state = RINGMAP_STATE_REMOVED;
    cr_assert_eq(found_id("127.0.0.1:7001"), 4);
    view.map.members[0].state = RINGMAP_STATE_ACTIVE;
    view.map.members[3].state = RINGMAP_STATE_REMOVED;
    cr_assert_eq(found_id("127.0.0.1:7001"), 1);
    cr_assert_eq(found_id("4"), 4, "by its id it is");
    view_deinit(&view);
}

Test(view, of_several_at_an_address_none_is_taken_and_all_are_told)
{
    struct view_found found;
    char text[VIEW_FOUND_TEXT_SIZE];

    moving();
    view.map.members[3].state = RINGMAP_STATE_JOINING;
    snprintf(view.nodes[3].address, sizeof view.nodes[3].address, "127.0.0.1:7001");
    view.nodes[3].reachable = true;
    cr_assert_eq(view_find(&view, "localhost:7001", &found), VIEW_FIND_E_SEVERAL);
    cr_assert_eq(found.count, 2);
    view_found_text(&view, &found, text, sizeof text);
    cr_assert_str_eq(text, "node 1 (active, down) and node 4 (joining, runs)");
    cr_assert_eq(found_id("4"), 4);
    snprintf(view.nodes[2].address, sizeof view.nodes[2].address, "127.0.0.1:7001");
    cr_assert_eq(view_find(&view, "127.0.0.1:7001", &found), VIEW_FIND_E_SEVERAL);
    view_found_text(&view, &found, text, sizeof text);
    cr_assert(strstr(text, "node 1 (active, down), node 3 ("), "%s", text);
    for (uint32_t i = 0; i < view.node_count; i++)
        snprintf(view.nodes[i].address, sizeof view.nodes[i].address, "127.0.0.1:7001");
    cr_assert_eq(view_find(&view, "127.0.0.1:7001", &found), VIEW_FIND_E_SEVERAL);
    cr_assert_leq(found.count, VIEW_FOUND_MAX);
    view_found_text(&view, &found, text, sizeof text);
    cr_assert_lt(strlen(text), sizeof text - 1, "all fit");
    view_deinit(&view);
}

Test(view, who_is_heard_of_is_alive_even_when_it_does_not_answer_here)
{
    moving();
    cr_assert_not(view_is_alive(&view.nodes[0]));
    view.nodes[0].reachable = true;
    cr_assert(view_is_alive(&view.nodes[0]));
    view.nodes[1].liveness = (struct wire_liveness){.member = 2, .standing = SWIM_ALIVE};
    cr_assert(view_is_alive(&view.nodes[1]));
    view.nodes[1].liveness.standing = SWIM_DEAD;
    cr_assert_not(view_is_alive(&view.nodes[1]));
    view_deinit(&view);
}
