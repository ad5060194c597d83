#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "storage/filename.h"
#include "storage/journal_format.h"
#include "storage/store_snapshot.h"
#include "store_hosting.h"
#include "vfs_crash.h"

#define P 2u /* the partition that comes and goes */

/* --- helpers ------------------------------------------------------------------------------- */

static uint64_t live_records(const struct host *host)
{
    struct store_stats stats;

    store_stats(host->store, &stats);
    return stats.keys + stats.tombstones;
}

static void fill_others(struct host *host, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        for (uint16_t p = 0; p < HOST_PARTITIONS; p++) {
            if (p == P)
                continue;
            if (host_append_next(host, p, i % HOST_KEYS) == STORE_E_FULL) {
                host_settle(host);
                cr_assert_eq(host_append_next(host, p, i % HOST_KEYS), 0);
            }
            host_commit(host, p, host->parts[p].last);
            host_retain(host, p, host->parts[p].applied + 1);
        }
}

/* --- coming and going ---------------------------------------------------------------------- */

Test(store_hosting, a_partition_taken_on_again_begins_empty_and_stays_so_after_restarts)
{
    struct host host;

    host_start(&host);
    host_fill(&host, 30);
    host_commit_all(&host);
    host_settle(&host);
    hosting_leave(&host, P);
    cr_assert_eq(live_records(&host), (HOST_PARTITIONS - 1) * HOST_KEYS);
    hosting_reopen(&host);
    cr_assert_not(hosting_is(&host, P));
    hosting_arrive(&host, P, 0);
    cr_assert_eq(store_keys(host.store, P), 0);
    hosting_reopen(&host);
    cr_assert(hosting_is(&host, P));
    cr_assert_eq(store_keys(host.store, P), 0);
    cr_assert_eq(host.parts[P].last, 0);
    cr_assert_eq(host_append_next(&host, P, 1), 0);
    host_commit(&host, P, 1);
    host_settle(&host);
    cr_assert_eq(store_keys(host.store, P), 1);
    host_check(&host);
    hosting_reopen(&host);
    host_stop(&host);
}

/* Whoever hears of it late: it is over for good, here and after any restart. */
Test(store_hosting, a_life_that_is_over_is_known_for_ever)
{
    struct host host;

    host_start(&host);
    cr_assert_eq(store_ended(host.store, P), 0);
    cr_assert_eq(store_unhost(host.store, P, 40), 0);
    host.parts[P].gone = true;
    host_settle(&host);
    hosting_forget(&host, P);
    cr_assert_eq(store_ended(host.store, P), 40);
    hosting_reopen(&host);
    cr_assert_eq(store_ended(host.store, P), 40);
    cr_assert_eq(store_ended(host.store, P + 1), 0);
    hosting_arrive(&host, P, 0);
    hosting_leave(&host, P); /* life 1: the highest counts */
    hosting_reopen(&host);
    cr_assert_eq(store_ended(host.store, P), 40);
    host_stop(&host);
}

/* The same without a restart in between: old and new lie in one segment. */
Test(store_hosting, lives_in_one_segment_are_told_apart)
{
    struct host host;

    host_start(&host);
    for (int life = 0; life < 4; life++) {
        for (uint32_t i = 0; i < 5; i++)
            cr_assert_eq(host_append_next(&host, P, i + (uint32_t)life), 0);
        host_commit(&host, P, 4);
        host_settle(&host);
        hosting_leave(&host, P);
        hosting_arrive(&host, P, 0);
        cr_assert_eq(store_keys(host.store, P), 0);
    }
    cr_assert_eq(host_append_next(&host, P, 1), 0);
    host_settle(&host);
    hosting_reopen(&host);
    cr_assert_eq(host.parts[P].last, 1);
    host_stop(&host);
}

Test(store_hosting, what_it_begins_with_comes_back_though_its_segment_is_gone)
{
    struct host host;

    host_start(&host);
    hosting_leave(&host, P);
    hosting_arrive(&host, P, 5);
    for (int i = 0; i < 12; i++) {
        struct host again;

        /* Many segments come and go; only checkpoints know of the partition. */
        fill_others(&host, 200);
        host_settle(&host);
        if (i % 4 != 3)
            continue;
        host_close(&host);
        host_init(&again, host.vfs);
        again.options = host.options;
        cr_assert_eq(host_open(&again), 0);
        cr_assert_eq(again.parts[P].term, 5, "%d", i);
        cr_assert_eq(again.parts[P].last, 0);
        host_deinit(&again);
        cr_assert_eq(host_open(&host), 0);
    }
    host_stop(&host);
}

Test(store_hosting, a_segment_that_begins_while_a_partition_comes_does_not_lose_its_beginning)
{
    struct host host;
    struct store_stats stats;
    uint64_t before;

    host_start(&host);
    hosting_leave(&host, P);
    fill_others(&host, 10);
    host_settle(&host);
    store_stats(host.store, &stats);
    before = stats.segments + stats.segments_dropped;
    cr_assert_eq(hosting_begin(&host, P, 5), 0);
    while (stats.segments + stats.segments_dropped < before + 2) {
        fill_others(&host, 10);
        cr_assert(host_sync(&host));
        cr_assert_eq(host_background(&host), 0);
        store_stats(host.store, &stats);
    }
    hosting_arrive(&host, P, 5);
    fill_others(&host, 1500);
    host_settle(&host);
    host_close(&host);
    cr_assert_eq(host_open(&host), 0);
    cr_assert(hosting_is(&host, P));
    cr_assert_eq(host.parts[P].term, 5);
    host_stop(&host);
}

/* Nobody asks for the partition until the segment of its floor is gone: then the manifest alone
 * knows what it begins with, over any number of starts. */
Test(store_hosting, what_it_begins_with_stays_while_no_checkpoint_has_it)
{
    struct host host;
    struct store_stats stats;
    uint64_t before;

    host_start(&host);
    host.options.segment_size = host.options.zero_ahead_size = 16u << 10;
    host_close(&host);
    cr_assert_eq(host_open(&host), 0);
    hosting_leave(&host, P);
    fill_others(&host, 10);
    host_settle(&host);
    cr_assert_eq(hosting_begin(&host, P, 5), 0);
    store_stats(host.store, &stats);
    for (before = stats.segments_dropped; stats.segments_dropped < before + 2;) {
        fill_others(&host, 50);
        host_settle(&host);
        store_stats(host.store, &stats);
    }
    for (int i = 0; i < 3; i++) {
        host_close(&host);
        cr_assert_eq(host_open(&host), 0);
        cr_assert(hosting_is(&host, P));
        cr_assert_eq(host.parts[P].term, 5, "start %d", i);
    }
    host_stop(&host);
}

Test(store_hosting, an_earlier_life_holds_up_no_log)
{
    struct host host;
    struct store_stats stats;

    host_start(&host);
    host.padding = 300;
    for (uint32_t i = 0; i < 100; i++)
        if (host_append_next(&host, P, i % HOST_KEYS) == STORE_E_FULL)
            host_settle(&host);
    host_settle(&host);
    hosting_leave(&host, P);
    hosting_arrive(&host, P, 0);
    cr_assert_eq(host_append_next(&host, P, 1), 0);
    fill_others(&host, 200);
    host_settle(&host);
    store_stats(host.store, &stats);
    cr_assert_gt(stats.segments_dropped + stats.segments_retired, 0);
    host_stop(&host);
}

Test(store_hosting, of_a_partition_that_is_gone_the_flush_keeps_nothing)
{
    struct host host;
    struct store_stats stats;

    host_start(&host);
    hosting_fill_casks(&host);
    store_stats(host.store, &stats);
    cr_assert_gt(stats.casks, 0);
    for (uint16_t p = 0; p < HOST_PARTITIONS; p++)
        hosting_leave(&host, p);
    store_stats(host.store, &stats);
    cr_assert_eq(stats.casks, 0);
    cr_assert_eq(stats.keys + stats.tombstones + stats.keydir_bytes, 0);
    hosting_reopen(&host);
    store_stats(host.store, &stats);
    cr_assert_eq(stats.casks, 0);
    hosting_arrive(&host, P, 0);
    cr_assert_eq(host_append_next(&host, P, 3), 0);
    host_commit(&host, P, 1);
    host_settle(&host);
    hosting_reopen(&host);
    cr_assert_eq(store_keys(host.store, P), host.parts[P].commit > 0);
    host_stop(&host);
}

/* --- what is under way --------------------------------------------------------------------- */

/* A round of flush is anywhere when the partition goes, and perhaps comes back. */
Test(store_hosting, a_flush_under_way_ends_soundly)
{
    for (int steps = 0; steps < 60; steps++) {
        struct host host;

        host_start(&host);
        host.padding = 300;
        host_fill(&host, 150);
        host_commit_all(&host);
        host_retain_none(&host);
        cr_assert(host_sync(&host));
        for (int i = 0; i < steps * 2; i++) {
            host.now_ms += 20;
            cr_assert(host_background_half(&host));
            cr_assert(host_write_half(&host));
        }
        cr_assert_eq(store_unhost(host.store, P, 1), 0);
        host.parts[P].gone = true;
        host_check(&host);
        host_settle(&host);
        cr_assert_eq(store_hosting(host.store, P), STORE_HOSTING_NONE);
        hosting_forget(&host, P);
        if (steps % 2)
            hosting_arrive(&host, P, 0);
        host_settle(&host);
        host_check(&host);
        hosting_reopen(&host);
        host_stop(&host);
    }
}

Test(store_hosting, a_read_that_is_out_keeps_its_file_until_it_is_given_back)
{
    struct host host;
    struct keydir_entry entry;
    struct store_job *job;
    struct record record;
    const uint8_t *bytes;
    size_t size;
    struct keydir_digest digest;

    host_start(&host);
    hosting_fill_casks(&host);
    host.options.digest(NULL, (const uint8_t[4]){3}, 4, &digest);
    cr_assert_eq(store_find(host.store, P, &digest, &entry), 0);
    job = store_read(host.store, entry.location, entry.size_max, &host);
    cr_assert(job);
    hosting_leave(&host, P);
    host_settle(&host);
    cr_assert_eq(store_job_run(job), 0);
    cr_assert_eq(store_read_result(job, &bytes, &size), &host);
    cr_assert_eq(record_decode(bytes, size, &record), 0);
    cr_assert_eq(store_done(host.store, job, 0), 0);
    host_settle(&host);
    store_check(host.store);
    host_stop(&host);
}

static int count_casks(void *context, const char *name)
{
    size_t *count = context;

    *count += strncmp(name, "p0002", 5) == 0;
    return 0;
}

/* The partition goes after every number of jobs of an install into it. */
Test(store_hosting, an_install_under_way_fails_and_leaves_nothing)
{
    bool late = false;

    for (int jobs = 0; !late; jobs++) {
        struct host host;
        struct store_install *install;
        struct keydir_digest digest;
        uint8_t bytes[256], key[4] = {3}, state[5 + P * 100];
        struct record record = {.partition = P,
                                .kind = RECORD_KIND_PUT,
                                .term = 1,
                                .index = 50,
                                .sub_count = 1,
                                .key = key,
                                .key_size = 4,
                                .value = bytes + 128,
                                .value_size = 8};
        struct store_checkpoint checkpoint = {
            .applied = 60, .first_index = 61, .state = state, .state_size = sizeof(state)};
        enum store_install_state now;
        size_t size, casks = 0;

        host_start(&host);
        host_fill(&host, 20);
        host_commit_all(&host);
        memset(state, P, sizeof(state));
        memset(bytes, 1, sizeof(bytes));
        host.options.digest(NULL, key, 4, &digest);
        size = record_encode(&record, bytes);
        cr_assert_eq(store_install_begin(host.store, P, &checkpoint, &install), 0);
        cr_assert_eq(store_install_add(install, bytes, size, &digest, 1, 0), 0);
        if (jobs > 0)
            cr_assert_eq(store_install_commit(install, &checkpoint), 0);
        for (int i = 1; i < jobs; i++) {
            cr_assert(host_write_half(&host));
            cr_assert(host_background_half(&host));
            (void)store_install_state(install);
        }
        late = store_install_state(install) == STORE_INSTALL_DONE;
        cr_assert_eq(store_unhost(host.store, P, 1), 0);
        host.parts[P].gone = true;
        now = store_install_state(install);
        cr_assert_eq(now, late ? STORE_INSTALL_DONE : STORE_INSTALL_FAILED, "%d", jobs);
        store_install_end(install);
        store_check(host.store);
        host_settle(&host);
        hosting_forget(&host, P);
        vfs_list(host.vfs, "shard-00", count_casks, &casks);
        cr_assert_eq(casks, 0, "%d jobs: %zu files", jobs, casks);
        hosting_arrive(&host, P, 0);
        cr_assert_eq(store_keys(host.store, P), 0);
        cr_assert_eq(store_install_begin(host.store, P, &checkpoint, &install), 0);
        store_install_end(install);
        host_settle(&host);
        hosting_reopen(&host);
        host_stop(&host);
        cr_assert_lt(jobs, 60);
    }
}

/* --- damage -------------------------------------------------------------------------------- */

/* Inverts a bit in every batch of the first segment, in a record of the partition. */
static void damage(struct vfs *vfs, uint16_t partition)
{
    uint64_t size;
    const uint8_t *bytes = vfs_crash_bytes(vfs, "shard-00/journal-0000000001.log", &size);
    unsigned hits = 0;

    for (uint64_t at = 512; bytes && at + 512 <= size; at += 512) {
        struct journal_batch_header header;
        struct journal_run run;
        uint32_t end;

        if (journal_batch_header_peek(bytes + at, size - at, &header) != 0 || header.offset != at)
            continue;
        for (uint32_t i = 0; i < header.run_count; i++)
            if (journal_run_at(bytes + at, &header, i, &run, &end) && run.partition == partition &&
                run.count > 0 && ++hits)
                vfs_crash_flip(vfs, "shard-00/journal-0000000001.log", at + run.offset + 20, 1);
    }
    cr_assert_gt(hits, 0);
}

Test(store_hosting, damage_in_what_is_gone_fences_nobody)
{
    for (int again = 0; again < 2; again++) {
        struct vfs *vfs = vfs_crash_new(1);
        struct host host;

        host_init(&host, vfs);
        cr_assert_eq(host_open(&host), 0);
        host_found(&host);
        host_fill(&host, 10);
        host_commit_all(&host);
        host_settle(&host);
        hosting_leave(&host, P);
        if (again)
            hosting_arrive(&host, P, 0);
        host_close(&host);
        damage(vfs, P);
        cr_assert_eq(host_open(&host), 0);
        for (uint16_t p = 0; p < HOST_PARTITIONS; p++)
            cr_assert_not(host.parts[p].fenced);
        cr_assert_eq(hosting_is(&host, P), again == 1);
        host_deinit(&host);
        vfs_crash_free(vfs);
    }
}

Test(store_hosting, a_fenced_partition_is_given_up_and_comes_back_whole)
{
    struct vfs *vfs = vfs_crash_new(1);
    struct host host;

    host_init(&host, vfs);
    cr_assert_eq(host_open(&host), 0);
    host_found(&host);
    host_fill(&host, 10);
    host_commit_all(&host);
    host_settle(&host);
    host_close(&host);
    damage(vfs, P);
    cr_assert_eq(host_open(&host), 0);
    cr_assert(host.parts[P].fenced);
    hosting_leave(&host, P);
    hosting_arrive(&host, P, 0);
    host_close(&host);
    cr_assert_eq(host_open(&host), 0);
    cr_assert_not(host.parts[P].fenced);
    host_deinit(&host);
    vfs_crash_free(vfs);
}

static int cask_of_p(void *context, const char *name)
{
    uint16_t partition;
    uint64_t number;

    if (filename_is_cask(name, &partition, &number) && partition == P)
        *(uint64_t *)context = number;
    return 0;
}

Test(store_hosting, a_partition_whose_cask_is_missing_is_given_up_and_comes_back_whole)
{
    char path[FILENAME_PATH_SIZE];
    uint64_t number = 0;
    struct host host;

    host_start(&host);
    hosting_fill_casks(&host);
    host_close(&host);
    vfs_list(host.vfs, "shard-00", cask_of_p, &number);
    cr_assert_eq(filename_cask(path, "shard-00", P, number), 0);
    cr_assert_eq(vfs_remove(host.vfs, path), 0);
    cr_assert_eq(host_open(&host), 0);
    for (uint16_t p = 0; p < HOST_PARTITIONS; p++)
        cr_assert_eq(host.parts[p].fenced, p == P, "partition %u", p);
    hosting_leave(&host, P);
    hosting_arrive(&host, P, 0);
    host_close(&host);
    cr_assert_eq(host_open(&host), 0);
    cr_assert_not(host.parts[P].fenced);
    cr_assert_eq(store_keys(host.store, P), 0);
    host_stop(&host);
}

/* --- every call fails once ----------------------------------------------------------------- */

/* Runs jobs until the partition is so; false: the power is off. */
static bool work_until(struct host *host, enum store_hosting wanted)
{
    for (int i = 0; i < 8 && store_hosting(host->store, P) != wanted; i++) {
        if (!host_sync(host) || host_background(host) != 0)
            return false;
        host->now_ms += 60;
    }
    return store_hosting(host->store, P) == wanted;
}

/* Gives the partition up and takes it on again, with the power off after n calls. True: it was not
 * met. */
static bool cut_at(uint64_t n, bool power)
{
    struct vfs *vfs = vfs_crash_new(n);
    struct host host;
    bool whole, left = false, came = false;

    host_init(&host, vfs);
    cr_assert_eq(host_open(&host), 0);
    host_found(&host);
    host_fill(&host, 8);
    host_commit_all(&host);
    host_settle(&host);
    vfs_crash_cut_after(vfs, n);
    cr_assert_eq(store_unhost(host.store, P, 1), 0);
    left = work_until(&host, STORE_HOSTING_NONE);
    if (left && hosting_begin(&host, P, 7) == 0)
        came = work_until(&host, STORE_HOSTING_HERE);
    whole = !vfs_crash_is_cut(vfs);
    cr_assert(!whole || came);
    host_close(&host);
    vfs_crash_cut_after(vfs, 0);
    if (power)
        vfs_crash_restart(vfs);
    else
        vfs_crash_resume(vfs);
    cr_assert_eq(host_open(&host), 0);
    cr_assert(!came || hosting_is(&host, P));
    if (hosting_is(&host, P)) {
        cr_assert(!left || host.parts[P].term == 7, "cut at %lu", (unsigned long)n);
        cr_assert_eq(host.parts[P].last, host.parts[P].term == 7 ? 0 : 8);
        cr_assert_eq(store_keys(host.store, P), host.parts[P].term == 7 ? 0 : 8);
    }
    store_check(host.store);
    host_deinit(&host);
    vfs_crash_free(vfs);
    return whole;
}

Test(store_hosting, cut_at_any_call_it_is_as_before_or_as_wanted)
{
    for (int power = 0; power < 2; power++) {
        uint64_t n = 1;

        while (!cut_at(n, power))
            n++;
        cr_assert_gt(n, 3);
    }
}

/* --- no memory ----------------------------------------------------------------------------- */

/* What finds no memory has changed nothing, and is done when there is some. */
Test(store_hosting, without_memory_all_stays_as_it_is)
{
    struct host host;
    int r = -ENOMEM;
    uint64_t n;

    host_start(&host);
    hosting_fill_casks(&host);
    for (n = 1; r == -ENOMEM; n++) {
        alloc_fail_after(n);
        r = store_unhost(host.store, P, 1);
        alloc_fail_after(0);
        if (r != 0)
            cr_assert(hosting_is(&host, P));
        host.parts[P].gone = r == 0;
        host_check(&host);
    }
    cr_assert_eq(r, 0);
    host_settle(&host);
    cr_assert_eq(store_hosting(host.store, P), STORE_HOSTING_NONE);
    hosting_forget(&host, P);
    r = -ENOMEM;
    for (n = 1; r == -ENOMEM; n++) {
        alloc_fail_after(n);
        r = hosting_begin(&host, P, 5);
        alloc_fail_after(0);
        if (r != 0)
            cr_assert_eq(store_hosting(host.store, P), STORE_HOSTING_NONE);
    }
    cr_assert_gt(n, 3);
    hosting_arrive(&host, P, 5);
    host_check(&host);
    host_close(&host);
    cr_assert_eq(host_open(&host), 0);
    cr_assert(hosting_is(&host, P));
    cr_assert_eq(host.parts[P].term, 5);
    host_stop(&host);
}
