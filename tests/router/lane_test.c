#include "harness.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#define SERVE        ((struct harness_decision){.fate = HARNESS_SERVE})
#define REFUSE(s, p) ((struct harness_decision){HARNESS_REFUSE, (s), (p)})

static struct harness_decision refuse_all(struct harness *h, uint16_t member,
                                          const struct wire_op *op, const struct wire_bytes *args)
{
    (void)member;
    (void)op;
    (void)args;
    return REFUSE((uint8_t)h->hook_word, 0);
}

Test(lane, an_operation_is_answered)
{
    struct harness *h = harness_new(NULL, false);
    uint64_t client = harness_client(h);

    cr_assert_str_eq(harness_ask(h, client, "SET a 1"), "+OK\r\n");
    cr_assert_str_eq(harness_ask(h, client, "GET a"), "$1\r\n1\r\n");
    cr_assert_str_eq(harness_ask(h, client, "GET b"), "$-1\r\n");
    cr_assert_str_eq(harness_ask(h, client, "INCR a"), ":2\r\n");
    harness_free(h);
}

Test(lane, the_leader_that_a_refusal_names_is_asked_at_once)
{
    struct harness *h = harness_new(NULL, false);
    uint64_t client = harness_client(h);
    uint16_t p = harness_partition(h, "a");

    h->leader[p] = h->map.replicas[p * HARNESS_MEMBERS + 2];
    cr_assert_str_eq(harness_ask(h, client, "SET a 1"), "+OK\r\n");
    cr_assert_eq(h->operations, 2);
    cr_assert_str_eq(harness_ask(h, client, "GET a"), "$1\r\n1\r\n");
    cr_assert_eq(h->operations, 3, "who leads is remembered");
    harness_free(h);
}

static struct harness_decision no_hint(struct harness *h, uint16_t member, const struct wire_op *op,
                                       const struct wire_bytes *args)
{
    (void)args;
    return h->leader[op->partition] == member ? SERVE : REFUSE(WIRE_STATUS_NOT_LEADER, 0);
}

Test(lane, without_a_hint_all_replicas_are_tried_after_pauses)
{
    struct harness *h = harness_new(NULL, false);
    uint64_t client = harness_client(h);
    uint16_t p = harness_partition(h, "a");

    h->leader[p] = h->map.replicas[p * HARNESS_MEMBERS + 2];
    h->hook = no_hint;
    cr_assert_str_eq(harness_ask(h, client, "SET a 1"), "");
    harness_advance(h, 50);
    cr_assert_str_eq(harness_output(h, client), "+OK\r\n");
    cr_assert_eq(h->operations, 3);
    harness_free(h);
}

Test(lane, two_members_that_name_each_other_are_not_asked_in_a_tight_loop)
{
    struct harness *h = harness_new(NULL, false);
    uint64_t client = harness_client(h);

    h->hook = refuse_all; /* NOT_LEADER, leader unknown: never any progress */
    h->hook_word = WIRE_STATUS_NOT_LEADER;
    harness_ask(h, client, "SET a 1");
    harness_advance(h, 5000);
    cr_assert(h->operations < 100, "%u attempts in 5 s", h->operations);
    cr_assert(h->operations > 20);
    harness_free(h);
}

Test(lane, a_refused_operation_holds_back_those_behind_it)
{
    struct harness *h = harness_new(NULL, false);
    uint64_t client = harness_client(h);

    harness_ask(h, client, "SET a -");
    for (int i = 0; i < 8; i++)
        harness_ask(h, client, "GET a"); /* opens the window */
    harness_first(h, 1, HARNESS_REFUSE);
    h->operations = 0;
    for (int i = 0; i < 8; i++) {
        char line[32];

        sprintf(line, "APPEND a %d\r\n", i);
        harness_type(h, client, line);
    }
    harness_run(h);
    cr_assert_eq(h->operations, 8, "all were on their way");
    cr_assert_str_eq(harness_output(h, client), "");
    harness_advance(h, 100);
    cr_assert_str_eq(harness_entry(h, "a")->value, "-01234567");
    harness_free(h);
}

Test(lane, when_a_link_breaks_everything_unanswered_is_sent_again_once_applied)
{
    struct harness *h = harness_new(NULL, false);
    uint64_t client = harness_client(h);
    uint16_t p = harness_partition(h, "a");
    uint16_t leader = h->leader[p];

    for (int i = 0; i < 8; i++)
        harness_ask(h, client, "GET a");
    harness_first(h, 3, HARNESS_LOSE_REPLY);
    harness_type(h, client, "INCR a\r\nINCR a\r\nINCR a\r\n");
    harness_run(h);
    cr_assert_str_eq(harness_entry(h, "a")->value, "3");
    harness_down(h, leader);
    h->leader[p] = leader % 3 + 1;
    harness_advance(h, 100);
    cr_assert_str_eq(harness_output(h, client), ":1\r\n:2\r\n:3\r\n");
    cr_assert_str_eq(harness_entry(h, "a")->value, "3");
    harness_free(h);
}

Test(lane, an_attempt_without_an_answer_is_made_again)
{
    struct harness *h = harness_new(NULL, false);
    uint64_t client = harness_client(h);

    harness_first(h, 1, HARNESS_LOSE_REPLY);
    harness_ask(h, client, "INCR a");
    harness_advance(h, 1400);
    cr_assert_str_eq(harness_output(h, client), "");
    harness_liveness(h, h->leader[harness_partition(h, "a")], &(struct wire_liveness){.member = 1});
    harness_advance(h, 200);
    cr_assert_str_eq(harness_output(h, client), ":1\r\n");
    cr_assert_str_eq(harness_entry(h, "a")->value, "1");
    harness_free(h);
}

Test(lane, refused_to_the_end_is_tryagain)
{
    struct harness *h = harness_new(NULL, false);
    uint64_t client = harness_client(h);

    harness_ask(h, client, "GET a");
    h->hook = refuse_all;
    h->hook_word = WIRE_STATUS_TRYAGAIN;
    harness_ask(h, client, "SET a 1");
    harness_advance(h, 9900);
    cr_assert_str_eq(harness_output(h, client), "");
    harness_advance(h, 200);
    cr_assert_str_eq(harness_output(h, client),
                     "-TRYAGAIN the operation was not executed: the cluster is busy\r\n");
    harness_free(h);
}

static const char unreachable[] = "-CLUSTERDOWN no storage node can be reached\r\n";

Test(lane, without_any_link_it_is_clusterdown)
{
    struct harness *h = harness_new(NULL, true);
    uint64_t client = harness_client(h);
    char expected[96];

    cr_assert_str_eq(harness_ask(h, client, "SET a 1"),
                     "-CLUSTERDOWN the ring map is not known yet: no node has been reached\r\n");
    harness_map(h);
    harness_ask(h, client, "SET a 1");
    harness_advance(h, 10001);
    cr_assert_str_eq(harness_output(h, client), unreachable);
    for (uint16_t member = 1; member <= HARNESS_MEMBERS; member++)
        harness_up(h, member);
    h->hook = refuse_all;
    h->hook_word = WIRE_STATUS_TRYAGAIN;
    harness_ask(h, client, "SET a 1");
    harness_advance(h, 10001);
    sprintf(expected, "-CLUSTERDOWN no leader is known for partition %u\r\n",
            harness_partition(h, "a"));
    cr_assert_str_eq(harness_output(h, client), expected);
    harness_free(h);
}

Test(lane, a_leader_that_was_known_is_no_leader_when_its_link_is_down)
{
    struct harness *h = harness_new(NULL, false);
    uint64_t client = harness_client(h);

    cr_assert_str_eq(harness_ask(h, client, "SET a 1"), "+OK\r\n");
    for (uint16_t member = 1; member <= HARNESS_MEMBERS; member++)
        harness_down(h, member);
    harness_ask(h, client, "GET a");
    harness_advance(h, 10001);
    cr_assert_str_eq(harness_output(h, client), unreachable);
    harness_free(h);
}

Test(lane, a_first_link_starts_what_waits_at_once)
{
    struct harness *h = harness_new(NULL, true);
    uint64_t client = harness_client(h);

    harness_map(h);
    harness_ask(h, client, "SET a 1");
    harness_advance(h, 950);
    harness_up(h, h->leader[harness_partition(h, "a")]);
    harness_run(h);
    cr_assert_str_eq(harness_output(h, client), "+OK\r\n");
    harness_free(h);
}

static const char unknown[] = "-UNKNOWNRESULT the operation may or may not have been executed\r\n";

Test(lane, a_write_that_may_have_been_proposed_ends_unknown)
{
    static const enum harness_fate fates[] = {HARNESS_LOSE, HARNESS_LOSE_REPLY, HARNESS_SAY_LOST,
                                              HARNESS_DO_SAY_LOST};

    for (size_t i = 0; i < sizeof fates / sizeof fates[0]; i++) {
        struct harness *h = harness_new(NULL, false);
        uint64_t client = harness_client(h);

        harness_first(h, 1, fates[i]);
        harness_ask(h, client, "SET a 1");
        h->hook = refuse_all; /* one attempt in doubt, all others refused */
        h->hook_word = WIRE_STATUS_TRYAGAIN;
        harness_advance(h, 10001);
        cr_assert_str_eq(harness_output(h, client), unknown, "fate %zu", i);
        cr_assert_not(harness_closed(h, client));
        harness_free(h);
    }
}

Test(lane, a_read_never_ends_unknown)
{
    static const enum harness_fate fates[] = {HARNESS_LOSE, HARNESS_SAY_LOST};

    for (size_t i = 0; i < sizeof fates / sizeof fates[0]; i++) {
        struct harness *h = harness_new(NULL, false);
        uint64_t client = harness_client(h);

        harness_first(h, 1000, fates[i]);
        harness_ask(h, client, "GET a");
        harness_advance(h, 10001);
        cr_assert(strncmp(harness_output(h, client), "-CLUSTERDOWN", 12) == 0);
        harness_free(h);
    }
}

static struct harness_decision say(struct harness *h, uint16_t member, const struct wire_op *op,
                                   const struct wire_bytes *args)
{
    (void)member;
    (void)args;
    if (h->hook_count-- <= 0)
        return SERVE;
    return (struct harness_decision){HARNESS_ANSWER, (uint8_t)h->hook_word, op->lane_epoch};
}

Test(lane, results_become_redis_errors_and_the_lane_goes_on)
{
    static const struct {
        uint8_t status;
        const char *text;
    } rows[] = {
        {WIRE_STATUS_NOSPACE, "-NOSPACE the cluster's disks are full: writes are refused, deletes "
                              "and reads go on\r\n"},
        {WIRE_STATUS_NOT_INTEGER, "-ERR value is not an integer or out of range\r\n"},
        {WIRE_STATUS_OVERFLOW, "-ERR increment or decrement would overflow\r\n"},
        {WIRE_STATUS_TOO_LARGE, "-ERR string exceeds maximum allowed size (16777216 bytes)\r\n"},
        {WIRE_STATUS_MALFORMED, "-ERR the cluster refused the operation as malformed\r\n"},
        {WIRE_STATUS_UNKNOWN, unknown},
        {200, unknown}, /* what a later version may say */
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct harness *h = harness_new(NULL, false);
        uint64_t client = harness_client(h);

        h->hook = say;
        h->hook_count = 1;
        h->hook_word = rows[i].status;
        cr_assert_str_eq(harness_ask(h, client, "INCR a"), rows[i].text);
        cr_assert_str_eq(harness_ask(h, client, "INCR a"), ":1\r\n");
        harness_free(h);
    }
}

/* A delete of nothing is answered late; a second attempt is on its way and may delete. */
Test(lane, a_late_answer_that_logged_nothing_does_not_count)
{
    struct harness *h = harness_new(NULL, false);
    uint64_t client = harness_client(h);

    harness_first(h, 1, HARNESS_KEEP);
    harness_ask(h, client, "DEL a");
    harness_first(h, 1, HARNESS_LOSE); /* the second attempt */
    harness_advance(h, 1600);
    harness_release(h);
    cr_assert_str_eq(harness_output(h, client), "", "the second attempt may yet delete");
    harness_advance(h, 3300);
    cr_assert_str_eq(harness_output(h, client), ":0\r\n");
    harness_free(h);
}

Test(lane, a_late_answer_that_logged_counts)
{
    struct harness *h = harness_new(NULL, false);
    uint64_t client = harness_client(h);

    harness_first(h, 1, HARNESS_KEEP);
    harness_ask(h, client, "INCR a");
    harness_first(h, 1, HARNESS_LOSE);
    harness_advance(h, 1600);
    harness_release(h);
    cr_assert_str_eq(harness_output(h, client), ":1\r\n");
    harness_free(h);
}

Test(lane, a_late_read_counts)
{
    struct harness *h = harness_new(NULL, false);
    uint64_t client = harness_client(h);

    harness_ask(h, client, "SET a 1");
    harness_first(h, 1, HARNESS_KEEP);
    harness_ask(h, client, "GET a");
    harness_first(h, 1, HARNESS_LOSE);
    harness_advance(h, 1600);
    harness_release(h);
    cr_assert_str_eq(harness_output(h, client), "$1\r\n1\r\n");
    harness_free(h);
}

Test(lane, an_answer_that_comes_twice_counts_once)
{
    struct harness *h = harness_new(NULL, false);
    uint64_t client = harness_client(h);

    harness_first(h, 3, HARNESS_TWICE);
    harness_type(h, client, "INCR a\r\nINCR a\r\nINCR b\r\n");
    harness_run(h);
    cr_assert_str_eq(harness_output(h, client), ":1\r\n:2\r\n:1\r\n");
    harness_free(h);
}

static struct harness_decision refuse_some(struct harness *h, uint16_t member,
                                           const struct wire_op *op, const struct wire_bytes *args)
{
    (void)member;
    (void)op;
    (void)args;
    return h->hook_count-- > 0 ? REFUSE((uint8_t)h->hook_word, 0) : SERVE;
}

/* Refused by the partition, so what is behind it in the same lane epoch is refused as well. */
Test(lane, behind_one_that_found_no_space_the_next_goes_on_without_a_pause)
{
    struct harness *h = harness_new(NULL, false);
    uint64_t client = harness_client(h);

    for (int i = 0; i < 8; i++)
        harness_ask(h, client, "GET a");
    h->hook = refuse_some;
    h->hook_count = 1;
    h->hook_word = WIRE_STATUS_NOSPACE;
    harness_type(h, client, "SET a 1\r\nDEL a\r\nGET a\r\n");
    harness_run(h);
    cr_assert_str_eq(harness_output(h, client),
                     "-NOSPACE the cluster's disks are full: writes are refused, deletes and reads "
                     "go on\r\n:0\r\n$-1\r\n");
    h->hook_count = 1;
    cr_assert(strncmp(harness_ask(h, client, "SET a 1"), "-NOSPACE", 8) == 0);
    cr_assert_str_eq(harness_ask(h, client, "GET a"), "$-1\r\n", "at once");
    harness_free(h);
}

static struct harness_decision lose_then_refuse(struct harness *h, uint16_t member,
                                                const struct wire_op *op,
                                                const struct wire_bytes *args)
{
    (void)member;
    (void)op;
    (void)args;
    return h->hook_count-- > 0 ? (struct harness_decision){.fate = HARNESS_SAY_LOST}
                               : REFUSE(WIRE_STATUS_NOSPACE, 0);
}

/* The attempt that was lost may be proposed yet: "no space" would say that nothing was done. */
Test(lane, no_space_for_a_write_that_may_have_been_proposed_is_unknown)
{
    struct harness *h = harness_new(NULL, false);
    uint64_t client = harness_client(h);

    harness_ask(h, client, "GET a");
    h->hook = lose_then_refuse;
    h->hook_count = 1;
    harness_type(h, client, "SET a 1\r\n");
    harness_run(h);
    harness_advance(h, 1000);
    cr_assert(strncmp(harness_output(h, client), "-UNKNOWNRESULT", 14) == 0);
    harness_free(h);
}

static struct harness_decision expire(struct harness *h, uint16_t member, const struct wire_op *op,
                                      const struct wire_bytes *args)
{
    (void)member;
    (void)op;
    (void)args;
    if (h->hook_count-- <= 0)
        return SERVE;
    return REFUSE(WIRE_STATUS_SESSION_EXPIRED, (int64_t)h->hook_word);
}

Test(lane, a_session_that_expired_is_replaced_by_a_newer_one)
{
    struct harness *h = harness_new(NULL, false);
    uint64_t client = harness_client(h);
    uint64_t low = UINT64_C(5000000000000) << 20; /* beyond the clock */

    harness_ask(h, client, "INCR a");
    h->hook = expire;
    h->hook_count = 1;
    h->hook_word = low;
    harness_type(h, client, "INCR a\r\nINCR a\r\n");
    harness_run(h);
    harness_advance(h, 50);
    cr_assert_str_eq(harness_output(h, client), ":2\r\n:3\r\n");
    cr_assert(h->requests[h->request_count - 1].session >= low);
    cr_assert_eq(h->requests[h->request_count - 1].sequence, 2, "numbered anew");
    harness_free(h);
}

Test(lane, a_router_whose_clock_is_ahead_goes_by_the_partitions)
{
    struct harness *h = harness_new(NULL, false);
    uint64_t client = harness_client(h);
    uint64_t low = UINT64_C(1000000000000) << 20; /* long before the clock */
    uint64_t got;

    h->hook = expire;
    h->hook_count = 1;
    h->hook_word = 1000; /* over the first one: the next is of the clock */
    harness_type(h, client, "INCR a\r\n");
    harness_advance(h, 50);
    cr_assert_str_eq(harness_output(h, client), ":1\r\n");
    cr_assert_geq(h->requests[h->request_count - 1].session, HARNESS_EPOCH_MS << 20);
    h->hook_count = 1;
    h->hook_word = low;
    harness_type(h, client, "INCR a\r\nINCR a\r\n");
    harness_run(h);
    harness_advance(h, 50);
    cr_assert_str_eq(harness_output(h, client), ":2\r\n:3\r\n");
    got = h->requests[h->request_count - 1].session;
    cr_assert(got >= low && got < low + (1u << 20), "%llx", (unsigned long long)got);
    cr_assert_eq(h->requests[h->request_count - 1].sequence, 2, "numbered anew");
    harness_free(h);
}

Test(lane, what_was_in_doubt_when_the_session_expired_is_unknown)
{
    struct harness *h = harness_new(NULL, false);
    uint64_t client = harness_client(h);

    for (int i = 0; i < 8; i++)
        harness_ask(h, client, "GET a");
    harness_first(h, 1, HARNESS_LOSE_REPLY);
    harness_type(h, client, "INCR a\r\n");
    harness_run(h);
    h->hook = expire;
    h->hook_count = 1;
    h->hook_word = 1;
    harness_advance(h, 1400);
    harness_type(h, client, "INCR a\r\n");
    harness_advance(h, 400);
    cr_assert_str_eq(harness_output(h, client),
                     "-UNKNOWNRESULT the operation may or may not have been executed\r\n:2\r\n");
    cr_assert_str_eq(harness_entry(h, "a")->value, "2");
    harness_free(h);
}
