/* Plan view: a plan as people and programs see it, with the command that commits it. */
#ifndef CLI_PLAN_VIEW_H
#define CLI_PLAN_VIEW_H

#include "cli/output.h"
#include "cli/planning.h"

/* words: what was asked for; committed: it has been; moves: with a table of all moves, for
 * programs. */
void plan_view(struct output *output, const struct view *view, const struct planning *planning,
               const char *words, bool committed, bool moves);

#endif
