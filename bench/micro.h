/* Micro: times parts of Ringcask alone, in this thread.
 *
 * Each case is run with a growing number of operations until it takes long enough, then three
 * times; the fastest run counts, for what disturbs a run only ever makes it slower. Allocations
 * are counted by wrapping malloc and its kin at link time; what libraries allocate inside
 * themselves is not seen.
 */
#ifndef BENCH_MICRO_H
#define BENCH_MICRO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct micro_options {
    uint32_t seconds;   /* at least, each case */
    const char *folder; /* where files may be made */
    bool json;
};

/* One case: does `count` operations on `context`. `bytes` are moved by each operation, 0: none
 * worth telling. */
struct micro_case {
    const char *name;
    void (*run)(void *context, uint64_t count);
    uint64_t bytes;
    uint64_t count_max;                             /* operations of a run; 0: no limit */
    void (*prepare)(void *context, uint64_t count); /* before each run, untimed; or NULL */
};

/* name: keydir, value, copy, journal, wire or raft. 0 or -errno. */
int micro_run(const char *name, const struct micro_options *options);
/* For the groups of cases: */
void micro_time(const struct micro_options *options, const struct micro_case *row, void *context);
/* Prints a figure that is no time, with its unit. */
void micro_figure(const struct micro_options *options, const char *name, double value,
                  const char *unit);
/* Keeps the compiler from removing what computes *value. */
void micro_keep(const void *value);

int micro_keydir(const struct micro_options *options);
int micro_copy(const struct micro_options *options);
int micro_journal(const struct micro_options *options);
int micro_wire(const struct micro_options *options);
int micro_raft(const struct micro_options *options);
int micro_value(const struct micro_options *options);

#endif
