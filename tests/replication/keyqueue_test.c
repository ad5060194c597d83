#include "replication/keyqueue.h"

#include "tests/replication/allocation.h"
#include "tests/dice.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <signal.h>

#define TICKETS  40u
#define KEYS_MAX 5u

struct operation {
    struct keyqueue_ticket ticket;
    struct keyqueue_node nodes[KEYS_MAX];
    struct keydir_digest digests[KEYS_MAX];
    uint32_t count;
    uint16_t partition;
    bool entered;
    bool told; /* that it is ready */
    uint64_t number;
};

static const struct keyqueue_options options = {.tickets_max = TICKETS, .nodes_max = 120};

static bool shares_key(const struct operation *a, const struct operation *b)
{
    for (uint32_t i = 0; a->partition == b->partition && i < a->count; i++) {
        for (uint32_t j = 0; j < b->count; j++) {
            if (a->digests[i].low == b->digests[j].low && a->digests[i].high == b->digests[j].high)
                return true;
        }
    }
    return false;
}

/* The model: an operation is ready when no earlier one that is still here shares a key. */
static bool model_ready(const struct operation *operations, const struct operation *one)
{
    for (uint32_t i = 0; i < TICKETS; i++) {
        const struct operation *other = &operations[i];

        if (other->entered && other->number < one->number && shares_key(other, one))
            return false;
    }
    return true;
}

static void compare(struct keyqueue *queue, struct operation *operations)
{
    struct keyqueue_ticket *ticket;

    keyqueue_check(queue);
    while ((ticket = keyqueue_next_ready(queue))) {
        struct operation *operation = ticket->operation;

        cr_assert(operation->entered);
        cr_assert(!operation->told, "told once");
        operation->told = true;
    }
    for (uint32_t i = 0; i < TICKETS; i++) {
        if (!operations[i].entered)
            continue;
        cr_assert_eq(keyqueue_ready(&operations[i].ticket),
                     model_ready(operations, &operations[i]));
        cr_assert_eq(operations[i].told, keyqueue_ready(&operations[i].ticket));
    }
}

static void enter(struct keyqueue *queue, struct operation *operations, struct operation *one,
                  struct dice *dice, uint64_t number)
{
    bool blocked = false;

    *one = (struct operation){.number = number,
                              .count = 1 + dice_pick(dice, KEYS_MAX),
                              .partition = (uint16_t)dice_pick(dice, 2)};
    one->ticket.operation = one;
    for (uint32_t i = 0; i < one->count; i++) {
        uint32_t key = dice_pick(dice, 12);

        one->digests[i] = (struct keydir_digest){.high = key, .low = key % 3};
    }
    for (uint32_t i = 0; i < TICKETS; i++)
        blocked |= operations[i].entered && shares_key(&operations[i], one);
    cr_assert_eq(keyqueue_blocked(queue, one->partition, one->digests, one->count), blocked);
    if (keyqueue_enter(queue, &one->ticket, one->nodes, one->partition, one->digests, one->count) ==
        KEYQUEUE_E_FULL) {
        cr_assert(queue->node_count + one->count > options.nodes_max);
        return;
    }
    one->entered = true;
    one->told = keyqueue_ready(&one->ticket);
    cr_assert_eq(one->told, !blocked);
}

static void leave(struct keyqueue *queue, struct operation *one)
{
    keyqueue_leave(queue, &one->ticket);
    one->entered = false;
}

Test(keyqueue, is_fifo_a_key_and_never_stops)
{
    for (uint64_t seed = 1; seed <= 60; seed++) {
        struct operation *operations = calloc(TICKETS, sizeof *operations);
        struct dice dice = {.state = seed};
        struct keyqueue queue;
        uint32_t left = 0;

        cr_assert_eq(keyqueue_init(&queue, &options), 0);
        for (uint64_t number = 1; number <= 800; number++) {
            struct operation *one = &operations[dice_pick(&dice, TICKETS)];

            if (!one->entered)
                enter(&queue, operations, one, &dice, number);
            else if (keyqueue_ready(&one->ticket) || dice_pick(&dice, 10) == 0)
                leave(&queue, one); /* done, or its deadline passed */
            compare(&queue, operations);
        }
        /* However the rest is ordered, somebody can always go. */
        do {
            left = 0;
            for (uint32_t i = 0; i < TICKETS; i++) {
                if (operations[i].entered && keyqueue_ready(&operations[i].ticket)) {
                    leave(&queue, &operations[i]);
                    left++;
                    compare(&queue, operations);
                }
            }
        } while (left > 0);
        for (uint32_t i = 0; i < TICKETS; i++)
            cr_assert(!operations[i].entered, "nobody waits for ever");
        keyqueue_deinit(&queue);
        free(operations);
    }
}

Test(keyqueue, an_operation_does_not_wait_for_itself)
{
    struct keydir_digest digests[3] = {{.low = 1}, {.low = 2}, {.low = 1}};
    struct keyqueue_ticket first = {0}, second = {0};
    struct keyqueue_node nodes[3], more[3];
    struct keyqueue queue;

    cr_assert_eq(keyqueue_init(&queue, &options), 0);
    cr_assert_eq(keyqueue_enter(&queue, &first, nodes, 4, digests, 3), 0);
    cr_assert(keyqueue_ready(&first));
    cr_assert_eq(keyqueue_enter(&queue, &second, more, 4, digests, 3), 0);
    cr_assert(!keyqueue_ready(&second));
    keyqueue_check(&queue);
    keyqueue_leave(&queue, &first);
    cr_assert_eq(keyqueue_next_ready(&queue), &second);
    cr_assert_null(keyqueue_next_ready(&queue));
    keyqueue_leave(&queue, &second);
    keyqueue_deinit(&queue);
}

Test(keyqueue, a_ticket_that_leaves_is_no_longer_listed_as_ready)
{
    struct keydir_digest digest = {.low = 1};
    struct keyqueue_ticket tickets[3] = {0};
    struct keyqueue_node nodes[3];
    struct keyqueue queue;

    cr_assert_eq(keyqueue_init(&queue, &options), 0);
    for (int i = 0; i < 3; i++)
        cr_assert_eq(keyqueue_enter(&queue, &tickets[i], &nodes[i], 0, &digest, 1), 0);
    keyqueue_leave(&queue, &tickets[0]);
    keyqueue_leave(&queue, &tickets[1]);
    keyqueue_check(&queue);
    cr_assert_eq(keyqueue_next_ready(&queue), &tickets[2]);
    cr_assert_null(keyqueue_next_ready(&queue));
    keyqueue_leave(&queue, &tickets[2]);
    keyqueue_deinit(&queue);
}

Test(keyqueue, the_same_digest_in_another_partition_is_another_key)
{
    struct keydir_digest digest = {.low = 1, .high = 2};
    struct keyqueue_ticket ticket = {0};
    struct keyqueue_node node;
    struct keyqueue queue;

    cr_assert_eq(keyqueue_init(&queue, &options), 0);
    cr_assert_eq(keyqueue_enter(&queue, &ticket, &node, 1, &digest, 1), 0);
    cr_assert(keyqueue_blocked(&queue, 1, &digest, 1));
    for (uint16_t partition = 2; partition < 2000; partition++)
        cr_assert(!keyqueue_blocked(&queue, partition, &digest, 1));
    keyqueue_leave(&queue, &ticket);
    keyqueue_deinit(&queue);
}

Test(keyqueue, refuses_beyond_its_bounds)
{
    const struct keyqueue_options small = {.tickets_max = 2, .nodes_max = 3};
    struct keydir_digest digests[4] = {{.low = 1}, {.low = 2}, {.low = 3}, {.low = 4}};
    struct keyqueue_ticket tickets[3] = {0};
    struct keyqueue_node nodes[3][4];
    struct keyqueue queue;

    cr_assert_eq(keyqueue_init(&queue, &small), 0);
    cr_assert_eq(keyqueue_enter(&queue, &tickets[0], nodes[0], 0, digests, 4), KEYQUEUE_E_FULL);
    cr_assert(!keyqueue_blocked(&queue, 0, digests, 4));
    cr_assert_eq(keyqueue_enter(&queue, &tickets[0], nodes[0], 0, digests, 2), 0);
    cr_assert_eq(keyqueue_enter(&queue, &tickets[1], nodes[1], 0, digests, 1), 0);
    cr_assert_eq(keyqueue_enter(&queue, &tickets[2], nodes[2], 0, digests, 1), KEYQUEUE_E_FULL);
    keyqueue_leave(&queue, &tickets[0]);
    cr_assert_eq(keyqueue_enter(&queue, &tickets[2], nodes[2], 0, digests, 2), 0);
    keyqueue_leave(&queue, &tickets[1]);
    keyqueue_leave(&queue, &tickets[2]);
    cr_assert_null(keyqueue_next_ready(&queue));
    keyqueue_deinit(&queue);
}

Test(keyqueue, init_without_memory_says_so)
{
    struct keyqueue queue;

    allocation_fails_in = 0;
    cr_assert_eq(keyqueue_init(&queue, &options), -ENOMEM);
}

Test(keyqueue, deinit_of_a_queue_in_use_asserts, .signal = SIGABRT)
{
    struct keydir_digest digest = {.low = 1};
    struct keyqueue_ticket ticket = {0};
    struct keyqueue_node node;
    struct keyqueue queue;

    cr_assert_eq(keyqueue_init(&queue, &options), 0);
    cr_assert_eq(keyqueue_enter(&queue, &ticket, &node, 0, &digest, 1), 0);
    keyqueue_deinit(&queue);
}
