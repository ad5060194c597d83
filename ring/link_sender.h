/* Link sender: what waits to be sent on one connection, and what may go now.
 *
 * Three lanes of frames, ready to be copied into packets. CONTROL goes before the others at every
 * frame. BULK (pieces of snapshots) begins a message only when no DATA waits, or when
 * LINK_BULK_EVERY of it went since the newest one began: DATA that never runs dry slows snapshots
 * down and does not stop them. A message of either that has begun is finished first, as a peer of
 * the version before puts the frames of both together in one place.
 * The link's own frames (CREDIT, PING, PONG) are not queued but due: however often one is asked
 * for, the next packet carries it once, so that no peer can make the queue grow with them.
 *
 * Credit: the peer said in its handshake how many bytes and messages it takes ahead, and says with
 * CREDIT how many it has consumed since the connection began. A DATA or BULK message begins only
 * while less than that is under way (a message that has begun is finished: the last one may
 * overshoot by itself). CONTROL messages count, too, but never wait. The other way round, this
 * struct also keeps what our host has consumed; a CREDIT frame is due when a quarter of our own
 * window is unannounced.
 *
 * No I/O, no lock: the owner guards it.
 */
#ifndef RING_LINK_SENDER_H
#define RING_LINK_SENDER_H

#include "ring/link_frame.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LINK_CREDIT_BODY_SIZE 16u /* u64 bytes, u64 messages, little endian */
#define LINK_SENDER_KEEP_SIZE (1u << 20)
#define LINK_BULK_EVERY       (1u << 20)
#define LINK_SENDER_OWN_MAX   (3 * LINK_FRAME_HEADER_SIZE + LINK_CREDIT_BODY_SIZE)

struct link_queue {
    uint8_t *data;
    size_t head;
    size_t tail;
    size_t capacity;
};

struct link_sender {
    struct link_queue lanes[LINK_LANES];
    size_t queue_size_max;       /* bytes of all lanes; may be lowered */
    struct link_credit window;   /* the peer's: what may be under way to it */
    struct link_credit sent;     /* put into packets */
    struct link_credit released; /* of these, consumed by the peer as it told us */
    bool open[LINK_LANES];       /* a message has begun and is not complete */
    uint64_t data_size;          /* bytes of DATA sent since the newest BULK message began */
    struct link_credit own_window;
    struct link_credit consumed; /* by our host */
    struct link_credit announced;
    bool ping_due;
    bool pong_due;
};

/* window: what the peer allows us; own_window: what we allow it. */
void link_sender_init(struct link_sender *sender, size_t queue_size_max, struct link_credit window,
                      struct link_credit own_window);
void link_sender_deinit(struct link_sender *sender);
/* Queues all messages or none, cut into frames; copies. 0, -EMSGSIZE, -ENOBUFS, -ENOMEM. */
int link_sender_put(struct link_sender *sender, const struct link_message *messages, size_t count);
/* Our host is done with so much; what goes beyond `received` (on this connection) is dropped: it
 * belongs to an earlier connection of the link. */
void link_sender_consumed(struct link_sender *sender, struct link_credit amount,
                          struct link_credit received);
/* A CREDIT frame of the peer. False when it is not a possible one. */
bool link_sender_release(struct link_sender *sender, const struct link_message *credit);
/* True when link_sender_gather would give something. */
bool link_sender_ready(const struct link_sender *sender);
/* Upper bound of what the next gather gives. */
size_t link_sender_gather_max(const struct link_sender *sender);
/* Moves frames to out, whole ones only, and returns their size. capacity: at least
 * LINK_FRAME_SIZE_MAX, or link_sender_gather_max() where that is less. */
size_t link_sender_gather(struct link_sender *sender, uint8_t *out, size_t capacity);
size_t link_sender_queued(const struct link_sender *sender); /* bytes in all lanes */

#endif
