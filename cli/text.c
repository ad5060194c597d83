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
