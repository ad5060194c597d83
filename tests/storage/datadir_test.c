#include "storage/datadir.h"

#include "storage/checksum.h"
#include "storage/codec.h"

#include "alloc.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define IDENTITY_SIZE 120u

static struct datadir_identity identity_of(uint8_t cluster, uint8_t key, uint16_t shards)
{
    struct datadir_identity identity = {.shards = shards, .created_ms = 1700000000123};
    for (size_t i = 0; i < DATADIR_CLUSTER_SIZE; i++)
        identity.cluster[i] = (uint8_t)(cluster + i);
    for (size_t i = 0; i < DATADIR_KEY_SIZE; i++)
        identity.key[i] = (uint8_t)(key + i);
    return identity;
}

static int open_close(struct vfs *vfs, const struct datadir_identity *first,
                      struct datadir_identity *identity)
{
    struct datadir *datadir = NULL;
    int r = datadir_open(&datadir, vfs, first, false, identity);
    cr_assert_eq(datadir != NULL, r == 0);
    datadir_close(datadir);
    return r;
}

static void expect_identity(const struct datadir_identity *identity,
                            const struct datadir_identity *expected)
{
    cr_assert_eq(memcmp(identity->cluster, expected->cluster, DATADIR_CLUSTER_SIZE), 0);
    cr_assert_eq(memcmp(identity->key, expected->key, DATADIR_KEY_SIZE), 0);
    cr_assert_eq(identity->shards, expected->shards);
    cr_assert_eq(identity->created_ms, expected->created_ms);
}

static bool is_zero(const void *bytes, size_t size)
{
    const uint8_t *p = bytes;
    for (size_t i = 0; i < size; i++) {
        if (p[i] != 0)
            return false;
    }
    return true;
}

static void expect_wiped(const struct datadir_identity *identity)
{
    struct datadir_identity nothing = {.shards = 0};
    expect_identity(identity, &nothing);
}

static size_t file_get(struct vfs *vfs, const char *path, uint8_t *bytes, size_t size)
{
    struct vfs_file *file = NULL;
    cr_assert_eq(vfs_open(vfs, path, VFS_OPEN_READ, &file), 0);
    int64_t n = vfs_pread(file, bytes, size, 0);
    cr_assert_geq(n, 0);
    vfs_close(file);
    return (size_t)n;
}

static void file_put(struct vfs *vfs, const char *path, const uint8_t *bytes, size_t size)
{
    struct vfs_file *file = NULL;
    struct iovec iov = {.iov_base = (void *)(uintptr_t)bytes, .iov_len = size};
    cr_assert_eq(vfs_open(vfs, path, VFS_OPEN_WRITE | VFS_OPEN_CREATE, &file), 0);
    cr_assert_eq(vfs_truncate(file, 0), 0);
    cr_assert_eq(vfs_pwritev(file, &iov, 1, 0), 0);
    vfs_close(file);
}

Test(datadir, first_start_writes_what_later_starts_read)
{
    struct vfs *vfs = vfs_mem_new();
    struct datadir_identity first = identity_of(1, 50, 4);
    struct datadir_identity later = identity_of(1, 99, 4); /* another key, another time */
    struct datadir_identity identity;
    struct datadir *datadir = NULL;
    later.created_ms++;
    cr_assert_eq(datadir_open(&datadir, vfs, &first, false, &identity), 0);
    cr_assert(datadir_is_new(datadir));
    expect_identity(&identity, &first);
    datadir_close(datadir);
    cr_assert_eq(datadir_open(&datadir, vfs, &later, false, &identity), 0);
    cr_assert(!datadir_is_new(datadir));
    expect_identity(&identity, &first);
    datadir_close(datadir);
    later.shards = 9;
    cr_assert_eq(datadir_open(&datadir, vfs, &later, true, &identity), 0);
    expect_identity(&identity, &first);
    datadir_close(datadir);
    datadir_close(NULL);
    vfs_mem_free(vfs);
}

/* A release that knows no locked keys must not take one for a key: the version says so. */
Test(datadir, a_locked_key_is_marked_and_has_a_version_of_its_own)
{
    struct vfs *vfs = vfs_mem_new();
    struct datadir_identity first = identity_of(1, 50, 4);
    struct datadir_identity identity;
    uint8_t bytes[IDENTITY_SIZE + 1];
    first.locked = true;
    cr_assert_eq(open_close(vfs, &first, &identity), 0);
    cr_assert(identity.locked);
    cr_assert_eq(file_get(vfs, "IDENTITY", bytes, sizeof bytes), IDENTITY_SIZE);
    cr_assert_eq(bytes[8], 2);
    cr_assert_eq(bytes[98], 1);
    first.locked = false;
    cr_assert_eq(open_close(vfs, &first, &identity), 0);
    cr_assert(identity.locked, "it never changes");
    vfs_mem_free(vfs);
}

/* The worked example of docs/format-datadir.md, byte for byte. */
Test(datadir, identity_has_the_documented_bytes)
{
    static const char expected[] = "524341534b49444e0100000078000000"
                                   "0102030405060708090a0b0c0d0e0f10"
                                   "32333435363738393a3b3c3d3e3f4041"
                                   "42434445464748494a4b4c4d4e4f5051"
                                   "52535455565758595a5b5c5d5e5f6061"
                                   "62636465666768696a6b6c6d6e6f7071"
                                   "04000000000000007b68e5cf8b010000"
                                   "9c2af073ef21c7bc";
    struct vfs *vfs = vfs_mem_new();
    struct datadir_identity first = identity_of(1, 50, 4);
    struct datadir_identity identity;
    uint8_t bytes[IDENTITY_SIZE + 1];
    char text[2 * IDENTITY_SIZE + 1];
    cr_assert_eq(open_close(vfs, &first, &identity), 0);
    cr_assert_eq(file_get(vfs, "IDENTITY", bytes, sizeof bytes), IDENTITY_SIZE);
    for (size_t i = 0; i < IDENTITY_SIZE; i++)
        snprintf(text + 2 * i, 3, "%02x", bytes[i]);
    cr_assert_str_eq(text, expected);
    vfs_mem_free(vfs);
}

Test(datadir, second_open_is_refused)
{
    struct vfs *vfs = vfs_mem_new();
    struct datadir_identity first = identity_of(1, 50, 1);
    struct datadir_identity identity;
    struct datadir *datadir = NULL;
    cr_assert_eq(datadir_open(&datadir, vfs, &first, false, &identity), 0);
    cr_assert_eq(open_close(vfs, &first, &identity), DATADIR_E_IN_USE);
    expect_wiped(&identity);
    datadir_close(datadir);
    cr_assert_eq(open_close(vfs, &first, &identity), 0);
    vfs_mem_free(vfs);
}

Test(datadir, second_open_of_a_real_folder_is_refused)
{
    char directory[] = "/tmp/ringcask-datadir-XXXXXX";
    struct vfs *vfs = NULL;
    struct vfs *other = NULL;
    struct datadir_identity first = identity_of(1, 50, 1);
    struct datadir_identity identity;
    struct datadir *datadir = NULL;
    cr_assert_not_null(mkdtemp(directory));
    cr_assert_eq(vfs_posix_open(&vfs, directory), 0);
    cr_assert_eq(vfs_posix_open(&other, directory), 0);
    cr_assert_eq(datadir_open(&datadir, vfs, &first, false, &identity), 0);
    cr_assert_eq(open_close(other, &first, &identity), DATADIR_E_IN_USE);
    datadir_close(datadir);
    cr_assert_eq(open_close(other, &first, &identity), 0);
    expect_identity(&identity, &first);
    cr_assert_eq(vfs_remove(vfs, "LOCK"), 0);
    cr_assert_eq(vfs_remove(vfs, "IDENTITY"), 0);
    vfs_posix_close(vfs);
    vfs_posix_close(other);
    cr_assert_eq(rmdir(directory), 0, "nothing else may be left");
}

Test(datadir, other_cluster_and_shards_are_told_without_the_key)
{
    struct vfs *vfs = vfs_mem_new();
    struct datadir_identity first = identity_of(1, 50, 4);
    struct datadir_identity stranger = identity_of(2, 50, 4);
    struct datadir_identity wider = identity_of(1, 50, 5);
    struct datadir_identity identity;
    cr_assert_eq(open_close(vfs, &first, &identity), 0);
    cr_assert_eq(open_close(vfs, &stranger, &identity), DATADIR_E_OTHER_CLUSTER);
    cr_assert_eq(memcmp(identity.cluster, first.cluster, DATADIR_CLUSTER_SIZE), 0);
    cr_assert(is_zero(identity.key, sizeof identity.key));
    cr_assert_eq(open_close(vfs, &wider, &identity), DATADIR_E_SHARDS);
    cr_assert_eq(identity.shards, 4);
    cr_assert(is_zero(identity.key, sizeof identity.key));
    cr_assert_eq(open_close(vfs, &first, &identity), 0, "refusals change nothing");
    vfs_mem_free(vfs);
}

Test(datadir, damage_anywhere_is_found)
{
    struct vfs *vfs = vfs_mem_new();
    struct datadir_identity first = identity_of(1, 50, 4);
    struct datadir_identity identity;
    uint8_t good[IDENTITY_SIZE + 1] = {0};
    uint8_t bad[IDENTITY_SIZE + 1];
    uint8_t large[5000] = {0};
    cr_assert_eq(open_close(vfs, &first, &identity), 0);
    file_get(vfs, "IDENTITY", good, sizeof good);
    for (size_t bit = 0; bit < 8 * IDENTITY_SIZE; bit++) {
        memcpy(bad, good, sizeof bad);
        bad[bit / 8] ^= (uint8_t)(1u << bit % 8);
        file_put(vfs, "IDENTITY", bad, IDENTITY_SIZE);
        cr_assert_eq(open_close(vfs, &first, &identity), DATADIR_E_DAMAGED);
        expect_wiped(&identity);
    }
    for (size_t size = 0; size < sizeof good; size++) {
        file_put(vfs, "IDENTITY", good, size);
        int r = open_close(vfs, &first, &identity);
        cr_assert_eq(r, size == IDENTITY_SIZE ? 0 : DATADIR_E_DAMAGED, "size %zu", size);
    }
    file_put(vfs, "IDENTITY", good, sizeof good);
    cr_assert_eq(open_close(vfs, &first, &identity), DATADIR_E_DAMAGED);
    file_put(vfs, "IDENTITY", large, sizeof large);
    cr_assert_eq(open_close(vfs, &first, &identity), DATADIR_E_DAMAGED);
    file_put(vfs, "IDENTITY", good, IDENTITY_SIZE);
    cr_assert_eq(open_close(vfs, &first, &identity), 0);
    vfs_mem_free(vfs);
}

/* Fields that no writer of this format makes, under a checksum that is right. */
static int open_with(struct vfs *vfs, uint32_t version, uint16_t shards, uint32_t size,
                     uint32_t size_claimed)
{
    struct datadir_identity first = identity_of(1, 50, 4);
    struct datadir_identity identity;
    uint8_t bytes[256] = {0};
    cr_assert_leq(size, sizeof bytes);
    memcpy(bytes, "RCASKIDN", 8);
    codec_put_u32(bytes + 8, version);
    codec_put_u32(bytes + 12, size_claimed);
    memcpy(bytes + 16, first.cluster, DATADIR_CLUSTER_SIZE);
    memcpy(bytes + 32, first.key, DATADIR_KEY_SIZE);
    codec_put_u16(bytes + 96, shards);
    codec_put_u64(bytes + size - 8, checksum(bytes, size - 8));
    file_put(vfs, "IDENTITY", bytes, size);
    return open_close(vfs, &first, &identity);
}

Test(datadir, newer_format_is_told_from_damage)
{
    struct vfs *vfs = vfs_mem_new();
    cr_assert_eq(open_with(vfs, 1, 4, IDENTITY_SIZE, IDENTITY_SIZE), 0);
    cr_assert_eq(open_with(vfs, 3, 4, IDENTITY_SIZE, IDENTITY_SIZE), DATADIR_E_NEWER);
    cr_assert_eq(open_with(vfs, 3, 4, 200, 200), DATADIR_E_NEWER);
    cr_assert_eq(open_with(vfs, UINT32_MAX, 0, 24, 24), DATADIR_E_NEWER);
    cr_assert_eq(open_with(vfs, 0, 4, IDENTITY_SIZE, IDENTITY_SIZE), DATADIR_E_DAMAGED);
    cr_assert_eq(open_with(vfs, 1, 4, 200, 200), DATADIR_E_DAMAGED);
    cr_assert_eq(open_with(vfs, 1, 0, IDENTITY_SIZE, IDENTITY_SIZE), DATADIR_E_DAMAGED);
    cr_assert_eq(open_with(vfs, 1, DATADIR_SHARDS_MAX + 1, IDENTITY_SIZE, IDENTITY_SIZE),
                 DATADIR_E_DAMAGED);
    cr_assert_eq(open_with(vfs, 1, 4, IDENTITY_SIZE, 200), DATADIR_E_DAMAGED);
    cr_assert_eq(open_with(vfs, 3, 4, 200, IDENTITY_SIZE), DATADIR_E_DAMAGED);
    cr_assert_eq(open_with(vfs, 2, 4, IDENTITY_SIZE, IDENTITY_SIZE), DATADIR_E_DAMAGED,
                 "version 2 is for locked keys");
    vfs_mem_free(vfs);
}

Test(datadir, data_without_identity_is_damaged_never_new)
{
    struct datadir_identity first = identity_of(1, 50, 4);
    struct datadir_identity identity;
    struct vfs *vfs = vfs_mem_new();
    cr_assert_eq(vfs_mkdir(vfs, "shard-00"), 0);
    cr_assert_eq(open_close(vfs, &first, &identity), DATADIR_E_DAMAGED);
    expect_wiped(&identity);
    vfs_mem_free(vfs);
    vfs = vfs_mem_new();
    file_put(vfs, "GENESIS", (const uint8_t *)"x", 1);
    cr_assert_eq(open_close(vfs, &first, &identity), DATADIR_E_DAMAGED);
    vfs_mem_free(vfs);
    vfs = vfs_mem_new();
    cr_assert_eq(vfs_mkdir(vfs, "lost+found"), 0); /* a disk of its own has this */
    cr_assert_eq(open_close(vfs, &first, &identity), 0);
    vfs_mem_free(vfs);
}

Test(datadir, what_a_crash_left_is_written_over)
{
    struct vfs *vfs = vfs_mem_new();
    struct datadir_identity first = identity_of(1, 50, 4);
    struct datadir_identity identity;
    uint8_t rest[500];
    memset(rest, 0xee, sizeof rest);
    file_put(vfs, "IDENTITY.new", rest, sizeof rest);
    cr_assert_eq(open_close(vfs, &first, &identity), 0);
    cr_assert_eq(open_close(vfs, &first, &identity), 0);
    expect_identity(&identity, &first);
    vfs_mem_free(vfs);
}

Test(datadir, any_failed_call_leaves_old_or_new)
{
    struct datadir_identity first = identity_of(1, 50, 4);
    struct datadir_identity second = identity_of(1, 70, 4);
    struct datadir_identity identity;
    for (uint64_t n = 1;; n++) {
        struct vfs *vfs = vfs_mem_new();
        vfs_mem_fail_after(vfs, n, EIO);
        int r = open_close(vfs, &first, &identity);
        uint64_t calls = vfs_mem_calls(vfs);
        vfs_mem_fail_after(vfs, 0, 0);
        if (r != 0) {
            cr_assert_eq(r, -EIO);
            expect_wiped(&identity);
        }
        /* The next process has drawn another key. */
        cr_assert_eq(open_close(vfs, &second, &identity), 0, "after call %u", (unsigned)n);
        bool is_first = identity.key[0] == first.key[0];
        expect_identity(&identity, is_first ? &first : &second);
        cr_assert(is_first || r != 0, "an open that succeeded must last");
        /* And later starts, whose every call fails once, change nothing. */
        struct datadir_identity kept = identity;
        for (uint64_t m = 1; m <= 5; m++) {
            vfs_mem_fail_after(vfs, m, EIO);
            (void)open_close(vfs, &second, &identity);
        }
        vfs_mem_fail_after(vfs, 0, 0);
        cr_assert_eq(open_close(vfs, &second, &identity), 0);
        expect_identity(&identity, &kept);
        vfs_mem_free(vfs);
        if (r == 0) {
            cr_assert_eq(n, calls + 1, "every call must have failed once");
            break;
        }
    }
}

/* Notes the calls on which durability hangs, then makes them. */
static struct vfs_ops noted;
static const struct vfs_ops *plain;
static char notes[256];

static void note(const char *text, const char *name)
{
    size_t size = strlen(notes);
    snprintf(notes + size, sizeof notes - size, "%s %s, ", text, name);
}

static int noted_open(struct vfs *vfs, const char *path, unsigned flags, struct vfs_file **file)
{
    if (flags & VFS_OPEN_WRITE)
        note("open", path);
    return plain->open(vfs, path, flags, file);
}

static int noted_pwritev(struct vfs_file *file, const struct iovec *iov, int count, uint64_t offset)
{
    note("write", "it");
    return plain->pwritev(file, iov, count, offset);
}

static int noted_sync(struct vfs_file *file)
{
    note("sync", "it");
    return plain->sync(file);
}

static int noted_rename(struct vfs *vfs, const char *from, const char *to)
{
    note("rename to", to);
    return plain->rename(vfs, from, to);
}

static int noted_sync_dir(struct vfs *vfs, const char *path)
{
    note("sync folder", path);
    return plain->sync_dir(vfs, path);
}

Test(datadir, identity_is_synced_before_its_name_and_the_folder_after)
{
    struct vfs *vfs = vfs_mem_new();
    struct datadir_identity first = identity_of(1, 50, 4);
    struct datadir_identity identity;
    plain = vfs->ops;
    noted = *plain;
    noted.open = noted_open;
    noted.pwritev = noted_pwritev;
    noted.sync = noted_sync;
    noted.rename = noted_rename;
    noted.sync_dir = noted_sync_dir;
    vfs->ops = &noted;
    cr_assert_eq(open_close(vfs, &first, &identity), 0);
    cr_assert_str_eq(notes, "open IDENTITY.new, write it, sync it, rename to IDENTITY, "
                            "sync folder ., ");
    /* A first start that died after the rename: the second must not build on a loose name. */
    notes[0] = '\0';
    cr_assert_eq(open_close(vfs, &first, &identity), 0);
    cr_assert_str_eq(notes, "sync folder ., ");
    vfs_mem_free(vfs);
}

Test(datadir, full_disk_is_enospc_and_heals)
{
    struct vfs *vfs = vfs_mem_new();
    struct datadir_identity first = identity_of(1, 50, 4);
    struct datadir_identity identity;
    vfs_mem_set_capacity(vfs, IDENTITY_SIZE - 1);
    cr_assert_eq(open_close(vfs, &first, &identity), -ENOSPC);
    vfs_mem_set_capacity(vfs, IDENTITY_SIZE);
    cr_assert_eq(open_close(vfs, &first, &identity), 0);
    vfs_mem_free(vfs);
}

Test(datadir, without_memory_is_enomem)
{
    struct vfs *vfs = vfs_mem_new();
    struct datadir_identity first = identity_of(1, 50, 4);
    struct datadir_identity identity;
    alloc_fail_after(1);
    cr_assert_eq(open_close(vfs, &first, &identity), -ENOMEM);
    cr_assert(alloc_failed());
    cr_assert_eq(open_close(vfs, &first, &identity), 0);
    vfs_mem_free(vfs);
}

Test(datadir, open_with_no_shards_asserts, .signal = SIGABRT)
{
    struct vfs *vfs = vfs_mem_new();
    struct datadir_identity first = identity_of(1, 50, 0);
    struct datadir_identity identity;
    open_close(vfs, &first, &identity);
}

Test(datadir, shard_folders_have_two_digits_or_more)
{
    char folder[DATADIR_FOLDER_SIZE];
    datadir_shard_folder(folder, 0);
    cr_assert_str_eq(folder, "shard-00");
    datadir_shard_folder(folder, DATADIR_SHARDS_MAX - 1);
    cr_assert_str_eq(folder, "shard-255");
    datadir_shard_folder(folder, UINT16_MAX);
    cr_assert_str_eq(folder, "shard-65535");
}

Test(datadir, errors_say_what_to_do)
{
    static const struct {
        int code;
        const char *what;
        const char *advice;
    } lines[] = {
        {DATADIR_E_IN_USE, "in use", "--data"},
        {DATADIR_E_NEWER, "newer release", "start that release"},
        {DATADIR_E_OTHER_CLUSTER, "01020304", "ticket"},
        {DATADIR_E_DAMAGED, "IDENTITY", "backup"},
        {DATADIR_E_SHARDS, "4 shards", "--shards 4"},
        {-ENOSPC, "No space", "make room"},
        {-EISDIR, "Is a directory", "in its place"},
    };
    struct datadir_identity found = identity_of(1, 50, 4);
    char text[DATADIR_TEXT_SIZE];
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        datadir_error_text(lines[i].code, "/data/n1", &found, text, sizeof text);
        cr_assert_not_null(strstr(text, "/data/n1"), "%s", text);
        cr_assert_not_null(strstr(text, lines[i].what), "%s", text);
        cr_assert_not_null(strstr(text, lines[i].advice), "%s", text);
        cr_assert_null(strchr(text, '\n'));
        cr_assert_lt(strlen(text), DATADIR_TEXT_SIZE - VFS_PATH_SIZE_MAX);
    }
}

Test(datadir, a_folder_in_the_place_of_a_file_is_named)
{
    static const char *const files[] = {"LOCK", "IDENTITY", "IDENTITY.new"};
    struct datadir_identity first = identity_of(1, 50, 4), identity;

    for (size_t i = 0; i < 3; i++) {
        struct vfs *vfs = vfs_mem_new();

        cr_assert_eq(vfs_mkdir(vfs, files[i]), 0);
        cr_assert_eq(open_close(vfs, &first, &identity), -EISDIR);
        cr_assert_str_eq(datadir_culprit(vfs, -EISDIR), files[i]);
        cr_assert_null(datadir_culprit(vfs, -EACCES));
        vfs_mem_free(vfs);
    }
}

Test(datadir, can_be_looked_at_while_it_is_in_use_but_not_locked)
{
    struct vfs *vfs = vfs_mem_new();
    struct datadir_identity first = identity_of(1, 50, 4), identity;
    struct datadir *datadir = NULL;
    struct vfs_file *lock = NULL;

    cr_assert_eq(datadir_peek(vfs, &identity), -ENOENT);
    cr_assert_eq(datadir_open(&datadir, vfs, &first, false, &identity), 0);
    expect_identity(&identity, &first);
    cr_assert_eq(datadir_peek(vfs, &identity), 0);
    expect_identity(&identity, &first);
    cr_assert_eq(datadir_lock(vfs, &lock), DATADIR_E_IN_USE);
    datadir_close(datadir);
    cr_assert_eq(datadir_lock(vfs, &lock), 0);
    cr_assert_eq(datadir_open(&datadir, vfs, &first, false, &identity), DATADIR_E_IN_USE);
    vfs_close(lock);
    vfs_mem_free(vfs);
}
