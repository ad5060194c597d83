#include "storage/record.h"

#include <assert.h>
#include <string.h>

#include "storage/checksum.h"
#include "storage/codec.h"

#define RECORD_OFFSET_CHECKSUM 32u
#define RECORD_EXPIRY_SIZE     8u
#define RECORD_REQUEST_SIZE    32u
#define RECORD_VALUE_SUM_SIZE  8u
#define RECORD_FLAGS_ALL       0x1Fu
#define RECORD_CODEC_MAX       5u

static size_t record_extension_size(uint8_t flags)
{
    size_t size = 0;

    if (flags & RECORD_FLAG_EXPIRES)
        size += RECORD_EXPIRY_SIZE;
    if (flags & RECORD_FLAG_REQUEST)
        size += RECORD_REQUEST_SIZE;
    return size;
}

static bool record_kind_has_key(uint8_t kind)
{
    return kind == RECORD_KIND_PUT || kind == RECORD_KIND_DELETE;
}

/* Of the value as stored. */
static size_t record_value_max(uint8_t flags)
{
    return flags & RECORD_FLAG_ENCRYPTED ? RECORD_SEALED_SIZE_MAX : RECORD_VALUE_SIZE_MAX;
}

/* Whether what the flag ENCRYPTED asks for is so. */
static bool record_seal_valid(const struct record *record)
{
    if (!(record->flags & RECORD_FLAG_ENCRYPTED))
        return record->key_id == 0;
    return (record->kind == RECORD_KIND_DICTIONARY ||
            (record_kind_has_key(record->kind) && record->key_size == RECORD_SEALED_KEY_SIZE)) &&
           record->key_id != 0 && record->value_size > RECORD_SEALED_OVERHEAD_SIZE;
}

/* Of a dictionary, the codec is that of the values that are compressed with it. */
static bool record_codec_valid(const struct record *record)
{
    return record->codec == 0 || record->kind == RECORD_KIND_DICTIONARY ||
           (record->flags & RECORD_FLAG_COMPRESSED);
}

size_t record_size(const struct record *record)
{
    size_t size = RECORD_HEADER_SIZE + record_extension_size(record->flags) + record->key_size +
                  record->value_size;

    return record->value_size > 0 ? size + RECORD_VALUE_SUM_SIZE : size;
}

size_t record_size_padded(const struct record *record)
{
    return (record_size(record) + RECORD_ALIGN - 1) & ~(size_t)(RECORD_ALIGN - 1);
}

size_t record_head_size(const uint8_t *bytes)
{
    return RECORD_HEADER_SIZE + record_extension_size(bytes[7]) + codec_get_u16(bytes + 24);
}

static void record_assert_limits(const struct record *record)
{
    assert(record->kind >= RECORD_KIND_PUT && record->kind <= RECORD_KIND_DICTIONARY);
    assert((record->flags & ~RECORD_FLAGS_ALL) == 0);
    assert(record->sub_count >= 1 && record->sub_count <= RECORD_SUB_COUNT_MAX);
    assert(record->sub_index < record->sub_count);
    assert(record->sub_index == 0 || !(record->flags & RECORD_FLAG_REQUEST));
    assert(record->key_size <= RECORD_KEY_SIZE_MAX);
    assert(record_kind_has_key(record->kind) == (record->key_size > 0));
    assert(record->value_size <= record_value_max(record->flags));
    assert(record->codec <= RECORD_CODEC_MAX);
    assert(record_codec_valid(record));
    assert(record_seal_valid(record));
}

static uint8_t *record_encode_extensions(const struct record *record, uint8_t *out)
{
    if (record->flags & RECORD_FLAG_EXPIRES) {
        codec_put_u64(out, record->expiry_ms);
        out += RECORD_EXPIRY_SIZE;
    }
    if (record->flags & RECORD_FLAG_REQUEST) {
        codec_put_u64(out, record->request.session);
        codec_put_u64(out + 8, record->request.sequence);
        codec_put_u64(out + 16, record->request.floor);
        codec_put_u64(out + 24, (uint64_t)record->request.result);
        out += RECORD_REQUEST_SIZE;
    }
    return out;
}

size_t record_encode(const struct record *record, uint8_t *out)
{
    size_t size = record_size(record);
    size_t padded = record_size_padded(record);
    uint8_t *at;

    record_assert_limits(record);
    codec_put_u32(out, (uint32_t)size);
    codec_put_u16(out + 4, record->partition);
    codec_put_u8(out + 6, record->kind);
    codec_put_u8(out + 7, record->flags);
    codec_put_u32(out + 8, record->term);
    codec_put_u16(out + 12, record->sub_index);
    codec_put_u16(out + 14, record->sub_count);
    codec_put_u64(out + 16, record->index);
    codec_put_u16(out + 24, (uint16_t)record->key_size);
    codec_put_u8(out + 26, record->codec);
    codec_put_u8(out + 27, record->key_id);
    codec_put_u32(out + 28, (uint32_t)record->value_size);
    at = record_encode_extensions(record, out + RECORD_HEADER_SIZE);
    if (record->key_size > 0)
        memcpy(at, record->key, record->key_size);
    at += record->key_size;
    codec_put_u64(out + RECORD_OFFSET_CHECKSUM,
                  checksum_pair(out, RECORD_OFFSET_CHECKSUM, out + RECORD_HEADER_SIZE,
                                (size_t)(at - out) - RECORD_HEADER_SIZE, 0));
    if (record->value_size > 0) {
        memcpy(at, record->value, record->value_size);
        codec_put_u64(at + record->value_size, checksum(at, record->value_size));
        at += record->value_size + RECORD_VALUE_SUM_SIZE;
    }
    assert((size_t)(at - out) == size);
    memset(at, 0, padded - size);
    return padded;
}

/* The fields that bound the rest; nothing else is looked at before the checksum holds. */
static int record_decode_bounds(const uint8_t *bytes, size_t size, size_t *key_end)
{
    uint64_t total, head, value_size;

    if (size < RECORD_HEADER_SIZE)
        return RECORD_E_SHORT;
    total = codec_get_u32(bytes);
    value_size = codec_get_u32(bytes + 28);
    if (value_size > record_value_max(bytes[7]))
        return RECORD_E_CORRUPT;
    head = record_head_size(bytes);
    if (total != head + value_size + (value_size > 0 ? RECORD_VALUE_SUM_SIZE : 0))
        return RECORD_E_CORRUPT;
    if (size < head)
        return RECORD_E_SHORT;
    *key_end = (size_t)head;
    return 0;
}

static bool record_fields_valid(const struct record *record)
{
    return record->kind >= RECORD_KIND_PUT && record->kind <= RECORD_KIND_DICTIONARY &&
           (record->flags & ~RECORD_FLAGS_ALL) == 0 && record->sub_count >= 1 &&
           record->sub_count <= RECORD_SUB_COUNT_MAX && record->sub_index < record->sub_count &&
           (record->sub_index == 0 || !(record->flags & RECORD_FLAG_REQUEST)) &&
           record_kind_has_key(record->kind) == (record->key_size > 0) &&
           record->codec <= RECORD_CODEC_MAX && record_codec_valid(record) &&
           record_seal_valid(record);
}

int record_decode_header(const uint8_t *bytes, size_t size, struct record *record)
{
    const uint8_t *at = bytes + RECORD_HEADER_SIZE;
    size_t key_end = 0;
    int r = record_decode_bounds(bytes, size, &key_end);

    if (r != 0)
        return r;
    if (codec_get_u64(bytes + RECORD_OFFSET_CHECKSUM) !=
        checksum_pair(bytes, RECORD_OFFSET_CHECKSUM, at, key_end - RECORD_HEADER_SIZE, 0))
        return RECORD_E_CORRUPT;
    *record = (struct record){
        .partition = codec_get_u16(bytes + 4),
        .kind = bytes[6],
        .flags = bytes[7],
        .term = codec_get_u32(bytes + 8),
        .sub_index = codec_get_u16(bytes + 12),
        .sub_count = codec_get_u16(bytes + 14),
        .index = codec_get_u64(bytes + 16),
        .key_size = codec_get_u16(bytes + 24),
        .codec = bytes[26],
        .key_id = bytes[27],
        .value_size = codec_get_u32(bytes + 28),
    };
    if (!record_fields_valid(record))
        return RECORD_E_CORRUPT;
    if (record->flags & RECORD_FLAG_EXPIRES) {
        record->expiry_ms = codec_get_u64(at);
        at += RECORD_EXPIRY_SIZE;
    }
    if (record->flags & RECORD_FLAG_REQUEST) {
        record->request.session = codec_get_u64(at);
        record->request.sequence = codec_get_u64(at + 8);
        record->request.floor = codec_get_u64(at + 16);
        record->request.result = (int64_t)codec_get_u64(at + 24);
        at += RECORD_REQUEST_SIZE;
    }
    record->key = at;
    record->value = bytes + key_end;
    if (size < record_size(record))
        return RECORD_E_SHORT;
    return 0;
}

int record_decode(const uint8_t *bytes, size_t size, struct record *record)
{
    int r = record_decode_header(bytes, size, record);

    if (r != 0 || record->value_size == 0)
        return r;
    if (codec_get_u64(record->value + record->value_size) !=
        checksum(record->value, record->value_size))
        return RECORD_E_CORRUPT;
    return 0;
}
