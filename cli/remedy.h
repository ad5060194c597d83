/* Remedy: what helps when a node is lost, of the commands that would be accepted now.
 *
 * Each is tried on the view as its command would: planned, and looked at for refusals; an abort,
 * for whom it would wait. So nobody is advised to type what is then refused. Pure: it asks nobody.
 */
#ifndef CLI_REMEDY_H
#define CLI_REMEDY_H

#include "cli/moves.h"
#include "cli/view.h"
#include "ring/plan.h"
#include "ring/staged.h"

#define REMEDY_TEXT_SIZE 384u

enum remedy_e {
    REMEDY_E_OK,
    REMEDY_E_SETTLED = NEXT_MAP_E_SETTLED,
    REMEDY_E_UNKNOWN, /* nobody says what some group has: it may have come to its target */
    REMEDY_E_NOTHING, /* no group that the plan waits for would go elsewhere */
};

struct remedy_abort {
    uint32_t waiting; /* groups that the plan waits for */
    uint32_t kept; /* partitions that go on to their target: what they had is on a removed node */
    const struct view_node *missing; /* needed all the same (moves_missing()); NULL: nobody */
};

/* The map of an abort of the plan under way, and what of it that would end. The caller deinits
 * *next on 0; *abort is filled then, and on REMEDY_E_NOTHING. 0, enum remedy_e or -ENOMEM. */
int remedy_abort(const struct view *view, const struct moves *moves, struct ringmap *next,
                 struct remedy_abort *abort);
/* Whether an abort would be accepted, and end: it needs nobody who is dead, or has a shard beyond
 * repair. */
bool remedy_can_abort(const struct view *view, const struct moves *moves);
/* Whether these changes would be accepted; they may be none. */
bool remedy_can_commit(const struct view *view, const struct moves *moves,
                       const struct staged *staged);
/* Of a node that is not alive, as `mend` of findings: "start it; if it is lost: ring-admin abort,
 * or ring-admin remove --force 5". view: founded; moves: of the same moment. */
void remedy_text(const struct view *view, const struct moves *moves, const struct view_node *node,
                 char *text, size_t size);

/* Of a node with a shard that is damaged beyond repair, which runs (view_is_lost): "ring-admin
 * leave 2, or ring-admin replace 2 4"; where others are broken, who would be given what it holds,
 * "ring-admin commit --auto leave 2 remove 3"; where nobody else can hold what it does, the node
 * that is to join first is called NEW. */
void remedy_lost_text(const struct view *view, const struct moves *moves,
                      const struct view_node *node, char *text, size_t size);

/* Whether these changes would be accepted if replicas might share a zone. */
bool remedy_can_share_zones(const struct view *view, const struct moves *moves,
                            const struct staged *staged);
/* As remedy_text(), of changes whose plan is refused as they need who is not alive, or
 * would leave a partition too few that are: the commands that would be accepted; "" if there is
 * none. words: of the changes, as typed. */
void remedy_without_dead(const struct view *view, const struct moves *moves,
                         const struct staged *staged, const struct plan *plan, const char *words,
                         char *text, size_t size);
/* Likewise, of changes whose plan is refused as they would give more to a node with a shard beyond
 * repair: the same beside the leaving of all that have one, and the removal of all who are dead. */
void remedy_with_lost(const struct view *view, const struct moves *moves,
                      const struct staged *staged, const struct plan *plan, const char *words,
                      char *text, size_t size);
/* Likewise, of changes whose plan is refused as too few would be active: the command with as many
 * replicas as they can hold. Only while a plan is under way, and not of changes that ask for more
 * replicas: otherwise `ring-admin set-replicas` comes first, or fewer are what was not wanted. */
void remedy_with_fewer(const struct view *view, const struct moves *moves,
                       const struct staged *staged, const struct plan *plan, const char *words,
                       char *text, size_t size);

#endif
