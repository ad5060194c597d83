/* Handshake: how two ends of a connection come to trust each other. No I/O, no randomness.
 *
 * Each Noise message (ring/noise.h) travels behind its length, u16 little endian. The prologue is
 * the protocol's name, its version and the cluster id; the psk comes from the ticket. Message 1 has
 * no payload; in messages 2 and 3 each side says who it is (docs/format-link.md):
 *      0 u8  payload version, ≥ 1; later versions only add bytes at the end
 *      1 u8  role
 *      2 u16 ciphers that it can do beside the one that all can: a set, bits in SEAL_CIPHERS. Zero
 *            from those who know nothing of it, who ignore it, too
 *      4 u32 credit: messages the other side may send ahead
 *      8 u64 credit: bytes
 *     16 32  Ed25519 public key; must convert to the X25519 key that Noise has proven
 * An end that is expected to have a certain key (pinned) and has another is refused.
 *
 * Limits: HANDSHAKE_MESSAGE_SIZE_MAX a message; the struct is all the memory it takes.
 */
#ifndef RING_HANDSHAKE_H
#define RING_HANDSHAKE_H

#include "ring/identity.h"
#include "ring/link.h"
#include "ring/noise.h"
#include "ring/ticket.h"
#include "ring/tickets.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HANDSHAKE_PROTOCOL           "ringcask-link"
#define HANDSHAKE_PROTOCOL_VERSION   1u
#define HANDSHAKE_PAYLOAD_VERSION    1u
#define HANDSHAKE_PAYLOAD_SIZE       48u
#define HANDSHAKE_LENGTH_SIZE        2u
#define HANDSHAKE_MESSAGE_SIZE_MAX   512u
#define HANDSHAKE_FIRST_MESSAGE_SIZE 48u /* message 1: nothing but its overhead */
#define HANDSHAKE_OUT_SIZE_MAX       (HANDSHAKE_LENGTH_SIZE + HANDSHAKE_MESSAGE_SIZE_MAX)

enum handshake_e {
    HANDSHAKE_E_OK,
    HANDSHAKE_E_SIZE,      /* a length that this message cannot have */
    HANDSHAKE_E_AUTH,      /* Noise refused: another ticket, cluster or version, or altered */
    HANDSHAKE_E_PAYLOAD,   /* malformed, or a role there is not */
    HANDSHAKE_E_KEY,       /* the Ed25519 key is not the one of the handshake */
    HANDSHAKE_E_NOT_PINNED /* proven, but another one than expected */
};

struct handshake_options {
    bool initiator;
    const struct identity *identity; /* borrowed for init */
    const struct ticket *ticket;     /* borrowed for init */
    enum link_role role;
    uint16_t ciphers; /* ours: seal_ciphers() */
    uint64_t credit_size;
    uint32_t credit_messages;
    const uint8_t *expected_key; /* NULL: any; borrowed for init */
    uint8_t ephemeral_secret[NOISE_KEY_SIZE];
};

struct handshake_peer {
    uint8_t public_key[IDENTITY_PUBLIC_SIZE];
    enum link_role role;
    uint16_t ciphers; /* as it says: bits that we do not know, too */
    uint64_t credit_size;
    uint32_t credit_messages;
};

struct handshake {
    struct noise noise;
    uint8_t payload[HANDSHAKE_PAYLOAD_SIZE]; /* ours */
    uint8_t expected_key[IDENTITY_PUBLIC_SIZE];
    bool pinned;
    bool peer_known; /* its payload was read and is in order */
    struct handshake_peer peer;
    int error; /* sticky enum handshake_e */
};

void handshake_init(struct handshake *handshake, const struct handshake_options *options);
void handshake_deinit(struct handshake *handshake);
/* True when handshake_write is next. */
bool handshake_writes(const struct handshake *handshake);
bool handshake_done(const struct handshake *handshake);
/* True when the other end has shown that it has the psk; for message 1 a replay can, too. */
bool handshake_heard(const struct handshake *handshake);
/* Writes the next message with its length to out[HANDSHAKE_OUT_SIZE_MAX]. 0 or the error. */
int handshake_write(struct handshake *handshake, uint8_t *out, size_t *out_size);
/* Takes one message when it is there in full: *used bytes (0: not yet). 0 or the error. */
int handshake_read(struct handshake *handshake, const uint8_t *bytes, size_t size, size_t *used);
/* Instead of it for message 1, by who opens to several tickets: the message does not say with which
 * it was made, so each psk is tried, in their order. *opened: the one that fits, when the message
 * was taken. The options' ticket gives the cluster alone. */
int handshake_read_first(struct handshake *handshake, const struct tickets_candidate *candidates,
                         uint32_t count, const uint8_t *bytes, size_t size, size_t *used,
                         const struct tickets_candidate **opened);
/* Only when done, once. */
void handshake_split(struct handshake *handshake, struct noise_keys *keys);
const char *handshake_error_text(int error);

#endif
