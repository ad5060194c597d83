/* Next map: what a committed plan, and an abort, make of the ring map.
 *
 * A commit begins the way to a wanted map: placement as it was in `replicas`, the wanted rows in
 * `target`, members in the states they are to have on the way. The meta group's leader ends it when
 * all groups are there (ringmap_finished()). What moves nothing - a weight that changes no row, a
 * zone - is in effect at once. Members that are removed by force are in no row of either table from
 * then on: their groups go on without them.
 *
 * A plan that is under way may be given up for another: groups turn round wherever they are. What
 * they are to have next is placed anew from what they have now (next_map_from()), and `replicas`
 * stays but for who is removed.
 *
 * An abort is such a plan, with the shortest way: every group stays with what it has, the meta
 * group too, LEAVING members stay ACTIVE, and so do weights and zones. Rows of a map are equally
 * long, so while N changes a partition that has come to the new N goes back to where it came from;
 * and what lies on removed members goes on to its target, for there is nothing to go back to.
 *
 * Pure. Every result passes ringmap_next_problem().
 */
#ifndef RING_NEXT_MAP_H
#define RING_NEXT_MAP_H

#include "ring/ringmap.h"

/* Voters of a group's newest committed configuration; in a joint one those it is on its way to.
 * voter_count 0: unknown, as is what names a member that holds nothing by the map in question. */
struct next_map_held {
    uint16_t voters[RINGMAP_REPLICAS_MAX];
    uint32_t voter_count;
};

enum next_map_e {
    NEXT_MAP_E_OK,
    NEXT_MAP_E_SETTLED, /* no plan is under way */
};

/* wanted: of staged_wanted() on `now`, or while that is moving on next_map_from() of it. The caller
 * deinits *next on 0. 0 or -ENOMEM. */
int next_map_commit(const struct ringmap *now, const struct ringmap *wanted, struct ringmap *next);
/* What placement goes out from while `now` is moving: that map with `replicas` as the groups have
 * them, unequally long, and the meta group's voters too. It is not one to be sent. held: by
 * partition, and behind them the meta group. 0 or -ENOMEM. */
int next_map_from(const struct ringmap *now, const struct next_map_held *held,
                  struct ringmap *from);
/* held: as above. 0, NEXT_MAP_E_SETTLED or -ENOMEM. */
int next_map_abort(const struct ringmap *now, const struct next_map_held *held,
                   struct ringmap *next);

#endif
