#include "harness.h"

#include <criterion/criterion.h>
#include <stdio.h>

/* Member 1 tells that what `of` leads has the digest. */
static void tell(struct harness *h, uint16_t of, uint64_t digest)
{
    harness_liveness(
        h, 1,
        &(struct wire_liveness){.member = of, .heard = true, .epoch = 1, .leaders_digest = digest});
    harness_run(h);
}

/* How many operations reached a member: one, and one more for each that was refused. */
static uint32_t ask_all(struct harness *h, uint64_t client)
{
    uint32_t before = h->operations;
    char key[16], line[32];

    for (uint16_t p = 0; p < HARNESS_PARTITIONS; p++) {
        snprintf(line, sizeof line, "SET %s 1", harness_key(h, p, 0, key));
        cr_assert_str_eq(harness_ask(h, client, line), "+OK\r\n");
    }
    return h->operations - before;
}

static void lead_all(struct harness *h, uint16_t member, uint32_t term)
{
    for (unsigned p = 0; p < HARNESS_PARTITIONS; p++)
        h->leader[p] = member;
    h->term = term;
}

Test(hints, after_leaders_moved_nobody_is_asked_in_vain)
{
    struct harness *h = harness_new(NULL, false);
    uint64_t client = harness_client(h);

    (void)ask_all(h, client);
    cr_assert_eq(ask_all(h, client), HARNESS_PARTITIONS);
    lead_all(h, 2, 5);
    cr_assert_gt(ask_all(h, client), HARNESS_PARTITIONS, "without hints");
    lead_all(h, 3, 6);
    tell(h, 3, 77);
    cr_assert_eq(h->leaders_asks, HARNESS_SHARDS);
    cr_assert_eq(ask_all(h, client), HARNESS_PARTITIONS);
    tell(h, 3, 77);
    tell(h, 3, 0);
    cr_assert_eq(h->leaders_asks, HARNESS_SHARDS, "nothing is news");
    harness_free(h);
}

Test(hints, a_router_that_starts_learns_who_leads_what)
{
    struct harness *h = harness_new(NULL, false);
    uint64_t client = harness_client(h);

    for (uint16_t p = 0; p < HARNESS_PARTITIONS; p++)
        h->leader[p] = (uint16_t)(p % HARNESS_MEMBERS + 1);
    for (uint16_t member = HARNESS_MEMBERS; member > 0; member--)
        tell(h, member, member);
    cr_assert_eq(ask_all(h, client), HARNESS_PARTITIONS);
    harness_free(h);
}

Test(hints, of_two_claims_that_of_the_higher_term_holds)
{
    struct harness *h = harness_new(NULL, false);
    uint64_t client = harness_client(h);

    (void)ask_all(h, client);
    lead_all(h, 3, 6);
    tell(h, 3, 77);
    lead_all(h, 1, 5);
    tell(h, 1, 88);
    lead_all(h, 3, 6);
    cr_assert_eq(ask_all(h, client), HARNESS_PARTITIONS);
    harness_free(h);
}

/* What waits for its answer is not sent to anybody else by it. */
/* Nobody has decided that it is to be believed: it is not asked, nor is a map that it speaks of. */
Test(hints, who_is_joining_is_not_gone_by)
{
    struct harness *h = harness_new(NULL, true);
    uint32_t asks;

    h->map.members[2].state = RINGMAP_STATE_JOINING;
    for (uint16_t member = 1; member <= HARNESS_MEMBERS; member++)
        harness_up(h, member);
    harness_map(h);
    harness_run(h);
    asks = h->map_asks;
    harness_liveness(h, 1,
                     &(struct wire_liveness){
                         .member = 3, .heard = true, .epoch = UINT64_MAX, .leaders_digest = 77});
    harness_run(h);
    cr_assert_eq(h->leaders_asks, 0);
    cr_assert_eq(h->map_asks, asks);
    harness_liveness(h, 1,
                     &(struct wire_liveness){
                         .member = 2, .heard = true, .epoch = UINT64_MAX, .leaders_digest = 77});
    harness_run(h);
    cr_assert_eq(h->leaders_asks, HARNESS_SHARDS);
    cr_assert_gt(h->map_asks, asks);
    harness_free(h);
}

Test(hints, lanes_that_have_something_to_do_are_left_alone)
{
    struct harness *h = harness_new(NULL, false);
    uint64_t client = harness_client(h);
    char key[16], line[32];
    uint32_t before;

    (void)ask_all(h, client);
    (void)ask_all(h, client);
    h->deaf = true;
    before = h->frames;
    snprintf(line, sizeof line, "SET %s 2\r\n", harness_key(h, 0, 0, key));
    harness_type(h, client, line);
    harness_run(h);
    lead_all(h, 3, 6);
    tell(h, 3, 77);
    harness_type(h, client, line);
    harness_advance(h, h->options.attempt_ms / 2);
    cr_assert_eq(h->frames, before + 2, "behind the first, to the same member");
    h->deaf = false;
    harness_advance(h, 4 * h->options.attempt_ms);
    cr_assert_str_eq(harness_output(h, client), "+OK\r\n+OK\r\n");
    harness_free(h);
}

Test(hints, a_link_that_was_gone_is_asked_again)
{
    struct harness *h = harness_new(NULL, false);

    tell(h, 3, 77);
    harness_down(h, 3);
    tell(h, 3, 78);
    cr_assert_eq(h->leaders_asks, HARNESS_SHARDS, "there is no link");
    harness_up(h, 3);
    tell(h, 3, 77);
    cr_assert_eq(h->leaders_asks, 2 * HARNESS_SHARDS);
    tell(h, 9, 77);
    tell(h, 0, 77);
    cr_assert_eq(h->leaders_asks, 2 * HARNESS_SHARDS, "there is no such member");
    harness_free(h);
}

static void claim(struct harness *h, const uint8_t *bytes, size_t size)
{
    struct link_message message = {.type = WIRE_LEADERS, .body = bytes, .body_size = size};
    struct router_event event = {.kind = ROUTER_EVENT_MESSAGE,
                                 .now_ms = h->now_ms,
                                 .wall_ms = HARNESS_EPOCH_MS + h->now_ms,
                                 .member = 2,
                                 .message = &message};

    router_step(h->router, &event);
    router_check(h->router);
}

Test(hints, garbage_and_partitions_that_are_none_change_nothing)
{
    static const uint8_t bytes[] = {0x92, 0xcd, 0xff, 0xff, 0x01, 0x92, 0x08, 0x01, 0x91, 0x00};
    struct harness *h = harness_new(NULL, false);
    uint64_t client = harness_client(h);

    (void)ask_all(h, client);
    for (size_t size = 0; size <= sizeof bytes; size++)
        claim(h, bytes, size);
    cr_assert_eq(ask_all(h, client), HARNESS_PARTITIONS);
    harness_free(h);
}
