#include "golden.h"

#include "storage/vfs.h"

#include <assert.h>
#include <string.h>

void golden_fill(uint8_t *bytes, size_t size, uint8_t from)
{
    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)(from + i);
}

bool golden_same(struct wire_buffer *buffer, const uint8_t *bytes, size_t size)
{
    bool same = !buffer->failed && buffer->size == size &&
                (size == 0 || memcmp(buffer->data, bytes, size) == 0);

    wire_buffer_deinit(buffer);
    return same;
}

void golden_take_file(struct vfs *vfs, const char *path, struct wire_buffer *out)
{
    uint8_t bytes[16384];
    struct vfs_file *file;
    int64_t size;

    assert(vfs_open(vfs, path, VFS_OPEN_READ, &file) == 0);
    size = vfs_pread(file, bytes, sizeof bytes, 0);
    assert(size >= 0 && size < (int64_t)sizeof bytes);
    vfs_close(file);
    wire_put_raw(out, bytes, (size_t)size);
}

void golden_put_file(struct vfs *vfs, const char *path, const uint8_t *bytes, size_t size)
{
    struct iovec iov = {.iov_base = (void *)(uintptr_t)bytes, .iov_len = size};
    struct vfs_file *file;

    assert(vfs_open(vfs, path, VFS_OPEN_WRITE | VFS_OPEN_CREATE, &file) == 0);
    assert(vfs_pwritev(file, &iov, 1, 0) == 0);
    vfs_close(file);
}
