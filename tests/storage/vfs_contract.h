/* Vfs contract: what storage/vfs.h promises, as tests that run on every implementation. Each gets
 * an empty vfs and leaves files behind, none of them open. */
#ifndef TESTS_STORAGE_VFS_CONTRACT_H
#define TESTS_STORAGE_VFS_CONTRACT_H

#include "storage/vfs.h"

#define VFS_CONTRACTS(X)                                                                           \
    X(open_flags)                                                                                  \
    X(paths)                                                                                       \
    X(reads)                                                                                       \
    X(writes)                                                                                      \
    X(truncate)                                                                                    \
    X(rename)                                                                                      \
    X(remove)                                                                                      \
    X(folders)                                                                                     \
    X(lock)                                                                                        \
    X(space)                                                                                       \
    X(threads)

#define X(name) void vfs_contract_##name(struct vfs *vfs);
VFS_CONTRACTS(X)
#undef X

/* Steps the tests of one implementation share. */
int vfs_contract_write(struct vfs_file *file, const void *bytes, size_t size, uint64_t offset);
/* Creates or opens path, writes text at its beginning. */
struct vfs_file *vfs_contract_create(struct vfs *vfs, const char *path, const char *text);
/* The file holds text and nothing else. */
void vfs_contract_expect(struct vfs_file *file, const char *text);
/* Makes every call once and returns the first error, or -EXDEV after a short read; closes what
 * it opened, so that it can be called again. */
int vfs_contract_call_all(struct vfs *vfs);

#endif
