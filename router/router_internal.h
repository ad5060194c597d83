/* What the router's files share. Not for others. */
#ifndef ROUTER_ROUTER_INTERNAL_H
#define ROUTER_ROUTER_INTERNAL_H

#include "router/attempts.h"
#include "router/client.h"
#include "router/commands.h"
#include "router/lane.h"
#include "router/pool.h"
#include "router/router.h"
#include "router/scatter.h"
#include "router/slab.h"

struct router_stats {
    uint64_t connections;
    uint64_t commands;
    uint64_t operations;
    uint64_t attempts;
    uint64_t retries; /* attempts after the first */
    uint64_t stalls;
    uint64_t refused; /* answered TRYAGAIN or CLUSTERDOWN */
    uint64_t unknown; /* answered UNKNOWNRESULT */
    uint64_t errors;  /* error replies of any kind */
    uint64_t input_bytes;
    uint64_t output_bytes;
};

struct router {
    struct router_options options;
    uint64_t now_ms, wall_ms, start_ms;
    uint64_t random;   /* state of a splitmix64, fed by the events */
    uint64_t timer_ms; /* nothing is due before; may be too early */
    struct ringmap map;
    bool map_known;
    char locked_out[ROUTER_LOCKED_OUT_SIZE]; /* why no node lets this router in; "": one may */
    uint16_t map_doubter;                    /* holds a newer map, it seems; 0: nobody */
    uint64_t map_ask_due_ms;                 /* not before */
    bool hints_due;                          /* a member is to be asked what it leads */
    struct lane *lanes;                      /* partition_count */
    uint32_t lane_count;
    struct lane *active_first;
    struct lane *ready_first, *ready_last;
    uint32_t operations; /* waiting and in flight */
    size_t operations_size;
    struct pool pool;
    struct attempts attempts;
    struct slab slab;
    struct clients clients;
    struct commands commands;
    struct scatter scatter;
    struct request *timed;     /* INFO requests, by age */
    struct buffer scratch;     /* a reply that is not to leave yet */
    struct wire_bytes *values; /* WIRE_ARGS_MAX: a result's array */
    struct router_stats stats;
};

#define ROUTER_DOWN_SIZE (ROUTER_LOCKED_OUT_SIZE + 64u)

/* Why no operation can be taken now, as the error of a reply; NULL: they can. */
const char *router_down(const struct router *router, char text[ROUTER_DOWN_SIZE]);
uint64_t router_random(struct router *router);
/* A part of the router is due at that time. */
void router_due(struct router *router, uint64_t due_ms);
/* The member refused, and nobody is known who would not: it is asked for its map soon. */
void router_doubt_map(struct router *router, uint16_t member);
void router_lane_ready(struct router *router, struct lane *lane);
void router_lane_active(struct router *router, struct lane *lane, bool active);

#endif
