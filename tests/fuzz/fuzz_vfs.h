/* Fuzz vfs: one file, which is the input; every path that is opened is it. Reads only. Seeds are
 * written through it, too: then the bytes collect in `bytes`. */
#ifndef TESTS_FUZZ_FUZZ_VFS_H
#define TESTS_FUZZ_FUZZ_VFS_H

#include "fuzz.h"
#include "storage/vfs.h"

struct fuzz_vfs {
    struct vfs vfs;
    struct vfs_file file;
    uint8_t *bytes;
    size_t size;
    size_t capacity; /* for writes */
};

void fuzz_vfs_init(struct fuzz_vfs *fuzz, uint8_t *bytes, size_t size, size_t capacity);

#endif
