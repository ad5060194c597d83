/* engine_flush(): what it waits for, and that it ends. */
#include "storage/engine.h"
#include "storage/filename.h"
#include "storage/vfs.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#define FLUSHES 6

static struct {
    struct vfs_ops ops;
    const struct vfs_ops *inner;
    atomic_bool failing;
} disk;

static void put(struct engine *engine, uint32_t key, uint32_t number)
{
    uint32_t value[250] = {number};

    cr_assert_eq(engine_put(engine, &key, sizeof key, value, sizeof value), 0);
}

static int oldest_visit(void *context, const char *name)
{
    uint64_t number, *oldest = context;

    if (filename_is_journal(name, &number) && number < *oldest)
        *oldest = number;
    return 0;
}

static uint64_t oldest_segment(struct vfs *vfs)
{
    uint64_t oldest = UINT64_MAX;

    cr_assert_eq(vfs_list(vfs, "shard-00", oldest_visit, &oldest), 0);
    return oldest;
}

static void open_file(enum engine_sync sync)
{
    struct vfs *vfs = vfs_mem_new();
    struct engine_options options = {
        .vfs = vfs, .sync = sync, .segment_size = 1u << 20, .flush_rate = 1};
    struct engine_value value = {0};
    struct engine_stats stats;
    struct engine *engine;
    uint32_t key = 3;

    cr_assert_eq(engine_open(&engine, "memory", &options), 0);
    for (uint32_t round = 0; round < 3; round++) {
        uint64_t before = oldest_segment(vfs);

        for (uint32_t i = 0; i < 60; i++)
            put(engine, i % 6, round * 60 + i);
        cr_assert_eq(engine_flush(engine), 0);
        cr_assert_gt(oldest_segment(vfs), before, "round %u: it is there", round);
        engine_stats(engine, &stats);
        cr_assert_eq(stats.casks, 1);
        cr_assert_eq(engine_get(engine, &key, sizeof key, &value), 0);
        cr_assert_eq(memcmp(value.bytes, &(uint32_t){round * 60 + 57}, 4), 0);
    }
    engine_value_deinit(&value);
    cr_assert_eq(engine_close(engine), 0);
    vfs_mem_free(vfs);
}

Test(engine_flush, what_is_dead_in_the_open_file_is_gone_when_it_returns, .timeout = 30)
{
    open_file(ENGINE_SYNC_GROUP);
}

Test(engine_flush, what_is_only_in_memory_is_flushed_too, .timeout = 30)
{
    open_file(ENGINE_SYNC_NONE);
}

Test(engine_flush, of_what_is_all_alive_nothing_is_moved_twice, .timeout = 30)
{
    struct vfs *vfs = vfs_mem_new();
    struct engine_options options = {.vfs = vfs, .segment_size = 1u << 20};
    struct engine *engine;
    uint64_t segment;

    cr_assert_eq(engine_open(&engine, "memory", &options), 0);
    for (uint32_t i = 0; i < 60; i++)
        put(engine, i % 6, i);
    cr_assert_eq(engine_flush(engine), 0);
    segment = oldest_segment(vfs);
    for (int i = 0; i < 3; i++)
        cr_assert_eq(engine_flush(engine), 0);
    cr_assert_eq(oldest_segment(vfs), segment);
    cr_assert_eq(engine_close(engine), 0);
    vfs_mem_free(vfs);
}

/* --- others at the same time --------------------------------------------------------------- */

static atomic_bool over;

static void *write_on(void *argument)
{
    for (uint32_t i = 0; !atomic_load(&over); i++)
        put(argument, i % 50, i);
    return NULL;
}

static void *flush_on(void *argument)
{
    for (int i = 0; i < FLUSHES; i++)
        cr_assert_eq(engine_flush(argument), 0);
    return NULL;
}

Test(engine_flush, it_ends_while_others_write_and_flush, .timeout = 60)
{
    struct vfs *vfs = vfs_mem_new();
    struct engine_options options = {.vfs = vfs, .segment_size = 64u << 10};
    pthread_t writers[2], flushers[3];
    struct engine *engine;

    cr_assert_eq(engine_open(&engine, "memory", &options), 0);
    for (int i = 0; i < 2; i++)
        cr_assert_eq(pthread_create(&writers[i], NULL, write_on, engine), 0);
    for (int i = 0; i < 3; i++)
        cr_assert_eq(pthread_create(&flushers[i], NULL, flush_on, engine), 0);
    for (int i = 0; i < 3; i++)
        pthread_join(flushers[i], NULL);
    atomic_store(&over, true);
    for (int i = 0; i < 2; i++)
        pthread_join(writers[i], NULL);
    cr_assert_eq(engine_close(engine), 0);
    vfs_mem_free(vfs);
}

/* --- failure ------------------------------------------------------------------------------- */

static int failing_sync(struct vfs_file *file)
{
    return atomic_load(&disk.failing) ? -EIO : disk.inner->sync(file);
}

Test(engine_flush, a_disk_that_fails_is_reported, .timeout = 30)
{
    struct vfs *vfs = vfs_mem_new();
    struct engine_options options = {.vfs = vfs, .segment_size = 64u << 10, .flush_rate = 1};
    struct engine *engine;

    disk.inner = vfs->ops;
    disk.ops = *vfs->ops;
    disk.ops.sync = failing_sync;
    vfs->ops = &disk.ops;
    cr_assert_eq(engine_open(&engine, "memory", &options), 0);
    for (uint32_t i = 0; i < 200; i++)
        put(engine, i % 6, i);
    atomic_store(&disk.failing, true);
    cr_assert_neq(engine_flush(engine), 0);
    engine_close(engine);
    vfs_mem_free(vfs);
}
