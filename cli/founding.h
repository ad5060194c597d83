/* Founding: makes one cluster of running, empty nodes. `ring-admin init` and the demo.
 *
 * Every node is asked who it is; the genesis (members in the given order with ids from 1, map, meta
 * voters) is made; all prepare it, then all commit it. Both steps may be repeated: run again with
 * the same nodes after any failure, it finishes what was begun and changes nothing that is done.
 */
#ifndef CLI_FOUNDING_H
#define CLI_FOUNDING_H

#include "cli/address.h"
#include "cli/cluster.h"
#include "cli/exit_code.h"

struct founding_options {
    uint32_t partitions; /* 0: 256, or as founded */
    uint32_t replicas;   /* 0: 3, or as many as there are nodes, or as founded */
    uint32_t timeout_ms;
    bool
        encrypt; /* what the nodes store; a cluster that was founded without cannot begin with it */
};

struct founding_result {
    bool already; /* it was founded before, by this very genesis */
    uint32_t nodes, partitions, replicas;
    bool encrypted;
};

/* Messages about failures go to stderr, after `prefix`. Returns the exit code. */
enum exit_code founding_run(struct cluster *cluster, const struct address_list *nodes,
                            const struct founding_options *options, const struct ticket *ticket,
                            const char *prefix, struct founding_result *result);

#endif
