#include "storage/scrub.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "storage/grow.h"
#include "storage/manifest.h"

int scrub_begin(struct scrub *scrub)
{
    scrub->records = calloc(SCRUB_RECORDS_MAX, sizeof(*scrub->records));
    if (!scrub->records)
        return -ENOMEM;
    scrub->offset = 0;
    scrub->stage = SCRUB_DATA;
    return 0;
}

static void hint_end(struct scrub *scrub)
{
    if (scrub->cursor_open)
        hint_cursor_close(&scrub->cursor);
    if (scrub->hint_open)
        hint_close(&scrub->hint);
    vfs_close(scrub->hint_file);
    scrub->cursor_open = scrub->hint_open = false;
    scrub->hint_file = NULL;
    scrub->partition_at = 0;
}

void scrub_end(struct scrub *scrub)
{
    hint_end(scrub);
    if (scrub->reader_open)
        journal_reader_close(&scrub->reader);
    if (scrub->cask_open)
        cask_close(&scrub->cask);
    cask_buffer_free(&scrub->buffer);
    free(scrub->floors);
    free(scrub->records);
    *scrub = (struct scrub){.stage = SCRUB_IDLE};
}

/* --- bad places ---------------------------------------------------------------------------- */

static void span_add(struct scrub *scrub, uint32_t from, uint32_t to, bool all, uint16_t partition)
{
    struct scrub_span *span;

    if (scrub->span_count < SCRUB_SPANS_MAX) {
        scrub->spans[scrub->span_count++] =
            (struct scrub_span){.from = from, .to = to, .all = all, .partition = partition};
        return;
    }
    span = &scrub->spans[SCRUB_SPANS_MAX - 1];
    span->to = to;
    span->all |= all || span->partition != partition;
}

bool scrub_is_bad(const struct scrub *scrub, uint16_t partition, uint32_t offset, uint32_t size)
{
    for (size_t i = 0; i < scrub->span_count; i++) {
        const struct scrub_span *span = &scrub->spans[i];

        if ((span->all || span->partition == partition) && offset < span->to &&
            (uint64_t)offset + size > span->from)
            return true;
    }
    return false;
}

/* True the first time: what was read is forgotten, to be read once more. */
static bool ask_again(struct scrub *scrub)
{
    scrub->asked_again = !scrub->asked_again;
    scrub->reader.filled = 0;
    return scrub->asked_again;
}

/* --- DATA: a segment ----------------------------------------------------------------------- */

/* The manifest knows all that a segment's header says. */
static int header_mend(struct scrub *scrub)
{
    uint8_t block[JOURNAL_BLOCK_SIZE];
    struct iovec iov = {.iov_base = block, .iov_len = sizeof(block)};
    struct journal_segment_header header = {.number = scrub->subject.number,
                                            .epoch = scrub->subject.stamp};
    int r;

    scrub->header_bad = true;
    /* A sync that fails is told to one caller only: not to us in the place of the journal. */
    if (scrub->written_to)
        return 0;
    journal_segment_header_encode(&header, block);
    r = vfs_pwritev(scrub->file->file, &iov, 1, 0);
    if (r == 0)
        r = vfs_sync(scrub->file->file);
    return r;
}

static int segment_open(struct scrub *scrub)
{
    uint8_t block[JOURNAL_BLOCK_SIZE];
    struct journal_segment_header header = {0};
    int64_t got = vfs_pread(scrub->file->file, block, sizeof(block), 0);
    int r = got < 0 ? (int)got : journal_segment_header_decode(block, (size_t)got, &header);

    if (r < 0)
        return r;
    if (r != 0 || header.number != scrub->subject.number || header.epoch != scrub->subject.stamp) {
        if (ask_again(scrub))
            return 0;
        r = header_mend(scrub);
        if (r < 0)
            return r;
    }
    scrub->asked_again = false;
    r = journal_reader_open(&scrub->reader, scrub->file->file, scrub->subject.number,
                            scrub->subject.stamp, scrub->subject.length);
    if (r != 0)
        return r;
    scrub->reader_open = true;
    scrub->offset = JOURNAL_BLOCK_SIZE;
    return 0;
}

static bool run_is_void(const struct scrub *scrub, uint16_t partition, uint32_t offset)
{
    for (size_t i = 0; i < scrub->floor_count; i++)
        if (scrub->floors[i].partition == partition && offset < scrub->floors[i].offset)
            return true;
    return false;
}

/* The records behind a run's checksum were not checked when it was made of them. */
static bool run_is_sound(const struct scrub *scrub, const uint8_t *batch,
                         const struct journal_run *run, uint32_t end)
{
    struct record record;
    uint32_t at = run->offset;

    if (!journal_run_check(batch, run, end, scrub->subject.stamp))
        return false;
    while (at < end) {
        if (record_decode(batch + at, end - at, &record) != 0 ||
            record_size_padded(&record) > end - at || record.partition != run->partition)
            return false;
        at += (uint32_t)record_size_padded(&record);
    }
    return true;
}

/* False: ask again. */
static bool batch_check(struct scrub *scrub, const struct journal_batch_header *header,
                        const uint8_t *batch)
{
    size_t spans = scrub->span_count;

    for (uint32_t i = 0; i < header->run_count; i++) {
        struct journal_run run;
        uint32_t end;
        bool known = journal_run_at(batch, header, i, &run, &end);

        if (known && (run_is_void(scrub, run.partition, header->offset + run.offset) ||
                      run_is_sound(scrub, batch, &run, end)))
            continue;
        if (!scrub->asked_again) {
            scrub->span_count = spans;
            return !ask_again(scrub);
        }
        if (known)
            span_add(scrub, header->offset + run.offset, header->offset + end, false,
                     run.partition);
        else
            span_add(scrub, header->offset, header->offset + header->length, true, 0);
    }
    scrub->asked_again = false;
    return true;
}

/* No batch begins where one should: on to the next that does. */
static int batch_missing(struct scrub *scrub)
{
    struct journal_batch_header header;
    uint32_t from = scrub->offset;
    int r;

    if (ask_again(scrub))
        return 0;
    scrub->offset += JOURNAL_BLOCK_SIZE;
    r = journal_reader_seek(&scrub->reader, &scrub->offset, &header);
    if (r < 0) {
        scrub->offset = from;
        return r;
    }
    if (r > 0)
        scrub->offset = scrub->subject.length;
    span_add(scrub, from, scrub->offset, true, 0);
    return 0;
}

static int segment_step(struct scrub *scrub)
{
    uint32_t from = scrub->offset;
    int r = scrub->reader_open ? 0 : segment_open(scrub);

    while (r == 0 && scrub->reader_open && scrub->offset < scrub->subject.length &&
           scrub->offset - from < scrub->step_size) {
        struct journal_batch_header header;
        const uint8_t *batch;

        r = journal_reader_batch(&scrub->reader, scrub->offset, &header, &batch);
        if (r > 0)
            r = batch_missing(scrub);
        else if (r == 0 && batch_check(scrub, &header, batch))
            scrub->offset += header.length;
    }
    scrub->bytes_done = scrub->offset - from;
    if (r == 0 && scrub->reader_open && scrub->offset >= scrub->subject.length)
        scrub->stage = SCRUB_HINT;
    return r;
}

/* --- DATA: a cask -------------------------------------------------------------------------- */

static int cask_begin(struct scrub *scrub)
{
    int r = cask_open(&scrub->cask, scrub->file->file);

    scrub->bytes_done = (uint64_t)CASK_HEADER_SIZE + CASK_FOOTER_SIZE;
    if (r < 0)
        return r;
    scrub->cask_open = r == 0;
    if (r == 0 && scrub->cask.info.stamp == scrub->subject.stamp) {
        scrub->bytes_done += (uint64_t)scrub->cask.block_count * CASK_INDEX_ITEM_SIZE;
        scrub->asked_again = false;
        return 0;
    }
    if (scrub->cask_open)
        cask_close(&scrub->cask);
    scrub->cask_open = false;
    if (ask_again(scrub))
        return 0;
    /* Where its blocks are is not known: any of them may be bad. */
    span_add(scrub, 0, scrub->subject.length, false, scrub->partition);
    scrub->stage = SCRUB_HINT;
    return 0;
}

static int cask_step(struct scrub *scrub)
{
    const struct cask *cask = &scrub->cask;

    if (!scrub->cask_open)
        return cask_begin(scrub);
    while (scrub->block < cask->block_count && scrub->bytes_done < scrub->step_size) {
        uint32_t from = cask->blocks[scrub->block];
        uint32_t to = scrub->block + 1 < cask->block_count ? cask->blocks[scrub->block + 1]
                                                           : cask->records_end;
        int r = cask_verify_block(cask, scrub->block, &scrub->buffer, NULL);

        if (r < 0)
            return r;
        scrub->bytes_done += to - from;
        if (r > 0 && ask_again(scrub))
            continue;
        if (r > 0)
            span_add(scrub, from, to, false, scrub->partition);
        scrub->asked_again = false;
        scrub->block++;
    }
    if (scrub->block == cask->block_count)
        scrub->stage = SCRUB_HINT;
    return 0;
}

/* --- HINT ---------------------------------------------------------------------------------- */

static int hint_begin(struct scrub *scrub)
{
    char path[FILENAME_PATH_SIZE];
    int r = scrub->subject.kind == HINT_KIND_SEGMENT
                ? filename_journal_hint(path, scrub->folder, scrub->subject.number)
                : filename_cask_hint(path, scrub->folder, scrub->partition, scrub->subject.number);

    if (r == 0)
        r = vfs_open(scrub->vfs, path, VFS_OPEN_READ, &scrub->hint_file);
    if (r == -ENOENT)
        return HINT_E_CORRUPT;
    if (r == 0)
        r = hint_open(&scrub->hint, scrub->hint_file, &scrub->subject);
    scrub->hint_open = r == 0;
    return r;
}

/* The next block; HINT_E_END behind the last. */
static int hint_block(struct scrub *scrub)
{
    int r = 0;

    if (!scrub->cursor_open) {
        if (scrub->partition_at == scrub->hint.partition_count)
            return HINT_E_END;
        r = hint_cursor_open(&scrub->cursor, &scrub->hint,
                             scrub->hint.partitions[scrub->partition_at].partition);
        if (r != 0)
            return HINT_E_CORRUPT;
        scrub->cursor_open = true;
    }
    do
        r = hint_cursor_next(&scrub->cursor);
    while (r == 0 && scrub->cursor.at < scrub->cursor.block_count);
    if (r != HINT_E_END) {
        scrub->bytes_done +=
            HINT_BLOCK_HEAD_SIZE + (uint64_t)scrub->cursor.block_count * HINT_ENTRY_SIZE;
        return r;
    }
    hint_cursor_close(&scrub->cursor);
    scrub->cursor_open = false;
    scrub->partition_at++;
    return 0;
}

static int hint_step(struct scrub *scrub)
{
    int r = !scrub->hinted ? HINT_E_END : scrub->hint_open ? 0 : hint_begin(scrub);

    while (r == 0 && scrub->bytes_done < scrub->step_size)
        r = hint_block(scrub);
    if (r == 0)
        return 0;
    hint_end(scrub); /* after a failure from its beginning */
    if (r < 0)
        return r;
    scrub->hint_bad = r != HINT_E_END;
    scrub->stage = scrub->span_count > 0 ? SCRUB_LIVE : SCRUB_OVER;
    return 0;
}

/* --- READ ---------------------------------------------------------------------------------- */

static int read_step(struct scrub *scrub)
{
    for (size_t i = 0; i < scrub->record_count; i++) {
        struct scrub_record *record = &scrub->records[i];
        size_t size = record->item.entry.size_max;
        struct record decoded;
        int64_t got;

        if (GROW(scrub->buffer.bytes, scrub->buffer.capacity, size) != 0)
            return -ENOMEM;
        got = vfs_pread(scrub->file->file, scrub->buffer.bytes, size,
                        data_file_offset(record->item.entry.location));
        if (got < 0)
            return (int)got;
        scrub->bytes_done += (uint64_t)got;
        record->bad = record_decode(scrub->buffer.bytes, (size_t)got, &decoded) != 0 ||
                      decoded.partition != record->partition;
    }
    scrub->stage = SCRUB_LIVE;
    return 0;
}

/* --- MANIFEST ------------------------------------------------------------------------------ */

/* One that lost its last edits is whole, but of an earlier time. */
static int manifest_step(struct scrub *scrub)
{
    struct manifest manifest;
    int r;

    manifest_init(&manifest);
    r = manifest_load(&manifest, scrub->vfs, scrub->folder);
    if (r >= 0)
        scrub->manifest_bad = r != MANIFEST_E_OK || manifest.sequence != scrub->manifest_sequence;
    manifest_deinit(&manifest);
    if (r < 0)
        return r;
    scrub->stage = SCRUB_OVER;
    return 0;
}

int scrub_step(struct scrub *scrub)
{
    scrub->bytes_done = 0;
    switch (scrub->stage) {
    case SCRUB_DATA:
        return scrub->subject.kind == HINT_KIND_SEGMENT ? segment_step(scrub) : cask_step(scrub);
    case SCRUB_HINT:
        return hint_step(scrub);
    case SCRUB_READ:
        return read_step(scrub);
    case SCRUB_MANIFEST:
        return manifest_step(scrub);
    default:
        return 0;
    }
}
