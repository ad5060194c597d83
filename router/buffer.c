#include "router/buffer.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BUFFER_SIZE_MIN 256u

void buffer_deinit(struct buffer *buffer)
{
    free(buffer->data);
    *buffer = (struct buffer){0};
}

void buffer_clear(struct buffer *buffer, size_t keep_max)
{
    if (buffer->capacity > keep_max)
        buffer_deinit(buffer);
    buffer->size = 0;
    buffer->failed = false;
}

uint8_t *buffer_reserve(struct buffer *buffer, size_t size)
{
    size_t capacity = buffer->capacity ? buffer->capacity : BUFFER_SIZE_MIN;
    uint8_t *data;

    if (buffer->failed)
        return NULL;
    if (buffer->capacity - buffer->size >= size)
        return buffer->data + buffer->size;
    if (size > SIZE_MAX / 4 - buffer->size) {
        buffer->failed = true;
        return NULL;
    }
    while (capacity < buffer->size + size)
        capacity *= 2;
    data = realloc(buffer->data, capacity);
    if (!data) {
        buffer->failed = true;
        return NULL;
    }
    buffer->data = data;
    buffer->capacity = capacity;
    return buffer->data + buffer->size;
}

void buffer_append(struct buffer *buffer, const void *bytes, size_t size)
{
    uint8_t *at;

    if (size == 0)
        return;
    at = buffer_reserve(buffer, size);
    if (!at)
        return;
    memcpy(at, bytes, size);
    buffer->size += size;
}

void buffer_append_text(struct buffer *buffer, const char *text)
{
    buffer_append(buffer, text, strlen(text));
}

void buffer_printf(struct buffer *buffer, const char *format, ...)
{
    va_list arguments, again;
    int size;
    uint8_t *at;

    va_start(arguments, format);
    va_copy(again, arguments);
    size = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    assert(size >= 0);
    at = buffer_reserve(buffer, (size_t)size + 1);
    if (at) {
        vsnprintf((char *)at, (size_t)size + 1, format, again);
        buffer->size += (size_t)size;
    }
    va_end(again);
}

void buffer_consume(struct buffer *buffer, size_t size)
{
    assert(size <= buffer->size);
    if (size == 0)
        return;
    buffer->size -= size;
    memmove(buffer->data, buffer->data + size, buffer->size);
}
