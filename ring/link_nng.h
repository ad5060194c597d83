/* Link over nng: sealed byte streams between processes.
 *
 * A fabric is one process's end of the cluster's network: it may listen, and it dials. Each
 * connection is an nng byte stream (tcp:// by numeric address) under a Noise_XXpsk0 handshake
 * (ring/noise.h) and a sealed stream a direction (ring/seal.h). Dialled links reconnect by
 * themselves for ever, with back-off; accepted ones end with their connection.
 *
 * Why not nng's SP sockets: docs/decisions. Threads: callbacks come on nng's threads while a link
 * comes up, then on the fabric's, or in fabric_receive() when the host polls; one at a time a link,
 * and they must not block. link_send() may be called from any thread.
 *
 * Flow: one writer a link coalesces all that is queued into packets of at most 256 KiB; CONTROL
 * frames go first. The receiver grants credits in bytes and messages as the host says
 * link_consumed(); without credit, frames stay queued; a queue over its bound breaks the link
 * (those above repeat). CONTROL needs no credit, and breaks the link when too much of it waits.
 * Before authentication a connection may use 4 KiB and 2 s.
 */
#ifndef RING_LINK_NNG_H
#define RING_LINK_NNG_H

#include "ring/identity.h"
#include "ring/link.h"
#include "ring/refusal.h"
#include "ring/ticket.h"
#include "ring/tickets.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct fabric;
struct link;

struct link_peer {
    uint8_t public_key[32]; /* Ed25519 of the other side, proven by the handshake */
    enum link_role role;    /* what it claims in its handshake payload */
    uint32_t ticket;        /* id of the ticket it came with; 0: a secret, or dialled by us */
    uint32_t generation;    /* of the secret that it is or was made under; 0: fabric_set_tickets()
                               was not called before, or dialled by us */
    bool dialled;           /* by us */
    const char *cipher;     /* what seals the link: a constant text */
    char address[64];       /* of the dial, or of the remote end */
};

struct fabric_options {
    const struct identity *identity; /* borrowed for the fabric's life */
    const struct ticket *ticket;     /* the psk and cluster id; likewise. It opens this end until
                                        fabric_set_tickets() */
    enum link_role role;             /* ours */
    uint32_t handshake_ms;           /* 2,000 */
    uint32_t pending_max;            /* connections before authentication at once: 256 */
    uint32_t links_max;              /* accepted links: 1,024 */
    uint32_t reconnect_ms_min;       /* 10 */
    uint32_t reconnect_ms_max;       /* 500 */
    uint32_t idle_ms;                /* no bytes for that long: PING; for twice: broken. 1,500 */
    size_t queue_size_max;           /* bytes queued a link: 64 MiB */
    bool polled;                     /* no threads that receive: the host calls fabric_receive() */
    bool by_nng;                     /* nng receives and sends everything */
    bool without_gcm;                /* as where the processor has no AES: links are sealed by
                                        what all can do */
    size_t credit_size;              /* bytes a peer may send ahead: 8 MiB, never under a message */
    uint32_t credit_messages;        /* 65,536 */
    size_t control_size;             /* CONTROL asks for no credit: it may be so much more, with */
    uint32_t control_messages;       /* all that is not consumed; beyond it the link breaks. 32 MiB,
                                        65,536 */
    void *context;
    /* The link is authenticated and usable, also from inside this call. Return false to refuse it
     * (it is then closed without on_down; on_refused tells); link_refuse() says why. */
    bool (*on_up)(void *context, struct link *link, const struct link_peer *peer);
    void (*on_message)(void *context, struct link *link, const struct link_message *message);
    /* All that has come together was given to on_message, and more is being received: the host may
     * work on it here and send, for some milliseconds, without waking a thread of its own. May be
     * NULL. Unlike the others it may come on several threads at once. */
    void (*on_pause)(void *context);
    void (*on_down)(void *context, struct link *link, const char *why);
    /* A dial that failed, a refused handshake, the reason that the other side gave. address may be
     * "?". dialled: it is the one that was dialled; else whose connection came. refusal: enum
     * refusal_kind that the other side of a dial gave, or that its silence means: each of those
     * comes here, for judging by, and each dial that failed of itself in another way than the one
     * before, or for 10 s in the same; `repeated` are those that are too many for a log. Of whoever
     * came by himself it is for logs only: rate limited, never `repeated`. */
    void (*on_refused)(void *context, const char *address, bool dialled, uint8_t refusal,
                       const char *why, bool repeated);
};

/* Zeros in options mean the defaults above. identity, ticket and on_message are required. */
int fabric_open(struct fabric **fabric, const struct fabric_options *options);
/* Closes every link (on_down comes for those that are up), waits for callbacks to end, frees; takes
 * about 200 ms where a peer does not read. Not from a callback, and no other thread may use the
 * fabric or a link of it any more. */
void fabric_close(struct fabric *fabric);
/* address "HOST:PORT" or "[HOST]:PORT", numeric; port 0 takes one of the system's. Once a fabric.
 * Returns 0, -EINVAL for what is no such address, -EADDRINUSE, -EADDRNOTAVAIL, -EACCES, … */
int fabric_listen(struct fabric *fabric, const char *address);
/* From now on this end offers `psk` to those it dials, and opens to who has one of the candidates'
 * (at most TICKETS_CANDIDATES_MAX; none: nobody comes in). Copies. Links that are up stay up. */
void fabric_set_tickets(struct fabric *fabric, const uint8_t psk[TICKET_PSK_SIZE],
                        const struct tickets_candidate *candidates, uint32_t count);
/* options.polled: readable when fabric_receive() has something to do. Owned by the fabric. */
int fabric_descriptor(const struct fabric *fabric);
/* options.polled: takes what has come, waiting at most timeout_ms for something. */
void fabric_receive(struct fabric *fabric, int timeout_ms);
uint16_t fabric_port(const struct fabric *fabric);
/* Starts a link that is kept up until link_close(). expected_key NULL: whoever holds the ticket.
 * *link and its user are set before the first callback. 0, -EINVAL or -ENOMEM. */
int fabric_dial(struct fabric *fabric, const char *address, const uint8_t *expected_key, void *user,
                struct link **link);
/* Inside on_up of an accepted link, before it returns false: the other side is to know why. */
void link_refuse(struct link *link, const struct refusal *refusal);
/* The peer was heard of another way: a dialled link that waits for its next attempt tries now. */
void link_hurry(struct link *link);
void *link_user(const struct link *link);
void link_set_user(struct link *link, void *user);
/* Queues whole messages in order; copies. 0, -ENOTCONN (dropped: the link is down), -ENOBUFS
 * (over queue_size_max: the link is broken now), -EMSGSIZE, -ENOMEM. */
int link_send(struct link *link, const struct link_message *messages, size_t count);
/* The host is done with that many body bytes and messages that on_message gave it. Every message
 * must be reported once, of any lane, from any thread; also from inside on_message. What is
 * reported after a reconnect for messages from before it does no harm. */
void link_consumed(struct link *link, size_t bytes, uint32_t messages);
/* From its next packet on, a message of the peer's that is larger breaks the link. At most, and at
 * first, LINK_MESSAGE_SIZE_MAX. Any thread. */
void link_set_message_max(struct link *link, size_t size_max);
/* So much may be queued on its present connection instead of queue_size_max: a peer that does not
 * read what it asks for costs no more. What is queued stays. Any thread. */
void link_set_queue_max(struct link *link, size_t size_max);
/* Ends it: for dialled links for good. What is queued is still sent, for a second at most; no more
 * messages come up; on_down comes (once) if it was up. The host must drop its pointer; memory is
 * the fabric's. Calls that other threads make meanwhile are harmless (-ENOTCONN): the memory stays
 * for 10 s after the end of a link, closed or lost. */
void link_close(struct link *link);
uint64_t link_id(const struct link *link); /* unique in the process */

#endif
