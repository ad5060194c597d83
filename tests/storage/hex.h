/* Hex: bytes of documents and golden files in a test's text. */
#ifndef TESTS_STORAGE_HEX_H
#define TESTS_STORAGE_HEX_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* Writes strlen(text) / 2 bytes and returns that count. */
static inline size_t hex_bytes(const char *text, uint8_t *out)
{
    size_t size = strlen(text) / 2;

    for (size_t i = 0; i < size; i++) {
        unsigned byte = 0;
        int read = sscanf(text + 2 * i, "%2x", &byte);

        assert(read == 1);
        out[i] = (uint8_t)byte;
    }
    return size;
}

#endif
