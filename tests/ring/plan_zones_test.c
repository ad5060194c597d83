/* What plans say of zones, and refuse for them. */
#include "placement_model.h"
#include "plan_scene.h"
#include "ring/voters.h"

#include <criterion/criterion.h>

Test(plan_zones, zones_that_bind_are_told)
{
    struct plan_scene scene;
    struct plan plan;

    plan_scene_init(&scene, 5, 5, 3);
    for (uint32_t i = 0; i < 5; i++)
        model_zone(&scene.wanted, i, i / 2);
    plan = plan_scene_plan(&scene);
    cr_assert_eq(plan_scene_note(&plan, PLAN_NOTE_OVERWEIGHT)->member, 5);
    cr_assert_eq(plan_scene_notes(&plan, PLAN_NOTE_ZONES), 0);
    plan_deinit(&plan);
    for (uint32_t i = 0; i < 5; i++)
        model_zone(&scene.wanted, i, i % 2);
    plan = plan_scene_plan(&scene);
    cr_assert_eq(plan_scene_notes(&plan, PLAN_NOTE_ZONES), 1);
    cr_assert_not(plan_refused(&plan), "they were in no zones before");
    plan_deinit(&plan);
    plan_scene_deinit(&scene);
}

/* Four nodes in the zones a, a, b and c, so that no two replicas share one. */
static void scene_of_zones(struct plan_scene *scene, uint32_t replicas_after)
{
    *scene = (struct plan_scene){.now = model_cluster(4, 64, 3),
                                 .wanted = model_cluster(4, 64, replicas_after)};
    for (uint32_t i = 0; i < 4; i++) {
        model_zone(&scene->now, i, i / 2 + i % 2 * (i / 2));
        model_zone(&scene->wanted, i, i / 2 + i % 2 * (i / 2));
        scene->nodes[i] = (struct plan_node){.alive = true, .disk_room = UINT64_MAX};
    }
    plan_scene_place(NULL, &scene->now);
    cr_assert_eq(voters_choose(&scene->now, NULL), 0);
    scene->input = (struct plan_input){.now = &scene->now,
                                       .wanted = &scene->wanted,
                                       .nodes = scene->nodes,
                                       .moves_per_node_max = 1};
}

Test(plan_zones, replicas_do_not_come_to_share_a_zone_unless_they_may)
{
    struct plan_scene scene;
    struct plan plan;

    scene_of_zones(&scene, 3);
    scene.wanted.members[0].state = RINGMAP_STATE_LEAVING;
    plan = plan_scene_plan(&scene);
    cr_assert_not(plan_refused(&plan), "one of its zone stays");
    plan_deinit(&plan);
    scene.wanted.members[0].state = RINGMAP_STATE_ACTIVE;
    scene.wanted.members[3].state = RINGMAP_STATE_LEAVING;
    plan_scene_refused(&scene, PLAN_NOTE_ZONES_LOST, 0, 3, 2);
    scene.input.shares_zones = true;
    plan = plan_scene_plan(&scene);
    cr_assert_not(plan_refused(&plan));
    cr_assert_eq(plan_scene_notes(&plan, PLAN_NOTE_ZONES), 1);
    plan_deinit(&plan);
    plan_scene_deinit(&scene);

    scene_of_zones(&scene, 3); /* all in one */
    for (uint32_t i = 0; i < 4; i++)
        model_zone(&scene.wanted, i, 7);
    plan_scene_refused(&scene, PLAN_NOTE_ZONES_LOST, 0, 3, 1);
    plan_scene_deinit(&scene);

    scene_of_zones(&scene, 4);
    plan_scene_refused(&scene, PLAN_NOTE_ZONES_LOST, 0, 4, 3);
    plan_scene_deinit(&scene);

    scene_of_zones(&scene, 2); /* two replicas need but two zones */
    scene.wanted.members[3].state = RINGMAP_STATE_LEAVING;
    plan = plan_scene_plan(&scene);
    cr_assert_not(plan_refused(&plan));
    plan_deinit(&plan);
    plan_scene_deinit(&scene);
}

/* Two zones, or none, for three replicas from the start. */
Test(plan_zones, where_replicas_share_zones_already_changes_go_on)
{
    for (uint32_t zones = 1; zones <= 2; zones++) {
        struct plan_scene scene;
        struct plan plan;

        scene_of_zones(&scene, 3);
        for (uint32_t i = 0; i < 4; i++) {
            model_zone(&scene.now, i, i % zones);
            model_zone(&scene.wanted, i, i % zones);
        }
        plan_scene_place(NULL, &scene.now);
        scene.wanted.members[3].state = RINGMAP_STATE_LEAVING;
        plan = plan_scene_plan(&scene);
        cr_assert_not(plan_refused(&plan));
        plan_deinit(&plan);
        plan_scene_deinit(&scene);
    }
}

Test(plan_zones, one_replica_is_no_reason_to_hold_zones_for_kept)
{
    struct plan_scene scene;
    struct plan plan;

    plan_scene_init(&scene, 4, 4, 1);
    ringmap_deinit(&scene.wanted);
    scene.wanted = model_cluster(4, 64, 3);
    plan = plan_scene_plan(&scene);
    cr_assert_not(plan_refused(&plan));
    plan_deinit(&plan);
    plan_scene_deinit(&scene);
}
