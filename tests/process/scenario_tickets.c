/* Tickets by role on a running cluster: what each opens, how it ends, and another secret under
 * load. */
#include "ring/link_nng.h"
#include "ring/tickets_command.h"
#include "tests/process/fleet.h"
#include "tests/process/intruder.h"
#include "tests/process/load.h"
#include "tests/process/resp_client.h"
#include "tests/process/scenario.h"
#include "tests/process/talk.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define NODES       3u
#define CLIENTS     4u
#define HEALTHY_MS  60000u
#define IN_MS       5000u /* who may come in does so long before */
#define NOT_IN_MS   500u  /* an intruder dials a dozen times meanwhile */
#define OUT_MS      5000u
#define UNREACHABLE 3
#define CONFLICT    5

static char text[16u << 10], err[16u << 10];

/* `ring-admin ticket words…` with the fleet's ticket; its exit code. */
static int ticket(struct fleet *fleet, const char *const *words)
{
    const char *all[16] = {"ticket"};
    size_t count = 1;

    while (*words && count + 1 < sizeof all / sizeof *all)
        all[count++] = *words++;
    return fleet_admin_both(fleet, text, err, sizeof text, all);
}

/* Saves what the command printed as a ticket's file and reads it. */
static void keep(struct fleet *fleet, const char *name, char path[PATH_MAX], struct ticket *out)
{
    fleet_path(fleet, name, ".ticket", path);
    file_write(path, text, strlen(text));
    REQUIRE(chmod(path, 0600) == 0, "chmod");
    REQUIRE(ticket_load(out, path) == 0, "%s is no ticket: %s", name, text);
}

static void new_ticket(struct fleet *fleet, const char *name, const char *const *words,
                       char path[PATH_MAX], struct ticket *out)
{
    int code = ticket(fleet, words);

    REQUIRE(code == 0, "ticket new: exit code %d: %s", code, err);
    keep(fleet, name, path, out);
    REQUIRE(out->id != 0, "%s", text);
}

static void expect_in(const struct ticket *with, enum link_role role, const char *address, bool in)
{
    struct intruder *intruder = intruder_open(with, role, address);

    REQUIRE(intruder_gets_in(intruder, in ? IN_MS : NOT_IN_MS) == in,
            "ticket %u of role %s as %s: it is %s", with->id, ticket_role_name(with->role),
            ticket_role_name((uint8_t)role), in ? "kept out" : "let in");
    intruder_close(intruder);
}

/* Each role's ticket opens as that role, with its psk and cluster, and as nothing else. */
static void try_roles(struct fleet *fleet)
{
    for (uint8_t role = LINK_ROLE_NODE; role <= LINK_ROLE_ADMIN; role++) {
        char path[PATH_MAX];
        struct ticket with, other;

        new_ticket(fleet, ticket_role_name(role),
                   (const char *[]){"new", "--role", ticket_role_name(role), "--uses", "0", NULL},
                   path, &with);
        for (uint8_t claimed = LINK_ROLE_ROUTER; claimed <= LINK_ROLE_ADMIN; claimed++)
            expect_in(&with, claimed, fleet->addresses[role % NODES], claimed == role);
        if (role != LINK_ROLE_NODE)
            expect_in(&with, LINK_ROLE_NODE, fleet->addresses[0], false);
        other = with;
        other.psk[31] ^= 1;
        expect_in(&other, role, fleet->addresses[0], false);
        other = with;
        other.cluster[0] ^= 1;
        expect_in(&other, role, fleet->addresses[0], false);
    }
}

/* A router is let in, and asks for tickets; of what else it may not say: talk.h. */
static void try_talk(struct fleet *fleet, const struct ticket *router)
{
    struct tickets_command command = {.kind = TICKETS_NEW, .terms = {.role = LINK_ROLE_ADMIN}};
    struct intruder *intruder = intruder_open(router, LINK_ROLE_ROUTER, fleet->addresses[0]);
    static struct tickets_reply reply;
    static uint8_t bytes[16u << 10];
    struct wire_buffer body = {0};
    size_t size = sizeof bytes;
    struct wire_cursor cursor;

    REQUIRE(intruder_gets_in(intruder, IN_MS), "the router is kept out");
    wire_put_map_epoch(&body, 99);
    intruder_send(intruder, WIRE_TICKETS_VERSION, WIRE_PARTITION_NODE, body.data, body.size);
    intruder_send(intruder, WIRE_TICKETS_GET, WIRE_PARTITION_META, NULL, 0);
    intruder_send(intruder, WIRE_TICKETS_GET, WIRE_PARTITION_NODE, NULL, 0);
    wire_buffer_clear(&body);
    tickets_command_put(&body, &command);
    intruder_send(intruder, WIRE_TICKET_COMMAND, WIRE_PARTITION_NODE, body.data, body.size);
    for (uint32_t ms = 0; ms < IN_MS && !intruder_got(intruder, WIRE_TICKET_COMMAND_REPLY, NULL, 0);
         ms += 20)
        pause_ms(20);
    pause_ms(200);
    REQUIRE(intruder_got(intruder, WIRE_TICKET_COMMAND_REPLY, bytes, &size) == 1, "no answer");
    wire_cursor_init(&cursor, bytes, size);
    REQUIRE(tickets_reply_get(&cursor, &reply), "%zu bytes", size);
    REQUIRE(reply.outcome == WIRE_MAP_REFUSED && reply.count == 0 && !reply.has_psk, "%s",
            reply.why);
    REQUIRE(intruder_got(intruder, WIRE_TICKETS, NULL, 0) == 0, "it was given the secret");
    wire_buffer_deinit(&body);
    intruder_close(intruder);
}

/* Spent, expired, revoked: refused, and who is linked is put out. */
static void try_ends(struct fleet *fleet)
{
    struct intruder *intruder;
    struct ticket with;
    char path[PATH_MAX], id[16];

    new_ticket(fleet, "once", (const char *[]){"new", "--role", "router", "--uses", "1", NULL},
               path, &with);
    intruder = intruder_open(&with, LINK_ROLE_ROUTER, fleet->addresses[0]);
    REQUIRE(intruder_gets_in(intruder, IN_MS), "its first key is kept out");
    for (uint32_t k = 0; k < NODES; k++)
        expect_in(&with, LINK_ROLE_ROUTER, fleet->addresses[k], false);
    REQUIRE(!intruder_is_put_out(intruder, 100), "the first key was put out");
    snprintf(id, sizeof id, "%u", with.id);
    REQUIRE(ticket(fleet, (const char *[]){"revoke", id, NULL}) == 0, "revoke: %s", err);
    REQUIRE(intruder_is_put_out(intruder, OUT_MS), "its link outlives the ticket");
    REQUIRE(!intruder_gets_in(intruder, NOT_IN_MS), "a revoked ticket opens");
    intruder_close(intruder);

    new_ticket(fleet, "brief", (const char *[]){"new", "--role", "admin", "--ttl", "2s", NULL},
               path, &with);
    intruder = intruder_open(&with, LINK_ROLE_ADMIN, fleet->addresses[1]);
    REQUIRE(intruder_gets_in(intruder, 1500), "a fresh ticket is kept out");
    REQUIRE(intruder_is_put_out(intruder, OUT_MS), "its link outlives the ticket");
    REQUIRE(!intruder_gets_in(intruder, NOT_IN_MS), "an expired ticket opens");
    intruder_close(intruder);
    REQUIRE(ticket(fleet, (const char *[]){"revoke", "999", NULL}) == 1, "%s", text);
    REQUIRE(strstr(err, "there is no ticket 999"), "%s", err);
}

/* An admin's ticket does what an admin does, and makes no tickets. */
static void try_admin(struct fleet *fleet)
{
    char path[PATH_MAX];
    struct ticket with;
    int code;

    new_ticket(fleet, "helper", (const char *[]){"new", "--role", "admin", "--uses", "2", NULL},
               path, &with);
    REQUIRE(fleet_admin(fleet, text, sizeof text,
                        (const char *[]){"status", "--check", "--ticket", path, NULL}) == 0,
            "%s", text);
    code = ticket(fleet, (const char *[]){"new", "--role", "admin", "--ticket", path, NULL});
    REQUIRE(code == 1 && strstr(err, "founding ticket"), "exit code %d: %s", code, err);
    code = ticket(fleet, (const char *[]){"list", "--ticket", path, NULL});
    REQUIRE(code == UNREACHABLE, "a third key: exit code %d: %s", code, text);
    REQUIRE(strstr(err,
                   "the ticket is spent: used 2 of 2 times; take one of `ring-admin ticket new "
                   "--role admin`"),
            "%s", err);
    REQUIRE(ticket(fleet, (const char *[]){"list", NULL}) == 0 && strstr(text, "spent") &&
                strstr(text, "revoked") && strstr(text, "expired"),
            "%s", text);
}

struct joiner {
    struct child child;
    char data[PATH_MAX], log[PATH_MAX];
};

static void start(struct fleet *fleet, struct joiner *joiner, const char *name,
                  const char *const *words, size_t count)
{
    child_init(&joiner->child);
    for (size_t i = 0; i < count; i++)
        REQUIRE(child_add(&joiner->child, words[i]) == 0, "no memory");
    fleet_path(fleet, name, ".log", joiner->log);
    REQUIRE(child_start(&joiner->child, joiner->log) == 0, "%s", joiner->log);
}

/* A node with an empty folder, which asks to join. */
static void join(struct fleet *fleet, struct joiner *joiner, const char *name, const char *path)
{
    char program[PATH_MAX], line[256];
    const char *const words[] = {program_path("ringcask", program),
                                 "node",
                                 "--ticket",
                                 path,
                                 "--data",
                                 fleet_path(fleet, name, "", joiner->data),
                                 "--listen",
                                 "127.0.0.1:0",
                                 "--shards",
                                 "1",
                                 "--join",
                                 fleet->addresses[1]};

    start(fleet, joiner, name, words, sizeof words / sizeof *words);
    REQUIRE(child_line(&joiner->child, -1, 20000, line, sizeof line) == 0, "%s", joiner->log);
}

static void leave(struct joiner *joiner)
{
    struct child *child = &joiner->child;

    child_stop_all(&child, 1, 20000);
    child_deinit(&joiner->child);
}

/* Members that the map has, as `ring-admin members` says. */
static uint32_t members(struct fleet *fleet)
{
    json_error_t error;
    uint32_t count;
    json_t *root;

    REQUIRE(
        fleet_admin(fleet, text, sizeof text, (const char *[]){"members", "-o", "json", NULL}) == 0,
        "%s", text);
    root = json_loads(text, 0, &error);
    REQUIRE(root, "%s in %s", error.text, text);
    count = (uint32_t)json_array_size(json_object_get(root, "members"));
    json_decref(root);
    return count;
}

static bool said(const struct joiner *joiner, const char *what)
{
    text[file_read(joiner->log, text, sizeof text - 1)] = 0;
    return strstr(text, what) != NULL;
}

static void await_said(const struct joiner *joiner, const char *what)
{
    for (uint32_t ms = 0; !said(joiner, what); ms += 50) {
        REQUIRE(ms < HEALTHY_MS, "\"%s\" is not in %s: %s", what, joiner->log, text);
        pause_ms(50);
    }
}

/* A router with a ticket that has ended hears why. */
static void try_router(struct fleet *fleet)
{
    char path[PATH_MAX], program[PATH_MAX];
    struct joiner router;
    struct ticket with;

    new_ticket(fleet, "late-router",
               (const char *[]){"new", "--role", "router", "--ttl", "1s", NULL}, path, &with);
    pause_ms(1500);
    start(fleet, &router, "router-2",
          (const char *[]){program_path("ringcask", program), "router", "--ticket", path, "--seeds",
                           fleet->addresses[1], "--resp", "127.0.0.1:0"},
          8);
    await_said(&router, "event=refused");
    await_said(&router, "the ticket expired at 20");
    await_said(&router, "take one of `ring-admin ticket new --role router`");
    leave(&router);
}

/* Lines of node 2's log that hold the words. */
static uint32_t told(const struct fleet *fleet, const char *words)
{
    char path[PATH_MAX], line[2048];
    FILE *file = fopen(fleet_path(fleet, "node-2", ".log", path), "re");
    uint32_t count = 0;

    REQUIRE(file, "%s", path);
    while (fgets(line, sizeof line, file))
        count += strstr(line, words) != NULL;
    fclose(file);
    return count;
}

/* Who joins with it is refused: the member that is asked says which ticket it was and why, and the
 * joiner why and what to do. id: 0: it is no ticket of the cluster. */
static void expect_refused(struct fleet *fleet, const char *name, const char *path, uint32_t id,
                           const char *reason)
{
    struct joiner joiner;
    char says[128];
    uint32_t before;

    if (id != 0)
        snprintf(says, sizeof says, "ticket=%u role=node reason=\"%s", id, reason);
    else
        snprintf(says, sizeof says, "reason=\"the handshake failed: %s", reason);
    before = told(fleet, says);
    join(fleet, &joiner, name, path);
    for (uint32_t ms = 0; told(fleet, says) == before; ms += 50) {
        REQUIRE(ms < HEALTHY_MS, "node 2 does not say \"%s\"", says);
        pause_ms(50);
    }
    await_said(&joiner, "event=connection_refused");
    await_said(&joiner, reason);
    await_said(&joiner, "take one of `ring-admin ticket new --role node`");
    REQUIRE(!said(&joiner, "event=serving"), "%s", text);
    REQUIRE(members(fleet) == NODES + 1, "a ticket that is %s let another join: %s", reason, text);
    leave(&joiner);
}

/* Of another cluster, and of this one with another secret. */
static void expect_wrong(struct fleet *fleet)
{
    static const char reason[] = "another cluster's ticket";
    char path[PATH_MAX], program[PATH_MAX];
    struct ticket wrong;

    REQUIRE(program_run(text, NULL, sizeof text, 10000,
                        (const char *[]){program_path("ring-admin", program), "ticket", NULL}) == 0,
            "ring-admin ticket");
    keep(fleet, "elsewhere", path, &wrong);
    expect_refused(fleet, "node-7", path, 0, reason);
    REQUIRE(ticket_load(&wrong, fleet->ticket) == 0, "%s", fleet->ticket);
    wrong.psk[0] ^= 1;
    ticket_encode(&wrong, text);
    keep(fleet, "guessed", path, &wrong);
    expect_refused(fleet, "node-8", path, 0, reason);
}

static void end_ticket(struct fleet *fleet, const struct ticket *with)
{
    char id[16];

    snprintf(id, sizeof id, "%u", with->id);
    REQUIRE(ticket(fleet, (const char *[]){"revoke", id, NULL}) == 0, "%s", err);
}

static void administer(struct fleet *fleet, const char *const *words)
{
    int code = fleet_admin_both(fleet, text, err, sizeof text, words);

    REQUIRE(code == 0, "ring-admin %s: exit code %d: %s%s", words[0], code, text, err);
}

static bool holds(const uint8_t *bytes, size_t size, const uint8_t *secret, size_t secret_size)
{
    for (size_t at = 0; at + secret_size <= size; at++)
        if (memcmp(bytes + at, secret, secret_size) == 0)
            return true;
    return false;
}

/* Whether one of the files that a node's control plane writes has the cluster's secret in it. */
static bool has_secret(const struct fleet *fleet, const char *node)
{
    static const char *const names[] = {"/TICKETS", "/MAP", "/GENESIS", "/IDENTITY"};
    static uint8_t bytes[256u << 10];
    struct ticket founding;
    char path[PATH_MAX];
    bool found = false;

    REQUIRE(ticket_load(&founding, fleet->ticket) == 0, "%s", fleet->ticket);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct stat status;
        size_t size;

        if (stat(fleet_path(fleet, node, names[i], path), &status) != 0)
            continue;
        size = file_read(path, (char *)bytes, sizeof bytes);
        REQUIRE(size < sizeof bytes, "%s is too large for this test", path);
        found |= holds(bytes, size, founding.psk, sizeof founding.psk);
    }
    return found;
}

static void start_again(struct fleet *fleet, struct joiner *joiner, const char *name,
                        const char *path)
{
    REQUIRE(remove(joiner->log) == 0, "%s", joiner->log);
    join(fleet, joiner, name, path);
}

/* Before anybody commits it: what it was given opens the cluster as what its ticket is for, and it
 * finds its way back with that alone. */
static void try_joining(struct fleet *fleet, struct joiner *node, const char *path,
                        const struct ticket *with)
{
    json_t *root, *members;
    json_error_t error;
    const char *state;

    pause_ms(1500); /* members tell each other all they may in less */
    REQUIRE(!has_secret(fleet, "node-4"), "nobody has committed it, and it has the secret");
    expect_in(with, LINK_ROLE_ADMIN, fleet->addresses[0], false);
    expect_in(with, LINK_ROLE_ROUTER, fleet->addresses[0], false);
    administer(fleet, (const char *[]){"status", "-o", "json", NULL});
    root = json_loads(text, 0, &error);
    members = json_object_get(root, "nodes");
    state = json_string_value(json_object_get(json_array_get(members, NODES), "state"));
    REQUIRE(state && strcmp(state, "joining") == 0, "%s", text);
    json_decref(root);
    leave(node);
    start_again(fleet, node, "node-4", path);
    await_said(node, "event=peer_up");
    REQUIRE(!has_secret(fleet, "node-4"), "it was given the secret when it came back");
}

/* Its ticket ends meanwhile: it is out until it gets another. */
static void try_revoked(struct fleet *fleet, struct joiner *node, const char *path,
                        const struct ticket *with)
{
    char again[PATH_MAX];
    struct ticket other;

    end_ticket(fleet, with);
    expect_refused(fleet, "node-5", path, with->id, "the ticket was revoked at 20");
    await_said(node, "event=peer_down");
    leave(node);
    start_again(fleet, node, "node-4", path);
    await_said(node, "event=connection_refused");
    REQUIRE(!said(node, "event=peer_up"), "%s", text);
    leave(node);
    new_ticket(fleet, "again", (const char *[]){"new", "--role", "node", NULL}, again, &other);
    start_again(fleet, node, "node-4", again);
    await_said(node, "event=peer_up");
    administer(fleet, (const char *[]){"commit", "--auto", "--wait", NULL});
    for (uint32_t ms = 0; !has_secret(fleet, "node-4"); ms += 50) {
        REQUIRE(ms < HEALTHY_MS, "it takes part and has no tickets, see %s", node->log);
        pause_ms(50);
    }
    end_ticket(fleet, &other);
    leave(node);
    start_again(fleet, node, "node-4", path);
    await_said(node, "event=peer_up");
    fleet_wait_healthy(fleet, HEALTHY_MS);
    administer(fleet, (const char *[]){"leave", "4", "--wait", NULL});
    for (uint32_t ms = 0; !child_reap(&node->child); ms += 50) {
        REQUIRE(ms < HEALTHY_MS, "it stays, see %s", node->log);
        pause_ms(50);
    }
    child_deinit(&node->child);
}

/* One node joins with a ticket for one, and is a member of no rights; once it takes part it is one
 * whatever becomes of its ticket. */
static void try_join(struct fleet *fleet)
{
    char path[PATH_MAX], late[PATH_MAX];
    struct joiner first;
    struct ticket with, brief;

    new_ticket(fleet, "joiner", (const char *[]){"new", "--role", "node", NULL}, path, &with);
    join(fleet, &first, "node-4", path);
    await_said(&first, "event=serving");
    REQUIRE(members(fleet) == NODES + 1, "%s", text);
    expect_wrong(fleet);
    expect_refused(fleet, "node-5", path, with.id, "the ticket is spent: used 1 of 1 times");
    new_ticket(fleet, "late", (const char *[]){"new", "--role", "node", "--ttl", "1s", NULL}, late,
               &brief);
    pause_ms(1500);
    expect_refused(fleet, "node-6", late, brief.id, "the ticket expired at 20");
    try_joining(fleet, &first, path, &with);
    try_revoked(fleet, &first, path, &with);
}

/* From one secret to the next while clients write; a node that is away holds it up. */
static uint32_t rotate(struct fleet *fleet)
{
    static char next[sizeof text];
    char old[PATH_MAX], path[PATH_MAX];
    struct load *load = load_start(fleet->resp_port, CLIENTS);
    struct load_result result;
    struct ticket before, after;
    uint32_t gap;

    REQUIRE(ticket_load(&before, fleet->ticket) == 0, "%s", fleet->ticket);
    fleet_kill(fleet, &fleet->nodes[2]);
    REQUIRE(ticket(fleet, (const char *[]){"rotate", NULL}) == UNREACHABLE && text[0] == 0 &&
                strstr(err, "run this again"),
            "%s%s", text, err);
    fleet_start_node(fleet, 2);
    fleet_wait_healthy(fleet, HEALTHY_MS);
    pause_ms(1000);
    load_window_begin(load);
    REQUIRE(ticket(fleet, (const char *[]){"rotate", "--wait", NULL}) == 0, "%s", err);
    memcpy(next, text, sizeof next);
    keep(fleet, "next", path, &after);
    REQUIRE(after.id == 0 && memcmp(after.psk, before.psk, sizeof after.psk) != 0, "%s", next);
    REQUIRE(ticket(fleet, (const char *[]){"rotate", NULL}) == 0 && strcmp(text, next) == 0,
            "asked again it is the same: %s", text);
    expect_in(&before, LINK_ROLE_ADMIN, fleet->addresses[0], true);
    expect_in(&after, LINK_ROLE_ADMIN, fleet->addresses[1], true);
    REQUIRE(ticket(fleet, (const char *[]){"retire", NULL}) == 1 && strstr(err, "lock out"), "%s",
            err);
    gap = load_window_end(load);
    load_finish(load, &result);
    REQUIRE(result.refused == 0 && result.unexplained == 0,
            "%u operations refused, %u of %u unknown outcomes without a kill", result.refused,
            result.unexplained, result.unknown);
    /* The router gets the new one. Nodes have learned it: one starts with the old file. */
    fleet_path(fleet, "old", ".ticket", old);
    REQUIRE(rename(fleet->ticket, old) == 0, "rename");
    file_write(fleet->ticket, next, strlen(next));
    REQUIRE(chmod(fleet->ticket, 0600) == 0, "chmod");
    REQUIRE(ticket(fleet, (const char *[]){"list", NULL}) == 0 &&
                strstr(text, "connected by the old secret: 1\n"),
            "%s%s", text, err);
    REQUIRE(ticket(fleet, (const char *[]){"retire", NULL}) == CONFLICT &&
                strstr(err, "router at 127.0.0.1:"),
            "the router would be cut off: %s", err);
    (void)fleet_stop(fleet, &fleet->router);
    fleet_start_router(fleet);
    REQUIRE(ticket(fleet, (const char *[]){"retire", NULL}) == 0, "%s", err);
    expect_in(&before, LINK_ROLE_ADMIN, fleet->addresses[0], false);
    expect_in(&before, LINK_ROLE_ROUTER, fleet->addresses[1], false);
    fleet_kill(fleet, &fleet->nodes[1]);
    snprintf(path, sizeof path, "%s", fleet->ticket);
    snprintf(fleet->ticket, sizeof fleet->ticket, "%s", old);
    fleet_start_node(fleet, 1);
    snprintf(fleet->ticket, sizeof fleet->ticket, "%s", path);
    fleet_wait_healthy(fleet, HEALTHY_MS);
    return gap;
}

static void inspect(const struct fleet *fleet)
{
    char file[PATH_MAX], program[PATH_MAX];
    struct stat status;
    int code;

    REQUIRE(stat(fleet_path(fleet, "node-1", "/TICKETS", file), &status) == 0, "%s", file);
    REQUIRE((status.st_mode & 0777) == 0600, "mode %o", status.st_mode & 0777u);
    code = program_run(text, err, sizeof text, 20000,
                       (const char *[]){program_path("ringcask", program), "inspect", file, NULL});
    REQUIRE(code == 0 && strstr(text, "secret: 2\n") && strstr(text, "revoked"), "%s%s", text, err);
    file_write(file, "RICK", 4);
    code = program_run(text, err, sizeof text, 20000,
                       (const char *[]){program, "inspect", file, NULL});
    REQUIRE(code == 1 && strstr(err, "damaged"), "%s%s", text, err);
}

void scenario_tickets(const struct scenario_options *options)
{
    struct fleet fleet;
    struct ticket router;
    char path[PATH_MAX];
    uint32_t gap;

    fleet_open_with(&fleet, options->folder, NODES, "--partitions=16", NULL);
    try_roles(&fleet);
    new_ticket(&fleet, "router-2", (const char *[]){"new", "--role", "router", NULL}, path,
               &router);
    try_talk(&fleet, &router);
    talk_of_router(&fleet, &router);
    try_ends(&fleet);
    try_admin(&fleet);
    try_router(&fleet);
    try_join(&fleet);
    gap = rotate(&fleet);
    expect_in(&router, LINK_ROLE_ROUTER, fleet.addresses[0], false);
    inspect(&fleet);
    fleet_close(&fleet);
    scenario_say(options,
                 "each ticket opens as its role alone; spent, expired and revoked ones put out who "
                 "came with them; another secret with no operation refused, longest gap %u ms",
                 gap);
}
