/* link_nng between two honest fabrics over loopback. */
#include "link_nng_end.h"
#include "tests/storage/alloc.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static struct ticket ticket;
static struct end node;
static struct end router;

static void setup(void)
{
    memset(&ticket, 0x42, sizeof ticket);
    end_init(&node, &ticket, LINK_ROLE_NODE);
    end_init(&router, &ticket, LINK_ROLE_ROUTER);
}
TestSuite(link_nng, .init = setup, .timeout = 120);

Test(link_nng, both_ends_learn_who_the_other_is)
{
    struct link *link = end_join(&node, &router);
    cr_assert_eq(end_link(&router), link);
    cr_assert_eq(link_user(link), &router);
    cr_assert_eq(memcmp(router.peer.public_key, node.identity.public_key, 32), 0);
    cr_assert_eq(memcmp(node.peer.public_key, router.identity.public_key, 32), 0);
    cr_assert_eq(router.peer.role, LINK_ROLE_NODE);
    cr_assert_eq(node.peer.role, LINK_ROLE_ROUTER);
    cr_assert(router.peer.dialled);
    cr_assert_not(node.peer.dialled);
    cr_assert_eq(strncmp(node.peer.address, "127.0.0.1:", 10), 0);
    cr_assert_neq(link_id(end_link(&node)), link_id(link));
    end_part(&node, &router);
    cr_assert_eq(router.downs, 1);
    cr_assert_eq(node.downs, 1);
}

Test(link_nng, echo_of_messages_of_every_size)
{
    static const size_t sizes[] = {0,     1,      15,     16,     17,        1000,
                                   65536, 262127, 262128, 262129, 1u << 20,  5u << 20,
                                   3,     70000,  300000, 0,      20u << 20, 1};
    node.echo = true;
    struct link *link = end_join(&node, &router);
    size_t count = sizeof sizes / sizeof *sizes;
    for (size_t i = 0; i < count; i++)
        cr_assert_eq(end_send(link, WIRE_OPS, i, sizes[i]), 0);
    end_wait(&router, &router.messages, count);
    cr_assert_eq(router.disorders + node.disorders, 0);
    cr_assert_eq(router.damages + node.damages, 0);
    cr_assert_eq(router.bytes, node.bytes);
    end_part(&node, &router);
}

/* Without a descriptor of our own nng receives and sends everything. */
Test(link_nng, nng_alone_carries_the_same)
{
    node.echo = true;
    node.options.by_nng = true;
    router.options.by_nng = true;
    struct link *link = end_join(&node, &router);
    for (size_t i = 0; i < 200; i++)
        cr_assert_eq(end_send(link, WIRE_OPS, i, i * i * 11 % 300000), 0);
    end_wait(&router, &router.messages, 200);
    cr_assert_eq(router.disorders + node.disorders, 0);
    cr_assert_eq(router.damages + node.damages, 0);
    end_part(&node, &router);
    cr_assert_eq(router.downs, 1);
    cr_assert_eq(node.downs, 1);
}

static _Atomic bool pumping;
static pthread_t pumped_by;
static _Atomic uint64_t foreign_messages, pauses;

static void count_pause(void *context)
{
    (void)context;
    pauses++;
}

static void *pump(void *argument)
{
    struct fabric *fabric = argument;
    while (pumping)
        fabric_receive(fabric, 20);
    return NULL;
}

static void (*end_on_message)(void *context, struct link *link, const struct link_message *message);

static void check_thread(void *context, struct link *link, const struct link_message *message)
{
    foreign_messages += !pthread_equal(pthread_self(), pumped_by);
    end_on_message(context, link, message);
}

/* The host's thread receives: no other brings a message, but for those that came while the link was
 * made, before which nothing is asked here. */
Test(link_nng, host_that_polls_gets_messages_on_its_own_thread)
{
    node.echo = true;
    router.options.polled = true;
    router.options.on_pause = count_pause;
    end_on_message = router.options.on_message;
    router.options.on_message = check_thread;
    struct link *link = end_join(&node, &router);
    cr_assert_geq(fabric_descriptor(router.fabric), 0);
    pumping = true;
    pthread_create(&pumped_by, NULL, pump, router.fabric);
    for (size_t i = 0; i < 1000; i++)
        cr_assert_eq(end_send(link, WIRE_OPS, i, i), 0);
    end_wait(&router, &router.messages, 1000);
    pumping = false;
    pthread_join(pumped_by, NULL);
    cr_assert_eq(foreign_messages, 0);
    cr_assert_gt(pauses, 0);
    cr_assert_eq(router.disorders + router.damages, 0);
    end_part(&node, &router); /* fabric_close() receives what ends the link */
    cr_assert_eq(router.downs, 1);
}

static void *send_many(void *argument)
{
    struct link *link = argument;
    for (uint64_t i = 0; i < 30000; i++)
        if (end_send(link, WIRE_OPS, i, i % 700) != 0)
            return link;
    return NULL;
}

Test(link_nng, many_messages_both_ways_at_once_stay_in_order)
{
    struct link *link = end_join(&node, &router);
    pthread_t threads[2];
    void *failed = NULL;
    pthread_create(&threads[0], NULL, send_many, link);
    pthread_create(&threads[1], NULL, send_many, end_link(&node));
    for (unsigned i = 0; i < 2; i++) {
        pthread_join(threads[i], &failed);
        cr_assert_null(failed);
    }
    end_wait(&router, &router.messages, 30000);
    end_wait(&node, &node.messages, 30000);
    cr_assert_eq(router.disorders + node.disorders, 0);
    cr_assert_eq(router.damages + node.damages, 0);
    cr_assert_eq(router.downs + node.downs, 0);
    end_part(&node, &router);
}

Test(link_nng, receiver_that_does_not_consume_stops_data_but_not_control)
{
    node.hold = true;
    node.options.credit_size = 100000;
    struct link *link = end_join(&node, &router);
    for (uint64_t i = 0; i < 1000; i++)
        cr_assert_eq(end_send(link, WIRE_OPS, i, 1000), 0);
    end_wait(&node, &node.bytes, 100000);
    cr_assert_eq(end_send(link, WIRE_BEAT, 0, 10), 0);
    end_wait(&node, &node.controls, 1);
    cr_assert_eq(end_read(&node, &node.messages), 100);
    link_consumed(end_link(&node), 100010, 101);
    end_wait(&node, &node.messages, 200);
    cr_assert_eq(end_send(link, WIRE_BEAT, 0, 10), 0);
    end_wait(&node, &node.controls, 2);
    cr_assert_eq(end_read(&node, &node.messages), 200);
    cr_assert_eq(node.disorders, 0);
    end_part(&node, &router);
}

Test(link_nng, credit_in_messages_holds_too)
{
    node.hold = true;
    node.options.credit_messages = 50;
    struct link *link = end_join(&node, &router);
    for (uint64_t i = 0; i < 500; i++)
        cr_assert_eq(end_send(link, WIRE_OPS, i, 3), 0);
    end_wait(&node, &node.messages, 50);
    cr_assert_eq(end_send(link, WIRE_BEAT, 0, 1), 0);
    end_wait(&node, &node.controls, 1);
    cr_assert_eq(end_read(&node, &node.messages), 50);
    for (uint64_t i = 50; i <= 450; i += 50) {
        link_consumed(end_link(&node), 150, 51);
        end_wait(&node, &node.messages, i + 50);
    }
    end_part(&node, &router);
}

Test(link_nng, message_larger_than_the_whole_window_passes)
{
    node.options.credit_size = 1000;
    struct link *link = end_join(&node, &router);
    for (uint64_t i = 0; i < 5; i++)
        cr_assert_eq(end_send(link, WIRE_OPS, i, 3u << 20), 0);
    end_wait(&node, &node.messages, 5);
    cr_assert_eq(node.damages + node.disorders, 0);
    end_part(&node, &router);
}

Test(link_nng, queue_over_its_bound_breaks_the_link_which_comes_back)
{
    node.hold = true;
    node.options.credit_size = 1000;
    router.options.queue_size_max = 100000;
    struct link *link = end_join(&node, &router);
    int r = 0;
    for (uint64_t i = 0; i < 1000 && r == 0; i++)
        r = end_send(link, WIRE_OPS, i, 1000);
    cr_assert_eq(r, -ENOBUFS);
    end_wait(&router, &router.downs, 1);
    end_wait(&router, &router.ups, 2);
    end_wait(&node, &node.ups, 2);
    end_part(&node, &router);
}

Test(link_nng, queue_over_a_bound_of_its_link_alone_breaks_it)
{
    node.hold = true;
    node.options.credit_size = 1000;
    struct link *link = end_join(&node, &router);
    int r = 0;
    link_set_queue_max(link, 100000);
    for (uint64_t i = 0; i < 1000 && r == 0; i++)
        r = end_send(link, WIRE_OPS, i, 1000);
    cr_assert_eq(r, -ENOBUFS);
    end_wait(&router, &router.downs, 1);
    end_wait(&router, &router.ups, 2);
    for (uint64_t i = 0; i < 200; i++) /* the next connection has the fabric's */
        cr_assert_eq(end_send(link, WIRE_OPS, i, 1000), 0);
    end_part(&node, &router);
}

Test(link_nng, sending_without_a_connection_is_an_error)
{
    end_open(&router);
    struct link *link = end_dial(&router, 1, NULL);
    cr_assert_eq(end_send(link, WIRE_OPS, 0, 1), -ENOTCONN);
    link_consumed(link, 1, 1);
    end_wait(&router, &router.refusals, 1);
    char text[160];
    end_text(&router, router.refused, text);
    cr_assert_str_eq(text, "Connection refused");
    end_close(&router);
}

Test(link_nng, too_large_a_message_is_an_error_and_nothing_else)
{
    node.echo = true;
    struct link *link = end_join(&node, &router);
    cr_assert_eq(end_send(link, WIRE_OPS, 0, LINK_MESSAGE_SIZE_MAX + 1), -EMSGSIZE);
    cr_assert_eq(end_send(link, WIRE_OPS, 0, 1), 0);
    end_wait(&router, &router.messages, 1);
    end_part(&node, &router);
}

Test(link_nng, link_comes_back_when_the_peer_does_at_the_same_port)
{
    struct link *link = end_join(&node, &router);
    uint16_t port = fabric_port(node.fabric);
    for (uint64_t round = 1; round <= 5; round++) {
        end_close(&node);
        end_wait(&router, &router.downs, round);
        cr_assert_eq(end_send(link, WIRE_OPS, 0, 1), -ENOTCONN);
        end_listen(&node, port);
        end_wait(&router, &router.ups, round + 1);
        end_wait(&node, &node.ups, round + 1);
        cr_assert_eq(end_send(link, WIRE_OPS, 0, 100), 0);
        end_wait(&node, &node.messages, round);
    }
    cr_assert_str_eq(router.why, "closed by the peer");
    end_part(&node, &router);
}

Test(link_nng, dialling_before_the_peer_listens_comes_up_later)
{
    end_listen(&node, 0);
    uint16_t port = fabric_port(node.fabric);
    end_close(&node);
    end_open(&router);
    end_dial(&router, port, node.identity.public_key);
    end_wait(&router, &router.refusals, 1);
    end_listen(&node, port);
    end_wait(&router, &router.ups, 1);
    end_wait(&node, &node.ups, 1);
    end_part(&node, &router);
}

/* The next attempt is a day away. */
Test(link_nng, hurried_link_does_not_wait_for_its_next_attempt)
{
    router.options.reconnect_ms_min = router.options.reconnect_ms_max = 86400000;
    end_listen(&node, 0);
    uint16_t port = fabric_port(node.fabric);
    end_close(&node);
    end_open(&router);
    struct link *link = end_dial(&router, port, NULL);
    end_wait(&router, &router.refusals, 1);
    end_listen(&node, port);
    /* The refusal is told before the link begins to wait: until it does, hurry does nothing. */
    for (uint32_t tries = 0; tries < 3000 && end_read(&router, &router.ups) == 0; tries++) {
        link_hurry(link);
        usleep(10000);
    }
    cr_assert_eq(end_read(&router, &router.ups), 1);
    link_hurry(link);
    end_part(&node, &router);
}

Test(link_nng, closed_link_delivers_what_was_queued_and_stays_away)
{
    struct link *link = end_join(&node, &router);
    for (uint64_t i = 0; i < 5000; i++)
        cr_assert_eq(end_send(link, WIRE_OPS, i, 500), 0);
    link_close(link);
    cr_assert_eq(end_send(link, WIRE_OPS, 0, 1), -ENOTCONN);
    end_wait(&node, &node.messages, 5000);
    end_wait(&node, &node.downs, 1);
    end_wait(&router, &router.downs, 1);
    cr_assert_str_eq(node.why, "closed by the peer");
    cr_assert_str_eq(router.why, "closed");
    link_close(link); /* again is harmless */
    end_dial(&router, fabric_port(node.fabric), NULL);
    end_wait(&node, &node.ups, 2);
    end_wait(&router, &router.ups, 2);
    cr_assert_eq(end_read(&router, &router.ups), 2);
    end_part(&node, &router);
}

Test(link_nng, accepted_link_closed_by_its_host_is_dialled_again)
{
    end_join(&node, &router);
    for (uint64_t round = 1; round <= 20; round++) {
        end_wait(&node, &node.ups, round);
        link_close(end_link(&node));
        end_wait(&router, &router.downs, round);
        end_wait(&node, &node.downs, round);
    }
    end_part(&node, &router);
}

Test(link_nng, host_may_close_from_inside_its_callback)
{
    node.close_on_data = true;
    node.echo = true;
    end_join(&node, &router);
    for (uint64_t round = 1; round <= 20; round++) {
        end_wait(&router, &router.ups, round);
        end_wait(&node, &node.ups, round);
        struct link *link = end_link(&router);
        for (uint64_t i = 0; i < 50 && link != NULL; i++)
            (void)end_send(link, WIRE_OPS, i, 100);
        end_wait(&node, &node.downs, round);
        end_wait(&router, &router.downs, round);
    }
    cr_assert_eq(node.messages, 20, "nothing is handed up after link_close");
    end_part(&node, &router);
}

/* Whoever dials judges by it, each link for itself; what is too many for a log is marked so. */
Test(link_nng, each_link_whose_dial_fails_is_heard_of)
{
    end_open(&router);
    for (unsigned i = 0; i < 100; i++)
        end_dial(&router, 1, NULL); /* nobody listens there */
    end_wait(&router, &router.refusals, 100);
    cr_assert_gt(end_read(&router, &router.repeated), 0);
    end_close(&router);
}

Test(link_nng, refusal_by_the_host_is_no_up_and_no_down)
{
    node.refuse = true;
    end_listen(&node, 0);
    end_open(&router);
    end_dial(&router, fabric_port(node.fabric), NULL);
    end_wait(&node, &node.refusals, 2);
    end_wait(&router, &router.refusals, 1);
    cr_assert_eq(end_read(&router, &router.ups) + end_read(&node, &node.downs), 0);
    pthread_mutex_lock(&node.lock);
    node.refuse = false;
    pthread_mutex_unlock(&node.lock);
    end_wait(&router, &router.ups, 1);
    end_part(&node, &router);
}

Test(link_nng, another_key_than_the_pinned_one_is_refused)
{
    char text[160];
    end_listen(&node, 0);
    end_open(&router);
    end_dial(&router, fabric_port(node.fabric), router.identity.public_key);
    end_wait(&router, &router.refusals, 1);
    end_text(&router, router.refused, text);
    cr_assert_not_null(strstr(text, "another key"), "%s", text);
    end_wait(&node, &node.refusals, 3); /* it tries again and again */
    end_part(&node, &router);
    cr_assert_eq(router.ups + node.ups, 0);
}

static void expect_refusal(const struct ticket *other)
{
    char text[160];
    router.options.ticket = other;
    end_listen(&node, 0);
    end_open(&router);
    end_dial(&router, fabric_port(node.fabric), NULL);
    end_wait(&node, &node.refusals, 2);
    end_wait(&router, &router.refusals, 1);
    end_text(&router, router.refused, text);
    cr_assert_not_null(strstr(text, "another cluster's ticket"), "%s", text);
    end_text(&node, node.refused, text);
    cr_assert_not_null(strstr(text, "ticket"), "%s", text);
    end_part(&node, &router);
    cr_assert_eq(router.ups + node.ups, 0);
}

Test(link_nng, another_psk_is_refused)
{
    struct ticket other = ticket;
    other.psk[31] ^= 1;
    expect_refusal(&other);
}

Test(link_nng, another_cluster_is_refused)
{
    struct ticket other = ticket;
    other.cluster[15] ^= 1;
    expect_refusal(&other);
}

Test(link_nng, pointer_to_a_lost_link_does_no_harm)
{
    end_join(&node, &router);
    struct link *lost = end_link(&node);
    end_close(&router);
    end_wait(&node, &node.downs, 1);
    struct timespec pause = {.tv_nsec = 300 * 1000000};
    nanosleep(&pause, NULL); /* longer than it takes to clear up */
    cr_assert_eq(end_send(lost, WIRE_OPS, 0, 10), -ENOTCONN);
    link_consumed(lost, 1, 1);
    link_close(lost);
    end_close(&node);
}

Test(link_nng, damaged_packet_breaks_the_link_and_is_not_delivered)
{
    struct relay relay;
    end_listen(&node, 0);
    relay_open(&relay, fabric_port(node.fabric));
    end_open(&router);
    struct link *link = end_dial(&router, relay.port, node.identity.public_key);
    for (uint64_t round = 1; round <= 10; round++) {
        end_wait(&router, &router.ups, round);
        end_wait(&node, &node.ups, round);
        atomic_store(&relay.flip, true);
        cr_assert_eq(end_send(link, WIRE_OPS, 0, 1000), 0);
        end_wait(&node, &node.downs, round);
        end_wait(&router, &router.downs, round);
    }
    cr_assert_eq(node.messages, 0);
    end_part(&node, &router);
    relay_close(&relay);
}

Test(link_nng, bad_addresses_and_a_taken_port_are_told)
{
    static const char *const bad[] = {"",      "localhost:1",  "127.0.0.1",       "127.0.0.1:",
                                      ":7000", "1.2.3:70",     "127.0.0.1:99999", "::1:7000",
                                      "[::1]", "127.0.0.1:7x", "[::1:7000",       "999.0.0.1:1"};
    struct link *link = NULL;
    end_listen(&node, 0);
    end_open(&router);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        cr_assert_eq(fabric_listen(router.fabric, bad[i]), -EINVAL, "%s", bad[i]);
        cr_assert_eq(fabric_dial(router.fabric, bad[i], NULL, NULL, &link), -EINVAL, "%s", bad[i]);
    }
    cr_assert_eq(fabric_dial(router.fabric, "127.0.0.1:0", NULL, NULL, &link), -EINVAL);
    char taken[64];
    snprintf(taken, sizeof taken, "127.0.0.1:%u", fabric_port(node.fabric));
    cr_assert_eq(fabric_listen(router.fabric, taken), -EADDRINUSE);
    cr_assert_eq(fabric_listen(router.fabric, "192.0.2.1:0"), -EADDRNOTAVAIL);
    cr_assert_eq(fabric_listen(router.fabric, "127.0.0.1:0"), 0, "and then a good one");
    end_part(&node, &router);
}

Test(link_nng, ipv6_works_where_there_is_loopback)
{
    end_open(&node);
    if (fabric_listen(node.fabric, "[::1]:0") == 0) {
        char address[64];
        struct link *link = NULL;
        end_open(&router);
        snprintf(address, sizeof address, "[::1]:%u", fabric_port(node.fabric));
        cr_assert_eq(fabric_dial(router.fabric, address, NULL, NULL, &link), 0);
        end_wait(&node, &node.ups, 1);
        cr_assert_eq(strncmp(node.peer.address, "[::1]:", 6), 0, "%s", node.peer.address);
        end_close(&router);
    }
    end_close(&node);
}

Test(link_nng, fabric_closes_while_it_dials_into_nowhere)
{
    struct link *link = NULL;
    end_open(&router);
    /* TEST-NET-1: no answer, or no route */
    cr_assert_eq(fabric_dial(router.fabric, "192.0.2.1:7000", NULL, NULL, &link), 0);
    cr_assert_eq(fabric_dial(router.fabric, "127.0.0.1:1", NULL, NULL, &link), 0);
    link_close(link);
    end_close(&router);
    end_open(&router);
    end_close(&router);
}

static bool arrived(void)
{
    return end_read(&node, &node.messages) > 0;
}

/* Dials and sends until a message arrives, while the n-th allocation fails. */
static void carry_one(uint64_t n)
{
    static uint8_t body[600000];
    char address[64];
    struct link *link = NULL;
    struct link_message message = {.type = WIRE_OPS, .body = body, .body_size = sizeof body};
    struct timespec pause = {.tv_nsec = 2000000};
    end_listen(&node, 0);
    end_open(&router);
    snprintf(address, sizeof address, "127.0.0.1:%u", fabric_port(node.fabric));
    alloc_fail_after(n);
    int r = fabric_dial(router.fabric, address, NULL, NULL, &link);
    if (r == -ENOMEM)
        r = fabric_dial(router.fabric, address, NULL, NULL, &link);
    cr_assert_eq(r, 0);
    for (unsigned i = 0; i < 10000 && !arrived(); i++) {
        r = link_send(link, &message, 1);
        cr_assert(r == 0 || r == -ENOTCONN || r == -ENOMEM || r == -ENOBUFS, "%d", r);
        nanosleep(&pause, NULL);
    }
    cr_assert(arrived());
    end_part(&node, &router);
}

Test(link_nng, one_failed_allocation_anywhere_heals)
{
    uint64_t n = 0;
    bool failed = true;
    while (failed && n < 200) {
        n += 1;
        setup();
        carry_one(n);
        failed = alloc_failed();
        alloc_fail_after(0);
    }
    cr_assert_geq(n, 12, "there are that many at least");
    cr_assert_lt(n, 200);
}
