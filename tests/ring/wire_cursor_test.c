#include "ring/wire.h"

#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>
#include <msgpack.h>

#include "tests/dice.h"

#define CASES 100000u

/* A copy of exactly `size` bytes on the heap: one byte read beyond it is an ASan report. */
static uint8_t *exactly(const void *bytes, size_t size)
{
    uint8_t *copy = malloc(size ? size : 1);

    cr_assert_not_null(copy);
    if (size > 0)
        memcpy(copy, bytes, size);
    return copy;
}

static int64_t any_integer(struct dice *dice)
{
    uint64_t magnitude = dice_number(dice, 63);

    return dice_below(dice, 2) ? (int64_t)magnitude : -(int64_t)magnitude - 1;
}

/* One random value written by both: ours and msgpack-c. Both choose the smallest encoding. */
static void write_both(struct dice *dice, struct wire_buffer *ours, msgpack_packer *theirs,
                       unsigned depth)
{
    static uint8_t bytes[70000];
    static char text[70001];
    size_t size = (size_t)dice_number(dice, depth == 0 ? 17 : 9) % sizeof bytes;
    uint32_t count = (uint32_t)dice_number(dice, depth == 0 ? 7 : 5);
    uint64_t number = dice_number(dice, 64);
    int64_t integer = any_integer(dice);

    switch (dice_below(dice, depth < 4 ? 8 : 6)) {
    case 0:
        wire_put_uint(ours, number);
        msgpack_pack_uint64(theirs, number);
        return;
    case 1:
        wire_put_int(ours, integer);
        msgpack_pack_int64(theirs, integer);
        return;
    case 2:
        wire_put_nil(ours);
        msgpack_pack_nil(theirs);
        return;
    case 3:
        wire_put_bool(ours, number & 1);
        if (number & 1)
            msgpack_pack_true(theirs);
        else
            msgpack_pack_false(theirs);
        return;
    case 4:
        dice_fill(dice, bytes, size < 64 ? size : 64);
        wire_put_bin(ours, bytes, size);
        msgpack_pack_bin_with_body(theirs, bytes, size);
        return;
    case 5:
        memset(text, 'a' + (int)(number % 26), size);
        text[size] = 0;
        wire_put_string(ours, text);
        msgpack_pack_str_with_body(theirs, text, size);
        return;
    case 6:
        wire_put_array(ours, count);
        msgpack_pack_array(theirs, count);
        for (uint32_t i = 0; i < count; i++)
            write_both(dice, ours, theirs, depth + 1);
        return;
    default:
        wire_put_map(ours, count / 2);
        msgpack_pack_map(theirs, count / 2);
        for (uint32_t i = 0; i < count / 2 * 2; i++)
            write_both(dice, ours, theirs, depth + 1);
        return;
    }
}

static void expect_same_bytes(const msgpack_object_bin *theirs, const void *ours, size_t size)
{
    cr_assert_eq(size, theirs->size);
    cr_assert(size == 0 || memcmp(ours, theirs->ptr, size) == 0);
}

/* Reads with our cursor what msgpack-c unpacked. */
static void expect_same(struct wire_cursor *cursor, const msgpack_object *object)
{
    size_t size;
    const void *bytes;

    switch (object->type) {
    case MSGPACK_OBJECT_NIL:
        cr_assert(wire_get_nil(cursor));
        return;
    case MSGPACK_OBJECT_BOOLEAN:
        cr_assert_eq(wire_get_bool(cursor), object->via.boolean);
        return;
    case MSGPACK_OBJECT_POSITIVE_INTEGER:
        cr_assert_eq(wire_get_uint(cursor, UINT64_MAX), object->via.u64);
        return;
    case MSGPACK_OBJECT_NEGATIVE_INTEGER:
        cr_assert_eq(wire_get_int(cursor), object->via.i64);
        return;
    case MSGPACK_OBJECT_BIN:
        bytes = wire_get_bin(cursor, SIZE_MAX, &size);
        expect_same_bytes(&object->via.bin, bytes, size);
        return;
    case MSGPACK_OBJECT_STR:
        bytes = wire_get_string(cursor, SIZE_MAX, &size);
        cr_assert_eq(size, object->via.str.size);
        cr_assert(size == 0 || memcmp(bytes, object->via.str.ptr, size) == 0);
        return;
    case MSGPACK_OBJECT_ARRAY:
        cr_assert_eq(wire_get_array(cursor, UINT32_MAX), object->via.array.size);
        for (uint32_t i = 0; i < object->via.array.size; i++)
            expect_same(cursor, &object->via.array.ptr[i]);
        return;
    case MSGPACK_OBJECT_MAP:
        cr_assert_eq(wire_get_map(cursor, UINT32_MAX), object->via.map.size);
        for (uint32_t i = 0; i < object->via.map.size; i++) {
            expect_same(cursor, &object->via.map.ptr[i].key);
            expect_same(cursor, &object->via.map.ptr[i].val);
        }
        return;
    default:
        cr_assert_fail("a type we never write");
    }
}

/* The whole triangle: same bytes as msgpack-c, which reads ours as we read its. */
Test(wire_cursor, writes_and_reads_as_msgpack_c_does)
{
    struct wire_buffer ours = {0};
    msgpack_sbuffer theirs;
    msgpack_packer packer;

    msgpack_sbuffer_init(&theirs);
    msgpack_packer_init(&packer, &theirs, msgpack_sbuffer_write);
    for (uint64_t seed = 0; seed < CASES; seed++) {
        struct dice dice = {seed};
        struct wire_cursor cursor;
        msgpack_unpacked unpacked;
        size_t offset = 0;

        wire_buffer_clear(&ours);
        msgpack_sbuffer_clear(&theirs);
        write_both(&dice, &ours, &packer, 0);
        cr_assert_eq(ours.size, theirs.size, "seed %lu", (unsigned long)seed);
        cr_assert_eq(memcmp(ours.data, theirs.data, ours.size), 0, "seed %lu", (unsigned long)seed);
        msgpack_unpacked_init(&unpacked);
        cr_assert_eq(msgpack_unpack_next(&unpacked, (const char *)ours.data, ours.size, &offset),
                     MSGPACK_UNPACK_SUCCESS);
        cr_assert_eq(offset, ours.size);
        wire_cursor_init(&cursor, theirs.data, theirs.size);
        expect_same(&cursor, &unpacked.data);
        cr_assert(!cursor.failed && wire_cursor_done(&cursor));
        wire_cursor_init(&cursor, theirs.data, theirs.size);
        wire_skip(&cursor);
        cr_assert(!cursor.failed && wire_cursor_done(&cursor), "seed %lu", (unsigned long)seed);
        msgpack_unpacked_destroy(&unpacked);
    }
    msgpack_sbuffer_destroy(&theirs);
    wire_buffer_deinit(&ours);
}

/* Wherever the bytes end, reading ends in failure and not beyond. */
Test(wire_cursor, every_truncation_fails)
{
    struct wire_buffer ours = {0};
    msgpack_sbuffer theirs;
    msgpack_packer packer;

    msgpack_sbuffer_init(&theirs);
    msgpack_packer_init(&packer, &theirs, msgpack_sbuffer_write);
    for (uint64_t seed = 0; seed < 3000; seed++) {
        struct dice dice = {seed};

        wire_buffer_clear(&ours);
        write_both(&dice, &ours, &packer, 2);
        msgpack_sbuffer_clear(&theirs);
        for (size_t size = 0; size < ours.size && size < 300; size++) {
            uint8_t *part = exactly(ours.data, size);
            struct wire_cursor cursor;

            wire_cursor_init(&cursor, part, size);
            wire_skip(&cursor);
            cr_assert(cursor.failed, "seed %lu size %zu", (unsigned long)seed, size);
            free(part);
        }
    }
    msgpack_sbuffer_destroy(&theirs);
    wire_buffer_deinit(&ours);
}

Test(wire_cursor, integers_of_every_width_are_read)
{
    static const struct {
        uint8_t bytes[9];
        size_t size;
        int64_t value;
    } cases[] = {
        {{0x05}, 1, 5},
        {{0xe0}, 1, -32},
        {{0xcc, 5}, 2, 5},
        {{0xcd, 0, 5}, 3, 5},
        {{0xce, 0, 0, 0, 5}, 5, 5},
        {{0xcf, 0, 0, 0, 0, 0, 0, 0, 5}, 9, 5},
        {{0xd0, 5}, 2, 5},
        {{0xd1, 0, 5}, 3, 5},
        {{0xd2, 0, 0, 0, 5}, 5, 5},
        {{0xd3, 0, 0, 0, 0, 0, 0, 0, 5}, 9, 5},
        {{0xd0, 0xfb}, 2, -5},
        {{0xd1, 0xff, 0xfb}, 3, -5},
        {{0xd2, 0xff, 0xff, 0xff, 0xfb}, 5, -5},
        {{0xd3, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfb}, 9, -5},
        {{0xd3, 0x80, 0, 0, 0, 0, 0, 0, 0}, 9, INT64_MIN},
        {{0xcf, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, 9, INT64_MAX},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct wire_cursor cursor;

        wire_cursor_init(&cursor, cases[i].bytes, cases[i].size);
        cr_assert_eq(wire_peek(&cursor), WIRE_KIND_INT);
        cr_assert_eq(wire_get_int(&cursor), cases[i].value, "case %zu", i);
        cr_assert(!cursor.failed && wire_cursor_done(&cursor));
        wire_cursor_init(&cursor, cases[i].bytes, cases[i].size);
        cr_assert_eq(wire_get_uint(&cursor, UINT64_MAX),
                     cases[i].value < 0 ? 0 : (uint64_t)cases[i].value);
        cr_assert_eq(cursor.failed, cases[i].value < 0, "case %zu", i);
    }
}

Test(wire_cursor, numbers_out_of_bounds_fail)
{
    static const uint8_t top[] = {0xcf, 0x80, 0, 0, 0, 0, 0, 0, 0};
    static const uint8_t small[] = {0xcc, 200};
    struct wire_cursor cursor;

    wire_cursor_init(&cursor, top, sizeof top);
    cr_assert_eq(wire_get_int(&cursor), 0);
    cr_assert(cursor.failed);
    wire_cursor_init(&cursor, top, sizeof top);
    cr_assert_eq(wire_get_uint(&cursor, UINT64_MAX), (uint64_t)1 << 63);
    cr_assert(!cursor.failed);
    wire_cursor_init(&cursor, small, sizeof small);
    cr_assert_eq(wire_get_uint(&cursor, 199), 0);
    cr_assert(cursor.failed);
    wire_cursor_init(&cursor, small, sizeof small);
    cr_assert_eq(wire_get_uint(&cursor, 200), 200);
    cr_assert(!cursor.failed);
}

Test(wire_cursor, failure_is_sticky_and_gives_zeros)
{
    static const uint8_t bytes[] = {0xc0, 1, 2, 3};
    struct wire_cursor cursor;
    size_t size = 9;

    wire_cursor_init(&cursor, bytes, sizeof bytes);
    cr_assert_eq(wire_get_uint(&cursor, 10), 0);
    cr_assert(cursor.failed);
    cr_assert(wire_cursor_done(&cursor));
    cr_assert_eq(wire_get_uint(&cursor, 10), 0);
    cr_assert_eq(wire_get_int(&cursor), 0);
    cr_assert_not(wire_get_nil(&cursor));
    cr_assert_not(wire_get_bool(&cursor));
    cr_assert_null(wire_get_bin(&cursor, 10, &size));
    cr_assert_eq(size, 0);
    cr_assert_null(wire_get_string(&cursor, 10, &size));
    cr_assert_eq(wire_get_array(&cursor, 10), 0);
    cr_assert_eq(wire_get_map(&cursor, 10), 0);
    cr_assert_eq(wire_peek(&cursor), WIRE_KIND_NONE);
    wire_skip(&cursor);
    cr_assert(cursor.failed);
}

Test(wire_cursor, counts_beyond_the_bytes_are_not_believed)
{
    static const uint8_t lies[][7] = {
        {0xdd, 0xff, 0xff, 0xff, 0xff, 0, 0},
        {0xdc, 0xff, 0xff, 0, 0, 0, 0},
        {0x9f, 0, 0, 0, 0, 0, 0},
        {0xdf, 0xff, 0xff, 0xff, 0xff, 0, 0},
        {0xde, 0, 4, 0, 0, 0, 0},
        {0x84, 0, 0, 0, 0, 0, 0},
        {0xc6, 0xff, 0xff, 0xff, 0xff, 0, 0},
        {0xdb, 0xff, 0xff, 0xff, 0xff, 0, 0},
        {0xc4, 6, 0, 0, 0, 0, 0},
        {0xa7, 0, 0, 0, 0, 0, 0},
    };

    for (size_t i = 0; i < sizeof lies / sizeof lies[0]; i++) {
        uint8_t *bytes = exactly(lies[i], sizeof lies[i]);
        struct wire_cursor cursor;
        size_t size;

        wire_cursor_init(&cursor, bytes, sizeof lies[i]);
        wire_skip(&cursor);
        cr_assert(cursor.failed, "case %zu", i);
        wire_cursor_init(&cursor, bytes, sizeof lies[i]);
        switch (wire_peek(&cursor)) {
        case WIRE_KIND_ARRAY:
            cr_assert_eq(wire_get_array(&cursor, UINT32_MAX), 0);
            break;
        case WIRE_KIND_MAP:
            cr_assert_eq(wire_get_map(&cursor, UINT32_MAX), 0);
            break;
        case WIRE_KIND_BIN:
            cr_assert_null(wire_get_bin(&cursor, SIZE_MAX, &size));
            break;
        default:
            cr_assert_null(wire_get_string(&cursor, SIZE_MAX, &size));
        }
        cr_assert(cursor.failed, "case %zu", i);
        free(bytes);
    }
}

Test(wire_cursor, sizes_over_the_callers_limit_fail)
{
    static const uint8_t bin[] = {0xc4, 3, 1, 2, 3};
    static const uint8_t array[] = {0x93, 1, 2, 3};
    struct wire_cursor cursor;
    size_t size;

    wire_cursor_init(&cursor, bin, sizeof bin);
    cr_assert_null(wire_get_bin(&cursor, 2, &size));
    cr_assert(cursor.failed);
    wire_cursor_init(&cursor, bin, sizeof bin);
    cr_assert_eq(wire_get_bin(&cursor, 3, &size), bin + 2);
    cr_assert_eq(size, 3);
    wire_cursor_init(&cursor, array, sizeof array);
    cr_assert_eq(wire_get_array(&cursor, 2), 0);
    cr_assert(cursor.failed);
}

Test(wire_cursor, skip_goes_32_deep_and_no_deeper)
{
    uint8_t bytes[34];
    struct wire_cursor cursor;

    memset(bytes, 0x91, sizeof bytes);
    bytes[33] = 0xc0;
    wire_cursor_init(&cursor, bytes + 1, 33);
    wire_skip(&cursor);
    cr_assert(!cursor.failed && wire_cursor_done(&cursor));
    wire_cursor_init(&cursor, bytes, 34);
    wire_skip(&cursor);
    cr_assert(cursor.failed);
}

Test(wire_cursor, skip_passes_what_we_never_write)
{
    static const uint8_t bytes[] = {0x97, 0xca, 1,  2,    3,    4, 0xcb, 1,    2,    3,    4,
                                    5,    6,    7,  8,    0xd4, 9, 1,    0xd8, 9,    0,    1,
                                    2,    3,    4,  5,    6,    7, 8,    9,    10,   11,   12,
                                    13,   14,   15, 0xc7, 2,    9, 1,    2,    0x80, 0x90, 0x2a};
    struct wire_cursor cursor;

    wire_cursor_init(&cursor, bytes, sizeof bytes);
    wire_skip(&cursor);
    cr_assert_not(cursor.failed);
    cr_assert_eq(wire_get_uint(&cursor, 100), 0x2a);
    cr_assert(!cursor.failed && wire_cursor_done(&cursor));
    wire_cursor_init(&cursor, "\xc1\x01", 2);
    wire_skip(&cursor);
    cr_assert(cursor.failed, "0xc1 is no value");
}

Test(wire_cursor, no_bytes_are_done_and_empty_bin_is_not_nil)
{
    static const uint8_t empty[] = {0xc4, 0};
    struct wire_cursor cursor;
    size_t size = 1;

    wire_cursor_init(&cursor, NULL, 0);
    cr_assert(wire_cursor_done(&cursor));
    cr_assert_not(cursor.failed);
    wire_cursor_init(&cursor, empty, sizeof empty);
    cr_assert_not_null(wire_get_bin(&cursor, 0, &size));
    cr_assert_eq(size, 0);
    cr_assert_not(cursor.failed);
}

Test(wire_cursor, raw_bytes_are_put_as_they_are)
{
    static const uint8_t pair[] = {0x92, 1, 2};
    struct wire_buffer buffer = {0};
    struct wire_cursor cursor;

    wire_put_raw(&buffer, NULL, 0);
    cr_assert(!buffer.failed && buffer.size == 0);
    wire_put_raw(&buffer, pair, sizeof pair);
    wire_put_uint(&buffer, 3);
    wire_cursor_init(&cursor, buffer.data, buffer.size);
    wire_skip(&cursor);
    cr_assert_eq(wire_get_uint(&cursor, 3), 3);
    cr_assert(!cursor.failed && wire_cursor_done(&cursor));
    wire_buffer_deinit(&buffer);
}
