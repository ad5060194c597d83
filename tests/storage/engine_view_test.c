/* Reading beside a writer and after a crash, and copies. */
#include "storage/engine.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "storage/vfs.h"

static int put(struct engine *engine, uint32_t key, uint32_t number)
{
    uint8_t value[300] = {0};

    memcpy(value, &number, sizeof number);
    return engine_put(engine, &key, sizeof key, value, sizeof value);
}

/* 0: not there. */
static uint32_t get(struct engine *engine, uint32_t key)
{
    struct engine_value value = {0};
    uint32_t number = 0;
    int r = engine_get(engine, &key, sizeof key, &value);

    cr_assert(r == 0 || r == ENGINE_E_ABSENT, "get says %d", r);
    if (r == 0)
        memcpy(&number, value.bytes, sizeof number);
    engine_value_deinit(&value);
    return number;
}

static struct engine *open_in(struct vfs *vfs, bool read_only)
{
    struct engine_options options = {.vfs = vfs, .read_only = read_only, .segment_size = 64u << 10};
    struct engine *engine;

    cr_assert_eq(engine_open(&engine, "memory", &options), 0);
    return engine;
}

/* --- a disk that counts what is changed through it ------------------------------------------ */

static struct vfs *below;
static atomic_uint opens, changes;

static int watch_open(struct vfs *vfs, const char *path, unsigned flags, struct vfs_file **file)
{
    (void)vfs;
    opens++;
    if (flags != VFS_OPEN_READ)
        changes++;
    return vfs_open(below, path, flags, file); /* such a file refuses to be written to */
}

static int watch_list(struct vfs *vfs, const char *path, vfs_list_visit visit, void *context)
{
    (void)vfs;
    return vfs_list(below, path, visit, context);
}

static int watch_rename(struct vfs *vfs, const char *from, const char *to)
{
    (void)vfs;
    changes++;
    return vfs_rename(below, from, to);
}

static int watch_path(struct vfs *vfs, const char *path)
{
    (void)vfs, (void)path;
    changes++;
    return -EROFS;
}

static int watch_lock(struct vfs *vfs, const char *path, struct vfs_file **file)
{
    (void)vfs;
    changes++;
    return vfs_lock(below, path, file);
}

static int watch_space(struct vfs *vfs, uint64_t *bytes_free)
{
    (void)vfs;
    return vfs_space(below, bytes_free);
}

static struct vfs *watch(struct vfs *vfs)
{
    static const struct vfs_ops ops = {.open = watch_open,
                                       .list = watch_list,
                                       .rename = watch_rename,
                                       .remove = watch_path,
                                       .mkdir = watch_path,
                                       .sync_dir = watch_path,
                                       .lock = watch_lock,
                                       .space = watch_space};
    static struct vfs watched = {.ops = &ops};

    below = vfs;
    return &watched;
}

Test(engine_view, shows_what_is_durable_beside_a_writer_and_writes_nothing)
{
    struct vfs *vfs = vfs_mem_new();
    struct engine *writer = open_in(vfs, false), *reader;
    struct engine_stats stats;

    for (uint32_t i = 0; i < 400; i++)
        cr_assert_eq(put(writer, i % 300, i + 1), 0);
    reader = open_in(watch(vfs), true);
    for (uint32_t i = 0; i < 300; i++)
        cr_assert_eq(get(reader, i), i < 100 ? i + 301 : i + 1);
    cr_assert_eq(put(reader, 1, 1), ENGINE_E_READ_ONLY);
    cr_assert_eq(engine_delete(reader, "k", 1), ENGINE_E_READ_ONLY);
    engine_stats(reader, &stats);
    cr_assert_eq(stats.keys, 300);
    cr_assert_geq(opens, 3, "%u files", opens);
    cr_assert_eq(changes, 0, "%u changes", changes);
    /* What comes later does not show, and does not disturb. */
    cr_assert_eq(put(writer, 5, 9999), 0);
    cr_assert_eq(put(writer, 5000, 1), 0);
    cr_assert_eq(get(reader, 5), 306);
    cr_assert_eq(get(reader, 5000), 0);
    cr_assert_eq(engine_close(reader), 0);
    cr_assert_eq(get(writer, 5), 9999);
    cr_assert_eq(engine_close(writer), 0);
    vfs_mem_free(vfs);
}

Test(engine_view, of_nothing_is_refused)
{
    struct engine_options options = {.read_only = true};
    char folder[] = "/tmp/engine_view_XXXXXX";
    struct engine *engine;

    cr_assert_eq(engine_open(&engine, "/nowhere/at/all", &options), -ENOENT);
    cr_assert(mkdtemp(folder));
    cr_assert_eq(engine_open(&engine, folder, &options), -ENOENT);
    cr_assert_eq(rmdir(folder), 0, "nothing may have been made in it");
}

/* --- a writer that never rests ------------------------------------------------------------- */

struct busy {
    struct engine *engine;
    atomic_uint acknowledged; /* every key has at least this number */
    atomic_bool end;
};

static void *busy_main(void *argument)
{
    struct busy *busy = argument;

    for (uint32_t number = 1; !atomic_load(&busy->end); number++) {
        for (uint32_t key = 0; key < 20; key++)
            cr_assert_eq(put(busy->engine, key, number), 0);
        atomic_store(&busy->acknowledged, number);
    }
    return NULL;
}

Test(engine_view, opens_beside_a_writer_that_recycles_its_files)
{
    struct vfs *vfs = vfs_mem_new();
    struct busy busy = {.engine = open_in(vfs, false)};
    struct engine_options options = {.vfs = vfs, .read_only = true, .segment_size = 64u << 10};
    unsigned opened = 0, stale = 0;
    pthread_t thread;

    cr_assert_eq(pthread_create(&thread, NULL, busy_main, &busy), 0);
    for (int i = 0; i < 60; i++) {
        uint32_t before = atomic_load(&busy.acknowledged);
        struct engine *reader;

        if (engine_open(&reader, "memory", &options) != 0)
            continue;
        opened++;
        for (uint32_t key = 0; key < 20 && before > 0; key++) {
            struct engine_value value = {0};
            uint32_t number = 0;
            int r = engine_get(reader, &key, sizeof key, &value);

            stale += r == ENGINE_E_STALE;
            if (r == 0) {
                memcpy(&number, value.bytes, sizeof number);
                cr_assert_geq(number, before, "key %u is older than what was acknowledged", key);
            } else {
                cr_assert_eq(r, ENGINE_E_STALE, "key %u: %d", key, r);
            }
            engine_value_deinit(&value);
        }
        engine_close(reader);
    }
    atomic_store(&busy.end, true);
    pthread_join(thread, NULL);
    engine_close(busy.engine);
    cr_assert_gt(opened, 0, "%u opened, %u stale", opened, stale);
    vfs_mem_free(vfs);
}

/* --- after a kill, and copies -------------------------------------------------------------- */

static void folder_remove(const char *folder)
{
    char command[300];

    snprintf(command, sizeof command, "rm -rf %s", folder);
    cr_assert_eq(system(command), 0);
}

Test(engine_view, shows_after_a_kill_what_was_acknowledged)
{
    char folder[] = "/tmp/engine_view_XXXXXX";
    struct engine_options options = {.read_only = true};
    struct engine *engine;
    int status;
    pid_t child;

    cr_assert(mkdtemp(folder));
    child = fork();
    if (child == 0) {
        if (engine_open(&engine, folder, NULL) != 0)
            _exit(1);
        for (uint32_t i = 0; i < 50; i++)
            if (put(engine, i, i + 1) != 0)
                _exit(1);
        kill(getpid(), SIGKILL);
    }
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert(WIFSIGNALED(status));
    for (int round = 0; round < 2; round++) {
        options.read_only = round == 0;
        cr_assert_eq(engine_open(&engine, folder, &options), 0);
        for (uint32_t i = 0; i < 50; i++)
            cr_assert_eq(get(engine, i), i + 1);
        cr_assert_eq(engine_close(engine), 0);
    }
    folder_remove(folder);
}

Test(engine_view, a_snapshot_is_an_engine_of_that_moment)
{
    char folder[] = "/tmp/engine_view_XXXXXX", copy[64], part[80];
    struct engine_options options = {.segment_size = 64u << 10, .ordered = true};
    struct engine *engine, *other;
    struct engine_stats stats;
    struct stat file;

    cr_assert(mkdtemp(folder));
    snprintf(copy, sizeof copy, "%s/copy", folder);
    snprintf(part, sizeof part, "%s.part", copy);
    cr_assert_eq(engine_open(&engine, folder, &options), 0);
    for (uint32_t i = 0; i < 900; i++)
        cr_assert_eq(put(engine, i % 300, i + 1), 0);
    for (uint32_t i = 0; i < 10; i++)
        cr_assert_eq(engine_delete(engine, &i, sizeof i), 0);
    cr_assert_eq(engine_snapshot(engine, copy), 0);
    cr_assert_eq(engine_snapshot(engine, copy), -EEXIST);
    cr_assert_eq(engine_snapshot(engine, "/nowhere/at/all"), -ENOENT);
    cr_assert_eq(put(engine, 20, 7), 0);
    cr_assert_eq(engine_open(&other, copy, NULL), 0);
    cr_assert_neq(stat(part, &file), 0);
    for (uint32_t i = 0; i < 300; i++)
        cr_assert_eq(get(other, i), i < 10 ? 0 : i + 601);
    engine_stats(other, &stats);
    cr_assert_eq(stats.keys, 290);
    cr_assert_eq(stats.tombstones, 0);
    cr_assert_eq(engine_close(other), 0);
    cr_assert_eq(engine_close(engine), 0);
    folder_remove(folder);
}

/* An engine with 300 keys in `folder`, and the names of a copy beside it. */
static struct engine *original(char *folder, char *copy, char *part)
{
    struct engine_options options = {.segment_size = 64u << 10};
    struct engine *engine;

    cr_assert(mkdtemp(folder));
    sprintf(copy, "%s/copy", folder);
    sprintf(part, "%s.part", copy);
    cr_assert_eq(engine_open(&engine, folder, &options), 0);
    for (uint32_t i = 0; i < 300; i++)
        cr_assert_eq(put(engine, i, i + 1), 0);
    return engine;
}

static void check_copy(const char *copy)
{
    struct engine_stats stats;
    struct engine *other;

    cr_assert_eq(engine_open(&other, copy, NULL), 0);
    for (uint32_t i = 0; i < 300; i++)
        cr_assert_eq(get(other, i), i + 1);
    engine_stats(other, &stats);
    cr_assert_eq(stats.keys, 300);
    cr_assert_eq(engine_close(other), 0);
}

/* In a process of its own: the kernel ends it at the first byte of a file beyond 100,000. */
static void crash_in_snapshot(const char *folder, const char *copy)
{
    struct rlimit limit = {100000, 100000};
    int status;
    pid_t child = fork();

    cr_assert(child >= 0);
    if (child == 0) {
        struct engine *engine;

        signal(SIGXFSZ, SIG_DFL);
        if (engine_open(&engine, folder, NULL) != 0 || setrlimit(RLIMIT_FSIZE, &limit) != 0)
            _exit(1);
        engine_snapshot(engine, copy);
        _exit(2);
    }
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGXFSZ, "status %x", (unsigned)status);
}

Test(engine_view, what_a_crashed_snapshot_left_is_removed_by_the_next)
{
    char folder[] = "/tmp/engine_view_XXXXXX", copy[64], part[80];
    struct engine *engine = original(folder, copy, part);
    struct stat file;

    cr_assert_eq(engine_close(engine), 0);
    crash_in_snapshot(folder, copy);
    cr_assert_eq(stat(part, &file), 0);
    cr_assert_neq(stat(copy, &file), 0);
    cr_assert_eq(engine_open(&engine, folder, NULL), 0);
    cr_assert_eq(engine_snapshot(engine, copy), 0);
    cr_assert_neq(stat(part, &file), 0);
    check_copy(copy);
    cr_assert_eq(mkdir(part, 0700), 0); /* a crash right behind the rename */
    cr_assert_eq(engine_snapshot(engine, copy), -EEXIST);
    cr_assert_neq(stat(part, &file), 0);
    cr_assert_eq(engine_close(engine), 0);
    folder_remove(folder);
}

Test(engine_view, a_snapshot_that_another_makes_is_left_alone)
{
    char folder[] = "/tmp/engine_view_XXXXXX", copy[64], part[80], inside[128];
    struct engine *engine = original(folder, copy, part), *other;
    struct stat file;
    int fd;

    snprintf(inside, sizeof inside, "%s/unfinished-snapshot", part);
    cr_assert_eq(mkdir(part, 0700), 0);
    cr_assert_eq(engine_open(&other, inside, NULL), 0);
    cr_assert_eq(put(other, 5000, 1), 0); /* is not to come up in a later copy */
    cr_assert_eq(engine_close(other), 0);
    fd = open(part, O_RDONLY | O_DIRECTORY);
    cr_assert(fd >= 0 && flock(fd, LOCK_EX) == 0);
    cr_assert_eq(engine_snapshot(engine, copy), -EEXIST);
    cr_assert_eq(stat(inside, &file), 0);
    close(fd);
    cr_assert_eq(engine_snapshot(engine, copy), 0);
    check_copy(copy);
    cr_assert_eq(engine_close(engine), 0);
    folder_remove(folder);
}

Test(engine_view, a_folder_of_somebody_else_is_not_taken_for_a_crashed_snapshot)
{
    char folder[] = "/tmp/engine_view_XXXXXX", copy[64], part[80];
    struct engine *engine = original(folder, copy, part), *other;

    cr_assert_eq(engine_open(&other, part, NULL), 0);
    cr_assert_eq(put(other, 1, 77), 0);
    cr_assert_eq(engine_close(other), 0);
    cr_assert_eq(engine_snapshot(engine, copy), -EEXIST);
    cr_assert_eq(engine_open(&other, part, NULL), 0);
    cr_assert_eq(get(other, 1), 77);
    cr_assert_eq(engine_close(other), 0);
    cr_assert_eq(engine_close(engine), 0);
    folder_remove(folder);
}

/* --- mapped files -------------------------------------------------------------------------- */

/* How many data files of the folder are mapped now. */
static unsigned mapped(const char *folder)
{
    FILE *maps = fopen("/proc/self/maps", "r");
    char line[600];
    unsigned count = 0;

    cr_assert(maps);
    while (fgets(line, sizeof line, maps))
        count += strstr(line, folder) && (strstr(line, ".log") || strstr(line, ".cask"));
    fclose(maps);
    return count;
}

Test(engine_view, maps_files_when_asked_until_they_go)
{
    char folder[] = "/tmp/engine_view_XXXXXX", command[64];
    struct engine_options options = {.segment_size = 64u << 10,
                                     .memory_size = 4096,
                                     .queue_size = 16u << 10,
                                     .sync = ENGINE_SYNC_NONE};
    struct engine *engine;

    cr_assert(mkdtemp(folder));
    for (unsigned life = 0; life < 2; life++) {
        options.map_files = life == 1;
        cr_assert_eq(engine_open(&engine, folder, &options), 0);
        for (uint32_t round = 1; round <= 4; round++) {
            for (uint32_t key = 0; key < 1000; key++)
                cr_assert_eq(put(engine, key, 10 * life + round), 0);
            cr_assert_eq(engine_flush_queue(engine), 0);
            if (round == 3)
                cr_assert_eq(engine_flush(engine), 0);
            for (uint32_t key = 0; key < 1000; key++)
                cr_assert_eq(get(engine, key), 10 * life + round);
        }
        cr_assert_eq(mapped(folder) > 1, life == 1, "life %u: %u are mapped", life, mapped(folder));
        cr_assert_eq(engine_close(engine), 0);
        cr_assert_eq(mapped(folder), 0);
    }
    snprintf(command, sizeof command, "rm -r %s", folder);
    cr_assert_eq(system(command), 0);
}
