#include "store_busy.h"

#include <criterion/criterion.h>

void busy_write(struct host *host, uint16_t partition, uint32_t key)
{
    cr_assert_eq(host_append_next(host, partition, key), 0);
    host_commit(host, partition, host->parts[partition].last);
    host_retain(host, partition, host->parts[partition].applied + 1);
}

void busy_run(struct host *host, uint32_t entries)
{
    for (uint32_t i = 0; i < entries; i++) {
        busy_write(host, 1, i % 3);
        if (i % 4 == 0)
            busy_write(host, i % 8 == 0 ? 2 : 3, i / 8 % HOST_KEYS);
        host_settle(host);
    }
}

void busy_expect_short(struct host *host)
{
    struct store_stats stats;

    busy_run(host, 100);
    store_stats(host->store, &stats);
    cr_assert_leq(stats.tail_bytes, 24u << 10, "%llu of log, %llu retired",
                  (unsigned long long)stats.tail_bytes, (unsigned long long)stats.segments_retired);
    store_check(host->store);
}

void busy_start(struct host *host, uint64_t scrub_rate)
{
    host_init(host, vfs_mem_new());
    host->options.segment_size = 8u << 10;
    host->options.zero_ahead_size = 8u << 10;
    host->options.scrub_rate = scrub_rate;
    host->padding = 200;
    cr_assert_eq(host_open(host), 0);
    host_found(host);
}
