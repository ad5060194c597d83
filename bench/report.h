/* Report: a load's result as a table for people or as one line of JSON for scripts. */
#ifndef BENCH_REPORT_H
#define BENCH_REPORT_H

#include "bench/load.h"

void report_table(const struct load_options *options, const struct load_result *result);
/* One object on one line. Latencies in microseconds. */
void report_json(const struct load_options *options, const struct load_result *result);

#endif
