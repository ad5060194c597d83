/* Worker: one thread of the load generator with its share of the connections.
 *
 * Fill: writes the thread's share of the keys once. Closed loop: each connection sends `pipeline`
 * requests, waits for all of their replies, and sends the next; latency counts from the sending.
 * Open loop: requests are due at fixed times whatever the server does; one that finds no free
 * connection waits, and its latency counts from the time it was due, so that a stall is seen by
 * every request that it held up and not by one alone ("coordinated omission").
 *
 * Measured is what was answered in [begin_ns, end_ns); in the open loop also what was due in it and
 * answered at most WORKER_DRAIN_NS behind its end.
 */
#ifndef BENCH_WORKER_H
#define BENCH_WORKER_H

#include "bench/connection.h"
#include "bench/workload.h"
#include "ring/histogram.h"

#define WORKER_ERRORS_MAX    16u
#define WORKER_ERROR_SIZE    24u
#define WORKER_DRAIN_NS      UINT64_C(2000000000)
#define WORKER_FILL_PIPELINE 64u
#define WORKER_KEY_SIZE_MAX  1024u

struct worker_error {
    char prefix[WORKER_ERROR_SIZE];
    uint64_t count;
};

struct tally {
    struct histogram kinds[WORKLOAD_KIND_COUNT]; /* ns */
    struct histogram all;
    uint64_t completed; /* answered within [begin_ns, end_ns), errors not counted */
    uint64_t misses;    /* reads that found nothing */
    uint64_t lost;      /* sent, due to be measured, never answered */
    struct worker_error errors[WORKER_ERRORS_MAX];
    uint32_t error_count;
};

struct worker_options {
    struct sockaddr_in address;
    const struct native_options *native; /* instead of the address; borrowed for open; or NULL */
    uint32_t thread, threads;
    uint32_t clients;  /* of this thread */
    uint32_t pipeline; /* requests in flight a connection */
    uint64_t rate;     /* requests a second of all threads; 0: closed loop */
    uint64_t keys;
    size_t key_size; /* 12 … WORKER_KEY_SIZE_MAX */
    size_t value_size;
    uint64_t start_ns, begin_ns, end_ns; /* CLOCK_MONOTONIC; warm-up is from start to begin */
};

struct worker {
    struct worker_options options;
    struct workload workload;
    struct tally tally;
    struct native *native; /* NULL: sockets */
    uint64_t client_last;  /* native's newest */
    uint32_t *ready;       /* native: connections that something has come for */
    uint32_t ready_count;
    struct connection *connections;
    uint32_t *idle; /* stack of connections with room; open loop */
    uint32_t idle_count;
    char *values; /* random bytes that values are cut from */
    int epoll;
    bool filling;
    uint64_t next; /* fill: next key; open loop: requests handed out */
    uint64_t unanswered;
    int error; /* -errno that ended it; 0 */
};

int worker_init(struct worker *worker, const struct worker_options *options,
                const struct workload *workload);
void worker_deinit(struct worker *worker);
/* Thread bodies: argument and result are the worker. They need worker_init() and leave
 * worker->error. */
void *worker_fill(void *worker);
void *worker_run(void *worker);
uint64_t worker_clock_ns(void);
void tally_init(struct tally *tally);
void tally_merge(struct tally *tally, const struct tally *other);

#endif
