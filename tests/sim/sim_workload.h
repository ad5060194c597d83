/* Workload: clients that read and write through the routers, and remember what they saw.
 *
 * Every value written is unique in the run. Few keys, so that operations meet; a key is put aside
 * for a fresh one when it has had many operations or several unknown outcomes, so that the judge
 * stays quick. Each key has a character: register, counter, list (APPEND) or all at once; some keys
 * share a tag and get atomic batches too.
 *
 * Faults a client knows: its connection breaks (router gone, or CLIENT_DROP) and the replies of all
 * it had asked for are lost; it loses patience and closes the connection itself. Either way the
 * operations are of unknown outcome, and it goes on as a new client on a new connection, perhaps
 * to another router. -TRYAGAIN, -CLUSTERDOWN and -NOSPACE are taken at their word: no effect.
 *
 * In half of the seeds another client goes over all keys with SCAN, again and again: sim_scan.h.
 *
 * At the end, with all faults over: every key that was ever written is read once more, and a fresh
 * key of every partition is written through each router - another one at each attempt, or unknown
 * outcomes would pile up on it; this has to succeed within a bound.
 */
#ifndef TESTS_SIM_SIM_WORKLOAD_H
#define TESTS_SIM_SIM_WORKLOAD_H

#include "tests/sim/judge.h"
#include "tests/sim/sim_cluster.h"

struct sim_workload;

struct sim_workload_stats {
    uint64_t calls, returns, failures, unknowns, give_ups, by_kind[JUDGE_KINDS];
};

struct sim_workload *sim_workload_new(struct sim_cluster *cluster);
struct sim_workload *sim_workload_free(struct sim_workload *workload);
struct judge *sim_workload_judge(struct sim_workload *workload);
uint64_t sim_workload_scans(const struct sim_workload *workload); /* that came to their end */
const struct sim_workload_stats *sim_workload_stats(const struct sim_workload *workload);

void sim_workload_start(struct sim_workload *workload);
/* No client begins another operation. */
void sim_workload_stop(struct sim_workload *workload);
/* Begins the last reads and writes. */
void sim_workload_finish(struct sim_workload *workload);
bool sim_workload_finished(const struct sim_workload *workload);
/* How many of the last operations the router that has most of them left is to do. */
size_t sim_workload_left(const struct sim_workload *workload);
/* Says which of the last operations have not succeeded. */
void sim_workload_describe(const struct sim_workload *workload, char *out, size_t size);
/* Breaks the connections of about half of the clients. */
void sim_workload_drop(struct sim_workload *workload);

/* For the observer. */
void sim_workload_router_stopped(struct sim_workload *workload, const struct sim_router *router);
void sim_workload_bytes(struct sim_workload *workload, uint64_t client, const uint8_t *bytes,
                        size_t size, bool close);

#endif
