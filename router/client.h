/* Client: one connection's state: bytes not yet parsed, commands in order, bytes not yet sent.
 *
 * Bounds: commands unanswered ≤ client_commands_max, held bytes (unsent output here and at the
 * host, replies that wait for their turn) ≤ client_output_max / 2, else it is not read from and
 * nothing more of its input is parsed; over client_output_max it is closed. Unparsed input is at
 * most one command plus one read. Owner: one router. */
#ifndef ROUTER_CLIENT_H
#define ROUTER_CLIENT_H

#include "router/buffer.h"
#include "router/request.h"
#include "router/resp.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CLIENT_NAME_SIZE    64u
#define CLIENT_SCRATCH_KEPT (64u << 10)

struct command_spec;

struct client {
    struct client *chain; /* same bucket */
    struct client *output_next;
    struct client *resume_next;
    struct client *list_next, *list_previous; /* all, oldest first */
    uint64_t id;
    uint64_t opened_ms;
    uint64_t active_ms;
    struct resp_parser parser;
    struct buffer input;
    size_t input_at; /* parsed and done with before here */
    struct buffer output;
    struct request *first, *last;
    uint32_t requests;
    size_t replies_size;                /* of replies and gathered values that wait */
    size_t backlog;                     /* as the host said */
    const struct command_spec *command; /* the newest */
    uint8_t protocol;
    bool authenticated;
    bool closing;   /* nothing more is parsed; closed when all replies have left */
    bool ended;     /* it sends nothing more; closed when all that was whole is answered */
    bool killed;    /* over a bound: closed at once, output is dropped */
    bool closed;    /* the host has been told */
    bool in_output; /* on the router's lists */
    bool in_resume;
    char name[CLIENT_NAME_SIZE];
    char library[CLIENT_NAME_SIZE];
    char library_version[CLIENT_NAME_SIZE];
    char address[64];
};

struct clients {
    struct client **buckets;
    uint32_t mask;
    uint32_t count;
    struct client *first, *last;
    struct client *output_first, *output_last; /* have output to take, or are to be closed */
    struct client *taken;                      /* the host borrows their output */
    struct client *resume;
};

struct router;

int clients_init(struct clients *clients, uint32_t clients_max); /* 0 or -ENOMEM */
void clients_deinit(struct router *router);
struct client *clients_find(const struct clients *clients, uint64_t id);

void client_open(struct router *router, uint64_t id, const uint8_t *address, size_t size);
void client_close(struct router *router, struct client *client);
void client_bytes(struct router *router, struct client *client, const uint8_t *bytes, size_t size);
void client_end(struct router *router, struct client *client);
/* All has been answered that will be: to be closed behind the output. */
bool client_finished(const struct client *client);
void client_backlog(struct router *router, struct client *client, size_t bytes);
bool client_paused(const struct router *router, const struct client *client);
size_t client_held(const struct client *client);

/* Where to write one reply now; client_reply_end() must follow. */
struct buffer *client_reply(struct router *router, struct client *client);
void client_reply_end(struct router *router, struct client *client);
void client_error(struct router *router, struct client *client, const char *text);
/* The request at the head has its reply in client->output: takes it off and lets those behind it
 * that are ready follow. */
void client_advance(struct router *router, struct client *client);
/* Says that there is output, checks bounds. */
void client_output(struct router *router, struct client *client);
void client_kill(struct router *router, struct client *client);

/* Goes on parsing where clients are no longer paused. */
void clients_resume(struct router *router);
/* The host is done with what it borrowed. */
void clients_recycle(struct router *router);

#endif
