#include "replication/rebalance.h"

#include <errno.h>
#include <string.h>

#include <criterion/criterion.h>

#include "allocation.h"
#include "tests/dice.h"

#define PARTITIONS 128u
#define MEMBERS    6u
#define PERIOD_MS  5000u

/* A cluster of which every transfer asked for is carried out at once. */
struct scene {
    struct rebalance rebalance;
    struct rebalance_member members[MEMBERS];
    struct rebalance_partition partitions[PARTITIONS];
    uint32_t operations[PARTITIONS]; /* without noise */
    struct rebalance_effects effects;
    uint64_t now_ms;
    uint32_t handed_over; /* in all */
};

static void scene_init(struct scene *scene, struct dice *dice)
{
    struct rebalance_options options;

    memset(scene, 0, sizeof *scene);
    rebalance_options_default(&options);
    options.partitions = PARTITIONS;
    options.members_max = MEMBERS;
    cr_assert_eq(rebalance_init(&scene->rebalance, &options), 0);
    for (uint32_t i = 0; i < MEMBERS; i++)
        scene->members[i] = (struct rebalance_member){(uint16_t)(i + 1), 100, true};
    for (uint32_t p = 0; p < PARTITIONS; p++) {
        struct rebalance_partition *partition = &scene->partitions[p];
        uint32_t first = dice_pick(dice, MEMBERS);

        partition->voter_count = 3;
        for (uint32_t i = 0; i < 3; i++)
            partition->voters[i] = (uint16_t)(1 + (first + i * (1 + p % 2)) % MEMBERS);
        partition->leader = partition->voters[0];
    }
    scene->now_ms = 1;
}

static void step(struct scene *scene, struct dice *dice, uint32_t noise_percent)
{
    struct rebalance_event event = {scene->now_ms, scene->members, MEMBERS, scene->partitions};

    for (uint32_t p = 0; p < PARTITIONS; p++) {
        uint32_t noise = scene->operations[p] * noise_percent / 100;

        scene->partitions[p].operations =
            scene->operations[p] + (noise ? dice_pick(dice, 2 * noise + 1) - noise : 0);
    }
    rebalance_step(&scene->rebalance, &event, &scene->effects);
    rebalance_check(&scene->rebalance);
    for (uint32_t i = 0; i < scene->effects.transfer_count; i++) {
        const struct rebalance_transfer *transfer = &scene->effects.transfers[i];
        struct rebalance_partition *partition = &scene->partitions[transfer->partition];
        bool voter = false;

        cr_assert_eq(partition->leader, transfer->from);
        for (uint32_t k = 0; k < partition->voter_count; k++)
            voter = voter || partition->voters[k] == transfer->to;
        cr_assert(voter && scene->members[transfer->to - 1].may_lead);
        partition->leader = transfer->to;
    }
    scene->handed_over += scene->effects.transfer_count;
    scene->now_ms += PERIOD_MS;
}

static uint32_t steps(struct scene *scene, struct dice *dice, uint32_t noise_percent, uint32_t ms)
{
    uint32_t before = scene->handed_over;

    for (uint32_t at = 0; at < ms; at += PERIOD_MS)
        step(scene, dice, noise_percent);
    return scene->handed_over - before;
}

/* Of the true loads, the fullest member's by its weight, in percent of the mean. */
static uint32_t fullest_percent(const struct scene *scene)
{
    double sums[MEMBERS] = {0}, sum = 0, weights = 0, most = 0;

    for (uint32_t p = 0; p < PARTITIONS; p++) {
        sums[scene->partitions[p].leader - 1] += 1 + scene->operations[p];
        sum += 1 + scene->operations[p];
    }
    for (uint32_t i = 0; i < MEMBERS; i++)
        weights += scene->members[i].may_lead ? scene->members[i].weight : 0;
    for (uint32_t i = 0; i < MEMBERS; i++) {
        double full = sums[i] / scene->members[i].weight / (sum / weights);

        most = full > most ? full : most;
    }
    return (uint32_t)(most * 100);
}

Test(rebalance, any_load_that_can_be_spread_is_spread_and_then_rests)
{
    for (uint64_t seed = 0; seed < 40; seed++) {
        struct dice dice = {seed};
        struct scene scene;

        scene_init(&scene, &dice);
        for (uint32_t p = 0; p < PARTITIONS; p++)
            scene.operations[p] = dice_pick(&dice, 1u << dice_pick(&dice, 10));
        steps(&scene, &dice, 0, 600000);
        cr_assert_leq(fullest_percent(&scene), 125, "seed %lu: %u", (unsigned long)seed,
                      fullest_percent(&scene));
        cr_assert_leq(scene.handed_over, PARTITIONS);
        cr_assert_eq(steps(&scene, &dice, 0, 3600000), 0, "seed %lu", (unsigned long)seed);
        rebalance_deinit(&scene.rebalance);
    }
}

Test(rebalance, noise_of_a_constant_load_moves_next_to_nothing)
{
    for (uint64_t seed = 0; seed < 10; seed++) {
        struct dice dice = {seed};
        struct scene scene;

        scene_init(&scene, &dice);
        for (uint32_t p = 0; p < PARTITIONS; p++)
            scene.operations[p] = 100 + dice_pick(&dice, 300);
        steps(&scene, &dice, 80, 600000);
        cr_assert_leq(steps(&scene, &dice, 80, 4 * 3600000), 4, "seed %lu", (unsigned long)seed);
        cr_assert_leq(fullest_percent(&scene), 130);
        rebalance_deinit(&scene.rebalance);
    }
}

/* Load that is somewhere else each minute, and no smoothing: whatever is done is wrong a minute
 * later. Rests see to it that it is done more and more rarely. */
Test(rebalance, a_load_that_jumps_about_is_chased_ever_more_rarely)
{
    struct dice dice = {3};
    struct scene scene;
    uint32_t first, later;

    scene_init(&scene, &dice);
    scene.rebalance.options.smoothing_ms = 1;
    for (uint32_t hour = 0; hour < 2; hour++)
        for (uint32_t i = 0; i < 60; i++) {
            memset(scene.operations, 0, sizeof scene.operations);
            scene.operations[i % 2] = scene.operations[2 + i % 2] = 10000;
            steps(&scene, &dice, 0, 60000);
        }
    first = scene.handed_over;
    for (uint32_t i = 0; i < 4 * 60; i++) {
        memset(scene.operations, 0, sizeof scene.operations);
        scene.operations[i % 2] = scene.operations[2 + i % 2] = 10000;
        steps(&scene, &dice, 0, 60000);
    }
    later = scene.handed_over - first;
    cr_assert_leq(later / 4, first / 2 / 3, "an hour: %u at first, then %u", first / 2, later / 4);
    rebalance_deinit(&scene.rebalance);
}

Test(rebalance, bytes_count_as_the_operations_they_cost)
{
    struct dice dice = {1};
    struct scene scene;

    scene_init(&scene, &dice);
    for (uint32_t p = 0; p < PARTITIONS; p++) {
        scene.partitions[p].leader = 1;
        scene.partitions[p].voters[0] = 1;
        scene.partitions[p].voters[1] = 2;
        scene.partitions[p].voter_count = 2;
        scene.partitions[p].bytes = p == 0 ? UINT64_C(4096) * 127 : 0;
        scene.operations[p] = p == 0 ? 0 : 1;
    }
    for (uint32_t i = 2; i < MEMBERS; i++)
        scene.members[i].may_lead = false;
    steps(&scene, &dice, 0, 600000);
    for (uint32_t p = 1, with = 0; p < PARTITIONS; p++) {
        with += scene.partitions[p].leader == scene.partitions[0].leader;
        cr_assert_leq(with, 48, "the one with the bytes weighs as much as half the others");
    }
    rebalance_deinit(&scene.rebalance);
}

Test(rebalance, idle_partitions_are_spread_by_number_and_weight)
{
    struct dice dice = {1};
    struct scene scene;
    uint32_t led[MEMBERS] = {0};

    scene_init(&scene, &dice);
    scene.members[1].weight = 200;
    steps(&scene, &dice, 0, 600000);
    for (uint32_t p = 0; p < PARTITIONS; p++)
        led[scene.partitions[p].leader - 1]++;
    for (uint32_t i = 0; i < MEMBERS; i++)
        cr_assert_leq(led[i], (i == 1 ? 2 : 1) * PARTITIONS * 1.25 / 7 + 1, "member %u leads %u",
                      i + 1, led[i]);
    cr_assert_gt(led[1], PARTITIONS / 7);
    rebalance_deinit(&scene.rebalance);
}

/* A slow disk or a drain: all in one step when it may be, whatever rests. */
Test(rebalance, who_must_not_lead_hands_everything_over)
{
    struct dice dice = {1};
    struct scene scene;
    uint32_t led = 0;

    scene_init(&scene, &dice);
    step(&scene, &dice, 0);
    for (uint32_t p = 0; p < PARTITIONS; p++)
        led += scene.partitions[p].leader == 3;
    cr_assert(led > 0 && led <= REBALANCE_TRANSFERS_MAX);
    scene.members[2].may_lead = false;
    step(&scene, &dice, 0);
    cr_assert_geq(scene.effects.transfer_count, led);
    for (uint32_t p = 0; p < PARTITIONS; p++)
        cr_assert_neq(scene.partitions[p].leader, 3);
    rebalance_deinit(&scene.rebalance);
}

Test(rebalance, one_that_nobody_can_succeed_stays)
{
    struct dice dice = {1};
    struct scene scene;

    scene_init(&scene, &dice);
    for (uint32_t p = 0; p < PARTITIONS; p++) {
        scene.partitions[p].leader = 1;
        scene.partitions[p].voters[0] = 1;
        scene.partitions[p].voter_count = 1;
    }
    scene.partitions[5].leader = 0; /* unknown */
    scene.members[0].may_lead = false;
    cr_assert_eq(steps(&scene, &dice, 0, 60000), 0);
    for (uint32_t i = 0; i < MEMBERS; i++)
        scene.members[i].may_lead = false;
    cr_assert_eq(steps(&scene, &dice, 0, 60000), 0);
    rebalance_deinit(&scene.rebalance);
}

/* 3 of 100 to 1 and a half: handing one over would leave the other nearly as full. */
Test(rebalance, a_transfer_that_gains_little_is_not_worth_it)
{
    struct dice dice = {1};
    struct scene scene;

    scene_init(&scene, &dice);
    for (uint32_t p = 0; p < PARTITIONS; p++) {
        struct rebalance_partition *partition = &scene.partitions[p];

        partition->voter_count = 2;
        partition->voters[0] = 1;
        partition->voters[1] = 2;
        partition->leader = p < 3 ? 1 : 2;
        scene.operations[p] = p < 4 ? 100000 : 440;
    }
    for (uint32_t i = 2; i < MEMBERS; i++)
        scene.members[i].may_lead = false;
    for (uint32_t p = 4; p < PARTITIONS; p++)
        scene.partitions[p].voters[0] = 2;
    cr_assert_geq(fullest_percent(&scene), 130);
    cr_assert_eq(steps(&scene, &dice, 0, 600000), 0);
    for (uint32_t p = 4; p < PARTITIONS; p++)
        scene.operations[p] = 200;
    cr_assert_eq(steps(&scene, &dice, 0, 600000), 1);
    rebalance_deinit(&scene.rebalance);
}

/* One partition that nothing helps must not keep the others from being spread. */
Test(rebalance, a_hot_partition_does_not_hide_the_others)
{
    struct dice dice = {2};
    struct scene scene;
    uint32_t led[MEMBERS] = {0};

    scene_init(&scene, &dice);
    for (uint32_t p = 0; p < PARTITIONS; p++) {
        scene.operations[p] = p == 0 ? 10000 : 100;
        if (p > 0 && p <= 60) {
            scene.partitions[p].voters[0] = 5;
            scene.partitions[p].voters[1] = 6;
            scene.partitions[p].voter_count = 2;
            scene.partitions[p].leader = 5;
        }
    }
    steps(&scene, &dice, 0, 1200000);
    for (uint32_t p = 1; p < PARTITIONS; p++)
        led[scene.partitions[p].leader - 1]++;
    cr_assert_leq(led[4], 42, "%u", led[4]);
    rebalance_deinit(&scene.rebalance);
}

static uint32_t at_home(const struct scene *scene)
{
    uint32_t count = 0;

    for (uint32_t p = 0; p < PARTITIONS; p++)
        count += scene->partitions[p].leader == scene->partitions[p].preferred;
    return count;
}

/* Preferred leaders that are even, as placement makes them. */
static void prefer_evenly(struct scene *scene)
{
    for (uint32_t p = 0; p < PARTITIONS; p++) {
        struct rebalance_partition *partition = &scene->partitions[p];

        partition->voter_count = 3;
        for (uint32_t i = 0; i < 3; i++)
            partition->voters[i] = (uint16_t)(1 + (p + i) % MEMBERS);
        partition->preferred = partition->leader = partition->voters[0];
    }
}

Test(rebalance, idle_leaders_go_home_when_a_member_is_back)
{
    struct dice dice = {1};
    struct scene scene;

    scene_init(&scene, &dice);
    prefer_evenly(&scene);
    for (uint32_t p = 0; p < PARTITIONS; p++)
        if (scene.partitions[p].preferred == 2)
            scene.partitions[p].leader = scene.partitions[p].voters[1 + p % 2];
    step(&scene, &dice, 0);
    cr_assert_eq(at_home(&scene), PARTITIONS, "in one step: %u are", at_home(&scene));
    cr_assert_eq(steps(&scene, &dice, 0, 3600000), 0);
    rebalance_deinit(&scene.rebalance);
}

/* Its home would be fuller than it is where it was sent: it does not go back and forth. */
Test(rebalance, what_left_home_for_its_load_stays_away)
{
    struct dice dice = {1};
    struct scene scene;
    uint32_t moved;

    scene_init(&scene, &dice);
    prefer_evenly(&scene);
    for (uint32_t p = 0; p < PARTITIONS; p++)
        scene.operations[p] = scene.partitions[p].preferred == 3 ? 400 : 50;
    moved = steps(&scene, &dice, 20, 600000);
    cr_assert(moved > 0 && fullest_percent(&scene) <= 130, "%u", fullest_percent(&scene));
    cr_assert_leq(steps(&scene, &dice, 20, 4 * 3600000), 4);
    memset(scene.operations, 0, sizeof scene.operations);
    steps(&scene, &dice, 0, 600000);
    cr_assert_geq(at_home(&scene), PARTITIONS - 4, "%u are", at_home(&scene));
    rebalance_deinit(&scene.rebalance);
}

Test(rebalance, no_memory_is_an_answer)
{
    struct rebalance_options options;
    struct rebalance rebalance;

    rebalance_options_default(&options);
    for (long n = 0; n < 3; n++) {
        allocation_fails_in = n;
        cr_assert_eq(rebalance_init(&rebalance, &options), -ENOMEM);
        allocation_fails_in = -1;
    }
}
