/* Text: a bounded string that grows at its end; what does not fit is cut. */
#ifndef CLI_TEXT_H
#define CLI_TEXT_H

#include <stddef.h>

struct text {
    char *data; /* the caller's */
    size_t capacity;
    size_t size; /* without the zero */
};

void text_add(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
