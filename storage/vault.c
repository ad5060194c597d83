#include "storage/vault.h"

#include <assert.h>
#include <string.h>

#include <sodium.h>

#include "storage/codec.h"
#include "storage/vault_aead.h"

#define TAIL_SIZE      8u
#define AD_SIZE        (28u + 8u + 32u + VAULT_DIGEST_SIZE)
#define KEY_SIZE_BYTES 2u

_Static_assert(VAULT_KEY_SIZE == VAULT_AEAD_KEY, "data key");
_Static_assert(VAULT_NONCE_SIZE == VAULT_AEAD_NONCE, "nonce");
_Static_assert(VAULT_TAG_SIZE == VAULT_AEAD_TAG, "tag");
_Static_assert(AD_SIZE <= VAULT_AEAD_AD_MAX, "associated data");
_Static_assert(VAULT_OVERHEAD_SIZE == TAIL_SIZE + KEY_SIZE_BYTES + VAULT_TAG_SIZE, "overhead");
_Static_assert(VAULT_WRAPPED_SIZE == crypto_box_SEALBYTES + 1 + VAULT_KEY_SIZE, "a box");
_Static_assert(VAULT_EXCHANGE_SIZE == crypto_box_PUBLICKEYBYTES, "X25519 key");

void vault_init(struct vault *vault)
{
    memset(vault, 0, sizeof(*vault));
}

void vault_wipe(struct vault *vault)
{
    sodium_memzero(vault, sizeof(*vault));
}

int vault_add(struct vault *vault, uint8_t id, const uint8_t key[VAULT_KEY_SIZE])
{
    assert(id != 0);
    if (vault->known[id])
        return sodium_memcmp(vault->keys[id], key, VAULT_KEY_SIZE) == 0 ? 0 : VAULT_E_CONFLICT;
    memcpy(vault->keys[id], key, VAULT_KEY_SIZE);
    vault->known[id] = true;
    return 0;
}

void vault_use(struct vault *vault, uint8_t id)
{
    assert(id != 0 && vault->known[id]);
    vault->current = id;
}

uint8_t vault_newest_of_several(const struct vault *vault)
{
    uint8_t current = vault ? vault->current : 0;

    for (unsigned id = 1; id <= VAULT_KEYS_MAX; id++)
        if (current != 0 && id != current && vault->known[id])
            return current;
    return 0;
}

/* --- records ------------------------------------------------------------------------------- */

size_t vault_sealed_size(const struct record *record)
{
    return VAULT_OVERHEAD_SIZE + record->key_size + record->value_size;
}

static void make_nonce(const struct record *record, const uint8_t tail[TAIL_SIZE],
                       uint8_t nonce[VAULT_NONCE_SIZE])
{
    codec_put_u16(nonce, record->partition);
    codec_put_u16(nonce + 2, record->sub_index);
    codec_put_u32(nonce + 4, record->term);
    codec_put_u64(nonce + 8, record->index);
    memcpy(nonce + 16, tail, TAIL_SIZE);
}

/* Of the record as it is sealed: bytes 4 … 31 of its header, extensions (zeros where there is none)
 * and the digest. */
static void make_ad(const struct record *record, uint8_t ad[AD_SIZE])
{
    memset(ad, 0, AD_SIZE);
    codec_put_u16(ad, record->partition);
    ad[2] = record->kind;
    ad[3] = record->flags & (uint8_t)~RECORD_FLAG_RELOCATED;
    codec_put_u32(ad + 4, record->term);
    codec_put_u16(ad + 8, record->sub_index);
    codec_put_u16(ad + 10, record->sub_count);
    codec_put_u64(ad + 12, record->index);
    codec_put_u16(ad + 20, (uint16_t)record->key_size);
    ad[22] = record->codec;
    ad[23] = record->key_id;
    codec_put_u32(ad + 24, (uint32_t)record->value_size);
    if (record->flags & RECORD_FLAG_EXPIRES)
        codec_put_u64(ad + 28, record->expiry_ms);
    if (record->flags & RECORD_FLAG_REQUEST) {
        codec_put_u64(ad + 36, record->request.session);
        codec_put_u64(ad + 44, record->request.sequence);
        codec_put_u64(ad + 52, record->request.floor);
        codec_put_u64(ad + 60, (uint64_t)record->request.result);
    }
    if (record->key_size > 0)
        memcpy(ad + 68, record->key, VAULT_DIGEST_SIZE);
}

/* Seals what lies in `plain`, behind the tail, which is behind the digest in out. */
static void seal(const struct vault *vault, uint8_t id, struct record *record, uint8_t *out,
                 size_t plain_size)
{
    uint8_t *sealed = out + VAULT_DIGEST_SIZE, *plain = sealed + TAIL_SIZE;
    uint8_t nonce[VAULT_NONCE_SIZE], ad[AD_SIZE];

    assert(id != 0 && vault->known[id]);
    record->flags |= RECORD_FLAG_ENCRYPTED;
    record->key_id = id;
    if (record->key_size > 0) {
        record->key = out;
        record->key_size = VAULT_DIGEST_SIZE;
    }
    record->value = sealed;
    record->value_size = TAIL_SIZE + plain_size + VAULT_TAG_SIZE;
    make_nonce(record, sealed, nonce);
    make_ad(record, ad);
    vault_aead_seal(plain, plain_size, ad, sizeof(ad), nonce, vault->keys[id]);
}

void vault_seal(const struct vault *vault, struct record *record,
                const struct keydir_digest *digest, uint64_t tail, uint8_t *out)
{
    size_t plain_size = KEY_SIZE_BYTES + record->key_size + record->value_size;
    uint8_t *sealed = out + VAULT_DIGEST_SIZE, *plain = sealed + TAIL_SIZE;

    assert(record->kind == RECORD_KIND_PUT || record->kind == RECORD_KIND_DELETE ||
           record->kind == RECORD_KIND_DICTIONARY);
    assert((record->key_size == 0) == (record->kind == RECORD_KIND_DICTIONARY));
    assert(!(record->flags & RECORD_FLAG_ENCRYPTED) && record->sub_index < record->sub_count);
    codec_put_u64(out, digest->high);
    codec_put_u64(out + 8, digest->low);
    codec_put_u64(sealed, tail);
    codec_put_u16(plain, (uint16_t)record->key_size);
    if (record->key_size > 0)
        memcpy(plain + KEY_SIZE_BYTES, record->key, record->key_size);
    if (record->value_size > 0)
        memcpy(plain + KEY_SIZE_BYTES + record->key_size, record->value, record->value_size);
    seal(vault, vault->current, record, out, plain_size);
}

/* Decrypts the value into out. VAULT_E_NO_KEY, VAULT_E_CORRUPT. */
static int unseal(const struct vault *vault, const struct record *record, uint8_t *out)
{
    uint8_t nonce[VAULT_NONCE_SIZE], ad[AD_SIZE];

    assert(record->flags & RECORD_FLAG_ENCRYPTED);
    assert(record->key_size == (record->kind == RECORD_KIND_DICTIONARY ? 0 : VAULT_DIGEST_SIZE));
    assert(record->value_size > VAULT_OVERHEAD_SIZE);
    if (!vault || !vault->known[record->key_id])
        return VAULT_E_NO_KEY;
    make_nonce(record, record->value, nonce);
    make_ad(record, ad);
    return vault_aead_open(out, record->value + TAIL_SIZE,
                           record->value_size - TAIL_SIZE - VAULT_TAG_SIZE, ad, sizeof(ad), nonce,
                           vault->keys[record->key_id])
               ? 0
               : VAULT_E_CORRUPT;
}

int vault_reseal(const struct vault *vault, uint8_t id, struct record *record, uint8_t *out)
{
    uint8_t *sealed = out + VAULT_DIGEST_SIZE;
    int r;

    if (!vault || !vault->known[id])
        return VAULT_E_NO_KEY;
    r = unseal(vault, record, sealed + TAIL_SIZE);
    if (r != 0)
        return r;
    if (record->key_size > 0)
        memcpy(out, record->key, VAULT_DIGEST_SIZE);
    memcpy(sealed, record->value, TAIL_SIZE);
    seal(vault, id, record, out, record->value_size - TAIL_SIZE - VAULT_TAG_SIZE);
    return 0;
}

int vault_open(const struct vault *vault, struct record *record, uint8_t *out)
{
    size_t plain_size, key_size;
    int r = unseal(vault, record, out);

    if (r != 0)
        return r;
    plain_size = record->value_size - TAIL_SIZE - VAULT_TAG_SIZE;
    key_size = codec_get_u16(out);
    if ((key_size == 0) != (record->kind == RECORD_KIND_DICTIONARY) ||
        key_size > plain_size - KEY_SIZE_BYTES)
        return VAULT_E_CORRUPT;
    record->flags &= (uint8_t)~RECORD_FLAG_ENCRYPTED;
    record->key_id = 0;
    record->key = out + KEY_SIZE_BYTES;
    record->key_size = key_size;
    record->value = out + KEY_SIZE_BYTES + key_size;
    record->value_size = plain_size - KEY_SIZE_BYTES - key_size;
    return 0;
}

bool vault_digest(const struct record *record, struct keydir_digest *digest)
{
    if (!(record->flags & RECORD_FLAG_ENCRYPTED) || record->key_size != VAULT_DIGEST_SIZE)
        return false;
    digest->high = codec_get_u64(record->key);
    digest->low = codec_get_u64(record->key + 8);
    return true;
}

/* --- wrapped keys -------------------------------------------------------------------------- */

int vault_wrap(uint8_t id, const uint8_t key[VAULT_KEY_SIZE],
               const uint8_t public_key[VAULT_EXCHANGE_SIZE], uint8_t wrapped[VAULT_WRAPPED_SIZE])
{
    uint8_t plain[1 + VAULT_KEY_SIZE];
    int r;

    assert(id != 0);
    plain[0] = id;
    memcpy(plain + 1, key, VAULT_KEY_SIZE);
    r = crypto_box_seal(wrapped, plain, sizeof(plain), public_key);
    sodium_memzero(plain, sizeof(plain));
    return r == 0 ? 0 : VAULT_E_CORRUPT;
}

int vault_unwrap(struct vault *vault, uint8_t id, const uint8_t public_key[VAULT_EXCHANGE_SIZE],
                 const uint8_t secret_key[VAULT_EXCHANGE_SIZE],
                 const uint8_t wrapped[VAULT_WRAPPED_SIZE])
{
    uint8_t plain[1 + VAULT_KEY_SIZE];
    int r = VAULT_E_CORRUPT;

    if (crypto_box_seal_open(plain, wrapped, VAULT_WRAPPED_SIZE, public_key, secret_key) == 0 &&
        plain[0] == id && id != 0)
        r = vault_add(vault, id, plain + 1);
    sodium_memzero(plain, sizeof(plain));
    return r;
}
