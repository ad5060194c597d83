#include "tests/sim/sim_disk_names.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

size_t names_find(const struct names *names, const char *path)
{
    size_t i = 0;
    while (i < names->count && strcmp(names->items[i].path, path) != 0)
        i++;
    return i;
}

void names_set(struct names *names, const char *path, struct sim_inode *inode)
{
    size_t i = names_find(names, path);
    inode->references++;
    if (i < names->count) {
        inode_unref(names->items[i].inode);
        names->items[i].inode = inode;
        return;
    }
    if (names->count == names->capacity) {
        names->capacity = names->capacity ? names->capacity * 2 : 32;
        names->items = realloc(names->items, names->capacity * sizeof *names->items);
        assert(names->items);
    }
    names->items[names->count].inode = inode;
    (void)strcpy(names->items[names->count++].path, path);
}

void names_unset(struct names *names, const char *path)
{
    size_t i = names_find(names, path);
    if (i == names->count)
        return;
    inode_unref(names->items[i].inode);
    memmove(&names->items[i], &names->items[i + 1], (names->count - i - 1) * sizeof *names->items);
    names->count--;
}

void names_apply(struct names *names, const struct change *change)
{
    if (change->from[0])
        names_unset(names, change->from);
    if (change->to[0])
        names_set(names, change->to, change->inode);
}

/* Copies the path without "./" and trailing slashes; the root is "". */
int path_clean(const char *path, char out[VFS_PATH_SIZE_MAX + 1])
{
    while (path[0] == '.' && (path[1] == '/' || !path[1]))
        path += path[1] ? 2 : 1;
    size_t size = strlen(path);
    while (size && path[size - 1] == '/')
        size--;
    if (size > VFS_PATH_SIZE_MAX)
        return -ENAMETOOLONG;
    memcpy(out, path, size);
    out[size] = 0;
    return 0;
}

bool path_in(const char *path, const char *folder)
{
    const char *slash = strrchr(path, '/');
    size_t size = slash ? (size_t)(slash - path) : 0;
    return size == strlen(folder) && memcmp(path, folder, size) == 0;
}
