/* Simulated network: links as ring/link.h promises them, and far less kind.
 *
 * Endpoints are numbers. A link has a dialler and an acceptor; there is at most one a pair and
 * direction of dialling, and it is dialled again for ever while both processes live. Each end has
 * its own idea of whether it is up.
 *
 * Fault model.
 *  - Every message takes a delay with a tail. Messages of one direction keep their order (TCP);
 *    RAFT, BEAT and BEAT_ACK may also be lost - each direction of a pair has a rate of its own -,
 *    doubled, or overtake others.
 *  - HELLO, at times, comes seconds late, and with it all that is behind it.
 *  - A direction can be blocked: what is sent then waits in the socket. It arrives late, when the
 *    block ends, or is lost with the link, which breaks after 1.5 to 3 s of silence (sometimes at
 *    once). A blocked pair cannot connect. One-way and full partitions are blocks.
 *  - A break loses everything in flight, both ways; the two ends learn of it at different times,
 *    and until then one may go on sending into nothing.
 *  - A process that ends resets its links; a machine that loses power says nothing: its peers find
 *    out by silence.
 *  - Messages for or from an earlier life of a replica (misroute) are copies of real Raft messages
 *    in which that life was changed, as a peer would send them that does not know that a replica
 *    was removed and added again. They claim what an earlier life had: that votes were given, and
 *    that all was received that this one was ever sent. Also, a message of long ago comes again.
 *  - The messages that began the two newest lives of each replica are kept, and the two newest that
 *    said to an endpoint that lives of its replicas are over; they come again at any later time.
 * Not modelled: corrupted or invented bytes (the sealed link refuses them), a second link between
 * the same ends in the same direction.
 */
#ifndef TESTS_SIM_SIM_NET_H
#define TESTS_SIM_SIM_NET_H

#include "ring/link.h"
#include "tests/sim/sim.h"

#define SIM_ENDPOINTS_MAX (SIM_NODES_MAX + SIM_ROUTERS_MAX + 2u) /* 0 is the admin */

struct sim_net;

/* The processes' side. A message is the receiver's to sim_message_free(). `link` is the number of
 * this one connection, never used again. */
struct sim_message {
    struct link_message message; /* body points behind this struct */
    uint8_t from;
    uint64_t link;
};
void sim_message_free(struct sim_message *message);
/* For what a process sends to itself. */
struct sim_message *sim_message_copy(const struct link_message *message, uint8_t from);

struct sim_net_handler {
    void *context;
    /* by_us: this end dialled. */
    void (*on_up)(void *context, uint8_t peer, uint64_t link, bool by_us);
    void (*on_down)(void *context, uint8_t peer, uint64_t link, bool by_us);
    void (*on_message)(void *context, struct sim_message *message, bool by_us);
};

struct sim_net *sim_net_new(struct sim *sim);
struct sim_net *sim_net_free(struct sim_net *net);
/* The process lives from now on. */
void sim_net_start(struct sim_net *net, uint8_t endpoint, const struct sim_net_handler *handler);
/* It is gone; silently: nobody tells its peers. Its own handler is not called any more. */
void sim_net_stop(struct sim_net *net, uint8_t endpoint, bool silently);
/* A paused process hears nothing; its peers take it for dead after a while. Its messages wait. */
void sim_net_pause(struct sim_net *net, uint8_t endpoint, bool paused);
/* Keeps a link from `from` to `to` up, until the process of `from` stops. */
void sim_net_dial(struct sim_net *net, uint8_t from, uint8_t to);
/* Copies. by_us: on the link that `from` dialled, else on the one it accepted. link: 0, or the
 * message is dropped unless that very connection is meant. */
void sim_net_send(struct sim_net *net, uint8_t from, uint8_t to, bool by_us, uint64_t link,
                  const struct link_message *message);
/* Blocks or frees messages from `from` to `to`; blocks are counted. */
void sim_net_block(struct sim_net *net, uint8_t from, uint8_t to, bool block);
/* True when the two have been unable to talk both ways for that long, by blocks alone. */
bool sim_net_cut_off(const struct sim_net *net, uint8_t a, uint8_t b, uint64_t for_us);
void sim_net_break(struct sim_net *net, uint8_t from, uint8_t to);
/* Chance that a Raft message from `from` is followed by a copy for another life. */
void sim_net_misroute(struct sim_net *net, uint8_t from, uint32_t ppm);
/* Loss, duplicates and reordering end. */
void sim_net_calm(struct sim_net *net);

struct sim_net_stats {
    uint64_t sent, delivered, lost, doubled, reordered, broken, misrouted, kept, blocks;
    uint64_t late_until_us; /* when the newest HELLO that was held up has arrived */
};
const struct sim_net_stats *sim_net_stats(const struct sim_net *net);

#endif
