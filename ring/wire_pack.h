/* Wire pack: the smallest msgpack encodings, written to memory that is already there.
 *
 * Internal to wire*.c and swim_codec.c: writers reserve the largest size an item can have once,
 * pack its fields without another check, and commit what they wrote. A function returns where it
 * stopped.
 */
#ifndef RING_WIRE_PACK_H
#define RING_WIRE_PACK_H

#include "ring/wire.h"

#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define WIRE_PACK_INT_SIZE_MAX  ((size_t)9) /* marker and eight bytes */
#define WIRE_PACK_HEAD_SIZE_MAX ((size_t)5) /* marker and length of array, map, bin or string */

enum wire_marker {
    WIRE_MARKER_FIXMAP = 0x80,
    WIRE_MARKER_FIXARRAY = 0x90,
    WIRE_MARKER_FIXSTR = 0xa0,
    WIRE_MARKER_NIL = 0xc0,
    WIRE_MARKER_UNUSED = 0xc1,
    WIRE_MARKER_FALSE = 0xc2,
    WIRE_MARKER_TRUE = 0xc3,
    WIRE_MARKER_BIN8 = 0xc4,
    WIRE_MARKER_BIN16 = 0xc5,
    WIRE_MARKER_BIN32 = 0xc6,
    WIRE_MARKER_EXT8 = 0xc7,
    WIRE_MARKER_EXT16 = 0xc8,
    WIRE_MARKER_EXT32 = 0xc9,
    WIRE_MARKER_FLOAT32 = 0xca,
    WIRE_MARKER_FLOAT64 = 0xcb,
    WIRE_MARKER_UINT8 = 0xcc,
    WIRE_MARKER_UINT16 = 0xcd,
    WIRE_MARKER_UINT32 = 0xce,
    WIRE_MARKER_UINT64 = 0xcf,
    WIRE_MARKER_INT8 = 0xd0,
    WIRE_MARKER_INT16 = 0xd1,
    WIRE_MARKER_INT32 = 0xd2,
    WIRE_MARKER_INT64 = 0xd3,
    WIRE_MARKER_FIXEXT1 = 0xd4,
    WIRE_MARKER_FIXEXT16 = 0xd8,
    WIRE_MARKER_STR8 = 0xd9,
    WIRE_MARKER_STR16 = 0xda,
    WIRE_MARKER_STR32 = 0xdb,
    WIRE_MARKER_ARRAY16 = 0xdc,
    WIRE_MARKER_ARRAY32 = 0xdd,
    WIRE_MARKER_MAP16 = 0xde,
    WIRE_MARKER_MAP32 = 0xdf,
    WIRE_MARKER_NEGATIVE = 0xe0,
};

/* Makes room for `size` more bytes: where they go, or NULL on no memory (and failed is set). */
uint8_t *wire_buffer_grow(struct wire_buffer *buffer, size_t size);

static inline uint8_t *wire_buffer_reserve(struct wire_buffer *buffer, size_t size)
{
    if (buffer->failed || buffer->capacity - buffer->size < size)
        return wire_buffer_grow(buffer, size);
    return buffer->data + buffer->size;
}

/* Takes what was packed up to `end` into the buffer. */
static inline void wire_buffer_commit(struct wire_buffer *buffer, const uint8_t *end)
{
    size_t size = (size_t)(end - buffer->data);

    assert(size >= buffer->size);
    assert(size <= buffer->capacity);
    buffer->size = size;
}

/* Marker, then the low `width` bytes of value, big endian as msgpack has it. */
static inline uint8_t *wire_pack_marked(uint8_t *at, enum wire_marker marker, uint64_t value,
                                        unsigned width)
{
    *at++ = (uint8_t)marker;
    for (unsigned i = width; i > 0; i--)
        *at++ = (uint8_t)(value >> (8 * (i - 1)));
    return at;
}

static inline uint8_t *wire_pack_uint(uint8_t *at, uint64_t value)
{
    if (value < 0x80) {
        *at = (uint8_t)value;
        return at + 1;
    }
    if (value <= UINT8_MAX)
        return wire_pack_marked(at, WIRE_MARKER_UINT8, value, 1);
    if (value <= UINT16_MAX)
        return wire_pack_marked(at, WIRE_MARKER_UINT16, value, 2);
    if (value <= UINT32_MAX)
        return wire_pack_marked(at, WIRE_MARKER_UINT32, value, 4);
    return wire_pack_marked(at, WIRE_MARKER_UINT64, value, 8);
}

static inline uint8_t *wire_pack_int(uint8_t *at, int64_t value)
{
    if (value >= 0)
        return wire_pack_uint(at, (uint64_t)value);
    if (value >= -32) {
        *at = (uint8_t)value;
        return at + 1;
    }
    if (value >= INT8_MIN)
        return wire_pack_marked(at, WIRE_MARKER_INT8, (uint64_t)value, 1);
    if (value >= INT16_MIN)
        return wire_pack_marked(at, WIRE_MARKER_INT16, (uint64_t)value, 2);
    if (value >= INT32_MIN)
        return wire_pack_marked(at, WIRE_MARKER_INT32, (uint64_t)value, 4);
    return wire_pack_marked(at, WIRE_MARKER_INT64, (uint64_t)value, 8);
}

static inline uint8_t *wire_pack_array(uint8_t *at, uint32_t count)
{
    if (count < 16) {
        *at = (uint8_t)(WIRE_MARKER_FIXARRAY | count);
        return at + 1;
    }
    if (count <= UINT16_MAX)
        return wire_pack_marked(at, WIRE_MARKER_ARRAY16, count, 2);
    return wire_pack_marked(at, WIRE_MARKER_ARRAY32, count, 4);
}

static inline uint8_t *wire_pack_bin_head(uint8_t *at, size_t size)
{
    assert(size <= UINT32_MAX);
    if (size <= UINT8_MAX)
        return wire_pack_marked(at, WIRE_MARKER_BIN8, size, 1);
    if (size <= UINT16_MAX)
        return wire_pack_marked(at, WIRE_MARKER_BIN16, size, 2);
    return wire_pack_marked(at, WIRE_MARKER_BIN32, size, 4);
}

/* bytes may be NULL when size is 0. */
static inline uint8_t *wire_pack_bin(uint8_t *at, const void *bytes, size_t size)
{
    at = wire_pack_bin_head(at, size);
    if (size > 0)
        memcpy(at, bytes, size);
    return at + size;
}

#endif
