/* Ticket peers: who is connected by the old secret of a rotation, as the nodes tell: routers,
 * admins and nodes that are joining. They are out when it is retired. Each is told once, by its
 * key, how ever many nodes it is linked to. */
#ifndef CLI_TICKET_PEERS_H
#define CLI_TICKET_PEERS_H

#include "cli/admin.h"
#include "ring/wire_peers.h"

struct ticket_peer {
    struct wire_peer peer; /* the address is of its end of the link to `node` */
    uint16_t node;         /* that has told of it first */
};

struct ticket_peers {
    struct ticket_peer *items;
    uint32_t count;
    uint32_t untold;                /* links that a node had no room to tell of */
    const struct view_node *silent; /* a member that has not answered, NULL: all have; the view's */
};

/* Asks all members. generation: of that secret. The caller deinits *peers whatever the result. 0 or
 * -ENOMEM. */
int ticket_peers_ask(struct ticket_peers *peers, struct admin *admin, uint32_t generation);
void ticket_peers_deinit(struct ticket_peers *peers);
/* The word for the peer's role; "any" for one that this version does not know: the number is a
 * node's, untrusted. */
const char *ticket_peer_role(const struct ticket_peer *peer);
/* How many, and a table of them. */
void ticket_peers_put(struct output *output, const struct ticket_peers *peers);

#endif
