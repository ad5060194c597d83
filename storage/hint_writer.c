#include "storage/hint_format.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "storage/checksum.h"
#include "storage/codec.h"
#include "storage/grow.h"
#include "storage/record.h"

static int write_bytes(struct hint_writer *writer, uint8_t *bytes, size_t size)
{
    struct iovec iov = {.iov_base = bytes, .iov_len = size};
    int r = vfs_pwritev(writer->file, &iov, 1, writer->written);

    if (r == 0)
        writer->written += size;
    return r;
}

int hint_writer_begin(struct hint_writer *writer, struct vfs_file *file,
                      const struct hint_subject *subject)
{
    int r;

    *writer = (struct hint_writer){.file = file, .block = malloc(HINT_BLOCK_SIZE_MAX)};
    if (!writer->block)
        return -ENOMEM;
    writer->header_checksum = hint_header_encode(writer->block, subject);
    r = write_bytes(writer, writer->block, HINT_HEADER_SIZE);
    if (r < 0)
        hint_writer_end(writer);
    return r;
}

/* Writes the open block. Its partition's item is the last one. */
static int block_write(struct hint_writer *writer)
{
    size_t size = HINT_BLOCK_HEAD_SIZE + writer->block_count * HINT_ENTRY_SIZE;
    uint8_t *block = writer->block;

    if (writer->block_count == 0)
        return 0;
    codec_put_u16(block + 8, writer->last.partition);
    codec_put_u16(block + 10, 0);
    codec_put_u32(block + 12, writer->block_count);
    codec_put_u64(block, checksum(block + 8, size - 8));
    writer->blocks_checksum = hint_blocks_checksum(writer->blocks_checksum, block);
    writer->block_count = 0;
    return write_bytes(writer, block, size);
}

/* Ends the block of the partition before, opens the directory's item of the next one. */
static int partition_begin(struct hint_writer *writer, uint16_t partition)
{
    int r = block_write(writer);

    if (r == 0)
        r = GROW(writer->partitions, writer->partition_capacity, writer->partition_count + 1);
    if (r < 0)
        return r;
    writer->partitions[writer->partition_count++] = (struct hint_partition){
        .partition = partition,
        .offset = writer->written,
        .index_min = UINT64_MAX,
    };
    return 0;
}

int hint_writer_add(struct hint_writer *writer, const struct hint_entry *entry)
{
    int r = 0;

    assert(!writer->failed);
    assert(writer->count == 0 || hint_entry_compare(&writer->last, entry) < 0);
    assert(entry->offset % RECORD_ALIGN == 0 && entry->size % RECORD_ALIGN == 0);
    writer->failed = true; /* unless all of it succeeds */
    if (writer->count == 0 || writer->last.partition != entry->partition)
        r = partition_begin(writer, entry->partition);
    else if (writer->block_count == HINT_BLOCK_ENTRIES_MAX)
        r = block_write(writer);
    if (r < 0)
        return r;
    hint_entry_encode(writer->block + HINT_BLOCK_HEAD_SIZE + writer->block_count * HINT_ENTRY_SIZE,
                      entry);
    writer->block_count++;
    writer->count++;
    writer->last = *entry;
    hint_partition_add(&writer->partitions[writer->partition_count - 1], entry);
    writer->failed = false;
    return 0;
}

static int tail_write(struct hint_writer *writer)
{
    size_t size = writer->partition_count * HINT_DIRECTORY_ITEM_SIZE;
    uint8_t *bytes = malloc(size + HINT_FOOTER_SIZE);
    struct hint_footer footer = {
        .count = writer->count,
        .directory = writer->written,
        .partition_count = (uint32_t)writer->partition_count,
        .header_checksum = writer->header_checksum,
        .blocks_checksum = writer->blocks_checksum,
    };
    int r;

    if (!bytes)
        return -ENOMEM;
    for (size_t i = 0; i < writer->partition_count; i++)
        hint_partition_encode(bytes + i * HINT_DIRECTORY_ITEM_SIZE, &writer->partitions[i]);
    footer.directory_checksum = checksum(bytes, size);
    hint_footer_encode(bytes + size, &footer);
    r = write_bytes(writer, bytes, size + HINT_FOOTER_SIZE);
    free(bytes);
    return r;
}

int hint_writer_finish(struct hint_writer *writer)
{
    int r;

    assert(!writer->failed);
    writer->failed = true; /* nothing may follow */
    r = block_write(writer);
    if (r == 0)
        r = tail_write(writer);
    return r;
}

void hint_writer_end(struct hint_writer *writer)
{
    free(writer->block);
    free(writer->partitions);
    *writer = (struct hint_writer){0};
}
