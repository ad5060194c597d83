#include "ring/link_frame.h"

#include "ring/wire.h"
#include "tests/storage/alloc.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PACKET_SIZE (1u << 20)

static struct link_reader reader;
static uint8_t *packet;
static size_t packet_size;

static void open_wide(void)
{
    link_reader_init(&reader);
    reader.limit = reader.control_limit =
        (struct link_credit){.bytes = UINT64_MAX, .messages = UINT64_MAX};
}

static void setup(void)
{
    open_wide();
    packet = calloc(1, PACKET_SIZE);
    cr_assert_not_null(packet);
    packet_size = 0;
}

static void teardown(void)
{
    link_reader_deinit(&reader);
    free(packet);
}
TestSuite(link_frame, .init = setup, .fini = teardown);

static void add(uint8_t type, uint8_t flags, uint64_t correlation, uint8_t fill, uint32_t size)
{
    struct link_frame frame = {.body_size = size,
                               .type = type,
                               .flags = flags,
                               .partition = 7,
                               .correlation = correlation};
    cr_assert(packet_size + LINK_FRAME_HEADER_SIZE + size <= PACKET_SIZE);
    link_frame_put(&frame, packet + packet_size);
    memset(packet + packet_size + LINK_FRAME_HEADER_SIZE, fill, size);
    packet_size += LINK_FRAME_HEADER_SIZE + size;
}

static void feed(void)
{
    link_reader_feed(&reader, packet, packet_size);
    packet_size = 0;
}

static void expect(uint8_t type, uint64_t correlation, size_t size)
{
    struct link_message message;
    cr_assert_eq(link_reader_next(&reader, &message), 0);
    cr_assert_eq(message.type, type);
    cr_assert_eq(message.partition, 7);
    cr_assert_eq(message.correlation, correlation);
    cr_assert_eq(message.body_size, size);
}

static int next(void)
{
    struct link_message message;
    return link_reader_next(&reader, &message);
}

Test(link_frame, header_has_its_documented_bytes)
{
    static const uint8_t expected[LINK_FRAME_HEADER_SIZE] = {
        0x04, 0x03, 0x02, 0x00, 18, 1, 0xfe, 0xff, 8, 7, 6, 5, 4, 3, 2, 1};
    struct link_frame frame = {.body_size = 0x020304,
                               .type = WIRE_RAFT,
                               .flags = LINK_FLAG_MORE,
                               .partition = WIRE_PARTITION_NODE,
                               .correlation = UINT64_C(0x0102030405060708)};
    uint8_t bytes[LINK_FRAME_HEADER_SIZE];
    struct link_frame back;
    link_frame_put(&frame, bytes);
    cr_assert_eq(memcmp(bytes, expected, sizeof bytes), 0);
    link_frame_get(bytes, &back);
    cr_assert_eq(back.body_size, frame.body_size);
    cr_assert_eq(back.type, frame.type);
    cr_assert_eq(back.flags, frame.flags);
    cr_assert_eq(back.partition, frame.partition);
    cr_assert_eq(back.correlation, frame.correlation);
}

Test(link_frame, whole_messages_are_handed_up_where_they_lie)
{
    struct link_message message;
    add(WIRE_OPS, 0, 1, 0xaa, 10);
    add(WIRE_RESULTS, 0, 2, 0xbb, 0);
    feed();
    cr_assert_eq(link_reader_next(&reader, &message), 0);
    cr_assert_eq(message.body, packet + LINK_FRAME_HEADER_SIZE);
    expect(WIRE_RESULTS, 2, 0);
    cr_assert_eq(next(), LINK_FRAME_E_END);
    cr_assert_eq(reader.received.bytes, 10);
    cr_assert_eq(reader.received.messages, 2);
}

Test(link_frame, cut_messages_of_both_lanes_may_alternate)
{
    add(WIRE_OPS, LINK_FLAG_MORE, 1, 1, 100);
    add(WIRE_MAP, LINK_FLAG_MORE, 9, 2, 50);
    add(WIRE_PING, 0, 0, 0, 0);
    add(WIRE_OPS, LINK_FLAG_MORE, 1, 3, 100);
    feed();
    expect(WIRE_PING, 0, 0);
    cr_assert_eq(next(), LINK_FRAME_E_END);
    add(WIRE_MAP, 0, 9, 4, 50);
    add(WIRE_OPS, 0, 1, 5, 1);
    add(WIRE_OPS, 0, 2, 6, 3);
    feed();
    struct link_message message;
    cr_assert_eq(link_reader_next(&reader, &message), 0);
    cr_assert_eq(message.type, WIRE_MAP);
    cr_assert_eq(message.body_size, 100);
    cr_assert_eq(message.body[49], 2);
    cr_assert_eq(message.body[50], 4);
    cr_assert_eq(link_reader_next(&reader, &message), 0);
    cr_assert_eq(message.type, WIRE_OPS);
    cr_assert_eq(message.body_size, 201);
    cr_assert_eq(message.body[0], 1);
    cr_assert_eq(message.body[100], 3);
    cr_assert_eq(message.body[200], 5);
    expect(WIRE_OPS, 2, 3);
    cr_assert_eq(next(), LINK_FRAME_E_END);
    cr_assert_eq(reader.received.messages, 3);
    cr_assert_eq(reader.received.bytes, 304);
}

Test(link_frame, continuation_of_another_message_is_refused)
{
    add(WIRE_OPS, LINK_FLAG_MORE, 1, 1, 100);
    add(WIRE_OPS, 0, 2, 1, 100);
    feed();
    cr_assert_eq(next(), LINK_FRAME_E_MALFORMED);
}

Test(link_frame, lengths_beyond_the_packet_are_refused)
{
    for (size_t cut = 1; cut < LINK_FRAME_HEADER_SIZE + 20; cut++) {
        open_wide();
        packet_size = 0;
        add(WIRE_OPS, 0, 1, 1, 20);
        link_reader_feed(&reader, packet, cut);
        cr_assert_eq(next(), LINK_FRAME_E_MALFORMED, "cut %zu", cut);
    }
    link_reader_init(&reader);
    memset(packet, 0xff, 64);
    link_reader_feed(&reader, packet, 64);
    cr_assert_eq(next(), LINK_FRAME_E_MALFORMED);
}

Test(link_frame, unknown_flags_and_empty_continued_frames_are_refused)
{
    add(WIRE_OPS, 2, 1, 1, 20);
    feed();
    cr_assert_eq(next(), LINK_FRAME_E_MALFORMED);
    open_wide();
    add(WIRE_OPS, LINK_FLAG_MORE, 1, 1, 0);
    feed();
    cr_assert_eq(next(), LINK_FRAME_E_MALFORMED);
    link_reader_init(&reader);
    add(WIRE_CREDIT, LINK_FLAG_MORE, 1, 1, 16);
    feed();
    cr_assert_eq(next(), LINK_FRAME_E_MALFORMED);
}

Test(link_frame, message_over_the_limit_is_refused_with_bounded_memory)
{
    int r = LINK_FRAME_E_END;
    size_t total = 0;
    while (r == LINK_FRAME_E_END && total < 2 * (size_t)LINK_MESSAGE_SIZE_MAX) {
        add(WIRE_OPS, LINK_FLAG_MORE, 1, 1, LINK_BODY_SIZE_MAX);
        feed();
        r = next();
        total += LINK_BODY_SIZE_MAX;
    }
    cr_assert_eq(r, LINK_FRAME_E_TOO_LARGE);
    cr_assert(total <= LINK_MESSAGE_SIZE_MAX + LINK_BODY_SIZE_MAX);
    cr_assert(reader.lanes[LINK_LANE_DATA].capacity <= 2 * (size_t)LINK_MESSAGE_SIZE_MAX);
}

Test(link_frame, large_buffer_is_given_back_after_its_message)
{
    for (unsigned i = 0; i < 8; i++) {
        add(WIRE_OPS, i < 7 ? LINK_FLAG_MORE : 0, 1, 1, LINK_BODY_SIZE_MAX);
        feed();
        if (i < 7)
            cr_assert_eq(next(), LINK_FRAME_E_END);
    }
    expect(WIRE_OPS, 1, 8 * (size_t)LINK_BODY_SIZE_MAX);
    cr_assert_eq(next(), LINK_FRAME_E_END);
    cr_assert_eq(reader.lanes[LINK_LANE_DATA].capacity, 0);
}

Test(link_frame, data_without_credit_is_refused_but_control_and_the_rest_of_a_message_pass)
{
    reader.limit.bytes = 100;
    reader.limit.messages = 3;
    add(WIRE_OPS, LINK_FLAG_MORE, 1, 1, 99);
    add(WIRE_OPS, 0, 1, 1, 5000); /* overshoots: it had begun */
    add(WIRE_BEAT, 0, 2, 1, 10);
    add(WIRE_OPS, 0, 3, 1, 1);
    feed();
    expect(WIRE_OPS, 1, 5099);
    expect(WIRE_BEAT, 2, 10);
    cr_assert_eq(next(), LINK_FRAME_E_CREDIT);
}

Test(link_frame, control_beyond_what_is_taken_ahead_is_refused)
{
    reader.control_limit.messages = 2;
    add(WIRE_BEAT, 0, 1, 1, 0);
    add(WIRE_OPS, 0, 2, 1, 10); /* both are memory, and count together */
    add(WIRE_BEAT, 0, 3, 1, 0);
    feed();
    expect(WIRE_BEAT, 1, 0);
    expect(WIRE_OPS, 2, 10);
    cr_assert_eq(next(), LINK_FRAME_E_FLOOD);
    open_wide();
    reader.control_limit.bytes = 100;
    add(WIRE_MAP, LINK_FLAG_MORE, 1, 1, 99);
    add(WIRE_MAP, 0, 1, 1, 5000); /* it had begun */
    add(WIRE_PING, 0, 2, 1, 0);   /* the link's own is not kept */
    add(WIRE_BEAT, 0, 3, 1, 0);
    feed();
    expect(WIRE_MAP, 1, 5099);
    expect(WIRE_PING, 2, 0);
    cr_assert_eq(next(), LINK_FRAME_E_FLOOD);
}

Test(link_frame, message_over_a_lower_limit_is_refused_from_its_first_frame_on)
{
    reader.message_size_max = 100;
    add(WIRE_OPS, 0, 1, 1, 100);
    add(WIRE_BEAT, 0, 2, 1, 101);
    feed();
    expect(WIRE_OPS, 1, 100);
    cr_assert_eq(next(), LINK_FRAME_E_TOO_LARGE);
    open_wide();
    add(WIRE_OPS, LINK_FLAG_MORE, 1, 1, 200);
    feed();
    cr_assert_eq(next(), LINK_FRAME_E_END);
    reader.message_size_max = 100; /* lowered while one is under way */
    add(WIRE_OPS, 0, 1, 1, 1);
    feed();
    cr_assert_eq(next(), LINK_FRAME_E_TOO_LARGE);
}

Test(link_frame, credit_in_messages_counts_too)
{
    reader.limit.messages = 2;
    add(WIRE_OPS, 0, 1, 1, 0);
    add(WIRE_OPS, 0, 2, 1, 0);
    add(WIRE_OPS, 0, 3, 1, 0);
    feed();
    expect(WIRE_OPS, 1, 0);
    expect(WIRE_OPS, 2, 0);
    cr_assert_eq(next(), LINK_FRAME_E_CREDIT);
}

Test(link_frame, no_memory_for_a_cut_message_is_an_error)
{
    add(WIRE_OPS, LINK_FLAG_MORE, 1, 1, 100);
    feed();
    alloc_fail_after(1);
    cr_assert_eq(next(), -ENOMEM);
    cr_assert(alloc_failed());
}
