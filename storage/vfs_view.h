/* Vfs view: another vfs as it is now, with every change kept in memory.
 *
 * A store that is opened on a view recovers, seals and cleans up as always, but nothing of that
 * reaches the files below: so a folder can be read that another process is writing to, or that a
 * crash has left, without touching it. What is written goes into a list of pieces by file, read
 * over the bytes below; names that were removed or renamed are remembered. A file is the one that
 * had the name when it was first opened here, with the size that it had then.
 *
 * The bytes below are not copied: a writer that overwrites a file in place changes them here too.
 * Checksums find that out.
 *
 * Limits: made for the few writes of a recovery; reading costs a look at each piece of the file.
 * Owner: one thread, but pread may come from many as long as none writes. Sync does nothing; all
 * space is free; locks are granted.
 */
#ifndef STORAGE_VFS_VIEW_H
#define STORAGE_VFS_VIEW_H

#include "storage/vfs.h"

/* base: borrowed, must outlive it. NULL: no memory. */
struct vfs *vfs_view_new(struct vfs *base);
/* All files must be closed. NULL is allowed. */
void vfs_view_free(struct vfs *vfs);

#endif
