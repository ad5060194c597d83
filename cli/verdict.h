/* Verdict: is the cluster well, and if not, what mends it. Pure: from a view to two sentences.
 *
 * Which replicas count cli/standing.h says. The cluster tolerates as many more failures of nodes as
 * every partition has counted voters above its majority, by the configuration that its leader
 * tells: a learner is none yet, and in a joint one both halves count. What is amiss is named by the
 * better of the two rows that the map has for a partition while a plan is under way, and by the
 * voters of the meta group: one of those that is damaged or behind makes nobody's data less safe,
 * but the next failure may leave a map that nothing can change. Members that are joining or removed
 * are no part of the verdict.
 */
#ifndef CLI_VERDICT_H
#define CLI_VERDICT_H

#include "cli/moves.h"
#include "cli/view.h"

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
    const char *then;            /* static: what if that does not help; NULL: nothing more */
};

/* moves: of the same moment; NULL only when no plan is under way. */
void verdict_reach(struct verdict *verdict, const struct view *view, const struct moves *moves);
const char *verdict_state_name(enum verdict_state state);

#endif
