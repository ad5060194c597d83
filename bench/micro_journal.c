#include "bench/micro.h"
#include "bench/worker.h"
#include "storage/record.h"
#include "storage/store.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define PARTITIONS 64u
#define KEY_SIZE   16u
#define VALUE_SIZE 100u
#define KEYS       100000u

struct context {
    struct store *store;
    struct vfs *vfs;
    uint64_t indexes[PARTITIONS];
    uint64_t applied[PARTITIONS];
    uint64_t entries;
    uint32_t batch; /* entries a synced batch */
    uint64_t now_ms;
    uint8_t value[VALUE_SIZE];
};

/* Without commits of replicas there is nothing to recover here: an empty store stays empty. */
static void on_checkpoint(void *context, uint16_t partition,
                          const struct store_checkpoint *checkpoint)
{
    (void)context;
    (void)partition;
    (void)checkpoint;
}

static void on_hard_state(void *context, uint16_t partition, const struct store_hard_state *state)
{
    (void)context;
    (void)partition;
    (void)state;
}

static void on_entry(void *context, uint16_t partition, const struct record *records, size_t count,
                     store_location location, uint32_t size)
{
    (void)context;
    (void)partition;
    (void)records;
    (void)count;
    (void)location;
    (void)size;
}

static void on_commit(void *context, uint16_t partition, uint64_t commit)
{
    (void)context;
    (void)partition;
    (void)commit;
}

static void on_fence(void *context, uint16_t partition, const char *why)
{
    (void)context;
    fprintf(stderr, "partition %u is fenced: %s\n", partition, why);
    abort();
}

static void save_checkpoint(void *argument, uint16_t partition, struct store_checkpoint *checkpoint)
{
    struct context *context = argument;

    *checkpoint = (struct store_checkpoint){.term = 1,
                                            .applied = context->applied[partition],
                                            .applied_term = context->applied[partition] ? 1 : 0,
                                            .first_index = context->applied[partition] + 1,
                                            .first_prev_term = context->applied[partition] ? 1 : 0,
                                            .state = (const uint8_t *)""};
}

/* A batch is written and synced, and what else the store asks for is done. */
static void run_jobs(struct context *context, bool write)
{
    struct store_job *job;

    context->now_ms++;
    while (write && (job = store_next_job(context->store, STORE_JOB_WRITE, context->now_ms))) {
        int r = store_done(context->store, job, store_job_run(job));

        assert(r == 0);
    }
    while ((job = store_next_job(context->store, STORE_JOB_BACKGROUND, context->now_ms))) {
        int r = store_done(context->store, job, store_job_run(job));

        assert(r == 0);
    }
}

static struct keydir_digest digest_of(uint64_t key)
{
    return (struct keydir_digest){.high = (key + 1) * UINT64_C(0x9e3779b97f4a7c15),
                                  .low = (key + 7) * UINT64_C(0xc2b2ae3d27d4eb4f)};
}

static void append(struct context *context, uint64_t number)
{
    uint64_t key = number * UINT64_C(0x9e3779b97f4a7c15) % KEYS;
    uint16_t partition = (uint16_t)(key % PARTITIONS);
    struct keydir_digest digest = digest_of(key);
    struct record record = {.partition = partition,
                            .kind = RECORD_KIND_PUT,
                            .flags = RECORD_FLAG_REQUEST,
                            .term = 1,
                            .index = ++context->indexes[partition],
                            .request = {1, context->indexes[partition], 1, 1},
                            .key = (const uint8_t *)&digest,
                            .key_size = KEY_SIZE,
                            .value = context->value,
                            .value_size = VALUE_SIZE};
    store_location location;
    uint32_t size;
    int r = store_append(context->store, &record, 1, &location, &size);

    assert(r == 0);
    context->applied[partition] = record.index;
    store_commit(context->store, partition, record.index);
    r = store_apply(context->store, partition, &digest, location, size, false, false);
    assert(r == 0);
    store_retain(context->store, partition, record.index);
}

static void run_append(void *argument, uint64_t count)
{
    struct context *context = argument;

    for (uint64_t i = 0; i < count; i++) {
        append(context, context->entries++);
        if ((i + 1) % context->batch == 0)
            run_jobs(context, true);
    }
    run_jobs(context, true);
}

static void run_find(void *argument, uint64_t count)
{
    struct context *context = argument;

    for (uint64_t i = 0; i < count; i++) {
        uint64_t key = i * UINT64_C(0xbf58476d1ce4e5b9) % KEYS;
        uint16_t partition = (uint16_t)(key % PARTITIONS);
        struct keydir_digest digest = digest_of(key);
        struct keydir_entry entry;
        const uint8_t *bytes;
        size_t size;

        if (store_find(context->store, partition, &digest, &entry) != 0)
            continue;
        if (store_peek(context->store, entry.location, entry.size_max, &bytes, &size) == 0)
            micro_keep(bytes);
    }
}

static int open_store(struct context *context, const char *folder)
{
    struct store_options options = {.folder = "shard-00",
                                    .partitions = PARTITIONS,
                                    .segment_size = 64u << 20,
                                    .batch_size_max = 1u << 20,
                                    .queue_size_max = 64u << 20,
                                    .memory_size_max = 16u << 20,
                                    .zero_ahead_size = 8u << 20,
                                    .journal_size_max = UINT64_C(4) << 30};
    struct store_visitor visitor = {.context = context,
                                    .on_checkpoint = on_checkpoint,
                                    .on_hard_state = on_hard_state,
                                    .on_entry = on_entry,
                                    .on_commit = on_commit,
                                    .on_fence = on_fence,
                                    .save_checkpoint = save_checkpoint};
    uint16_t partitions[PARTITIONS];
    uint8_t hash[32] = {1};
    int r = vfs_posix_open(&context->vfs, folder);

    if (r < 0)
        return r;
    r = store_open(&context->store, context->vfs, &options, &visitor);
    if (r != 0)
        return r < 0 ? r : -EIO;
    for (uint16_t i = 0; i < PARTITIONS; i++)
        partitions[i] = i;
    r = store_found(context->store, hash, partitions, PARTITIONS);
    return r > 0 ? -EIO : r;
}

static void time_all(const struct micro_options *options, struct context *context)
{
    static const struct {
        const char *name;
        uint32_t batch;
        uint64_t count_max;
    } batches[] = {{"append and sync, 1 a batch", 1, 20000},
                   {"append and sync, 8 a batch", 8, 100000},
                   {"append and sync, 50 a batch", 50, 400000},
                   {"append and sync, 500 a batch", 500, 1000000}};
    struct micro_case find = {"find and peek", run_find, KEY_SIZE + VALUE_SIZE, 0, NULL};
    struct store_stats before, after;

    for (size_t i = 0; i < sizeof batches / sizeof *batches; i++) {
        struct micro_case row = {batches[i].name, run_append, KEY_SIZE + VALUE_SIZE,
                                 batches[i].count_max, NULL};

        context->batch = batches[i].batch;
        store_stats(context->store, &before);
        micro_time(options, &row, context);
        store_stats(context->store, &after);
        micro_figure(options, "  bytes in the journal an entry",
                     (double)(after.bytes_appended - before.bytes_appended) /
                         (double)(after.entries - before.entries),
                     "bytes");
    }
    micro_time(options, &find, context);
}

static void remove_folder(const char *folder)
{
    char command[512];

    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    if (system(command) != 0)
        fprintf(stderr, "cannot remove %s\n", folder);
}

int micro_journal(const struct micro_options *options)
{
    static struct context context;
    char folder[256];
    int r;

    snprintf(folder, sizeof folder, "%.200s/ring-bench-XXXXXX", options->folder);
    if (!mkdtemp(folder))
        return -errno;
    r = open_store(&context, folder);
    if (r == 0)
        time_all(options, &context);
    if (context.store)
        store_close(context.store);
    if (context.vfs)
        vfs_posix_close(context.vfs);
    remove_folder(folder);
    return r;
}
