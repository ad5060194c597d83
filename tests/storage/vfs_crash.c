#include "vfs_crash.h"

#include "ring/mix.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SECTOR    512u
#define NAMES_MAX 128u
#define LOG_MAX   4096u

struct inode {
    struct inode *next;
    uint8_t *cache, *media;
    uint64_t cache_size, media_size;
    size_t capacity; /* of both */
    uint8_t *dirty;  /* a byte a sector */
    bool shrunk;     /* truncated since the last sync */
};

struct name {
    char path[VFS_PATH_SIZE_MAX + 1];
    struct inode *inode;
};

struct names {
    struct name items[NAMES_MAX];
    size_t count;
};

/* One change of names that is not durable: `from` (may be empty) goes, `to` (may be empty) comes.
 */
struct change {
    char from[VFS_PATH_SIZE_MAX + 1];
    char to[VFS_PATH_SIZE_MAX + 1];
    struct inode *inode;
};

struct vfs_crash {
    struct vfs base;
    uint64_t random;
    uint64_t cut_after;
    bool cut;
    unsigned open_files;
    struct inode *inodes;
    struct names now, durable;
    struct change log[LOG_MAX];
    size_t log_count;
};

struct crash_file {
    struct vfs_file base;
    struct inode *inode;
    bool lock;
};

static struct vfs_crash *of(struct vfs *vfs)
{
    return (struct vfs_crash *)vfs;
}

static struct inode *inode_of(struct vfs_file *file)
{
    return ((struct crash_file *)file)->inode;
}

uint64_t vfs_crash_random(struct vfs *vfs)
{
    return mix_next(&of(vfs)->random);
}

/* Begins a call that changes something. 0, -EIO when the power is off; *last: takes effect in
 * part. */
static int change_begin(struct vfs *vfs, bool *last)
{
    struct vfs_crash *crash = of(vfs);

    *last = false;
    if (crash->cut)
        return -EIO;
    if (crash->cut_after > 0 && --crash->cut_after == 0) {
        crash->cut = true;
        *last = true;
    }
    return 0;
}

/* --- names --------------------------------------------------------------------------------- */

static struct name *name_find(struct names *names, const char *path)
{
    for (size_t i = 0; i < names->count; i++)
        if (strcmp(names->items[i].path, path) == 0)
            return &names->items[i];
    return NULL;
}

static void names_apply(struct names *names, const struct change *change)
{
    struct name *name;

    if (change->from[0] && (name = name_find(names, change->from)) != NULL)
        *name = names->items[--names->count];
    if (!change->to[0])
        return;
    name = name_find(names, change->to);
    if (!name) {
        assert(names->count < NAMES_MAX);
        name = &names->items[names->count++];
        strcpy(name->path, change->to);
    }
    name->inode = change->inode;
}

static void name_change(struct vfs_crash *crash, const char *from, const char *to,
                        struct inode *inode)
{
    struct change *change = &crash->log[crash->log_count++];

    assert(crash->log_count < LOG_MAX);
    memset(change, 0, sizeof(*change));
    if (from)
        strcpy(change->from, from);
    if (to)
        strcpy(change->to, to);
    change->inode = inode;
    names_apply(&crash->now, change);
}

/* --- files --------------------------------------------------------------------------------- */

static void inode_reserve(struct inode *inode, uint64_t size)
{
    size_t capacity = inode->capacity ? inode->capacity : 4096;

    if (size <= inode->capacity)
        return;
    while (capacity < size)
        capacity *= 2;
    inode->cache = realloc(inode->cache, capacity);
    inode->media = realloc(inode->media, capacity);
    inode->dirty = realloc(inode->dirty, capacity / SECTOR);
    assert(inode->cache && inode->media && inode->dirty);
    memset(inode->cache + inode->capacity, 0, capacity - inode->capacity);
    memset(inode->media + inode->capacity, 0, capacity - inode->capacity);
    memset(inode->dirty + inode->capacity / SECTOR, 0, (capacity - inode->capacity) / SECTOR);
    inode->capacity = capacity;
}

static int crash_open(struct vfs *vfs, const char *path, unsigned flags, struct vfs_file **file)
{
    struct vfs_crash *crash = of(vfs);
    struct name *name = name_find(&crash->now, path);
    struct crash_file *opened;
    bool last;
    int r;

    if (crash->cut)
        return -EIO;
    if (name && (flags & VFS_OPEN_EXCLUSIVE))
        return -EEXIST;
    if (!name && !(flags & VFS_OPEN_CREATE))
        return -ENOENT;
    if (!name) {
        struct inode *inode = calloc(1, sizeof(*inode));

        assert(inode);
        r = change_begin(vfs, &last);
        inode->next = crash->inodes;
        crash->inodes = inode;
        inode_reserve(inode, 4096);
        if (r < 0)
            return r;
        name_change(crash, NULL, path, inode);
        if (last)
            return -EIO;
        name = name_find(&crash->now, path);
    }
    opened = calloc(1, sizeof(*opened));
    assert(opened);
    opened->base.vfs = vfs;
    opened->inode = name->inode;
    crash->open_files++;
    *file = &opened->base;
    return 0;
}

static void crash_close(struct vfs_file *file)
{
    of(file->vfs)->open_files--;
    free(file);
}

static int64_t crash_pread(struct vfs_file *file, void *buffer, size_t size, uint64_t offset)
{
    struct inode *inode = inode_of(file);

    if (of(file->vfs)->cut)
        return -EIO;
    if (offset >= inode->cache_size)
        return 0;
    if (size > inode->cache_size - offset)
        size = (size_t)(inode->cache_size - offset);
    memcpy(buffer, inode->cache + offset, size);
    return (int64_t)size;
}

static int crash_pwritev(struct vfs_file *file, const struct iovec *iov, int iov_count,
                         uint64_t offset)
{
    struct inode *inode = inode_of(file);
    uint64_t total = 0, left;
    bool last;
    int r = change_begin(file->vfs, &last);

    if (r < 0)
        return r;
    for (int i = 0; i < iov_count; i++)
        total += iov[i].iov_len;
    left = last ? vfs_crash_random(file->vfs) % (total + 1) : total;
    inode_reserve(inode, offset + total);
    for (int i = 0; i < iov_count && left > 0; i++) {
        uint64_t n = iov[i].iov_len < left ? iov[i].iov_len : left;

        memcpy(inode->cache + offset, iov[i].iov_base, (size_t)n);
        for (uint64_t s = offset / SECTOR; s * SECTOR < offset + n; s++)
            inode->dirty[s] = 1;
        offset += n;
        left -= n;
    }
    if (offset > inode->cache_size)
        inode->cache_size = offset;
    return last ? -EIO : 0;
}

static void inode_sync(struct inode *inode)
{
    if (inode->capacity > 0)
        memcpy(inode->media, inode->cache, inode->capacity);
    inode->media_size = inode->cache_size;
    if (inode->dirty)
        memset(inode->dirty, 0, inode->capacity / SECTOR);
    inode->shrunk = false;
}

static int crash_sync(struct vfs_file *file)
{
    bool last;
    int r = change_begin(file->vfs, &last);

    if (r < 0 || last)
        return -EIO;
    inode_sync(inode_of(file));
    return 0;
}

static int crash_size(struct vfs_file *file, uint64_t *size)
{
    if (of(file->vfs)->cut)
        return -EIO;
    *size = inode_of(file)->cache_size;
    return 0;
}

static int crash_truncate(struct vfs_file *file, uint64_t size)
{
    struct inode *inode = inode_of(file);
    bool last;
    int r = change_begin(file->vfs, &last);

    if (r < 0)
        return r;
    inode_reserve(inode, size);
    if (size < inode->cache_size) {
        memset(inode->cache + size, 0, (size_t)(inode->cache_size - size));
        inode->shrunk = true;
    }
    inode->cache_size = size;
    return last ? -EIO : 0;
}

static int crash_rename(struct vfs *vfs, const char *from, const char *to)
{
    struct name *name = name_find(&of(vfs)->now, from);
    bool last;
    int r = change_begin(vfs, &last);

    if (r < 0)
        return r;
    if (!name)
        return -ENOENT;
    name_change(of(vfs), from, to, name->inode);
    return last ? -EIO : 0;
}

static int crash_remove(struct vfs *vfs, const char *path)
{
    bool last;
    int r = change_begin(vfs, &last);

    if (r < 0)
        return r;
    if (!name_find(&of(vfs)->now, path))
        return -ENOENT;
    name_change(of(vfs), path, NULL, NULL);
    return last ? -EIO : 0;
}

static int crash_mkdir(struct vfs *vfs, const char *path)
{
    (void)path;
    return of(vfs)->cut ? -EIO : 0;
}

static int crash_sync_dir(struct vfs *vfs, const char *path)
{
    bool last;
    int r = change_begin(vfs, &last);

    (void)path;
    if (r < 0 || last)
        return -EIO;
    of(vfs)->durable = of(vfs)->now;
    of(vfs)->log_count = 0;
    return 0;
}

static int crash_list(struct vfs *vfs, const char *path, vfs_list_visit visit, void *context)
{
    struct vfs_crash *crash = of(vfs);
    size_t size = strlen(path);
    int r = crash->cut ? -EIO : 0;

    for (size_t i = 0; r == 0 && i < crash->now.count; i++) {
        const char *name = crash->now.items[i].path;

        if (strncmp(name, path, size) == 0 && name[size] == '/')
            r = visit(context, name + size + 1);
    }
    return r;
}

static int crash_lock(struct vfs *vfs, const char *path, struct vfs_file **file)
{
    return crash_open(vfs, path, VFS_OPEN_WRITE | VFS_OPEN_CREATE, file);
}

static int crash_space(struct vfs *vfs, uint64_t *bytes_free)
{
    *bytes_free = UINT32_MAX;
    return of(vfs)->cut ? -EIO : 0;
}

static const struct vfs_ops crash_ops = {
    .open = crash_open,
    .close = crash_close,
    .pread = crash_pread,
    .pread_nowait = crash_pread,
    .pwritev = crash_pwritev,
    .sync = crash_sync,
    .size = crash_size,
    .truncate = crash_truncate,
    .rename = crash_rename,
    .remove = crash_remove,
    .mkdir = crash_mkdir,
    .sync_dir = crash_sync_dir,
    .list = crash_list,
    .lock = crash_lock,
    .space = crash_space,
};

/* --- life ---------------------------------------------------------------------------------- */

struct vfs *vfs_crash_new(uint64_t seed)
{
    struct vfs_crash *crash = calloc(1, sizeof(*crash));

    assert(crash);
    crash->base.ops = &crash_ops;
    crash->random = seed;
    return &crash->base;
}

void vfs_crash_free(struct vfs *vfs)
{
    struct vfs_crash *crash = of(vfs);

    assert(crash->open_files == 0);
    while (crash->inodes) {
        struct inode *inode = crash->inodes;

        crash->inodes = inode->next;
        free(inode->cache);
        free(inode->media);
        free(inode->dirty);
        free(inode);
    }
    free(crash);
}

void vfs_crash_cut_after(struct vfs *vfs, uint64_t n)
{
    of(vfs)->cut_after = n;
}

bool vfs_crash_is_cut(const struct vfs *vfs)
{
    return ((const struct vfs_crash *)vfs)->cut;
}

static bool inode_is_named(const struct names *names, const struct inode *inode)
{
    for (size_t i = 0; i < names->count; i++)
        if (names->items[i].inode == inode)
            return true;
    return false;
}

/* Nothing is open: what has no name can never be reached again. */
static void inodes_collect(struct vfs_crash *crash)
{
    struct inode **at = &crash->inodes;

    while (*at) {
        struct inode *inode = *at;

        if (inode_is_named(&crash->now, inode)) {
            at = &inode->next;
            continue;
        }
        *at = inode->next;
        free(inode->cache);
        free(inode->media);
        free(inode->dirty);
        free(inode);
    }
}

static void inode_restart(struct vfs *vfs, struct inode *inode)
{
    uint64_t size = inode->media_size;

    for (uint64_t s = 0; s < inode->capacity / SECTOR; s++) {
        uint64_t end = (s + 1) * SECTOR;

        if (!inode->dirty[s] || vfs_crash_random(vfs) % 2)
            continue;
        memcpy(inode->media + s * SECTOR, inode->cache + s * SECTOR, SECTOR);
        end = end < inode->cache_size ? end : inode->cache_size;
        size = size > end ? size : end;
    }
    if (inode->cache_size > size && vfs_crash_random(vfs) % 2)
        size = inode->cache_size;
    if (inode->shrunk && inode->cache_size < size && vfs_crash_random(vfs) % 2) {
        memset(inode->media + inode->cache_size, 0, (size_t)(size - inode->cache_size));
        size = inode->cache_size;
    }
    inode->media_size = size;
    memcpy(inode->cache, inode->media, inode->capacity);
    inode->cache_size = size;
    inode_sync(inode);
}

void vfs_crash_restart(struct vfs *vfs)
{
    struct vfs_crash *crash = of(vfs);
    size_t kept = crash->log_count > 0 ? vfs_crash_random(vfs) % (crash->log_count + 1) : 0;

    assert(crash->open_files == 0);
    for (size_t i = 0; i < kept; i++)
        names_apply(&crash->durable, &crash->log[i]);
    crash->now = crash->durable;
    crash->log_count = 0;
    inodes_collect(crash);
    for (struct inode *inode = crash->inodes; inode; inode = inode->next)
        inode_restart(vfs, inode);
    crash->cut = false;
    crash->cut_after = 0;
}

void vfs_crash_resume(struct vfs *vfs)
{
    assert(of(vfs)->open_files == 0);
    of(vfs)->cut = false;
    of(vfs)->cut_after = 0;
}

void vfs_crash_flip(struct vfs *vfs, const char *path, uint64_t offset, unsigned bit)
{
    struct name *name = name_find(&of(vfs)->now, path);

    assert(name && offset < name->inode->cache_size);
    name->inode->cache[offset] ^= (uint8_t)(1u << bit);
    name->inode->media[offset] ^= (uint8_t)(1u << bit);
}

uint8_t *vfs_crash_bytes(struct vfs *vfs, const char *path, uint64_t *size)
{
    struct name *name = name_find(&of(vfs)->now, path);

    if (!name)
        return NULL;
    *size = name->inode->cache_size;
    return name->inode->cache;
}
