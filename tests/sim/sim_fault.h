/* Faults: a schedule drawn from the seed before the run, and what carries it out.
 *
 * Each entry has a moment, a kind, a target and a duration; at most swarm.overlap_max are at work
 * at once (an entry that comes when there are as many is skipped, one that waits for something
 * begins when there is room). Processes that end - by a fault,
 * or by themselves because a disk failed - are started again after a while, now and then only to
 * die again in the middle of their recovery. Bits flip only on the disk of one node, the victim, so
 * never in more than a minority of a partition's replicas.
 *
 * An entry can be left out (--shrink, --without): nothing else of the schedule changes.
 */
#ifndef TESTS_SIM_SIM_FAULT_H
#define TESTS_SIM_SIM_FAULT_H

#include "tests/sim/sim_check.h"
#include "tests/sim/sim_workload.h"

#define SIM_FAULT_ENTRIES_MAX 256u

struct sim_fault_entry {
    uint64_t at_us;
    uint64_t duration_us;
    uint64_t draw; /* random bits for whatever the kind needs */
    uint8_t kind;
    uint8_t node; /* number */
    uint8_t other;
    bool left_out;
    bool active;
    bool waiting;   /* CUT_CHANGE: for such a change */
    uint32_t sides; /* PARTITION, CUT_CHANGE: bit of each endpoint on one side */
};

struct sim_faults {
    struct sim *sim;
    struct sim_cluster *cluster;
    struct sim_check *check;
    struct sim_workload *workload;
    struct sim_fault_entry entries[SIM_FAULT_ENTRIES_MAX];
    uint32_t count;
    uint32_t active, waiting;
    bool over;
    uint32_t hold[SIM_NODES_MAX]; /* faults that keep the node down */
    uint32_t table[SIM_FAULT_KINDS][SIM_PHASE_COUNT];
};

/* left_out: numbers of entries, ended by UINT32_MAX; may be NULL. */
void sim_faults_init(struct sim_faults *faults, struct sim_cluster *cluster,
                     struct sim_check *check, struct sim_workload *workload,
                     const uint32_t *left_out);
/* When the cluster has just been started: ended processes come back from now on. */
void sim_faults_found(struct sim_faults *faults);
/* Schedules the entries, counted from now. */
void sim_faults_start(struct sim_faults *faults);
/* A shard of the node has ended a round: what waits for something may begin now. */
void sim_faults_round(struct sim_faults *faults, const struct sim_node *node);
/* Heals everything. */
void sim_faults_end(struct sim_faults *faults);

#endif
