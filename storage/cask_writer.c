#include "storage/cask_format.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "storage/checksum.h"
#include "storage/grow.h"

int cask_writer_begin(struct cask_writer *writer, struct vfs_file *file, uint16_t partition,
                      uint64_t number)
{
    *writer = (struct cask_writer){
        .file = file,
        .info = {.partition = partition, .number = number, .index_min = UINT64_MAX},
        .buffered = CASK_HEADER_SIZE,
        .block_from = CASK_HEADER_SIZE,
    };
    if (GROW(writer->buffer, writer->capacity, CASK_BLOCK_SIZE) != 0)
        return -ENOMEM;
    assert(writer->buffer);
    cask_header_encode(writer->buffer, partition, number);
    return 0;
}

/* Writes what is buffered; no block is open. */
static int buffer_write(struct cask_writer *writer)
{
    struct iovec iov = {.iov_base = writer->buffer, .iov_len = writer->buffered};
    int r = vfs_pwritev(writer->file, &iov, 1, writer->written);

    assert(writer->block_from == writer->buffered);
    if (r < 0)
        return r;
    writer->written += (uint32_t)writer->buffered;
    writer->buffered = 0;
    writer->block_from = 0;
    return 0;
}

/* Notes the open block in the index. Its place there is made when its first record is added. */
static void block_close(struct cask_writer *writer)
{
    size_t size = writer->buffered - writer->block_from;

    if (writer->block_records == 0)
        return;
    assert(writer->block_count < writer->block_capacity);
    writer->blocks[writer->block_count++] = (struct cask_block){
        .offset = writer->written + (uint32_t)writer->block_from,
        .count = writer->block_records,
        .checksum = checksum(writer->buffer + writer->block_from, size),
    };
    writer->block_from = writer->buffered;
    writer->block_records = 0;
}

static uint32_t records_end(const struct cask_writer *writer)
{
    return writer->written + (uint32_t)writer->buffered;
}

uint32_t cask_writer_length(const struct cask_writer *writer)
{
    size_t blocks = writer->block_count + (writer->block_records > 0);

    return records_end(writer) + (uint32_t)blocks * CASK_INDEX_ITEM_SIZE + CASK_FOOTER_SIZE;
}

static int key_keep(struct cask_writer *writer, const struct record *record)
{
    if (GROW(writer->key, writer->key_capacity, record->key_size) != 0)
        return -ENOMEM;
    memcpy(writer->key, record->key, record->key_size);
    writer->key_size = record->key_size;
    return 0;
}

static int memory_grow(struct cask_writer *writer, size_t size)
{
    if (GROW(writer->buffer, writer->capacity, writer->buffered + size) != 0)
        return -ENOMEM;
    return GROW(writer->blocks, writer->block_capacity, writer->block_count + 1);
}

static void info_add(struct cask_info *info, const struct record *record, size_t size)
{
    info->count++;
    info->tombstones += record->kind == RECORD_KIND_DELETE;
    if (record->index < info->index_min)
        info->index_min = record->index;
    if (record->index > info->index_max)
        info->index_max = record->index;
    if (size > info->record_size_max)
        info->record_size_max = (uint32_t)size;
}

int cask_writer_add(struct cask_writer *writer, const uint8_t *bytes, size_t size, uint32_t *offset)
{
    struct record record;
    size_t padded;
    int r;

    assert(!writer->failed);
    r = cask_record_decode(bytes, size, writer->info.partition, &record, &padded);
    if (r != 0 || padded != size)
        return CASK_E_CORRUPT;
    if (cask_writer_length(writer) + size + CASK_INDEX_ITEM_SIZE > CASK_SIZE_MAX)
        return CASK_E_FULL;
    assert(writer->info.count == 0 ||
           cask_key_compare(writer->key, writer->key_size, record.key, record.key_size) < 0);
    writer->failed = true; /* unless all of it succeeds */
    r = memory_grow(writer, size);
    if (r == 0)
        r = key_keep(writer, &record);
    if (r < 0)
        return r;
    if (offset)
        *offset = records_end(writer);
    memcpy(writer->buffer + writer->buffered, bytes, size);
    writer->buffered += size;
    writer->block_records++;
    info_add(&writer->info, &record, size);
    if (writer->buffered - writer->block_from >= CASK_BLOCK_SIZE) {
        block_close(writer);
        if (writer->buffered + CASK_BLOCK_SIZE >= CASK_BUFFER_SIZE)
            r = buffer_write(writer);
    }
    writer->failed = r < 0;
    return r;
}

/* Puts index and footer behind the records, which are all written. */
static int tail_write(struct cask_writer *writer, struct cask_footer *footer)
{
    size_t index_size = writer->block_count * CASK_INDEX_ITEM_SIZE;
    int r = GROW(writer->buffer, writer->capacity, index_size + CASK_FOOTER_SIZE);

    if (r < 0)
        return r;
    for (size_t i = 0; i < writer->block_count; i++)
        cask_block_encode(writer->buffer + i * CASK_INDEX_ITEM_SIZE, &writer->blocks[i]);
    footer->records_end = writer->written;
    footer->block_count = (uint32_t)writer->block_count;
    footer->index_checksum = checksum(writer->buffer, index_size);
    footer->info.length = writer->written + (uint32_t)index_size + CASK_FOOTER_SIZE;
    cask_footer_encode(writer->buffer + index_size, footer);
    writer->buffered = index_size + CASK_FOOTER_SIZE;
    writer->block_from = writer->buffered;
    return buffer_write(writer);
}

int cask_writer_finish(struct cask_writer *writer, struct cask_info *info)
{
    struct cask_footer footer = {.info = writer->info};
    int r;

    assert(!writer->failed);
    writer->failed = true; /* nothing may follow */
    if (footer.info.count == 0)
        footer.info.index_min = 0;
    block_close(writer);
    r = buffer_write(writer);
    if (r == 0)
        r = tail_write(writer, &footer);
    if (r == 0)
        *info = footer.info;
    return r;
}

void cask_writer_end(struct cask_writer *writer)
{
    free(writer->buffer);
    free(writer->blocks);
    free(writer->key);
    *writer = (struct cask_writer){0};
}
