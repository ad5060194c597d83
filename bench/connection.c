#include "bench/connection.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define IN_SIZE       (64u << 10)
#define ARG_HEAD_SIZE 32u /* "$<20 digits>\r\n" and what closes it */

static int open_socket(const struct sockaddr_in *address)
{
    int one = 1, r, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -errno;
    if (connect(fd, (const struct sockaddr *)address, sizeof *address) != 0 ||
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) != 0 ||
        fcntl(fd, F_SETFL, O_NONBLOCK) != 0) {
        r = -errno;
        close(fd);
        return r;
    }
    return fd;
}

static int open_memory(struct connection *connection)
{
    assert(connection->requests_max > 0);
    connection->in_capacity = IN_SIZE;
    connection->in = malloc(connection->in_capacity);
    connection->requests = calloc(connection->requests_max, sizeof *connection->requests);
    if (connection->in && connection->requests)
        return 0;
    connection_close(connection);
    return -ENOMEM;
}

int connection_open(struct connection *connection, const struct sockaddr_in *address,
                    uint32_t requests_max)
{
    int fd = open_socket(address);

    *connection = (struct connection){.fd = fd, .requests_max = requests_max};
    return fd < 0 ? fd : open_memory(connection);
}

int connection_open_native(struct connection *connection, struct native *native, uint64_t client,
                           uint32_t requests_max)
{
    *connection = (struct connection){
        .fd = -1, .native = native, .client = client, .requests_max = requests_max};
    native_connect(native, client);
    return open_memory(connection);
}

void connection_close(struct connection *connection)
{
    if (connection->fd >= 0)
        close(connection->fd);
    if (connection->native)
        native_disconnect(connection->native, connection->client);
    free(connection->out);
    free(connection->in);
    free(connection->requests);
    *connection = (struct connection){.fd = -1};
}

/* A bench without memory has nothing to measure. */
static char *grown(char *bytes, size_t size)
{
    bytes = realloc(bytes, size);
    if (!bytes)
        abort();
    return bytes;
}

static char *out_space(struct connection *connection, size_t size)
{
    if (connection->out_at == connection->out_size)
        connection->out_at = connection->out_size = 0;
    if (connection->out_size + size > connection->out_capacity) {
        connection->out_capacity = 2 * (connection->out_size + size);
        connection->out = grown(connection->out, connection->out_capacity);
    }
    return connection->out + connection->out_size;
}

static char *put_arg(char *at, const char *bytes, size_t size)
{
    at += sprintf(at, "$%zu\r\n", size);
    memcpy(at, bytes, size);
    at[size] = '\r';
    at[size + 1] = '\n';
    return at + size + 2;
}

static void push(struct connection *connection, const struct request *request)
{
    uint32_t at = connection->request_first + connection->request_count;

    assert(connection->request_count < connection->requests_max);
    connection->requests[at % connection->requests_max] = *request;
    connection->request_count++;
}

void connection_get(struct connection *connection, const struct request *request, const char *key,
                    size_t key_size)
{
    static const char head[] = "*2\r\n$3\r\nGET\r\n";
    char *at = out_space(connection, sizeof head + key_size + ARG_HEAD_SIZE);

    memcpy(at, head, sizeof head - 1);
    at = put_arg(at + sizeof head - 1, key, key_size);
    connection->out_size = (size_t)(at - connection->out);
    push(connection, request);
}

void connection_set(struct connection *connection, const struct request *request, const char *key,
                    size_t key_size, const char *value, size_t value_size)
{
    static const char head[] = "*3\r\n$3\r\nSET\r\n";
    char *at = out_space(connection, sizeof head + key_size + value_size + 2 * ARG_HEAD_SIZE);

    memcpy(at, head, sizeof head - 1);
    at = put_arg(at + sizeof head - 1, key, key_size);
    at = put_arg(at, value, value_size);
    connection->out_size = (size_t)(at - connection->out);
    push(connection, request);
}

int connection_flush(struct connection *connection)
{
    if (connection->native && connection->out_at < connection->out_size) {
        native_send(connection->native, connection->client, connection->out + connection->out_at,
                    connection->out_size - connection->out_at);
        connection->out_at = connection->out_size;
    }
    while (connection->out_at < connection->out_size) {
        ssize_t n = send(connection->fd, connection->out + connection->out_at,
                         connection->out_size - connection->out_at, MSG_NOSIGNAL);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno == EAGAIN ? 0 : -errno;
        connection->out_at += (size_t)n;
    }
    return 1;
}

/* Room for `size` more bytes behind what has not been parsed yet. */
static char *in_space(struct connection *connection, size_t size)
{
    if (connection->in_at > 0) {
        connection->in_size -= connection->in_at;
        memmove(connection->in, connection->in + connection->in_at, connection->in_size);
        connection->in_at = 0;
    }
    if (connection->in_size + size > connection->in_capacity) {
        connection->in_capacity = 2 * (connection->in_size + size);
        connection->in = grown(connection->in, connection->in_capacity);
    }
    return connection->in + connection->in_size;
}

void connection_input(struct connection *connection, const void *bytes, size_t size, bool closed)
{
    if (size > 0)
        memcpy(in_space(connection, size), bytes, size);
    connection->in_size += size;
    connection->broken = connection->broken || closed;
}

int64_t connection_read(struct connection *connection)
{
    char *space;
    ssize_t n;

    if (connection->native)
        return connection->broken ? -ECONNRESET : 0;
    space = in_space(connection, 1);
    n = recv(connection->fd, space, connection->in_capacity - connection->in_size, 0);
    if (n < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : -errno;
    if (n == 0)
        return -ECONNRESET;
    connection->in_size += (size_t)n;
    return n;
}

int connection_reply(struct connection *connection, struct reply *reply, struct request *request)
{
    int64_t size = reply_parse(connection->in + connection->in_at,
                               connection->in_size - connection->in_at, reply);

    if (size == 0)
        return 0;
    if (size < 0 || connection->request_count == 0)
        return -EPROTO;
    connection->in_at += (size_t)size;
    *request = connection->requests[connection->request_first];
    connection->request_first = (connection->request_first + 1) % connection->requests_max;
    connection->request_count--;
    return 1;
}
