/* An encrypted cluster and nodes that join it: whoever has a ticket for nodes, and a disk of
 * others, has no data key before an operator's plan takes the node in; afterwards it serves, and
 * keeps the keys when the plan is aborted. */
#include "replication/node.h"
#include "replication/node_file.h"
#include "ring/identity.h"
#include "storage/datadir.h"
#include "storage/vault.h"
#include "tests/process/fleet.h"
#include "tests/process/intruder.h"
#include "tests/process/resp_client.h"
#include "tests/process/scenario.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define NODES      3u
#define HEALTHY_MS 60000u
#define CALL_MS    60000u
#define RATE       7u
#define LARGE      320u
#define LARGE_SIZE (128u << 10)
#define SECRET     "nobody-may-see-this"

static char text[64u << 10], err[16u << 10];

static void administer(struct fleet *fleet, const char *const *words)
{
    int code = fleet_admin_both(fleet, text, err, sizeof err, words);

    REQUIRE(code == 0, "ring-admin %s: exit code %d: %s%s", words[0], code, text, err);
}

/* --- what clients see ---------------------------------------------------------------------- */

static void set_all(struct resp_client *client, uint32_t keys)
{
    char key[64], value[64];

    for (uint32_t i = 0; i < keys; i++) {
        snprintf(key, sizeof key, SECRET "-key-%u", i);
        snprintf(value, sizeof value, SECRET "-value-%u", i);
        resp_client_set(client, key, value);
    }
}

static void check_all(struct resp_client *client, uint32_t keys)
{
    char key[64], value[64];

    for (uint32_t i = 0; i < keys; i++) {
        snprintf(key, sizeof key, SECRET "-key-%u", i);
        snprintf(value, sizeof value, SECRET "-value-%u", i);
        resp_client_expect(client, key, value);
    }
}

/* So much that a plan takes its time at 1 MiB a second. */
static void set_large(struct resp_client *client)
{
    static char value[LARGE_SIZE];
    char key[32];

    for (uint32_t i = 0; i < LARGE; i++) {
        snprintf(key, sizeof key, "large-%u", i);
        randombytes_buf(value, sizeof value);
        resp_client_set_bytes(client, key, value, sizeof value);
    }
}

static bool disk_tells(const struct fleet *fleet, const char *name)
{
    char path[PATH_MAX];
    int code = program_run(
        NULL, NULL, 0, 20000,
        (const char *[]){"grep", "-rqa", SECRET, fleet_path(fleet, name, "", path), NULL});

    REQUIRE(code == 0 || code == 1, "grep ends with %d", code);
    return code == 0;
}

/* --- what a newcomer has ------------------------------------------------------------------- */

/* With the identity in the folder, and the ring map that its node holds: how many data keys its own
 * boxes give it; *known: the map's keys. No member's box may open otherwise. */
static uint32_t keys_of(const struct fleet *fleet, const char *name, uint32_t *known)
{
    struct datadir_identity stored;
    const struct ringmap_member *self;
    struct identity identity;
    struct ringmap map;
    struct vault vault;
    struct vfs *vfs;
    char path[PATH_MAX];
    uint32_t own = 0;

    vault_init(&vault);
    REQUIRE(vfs_posix_open(&vfs, fleet_path(fleet, name, "", path)) == 0, "%s", path);
    REQUIRE(datadir_peek(vfs, &stored) == 0 && identity_from_secret(&identity, stored.key) == 0,
            "no identity in %s", path);
    REQUIRE(node_peek_map(vfs, &map) == 0, "no ring map in %s", path);
    self = ringmap_member_by_key(&map, identity.public_key);
    REQUIRE(self && map.key_count > 0, "%s is no member of an encrypted cluster", name);
    for (uint32_t i = 0; i < map.member_count; i++)
        for (uint32_t key = 0; key < map.key_count; key++) {
            const uint8_t *box = ringmap_box(&map, key, map.members[i].id);
            bool opens = box && vault_unwrap(&vault, map.key_ids[key], identity.dh_public,
                                             identity.dh_secret, box) == 0;

            REQUIRE(!opens || &map.members[i] == self, "%s opens the box of member %u", name,
                    map.members[i].id);
            own += opens;
        }
    *known = map.key_count;
    ringmap_deinit(&map);
    identity_wipe(&identity);
    vfs_posix_close(vfs);
    return own;
}

/* It has heard of so many data keys, and has got none of them. */
static void await_none(const struct fleet *fleet, const char *name, uint32_t keys)
{
    uint64_t until_ns = now_ns() + UINT64_C(1000000) * CALL_MS;
    uint32_t own, known;

    while ((own = keys_of(fleet, name, &known)) == 0 && known < keys) {
        REQUIRE(now_ns() < until_ns, "%s has not heard of data key %u", name, keys);
        pause_ms(20);
    }
    REQUIRE(own == 0, "%s has %u data keys before a plan takes it in", name, own);
    REQUIRE(!fleet_log_says(fleet, name, "event=serving"), "%s serves", name);
}

static void expect_all(const struct fleet *fleet, const char *name, uint32_t keys)
{
    uint32_t known, own = keys_of(fleet, name, &known);

    REQUIRE(own == keys && known == keys, "%s has %u of %u data keys", name, own, known);
    REQUIRE(fleet_log_says(fleet, name, "encrypted=yes"), "%s does not serve", name);
}

/* The start of node k with a ticket of its own. */
static void start_with(struct fleet *fleet, uint32_t k, const char *ticket)
{
    char founding[PATH_MAX];

    memcpy(founding, fleet->ticket, sizeof founding);
    snprintf(fleet->ticket, sizeof fleet->ticket, "%s", ticket);
    if (k == fleet->node_count)
        (void)fleet_join_node(fleet);
    else
        fleet_start_node(fleet, k);
    memcpy(fleet->ticket, founding, sizeof founding);
}

static void new_ticket(struct fleet *fleet, char path[PATH_MAX])
{
    administer(fleet, (const char *[]){"ticket", "new", "--role", "node", NULL});
    file_write(fleet_path(fleet, "newcomer", ".ticket", path), text, strlen(text));
    REQUIRE(chmod(path, 0600) == 0, "chmod");
}

static void run(const char *const *words)
{
    int code = program_run(text, err, sizeof err, 20000, words);

    REQUIRE(code == 0, "%s ends with %d: %s%s", words[0], code, text, err);
}

/* Somebody's shard, put beside the newcomer's identity, map and ticket. */
static void try_stolen_disk(struct fleet *fleet, uint32_t k, const char *ticket)
{
    char stolen[PATH_MAX], mine[PATH_MAX], program[PATH_MAX], log[PATH_MAX];

    (void)fleet_stop(fleet, &fleet->nodes[k]);
    fleet_path(fleet, "node-1", "/shard-00", stolen);
    fleet_path(fleet, "node-4", "/shard-00", mine);
    run((const char *[]){"cp", "-r", stolen, mine, NULL});
    run((const char *[]){program_path("ringcask", program), "inspect", mine, NULL});
    REQUIRE(!strstr(text, SECRET), "inspect tells: %s", text);
    REQUIRE(remove(fleet_path(fleet, "node-4", ".log", log)) == 0, "%s", log);
    start_with(fleet, k, ticket);
    fleet_wait_log(fleet, "node-4", "event=data_key_awaited", HEALTHY_MS);
    await_none(fleet, "node-4", 2);
    REQUIRE(!disk_tells(fleet, "node-4"), "node-4 has the data");
    (void)fleet_stop(fleet, &fleet->nodes[k]);
    run((const char *[]){"rm", "-r", mine, NULL});
    start_with(fleet, k, ticket);
}

/* A slow plan that took node-6 in is given up: it stays, with its keys. */
static void abort_plan(struct fleet *fleet)
{
    uint64_t until_ns = now_ns() + UINT64_C(1000000) * CALL_MS;
    uint32_t k = fleet_join_node(fleet), known;

    fleet_wait_state(fleet, fleet->addresses[k], "joining", HEALTHY_MS);
    await_none(fleet, "node-6", 2);
    administer(fleet, (const char *[]){"moves", "--rate", "1", NULL});
    administer(fleet, (const char *[]){"commit", "--auto", "join", fleet->addresses[k], NULL});
    administer(fleet, (const char *[]){"abort", "--wait", NULL});
    while (keys_of(fleet, "node-6", &known) != 2) {
        REQUIRE(now_ns() < until_ns, "node-6 does not get its data keys");
        pause_ms(20);
    }
    fleet_wait_state(fleet, fleet->addresses[k], "active", HEALTHY_MS);
    administer(fleet, (const char *[]){"moves", "--rate", "64", NULL});
    administer(fleet, (const char *[]){"commit", "--auto", "--wait", NULL});
    REQUIRE(fleet_replicas(fleet, 6) > 0, "node-6 holds nothing");
}

/* The map that node-4 holds has it active and gives it no data key, as none should. */
static void forget_boxes(const struct fleet *fleet)
{
    struct node_file file;
    struct ringmap map;
    struct vfs *vfs;
    char path[PATH_MAX];

    REQUIRE(vfs_posix_open(&vfs, fleet_path(fleet, "node-4", "", path)) == 0, "%s", path);
    REQUIRE(node_file_read(vfs, &node_file_map, &file) == 0 &&
                ringmap_decode(file.blob, file.size, &map) == 0,
            "no MAP in %s", path);
    for (uint32_t key = 0; key < map.key_count; key++)
        memset(map.boxes[(size_t)key * map.member_count + 3], 0, RINGMAP_BOX_SIZE);
    ringmap_encode(&map, file.blob);
    REQUIRE(node_file_write(vfs, &node_file_map, &file) == 0, "%s", path);
    free(file.blob);
    ringmap_deinit(&map);
    vfs_posix_close(vfs);
}

/* It is handed the next map of one that gives it nothing, and has no key to make up for that. */
static void ask_the_keyless(struct fleet *fleet, uint32_t k)
{
    struct intruder *admin;
    struct wire_map_reply reply;
    struct wire_cursor cursor;
    struct ringmap map;
    struct ticket ticket;
    uint8_t body[1024];
    size_t size = sizeof body;

    REQUIRE(ticket_load(&ticket, fleet->ticket) == 0, "%s", fleet->ticket);
    admin = intruder_open(&ticket, LINK_ROLE_ADMIN, fleet->addresses[k]);
    REQUIRE(intruder_gets_in(admin, HEALTHY_MS), "an admin is kept out");
    intruder_map(admin, &map);
    intruder_change(admin, &map, RATE, WIRE_PARTITION_NODE);
    REQUIRE(intruder_hears(admin, WIRE_MAP_CHANGE_REPLY, 1, HEALTHY_MS), "no answer");
    (void)intruder_got(admin, WIRE_MAP_CHANGE_REPLY, body, &size);
    wire_cursor_init(&cursor, body, size);
    REQUIRE(wire_get_map_reply(&cursor, &reply) && reply.outcome == WIRE_MAP_UNSENT &&
                strstr(reply.why, "it has not got data key 1"),
            "outcome %u: %s", reply.outcome, reply.why);
    ringmap_deinit(&map);
    intruder_close(admin);
}

/* No disk tells, and each node has its data keys at hand. One that has lost them hosts nothing
 * until the next map gives it all of them. */
static void start_again(struct fleet *fleet)
{
    char name[16], log[PATH_MAX];

    fleet_kill_all(fleet);
    for (uint32_t k = 0; k < fleet->node_count; k++) {
        snprintf(name, sizeof name, "node-%u", k + 1);
        REQUIRE(!disk_tells(fleet, name), "%s tells", name);
        expect_all(fleet, name, 2);
    }
    forget_boxes(fleet);
    REQUIRE(remove(fleet_path(fleet, "node-4", ".log", log)) == 0, "%s", log);
    for (uint32_t k = 0; k < fleet->node_count; k++)
        fleet_start_node(fleet, k);
    fleet_wait_log(fleet, "node-4", "event=data_key_missing", HEALTHY_MS);
    await_none(fleet, "node-4", 2);
    ask_the_keyless(fleet, 3);
    administer(fleet, (const char *[]){"rotate-key", "--wait", NULL});
    fleet_wait_healthy(fleet, HEALTHY_MS);
    expect_all(fleet, "node-4", 3);
}

void scenario_newcomer(const struct scenario_options *options)
{
    uint32_t keys = options->is_short ? 200 : 2000, newcomer, other;
    struct resp_client client;
    char ticket[PATH_MAX];
    struct fleet fleet;

    REQUIRE(sodium_init() >= 0, "libsodium");
    fleet_open_encrypted(&fleet, options->folder, NODES);
    resp_client_open(&client, fleet.resp_port, CALL_MS);
    set_all(&client, keys);
    set_large(&client);
    new_ticket(&fleet, ticket);
    newcomer = fleet.node_count;
    start_with(&fleet, newcomer, ticket);
    fleet_wait_state(&fleet, fleet.addresses[newcomer], "joining", HEALTHY_MS);
    fleet_wait_log(&fleet, "node-4", "event=data_key_awaited", HEALTHY_MS);
    await_none(&fleet, "node-4", 1);
    administer(&fleet, (const char *[]){"rotate-key", "--wait", NULL}); /* not for it either */
    await_none(&fleet, "node-4", 2);
    try_stolen_disk(&fleet, newcomer, ticket);
    other = fleet_join_node(&fleet); /* the founding's ticket gives it no more */
    fleet_wait_state(&fleet, fleet.addresses[other], "joining", HEALTHY_MS);
    await_none(&fleet, "node-5", 2);
    administer(&fleet, (const char *[]){"commit", "--auto", "join", fleet.addresses[newcomer],
                                        "join", fleet.addresses[other], "--wait", NULL});
    expect_all(&fleet, "node-4", 2);
    expect_all(&fleet, "node-5", 2);
    REQUIRE(fleet_replicas(&fleet, 4) > 0 && fleet_replicas(&fleet, 5) > 0, "they hold nothing");
    check_all(&client, keys);
    abort_plan(&fleet);
    fleet_kill(&fleet, &fleet.nodes[0]);
    fleet_wait_dead(&fleet, 1, HEALTHY_MS);
    check_all(&client, keys);
    set_all(&client, keys);
    fleet_start_node(&fleet, 0);
    start_again(&fleet);
    check_all(&client, keys);
    resp_client_deinit(&client);
    fleet_close(&fleet);
    scenario_say(options,
                 "3 nodes had no data key while they were joining, a stolen disk and 2 keys beside "
                 "them; all of them since, also one that had lost them, and %u keys are served",
                 keys);
}
