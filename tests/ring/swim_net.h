/* SWIM net: up to 1,000 gossip cores in one process, on a network with its own clock, loss, delays,
 * cuts, crashes and stalls. Same seed, same run. Packets are encoded and decoded on their way. */
#ifndef TESTS_RING_SWIM_NET_H
#define TESTS_RING_SWIM_NET_H

#include "tests/dice.h"
#include "ring/identity.h"
#include "ring/swim.h"

#include <stdbool.h>
#include <stdint.h>

#define SWIM_NET_BUCKETS 4096u /* milliseconds that a packet may be under way */

struct swim_net;

struct swim_net_packet {
    struct swim_net_packet *next;
    uint16_t from, to; /* member ids: index + 1 */
    uint32_t size;
    uint8_t bytes[];
};

struct swim_net_node {
    struct swim swim;
    struct identity identity;
    struct swim_local local;
    bool up;
    uint64_t tick_ms;                         /* the next */
    uint64_t stalled_ms;                      /* until then it does nothing */
    uint64_t accusations;                     /* times that somebody held it dead while it was up */
    struct swim_net_packet *held, **held_end; /* came while it was stalled */
};

struct swim_net {
    struct swim_options options;
    uint32_t count;
    uint32_t members; /* of the map: the first so many nodes; count at first */
    uint64_t epoch;
    struct swim_net_node *nodes; /* member id: index + 1 */
    struct swim_effects *effects;
    struct swim_item *items;
    struct swim_net_packet *buckets[SWIM_NET_BUCKETS];
    struct wire_buffer buffer;
    struct dice dice;
    uint64_t now_ms;
    uint32_t loss_permille;
    uint32_t delay_ms_min, delay_ms_max;
    /* May be NULL. False: the packet is lost. */
    bool (*passes)(const struct swim_net *net, uint16_t from, uint16_t to);
    uint64_t packets, bytes;
    uint32_t packet_size_max;
    uint64_t suspicions;  /* of nodes that are up */
    uint64_t accusations; /* nodes that are up, held dead */
    uint16_t accused;     /* the last of those */
};

/* count nodes that know the map and nothing of each other. real: Ed25519, else a cheap keyed hash
 * in its place. */
void swim_net_init(struct swim_net *net, uint32_t count, uint64_t seed, bool real);
void swim_net_deinit(struct swim_net *net);
void swim_net_run(struct swim_net *net, uint64_t ms);
/* Until `done` holds; returns the milliseconds, or ms_max + 1. */
uint64_t swim_net_until(struct swim_net *net, uint64_t ms_max,
                        bool (*done)(const struct swim_net *net));
void swim_net_crash(struct swim_net *net, uint32_t index);
void swim_net_restart(struct swim_net *net, uint32_t index); /* it remembers nothing */
void swim_net_stall(struct swim_net *net, uint32_t index, uint64_t ms);
/* The node says net->nodes[index].local of itself. */
void swim_net_tell(struct swim_net *net, uint32_t index);
/* A new epoch of the map on all that are up: without the member, or with all when it is 0. */
void swim_net_remove(struct swim_net *net, uint16_t member);
/* Gives the packet to the node as if it came over the link of `from`. */
void swim_net_give(struct swim_net *net, uint32_t index, uint16_t from,
                   const struct swim_packet *packet);
uint8_t swim_net_standing(const struct swim_net *net, uint32_t viewer, uint32_t index);
/* How many of the nodes that are up hold the node to be in that standing, itself left out. */
uint32_t swim_net_holders(const struct swim_net *net, uint32_t index, uint8_t standing);
/* Every node that is up has the newest record of every node that is up, and holds it alive. */
bool swim_net_converged(const struct swim_net *net);

#endif
