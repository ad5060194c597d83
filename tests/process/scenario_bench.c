/* ring-bench's load on the nodes themselves, over sealed links: there is no router process. */
#include "bench/load.h"
#include "tests/process/fleet.h"
#include "tests/process/scenario.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define NODES 3u

static void offer(const struct fleet *fleet, const struct load_options *options)
{
    struct load_result *result = malloc(sizeof *result);
    const char *why = "";
    int r;

    REQUIRE(result, "no memory");
    r = load_run(options, result, &why);
    REQUIRE(r == 0, "%s: %s (%s)", why, strerror(-r), fleet->folder);
    REQUIRE(result->tally.completed > 0 && result->tally.lost == 0, "%llu done, %llu lost",
            (unsigned long long)result->tally.completed, (unsigned long long)result->tally.lost);
    REQUIRE(result->tally.error_count == 0, "%s", result->tally.errors[0].prefix);
    REQUIRE(result->tally.misses == 0, "%llu keys of the fill are not there",
            (unsigned long long)result->tally.misses);
    free(result);
}

void scenario_bench(const struct scenario_options *options)
{
    const char *seeds[NODES];
    struct ticket ticket;
    struct native_options native = {.ticket = &ticket, .seeds = seeds, .seed_count = 1};
    struct load_options load = {.native = &native,
                                .workload = "a",
                                .distribution = -1,
                                .clients = 20,
                                .pipeline = 4,
                                .threads = 2,
                                .keys = 1000,
                                .key_size = 16,
                                .value_size = 100,
                                .seconds = 1,
                                .fill = true};
    struct fleet fleet;
    const char *why = "";
    struct load_result *result = malloc(sizeof *result);

    REQUIRE(result, "no memory");
    fleet_open(&fleet, options->folder, NODES);
    fleet_kill(&fleet, &fleet.router);
    REQUIRE(ticket_load(&ticket, fleet.ticket) == 0, "%s", fleet.ticket);
    seeds[0] = fleet.addresses[1];
    offer(&fleet, &load);
    load.rate = 300; /* open loop, on the keys that are there */
    load.fill = false;
    offer(&fleet, &load);
    seeds[0] = "127.0.0.1:1"; /* where nobody is */
    REQUIRE(load_run(&load, result, &why) == -ETIMEDOUT, "%s", why);
    free(result);
    ticket_wipe(&ticket);
    fleet_close(&fleet);
    scenario_say(options, "closed and open loop on three nodes without a router");
}
