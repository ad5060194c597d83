#include "harness.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

/* Who was asked, in order; everyone refuses and names nobody. */
static uint16_t asked[64];
static unsigned asked_count;

static struct harness_decision refuse_all(struct harness *h, uint16_t member,
                                          const struct wire_op *op, const struct wire_bytes *args)
{
    (void)h;
    (void)op;
    (void)args;
    cr_assert_lt(asked_count, 64);
    asked[asked_count++] = member;
    return (struct harness_decision){HARNESS_REFUSE, WIRE_STATUS_NOT_LEADER, 0};
}

static void all_begin_with(uint16_t *first, uint16_t member)
{
    for (unsigned p = 0; p < HARNESS_PARTITIONS; p++)
        first[p] = member;
}

Test(route, a_partition_that_moved_is_found_by_the_map_of_whom_it_left)
{
    struct harness *h = harness_new(NULL, false);
    uint64_t client = harness_client(h);
    uint16_t first[HARNESS_PARTITIONS];

    cr_assert_str_eq(harness_ask(h, client, "SET a 1"), "+OK\r\n");
    harness_up(h, 4);
    harness_up(h, 5);
    all_begin_with(first, 4);
    harness_move(h, 2, first, false);
    harness_type(h, client, "INCR a\r\n");
    harness_run(h);
    harness_advance(h, 50);
    cr_assert_str_eq(harness_output(h, client), ":2\r\n");
    cr_assert_eq(router_map(h->router)->epoch, 2);
    cr_assert_eq(h->map_asks, 1);
    cr_assert_eq(h->operations, 3, "none to the others of the old row");
    harness_free(h);
}

Test(route, wanted_members_are_asked_first_then_those_it_comes_from_then_again)
{
    static const uint16_t order[] = {4, 5, 1, 2, 3, 4, 5, 1, 2, 3};
    struct harness *h = harness_new(NULL, false);
    uint64_t client = harness_client(h);
    uint16_t first[HARNESS_PARTITIONS], before[HARNESS_PARTITIONS];

    all_begin_with(before, 1);
    harness_move(h, 3, before, false);
    all_begin_with(first, 4);
    harness_move(h, 2, first, true);
    harness_up(h, 4);
    harness_up(h, 5);
    harness_map(h);
    h->hook = refuse_all;
    asked_count = 0;
    harness_type(h, client, "SET a 1\r\n");
    harness_run(h);
    while (asked_count < sizeof order / sizeof *order)
        harness_advance(h, 5);
    cr_assert_eq(memcmp(asked, order, sizeof order), 0);
    harness_free(h);
}

Test(route, when_all_that_hold_it_are_away_any_other_may_know_more)
{
    struct harness *h = harness_new(NULL, false);
    uint64_t client = harness_client(h);
    uint16_t first[HARNESS_PARTITIONS];

    all_begin_with(first, 1);
    harness_move(h, 1, first, false);
    harness_map(h);
    harness_down(h, 1);
    harness_type(h, client, "SET a 1\r\n");
    harness_run(h);
    all_begin_with(first, 5);
    harness_move(h, 1, first, false);
    harness_up(h, 5);
    harness_advance(h, 300);
    cr_assert_str_eq(harness_output(h, client), "+OK\r\n");
    harness_free(h);
}

Test(route, many_lanes_in_doubt_ask_for_one_map)
{
    struct harness *h = harness_new(NULL, false);
    uint64_t client = harness_client(h);
    char key[16], line[32];

    h->hook = refuse_all;
    asked_count = 0;
    for (uint16_t p = 0; p < HARNESS_PARTITIONS; p++) {
        snprintf(line, sizeof line, "SET %s 1\r\n", harness_key(h, p, 0, key));
        harness_type(h, client, line);
    }
    harness_run(h);
    cr_assert_eq(asked_count, HARNESS_PARTITIONS);
    cr_assert_eq(h->map_asks, 1);
    harness_advance(h, h->options.map_ask_ms - 5);
    cr_assert_eq(h->map_asks, 1);
    h->hook = NULL;
    harness_advance(h, 5);
    cr_assert_eq(h->map_asks, 2);
    harness_advance(h, 1000);
    cr_assert_eq(h->map_asks, 2, "nobody is in doubt any more");
    harness_free(h);
}

/* Member 1 tells what it has heard of member `of`. */
static void tell_epoch(struct harness *h, uint16_t of, uint64_t epoch)
{
    harness_liveness(h, 1, &(struct wire_liveness){.member = of, .heard = true, .epoch = epoch});
    harness_run(h);
}

Test(route, a_newer_map_that_gossip_tells_of_is_asked_for_at_once)
{
    struct harness *h = harness_new(NULL, false);
    uint16_t first[HARNESS_PARTITIONS];

    all_begin_with(first, 2);
    tell_epoch(h, 2, 1);
    cr_assert_eq(h->map_asks, 0, "it has that");
    harness_move(h, 3, first, false);
    tell_epoch(h, 2, 2);
    cr_assert_eq(h->map_asks, 1);
    cr_assert_eq(router_map(h->router)->epoch, 2);
    harness_move(h, 3, first, false);
    harness_advance(h, h->options.map_ask_ms);
    harness_down(h, 2);
    tell_epoch(h, 2, 3);
    cr_assert_eq(h->map_asks, 2, "of who told it: there is no link to who has it");
    cr_assert_eq(router_map(h->router)->epoch, 3);
    harness_free(h);
}

Test(route, a_removed_members_operations_go_elsewhere_and_count_once)
{
    struct harness *h = harness_new(NULL, false);
    uint64_t client = harness_client(h);
    uint16_t first[HARNESS_PARTITIONS], member;

    cr_assert_str_eq(harness_ask(h, client, "SET a 1"), "+OK\r\n");
    member = h->leader[harness_partition(h, "a")];
    harness_type(h, client, "INCR a\r\n");
    harness_type(h, client, "INCR a\r\n");
    harness_flush(h); /* carried out there, and not yet answered */
    all_begin_with(first, (uint16_t)(member % HARNESS_MEMBERS + 1));
    harness_move(h, 1, first, false);
    h->map.members[member - 1].state = RINGMAP_STATE_REMOVED;
    harness_map(h);
    harness_down(h, member); /* as the links do for one that is removed */
    harness_advance(h, 300);
    cr_assert_str_eq(harness_output(h, client), ":2\r\n:3\r\n");
    harness_free(h);
}

Test(route, it_is_ready_when_each_partition_has_a_link_in_one_of_its_rows)
{
    struct harness *h = harness_new(NULL, false);
    uint16_t first[HARNESS_PARTITIONS];

    cr_assert(router_ready(h->router));
    all_begin_with(first, 4);
    harness_move(h, 1, first, true);
    harness_map(h);
    cr_assert(router_ready(h->router), "those it comes from serve still");
    harness_move(h, 1, first, false);
    harness_map(h);
    cr_assert_not(router_ready(h->router));
    harness_up(h, 4);
    cr_assert(router_ready(h->router));
    harness_free(h);
}
