/* Rounds: in each a node joins and the oldest leaves, while clients read and write. Every other
 * round somebody is killed while replicas move, and is started again. Without kills no request may
 * fail; with them none may be refused, and only those can have an unknown outcome that were under
 * way. In the end none of the founding's nodes is left, and not one key is lost. */
#include "tests/process/fleet.h"
#include "tests/process/load.h"
#include "tests/process/resp_client.h"
#include "tests/process/scenario.h"

#include <stdio.h>
#include <string.h>

#define NODES      3u
#define CLIENTS    8u
#define WAIT_MS    120000u
#define HEALTHY_MS 60000u
#define CALL_MS    30000u
#define DOWN_MS    300u /* somebody who was killed stays away */
#define WITHIN_MS  700u /* of the command: so soon somebody is killed */
#define KEYS       1000u

struct rounds {
    struct fleet fleet;
    struct load *load;
    struct load_result before; /* this round */
    uint32_t oldest;           /* the node that leaves next */
    uint32_t kills, all_kills, longest_ms;
    char text[16u << 10];
};

static struct rounds rounds;

/* Any node that runs, but that one. */
static uint32_t somebody(uint32_t but)
{
    struct fleet *fleet = &rounds.fleet;
    uint32_t k;

    do
        k = draw(fleet->node_count);
    while (k == but || fleet->nodes[k].pid == 0);
    return k;
}

static void kill_one(uint32_t but)
{
    uint32_t k = somebody(but);

    pause_ms(draw(WITHIN_MS));
    fleet_kill(&rounds.fleet, &rounds.fleet.nodes[k]);
    pause_ms(DOWN_MS);
    fleet_start_node(&rounds.fleet, k);
    rounds.kills++;
}

/* The command, to its end; meanwhile somebody is killed, or nobody. `spared` is not. */
static void carry_out(const char *name, const char *const *words, bool kills, uint32_t spared)
{
    struct child admin;
    int code;

    fleet_admin_start(&rounds.fleet, &admin, name, words);
    if (kills)
        kill_one(spared);
    code = fleet_admin_end(&rounds.fleet, &admin, WAIT_MS);
    REQUIRE(code == 0, "ring-admin %s: exit code %d, see %s/%s.log", words[0], code,
            rounds.fleet.folder, name);
}

static void check_round(uint32_t number)
{
    struct load_result now;
    uint32_t refused;

    load_count(rounds.load, &now);
    refused = now.refused - rounds.before.refused;
    REQUIRE(refused == 0, "round %u: %u requests refused, %u kills, see %s", number, refused,
            rounds.kills, rounds.fleet.folder);
    REQUIRE(now.operations > rounds.before.operations, "round %u: no operation ended", number);
    rounds.before = now;
    rounds.all_kills += rounds.kills;
    rounds.kills = 0;
    /* Told up to ten seconds after the kill, which may be in the round after. */
    REQUIRE(now.unknown <= rounds.all_kills * CLIENTS,
            "round %u: %u unknown outcomes so far, %u kills, see %s", number, now.unknown,
            rounds.all_kills, rounds.fleet.folder);
}

static void run_round(uint32_t number, bool kills)
{
    struct fleet *fleet = &rounds.fleet;
    uint32_t joined = fleet_join_node(fleet), oldest = rounds.oldest, gap;

    load_window_begin(rounds.load);
    fleet_wait_state(fleet, fleet->addresses[joined], "joining", HEALTHY_MS);
    carry_out("commit", (const char *[]){"commit", "--auto", "--wait", NULL}, kills, UINT32_MAX);
    fleet_wait_state(fleet, fleet->addresses[joined], "active", HEALTHY_MS);
    fleet_wait_healthy(fleet, HEALTHY_MS); /* nobody may leave while somebody is away */
    carry_out("leave", (const char *[]){"leave", fleet->addresses[oldest], "--wait", NULL}, kills,
              oldest); /* it is to end by itself */
    fleet_wait_left(fleet, oldest, HEALTHY_MS);
    rounds.oldest++;
    fleet_wait_healthy(fleet, HEALTHY_MS);
    gap = load_window_end(rounds.load);
    rounds.longest_ms = gap > rounds.longest_ms ? gap : rounds.longest_ms;
    check_round(number);
}

static void set_all(struct resp_client *client)
{
    struct resp_value reply;
    char key[32];

    for (uint32_t i = 0; i < KEYS; i++) {
        snprintf(key, sizeof key, "kept:%u", i);
        REQUIRE(resp_client_command(client, &reply, "SET", key, key, NULL) == 0 &&
                    reply.kind == '+',
                "SET %s", key);
    }
}

static void check_all(struct resp_client *client)
{
    struct resp_value reply;
    char key[32];

    for (uint32_t i = 0; i < KEYS; i++) {
        snprintf(key, sizeof key, "kept:%u", i);
        REQUIRE(resp_client_command(client, &reply, "GET", key, NULL) == 0 &&
                    resp_value_is(&reply, key),
                "%s is lost", key);
    }
}

void scenario_rounds(const struct scenario_options *options)
{
    uint32_t count = options->rounds ? options->rounds : options->is_short ? 2 : 10;
    struct fleet *fleet = &rounds.fleet;
    struct resp_client client;
    struct load_result result;

    REQUIRE(NODES + count <= FLEET_NODES_MAX, "too many rounds");
    fleet_open_with(fleet, options->folder, NODES, "--partitions=32", NULL);
    resp_client_init(&client);
    REQUIRE(resp_client_connect(&client, fleet->resp_port, CALL_MS) == 0, "no router");
    set_all(&client);
    rounds.load = load_start(fleet->resp_port, CLIENTS);
    for (uint32_t i = 0; i < count; i++)
        run_round(i, i % 2 == 1);
    load_finish(rounds.load, &result);
    check_all(&client);
    resp_client_deinit(&client);
    fleet_close(fleet);
    scenario_say(options,
                 "%u nodes joined and left, %u kills meanwhile, %u operations linearizable (%u "
                 "unknown), %u keys kept, longest gap %u ms",
                 count, rounds.all_kills, result.operations, result.unknown, KEYS,
                 rounds.longest_ms);
}
