/* leave, and commit of a leave, in a cluster whose nodes are this file's own: it takes the place of
 * cli/admin.c and cli/clock.c. */
#include "cli/admin.h"
#include "cli/clock.h"

#include <criterion/criterion.h>
#include <criterion/redirect.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cluster_fake.h"
#include "view_scene.h"

#define PARTITIONS 16u

/* The nodes: the map that they go by, and where their groups are. */
static struct view view;
static struct moves moves;
static struct ringmap settled; /* comes when the map was asked for `looks` times more */
static unsigned looks;
static unsigned changes; /* maps that were sent to them */
static enum output_format format;
static char said[2048], printed[16384];

/* Node 1 of 4 is leaving, and will have left when it was looked at so many times. */
static void leaving(unsigned times)
{
    view = scene_view(4, 0, PARTITIONS, 3);
    scene_begin(&view, &(struct staged_change){.op = STAGED_LEAVE, .member = 1});
    moves = scene_moves(&view);
    cr_assert_eq(ringmap_finished(&view.map, &settled), 0);
    looks = times;
}

/* All groups have come to the wanted rows. */
static void settle(void)
{
    ringmap_deinit(&view.map);
    view.map = settled;
    settled = (struct ringmap){0};
    moves_deinit(&moves);
    moves = scene_moves(&view);
}

static void answer_map(struct cluster_request *request)
{
    struct wire_buffer body = {0};

    ringmap_encode(&view.map, wire_put_bin_space(&body, ringmap_encoded_size(&view.map)));
    cluster_fake_answer(request, &body);
}

static void answer_status(struct cluster_request *request)
{
    const struct ringmap_member *member = &view.map.members[request->node - 1];
    struct wire_node_status status = {.member = member->id, .founded = 2, .shards = 1};
    struct wire_buffer body = {0};

    memcpy(status.public_key, member->public_key, sizeof status.public_key);
    snprintf(status.address, sizeof status.address, "%s", member->address);
    wire_put_node_status(&body, &status);
    cluster_fake_answer(request, &body);
}

static void answer_moves(struct cluster_request *request)
{
    struct wire_buffer body = {0};

    wire_put_moves_head(&body, &(struct wire_moves_head){.epoch = view.map.epoch});
    for (uint32_t i = 0; i <= PARTITIONS; i++)
        if (moves.groups[i].leader == request->node)
            wire_put_move(&body, &moves.groups[i].move);
    cluster_fake_answer(request, &body);
}

/* What is sent is committed, and done at once. */
static void answer_change(struct cluster_request *request)
{
    struct wire_cursor cursor;
    struct wire_buffer body = {0};
    const uint8_t *bytes;
    struct ringmap next;
    size_t size;

    wire_cursor_init(&cursor, request->body, request->body_size);
    bytes = wire_get_bin(&cursor, request->body_size, &size);
    cr_assert_not_null(bytes);
    cr_assert_eq(ringmap_decode(bytes, size, &next), 0);
    ringmap_deinit(&view.map);
    view.map = next;
    cr_assert_eq(ringmap_finished(&view.map, &settled), 0);
    looks = 1;
    changes++;
    wire_put_map_reply(&body, &(struct wire_map_reply){.outcome = WIRE_MAP_DONE});
    cluster_fake_answer(request, &body);
}

static void ask(struct cluster_request *requests, size_t count, uint32_t timeout_ms)
{
    (void)timeout_ms;
    if (count > 0 && requests[0].type == WIRE_MAP_GET && settled.members && looks-- == 0)
        settle();
    for (size_t i = 0; i < count; i++) {
        if (requests[i].type == WIRE_MAP_GET)
            answer_map(&requests[i]);
        else if (requests[i].type == WIRE_NODE_STATUS)
            answer_status(&requests[i]);
        else if (requests[i].type == WIRE_MOVES_GET)
            answer_moves(&requests[i]);
        else if (requests[i].type == WIRE_MAP_CHANGE)
            answer_change(&requests[i]);
    }
}

enum exit_code admin_open(struct admin *admin, const struct arguments *arguments, bool founded)
{
    cr_assert(founded);
    *admin = (struct admin){.arguments = arguments, .format = format, .output = output_new(format)};
    admin->view.founded = true;
    cr_assert_eq(ringmap_copy(&admin->view.map, &view.map), 0);
    scene_answer(&admin->view);
    return EXIT_CODE_OK;
}

void admin_close(struct admin *admin)
{
    view_deinit(&admin->view);
    output_free(admin->output);
}

enum exit_code admin_node(const struct admin *admin, const char *operand,
                          const struct view_node **node)
{
    *node = view_node(&admin->view, (uint16_t)atoi(operand));
    return EXIT_CODE_OK;
}

enum exit_code admin_print(struct admin *admin)
{
    int r = output_print(admin->output, stdout);

    output_free(admin->output);
    admin->output = output_new(format);
    return r == 0 ? EXIT_CODE_OK : EXIT_CODE_FAILED;
}

void clock_pause(uint32_t pause_ms)
{
    (void)pause_ms;
}

uint64_t clock_now_ms(void)
{
    return 0;
}

uint64_t clock_wall_ms(void)
{
    return 0;
}

static void read_all(FILE *file, char *text, size_t size)
{
    text[fread(text, 1, size - 1, file)] = '\0';
}

/* `ring-admin` with the words: its exit code; said and printed are of it. */
static int command(const char *line)
{
    static const struct option_row options[] = {{.name = "wait", .text = "wait"},
                                                {.name = "auto", .text = "auto"},
                                                {.name = "plan", .value = "HASH", .text = "plan"},
                                                {.name = NULL}};
    static const struct command_row commands[] = {
        {"leave", "NODE", 1, 1, "leave", NULL, options, admin_leave},
        {"commit", "[CHANGE...]", 0, 9, "commit", NULL, options, admin_commit},
        {.name = NULL}};
    static const struct program program = {
        .name = "ring-admin", .text = "test", .commands = commands};
    char words[256], *argv[12];
    int argc = 0, code;

    snprintf(words, sizeof words, "ring-admin %s", line);
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

static void done(void)
{
    moves_deinit(&moves);
    view_deinit(&view);
    if (settled.members)
        ringmap_deinit(&settled);
}

Test(admin_leave, said_again_it_joins_the_waiting_and_proves)
{
    leaving(3);
    cr_assert_eq(command("leave 1 --wait"), EXIT_CODE_OK, "%s%s", said, printed);
    cr_assert(strstr(printed, "SAFE TO REMOVE: 17 of 17 groups have committed a configuration "
                              "without node 1\n"),
              "%s", printed);
    cr_assert_eq(changes, 0, "nothing is sent again");
    done();
}

Test(admin_leave, said_again_without_waiting_it_names_the_command_that_waits)
{
    leaving(100);
    cr_assert_eq(command("leave 1"), EXIT_CODE_OK, "%s", said);
    cr_assert(strstr(printed, "leaving already") && strstr(printed, "ring-admin leave 1 --wait"),
              "%s", printed);
    cr_assert_eq(changes, 0);
    done();
}

Test(admin_leave, of_another_node_it_names_the_command_that_waits_for_the_plan)
{
    leaving(100);
    cr_assert_eq(command("leave 2 --wait"), EXIT_CODE_CONFLICT);
    cr_assert(strstr(said, "wait for it (`ring-admin leave 1 --wait`)"), "%s", said);
    done();
}

Test(admin_leave, of_a_node_that_has_left_it_proves_again)
{
    leaving(0);
    settle();
    cr_assert_eq(command("leave 1 --wait"), EXIT_CODE_OK, "%s", said);
    cr_assert(strstr(printed, "removed already, by leave or by force"), "%s", printed);
    cr_assert(strstr(printed, "SAFE TO REMOVE: 17 of 17 groups"), "%s", printed);
    cr_assert_eq(changes, 0);
    done();
}

Test(admin_leave, what_a_group_holds_still_is_not_proven)
{
    leaving(0);
    settle();
    moves.groups[3].move.learners = (struct wire_members){1, {1}};
    cr_assert_eq(command("leave 1 --wait"), EXIT_CODE_FAILED);
    cr_assert(strstr(printed, "NOT PROVEN: 16 of 17 groups"), "%s", printed);
    done();
}

Test(admin_leave, a_leaving_that_was_aborted_meanwhile_is_no_success)
{
    leaving(2);
    for (uint32_t i = 0; i < settled.member_count; i++)
        settled.members[i].state = RINGMAP_STATE_ACTIVE;
    cr_assert_eq(command("leave 1 --wait"), EXIT_CODE_CONFLICT);
    cr_assert(strstr(said, "node 1 had left"), "%s", said);
    cr_assert_not(strstr(printed, "SAFE"), "%s", printed);
    done();
}

Test(admin_leave, the_first_time_it_proves_what_the_node_held)
{
    view = scene_view(4, 0, PARTITIONS, 3);
    moves = scene_moves(&view);
    cr_assert_eq(command("leave 1 --wait"), EXIT_CODE_OK, "%s", said);
    cr_assert_eq(changes, 1);
    cr_assert(strstr(printed, "groups that node 1 held have committed a configuration without it"),
              "%s", printed);
    done();
}

Test(admin_leave, a_commit_of_it_proves_likewise)
{
    view = scene_view(5, 0, PARTITIONS, 3);
    moves = scene_moves(&view);
    cr_assert_eq(command("commit --auto leave 1 leave 5 --wait"), EXIT_CODE_OK, "%s", said);
    cr_assert(strstr(printed, "SAFE TO REMOVE: ") &&
                  strstr(printed, "groups that nodes 1, 5 held have committed a configuration "
                                  "without them\n"),
              "%s", printed);
    done();
}

Test(admin_leave, a_commit_of_something_else_proves_nothing)
{
    view = scene_view(4, 0, PARTITIONS, 3);
    moves = scene_moves(&view);
    cr_assert_eq(command("commit --auto weight 1 50 --wait"), EXIT_CODE_OK, "%s", said);
    cr_assert_eq(changes, 1);
    cr_assert_not(strstr(printed, "SAFE"), "%s", printed);
    done();
}
