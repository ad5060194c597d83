/* Standing: which replicas count when one asks how many failures a group survives. Pure.
 *
 * A replica counts when its node answers for it, it is not fenced - an install fences it, too -,
 * it does not look for a leader in a term in which another leads, and it lacks of what is committed
 * at most STANDING_LAG_MAX entries (numbers of two nodes are never of the same moment), which the
 * leader's log still has, or while there is none the log of who has the most. That a process runs
 * says nothing of that: one that runs and is empty, damaged, far behind or cut off from the others,
 * be it in the reach of who asks, is no majority's half. Every command that says what is safe asks
 * here: `status`, `doctor`, each plan, the proof of `leave`.
 */
#ifndef CLI_STANDING_H
#define CLI_STANDING_H

#include "cli/moves.h"
#include "cli/view.h"

#define STANDING_LAG_MAX 4096u

/* Why a replica does not count. */
enum standing_lack {
    STANDING_SOUND,
    STANDING_SILENT,
    STANDING_FENCED,
    STANDING_CUT_OFF,
    STANDING_BEHIND,
};

struct standing {
    uint32_t members, good;
    int spare; /* good ones above the majority; below 0: there is none. Joint: the lesser of both */
};

/* group: a partition or WIRE_PARTITION_META; a member without a place in it is silent. */
enum standing_lack standing_lack(const struct view *view, uint16_t group, uint16_t member);
/* "is down", "is catching up"; of a replica that counts NULL. */
const char *standing_why(const struct view *view, uint16_t group, uint16_t member);
/* When these are its voters. */
struct standing standing_of_row(const struct view *view, uint16_t group, const uint16_t *row,
                                uint32_t count);
/* By the newest configuration that its leader tells; when none does, by the map's row, and while a
 * plan is under way by the worse of its two rows. */
struct standing standing_of_group(const struct view *view, const struct moves *moves,
                                  uint16_t group);

#endif
