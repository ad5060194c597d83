#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>

#include "store_host.h"

/* A host on a fresh, founded store. */
static void start(struct host *host)
{
    host_init(host, vfs_mem_new());
    cr_assert_eq(host_open(host), 0);
    host_found(host);
}

static void stop(struct host *host)
{
    struct vfs *vfs = host->vfs;

    host_deinit(host);
    vfs_mem_free(vfs);
}

/* Closes and opens again; the new host must agree with what was written. */
static void reopen_and_compare(struct host *host)
{
    uint64_t synced = store_synced(host->store);
    struct host again;

    host_close(host);
    host_init(&again, host->vfs);
    again.options = host->options;
    cr_assert_eq(host_open(&again), 0);
    host_compare(&again, host, synced);
    host_deinit(&again);
}

Test(store, what_was_synced_is_there_after_reopen)
{
    struct host host;

    start(&host);
    cr_assert_eq(host_hard(&host, 0, 3, 2), 0);
    for (uint32_t i = 0; i < 40; i++)
        cr_assert_eq(host_append_next(&host, (uint16_t)(i % HOST_PARTITIONS), i % HOST_KEYS), 0);
    host_commit(&host, 1, 5);
    cr_assert(host_sync(&host));
    cr_assert_eq(store_synced(host.store), store_batch(host.store) - 1);
    host_check(&host);
    reopen_and_compare(&host);
    stop(&host);
}
