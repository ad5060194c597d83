/* Admin change: what the commands share that change the cluster by a plan: words to a plan, a plan
 * to a committed map, and the way to its end. */
#ifndef CLI_ADMIN_CHANGE_H
#define CLI_ADMIN_CHANGE_H

#include "cli/admin.h"
#include "cli/changes.h"
#include "cli/planning.h"

struct admin_change {
    struct admin *admin;
    struct staged staged;
    struct moves moves;
    struct planning planning;
    char words[CHANGES_WORDS_SIZE];
};

/* The plan for these changes of the cluster in admin->view. Prints what is wrong; that another plan
 * is under way is EXIT_CODE_CONFLICT, unless this may take its place (CHANGES_E_MOVING). The caller
 * gives *change to admin_change_close() whatever the result. */
enum exit_code admin_change_plan(struct admin_change *change, struct admin *admin,
                                 char *const *words, unsigned count);
void admin_change_close(struct admin_change *change);
/* Of a plan that is refused: EXIT_CODE_UNREACHABLE when the meta group has no majority, so that
 * nothing at all can be changed; otherwise EXIT_CODE_FAILED. */
enum exit_code admin_change_refused(const struct admin_change *change);
/* Until no plan is under way, with a bar. next: the map that was committed; another that takes its
 * place is EXIT_CODE_CONFLICT. NULL: whatever comes. */
enum exit_code admin_change_wait(struct admin *admin, const struct ringmap *next);
/* Prints the plan and, unless it is empty, commits it; waits when it is asked to, and then proves
 * of those who have left that they can be missed (cli/proof.h). A refused plan is
 * admin_change_refused(). */
enum exit_code admin_change_finish(struct admin_change *change, bool wait);
/* A command that is one change: plans, commits, and waits when it is asked to. */
int admin_change_run(const struct arguments *arguments, char *const *words, unsigned count);

#endif
