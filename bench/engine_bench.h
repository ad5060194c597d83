/* Engine bench: our engine and its peers through the same phases in one run, as a table or as one
 * line of JSON a peer and value size. */
#ifndef BENCH_ENGINE_BENCH_H
#define BENCH_ENGINE_BENCH_H

#include "bench/engine_run.h"

struct engine_bench_options {
    struct engine_run_options run; /* value_size and folder are set here */
    const char *values;            /* sizes, separated by commas */
    const char *only;              /* names, separated by commas; NULL: all */
    const char *results;           /* a file that lines of JSON are added to; NULL: none */
    const char *folder;
    bool json;
};

/* 0, -errno, or 1 when a peer failed (the line on standard error says why). */
int engine_bench(const struct engine_bench_options *options);

#endif
