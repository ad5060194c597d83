/* Deadlines and SCAN as clients see them: redis-cli, a change of leaders, another router. */
#include "tests/process/fleet.h"
#include "tests/process/resp_client.h"
#include "tests/process/scenario.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define NODES      3u
#define HEALTHY_MS 60000u
#define CALL_MS    30000u
#define LASTING    400u
#define PASSING    600u
#define PASS_MS    6000u

static void nap(uint32_t ms)
{
    nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000},
              NULL);
}

/* One command through redis-cli, as scripts use it: its first line. */
static void cli(const struct fleet *fleet, const char *command, char *out, size_t size)
{
    char line[256];
    int code;

    snprintf(line, sizeof line, "redis-cli -p %u %s", fleet->resp_port, command);
    code = program_run(out, NULL, size, CALL_MS, (const char *[]){"sh", "-c", line, NULL});
    REQUIRE(code == 0, "%s: exit code %d: %s", command, code, out);
    out[strcspn(out, "\n")] = '\0';
}

static void cli_says(const struct fleet *fleet, const char *command, const char *expected)
{
    char out[4096];

    cli(fleet, command, out, sizeof out);
    REQUIRE(strcmp(out, expected) == 0, "%s: \"%s\", not \"%s\"", command, out, expected);
}

/* Of a busy machine some seconds may be gone. */
static void cli_says_about(const struct fleet *fleet, const char *command, long from, long to)
{
    char out[4096], *end;
    long number;

    cli(fleet, command, out, sizeof out);
    number = strtol(out, &end, 10);
    REQUIRE(end != out && *end == '\0' && number >= from && number <= to,
            "%s: \"%s\", not %ld to %ld", command, out, from, to);
}

static void ask_by_hand(const struct fleet *fleet)
{
    static const char *const rows[][2] = {
        {"SET a old", "OK"},      {"SET a new PX 1400", "OK"}, {"SET b 1 EX 100 NX", "OK"},
        {"EXPIRE b 200 GT", "1"}, {"EXPIRE b 100 GT", "0"},
    };
    static const char *const later_rows[][2] = {
        {"GETEX b PERSIST", "1"},
        {"TTL b", "-1"},
        {"EXPIREAT b 4000000000", "1"},
        {"PEXPIRETIME b", "4000000000000"},
        {"PERSIST b", "1"},
        {"SETEX c 100 1", "OK"},
        {"INCR c", "2"},
        {"SET c 3 KEEPTTL", "OK"},
        {"EXPIRE c -1", "1"},
        {"GET c", ""},
        {"SET c 1 EX 0", "ERR invalid expire time in 'set' command"},
        {"EXPIRE b 1 NX GT", "ERR NX and XX, GT or LT options at the same time are not compatible"},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        cli_says(fleet, rows[i][0], rows[i][1]);
    cli_says_about(fleet, "TTL b", 101, 200);
    for (size_t i = 0; i < sizeof later_rows / sizeof later_rows[0]; i++)
        cli_says(fleet, later_rows[i][0], later_rows[i][1]);
    nap(1500);
    cli_says(fleet, "GET a", "");
    cli_says(fleet, "EXISTS a b", "1");
    cli_says(fleet, "DEL a b", "1");
}

static void write_keys(struct resp_client *client)
{
    char key[32], ms[16];
    struct resp_value reply;

    snprintf(ms, sizeof ms, "%u", PASS_MS);
    for (uint32_t i = 0; i < LASTING + PASSING; i++) {
        int r;

        snprintf(key, sizeof key, "key:%u", i);
        r = i < LASTING ? resp_client_command(client, &reply, "SET", key, "1", NULL)
                        : resp_client_command(client, &reply, "SET", key, "1", "PX", ms, NULL);
        REQUIRE(r == 0 && reply.kind == '+', "SET %s", key);
    }
}

/* All calls of an iteration; between two of them the router is another process and a node is
 * killed. Returns how many of the lasting keys were given. */
static uint32_t scan_through_failures(struct fleet *fleet)
{
    static bool seen[LASTING + PASSING];
    char cursor[32] = "0", line[256], out[65536];
    uint32_t calls = 0, found = 0;

    do {
        const char *at = out;

        if (calls == 3) {
            fleet_kill(fleet, &fleet->router);
            fleet_kill(fleet, &fleet->nodes[0]);
            fleet_start_router(fleet);
        }
        snprintf(line, sizeof line,
                 "for i in 1 2 3 4 5 6 7 8 9; do out=$(redis-cli -e -p %u SCAN %s COUNT 100 MATCH "
                 "'key:*') && echo \"$out\" && break; sleep 0.3; done",
                 fleet->resp_port, cursor);
        REQUIRE(program_run(out, NULL, sizeof out, CALL_MS,
                            (const char *[]){"sh", "-c", line, NULL}) == 0,
                "SCAN %s: %s", cursor, out);
        REQUIRE(sscanf(out, "%31[0-9]", cursor) == 1, "no cursor: %s", out);
        while ((at = strstr(at, "key:"))) {
            uint32_t number = (uint32_t)strtoul(at + 4, NULL, 10);

            REQUIRE(number < LASTING + PASSING, "%s", at);
            found += number < LASTING && !seen[number];
            seen[number] = true;
            at += 4;
        }
        calls++;
    } while (strcmp(cursor, "0") != 0 && calls < 100000);
    fleet_start_node(fleet, 0);
    fleet_wait_healthy(fleet, HEALTHY_MS);
    return found;
}

/* What is left when all deadlines have passed, by the leaders' own doing: nobody reads the keys. */
static uint32_t count_left(const struct fleet *fleet)
{
    struct resp_client client;
    struct resp_value reply = {0};

    for (int i = 0; i < 100; i++, nap(200)) {
        resp_client_init(&client);
        if (resp_client_connect(&client, fleet->resp_port, CALL_MS) == 0 &&
            resp_client_command(&client, &reply, "DBSIZE", NULL) == 0 && reply.kind == ':' &&
            reply.integer <= (int64_t)LASTING)
            i = 100;
        resp_client_deinit(&client);
    }
    return reply.kind == ':' ? (uint32_t)reply.integer : UINT32_MAX;
}

void scenario_expiry(const struct scenario_options *options)
{
    struct resp_client client;
    struct fleet fleet;
    uint32_t found;

    fleet_open(&fleet, options->folder, NODES);
    ask_by_hand(&fleet);
    resp_client_open(&client, fleet.resp_port, CALL_MS);
    write_keys(&client);
    resp_client_deinit(&client);
    found = scan_through_failures(&fleet);
    REQUIRE(found == LASTING, "SCAN gave %u of %u keys", found, LASTING);
    REQUIRE(count_left(&fleet) == LASTING, "%u keys are left of %u", count_left(&fleet), LASTING);
    for (uint32_t k = 0; k < NODES; k++)
        fleet_kill(&fleet, &fleet.nodes[k]);
    for (uint32_t k = 0; k < NODES; k++)
        fleet_start_node(&fleet, k);
    fleet_wait_healthy(&fleet, HEALTHY_MS);
    REQUIRE(count_left(&fleet) == LASTING, "deleted keys are back");
    fleet_close(&fleet);
    scenario_say(options,
                 "SCAN gave all %u keys through another router and a killed node; %u expired "
                 "unread and stayed away",
                 LASTING, PASSING);
}
