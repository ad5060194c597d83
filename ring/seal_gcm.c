#include "ring/seal_gcm.h"

#include <assert.h>
#include <sodium.h>
#include <string.h>

struct seal_gcm_keys {
    uint8_t key[GCM_KEY_SIZE];
    uint8_t next[GCM_KEY_SIZE];
};

_Static_assert(sizeof(struct seal_gcm_keys) == crypto_generichash_blake2b_BYTES_MAX, "a hash");
_Static_assert(GCM_KEY_SIZE <= crypto_generichash_blake2b_KEYBYTES_MAX, "keyed");

static void seal_gcm_derive(struct seal_gcm_keys *keys, const uint8_t secret[GCM_KEY_SIZE],
                            const uint8_t *input, size_t input_size)
{
    static const uint8_t personal[crypto_generichash_blake2b_PERSONALBYTES + 1] =
        "ringcask-aes-gcm";
    int r = crypto_generichash_blake2b_salt_personal(
        (uint8_t *)keys, sizeof *keys, input, input_size, secret, GCM_KEY_SIZE, NULL, personal);
    assert(r == 0);
}

int seal_gcm_init(struct seal_gcm *seal, bool seals, const uint8_t key[GCM_KEY_SIZE],
                  const uint8_t header[SEAL_GCM_HEADER_SIZE])
{
    struct seal_gcm_keys keys;

    memset(seal, 0, sizeof *seal);
    seal_gcm_derive(&keys, key, header, SEAL_GCM_HEADER_SIZE);
    int r = gcm_init(&seal->gcm, seals, keys.key);
    memcpy(seal->next, keys.next, sizeof seal->next);
    sodium_memzero(&keys, sizeof keys);
    return r;
}

void seal_gcm_deinit(struct seal_gcm *seal)
{
    gcm_deinit(&seal->gcm);
    sodium_memzero(seal, sizeof *seal);
}

static void seal_gcm_nonce(struct seal_gcm *seal, uint8_t nonce[GCM_NONCE_SIZE])
{
    uint64_t number = seal->number++;

    assert(number < UINT64_MAX);
    memset(nonce, 0, GCM_NONCE_SIZE);
    for (unsigned i = 0; i < sizeof number; i++)
        nonce[GCM_NONCE_SIZE - 1 - i] = (uint8_t)(number >> (8 * i));
}

void seal_gcm_push(struct seal_gcm *seal, const uint8_t *ad, size_t ad_size, uint8_t *bytes,
                   size_t size)
{
    uint8_t nonce[GCM_NONCE_SIZE];

    seal_gcm_nonce(seal, nonce);
    gcm_seal(&seal->gcm, nonce, ad, ad_size, bytes, size, bytes + size);
}

bool seal_gcm_pull(struct seal_gcm *seal, const uint8_t *ad, size_t ad_size, uint8_t *bytes,
                   size_t size)
{
    uint8_t nonce[GCM_NONCE_SIZE];

    seal_gcm_nonce(seal, nonce);
    return gcm_open(&seal->gcm, nonce, ad, ad_size, bytes, size, bytes + size);
}

void seal_gcm_rekey(struct seal_gcm *seal)
{
    struct seal_gcm_keys keys;

    seal_gcm_derive(&keys, seal->next, NULL, 0);
    gcm_set_key(&seal->gcm, keys.key);
    memcpy(seal->next, keys.next, sizeof seal->next);
    sodium_memzero(&keys, sizeof keys);
}
