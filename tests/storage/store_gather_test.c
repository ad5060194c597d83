#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "storage/store_gather.h"
#include "store_host.h"

#define PARTITION 1u
#define OLD       8u /* entries of each partition that are in files only */

struct scene {
    struct host host;
    struct store_gather gather;
    struct store_gather_item items[2 * OLD];
    uint8_t out[64 << 10];
    int context;
};

/* The first and the last OLD entries of the partition: those on disk, these in memory. */
static void scene_start(struct scene *scene)
{
    const struct host_partition *part = &scene->host.parts[PARTITION];

    memset(scene, 0, sizeof *scene);
    host_start(&scene->host);
    host_fill(&scene->host, 400);
    cr_assert(host_sync(&scene->host));
    host_fill(&scene->host, OLD);
    host_commit_all(&scene->host);
    for (uint32_t i = 0; i < 2 * OLD; i++) {
        uint64_t index = i < OLD ? i + 1 : part->last - 2 * OLD + 1 + i;

        scene->items[i].location = part->log[index].location;
        scene->items[i].size_max = part->log[index].size + 160; /* as a size class has it */
    }
    scene->gather = (struct store_gather){.partition = PARTITION,
                                          .index_max = UINT64_MAX,
                                          .items = scene->items,
                                          .count = 2 * OLD,
                                          .out = scene->out};
}

/* What is there has these indexes and nothing besides. */
static void expect(const struct scene *scene, uint64_t first, uint64_t last, uint64_t first_behind)
{
    const struct host_partition *part = &scene->host.parts[PARTITION];
    uint64_t seen[2 * OLD] = {0};
    uint32_t count = 0;

    cr_assert_not(scene->gather.damaged);
    for (size_t at = 0; at < scene->gather.size; count++) {
        struct record record;

        cr_assert_lt(count, 2 * OLD);
        cr_assert_eq(record_decode(scene->out + at, scene->gather.size - at, &record), 0);
        cr_assert_eq(record.partition, PARTITION);
        cr_assert((record.index >= first && record.index <= last) || record.index >= first_behind);
        cr_assert_leq(record.index, part->last);
        for (uint32_t i = 0; i < count; i++)
            cr_assert_neq(seen[i], record.index);
        seen[count] = record.index;
        at += record_size_padded(&record);
    }
    cr_assert_eq(count, (last >= first ? last - first + 1 : 0) +
                            (first_behind <= part->last ? part->last - first_behind + 1 : 0));
}

static struct store_job *begin(struct scene *scene)
{
    struct store_job *job = NULL;

    cr_assert_eq(store_gather(scene->host.store, &scene->gather, &scene->context, &job),
                 STORE_E_AGAIN);
    cr_assert_eq(store_job_class(job), STORE_JOB_READ);
    return job;
}

Test(store_gather, what_is_in_memory_and_what_is_on_disk_come_together_without_gaps)
{
    static struct scene scene;
    struct store_job *job;
    const uint8_t *bytes;
    size_t size;

    scene_start(&scene);
    job = begin(&scene);
    cr_assert_eq(store_job_run(job), 0);
    cr_assert_eq(store_read_result(job, &bytes, &size), (void *)&scene.context);
    cr_assert_eq(bytes, scene.out);
    cr_assert_eq(size, scene.gather.size);
    cr_assert_eq(store_done(scene.host.store, job, 0), 0);
    expect(&scene, 1, OLD, scene.host.parts[PARTITION].last - OLD + 1);
    host_stop(&scene.host);
}

Test(store_gather, what_is_all_in_memory_takes_no_job)
{
    static struct scene scene;
    struct store_job *job = NULL;

    scene_start(&scene);
    scene.gather.items += OLD;
    scene.gather.count = OLD;
    cr_assert_eq(store_gather(scene.host.store, &scene.gather, &scene.context, &job), 0);
    cr_assert_null(job);
    expect(&scene, 1, 0, scene.host.parts[PARTITION].last - OLD + 1);
    host_stop(&scene.host);
}

Test(store_gather, what_is_newer_is_left_out)
{
    static struct scene scene;
    struct store_job *job;

    scene_start(&scene);
    scene.gather.index_max = 3;
    job = begin(&scene);
    cr_assert_eq(store_job_run(job), 0);
    cr_assert_eq(store_done(scene.host.store, job, 0), 0);
    expect(&scene, 1, 3, UINT64_MAX);
    host_stop(&scene.host);
}

Test(store_gather, bytes_that_are_no_record_or_of_another_partition_are_told)
{
    static struct scene scene;
    struct store_job *job;

    scene_start(&scene);
    scene.items[2].location++;
    job = begin(&scene);
    cr_assert_eq(store_job_run(job), 0);
    cr_assert_eq(store_done(scene.host.store, job, 0), 0);
    cr_assert(scene.gather.damaged);
    scene.items[2].location--;
    scene.items[2].location = scene.host.parts[PARTITION + 1].log[1].location;
    job = begin(&scene);
    cr_assert_eq(store_job_run(job), 0);
    cr_assert_eq(store_done(scene.host.store, job, 0), 0);
    cr_assert(scene.gather.damaged);
    host_stop(&scene.host);
}

Test(store_gather, a_read_that_fails_is_told)
{
    static struct scene scene;
    struct store_job *job;

    scene_start(&scene);
    job = begin(&scene);
    vfs_mem_fail_after(scene.host.vfs, 2, EIO);
    cr_assert_eq(store_job_run(job), -EIO);
    cr_assert_eq(store_done(scene.host.store, job, -EIO), 0);
    host_stop(&scene.host);
}

Test(store_gather, without_memory_nothing_happens)
{
    static struct scene scene;
    struct store_job *job = NULL;

    scene_start(&scene);
    alloc_fail_after(1);
    cr_assert_eq(store_gather(scene.host.store, &scene.gather, &scene.context, &job), -ENOMEM);
    cr_assert(alloc_failed());
    cr_assert_eq(store_job_run(job = begin(&scene)), 0);
    cr_assert_eq(store_done(scene.host.store, job, 0), 0);
    expect(&scene, 1, OLD, scene.host.parts[PARTITION].last - OLD + 1);
    host_stop(&scene.host);
}

Test(store_gather, the_files_stay_until_it_is_over)
{
    static struct scene scene;
    struct store_stats stats;
    struct store_job *job;
    uint64_t dropped;

    scene_start(&scene);
    job = begin(&scene);
    /* Everything of that time dies; the pinned segments' drops are durable but the files stay. */
    for (int i = 0; i < 6; i++) {
        host_fill(&scene.host, 300);
        host_commit_all(&scene.host);
        host_retain_none(&scene.host);
        host_settle(&scene.host);
    }
    store_stats(scene.host.store, &stats);
    dropped = stats.segments_dropped;
    cr_assert_gt(dropped, 0, "nothing else was dropped");
    cr_assert_eq(store_job_run(job), 0);
    cr_assert_not(scene.gather.damaged);
    cr_assert_eq(store_done(scene.host.store, job, 0), 0);
    host_settle(&scene.host);
    store_stats(scene.host.store, &stats);
    cr_assert_gt(stats.segments_dropped, dropped, "the pins held something back");
    host_stop(&scene.host);
}
