/* A rolling upgrade: a cluster of the version before becomes one of this version, node by node,
 * while clients read and write. No request fails, and none has an unknown outcome. */
#include "tests/process/fleet.h"
#include "tests/process/load.h"
#include "tests/process/resp_client.h"
#include "tests/process/scenario.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NODES       3u
#define CLIENTS     8u
#define HEALTHY_MS  60000u
#define CALL_MS     30000u
#define MIXED_MS    500u /* versions stand beside each other */
#define KEYS        500u
#define BEFORE      "ringcask-before"
#define UNREACHABLE 3

static void set_all(struct resp_client *client, const char *value)
{
    char key[32];

    for (uint32_t i = 0; i < KEYS; i++) {
        snprintf(key, sizeof key, "upgrade:%u", i);
        resp_client_set(client, key, value);
    }
}

static void check_all(struct resp_client *client, const char *value)
{
    char key[32];

    for (uint32_t i = 0; i < KEYS; i++) {
        snprintf(key, sizeof key, "upgrade:%u", i);
        resp_client_expect(client, key, value);
    }
}

/* Stopped in an orderly way, as an operator does it. */
static void upgrade(struct fleet *fleet, uint32_t k)
{
    (void)fleet_stop(fleet, &fleet->nodes[k]);
    fleet->programs[k] = NULL;
    fleet_start_node(fleet, k);
    fleet_wait_healthy(fleet, HEALTHY_MS);
    pause_ms(MIXED_MS);
}

static bool log_says(const struct fleet *fleet, uint32_t k, const char *says)
{
    char name[16];

    snprintf(name, sizeof name, "node-%u", k + 1);
    return fleet_log_says(fleet, name, says);
}

/* A node that speaks none of our versions: nobody uses its links, everybody says why, and the
 * others serve. */
static void check_too_new(struct fleet *fleet, struct resp_client *client)
{
    static char err[8192];
    char program[PATH_MAX];
    int code;

    (void)fleet_stop(fleet, &fleet->nodes[2]);
    fleet->programs[2] = BEFORE;
    REQUIRE(setenv("RINGCASK_PRETEND_VERSION", "99", 1) == 0, "setenv");
    fleet_start_node(fleet, 2);
    REQUIRE(unsetenv("RINGCASK_PRETEND_VERSION") == 0, "unsetenv");
    code =
        program_run(NULL, err, sizeof err, CALL_MS,
                    (const char *[]){program_path("ring-admin", program), "--ticket", fleet->ticket,
                                     "--seeds", fleet->addresses[2], "status", NULL});
    REQUIRE(code == UNREACHABLE && strstr(err, "upgrade this one"), "exit code %d: %s", code, err);
    check_all(client, "after");
    for (uint32_t k = 0; k < 2; k++)
        REQUIRE(log_says(fleet, k, "event=peer_incompatible"), "node-%u says nothing, see %s",
                k + 1, fleet->folder);
    (void)fleet_stop(fleet, &fleet->nodes[2]);
    fleet->programs[2] = NULL;
    fleet_start_node(fleet, 2);
    fleet_wait_healthy(fleet, HEALTHY_MS);
    check_all(client, "after");
}

void scenario_upgrade(const struct scenario_options *options)
{
    struct resp_client client;
    struct load_result result;
    struct fleet fleet;
    struct load *load;
    uint32_t gap;

    fleet_open_program(&fleet, options->folder, NODES, BEFORE);
    resp_client_open(&client, fleet.resp_port, CALL_MS);
    set_all(&client, "before");
    load = load_start(fleet.resp_port, CLIENTS);
    pause_ms(MIXED_MS);
    load_window_begin(load);
    for (uint32_t k = 0; k < NODES; k++)
        upgrade(&fleet, k);
    gap = load_window_end(load);
    check_all(&client, "before");
    set_all(&client, "after");
    load_finish(load, &result);
    resp_client_close(&client);
    (void)fleet_stop(&fleet, &fleet.router);
    fleet.router_program = NULL;
    fleet_start_router(&fleet);
    REQUIRE(resp_client_connect(&client, fleet.resp_port, CALL_MS) == 0, "no router");
    check_all(&client, "after");
    for (uint32_t k = 0; k < NODES; k++)
        REQUIRE(!log_says(&fleet, k, "peer_incompatible"), "node-%u refused a peer, see %s", k + 1,
                fleet.folder);
    check_too_new(&fleet, &client);
    resp_client_deinit(&client);
    fleet_close(&fleet);
    REQUIRE(result.unknown == 0 && result.refused == 0, "%u unknown, %u refused", result.unknown,
            result.refused);
    scenario_say(options,
                 "%u nodes and a router of version 1 replaced, %u operations linearizable, none "
                 "failed, longest gap %u ms; version 99 is told why not",
                 NODES, result.operations, gap);
}
