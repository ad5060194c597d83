/* Alloc: makes one allocation of the code under test fail. Works in test programs that link
 * alloc.c with the linker's --wrap of malloc, calloc and realloc (see CMakeLists.txt); allocations
 * inside shared libraries, the test framework's among them, are left alone. */
#ifndef TESTS_STORAGE_ALLOC_H
#define TESTS_STORAGE_ALLOC_H

#include <stdbool.h>
#include <stdint.h>

/* The n-th allocation from now (1: the next) fails, once; 0 switches it off. */
void alloc_fail_after(uint64_t n);
/* Whether it has failed. */
bool alloc_failed(void);

#endif
