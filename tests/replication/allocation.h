/* Allocation that fails on request, for suites linked with --wrap of malloc, calloc and realloc
 * (see CMakeLists.txt). allocation_fails_in = n lets n allocations pass and fails the next one,
 * once; -1 lets all pass. Included by one file of a suite. */
#ifndef TESTS_REPLICATION_ALLOCATION_H
#define TESTS_REPLICATION_ALLOCATION_H

#include <stdbool.h>
#include <stddef.h>

static long allocation_fails_in = -1;

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *memory, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *memory, size_t size);

static bool allocation_fails(void)
{
    return allocation_fails_in >= 0 && allocation_fails_in-- == 0;
}

void *__wrap_malloc(size_t size)
{
    return allocation_fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return allocation_fails() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *memory, size_t size)
{
    return allocation_fails() ? NULL : __real_realloc(memory, size);
}

#endif
