#include "cli/text.h"

#include <stdarg.h>
#include <stdio.h>

void text_add(struct text *text, const char *format, ...)
{
    va_list list;
    int written;

    va_start(list, format);
    written = vsnprintf(text->data + text->size, text->capacity - text->size, format, list);
    va_end(list);
    if (written > 0)
        text->size += (size_t)written;
    if (text->size >= text->capacity)
        text->size = text->capacity - 1;
}

size_t text_escape(const uint8_t *bytes, size_t size, bool spaces, char *out)
{
    uint8_t first = spaces ? ' ' : ' ' + 1;
    size_t at = 0;

    for (size_t i = 0; i < size; i++)
        if (bytes[i] >= first && bytes[i] <= '~' && bytes[i] != '\\')
            out[at++] = (char)bytes[i];
        else
            at += (size_t)sprintf(out + at, "\\x%02x", bytes[i]);
    out[at] = 0;
    return at;
}
