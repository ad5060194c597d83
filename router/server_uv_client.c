#include "router/server_uv_internal.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct server_write {
    uv_write_t request;
    size_t size;
    uint8_t bytes[];
};

static struct connection **connection_bucket(struct server *server, uint64_t id)
{
    return &server->buckets[id % SERVER_BUCKETS];
}

static struct connection *connection_find(struct server *server, uint64_t id)
{
    struct connection *connection = *connection_bucket(server, id);

    while (connection && connection->id != id)
        connection = connection->chain;
    return connection;
}

static void connection_freed(uv_handle_t *handle)
{
    free((struct connection *)handle);
}

static void connection_unlist(struct connection **list, struct connection *connection)
{
    while (*list && *list != connection)
        list = &(*list)->paused_next;
    if (*list)
        *list = connection->paused_next;
}

/* Ends it and tells the router. Not while effects are in use. */
static void connection_close(struct connection *connection)
{
    struct server *server = connection->server;
    struct router_event event = {.kind = ROUTER_EVENT_CLIENT_CLOSE, .client = connection->id};
    struct connection **at = connection_bucket(server, connection->id);

    assert(!connection->closed);
    connection->closed = true;
    while (*at != connection)
        at = &(*at)->chain;
    *at = connection->chain;
    if (connection->paused)
        connection_unlist(&server->paused, connection);
    *(connection->list_previous ? &connection->list_previous->list_next : &server->first) =
        connection->list_next;
    if (connection->list_next)
        connection->list_next->list_previous = connection->list_previous;
    server->connection_count--;
    uv_close((uv_handle_t *)&connection->tcp, connection_freed);
    server_step(server, &event);
}

static void connection_doom(struct connection *connection)
{
    if (connection->doomed || connection->closed)
        return;
    connection->doomed = true;
    connection->doomed_next = connection->server->doomed;
    connection->server->doomed = connection;
    connection->server->dirty = true;
}

static void connection_pause(struct connection *connection)
{
    struct server *server = connection->server;

    if (connection->paused)
        return;
    uv_read_stop((uv_stream_t *)&connection->tcp);
    connection->paused = true;
    connection->paused_next = server->paused;
    server->paused = connection;
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer)
{
    struct server *server = ((struct connection *)handle)->server;

    (void)suggested;
    /* One for all: libuv fills it and calls on_read() before it asks again. */
    *buffer = uv_buf_init(server->read_buffer, SERVER_READ_SIZE);
}

static void on_read(uv_stream_t *stream, ssize_t size, const uv_buf_t *buffer)
{
    struct connection *connection = (struct connection *)stream;
    struct server *server = connection->server;
    struct router_event event = {.kind = ROUTER_EVENT_CLIENT_BYTES, .client = connection->id};

    if (size == 0)
        return;
    if (size == UV_EOF) {
        uv_read_stop(stream);
        connection->ended = true;
        event.kind = ROUTER_EVENT_CLIENT_END;
        server_step(server, &event);
        return;
    }
    if (size < 0) {
        connection_doom(connection);
        uv_read_stop(stream);
        return;
    }
    event.bytes = (const uint8_t *)buffer->base;
    event.size = (size_t)size;
    server_step(server, &event);
    if (router_client_paused(server->router, connection->id))
        connection_pause(connection);
}

static void connection_opened(struct server *server, struct connection *connection)
{
    struct router_event event = {.kind = ROUTER_EVENT_CLIENT_OPEN};
    struct sockaddr_storage address;
    int size = sizeof address;
    char text[SERVER_ADDRESS_SIZE] = "";

    if (uv_tcp_getpeername(&connection->tcp, (struct sockaddr *)&address, &size) == 0)
        server_address_text(&address, text);
    connection->id = ++server->client_last;
    connection->chain = *connection_bucket(server, connection->id);
    *connection_bucket(server, connection->id) = connection;
    connection->list_next = server->first;
    if (server->first)
        server->first->list_previous = connection;
    server->first = connection;
    server->connection_count++;
    event.client = connection->id;
    event.bytes = (const uint8_t *)text;
    event.size = strlen(text);
    server_step(server, &event);
}

static void on_connection(uv_stream_t *listener, int status)
{
    struct server *server = listener->data;
    struct connection *connection;

    if (status < 0)
        return;
    connection = calloc(1, sizeof *connection);
    if (!connection || uv_tcp_init(&server->loop, &connection->tcp) < 0) {
        free(connection);
        return;
    }
    connection->server = server;
    if (uv_accept(listener, (uv_stream_t *)&connection->tcp) < 0 ||
        uv_tcp_nodelay(&connection->tcp, 1) < 0 ||
        uv_read_start((uv_stream_t *)&connection->tcp, on_alloc, on_read) < 0) {
        connection->closed = true;
        uv_close((uv_handle_t *)&connection->tcp, connection_freed);
        return;
    }
    uv_tcp_keepalive(&connection->tcp, 1, SERVER_KEEPALIVE_S);
    connection_opened(server, connection);
}

int server_clients_listen(struct server *server)
{
    struct sockaddr_storage address;
    int size = sizeof address;
    int r = server_address(server->options->resp, &address);

    assert(r == 0); /* checked before */
    r = uv_tcp_init(&server->loop, &server->listener);
    if (r < 0)
        return r;
    server->listener.data = server;
    r = uv_tcp_bind(&server->listener, (const struct sockaddr *)&address, 0);
    if (r == 0)
        r = uv_listen((uv_stream_t *)&server->listener, SERVER_BACKLOG, on_connection);
    if (r == 0)
        r = uv_tcp_getsockname(&server->listener, (struct sockaddr *)&address, &size);
    if (r < 0) {
        uv_close((uv_handle_t *)&server->listener, NULL);
        return r;
    }
    server_address_text(&address, server->address);
    return 0;
}

static void on_written(uv_write_t *request, int status)
{
    struct connection *connection = (struct connection *)request->handle;
    struct server_write *write = (struct server_write *)request;
    struct server *server = connection->server;

    assert(connection->queued >= write->size);
    connection->queued -= write->size;
    free(write);
    if (connection->closed)
        return;
    router_client_backlog(server->router, connection->id, connection->queued);
    server->dirty = true;
    if (status < 0 || (connection->finish && connection->queued == 0))
        connection_doom(connection);
}

static void connection_queue(struct connection *connection, const uint8_t *bytes, size_t size)
{
    struct server_write *write = malloc(sizeof *write + size);
    uv_buf_t buffer;

    if (!write) {
        connection_doom(connection);
        return;
    }
    write->size = size;
    memcpy(write->bytes, bytes, size);
    buffer = uv_buf_init((char *)write->bytes, (unsigned)size);
    if (uv_write(&write->request, (uv_stream_t *)&connection->tcp, &buffer, 1, on_written) < 0) {
        free(write);
        connection_doom(connection);
        return;
    }
    connection->queued += size;
}

void server_clients_output(struct server *server, const struct router_output *output)
{
    struct connection *connection = connection_find(server, output->client);
    const uint8_t *bytes = output->bytes;
    size_t size = output->size;

    if (!connection || connection->doomed)
        return;
    if (size > 0 && connection->queued == 0) {
        uv_buf_t buffer = uv_buf_init((char *)(uintptr_t)bytes, (unsigned)size);
        int r = uv_try_write((uv_stream_t *)&connection->tcp, &buffer, 1);

        if (r < 0 && r != UV_EAGAIN) {
            connection_doom(connection);
            return;
        }
        bytes += r > 0 ? r : 0;
        size -= r > 0 ? (size_t)r : 0;
    }
    if (size > 0) {
        connection_queue(connection, bytes, size);
        router_client_backlog(server->router, connection->id, connection->queued);
    }
    connection->finish |= output->close;
    if (output->close && connection->queued == 0)
        connection_doom(connection);
}

void server_clients_settle(struct server *server)
{
    struct connection **at = &server->paused;

    while (server->doomed) {
        struct connection *connection = server->doomed;

        server->doomed = connection->doomed_next;
        connection_close(connection);
    }
    while (*at) {
        struct connection *connection = *at;

        if (connection->ended || router_client_paused(server->router, connection->id)) {
            at = &connection->paused_next;
            continue;
        }
        *at = connection->paused_next;
        connection->paused = false;
        if (!server->stopping &&
            uv_read_start((uv_stream_t *)&connection->tcp, on_alloc, on_read) < 0)
            connection_doom(connection);
    }
}

bool server_clients_written(const struct server *server)
{
    for (const struct connection *c = server->first; c; c = c->list_next)
        if (c->queued > 0)
            return false;
    return true;
}

void server_clients_stop(struct server *server)
{
    uv_close((uv_handle_t *)&server->listener, NULL);
    for (struct connection *c = server->first; c; c = c->list_next)
        uv_read_stop((uv_stream_t *)&c->tcp);
}

void server_clients_close(struct server *server)
{
    server->doomed = NULL;
    while (server->first)
        connection_close(server->first);
}
