/* Placement: which members hold each partition, and which of them leads it. Solved, not hashed.
 *
 * Guarantees, for the ACTIVE members of a map, R = min(N, active members) replicas a partition and
 * a member's ideal = Q * R * weight / (sum of weights), capped at Q with the rest shared by weight
 * among the others:
 *   - every partition has R replicas on R distinct members;
 *   - a member holds at most one partition more or less than its ideal;
 *   - a zone's replicas are spread over the partitions as evenly as integers allow: each partition
 *     has floor or ceil of (the zone's replicas / Q) of them. So when no zone's members are due
 *     more than Q together (and there are then at least R zones), all replicas of a partition are
 *     in distinct zones. A zone that is due little more than Q is rounded down to Q as far as the
 *     bound of one partition a member allows. A zone that is due more than that keeps its share:
 *     balance goes before zones, and then some partitions have two replicas there;
 *   - leaders: a member leads as near to Q * weight / (sum of weights) partitions as the rows
 *     allow; within one of it whenever any choice of leaders is (the choice with the least sum of
 *     squared distances is taken, which has that property);
 *   - the same members give the same placement, on every machine.
 * Members without a zone are together in the zone "".
 *
 * Method: quotas are rounded zone by zone, then members are laid one after the other over the rows
 * of a Q * R table, column by column (McNaughton's wrap-around rule, 1959: an interval of at most Q
 * places meets no row twice). Exchanges between rows then mix who meets whom, so that the load of a
 * lost member falls on many, never worsening the spread over zones. Leaders come from shortest
 * augmenting paths. Downside: more different sets of R members are in use than in the unmixed
 * table, so the loss of a majority of some partition by several members failing together is
 * likelier, though each such loss is smaller.
 */
#ifndef RING_PLACEMENT_H
#define RING_PLACEMENT_H

#include "ring/ringmap.h"

enum placement_e { PLACEMENT_E_OK, PLACEMENT_E_NO_MEMBERS };

/* Fills map->replicas from nothing, first of a row the preferred leader, the others by ascending
 * id, then 0 for places without a member. Needs members, counts; touches nothing else.
 * Returns 0, PLACEMENT_E_NO_MEMBERS (none is ACTIVE) or -ENOMEM. */
int placement_solve(struct ringmap *map);

/* Sets the voters of the meta group: 5, 3 or 1 of the ACTIVE members, zones as even as possible,
 * then lowest ids. Returns 0 or PLACEMENT_E_NO_MEMBERS. */
int placement_meta_voters(struct ringmap *map);

#endif
