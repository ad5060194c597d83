#include "ring/wire.h"

#include <stdlib.h>
#include <string.h>

#include "ring/wire_pack.h"

#define WIRE_BUFFER_CAPACITY_MIN 256u

uint8_t *wire_buffer_grow(struct wire_buffer *buffer, size_t size)
{
    size_t capacity = buffer->capacity ? buffer->capacity : WIRE_BUFFER_CAPACITY_MIN;
    uint8_t *data;

    if (buffer->failed)
        return NULL;
    /* Twice the largest is still far below SIZE_MAX, so doubling cannot wrap. */
    if (size > UINT32_MAX || buffer->size > UINT32_MAX - size) {
        buffer->failed = true;
        return NULL;
    }
    while (capacity - buffer->size < size)
        capacity *= 2;
    data = realloc(buffer->data, capacity);
    if (!data) {
        buffer->failed = true;
        return NULL;
    }
    buffer->data = data;
    buffer->capacity = capacity;
    return data + buffer->size;
}

void wire_buffer_deinit(struct wire_buffer *buffer)
{
    free(buffer->data);
    *buffer = (struct wire_buffer){0};
}

void wire_buffer_clear(struct wire_buffer *buffer)
{
    buffer->size = 0;
    buffer->failed = false;
}

void wire_put_uint(struct wire_buffer *buffer, uint64_t value)
{
    uint8_t *at = wire_buffer_reserve(buffer, WIRE_PACK_INT_SIZE_MAX);

    if (at)
        wire_buffer_commit(buffer, wire_pack_uint(at, value));
}

void wire_put_int(struct wire_buffer *buffer, int64_t value)
{
    uint8_t *at = wire_buffer_reserve(buffer, WIRE_PACK_INT_SIZE_MAX);

    if (at)
        wire_buffer_commit(buffer, wire_pack_int(at, value));
}

static void put_marker(struct wire_buffer *buffer, enum wire_marker marker)
{
    uint8_t *at = wire_buffer_reserve(buffer, 1);

    if (at) {
        *at = (uint8_t)marker;
        wire_buffer_commit(buffer, at + 1);
    }
}

void wire_put_nil(struct wire_buffer *buffer)
{
    put_marker(buffer, WIRE_MARKER_NIL);
}

void wire_put_bool(struct wire_buffer *buffer, bool value)
{
    put_marker(buffer, value ? WIRE_MARKER_TRUE : WIRE_MARKER_FALSE);
}

uint8_t *wire_put_bin_space(struct wire_buffer *buffer, size_t size)
{
    uint8_t *at;

    if (size > UINT32_MAX) {
        buffer->failed = true;
        return NULL;
    }
    at = wire_buffer_reserve(buffer, WIRE_PACK_HEAD_SIZE_MAX + size);
    if (!at)
        return NULL;
    at = wire_pack_bin_head(at, size);
    wire_buffer_commit(buffer, at + size);
    return at;
}

void wire_put_bin(struct wire_buffer *buffer, const void *bytes, size_t size)
{
    uint8_t *at = wire_put_bin_space(buffer, size);

    if (at && size > 0)
        memcpy(at, bytes, size);
}

void wire_put_raw(struct wire_buffer *buffer, const void *bytes, size_t size)
{
    uint8_t *at = size > 0 ? wire_buffer_reserve(buffer, size) : NULL;

    if (!at)
        return;
    memcpy(at, bytes, size);
    wire_buffer_commit(buffer, at + size);
}

void wire_put_string(struct wire_buffer *buffer, const char *text)
{
    const void *bytes = text;
    size_t size = strlen(text);
    uint8_t *at =
        size > UINT32_MAX ? NULL : wire_buffer_reserve(buffer, WIRE_PACK_HEAD_SIZE_MAX + size);

    if (!at) {
        buffer->failed = true;
        return;
    }
    if (size < 32)
        *at++ = (uint8_t)(WIRE_MARKER_FIXSTR | size);
    else if (size <= UINT8_MAX)
        at = wire_pack_marked(at, WIRE_MARKER_STR8, size, 1);
    else if (size <= UINT16_MAX)
        at = wire_pack_marked(at, WIRE_MARKER_STR16, size, 2);
    else
        at = wire_pack_marked(at, WIRE_MARKER_STR32, size, 4);
    memcpy(at, bytes, size);
    wire_buffer_commit(buffer, at + size);
}

void wire_put_array(struct wire_buffer *buffer, uint32_t count)
{
    uint8_t *at = wire_buffer_reserve(buffer, WIRE_PACK_HEAD_SIZE_MAX);

    if (at)
        wire_buffer_commit(buffer, wire_pack_array(at, count));
}

void wire_put_map(struct wire_buffer *buffer, uint32_t count)
{
    uint8_t *at = wire_buffer_reserve(buffer, WIRE_PACK_HEAD_SIZE_MAX);

    if (!at)
        return;
    if (count < 16)
        *at++ = (uint8_t)(WIRE_MARKER_FIXMAP | count);
    else if (count <= UINT16_MAX)
        at = wire_pack_marked(at, WIRE_MARKER_MAP16, count, 2);
    else
        at = wire_pack_marked(at, WIRE_MARKER_MAP32, count, 4);
    wire_buffer_commit(buffer, at);
}
