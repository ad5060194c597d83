/* ring-admin flush: space comes back, all data stays, and who is down is named. */
#include "tests/process/fleet.h"
#include "tests/process/resp_client.h"
#include "tests/process/scenario.h"
#include "tests/dice.h"

#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#define NODES      3u
#define HEALTHY_MS 60000u
#define CALL_MS    30000u
#define RUN_MS     60000u
#define VALUE_SIZE 4096u
#define KEYS_MAX   3000u
#define SHARE      5u /* every so manieth key is overwritten: less than flush does by itself */
#define TRIES      20u
#define TEXT_SIZE  65536u

static char out[TEXT_SIZE], err[TEXT_SIZE];

static void fill(char *value, uint32_t i, uint32_t round)
{
    dice_bytes((uint64_t)round << 32 | i, value, VALUE_SIZE);
}

/* Key i as of `round`: those of the share have been overwritten so many times. */
static uint32_t round_of(uint32_t i, uint32_t round)
{
    return i % SHARE == 0 ? round : 0;
}

static void write_keys(struct resp_client *client, uint32_t keys, uint32_t step, uint32_t round)
{
    static char value[VALUE_SIZE];
    char key[32];

    for (uint32_t i = 0; i < keys; i += step) {
        snprintf(key, sizeof key, "flush:%u", i);
        fill(value, i, round);
        resp_client_set_bytes(client, key, value, VALUE_SIZE);
    }
}

static void check_keys(struct resp_client *client, uint32_t keys, uint32_t round)
{
    static char value[VALUE_SIZE];
    char key[32];

    for (uint32_t i = 0; i < keys; i++) {
        snprintf(key, sizeof key, "flush:%u", i);
        fill(value, i, round_of(i, round));
        resp_client_expect_bytes(client, key, value, VALUE_SIZE);
    }
}

static void run(struct fleet *fleet, int want, const char *const *words)
{
    int code = fleet_admin_both(fleet, out, err, TEXT_SIZE, words);

    REQUIRE(code == want, "%s %s: exit code %d, not %d: %s%s", words[0], words[1] ? words[1] : "",
            code, want, out, err);
}

/* The rows of `flush --wait`, as JSON; to be given back. */
static json_t *flush_wait(struct fleet *fleet)
{
    json_error_t error;
    json_t *root;

    run(fleet, 0, (const char *[]){"flush", "--wait", "-o", "json", NULL});
    root = json_loads(out, 0, &error);
    REQUIRE(root && json_array_size(json_object_get(root, "nodes")) == NODES, "%s", out);
    return root;
}

static json_int_t number(json_t *root, size_t node, const char *name)
{
    return json_integer_value(
        json_object_get(json_array_get(json_object_get(root, "nodes"), node), name));
}

static void flush_reclaims(struct fleet *fleet, uint64_t *reclaimed)
{
    json_t *root = flush_wait(fleet);

    *reclaimed = 0;
    for (size_t k = 0; k < NODES; k++) {
        json_int_t files = number(root, k, "files"), bytes = number(root, k, "bytes_reclaimed");

        REQUIRE(files > 0 && bytes > 0, "nothing was reclaimed on node %zu: %s", k + 1, out);
        REQUIRE(number(root, k, "bytes_after") < number(root, k, "bytes_before"),
                "no less is in use on node %zu: %s", k + 1, out);
        *reclaimed += (uint64_t)bytes;
    }
    json_decref(root);
}

/* What retires meanwhile is flushed, too; in the end there is nothing left. */
static void flush_to_the_end(struct fleet *fleet)
{
    bool nothing = false;

    for (unsigned i = 0; i < TRIES && !nothing; i++) {
        json_t *root = flush_wait(fleet);

        nothing = true;
        for (size_t k = 0; k < NODES; k++)
            nothing = nothing && number(root, k, "files") == 0;
        REQUIRE(nothing == (strstr(out, "\"done\"") == NULL), "%s", out);
        json_decref(root);
    }
    REQUIRE(nothing, "there is ever more to reclaim: %s", out);
    run(fleet, 0, (const char *[]){"flush", "--wait", NULL});
    REQUIRE(strstr(out, "nothing to reclaim"), "%s", out);
}

static void start(struct fleet *fleet, struct child *child)
{
    char program[PATH_MAX], log[PATH_MAX];
    const char *words[] = {program_path("ring-admin", program),
                           "--ticket",
                           fleet->ticket,
                           "--seeds",
                           fleet->addresses[0],
                           "flush",
                           "--wait",
                           NULL};

    child_init(child);
    for (size_t i = 0; words[i]; i++)
        REQUIRE(child_add(child, words[i]) == 0, "no memory");
    REQUIRE(child_start(child, fleet_path(fleet, "flush", ".log", log)) == 0, "no process");
}

/* Two at once are one; who is killed leaves nothing behind. */
static void flush_at_once(struct fleet *fleet)
{
    struct child other, killed;
    uint64_t until_ns = now_ns() + RUN_MS * 1000000ull;

    start(fleet, &other);
    start(fleet, &killed);
    run(fleet, 0, (const char *[]){"flush", NULL});
    REQUIRE(strstr(out, "accepted"), "%s", out);
    child_signal(&killed, SIGKILL);
    while (!child_reap(&killed))
        pause_ms(1);
    run(fleet, 0, (const char *[]){"flush", "--wait", NULL});
    while (!child_reap(&other)) {
        REQUIRE(now_ns() < until_ns, "flush --wait does not end");
        pause_ms(5);
    }
    REQUIRE(WIFEXITED(other.status) && WEXITSTATUS(other.status) == 0, "status %x",
            (unsigned)other.status);
    child_deinit(&other);
    child_deinit(&killed);
}

static void flush_without_a_node(struct fleet *fleet)
{
    fleet_kill(fleet, &fleet->nodes[1]);
    run(fleet, 3, (const char *[]){"flush", "--wait", NULL});
    REQUIRE(strstr(err, "node 2 (") && strstr(err, ") is unreachable: "), "%s", err);
    REQUIRE(strstr(out, fleet->addresses[0]) && strstr(out, fleet->addresses[2]), "%s", out);
    REQUIRE(!strstr(err, "node 1 (") && !strstr(err, "node 3 ("), "%s", err);
    run(fleet, 0, (const char *[]){"flush", "--wait", "1", NULL});
    REQUIRE(strstr(out, fleet->addresses[0]) && !strstr(out, fleet->addresses[2]), "%s", out);
    run(fleet, 0, (const char *[]){"flush", fleet->addresses[2], NULL});
    REQUIRE(strstr(out, fleet->addresses[2]) && !strstr(out, fleet->addresses[0]), "%s", out);
    run(fleet, 3, (const char *[]){"flush", "2", NULL});
    run(fleet, 2, (const char *[]){"flush", "9", NULL});
    run(fleet, 2, (const char *[]){"flush", "127.0.0.1:1", NULL});
    run(fleet, 2, (const char *[]){"flush", "1", "2", NULL});
    fleet_start_node(fleet, 1);
    fleet_wait_healthy(fleet, HEALTHY_MS);
}

void scenario_flush(const struct scenario_options *options)
{
    uint32_t keys = options->is_short ? KEYS_MAX / 2 : KEYS_MAX;
    uint64_t reclaimed;
    struct resp_client client;
    struct fleet fleet;

    fleet_open_with(&fleet, options->folder, NODES, NULL,
                    (const char *[]){"--shards", "2", "--segment", "1", NULL});
    resp_client_open(&client, fleet.resp_port, CALL_MS);
    write_keys(&client, keys, 1, 0);
    write_keys(&client, keys, SHARE, 1);
    flush_reclaims(&fleet, &reclaimed);
    write_keys(&client, keys, SHARE, 2);
    flush_at_once(&fleet);
    flush_to_the_end(&fleet);
    check_keys(&client, keys, 2);
    flush_without_a_node(&fleet);
    check_keys(&client, keys, 2);
    resp_client_deinit(&client);
    fleet_close(&fleet);
    scenario_say(options,
                 "%u keys on 3 nodes of 2 shards: %.1f MiB reclaimed at once, then nothing more; "
                 "with a node down the others go on",
                 keys, (double)reclaimed / (1 << 20));
}
