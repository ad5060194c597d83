#include "alloc.h"

#include <stddef.h>

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *pointer, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *pointer, size_t size);

static uint64_t alloc_left; /* until the one that fails; 0: none */
static bool alloc_has_failed;

void alloc_fail_after(uint64_t n)
{
    alloc_left = n;
    alloc_has_failed = false;
}

bool alloc_failed(void)
{
    return alloc_has_failed;
}

static bool alloc_fails(void)
{
    if (alloc_left == 0 || --alloc_left > 0)
        return false;
    alloc_has_failed = true;
    return true;
}

void *__wrap_malloc(size_t size)
{
    return alloc_fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return alloc_fails() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *pointer, size_t size)
{
    return alloc_fails() ? NULL : __real_realloc(pointer, size);
}
