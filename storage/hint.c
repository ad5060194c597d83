#include "storage/hint_format.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "storage/checksum.h"
#include "storage/codec.h"
#include "storage/grow.h"
#include "storage/record.h"

#define HINT_MAGIC        0x544E484B53414352ull /* "RCASKHNT" */
#define HINT_FOOTER_MAGIC 0x5446484B53414352ull /* "RCASKHFT" */
#define HINT_FLAGS_ALL    3u

/* --- order --------------------------------------------------------------------------------- */

int hint_entry_compare(const struct hint_entry *a, const struct hint_entry *b)
{
    uint16_t a_high = (uint16_t)a->digest.high, b_high = (uint16_t)b->digest.high;

    if (a->partition != b->partition)
        return a->partition < b->partition ? -1 : 1;
    if (a_high != b_high)
        return a_high < b_high ? -1 : 1;
    return (a->digest.low > b->digest.low) - (a->digest.low < b->digest.low);
}

/* Of equal ones the newest first. */
static bool sorts_before(const struct hint_entry *a, const struct hint_entry *b)
{
    int order = hint_entry_compare(a, b);

    if (order != 0)
        return order < 0;
    return a->index != b->index ? a->index > b->index : a->offset > b->offset;
}

static void entries_swap(struct hint_entry *a, struct hint_entry *b)
{
    struct hint_entry other = *a;

    *a = *b;
    *b = other;
}

/* Quicksort (Hoare): in place, where the C library's qsort() takes a third of as much memory again.
 * Digests are keyed, so that nobody can choose them to be slow. */
static void entries_sort(struct hint_entry *entries, size_t count)
{
    while (count > 16) {
        size_t low = 0, high = count - 1;
        struct hint_entry pivot;

        if (sorts_before(&entries[count / 2], &entries[0]))
            entries_swap(&entries[count / 2], &entries[0]);
        if (sorts_before(&entries[count - 1], &entries[count / 2]))
            entries_swap(&entries[count - 1], &entries[count / 2]);
        if (sorts_before(&entries[count / 2], &entries[0]))
            entries_swap(&entries[count / 2], &entries[0]);
        pivot = entries[count / 2];
        for (;;) {
            while (sorts_before(&entries[low], &pivot))
                low++;
            while (sorts_before(&pivot, &entries[high]))
                high--;
            if (low >= high)
                break;
            entries_swap(&entries[low++], &entries[high--]);
        }
        /* [0, high] and [high + 1, count): the smaller part first, so that it nests log2 deep. */
        high++;
        if (high < count - high) {
            entries_sort(entries, high);
            entries += high;
            count -= high;
        } else {
            entries_sort(entries + high, count - high);
            count = high;
        }
    }
    for (size_t i = 1; i < count; i++) {
        struct hint_entry entry = entries[i];
        size_t at = i;

        for (; at > 0 && sorts_before(&entry, &entries[at - 1]); at--)
            entries[at] = entries[at - 1];
        entries[at] = entry;
    }
}

size_t hint_entries_sort(struct hint_entry *entries, size_t count)
{
    size_t kept = 0;

    entries_sort(entries, count);
    for (size_t i = 0; i < count; i++)
        if (kept == 0 || hint_entry_compare(&entries[kept - 1], &entries[i]) != 0)
            entries[kept++] = entries[i];
    return kept;
}

/* --- formats ------------------------------------------------------------------------------- */

uint64_t hint_header_encode(uint8_t *out, const struct hint_subject *subject)
{
    uint64_t sum;

    memset(out, 0, HINT_HEADER_SIZE);
    codec_put_u64(out, HINT_MAGIC);
    codec_put_u32(out + 8, HINT_VERSION);
    codec_put_u16(out + 12, (uint16_t)subject->kind);
    codec_put_u64(out + 16, subject->number);
    codec_put_u64(out + 24, subject->stamp);
    codec_put_u32(out + 32, subject->length);
    sum = checksum(out, 56);
    codec_put_u64(out + 56, sum);
    return sum;
}

int hint_header_decode(const uint8_t *bytes, size_t size, struct hint_subject *subject)
{
    uint16_t kind;

    if (size < HINT_HEADER_SIZE || codec_get_u64(bytes) != HINT_MAGIC ||
        codec_get_u64(bytes + 56) != checksum(bytes, 56))
        return HINT_E_CORRUPT;
    if (codec_get_u32(bytes + 8) > HINT_VERSION)
        return HINT_E_NEWER;
    kind = codec_get_u16(bytes + 12);
    if (codec_get_u32(bytes + 8) != HINT_VERSION ||
        (kind != HINT_KIND_SEGMENT && kind != HINT_KIND_CASK))
        return HINT_E_CORRUPT;
    *subject = (struct hint_subject){
        .kind = (enum hint_kind)kind,
        .number = codec_get_u64(bytes + 16),
        .stamp = codec_get_u64(bytes + 24),
        .length = codec_get_u32(bytes + 32),
    };
    return 0;
}

void hint_footer_encode(uint8_t *out, const struct hint_footer *footer)
{
    memset(out, 0, HINT_FOOTER_SIZE);
    codec_put_u64(out, HINT_FOOTER_MAGIC);
    codec_put_u64(out + 8, footer->count);
    codec_put_u64(out + 16, footer->directory);
    codec_put_u32(out + 24, footer->partition_count);
    codec_put_u64(out + 32, footer->directory_checksum);
    codec_put_u64(out + 40, footer->header_checksum);
    codec_put_u64(out + 48, footer->blocks_checksum);
    codec_put_u64(out + 56, checksum(out, 56));
}

int hint_footer_decode(const uint8_t *bytes, struct hint_footer *footer)
{
    if (codec_get_u64(bytes) != HINT_FOOTER_MAGIC ||
        codec_get_u64(bytes + 56) != checksum(bytes, 56))
        return HINT_E_CORRUPT;
    *footer = (struct hint_footer){
        .count = codec_get_u64(bytes + 8),
        .directory = codec_get_u64(bytes + 16),
        .partition_count = codec_get_u32(bytes + 24),
        .directory_checksum = codec_get_u64(bytes + 32),
        .header_checksum = codec_get_u64(bytes + 40),
        .blocks_checksum = codec_get_u64(bytes + 48),
    };
    return footer->partition_count <= UINT16_MAX + 1u ? 0 : HINT_E_CORRUPT;
}

void hint_partition_encode(uint8_t *out, const struct hint_partition *partition)
{
    memset(out, 0, HINT_DIRECTORY_ITEM_SIZE);
    codec_put_u16(out, partition->partition);
    codec_put_u32(out + 4, partition->count);
    codec_put_u64(out + 8, partition->offset);
    codec_put_u64(out + 16, partition->index_min);
    codec_put_u64(out + 24, partition->index_max);
    codec_put_u64(out + 32, partition->bytes);
    codec_put_u32(out + 40, partition->tombstones);
}

void hint_partition_decode(const uint8_t *bytes, struct hint_partition *partition)
{
    *partition = (struct hint_partition){
        .partition = codec_get_u16(bytes),
        .count = codec_get_u32(bytes + 4),
        .offset = codec_get_u64(bytes + 8),
        .index_min = codec_get_u64(bytes + 16),
        .index_max = codec_get_u64(bytes + 24),
        .bytes = codec_get_u64(bytes + 32),
        .tombstones = codec_get_u32(bytes + 40),
    };
}

void hint_entry_encode(uint8_t *out, const struct hint_entry *entry)
{
    codec_put_u16(out, (uint16_t)entry->digest.high);
    codec_put_u16(out + 2, (uint16_t)((entry->tombstone ? HINT_FLAG_TOMBSTONE : 0) |
                                      (entry->expires ? HINT_FLAG_EXPIRES : 0)));
    codec_put_u32(out + 4, entry->offset / RECORD_ALIGN);
    codec_put_u64(out + 8, entry->digest.low);
    codec_put_u64(out + 16, entry->index);
    codec_put_u32(out + 24, entry->size / RECORD_ALIGN);
}

int hint_entry_decode(const uint8_t *bytes, struct hint_entry *entry)
{
    uint16_t flags = codec_get_u16(bytes + 2);
    uint32_t offset = codec_get_u32(bytes + 4), size = codec_get_u32(bytes + 24);

    if ((flags & ~HINT_FLAGS_ALL) != 0 || offset > UINT32_MAX / RECORD_ALIGN ||
        size > UINT32_MAX / RECORD_ALIGN)
        return HINT_E_CORRUPT;
    *entry = (struct hint_entry){
        .tombstone = (flags & HINT_FLAG_TOMBSTONE) != 0,
        .expires = (flags & HINT_FLAG_EXPIRES) != 0,
        .offset = offset * RECORD_ALIGN,
        .digest = {.high = codec_get_u16(bytes), .low = codec_get_u64(bytes + 8)},
        .index = codec_get_u64(bytes + 16),
        .size = size * RECORD_ALIGN,
    };
    return 0;
}

uint64_t hint_blocks_checksum(uint64_t so_far, const uint8_t *block)
{
    return checksum_seeded(block, 8, so_far);
}

void hint_partition_add(struct hint_partition *partition, const struct hint_entry *entry)
{
    partition->count++;
    partition->tombstones += entry->tombstone;
    partition->bytes += entry->size;
    if (entry->index < partition->index_min)
        partition->index_min = entry->index;
    if (entry->index > partition->index_max)
        partition->index_max = entry->index;
}

/* --- opening ------------------------------------------------------------------------------- */

static int read_exactly(struct vfs_file *file, void *out, size_t size, uint64_t offset)
{
    int64_t got = vfs_pread(file, out, size, offset);

    if (got < 0)
        return (int)got;
    return (size_t)got == size ? 0 : HINT_E_CORRUPT;
}

/* Keeps the items of a directory whose checksum holds. */
static int directory_take(struct hint *hint, const uint8_t *bytes)
{
    uint64_t count = 0, offset = HINT_HEADER_SIZE;

    hint->partitions = malloc(hint->partition_count * sizeof(*hint->partitions) + 1);
    if (!hint->partitions)
        return -ENOMEM;
    for (size_t i = 0; i < hint->partition_count; i++) {
        struct hint_partition *item = &hint->partitions[i];

        hint_partition_decode(bytes + i * HINT_DIRECTORY_ITEM_SIZE, item);
        if ((i == 0 ? item->offset != offset : item->offset <= offset) ||
            item->offset >= hint->blocks_end || item->count == 0 ||
            (i > 0 && item->partition <= item[-1].partition))
            return HINT_E_CORRUPT;
        offset = item->offset;
        count += item->count;
    }
    return count == hint->count ? 0 : HINT_E_CORRUPT;
}

static int directory_read(struct hint *hint, uint64_t directory_checksum)
{
    size_t size = hint->partition_count * HINT_DIRECTORY_ITEM_SIZE;
    uint8_t *bytes = malloc(size + 1);
    int r;

    if (!bytes)
        return -ENOMEM;
    r = read_exactly(hint->file, bytes, size, hint->blocks_end);
    if (r == 0 && checksum(bytes, size) != directory_checksum)
        r = HINT_E_CORRUPT;
    if (r == 0)
        r = directory_take(hint, bytes);
    free(bytes);
    return r;
}

/* Header and footer of a file of `size` bytes. */
static int ends_read(struct hint *hint, uint64_t size, uint64_t *directory_checksum)
{
    uint8_t bytes[HINT_FOOTER_SIZE];
    struct hint_footer footer;
    uint64_t header_checksum, end;
    int r = read_exactly(hint->file, bytes, HINT_HEADER_SIZE, 0);

    if (r == 0)
        r = hint_header_decode(bytes, HINT_HEADER_SIZE, &hint->subject);
    if (r == 0 && size < HINT_HEADER_SIZE + HINT_FOOTER_SIZE)
        r = HINT_E_CORRUPT;
    if (r != 0)
        return r;
    header_checksum = codec_get_u64(bytes + 56);
    r = read_exactly(hint->file, bytes, HINT_FOOTER_SIZE, size - HINT_FOOTER_SIZE);
    if (r == 0)
        r = hint_footer_decode(bytes, &footer);
    if (r != 0)
        return r;
    end = (uint64_t)footer.partition_count * HINT_DIRECTORY_ITEM_SIZE + HINT_FOOTER_SIZE;
    if (footer.header_checksum != header_checksum || footer.directory < HINT_HEADER_SIZE ||
        footer.directory > size || size - footer.directory != end)
        return HINT_E_CORRUPT;
    hint->count = footer.count;
    hint->blocks_end = footer.directory;
    hint->blocks_checksum = footer.blocks_checksum;
    hint->partition_count = footer.partition_count;
    *directory_checksum = footer.directory_checksum;
    return 0;
}

int hint_open(struct hint *hint, struct vfs_file *file, const struct hint_subject *subject)
{
    uint64_t size = 0, directory_checksum = 0;
    int r = vfs_size(file, &size);

    *hint = (struct hint){.file = file};
    if (r == 0)
        r = ends_read(hint, size, &directory_checksum);
    if (r != 0)
        return r;
    if (subject &&
        (subject->kind != hint->subject.kind || subject->number != hint->subject.number ||
         subject->stamp != hint->subject.stamp || subject->length != hint->subject.length))
        return HINT_E_MISMATCH;
    r = directory_read(hint, directory_checksum);
    if (r != 0)
        hint_close(hint);
    return r;
}

void hint_close(struct hint *hint)
{
    free(hint->partitions);
    *hint = (struct hint){0};
}

const struct hint_partition *hint_partition_find(const struct hint *hint, uint16_t partition)
{
    size_t low = 0, high = hint->partition_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (hint->partitions[middle].partition < partition)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == hint->partition_count || hint->partitions[low].partition != partition)
        return NULL;
    return &hint->partitions[low];
}

/* --- reading ------------------------------------------------------------------------------- */

int hint_cursor_open(struct hint_cursor *cursor, const struct hint *hint, uint16_t partition)
{
    const struct hint_partition *found = hint_partition_find(hint, partition);
    bool last;

    *cursor = (struct hint_cursor){0};
    if (!found)
        return HINT_E_ABSENT;
    last = found == &hint->partitions[hint->partition_count - 1];
    *cursor = (struct hint_cursor){
        .hint = hint,
        .partition = partition,
        .next = found->offset,
        .end = last ? hint->blocks_end : found[1].offset,
        .left = found->count,
    };
    return 0;
}

void hint_cursor_close(struct hint_cursor *cursor)
{
    free(cursor->block);
    *cursor = (struct hint_cursor){0};
}

/* Reads the next block. 0, HINT_E_END, HINT_E_CORRUPT or -errno. */
static int block_read(struct hint_cursor *cursor)
{
    uint64_t left = cursor->end - cursor->next;
    size_t size = left < HINT_BLOCK_SIZE_MAX ? (size_t)left : HINT_BLOCK_SIZE_MAX;
    uint64_t whole;
    uint32_t count;
    int r;

    if (cursor->left == 0)
        return left == 0 ? HINT_E_END : HINT_E_CORRUPT;
    if (size < HINT_BLOCK_HEAD_SIZE)
        return HINT_E_CORRUPT;
    if (GROW(cursor->block, cursor->block_capacity, size) != 0)
        return -ENOMEM;
    r = read_exactly(cursor->hint->file, cursor->block, size, cursor->next);
    if (r != 0)
        return r;
    count = codec_get_u32(cursor->block + 12);
    whole = HINT_BLOCK_HEAD_SIZE + (uint64_t)count * HINT_ENTRY_SIZE;
    if (count == 0 || count > cursor->left || whole > size ||
        codec_get_u64(cursor->block) != checksum(cursor->block + 8, (size_t)whole - 8) ||
        codec_get_u16(cursor->block + 8) != cursor->partition)
        return HINT_E_CORRUPT;
    cursor->block_count = count;
    cursor->at = 0;
    cursor->left -= count;
    cursor->next += whole;
    return 0;
}

int hint_cursor_next(struct hint_cursor *cursor)
{
    struct hint_entry entry;
    bool first;
    int r;

    if (cursor->at == cursor->block_count) {
        first = cursor->block_count == 0;
        r = block_read(cursor);
        if (r != 0)
            return r;
    } else {
        first = false;
    }
    r = hint_entry_decode(
        cursor->block + HINT_BLOCK_HEAD_SIZE + (size_t)cursor->at * HINT_ENTRY_SIZE, &entry);
    entry.partition = cursor->partition;
    if (r != 0 || (!first && hint_entry_compare(&cursor->entry, &entry) >= 0) || entry.size == 0 ||
        entry.size > cursor->hint->subject.length ||
        entry.offset > cursor->hint->subject.length - entry.size)
        return HINT_E_CORRUPT;
    cursor->entry = entry;
    cursor->at++;
    return 0;
}

static int partition_verify(const struct hint *hint, const struct hint_partition *expected,
                            uint64_t *blocks_checksum)
{
    struct hint_partition seen = {.index_min = UINT64_MAX};
    struct hint_cursor cursor;
    int r = hint_cursor_open(&cursor, hint, expected->partition);

    while (r == 0 && (r = hint_cursor_next(&cursor)) == 0) {
        if (cursor.at == 1)
            *blocks_checksum = hint_blocks_checksum(*blocks_checksum, cursor.block);
        hint_partition_add(&seen, &cursor.entry);
    }
    hint_cursor_close(&cursor);
    if (r != HINT_E_END)
        return r;
    return seen.count == expected->count && seen.tombstones == expected->tombstones &&
                   seen.bytes == expected->bytes && seen.index_min == expected->index_min &&
                   seen.index_max == expected->index_max
               ? 0
               : HINT_E_CORRUPT;
}

int hint_verify(const struct hint *hint)
{
    uint64_t blocks_checksum = 0;
    int r = 0;

    for (size_t i = 0; r == 0 && i < hint->partition_count; i++)
        r = partition_verify(hint, &hint->partitions[i], &blocks_checksum);
    return r == 0 && blocks_checksum != hint->blocks_checksum ? HINT_E_CORRUPT : r;
}
