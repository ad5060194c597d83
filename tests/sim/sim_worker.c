#include "tests/sim/sim_main.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static bool read_all(int fd, void *bytes, size_t size)
{
    size_t at = 0;
    while (at < size) {
        ssize_t got = read(fd, (char *)bytes + at, size - at);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return false;
        at += (size_t)got;
    }
    return true;
}

void sim_worker_run(const struct sim_run_options *options, struct sim_result *out)
{
    int fds[2], status = 0;
    memset(out, 0, sizeof *out);
    (void)fflush(NULL);
    if (pipe(fds) != 0) {
        perror("sim: pipe");
        exit(1);
    }
    pid_t child = fork();
    if (child < 0) {
        perror("sim: fork");
        exit(1);
    }
    if (child == 0) {
        (void)close(fds[0]);
        sim_run_seed(options, out);
        (void)fflush(NULL);
        if (write(fds[1], out, sizeof *out) != (ssize_t)sizeof *out)
            _exit(1);
        exit(0); /* not _exit(): LeakSanitizer looks now */
    }
    (void)close(fds[1]);
    bool whole = read_all(fds[0], out, sizeof *out);
    (void)close(fds[0]);
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    if (whole && WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return;
    memset(out, 0, sizeof *out);
    out->seed = options->seed;
    out->failed = true;
    if (WIFSIGNALED(status))
        (void)snprintf(out->failure, sizeof out->failure, "a core died: %s (see its message above)",
                       strsignal(WTERMSIG(status)));
    else
        (void)snprintf(out->failure, sizeof out->failure, "a core died with exit code %d",
                       WEXITSTATUS(status));
}
