#include "replication/budget.h"

#include <criterion/criterion.h>

#include "tests/dice.h"

#define PARTS     4u
#define RATE      (UINT64_C(32) << 20)
#define PIECE     (UINT64_C(192) << 10)
#define SECOND_MS 1000u

/* Four shards, each of which asks every so many ms for so much. */
struct asker {
    uint32_t every_ms; /* 0: it does not */
    uint64_t wanted;
    uint64_t given;
};

struct scene {
    struct budget budget;
    uint64_t now_ms;
    uint64_t rate;
    struct asker askers[PARTS];
};

static void scene_init(struct scene *scene)
{
    *scene = (struct scene){.now_ms = 7000, .rate = RATE};
    budget_init(&scene->budget, PARTS, scene->now_ms);
}

static uint64_t ask_and_give(struct scene *scene, uint16_t part, uint64_t wanted, uint64_t left)
{
    struct budget_event event = {
        .now_ms = scene->now_ms, .rate = scene->rate, .wanted = wanted, .left = left, .part = part};
    uint64_t given = budget_take(&scene->budget, &event);

    budget_check(&scene->budget);
    cr_assert_leq(given, wanted);
    return given;
}

static uint64_t ask(struct scene *scene, uint16_t part, uint64_t wanted)
{
    uint64_t given = ask_and_give(scene, part, wanted, 0);

    scene->askers[part].given += given;
    return given;
}

static uint64_t run(struct scene *scene, uint32_t ms)
{
    uint64_t sum = 0;

    for (uint32_t i = 0; i < ms; i++) {
        scene->now_ms++;
        for (uint16_t part = 0; part < PARTS; part++) {
            const struct asker *asker = &scene->askers[part];

            if (asker->every_ms > 0 && scene->now_ms % asker->every_ms == 0)
                sum += ask(scene, part, asker->wanted);
        }
    }
    return sum;
}

static void forget_given(struct scene *scene)
{
    for (uint32_t part = 0; part < PARTS; part++)
        scene->askers[part].given = 0;
}

static void expect_about(uint64_t given, uint64_t due)
{
    cr_assert(given >= due - due / 50 && given <= due + due / 50, "%llu of %llu",
              (unsigned long long)given, (unsigned long long)due);
}

Test(budget, one_busy_shard_of_four_gets_all)
{
    struct scene scene;

    scene_init(&scene);
    scene.askers[2] = (struct asker){.every_ms = 1, .wanted = 8 * PIECE};
    run(&scene, SECOND_MS);
    forget_given(&scene);
    expect_about(run(&scene, 5 * SECOND_MS), 5 * RATE);
}

/* Also one that has only its ticks to ask at. */
Test(budget, two_get_half_each_however_often_they_ask)
{
    struct scene scene;

    scene_init(&scene);
    scene.askers[0] = (struct asker){.every_ms = 1, .wanted = 8 * PIECE};
    scene.askers[3] = (struct asker){.every_ms = 100, .wanted = 8 * RATE};
    run(&scene, SECOND_MS);
    forget_given(&scene);
    run(&scene, 5 * SECOND_MS);
    expect_about(scene.askers[0].given, 5 * RATE / 2);
    expect_about(scene.askers[3].given, 5 * RATE / 2);
}

Test(budget, what_one_does_not_want_the_others_get)
{
    struct scene scene;

    scene_init(&scene);
    scene.askers[0] = (struct asker){.every_ms = 10, .wanted = RATE / 1000}; /* a tenth */
    scene.askers[1] = (struct asker){.every_ms = 3, .wanted = 8 * PIECE};
    scene.askers[2] = (struct asker){.every_ms = 7, .wanted = 8 * PIECE};
    run(&scene, SECOND_MS);
    forget_given(&scene);
    run(&scene, 5 * SECOND_MS);
    expect_about(scene.askers[0].given, 5 * RATE / 10);
    expect_about(scene.askers[1].given, 5 * RATE * 9 / 20);
    expect_about(scene.askers[2].given, 5 * RATE * 9 / 20);
}

Test(budget, one_that_stops_gives_back_within_a_second)
{
    struct scene scene;

    scene_init(&scene);
    for (uint32_t part = 0; part < PARTS; part++)
        scene.askers[part] = (struct asker){.every_ms = 5, .wanted = 8 * PIECE};
    scene.askers[0] = (struct asker){.every_ms = 100, .wanted = RATE};
    run(&scene, SECOND_MS);
    scene.askers[1].every_ms = scene.askers[2].every_ms = scene.askers[3].every_ms = 0;
    forget_given(&scene);
    run(&scene, SECOND_MS);
    cr_assert_gt(scene.askers[0].given, RATE * 3 / 4, "already");
    forget_given(&scene);
    run(&scene, SECOND_MS);
    expect_about(scene.askers[0].given, RATE);
}

Test(budget, one_that_begins_gets_its_part_at_once)
{
    struct scene scene;

    scene_init(&scene);
    scene.askers[0] = (struct asker){.every_ms = 1, .wanted = RATE};
    run(&scene, SECOND_MS);
    scene.askers[1] = (struct asker){.every_ms = 1, .wanted = RATE};
    forget_given(&scene);
    run(&scene, 100);
    expect_about(scene.askers[1].given, RATE / 20);
}

/* Whoever asks how, and whatever rates are said: in no time is more given than it may be. */
Test(budget, the_sum_holds_over_any_time)
{
    struct dice dice = {5};
    struct scene scene;
    uint64_t level = 0; /* given, less what time has brought: a leaky bucket */

    scene_init(&scene);
    for (uint32_t i = 0; i < 200000; i++) {
        uint64_t passed_ms = dice_pick(&dice, 20) ? dice_pick(&dice, 4) : dice_pick(&dice, 2000);
        uint64_t leaks = scene.rate * passed_ms / 1000, left, given;
        uint16_t part = (uint16_t)dice_pick(&dice, PARTS);

        level -= leaks < level ? leaks : level;
        scene.now_ms += passed_ms;
        given = ask(&scene, part, dice_pick(&dice, 2) ? PIECE : dice_pick(&dice, RATE));
        left = given > 0 && dice_pick(&dice, 3) == 0 ? dice_pick(&dice, (uint32_t)given) : 0;
        given += ask_and_give(&scene, part, left / 2, left) - left;
        level += given;
        cr_assert_leq(level, scene.rate * BUDGET_SAVED_MS / 1000);
        if (dice_pick(&dice, 1000) == 0) { /* the map says another */
            scene.rate = (UINT64_C(1) + dice_pick(&dice, 64)) << 20;
            ask(&scene, part, 0);
            level = 0;
        }
    }
}

Test(budget, what_is_given_back_is_there_for_others)
{
    struct scene scene;

    scene_init(&scene);
    ask(&scene, 0, 0);
    scene.now_ms += BUDGET_SAVED_MS;
    cr_assert_eq(ask(&scene, 0, RATE), RATE * BUDGET_SAVED_MS / 1000);
    cr_assert_eq(ask(&scene, 1, RATE), 0);
    ask_and_give(&scene, 0, 0, RATE / 20);
    expect_about(ask(&scene, 0, RATE), RATE / 20);
    ask_and_give(&scene, 0, 0, RATE / 5);
    expect_about(ask(&scene, 1, RATE), RATE / 10);
}

Test(budget, a_clock_that_is_behind_anothers_brings_nothing)
{
    struct scene scene;

    scene_init(&scene);
    scene.now_ms += 50;
    cr_assert_eq(ask(&scene, 0, RATE), 0, "no rate was known before");
    scene.now_ms += 50;
    expect_about(ask(&scene, 0, RATE), RATE / 20);
    scene.now_ms -= 20;
    cr_assert_eq(ask(&scene, 1, RATE), 0);
    scene.now_ms += 40;
    expect_about(ask(&scene, 1, RATE), RATE / 100);
}
