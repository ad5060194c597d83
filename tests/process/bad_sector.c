/* Bad sector: a disk that gives nothing of one file. A library to be preloaded (LD_PRELOAD): each
 * pread of the file $BAD_SECTOR ends with EIO. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static int is_bad(int fd)
{
    const char *bad = getenv("BAD_SECTOR");
    char link[64], path[PATH_MAX];
    ssize_t size;

    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    size = bad ? readlink(link, path, sizeof path - 1) : -1;
    if (size < 0)
        return 0;
    path[size] = 0;
    return strcmp(path, bad) == 0;
}

ssize_t pread(int fd, void *buffer, size_t size, off_t offset)
{
    if (is_bad(fd)) {
        errno = EIO;
        return -1;
    }
    return syscall(SYS_pread64, fd, buffer, size, offset);
}
