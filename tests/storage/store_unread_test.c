/* What the disk does not give is no damage, and holds up nothing else. */
#include <criterion/criterion.h>
#include <string.h>

#include "storage/filename.h"
#include "storage/store_state.h"
#include "store_busy.h"

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

Test(store_unread, a_segment_that_the_disk_does_not_give_holds_up_nothing)
{
    struct host host;

    busy_start(&host, 1u << 20);
    busy_write(&host, 0, 5);
    busy_write(&host, 1, 7); /* stays alive beside it */
    cr_assert(host_sync(&host));
    break_reads(&host);
    broken = host.store->current->base.file;
    busy_run(&host, 100);
    busy_expect_short(&host);
    cr_assert_not(host.parts[0].fenced, "the disk may give it to the next who asks");
    cr_assert_eq(host.store->segments.items[0]->base.number, 1);
    cr_assert_eq(store_flush(host.store), 0);
    busy_run(&host, 20);
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

Test(store_unread, a_hint_that_the_disk_does_not_give_is_made_again)
{
    char path[FILENAME_PATH_SIZE];
    struct host host;
    uint64_t number;

    busy_start(&host, 1u << 20);
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

Test(store_unread, what_flush_cannot_read_holds_up_no_other_file)
{
    struct store_stats stats;
    struct host host;

    busy_start(&host, 1u << 20);
    retire_one(&host);
    break_reads(&host);
    broken = host.store->segments.items[0]->base.file;
    for (int i = 0; i < 20; i++) {
        cr_assert_eq(store_flush(host.store), 0);
        busy_run(&host, 5);
    }
    store_stats(host.store, &stats);
    cr_assert_gt(stats.flushes_served, 0);
    cr_assert_geq(stats.casks, 1);
    broken = NULL;
    host_check(&host);
    host_stop(&host);
}
