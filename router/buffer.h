/* Buffer: bytes that grow at the end. Owner frees with buffer_deinit.
 * Out of memory is sticky in `failed`: later writes do nothing, and the owner looks once. */
#ifndef ROUTER_BUFFER_H
#define ROUTER_BUFFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buffer {
    uint8_t *data;
    size_t size;
    size_t capacity;
    bool failed;
};

void buffer_deinit(struct buffer *buffer);
/* Empties it and clears `failed`. Memory over keep_max bytes is given back. */
void buffer_clear(struct buffer *buffer, size_t keep_max);
/* Room for `size` more bytes: where to write them, NULL on no memory. The bytes count only once
 * buffer->size is raised. */
uint8_t *buffer_reserve(struct buffer *buffer, size_t size);
void buffer_append(struct buffer *buffer, const void *bytes, size_t size);
void buffer_append_text(struct buffer *buffer, const char *text);
void buffer_printf(struct buffer *buffer, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Drops the first `size` bytes. */
void buffer_consume(struct buffer *buffer, size_t size);

#endif
