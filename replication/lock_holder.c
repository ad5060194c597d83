#include "replication/lock_holder.h"

#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>

#define LINES_MAX 100000u

/* "1: FLOCK  ADVISORY  WRITE 1234 08:01:131 0 EOF"; the inode alone: some file systems show another
 * device there than stat() does. */
pid_t lock_holder(const char *path)
{
    pid_t holder = 0;
    struct stat file;
    char line[256];
    FILE *locks;

    if (stat(path, &file) != 0 || !(locks = fopen("/proc/locks", "re")))
        return 0;
    for (unsigned i = 0; i < LINES_MAX && holder == 0 && fgets(line, sizeof line, locks); i++) {
        uint64_t inode = 0;
        int pid = 0;

        if (sscanf(line, "%*u: FLOCK %*s %*s %d %*x:%*x:%" SCNu64, &pid, &inode) == 2 &&
            inode == (uint64_t)file.st_ino && pid > 0)
            holder = pid;
    }
    fclose(locks);
    return holder;
}
