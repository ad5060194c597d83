/* vfs_crash: files in memory with a page cache in front of the media, for crash tests.
 *
 * The fault model: a power cut keeps of every 512-byte sector written since the last sync of its
 * file either the old bytes or the new ones, each sector for itself; what was appended may be there
 * or not, with zeros in the holes. Names that were created, renamed or removed since the last
 * sync_dir of their folder are kept up to some point of their order. Synced bytes stay. */
#ifndef TESTS_VFS_CRASH_H
#define TESTS_VFS_CRASH_H

#include "storage/vfs.h"

struct vfs *vfs_crash_new(uint64_t seed);
void vfs_crash_free(struct vfs *vfs);
/* The n-th call that changes anything from now on is the last that takes effect (a write: in part);
 * from then on all calls answer -EIO. 0: never. */
void vfs_crash_cut_after(struct vfs *vfs, uint64_t n);
bool vfs_crash_is_cut(const struct vfs *vfs);
/* The power cut: loses and tears what was not synced. All files must be closed. */
void vfs_crash_restart(struct vfs *vfs);
/* Only the process ended: what was written is read back, and is lost by a later power cut. All
 * files must be closed. */
void vfs_crash_resume(struct vfs *vfs);
/* Damages the media: inverts one bit. */
void vfs_crash_flip(struct vfs *vfs, const char *path, uint64_t offset, unsigned bit);
uint64_t vfs_crash_random(struct vfs *vfs);
/* Bytes of a file as they are now; NULL when there is none. Borrowed. */
uint8_t *vfs_crash_bytes(struct vfs *vfs, const char *path, uint64_t *size);

#endif
