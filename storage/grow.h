/* Grow: one way to let an array on the heap grow by doubling. */
#ifndef STORAGE_GROW_H
#define STORAGE_GROW_H

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* items: address of the array's pointer, copied bytewise so that no two pointer types alias. Gives
 * the array room for at least `needed` items of item_size. 0, or -ENOMEM and no change. */
static inline int grow_array(void *items, size_t *capacity, size_t needed, size_t item_size)
{
    size_t wanted = *capacity > 0 ? *capacity : 16;
    void *old, *grown;

    if (needed <= *capacity)
        return 0;
    while (wanted < needed)
        wanted = wanted > SIZE_MAX / 2 ? needed : wanted * 2;
    if (wanted > SIZE_MAX / item_size)
        return -ENOMEM;
    memcpy(&old, items, sizeof(old));
    grown = realloc(old, wanted * item_size);
    if (!grown)
        return -ENOMEM;
    memcpy(items, &grown, sizeof(grown));
    *capacity = wanted;
    return 0;
}

#define GROW(items, capacity, needed) grow_array(&(items), &(capacity), (needed), sizeof(*(items)))

#endif
