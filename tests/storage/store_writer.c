#include "store_writer.h"

#include <criterion/criterion.h>
#include <stdio.h>

#include "storage/checksum.h"
#include "tests/dice.h"

/* --- a disk that counts -------------------------------------------------------------------- */

static struct vfs_ops counting;
static const struct vfs_ops *counted;
static uint64_t bytes_written;

static int pwritev_counted(struct vfs_file *file, const struct iovec *iov, int iov_count,
                           uint64_t offset)
{
    for (int i = 0; i < iov_count; i++)
        bytes_written += iov[i].iov_len;
    return counted->pwritev(file, iov, iov_count, offset);
}

static struct vfs *disk_new(void)
{
    struct vfs *vfs = vfs_mem_new();

    cr_assert_not_null(vfs);
    counted = vfs->ops;
    counting = *vfs->ops;
    counting.pwritev = pwritev_counted;
    vfs->ops = &counting;
    bytes_written = 0;
    return vfs;
}

uint64_t writer_bytes_written(void)
{
    return bytes_written;
}

struct held {
    struct vfs *vfs;
    char names[16384][48];
    size_t count;
};

static int name_note(void *context, const char *name)
{
    struct held *held = context;

    cr_assert_lt(held->count, sizeof held->names / sizeof *held->names);
    snprintf(held->names[held->count++], sizeof *held->names, "shard-00/%s", name);
    return 0;
}

uint64_t writer_bytes_held(struct writer *writer)
{
    static struct held held;
    uint64_t bytes = 0;

    held = (struct held){.vfs = writer->vfs};
    cr_assert_eq(vfs_list(writer->vfs, "shard-00", name_note, &held), 0);
    for (size_t i = 0; i < held.count; i++) {
        struct vfs_file *file;
        uint64_t size = 0;

        cr_assert_eq(vfs_open(writer->vfs, held.names[i], VFS_OPEN_READ, &file), 0);
        cr_assert_eq(vfs_size(file, &size), 0);
        vfs_close(file);
        bytes += size;
    }
    return bytes;
}

/* --- the other side of the store ----------------------------------------------------------- */

static void on_checkpoint(void *context, uint16_t partition,
                          const struct store_checkpoint *checkpoint)
{
    struct writer *writer = context;

    writer->applied[partition] = checkpoint->applied;
}

static void on_fence(void *context, uint16_t partition, const char *why)
{
    (void)context;
    cr_assert_fail("partition %u: %s", (unsigned)partition, why);
}

static void save_checkpoint(void *context, uint16_t partition, struct store_checkpoint *checkpoint)
{
    static const uint8_t state = 1;
    const struct writer *writer = context;

    *checkpoint = (struct store_checkpoint){.term = 1,
                                            .applied = writer->applied[partition],
                                            .applied_term = 1,
                                            .first_index = writer->applied[partition] + 1,
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

void writer_options(struct store_options *options)
{
    *options = (struct store_options){.folder = "shard-00",
                                      .partitions = 1,
                                      .segment_size = 64u << 10,
                                      .batch_size_max = 64u << 10,
                                      .queue_size_max = 4u << 20,
                                      .memory_size_max = 64u << 10,
                                      .zero_ahead_size = 64u << 10,
                                      .journal_size_max = UINT64_C(1) << 40,
                                      .flush_size_max = 64u << 10,
                                      .digest = digest_of};
}

void writer_open(struct writer *writer, const struct store_options *options)
{
    struct store_visitor visitor = {.context = writer,
                                    .on_checkpoint = on_checkpoint,
                                    .on_fence = on_fence,
                                    .save_checkpoint = save_checkpoint};
    const uint8_t hash[32] = {1};
    uint16_t partitions[WRITER_PARTITIONS_MAX];

    cr_assert_leq(options->partitions, WRITER_PARTITIONS_MAX);
    *writer = (struct writer){
        .vfs = disk_new(), .options = *options, .now_ms = 1000, .dice = {1}, .value_size = 200};
    for (uint16_t i = 0; i < options->partitions; i++)
        partitions[i] = i;
    cr_assert_eq(store_open(&writer->store, writer->vfs, options, &visitor), 0);
    cr_assert_eq(store_found(writer->store, hash, partitions, options->partitions), 0);
}

void writer_close(struct writer *writer)
{
    store_check(writer->store);
    store_close(writer->store);
    writer->vfs->ops = counted;
    vfs_mem_free(writer->vfs);
}

void writer_work(struct writer *writer, uint32_t jobs)
{
    static const enum store_job_class classes[] = {STORE_JOB_WRITE, STORE_JOB_BACKGROUND};
    uint32_t idle = 0;

    writer->now_ms += 200;
    for (uint32_t n = 0; n < jobs && idle < 2; n++) {
        struct store_job *job = store_next_job(writer->store, classes[n % 2], writer->now_ms);

        idle = job ? 0 : idle + 1;
        if (job)
            cr_assert_geq(store_done(writer->store, job, store_job_run(job)), 0);
    }
}

uint32_t writer_draw(struct writer *writer, uint32_t below)
{
    return dice_pick(&writer->dice, below);
}

void writer_put(struct writer *writer, uint32_t number)
{
    static uint8_t value[65536];
    char key[20];
    uint16_t partition = (uint16_t)(number % writer->options.partitions);
    struct record record = {.partition = partition,
                            .kind = RECORD_KIND_PUT,
                            .term = 1,
                            .index = writer->applied[partition] + 1,
                            .sub_count = 1,
                            .key = (const uint8_t *)key,
                            .key_size = (size_t)snprintf(key, sizeof key, "key-%012u", number),
                            .value = value,
                            .value_size = writer->value_size};
    struct keydir_digest digest;
    store_location location;
    uint32_t size;

    while (store_append(writer->store, &record, 1, &location, &size) != 0)
        writer_work(writer, 240);
    writer->applied[partition]++;
    writer->bytes_put += size;
    store_commit(writer->store, partition, record.index);
    store_retain(writer->store, partition, record.index + 1);
    digest_of(NULL, record.key, record.key_size, &digest);
    cr_assert_eq(store_apply(writer->store, partition, &digest, location, size, false, false), 0);
}
