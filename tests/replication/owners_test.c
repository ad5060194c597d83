#include "replication/owners.h"

#include "replication/node_file.h"
#include "storage/codec.h"
#include "tests/storage/vfs_crash.h"

#include <criterion/criterion.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SHARDS 3u

static const uint8_t key[RINGMAP_KEY_SIZE] = "node 1", other_key[RINGMAP_KEY_SIZE] = "node 2";

/* The OWNER of each shard: what of a folder counts here. */
struct copy {
    uint8_t bytes[SHARDS][256];
    size_t sizes[SHARDS];
};

static struct owners owners;
static const struct vfs_ops *ops;

static struct vfs *disk_new(uint64_t seed)
{
    struct vfs *vfs = vfs_crash_new(seed);
    char folder[DATADIR_FOLDER_SIZE];

    for (uint16_t shard = 0; shard < SHARDS; shard++) {
        datadir_shard_folder(folder, shard);
        cr_assert_eq(vfs_mkdir(vfs, folder), 0);
    }
    cr_assert_eq(vfs_sync_dir(vfs, "."), 0);
    return vfs;
}

static const char *path_of(uint16_t shard)
{
    static char path[32];

    snprintf(path, sizeof path, "shard-%02u/OWNER", shard);
    return path;
}

static void copy_take(struct vfs *vfs, struct copy *copy)
{
    for (uint16_t shard = 0; shard < SHARDS; shard++) {
        uint64_t size = 0;
        const uint8_t *bytes = vfs_crash_bytes(vfs, path_of(shard), &size);

        copy->sizes[shard] = bytes ? size : 0;
        if (bytes)
            memcpy(copy->bytes[shard], bytes, size);
    }
}

/* The folder of a shard is put back, or what was another's in its place. */
static void put(struct vfs *vfs, uint16_t shard, const struct copy *copy, uint16_t from)
{
    struct vfs_file *file;
    struct iovec iov = {(void *)copy->bytes[from], copy->sizes[from]};

    if (copy->sizes[from] == 0) {
        int r = vfs_remove(vfs, path_of(shard));

        cr_assert(r == 0 || r == -ENOENT);
        return;
    }
    cr_assert_eq(vfs_open(vfs, path_of(shard), VFS_OPEN_WRITE | VFS_OPEN_CREATE, &file), 0);
    cr_assert_eq(vfs_truncate(file, 0), 0);
    cr_assert_eq(vfs_pwritev(file, &iov, 1, 0), 0);
    cr_assert_eq(vfs_sync(file), 0);
    vfs_close(file);
}

static int check(struct vfs *vfs, uint16_t shard)
{
    cr_assert_eq(owners_read(&owners, vfs, key, SHARDS), 0);
    return owners_check(&owners, shard);
}

/* Those that fit are opened, or closed, in order. */
static int raise_all(const bool fits[SHARDS])
{
    int r = 0;

    for (uint16_t shard = 0; shard < SHARDS && r == 0; shard++)
        if (fits[shard])
            r = owners_raise(&owners, shard);
    return r == 0 ? owners_write(&owners) : r;
}

/* A run; where `stops`, in order. */
static int run(struct vfs *vfs, bool stops)
{
    bool fits[SHARDS];
    int r = owners_read(&owners, vfs, key, SHARDS);

    for (uint16_t shard = 0; shard < SHARDS && r == 0; shard++) {
        r = owners_check(&owners, shard);
        fits[shard] = r == 0;
        r = r > 0 ? 0 : r;
    }
    if (r == 0)
        r = raise_all(fits);
    return r == 0 && stops ? raise_all(fits) : r;
}

static void check_all(struct vfs *vfs, const char *when, uint64_t call)
{
    for (uint16_t shard = 0; shard < SHARDS; shard++)
        cr_assert_eq(check(vfs, shard), OWNERS_E_OK, "shard %u, %s, call %d", shard, when,
                     (int)call);
}

Test(owners, a_directory_of_a_program_before_is_taken_and_then_told_apart)
{
    struct vfs *vfs = disk_new(1);
    struct copy before;

    copy_take(vfs, &before);
    check_all(vfs, "neither file is there", 0);
    cr_assert_eq(run(vfs, true), 0);
    check_all(vfs, "after a run", 0);
    put(vfs, 1, &before, 1);
    cr_assert_eq(check(vfs, 1), OWNERS_E_MISSING, "one of its folders, from a copy made before");
    cr_assert_eq(check(vfs, 0), OWNERS_E_OK);
    vfs_crash_free(vfs);
}

/* What that shard has promised since is not in there. */
Test(owners, an_older_copy_does_not_fit_and_the_newest_does_when_it_is_back)
{
    struct vfs *vfs = disk_new(1);
    struct copy older, running, newest, now;

    cr_assert_eq(run(vfs, true), 0);
    copy_take(vfs, &older);
    cr_assert_eq(run(vfs, false), 0);
    copy_take(vfs, &running);
    put(vfs, 2, &older, 2);
    cr_assert_eq(check(vfs, 2), OWNERS_E_OLDER, "it has run since, and was killed");
    put(vfs, 2, &running, 2);
    cr_assert_eq(run(vfs, true), 0);
    put(vfs, 2, &running, 2);
    cr_assert_eq(check(vfs, 2), OWNERS_E_OLDER, "of a run before the last");
    put(vfs, 2, &older, 2);
    copy_take(vfs, &newest);
    for (unsigned i = 0; i < 3; i++)
        cr_assert_eq(run(vfs, i & 1), 0);
    copy_take(vfs, &now);
    cr_assert_eq(memcmp(now.bytes[2], older.bytes[2], older.sizes[2]), 0, "it is left alone");
    cr_assert_neq(memcmp(now.bytes[1], newest.bytes[1], newest.sizes[1]), 0);
    cr_assert_eq(check(vfs, 2), OWNERS_E_OLDER);
    vfs_crash_free(vfs);
}

Test(owners, a_copy_from_while_it_ran_does_not_fit_once_it_has_stopped)
{
    struct vfs *vfs = disk_new(1);
    struct copy running, newest;
    bool fits[SHARDS] = {true, true, true};

    cr_assert_eq(run(vfs, false), 0);
    copy_take(vfs, &running);
    cr_assert_eq(raise_all(fits), 0);
    copy_take(vfs, &newest);
    put(vfs, 0, &running, 0);
    cr_assert_eq(check(vfs, 0), OWNERS_E_OLDER);
    cr_assert_eq(run(vfs, true), 0);
    put(vfs, 0, &newest, 0);
    cr_assert_eq(check(vfs, 0), OWNERS_E_OK, "the newest that there is of this one");
    cr_assert_eq(run(vfs, true), 0);
    put(vfs, 0, &newest, 0);
    cr_assert_eq(check(vfs, 0), OWNERS_E_OLDER);
    vfs_crash_free(vfs);
}

Test(owners, the_folder_of_another_node_or_shard_does_not_fit)
{
    struct vfs *vfs = disk_new(1), *other = disk_new(2);
    struct copy mine, another;

    cr_assert_eq(run(vfs, true), 0);
    copy_take(vfs, &mine);
    cr_assert_eq(owners_read(&owners, other, other_key, SHARDS), 0);
    for (unsigned i = 0; i < 9; i++)
        cr_assert_eq(raise_all((bool[SHARDS]){true, true, true}), 0);
    copy_take(other, &another);
    put(vfs, 1, &another, 1);
    cr_assert_eq(check(vfs, 1), OWNERS_E_OTHER_NODE);
    put(vfs, 1, &mine, 0);
    cr_assert_eq(check(vfs, 1), OWNERS_E_OTHER_SHARD);
    put(vfs, 1, &mine, 1);
    check_all(vfs, "all are back", 0);
    vfs_crash_free(other);
    vfs_crash_free(vfs);
}

/* Whatever call the machine or the process dies in: all fit, and what was there before the last
 * that was done does not any more once it has started. */
static void crash_at(uint64_t call, bool power, bool *cut)
{
    struct vfs *vfs = disk_new(call);
    struct copy first, after;

    if (call % 2 == 0)
        cr_assert_eq(run(vfs, call % 4 == 0), 0);
    copy_take(vfs, &first);
    vfs_crash_cut_after(vfs, call / 2 + 1);
    (void)run(vfs, true);
    *cut = vfs_crash_is_cut(vfs);
    if (power)
        vfs_crash_restart(vfs);
    else
        vfs_crash_resume(vfs);
    check_all(vfs, "after a crash", call);
    copy_take(vfs, &after);
    cr_assert_eq(run(vfs, false), 0);
    check_all(vfs, "after a start behind it", call);
    for (uint16_t shard = 0; shard < SHARDS; shard++) {
        put(vfs, shard, &after, shard);
        cr_assert_neq(check(vfs, shard), OWNERS_E_OK, "shard %u as in the crash, call %d", shard,
                      (int)call);
        put(vfs, shard, &first, shard);
        cr_assert_neq(check(vfs, shard), OWNERS_E_OK, "shard %u as before, call %d", shard,
                      (int)call);
    }
    vfs_crash_free(vfs);
}

Test(owners, a_crash_at_any_call_leaves_folders_that_fit)
{
    for (unsigned power = 0; power < 2; power++) {
        bool cut = true, cut_before = true;

        for (uint64_t call = 0; cut || cut_before; call++) {
            cut_before = cut;
            crash_at(call, power, &cut);
        }
    }
}

/* It dies at each of its starts. */
Test(owners, a_copy_from_a_start_that_failed_does_not_fit_behind_the_next)
{
    struct vfs *vfs = disk_new(1);
    struct copy failed;

    cr_assert_eq(run(vfs, true), 0);
    for (unsigned i = 0; i < 4; i++) {
        check_all(vfs, "failed before", i);
        cr_assert_eq(owners_raise(&owners, 2), 0);
        copy_take(vfs, &failed);
    }
    cr_assert_eq(run(vfs, false), 0);
    check_all(vfs, "it has started", 0);
    put(vfs, 2, &failed, 2);
    cr_assert_eq(check(vfs, 2), OWNERS_E_OLDER);
    vfs_crash_free(vfs);
}

Test(owners, damage_and_newer_versions_are_told)
{
    struct vfs *vfs = disk_new(1);
    struct copy mine;
    uint64_t size;

    cr_assert_eq(run(vfs, true), 0);
    copy_take(vfs, &mine);
    for (uint64_t at = 0; at < mine.sizes[0]; at++) {
        vfs_crash_flip(vfs, path_of(0), at, 2);
        cr_assert_eq(check(vfs, 0), OWNERS_E_DAMAGED, "byte %d", (int)at);
        vfs_crash_flip(vfs, path_of(0), at, 2);
    }
    mine.sizes[0] /= 2;
    put(vfs, 0, &mine, 0);
    cr_assert_eq(check(vfs, 0), OWNERS_E_DAMAGED, "a copy that was cut short");
    cr_assert_not_null(vfs_crash_bytes(vfs, "GENERATIONS", &size));
    for (uint64_t at = 0; at < size; at++) {
        vfs_crash_flip(vfs, "GENERATIONS", at, 2);
        cr_assert_eq(owners_read(&owners, vfs, key, SHARDS), -EBADMSG, "byte %d", (int)at);
        cr_assert_eq(owners_check(&owners, 1), OWNERS_E_OK, "taken for missing");
        vfs_crash_flip(vfs, "GENERATIONS", at, 2);
    }
    cr_assert_eq(owners_read(&owners, vfs, key, SHARDS + 1), -EBADMSG, "of so many shards");
    vfs_crash_free(vfs);
}

static int give_none(struct vfs *vfs, const char *path, unsigned flags, struct vfs_file **file)
{
    return strstr(path, "OWNER") ? -EIO : ops->open(vfs, path, flags, file);
}

/* It is there again when the disk gives it. */
Test(owners, what_the_disk_does_not_give_does_not_fit)
{
    struct vfs *vfs = disk_new(1);
    struct vfs_ops failing = *vfs->ops;

    cr_assert_eq(run(vfs, true), 0);
    ops = vfs->ops;
    failing.open = give_none;
    vfs->ops = &failing;
    cr_assert_eq(check(vfs, 1), OWNERS_E_UNREADABLE);
    vfs->ops = ops;
    cr_assert_eq(check(vfs, 1), OWNERS_E_OK);
    vfs_crash_free(vfs);
}

/* One that checks is of the size that it says. */
Test(owners, files_that_check_and_are_too_short_are_damaged)
{
    static const struct node_file_kind owner = {"shard-01/OWNER", "shard-01/OWNER.tmp", 0x4E574F52u,
                                                "shard-01"};
    struct node_file file = {.blob = (uint8_t *)key, .size = 7};
    struct vfs *vfs = disk_new(1);

    cr_assert_eq(node_file_write(vfs, &node_file_generations, &file), 0);
    cr_assert_eq(owners_read(&owners, vfs, key, SHARDS), -EBADMSG);
    cr_assert_eq(node_file_write(vfs, &owner, &file), 0);
    cr_assert_eq(owners_check(&owners, 1), OWNERS_E_DAMAGED);
    vfs_crash_free(vfs);
}

static char synced[32];

static int note_sync_dir(struct vfs *vfs, const char *path)
{
    snprintf(synced, sizeof synced, "%s", path);
    return ops->sync_dir(vfs, path);
}

/* GENERATIONS is never newer than what it lists: not behind a power cut, either. */
Test(owners, the_name_of_each_file_is_synced_in_its_folder)
{
    struct vfs *vfs = disk_new(1);
    struct vfs_ops noting = *vfs->ops;

    ops = vfs->ops;
    noting.sync_dir = note_sync_dir;
    vfs->ops = &noting;
    cr_assert_eq(owners_read(&owners, vfs, key, SHARDS), 0);
    cr_assert_eq(owners_raise(&owners, 2), 0);
    cr_assert_str_eq(synced, "shard-02");
    cr_assert_eq(owners_write(&owners), 0);
    cr_assert_str_eq(synced, ".");
    vfs->ops = ops;
    vfs_crash_free(vfs);
}

/* It goes by the generation that it has, and does not write one twice. */
Test(owners, a_full_disk_leaves_folders_that_fit)
{
    struct vfs *vfs = vfs_mem_new();
    uint64_t before;

    cr_assert_eq(vfs_mkdir(vfs, "shard-00"), 0);
    cr_assert_eq(owners_read(&owners, vfs, key, 1), 0);
    cr_assert_eq(owners_raise(&owners, 0), 0);
    cr_assert_eq(owners_write(&owners), 0);
    before = owners.listed[0];
    vfs_mem_set_capacity(vfs, 0);
    cr_assert_eq(owners_raise(&owners, 0), -ENOSPC);
    cr_assert_eq(owners_write(&owners), -ENOSPC);
    cr_assert_eq(owners.listed[0], before);
    vfs_mem_set_capacity(vfs, UINT64_MAX);
    cr_assert_eq(owners_raise(&owners, 0), 0);
    cr_assert_eq(owners.listed[0], before + 2);
    cr_assert_eq(owners_read(&owners, vfs, key, 1), 0);
    cr_assert_eq(owners_check(&owners, 0), OWNERS_E_OK, "GENERATIONS was not written");
    vfs_mem_free(vfs);
}

Test(owners, each_cause_has_its_text)
{
    for (int code = OWNERS_E_OLDER; code <= OWNERS_E_UNREADABLE; code++)
        cr_assert(strlen(owners_why(code)) > 0);
    cr_assert(strstr(owners_why(OWNERS_E_OLDER), "older copy"));
}
