#include "tests/sim/sim_disk.h"

#include "tests/sim/sim_disk_inode.h"
#include "tests/sim/sim_disk_names.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define NO_HALT UINT32_MAX

struct sim_disk {
    struct vfs vfs;
    const uint64_t *now_us;
    struct sim_random random;
    struct sim_disk_faults faults;
    struct sim_disk_stats stats;
    struct names cache;
    struct names media;
    struct change *changes;
    size_t change_count, change_capacity;
    uint32_t open_count;
    uint32_t calls_left; /* NO_HALT: not dying */
};

struct sim_file {
    struct vfs_file file;
    struct sim_inode *inode;
    bool write;
    bool lock;
};

static struct sim_disk *disk_of(struct vfs *vfs)
{
    return (struct sim_disk *)vfs;
}

static uint64_t disk_now(const struct sim_disk *disk)
{
    return disk->now_us ? *disk->now_us : 0;
}

/* Counts the call; true when the process died before it. *last: it dies within this one. */
static bool halted(struct sim_disk *disk, bool *last)
{
    *last = false;
    if (disk->calls_left == NO_HALT)
        return false;
    if (disk->calls_left == 0)
        return true;
    *last = --disk->calls_left == 0;
    return false;
}

static void changes_push(struct sim_disk *disk, const char *from, const char *to,
                         struct sim_inode *inode)
{
    if (disk->change_count == disk->change_capacity) {
        disk->change_capacity = disk->change_capacity ? disk->change_capacity * 2 : 32;
        disk->changes = realloc(disk->changes, disk->change_capacity * sizeof *disk->changes);
        assert(disk->changes);
    }
    struct change *change = &disk->changes[disk->change_count++];
    (void)strcpy(change->from, from);
    (void)strcpy(change->to, to);
    change->inode = inode;
    inode->references++;
    names_apply(&disk->cache, change);
}

static bool folder_exists(const struct sim_disk *disk, const char *folder)
{
    size_t i = names_find(&disk->cache, folder);
    return !folder[0] || (i < disk->cache.count && disk->cache.items[i].inode->folder);
}

static bool parent_exists(const struct sim_disk *disk, const char *path)
{
    char folder[VFS_PATH_SIZE_MAX + 1];
    (void)strcpy(folder, path);
    char *slash = strrchr(folder, '/');
    if (!slash)
        return true;
    *slash = 0;
    return folder_exists(disk, folder);
}

static int disk_open(struct vfs *vfs, const char *raw, unsigned flags, struct vfs_file **file)
{
    struct sim_disk *disk = disk_of(vfs);
    char path[VFS_PATH_SIZE_MAX + 1];
    bool last;
    int r = path_clean(raw, path);
    if (r)
        return r;
    if (halted(disk, &last))
        return -EIO;
    size_t i = names_find(&disk->cache, path);
    struct sim_inode *inode = i < disk->cache.count ? disk->cache.items[i].inode : NULL;
    if (inode && inode->folder)
        return -EISDIR;
    if (inode && flags & VFS_OPEN_EXCLUSIVE)
        return -EEXIST;
    if (!inode && (!(flags & VFS_OPEN_CREATE) || !parent_exists(disk, path)))
        return -ENOENT;
    if (!inode) {
        inode = inode_new(false);
        changes_push(disk, "", path, inode);
    }
    if (last)
        return -EIO;
    struct sim_file *f = calloc(1, sizeof *f);
    assert(f);
    *f = (struct sim_file){{vfs}, inode, (flags & VFS_OPEN_WRITE) != 0, false};
    inode->references++;
    disk->open_count++;
    *file = &f->file;
    return 0;
}

static void disk_close(struct vfs_file *file)
{
    struct sim_file *f = (struct sim_file *)file;
    if (f->lock)
        f->inode->locked = false;
    disk_of(file->vfs)->open_count--;
    inode_unref(f->inode);
    free(f);
}

static int64_t disk_pread(struct vfs_file *file, void *buffer, size_t size, uint64_t offset)
{
    struct sim_disk *disk = disk_of(file->vfs);
    const struct sim_inode *inode = ((struct sim_file *)file)->inode;
    bool last;
    if (halted(disk, &last) || last)
        return -EIO;
    disk->stats.reads++;
    if (sim_random_chance(&disk->random, disk->faults.read_fail_ppm)) {
        disk->stats.read_fails++;
        return -EIO;
    }
    if (offset >= inode->size)
        return 0;
    if (size > inode->size - offset)
        size = (size_t)(inode->size - offset);
    memcpy(buffer, inode->cache + offset, size);
    return (int64_t)size;
}

static int64_t disk_pread_nowait(struct vfs_file *file, void *buffer, size_t size, uint64_t offset)
{
    struct sim_disk *disk = disk_of(file->vfs);
    if (sim_random_chance(&disk->random, disk->faults.nowait_again_ppm))
        return -EAGAIN;
    return disk_pread(file, buffer, size, offset);
}

uint64_t sim_disk_used(const struct sim_disk *disk)
{
    uint64_t used = 0;
    for (size_t i = 0; i < disk->cache.count; i++)
        used += disk->cache.items[i].inode->size;
    return used;
}

static int disk_pwritev(struct vfs_file *file, const struct iovec *iov, int iov_count,
                        uint64_t offset)
{
    struct sim_disk *disk = disk_of(file->vfs);
    struct sim_file *f = (struct sim_file *)file;
    bool last;
    if (!f->write)
        return -EBADF;
    if (halted(disk, &last))
        return -EIO;
    disk->stats.writes++;
    size_t size = 0;
    for (int i = 0; i < iov_count; i++)
        size += iov[i].iov_len;
    size_t allowed = size;
    int r = 0;
    uint64_t end = offset + size, need = end > f->inode->size ? end - f->inode->size : 0;
    if (need && sim_disk_used(disk) + need > disk->faults.capacity) {
        disk->stats.full_fails++;
        r = -ENOSPC;
    } else if (last || sim_random_chance(&disk->random, disk->faults.write_fail_ppm)) {
        disk->stats.write_fails += !last;
        r = -EIO;
    }
    if (r) /* A full disk still takes what lies within the file. */
        allowed = sim_random_below(&disk->random, (r == -ENOSPC ? size - need : size) + 1);
    for (int i = 0; i < iov_count && allowed; i++) {
        size_t part = iov[i].iov_len < allowed ? iov[i].iov_len : allowed;
        (void)inode_write(f->inode, iov[i].iov_base, part, offset);
        offset += part;
        allowed -= part;
    }
    return r;
}

static int disk_sync(struct vfs_file *file)
{
    struct sim_disk *disk = disk_of(file->vfs);
    struct sim_inode *inode = ((struct sim_file *)file)->inode;
    bool last;
    if (halted(disk, &last))
        return -EIO;
    disk->stats.syncs++;
    if (sim_random_chance(&disk->random, disk->faults.sync_fail_ppm)) {
        disk->stats.sync_fails++;
        inode_sync_badly(inode, &disk->random);
        return -EIO;
    }
    if (last) /* The process died while it waited: the writeback may or may not have happened. */
        return -EIO;
    inode_sync(inode, disk_now(disk));
    return 0;
}

static int disk_size(struct vfs_file *file, uint64_t *size)
{
    bool last;
    if (halted(disk_of(file->vfs), &last))
        return -EIO;
    *size = ((struct sim_file *)file)->inode->size;
    return 0;
}

static int disk_truncate(struct vfs_file *file, uint64_t size)
{
    struct sim_disk *disk = disk_of(file->vfs);
    struct sim_inode *inode = ((struct sim_file *)file)->inode;
    bool last;
    if (halted(disk, &last))
        return -EIO;
    if (size > inode->size && sim_disk_used(disk) + size - inode->size > disk->faults.capacity)
        return -ENOSPC;
    return inode_resize(inode, size);
}

static int disk_rename(struct vfs *vfs, const char *raw_from, const char *raw_to)
{
    struct sim_disk *disk = disk_of(vfs);
    char from[VFS_PATH_SIZE_MAX + 1], to[VFS_PATH_SIZE_MAX + 1];
    bool last;
    int r = path_clean(raw_from, from);
    r = r ? r : path_clean(raw_to, to);
    if (r)
        return r;
    if (halted(disk, &last))
        return -EIO;
    size_t i = names_find(&disk->cache, from);
    if (i == disk->cache.count || !parent_exists(disk, to))
        return -ENOENT;
    changes_push(disk, from, to, disk->cache.items[i].inode);
    return last ? -EIO : 0;
}

static int disk_remove(struct vfs *vfs, const char *raw)
{
    struct sim_disk *disk = disk_of(vfs);
    char path[VFS_PATH_SIZE_MAX + 1];
    bool last;
    int r = path_clean(raw, path);
    if (r)
        return r;
    if (halted(disk, &last))
        return -EIO;
    size_t i = names_find(&disk->cache, path);
    if (i == disk->cache.count)
        return -ENOENT;
    changes_push(disk, path, "", disk->cache.items[i].inode);
    return last ? -EIO : 0;
}

static int disk_mkdir(struct vfs *vfs, const char *raw)
{
    struct sim_disk *disk = disk_of(vfs);
    char path[VFS_PATH_SIZE_MAX + 1];
    bool last;
    int r = path_clean(raw, path);
    if (r)
        return r;
    if (halted(disk, &last))
        return -EIO;
    if (folder_exists(disk, path))
        return 0;
    if (!parent_exists(disk, path))
        return -ENOENT;
    changes_push(disk, "", path, inode_new(true));
    return last ? -EIO : 0;
}

static void change_drop(struct sim_disk *disk, size_t i)
{
    inode_unref(disk->changes[i].inode);
    memmove(&disk->changes[i], &disk->changes[i + 1],
            (disk->change_count - i - 1) * sizeof *disk->changes);
    disk->change_count--;
}

static int disk_sync_dir(struct vfs *vfs, const char *raw)
{
    struct sim_disk *disk = disk_of(vfs);
    char path[VFS_PATH_SIZE_MAX + 1];
    bool last;
    int r = path_clean(raw, path);
    if (r)
        return r;
    if (halted(disk, &last) || last)
        return -EIO;
    if (!folder_exists(disk, path))
        return -ENOENT;
    disk->stats.dir_syncs++;
    for (size_t i = 0; i < disk->change_count;) {
        const struct change *change = &disk->changes[i];
        if (path_in(change->to[0] ? change->to : change->from, path)) {
            names_apply(&disk->media, change);
            change_drop(disk, i);
        } else {
            i++;
        }
    }
    return 0;
}

static int disk_list(struct vfs *vfs, const char *raw, vfs_list_visit visit, void *context)
{
    struct sim_disk *disk = disk_of(vfs);
    char path[VFS_PATH_SIZE_MAX + 1];
    bool last;
    int r = path_clean(raw, path);
    if (r)
        return r;
    if (halted(disk, &last))
        return -EIO;
    if (!folder_exists(disk, path))
        return -ENOENT;
    for (size_t i = 0; i < disk->cache.count && r == 0; i++) {
        const char *name = disk->cache.items[i].path;
        const char *slash = strrchr(name, '/');
        if (path_in(name, path))
            r = visit(context, slash ? slash + 1 : name);
    }
    return r;
}

static int disk_lock(struct vfs *vfs, const char *path, struct vfs_file **file)
{
    int r = disk_open(vfs, path, VFS_OPEN_WRITE | VFS_OPEN_CREATE, file);
    if (r)
        return r;
    struct sim_file *f = (struct sim_file *)*file;
    if (f->inode->locked) {
        disk_close(*file);
        *file = NULL;
        return -EWOULDBLOCK;
    }
    f->inode->locked = f->lock = true;
    return 0;
}

static int disk_space(struct vfs *vfs, uint64_t *bytes_free)
{
    struct sim_disk *disk = disk_of(vfs);
    uint64_t used = sim_disk_used(disk);
    *bytes_free = used < disk->faults.capacity ? disk->faults.capacity - used : 0;
    return 0;
}

static const struct vfs_ops disk_ops = {
    .open = disk_open,
    .close = disk_close,
    .pread = disk_pread,
    .pread_nowait = disk_pread_nowait,
    .pwritev = disk_pwritev,
    .sync = disk_sync,
    .size = disk_size,
    .truncate = disk_truncate,
    .rename = disk_rename,
    .remove = disk_remove,
    .mkdir = disk_mkdir,
    .sync_dir = disk_sync_dir,
    .list = disk_list,
    .lock = disk_lock,
    .space = disk_space,
};

struct sim_disk *sim_disk_new(uint64_t seed, uint64_t stream, const uint64_t *now_us)
{
    struct sim_disk *disk = calloc(1, sizeof *disk);
    assert(disk);
    disk->vfs.ops = &disk_ops;
    disk->now_us = now_us;
    disk->calls_left = NO_HALT;
    disk->faults.capacity = UINT64_MAX / 2;
    sim_random_init(&disk->random, seed, stream);
    return disk;
}

struct sim_disk *sim_disk_free(struct sim_disk *disk)
{
    if (!disk)
        return NULL;
    assert(disk->open_count == 0);
    while (disk->change_count)
        change_drop(disk, disk->change_count - 1);
    while (disk->cache.count)
        names_unset(&disk->cache, disk->cache.items[disk->cache.count - 1].path);
    while (disk->media.count)
        names_unset(&disk->media, disk->media.items[disk->media.count - 1].path);
    free(disk->cache.items);
    free(disk->media.items);
    free(disk->changes);
    free(disk);
    return NULL;
}

struct vfs *sim_disk_vfs(struct sim_disk *disk)
{
    return &disk->vfs;
}

struct sim_disk_faults *sim_disk_faults(struct sim_disk *disk)
{
    return &disk->faults;
}

const struct sim_disk_stats *sim_disk_stats(const struct sim_disk *disk)
{
    return &disk->stats;
}

uint32_t sim_disk_open_count(const struct sim_disk *disk)
{
    return disk->open_count;
}

void sim_disk_halt_after(struct sim_disk *disk, uint32_t calls)
{
    disk->calls_left = calls;
}

bool sim_disk_halted(const struct sim_disk *disk)
{
    return disk->calls_left == 0;
}

void sim_disk_revive(struct sim_disk *disk)
{
    disk->calls_left = NO_HALT;
}

/* A folder whose own name was lost takes what is in it along. */
static void orphans_drop(struct sim_disk *disk)
{
    for (size_t i = 0; i < disk->media.count;) {
        char folder[VFS_PATH_SIZE_MAX + 1];
        (void)strcpy(folder, disk->media.items[i].path);
        char *slash = strrchr(folder, '/');
        if (slash)
            *slash = 0;
        if (slash && names_find(&disk->media, folder) == disk->media.count) {
            names_unset(&disk->media, disk->media.items[i].path);
            i = 0;
        } else {
            i++;
        }
    }
}

void sim_disk_power_loss(struct sim_disk *disk)
{
    assert(disk->open_count == 0);
    struct sim_survival survival = {(uint8_t)sim_random_below(&disk->random, 4),
                                    (uint32_t)sim_random_below(&disk->random, 1000000)};
    size_t prefix = sim_random_below(&disk->random, disk->change_count + 1);
    disk->stats.power_losses++;
    for (size_t i = 0; i < disk->change_count; i++) {
        bool chance = sim_random_chance(&disk->random, survival.keep_ppm);
        if (survival.mode == 1 || (survival.mode == 2 && i < prefix) ||
            (survival.mode == 3 && chance))
            names_apply(&disk->media, &disk->changes[i]);
        else
            disk->stats.names_lost++;
    }
    orphans_drop(disk);
    while (disk->change_count)
        change_drop(disk, disk->change_count - 1);
    while (disk->cache.count)
        names_unset(&disk->cache, disk->cache.items[disk->cache.count - 1].path);
    for (size_t i = 0; i < disk->media.count; i++) {
        struct sim_inode *inode = disk->media.items[i].inode;
        disk->stats.sectors_lost += inode_power_loss(inode, &survival, &disk->random);
        names_set(&disk->cache, disk->media.items[i].path, inode);
    }
    disk->calls_left = NO_HALT;
}

struct sim_disk *sim_disk_copy(const struct sim_disk *disk)
{
    struct sim_disk *copy = sim_disk_new(0, 0, disk->now_us);
    for (size_t i = 0; i < disk->media.count; i++) {
        struct sim_inode *inode = inode_copy_media(disk->media.items[i].inode);
        names_set(&copy->cache, disk->media.items[i].path, inode);
        names_set(&copy->media, disk->media.items[i].path, inode);
    }
    return copy;
}

void sim_disk_exchange(struct sim_disk *disk, struct sim_disk *other)
{
    struct sim_disk before = *disk;
    assert(disk->open_count == 0);
    assert(other->open_count == 0);
    disk->cache = other->cache;
    disk->media = other->media;
    disk->changes = other->changes;
    disk->change_count = other->change_count;
    disk->change_capacity = other->change_capacity;
    other->cache = before.cache;
    other->media = before.media;
    other->changes = before.changes;
    other->change_count = before.change_count;
    other->change_capacity = before.change_capacity;
}

bool sim_disk_flip(struct sim_disk *disk, const char *part, uint64_t age_us, const char **path,
                   uint64_t *offset)
{
    for (uint32_t attempt = 0; attempt < 64 && disk->media.count; attempt++) {
        const struct name *name =
            &disk->media.items[sim_random_below(&disk->random, disk->media.count)];
        struct sim_inode *inode = name->inode;
        if (!strstr(name->path, part) || inode->media_size == 0 || inode->folder)
            continue;
        uint64_t sector = sim_random_below(&disk->random, inode->media_size) / SIM_DISK_SECTOR_SIZE;
        const uint8_t *bytes = inode->media + sector * SIM_DISK_SECTOR_SIZE;
        static const uint8_t zeros[SIM_DISK_SECTOR_SIZE];
        if (inode->dirty[sector] || inode->synced_us[sector] + age_us > disk_now(disk))
            continue;
        if (memcmp(bytes, zeros, sizeof zeros) == 0)
            continue;
        uint64_t at =
            sector * SIM_DISK_SECTOR_SIZE + sim_random_below(&disk->random, SIM_DISK_SECTOR_SIZE);
        uint8_t bit = (uint8_t)(1u << sim_random_below(&disk->random, 8));
        if (at >= inode->media_size)
            continue;
        inode->media[at] ^= bit;
        inode->cache[at] ^= bit;
        disk->stats.flips++;
        *path = name->path;
        *offset = at;
        return true;
    }
    return false;
}
