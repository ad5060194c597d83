/* Session: the router's side of exactly-once, one a lane.
 *
 * A session id is start time in ms << 20 | 20 random bits, so later sessions have greater ids. A
 * lane numbers its writes in the session from 1. When a partition has dropped the session, the lane
 * takes a new one and numbers again what certainly was never proposed. A partition makes no session
 * that is more than a day ahead of its clock: then the lane goes by that clock. */
#ifndef ROUTER_SESSION_H
#define ROUTER_SESSION_H

#include <stdint.h>

#define SESSION_ID_ANY 1u /* as id_min: the partition has named none */

struct session {
    uint64_t id;
    uint64_t sequence_last;
};

/* The sequence of one more write. */
uint64_t session_next(struct session *session);
/* Replaces it by a new one with an id ≥ id_min and greater than the old one's; where id_min is not,
 * the old one was too far ahead, and the new one is close to id_min. One that our clock does not
 * reach was named to this router alone. */
void session_renew(struct session *session, uint64_t id_min, uint64_t wall_ms, uint64_t random);

#endif
