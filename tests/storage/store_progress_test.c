#include "store_bench.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "storage/filename.h"
#include "storage/manifest.h"
#include "storage/mutant.h"
#include "storage/survey.h"
#include "vfs_crash.h"

/* A snapshot that comes in goes on behind a restart with what was on the disk by then. Positions
 * are numbers of keys: all before it are there. */

#define MANIFEST_PATH "shard-00/MANIFEST"

static struct store_install *start(struct bench *bench, uint64_t applied)
{
    const struct store_checkpoint checkpoint = bench_checkpoint(applied);
    struct store_install *install;

    cr_assert_eq(store_install_begin(bench->store, PARTITION, &checkpoint, &install), 0);
    return install;
}

/* Keys from … to, and the jobs they give. False: the power is off. */
static bool add(struct bench *bench, struct store_install *install, uint32_t from, uint32_t to)
{
    struct keydir_digest digests[KEYS];
    uint8_t bytes[8192];

    for (uint32_t i = from; i < to; i += PIECE_KEYS) {
        uint32_t end = i + PIECE_KEYS < to ? i + PIECE_KEYS : to;
        size_t size = bench_piece(bytes, digests, i, end, "new", 50);

        if (store_install_add(install, bytes, size, digests, end - i, end) != 0 ||
            !bench_work(bench))
            return false;
    }
    return true;
}

/* The process ends, or the power goes, and the store is opened again. */
static void reopen(struct bench *bench, bool power)
{
    struct vfs *vfs = bench->vfs;

    store_close(bench->store);
    if (power)
        vfs_crash_restart(vfs);
    else
        vfs_crash_resume(vfs);
    cr_assert_eq(bench_open(bench, vfs), 0);
    cr_assert_not(bench->fenced);
    store_check(bench->store);
}

/* What waits, and its position; NULL: nothing does. */
static struct store_install *resume(struct bench *bench, uint64_t applied, uint64_t *position)
{
    struct store_checkpoint checkpoint;
    struct store_install *install = NULL;

    *position = 0;
    if (store_install_resume(bench->store, PARTITION, &install, &checkpoint, position) != 0)
        return NULL;
    cr_assert(checkpoint.applied == applied && checkpoint.term == 2 && checkpoint.vote == 1);
    cr_assert(checkpoint.state_size == 1 && checkpoint.state[0] == 'n');
    cr_assert_gt(*position, 0);
    return install;
}

static void expect_nothing(struct bench *bench)
{
    struct store_stats stats;
    uint64_t position;

    cr_assert_null(resume(bench, 100, &position));
    cr_assert(bench_work(bench));
    store_stats(bench->store, &stats);
    cr_assert_eq(stats.casks, 0);
}

static void go_on(struct bench *bench, struct store_install *install, uint64_t position)
{
    cr_assert(add(bench, install, (uint32_t)position, KEYS));
    cr_assert_eq(bench_commit(bench, install, 100), STORE_INSTALL_DONE);
    bench_expect(bench, 0, KEYS, "new");
}

static int count_file(void *context, const char *name)
{
    uint16_t partition;
    uint64_t number;

    if (filename_is_cask(name, &partition, &number) ||
        filename_is_cask_hint(name, &partition, &number))
        ++*(size_t *)context;
    return 0;
}

/* Casks and their hints on the disk. */
static size_t files(const struct bench *bench)
{
    size_t count = 0;

    cr_assert_eq(vfs_list(bench->vfs, "shard-00", count_file, &count), 0);
    return count;
}

Test(store_progress, what_has_arrived_is_gone_on_with_behind_a_restart)
{
    struct store_install *install;
    struct bench bench;
    uint64_t position;

    bench_begin(&bench, 1);
    cr_assert(add(&bench, start(&bench, 100), 0, 28));
    bench_expect(&bench, 0, 20, "old");
    reopen(&bench, true);
    bench_expect(&bench, 0, 20, "old");
    install = resume(&bench, 100, &position);
    cr_assert_eq(position, 21, "the last piece was in memory");
    cr_assert(add(&bench, install, 21, 35));
    reopen(&bench, true);
    bench_expect(&bench, 0, 20, "old");
    install = resume(&bench, 100, &position);
    cr_assert_eq(position, 28, "and so it was at the second time");
    go_on(&bench, install, position);
    reopen(&bench, true);
    bench_expect(&bench, 0, KEYS, "new");
    cr_assert_null(resume(&bench, 100, &position), "it is over");
    bench_end(&bench);
}

/* Every call that changes a disk is once the last one, and the power goes or only the process ends.
 * What is there is gone on with, or it is begun again: all of it arrives. With mutants compiled in,
 * STORE_PROGRESS_MUTANT=46 must fail. */
Test(store_progress, a_crash_at_any_write_loses_what_was_in_memory_at_most, .timeout = 300)
{
    uint32_t resumed = 0, done = 0;

#ifdef RINGCASK_MUTANTS
    mutant_current = getenv("STORE_PROGRESS_MUTANT") ? atoi(getenv("STORE_PROGRESS_MUTANT")) : 0;
#endif
    for (uint64_t n = 1;; n++) {
        struct store_install *install;
        struct bench bench;
        uint64_t position;
        uint32_t added = 0;
        bool cut;

        bench_begin(&bench, n);
        vfs_crash_cut_after(bench.vfs, n);
        install = start(&bench, 100);
        while (added < KEYS &&
               add(&bench, install, added, added + PIECE_KEYS < KEYS ? added + PIECE_KEYS : KEYS))
            added += PIECE_KEYS;
        if (!bench.failed)
            (void)bench_commit(&bench, install, 100);
        cut = vfs_crash_is_cut(bench.vfs);
        vfs_crash_cut_after(bench.vfs, 0);
        reopen(&bench, n % 2);
        install = resume(&bench, 100, &position);
        cr_assert(position + 2 * PIECE_KEYS >= added || bench.state == 'n', "cut %llu: %llu of %u",
                  (unsigned long long)n, (unsigned long long)position, added);
        resumed += install != NULL;
        done += bench.state == 'n';
        bench_expect(&bench, 0, bench.state == 'n' ? KEYS : 20, bench.state == 'n' ? "new" : "old");
        if (bench.state == 'o')
            go_on(&bench, install ? install : start(&bench, 100), position);
        else
            cr_assert_null(install);
        bench_end(&bench);
        if (!cut)
            break;
    }
    cr_assert_gt(resumed, 10);
    cr_assert_gt(done, 0);
}

Test(store_progress, one_that_is_given_up_or_replaced_does_not_come_back)
{
    struct store_install *install;
    struct bench bench;
    uint64_t position;

    bench_begin(&bench, 1);
    install = start(&bench, 90);
    cr_assert(add(&bench, install, 0, 28));
    store_install_end(install);
    cr_assert(bench_work(&bench));
    cr_assert_eq(files(&bench), 0, "its room is given back");
    install = start(&bench, 100);
    cr_assert(add(&bench, install, 0, 14));
    reopen(&bench, true);
    install = resume(&bench, 100, &position);
    cr_assert_eq(position, 7);
    store_install_end(install);
    cr_assert(bench_work(&bench));
    cr_assert_eq(files(&bench), 0);
    reopen(&bench, true);
    expect_nothing(&bench);
    bench_expect(&bench, 0, 20, "old");
    bench_end(&bench);
}

Test(store_progress, one_that_nobody_takes_up_makes_room_for_another)
{
    const struct store_checkpoint checkpoint = bench_checkpoint(100);
    struct store_install *install;
    struct bench bench;
    uint64_t position;

    bench_begin(&bench, 1);
    cr_assert(add(&bench, start(&bench, 90), 0, 28));
    reopen(&bench, false);
    cr_assert_eq(store_install_begin(bench.store, PARTITION, &checkpoint, &install), STORE_E_FULL);
    cr_assert_null(resume(&bench, 90, &position), "it is given up");
    cr_assert(bench_work(&bench));
    cr_assert_eq(files(&bench), 0);
    go_on(&bench, start(&bench, 100), 0);
    bench_end(&bench);
}

/* Its files are damaged while nothing runs: it is forgotten, and nothing else is harmed. */
static void judge_damage(void (*damage)(struct bench *bench), uint64_t position_left)
{
    struct store_install *install;
    struct bench bench;
    uint64_t position;

    bench_begin(&bench, 1);
    cr_assert(add(&bench, start(&bench, 100), 0, 28));
    damage(&bench);
    reopen(&bench, true);
    bench_expect(&bench, 0, 20, "old");
    install = resume(&bench, 100, &position);
    cr_assert_eq(position, position_left);
    cr_assert(bench_work(&bench));
    cr_assert_eq(files(&bench), 2 * position / PIECE_KEYS);
    go_on(&bench, install ? install : start(&bench, 100), position);
    reopen(&bench, true);
    bench_expect(&bench, 0, KEYS, "new");
    bench_end(&bench);
}

static void lose_cask(struct bench *bench)
{
    char path[FILENAME_PATH_SIZE];

    cr_assert_eq(filename_cask(path, "shard-00", PARTITION, 2), 0);
    cr_assert_eq(vfs_remove(bench->vfs, path), 0);
    cr_assert_eq(vfs_sync_dir(bench->vfs, "shard-00"), 0);
}

static void flip_hint(struct bench *bench)
{
    char path[FILENAME_PATH_SIZE];
    uint64_t size;

    cr_assert_eq(filename_cask_hint(path, "shard-00", PARTITION, 2), 0);
    cr_assert(vfs_crash_bytes(bench->vfs, path, &size));
    vfs_crash_flip(bench->vfs, path, size / 2, 3);
}

/* The newest edit is that of the newest cask: it looks like one that was torn. */
static void flip_edit(struct bench *bench)
{
    uint64_t size, at = MANIFEST_HEADER_SIZE, last = 0;
    const uint8_t *bytes = vfs_crash_bytes(bench->vfs, MANIFEST_PATH, &size);
    struct manifest_group group;

    cr_assert(bytes);
    while (manifest_group_decode(bytes + at, (size_t)(size - at), &group) == 0) {
        last = at;
        at += group.size;
    }
    vfs_crash_flip(bench->vfs, MANIFEST_PATH, last + MANIFEST_GROUP_HEAD_SIZE + 20, 1);
}

Test(store_progress, a_cask_that_is_lost_begins_it_again)
{
    judge_damage(lose_cask, 0);
}

Test(store_progress, a_hint_that_does_not_check_begins_it_again)
{
    judge_damage(flip_hint, 0);
}

Test(store_progress, an_edit_that_does_not_check_goes_back_to_the_one_before)
{
    judge_damage(flip_edit, 14);
}

static const struct vfs_ops *ops;
static const char *unreadable;
static int reason;

static int open_or_not(struct vfs *vfs, const char *path, unsigned flags, struct vfs_file **file)
{
    return strcmp(path, unreadable) == 0 ? reason : ops->open(vfs, path, flags, file);
}

Test(store_progress, what_cannot_be_read_begins_it_again_whatever_the_reason)
{
    static const int reasons[] = {-EIO, -EMFILE, -ENFILE, -EACCES};
    struct vfs_ops failing;
    char paths[2][FILENAME_PATH_SIZE];

    cr_assert_eq(filename_cask(paths[0], "shard-00", PARTITION, 2), 0);
    cr_assert_eq(filename_cask_hint(paths[1], "shard-00", PARTITION, 2), 0);
    for (size_t i = 0; i < 8; i++) {
        struct bench bench;

        unreadable = paths[i % 2];
        reason = reasons[i / 2];
        bench_begin(&bench, 1);
        cr_assert(add(&bench, start(&bench, 100), 0, 28));
        ops = bench.vfs->ops;
        failing = *ops;
        failing.open = open_or_not;
        bench.vfs->ops = &failing;
        reopen(&bench, true);
        bench.vfs->ops = ops;
        bench_expect(&bench, 0, 20, "old");
        expect_nothing(&bench);
        cr_assert_eq(files(&bench), 0, "its room is given back");
        go_on(&bench, start(&bench, 100), 0);
        bench_end(&bench);
    }
}

Test(store_progress, ends_with_the_partition)
{
    for (int waits = 0; waits < 2; waits++) {
        struct store_install *install;
        struct bench bench;
        const uint16_t *partitions;
        uint64_t position;

        bench_begin(&bench, 1);
        install = start(&bench, 100);
        cr_assert(add(&bench, install, 0, 28));
        if (waits)
            reopen(&bench, true);
        while (store_unhost(bench.store, PARTITION, 1) == STORE_E_AGAIN)
            cr_assert(bench_work(&bench));
        if (!waits) {
            cr_assert_eq(store_install_state(install), STORE_INSTALL_FAILED);
            store_install_end(install);
        }
        cr_assert(bench_work(&bench));
        cr_assert_eq(files(&bench), 0);
        store_close(bench.store);
        vfs_crash_restart(bench.vfs);
        cr_assert_eq(bench_open(&bench, bench.vfs), 0);
        cr_assert_eq(store_partitions(bench.store, &partitions), 1);
        cr_assert_null(resume(&bench, 100, &position));
        bench_end(&bench);
    }
}

Test(store_progress, flush_and_scrub_leave_it_alone)
{
    struct store_install *install;
    struct store_stats stats;
    struct bench bench;
    uint64_t position;

    bench_begin(&bench, 1);
    cr_assert(add(&bench, start(&bench, 100), 0, 28));
    reopen(&bench, true);
    for (int i = 0; i < 3; i++) {
        bench_append(&bench, 3, "old", false);
        cr_assert_eq(store_flush(bench.store), 0);
        cr_assert_eq(store_scrub(bench.store), 0);
        cr_assert(bench_work(&bench));
    }
    store_stats(bench.store, &stats);
    cr_assert(stats.scrub.passes > 0 && stats.scrub.faults == 0 && !stats.flush_demanded);
    bench_expect(&bench, 0, 20, "old");
    install = resume(&bench, 100, &position);
    cr_assert_eq(position, 21);
    go_on(&bench, install, position);
    bench_end(&bench);
}

Test(store_progress, is_shown_as_what_does_not_count_yet)
{
    struct survey survey;
    struct bench bench;
    size_t casks = 0;

    bench_begin(&bench, 1);
    cr_assert(add(&bench, start(&bench, 100), 0, 28));
    cr_assert_eq(survey_shard(&survey, bench.vfs, "shard-00", bench_digest, NULL), 0);
    cr_assert_not(survey_is_damaged(&survey));
    for (size_t i = 0; i < survey.file_count; i++) {
        const struct survey_file *file = &survey.files[i];

        cr_assert_neq(file->state, SURVEY_UNLISTED, "%s", file->name);
        if (file->kind != SURVEY_CASK)
            continue;
        casks++;
        cr_assert(file->arriving && file->records == PIECE_KEYS && file->live_records == 0);
    }
    cr_assert_eq(casks, 3);
    survey_deinit(&survey);
    bench_end(&bench);
}
