#include "storage/vault_aead.h"

#include <assert.h>
#include <string.h>

#include <sodium.h>

#include "storage/codec.h"

#define STREAM_BLOCK  64u  /* of ChaCha20; the first one is the key of the tag */
#define STREAM_STEP   256u /* what its vector code takes at once */
#define MESSAGE_BLOCK 16u  /* of Poly1305 */
#define LENGTHS_SIZE  16u

_Static_assert(VAULT_AEAD_KEY == crypto_aead_xchacha20poly1305_ietf_KEYBYTES, "key");
_Static_assert(VAULT_AEAD_NONCE == crypto_aead_xchacha20poly1305_ietf_NPUBBYTES, "nonce");
_Static_assert(VAULT_AEAD_TAG == crypto_aead_xchacha20poly1305_ietf_ABYTES, "tag");
_Static_assert((STREAM_BLOCK + VAULT_AEAD_SMALL) % STREAM_STEP == 0, "whole steps");
_Static_assert(VAULT_AEAD_SMALL % MESSAGE_BLOCK == 0, "whole blocks");

struct small {
    uint8_t stream[STREAM_BLOCK + VAULT_AEAD_SMALL];
    uint8_t message[VAULT_AEAD_AD_MAX + VAULT_AEAD_SMALL + LENGTHS_SIZE];
};

static void stream_make(struct small *small, size_t size, const uint8_t nonce[VAULT_AEAD_NONCE],
                        const uint8_t key[VAULT_AEAD_KEY])
{
    uint8_t subkey[crypto_core_hchacha20_OUTPUTBYTES];
    uint8_t rest[crypto_stream_chacha20_ietf_NONCEBYTES] = {0};
    size_t steps = (STREAM_BLOCK + size + STREAM_STEP - 1) / STREAM_STEP;

    crypto_core_hchacha20(subkey, nonce, key, NULL);
    memcpy(rest + 4, nonce + crypto_core_hchacha20_INPUTBYTES, 8);
    crypto_stream_chacha20_ietf(small->stream, steps * STREAM_STEP, rest, subkey);
    sodium_memzero(subkey, sizeof(subkey));
}

/* Bytes of the message with so many more, filled up with zeros to whole blocks. */
static size_t message_add(struct small *small, size_t used, const uint8_t *bytes, size_t size)
{
    size_t padded = (size + MESSAGE_BLOCK - 1) / MESSAGE_BLOCK * MESSAGE_BLOCK;

    memcpy(small->message + used, bytes, size);
    memset(small->message + used + size, 0, padded - size);
    return used + padded;
}

static void tag_make(struct small *small, const uint8_t *ad, size_t ad_size, const uint8_t *sealed,
                     size_t size, uint8_t tag[VAULT_AEAD_TAG])
{
    size_t used = message_add(small, 0, ad, ad_size);

    used = message_add(small, used, sealed, size);
    codec_put_u64(small->message + used, ad_size);
    codec_put_u64(small->message + used + 8, size);
    crypto_onetimeauth_poly1305(tag, small->message, used + LENGTHS_SIZE, small->stream);
}

static void apply(const struct small *small, const uint8_t *in, size_t size, uint8_t *out)
{
    for (size_t i = 0; i < size; i++)
        out[i] = in[i] ^ small->stream[STREAM_BLOCK + i];
}

void vault_aead_seal(uint8_t *bytes, size_t size, const uint8_t *ad, size_t ad_size,
                     const uint8_t nonce[VAULT_AEAD_NONCE], const uint8_t key[VAULT_AEAD_KEY])
{
    struct small small;
    int r;

    assert(ad_size <= VAULT_AEAD_AD_MAX);
    if (size > VAULT_AEAD_SMALL) {
        r = crypto_aead_xchacha20poly1305_ietf_encrypt(bytes, NULL, bytes, size, ad, ad_size, NULL,
                                                       nonce, key);
        assert(r == 0);
        return;
    }
    stream_make(&small, size, nonce, key);
    apply(&small, bytes, size, bytes);
    tag_make(&small, ad, ad_size, bytes, size, bytes + size);
    sodium_memzero(small.stream, sizeof(small.stream));
}

bool vault_aead_open(uint8_t *out, const uint8_t *bytes, size_t size, const uint8_t *ad,
                     size_t ad_size, const uint8_t nonce[VAULT_AEAD_NONCE],
                     const uint8_t key[VAULT_AEAD_KEY])
{
    uint8_t tag[VAULT_AEAD_TAG];
    struct small small;
    bool sound;

    assert(ad_size <= VAULT_AEAD_AD_MAX);
    if (size > VAULT_AEAD_SMALL)
        return crypto_aead_xchacha20poly1305_ietf_decrypt(
                   out, NULL, NULL, bytes, size + VAULT_AEAD_TAG, ad, ad_size, nonce, key) == 0;
    stream_make(&small, size, nonce, key);
    tag_make(&small, ad, ad_size, bytes, size, tag);
    sound = crypto_verify_16(tag, bytes + size) == 0;
    if (sound)
        apply(&small, bytes, size, out);
    sodium_memzero(small.stream, sizeof(small.stream));
    return sound;
}
