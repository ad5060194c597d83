#include "replication/pace.h"

#include <criterion/criterion.h>

#define SECOND_MS 1000u

/* A shard that serves 2,000 operations a second, each so many ms long, and sends snapshots as fast
 * as it may, up to `budget`. */
struct scene {
    struct pace pace;
    uint64_t now_ms;
    uint64_t budget;
    uint64_t sent;
    bool sends;
};

static void scene_init(struct scene *scene)
{
    *scene = (struct scene){.now_ms = 5000, .budget = UINT64_C(16) << 20};
    pace_init(&scene->pace, scene->now_ms);
}

/* By Little's law operations of that length, 2 a ms, are 2 * long_ms at a time. */
static void run(struct scene *scene, uint32_t ms, uint32_t operations_a_ms, uint32_t long_ms)
{
    for (uint32_t i = 0; i < ms; i++) {
        uint64_t rate = scene->pace.rate < scene->budget ? scene->pace.rate : scene->budget;

        for (uint32_t o = 0; o < operations_a_ms; o++)
            pace_operation(&scene->pace);
        if (scene->sends) {
            pace_sent(&scene->pace, (size_t)(rate / 1000));
            scene->sent += rate / 1000;
        }
        pace_step(&scene->pace, ++scene->now_ms, operations_a_ms * long_ms);
    }
}

Test(pace, without_clients_there_is_no_limit)
{
    struct scene scene;

    scene_init(&scene);
    scene.sends = true;
    run(&scene, 3 * SECOND_MS, 0, 0);
    cr_assert_eq(scene.pace.rate, PACE_FREE);
}

Test(pace, few_operations_say_nothing)
{
    struct scene scene;

    scene_init(&scene);
    for (uint32_t i = 0; i < 10; i++) {
        run(&scene, 499, 0, 0);
        run(&scene, 1, 1, 100);
    }
    cr_assert_eq(scene.pace.rate, PACE_FREE);
}

Test(pace, beside_clients_it_begins_slowly_and_grows_to_the_budget)
{
    struct scene scene;

    scene_init(&scene);
    run(&scene, SECOND_MS, 2, 1);
    cr_assert_eq(scene.pace.rate, PACE_RATE_MIN);
    cr_assert_float_eq(scene.pace.quiet_ms, 1, 1e-9);
    scene.sends = true;
    run(&scene, SECOND_MS, 2, 1);
    cr_assert(scene.pace.rate > PACE_RATE_MIN && scene.pace.rate < scene.budget);
    run(&scene, 20 * SECOND_MS, 2, 1);
    cr_assert_geq(scene.pace.rate, scene.budget);
}

Test(pace, operations_that_take_too_long_slow_it_down_to_the_least)
{
    struct scene scene;
    uint64_t before;

    scene_init(&scene);
    run(&scene, SECOND_MS, 2, 1);
    scene.sends = true;
    run(&scene, 20 * SECOND_MS, 2, 1);
    before = scene.budget;
    run(&scene, 100, 2, 3);
    cr_assert_lt(scene.pace.rate, before * 6 / 10, "half of what was sent");
    run(&scene, 700, 2, 3);
    cr_assert_eq(scene.pace.rate, PACE_RATE_MIN);
    scene.sent = 0;
    run(&scene, SECOND_MS, 2, 3);
    cr_assert_gt(scene.sent, PACE_RATE_MIN * 9 / 10, "it never ends");
}

Test(pace, a_load_that_is_slower_by_itself_becomes_the_quiet)
{
    struct scene scene;

    scene_init(&scene);
    run(&scene, SECOND_MS, 2, 1);
    scene.sends = true;
    run(&scene, 10 * SECOND_MS, 2, 5);
    cr_assert_gt(scene.pace.rate, 4 * PACE_RATE_MIN);
    cr_assert(scene.pace.quiet_ms > 3 && scene.pace.quiet_ms <= 5);
}

Test(pace, what_snapshots_cost_does_not_become_the_quiet)
{
    struct scene scene;

    scene_init(&scene);
    run(&scene, SECOND_MS, 2, 2);
    scene.sends = true;
    run(&scene, 30 * SECOND_MS, 2, 2);
    cr_assert_geq(scene.pace.rate, scene.budget);
    for (uint32_t i = 0; i < 300; i++) { /* long above a fifth of the budget, quiet below */
        bool slow = scene.pace.rate > scene.budget / 5;

        run(&scene, 100, 2, slow ? 6 : 2);
    }
    cr_assert_lt(scene.pace.quiet_ms, 3);
    cr_assert_lt(scene.pace.rate, scene.budget / 4);
}

Test(pace, unlimited_sending_is_taken_from_what_was_sent)
{
    struct scene scene;

    scene_init(&scene);
    run(&scene, SECOND_MS, 2, 1);
    run(&scene, SECOND_MS, 0, 0);
    cr_assert_eq(scene.pace.rate, PACE_FREE);
    scene.sends = true;
    run(&scene, 600, 2, 9);
    cr_assert_leq(scene.pace.rate, scene.budget / 2, "clients came back");
}

Test(pace, time_that_passes_without_a_step_counts)
{
    struct scene scene;

    scene_init(&scene);
    run(&scene, SECOND_MS, 2, 1);
    scene.sends = true;
    run(&scene, 5 * SECOND_MS, 2, 1);
    cr_assert_gt(scene.pace.rate, 2 * PACE_RATE_MIN);
    for (uint32_t i = 0; i < 3; i++) {
        for (uint32_t o = 0; o < 20; o++)
            pace_operation(&scene.pace);
        pace_sent(&scene.pace, 100000);
        scene.now_ms += 200; /* the shard stood still, and 20 waited */
        pace_step(&scene.pace, scene.now_ms, 20);
    }
    cr_assert_eq(scene.pace.rate, PACE_RATE_MIN);
}

Test(pace, clients_that_all_stand_still_are_not_gone)
{
    struct scene scene;

    scene_init(&scene);
    run(&scene, SECOND_MS, 2, 1);
    scene.sends = true;
    run(&scene, 5 * SECOND_MS, 2, 1);
    for (uint32_t i = 0; i < 600; i++) {
        pace_sent(&scene.pace, 10000);
        pace_step(&scene.pace, ++scene.now_ms, 20);
    }
    cr_assert_leq(scene.pace.rate, 5000000, "half of what was sent");
}
