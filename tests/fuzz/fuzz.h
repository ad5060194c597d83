/* Fuzz: what a fuzz target is made of. Built with clang and -DRINGCASK_LIBFUZZER=ON, libFuzzer
 * drives LLVMFuzzerTestOneInput; else fuzz_main.c feeds it a fixed sequence of random and mutated
 * inputs, so that the same check runs everywhere as an ordinary test.
 */
#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

#include "tests/dice.h"

#include <stddef.h>
#include <stdint.h>

#define FUZZ_INPUT_SIZE_MAX 65536u

/* Aborts or trips a sanitizer when something is wrong; returns 0. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
/* Writes a valid input, at most FUZZ_INPUT_SIZE_MAX bytes, to start mutating from. */
size_t fuzz_seed(struct dice *dice, uint8_t *out);

#endif
