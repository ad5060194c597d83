/* Slow sync: a disk that is slow to sync, for one process among many and while it runs. A library
 * to be preloaded (LD_PRELOAD): while the file $SLOW_SYNC_FOLDER/PID is there, each fdatasync of
 * the process takes as many milliseconds more as that file says. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static long extra_ms(void)
{
    const char *folder = getenv("SLOW_SYNC_FOLDER");
    char path[4096], text[16] = "";
    int fd;

    if (!folder)
        return 0;
    snprintf(path, sizeof path, "%s/%d", folder, (int)getpid());
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    if (read(fd, text, sizeof text - 1) < 0)
        text[0] = 0;
    close(fd);
    return strtol(text, NULL, 10);
}

int fdatasync(int fd)
{
    long ms = extra_ms();
    struct timespec pause = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};

    if (ms > 0)
        nanosleep(&pause, NULL);
    return (int)syscall(SYS_fdatasync, fd);
}
