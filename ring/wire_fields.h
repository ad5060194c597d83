/* Wire fields: how wire*.c, swim_codec.c and tickets_command.c read the array that is a struct.
 * Nothing else includes it.
 *
 * An array may hold more fields than are known: a newer version's, skipped. The first thing that is
 * wrong makes the cursor fail. */
#ifndef RING_WIRE_FIELDS_H
#define RING_WIRE_FIELDS_H

#include "ring/wire.h"

#include <string.h>

#define WIRE_FIELDS_MAX 32u

static inline void wire_refuse(struct wire_cursor *cursor)
{
    cursor->at = cursor->end;
    cursor->failed = true;
}

/* Opens an array that holds at least `known` fields; returns how many follow those. */
static inline uint32_t wire_fields_open(struct wire_cursor *cursor, uint32_t known)
{
    uint32_t count = wire_get_array(cursor, WIRE_FIELDS_MAX);

    if (count < known) {
        wire_refuse(cursor);
        return 0;
    }
    return count - known;
}

static inline bool wire_fields_close(struct wire_cursor *cursor, uint32_t unknown)
{
    for (uint32_t i = 0; i < unknown && !cursor->failed; i++)
        wire_skip(cursor);
    return !cursor->failed;
}

static inline uint8_t wire_get_u8(struct wire_cursor *cursor)
{
    return (uint8_t)wire_get_uint(cursor, UINT8_MAX);
}

static inline uint16_t wire_get_u16(struct wire_cursor *cursor)
{
    return (uint16_t)wire_get_uint(cursor, UINT16_MAX);
}

static inline uint32_t wire_get_u32(struct wire_cursor *cursor)
{
    return (uint32_t)wire_get_uint(cursor, UINT32_MAX);
}

static inline uint64_t wire_get_u64(struct wire_cursor *cursor)
{
    return wire_get_uint(cursor, UINT64_MAX);
}

/* Text of at most out_size - 1 bytes, and zeros behind it. Printable ASCII only: what is shown on a
 * terminal must not steer it. */
static inline void wire_get_text(struct wire_cursor *cursor, char *out, size_t out_size)
{
    size_t size;
    const char *text = wire_get_string(cursor, out_size - 1, &size);

    memset(out, 0, out_size);
    for (size_t i = 0; i < size; i++)
        if (text[i] < 0x20 || text[i] > 0x7e)
            wire_refuse(cursor);
    if (!cursor->failed && size > 0)
        memcpy(out, text, size);
}

/* Bytes of that size, no fewer. */
static inline void wire_get_bytes(struct wire_cursor *cursor, uint8_t *out, size_t out_size)
{
    size_t size;
    const uint8_t *bytes = wire_get_bin(cursor, out_size, &size);

    memset(out, 0, out_size);
    if (size != out_size)
        wire_refuse(cursor);
    else
        memcpy(out, bytes, size);
}

#endif
