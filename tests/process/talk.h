/* Talk: what a process says that its role may not. */
#ifndef TESTS_PROCESS_TALK_H
#define TESTS_PROCESS_TALK_H

#include "ring/ticket.h"
#include "tests/process/fleet.h"

/* A router, let in by its ticket, says to node 1 what only admins and members may say. Each is
 * refused with a reason or not answered, and the cluster is what it was: its ring map, its terms,
 * who serves. */
void talk_of_router(struct fleet *fleet, const struct ticket *router);

#endif
