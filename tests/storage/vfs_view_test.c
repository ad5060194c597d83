#include "storage/vfs_view.h"

#include "vfs_contract.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

/* What a view promises of the contract; folders, locks and space are only played. */
#define VIEW_CONTRACTS(X)                                                                          \
    X(open_flags)                                                                                  \
    X(reads)                                                                                       \
    X(writes)                                                                                      \
    X(truncate)

static void on_view(void (*contract)(struct vfs *vfs))
{
    struct vfs *base = vfs_mem_new();
    struct vfs *view = vfs_view_new(base);
    uint64_t before = vfs_mem_calls(base);

    cr_assert_eq(before, 0);
    contract(view);
    vfs_view_free(view);
    cr_assert_null(vfs_mem_free(base)); /* asserts that no file is open */
}

#define X(name)                                                                                    \
    Test(vfs_view, keeps_the_contract_of_##name)                                                   \
    {                                                                                              \
        on_view(vfs_contract_##name);                                                              \
    }
VIEW_CONTRACTS(X)
#undef X

static int count_name(void *context, const char *name)
{
    unsigned *seen = context;

    *seen |= strcmp(name, "a") == 0   ? 1
             : strcmp(name, "b") == 0 ? 2
             : strcmp(name, "c") == 0 ? 4
             : strcmp(name, "d") == 0 ? 8
                                      : 16;
    return 0;
}

static unsigned names(struct vfs *vfs)
{
    unsigned seen = 0;

    cr_assert_eq(vfs_list(vfs, ".", count_name, &seen), 0);
    return seen;
}

Test(vfs_view, keeps_all_changes_to_itself)
{
    struct vfs *base = vfs_mem_new(), *view = vfs_view_new(base);
    struct vfs_file *a = vfs_contract_create(base, "a", "0123456789");
    struct vfs_file *b = vfs_contract_create(base, "b", "bbb");
    struct vfs_file *file;

    cr_assert_eq(vfs_open(view, "a", VFS_OPEN_WRITE, &file), 0);
    cr_assert_eq(vfs_contract_write(file, "XY", 2, 4), 0);
    cr_assert_eq(vfs_contract_write(file, "Z", 1, 5), 0);
    cr_assert_eq(vfs_contract_write(file, "end", 3, 10), 0);
    vfs_contract_expect(file, "0123XZ6789end");
    cr_assert_eq(vfs_truncate(file, 5), 0);
    vfs_contract_expect(file, "0123X");
    vfs_close(file);
    cr_assert_eq(vfs_rename(view, "a", "c"), 0);
    cr_assert_eq(vfs_remove(view, "b"), 0);
    cr_assert_eq(vfs_open(view, "a", 0, &file), -ENOENT);
    cr_assert_eq(vfs_open(view, "b", 0, &file), -ENOENT);
    cr_assert_eq(names(view), 4);
    vfs_close(vfs_contract_create(view, "b", "new"));
    vfs_close(vfs_contract_create(view, "d", "d"));
    cr_assert_eq(names(view), 2 + 4 + 8);
    cr_assert_eq(vfs_open(view, "b", 0, &file), 0);
    vfs_contract_expect(file, "new");
    vfs_close(file);

    vfs_contract_expect(a, "0123456789");
    vfs_contract_expect(b, "bbb");
    cr_assert_eq(names(base), 3);
    vfs_close(a);
    vfs_close(b);
    vfs_view_free(view);
    vfs_mem_free(base);
}

Test(vfs_view, shows_files_as_large_as_they_were)
{
    struct vfs *base = vfs_mem_new(), *view = vfs_view_new(base);
    struct vfs_file *a = vfs_contract_create(base, "a", "12345"), *file;

    cr_assert_eq(vfs_open(view, "a", 0, &file), 0);
    cr_assert_eq(vfs_contract_write(a, "678", 3, 5), 0);
    vfs_contract_expect(file, "12345");
    cr_assert_eq(vfs_remove(base, "a"), 0);
    vfs_contract_expect(file, "12345");
    vfs_close(file);
    vfs_close(a);
    vfs_view_free(view);
    vfs_mem_free(base);
}
