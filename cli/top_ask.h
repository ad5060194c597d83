/* Top ask: has every shard of all nodes that are there say what it leads, for a top view. */
#ifndef CLI_TOP_ASK_H
#define CLI_TOP_ASK_H

#include "cli/cluster.h"
#include "cli/top_view.h"
#include "cli/view.h"

/* Its nodes, none of which has been heard; to be freed. NULL: no memory. */
struct top_member *top_members_of(const struct view *view);
/* sample_ms: keys are to be counted for so long; 0: only tell. top: takes the answers, its members
 * being those of the view; NULL: nobody wants them. 0 or -ENOMEM. */
int top_ask(struct top_view *top, struct cluster *cluster, const struct view *view,
            uint32_t sample_ms);

#endif
