/* A cluster grows, shrinks and is mended by ring-admin while clients read and write: join, plan,
 * commit, leave, replace, another number of replicas, a plan that is paused and aborted, newcomers
 * that die for good on the way, and all that is to be refused. */
#include "tests/process/fleet.h"
#include "tests/process/load.h"
#include "tests/process/resp_client.h"
#include "tests/process/scenario.h"
#include "tests/dice.h"

#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#define NODES      3u
#define CLIENTS    4u
#define VALUE_SIZE (8u << 10)
#define WAIT_MS    120000u
#define CALL_MS    30000u
#define EXPLAINED  16u /* keys whose holders are looked at when a plan has ended */
#define REMOVED    5   /* exit code of a node that may not come back */

static json_t *ask(struct fleet *fleet, const char *command)
{
    return fleet_ask(fleet, 0, (const char *[]){command, NULL});
}

static json_int_t epoch_of(struct fleet *fleet)
{
    json_t *root = ask(fleet, "status");
    json_int_t epoch = json_integer_value(json_object_get(root, "epoch"));

    json_decref(root);
    return epoch;
}

/* Its hash, of a plan that moves something and never leaves any partition without a spare node. */
static void plan(struct fleet *fleet, char hash[32])
{
    json_t *root = ask(fleet, "plan");

    REQUIRE(json_integer_value(json_object_get(root, "moves")) > 0, "nothing would move");
    REQUIRE(json_integer_value(json_object_get(root, "tolerates_least")) >= 1, "none is spare");
    REQUIRE(json_is_true(json_object_get(root, "bytes_complete")), "bytes are not known");
    snprintf(hash, 32, "%s", json_string_value(json_object_get(root, "plan")));
    REQUIRE(strlen(hash) >= 8, "the hash is \"%s\"", hash);
    json_decref(root);
}

/* --- data ---------------------------------------------------------------------------------- */

/* Values that do not compress, and that tell their key. */
static void value_of(uint32_t i, char *value)
{
    dice_text(i, value, VALUE_SIZE);
    value[VALUE_SIZE] = 0;
}

static void set_all(struct resp_client *client, uint32_t keys)
{
    static char value[VALUE_SIZE + 1];
    char key[32];

    for (uint32_t i = 0; i < keys; i++) {
        snprintf(key, sizeof key, "grow:%u", i);
        value_of(i, value);
        resp_client_set(client, key, value);
    }
}

static void check_all(struct resp_client *client, uint32_t keys)
{
    static char value[VALUE_SIZE + 1];
    char key[32];

    for (uint32_t i = 0; i < keys; i++) {
        snprintf(key, sizeof key, "grow:%u", i);
        value_of(i, value);
        resp_client_expect(client, key, value);
    }
}

/* --- the story ----------------------------------------------------------------------------- */

/* Whoever is to hold the key's partition has it, and not as somebody who is still learning. */
static void check_holders(struct fleet *fleet, const char *key)
{
    json_t *root = fleet_ask(fleet, 0, (const char *[]){"explain", key, NULL}), *row;
    size_t i;

    json_array_foreach(json_object_get(root, "replicas"), i, row)
    {
        const char *role = json_string_value(json_object_get(row, "role"));

        REQUIRE(role, "no role in the replicas of %s", key);
        REQUIRE(!json_is_true(json_object_get(row, "wanted")) ||
                    (strcmp(role, "unreachable") != 0 && strcmp(role, "learner") != 0),
                "settled, and what node %d is to hold of %s is %s",
                (int)json_integer_value(json_object_get(row, "id")), key, role);
    }
    json_decref(root);
}

/* At once when a plan is said to have ended, and not a moment later. */
static void check_settled(struct fleet *fleet)
{
    for (uint32_t i = 0; i < EXPLAINED; i++) {
        char key[32];

        snprintf(key, sizeof key, "grow:%u", i);
        check_holders(fleet, key);
    }
}

/* What was planned before the map changed is not carried out; what is planned then is. */
static void join_fourth(struct fleet *fleet)
{
    uint32_t joined = fleet_join_node(fleet);
    char hash[32], same[32];
    json_int_t epoch;

    fleet_wait_state(fleet, fleet->addresses[joined], "joining", WAIT_MS);
    fleet_expect(fleet, 4, "ring-admin plan join 4", "doctor", NULL);
    plan(fleet, hash);
    fleet_expect(fleet, 0, "64.0 MiB", "moves", "--rate", "64", NULL);
    plan(fleet, same);
    REQUIRE(strcmp(hash, same) == 0, "the rate of moves made a plan stale");
    fleet_expect(fleet, 0, "committed", "weight", "2", "110", "--wait", NULL);
    epoch = epoch_of(fleet);
    fleet_expect(fleet, 5, "is stale", "commit", "--plan", hash, NULL);
    REQUIRE(epoch_of(fleet) == epoch, "a stale plan has changed the map");
    fleet_expect(fleet, 0, "committed", "weight", "2", "100", "--wait", NULL);
    fleet_wait_state(fleet, fleet->addresses[joined], "joining", WAIT_MS);
    plan(fleet, hash);
    fleet_expect(fleet, 0, "committed, epoch", "commit", "--plan", hash, NULL);
    fleet_expect(fleet, 0, "settled", "moves", "--watch", NULL);
    check_settled(fleet);
    fleet_wait_state(fleet, fleet->addresses[joined], "active", WAIT_MS);
    fleet_wait_healthy(fleet, WAIT_MS);
    REQUIRE(fleet_replicas(fleet, 4) > 0, "it holds nothing");
    fleet_expect(fleet, 0, "OK", "doctor", NULL);
}

/* It is told to stop when it is just about to end by itself, which ends it no worse. */
static void leave_first(struct fleet *fleet)
{
    struct child leave;
    int code;

    fleet_admin_start(fleet, &leave, "leave",
                      (const char *[]){"leave", fleet->addresses[0], "--wait", NULL});
    fleet_wait_log(fleet, "node-1", "event=left", WAIT_MS);
    child_signal(&fleet->nodes[0], SIGTERM);
    code = fleet_admin_end(fleet, &leave, WAIT_MS);
    REQUIRE(code == 0, "leave: exit code %d, see %s/leave.log", code, fleet->folder);
    fleet_wait_log(fleet, "leave", "SAFE TO REMOVE", WAIT_MS);
    fleet_wait_left(fleet, 0, WAIT_MS);
    fleet_wait_healthy(fleet, WAIT_MS);
}

/* Three nodes are left, each with all: nothing that takes from it can be. */
static void refuse(struct fleet *fleet)
{
    json_int_t epoch = epoch_of(fleet);

    fleet_expect(fleet, 1, "3 replicas need 3 nodes, 2 would be active", "leave", "2", NULL);
    fleet_expect(fleet, 1, "4 replicas need 4 nodes, 3 would be active", "set-replicas", "4", NULL);
    fleet_expect(fleet, 2, "--force is needed", "remove", "2", NULL);
    fleet_expect(fleet, 1, "let it leave", "remove", "--force", "2", NULL);
    fleet_expect(fleet, 1, "node 1 was removed", "weight", "1", "200", NULL);
    fleet_expect(fleet, 2, "no node has this id", "leave", "77", NULL);
    fleet_expect(fleet, 2, "is no number", "weight", "2", "heavy", NULL);
    fleet_expect(fleet, 2, "did you mean leave?", "plan", "laeve", "2", NULL);
    fleet_expect(fleet, 2, "--auto", "commit", NULL);
    fleet_expect(fleet, 1, "no plan is under way", "pause", NULL);
    fleet_expect(fleet, 1, "no plan is under way", "abort", NULL);
    fleet_expect(fleet, 0, "nothing to do", "set-replicas", "3", NULL);
    REQUIRE(epoch_of(fleet) == epoch, "what was refused has changed the map");
}

/* Comes back with its old disk, is told that it is out, and ends. */
static void come_back(struct fleet *fleet, uint32_t k)
{
    static char text[64u << 10], errors[sizeof text];
    char program[PATH_MAX], data[PATH_MAX], name[16];
    int code;

    snprintf(name, sizeof name, "node-%u", k + 1);
    code = program_run(text, errors, sizeof text, WAIT_MS,
                       (const char *[]){program_path("ringcask", program), "node", "--ticket",
                                        fleet->ticket, "--data", fleet_path(fleet, name, "", data),
                                        "--listen", fleet->addresses[k], NULL});
    REQUIRE(code == REMOVED, "it ends with %d: %s%s", code, text, errors);
    REQUIRE(strstr(errors, "removed"), "it does not say why it ends: %s", errors);
}

static void replace_second(struct fleet *fleet)
{
    uint32_t joined;

    fleet_kill(fleet, &fleet->nodes[1]);
    fleet_wait_dead(fleet, 2, WAIT_MS);
    fleet_expect(fleet, 1, "3 replicas need 3 nodes, 2 would be active", "remove", "--force", "2",
                 NULL);
    joined = fleet_join_node(fleet);
    fleet_wait_state(fleet, fleet->addresses[joined], "joining", WAIT_MS);
    fleet_expect(fleet, 0, "settled, epoch", "replace", "2", fleet->addresses[joined], "--wait",
                 NULL);
    fleet->left[1] = true;
    fleet_wait_healthy(fleet, WAIT_MS);
    come_back(fleet, 1);
    fleet_wait_healthy(fleet, WAIT_MS);
}

static void change_replicas(struct fleet *fleet)
{
    fleet_expect(fleet, 0, "settled, epoch", "set-replicas", "1", "--wait", NULL);
    fleet_expect(fleet, 0, "tolerates 0 more failures", "status", NULL);
    fleet_expect(fleet, 0, "settled, epoch", "set-replicas", "3", "--wait", NULL);
    fleet_wait_healthy(fleet, WAIT_MS);
}

/* A slow plan that is paused, cannot be overtaken, and is given up, which ends the pause too; then
 * its node leaves again. */
static void give_up(struct fleet *fleet)
{
    uint32_t joined = fleet_join_node(fleet);

    fleet_wait_state(fleet, fleet->addresses[joined], "joining", WAIT_MS);
    fleet_expect(fleet, 0, "1.0 MiB", "moves", "--rate", "1", NULL);
    fleet_expect(fleet, 0, "committed, epoch", "commit", "--auto", NULL);
    fleet_expect(fleet, 0, "a plan is paused", "pause", NULL);
    fleet_expect(fleet, 5, "a plan is under way", "commit", "--auto", NULL);
    fleet_expect(fleet, 4, "ring-admin resume", "doctor", NULL);
    fleet_expect(fleet, 0, "settled, epoch", "abort", "--wait", NULL);
    fleet_wait_healthy(fleet, WAIT_MS);
    fleet_expect(fleet, 0, "can be committed", "plan", NULL);
    fleet_expect(fleet, 0, "64.0 MiB", "moves", "--rate", "64", NULL);
    fleet_expect(fleet, 0, "SAFE TO REMOVE", "leave", fleet->addresses[joined], "--wait", NULL);
    fleet_wait_left(fleet, joined, WAIT_MS);
    fleet_wait_healthy(fleet, WAIT_MS);
    fleet_expect(fleet, 0, "SAFE TO REMOVE", "leave", fleet->addresses[joined], "--wait", NULL);
}

/* `ring-admin moves` says whom it waits for. */
static void wait_blocked(struct fleet *fleet, const char *why)
{
    uint64_t end_ns = now_ns() + UINT64_C(1000000) * WAIT_MS;

    for (;;) {
        const char *text = fleet_expect(fleet, 0, "a plan is under way", "moves", NULL);

        if (strstr(text, why))
            return;
        REQUIRE(now_ns() < end_ns, "moves does not say \"%s\": %s", why, text);
        pause_ms(100);
    }
}

/* A newcomer of a slow plan that is killed for good on the way. The plan stands still and says why,
 * and so does whatever is refused meanwhile. Returns which. */
static uint32_t lose_newcomer(struct fleet *fleet, const char *replaces)
{
    uint32_t joined = fleet_join_node(fleet);
    const char *address = fleet->addresses[joined];
    char mend[96];

    fleet_wait_state(fleet, address, "joining", WAIT_MS);
    fleet_expect(fleet, 0, "1.0 MiB", "moves", "--rate", "1", NULL);
    if (replaces)
        fleet_expect(fleet, 0, "committed, epoch", "replace", replaces, address, NULL);
    else
        fleet_expect(fleet, 0, "committed, epoch", "commit", "--auto", NULL);
    fleet_kill(fleet, &fleet->nodes[joined]);
    wait_blocked(fleet, "not heard of (node-");
    fleet_wait_dead(fleet, joined + 1, WAIT_MS);
    /* Without the one that is replaced there are too few to remove another. */
    snprintf(mend, sizeof mend,
             replaces ? "ring-admin replace %u NEW" : "ring-admin remove --force %u", joined + 1);
    fleet_expect(fleet, 0, mend, "moves", NULL);
    fleet_expect(fleet, 4, mend, "doctor", NULL);
    fleet_expect(fleet, 5, mend, "commit", "--auto", NULL);
    return joined;
}

/* The plan cannot end before it is resumed, nor after. It is ended where it is; what the dead one
 * has got already goes elsewhere after it. */
static void abort_without(struct fleet *fleet)
{
    uint32_t lost = lose_newcomer(fleet, NULL);

    fleet_expect(fleet, 0, "a plan is paused", "pause", NULL);
    fleet_expect(fleet, 0, "a plan is under way", "resume", NULL);
    fleet_expect(fleet, 0, "settled, epoch", "abort", "--wait", NULL);
    fleet_expect(fleet, 4, "ring-admin remove --force", "doctor", NULL);
    fleet_expect(fleet, 0, "64.0 MiB", "moves", "--rate", "64", NULL);
    fleet_expect(fleet, 0, "settled, epoch", "remove", "--force", fleet->addresses[lost], "--wait",
                 NULL);
    fleet->left[lost] = true;
    fleet_wait_healthy(fleet, WAIT_MS);
}

/* The dead one is removed while the plan waits for it: all is as it was before. */
static void remove_on_the_way(struct fleet *fleet)
{
    uint32_t lost = lose_newcomer(fleet, NULL);

    fleet_expect(fleet, 0, "64.0 MiB", "moves", "--rate", "64", NULL);
    fleet_expect(fleet, 0, "settled, epoch", "remove", "--force", fleet->addresses[lost], "--wait",
                 NULL);
    fleet->left[lost] = true;
    fleet_wait_healthy(fleet, WAIT_MS);
    fleet_expect(fleet, 0, "nothing to do", "plan", NULL);
    come_back(fleet, lost);
    fleet_wait_healthy(fleet, WAIT_MS);
}

/* One dies, and on the way the one that was to replace it too. There is no way back, nor with so
 * many nodes fewer; what is refused says what helps. */
static void replace_twice(struct fleet *fleet)
{
    char fewer[160];
    uint32_t lost, joined;

    fleet_kill(fleet, &fleet->nodes[2]);
    fleet_wait_dead(fleet, 3, WAIT_MS);
    lost = lose_newcomer(fleet, "3");
    fleet->left[2] = true;
    fleet_expect(fleet, 1, "an abort would not end either", "abort", NULL);
    snprintf(fewer, sizeof fewer, "ring-admin commit --auto remove %s replicas 2",
             fleet->addresses[lost]);
    fleet_expect(fleet, 1, fewer, "remove", "--force", fleet->addresses[lost], NULL);
    fleet_expect(fleet, 1, "node 3 was removed", "remove", "--force", "3", NULL);
    joined = fleet_join_node(fleet);
    fleet_wait_state(fleet, fleet->addresses[joined], "joining", WAIT_MS);
    fleet_expect(fleet, 0, "committed, epoch", "replace", fleet->addresses[lost],
                 fleet->addresses[joined], NULL);
    fleet_expect(fleet, 0, "a plan is paused", "pause", NULL);
    fleet_expect(fleet, 5, "nothing can be taken back", "abort", NULL);
    fleet_expect(fleet, 4, "ring-admin resume", "doctor", NULL);
    fleet_expect(fleet, 0, "64.0 MiB", "moves", "--rate", "64", NULL);
    fleet_expect(fleet, 0, "a plan is under way", "resume", NULL);
    fleet_expect(fleet, 0, "settled", "moves", "--watch", NULL);
    fleet->left[lost] = true;
    fleet_wait_healthy(fleet, WAIT_MS);
}

void scenario_grow(const struct scenario_options *options)
{
    uint32_t keys = options->is_short ? 600 : 2400;
    struct resp_client client;
    struct load_result result;
    struct fleet fleet;
    struct load *load;

    fleet_open_with(&fleet, options->folder, NODES, "--partitions=64", NULL);
    resp_client_open(&client, fleet.resp_port, CALL_MS);
    set_all(&client, keys);
    load = load_start(fleet.resp_port, CLIENTS);
    join_fourth(&fleet);
    check_all(&client, keys);
    leave_first(&fleet);
    check_all(&client, keys);
    refuse(&fleet);
    replace_second(&fleet);
    check_all(&client, keys);
    change_replicas(&fleet);
    check_all(&client, keys);
    give_up(&fleet);
    abort_without(&fleet);
    remove_on_the_way(&fleet);
    check_all(&client, keys);
    replace_twice(&fleet);
    load_finish(load, &result);
    REQUIRE(result.refused == 0 && result.unexplained == 0,
            "%u operations refused, %u of %u unknown outcomes without a kill", result.refused,
            result.unexplained, result.unknown);
    check_all(&client, keys);
    resp_client_deinit(&client);
    fleet_close(&fleet);
    scenario_say(
        options,
        "join, leave, replace, 1 and 3 replicas, abort, lost newcomers: %u keys of %u KiB stay, %u "
        "operations linearizable (%u unknown)",
        keys, VALUE_SIZE >> 10, result.operations, result.unknown);
}
