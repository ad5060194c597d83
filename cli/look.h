/* Look: one look after another at a cluster, by a command that waits for something in it.
 *
 * Each look asks the members of the newest map that is known, whoever of them runs; now and
 * then, when none answers, the seeds that the command was given. A look that nobody answers is a
 * miss, leaves the view as it was and takes as long as one that waits for who does not answer:
 * nodes that are all started again just now refuse at once. After LOOK_MISSES_MAX of them in a row
 * the wait is given up: it must not outlive the cluster that it waits for. Owner: one thread.
 */
#ifndef CLI_LOOK_H
#define CLI_LOOK_H

#include "cli/admin.h"

#define LOOK_MISSES_MAX 20u

/* Begins with zeros. */
struct look {
    uint32_t misses; /* in a row */
    uint16_t said;   /* the node that look_waits_for() has named last */
};

/* *seen: somebody has answered, and admin->view is new. known: for people, when it is given up:
 * what is known, and what to do next. Prints what is wrong. EXIT_CODE_OK: go on;
 * EXIT_CODE_UNREACHABLE: given up; EXIT_CODE_FAILED. */
enum exit_code look_again(struct look *look, struct admin *admin, const char *known, bool *seen);
/* Says, once of each in turn, that a node is waited for which does not answer; and of one that does
 * what it lacks, unless that is NULL: it may be on its way. */
void look_waits_for(struct look *look, const struct admin *admin, const struct view_node *node,
                    const char *lacks);

#endif
