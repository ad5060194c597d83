/* GCM: AES-256 in Galois/Counter Mode, in place, by OpenSSL's libcrypto.
 *
 * After NIST SP 800-38D with nonces of 96 bits and whole authenticators. A nonce must never serve
 * two messages under one key: whoever seals counts them (ring/seal_gcm.h). A struct seals or opens,
 * one thread at a time.
 *
 * What costs, memory, the library's locks, looking up the cipher, is in gcm_init(): sealing and
 * opening take no lock and allocate nothing. libcrypto's copy of the key is wiped by gcm_deinit().
 * The library is used without its configuration file, which could load foreign code.
 *
 * Limits of SP 800-38D (5.2.1.1) are 2^36 - 32 bytes a message and 2^61 - 1 of associated data;
 * ours is GCM_SIZE_MAX.
 */
#ifndef RING_GCM_H
#define RING_GCM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GCM_KEY_SIZE   32u
#define GCM_NONCE_SIZE 12u
#define GCM_MAC_SIZE   16u
#define GCM_SIZE_MAX   (1u << 30)

struct gcm {
    struct evp_cipher_ctx_st *context; /* libcrypto's; NULL: not open */
};

/* Whether this machine does it in hardware (AES-NI and PCLMULQDQ) and its libcrypto has it: without
 * instructions of its own it is slower than ChaCha20, and may leak the key through caches.
 * libsodium must be initialised. Any thread. */
bool gcm_available(void);
/* seals: or opens. 0, or -ENOMEM: also when libcrypto has no such cipher. */
int gcm_init(struct gcm *gcm, bool seals, const uint8_t key[GCM_KEY_SIZE]);
void gcm_deinit(struct gcm *gcm); /* also one of zeros, or whose init failed */
void gcm_set_key(struct gcm *gcm, const uint8_t key[GCM_KEY_SIZE]);
/* Encrypts size bytes where they stand and writes the authenticator of them and of the ad_size ≤
 * GCM_SIZE_MAX bytes that go with them openly. */
void gcm_seal(struct gcm *gcm, const uint8_t nonce[GCM_NONCE_SIZE], const uint8_t *ad,
              size_t ad_size, uint8_t *bytes, size_t size, uint8_t mac[GCM_MAC_SIZE]);
/* False: not what was sealed with that key, nonce and ad; the bytes are zeros then. */
bool gcm_open(struct gcm *gcm, const uint8_t nonce[GCM_NONCE_SIZE], const uint8_t *ad,
              size_t ad_size, uint8_t *bytes, size_t size, const uint8_t mac[GCM_MAC_SIZE]);

#endif
