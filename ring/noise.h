/* Noise: the handshake Noise_XXpsk0_25519_ChaChaPoly_SHA256, as a byte engine without I/O.
 *
 *     -> psk, e            message 1: 32 + 16 bytes and its payload
 *     <- e, ee, s, es      message 2: 32 + 48 + 16 bytes and its payload
 *     -> s, se             message 3: 48 + 16 bytes and its payload
 *
 * After the Noise Protocol Framework, revision 34 (noiseprotocol.org/noise.html), sections 5, 7.5
 * and 9; checked against published vectors in tests/ring/noise_test.c. The psk refuses outsiders
 * before any Diffie-Hellman with a long-term key; message 1 can be replayed, messages 2 and 3
 * cannot. The engine draws no randomness: the caller gives the ephemeral secret, 32 fresh random
 * bytes a handshake, used once.
 *
 * Errors from the peer's bytes are sticky: every later call gives the first one again. Calling out
 * of turn, or with too small a buffer, is our own bug and asserts.
 */
#ifndef RING_NOISE_H
#define RING_NOISE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NOISE_KEY_SIZE         32u
#define NOISE_HASH_SIZE        32u
#define NOISE_MESSAGES         3u
#define NOISE_OVERHEAD_MAX     96u /* of a message over its payload */
#define NOISE_MESSAGE_SIZE_MAX 65535u

enum noise_e {
    NOISE_E_OK,
    NOISE_E_SHORT, /* the message is too short for its tokens, or too long */
    NOISE_E_AUTH,  /* a tag does not fit: another psk, another prologue, or altered bytes */
    NOISE_E_KEY,   /* the peer sent a key of small order */
};

struct noise_options {
    bool initiator;
    uint8_t static_secret[NOISE_KEY_SIZE]; /* X25519 */
    uint8_t static_public[NOISE_KEY_SIZE];
    uint8_t ephemeral_secret[NOISE_KEY_SIZE];
    uint8_t psk[NOISE_KEY_SIZE];
    const uint8_t *prologue; /* borrowed for noise_init */
    size_t prologue_size;
};

struct noise {
    uint8_t chaining_key[NOISE_HASH_SIZE];
    uint8_t hash[NOISE_HASH_SIZE];
    uint8_t cipher_key[NOISE_KEY_SIZE];
    uint64_t cipher_nonce;
    uint8_t psk[NOISE_KEY_SIZE];
    uint8_t static_secret[NOISE_KEY_SIZE];
    uint8_t static_public[NOISE_KEY_SIZE];
    uint8_t ephemeral_secret[NOISE_KEY_SIZE];
    uint8_t ephemeral_public[NOISE_KEY_SIZE];
    uint8_t remote_static[NOISE_KEY_SIZE]; /* valid once message 2 (3) was read */
    uint8_t remote_ephemeral[NOISE_KEY_SIZE];
    bool initiator;
    uint8_t message; /* 0…2: the next one; 3: done */
    int error;       /* sticky enum noise_e */
};

/* What a finished handshake gives: a key a direction, and the hash that names the session. */
struct noise_keys {
    uint8_t send[NOISE_KEY_SIZE];
    uint8_t receive[NOISE_KEY_SIZE];
    uint8_t hash[NOISE_HASH_SIZE];
};

void noise_init(struct noise *noise, const struct noise_options *options);
/* Only before the first message. */
void noise_set_psk(struct noise *noise, const uint8_t psk[NOISE_KEY_SIZE]);
/* Overwrites every secret. */
void noise_deinit(struct noise *noise);
/* True when the next message is ours to write. */
bool noise_writes(const struct noise *noise);
bool noise_done(const struct noise *noise);
/* Bytes that the next message has beyond its payload. */
size_t noise_overhead(const struct noise *noise);
/* message: room for noise_overhead() + payload_size bytes; exactly those are written.
 * 0 or the sticky error. */
int noise_write(struct noise *noise, const uint8_t *payload, size_t payload_size, uint8_t *message,
                size_t *message_size);
/* payload: room for message_size bytes. *payload_size is written on 0 only. */
int noise_read(struct noise *noise, const uint8_t *message, size_t message_size, uint8_t *payload,
               size_t *payload_size);
/* Only when noise_done(). Wipes the chaining key: once a handshake. */
void noise_split(struct noise *noise, struct noise_keys *keys);

#endif
