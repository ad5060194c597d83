#include "storage/cask_format.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "storage/checksum.h"
#include "storage/codec.h"
#include "storage/grow.h"

#define CASK_MAGIC        0x4B53434B53414352ull /* "RCASKCSK" */
#define CASK_FOOTER_MAGIC 0x444E454B53414352ull /* "RCASKEND" */
#define CASK_PROBE_SIZE   512u                  /* read first of a record of unknown size */

int cask_key_compare(const uint8_t *a, size_t a_size, const uint8_t *b, size_t b_size)
{
    size_t size = a_size < b_size ? a_size : b_size;
    int order = size > 0 ? memcmp(a, b, size) : 0;

    return order != 0 ? order : (a_size > b_size) - (a_size < b_size);
}

/* --- formats ------------------------------------------------------------------------------- */

void cask_header_encode(uint8_t *out, uint16_t partition, uint64_t number)
{
    memset(out, 0, CASK_HEADER_SIZE);
    codec_put_u64(out, CASK_MAGIC);
    codec_put_u32(out + 8, CASK_VERSION);
    codec_put_u16(out + 12, partition);
    codec_put_u64(out + 16, number);
    codec_put_u64(out + 56, checksum(out, 56));
}

int cask_header_decode(const uint8_t *bytes, size_t size, struct cask_info *info)
{
    if (size < CASK_HEADER_SIZE || codec_get_u64(bytes) != CASK_MAGIC ||
        codec_get_u64(bytes + 56) != checksum(bytes, 56))
        return CASK_E_CORRUPT;
    if (codec_get_u32(bytes + 8) > CASK_VERSION)
        return CASK_E_NEWER;
    if (codec_get_u32(bytes + 8) != CASK_VERSION)
        return CASK_E_CORRUPT;
    *info = (struct cask_info){
        .partition = codec_get_u16(bytes + 12),
        .number = codec_get_u64(bytes + 16),
    };
    return 0;
}

void cask_footer_encode(uint8_t *out, struct cask_footer *footer)
{
    struct cask_info *info = &footer->info;

    memset(out, 0, CASK_FOOTER_SIZE);
    codec_put_u64(out, CASK_FOOTER_MAGIC);
    codec_put_u64(out + 8, info->number);
    codec_put_u16(out + 16, info->partition);
    codec_put_u32(out + 20, footer->block_count);
    codec_put_u32(out + 24, footer->records_end);
    codec_put_u32(out + 28, info->length);
    codec_put_u32(out + 32, info->count);
    codec_put_u32(out + 36, info->tombstones);
    codec_put_u64(out + 40, info->index_min);
    codec_put_u64(out + 48, info->index_max);
    codec_put_u64(out + 56, footer->index_checksum);
    codec_put_u64(out + 64, info->record_size_max);
    info->stamp = checksum(out, 88);
    codec_put_u64(out + 88, info->stamp);
}

int cask_footer_decode(const uint8_t *bytes, struct cask_footer *footer)
{
    uint64_t end;

    if (codec_get_u64(bytes) != CASK_FOOTER_MAGIC ||
        codec_get_u64(bytes + 88) != checksum(bytes, 88))
        return CASK_E_CORRUPT;
    *footer = (struct cask_footer){
        .info =
            {
                .number = codec_get_u64(bytes + 8),
                .partition = codec_get_u16(bytes + 16),
                .stamp = codec_get_u64(bytes + 88),
                .length = codec_get_u32(bytes + 28),
                .count = codec_get_u32(bytes + 32),
                .tombstones = codec_get_u32(bytes + 36),
                .index_min = codec_get_u64(bytes + 40),
                .index_max = codec_get_u64(bytes + 48),
            },
        .records_end = codec_get_u32(bytes + 24),
        .block_count = codec_get_u32(bytes + 20),
        .index_checksum = codec_get_u64(bytes + 56),
    };
    end = (uint64_t)footer->records_end + (uint64_t)footer->block_count * CASK_INDEX_ITEM_SIZE +
          CASK_FOOTER_SIZE;
    if (footer->records_end < CASK_HEADER_SIZE || end != footer->info.length ||
        footer->info.length > CASK_SIZE_MAX || footer->info.tombstones > footer->info.count ||
        codec_get_u64(bytes + 64) > footer->records_end - CASK_HEADER_SIZE)
        return CASK_E_CORRUPT;
    footer->info.record_size_max = (uint32_t)codec_get_u64(bytes + 64);
    return 0;
}

void cask_block_encode(uint8_t *out, const struct cask_block *block)
{
    codec_put_u32(out, block->offset);
    codec_put_u32(out + 4, block->count);
    codec_put_u64(out + 8, block->checksum);
}

void cask_block_decode(const uint8_t *bytes, struct cask_block *block)
{
    *block = (struct cask_block){
        .offset = codec_get_u32(bytes),
        .count = codec_get_u32(bytes + 4),
        .checksum = codec_get_u64(bytes + 8),
    };
}

static bool is_zero(const uint8_t *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (bytes[i] != 0)
            return false;
    return true;
}

int cask_record_decode(const uint8_t *bytes, size_t size, uint16_t partition, struct record *record,
                       size_t *padded)
{
    int r = record_decode(bytes, size, record);
    size_t plain;

    if (r != 0)
        return r;
    plain = record_size(record);
    *padded = record_size_padded(record);
    if (*padded > size)
        return RECORD_E_SHORT;
    if (record->partition != partition || !is_zero(bytes + plain, *padded - plain) ||
        (record->kind != RECORD_KIND_PUT && record->kind != RECORD_KIND_DELETE))
        return RECORD_E_CORRUPT;
    return 0;
}

/* --- opening ------------------------------------------------------------------------------- */

/* All of size bytes: 0, CASK_E_CORRUPT when the file ends before, or -errno. */
static int read_exactly(struct vfs_file *file, void *out, size_t size, uint64_t offset)
{
    int64_t got = vfs_pread(file, out, size, offset);

    if (got < 0)
        return (int)got;
    return (size_t)got == size ? 0 : CASK_E_CORRUPT;
}

/* Keeps the offsets of an index whose checksum holds. */
static int index_take(struct cask *cask, const uint8_t *bytes)
{
    uint64_t count = 0;
    uint32_t from = CASK_HEADER_SIZE;

    cask->blocks = malloc((size_t)cask->block_count * sizeof(*cask->blocks) + 1);
    if (!cask->blocks)
        return -ENOMEM;
    for (uint32_t i = 0; i < cask->block_count; i++) {
        struct cask_block block;

        cask_block_decode(bytes + (size_t)i * CASK_INDEX_ITEM_SIZE, &block);
        if ((i == 0 ? block.offset != from : block.offset <= from) ||
            block.offset >= cask->records_end || block.offset % RECORD_ALIGN != 0)
            return CASK_E_CORRUPT;
        from = block.offset;
        cask->blocks[i] = from;
        count += block.count;
    }
    if (count != cask->info.count ||
        (cask->block_count == 0 && cask->records_end != CASK_HEADER_SIZE))
        return CASK_E_CORRUPT;
    return 0;
}

static int index_read(struct cask *cask, uint64_t index_checksum)
{
    size_t size = (size_t)cask->block_count * CASK_INDEX_ITEM_SIZE;
    uint8_t *bytes = malloc(size + 1);
    int r;

    if (!bytes)
        return -ENOMEM;
    r = read_exactly(cask->file, bytes, size, cask->records_end);
    if (r == 0 && checksum(bytes, size) != index_checksum)
        r = CASK_E_CORRUPT;
    if (r == 0)
        r = index_take(cask, bytes);
    free(bytes);
    return r;
}

int cask_open(struct cask *cask, struct vfs_file *file)
{
    uint8_t bytes[CASK_FOOTER_SIZE];
    struct cask_footer footer;
    struct cask_info head;
    uint64_t size = 0;
    int r = vfs_size(file, &size);

    *cask = (struct cask){.file = file};
    if (r == 0)
        r = read_exactly(file, bytes, CASK_HEADER_SIZE, 0);
    if (r == 0)
        r = cask_header_decode(bytes, CASK_HEADER_SIZE, &head);
    if (r == 0 && size < CASK_HEADER_SIZE + CASK_FOOTER_SIZE)
        r = CASK_E_CORRUPT;
    if (r == 0)
        r = read_exactly(file, bytes, CASK_FOOTER_SIZE, size - CASK_FOOTER_SIZE);
    if (r == 0)
        r = cask_footer_decode(bytes, &footer);
    if (r != 0)
        return r;
    if (footer.info.length != size || footer.info.partition != head.partition ||
        footer.info.number != head.number)
        return CASK_E_CORRUPT;
    cask->info = footer.info;
    cask->records_end = footer.records_end;
    cask->block_count = footer.block_count;
    r = index_read(cask, footer.index_checksum);
    if (r != 0)
        cask_close(cask);
    return r;
}

void cask_close(struct cask *cask)
{
    free(cask->blocks);
    *cask = (struct cask){0};
}

/* --- reading ------------------------------------------------------------------------------- */

void cask_buffer_free(struct cask_buffer *buffer)
{
    free(buffer->bytes);
    *buffer = (struct cask_buffer){0};
}

/* Padded size of the record whose first 4 bytes these are, if it can be true; else 0. */
static size_t size_claimed(const struct cask *cask, uint32_t offset, const uint8_t *bytes)
{
    uint64_t size = codec_get_u32(bytes);

    size = (size + RECORD_ALIGN - 1) & ~(uint64_t)(RECORD_ALIGN - 1);
    if (size < RECORD_HEADER_SIZE || size > cask->info.record_size_max ||
        size > cask->records_end - offset)
        return 0;
    return (size_t)size;
}

int cask_read(const struct cask *cask, uint32_t offset, struct cask_buffer *buffer,
              struct record *record)
{
    size_t probe, size, padded;
    int r;

    if (offset < CASK_HEADER_SIZE || offset >= cask->records_end || offset % RECORD_ALIGN != 0)
        return CASK_E_CORRUPT;
    probe = cask->records_end - offset;
    if (probe > CASK_PROBE_SIZE)
        probe = CASK_PROBE_SIZE;
    if (GROW(buffer->bytes, buffer->capacity, CASK_PROBE_SIZE) != 0)
        return -ENOMEM;
    r = read_exactly(cask->file, buffer->bytes, probe, offset);
    if (r != 0)
        return r;
    size = size_claimed(cask, offset, buffer->bytes);
    if (size == 0)
        return CASK_E_CORRUPT;
    if (size > probe) {
        if (GROW(buffer->bytes, buffer->capacity, size) != 0)
            return -ENOMEM;
        r = read_exactly(cask->file, buffer->bytes + probe, size - probe, offset + probe);
        if (r != 0)
            return r;
    }
    r = cask_record_decode(buffer->bytes, size, cask->info.partition, record, &padded);
    return r == 0 && padded == size ? 0 : CASK_E_CORRUPT;
}

/* Goes through the records of a block that lies in memory. */
static int block_records_check(const struct cask *cask, const uint8_t *bytes, size_t size,
                               uint32_t count)
{
    struct record record, last = {0};
    size_t at = 0, padded;

    for (uint32_t i = 0; i < count; i++) {
        if (cask_record_decode(bytes + at, size - at, cask->info.partition, &record, &padded) != 0)
            return CASK_E_CORRUPT;
        if (i > 0 && cask_key_compare(last.key, last.key_size, record.key, record.key_size) >= 0)
            return CASK_E_CORRUPT;
        last = record;
        at += padded;
    }
    return at == size ? 0 : CASK_E_CORRUPT;
}

int cask_verify_block(const struct cask *cask, uint32_t block, struct cask_buffer *buffer,
                      uint32_t *offset)
{
    uint32_t from = cask->blocks[block];
    uint32_t to = block + 1 < cask->block_count ? cask->blocks[block + 1] : cask->records_end;
    uint8_t item[CASK_INDEX_ITEM_SIZE];
    struct cask_block expected;
    int r;

    if (offset)
        *offset = from;
    if (GROW(buffer->bytes, buffer->capacity, to - from) != 0)
        return -ENOMEM;
    r = read_exactly(cask->file, item, sizeof(item),
                     cask->records_end + (uint64_t)block * CASK_INDEX_ITEM_SIZE);
    if (r == 0)
        r = read_exactly(cask->file, buffer->bytes, to - from, from);
    if (r != 0)
        return r;
    cask_block_decode(item, &expected);
    if (expected.offset != from || checksum(buffer->bytes, to - from) != expected.checksum)
        return CASK_E_CORRUPT;
    return block_records_check(cask, buffer->bytes, to - from, expected.count);
}
