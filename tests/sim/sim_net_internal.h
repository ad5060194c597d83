/* Simulated network, inside: what sim_net*.c share. */
#ifndef TESTS_SIM_SIM_NET_INTERNAL_H
#define TESTS_SIM_SIM_NET_INTERNAL_H

#include "tests/sim/sim_net.h"

#define SIM_NET_GROUPS (SIM_PARTITIONS + 1u)
#define KEPT_GROUPS    (SIM_NET_GROUPS + 1u) /* the last: messages that end lives */
#define KEPT_LIVES     2u

enum { DIALLER, ACCEPTOR };

struct packet {
    struct packet *next; /* stuck behind the same block */
    struct packet *all_next, *all_previous;
    struct net_link *link;
    uint64_t id; /* of the connection it was sent on */
    uint8_t to_end;
    struct sim_message *message;
};

/* One ordered pair of endpoints. */
struct net_link {
    struct sim_net *net;
    uint8_t endpoint[2]; /* dialler, acceptor */
    bool wanted;
    bool dialling;
    bool broken;             /* the connection is dead, though an end may not know it yet */
    bool up[2];              /* what each end believes */
    uint64_t id;             /* of the newest connection */
    uint64_t up_id[2];       /* the one that the end believes in */
    uint64_t arrival_us[2];  /* of the newest packet to that end, for order */
    struct packet *stuck[2]; /* waiting for a block to end, to that end, oldest first */
    struct packet **stuck_end[2];
};

struct endpoint {
    struct sim_net_handler handler;
    bool alive;
    bool paused;
    uint32_t life; /* counts starts */
    uint32_t misroute_ppm;
};

/* What sim_net_lives.c remembers of what was sent. */
struct net_lives {
    uint64_t appended[SIM_ENDPOINTS_MAX][SIM_NET_GROUPS]; /* newest index sent to it */
    struct old {
        struct sim_message *message; /* some RAFT message that it sent; NULL: none yet */
        uint8_t to;
    } old[SIM_ENDPOINTS_MAX]; /* by sender */
    struct kept {
        struct sim_message *message; /* the first append to a life; NULL: none yet */
        uint64_t life;
    } kept[SIM_ENDPOINTS_MAX][KEPT_GROUPS][KEPT_LIVES]; /* by receiver; the newest first */
};

struct sim_net {
    struct sim *sim;
    struct endpoint endpoints[SIM_ENDPOINTS_MAX];
    struct net_link links[SIM_ENDPOINTS_MAX][SIM_ENDPOINTS_MAX]; /* [dialler][acceptor] */
    uint32_t blocks[SIM_ENDPOINTS_MAX][SIM_ENDPOINTS_MAX];       /* [from][to] */
    uint64_t blocked_us[SIM_ENDPOINTS_MAX][SIM_ENDPOINTS_MAX];   /* since when */
    struct net_lives lives;
    struct packet *packets; /* all that are in flight or stuck */
    uint64_t id_last;
    uint32_t loss_ppm[SIM_ENDPOINTS_MAX][SIM_ENDPOINTS_MAX]; /* [from][to] */
    uint32_t duplicate_ppm, reorder_ppm, kept_ppm, late_ppm;
    struct sim_net_stats stats;
};

static inline struct sim_random *net_random(struct sim_net *net)
{
    return sim_stream(net->sim, SIM_STREAM_NET);
}

/* sim_net.c */
/* On its way to that end, with all that may happen to it. */
void net_link_send(struct net_link *link, unsigned to_end, const struct link_message *message);

/* sim_net_lives.c: messages for or from other lives of a replica. */
/* That was sent to that end: it is remembered, and others may follow. */
void net_lives_sent(struct net_link *link, unsigned to_end, const struct link_message *message);
void net_lives_deinit(struct net_lives *lives);

#endif
