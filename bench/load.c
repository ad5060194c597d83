#include "bench/load.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SECOND_NS UINT64_C(1000000000)

static bool parse_address(const char *text, struct sockaddr_in *address)
{
    const char *colon = strrchr(text, ':');
    char host[64], *end;
    long port;

    if (!colon || (size_t)(colon - text) >= sizeof host)
        return false;
    memcpy(host, text, (size_t)(colon - text));
    host[colon - text] = 0;
    port = strtol(colon + 1, &end, 10);
    *address = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    return *end == 0 && port > 0 && port < 65536 &&
           inet_pton(AF_INET, host, &address->sin_addr) == 1;
}

static void sleep_until(uint64_t ns)
{
    struct timespec at = {.tv_sec = (time_t)(ns / SECOND_NS), .tv_nsec = (long)(ns % SECOND_NS)};

    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL) == EINTR)
        ;
}

/* One phase on all threads. Reads usage at begin and end when asked. */
static int run_phase(const struct load_options *options, struct worker *workers,
                     void *(*body)(void *), struct load_result *result, bool measured)
{
    pthread_t threads[LOAD_THREADS_MAX];
    int r = 0;

    for (uint32_t i = 0; i < options->threads; i++) {
        r = -pthread_create(&threads[i], NULL, body, &workers[i]);
        assert(r == 0);
    }
    if (measured) {
        sleep_until(workers[0].options.begin_ns);
        usage_read(&result->processes, false);
        sleep_until(workers[0].options.end_ns);
        usage_read(&result->processes, true);
    }
    for (uint32_t i = 0; i < options->threads; i++) {
        struct tally *tally = measured ? &result->tally : &result->fill;

        pthread_join(threads[i], NULL);
        tally_merge(tally, &workers[i].tally);
        tally_init(&workers[i].tally);
        if (workers[i].error < 0)
            r = workers[i].error;
    }
    return r;
}

static int run_phases(const struct load_options *options, struct worker *workers,
                      struct load_result *result, const char **why)
{
    uint64_t begin_ns = worker_clock_ns();
    int r;

    if (options->fill) {
        *why = "while filling";
        r = run_phase(options, workers, worker_fill, result, false);
        if (r < 0)
            return r;
        result->fill_seconds = (double)(worker_clock_ns() - begin_ns) / (double)SECOND_NS;
    }
    *why = "while measuring";
    begin_ns = worker_clock_ns() + SECOND_NS / 100; /* threads are up by then */
    for (uint32_t i = 0; i < options->threads; i++) {
        struct worker_options *own = &workers[i].options;

        own->start_ns = begin_ns;
        own->begin_ns = begin_ns + options->warmup * SECOND_NS;
        own->end_ns = own->begin_ns + options->seconds * SECOND_NS;
    }
    r = run_phase(options, workers, worker_run, result, true);
    if (r < 0)
        return r;
    result->achieved = (double)result->tally.completed / options->seconds;
    result->saturated = options->rate && result->achieved < 0.97 * (double)options->rate;
    return 0;
}

static int open_workers(const struct load_options *options, const struct sockaddr_in *address,
                        struct worker *workers, struct load_result *result, const char **why)
{
    struct workload_options choose = {.name = options->workload,
                                      .distribution = options->distribution,
                                      .keys = options->keys,
                                      .threads = options->threads,
                                      .seed = 42};
    struct workload workload;

    for (uint32_t i = 0; i < options->threads; i++) {
        struct worker_options own = {
            .address = *address,
            .native = options->native,
            .thread = i,
            .threads = options->threads,
            .clients = (options->clients + options->threads - 1 - i) / options->threads,
            .pipeline = options->pipeline,
            .rate = options->rate,
            .keys = options->keys,
            .key_size = options->key_size,
            .value_size = options->value_size,
        };
        int r;

        choose.thread = i;
        *why = "no such workload: a, b, c, d, f, get, set (e scans, which hashing does not allow)";
        if (!workload_init(&workload, &choose))
            return -EINVAL;
        result->distribution = workload.distribution;
        *why = "cannot connect";
        r = worker_init(&workers[i], &own, &workload);
        if (r < 0)
            return r;
    }
    return 0;
}

int load_run(const struct load_options *options, struct load_result *result, const char **why)
{
    struct worker *workers = calloc(options->threads, sizeof *workers);
    struct sockaddr_in address = {0};
    int r = -EINVAL;

    *why = "no memory";
    if (!workers)
        return -ENOMEM;
    for (uint32_t i = 0; i < options->threads; i++)
        workers[i].epoll = -1;
    memset(result, 0, sizeof *result);
    tally_init(&result->tally);
    tally_init(&result->fill);
    *why = "the address must be a numeric HOST:PORT";
    if ((options->native || parse_address(options->resp, &address)) &&
        usage_init(&result->processes, options->processes, why)) {
        r = open_workers(options, &address, workers, result, why);
        if (r == 0)
            r = run_phases(options, workers, result, why);
    }
    for (uint32_t i = 0; i < options->threads; i++)
        worker_deinit(&workers[i]);
    free(workers);
    return r;
}
