#include "storage/recovery.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "storage/mutant.h"
#include "storage/recovery_state.h"

static const char why_run[] = "records before the synced mark are damaged";
static const char why_batch[] = "a batch before the synced mark is unreadable";
static const char why_before[] = "fenced before the restart";
static const char why_form[] = "records that check make no sense";
static const char why_gap[] = "entries before others are missing";
static const char why_manifest[] = "the manifest is damaged or missing";
static const char why_unreadable[] = "the disk does not give its manifest or journal";

/* What is to be done behind a place in a segment. */
enum recovery_step {
    RECOVERY_STEP_ON,     /* the next batch */
    RECOVERY_STEP_END,    /* the segment ends here */
    RECOVERY_STEP_CUT,    /* all data ends here: a torn tail */
    RECOVERY_STEP_FENCED, /* the shard is fenced */
};

/* --- what the disk does not give ------------------------------------------------------------ */

bool recovery_unreadable(struct store *store, const char *path, int r)
{
    if (!vfs_is_unreadable(r))
        return false;
    if (store->unreadable_error == 0) {
        store->unreadable_error = r;
        snprintf(store->unreadable, sizeof(store->unreadable), "%s", path);
    }
    return true;
}

int recovery_journal_lost(struct store *store, uint64_t number, int r)
{
    char path[FILENAME_PATH_SIZE];

    if (r >= 0 || filename_journal(path, store->folder, number) != 0)
        return r;
    return recovery_unreadable(store, path, r) ? STORE_E_FENCED : r;
}

/* --- delivering what checks ---------------------------------------------------------------- */

static void deliver_hard_state(struct recovery *recovery, struct store_partition *part,
                               const struct record *record)
{
    const struct store_visitor *visitor = &recovery->store->visitor;
    struct store_hard_state state;

    if (!journal_hard_state_decode(record->value, record->value_size, &state)) {
        store_fence_partition(recovery->store, part, why_form);
        return;
    }
    part->hard = state;
    visitor->on_hard_state(visitor->context, part->number, &state);
}

static void deliver_checkpoint(struct recovery *recovery, struct store_partition *part,
                               const struct record *record)
{
    const struct store_visitor *visitor = &recovery->store->visitor;
    struct store_checkpoint checkpoint;
    bool fenced;

    if (!journal_checkpoint_decode(record->value, record->value_size, &checkpoint, &fenced)) {
        store_fence_partition(recovery->store, part, why_form);
        return;
    }
    /* Taken while a snapshot was on its way in: of what that replaced. */
    if (checkpoint.applied < part->floor_applied)
        return;
    if (part->unbroken && checkpoint.applied > part->last_index)
        store_fence_partition(recovery->store, part, why_gap);
    part->retain = checkpoint.first_index;
    if (checkpoint.applied > part->commit)
        part->commit = checkpoint.applied;
    visitor->on_checkpoint(visitor->context, part->number, &checkpoint);
    if (fenced)
        store_fence_partition(recovery->store, part, why_before);
}

/* A whole entry, records[0 … count), its first byte at offset of the segment. */
static int deliver_entry(struct recovery *recovery, struct store_partition *part,
                         struct journal_segment *segment, uint32_t offset, uint32_t size,
                         size_t count)
{
    struct store *store = recovery->store;
    const struct record *records = recovery->records;
    uint64_t index = records[0].index;
    int r;

    if (manifest_truncated(&store->manifest, part->number, index, segment->base.number, offset))
        return 0;
    if (part->unbroken && index > part->last_index + 1)
        store_fence_partition(store, part, why_gap);
    r = store_note_entries(store, part, segment, offset, index, index,
                           records[0].flags & RECORD_FLAG_RELOCATED);
    if (r != 0)
        return r;
    if (!part->fenced)
        store->visitor.on_entry(store->visitor.context, part->number, records, count,
                                data_file_location(&segment->base, offset), size);
    return 0;
}

/* The records of one run; a run that checks but has a wrong form fences its partition. */
static int deliver_run(struct recovery *recovery, struct store_partition *part,
                       struct journal_segment *segment, const uint8_t *batch, uint32_t batch_offset,
                       const struct journal_run *run, uint32_t end)
{
    struct journal_run_cursor cursor = {.batch = batch, .offset = run->offset, .end = end};
    struct record record;
    uint32_t offset, first = 0;
    size_t count = 0, seen = 0;
    int r;

    while (journal_run_next(&cursor, &record, &offset)) {
        seen++;
        if (record.partition != part->number)
            break;
        if (manifest_void(&recovery->store->manifest, part->number, segment->base.number,
                          batch_offset + offset))
            continue;
        if (record.sub_index != count)
            break;
        if (record.kind == RECORD_KIND_HARD_STATE) {
            deliver_hard_state(recovery, part, &record);
        } else if (record.kind == RECORD_KIND_CHECKPOINT) {
            deliver_checkpoint(recovery, part, &record);
        } else {
            first = count == 0 ? offset : first;
            recovery->records[count++] = record;
            if (record.index != recovery->records[0].index || record.index < run->first_index ||
                record.index > run->last_index)
                break;
            if (count < record.sub_count)
                continue;
            r = deliver_entry(recovery, part, segment, batch_offset + first, cursor.offset - first,
                              count);
            if (r != 0)
                return r;
            count = 0;
        }
    }
    if (cursor.bad || cursor.offset != end || count != 0 || seen != run->count)
        if (!mutant(MUTANT_TORN_TAIL_AS_DATA))
            store_fence_partition(recovery->store, part, why_form);
    return 0;
}

/* some_bad: runs that do not check are left out. */
static int deliver_batch(struct recovery *recovery, struct journal_segment *segment,
                         const struct journal_batch_header *header, const uint8_t *batch,
                         bool some_bad)
{
    struct store *store = recovery->store;
    struct journal_run run;
    uint32_t end;
    int r = 0;

    for (uint32_t i = 0; r == 0 && i < header->run_count; i++) {
        bool ok = journal_run_at(batch, header, i, &run, &end);

        assert(ok);
        if (some_bad && !journal_run_check(batch, &run, end, segment->epoch) &&
            !mutant(MUTANT_TORN_TAIL_AS_DATA))
            continue;
        if (store_partition(store, run.partition)->is_hosted)
            r = deliver_run(recovery, store_partition(store, run.partition), segment, batch,
                            header->offset, &run, end);
    }
    for (uint32_t i = 0; r == 0 && i < header->run_count; i++) {
        journal_run_at(batch, header, i, &run, &end);
        struct store_partition *part = store_partition(store, run.partition);

        if (!part->is_hosted ||
            manifest_void(&store->manifest, part->number, segment->base.number, header->offset))
            continue;
        if (run.commit > part->commit)
            part->commit = run.commit;
        if (!part->fenced && run.commit > 0)
            store->visitor.on_commit(store->visitor.context, part->number, run.commit);
    }
    if (r != 0)
        return r;
    recovery->next = header->number + 1;
    segment->last_batch = header->number;
    segment->base.length = header->offset + header->length;
    if (header->synced_through + 1 == header->number) {
        recovery->write_segment = segment;
        recovery->write_offset = header->offset;
    }
    return 0;
}

/* --- deciding what a bad place is ---------------------------------------------------------- */

static int reader_open(const struct recovery *recovery, const struct journal_segment *segment,
                       struct journal_reader *reader)
{
    const struct manifest_segment *listed =
        manifest_segment_find(&recovery->store->manifest, segment->base.number);

    return journal_reader_open(reader, segment->base.file, segment->base.number, segment->epoch,
                               listed->sealed ? listed->length : UINT32_MAX);
}

/* Looks behind (segment i, offset) for what tells whether batch `number` was synced. Writes
 * *synced, or *ends when the next segment goes on with that very number. 0, STORE_E_FENCED when the
 * disk does not tell, or -errno. */
static int prove(struct recovery *recovery, size_t i, uint32_t offset, uint64_t number,
                 bool *synced, bool *ends)
{
    const struct journal_segments *segments = &recovery->store->segments;
    size_t from = i;

    *synced = false;
    *ends = false;
    for (; i < segments->count && !*synced; i++, offset = JOURNAL_BLOCK_SIZE) {
        struct journal_reader reader;
        struct journal_batch_header header;
        int r = reader_open(recovery, segments->items[i], &reader);

        while (r == 0 && !*synced && !*ends) {
            r = journal_reader_seek(&reader, &offset, &header);
            if (r != 0)
                break;
            if (i > from && offset == JOURNAL_BLOCK_SIZE && header.number == number)
                *ends = true;
            *synced = header.number >= number && header.synced_through >= number;
            offset += header.length;
        }
        journal_reader_close(&reader);
        if (r < 0)
            return recovery_journal_lost(recovery->store, segments->items[i]->base.number, r);
        if (*ends)
            return 0;
    }
    return 0;
}

static int bad_place(struct recovery *recovery, size_t i, uint32_t offset, bool sealed,
                     uint64_t number, enum recovery_step *step)
{
    bool synced = sealed, ends = false;
    int r = sealed ? 0 : prove(recovery, i, offset, number, &synced, &ends);

    if (r != 0)
        return r;
    if (ends)
        *step = RECOVERY_STEP_END;
    else if (!synced || mutant(MUTANT_CORRUPT_AS_TORN))
        *step = RECOVERY_STEP_CUT;
    else
        *step = RECOVERY_STEP_FENCED;
    return 0;
}

/* Which runs of a batch, whose header and directory check, are damaged. Calls fence for each when
 * told to. Returns how many, or -1 when the directory makes no sense. */
static int bad_runs(struct recovery *recovery, const struct journal_batch_header *header,
                    const uint8_t *batch, uint64_t epoch, bool fence)
{
    struct store *store = recovery->store;
    int bad = 0;

    for (uint32_t i = 0; i < header->run_count; i++) {
        struct journal_run run;
        uint32_t end;

        if (!journal_run_at(batch, header, i, &run, &end))
            return -1;
        struct store_partition *part = store_partition(store, run.partition);

        /* What was given up is void; anything else that is not hosted makes no sense. */
        if (!part || (!part->is_hosted &&
                      !manifest_void(&store->manifest, run.partition, header->segment,
                                     header->offset + run.offset) &&
                      !mutant(MUTANT_REHOST_WITHOUT_FLOOR)))
            return -1;
        if (journal_run_check(batch, &run, end, epoch))
            continue;
        bad++;
        if (fence && !manifest_void(&store->manifest, run.partition, header->segment,
                                    header->offset + run.offset))
            store_fence_partition(store, part, why_run);
    }
    return bad;
}

static int take_batch(struct recovery *recovery, size_t i, bool sealed,
                      const struct journal_batch_header *header, const uint8_t *batch,
                      enum recovery_step *step)
{
    struct journal_segment *segment = recovery->store->segments.items[i];
    int bad = bad_runs(recovery, header, batch, segment->epoch, false);
    bool synced = sealed, ends;
    int r;

    *step = RECOVERY_STEP_ON;
    if (bad < 0) {
        *step = RECOVERY_STEP_FENCED;
        return 0;
    }
    if (bad > 0) {
        r = sealed ? 0
                   : prove(recovery, i, header->offset + header->length, header->number, &synced,
                           &ends);
        if (r != 0)
            return r;
        if (synced ? mutant(MUTANT_CORRUPT_AS_TORN) : !mutant(MUTANT_TORN_TAIL_AS_DATA)) {
            *step = RECOVERY_STEP_CUT;
            return 0;
        }
        if (synced)
            bad_runs(recovery, header, batch, segment->epoch, true);
    }
    return deliver_batch(recovery, segment, header, batch, bad > 0);
}

/* The mutant: believes the records of a torn batch that happen to be whole, up to the first that is
 * not, without its header's and directory's checksums. True when it took the batch. */
static bool take_torn(struct recovery *recovery, struct journal_segment *segment,
                      struct journal_reader *reader, uint32_t offset)
{
    struct journal_batch_header header;
    struct journal_run_cursor cursor;
    const uint8_t *batch;
    size_t got = 0;

    if (journal_reader_bytes(reader, offset, JOURNAL_BATCH_HEADER_SIZE, &batch, &got) != 0 ||
        journal_batch_header_peek(batch, got, &header) != 0 || header.offset != offset ||
        header.segment != segment->base.number || header.number != recovery->next ||
        journal_reader_bytes(reader, offset, header.length, &batch, &got) != 0 ||
        got < header.length)
        return false;
    cursor = (struct journal_run_cursor){
        .batch = batch, .offset = JOURNAL_BATCH_HEADER_SIZE, .end = header.directory_offset};
    for (;;) {
        struct journal_run run = {.offset = cursor.offset, .last_index = UINT64_MAX};
        struct store_partition *part;
        struct record record;
        uint32_t at;

        if (!journal_run_next(&cursor, &record, &at))
            break;
        part = store_partition(recovery->store, record.partition);
        if (!part || !part->is_hosted || record.sub_count != 1 ||
            deliver_run(recovery, part, segment, batch, offset, &run, cursor.offset) != 0)
            break;
    }
    recovery->next = header.number + 1;
    segment->last_batch = header.number;
    segment->base.length = offset + header.length;
    return true;
}

/* --- going through the segments ------------------------------------------------------------ */

/* 0, STORE_E_FENCED when the disk does not give it, or -errno. */
static int scan_segment(struct recovery *recovery, size_t i, enum recovery_step *step)
{
    struct store *store = recovery->store;
    struct journal_segment *segment = store->segments.items[i];
    const struct manifest_segment *listed =
        manifest_segment_find(&store->manifest, segment->base.number);
    uint32_t offset = JOURNAL_BLOCK_SIZE;
    struct journal_reader reader;
    bool sealed = listed->sealed;
    int r = reader_open(recovery, segment, &reader);

    /* What lies before an open segment may have been dropped; its last batch is in the manifest. */
    if (!sealed && recovery->next < store->manifest.next_batch)
        recovery->next = store->manifest.next_batch;
    *step = RECOVERY_STEP_ON;
    while (r == 0 && *step == RECOVERY_STEP_ON && !(sealed && offset == listed->length)) {
        struct journal_batch_header header;
        const uint8_t *batch;
        bool first = sealed && offset == JOURNAL_BLOCK_SIZE;

        r = journal_reader_batch(&reader, offset, &header, &batch);
        if (r < 0)
            break;
        if (r == 0 &&
            (header.number == recovery->next || (first && header.number > recovery->next)))
            r = take_batch(recovery, i, sealed, &header, batch, step);
        else if (!mutant(MUTANT_TORN_TAIL_AS_DATA) || sealed ||
                 !take_torn(recovery, segment, &reader, offset))
            r = bad_place(recovery, i, offset, sealed, recovery->next, step);
        else
            r = 0;
        offset = segment->base.length;
    }
    journal_reader_close(&reader);
    return recovery_journal_lost(store, segment->base.number, r);
}

/* No segment from this one on has been dropped, or is a data file only. */
static bool log_is_whole(const struct store *store, uint64_t number)
{
    for (size_t i = 0; i < store->segments.count; i++) {
        const struct journal_segment *segment = store->segments.items[i];

        if (segment->base.number < number)
            continue;
        if (segment->base.number != number || segment->state == JOURNAL_SEGMENT_RETIRED)
            return false;
        number++;
    }
    return true;
}

/* What snapshots brought besides records stands before all that is not void. */
static void deliver_floors(struct recovery *recovery)
{
    struct store *store = recovery->store;

    for (size_t i = 0; i < store->manifest.floor_count; i++) {
        const struct manifest_floor *floor = &store->manifest.floors[i];
        struct store_partition *part = store_partition(store, floor->partition);
        struct store_checkpoint checkpoint;
        bool fenced;

        if (!part || !part->is_hosted || floor->state_size == 0)
            continue;
        if (!journal_checkpoint_decode(floor->state, floor->state_size, &checkpoint, &fenced)) {
            store_fence_partition(store, part, why_form);
            continue;
        }
        part->floor_applied = checkpoint.applied;
        part->last_index = checkpoint.applied;
        part->commit = checkpoint.applied;
        part->retain = checkpoint.first_index;
        part->unbroken = log_is_whole(store, floor->segment);
        store->visitor.on_checkpoint(store->visitor.context, part->number, &checkpoint);
    }
}

static int scan(struct recovery *recovery)
{
    struct store *store = recovery->store;

    deliver_floors(recovery);
    for (size_t i = 0; i < store->segments.count; i++) {
        const struct journal_segment *segment = store->segments.items[i];
        enum recovery_step step;
        int r;

        if (segment->state == JOURNAL_SEGMENT_RETIRED) {
            const struct manifest_segment *listed =
                manifest_segment_find(&store->manifest, segment->base.number);

            if (recovery->next <= listed->last_batch)
                recovery->next = listed->last_batch + 1;
            continue;
        }
        r = scan_segment(recovery, i, &step);

        if (r != 0)
            return r;
        if (step == RECOVERY_STEP_FENCED) {
            store_fence_all(store, why_batch);
            return STORE_E_FENCED;
        }
        if (step == RECOVERY_STEP_CUT)
            break;
    }
    return 0;
}

static int recover(struct recovery *recovery)
{
    int r = recovery_files_check(recovery);

    if (r == 0)
        r = recovery_segments_open(recovery);
    if (r == 0)
        r = recovery_data(recovery);
    if (r == 0)
        r = store_progress_recover(recovery->store);
    if (r == 0)
        r = scan(recovery);
    if (r == 0)
        r = recovery_end(recovery);
    if (r == STORE_E_FENCED)
        store_fence_all(recovery->store,
                        recovery->store->unreadable_error != 0 ? why_unreadable : why_manifest);
    return r;
}

static int load(struct recovery *recovery)
{
    struct store *store = recovery->store;
    char path[FILENAME_PATH_SIZE];
    int r = filename_join(path, store->folder, FILENAME_MANIFEST);

    if (r == 0)
        r = manifest_load(&store->manifest, store->vfs, store->folder);
    if (recovery_unreadable(store, path, r)) {
        store->fenced = true;
        return STORE_E_FENCED;
    }
    if (r < 0)
        return r;
    switch (r) {
    case MANIFEST_E_NEWER:
        return STORE_E_NEWER;
    case MANIFEST_E_ABSENT:
        /* New, unless the node or its own files say that it cannot be: a founding that was cut
         * short leaves a file of the first segment, with nothing in it. */
        r = store->options.founded ? STORE_E_FENCED : recovery_files_check(recovery);
        if (r == 0)
            return STORE_E_ABSENT;
        store->fenced = r == STORE_E_FENCED;
        return r;
    case MANIFEST_E_OK:
        if (store->manifest.founded)
            break;
        store->fenced = true;
        return STORE_E_FENCED;
    default:
        store->fenced = true;
        return STORE_E_FENCED;
    }
    r = store_host_partitions(store);
    if (r == 0 && store->visitor.is_own &&
        !store->visitor.is_own(store->visitor.context, store->manifest.hash))
        r = STORE_E_FENCED;
    store->fenced = r == STORE_E_FENCED;
    return r;
}

int recovery_run(struct store *store)
{
    struct recovery recovery = {.store = store, .next = 1};
    int r = recovery_files(&recovery);

    if (recovery_unreadable(store, store->folder, r)) {
        store->fenced = true;
        r = STORE_E_FENCED;
    }
    recovery.records = calloc(RECORD_SUB_COUNT_MAX, sizeof(*recovery.records));
    if (r == 0 && !recovery.records)
        r = -ENOMEM;
    if (r == 0)
        r = load(&recovery);
    if (r == 0)
        r = recover(&recovery);
    else if (r == STORE_E_ABSENT)
        r = 0;
    free(recovery.records);
    free(recovery.files);
    free(recovery.doomed);
    free(recovery.names);
    return r;
}
