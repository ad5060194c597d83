#include "tests/sim/sim_main.h"

#include <errno.h>
#include <inttypes.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define HEAP_STEP (4 << 20)

static void give_up(const char *what)
{
    perror(what);
    exit(1);
}

/* Passes on what a run said, and takes out the assertion that it died of: one must not be mistaken
 * for another. "" when there is none. */
static void take_said(int fd, char *assertion, size_t size)
{
    char bytes[4096];
    ssize_t got;
    assertion[0] = '\0';
    (void)lseek(fd, 0, SEEK_SET);
    while ((got = read(fd, bytes, sizeof bytes - 1)) > 0) {
        bytes[got] = '\0';
        (void)fwrite(bytes, 1, (size_t)got, stderr);
        const char *at = strstr(bytes, "Assertion `");
        if (at && assertion[0] == '\0')
            (void)snprintf(assertion, size, " of %.*s", (int)strcspn(at, "\n"), at);
    }
    (void)fflush(stderr);
}

void sim_worker_run(const struct sim_run_options *options, struct sim_result *out)
{
    struct sim_result *shared =
        mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int said = memfd_create("stderr", 0), status = 0;
    if (shared == MAP_FAILED || said < 0)
        give_up("sim: memory");
    (void)fflush(NULL);
    pid_t child = fork();
    if (child < 0)
        give_up("sim: fork");
    if (child == 0) {
        if (dup2(said, STDERR_FILENO) < 0)
            give_up("sim: stderr");
        /* A run gives its memory back when it ends: each return to the system costs page faults. */
        (void)mallopt(M_MMAP_THRESHOLD, INT32_MAX);
        (void)mallopt(M_TRIM_THRESHOLD, INT32_MAX);
        (void)mallopt(M_TOP_PAD, HEAP_STEP);
        sim_run_seed(options, shared);
        exit(0); /* not _exit(): LeakSanitizer looks now */
    }
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    char assertion[sizeof out->failure / 2];
    take_said(said, assertion, sizeof assertion);
    *out = *shared;
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        *out = (struct sim_result){
            .seed = options->seed, .failed = true, .fault_count = shared->fault_count};
    if (WIFSIGNALED(status))
        (void)snprintf(out->failure, sizeof out->failure,
                       "a core died (%s)%s; see its message above", strsignal(WTERMSIG(status)),
                       assertion);
    else if (WEXITSTATUS(status) != 0)
        (void)snprintf(out->failure, sizeof out->failure, "a core died with exit code %d",
                       WEXITSTATUS(status));
    (void)munmap(shared, sizeof *shared);
    (void)close(said);
}
