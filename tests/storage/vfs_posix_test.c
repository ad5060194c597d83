#include "storage/vfs.h"

#include "alloc.h"
#include "vfs_contract.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/stat.h>
#include <unistd.h>

/* System calls as an unkind kernel would answer them: a signal first, then a few bytes at a time.
 * The linker leads the calls of vfs_posix.c here, see CMakeLists.txt. */
static size_t call_size_max; /* 0: as the kernel likes */
static unsigned calls_cut;
static int sync_error; /* what the next sync fails with; 0: none */

static bool call_interrupted(void)
{
    if (call_size_max == 0 || calls_cut++ % 2 == 1)
        return false;
    errno = EINTR;
    return true;
}

static size_t call_size(size_t size)
{
    return call_size_max > 0 && size > call_size_max ? call_size_max : size;
}

ssize_t __real_pread(int fd, void *buffer, size_t size, off_t offset);
ssize_t __wrap_pread(int fd, void *buffer, size_t size, off_t offset);
ssize_t __real_preadv2(int fd, const struct iovec *iov, int count, off_t offset, int flags);
ssize_t __wrap_preadv2(int fd, const struct iovec *iov, int count, off_t offset, int flags);
ssize_t __real_pwritev(int fd, const struct iovec *iov, int count, off_t offset);
ssize_t __wrap_pwritev(int fd, const struct iovec *iov, int count, off_t offset);
int __real_fdatasync(int fd);
int __wrap_fdatasync(int fd);
int __real_fsync(int fd);
int __wrap_fsync(int fd);

ssize_t __wrap_pread(int fd, void *buffer, size_t size, off_t offset)
{
    return call_interrupted() ? -1 : __real_pread(fd, buffer, call_size(size), offset);
}

/* Set: what preadv2 fails with; with call_size_max, after one call that succeeds. */
static int nowait_error;

ssize_t __wrap_preadv2(int fd, const struct iovec *iov, int count, off_t offset, int flags)
{
    if (nowait_error != 0 && (call_size_max == 0 || calls_cut > 1)) {
        errno = nowait_error;
        return -1;
    }
    cr_assert_eq(count, 1);
    cr_assert_eq(flags, RWF_NOWAIT);
    /* A file system may not know RWF_NOWAIT; the cut answers come from a plain read. */
    if (call_size_max > 0)
        return __wrap_pread(fd, iov->iov_base, iov->iov_len, offset);
    return __real_preadv2(fd, iov, count, offset, flags);
}

ssize_t __wrap_pwritev(int fd, const struct iovec *iov, int count, off_t offset)
{
    if (call_size_max == 0)
        return __real_pwritev(fd, iov, count, offset);
    if (call_interrupted())
        return -1;
    struct iovec pieces[1024];
    size_t left = call_size_max;
    int used = 0;
    for (; used < count && left > 0; used++) {
        pieces[used] = iov[used];
        if (pieces[used].iov_len > left)
            pieces[used].iov_len = left;
        left -= pieces[used].iov_len;
    }
    return __real_pwritev(fd, pieces, used, offset);
}

static bool sync_fails(void)
{
    errno = sync_error;
    sync_error = 0;
    return errno != 0;
}

int __wrap_fdatasync(int fd)
{
    return sync_fails() ? -1 : __real_fdatasync(fd);
}

int __wrap_fsync(int fd)
{
    return sync_fails() ? -1 : __real_fsync(fd);
}

static int remove_visit(const char *path, const struct stat *status, int type, struct FTW *walk)
{
    (void)status;
    (void)type;
    (void)walk;
    return remove(path);
}

static char directory[] = "/tmp/ringcask-vfs-XXXXXX"; /* of the posix vfs under test */

static void on_posix(void (*contract)(struct vfs *vfs))
{
    struct vfs *vfs = NULL;
    cr_assert_not_null(mkdtemp(directory));
    cr_assert_eq(vfs_posix_open(&vfs, directory), 0);
    contract(vfs);
    vfs_posix_close(vfs);
    cr_assert_eq(nftw(directory, remove_visit, 8, FTW_DEPTH | FTW_PHYS), 0);
}

#define X(name)                                                                                    \
    Test(vfs_posix, keeps_the_contract_of_##name)                                                  \
    {                                                                                              \
        on_posix(vfs_contract_##name);                                                             \
    }
VFS_CONTRACTS(X)
#undef X

static void posix_other_vfs(struct vfs *vfs)
{
    struct vfs_file *lock = NULL;
    struct vfs_file *second = NULL;
    struct vfs *other = NULL;
    cr_assert_eq(vfs_posix_open(&other, directory), 0);
    cr_assert_eq(vfs_lock(vfs, "LOCK", &lock), 0);
    cr_assert_eq(vfs_lock(other, "LOCK", &second), -EWOULDBLOCK);
    vfs_close(lock);
    cr_assert_eq(vfs_lock(other, "LOCK", &second), 0);
    vfs_close(second);
    vfs_posix_close(other);
}

Test(vfs_posix, lock_excludes_another_vfs)
{
    on_posix(posix_other_vfs);
}

static void posix_links(struct vfs *vfs)
{
    char path[64];
    struct stat status;
    struct vfs_file *file = NULL;
    snprintf(path, sizeof path, "%s/link", directory);
    vfs_close(vfs_contract_create(vfs, "target", "t"));
    cr_assert_eq(symlink("target", path), 0);
    cr_assert_eq(vfs_open(vfs, "link", VFS_OPEN_READ, &file), -ELOOP);
    cr_assert_eq(vfs_lock(vfs, "link", &file), -ELOOP);
    snprintf(path, sizeof path, "%s/target", directory);
    cr_assert_eq(stat(path, &status), 0);
    cr_assert_eq(status.st_mode & 0777, 0600, "keys lie in these files");
    snprintf(path, sizeof path, "%s/folder", directory);
    cr_assert_eq(vfs_mkdir(vfs, "folder"), 0);
    cr_assert_eq(stat(path, &status), 0);
    cr_assert_eq(status.st_mode & 0777, 0700);
}

Test(vfs_posix, follows_no_link_and_keeps_others_out)
{
    on_posix(posix_links);
}

static void posix_unkind(struct vfs *vfs)
{
    for (size_t n = 1; n < 8; n++) {
        call_size_max = n;
        vfs_contract_writes(vfs);
        cr_assert_eq(vfs_remove(vfs, "a"), 0);
        vfs_contract_reads(vfs);
        cr_assert_eq(vfs_remove(vfs, "a"), 0);
    }
    call_size_max = 0;
}

Test(vfs_posix, finishes_short_and_interrupted_calls)
{
    on_posix(posix_unkind);
}

static void posix_nowait(struct vfs *vfs)
{
    static const int errors[] = {EAGAIN, EOPNOTSUPP, ENOSYS};
    struct vfs_file *file = vfs_contract_create(vfs, "a", "0123456789");
    char bytes[16];
    for (size_t i = 0; i < 3; i++) {
        nowait_error = errors[i];
        cr_assert_eq(vfs_pread_nowait(file, bytes, 16, 0), -EAGAIN);
        call_size_max = 4; /* a part is in the cache, the rest is not */
        calls_cut = 0;
        cr_assert_eq(vfs_pread_nowait(file, bytes, 10, 0), -EAGAIN);
        call_size_max = 0;
    }
    nowait_error = EIO;
    cr_assert_eq(vfs_pread_nowait(file, bytes, 16, 0), -EIO);
    nowait_error = 0;
    vfs_close(file);
}

Test(vfs_posix, nowait_answers_all_or_again)
{
    on_posix(posix_nowait);
}

/* What is there stays; what is added reads as zeros and counts as taken. */
static void posix_reserves(struct vfs *vfs)
{
    struct vfs_file *file = vfs_contract_create(vfs, "a", "x");
    char path[64], bytes[3] = "yyy";
    struct stat status;
    uint64_t size;

    cr_assert_eq(vfs_reserve(file, 1, 1 << 20), 0);
    cr_assert_eq(vfs_size(file, &size), 0);
    cr_assert_eq(size, 1 << 20);
    cr_assert_eq(vfs_pread(file, bytes, 3, 0), 3);
    cr_assert_eq(memcmp(bytes, "x\0\0", 3), 0);
    snprintf(path, sizeof path, "%s/a", directory);
    cr_assert_eq(stat(path, &status), 0);
    cr_assert_geq(status.st_blocks * 512, 1 << 20);
    vfs_close(file);
}

Test(vfs_posix, reserves_room_without_writing)
{
    on_posix(posix_reserves);
}

static void posix_maps(struct vfs *vfs)
{
    struct vfs_file *file = vfs_contract_create(vfs, "a", "text");
    const uint8_t *map = vfs_map(file, 4);

    cr_assert(map);
    cr_assert_eq(memcmp(map, "text", 4), 0);
    cr_assert_eq(vfs_map(file, 4), map);
    cr_assert_null(vfs_map(file, 3), "it is for files that are done");
    vfs_close(file);
}

Test(vfs_posix, maps_a_file_until_it_is_closed)
{
    on_posix(posix_maps);
}

static void posix_errors(struct vfs *vfs)
{
    struct vfs_file *file = vfs_contract_create(vfs, "a", "x");
    struct rlimit limit = {.rlim_cur = 4096, .rlim_max = RLIM_INFINITY};
    static char bytes[8192];
    sync_error = EINTR;
    cr_assert_eq(vfs_sync(file), -EINTR, "a sync is never tried twice");
    sync_error = EIO;
    cr_assert_eq(vfs_sync(file), -EIO);
    sync_error = EIO;
    cr_assert_eq(vfs_sync_dir(vfs, "."), -EIO);
    cr_assert_eq(sync_error, 0, "the folder must really be synced");
    signal(SIGXFSZ, SIG_IGN);
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    cr_assert_eq(vfs_contract_write(file, bytes, sizeof bytes, 0), -EFBIG,
                 "a short write's error is told");
    cr_assert_eq(vfs_truncate(file, sizeof bytes), -EFBIG);
    limit.rlim_cur = RLIM_INFINITY;
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    vfs_close(file);
}

Test(vfs_posix, forwards_errors)
{
    on_posix(posix_errors);
}

Test(vfs_posix, open_of_no_folder_fails)
{
    struct vfs *vfs = NULL;
    cr_assert_eq(vfs_posix_open(&vfs, "/tmp/ringcask-no-such-folder/x"), -ENOENT);
    cr_assert_eq(vfs_posix_open(&vfs, "/dev/null"), -ENOTDIR);
    cr_assert_null(vfs);
    vfs_posix_close(NULL);
}

static void posix_without_memory(struct vfs *vfs)
{
    struct vfs *other = NULL;
    struct vfs_file *file = NULL;
    alloc_fail_after(1);
    cr_assert_eq(vfs_posix_open(&other, directory), -ENOMEM);
    alloc_fail_after(1);
    cr_assert_eq(vfs_open(vfs, "a", VFS_OPEN_WRITE | VFS_OPEN_CREATE, &file), -ENOMEM);
    alloc_fail_after(1);
    cr_assert_eq(vfs_lock(vfs, "a", &file), -ENOMEM);
    cr_assert_eq(vfs_lock(vfs, "a", &file), 0, "what failed must not keep the lock");
    vfs_close(file);
}

Test(vfs_posix, without_memory_is_enomem)
{
    on_posix(posix_without_memory);
}
