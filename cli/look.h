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

struct look {
    uint32_t misses; /* in a row; begins with zeros */
};

/* *seen: somebody has answered, and admin->view is new. known: for people, when it is given up:
 * what is known, and what to do next. Prints what is wrong. EXIT_CODE_OK: go on;
 * EXIT_CODE_UNREACHABLE: given up; EXIT_CODE_FAILED. */
enum exit_code look_again(struct look *look, struct admin *admin, const char *known, bool *seen);

#endif
