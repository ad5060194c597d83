#include <criterion/criterion.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "storage/checksum.h"
#include "storage/codec.h"
#include "storage/record.h"
#include "tests/dice.h"

static struct dice dice = {42};

static struct record random_record(const uint8_t *bytes, size_t value_size_max)
{
    static const uint8_t kinds[] = {RECORD_KIND_PUT, RECORD_KIND_DELETE, RECORD_KIND_NOOP,
                                    RECORD_KIND_CONFIG, RECORD_KIND_CHECKPOINT};
    struct record record = {
        .partition = (uint16_t)dice_next(&dice),
        .kind = kinds[dice_next(&dice) % sizeof(kinds)],
        .flags = (uint8_t)(dice_next(&dice) % 32),
        .term = (uint32_t)dice_next(&dice),
        .sub_count = (uint16_t)(1 + dice_next(&dice) % RECORD_SUB_COUNT_MAX),
        .index = dice_next(&dice),
        .value = bytes,
        .value_size = dice_next(&dice) % value_size_max,
    };

    record.sub_index = (uint16_t)(dice_next(&dice) % record.sub_count);
    if (record.sub_index > 0)
        record.flags &= (uint8_t)~RECORD_FLAG_REQUEST;
    if (record.kind == RECORD_KIND_PUT || record.kind == RECORD_KIND_DELETE) {
        record.key = bytes + 1;
        record.key_size = 1 + dice_next(&dice) % 300;
    }
    if (record.flags & RECORD_FLAG_COMPRESSED)
        record.codec = 1;
    if (record.key_size == 0)
        record.flags &= (uint8_t)~RECORD_FLAG_ENCRYPTED;
    if (record.flags & RECORD_FLAG_ENCRYPTED) {
        record.key_id = (uint8_t)(1 + dice_next(&dice) % 255);
        record.key_size = RECORD_SEALED_KEY_SIZE;
        record.value_size += RECORD_SEALED_OVERHEAD_SIZE + 1;
    }
    if (record.flags & RECORD_FLAG_EXPIRES)
        record.expiry_ms = dice_next(&dice);
    if (record.flags & RECORD_FLAG_REQUEST)
        record.request = (struct record_request){dice_next(&dice), dice_next(&dice),
                                                 dice_next(&dice), (int64_t)dice_next(&dice)};
    return record;
}

static void assert_same(const struct record *a, const struct record *b)
{
    cr_assert_eq(a->partition, b->partition);
    cr_assert_eq(a->kind, b->kind);
    cr_assert_eq(a->flags, b->flags);
    cr_assert_eq(a->term, b->term);
    cr_assert_eq(a->index, b->index);
    cr_assert_eq(a->sub_index, b->sub_index);
    cr_assert_eq(a->sub_count, b->sub_count);
    cr_assert_eq(a->codec, b->codec);
    cr_assert_eq(a->key_id, b->key_id);
    cr_assert_eq(a->expiry_ms, b->expiry_ms);
    cr_assert_eq(memcmp(&a->request, &b->request, sizeof(a->request)), 0);
    cr_assert_eq(a->key_size, b->key_size);
    cr_assert_eq(a->value_size, b->value_size);
    cr_assert(a->key_size == 0 || memcmp(a->key, b->key, a->key_size) == 0);
    cr_assert(a->value_size == 0 || memcmp(a->value, b->value, a->value_size) == 0);
}

Test(record, random_records_come_back_as_they_were)
{
    uint8_t bytes[4096], out[8192];

    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)dice_next(&dice);
    for (int i = 0; i < 20000; i++) {
        struct record record = random_record(bytes, 2000), decoded;
        size_t size = record_encode(&record, out);

        cr_assert_eq(size, record_size_padded(&record));
        cr_assert_eq(size % RECORD_ALIGN, 0);
        cr_assert_eq(record_decode(out, record_size(&record), &decoded), 0);
        assert_same(&record, &decoded);
        cr_assert_eq(record_decode_header(out, size, &decoded), 0);
        assert_same(&record, &decoded);
        for (size_t pad = record_size(&record); pad < size; pad++)
            cr_assert_eq(out[pad], 0);
    }
}

Test(record, every_flipped_bit_is_found)
{
    uint8_t bytes[4096], out[1024];

    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)dice_next(&dice);
    for (int i = 0; i < 60; i++) {
        struct record record = random_record(bytes, 100), decoded;
        size_t size = record_size(&record);

        record_encode(&record, out);
        for (size_t bit = 0; bit < size * 8; bit++) {
            out[bit / 8] ^= (uint8_t)(1u << bit % 8);
            cr_assert_neq(record_decode(out, sizeof(out), &decoded), RECORD_E_OK, "bit %zu", bit);
            out[bit / 8] ^= (uint8_t)(1u << bit % 8);
        }
        cr_assert_eq(record_decode(out, size, &decoded), 0);
    }
}

Test(record, a_record_that_goes_on_is_short_not_corrupt)
{
    uint8_t bytes[4096] = {7}, out[1024];

    for (int i = 0; i < 60; i++) {
        struct record record = random_record(bytes, 100), decoded;
        size_t size = record_size(&record);

        record_encode(&record, out);
        for (size_t given = 0; given < size; given++) {
            uint8_t *exact = malloc(given + 1); /* so that the sanitizer sees a read beyond */

            memcpy(exact, out, given);
            cr_assert_eq(record_decode(exact, given, &decoded), RECORD_E_SHORT);
            free(exact);
        }
    }
}

Test(record, random_bytes_never_decode)
{
    uint8_t bytes[256];
    struct record decoded;

    for (int i = 0; i < 100000; i++) {
        for (size_t at = 0; at < sizeof(bytes); at += 8)
            codec_put_u64(bytes + at, dice_next(&dice));
        /* Small sizes, so that the checksum is reached now and then. */
        if (i % 2) {
            size_t key_size = dice_next(&dice) % 64, value_size = dice_next(&dice) % 64;

            bytes[7] = 0;
            codec_put_u16(bytes + 24, (uint16_t)key_size);
            codec_put_u32(bytes + 28, (uint32_t)value_size);
            codec_put_u32(bytes, (uint32_t)(40 + key_size + value_size + (value_size ? 8 : 0)));
        }
        cr_assert_neq(record_decode(bytes, sizeof(bytes), &decoded), RECORD_E_OK);
    }
}

Test(record, a_good_checksum_does_not_excuse_fields_out_of_bounds)
{
    uint8_t out[64] = {0};
    struct record record = {.kind = RECORD_KIND_NOOP, .sub_count = 1}, decoded;

    record_encode(&record, out);
    codec_put_u16(out + 12, 1); /* sub_index 1 of 1 */
    codec_put_u64(out + 32, checksum_pair(out, 32, out + 40, 0, 0));
    cr_assert_eq(record_decode(out, sizeof(out), &decoded), RECORD_E_CORRUPT);
}

Test(record, encoding_a_put_without_key_asserts, .signal = SIGABRT)
{
    uint8_t out[64];
    struct record record = {.kind = RECORD_KIND_PUT, .sub_count = 1};

    record_encode(&record, out);
}

/* The worked example of docs/format-record.md. */
Test(record, the_documented_example_has_these_bytes)
{
    static const uint8_t head[] = {
        0x38, 0x00, 0x00, 0x00, 0x11, 0x00, 0x01, 0x00, 0x02, 0x00, 0x00,
        0x00, 0x00, 0x00, 0x01, 0x00, 0x05, 0x00, 0x00, 0x00, 0x00, 0x00,
        0x00, 0x00, 0x03, 0x00, 0x00, 0x00, 0x05, 0x00, 0x00, 0x00,
    };
    uint8_t out[64];
    struct record record = {
        .partition = 17,
        .kind = RECORD_KIND_PUT,
        .term = 2,
        .index = 5,
        .sub_count = 1,
        .key = (const uint8_t *)"key",
        .key_size = 3,
        .value = (const uint8_t *)"value",
        .value_size = 5,
    };

    cr_assert_eq(record_encode(&record, out), 64);
    cr_assert_eq(memcmp(out, head, sizeof(head)), 0);
    cr_assert_eq(memcmp(out + 40, "keyvalue", 8), 0);
    cr_assert_eq(codec_get_u64(out + 48), checksum("value", 5));
    cr_assert_eq(codec_get_u64(out + 32), checksum_pair(out, 32, "key", 3, 0));
}
