#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "storage/store_state.h"
#include "store_host.h"
#include "vfs_crash.h"

/* Keys 3 … are written once, early; keys 0 to 2 over and over: segments are mostly dead soon. */
static void live(struct host *host, unsigned rounds)
{
    for (unsigned i = 0; i < rounds; i++) {
        for (uint16_t p = 0; p < HOST_PARTITIONS; p++) {
            uint32_t key = i < HOST_KEYS ? i : i % 3;

            int r = host_append(host, p, host->parts[p].last + 1, key, i == 20 && p == 1);

            if (r == STORE_E_FULL && host_sync(host) && host_background(host) == 0)
                r = host_append(host, p, host->parts[p].last + 1, key, false);
            if (r != 0)
                return;
        }
        if (i % 8 == 7) {
            host_commit_all(host);
            host_retain_none(host);
            if (!host_sync(host) || host_background(host) != 0)
                return;
            host->now_ms += 120;
        }
    }
}

static void start(struct host *host, struct vfs *vfs)
{
    host_init(host, vfs);
    host->options.segment_size = 8u << 10;
    host->options.zero_ahead_size = 8u << 10;
    host->padding = 200;
    cr_assert_eq(host_open(host), 0);
    host_found(host);
}

Test(store_flush, what_is_alive_moves_to_casks_and_the_segments_go)
{
    struct store_stats stats;
    struct host host;

    start(&host, vfs_mem_new());
    live(&host, 160);
    host_settle(&host);
    host_check(&host);
    store_stats(host.store, &stats);
    cr_assert_gt(stats.flushes, 0);
    cr_assert_gt(stats.casks, 0);
    cr_assert_gt(stats.flush_reclaimed, 0);
    cr_assert_lt(stats.journal_bytes, 12u * host.options.segment_size);
    host_reopen_and_compare(&host);
    host_stop(&host);
}

Test(store_flush, on_demand_everything_dead_is_reclaimed)
{
    struct store_stats before, stats;
    struct host host;
    uint64_t left;

    start(&host, vfs_mem_new());
    host.options.flush_rate = 1;
    live(&host, 100);
    store_stats(host.store, &before);
    cr_assert_eq(store_flush(host.store), 0);
    store_stats(host.store, &stats);
    cr_assert(stats.flushing && stats.flush_demanded);
    cr_assert_eq(stats.flush_demands, 1);
    cr_assert_gt(stats.flush_left_files, 0);
    cr_assert_gt(stats.flush_left_bytes, stats.flush_left_files);
    for (int i = 0; i < 20; i++)
        host_settle(&host);
    left = stats.flush_left_files;
    store_stats(host.store, &stats);
    cr_assert_not(stats.flushing || stats.flush_demanded);
    cr_assert_eq(stats.flush_left_files, 0);
    cr_assert_eq(stats.flush_left_bytes, 0);
    cr_assert_geq(stats.flush_files, before.flush_files + left);
    cr_assert_gt(stats.flush_reclaimed, before.flush_reclaimed);
    host_check(&host);
    host_reopen_and_compare(&host);
    host_stop(&host);
}

/* Everything as of now, and nothing is left of it. Returns how many files that took. */
static uint64_t flush_all(struct host *host)
{
    struct store_stats before, stats;

    store_stats(host->store, &before);
    cr_assert_eq(store_flush(host->store), 0);
    for (int i = 0; i < 20; i++)
        host_settle(host);
    store_stats(host->store, &stats);
    cr_assert_not(stats.flush_demanded);
    cr_assert_eq(stats.flush_left_files, 0);
    return stats.flush_files - before.flush_files;
}

/* One that comes while another is under way is for what there is then, and follows it. */
Test(store_flush, each_demand_is_served_whatever_is_under_way)
{
    struct store_stats stats;
    struct host host;
    uint64_t first, second, third;

    start(&host, vfs_mem_new());
    host.options.flush_rate = 1;
    live(&host, 60);
    cr_assert_eq(store_flush_all(host.store, &first), 0);
    for (int i = 0; i < 3; i++)
        cr_assert(host_background_half(&host));
    live(&host, 60);
    store_stats(host.store, &stats);
    cr_assert_eq(store_flush_all(host.store, &second), 0);
    cr_assert_eq(store_flush_all(host.store, &third), 0);
    cr_assert(first < second && second < third);
    cr_assert_lt(stats.flushes_served, second);
    host_commit_all(&host);
    host_retain_none(&host);
    for (int i = 0; i < 40; i++)
        host_settle(&host);
    store_stats(host.store, &stats);
    cr_assert_eq(stats.flushes_served, third);
    cr_assert_not(stats.flush_demanded);
    host_check(&host);
    host_reopen_and_compare(&host);
    host_stop(&host);
}

/* Behind a start that nothing was written after: the log that may go waits for a checkpoint, which
 * has no segment yet. */
Test(store_flush, a_demand_is_served_before_anything_is_written)
{
    struct host host, again;
    struct store_stats stats;
    uint64_t demand;

    start(&host, vfs_mem_new());
    host_fill(&host, 4 * HOST_KEYS);
    host_commit_all(&host);
    host_settle(&host);
    host_reopen(&host, &again);
    host_commit_all(&again);
    host_retain_none(&again);
    cr_assert_null(again.store->current);
    cr_assert_eq(store_flush_all(again.store, &demand), 0);
    for (int i = 0; i < 20; i++)
        host_settle(&again);
    store_stats(again.store, &stats);
    cr_assert_eq(stats.flushes_served, demand);
    cr_assert_gt(stats.flush_reclaimed, 0);
    host_check(&again);
    host_deinit(&again);
    host_stop(&host);
}

static struct vault *two_keys(void)
{
    static struct vault vault;

    vault_init(&vault);
    cr_assert_eq(vault_add(&vault, 1, (const uint8_t[VAULT_KEY_SIZE]){7}), 0);
    cr_assert_eq(vault_add(&vault, 2, (const uint8_t[VAULT_KEY_SIZE]){8}), 0);
    vault_use(&vault, 1);
    return &vault;
}

Test(store_flush, what_a_cask_is_sealed_with_is_known_behind_a_restart)
{
    struct vault *vault = two_keys();
    struct host host, again;

    start(&host, vfs_mem_new());
    host_close(&host);
    host.options.vault = vault;
    cr_assert_eq(host_open(&host), 0);
    live(&host, 100);
    cr_assert_gt(flush_all(&host), 0);
    vault_use(vault, 2);
    cr_assert_gt(flush_all(&host), 0, "nothing is sealed anew");
    cr_assert_eq(flush_all(&host), 0);
    host_reopen(&host, &again);
    cr_assert_eq(flush_all(&again), 0, "what is sealed with the newest key is written again");
    host_check(&again);
    host_deinit(&again);
    host_stop(&host);
}

Test(store_flush, a_demand_waits_for_a_hint_that_is_made_again)
{
    struct vault *vault = two_keys();
    struct store_stats stats;
    struct host host;
    uint64_t casks;

    start(&host, vfs_mem_new());
    host_close(&host);
    host.options.vault = vault;
    cr_assert_eq(host_open(&host), 0);
    live(&host, 100);
    flush_all(&host);
    store_stats(host.store, &stats);
    casks = stats.casks;
    cr_assert_gt(casks, 0);
    for (size_t i = 0; i < host.store->casks.count; i++) {
        host.store->casks.items[i]->base.hint_bad = true;
        store_file_changed(host.store, &host.store->casks.items[i]->base);
    }
    vault_use(vault, 2);
    cr_assert_eq(store_flush(host.store), 0);
    store_stats(host.store, &stats);
    cr_assert_geq(stats.flush_left_files, casks);
    cr_assert_geq(flush_all(&host), casks);
    for (size_t i = 0; i < host.store->casks.count; i++)
        cr_assert_eq(host.store->casks.items[i]->base.key_id, 2);
    host_check(&host);
    host_stop(&host);
}

/* A job at a time, and between two of them something dies. */
Test(store_flush, a_demand_is_done_though_there_is_ever_more_to_flush)
{
    struct store_stats stats;
    struct store_job *job;
    struct host host;
    unsigned jobs = 0;

    start(&host, vfs_mem_new());
    live(&host, 100);
    cr_assert_eq(store_flush(host.store), 0);
    do {
        for (uint16_t p = 0; p < HOST_PARTITIONS && jobs % 2 == 0; p++)
            (void)host_append_next(&host, p, jobs % 3); /* refused: there is no room for now */
        host_commit_all(&host);
        host_retain_none(&host);
        cr_assert(host_sync(&host));
        job = store_next_job(host.store, STORE_JOB_BACKGROUND, host.now_ms);
        if (job)
            cr_assert_eq(store_done(host.store, job, store_job_run(job)), 0);
        store_stats(host.store, &stats);
        host.now_ms++;
    } while (stats.flush_demanded && ++jobs < 1000);
    cr_assert_not(stats.flush_demanded);
    host_settle(&host);
    host_check(&host);
    host_stop(&host);
}

Test(store_flush, a_log_that_is_beyond_its_bound_names_who_holds_it_up)
{
    struct store_stats stats;
    struct host host;
    uint64_t wanted;

    start(&host, vfs_mem_new());
    cr_assert_eq(host_append_next(&host, 0, 5), 0); /* and nothing more: an idle partition */
    for (int i = 0; i < 100; i++) {
        cr_assert_eq(host_append_next(&host, 1, (uint32_t)i % 3), 0);
        host_commit_all(&host);
        host_retain(&host, 1, host.parts[1].applied + 1);
        host_settle(&host);
    }
    store_stats(host.store, &stats);
    cr_assert_gt(stats.tail_bytes, 16u << 10);
    cr_assert_eq(store_retain_wanted(host.store, 0, UINT64_MAX), 0);
    wanted = store_retain_wanted(host.store, 0, 16u << 10);
    cr_assert_eq(wanted, 2);
    host_retain(&host, 0, wanted);
    for (int i = 0; i < 40; i++) {
        cr_assert_eq(host_append_next(&host, 1, (uint32_t)i % 3), 0);
        host_commit_all(&host);
        host_retain(&host, 1, host.parts[1].applied + 1);
        host_settle(&host);
    }
    store_stats(host.store, &stats);
    cr_assert_leq(stats.tail_bytes, 24u << 10);
    host_reopen_and_compare(&host);
    host_stop(&host);
}

/* --- every call of the vfs fails once ------------------------------------------------------ */

Test(store_flush, any_failed_call_loses_nothing, .timeout = 600)
{
    static const int errors[] = {EIO, ENOSPC};

    for (size_t e = 0; e < 2; e++)
        for (uint64_t n = 1, over = 0; !over; n += 1 + e) {
            struct vfs *vfs = vfs_mem_new();
            struct host host, again;
            uint64_t calls, synced;
            int error;

            start(&host, vfs);
            live(&host, 40);
            calls = vfs_mem_calls(vfs);
            vfs_mem_fail_after(vfs, n, errors[e]);
            live(&host, 60);
            over = vfs_mem_calls(vfs) < calls + n;
            vfs_mem_fail_after(vfs, 0, 0);
            synced = store_synced(host.store);
            host_close(&host);
            host_init(&again, vfs);
            again.options = host.options;
            /* Recovery meets a failure too, and is tried again. */
            vfs_mem_fail_after(vfs, n, errors[e]);
            if (host_open(&again) != 0 || store_unreadable(again.store, &error)) {
                if (again.store)
                    host_close(&again);
                vfs_mem_fail_after(vfs, 0, 0);
                cr_assert_eq(host_open(&again), 0, "call %lu", (unsigned long)n);
            }
            vfs_mem_fail_after(vfs, 0, 0);
            host_compare(&again, &host, synced);
            host_deinit(&again);
            host_deinit(&host);
            vfs_mem_free(vfs);
        }
}

/* --- damage -------------------------------------------------------------------------------- */

struct pick {
    const char *suffix;
    const char *prefix;
    char name[64];
};

static int pick_visit(void *context, const char *name)
{
    struct pick *pick = context;

    /* The lowest of its kind: of segments, one that is surely retired. */
    if (strstr(name, pick->suffix) && strncmp(name, pick->prefix, strlen(pick->prefix)) == 0 &&
        (!pick->name[0] || strcmp(name, pick->name) < 0))
        snprintf(pick->name, sizeof(pick->name), "%s", name);
    return 0;
}

static void flip(struct vfs *vfs, const char *name, uint64_t offset)
{
    char path[96];

    snprintf(path, sizeof(path), "shard-00/%s", name);
    vfs_crash_flip(vfs, path, offset, 3);
}

static void settle(struct host *host)
{
    for (int i = 0; i < 4; i++)
        host_settle(host);
}

Test(store_flush, a_damaged_cask_fences_its_partition_only)
{
    struct pick cask = {.suffix = ".cask", .prefix = "p"};
    struct vfs *vfs = vfs_crash_new(1);
    struct host host, again;
    char hint[64];
    unsigned number, fenced = 0;

    start(&host, vfs);
    live(&host, 160);
    settle(&host);
    host_close(&host);
    vfs_list(vfs, "shard-00", pick_visit, &cask);
    cr_assert_eq(sscanf(cask.name, "p%u-", &number), 1);
    flip(vfs, cask.name, 120); /* in its first record */
    snprintf(hint, sizeof(hint), "%.*s.hint", (int)(strlen(cask.name) - 5), cask.name);
    flip(vfs, hint, 80); /* so that it is made again, from the cask */
    host_init(&again, vfs);
    again.options = host.options;
    cr_assert_eq(host_open(&again), 0);
    for (unsigned p = 0; p < HOST_PARTITIONS; p++)
        fenced += again.parts[p].fenced;
    cr_assert_eq(fenced, 1);
    cr_assert(again.parts[number].fenced);
    cr_assert_not_null(strstr(again.parts[number].why, ".cask is damaged"));
    host_deinit(&again);
    host_deinit(&host);
    vfs_crash_free(vfs);
}

Test(store_flush, damage_that_flush_meets_fences_and_nothing_is_lost_elsewhere)
{
    struct pick cask = {.suffix = ".cask", .prefix = "p"};
    struct vfs *vfs = vfs_crash_new(1);
    struct store_stats stats;
    struct host host;
    unsigned number;

    start(&host, vfs);
    live(&host, 160);
    settle(&host);
    vfs_list(vfs, "shard-00", pick_visit, &cask);
    cr_assert_eq(sscanf(cask.name, "p%u-", &number), 1);
    flip(vfs, cask.name, 120);
    for (uint32_t key = 4; key < 8; key++) /* part of it dies, so flush takes it */
        cr_assert_eq(host_append_next(&host, (uint16_t)number, key), 0);
    host_commit_all(&host);
    cr_assert_eq(store_flush(host.store), 0);
    settle(&host);
    store_stats(host.store, &stats);
    cr_assert(host.parts[number].fenced);
    for (unsigned p = 0; p < HOST_PARTITIONS; p++)
        cr_assert_eq(host.parts[p].fenced, p == number);
    host_check(&host);
    host_deinit(&host);
    vfs_crash_free(vfs);
}
