/* Node tickets: the node's part of ring/tickets.h: the newest registry that is committed, durable
 * here and on its way to all members, and what is asked to be changed in it.
 *
 * It is learned as the ring map is: members tell each other which version they hold, and who hears
 * of a later one asks for it; a node takes it from members only, and has it in the file TICKETS
 * before it goes by it. Who hears of an earlier one gives its own: a member whose secret is old can
 * dial us when we cannot dial it. It is given to members only, for the cluster's secret is in it.
 * Version 1 follows from the founding's ticket; a node that joined with a ticket of its own has
 * none at first and asks whoever is up.
 *
 * Commands wait in line. The first is worked out against the newest registry, and what comes of it
 * goes to the meta group's leader; when another change came first, it is worked out again.
 *
 * Inside of node*.c, like node_internal.h, which includes it.
 */
#ifndef REPLICATION_NODE_TICKETS_H
#define REPLICATION_NODE_TICKETS_H

#include "replication/node.h"
#include "ring/tickets_command.h"

#define NODE_TICKET_COMMANDS_MAX 16u
#define NODE_TICKET_OTHERS_MAX   12u /* of those: the rest is for who has the secret */

/* A value for the meta group, on its way to the group's leader, wherever that is. */
struct node_attempt {
    uint64_t name; /* in messages to members: of the bytes */
    uint64_t due_ms, until_ms;
    uint32_t attempts;
    uint16_t leader; /* as the newest answer said; 0: unknown */
};

struct node_ticket_command {
    bool owned; /* it came with the secret */
    struct tickets_command command;
    struct shard_address from; /* role 0: nobody waits for an answer */
    uint64_t correlation;
    uint64_t until_ms;
};

struct node_tickets {
    bool known;
    bool damaged; /* TICKETS did not check at the start */
    struct tickets newest;
    uint64_t wanted_version; /* that was heard of last */
    uint16_t wanted_from;    /* and from whom */
    uint64_t ask_due_ms, tell_due_ms;
    uint32_t ask_turn, tell_turn;
    uint64_t told[RINGMAP_MEMBERS_MAX + 1]; /* the version that a member was told on its link */
    struct node_ticket_command commands[NODE_TICKET_COMMANDS_MAX];
    uint32_t command_count;
    uint64_t seen;   /* the first command waits until this version is here */
    uint8_t *change; /* what came of it, encoded; NULL: not worked out */
    size_t change_size;
    struct node_attempt attempt;
    struct tickets next; /* scratch */
};

/* At start: TICKETS, if there is one that checks, or version 1. 0 or -errno. */
int node_tickets_read(struct node *node);
void node_tickets_free(struct node *node);
/* A message of one of its types. False: of another. */
bool node_tickets_message(struct node *node, const struct node_event *event,
                          struct node_effects *effects);
/* The host's command; dropped when too many wait. */
void node_tickets_redeem(struct node *node, const struct tickets_command *command);
/* A link to the member came up, or went down. */
void node_tickets_link(struct node *node, uint16_t member);
void node_tickets_due(struct node *node, struct node_effects *effects);

#endif
