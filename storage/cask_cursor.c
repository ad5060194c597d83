#include "storage/cask_format.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "storage/codec.h"
#include "storage/grow.h"

#define CURSOR_PROBE_SIZE 256u /* of a record whose key is asked for; most are shorter */

void cask_cursor_open(struct cask_cursor *cursor, const struct cask *cask, size_t read_size)
{
    *cursor = (struct cask_cursor){
        .cask = cask,
        .read_size = read_size < CASK_BLOCK_SIZE ? CASK_BLOCK_SIZE : read_size,
        .next = CASK_HEADER_SIZE,
    };
}

void cask_cursor_close(struct cask_cursor *cursor)
{
    cask_buffer_free(&cursor->buffer);
    *cursor = (struct cask_cursor){0};
}

/* Has at least `size` bytes of the file from `offset` in the buffer, reading `ahead` if it must.
 * Both are cut at the end of the records. 0, CASK_E_CORRUPT or -errno. */
static int cursor_load(struct cask_cursor *cursor, uint32_t offset, size_t size, size_t ahead,
                       const uint8_t **bytes, size_t *got)
{
    size_t left = cursor->cask->records_end - offset;
    int64_t read;

    if (offset >= cursor->base && offset - cursor->base + size <= cursor->filled) {
        *bytes = cursor->buffer.bytes + (offset - cursor->base);
        *got = cursor->filled - (offset - cursor->base);
        return 0;
    }
    if (ahead < size)
        ahead = size;
    if (ahead > left)
        ahead = left;
    if (GROW(cursor->buffer.bytes, cursor->buffer.capacity, ahead) != 0)
        return -ENOMEM;
    cursor->filled = 0;
    read = vfs_pread(cursor->cask->file, cursor->buffer.bytes, ahead, offset);
    if (read < 0)
        return (int)read;
    if ((size_t)read < ahead)
        return CASK_E_CORRUPT;
    cursor->base = offset;
    cursor->filled = ahead;
    *bytes = cursor->buffer.bytes;
    *got = ahead;
    return size <= ahead ? 0 : CASK_E_CORRUPT;
}

int cask_cursor_next(struct cask_cursor *cursor)
{
    const struct cask *cask = cursor->cask;
    const uint8_t *bytes = NULL;
    size_t got = 0, size, padded;
    int r;

    if (cursor->next == cask->records_end)
        return CASK_E_END;
    r = cursor_load(cursor, cursor->next, RECORD_HEADER_SIZE, cursor->read_size, &bytes, &got);
    if (r != 0)
        return r;
    size = codec_get_u32(bytes);
    size = (size + RECORD_ALIGN - 1) & ~(size_t)(RECORD_ALIGN - 1);
    if (size > cask->info.record_size_max || size > cask->records_end - cursor->next)
        return CASK_E_CORRUPT;
    r = cursor_load(cursor, cursor->next, size, cursor->read_size, &bytes, &got);
    if (r != 0)
        return r;
    r = cask_record_decode(bytes, got, cask->info.partition, &cursor->record, &padded);
    if (r != 0 || padded != size)
        return CASK_E_CORRUPT;
    cursor->bytes = bytes;
    cursor->size = size;
    cursor->offset = cursor->next;
    cursor->next += (uint32_t)size;
    return 0;
}

/* Compares the key of the record at offset, of which only header and key are read. */
static int probe_compare(struct cask_cursor *cursor, uint32_t offset, const uint8_t *key,
                         size_t key_size, int *order)
{
    struct record record = {0};
    const uint8_t *bytes = NULL;
    size_t got = 0, head;
    int r = cursor_load(cursor, offset, RECORD_HEADER_SIZE, CURSOR_PROBE_SIZE, &bytes, &got);

    if (r != 0)
        return r;
    head = record_head_size(bytes);
    if (head > cursor->cask->records_end - offset)
        return CASK_E_CORRUPT;
    r = cursor_load(cursor, offset, head, CURSOR_PROBE_SIZE, &bytes, &got);
    if (r != 0)
        return r;
    r = record_decode_header(bytes, got, &record);
    if (r == RECORD_E_CORRUPT || !record.key) /* SHORT: the value is not there, the key is */
        return CASK_E_CORRUPT;
    *order = cask_key_compare(record.key, record.key_size, key, key_size);
    return 0;
}

int cask_cursor_seek(struct cask_cursor *cursor, const uint8_t *key, size_t key_size)
{
    const struct cask *cask = cursor->cask;
    uint32_t low = 0, high = cask->block_count; /* the first block that begins above the key */
    int r;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        int order = 0;

        r = probe_compare(cursor, cask->blocks[middle], key, key_size, &order);
        if (r != 0)
            return r;
        if (order > 0)
            high = middle;
        else
            low = middle + 1;
    }
    cursor->next = low > 0 ? cask->blocks[low - 1] : CASK_HEADER_SIZE;
    while ((r = cask_cursor_next(cursor)) == 0) {
        const struct record *record = &cursor->record;

        if (cask_key_compare(record->key, record->key_size, key, key_size) >= 0) {
            cursor->next = cursor->offset;
            return 0;
        }
    }
    return r == CASK_E_END ? 0 : r;
}
