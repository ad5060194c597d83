/* Store writer: a store whose every write is committed at once and which needs no log, on a disk
 * that counts what is written. For tests of what flush does in the long run. */
#ifndef TESTS_STORE_WRITER_H
#define TESTS_STORE_WRITER_H

#include "storage/store.h"
#include "storage/vfs.h"
#include "tests/dice.h"

#define WRITER_PARTITIONS_MAX 256u

struct writer {
    struct vfs *vfs; /* its own, in memory */
    struct store *store;
    struct store_options options;
    uint64_t applied[WRITER_PARTITIONS_MAX];
    uint64_t now_ms;
    struct dice dice;
    uint32_t value_size;
    uint64_t bytes_put; /* of records */
};

/* Defaults that a test may change before writer_open(). */
void writer_options(struct store_options *options);
void writer_open(struct writer *writer, const struct store_options *options);
void writer_close(struct writer *writer);
/* Puts the value of a key, which belongs to partition number % partitions. */
void writer_put(struct writer *writer, uint32_t number);
/* Numbers 0 … below-1, all alike. */
uint32_t writer_draw(struct writer *writer, uint32_t below);
/* Runs jobs until there are none, at most `jobs` of them; time passes. */
void writer_work(struct writer *writer, uint32_t jobs);
/* All that was written to files since writer_open(), and what they hold now. */
uint64_t writer_bytes_written(void);
uint64_t writer_bytes_held(struct writer *writer);

#endif
