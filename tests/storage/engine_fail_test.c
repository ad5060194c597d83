/* An engine whose background work fails while callers wait for a sync. */
#include "storage/engine.h"
#include "storage/vfs.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#define THREADS 6
#define ROUNDS  30

static struct {
    struct vfs_ops ops;
    const struct vfs_ops *inner;
    atomic_bool failing;
} disk;
static _Thread_local bool is_caller;

/* As long as a sync takes; that of segments made ready ahead takes longer, and fails in the end. */
static int slow_sync(struct vfs_file *file)
{
    usleep(is_caller ? 200 : 3000);
    return !is_caller && atomic_load(&disk.failing) ? -EIO : disk.inner->sync(file);
}

static void *put_until_it_fails(void *argument)
{
    struct engine *engine = argument;
    char value[700] = {1};

    is_caller = true;
    for (uint32_t key = 0; engine_put(engine, &key, sizeof key, value, sizeof value) == 0;)
        key = (key + 1) % 100;
    return NULL;
}

Test(engine_fail, nobody_waits_for_a_sync_that_never_comes, .timeout = 30)
{
    for (int round = 0; round < ROUNDS; round++) {
        struct vfs *vfs = vfs_mem_new();
        struct engine_options options = {
            .vfs = vfs, .segment_size = 64u << 10, .queue_size = 32u << 10};
        struct engine *engine;
        pthread_t threads[THREADS];

        disk.inner = vfs->ops;
        disk.ops = *vfs->ops;
        disk.ops.sync = slow_sync;
        vfs->ops = &disk.ops;
        atomic_store(&disk.failing, false);
        cr_assert_eq(engine_open(&engine, "memory", &options), 0);
        for (int i = 0; i < THREADS; i++)
            cr_assert_eq(pthread_create(&threads[i], NULL, put_until_it_fails, engine), 0);
        usleep(20000 + 1000 * (unsigned)round);
        atomic_store(&disk.failing, true);
        for (int i = 0; i < THREADS; i++)
            pthread_join(threads[i], NULL);
        (void)engine_close(engine);
        vfs_mem_free(vfs);
    }
}
