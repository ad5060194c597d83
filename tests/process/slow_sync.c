/* Slow sync: disks whose syncs all take the same, and one among them that turns slow while its
 * process runs. A library to be preloaded (LD_PRELOAD): each fdatasync takes $SLOW_SYNC_MS at
 * least, or what the file $SLOW_SYNC_FOLDER/PID says while that is there. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static long least_ms(void)
{
    const char *folder = getenv("SLOW_SYNC_FOLDER"), *usual = getenv("SLOW_SYNC_MS");
    char path[4096], text[16] = "";
    int fd = -1;

    if (folder) {
        snprintf(path, sizeof path, "%s/%d", folder, (int)getpid());
        fd = open(path, O_RDONLY | O_CLOEXEC);
    }
    if (fd < 0)
        return usual ? strtol(usual, NULL, 10) : 0;
    if (read(fd, text, sizeof text - 1) < 0)
        text[0] = 0;
    close(fd);
    return strtol(text, NULL, 10);
}

int fdatasync(int fd)
{
    struct timespec until;
    int r, error;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += least_ms() * 1000000;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    r = (int)syscall(SYS_fdatasync, fd);
    error = errno;
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR)
        ;
    errno = error;
    return r;
}
