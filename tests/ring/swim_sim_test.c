/* Whole clusters of gossip cores on a simulated network. */
#include "ring/swim.h"

#include <string.h>

#include <criterion/criterion.h>

#include "swim_net.h"

#define LARGE 1000u
/* A seed takes 5 s of a core, and 9 under the sanitizer, where the suite runs. */
#ifdef __SANITIZE_ADDRESS__
#define LARGE_SEEDS 2u
#else
#define LARGE_SEEDS 8u
#endif

static bool first_is_dead_everywhere(const struct swim_net *net)
{
    uint32_t others = 0;

    for (uint32_t i = 1; i < net->count; i++)
        others += net->nodes[i].up;
    return swim_net_holders(net, 0, SWIM_DEAD) == others;
}

static bool second_has_moved_everywhere(const struct swim_net *net)
{
    for (uint32_t i = 0; i < net->count; i++) {
        struct swim_record record;

        if (net->nodes[i].up && (!swim_record_of(swim_find(&net->nodes[i].swim, 2), &record) ||
                                 strcmp(record.local.address, "192.168.7.7:7") != 0))
            return false;
    }
    return true;
}

static void move_second(struct swim_net *net)
{
    strcpy(net->nodes[1].local.address, "192.168.7.7:7");
    swim_net_tell(net, 1);
}

/* At 5 % loss: who moves, is known everywhere within 20 periods; who dies is held dead everywhere
 * within 5 s; nobody else is. */
static void run_large(uint64_t seed)
{
    struct swim_net net;
    uint64_t told_ms, found_ms;

    swim_net_init(&net, LARGE, seed, false);
    net.loss_permille = 50;
    swim_net_run(&net, 100 * (uint64_t)net.options.period_ms);
    move_second(&net);
    told_ms = swim_net_until(&net, 60000, second_has_moved_everywhere);
    cr_assert_leq(told_ms, 20 * net.options.period_ms, "who has moved is known after %lu ms",
                  (unsigned long)told_ms);
    swim_net_crash(&net, 0);
    found_ms = swim_net_until(&net, 60000, first_is_dead_everywhere);
    cr_log_info("seed %lu: told in %lu ms, found in %lu ms", (unsigned long)seed,
                (unsigned long)told_ms, (unsigned long)found_ms);
    cr_assert_leq(found_ms, 5000, "who is dead is held dead after %lu ms", (unsigned long)found_ms);
    cr_assert_eq(net.accusations, 0, "member %u is held dead, and lives", net.accused);
    cr_assert_gt(net.suspicions, 0, "it was hard enough");
    cr_assert_leq(net.packet_size_max, net.options.packet_size_max);
    swim_net_deinit(&net);
}

/* Two tests, as tests run beside each other. */
Test(swim_sim, a_thousand_nodes_at_five_percent_loss)
{
    for (uint64_t seed = 1; seed <= LARGE_SEEDS; seed += 2)
        run_large(seed);
}

Test(swim_sim, another_thousand_nodes_at_five_percent_loss)
{
    for (uint64_t seed = 2; seed <= LARGE_SEEDS; seed += 2)
        run_large(seed);
}

Test(swim_sim, no_live_node_is_held_dead_in_a_long_run_at_five_percent_loss)
{
    static const uint32_t sizes[] = {3, 5, 10, 30, 100};

    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct swim_net net;

        swim_net_init(&net, sizes[i], 100 + i, false);
        net.loss_permille = 50;
        swim_net_run(&net, 600000 / sizes[i] + 60000);
        cr_assert_eq(net.accusations, 0, "member %u of %u is held dead, and lives", net.accused,
                     sizes[i]);
        cr_assert(swim_net_converged(&net) || sizes[i] > 10);
        swim_net_deinit(&net);
    }
}

Test(swim_sim, a_dead_node_is_found_in_two_seconds_among_three_to_ten)
{
    for (uint32_t count = 3; count <= 10; count++) {
        uint64_t worst_ms = 0;

        for (uint64_t seed = 0; seed < 20; seed++) {
            struct swim_net net;
            uint64_t took_ms;

            swim_net_init(&net, count, seed, false);
            swim_net_run(&net, 2000 + dice_below(&net.dice, 500));
            cr_assert(swim_net_converged(&net));
            swim_net_crash(&net, 0);
            took_ms = swim_net_until(&net, 20000, first_is_dead_everywhere);
            worst_ms = took_ms > worst_ms ? took_ms : worst_ms;
            cr_assert_eq(net.accusations, 0);
            swim_net_deinit(&net);
        }
        cr_log_info("%u nodes: %lu ms at worst", count, (unsigned long)worst_ms);
        cr_assert_leq(worst_ms, 2000, "who is dead is held dead after %lu ms among %u",
                      (unsigned long)worst_ms, count);
    }
}

Test(swim_sim, real_signatures_and_a_restarted_node_outbids_its_former_life)
{
    struct swim_net net;

    swim_net_init(&net, 5, 7, true);
    cr_assert_leq(swim_net_until(&net, 10000, swim_net_converged), 10000);
    swim_net_crash(&net, 0);
    cr_assert_leq(swim_net_until(&net, 10000, first_is_dead_everywhere), 10000);
    swim_net_restart(&net, 0);
    cr_assert_leq(swim_net_until(&net, 10000, swim_net_converged), 10000);
    cr_assert_geq(swim_find(&net.nodes[0].swim, 1)->incarnation, 2);
    for (unsigned i = 0; i < 20; i++) { /* faster than anybody notices */
        swim_net_crash(&net, 0);
        net.nodes[0].local.operations = i;
        swim_net_restart(&net, 0);
        swim_net_run(&net, dice_below(&net.dice, 400));
    }
    cr_assert_leq(swim_net_until(&net, 10000, swim_net_converged), 10000);
    swim_net_deinit(&net);
}

static bool one_way(const struct swim_net *net, uint16_t from, uint16_t to)
{
    (void)net;
    return !(from == 1 && to == 2) && !(from == 3 && to == 4);
}

Test(swim_sim, one_way_cuts_accuse_nobody)
{
    struct swim_net net;

    for (uint64_t seed = 0; seed < 5; seed++) {
        swim_net_init(&net, 6, seed, false);
        net.passes = one_way;
        swim_net_run(&net, 60000);
        cr_assert_eq(net.suspicions, 0, "others reach whom one cannot, and somebody is suspected");
        cr_assert_eq(net.accusations, 0, "member %u is held dead, and lives", net.accused);
        move_second(&net);
        cr_assert_leq(swim_net_until(&net, 3000, second_has_moved_everywhere), 3000);
        swim_net_deinit(&net);
    }
}

static bool mute(const struct swim_net *net, uint16_t from, uint16_t to)
{
    (void)net;
    (void)to;
    return from != 1;
}

Test(swim_sim, who_hears_but_cannot_be_heard_is_found_and_comes_back)
{
    struct swim_net net;

    swim_net_init(&net, 6, 5, false);
    swim_net_run(&net, 3000);
    net.passes = mute;
    cr_assert_leq(swim_net_until(&net, 4000, first_is_dead_everywhere), 4000);
    net.passes = NULL;
    cr_assert_leq(swim_net_until(&net, 5000, swim_net_converged), 5000);
    swim_net_deinit(&net);
}

static bool halves(const struct swim_net *net, uint16_t from, uint16_t to)
{
    return (from <= net->count / 2) == (to <= net->count / 2);
}

static bool sides_are_apart(const struct swim_net *net)
{
    for (uint32_t i = 0; i < net->count; i++)
        for (uint32_t j = 0; j < net->count; j++)
            if (i != j && (swim_net_standing(net, i, j) == SWIM_DEAD) !=
                              !halves(net, (uint16_t)(i + 1), (uint16_t)(j + 1)))
                return false;
    return true;
}

Test(swim_sim, a_healed_partition_finds_itself_again)
{
    static const uint32_t sizes[] = {4, 10, 60};

    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct swim_net net;
        uint64_t took_ms;

        swim_net_init(&net, sizes[i], i, false);
        swim_net_run(&net, 5000);
        net.passes = halves;
        cr_assert_leq(swim_net_until(&net, 60000, sides_are_apart), 60000);
        move_second(&net); /* known on one side only */
        swim_net_run(&net, 20000);
        net.passes = NULL;
        net.accusations = 0;
        took_ms = swim_net_until(&net, 30000, swim_net_converged);
        cr_log_info("%u nodes are one again in %lu ms", sizes[i], (unsigned long)took_ms);
        cr_assert_leq(took_ms, 30000, "%u nodes are not one again", sizes[i]);
        cr_assert_eq(net.accusations, 0, "member %u of %u is held dead, and lives", net.accused,
                     sizes[i]);
        swim_net_deinit(&net);
    }
}

/* Member 1 stops again and again, for a part of the time that a suspect has. */
static void run_slow(struct swim_net *net, unsigned times)
{
    for (unsigned i = 0; i < times; i++) {
        swim_net_stall(net, 0, 100 + dice_below(&net->dice, 350));
        swim_net_run(net, 500 + dice_below(&net->dice, 100));
    }
}

Test(swim_sim, slow_members_are_kept_and_accuse_nobody)
{
    for (uint32_t count = 3; count <= 12; count += 3) {
        struct swim_net net;

        swim_net_init(&net, count, count, false);
        swim_net_run(&net, 3000);
        run_slow(&net, 100);
        cr_assert_gt(net.suspicions, 0, "it was hard enough");
        cr_assert_eq(net.accusations, 0, "member %u of %u is held dead, and lives", net.accused,
                     count);
        swim_net_run(&net, 3000);
        cr_assert(swim_net_converged(&net));
        swim_net_deinit(&net);
    }
}

#define SLOW  5u /* of */
#define MIXED 20u

/* Five of twenty stop now and then for up to 1.1 s, at 5 % loss. plain: without what Lifeguard
 * adds, but for the buddy, and counting time asleep. */
static void run_mixed(bool plain, uint64_t *slow, uint64_t *healthy)
{
    for (uint64_t seed = 0; seed < 5; seed++) {
        struct swim_net net;

        swim_net_init(&net, MIXED, seed, false);
        net.loss_permille = 50;
        for (uint32_t i = 0; plain && i < MIXED; i++) {
            net.nodes[i].swim.options.health_max = 0;
            net.nodes[i].swim.options.suspicion_stretch = 1;
            net.nodes[i].swim.options.awake_ms_max = UINT32_MAX;
        }
        swim_net_run(&net, 3000);
        for (unsigned i = 0; i < 400; i++) {
            uint32_t k = (uint32_t)dice_below(&net.dice, SLOW);

            if (net.nodes[k].stalled_ms < net.now_ms)
                swim_net_stall(&net, k, 100 + dice_below(&net.dice, 1000));
            swim_net_run(&net, 100);
        }
        for (uint32_t i = 0; i < MIXED; i++)
            *(i < SLOW ? slow : healthy) += net.nodes[i].accusations;
        swim_net_deinit(&net);
    }
}

Test(swim_sim, members_that_stop_for_long_harm_nobody_else)
{
    uint64_t slow = 0, healthy = 0, slow_plain = 0, healthy_plain = 0;

    run_mixed(false, &slow, &healthy);
    run_mixed(true, &slow_plain, &healthy_plain);
    cr_log_info("held dead: slow ones %lu times, healthy ones %lu; without Lifeguard %lu and %lu",
                (unsigned long)slow, (unsigned long)healthy, (unsigned long)slow_plain,
                (unsigned long)healthy_plain);
    cr_assert_eq(healthy, 0);
    cr_assert_gt(healthy_plain, 0, "it was hard enough");
    cr_assert_lt(10 * slow, slow_plain);
}

Test(swim_sim, a_removed_member_that_gossips_on_is_not_heard)
{
    struct swim_net net;

    swim_net_init(&net, 6, 9, true);
    swim_net_run(&net, 3000);
    swim_net_remove(&net, 6); /* it does not know */
    strcpy(net.nodes[5].local.address, "192.168.7.7:7");
    swim_net_tell(&net, 5);
    swim_net_run(&net, 5000);
    for (uint32_t i = 0; i < 5; i++) {
        cr_assert_null(swim_find(&net.nodes[i].swim, 6));
        cr_assert_gt(net.nodes[i].swim.stats.strangers, 0);
        for (uint32_t j = 0; j < 5; j++)
            cr_assert(i == j || swim_net_standing(&net, i, j) == SWIM_ALIVE);
    }
    swim_net_deinit(&net);
}
