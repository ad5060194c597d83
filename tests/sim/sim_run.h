/* Run: one seed from founding to verdict. */
#ifndef TESTS_SIM_SIM_RUN_H
#define TESTS_SIM_SIM_RUN_H

#include "tests/sim/sim_fault.h"

#define SIM_LEFT_OUT_MAX SIM_FAULT_ENTRIES_MAX

struct sim_run_options {
    uint64_t seed;
    int trace;
    uint32_t left_out[SIM_LEFT_OUT_MAX + 1]; /* fault entries, ended by UINT32_MAX */
};

struct sim_result {
    uint64_t seed;
    uint64_t hash;
    bool failed;
    char failure[512];
    uint64_t simulated_us;
    uint64_t events, calls, returns, failures, unknowns;
    uint64_t rounds, entries_compared, digests_compared, snapshots_installed, snapshots_kept,
        flushes, maps, relocated;
    uint64_t scrub_faults, divergences;
    uint64_t overlaps;                  /* how often configurations were compared */
    uint64_t spreads;                   /* settled ring maps with several zones */
    uint64_t removals, late_requests;   /* settled, and requests that came behind that */
    uint64_t configs, lives, destroyed; /* committed, begun, and ended before their process */
    uint64_t copies;                    /* old ones of disks that ended by themselves */
    uint64_t hellos_again;              /* after a newer counter had overtaken one */
    uint64_t drained;                   /* times that a shard said that it is */
    uint64_t tickets, entered;          /* made, and times that somebody was let in */
    uint64_t scans;                     /* iterations over all keys */
    uint32_t judge_peak;
    uint32_t fault_count; /* entries of the schedule; is there before the run */
    uint32_t table[SIM_FAULT_KINDS][SIM_PHASE_COUNT];
};

void sim_run_seed(const struct sim_run_options *options, struct sim_result *result);
/* What the seed is made of, one line a group, on stdout. */
void sim_run_describe(uint64_t seed);

#endif
