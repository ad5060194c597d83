/* The engine and the power: after a cut at any change of the disk, all that was acknowledged is
 * there, what was under way is there in whole or not at all, and a deleted key stays deleted. */
#include "storage/engine.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vfs_crash.h"

#define KEYS   24u
#define ROUNDS 40u

/* --- one call at a time: the engine has threads, the disk of the tests has none ------------- */

struct vfs_locked {
    struct vfs base;
    struct vfs *below;
    pthread_mutex_t mutex;
};

struct locked_file {
    struct vfs_file base;
    struct vfs_file *below;
};

static struct vfs_locked locked;

#define LOCKED(type, call)                                                                         \
    do {                                                                                           \
        type r_;                                                                                   \
                                                                                                   \
        pthread_mutex_lock(&locked.mutex);                                                         \
        r_ = call;                                                                                 \
        pthread_mutex_unlock(&locked.mutex);                                                       \
        return r_;                                                                                 \
    } while (0)

static struct vfs_file *below(struct vfs_file *file)
{
    return ((struct locked_file *)(void *)file)->below;
}

static int wrap(int r, struct vfs_file **inner, struct vfs_file **out)
{
    struct locked_file *file;

    if (r != 0)
        return r;
    file = malloc(sizeof *file);
    cr_assert(file);
    *file = (struct locked_file){{&locked.base}, *inner};
    *out = &file->base;
    return 0;
}

static int locked_open(struct vfs *vfs, const char *path, unsigned flags, struct vfs_file **out)
{
    struct vfs_file *inner = NULL;
    (void)vfs;
    LOCKED(int, wrap(vfs_open(locked.below, path, flags, &inner), &inner, out));
}
static void locked_close(struct vfs_file *file)
{
    pthread_mutex_lock(&locked.mutex);
    vfs_close(below(file));
    pthread_mutex_unlock(&locked.mutex);
    free(file);
}
static int64_t locked_pread(struct vfs_file *file, void *buffer, size_t size, uint64_t offset)
{
    LOCKED(int64_t, vfs_pread(below(file), buffer, size, offset));
}
static int64_t locked_nowait(struct vfs_file *file, void *buffer, size_t size, uint64_t offset)
{
    LOCKED(int64_t, vfs_pread_nowait(below(file), buffer, size, offset));
}
static int locked_pwritev(struct vfs_file *file, const struct iovec *iov, int count,
                          uint64_t offset)
{
    LOCKED(int, vfs_pwritev(below(file), iov, count, offset));
}
static int locked_sync(struct vfs_file *file)
{
    LOCKED(int, vfs_sync(below(file)));
}
static int locked_size(struct vfs_file *file, uint64_t *size)
{
    LOCKED(int, vfs_size(below(file), size));
}
static int locked_truncate(struct vfs_file *file, uint64_t size)
{
    LOCKED(int, vfs_truncate(below(file), size));
}
static int locked_rename(struct vfs *vfs, const char *from, const char *to)
{
    (void)vfs;
    LOCKED(int, vfs_rename(locked.below, from, to));
}
static int locked_remove(struct vfs *vfs, const char *path)
{
    (void)vfs;
    LOCKED(int, vfs_remove(locked.below, path));
}
static int locked_mkdir(struct vfs *vfs, const char *path)
{
    (void)vfs;
    LOCKED(int, vfs_mkdir(locked.below, path));
}
static int locked_sync_dir(struct vfs *vfs, const char *path)
{
    (void)vfs;
    LOCKED(int, vfs_sync_dir(locked.below, path));
}
static int locked_list(struct vfs *vfs, const char *path, vfs_list_visit visit, void *context)
{
    (void)vfs;
    LOCKED(int, vfs_list(locked.below, path, visit, context));
}
static int locked_lock(struct vfs *vfs, const char *path, struct vfs_file **out)
{
    struct vfs_file *inner = NULL;
    (void)vfs;
    LOCKED(int, wrap(vfs_lock(locked.below, path, &inner), &inner, out));
}
static int locked_space(struct vfs *vfs, uint64_t *bytes_free)
{
    (void)vfs;
    LOCKED(int, vfs_space(locked.below, bytes_free));
}

static const struct vfs_ops locked_ops = {
    .open = locked_open,
    .close = locked_close,
    .pread = locked_pread,
    .pread_nowait = locked_nowait,
    .pwritev = locked_pwritev,
    .sync = locked_sync,
    .size = locked_size,
    .truncate = locked_truncate,
    .rename = locked_rename,
    .remove = locked_remove,
    .mkdir = locked_mkdir,
    .sync_dir = locked_sync_dir,
    .list = locked_list,
    .lock = locked_lock,
    .space = locked_space,
};

/* --- what must be there --------------------------------------------------------------------- */

struct model {
    uint64_t values[KEYS]; /* acknowledged; 0: not there */
    uint64_t tried[KEYS];  /* of the call that got no answer */
    bool open[KEYS];       /* whether there was such a call on the key */
    bool batch;            /* it was a batch: all of it or nothing */
    uint64_t number;
};

static int put(struct engine *engine, uint32_t key, uint64_t number)
{
    static const char text[] = "{\"city\":\"Berlin\",\"state\":\"active\",\"visits\":        }";
    uint8_t value[900];

    for (size_t i = 0; i < sizeof value; i++)
        value[i] = (uint8_t)text[i % sizeof text];
    for (size_t i = 0; i < sizeof value; i += 61)
        value[i] = (uint8_t)(number >> i % 8);
    memcpy(value, &number, sizeof number);
    return engine_put(engine, &key, sizeof key, value, 8 + number % 800);
}

static uint64_t draw(void)
{
    LOCKED(uint64_t, vfs_crash_random(locked.below));
}

static void cut_after(uint64_t n)
{
    pthread_mutex_lock(&locked.mutex);
    vfs_crash_cut_after(locked.below, n);
    pthread_mutex_unlock(&locked.mutex);
}

static bool is_cut(void)
{
    LOCKED(bool, vfs_crash_is_cut(locked.below));
}

/* One operation; false when the engine has failed. */
static bool step(struct engine *engine, struct model *model)
{
    struct engine_op ops[4];
    uint32_t keys[4];
    uint64_t numbers[4];
    size_t count = draw() % 3 ? 1 : 2 + draw() % 3;
    int r;

    model->batch = count > 1;
    for (size_t i = 0; i < count; i++) {
        keys[i] = ((uint32_t)(draw() % (KEYS / 4)) * 4 + (uint32_t)i) % KEYS;
        numbers[i] = draw() % 4 ? ++model->number : 0;
        ops[i] = (struct engine_op){&keys[i], sizeof keys[i], numbers[i] ? &numbers[i] : NULL,
                                    numbers[i] ? sizeof numbers[i] : 0};
        model->tried[keys[i]] = numbers[i];
        model->open[keys[i]] = true;
    }
    if (count > 1)
        r = engine_batch(engine, ops, count);
    else
        r = numbers[0] ? put(engine, keys[0], numbers[0])
                       : engine_delete(engine, &keys[0], sizeof keys[0]);
    if (r == 0 && draw() % 40 == 0)
        engine_flush(engine);
    cr_assert_leq(r, 0, "%d", r);
    for (size_t i = 0; r == 0 && i < count; i++) {
        model->values[keys[i]] = numbers[i];
        model->open[keys[i]] = false;
    }
    return r == 0;
}

/* What the open call did is known now. */
static void compare(struct engine *engine, struct model *model)
{
    int took = -1; /* not known */

    for (uint32_t key = 0; key < KEYS; key++) {
        struct engine_value value = {0};
        uint64_t number = 0;
        int r = engine_get(engine, &key, sizeof key, &value);

        cr_assert(r == 0 || r == ENGINE_E_ABSENT, "key %u: %d", key, r);
        if (r == 0)
            memcpy(&number, value.bytes, sizeof number);
        engine_value_deinit(&value);
        if (!model->open[key]) {
            cr_assert_eq(number, model->values[key], "key %u has %lu, not %lu", key,
                         (unsigned long)number, (unsigned long)model->values[key]);
            continue;
        }
        cr_assert(number == model->values[key] || number == model->tried[key], "key %u", key);
        if (model->tried[key] != model->values[key]) {
            int took_now = number == model->tried[key];

            cr_assert(!model->batch || took < 0 || took == took_now, "a batch is there in part");
            took = took_now;
        }
        model->values[key] = number;
        model->open[key] = false;
    }
}

/* How values are kept, by seed. */
static int compress_level;
static const uint8_t *secret;

static int open_it(struct engine **engine)
{
    struct engine_options options = {.vfs = &locked.base,
                                     .segment_size = 64u << 10,
                                     .queue_size = 32u << 10,
                                     .memory_size = 4096,
                                     .compress_level = compress_level,
                                     .key = secret};

    return engine_open(engine, "memory", &options);
}

static void restart(void)
{
    if (draw() % 2)
        vfs_crash_restart(locked.below);
    else
        vfs_crash_resume(locked.below);
}

/* Enough values for a dictionary, which is durable with the last one of them. */
static void teach(struct model *model)
{
    struct engine_stats stats = {0};
    struct engine *engine;

    cut_after(0);
    cr_assert_eq(open_it(&engine), 0);
    for (unsigned i = 0; i < 3000 && (i < 500 || stats.dictionaries == 0); i++) {
        uint32_t key = i % KEYS;

        cr_assert_eq(put(engine, key, ++model->number), 0);
        model->values[key] = model->number;
        engine_stats(engine, &stats);
        if (i >= 500)
            usleep(1000);
    }
    cr_assert_eq(stats.dictionaries, 1);
    cr_assert_eq(put(engine, 0, ++model->number), 0);
    model->values[0] = model->number;
    cr_assert_eq(engine_close(engine), 0);
}

static void rounds(uint64_t seed)
{
    struct model model = {0};
    struct engine *engine;

    locked.base.ops = &locked_ops;
    locked.below = vfs_crash_new(seed);
    pthread_mutex_init(&locked.mutex, NULL);
    if (compress_level > 0 && !secret)
        teach(&model);
    for (unsigned round = 0; round < ROUNDS; round++) {
        /* Recovery too is cut, some times. */
        for (unsigned n = 0;; n++) {
            int r;

            cut_after(n < 2 ? 1 + draw() % 25 : 0);
            r = open_it(&engine);
            if (r == 0)
                cut_after(0);
            if (r == 0)
                break;
            cr_assert_lt(r, 0, "open says %d (seed %lu)", r, (unsigned long)seed);
            cr_assert(is_cut());
            restart();
        }
        if (!is_cut()) {
            compare(engine, &model);
            cut_after(1 + draw() % 150);
            for (unsigned i = 0; i < 400 && step(engine, &model); i++)
                ;
        }
        engine_close(engine);
        restart();
    }
    cut_after(0);
    cr_assert_eq(open_it(&engine), 0);
    compare(engine, &model);
    cr_assert_eq(engine_close(engine), 0);
    vfs_crash_free(locked.below);
}

Test(engine_crash, keeps_what_it_acknowledged)
{
    for (uint64_t seed = 1; seed <= 12; seed++)
        rounds(seed);
}

Test(engine_crash, keeps_what_is_compressed_and_sealed)
{
    static const uint8_t bytes[ENGINE_SECRET_SIZE] = "a key";

    for (uint64_t seed = 21; seed <= 30; seed++) {
        compress_level = seed % 3 != 0;
        secret = seed % 3 != 1 ? bytes : NULL;
        rounds(seed);
    }
}
