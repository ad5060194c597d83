#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "storage/mutant.h"
#include "storage/store_state.h"

/* Flush, the shard thread's half: chooses victims, keeps what is alive, lists the output, moves the
 * keydir. flush.h has the whole. */

#define RETRY_MS     1000u
#define PACE_SHARE   2u
#define PACE_BACKLOG 4.0 /* more does not make it faster: 69 times */

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
    if (entry.tombstone && record->entry.index < flush->safe_index[part->slot])
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

        output->info.key_id = flush->key_missed ? 0 : flush->key_id;
        r = casks_add(&store->casks, &store->files, &output->info, output->file, &output->cask);
        if (r != 0)
            break;
        output->cask->base.pins++;
    }
    for (size_t i = 0; r != 0 && i < flush->output_count; i++) {
        struct flush_output *output = &flush->outputs[i];

        if (!output->cask)
            continue;
        output->cask->base.pins--;
        store_file_leaves(store, &output->cask->base);
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
            store_file_changed(store, flush->victims[i].file);
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
    if (victim->file->kind == DATA_FILE_CASK)
        ((struct cask_file *)victim->file)->replaced = true;
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
        if (part->generation == flush->generations[part->slot])
            cask->state = CASK_FILE_LIVE;
        store_file_changed(store, &cask->base);
        if (cask->state == CASK_FILE_DROPPING)
            continue;
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

    if (!part->is_hosted || keydir_get(part->keydir, &record->entry.digest, &entry) != 0)
        return;
    if (mutant(MUTANT_MOVE_WITHOUT_SWAP))
        from = entry.location;
    if (keydir_move(part->keydir, &record->entry.digest, from,
                    data_file_location(to, record->offset)) != 0)
        return;
    store_record_lives(store, to, entry.size_max);
    store_record_dies(store, &entry);
}

static void forget_one(struct store *store, const struct flush_record *record)
{
    struct flush *flush = &store->flush;
    struct store_partition *part = store_partition(store, record->entry.partition);
    struct keydir_entry entry;

    if (!part->is_hosted || keydir_get(part->keydir, &record->entry.digest, &entry) != 0 ||
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
        store->stats.flush_files++;
        if (file->kind == DATA_FILE_SEGMENT) {
            ((struct journal_segment *)file)->state = JOURNAL_SEGMENT_DROPPING;
            ((struct journal_segment *)file)->ticket = flush->ticket;
        } else {
            ((struct cask_file *)file)->state = CASK_FILE_DROPPING;
            ((struct cask_file *)file)->ticket = flush->ticket;
        }
        store_file_changed(store, file);
    }
    for (size_t i = 0; i < flush->output_count; i++) {
        store->stats.flush_reclaimed -= flush->outputs[i].info.length;
        flush->outputs[i].cask->base.pins--;
    }
    store->flush_stuck = false;
    store_flush_release(store);
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
        return store_flush_choose(store) ? step_job(store, STORE_JOB_KIND_FLUSH) : NULL;
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

/* The more there is to reclaim, the faster: gently while there is no hurry, so that clients do not
 * feel it, and steeply towards the bound on what is dead. A backlog of a segment, or of half of
 * what is alive, makes it three times as fast, twice that eleven times. */
static void pace(struct store *store, uint64_t bytes)
{
    uint64_t rate = store->options.flush_rate, unit = store->totals.data_live / PACE_SHARE;
    double backlog;

    if (rate == 0 || store_flush_demanded(store) || store_flush_urgent(store))
        return;
    if (unit < store_segment_size(store))
        unit = store_segment_size(store);
    backlog = (double)store_flush_backlog(store) / (double)unit;
    if (backlog > PACE_BACKLOG)
        backlog = PACE_BACKLOG;
    rate += (uint64_t)((double)rate * (backlog + backlog * backlog * backlog));
    store->flush_due_ms = store->flush_now_ms + bytes * 1000 / rate;
}

/* The partition is what it was when the round began: no snapshot took its place meanwhile. */
static bool content_is(const struct store *store, uint16_t partition)
{
    const struct store_partition *part = store_partition(store, partition);

    return part && part->generation == store->flush.generations[part->slot];
}

void store_flush_done(struct store *store, struct store_job *job, int result)
{
    struct flush *flush = &store->flush;
    struct flush_victim *bad = &flush->victims[flush->bad];

    if (job->kind == STORE_JOB_KIND_STEP)
        return;
    pace(store, flush->bytes_done);
    if (flush->stage == FLUSH_ABORT) {
        store_flush_release(store);
        flush_end(flush);
        store->stats.flushes_failed++;
        store->flush_failed = true;
        store->flush_stuck = true;
        return;
    }
    if (result == FLUSH_E_OK || result == FLUSH_E_MORE)
        return;
    if (vfs_is_unreadable(result) && flush->stage == FLUSH_READ)
        store_unread(store, bad->file);
    if (result == FLUSH_E_HINT)
        bad->file->hint_bad = true;
    if (result == FLUSH_E_HINT)
        store_file_changed(store, bad->file);
    if (result == FLUSH_E_DAMAGED && content_is(store, flush->bad_partition))
        store_damaged(store, bad->file, flush->bad_partition);
    flush->stage = FLUSH_ABORT;
}

static int demand(struct store *store, bool all)
{
    const struct journal_segment *current = store->current;
    struct store_demand *demand =
        store_flush_demanded(store) ? &store->flush_demand_next : &store->flush_demand;

    if (store->fenced)
        return STORE_E_FENCED;
    *demand =
        (struct store_demand){.number = ++store->stats.flush_demands,
                              .until = {[DATA_FILE_SEGMENT] = current ? current->base.number + 1
                                                                      : store->manifest.next_number,
                                        [DATA_FILE_CASK] = store->manifest.next_cask},
                              .key = vault_newest_of_several(store->options.vault),
                              .all = all || demand->all};
    store->flush_due_ms = 0;
    return 0;
}

int store_flush(struct store *store)
{
    return demand(store, false);
}

int store_flush_all(struct store *store, uint64_t *number)
{
    int r = demand(store, true);

    *number = store->stats.flush_demands;
    return r;
}
