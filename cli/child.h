/* Child: a process of our own that is started, watched and stopped.
 *
 * It gets a process group of its own (Ctrl-C is for the parent alone), no open file but its log and
 * a pipe for its first line, and dies with the thread that started it, however that ends.
 */
#ifndef CLI_CHILD_H
#define CLI_CHILD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define CHILD_ARGUMENTS_MAX 24u

struct child {
    char *argv[CHILD_ARGUMENTS_MAX + 1]; /* owned */
    size_t argc;
    pid_t pid;  /* 0: not running */
    int output; /* read end of its stdout, -1 when not running */
    int status; /* of waitpid, when it has ended */
};

enum child_e {
    CHILD_E_OK,
    CHILD_E_ENDED,   /* it ended without the line; child->status */
    CHILD_E_TIMEOUT, /* no line in time */
    CHILD_E_SIGNAL,  /* signal_fd became readable first */
};

void child_init(struct child *child);
void child_deinit(struct child *child); /* it must have ended */
/* Copies. 0 or -ENOMEM. */
int child_add(struct child *child, const char *argument);
void child_clear(struct child *child); /* drops the arguments */
/* argv[0] is executed. log: file that its stderr is appended to. 0 or -errno. */
int child_start(struct child *child, const char *log);
/* Waits for the first line of its stdout. signal_fd: -1 for none. 0, a CHILD_E_… or -errno. */
int child_line(struct child *child, int signal_fd, uint32_t timeout_ms, char *line, size_t size);
/* True once after it has ended; child->status is set then. */
bool child_reap(struct child *child);
void child_signal(const struct child *child, int number);
/* SIGTERM to all, at most grace_ms of waiting, SIGKILL to those left; reaps all. */
void child_stop_all(struct child *const *children, size_t count, uint32_t grace_ms);

#endif
