#include "link_nng_end.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define END_WAIT_S 30

static uint8_t end_fill(uint64_t correlation, size_t at)
{
    return (uint8_t)(correlation * 31 + at * 7 + (at >> 9));
}

static bool on_up(void *context, struct link *link, const struct link_peer *peer)
{
    struct end *end = context;
    pthread_mutex_lock(&end->lock);
    bool accept = !end->refuse;
    if (accept) {
        end->ups += 1;
        end->link = link;
        end->peer = *peer;
        end->next_correlation = 0;
        pthread_cond_broadcast(&end->changed);
    } else if (end->refusal.kind != REFUSAL_NONE) {
        link_refuse(link, &end->refusal);
    }
    pthread_mutex_unlock(&end->lock);
    return accept;
}

static void note(struct end *end, const struct link_message *message)
{
    bool good = true;
    for (size_t i = 0; i < message->body_size && good; i++)
        good = message->body[i] == end_fill(message->correlation, i);
    pthread_mutex_lock(&end->lock);
    end->damages += !good;
    if (message->type == WIRE_BEAT) {
        end->controls += 1;
    } else {
        end->disorders += message->correlation != end->next_correlation;
        end->next_correlation = message->correlation + 1;
        end->messages += 1;
        end->bytes += message->body_size;
    }
    pthread_cond_broadcast(&end->changed);
    pthread_mutex_unlock(&end->lock);
}

static void on_message(void *context, struct link *link, const struct link_message *message)
{
    struct end *end = context;
    note(end, message);
    pthread_mutex_lock(&end->lock);
    bool echo = end->echo, hold = end->hold, finish = end->close_on_data;
    pthread_mutex_unlock(&end->lock);
    if (echo)
        (void)link_send(link, message, 1);
    if (!hold)
        link_consumed(link, message->body_size, 1);
    if (finish)
        link_close(link);
}

static void on_down(void *context, struct link *link, const char *why)
{
    struct end *end = context;
    pthread_mutex_lock(&end->lock);
    end->downs += 1;
    if (end->link == link)
        end->link = NULL;
    snprintf(end->why, sizeof end->why, "%s", why);
    pthread_cond_broadcast(&end->changed);
    pthread_mutex_unlock(&end->lock);
}

static void on_refused(void *context, const char *address, bool dialled, uint8_t refusal,
                       const char *why, bool repeated)
{
    struct end *end = context;
    (void)address;
    (void)dialled;
    pthread_mutex_lock(&end->lock);
    end->refusals += 1;
    end->repeated += repeated;
    end->refused_kind = refusal;
    snprintf(end->refused, sizeof end->refused, "%s", why);
    pthread_cond_broadcast(&end->changed);
    pthread_mutex_unlock(&end->lock);
}

void end_init(struct end *end, const struct ticket *ticket, enum link_role role)
{
    int r = sodium_init();
    assert(r >= 0);
    memset(end, 0, sizeof *end);
    pthread_mutex_init(&end->lock, NULL);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&end->changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    identity_generate(&end->identity);
    end->options = (struct fabric_options){
        .ticket = ticket,
        .role = role,
        .on_up = on_up,
        .on_message = on_message,
        .on_down = on_down,
        .on_refused = on_refused,
    };
}

void end_open(struct end *end)
{
    end->options.identity = &end->identity;
    end->options.context = end;
    int r = fabric_open(&end->fabric, &end->options);
    assert(r == 0);
}

void end_listen(struct end *end, uint16_t port)
{
    char address[64];
    end_open(end);
    snprintf(address, sizeof address, "127.0.0.1:%u", port);
    int r = fabric_listen(end->fabric, address);
    assert(r == 0);
}

void end_close(struct end *end)
{
    fabric_close(end->fabric);
    end->fabric = NULL;
}

struct link *end_dial(struct end *end, uint16_t port, const uint8_t *expected_key)
{
    char address[64];
    struct link *link = NULL;
    snprintf(address, sizeof address, "127.0.0.1:%u", port);
    int r = fabric_dial(end->fabric, address, expected_key, end, &link);
    assert(r == 0);
    return link;
}

struct link *end_join(struct end *node, struct end *router)
{
    end_listen(node, 0);
    end_open(router);
    struct link *link = end_dial(router, fabric_port(node->fabric), node->identity.public_key);
    end_wait(router, &router->ups, 1);
    end_wait(node, &node->ups, 1);
    return link;
}

void end_part(struct end *node, struct end *router)
{
    end_close(router);
    end_close(node);
}

void end_wait(struct end *end, const uint64_t *counter, uint64_t value)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += END_WAIT_S;
    pthread_mutex_lock(&end->lock);
    int r = 0;
    while (*counter < value && r == 0)
        r = pthread_cond_timedwait(&end->changed, &end->lock, &until);
    if (*counter < value)
        fprintf(stderr, "waited in vain: %llu of %llu; down: %s; refused: %s\n",
                (unsigned long long)*counter, (unsigned long long)value, end->why, end->refused);
    assert(*counter >= value);
    pthread_mutex_unlock(&end->lock);
}

uint64_t end_read(struct end *end, const uint64_t *counter)
{
    pthread_mutex_lock(&end->lock);
    uint64_t value = *counter;
    pthread_mutex_unlock(&end->lock);
    return value;
}

struct link *end_link(struct end *end)
{
    pthread_mutex_lock(&end->lock);
    struct link *link = end->link;
    pthread_mutex_unlock(&end->lock);
    return link;
}

void end_text(struct end *end, const char *field, char text[160])
{
    pthread_mutex_lock(&end->lock);
    memcpy(text, field, 160);
    pthread_mutex_unlock(&end->lock);
}

int end_send(struct link *link, uint8_t type, uint64_t correlation, size_t size)
{
    uint8_t *body = malloc(size + 1);
    assert(body != NULL);
    for (size_t i = 0; i < size; i++)
        body[i] = end_fill(correlation, i);
    struct link_message message = {
        .type = type, .partition = 5, .correlation = correlation, .body = body, .body_size = size};
    int r = link_send(link, &message, 1);
    free(body);
    return r;
}

int raw_connect(uint16_t port)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    if (connect(fd, (struct sockaddr *)&to, sizeof to) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

void raw_reset(int fd)
{
    struct linger now = {.l_onoff = 1, .l_linger = 0};
    shutdown(fd, SHUT_WR);
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close(fd);
}

bool raw_write(int fd, const void *bytes, size_t size)
{
    const uint8_t *at = bytes;
    while (size > 0) {
        ssize_t put = send(fd, at, size, MSG_NOSIGNAL);
        if (put <= 0)
            return false;
        at += put;
        size -= (size_t)put;
    }
    return true;
}

static bool raw_readable(int fd)
{
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    return poll(&wait, 1, END_WAIT_S * 1000) > 0;
}

static bool raw_read(int fd, uint8_t *bytes, size_t size)
{
    while (size > 0) {
        if (!raw_readable(fd))
            return false;
        ssize_t got = recv(fd, bytes, size, 0);
        if (got <= 0)
            return false;
        bytes += got;
        size -= (size_t)got;
    }
    return true;
}

bool raw_wait_closed(int fd)
{
    uint8_t bytes[4096];
    while (raw_readable(fd))
        if (recv(fd, bytes, sizeof bytes, 0) <= 0)
            return true;
    return false;
}

bool raw_handshake(struct raw_client *client, uint16_t port, const struct ticket *ticket)
{
    return raw_handshake_ciphers(client, port, ticket, 0, SEAL_CIPHER_STREAM);
}

/* Message 1, made and not sent. */
static void first_message(struct raw_client *client, const struct ticket *ticket, uint16_t ciphers)
{
    static const struct ticket none;
    struct identity identity;
    identity_generate(&identity);
    struct handshake_options options = {.initiator = true,
                                        .identity = &identity,
                                        .ticket = ticket != NULL ? ticket : &none,
                                        .role = LINK_ROLE_ROUTER,
                                        .ciphers = ciphers,
                                        .credit_size = 1u << 20,
                                        .credit_messages = 1000};
    randombytes_buf(options.ephemeral_secret, sizeof options.ephemeral_secret);
    handshake_init(&client->handshake, &options);
    int r = handshake_write(&client->handshake, client->first, &client->first_size);
    assert(r == 0);
}

bool raw_first(struct raw_client *client, uint16_t port, const struct ticket *ticket)
{
    first_message(client, ticket, 0);
    client->fd = raw_connect(port);
    return client->fd >= 0 && raw_write(client->fd, client->first, client->first_size);
}

bool raw_handshake_ciphers(struct raw_client *client, uint16_t port, const struct ticket *ticket,
                           uint16_t ciphers, enum seal_cipher cipher)
{
    struct noise_keys keys;
    uint8_t out[HANDSHAKE_OUT_SIZE_MAX], header[SEAL_HEADER_SIZE];
    size_t size = 0, used = 0;
    first_message(client, ticket, ciphers);
    client->fd = raw_connect(port);
    if (client->fd < 0)
        return false;
    if (!raw_write(client->fd, client->first, client->first_size) || !raw_read(client->fd, out, 2))
        return false;
    size = 2 + (size_t)out[0] + ((size_t)out[1] << 8);
    if (size > sizeof out || !raw_read(client->fd, out + 2, size - 2))
        return false;
    if (handshake_read(&client->handshake, out, size, &used) != 0)
        return false;
    int r = handshake_write(&client->handshake, out, &size);
    assert(r == 0);
    handshake_split(&client->handshake, &keys);
    randombytes_buf(header, sizeof header);
    r = seal_sender_init(&client->sealer, cipher, keys.send, 0, header);
    assert(r == 0);
    if (!raw_write(client->fd, out, size) || !raw_write(client->fd, header, sizeof header))
        return false;
    if (!raw_read(client->fd, header, sizeof header))
        return false;
    r = seal_receiver_init(&client->opener, cipher, keys.receive, header);
    assert(r == 0);
    return true;
}

void raw_end(struct raw_client *client)
{
    close(client->fd);
    seal_sender_deinit(&client->sealer);
    seal_receiver_deinit(&client->opener);
}

bool raw_packet(struct raw_client *client, const uint8_t *plain, size_t plain_size)
{
    uint8_t *packet = malloc(plain_size + SEAL_PACKET_OVERHEAD);
    assert(packet != NULL);
    memcpy(packet + SEAL_PLAIN_OFFSET, plain, plain_size);
    size_t size = seal_packet(&client->sealer, packet, plain_size, false);
    bool done = raw_write(client->fd, packet, size);
    free(packet);
    return done;
}

/* Passes what there is from one socket to the other. False when the connection is over. */
static bool relay_pass(struct relay *relay, int from, int to)
{
    uint8_t bytes[16384];
    ssize_t got = recv(from, bytes, sizeof bytes, MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return true;
    if (got <= 0)
        return false;
    if (atomic_exchange(&relay->flip, false))
        bytes[got / 2] ^= 0x10;
    return raw_write(to, bytes, (size_t)got);
}

/* One connection at a time, with a short poll so that stop and stalled are seen. */
static void *relay_main(void *argument)
{
    struct relay *relay = argument;
    while (!atomic_load(&relay->stop)) {
        struct pollfd wait = {.fd = relay->listener, .events = POLLIN};
        if (poll(&wait, 1, 10) <= 0)
            continue;
        int ends[2] = {accept(relay->listener, NULL, NULL), raw_connect(relay->target)};
        bool alive = ends[0] >= 0 && ends[1] >= 0;
        atomic_fetch_add(&relay->count, 1);
        while (alive && !atomic_load(&relay->stop)) {
            struct pollfd both[2] = {{.fd = ends[0], .events = POLLIN},
                                     {.fd = ends[1], .events = POLLIN}};
            if (atomic_load(&relay->stalled)) {
                alive = poll(NULL, 0, 5) == 0;
                /* a stalled connection ends when somebody stops believing in it */
                struct pollfd gone[2] = {{.fd = ends[0], .events = POLLRDHUP},
                                         {.fd = ends[1], .events = POLLRDHUP}};
                alive = alive && poll(gone, 2, 0) == 0;
                continue;
            }
            if (poll(both, 2, 10) > 0)
                alive = relay_pass(relay, ends[0], ends[1]) && relay_pass(relay, ends[1], ends[0]);
        }
        for (unsigned i = 0; i < 2; i++)
            if (ends[i] >= 0)
                close(ends[i]);
    }
    return NULL;
}

void relay_open(struct relay *relay, uint16_t target)
{
    struct sockaddr_in at = {.sin_family = AF_INET};
    socklen_t size = sizeof at;
    memset(relay, 0, sizeof *relay);
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    relay->target = target;
    relay->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert(relay->listener >= 0);
    int r = bind(relay->listener, (struct sockaddr *)&at, sizeof at);
    assert(r == 0);
    r = listen(relay->listener, 16);
    assert(r == 0);
    r = getsockname(relay->listener, (struct sockaddr *)&at, &size);
    assert(r == 0);
    relay->port = ntohs(at.sin_port);
    r = pthread_create(&relay->thread, NULL, relay_main, relay);
    assert(r == 0);
}

void relay_close(struct relay *relay)
{
    atomic_store(&relay->stop, true);
    pthread_join(relay->thread, NULL);
    close(relay->listener);
}
