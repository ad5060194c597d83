#include "tests/process/resp_client.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "tests/process/program.h"

#define WORDS_MAX 256u

enum parse { PARSE_MORE, PARSE_DONE, PARSE_BAD };

void resp_client_init(struct resp_client *client)
{
    *client = (struct resp_client){.fd = -1};
}

void resp_client_close(struct resp_client *client)
{
    if (client->fd >= 0)
        close(client->fd);
    client->fd = -1;
    client->in_size = 0;
}

void resp_client_deinit(struct resp_client *client)
{
    resp_client_close(client);
    free(client->in);
    client->in = NULL;
}

int resp_client_connect(struct resp_client *client, uint16_t port, uint32_t timeout_ms)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct timeval limit = {.tv_sec = timeout_ms / 1000,
                            .tv_usec = (long)(timeout_ms % 1000) * 1000};
    int one = 1, r = 0;

    resp_client_close(client);
    client->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (client->fd < 0)
        return -errno;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(client->fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    setsockopt(client->fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    setsockopt(client->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (connect(client->fd, (struct sockaddr *)&address, sizeof address) != 0) {
        r = -errno;
        resp_client_close(client);
    }
    return r;
}

/* A line "<kind>text\r\n" at *at. */
static enum parse parse_line(const char *in, size_t size, size_t *at, struct resp_text *line)
{
    const char *end = memchr(in + *at, '\r', size - *at);

    if (!end || end + 1 == in + size)
        return PARSE_MORE;
    *line = (struct resp_text){in + *at, (size_t)(end - in) - *at};
    *at += line->size + 2;
    return line->size > 0 && end[1] == '\n' ? PARSE_DONE : PARSE_BAD;
}

static enum parse parse_bulk(const char *in, size_t size, size_t *at, struct resp_text *text,
                             const struct resp_text *head)
{
    long long length = strtoll(head->data + 1, NULL, 10);

    *text = (struct resp_text){0};
    if (length < 0)
        return PARSE_DONE;
    if (size - *at < (size_t)length + 2)
        return PARSE_MORE;
    *text = (struct resp_text){in + *at, (size_t)length};
    *at += (size_t)length + 2;
    return PARSE_DONE;
}

static enum parse parse_array(const char *in, size_t size, size_t *at, struct resp_value *value,
                              const struct resp_text *head)
{
    long long count = strtoll(head->data + 1, NULL, 10);

    value->item_count = count > 0 ? (size_t)count : 0;
    if (value->item_count > RESP_ITEMS_MAX)
        return PARSE_BAD;
    for (size_t i = 0; i < value->item_count; i++) {
        struct resp_text line;
        enum parse parse = parse_line(in, size, at, &line);

        if (parse == PARSE_DONE)
            parse =
                *line.data == '$' ? parse_bulk(in, size, at, &value->items[i], &line) : PARSE_BAD;
        if (parse != PARSE_DONE)
            return parse;
    }
    return PARSE_DONE;
}

static enum parse parse_value(const char *in, size_t size, struct resp_value *value)
{
    struct resp_text line;
    size_t at = 0;
    enum parse parse = parse_line(in, size, &at, &line);

    if (parse != PARSE_DONE)
        return parse;
    value->kind = *line.data;
    switch (value->kind) {
    case '+':
    case '-':
        value->text = (struct resp_text){line.data + 1, line.size - 1};
        break;
    case ':':
        value->integer = strtoll(line.data + 1, NULL, 10);
        break;
    case '$':
        parse = parse_bulk(in, size, &at, &value->text, &line);
        break;
    case '*':
        parse = parse_array(in, size, &at, value, &line);
        break;
    default:
        return PARSE_BAD;
    }
    return parse == PARSE_DONE && at != size ? PARSE_BAD : parse;
}

static int send_all(struct resp_client *client, const char *bytes, size_t size)
{
    while (size > 0) {
        ssize_t sent = send(client->fd, bytes, size, MSG_NOSIGNAL);

        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0)
            return -errno;
        bytes += sent;
        size -= (size_t)sent;
    }
    return 0;
}

static int receive(struct resp_client *client)
{
    ssize_t got;

    if (client->in_capacity - client->in_size < 4096) {
        size_t capacity = client->in_capacity ? 2 * client->in_capacity : 16384;
        char *in = realloc(client->in, capacity);

        if (!in)
            return -ENOMEM;
        client->in = in;
        client->in_capacity = capacity;
    }
    /* With a timeout it is interrupted when the process was stopped and goes on, and by the end of
     * a child that comes while the first thread has its signals blocked to start another. */
    do
        got = recv(client->fd, client->in + client->in_size, client->in_capacity - client->in_size,
                   0);
    while (got < 0 && errno == EINTR);
    if (got <= 0)
        return got < 0 ? -errno : -ECONNRESET;
    client->in_size += (size_t)got;
    return 0;
}

static int send_command(struct resp_client *client, const struct resp_text *words, size_t count)
{
    char *out = NULL;
    size_t size;
    FILE *stream = open_memstream(&out, &size);
    int r;

    if (!stream)
        return -ENOMEM;
    fprintf(stream, "*%zu\r\n", count);
    for (size_t i = 0; i < count; i++) {
        fprintf(stream, "$%zu\r\n", words[i].size);
        fwrite(words[i].data, 1, words[i].size, stream);
        fputs("\r\n", stream);
    }
    r = fclose(stream) == 0 ? send_all(client, out, size) : -ENOMEM;
    free(out);
    return r;
}

int resp_client_call(struct resp_client *client, const struct resp_text *words, size_t count,
                     struct resp_value *value)
{
    enum parse parse = PARSE_MORE;
    int r;

    if (client->fd < 0)
        return -ENOTCONN;
    client->in_size = 0;
    r = send_command(client, words, count);
    while (r == 0 && parse == PARSE_MORE) {
        *value = (struct resp_value){0};
        r = receive(client);
        if (r == 0)
            parse = parse_value(client->in, client->in_size, value);
    }
    if (r == 0 && parse == PARSE_BAD)
        r = -EPROTO;
    if (r != 0)
        resp_client_close(client);
    return r;
}

int resp_client_command(struct resp_client *client, struct resp_value *value, ...)
{
    struct resp_text words[WORDS_MAX];
    const char *word;
    size_t count = 0;
    va_list list;

    va_start(list, value);
    while ((word = va_arg(list, const char *))) {
        assert(count < WORDS_MAX);
        words[count++] = (struct resp_text){word, strlen(word)};
    }
    va_end(list);
    return resp_client_call(client, words, count, value);
}

void resp_client_open(struct resp_client *client, uint16_t port, uint32_t timeout_ms)
{
    int r;

    resp_client_init(client);
    r = resp_client_connect(client, port, timeout_ms);
    REQUIRE(r == 0, "no router: %s", strerror(-r));
}

void resp_client_set_bytes(struct resp_client *client, const char *key, const void *bytes,
                           size_t size)
{
    struct resp_text words[] = {{"SET", 3}, {key, strlen(key)}, {bytes, size}};
    struct resp_value reply = {0};

    REQUIRE(resp_client_call(client, words, 3, &reply) == 0 && reply.kind == '+', "SET %s: %s", key,
            resp_value_told(&reply));
}

void resp_client_set(struct resp_client *client, const char *key, const char *value)
{
    resp_client_set_bytes(client, key, value, strlen(value));
}

void resp_client_expect_bytes(struct resp_client *client, const char *key, const void *bytes,
                              size_t size)
{
    struct resp_value reply = {0};

    REQUIRE(resp_client_command(client, &reply, "GET", key, NULL) == 0 && reply.text.data &&
                reply.text.size == size && memcmp(reply.text.data, bytes, size) == 0,
            "%s is lost or changed: %s", key, resp_value_told(&reply));
}

void resp_client_expect(struct resp_client *client, const char *key, const char *value)
{
    resp_client_expect_bytes(client, key, value, strlen(value));
}

bool resp_value_is(const struct resp_value *value, const char *text)
{
    return value->text.data && value->text.size == strlen(text) &&
           memcmp(value->text.data, text, value->text.size) == 0;
}

const char *resp_value_told(const struct resp_value *value)
{
    static char text[160];

    if (value->kind == '-')
        snprintf(text, sizeof text, "%.*s", (int)value->text.size, value->text.data);
    else
        snprintf(text, sizeof text, "%s",
                 value->kind == 0   ? "no answer"
                 : value->text.data ? "another value"
                                    : "nil");
    return text;
}
