#include "storage/store_gather.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "storage/store_state.h"

/* What was read lies at the end of `out` and stays there, unless it is to be left out. */
static void take(struct store_gather *gather, size_t size)
{
    const uint8_t *bytes = gather->out + gather->size;
    struct record record;

    if (record_decode(bytes, size, &record) != 0 || record.partition != gather->partition ||
        record_size_padded(&record) > size)
        gather->damaged = true;
    else if (record.index <= gather->index_max)
        gather->size += record_size_padded(&record);
}

/* False: it is to be read from its file. */
static bool take_memory(struct store *store, struct store_gather *gather,
                        const struct store_gather_item *item)
{
    const uint8_t *bytes;
    size_t size;

    if (!store_recent(store, item->location) ||
        store_peek(store, item->location, item->size_max, &bytes, &size) != 0)
        return false;
    memcpy(gather->out + gather->size, bytes, size);
    take(gather, size);
    return true;
}

static void find_file(struct store *store, struct store_gather_item *item)
{
    struct data_file *file = data_files_at(&store->files, item->location);
    uint32_t left = file->length - data_file_offset(item->location);

    assert(data_file_offset(item->location) < file->length);
    item->size = item->size_max < left ? item->size_max : left;
    item->file = file->file;
    file->pins++;
}

int store_gather(struct store *store, struct store_gather *gather, void *context,
                 struct store_job **out)
{
    struct store_job *job = store_read_job(store, context);
    uint32_t left = 0;

    if (!job)
        return -ENOMEM;
    gather->size = 0;
    gather->damaged = false;
    for (uint32_t i = 0; i < gather->count; i++) {
        struct store_gather_item *item = &gather->items[i];

        item->file = NULL;
        if (take_memory(store, gather, item))
            continue;
        find_file(store, item);
        left++;
    }
    job->kind = STORE_JOB_KIND_GATHER;
    job->gather = gather;
    if (left == 0) {
        store_gather_done(store, job);
        return 0;
    }
    *out = job;
    return STORE_E_AGAIN;
}

int store_gather_run(struct store_job *job)
{
    struct store_gather *gather = job->gather;

    for (uint32_t i = 0; i < gather->count && !gather->damaged; i++) {
        const struct store_gather_item *item = &gather->items[i];
        int64_t got;

        if (!item->file)
            continue;
        got = vfs_pread(item->file, gather->out + gather->size, item->size,
                        data_file_offset(item->location));
        if (got < 0)
            return (int)got;
        take(gather, (size_t)got);
    }
    return 0;
}

void store_gather_done(struct store *store, struct store_job *job)
{
    for (uint32_t i = 0; i < job->gather->count; i++)
        if (job->gather->items[i].file)
            store_unpin(store, job->gather->items[i].location);
    store_read_job_end(store, job);
}
