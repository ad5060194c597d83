/* Scan: a client that goes over all keys, again and again, with SCAN.
 *
 * One iteration may see leaders change, nodes crash, snapshots come and flush move what it asks
 * for; when its connection breaks, or its patience, it goes on with the same cursor on another
 * router. What must hold: a key that was there from its first call to its last answer comes at
 * least once, and none comes that was not there at some moment of the call that gave it.
 *
 * When the workload ends, one more iteration has to come to its end.
 */
#ifndef TESTS_SIM_SIM_SCAN_H
#define TESTS_SIM_SIM_SCAN_H

#include "tests/sim/sim_cluster.h"
#include "tests/sim/sim_presence.h"

struct sim_scan;

/* presence: borrowed. It begins after the time that the seed's swarm says, if it says so. */
struct sim_scan *sim_scan_new(struct sim_cluster *cluster, const struct sim_presence *presence);
struct sim_scan *sim_scan_free(struct sim_scan *scan);
void sim_scan_start(struct sim_scan *scan);
/* The last iteration begins. */
void sim_scan_finish(struct sim_scan *scan);
bool sim_scan_finished(const struct sim_scan *scan);
uint64_t sim_scan_iterations(const struct sim_scan *scan); /* that came to their end */

/* For the observer. */
void sim_scan_router_stopped(struct sim_scan *scan, const struct sim_router *router);
void sim_scan_bytes(struct sim_scan *scan, uint64_t connection, const uint8_t *bytes, size_t size,
                    bool close);

#endif
