/* Voters: who votes in the meta group.
 *
 * 5, 3 or 1 of the ACTIVE members, the most there are: an even number would stand no more failures.
 * Zones as even as the members allow, so with enough zones all voters are in distinct ones. Of all
 * such choices, one that keeps most of the map's present voters; after that who is alive, and
 * lowest ids. Who is not alive becomes a voter only where there are too few others: a group can
 * lose one that it has, but it cannot take in one that does not answer.
 */
#ifndef RING_VOTERS_H
#define RING_VOTERS_H

#include "ring/ringmap.h"

#include <stdbool.h>

enum voters_e { VOTERS_E_OK, VOTERS_E_NO_MEMBERS };

/* Sets the map's voters, by ascending id, from those it has. alive: by slot of the map; NULL: all
 * are. VOTERS_E_NO_MEMBERS: none is ACTIVE; nothing is changed. */
int voters_choose(struct ringmap *map, const bool *alive);

#endif
