/* Every call of the vfs and every allocation fails once in a short life of a store. */
#include <criterion/criterion.h>
#include <errno.h>

#include "alloc.h"
#include "storage/store_state.h"
#include "store_host.h"

/* A short life: founding, entries, rotations, drops. Stops at the first error. */
static int short_life(struct host *host)
{
    int r = host_open(host);

    if (r != 0)
        return r;
    if (!host->options.founded) {
        static const uint8_t hash[32] = {1, 2, 3};
        static const uint16_t partitions[] = {0, 1, 2, 3};

        r = store_found(host->store, hash, partitions, 4);
        if (r != 0)
            return r;
        host->options.founded = true;
    }
    for (uint32_t i = 0; i < 12; i++) {
        for (uint32_t k = 0; k < 12; k++)
            host_append_next(host, (uint16_t)(k % HOST_PARTITIONS), k % 3);
        if (!host_sync(host))
            return -EIO;
        host_commit_all(host);
        host_retain_none(host);
        r = host_background(host);
        if (r < 0)
            return r;
        host->now_ms += 50;
    }
    return 0;
}

Test(store_fail, any_failed_call_loses_nothing_that_was_synced, .timeout = 600)
{
    static const int errors[] = {EIO, ENOSPC, EDQUOT};

    for (size_t e = 0; e < 3; e++)
        for (uint64_t n = 1, over = 0; !over; n++) {
            struct vfs *vfs = vfs_mem_new();
            struct host host, again;
            uint64_t calls;

            host_init(&host, vfs);
            host.options.segment_size = 8u << 10;
            host.options.zero_ahead_size = 4u << 10;
            host.padding = 100;
            vfs_mem_fail_after(vfs, n, errors[e]);
            calls = vfs_mem_calls(vfs);
            short_life(&host);
            over = vfs_mem_calls(vfs) < calls + n;
            vfs_mem_fail_after(vfs, 0, 0);
            if (host.store && host.options.founded) {
                uint64_t synced = store_synced(host.store);

                host_close(&host);
                host_init(&again, vfs);
                again.options = host.options;
                cr_assert_eq(host_open(&again), 0, "call %lu", (unsigned long)n);
                host_compare(&again, &host, synced);
                cr_assert_eq(host_append_next(&again, 0, 1), 0);
                cr_assert(host_sync(&again));
                host_deinit(&again);
            }
            host_deinit(&host);
            vfs_mem_free(vfs);
        }
}

Test(store_fail, any_failed_allocation_loses_nothing_that_was_synced, .timeout = 600)
{
    bool failed = true;
    uint64_t n = 1;

    for (; failed; n++) {
        struct vfs *vfs = vfs_mem_new();
        struct host host, again;

        host_init(&host, vfs);
        host.options.segment_size = 8u << 10;
        host.options.zero_ahead_size = 4u << 10;
        host.padding = 100;
        alloc_fail_after(n);
        short_life(&host);
        failed = alloc_failed();
        alloc_fail_after(0);
        if (host.store && host.options.founded) {
            uint64_t synced = store_synced(host.store);

            store_check(host.store);
            host_close(&host);
            host_init(&again, vfs);
            again.options = host.options;
            cr_assert_eq(host_open(&again), 0, "allocation %lu", (unsigned long)n);
            host_compare(&again, &host, synced);
            host_deinit(&again);
        }
        host_deinit(&host);
        vfs_mem_free(vfs);
    }
    cr_assert_gt(n, 100, "only %lu allocations", (unsigned long)n);
}
