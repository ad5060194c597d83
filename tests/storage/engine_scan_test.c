#include "storage/engine.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "storage/vfs.h"
#include "ring/mix.h"

#define KEYS 200u

struct model {
    uint64_t values[KEYS]; /* 0: not there */
};

/* Ascending with the number; of many sizes, some the head of others, one with bytes of 0xFF. */
static size_t key_of(uint32_t key, uint8_t *out)
{
    size_t size = (size_t)sprintf((char *)out, "%c%c%02u", 'a' + (int)(key / 50), 'A', key % 50);

    memset(out + size, '~', key % 5);
    if (key == KEYS - 1)
        memset(out, 0xFF, size);
    return size + key % 5;
}

static int compare(const uint8_t *a, size_t a_size, const uint8_t *b, size_t b_size)
{
    int r = memcmp(a, b, a_size < b_size ? a_size : b_size);

    return r != 0 ? r : (a_size > b_size) - (a_size < b_size);
}

static void put(struct engine *engine, struct model *model, uint32_t key, uint64_t number)
{
    uint8_t bytes[64], value[700];

    memset(value, (int)(number % 251), sizeof value);
    memcpy(value, &number, sizeof number);
    cr_assert_eq(engine_put(engine, bytes, key_of(key, bytes), value, 8 + number % 600), 0);
    model->values[key] = number;
}

static void step(struct engine *engine, struct model *model, uint64_t *state)
{
    uint32_t key = (uint32_t)(mix_next(state) % KEYS);
    uint8_t bytes[64];

    if (mix_next(state) % 3) {
        put(engine, model, key, mix_next(state) % 100000 + 1);
        return;
    }
    cr_assert_eq(engine_delete(engine, bytes, key_of(key, bytes)), 0);
    model->values[key] = 0;
}

static bool in_range(const struct engine_range *range, uint32_t key)
{
    uint8_t bytes[64];
    size_t size = key_of(key, bytes);

    if (range->prefix_size > 0)
        return size >= range->prefix_size && memcmp(bytes, range->prefix, range->prefix_size) == 0;
    if (range->from_size > 0 && compare(bytes, size, range->from, range->from_size) < 0)
        return false;
    return range->to_size == 0 || compare(bytes, size, range->to, range->to_size) < 0;
}

/* The cursor gives what the model has in the range, from key `from` on. */
static void check_ordered(struct engine_cursor *cursor, const struct engine_range *range,
                          const struct model *model, uint32_t from)
{
    struct engine_item item;

    for (uint32_t key = from; key < KEYS; key++) {
        uint8_t bytes[64];
        uint64_t number;

        if (model->values[key] == 0 || !in_range(range, key))
            continue;
        cr_assert_eq(engine_cursor_next(cursor, &item), 0, "key %u is missing", key);
        cr_assert_eq(item.key_size, key_of(key, bytes), "key %u expected", key);
        cr_assert_eq(memcmp(item.key, bytes, item.key_size), 0, "key %u expected", key);
        memcpy(&number, item.value, sizeof number);
        cr_assert_eq(number, model->values[key]);
        cr_assert_eq(item.value_size, 8 + number % 600);
    }
    cr_assert_eq(engine_cursor_next(cursor, &item), ENGINE_E_ABSENT);
    cr_assert_eq(engine_cursor_next(cursor, &item), ENGINE_E_ABSENT);
}

/* The same without an order. */
static void check_unordered(struct engine_cursor *cursor, const struct engine_range *range,
                            const struct model *model)
{
    struct engine_item item;
    bool seen[KEYS] = {0};
    int r;

    while ((r = engine_cursor_next(cursor, &item)) == 0) {
        uint32_t key = 0;
        uint8_t bytes[64];
        uint64_t number;

        while (key < KEYS && compare(bytes, key_of(key, bytes), item.key, item.key_size) != 0)
            key++;
        cr_assert_lt(key, KEYS);
        cr_assert_not(seen[key]);
        cr_assert(in_range(range, key));
        seen[key] = true;
        memcpy(&number, item.value, sizeof number);
        cr_assert_eq(number, model->values[key]);
    }
    cr_assert_eq(r, ENGINE_E_ABSENT);
    for (uint32_t key = 0; key < KEYS; key++)
        cr_assert_eq(seen[key], model->values[key] != 0 && in_range(range, key));
}

static struct engine *open_on(struct vfs *vfs, bool ordered, enum engine_sync sync)
{
    struct engine_options options = {.vfs = vfs,
                                     .sync = sync,
                                     .ordered = ordered,
                                     .segment_size = 64u << 10,
                                     .queue_size = 64u << 10,
                                     .memory_size = 4096};
    struct engine *engine;

    cr_assert_eq(engine_open(&engine, "memory", &options), 0);
    return engine;
}

struct bounds {
    uint8_t from[64], to[64];
};

static struct engine_range range_draw(uint64_t *state, struct bounds *bounds)
{
    struct engine_range range = {.from = bounds->from, .to = bounds->to};
    uint8_t *prefix = bounds->from;

    switch (mix_next(state) % 4) {
    case 0:
        range.prefix_size = 1 + mix_next(state) % 3;
        range.prefix_size -= key_of((uint32_t)(mix_next(state) % KEYS), prefix) < range.prefix_size;
        range.prefix = prefix;
        break;
    case 1:
        range.from_size = key_of((uint32_t)(mix_next(state) % KEYS), bounds->from);
        range.to_size = key_of((uint32_t)(mix_next(state) % KEYS), bounds->to);
        break;
    case 2:
        range.from_size = key_of((uint32_t)(mix_next(state) % KEYS), bounds->from);
        break;
    default:
        range.to_size =
            mix_next(state) % 2 ? key_of((uint32_t)(mix_next(state) % KEYS), bounds->to) : 0;
    }
    return range;
}

/* A cursor shows the state of the moment it was opened, however much is written while it is read
 * and whatever files become free. */
static void random_scans(bool ordered, enum engine_sync sync, uint64_t seed)
{
    struct vfs *vfs = vfs_mem_new();
    struct model model = {0};
    struct engine_stats stats;
    uint64_t casks = 0;

    for (int life = 0; life < 4; life++) {
        struct engine *engine = open_on(vfs, ordered, sync);

        for (int round = 0; round < 12; round++) {
            struct bounds bounds;
            struct engine_range range = range_draw(&seed, &bounds);
            struct engine_cursor *cursor;
            struct model then = model;

            if (round % 3 == 1)
                cr_assert_eq(engine_flush(engine), 0);
            cr_assert_eq(engine_scan(engine, &range, &cursor), 0);
            if (round % 5 == 4)
                cr_assert_eq(engine_flush(engine), 0);
            for (uint64_t i = mix_next(&seed) % 300; i > 0; i--)
                step(engine, &model, &seed);
            if (ordered)
                check_ordered(cursor, &range, &then, 0);
            else
                check_unordered(cursor, &range, &then);
            engine_cursor_close(cursor);
            engine_stats(engine, &stats);
            casks += stats.casks;
        }
        cr_assert_eq(engine_close(engine), 0);
    }
    cr_assert_gt(casks, 5, "nothing was merged");
    vfs_mem_free(vfs);
}

Test(engine_scan, shows_one_moment_in_the_order_of_keys)
{
    for (uint64_t seed = 1; seed <= 6; seed++)
        random_scans(true, seed % 2 ? ENGINE_SYNC_GROUP : ENGINE_SYNC_NONE, seed);
}

Test(engine_scan, shows_one_moment_without_an_order)
{
    for (uint64_t seed = 11; seed <= 14; seed++)
        random_scans(false, ENGINE_SYNC_GROUP, seed);
}

Test(engine_scan, seeks_within_its_range)
{
    struct vfs *vfs = vfs_mem_new();
    struct engine *engine = open_on(vfs, true, ENGINE_SYNC_NONE);
    struct engine_range range = {.prefix = "b", .prefix_size = 1};
    struct engine_cursor *cursor;
    struct model model = {0};
    uint64_t state = 5;

    for (int i = 0; i < 600; i++)
        step(engine, &model, &state);
    cr_assert_eq(engine_scan(engine, &range, &cursor), 0);
    for (int i = 0; i < 40; i++) {
        uint32_t key = (uint32_t)(mix_next(&state) % KEYS);
        uint8_t bytes[64];

        cr_assert_eq(engine_cursor_seek(cursor, bytes, key_of(key, bytes)), 0);
        check_ordered(cursor, &range, &model, key);
    }
    cr_assert_eq(engine_cursor_seek(cursor, "", 0), -EINVAL);
    engine_cursor_close(cursor);
    engine_close(engine);
    engine = open_on(vfs, false, ENGINE_SYNC_GROUP);
    cr_assert_eq(engine_scan(engine, NULL, &cursor), 0);
    cr_assert_eq(engine_cursor_seek(cursor, "b", 1), -EINVAL);
    engine_cursor_close(cursor);
    engine_close(engine);
    vfs_mem_free(vfs);
}

Test(engine_scan, of_nothing_gives_nothing)
{
    struct vfs *vfs = vfs_mem_new();
    struct engine_range last = {.prefix = "\xFF", .prefix_size = 1};
    struct model model = {0};

    for (int ordered = 0; ordered < 2; ordered++) {
        struct engine *engine = open_on(vfs, ordered, ENGINE_SYNC_GROUP);
        struct engine_cursor *cursor;
        struct engine_item item;

        cr_assert_eq(engine_scan(engine, NULL, &cursor), 0);
        if (!ordered)
            cr_assert_eq(engine_cursor_next(cursor, &item), ENGINE_E_ABSENT);
        engine_cursor_close(cursor);
        put(engine, &model, KEYS - 1, 3);
        put(engine, &model, 0, 4);
        cr_assert_eq(engine_scan(engine, &last, &cursor), 0);
        check_ordered(cursor, &last, &model, 0);
        engine_cursor_close(cursor);
        engine_close(engine);
    }
    vfs_mem_free(vfs);
}

/* Flush takes only files that are retired, which comes with the next ones: key "000000", whose
 * value is zeros, is written again until there are some. */
static void flush_into_casks(struct engine *engine, struct engine_stats *stats)
{
    static const char zeros[100];

    *stats = (struct engine_stats){0};
    for (int tries = 0; stats->casks == 0; tries++) {
        cr_assert_lt(tries, 1000);
        for (int i = 0; i < 1000 && tries > 0; i++)
            cr_assert_eq(engine_put(engine, "000000", 6, zeros, sizeof zeros), 0);
        cr_assert_eq(engine_flush(engine), 0);
        engine_stats(engine, stats);
    }
}

/* --- while another thread writes ----------------------------------------------------------- */

#define QUEUE_KEYS 12000u
#define QUEUE_LAG  60u

/* Puts numbered keys and deletes each again QUEUE_LAG later, but every seventh. */
struct queue {
    struct engine *engine;
    _Atomic uint32_t put, deleted; /* all below are */
};

static bool queue_stays(uint32_t n)
{
    return n % 7 == 0;
}

static void *queue_main(void *argument)
{
    struct queue *queue = argument;
    char key[16], value[100] = {0};

    for (uint32_t n = 0; n < QUEUE_KEYS + QUEUE_LAG; n++) {
        if (n < QUEUE_KEYS) {
            int size = snprintf(key, sizeof key, "%06u", n * 7919 % QUEUE_KEYS);

            memcpy(value, &n, sizeof n);
            cr_assert_eq(engine_put(queue->engine, key, (size_t)size, value, sizeof value), 0);
            atomic_store(&queue->put, n + 1);
        }
        if (n >= QUEUE_LAG) {
            uint32_t old = n - QUEUE_LAG;
            int size = snprintf(key, sizeof key, "%06u", old * 7919 % QUEUE_KEYS);

            if (!queue_stays(old))
                cr_assert_eq(engine_delete(queue->engine, key, (size_t)size), 0);
            atomic_store(&queue->deleted, old + 1);
        }
        if (n % 700 == 699)
            cr_assert_eq(engine_flush(queue->engine), 0);
    }
    return NULL;
}

static void queue_scan(struct queue *queue)
{
    static uint32_t seen[QUEUE_KEYS], round;
    uint32_t put = atomic_load(&queue->put), deleted = atomic_load(&queue->deleted);
    struct engine_cursor *cursor;
    struct engine_item item;
    char last[16] = "";

    round++;
    cr_assert_eq(engine_scan(queue->engine, NULL, &cursor), 0);
    while (engine_cursor_next(cursor, &item) == 0) {
        uint32_t n;

        memcpy(&n, item.value, sizeof n);
        cr_assert_lt(n, QUEUE_KEYS);
        cr_assert(queue_stays(n) || n >= deleted, "%u came back from the dead", n);
        cr_assert_gt(memcmp(item.key, last, 6), 0);
        memcpy(last, item.key, 6);
        seen[n] = round;
    }
    engine_cursor_close(cursor);
    for (uint32_t n = 0; n < put; n++)
        cr_assert(!queue_stays(n) || seen[n] == round, "%u is missing", n);
}

Test(engine_scan, shows_no_deleted_key_while_files_are_merged)
{
    struct vfs *vfs = vfs_mem_new();
    struct queue queue = {.engine = open_on(vfs, true, ENGINE_SYNC_NONE)};
    struct engine_stats stats;
    pthread_t thread;

    cr_assert_eq(pthread_create(&thread, NULL, queue_main, &queue), 0);
    while (atomic_load(&queue.deleted) < QUEUE_KEYS)
        queue_scan(&queue);
    pthread_join(thread, NULL);
    queue_scan(&queue);
    flush_into_casks(queue.engine, &stats);
    cr_assert_eq(engine_close(queue.engine), 0);
    queue.engine = open_on(vfs, true, ENGINE_SYNC_NONE);
    queue_scan(&queue);
    cr_assert_eq(engine_close(queue.engine), 0);
    vfs_mem_free(vfs);
}

struct flusher {
    struct engine *engine;
    atomic_bool done;
};

static void *flusher_main(void *argument)
{
    struct flusher *flusher = argument;

    cr_assert_eq(engine_flush(flusher->engine), 0);
    atomic_store(&flusher->done, true);
    return NULL;
}

/* Tombstones and what they hide go in one round, but not at one moment. */
Test(engine_scan, shows_no_deleted_key_while_tombstones_go)
{
    enum { COUNT = 12000 };
    struct vfs *vfs = vfs_mem_new();
    struct engine_options options = {
        .vfs = vfs, .ordered = true, .sync = ENGINE_SYNC_NONE, .segment_size = 1u << 20};
    struct engine *engine;

    cr_assert_eq(engine_open(&engine, "memory", &options), 0);
    for (int round = 0; round < 8; round++) {
        struct flusher flusher = {.engine = engine};
        pthread_t thread;

        for (uint32_t i = 0; i < 3 * COUNT; i++) {
            uint32_t key = i % COUNT;

            if (i == 2 * COUNT)
                cr_assert_eq(engine_flush(engine), 0);
            if (i < 2 * COUNT)
                cr_assert_eq(engine_put(engine, &key, sizeof key, &i, sizeof i), 0);
            else
                cr_assert_eq(engine_delete(engine, &key, sizeof key), 0);
        }
        cr_assert_eq(pthread_create(&thread, NULL, flusher_main, &flusher), 0);
        while (!atomic_load(&flusher.done)) {
            struct engine_cursor *cursor;
            struct engine_item item;

            cr_assert_eq(engine_scan(engine, NULL, &cursor), 0);
            cr_assert_eq(engine_cursor_next(cursor, &item), ENGINE_E_ABSENT,
                         "a key came back from the dead");
            engine_cursor_close(cursor);
        }
        pthread_join(thread, NULL);
    }
    cr_assert_eq(engine_close(engine), 0);
    vfs_mem_free(vfs);
}

/* --- what it costs ------------------------------------------------------------------------- */

/* Bytes that this thread has read: the engine's own may be at work. */
static uint64_t bytes_read(void)
{
    FILE *stream = fopen("/proc/thread-self/io", "r");
    unsigned long long bytes = 0;

    cr_assert_not_null(stream);
    cr_assert_eq(fscanf(stream, "rchar: %llu", &bytes), 1);
    fclose(stream);
    return bytes;
}

Test(engine_scan, reads_of_casks_what_lies_in_the_range)
{
    enum { COUNT = 40000, VALUE = 200 };
    char folder[] = "/tmp/ringcask-scan-XXXXXX", path[64], command[80];
    struct engine_options options = {
        .ordered = true, .sync = ENGINE_SYNC_NONE, .segment_size = 1u << 20};
    struct engine_range range = {.prefix = "0123", .prefix_size = 4};
    struct engine_stats stats;
    struct engine *engine;
    uint64_t before = 0;

    cr_assert_not_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/engine", folder);
    cr_assert_eq(engine_open(&engine, path, &options), 0);
    for (uint32_t i = 0; i < 2 * COUNT; i++) {
        char key[16], value[VALUE] = {0};
        int size = snprintf(key, sizeof key, "%06u", i * 7919 % COUNT);

        if (i < COUNT || i % 2) /* files that are alive are left alone */
            cr_assert_eq(engine_put(engine, key, (size_t)size, value, sizeof value), 0);
    }
    flush_into_casks(engine, &stats);
    /* The first scan reads the indexes of the casks, too. */
    for (int round = 0; round < 2; round++) {
        struct engine_cursor *cursor;
        struct engine_item item;
        unsigned count = 0;

        before = bytes_read();
        cr_assert_eq(engine_scan(engine, &range, &cursor), 0);
        while (engine_cursor_next(cursor, &item) == 0)
            count++;
        engine_cursor_close(cursor);
        cr_assert_eq(count, 100);
    }
    cr_assert_lt(bytes_read() - before, 150000 * (stats.casks + 1), "it read too much");
    cr_assert_gt(stats.file_bytes, 20 * (bytes_read() - before));
    cr_assert_eq(engine_close(engine), 0);
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    cr_assert_eq(system(command), 0);
}

/* Deleted keys leave the index with their tombstones, soon after a flush. */
Test(engine_scan, forgets_deleted_keys)
{
    enum { COUNT = 30000 };
    struct vfs *vfs = vfs_mem_new();
    struct engine *engine = open_on(vfs, true, ENGINE_SYNC_NONE);
    struct engine_stats stats = {.memory_bytes = UINT64_MAX};

    for (uint32_t i = 0; i < COUNT; i++) {
        char key[40];
        int size = snprintf(key, sizeof key, "a key that is longer than most %06u", i);

        cr_assert_eq(engine_put(engine, key, (size_t)size, key, 1), 0);
        cr_assert_eq(engine_delete(engine, key, (size_t)size), 0);
    }
    for (int tries = 0; stats.memory_bytes > COUNT * 40 / 2; tries++) {
        cr_assert_lt(tries, 1000, "%lu bytes", (unsigned long)stats.memory_bytes);
        for (int i = 0; i < 1000; i++)
            cr_assert_eq(engine_put(engine, "a", 1, "", 0), 0);
        cr_assert_eq(engine_flush(engine), 0);
        engine_stats(engine, &stats);
    }
    cr_assert_eq(engine_close(engine), 0);
    vfs_mem_free(vfs);
}
