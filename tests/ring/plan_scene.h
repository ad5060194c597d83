/* Plan scene: a cluster and what it is to become, for the tests of plans. */
#ifndef TESTS_RING_PLAN_SCENE_H
#define TESTS_RING_PLAN_SCENE_H

#include "ring/plan.h"

#define MIB (UINT64_C(1) << 20)

/* A cluster of `members`, and the same after the change that the caller makes to `wanted`. */
struct plan_scene {
    struct ringmap now, wanted;
    uint64_t bytes[4096];
    struct plan_node nodes[64];
    struct plan_input input;
};

void plan_scene_init(struct plan_scene *scene, uint32_t members, uint32_t after, uint32_t replicas);
void plan_scene_deinit(struct plan_scene *scene);
/* Lays the rows of `map`, which comes from `before` or from nothing. */
void plan_scene_place(const struct ringmap *before, struct ringmap *map);
/* The plan for what is wanted by now; the caller's. */
struct plan plan_scene_plan(struct plan_scene *scene);
struct plan plan_scene_make(const struct plan_input *input);

/* How many notes of that code there are, all of which read well. */
uint32_t plan_scene_notes(const struct plan *plan, uint8_t code);
/* The first of them; there must be one. */
const struct plan_note *plan_scene_note(const struct plan *plan, uint8_t code);
void plan_scene_refused(struct plan_scene *scene, uint8_t code, uint16_t member, uint64_t need,
                        uint64_t have);

#endif
