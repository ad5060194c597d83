/* Cluster: a small synchronous client of the fabric, for ring-admin and the demo.
 *
 * It dials nodes as an admin with an identity of its own for one run, sends requests to many of
 * them at once and waits for the answers, matched by correlation. A lost or late answer is an
 * unanswered request; nothing is sent again here.
 *
 * Threads: the caller's; nng's only fill in answers, under one lock. Limits: CLUSTER_NODES_MAX.
 */
#ifndef CLI_CLUSTER_H
#define CLI_CLUSTER_H

#include "ring/ringmap.h"
#include "ring/ticket.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CLUSTER_NODES_MAX  RINGMAP_MEMBERS_MAX
#define CLUSTER_TIMEOUT_MS 3000u /* of a dial or a request, for people who wait */
/* Of what a node hands to the meta leader: it looks for that one for 10 s. */
#define CLUSTER_CHANGE_TIMEOUT_MS 12000u

struct cluster;

/* One question and its answer. node: as cluster_dial() gave it; body: borrowed until answered. */
struct cluster_request {
    const uint8_t *body;
    size_t body_size;
    int node;
    uint16_t partition;
    uint8_t type; /* enum wire_type */
    /* Set by cluster_ask(): */
    bool answered;
    uint8_t *reply; /* owned by the request; cluster_request_deinit() */
    size_t reply_size;
    uint64_t correlation;
};

/* ticket: borrowed for its life. 0 or -errno. */
int cluster_open(struct cluster **cluster, const struct ticket *ticket);
void cluster_close(struct cluster *cluster);
/* Starts a link to a numeric address. key: who must be there, or NULL for anyone with the ticket.
 * The same address and key give the same node; of several at an address no key gives whoever is up.
 * Returns its number from 0, or -errno. */
int cluster_dial(struct cluster *cluster, const char *address, const uint8_t *key);
/* Until each dialled node is up or has refused, at most timeout_ms; time in which this process
 * stands still does not count. */
void cluster_wait(struct cluster *cluster, uint32_t timeout_ms);
bool cluster_is_up(struct cluster *cluster, int node);
/* Why it is not up, copied; a text for people. */
void cluster_why(struct cluster *cluster, int node, char *text, size_t size);
/* Sends all and waits for all, at most timeout_ms; those whose node is or goes down are not waited
 * for. */
void cluster_ask(struct cluster *cluster, struct cluster_request *requests, size_t count,
                 uint32_t timeout_ms);
void cluster_request_deinit(struct cluster_request *request);

#endif
