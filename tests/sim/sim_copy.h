/* Copies: an operator who puts an old copy of a node's disk in the place of the newest and starts
 * it, as somebody does who restores a snapshot of a machine; and what node_loop_counters.c does, so
 * that nobody hears it.
 *
 * The copy is what was synced at one moment. It is put in when all others that were members have
 * written down that they have heard of more than it has to tell: what it has forgotten by then is
 * what the counters are for. It ends by itself, or the operator ends it soon, at once when a node
 * hears it that has joined meanwhile. Then the newest disk is put back. That one of the others
 * hears the copy is a failure, and so is a node that ends on its newest disk, or is refused for
 * good; the checks of what was promised pass over the copy.
 *
 * Only in seeds with swarm.copies, which is one in two of those with gossip; never the victim.
 */
#ifndef TESTS_SIM_SIM_COPY_H
#define TESTS_SIM_SIM_COPY_H

#include "replication/node_counters.h"

#include <stdbool.h>
#include <stdint.h>

struct sim_cluster;
struct sim_disk;
struct sim_message;
struct sim_node;

struct sim_copy {
    struct sim_cluster *cluster;
    struct sim_disk *disk; /* the copy, or the newest while the copy is in its place; NULL: none */
    uint64_t counter;      /* that the copy has to tell */
    uint8_t node;          /* whose it is */
    uint32_t knowers;  /* a bit for each endpoint that has heard of more; 0: it is not in place */
    uint64_t until_us; /* then it is given up, or ended */
    bool over;
    uint64_t refused; /* copies that ended by themselves */
    uint64_t again;   /* HELLOs that were overtaken */
};

/* The cluster is founded. */
void sim_copy_start(struct sim_copy *copy, struct sim_cluster *cluster);
/* For good: the newest disk is in its place. */
void sim_copy_end(struct sim_copy *copy);

/* The node's process runs on the copy. */
bool sim_copy_runs(const struct sim_node *node);

/* At the node's start. 0 or -errno. */
int sim_counters_open(struct sim_node *node);
/* Whether links to that endpoint begin with HELLO: they do between nodes. */
bool sim_counters_judge(const struct sim_node *node, uint8_t peer);
/* A HELLO has come by a link to or from the peer. */
enum node_counters_verdict sim_counters_hello(struct sim_node *node, uint8_t peer,
                                              struct node_counters_link *link,
                                              const struct wire_hello *hello);
/* The link is down. */
void sim_counters_unlinked(struct sim_node *node, const struct node_counters_link *link);
/* The node hears that message. */
void sim_counters_message(const struct sim_node *node, const struct sim_message *message);
/* Gossip tells it of a member. */
void sim_counters_heard(struct sim_node *node, uint16_t member, uint64_t counter);

#endif
