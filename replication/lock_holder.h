/* Lock holder: which process holds the flock of a file, for a message to people.
 *
 * From /proc/locks, as flock has no question of its own; of a process outside the own container
 * nothing is known. Owner: any thread.
 */
#ifndef REPLICATION_LOCK_HOLDER_H
#define REPLICATION_LOCK_HOLDER_H

#include <sys/types.h>

/* 0: nobody, or nobody that can be seen. */
pid_t lock_holder(const char *path);

#endif
