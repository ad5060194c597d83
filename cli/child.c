#include "cli/child.h"

#include "cli/clock.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define EXEC_FAILED  127
#define WAIT_STEP_MS 5u

void child_init(struct child *child)
{
    *child = (struct child){.output = -1};
}

void child_clear(struct child *child)
{
    for (size_t i = 0; i < child->argc; i++)
        free(child->argv[i]);
    child->argc = 0;
}

void child_deinit(struct child *child)
{
    assert(child->pid == 0);
    child_clear(child);
}

int child_add(struct child *child, const char *argument)
{
    assert(child->argc < CHILD_ARGUMENTS_MAX);
    child->argv[child->argc] = strdup(argument);
    if (!child->argv[child->argc])
        return -ENOMEM;
    child->argv[++child->argc] = NULL;
    return 0;
}

/* After fork: only async-signal-safe calls. */
static void become(char *const *argv, pid_t parent, int in, int out, int err)
{
    sigset_t none;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) /* it died before the call above */
        _exit(EXEC_FAILED);
    setpgid(0, 0);
    if (dup2(in, 0) < 0 || dup2(out, 1) < 0 || dup2(err, 2) < 0)
        _exit(EXEC_FAILED);
    close_range(3, UINT_MAX, 0);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    execv(argv[0], argv);
    _exit(EXEC_FAILED);
}

int child_start(struct child *child, const char *log)
{
    int in, err, pipe_fds[2] = {-1, -1};
    pid_t parent = getpid();
    int r = 0;

    assert(child->pid == 0 && child->argc > 0);
    in = open("/dev/null", O_RDONLY | O_CLOEXEC);
    err = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (in < 0 || err < 0 || pipe2(pipe_fds, O_CLOEXEC) != 0)
        r = -errno;
    if (r == 0) {
        child->pid = fork();
        if (child->pid == 0)
            become(child->argv, parent, in, pipe_fds[1], err);
        if (child->pid < 0) {
            r = -errno;
            child->pid = 0;
        }
    }
    close(in);
    close(err);
    close(pipe_fds[1]);
    if (r == 0) {
        fcntl(pipe_fds[0], F_SETFL, O_NONBLOCK);
        child->output = pipe_fds[0];
    } else {
        close(pipe_fds[0]);
    }
    return r;
}

static void ended(struct child *child)
{
    close(child->output);
    child->output = -1;
    child->pid = 0;
}

bool child_reap(struct child *child)
{
    if (child->pid == 0 || waitpid(child->pid, &child->status, WNOHANG) != child->pid)
        return false;
    ended(child);
    return true;
}

/* Byte by byte: what follows the line stays in the pipe. 1: the line is whole, -1: end of file. */
static int read_line(int fd, char *line, size_t size, size_t *at)
{
    char byte;
    ssize_t got;

    while ((got = read(fd, &byte, 1)) == 1) {
        if (byte == '\n') {
            line[*at] = 0;
            return 1;
        }
        if (*at + 1 < size)
            line[(*at)++] = byte;
    }
    return got == 0 ? -1 : 0;
}

int child_line(struct child *child, int signal_fd, uint32_t timeout_ms, char *line, size_t size)
{
    uint64_t until_ms = clock_now_ms() + timeout_ms;
    size_t at = 0;

    for (;;) {
        struct pollfd fds[2] = {{.fd = child->output, .events = POLLIN},
                                {.fd = signal_fd, .events = POLLIN}};
        uint64_t now = clock_now_ms();
        int r = poll(fds, 2, now < until_ms ? (int)(until_ms - now) : 0);

        if (r < 0 && errno != EINTR)
            return -errno;
        if (r == 0)
            return CHILD_E_TIMEOUT;
        if (fds[0].revents) {
            r = read_line(child->output, line, size, &at);
            if (r > 0)
                return CHILD_E_OK;
            if (r < 0) {
                if (waitpid(child->pid, &child->status, 0) != child->pid)
                    return -errno;
                ended(child);
                return CHILD_E_ENDED;
            }
        } else if (fds[1].revents) {
            return CHILD_E_SIGNAL;
        }
    }
}

void child_signal(const struct child *child, int number)
{
    if (child->pid > 0)
        kill(child->pid, number);
}

void child_stop_all(struct child *const *children, size_t count, uint32_t grace_ms)
{
    uint64_t until_ms = clock_now_ms() + grace_ms;
    bool killed = false, running = true;

    for (size_t i = 0; i < count; i++) {
        /* A stopped one would not hear it. Not behind it: what looks at a process that ends
         * (LeakSanitizer) stops it, and would wait for ever. */
        child_signal(children[i], SIGCONT);
        child_signal(children[i], SIGTERM);
    }
    while (running) {
        running = false;
        for (size_t i = 0; i < count; i++) {
            (void)child_reap(children[i]);
            running |= children[i]->pid != 0;
        }
        if (!running)
            break;
        if (!killed && clock_now_ms() >= until_ms) {
            killed = true;
            for (size_t i = 0; i < count; i++)
                child_signal(children[i], SIGKILL);
        }
        clock_pause(WAIT_STEP_MS);
    }
}
