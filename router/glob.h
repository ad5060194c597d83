/* Glob: Redis's patterns: * ? [a-z] [^a] and backslash. */
#ifndef ROUTER_GLOB_H
#define ROUTER_GLOB_H

#include <stdbool.h>
#include <stddef.h>

enum glob_case { GLOB_EXACT, GLOB_ANY_CASE };

/* Takes time proportional to pattern_size * text_size at most. */
bool glob_match(const char *pattern, size_t pattern_size, const char *text, size_t text_size,
                enum glob_case which);

#endif
