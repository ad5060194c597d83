#include "router/inbox.h"

#include <stdlib.h>

void inbox_add(struct inbox *inbox, const struct inbox_item *item, const void *bytes, size_t size)
{
    if (inbox->count == inbox->capacity) {
        size_t capacity = inbox->capacity ? inbox->capacity * 2 : 64;
        struct inbox_item *items = realloc(inbox->items, capacity * sizeof *items);

        if (!items)
            abort();
        inbox->items = items;
        inbox->capacity = capacity;
    }
    inbox->items[inbox->count] = *item;
    inbox->items[inbox->count].at = inbox->bytes.size;
    inbox->items[inbox->count].size = size;
    buffer_append(&inbox->bytes, bytes, size);
    if (inbox->bytes.failed)
        abort();
    inbox->count++;
}

void inbox_deinit(struct inbox *inbox)
{
    free(inbox->items);
    buffer_deinit(&inbox->bytes);
}
