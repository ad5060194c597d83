#include "ring/identity_lock.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include <sodium.h>

#define PASSES   3u
#define KEY_SIZE crypto_aead_xchacha20poly1305_ietf_KEYBYTES

_Static_assert(IDENTITY_LOCK_SALT_SIZE == crypto_pwhash_SALTBYTES, "salt");
_Static_assert(IDENTITY_LOCK_SIZE == IDENTITY_LOCK_SALT_SIZE + IDENTITY_SEED_SIZE +
                                         crypto_aead_xchacha20poly1305_ietf_ABYTES,
               "salt, seed and tag");
_Static_assert(IDENTITY_LOCK_SIZE == IDENTITY_SECRET_SIZE, "it takes the place of the secret key");

static const uint8_t nonce[crypto_aead_xchacha20poly1305_ietf_NPUBBYTES];

static int derive(const uint8_t *passphrase, size_t size,
                  const uint8_t salt[IDENTITY_LOCK_SALT_SIZE], uint8_t key[KEY_SIZE])
{
    assert(size >= IDENTITY_PASSPHRASE_MIN && size <= IDENTITY_PASSPHRASE_MAX);
    return crypto_pwhash(key, KEY_SIZE, (const char *)passphrase, size, salt, PASSES,
                         IDENTITY_LOCK_MEMORY_SIZE, crypto_pwhash_ALG_ARGON2ID13) == 0
               ? 0
               : -ENOMEM;
}

int identity_lock(const struct identity *identity, const uint8_t *passphrase, size_t size,
                  const uint8_t salt[IDENTITY_LOCK_SALT_SIZE], uint8_t locked[IDENTITY_LOCK_SIZE])
{
    uint8_t key[KEY_SIZE];
    int r;

    memcpy(locked, salt, IDENTITY_LOCK_SALT_SIZE);
    r = derive(passphrase, size, salt, key);
    if (r == 0) /* the secret key begins with the seed */
        crypto_aead_xchacha20poly1305_ietf_encrypt(locked + IDENTITY_LOCK_SALT_SIZE, NULL,
                                                   identity->secret_key, IDENTITY_SEED_SIZE, NULL,
                                                   0, NULL, nonce, key);
    sodium_memzero(key, sizeof key);
    return r;
}

int identity_unlock(struct identity *identity, const uint8_t *passphrase, size_t size,
                    const uint8_t locked[IDENTITY_LOCK_SIZE])
{
    uint8_t key[KEY_SIZE], seed[IDENTITY_SEED_SIZE];
    int r;

    identity_wipe(identity);
    r = derive(passphrase, size, locked, key);
    if (r == 0 && crypto_aead_xchacha20poly1305_ietf_decrypt(
                      seed, NULL, NULL, locked + IDENTITY_LOCK_SALT_SIZE,
                      IDENTITY_LOCK_SIZE - IDENTITY_LOCK_SALT_SIZE, NULL, 0, nonce, key) != 0)
        r = IDENTITY_LOCK_E_WRONG;
    if (r == 0)
        identity_from_seed(identity, seed);
    sodium_memzero(key, sizeof key);
    sodium_memzero(seed, sizeof seed);
    return r;
}
