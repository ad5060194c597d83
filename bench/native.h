/* Native: clients that need no router process - a router in this program, on links of its own.
 *
 * What a client sends is handed to a router core in memory and goes to the nodes over sealed links
 * (ring/link_nng.h), so a load measures the nodes and the links without the router's process and
 * its sockets. Requests and replies are still RESP, because that is what the core speaks; it costs
 * about 0.1 us an operation. Owner: one thread.
 */
#ifndef BENCH_NATIVE_H
#define BENCH_NATIVE_H

#include "ring/ticket.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NATIVE_READY_MS 5000u /* for links to all members */

struct native;

struct native_options {
    const struct ticket *ticket; /* borrowed for the native's life, as are the seeds */
    const char *const *seeds;    /* "HOST:PORT", numeric */
    size_t seed_count;
};

/* Waits until every partition has a link to try. 0, -ETIMEDOUT or another -errno. */
int native_open(struct native **native, const struct native_options *options);
void native_close(struct native *native); /* NULL is allowed */
/* client: from 1, never used before. */
void native_connect(struct native *native, uint64_t client);
void native_disconnect(struct native *native, uint64_t client);
void native_send(struct native *native, uint64_t client, const void *bytes, size_t size);
/* Lets out what was sent, waits at most timeout_ns for something to come, and gives what came for
 * each client to on_output: bytes are borrowed for the call; close: the router has closed it. */
typedef void (*native_output)(void *context, uint64_t client, const void *bytes, size_t size,
                              bool close);
void native_turn(struct native *native, uint64_t timeout_ns, native_output on_output,
                 void *context);

#endif
