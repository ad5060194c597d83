/* Load: offers a RESP server, or the nodes of a cluster, a workload from many connections and says
 * how it did.
 *
 * One run: connect, fill the keys (unless told not to), warm up, measure. Threads share the
 * connections evenly. docs/benchmarks.md says how to read what comes out.
 */
#ifndef BENCH_LOAD_H
#define BENCH_LOAD_H

#include "bench/usage.h"
#include "bench/worker.h"

#define LOAD_THREADS_MAX 64u

struct load_options {
    const char *resp;                    /* HOST:PORT, numeric; unread with native */
    const struct native_options *native; /* the nodes themselves, or NULL */
    const char *workload;                /* bench/workload.h */
    int distribution;                    /* enum workload_distribution; -1: the workload's */
    uint32_t clients, pipeline, threads;
    uint64_t rate; /* requests a second; 0: closed loop */
    uint64_t keys;
    uint32_t key_size, value_size;
    uint32_t seconds, warmup; /* warmup: seconds before they count */
    bool fill;
    const char *processes; /* usage_init()'s list, or NULL */
    const char *label;     /* free text for the result, or NULL */
};

struct load_result {
    struct tally tally;
    struct tally fill; /* its errors; nothing of it is measured */
    double fill_seconds;
    double achieved; /* requests answered a second */
    bool saturated;  /* open loop: less than 97 % of what was offered was answered in time */
    uint8_t distribution;
    struct usage_processes processes;
};

/* result: 100s of KiB; heap. Returns 0 or -errno with a text in *why. */
int load_run(const struct load_options *options, struct load_result *result, const char **why);

#endif
