/* drain and undrain of a node whose shards are this file's own: it takes the place of cli/admin.c
 * and cli/clock.c. */
#include "cli/admin.h"
#include "cli/clock.h"
#include "ring/wire_load.h"

#include <criterion/criterion.h>
#include <criterion/redirect.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cluster_fake.h"
#include "view_scene.h"

#define SHARDS 3u
#define NEVER  UINT32_MAX

/* Of each shard: how many questions it lets go by, and how many groups it leads when it answers,
 * one less each time. */
static uint32_t late[SHARDS], leaders[SHARDS];
static unsigned whom = 2;
static bool contrary; /* they answer that they are not as they were told */
static uint32_t rounds, paused_ms;
static char said[1024], printed[1024];

enum exit_code admin_open(struct admin *admin, const struct arguments *arguments, bool founded)
{
    cr_assert(founded);
    *admin = (struct admin){.arguments = arguments, .output = output_new(OUTPUT_TABLE)};
    admin->view = scene_view(3, 1, 16, 3);
    admin->view.nodes[1].status.shards = SHARDS;
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
    return output_print(admin->output, stdout) == 0 ? EXIT_CODE_OK : EXIT_CODE_FAILED;
}

static void answer(struct cluster_request *request)
{
    struct wire_cursor cursor;
    struct wire_buffer body = {0};
    uint16_t shard = request->partition;
    bool drained = false;

    wire_cursor_init(&cursor, request->body, request->body_size);
    cr_assert(wire_get_drain(&cursor, &drained));
    wire_put_drain_reply(&body, drained != contrary, leaders[shard]);
    leaders[shard] -= leaders[shard] > 0;
    cluster_fake_answer(request, &body);
}

static void ask(struct cluster_request *requests, size_t count, uint32_t timeout_ms)
{
    (void)timeout_ms;
    cr_assert_eq(count, SHARDS, "all, each time");
    rounds++;
    for (size_t i = 0; i < count; i++) {
        uint16_t shard = requests[i].partition;

        cr_assert(requests[i].type == WIRE_DRAIN && requests[i].node == 2);
        if (late[shard] == 0)
            answer(&requests[i]);
        else if (late[shard] != NEVER)
            late[shard]--;
    }
}

void clock_pause(uint32_t pause_ms)
{
    paused_ms += pause_ms;
}

static void read_all(FILE *file, char *text, size_t size)
{
    text[fread(text, 1, size - 1, file)] = '\0';
}

/* `ring-admin name 2 [--wait]`: its exit code; rounds, said and printed are of it. */
static int command(const char *name, bool wait)
{
    static const struct option_row options[] = {{.name = "wait", .text = "wait"}, {.name = NULL}};
    static const struct command_row commands[] = {
        {"drain", "NODE", 1, 1, "drain", NULL, options, admin_drain},
        {"undrain", "NODE", 1, 1, "undrain", NULL, options, admin_undrain},
        {.name = NULL}};
    static const struct program program = {
        .name = "ring-admin", .text = "test", .commands = commands};
    char words[][16] = {"ring-admin", "", "2", "--wait"};
    char *argv[] = {words[0], words[1], words[2], wait ? words[3] : NULL, NULL};
    int code;

    snprintf(words[1], sizeof words[1], "%s", name);
    words[2][0] = (char)('0' + whom);
    cr_redirect_stdout();
    cr_redirect_stderr();
    rounds = paused_ms = 0;
    cluster_fake_ask = ask;
    code = program_run(&program, wait ? 4 : 3, argv);
    (void)fflush(NULL);
    read_all(cr_get_redirected_stderr(), said, sizeof said);
    read_all(cr_get_redirected_stdout(), printed, sizeof printed);
    return code;
}

Test(admin_drain, all_shards_are_told_once)
{
    cr_assert_eq(command("drain", false), EXIT_CODE_OK, "%s", said);
    cr_assert_eq(rounds, 1);
    cr_assert(strstr(printed, "127.0.0.1:7002"), "%s", printed);
    cr_assert_str_eq(said, "");
}

Test(admin_drain, a_late_shard_leaves_it_undone)
{
    late[1] = 1;
    cr_assert_eq(command("drain", false), EXIT_CODE_UNREACHABLE);
    cr_assert(strstr(said, "1 of 3 shards of node 2 (127.0.0.1:7002) have not answered in time: "
                           "say it again, ring-admin drain 2"),
              "%s", said);
    cr_assert_str_eq(printed, "", "nothing is as it was asked for");
}

Test(admin_drain, undrain_says_so_too)
{
    late[0] = late[2] = 1;
    cr_assert_eq(command("undrain", false), EXIT_CODE_UNREACHABLE);
    cr_assert(strstr(said, "2 of 3 shards"), "%s", said);
    cr_assert(strstr(said, "ring-admin undrain 2"), "%s", said);
}

Test(admin_drain, who_waits_asks_a_late_shard_again)
{
    late[1] = 2;
    leaders[0] = 1;
    cr_assert_eq(command("drain", true), EXIT_CODE_OK, "%s", said);
    cr_assert_eq(rounds, 3, "until all have said that they lead nothing");
    cr_assert_str_eq(said, "");
    cr_assert(strstr(printed, "127.0.0.1:7002"), "%s", printed);
}

Test(admin_drain, who_waits_gives_up_on_a_shard_that_is_always_late)
{
    late[2] = NEVER;
    cr_assert_eq(command("drain", true), EXIT_CODE_UNREACHABLE);
    cr_assert(strstr(said, "1 of 3 shards"), "%s", said);
    cr_assert(rounds > 3 && rounds <= 12, "each of them takes seconds");
    cr_assert_str_eq(printed, "");
}

Test(admin_drain, who_waits_gives_up_when_nobody_takes_over)
{
    leaders[1] = 1000;
    cr_assert_eq(command("drain", true), EXIT_CODE_FAILED);
    cr_assert(strstr(said, "groups: no other member is ready to"), "%s", said);
    cr_assert(paused_ms >= 20000 && paused_ms <= 40000, "%u ms", paused_ms);
    cr_assert(strstr(printed, "127.0.0.1:7002"), "it is drained, and leads still: %s", printed);
}

Test(admin_drain, a_node_of_which_no_shard_answers_is_not_there)
{
    late[0] = late[1] = late[2] = NEVER;
    cr_assert_eq(command("drain", true), EXIT_CODE_UNREACHABLE);
    cr_assert(strstr(said, "node 2 (127.0.0.1:7002) does not answer"), "%s", said);
    cr_assert_eq(rounds, 1);
}

Test(admin_drain, an_answer_of_the_contrary_is_none)
{
    contrary = true;
    cr_assert_eq(command("drain", false), EXIT_CODE_UNREACHABLE);
    cr_assert(strstr(said, "does not answer"), "%s", said);
}

Test(admin_drain, who_is_joining_is_told_to_be_taken_in_first)
{
    whom = 4;
    cr_assert_eq(command("drain", true), EXIT_CODE_FAILED);
    cr_assert_eq(rounds, 0, "nobody is asked");
    cr_assert(strstr(said, "node 4 (127.0.0.1:7004) is joining") &&
                  strstr(said, "ring-admin plan join 4"),
              "%s", said);
}
