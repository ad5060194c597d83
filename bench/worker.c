#include "bench/worker.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#define EVENTS_MAX   256
#define VALUES_SPARE 4096u /* values start at any of that many places */
#define SECOND_NS    UINT64_C(1000000000)
#define WAIT_NS_MAX  (SECOND_NS / 10)

uint64_t worker_clock_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * SECOND_NS + (uint64_t)now.tv_nsec;
}

void tally_init(struct tally *tally)
{
    memset(tally, 0, sizeof *tally);
    histogram_init(&tally->all);
    for (size_t i = 0; i < WORKLOAD_KIND_COUNT; i++)
        histogram_init(&tally->kinds[i]);
}

static void count_error(struct tally *tally, const char *text, size_t size, uint64_t count)
{
    size = size < WORKER_ERROR_SIZE - 1 ? size : WORKER_ERROR_SIZE - 1;
    for (uint32_t i = 0; i < tally->error_count; i++) {
        struct worker_error *error = &tally->errors[i];

        /* The last place is for all that have none of their own. */
        if ((strlen(error->prefix) == size && memcmp(error->prefix, text, size) == 0) ||
            i == WORKER_ERRORS_MAX - 1) {
            error->count += count;
            return;
        }
    }
    memcpy(tally->errors[tally->error_count].prefix, text, size);
    tally->errors[tally->error_count++].count = count;
}

void tally_merge(struct tally *tally, const struct tally *other)
{
    for (size_t i = 0; i < WORKLOAD_KIND_COUNT; i++)
        histogram_merge(&tally->kinds[i], &other->kinds[i]);
    histogram_merge(&tally->all, &other->all);
    tally->completed += other->completed;
    tally->misses += other->misses;
    tally->lost += other->lost;
    for (uint32_t i = 0; i < other->error_count; i++)
        count_error(tally, other->errors[i].prefix, strlen(other->errors[i].prefix),
                    other->errors[i].count);
}

static int connect_one(struct worker *worker, uint32_t number)
{
    struct connection *connection = &worker->connections[number];
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = number};
    uint32_t requests_max = worker->options.pipeline;
    int r;

    if (requests_max < WORKER_FILL_PIPELINE)
        requests_max = WORKER_FILL_PIPELINE;
    if (worker->native)
        return connection_open_native(connection, worker->native, ++worker->client_last,
                                      requests_max);
    r = connection_open(connection, &worker->options.address, requests_max);
    if (r < 0)
        return r;
    return epoll_ctl(worker->epoll, EPOLL_CTL_ADD, connection->fd, &event) == 0 ? 0 : -errno;
}

int worker_init(struct worker *worker, const struct worker_options *options,
                const struct workload *workload)
{
    size_t values_size = options->value_size + VALUES_SPARE;
    int r = 0;

    assert(options->key_size <= WORKER_KEY_SIZE_MAX);
    *worker = (struct worker){.options = *options, .workload = *workload};
    tally_init(&worker->tally);
    worker->epoll = epoll_create1(EPOLL_CLOEXEC);
    worker->connections = calloc(options->clients, sizeof *worker->connections);
    worker->idle = calloc(options->clients, sizeof *worker->idle);
    worker->ready = calloc(options->clients, sizeof *worker->ready);
    worker->values = malloc(values_size);
    if (worker->epoll < 0 || !worker->connections || !worker->idle || !worker->ready ||
        !worker->values)
        return -ENOMEM;
    for (uint32_t i = 0; i < options->clients; i++)
        worker->connections[i].fd = -1;
    for (size_t i = 0; i < values_size; i++)
        worker->values[i] = (char)('!' + workload_chance(&worker->workload) % 90);
    if (options->native)
        r = native_open(&worker->native, options->native);
    for (uint32_t i = 0; i < options->clients && r == 0; i++)
        r = connect_one(worker, i);
    return r;
}

void worker_deinit(struct worker *worker)
{
    for (uint32_t i = 0; worker->connections && i < worker->options.clients; i++)
        connection_close(&worker->connections[i]);
    native_close(worker->native);
    if (worker->epoll >= 0)
        close(worker->epoll);
    free(worker->ready);
    free(worker->connections);
    free(worker->idle);
    free(worker->values);
}

static void send_request(struct worker *worker, struct connection *connection,
                         const struct request *request)
{
    const struct worker_options *options = &worker->options;
    bool write =
        request->second || request->kind == WORKLOAD_UPDATE || request->kind == WORKLOAD_INSERT;
    char key[WORKER_KEY_SIZE_MAX + 24];

    snprintf(key, sizeof key, "key:%0*llu", (int)options->key_size - 4,
             (unsigned long long)request->key);
    if (write)
        connection_set(connection, request, key, options->key_size,
                       worker->values + workload_chance(&worker->workload) % VALUES_SPARE,
                       options->value_size);
    else
        connection_get(connection, request, key, options->key_size);
    worker->unanswered++;
}

static uint64_t due_ns(const struct worker *worker)
{
    const struct worker_options *options = &worker->options;
    uint64_t number = worker->next * options->threads + options->thread;

    return options->start_ns + number * SECOND_NS / options->rate;
}

/* Fills an idle connection's pipeline with what there is to send now. */
static void refill(struct worker *worker, struct connection *connection, uint64_t now_ns)
{
    const struct worker_options *options = &worker->options;
    uint32_t pipeline = worker->filling ? WORKER_FILL_PIPELINE : options->pipeline;

    while (connection->request_count < pipeline) {
        struct request request = {.intended_ns = now_ns, .kind = WORKLOAD_INSERT};

        if (worker->filling) {
            request.key = worker->next * options->threads + options->thread;
            if (request.key >= options->keys)
                break;
            worker->next++;
        } else {
            struct workload_choice choice;

            if (options->rate)
                request.intended_ns = due_ns(worker);
            if (request.intended_ns >= options->end_ns || request.intended_ns > now_ns)
                break;
            worker->next++;
            choice = workload_next(&worker->workload);
            request.kind = choice.kind;
            request.key = choice.key;
        }
        send_request(worker, connection, &request);
    }
}

/* The socket takes no more at the moment: tell when it does. */
static int watch(struct worker *worker, uint32_t number, bool writable)
{
    struct epoll_event event = {.events = EPOLLIN | (writable ? (uint32_t)EPOLLOUT : 0u),
                                .data.u32 = number};

    return epoll_ctl(worker->epoll, EPOLL_CTL_MOD, worker->connections[number].fd, &event) == 0
               ? 0
               : -errno;
}

static int flush(struct worker *worker, uint32_t number, bool watched)
{
    int r = connection_flush(&worker->connections[number]);

    if (r < 0)
        return r;
    if ((r == 0 || watched) && !worker->native)
        return watch(worker, number, r == 0);
    return 0;
}

/* A broken connection costs its requests in flight; a new one takes its place. */
static int reconnect(struct worker *worker, uint32_t number)
{
    struct connection *connection = &worker->connections[number];

    count_error(&worker->tally, "CLOSED", 6, 1);
    worker->tally.lost += connection->request_count;
    worker->unanswered -= connection->request_count;
    connection_close(connection);
    return connect_one(worker, number);
}

static void record(struct worker *worker, const struct request *request, uint64_t now_ns)
{
    const struct worker_options *options = &worker->options;
    bool answered = now_ns >= options->begin_ns && now_ns < options->end_ns;
    bool due = request->intended_ns >= options->begin_ns && request->intended_ns < options->end_ns;

    worker->tally.completed += answered;
    if (!answered && !(options->rate && due))
        return;
    histogram_record(&worker->tally.kinds[request->kind], now_ns - request->intended_ns);
    histogram_record(&worker->tally.all, now_ns - request->intended_ns);
}

static void handle_reply(struct worker *worker, struct connection *connection,
                         const struct reply *reply, const struct request *request, uint64_t now_ns)
{
    worker->unanswered--;
    if (reply->kind == REPLY_ERROR) {
        count_error(&worker->tally, reply->text, reply->text_size, 1);
        return;
    }
    if (request->kind == WORKLOAD_MODIFY && !request->second) {
        struct request second = *request;

        second.second = true;
        worker->tally.misses += reply->kind == REPLY_NIL;
        send_request(worker, connection, &second);
        return;
    }
    if (request->kind == WORKLOAD_READ)
        worker->tally.misses += reply->kind == REPLY_NIL;
    if (request->kind == WORKLOAD_INSERT && !worker->filling)
        workload_inserted(&worker->workload, request->key);
    if (!worker->filling)
        record(worker, request, now_ns);
}

static int handle_input(struct worker *worker, uint32_t number)
{
    struct connection *connection = &worker->connections[number];
    int64_t n = connection_read(connection);
    uint32_t before = connection->request_count;
    uint64_t now_ns = worker_clock_ns();
    struct request request;
    struct reply reply;
    int r;

    if (n < 0)
        return (int)n;
    while ((r = connection_reply(connection, &reply, &request)) > 0)
        handle_reply(worker, connection, &reply, &request, now_ns);
    if (r < 0)
        return r;
    if (worker->options.rate && !worker->filling) {
        /* Listed once, when its first place becomes free. */
        if (before >= worker->options.pipeline &&
            connection->request_count < worker->options.pipeline)
            worker->idle[worker->idle_count++] = number;
    } else if (connection->request_count == 0) {
        refill(worker, connection, now_ns);
    }
    return 0;
}

static int handle_event(struct worker *worker, const struct epoll_event *event)
{
    uint32_t number = event->data.u32;
    bool listed = worker->connections[number].request_count < worker->options.pipeline;
    int r = 0;

    if (event->events & (EPOLLIN | EPOLLHUP | EPOLLERR))
        r = handle_input(worker, number);
    if (r == 0)
        r = flush(worker, number, event->events & EPOLLOUT);
    if (r == 0)
        return 0;
    r = reconnect(worker, number);
    if (r < 0)
        return r;
    if (worker->options.rate && !worker->filling) {
        if (!listed)
            worker->idle[worker->idle_count++] = number;
        return 0;
    }
    refill(worker, &worker->connections[number], worker_clock_ns());
    return flush(worker, number, false);
}

/* Open loop: hands what is due to connections with room. */
static int hand_out(struct worker *worker, uint64_t now_ns)
{
    while (worker->idle_count > 0 && due_ns(worker) <= now_ns &&
           due_ns(worker) < worker->options.end_ns) {
        uint32_t number = worker->idle[--worker->idle_count];
        struct connection *connection = &worker->connections[number];
        int r;

        refill(worker, connection, now_ns);
        if (connection->request_count < worker->options.pipeline)
            worker->idle[worker->idle_count++] = number;
        r = flush(worker, number, false);
        if (r < 0)
            return r;
    }
    return 0;
}

static bool ended(const struct worker *worker, uint64_t now_ns)
{
    const struct worker_options *options = &worker->options;

    if (worker->filling)
        return worker->unanswered == 0;
    if (now_ns < options->end_ns)
        return false;
    return worker->unanswered == 0 || now_ns >= options->end_ns + WORKER_DRAIN_NS;
}

static int wait_sockets(struct worker *worker, uint64_t wait_ns)
{
    struct timespec timeout = {.tv_nsec = (long)wait_ns};
    struct epoll_event events[EVENTS_MAX];
    int r = 0, count = epoll_pwait2(worker->epoll, events, EVENTS_MAX, &timeout, NULL);

    if (count < 0)
        return errno == EINTR ? 0 : -errno;
    for (int i = 0; i < count && r == 0; i++)
        r = handle_event(worker, &events[i]);
    return r;
}

static void on_output(void *context, uint64_t client, const void *bytes, size_t size, bool close)
{
    struct worker *worker = context;

    /* Nearly always its number and one; after a reconnect it is looked for. */
    for (uint32_t i = 0; i < worker->options.clients; i++) {
        uint32_t number = (uint32_t)((client - 1 + i) % worker->options.clients);
        struct connection *connection = &worker->connections[number];

        if (connection->client != client)
            continue;
        connection_input(connection, bytes, size, close);
        if (!connection->ready)
            worker->ready[worker->ready_count++] = number;
        connection->ready = true;
        return;
    }
}

static int wait_native(struct worker *worker, uint64_t wait_ns)
{
    uint32_t count;
    int r = 0;

    native_turn(worker->native, wait_ns, on_output, worker);
    count = worker->ready_count;
    worker->ready_count = 0;
    for (uint32_t i = 0; i < count && r == 0; i++) {
        struct epoll_event event = {.events = EPOLLIN, .data.u32 = worker->ready[i]};

        worker->connections[event.data.u32].ready = false;
        r = handle_event(worker, &event);
    }
    return r;
}

static int turn(struct worker *worker, uint64_t now_ns)
{
    uint64_t wait_ns = WAIT_NS_MAX;
    int r = 0;

    if (worker->options.rate && !worker->filling) {
        r = hand_out(worker, now_ns);
        if (r < 0)
            return r;
        if (worker->idle_count > 0 && due_ns(worker) < now_ns + wait_ns)
            wait_ns = due_ns(worker) > now_ns ? due_ns(worker) - now_ns : 0;
        if (now_ns >= worker->options.end_ns)
            wait_ns = WAIT_NS_MAX;
    }
    return worker->native ? wait_native(worker, wait_ns) : wait_sockets(worker, wait_ns);
}

static void loop(struct worker *worker)
{
    bool open = worker->options.rate && !worker->filling;
    uint64_t now_ns = worker_clock_ns();
    int r = 0;

    worker->next = 0;
    worker->idle_count = 0;
    for (uint32_t i = 0; i < worker->options.clients && r == 0; i++) {
        if (open) {
            worker->idle[worker->idle_count++] = i;
            continue;
        }
        refill(worker, &worker->connections[i], now_ns);
        r = flush(worker, i, false);
    }
    while (r == 0 && !ended(worker, now_ns)) {
        r = turn(worker, now_ns);
        now_ns = worker_clock_ns();
    }
    worker->tally.lost += worker->unanswered;
    worker->error = r;
}

void *worker_fill(void *argument)
{
    struct worker *worker = argument;

    worker->filling = true;
    loop(worker);
    worker->filling = false;
    return worker;
}

void *worker_run(void *argument)
{
    loop(argument);
    return argument;
}
