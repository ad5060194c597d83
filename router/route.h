/* Route: whom a lane asks, and how long it pauses before.
 *
 * What it goes by, best first: the leader that a NOT_LEADER named; who answered last; the row of
 * the ring map, whose first is the preferred leader. All of it may be wrong: the member says so.
 */
#ifndef ROUTER_ROUTE_H
#define ROUTER_ROUTE_H

#include <stdint.h>

struct lane;
struct router;

/* A member with a link, for a lane without a target; 0: none. Moves lane->place to it. */
uint16_t route_first(const struct router *router, struct lane *lane);
/* The next of the row that has a link, itself when it is the only one; 0: none. */
uint16_t route_next(const struct router *router, struct lane *lane);
/* After a stall: sets lane->target and returns the pause in ms. */
uint64_t route_after_stall(struct router *router, struct lane *lane);

#endif
