/* Stage: a node that answers from a model, and a router process for it on a thread. What fails in
 * here aborts. */
#ifndef TESTS_ROUTER_STAGE_H
#define TESTS_ROUTER_STAGE_H

#include "harness.h"

#include "ring/link_nng.h"
#include "ring/refusal.h"
#include "router/server_uv.h"

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define STAGE_PARTITIONS 8u

/* A node of a cluster of one, and a router for it. */
struct stage {
    struct harness *model;
    pthread_mutex_t lock;
    struct fabric *fabric;
    struct identity identity;
    struct ticket ticket;
    struct ringmap map;
    bool founded;
    unsigned nothings;      /* times that it said that it has no map */
    struct refusal refusal; /* for routers that come; kind 0: they are let in */
    pthread_t thread;
    struct server_uv_options options;
    const char *seeds[1];
    char seed[64];
    int ready[2];
    uint16_t port;
    int result;
};

/* founded: returns when the router is ready. Else the node has no map until `founded` is set. */
struct stage *stage_new(const char *password, bool founded);
/* Ends the router as its user would, and sees that it ends well. */
void stage_free(struct stage *stage);
/* The node goes away and comes back at its address. */
void stage_restart(struct stage *stage, unsigned pause_us);

int stage_dial(const struct stage *stage);
void stage_say_bytes(int fd, const char *bytes, size_t size);
void stage_say(int fd, const char *text);
void stage_hear(int fd, const char *expected); /* exactly that, next */
void stage_hear_end(int fd);

#endif
