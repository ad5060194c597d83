/* Verdict: is the cluster well, and if not, what mends it. Pure: from a view to two sentences.
 *
 * A replica counts when its node answers, it is not fenced, and it lacks at most VERDICT_LAG_MAX
 * of what its leader has committed (numbers of two nodes are never of the same moment). The cluster
 * tolerates as many more failures of nodes as every partition has counted replicas above its
 * majority. While a plan is under way each partition is judged by the better of the two rows that
 * the map has for it; members that are joining or removed are no part of the verdict.
 */
#ifndef CLI_VERDICT_H
#define CLI_VERDICT_H

#include "cli/view.h"

#define VERDICT_LAG_MAX  4096u
#define VERDICT_TEXT_MAX 1024u

enum verdict_state {
    VERDICT_HEALTHY,
    VERDICT_DEGRADED,    /* all data is served, with less in reserve; or the map cannot change */
    VERDICT_UNAVAILABLE, /* some partition has no leader or no majority */
    VERDICT_UNFOUNDED,
};

struct verdict {
    enum verdict_state state;
    uint32_t partitions, leaders, under_replicated, tolerates;
    char sentence[VERDICT_TEXT_MAX];
    char mend[VERDICT_TEXT_MAX]; /* the command that mends it; "" when healthy */
};

void verdict_reach(struct verdict *verdict, const struct view *view);
const char *verdict_state_name(enum verdict_state state);

#endif
