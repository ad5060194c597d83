/* Inside of server_uv: its parts and what they share. All on the loop's thread. */
#ifndef ROUTER_SERVER_UV_INTERNAL_H
#define ROUTER_SERVER_UV_INTERNAL_H

#include "router/links_nng.h"
#include "router/server_uv.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#define SERVER_READ_SIZE    65536u
#define SERVER_BACKLOG      511
#define SERVER_STOP_MS      1000u /* what is in flight gets that long */
#define SERVER_KEEPALIVE_S  300u
#define SERVER_BUCKETS      4096u
#define SERVER_LOG_BURST    20u /* lines a second */
#define SERVER_ADDRESS_SIZE 64u

struct server;

/* One connection of a client. */
struct connection {
    uv_tcp_t tcp; /* first: the handle is the connection */
    struct server *server;
    struct connection *chain;       /* same bucket */
    struct connection *paused_next; /* not read from */
    struct connection *doomed_next; /* to be closed when the effects are done with */
    struct connection *list_next, *list_previous;
    uint64_t id;
    size_t queued; /* bytes given to libuv and not yet written */
    bool paused;
    bool ended;  /* the client sends no more */
    bool finish; /* close when everything is written */
    bool doomed;
    bool closed;
};

struct server {
    const struct server_uv_options *options;
    struct router *router;
    struct router_options router_options;
    struct router_effects effects;
    uv_loop_t loop;
    uv_tcp_t listener;
    uv_timer_t timer, refresh, stop_timer;
    uv_check_t check;
    uv_prepare_t prepare;
    uv_async_t async;
    uv_poll_t poll; /* the links' descriptor */
    bool polling;
    uv_signal_t sigint, sigterm;
    char address[SERVER_ADDRESS_SIZE];
    uint64_t timer_ms; /* when it is set to fire; 0: not */
    uint64_t random;
    uint64_t client_last;
    uint64_t log_second;
    uint32_t log_count, log_kept_back;
    bool dirty; /* something was stepped since the last flush */
    bool ready;
    bool stopping;
    bool closing;
    /* connections */
    struct connection *buckets[SERVER_BUCKETS];
    struct connection *first;
    struct connection *paused;
    struct connection *doomed;
    uint32_t connection_count;
    char read_buffer[SERVER_READ_SIZE];
    struct links *links; /* NULL before they are open, and when closed */
};

/* server_uv.c */
void server_step(struct server *server, struct router_event *event);
void server_log(struct server *server, const char *level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* server_uv_client.c */
int server_clients_listen(struct server *server);
void server_clients_output(struct server *server, const struct router_output *output);
/* After the effects' bytes are no longer needed. */
void server_clients_settle(struct server *server);
bool server_clients_written(const struct server *server); /* nothing is queued any more */
void server_clients_stop(struct server *server);
void server_clients_close(struct server *server);

/* Splits and checks a numeric "HOST:PORT". 0 or -EINVAL. */
int server_address(const char *text, struct sockaddr_storage *address);
bool server_address_is_loopback(const struct sockaddr_storage *address);
void server_address_text(const struct sockaddr_storage *address, char text[SERVER_ADDRESS_SIZE]);

#endif
