#include "cli/map_change.h"

#include <criterion/criterion.h>
#include <string.h>

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
