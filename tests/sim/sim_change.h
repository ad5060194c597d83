/* Changes of the ring map, as operators ask for them: the next map, made from the present one with
 * what ring-admin makes it with. In most seeds only the epoch or a data key is new; in those with
 * spare nodes members come and go.
 *
 * What an operator does to machines belongs to it: a spare node is installed, the one that is to be
 * removed by force is dead (the victim, whose disk may rot: nobody else's copies may go without a
 * hand-over), or is only taken for dead, because it hears none of the other nodes, who may hear
 * it or not, though it hears routers; and one whose disk was wiped
 * is replaced. What he would be told not to do is not done: nobody is removed without whom a group
 * has no majority of its voters.
 */
#ifndef TESTS_SIM_SIM_CHANGE_H
#define TESTS_SIM_SIM_CHANGE_H

#include "ring/ringmap.h"

struct sim_admin;

/* The next map, to be freed with ringmap_deinit(), and what it is for, enum sim_change; false:
 * there is nothing to be changed now. */
bool sim_change_next(struct sim_admin *admin, const struct ringmap *now, struct ringmap *next,
                     uint8_t *kind);
/* The same when all faults are over: until it returns false, there is something to be mended. */
bool sim_change_mend(struct sim_admin *admin, const struct ringmap *now, struct ringmap *next,
                     uint8_t *kind);

#endif
