#include <criterion/criterion.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "hex.h"
#include "storage/checksum.h"
#include "storage/codec.h"
#include "storage/hint.h"

static const struct hint_subject subject = {
    .kind = HINT_KIND_SEGMENT, .number = 12, .stamp = 34, .length = 200u << 20};

/* Entry `i` of a hint of which partition p has sizes[p] entries, in order. */
static struct hint_entry entry_make(uint16_t partition, uint32_t i)
{
    return (struct hint_entry){
        .partition = partition,
        .tombstone = i % 3 == 1,
        .expires = i % 5 == 2,
        .offset = 512 + (i * 7919u % 100003u) * 16,
        .digest = {.high = i >> 8, .low = (uint64_t)i << 56 | partition},
        .index = 500 + i * 31u % 1009u,
        .size = 48 + i % 4 * 16,
    };
}

static void assert_same(const struct hint_entry *a, const struct hint_entry *b)
{
    cr_assert(a->partition == b->partition && a->tombstone == b->tombstone);
    cr_assert(a->expires == b->expires && a->offset == b->offset && a->size == b->size);
    cr_assert(a->digest.high == b->digest.high && a->digest.low == b->digest.low);
    cr_assert_eq(a->index, b->index);
}

struct part {
    uint16_t partition;
    uint32_t count;
};

/* 0 or -errno. */
static int write_hint(struct vfs_file *file, const struct part *parts, size_t part_count)
{
    struct hint_writer writer;
    int r = hint_writer_begin(&writer, file, &subject);

    if (r < 0)
        return r;
    for (size_t p = 0; p < part_count; p++)
        for (uint32_t i = 0; r == 0 && i < parts[p].count; i++) {
            struct hint_entry entry = entry_make(parts[p].partition, i);

            r = hint_writer_add(&writer, &entry);
        }
    if (r == 0)
        r = hint_writer_finish(&writer);
    hint_writer_end(&writer);
    return r;
}

static struct vfs_file *file_new(struct vfs *vfs)
{
    struct vfs_file *file;

    cr_assert_eq(vfs_open(vfs, "h", VFS_OPEN_WRITE | VFS_OPEN_CREATE, &file), 0);
    cr_assert_eq(vfs_truncate(file, 0), 0);
    return file;
}

Test(hint, entries_come_back_by_partition)
{
    static const struct part cases[][4] = {
        {{0, 0}},
        {{41, 1}},
        {{0, 5}, {7, HINT_BLOCK_ENTRIES_MAX}, {8, 3}, {65535, 1}},
        {{3, HINT_BLOCK_ENTRIES_MAX + 1}, {4, 3 * HINT_BLOCK_ENTRIES_MAX}, {5, 9999}, {6, 1}},
    };

    for (size_t c = 0; c < sizeof(cases) / sizeof(cases[0]); c++) {
        struct vfs *vfs = vfs_mem_new();
        struct vfs_file *file = file_new(vfs);
        struct hint_cursor cursor;
        struct hint hint;
        size_t parts = 0;

        while (parts < 4 && cases[c][parts].count > 0)
            parts++;
        cr_assert_eq(write_hint(file, cases[c], parts), 0);
        cr_assert_eq(hint_open(&hint, file, &subject), 0);
        cr_assert_eq(hint.partition_count, parts);
        cr_assert_eq(hint_verify(&hint), 0);
        for (size_t p = 0; p < parts; p++) {
            const struct hint_partition *found = hint_partition_find(&hint, cases[c][p].partition);
            uint64_t lowest = UINT64_MAX, highest = 0, bytes = 0;
            uint32_t tombstones = 0;

            cr_assert_eq(hint_cursor_open(&cursor, &hint, cases[c][p].partition), 0);
            for (uint32_t i = 0; i < cases[c][p].count; i++) {
                struct hint_entry expected = entry_make(cases[c][p].partition, i);

                cr_assert_eq(hint_cursor_next(&cursor), 0);
                assert_same(&cursor.entry, &expected);
                lowest = expected.index < lowest ? expected.index : lowest;
                highest = expected.index > highest ? expected.index : highest;
                bytes += expected.size;
                tombstones += expected.tombstone;
            }
            cr_assert_eq(hint_cursor_next(&cursor), HINT_E_END);
            cr_assert_eq(hint_cursor_next(&cursor), HINT_E_END);
            hint_cursor_close(&cursor);
            cr_assert(found->index_min == lowest && found->index_max == highest);
            cr_assert(found->bytes == bytes && found->tombstones == tombstones);
            cr_assert_eq(found->count, cases[c][p].count);
        }
        cr_assert_eq(hint_cursor_open(&cursor, &hint, 9), HINT_E_ABSENT);
        cr_assert_null(hint_partition_find(&hint, 65534));
        hint_close(&hint);
        vfs_close(file);
        vfs_mem_free(vfs);
    }
}

Test(hint, of_another_file_is_told_from_a_damaged_one)
{
    static const struct part part = {41, 20};
    struct vfs *vfs = vfs_mem_new();
    struct vfs_file *file = file_new(vfs);
    struct hint hint;

    cr_assert_eq(write_hint(file, &part, 1), 0);
    for (int i = 0; i < 4; i++) {
        struct hint_subject other = subject;

        other.kind = i == 0 ? HINT_KIND_CASK : other.kind;
        other.number += i == 1;
        other.stamp += i == 2;
        other.length += i == 3;
        cr_assert_eq(hint_open(&hint, file, &other), HINT_E_MISMATCH, "%d", i);
    }
    cr_assert_eq(hint_open(&hint, file, NULL), 0);
    cr_assert(hint.subject.kind == subject.kind && hint.subject.number == 12);
    cr_assert(hint.subject.stamp == 34 && hint.subject.length == subject.length);
    hint_close(&hint);
    vfs_close(file);
    vfs_mem_free(vfs);
}

static int read_all(struct vfs_file *file)
{
    struct hint hint;
    int r = hint_open(&hint, file, NULL);

    if (r != 0)
        return r;
    r = hint_verify(&hint);
    hint_close(&hint);
    return r;
}

static const struct part small[] = {{1, 3}, {2, 1}, {700, 4}};

Test(hint, every_flipped_bit_is_found)
{
    struct vfs *vfs = vfs_mem_new();
    struct vfs_file *file = file_new(vfs);
    uint64_t size;

    cr_assert_eq(write_hint(file, small, 3), 0);
    cr_assert_eq(vfs_size(file, &size), 0);
    cr_assert_eq(read_all(file), 0);
    for (uint64_t bit = 0; bit < size * 8; bit++) {
        uint8_t byte;
        struct iovec iov = {.iov_base = &byte, .iov_len = 1};

        cr_assert_eq(vfs_pread(file, &byte, 1, bit / 8), 1);
        byte ^= (uint8_t)(1u << bit % 8);
        cr_assert_eq(vfs_pwritev(file, &iov, 1, bit / 8), 0);
        cr_assert_eq(read_all(file), HINT_E_CORRUPT, "bit %lu", (unsigned long)bit);
        byte ^= (uint8_t)(1u << bit % 8);
        cr_assert_eq(vfs_pwritev(file, &iov, 1, bit / 8), 0);
    }
    vfs_close(file);
    vfs_mem_free(vfs);
}

Test(hint, every_other_length_is_found)
{
    static const struct part parts[] = {{1, 30}, {2, HINT_BLOCK_ENTRIES_MAX + 5}};
    struct vfs *vfs = vfs_mem_new();
    struct vfs_file *file = file_new(vfs);
    uint64_t size;

    cr_assert_eq(write_hint(file, parts, 2), 0);
    cr_assert_eq(vfs_size(file, &size), 0);
    cr_assert_eq(vfs_truncate(file, size + 1), 0);
    cr_assert_eq(read_all(file), HINT_E_CORRUPT);
    cr_assert_eq(vfs_truncate(file, size + HINT_FOOTER_SIZE), 0);
    cr_assert_eq(read_all(file), HINT_E_CORRUPT);
    for (uint64_t cut = size; cut-- > 0;) {
        cr_assert_eq(vfs_truncate(file, cut), 0);
        cr_assert_eq(read_all(file), HINT_E_CORRUPT, "%lu bytes", (unsigned long)cut);
    }
    vfs_close(file);
    vfs_mem_free(vfs);
}

/* Blocks that check, in the wrong order: each block's checksum holds, the file's does not. */
Test(hint, blocks_that_changed_places_are_found)
{
    static const struct part part = {3, 2 * HINT_BLOCK_ENTRIES_MAX};
    struct vfs *vfs = vfs_mem_new();
    struct vfs_file *file = file_new(vfs);
    uint8_t *blocks = malloc(2 * HINT_BLOCK_SIZE_MAX);
    struct iovec iov[] = {
        {.iov_base = blocks + HINT_BLOCK_SIZE_MAX, .iov_len = HINT_BLOCK_SIZE_MAX},
        {.iov_base = blocks, .iov_len = HINT_BLOCK_SIZE_MAX}};

    cr_assert_eq(write_hint(file, &part, 1), 0);
    cr_assert_eq(vfs_pread(file, blocks, 2 * HINT_BLOCK_SIZE_MAX, HINT_HEADER_SIZE),
                 2 * HINT_BLOCK_SIZE_MAX);
    cr_assert_eq(vfs_pwritev(file, iov, 2, HINT_HEADER_SIZE), 0);
    cr_assert_eq(read_all(file), HINT_E_CORRUPT);
    free(blocks);
    vfs_close(file);
    vfs_mem_free(vfs);
}

Test(hint, a_newer_file_is_told_from_a_damaged_one)
{
    struct vfs *vfs = vfs_mem_new();
    struct vfs_file *file = file_new(vfs);
    uint8_t header[HINT_HEADER_SIZE];
    struct iovec iov = {.iov_base = header, .iov_len = sizeof(header)};

    cr_assert_eq(write_hint(file, small, 3), 0);
    cr_assert_eq(vfs_pread(file, header, sizeof(header), 0), sizeof(header));
    codec_put_u32(header + 8, HINT_VERSION + 1);
    codec_put_u64(header + 56, checksum(header, 56));
    cr_assert_eq(vfs_pwritev(file, &iov, 1, 0), 0);
    cr_assert_eq(read_all(file), HINT_E_NEWER);
    vfs_close(file);
    vfs_mem_free(vfs);
}

Test(hint, a_place_outside_the_data_file_is_corruption)
{
    struct hint_subject tiny = {.kind = HINT_KIND_CASK, .number = 1, .length = 1024};
    struct hint_entry entry = {.offset = 1024 - 32, .size = 48, .index = 1};
    struct vfs *vfs = vfs_mem_new();
    struct vfs_file *file = file_new(vfs);
    struct hint_writer writer;

    for (int i = 0; i < 2; i++, entry.size = 32) {
        cr_assert_eq(vfs_truncate(file, 0), 0);
        cr_assert_eq(hint_writer_begin(&writer, file, &tiny), 0);
        cr_assert_eq(hint_writer_add(&writer, &entry), 0);
        cr_assert_eq(hint_writer_finish(&writer), 0);
        hint_writer_end(&writer);
        cr_assert_eq(read_all(file), i == 0 ? HINT_E_CORRUPT : 0);
    }
    vfs_close(file);
    vfs_mem_free(vfs);
}

Test(hint, sorting_keeps_the_newest_of_each_digest)
{
    struct hint_entry entries[] = {
        {.partition = 2, .digest = {1, 5}, .index = 7, .offset = 160},
        {.partition = 1, .digest = {0x10001, 9}, .index = 3, .offset = 32},
        {.partition = 1, .digest = {1, 9}, .index = 4, .offset = 16, .tombstone = true},
        {.partition = 1, .digest = {0, UINT64_MAX}, .index = 1, .offset = 48},
        {.partition = 2, .digest = {1, 5}, .index = 7, .offset = 176},
        {.partition = 2, .digest = {1, 5}, .index = 6, .offset = 512},
        {.partition = 1, .digest = {1, 0}, .index = 9, .offset = 64},
    };

    cr_assert_eq(hint_entries_sort(entries, 7), 4);
    cr_assert(entries[0].digest.low == UINT64_MAX && entries[0].offset == 48);
    cr_assert(entries[1].digest.low == 0 && entries[1].offset == 64);
    cr_assert(entries[2].digest.low == 9 && entries[2].index == 4 && entries[2].tombstone);
    cr_assert(entries[3].partition == 2 && entries[3].offset == 176);
    cr_assert_eq(hint_entries_sort(entries, 0), 0);
}

static void add_two(const struct hint_entry *first, const struct hint_entry *second)
{
    struct vfs *vfs = vfs_mem_new();
    struct hint_writer writer;

    cr_assert_eq(hint_writer_begin(&writer, file_new(vfs), &subject), 0);
    cr_assert_eq(hint_writer_add(&writer, first), 0);
    hint_writer_add(&writer, second);
}

Test(hint, a_digest_twice_asserts, .signal = SIGABRT)
{
    struct hint_entry entry = entry_make(4, 4);

    add_two(&entry, &entry);
}

Test(hint, descending_partitions_assert, .signal = SIGABRT)
{
    struct hint_entry first = entry_make(4, 4), second = entry_make(3, 5);

    add_two(&first, &second);
}

static int write_and_read(struct vfs *vfs)
{
    static const struct part parts[] = {{1, 30}, {2, HINT_BLOCK_ENTRIES_MAX + 5}, {9, 1}};
    struct vfs_file *file = NULL;
    int r = vfs_open(vfs, "h", VFS_OPEN_WRITE | VFS_OPEN_CREATE, &file);

    if (r < 0)
        return r;
    r = write_hint(file, parts, 3);
    if (r == 0)
        r = read_all(file);
    vfs_close(file);
    return r;
}

Test(hint, every_failing_call_and_allocation_is_told)
{
    struct vfs *vfs = vfs_mem_new();
    uint64_t calls = vfs_mem_calls(vfs), n;
    int r;

    cr_assert_eq(write_and_read(vfs), 0);
    calls = vfs_mem_calls(vfs) - calls;
    for (n = 1; n <= calls; n++) {
        vfs_remove(vfs, "h");
        vfs_mem_fail_after(vfs, n, EIO);
        cr_assert_eq(write_and_read(vfs), -EIO, "call %lu", (unsigned long)n);
        vfs_mem_fail_after(vfs, 0, 0);
    }
    cr_assert_gt(n, 10);
    for (n = 1, r = -ENOMEM; r == -ENOMEM; n++) {
        vfs_remove(vfs, "h");
        alloc_fail_after(n);
        r = write_and_read(vfs);
    }
    alloc_fail_after(0);
    cr_assert_eq(r, 0);
    cr_assert_gt(n, 8);
    vfs_remove(vfs, "h");
    vfs_mem_free(vfs);
}

/* docs/format-hint.md */
static const char example_hex[] =
    "524341534b484e54010000000200000001000000000000002854643cd9805fba200100000000000000000000"
    "000000000000000000000000046666e8579b82eaaec9e3bd8248df8811000000020000000201010008000000"
    "1817161514131211070000000000000003000000a2a1000004000000b8b7b6b5b4b3b2b10500000000000000"
    "0400000011000000020000004000000000000000050000000000000007000000000000007000000000000000"
    "0100000000000000524341534b48465402000000000000008800000000000000010000000000000011f7b6ca"
    "85c1cc39046666e8579b82ea0b8612c795b0598c653a9c91fc9f970e";

Test(hint, the_documented_example_has_these_bytes)
{
    static const struct hint_subject of = {
        .kind = HINT_KIND_CASK, .number = 1, .stamp = 0xba5f80d93c645428, .length = 288};
    static const struct hint_entry entries[] = {
        {.partition = 17,
         .tombstone = true,
         .offset = 128,
         .digest = {0x0102, 0x1112131415161718},
         .index = 7,
         .size = 48},
        {.partition = 17,
         .offset = 64,
         .digest = {0xa1a2, 0xb1b2b3b4b5b6b7b8},
         .index = 5,
         .size = 64},
    };
    struct vfs *vfs = vfs_mem_new();
    struct vfs_file *file = file_new(vfs);
    struct hint_writer writer;
    uint8_t expected[sizeof(example_hex) / 2], bytes[sizeof(example_hex) / 2];
    uint64_t size;

    cr_assert_eq(hint_writer_begin(&writer, file, &of), 0);
    for (int i = 0; i < 2; i++)
        cr_assert_eq(hint_writer_add(&writer, &entries[i]), 0);
    cr_assert_eq(hint_writer_finish(&writer), 0);
    hint_writer_end(&writer);
    cr_assert_eq(vfs_size(file, &size), 0);
    cr_assert_eq(size, hex_bytes(example_hex, expected));
    cr_assert_eq(vfs_pread(file, bytes, sizeof(bytes), 0), (int64_t)size);
    cr_assert_eq(memcmp(bytes, expected, (size_t)size), 0);
    vfs_close(file);
    vfs_mem_free(vfs);
}
