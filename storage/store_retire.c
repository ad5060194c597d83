#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "storage/mutant.h"
#include "storage/store_state.h"

/* Retiring: a segment that no partition needs as log gets a hint, and the manifest says that it is
 * nothing but a data file from now on. In the order of the journal only, so that recovery reads
 * hints for a prefix and scans the rest. */

#define HINT_RETRY_MS 1000u

static void cut(uint64_t *newest, const struct manifest_span *spans, size_t count,
                const struct journal_segment *segment, const struct store_partition *part)
{
    for (size_t i = 0; i < count; i++)
        if (spans[i].partition == part->number && spans[i].segment > segment->base.number &&
            spans[i].first <= *newest)
            *newest = spans[i].first - 1;
}

/* The newest entry of the partition in a sealed segment that is not truncated for good: one that no
 * leader ever committed holds up no log, however few entries follow in its place. */
static uint64_t newest_kept(const struct store *store, const struct journal_segment *segment,
                            const struct store_partition *part)
{
    uint64_t newest = segment->index_last[part->slot];

    cut(&newest, store->manifest.spans, store->manifest.span_count, segment, part);
    for (size_t i = 0; i < store->segments.count; i++) {
        const struct journal_segment *later = store->segments.items[i];

        if (later->state == JOURNAL_SEGMENT_SEALED)
            cut(&newest, later->spans, later->span_count, segment, part);
    }
    return newest;
}

/* What later segments truncate is durable: the edit that retires an older one is to list it, and a
 * crash that leaves the edit leaves the append, too. */
static bool spans_durable(const struct store *store, const struct journal_segment *segment)
{
    for (size_t i = 0; i < store->segments.count; i++) {
        const struct journal_segment *later = store->segments.items[i];

        if (later->base.number > segment->base.number && later->span_batch > store->journal.synced)
            return false;
    }
    return true;
}

/* Everything in it is below the log that a durable checkpoint, taken after it was left, keeps. */
bool store_segment_retirable(const struct store *store, const struct journal_segment *segment,
                             bool with_new_checkpoint)
{
    if (segment->state != JOURNAL_SEGMENT_SEALED || !segment->seal_listed ||
        segment->base.damage_stays || !spans_durable(store, segment))
        return false;
    if (!with_new_checkpoint && segment->left >= store->checkpoints_durable)
        return false;
    for (size_t i = 0; i < store->hosted_count; i++) {
        const struct store_partition *part = store_partition(store, store->hosted[i]);
        uint64_t first = with_new_checkpoint ? part->retain : part->checkpoint_first_durable;

        if (segment->index_max[part->slot] > 0 && segment->index_max[part->slot] >= first &&
            newest_kept(store, segment, part) >= first)
            return false;
    }
    return true;
}

/* The oldest segment that is log, when it need not be any more. */
static struct journal_segment *next_to_retire(const struct store *store)
{
    for (size_t i = 0; i < store->segments.count; i++) {
        struct journal_segment *segment = store->segments.items[i];

        if (segment->state == JOURNAL_SEGMENT_RETIRED || segment->state == JOURNAL_SEGMENT_DROPPING)
            continue;
        return store_segment_retirable(store, segment, false) ? segment : NULL;
    }
    return NULL;
}

/* How many of the oldest segments, those that are no log any more counted, are to go for the log to
 * take no more than so many bytes. */
static size_t segments_over(const struct store *store, uint64_t log_size_max)
{
    uint64_t size = 0;

    for (size_t i = store->segments.count; i-- > 0;) {
        const struct journal_segment *segment = store->segments.items[i];

        if (segment->state == JOURNAL_SEGMENT_RETIRED)
            return 0;
        if (segment->state == JOURNAL_SEGMENT_PREPARED ||
            segment->state == JOURNAL_SEGMENT_DROPPING)
            continue;
        size += segment->base.length;
        if (size > log_size_max && segment != store->current)
            return i + 1;
    }
    return 0;
}

bool store_retire_pending(const struct store *store)
{
    return next_to_retire(store) != NULL;
}

uint64_t store_retain_wanted(const struct store *store, uint16_t partition, uint64_t log_size_max)
{
    const struct store_partition *part = store_partition(store, partition);
    uint64_t index = 0;

    assert(part && part->is_hosted);
    for (size_t i = segments_over(store, log_size_max); i-- > 0;) {
        const struct journal_segment *segment = store->segments.items[i];

        if (segment->state == JOURNAL_SEGMENT_RETIRED)
            break;
        if (segment->state != JOURNAL_SEGMENT_DROPPING && segment->index_max[part->slot] > index)
            index = segment->index_max[part->slot];
    }
    return index > 0 ? index + 1 : 0;
}

bool store_holds_up(const struct store *store, store_location location, uint64_t log_size_max)
{
    const struct data_file *file = data_files_at(&store->files, location);
    size_t over = segments_over(store, log_size_max);

    return over > 0 && file && file->kind == DATA_FILE_SEGMENT &&
           file->number <= store->segments.items[over - 1]->base.number;
}

struct hint_subject store_hint_subject(const struct data_file *file)
{
    struct hint_subject subject = {.number = file->number, .length = file->length};

    if (file->kind == DATA_FILE_SEGMENT) {
        subject.kind = HINT_KIND_SEGMENT;
        subject.stamp = ((const struct journal_segment *)file)->epoch;
    } else {
        subject.kind = HINT_KIND_CASK;
        subject.stamp = ((const struct cask_file *)file)->info.stamp;
    }
    return subject;
}

/* Spans of later segments, those of segments that are gone, and floors. */
static int truncations_give(const struct store *store, const struct data_file *file,
                            struct hint_build *build)
{
    const struct manifest *manifest = &store->manifest;
    int r = 0;

    for (size_t i = 0; r == 0 && i < manifest->span_count; i++)
        r = hint_build_span(build, &manifest->spans[i]);
    for (size_t i = 0; r == 0 && i < manifest->floor_count; i++)
        r = hint_build_floor(build, &manifest->floors[i]);
    for (size_t i = 0; r == 0 && i < store->segments.count; i++) {
        const struct journal_segment *later = store->segments.items[i];

        for (size_t j = 0; r == 0 && later->base.number > file->number && j < later->span_count;
             j++)
            r = hint_build_span(build, &later->spans[j]);
    }
    return r;
}

int store_hint_begin(struct store *store, struct data_file *file, struct hint_build *build)
{
    struct hint_build_options options = {
        .vfs = store->vfs,
        .folder = store->folder,
        .file = file->file,
        .subject = store_hint_subject(file),
        .digest = store->options.digest,
        .digest_context = store->options.digest_context,
        .step_size = FLUSH_STEP_SIZE,
    };
    int r;

    if (file->kind == DATA_FILE_CASK)
        options.partition = ((const struct cask_file *)file)->info.partition;
    r = hint_build_begin(build, &options);
    if (r == 0 && file->kind == DATA_FILE_SEGMENT) {
        r = truncations_give(store, file, build);
        if (r != 0)
            hint_build_end(build);
    }
    return r;
}

static struct data_file *next_to_hint(const struct store *store)
{
    struct journal_segment *segment;

    for (size_t i = 0; store->totals.hints_bad > 0 && i < store->files.slot_count; i++)
        if (store->files.slots[i] && store->files.slots[i]->counts.hint_bad)
            return store->files.slots[i];
    segment = next_to_retire(store);
    return segment ? &segment->base : NULL;
}

struct store_job *store_retire_next(struct store *store, uint64_t now_ms)
{
    struct store_job *job;

    if (!store->options.digest)
        return NULL;
    if (store->hint_failed) {
        store->hint_failed = false;
        store->hint_retry_ms = now_ms + HINT_RETRY_MS;
    }
    if (!store->hint_file) {
        struct data_file *file = now_ms >= store->hint_retry_ms ? next_to_hint(store) : NULL;

        if (!file || store_hint_begin(store, file, &store->hint) != 0)
            return NULL;
        store->hint_file = file;
        file->pins++;
    }
    job = store_background_begin(store, STORE_JOB_KIND_HINT);
    job->hint = &store->hint;
    return job;
}

/* What later appends truncated in it must be known as long as an older segment may need its hint
 * made again: after a restart nobody reads those appends for it. */
static int spans_list(struct store *store, const struct journal_segment *segment)
{
    struct manifest *manifest = &store->manifest;
    int r = 0;

    for (size_t i = 0; i < store->segments.count; i++) {
        const struct journal_segment *later = store->segments.items[i];

        for (size_t j = 0;
             r == 0 && later->base.number > segment->base.number && j < later->span_count; j++) {
            const struct manifest_span *span = &later->spans[j];
            const struct store_partition *part = store_partition(store, span->partition);
            bool listed = false;

            if (span->first > segment->index_max[part->slot])
                continue;
            for (size_t k = 0; k < manifest->span_count && !listed; k++)
                listed = manifest->spans[k].segment == span->segment &&
                         manifest->spans[k].offset == span->offset &&
                         manifest->spans[k].partition == span->partition &&
                         manifest->spans[k].first == span->first;
            if (!listed)
                r = manifest_span_add(manifest, span);
        }
    }
    return r;
}

/* Without a hint goes what the disk does not give. So does one that is damaged: whose records are
 * hit is fenced, and would hold up the log of all others for as long as nobody can repair it. A
 * start that looks for the hint finds the damage again. When it is repaired, so that what is
 * damaged is void, the hint is made. */
static void retire(struct store *store, struct journal_segment *segment)
{
    if (!spans_durable(store, segment))
        return; /* one was appended meanwhile: its hint is made once more when that is synced */
    if (spans_list(store, segment) != 0 ||
        manifest_segment_retire(&store->manifest, segment->base.number) != 0) {
        store->hint_failed = true; /* no memory now: once more, hint and all */
        return;
    }
    segment->state = JOURNAL_SEGMENT_RETIRED;
    segment->base.hint_bad |= segment->base.damaged || data_file_unread(&segment->base);
    store_file_changed(store, &segment->base);
}

void store_unread(struct store *store, struct data_file *file)
{
    if (!data_file_unread(file))
        file->unread++;
    store_file_changed(store, file);
}

void store_damaged(struct store *store, struct data_file *file, uint16_t partition)
{
    struct store_partition *part = store_partition(store, partition);

    file->damaged = true;
    store_file_changed(store, file);
    if (!part || !part->is_hosted)
        return;
    if (file->kind == DATA_FILE_CASK)
        snprintf(part->why, sizeof(part->why), "p%04u-%010" PRIu64 ".cask is damaged",
                 (unsigned)((struct cask_file *)file)->info.partition, file->number);
    else
        snprintf(part->why, sizeof(part->why), "journal-%010" PRIu64 ".log is damaged",
                 file->number);
    store_fence_partition(store, part, part->why);
}

/* Nothing that the partition has before `end` of the file counts any more: a snapshot took its
 * place since it was read. */
static bool content_gone(const struct store *store, const struct data_file *file,
                         uint16_t partition, uint32_t end)
{
    if (file->kind == DATA_FILE_CASK)
        return ((const struct cask_file *)file)->state == CASK_FILE_DROPPING;
    return manifest_void(&store->manifest, partition, file->number, end - 1);
}

void store_hint_damaged(struct store *store, struct data_file *file, const struct hint_build *build)
{
    bool gone = false;

    for (size_t i = 0; build->bad && i < store->part_count; i++) {
        uint16_t partition = store->parts[i].number;

        if (build->bad[partition] == 0)
            continue;
        if (content_gone(store, file, partition, build->bad[partition]))
            gone = true;
        else
            store_damaged(store, file, partition);
    }
    /* What is gone is no damage to the next one who reads the file. */
    file->damaged |= build->bad_all || !gone;
    file->damage_stays |= build->bad_all;
    store_file_changed(store, file);
}

void store_retire_done(struct store *store, int result)
{
    struct data_file *file = store->hint_file;
    struct journal_segment *segment =
        file->kind == DATA_FILE_SEGMENT ? (struct journal_segment *)file : NULL;

    if (result == HINT_BUILD_E_MORE)
        return;
    if (result == HINT_BUILD_E_DAMAGED)
        store_hint_damaged(store, file, &store->hint);
    if (vfs_is_unreadable(result) && store->hint.stage == HINT_BUILD_SCAN)
        store_unread(store, file);
    if (result == 0) {
        file->hint_bad = false;
        file->unread = 0;
    }
    store_file_changed(store, file);
    if (result == 0 && segment)
        segment->hinted = true;
    if ((result == 0 || (file->damaged && !file->damage_stays) || data_file_unread(file)) &&
        segment && segment->state == JOURNAL_SEGMENT_SEALED)
        retire(store, segment);
    store->hint_failed = store->hint_failed || result < 0;
    store->flush_stuck = result < 0;
    if (result < 0 && store_flush_demanded(store)) /* which may wait for this hint */
        store->stats.flushes_failed++;
    hint_build_end(&store->hint);
    file->pins--;
    store->hint_file = NULL;
}
