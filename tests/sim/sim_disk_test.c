#include "tests/sim/sim_disk.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#define MANY 200u

static struct vfs_file *file_open(struct sim_disk *disk, const char *path)
{
    struct vfs_file *file;
    cr_assert_eq(vfs_open(sim_disk_vfs(disk), path, VFS_OPEN_WRITE | VFS_OPEN_CREATE, &file), 0);
    return file;
}

static int file_write(struct vfs_file *file, const void *bytes, size_t size, uint64_t offset)
{
    struct iovec iov[2] = {{(void *)(uintptr_t)bytes, size / 2},
                           {(uint8_t *)(uintptr_t)bytes + size / 2, size - size / 2}};
    return vfs_pwritev(file, iov, 2, offset);
}

/* The file's first `size` bytes, -ENOENT when it is not there. */
static int64_t file_read(struct sim_disk *disk, const char *path, void *bytes, size_t size)
{
    struct vfs_file *file;
    int r = vfs_open(sim_disk_vfs(disk), path, VFS_OPEN_READ, &file);
    if (r)
        return r;
    int64_t count = vfs_pread(file, bytes, size, 0);
    vfs_close(file);
    return count;
}

/* A file of `sectors` sectors of 'a', synced, then of 'b', unsynced, then the power goes. */
static void torn_file(struct sim_disk *disk, size_t sectors, uint8_t *bytes)
{
    memset(bytes, 'a', sectors * 512);
    struct vfs_file *file = file_open(disk, "f");
    cr_assert_eq(file_write(file, bytes, sectors * 512, 0), 0);
    cr_assert_eq(vfs_sync(file), 0);
    cr_assert_eq(vfs_sync_dir(sim_disk_vfs(disk), "."), 0);
    memset(bytes, 'b', sectors * 512);
    for (size_t i = 0; i < sectors; i++)
        cr_assert_eq(file_write(file, bytes + i * 512, 512, i * 512), 0);
    vfs_close(file);
    sim_disk_power_loss(disk);
    cr_assert_eq(file_read(disk, "f", bytes, sectors * 512), (int64_t)sectors * 512);
}

Test(sim_disk, bytes_read_back)
{
    struct sim_disk *disk = sim_disk_new(1, 0, NULL);
    struct vfs_file *file = file_open(disk, "f");
    char bytes[16] = "";
    cr_assert_eq(file_write(file, "hello world", 11, 3), 0);
    uint64_t size;
    cr_assert_eq(vfs_size(file, &size), 0);
    cr_assert_eq(size, 14);
    cr_assert_eq(vfs_pread(file, bytes, sizeof bytes, 3), 11);
    cr_assert_str_eq(bytes, "hello world");
    cr_assert_eq(vfs_pread(file, bytes, 4, 14), 0);
    cr_assert_eq(vfs_truncate(file, 5), 0);
    cr_assert_eq(vfs_truncate(file, 8), 0);
    cr_assert_eq(vfs_pread(file, bytes, sizeof bytes, 3), 5);
    cr_assert_eq(memcmp(bytes, "he\0\0\0", 5), 0);
    vfs_close(file);
    cr_assert_eq(sim_disk_open_count(disk), 0);
    sim_disk_free(disk);
}

Test(sim_disk, synced_bytes_survive_power_loss)
{
    for (unsigned seed = 0; seed < MANY; seed++) {
        struct sim_disk *disk = sim_disk_new(seed, 0, NULL);
        char bytes[16] = "";
        struct vfs_file *file = file_open(disk, "./f");
        cr_assert_eq(file_write(file, "hello", 5, 0), 0);
        cr_assert_eq(vfs_sync(file), 0);
        cr_assert_eq(vfs_sync_dir(sim_disk_vfs(disk), ""), 0);
        vfs_close(file);
        sim_disk_power_loss(disk);
        cr_assert_eq(file_read(disk, "f", bytes, sizeof bytes), 5);
        cr_assert_str_eq(bytes, "hello");
        sim_disk_free(disk);
    }
}

Test(sim_disk, unsynced_bytes_are_torn_at_sectors_and_reordered)
{
    unsigned nothing = 0, all = 0, prefix = 0, reordered = 0;
    for (unsigned seed = 0; seed < MANY; seed++) {
        struct sim_disk *disk = sim_disk_new(seed, 0, NULL);
        uint8_t bytes[8 * 512];
        torn_file(disk, 8, bytes);
        unsigned changes = 0, kept = 0;
        for (size_t i = 0; i < 8; i++) {
            cr_assert_eq(memcmp(bytes + i * 512, bytes + i * 512 + 1, 511), 0);
            kept += bytes[i * 512] == 'b';
            changes += i && bytes[i * 512] != bytes[(i - 1) * 512];
        }
        nothing += kept == 0;
        all += kept == 8;
        prefix += changes == 1 && bytes[0] == 'b';
        reordered += changes > 1;
        sim_disk_free(disk);
    }
    cr_assert_gt(nothing, MANY / 10);
    cr_assert_gt(all, MANY / 10);
    cr_assert_gt(prefix, MANY / 20);
    cr_assert_gt(reordered, MANY / 20);
}

Test(sim_disk, names_that_were_not_synced_may_vanish)
{
    unsigned there = 0, gone = 0;
    for (unsigned seed = 0; seed < MANY; seed++) {
        struct sim_disk *disk = sim_disk_new(seed, 0, NULL);
        struct vfs_file *file = file_open(disk, "f");
        cr_assert_eq(file_write(file, "hello", 5, 0), 0);
        cr_assert_eq(vfs_sync(file), 0);
        vfs_close(file);
        sim_disk_power_loss(disk);
        char bytes[8];
        int64_t r = file_read(disk, "f", bytes, sizeof bytes);
        cr_assert(r == 5 || r == -ENOENT);
        there += r == 5;
        gone += r == -ENOENT;
        sim_disk_free(disk);
    }
    cr_assert_gt(there, MANY / 10);
    cr_assert_gt(gone, MANY / 10);
}

Test(sim_disk, rename_is_atomic_and_durable_after_sync_dir)
{
    unsigned old = 0, new = 0;
    for (unsigned seed = 0; seed < MANY; seed++) {
        struct sim_disk *disk = sim_disk_new(seed, 0, NULL);
        struct vfs *vfs = sim_disk_vfs(disk);
        for (int i = 0; i < 2; i++) {
            struct vfs_file *file = file_open(disk, i ? "d.new" : "d");
            cr_assert_eq(file_write(file, i ? "new" : "old", 3, 0), 0);
            cr_assert_eq(vfs_sync(file), 0);
            vfs_close(file);
        }
        cr_assert_eq(vfs_sync_dir(vfs, "."), 0);
        cr_assert_eq(vfs_rename(vfs, "d.new", "d"), 0);
        bool synced = seed % 2 && vfs_sync_dir(vfs, ".") == 0;
        sim_disk_power_loss(disk);
        char bytes[8];
        cr_assert_eq(file_read(disk, "d", bytes, sizeof bytes), 3);
        bool is_new = memcmp(bytes, "new", 3) == 0;
        cr_assert(is_new || (memcmp(bytes, "old", 3) == 0 && !synced));
        old += !is_new;
        new += is_new && !synced;
        sim_disk_free(disk);
    }
    cr_assert_gt(old, MANY / 20);
    cr_assert_gt(new, MANY / 20);
}

Test(sim_disk, lost_folder_takes_its_files_along)
{
    for (unsigned seed = 0; seed < MANY; seed++) {
        struct sim_disk *disk = sim_disk_new(seed, 0, NULL);
        struct vfs *vfs = sim_disk_vfs(disk);
        cr_assert_eq(vfs_mkdir(vfs, "a"), 0);
        cr_assert_eq(vfs_mkdir(vfs, "a"), 0);
        struct vfs_file *file = file_open(disk, "a/f");
        vfs_close(file);
        cr_assert_eq(vfs_sync_dir(vfs, "a"), 0);
        if (seed % 2)
            cr_assert_eq(vfs_sync_dir(vfs, "."), 0);
        sim_disk_power_loss(disk);
        char byte;
        int64_t r = file_read(disk, "a/f", &byte, 1);
        cr_assert(r == 0 || (r == -ENOENT && seed % 2 == 0));
        cr_assert_eq(vfs_mkdir(vfs, "a"), 0);
        file = file_open(disk, "a/g");
        vfs_close(file);
        sim_disk_free(disk);
    }
}

Test(sim_disk, failed_sync_leaves_everything_clean_and_not_on_the_media)
{
    unsigned lost = 0;
    for (unsigned seed = 0; seed < MANY; seed++) {
        struct sim_disk *disk = sim_disk_new(seed, 0, NULL);
        struct vfs_file *file = file_open(disk, "f");
        uint8_t bytes[4 * 512];
        memset(bytes, 'a', sizeof bytes);
        cr_assert_eq(file_write(file, bytes, sizeof bytes, 0), 0);
        sim_disk_faults(disk)->sync_fail_ppm = 1000000;
        cr_assert_eq(vfs_sync(file), -EIO);
        sim_disk_faults(disk)->sync_fail_ppm = 0;
        cr_assert_eq(vfs_sync(file), 0);
        cr_assert_eq(vfs_sync_dir(sim_disk_vfs(disk), "."), 0);
        vfs_close(file);
        cr_assert_eq(file_read(disk, "f", bytes, sizeof bytes), (int64_t)sizeof bytes);
        cr_assert(bytes[0] == 'a' && bytes[2047] == 'a');
        sim_disk_power_loss(disk);
        int64_t r = file_read(disk, "f", bytes, sizeof bytes);
        for (int64_t i = 0; i < r; i++)
            if (bytes[i] != 'a') {
                lost++;
                break;
            }
        sim_disk_free(disk);
    }
    cr_assert_gt(lost, MANY / 2);
}

Test(sim_disk, full_disk_refuses_growth_but_not_overwriting)
{
    struct sim_disk *disk = sim_disk_new(1, 0, NULL);
    struct vfs_file *file = file_open(disk, "f");
    uint8_t bytes[1024] = {0};
    uint64_t space;
    sim_disk_faults(disk)->capacity = 1500;
    cr_assert_eq(file_write(file, bytes, 1024, 0), 0);
    cr_assert_eq(vfs_space(sim_disk_vfs(disk), &space), 0);
    cr_assert_eq(space, 476);
    cr_assert_eq(file_write(file, bytes, 1024, 512), -ENOSPC);
    cr_assert_eq(file_write(file, bytes, 1024, 0), 0);
    cr_assert_eq(vfs_truncate(file, 2000), -ENOSPC);
    vfs_close(file);
    cr_assert_eq(vfs_remove(sim_disk_vfs(disk), "f"), 0);
    cr_assert_eq(sim_disk_used(disk), 0);
    sim_disk_free(disk);
}

Test(sim_disk, failed_reads_and_writes_are_reported)
{
    struct sim_disk *disk = sim_disk_new(1, 0, NULL);
    struct vfs_file *file = file_open(disk, "f");
    char byte = 'x';
    cr_assert_eq(file_write(file, &byte, 1, 0), 0);
    sim_disk_faults(disk)->nowait_again_ppm = 1000000;
    cr_assert_eq(vfs_pread_nowait(file, &byte, 1, 0), -EAGAIN);
    cr_assert_eq(vfs_pread(file, &byte, 1, 0), 1);
    sim_disk_faults(disk)->read_fail_ppm = sim_disk_faults(disk)->write_fail_ppm = 1000000;
    cr_assert_eq(vfs_pread(file, &byte, 1, 0), -EIO);
    cr_assert_eq(file_write(file, &byte, 1, 0), -EIO);
    cr_assert_eq(sim_disk_stats(disk)->read_fails, 1);
    cr_assert_eq(sim_disk_stats(disk)->write_fails, 1);
    vfs_close(file);
    sim_disk_free(disk);
}

Test(sim_disk, halted_process_does_a_part_of_one_call_and_nothing_more)
{
    unsigned parts = 0;
    for (unsigned seed = 0; seed < MANY; seed++) {
        struct sim_disk *disk = sim_disk_new(seed, 0, NULL);
        struct vfs_file *file = file_open(disk, "f");
        uint8_t bytes[64] = {1};
        cr_assert_eq(file_write(file, bytes, 64, 0), 0);
        sim_disk_halt_after(disk, 1);
        cr_assert_eq(file_write(file, bytes, 64, 64), -EIO);
        cr_assert(sim_disk_halted(disk));
        cr_assert_eq(file_write(file, bytes, 64, 128), -EIO);
        cr_assert_eq(vfs_sync(file), -EIO);
        cr_assert_eq(vfs_sync_dir(sim_disk_vfs(disk), "."), -EIO);
        vfs_close(file);
        sim_disk_revive(disk);
        int64_t r = file_read(disk, "f", (uint8_t[256]){0}, 256);
        cr_assert(r >= 64 && r <= 128);
        parts += r > 64 && r < 128;
        sim_disk_free(disk);
    }
    cr_assert_gt(parts, MANY / 2);
}

Test(sim_disk, lock_is_exclusive_until_closed)
{
    struct sim_disk *disk = sim_disk_new(1, 0, NULL);
    struct vfs_file *lock, *other;
    cr_assert_eq(vfs_lock(sim_disk_vfs(disk), "LOCK", &lock), 0);
    cr_assert_eq(vfs_lock(sim_disk_vfs(disk), "LOCK", &other), -EWOULDBLOCK);
    vfs_close(lock);
    cr_assert_eq(vfs_lock(sim_disk_vfs(disk), "LOCK", &other), 0);
    vfs_close(other);
    sim_disk_free(disk);
}

Test(sim_disk, flip_changes_one_bit_on_the_media)
{
    struct sim_disk *disk = sim_disk_new(3, 0, NULL);
    uint8_t bytes[8 * 512], before[8 * 512];
    memset(before, 'a', sizeof before);
    struct vfs_file *file = file_open(disk, "journal-1");
    cr_assert_eq(file_write(file, before, sizeof before, 0), 0);
    const char *path;
    uint64_t offset;
    cr_assert_not(sim_disk_flip(disk, "journal", 0, &path, &offset));
    cr_assert_eq(vfs_sync(file), 0);
    cr_assert_eq(vfs_sync_dir(sim_disk_vfs(disk), "."), 0);
    vfs_close(file);
    cr_assert_not(sim_disk_flip(disk, "manifest", 0, &path, &offset));
    cr_assert(sim_disk_flip(disk, "journal", 0, &path, &offset));
    cr_assert_str_eq(path, "journal-1");
    sim_disk_power_loss(disk);
    cr_assert_eq(file_read(disk, "journal-1", bytes, sizeof bytes), (int64_t)sizeof bytes);
    unsigned bits = 0;
    for (size_t i = 0; i < sizeof bytes; i++)
        bits += (unsigned)__builtin_popcount(bytes[i] ^ before[i]);
    cr_assert_eq(bits, 1);
    cr_assert_eq(__builtin_popcount(bytes[offset] ^ 'a'), 1);
    sim_disk_free(disk);
}

Test(sim_disk, same_seed_loses_the_same)
{
    for (unsigned seed = 0; seed < 20; seed++) {
        uint8_t bytes[2][8 * 512];
        for (int i = 0; i < 2; i++) {
            struct sim_disk *disk = sim_disk_new(seed, 7, NULL);
            torn_file(disk, 8, bytes[i]);
            sim_disk_free(disk);
        }
        cr_assert_eq(memcmp(bytes[0], bytes[1], sizeof bytes[0]), 0);
    }
}

/* A copy holds what was synced when it was made, and stays so; an exchange swaps all that is kept.
 */
Test(sim_disk, a_copy_is_what_was_synced_and_may_take_the_disks_place)
{
    struct sim_disk *disk = sim_disk_new(1, 0, NULL), *copy;
    struct vfs_file *file = file_open(disk, "f");
    char bytes[8] = "";
    cr_assert_eq(file_write(file, "old", 3, 0), 0);
    cr_assert_eq(vfs_sync(file), 0);
    cr_assert_eq(vfs_sync_dir(sim_disk_vfs(disk), "."), 0);
    cr_assert_eq(file_write(file, "newer", 5, 0), 0);
    copy = sim_disk_copy(disk);
    cr_assert_eq(vfs_sync(file), 0);
    vfs_close(file);
    file = file_open(disk, "g");
    vfs_close(file);
    cr_assert_eq(file_read(copy, "f", bytes, sizeof bytes), 3);
    cr_assert_eq(memcmp(bytes, "old", 3), 0);
    sim_disk_exchange(disk, copy);
    cr_assert_eq(file_read(disk, "f", bytes, sizeof bytes), 3);
    cr_assert_eq(file_read(disk, "g", bytes, sizeof bytes), -ENOENT);
    sim_disk_power_loss(disk);
    cr_assert_eq(file_read(disk, "f", bytes, sizeof bytes), 3, "it is on the media");
    cr_assert_eq(file_read(copy, "f", bytes, sizeof bytes), 5);
    cr_assert_eq(file_read(copy, "g", bytes, sizeof bytes), 0);
    cr_assert_null(sim_disk_free(disk));
    cr_assert_null(sim_disk_free(copy));
}
