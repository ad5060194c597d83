/* Asks: at the end of a run an operator asks every shard that is up all that `ring-admin` asks of
 * one, whatever has become of it: each answers, and the answer can be read.
 */
#ifndef TESTS_SIM_SIM_ASK_H
#define TESTS_SIM_SIM_ASK_H

#include "tests/sim/sim.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sim_cluster;
struct sim_message;

struct sim_ask {
    struct sim_cluster *cluster;
    uint8_t answered[SIM_NODES_MAX + 1][SIM_SHARDS_MAX]; /* by endpoint: bits of questions */
};

/* Asks, again and again until all are answered. */
void sim_ask_start(struct sim_ask *ask, struct sim_cluster *cluster);
/* What came to the admin; false: it answers nothing of this. */
bool sim_ask_reply(struct sim_ask *ask, const struct sim_message *message);
/* All are answered; false: *why says who has not. */
bool sim_ask_done(const struct sim_ask *ask, char *why, size_t size);

#endif
