#include "vfs_contract.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct iovec piece(const void *bytes, size_t size)
{
    return (struct iovec){.iov_base = (void *)(uintptr_t)bytes, .iov_len = size};
}

int vfs_contract_write(struct vfs_file *file, const void *bytes, size_t size, uint64_t offset)
{
    struct iovec iov = piece(bytes, size);
    return vfs_pwritev(file, &iov, 1, offset);
}

struct vfs_file *vfs_contract_create(struct vfs *vfs, const char *path, const char *text)
{
    struct vfs_file *file = NULL;
    cr_assert_eq(vfs_open(vfs, path, VFS_OPEN_WRITE | VFS_OPEN_CREATE, &file), 0);
    cr_assert_eq(vfs_contract_write(file, text, strlen(text), 0), 0);
    return file;
}

void vfs_contract_expect(struct vfs_file *file, const char *text)
{
    char bytes[64];
    size_t size = strlen(text);
    cr_assert_eq(vfs_pread(file, bytes, sizeof bytes, 0), (int64_t)size);
    cr_assert_eq(memcmp(bytes, text, size), 0, "expected '%s'", text);
}

static void expect_text(struct vfs *vfs, const char *path, const char *text)
{
    struct vfs_file *file = NULL;
    cr_assert_eq(vfs_open(vfs, path, VFS_OPEN_READ, &file), 0, "%s", path);
    vfs_contract_expect(file, text);
    vfs_close(file);
}

static void expect_absent(struct vfs *vfs, const char *path)
{
    struct vfs_file *file = NULL;
    cr_assert_eq(vfs_open(vfs, path, VFS_OPEN_READ, &file), -ENOENT);
    cr_assert_null(file);
}

/* The contract: each of these runs on every implementation. */

void vfs_contract_open_flags(struct vfs *vfs)
{
    struct vfs_file *file = NULL;
    expect_absent(vfs, "a");
    cr_assert_eq(vfs_open(vfs, "a", VFS_OPEN_WRITE, &file), -ENOENT);
    vfs_close(vfs_contract_create(vfs, "a", "one"));
    cr_assert_eq(vfs_open(vfs, "a", VFS_OPEN_WRITE | VFS_OPEN_CREATE | VFS_OPEN_EXCLUSIVE, &file),
                 -EEXIST);
    cr_assert_eq(vfs_open(vfs, "b", VFS_OPEN_WRITE | VFS_OPEN_CREATE | VFS_OPEN_EXCLUSIVE, &file),
                 0);
    vfs_close(file);
    expect_text(vfs, "a", "one"); /* CREATE of what exists keeps it */
    vfs_close(vfs_contract_create(vfs, "a", ""));
    expect_text(vfs, "a", "one");
    cr_assert_eq(vfs_open(vfs, "a", VFS_OPEN_READ, &file), 0);
    cr_assert_lt(vfs_contract_write(file, "x", 1, 0), 0,
                 "a file opened for reading takes no writes");
    cr_assert_lt(vfs_truncate(file, 0), 0);
    vfs_close(file);
    expect_text(vfs, "a", "one");
    vfs_close(NULL);
}

void vfs_contract_paths(struct vfs *vfs)
{
    static const char *const bad[] = {"",    ".",   "..",   "/a",   "a/",       "a//b",
                                      "./a", "a/.", "../a", "a/..", "a/../../b"};
    char name[VFS_PATH_SIZE_MAX + 2];
    struct vfs_file *file = NULL;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        cr_assert_eq(vfs_open(vfs, bad[i], VFS_OPEN_WRITE | VFS_OPEN_CREATE, &file), -EINVAL);
        cr_assert_eq(vfs_lock(vfs, bad[i], &file), -EINVAL);
        cr_assert_eq(vfs_mkdir(vfs, bad[i]), -EINVAL);
        cr_assert_eq(vfs_remove(vfs, bad[i]), -EINVAL);
        cr_assert_eq(vfs_rename(vfs, bad[i], "x"), -EINVAL);
        cr_assert_eq(vfs_rename(vfs, "x", bad[i]), -EINVAL);
    }
    memset(name, 'n', sizeof name);
    name[VFS_PATH_SIZE_MAX + 1] = '\0';
    cr_assert_eq(vfs_open(vfs, name, VFS_OPEN_WRITE | VFS_OPEN_CREATE, &file), -ENAMETOOLONG);
    cr_assert_eq(vfs_sync_dir(vfs, name), -ENAMETOOLONG);
    cr_assert_eq(vfs_list(vfs, name, NULL, NULL), -ENAMETOOLONG);
    name[VFS_PATH_SIZE_MAX] = '\0';
    vfs_close(vfs_contract_create(vfs, name, "long"));
    expect_text(vfs, name, "long");
    vfs_close(vfs_contract_create(vfs, "..a", "dots"));
    expect_text(vfs, "..a", "dots");
}

void vfs_contract_reads(struct vfs *vfs)
{
    struct vfs_file *file = vfs_contract_create(vfs, "a", "0123456789");
    char bytes[16];
    cr_assert_eq(vfs_pread(file, bytes, 4, 3), 4);
    cr_assert_eq(memcmp(bytes, "3456", 4), 0);
    cr_assert_eq(vfs_pread(file, bytes, 16, 8), 2, "short at the end of the file");
    cr_assert_eq(vfs_pread(file, bytes, 16, 10), 0);
    cr_assert_eq(vfs_pread(file, bytes, 16, 1000), 0);
    cr_assert_eq(vfs_pread(file, bytes, 0, 0), 0);
    int64_t r = vfs_pread_nowait(file, bytes, 16, 8);
    cr_assert(r == 2 || r == -EAGAIN, "%d", (int)r);
    if (r == 2)
        cr_assert_eq(memcmp(bytes, "89", 2), 0);
    vfs_close(file);
}

void vfs_contract_writes(struct vfs *vfs)
{
    struct vfs_file *file = vfs_contract_create(vfs, "a", "");
    struct iovec iov[300];
    char letters[300];
    char bytes[300];
    uint64_t size = 0;
    for (size_t i = 0; i < 300; i++) {
        letters[i] = (char)('a' + i % 26);
        iov[i] = piece(&letters[i], i % 3 == 1 ? 0 : 1); /* some are empty */
    }
    cr_assert_eq(vfs_pwritev(file, iov, 300, 5), 0);
    cr_assert_eq(vfs_size(file, &size), 0);
    cr_assert_eq(size, 205);
    cr_assert_eq(vfs_pread(file, bytes, 300, 0), 205);
    cr_assert_eq(memcmp(bytes, "\0\0\0\0\0ac", 7), 0, "a hole reads as zeros");
    for (size_t i = 0, at = 5; i < 300; i++) {
        if (i % 3 != 1)
            cr_assert_eq(bytes[at++], letters[i]);
    }
    cr_assert_eq(vfs_pwritev(file, iov, 0, 0), 0);
    cr_assert_eq(vfs_contract_write(file, "", 0, 1000), 0);
    cr_assert_eq(vfs_contract_write(file, "ZZ", 2, 204), 0);
    cr_assert_eq(vfs_size(file, &size), 0);
    cr_assert_eq(size, 206);
    cr_assert_eq(vfs_sync(file), 0);
    vfs_close(file);
}

void vfs_contract_truncate(struct vfs *vfs)
{
    struct vfs_file *file = vfs_contract_create(vfs, "a", "0123456789");
    uint64_t size = 0;
    cr_assert_eq(vfs_truncate(file, 4), 0);
    vfs_contract_expect(file, "0123");
    cr_assert_eq(vfs_truncate(file, 6), 0);
    char bytes[16];
    cr_assert_eq(vfs_pread(file, bytes, 16, 0), 6);
    cr_assert_eq(memcmp(bytes, "0123\0\0", 6), 0, "what truncate cut must not come back");
    cr_assert_eq(vfs_truncate(file, 0), 0);
    cr_assert_eq(vfs_size(file, &size), 0);
    cr_assert_eq(size, 0);
    vfs_close(file);
}

void vfs_contract_rename(struct vfs *vfs)
{
    struct vfs_file *moved = vfs_contract_create(vfs, "a", "new");
    struct vfs_file *replaced = vfs_contract_create(vfs, "b", "old");
    cr_assert_eq(vfs_rename(vfs, "a", "b"), 0);
    expect_absent(vfs, "a");
    expect_text(vfs, "b", "new");
    vfs_contract_expect(replaced, "old");
    cr_assert_eq(vfs_contract_write(replaced, "OLD", 3, 0), 0);
    cr_assert_eq(vfs_contract_write(moved, "NEW", 3, 0), 0);
    expect_text(vfs, "b", "NEW");
    vfs_contract_expect(replaced, "OLD");
    cr_assert_eq(vfs_rename(vfs, "a", "c"), -ENOENT);
    cr_assert_eq(vfs_rename(vfs, "b", "b"), 0);
    cr_assert_eq(vfs_rename(vfs, "b", "none/b"), -ENOENT);
    cr_assert_eq(vfs_mkdir(vfs, "d"), 0);
    cr_assert_eq(vfs_rename(vfs, "b", "d"), -EISDIR);
    cr_assert_eq(vfs_rename(vfs, "b", "d/b"), 0);
    expect_text(vfs, "d/b", "NEW");
    vfs_close(moved);
    vfs_close(replaced);
}

void vfs_contract_remove(struct vfs *vfs)
{
    struct vfs_file *file = vfs_contract_create(vfs, "a", "alive");
    cr_assert_eq(vfs_remove(vfs, "none"), -ENOENT);
    cr_assert_eq(vfs_remove(vfs, "a"), 0);
    expect_absent(vfs, "a");
    vfs_contract_expect(file, "alive");
    struct vfs_file *again = vfs_contract_create(vfs, "a", "another");
    vfs_contract_expect(file, "alive");
    vfs_contract_expect(again, "another");
    vfs_close(file);
    vfs_close(again);
    cr_assert_eq(vfs_mkdir(vfs, "d"), 0);
    cr_assert_eq(vfs_remove(vfs, "d"), -EISDIR);
}

struct names {
    char text[64][16];
    size_t count;
};

static int names_visit(void *context, const char *name)
{
    struct names *names = context;
    snprintf(names->text[names->count++], sizeof names->text[0], "%s", name);
    return 0;
}

static int names_stop(void *context, const char *name)
{
    (void)context;
    (void)name;
    return 7;
}

static void expect_names(struct vfs *vfs, const char *path, const char *expected)
{
    struct names names = {.count = 0};
    char all[256] = "";
    cr_assert_eq(vfs_list(vfs, path, names_visit, &names), 0);
    qsort(names.text, names.count, sizeof names.text[0],
          (int (*)(const void *, const void *))strcmp);
    for (size_t i = 0; i < names.count; i++) {
        strcat(all, names.text[i]);
        strcat(all, " ");
    }
    cr_assert_str_eq(all, expected);
}

void vfs_contract_folders(struct vfs *vfs)
{
    struct vfs_file *file = NULL;
    cr_assert_eq(vfs_mkdir(vfs, "d"), 0);
    cr_assert_eq(vfs_mkdir(vfs, "d"), 0, "an existing folder is no error");
    cr_assert_eq(vfs_mkdir(vfs, "d/e"), 0);
    cr_assert_eq(vfs_mkdir(vfs, "none/e"), -ENOENT);
    vfs_close(vfs_contract_create(vfs, "f", ""));
    vfs_close(vfs_contract_create(vfs, "d/g", ""));
    vfs_close(vfs_contract_create(vfs, "d/h", ""));
    vfs_close(vfs_contract_create(vfs, "d/e/i", ""));
    cr_assert_eq(vfs_mkdir(vfs, "f"), -ENOTDIR);
    cr_assert_eq(vfs_open(vfs, "d", VFS_OPEN_READ, &file), -EISDIR);
    cr_assert_eq(vfs_open(vfs, "d", VFS_OPEN_WRITE, &file), -EISDIR);
    cr_assert_eq(vfs_open(vfs, "none/g", VFS_OPEN_WRITE | VFS_OPEN_CREATE, &file), -ENOENT);
    cr_assert_eq(vfs_open(vfs, "f/g", VFS_OPEN_WRITE | VFS_OPEN_CREATE, &file), -ENOTDIR);
    expect_names(vfs, ".", "d f ");
    expect_names(vfs, "d", "e g h ");
    expect_names(vfs, "d/e", "i ");
    cr_assert_eq(vfs_list(vfs, "none", names_visit, NULL), -ENOENT);
    cr_assert_eq(vfs_list(vfs, "f", names_visit, NULL), -ENOTDIR);
    cr_assert_eq(vfs_list(vfs, "d", names_stop, NULL), 7);
    cr_assert_eq(vfs_sync_dir(vfs, "."), 0);
    cr_assert_eq(vfs_sync_dir(vfs, "d/e"), 0);
    cr_assert_eq(vfs_sync_dir(vfs, "none"), -ENOENT);
    cr_assert_eq(vfs_sync_dir(vfs, "f"), -ENOTDIR);
}

void vfs_contract_lock(struct vfs *vfs)
{
    struct vfs_file *lock = NULL;
    struct vfs_file *second = NULL;
    cr_assert_eq(vfs_lock(vfs, "LOCK", &lock), 0);
    cr_assert_eq(vfs_lock(vfs, "LOCK", &second), -EWOULDBLOCK);
    cr_assert_null(second);
    vfs_close(vfs_contract_create(vfs, "LOCK", "")); /* another handle's close gives nothing up */
    cr_assert_eq(vfs_lock(vfs, "LOCK", &second), -EWOULDBLOCK);
    cr_assert_eq(vfs_lock(vfs, "OTHER", &second), 0);
    vfs_close(second);
    vfs_close(lock);
    cr_assert_eq(vfs_lock(vfs, "LOCK", &lock), 0);
    vfs_close(lock);
}

void vfs_contract_space(struct vfs *vfs)
{
    uint64_t bytes_free = 0;
    cr_assert_eq(vfs_space(vfs, &bytes_free), 0);
    cr_assert_gt(bytes_free, 0);
}

struct worker {
    struct vfs *vfs;
    uint64_t seed;
    int failures;
};

/* Writes blocks of its own byte to its own file and reads them back. */
static void *worker_run(void *context)
{
    struct worker *worker = context;
    char name[16];
    uint8_t block[512];
    uint8_t back[512];
    struct vfs_file *file = NULL;
    snprintf(name, sizeof name, "w%d", (int)worker->seed);
    memset(block, (int)worker->seed, sizeof block);
    worker->failures += vfs_open(worker->vfs, name, VFS_OPEN_WRITE | VFS_OPEN_CREATE, &file) != 0;
    for (uint64_t i = 0; i < 300 && worker->failures == 0; i++) {
        worker->failures += vfs_contract_write(file, block, sizeof block, i * sizeof block) != 0;
        worker->failures += vfs_sync(file) != 0;
        int64_t n = vfs_pread(file, back, sizeof back, i * sizeof back);
        worker->failures += n != (int64_t)sizeof back || memcmp(block, back, sizeof back) != 0;
    }
    vfs_close(file);
    return NULL;
}

void vfs_contract_threads(struct vfs *vfs)
{
    pthread_t threads[4];
    struct worker workers[4];
    for (uint64_t i = 0; i < 4; i++) {
        workers[i] = (struct worker){.vfs = vfs, .seed = i + 1};
        cr_assert_eq(pthread_create(&threads[i], NULL, worker_run, &workers[i]), 0);
    }
    for (size_t i = 0; i < 4; i++) {
        cr_assert_eq(pthread_join(threads[i], NULL), 0);
        cr_assert_eq(workers[i].failures, 0);
    }
}

int vfs_contract_call_all(struct vfs *vfs)
{
    struct vfs_file *file = NULL;
    struct vfs_file *lock = NULL;
    uint64_t number;
    char bytes[8];
    struct names names = {.count = 0};
    int r = vfs_mkdir(vfs, "d");
    if (r == 0)
        r = vfs_lock(vfs, "LOCK", &lock);
    if (r == 0)
        r = vfs_open(vfs, "d/a", VFS_OPEN_WRITE | VFS_OPEN_CREATE, &file);
    if (r == 0)
        r = vfs_contract_write(file, "12345678", 8, 0);
    if (r == 0)
        r = vfs_sync(file);
    if (r == 0)
        r = vfs_pread(file, bytes, 8, 0) == 8 ? 0 : -EXDEV;
    if (r == 0)
        r = vfs_pread_nowait(file, bytes, 8, 0) == 8 ? 0 : -EXDEV;
    if (r == 0)
        r = vfs_size(file, &number);
    if (r == 0)
        r = vfs_truncate(file, 16);
    if (r == 0)
        r = vfs_rename(vfs, "d/a", "d/b");
    if (r == 0)
        r = vfs_sync_dir(vfs, "d");
    if (r == 0)
        r = vfs_list(vfs, "d", names_visit, &names);
    if (r == 0)
        r = vfs_space(vfs, &number);
    if (r == 0)
        r = vfs_remove(vfs, "d/b");
    vfs_close(file);
    vfs_close(lock);
    return r;
}
