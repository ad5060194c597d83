/* A partition of many casks moves while clients read and write, and one after another those are
 * killed who take part: its target when half of it is there, its source when the target goes on,
 * and the leader of the meta group. Each time it goes on from where it was: what the target takes
 * in behind its own death is less than the whole, even though its source changes meanwhile. */
#include "tests/process/fleet.h"
#include "tests/process/load.h"
#include "tests/process/resp_client.h"
#include "tests/process/scenario.h"
#include "tests/dice.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NODES      4u
#define PARTITIONS 8u
#define CLIENTS    3u
#define VALUE_SIZE (16u << 10)
#define AT_ONCE    16u        /* values a command */
#define CASK_SIZE  (4u << 20) /* that the target lists as one: it goes on behind whole ones */
#define OTHERS     (1u << 20) /* bytes of the other partitions, which have next to nothing */
#define STEP       (2u << 20) /* bytes after which it has gone on */
#define HALF_RATE  "2"        /* MiB a second until the target dies */
#define SLOW_RATE  "1"        /* from then on, so that it lasts until those are killed who send */
#define LAST_RATE  "64"       /* when nobody more is to be killed */
#define WAIT_MS    120000u
#define CALL_MS    30000u

struct midmove {
    struct fleet fleet;
    uint16_t partition;
    uint32_t target; /* member ids */
    uint32_t keys;
    char text[256u << 10];
};

static struct midmove all;

/* The partition's line of `ring-admin moves`. */
struct moving {
    uint32_t leader; /* 0: none answers, or the partition has moved */
    uint64_t bytes, done;
};

/* --- data ---------------------------------------------------------------------------------- */

static struct resp_text name_key(char key[32], uint32_t i)
{
    return (struct resp_text){key, (size_t)snprintf(key, 32, "{mid}%u", i)};
}

static void set_all(struct resp_client *client)
{
    static char values[AT_ONCE][VALUE_SIZE], keys[AT_ONCE][32];
    struct resp_text words[1 + 2 * AT_ONCE] = {{"MSET", 4}};
    struct resp_value reply;

    for (uint32_t i = 0; i < all.keys; i += AT_ONCE) {
        for (uint32_t k = 0; k < AT_ONCE; k++) {
            dice_bytes(i + k, values[k], VALUE_SIZE);
            words[1 + 2 * k] = name_key(keys[k], i + k);
            words[2 + 2 * k] = (struct resp_text){values[k], VALUE_SIZE};
        }
        REQUIRE(resp_client_call(client, words, 1 + 2 * AT_ONCE, &reply) == 0 && reply.kind == '+',
                "MSET %s: %.*s", keys[0], (int)reply.text.size, reply.text.data);
    }
}

static void check_all(struct resp_client *client)
{
    static char want[VALUE_SIZE];
    char key[32];

    for (uint32_t i = 0; i < all.keys; i++) {
        dice_bytes(i, want, VALUE_SIZE);
        (void)name_key(key, i);
        resp_client_expect_bytes(client, key, want, VALUE_SIZE);
    }
}

/* --- what is asked ------------------------------------------------------------------------- */

/* Where the keys are, and the one node that has not got them. */
static void find_target(void)
{
    json_t *root = fleet_ask(&all.fleet, 0, (const char *[]){"explain", "{mid}0", NULL}), *row;
    uint32_t sum = 0;
    size_t i;

    all.partition = (uint16_t)json_integer_value(json_object_get(root, "partition"));
    json_array_foreach(json_object_get(root, "replicas"), i, row) sum +=
        (uint32_t)json_integer_value(json_object_get(row, "id"));
    REQUIRE(i == NODES - 1, "%zu replicas", i);
    json_decref(root);
    all.target = NODES * (NODES + 1) / 2 - sum;
}

static uint64_t number(json_t *row, const char *name)
{
    return (uint64_t)json_integer_value(json_object_get(row, name));
}

static void ask_moving(struct moving *moving)
{
    json_error_t error;
    json_t *root, *row;
    size_t i;

    *moving = (struct moving){0};
    if (fleet_admin(&all.fleet, all.text, sizeof all.text,
                    (const char *[]){"moves", "-o", "json", NULL}) != 0)
        return; /* a leader was killed just now */
    root = json_loads(all.text, 0, &error);
    REQUIRE(root, "%s in %s", error.text, all.text);
    json_array_foreach(json_object_get(root, "moves"), i, row)
    {
        if (json_is_integer(json_object_get(row, "partition")) &&
            number(row, "partition") == all.partition)
            *moving = (struct moving){.leader = (uint32_t)number(row, "leader"),
                                      .bytes = number(row, "bytes"),
                                      .done = number(row, "bytes_done")};
    }
    json_decref(root);
}

/* Until a leader other than that one has sent so much. Returns who it is. */
static uint32_t wait_sent(const char *what, uint32_t but, uint64_t least)
{
    uint64_t until_ns = now_ns() + (uint64_t)WAIT_MS * 1000000;
    struct moving moving;

    do {
        REQUIRE(now_ns() < until_ns, "%s: not %llu bytes sent, see %s: %s", what,
                (unsigned long long)least, all.fleet.folder, all.text);
        ask_moving(&moving);
    } while (moving.leader == 0 || moving.leader == but || moving.done < least);
    REQUIRE(moving.done < moving.bytes, "%s: it has all been sent: %s", what, all.text);
    return moving.leader;
}

/* What the target has taken in since it was restarted. */
static uint64_t sum_taken(void)
{
    static const char event[] = "event=snapshots_installed", bytes[] = " bytes=";
    char name[16], path[PATH_MAX], line[2048];
    uint64_t sum = 0;
    FILE *file;

    snprintf(name, sizeof name, "node-%u", all.target);
    file = fopen(fleet_path(&all.fleet, name, ".log", path), "re");
    REQUIRE(file, "%s", path);
    while (fgets(line, sizeof line, file)) {
        const char *at = strstr(line, event) ? strstr(line, bytes) : NULL;

        if (strstr(line, "event=snapshots_kept"))
            sum = 0; /* it has just been restarted */
        else if (at)
            sum += strtoull(at + strlen(bytes), NULL, 10);
    }
    fclose(file);
    return sum;
}

/* --- the story ----------------------------------------------------------------------------- */

static void kill_member(uint32_t id)
{
    fleet_kill(&all.fleet, &all.fleet.nodes[id - 1]);
}

static void set_rate(const char *rate)
{
    char told[32];

    snprintf(told, sizeof told, "%s.0 MiB", rate);
    fleet_expect(&all.fleet, 0, told, "moves", "--rate", rate, NULL);
}

static void kill_target(void)
{
    uint64_t bytes = (uint64_t)all.keys * VALUE_SIZE;
    char name[16];

    (void)wait_sent("target", 0, bytes / 2 + STEP);
    set_rate(SLOW_RATE);
    kill_member(all.target);
    fleet_start_node(&all.fleet, all.target - 1);
    snprintf(name, sizeof name, "node-%u", all.target);
    fleet_wait_log(&all.fleet, name, "event=snapshots_kept", WAIT_MS);
}

/* The next leader sends only what is missing. */
static void kill_source(void)
{
    struct moving moving;
    uint32_t source;

    ask_moving(&moving);
    source = wait_sent("source", 0, moving.done + 1);
    kill_member(source);
    (void)wait_sent("the next source", source, 1);
    fleet_start_node(&all.fleet, source - 1);
}

static void kill_meta_leader(void)
{
    uint32_t leader = fleet_wait_meta_leader(&all.fleet, WAIT_MS);

    kill_member(leader);
    fleet_start_node(&all.fleet, leader - 1);
}

static void move(void)
{
    struct fleet *fleet = &all.fleet;
    struct child admin;
    int code;

    set_rate(HALF_RATE);
    fleet_admin_start(fleet, &admin, "set-replicas",
                      (const char *[]){"set-replicas", "4", "--wait", NULL});
    kill_target();
    kill_source();
    kill_meta_leader();
    set_rate(LAST_RATE);
    code = fleet_admin_end(fleet, &admin, WAIT_MS);
    REQUIRE(code == 0, "ring-admin set-replicas: exit code %d, see %s/set-replicas.log", code,
            fleet->folder);
    fleet_wait_healthy(fleet, WAIT_MS);
    REQUIRE(fleet_replicas(fleet, all.target) == PARTITIONS, "node %u has not got all of them",
            all.target);
}

void scenario_midmove(const struct scenario_options *options)
{
    struct resp_client client;
    struct load_result result;
    struct load *load;
    uint64_t bytes, taken;

    all.keys = options->is_short ? 1024 : 1536;
    bytes = (uint64_t)all.keys * VALUE_SIZE;
    fleet_open_with(&all.fleet, options->folder, NODES, "--partitions=8", NULL);
    resp_client_open(&client, all.fleet.resp_port, CALL_MS);
    set_all(&client);
    find_target();
    load = load_start(all.fleet.resp_port, CLIENTS);
    move();
    load_finish(load, &result);
    REQUIRE(result.refused == 0, "%u operations refused", result.refused);
    REQUIRE(result.unexplained == 0, "%u of %u unknown outcomes without a kill", result.unexplained,
            result.unknown);
    check_all(&client);
    taken = sum_taken();
    REQUIRE(taken > 0 && taken < bytes - CASK_SIZE + OTHERS,
            "of %llu bytes the target took in %llu behind its restart, see %s",
            (unsigned long long)bytes, (unsigned long long)taken, all.fleet.folder);
    resp_client_deinit(&client);
    fleet_close(&all.fleet);
    scenario_say(options,
                 "target, source and meta leader killed within a partition: %llu of %llu MiB came "
                 "behind the target's restart, %u operations linearizable (%u unknown)",
                 (unsigned long long)taken >> 20, (unsigned long long)bytes >> 20,
                 result.operations, result.unknown);
}
