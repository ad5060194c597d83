#include "router/arrivals.h"

#include <stdlib.h>

void arrivals_add(struct arrivals *arrivals, const struct arrival *item, const void *bytes,
                  size_t size)
{
    if (arrivals->count == arrivals->capacity) {
        size_t capacity = arrivals->capacity ? arrivals->capacity * 2 : 64;
        struct arrival *items = realloc(arrivals->items, capacity * sizeof *items);

        if (!items)
            abort();
        arrivals->items = items;
        arrivals->capacity = capacity;
    }
    arrivals->items[arrivals->count] = *item;
    arrivals->items[arrivals->count].at = arrivals->bytes.size;
    arrivals->items[arrivals->count].size = size;
    buffer_append(&arrivals->bytes, bytes, size);
    if (arrivals->bytes.failed)
        abort();
    arrivals->count++;
}

void arrivals_deinit(struct arrivals *arrivals)
{
    free(arrivals->items);
    buffer_deinit(&arrivals->bytes);
}
