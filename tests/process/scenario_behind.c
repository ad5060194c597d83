/* A node stays away until its peers have let go of the log it lacks, and comes back by snapshots
 * while clients write. */
#include "replication/shard_retain.h"
#include "tests/process/fleet.h"
#include "tests/process/load.h"
#include "tests/process/resp_client.h"
#include "tests/process/scenario.h"
#include "tests/dice.h"

#include <stdio.h>

#define NODES      3u
#define CLIENTS    6u
#define AWAY       2u
#define AWAY_MS    (SHARD_RETAIN_GAIN_MS + 1000u) /* so long its log is kept, however much it is */
#define TRIES      4u
#define BACK_MS    20000u /* until the first snapshots are there, if there are any */
#define HEALTHY_MS 60000u
#define CALL_MS    30000u
#define VALUE_SIZE 4096u

/* A value that does not compress: the log that is written counts. */
static void make_value(char value[VALUE_SIZE], uint32_t i, uint32_t round)
{
    dice_bytes((uint64_t)i << 32 | round, value, VALUE_SIZE);
}

static void set(struct resp_client *client, uint32_t i, uint32_t round)
{
    static char value[VALUE_SIZE];
    char key[32];

    snprintf(key, sizeof key, "behind:%u", i);
    make_value(value, i, round);
    resp_client_set_bytes(client, key, value, VALUE_SIZE);
}

static void forget(struct resp_client *client, uint32_t i)
{
    struct resp_value reply;
    char key[32];

    snprintf(key, sizeof key, "behind:%u", i);
    REQUIRE(resp_client_command(client, &reply, "DEL", key, NULL) == 0 && reply.kind == ':',
            "DEL %s", key);
}

/* round 0: there is no such key. */
static void check(struct resp_client *client, uint32_t i, uint32_t round)
{
    static char want[VALUE_SIZE];
    struct resp_value reply = {0};
    char key[32];

    snprintf(key, sizeof key, "behind:%u", i);
    make_value(want, i, round);
    if (round == 0)
        REQUIRE(resp_client_command(client, &reply, "GET", key, NULL) == 0 && reply.kind != '-' &&
                    !reply.text.data,
                "%s was deleted: %s", key, resp_value_told(&reply));
    else
        resp_client_expect_bytes(client, key, want, VALUE_SIZE);
}

static void check_all(struct resp_client *client, uint32_t keys)
{
    for (uint32_t i = 0; i < keys; i++)
        check(client, i, i < keys / 4 ? 0 : i < keys / 2 ? 1 : 2);
}

/* Writes while it is away, and starts it. Returns after how many ms its first snapshots were there;
 * 0: there were none, for the machine stood still, and whoever was elected behind that keeps the
 * log for so long from then on. */
static uint64_t come_back(struct fleet *fleet, struct resp_client *client, uint32_t keys,
                          uint32_t away_ms)
{
    uint64_t begin_ns;

    for (uint32_t i = 0; i < keys / 4; i++)
        forget(client, i);
    for (uint32_t i = keys / 2; i < keys; i++)
        set(client, i, 2);
    pause_ms(away_ms);
    begin_ns = now_ns();
    fleet_start_node(fleet, AWAY);
    fleet_wait_healthy(fleet, HEALTHY_MS);
    while (!fleet_log_says(fleet, "node-3", "snapshots_installed")) {
        if (now_ns() > begin_ns + BACK_MS * UINT64_C(1000000))
            return 0;
        pause_ms(50);
    }
    return (now_ns() - begin_ns) / 1000000;
}

void scenario_behind(const struct scenario_options *options)
{
    uint32_t keys = options->is_short ? 1000 : 4000;
    struct resp_client client;
    struct load_result result;
    struct fleet fleet;
    struct load *load;
    uint64_t back_ms;

    fleet_open(&fleet, options->folder, NODES);
    resp_client_open(&client, fleet.resp_port, CALL_MS);
    for (uint32_t i = 0; i < keys / 2; i++)
        set(&client, i, 1);
    fleet_kill(&fleet, &fleet.nodes[AWAY]);
    load = load_start(fleet.resp_port, CLIENTS);
    back_ms = come_back(&fleet, &client, keys, AWAY_MS);
    for (uint32_t tries = 2; back_ms == 0; tries++) {
        REQUIRE(tries <= TRIES, "it came back without a snapshot");
        fleet_kill(&fleet, &fleet.nodes[AWAY]);
        back_ms = come_back(&fleet, &client, keys, tries * AWAY_MS);
    }
    check_all(&client, keys);
    fleet_kill(&fleet, &fleet.nodes[0]); /* now every majority needs it */
    check_all(&client, keys);
    fleet_start_node(&fleet, 0);
    fleet_wait_healthy(&fleet, HEALTHY_MS);
    load_finish(load, &result);
    resp_client_deinit(&client);
    fleet_close(&fleet);
    scenario_say(
        options,
        "%u keys, %u operations linearizable (%u unknown), the first snapshots there after %llu ms",
        keys, result.operations, result.unknown, (unsigned long long)back_ms);
}
