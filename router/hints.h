/* Hints: who leads what, before anybody is asked in vain.
 *
 * By gossip members tell a digest of what they lead, which comes with LIVENESS. When it is another
 * than the one that was gone by, each shard of that member is asked (LEADERS_GET), and lanes that
 * have nothing to do go by the answer; those that have learn sooner from who refuses or answers
 * them. Of two claims that of the higher term holds. A hint may be wrong: the member says so, as
 * route.h has it.
 * Limits: one question a shard for each change of a digest, ROUTER_SENDS_MAX / 2 at a time.
 */
#ifndef ROUTER_HINTS_H
#define ROUTER_HINTS_H

#include "ring/link.h"

#include <stdint.h>

struct router;
struct router_effects;

/* The member leads what has that digest; 0: nothing, or it has not told. */
void hints_told(struct router *router, uint16_t member, uint64_t digest);
/* Adds the questions that are due. */
void hints_ask(struct router *router, struct router_effects *effects);
/* LEADERS from the member. */
void hints_take(struct router *router, uint16_t member, const struct link_message *message);

#endif
