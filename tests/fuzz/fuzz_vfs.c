#include "fuzz_vfs.h"

#include <stdlib.h>
#include <string.h>

static struct fuzz_vfs *fuzz_of(struct vfs *vfs)
{
    return (struct fuzz_vfs *)vfs; /* its first member */
}

static int fuzz_open(struct vfs *vfs, const char *path, unsigned flags, struct vfs_file **file)
{
    (void)path;
    (void)flags;
    *file = &fuzz_of(vfs)->file;
    return 0;
}

static void fuzz_close(struct vfs_file *file)
{
    (void)file;
}

static int64_t fuzz_pread(struct vfs_file *file, void *buffer, size_t size, uint64_t offset)
{
    const struct fuzz_vfs *fuzz = fuzz_of(file->vfs);
    size_t left = offset < fuzz->size ? fuzz->size - (size_t)offset : 0;

    size = size < left ? size : left;
    if (size > 0)
        memcpy(buffer, fuzz->bytes + offset, size);
    return (int64_t)size;
}

static int fuzz_pwritev(struct vfs_file *file, const struct iovec *iov, int iov_count,
                        uint64_t offset)
{
    struct fuzz_vfs *fuzz = fuzz_of(file->vfs);

    for (int i = 0; i < iov_count; i++) {
        if (offset + iov[i].iov_len > fuzz->capacity)
            abort();
        memcpy(fuzz->bytes + offset, iov[i].iov_base, iov[i].iov_len);
        offset += iov[i].iov_len;
        if (offset > fuzz->size)
            fuzz->size = (size_t)offset;
    }
    return 0;
}

static int fuzz_sync(struct vfs_file *file)
{
    (void)file;
    return 0;
}

static int fuzz_size(struct vfs_file *file, uint64_t *size)
{
    *size = fuzz_of(file->vfs)->size;
    return 0;
}

static const struct vfs_ops fuzz_ops = {
    .open = fuzz_open,
    .close = fuzz_close,
    .pread = fuzz_pread,
    .pwritev = fuzz_pwritev,
    .sync = fuzz_sync,
    .size = fuzz_size,
};

void fuzz_vfs_init(struct fuzz_vfs *fuzz, uint8_t *bytes, size_t size, size_t capacity)
{
    *fuzz = (struct fuzz_vfs){
        .vfs = {.ops = &fuzz_ops}, .bytes = bytes, .size = size, .capacity = capacity};
    fuzz->file.vfs = &fuzz->vfs;
}
