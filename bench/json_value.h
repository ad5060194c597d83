/* JSON value: a record as an application keeps it, some 190 bytes; every field but the names and a
 * few words is drawn. */
#ifndef BENCH_JSON_VALUE_H
#define BENCH_JSON_VALUE_H

#include <stddef.h>
#include <stdint.h>

#define JSON_VALUE_MAX 256u

/* Writes the value that belongs to id; returns its size, less than JSON_VALUE_MAX. */
size_t json_value(uint64_t id, char out[JSON_VALUE_MAX]);

#endif
