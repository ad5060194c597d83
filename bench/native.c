#include "bench/native.h"

#include "router/links_nng.h"
#include "router/router.h"
#include "ring/mix.h"

#include <errno.h>
#include <poll.h>
#include <sodium.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define SECOND_NS UINT64_C(1000000000)
#define MS_NS     UINT64_C(1000000)

struct native {
    struct router *router;
    struct links *links;
    struct router_effects effects;
    int wake; /* eventfd: the links' inbox has something */
    uint64_t refresh_ms;
    uint64_t deadline_ms; /* of the router's next TICK */
    uint64_t random;
};

static uint64_t clock_ms(clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / MS_NS;
}

static void on_step(void *context, struct router_event *event)
{
    struct native *native = context;

    event->now_ms = clock_ms(CLOCK_MONOTONIC);
    event->wall_ms = clock_ms(CLOCK_REALTIME);
    event->random = mix_next(&native->random);
    router_step(native->router, event);
}

static void on_wake(void *context)
{
    struct native *native = context;

    eventfd_write(native->wake, 1); /* cannot fail: it would have to be written 2^64 times */
}

static int open_parts(struct native *native, const struct native_options *options)
{
    struct router_options router_options;
    struct links_options links_options = {.ticket = options->ticket,
                                          .seeds = options->seeds,
                                          .seed_count = options->seed_count,
                                          .context = native,
                                          .step = on_step,
                                          .wake = on_wake};
    int r;

    if (native->wake < 0)
        return -errno;
    if (sodium_init() < 0)
        return -EIO;
    randombytes_buf(&native->random, sizeof native->random);
    router_options_default(&router_options);
    router_options.session = clock_ms(CLOCK_REALTIME) << 20 | (native->random & 0xfffff);
    r = router_new(&native->router, &router_options);
    if (r < 0)
        return r;
    links_options.router = native->router;
    return links_open(&native->links, &links_options, clock_ms(CLOCK_MONOTONIC));
}

static void ignore_output(void *context, uint64_t client, const void *bytes, size_t size,
                          bool close)
{
    (void)context;
    (void)client;
    (void)bytes;
    (void)size;
    (void)close;
}

int native_open(struct native **out, const struct native_options *options)
{
    struct native *native = calloc(1, sizeof *native);
    uint64_t until_ms = clock_ms(CLOCK_MONOTONIC) + NATIVE_READY_MS;
    int r;

    *out = NULL;
    if (!native)
        return -ENOMEM;
    native->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    r = open_parts(native, options);
    while (r == 0 && !router_ready(native->router)) {
        native_turn(native, 20 * MS_NS, ignore_output, NULL);
        if (clock_ms(CLOCK_MONOTONIC) > until_ms)
            r = -ETIMEDOUT;
    }
    if (r < 0)
        native_close(native);
    else
        *out = native;
    return r;
}

void native_close(struct native *native)
{
    if (!native)
        return;
    links_close(native->links);
    router_free(native->router);
    if (native->wake >= 0)
        close(native->wake);
    free(native);
}

void native_connect(struct native *native, uint64_t client)
{
    struct router_event event = {.kind = ROUTER_EVENT_CLIENT_OPEN, .client = client};

    on_step(native, &event);
}

void native_disconnect(struct native *native, uint64_t client)
{
    struct router_event event = {.kind = ROUTER_EVENT_CLIENT_CLOSE, .client = client};

    on_step(native, &event);
}

void native_send(struct native *native, uint64_t client, const void *bytes, size_t size)
{
    struct router_event event = {
        .kind = ROUTER_EVENT_CLIENT_BYTES, .client = client, .bytes = bytes, .size = size};

    on_step(native, &event);
}

/* Ends the round. Outputs are borrowed from the router until its next step, and on_output must not
 * step it. */
static void flush(struct native *native, native_output on_output, void *context)
{
    struct router_effects *effects = &native->effects;
    bool more = true;

    while (more) {
        more = router_flush(native->router, clock_ms(CLOCK_MONOTONIC), effects);
        links_send(native->links, effects->sends, effects->send_count);
        for (size_t i = 0; i < effects->output_count; i++) {
            const struct router_output *output = &effects->outputs[i];

            on_output(context, output->client, output->bytes, output->size, output->close);
        }
    }
    native->deadline_ms = effects->deadline_ms;
}

/* What time asks for. */
static void tick(struct native *native)
{
    uint64_t now_ms = clock_ms(CLOCK_MONOTONIC);
    struct router_event event = {.kind = ROUTER_EVENT_TICK};

    if (now_ms >= native->deadline_ms)
        on_step(native, &event);
    if (now_ms < native->refresh_ms)
        return;
    links_refresh(native->links, now_ms);
    native->refresh_ms = now_ms + (router_map(native->router) ? LINKS_REFRESH_MS : LINKS_ASK_MS);
}

void native_turn(struct native *native, uint64_t timeout_ns, native_output on_output, void *context)
{
    struct pollfd polls[] = {{.fd = links_descriptor(native->links), .events = POLLIN},
                             {.fd = native->wake, .events = POLLIN}};
    uint64_t now_ms, left_ns;
    struct timespec timeout;
    eventfd_t count;

    flush(native, on_output, context);
    now_ms = clock_ms(CLOCK_MONOTONIC);
    left_ns = native->deadline_ms > now_ms ? native->deadline_ms - now_ms : 0;
    left_ns = left_ns < SECOND_NS / MS_NS ? left_ns * MS_NS : SECOND_NS;
    timeout_ns = timeout_ns < left_ns ? timeout_ns : left_ns;
    timeout = (struct timespec){.tv_sec = (time_t)(timeout_ns / SECOND_NS),
                                .tv_nsec = (long)(timeout_ns % SECOND_NS)};
    ppoll(polls, 2, &timeout, NULL);
    if (polls[1].revents)
        eventfd_read(native->wake, &count);
    links_receive(native->links, 0);
    tick(native);
    flush(native, on_output, context);
}
