/* Next map: what a committed plan, and an abort, make of the ring map.
 *
 * A commit begins the way to a wanted map: placement as it was in `replicas`, the wanted rows in
 * `target`, members in the states they are to have on the way. The meta group's leader ends it when
 * all groups are there (ringmap_finished()). What moves nothing - a weight that changes no row, a
 * zone - is in effect at once. Members that are removed by force are in no row of either table from
 * then on: their groups go on without them.
 *
 * An abort is a way too, a short one: every partition stays with what it has, LEAVING members stay
 * ACTIVE, and so do weights, zones and the meta group's voters. Rows of a map are equally long, so
 * while N changes a partition that has come to the new N goes back to where it came from; and what
 * lies on removed members goes on to its target, for there is nothing to go back to.
 *
 * Pure. Every result passes ringmap_next_problem().
 */
#ifndef RING_NEXT_MAP_H
#define RING_NEXT_MAP_H

#include "ring/ringmap.h"

/* Voters of a group's newest committed configuration; in a joint one those it is on its way to.
 * voter_count 0: unknown. */
struct next_map_held {
    uint16_t voters[RINGMAP_REPLICAS_MAX];
    uint32_t voter_count;
};

enum next_map_e {
    NEXT_MAP_E_OK,
    NEXT_MAP_E_SETTLED, /* no plan is under way */
};

/* wanted: of staged_wanted() on `now`, which is settled. The caller deinits *next on 0. 0 or
 * -ENOMEM. */
int next_map_commit(const struct ringmap *now, const struct ringmap *wanted, struct ringmap *next);
/* held: by partition. 0, NEXT_MAP_E_SETTLED or -ENOMEM. */
int next_map_abort(const struct ringmap *now, const struct next_map_held *held,
                   struct ringmap *next);

#endif
