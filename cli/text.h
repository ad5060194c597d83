/* Text: a bounded string that grows at its end; what does not fit is cut. */
#ifndef CLI_TEXT_H
#define CLI_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct text {
    char *data; /* the caller's */
    size_t capacity;
    size_t size; /* without the zero */
};

void text_add(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));

#define TEXT_ESCAPED_MAX 4u /* characters that a byte takes */
/* Bytes that do not print, and backslashes, as \x and two digits; a space stays if `spaces`.
 * Nothing is cut. out: for TEXT_ESCAPED_MAX a byte and the zero. Returns the size without that. */
size_t text_escape(const uint8_t *bytes, size_t size, bool spaces, char *out);

#endif
