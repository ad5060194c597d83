/* Hearing: who may say what to a node, in one table of message, role and state.
 *
 * A link proves a key and a role. Of storage nodes the ring map then says whose key it is: nobody's
 * or a removed member's (a stranger, who may ask to join and hear that it was removed), that of a
 * member nobody has committed yet (JOINING: it gossips, gets the map and tells how it is), or that
 * of one that takes part (ACTIVE, LEAVING). Whoever holds a ticket of the role node becomes JOINING
 * by asking, so nothing that such a one says changes anything but what is known of itself.
 *
 * What is not heard is dropped without an answer. What is heard may still be refused, with one:
 * that is of whoever takes the message. Nothing is kept here.
 */
#ifndef REPLICATION_HEARING_H
#define REPLICATION_HEARING_H

#include <stdbool.h>
#include <stdint.h>

/* role: enum link_role; state: enum ringmap_state of a storage node, 0: the map does not name it;
 * of the other roles it says nothing. type: enum wire_type, or a number that is none. */

/* By the control plane: partition WIRE_PARTITION_NODE. */
bool hearing_node(uint8_t role, uint8_t state, uint8_t type);
/* By a shard: any other partition. */
bool hearing_shard(uint8_t role, uint8_t state, uint8_t type);

#endif
