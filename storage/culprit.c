#include "storage/culprit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "storage/grow.h"

static bool fails(struct vfs *vfs, const char *path, unsigned flags, int error)
{
    struct vfs_file *file = NULL;
    uint8_t byte;
    int64_t r = vfs_open(vfs, path, flags, &file);

    if (r == 0)
        r = vfs_pread(file, &byte, sizeof(byte), 0);
    vfs_close(file);
    return r == error;
}

const char *culprit_named(struct vfs *vfs, const char *const *names, size_t count, int error)
{
    for (size_t i = 0; i < count; i++)
        if (fails(vfs, names[i], VFS_OPEN_READ, error))
            return names[i];
    for (size_t i = 0; i < count; i++) /* not all are written to */
        if (fails(vfs, names[i], VFS_OPEN_WRITE, error))
            return names[i];
    return NULL;
}

/* Paths of what is ours in a shard's folder. */
struct found {
    const char *folder;
    char (*paths)[FILENAME_PATH_SIZE];
    size_t count, capacity;
};

static int visit(void *context, const char *name)
{
    struct found *found = context;
    uint16_t partition;
    uint64_t number;

    if (strcmp(name, FILENAME_MANIFEST) != 0 && strcmp(name, FILENAME_MANIFEST_NEW) != 0 &&
        strcmp(name, FILENAME_OWNER) != 0 && strcmp(name, FILENAME_OWNER_NEW) != 0 &&
        !filename_is_journal(name, &number) && !filename_is_journal_hint(name, &number) &&
        !filename_is_cask(name, &partition, &number) &&
        !filename_is_cask_hint(name, &partition, &number))
        return 0;
    if (GROW(found->paths, found->capacity, found->count + 1) != 0)
        return -ENOMEM;
    return filename_join(found->paths[found->count++], found->folder, name);
}

bool culprit_in_shard(struct vfs *vfs, const char *folder, int error, char path[FILENAME_PATH_SIZE])
{
    struct found found = {.folder = folder};
    const char *name = NULL;
    int r = vfs_list(vfs, folder, visit, &found);

    for (int write = 0; r == 0 && !name && write < 2; write++)
        for (size_t i = 0; i < found.count && !name; i++)
            if (fails(vfs, found.paths[i], write ? VFS_OPEN_WRITE : VFS_OPEN_READ, error))
                name = found.paths[i];
    if (r == error)
        name = folder;
    if (name)
        snprintf(path, FILENAME_PATH_SIZE, "%s", name);
    free(found.paths);
    return name != NULL;
}

const char *culprit_advice(int error)
{
    if (vfs_is_full(error))
        return "make room";
    if (vfs_is_unreadable(error))
        return "the disk fails: replace it; ring-admin doctor says how to replace a node";
    switch (error) {
    case -EISDIR:
    case -ENOTDIR:
    case -ELOOP:
    case -EINVAL:
        return "something else is in its place, as a folder, a link or a device: move that away, "
               "put back what was there, and start again";
    case -EACCES:
    case -EPERM:
        return "let the user that runs this read and write it, and start again";
    case -EROFS:
        return "mount its file system for writing, and start again";
    case -EMFILE:
    case -ENFILE:
        return "allow more open files (ulimit -n, LimitNOFILE=), and start again";
    case -EFBIG:
        return "allow larger files (ulimit -f, LimitFSIZE=), and start again";
    case -ENOMEM:
        return "leave more memory to this, and start again";
    default:
        return "see to it, and start again";
    }
}
