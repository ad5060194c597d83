/* Plan view: a plan as people and programs see it, with the command that commits it. */
#ifndef CLI_PLAN_VIEW_H
#define CLI_PLAN_VIEW_H

#include "cli/output.h"
#include "cli/planning.h"

enum plan_view_stage {
    PLAN_VIEW_ASKED,     /* nobody has said that it is to be done */
    PLAN_VIEW_GOES,      /* it is committed next */
    PLAN_VIEW_COMMITTED, /* it has been */
};

/* words: what was asked for; moves: with a table of all moves, for programs. */
void plan_view(struct output *output, const struct view *view, const struct planning *planning,
               const char *words, enum plan_view_stage stage, bool moves);

#endif
