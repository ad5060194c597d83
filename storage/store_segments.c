#include <assert.h>
#include <errno.h>
#include <string.h>

#include "storage/mutant.h"
#include "storage/store_state.h"

/* Background work: prepares the next segment, lets dead ones go, writes the manifest. One job at a
 * time, in the order of what frees or saves most. */

#define ZERO_PIECE_SIZE (64u << 10)
#define ZERO_PIECES     16

/* --- the jobs' work ------------------------------------------------------------------------ */

static int zero_fill(struct vfs_file *file, uint64_t from, uint64_t to, bool reserve)
{
    static const uint8_t zeros[ZERO_PIECE_SIZE];
    int reserved = reserve ? vfs_reserve(file, from, to) : -EOPNOTSUPP;

    if (reserved != -EOPNOTSUPP)
        return reserved;
    while (from < to) {
        struct iovec iov[ZERO_PIECES];
        uint64_t at = from;
        int count = 0;

        for (; count < ZERO_PIECES && at < to; count++) {
            uint64_t piece = to - at < ZERO_PIECE_SIZE ? to - at : ZERO_PIECE_SIZE;

            /* pwritev never writes to its source. */
            iov[count] =
                (struct iovec){.iov_base = (void *)(uintptr_t)zeros, .iov_len = (size_t)piece};
            at += piece;
        }
        int r = vfs_pwritev(file, iov, count, from);

        if (r < 0)
            return r;
        from = at;
    }
    return 0;
}

static int space_check(struct vfs *vfs, uint64_t needed, uint64_t reserve)
{
    uint64_t bytes_free = 0;
    int r = needed > 0 ? vfs_space(vfs, &bytes_free) : 0;

    if (r < 0 || needed == 0)
        return r;
    return bytes_free < needed || bytes_free - needed < reserve ? -ENOSPC : 0;
}

static int header_write(struct vfs_file *file, uint64_t number, uint64_t epoch)
{
    uint8_t block[JOURNAL_BLOCK_SIZE];
    struct iovec iov = {.iov_base = block, .iov_len = sizeof(block)};
    struct journal_segment_header header = {.number = number, .epoch = epoch};

    journal_segment_header_encode(&header, block);
    return vfs_pwritev(file, &iov, 1, 0);
}

int store_header_rewrite(const struct journal_segment *segment)
{
    int r = header_write(segment->base.file, segment->base.number, segment->epoch);

    return r == 0 ? vfs_sync(segment->base.file) : r;
}

/* A file of at least zero_to bytes, its header written, its name durable. */
static int prepare_run(struct store_job *job)
{
    char path[FILENAME_PATH_SIZE], spare[FILENAME_PATH_SIZE];
    uint64_t size = 0;
    int r = filename_journal(path, job->folder, job->number);

    if (r == 0)
        r = filename_journal(spare, job->folder, job->spare ? job->spare : job->number);
    /* Opened first: without a descriptor nothing is renamed. */
    if (r == 0)
        r = vfs_open(job->vfs, spare, VFS_OPEN_WRITE | VFS_OPEN_CREATE, &job->file);
    if (r == 0 && job->spare && job->spare != job->number)
        r = vfs_rename(job->vfs, spare, path);
    if (r == 0)
        r = vfs_size(job->file, &size);
    if (r != 0)
        return r;
    size = size & ~(uint64_t)(JOURNAL_BLOCK_SIZE - 1);
    size = size < JOURNAL_SEGMENT_SIZE_MAX ? size : JOURNAL_SEGMENT_SIZE_MAX;
    r = space_check(job->vfs, size < job->zero_to ? job->zero_to - size : 0, job->space_reserve);
    if (r == 0)
        r = header_write(job->file, job->number, job->epoch);
    if (r == 0 && size < job->zero_to)
        r = zero_fill(job->file, size > JOURNAL_BLOCK_SIZE ? size : JOURNAL_BLOCK_SIZE,
                      job->zero_to, job->reserve);
    if (r == 0)
        r = vfs_sync(job->file);
    if (r == 0)
        r = vfs_sync_dir(job->vfs, job->folder);
    job->length = (uint32_t)(size < job->zero_to ? job->zero_to : size);
    if (store_is_short(r)) {
        int removed = vfs_remove(job->vfs, path); /* gives back what it took */

        r = removed < 0 ? removed : r;
    }
    return r;
}

static int zero_run(struct store_job *job)
{
    int r = space_check(job->vfs, job->zero_to - job->zero_from, job->space_reserve);

    if (r == 0)
        r = zero_fill(job->file, job->zero_from, job->zero_to, job->reserve);
    return r == 0 ? vfs_sync(job->file) : r;
}

/* A name that is gone already is as good. */
static int remove_name(struct store_job *job, int r, const char *path)
{
    if (r == 0)
        r = vfs_remove(job->vfs, path);
    return r == -ENOENT ? 0 : r;
}

static int remove_run(struct store_job *job)
{
    char path[FILENAME_PATH_SIZE];
    int r = 0;

    if (job->remove_segment)
        r = remove_name(job, filename_journal(path, job->folder, job->number), path);
    if (r == 0 && job->remove_cask)
        r = remove_name(job, filename_cask(path, job->folder, job->partition, job->number), path);
    if (r == 0 && job->remove_hint)
        r = remove_name(job,
                        job->remove_cask
                            ? filename_cask_hint(path, job->folder, job->partition, job->number)
                            : filename_journal_hint(path, job->folder, job->number),
                        path);
    if (r == 0)
        r = vfs_sync_dir(job->vfs, job->folder);
    /* A name that is there again after a crash is found unlisted, and removed. */
    return r == -EMFILE || r == -ENFILE ? 0 : r;
}

int store_background_run(struct store_job *job)
{
    switch (job->kind) {
    case STORE_JOB_KIND_PREPARE:
        return prepare_run(job);
    case STORE_JOB_KIND_ZERO:
        return zero_run(job);
    case STORE_JOB_KIND_MANIFEST:
        return manifest_write_run(&job->write);
    case STORE_JOB_KIND_REMOVE:
        return remove_run(job);
    case STORE_JOB_KIND_HINT:
        job->step = hint_build_step(job->hint);
        return job->step < 0 ? job->step : 0;
    case STORE_JOB_KIND_FLUSH:
        job->step = flush_step(job->flush);
        return job->step < 0 ? job->step : 0;
    case STORE_JOB_KIND_INSTALL:
        return store_install_run(job);
    case STORE_JOB_KIND_SCRUB:
        return scrub_step(job->scrub);
    case STORE_JOB_KIND_STEP:
        return 0;
    default:
        assert(!"not a background job");
        return -EINVAL;
    }
}

/* --- choosing ------------------------------------------------------------------------------ */

/* A segment may go when nothing points into it and no partition needs its log, as of a checkpoint
 * that is durable and was taken after the last of its records died: recovery then starts from
 * there and misses nothing. with_new_checkpoint: as if one were taken now. */
bool store_segment_droppable(const struct store *store, const struct journal_segment *segment,
                             bool with_new_checkpoint)
{
    if (segment->state != JOURNAL_SEGMENT_SEALED || !segment->seal_listed ||
        segment->base.live_records > 0)
        return false;
    if (!with_new_checkpoint && segment->mark >= store->checkpoints_durable)
        return false;
    for (size_t i = 0; i < store->hosted_count; i++) {
        const struct store_partition *part = store_partition(store, store->hosted[i]);
        uint64_t first = with_new_checkpoint ? part->retain : part->checkpoint_first_durable;

        if (segment->index_max[part->slot] >= first && segment->index_max[part->slot] > 0)
            return false;
    }
    return true;
}

/* The drop and the spans that must outlive it are one edit: durable together or not at all. */
static int drop_queue(struct store *store, struct journal_segment *segment)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < segment->span_count; i++)
        if (!mutant(MUTANT_SPANS_FORGOTTEN))
            r = manifest_span_add(&store->manifest, &segment->spans[i]);
    if (r == 0)
        r = manifest_segment_drop(&store->manifest, segment->base.number);
    if (r < 0)
        return r;
    segment->state = JOURNAL_SEGMENT_DROPPING;
    segment->ticket = store->manifest.edits;
    store_file_changed(store, &segment->base);
    return 0;
}

/* Lists what has been sealed and drops what is dead. Without memory for an edit the segment stays
 * as it is: the next call tries again. */
static void edits_queue(struct store *store)
{
    for (size_t i = 0; i < store->segments.count; i++) {
        struct journal_segment *segment = store->segments.items[i];

        if (segment->state == JOURNAL_SEGMENT_SEALED && !segment->seal_listed) {
            if (manifest_segment_seal(&store->manifest, segment->base.number, segment->base.length,
                                      segment->last_batch) != 0)
                return;
            segment->seal_listed = true;
        }
        if (store_segment_droppable(store, segment, false) && drop_queue(store, segment) != 0)
            return;
    }
}

static struct journal_segment *dropped_find(const struct store *store)
{
    for (size_t i = 0; store->totals.dropping > 0 && i < store->segments.count; i++) {
        struct journal_segment *segment = store->segments.items[i];

        if (segment->state == JOURNAL_SEGMENT_DROPPING &&
            (segment->base.pins == 0 || mutant(MUTANT_SLOT_REUSED)) &&
            segment->ticket <= store->manifest.edits_durable)
            return segment;
    }
    return NULL;
}

struct store_job *store_background_begin(struct store *store, enum store_job_kind kind)
{
    struct store_job *job = &store->background_job;

    *job = (struct store_job){
        .class = STORE_JOB_BACKGROUND,
        .kind = kind,
        .vfs = store->vfs,
        .space_reserve = store->options.space_reserve,
        .reserve = store->options.reserve_ahead,
    };
    memcpy(job->folder, store->folder, sizeof(job->folder));
    store->background_busy = true;
    return job;
}

/* The one that is taken over next, NULL for none. */
static const struct store_spare *spare_next(const struct store *store)
{
    return store->spare_count > 0 ? &store->spares[store->spare_count - 1] : NULL;
}

static uint32_t round_size(uint64_t size)
{
    size = journal_block_round(size);
    return (uint32_t)(size < JOURNAL_SEGMENT_SIZE_MAX ? size : JOURNAL_SEGMENT_SIZE_MAX);
}

/* How far `next` is to be zero-filled: twice as far as the current segment has come, so that a
 * quiet shard does not fill a disk with zeros and a busy one never waits. */
static uint32_t next_target(const struct store *store)
{
    uint64_t target = store->options.zero_ahead_size;
    uint64_t position = store->current ? store->current->base.length : 0;

    target = target > 2 * position ? target : 2 * position;
    target = target < store_segment_size(store) ? target : store_segment_size(store);
    target = target > store->next_wanted ? target : store->next_wanted;
    return round_size(target);
}

static bool cap_reached(const struct store *store, uint64_t more)
{
    uint64_t wanted = store_journal_bytes(store) + more;

    return wanted > store->options.journal_size_max ||
           (store->options.size_max > 0 &&
            wanted + casks_bytes(&store->casks) > store->options.size_max);
}

/* The work that found no space is tried again in a while. */
static void wait_for_space(struct store *store, bool *retry)
{
    store->disk_full = true;
    *retry = true;
    store->retry_ms = 0;
}

static bool next_exceeds_cap(const struct store *store)
{
    const struct store_spare *spare = spare_next(store);
    uint32_t target = next_target(store), size = spare ? spare->size : 0;

    /* Without any segment not even reads are served, nor is log ever given up. */
    if (!store->current)
        return false;
    if (store_files_short(store))
        return true;
    return cap_reached(store, target > size ? target - size : 0);
}

void store_foresee_full(struct store *store)
{
    if (next_exceeds_cap(store))
        wait_for_space(store, &store->retry);
}

static struct store_job *prepare_begin(struct store *store)
{
    const struct store_spare *spare = spare_next(store);
    uint32_t target = next_target(store);
    struct store_job *job;

    if (next_exceeds_cap(store)) {
        wait_for_space(store, &store->retry);
        return NULL;
    }
    job = store_background_begin(store, STORE_JOB_KIND_PREPARE);
    job->number = store->manifest.next_number;
    job->epoch = store->manifest.next_epoch;
    job->spare = spare ? spare->number : 0;
    job->zero_to = target;
    /* Without any segment nobody can be elected, and not even reads are served: the first one after
     * a start may come out of the reserve. */
    if (!store->current)
        job->space_reserve = 0;
    return job;
}

static struct store_job *zero_begin(struct store *store)
{
    struct journal_segment *next = store->next;
    uint32_t target = next_target(store);
    uint64_t step = next->capacity + (uint64_t)store->options.zero_ahead_size;
    struct store_job *job;

    if (target <= next->capacity)
        return NULL;
    /* In whole steps: each one costs a sync, and the target moves with every write. Rounded up, or
     * small segments would be followed by small ones for ever. */
    if (next->capacity >= store->next_wanted)
        target = store_segment_size(store);
    target = step < target ? round_size(step) : target;
    if (cap_reached(store, target - next->capacity)) {
        if (next->capacity < store->next_wanted)
            wait_for_space(store, &store->retry);
        return NULL;
    }
    job = store_background_begin(store, STORE_JOB_KIND_ZERO);
    job->file = next->base.file;
    job->segment = next;
    job->zero_from = next->capacity;
    job->zero_to = target;
    return job;
}

static struct store_job *manifest_begin(struct store *store)
{
    struct store_job *job = store_background_begin(store, STORE_JOB_KIND_MANIFEST);

    if (manifest_write_begin(&store->manifest, store->vfs, store->folder, &job->write) == 0)
        return job;
    store->background_busy = false; /* no memory now: the next call tries again */
    return NULL;
}

/* A larger file than segments have now is given back, and who asked for a flush wants its space. */
static bool spare_keep(struct store *store, uint64_t number, uint32_t size)
{
    if (store->spare_count == STORE_SPARES_MAX || store_flush_demanded(store) ||
        size > 2 * (uint64_t)store_segment_size(store))
        return false;
    store->spares[store->spare_count++] = (struct store_spare){.number = number, .size = size};
    return true;
}

/* The file of a dropped segment is kept for a next one, or removed. */
static struct store_job *release_begin(struct store *store, struct journal_segment *segment)
{
    uint64_t number = segment->base.number;
    uint32_t size = segment->capacity;
    bool hinted = segment->hinted, spare;
    struct store_job *job = NULL;

    store_file_leaves(store, &segment->base);
    journal_segments_remove(&store->segments, &store->files, segment);
    store->stats.segments_dropped++;
    spare = spare_keep(store, number, size);
    if (spare && !hinted)
        return NULL;
    job = store_background_begin(store, STORE_JOB_KIND_REMOVE);
    job->number = number;
    job->remove_segment = !spare;
    job->remove_hint = hinted;
    return job;
}

static struct store_job *cask_release_begin(struct store *store)
{
    for (size_t i = 0; store->totals.dropping > 0 && i < store->casks.count; i++) {
        struct cask_file *cask = store->casks.items[i];
        struct store_job *job;

        if (cask->state != CASK_FILE_DROPPING || cask->base.pins > 0 ||
            cask->ticket > store->manifest.edits_durable)
            continue;
        job = store_background_begin(store, STORE_JOB_KIND_REMOVE);
        job->number = cask->base.number;
        job->partition = cask->info.partition;
        job->remove_cask = job->remove_hint = true;
        store_file_leaves(store, &cask->base);
        casks_remove(&store->casks, &store->files, cask);
        store->stats.casks_dropped++;
        return job;
    }
    return NULL;
}

static void retry_when_due(struct store *store, uint64_t now_ms)
{
    if (!store->retry && !store->retry_manifest)
        return;
    if (store->retry_ms == 0) {
        store->retry_ms = now_ms + STORE_RETRY_MS;
    } else if (now_ms >= store->retry_ms) {
        store->retry = false;
        store->retry_manifest = false;
        store->retry_files = false;
    }
}

/* Retiring and flushing take turns: retired segments that nobody flushes only fill the disk. */
static struct store_job *data_next(struct store *store, uint64_t now_ms)
{
    struct store_job *job = NULL;

    if (store->flush_turn)
        job = store_flush_next(store, now_ms);
    if (!job) {
        job = store_retire_next(store, now_ms);
        store->flush_turn = job != NULL;
    }
    return job || store->flush_turn ? job : store_flush_next(store, now_ms);
}

struct store_job *store_background_next(struct store *store, uint64_t now_ms)
{
    struct journal_segment *dropped;
    struct store_job *job;

    if (store->fenced || store->failed || !store->manifest.founded)
        return NULL;
    job = store_install_next(store);
    if (job || store->background_busy)
        return job;
    retry_when_due(store, now_ms);
    edits_queue(store);
    while (!job && (dropped = dropped_find(store)) != NULL)
        job = release_begin(store, dropped);
    if (!job)
        job = cask_release_begin(store);
    if (!job && !store->retry_manifest && manifest_pending(&store->manifest))
        job = manifest_begin(store);
    /* What a drop gave back need not be waited for. */
    if (!job && !store->next && (!store->retry || (store->spare_count > 0 && !store->retry_files)))
        job = prepare_begin(store);
    if (!job && store->next && !store->retry)
        job = zero_begin(store);
    if (!job)
        job = data_next(store, now_ms);
    if (!job)
        job = store_scrub_next(store, now_ms);
    return job;
}

/* --- results ------------------------------------------------------------------------------- */

static int prepare_done(struct store *store, struct store_job *job)
{
    struct journal_segment *segment = NULL;
    int r = journal_segments_add(&store->segments, &store->files, job->number, job->epoch,
                                 job->file, store->part_count, &segment);

    if (r == 0)
        r = manifest_segment_add(&store->manifest, job->number, job->epoch);
    if (r < 0) {
        if (segment)
            journal_segments_remove(&store->segments, &store->files, segment);
        else
            vfs_close(job->file);
        return r;
    }
    segment->capacity = job->length;
    store_file_changed(store, &segment->base);
    segment->base.length = JOURNAL_BLOCK_SIZE;
    store->next = segment;
    store->next_ticket = store->manifest.edits;
    store->stats.segments_recycled += job->spare != 0;
    return 0;
}

/* A background job found no space, or no descriptor: nothing is lost, it is tried again. */
static void no_space(struct store *store, const struct store_job *job, int result)
{
    store->retry_files = !vfs_is_full(result);
    if (job->kind == STORE_JOB_KIND_MANIFEST) {
        wait_for_space(store, &store->retry_manifest);
        if (store_flush_demanded(store)) /* which waits for its edit */
            store->stats.flushes_failed++;
        return;
    }
    wait_for_space(store, &store->retry);
    /* Zeros that could not be added to a segment that is good as it is are no trouble yet. */
    if (job->kind == STORE_JOB_KIND_ZERO && job->segment->capacity >= store->next_wanted)
        store->disk_full = false;
}

int store_background_done(struct store *store, struct store_job *job, int result)
{
    int r = result;

    if (job->kind == STORE_JOB_KIND_INSTALL) {
        store_install_job_done(store, job, result);
        return 0;
    }
    assert(store->background_busy);
    store->background_busy = false;
    if (job->kind == STORE_JOB_KIND_MANIFEST)
        manifest_write_end(&store->manifest, &job->write, result);
    if (job->kind == STORE_JOB_KIND_PREPARE) {
        if (job->spare && (result == 0 || job->file)) /* taken over, or removed with the failure */
            store->spare_count--;
        if (result == 0)
            r = prepare_done(store, job);
        else
            vfs_close(job->file);
    }
    if (job->kind == STORE_JOB_KIND_ZERO && result == 0) {
        job->segment->capacity = job->zero_to;
        store_file_changed(store, &job->segment->base);
    }
    if (job->kind == STORE_JOB_KIND_SCRUB) {
        store_scrub_done(store, result);
        return 0;
    }
    if (job->kind == STORE_JOB_KIND_HINT || job->kind == STORE_JOB_KIND_FLUSH ||
        job->kind == STORE_JOB_KIND_STEP) {
        /* Nothing that anybody relies on was touched: a failure costs a retry, no more. */
        if (job->kind == STORE_JOB_KIND_HINT)
            store_retire_done(store, result < 0 ? result : job->step);
        else
            store_flush_done(store, job, result < 0 ? result : job->step);
        return 0;
    }
    if (store_is_short(r)) {
        no_space(store, job, r);
        return 0;
    }
    if (r < 0) {
        store->failed = true;
        return r;
    }
    if (job->kind == STORE_JOB_KIND_PREPARE || job->kind == STORE_JOB_KIND_ZERO ||
        (job->kind == STORE_JOB_KIND_MANIFEST && store->next))
        store->disk_full = false;
    return 0;
}

int store_prepare_first(struct store *store)
{
    struct store_job *job = prepare_begin(store);
    int r;

    if (!job)
        return 0;
    r = prepare_run(job);
    return store_background_done(store, job, r);
}
