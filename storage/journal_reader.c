#include "storage/journal_reader.h"

#include <errno.h>
#include <stdlib.h>

int journal_reader_open(struct journal_reader *reader, struct vfs_file *file, uint64_t segment,
                        uint64_t epoch, uint32_t limit)
{
    uint64_t size = 0;
    int r = vfs_size(file, &size);

    *reader = (struct journal_reader){0};
    if (r < 0)
        return r;
    if (size > JOURNAL_SEGMENT_SIZE_MAX)
        size = JOURNAL_SEGMENT_SIZE_MAX;
    *reader = (struct journal_reader){
        .file = file,
        .segment = segment,
        .epoch = epoch,
        .limit = size < limit ? (uint32_t)size : limit,
    };
    return 0;
}

void journal_reader_close(struct journal_reader *reader)
{
    free(reader->buffer);
    *reader = (struct journal_reader){0};
}

int journal_reader_bytes(struct journal_reader *reader, uint32_t offset, size_t size,
                         const uint8_t **bytes, size_t *got)
{
    size_t left = offset < reader->limit ? reader->limit - offset : 0;
    int64_t r;

    if (size > left)
        size = left;
    if (offset < reader->base || offset + size > reader->base + reader->filled) {
        size_t wanted = size > JOURNAL_READ_SIZE ? size : JOURNAL_READ_SIZE;

        wanted = wanted < left ? wanted : left;
        if (wanted > reader->capacity) {
            uint8_t *grown = realloc(reader->buffer, wanted);

            if (!grown)
                return -ENOMEM;
            reader->buffer = grown;
            reader->capacity = wanted;
        }
        reader->filled = 0;
        reader->base = offset;
        r = wanted > 0 ? vfs_pread(reader->file, reader->buffer, wanted, offset) : 0;
        if (r < 0)
            return (int)r;
        reader->filled = (size_t)r;
        size = size < reader->filled ? size : reader->filled;
    }
    *bytes = size > 0 ? reader->buffer + (offset - reader->base) : NULL;
    *got = size;
    return 0;
}

int journal_reader_batch(struct journal_reader *reader, uint32_t offset,
                         struct journal_batch_header *header, const uint8_t **bytes)
{
    size_t got = 0;
    int r = journal_reader_bytes(reader, offset, JOURNAL_BATCH_HEADER_SIZE, bytes, &got);

    if (r < 0)
        return r;
    r = journal_batch_check(*bytes, got, reader->epoch, reader->segment, offset, header);
    if (r != JOURNAL_FORMAT_E_SHORT)
        return r;
    if (header->length > reader->limit - offset)
        return JOURNAL_FORMAT_E_BAD;
    r = journal_reader_bytes(reader, offset, header->length, bytes, &got);
    if (r < 0)
        return r;
    r = journal_batch_check(*bytes, got, reader->epoch, reader->segment, offset, header);
    return r == JOURNAL_FORMAT_E_SHORT ? JOURNAL_FORMAT_E_BAD : r;
}

int journal_reader_seek(struct journal_reader *reader, uint32_t *offset,
                        struct journal_batch_header *header)
{
    const uint8_t *bytes;
    int r = JOURNAL_FORMAT_E_BAD;

    for (; *offset < reader->limit; *offset += JOURNAL_BLOCK_SIZE) {
        r = journal_reader_batch(reader, *offset, header, &bytes);
        if (r != JOURNAL_FORMAT_E_BAD)
            return r;
    }
    return JOURNAL_FORMAT_E_BAD;
}

int journal_reader_proves(struct journal_reader *reader, uint32_t offset, uint64_t number,
                          bool *synced)
{
    struct journal_batch_header header;
    int r = 0;

    *synced = false;
    while (!*synced && r == 0) {
        r = journal_reader_seek(reader, &offset, &header);
        if (r == 0)
            *synced = header.number >= number && header.synced_through >= number;
        offset += r == 0 ? header.length : 0;
    }
    return r < 0 ? r : 0;
}

bool journal_run_next(struct journal_run_cursor *cursor, struct record *record, uint32_t *offset)
{
    size_t size;

    if (cursor->offset >= cursor->end)
        return false;
    cursor->bad = record_decode_header(cursor->batch + cursor->offset, cursor->end - cursor->offset,
                                       record) != 0;
    if (cursor->bad)
        return false;
    size = record_size_padded(record);
    cursor->bad = size > cursor->end - cursor->offset;
    if (cursor->bad)
        return false;
    *offset = cursor->offset;
    cursor->offset += (uint32_t)size;
    return true;
}
