/* Assignment: gives each row its members, changing as little as possible of what it had before.
 *
 * Every row gets exactly `width` distinct members, each zone's count in a row and each member's
 * count over all rows stay within bounds, and the number of pairs (row, member) that were not there
 * before is the least that these rules allow; of such tables it is one that keeps the most of the
 * rows' first members. The answer is an exact optimum, not a heuristic.
 *
 * Method: a flow of least cost. Rows supply `width` units each, which run over (row, zone) and
 * member to one terminal; a new pair costs much, a kept one little or, for the first of a row,
 * nothing. Units are sent along shortest paths of the residual network, all paths of one length
 * before longer ones (primal-dual, Ford and Fulkerson 1962; along levels, as Dinic 1970). The arcs
 * of new pairs, rows times members, are never stored.
 * Time: a search looks at each pair once at most, 4 million for the largest cluster, which takes
 * milliseconds; there are as many searches as lengths of paths, a few dozen.
 *
 * Limits: width and zones per row as RINGMAP_REPLICAS_MAX says; either at most that many zones, or
 * every zone's bounds are 0 and 1. The same input gives the same answer on every machine.
 */
#ifndef RING_ASSIGN_H
#define RING_ASSIGN_H

#include <stdint.h>

#define ASSIGN_WIDTH_MAX 7u
#define ASSIGN_NONE      UINT16_MAX

/* All memory is the caller's and is borrowed for the call. */
struct assign {
    uint32_t rows;
    uint32_t width;   /* members of each row, 1 … ASSIGN_WIDTH_MAX */
    uint32_t members; /* numbered from 0, those of one zone behind one another */
    uint32_t zones;
    const uint32_t
        *zone_first; /* zones + 1: the members of zone z are zone_first[z] … [z + 1] - 1 */
    const uint32_t *zone_low; /* bounds of a zone's count in each row */
    const uint32_t *zone_high;
    const uint32_t *member_low; /* bounds of a member's count over all rows */
    const uint32_t *member_high;
    /* rows * before_width: what each row had; ASSIGN_NONE for a place without one, distinct else.
     */
    const uint16_t *before;
    uint32_t before_width; /* 1 … ASSIGN_WIDTH_MAX */
    /* rows * allowed_width: who may be in a row (`before` then names none else); NULL: anybody. */
    const uint16_t *allowed;
    uint32_t allowed_width;
    uint16_t *cells; /* rows * width, out; in no particular order within a row */
};

enum assign_e {
    ASSIGN_E_OK,
    ASSIGN_E_INFEASIBLE, /* no assignment keeps the bounds; cells hold nothing of use */
};

/* Returns 0, ASSIGN_E_INFEASIBLE or -ENOMEM. */
int assign_solve(const struct assign *assign);

#endif
