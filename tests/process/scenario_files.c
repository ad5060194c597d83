/* A node that may have few files open: it keeps to that, and serves more data than would fit into
 * so many segments. With too few it does not start, and says how many it needs. */
#include "tests/process/fleet.h"
#include "tests/process/resp_client.h"
#include "tests/process/scenario.h"
#include "tests/dice.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#define NODES      3u
#define HEALTHY_MS 60000u
#define CALL_MS    30000u
#define WAIT_MS    60000u
#define FILES      160u /* some 70 of them for segments and casks */
#define FILES_LOW  100u
#define VALUE_SIZE 16384u
#define KEYS_MAX   5600u
#define TEXT_SIZE  65536u

static void limit_files(rlim_t files)
{
    struct rlimit limit = {files, files};

    REQUIRE(setrlimit(RLIMIT_NOFILE, &limit) == 0, "%s", strerror(errno));
}

/* Refused for now is fine. Returns how often it was. */
static uint32_t write_key(struct resp_client *client, uint32_t i)
{
    static char value[VALUE_SIZE];
    uint64_t until_ns = now_ns() + WAIT_MS * 1000000ull;
    struct resp_value reply;
    char key[32];
    struct resp_text words[] = {
        {"SET", 3}, {key, (size_t)snprintf(key, sizeof key, "files:%u", i)}, {value, VALUE_SIZE}};
    uint32_t refused = 0;

    dice_bytes(i, value, VALUE_SIZE);
    for (;;) {
        REQUIRE(resp_client_call(client, words, 3, &reply) == 0, "SET %s: no connection", key);
        if (reply.kind == '+')
            return refused;
        REQUIRE(now_ns() < until_ns, "SET %s: %.*s", key, (int)reply.text.size, reply.text.data);
        refused++;
        pause_ms(20);
    }
}

static void check_keys(struct resp_client *client, uint32_t keys)
{
    static char value[VALUE_SIZE];
    char key[32];

    for (uint32_t i = 0; i < keys; i++) {
        snprintf(key, sizeof key, "files:%u", i);
        dice_bytes(i, value, VALUE_SIZE);
        resp_client_expect_bytes(client, key, value, VALUE_SIZE);
    }
}

static uint32_t count_names(const char *path, const char *suffix)
{
    DIR *folder = opendir(path);
    const struct dirent *entry;
    uint32_t count = 0;

    REQUIRE(folder, "%s: %s", path, strerror(errno));
    while ((entry = readdir(folder))) {
        size_t size = strlen(entry->d_name), end = strlen(suffix);

        count += entry->d_name[0] != '.' && size >= end &&
                 strcmp(entry->d_name + size - end, suffix) == 0;
    }
    closedir(folder);
    return count;
}

static void check_node(struct fleet *fleet, uint32_t k)
{
    char path[64];
    uint32_t open;

    REQUIRE(process_exists(fleet->nodes[k].pid), "node %u has ended", k + 1);
    snprintf(path, sizeof path, "/proc/%d/fd", (int)fleet->nodes[k].pid);
    open = count_names(path, "");
    REQUIRE(open < FILES, "node %u has %u files open", k + 1, open);
}

static void start_with_too_few(struct fleet *fleet)
{
    static char err[TEXT_SIZE];
    char program[PATH_MAX], data[PATH_MAX];
    int code;

    fleet_stop(fleet, &fleet->nodes[0]);
    limit_files(FILES_LOW);
    code =
        program_run(NULL, err, sizeof err, WAIT_MS,
                    (const char *[]){program_path("ringcask", program), "node", "--ticket",
                                     fleet->ticket, "--data", fleet_path(fleet, "node-1", "", data),
                                     "--listen", fleet->addresses[0], NULL});
    REQUIRE(code == 1, "exit code %d: %s", code, err);
    REQUIRE(strstr(err, "event=files_short limit=100 needed=1"), "%s", err);
}

void scenario_files(const struct scenario_options *options)
{
    uint32_t keys = options->is_short ? KEYS_MAX / 2 : KEYS_MAX, refused = 0, segments;
    char path[PATH_MAX], shard[PATH_MAX];
    struct resp_client client;
    struct fleet fleet;

    limit_files(FILES);
    fleet_open_with(&fleet, options->folder, NODES, "--partitions=8",
                    (const char *[]){"--shards", "1", "--segment", "1", NULL});
    resp_client_open(&client, fleet.resp_port, CALL_MS);
    for (uint32_t i = 0; i < keys; i++)
        refused += write_key(&client, i);
    for (uint32_t k = 0; k < NODES; k++)
        check_node(&fleet, k);
    snprintf(shard, sizeof shard, "%s/shard-00", fleet_path(&fleet, "node-1", "", path));
    segments = count_names(shard, ".log");
    REQUIRE((uint64_t)segments << 20 < (uint64_t)keys * VALUE_SIZE, "%u segments: nothing moved",
            segments);
    check_keys(&client, keys);
    fleet_kill(&fleet, &fleet.nodes[1]);
    fleet_start_node(&fleet, 1);
    fleet_wait_healthy(&fleet, HEALTHY_MS);
    check_keys(&client, keys);
    resp_client_deinit(&client);
    start_with_too_few(&fleet);
    fleet_close(&fleet);
    scenario_say(options,
                 "%u MiB in segments of 1 MiB with %u files allowed: %u segments are left on node "
                 "1, %u writes had to wait",
                 (uint32_t)((uint64_t)keys * VALUE_SIZE >> 20), FILES, segments, refused);
}
