#include <criterion/criterion.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "hex.h"
#include "storage/cask.h"
#include "storage/checksum.h"
#include "storage/codec.h"

#define PARTITION 41u
#define NUMBER    7u

/* Record `i` of a cask under test, in memory that the caller frees. */
static size_t make(unsigned i, size_t value_size, uint8_t **bytes)
{
    char key[32];
    uint8_t *value = calloc(1, value_size + 1);
    struct record record = {
        .partition = PARTITION,
        .kind = i % 5 == 3 ? RECORD_KIND_DELETE : RECORD_KIND_PUT,
        .flags = i % 7 == 0 ? RECORD_FLAG_EXPIRES : 0,
        .expiry_ms = i % 7 == 0 ? 1000 + i : 0,
        .term = 2,
        .sub_count = 1,
        .index = 1000 + (i * 7919u) % 997,
        .key = (const uint8_t *)key,
        .key_size = (size_t)snprintf(key, sizeof(key), "key-%06u", i * 2),
        .value = value,
        .value_size = i % 5 == 3 ? 0 : value_size,
    };
    size_t size = record_size_padded(&record);

    memset(value, (int)(i & 0xFF), value_size);
    *bytes = malloc(size);
    cr_assert_eq(record_encode(&record, *bytes), size);
    free(value);
    return size;
}

static struct vfs_file *file_new(struct vfs *vfs, const char *name)
{
    struct vfs_file *file;

    cr_assert_eq(vfs_open(vfs, name, VFS_OPEN_WRITE | VFS_OPEN_CREATE | VFS_OPEN_EXCLUSIVE, &file),
                 0);
    return file;
}

/* A cask of `count` records, their offsets in offsets[] when asked. */
static struct vfs_file *write_cask(struct vfs *vfs, unsigned count, size_t value_size,
                                   uint32_t *offsets, struct cask_info *info)
{
    struct vfs_file *file = file_new(vfs, "c");
    struct cask_writer writer;

    cr_assert_eq(cask_writer_begin(&writer, file, PARTITION, NUMBER), 0);
    for (unsigned i = 0; i < count; i++) {
        uint8_t *bytes;
        size_t size = make(i, value_size, &bytes);

        cr_assert_eq(cask_writer_add(&writer, bytes, size, offsets ? &offsets[i] : NULL), 0);
        free(bytes);
    }
    cr_assert_eq(cask_writer_finish(&writer, info), 0);
    cask_writer_end(&writer);
    return file;
}

static void assert_same_info(const struct cask_info *a, const struct cask_info *b)
{
    cr_assert_eq(a->partition, b->partition);
    cr_assert_eq(a->number, b->number);
    cr_assert_eq(a->stamp, b->stamp);
    cr_assert_eq(a->length, b->length);
    cr_assert_eq(a->count, b->count);
    cr_assert_eq(a->tombstones, b->tombstones);
    cr_assert_eq(a->index_min, b->index_min);
    cr_assert_eq(a->index_max, b->index_max);
    cr_assert_eq(a->record_size_max, b->record_size_max);
}

Test(cask, records_come_back_as_they_were_in_order_and_at_their_offsets)
{
    static const struct {
        unsigned count;
        size_t value_size;
    } cases[] = {{0, 0}, {1, 10}, {3, 5000}, {200, 100}, {7000, 90}, {40, 300000}};

    for (size_t c = 0; c < sizeof(cases) / sizeof(cases[0]); c++) {
        struct vfs *vfs = vfs_mem_new();
        uint32_t *offsets = calloc(cases[c].count + 1, sizeof(*offsets));
        struct cask_info info;
        struct vfs_file *file =
            write_cask(vfs, cases[c].count, cases[c].value_size, offsets, &info);
        struct cask_buffer buffer = {0};
        struct cask_cursor cursor;
        struct cask cask;
        struct record record;
        uint64_t length;

        cr_assert_eq(cask_open(&cask, file), 0);
        cr_assert_eq(vfs_size(file, &length), 0);
        cr_assert_eq(cask.info.length, length);
        assert_same_info(&cask.info, &info);
        cr_assert_eq(info.count, cases[c].count);
        cask_cursor_open(&cursor, &cask, 65536);
        for (unsigned i = 0; i < cases[c].count; i++) {
            uint8_t *bytes;
            size_t size = make(i, cases[c].value_size, &bytes);

            cr_assert_eq(cask_cursor_next(&cursor), 0);
            cr_assert(cursor.size == size && cursor.offset == offsets[i]);
            cr_assert_eq(memcmp(cursor.bytes, bytes, size), 0);
            cr_assert_eq(cask_read(&cask, offsets[i], &buffer, &record), 0);
            cr_assert_eq(record.index, cursor.record.index);
            cr_assert(record.index >= info.index_min && record.index <= info.index_max);
            free(bytes);
        }
        cr_assert_eq(cask_cursor_next(&cursor), CASK_E_END);
        cr_assert_eq(cask_cursor_next(&cursor), CASK_E_END);
        for (uint32_t i = 0; i < cask.block_count; i++)
            cr_assert_eq(cask_verify_block(&cask, i, &buffer, NULL), 0);
        cask_cursor_close(&cursor);
        cask_buffer_free(&buffer);
        cask_close(&cask);
        vfs_close(file);
        free(offsets);
        vfs_mem_free(vfs);
    }
}

Test(cask, footer_counts_records_tombstones_and_indexes)
{
    struct vfs *vfs = vfs_mem_new();
    struct cask_info info;
    struct vfs_file *file = write_cask(vfs, 500, 20, NULL, &info);
    uint64_t lowest = UINT64_MAX, highest = 0;

    for (unsigned i = 0; i < 500; i++) {
        uint64_t index = 1000 + (i * 7919u) % 997;

        lowest = index < lowest ? index : lowest;
        highest = index > highest ? index : highest;
    }
    cr_assert(info.partition == PARTITION && info.number == NUMBER);
    cr_assert(info.count == 500 && info.tombstones == 100);
    cr_assert(info.index_min == lowest && info.index_max == highest);
    cr_assert_eq(info.record_size_max, 96); /* 40 + 8 + 10 + 20 + 8, padded */
    vfs_close(file);
    vfs_mem_free(vfs);
}

Test(cask, seek_finds_the_first_record_that_is_not_below)
{
    struct vfs *vfs = vfs_mem_new();
    struct cask_info info;
    struct vfs_file *file = write_cask(vfs, 3000, 100, NULL, &info);
    struct cask_cursor cursor;
    struct cask cask;

    cr_assert_eq(cask_open(&cask, file), 0);
    cr_assert_gt(cask.block_count, 50);
    cask_cursor_open(&cursor, &cask, 4096);
    for (unsigned want = 0; want < 6100; want++) { /* keys are the even numbers below 6,000 */
        char key[32], expected[32];
        int size = snprintf(key, sizeof(key), "key-%06u", want);

        snprintf(expected, sizeof(expected), "key-%06u", (want + 1) / 2 * 2);
        cr_assert_eq(cask_cursor_seek(&cursor, (const uint8_t *)key, (size_t)size), 0);
        if (want > 5998) {
            cr_assert_eq(cask_cursor_next(&cursor), CASK_E_END);
            continue;
        }
        cr_assert_eq(cask_cursor_next(&cursor), 0);
        cr_assert_eq(memcmp(cursor.record.key, expected, cursor.record.key_size), 0, "%s %s", key,
                     expected);
    }
    cr_assert_eq(cask_cursor_seek(&cursor, NULL, 0), 0);
    cr_assert_eq(cask_cursor_next(&cursor), 0);
    cr_assert_eq(cursor.offset, CASK_HEADER_SIZE);
    cr_assert_eq(cask_cursor_seek(&cursor, (const uint8_t *)"key-00000", 9), 0);
    cr_assert_eq(cask_cursor_next(&cursor), 0);
    cr_assert_eq(cursor.offset, CASK_HEADER_SIZE);
    cask_cursor_close(&cursor);
    cask_close(&cask);
    vfs_close(file);
    vfs_mem_free(vfs);
}

Test(cask, a_prefix_comes_before_what_it_begins)
{
    cr_assert_lt(cask_key_compare((const uint8_t *)"a", 1, (const uint8_t *)"ab", 2), 0);
    cr_assert_gt(cask_key_compare((const uint8_t *)"b", 1, (const uint8_t *)"ab", 2), 0);
    cr_assert_gt(cask_key_compare((const uint8_t *)"\xff", 1, (const uint8_t *)"a", 1), 0);
    cr_assert_eq(cask_key_compare((const uint8_t *)"ab", 2, (const uint8_t *)"ab", 2), 0);
    cr_assert_lt(cask_key_compare(NULL, 0, (const uint8_t *)"a", 1), 0);
}

/* Everything a reader may do. 0 when all of it is as written. */
static int read_all(struct vfs_file *file, uint32_t count)
{
    struct cask_buffer buffer = {0};
    struct cask_cursor cursor;
    struct cask cask;
    uint32_t seen = 0;
    int r = cask_open(&cask, file), ended;

    if (r != 0)
        return r;
    for (uint32_t i = 0; r == 0 && i < cask.block_count; i++)
        r = cask_verify_block(&cask, i, &buffer, NULL);
    cask_cursor_open(&cursor, &cask, 4096);
    while ((ended = cask_cursor_next(&cursor)) == 0)
        seen++;
    if (r == 0 && ended != CASK_E_END)
        r = ended;
    cr_assert(r != 0 || seen == count);
    cask_cursor_seek(&cursor, (const uint8_t *)"key-000008", 10);
    cask_cursor_close(&cursor);
    for (uint32_t offset = 0; offset < cask.records_end + 32; offset += 8) {
        struct record record;

        cask_read(&cask, offset, &buffer, &record);
    }
    cask_buffer_free(&buffer);
    cask_close(&cask);
    return r;
}

static uint8_t *file_bytes(struct vfs_file *file, size_t *size)
{
    uint64_t length;
    uint8_t *bytes;

    cr_assert_eq(vfs_size(file, &length), 0);
    *size = (size_t)length;
    bytes = malloc(*size);
    cr_assert_eq(vfs_pread(file, bytes, *size, 0), (int64_t)length);
    return bytes;
}

static void file_set(struct vfs_file *file, uint8_t *bytes, size_t size)
{
    struct iovec iov = {.iov_base = bytes, .iov_len = size};

    cr_assert_eq(vfs_truncate(file, 0), 0);
    cr_assert_eq(vfs_pwritev(file, &iov, 1, 0), 0);
}

Test(cask, every_flipped_bit_is_found, .timeout = 120)
{
    struct vfs *vfs = vfs_mem_new();
    struct cask_info info;
    struct vfs_file *file = write_cask(vfs, 12, 9, NULL, &info);
    size_t size;
    uint8_t *bytes = file_bytes(file, &size);

    cr_assert_eq(read_all(file, 12), 0);
    for (size_t bit = 0; bit < size * 8; bit++) {
        uint8_t byte = (uint8_t)(bytes[bit / 8] ^ (1u << bit % 8));
        struct iovec iov = {.iov_base = &byte, .iov_len = 1};

        cr_assert_eq(vfs_pwritev(file, &iov, 1, bit / 8), 0);
        cr_assert_eq(read_all(file, 12), CASK_E_CORRUPT, "bit %zu", bit);
        iov.iov_base = &bytes[bit / 8];
        cr_assert_eq(vfs_pwritev(file, &iov, 1, bit / 8), 0);
    }
    free(bytes);
    vfs_close(file);
    vfs_mem_free(vfs);
}

Test(cask, every_other_length_is_found)
{
    struct vfs *vfs = vfs_mem_new();
    struct cask_info info;
    struct vfs_file *file = write_cask(vfs, 60, 120, NULL, &info);
    size_t size;
    uint8_t *bytes = file_bytes(file, &size);
    uint8_t *longer = calloc(1, size + 512);

    cr_assert_gt(size, CASK_HEADER_SIZE + 2 * CASK_BLOCK_SIZE);
    for (size_t cut = 0; cut < size; cut++) {
        file_set(file, bytes, cut);
        cr_assert_eq(read_all(file, 60), CASK_E_CORRUPT, "%zu bytes", cut);
    }
    memcpy(longer, bytes, size);
    for (size_t more = 1; more <= 512; more++) {
        file_set(file, longer, size + more);
        cr_assert_eq(read_all(file, 60), CASK_E_CORRUPT, "%zu bytes more", more);
    }
    free(longer);
    free(bytes);
    vfs_close(file);
    vfs_mem_free(vfs);
}

Test(cask, a_newer_file_is_told_from_a_damaged_one)
{
    struct vfs *vfs = vfs_mem_new();
    struct cask_info info;
    struct vfs_file *file = write_cask(vfs, 3, 9, NULL, &info);
    size_t size;
    uint8_t *bytes = file_bytes(file, &size);

    codec_put_u32(bytes + 8, CASK_VERSION + 1);
    codec_put_u64(bytes + 56, checksum(bytes, 56));
    file_set(file, bytes, size);
    cr_assert_eq(read_all(file, 3), CASK_E_NEWER);
    codec_put_u32(bytes + 8, 0);
    codec_put_u64(bytes + 56, checksum(bytes, 56));
    file_set(file, bytes, size);
    cr_assert_eq(read_all(file, 3), CASK_E_CORRUPT);
    free(bytes);
    vfs_close(file);
    vfs_mem_free(vfs);
}

/* Each record is whole, but they are not those that were written there. */
Test(cask, records_that_changed_places_are_found)
{
    struct vfs *vfs = vfs_mem_new();
    struct cask_info info;
    uint32_t offsets[5];
    struct vfs_file *file = write_cask(vfs, 5, 9, offsets, &info);
    size_t size;
    uint8_t *bytes = file_bytes(file, &size), *swapped = malloc(size);
    uint32_t length = offsets[2] - offsets[1];

    memcpy(swapped, bytes, size);
    cr_assert_eq(length, offsets[3] - offsets[2]);
    memcpy(swapped + offsets[1], bytes + offsets[2], length);
    memcpy(swapped + offsets[2], bytes + offsets[1], length);
    file_set(file, swapped, size);
    cr_assert_eq(read_all(file, 5), CASK_E_CORRUPT);
    free(swapped);
    free(bytes);
    vfs_close(file);
    vfs_mem_free(vfs);
}

/* A whole record of the right key, but not the one that was written. */
Test(cask, a_record_in_the_place_of_another_is_found)
{
    struct vfs *vfs = vfs_mem_new();
    struct cask_info info;
    uint32_t offsets[5];
    struct vfs_file *file = write_cask(vfs, 5, 9, offsets, &info);
    struct cask_buffer buffer = {0};
    struct record record;
    struct cask cask;
    uint8_t other[256];
    struct iovec iov = {.iov_base = other};

    cr_assert_eq(cask_open(&cask, file), 0);
    cr_assert_eq(cask_read(&cask, offsets[2], &buffer, &record), 0);
    record.index--;
    iov.iov_len = record_encode(&record, other);
    cr_assert_eq(iov.iov_len, offsets[3] - offsets[2]);
    cr_assert_eq(vfs_pwritev(file, &iov, 1, offsets[2]), 0);
    cr_assert_eq(cask_read(&cask, offsets[2], &buffer, &record), 0);
    cr_assert_eq(cask_verify_block(&cask, 0, &buffer, NULL), CASK_E_CORRUPT);
    cask_buffer_free(&buffer);
    cask_close(&cask);
    vfs_close(file);
    vfs_mem_free(vfs);
}

Test(cask, damaged_records_are_not_taken_in)
{
    struct vfs *vfs = vfs_mem_new();
    struct vfs_file *file = file_new(vfs, "c");
    struct cask_writer writer;
    struct cask_info info;
    uint8_t *bytes;
    size_t size = make(0, 50, &bytes);
    uint32_t length;

    cr_assert_eq(cask_writer_begin(&writer, file, PARTITION, NUMBER), 0);
    length = cask_writer_length(&writer);
    for (size_t bit = 0; bit < size * 8; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        cr_assert_eq(cask_writer_add(&writer, bytes, size, NULL), CASK_E_CORRUPT);
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    cr_assert_eq(cask_writer_add(&writer, bytes, size - 16, NULL), CASK_E_CORRUPT);
    cr_assert_eq(cask_writer_length(&writer), length);
    cr_assert_eq(cask_writer_add(&writer, bytes, size, NULL), 0);
    cr_assert_eq(cask_writer_finish(&writer, &info), 0);
    cr_assert_eq(info.count, 1);
    cask_writer_end(&writer);
    free(bytes);
    vfs_close(file);
    vfs_mem_free(vfs);
}

static void add_twice(bool same_key)
{
    struct vfs *vfs = vfs_mem_new();
    struct cask_writer writer;
    uint8_t *first, *second;
    size_t first_size = make(4, 9, &first), second_size = make(same_key ? 4 : 2, 9, &second);

    cr_assert_eq(cask_writer_begin(&writer, file_new(vfs, "c"), PARTITION, NUMBER), 0);
    cr_assert_eq(cask_writer_add(&writer, first, first_size, NULL), 0);
    cask_writer_add(&writer, second, second_size, NULL);
}

Test(cask, keys_that_descend_assert, .signal = SIGABRT)
{
    add_twice(false);
}

Test(cask, a_key_twice_asserts, .signal = SIGABRT)
{
    add_twice(true);
}

Test(cask, a_full_cask_refuses_and_stays_whole, .timeout = 120)
{
    struct vfs *vfs = vfs_mem_new();
    struct vfs_file *file = file_new(vfs, "c");
    struct cask_writer writer;
    struct cask_info info;
    struct cask cask;
    unsigned count = 0;
    int r = 0;

    cr_assert_eq(cask_writer_begin(&writer, file, PARTITION, NUMBER), 0);
    while (r == 0) {
        uint8_t *bytes;
        size_t size = make(count * 5, 8u << 20, &bytes);

        r = cask_writer_add(&writer, bytes, size, NULL);
        count += r == 0;
        free(bytes);
    }
    cr_assert_eq(r, CASK_E_FULL);
    cr_assert_eq(count, 31);
    cr_assert_eq(cask_writer_finish(&writer, &info), 0);
    cask_writer_end(&writer);
    cr_assert_leq(info.length, CASK_SIZE_MAX);
    cr_assert_eq(cask_open(&cask, file), 0);
    cr_assert_eq(cask.info.count, 31);
    cask_close(&cask);
    vfs_close(file);
    vfs_mem_free(vfs);
}

/* What a sweep does: a cask is written and read back. 0 or -errno. */
static int write_and_read(struct vfs *vfs)
{
    struct cask_writer writer;
    struct cask_info info;
    struct vfs_file *file = NULL;
    int r = vfs_open(vfs, "c", VFS_OPEN_WRITE | VFS_OPEN_CREATE, &file);

    if (r < 0)
        return r;
    r = cask_writer_begin(&writer, file, PARTITION, NUMBER);
    for (unsigned i = 0; r == 0 && i < 3000; i++) {
        static uint8_t bytes[512];
        struct record record = {.partition = PARTITION,
                                .kind = RECORD_KIND_PUT,
                                .sub_count = 1,
                                .index = i,
                                .key_size = 4,
                                .value = bytes,
                                .value_size = 100};
        uint8_t key[4] = {0, 0, (uint8_t)(i >> 8), (uint8_t)i};
        uint8_t encoded[512];

        record.key = key;
        r = cask_writer_add(&writer, encoded, record_encode(&record, encoded), NULL);
    }
    if (r == 0)
        r = cask_writer_finish(&writer, &info);
    cask_writer_end(&writer);
    if (r == 0)
        r = read_all(file, 3000);
    vfs_close(file);
    return r;
}

Test(cask, every_failing_call_and_allocation_is_told, .timeout = 120)
{
    struct vfs *vfs = vfs_mem_new();
    uint64_t calls, n;
    int r;

    cr_assert_eq(write_and_read(vfs), 0);
    cr_assert_eq(vfs_remove(vfs, "c"), 0);
    calls = vfs_mem_calls(vfs);
    cr_assert_eq(write_and_read(vfs), 0);
    calls = vfs_mem_calls(vfs) - calls;
    calls = calls < 60 ? calls : 60; /* behind them the offsets of read_all(), all alike */
    for (n = 1; n <= calls; n++) {
        vfs_remove(vfs, "c");
        vfs_mem_fail_after(vfs, n, EIO);
        cr_assert_eq(write_and_read(vfs), -EIO, "call %lu", (unsigned long)n);
        vfs_mem_fail_after(vfs, 0, 0);
    }
    cr_assert_gt(n, 5);
    for (n = 1, r = -ENOMEM; r == -ENOMEM; n++) {
        vfs_remove(vfs, "c");
        alloc_fail_after(n);
        r = write_and_read(vfs);
        cr_assert(r == -ENOMEM || !alloc_failed() || r == 0, "allocation %lu: %d", (unsigned long)n,
                  r);
    }
    alloc_fail_after(0);
    cr_assert_eq(r, 0);
    cr_assert_gt(n, 10);
    vfs_remove(vfs, "c");
    vfs_mem_free(vfs);
}

/* docs/format-cask.md */
static const char example_hex[] =
    "524341534b43534b010000001100000001000000000000000000000000000000000000000000000000000000"
    "0000000000000000000000001a5debc1967fd099380000001100010002000000000001000500000000000000"
    "030000000500000008d959ad8b47ebb56b657976616c7565f0f09d9b267ed58700000000000000002b000000"
    "1100020002000000000001000700000000000000030000000000000069e7b96810820a236f6c640000000000"
    "40000000020000006284336d9e941ee6524341534b454e4401000000000000001100000001000000b0000000"
    "2001000002000000010000000500000000000000070000000000000040cac358387c23dc4000000000000000"
    "000000000000000000000000000000002854643cd9805fba";

Test(cask, the_documented_example_has_these_bytes)
{
    struct record record = {.partition = 17,
                            .kind = RECORD_KIND_PUT,
                            .term = 2,
                            .sub_count = 1,
                            .index = 5,
                            .key = (const uint8_t *)"key",
                            .key_size = 3,
                            .value = (const uint8_t *)"value",
                            .value_size = 5};
    struct vfs *vfs = vfs_mem_new();
    struct vfs_file *file = file_new(vfs, "c");
    struct cask_writer writer;
    struct cask_info info;
    uint8_t expected[sizeof(example_hex) / 2], encoded[128];
    uint8_t *bytes;
    size_t size;

    cr_assert_eq(cask_writer_begin(&writer, file, 17, 1), 0);
    size = record_encode(&record, encoded);
    cr_assert_eq(cask_writer_add(&writer, encoded, size, NULL), 0);
    record.kind = RECORD_KIND_DELETE;
    record.index = 7;
    record.key = (const uint8_t *)"old";
    record.value_size = 0;
    size = record_encode(&record, encoded);
    cr_assert_eq(cask_writer_add(&writer, encoded, size, NULL), 0);
    cr_assert_eq(cask_writer_finish(&writer, &info), 0);
    cask_writer_end(&writer);
    bytes = file_bytes(file, &size);
    cr_assert_eq(size, hex_bytes(example_hex, expected));
    cr_assert_eq(memcmp(bytes, expected, size), 0);
    cr_assert_eq(info.stamp, 0xba5f80d93c645428);
    free(bytes);
    vfs_close(file);
    vfs_mem_free(vfs);
}
