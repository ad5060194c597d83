#include <string.h>

#include "storage/checksum.h"
#include "storage/grow.h"
#include "storage/mutant.h"
#include "storage/store_state.h"

/* Scrub, the shard thread's half: which file is next and when, and what damage in it means.
 *
 *   in a segment that is log   the partitions that it may hit are fenced: their log is not whole
 *   in a retired one, a cask   a record that the keydir points at fences its partition; when all of
 *                              those check, what is damaged is dead, and flush writes the file anew
 *   in a hint, the manifest    they are written anew
 * A partition that is fenced gets its content from a peer, and its files go. scrub.h has the rest.
 */

#define RETRY_MS     1000u
#define TRIES_MAX    10u
#define BURST_MS     200u
#define TRAFFIC_SLOW 4u    /* times slower while clients' reads and writes are under way */
#define STEP_BYTES   4096u /* what a step costs at least: an open, a seek */

/* --- files --------------------------------------------------------------------------------- */

static bool is_log(const struct data_file *file)
{
    uint8_t state;

    if (file->kind != DATA_FILE_SEGMENT)
        return false;
    state = ((const struct journal_segment *)file)->state;
    return state == JOURNAL_SEGMENT_CURRENT || state == JOURNAL_SEGMENT_FULL ||
           state == JOURNAL_SEGMENT_SEALED;
}

/* Also what is known to be damaged: who found that may have seen only some of it. */
static bool fit(const struct data_file *file)
{
    if (!file)
        return false;
    if (file->kind == DATA_FILE_CASK)
        return ((const struct cask_file *)file)->state == CASK_FILE_LIVE;
    return is_log(file) || ((const struct journal_segment *)file)->state == JOURNAL_SEGMENT_RETIRED;
}

/* How far a file is on the disk: of a segment that is written to, up to the oldest batch that is
 * not synced. */
static uint32_t durable_length(const struct store *store, const struct data_file *file)
{
    const struct journal *journal = &store->journal;
    const struct journal_batch *batch =
        journal->synced + 1 < journal->open ? journal_batch_at(journal, journal->synced + 1) : NULL;

    if (file->kind == DATA_FILE_SEGMENT && batch && batch->segment == file->number)
        return batch->offset;
    if (file->kind == DATA_FILE_SEGMENT && batch && batch->segment < file->number)
        return JOURNAL_BLOCK_SIZE;
    return file->length;
}

/* Batches go there, or zeros ahead of them, and are synced. */
static bool written_to(const struct data_file *file)
{
    return is_log(file) && ((const struct journal_segment *)file)->state != JOURNAL_SEGMENT_SEALED;
}

static int floors_copy(const struct store *store, struct scrub *scrub)
{
    for (size_t i = 0; i < store->manifest.floor_count; i++) {
        const struct manifest_floor *floor = &store->manifest.floors[i];
        struct scrub_floor *copy;

        if (scrub->subject.kind != HINT_KIND_SEGMENT || floor->segment < scrub->subject.number)
            continue;
        if (GROW(scrub->floors, scrub->floor_capacity, scrub->floor_count + 1) != 0)
            return -ENOMEM;
        copy = &scrub->floors[scrub->floor_count++];
        copy->partition = floor->partition;
        copy->offset = floor->segment > scrub->subject.number ? UINT32_MAX : floor->offset;
    }
    return 0;
}

static bool file_begin(struct store *store, struct data_file *file)
{
    struct scrub *scrub = &store->scrub;

    *scrub = (struct scrub){
        .vfs = store->vfs,
        .step_size = SCRUB_STEP_SIZE,
        .file = file,
        .subject = store_hint_subject(file),
        .hinted = !file->hint_bad && !is_log(file),
        .written_to = written_to(file),
    };
    scrub->subject.length = durable_length(store, file);
    memcpy(scrub->folder, store->folder, sizeof(scrub->folder));
    if (file->kind == DATA_FILE_CASK)
        scrub->partition = ((const struct cask_file *)file)->info.partition;
    if (scrub_begin(scrub) != 0 || floors_copy(store, scrub) != 0) {
        scrub_end(scrub);
        return false;
    }
    file->pins++;
    return true;
}

static void file_end(struct store *store)
{
    struct scrub *scrub = &store->scrub;

    scrub->file->pins--;
    store->scrub_tries = 0;
    store->stats.scrub.files++;
    scrub_end(scrub);
}

/* --- what damage means --------------------------------------------------------------------- */

static void span_judge(struct store *store, const struct scrub_span *span, uint16_t partition)
{
    struct data_file *file = store->scrub.file;

    if (!manifest_void(&store->manifest, partition, file->number, span->to - 1))
        store_damaged(store, file, partition);
}

static void log_judge(struct store *store)
{
    struct scrub *scrub = &store->scrub;

    for (size_t i = 0; i < scrub->span_count; i++) {
        const struct scrub_span *span = &scrub->spans[i];

        scrub->file->damage_stays |= span->all;
        for (size_t j = 0; span->all && j < store->hosted_count; j++)
            span_judge(store, span, store->hosted[j]);
        if (!span->all)
            span_judge(store, span, span->partition);
    }
}

/* A record that was damaged when it was read, and is what its key has still. */
static void record_judge(struct store *store, const struct scrub_record *record)
{
    const struct store_partition *part = store_partition(store, record->partition);
    struct keydir_entry entry;

    if (record->bad && part->is_hosted &&
        keydir_get(part->keydir, &record->item.digest, &entry) == 0 &&
        entry.location == record->item.entry.location)
        store_damaged(store, store->scrub.file, record->partition);
}

static bool partition_concerned(const struct scrub *scrub, uint16_t partition)
{
    for (size_t i = 0; i < scrub->span_count; i++)
        if (scrub->spans[i].all || scrub->spans[i].partition == partition)
            return true;
    return false;
}

/* The next slice of a keydir: what it points at in bad places is to be read. False: all keydirs
 * have been walked. */
static bool live_slice(struct store *store)
{
    struct scrub *scrub = &store->scrub;
    struct keydir_item items[SCRUB_RECORDS_MAX] = {0};
    struct keydir_slice slice = {.from = scrub->position,
                                 .filter = KEYDIR_ALL,
                                 .items_max = SCRUB_RECORDS_MAX,
                                 .walk_max = FLUSH_SLICE_MAX,
                                 .items = items};
    const struct store_partition *part;

    scrub->record_count = 0;
    /* Over all that there may be: hosted partitions come and go meanwhile. */
    while (scrub->part_at < store->part_count &&
           (!store->parts[scrub->part_at].is_hosted ||
            !partition_concerned(scrub, store->parts[scrub->part_at].number))) {
        scrub->part_at++;
        slice.from = 0;
    }
    if (scrub->part_at == store->part_count)
        return false;
    part = &store->parts[scrub->part_at];
    keydir_slice(part->keydir, &slice);
    for (uint32_t i = 0; i < slice.count; i++) {
        const struct keydir_entry *entry = &items[i].entry;

        if (data_files_at(&store->files, entry->location) == scrub->file &&
            scrub_is_bad(scrub, part->number, data_file_offset(entry->location), entry->size_max))
            scrub->records[scrub->record_count++] =
                (struct scrub_record){.item = items[i], .partition = part->number};
    }
    scrub->position = slice.next;
    if (slice.next == 0)
        scrub->part_at++;
    return true;
}

/* Nothing in it that is needed is damaged: flush takes out what is alive, and it goes. */
static void dead_judge(struct store *store)
{
    struct data_file *file = store->scrub.file;

    if (file->damaged)
        return;
    file->rewrite = true;
    store_file_changed(store, file);
    store->stats.scrub.dead++;
}

/* --- the turns of the shard thread --------------------------------------------------------- */

static struct store_job *step(struct store *store)
{
    struct store_job *job = store_background_begin(store, STORE_JOB_KIND_SCRUB);

    job->scrub = &store->scrub;
    return job;
}

/* Passes begin where the clock says, so that restarts do not leave the same files out for ever. A
 * pass is over the slots that there are now: more that come meanwhile are the next one's. */
static void pass_begin(struct store *store, uint64_t now_ms)
{
    size_t count = store->files.slot_count;

    if (store->scrub_slots > 0)
        store->scrub_slot %= store->scrub_slots;
    store->scrub_left = store->scrub_slots = count;
    store->scrub_urgent = store->scrub_demanded;
    store->scrub_demanded = false;
    if (store->stats.scrub.passes == 0 && count > 0)
        store->scrub_slot = (size_t)(checksum(&now_ms, sizeof(now_ms)) % count);
    store->scrub_pass = true;
    store->scrub_begun_ms = now_ms;
    store->stats.scrub.files = 0;
    store->stats.scrub.bytes = 0;
}

static void pass_end(struct store *store)
{
    store->scrub_pass = false;
    store->scrub_urgent = false;
    store->stats.scrub.passes++;
    store->stats.scrub.ended_ms = store->scrub_step_ms;
}

static struct store_job *manifest_begin(struct store *store)
{
    store->scrub = (struct scrub){
        .vfs = store->vfs, .stage = SCRUB_MANIFEST, .manifest_sequence = store->manifest.sequence};
    memcpy(store->scrub.folder, store->folder, sizeof(store->scrub.folder));
    return step(store);
}

/* The next file of the pass, or its end. */
static struct store_job *file_next(struct store *store, uint64_t now_ms)
{
    if (store->scrub_demanded)
        pass_begin(store, now_ms);
    if (!store->scrub_pass) {
        if (store->stats.scrub.passes > 0 &&
            now_ms < store->scrub_begun_ms + store->options.scrub_every_ms)
            return NULL;
        pass_begin(store, now_ms);
    }
    while (store->scrub_left > 0) {
        size_t slot = store->scrub_slot++ % store->scrub_slots;

        store->scrub_left--;
        if (fit(store->files.slots[slot]))
            return file_begin(store, store->files.slots[slot]) ? step(store) : NULL;
    }
    return manifest_begin(store);
}

static void over(struct store *store)
{
    struct scrub *scrub = &store->scrub;

    if (!scrub->file) {
        store->manifest.rewrite |= scrub->manifest_bad;
        store->stats.scrub.faults += scrub->manifest_bad;
        store->scrub_tries = 0;
        scrub_end(scrub);
        pass_end(store);
        return;
    }
    store->stats.scrub.faults += scrub->span_count + scrub->hint_bad + scrub->header_bad;
    scrub->file->hint_bad |= scrub->hint_bad;
    if (store->scrub_tries < TRIES_MAX)
        scrub->file->unread = 0;
    store_file_changed(store, scrub->file);
    file_end(store);
}

/* A bad place in what is log, or has become a data file while it was read. */
static struct store_job *judge(struct store *store)
{
    struct scrub *scrub = &store->scrub;

    if (mutant(MUTANT_SCRUB_TRUSTS)) {
        over(store);
    } else if (is_log(scrub->file)) {
        log_judge(store);
        over(store);
    } else if (!live_slice(store)) {
        dead_judge(store);
        over(store);
    } else if (scrub->record_count > 0) {
        scrub->stage = SCRUB_READ;
        return step(store);
    }
    return store_background_begin(store, STORE_JOB_KIND_STEP);
}

static bool urgent(const struct store *store)
{
    return store->scrub_demanded || store->scrub_urgent;
}

/* What clients wait for at the disk goes first, though not for ever. */
static bool gives_way(const struct store *store, uint64_t now_ms)
{
    if (urgent(store) || (store->reads_out == 0 && !store->write_busy))
        return false;
    return now_ms < store->scrub_due_ms + (TRAFFIC_SLOW - 1) * store->scrub_pause_ms;
}

struct store_job *store_scrub_next(struct store *store, uint64_t now_ms)
{
    struct scrub *scrub = &store->scrub;

    if ((store->options.scrub_rate == 0 && !urgent(store)) || now_ms < store->scrub_due_ms ||
        gives_way(store, now_ms))
        return NULL;
    store->scrub_step_ms = now_ms;
    if (scrub->stage == SCRUB_IDLE)
        return file_next(store, now_ms);
    return scrub->stage == SCRUB_LIVE ? judge(store) : step(store);
}

/* The host comes round now and then: what it left out shortly before is made up for. */
static void pause(struct store *store, uint64_t pause_ms)
{
    uint64_t from = store->scrub_step_ms > BURST_MS ? store->scrub_step_ms - BURST_MS : 0;

    store->scrub_pause_ms = pause_ms;
    store->scrub_due_ms = (store->scrub_due_ms > from ? store->scrub_due_ms : from) + pause_ms;
}

/* A read that failed is tried again, as it may be the way to the disk. Who needs what lies there
 * asks another replica. */
static void failed(struct store *store)
{
    store->scrub_due_ms = store->scrub_step_ms;
    pause(store, RETRY_MS);
    if (++store->scrub_tries < TRIES_MAX)
        return;
    store->stats.scrub.unread++;
    over(store);
}

void store_scrub_done(struct store *store, int result)
{
    struct scrub *scrub = &store->scrub;
    uint64_t bytes = scrub->bytes_done, cost = bytes > STEP_BYTES ? bytes : STEP_BYTES;
    bool paced = !urgent(store); /* the step; the pass may end with it */

    store->stats.scrub.bytes += bytes;
    if (result < 0) {
        failed(store);
        return;
    }
    store->scrub_tries = 0;
    for (size_t i = 0; i < scrub->record_count && scrub->stage == SCRUB_LIVE; i++)
        record_judge(store, &scrub->records[i]);
    scrub->record_count = 0;
    if (scrub->stage == SCRUB_OVER)
        over(store);
    pause(store, paced ? cost * 1000 / store->options.scrub_rate : 0);
}

int store_scrub(struct store *store)
{
    if (store->fenced)
        return STORE_E_FENCED;
    store->stats.scrub.demands++;
    store->scrub_demanded = true;
    store->scrub_due_ms = 0;
    return 0;
}

uint64_t store_scrub_left(const struct store *store)
{
    size_t slots = store->scrub_demanded ? store->files.slot_count : store->scrub_slots;
    size_t count = store->scrub_demanded ? slots : store->scrub_left;
    const struct scrub *scrub = &store->scrub;
    uint64_t bytes = 0;

    for (size_t i = 0; i < count; i++) {
        const struct data_file *file = store->files.slots[(store->scrub_slot + i) % slots];

        if (fit(file))
            bytes += durable_length(store, file);
    }
    if (scrub->file && scrub->stage == SCRUB_DATA && !store->scrub_demanded)
        bytes += scrub->subject.length - scrub->offset; /* of a cask it is all or nothing */
    return bytes;
}

void store_scrub_stats(const struct store *store, struct store_scrub_stats *stats)
{
    *stats = store->stats.scrub;
    stats->running = urgent(store);
}
