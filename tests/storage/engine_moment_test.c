/* What an ordered scan shows while another thread writes, deletes and merges. */
#include "storage/engine.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "storage/vfs.h"

#define ROUNDS     400u
#define ROUND_KEYS 200u

struct rounds {
    struct engine *engine;
    atomic_bool done;
};

static bool deletes(uint32_t round, uint32_t key)
{
    return key > 0 && (key * 7 + round) % 41 == 0;
}

/* Key 0 is written in all rounds, each other one in every 13th. */
static bool writes(uint32_t round, uint32_t key)
{
    return key == 0 || (key + round) % 13 == 0;
}

/* Which round's value the key has after this one; 0: none. */
static uint32_t value_after(uint32_t round, uint32_t key)
{
    for (; round > 0; round--) {
        if (deletes(round, key))
            return 0;
        if (writes(round, key))
            return round;
    }
    return 0;
}

/* Each round is one entry; files are merged all the time. */
static void *rounds_main(void *argument)
{
    struct rounds *rounds = argument;
    static char value[600];
    static uint32_t keys[ROUND_KEYS];

    for (uint32_t round = 1; round <= ROUNDS; round++) {
        struct engine_op ops[ROUND_KEYS];
        size_t count = 0;

        memcpy(value, &round, sizeof round);
        for (uint32_t i = 0; i < ROUND_KEYS; i++) {
            keys[i] = i;
            if (deletes(round, i))
                ops[count++] = (struct engine_op){&keys[i], sizeof keys[i], NULL, 0};
            else if (writes(round, i))
                ops[count++] = (struct engine_op){&keys[i], sizeof keys[i], value, sizeof value};
        }
        cr_assert_eq(engine_batch(rounds->engine, ops, count), 0);
        if (round % 16 == 0)
            cr_assert_eq(engine_flush(rounds->engine), 0);
    }
    atomic_store(&rounds->done, true);
    return NULL;
}

/* The scan is the state after one round, which is returned. */
static uint32_t scan_round(struct engine *engine)
{
    uint32_t seen[ROUND_KEYS] = {0}, key;
    struct engine_cursor *cursor;
    struct engine_item item;

    cr_assert_eq(engine_scan(engine, NULL, &cursor), 0);
    while (engine_cursor_next(cursor, &item) == 0) {
        memcpy(&key, item.key, sizeof key);
        memcpy(&seen[key], item.value, sizeof seen[key]);
    }
    engine_cursor_close(cursor);
    for (key = 1; key < ROUND_KEYS; key++)
        cr_assert_eq(seen[key], value_after(seen[0], key), "key %u, round %u", key, seen[0]);
    return seen[0];
}

/* Whatever is written, deleted and merged at the moment. */
Test(engine_moment, a_scan_shows_the_state_at_one_index)
{
    struct vfs *vfs = vfs_mem_new();
    struct engine_options options = {.vfs = vfs,
                                     .sync = ENGINE_SYNC_NONE,
                                     .ordered = true,
                                     .segment_size = 64u << 10,
                                     .queue_size = 64u << 10,
                                     .memory_size = 4096};
    struct rounds rounds = {.engine = NULL};
    uint32_t round = 0, before = 0;
    struct engine_stats stats;
    uint64_t casks = 0;
    pthread_t thread;

    cr_assert_eq(engine_open(&rounds.engine, "memory", &options), 0);
    cr_assert_eq(pthread_create(&thread, NULL, rounds_main, &rounds), 0);
    for (; !atomic_load(&rounds.done); before = round) {
        round = scan_round(rounds.engine);
        cr_assert_geq(round, before, "time went back");
        engine_stats(rounds.engine, &stats);
        casks += stats.casks;
    }
    pthread_join(thread, NULL);
    cr_assert(casks > 0 && scan_round(rounds.engine) == ROUNDS);
    cr_assert_eq(engine_close(rounds.engine), 0);
    vfs_mem_free(vfs);
}
