#include "plan_scene.h"

#include "placement_model.h"
#include "ring/placement.h"
#include "ring/voters.h"

#include <criterion/criterion.h>

#include <string.h>

void plan_scene_place(const struct ringmap *before, struct ringmap *map)
{
    struct placement_cost cost;

    map->epoch = 7;
    cr_assert_eq(placement_change(before, map, &cost), 0);
}

struct plan plan_scene_make(const struct plan_input *input)
{
    struct plan plan;

    cr_assert_eq(plan_make(input, &plan), 0);
    plan_check(&plan);
    return plan;
}

void plan_scene_init(struct plan_scene *scene, uint32_t members, uint32_t after, uint32_t replicas)
{
    scene->now = model_cluster(members, 64, replicas);
    scene->wanted = model_cluster(after, 64, replicas);
    plan_scene_place(NULL, &scene->now);
    cr_assert_eq(voters_choose(&scene->now, NULL), 0);
    for (uint32_t i = 0; i < 64; i++)
        scene->nodes[i] = (struct plan_node){.alive = true, .disk_room = UINT64_MAX};
    for (uint32_t i = 0; i < 4096; i++)
        scene->bytes[i] = MIB;
    scene->input = (struct plan_input){.now = &scene->now,
                                       .wanted = &scene->wanted,
                                       .partition_bytes = scene->bytes,
                                       .nodes = scene->nodes,
                                       .rate_bytes = 10 * MIB,
                                       .moves_per_node_max = 2};
}

struct plan plan_scene_plan(struct plan_scene *scene)
{
    plan_scene_place(&scene->now, &scene->wanted);
    return plan_scene_make(&scene->input);
}

void plan_scene_deinit(struct plan_scene *scene)
{
    ringmap_deinit(&scene->now);
    ringmap_deinit(&scene->wanted);
}

uint32_t plan_scene_notes(const struct plan *plan, uint8_t code)
{
    char text[PLAN_NOTE_SIZE];
    uint32_t count = 0;

    for (uint32_t i = 0; i < plan->note_count; i++) {
        plan_note_text(&plan->notes[i], text);
        cr_assert(strlen(text) > 10 && strlen(text) < PLAN_NOTE_SIZE - 1);
        count += plan->notes[i].code == code;
    }
    return count;
}

const struct plan_note *plan_scene_note(const struct plan *plan, uint8_t code)
{
    for (uint32_t i = 0; i < plan->note_count; i++) {
        if (plan->notes[i].code == code)
            return &plan->notes[i];
    }
    cr_assert_fail("no note %u", code);
    return NULL;
}

void plan_scene_refused(struct plan_scene *scene, uint8_t code, uint16_t member, uint64_t need,
                        uint64_t have)
{
    struct plan plan = plan_scene_plan(scene);
    const struct plan_note *note = plan_scene_note(&plan, code);

    cr_assert(plan_refused(&plan));
    cr_assert_eq(note->member, member);
    cr_assert_eq(note->need, need);
    cr_assert_eq(note->have, have);
    plan_deinit(&plan);
}
