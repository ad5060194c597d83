#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "storage/store_state.h"

/* --- the write job ------------------------------------------------------------------------- */

/* Lets a lone synced mark follow when nothing else carries it in time. Begins an open batch for it
 * that store_seal() then places. */
static void mark_if_due(struct store *store, uint64_t now_ms)
{
    const struct journal *journal = &store->journal;

    if (journal->synced <= store->mark_carried || store->mark_last || journal->begun ||
        store->hard_count > 0 || journal->open != journal->synced + 1) {
        store->mark_due_ms = 0;
        return;
    }
    if (store->mark_due_ms == 0)
        store->mark_due_ms = now_ms + STORE_MARK_MS;
    /* No segment takes only a mark: what has no room goes without. */
    if (now_ms < store->mark_due_ms || !store->current || journal_is_full(journal) ||
        store->current->base.length + JOURNAL_BLOCK_SIZE > store->current->capacity)
        return;
    store->mark_due_ms = 0;
    if (journal_begin(&store->journal, 0) == 0)
        journal_open_batch(&store->journal)->flags |= JOURNAL_BATCH_MARK;
}

static bool segment_is_zeroed(const struct store *store, uint64_t number)
{
    return store->background_busy && store->background_job.kind == STORE_JOB_KIND_ZERO &&
           store->background_job.segment->base.number == number;
}

static struct journal_segment *segment_by_number(const struct store *store, uint64_t number)
{
    for (size_t i = store->segments.count; i-- > 0;)
        if (store->segments.items[i]->base.number == number)
            return store->segments.items[i];
    return NULL;
}

static struct store_job *write_next(struct store *store, uint64_t now_ms)
{
    const struct journal_batch *batches[STORE_JOB_BATCHES];
    struct store_job *job = &store->write_job;
    struct journal *journal = &store->journal;

    if (store->write_busy || store->fenced || store->failed)
        return NULL;
    if (store->write_retry && store->write_retry_ms == 0)
        store->write_retry_ms = now_ms + STORE_RETRY_MS;
    if (store->write_retry && now_ms < store->write_retry_ms)
        return NULL;
    store_checkpoint_if_wanted(store);
    store_flush_seal(store);
    mark_if_due(store, now_ms);
    store_seal(store);
    if (journal->synced + 1 == journal->open)
        return NULL;
    /* One writer a file at a time. */
    if (segment_is_zeroed(store, journal_batch_at(journal, journal->synced + 1)->segment))
        return NULL;
    *job = (struct store_job){
        .class = STORE_JOB_WRITE,
        .kind = STORE_JOB_KIND_WRITE,
        .vfs = store->vfs,
    };
    job->batch_count = journal_write_begin(journal, batches, STORE_JOB_BATCHES);
    assert(job->batch_count > 0);
    job->segment = segment_by_number(store, batches[0]->segment);
    job->file = job->segment->base.file;
    job->epoch = batches[0]->epoch;
    job->offset = batches[0]->offset;
    for (size_t i = 0; i < job->batch_count; i++)
        job->iov[i] = (struct iovec){.iov_base = batches[i]->bytes, .iov_len = batches[i]->length};
    store->mark_carried = journal->synced;
    store->write_retry = false;
    store->write_busy = true;
    return job;
}

static int write_run(struct store_job *job)
{
    int r;

    for (size_t i = 0; i < job->batch_count; i++)
        journal_batch_finish(job->iov[i].iov_base, job->epoch);
    r = vfs_pwritev(job->file, job->iov, (int)job->batch_count, job->offset);
    return r == 0 ? vfs_sync(job->file) : r;
}

static void segments_sealed(struct store *store)
{
    for (size_t i = 0; i < store->segments.count; i++) {
        struct journal_segment *segment = store->segments.items[i];

        if (segment->state == JOURNAL_SEGMENT_FULL && segment->last_batch <= store->journal.synced)
            segment->state = JOURNAL_SEGMENT_SEALED;
    }
}

static void checkpoint_durable(struct store *store)
{
    if (store->checkpoints_durable == store->checkpoints_taken ||
        store->checkpoint_batch > store->journal.synced)
        return;
    store->checkpoints_durable = store->checkpoints_taken;
    for (size_t i = 0; i < store->hosted_count; i++) {
        struct store_partition *part = store_partition(store, store->hosted[i]);

        part->checkpoint_first_durable = part->checkpoint_first;
        if (part->checkpoint_on_floor)
            manifest_floor_release(&store->manifest, part->number);
    }
}

static int write_done(struct store *store, struct store_job *job, int result)
{
    assert(store->write_busy);
    store->write_busy = false;
    if (vfs_is_full(result)) {
        /* Preallocated, yet the disk found no room (copy on write): the same bytes are written
         * again, all of them, so that the sync behind it is true for them. */
        journal_write_end(&store->journal, false);
        store->disk_full = true;
        store->write_retry = true;
        store->write_retry_ms = 0;
        return 0;
    }
    if (result < 0) {
        journal_write_end(&store->journal, false);
        store->failed = true;
        return result;
    }
    journal_write_end(&store->journal, true);
    store->stats.batches += job->batch_count;
    store->stats.syncs++;
    segments_sealed(store);
    checkpoint_durable(store);
    return 0;
}

/* --- read jobs ----------------------------------------------------------------------------- */

/* Written to its end and synced: its bytes stay as they are until it is closed. */
static bool is_final(const struct data_file *file)
{
    const struct journal_segment *segment = (const struct journal_segment *)file;

    return file->kind == DATA_FILE_CASK || segment->state == JOURNAL_SEGMENT_SEALED ||
           segment->state == JOURNAL_SEGMENT_RETIRED;
}

struct store_job *store_read_job(struct store *store, void *context)
{
    struct store_job *job = store->read_free;

    if (job) {
        store->read_free = job->free_next;
        store->read_free_count--;
    } else {
        job = calloc(1, sizeof(*job));
        if (!job)
            return NULL;
    }
    job->class = STORE_JOB_READ;
    job->kind = STORE_JOB_KIND_READ;
    job->vfs = store->vfs;
    job->context = context;
    store->reads_out++;
    return job;
}

void store_read_job_end(struct store *store, struct store_job *job)
{
    store->reads_out--;
    if (store->read_free_count == STORE_READ_JOBS_MAX) {
        free(job->buffer);
        free(job);
        return;
    }
    if (job->buffer_capacity > STORE_SCRATCH_SIZE) { /* one large value, not a size to expect */
        free(job->buffer);
        job->buffer = NULL;
        job->buffer_capacity = 0;
    }
    job->free_next = store->read_free;
    store->read_free = job;
    store->read_free_count++;
}

struct store_job *store_read(struct store *store, store_location location, size_t size,
                             void *context)
{
    struct data_file *file = data_files_at(&store->files, location);
    struct store_job *job = store_read_job(store, context);
    uint32_t offset = data_file_offset(location);

    assert(file && offset < file->length);
    if (!job)
        return NULL;
    if (size > file->length - offset)
        size = file->length - offset;
    job->map =
        store->options.map_files && is_final(file) ? vfs_map(file->file, file->length) : NULL;
    if (!job->map && size > job->buffer_capacity) {
        uint8_t *buffer = realloc(job->buffer, size);

        if (!buffer) {
            store_read_job_end(store, job);
            return NULL;
        }
        job->buffer = buffer;
        job->buffer_capacity = size;
    }
    job->file = file->file;
    job->data_file = file;
    job->offset = offset;
    job->size = size;
    job->got = 0;
    file->pins++;
    return job;
}

static int read_run(struct store_job *job)
{
    int64_t got =
        job->map ? (int64_t)job->size : vfs_pread(job->file, job->buffer, job->size, job->offset);

    if (got < 0)
        return (int)got;
    job->got = (size_t)got;
    return 0;
}

void *store_read_result(struct store_job *job, const uint8_t **bytes, size_t *bytes_size)
{
    assert(job->class == STORE_JOB_READ);
    if (job->kind == STORE_JOB_KIND_GATHER) {
        *bytes = job->gather->out;
        *bytes_size = job->gather->size;
        return job->context;
    }
    *bytes = job->map ? job->map + job->offset : job->buffer;
    *bytes_size = job->got;
    return job->context;
}

static void read_done(struct store *store, struct store_job *job)
{
    assert(job->data_file->pins > 0);
    job->data_file->pins--;
    store_read_job_end(store, job);
}

/* --- the one face -------------------------------------------------------------------------- */

struct store_job *store_next_job(struct store *store, enum store_job_class class, uint64_t now_ms)
{
    store_scratch_reset(store);
    switch (class) {
    case STORE_JOB_WRITE:
        return write_next(store, now_ms);
    case STORE_JOB_BACKGROUND:
        return store_background_next(store, now_ms);
    case STORE_JOB_READ:
        break;
    }
    return NULL;
}

int store_job_run(struct store_job *job)
{
    switch (job->class) {
    case STORE_JOB_WRITE:
        return write_run(job);
    case STORE_JOB_BACKGROUND:
        return store_background_run(job);
    case STORE_JOB_READ:
        break;
    }
    return job->kind == STORE_JOB_KIND_TRAIN    ? store_train_run(job)
           : job->kind == STORE_JOB_KIND_GATHER ? store_gather_run(job)
                                                : read_run(job);
}

enum store_job_class store_job_class(const struct store_job *job)
{
    return job->class;
}

int store_done(struct store *store, struct store_job *job, int result)
{
    store_scratch_reset(store);
    switch (job->class) {
    case STORE_JOB_WRITE:
        return write_done(store, job, result);
    case STORE_JOB_BACKGROUND:
        return store_background_done(store, job, result);
    case STORE_JOB_READ:
        break;
    }
    if (job->kind == STORE_JOB_KIND_TRAIN)
        store_train_done(store, job);
    else if (job->kind == STORE_JOB_KIND_GATHER)
        store_gather_done(store, job);
    else
        read_done(store, job);
    return 0;
}
