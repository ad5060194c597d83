#include <criterion/criterion.h>

#include "storage/data_file.h"
#include "storage/filename.h"
#include "storage/store_snapshot.h"
#include "storage/store_state.h"
#include "store_busy.h"

/* Partition 0 has eight entries that nobody else has, which a new leader's one takes the place of,
 * `between` entries of partition 1 later; then it is idle. */
static void idle_after_truncation(struct host *host, uint32_t between)
{
    uint64_t first = host->parts[0].last + 1;

    for (uint32_t i = 0; i < 8; i++)
        cr_assert_eq(host_append_next(host, 0, 5), 0);
    busy_run(host, between);
    cr_assert_eq(host_hard(host, 0, host->parts[0].term + 1, 0), 0);
    cr_assert_eq(host_append(host, 0, first, 6, false), 0);
    host_commit(host, 0, first);
    host_retain(host, 0, first + 1);
}

static void expect_short_log(struct host *host)
{
    busy_expect_short(host);
    host_check(host);
}

static void start(struct host *host)
{
    busy_start(host, 1u << 20);
}

static void judge(uint32_t between)
{
    struct host host, again;

    start(&host);
    idle_after_truncation(&host, between);
    expect_short_log(&host);
    idle_after_truncation(&host, between);
    host_settle(&host);
    host_reopen(&host, &again); /* truncated before the start is as good */
    host_commit(&again, 0, again.parts[0].last);
    host_retain(&again, 0, again.parts[0].applied + 1);
    expect_short_log(&again);
    host_deinit(&again);
    host_stop(&host);
}

Test(store_retire, entries_truncated_in_their_own_segment_are_no_log)
{
    judge(0);
}

Test(store_retire, entries_truncated_in_a_later_segment_are_no_log)
{
    judge(40);
}

/* Background jobs, one after the other, until one that makes a hint is out. */
static void hold_hint(struct host *host)
{
    do {
        cr_assert(host_background_half(host));
        host->now_ms += host->background_job ? 0 : 100;
        cr_assert_lt(host->now_ms, 100000, "nothing retires");
    } while (!host->background_job || !host->store->hint_file);
}

/* A segment retires while the append that truncates entries in it is on its way, in a segment of
 * which a power cut leaves nothing. What is written there next is not truncated by it. */
Test(store_retire, a_truncation_that_is_not_durable_is_not_listed)
{
    struct host host, again, last;
    uint64_t segment;

    start(&host);
    for (uint32_t i = 0; i < 8; i++)
        cr_assert_eq(host_append_next(&host, 0, 5), 0);
    busy_run(&host, 40);
    cr_assert_eq(host_hard(&host, 0, 1, 0), 0);
    for (uint64_t index = 1; index <= 3; index++)
        cr_assert_eq(host_append(&host, 0, index, 6, false), 0);
    host_commit(&host, 0, 1);
    host_retain(&host, 0, 2);
    segment = host.store->current->base.number;
    while (host.store->current->base.number == segment) {
        busy_write(&host, 1, 1);
        cr_assert(host_sync(&host));
    }
    hold_hint(&host);
    while (host.store->current->base.number == segment + 1)
        busy_write(&host, 1, 1);
    cr_assert_eq(host_append(&host, 0, 2, 7, false), 0);
    cr_assert_eq(host_background(&host), 0);
    host_reopen(&host, &again);
    cr_assert_eq(again.parts[0].last, 3);
    cr_assert_eq(host_append(&again, 0, 2, 8, false), 0);
    cr_assert_eq(again.store->current->base.number, segment + 2);
    host_settle(&again);
    host_close(&again);
    host_init(&last, host.vfs);
    last.options = host.options;
    cr_assert_eq(host_open(&last), 0);
    cr_assert_eq(last.parts[0].last, 2);
    cr_assert_eq(last.parts[0].log[2].value, again.parts[0].log[2].value);
    host_deinit(&last);
    host_deinit(&again);
    host_stop(&host);
}

/* What is retained is what the durable checkpoint says, not one that found no room. */
Test(store_retire, a_checkpoint_that_was_not_taken_lets_go_of_no_log)
{
    struct host host;
    uint64_t segment;

    start(&host);
    for (uint32_t i = 0; i < 5; i++)
        cr_assert_eq(host_append_next(&host, 0, i), 0);
    host_commit(&host, 0, 5);
    busy_run(&host, 1);
    segment = host.store->current->base.number;
    while (host.store->current->base.number == segment)
        busy_write(&host, 1, 1);
    cr_assert_eq(host_background(&host), 0); /* prepares the next one; nothing is synced */
    cr_assert_eq(store_synced(host.store) + 1 < store_batch(host.store), true);
    host_retain(&host, 0, 6);
    host.padding = 6500;
    cr_assert_eq(host_append_next(&host, 1, 1), STORE_E_FULL);
    cr_assert(host_sync(&host));
    cr_assert_eq(host_background(&host), 0);
    host_reopen_and_compare(&host);
    host_stop(&host);
}

/* --- snapshots ----------------------------------------------------------------------------- */

/* It has an empty content as of `index`. */
static void switched(struct host_partition *part, uint64_t index)
{
    for (uint64_t i = 1; i <= index; i++)
        part->log[i] = (struct host_entry){.key = HOST_KEYS};
    part->last = part->commit = part->applied = index;
    part->first = index + 1;
}

/* The partition is to get an empty content as of `index` from elsewhere. */
static struct store_install *install_commit(struct host *host, uint16_t partition, uint32_t term,
                                            uint64_t index)
{
    uint8_t state[5] = {0};
    struct store_checkpoint checkpoint = {.term = term,
                                          .applied = index,
                                          .applied_term = term,
                                          .first_index = index + 1,
                                          .first_prev_term = term,
                                          .state = state,
                                          .state_size = sizeof state};
    struct store_install *install;

    cr_assert_eq(store_install_begin(host->store, partition, &checkpoint, &install), 0);
    cr_assert_eq(store_install_commit(install, &checkpoint), 0);
    return install;
}

/* It gets it. */
static void install(struct host *host, uint16_t partition, uint64_t index)
{
    struct host_partition *part = &host->parts[partition];
    struct store_install *install = install_commit(host, partition, part->term, index);

    for (int i = 0; i < 10 && store_install_state(install) == STORE_INSTALL_COMMIT; i++)
        host_settle(host);
    cr_assert_eq(store_install_state(install), STORE_INSTALL_DONE);
    store_install_end(install);
    switched(part, index);
    part->fenced = false;
}

Test(store_retire, entries_that_a_snapshot_made_void_are_no_log)
{
    struct host host;

    start(&host);
    for (uint32_t i = 0; i < 12; i++)
        cr_assert_eq(host_append_next(&host, 0, 5), 0);
    host_settle(&host);
    busy_run(&host, 40);
    install(&host, 0, 6);
    expect_short_log(&host);
    host_stop(&host);
}

/* Nobody asks for the install while the journal goes on: what was before it is in no checkpoint
 * behind its floor, and the floor is there until a checkpoint has what it brought. */
Test(store_retire, what_a_snapshot_replaced_is_read_at_no_start)
{
    struct host host;

    start(&host);
    for (uint32_t i = 0; i < 12; i++)
        busy_write(&host, 0, i);
    host_settle(&host);
    install_commit(&host, 0, 3, 60);
    busy_run(&host, 100);
    for (int i = 0; i < 4; i++) {
        host_close(&host);
        cr_assert_eq(host_open(&host), 0);
        cr_assert_eq(host.parts[0].checkpoint_seen_min, 60, "start %d: applied %lu is read", i,
                     (unsigned long)host.parts[0].checkpoint_seen_min);
        cr_assert_eq(host.parts[0].last, 60);
        cr_assert_eq(host.parts[0].term, 3);
        if (i == 1) /* now a checkpoint has it */
            busy_run(&host, 20);
    }
    host_stop(&host);
}

/* The edit of a snapshot is lost, the batch that was open when it was queued is not: what nobody
 * committed before is not committed by it. */
Test(store_retire, a_switch_that_is_lost_commits_nothing)
{
    struct host host;

    start(&host);
    for (uint32_t i = 0; i < 3; i++)
        cr_assert_eq(host_append_next(&host, 0, i), 0);
    host_commit(&host, 0, 1);
    host_settle(&host);
    cr_assert_eq(host_append_next(&host, 0, 5), 0);
    install_commit(&host, 0, 3, 60);
    while (!manifest_floor_find(&host.store->manifest, 0))
        cr_assert(host_background_half(&host));
    cr_assert(host_sync(&host));
    host_close(&host);
    cr_assert_eq(host_open(&host), 0);
    cr_assert_eq(host.parts[0].last, 4);
    cr_assert_leq(host.parts[0].commit, 1);
    host_stop(&host);
}

static void damage_at(struct host *host, uint32_t offset)
{
    struct iovec iov = {.iov_base = "damaged", .iov_len = 7};
    struct vfs_file *file;
    char path[FILENAME_PATH_SIZE];

    cr_assert_eq(filename_journal(path, host->options.folder, 1), 0);
    cr_assert_eq(vfs_open(host->vfs, path, VFS_OPEN_WRITE, &file), 0);
    cr_assert_eq(vfs_pwritev(file, &iov, 1, offset), 0);
    vfs_close(file);
}

static void damage(struct host *host, store_location location)
{
    damage_at(host, data_file_offset(location) + RECORD_HEADER_SIZE + 16);
}

static uint32_t damaged_files(const struct host *host)
{
    uint32_t count = 0;

    for (size_t i = 0; i < host->store->files.slot_count; i++)
        count += host->store->files.slots[i] && host->store->files.slots[i]->damaged;
    return count;
}

/* Nor when nobody can repair it for long, over starts; and when somebody has, flush takes the
 * segment as any. */
Test(store_retire, damage_holds_up_no_log_of_others)
{
    struct host host;

    start(&host);
    busy_write(&host, 0, 5);
    busy_write(&host, 1, 7); /* stays alive beside it */
    cr_assert(host_sync(&host));
    damage(&host, host.parts[0].log[1].location);
    busy_run(&host, 100);
    cr_assert(host.parts[0].fenced);
    host_check(&host);
    for (int i = 0; i < 3; i++) {
        busy_expect_short(&host);
        cr_assert_eq(damaged_files(&host), 1);
        host_close(&host);
        cr_assert_eq(host_open(&host), 0);
        cr_assert(host.parts[0].fenced, "start %d", i);
        cr_assert_not(host.parts[1].fenced);
    }
    install(&host, 0, 10);
    busy_expect_short(&host);
    cr_assert_not(host.parts[0].fenced);
    cr_assert_eq(damaged_files(&host), 0);
    cr_assert_eq(host.store->totals.hints_bad, 0);
    cr_assert_eq(store_flush(host.store), 0);
    host_settle(&host);
    cr_assert_gt(host.store->segments.items[0]->base.number, 1, "it has gone");
    store_check(host.store);
    host_stop(&host);
}

/* Who makes the hint of a segment finds all that is damaged in it, not only what comes first: the
 * rest would wait until that is repaired, and be one more copy that rots. */
Test(store_retire, all_damage_of_a_segment_is_found_at_once)
{
    struct host host;

    busy_start(&host, 0);
    for (uint16_t partition = 0; partition < HOST_PARTITIONS; partition++)
        busy_write(&host, partition, 5);
    cr_assert(host_sync(&host));
    damage(&host, host.parts[0].log[1].location);
    damage(&host, host.parts[2].log[1].location);
    damage(&host, host.parts[3].log[1].location);
    for (uint32_t i = 0; i < 200 && !host.parts[0].fenced; i++) {
        busy_write(&host, 1, i % 3);
        host_settle(&host);
    }
    cr_assert(host.parts[0].fenced);
    cr_assert(host.parts[2].fenced);
    cr_assert(host.parts[3].fenced);
    cr_assert_not(host.parts[1].fenced);
    host_stop(&host);
}

/* Whose records were in a batch whose head is damaged is not known; but of whom nothing there
 * counts any more, they harm nobody, however often the file is looked at. */
Test(store_retire, a_batch_that_is_void_for_all_is_no_damage)
{
    struct store_stats stats;
    struct host host;

    busy_start(&host, 0);
    for (uint16_t partition = 0; partition < HOST_PARTITIONS; partition++)
        busy_write(&host, partition, 5);
    cr_assert(host_sync(&host));
    damage_at(&host, 512 + 8); /* the first batch begins there */
    for (unsigned pass = 0; pass < 2; pass++) {
        cr_assert_eq(store_scrub(host.store), 0);
        for (int i = 0; i < 10; i++)
            host_settle(&host);
        store_stats(host.store, &stats);
        cr_assert_eq(stats.scrub.passes, pass + 1);
        cr_assert_gt(stats.scrub.faults, pass);
        for (uint16_t p = 0; p < HOST_PARTITIONS; p++) {
            cr_assert_eq(host.parts[p].fenced, pass == 0, "partition %u, pass %u", p, pass);
            if (pass == 0)
                install(&host, p, 20);
        }
    }
    host_check(&host);
    host_stop(&host);
}

/* The damage is read before a snapshot takes the place of what it hit, and told of behind it. */
Test(store_retire, damage_that_a_snapshot_made_void_meanwhile_fences_nobody)
{
    struct store_install *install;
    struct host host;
    uint64_t segment;

    busy_start(&host, 0);
    busy_write(&host, 0, 5);
    busy_write(&host, 1, 7); /* stays alive beside it */
    cr_assert(host_sync(&host));
    damage(&host, host.parts[0].log[1].location);
    cr_assert_eq(host_background(&host), 0); /* prepares the next segment */
    segment = host.store->current->base.number;
    while (host.store->current->base.number == segment)
        busy_write(&host, 1, 1);
    cr_assert(host_sync(&host));
    hold_hint(&host);
    host.store->hint.options.step_size = 512;
    cr_assert(host_background_half(&host));
    cr_assert(host.store->hint.bad && host.store->hint.bad[0]);
    install = install_commit(&host, 0, 1, 9);
    while (store_install_state(install) == STORE_INSTALL_COMMIT)
        cr_assert(host_background_half(&host));
    cr_assert_eq(store_install_state(install), STORE_INSTALL_DONE);
    cr_assert_not_null(host.store->hint_file);
    store_install_end(install);
    switched(&host.parts[0], 9);
    host_settle(&host);
    cr_assert_null(host.store->hint_file);
    cr_assert_not(host.parts[0].fenced);
    expect_short_log(&host);
    host_stop(&host);
}

/* Entries of partition 0 that nobody will decide, appended again whenever they hold up the log. */
static void busy_beside_undecided(struct host *host, uint64_t first, uint32_t count)
{
    struct host_partition *part = &host->parts[0];

    for (uint32_t i = 0; i < 20; i++) {
        busy_run(host, 10);
        if (!store_holds_up(host->store, part->log[first].location, 16u << 10))
            continue;
        cr_assert_geq(store_retain_wanted(host->store, 0, 16u << 10), first + count);
        for (uint32_t j = 0; j < count; j++)
            cr_assert_eq(host_append(host, 0, first + j, 5, false), 0);
        cr_assert_not(store_holds_up(host->store, part->log[first].location, 16u << 10));
    }
}

Test(store_retire, undecided_entries_that_are_appended_again_hold_up_no_log)
{
    struct host host, again;
    struct store_stats stats;
    uint64_t first;

    start(&host);
    first = host.parts[0].last + 1;
    for (uint32_t i = 0; i < 3; i++)
        cr_assert_eq(host_append_next(&host, 0, 5), 0);
    busy_run(&host, 100);
    store_stats(host.store, &stats);
    cr_assert_gt(stats.tail_bytes, 32u << 10, "they hold up nothing anyway");
    cr_assert_not(store_holds_up(host.store, host.parts[0].log[first].location, UINT64_MAX));
    busy_beside_undecided(&host, first, 3);
    store_stats(host.store, &stats);
    cr_assert_leq(stats.tail_bytes, 48u << 10, "%llu of log", (unsigned long long)stats.tail_bytes);
    host_check(&host);
    host_reopen(&host, &again);
    cr_assert_eq(again.parts[0].last, first + 2);
    cr_assert_lt(again.parts[0].commit, first);
    host_commit(&again, 0, first + 2);
    host_check(&again);
    host_deinit(&again);
    host_stop(&host);
}
