/* What comes in on a connection: handshake, the peer's stream header, packets. All of it runs in
 * the receive callback. */
#include "ring/link_nng_internal.h"

#include "ring/wire.h"

#include <assert.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

enum input { INPUT_GO_ON, INPUT_WAIT, INPUT_STOP };

static enum input input_break(struct conn *conn, const char *why)
{
    pthread_mutex_lock(&conn->link->lock);
    conn_break(conn, why);
    pthread_mutex_unlock(&conn->link->lock);
    return INPUT_STOP;
}

static void input_raw(struct conn *conn, const uint8_t *bytes, size_t size)
{
    pthread_mutex_lock(&conn->link->lock);
    assert(size <= sizeof conn->raw - conn->raw_size);
    memcpy(conn->raw + conn->raw_size, bytes, size);
    conn->raw_size += size;
    pthread_mutex_unlock(&conn->link->lock);
}

/* Both ends see the same two sets, and so choose the same. */
static enum seal_cipher input_cipher(const struct conn *conn)
{
    return seal_cipher(conn->fabric->ciphers, conn->peer.ciphers);
}

/* Begins our stream: its header goes out before the first packet. False: no memory. */
static bool input_seal(struct conn *conn)
{
    uint8_t header[SEAL_HEADER_SIZE];
    randombytes_buf(header, sizeof header);
    if (seal_sender_init(&conn->sealer, input_cipher(conn), conn->keys->send, 0, header) != 0)
        return false;
    input_raw(conn, header, sizeof header);
    return true;
}

static enum input input_handshake_done(struct conn *conn)
{
    conn->keys = malloc(sizeof *conn->keys);
    if (conn->keys == NULL)
        return input_break(conn, "out of memory");
    handshake_split(conn->handshake, conn->keys);
    conn->peer = conn->handshake->peer;
    handshake_deinit(conn->handshake);
    free(conn->handshake);
    conn->handshake = NULL;
    conn->stage = CONN_HEADER;
    /* The dialling side begins its stream at once. The other one only when its host has accepted,
     * so that its header tells the dialler that the link is up. */
    if (conn->link->dialled && !input_seal(conn))
        return input_break(conn, "out of memory");
    return INPUT_GO_ON;
}

static enum input input_handshake(struct conn *conn)
{
    struct handshake *handshake = conn->handshake;
    uint8_t out[HANDSHAKE_OUT_SIZE_MAX];
    const uint8_t *bytes = conn->in + conn->in_head;
    size_t used = 0, size = 0, there = conn->in_tail - conn->in_head;
    bool first = !conn->link->dialled && !handshake_heard(handshake);
    int r = first ? fabric_read_first(conn, bytes, there, &used)
                  : handshake_read(handshake, bytes, there, &used);
    if (r != 0)
        return input_break(conn, handshake_error_text(r));
    if (used == 0)
        return INPUT_WAIT;
    conn->in_head += used;
    if (!conn->link->dialled && !handshake_done(handshake) &&
        fabric_seen(conn->fabric, handshake->noise.remote_ephemeral))
        return input_break(conn, "a first message that was seen before");
    atomic_store(&conn->heard, true);
    if (handshake_writes(handshake)) {
        r = handshake_write(handshake, out, &size);
        if (r != 0)
            return input_break(conn, handshake_error_text(r));
        input_raw(conn, out, size);
    }
    return handshake_done(handshake) ? input_handshake_done(conn) : INPUT_GO_ON;
}

/* An accepted link takes one of links_max places. */
static bool input_count_link(struct conn *conn)
{
    struct fabric *fabric = conn->fabric;
    if (conn->link->dialled)
        return true;
    pthread_mutex_lock(&fabric->lock);
    bool room = fabric->link_count < fabric->options.links_max;
    fabric->link_count += room;
    pthread_mutex_unlock(&fabric->lock);
    pthread_mutex_lock(&conn->link->lock);
    conn->link->counted = room;
    pthread_mutex_unlock(&conn->link->lock);
    return room;
}

void link_refuse(struct link *link, const struct refusal *refusal)
{
    pthread_mutex_lock(&link->lock);
    if (!link->dialled && link->conn != NULL)
        link->conn->refusal = *refusal;
    pthread_mutex_unlock(&link->lock);
}

/* Its host does not want the link. In the place of our stream's header, which has not left yet, the
 * reason goes out with what conn_input() sends at its end; then the connection is over. */
static void input_refuse(struct conn *conn)
{
    uint8_t bytes[REFUSAL_SIZE];
    if (conn->link->dialled || conn->refusal.kind == REFUSAL_NONE) {
        (void)input_break(conn, "refused by this process");
        return;
    }
    refusal_seal(&conn->refusal, conn->keys->send, bytes);
    pthread_mutex_lock(&conn->link->lock);
    conn->sealed = false;
    conn->raw_size = 0;
    pthread_mutex_unlock(&conn->link->lock);
    input_raw(conn, bytes, sizeof bytes);
}

static enum input input_up(struct conn *conn)
{
    const struct fabric_options *options = &conn->fabric->options;
    struct link *link = conn->link;
    struct link_peer peer = {.role = conn->peer.role,
                             .ticket = conn->ticket,
                             .generation = conn->generation,
                             .dialled = link->dialled,
                             .cipher = seal_cipher_name(input_cipher(conn))};
    memcpy(peer.public_key, conn->peer.public_key, sizeof peer.public_key);
    memcpy(peer.address, conn->address, sizeof peer.address);
    if (!input_count_link(conn))
        return input_break(conn, "too many links");
    if (!link->dialled && !input_seal(conn))
        return input_break(conn, "out of memory");
    nng_aio *inline_aio = NULL;
    if (nng_aio_alloc(&inline_aio, NULL, NULL) != 0)
        return input_break(conn, "out of memory");
    nng_aio_set_timeout(inline_aio, NNG_DURATION_INFINITE);
    fabric_pending_remove(conn->fabric, conn);
    struct link_credit window = {.bytes = conn->peer.credit_size,
                                 .messages = conn->peer.credit_messages};
    struct link_credit own = {.bytes = options->credit_size, .messages = options->credit_messages};
    pthread_mutex_lock(&link->lock);
    link_sender_init(&conn->sender, options->queue_size_max, window, own);
    conn->inline_aio = inline_aio;
    conn->sealed = true;
    conn->up = true;
    bool broken = conn->broken;
    link->backoff_ms = options->reconnect_ms_min;
    link->reported = NULL;
    pthread_mutex_unlock(&link->lock);
    if (broken)
        return INPUT_STOP;
    conn->told_up = options->on_up == NULL || options->on_up(options->context, link, &peer);
    if (!conn->told_up)
        input_refuse(conn);
    sodium_memzero(conn->keys, sizeof *conn->keys);
    free(conn->keys);
    conn->keys = NULL;
    return conn->told_up ? INPUT_GO_ON : INPUT_STOP;
}

static enum input input_header(struct conn *conn)
{
    if (conn->in_tail - conn->in_head < SEAL_HEADER_SIZE)
        return INPUT_WAIT;
    const uint8_t *header = conn->in + conn->in_head;
    if (seal_receiver_init(&conn->opener, input_cipher(conn), conn->keys->receive, header) != 0)
        return input_break(conn, "out of memory");
    conn->in_head += SEAL_HEADER_SIZE;
    conn->stage = CONN_PACKETS;
    return input_up(conn);
}

/* CREDIT, PING, PONG. */
static enum input input_own(struct conn *conn, const struct link_message *message)
{
    bool good = true;
    pthread_mutex_lock(&conn->link->lock);
    if (message->type == WIRE_CREDIT)
        good = link_sender_release(&conn->sender, message);
    else if (message->type == WIRE_PING)
        conn->sender.pong_due = true;
    pthread_mutex_unlock(&conn->link->lock);
    return good ? INPUT_GO_ON : input_break(conn, "the peer sent an impossible credit");
}

static const char *input_frame_error(int error)
{
    switch (error) {
    case LINK_FRAME_E_MALFORMED:
        return "the peer sent a malformed frame";
    case LINK_FRAME_E_TOO_LARGE:
        return "the peer sent a message over the limit";
    case LINK_FRAME_E_CREDIT:
        return "the peer sent more than its credit";
    case LINK_FRAME_E_FLOOD:
        return "the peer sent more control messages than are taken ahead";
    default:
        return "out of memory";
    }
}

static enum input input_frames(struct conn *conn, const uint8_t *plain, size_t size)
{
    const struct fabric_options *options = &conn->fabric->options;
    struct link_reader *reader = &conn->reader;
    struct link_message message;
    pthread_mutex_lock(&conn->link->lock);
    reader->limit.bytes = conn->sender.announced.bytes + options->credit_size;
    reader->limit.messages = conn->sender.announced.messages + options->credit_messages;
    reader->control_limit.bytes =
        conn->sender.consumed.bytes + options->credit_size + options->control_size;
    reader->control_limit.messages =
        conn->sender.consumed.messages + options->credit_messages + options->control_messages;
    pthread_mutex_unlock(&conn->link->lock);
    reader->message_size_max = atomic_load(&conn->link->message_size_max);
    link_reader_feed(reader, plain, size);
    int r;
    while ((r = link_reader_next(reader, &message)) == 0) {
        if (link_frame_own(message.type)) {
            if (input_own(conn, &message) == INPUT_STOP)
                return INPUT_STOP;
            continue;
        }
        atomic_store_explicit(&conn->received_bytes, reader->received.bytes, memory_order_relaxed);
        atomic_store_explicit(&conn->received_messages, reader->received.messages,
                              memory_order_relaxed);
        if (!atomic_load_explicit(&conn->mute, memory_order_relaxed))
            options->on_message(options->context, conn->link, &message);
    }
    if (r != LINK_FRAME_E_END)
        return input_break(conn, input_frame_error(r));
    return INPUT_GO_ON;
}

static enum input input_packet(struct conn *conn)
{
    uint8_t *at = conn->in + conn->in_head;
    size_t used = conn->in_tail - conn->in_head;
    size_t packet_size = 0, plain_size = 0;
    uint8_t *plain = NULL;
    conn->in_need = 0;
    int r = seal_packet_size(&conn->opener, at, used, &packet_size);
    if (r == SEAL_E_MORE)
        return INPUT_WAIT;
    if (r != 0)
        return input_break(conn, "the peer sent a packet of an impossible size");
    if (used < packet_size) {
        conn->in_need = packet_size;
        return INPUT_WAIT;
    }
    r = seal_open(&conn->opener, at, packet_size, &plain, &plain_size);
    if (r != 0)
        return input_break(conn, "a packet was altered on the way");
    conn->in_head += packet_size;
    enum input next = input_frames(conn, plain, plain_size);
    if (next != INPUT_GO_ON || !conn->opener.ended)
        return next;
    return input_break(conn, atomic_load(&conn->mute) ? "closed" : "closed by the peer");
}

bool conn_input(struct conn *conn)
{
    enum input next = INPUT_GO_ON;
    /* What the host answers meanwhile leaves in one piece, when all input is dealt with. */
    pthread_mutex_lock(&conn->link->lock);
    conn->corked = true;
    conn->corker = pthread_self();
    pthread_mutex_unlock(&conn->link->lock);
    while (next == INPUT_GO_ON) {
        if (conn->stage == CONN_HANDSHAKE)
            next = input_handshake(conn);
        else if (conn->stage == CONN_HEADER)
            next = input_header(conn);
        else
            next = input_packet(conn);
    }
    pthread_mutex_lock(&conn->link->lock);
    conn->corked = false;
    bool flush = conn_claim(conn);
    pthread_mutex_unlock(&conn->link->lock);
    if (flush)
        conn_flush(conn);
    return next == INPUT_WAIT;
}
