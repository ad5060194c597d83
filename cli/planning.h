/* Planning: from what a cluster looks like and what is asked for to a plan, and to the map that
 * begins it. Pure: it asks nobody. */
#ifndef CLI_PLANNING_H
#define CLI_PLANNING_H

#include "cli/moves.h"
#include "cli/view.h"
#include "ring/plan.h"
#include "ring/staged.h"

#define PLANNING_HASH_SIZE      (2 * PLAN_HASH_SIZE + 1) /* as hexadecimal text */
#define PLANNING_HASH_SHOWN     16u                      /* digits that people are shown */
#define PLANNING_HASH_MIN       8u                       /* digits that they must give */
#define PLANNING_NOTE_SIZE      (4 * PLAN_NOTE_SIZE)     /* with those that are lacking */
#define PLANNING_MOVES_PER_NODE 4u /* as shards help learners beside clients */

struct planning {
    struct ringmap from;   /* of next_map_from() while a plan is under way; else none */
    struct ringmap wanted; /* as staged_wanted() has it */
    struct placement_cost cost;
    struct plan plan;
    struct ringmap next; /* what a commit sends; none when the plan is refused or empty */
    bool is_empty;       /* all is as it is asked for */
    bool sizes_known;    /* of every partition that is to be copied */
    char hash[PLANNING_HASH_SIZE];
};

/* Whether a plan may give it something, or leave it what it has. state: enum ringmap_state. */
bool planning_can_take_part(const struct view_node *node, uint8_t state);
/* view: founded. moves: of the same moment. A plan that is under way is replaced: it goes out from
 * what the groups have, and is refused while nobody says that of one. The caller gives *planning to
 * planning_deinit() whatever the result. 0 or -ENOMEM. */
int planning_make(struct planning *planning, const struct view *view, const struct moves *moves,
                  const struct staged *staged);
void planning_deinit(struct planning *planning);
/* Whether `hash`, the first digits of one, names this plan. */
bool planning_is(const struct planning *planning, const char *hash);
/* Whether the meta group has a majority that could commit a change; otherwise the text says whom it
 * lacks. size: PLANNING_NOTE_SIZE. */
bool planning_can_commit(const struct view *view, char *text, size_t size);
/* A note for people; where a group lacks some it says who does not count, and why. */
void planning_note_text(const struct view *view, const struct planning *planning,
                        const struct plan_note *note, char *text, size_t size);

#endif
