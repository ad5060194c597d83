#include "storage/engine.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "storage/datadir.h"
#include "storage/vfs.h"
#include "ring/mix.h"

#define KEYS 40u

/* What must be in the engine: a value's number by key, 0 for none. */
struct model {
    uint64_t values[KEYS];
};

static size_t key_of(uint32_t key, char *out)
{
    size_t size = (size_t)snprintf(out, 32, "key-%u-", key) + key % 9;

    memset(out + strlen(out), 'k', 9);
    return size;
}

/* A value's size and bytes follow from its number. */
static size_t value_of(uint64_t number, uint8_t *out)
{
    size_t size = number % 7 == 0 ? 0 : number * 37 % 3000;

    for (size_t i = 0; i < size; i++)
        out[i] = (uint8_t)(number + i);
    return size;
}

static int put(struct engine *engine, uint32_t key, uint64_t number)
{
    static _Thread_local uint8_t value[4096];
    char text[64];

    return engine_put(engine, text, key_of(key, text), value, value_of(number, value));
}

static int delete (struct engine *engine, uint32_t key)
{
    char text[64];

    return engine_delete(engine, text, key_of(key, text));
}

static void check_key(struct engine *engine, uint32_t key, uint64_t number)
{
    struct engine_value value = {0};
    uint8_t expected[4096];
    char text[64];
    int r = engine_get(engine, text, key_of(key, text), &value);

    if (number == 0) {
        cr_assert_eq(r, ENGINE_E_ABSENT, "key %u is there", key);
    } else {
        cr_assert_eq(r, 0, "key %u: %d", key, r);
        cr_assert_eq(value.size, value_of(number, expected), "key %u", key);
        cr_assert_eq(memcmp(value.bytes, expected, value.size), 0, "key %u", key);
    }
    engine_value_deinit(&value);
}

static void check(struct engine *engine, const struct model *model)
{
    struct engine_stats stats;
    uint64_t keys = 0;

    for (uint32_t key = 0; key < KEYS; key++) {
        check_key(engine, key, model->values[key]);
        keys += model->values[key] != 0;
    }
    engine_stats(engine, &stats);
    cr_assert_eq(stats.keys, keys);
}

static struct engine *open_on(struct vfs *vfs, enum engine_sync sync)
{
    struct engine_options options = {
        .vfs = vfs, .sync = sync, .segment_size = 64u << 10, .queue_size = 64u << 10};
    struct engine *engine;
    int r = engine_open(&engine, "memory", &options);

    cr_assert_eq(r, 0, "open: %d", r);
    return engine;
}

/* One random operation on both. */
static void step(struct engine *engine, struct model *model, uint64_t *state, uint64_t *number)
{
    struct engine_op ops[6];
    static char keys[6][64];
    static uint8_t values[6][4096];
    uint32_t key = (uint32_t)(mix_next(state) % KEYS);
    size_t count;

    switch (mix_next(state) % 4) {
    case 0:
        cr_assert_eq(delete (engine, key), 0);
        model->values[key] = 0;
        return;
    case 1:
        count = 1 + mix_next(state) % 6;
        for (size_t i = 0; i < count; i++) {
            key = (uint32_t)(mix_next(state) % KEYS);
            model->values[key] = mix_next(state) % 3 ? ++*number : 0;
            ops[i] = (struct engine_op){.key = keys[i], .key_size = key_of(key, keys[i])};
            if (model->values[key]) {
                ops[i].value = values[i];
                ops[i].value_size = value_of(model->values[key], values[i]);
            }
        }
        cr_assert_eq(engine_batch(engine, ops, count), 0);
        return;
    default:
        cr_assert_eq(put(engine, key, ++*number), 0);
        model->values[key] = *number;
    }
}

static void random_life(enum engine_sync sync, uint64_t seed)
{
    struct vfs *vfs = vfs_mem_new();
    struct model model = {0};
    uint64_t number = 0;

    for (int life = 0; life < 6; life++) {
        struct engine *engine = open_on(vfs, sync);

        check(engine, &model);
        for (int i = 0; i < 150; i++) {
            step(engine, &model, &seed, &number);
            if (i % 37 == 0)
                check(engine, &model);
        }
        if (life == 3)
            cr_assert_eq(engine_flush_queue(engine), 0);
        if (life % 2)
            cr_assert_eq(engine_flush(engine), 0);
        check(engine, &model);
        cr_assert_eq(engine_close(engine), 0);
    }
    vfs_mem_free(vfs);
}

Test(engine, agrees_with_a_model_over_lives)
{
    for (uint64_t seed = 1; seed <= 4; seed++)
        random_life(ENGINE_SYNC_GROUP, seed);
}

Test(engine, agrees_with_a_model_when_calls_do_not_wait)
{
    for (uint64_t seed = 11; seed <= 14; seed++)
        random_life(ENGINE_SYNC_NONE, seed);
}

Test(engine, flush_gives_back_what_is_dead)
{
    struct vfs *vfs = vfs_mem_new();
    /* At this rate nothing is reclaimed until it is asked for. */
    struct engine_options options = {
        .vfs = vfs, .sync = ENGINE_SYNC_NONE, .segment_size = 64u << 10, .flush_rate = 1};
    struct engine_stats before, after;
    uint8_t value[1000] = {0};
    struct engine *engine;

    cr_assert_eq(engine_open(&engine, "memory", &options), 0);
    for (uint32_t i = 0; i < 2000; i++)
        cr_assert_eq(engine_put(engine, &i, sizeof i, value, sizeof value), 0);
    for (uint32_t i = 0; i < 2000; i++)
        if (i % 10)
            cr_assert_eq(engine_delete(engine, &i, sizeof i), 0);
    cr_assert_eq(engine_flush_queue(engine), 0);
    engine_stats(engine, &before);
    for (int life = 0; life < 3; life++) {
        cr_assert_eq(engine_flush(engine), 0);
        engine_stats(engine, &after);
        for (uint32_t i = 0; i < 2000; i++)
            cr_assert_eq(engine_get(engine, &i, sizeof i, NULL), i % 10 ? ENGINE_E_ABSENT : 0);
        cr_assert_eq(engine_close(engine), 0);
        cr_assert_eq(engine_open(&engine, "memory", &options), 0);
    }
    cr_assert_gt(before.file_bytes, 2000000, "%lu", (unsigned long)before.file_bytes);
    cr_assert_lt(after.file_bytes, 800000, "%lu", (unsigned long)after.file_bytes);
    cr_assert_gt(after.casks, 0);
    engine_close(engine);
    vfs_mem_free(vfs);
}

Test(engine, refuses_what_is_beyond_the_limits_and_changes_nothing)
{
    struct vfs *vfs = vfs_mem_new();
    struct engine *engine = open_on(vfs, ENGINE_SYNC_GROUP);
    struct model model = {{[3] = 5}};
    struct engine_op op = {.key = "a", .key_size = 0, .value = "b", .value_size = 1};
    struct engine_op *many = calloc(ENGINE_BATCH_MAX + 1, sizeof *many);
    char *big = calloc(1, ENGINE_KEY_SIZE_MAX + 1);

    cr_assert_eq(put(engine, 3, 5), 0);
    for (size_t i = 0; i <= ENGINE_BATCH_MAX; i++)
        many[i] = (struct engine_op){.key = "a", .key_size = 1, .value = "b", .value_size = 1};
    cr_assert_eq(engine_put(engine, "", 0, "v", 1), ENGINE_E_TOO_LARGE);
    cr_assert_eq(engine_get(engine, "", 0, NULL), ENGINE_E_TOO_LARGE);
    cr_assert_eq(engine_delete(engine, big, ENGINE_KEY_SIZE_MAX + 1), ENGINE_E_TOO_LARGE);
    cr_assert_eq(engine_put(engine, "a", 1, big, ENGINE_VALUE_SIZE_MAX + 1), ENGINE_E_TOO_LARGE);
    cr_assert_eq(engine_batch(engine, &op, 1), ENGINE_E_TOO_LARGE);
    cr_assert_eq(engine_batch(engine, many, ENGINE_BATCH_MAX + 1), ENGINE_E_TOO_LARGE);
    cr_assert_eq(engine_batch(engine, many, 0), 0);
    check(engine, &model);
    cr_assert_eq(engine_batch(engine, many, ENGINE_BATCH_MAX), 0);
    cr_assert_eq(engine_put(engine, big, ENGINE_KEY_SIZE_MAX, "v", 1), 0);
    cr_assert_eq(engine_get(engine, big, ENGINE_KEY_SIZE_MAX, NULL), 0);
    cr_assert_eq(engine_close(engine), 0);
    free(many);
    free(big);
    vfs_mem_free(vfs);
}

Test(engine, a_value_may_be_larger_than_queue_and_segment)
{
    struct vfs *vfs = vfs_mem_new();
    struct engine *engine = open_on(vfs, ENGINE_SYNC_GROUP);
    size_t size = 3u << 20;
    uint8_t *large = malloc(size);
    struct engine_value value = {0};

    memset(large, 0x5A, size);
    for (int life = 0; life < 2; life++) {
        cr_assert_eq(put(engine, 1, 2), 0);
        cr_assert_eq(engine_put(engine, "large", 5, large, size), 0);
        cr_assert_eq(put(engine, 2, 3), 0);
        cr_assert_eq(engine_close(engine), 0);
        engine = open_on(vfs, ENGINE_SYNC_GROUP);
        cr_assert_eq(engine_get(engine, "large", 5, &value), 0);
        cr_assert_eq(value.size, size);
        cr_assert_eq(memcmp(value.bytes, large, size), 0);
        check_key(engine, 2, 3);
    }
    engine_value_deinit(&value);
    engine_close(engine);
    free(large);
    vfs_mem_free(vfs);
}

Test(engine, is_open_once)
{
    char folder[] = "/tmp/engine_test_XXXXXX", text[ENGINE_TEXT_SIZE], command[128];
    struct engine_options existing = {.existing = true};
    struct engine *engine, *second;

    cr_assert(mkdtemp(folder));
    cr_assert_eq(rmdir(folder), 0);
    cr_assert_eq(engine_open(&engine, folder, &existing), -ENOENT);
    cr_assert_null(engine);
    cr_assert_eq(engine_open(&engine, folder, NULL), 0);
    cr_assert_eq(engine_open(&second, folder, NULL), ENGINE_E_IN_USE);
    cr_assert_null(second);
    engine_error_text(ENGINE_E_IN_USE, folder, text, sizeof text);
    cr_assert(strstr(text, folder));
    cr_assert_eq(put(engine, 1, 9), 0);
    cr_assert_eq(engine_close(engine), 0);
    cr_assert_eq(engine_open(&engine, folder, &existing), 0);
    check_key(engine, 1, 9);
    cr_assert_eq(engine_close(engine), 0);
    snprintf(command, sizeof command, "rm -r %s", folder);
    cr_assert_eq(system(command), 0);
}

Test(engine, leaves_the_folder_of_a_node_alone)
{
    struct vfs *vfs = vfs_mem_new();
    struct datadir_identity first = {.cluster = "a cluster", .shards = 4, .created_ms = 1}, found;
    struct engine_options options = {.vfs = vfs};
    struct datadir *datadir;
    struct engine *engine;

    cr_assert_eq(datadir_open(&datadir, vfs, &first, false, &found), 0);
    cr_assert_eq(engine_open(&engine, "memory", &options), ENGINE_E_IN_USE);
    datadir_close(datadir);
    for (int read_only = 0; read_only < 2; read_only++) {
        options.read_only = read_only;
        cr_assert_eq(engine_open(&engine, "memory", &options), ENGINE_E_FOREIGN);
        cr_assert_null(engine);
    }
    cr_assert_eq(datadir_open(&datadir, vfs, &first, false, &found), 0);
    cr_assert_not(datadir_is_new(datadir));
    datadir_close(datadir);
    vfs_mem_free(vfs);
}

/* --- threads ------------------------------------------------------------------------------- */

#define THREADS 6u
#define ROUNDS  60u

struct thread {
    struct engine *engine;
    uint32_t number;
};

/* Each thread has keys of its own, and all write one together. */
static void *thread_main(void *argument)
{
    struct thread *thread = argument;

    for (uint32_t i = 1; i <= ROUNDS; i++) {
        uint32_t key = thread->number * 5 + i % 5;

        cr_assert_eq(put(thread->engine, key, i), 0);
        check_key(thread->engine, key, i);
        cr_assert_eq(put(thread->engine, KEYS - 1, i), 0);
    }
    return NULL;
}

Test(engine, threads_share_syncs_and_see_their_own_writes)
{
    struct vfs *vfs = vfs_mem_new();
    struct engine *engine = open_on(vfs, ENGINE_SYNC_GROUP);
    struct model model = {0};
    struct thread threads[THREADS];
    pthread_t ids[THREADS];
    struct engine_stats stats;

    for (uint32_t i = 0; i < THREADS; i++) {
        threads[i] = (struct thread){engine, i};
        cr_assert_eq(pthread_create(&ids[i], NULL, thread_main, &threads[i]), 0);
    }
    for (uint32_t i = 0; i < THREADS; i++)
        pthread_join(ids[i], NULL);
    engine_stats(engine, &stats);
    cr_assert_eq(stats.writes, THREADS * ROUNDS * 2);
    for (uint32_t i = 0; i < THREADS; i++)
        for (uint32_t k = 0; k < 5; k++)
            model.values[i * 5 + k] = ROUNDS - (5 - k) % 5;
    model.values[KEYS - 1] = ROUNDS;
    check(engine, &model);
    engine_close(engine);
    engine = open_on(vfs, ENGINE_SYNC_GROUP);
    check(engine, &model);
    engine_close(engine);
    vfs_mem_free(vfs);
}

/* --- failures ------------------------------------------------------------------------------ */

/* Every call of the vfs fails once: what was acknowledged is there at the next open, and what was
 * refused is there in whole or not at all. */
Test(engine, loses_nothing_when_a_call_of_the_disk_fails)
{
    unsigned failed = 0;

    for (uint64_t nth = 1; nth < 120; nth++) {
        struct vfs *vfs = vfs_mem_new();
        struct engine_options options = {.vfs = vfs, .segment_size = 64u << 10};
        struct engine *engine;
        uint64_t values[8] = {0}, tried[8] = {0};

        vfs_mem_fail_after(vfs, nth, EIO);
        if (engine_open(&engine, "memory", &options) == 0) {
            for (uint64_t i = 1; i <= 60; i++) {
                int r = put(engine, i % 8, i);

                tried[i % 8] = i;
                if (r == 0)
                    values[i % 8] = i;
                else
                    cr_assert_lt(r, 0);
                failed += r != 0;
                if (r != 0)
                    break;
            }
            engine_close(engine);
        }
        vfs_mem_fail_after(vfs, 0, 0);
        engine = open_on(vfs, ENGINE_SYNC_GROUP);
        for (uint32_t key = 0; key < 8; key++) {
            struct engine_value value = {0};
            uint8_t expected[4096];
            char text[64];
            int r = engine_get(engine, text, key_of(key, text), &value);

            if (r == 0 && tried[key] != values[key] &&
                value.size == value_of(tried[key], expected) &&
                memcmp(value.bytes, expected, value.size) == 0)
                values[key] = tried[key];
            engine_value_deinit(&value);
            check_key(engine, key, values[key]);
        }
        engine_close(engine);
        vfs_mem_free(vfs);
    }
    cr_assert_gt(failed, 20);
}

static uint32_t fill(struct engine *engine, uint32_t first, int *r)
{
    uint8_t bytes[1000] = {0};
    uint32_t i = first;

    while (i < first + 2000 && (*r = engine_put(engine, &i, sizeof i, bytes, sizeof bytes)) == 0)
        i++;
    return i;
}

Test(engine, a_full_folder_refuses_values_until_there_is_room)
{
    struct vfs *vfs = vfs_mem_new();
    struct engine_options options = {.vfs = vfs, .segment_size = 64u << 10, .size_max = 400u << 10};
    struct engine_stats stats;
    struct engine *engine;
    struct engine_op ops[2000];
    uint32_t keys[2000], full, again;
    int r = 0;

    cr_assert_eq(engine_open(&engine, "memory", &options), 0);
    full = fill(engine, 0, &r);
    cr_assert_eq(r, ENGINE_E_NOSPACE);
    cr_assert_gt(full, 100);
    engine_stats(engine, &stats);
    cr_assert_leq(stats.file_bytes, options.size_max + 2 * options.segment_size);
    for (uint32_t i = 0; i < full; i++)
        cr_assert_eq(engine_get(engine, &i, sizeof i, NULL), 0);
    for (uint32_t i = 0; i < full; i++) {
        keys[i] = i;
        ops[i] = (struct engine_op){.key = &keys[i], .key_size = sizeof i};
    }
    r = engine_batch(engine, ops, full);
    cr_assert_eq(r, 0);
    cr_assert_eq(engine_flush(engine), 0);
    again = full; /* the files are given back behind flush */
    for (int tries = 0; tries < 500 && again < full + 100; tries++) {
        again = fill(engine, again, &r);
        usleep(10000);
    }
    cr_assert_geq(again, full + 100);
    cr_assert_eq(engine_close(engine), 0);
    vfs_mem_free(vfs);
}
