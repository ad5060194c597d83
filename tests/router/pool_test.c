#include "harness.h"

#include <criterion/criterion.h>
#include <stdio.h>

static uint32_t asked;

/* That member hears and says nothing; the others refuse as long as it leads, and name it. */
static struct harness_decision mute(struct harness *h, uint16_t member, const struct wire_op *op,
                                    const struct wire_bytes *args)
{
    (void)op;
    (void)args;
    if (member != h->hook_word)
        return (struct harness_decision){.fate = HARNESS_SERVE};
    asked++;
    return (struct harness_decision){.fate = HARNESS_LOSE};
}

Test(pool, a_mute_leader_is_not_asked_again_though_the_others_name_it)
{
    struct harness *h = harness_new(NULL, false);
    uint64_t client = harness_client(h);
    uint16_t p = harness_partition(h, "a"), leader = h->leader[p];

    cr_assert_str_eq(harness_ask(h, client, "SET a 1"), "+OK\r\n");
    h->hook = mute;
    h->hook_word = leader;
    harness_advance(h, 1);
    harness_type(h, client, "INCR a\r\n");
    harness_advance(h, 1000); /* one that hears nobody says so once: it leads no more */
    harness_liveness(h, leader, &(struct wire_liveness){.member = leader});
    harness_advance(h, 1000);
    cr_assert_str_eq(harness_output(h, client), "");
    cr_assert_eq(asked, 1);
    h->leader[p] = (uint16_t)(leader % HARNESS_MEMBERS + 1);
    harness_advance(h, 250); /* a lane's longest pause, and its jitter */
    cr_assert_str_eq(harness_output(h, client), ":2\r\n");
    cr_assert_eq(asked, 1);
    harness_free(h);
}

Test(pool, what_others_have_asked_of_a_mute_member_is_asked_elsewhere_at_once)
{
    struct harness *h = harness_new(NULL, false);
    uint64_t client = harness_client(h), other = harness_client(h);
    uint16_t p = harness_partition(h, "a"), leader = h->leader[p];
    char key[16] = "b";

    for (int i = 0;
         harness_partition(h, key) == p || h->leader[harness_partition(h, key)] != leader; i++)
        snprintf(key, sizeof key, "b%d", i);
    h->hook = mute;
    h->hook_word = leader;
    harness_advance(h, 1);
    harness_type(h, client, "SET a 1\r\n");
    harness_advance(h, 1400);
    harness_type(h, other, "SET ");
    harness_type(h, other, key);
    harness_type(h, other, " 1\r\n");
    harness_run(h);
    for (unsigned i = 0; i < HARNESS_PARTITIONS; i++)
        h->leader[i] = (uint16_t)(leader % HARNESS_MEMBERS + 1);
    harness_advance(h, 150);
    cr_assert_str_eq(harness_output(h, client), "+OK\r\n");
    cr_assert_str_eq(harness_output(h, other), "+OK\r\n");
    harness_free(h);
}

Test(pool, a_mute_member_is_asked_when_it_is_heard_or_nobody_else_is_there)
{
    struct harness *h = harness_new(NULL, false);
    uint64_t client = harness_client(h);
    uint16_t p = harness_partition(h, "a"), leader = h->leader[p];

    h->hook = mute;
    h->hook_word = leader;
    harness_advance(h, 1);
    harness_type(h, client, "SET a 1\r\n");
    harness_advance(h, 1600);
    cr_assert_str_eq(harness_output(h, client), "");
    h->hook = NULL;
    for (uint16_t member = 1; member <= HARNESS_MEMBERS; member++)
        if (member != leader)
            harness_down(h, member);
    harness_advance(h, 250);
    cr_assert_str_eq(harness_output(h, client), "+OK\r\n");
    for (uint16_t member = 1; member <= HARNESS_MEMBERS; member++)
        if (member != leader)
            harness_up(h, member);
    cr_assert_str_eq(harness_ask(h, client, "GET a"), "$1\r\n1\r\n", "it is heard");
    harness_free(h);
}
