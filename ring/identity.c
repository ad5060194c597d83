#include "ring/identity.h"

#include <assert.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

_Static_assert(IDENTITY_PUBLIC_SIZE == crypto_sign_PUBLICKEYBYTES, "Ed25519 public key");
_Static_assert(IDENTITY_SECRET_SIZE == crypto_sign_SECRETKEYBYTES, "Ed25519 secret key");
_Static_assert(IDENTITY_SEED_SIZE == crypto_sign_SEEDBYTES, "Ed25519 seed");
_Static_assert(IDENTITY_PUBLIC_SIZE == crypto_scalarmult_BYTES, "X25519 key");

void identity_generate(struct identity *identity)
{
    uint8_t seed[IDENTITY_SEED_SIZE];
    randombytes_buf(seed, sizeof seed);
    identity_from_seed(identity, seed);
    sodium_memzero(seed, sizeof seed);
}

void identity_from_seed(struct identity *identity, const uint8_t seed[IDENTITY_SEED_SIZE])
{
    int r = crypto_sign_seed_keypair(identity->public_key, identity->secret_key, seed);
    assert(r == 0);
    r = crypto_sign_ed25519_pk_to_curve25519(identity->dh_public, identity->public_key);
    assert(r == 0);
    r = crypto_sign_ed25519_sk_to_curve25519(identity->dh_secret, identity->secret_key);
    assert(r == 0);
}

int identity_from_secret(struct identity *identity, const uint8_t secret[IDENTITY_SECRET_SIZE])
{
    uint8_t seed[IDENTITY_SEED_SIZE];
    memcpy(seed, secret, sizeof seed);
    identity_from_seed(identity, seed);
    sodium_memzero(seed, sizeof seed);
    if (sodium_memcmp(identity->secret_key, secret, IDENTITY_SECRET_SIZE) != 0) {
        identity_wipe(identity);
        return IDENTITY_E_MALFORMED;
    }
    return IDENTITY_E_OK;
}

void identity_wipe(struct identity *identity)
{
    sodium_memzero(identity, sizeof *identity);
}

int identity_dh_public(uint8_t dh_public[IDENTITY_PUBLIC_SIZE],
                       const uint8_t public_key[IDENTITY_PUBLIC_SIZE])
{
    if (crypto_sign_ed25519_pk_to_curve25519(dh_public, public_key) != 0)
        return IDENTITY_E_MALFORMED;
    return IDENTITY_E_OK;
}

void identity_fingerprint(const uint8_t public_key[IDENTITY_PUBLIC_SIZE],
                          char text[IDENTITY_FINGERPRINT_SIZE])
{
    uint8_t hash[crypto_generichash_BYTES];
    int r = crypto_generichash(hash, sizeof hash, public_key, IDENTITY_PUBLIC_SIZE, NULL, 0);
    assert(r == 0);
    r = snprintf(text, IDENTITY_FINGERPRINT_SIZE, "%02x%02x-%02x%02x-%02x%02x-%02x%02x", hash[0],
                 hash[1], hash[2], hash[3], hash[4], hash[5], hash[6], hash[7]);
    assert(r == (int)IDENTITY_FINGERPRINT_SIZE - 1);
}
