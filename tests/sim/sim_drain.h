/* Drains: an operator who takes the leaderships from one node for a while, and from another one
 * later, as `ring-admin drain` and `undrain` do. Every node is told again and again whether it is
 * the one, so that what was lost does no harm, and one that has started anew is drained again.
 *
 * Only in seeds with swarm.drain_ms. Which node it is stays when the faults end.
 */
#ifndef TESTS_SIM_SIM_DRAIN_H
#define TESTS_SIM_SIM_DRAIN_H

#include <stdbool.h>
#include <stdint.h>

struct link_message;
struct sim_cluster;
struct sim_node;

struct sim_drain {
    struct sim_cluster *cluster;
    uint8_t node;     /* the endpoint that is to be drained; 0: none */
    uint64_t answers; /* that a shard is drained */
};

/* The cluster is founded. */
void sim_drain_start(struct sim_drain *drain, struct sim_cluster *cluster);
/* From now on this one. */
void sim_drain_choose(struct sim_drain *drain, uint8_t endpoint);
/* DRAIN_REPLY. */
void sim_drain_reply(struct sim_drain *drain, const struct link_message *message);
/* All shards of the node know that they are to lead nothing. */
bool sim_drain_is(const struct sim_node *node);

#endif
