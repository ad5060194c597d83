#include "router/server_uv_internal.h"

#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "ring/stamp.h"

static uint64_t wall_now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* One line of logfmt; at most SERVER_LOG_BURST a second, and then how many were kept back. */
void server_log(struct server *server, const char *level, const char *format, ...)
{
    char line[640], stamp[STAMP_SIZE], kept_back[48] = "";
    uint64_t now_ms = wall_now_ms();
    va_list arguments;
    int size;

    if (now_ms / 1000 != server->log_second) {
        server->log_second = now_ms / 1000;
        server->log_count = 0;
    }
    if (++server->log_count > SERVER_LOG_BURST) {
        server->log_kept_back++;
        return;
    }
    size = snprintf(line, sizeof line, "ts=%s level=%s ", stamp_ms(now_ms, stamp), level);
    va_start(arguments, format);
    vsnprintf(line + size, sizeof line - (size_t)size, format, arguments);
    va_end(arguments);
    if (server->log_kept_back > 0)
        snprintf(kept_back, sizeof kept_back, " lines_kept_back=%u", server->log_kept_back);
    fprintf(stderr, "%s%s\n", line, kept_back); /* in one piece: others write there too */
    server->log_kept_back = 0;
}

void server_step(struct server *server, struct router_event *event)
{
    event->now_ms = uv_now(&server->loop);
    event->wall_ms = wall_now_ms();
    server->random = server->random * UINT64_C(6364136223846793005) + 1;
    event->random = server->random ^ server->random >> 33;
    router_step(server->router, event);
    server->dirty = true;
}

static void on_timer(uv_timer_t *timer)
{
    struct server *server = timer->data;
    struct router_event event = {.kind = ROUTER_EVENT_TICK};

    server->timer_ms = 0;
    server_step(server, &event);
}

static void server_arm(struct server *server, uint64_t due_ms)
{
    uint64_t now_ms = uv_now(&server->loop);

    /* One that fires too early does no harm and costs less than to set it each time. */
    if (due_ms == UINT64_MAX || (server->timer_ms != 0 && server->timer_ms <= due_ms))
        return;
    server->timer_ms = due_ms > now_ms ? due_ms : now_ms + 1;
    uv_timer_start(&server->timer, on_timer, server->timer_ms - now_ms, 0);
}

static void server_finish(struct server *server);

/* The end of a turn: everything that was stepped leaves together. */
static void server_round(struct server *server)
{
    while (server->dirty && !server->closing) {
        bool more = true;

        server->dirty = false;
        while (more) {
            more = router_flush(server->router, uv_now(&server->loop), &server->effects);
            links_send(server->links, server->effects.sends, server->effects.send_count);
            for (size_t i = 0; i < server->effects.output_count; i++)
                server_clients_output(server, &server->effects.outputs[i]);
        }
        server_clients_settle(server);
    }
    if (server->closing)
        return;
    server_arm(server, server->effects.deadline_ms);
    if (!server->ready && router_ready(server->router)) {
        server->ready = true;
        server_log(server, "info", "event=ready resp=%s", server->address);
        if (server->options->on_ready)
            server->options->on_ready(server->options->context, server->address);
    }
    if (server->stopping && router_in_flight(server->router) == 0 && server_clients_written(server))
        server_finish(server);
}

static void on_check(uv_check_t *check)
{
    server_round(check->data);
}

static void on_prepare(uv_prepare_t *prepare)
{
    server_round(prepare->data); /* what timers did must not wait for the next event */
}

static void on_async(uv_async_t *async)
{
    struct server *server = async->data;

    if (server->links)
        links_drain(server->links);
}

static void on_refresh(uv_timer_t *timer)
{
    struct server *server = timer->data;
    bool known = router_map(server->router) != NULL;

    links_refresh(server->links, uv_now(&server->loop));
    uv_timer_start(timer, on_refresh, known ? LINKS_REFRESH_MS : LINKS_ASK_MS, 0);
}

static void on_handle(uv_handle_t *handle, void *unused)
{
    (void)unused;
    if (!uv_is_closing(handle))
        uv_close(handle, NULL);
}

static void server_finish(struct server *server)
{
    if (server->closing)
        return;
    server_clients_close(server);
    server->closing = true;
    if (server->polling)
        uv_poll_stop(&server->poll);
    links_close(server->links); /* no callback of a link comes after this */
    server->links = NULL;
    uv_walk(&server->loop, on_handle, NULL);
}

static void on_stop_timer(uv_timer_t *timer)
{
    server_finish(timer->data);
}

static void on_signal(uv_signal_t *handle, int number)
{
    struct server *server = handle->data;

    if (server->stopping) {
        server_finish(server);
        return;
    }
    server_log(server, "info", "event=stop signal=%d in_flight=%u", number,
               router_in_flight(server->router));
    server->stopping = true;
    server_clients_stop(server);
    uv_timer_start(&server->stop_timer, on_stop_timer, SERVER_STOP_MS, 0);
    server->dirty = true;
}

int server_address(const char *text, struct sockaddr_storage *address)
{
    const char *colon = strrchr(text, ':');
    char host[SERVER_ADDRESS_SIZE];
    char *end;
    size_t size;
    unsigned long port;

    memset(address, 0, sizeof *address);
    if (!colon || colon == text || colon[1] < '0' || colon[1] > '9')
        return -EINVAL;
    port = strtoul(colon + 1, &end, 10);
    size = (size_t)(colon - text);
    if (*end != '\0' || port > UINT16_MAX || size >= sizeof host)
        return -EINVAL;
    memcpy(host, text, size);
    host[size] = '\0';
    if (host[0] == '[' && host[size - 1] == ']') {
        host[size - 1] = '\0';
        return uv_ip6_addr(host + 1, (int)port, (struct sockaddr_in6 *)address) < 0 ? -EINVAL : 0;
    }
    return uv_ip4_addr(host, (int)port, (struct sockaddr_in *)address) < 0 ? -EINVAL : 0;
}

bool server_address_is_loopback(const struct sockaddr_storage *address)
{
    if (address->ss_family == AF_INET6)
        return memcmp(&((const struct sockaddr_in6 *)address)->sin6_addr, &in6addr_loopback,
                      sizeof in6addr_loopback) == 0;
    return ntohl(((const struct sockaddr_in *)address)->sin_addr.s_addr) >> 24 == 127;
}

void server_address_text(const struct sockaddr_storage *address, char text[SERVER_ADDRESS_SIZE])
{
    char host[48] = "?";

    if (address->ss_family == AF_INET6) {
        const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)address;

        uv_ip6_name(six, host, sizeof host);
        snprintf(text, SERVER_ADDRESS_SIZE, "[%s]:%u", host, ntohs(six->sin6_port));
    } else {
        const struct sockaddr_in *four = (const struct sockaddr_in *)address;

        uv_ip4_name(four, host, sizeof host);
        snprintf(text, SERVER_ADDRESS_SIZE, "%s:%u", host, ntohs(four->sin_port));
    }
}

/* What a person can get wrong, said in a line each. */
static int server_check(struct server *server)
{
    const struct server_uv_options *options = server->options;
    struct sockaddr_storage address;

    if (server_address(options->resp, &address) < 0) {
        server_log(server, "error", "event=usage why=\"--resp %s: not a numeric HOST:PORT\"",
                   options->resp);
        return SERVER_UV_E_USAGE;
    }
    if (!options->password && !server_address_is_loopback(&address)) {
        server_log(server, "error",
                   "event=usage why=\"--resp %s: other machines could connect, and nothing would "
                   "ask them for a password; give --password-file, or bind 127.0.0.1\"",
                   options->resp);
        return SERVER_UV_E_USAGE;
    }
    if (options->password &&
        (options->password[0] == '\0' ||
         strlen(options->password) >= sizeof server->router_options.password)) {
        server_log(server, "error", "event=usage why=\"the password must have 1 to %zu bytes\"",
                   sizeof server->router_options.password - 1);
        return SERVER_UV_E_USAGE;
    }
    for (size_t i = 0; i < options->seed_count; i++) {
        if (server_address(options->seeds[i], &address) == 0)
            continue;
        server_log(server, "error", "event=usage why=\"--seeds %s: not a numeric HOST:PORT\"",
                   options->seeds[i]);
        return SERVER_UV_E_USAGE;
    }
    return 0;
}

static int server_router(struct server *server)
{
    struct router_options *options = &server->router_options;

    randombytes_buf(&server->random, sizeof server->random);
    if (server->options->router)
        *options = *server->options->router;
    else
        router_options_default(options);
    options->session = wall_now_ms() << 20 | (server->random & 0xfffff);
    snprintf(options->password, sizeof options->password, "%s",
             server->options->password ? server->options->password : "");
    snprintf(options->address, sizeof options->address, "%s", server->address);
    return router_new(&server->router, options);
}

/* Timers, hooks and signals; the listener is open. */
static int server_handles(struct server *server)
{
    uv_loop_t *loop = &server->loop;
    int r = uv_async_init(loop, &server->async, on_async);

    if (r < 0)
        return r;
    uv_timer_init(loop, &server->timer); /* these four cannot fail */
    uv_timer_init(loop, &server->refresh);
    uv_timer_init(loop, &server->stop_timer);
    uv_check_init(loop, &server->check);
    uv_prepare_init(loop, &server->prepare);
    server->async.data = server;
    server->timer.data = server;
    server->refresh.data = server;
    server->stop_timer.data = server;
    server->check.data = server;
    server->prepare.data = server;
    server->sigint.data = server;
    server->sigterm.data = server;
    uv_check_start(&server->check, on_check);
    uv_prepare_start(&server->prepare, on_prepare);
    uv_timer_start(&server->refresh, on_refresh, LINKS_ASK_MS, 0);
    r = uv_signal_init(loop, &server->sigint);
    if (r == 0)
        r = uv_signal_init(loop, &server->sigterm);
    if (r == 0)
        r = uv_signal_start(&server->sigint, on_signal, SIGINT);
    if (r == 0)
        r = uv_signal_start(&server->sigterm, on_signal, SIGTERM);
    return r;
}

/* The links have something. */
static void on_readable(uv_poll_t *poll, int status, int events)
{
    struct server *server = poll->data;

    (void)status;
    (void)events;
    links_receive(server->links, 0);
}

static void on_links_step(void *context, struct router_event *event)
{
    server_step(context, event);
}

static void on_links_wake(void *context)
{
    struct server *server = context;

    uv_async_send(&server->async);
}

static void on_links_log(void *context, const char *level, const char *line)
{
    server_log(context, level, "%s", line);
}

static int server_links(struct server *server)
{
    struct links_options options = {.ticket = server->options->ticket,
                                    .seeds = server->options->seeds,
                                    .seed_count = server->options->seed_count,
                                    .router = server->router,
                                    .context = server,
                                    .step = on_links_step,
                                    .wake = on_links_wake,
                                    .log = on_links_log};
    int r = links_open(&server->links, &options, uv_now(&server->loop));

    if (r == 0)
        r = uv_poll_init(&server->loop, &server->poll, links_descriptor(server->links));
    if (r < 0)
        return r;
    server->poll.data = server;
    server->polling = true;
    return uv_poll_start(&server->poll, UV_READABLE, on_readable);
}

static int server_open(struct server *server)
{
    int r = server_clients_listen(server);

    if (r < 0) {
        server_log(server, "error", "event=listen_failed resp=%s why=\"%s\"", server->options->resp,
                   r == -EADDRINUSE ? "the port is in use: choose another with --resp"
                                    : strerror(-r));
        return r;
    }
    r = server_router(server);
    if (r == 0)
        r = server_handles(server);
    if (r == 0)
        r = server_links(server);
    if (r < 0)
        server_log(server, "error", "event=start_failed why=\"%s\"", strerror(-r));
    return r;
}

/* Each client takes a descriptor: as many as the system lets us have. */
static void server_descriptors(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

int server_uv_run(const struct server_uv_options *options)
{
    struct server *server;
    int r;

    if (sodium_init() < 0)
        return -EIO;
    server = calloc(1, sizeof *server);
    if (!server)
        return -ENOMEM;
    server->options = options;
    server_descriptors();
    signal(SIGPIPE, SIG_IGN); /* a client that has gone is an error of its write */
    r = server_check(server);
    if (r == 0)
        r = uv_loop_init(&server->loop);
    if (r != 0) {
        free(server);
        return r;
    }
    r = server_open(server);
    if (r == 0)
        server_log(server, "info", "event=start resp=%s seeds=%zu", server->address,
                   options->seed_count);
    else
        server_finish(server);
    uv_run(&server->loop, UV_RUN_DEFAULT);
    uv_loop_close(&server->loop);
    router_free(server->router);
    free(server);
    return r;
}
