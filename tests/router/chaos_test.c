/* The lanes' promises under everything at once: refusals, leaders that move, partitions that move
 * to other members by maps that nobody tells the router of, links that break, members that claim
 * to lead what they do not, replies that are lost, late or twice, and a clock that runs on. */
#include "harness.h"

#include "tests/dice.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHAOS_CLIENTS 4
#define CHAOS_KEYS    6

struct chaos {
    struct harness *h;
    struct dice dice;
    unsigned trouble; /* in 1,000 */
    unsigned asked[CHAOS_CLIENTS];
    unsigned answered[CHAOS_CLIENTS];
    int key_of[CHAOS_CLIENTS][4096];
    int64_t last[CHAOS_CLIENTS][CHAOS_KEYS];
    unsigned done[CHAOS_KEYS], unknown[CHAOS_KEYS], refused[CHAOS_KEYS];
    bool seen[CHAOS_KEYS][4096];
    unsigned asked_of[CHAOS_KEYS];
};

static struct chaos *chaos;

static struct harness_decision chaos_hook(struct harness *h, uint16_t member,
                                          const struct wire_op *op, const struct wire_bytes *args)
{
    static const enum harness_fate fates[] = {HARNESS_LOSE,     HARNESS_LOSE_REPLY,
                                              HARNESS_SAY_LOST, HARNESS_DO_SAY_LOST,
                                              HARNESS_TWICE,    HARNESS_KEEP};
    struct harness_decision decision = {.fate = HARNESS_SERVE, .status = WIRE_STATUS_TRYAGAIN};

    (void)args;
    if (dice_below(&chaos->dice, 1000) >= chaos->trouble)
        return decision;
    if (h->leader[op->partition] != member || dice_below(&chaos->dice, 3) == 0) {
        decision.fate = HARNESS_REFUSE;
        if (dice_below(&chaos->dice, 2))
            decision.status = WIRE_STATUS_NOT_LEADER;
        return decision;
    }
    decision.fate = fates[dice_below(&chaos->dice, sizeof fates / sizeof fates[0])];
    if (decision.fate == HARNESS_KEEP && h->kept_count == 64)
        decision.fate = HARNESS_LOSE_REPLY;
    return decision;
}

/* The cluster goes on to another map: more or fewer replicas, elsewhere, on their way or there. */
static void chaos_move(struct harness *h)
{
    uint16_t first[HARNESS_PARTITIONS];

    for (uint16_t p = 0; p < HARNESS_PARTITIONS; p++)
        first[p] = (uint16_t)(1 + dice_below(&chaos->dice, HARNESS_MEMBERS_MAX));
    harness_move(h, 1 + (uint32_t)dice_below(&chaos->dice, 4), first,
                 dice_below(&chaos->dice, 2) == 0);
}

static void chaos_event(struct harness *h)
{
    uint16_t member = (uint16_t)(1 + dice_below(&chaos->dice, HARNESS_MEMBERS_MAX));

    switch (dice_below(&chaos->dice, 12)) {
    case 0:
        h->leader[dice_below(&chaos->dice, HARNESS_PARTITIONS)] = member;
        break;
    case 5:
        if (dice_below(&chaos->dice, 4) == 0)
            chaos_move(h);
        break;
    case 1:
        if (h->up[member])
            harness_down(h, member);
        break;
    case 2:
    case 3:
        if (!h->up[member])
            harness_up(h, member);
        break;
    case 4:
        harness_release(h);
        break;
    case 6: /* true or not */
        for (uint16_t p = 0; h->up[member] && p < HARNESS_PARTITIONS; p++)
            if (dice_below(&chaos->dice, 2))
                wire_put_leader(&h->claims[member], &(struct wire_leader){p, ++h->term});
        break;
    default:
        break;
    }
}

static void chaos_ask(unsigned c)
{
    int key = (int)dice_below(&chaos->dice, CHAOS_KEYS);
    char line[32];

    if (chaos->asked[c] == 4096 || chaos->asked_of[key] == 4095)
        return;
    chaos->key_of[c][chaos->asked[c]++] = key;
    chaos->asked_of[key]++;
    snprintf(line, sizeof line, "INCR k%d\r\n", key);
    harness_type(chaos->h, c + 1, line);
}

static void chaos_answer(unsigned c, const char *line)
{
    int key = chaos->key_of[c][chaos->answered[c]++];
    int64_t value;

    cr_assert(chaos->answered[c] <= chaos->asked[c]);
    if (line[0] == ':') {
        value = atoll(line + 1);
        cr_assert(value > chaos->last[c][key], "program order of client %u on key %d", c, key);
        chaos->last[c][key] = value;
        cr_assert_not(chaos->seen[key][value], "applied twice or told twice");
        chaos->seen[key][value] = true;
        chaos->done[key]++;
    } else if (strncmp(line, "-UNKNOWNRESULT", 14) == 0) {
        chaos->unknown[key]++;
    } else {
        cr_assert(strncmp(line, "-TRYAGAIN", 9) == 0 || strncmp(line, "-CLUSTERDOWN", 12) == 0,
                  "%.40s", line);
        chaos->refused[key]++;
    }
}

static void chaos_read(void)
{
    for (unsigned c = 0; c < CHAOS_CLIENTS; c++) {
        const char *at = harness_output(chaos->h, c + 1);

        for (const char *end; (end = strstr(at, "\r\n")); at = end + 2)
            chaos_answer(c, at);
    }
}

static void chaos_judge(void)
{
    for (int key = 0; key < CHAOS_KEYS; key++) {
        char name[16];
        const struct harness_entry *entry;
        unsigned value;

        snprintf(name, sizeof name, "k%d", key);
        entry = harness_entry(chaos->h, name);
        value = entry ? (unsigned)atoi(entry->value) : 0;
        cr_assert(value >= chaos->done[key], "an acknowledged write is lost");
        cr_assert(value <= chaos->done[key] + chaos->unknown[key],
                  "one that was refused took effect");
        cr_assert_eq(chaos->done[key] + chaos->unknown[key] + chaos->refused[key],
                     chaos->asked_of[key], "every command is answered once");
    }
}

static void chaos_run(uint64_t seed, unsigned trouble, uint32_t deadline_ms)
{
    struct router_options options;
    unsigned rounds = 400;

    router_options_default(&options);
    options.deadline_ms = deadline_ms;
    options.attempt_ms = 150;
    chaos = calloc(1, sizeof *chaos);
    cr_assert(chaos);
    chaos->dice.state = seed;
    chaos->trouble = trouble;
    chaos->h = harness_new(&options, false);
    chaos->h->hook = chaos_hook;
    for (unsigned c = 0; c < CHAOS_CLIENTS; c++)
        harness_client(chaos->h);
    while (rounds--) {
        for (uint64_t n = dice_below(&chaos->dice, 4); n > 0; n--)
            chaos_ask((unsigned)dice_below(&chaos->dice, CHAOS_CLIENTS));
        chaos_event(chaos->h);
        harness_flush(chaos->h);
        if (dice_below(&chaos->dice, 2))
            harness_deliver(chaos->h);
        if (dice_below(&chaos->dice, 4) == 0)
            harness_advance(chaos->h, dice_below(&chaos->dice, 40));
        chaos_read();
    }
    chaos->trouble = 0;
    harness_release(chaos->h);
    for (uint16_t m = 1; m <= HARNESS_MEMBERS_MAX; m++)
        if (!chaos->h->up[m])
            harness_up(chaos->h, m);
    harness_advance(chaos->h, deadline_ms + 100);
    chaos_read();
    chaos_judge();
    harness_free(chaos->h);
    free(chaos);
}

Test(chaos, each_increment_counts_once_in_order_and_nothing_false_is_told)
{
    for (uint64_t seed = 1; seed <= 40; seed++)
        chaos_run(seed, (unsigned)(seed % 4) * 100 + 20, 10000);
}

Test(chaos, and_when_many_run_into_their_deadline)
{
    for (uint64_t seed = 100; seed <= 140; seed++)
        chaos_run(seed, 400, 200);
}
