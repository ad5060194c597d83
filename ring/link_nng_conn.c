/* A connection's life: made of a stream, receiving until it breaks, handed to the keeper. */
#include "ring/link_nng_internal.h"

#include <assert.h>
#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CONN_SMALL_RUNS_MAX 64u /* receives before a large buffer is given back */

/* What a connection takes of our memory before it has authenticated (nng's is not counted). */
_Static_assert(sizeof(struct conn) + sizeof(struct link) + sizeof(struct handshake) +
                       CONN_IN_SIZE_MIN + CONN_OUT_SIZE_MIN <=
                   4096,
               "4 KiB");

static void conn_received(void *argument);

void conn_break(struct conn *conn, const char *why)
{
    if (conn->broken)
        return;
    conn->broken = true;
    conn->why = why;
    atomic_store(&conn->mute, true);
    nng_stream_close(conn->stream);
}

bool conn_unpin(struct conn *conn)
{
    assert(conn->pins > 0);
    conn->pins -= 1;
    assert(conn->pins > 0 || conn->broken);
    return conn->pins == 0;
}

void conn_retire(struct conn *conn)
{
    struct fabric *fabric = conn->fabric;
    pthread_mutex_lock(&fabric->lock);
    conn->dead_next = fabric->dead;
    fabric->dead = conn;
    fabric->woken = true;
    pthread_cond_signal(&fabric->wake);
    pthread_mutex_unlock(&fabric->lock);
}

void conn_begin(struct conn *conn, nng_aio *aio, void (*begin)(nng_stream *, nng_aio *))
{
    struct link *link = conn->link;
    pthread_mutex_lock(&link->lock);
    conn->pins += 1;
    pthread_mutex_unlock(&link->lock);
    begin(conn->stream, aio);
    pthread_mutex_lock(&link->lock);
    if (conn->broken) {
        pthread_mutex_unlock(&link->lock);
        nng_aio_cancel(aio);
        pthread_mutex_lock(&link->lock);
    }
    bool dead = conn_unpin(conn);
    pthread_mutex_unlock(&link->lock);
    if (dead)
        conn_retire(conn);
}

static void conn_free_memory(struct conn *conn)
{
    if (conn->send_aio != NULL)
        nng_aio_free(conn->send_aio);
    if (conn->inline_aio != NULL)
        nng_aio_free(conn->inline_aio);
    if (conn->receive_aio != NULL)
        nng_aio_free(conn->receive_aio);
    nng_stream_free(conn->stream);
    if (conn->fd >= 0)
        close(conn->fd);
    if (conn->handshake != NULL)
        handshake_deinit(conn->handshake);
    if (conn->keys != NULL)
        sodium_memzero(conn->keys, sizeof *conn->keys);
    free(conn->handshake);
    free(conn->keys);
    link_reader_deinit(&conn->reader);
    link_sender_deinit(&conn->sender);
    seal_sender_deinit(&conn->sealer);
    seal_receiver_deinit(&conn->opener);
    free(conn->in);
    free(conn->out);
    free(conn);
}

void conn_free(struct conn *conn)
{
    assert(conn->pins == 0);
    nng_aio_stop(conn->receive_aio);
    nng_aio_stop(conn->send_aio);
    conn_free_memory(conn);
}

static void conn_handshake_init(struct conn *conn, const struct link *link)
{
    const struct fabric_options *options = &conn->fabric->options;
    struct ticket offered;
    struct handshake_options handshake = {
        .initiator = link->dialled,
        .identity = options->identity,
        .ticket = &offered,
        .role = options->role,
        .ciphers = conn->fabric->ciphers,
        .credit_size = options->credit_size,
        .credit_messages = options->credit_messages,
        .expected_key = link->pinned ? link->expected_key : NULL,
    };
    pthread_mutex_lock(&conn->fabric->lock);
    offered = conn->fabric->offered;
    pthread_mutex_unlock(&conn->fabric->lock);
    randombytes_buf(handshake.ephemeral_secret, sizeof handshake.ephemeral_secret);
    handshake_init(conn->handshake, &handshake);
    ticket_wipe(&offered);
    sodium_memzero(handshake.ephemeral_secret, sizeof handshake.ephemeral_secret);
}

/* Takes the stream, also when it fails. The pin is the receiving side's: for conn_start(). */
int conn_new(struct link *link, nng_stream *stream, const char *address, struct conn **out)
{
    struct conn *conn = calloc(1, sizeof *conn);
    if (conn == NULL) {
        nng_stream_free(stream);
        return -ENOMEM;
    }
    conn->fabric = link->fabric;
    conn->link = link;
    conn->fd = -1;
    conn->stream = stream;
    conn->handshake = malloc(sizeof *conn->handshake);
    conn->in = malloc(CONN_IN_SIZE_MIN);
    conn->in_capacity = CONN_IN_SIZE_MIN;
    if (conn->handshake != NULL)
        conn_handshake_init(conn, link);
    if (conn->handshake == NULL || conn->in == NULL ||
        nng_aio_alloc(&conn->receive_aio, conn_received, conn) != 0 ||
        nng_aio_alloc(&conn->send_aio, conn_sent, conn) != 0) {
        conn_free_memory(conn);
        return -ENOMEM;
    }
    nng_aio_set_timeout(conn->receive_aio, NNG_DURATION_INFINITE);
    nng_aio_set_timeout(conn->send_aio, NNG_DURATION_INFINITE);
    snprintf(conn->address, sizeof conn->address, "%s", address);
    link_reader_init(&conn->reader);
    conn->pins = 1;
    conn->started_ms = link_now_ms();
    atomic_store(&conn->received_ms, conn->started_ms);
    pthread_mutex_lock(&link->lock);
    assert(link->conn == NULL);
    link->conn = conn;
    link->conn_count += 1;
    if (link->dialled)
        link->state = LINK_CONNECTED;
    if (link->closed)
        conn_break(conn, "closed");
    pthread_mutex_unlock(&link->lock);
    *out = conn;
    return 0;
}

/* Another buffer of that capacity with the same bytes. */
static bool conn_in_resize(struct conn *conn, size_t capacity)
{
    size_t used = conn->in_tail - conn->in_head;
    uint8_t *in = malloc(capacity);
    if (in == NULL)
        return false;
    assert(used <= capacity);
    memcpy(in, conn->in + conn->in_head, used);
    free(conn->in);
    conn->in = in;
    conn->in_head = 0;
    conn->in_tail = used;
    conn->in_capacity = capacity;
    return true;
}

/* Makes room for the next receive. False when there is no memory. */
static bool conn_in_room(struct conn *conn)
{
    size_t used = conn->in_tail - conn->in_head;
    if (conn->stage == CONN_PACKETS && conn->in_capacity < CONN_IN_SIZE)
        return conn_in_resize(conn, CONN_IN_SIZE);
    if (conn->in_need > conn->in_capacity)
        return conn_in_resize(conn, CONN_IN_SIZE_MAX);
    if (used == 0) {
        conn->in_head = 0;
        conn->in_tail = 0;
        if (conn->in_capacity > CONN_IN_SIZE && conn->in_small_runs >= CONN_SMALL_RUNS_MAX)
            return conn_in_resize(conn, CONN_IN_SIZE);
        return true;
    }
    size_t wanted =
        conn->in_need > used + conn->in_capacity / 4 ? conn->in_need : used + conn->in_capacity / 4;
    if (conn->in_head > 0 && conn->in_head + wanted > conn->in_capacity) {
        memmove(conn->in, conn->in + conn->in_head, used);
        conn->in_head = 0;
        conn->in_tail = used;
    }
    return true;
}

/* Begins the next receive; its callback takes over the pin of the receiving side. */
static void conn_receive(struct conn *conn)
{
    nng_iov iov = {.iov_buf = conn->in + conn->in_tail,
                   .iov_len = conn->in_capacity - conn->in_tail};
    assert(iov.iov_len > 0);
    nng_aio_set_iov(conn->receive_aio, 1, &iov);
    conn_begin(conn, conn->receive_aio, nng_stream_recv);
}

void conn_start(struct conn *conn)
{
    struct link *link = conn->link;
    bool flush = false;
    if (link->dialled) {
        size_t size = 0;
        pthread_mutex_lock(&link->lock);
        int r = handshake_write(conn->handshake, conn->raw, &size);
        assert(r == 0);
        conn->raw_size = size;
        flush = conn_claim(conn);
        pthread_mutex_unlock(&link->lock);
    }
    conn_receive(conn); /* from here on only the claim keeps conn alive */
    if (flush)
        conn_flush(conn);
}

/* A handshake that came to nothing. The host hears of it unless it asked for the end itself. */
static void conn_refused(struct conn *conn)
{
    struct link *link = conn->link;
    uint64_t now_ms = link_now_ms();
    char text[REFUSAL_TEXT_SIZE];
    bool told = link->dialled && conn->refusal.kind != REFUSAL_NONE;
    pthread_mutex_lock(&link->lock);
    bool closed = link->closed;
    bool repeated = !link_report(link, conn->why, now_ms);
    pthread_mutex_unlock(&link->lock);
    if (told)
        refusal_text(&conn->refusal, (uint8_t)conn->fabric->options.role, text);
    if (!closed && (told || !repeated))
        fabric_refused(conn->fabric, conn->address, link->dialled,
                       told ? conn->refusal.kind : REFUSAL_NONE, told ? text : conn->why, repeated);
}

/* The last act of the receiving side. */
static void conn_ended(struct conn *conn)
{
    struct fabric *fabric = conn->fabric;
    struct link *link = conn->link;
    fabric_pending_remove(fabric, conn);
    if (conn->told_up && fabric->options.on_down != NULL)
        fabric->options.on_down(fabric->options.context, link, conn->why);
    if (!conn->told_up)
        conn_refused(conn);
    pthread_mutex_lock(&link->lock);
    assert(conn->broken);
    assert(link->conn == conn);
    link->conn = NULL;
    conn->up = false;
    bool counted = link->counted;
    link->counted = false;
    if (link->dialled)
        link_retry_later(link, link_now_ms());
    else
        link->closed = true;
    bool dead = conn_unpin(conn);
    pthread_mutex_unlock(&link->lock);
    if (dead)
        conn_retire(conn);
    pthread_mutex_lock(&fabric->lock);
    fabric->link_count -= counted;
    fabric->woken = true;
    pthread_cond_signal(&fabric->wake);
    pthread_mutex_unlock(&fabric->lock);
}

/* The peer hung up before the link was up. */
static const char *conn_broken_off(struct conn *conn)
{
    size_t there = conn->in_tail - conn->in_head;
    if (!conn->link->dialled)
        return "the peer broke off the handshake";
    if (conn->stage == CONN_HANDSHAKE && !handshake_heard(conn->handshake))
        conn->refusal.kind = REFUSAL_UNANSWERED;
    else if (conn->stage == CONN_HEADER && there == REFUSAL_SIZE)
        (void)refusal_open(&conn->refusal, conn->keys->receive, conn->in + conn->in_head);
    return conn->refusal.kind != REFUSAL_NONE ? refusal_word(conn->refusal.kind)
                                              : "the peer broke off the handshake: it refuses us";
}

static const char *conn_receive_error(struct conn *conn, int error)
{
    if (!conn->link->dialled && conn->refusal.kind != REFUSAL_NONE)
        return "refused by this process";
    if (error != NNG_ECONNSHUT && error != NNG_ECONNRESET && error != NNG_ECLOSED)
        return nng_strerror(error);
    if (conn->stage == CONN_PACKETS)
        return "connection lost";
    return conn_broken_off(conn);
}

/* count bytes came, or an error of nng. True when more can be received; otherwise it is broken. */
static bool conn_got(struct conn *conn, int error, size_t count)
{
    if (error == 0) {
        assert(count <= conn->in_capacity - conn->in_tail);
        conn->in_tail += count;
        conn->in_small_runs = count < CONN_IN_SIZE / 2 ? conn->in_small_runs + 1 : 0;
        atomic_store_explicit(&conn->received_ms, link_now_ms(), memory_order_relaxed);
        if (conn_input(conn)) {
            if (conn_in_room(conn))
                return true;
            error = NNG_ENOMEM;
        }
    }
    pthread_mutex_lock(&conn->link->lock);
    /* The peer may hang up before we have heard that our final packet is out. */
    if (!conn->broken)
        conn_break(conn, conn->finishing ? "closed" : conn_receive_error(conn, error));
    pthread_mutex_unlock(&conn->link->lock);
    return false;
}

static void conn_received(void *argument)
{
    struct conn *conn = argument;
    struct fabric *fabric = conn->fabric;
    int r = nng_aio_result(conn->receive_aio);
    if (!conn_got(conn, r, r == 0 ? nng_aio_count(conn->receive_aio) : 0)) {
        conn_ended(conn);
        return;
    }
    if (!conn->told_up || !direct_adopt(conn))
        conn_receive(conn);
    /* conn may be gone, but not the fabric: its end waits for this callback's. */
    if (fabric->options.on_pause != NULL)
        fabric->options.on_pause(fabric->options.context);
}

void conn_arrived(struct conn *conn)
{
    int64_t count = direct_read(conn, conn->in + conn->in_tail, conn->in_capacity - conn->in_tail);
    if (count == 0)
        return;
    if (conn_got(conn, count > 0 ? 0 : NNG_ECONNSHUT, count > 0 ? (size_t)count : 0))
        return;
    direct_leave(conn);
    conn_ended(conn);
}
