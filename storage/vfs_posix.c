#include "storage/vfs.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define POSIX_IOV_MAX 64 /* pieces a system call takes at once; the rest goes in further calls */

struct vfs_posix {
    struct vfs base;
    int directory_fd;
};

/* No state besides the descriptor, which the kernel guards: calls from several threads are safe.
 * But for map, which its owner calls. */
struct posix_file {
    struct vfs_file base;
    int fd;
    const uint8_t *map; /* NULL: not mapped */
    uint64_t map_size;
};

int vfs_path_check(const char *path)
{
    assert(path);
    if (strnlen(path, VFS_PATH_SIZE_MAX + 1) > VFS_PATH_SIZE_MAX)
        return -ENAMETOOLONG;
    for (;;) {
        size_t part = strcspn(path, "/");
        bool dots = (part == 1 && path[0] == '.') || (part == 2 && memcmp(path, "..", 2) == 0);
        if (part == 0 || dots)
            return -EINVAL;
        if (path[part] == '\0')
            return 0;
        path += part + 1;
    }
}

static int posix_directory(struct vfs *vfs)
{
    return ((struct vfs_posix *)vfs)->directory_fd;
}

static int posix_fd(struct vfs_file *file)
{
    return ((struct posix_file *)file)->fd;
}

/* Opens a regular file; a folder, or a link in its place, is refused. Returns the fd or -errno. */
static int posix_open_fd(struct vfs *vfs, const char *path, int flags)
{
    int r = vfs_path_check(path);
    if (r < 0)
        return r;
    int fd;
    do {
        fd = openat(posix_directory(vfs), path, flags | O_CLOEXEC | O_NOFOLLOW, 0600);
    } while (fd < 0 && errno == EINTR);
    if (fd < 0)
        return -errno;
    struct stat status;
    r = fstat(fd, &status) == 0 ? 0 : -errno;
    if (r == 0 && !S_ISREG(status.st_mode))
        r = S_ISDIR(status.st_mode) ? -EISDIR : -EINVAL;
    if (r < 0) {
        close(fd);
        return r;
    }
    return fd;
}

static int posix_wrap(struct vfs *vfs, int fd, struct vfs_file **file)
{
    struct posix_file *opened = malloc(sizeof *opened);
    if (!opened) {
        close(fd);
        return -ENOMEM;
    }
    *opened = (struct posix_file){.base = {.vfs = vfs}, .fd = fd};
    *file = &opened->base;
    return 0;
}

static int posix_open(struct vfs *vfs, const char *path, unsigned flags, struct vfs_file **file)
{
    assert(!(flags & VFS_OPEN_CREATE) || (flags & VFS_OPEN_WRITE));
    assert(!(flags & VFS_OPEN_EXCLUSIVE) || (flags & VFS_OPEN_CREATE));
    int mode = flags & VFS_OPEN_WRITE ? O_RDWR : O_RDONLY;
    if (flags & VFS_OPEN_CREATE)
        mode |= O_CREAT;
    if (flags & VFS_OPEN_EXCLUSIVE)
        mode |= O_EXCL;
    int fd = posix_open_fd(vfs, path, mode);
    return fd < 0 ? fd : posix_wrap(vfs, fd, file);
}

static void posix_close(struct vfs_file *file)
{
    struct posix_file *own = (struct posix_file *)file;

    if (own->map)
        munmap((void *)(uintptr_t)own->map, own->map_size);
    close(posix_fd(file)); /* what was synced is durable; of the rest nothing was promised */
    free(file);
}

static int64_t posix_pread(struct vfs_file *file, void *buffer, size_t size, uint64_t offset)
{
    size_t done = 0;
    while (done < size) {
        ssize_t n =
            pread(posix_fd(file), (uint8_t *)buffer + done, size - done, (off_t)(offset + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            break;
        done += (size_t)n;
    }
    return (int64_t)done;
}

/* A read that the page cache serves in part comes back short, exactly like one at the end of the
 * file; only the next call tells: 0 is the end, EAGAIN a page that is not there. */
static int64_t posix_pread_nowait(struct vfs_file *file, void *buffer, size_t size, uint64_t offset)
{
    size_t done = 0;
    while (done < size) {
        struct iovec iov = {.iov_base = (uint8_t *)buffer + done, .iov_len = size - done};
        ssize_t n = preadv2(posix_fd(file), &iov, 1, (off_t)(offset + done), RWF_NOWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        /* A file system that cannot promise not to wait (EOPNOTSUPP, old kernels ENOSYS) is one
         * that always would. */
        if (n < 0 && (errno == EOPNOTSUPP || errno == ENOSYS))
            return -EAGAIN;
        if (n < 0)
            return -errno;
        if (n == 0)
            break;
        done += (size_t)n;
    }
    return (int64_t)done;
}

/* Drops the first `size` bytes of pieces[0 … count); returns the index of the first piece left. */
static int posix_iov_skip(struct iovec *pieces, int count, size_t size)
{
    int i = 0;
    while (i < count && size >= pieces[i].iov_len)
        size -= pieces[i++].iov_len;
    if (i < count) {
        pieces[i].iov_base = (uint8_t *)pieces[i].iov_base + size;
        pieces[i].iov_len -= size;
    }
    return i;
}

static int posix_pwritev(struct vfs_file *file, const struct iovec *iov, int iov_count,
                         uint64_t offset)
{
    while (iov_count > 0) {
        struct iovec pieces[POSIX_IOV_MAX];
        int count = iov_count < POSIX_IOV_MAX ? iov_count : POSIX_IOV_MAX;
        memcpy(pieces, iov, (size_t)count * sizeof *iov);
        /* Empty pieces are dropped first: a write of nothing returns 0 and would look stuck. */
        int first = posix_iov_skip(pieces, count, 0);
        while (first < count) {
            ssize_t n = pwritev(posix_fd(file), pieces + first, count - first, (off_t)offset);
            if (n < 0 && errno == EINTR)
                continue;
            if (n <= 0)
                return n < 0 ? -errno : -EIO;
            offset += (uint64_t)n;
            first += posix_iov_skip(pieces + first, count - first, (size_t)n);
        }
        iov += count;
        iov_count -= count;
    }
    return 0;
}

/* Never repeated, not even on EINTR: after a failed sync the kernel may have forgotten the pages,
 * and a second call that succeeds would lie. */
static int posix_sync(struct vfs_file *file)
{
    return fdatasync(posix_fd(file)) == 0 ? 0 : -errno;
}

static const uint8_t *posix_map(struct vfs_file *file, uint64_t size)
{
    struct posix_file *own = (struct posix_file *)file;
    void *map;

    if (own->map)
        return own->map_size == size ? own->map : NULL;
    map = mmap(NULL, size, PROT_READ, MAP_SHARED, own->fd, 0);
    if (map == MAP_FAILED)
        return NULL;
    madvise(map, size, MADV_RANDOM); /* advice: it works without */
    own->map = map;
    own->map_size = size;
    return map;
}

static void posix_sync_soon(struct vfs_file *file)
{
    sync_file_range(posix_fd(file), 0, 0, SYNC_FILE_RANGE_WRITE);
}

static int posix_size(struct vfs_file *file, uint64_t *size)
{
    struct stat status;
    if (fstat(posix_fd(file), &status) != 0)
        return -errno;
    *size = (uint64_t)status.st_size;
    return 0;
}

static int posix_truncate(struct vfs_file *file, uint64_t size)
{
    int r;
    do {
        r = ftruncate(posix_fd(file), (off_t)size);
    } while (r != 0 && errno == EINTR);
    return r == 0 ? 0 : -errno;
}

static int posix_reserve(struct vfs_file *file, uint64_t from, uint64_t to)
{
    int r;
    do {
        r = fallocate(posix_fd(file), 0, (off_t)from, (off_t)(to - from));
    } while (r != 0 && errno == EINTR);
    return r == 0 ? 0 : -errno;
}

static int posix_rename(struct vfs *vfs, const char *from, const char *to)
{
    int r = vfs_path_check(from);
    if (r == 0)
        r = vfs_path_check(to);
    if (r < 0)
        return r;
    int directory_fd = posix_directory(vfs);
    return renameat(directory_fd, from, directory_fd, to) == 0 ? 0 : -errno;
}

static int posix_remove(struct vfs *vfs, const char *path)
{
    int r = vfs_path_check(path);
    if (r < 0)
        return r;
    return unlinkat(posix_directory(vfs), path, 0) == 0 ? 0 : -errno;
}

/* Opens a folder for reading its names or syncing it. Returns the fd or -errno. */
static int posix_open_folder(struct vfs *vfs, const char *path)
{
    if (strcmp(path, ".") != 0) {
        int r = vfs_path_check(path);
        if (r < 0)
            return r;
    }
    int fd = openat(posix_directory(vfs), path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

static int posix_mkdir(struct vfs *vfs, const char *path)
{
    int r = vfs_path_check(path);
    if (r < 0)
        return r;
    if (mkdirat(posix_directory(vfs), path, 0700) == 0)
        return 0;
    if (errno != EEXIST)
        return -errno;
    int fd = posix_open_folder(vfs, path); /* it exists: but is it a folder? */
    if (fd < 0)
        return fd;
    close(fd);
    return 0;
}

static int posix_sync_dir(struct vfs *vfs, const char *path)
{
    int fd = posix_open_folder(vfs, path);
    if (fd < 0)
        return fd;
    int r = fsync(fd) == 0 ? 0 : -errno;
    close(fd);
    return r;
}

static int posix_list(struct vfs *vfs, const char *path, vfs_list_visit visit, void *context)
{
    int fd = posix_open_folder(vfs, path);
    if (fd < 0)
        return fd;
    DIR *folder = fdopendir(fd);
    if (!folder) {
        int r = -errno;
        close(fd);
        return r;
    }
    int r = 0;
    while (r == 0) {
        errno = 0;
        const struct dirent *entry = readdir(folder);
        if (!entry) {
            r = -errno;
            break;
        }
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            r = visit(context, entry->d_name);
    }
    closedir(folder);
    return r;
}

static int posix_lock(struct vfs *vfs, const char *path, struct vfs_file **file)
{
    int fd = posix_open_fd(vfs, path, O_RDWR | O_CREAT);
    if (fd < 0)
        return fd;
    /* flock, not fcntl: the latter would be given up by closing any other handle of the file. */
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        int r = -errno;
        close(fd);
        return r;
    }
    return posix_wrap(vfs, fd, file);
}

static int posix_space(struct vfs *vfs, uint64_t *bytes_free)
{
    struct statvfs status;
    if (fstatvfs(posix_directory(vfs), &status) != 0)
        return -errno;
    *bytes_free = (uint64_t)status.f_bavail * status.f_frsize;
    return 0;
}

static const struct vfs_ops posix_ops = {
    .open = posix_open,
    .close = posix_close,
    .pread = posix_pread,
    .pread_nowait = posix_pread_nowait,
    .pwritev = posix_pwritev,
    .sync = posix_sync,
    .map = posix_map,
    .sync_soon = posix_sync_soon,
    .size = posix_size,
    .truncate = posix_truncate,
    .reserve = posix_reserve,
    .rename = posix_rename,
    .remove = posix_remove,
    .mkdir = posix_mkdir,
    .sync_dir = posix_sync_dir,
    .list = posix_list,
    .lock = posix_lock,
    .space = posix_space,
};

int vfs_posix_open(struct vfs **vfs, const char *directory)
{
    int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    struct vfs_posix *posix = malloc(sizeof *posix);
    if (!posix) {
        close(fd);
        return -ENOMEM;
    }
    *posix = (struct vfs_posix){.base = {.ops = &posix_ops}, .directory_fd = fd};
    *vfs = &posix->base;
    return 0;
}

void vfs_posix_close(struct vfs *vfs)
{
    if (!vfs)
        return;
    close(posix_directory(vfs));
    free(vfs);
}
