/* Placement: which members hold each partition, and which of them leads it. Solved, not hashed.
 *
 * Guarantees, for the ACTIVE members of a map and R = min(N, their number) replicas a partition:
 *   - every partition has R replicas on R distinct members;
 *   - zones: each partition's replicas are spread over the zones as evenly as the zones' members
 *     allow. With at least R zones all of them are in distinct ones. With fewer, let L be the least
 *     level at which zones of min(members, L) places have R places together: a zone has that many
 *     replicas of each partition, or min(members, L - 1);
 *   - balance: a member holds at most one partition more or less than its ideal. Ideals share Q * R
 *     by weight among members that can take Q at most, in zones that can take Q times the bounds
 *     above: where zones do not bind, that is by weight alone;
 *   - of all tables that keep these rules, it is one with the fewest moves from the table before
 *     (replicas on members that did not hold the partition);
 *   - leaders: each member leads within one of Q * weight / (sum of weights) partitions, or within
 *     the least whole number for which the rows allow it; by the fewest changes of leaders;
 *   - the same maps give the same placement, on every machine.
 * So a map that keeps the rules already is left as it is. From nothing, counts are the ideals
 * rounded up or down. Members without a zone are together in the zone "".
 *
 * Method: ring/assign.h, once for replicas and once for leaders; see docs/placement.md.
 */
#ifndef RING_PLACEMENT_H
#define RING_PLACEMENT_H

#include "ring/ringmap.h"

enum placement_e { PLACEMENT_E_OK, PLACEMENT_E_NO_MEMBERS };

struct placement_cost {
    uint32_t moves;     /* replicas to be copied */
    uint32_t moves_min; /* a bound below that holds for any solution, found without solving */
    uint32_t leaders;   /* preferred leaders that change */
};

/* Fills map->replicas from nothing, first of a row the preferred leader, the others by ascending
 * id, then 0 for places without a member. Needs members, counts; touches nothing else.
 * Returns 0, PLACEMENT_E_NO_MEMBERS (none is ACTIVE) or -ENOMEM. */
int placement_solve(struct ringmap *map);

/* The same with the fewest moves from before->replicas; Q is that of the map, members (with the ids
 * they had), weights, zones and N may differ. before NULL: from nothing. Writes *cost on 0. */
int placement_change(const struct ringmap *before, struct ringmap *map,
                     struct placement_cost *cost);

#endif
