/* Processes that die, stop or stand still while clients write. */
#include "tests/process/fleet.h"
#include "tests/process/load.h"
#include "tests/process/scenario.h"

#include <signal.h>

#define NODES      3u
#define CLIENTS    12u
#define HEALTHY_MS 60000u
#define WARM_MS    500u
#define DOWN_MS    1200u /* a node stays away */
#define BACK_MS    500u  /* and is back, until the next round */
#define SYNC_MS    "60"  /* of a disk that syncs slowly */

static uint32_t larger(uint32_t a, uint32_t b)
{
    return a > b ? a : b;
}

static uint32_t rounds_of(const struct scenario_options *options, uint32_t usual, uint32_t few)
{
    return options->rounds ? options->rounds : options->is_short ? few : usual;
}

/* Whoever is stopped in order leaves no operation without an answer; only kill -9 may. */
static void finish(struct load *load, struct load_result *result)
{
    load_finish(load, result);
    REQUIRE(result->unexplained == 0, "%u of %u unknown outcomes without a kill",
            result->unexplained, result->unknown);
}

void scenario_kill(const struct scenario_options *options)
{
    uint32_t rounds = rounds_of(options, 20, 4), longest = 0, sum = 0;
    struct load_result result;
    struct fleet fleet;
    struct load *load;

    fleet_open(&fleet, options->folder, NODES);
    load = load_start(fleet.resp_port, CLIENTS);
    pause_ms(WARM_MS);
    for (uint32_t round = 0; round < rounds; round++) {
        uint32_t k = draw(NODES), gap;

        pause_ms(draw(BACK_MS));
        load_window_begin(load);
        fleet_kill(&fleet, &fleet.nodes[k]);
        pause_ms(DOWN_MS);
        gap = load_window_end(load);
        longest = larger(longest, gap);
        sum += gap;
        fleet_start_node(&fleet, k);
        /* Every other time the next one dies while this one still catches up. */
        if (round % 2 == 0)
            fleet_wait_healthy(&fleet, HEALTHY_MS);
    }
    fleet_wait_healthy(&fleet, HEALTHY_MS);
    finish(load, &result);
    fleet_close(&fleet);
    scenario_say(
        options,
        "%u rounds, %u operations linearizable (%u unknown, %u refused), longest gap %u ms, "
        "mean %u ms",
        rounds, result.operations, result.unknown, result.refused, longest, sum / rounds);
}

void scenario_stop(const struct scenario_options *options)
{
    uint32_t rounds = rounds_of(options, 6, 3), longest = 0, slowest = 0;
    struct load_result result;
    struct fleet fleet;
    struct load *load;

    fleet_open(&fleet, options->folder, NODES);
    load = load_start(fleet.resp_port, CLIENTS);
    pause_ms(WARM_MS);
    for (uint32_t round = 0; round < rounds; round++) {
        uint32_t k = round % NODES;

        load_window_begin(load);
        slowest = larger(slowest, fleet_stop(&fleet, &fleet.nodes[k]));
        pause_ms(DOWN_MS / 2);
        longest = larger(longest, load_window_end(load));
        fleet_start_node(&fleet, k);
        fleet_wait_healthy(&fleet, HEALTHY_MS);
        pause_ms(BACK_MS);
    }
    finish(load, &result);
    REQUIRE(result.refused == 0, "%u operations were refused", result.refused);
    fleet_close(&fleet);
    scenario_say(options,
                 "%u rounds, %u operations linearizable (%u unknown), longest gap %u ms, a node "
                 "took at most %u ms to stop",
                 rounds, result.operations, result.unknown, longest, slowest);
}

/* What a process has written outlives it, synced or not. Every other time, from the first on, syncs
 * take so long that what was told to clients without one is in no file when all are killed. */
void scenario_all(const struct scenario_options *options)
{
    uint32_t rounds = rounds_of(options, 4, 2), longest = 0;
    struct load_result result;
    struct fleet fleet;
    struct load *load;

    (void)fleet_slow_syncs(options->folder, SYNC_MS);
    fleet_open(&fleet, options->folder, NODES);
    load = load_start(fleet.resp_port, CLIENTS);
    pause_ms(WARM_MS);
    for (uint32_t round = 0; round < rounds; round++) {
        load_window_begin(load);
        fleet_kill_all(&fleet);
        (void)fleet_slow_syncs(options->folder, round % 2 == 0 ? NULL : SYNC_MS);
        for (uint32_t k = 0; k < NODES; k++)
            fleet_start_node(&fleet, k);
        fleet_wait_healthy(&fleet, HEALTHY_MS);
        pause_ms(WARM_MS);
        longest = larger(longest, load_window_end(load));
    }
    finish(load, &result);
    fleet_close(&fleet);
    scenario_say(options, "%u rounds, %u operations linearizable (%u unknown), longest gap %u ms",
                 rounds, result.operations, result.unknown, longest);
}

void scenario_pause(const struct scenario_options *options)
{
    uint32_t rounds = rounds_of(options, 3, 2), longest = 0;
    struct load_result result;
    struct fleet fleet;
    struct load *load;

    fleet_open(&fleet, options->folder, NODES);
    load = load_start(fleet.resp_port, CLIENTS);
    pause_ms(WARM_MS);
    for (uint32_t round = 0; round < rounds; round++) {
        struct child *node = &fleet.nodes[draw(NODES)];

        load_window_begin(load);
        child_signal(node, SIGSTOP);
        pause_ms(round % 2 == 0 ? 4000 : 1000);
        child_signal(node, SIGCONT);
        fleet_wait_healthy(&fleet, HEALTHY_MS);
        longest = larger(longest, load_window_end(load));
    }
    load_finish(load, &result);
    fleet_close(&fleet);
    scenario_say(options, "%u rounds, %u operations linearizable (%u unknown), longest gap %u ms",
                 rounds, result.operations, result.unknown, longest);
}

void scenario_router(const struct scenario_options *options)
{
    uint32_t rounds = rounds_of(options, 4, 2);
    struct load_result result;
    struct fleet fleet;
    struct load *load;

    fleet_open(&fleet, options->folder, NODES);
    load = load_start(fleet.resp_port, CLIENTS);
    for (uint32_t round = 0; round < rounds; round++) {
        pause_ms(WARM_MS + draw(BACK_MS));
        fleet_kill(&fleet, &fleet.router);
        fleet_start_router(&fleet);
    }
    pause_ms(WARM_MS);
    finish(load, &result);
    REQUIRE(result.refused == 0, "%u operations were refused", result.refused);
    fleet_close(&fleet);
    scenario_say(options, "%u rounds, %u operations linearizable (%u unknown)", rounds,
                 result.operations, result.unknown);
}
