/* Server (libuv): the router as a process. Clients on TCP, the cluster on the fabric's links, one
 * thread for all of it.
 *
 * The loop polls the fabric's descriptor: messages of links are received on its own thread. While
 * links come up they call back on nng's; what they bring is copied into an inbox under a lock and
 * the loop is woken once for all of it. A turn of the loop: everything that has arrived is stepped
 * into the router, then one flush lets out all frames and replies together.
 *
 * Seeds are dialled until one of them gives the ring map; from then on the map's members are, each
 * with its pinned key. Without a password only a loopback address may be bound.
 */
#ifndef ROUTER_SERVER_UV_H
#define ROUTER_SERVER_UV_H

#include "ring/ticket.h"
#include "router/router.h"

#include <stddef.h>

struct server_uv_options {
    const struct ticket *ticket; /* borrowed for the call, as are the texts */
    const char *const *seeds;    /* "HOST:PORT", numeric */
    size_t seed_count;
    const char *resp;     /* "HOST:PORT", numeric; port 0 takes one of the system's */
    const char *password; /* NULL: none */
    /* Every partition has a link to try: once. address: what clients connect to. */
    void (*on_ready)(void *context, const char *address);
    void *context;
    const struct router_options *router; /* NULL: the defaults. session, password and address are
                                          * set here */
};

enum server_uv_e {
    SERVER_UV_E_OK,    /* ended by SIGINT or SIGTERM */
    SERVER_UV_E_USAGE, /* an address that cannot be used, a password that is needed or too long */
};

/* Runs until SIGINT or SIGTERM; what is in flight then gets up to a second. 0, SERVER_UV_E_USAGE,
 * or -errno; for both, a line on stderr has said what is wrong. */
int server_uv_run(const struct server_uv_options *options);

#endif
