#include "harness.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct harness_decision keep_first(struct harness *h, uint16_t member,
                                          const struct wire_op *op, const struct wire_bytes *args)
{
    (void)member;
    (void)op;
    (void)args;
    return (struct harness_decision){.fate = h->hook_count-- > 0 ? HARNESS_KEEP : HARNESS_SERVE};
}

Test(client, replies_leave_in_the_order_of_the_commands)
{
    struct harness *h = harness_new(NULL, false);
    uint64_t client = harness_client(h);
    char a[16], b[16], line[256];

    harness_key(h, 0, 0, a);
    harness_key(h, 1, 0, b);
    h->hook = keep_first;
    h->hook_count = 1;
    sprintf(line, "SET %s 1\r\n", a);
    harness_type(h, client, line);
    harness_flush(h);
    sprintf(line, "SET %s 2\r\nPING\r\nMGET %s %s\r\nGET %s\r\nECHO last\r\n", b, b, b, b);
    harness_type(h, client, line);
    harness_run(h);
    cr_assert_str_eq(harness_output(h, client), "");
    harness_release(h);
    cr_assert_str_eq(
        harness_output(h, client),
        "+OK\r\n+OK\r\n+PONG\r\n*2\r\n$1\r\n2\r\n$1\r\n2\r\n$1\r\n2\r\n$4\r\nlast\r\n");
    harness_free(h);
}

Test(client, a_thousand_commands_before_the_first_reply_is_read)
{
    struct harness *h = harness_new(NULL, false);
    uint64_t client = harness_client(h);
    char *all = malloc(1u << 20);
    size_t size = 0, sets = 5000;
    const char *output;

    for (size_t i = 0; i < sets; i++)
        size += (size_t)sprintf(all + size, "SET k%zu %zu\r\n", i % 100, i);
    harness_bytes(h, client, all, size);
    cr_assert(router_client_paused(h->router, client), "the bound on unanswered commands");
    harness_run(h);
    harness_advance(h, 100);
    cr_assert_not(router_client_paused(h->router, client));
    output = harness_output(h, client);
    cr_assert_eq(strlen(output), sets * 5);
    cr_assert_str_eq(harness_entry(h, "k99")->value, "4999");
    free(all);
    harness_free(h);
}

Test(client, unsent_output_pauses_and_more_of_it_closes)
{
    struct router_options options;
    struct harness *h;
    uint64_t client;

    router_options_default(&options);
    options.client_output_max = 100000;
    h = harness_new(&options, false);
    client = harness_client(h);
    router_client_backlog(h->router, client, 50001);
    cr_assert(router_client_paused(h->router, client));
    cr_assert_str_eq(harness_ask(h, client, "PING"), "", "it waits unread");
    router_client_backlog(h->router, client, 0);
    harness_run(h);
    cr_assert_str_eq(harness_output(h, client), "+PONG\r\n");
    router_client_backlog(h->router, client, 100001);
    harness_run(h);
    cr_assert(harness_closed(h, client));
    harness_close(h, client);
    harness_free(h);
}

Test(client, a_reply_over_the_output_bound_closes_that_client_only)
{
    struct router_options options;
    struct harness *h;
    uint64_t client, other;
    static char line[60100];

    router_options_default(&options);
    options.client_output_max = 100000;
    h = harness_new(&options, false);
    client = harness_client(h);
    other = harness_client(h);
    memset(line, 'v', sizeof line);
    memcpy(line, "*3\r\n$3\r\nSET\r\n$1\r\na\r\n$60000\r\n", 28);
    memcpy(line + 28 + 60000, "\r\n", 2);
    harness_bytes(h, client, line, 28 + 60002);
    harness_run(h);
    harness_output(h, client);
    harness_ask(h, client, "MGET a a");
    cr_assert(harness_closed(h, client));
    harness_close(h, client);
    cr_assert_str_eq(harness_ask(h, other, "STRLEN a"), ":60000\r\n");
    harness_free(h);
}

Test(client, after_a_protocol_error_earlier_replies_leave_then_it_closes)
{
    struct harness *h = harness_new(NULL, false);
    uint64_t client = harness_client(h);

    h->hook = keep_first;
    h->hook_count = 1;
    harness_type(h, client, "SET a 1\r\n*x\r\nSET b 1\r\n");
    harness_run(h);
    cr_assert_str_eq(harness_output(h, client), "");
    cr_assert_not(harness_closed(h, client));
    harness_type(h, client, "SET c 1\r\n");
    harness_release(h);
    cr_assert_str_eq(harness_output(h, client),
                     "+OK\r\n-ERR Protocol error: invalid multibulk length\r\n");
    cr_assert(harness_closed(h, client));
    cr_assert_null(harness_entry(h, "b"));
    cr_assert_null(harness_entry(h, "c"));
    harness_close(h, client);
    harness_free(h);
}

Test(client, quit_answers_what_came_before_and_closes)
{
    struct harness *h = harness_new(NULL, false);
    uint64_t client = harness_client(h);

    harness_type(h, client, "SET a 1\r\nQUIT\r\nSET b 1\r\n");
    harness_run(h);
    cr_assert_str_eq(harness_output(h, client), "+OK\r\n+OK\r\n");
    cr_assert(harness_closed(h, client));
    cr_assert_null(harness_entry(h, "b"));
    harness_free(h);
}

static void end(struct harness *h, uint64_t client)
{
    struct router_event event = {
        .kind = ROUTER_EVENT_CLIENT_END, .now_ms = h->now_ms, .client = client};

    router_step(h->router, &event);
}

Test(client, one_that_sends_no_more_gets_what_is_due_before_it_is_closed)
{
    struct router_options options;
    struct harness *h;
    uint64_t client;

    router_options_default(&options);
    options.client_commands_max = 2;
    h = harness_new(&options, false);
    client = harness_client(h);
    h->hook = keep_first;
    h->hook_count = 1;
    harness_type(h, client, "SET a 1\r\nSET a 2\r\nPING\r\nSET a 3\r\nGET");
    end(h, client);
    harness_run(h);
    cr_assert_not(harness_closed(h, client));
    harness_release(h);
    cr_assert_str_eq(harness_output(h, client), "+OK\r\n+OK\r\n+PONG\r\n+OK\r\n");
    cr_assert(harness_closed(h, client));
    client = harness_client(h);
    end(h, client);
    harness_run(h);
    cr_assert(harness_closed(h, client));
    harness_free(h);
}

Test(client, one_that_goes_leaves_its_operations_to_end_unseen)
{
    struct harness *h = harness_new(NULL, false);
    uint64_t client = harness_client(h);
    uint64_t other;

    h->hook = keep_first;
    h->hook_count = 1;
    harness_type(h, client, "SET a 1\r\nSET a 2\r\nMGET a b c\r\nINFO\r\nDBSIZE\r\nPING\r\n");
    harness_run(h);
    harness_close(h, client);
    router_check(h->router);
    harness_release(h);
    harness_advance(h, 2000);
    other = harness_client(h);
    cr_assert_str_eq(harness_ask(h, other, "GET a"), "$1\r\n2\r\n");
    harness_free(h);
}

Test(client, over_clients_max_it_is_told_and_closed)
{
    struct router_options options;
    struct harness *h;
    uint64_t client;

    router_options_default(&options);
    options.clients_max = 2;
    h = harness_new(&options, false);
    harness_client(h);
    harness_client(h);
    client = harness_client(h);
    harness_run(h);
    cr_assert_str_eq(harness_output(h, client), "-ERR max number of clients reached\r\n");
    cr_assert(harness_closed(h, client));
    harness_close(h, client);
    harness_free(h);
}

Test(client, a_command_in_many_pieces_is_one_command)
{
    struct harness *h = harness_new(NULL, false);
    uint64_t client = harness_client(h);
    const char *text = "*3\r\n$3\r\nSET\r\n$1\r\na\r\n$10\r\n0123456789\r\nGET a\r\n";

    for (size_t i = 0; i < strlen(text); i++) {
        harness_bytes(h, client, text + i, 1);
        harness_run(h);
    }
    cr_assert_str_eq(harness_output(h, client), "+OK\r\n$10\r\n0123456789\r\n");
    harness_free(h);
}

Test(client, the_largest_value_goes_in_and_out)
{
    struct harness *h = harness_new(NULL, false);
    uint64_t client = harness_client(h);
    size_t value = 16u << 20;
    char *line = malloc(value + 100);
    size_t head = (size_t)sprintf(line, "*3\r\n$3\r\nSET\r\n$1\r\na\r\n$%zu\r\n", value);

    memset(line + head, 'v', value);
    memcpy(line + head + value, "\r\n", 2);
    for (size_t at = 0; at < head + value + 2; at += 65536)
        harness_bytes(h, client, line + at,
                      head + value + 2 - at < 65536 ? head + value + 2 - at : 65536);
    harness_run(h);
    cr_assert_str_eq(harness_output(h, client), "+OK\r\n");
    cr_assert_eq(strlen(harness_ask(h, client, "GET a")), value + strlen("$16777216\r\n\r\n"));
    free(line);
    harness_free(h);
}
