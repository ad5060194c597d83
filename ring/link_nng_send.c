/* The sending side of a connection, and what the host calls of a link. */
#include "ring/link_nng_internal.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static bool conn_has_output(const struct conn *conn)
{
    if (conn->raw_size > 0)
        return true;
    return conn->sealed && !conn->final_sent &&
           (conn->finishing || link_sender_ready(&conn->sender));
}

bool conn_claim(struct conn *conn)
{
    if (conn->sending || conn->broken || !conn_has_output(conn))
        return false;
    if (conn->corked && pthread_equal(conn->corker, pthread_self()))
        return false;
    conn->sending = true;
    conn->pins += 1;
    return true;
}

/* The sending side has nothing to do. link->lock held. True when conn must be retired. */
static bool conn_rest(struct conn *conn)
{
    assert(conn->sending);
    conn->sending = false;
    return conn_unpin(conn);
}

/* Room for size bytes more in out. Grows to what one send may hold; kept for the conn's life. */
static bool conn_out_room(struct conn *conn, size_t size)
{
    size_t need = conn->out_size + size;
    if (need <= conn->out_capacity)
        return true;
    size_t capacity = conn->out_capacity != 0 ? conn->out_capacity : CONN_OUT_SIZE_MIN;
    while (capacity < need)
        capacity *= 2;
    uint8_t *out = realloc(conn->out, capacity);
    if (out == NULL)
        return false;
    conn->out = out;
    conn->out_capacity = capacity;
    return true;
}

/* One packet of what may go now, or the final one. Called and left with link->lock held; it is let
 * go for the encryption. False when there is nothing (or no memory: then the conn is broken). */
static bool conn_packet(struct conn *conn)
{
    bool ready = link_sender_ready(&conn->sender);
    if (conn->broken || conn->final_sent || (!ready && !conn->finishing))
        return false;
    size_t plain_max = ready ? link_sender_gather_max(&conn->sender) : 0;
    if (plain_max > SEAL_PLAIN_SIZE_MAX)
        plain_max = SEAL_PLAIN_SIZE_MAX;
    if (!conn_out_room(conn, plain_max + SEAL_PACKET_OVERHEAD)) {
        conn_break(conn, "out of memory");
        return false;
    }
    uint8_t *packet = conn->out + conn->out_size;
    size_t plain_size = 0;
    if (ready)
        plain_size = link_sender_gather(&conn->sender, packet + SEAL_PLAIN_OFFSET, plain_max);
    bool final = !ready;
    conn->final_sent = final;
    pthread_mutex_unlock(&conn->link->lock);
    conn->out_size += seal_packet(&conn->sealer, packet, plain_size, final);
    pthread_mutex_lock(&conn->link->lock);
    return true;
}

static void conn_send(struct conn *conn)
{
    nng_iov iov = {.iov_buf = conn->out + conn->out_sent,
                   .iov_len = conn->out_size - conn->out_sent};
    nng_aio_set_iov(conn->send_aio, 1, &iov);
    conn_begin(conn, conn->send_aio, nng_stream_send);
}

/* A send that is nearly always over when nng returns: its aio has no callback, so that completion
 * costs no change of thread. When the socket's buffer is full it is taken back. Then, and when only
 * a part went, the rest is for conn_send(). True when all is sent. */
static bool conn_send_inline(struct conn *conn, int fd)
{
    if (fd >= 0) {
        conn->out_sent = direct_write(fd, conn->out, conn->out_size);
        return conn->out_sent == conn->out_size;
    }
    nng_iov iov = {.iov_buf = conn->out, .iov_len = conn->out_size};
    nng_aio_set_iov(conn->inline_aio, 1, &iov);
    nng_stream_send(conn->stream, conn->inline_aio);
    if (nng_aio_count(conn->inline_aio) == 0)
        nng_aio_cancel(conn->inline_aio);
    nng_aio_wait(conn->inline_aio); /* for the poller to let go of it, at worst */
    if (nng_aio_result(conn->inline_aio) == 0)
        conn->out_sent = nng_aio_count(conn->inline_aio);
    return conn->out_sent == conn->out_size;
}

/* Fills out. link->lock held, released for encryption. */
static void conn_gather(struct conn *conn)
{
    conn->out_size = 0;
    conn->out_sent = 0;
    if (!conn->broken && conn->raw_size > 0) {
        if (conn_out_room(conn, conn->raw_size)) {
            memcpy(conn->out, conn->raw, conn->raw_size);
            conn->out_size = conn->raw_size;
            conn->raw_size = 0;
        } else {
            conn_break(conn, "out of memory");
        }
    }
    while (conn->sealed && conn->out_size < CONN_OUT_SIZE_MAX && conn_packet(conn))
        ;
}

void conn_flush(struct conn *conn)
{
    /* The caller is kept for a few sends only; a stream of them goes on in nng's threads. */
    size_t before = 0;
    for (unsigned round = 0;; round++) {
        bool dead = false;
        pthread_mutex_lock(&conn->link->lock);
        conn_gather(conn);
        bool send = !conn->broken && conn->out_size > 0;
        bool quick = conn->inline_aio != NULL && !conn->final_sent && before < CONN_INLINE_SIZE &&
                     round < CONN_INLINE_ROUNDS;
        before += conn->out_size;
        int fd = conn->fd;
        if (!send)
            dead = conn_rest(conn);
        pthread_mutex_unlock(&conn->link->lock);
        if (dead)
            conn_retire(conn);
        if (!send)
            return;
        if (!quick || !conn_send_inline(conn, fd)) {
            conn_send(conn);
            return;
        }
    }
}

void conn_sent(void *argument)
{
    struct conn *conn = argument;
    bool dead = false;
    int r = nng_aio_result(conn->send_aio);
    if (r == 0) {
        conn->out_sent += nng_aio_count(conn->send_aio);
        assert(conn->out_sent <= conn->out_size);
        if (conn->out_sent < conn->out_size) {
            conn_send(conn);
            return;
        }
    }
    pthread_mutex_lock(&conn->link->lock);
    /* After the final packet the peer hangs up. Were we to do it, what it still sends would make
     * our kernel answer with a reset, and its kernel throw away what it has not read yet. */
    if (r != 0)
        conn_break(conn, !conn->up         ? nng_strerror(r)
                         : conn->finishing ? "closed"
                                           : "connection lost");
    bool more = !conn->broken && conn_has_output(conn);
    if (!more)
        dead = conn_rest(conn);
    pthread_mutex_unlock(&conn->link->lock);
    if (more)
        conn_flush(conn);
    else if (dead)
        conn_retire(conn);
}

void link_set_queue_max(struct link *link, size_t size_max)
{
    pthread_mutex_lock(&link->lock);
    if (link->conn != NULL && link->conn->up)
        link->conn->sender.queue_size_max = size_max;
    pthread_mutex_unlock(&link->lock);
}

int link_send(struct link *link, const struct link_message *messages, size_t count)
{
    pthread_mutex_lock(&link->lock);
    struct conn *conn = link->conn;
    if (conn == NULL || !conn->up || conn->broken || conn->finishing) {
        pthread_mutex_unlock(&link->lock);
        return -ENOTCONN;
    }
    int r = link_sender_put(&conn->sender, messages, count);
    if (r == -ENOBUFS)
        conn_break(conn, "more queued than the peer takes");
    bool flush = r == 0 && conn_claim(conn);
    pthread_mutex_unlock(&link->lock);
    if (flush)
        conn_flush(conn);
    return r;
}

void link_consumed(struct link *link, size_t bytes, uint32_t messages)
{
    pthread_mutex_lock(&link->lock);
    struct conn *conn = link->conn;
    bool flush = false;
    if (conn != NULL && conn->up) {
        struct link_credit amount = {.bytes = bytes, .messages = messages};
        struct link_credit received = {.bytes = atomic_load(&conn->received_bytes),
                                       .messages = atomic_load(&conn->received_messages)};
        link_sender_consumed(&conn->sender, amount, received);
        flush = conn_claim(conn);
    }
    pthread_mutex_unlock(&link->lock);
    if (flush)
        conn_flush(conn);
}

void link_close(struct link *link)
{
    struct fabric *fabric = link->fabric;
    struct conn *flush = NULL;
    pthread_mutex_lock(&link->lock);
    if (link->closed) {
        pthread_mutex_unlock(&link->lock);
        return;
    }
    link->closed = true;
    struct conn *conn = link->conn;
    if (conn != NULL && conn->up && !conn->broken) {
        atomic_store(&conn->mute, true);
        conn->finishing = true;
        conn->finish_ms = link_now_ms() + LINK_FINISH_MS;
        if (conn_claim(conn))
            flush = conn;
    } else if (conn != NULL) {
        conn_break(conn, "closed");
    }
    pthread_mutex_unlock(&link->lock);
    if (flush != NULL)
        conn_flush(flush);
    fabric_wake(fabric);
}
