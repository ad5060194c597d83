/* Keyqueue: operations of a shard that must wait for a disk read, first come first served a key.
 *
 * An operation that reads before it writes must see no other write of its keys between its read
 * and its pending write. With the values in memory that is so by itself: look-up, evaluation and
 * proposal are one step. Only when a value is on disk there is a gap, and for that time - from its
 * first read to its pending write - the operation holds the queues of all its keys.
 *
 * Use: an operation whose keys are not blocked and whose values are in memory never comes here.
 * One that must read from disk, or whose keys are blocked, enters all its queues in one call. It
 * may go on when it is at the head of all of them (ready), and leaves when its writes are pending
 * or it failed. A read enters only behind others (program order of a pipelining client); once it
 * is ready it takes the places of its records and leaves at once: records do not change, so cold
 * reads of one key run side by side.
 *
 * No deadlock: all queues are entered at once, so of two operations the earlier is before the
 * later in every queue they share. The earliest of all is always ready.
 *
 * Memory is intrusive: ticket and nodes are the operation's. A key is (partition, digest).
 * Invariants: a key without a node has no queue; nodes of a queue are in order of entering.
 * Limits: tickets_max, nodes_max; beyond them KEYQUEUE_E_FULL. Owner: one shard thread.
 */
#ifndef REPLICATION_KEYQUEUE_H
#define REPLICATION_KEYQUEUE_H

#include "storage/keydir.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct keyqueue_options {
    uint32_t tickets_max;
    uint32_t nodes_max; /* keys of all tickets together */
};

enum keyqueue_e { KEYQUEUE_E_OK, KEYQUEUE_E_FULL };

struct keyqueue_ticket;

struct keyqueue_node { /* private; one a key of the operation */
    struct keydir_digest digest;
    struct keyqueue_ticket *ticket; /* NULL: not queued (a repeated key) */
    struct keyqueue_node *next;     /* behind in the same queue */
    struct keyqueue_node *previous; /* NULL: the head */
    struct keyqueue_node *tail;     /* head only */
    struct keyqueue_node *chain;    /* head only: the next head of the bucket */
    uint16_t partition;
};

struct keyqueue_ticket {
    void *operation; /* the host's; untouched here */
    /* private */
    struct keyqueue_node *nodes;
    uint32_t node_count;
    uint32_t waiting; /* nodes that are not heads */
    uint64_t number;  /* in order of entering */
    bool entered;
    bool listed; /* in the list of those that became ready */
    struct keyqueue_ticket *ready_next, *ready_previous;
};

struct keyqueue {
    struct keyqueue_options options;
    struct keyqueue_node **buckets;
    uint32_t bucket_count; /* power of two */
    uint32_t ticket_count, node_count;
    uint64_t next_number;
    struct keyqueue_ticket *ready_first, *ready_last;
};

int keyqueue_init(struct keyqueue *queue, const struct keyqueue_options *options); /* -ENOMEM */
void keyqueue_deinit(struct keyqueue *queue); /* must be empty */

/* True when an operation is queued at any of the keys. */
bool keyqueue_blocked(const struct keyqueue *queue, uint16_t partition,
                      const struct keydir_digest *digests, uint32_t count);
/* Puts the ticket behind all that are queued at its keys (count ≥ 1, repeats allowed). ticket and
 * nodes (count of them) stay in place until keyqueue_leave(); only ticket->operation need be set.
 * 0 or KEYQUEUE_E_FULL (nothing changed). Ask keyqueue_ready() next: a ticket that is ready from
 * the start is not handed out by keyqueue_next_ready(). */
int keyqueue_enter(struct keyqueue *queue, struct keyqueue_ticket *ticket,
                   struct keyqueue_node *nodes, uint16_t partition,
                   const struct keydir_digest *digests, uint32_t count);
/* At the head of all its queues. */
bool keyqueue_ready(const struct keyqueue_ticket *ticket);
/* Takes it out of all its queues, ready or not (a deadline passed, leadership lost). Those that
 * became ready by that are listed for keyqueue_next_ready(). */
void keyqueue_leave(struct keyqueue *queue, struct keyqueue_ticket *ticket);
/* Takes the next ticket that became ready off the list, each once, in the order they became so;
 * NULL when there is none. It stays in its queues until keyqueue_leave(). */
struct keyqueue_ticket *keyqueue_next_ready(struct keyqueue *queue);

void keyqueue_check(const struct keyqueue *queue);

#endif
