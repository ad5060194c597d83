/* Route: whom a lane asks, and how long it pauses before.
 *
 * What it goes by, best first: the leader that a NOT_LEADER named; who answered last; the wanted
 * row of the ring map, whose first is the preferred leader; while partitions move, the row that
 * they come from; and when none of these can be asked, any member that serves: it says whom else
 * its own map names, or has a newer one. All of it may be wrong: the member says so.
 *
 * Who is mute (pool.h) is passed over, even if a follower names it still: a leader that hears
 * nobody has a successor before its links are given up.
 */
#ifndef ROUTER_ROUTE_H
#define ROUTER_ROUTE_H

#include <stdbool.h>
#include <stdint.h>

struct lane;
struct router;

/* The member has a link and is not mute (pool.h). */
bool route_answers(const struct router *router, uint16_t member);
/* A member with a link, for a lane without a target; 0: none. Moves lane->place to it. */
uint16_t route_first(const struct router *router, struct lane *lane);
/* The next in that order that has a link, itself when it is the only one; 0: none. */
uint16_t route_next(const struct router *router, struct lane *lane);
/* After a stall: sets lane->target and returns the pause in ms. */
uint64_t route_after_stall(struct router *router, struct lane *lane);
/* A member that the map names for the partition has a link. The map is known. */
bool route_exists(const struct router *router, uint16_t partition);

#endif
