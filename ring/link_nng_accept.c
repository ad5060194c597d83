/* The listening side of a fabric: addresses, accepting, and what an unknown peer may cost. */
#include "ring/link_nng_internal.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* "HOST:PORT" or "[HOST]:PORT", numeric, into an nng URL. 0 or -EINVAL. */
int fabric_address(const char *address, bool dial, char url[LINK_ADDRESS_SIZE + 8])
{
    char host[LINK_ADDRESS_SIZE];
    struct in6_addr bytes;
    const char *colon = strrchr(address, ':');
    if (colon == NULL || colon == address || strlen(address) >= LINK_ADDRESS_SIZE)
        return -EINVAL;
    size_t size = (size_t)(colon - address);
    int family = AF_INET;
    if (address[0] == '[') {
        if (size < 3 || address[size - 1] != ']')
            return -EINVAL;
        family = AF_INET6;
        memcpy(host, address + 1, size - 2);
        host[size - 2] = '\0';
    } else {
        memcpy(host, address, size);
        host[size] = '\0';
    }
    char *end = NULL;
    unsigned long port = strtoul(colon + 1, &end, 10);
    if (colon[1] < '0' || colon[1] > '9' || *end != '\0' || port > UINT16_MAX)
        return -EINVAL;
    if (inet_pton(family, host, &bytes) != 1 || (dial && port == 0))
        return -EINVAL;
    snprintf(url, LINK_ADDRESS_SIZE + 8, "tcp://%s", address);
    return 0;
}

int fabric_errno(int nng_error)
{
    if (nng_error & NNG_ESYSERR)
        return -(nng_error & ~NNG_ESYSERR);
    switch (nng_error) {
    case 0:
        return 0;
    case NNG_EADDRINUSE:
        return -EADDRINUSE;
    case NNG_EADDRINVAL:
        return -EADDRNOTAVAIL;
    case NNG_EPERM:
        return -EACCES;
    case NNG_ENOMEM:
        return -ENOMEM;
    case NNG_ENOFILES:
        return -EMFILE;
    case NNG_EINVAL:
        return -EINVAL;
    default:
        return -EIO;
    }
}

void fabric_pending_remove(struct fabric *fabric, struct conn *conn)
{
    pthread_mutex_lock(&fabric->lock);
    if (conn->pending) {
        conn->pending = false;
        fabric->pending_count -= 1;
        if (conn->pending_prev != NULL)
            conn->pending_prev->pending_next = conn->pending_next;
        else
            fabric->pending_first = conn->pending_next;
        if (conn->pending_next != NULL)
            conn->pending_next->pending_prev = conn->pending_prev;
        else
            fabric->pending_last = conn->pending_prev;
    }
    pthread_mutex_unlock(&fabric->lock);
}

/* The oldest that has shown the psk, or has not, makes room. fabric->lock held. False: none. */
static bool fabric_push_out(struct fabric *fabric, bool heard)
{
    for (struct conn *old = fabric->pending_first; old != NULL; old = old->pending_next) {
        if (atomic_load(&old->heard) != heard)
            continue;
        pthread_mutex_lock(&old->link->lock);
        /* It leaves the list when its callback has run; until then it is no candidate again. */
        bool goes = !old->broken;
        conn_break(old, "too many connections without a handshake");
        pthread_mutex_unlock(&old->link->lock);
        if (goes)
            return true;
    }
    return false;
}

/* Puts a new connection among the unauthenticated ones. When they are too many, the oldest that
 * has not shown the psk makes room; when all have, the oldest of these: an honest peer needs a few
 * milliseconds, so a flood of idle connections pushes out itself. Whoever has shown it may have
 * recorded it, or have a ticket that opens little. */
static bool fabric_pending_add(struct fabric *fabric, struct conn *conn)
{
    pthread_mutex_lock(&fabric->lock);
    bool room = fabric->pending_count < fabric->options.pending_max ||
                fabric_push_out(fabric, false) || fabric_push_out(fabric, true);
    /* Those pushed out still count until they are gone: twice the limit is the end. */
    if (fabric->pending_count >= 2 * (uint64_t)fabric->options.pending_max)
        room = false;
    if (room) {
        conn->pending = true;
        conn->pending_prev = fabric->pending_last;
        conn->pending_next = NULL;
        if (fabric->pending_last != NULL)
            fabric->pending_last->pending_next = conn;
        else
            fabric->pending_first = conn;
        fabric->pending_last = conn;
        fabric->pending_count += 1;
    }
    pthread_mutex_unlock(&fabric->lock);
    return room;
}

/* True when a first message with this ephemeral key came before: then it is a replay. Honest peers
 * draw a fresh one each time. */
bool fabric_seen(struct fabric *fabric, const uint8_t *ephemeral)
{
    uint64_t word;
    bool seen = false;
    memcpy(&word, ephemeral, sizeof word);
    pthread_mutex_lock(&fabric->lock);
    for (uint32_t i = 0; i < FABRIC_SEEN_MAX && !seen; i++)
        seen = fabric->seen[i] == word;
    if (!seen) {
        fabric->seen[fabric->seen_next] = word;
        fabric->seen_next = (fabric->seen_next + 1) % FABRIC_SEEN_MAX;
    }
    pthread_mutex_unlock(&fabric->lock);
    return seen;
}

void fabric_set_tickets(struct fabric *fabric, const uint8_t psk[TICKET_PSK_SIZE],
                        const struct tickets_candidate *candidates, uint32_t count)
{
    assert(count <= TICKETS_CANDIDATES_MAX);
    pthread_mutex_lock(&fabric->lock);
    memcpy(fabric->offered.psk, psk, TICKET_PSK_SIZE);
    sodium_memzero(fabric->candidates, sizeof fabric->candidates);
    if (count > 0)
        memcpy(fabric->candidates, candidates, count * sizeof *candidates);
    fabric->candidate_count = count;
    pthread_mutex_unlock(&fabric->lock);
}

int fabric_read_first(struct conn *conn, const uint8_t *bytes, size_t size, size_t *used)
{
    struct fabric *fabric = conn->fabric;
    struct tickets_candidate candidates[TICKETS_CANDIDATES_MAX];
    const struct tickets_candidate *opened = NULL;
    pthread_mutex_lock(&fabric->lock);
    uint32_t count = fabric->candidate_count;
    memcpy(candidates, fabric->candidates, sizeof candidates);
    pthread_mutex_unlock(&fabric->lock);
    int r = handshake_read_first(conn->handshake, candidates, count, bytes, size, used, &opened);
    if (r == 0 && *used > 0) {
        conn->ticket = opened->id;
        conn->generation = opened->generation;
    }
    sodium_memzero(candidates, sizeof candidates);
    return r;
}

static void fabric_remote(nng_stream *stream, char address[LINK_ADDRESS_SIZE])
{
    nng_sockaddr remote;
    char host[INET6_ADDRSTRLEN] = "?";
    snprintf(address, LINK_ADDRESS_SIZE, "?");
    if (nng_stream_get_addr(stream, NNG_OPT_REMADDR, &remote) != 0)
        return;
    if (remote.s_family == NNG_AF_INET) {
        inet_ntop(AF_INET, &remote.s_in.sa_addr, host, sizeof host);
        snprintf(address, LINK_ADDRESS_SIZE, "%s:%u", host, ntohs(remote.s_in.sa_port));
    } else if (remote.s_family == NNG_AF_INET6) {
        inet_ntop(AF_INET6, &remote.s_in6.sa_addr, host, sizeof host);
        snprintf(address, LINK_ADDRESS_SIZE, "[%s]:%u", host, ntohs(remote.s_in6.sa_port));
    }
}

static void fabric_accepted(struct fabric *fabric, nng_stream *stream)
{
    char address[LINK_ADDRESS_SIZE];
    struct conn *conn = NULL;
    fabric_remote(stream, address);
    struct link *link = link_new(fabric, address);
    if (link == NULL) {
        nng_stream_free(stream);
        return;
    }
    if (conn_new(link, stream, address, &conn) < 0) {
        link->closed = true;
        link_add(link); /* the keeper frees it */
        return;
    }
    link_add(link);
    if (!fabric_pending_add(fabric, conn)) {
        pthread_mutex_lock(&link->lock);
        conn_break(conn, "too many handshakes at once");
        pthread_mutex_unlock(&link->lock);
    }
    conn_start(conn);
}

/* Whatever happens to one connection, the loop goes on: after an error it pauses, and the keeper
 * takes it up again. */
static void fabric_accept_done(void *argument)
{
    struct fabric *fabric = argument;
    int r = nng_aio_result(fabric->accept_aio);
    if (r == 0)
        fabric_accepted(fabric, nng_aio_get_output(fabric->accept_aio, 0));
    pthread_mutex_lock(&fabric->lock);
    bool closing = fabric->closing;
    if (r != 0 && !closing) {
        fabric->accept_paused = true;
        fabric->accept_due_ms = link_now_ms() + FABRIC_ACCEPT_PAUSE_MS;
    }
    pthread_mutex_unlock(&fabric->lock);
    if (r == 0 && !closing)
        fabric_accept(fabric);
    if (r != 0 && !closing)
        fabric_refused(fabric, "?", false, REFUSAL_NONE, nng_strerror(r), false);
}

void fabric_accept(struct fabric *fabric)
{
    nng_stream_listener_accept(fabric->listener, fabric->accept_aio);
}

int fabric_listen(struct fabric *fabric, const char *address)
{
    char url[LINK_ADDRESS_SIZE + 8];
    nng_stream_listener *listener = NULL;
    int port = 0;
    assert(fabric->listener == NULL);
    if (fabric_address(address, false, url) < 0)
        return -EINVAL;
    if (fabric->accept_aio == NULL) {
        if (nng_aio_alloc(&fabric->accept_aio, fabric_accept_done, fabric) != 0)
            return -ENOMEM;
        nng_aio_set_timeout(fabric->accept_aio, NNG_DURATION_INFINITE);
    }
    int r = nng_stream_listener_alloc(&listener, url);
    if (r != 0)
        return fabric_errno(r);
    r = nng_stream_listener_set_bool(listener, NNG_OPT_TCP_NODELAY, true);
    if (r == 0)
        r = nng_stream_listener_listen(listener);
    if (r == 0)
        r = nng_stream_listener_get_int(listener, NNG_OPT_TCP_BOUND_PORT, &port);
    if (r != 0) {
        nng_stream_listener_free(listener);
        return fabric_errno(r);
    }
    fabric->port = (uint16_t)port;
    fabric->listener = listener;
    fabric_accept(fabric);
    return 0;
}

/* The keeper, at the end. */
void fabric_listen_stop(struct fabric *fabric)
{
    if (fabric->listener == NULL)
        return;
    nng_stream_listener_close(fabric->listener);
    nng_aio_stop(fabric->accept_aio);
    nng_stream_listener_free(fabric->listener);
}

uint16_t fabric_port(const struct fabric *fabric)
{
    return fabric->port;
}
