#include "storage/vfs_view.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Bytes that were written here. */
struct piece {
    struct piece *next; /* written later */
    uint64_t offset;
    size_t size;
    uint8_t bytes[];
};

/* A name that was used here: a file, or the mark that the one below is gone. */
struct node {
    struct node *next;
    char path[VFS_PATH_SIZE_MAX + 1]; /* empty: removed, but open still */
    bool gone;
    struct vfs_file *below; /* NULL: made here */
    uint64_t below_size;    /* bytes of it that count */
    uint64_t size;
    struct piece *first, **last;
};

struct vfs_view {
    struct vfs base;
    struct vfs *below;
    struct node *nodes;
    size_t open_count;
};

struct file {
    struct vfs_file base;
    struct node *node;
    bool writes;
};

static struct vfs_view *view_of(struct vfs *vfs)
{
    return (struct vfs_view *)(void *)vfs;
}

static struct node *node_of(struct vfs_file *file)
{
    return ((struct file *)(void *)file)->node;
}

static struct node *node_find(const struct vfs_view *view, const char *path)
{
    struct node *node = view->nodes;

    while (node && strcmp(node->path, path) != 0)
        node = node->next;
    return node;
}

static struct node *node_add(struct vfs_view *view, const char *path)
{
    struct node *node = calloc(1, sizeof(*node));

    if (!node)
        return NULL;
    memcpy(node->path, path, strlen(path) + 1);
    node->last = &node->first;
    node->next = view->nodes;
    view->nodes = node;
    return node;
}

/* The file of that name as it is seen here. 0, -ENOENT or another -errno. */
static int node_take(struct vfs_view *view, const char *path, struct node **out)
{
    struct node *node = node_find(view, path);
    struct vfs_file *below;
    int r;

    *out = node;
    if (node)
        return node->gone ? -ENOENT : 0;
    r = vfs_open(view->below, path, VFS_OPEN_READ, &below);
    if (r != 0)
        return r;
    node = node_add(view, path);
    r = node ? vfs_size(below, &node->below_size) : -ENOMEM;
    if (!node) {
        vfs_close(below);
        return r;
    }
    node->below = below;
    node->size = node->below_size;
    *out = node;
    return r;
}

/* --- files --------------------------------------------------------------------------------- */

static int wrap(struct vfs_view *view, struct node *node, bool writes, struct vfs_file **out)
{
    struct file *file = malloc(sizeof(*file));

    if (!file)
        return -ENOMEM;
    *file = (struct file){.base = {.vfs = &view->base}, .node = node, .writes = writes};
    view->open_count++;
    *out = &file->base;
    return 0;
}

static int view_open(struct vfs *vfs, const char *path, unsigned flags, struct vfs_file **file)
{
    struct vfs_view *view = view_of(vfs);
    struct node *node;
    int r = vfs_path_check(path);

    if (r == 0)
        r = node_take(view, path, &node);
    else
        return r;
    if (r == 0 && (flags & VFS_OPEN_EXCLUSIVE))
        return -EEXIST;
    if (r == -ENOENT && (flags & VFS_OPEN_CREATE)) {
        if (node)
            node->path[0] = '\0';
        node = node_add(view, path);
        r = node ? 0 : -ENOMEM;
    }
    return r == 0 ? wrap(view, node, flags & VFS_OPEN_WRITE, file) : r;
}

static void view_close(struct vfs_file *file)
{
    view_of(file->vfs)->open_count--;
    free(file);
}

static int64_t view_read(struct vfs_file *file, void *buffer, size_t size, uint64_t offset,
                         bool wait)
{
    const struct node *node = node_of(file);
    uint8_t *out = buffer;
    size_t below = 0;

    if (offset >= node->size)
        return 0;
    if (size > node->size - offset)
        size = (size_t)(node->size - offset);
    if (node->below && offset < node->below_size) {
        int64_t got;

        below = size < node->below_size - offset ? size : (size_t)(node->below_size - offset);
        got = wait ? vfs_pread(node->below, out, below, offset)
                   : vfs_pread_nowait(node->below, out, below, offset);
        if (got < 0)
            return got;
        below = (size_t)got; /* shorter: somebody has truncated it since */
    }
    memset(out + below, 0, size - below);
    for (const struct piece *piece = node->first; piece; piece = piece->next) {
        uint64_t from = piece->offset > offset ? piece->offset : offset;
        uint64_t piece_end = piece->offset + piece->size;
        uint64_t end = piece_end < offset + size ? piece_end : offset + size;

        if (from < end)
            memcpy(out + (from - offset), piece->bytes + (from - piece->offset),
                   (size_t)(end - from));
    }
    return (int64_t)size;
}

static int64_t view_pread(struct vfs_file *file, void *buffer, size_t size, uint64_t offset)
{
    return view_read(file, buffer, size, offset, true);
}

static int64_t view_pread_nowait(struct vfs_file *file, void *buffer, size_t size, uint64_t offset)
{
    return view_read(file, buffer, size, offset, false);
}

static int view_pwritev(struct vfs_file *file, const struct iovec *iov, int iov_count,
                        uint64_t offset)
{
    struct node *node = node_of(file);

    if (!((struct file *)(void *)file)->writes)
        return -EBADF;
    for (int i = 0; i < iov_count; i++) {
        struct piece *piece;

        if (iov[i].iov_len == 0)
            continue;
        piece = malloc(sizeof(*piece) + iov[i].iov_len);
        if (!piece)
            return -ENOMEM;
        *piece = (struct piece){.offset = offset, .size = iov[i].iov_len};
        memcpy(piece->bytes, iov[i].iov_base, iov[i].iov_len);
        *node->last = piece;
        node->last = &piece->next;
        offset += iov[i].iov_len;
        if (offset > node->size)
            node->size = offset;
    }
    return 0;
}

static int view_sync(struct vfs_file *file)
{
    (void)file;
    return 0;
}

static int view_size(struct vfs_file *file, uint64_t *size)
{
    *size = node_of(file)->size;
    return 0;
}

static int view_truncate(struct vfs_file *file, uint64_t size)
{
    struct node *node = node_of(file);

    if (!((struct file *)(void *)file)->writes)
        return -EINVAL;
    node->size = size;
    if (node->below_size > size)
        node->below_size = size;
    for (struct piece *piece = node->first; piece; piece = piece->next)
        if (piece->offset + piece->size > size)
            piece->size = piece->offset < size ? (size_t)(size - piece->offset) : 0;
    return 0;
}

/* --- names --------------------------------------------------------------------------------- */

/* The name is gone from here on; the file lives on for those who have it open. */
static int name_drop(struct vfs_view *view, struct node *node, const char *path)
{
    struct node *mark = node_add(view, path);

    if (!mark)
        return -ENOMEM;
    mark->gone = true;
    if (node)
        node->path[0] = '\0';
    return 0;
}

static int view_rename(struct vfs *vfs, const char *from, const char *to)
{
    struct vfs_view *view = view_of(vfs);
    struct node *node, *other;
    int r = vfs_path_check(from);

    if (r == 0)
        r = vfs_path_check(to);
    if (r == 0)
        r = node_take(view, from, &node);
    if (r != 0 || strcmp(from, to) == 0)
        return r;
    r = name_drop(view, node, from);
    if (r != 0)
        return r;
    other = node_find(view, to);
    if (other)
        other->path[0] = '\0';
    memcpy(node->path, to, strlen(to) + 1);
    return 0;
}

static int view_remove(struct vfs *vfs, const char *path)
{
    struct vfs_view *view = view_of(vfs);
    struct node *node;
    int r = vfs_path_check(path);

    if (r == 0)
        r = node_take(view, path, &node);
    return r == 0 ? name_drop(view, node, path) : r;
}

static int view_mkdir(struct vfs *vfs, const char *path)
{
    (void)vfs;
    return vfs_path_check(path);
}

static int view_sync_dir(struct vfs *vfs, const char *path)
{
    (void)vfs;
    (void)path;
    return 0;
}

struct listing {
    struct vfs_view *view;
    const char *folder;
    vfs_list_visit visit;
    void *context;
};

/* The name in the folder, or NULL when the path is not right inside it. */
static const char *name_in(const char *folder, const char *path)
{
    size_t size = strcmp(folder, ".") == 0 ? 0 : strlen(folder);

    if (size > 0 && (strncmp(path, folder, size) != 0 || path[size] != '/'))
        return NULL;
    path += size + (size > 0);
    return *path && !strchr(path, '/') ? path : NULL;
}

/* A name below counts unless the nodes know better. */
static int visit_below(void *context, const char *name)
{
    const struct listing *listing = context;

    for (const struct node *node = listing->view->nodes; node; node = node->next) {
        const char *known = name_in(listing->folder, node->path);

        if (known && strcmp(known, name) == 0)
            return 0;
    }
    return listing->visit(listing->context, name);
}

static int view_list(struct vfs *vfs, const char *path, vfs_list_visit visit, void *context)
{
    struct listing listing = {view_of(vfs), path, visit, context};
    int r = vfs_list(listing.view->below, path, visit_below, &listing);

    if (r == -ENOENT)
        r = 0;
    for (const struct node *node = listing.view->nodes; node && r == 0; node = node->next) {
        const char *name = name_in(path, node->path);

        if (name && !node->gone)
            r = visit(context, name);
    }
    return r;
}

static int view_lock(struct vfs *vfs, const char *path, struct vfs_file **file)
{
    return view_open(vfs, path, VFS_OPEN_WRITE | VFS_OPEN_CREATE, file);
}

static int view_space(struct vfs *vfs, uint64_t *bytes_free)
{
    (void)vfs;
    *bytes_free = UINT64_MAX / 2;
    return 0;
}

/* --- life ---------------------------------------------------------------------------------- */

static const struct vfs_ops view_ops = {
    .open = view_open,
    .close = view_close,
    .pread = view_pread,
    .pread_nowait = view_pread_nowait,
    .pwritev = view_pwritev,
    .sync = view_sync,
    .size = view_size,
    .truncate = view_truncate,
    .rename = view_rename,
    .remove = view_remove,
    .mkdir = view_mkdir,
    .sync_dir = view_sync_dir,
    .list = view_list,
    .lock = view_lock,
    .space = view_space,
};

struct vfs *vfs_view_new(struct vfs *base)
{
    struct vfs_view *view = calloc(1, sizeof(*view));

    if (!view)
        return NULL;
    view->base.ops = &view_ops;
    view->below = base;
    return &view->base;
}

void vfs_view_free(struct vfs *vfs)
{
    struct vfs_view *view = view_of(vfs);

    if (!vfs)
        return;
    assert(view->open_count == 0);
    while (view->nodes) {
        struct node *node = view->nodes;

        view->nodes = node->next;
        while (node->first) {
            struct piece *piece = node->first;

            node->first = piece->next;
            free(piece);
        }
        vfs_close(node->below);
        free(node);
    }
    free(view);
}
