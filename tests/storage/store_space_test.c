#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "storage/store_state.h"
#include "store_host.h"

/* Each background job ends with a sync: one a write would double what a write costs. */
Test(store_space, zeros_are_laid_in_whole_steps)
{
    unsigned jobs = 0, writes;
    struct host host;

    host_start(&host);
    host_settle(&host);
    for (writes = 0; writes < 500; writes++) {
        struct store_job *job;

        cr_assert_eq(host_append_next(&host, 0, writes % HOST_KEYS), 0);
        host_commit_all(&host);
        cr_assert(host_sync(&host));
        while ((job = store_next_job(host.store, STORE_JOB_BACKGROUND, host.now_ms))) {
            cr_assert_eq(store_done(host.store, job, store_job_run(job)), 0);
            jobs++;
        }
    }
    cr_assert_lt(jobs, writes / 8, "%u jobs for %u writes", jobs, writes);
    host_stop(&host);
}

/* The first segment is as small as one step of zeros: those after it must not stay so. */
Test(store_space, segments_grow_with_what_is_written)
{
    struct host host;

    host_init(&host, vfs_mem_new());
    host.options.segment_size = 128u << 10;
    host.options.zero_ahead_size = 4u << 10;
    cr_assert_eq(host_open(&host), 0);
    host_found(&host);
    host_settle(&host);
    for (uint32_t writes = 0; writes < 2000; writes++) {
        int r = host_append_next(&host, 0, writes % HOST_KEYS);

        cr_assert(r == 0 || r == STORE_E_FULL);
        cr_assert(host_sync(&host));
        host_commit_all(&host);
        host_retain_none(&host);
        cr_assert_eq(host_background(&host), 0);
    }
    cr_assert_lt(host.parts[0].checkpoint_count, 40, "%u segments", host.parts[0].checkpoint_count);
    host_stop(&host);
}

Test(store_space, overwritten_segments_are_dropped_and_their_files_recycled)
{
    struct store_stats stats;
    struct host host;

    host_start(&host);
    for (int i = 0; i < 30; i++) {
        host_fill(&host, 100);
        host_commit_all(&host);
        host_retain_none(&host);
        host_settle(&host);
    }
    store_stats(host.store, &stats);
    cr_assert_gt(stats.segments_recycled, 3);
    cr_assert_lt(stats.segments, 6);
    cr_assert_lt(stats.journal_bytes, 6 * host.options.segment_size);
    host_check(&host);
    host_reopen_and_compare(&host);
    host_stop(&host);
}

static void run_one(struct host *host)
{
    struct store_job *job = store_next_job(host->store, STORE_JOB_BACKGROUND, host->now_ms++);

    if (job)
        cr_assert_eq(store_done(host->store, job, store_job_run(job)), 0);
}

/* Background work gets hardly a turn, and the next segment goes before flush: nothing but values
 * that wait keeps what is dead from filling the disk. */
Test(store_space, values_wait_for_flush_that_has_fallen_behind)
{
    uint64_t slack = 128u << 10, most = 0;
    struct store_stats stats;
    struct host host;
    unsigned held = 0;

    host_init(&host, vfs_mem_new());
    host.options.segment_size = 8u << 10;
    host.options.zero_ahead_size = 8u << 10;
    host.options.flush_size_max = 8u << 10;
    host.options.flush_rate = 1;
    host.options.slack_size = slack;
    host.padding = 200;
    cr_assert_eq(host_open(&host), 0);
    host_found(&host);
    for (unsigned i = 0; i < 4000; i++) {
        bool cold = i % 24 == 0; /* of which something stays alive in each segment */
        unsigned n = cold ? i / 24 : i;
        uint16_t partition = (uint16_t)(n % HOST_PARTITIONS);
        uint32_t key = cold ? 2 + n / HOST_PARTITIONS % (HOST_KEYS - 2) : n / HOST_PARTITIONS % 2;
        int r;

        while ((r = host_append_next(&host, partition, key)) == STORE_E_FULL) {
            cr_assert(host_sync(&host));
            run_one(&host);
            cr_assert_lt(++held, 100000, "nothing moves any more");
        }
        cr_assert_eq(r, 0);
        cr_assert(host_sync(&host));
        host_commit_all(&host);
        host_retain_none(&host);
        store_stats(host.store, &stats);
        most = stats.journal_bytes + stats.cask_bytes > most
                   ? stats.journal_bytes + stats.cask_bytes
                   : most;
        cr_assert_leq(stats.journal_bytes + stats.cask_bytes,
                      3 * store_live(host.store) + slack + 4 * host.options.segment_size,
                      "after %u writes", i);
    }
    cr_assert_gt(most, slack);
    host_settle(&host);
    host_check(&host);
    host_reopen_and_compare(&host);
    host_stop(&host);
}

Test(store_space, log_that_replication_retains_keeps_its_segment)
{
    struct store_stats stats;
    struct host host, again;

    host_start(&host);
    for (int i = 0; i < 10; i++) {
        host_fill(&host, 100);
        host_commit_all(&host);
        for (uint16_t p = 1; p < HOST_PARTITIONS; p++)
            host_retain(&host, p, host.parts[p].applied + 1);
        host_settle(&host);
    }
    store_stats(host.store, &stats);
    cr_assert_eq(stats.segments_dropped, 0, "partition 0 still needs its log from 1 on");
    host_reopen(&host, &again);
    cr_assert_eq(again.parts[0].first, 1);
    host_deinit(&again);
    host_stop(&host);
}

/* --- truncation ---------------------------------------------------------------------------- */

/* Lets all partitions but 0 write over their few keys until `segments` more have been begun. */
static void others_rotate(struct host *host, uint32_t segments)
{
    uint32_t begun = host->parts[1].checkpoint_count + segments;

    while (host->parts[1].checkpoint_count < begun) {
        for (uint16_t p = 1; p < HOST_PARTITIONS; p++) {
            int r = host_append_next(host, p, (uint32_t)host->parts[p].last % 2);

            cr_assert(r == 0 || r == STORE_E_FULL);
            host_commit(host, p, host->parts[p].last);
            host_retain(host, p, host->parts[p].applied + 1);
        }
        cr_assert(host_sync(host));
        cr_assert_eq(host_background(host), 0);
    }
    host_settle(host);
}

static void start_small(struct host *host)
{
    host_init(host, vfs_mem_new());
    host->options.segment_size = 8u << 10;
    host->options.zero_ahead_size = 8u << 10;
    cr_assert_eq(host_open(host), 0);
    host_found(host);
}

/* A power cut may take back the append that truncates. */
Test(store_space, what_an_unsynced_append_truncates_is_still_needed)
{
    struct store_stats before, after;
    struct host host;

    start_small(&host);
    cr_assert_eq(host_append_next(&host, 0, 1), 0);
    others_rotate(&host, 4);
    store_stats(host.store, &before);
    cr_assert_gt(before.segments_dropped, 0);
    cr_assert_eq(host_append(&host, 0, 1, 2, false), 0);
    cr_assert_eq(host_background(&host), 0);
    store_stats(host.store, &after);
    cr_assert_eq(after.segments_dropped, before.segments_dropped);
    host.op_count--; /* lost */
    host_reopen_and_compare(&host);
    host_stop(&host);
}

/* Segment A holds entries 1 to 6 and, behind them, another 3 that truncates 3 to 6. B truncates
 * from 2 on and goes. What is left of A must end with 1: the other 3 is truncated itself, and yet
 * what it truncated must not come back. */
Test(store_space, spans_outlive_the_segment_that_truncated, .timeout = 600)
{
    struct store_stats stats;
    struct host host;

    start_small(&host);
    for (uint32_t key = 0; key < 6; key++)
        cr_assert_eq(host_append_next(&host, 0, key), 0);
    cr_assert_eq(host_hard(&host, 0, 1, 1), 0);
    cr_assert_eq(host_append(&host, 0, 3, 6, false), 0);
    host_commit(&host, 0, 1);
    others_rotate(&host, 1);
    cr_assert_eq(host_hard(&host, 0, 2, 1), 0);
    cr_assert_eq(host_append(&host, 0, 2, 7, false), 0);
    others_rotate(&host, 1);
    cr_assert_eq(host_append_next(&host, 0, 7), 0); /* what B holds is dead */
    host_commit(&host, 0, 3);
    for (int i = 0; i < 8; i++) { /* nor does any segment behind A stay */
        cr_assert_eq(host_append_next(&host, 0, 7), 0);
        host_commit(&host, 0, host.parts[0].last);
        host_retain(&host, 0, host.parts[0].applied);
        others_rotate(&host, 1);
    }
    store_stats(host.store, &stats);
    cr_assert_gt(stats.segments_dropped, 0);
    host_check(&host);
    host_reopen_and_compare(&host);
    host_stop(&host);
}

/* --- the disk is full ---------------------------------------------------------------------- */

typedef void room_set(struct vfs *vfs, uint64_t bytes);

static void refuse_and_heal(room_set *set_room)
{
    struct store_stats stats;
    struct host host;
    uint32_t term = 1;
    int r = 0;

    host_start(&host);
    host_settle(&host);
    set_room(host.vfs, 0); /* not a byte more */
    for (int i = 0; i < 20000 && r != STORE_E_NOSPACE; i++) {
        r = host_append_next(&host, (uint16_t)((unsigned)i % HOST_PARTITIONS), 1);
        if (r == STORE_E_FULL)
            host_settle(&host);
    }
    cr_assert_eq(r, STORE_E_NOSPACE);
    store_stats(host.store, &stats);
    cr_assert(stats.disk_full);
    cr_assert_eq(host_hard(&host, 0, ++term, 1), 0);
    cr_assert(host_sync(&host));
    cr_assert_eq(store_synced(host.store), store_batch(host.store) - 1);
    host_commit_all(&host);
    host_check(&host);

    set_room(host.vfs, INT64_MAX);
    host.now_ms += 1000;
    host_settle(&host);
    host_settle(&host);
    cr_assert_eq(host_append_next(&host, 0, 2), 0);
    cr_assert(host_sync(&host));
    store_stats(host.store, &stats);
    cr_assert_not(stats.disk_full);
    host_reopen_and_compare(&host);
    host_stop(&host);
}

Test(store_space, a_full_disk_refuses_entries_takes_hard_states_and_heals)
{
    refuse_and_heal(vfs_mem_set_capacity);
}

Test(store_space, a_quota_that_is_used_up_is_a_full_disk)
{
    refuse_and_heal(vfs_mem_set_quota);
}

static void open_and_serve(room_set *set_room)
{
    struct host host, again;

    host_start(&host);
    host_fill(&host, 30);
    host_commit_all(&host);
    cr_assert(host_sync(&host));
    host.now_ms += 200;
    cr_assert(host_sync(&host));
    set_room(host.vfs, 0);
    host_reopen(&host, &again);
    host_check(&again);
    host_settle(&again);
    set_room(host.vfs, INT64_MAX);
    again.now_ms += 1000;
    host_settle(&again);
    host_settle(&again);
    cr_assert_eq(host_append_next(&again, 0, 2), 0);
    cr_assert(host_sync(&again));
    host_deinit(&again);
    host_stop(&host);
}

Test(store_space, a_node_with_a_full_disk_opens_and_serves)
{
    open_and_serve(vfs_mem_set_capacity);
}

Test(store_space, a_node_over_its_quota_opens_and_serves)
{
    open_and_serve(vfs_mem_set_quota);
}

/* What the reserve keeps free is there for it: elections need a place for their hard states. */
Test(store_space, a_node_that_starts_within_its_reserve_gets_a_segment)
{
    struct host host, again;

    host_init(&host, vfs_mem_new());
    host.options.space_reserve = INT64_MAX;
    cr_assert_eq(host_open(&host), 0);
    host_found(&host);
    for (int i = 0; i < 2; i++) {
        struct host *now = i == 0 ? &host : &again;
        int r = 0;

        cr_assert_eq(host_hard(now, 0, 9, 1), 0);
        cr_assert_eq(host_append_next(now, 0, 1), 0);
        cr_assert(host_sync(now));
        cr_assert_eq(store_synced(now->store), store_batch(now->store) - 1);
        for (int n = 0; n < 20000 && r != STORE_E_NOSPACE; n++) {
            r = host_append_next(now, 0, 1);
            if (r == STORE_E_FULL)
                host_settle(now);
        }
        cr_assert_eq(r, STORE_E_NOSPACE, "one segment, not the whole reserve");
        cr_assert(host_sync(now));
        if (i == 0)
            host_reopen(&host, &again);
    }
    host_check(&again);
    host_deinit(&again);
    host_stop(&host);
}

Test(store_space, at_the_journal_cap_overwriting_goes_on_for_ever)
{
    struct store_stats stats;
    struct host host;
    uint64_t refused = 0;

    host_init(&host, vfs_mem_new());
    host.options.journal_size_max = 3 * host.options.segment_size;
    cr_assert_eq(host_open(&host), 0);
    host_found(&host);
    for (uint32_t i = 0; i < 20000; i++) {
        uint16_t p = (uint16_t)(i % HOST_PARTITIONS);
        int r = host_append_next(&host, p, i / HOST_PARTITIONS % HOST_KEYS);

        if (r == 0 && i % 16 != 0)
            continue;
        refused += r == STORE_E_NOSPACE;
        host_commit_all(&host);
        host_retain_none(&host);
        cr_assert(host_sync(&host));
        cr_assert_eq(host_background(&host), 0);
        host.now_ms += 30;
        store_stats(host.store, &stats);
        cr_assert_leq(stats.journal_bytes, host.options.journal_size_max);
    }
    cr_assert_gt(host.parts[0].last, 4000, "only %lu entries went in, %lu were refused",
                 (unsigned long)host.parts[0].last, (unsigned long)refused);
    host_check(&host);
    host_reopen_and_compare(&host);
    host_stop(&host);
}

/* Where no value fits any more, deletes still do, and each other's elections. */
Test(store_space, a_value_too_large_for_a_full_disk_holds_up_no_others)
{
    uint64_t segment;
    struct host host;
    int r = 0;

    host_init(&host, vfs_mem_new());
    host.options.zero_ahead_size = 4u << 10;
    cr_assert_eq(host_open(&host), 0);
    host_found(&host);
    cr_assert_eq(host_append_next(&host, 0, 1), 0);
    host_settle(&host); /* prepares the next one */
    segment = host.store->current->base.number;
    vfs_mem_set_capacity(host.vfs, 0);
    host.padding = 8000;
    for (int i = 0; i < 20 && r != STORE_E_NOSPACE; i++) {
        r = host_append_next(&host, 0, 1);
        host_settle(&host);
    }
    cr_assert_eq(r, STORE_E_NOSPACE);
    cr_assert_not_null(host.store->next);
    host.padding = 0;
    for (int i = 0; i < 50 && host.store->current->base.number == segment; i++) {
        cr_assert_eq(host_append_next(&host, 0, 1), 0);
        host_settle(&host);
    }
    cr_assert_neq(host.store->current->base.number, segment);
    vfs_mem_set_capacity(host.vfs, INT64_MAX);
    host_settle(&host);
    host.padding = 8000;
    for (int i = 0; i < 20 && (r = host_append_next(&host, 0, 1)) == STORE_E_FULL; i++)
        host_settle(&host);
    cr_assert_eq(r, 0);
    host_commit_all(&host);
    host_check(&host);
    host_reopen_and_compare(&host);
    host_stop(&host);
}

/* Nothing is given back while all is needed; a checkpoint in the middle of the last segment frees
 * it all once it is not. */
Test(store_space, at_the_journal_cap_a_late_retain_frees_space)
{
    struct host host;
    int r = 0;

    host_init(&host, vfs_mem_new());
    host.options.journal_size_max = 3 * host.options.segment_size;
    cr_assert_eq(host_open(&host), 0);
    host_found(&host);
    for (int i = 0; i < 20000 && r != STORE_E_NOSPACE; i++) {
        r = host_append_next(&host, (uint16_t)((unsigned)i % HOST_PARTITIONS),
                             (uint32_t)i / 4 % HOST_KEYS);
        if (r == STORE_E_FULL)
            host_settle(&host);
    }
    cr_assert_eq(r, STORE_E_NOSPACE);
    host_settle(&host);
    cr_assert_eq(host_append_next(&host, 0, 1), STORE_E_NOSPACE);
    host_commit_all(&host);
    host_retain_none(&host);
    for (int i = 0; i < 6; i++)
        host_settle(&host);
    cr_assert_eq(host_append_next(&host, 0, 1), 0);
    cr_assert(host_sync(&host));
    host_check(&host);
    host_reopen_and_compare(&host);
    host_stop(&host);
}

/* Something of partition p stays alive in each segment. */
static void fill_to_cap(struct host *host)
{
    struct store_stats stats;
    int r = 0;

    host_init(host, vfs_mem_new());
    host->options.journal_size_max = 3 * host->options.segment_size;
    cr_assert_eq(host_open(host), 0);
    host_found(host);
    for (int i = 0; i < 20000 && r != STORE_E_NOSPACE; i++) {
        store_stats(host->store, &stats);
        r = host_append_next(host, (uint16_t)((unsigned)i % HOST_PARTITIONS),
                             (uint32_t)stats.segments % HOST_KEYS);
        if (r == STORE_E_FULL)
            host_settle(host);
        host_commit_all(host);
    }
    cr_assert_eq(r, STORE_E_NOSPACE);
    host_settle(host);
}

static void expect_room_when_log_goes(struct host *host)
{
    host_retain_none(host);
    for (int i = 0; i < 20; i++)
        host_settle(host);
    cr_assert_eq(host_append_next(host, 0, 1), 0);
    cr_assert(host_sync(host));
    host_check(host);
}

/* Nor does it take that all of a segment is dead. */
Test(store_space, at_the_journal_cap_a_late_retain_frees_what_is_half_alive)
{
    struct host host;

    fill_to_cap(&host);
    expect_room_when_log_goes(&host);
    host_reopen_and_compare(&host);
    host_stop(&host);
}

/* Nobody could be elected without a segment, nor would any log be given up. */
Test(store_space, a_node_that_starts_at_the_journal_cap_gets_a_segment)
{
    struct host host, again;

    fill_to_cap(&host);
    host_reopen(&host, &again);
    cr_assert_eq(host_hard(&again, 0, 9, 1), 0);
    host_settle(&again);
    cr_assert_not_null(again.store->current, "it is on the disk");
    expect_room_when_log_goes(&again);
    host_deinit(&again);
    host_stop(&host);
}
