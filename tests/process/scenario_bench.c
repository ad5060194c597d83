/* ring-bench's load on the nodes themselves, over sealed links: there is no router process. */
#include "tests/process/fleet.h"
#include "tests/process/scenario.h"

#include <jansson.h>
#include <string.h>

#define NODES     3u
#define TEXT_SIZE (64u << 10)

static char out[TEXT_SIZE], err[TEXT_SIZE];

/* Runs it for a second; returns its exit code. extra: "--no-fill", or NULL. */
static int offer(const struct fleet *fleet, const char *seed, const char *rate, const char *extra)
{
    char path[PATH_MAX];

    return program_run(out, err, sizeof out, 60000,
                       (const char *[]){program_path("ring-bench", path),
                                        "load",
                                        "--native",
                                        "--ticket",
                                        fleet->ticket,
                                        "--seeds",
                                        seed,
                                        "--clients",
                                        "20",
                                        "--pipeline",
                                        "4",
                                        "--threads",
                                        "2",
                                        "--keys",
                                        "1000",
                                        "--seconds",
                                        "1",
                                        "--warmup",
                                        "0",
                                        "--rate",
                                        rate,
                                        "-o",
                                        "json",
                                        extra,
                                        NULL});
}

static void expect_served(int code)
{
    json_error_t error;
    json_t *root;

    REQUIRE(code == 0, "exit code %d: %s", code, err);
    root = json_loads(out, 0, &error);
    REQUIRE(root, "%s in %s", error.text, out);
    REQUIRE(strcmp(json_string_value(json_object_get(root, "link")), "native") == 0, "%s", out);
    REQUIRE(json_real_value(json_object_get(root, "achieved")) > 0, "%s", out);
    REQUIRE(json_integer_value(json_object_get(root, "misses")) == 0, "%s", out);
    REQUIRE(json_object_size(json_object_get(root, "errors")) == 0, "%s", out);
    json_decref(root);
}

void scenario_bench(const struct scenario_options *options)
{
    struct fleet fleet;

    fleet_open(&fleet, options->folder, NODES);
    fleet_kill(&fleet, &fleet.router);
    expect_served(offer(&fleet, fleet.addresses[1], "0", NULL));
    /* Open loop, on the keys that are there. */
    expect_served(offer(&fleet, fleet.addresses[1], "300", "--no-fill"));
    REQUIRE(offer(&fleet, "127.0.0.1:1", "0", NULL) == 3, "%s", err); /* where nobody is */
    REQUIRE(strstr(err, "cannot connect"), "%s", err);
    fleet_close(&fleet);
    scenario_say(options, "closed and open loop on three nodes without a router");
}
