#include "storage/vfs.h"

#include "alloc.h"
#include "vfs_contract.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <signal.h>

static void on_mem(void (*contract)(struct vfs *vfs))
{
    struct vfs *vfs = vfs_mem_new();
    contract(vfs);
    cr_assert_null(vfs_mem_free(vfs));
}

#define X(name)                                                                                    \
    Test(vfs_mem, keeps_the_contract_of_##name)                                                    \
    {                                                                                              \
        on_mem(vfs_contract_##name);                                                               \
    }
VFS_CONTRACTS(X)
#undef X

Test(vfs_mem, over_its_capacity_is_enospc)
{
    struct vfs *vfs = vfs_mem_new();
    uint64_t bytes_free = 0;
    uint64_t size = 0;
    vfs_mem_set_capacity(vfs, 10);
    struct vfs_file *a = vfs_contract_create(vfs, "a", "0123456");
    struct vfs_file *b = vfs_contract_create(vfs, "b", "");
    cr_assert_eq(vfs_space(vfs, &bytes_free), 0);
    cr_assert_eq(bytes_free, 3);
    cr_assert_eq(vfs_contract_write(b, "vwxyz", 5, 0), -ENOSPC);
    vfs_contract_expect(b, "vwx"); /* what fitted */
    cr_assert_eq(vfs_contract_write(b, "ABC", 3, 0), 0, "overwriting needs no space");
    cr_assert_eq(vfs_truncate(b, 4), -ENOSPC);
    cr_assert_eq(vfs_contract_write(b, "z", 1, 100), -ENOSPC);
    cr_assert_eq(vfs_size(b, &size), 0);
    cr_assert_eq(size, 3);
    cr_assert_eq(vfs_remove(vfs, "a"), 0);
    cr_assert_eq(vfs_contract_write(b, "z", 1, 3), -ENOSPC, "an open file keeps its space");
    vfs_close(a);
    cr_assert_eq(vfs_contract_write(b, "defghij", 7, 3), 0);
    cr_assert_eq(vfs_contract_write(b, "k", 1, 10), -ENOSPC);
    vfs_mem_set_capacity(vfs, 11);
    cr_assert_eq(vfs_contract_write(b, "k", 1, 10), 0);
    vfs_close(b);
    vfs_mem_free(vfs);
}

Test(vfs_mem, over_its_quota_is_edquot_and_no_space_tells)
{
    struct vfs *vfs = vfs_mem_new();
    struct vfs_file *a = vfs_contract_create(vfs, "a", "0123456");
    uint64_t bytes_free = 0;

    vfs_mem_set_quota(vfs, 10);
    cr_assert_eq(vfs_space(vfs, &bytes_free), 0);
    cr_assert_gt(bytes_free, 1u << 30);
    cr_assert_eq(vfs_contract_write(a, "789ab", 5, 7), -EDQUOT);
    vfs_contract_expect(a, "0123456789");
    cr_assert_eq(vfs_truncate(a, 11), -EDQUOT);
    vfs_mem_set_quota(vfs, 11);
    cr_assert_eq(vfs_truncate(a, 11), 0);
    vfs_close(a);
    vfs_mem_free(vfs);
}

Test(vfs_mem, fails_every_call_once)
{
    struct vfs *vfs = vfs_mem_new();
    cr_assert_eq(vfs_contract_call_all(vfs), 0);
    uint64_t calls = vfs_mem_calls(vfs);
    cr_assert_eq(calls, 14);
    for (uint64_t n = 1; n <= calls; n++) {
        vfs_mem_fail_after(vfs, n, EIO);
        int r = vfs_contract_call_all(vfs);
        cr_assert(r == -EIO || r == -EXDEV, "call %u: %d", (unsigned)n, r);
        cr_assert_eq(vfs_contract_call_all(vfs), 0, "it fails once only");
    }
    vfs_mem_fail_after(vfs, 1, EIO);
    vfs_mem_fail_after(vfs, 0, 0);
    cr_assert_eq(vfs_contract_call_all(vfs), 0);
    vfs_mem_free(vfs);
}

Test(vfs_mem, write_that_fails_leaves_half)
{
    struct vfs *vfs = vfs_mem_new();
    struct vfs_file *file = vfs_contract_create(vfs, "a", "");
    vfs_mem_fail_after(vfs, 1, EIO);
    cr_assert_eq(vfs_contract_write(file, "12345678", 8, 0), -EIO);
    vfs_contract_expect(file, "1234");
    vfs_close(file);
    vfs_mem_free(vfs);
}

Test(vfs_mem, cold_makes_nowait_wait)
{
    struct vfs *vfs = vfs_mem_new();
    struct vfs_file *file = vfs_contract_create(vfs, "a", "x");
    char byte;
    cr_assert_eq(vfs_pread_nowait(file, &byte, 1, 0), 1);
    vfs_mem_set_cold(vfs, true);
    cr_assert_eq(vfs_pread_nowait(file, &byte, 1, 0), -EAGAIN);
    cr_assert_eq(vfs_pread(file, &byte, 1, 0), 1);
    vfs_close(file);
    vfs_mem_free(vfs);
}

Test(vfs_mem, free_with_an_open_file_asserts, .signal = SIGABRT)
{
    struct vfs *vfs = vfs_mem_new();
    vfs_contract_create(vfs, "a", "x");
    vfs_mem_free(vfs);
}

Test(vfs_mem, without_memory_is_enomem)
{
    struct vfs *vfs = vfs_mem_new();
    for (uint64_t n = 1;; n++) {
        alloc_fail_after(n);
        int r = vfs_contract_call_all(vfs);
        bool failed = alloc_failed();
        alloc_fail_after(0);
        cr_assert_eq(r, failed ? -ENOMEM : 0);
        if (!failed)
            break;
    }
    vfs_mem_free(vfs);
    alloc_fail_after(1);
    cr_assert_null(vfs_mem_new());
}
