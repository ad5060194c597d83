/* Bugs that other engines had, where no test of our own noun covers them: docs/known-bugs.md. */
#include "storage/engine.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define KEYS 200u

static char folder[] = "/tmp/engine_known_test_XXXXXX";

static void begin(void)
{
    cr_assert(mkdtemp(folder));
}

static void end(void)
{
    char command[128];

    snprintf(command, sizeof command, "rm -r %s", folder);
    cr_assert_eq(system(command), 0);
}

static uint32_t entries_of(const char *path)
{
    DIR *directory = opendir(path);
    uint32_t count = 0;

    cr_assert(directory);
    while (readdir(directory))
        count++;
    closedir(directory);
    return count;
}

static void put_all(struct engine *engine, uint32_t round)
{
    char key[32], value[400];

    memset(value, 'v', sizeof value);
    for (uint32_t i = 0; i < KEYS; i++) {
        int size = snprintf(key, sizeof key, "key-%u", i);

        snprintf(value, sizeof value, "%u", round);
        cr_assert_eq(engine_put(engine, key, (size_t)size, value, sizeof value), 0);
    }
}

static void expect_all(struct engine *engine, uint32_t round)
{
    struct engine_value value = {0};
    char key[32];

    for (uint32_t i = 0; i < KEYS; i++) {
        int size = snprintf(key, sizeof key, "key-%u", i);

        cr_assert_eq(engine_get(engine, key, (size_t)size, &value), 0);
        cr_assert_eq(strtoul((const char *)value.bytes, NULL, 10), round);
    }
    engine_value_deinit(&value);
}

static struct engine *open_engine(void)
{
    struct engine_options options = {.sync = ENGINE_SYNC_NONE, .segment_size = 64u << 10};
    struct engine *engine;

    cr_assert_eq(engine_open(&engine, folder, &options), 0);
    return engine;
}

/* basho/bitcask #61, #113, #249: files that were merged away stayed open, until no descriptor was
 * left. */
Test(engine_known, files_that_go_are_closed)
{
    struct engine *engine;
    struct engine_stats stats;
    uint32_t open_before = 0, files_before = 0;

    begin();
    engine = open_engine();
    for (uint32_t round = 1; round <= 12; round++) {
        for (uint32_t i = 0; i < 4; i++)
            put_all(engine, round);
        cr_assert_eq(engine_flush(engine), 0);
        if (round == 4) {
            open_before = entries_of("/proc/self/fd");
            files_before = entries_of(folder);
        }
    }
    cr_assert_leq(entries_of("/proc/self/fd"), open_before + 8);
    cr_assert_leq(entries_of(folder), files_before + 8);
    engine_stats(engine, &stats);
    cr_assert_gt(stats.appended_bytes, UINT64_C(12) * 4 * KEYS * 400, "or nothing had to go");
    expect_all(engine, 12);
    cr_assert_eq(engine_close(engine), 0);
    end();
}

/* basho/bitcask #136: an empty newest file broke the counter of file numbers, and puts hung. */
Test(engine_known, lives_without_a_write_change_nothing)
{
    struct engine *engine;
    uint32_t files = 0;

    begin();
    for (uint32_t life = 1; life <= 40; life++) {
        engine = open_engine();
        if (life == 1 || life == 20)
            put_all(engine, life);
        expect_all(engine, life < 20 ? 1 : 20);
        cr_assert_eq(engine_close(engine), 0);
        if (life == 24)
            files = entries_of(folder);
    }
    cr_assert_leq(entries_of(folder), files + 2, "each life leaves a file behind");
    engine = open_engine();
    put_all(engine, 41);
    expect_all(engine, 41);
    cr_assert_eq(engine_close(engine), 0);
    end();
}
