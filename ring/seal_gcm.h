/* Seal with GCM: what libsodium's secretstream does, with AES-256-GCM (ring/gcm.h).
 *
 * The stream begins with 24 random bytes of header. Its keys come of the connection's key by
 *     64 bytes = BLAKE2b-512 (RFC 7693), keyed, personal "ringcask-aes-gcm", of the header
 * whose first half is the key of AES and whose second half is kept for the next change of key,
 * which is the same computation keyed by it, of nothing. What is known after a change tells nothing
 * of the keys before, as in TLS 1.3 (RFC 8446, 7.2). The personal text keeps the keys apart from
 * all others that are made of the connection's key.
 *
 * The nonce of a packet is 4 zero bytes and its number in the stream, u64 big endian, as in Noise's
 * AESGCM (revision 34, section 12.4). Numbers go on when the key changes, and 2^64 - 1 is never
 * used: so no nonce comes twice. A packet that is altered, left out, repeated or moved does not
 * open.
 *
 * Limits: with a key of at most 2^30 bytes and 2^24 packets (ring/seal.h) under 2^27 blocks pass
 * through AES; SP 800-38D allows 2^64 numbered messages, RFC 8446 (5.5) advises under 2^34.5
 * blocks. An attempt at forging a packet ends the connection, so there is one a key.
 */
#ifndef RING_SEAL_GCM_H
#define RING_SEAL_GCM_H

#include "ring/gcm.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SEAL_GCM_HEADER_SIZE 24u

struct seal_gcm {
    struct gcm gcm;
    uint8_t next[GCM_KEY_SIZE]; /* what the next key is made of */
    uint64_t number;            /* of the next packet, from 0 */
};

/* key: of the connection's direction. The sender's header is fresh random bytes.
 * 0 or -ENOMEM; libsodium must be initialised. */
int seal_gcm_init(struct seal_gcm *seal, bool seals, const uint8_t key[GCM_KEY_SIZE],
                  const uint8_t header[SEAL_GCM_HEADER_SIZE]);
void seal_gcm_deinit(struct seal_gcm *seal);
/* size bytes at `bytes`, and behind them room for, or there, the authenticator. */
void seal_gcm_push(struct seal_gcm *seal, const uint8_t *ad, size_t ad_size, uint8_t *bytes,
                   size_t size);
/* False: another packet than the next one, or altered. */
bool seal_gcm_pull(struct seal_gcm *seal, const uint8_t *ad, size_t ad_size, uint8_t *bytes,
                   size_t size);
/* Between two packets, by both ends between the same two. */
void seal_gcm_rekey(struct seal_gcm *seal);

#endif
