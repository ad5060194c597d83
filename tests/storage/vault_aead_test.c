#include "storage/vault_aead.h"

#include <criterion/criterion.h>
#include <sodium.h>
#include <string.h>

#define SIZE_MAX_TRIED 700u

static uint8_t key[VAULT_AEAD_KEY], nonce[VAULT_AEAD_NONCE], ad[VAULT_AEAD_AD_MAX];

static void begin(uint8_t seed)
{
    cr_assert_geq(sodium_init(), 0);
    for (size_t i = 0; i < sizeof key; i++)
        key[i] = (uint8_t)(seed * 31 + i);
    for (size_t i = 0; i < sizeof nonce; i++)
        nonce[i] = (uint8_t)(seed * 17 + i * 3);
    for (size_t i = 0; i < sizeof ad; i++)
        ad[i] = (uint8_t)(seed + i * 7);
}

/* Which is tested against the published vectors in vault_test.c. */
Test(vault_aead, gives_the_bytes_that_libsodium_does)
{
    uint8_t bytes[SIZE_MAX_TRIED + VAULT_AEAD_TAG], expected[SIZE_MAX_TRIED + VAULT_AEAD_TAG];

    for (size_t size = 0; size <= SIZE_MAX_TRIED; size++) {
        size_t ad_size = size % (VAULT_AEAD_AD_MAX + 1);

        begin((uint8_t)size);
        for (size_t i = 0; i < size; i++)
            bytes[i] = (uint8_t)(i * 13 + size);
        crypto_aead_xchacha20poly1305_ietf_encrypt(expected, NULL, bytes, size, ad, ad_size, NULL,
                                                   nonce, key);
        vault_aead_seal(bytes, size, ad, ad_size, nonce, key);
        cr_assert_eq(memcmp(bytes, expected, size + VAULT_AEAD_TAG), 0, "%zu bytes", size);
        cr_assert(vault_aead_open(bytes, bytes, size, ad, ad_size, nonce, key));
        for (size_t i = 0; i < size; i++)
            cr_assert_eq(bytes[i], (uint8_t)(i * 13 + size), "%zu of %zu", i, size);
    }
}

/* Each byte of text, tag, associated data, nonce and key counts, and lengths do. */
Test(vault_aead, what_was_changed_does_not_open)
{
    static const size_t sizes[] = {0, 1, 118, VAULT_AEAD_SMALL, VAULT_AEAD_SMALL + 1};
    uint8_t bytes[SIZE_MAX_TRIED + VAULT_AEAD_TAG], out[SIZE_MAX_TRIED];

    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
        size_t size = sizes[s];
        struct {
            uint8_t *bytes;
            size_t size;
        } parts[] = {{bytes, size + VAULT_AEAD_TAG}, {ad, 84}, {nonce, sizeof nonce}, {key, 32}};

        begin(9);
        memset(bytes, 'x', size);
        vault_aead_seal(bytes, size, ad, 84, nonce, key);
        for (size_t p = 0; p < sizeof parts / sizeof parts[0]; p++)
            for (size_t i = 0; i < parts[p].size; i++) {
                parts[p].bytes[i] ^= 1;
                memset(out, 0, sizeof out);
                cr_assert_not(vault_aead_open(out, bytes, size, ad, 84, nonce, key));
                for (size_t at = 0; at < size; at++)
                    cr_assert_eq(out[at], 0, "it gives what it does not trust");
                parts[p].bytes[i] ^= 1;
            }
        cr_assert_not(vault_aead_open(out, bytes, size, ad, 83, nonce, key));
        cr_assert(vault_aead_open(out, bytes, size, ad, 84, nonce, key));
    }
}
