#include "cli/map_change.h"

#include <criterion/criterion.h>
#include <criterion/redirect.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cluster_fake.h"
#include "view_scene.h"

static struct ringmap now, next;

/* next: a plan that begins on `now`, which lets node 1 leave. */
static void begun(void)
{
    struct view view = scene_view(4, 0, 16, 3);

    cr_assert_eq(ringmap_copy(&now, &view.map), 0);
    scene_begin(&view, &(struct staged_change){.op = STAGED_LEAVE, .member = 1});
    cr_assert_eq(ringmap_copy(&next, &view.map), 0);
    view_deinit(&view);
}

static void ended(void)
{
    ringmap_deinit(&now);
    ringmap_deinit(&next);
}

Test(map_change, it_is_in_the_map_itself_and_in_the_one_that_ends_its_plan)
{
    struct ringmap settled;

    begun();
    cr_assert_not(map_change_is_in(&now, &next));
    cr_assert(map_change_is_in(&next, &next));
    cr_assert_eq(ringmap_finished(&next, &settled), 0);
    cr_assert_eq(settled.members[0].state, RINGMAP_STATE_REMOVED);
    cr_assert(map_change_is_in(&settled, &next));
    settled.epoch += 5; /* others came after it */
    cr_assert(map_change_is_in(&settled, &next));
    ringmap_deinit(&settled);
    ended();
}

Test(map_change, it_is_not_in_a_map_with_other_rows_members_voters_or_settings)
{
    struct ringmap other;

    begun();
    cr_assert_eq(ringmap_copy(&other, &next), 0);
    other.target[0] = next.target[1];
    other.target[1] = next.target[0];
    cr_assert_not(map_change_is_in(&other, &next));
    memcpy(other.target, next.target, 2 * sizeof *other.target);
    cr_assert(map_change_is_in(&other, &next));
    other.members[0].state = RINGMAP_STATE_ACTIVE; /* an abort */
    cr_assert_not(map_change_is_in(&other, &next));
    cr_assert_not(map_change_holds(&other, &next));
    other.members[0].state = RINGMAP_STATE_LEAVING;
    other.members[2].weight++;
    cr_assert_not(map_change_is_in(&other, &next));
    other.members[2].weight--;
    strcpy(other.members[2].zone, "b");
    cr_assert_not(map_change_is_in(&other, &next));
    memset(other.members[2].zone, 0, sizeof other.members[2].zone);
    other.paused = true;
    cr_assert_not(map_change_is_in(&other, &next));
    other.paused = false;
    other.move_rate = 3;
    cr_assert_not(map_change_is_in(&other, &next));
    cr_assert(map_change_holds(&other, &next), "somebody gave moves another rate meanwhile");
    other.move_rate = 0;
    other.meta_voters[0]++;
    cr_assert_not(map_change_is_in(&other, &next));
    other.meta_voters[0]--;
    other.epoch--;
    cr_assert_not(map_change_is_in(&other, &next));
    ringmap_deinit(&other);
    ended();
}

/* Another admin's plan begins in the moment in which this one has ended. */
Test(map_change, it_has_ended_when_another_begins_where_it_went)
{
    struct view view = scene_view(5, 0, 16, 3);
    struct ringmap settled;

    scene_begin(&view, &(struct staged_change){.op = STAGED_LEAVE, .member = 1});
    cr_assert_eq(ringmap_copy(&next, &view.map), 0);
    cr_assert_eq(ringmap_copy(&now, &view.map), 0);
    now.move_rate = 7;
    now.epoch++;
    cr_assert_not(map_change_ended(&now, &next), "it is under way, with another setting");
    cr_assert_eq(ringmap_finished(&view.map, &settled), 0);
    ringmap_deinit(&view.map);
    view.map = settled;
    cr_assert(map_change_ended(&view.map, &next));
    view.map.members[3].weight++; /* by another admin, in the same moment */
    view.map.epoch++;
    cr_assert_not(map_change_holds(&view.map, &next));
    cr_assert(map_change_ended(&view.map, &next));
    view.map.members[3].weight--;
    scene_begin(&view, &(struct staged_change){.op = STAGED_LEAVE, .member = 2});
    cr_assert(map_change_ended(&view.map, &next));
    view.map.members[0].state = RINGMAP_STATE_LEAVING;
    cr_assert_not(map_change_ended(&view.map, &next));
    view.map.members[0].state = RINGMAP_STATE_REMOVED;
    view.map.members[2].state = RINGMAP_STATE_REMOVED;
    cr_assert_not(map_change_ended(&view.map, &next), "rows may have lost that one instead");
    view_deinit(&view);
    ended();
}

Test(map_change, one_that_took_its_place_is_not_its_end)
{
    struct view view = scene_view(5, 0, 16, 3);
    struct ringmap gone;

    scene_begin(&view, &(struct staged_change){.op = STAGED_LEAVE, .member = 1});
    cr_assert_eq(ringmap_copy(&next, &view.map), 0);
    cr_assert_eq(ringmap_copy(&gone, &view.map), 0);
    cr_assert_eq(ringmap_copy(&now, &view.map), 0);
    gone.epoch++;
    gone.members[0].state = RINGMAP_STATE_ACTIVE; /* an abort */
    cr_assert_not(map_change_ended(&gone, &next));
    ringmap_deinit(&gone);
    cr_assert_eq(ringmap_copy(&gone, &view.map), 0);
    gone.members[0].state = RINGMAP_STATE_ACTIVE;
    free(gone.target); /* and its end: every group has stayed */
    gone.target = NULL;
    gone.epoch += 2;
    cr_assert_not(map_change_ended(&gone, &next));
    gone.members[0].state = RINGMAP_STATE_REMOVED;
    cr_assert_not(map_change_ended(&gone, &next), "the rows are not those");
    ringmap_deinit(&gone);
    view_deinit(&view);
    ended();
}

Test(map_change, what_moves_nothing_has_ended_with_its_commit)
{
    struct view view = scene_view(4, 0, 16, 3);

    cr_assert_eq(ringmap_copy(&now, &view.map), 0);
    cr_assert_eq(ringmap_copy(&next, &view.map), 0);
    next.epoch++;
    strcpy(next.members[1].zone, "b");
    cr_assert_not(map_change_ended(&now, &next));
    cr_assert(map_change_ended(&next, &next));
    now.epoch += 2; /* somebody has said the opposite */
    cr_assert(map_change_ended(&now, &next));
    view_deinit(&view);
    ended();
}

Test(map_change, of_two_data_keys_with_one_number_it_knows_its_own)
{
    struct ringmap other;
    uint8_t(*boxes)[RINGMAP_BOX_SIZE];

    begun();
    cr_assert_eq(ringmap_copy(&other, &next), 0);
    cr_assert_eq(ringmap_add_key(&next, 1, &boxes), 0);
    memset(boxes, 7, 4 * sizeof *boxes);
    cr_assert_not(map_change_is_in(&other, &next));
    cr_assert_eq(ringmap_add_key(&other, 1, &boxes), 0);
    memset(boxes, 8, 4 * sizeof *boxes);
    cr_assert_not(map_change_is_in(&other, &next));
    memset(boxes, 7, 4 * sizeof *boxes);
    cr_assert(map_change_is_in(&other, &next));
    cr_assert_eq(ringmap_add_key(&other, 2, &boxes), 0); /* the next one came after it */
    cr_assert(map_change_is_in(&other, &next));
    ringmap_deinit(&other);
    ended();
}

/* Boxes that the admin leaves to the node that it asks are different each time they are made. */
Test(map_change, boxes_that_were_left_out_may_be_any)
{
    struct ringmap other;
    uint8_t(*boxes)[RINGMAP_BOX_SIZE];

    begun();
    cr_assert_eq(ringmap_add_key(&next, 1, &boxes), 0);
    memset(boxes, 7, 3 * sizeof *boxes);
    cr_assert_eq(ringmap_copy(&other, &next), 0);
    cr_assert(map_change_is_in(&other, &next));
    memset(other.boxes[3], 9, sizeof *boxes);
    cr_assert(map_change_is_in(&other, &next));
    cr_assert_not(map_change_is_in(&next, &other), "that one is not there");
    ringmap_deinit(&other);
    ended();
}

Test(map_change, that_nothing_was_changed_is_said_only_when_it_is_certain)
{
    begun();
    cr_assert(strstr(map_change_conflict(next.epoch, &next), "nothing was changed by this one"));
    cr_assert_not(strstr(map_change_conflict(next.epoch + 1, &next), "nothing was changed"));
    cr_assert(strstr(map_change_conflict(next.epoch + 1, &next), "unknown"));
    ended();
}

/* --- send ---------------------------------------------------------------------------------- */

#define SILENT 0u

static uint8_t outcomes[5]; /* by node: what it says; or SILENT */
static unsigned asked[5];
static const struct ringmap *newest;
static char said[2048];

/* One node is asked to send a map on, or all for the newest and how they are. */
static void ask(struct cluster_request *requests, size_t count, uint32_t timeout_ms)
{
    (void)timeout_ms;
    for (size_t i = 0; i < count; i++) {
        struct wire_map_reply reply = {.outcome = outcomes[requests[i].node], .epoch = 1};
        struct wire_buffer body = {0};

        if (requests[i].type == WIRE_MAP_GET) {
            ringmap_encode(newest, wire_put_bin_space(&body, ringmap_encoded_size(newest)));
            cluster_fake_answer(&requests[i], &body);
        }
        if (requests[i].type != WIRE_MAP_CHANGE)
            continue;
        asked[requests[i].node]++;
        snprintf(reply.why, sizeof reply.why, "node %d's reason", requests[i].node);
        if (reply.outcome == SILENT)
            continue;
        wire_put_map_reply(&body, &reply);
        cluster_fake_answer(&requests[i], &body);
    }
}

/* `ring-admin commit` with such answers of nodes 1 to 4: its exit code. */
static enum exit_code send_to(uint8_t one, uint8_t two, uint8_t three, uint8_t four)
{
    static const struct program program = {.name = "ring-admin"};
    static const struct command_row command = {.name = "commit"};
    static const struct arguments arguments = {.program = &program, .command = &command};
    struct admin admin = {.arguments = &arguments, .view = scene_view(4, 0, 16, 3)};
    enum exit_code code;
    FILE *file;

    begun();
    newest = &now;
    memcpy(outcomes, (uint8_t[]){0, one, two, three, four}, sizeof outcomes);
    memset(asked, 0, sizeof asked);
    cluster_fake_ask = ask;
    cr_redirect_stderr();
    code = map_change_send(&admin, &next);
    (void)fflush(NULL);
    file = cr_get_redirected_stderr();
    said[fread(said, 1, sizeof said - 1, file)] = 0;
    view_deinit(&admin.view);
    ended();
    return code;
}

Test(map_change, who_has_sent_nothing_on_is_told_and_another_one_is_asked)
{
    cr_assert_eq(send_to(WIRE_MAP_UNSENT, WIRE_MAP_UNSENT, WIRE_MAP_DONE, WIRE_MAP_DONE),
                 EXIT_CODE_OK);
    cr_assert(asked[1] == 1 && asked[2] == 1 && asked[3] == 1 && asked[4] == 0);
    cr_assert_str_eq(said, "ring-admin commit: node 1 (127.0.0.1:7001): node 1's reason\n"
                           "ring-admin commit: node 2 (127.0.0.1:7002): node 2's reason\n");
}

Test(map_change, when_nobody_can_send_it_on_nothing_was_changed)
{
    cr_assert_eq(send_to(WIRE_MAP_UNSENT, WIRE_MAP_UNSENT, WIRE_MAP_UNSENT, WIRE_MAP_UNSENT),
                 EXIT_CODE_FAILED);
    cr_assert(strstr(said, "node 4 (127.0.0.1:7004): node 4's reason"), "%s", said);
    cr_assert(strstr(said, "nothing was changed"), "%s", said);
    cr_assert_not(strstr(said, "unknown"), "%s", said);
}

Test(map_change, who_was_asked_and_is_silent_may_have_sent_it_on)
{
    cr_assert_eq(send_to(WIRE_MAP_UNSENT, SILENT, WIRE_MAP_UNSENT, WIRE_MAP_UNSENT),
                 EXIT_CODE_UNREACHABLE);
    cr_assert_not(strstr(said, "nothing was changed"), "%s", said);
    cr_assert(strstr(said, "whether the change comes is unknown"), "%s", said);
}

Test(map_change, nobody_else_is_asked_when_one_has_sent_it_on)
{
    cr_assert_eq(send_to(WIRE_MAP_UNSENT, WIRE_MAP_AGAIN, WIRE_MAP_DONE, WIRE_MAP_DONE),
                 EXIT_CODE_UNREACHABLE);
    cr_assert_eq(asked[3] + asked[4], 0);
    cr_assert(strstr(said, "node 2's reason; whether the change comes is unknown"), "%s", said);
    cr_assert_eq(send_to(WIRE_MAP_REFUSED, WIRE_MAP_DONE, WIRE_MAP_DONE, WIRE_MAP_DONE),
                 EXIT_CODE_FAILED);
    cr_assert_eq(asked[2], 0);
}
