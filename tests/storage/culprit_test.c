#include <criterion/criterion.h>

#include <string.h>

#include "storage/culprit.h"
#include "vfs_contract.h"

static const char *const names[] = {"a", "b", "c"};

static void make_file(struct vfs *vfs, const char *path)
{
    vfs_close(vfs_contract_create(vfs, path, "text"));
}

Test(culprit, is_the_first_of_the_names_that_fails_for_that_reason)
{
    struct vfs *vfs = vfs_mem_new();

    make_file(vfs, "a");
    cr_assert_null(culprit_named(vfs, names, 3, -EISDIR));
    cr_assert_str_eq(culprit_named(vfs, names, 3, -ENOENT), "b");
    cr_assert_eq(vfs_mkdir(vfs, "b"), 0);
    cr_assert_eq(vfs_mkdir(vfs, "c"), 0);
    cr_assert_str_eq(culprit_named(vfs, names, 3, -EISDIR), "b");
    cr_assert_null(culprit_named(vfs, names, 3, -EACCES));
    vfs_mem_free(vfs);
}

static const struct vfs_ops *ops;

static int open_to_read(struct vfs *vfs, const char *path, unsigned flags, struct vfs_file **file)
{
    return flags & VFS_OPEN_WRITE ? -EACCES : ops->open(vfs, path, flags, file);
}

static int64_t pread_nothing(struct vfs_file *file, void *buffer, size_t size, uint64_t offset)
{
    (void)file;
    (void)buffer;
    (void)size;
    (void)offset;
    return -EIO;
}

Test(culprit, may_fail_when_it_is_read_or_written)
{
    struct vfs *vfs = vfs_mem_new();
    struct vfs_ops others = *vfs->ops;

    make_file(vfs, "b");
    ops = vfs->ops;
    others.open = open_to_read;
    others.pread = pread_nothing;
    vfs->ops = &others;
    cr_assert_str_eq(culprit_named(vfs, &names[1], 2, -EACCES), "b");
    cr_assert_str_eq(culprit_named(vfs, names, 3, -EIO), "b");
    vfs->ops = ops;
    vfs_mem_free(vfs);
}

Test(culprit, in_a_shard_is_its_folder_or_a_file_of_ours)
{
    struct vfs *vfs = vfs_mem_new();
    char path[FILENAME_PATH_SIZE];

    cr_assert(culprit_in_shard(vfs, "shard-00", -ENOENT, path));
    cr_assert_str_eq(path, "shard-00");
    make_file(vfs, "shard-00");
    cr_assert(culprit_in_shard(vfs, "shard-00", -ENOTDIR, path));
    cr_assert_eq(vfs_remove(vfs, "shard-00"), 0);
    cr_assert_eq(vfs_mkdir(vfs, "shard-00"), 0);
    cr_assert_eq(vfs_mkdir(vfs, "shard-00/lost+found"), 0);
    make_file(vfs, "shard-00/MANIFEST");
    cr_assert_not(culprit_in_shard(vfs, "shard-00", -EISDIR, path));
    cr_assert_eq(vfs_mkdir(vfs, "shard-00/journal-0000000007.log"), 0);
    cr_assert(culprit_in_shard(vfs, "shard-00", -EISDIR, path));
    cr_assert_str_eq(path, "shard-00/journal-0000000007.log");
    cr_assert_eq(vfs_mkdir(vfs, "shard-01"), 0);
    cr_assert_eq(vfs_mkdir(vfs, "shard-01/OWNER"), 0);
    cr_assert(culprit_in_shard(vfs, "shard-01", -EISDIR, path));
    cr_assert_str_eq(path, "shard-01/OWNER");
    vfs_mem_free(vfs);
}

Test(culprit, always_has_an_advice)
{
    for (int error = 1; error < 134; error++)
        cr_assert_gt(strlen(culprit_advice(-error)), 5);
    cr_assert_not_null(strstr(culprit_advice(-EISDIR), "in its place"));
    cr_assert_not_null(strstr(culprit_advice(-EDQUOT), "room"));
    cr_assert_not_null(strstr(culprit_advice(-EIO), "replace"));
    cr_assert_not_null(strstr(culprit_advice(-EACCES), "user"));
}
