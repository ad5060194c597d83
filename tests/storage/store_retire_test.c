#include <criterion/criterion.h>

#include "storage/data_file.h"
#include "storage/filename.h"
#include "storage/store_snapshot.h"
#include "storage/store_state.h"
#include "store_host.h"

static void write_one(struct host *host, uint16_t partition, uint32_t key)
{
    cr_assert_eq(host_append_next(host, partition, key), 0);
    host_commit(host, partition, host->parts[partition].last);
    host_retain(host, partition, host->parts[partition].applied + 1);
}

/* Partition 1 is written all the time, and lets go of its log at once; of partitions 2 and 3 a bit
 * stays alive everywhere. */
static void busy(struct host *host, uint32_t entries)
{
    for (uint32_t i = 0; i < entries; i++) {
        write_one(host, 1, i % 3);
        if (i % 4 == 0)
            write_one(host, i % 8 == 0 ? 2 : 3, i / 8 % HOST_KEYS);
        host_settle(host);
    }
}

/* Partition 0 has eight entries that nobody else has, which a new leader's one takes the place of,
 * `between` entries of partition 1 later; then it is idle. */
static void idle_after_truncation(struct host *host, uint32_t between)
{
    uint64_t first = host->parts[0].last + 1;

    for (uint32_t i = 0; i < 8; i++)
        cr_assert_eq(host_append_next(host, 0, 5), 0);
    busy(host, between);
    cr_assert_eq(host_hard(host, 0, host->parts[0].term + 1, 0), 0);
    cr_assert_eq(host_append(host, 0, first, 6, false), 0);
    host_commit(host, 0, first);
    host_retain(host, 0, first + 1);
}

/* Also behind a start that was not compared with what was there before. */
static void expect_short_tail(struct host *host)
{
    struct store_stats stats;

    busy(host, 100);
    store_stats(host->store, &stats);
    cr_assert_leq(stats.tail_bytes, 24u << 10, "%llu of log, %llu retired",
                  (unsigned long long)stats.tail_bytes, (unsigned long long)stats.segments_retired);
    store_check(host->store);
}

static void expect_short_log(struct host *host)
{
    expect_short_tail(host);
    host_check(host);
}

static void start_with(struct host *host, uint64_t scrub_rate)
{
    host_init(host, vfs_mem_new());
    host->options.segment_size = 8u << 10;
    host->options.zero_ahead_size = 8u << 10;
    host->options.scrub_rate = scrub_rate;
    host->padding = 200;
    cr_assert_eq(host_open(host), 0);
    host_found(host);
}

static void start(struct host *host)
{
    start_with(host, 1u << 20);
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
    busy(&host, 40);
    cr_assert_eq(host_hard(&host, 0, 1, 0), 0);
    for (uint64_t index = 1; index <= 3; index++)
        cr_assert_eq(host_append(&host, 0, index, 6, false), 0);
    host_commit(&host, 0, 1);
    host_retain(&host, 0, 2);
    segment = host.store->current->base.number;
    while (host.store->current->base.number == segment) {
        write_one(&host, 1, 1);
        cr_assert(host_sync(&host));
    }
    hold_hint(&host);
    while (host.store->current->base.number == segment + 1)
        write_one(&host, 1, 1);
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
    busy(&host, 1);
    segment = host.store->current->base.number;
    while (host.store->current->base.number == segment)
        write_one(&host, 1, 1);
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
    busy(&host, 40);
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
        write_one(&host, 0, i);
    host_settle(&host);
    install_commit(&host, 0, 3, 60);
    busy(&host, 100);
    for (int i = 0; i < 4; i++) {
        host_close(&host);
        cr_assert_eq(host_open(&host), 0);
        cr_assert_eq(host.parts[0].checkpoint_seen_min, 60, "start %d: applied %lu is read", i,
                     (unsigned long)host.parts[0].checkpoint_seen_min);
        cr_assert_eq(host.parts[0].last, 60);
        cr_assert_eq(host.parts[0].term, 3);
        if (i == 1) /* now a checkpoint has it */
            busy(&host, 20);
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
    write_one(&host, 0, 5);
    write_one(&host, 1, 7); /* stays alive beside it */
    cr_assert(host_sync(&host));
    damage(&host, host.parts[0].log[1].location);
    busy(&host, 100);
    cr_assert(host.parts[0].fenced);
    host_check(&host);
    for (int i = 0; i < 3; i++) {
        expect_short_tail(&host);
        cr_assert_eq(damaged_files(&host), 1);
        host_close(&host);
        cr_assert_eq(host_open(&host), 0);
        cr_assert(host.parts[0].fenced, "start %d", i);
        cr_assert_not(host.parts[1].fenced);
    }
    install(&host, 0, 10);
    expect_short_tail(&host);
    cr_assert_not(host.parts[0].fenced);
    cr_assert_eq(damaged_files(&host), 0);
    cr_assert_eq(host.store->totals.hints_bad, 0);
    cr_assert_eq(store_flush(host.store), 0);
    host_settle(&host);
    cr_assert_gt(host.store->segments.items[0]->base.number, 1, "it has gone");
    store_check(host.store);
    host_stop(&host);
}

static struct vfs_file *broken; /* the disk gives nothing of it */
static const char *broken_path; /* nor of what is there, until it is written anew */
static const struct vfs_ops *ops_whole;

static int64_t pread_broken(struct vfs_file *file, void *buffer, size_t size, uint64_t offset)
{
    return file == broken ? -EIO : ops_whole->pread(file, buffer, size, offset);
}

static int open_broken(struct vfs *vfs, const char *path, unsigned flags, struct vfs_file **file)
{
    int r = ops_whole->open(vfs, path, flags, file);

    if (r == 0 && broken == *file) /* the like of it was closed */
        broken = NULL;
    if (r != 0 || !broken_path || strcmp(path, broken_path) != 0)
        return r;
    if (flags & VFS_OPEN_WRITE)
        broken_path = NULL;
    else
        broken = *file;
    return r;
}

static void break_reads(struct host *host)
{
    static struct vfs_ops ops;

    ops_whole = host->vfs->ops;
    ops = *ops_whole;
    ops.pread = pread_broken;
    ops.open = open_broken;
    host->vfs->ops = &ops;
}

Test(store_retire, a_segment_that_the_disk_does_not_give_holds_up_nothing)
{
    struct host host;

    start(&host);
    write_one(&host, 0, 5);
    write_one(&host, 1, 7); /* stays alive beside it */
    cr_assert(host_sync(&host));
    break_reads(&host);
    broken = host.store->current->base.file;
    busy(&host, 100);
    expect_short_tail(&host);
    cr_assert_not(host.parts[0].fenced, "the disk may give it to the next who asks");
    cr_assert_eq(host.store->segments.items[0]->base.number, 1);
    cr_assert_eq(store_flush(host.store), 0);
    busy(&host, 20);
    cr_assert_geq(host.store->casks.count, 1, "what lies elsewhere is flushed");
    broken = NULL;
    cr_assert_eq(store_scrub(host.store), 0);
    host_settle(&host);
    cr_assert_eq(store_flush(host.store), 0);
    host_settle(&host);
    cr_assert_gt(host.store->segments.items[0]->base.number, 1, "it has gone");
    store_check(host.store);
    host_check(&host);
    host_stop(&host);
}

/* Until there is one, durably. Its number. */
static uint64_t retire_one(struct host *host)
{
    const struct manifest *manifest = &host->store->manifest;

    host_settle(host);
    for (uint32_t i = 0; host->store->segments.items[0]->state != JOURNAL_SEGMENT_RETIRED ||
                         manifest->edits_durable < manifest->edits;
         i++) {
        struct store_job *job = store_next_job(host->store, STORE_JOB_BACKGROUND, host->now_ms++);

        cr_assert_lt(i, 1000);
        if (host_append_next(host, 0, i % HOST_KEYS) == 0) {
            host_commit(host, 0, host->parts[0].last);
            host_retain(host, 0, host->parts[0].applied + 1);
        }
        cr_assert(host_sync(host));
        if (job)
            cr_assert_eq(store_done(host->store, job, store_job_run(job)), 0);
    }
    return host->store->segments.items[0]->base.number;
}

Test(store_retire, a_hint_that_the_disk_does_not_give_is_made_again)
{
    char path[FILENAME_PATH_SIZE];
    struct host host;
    uint64_t number;

    start(&host);
    number = retire_one(&host);
    cr_assert_eq(filename_journal_hint(path, host.options.folder, number), 0);
    break_reads(&host);
    broken_path = path;
    host_reopen_and_compare(&host);
    cr_assert_null(broken_path, "a start made it");
    cr_assert_eq(host_open(&host), 0);
    broken_path = path;
    cr_assert_eq(store_flush(host.store), 0);
    for (int i = 0; i < 10; i++)
        host_settle(&host);
    cr_assert_null(broken_path, "and flush had it made");
    cr_assert_gt(host.store->segments.items[0]->base.number, number, "it has gone");
    host_stop(&host);
}

Test(store_retire, what_flush_cannot_read_holds_up_no_other_file)
{
    struct store_stats stats;
    struct host host;

    start(&host);
    retire_one(&host);
    break_reads(&host);
    broken = host.store->segments.items[0]->base.file;
    for (int i = 0; i < 20; i++) {
        cr_assert_eq(store_flush(host.store), 0);
        busy(&host, 5);
    }
    store_stats(host.store, &stats);
    cr_assert_gt(stats.flushes_served, 0);
    cr_assert_geq(stats.casks, 1);
    broken = NULL;
    host_check(&host);
    host_stop(&host);
}

/* Who makes the hint of a segment finds all that is damaged in it, not only what comes first: the
 * rest would wait until that is repaired, and be one more copy that rots. */
Test(store_retire, all_damage_of_a_segment_is_found_at_once)
{
    struct host host;

    start_with(&host, 0);
    for (uint16_t partition = 0; partition < HOST_PARTITIONS; partition++)
        write_one(&host, partition, 5);
    cr_assert(host_sync(&host));
    damage(&host, host.parts[0].log[1].location);
    damage(&host, host.parts[2].log[1].location);
    damage(&host, host.parts[3].log[1].location);
    for (uint32_t i = 0; i < 200 && !host.parts[0].fenced; i++) {
        write_one(&host, 1, i % 3);
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

    start_with(&host, 0);
    for (uint16_t partition = 0; partition < HOST_PARTITIONS; partition++)
        write_one(&host, partition, 5);
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

    start_with(&host, 0);
    write_one(&host, 0, 5);
    write_one(&host, 1, 7); /* stays alive beside it */
    cr_assert(host_sync(&host));
    damage(&host, host.parts[0].log[1].location);
    cr_assert_eq(host_background(&host), 0); /* prepares the next segment */
    segment = host.store->current->base.number;
    while (host.store->current->base.number == segment)
        write_one(&host, 1, 1);
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
        busy(host, 10);
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
    busy(&host, 100);
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
