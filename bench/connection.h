/* Connection: one client of a RESP server, with its requests in flight.
 *
 * Requests are queued with connection_get/set and leave with connection_flush(); replies come back
 * in the same order. The server is at the other end of a socket, which does not block, or a router
 * core in this program (bench/native.h). Owner: one thread.
 */
#ifndef BENCH_CONNECTION_H
#define BENCH_CONNECTION_H

#include "bench/native.h"
#include "bench/reply.h"

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct request {
    uint64_t intended_ns; /* when it should have been sent */
    uint64_t key;
    uint8_t kind; /* enum workload_kind */
    bool second;  /* the write of a read-modify-write */
};

struct connection {
    int fd;                /* -1: closed, or native */
    struct native *native; /* borrowed; NULL: a socket */
    uint64_t client;       /* native's */
    bool broken;           /* native has closed it */
    bool ready;            /* native: in the worker's list */
    char *out;
    size_t out_size, out_at, out_capacity;
    char *in;
    size_t in_size, in_at, in_capacity;
    struct request *requests; /* ring */
    uint32_t request_first, request_count, requests_max;
};

/* requests_max: in flight at once, at least 1. 0 or -errno. Waits for the connection. */
int connection_open(struct connection *connection, const struct sockaddr_in *address,
                    uint32_t requests_max);
/* The same through native, as this client of it. */
int connection_open_native(struct connection *connection, struct native *native, uint64_t client,
                           uint32_t requests_max);
/* Native: what has come for it; connection_read() says when it was closed. */
void connection_input(struct connection *connection, const void *bytes, size_t size, bool closed);
void connection_close(struct connection *connection); /* frees; twice is once */
/* Adds a request; there must be room. key and value are copied. */
void connection_get(struct connection *connection, const struct request *request, const char *key,
                    size_t key_size);
void connection_set(struct connection *connection, const struct request *request, const char *key,
                    size_t key_size, const char *value, size_t value_size);
/* Writes what is queued. 1: all of it; 0: the rest waits until the socket is writable; -errno. */
int connection_flush(struct connection *connection);
/* Reads once what has arrived: bytes, 0 when there is nothing, -errno, -ECONNRESET at the end.
 * Native: 0 or -ECONNRESET; what has arrived is there already. */
int64_t connection_read(struct connection *connection);
/* Takes the next whole reply and the request that it answers: 1, 0 when there is none, -EPROTO. */
int connection_reply(struct connection *connection, struct reply *reply, struct request *request);

#endif
