#include "ring/link_sender.h"

#include "ring/wire.h"
#include "tests/storage/alloc.h"
#include "tests/dice.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define QUEUE_MAX   (32u << 20)
#define PACKET_MAX  LINK_FRAME_SIZE_MAX
#define PACKET_MORE 1000u
#define WINDOW      1000u
#define WINDOW_MSGS 20u

static struct link_sender sender;
static struct link_reader reader;
static uint8_t *packet;
static uint8_t *body;

static void setup(void)
{
    struct link_credit window = {.bytes = UINT64_MAX / 2, .messages = UINT64_MAX / 2};
    struct link_credit own = {.bytes = WINDOW, .messages = WINDOW_MSGS};
    link_sender_init(&sender, QUEUE_MAX, window, own);
    link_reader_init(&reader);
    reader.limit.bytes = reader.limit.messages = UINT64_MAX;
    reader.control_limit = reader.limit;
    packet = malloc(PACKET_MAX + PACKET_MORE);
    body = malloc(LINK_MESSAGE_SIZE_MAX + 1);
    cr_assert(packet != NULL && body != NULL);
    for (size_t i = 0; i <= LINK_MESSAGE_SIZE_MAX; i++)
        body[i] = (uint8_t)(i * 7 + i / 251);
}

static void teardown(void)
{
    link_sender_deinit(&sender);
    link_reader_deinit(&reader);
    free(packet);
    free(body);
}
TestSuite(link_sender, .init = setup, .fini = teardown);

static int put(uint8_t type, uint64_t correlation, size_t size)
{
    struct link_message message = {
        .type = type, .partition = 3, .correlation = correlation, .body = body, .body_size = size};
    return link_sender_put(&sender, &message, 1);
}

/* The next message that comes out at the other end. False: nothing may go now. */
static bool take(struct link_message *message)
{
    for (;;) {
        int r = link_reader_next(&reader, message);
        if (r == 0)
            return true;
        cr_assert_eq(r, LINK_FRAME_E_END);
        bool ready = link_sender_ready(&sender);
        size_t size = link_sender_gather(&sender, packet, PACKET_MAX);
        cr_assert_eq(ready, size > 0);
        if (size == 0)
            return false;
        link_reader_feed(&reader, packet, size);
    }
}

static void expect(uint8_t type, uint64_t correlation, size_t size)
{
    struct link_message message;
    cr_assert(take(&message));
    cr_assert_eq(message.type, type);
    cr_assert_eq(message.correlation, correlation);
    cr_assert_eq(message.body_size, size);
    cr_assert(size == 0 || memcmp(message.body, body, size) == 0);
}

static void expect_nothing(void)
{
    struct link_message message;
    cr_assert_not(take(&message));
}

static bool credit(uint64_t bytes, uint64_t messages)
{
    uint8_t bytes_of[LINK_CREDIT_BODY_SIZE];
    for (unsigned i = 0; i < 8; i++) {
        bytes_of[i] = (uint8_t)(bytes >> (8 * i));
        bytes_of[8 + i] = (uint8_t)(messages >> (8 * i));
    }
    struct link_message message = {
        .type = WIRE_CREDIT, .body = bytes_of, .body_size = sizeof bytes_of};
    return link_sender_release(&sender, &message);
}

Test(link_sender, messages_of_all_sizes_arrive_in_order)
{
    static const size_t sizes[] = {0,
                                   1,
                                   LINK_BODY_SIZE_MAX - 1,
                                   LINK_BODY_SIZE_MAX,
                                   LINK_BODY_SIZE_MAX + 1,
                                   1u << 20,
                                   3u << 20,
                                   LINK_MESSAGE_SIZE_MAX,
                                   5};
    size_t count = sizeof sizes / sizeof *sizes;
    for (size_t i = 0; i < count; i++)
        cr_assert_eq(put(WIRE_OPS, i, sizes[i]), 0);
    for (size_t i = 0; i < count; i++)
        expect(WIRE_OPS, i, sizes[i]);
    expect_nothing();
    cr_assert_eq(link_sender_queued(&sender), 0);
}

Test(link_sender, control_overtakes_data_even_inside_a_message)
{
    struct link_message message;
    cr_assert_eq(put(WIRE_OPS, 1, 2u << 20), 0);
    cr_assert_eq(put(WIRE_BEAT, 2, 10), 0);
    expect(WIRE_BEAT, 2, 10);
    size_t size = link_sender_gather(&sender, packet, PACKET_MAX);
    link_reader_feed(&reader, packet, size);
    cr_assert_eq(link_reader_next(&reader, &message), LINK_FRAME_E_END);
    cr_assert_eq(put(WIRE_BEAT, 3, 11), 0);
    expect(WIRE_BEAT, 3, 11);
    expect(WIRE_OPS, 1, 2u << 20);
}

/* An operation, or an append, does not wait for snapshots that were queued before it. */
Test(link_sender, data_overtakes_bulk)
{
    for (uint64_t i = 0; i < 30; i++)
        cr_assert_eq(put(WIRE_SNAPSHOT, i, 192u << 10), 0);
    expect(WIRE_SNAPSHOT, 0, 192u << 10);
    cr_assert_eq(put(WIRE_RAFT, 100, 500), 0);
    cr_assert_eq(put(WIRE_OPS, 101, 600u << 10), 0);
    expect(WIRE_RAFT, 100, 500);
    expect(WIRE_OPS, 101, 600u << 10);
    for (uint64_t i = 1; i < 30; i++)
        expect(WIRE_SNAPSHOT, i, 192u << 10);
    expect_nothing();
    cr_assert_eq(link_sender_queued(&sender), 0);
}

/* A snapshot gets on beside DATA that never runs dry, as does the DATA. */
Test(link_sender, bulk_has_a_share_though_data_always_waits)
{
    uint64_t data = 0, next_data = 0, bulk = 0;
    for (uint64_t i = 0; i < 10; i++)
        cr_assert_eq(put(WIRE_SNAPSHOT, i, 192u << 10), 0);
    for (uint64_t i = 0; i < 4; i++)
        cr_assert_eq(put(WIRE_RAFT, data++, 100u << 10), 0);
    while (bulk < 10) {
        struct link_message message;
        cr_assert(take(&message));
        if (message.type == WIRE_SNAPSHOT) {
            cr_assert_eq(message.correlation, bulk++);
            continue;
        }
        cr_assert_eq(message.correlation, next_data++);
        cr_assert_leq(next_data, (bulk + 1) * 11, "snapshots starve");
        cr_assert_eq(put(WIRE_RAFT, data++, 100u << 10), 0);
    }
    cr_assert_geq(next_data, 9 * (LINK_BULK_EVERY / (100u << 10)), "and DATA goes first");
}

/* What goes before all others does not go inside of one. */
Test(link_sender, the_share_of_bulk_waits_for_the_end_of_a_message)
{
    cr_assert_eq(put(WIRE_OPS, 1, 4 * LINK_BULK_EVERY), 0);
    cr_assert_eq(put(WIRE_OPS, 2, 10), 0);
    cr_assert_eq(put(WIRE_SNAPSHOT, 3, 2u << 20), 0);
    cr_assert_eq(put(WIRE_SNAPSHOT, 4, 10), 0);
    expect(WIRE_OPS, 1, 4 * LINK_BULK_EVERY);
    expect(WIRE_SNAPSHOT, 3, 2u << 20);
    expect(WIRE_OPS, 2, 10);
    expect(WIRE_SNAPSHOT, 4, 10);
    expect_nothing();
}

/* The version before puts their frames together in one place: nothing of DATA stands inside. */
Test(link_sender, a_bulk_message_that_has_begun_is_finished_first)
{
    struct link_message message;
    cr_assert_eq(put(WIRE_SNAPSHOT, 1, 2u << 20), 0);
    cr_assert_eq(put(WIRE_SNAPSHOT, 2, 10), 0);
    size_t size = link_sender_gather(&sender, packet, PACKET_MAX);
    link_reader_feed(&reader, packet, size);
    cr_assert_eq(link_reader_next(&reader, &message), LINK_FRAME_E_END);
    cr_assert_eq(put(WIRE_OPS, 3, 300), 0);
    size = link_sender_gather(&sender, packet, PACKET_MAX + PACKET_MORE);
    link_reader_feed(&reader, packet, size);
    cr_assert_eq(link_reader_next(&reader, &message), LINK_FRAME_E_END, "though it has room");
    cr_assert_eq(put(WIRE_BEAT, 4, 10), 0);
    expect(WIRE_BEAT, 4, 10);
    expect(WIRE_SNAPSHOT, 1, 2u << 20);
    expect(WIRE_OPS, 3, 300);
    expect(WIRE_SNAPSHOT, 2, 10);
}

Test(link_sender, data_waits_for_credit_and_control_does_not)
{
    sender.window = (struct link_credit){.bytes = WINDOW, .messages = WINDOW_MSGS};
    cr_assert_eq(put(WIRE_OPS, 1, WINDOW - 1), 0);
    cr_assert_eq(put(WIRE_OPS, 2, 5000), 0); /* begins with one byte of credit left */
    cr_assert_eq(put(WIRE_OPS, 3, 1), 0);
    expect(WIRE_OPS, 1, WINDOW - 1);
    expect(WIRE_OPS, 2, 5000);
    expect_nothing();
    cr_assert_eq(put(WIRE_BEAT, 4, 7), 0);
    expect(WIRE_BEAT, 4, 7);
    expect_nothing();
    cr_assert(credit(5000, 2));
    expect_nothing(); /* 999 + 5000 + 7 - 5000 is still not below 1000 */
    cr_assert(credit(5999, 2));
    expect(WIRE_OPS, 3, 1);
}

Test(link_sender, credit_in_messages_holds_too)
{
    sender.window = (struct link_credit){.bytes = WINDOW, .messages = 2};
    for (uint64_t i = 0; i < 4; i++)
        cr_assert_eq(put(WIRE_OPS, i, 0), 0);
    expect(WIRE_OPS, 0, 0);
    expect(WIRE_OPS, 1, 0);
    expect_nothing();
    cr_assert(credit(0, 1));
    expect(WIRE_OPS, 2, 0);
    expect_nothing();
}

Test(link_sender, impossible_credits_are_refused)
{
    cr_assert_eq(put(WIRE_OPS, 1, 10), 0);
    cr_assert_eq(put(WIRE_OPS, 2, 10), 0);
    cr_assert_not(credit(1, 1), "nothing was sent yet");
    expect(WIRE_OPS, 1, 10);
    expect(WIRE_OPS, 2, 10);
    cr_assert_not(credit(21, 2));
    cr_assert_not(credit(20, 3));
    cr_assert(credit(20, 2));
    cr_assert_not(credit(10, 2), "it never goes back");
    struct link_message message = {.type = WIRE_CREDIT, .body = body, .body_size = 15};
    cr_assert_not(link_sender_release(&sender, &message));
}

Test(link_sender, credit_is_announced_at_a_quarter_of_the_window)
{
    struct link_credit all = {.bytes = 1u << 20, .messages = 1000};
    struct link_message message;
    link_sender_consumed(&sender, (struct link_credit){.bytes = WINDOW / 4 - 1, .messages = 1},
                         all);
    expect_nothing();
    link_sender_consumed(&sender, (struct link_credit){.bytes = 1, .messages = 1}, all);
    cr_assert(take(&message));
    cr_assert_eq(message.type, WIRE_CREDIT);
    cr_assert_eq(message.body_size, LINK_CREDIT_BODY_SIZE);
    cr_assert_eq(message.body[0], 250);
    cr_assert_eq(message.body[8], 2);
    expect_nothing();
    link_sender_consumed(&sender, (struct link_credit){.messages = WINDOW_MSGS / 4}, all);
    cr_assert(take(&message));
    cr_assert_eq(message.body[8], 2 + WINDOW_MSGS / 4);
    cr_assert_eq(sender.announced.messages, 2 + WINDOW_MSGS / 4);
}

Test(link_sender, consumption_of_an_earlier_connection_is_dropped)
{
    struct link_credit received = {.bytes = 300, .messages = 3};
    link_sender_consumed(&sender, (struct link_credit){.bytes = 1000, .messages = 10}, received);
    cr_assert_eq(sender.consumed.bytes, 300);
    cr_assert_eq(sender.consumed.messages, 3);
    link_sender_consumed(&sender, (struct link_credit){.bytes = 1, .messages = 1}, received);
    cr_assert_eq(sender.consumed.bytes, 300);
}

Test(link_sender, own_frames_go_once_however_often_they_are_due)
{
    struct link_message message;
    for (unsigned i = 0; i < 1000; i++)
        sender.ping_due = sender.pong_due = true;
    cr_assert(take(&message));
    cr_assert_eq(message.type, WIRE_PING);
    cr_assert(take(&message));
    cr_assert_eq(message.type, WIRE_PONG);
    expect_nothing();
    cr_assert_eq(reader.received.messages, 0, "they are not the host's");
}

Test(link_sender, queue_over_its_bound_is_refused_whole)
{
    struct link_message messages[3];
    for (unsigned i = 0; i < 3; i++)
        messages[i] = (struct link_message){.type = WIRE_OPS, .body = body, .body_size = 12u << 20};
    cr_assert_eq(link_sender_put(&sender, messages, 3), -ENOBUFS);
    cr_assert_eq(link_sender_queued(&sender), 0);
    cr_assert_eq(link_sender_put(&sender, messages, 2), 0);
    cr_assert_eq(put(WIRE_BEAT, 1, 10u << 20), -ENOBUFS);
    cr_assert_eq(put(WIRE_BEAT, 1, 1u << 20), 0);
}

Test(link_sender, a_bound_that_is_lowered_below_what_is_queued_takes_no_more)
{
    cr_assert_eq(put(WIRE_OPS, 1, 1u << 20), 0);
    sender.queue_size_max = 1u << 10;
    cr_assert_eq(put(WIRE_OPS, 2, 1), -ENOBUFS);
    sender.queue_size_max = 2u << 20;
    cr_assert_eq(put(WIRE_OPS, 2, 1), 0);
}

Test(link_sender, message_over_the_limit_is_refused)
{
    struct link_message messages[2] = {
        {.type = WIRE_OPS, .body = body, .body_size = 1},
        {.type = WIRE_OPS, .body = body, .body_size = LINK_MESSAGE_SIZE_MAX + 1}};
    cr_assert_eq(link_sender_put(&sender, messages, 2), -EMSGSIZE);
    cr_assert_eq(link_sender_queued(&sender), 0);
}

Test(link_sender, memory_of_a_burst_is_given_back)
{
    cr_assert_eq(put(WIRE_OPS, 1, 10u << 20), 0);
    expect(WIRE_OPS, 1, 10u << 20);
    cr_assert(sender.lanes[LINK_LANE_DATA].capacity <= LINK_SENDER_KEEP_SIZE);
}

Test(link_sender, no_memory_queues_nothing_and_breaks_nothing)
{
    struct link_message messages[2] = {{.type = WIRE_OPS, .body = body, .body_size = 100000},
                                       {.type = WIRE_BEAT, .body = body, .body_size = 100000}};
    struct link_credit wide = {.bytes = UINT64_MAX / 2, .messages = UINT64_MAX / 2};
    for (uint64_t n = 1; n <= 2; n++) {
        alloc_fail_after(n);
        cr_assert_eq(link_sender_put(&sender, messages, 2), -ENOMEM);
        cr_assert(alloc_failed());
        cr_assert_eq(link_sender_queued(&sender), 0);
        link_sender_deinit(&sender);
        link_sender_init(&sender, QUEUE_MAX, wide, wide);
    }
    alloc_fail_after(0);
    cr_assert_eq(link_sender_put(&sender, messages, 2), 0);
    expect(WIRE_BEAT, 0, 100000);
    expect(WIRE_OPS, 0, 100000);
}

/* Random messages against a queue a lane of what must come, with credit given at random. */
Test(link_sender, random_traffic_keeps_order_in_each_lane_and_the_rules_of_credit)
{
    uint64_t expected[LINK_LANES] = {0}, given[LINK_LANES] = {0};
    struct link_credit consumed = {0, 0};
    static const uint8_t types[] = {WIRE_BEAT, WIRE_OPS, WIRE_OPS, WIRE_SNAPSHOT};
    struct dice dice = {12345};
    sender.window = (struct link_credit){.bytes = 40000, .messages = 30};
    for (unsigned step = 0; step < 60000; step++) {
        unsigned choice = dice_pick(&dice, 16);
        size_t size = dice_below(&dice, 3000);
        struct link_message message;
        if (choice < 5) {
            uint8_t type = types[dice_pick(&dice, 4)];
            unsigned lane = link_frame_lane(type);
            if (step % 97 == 0)
                size *= 300;
            if (put(type, given[lane], size) == 0)
                given[lane] += 1;
        } else if (choice < 12) {
            reader.limit.bytes = sender.released.bytes + sender.window.bytes;
            reader.limit.messages = sender.released.messages + sender.window.messages;
            if (!take(&message))
                continue;
            unsigned lane = link_frame_lane(message.type);
            /* Also for one that has one place for both. */
            cr_assert(lane == LINK_LANE_CONTROL ||
                      (!reader.lanes[LINK_LANE_DATA].open && !reader.lanes[LINK_LANE_BULK].open));
            cr_assert_eq(message.correlation, expected[lane]);
            cr_assert_eq(memcmp(message.body, body, message.body_size), 0);
            expected[lane] += 1;
            consumed.bytes += message.body_size;
            consumed.messages += 1;
        } else {
            cr_assert(credit(consumed.bytes, consumed.messages));
        }
    }
    cr_assert(expected[LINK_LANE_DATA] > 4000);
    cr_assert(expected[LINK_LANE_BULK] > 1000);
    cr_assert(expected[LINK_LANE_CONTROL] > 1000);
}
