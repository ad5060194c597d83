/* ring-admin against a running cluster: what it prints, as text and as JSON, and its exit codes. */
#include "tests/process/fleet.h"
#include "tests/process/scenario.h"

#include <jansson.h>
#include <string.h>

#define NODES      3u
#define HEALTHY_MS 60000u
#define TEXT_SIZE  (256u << 10)

static char text[TEXT_SIZE];

static json_t *ask(struct fleet *fleet, const char *command, const char *operand)
{
    json_error_t error;
    json_t *root;
    int code = fleet_admin(fleet, text, sizeof text,
                           (const char *[]){command, "-o", "json", operand, NULL});

    REQUIRE(code == 0, "%s: exit code %d", command, code);
    root = json_loads(text, 0, &error);
    REQUIRE(root, "%s: %s in %s", command, error.text, text);
    return root;
}

static size_t rows(json_t *root, const char *name)
{
    return json_array_size(json_object_get(root, name));
}

static json_int_t number(json_t *root, const char *name)
{
    json_t *value = json_object_get(root, name);

    REQUIRE(json_is_integer(value), "no %s in %s", name, text);
    return json_integer_value(value);
}

static void check_json(struct fleet *fleet)
{
    json_t *root = ask(fleet, "status", NULL);
    json_int_t leaders = 0;

    REQUIRE(strcmp(json_string_value(json_object_get(root, "verdict")),
                   "healthy: 3 nodes, 256 partitions, tolerates 1 more failure") == 0,
            "%s", text);
    REQUIRE(strcmp(json_string_value(json_object_get(root, "state")), "healthy") == 0, "%s", text);
    REQUIRE(number(root, "tolerates") == 1 && number(root, "partitions") == 256 &&
                number(root, "partitions_led") == 256 && number(root, "under_replicated") == 0,
            "%s", text);
    REQUIRE(rows(root, "nodes") == NODES, "%s", text);
    for (size_t i = 0; i < NODES; i++)
        leaders += json_integer_value(
            json_object_get(json_array_get(json_object_get(root, "nodes"), i), "leaders"));
    REQUIRE(leaders == 256, "%lld leaders", (long long)leaders);
    json_decref(root);
    root = ask(fleet, "ring", NULL);
    REQUIRE(rows(root, "partitions") == 256, "%s", text);
    json_decref(root);
    root = ask(fleet, "members", NULL);
    REQUIRE(rows(root, "members") == NODES, "%s", text);
    json_decref(root);
    root = ask(fleet, "explain", "a{tag}b");
    REQUIRE(rows(root, "replicas") == NODES, "%s", text);
    REQUIRE(strcmp(json_string_value(json_object_get(root, "tag")), "tag") == 0, "%s", text);
    json_decref(root);
}

static void expect(struct fleet *fleet, int want, const char *says, const char *const *words)
{
    int code = fleet_admin(fleet, text, sizeof text, words);

    REQUIRE(code == want, "%s: exit code %d, not %d: %s", words[0], code, want, text);
    REQUIRE(strstr(text, says), "\"%s\" is not in: %s", says, text);
}

void scenario_admin(const struct scenario_options *options)
{
    struct fleet fleet;
    const char *a, *b, *c;

    fleet_open(&fleet, options->folder, NODES);
    a = fleet.addresses[0];
    b = fleet.addresses[1];
    c = fleet.addresses[2];
    expect(&fleet, 0, "founded before: 3 nodes, 256 partitions, 3 replicas",
           (const char *[]){"init", a, b, c, NULL});
    expect(&fleet, 5, "", (const char *[]){"init", a, b, NULL});
    expect(&fleet, 5, "", (const char *[]){"init", "--partitions", "64", a, b, c, NULL});
    expect(&fleet, 2, "", (const char *[]){"init", "--partitions", "100", a, b, c, NULL});
    expect(&fleet, 0, "healthy: 3 nodes", (const char *[]){"status", "--check", NULL});
    expect(&fleet, 1, "", (const char *[]){"rotate-key", NULL});
    expect(&fleet, 2, "", (const char *[]){"rotate-key", "now", NULL});
    check_json(&fleet);
    fleet_kill(&fleet, &fleet.nodes[1]);
    expect(&fleet, 4, "node-2", (const char *[]){"status", "--check", NULL});
    expect(&fleet, 0, "is unreachable", (const char *[]){"status", NULL});
    expect(&fleet, 3, "", (const char *[]){"init", a, b, c, NULL});
    fleet_start_node(&fleet, 1);
    fleet_wait_healthy(&fleet, HEALTHY_MS);
    fleet_close(&fleet);
    scenario_say(options, "init again, status, ring, members and explain, as text and JSON");
}
