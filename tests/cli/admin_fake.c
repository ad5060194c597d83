#include "admin_fake.h"

#include "cli/clock.h"
#include "ring/wire_load.h"

#include <criterion/criterion.h>
#include <criterion/redirect.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cluster_fake.h"

#define WORDS_MAX 16

struct admin_fake admin_fake;

void admin_fake_open(uint32_t nodes, uint32_t joining, uint32_t replicas)
{
    admin_fake.view = scene_view(nodes, joining, ADMIN_FAKE_PARTITIONS, replicas);
    admin_fake.moves = scene_moves(&admin_fake.view);
}

void admin_fake_close(void)
{
    moves_deinit(&admin_fake.moves);
    view_deinit(&admin_fake.view);
    if (admin_fake.settled.members)
        ringmap_deinit(&admin_fake.settled);
}

/* All groups have come to the wanted rows. */
void admin_fake_settle(void)
{
    struct view *view = &admin_fake.view;
    bool lost[RINGMAP_MEMBERS_MAX] = {false};

    for (uint32_t i = 0; i < view->node_count; i++)
        lost[i] = !view->nodes[i].reachable;
    ringmap_deinit(&view->map);
    view->map = admin_fake.settled;
    admin_fake.settled = (struct ringmap){0};
    scene_answer(view);
    for (uint32_t i = 0; i < view->node_count; i++)
        if (lost[i])
            scene_lose(view, view->nodes[i].id);
    moves_deinit(&admin_fake.moves);
    admin_fake.moves = scene_moves(&admin_fake.view);
}

static void answer_map(struct cluster_request *request)
{
    struct wire_buffer body = {0};

    ringmap_encode(&admin_fake.view.map,
                   wire_put_bin_space(&body, ringmap_encoded_size(&admin_fake.view.map)));
    cluster_fake_answer(request, &body);
}

static void answer_status(struct cluster_request *request)
{
    const struct ringmap_member *member = &admin_fake.view.map.members[request->node - 1];
    struct wire_node_status status = {.member = member->id, .founded = 2, .shards = 1};
    struct wire_buffer body = {0};

    if (!admin_fake.view.nodes[request->node - 1].reachable)
        return;
    memcpy(status.public_key, member->public_key, sizeof status.public_key);
    snprintf(status.address, sizeof status.address, "%s", member->address);
    wire_put_node_status(&body, &status);
    cluster_fake_answer(request, &body);
}

static void put_replica(struct wire_buffer *body, const struct view_replica *row, int member)
{
    for (uint32_t i = 0; i < VIEW_PLACES; i++)
        if (row[i].known && row[i].member == member)
            wire_put_partition_status(body, &row[i].status);
}

static void answer_shard(struct cluster_request *request)
{
    struct wire_buffer body = {0};

    for (uint32_t p = 0; p < ADMIN_FAKE_PARTITIONS; p++)
        put_replica(&body, view_row(&admin_fake.view, (uint16_t)p), request->node);
    put_replica(&body, admin_fake.view.meta, request->node);
    cluster_fake_answer(request, &body);
}

static void answer_moves(struct cluster_request *request)
{
    struct wire_buffer body = {0};

    wire_put_moves_head(&body, &(struct wire_moves_head){.epoch = admin_fake.view.map.epoch});
    for (uint32_t i = 0; i <= ADMIN_FAKE_PARTITIONS; i++)
        if (admin_fake.moves.groups[i].leader == request->node)
            wire_put_move(&body, &admin_fake.moves.groups[i].move);
    cluster_fake_answer(request, &body);
}

static void answer_flush(struct cluster_request *request)
{
    struct wire_buffer body = {0};

    wire_put_flush_state(&body, &(struct wire_flush_state){.accepted = true, .demands = 1});
    cluster_fake_answer(request, &body);
}

static void answer_top(struct cluster_request *request)
{
    struct wire_buffer body = {0};

    wire_put_top_reply(&body, &(struct wire_top){.may_lead = true});
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
    ringmap_deinit(&admin_fake.view.map);
    admin_fake.view.map = next;
    if (ringmap_moving(&admin_fake.view.map))
        cr_assert_eq(ringmap_finished(&admin_fake.view.map, &admin_fake.settled), 0);
    admin_fake.looks = 1;
    admin_fake.changes++;
    wire_put_map_reply(&body, &(struct wire_map_reply){.outcome = WIRE_MAP_DONE});
    cluster_fake_answer(request, &body);
}

static void settle(void)
{
    struct view *view = &admin_fake.view;
    struct staged_change leave = {.op = STAGED_LEAVE, .member = admin_fake.then_leaves};

    admin_fake_settle();
    if (admin_fake.then_leaves == 0)
        return;
    admin_fake.then_leaves = 0;
    scene_begin(view, &leave);
    moves_deinit(&admin_fake.moves);
    admin_fake.moves = scene_moves(view);
    cr_assert_eq(ringmap_finished(&view->map, &admin_fake.settled), 0);
    admin_fake.looks = 20;
}

static void ask(struct cluster_request *requests, size_t count, uint32_t timeout_ms)
{
    (void)timeout_ms;
    if (admin_fake.dies && admin_fake.changes > 0) {
        admin_fake.asked++;
        return;
    }
    if (count > 0 && admin_fake.is_silent && admin_fake.is_silent(requests[0].type))
        return;
    if (count > 0 && requests[0].type == WIRE_MAP_GET && admin_fake.settled.members &&
        admin_fake.looks-- == 0)
        settle();
    for (size_t i = 0; i < count; i++) {
        if (requests[i].type == WIRE_MAP_GET)
            answer_map(&requests[i]);
        else if (requests[i].type == WIRE_NODE_STATUS)
            answer_status(&requests[i]);
        else if (requests[i].type == WIRE_SHARD_STATUS)
            answer_shard(&requests[i]);
        else if (requests[i].type == WIRE_MOVES_GET)
            answer_moves(&requests[i]);
        else if (requests[i].type == WIRE_FLUSH)
            answer_flush(&requests[i]);
        else if (requests[i].type == WIRE_TOP)
            answer_top(&requests[i]);
        else if (requests[i].type == WIRE_MAP_CHANGE)
            answer_change(&requests[i]);
    }
}

enum exit_code admin_open(struct admin *admin, const struct arguments *arguments, bool founded)
{
    cr_assert(founded);
    *admin = (struct admin){.arguments = arguments,
                            .format = admin_fake.format,
                            .output = output_new(admin_fake.format)};
    admin->view.founded = true;
    cr_assert_eq(ringmap_copy(&admin->view.map, &admin_fake.view.map), 0);
    scene_answer(&admin->view);
    memcpy(admin->view.replicas, admin_fake.view.replicas,
           (size_t)ADMIN_FAKE_PARTITIONS * VIEW_PLACES * sizeof *admin->view.replicas);
    memcpy(admin->view.meta, admin_fake.view.meta, sizeof admin->view.meta);
    for (uint32_t i = 0; i < admin->view.node_count; i++)
        if (!admin_fake.view.nodes[i].reachable)
            scene_lose(&admin->view, admin->view.nodes[i].id);
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
    admin->output = output_new(admin_fake.format);
    return r == 0 ? EXIT_CODE_OK : EXIT_CODE_FAILED;
}

void clock_pause(uint32_t pause_ms)
{
    admin_fake.now_ms += pause_ms;
}

uint64_t clock_now_ms(void)
{
    return admin_fake.now_ms;
}

uint64_t clock_wall_ms(void)
{
    return 0;
}

static void read_all(FILE *file, char *text, size_t size)
{
    text[fread(text, 1, size - 1, file)] = '\0';
}

int admin_fake_command(const char *line)
{
    static const struct option_row options[] = {{.name = "wait", .text = "wait"},
                                                {.name = "auto", .text = "auto"},
                                                {.name = "force", .text = "force"},
                                                {.name = "watch", .text = "watch"},
                                                {.name = "rate", .value = "M", .text = "rate"},
                                                {.name = "keys", .text = "keys"},
                                                {.name = "rows", .value = "N", .text = "rows"},
                                                {.name = "seconds", .value = "S", .text = "s"},
                                                {.name = "plan", .value = "HASH", .text = "plan"},
                                                {.name = NULL}};
    static const struct command_row commands[] = {
        {"leave", "NODE", 1, 1, "leave", NULL, options, admin_leave},
        {"commit", "[CHANGE...]", 0, WORDS_MAX, "commit", NULL, options, admin_commit},
        {"plan", "[CHANGE...]", 0, WORDS_MAX, "plan", NULL, options, admin_plan},
        {"weight", "NODE W", 2, 2, "weight", NULL, options, admin_weight},
        {"remove", "NODE", 1, 1, "remove", NULL, options, admin_remove},
        {"replace", "DEAD NEW", 2, 2, "replace", NULL, options, admin_replace},
        {"set-replicas", "N", 1, 1, "set-replicas", NULL, options, admin_set_replicas},
        {"moves", "", 0, 0, "moves", NULL, options, admin_moves},
        {"pause", "", 0, 0, "pause", NULL, options, admin_pause},
        {"resume", "", 0, 0, "resume", NULL, options, admin_resume},
        {"abort", "", 0, 0, "abort", NULL, options, admin_abort},
        {"flush", "[NODE]", 0, 1, "flush", NULL, options, admin_flush},
        {"top", "", 0, 0, "top", NULL, options, admin_top},
        {.name = NULL}};
    static const struct program program = {
        .name = "ring-admin", .text = "test", .commands = commands};
    char words[256], *argv[WORDS_MAX];
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
    read_all(cr_get_redirected_stderr(), admin_fake.said, sizeof admin_fake.said);
    read_all(cr_get_redirected_stdout(), admin_fake.printed, sizeof admin_fake.printed);
    return code;
}
