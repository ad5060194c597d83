/* Bytes: little-endian fields of encodings that are bytes in a row, written to memory that is large
 * enough and read from memory that cannot be trusted. */
#ifndef RING_BYTES_H
#define RING_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* at NULL: only counts. */
struct bytes_writer {
    uint8_t *at;
    size_t size; /* written so far */
};

static inline void bytes_put(struct bytes_writer *writer, const void *bytes, size_t size)
{
    if (writer->at && size > 0)
        memcpy(writer->at + writer->size, bytes, size);
    writer->size += size;
}

static inline void bytes_put_number(struct bytes_writer *writer, uint64_t value, unsigned width)
{
    for (unsigned i = 0; i < width; i++) {
        uint8_t byte = (uint8_t)(value >> (8 * i));

        bytes_put(writer, &byte, 1);
    }
}

/* A text that fits a byte of length. */
static inline void bytes_put_text(struct bytes_writer *writer, const char *text, size_t capacity)
{
    size_t size = strnlen(text, capacity);

    bytes_put_number(writer, size, 1);
    bytes_put(writer, text, size);
}

/* Beyond the end it gives zeros and stays failed. */
struct bytes_reader {
    const uint8_t *at;
    size_t left;
    bool failed;
};

/* Borrowed from the input; NULL when there is less. */
static inline const uint8_t *bytes_take(struct bytes_reader *reader, size_t size)
{
    const uint8_t *bytes = reader->at;

    if (reader->failed || reader->left < size) {
        reader->failed = true;
        return NULL;
    }
    reader->at += size;
    reader->left -= size;
    return bytes;
}

static inline uint64_t bytes_take_number(struct bytes_reader *reader, unsigned width)
{
    const uint8_t *bytes = bytes_take(reader, width);
    uint64_t value = 0;

    for (unsigned i = 0; bytes && i < width; i++)
        value |= (uint64_t)bytes[i] << (8 * i);
    return value;
}

static inline void bytes_take_copy(struct bytes_reader *reader, void *out, size_t size)
{
    const uint8_t *bytes = bytes_take(reader, size);

    if (bytes && size > 0)
        memcpy(out, bytes, size);
}

/* Printable ASCII that leaves room for a zero, into a zeroed field: what an operator is shown must
 * not steer the terminal. */
static inline void bytes_take_text(struct bytes_reader *reader, char *out, size_t capacity)
{
    size_t size = (size_t)bytes_take_number(reader, 1);

    if (size >= capacity)
        reader->failed = true;
    bytes_take_copy(reader, out, size);
    for (size_t i = 0; i < size && !reader->failed; i++) {
        if (out[i] < ' ' || out[i] > '~')
            reader->failed = true;
    }
}

#endif
