#include "storage/vfs.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* A file or folder. It leaves the list when its name goes, and memory with its last handle. */
struct mem_node {
    struct mem_node *next; /* of the vfs's list, in no order */
    char path[VFS_PATH_SIZE_MAX + 1];
    bool folder;
    bool linked; /* has a name: is in the list */
    bool locked;
    unsigned handles;
    uint8_t *bytes;
    size_t size;
    size_t capacity; /* of bytes */
};

struct vfs_mem {
    struct vfs base;
    pthread_mutex_t mutex; /* guards everything below, nodes and handles included */
    struct mem_node *nodes;
    uint64_t bytes_used; /* sizes of all nodes, those without a name too */
    uint64_t bytes_max;
    bool quota; /* which bytes_max is */
    uint64_t handles;
    uint64_t calls;
    uint64_t fail_at; /* the value of calls that fails; 0: none */
    int fail_error;   /* -errno */
    bool cold;
};

struct mem_file {
    struct vfs_file base;
    struct mem_node *node;
    bool writable;
    bool holds_lock;
};

static struct vfs_mem *mem_of(struct vfs *vfs)
{
    return (struct vfs_mem *)vfs;
}

static struct mem_node *node_of(struct vfs_file *file)
{
    return ((struct mem_file *)file)->node;
}

/* Begins a call: takes the mutex, counts. Returns 0, or what the call is to fail with. */
static int mem_enter(struct vfs *vfs)
{
    struct vfs_mem *mem = mem_of(vfs);
    pthread_mutex_lock(&mem->mutex);
    mem->calls++;
    return mem->calls == mem->fail_at ? mem->fail_error : 0;
}

static int mem_leave(struct vfs *vfs, int r)
{
    pthread_mutex_unlock(&mem_of(vfs)->mutex);
    return r;
}

static struct mem_node *mem_find(struct vfs_mem *mem, const char *path)
{
    struct mem_node *node = mem->nodes;
    while (node && strcmp(node->path, path) != 0)
        node = node->next;
    return node;
}

/* 0 when path[0 … size) is a folder. */
static int mem_check_folder(struct vfs_mem *mem, const char *path, size_t size)
{
    char folder[VFS_PATH_SIZE_MAX + 1];
    assert(size < sizeof folder);
    memcpy(folder, path, size);
    folder[size] = '\0';
    if (strcmp(folder, ".") == 0)
        return 0;
    int r = vfs_path_check(folder);
    if (r < 0)
        return r;
    const struct mem_node *node = mem_find(mem, folder);
    if (!node)
        return -ENOENT;
    return node->folder ? 0 : -ENOTDIR;
}

/* 0 when path is well formed and lies in a folder that exists. */
static int mem_check_path(struct vfs_mem *mem, const char *path)
{
    int r = vfs_path_check(path);
    if (r < 0)
        return r;
    const char *slash = strrchr(path, '/');
    return slash ? mem_check_folder(mem, path, (size_t)(slash - path)) : 0;
}

static int mem_create(struct vfs_mem *mem, const char *path, bool folder, struct mem_node **out)
{
    struct mem_node *node = calloc(1, sizeof *node);
    if (!node)
        return -ENOMEM;
    memcpy(node->path, path, strlen(path) + 1);
    node->folder = folder;
    node->linked = true;
    node->next = mem->nodes;
    mem->nodes = node;
    *out = node;
    return 0;
}

static void mem_node_unref(struct vfs_mem *mem, struct mem_node *node)
{
    if (node->linked || node->handles > 0)
        return;
    mem->bytes_used -= node->size;
    free(node->bytes);
    free(node);
}

static void mem_unlink(struct vfs_mem *mem, struct mem_node *node)
{
    struct mem_node **link = &mem->nodes;
    while (*link != node)
        link = &(*link)->next;
    *link = node->next;
    node->linked = false;
    mem_node_unref(mem, node);
}

static int mem_open_node(struct vfs *vfs, const char *path, unsigned flags, struct mem_file **file)
{
    struct vfs_mem *mem = mem_of(vfs);
    int r = mem_check_path(mem, path);
    if (r < 0)
        return r;
    struct mem_node *node = mem_find(mem, path);
    if (node && (flags & VFS_OPEN_EXCLUSIVE))
        return -EEXIST;
    if (node && node->folder)
        return -EISDIR;
    if (!node && !(flags & VFS_OPEN_CREATE))
        return -ENOENT;
    struct mem_file *opened = calloc(1, sizeof *opened);
    if (!opened)
        return -ENOMEM;
    if (!node)
        r = mem_create(mem, path, false, &node);
    if (r < 0) {
        free(opened);
        return r;
    }
    opened->base.vfs = vfs;
    opened->node = node;
    opened->writable = flags & VFS_OPEN_WRITE;
    node->handles++;
    mem->handles++;
    *file = opened;
    return 0;
}

static int mem_open(struct vfs *vfs, const char *path, unsigned flags, struct vfs_file **file)
{
    assert(!(flags & VFS_OPEN_CREATE) || (flags & VFS_OPEN_WRITE));
    assert(!(flags & VFS_OPEN_EXCLUSIVE) || (flags & VFS_OPEN_CREATE));
    struct mem_file *opened = NULL;
    int r = mem_enter(vfs);
    if (r == 0)
        r = mem_open_node(vfs, path, flags, &opened);
    if (r == 0)
        *file = &opened->base;
    return mem_leave(vfs, r);
}

static void mem_close(struct vfs_file *file)
{
    struct vfs_mem *mem = mem_of(file->vfs);
    struct mem_file *opened = (struct mem_file *)file;
    pthread_mutex_lock(&mem->mutex);
    assert(opened->node->handles > 0);
    assert(mem->handles > 0);
    opened->node->handles--;
    mem->handles--;
    if (opened->holds_lock)
        opened->node->locked = false;
    mem_node_unref(mem, opened->node);
    pthread_mutex_unlock(&mem->mutex);
    free(opened);
}

static int64_t mem_read(struct vfs_file *file, void *buffer, size_t size, uint64_t offset,
                        bool wait)
{
    struct vfs_mem *mem = mem_of(file->vfs);
    int64_t r = mem_enter(file->vfs);
    const struct mem_node *node = node_of(file);
    if (r == 0 && !wait && mem->cold)
        r = -EAGAIN;
    if (r == 0 && offset < node->size) {
        size_t left = node->size - (size_t)offset;
        size_t n = size < left ? size : left;
        if (n > 0)
            memcpy(buffer, node->bytes + offset, n);
        r = (int64_t)n;
    }
    mem_leave(file->vfs, 0);
    return r;
}

static int64_t mem_pread(struct vfs_file *file, void *buffer, size_t size, uint64_t offset)
{
    return mem_read(file, buffer, size, offset, true);
}

static int64_t mem_pread_nowait(struct vfs_file *file, void *buffer, size_t size, uint64_t offset)
{
    return mem_read(file, buffer, size, offset, false);
}

static int mem_full(const struct vfs_mem *mem)
{
    return mem->quota ? -EDQUOT : -ENOSPC;
}

/* Sets a node's size; bytes it gains are zero. One that is full changes nothing. */
static int mem_resize(struct vfs_mem *mem, struct mem_node *node, uint64_t size)
{
    if (size > INT64_MAX)
        return -EFBIG;
    if (size > node->size && size - node->size > mem->bytes_max - mem->bytes_used)
        return mem_full(mem);
    if (size > node->capacity) {
        size_t capacity = size > 2 * node->capacity ? (size_t)size : 2 * node->capacity;
        uint8_t *bytes = realloc(node->bytes, capacity);
        if (!bytes)
            return -ENOMEM;
        node->bytes = bytes;
        node->capacity = capacity;
    }
    if (size > node->size)
        memset(node->bytes + node->size, 0, (size_t)size - node->size);
    mem->bytes_used = mem->bytes_used - node->size + size;
    node->size = (size_t)size;
    return 0;
}

/* Writes what fits of one piece. */
static int mem_write(struct vfs_mem *mem, struct mem_node *node, const struct iovec *piece,
                     size_t size, uint64_t offset)
{
    if (size == 0)
        return 0;
    if (offset > INT64_MAX - (uint64_t)size)
        return -EFBIG;
    int r = 0;
    uint64_t end = offset + size;
    if (end > node->size) {
        uint64_t room = node->size + (mem->bytes_max - mem->bytes_used);
        if (end > room) {
            r = mem_full(mem);
            end = room;
        }
        if (end <= offset)
            return r;
        int grown = end > node->size ? mem_resize(mem, node, end) : 0;
        if (grown < 0)
            return grown;
    }
    memcpy(node->bytes + offset, piece->iov_base, (size_t)(end - offset));
    return r;
}

static int mem_pwritev(struct vfs_file *file, const struct iovec *iov, int iov_count,
                       uint64_t offset)
{
    struct vfs_mem *mem = mem_of(file->vfs);
    size_t size = 0;
    for (int i = 0; i < iov_count; i++)
        size += iov[i].iov_len;
    int fail = mem_enter(file->vfs);
    int r = ((struct mem_file *)file)->writable ? 0 : -EBADF;
    size_t left = fail == 0 ? size : size / 2;
    for (int i = 0; i < iov_count && r == 0; i++) {
        size_t n = iov[i].iov_len < left ? iov[i].iov_len : left;
        r = mem_write(mem, node_of(file), &iov[i], n, offset);
        left -= n;
        offset += n;
    }
    return mem_leave(file->vfs, fail != 0 ? fail : r);
}

static int mem_sync(struct vfs_file *file)
{
    return mem_leave(file->vfs, mem_enter(file->vfs));
}

static int mem_size(struct vfs_file *file, uint64_t *size)
{
    int r = mem_enter(file->vfs);
    if (r == 0)
        *size = node_of(file)->size;
    return mem_leave(file->vfs, r);
}

static int mem_truncate(struct vfs_file *file, uint64_t size)
{
    int r = mem_enter(file->vfs);
    if (r == 0 && !((struct mem_file *)file)->writable)
        r = -EINVAL;
    if (r == 0)
        r = mem_resize(mem_of(file->vfs), node_of(file), size);
    return mem_leave(file->vfs, r);
}

static int mem_rename_node(struct vfs_mem *mem, const char *from, const char *to)
{
    int r = mem_check_path(mem, from);
    if (r == 0)
        r = mem_check_path(mem, to);
    if (r < 0)
        return r;
    struct mem_node *node = mem_find(mem, from);
    struct mem_node *replaced = mem_find(mem, to);
    if (!node)
        return -ENOENT;
    if (node->folder || (replaced && replaced->folder))
        return -EISDIR;
    if (replaced == node)
        return 0;
    if (replaced)
        mem_unlink(mem, replaced);
    memcpy(node->path, to, strlen(to) + 1);
    return 0;
}

static int mem_rename(struct vfs *vfs, const char *from, const char *to)
{
    int r = mem_enter(vfs);
    if (r == 0)
        r = mem_rename_node(mem_of(vfs), from, to);
    return mem_leave(vfs, r);
}

static int mem_remove(struct vfs *vfs, const char *path)
{
    struct vfs_mem *mem = mem_of(vfs);
    int r = mem_enter(vfs);
    if (r == 0)
        r = mem_check_path(mem, path);
    if (r == 0) {
        struct mem_node *node = mem_find(mem, path);
        if (!node)
            r = -ENOENT;
        else if (node->folder)
            r = -EISDIR;
        else
            mem_unlink(mem, node);
    }
    return mem_leave(vfs, r);
}

static int mem_mkdir(struct vfs *vfs, const char *path)
{
    struct vfs_mem *mem = mem_of(vfs);
    int r = mem_enter(vfs);
    if (r == 0)
        r = mem_check_path(mem, path);
    if (r == 0) {
        struct mem_node *node = mem_find(mem, path);
        if (!node)
            r = mem_create(mem, path, true, &node);
        else if (!node->folder)
            r = -ENOTDIR;
    }
    return mem_leave(vfs, r);
}

static int mem_sync_dir(struct vfs *vfs, const char *path)
{
    int r = mem_enter(vfs);
    size_t size = strnlen(path, VFS_PATH_SIZE_MAX + 1);
    if (r == 0)
        r = size > VFS_PATH_SIZE_MAX ? -ENAMETOOLONG : mem_check_folder(mem_of(vfs), path, size);
    return mem_leave(vfs, r);
}

/* The name of node inside the folder, or NULL when it lies elsewhere. */
static const char *mem_name_in(const struct mem_node *node, const char *folder)
{
    const char *name = node->path;
    if (strcmp(folder, ".") != 0) {
        size_t size = strlen(folder);
        if (strncmp(name, folder, size) != 0 || name[size] != '/')
            return NULL;
        name += size + 1;
    }
    return strchr(name, '/') ? NULL : name;
}

static int mem_list(struct vfs *vfs, const char *path, vfs_list_visit visit, void *context)
{
    struct vfs_mem *mem = mem_of(vfs);
    int r = mem_enter(vfs);
    size_t size = strnlen(path, VFS_PATH_SIZE_MAX + 1);
    if (r == 0)
        r = size > VFS_PATH_SIZE_MAX ? -ENAMETOOLONG : mem_check_folder(mem, path, size);
    for (const struct mem_node *node = mem->nodes; node && r == 0; node = node->next) {
        const char *name = mem_name_in(node, path);
        if (name)
            r = visit(context, name);
    }
    return mem_leave(vfs, r);
}

static int mem_lock(struct vfs *vfs, const char *path, struct vfs_file **file)
{
    struct vfs_mem *mem = mem_of(vfs);
    int r = mem_enter(vfs);
    const struct mem_node *node = r == 0 ? mem_find(mem, path) : NULL;
    if (node && node->locked)
        r = -EWOULDBLOCK;
    struct mem_file *opened = NULL;
    if (r == 0)
        r = mem_open_node(vfs, path, VFS_OPEN_WRITE | VFS_OPEN_CREATE, &opened);
    if (r == 0) {
        opened->holds_lock = true;
        opened->node->locked = true;
        *file = &opened->base;
    }
    return mem_leave(vfs, r);
}

static int mem_space(struct vfs *vfs, uint64_t *bytes_free)
{
    const struct vfs_mem *mem = mem_of(vfs);
    int r = mem_enter(vfs);
    if (r == 0)
        *bytes_free = (mem->quota ? INT64_MAX : mem->bytes_max) - mem->bytes_used;
    return mem_leave(vfs, r);
}

static const struct vfs_ops mem_ops = {
    .open = mem_open,
    .close = mem_close,
    .pread = mem_pread,
    .pread_nowait = mem_pread_nowait,
    .pwritev = mem_pwritev,
    .sync = mem_sync,
    .size = mem_size,
    .truncate = mem_truncate,
    .rename = mem_rename,
    .remove = mem_remove,
    .mkdir = mem_mkdir,
    .sync_dir = mem_sync_dir,
    .list = mem_list,
    .lock = mem_lock,
    .space = mem_space,
};

struct vfs *vfs_mem_new(void)
{
    struct vfs_mem *mem = calloc(1, sizeof *mem);
    if (!mem)
        return NULL;
    mem->base.ops = &mem_ops;
    mem->bytes_max = INT64_MAX;
    pthread_mutex_init(&mem->mutex, NULL); /* with default attributes it cannot fail on Linux */
    return &mem->base;
}

struct vfs *vfs_mem_free(struct vfs *vfs)
{
    if (!vfs)
        return NULL;
    struct vfs_mem *mem = mem_of(vfs);
    assert(mem->handles == 0);
    while (mem->nodes)
        mem_unlink(mem, mem->nodes);
    assert(mem->bytes_used == 0);
    pthread_mutex_destroy(&mem->mutex);
    free(mem);
    return NULL;
}

static void mem_set_max(struct vfs *vfs, uint64_t bytes, bool quota)
{
    struct vfs_mem *mem = mem_of(vfs);
    pthread_mutex_lock(&mem->mutex);
    mem->quota = quota;
    /* Less than is there already: nothing more fits, as on a disk that somebody else has filled. */
    mem->bytes_max = bytes > mem->bytes_used ? bytes : mem->bytes_used;
    if (mem->bytes_max > INT64_MAX)
        mem->bytes_max = INT64_MAX;
    pthread_mutex_unlock(&mem->mutex);
}

void vfs_mem_set_capacity(struct vfs *vfs, uint64_t bytes)
{
    mem_set_max(vfs, bytes, false);
}

void vfs_mem_set_quota(struct vfs *vfs, uint64_t bytes)
{
    mem_set_max(vfs, bytes, true);
}

void vfs_mem_fail_after(struct vfs *vfs, uint64_t n, int error)
{
    struct vfs_mem *mem = mem_of(vfs);
    assert(n == 0 || error > 0);
    pthread_mutex_lock(&mem->mutex);
    mem->fail_at = n == 0 ? 0 : mem->calls + n;
    mem->fail_error = -error;
    pthread_mutex_unlock(&mem->mutex);
}

uint64_t vfs_mem_calls(const struct vfs *vfs)
{
    return ((const struct vfs_mem *)vfs)->calls;
}

void vfs_mem_set_cold(struct vfs *vfs, bool cold)
{
    struct vfs_mem *mem = mem_of(vfs);
    pthread_mutex_lock(&mem->mutex);
    mem->cold = cold;
    pthread_mutex_unlock(&mem->mutex);
}
