/* Vfs: the one list of what an operating system must give to storage.
 *
 * Storage never calls open(2) and its kin; it calls these, so that tests and the simulator can
 * put a disk under it that tears, fails and forgets. Three implementations: vfs_posix (files),
 * vfs_mem (tests), and the simulator's disk.
 *
 * Rules every implementation keeps:
 *  - Paths are relative to the directory the vfs was opened on; '/' separates folders. No empty,
 *    "." or ".." part: -EINVAL; too long: -ENAMETOOLONG. For sync_dir and list alone, "." is the
 *    directory itself.
 *  - A write is durable only after vfs_sync() of the file; a created, renamed or removed name only
 *    after vfs_sync_dir() of its folder.
 *  - pread, pwritev and sync may be called from another thread than the rest, one call a file at
 *    a time for writes; reads may overlap anything.
 *  - Short reads happen only at the end of the file. Short writes are finished inside or end in
 *    -ENOSPC/-EIO; what part reached the file is then undefined.
 *  - A file that is removed or renamed over lives on for those who have it open.
 *  - All functions return 0 or a count on success and -errno on failure; -EAGAIN only where said.
 *    Errors that callers tell apart: -ENOENT no such name, -EEXIST, -EISDIR a folder where a file
 *    is wanted, -ENOTDIR the reverse, what vfs_is_full() knows; and -EMFILE or -ENFILE of open,
 *    lock, list and sync_dir: there is no descriptor, and nothing was changed.
 */
#ifndef STORAGE_VFS_H
#define STORAGE_VFS_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#define VFS_PATH_SIZE_MAX 255u

struct vfs;

/* One open file. Implementations embed it as their first member. */
struct vfs_file {
    struct vfs *vfs;
};

enum vfs_open_flags {
    VFS_OPEN_READ = 0,
    VFS_OPEN_WRITE = 1,     /* read and write */
    VFS_OPEN_CREATE = 2,    /* with WRITE: create when absent (mode 0600) */
    VFS_OPEN_EXCLUSIVE = 4, /* with CREATE: -EEXIST when present */
};

/* Called by vfs_list for each name of a folder, in no order. Non-zero ends the walk and is what
 * vfs_list returns. It must not call the vfs. */
typedef int (*vfs_list_visit)(void *context, const char *name);

struct vfs_ops {
    int (*open)(struct vfs *vfs, const char *path, unsigned flags, struct vfs_file **file);
    void (*close)(struct vfs_file *file);
    /* Returns bytes read, fewer than size only at the end of the file. */
    int64_t (*pread)(struct vfs_file *file, void *buffer, size_t size, uint64_t offset);
    /* Like pread but never waits for the disk: -EAGAIN when it would have to. */
    int64_t (*pread_nowait)(struct vfs_file *file, void *buffer, size_t size, uint64_t offset);
    int (*pwritev)(struct vfs_file *file, const struct iovec *iov, int iov_count, uint64_t offset);
    int (*sync)(struct vfs_file *file); /* fdatasync: data and what is needed to read it */
    /* NULL: the vfs has no files to map. */
    const uint8_t *(*map)(struct vfs_file *file, uint64_t size);
    /* May be NULL. Begins what a later sync will want done; promises nothing. */
    void (*sync_soon)(struct vfs_file *file);
    int (*size)(struct vfs_file *file, uint64_t *size);
    int (*truncate)(struct vfs_file *file, uint64_t size);
    /* NULL: the file system cannot. */
    int (*reserve)(struct vfs_file *file, uint64_t from, uint64_t to);
    int (*rename)(struct vfs *vfs, const char *from, const char *to); /* replaces a file `to` */
    int (*remove)(struct vfs *vfs, const char *path);
    int (*mkdir)(struct vfs *vfs, const char *path); /* 0 too when it exists */
    int (*sync_dir)(struct vfs *vfs, const char *path);
    int (*list)(struct vfs *vfs, const char *path, vfs_list_visit visit, void *context);
    /* Takes the exclusive lock of a file that it creates; -EWOULDBLOCK when another process or
     * another vfs holds it. The lock ends with close() of the file or with the process. */
    int (*lock)(struct vfs *vfs, const char *path, struct vfs_file **file);
    /* Bytes that can still be written. */
    int (*space)(struct vfs *vfs, uint64_t *bytes_free);
};

struct vfs {
    const struct vfs_ops *ops;
};

/* What a call that reads ended with: the disk does not give what is there - a bad sector, or a file
 * system that finds itself damaged - as if it were damaged. What somebody can set right, as too few
 * descriptors, too little memory or no permission, is something else. */
static inline bool vfs_is_unreadable(int64_t result)
{
    return result == -EIO || result == -EUCLEAN || result == -EBADMSG || result == -ENODATA;
}

/* What a call ended with: there is no room, on the disk or in a quota, of which vfs_space() may
 * know nothing. It is over when somebody makes room. -EFBIG is not: no room ends a limit to the
 * size of one file. */
static inline bool vfs_is_full(int result)
{
    return result == -ENOSPC || result == -EDQUOT;
}

static inline int vfs_open(struct vfs *vfs, const char *path, unsigned flags,
                           struct vfs_file **file)
{
    return vfs->ops->open(vfs, path, flags, file);
}
static inline void vfs_close(struct vfs_file *file)
{
    if (file)
        file->vfs->ops->close(file);
}
static inline int64_t vfs_pread(struct vfs_file *file, void *buffer, size_t size, uint64_t offset)
{
    return file->vfs->ops->pread(file, buffer, size, offset);
}
static inline int64_t vfs_pread_nowait(struct vfs_file *file, void *buffer, size_t size,
                                       uint64_t offset)
{
    return file->vfs->ops->pread_nowait(file, buffer, size, offset);
}
static inline int vfs_pwritev(struct vfs_file *file, const struct iovec *iov, int iov_count,
                              uint64_t offset)
{
    return file->vfs->ops->pwritev(file, iov, iov_count, offset);
}
static inline int vfs_sync(struct vfs_file *file)
{
    return file->vfs->ops->sync(file);
}
static inline void vfs_sync_soon(struct vfs_file *file)
{
    if (file->vfs->ops->sync_soon)
        file->vfs->ops->sync_soon(file);
}
static inline int vfs_size(struct vfs_file *file, uint64_t *size)
{
    return file->vfs->ops->size(file, size);
}
/* The first `size` bytes, > 0, of a file that nobody changes any more, for reading, until the file
 * is closed; always the same ones for a file. NULL: take vfs_pread(). Reading them where the disk
 * gives an error, or somebody has cut the file short, is a SIGBUS. */
static inline const uint8_t *vfs_map(struct vfs_file *file, uint64_t size)
{
    return file->vfs->ops->map ? file->vfs->ops->map(file, size) : NULL;
}
static inline int vfs_truncate(struct vfs_file *file, uint64_t size)
{
    return file->vfs->ops->truncate(file, size);
}
/* Lengthens the file from its end `from` to `to` by bytes that read as zeros and have their room on
 * the disk, without writing them: the sync behind the first write to them costs more. -EOPNOTSUPP:
 * write zeros. */
static inline int vfs_reserve(struct vfs_file *file, uint64_t from, uint64_t to)
{
    return file->vfs->ops->reserve ? file->vfs->ops->reserve(file, from, to) : -EOPNOTSUPP;
}
static inline int vfs_rename(struct vfs *vfs, const char *from, const char *to)
{
    return vfs->ops->rename(vfs, from, to);
}
static inline int vfs_remove(struct vfs *vfs, const char *path)
{
    return vfs->ops->remove(vfs, path);
}
static inline int vfs_mkdir(struct vfs *vfs, const char *path)
{
    return vfs->ops->mkdir(vfs, path);
}
static inline int vfs_sync_dir(struct vfs *vfs, const char *path)
{
    return vfs->ops->sync_dir(vfs, path);
}
static inline int vfs_list(struct vfs *vfs, const char *path, vfs_list_visit visit, void *context)
{
    return vfs->ops->list(vfs, path, visit, context);
}
static inline int vfs_lock(struct vfs *vfs, const char *path, struct vfs_file **file)
{
    return vfs->ops->lock(vfs, path, file);
}
static inline int vfs_space(struct vfs *vfs, uint64_t *bytes_free)
{
    return vfs->ops->space(vfs, bytes_free);
}

/* The rule for paths that is written at the top: 0, -EINVAL or -ENAMETOOLONG. */
int vfs_path_check(const char *path);

/* vfs_posix: a real folder, which must exist. `directory` is borrowed for the call: the folder is
 * held open, so that renaming it, or changing the working directory, does no harm. */
int vfs_posix_open(struct vfs **vfs, const char *directory);
void vfs_posix_close(struct vfs *vfs);

/* vfs_mem: files in memory, always durable; for unit tests. Every call may come from any thread. */
struct vfs *vfs_mem_new(void);             /* NULL: no memory */
struct vfs *vfs_mem_free(struct vfs *vfs); /* returns NULL; every file must be closed (asserted) */
/* All files together hold at most this many bytes (at first no limit): then -ENOSPC, with the
 * bytes that fitted written. */
void vfs_mem_set_capacity(struct vfs *vfs, uint64_t bytes);
/* The same of a quota: -EDQUOT, and vfs_space() does not know of it. */
void vfs_mem_set_quota(struct vfs *vfs, uint64_t bytes);
/* The n-th call from now (1: the next) fails once with -error (error > 0); 0 switches it off. A
 * failed write leaves half of its bytes behind. Every call counts but close, for which there is
 * nothing to fail. */
void vfs_mem_fail_after(struct vfs *vfs, uint64_t n, int error);
/* Calls so far, counted in the same way: tells a sweep how far it has to go. */
uint64_t vfs_mem_calls(const struct vfs *vfs);
/* Cold: pread_nowait answers -EAGAIN, as if nothing were in the page cache. */
void vfs_mem_set_cold(struct vfs *vfs, bool cold);

#endif
