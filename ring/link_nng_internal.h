/* Inside of link_nng: one fabric, its links and their connections.
 *
 * A link is what the host holds. A dialled one outlives its connections; an accepted one has a
 * single connection. A connection (conn) is one nng stream with its handshake and seals.
 *
 * Who touches what:
 *  - receiving side of a conn (in, opener, reader, handshake): the receive callback alone, until
 *    direct_adopt(), then one receiver; at most one receive is outstanding, so it runs one at a
 *    time, and every call of the host comes from it. That makes a link's callbacks serial.
 *  - sending side (out, sealer): whoever set conn->sending under the lock, until it clears it.
 *  - the rest of link and conn: link->lock.
 *  - lists and counters of the fabric: fabric->lock. Order: fabric->lock before link->lock; no
 *    lock is held while the host is called.
 *  - The keeper is the fabric's one thread. It alone frees, after stopping the aios, and it keeps
 *    all time: handshake deadlines, pings, silence, reconnects, pauses after accept errors.
 * A conn ends by conn_break(): it closes the stream, so that the receive callback comes with an
 * error, tells the host and lets go. When no pin is left, the keeper gets it.
 *
 * nng 1.5.2 never completes an operation that is begun on a stream already closed. So whoever
 * begins one looks afterwards, still pinned, whether the conn was broken meanwhile, and cancels.
 */
#ifndef RING_LINK_NNG_INTERNAL_H
#define RING_LINK_NNG_INTERNAL_H

#include "ring/handshake.h"
#include "ring/link_frame.h"
#include "ring/link_nng.h"
#include "ring/link_sender.h"
#include "ring/seal.h"

#include <nng/nng.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LINK_ADDRESS_SIZE      64u
#define FABRIC_TICK_MS         100u
#define FABRIC_CLOSE_TICK_MS   5u
#define FABRIC_CLOSE_MS        200u   /* fabric_close() waits that long for orderly ends */
#define FABRIC_ACCEPT_PAUSE_MS 50u    /* after an error of accept, such as EMFILE */
#define FABRIC_SEEN_MAX        1024u  /* first messages remembered against replay */
#define FABRIC_REFUSED_BURST   10u    /* on_refused calls a second that are to be logged */
#define LINK_FINISH_MS         1000u  /* link_close(): time to send what is queued */
#define LINK_GRAVE_MS          10000u /* a dead link's struct stays that long */
#define LINK_REPORT_MS         10000u /* the same dial failure is reported again after that */
#define CONN_IN_SIZE_MIN       1024u  /* before authentication */
#define CONN_IN_SIZE           (64u << 10)
#define CONN_IN_SIZE_MAX       (512u << 10)
#define CONN_OUT_SIZE_MIN      256u         /* before authentication: the handshake's */
#define CONN_OUT_SIZE_MAX      (512u << 10) /* plain bytes in one send, rounded up to a packet */
#define CONN_INLINE_SIZE       (512u << 10) /* sent by who brought it: so much, and not in */
#define CONN_INLINE_ROUNDS     4u           /* more sends; the rest is for nng's threads */
#define FABRIC_RECEIVERS_MAX   8u
#define CONN_RAW_SIZE_MAX      (HANDSHAKE_OUT_SIZE_MAX + SEAL_HEADER_SIZE)

enum conn_stage { CONN_HANDSHAKE, CONN_HEADER, CONN_PACKETS };

struct conn {
    struct fabric *fabric;
    struct link *link;
    nng_stream *stream;
    nng_aio *receive_aio;
    nng_aio *send_aio;
    nng_aio *inline_aio; /* without callback; NULL before authentication */
    int fd;              /* our own on the stream's socket; -1: nng receives and sends */
    bool adopted;        /* direct_adopt() has been tried */
    struct receiver *receiver;
    uint64_t started_ms;
    char address[LINK_ADDRESS_SIZE];

    /* receiving side */
    struct handshake *handshake; /* NULL once it is over */
    struct noise_keys *keys;     /* between the split and the peer's stream header */
    struct handshake_peer peer;
    uint32_t ticket; /* accepted: that opened it, as in struct link_peer */
    uint32_t generation;
    uint8_t *in;
    size_t in_head;
    size_t in_tail;
    size_t in_capacity;
    size_t in_need;         /* size of the packet that has begun, 0 unknown */
    uint32_t in_small_runs; /* receives in a row that a small buffer would have done for */
    enum conn_stage stage;
    bool told_up; /* the host was told, and took it. Not beside the flags below, which the compiler
                     may read as one word */
    struct link_reader reader;

    /* sending side */
    uint8_t *out;
    size_t out_size;
    size_t out_sent;
    size_t out_capacity;

    struct seal_sender sealer;   /* sending side */
    struct seal_receiver opener; /* receiving side */

    /* under link->lock */
    bool sealed; /* packets may be made */
    bool up;
    bool sending;
    bool broken;
    bool finishing; /* link_close(): send what is queued, then the final packet */
    bool final_sent;
    bool corked;   /* the receive callback sends when it is through with its input */
    uint32_t pins; /* the receiving side, the sending side, and each call into nng */
    struct link_sender sender;
    pthread_t corker;
    uint64_t finish_ms;
    uint64_t pinged_ms;
    const char *why;        /* of the break: a constant text */
    struct refusal refusal; /* accepted: what the other side is told; dialled: what it has told */
    size_t raw_size;
    uint8_t raw[CONN_RAW_SIZE_MAX]; /* handshake bytes, before any packet */

    atomic_bool heard; /* it has proven the psk */
    atomic_bool mute;  /* no more messages to the host */
    bool pending;      /* under fabric->lock, and the list: accepted, not authenticated */
    atomic_uint_fast64_t received_ms;
    atomic_uint_fast64_t received_bytes;
    atomic_uint_fast64_t received_messages;
    struct conn *pending_prev;
    struct conn *pending_next;
    struct conn *dead_next; /* under fabric->lock */
};

enum link_state { LINK_WAITING, LINK_DIALLING, LINK_CONNECTED };

struct link {
    struct fabric *fabric;
    uint64_t id;
    bool dialled;
    bool pinned;
    uint8_t expected_key[IDENTITY_PUBLIC_SIZE];
    char address[LINK_ADDRESS_SIZE];
    _Atomic(void *) user;
    atomic_size_t message_size_max; /* of the peer's */

    pthread_mutex_t lock;
    struct conn *conn; /* the present one, NULL when there is none */
    uint32_t conn_count;
    bool closed;  /* by the host, or an accepted one whose connection ended */
    bool counted; /* in fabric->link_count */
    enum link_state state;
    nng_stream_dialer *dialer;
    nng_aio *dial_aio;
    bool dial_stopped;
    uint64_t due_ms;      /* WAITING: when to dial */
    uint64_t dialled_ms;  /* DIALLING: since when */
    uint32_t backoff_ms;  /* upper bound of the next pause */
    const char *reported; /* the last dial failure the host was told of */
    uint64_t reported_ms;

    struct link *next; /* fabric->links or the graves */
    uint64_t died_ms;
};

/* A thread that receives for its share of the connections; without one when the host polls. */
struct receiver {
    struct fabric *fabric;
    int epoll;
    int stop; /* eventfd */
    pthread_t thread;
    bool started;
};

struct fabric {
    struct fabric_options options;
    struct receiver receivers[FABRIC_RECEIVERS_MAX];
    uint32_t receiver_count;
    atomic_uint receiver_next;
    atomic_bool kept; /* the keeper has ended */
    pthread_t keeper;
    nng_stream_listener *listener;
    nng_aio *accept_aio;
    uint16_t port;
    uint16_t ciphers; /* that our end can do, as in ring/handshake.h */

    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool woken;
    bool closing;
    bool accept_paused;
    uint64_t accept_due_ms;
    struct link *links; /* new ones at the head; only the keeper takes out */
    struct conn *dead;
    struct conn *pending_first; /* oldest */
    struct conn *pending_last;
    uint32_t pending_count;
    uint32_t link_count;   /* accepted and up */
    struct ticket offered; /* to those that are dialled */
    struct tickets_candidate candidates[TICKETS_CANDIDATES_MAX];
    uint32_t candidate_count;
    uint64_t seen[FABRIC_SEEN_MAX];
    uint32_t seen_next;
    uint64_t refused_ms;
    uint32_t refused_count; /* reported in this second */
    uint32_t refused_more;  /* kept back */
    /* The keeper's own: */
    struct link *graves;
    uint64_t late_ms; /* when it last went on far too late: this process had stood still */
};

uint64_t link_now_ms(void); /* monotonic, coarse */

/* link_nng.c */
void fabric_wake(struct fabric *fabric);
void fabric_refused(struct fabric *fabric, const char *address, bool dialled, uint8_t refusal,
                    const char *why, bool repeated);
struct link *link_new(struct fabric *fabric, const char *address);
void link_add(struct link *link);

/* link_nng_accept.c */
int fabric_address(const char *address, bool dial, char url[LINK_ADDRESS_SIZE + 8]);
int fabric_errno(int nng_error);
void fabric_accept(struct fabric *fabric);
void fabric_listen_stop(struct fabric *fabric);
void fabric_pending_remove(struct fabric *fabric, struct conn *conn);
bool fabric_seen(struct fabric *fabric, const uint8_t *ephemeral);
/* The first message of a peer that dials: as handshake_read_first() with all that may open. */
int fabric_read_first(struct conn *conn, const uint8_t *bytes, size_t size, size_t *used);

/* link_nng_dial.c: all with link->lock held, the keeper's, except where said */
void link_dial_start(struct link *link, uint64_t now_ms);
void link_dial_clean(struct link *link); /* frees the dialer of a finished attempt; no lock held */
void link_retry_later(struct link *link, uint64_t now_ms); /* any thread */
/* Any thread. Whether its host is to be told: the same failure again and again is once every
 * LINK_REPORT_MS, and of one that it has closed nothing. */
bool link_report(struct link *link, const char *why, uint64_t now_ms);

/* link_nng_conn.c */
int conn_new(struct link *link, nng_stream *stream, const char *address, struct conn **conn);
void conn_free(struct conn *conn); /* the keeper, when retired */
void conn_start(struct conn *conn);
/* link->lock held. The first reason is the one that is told. */
void conn_break(struct conn *conn, const char *why);
/* link->lock held. Lets go of one pin. True when it was the last: then the caller must
 * conn_retire() it. In either case conn is not the caller's any more once the lock is released. */
bool conn_unpin(struct conn *conn);
/* Begins nng_stream_send or nng_stream_recv with an aio that has a callback. The callback may free
 * conn's last pin before this returns. No lock held. */
void conn_begin(struct conn *conn, nng_aio *aio, void (*begin)(nng_stream *, nng_aio *));
/* Hands it to the keeper. No lock held. */
void conn_retire(struct conn *conn);

/* Our descriptor has something, or its end: the receiver's call. */
void conn_arrived(struct conn *conn);

/* link_nng_direct.c */
int direct_open(struct fabric *fabric);
void direct_close(struct fabric *fabric); /* no connection is left */
/* From the receive callback, after the handshake: true when the receiver has taken over, and with
 * it the pin of the receiving side: conn is not the caller's any more. */
bool direct_adopt(struct conn *conn);
/* No more events; the descriptor stays until conn_free(), for others may be sending. */
void direct_leave(struct conn *conn);
/* Bytes read, 0 when there is nothing now, -errno; -ECONNRESET at the end. */
int64_t direct_read(struct conn *conn, uint8_t *bytes, size_t size);
/* Bytes that the socket took at once. */
size_t direct_write(int fd, const uint8_t *bytes, size_t size);

/* link_nng_input.c: bytes that came; true as long as the conn may go on. */
bool conn_input(struct conn *conn);

/* link_nng_send.c */
/* link->lock held. True when the caller must call conn_flush() after unlocking. */
bool conn_claim(struct conn *conn);
void conn_flush(struct conn *conn);
void conn_sent(void *conn); /* callback of send_aio */

#endif
