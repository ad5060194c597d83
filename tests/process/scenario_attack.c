/* Attacks on membership, and mistakes that look like them: each is refused with the reason, and the
 * ring map is what it was. */
#include "ring/link_nng.h"
#include "ring/wire.h"
#include "tests/process/fleet.h"
#include "tests/process/intruder.h"
#include "tests/process/load.h"
#include "tests/process/scenario.h"

#include <jansson.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define NODES       5u
#define LEFT        2u  /* nodes that are a minority */
#define RATE        77u /* MiB a second */
#define CLIENTS     4u
#define HEALTHY_MS  60000u
#define WAIT_MS     120000u
#define AWAY_MS     2500u /* a stranger has that long to get in */
#define USAGE       2
#define NO_MAJORITY 3
#define CONFLICT    5

struct attack {
    struct fleet fleet;
    char text[64u << 10], errors[64u << 10];
};

static struct attack all;

static json_int_t epoch(void)
{
    json_error_t error;
    json_t *root;
    json_int_t value;
    int code = fleet_admin(&all.fleet, all.text, sizeof all.text,
                           (const char *[]){"status", "-o", "json", NULL});

    REQUIRE(code == 0, "status: exit code %d: %s", code, all.text);
    root = json_loads(all.text, 0, &error);
    REQUIRE(root, "%s", error.text);
    value = json_integer_value(json_object_get(root, "epoch"));
    json_decref(root);
    return value;
}

/* The command is refused with that code, and says why. */
static void refused(int want, const char *says, const char *const *words)
{
    int code = fleet_admin_both(&all.fleet, all.text, all.errors, sizeof all.errors, words);

    REQUIRE(code == want, "%s %s: exit code %d, not %d: %s%s", words[0], words[1] ? words[1] : "",
            code, want, all.text, all.errors);
    REQUIRE(strstr(all.text, says) || strstr(all.errors, says), "%s: no \"%s\" in: %s%s", words[0],
            says, all.text, all.errors);
}

static void carried_out(const char *const *words)
{
    int code = fleet_admin_both(&all.fleet, all.text, all.errors, sizeof all.errors, words);

    REQUIRE(code == 0, "%s %s: exit code %d: %s%s", words[0], words[1], code, all.text, all.errors);
}

/* Of a node that may run: a file that it replaces or removes meanwhile fails cp, which is tried
 * again then. */
static void copy_folder(const char *from, const char *to, char path[PATH_MAX])
{
    char source[PATH_MAX];
    int code = -1;

    fleet_path(&all.fleet, from, "", source);
    fleet_path(&all.fleet, to, "", path);
    for (unsigned tries = 0; code != 0 && tries < 10; tries++)
        code = program_run(NULL, NULL, 0, 60000,
                           (const char *[]){"/bin/cp", "-rT", source, path, NULL});
    REQUIRE(code == 0, "cp %s: %d", from, code);
}

/* A node that the scenario starts by hand, on a folder and with a ticket of its choice. */
static void start(struct child *node, const char *name, const char *data, const char *ticket)
{
    char program[PATH_MAX], log[PATH_MAX], text[512];
    const char *words[] = {program_path("ringcask", program),
                           "node",
                           "--ticket",
                           ticket,
                           "--data",
                           data,
                           "--listen",
                           "127.0.0.1:0",
                           "--join",
                           fleet_seeds(&all.fleet, text)};

    child_init(node);
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        REQUIRE(child_add(node, words[i]) == 0, "no memory");
    REQUIRE(child_start(node, fleet_path(&all.fleet, name, ".log", log)) == 0, "%s", log);
}

/* Whether it ended by itself meanwhile; else it is stopped. */
static bool ended(struct child *node, uint32_t after_ms)
{
    uint64_t until_ns = now_ns() + (uint64_t)after_ms * 1000000;
    bool over = false;

    while (!over && now_ns() < until_ns) {
        over = child_reap(node);
        pause_ms(10);
    }
    if (!over) {
        child_signal(node, SIGKILL);
        while (!child_reap(node))
            pause_ms(1);
    }
    child_deinit(node);
    return over;
}

/* It ends by itself, as one that may not be here. */
static void stays_out(struct child *node, const char *what)
{
    REQUIRE(ended(node, HEALTHY_MS), "%s serves again", what);
    REQUIRE(WIFEXITED(node->status) && WEXITSTATUS(node->status) == CONFLICT,
            "%s ended with status %x", what, node->status);
}

static void log_says(const char *name, const char *says)
{
    char path[PATH_MAX];

    all.text[file_read(fleet_path(&all.fleet, name, ".log", path), all.text, sizeof all.text)] = 0;
    REQUIRE(strstr(all.text, says), "no \"%s\" in %s", says, path);
}

static void wrong_ticket(void)
{
    char path[PATH_MAX], data[PATH_MAX], program[PATH_MAX];
    json_int_t before = epoch();
    struct child node;

    REQUIRE(program_run(all.text, NULL, sizeof all.text, 10000,
                        (const char *[]){program_path("ring-admin", program), "ticket", NULL}) == 0,
            "ring-admin ticket");
    fleet_path(&all.fleet, "other", ".ticket", path);
    file_write(path, all.text, strlen(all.text));
    REQUIRE(chmod(path, 0600) == 0, "chmod");
    start(&node, "stranger", fleet_path(&all.fleet, "stranger", "", data), path);
    (void)ended(&node, AWAY_MS);
    log_says("stranger", "ticket");
    log_says("node-1", "connection_refused");
    REQUIRE(epoch() == before, "a stranger changed the map");
}

/* A second node of one key: it is refused and told why, and the first one goes on. */
static void copied_folder(void)
{
    struct child node, *first = &all.fleet.nodes[1];
    json_int_t before = epoch();
    char data[PATH_MAX];

    copy_folder("node-2", "copy", data);
    start(&node, "copy", data, all.fleet.ticket);
    fleet_wait_log(&all.fleet, "copy", "a process with a copy of this data directory", HEALTHY_MS);
    fleet_wait_log(&all.fleet, "node-1", "event=identity_taken member=2", HEALTHY_MS);
    REQUIRE(epoch() == before, "a copy changed the map");
    fleet_expect(&all.fleet, 4, "node-2 runs twice", "doctor", NULL);
    REQUIRE(!child_reap(first), "the first one has ended, see %s/node-2.log", all.fleet.folder);
    fleet_wait_healthy(&all.fleet, HEALTHY_MS);
    fleet_wait_state(&all.fleet, all.fleet.addresses[1], "active", HEALTHY_MS);
    (void)ended(&node, 0);
    /* It is still the member, and not the copy, that is known by that key. */
    (void)fleet_stop(&all.fleet, first);
    fleet_start_node(&all.fleet, 1);
    fleet_wait_healthy(&all.fleet, HEALTHY_MS);
}

/* The disk of a node that has left is put into another machine: it stays out. */
static void stolen_disk(void)
{
    char data[PATH_MAX], *address = all.fleet.addresses[3];
    struct child node;
    json_int_t before;

    fleet_kill(&all.fleet, &all.fleet.nodes[3]);
    copy_folder("node-4", "stolen", data);
    fleet_start_node(&all.fleet, 3);
    fleet_wait_healthy(&all.fleet, HEALTHY_MS);
    carried_out((const char *[]){"leave", address, "--wait", NULL});
    fleet_wait_left(&all.fleet, 3, HEALTHY_MS);
    before = epoch();
    start(&node, "stolen", data, all.fleet.ticket);
    stays_out(&node, "a removed node's disk");
    log_says("stolen", "removed");
    REQUIRE(epoch() == before, "a removed node's disk changed the map");
    fleet_wait_healthy(&all.fleet, HEALTHY_MS);
    /* Nor does its own folder bring it back. */
    start(&node, "again", fleet_path(&all.fleet, "node-4", "", data), all.fleet.ticket);
    stays_out(&node, "a removed node");
    log_says("again", "removed");
    REQUIRE(epoch() == before, "a removed node changed the map");
}

/* A node that is dead when it is removed has not heard of it. Its disk is started again, in another
 * machine. */
static void forgotten_disk(void)
{
    const char *words[] = {"remove", "--force", all.fleet.addresses[4], "--wait", NULL};
    uint64_t until_ns = now_ns() + (uint64_t)WAIT_MS * 1000000;
    char data[PATH_MAX];
    struct child node;
    json_int_t before;

    fleet_kill(&all.fleet, &all.fleet.nodes[4]);
    while (fleet_admin_both(&all.fleet, all.text, all.errors, sizeof all.errors, words) != 0) {
        REQUIRE(now_ns() < until_ns, "remove --force: %s%s", all.text, all.errors);
        pause_ms(100); /* the others do not hold it dead yet */
    }
    all.fleet.left[4] = true;
    before = epoch();
    start(&node, "forgotten", fleet_path(&all.fleet, "node-5", "", data), all.fleet.ticket);
    stays_out(&node, "a node that was removed by force");
    log_says("forgotten", "event=removed");
    REQUIRE(epoch() == before, "a node that was removed by force changed the map");
    fleet_wait_healthy(&all.fleet, HEALTHY_MS);
}

static const char *plan_hash(json_t *root)
{
    const char *hash = json_string_value(json_object_get(root, "plan"));

    REQUIRE(hash && strlen(hash) >= 8, "no hash in %s", all.text);
    return hash;
}

/* Two operators plan; the first one commits. */
static void stale_plan(void)
{
    const char *words[] = {"plan", "-o", "json", "weight", "1", "200", NULL};
    json_error_t error;
    json_int_t after;
    json_t *root;

    REQUIRE(fleet_admin(&all.fleet, all.text, sizeof all.text, words) == 0, "%s", all.text);
    root = json_loads(all.text, 0, &error);
    REQUIRE(root, "%s", error.text);
    carried_out((const char *[]){"weight", "2", "150", "--wait", NULL});
    after = epoch();
    refused(CONFLICT, "stale",
            (const char *[]){"commit", "--plan", plan_hash(root), "weight", "1", "200", NULL});
    refused(CONFLICT, "stale",
            (const char *[]){"commit", "--plan", "00000000000000000000000000000000", "weight", "1",
                             "200", NULL});
    REQUIRE(epoch() == after, "a stale plan was committed");
    json_decref(root);
}

/* `ring-admin members` holds so many dead. */
static void await_dead(uint32_t want)
{
    uint64_t until_ns = now_ns() + (uint64_t)HEALTHY_MS * 1000000;
    uint32_t dead = 0;

    while (dead < want) {
        (void)fleet_admin(&all.fleet, all.text, sizeof all.text, (const char *[]){"members", NULL});
        dead = 0;
        for (const char *at = all.text; (at = strstr(at, " dead")); at++)
            dead++;
        REQUIRE(now_ns() < until_ns, "%u are held dead: %s", dead, all.text);
        pause_ms(50);
    }
}

/* By hand, past what the commands look at first: the node that is asked finds no majority. */
static void change_by_hand(struct intruder *admin, const struct ringmap *map, uint8_t outcome,
                           const char *what)
{
    uint32_t before = intruder_got(admin, WIRE_MAP_CHANGE_REPLY, NULL, NULL);
    struct wire_map_reply reply;
    struct wire_cursor cursor;
    uint8_t body[1024];
    size_t size = sizeof body;

    intruder_change(admin, map, RATE, WIRE_PARTITION_NODE);
    REQUIRE(intruder_hears(admin, WIRE_MAP_CHANGE_REPLY, before + 1, HEALTHY_MS), "no answer");
    (void)intruder_got(admin, WIRE_MAP_CHANGE_REPLY, body, &size);
    wire_cursor_init(&cursor, body, size);
    REQUIRE(wire_get_map_reply(&cursor, &reply), "%zu bytes", size);
    REQUIRE(reply.outcome == outcome, "%s: outcome %u, not %u: %s", what, reply.outcome, outcome,
            reply.why);
    if (outcome == WIRE_MAP_AGAIN)
        REQUIRE(strstr(reply.why, "the meta group has no leader that answers"), "%s", reply.why);
}

/* Two of five nodes are left: they change nothing and say why. What they are asked is sound: with
 * the others it is done. */
static void minority(void)
{
    static const char too_few[] =
        "the meta group has 2 voters alive and up to date and needs 3 to change";
    struct intruder *admin;
    struct ringmap map, after;
    struct ticket ticket;

    REQUIRE(ticket_load(&ticket, all.fleet.ticket) == 0, "%s", all.fleet.ticket);
    refused(USAGE, "no node has", (const char *[]){"leave", "99", NULL});
    for (uint32_t k = LEFT; k < NODES; k++)
        fleet_kill(&all.fleet, &all.fleet.nodes[k]);
    await_dead(NODES - LEFT);
    refused(NO_MAJORITY, too_few, (const char *[]){"leave", "2", NULL});
    refused(NO_MAJORITY, too_few, (const char *[]){"weight", "1", "200", NULL});
    refused(NO_MAJORITY, too_few, (const char *[]){"remove", "--force", "5", NULL});
    admin = intruder_open(&ticket, LINK_ROLE_ADMIN, all.fleet.addresses[0]);
    REQUIRE(intruder_gets_in(admin, HEALTHY_MS), "an admin is kept out");
    intruder_map(admin, &map);
    change_by_hand(admin, &map, WIRE_MAP_AGAIN, "a minority changes the map");
    for (uint32_t k = LEFT; k < NODES; k++)
        fleet_start_node(&all.fleet, k);
    fleet_wait_healthy(&all.fleet, HEALTHY_MS);
    intruder_map(admin, &after);
    REQUIRE(after.epoch == map.epoch && after.move_rate != RATE, "a minority changed the map");
    change_by_hand(admin, &map, WIRE_MAP_DONE, "all change the map");
    REQUIRE(epoch() == (json_int_t)map.epoch + 1, "the others did not change it either");
    ringmap_deinit(&map);
    ringmap_deinit(&after);
    intruder_close(admin);
}

void scenario_attack(const struct scenario_options *options)
{
    struct load_result result;
    struct load *load;

    fleet_open_with(&all.fleet, options->folder, NODES, "--partitions=16", NULL);
    minority();
    load = load_start(all.fleet.resp_port, CLIENTS);
    wrong_ticket();
    copied_folder();
    stolen_disk();
    forgotten_disk();
    stale_plan();
    load_finish(load, &result);
    REQUIRE(result.refused == 0, "%u operations refused", result.refused);
    REQUIRE(result.unexplained == 0, "%u of %u unknown outcomes without a kill", result.unexplained,
            result.unknown);
    fleet_close(&all.fleet);
    scenario_say(options,
                 "minority, wrong ticket, copied folder, stolen and forgotten disks, stale plan: "
                 "refused; %u operations linearizable (%u unknown)",
                 result.operations, result.unknown);
}
