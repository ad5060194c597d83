#include "ring/wire.h"

#include "ring/wire_pack.h"

#define WIRE_SKIP_DEPTH_MAX 32u

void wire_cursor_init(struct wire_cursor *cursor, const void *bytes, size_t size)
{
    cursor->at = bytes;
    cursor->end = size > 0 ? cursor->at + size : cursor->at;
    cursor->failed = false;
}

bool wire_cursor_done(const struct wire_cursor *cursor)
{
    return cursor->failed || cursor->at == cursor->end;
}

static size_t left(const struct wire_cursor *cursor)
{
    return (size_t)(cursor->end - cursor->at);
}

/* A failed cursor stands at its end, so that every later read fails by the one check for bytes. */
static void fail(struct wire_cursor *cursor)
{
    cursor->failed = true;
    cursor->at = cursor->end;
}

static int take_marker(struct wire_cursor *cursor)
{
    if (cursor->at == cursor->end) {
        fail(cursor);
        return -1;
    }
    return *cursor->at++;
}

static uint64_t take_big_endian(struct wire_cursor *cursor, unsigned width)
{
    uint64_t value = 0;

    if (left(cursor) < width) {
        fail(cursor);
        return 0;
    }
    for (unsigned i = 0; i < width; i++)
        value = value << 8 | cursor->at[i];
    cursor->at += width;
    return value;
}

static const uint8_t *take_bytes(struct wire_cursor *cursor, uint64_t size)
{
    const uint8_t *bytes = cursor->at;

    if (cursor->failed || left(cursor) < size) {
        fail(cursor);
        return NULL;
    }
    cursor->at += size;
    return bytes;
}

/* Any integer, of whatever width. True when *value is to be read as the negative int64_t. */
static bool take_integer(struct wire_cursor *cursor, uint64_t *value)
{
    int marker = take_marker(cursor);
    unsigned bits;

    *value = 0;
    if (marker < 0)
        return false;
    if (marker < 0x80) {
        *value = (uint64_t)marker;
        return false;
    }
    if (marker >= WIRE_MARKER_NEGATIVE) {
        *value = (uint64_t)(int64_t)(int8_t)marker;
        return true;
    }
    if (marker >= WIRE_MARKER_UINT8 && marker <= WIRE_MARKER_UINT64) {
        *value = take_big_endian(cursor, 1u << (marker - WIRE_MARKER_UINT8));
        return false;
    }
    if (marker < WIRE_MARKER_INT8 || marker > WIRE_MARKER_INT64) {
        fail(cursor);
        return false;
    }
    bits = 8u << (marker - WIRE_MARKER_INT8);
    assert(bits >= 8 && bits <= 64);
    *value = take_big_endian(cursor, bits / 8);
    if (!(*value >> (bits - 1)))
        return false;
    if (bits < 64)
        *value |= UINT64_MAX << bits;
    return true;
}

uint64_t wire_get_uint(struct wire_cursor *cursor, uint64_t max)
{
    uint64_t value;
    bool negative = take_integer(cursor, &value);

    if (cursor->failed)
        return 0;
    if (negative || value > max) {
        fail(cursor);
        return 0;
    }
    return value;
}

int64_t wire_get_int(struct wire_cursor *cursor)
{
    uint64_t value;
    bool negative = take_integer(cursor, &value);

    if (cursor->failed)
        return 0;
    if (!negative && value > INT64_MAX) {
        fail(cursor);
        return 0;
    }
    return (int64_t)value;
}

bool wire_get_bool(struct wire_cursor *cursor)
{
    int marker = take_marker(cursor);

    if (marker == WIRE_MARKER_TRUE)
        return true;
    if (marker != WIRE_MARKER_FALSE)
        fail(cursor);
    return false;
}

bool wire_get_nil(struct wire_cursor *cursor)
{
    if (cursor->at == cursor->end || *cursor->at != WIRE_MARKER_NIL)
        return false;
    cursor->at++;
    return true;
}

const uint8_t *wire_get_bin(struct wire_cursor *cursor, size_t size_max, size_t *size)
{
    int marker = take_marker(cursor);
    const uint8_t *bytes;
    uint64_t length;

    *size = 0;
    if (marker < WIRE_MARKER_BIN8 || marker > WIRE_MARKER_BIN32) {
        fail(cursor);
        return NULL;
    }
    length = take_big_endian(cursor, 1u << (marker - WIRE_MARKER_BIN8));
    if (length > size_max)
        fail(cursor);
    bytes = take_bytes(cursor, length);
    if (!cursor->failed)
        *size = (size_t)length;
    return bytes;
}

const char *wire_get_string(struct wire_cursor *cursor, size_t size_max, size_t *size)
{
    int marker = take_marker(cursor);
    const uint8_t *bytes;
    uint64_t length = 0;

    *size = 0;
    if (marker >= WIRE_MARKER_FIXSTR && marker < WIRE_MARKER_NIL)
        length = (uint64_t)marker & 31;
    else if (marker >= WIRE_MARKER_STR8 && marker <= WIRE_MARKER_STR32)
        length = take_big_endian(cursor, 1u << (marker - WIRE_MARKER_STR8));
    else
        fail(cursor);
    if (length > size_max)
        fail(cursor);
    bytes = take_bytes(cursor, length);
    if (!cursor->failed)
        *size = (size_t)length;
    return (const char *)bytes;
}

/* The count of an array or map whose smallest element takes `bytes_each`; every element must still
 * fit into what is left, or the count is a lie. */
static uint32_t take_count(struct wire_cursor *cursor, enum wire_marker fix, enum wire_marker wide,
                           uint32_t count_max, unsigned bytes_each)
{
    int marker = take_marker(cursor);
    uint64_t count = 0;

    if (marker >= (int)fix && marker < (int)fix + 16)
        count = (uint64_t)marker & 15;
    else if (marker == (int)wide || marker == (int)wide + 1)
        count = take_big_endian(cursor, marker == (int)wide ? 2 : 4);
    else
        fail(cursor);
    if (count > count_max || count * bytes_each > left(cursor))
        fail(cursor);
    return cursor->failed ? 0 : (uint32_t)count;
}

uint32_t wire_get_array(struct wire_cursor *cursor, uint32_t count_max)
{
    return take_count(cursor, WIRE_MARKER_FIXARRAY, WIRE_MARKER_ARRAY16, count_max, 1);
}

uint32_t wire_get_map(struct wire_cursor *cursor, uint32_t count_max)
{
    return take_count(cursor, WIRE_MARKER_FIXMAP, WIRE_MARKER_MAP16, count_max, 2);
}

enum wire_kind wire_peek(const struct wire_cursor *cursor)
{
    unsigned marker;

    if (wire_cursor_done(cursor))
        return WIRE_KIND_NONE;
    marker = *cursor->at;
    if (marker < WIRE_MARKER_FIXMAP || marker >= WIRE_MARKER_NEGATIVE)
        return WIRE_KIND_INT;
    if (marker < WIRE_MARKER_FIXARRAY || marker >= WIRE_MARKER_MAP16)
        return WIRE_KIND_MAP;
    if (marker < WIRE_MARKER_FIXSTR || marker >= WIRE_MARKER_ARRAY16)
        return WIRE_KIND_ARRAY;
    if (marker < WIRE_MARKER_NIL || marker >= WIRE_MARKER_STR8)
        return WIRE_KIND_STRING;
    if (marker == WIRE_MARKER_NIL)
        return WIRE_KIND_NIL;
    if (marker == WIRE_MARKER_FALSE || marker == WIRE_MARKER_TRUE)
        return WIRE_KIND_BOOL;
    if (marker >= WIRE_MARKER_BIN8 && marker <= WIRE_MARKER_BIN32)
        return WIRE_KIND_BIN;
    if (marker >= WIRE_MARKER_UINT8 && marker <= WIRE_MARKER_INT64)
        return WIRE_KIND_INT;
    return WIRE_KIND_OTHER;
}

/* Passes a value of no kind we use: floats and extensions, which a later version may send. */
static void skip_other(struct wire_cursor *cursor)
{
    int marker = take_marker(cursor);

    if (marker == WIRE_MARKER_FLOAT32)
        take_bytes(cursor, 4);
    else if (marker == WIRE_MARKER_FLOAT64)
        take_bytes(cursor, 8);
    else if (marker >= WIRE_MARKER_FIXEXT1 && marker <= WIRE_MARKER_FIXEXT16)
        take_bytes(cursor, 1 + (1u << (marker - WIRE_MARKER_FIXEXT1)));
    else if (marker >= WIRE_MARKER_EXT8 && marker <= WIRE_MARKER_EXT32)
        take_bytes(cursor, 1 + take_big_endian(cursor, 1u << (marker - WIRE_MARKER_EXT8)));
    else
        fail(cursor);
}

/* Passes one value, or the head of an array or map: returns how many values follow inside. */
static uint64_t skip_shallow(struct wire_cursor *cursor)
{
    uint64_t integer;
    size_t size;

    switch (wire_peek(cursor)) {
    case WIRE_KIND_NIL:
    case WIRE_KIND_BOOL:
        cursor->at++;
        return 0;
    case WIRE_KIND_INT:
        take_integer(cursor, &integer);
        return 0;
    case WIRE_KIND_BIN:
        wire_get_bin(cursor, SIZE_MAX, &size);
        return 0;
    case WIRE_KIND_STRING:
        wire_get_string(cursor, SIZE_MAX, &size);
        return 0;
    case WIRE_KIND_ARRAY:
        return wire_get_array(cursor, UINT32_MAX);
    case WIRE_KIND_MAP:
        return 2 * (uint64_t)wire_get_map(cursor, UINT32_MAX);
    case WIRE_KIND_OTHER:
        skip_other(cursor);
        return 0;
    case WIRE_KIND_NONE:
        break;
    }
    fail(cursor);
    return 0;
}

void wire_skip(struct wire_cursor *cursor)
{
    uint64_t pending[WIRE_SKIP_DEPTH_MAX]; /* values still to pass on each open level */
    unsigned depth = 0;

    do {
        uint64_t inside;

        if (depth > 0)
            pending[depth - 1]--;
        inside = skip_shallow(cursor);
        if (inside > 0 && depth == WIRE_SKIP_DEPTH_MAX)
            fail(cursor);
        if (cursor->failed)
            return;
        if (inside > 0)
            pending[depth++] = inside;
        while (depth > 0 && pending[depth - 1] == 0)
            depth--;
    } while (depth > 0);
}
