#include "replication/slow_disk.h"

#include <criterion/criterion.h>

#include "tests/dice.h"

#define PERIOD_MS 300u
#define MEMBERS   5u

struct scene {
    struct slow_disk slow_disk;
    struct slow_disk_sample samples[MEMBERS];
    uint64_t now_ms;
};

static void scene_init(struct scene *scene)
{
    struct slow_disk_options options;

    slow_disk_options_default(&options);
    options.members_max = MEMBERS;
    cr_assert_eq(slow_disk_init(&scene->slow_disk, &options), 0);
    for (uint32_t i = 0; i < MEMBERS; i++)
        scene->samples[i] = (struct slow_disk_sample){true, 1000 + i};
    scene->now_ms = 1;
}

static uint32_t step(struct scene *scene)
{
    struct slow_disk_event event = {scene->now_ms, scene->samples, MEMBERS};

    scene->now_ms += PERIOD_MS;
    return slow_disk_step(&scene->slow_disk, &event);
}

static uint32_t steps(struct scene *scene, uint32_t ms)
{
    uint32_t changed = 0;

    for (uint32_t at = 0; at < ms; at += PERIOD_MS)
        changed += step(scene);
    return changed;
}

Test(slow_disk, one_far_off_its_peers_is_slow_within_a_second)
{
    struct scene scene;
    uint64_t begin_ms;

    scene_init(&scene);
    cr_assert_eq(steps(&scene, 10000), 0);
    begin_ms = scene.now_ms;
    scene.samples[3].p99_us = 300000;
    while (step(&scene) == 0)
        cr_assert_leq(scene.now_ms - begin_ms, 1200, "four samples");
    for (uint32_t i = 0; i < MEMBERS; i++)
        cr_assert_eq(slow_disk_is(&scene.slow_disk, i), i == 3);
    slow_disk_deinit(&scene.slow_disk);
}

Test(slow_disk, a_moment_is_no_evidence)
{
    struct scene scene;

    scene_init(&scene);
    for (unsigned i = 0; i < 100; i++) {
        scene.samples[3].p99_us = i % 4 == 3 ? 1000 : 300000; /* never three bad intervals on end */
        cr_assert_eq(step(&scene), 0);
    }
    scene.samples[3].p99_us = 300000;
    for (unsigned i = 0; i < 100; i++) {
        scene.samples[3].fresh = i % 2; /* or it is not heard of */
        cr_assert_eq(step(&scene), 0);
    }
    slow_disk_deinit(&scene.slow_disk);
}

/* Where the machine is busy, now one and now another of the others has a sync that takes long. */
Test(slow_disk, hiccups_of_the_others_do_not_hide_it)
{
    struct scene scene;
    uint32_t changed = 0;

    scene_init(&scene);
    cr_assert_eq(steps(&scene, 10000), 0);
    scene.samples[3].p99_us = 300000;
    for (uint32_t i = 0; i < 4; i++) {
        for (uint32_t k = 0; k < MEMBERS; k++)
            if (k != 3)
                scene.samples[k].p99_us = k == i || k == (i + 1) % 3 ? 100000 : 1000;
        changed += step(&scene);
    }
    cr_assert_eq(changed, 1);
    cr_assert(slow_disk_is(&scene.slow_disk, 3));
    slow_disk_deinit(&scene.slow_disk);
}

Test(slow_disk, what_all_suffer_from_one_moment_on_blames_nobody)
{
    struct scene scene;

    scene_init(&scene);
    cr_assert_eq(steps(&scene, 10000), 0);
    for (uint32_t i = 0; i < MEMBERS; i++)
        scene.samples[i].p99_us = i == 3 ? 900000 : 300000;
    cr_assert_eq(steps(&scene, 20000), 0);
    slow_disk_deinit(&scene.slow_disk);
}

/* What took long is counted when it ends: for one member just before the question, for the others
 * behind it. */
Test(slow_disk, who_shows_first_what_all_suffer_is_not_blamed)
{
    struct scene scene;

    scene_init(&scene);
    cr_assert_eq(steps(&scene, 10000), 0);
    scene.samples[3].p99_us = 300000;
    cr_assert_eq(step(&scene), 0);
    for (uint32_t i = 0; i < MEMBERS; i++)
        scene.samples[i].p99_us = 300000;
    cr_assert_eq(steps(&scene, 20000), 0);
    slow_disk_deinit(&scene.slow_disk);
}

Test(slow_disk, all_slow_together_blame_nobody)
{
    struct scene scene;

    scene_init(&scene);
    for (uint32_t i = 0; i < MEMBERS; i++)
        scene.samples[i].p99_us = i < 3 ? 400000 : 1000;
    cr_assert_eq(steps(&scene, 20000), 0, "three of five");
    for (uint32_t i = 0; i < MEMBERS; i++)
        scene.samples[i].p99_us = 100 + 15000 * (i == 0);
    cr_assert_eq(steps(&scene, 20000), 0, "150 times the others, but below the floor");
    slow_disk_deinit(&scene.slow_disk);
}

static void make_slow(struct scene *scene)
{
    scene_init(scene);
    scene->samples[0].p99_us = 100000;
    cr_assert_eq(steps(scene, 2000), 1);
}

Test(slow_disk, it_is_sound_again_after_a_long_good_time)
{
    struct scene scene;

    make_slow(&scene);
    scene.samples[0].p99_us = 15000; /* below the upper bar, above the lower */
    cr_assert_eq(steps(&scene, 100000), 0);
    scene.samples[0].p99_us = 2000;
    cr_assert_eq(steps(&scene, 29000), 0);
    scene.samples[0].p99_us = 50000;
    cr_assert_eq(steps(&scene, 1500), 0, "slow as before");
    scene.samples[0].p99_us = 2000;
    cr_assert_eq(steps(&scene, 29500), 0);
    cr_assert_eq(step(&scene), 1);
    cr_assert_not(slow_disk_is(&scene.slow_disk, 0));
    slow_disk_deinit(&scene.slow_disk);
}

Test(slow_disk, hiccups_of_the_machine_do_not_hold_it_for_ever)
{
    struct scene scene;

    make_slow(&scene);
    for (unsigned i = 0; i < 109; i++) { /* 99 good ones of 300 ms */
        scene.samples[0].p99_us = i % 20 == 19 ? 50000 : i % 20 == 9 ? 15000 : 2000;
        cr_assert_eq(step(&scene), 0, "%u", i);
    }
    scene.samples[0].p99_us = 2000;
    cr_assert_eq(steps(&scene, 1500), 1);
    cr_assert_not(slow_disk_is(&scene.slow_disk, 0));
    slow_disk_deinit(&scene.slow_disk);
}

/* Little is written: a sample comes now and then. */
Test(slow_disk, it_is_sound_again_by_a_few_good_samples)
{
    struct scene scene;

    make_slow(&scene);
    scene.samples[0].p99_us = 2000;
    for (unsigned i = 0; i < 99; i++) {
        scene.samples[0].fresh = i % 10 == 0;
        cr_assert_eq(step(&scene), 0);
    }
    scene.samples[0].fresh = false;
    cr_assert_eq(steps(&scene, 60000), 0, "only a sample tells");
    scene.samples[0].fresh = true;
    cr_assert_eq(step(&scene), 1);
    cr_assert_not(slow_disk_is(&scene.slow_disk, 0));
    slow_disk_deinit(&scene.slow_disk);
}

Test(slow_disk, noise_about_the_bars_flaps_rarely)
{
    struct dice dice = {9};
    struct scene scene;
    uint32_t changed = 0;

    scene_init(&scene);
    for (unsigned i = 0; i < 7200; i++) { /* an hour */
        for (uint32_t k = 0; k < MEMBERS; k++)
            scene.samples[k].p99_us = 3000 + (uint32_t)dice_pick(&dice, 4000);
        scene.samples[2].p99_us = 10000 + (uint32_t)dice_pick(&dice, 90000);
        changed += step(&scene);
    }
    cr_assert_leq(changed, 1);
    slow_disk_deinit(&scene.slow_disk);
}
