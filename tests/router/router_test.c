#include "harness.h"

#include <criterion/criterion.h>
#include <string.h>

static void lock_out(struct harness *h, const char *why)
{
    struct router_event event = {.kind = ROUTER_EVENT_LOCKED_OUT,
                                 .now_ms = h->now_ms,
                                 .bytes = (const uint8_t *)why,
                                 .size = strlen(why)};

    router_step(h->router, &event);
    harness_run(h);
}

/* What may have reached a node before stays unknown; all else is refused at once, and served again
 * when a node lets the router in. */
Test(router, a_router_that_is_locked_out_says_so_at_once)
{
    static const char refused[] = "-CLUSTERDOWN no node lets this router in: revoked\r\n";
    struct harness *h = harness_new(NULL, false);
    uint64_t client = harness_client(h);

    harness_ask(h, client, "SET a 1");
    h->deaf = true;
    harness_ask(h, client, "SET a 2");
    for (uint16_t member = 1; member <= HARNESS_MEMBERS; member++)
        harness_down(h, member);
    harness_ask(h, client, "GET a");
    harness_ask(h, client, "SET b 3");
    cr_assert_str_eq(harness_output(h, client), "");
    lock_out(h, "revoked");
    router_check(h->router);
    cr_assert_eq(router_in_flight(h->router), 0);
    cr_assert_str_eq(harness_output(h, client),
                     "-UNKNOWNRESULT the operation may or may not have been executed\r\n"
                     "-CLUSTERDOWN no node lets this router in: revoked\r\n"
                     "-CLUSTERDOWN no node lets this router in: revoked\r\n");
    cr_assert_str_eq(harness_ask(h, client, "GET a"), refused);
    cr_assert_str_eq(harness_ask(h, client, "SCAN 0"), refused);
    cr_assert_str_eq(harness_ask(h, client, "DBSIZE"), refused);
    cr_assert_str_eq(harness_ask(h, client, "PING"), "+PONG\r\n");
    cr_assert(strstr(harness_ask(h, client, "INFO"), "\r\nlocked_out:revoked\r\n"));
    h->deaf = false;
    for (uint16_t member = 1; member <= HARNESS_MEMBERS; member++)
        harness_up(h, member);
    lock_out(h, "");
    harness_advance(h, 200); /* a pause of the lane's, at most */
    cr_assert_str_eq(harness_ask(h, client, "SET a 4"), "+OK\r\n");
    cr_assert(strstr(harness_ask(h, client, "INFO"), "\r\nlocked_out:\r\n"));
    harness_free(h);
}
