#include "router/client.h"

#include "router/router_internal.h"
#include "router/scan.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Buffers are given back above these sizes when they are empty. */
#define CLIENT_INPUT_KEPT  (16u << 10)
#define CLIENT_OUTPUT_KEPT (16u << 10)
/* One command's bytes; a key or value beyond the limits, and then some, still comes in whole so
 * that the answer can name it. */
#define CLIENT_COMMAND_SIZE_MAX (64u << 20)
#define CLIENT_BULK_MARGIN      (64u << 10)

int clients_init(struct clients *clients, uint32_t clients_max)
{
    uint32_t capacity = 64;

    while (capacity < clients_max && capacity < (1u << 20))
        capacity *= 2;
    *clients = (struct clients){.mask = capacity - 1};
    clients->buckets = calloc(capacity, sizeof(struct client *));
    return clients->buckets ? 0 : -ENOMEM;
}

struct client *clients_find(const struct clients *clients, uint64_t id)
{
    struct client *client = clients->buckets[id & clients->mask];

    while (client && client->id != id)
        client = client->chain;
    return client;
}

bool client_paused(const struct router *router, const struct client *client)
{
    return client->closing || client->killed ||
           client->requests >= router->options.client_commands_max ||
           client_held(client) > router->options.client_output_max / 2;
}

size_t client_held(const struct client *client)
{
    return client->output.size + client->backlog + client->replies_size;
}

void client_output(struct router *router, struct client *client)
{
    struct clients *clients = &router->clients;

    if (!client->killed &&
        (client->output.failed || client_held(client) > router->options.client_output_max)) {
        client_kill(router, client);
        return;
    }
    if (client->in_output || client->closed)
        return;
    client->in_output = true;
    client->output_next = NULL;
    if (clients->output_last)
        clients->output_last->output_next = client;
    else
        clients->output_first = client;
    clients->output_last = client;
}

static void client_detach_requests(struct router *router, struct client *client)
{
    while (client->first) {
        struct request *request = client->first;

        client->first = request->next;
        request_detach(router, request);
    }
    client->last = NULL;
    client->requests = 0;
    client->replies_size = 0;
}

void client_kill(struct router *router, struct client *client)
{
    if (client->killed)
        return;
    client->killed = true;
    client_detach_requests(router, client);
    buffer_deinit(&client->output);
    client_output(router, client);
}

/* Not at once at the bound: a few commands at a time are dearer than many. */
static void client_may_resume(struct router *router, struct client *client)
{
    uint32_t commands_max = router->options.client_commands_max;

    if (client->in_resume || client->input.size == 0 || client_paused(router, client) ||
        client->requests > commands_max - commands_max / 4)
        return;
    client->in_resume = true;
    client->resume_next = router->clients.resume;
    router->clients.resume = client;
}

/* Takes the first request off the queue; its reply is in the output. */
static void client_pop(struct router *router, struct client *client)
{
    struct request *request = client->first;

    client->first = request->next;
    if (!client->first)
        client->last = NULL;
    client->requests--;
    client->replies_size -= request->reply_size;
    if (request->gather)
        for (uint32_t i = 0; i < request->gather->count; i++)
            client->replies_size -= request->gather->values[i].size;
    if (request->scan)
        client->replies_size -= request->scan->held;
    request_detach(router, request);
}

void client_advance(struct router *router, struct client *client)
{
    assert(client->first->ready);
    client_pop(router, client);
    while (client->first && client->first->ready) {
        buffer_append(&client->output, client->first->reply, client->first->reply_size);
        client_pop(router, client);
    }
    client_output(router, client);
    client_may_resume(router, client);
}

struct buffer *client_reply(struct router *router, struct client *client)
{
    if (!client->first)
        return &client->output;
    buffer_clear(&router->scratch, CLIENT_SCRATCH_KEPT);
    return &router->scratch;
}

void client_reply_end(struct router *router, struct client *client)
{
    struct buffer *scratch = &router->scratch;
    struct request *request;

    if (client->first) {
        request = request_new(router, client, REQUEST_LOCAL, false);
        if (request && !scratch->failed)
            request->reply = slab_take(&router->slab, scratch->size);
        if (!request || !request->reply) {
            client_kill(router, client);
            return;
        }
        memcpy(request->reply, scratch->data, scratch->size);
        request->reply_size = scratch->size;
        request->ready = true;
        client->replies_size += scratch->size;
    }
    client_output(router, client);
}

void client_error(struct router *router, struct client *client, const char *text)
{
    router->stats.errors++;
    resp_put_error(client_reply(router, client), text);
    client_reply_end(router, client);
}

static void client_list_add(struct clients *clients, struct client *client)
{
    struct client **bucket = &clients->buckets[client->id & clients->mask];

    client->chain = *bucket;
    *bucket = client;
    client->list_previous = clients->last;
    if (clients->last)
        clients->last->list_next = client;
    else
        clients->first = client;
    clients->last = client;
    clients->count++;
}

void client_open(struct router *router, uint64_t id, const uint8_t *address, size_t size)
{
    struct resp_limits limits = {.bulk_kept_max =
                                     router->options.value_size_max + CLIENT_BULK_MARGIN,
                                 .command_kept_max = CLIENT_COMMAND_SIZE_MAX};
    struct client *client = calloc(1, sizeof *client);

    assert(!clients_find(&router->clients, id));
    if (!client)
        return; /* its bytes go nowhere; the host's next open may succeed */
    client->id = id;
    client->opened_ms = router->now_ms;
    client->active_ms = router->now_ms;
    client->protocol = 2;
    client->authenticated = router->options.password[0] == '\0';
    resp_parser_init(&client->parser, &limits);
    client->parser.authenticated = client->authenticated;
    snprintf(client->address, sizeof client->address, "%.*s", (int)(size < 63 ? size : 63),
             address ? (const char *)address : "");
    client_list_add(&router->clients, client);
    router->stats.connections++;
    if (router->clients.count > router->options.clients_max) {
        client_error(router, client, "ERR max number of clients reached");
        client->closing = true;
    }
}

static void client_unlist(struct client **list, struct client *client, size_t next_offset)
{
    struct client **at = list;

    while (*at && *at != client)
        at = (struct client **)(void *)((char *)*at + next_offset);
    if (*at)
        *at = *(struct client **)(void *)((char *)client + next_offset);
}

static void client_free(struct router *router, struct client *client)
{
    struct clients *clients = &router->clients;

    client_detach_requests(router, client);
    client_unlist(&clients->buckets[client->id & clients->mask], client,
                  offsetof(struct client, chain));
    if (client->in_resume)
        client_unlist(&clients->resume, client, offsetof(struct client, resume_next));
    if (client->in_output) {
        client_unlist(&clients->output_first, client, offsetof(struct client, output_next));
        clients->output_last = clients->output_first;
        while (clients->output_last && clients->output_last->output_next)
            clients->output_last = clients->output_last->output_next;
    }
    *(client->list_previous ? &client->list_previous->list_next : &clients->first) =
        client->list_next;
    *(client->list_next ? &client->list_next->list_previous : &clients->last) =
        client->list_previous;
    clients->count--;
    resp_parser_deinit(&client->parser);
    buffer_deinit(&client->input);
    buffer_deinit(&client->output);
    free(client);
}

void client_close(struct router *router, struct client *client)
{
    client_free(router, client);
}

void clients_deinit(struct router *router)
{
    clients_recycle(router);
    while (router->clients.first)
        client_free(router, router->clients.first);
    free(router->clients.buckets);
    router->clients = (struct clients){0};
}

void client_backlog(struct router *router, struct client *client, size_t bytes)
{
    client->backlog = bytes;
    if (client->in_output)
        return; /* the host may still borrow the output: clients_recycle() looks again */
    if (client_held(client) > router->options.client_output_max)
        client_kill(router, client);
    client_may_resume(router, client);
}

/* Parses and carries out while the client may; returns the bytes it is done with. */
static size_t client_parse(struct router *router, struct client *client, const uint8_t *bytes,
                           size_t size)
{
    size_t at = 0;

    while (!client_paused(router, client)) {
        size_t used;
        int r;

        client->parser.authenticated = client->authenticated;
        r = resp_parse(&client->parser, bytes + at, size - at, &used);
        at += used;
        if (r == RESP_E_MORE)
            return at;
        if (r == RESP_E_INVALID) {
            char text[128];

            snprintf(text, sizeof text, "ERR %s", client->parser.error);
            client_error(router, client, text);
            client->closing = true;
            return size;
        }
        assert(r == RESP_E_OK);
        commands_run(router, client, client->parser.args, client->parser.arg_count);
        resp_parser_trim(&client->parser);
    }
    return client->closing || client->killed ? size : at;
}

static void client_parse_input(struct router *router, struct client *client)
{
    client->input_at += client_parse(router, client, client->input.data + client->input_at,
                                     client->input.size - client->input_at);
    if (client->input_at < client->input.size)
        return;
    client->input_at = 0;
    buffer_clear(&client->input, CLIENT_INPUT_KEPT);
}

void client_bytes(struct router *router, struct client *client, const uint8_t *bytes, size_t size)
{
    if (client->closing || client->killed)
        return;
    client->active_ms = router->now_ms;
    router->stats.input_bytes += size;
    if (client->input.size == 0) {
        size_t used = client_parse(router, client, bytes, size);

        buffer_append(&client->input, bytes + used, size - used);
    } else {
        buffer_consume(&client->input, client->input_at);
        client->input_at = 0;
        buffer_append(&client->input, bytes, size);
        if (!client->input.failed)
            client_parse_input(router, client);
    }
    if (client->input.failed)
        client_kill(router, client);
}

void client_end(struct router *router, struct client *client)
{
    client->ended = true;
    client_output(router, client);
}

bool client_finished(const struct client *client)
{
    if (client->killed)
        return true;
    return (client->closing || client->ended) && client->requests == 0 && !client->in_resume;
}

void clients_resume(struct router *router)
{
    while (router->clients.resume) {
        struct client *client = router->clients.resume;

        router->clients.resume = client->resume_next;
        client->in_resume = false;
        if (!client_paused(router, client))
            client_parse_input(router, client);
        if (client->ended)
            client_output(router, client);
    }
}

void clients_recycle(struct router *router)
{
    while (router->clients.taken) {
        struct client *client = router->clients.taken;

        router->clients.taken = client->output_next;
        client->output_next = NULL;
        client->in_output = false;
        buffer_clear(&client->output, CLIENT_OUTPUT_KEPT);
        if (client_held(client) > router->options.client_output_max)
            client_kill(router, client);
        client_may_resume(router, client);
    }
}
