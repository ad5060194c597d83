#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "storage/checksum.h"
#include "storage/store.h"
#include "storage/vfs.h"

#define PARTITIONS 130u /* more than a round of flush takes victims */
#define KEYS       6000u
#define WRITES     12000u
#define CASKS_EACH 16u

/* A store whose every write is committed at once, and which needs no log. */
struct bench {
    struct store *store;
    uint64_t applied[PARTITIONS];
    uint64_t now_ms;
};

static void on_checkpoint(void *context, uint16_t partition,
                          const struct store_checkpoint *checkpoint)
{
    (void)context;
    (void)partition;
    (void)checkpoint;
}

static void on_fence(void *context, uint16_t partition, const char *why)
{
    (void)context;
    cr_assert_fail("partition %u: %s", (unsigned)partition, why);
}

static void save_checkpoint(void *context, uint16_t partition, struct store_checkpoint *checkpoint)
{
    static const uint8_t state = 1;
    const struct bench *bench = context;

    *checkpoint = (struct store_checkpoint){.term = 1,
                                            .applied = bench->applied[partition],
                                            .applied_term = 1,
                                            .first_index = bench->applied[partition] + 1,
                                            .first_prev_term = 1,
                                            .state = &state,
                                            .state_size = 1};
}

static void digest_of(const void *context, const uint8_t *key, size_t size,
                      struct keydir_digest *out)
{
    (void)context;
    *out =
        (struct keydir_digest){.high = checksum_seeded(key, size, 1), .low = checksum(key, size)};
}

static void bench_open(struct bench *bench, struct vfs *vfs)
{
    struct store_options options = {.folder = "shard-00",
                                    .partitions = PARTITIONS,
                                    .segment_size = 64u << 10,
                                    .batch_size_max = 64u << 10,
                                    .queue_size_max = 4u << 20,
                                    .memory_size_max = 64u << 10,
                                    .zero_ahead_size = 64u << 10,
                                    .journal_size_max = UINT64_C(1) << 40,
                                    .flush_size_max = 8u << 10,
                                    .digest = digest_of};
    struct store_visitor visitor = {.context = bench,
                                    .on_checkpoint = on_checkpoint,
                                    .on_fence = on_fence,
                                    .save_checkpoint = save_checkpoint};
    const uint8_t hash[32] = {1};
    uint16_t partitions[PARTITIONS];

    *bench = (struct bench){.now_ms = 1000};
    for (uint16_t i = 0; i < PARTITIONS; i++)
        partitions[i] = i;
    cr_assert_eq(store_open(&bench->store, vfs, &options, &visitor), 0);
    cr_assert_eq(store_found(bench->store, hash, partitions, PARTITIONS), 0);
}

/* Runs jobs until there are none, but not for ever: flush goes on as long as something is dead. */
static void work(struct bench *bench)
{
    static const enum store_job_class classes[] = {STORE_JOB_WRITE, STORE_JOB_BACKGROUND};
    uint32_t idle = 0;

    bench->now_ms += 200;
    for (uint32_t n = 0; n < 240 && idle < 2; n++) {
        struct store_job *job = store_next_job(bench->store, classes[n % 2], bench->now_ms);

        idle = job ? 0 : idle + 1;
        if (job)
            cr_assert_geq(store_done(bench->store, job, store_job_run(job)), 0);
    }
}

static void put(struct bench *bench, uint32_t number)
{
    char key[16];
    uint8_t value[200] = {0};
    uint16_t partition = (uint16_t)(number % PARTITIONS);
    struct record record = {.partition = partition,
                            .kind = RECORD_KIND_PUT,
                            .term = 1,
                            .index = bench->applied[partition] + 1,
                            .sub_count = 1,
                            .key = (const uint8_t *)key,
                            .key_size = (size_t)snprintf(key, sizeof key, "key-%u", number),
                            .value = value,
                            .value_size = sizeof value};
    struct keydir_digest digest;
    store_location location;
    uint32_t size;

    while (store_append(bench->store, &record, 1, &location, &size) != 0)
        work(bench);
    bench->applied[partition]++;
    store_commit(bench->store, partition, record.index);
    store_retain(bench->store, partition, record.index + 1);
    digest_of(NULL, record.key, record.key_size, &digest);
    cr_assert_eq(store_apply(bench->store, partition, &digest, location, size, false, false), 0);
}

/* Each round leaves a small cask in most partitions. They are merged as fast as they come, else
 * slots and open files would run out. */
Test(store_victims, many_partitions_do_not_end_in_ever_more_casks, .timeout = 300)
{
    struct vfs *vfs = vfs_mem_new();
    struct store_stats stats;
    struct bench bench;
    uint64_t random = 88172645463325252u;

    bench_open(&bench, vfs);
    for (uint32_t n = 0; n < WRITES; n++) {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        put(&bench, n < KEYS ? n : (uint32_t)(random % KEYS));
        if (n % 64 == 63)
            work(&bench);
    }
    store_stats(bench.store, &stats);
    cr_assert_gt(stats.casks, PARTITIONS * CASKS_EACH / 2, "too little has come together");
    cr_assert_leq(stats.casks, PARTITIONS * (CASKS_EACH + 1));
    store_check(bench.store);
    store_close(bench.store);
    vfs_mem_free(vfs);
}
