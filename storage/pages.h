/* Pages: arrays that are large and soon gone again, straight from the system.
 *
 * A block of tens of megabytes that is freed again stays with the C library's heap, or what is
 * allocated meanwhile behind it keeps it there: 5 B a key of five million for the making of hints.
 * Pages go back whole, and growing moves none.
 *
 * Errors: -ENOMEM changes nothing. Owner: like the heap's, the caller is; free with the capacity.
 */
#ifndef STORAGE_PAGES_H
#define STORAGE_PAGES_H

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#define PAGES_SIZE_MIN (64u << 10)

/* As grow_array(); capacity 0: items is NULL. */
static inline int pages_grow(void *items, size_t *capacity, size_t needed, size_t item_size)
{
    size_t wanted = *capacity > 0 ? *capacity : PAGES_SIZE_MIN / item_size + 1;
    void *old, *grown;

    if (needed <= *capacity)
        return 0;
    while (wanted < needed)
        wanted = wanted > SIZE_MAX / 2 ? needed : wanted * 2;
    if (wanted > SIZE_MAX / item_size)
        return -ENOMEM;
    memcpy(&old, items, sizeof(old));
    grown = *capacity > 0 ? mremap(old, *capacity * item_size, wanted * item_size, MREMAP_MAYMOVE)
                          : mmap(NULL, wanted * item_size, PROT_READ | PROT_WRITE,
                                 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (grown == MAP_FAILED)
        return -ENOMEM;
    memcpy(items, &grown, sizeof(grown));
    *capacity = wanted;
    return 0;
}

static inline void pages_free(void *items, size_t capacity, size_t item_size)
{
    if (capacity > 0)
        munmap(items, capacity * item_size);
}

#define PAGES_GROW(items, capacity, needed)                                                        \
    pages_grow(&(items), &(capacity), (needed), sizeof(*(items)))
#define PAGES_FREE(items, capacity) pages_free((items), (capacity), sizeof(*(items)))

#endif
