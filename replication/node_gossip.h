/* Node gossip: the host of the swim core (ring/swim.h), one a process, beside the node.
 *
 * It carries the core's packets in GOSSIP messages, tells it of the ring map and of this node, and
 * answers routers, admins and members what it has heard (LIVENESS_GET); a node that is no member,
 * or none any more, hears nothing. Where a member is to be reached, and that one holds a newer ring
 * map, it tells its own host. It decides nothing. It is silent while no map names this node.
 *
 * Owner: the control plane's thread. Memory: about 600 KB, taken once: a table for 1,000 members,
 * and room for packets. What it sends is borrowed until the next step.
 */
#ifndef REPLICATION_NODE_GOSSIP_H
#define REPLICATION_NODE_GOSSIP_H

#include "replication/shard.h"
#include "ring/ringmap.h"
#include "ring/swim.h"
#include "ring/wire.h"

struct node_gossip;

struct node_gossip_options {
    struct swim_signer signer; /* its context is borrowed */
    uint8_t cluster[RINGMAP_CLUSTER_SIZE];
    char address[RINGMAP_ADDRESS_SIZE]; /* as others reach this node; any-addresses are not told:
                                           the ring map's is, then */
};

enum node_gossip_event_kind {
    NODE_GOSSIP_TICK,    /* node_gossip_wait_ms() after the last event, at the latest */
    NODE_GOSSIP_MESSAGE, /* GOSSIP from a member, or LIVENESS_GET */
    NODE_GOSSIP_MAP,     /* map: another one is committed */
    NODE_GOSSIP_LEAVE,   /* the process is about to stop */
};

struct node_gossip_event {
    uint8_t kind;
    uint64_t now_ms;
    uint64_t random; /* fresh 64 bits */
    struct shard_address from;
    const struct link_message *message;
    const struct ringmap *map; /* borrowed for the call */
    uint16_t self;             /* MAP: this node's member id */
    uint64_t operations;       /* since the start, all shards together, */
    uint64_t bytes;            /* and those of requests and their answers */
    uint16_t leaders;          /* groups this node leads, */
    uint64_t leaders_digest;   /* and which partitions: struct swim_local */
    uint64_t counter;          /* TICK: on the disk; 0: it is not to be told */
};

/* A member is to be reached at another address than before. */
struct node_gossip_move {
    uint16_t member;
    char address[RINGMAP_ADDRESS_SIZE];
};

#define NODE_GOSSIP_MOVES_MAX 64u /* a step; the rest is told at its next record */

struct node_gossip_effects {
    struct shard_send sends[SWIM_PACKETS_MAX];
    size_t send_count;
    struct node_gossip_move moves[NODE_GOSSIP_MOVES_MAX];
    size_t move_count;
    /* Members whose standing or counter is another, borrowed. */
    const struct swim_change *changes;
    size_t change_count;
    /* The highest epoch of a ring map that was news in this step, over this node's; 0: none. And a
     * member that holds it. */
    uint64_t ahead_epoch;
    uint16_t ahead;
    int fatal; /* -ENOMEM */
};

/* 0 or -ENOMEM. */
int node_gossip_open(struct node_gossip **gossip, const struct node_gossip_options *options);
void node_gossip_close(struct node_gossip *gossip);
void node_gossip_step(struct node_gossip *gossip, const struct node_gossip_event *event,
                      struct node_gossip_effects *effects);
uint64_t node_gossip_wait_ms(const struct node_gossip *gossip);
/* Whether some other member, of which this node has heard since it was started, is not held dead:
 * then others have held this node a member, until a moment ago. */
bool node_gossip_in_touch(const struct node_gossip *gossip);
/* NULL while it is silent. For checks and tests. */
const struct swim *node_gossip_swim(const struct node_gossip *gossip);

#endif
