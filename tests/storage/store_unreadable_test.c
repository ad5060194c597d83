/* What the disk does not give when a store is opened is fenced as what is damaged is, nothing is
 * written for it, and it counts again when the disk gives it again. What somebody can set right is
 * no matter of the disk. */
#include <criterion/criterion.h>
#include <string.h>

#include "storage/filename.h"
#include "storage/store_state.h"
#include "store_busy.h"

#define FOLDER   "shard-00"
#define JOURNAL  FOLDER "/journal-0000000001.log"
#define MANIFEST FOLDER "/MANIFEST"

static struct {
    const struct vfs_ops *whole;
    struct vfs_ops ops;
    const char *path;      /* the disk gives nothing of it, */
    bool opens;            /* not its inode either */
    uint64_t from;         /* nothing of it from here on */
    unsigned spared;       /* reads that it still serves */
    int reason;            /* -errno */
    struct vfs_file *file; /* of that path, open */
} disk;

static bool is_broken(const char *path)
{
    return disk.path && strcmp(path, disk.path) == 0;
}

static int broken_open(struct vfs *vfs, const char *path, unsigned flags, struct vfs_file **file)
{
    int r = is_broken(path) && disk.opens ? disk.reason : disk.whole->open(vfs, path, flags, file);

    if (r == 0 && is_broken(path))
        disk.file = *file;
    else if (r == 0 && *file == disk.file)
        disk.file = NULL; /* the like of it was closed */
    return r;
}

static int64_t broken_pread(struct vfs_file *file, void *buffer, size_t size, uint64_t offset)
{
    bool broken = disk.path && file == disk.file && offset + size > disk.from;

    if (broken && disk.spared > 0)
        disk.spared--;
    else if (broken)
        return disk.reason;
    return disk.whole->pread(file, buffer, size, offset);
}

static int broken_list(struct vfs *vfs, const char *path, vfs_list_visit visit, void *context)
{
    return is_broken(path) ? disk.reason : disk.whole->list(vfs, path, visit, context);
}

static int broken_mkdir(struct vfs *vfs, const char *path)
{
    return is_broken(path) && disk.opens ? disk.reason : disk.whole->mkdir(vfs, path);
}

static void disk_take(struct vfs *vfs)
{
    memset(&disk, 0, sizeof disk);
    disk.whole = vfs->ops;
    disk.ops = *vfs->ops;
    disk.ops.open = broken_open;
    disk.ops.pread = broken_pread;
    disk.ops.list = broken_list;
    disk.ops.mkdir = broken_mkdir;
    vfs->ops = &disk.ops;
}

static void expect_lost(struct host *host, const char *path, int reason)
{
    const char *named;
    int error = 0;

    cr_assert_eq(host_open(host), STORE_E_FENCED, "%s: %d", path, host->open_result);
    named = store_unreadable(host->store, &error);
    cr_assert_not_null(named);
    cr_assert_str_eq(named, path);
    cr_assert_eq(error, reason);
    for (size_t i = 0; i < host->store->hosted_count; i++)
        cr_assert_not_null(store_fenced(host->store, host->store->hosted[i]));
    cr_assert_null(store_next_job(host->store, STORE_JOB_WRITE, 1));
    cr_assert_null(store_next_job(host->store, STORE_JOB_BACKGROUND, 1));
    host_close(host);
}

/* A store with something in it, closed, that agrees with `again` when the disk is whole. */
static void make(struct host *host, struct host *again)
{
    host_start(host);
    host_fill(host, 30);
    host_commit_all(host);
    cr_assert(host_sync(host));
    host->now_ms += 200;
    cr_assert(host_sync(host));
    host_init(again, host->vfs);
    again->options = host->options;
    disk_take(host->vfs);
}

static void end(struct host *host, struct host *again)
{
    int error;

    disk.path = NULL;
    cr_assert_eq(host_open(again), 0);
    cr_assert_null(store_unreadable(again->store, &error));
    host_compare(again, host, store_synced(host->store));
    host_deinit(again);
    host_stop(host);
}

Test(store_unreadable, a_manifest_or_log_or_folder_fences_the_shard_and_changes_nothing)
{
    static const int reasons[] = {-EIO, -EUCLEAN, -EBADMSG, -ENODATA};
    static const char *const paths[] = {JOURNAL, MANIFEST, FOLDER};

    for (size_t i = 0; i < 24; i++) {
        struct host host, again;

        make(&host, &again);
        disk.path = paths[i % 3];
        disk.opens = i >= 12;
        disk.from = i % 2 == 0 ? 0 : 512;
        disk.reason = reasons[i / 3 % 4];
        if (i % 3 == 1)
            disk.from = 0;
        expect_lost(&again, paths[i % 3], disk.reason);
        end(&host, &again);
    }
}

Test(store_unreadable, what_can_be_set_right_fences_nothing)
{
    static const int reasons[] = {-EACCES, -EMFILE, -ENFILE, -ENOMEM, -EISDIR, -EROFS, -ESTALE};
    static const char *const paths[] = {JOURNAL, MANIFEST, FOLDER};

    for (size_t i = 0; i < 21; i++) {
        struct host host, again;

        make(&host, &again);
        disk.path = paths[i % 3];
        disk.opens = true;
        disk.reason = reasons[i / 3];
        cr_assert_eq(host_open(&again), disk.reason);
        cr_assert_null(again.store);
        end(&host, &again);
    }
}

/* Were it taken for the end of what was written, the rest would be cut off. */
Test(store_unreadable, no_end_is_read_into_it)
{
    unsigned lost = 0;
    bool whole = false;

    for (unsigned spared = 0; !whole; spared++) {
        struct host host, again;
        int r;

        make(&host, &again);
        disk.path = JOURNAL;
        disk.reason = -EIO;
        disk.spared = spared;
        r = host_open(&again);
        host_close(&again);
        whole = disk.spared > 0; /* it was not asked for more */
        lost += r != 0;
        disk.spared = spared;
        if (r != 0)
            expect_lost(&again, JOURNAL, -EIO);
        end(&host, &again);
    }
    cr_assert_geq(lost, 3, "its head, its batches, and the last write once more");
}

/* A journal that the manifest does not list may show that the manifest has lost its end. */
Test(store_unreadable, a_journal_that_is_not_listed_fences_the_shard)
{
    struct vfs_file *file;
    struct host host, again;

    make(&host, &again);
    disk.path = FOLDER "/journal-0000000077.log";
    disk.reason = -EIO;
    cr_assert_eq(vfs_open(host.vfs, disk.path, VFS_OPEN_WRITE | VFS_OPEN_CREATE, &file), 0);
    vfs_close(file);
    expect_lost(&again, disk.path, -EIO);
    end(&host, &again);
}

/* --- data files ----------------------------------------------------------------------------- */

static void expect_fenced(struct host *host, const char *path, uint16_t partition)
{
    const char *named;
    int error = 0;

    cr_assert_eq(host_open(host), 0);
    named = store_unreadable(host->store, &error);
    cr_assert_not_null(named);
    cr_assert_str_eq(named, path);
    for (uint16_t p = 0; p < HOST_PARTITIONS; p++)
        cr_assert_eq(store_fenced(host->store, p) != NULL,
                     partition == HOST_PARTITIONS || p == partition, "%s, partition %u", path, p);
    host_close(host);
}

/* A cask is there, and closed again. */
static void flush_some(struct host *host)
{
    busy_start(host, 0);
    busy_write(host, 0, 5);
    for (int i = 0; i < 20 && host->store->casks.count == 0; i++) {
        busy_run(host, 20);
        cr_assert_eq(store_flush(host->store), 0);
        host_settle(host);
    }
    cr_assert_gt(host->store->casks.count, 0);
    disk_take(host->vfs);
    disk.reason = -EIO;
}

static void compare_again(struct host *host)
{
    struct host again;

    host_init(&again, host->vfs);
    again.options = host->options;
    end(host, &again);
}

Test(store_unreadable, a_cask_fences_its_partition)
{
    for (int opens = 0; opens < 2; opens++) {
        char path[FILENAME_PATH_SIZE], hint[FILENAME_PATH_SIZE];
        const struct manifest_cask *cask;
        struct host host, again;

        flush_some(&host);
        cask = &host.store->casks.items[0]->info;
        cr_assert_eq(filename_cask(path, FOLDER, cask->partition, cask->number), 0);
        cr_assert_eq(filename_cask_hint(hint, FOLDER, cask->partition, cask->number), 0);
        host_init(&again, host.vfs);
        again.options = host.options;
        disk.path = path;
        disk.opens = opens;
        if (!opens) /* it is read where there is no hint */
            cr_assert_eq(vfs_remove(host.vfs, hint), 0);
        expect_fenced(&again, path, cask->partition);
        host_deinit(&again);
        compare_again(&host);
    }
}

/* Until the oldest segment is no log any more. */
static void retire_one(struct host *host)
{
    const struct manifest *manifest = &host->store->manifest;

    for (uint32_t i = 0; host->store->segments.items[0]->state != JOURNAL_SEGMENT_RETIRED ||
                         manifest->edits_durable < manifest->edits;
         i++) {
        struct store_job *job = store_next_job(host->store, STORE_JOB_BACKGROUND, host->now_ms++);

        cr_assert_lt(i, 1000);
        busy_write(host, 1, i % HOST_KEYS);
        cr_assert(host_sync(host));
        if (job)
            cr_assert_eq(store_done(host->store, job, store_job_run(job)), 0);
    }
}

Test(store_unreadable, a_journal_that_is_no_log_fences_those_that_it_may_hold)
{
    char path[FILENAME_PATH_SIZE], hint[FILENAME_PATH_SIZE];
    struct host host, again;
    uint64_t number;

    busy_start(&host, 0);
    retire_one(&host);
    disk_take(host.vfs);
    disk.reason = -EIO;
    number = host.store->segments.items[0]->base.number;
    cr_assert_eq(filename_journal(path, FOLDER, number), 0);
    cr_assert_eq(filename_journal_hint(hint, FOLDER, number), 0);
    host_init(&again, host.vfs);
    again.options = host.options;
    disk.path = path;
    cr_assert_eq(host_open(&again), 0, "its hint is enough");
    host_close(&again);
    cr_assert_eq(vfs_remove(host.vfs, hint), 0);
    expect_fenced(&again, path, HOST_PARTITIONS);
    host_deinit(&again);
    compare_again(&host);
}

/* A hint is verified before it is merged: that the disk gave it once does not say that it will. */
Test(store_unreadable, a_hint_fences_the_partition_of_which_it_is_merged)
{
    char path[FILENAME_PATH_SIZE];
    const struct manifest_cask *cask;
    struct host host, again;
    bool fenced = false, whole = false;
    const char *named;
    int error;

    flush_some(&host);
    cask = &host.store->casks.items[0]->info;
    cr_assert_eq(filename_cask_hint(path, FOLDER, cask->partition, cask->number), 0);
    for (unsigned spared = 0; !whole; spared++) {
        host_init(&again, host.vfs);
        again.options = host.options;
        disk.path = path;
        disk.spared = spared;
        cr_assert_eq(host_open(&again), 0);
        whole = disk.spared > 0;
        named = store_unreadable(again.store, &error);
        if (named)
            cr_assert_str_eq(named, path);
        cr_assert_eq(named != NULL, store_fenced(again.store, cask->partition) != NULL);
        fenced |= named != NULL;
        host_deinit(&again);
        disk.spared = 0;
    }
    cr_assert(fenced);
    compare_again(&host);
}
