#include "tests/process/program.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

void program_fail(const char *file, int line, const char *condition, const char *format, ...)
{
    va_list list;

    fflush(stdout);
    fprintf(stderr, "%s:%d: %s: ", file, line, condition);
    va_start(list, format);
    vfprintf(stderr, format, list);
    va_end(list);
    fputc('\n', stderr);
    _exit(1); /* children die with this process */
}

uint64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

void pause_ms(uint32_t ms)
{
    struct timespec left = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};

    while (nanosleep(&left, &left) != 0 && errno == EINTR)
        ;
}

uint32_t draw(uint32_t bound)
{
    uint32_t bits = 0;

    REQUIRE(getrandom(&bits, sizeof bits, 0) == (ssize_t)sizeof bits, "%s", strerror(errno));
    return bits % bound;
}

const char *program_path(const char *name, char path[PATH_MAX])
{
    ssize_t size = readlink("/proc/self/exe", path, PATH_MAX - 64);
    char *slash;

    REQUIRE(size > 0, "%s", strerror(errno));
    path[size] = 0;
    slash = strrchr(path, '/');
    snprintf(slash + 1, 63, "%s", name);
    return path;
}

static int temporary(void)
{
    char path[] = "/tmp/ringcask-process-XXXXXX";
    int fd = mkostemp(path, O_CLOEXEC);

    REQUIRE(fd >= 0, "%s", strerror(errno));
    unlink(path);
    return fd;
}

static void take(int fd, char *text, size_t size)
{
    ssize_t got = text ? pread(fd, text, size - 1, 0) : 0;

    if (text)
        text[got > 0 ? got : 0] = 0;
    close(fd);
}

int program_run(char *out, char *err, size_t size, uint32_t timeout_ms, const char *const *words)
{
    uint64_t until_ns = now_ns() + (uint64_t)timeout_ms * 1000000;
    int out_fd = temporary(), err_fd = temporary(), status, r;
    posix_spawn_file_actions_t actions;
    pid_t pid;

    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, out_fd, 1);
    posix_spawn_file_actions_adddup2(&actions, err_fd, 2);
    r = posix_spawnp(&pid, words[0], &actions, NULL, (char *const *)(uintptr_t)words, environ);
    posix_spawn_file_actions_destroy(&actions);
    REQUIRE(r == 0, "%s: %s", words[0], strerror(r));
    while (waitpid(pid, &status, WNOHANG) == 0) {
        if (now_ns() > until_ns)
            kill(pid, SIGKILL);
        pause_ms(2);
    }
    take(out_fd, out, size);
    take(err_fd, err, size);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

void file_write(const char *path, const void *bytes, size_t size)
{
    FILE *file = fopen(path, "we");

    REQUIRE(file, "%s: %s", path, strerror(errno));
    REQUIRE(fwrite(bytes, 1, size, file) == size, "%s: %s", path, strerror(errno));
    REQUIRE(fclose(file) == 0, "%s: %s", path, strerror(errno));
}

size_t file_read(const char *path, char *bytes, size_t size)
{
    FILE *file = fopen(path, "re");
    size_t got;

    REQUIRE(file, "%s: %s", path, strerror(errno));
    got = fread(bytes, 1, size - 1, file);
    bytes[got] = 0;
    fclose(file);
    return got;
}

uint64_t process_rss_kib(pid_t pid)
{
    char path[64], text[4096], *line;
    FILE *file;
    size_t got;

    snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    file = fopen(path, "re");
    if (!file)
        return 0;
    got = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[got] = 0;
    line = strstr(text, "VmRSS:");
    return line ? strtoull(line + 6, NULL, 10) : 0;
}

bool process_exists(pid_t pid)
{
    return kill(pid, 0) == 0;
}
