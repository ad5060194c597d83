/* A router needs one live seed. It slept while all members that it knew were replaced: what is left
 * of its seeds is an address at which now another member is, and the others are found by its map.
 */
#include "tests/process/fleet.h"
#include "tests/process/resp_client.h"
#include "tests/process/scenario.h"

#include <signal.h>
#include <stdio.h>

#define NODES      3u
#define WAIT_MS    120000u
#define HEALTHY_MS 60000u
#define CALL_MS    30000u
#define KEYS       200u
#define NOBODY     "127.0.0.1:9" /* discard: nothing listens there */

static char out[65536], err[65536];

static void run(struct fleet *fleet, const char *const *words)
{
    int code = fleet_admin_both(fleet, out, err, sizeof out, words);

    REQUIRE(code == 0, "%s: exit code %d: %s%s", words[0], code, out, err);
}

static void take_in(struct fleet *fleet)
{
    run(fleet, (const char *[]){"commit", "--auto", "--wait", NULL});
    fleet_wait_healthy(fleet, HEALTHY_MS);
}

static void let_go(struct fleet *fleet, uint32_t k)
{
    run(fleet, (const char *[]){"leave", fleet->addresses[k], "--wait", NULL});
    fleet_wait_left(fleet, k, HEALTHY_MS);
    fleet_wait_healthy(fleet, HEALTHY_MS);
}

static void join(struct fleet *fleet)
{
    uint32_t k = fleet_join_node(fleet);

    fleet_wait_state(fleet, fleet->addresses[k], "joining", HEALTHY_MS);
}

/* A new member where one was that has left. */
static void join_at(struct fleet *fleet, const char *address)
{
    uint32_t k = fleet->node_count++;

    fleet->joins[k] = true;
    snprintf(fleet->addresses[k], sizeof fleet->addresses[k], "%s", address);
    fleet_start_node(fleet, k);
    fleet_wait_state(fleet, address, "joining", HEALTHY_MS);
}

static void start_router(struct fleet *fleet)
{
    char seeds[160];

    snprintf(seeds, sizeof seeds, "%s,%s", NOBODY, fleet->addresses[0]);
    fleet->router_seeds = seeds;
    fleet_start_router(fleet);
    fleet->router_seeds = NULL;
}

/* Every member has an id of its own for ever: none of those that the router knew is left. */
static void replace_all(struct fleet *fleet)
{
    join(fleet);
    join(fleet);
    take_in(fleet);
    let_go(fleet, 0);
    join_at(fleet, fleet->addresses[0]);
    take_in(fleet);
    let_go(fleet, 1);
    let_go(fleet, 2);
}

static void write_keys(struct resp_client *client)
{
    char key[32];

    for (uint32_t i = 0; i < KEYS; i++) {
        snprintf(key, sizeof key, "seeds:%u", i);
        resp_client_set(client, key, key);
    }
}

static bool reads(struct resp_client *client, const char *key)
{
    struct resp_value reply;

    REQUIRE(resp_client_command(client, &reply, "GET", key, NULL) == 0, "the router closed it");
    return resp_value_is(&reply, key);
}

/* It has to hear that its links are broken, go back to its seeds, and link the members it learns
 * of.
 */
static void wait_until_it_reads(struct resp_client *client)
{
    uint64_t until_ns = now_ns() + (uint64_t)WAIT_MS * 1000000;
    char key[32];

    while (!reads(client, "seeds:0")) {
        REQUIRE(now_ns() < until_ns, "the router did not find the members");
        pause_ms(100);
    }
    for (uint32_t i = 0; i < KEYS; i++) {
        snprintf(key, sizeof key, "seeds:%u", i);
        resp_client_expect(client, key, key);
    }
}

void scenario_seeds(const struct scenario_options *options)
{
    struct resp_client client;
    struct fleet fleet;

    fleet_open(&fleet, options->folder, NODES);
    fleet_stop(&fleet, &fleet.router);
    start_router(&fleet);
    resp_client_open(&client, fleet.resp_port, CALL_MS);
    write_keys(&client);
    child_signal(&fleet.router, SIGSTOP);
    replace_all(&fleet);
    child_signal(&fleet.router, SIGCONT);
    wait_until_it_reads(&client);
    write_keys(&client);
    resp_client_deinit(&client);
    fleet_close(&fleet);
    scenario_say(options,
                 "a router that slept through the replacement of all %u members found the "
                 "%u others by the one seed that answered",
                 NODES, NODES);
}
