/* Map change: sends the next ring map to the cluster and tells what became of it.
 *
 * Any node hands it to the meta group's leader, which commits it only when it is the very next one
 * and may be. The same bytes are committed once at most, however often they are sent; so when an
 * answer was lost, the map that the cluster goes by now tells whether the change is in it. A node
 * that says that it could not hand it on is told to the operator, and another one is asked.
 */
#ifndef CLI_MAP_CHANGE_H
#define CLI_MAP_CHANGE_H

#include "cli/admin.h"

/* next: of admin->view.map's epoch + 1. Prints what went wrong. EXIT_CODE_OK: it is committed;
 * EXIT_CODE_CONFLICT: another came first; EXIT_CODE_FAILED: refused, or no node could
 * hand it on: nothing has changed; EXIT_CODE_UNREACHABLE: unknown. admin->view may have been
 * gathered again. */
enum exit_code map_change_send(struct admin *admin, const struct ringmap *next);
/* What another's change of that epoch, when next is not in the newest map, says of `next`. */
const char *map_change_conflict(uint64_t epoch, const struct ringmap *next);
/* Whether the members and wanted rows of `next` are those of `now`, be it as it was sent or some
 * maps later. */
bool map_change_holds(const struct ringmap *now, const struct ringmap *next);
/* Whether the way that `next` begins has ended, whatever others have changed since: where it went,
 * `now` is settled, or another way goes out from there. Not known, and then false, of one on which
 * no row was to change, when another has begun. */
bool map_change_ended(const struct ringmap *now, const struct ringmap *next);
/* Whether all that `next` says holds in `now`: settings and data keys too. */
bool map_change_is_in(const struct ringmap *now, const struct ringmap *next);

#endif
