/* An end for tests of link_nng: a fabric with a host that counts, echoes, holds back, and waits.
 * And raw clients and a relay, for peers that do not keep the rules. */
#ifndef TESTS_RING_LINK_NNG_END_H
#define TESTS_RING_LINK_NNG_END_H

#include "ring/handshake.h"
#include "ring/link_nng.h"
#include "ring/seal.h"
#include "ring/wire.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct end {
    struct fabric *fabric;
    struct identity identity;
    struct fabric_options options;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    /* what happened */
    uint64_t ups;
    uint64_t downs;
    uint64_t refusals;
    uint64_t repeated; /* of the refusals: not for a log */
    uint64_t messages;
    uint64_t bytes;
    uint64_t controls;
    uint64_t disorders; /* DATA whose correlation is not one more than the last one's */
    uint64_t damages;   /* bodies that are not end_fill()'s */
    uint64_t next_correlation;
    struct link *link; /* the last one that came up, NULL when it went down */
    struct link_peer peer;
    char why[160];
    char refused[160];
    uint8_t refused_kind;
    /* what to do */
    bool echo;
    bool hold;              /* do not consume */
    bool refuse;            /* on_up says false */
    struct refusal refusal; /* and why */
    bool close_on_data;     /* link_close() from inside on_message */
};

/* Options of fabric_open; zeros are defaults. ticket is borrowed. */
void end_init(struct end *end, const struct ticket *ticket, enum link_role role);
void end_open(struct end *end);
/* Opens and listens; port 0: any. */
void end_listen(struct end *end, uint16_t port);
void end_close(struct end *end);
struct link *end_dial(struct end *end, uint16_t port, const uint8_t *expected_key);
/* Opens both, the node listening; the router dials, and both are up. */
struct link *end_join(struct end *node, struct end *router);
void end_part(struct end *node, struct end *router);
/* Waits until *counter (of this end) is at least value; fails the test after 30 s. */
void end_wait(struct end *end, const uint64_t *counter, uint64_t value);
uint64_t end_read(struct end *end, const uint64_t *counter);
struct link *end_link(struct end *end);
/* A message of WIRE_OPS (or WIRE_BEAT) whose body follows from its size and correlation. */
int end_send(struct link *link, uint8_t type, uint64_t correlation, size_t size);
void end_text(struct end *end, const char *field, char text[160]);

/* A plain TCP socket to the port on loopback; -1 when there is none to be had. */
int raw_connect(uint16_t port);
/* connect, half close, reset */
void raw_reset(int fd);
bool raw_write(int fd, const void *bytes, size_t size);
/* Reads until the other side closes; true when it did. Bounded by 30 s. */
bool raw_wait_closed(int fd);

/* A client that has the ticket and speaks the protocol by hand. */
struct raw_client {
    int fd;
    struct handshake handshake;
    struct seal_sender sealer;
    struct seal_receiver opener;
    uint8_t first[HANDSHAKE_OUT_SIZE_MAX]; /* message 1 as it was sent */
    size_t first_size;
};
/* Connects and sends the first message, no more. */
bool raw_first(struct raw_client *client, uint16_t port, const struct ticket *ticket);
bool raw_handshake(struct raw_client *client, uint16_t port, const struct ticket *ticket);
/* The same, naming the ciphers of that set and then using `cipher`; the other names none. */
bool raw_handshake_ciphers(struct raw_client *client, uint16_t port, const struct ticket *ticket,
                           uint16_t ciphers, enum seal_cipher cipher);
void raw_end(struct raw_client *client);
/* Seals and sends one packet of plain_size bytes. */
bool raw_packet(struct raw_client *client, const uint8_t *plain, size_t plain_size);

/* A relay between a port of its own and another one. */
struct relay {
    uint16_t port;
    uint16_t target;
    int listener;
    pthread_t thread;
    _Atomic bool stop;
    _Atomic bool stalled;   /* passes nothing, closes nothing */
    _Atomic bool flip;      /* damages the next bytes that it passes, once */
    _Atomic unsigned count; /* connections so far */
};
void relay_open(struct relay *relay, uint16_t target);
void relay_close(struct relay *relay);

#endif
