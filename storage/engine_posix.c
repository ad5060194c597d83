/* The engine's threads, its clock and its chance. */
#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <linux/futex.h>
#include <sched.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "storage/engine_state.h"

#define IDLE_MS         100          /* a thread that has nothing to do looks again after this */
#define GATHER_PART     4            /* of a sync's time is waited for more callers */
#define BACKGROUND_NICE 10           /* of the thread that reclaims */
#define PACE_MS         5            /* while flush keeps its pace */
#define ROOM_MS         2            /* a caller that found no room tries again after this */
#define PREPARE_BYTES   (256u << 10) /* appended before background work is looked for */

static uint64_t clock_ns(clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

uint64_t engine_unix_ms(void)
{
    return clock_ns(CLOCK_REALTIME) / 1000000;
}

static uint64_t now_ms(void)
{
    return clock_ns(CLOCK_MONOTONIC) / 1000000;
}

void engine_secret(uint8_t *bytes, size_t size)
{
    int r = sodium_init();

    assert(r >= 0);
    randombytes_buf(bytes, size);
}

int engine_folder(const char *path, bool existing)
{
    struct stat status;

    if (existing)
        return stat(path, &status) == 0 ? 0 : -errno;
    return mkdir(path, 0700) == 0 || errno == EEXIST ? 0 : -errno;
}

static int entry_remove(const char *path, const struct stat *status, int kind, struct FTW *ftw)
{
    (void)status;
    (void)kind;
    (void)ftw;
    return remove(path);
}

void engine_folder_remove(const char *path)
{
    nftw(path, entry_remove, 16, FTW_DEPTH | FTW_PHYS);
}

/* Names in the folder, but for `name` and the two that all have. */
static int folder_others(const char *path, const char *name, size_t *count)
{
    DIR *directory = opendir(path);
    const struct dirent *entry;

    *count = 0;
    if (!directory)
        return -errno;
    while ((entry = readdir(directory)))
        *count += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
                  strcmp(entry->d_name, name) != 0;
    closedir(directory);
    return 0;
}

/* Locked, and still the folder of that name? */
static int part_take(int fd, const char *part)
{
    struct stat ours, named;

    if (flock(fd, LOCK_EX | LOCK_NB) != 0)
        return errno == EWOULDBLOCK ? -EEXIST : -errno;
    if (fstat(fd, &ours) != 0 || stat(part, &named) != 0)
        return -errno;
    return ours.st_dev == named.st_dev && ours.st_ino == named.st_ino ? 0 : -EEXIST;
}

int engine_part_open(const char *path, const char *part, const char *unfinished, int *lock)
{
    struct stat status;
    size_t others = 0;
    int fd, r;

    if (stat(path, &status) == 0) {
        rmdir(part); /* left, empty, by a crash right after `path` was given its name */
        return -EEXIST;
    }
    if (mkdir(part, 0700) != 0 && errno != EEXIST)
        return -errno;
    fd = open(part, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOTDIR ? -EEXIST : -errno;
    r = part_take(fd, part);
    if (r == 0)
        r = folder_others(part, strrchr(unfinished, '/') + 1, &others);
    if (r == 0 && others > 0)
        r = -EEXIST;
    if (r != 0) {
        close(fd);
        return r;
    }
    engine_folder_remove(unfinished);
    *lock = fd;
    return 0;
}

void engine_part_close(const char *part, const char *unfinished, int lock)
{
    engine_folder_remove(unfinished);
    rmdir(part);
    close(lock);
}

int engine_folder_move(const char *from, const char *to)
{
    char parent[PATH_MAX];
    const char *slash = strrchr(to, '/');
    size_t size = slash ? (size_t)(slash - to) + 1 : 0; /* the '/' too: to may be "/name" */
    int fd, r;

    if (size >= sizeof parent)
        return -ENAMETOOLONG;
    memcpy(parent, to, size);
    memcpy(parent + size, ".", 2);
    fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    r = rename(from, to) == 0 ? 0 : -errno;
    if (r == 0 && fsync(fd) != 0)
        r = -errno;
    close(fd);
    return r;
}

void engine_lock(struct engine *engine)
{
    int r = pthread_mutex_lock(&engine->mutex);

    assert(r == 0);
}

void engine_unlock(struct engine *engine)
{
    int r = pthread_mutex_unlock(&engine->mutex);

    assert(r == 0);
}

static void wait_ms(struct engine *engine, pthread_cond_t *cond, unsigned ms)
{
    struct timespec until;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += (long)ms * 1000000;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    pthread_cond_timedwait(cond, &engine->mutex, &until);
}

/* --- jobs ---------------------------------------------------------------------------------- */

/* Runs a job without the lock. False: there was none. */
static bool run_job(struct engine *engine, enum store_job_class class)
{
    struct store_job *job = store_next_job(engine->store, class, now_ms());
    int r;

    if (!job)
        return false;
    engine_unlock(engine);
    r = store_job_run(job);
    engine_lock(engine);
    r = store_done(engine->store, job, r);
    if (r < 0 && engine->error == 0)
        engine->error = r;
    return true;
}

static void background_wake(struct engine *engine)
{
    if (!engine->background_idle)
        return;
    engine->background_idle = false;
    pthread_cond_signal(&engine->background);
}

/* Callers of ENGINE_SYNC_GROUP sleep on a futex, not on a condition: they come back with all they
 * need to know in `durable`, and do not queue for the lock only to leave again. */
static void sleep_until_synced(struct engine *engine, uint32_t round)
{
    syscall(SYS_futex, &engine->round, FUTEX_WAIT_PRIVATE, round, NULL, NULL, 0);
}

/* Without the lock: those who are woken take it next. */
static void wake_synced(struct engine *engine)
{
    atomic_store_explicit(&engine->durable, store_synced(engine->store), memory_order_release);
    atomic_fetch_add(&engine->round, 1);
    engine_unlock(engine);
    syscall(SYS_futex, &engine->round, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
    engine_lock(engine);
}

/* Writes and syncs what is queued; nobody else does. Gives the lock up meanwhile. False: nothing
 * could be written now. */
static bool write_one(struct engine *engine)
{
    struct store_stats stats;
    bool ran;

    engine->writing = true;
    ran = run_job(engine, STORE_JOB_WRITE);
    engine->writing = false;
    if (!ran)
        return false;
    engine_apply(engine);
    store_stats(engine->store, &stats);
    if (stats.bytes_appended - engine->background_bytes >= PREPARE_BYTES)
        background_wake(engine);
    pthread_cond_broadcast(&engine->synced);
    if (engine->sync == ENGINE_SYNC_GROUP)
        wake_synced(engine);
    return true;
}

/* Before a sync: those whom the last one released are about to come back with their next call, and
 * a sync that begins without them makes two groups that wait for each other in turn. Lets them
 * run, for at most a part of what the sync takes. */
static void gather(struct engine *engine)
{
    uint64_t until_ns;

    if (engine->waiting + 1 >= engine->expected)
        return;
    until_ns = clock_ns(CLOCK_MONOTONIC) + engine->sync_ns / GATHER_PART;
    engine->writing = true;
    while (engine->waiting + 1 < engine->expected && clock_ns(CLOCK_MONOTONIC) < until_ns) {
        engine_unlock(engine);
        sched_yield();
        engine_lock(engine);
    }
    engine->writing = false;
}

/* Does the write for all who wait. False: nothing could be written now. */
static bool lead(struct engine *engine)
{
    uint64_t begin_ns;
    unsigned group;
    bool ran;

    gather(engine);
    group = engine->waiting + 1;
    engine->waiting = 0;
    begin_ns = clock_ns(CLOCK_MONOTONIC);
    ran = write_one(engine);
    if (ran)
        engine->sync_ns = (engine->sync_ns * 7 + clock_ns(CLOCK_MONOTONIC) - begin_ns) / 8;
    engine->expected = group + engine->waiting;
    return ran;
}

int engine_unlock_synced(struct engine *engine, uint64_t batch)
{
    int r;

    while (store_synced(engine->store) < batch && engine->error == 0) {
        if (!engine->writing) {
            if (!lead(engine))
                engine_room_wait(engine);
        } else if (engine->sync == ENGINE_SYNC_GROUP) {
            uint32_t round = atomic_load(&engine->round);

            engine->waiting++;
            engine_unlock(engine);
            sleep_until_synced(engine, round);
            if (atomic_load_explicit(&engine->durable, memory_order_acquire) >= batch)
                return 0;
            engine_lock(engine);
        } else {
            pthread_cond_wait(&engine->synced, &engine->mutex);
        }
    }
    r = store_synced(engine->store) < batch ? engine->error : 0;
    if (r != 0) /* who sleeps until we have written waits for nothing */
        wake_synced(engine);
    engine_unlock(engine);
    return r;
}

void engine_room_wait(struct engine *engine)
{
    background_wake(engine);
    if (!engine->writing && write_one(engine))
        return;
    wait_ms(engine, &engine->synced, ROOM_MS);
}

void engine_writer_wake(struct engine *engine)
{
    if (!engine->writer_idle)
        return;
    engine->writer_idle = false;
    pthread_cond_signal(&engine->writer);
}

/* --- threads ------------------------------------------------------------------------------- */

static void *writer_main(void *argument)
{
    struct engine *engine = argument;

    engine_lock(engine);
    while (!engine->closing && engine->error == 0) {
        if (!engine->writing && store_queued(engine->store) > 0 && write_one(engine))
            continue;
        engine->writer_idle = store_queued(engine->store) == 0;
        wait_ms(engine, &engine->writer, engine->writer_idle ? IDLE_MS : ROOM_MS);
    }
    engine_unlock(engine);
    return NULL;
}

/* Callers go first where processors are few. Advice: it works without. */
static void stand_back(void)
{
    setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), BACKGROUND_NICE);
}

static void *background_main(void *argument)
{
    struct engine *engine = argument;
    struct store_stats stats;

    stand_back();
    engine_lock(engine);
    while (!engine->closing && engine->error == 0) {
        store_stats(engine->store, &stats);
        engine->background_bytes = stats.bytes_appended;
        if (engine->pack.sampled || engine->pack.dictionary_size > 0)
            engine_pack_train(engine);
        if (run_job(engine, STORE_JOB_BACKGROUND)) {
            pthread_cond_broadcast(&engine->synced);
            continue;
        }
        /* A lone synced mark, when nothing was written for a while. */
        if (!engine->writing && store_queued(engine->store) == 0)
            write_one(engine);
        if (engine->key_index && !stats.flushing &&
            stats.flush_bytes + stats.tombstones_dropped != engine->purged) {
            engine->purged = stats.flush_bytes + stats.tombstones_dropped;
            engine->error = engine->error ? engine->error : engine_index_purge(engine);
        }
        engine->background_idle = true;
        wait_ms(engine, &engine->background, stats.flushing ? PACE_MS : IDLE_MS);
    }
    pthread_cond_broadcast(&engine->synced);
    engine_unlock(engine);
    return NULL;
}

/* It is held for a microsecond: worth a moment's turning before sleep. */
static int mutex_init(pthread_mutex_t *mutex)
{
    pthread_mutexattr_t attributes;
    int r = pthread_mutexattr_init(&attributes);

    if (r != 0)
        return r;
    r = pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_ADAPTIVE_NP);
    if (r == 0)
        r = pthread_mutex_init(mutex, &attributes);
    pthread_mutexattr_destroy(&attributes);
    return r;
}

int engine_threads_init(struct engine *engine)
{
    pthread_condattr_t attributes;
    int r = pthread_condattr_init(&attributes);

    if (r != 0)
        return -r;
    r = pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    if (r == 0)
        r = mutex_init(&engine->mutex);
    if (r == 0)
        r = pthread_cond_init(&engine->synced, &attributes);
    if (r == 0)
        r = pthread_cond_init(&engine->writer, &attributes);
    if (r == 0)
        r = pthread_cond_init(&engine->background, &attributes);
    pthread_condattr_destroy(&attributes);
    return -r;
}

void engine_threads_deinit(struct engine *engine)
{
    pthread_cond_destroy(&engine->background);
    pthread_cond_destroy(&engine->writer);
    pthread_cond_destroy(&engine->synced);
    pthread_mutex_destroy(&engine->mutex);
}

int engine_threads_start(struct engine *engine)
{
    int r = pthread_create(&engine->background_thread, NULL, background_main, engine);

    engine->has_background = r == 0;
    if (r == 0 && engine->sync == ENGINE_SYNC_NONE) {
        r = pthread_create(&engine->writer_thread, NULL, writer_main, engine);
        engine->has_writer = r == 0;
    }
    if (r != 0)
        engine_threads_stop(engine);
    return -r;
}

void engine_threads_stop(struct engine *engine)
{
    engine_lock(engine);
    engine->closing = true;
    pthread_cond_signal(&engine->writer);
    pthread_cond_signal(&engine->background);
    engine_unlock(engine);
    if (engine->has_writer)
        pthread_join(engine->writer_thread, NULL);
    if (engine->has_background)
        pthread_join(engine->background_thread, NULL);
}
