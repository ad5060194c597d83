/* Store totals: what all files of a shard come to, kept up to date with each change of one, so that
 * "is there anything to do" costs nothing however many files there are.
 *
 * Each file remembers what it adds (struct data_file_counts); store_file_changed() replaces that by
 * what it should add now. Invariant: the totals are the sums over all files; store_check() adds
 * them up again. Owner: one shard thread.
 */
#ifndef STORAGE_STORE_TOTALS_H
#define STORAGE_STORE_TOTALS_H

#include <stdint.h>

struct data_file;
struct keydir_entry;
struct store;

struct store_totals {
    uint64_t capacity; /* bytes of segments, zeros included */
    uint64_t live;     /* bytes of records that a keydir points at, as its size classes know them */
    uint64_t data_bytes; /* of retired segments and casks that flush may take */
    uint64_t data_live;  /* what of that is alive */
    uint64_t retired;    /* such segments */
    uint64_t dead;       /* such files in which nothing is alive */
    uint64_t rewrite;    /* such files that are damaged in what is dead */
    uint64_t small;      /* such casks that are better merged */
    uint64_t crowded;    /* partitions that have too many of those */
    uint64_t hints_bad;  /* files whose hint is to be made again */
    uint64_t dropping;   /* files that go when their edit is durable and no pin is left */
};

/* Something about the file - state, capacity, damage, hint - has become another. */
void store_file_changed(struct store *store, struct data_file *file);
/* It is about to be removed. */
void store_file_leaves(struct store *store, struct data_file *file);
/* A keydir points at a record of so many bytes in it, from now on; or not any more. */
void store_record_lives(struct store *store, struct data_file *file, uint32_t size_max);
void store_record_dies(struct store *store, const struct keydir_entry *old);

/* The number of hosted partitions has become another, and with it what is too many casks. */
void store_totals_crowd(struct store *store);

/* Bytes of the file that are alive, about. */
uint64_t store_file_live(const struct data_file *file);
/* A retired segment or cask that flush may take. */
bool store_file_is_data(const struct data_file *file);
/* How many small casks a partition may have. */
uint32_t store_casks_max(const struct store *store);
bool store_cask_is_small(const struct store *store, const struct data_file *file);

void store_totals_check(const struct store *store);

#endif
