/* Data keys are rotated while clients write, while the meta group's leader dies, and are at hand at
 * a restart that no peer helps with. */
#include "tests/process/fleet.h"
#include "tests/process/load.h"
#include "tests/process/resp_client.h"
#include "tests/process/scenario.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#define NODES      3u
#define CLIENTS    4u
#define HEALTHY_MS 60000u
#define CALL_MS    30000u
#define RIVALS     4u
#define CONFLICT   5

static char text[64u << 10];

static void set(struct resp_client *client, uint32_t i, uint32_t round)
{
    char key[32], value[32];

    snprintf(key, sizeof key, "rotate:%u", i);
    snprintf(value, sizeof value, "value-%u-%u", i, round);
    resp_client_set(client, key, value);
}

/* Each round writes the keys from its own number on: those of all rounds are there at the end. */
static void set_all(struct resp_client *client, uint32_t keys, uint32_t round)
{
    for (uint32_t i = 0; i < keys; i++)
        if (i % 5 >= round)
            set(client, i, round);
}

static void check_all(struct resp_client *client, uint32_t keys, uint32_t rounds)
{
    char key[32], want[32];

    for (uint32_t i = 0; i < keys; i++) {
        snprintf(key, sizeof key, "rotate:%u", i);
        snprintf(want, sizeof want, "value-%u-%u", i, i % 5 < rounds ? i % 5 : rounds - 1);
        resp_client_expect(client, key, want);
    }
}

static json_t *status(struct fleet *fleet)
{
    json_error_t error;
    json_t *root;
    int code =
        fleet_admin(fleet, text, sizeof text, (const char *[]){"status", "-o", "json", NULL});

    REQUIRE(code == 0, "status: exit code %d: %s", code, text);
    root = json_loads(text, 0, &error);
    REQUIRE(root, "%s in %s", error.text, text);
    return root;
}

static json_int_t number(struct fleet *fleet, const char *name)
{
    json_t *root = status(fleet);
    json_int_t value = json_integer_value(json_object_get(root, name));

    json_decref(root);
    return value;
}

static void rotate(struct fleet *fleet, const char *option, unsigned id)
{
    char want[32];
    int code = fleet_admin(fleet, text, sizeof text, (const char *[]){"rotate-key", option, NULL});

    snprintf(want, sizeof want, "data key: %u\n", id);
    REQUIRE(code == 0 && strstr(text, want), "rotate-key: exit code %d: %s", code, text);
}

/* Every node says that it seals with this key. */
static void check_nodes(struct fleet *fleet, json_int_t id)
{
    json_t *root = status(fleet), *nodes = json_object_get(root, "nodes");

    REQUIRE(json_array_size(nodes) == NODES, "%s", text);
    for (size_t i = 0; i < NODES; i++)
        REQUIRE(json_integer_value(json_object_get(json_array_get(nodes, i), "data_key")) == id,
                "%s", text);
    json_decref(root);
}

/* Alone, it goes by the newest map: it says so before any peer is there. */
static void start_alone(struct fleet *fleet)
{
    char log[PATH_MAX];

    REQUIRE(remove(fleet_path(fleet, "node-2", ".log", log)) == 0, "%s", log);
    fleet_start_node(fleet, 1);
    text[file_read(log, text, sizeof text - 1)] = 0;
    REQUIRE(strstr(text, "epoch=4 ") && strstr(text, "encrypted=yes"), "%s says: %s", log, text);
}

static void inspect(const struct fleet *fleet)
{
    char map[PATH_MAX], program[PATH_MAX];
    int code = program_run(text, NULL, sizeof text, 20000,
                           (const char *[]){program_path("ringcask", program), "inspect",
                                            fleet_path(fleet, "node-2", "/MAP", map), NULL});

    REQUIRE(code == 0 && strstr(text, "epoch: 4\n") && strstr(text, "data keys: 1,2,3,4\n"),
            "inspect: exit code %d: %s", code, text);
}

/* All at once: each either has the change it asked for, or is told that another came first and has
 * changed nothing. Returns how many lost. */
static uint32_t compete(struct fleet *fleet)
{
    struct child rivals[RIVALS];
    char program[PATH_MAX], log[PATH_MAX], seeds[NODES * 64];
    json_int_t before = number(fleet, "epoch");
    uint32_t won = 0, lost = 0;

    snprintf(seeds, sizeof seeds, "%s,%s,%s", fleet->addresses[0], fleet->addresses[1],
             fleet->addresses[2]);
    for (uint32_t i = 0; i < RIVALS; i++) {
        const char *words[] = {program_path("ring-admin", program),
                               "--ticket",
                               fleet->ticket,
                               "--seeds",
                               seeds,
                               "rotate-key"};

        child_init(&rivals[i]);
        for (size_t k = 0; k < sizeof words / sizeof *words; k++)
            REQUIRE(child_add(&rivals[i], words[k]) == 0, "no memory");
        REQUIRE(child_start(&rivals[i], fleet_path(fleet, "rivals", ".log", log)) == 0, "%s", log);
    }
    for (uint32_t i = 0; i < RIVALS; i++) {
        uint64_t end_ns = now_ns() + UINT64_C(1000000) * CALL_MS;

        while (!child_reap(&rivals[i])) {
            REQUIRE(now_ns() < end_ns, "rotate-key does not end");
            pause_ms(10);
        }
        REQUIRE(WIFEXITED(rivals[i].status), "status %d, see %s", rivals[i].status, log);
        won += WEXITSTATUS(rivals[i].status) == 0;
        lost += WEXITSTATUS(rivals[i].status) == CONFLICT;
        child_deinit(&rivals[i]);
    }
    REQUIRE(won >= 1 && won + lost == RIVALS, "%u won, %u lost, see %s", won, lost, log);
    REQUIRE(number(fleet, "epoch") == before + (json_int_t)won, "%u won: %s", won, text);
    return lost;
}

void scenario_rotate(const struct scenario_options *options)
{
    uint32_t keys = options->is_short ? 200 : 2000;
    struct resp_client client;
    struct load_result result;
    struct fleet fleet;
    struct load *load;
    json_int_t leader;
    uint32_t lost;

    fleet_open_encrypted(&fleet, options->folder, NODES);
    resp_client_open(&client, fleet.resp_port, CALL_MS);
    load = load_start(fleet.resp_port, CLIENTS);
    set_all(&client, keys, 0);
    rotate(&fleet, "--wait", 2);
    check_nodes(&fleet, 2);
    set_all(&client, keys, 1);
    leader = number(&fleet, "meta_leader");
    REQUIRE(leader >= 1 && leader <= (json_int_t)NODES, "%s", text);
    fleet_kill(&fleet, &fleet.nodes[leader - 1]);
    rotate(&fleet, NULL, 3);
    set_all(&client, keys, 2);
    fleet_start_node(&fleet, (uint32_t)leader - 1);
    rotate(&fleet, "--wait", 4); /* the node that was away has to have it too */
    check_nodes(&fleet, 4);
    set_all(&client, keys, 3);
    load_finish(load, &result);
    for (uint32_t k = 0; k < NODES; k++)
        fleet_kill(&fleet, &fleet.nodes[k]);
    inspect(&fleet);
    start_alone(&fleet);
    fleet_start_node(&fleet, 2);
    fleet_start_node(&fleet, 0);
    fleet_wait_healthy(&fleet, HEALTHY_MS);
    check_nodes(&fleet, 4);
    check_all(&client, keys, 4);
    REQUIRE(fleet_admin(&fleet, text, sizeof text, (const char *[]){"flush", "--wait", NULL}) == 0,
            "%s", text);
    check_all(&client, keys, 4);
    REQUIRE(number(&fleet, "epoch") == 4, "%s", text);
    lost = compete(&fleet);
    check_all(&client, keys, 4);
    resp_client_deinit(&client);
    fleet_close(&fleet);
    scenario_say(options,
                 "4 data keys, %u keys sealed with them, %u operations linearizable (%u unknown), "
                 "%u of %u rivals lost",
                 keys, result.operations, result.unknown, lost, RIVALS);
}
