#include "storage/survey_entry.h"

#include <errno.h>
#include <stdlib.h>

#include "storage/cask.h"
#include "storage/grow.h"
#include "storage/journal_reader.h"

#define PARTITIONS_MAX 65536u

/* --- segments ------------------------------------------------------------------------------ */

struct segment_walk {
    struct survey *survey;
    size_t file;
    struct journal_reader reader;
    uint64_t *last; /* by partition: index of the newest entry, over all segments so far */
    bool bad;
};

/* Notes what an entry truncates of those before it. */
static int entry_truncates(struct segment_walk *walk, const struct record *record, uint32_t offset)
{
    struct survey *survey = walk->survey;
    uint64_t *last = &walk->last[record->partition];
    bool relocated = record->flags & RECORD_FLAG_RELOCATED;

    if (record->sub_index != 0 || record->kind == RECORD_KIND_HARD_STATE ||
        record->kind == RECORD_KIND_CHECKPOINT)
        return 0;
    if (!relocated && record->index <= *last) {
        if (GROW(survey->spans, survey->span_capacity, survey->span_count + 1) != 0)
            return -ENOMEM;
        survey->spans[survey->span_count++] = (struct manifest_span){
            .segment = walk->reader.segment,
            .offset = offset,
            .partition = record->partition,
            .first = record->index,
        };
    }
    if (!relocated || record->index > *last)
        *last = record->index;
    return 0;
}

static int run_walk(struct segment_walk *walk, const uint8_t *batch, uint32_t batch_offset,
                    const struct journal_run *run, uint32_t end)
{
    struct journal_run_cursor cursor = {.batch = batch, .offset = run->offset, .end = end};
    bool whole = journal_run_check(batch, run, end, walk->reader.epoch);
    struct record record;
    uint32_t at;
    int r = 0;

    walk->bad |= !whole;
    while (r == 0 && journal_run_next(&cursor, &record, &at)) {
        walk->bad |= record_decode(batch + at, end - at, &record) != 0;
        if (whole)
            r = entry_truncates(walk, &record, batch_offset + at);
        if (r == 0 && (record.kind == RECORD_KIND_PUT || record.kind == RECORD_KIND_DELETE))
            r = survey_entry_add(walk->survey, walk->file, &record, batch_offset + at);
    }
    walk->bad |= cursor.bad;
    return r;
}

/* What was counted so far. */
struct counted {
    size_t entry_count, span_count;
    uint64_t records, tombstones;
};

static struct counted counted_of(const struct segment_walk *walk)
{
    const struct survey_file *row = &walk->survey->files[walk->file];

    return (struct counted){walk->survey->entry_count, walk->survey->span_count, row->records,
                            row->tombstones};
}

/* Nothing of a torn batch counts: the records in it may be whole, and of an earlier use of the
 * file.
 */
static void count_back(struct segment_walk *walk, const struct counted *counted)
{
    struct survey_file *row = &walk->survey->files[walk->file];

    walk->survey->entry_count = counted->entry_count;
    walk->survey->span_count = counted->span_count;
    row->records = counted->records;
    row->tombstones = counted->tombstones;
}

static int batch_walk(struct segment_walk *walk, const struct journal_batch_header *header,
                      const uint8_t *batch)
{
    for (uint32_t i = 0; i < header->run_count; i++) {
        struct journal_run run;
        uint32_t end;
        int r;

        if (!journal_run_at(batch, header, i, &run, &end)) {
            walk->bad = true;
            return 0;
        }
        r = run_walk(walk, batch, header->offset, &run, end);
        if (r != 0)
            return r;
    }
    return 0;
}

/* length: of the data when the segment is sealed, else UINT32_MAX and the end is where no batch
 * follows. */
static int batches_walk(struct segment_walk *walk, uint32_t length)
{
    uint32_t offset = JOURNAL_BLOCK_SIZE;
    uint64_t next = 1; /* number of the batch that must come; at first any later one, too */

    while (offset < walk->reader.limit) {
        struct journal_batch_header header;
        const uint8_t *batch;
        bool synced = false;
        int r = journal_reader_batch(&walk->reader, offset, &header, &batch);

        if (r < 0)
            return r;
        if (r == 0 && (next == 1 || header.number == next)) {
            struct counted counted = counted_of(walk);
            bool before = walk->bad;

            walk->bad = false;
            r = batch_walk(walk, &header, batch);
            offset += header.length;
            if (r == 0 && walk->bad && length == UINT32_MAX) {
                r = journal_reader_proves(&walk->reader, offset, header.number, &synced);
                walk->bad = synced || before;
                if (r == 0 && !synced)
                    count_back(walk, &counted);
                if (r != 0 || !synced)
                    return r; /* a torn tail */
            }
            walk->bad |= before;
            next = header.number + 1;
        } else if (length != UINT32_MAX) {
            synced = true;
            walk->bad = true;
            r = journal_reader_seek(&walk->reader, &offset, &header);
            next = r == 0 ? header.number : next;
        } else {
            r = journal_reader_proves(&walk->reader, offset, next, &synced);
            if (r != 0 || !synced)
                return r; /* the end */
            walk->bad = true;
            r = journal_reader_seek(&walk->reader, &offset, &header);
            next = r == 0 ? header.number : next;
        }
        if (r != 0)
            return r < 0 ? r : 0;
    }
    return 0;
}

static int segment_walk(struct segment_walk *walk, const struct manifest_segment *segment,
                        struct vfs_file *file)
{
    struct survey_file *row = &walk->survey->files[walk->file];
    uint32_t length = segment->sealed ? segment->length : UINT32_MAX;
    uint8_t block[JOURNAL_BLOCK_SIZE];
    struct journal_segment_header header;
    int64_t got = vfs_pread(file, block, sizeof(block), 0);
    int r = got < 0 ? (int)got : vfs_size(file, &row->size);

    if (r < 0)
        return r;
    r = journal_segment_header_decode(block, (size_t)got, &header);
    if (r == JOURNAL_FORMAT_E_NEWER) {
        row->state = SURVEY_NEWER;
        return 0;
    }
    walk->bad = r != 0 || header.number != segment->number || header.epoch != segment->epoch ||
                (segment->sealed && row->size < segment->length);
    r = journal_reader_open(&walk->reader, file, segment->number, segment->epoch, length);
    if (r < 0)
        return r;
    r = batches_walk(walk, length);
    journal_reader_close(&walk->reader);
    row = &walk->survey->files[walk->file];
    if (walk->bad) {
        row->state = SURVEY_DAMAGED;
        row->note = "bytes that were synced do not check";
    }
    return r;
}

static int segment_survey(struct survey *survey, const struct manifest_segment *segment,
                          uint64_t *last)
{
    struct segment_walk walk = {.survey = survey, .file = survey->file_count, .last = last};
    char path[FILENAME_PATH_SIZE];
    struct survey_file *row;
    struct vfs_file *file = NULL;
    int r = filename_journal(path, survey->folder, segment->number);

    if (r < 0)
        return r;
    row = survey_file_add(survey, path, SURVEY_SEGMENT);
    if (!row)
        return -ENOMEM;
    row->number = segment->number;
    row->note = segment->retired ? "retired" : segment->sealed ? "sealed, log" : "open, log";
    row->hint_wanted = segment->retired;
    row->subject = (struct hint_subject){
        .kind = HINT_KIND_SEGMENT,
        .number = segment->number,
        .stamp = segment->epoch,
        .length = segment->length,
    };
    r = vfs_open(survey->vfs, path, VFS_OPEN_READ, &file);
    if (r == -ENOENT) {
        row->state = SURVEY_MISSING;
        return 0;
    }
    if (r == 0)
        r = segment_walk(&walk, segment, file);
    vfs_close(file);
    return survey_unreadable(survey, walk.file, r);
}

/* --- casks --------------------------------------------------------------------------------- */

/* Blocks, which proves them, then records. */
static int cask_walk(struct survey *survey, size_t at, const struct cask *cask, bool *bad)
{
    struct cask_buffer buffer = {0};
    struct cask_cursor cursor;
    int r = 0;

    for (uint32_t i = 0; r == 0 && i < cask->block_count; i++) {
        r = cask_verify_block(cask, i, &buffer, NULL);
        *bad |= r > 0;
        r = r > 0 ? 0 : r;
    }
    cask_buffer_free(&buffer);
    cask_cursor_open(&cursor, cask, CASK_BUFFER_SIZE);
    while (r == 0 && (r = cask_cursor_next(&cursor)) == 0)
        r = survey_entry_add(survey, at, &cursor.record, cursor.offset);
    cask_cursor_close(&cursor);
    *bad |= r == CASK_E_CORRUPT;
    return r < 0 ? r : 0;
}

static int cask_judge(struct survey *survey, size_t at, const struct manifest_cask *listed,
                      struct vfs_file *file)
{
    struct survey_file *row = &survey->files[at];
    struct cask cask;
    bool bad = false;
    int r = vfs_size(file, &row->size);

    if (r == 0)
        r = cask_open(&cask, file);
    if (r < 0)
        return r;
    if (r == CASK_E_NEWER) {
        row->state = SURVEY_NEWER;
        return 0;
    }
    if (r == 0) {
        bad = cask.info.stamp != listed->stamp || cask.info.partition != listed->partition ||
              cask.info.number != listed->number || cask.info.length != listed->length;
        row->note = bad ? "not the cask that the manifest lists" : row->note;
        r = cask_walk(survey, at, &cask, &bad);
        cask_close(&cask);
        row = &survey->files[at];
    } else {
        bad = true;
        r = 0;
    }
    if (bad && row->note[0] == '\0')
        row->note = "a checksum does not hold";
    row->state = bad ? SURVEY_DAMAGED : SURVEY_OK;
    return r;
}

static int cask_survey(struct survey *survey, const struct manifest_cask *listed, bool arriving)
{
    char path[FILENAME_PATH_SIZE];
    size_t at = survey->file_count;
    struct survey_file *row;
    struct vfs_file *file = NULL;
    int r = filename_cask(path, survey->folder, listed->partition, listed->number);

    if (r < 0)
        return r;
    row = survey_file_add(survey, path, SURVEY_CASK);
    if (!row)
        return -ENOMEM;
    row->partition = listed->partition;
    row->number = listed->number;
    row->arriving = arriving;
    row->hint_wanted = true;
    row->subject = (struct hint_subject){
        .kind = HINT_KIND_CASK,
        .number = listed->number,
        .stamp = listed->stamp,
        .length = listed->length,
    };
    r = vfs_open(survey->vfs, path, VFS_OPEN_READ, &file);
    if (r == -ENOENT) {
        row->state = SURVEY_MISSING;
        return 0;
    }
    if (r == 0)
        r = cask_judge(survey, at, listed, file);
    vfs_close(file);
    r = survey_unreadable(survey, at, r);
    if (arriving && survey->files[at].state == SURVEY_OK)
        survey->files[at].note = "of a snapshot on its way in";
    return r;
}

int survey_read_data(struct survey *survey)
{
    const struct manifest *manifest = &survey->manifest;
    uint64_t *last = calloc(PARTITIONS_MAX, sizeof(*last));
    int r = last ? 0 : -ENOMEM;

    for (size_t i = 0; r == 0 && i < manifest->segment_count; i++)
        r = segment_survey(survey, &manifest->segments[i], last);
    for (size_t i = 0; r == 0 && i < manifest->cask_count; i++)
        r = cask_survey(survey, &manifest->casks[i], false);
    for (size_t i = 0; r == 0 && i < manifest->install_cask_count; i++)
        r = cask_survey(survey, &manifest->install_casks[i].cask, true);
    free(last);
    return r;
}
