/* Identity lock: a node's secret key under a passphrase or key file, in the 64 bytes that it has
 * without.
 *
 *    0 16  salt, random
 *   16 32  ciphertext of the identity's seed
 *   48 16  tag
 *
 * XChaCha20-Poly1305-IETF with a nonce of zeros: the key is Argon2id of the passphrase and the salt
 * (3 passes over 64 MiB, one lane; after RFC 9106, section 4, for memory-constrained environments)
 * and seals nothing else. The public half is derived again, so nothing but the seed is kept.
 *
 * Costs a fraction of a second and 64 MiB, once a start. libsodium must be initialised before any
 * call. Secrets belong to the caller, who wipes them.
 */
#ifndef RING_IDENTITY_LOCK_H
#define RING_IDENTITY_LOCK_H

#include "ring/identity.h"

#include <stddef.h>

#define IDENTITY_LOCK_SIZE        64u
#define IDENTITY_LOCK_SALT_SIZE   16u
#define IDENTITY_PASSPHRASE_MIN   12u /* bytes */
#define IDENTITY_PASSPHRASE_MAX   1024u
#define IDENTITY_LOCK_MEMORY_SIZE (64u << 20)

enum identity_lock_e {
    IDENTITY_LOCK_E_OK,
    IDENTITY_LOCK_E_WRONG, /* another passphrase, or damaged */
};

/* size: IDENTITY_PASSPHRASE_MIN … IDENTITY_PASSPHRASE_MAX; salt: fresh random bytes. 0 or -ENOMEM.
 */
int identity_lock(const struct identity *identity, const uint8_t *passphrase, size_t size,
                  const uint8_t salt[IDENTITY_LOCK_SALT_SIZE], uint8_t locked[IDENTITY_LOCK_SIZE]);
/* *identity is wiped unless 0. IDENTITY_LOCK_E_WRONG or -ENOMEM. */
int identity_unlock(struct identity *identity, const uint8_t *passphrase, size_t size,
                    const uint8_t locked[IDENTITY_LOCK_SIZE]);

#endif
