/* A node gets more or less to hold, another zone, and another disk: ring-admin moves the replicas
 * that this takes, refuses what would remove the wrong node, and no key is lost. */
#include "tests/process/fleet.h"
#include "tests/process/resp_client.h"
#include "tests/process/scenario.h"

#include <jansson.h>
#include <stdio.h>

#define NODES   4u
#define COPIES  3u
#define KEYS    200u
#define WAIT_MS 120000u
#define CALL_MS 30000u

static void set_all(struct resp_client *client)
{
    char key[32];

    for (uint32_t i = 0; i < KEYS; i++) {
        snprintf(key, sizeof key, "reshape:%u", i);
        resp_client_set(client, key, key);
    }
}

static void check_all(struct resp_client *client)
{
    char key[32];

    for (uint32_t i = 0; i < KEYS; i++) {
        snprintf(key, sizeof key, "reshape:%u", i);
        resp_client_expect(client, key, key);
    }
}

/* Until it holds so many: copies that are given up go a moment after the plan's end. */
static void wait_replicas(struct fleet *fleet, uint32_t id, uint32_t least, uint32_t most)
{
    uint64_t until_ns = now_ns() + UINT64_C(1000000) * WAIT_MS;

    for (;;) {
        uint32_t replicas = fleet_replicas(fleet, id);

        if (replicas >= least && replicas <= most)
            return;
        REQUIRE(now_ns() < until_ns, "node %u holds %u, not %u to %u", id, replicas, least, most);
        pause_ms(50);
    }
}

/* How many of `ring-admin ring`'s partitions have both members. */
static uint32_t together(struct fleet *fleet, uint32_t a, uint32_t b)
{
    json_t *root = fleet_ask(fleet, 0, (const char *[]){"ring", NULL}), *row, *id;
    uint32_t count = 0;
    size_t i, k;

    json_array_foreach(json_object_get(root, "partitions"), i, row)
    {
        json_t *ids = json_object_get(row, "replicas");
        uint32_t found = 0;

        REQUIRE(json_array_size(ids) == COPIES, "partition %zu has not %u replicas", i, COPIES);
        json_array_foreach(ids, k, id) found +=
            json_integer_value(id) == (json_int_t)a || json_integer_value(id) == (json_int_t)b;
        count += found == 2;
    }
    REQUIRE(i > 0, "no partitions");
    json_decref(root);
    return count;
}

/* 16 partitions are 48 replicas: 12 each, by another weight its share, but never a partition twice;
 * and one more or less. */
static void weigh(struct fleet *fleet)
{
    wait_replicas(fleet, 4, 11, 13);
    fleet_expect(fleet, 0, "settled, epoch", "weight", "4", "200", "--wait", NULL);
    wait_replicas(fleet, 4, 15, 16);
    wait_replicas(fleet, 1, 10, 12);
    fleet_expect(fleet, 0, "settled, epoch", "weight", fleet->addresses[3], "50", "--wait", NULL);
    wait_replicas(fleet, 4, 6, 7);
    wait_replicas(fleet, 1, 13, 14);
    fleet_expect(fleet, 0, "settled, epoch", "weight", "4", "100", "--wait", NULL);
    wait_replicas(fleet, 4, 11, 13);
    fleet_expect(fleet, 2, "is no number from 1", "weight", "4", "0", NULL);
    fleet_wait_healthy(fleet, WAIT_MS);
}

/* Nodes are in zones of their own until the fourth moves in with the first. */
static void rezone(struct fleet *fleet)
{
    REQUIRE(together(fleet, 1, 4) > 0, "no partition had to move");
    fleet_expect(fleet, 0, "settled, epoch", "zone", "4", "zone-1", "--wait", NULL);
    REQUIRE(together(fleet, 1, 4) == 0, "replicas share a zone");
    REQUIRE(together(fleet, 2, 3) > 0, "no replicas");
    fleet_wait_healthy(fleet, WAIT_MS);
    fleet_expect(fleet, 1, "3 replicas need 3 zones, 2 would have active nodes", "zone", "3",
                 "zone-2", NULL);
    fleet_expect(fleet, 1, "ring-admin commit --auto leave 3 share-zones", "leave", "3", NULL);
    fleet_expect(fleet, 0, "can be committed", "plan", "leave", "3", "share-zones", NULL);
    fleet_expect(fleet, 0, "settled, epoch", "zone", "4", "zone-4", "--wait", NULL);
    wait_replicas(fleet, 4, 11, 13);
    fleet_wait_healthy(fleet, WAIT_MS);
}

static bool is_reachable(struct fleet *fleet, uint32_t id)
{
    json_t *root = fleet_ask(fleet, 0, (const char *[]){"members", NULL}), *row;
    bool reachable = false;
    size_t i;

    json_array_foreach(json_object_get(root, "members"), i, row) reachable |=
        json_integer_value(json_object_get(row, "id")) == (json_int_t)id &&
        json_is_true(json_object_get(row, "reachable"));
    json_decref(root);
    return reachable;
}

/* The machine of node 2 is set up anew: the same address, an empty disk, and so another node. The
 * address alone says nothing any more. */
static void renew_disk(struct fleet *fleet)
{
    const char *address = fleet->addresses[1];
    char data[PATH_MAX], old[PATH_MAX];
    uint64_t until_ns;

    fleet_kill(fleet, &fleet->nodes[1]);
    fleet_wait_dead(fleet, 2, WAIT_MS);
    REQUIRE(rename(fleet_path(fleet, "node-2", "", data), fleet_path(fleet, "old-2", "", old)) == 0,
            "%s", data);
    fleet->joins[1] = true;
    fleet_start_node(fleet, 1);
    fleet_wait_state(fleet, address, "joining", WAIT_MS);
    fleet->left[1] = true; /* no seed, so that it is dialled as node 2 first */
    until_ns = now_ns() + UINT64_C(1000000) * WAIT_MS;
    while (
        !is_reachable(fleet, 5)) { /* by way of a member, when one has heard that it is the fifth */
        REQUIRE(now_ns() < until_ns, "the new node is not reached");
        pause_ms(50);
    }
    REQUIRE(!is_reachable(fleet, 2), "one is taken for the other");
    fleet->left[1] = false;
    fleet_expect(fleet, 2, "ring-admin replace 2 5", "replace", address, address, NULL);
    fleet_expect(fleet, 2, "node 2 (active, down) and node 5 (joining, runs)", "remove", "--force",
                 address, NULL);
    fleet_expect(fleet, 2, "ring-admin leave 2", "leave", address, NULL);
    fleet_expect(fleet, 1, "let it leave", "remove", "--force", "5", NULL);
    fleet_expect(fleet, 0, "settled, epoch", "replace", "2", "5", "--wait", NULL);
    fleet_wait_healthy(fleet, WAIT_MS);
    wait_replicas(fleet, 5, 11, 13);
    fleet_expect(fleet, 1, "node 2 was removed", "remove", "--force", "2", NULL);
}

/* Who joined and died before it was taken in is not taken in, and can be forgotten. */
static void lose_newcomer(struct fleet *fleet)
{
    uint32_t joined = fleet_join_node(fleet);

    fleet_wait_state(fleet, fleet->addresses[joined], "joining", WAIT_MS);
    fleet_kill(fleet, &fleet->nodes[joined]);
    fleet_wait_dead(fleet, 6, WAIT_MS);
    fleet_expect(fleet, 1, "node 6 is not alive", "commit", "--auto", NULL);
    fleet_expect(fleet, 1, "ring-admin remove --force 6", "leave", "6", NULL);
    fleet_expect(fleet, 4, "ring-admin remove --force 6", "doctor", NULL);
    fleet_expect(fleet, 0, "committed, epoch", "remove", "--force", "6", NULL);
    fleet->left[joined] = true;
    fleet_wait_healthy(fleet, WAIT_MS);
}

void scenario_reshape(const struct scenario_options *options)
{
    struct resp_client client;
    struct fleet fleet;

    fleet_open_with(&fleet, options->folder, NODES, "--partitions=16", NULL);
    resp_client_open(&client, fleet.resp_port, CALL_MS);
    set_all(&client);
    weigh(&fleet);
    check_all(&client);
    rezone(&fleet);
    check_all(&client);
    renew_disk(&fleet);
    check_all(&client);
    lose_newcomer(&fleet);
    check_all(&client);
    resp_client_deinit(&client);
    fleet_close(&fleet);
    scenario_say(options,
                 "weights 200 and 50, zones, a new disk at an old address, a lost newcomer: %u "
                 "keys stay",
                 KEYS);
}
