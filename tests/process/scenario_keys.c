/* A hundred thousand keys through kill -9 of each node in turn, and of all three at once. */
#include "tests/process/fleet.h"
#include "tests/process/resp_client.h"
#include "tests/process/scenario.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

#define NODES      3u
#define HEALTHY_MS 60000u
#define CALL_MS    30000u
#define BATCH      100u

static void name_key(char key[32], uint32_t i)
{
    snprintf(key, 32, "key:%u", i);
}

static void name_value(char value[48], uint32_t i)
{
    snprintf(value, 48, "value-of-%u-%u", i, i * 2654435761u);
}

/* What `redis-cli --pipe` reads: commands in the protocol's own form. */
static void write_commands(const char *path, uint32_t keys)
{
    FILE *file = fopen(path, "we");

    REQUIRE(file, "%s", path);
    for (uint32_t i = 0; i < keys; i++) {
        char key[32], value[48];

        name_key(key, i);
        name_value(value, i);
        fprintf(file, "*3\r\n$3\r\nSET\r\n$%zu\r\n%s\r\n$%zu\r\n%s\r\n", strlen(key), key,
                strlen(value), value);
    }
    REQUIRE(fclose(file) == 0, "%s", path);
}

static void load_keys(const struct fleet *fleet, uint32_t keys)
{
    char path[PATH_MAX], command[PATH_MAX + 128], out[4096], want[64];
    int code;

    write_commands(fleet_path(fleet, "commands", ".resp", path), keys);
    snprintf(command, sizeof command, "redis-cli -p %u --pipe <%s", fleet->resp_port, path);
    code = program_run(out, NULL, sizeof out, 120000, (const char *[]){"sh", "-c", command, NULL});
    snprintf(want, sizeof want, "errors: 0, replies: %u", keys);
    REQUIRE(code == 0 && strstr(out, want), "redis-cli --pipe: exit code %d: %s", code, out);
}

static void check_batch(struct resp_client *client, uint32_t first, uint32_t count)
{
    struct resp_text words[BATCH + 1] = {{"MGET", 4}};
    char keys[BATCH][32], value[48];
    struct resp_value reply;
    int r;

    for (uint32_t i = 0; i < count; i++) {
        name_key(keys[i], first + i);
        words[i + 1] = (struct resp_text){keys[i], strlen(keys[i])};
    }
    r = resp_client_call(client, words, count + 1, &reply);
    REQUIRE(r == 0, "MGET: %s", strerror(-r));
    REQUIRE(reply.kind == '*' && reply.item_count == count, "MGET: %c%.*s", reply.kind,
            (int)reply.text.size, reply.text.data ? reply.text.data : "");
    for (uint32_t i = 0; i < count; i++) {
        name_value(value, first + i);
        REQUIRE(reply.items[i].data && reply.items[i].size == strlen(value) &&
                    memcmp(reply.items[i].data, value, strlen(value)) == 0,
                "%s is lost or changed", keys[i]);
    }
}

static void check_keys(const struct fleet *fleet, uint32_t keys)
{
    struct resp_client client;

    resp_client_open(&client, fleet->resp_port, CALL_MS);
    for (uint32_t i = 0; i < keys; i += BATCH)
        check_batch(&client, i, keys - i < BATCH ? keys - i : BATCH);
    resp_client_deinit(&client);
}

void scenario_keys(const struct scenario_options *options)
{
    uint32_t keys = options->is_short ? 20000 : 100000;
    struct fleet fleet;
    uint64_t begin_ns;

    fleet_open(&fleet, options->folder, NODES);
    begin_ns = now_ns();
    load_keys(&fleet, keys);
    uint64_t load_ms = (now_ns() - begin_ns) / 1000000;
    check_keys(&fleet, keys);
    for (uint32_t k = 0; k < NODES; k++) {
        fleet_kill(&fleet, &fleet.nodes[k]);
        check_keys(&fleet, keys);
        fleet_start_node(&fleet, k);
        fleet_wait_healthy(&fleet, HEALTHY_MS);
    }
    check_keys(&fleet, keys);
    fleet_kill_all(&fleet);
    begin_ns = now_ns();
    for (uint32_t k = 0; k < NODES; k++)
        fleet_start_node(&fleet, k);
    fleet_wait_healthy(&fleet, HEALTHY_MS);
    uint64_t back_ms = (now_ns() - begin_ns) / 1000000;
    check_keys(&fleet, keys);
    fleet_close(&fleet);
    scenario_say(options,
                 "%u keys loaded in %llu ms, all there after each kill; all three back in "
                 "%llu ms",
                 keys, (unsigned long long)load_ms, (unsigned long long)back_ms);
}
