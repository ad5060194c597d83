/* Seal: one direction of an authenticated byte stream, packet by packet.
 *
 * A packet on the wire, after the stream's 24 bytes of header:
 *     0 u32 sealed_size   little endian; SEAL_TAG_SIZE … SEAL_SEALED_SIZE_MAX; authenticated
 *     4 …   sealed bytes  tag byte and plain bytes, encrypted, and the authenticator
 * by one of two ciphers: crypto_secretstream_xchacha20poly1305, or AES-256-GCM (ring/seal_gcm.h)
 * where both ends have it in hardware and so said in the handshake. Which one it is shows nowhere
 * on the wire, and changes no size.
 * Each key comes from a fresh handshake and serves one direction of one connection. The stream
 * fixes the order: a packet that is altered, dropped, repeated or moved makes the next pull fail.
 * The sender changes the key (a packet tagged REKEY is the last of the one before) after
 * SEAL_REKEY_SIZE plain bytes or SEAL_REKEY_PACKETS packets, and ends an orderly stream with a
 * final packet: an end without one was cut off.
 *
 * Encryption and decryption work in place; the caller owns every buffer and leaves
 * SEAL_PLAIN_OFFSET bytes before and SEAL_MAC_SIZE bytes after the plain bytes.
 * Errors from the peer's bytes are sticky. libsodium must be initialised.
 */
#ifndef RING_SEAL_H
#define RING_SEAL_H

#include "ring/seal_gcm.h"

#include <sodium.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SEAL_KEY_SIZE        crypto_secretstream_xchacha20poly1305_KEYBYTES
#define SEAL_HEADER_SIZE     crypto_secretstream_xchacha20poly1305_HEADERBYTES
#define SEAL_LENGTH_SIZE     4u
#define SEAL_MAC_SIZE        16u
#define SEAL_TAG_SIZE        (1u + SEAL_MAC_SIZE)    /* what sealing adds */
#define SEAL_PLAIN_OFFSET    (SEAL_LENGTH_SIZE + 1u) /* of the plain bytes in a packet */
#define SEAL_PLAIN_SIZE_MAX  (256u << 10)
#define SEAL_SEALED_SIZE_MAX (SEAL_PLAIN_SIZE_MAX + SEAL_TAG_SIZE)
#define SEAL_PACKET_SIZE_MAX (SEAL_LENGTH_SIZE + SEAL_SEALED_SIZE_MAX)
#define SEAL_PACKET_OVERHEAD (SEAL_LENGTH_SIZE + SEAL_TAG_SIZE)
#define SEAL_REKEY_SIZE      (UINT64_C(1) << 30)
#define SEAL_REKEY_PACKETS   (UINT64_C(1) << 24)

enum seal_e {
    SEAL_E_OK,
    SEAL_E_MORE,  /* not an error: the packet is not there in full yet */
    SEAL_E_SIZE,  /* a length that no packet has */
    SEAL_E_AUTH,  /* altered, out of order, or for another key */
    SEAL_E_ENDED, /* bytes after the final packet */
};

/* X(NAME, bit, text): what a stream is sealed with. bit: in the set of those that an end can do
 * beside STREAM, which all can. A bit is never used again for another one. */
#define SEAL_CIPHERS(X)                                                                            \
    X(STREAM, 0, "xchacha20-poly1305")                                                             \
    X(GCM, 1, "aes-256-gcm")

enum seal_cipher {
#define X(name, bit, text) SEAL_CIPHER_##name = (bit),
    SEAL_CIPHERS(X)
#undef X
};

/* What either end holds of a stream. */
struct seal_stream {
    enum seal_cipher cipher;
    union {
        crypto_secretstream_xchacha20poly1305_state state;
        struct seal_gcm gcm;
    };
};

struct seal_sender {
    struct seal_stream stream;
    uint64_t rekey_size; /* plain bytes between two changes of key */
    uint64_t size;       /* plain bytes since the last one */
    uint64_t packets;
    bool ended;
};

struct seal_receiver {
    struct seal_stream stream;
    bool ended; /* the final packet came */
    int error;  /* sticky enum seal_e */
};

/* The set of ciphers that this machine does well. */
uint16_t seal_ciphers(void);
/* What two ends use that can do these, whichever is whose. Bits that are not known are passed over.
 */
enum seal_cipher seal_cipher(uint16_t ours, uint16_t theirs);
const char *seal_cipher_name(enum seal_cipher cipher);

/* header: fresh random bytes, which libsodium's cipher replaces by others of its own; what is there
 * then must reach the receiver before the first packet. rekey_size 0: SEAL_REKEY_SIZE.
 * 0 or -ENOMEM. */
int seal_sender_init(struct seal_sender *seal, enum seal_cipher cipher,
                     const uint8_t key[SEAL_KEY_SIZE], uint64_t rekey_size,
                     uint8_t header[SEAL_HEADER_SIZE]);
/* Also of one that is all zeros, or whose init failed; so the receiver's. */
void seal_sender_deinit(struct seal_sender *seal);
/* Seals plain_size ≤ SEAL_PLAIN_SIZE_MAX bytes that stand at packet + SEAL_PLAIN_OFFSET and
 * returns the size of the packet: plain_size + SEAL_PACKET_OVERHEAD. Nothing may follow a final
 * packet. */
size_t seal_packet(struct seal_sender *seal, uint8_t *packet, size_t plain_size, bool final);

/* 0 or -ENOMEM. */
int seal_receiver_init(struct seal_receiver *seal, enum seal_cipher cipher,
                       const uint8_t key[SEAL_KEY_SIZE], const uint8_t header[SEAL_HEADER_SIZE]);
void seal_receiver_deinit(struct seal_receiver *seal);
/* How long the packet at `bytes` is, by its length field. 0; SEAL_E_MORE when even that is not
 * there; SEAL_E_SIZE (sticky), before anything is allocated for it. */
int seal_packet_size(struct seal_receiver *seal, const uint8_t *bytes, size_t size,
                     size_t *packet_size);
/* Opens one packet in place. packet_size: from seal_packet_size. *plain points into packet.
 * 0, SEAL_E_AUTH or SEAL_E_ENDED; after the final packet seal->ended is true. */
int seal_open(struct seal_receiver *seal, uint8_t *packet, size_t packet_size, uint8_t **plain,
              size_t *plain_size);

#endif
