/* Identity: who a process is. An Ed25519 key pair, and the X25519 pair derived from it.
 *
 * The ring map names members by their Ed25519 public key; Noise authenticates X25519 keys. Both
 * are one key here: each side sends its Ed25519 key inside the encrypted handshake payload, and the
 * other converts it (identity_dh_public) and compares the result with the Noise static key, which
 * the handshake proves. No signature is needed.
 *
 * libsodium must be initialised (sodium_init) before any call. Secrets live in the caller's
 * struct; identity_wipe() overwrites them.
 */
#ifndef RING_IDENTITY_H
#define RING_IDENTITY_H

#include <stdbool.h>
#include <stdint.h>

#define IDENTITY_PUBLIC_SIZE      32u
#define IDENTITY_SECRET_SIZE      64u
#define IDENTITY_SEED_SIZE        32u
#define IDENTITY_FINGERPRINT_SIZE 20u /* "xxxx-xxxx-xxxx-xxxx" and the zero */

struct identity {
    uint8_t public_key[IDENTITY_PUBLIC_SIZE]; /* Ed25519 */
    uint8_t secret_key[IDENTITY_SECRET_SIZE]; /* Ed25519: seed, then public key */
    uint8_t dh_public[IDENTITY_PUBLIC_SIZE];  /* X25519, derived from public_key */
    uint8_t dh_secret[IDENTITY_PUBLIC_SIZE];  /* X25519, derived from secret_key */
};

enum identity_e { IDENTITY_E_OK, IDENTITY_E_MALFORMED };

/* Draws a new one from the system's randomness. */
void identity_generate(struct identity *identity);
/* The same seed always gives the same identity. */
void identity_from_seed(struct identity *identity, const uint8_t seed[IDENTITY_SEED_SIZE]);
/* From a stored secret key. IDENTITY_E_MALFORMED when its two halves do not belong together;
 * *identity is then wiped. */
int identity_from_secret(struct identity *identity, const uint8_t secret[IDENTITY_SECRET_SIZE]);
void identity_wipe(struct identity *identity);

/* The X25519 key of an Ed25519 public key (untrusted). IDENTITY_E_MALFORMED for bytes that are no
 * point of the main subgroup. */
int identity_dh_public(uint8_t dh_public[IDENTITY_PUBLIC_SIZE],
                       const uint8_t public_key[IDENTITY_PUBLIC_SIZE]);
/* 64 bits of the key's BLAKE2b hash, for people: logs and tables, never for decisions. */
void identity_fingerprint(const uint8_t public_key[IDENTITY_PUBLIC_SIZE],
                          char text[IDENTITY_FINGERPRINT_SIZE]);

#endif
