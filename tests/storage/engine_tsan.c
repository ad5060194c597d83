/* The engine under many threads, for ThreadSanitizer: writers, readers, cursors, flush, both ways
 * to sync, values as they are and compressed. Prints one line and ends with 0 when every thread saw
 * what it should. */
#include "storage/engine.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "storage/vfs.h"

#define THREADS 6u
#define KEYS    50u /* of each writer */
#define ROUNDS  12u

struct thread {
    struct engine *engine;
    uint32_t number;
    pthread_t id;
};

static void expect(int ok, const char *what)
{
    if (ok)
        return;
    fprintf(stderr, "engine_tsan: %s\n", what);
    exit(1);
}

static void write_keys(struct thread *thread)
{
    struct engine_value value = {0};
    uint8_t bytes[500] = {0};

    for (uint32_t i = 0; i < KEYS * ROUNDS; i++) {
        uint32_t key = thread->number * KEYS + i % KEYS;
        struct engine_op ops[2] = {{&key, sizeof key, bytes, sizeof bytes},
                                   {"shared", 6, bytes, sizeof bytes}};

        memcpy(bytes, &i, sizeof i);
        expect(engine_batch(thread->engine, ops, 2) == 0, "batch");
        expect(engine_get(thread->engine, &key, sizeof key, &value) == 0, "get");
        expect(memcmp(value.bytes, &i, sizeof i) == 0, "a thread does not see its own write");
        if (i % 9 == 0)
            expect(engine_delete(thread->engine, "shared", 6) == 0, "delete");
    }
    engine_value_deinit(&value);
}

/* Every key once a scan, in order. */
static void scan_keys(struct thread *thread)
{
    for (uint32_t i = 0; i < ROUNDS; i++) {
        struct engine_cursor *cursor;
        struct engine_item item;
        struct engine_stats stats;
        char last[8] = "";
        size_t last_size = 0;

        expect(engine_scan(thread->engine, NULL, &cursor) == 0, "scan");
        while (engine_cursor_next(cursor, &item) == 0) {
            size_t size = item.key_size < last_size ? item.key_size : last_size;

            expect(last_size == 0 || memcmp(last, item.key, size) < 0 || last_size < item.key_size,
                   "order");
            memcpy(last, item.key, item.key_size);
            last_size = item.key_size;
        }
        engine_cursor_close(cursor);
        engine_stats(thread->engine, &stats);
        if (i % 4 == 0)
            expect(engine_flush(thread->engine) == 0, "flush");
        else
            expect(engine_flush_queue(thread->engine) == 0, "flush_queue");
    }
}

static void *thread_main(void *argument)
{
    struct thread *thread = argument;

    if (thread->number < THREADS - 2)
        write_keys(thread);
    else
        scan_keys(thread);
    return NULL;
}

static void life(struct vfs *vfs, enum engine_sync sync, int compress_level)
{
    struct engine_options options = {.vfs = vfs,
                                     .sync = sync,
                                     .ordered = true,
                                     .segment_size = 64u << 10,
                                     .compress_level = compress_level};
    struct thread threads[THREADS];
    struct engine *engine;

    expect(engine_open(&engine, "memory", &options) == 0, "open");
    for (uint32_t i = 0; i < THREADS; i++) {
        threads[i] = (struct thread){.engine = engine, .number = i};
        expect(pthread_create(&threads[i].id, NULL, thread_main, &threads[i]) == 0, "thread");
    }
    for (uint32_t i = 0; i < THREADS; i++)
        pthread_join(threads[i].id, NULL);
    expect(engine_close(engine) == 0, "close");
}

int main(void)
{
    struct vfs *vfs = vfs_mem_new();

    life(vfs, ENGINE_SYNC_GROUP, 0);
    life(vfs, ENGINE_SYNC_NONE, 0);
    life(vfs, ENGINE_SYNC_GROUP, 1);
    vfs_mem_free(vfs);
    printf("# %u threads, two ways to sync, plain and compressed\n", THREADS);
    return 0;
}
