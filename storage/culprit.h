/* Culprit: the file that a failure was about, and what to do about it, for the one line with which
 * a program refuses to start.
 *
 * What failed lies deep below, and only its -errno came up. So the file is looked for behind it: it
 * is the first one that cannot be opened, for that very reason. Nothing is created or changed. No
 * limits; all calls are straight I/O.
 */
#ifndef STORAGE_CULPRIT_H
#define STORAGE_CULPRIT_H

#include "storage/filename.h"
#include "storage/vfs.h"

/* The first of the names, each relative to the vfs, that cannot be opened for this -errno; NULL:
 * none. */
const char *culprit_named(struct vfs *vfs, const char *const *names, size_t count, int error);
/* The same of a shard's folder: itself, or one of its files. False: none. */
bool culprit_in_shard(struct vfs *vfs, const char *folder, int error,
                      char path[FILENAME_PATH_SIZE]);
/* What to do about it, half a sentence: "let the user …". Static. */
const char *culprit_advice(int error);

#endif
