/* ticket retire, and ticket list, in a cluster whose nodes are this file's own: it takes the place
 * of cli/admin.c and cli/clock.c. */
#include "cli/admin.h"
#include "cli/clock.h"
#include "ring/tickets_command.h"
#include "ring/wire_peers.h"

#include <criterion/criterion.h>
#include <criterion/redirect.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "cluster_fake.h"
#include "view_scene.h"

#define NODES 3u

static struct tickets tickets; /* of the cluster */
static uint32_t linked[NODES]; /* routers, to each node, by the old secret */
static bool silent[NODES];     /* says nothing of that */
static unsigned ending;        /* questions after which the routers are gone; 0: they stay */
static bool gone, removed;     /* the last node, and out of the map, too */
static unsigned looks;         /* at the map */
static unsigned late;          /* answers in which the last node has not followed */
static bool dying;             /* all are gone once a new secret is prepared */
static unsigned asked, paused; /* questions of that, and pauses */
static enum output_format format;
static char said[4096], printed[4096];

/* Of the routers, as the nodes tell it. */
static uint8_t role = LINK_ROLE_ROUTER;

enum exit_code admin_open(struct admin *admin, const struct arguments *arguments, bool founded)
{
    cr_assert(founded);
    *admin = (struct admin){.arguments = arguments, .format = format, .output = output_new(format)};
    admin->view = scene_view(NODES, 0, 16, 3);
    memcpy(admin->ticket.psk, tickets.offered.psk, sizeof admin->ticket.psk);
    return EXIT_CODE_OK;
}

void admin_close(struct admin *admin)
{
    view_deinit(&admin->view);
    output_free(admin->output);
}

enum exit_code admin_print(struct admin *admin)
{
    return output_print(admin->output, stdout) == 0 ? EXIT_CODE_OK : EXIT_CODE_FAILED;
}

void clock_pause(uint32_t pause_ms)
{
    paused++;
    (void)pause_ms;
}

uint64_t clock_wall_ms(void)
{
    return 1000;
}

uint64_t clock_now_ms(void)
{
    return 1000;
}

static void answer_status(struct cluster_request *request)
{
    uint16_t member = (uint16_t)request->node;
    struct wire_node_status status = {
        .member = member, .founded = 2, .shards = 1, .tickets = tickets.version};
    struct wire_buffer body = {0};

    if (member == NODES && late > 0 && late--)
        status.tickets--;
    status.public_key[0] = (uint8_t)member;
    snprintf(status.address, sizeof status.address, "127.0.0.1:%u", 7000u + member);
    wire_put_node_status(&body, &status);
    cluster_fake_answer(request, &body);
}

/* The last node is gone; if it was removed, by a map that comes with a later look. */
static void answer_map(struct cluster_request *request)
{
    struct view view = scene_view(NODES, 0, 16, 3);
    struct wire_buffer body = {0};

    if (removed && ++looks > 2 * NODES) {
        view.map.epoch++;
        view.map.members[NODES - 1].state = RINGMAP_STATE_REMOVED;
        for (uint32_t p = 0; p < 16; p++)
            memcpy(&view.map.replicas[p * 3], (const uint16_t[]){1, 2, 0}, 3 * sizeof(uint16_t));
        view.map.meta_voter_count = 2;
        memcpy(view.map.meta_voters, (const uint16_t[]){1, 2}, 2 * sizeof(uint16_t));
        view.map.meta_voters[2] = 0;
    }
    ringmap_encode(&view.map, wire_put_bin_space(&body, ringmap_encoded_size(&view.map)));
    cluster_fake_answer(request, &body);
    view_deinit(&view);
}

static void answer_command(struct cluster_request *request)
{
    struct tickets_command command;
    struct tickets_reply reply;
    struct wire_cursor cursor;
    struct wire_buffer body = {0};
    uint32_t id = 0;
    int code;

    wire_cursor_init(&cursor, request->body, request->body_size);
    cr_assert(tickets_command_get(&cursor, &command));
    code = tickets_command_apply(&tickets, &command, 2000, &id);
    tickets_reply_init(&reply, &tickets);
    reply.code = (uint8_t)code;
    reply.outcome = reply.code == 0 ? WIRE_MAP_DONE : WIRE_MAP_REFUSED;
    reply.id = id;
    if (command.kind == TICKETS_NEW)
        reply.has_psk = tickets_psk(&tickets, id, reply.psk) == 0;
    if (command.kind == TICKETS_SWITCH) {
        reply.has_psk = true;
        memcpy(reply.psk, tickets.offered.psk, sizeof reply.psk);
    }
    tickets_reply_put(&body, &reply);
    cluster_fake_answer(request, &body);
}

/* Router number i is the same one at each node. */
static void answer_peers(struct cluster_request *request)
{
    uint32_t node = (uint32_t)request->node - 1, generation = 0;
    struct wire_cursor cursor;
    struct wire_buffer body = {0};

    wire_cursor_init(&cursor, request->body, request->body_size);
    cr_assert(wire_get_peers_get(&cursor, &generation));
    cr_assert_eq(generation, tickets.other.generation);
    wire_put_peers_head(&body, linked[node]);
    for (uint32_t i = 0; i < linked[node]; i++) {
        struct wire_peer peer = {.role = role, .ticket = i};

        snprintf(peer.address, sizeof peer.address, "10.0.0.%u:%u", 9 + i, 40000 + node);
        peer.public_key[0] = (uint8_t)(i + 1);
        wire_put_peer(&body, &peer);
    }
    cluster_fake_answer(request, &body);
}

static void ask(struct cluster_request *requests, size_t count, uint32_t timeout_ms)
{
    (void)timeout_ms;
    if (count > 0 && requests[0].type == WIRE_PEERS_GET && ++asked == ending)
        memset(linked, 0, sizeof linked);
    if (dying && tickets.phase == TICKETS_PREPARED)
        return;
    for (size_t i = 0; i < count; i++) {
        if (gone && requests[i].node == NODES)
            continue;
        if (requests[i].type == WIRE_MAP_GET)
            answer_map(&requests[i]);
        else if (requests[i].type == WIRE_NODE_STATUS)
            answer_status(&requests[i]);
        else if (requests[i].type == WIRE_TICKET_COMMAND)
            answer_command(&requests[i]);
        else if (requests[i].type == WIRE_PEERS_GET && !silent[requests[i].node - 1])
            answer_peers(&requests[i]);
    }
}

static void read_all(FILE *file, char *text, size_t size)
{
    text[fread(text, 1, size - 1, file)] = '\0';
}

/* The second secret is offered, the first opens still. */
static void rotated(void)
{
    uint8_t psk[TICKET_PSK_SIZE] = {1};

    tickets_init(&tickets, psk);
    psk[0] = 2;
    cr_assert_eq(tickets_prepare(&tickets, psk), 0);
    cr_assert_eq(tickets_switch(&tickets), 0);
}

/* `ring-admin ticket` with the words: its exit code; said and printed are of it. */
static int command(const char *line)
{
    static const struct option_row options[] = {
        {.name = "ticket", .value = "FILE", .text = "t", .fallback = "t"},
        {.name = "seeds", .value = "LIST", .text = "s", .fallback = "s"},
        {.name = "wait", .text = "wait"},
        {.name = "cancel", .text = "cancel"},
        {.name = "force", .text = "force"},
        {.name = "role", .value = "R", .text = "role"},
        {.name = "ttl", .value = "T", .text = "ttl"},
        {.name = "uses", .value = "N", .text = "uses"},
        {.name = NULL}};
    static const struct command_row commands[] = {
        {"ticket", "WORD", 0, 2, "ticket", NULL, options, admin_ticket}, {.name = NULL}};
    static const struct program program = {
        .name = "ring-admin", .text = "test", .commands = commands};
    char words[128], *argv[12];
    int argc = 0, code;

    snprintf(words, sizeof words, "ring-admin ticket %s", line);
    for (char *word = strtok(words, " "); word; word = strtok(NULL, " "))
        argv[argc++] = word;
    argv[argc] = NULL;
    cr_redirect_stdout();
    cr_redirect_stderr();
    cluster_fake_ask = ask;
    code = program_run(&program, argc, argv);
    (void)fflush(NULL);
    read_all(cr_get_redirected_stderr(), said, sizeof said);
    read_all(cr_get_redirected_stdout(), printed, sizeof printed);
    return code;
}

Test(admin_rotate_ticket, rotate_gives_up_when_all_nodes_are_gone)
{
    const uint8_t psk[TICKET_PSK_SIZE] = {1};

    tickets_init(&tickets, psk);
    dying = true;
    cr_assert_eq(command("rotate --wait"), EXIT_CODE_UNREACHABLE);
    cr_assert(strstr(said, "no node answers any more, asked 20 times"), "%s", said);
    cr_assert(strstr(said, "nothing has changed for anybody: run this again"), "%s", said);
    cr_assert_str_eq(printed, "");
}

Test(admin_rotate_ticket, who_answers_and_does_not_follow_is_named)
{
    const uint8_t psk[TICKET_PSK_SIZE] = {1};

    tickets_init(&tickets, psk);
    late = 200;
    cr_assert_eq(command("rotate --wait"), EXIT_CODE_OK, "%s", said);
    cr_assert(strstr(said, "waiting for node 3 at 127.0.0.1:7003: it has not followed yet"), "%s",
              said);
    cr_assert_eq(tickets.phase, TICKETS_RETIRING);
}

Test(admin_rotate_ticket, who_is_removed_meanwhile_is_not_waited_for)
{
    const uint8_t psk[TICKET_PSK_SIZE] = {1};

    tickets_init(&tickets, psk);
    gone = removed = true;
    cr_assert_eq(command("rotate --wait"), EXIT_CODE_OK, "%s", said);
    cr_assert(strstr(said, "waiting for node 3"), "%s", said);
    cr_assert_eq(tickets.phase, TICKETS_RETIRING);
}

Test(admin_rotate_ticket, retire_ends_the_old_secret_when_nobody_goes_by_it)
{
    rotated();
    cr_assert_eq(command("retire"), EXIT_CODE_OK, "%s", said);
    cr_assert_eq(tickets.phase, TICKETS_STEADY);
    cr_assert_eq(asked, 1);
}

Test(admin_rotate_ticket, retire_names_who_would_be_cut_off_and_changes_nothing)
{
    rotated();
    linked[0] = linked[2] = 2;
    cr_assert_eq(command("retire"), EXIT_CODE_CONFLICT);
    cr_assert_eq(tickets.phase, TICKETS_RETIRING);
    cr_assert(strstr(said, "router at 10.0.0.9:40000 is connected to node 1 by the old secret\n"),
              "%s", said);
    cr_assert(strstr(said, "router at 10.0.0.10:40000 is connected to node 1 by the old secret, "
                           "with a ticket made under it\n"),
              "%s", said);
    cr_assert(strstr(said, ": 2 would be cut off"), "each once: %s", said);
    cr_assert_str_eq(printed, "");
}

Test(admin_rotate_ticket, retire_waits_a_moment_for_links_that_are_ending)
{
    rotated();
    linked[1] = 1;
    ending = 3;
    cr_assert_eq(command("retire"), EXIT_CODE_OK, "%s", said);
    cr_assert_eq(asked, 3);
    cr_assert_eq(paused, 2);
}

Test(admin_rotate_ticket, retire_by_force_cuts_them_off)
{
    rotated();
    linked[1] = 1;
    cr_assert_eq(command("retire --force"), EXIT_CODE_OK, "%s", said);
    cr_assert_eq(tickets.phase, TICKETS_STEADY);
}

Test(admin_rotate_ticket, retire_does_not_take_silence_for_nobody)
{
    rotated();
    silent[1] = true;
    cr_assert_eq(command("retire"), EXIT_CODE_UNREACHABLE);
    cr_assert_eq(tickets.phase, TICKETS_RETIRING);
    cr_assert_eq(asked, 2, "a node of the version before never answers");
    cr_assert(strstr(said, "node 2 at 127.0.0.1:7002 does not say who"), "%s", said);
    cr_assert(strstr(said, "--force"), "%s", said);
}

static json_t *document(void)
{
    json_error_t error;
    json_t *root = json_loads(printed, 0, &error);

    cr_assert_not_null(root, "%s: %s", error.text, printed);
    return root;
}

Test(admin_rotate_ticket, a_new_ticket_is_a_document_too)
{
    json_t *root;
    struct ticket ticket;
    const char *line;

    rotated();
    format = OUTPUT_JSON;
    cr_assert_eq(command("new --role router --ttl 2s"), EXIT_CODE_OK, "%s", said);
    root = document();
    line = json_string_value(json_object_get(root, "ticket"));
    cr_assert_eq(ticket_decode(&ticket, line, strlen(line)), 0);
    cr_assert_eq(json_integer_value(json_object_get(root, "id")), ticket.id);
    cr_assert_eq(json_integer_value(json_object_get(root, "ttl_ms")), 2000);
    cr_assert(json_is_null(json_object_get(root, "uses_max")));
    cr_assert(strstr(said, ", for 2"), "no part of an hour: %s", said);
    json_decref(root);
}

Test(admin_rotate_ticket, what_was_revoked_is_a_document_too)
{
    uint32_t id;
    json_t *root;

    rotated();
    cr_assert_eq(tickets_new(&tickets, &(struct tickets_terms){.role = LINK_ROLE_ROUTER}, 1, &id),
                 0);
    format = OUTPUT_JSON;
    cr_assert_eq(command("revoke 1"), EXIT_CODE_OK, "%s", said);
    root = document();
    cr_assert_eq(json_integer_value(json_object_get(root, "id")), 1);
    json_decref(root);
}

Test(admin_rotate_ticket, of_a_ticket_that_is_not_there_it_says_so)
{
    rotated();
    cr_assert_eq(command("revoke 99"), EXIT_CODE_FAILED);
    cr_assert(strstr(said, "there is no ticket 99, or none any more"), "%s", said);
}

Test(admin_rotate_ticket, the_end_of_a_rotation_is_a_document_too)
{
    rotated();
    format = OUTPUT_JSON;
    cr_assert_eq(command("retire"), EXIT_CODE_OK, "%s", said);
    json_decref(document());
}

Test(admin_rotate_ticket, a_ticket_is_a_line_alone_where_no_document_is_asked_for)
{
    rotated();
    cr_assert_eq(command("rotate"), EXIT_CODE_OK, "%s", said);
    cr_assert_eq(strncmp(printed, "ringcask-ticket-", 16), 0, "%s", printed);
    cr_assert_eq(strchr(printed, '\n'), printed + strlen(printed) - 1, "%s", printed);
}

Test(admin_rotate_ticket, list_tells_who_goes_by_the_old_secret)
{
    rotated();
    linked[0] = 1;
    cr_assert_eq(command("list"), EXIT_CODE_OK, "%s", said);
    cr_assert(strstr(printed, "connected by the old secret: 1\n"), "%s", printed);
    cr_assert(strstr(printed, "10.0.0.9:40000"), "%s", printed);
}

Test(admin_rotate_ticket, list_names_a_role_that_is_not_known_any)
{
    rotated();
    linked[0] = 1;
    role = LINK_ROLE_ADMIN + 1;
    cr_assert_eq(command("list"), EXIT_CODE_OK, "%s", said);
    cr_assert(strstr(printed, "any "), "%s", printed);
}

Test(admin_rotate_ticket, retire_names_a_role_that_is_not_known_any)
{
    rotated();
    linked[0] = 1;
    role = UINT8_MAX;
    cr_assert_eq(command("retire"), EXIT_CODE_CONFLICT);
    cr_assert(strstr(said, "any at 10.0.0.9:40000 is connected to node 1"), "%s", said);
}

Test(admin_rotate_ticket, list_asks_nobody_when_there_is_no_old_secret)
{
    uint8_t psk[TICKET_PSK_SIZE] = {1};

    tickets_init(&tickets, psk);
    cr_assert_eq(command("list"), EXIT_CODE_OK, "%s", said);
    cr_assert_eq(asked, 0);
    cr_assert_not(strstr(printed, "connected by"), "%s", printed);
}
