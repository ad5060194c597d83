/* Sim main: many seeds in several processes, and what they say together.
 *
 * Each seed runs in a worker process, so that an assertion in a core fails its seed and not the
 * whole run. One seed in a hundred is run twice and its hashes are compared.
 */
#ifndef TESTS_SIM_SIM_MAIN_H
#define TESTS_SIM_SIM_MAIN_H

#include "tests/sim/sim_run.h"

#define SIM_JOBS_AT_ONCE_MAX 64u

enum sim_main_mode { SIM_MAIN_NONE, SIM_MAIN_SEED, SIM_MAIN_SEEDS, SIM_MAIN_MINUTES };

struct sim_main_options {
    enum sim_main_mode mode;
    uint64_t first, last, minutes;
    bool from_given;
    int trace;
    bool shrink;
    bool describe;
    uint32_t jobs;
    uint64_t mutant;
    uint32_t left_out[SIM_LEFT_OUT_MAX + 1];
};

/* Returns the exit code. */
int sim_main(struct sim_main_options *options);

/* sim_worker.c: runs a seed in a child process. `out` is complete also when the child died: failed,
 * with what killed it and how many faults there were. */
void sim_worker_run(const struct sim_run_options *options, struct sim_result *out);

/* sim_shrink.c: prints the smallest schedule found that still fails. */
void sim_shrink(const struct sim_main_options *options, const struct sim_result *failed);

#endif
