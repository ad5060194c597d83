/* Descriptors: a bound of the store's own, and a system that has no more of them. */
#include <criterion/criterion.h>
#include <errno.h>
#include <limits.h>

#include "store_host.h"

#include "tests/dice.h"

/* vfs_mem with so many descriptors: open files, and one for each call that needs a folder. */
static struct {
    struct vfs_ops ops;
    const struct vfs_ops *inner;
    unsigned open, open_max, peak, refused;
} few;

static bool few_left(void)
{
    if (few.open < few.open_max)
        return true;
    few.refused++;
    return false;
}

static int few_open(struct vfs *vfs, const char *path, unsigned flags, struct vfs_file **file)
{
    int r = few_left() ? few.inner->open(vfs, path, flags, file) : -EMFILE;

    few.open += r == 0;
    few.peak = few.open > few.peak ? few.open : few.peak;
    return r;
}

static void few_close(struct vfs_file *file)
{
    few.open--;
    few.inner->close(file);
}

static int few_sync_dir(struct vfs *vfs, const char *path)
{
    return few_left() ? few.inner->sync_dir(vfs, path) : -EMFILE;
}

static struct vfs *few_new(void)
{
    struct vfs *vfs = vfs_mem_new();

    few.inner = vfs->ops;
    few.ops = *vfs->ops;
    few.ops.open = few_open;
    few.ops.close = few_close;
    few.ops.sync_dir = few_sync_dir;
    few.open = few.peak = few.refused = 0;
    few.open_max = UINT_MAX;
    vfs->ops = &few.ops;
    return vfs;
}

static void start(struct host *host, uint32_t files_max)
{
    host_init(host, few_new());
    host->options.segment_size = 8u << 10;
    host->options.zero_ahead_size = 8u << 10;
    host->options.files_max = files_max;
    host->padding = 200;
    cr_assert_eq(host_open(host), 0);
    host_found(host);
}

/* One entry a partition, as far as there is room; then all that the disk has to do. Nothing may
 * fail. Returns the worst that an append said. */
static int step(struct host *host, uint32_t key, bool retain)
{
    int worst = 0;

    for (uint16_t p = 0; p < HOST_PARTITIONS; p++) {
        int r = host_append_next(host, p, key);

        cr_assert(r == 0 || r == STORE_E_FULL || r == STORE_E_NOSPACE, "%d", r);
        worst = r > worst ? r : worst;
    }
    host_commit_all(host);
    if (!retain)
        host_retain_none(host);
    cr_assert(host_sync(host));
    cr_assert_eq(host_background(host), 0);
    host->now_ms += 30;
    return worst;
}

static void expect_writes_again(struct host *host)
{
    int r = -1;

    for (unsigned i = 0; i < 200 && r != 0; i++)
        r = step(host, i % HOST_KEYS, false);
    cr_assert_eq(r, 0, "writes are refused for ever");
    host_check(host);
}

Test(store_files, over_the_bound_writes_are_refused_until_files_have_gone)
{
    uint32_t files_max = store_files_min(HOST_PARTITIONS);
    struct store_stats stats;
    struct host host;
    unsigned i = 0;

    start(&host, files_max);
    /* All of it stays log, so no segment may go. */
    while (step(&host, i % HOST_KEYS, true) != STORE_E_NOSPACE)
        cr_assert_lt(++i, 4000u, "%u files are open", few.open);
    store_stats(host.store, &stats);
    cr_assert(stats.disk_full);
    cr_assert_gt(stats.segments, files_max / 3);
    cr_assert_leq(few.peak, files_max);
    host_check(&host);
    expect_writes_again(&host);
    for (i = 0; i < 400; i++)
        step(&host, i % HOST_KEYS, false);
    cr_assert_leq(few.peak, files_max);
    store_stats(host.store, &stats);
    cr_assert_not(stats.disk_full);
    cr_assert_gt(stats.casks, 0);
    host_check(&host);
    host_reopen_and_compare(&host);
    host_stop(&host);
}

Test(store_files, without_a_descriptor_reads_go_on_and_writes_wait)
{
    struct host host;
    unsigned i = 0;

    start(&host, 0);
    for (; i < 60; i++)
        step(&host, i % HOST_KEYS, false);
    few.open_max = few.open;
    cr_assert_eq(store_flush(host.store), 0);
    for (i = 0; step(&host, i % HOST_KEYS, false) != STORE_E_NOSPACE; i++)
        cr_assert_lt(i, 2000u);
    cr_assert_gt(few.refused, 0);
    cr_assert(store_disk_full(host.store));
    host_check(&host);
    few.open_max = UINT_MAX;
    expect_writes_again(&host);
    for (i = 0; i < 100; i++)
        step(&host, i % HOST_KEYS, false);
    cr_assert_not(store_disk_full(host.store));
    host_check(&host);
    host_reopen_and_compare(&host);
    host_stop(&host);
}

/* Descriptors come and go; each call that needs one fails at some time. */
Test(store_files, any_call_may_find_no_descriptor)
{
    unsigned refused = 0;

    for (unsigned seed = 1; seed <= 40; seed++) {
        struct dice dice = {seed};
        struct host host;

        start(&host, seed % 2 ? 0 : store_files_min(HOST_PARTITIONS));
        for (unsigned i = 0; i < 300; i++) {
            few.open_max = few.open + dice_pick(&dice, 4);
            if (i % 64 == 0)
                cr_assert_eq(store_flush(host.store), 0);
            step(&host, i % HOST_KEYS, false);
            if (i % 20 == 0)
                few.open_max = UINT_MAX;
        }
        refused += few.refused;
        few.open_max = UINT_MAX;
        host_check(&host);
        expect_writes_again(&host);
        host_settle(&host);
        host_reopen_and_compare(&host);
        host_stop(&host);
        cr_assert_eq(few.open, 0);
    }
    cr_assert_gt(refused, 1000);
}
