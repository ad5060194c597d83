/* What members know of each other without asking: who is dead, who is back, and where. */
#include "tests/process/fleet.h"
#include "tests/process/scenario.h"

#include <jansson.h>
#include <string.h>

#define NODES   3u
#define WAIT_MS 20000u

static char text[1 << 20];

static uint64_t now_ms(void)
{
    return now_ns() / 1000000;
}

/* What node 1 says of a member. */
static json_t *member(struct fleet *fleet, uint32_t k)
{
    json_error_t error;
    json_t *root, *row;

    REQUIRE(
        fleet_admin(fleet, text, sizeof text, (const char *[]){"members", "-o", "json", NULL}) == 0,
        "%s", text);
    root = json_loads(text, 0, &error);
    REQUIRE(root, "%s", error.text);
    row = json_incref(json_array_get(json_object_get(root, "members"), k));
    json_decref(root);
    REQUIRE(row, "%s", text);
    return row;
}

/* Until node 1 says that. Returns for how long it has been so. */
static uint64_t wait_until(struct fleet *fleet, uint32_t k, const char *liveness)
{
    uint64_t until_ms = now_ms() + WAIT_MS;

    for (;;) {
        json_t *row = member(fleet, k);
        const char *is = json_string_value(json_object_get(row, "liveness"));
        uint64_t for_ms = (uint64_t)json_integer_value(json_object_get(row, "liveness_ms"));
        bool so = is && strcmp(is, liveness) == 0;

        json_decref(row);
        if (so)
            return for_ms;
        REQUIRE(now_ms() < until_ms, "node-%u is not held %s: %s", k + 1, liveness, text);
        pause_ms(50);
    }
}

static void wait_linked(struct fleet *fleet, uint32_t k)
{
    uint64_t until_ms = now_ms() + WAIT_MS;
    json_int_t links;

    do {
        json_t *row = member(fleet, k);

        links = json_integer_value(json_object_get(row, "peers_up"));
        json_decref(row);
        REQUIRE(now_ms() < until_ms, "node-%u has links to %d others: %s", k + 1, (int)links, text);
    } while (links < (json_int_t)NODES - 1);
}

void scenario_gossip(const struct scenario_options *options)
{
    char before[sizeof((struct fleet *)0)->addresses[0]];
    uint64_t killed_ms, found_ms;
    struct fleet fleet;
    json_t *row;

    fleet_open(&fleet, options->folder, NODES);
    for (uint32_t k = 0; k < NODES; k++)
        (void)wait_until(&fleet, k, "alive");
    fleet_kill(&fleet, &fleet.nodes[1]);
    killed_ms = now_ms();
    found_ms = wait_until(&fleet, 1, "dead");
    found_ms = now_ms() - killed_ms - found_ms;

    memcpy(before, fleet.addresses[1], sizeof before);
    fleet.addresses[1][0] = 0; /* a new one is drawn */
    fleet_start_node(&fleet, 1);
    REQUIRE(strcmp(before, fleet.addresses[1]) != 0, "%s", before);
    (void)wait_until(&fleet, 1, "alive");
    row = member(&fleet, 1);
    REQUIRE(strcmp(json_string_value(json_object_get(row, "address")), fleet.addresses[1]) == 0,
            "%s", text);
    json_decref(row);
    for (uint32_t k = 0; k < NODES; k++)
        wait_linked(&fleet, k);
    fleet_wait_healthy(&fleet, WAIT_MS);
    (void)fleet_stop(&fleet, &fleet.nodes[2]);
    (void)wait_until(&fleet, 2, "left");
    fleet_start_node(&fleet, 2);
    (void)wait_until(&fleet, 2, "alive");
    fleet_wait_healthy(&fleet, WAIT_MS);
    fleet_close(&fleet);
    scenario_say(options,
                 "a killed node is held dead after %llu ms, and found again at another address",
                 (unsigned long long)found_ms);
}
