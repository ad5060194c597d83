#include "replication/keyqueue.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#define BUCKETS_MIN 64u
#define BUCKETS_MAX 16384u

int keyqueue_init(struct keyqueue *queue, const struct keyqueue_options *options)
{
    uint32_t count = BUCKETS_MIN;

    assert(options->tickets_max >= 1);
    assert(options->nodes_max >= 1);
    while (count < options->nodes_max && count < BUCKETS_MAX)
        count *= 2;
    *queue = (struct keyqueue){.options = *options, .bucket_count = count};
    queue->buckets = calloc(count, sizeof(struct keyqueue_node *));
    return queue->buckets ? 0 : -ENOMEM;
}

void keyqueue_deinit(struct keyqueue *queue)
{
    assert(queue->ticket_count == 0);
    assert(queue->node_count == 0);
    assert(!queue->ready_first);
    free(queue->buckets);
    *queue = (struct keyqueue){0};
}

static uint32_t bucket_of(const struct keyqueue *queue, uint16_t partition,
                          const struct keydir_digest *digest)
{
    uint64_t mixed = digest->low ^ (partition * UINT64_C(0x9E3779B97F4A7C15));

    return (uint32_t)(mixed >> 32 ^ mixed) & (queue->bucket_count - 1);
}

/* The link that holds the head of the key's queue, or the empty link at the end of its bucket. */
static struct keyqueue_node **head_link(const struct keyqueue *queue, uint16_t partition,
                                        const struct keydir_digest *digest)
{
    struct keyqueue_node **link = &queue->buckets[bucket_of(queue, partition, digest)];

    while (*link && ((*link)->partition != partition || (*link)->digest.low != digest->low ||
                     (*link)->digest.high != digest->high))
        link = &(*link)->chain;
    return link;
}

bool keyqueue_blocked(const struct keyqueue *queue, uint16_t partition,
                      const struct keydir_digest *digests, uint32_t count)
{
    if (queue->ticket_count == 0)
        return false;
    for (uint32_t i = 0; i < count; i++) {
        if (*head_link(queue, partition, &digests[i]))
            return true;
    }
    return false;
}

static void enqueue(struct keyqueue *queue, struct keyqueue_node *node,
                    struct keyqueue_ticket *ticket)
{
    struct keyqueue_node **link = head_link(queue, node->partition, &node->digest);
    struct keyqueue_node *head = *link;

    if (!head) {
        *link = node;
        node->tail = node;
    } else if (head->tail->ticket == ticket) {
        return; /* this operation names the key again: one place is enough */
    } else {
        node->previous = head->tail;
        head->tail->next = node;
        head->tail = node;
        ticket->waiting++;
    }
    node->ticket = ticket;
}

int keyqueue_enter(struct keyqueue *queue, struct keyqueue_ticket *ticket,
                   struct keyqueue_node *nodes, uint16_t partition,
                   const struct keydir_digest *digests, uint32_t count)
{
    assert(count >= 1);
    if (queue->ticket_count >= queue->options.tickets_max ||
        count > queue->options.nodes_max - queue->node_count)
        return KEYQUEUE_E_FULL;
    *ticket = (struct keyqueue_ticket){
        .operation = ticket->operation,
        .nodes = nodes,
        .node_count = count,
        .entered = true,
        .number = queue->next_number++,
    };
    for (uint32_t i = 0; i < count; i++) {
        nodes[i] = (struct keyqueue_node){.digest = digests[i], .partition = partition};
        enqueue(queue, &nodes[i], ticket);
    }
    queue->ticket_count++;
    queue->node_count += count;
    return 0;
}

bool keyqueue_ready(const struct keyqueue_ticket *ticket)
{
    assert(ticket->entered);
    return ticket->waiting == 0;
}

static void list_ready(struct keyqueue *queue, struct keyqueue_ticket *ticket)
{
    assert(!ticket->listed);
    ticket->listed = true;
    ticket->ready_next = NULL;
    ticket->ready_previous = queue->ready_last;
    if (queue->ready_last)
        queue->ready_last->ready_next = ticket;
    else
        queue->ready_first = ticket;
    queue->ready_last = ticket;
}

static void unlist_ready(struct keyqueue *queue, struct keyqueue_ticket *ticket)
{
    assert(ticket->listed);
    if (ticket->ready_previous)
        ticket->ready_previous->ready_next = ticket->ready_next;
    else
        queue->ready_first = ticket->ready_next;
    if (ticket->ready_next)
        ticket->ready_next->ready_previous = ticket->ready_previous;
    else
        queue->ready_last = ticket->ready_previous;
    ticket->listed = false;
    ticket->ready_next = NULL;
    ticket->ready_previous = NULL;
}

static void dequeue(struct keyqueue *queue, struct keyqueue_node *node)
{
    struct keyqueue_node **link = head_link(queue, node->partition, &node->digest);
    struct keyqueue_node *next = node->next;

    assert(*link);
    if (node->previous) {
        node->previous->next = next;
        if (next)
            next->previous = node->previous;
        else
            (*link)->tail = node->previous;
        return;
    }
    assert(*link == node);
    if (!next) {
        *link = node->chain;
        return;
    }
    next->previous = NULL;
    next->tail = node->tail;
    next->chain = node->chain;
    *link = next;
    assert(next->ticket->waiting > 0);
    next->ticket->waiting--;
    if (next->ticket->waiting == 0)
        list_ready(queue, next->ticket);
}

void keyqueue_leave(struct keyqueue *queue, struct keyqueue_ticket *ticket)
{
    assert(ticket->entered);
    for (uint32_t i = 0; i < ticket->node_count; i++) {
        if (ticket->nodes[i].ticket)
            dequeue(queue, &ticket->nodes[i]);
    }
    if (ticket->listed)
        unlist_ready(queue, ticket);
    assert(queue->ticket_count > 0);
    queue->ticket_count--;
    assert(queue->node_count >= ticket->node_count);
    queue->node_count -= ticket->node_count;
    ticket->entered = false;
}

struct keyqueue_ticket *keyqueue_next_ready(struct keyqueue *queue)
{
    struct keyqueue_ticket *ticket = queue->ready_first;

    if (ticket)
        unlist_ready(queue, ticket);
    return ticket;
}

/* Counted at its first queued node, so once. */
static void check_ticket(const struct keyqueue_ticket *ticket)
{
    uint32_t waiting = 0;

    assert(ticket->entered);
    for (uint32_t i = 0; i < ticket->node_count; i++) {
        const struct keyqueue_node *node = &ticket->nodes[i];

        assert(!node->ticket || node->ticket == ticket);
        if (node->ticket && node->previous)
            waiting++;
    }
    assert(waiting == ticket->waiting);
    assert(!ticket->listed || ticket->waiting == 0);
}

static void check_queue(const struct keyqueue *queue, const struct keyqueue_node *head,
                        uint32_t *tickets, uint32_t *nodes)
{
    const struct keyqueue_node *previous = NULL;

    assert(*head_link(queue, head->partition, &head->digest) == head);
    for (const struct keyqueue_node *node = head; node; previous = node, node = node->next) {
        assert(node->previous == previous);
        assert(node->partition == head->partition);
        assert(node->digest.low == head->digest.low);
        assert(node->digest.high == head->digest.high);
        assert(!previous || previous->ticket->number < node->ticket->number);
        if (node == &node->ticket->nodes[0]) {
            check_ticket(node->ticket);
            (*tickets)++;
            *nodes += node->ticket->node_count;
        }
    }
    assert(head->tail == previous);
}

void keyqueue_check(const struct keyqueue *queue)
{
    uint32_t tickets = 0;
    uint32_t nodes = 0;

    for (uint32_t i = 0; i < queue->bucket_count; i++) {
        for (const struct keyqueue_node *head = queue->buckets[i]; head; head = head->chain)
            check_queue(queue, head, &tickets, &nodes);
    }
    assert(tickets == queue->ticket_count);
    assert(nodes == queue->node_count);
    assert(tickets <= queue->options.tickets_max);
    assert(nodes <= queue->options.nodes_max);
    for (const struct keyqueue_ticket *t = queue->ready_first; t; t = t->ready_next)
        assert(t->listed);
}
