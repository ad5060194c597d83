#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "storage/mutant.h"
#include "storage/store_state.h"

/* Flush, the shard thread's half: chooses victims, keeps what is alive, lists the output, moves the
 * keydir. flush.h has the whole. */

#define RETRY_MS     1000u
#define UTILIZATION  70u /* per cent of the data files that shall be alive */
#define WORTH_MAX    90u /* per cent: a file that is more alive is no victim, but on demand */
#define CASKS_MERGE  16u /* casks of a partition: more are merged, the smallest first */
#define SIZE_MAX_MIN (64u << 10)

/* --- what there is ------------------------------------------------------------------------- */

static uint64_t live_of(const struct data_file *file)
{
    return file->live_bytes < file->length ? file->live_bytes : file->length;
}

/* A retired segment or a cask that counts, NULL for anything else. */
static struct data_file *candidate(const struct store *store, size_t slot)
{
    struct data_file *file = store->files.slots[slot];

    if (!file || file->damaged || file->hint_bad)
        return NULL;
    if (file->kind == DATA_FILE_SEGMENT)
        return ((struct journal_segment *)file)->state == JOURNAL_SEGMENT_RETIRED ? file : NULL;
    return ((struct cask_file *)file)->state == CASK_FILE_LIVE ? file : NULL;
}

static uint64_t born_of(const struct data_file *file)
{
    return file->kind == DATA_FILE_SEGMENT ? ((const struct journal_segment *)file)->born
                                           : ((const struct cask_file *)file)->born;
}

/* Bytes that are dead beyond what may be. */
static uint64_t backlog(const struct store *store, uint64_t *total)
{
    uint64_t live = 0, wanted;

    *total = 0;
    for (size_t i = 0; i < store->files.slot_count; i++) {
        const struct data_file *file = candidate(store, i);

        if (!file)
            continue;
        *total += file->length;
        live += live_of(file);
    }
    wanted = live * 100 / UTILIZATION;
    return *total > wanted ? *total - wanted : 0;
}

/* The journal has no room to grow: any retired segment is better off as casks. */
static bool journal_is_full_soon(const struct store *store)
{
    return journal_segments_bytes(&store->segments) + store->options.segment_size >
           store->options.journal_size_max;
}

static bool urgent(const struct store *store)
{
    return store->disk_full || journal_is_full_soon(store);
}

static bool demanded(const struct store *store, const struct data_file *file)
{
    return store->flush_demanded && file->number < store->flush_until[file->kind] &&
           live_of(file) < file->length - file->length / 16;
}

/* --- choosing victims ---------------------------------------------------------------------- */

struct choice {
    struct data_file *file;
    double score;
};

static int compare_choices(const void *a, const void *b)
{
    const struct choice *left = a, *right = b;

    return left->score > right->score ? -1 : left->score < right->score ? 1 : 0;
}

/* Casks of partitions that have too many: what is small goes into one. */
static void merge_count(const struct store *store, uint32_t *counts)
{
    for (size_t i = 0; i < store->casks.count; i++) {
        const struct cask_file *cask = store->casks.items[i];

        if (cask->state == CASK_FILE_LIVE)
            counts[store_partition(store, cask->info.partition)->hosted]++;
    }
}

static bool worth(const struct store *store, const struct data_file *file, uint64_t over,
                  const uint32_t *counts)
{
    if (file->live_records == 0 || demanded(store, file))
        return true;
    if (file->kind == DATA_FILE_CASK) {
        uint16_t number = ((const struct cask_file *)file)->info.partition;

        if (counts[store_partition(store, number)->hosted] > CASKS_MERGE)
            return true;
    } else if (journal_is_full_soon(store)) {
        return true;
    }
    return (over > 0 || store->disk_full) &&
           live_of(file) * 100 < (uint64_t)file->length * WORTH_MAX;
}

static size_t choices_make(const struct store *store, struct choice *choices, uint64_t over,
                           const uint32_t *counts)
{
    size_t count = 0;

    for (size_t i = 0; i < store->files.slot_count; i++) {
        struct data_file *file = candidate(store, i);

        if (!file || !worth(store, file, over, counts))
            continue;
        choices[count].file = file;
        choices[count].score =
            file->live_records == 0
                ? 1e300
                : flush_score(live_of(file), file->length, store->retired - born_of(file) + 1) +
                      1.0 / (double)(file->length + 1);
        count++;
    }
    if (count > 0)
        qsort(choices, count, sizeof(*choices), compare_choices);
    return count;
}

static void victim_take(struct store *store, struct data_file *file)
{
    struct flush *flush = &store->flush;
    struct flush_victim *victim = &flush->victims[flush->victim_count++];

    *victim = (struct flush_victim){
        .file = file,
        .subject = store_hint_subject(file),
        .dead = file->live_records == 0,
    };
    if (file->kind == DATA_FILE_CASK)
        victim->partition = ((struct cask_file *)file)->info.partition;
    file->pins++;
    if (born_of(file) > flush->born)
        flush->born = born_of(file);
}

static void victims_release(struct store *store)
{
    struct flush *flush = &store->flush;

    for (size_t i = 0; i < flush->victim_count; i++)
        flush->victims[i].file->pins--;
    flush->victim_count = 0;
}

static bool is_victim(const struct flush *flush, const struct data_file *file)
{
    for (size_t i = 0; i < flush->victim_count; i++)
        if (flush->victims[i].file == file)
            return true;
    return false;
}

static void safe_note(uint64_t *safe, uint64_t index)
{
    if (index > 0 && index < *safe)
        *safe = index;
}

/* Below which index a tombstone in the victims has nothing older of its key left anywhere. */
static void safe_indexes(struct store *store)
{
    struct flush *flush = &store->flush;

    for (size_t i = 0; i < store->hosted_count; i++)
        flush->safe_index[i] = store_partition(store, store->hosted[i])->fenced ? 0 : UINT64_MAX;
    if (mutant(MUTANT_TOMBSTONE_EARLY))
        return;
    for (size_t i = 0; i < store->segments.count; i++) {
        const struct journal_segment *segment = store->segments.items[i];

        for (size_t p = 0; p < store->hosted_count && !is_victim(flush, &segment->base); p++)
            safe_note(&flush->safe_index[p], segment->index_min[p]);
    }
    for (size_t i = 0; i < store->casks.count; i++) {
        const struct cask_file *cask = store->casks.items[i];

        if (!is_victim(flush, &cask->base))
            safe_note(&flush->safe_index[store_partition(store, cask->info.partition)->hosted],
                      cask->info.index_min);
    }
}

static bool round_begin(struct store *store)
{
    struct flush *flush = &store->flush;

    flush->vfs = store->vfs;
    memcpy(flush->folder, store->folder, sizeof(flush->folder));
    flush->step_size = FLUSH_STEP_SIZE;
    flush->safe_index = calloc(store->hosted_count + 1, sizeof(*flush->safe_index));
    flush->generations = calloc(store->hosted_count + 1, sizeof(*flush->generations));
    if (!flush->safe_index || !flush->generations)
        return false;
    for (size_t i = 0; i < store->hosted_count; i++)
        flush->generations[i] = store_partition(store, store->hosted[i])->generation;
    safe_indexes(store);
    flush->stage = FLUSH_SCAN;
    store->stats.flushes++;
    return true;
}

/* Begins a round when there is something to gain. */
static bool choose(struct store *store)
{
    struct flush *flush = &store->flush;
    uint64_t total, over = backlog(store, &total), live = 0, gained = 0;
    uint64_t live_max = store->options.flush_size_max;
    struct choice *choices = calloc(store->files.slot_count + 1, sizeof(*choices));
    uint32_t *counts = calloc(store->hosted_count + 1, sizeof(*counts));
    size_t count = 0;

    live_max = live_max > SIZE_MAX_MIN ? live_max : SIZE_MAX_MIN;
    if (choices && counts) {
        merge_count(store, counts);
        count = choices_make(store, choices, over, counts);
    }
    store->stats.flush_victims = count;
    store->stats.flush_backlog = over;
    for (size_t i = 0; i < count && flush->victim_count < FLUSH_VICTIMS_MAX; i++) {
        struct data_file *file = choices[i].file;

        if (live > 0 && live + live_of(file) > live_max)
            continue;
        if (file->live_records > 0 && gained > over && over > 0 && !store->flush_demanded &&
            file->kind == DATA_FILE_SEGMENT)
            continue;
        victim_take(store, file);
        live += live_of(file);
        gained += file->length - live_of(file);
    }
    free(choices);
    free(counts);
    if (flush->victim_count == 0) {
        store->flush_demanded = false;
        return false;
    }
    if (round_begin(store))
        return true;
    victims_release(store);
    flush_end(flush);
    return false;
}

/* --- KEEP ---------------------------------------------------------------------------------- */

static void keep_one(struct store *store, struct flush_record *record, int *r)
{
    struct flush *flush = &store->flush;
    struct flush_victim *victim = &flush->victims[record->victim];
    const struct store_partition *part = store_partition(store, record->entry.partition);
    struct keydir_entry entry;

    if (!part || !part->is_hosted || keydir_get(part->keydir, &record->entry.digest, &entry) != 0 ||
        entry.location != data_file_location(victim->file, record->entry.offset))
        return;
    victim->kept++;
    if (entry.tombstone && record->entry.index < flush->safe_index[part->hosted])
        *r = flush_records_add(&flush->gone, record);
    else
        *r = flush_records_add(&flush->kept, record);
}

static void keep_slice(struct store *store)
{
    struct flush *flush = &store->flush;
    size_t until = flush->scanned_at + FLUSH_SLICE_MAX;
    int r = 0;

    for (; r == 0 && flush->scanned_at < flush->scanned.count && flush->scanned_at < until;
         flush->scanned_at++)
        keep_one(store, &flush->scanned.items[flush->scanned_at], &r);
    if (r != 0) {
        flush->stage = FLUSH_ABORT;
    } else if (flush->scanned_at == flush->scanned.count) {
        flush->stage = FLUSH_SCAN;
        if (flush->victim_at < flush->victim_count)
            return;
        /* What was found dead must be dead after a crash too, before its file goes. */
        flush->stage = FLUSH_READ;
        store->marks_wanted = true;
        for (size_t i = 0; i <= store->hosted_count; i++)
            flush->number_end = manifest_cask_number(&store->manifest);
        for (uint64_t more = store->options.flush_size_max / (CASK_SIZE_MAX / 2); more > 0; more--)
            flush->number_end = manifest_cask_number(&store->manifest);
        flush->number_next = flush->number_end - store->hosted_count -
                             store->options.flush_size_max / (CASK_SIZE_MAX / 2);
        flush->number_end++;
    }
}

/* --- EDIT ---------------------------------------------------------------------------------- */

/* Every commit that was known when the last record was kept is durable. */
static bool deaths_durable(struct store *store)
{
    bool lag = false;

    if (store->marks_wanted) {
        for (size_t i = 0; i < store->hosted_count && !lag; i++) {
            const struct store_partition *part = store_partition(store, store->hosted[i]);

            lag = part->commit_sealed < part->commit;
        }
        if (lag)
            return false;
        store->marks_wanted = false;
        store->marks_batch = store->journal.open - 1;
    }
    return store->journal.synced >= store->marks_batch;
}

/* Gives the outputs slots. On failure those that have one give it back. */
static int outputs_open(struct store *store)
{
    struct flush *flush = &store->flush;
    int r = 0;

    for (size_t i = 0; r == 0 && i < flush->output_count; i++) {
        struct flush_output *output = &flush->outputs[i];

        r = casks_add(&store->casks, &store->files, &output->info, output->file, &output->cask);
        if (r != 0)
            break;
        output->cask->born = flush->born;
        output->cask->base.pins++;
    }
    for (size_t i = 0; r != 0 && i < flush->output_count; i++) {
        struct flush_output *output = &flush->outputs[i];

        if (!output->cask)
            continue;
        output->cask->base.pins--;
        casks_remove(&store->casks, &store->files, output->cask);
        output->cask = NULL;
        output->file = NULL;
    }
    return r;
}

/* A hint that knows less than the keydir does would lose what it does not know. */
static bool hints_complete(struct store *store)
{
    struct flush *flush = &store->flush;

    for (size_t i = 0; i < flush->victim_count; i++)
        if (flush->victims[i].file->live_records > flush->victims[i].kept) {
            flush->victims[i].file->hint_bad = true;
            return false;
        }
    return true;
}

static void victim_drop(struct store *store, const struct flush_victim *victim)
{
    struct manifest *manifest = &store->manifest;
    int r = 0;

    if (victim->file->kind == DATA_FILE_SEGMENT)
        r = manifest_segment_drop(manifest, victim->file->number);
    else if (manifest_cask_find(manifest, victim->partition, victim->file->number))
        r = manifest_cask_drop(manifest, victim->partition, victim->file->number);
    assert(r == 0); /* room was made */
}

static void edit(struct store *store)
{
    struct flush *flush = &store->flush;

    if (!hints_complete(store) ||
        manifest_reserve(&store->manifest, flush->output_count + flush->victim_count) != 0 ||
        outputs_open(store) != 0) {
        flush->stage = FLUSH_ABORT;
        return;
    }
    for (size_t i = 0; i < flush->output_count; i++) {
        struct cask_file *cask = flush->outputs[i].cask;
        const struct store_partition *part = store_partition(store, cask->info.partition);
        int r;

        /* Its partition got another content meanwhile: nothing of the old may come back. */
        cask->state = CASK_FILE_DROPPING;
        if (part->generation != flush->generations[part->hosted])
            continue;
        cask->state = CASK_FILE_LIVE;
        r = manifest_cask_add(&store->manifest, &cask->info);
        assert(r == 0);
        store->stats.flush_bytes += cask->info.length;
    }
    for (size_t i = 0; i < flush->victim_count; i++)
        victim_drop(store, &flush->victims[i]);
    flush->ticket = store->manifest.edits;
    flush->at = 0;
    flush->stage = FLUSH_LISTED;
}

/* --- MOVE ---------------------------------------------------------------------------------- */

static void move_one(struct store *store, const struct flush_record *record)
{
    struct flush *flush = &store->flush;
    struct data_file *to = &flush->outputs[record->output].cask->base;
    struct store_partition *part = store_partition(store, record->entry.partition);
    store_location from =
        data_file_location(flush->victims[record->victim].file, record->entry.offset);
    struct keydir_entry entry;

    if (keydir_get(part->keydir, &record->entry.digest, &entry) != 0)
        return;
    if (mutant(MUTANT_MOVE_WITHOUT_SWAP))
        from = entry.location;
    if (keydir_move(part->keydir, &record->entry.digest, from,
                    data_file_location(to, record->offset)) != 0)
        return;
    to->live_records++;
    to->live_bytes += entry.size_max;
    store_record_dies(store, &entry);
}

static void forget_one(struct store *store, const struct flush_record *record)
{
    struct flush *flush = &store->flush;
    struct store_partition *part = store_partition(store, record->entry.partition);
    struct keydir_entry entry;

    if (keydir_get(part->keydir, &record->entry.digest, &entry) != 0 ||
        entry.location !=
            data_file_location(flush->victims[record->victim].file, record->entry.offset))
        return;
    keydir_remove(part->keydir, &record->entry.digest);
    store_record_dies(store, &entry);
    store->stats.tombstones_dropped++;
}

static void round_end(struct store *store)
{
    struct flush *flush = &store->flush;

    for (size_t i = 0; i < flush->victim_count; i++) {
        struct data_file *file = flush->victims[i].file;

        assert(file->live_records == 0);
        store->stats.flush_reclaimed += file->length;
        if (file->kind == DATA_FILE_SEGMENT) {
            ((struct journal_segment *)file)->state = JOURNAL_SEGMENT_DROPPING;
            ((struct journal_segment *)file)->ticket = flush->ticket;
        } else {
            ((struct cask_file *)file)->state = CASK_FILE_DROPPING;
            ((struct cask_file *)file)->ticket = flush->ticket;
        }
    }
    for (size_t i = 0; i < flush->output_count; i++) {
        store->stats.flush_reclaimed -= flush->outputs[i].info.length;
        flush->outputs[i].cask->base.pins--;
    }
    victims_release(store);
    flush_end(flush);
}

static void move_slice(struct store *store)
{
    struct flush *flush = &store->flush;
    size_t count = flush->kept.count + flush->gone.count;

    for (size_t n = 0; n < FLUSH_SLICE_MAX && flush->at < count; n++, flush->at++) {
        if (flush->at < flush->kept.count)
            move_one(store, &flush->kept.items[flush->at]);
        else
            forget_one(store, &flush->gone.items[flush->at - flush->kept.count]);
    }
    if (flush->at == count)
        round_end(store);
}

/* --- jobs ---------------------------------------------------------------------------------- */

static struct store_job *step_job(struct store *store, enum store_job_kind kind)
{
    struct store_job *job = store_background_begin(store, kind);

    job->flush = &store->flush;
    store->flush.bytes_done = 0;
    return job;
}

struct store_job *store_flush_next(struct store *store, uint64_t now_ms)
{
    struct flush *flush = &store->flush;

    if (!store->options.digest)
        return NULL;
    if (store->flush_failed) {
        store->flush_failed = false;
        store->flush_due_ms = now_ms + RETRY_MS;
    }
    store->flush_now_ms = now_ms;
    if (now_ms < store->flush_due_ms && flush->stage != FLUSH_LISTED &&
        flush->stage != FLUSH_MOVE && flush->stage != FLUSH_ABORT)
        return NULL;
    switch (flush->stage) {
    case FLUSH_IDLE:
        return choose(store) ? step_job(store, STORE_JOB_KIND_FLUSH) : NULL;
    case FLUSH_KEEP:
        keep_slice(store);
        return step_job(store, STORE_JOB_KIND_STEP);
    case FLUSH_EDIT:
        if (!deaths_durable(store))
            return NULL;
        edit(store);
        return step_job(store, STORE_JOB_KIND_STEP);
    case FLUSH_LISTED:
        if (store->manifest.edits_durable < flush->ticket)
            return NULL;
        flush->stage = FLUSH_MOVE;
        return step_job(store, STORE_JOB_KIND_STEP);
    case FLUSH_MOVE:
        move_slice(store);
        return step_job(store, STORE_JOB_KIND_STEP);
    default:
        return step_job(store, STORE_JOB_KIND_FLUSH);
    }
}

/* The more there is to reclaim, the faster: a backlog of one segment doubles the pace. */
static void pace(struct store *store, uint64_t bytes)
{
    uint64_t rate = store->options.flush_rate, total, over;

    if (rate == 0 || store->flush_demanded || urgent(store))
        return;
    over = backlog(store, &total);
    rate += (uint64_t)((double)rate * (double)over / (double)store->options.segment_size);
    store->flush_due_ms = store->flush_now_ms + bytes * 1000 / rate;
}

void store_flush_done(struct store *store, struct store_job *job, int result)
{
    struct flush *flush = &store->flush;
    struct flush_victim *bad = &flush->victims[flush->bad];

    if (job->kind == STORE_JOB_KIND_STEP)
        return;
    pace(store, flush->bytes_done);
    if (flush->stage == FLUSH_ABORT) {
        victims_release(store);
        flush_end(flush);
        store->stats.flushes_failed++;
        store->flush_failed = true;
        return;
    }
    if (result == FLUSH_E_OK || result == FLUSH_E_MORE)
        return;
    if (result == FLUSH_E_HINT)
        bad->file->hint_bad = true;
    if (result == FLUSH_E_DAMAGED)
        store_damaged(store, bad->file, false, flush->bad_partition);
    flush->stage = FLUSH_ABORT;
}

void store_flush(struct store *store)
{
    store->flush_demanded = true;
    store->flush_until[DATA_FILE_SEGMENT] = store->manifest.next_number;
    store->flush_until[DATA_FILE_CASK] = store->manifest.next_cask;
    store->flush_due_ms = 0;
}
