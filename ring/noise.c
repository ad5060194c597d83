#include "ring/noise.h"

#include <assert.h>
#include <sodium.h>
#include <string.h>

#define NOISE_NAME     "Noise_XXpsk0_25519_ChaChaPoly_SHA256"
#define NOISE_TAG_SIZE crypto_aead_chacha20poly1305_ietf_ABYTES

_Static_assert(NOISE_HASH_SIZE == crypto_hash_sha256_BYTES, "SHA-256");
_Static_assert(NOISE_HASH_SIZE == crypto_auth_hmacsha256_BYTES, "HMAC-SHA-256");
_Static_assert(NOISE_KEY_SIZE == crypto_auth_hmacsha256_KEYBYTES, "HMAC key");
_Static_assert(NOISE_KEY_SIZE == crypto_aead_chacha20poly1305_ietf_KEYBYTES, "cipher key");
_Static_assert(NOISE_KEY_SIZE == crypto_scalarmult_SCALARBYTES, "X25519");

/* One output of HKDF: HMAC(key, previous || number). previous is NULL for the first. */
static void noise_expand(const uint8_t key[NOISE_HASH_SIZE], const uint8_t *previous,
                         uint8_t number, uint8_t out[NOISE_HASH_SIZE])
{
    uint8_t block[NOISE_HASH_SIZE + 1];
    size_t size = 0;
    if (previous != NULL) {
        memcpy(block, previous, NOISE_HASH_SIZE);
        size = NOISE_HASH_SIZE;
    }
    block[size] = number;
    crypto_auth_hmacsha256(out, block, size + 1, key);
    sodium_memzero(block, sizeof block);
}

/* Section 4.3: HKDF(chaining key, input) into two or three outputs (third may be NULL). */
static void noise_hkdf(const uint8_t chaining_key[NOISE_HASH_SIZE], const uint8_t *input,
                       size_t input_size, uint8_t first[NOISE_HASH_SIZE],
                       uint8_t second[NOISE_HASH_SIZE], uint8_t *third)
{
    uint8_t key[NOISE_HASH_SIZE];
    crypto_auth_hmacsha256_state state;
    crypto_auth_hmacsha256_init(&state, chaining_key, NOISE_HASH_SIZE);
    crypto_auth_hmacsha256_update(&state, input, input_size);
    crypto_auth_hmacsha256_final(&state, key);
    noise_expand(key, NULL, 1, first);
    noise_expand(key, first, 2, second);
    if (third != NULL)
        noise_expand(key, second, 3, third);
    sodium_memzero(key, sizeof key);
    sodium_memzero(&state, sizeof state);
}

static void noise_mix_hash(struct noise *noise, const uint8_t *bytes, size_t size)
{
    crypto_hash_sha256_state state;
    crypto_hash_sha256_init(&state);
    crypto_hash_sha256_update(&state, noise->hash, NOISE_HASH_SIZE);
    crypto_hash_sha256_update(&state, bytes, size);
    crypto_hash_sha256_final(&state, noise->hash);
}

static void noise_mix_key(struct noise *noise, const uint8_t input[NOISE_KEY_SIZE])
{
    uint8_t next[NOISE_HASH_SIZE];
    noise_hkdf(noise->chaining_key, input, NOISE_KEY_SIZE, next, noise->cipher_key, NULL);
    memcpy(noise->chaining_key, next, sizeof next);
    noise->cipher_nonce = 0;
    sodium_memzero(next, sizeof next);
}

static void noise_mix_psk(struct noise *noise)
{
    uint8_t next[NOISE_HASH_SIZE];
    uint8_t mixed[NOISE_HASH_SIZE];
    noise_hkdf(noise->chaining_key, noise->psk, NOISE_KEY_SIZE, next, mixed, noise->cipher_key);
    memcpy(noise->chaining_key, next, sizeof next);
    noise_mix_hash(noise, mixed, sizeof mixed);
    noise->cipher_nonce = 0;
    sodium_memzero(next, sizeof next);
    sodium_memzero(mixed, sizeof mixed);
}

static void noise_nonce(struct noise *noise,
                        uint8_t bytes[crypto_aead_chacha20poly1305_ietf_NPUBBYTES])
{
    memset(bytes, 0, 4);
    for (unsigned i = 0; i < 8; i++)
        bytes[4 + i] = (uint8_t)(noise->cipher_nonce >> (8 * i));
    noise->cipher_nonce += 1;
}

/* out: size + tag bytes. */
static void noise_encrypt(struct noise *noise, const uint8_t *plain, size_t size, uint8_t *out)
{
    uint8_t nonce[crypto_aead_chacha20poly1305_ietf_NPUBBYTES];
    noise_nonce(noise, nonce);
    int r = crypto_aead_chacha20poly1305_ietf_encrypt(
        out, NULL, plain, size, noise->hash, NOISE_HASH_SIZE, NULL, nonce, noise->cipher_key);
    assert(r == 0);
    noise_mix_hash(noise, out, size + NOISE_TAG_SIZE);
}

/* size: of the ciphertext with its tag. */
static int noise_decrypt(struct noise *noise, const uint8_t *cipher, size_t size, uint8_t *out)
{
    uint8_t nonce[crypto_aead_chacha20poly1305_ietf_NPUBBYTES];
    noise_nonce(noise, nonce);
    int r = crypto_aead_chacha20poly1305_ietf_decrypt(out, NULL, NULL, cipher, size, noise->hash,
                                                      NOISE_HASH_SIZE, nonce, noise->cipher_key);
    if (r != 0)
        return NOISE_E_AUTH;
    noise_mix_hash(noise, cipher, size);
    return 0;
}

static int noise_mix_dh(struct noise *noise, const uint8_t secret[NOISE_KEY_SIZE],
                        const uint8_t public_key[NOISE_KEY_SIZE])
{
    uint8_t shared[NOISE_KEY_SIZE];
    if (crypto_scalarmult(shared, secret, public_key) != 0)
        return NOISE_E_KEY;
    noise_mix_key(noise, shared);
    sodium_memzero(shared, sizeof shared);
    return 0;
}

void noise_init(struct noise *noise, const struct noise_options *options)
{
    memset(noise, 0, sizeof *noise);
    noise->initiator = options->initiator;
    memcpy(noise->static_secret, options->static_secret, NOISE_KEY_SIZE);
    memcpy(noise->static_public, options->static_public, NOISE_KEY_SIZE);
    memcpy(noise->ephemeral_secret, options->ephemeral_secret, NOISE_KEY_SIZE);
    memcpy(noise->psk, options->psk, NOISE_KEY_SIZE);
    int r = crypto_scalarmult_base(noise->ephemeral_public, noise->ephemeral_secret);
    assert(r == 0);
    /* The name is longer than the hash, so the hash of it starts the transcript (section 5.2). */
    _Static_assert(sizeof NOISE_NAME - 1 > NOISE_HASH_SIZE, "long name");
    crypto_hash_sha256(noise->hash, (const uint8_t *)NOISE_NAME, sizeof NOISE_NAME - 1);
    memcpy(noise->chaining_key, noise->hash, NOISE_HASH_SIZE);
    noise_mix_hash(noise, options->prologue, options->prologue_size);
}

void noise_set_psk(struct noise *noise, const uint8_t psk[NOISE_KEY_SIZE])
{
    assert(noise->message == 0);
    memcpy(noise->psk, psk, NOISE_KEY_SIZE);
}

void noise_deinit(struct noise *noise)
{
    sodium_memzero(noise, sizeof *noise);
}

bool noise_done(const struct noise *noise)
{
    return noise->message == NOISE_MESSAGES && noise->error == 0;
}

bool noise_writes(const struct noise *noise)
{
    return noise->message < NOISE_MESSAGES && noise->initiator == (noise->message % 2 == 0);
}

size_t noise_overhead(const struct noise *noise)
{
    static const uint8_t keys[NOISE_MESSAGES] = {
        NOISE_KEY_SIZE,                                   /* e */
        NOISE_KEY_SIZE + NOISE_KEY_SIZE + NOISE_TAG_SIZE, /* e, s */
        NOISE_KEY_SIZE + NOISE_TAG_SIZE,                  /* s */
    };
    assert(noise->message < NOISE_MESSAGES);
    return keys[noise->message] + NOISE_TAG_SIZE;
}

/* In a psk handshake the ephemeral key goes into the key as well (section 9.2). */
static void noise_mix_ephemeral(struct noise *noise, const uint8_t public_key[NOISE_KEY_SIZE])
{
    noise_mix_hash(noise, public_key, NOISE_KEY_SIZE);
    noise_mix_key(noise, public_key);
}

static int noise_write_tokens(struct noise *noise, uint8_t **at)
{
    int r = 0;
    if (noise->message == 0)
        noise_mix_psk(noise);
    if (noise->message < 2) {
        memcpy(*at, noise->ephemeral_public, NOISE_KEY_SIZE);
        *at += NOISE_KEY_SIZE;
        noise_mix_ephemeral(noise, noise->ephemeral_public);
    }
    if (noise->message == 1)
        r = noise_mix_dh(noise, noise->ephemeral_secret, noise->remote_ephemeral);
    if (noise->message == 0 || r != 0)
        return r;
    noise_encrypt(noise, noise->static_public, NOISE_KEY_SIZE, *at);
    *at += NOISE_KEY_SIZE + NOISE_TAG_SIZE;
    /* es of the responder, se of the initiator: both are own static with remote ephemeral */
    return noise_mix_dh(noise, noise->static_secret, noise->remote_ephemeral);
}

int noise_write(struct noise *noise, const uint8_t *payload, size_t payload_size, uint8_t *message,
                size_t *message_size)
{
    assert(noise_writes(noise));
    assert(payload_size <= NOISE_MESSAGE_SIZE_MAX - NOISE_OVERHEAD_MAX);
    if (noise->error != 0)
        return noise->error;
    size_t size = noise_overhead(noise) + payload_size;
    uint8_t *at = message;
    noise->error = noise_write_tokens(noise, &at);
    if (noise->error != 0)
        return noise->error;
    noise_encrypt(noise, payload, payload_size, at);
    at += payload_size + NOISE_TAG_SIZE;
    assert((size_t)(at - message) == size);
    *message_size = size;
    noise->message += 1;
    return 0;
}

static int noise_read_tokens(struct noise *noise, const uint8_t **at)
{
    int r = 0;
    if (noise->message == 0)
        noise_mix_psk(noise);
    if (noise->message < 2) {
        memcpy(noise->remote_ephemeral, *at, NOISE_KEY_SIZE);
        *at += NOISE_KEY_SIZE;
        noise_mix_ephemeral(noise, noise->remote_ephemeral);
    }
    if (noise->message == 1)
        r = noise_mix_dh(noise, noise->ephemeral_secret, noise->remote_ephemeral);
    if (noise->message == 0 || r != 0)
        return r;
    r = noise_decrypt(noise, *at, NOISE_KEY_SIZE + NOISE_TAG_SIZE, noise->remote_static);
    if (r != 0)
        return r;
    *at += NOISE_KEY_SIZE + NOISE_TAG_SIZE;
    return noise_mix_dh(noise, noise->ephemeral_secret, noise->remote_static);
}

int noise_read(struct noise *noise, const uint8_t *message, size_t message_size, uint8_t *payload,
               size_t *payload_size)
{
    assert(noise->message < NOISE_MESSAGES);
    assert(!noise_writes(noise));
    if (noise->error != 0)
        return noise->error;
    if (message_size < noise_overhead(noise) || message_size > NOISE_MESSAGE_SIZE_MAX) {
        noise->error = NOISE_E_SHORT;
        return noise->error;
    }
    size_t size = message_size - noise_overhead(noise);
    const uint8_t *at = message;
    noise->error = noise_read_tokens(noise, &at);
    if (noise->error == 0)
        noise->error = noise_decrypt(noise, at, size + NOISE_TAG_SIZE, payload);
    if (noise->error != 0)
        return noise->error;
    *payload_size = size;
    noise->message += 1;
    return 0;
}

void noise_split(struct noise *noise, struct noise_keys *keys)
{
    assert(noise_done(noise));
    uint8_t first[NOISE_HASH_SIZE];
    uint8_t second[NOISE_HASH_SIZE];
    static const uint8_t nothing[1];
    noise_hkdf(noise->chaining_key, nothing, 0, first, second, NULL);
    memcpy(noise->initiator ? keys->send : keys->receive, first, NOISE_KEY_SIZE);
    memcpy(noise->initiator ? keys->receive : keys->send, second, NOISE_KEY_SIZE);
    memcpy(keys->hash, noise->hash, NOISE_HASH_SIZE);
    sodium_memzero(noise->chaining_key, sizeof noise->chaining_key);
    sodium_memzero(first, sizeof first);
    sodium_memzero(second, sizeof second);
}
