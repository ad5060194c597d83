/* Stamp: a moment as people read it in logs, tables and refusals: UTC, ISO 8601. */
#ifndef RING_STAMP_H
#define RING_STAMP_H

#include <stdint.h>

#define STAMP_SIZE 32u /* any moment that a u64 of milliseconds names */

/* Of Unix milliseconds; both write to text and return it. "2026-11-23T01:02:03Z" */
const char *stamp_seconds(uint64_t unix_ms, char text[STAMP_SIZE]);
/* "2026-11-23T01:02:03.004Z" */
const char *stamp_ms(uint64_t unix_ms, char text[STAMP_SIZE]);

#endif
