/* Overwrites: many times as much is written as is alive, and meanwhile the disk that each node
 * takes stays within three times what is alive and a reserve. With --rounds N what is alive is 64
 * MiB, and N times that is written, as fast as it goes: 16 is the promise in full, 1 GiB. Without,
 * beside other suites, at a pace: who gets the cores must not decide whether flush can follow. */
#include "tests/process/fleet.h"
#include "tests/process/resp_client.h"
#include "tests/process/scenario.h"
#include "tests/dice.h"

#include <fts.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#define NODES      3u
#define CLIENTS    8u
#define CALL_MS    60000u
#define VALUE_SIZE 4096u
#define BATCH      64u         /* pairs of an MSET */
#define LIVE       (64u << 20) /* bytes of values that are alive */
#define LIVE_SMALL (16u << 20)
#define WRITES     8u            /* times that much is written over them */
#define PAUSE_MS   160u          /* of a writer behind a batch: 12 MiB/s of them all */
#define RESERVE    (64ull << 20) /* docs/operations.md, "How much disk" */
#define SAMPLE_MS  100u

struct writer {
    struct wear *wear;
    uint32_t first; /* its keys are first, first + CLIENTS, … */
    pthread_t thread;
};

struct wear {
    uint16_t port;
    uint32_t keys, writes, pause_ms;
    uint32_t *versions; /* of each key, as written last */
    struct writer writers[CLIENTS];
    atomic_uint running;
};

static void value_of(char value[VALUE_SIZE], uint32_t key, uint32_t version)
{
    dice_text((uint64_t)version << 32 | key, value, VALUE_SIZE);
}

static void write_batch(struct resp_client *client, struct wear *wear, const uint32_t keys[BATCH])
{
    static _Thread_local char values[BATCH][VALUE_SIZE], names[BATCH][24];
    struct resp_text words[1 + 2 * BATCH] = {{"MSET", 4}};
    struct resp_value reply = {0};
    uint64_t begin_ns = now_ns();

    for (uint32_t i = 0; i < BATCH; i++) {
        value_of(values[i], keys[i], ++wear->versions[keys[i]]);
        words[1 + 2 * i] = (struct resp_text){
            names[i], (size_t)snprintf(names[i], sizeof names[i], "wear:%u", keys[i])};
        words[2 + 2 * i] = (struct resp_text){values[i], VALUE_SIZE};
    }
    do
        REQUIRE(resp_client_call(client, words, 1 + 2 * BATCH, &reply) == 0 &&
                    now_ns() < begin_ns + (uint64_t)CALL_MS * 1000000,
                "MSET: %s", resp_value_told(&reply));
    while (!resp_value_is(&reply, "OK")); /* a machine that is slow for a while: once more */
}

/* Each key once, then any of them, as often as there are writes. */
static void *write_all(void *argument)
{
    struct writer *writer = argument;
    struct wear *wear = writer->wear;
    uint32_t keys = wear->keys / CLIENTS, batches = keys / BATCH;
    struct dice dice = {writer->first};
    struct resp_client client;

    resp_client_open(&client, wear->port, CALL_MS);
    for (uint32_t i = 0; i < batches * (1 + wear->writes); i++) {
        uint32_t batch[BATCH];

        for (uint32_t j = 0; j < BATCH; j++)
            batch[j] = writer->first +
                       CLIENTS * (i < batches ? i * BATCH + j : dice_pick(&dice, batches * BATCH));
        write_batch(&client, wear, batch);
        pause_ms(wear->pause_ms);
    }
    resp_client_deinit(&client);
    atomic_fetch_sub(&wear->running, 1);
    return NULL;
}

static uint64_t disk_of(const struct fleet *fleet, uint32_t node)
{
    char name[16], path[PATH_MAX];
    char *paths[] = {path, NULL};
    uint64_t bytes = 0;
    FTSENT *entry;
    FTS *walk;

    snprintf(name, sizeof name, "node-%u", node + 1);
    fleet_path(fleet, name, "", path);
    walk = fts_open(paths, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
    REQUIRE(walk, "%s", path);
    while ((entry = fts_read(walk)) != NULL)
        if (entry->fts_info == FTS_F || entry->fts_info == FTS_D)
            bytes += (uint64_t)entry->fts_statp->st_blocks * 512;
    fts_close(walk);
    return bytes;
}

static void check_some(struct wear *wear)
{
    char key[24], value[VALUE_SIZE];
    struct resp_client client;

    resp_client_open(&client, wear->port, CALL_MS);
    for (uint32_t i = 0; i < wear->keys; i += 7) {
        snprintf(key, sizeof key, "wear:%u", i);
        value_of(value, i, wear->versions[i]);
        resp_client_expect_bytes(&client, key, value, VALUE_SIZE);
    }
    resp_client_deinit(&client);
}

void scenario_wear(const struct scenario_options *options)
{
    uint64_t live = options->rounds > 0 ? LIVE : LIVE_SMALL, most = 0, begin_ns;
    struct wear wear = {.keys = (uint32_t)(live / VALUE_SIZE),
                        .writes = options->rounds     ? options->rounds
                                  : options->is_short ? WRITES / 2
                                                      : WRITES,
                        .pause_ms = options->rounds ? 0 : PAUSE_MS,
                        .running = CLIENTS};
    struct fleet fleet;

    fleet_open(&fleet, options->folder, NODES);
    wear.port = fleet.resp_port;
    wear.versions = calloc(wear.keys, sizeof *wear.versions);
    REQUIRE(wear.versions, "no memory");
    begin_ns = now_ns();
    for (uint32_t i = 0; i < CLIENTS; i++) {
        wear.writers[i] = (struct writer){.wear = &wear, .first = i};
        REQUIRE(pthread_create(&wear.writers[i].thread, NULL, write_all, &wear.writers[i]) == 0,
                "pthread_create");
    }
    while (atomic_load(&wear.running) > 0) {
        pause_ms(SAMPLE_MS);
        for (uint32_t k = 0; k < NODES; k++) {
            uint64_t bytes = disk_of(&fleet, k);

            REQUIRE(bytes <= 3 * live + RESERVE, "node %u takes %llu MiB of disk for %llu", k + 1,
                    (unsigned long long)bytes >> 20, (unsigned long long)live >> 20);
            most = bytes > most ? bytes : most;
        }
    }
    for (uint32_t i = 0; i < CLIENTS; i++)
        pthread_join(wear.writers[i].thread, NULL);
    uint64_t ms = (now_ns() - begin_ns) / 1000000;
    check_some(&wear);
    free(wear.versions);
    fleet_close(&fleet);
    scenario_say(options,
                 "%llu MiB written over %llu MiB at %llu MiB/s; a node took %llu MiB at most",
                 (unsigned long long)(live * wear.writes) >> 20, (unsigned long long)live >> 20,
                 (unsigned long long)((live * (1 + wear.writes)) >> 20) * 1000 / ms,
                 (unsigned long long)most >> 20);
}
