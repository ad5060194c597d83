/* Wire peers: bodies of the messages that tell who has come by a secret.
 *
 *   PEERS_GET:   [generation]
 *   PEERS:       [count] then per peer an array [role, ticket, address, public_key bin]
 */
#ifndef RING_WIRE_PEERS_H
#define RING_WIRE_PEERS_H

#include "ring/ringmap.h"
#include "ring/wire.h"

#define WIRE_PEERS_MAX 1024u /* are told; count is of all */

/* Who is linked and takes no part in the cluster: a router, an admin, a node that is joining. */
struct wire_peer {
    uint8_t role;    /* enum link_role */
    uint32_t ticket; /* that it came with; 0: the secret itself */
    char address[RINGMAP_ADDRESS_SIZE];
    uint8_t public_key[RINGMAP_KEY_SIZE]; /* of its process: nodes tell of one peer each */
};

/* generation: of the secret that they came by, or by a ticket that was made under it. */
void wire_put_peers_get(struct wire_buffer *buffer, uint32_t generation);
bool wire_get_peers_get(struct wire_cursor *cursor, uint32_t *generation);
void wire_put_peers_head(struct wire_buffer *buffer, uint32_t count);
bool wire_get_peers_head(struct wire_cursor *cursor, uint32_t *count);
void wire_put_peer(struct wire_buffer *buffer, const struct wire_peer *peer);
bool wire_get_peer(struct wire_cursor *cursor, struct wire_peer *peer);

#endif
