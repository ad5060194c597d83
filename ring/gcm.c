#include "ring/gcm.h"

#include <assert.h>
#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <sodium.h>
#include <string.h>

bool gcm_available(void)
{
    static const uint8_t key[GCM_KEY_SIZE];
    struct gcm gcm;
    int r;

    if (!crypto_aead_aes256gcm_is_available())
        return false;
    /* Threads of ours may still be sealing while the process ends: no cleaning up at exit. */
    if (OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG | OPENSSL_INIT_NO_LOAD_CRYPTO_STRINGS |
                                OPENSSL_INIT_NO_ATEXIT,
                            NULL) != 1)
        return false;
    r = gcm_init(&gcm, true, key);
    gcm_deinit(&gcm);
    return r == 0;
}

int gcm_init(struct gcm *gcm, bool seals, const uint8_t key[GCM_KEY_SIZE])
{
    EVP_CIPHER *cipher = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
    int r = 0;

    gcm->context = EVP_CIPHER_CTX_new();
    if (cipher && gcm->context)
        r = EVP_CipherInit_ex2(gcm->context, cipher, key, NULL, seals, NULL);
    EVP_CIPHER_free(cipher); /* the context has its own reference */
    if (r == 1)
        return 0;
    gcm_deinit(gcm);
    return -ENOMEM;
}

void gcm_deinit(struct gcm *gcm)
{
    EVP_CIPHER_CTX_free(gcm->context);
    gcm->context = NULL;
}

/* Without a cipher named, the context keeps its own, and its direction with -1. Nothing of this
 * depends on what the bytes are, so none of the calls can fail but for a mistake of ours. */
void gcm_set_key(struct gcm *gcm, const uint8_t key[GCM_KEY_SIZE])
{
    int r = EVP_CipherInit_ex2(gcm->context, NULL, key, NULL, -1, NULL);
    assert(r == 1);
}

static void gcm_run(struct gcm *gcm, const uint8_t nonce[GCM_NONCE_SIZE], const uint8_t *ad,
                    size_t ad_size, uint8_t *bytes, size_t size)
{
    int done = 0;

    assert(size <= GCM_SIZE_MAX);
    assert(ad_size <= GCM_SIZE_MAX);
    int r = EVP_CipherInit_ex2(gcm->context, NULL, NULL, nonce, -1, NULL);
    assert(r == 1);
    r = EVP_CipherUpdate(gcm->context, NULL, &done, ad, (int)ad_size);
    assert(r == 1);
    r = EVP_CipherUpdate(gcm->context, bytes, &done, bytes, (int)size);
    assert(r == 1);
    assert((size_t)done == size);
}

void gcm_seal(struct gcm *gcm, const uint8_t nonce[GCM_NONCE_SIZE], const uint8_t *ad,
              size_t ad_size, uint8_t *bytes, size_t size, uint8_t mac[GCM_MAC_SIZE])
{
    int done = 0;

    assert(EVP_CIPHER_CTX_is_encrypting(gcm->context));
    gcm_run(gcm, nonce, ad, ad_size, bytes, size);
    int r = EVP_CipherFinal_ex(gcm->context, mac, &done); /* writes nothing */
    assert(r == 1);
    r = EVP_CIPHER_CTX_ctrl(gcm->context, EVP_CTRL_AEAD_GET_TAG, GCM_MAC_SIZE, mac);
    assert(r == 1);
}

bool gcm_open(struct gcm *gcm, const uint8_t nonce[GCM_NONCE_SIZE], const uint8_t *ad,
              size_t ad_size, uint8_t *bytes, size_t size, const uint8_t mac[GCM_MAC_SIZE])
{
    uint8_t expected[GCM_MAC_SIZE];
    int done = 0;

    assert(!EVP_CIPHER_CTX_is_encrypting(gcm->context));
    memcpy(expected, mac, sizeof expected); /* the library asks for one that it might change */
    gcm_run(gcm, nonce, ad, ad_size, bytes, size);
    int r = EVP_CIPHER_CTX_ctrl(gcm->context, EVP_CTRL_AEAD_SET_TAG, GCM_MAC_SIZE, expected);
    assert(r == 1);
    if (EVP_CipherFinal_ex(gcm->context, expected, &done) == 1)
        return true;
    memset(bytes, 0, size);
    return false;
}
