/* Refusal: why somebody whose handshake was in order is not let in.
 *
 * Who has shown a psk of the cluster's, and may not come in for all that, is told the reason: it
 * has the ticket and would learn the reason from whoever gave it. Whoever has none never gets as
 * far, and hears nothing. The reason goes where the stream's header would have gone, and the
 * connection ends behind it: it is one byte shorter than a header, so that to a dialler that knows
 * nothing of reasons this is a connection that broke off, as it always was. On the wire:
 *     REFUSAL_SIZE bytes: crypto_aead_chacha20poly1305_ietf of
 *        0 u8  kind
 *        1 u48 number, little endian, cut off above; what it is follows from the kind
 * under a key of its own, made of that direction's; nonce zero, for it seals this one message.
 * No memory, clock or I/O. libsodium must be initialised. Grammar: docs/format-link.md.
 */
#ifndef RING_REFUSAL_H
#define RING_REFUSAL_H

#include "ring/noise.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define REFUSAL_PLAIN_SIZE 7u
#define REFUSAL_SIZE       23u /* SEAL_HEADER_SIZE - 1 */
#define REFUSAL_TEXT_SIZE  160u

/* X(NAME, number, word). A number is never used again for another meaning. */
#define REFUSALS(X)                                                                                \
    X(NOTING, 1,                                                                                   \
      "its use is being noted")    /* dial again: the key is new to a ticket that counts */        \
    X(REVOKED, 2, "revoked")       /* number: when, Unix ms */                                     \
    X(EXPIRED, 3, "expired")       /* number: when, Unix ms */                                     \
    X(SPENT, 4, "spent")           /* number: how often it may be used, and was */                 \
    X(ROLE, 5, "for another role") /* number: enum link_role that it is for */                     \
    X(RETIRED, 6, "of a retired secret")                                                           \
    X(UNKNOWN, 7, "unknown")                                                                       \
    X(FULL, 8, "no room for another holder")                                                       \
    X(EARLY, 9, "this node has no tickets yet")                                                    \
    X(STRANGERS, 10, "too many nodes that are no members")                                         \
    X(CROWD, 11, "too many links of its kind") /* number: how many there may be */                 \
    /* never sent: what the dialling side sees by itself */                                        \
    X(UNANSWERED, 254, "not answered")                                                             \
    X(NO_NODE, 255, "no storage node")

enum refusal_kind {
    REFUSAL_NONE,
#define X(name, number, word) REFUSAL_##name = number,
    REFUSALS(X)
#undef X
};

struct refusal {
    uint64_t number;
    uint8_t kind; /* enum refusal_kind */
};

/* key: of the refusing side's direction, from noise_split(). */
void refusal_seal(const struct refusal *refusal, const uint8_t key[NOISE_KEY_SIZE],
                  uint8_t out[REFUSAL_SIZE]);
/* Untrusted bytes. False: not sealed with that key, or of a kind that is never sent. One that a
 * later version brought is taken as it is. */
bool refusal_open(struct refusal *refusal, const uint8_t key[NOISE_KEY_SIZE],
                  const uint8_t bytes[REFUSAL_SIZE]);
/* Whether it stays so with this ticket, and another would help. */
bool refusal_wants_another(uint8_t kind);
/* The constant word of the kind; one for all that are not known. */
const char *refusal_word(uint8_t kind);
/* For people: what is wrong with the ticket. role: in which one came with it, for what to do next;
 * 0: leave that out. */
void refusal_text(const struct refusal *refusal, uint8_t role, char text[REFUSAL_TEXT_SIZE]);

#endif
