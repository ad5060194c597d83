/* How much of a lane may be in flight, and what holds back what. */
#include "harness.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

Test(lane_limits, one_that_is_given_up_does_not_hold_the_others)
{
    struct router_options options;
    struct harness *h;
    uint64_t client;

    router_options_default(&options);
    options.deadline_ms = 1000;
    h = harness_new(&options, false);
    client = harness_client(h);
    for (int i = 0; i < 8; i++)
        harness_ask(h, client, "GET a");
    harness_first(h, 1, HARNESS_LOSE_REPLY);
    harness_type(h, client, "SET a 1\r\n");
    harness_run(h);
    harness_type(h, client, "GET a\r\nSET a 2\r\n");
    harness_run(h);
    harness_advance(h, 1001);
    cr_assert_str_eq(harness_output(h, client),
                     "-UNKNOWNRESULT the operation may or may not have been executed\r\n$1\r\n1\r\n"
                     "+OK\r\n");
    harness_free(h);
}

Test(lane_limits, sequences_in_flight_span_less_than_a_session_window)
{
    struct router_options options;
    struct harness *h;
    uint64_t client;

    router_options_default(&options);
    options.client_commands_max = 100000;
    h = harness_new(&options, false);
    client = harness_client(h);
    for (int i = 0; i < 12; i++)
        harness_ask(h, client, "GET a");
    harness_first(h, 1, HARNESS_LOSE);
    h->operations = 0;
    for (int i = 0; i < 3000; i++)
        harness_type(h, client, "SET a 1\r\n");
    harness_run(h); /* harness_demand() checks each */
    cr_assert_eq(h->operations, options.lane_operations_max);
    harness_advance(h, 3200); /* two attempts: the member said nothing else meanwhile */
    cr_assert_eq(strlen(harness_output(h, client)), 3000 * 5);
    harness_free(h);
}

Test(lane_limits, bytes_in_flight_are_bounded_a_lane_and_a_member)
{
    struct router_options options;
    struct harness *h;
    uint64_t client;
    static char line[100100];

    router_options_default(&options);
    options.lane_size_max = 250000;
    options.member_size_max = 450000;
    h = harness_new(&options, false);
    client = harness_client(h);
    for (unsigned i = 0; i < 50; i++) {
        sprintf(line, "GET k%u", i);
        harness_ask(h, client, line);
    }
    h->deaf = true;
    h->frames = 0;
    for (unsigned i = 0; i < 100; i++) {
        int size = sprintf(line, "*3\r\n$3\r\nSET\r\n$4\r\nk%03u\r\n$100000\r\n", i % 1000);

        memset(line + size, 'v', 100000);
        memcpy(line + size + 100000, "\r\n", 2);
        harness_bytes(h, client, line, (size_t)size + 100002);
    }
    harness_run(h);
    cr_assert(h->frames > 3);
    cr_assert(h->frames <= 3 * 4, "%u frames", h->frames);
    h->deaf = false;
    harness_advance(h, 9000);
    cr_assert_eq(strlen(harness_output(h, client)), 100 * 5);
    harness_free(h);
}

Test(lane_limits, too_many_operations_are_refused_before_anything_is_queued)
{
    struct router_options options;
    struct harness *h;
    uint64_t client;

    router_options_default(&options);
    options.operations_max = 3;
    h = harness_new(&options, false);
    client = harness_client(h);
    h->deaf = true;
    harness_type(h, client, "SET a 1\r\nSET b 1\r\nSET c 1\r\nMSET d 1 e 1\r\nSET f 1\r\nPING\r\n");
    harness_run(h);
    cr_assert_str_eq(harness_output(h, client), "");
    h->deaf = false;
    harness_advance(h, 2000);
    cr_assert_str_eq(
        harness_output(h, client),
        "+OK\r\n+OK\r\n+OK\r\n"
        "-TRYAGAIN the operation was not executed: too many are waiting in the router\r\n"
        "-TRYAGAIN the operation was not executed: too many are waiting in the router\r\n"
        "+PONG\r\n");
    cr_assert_null(harness_entry(h, "d"));
    harness_free(h);
}
