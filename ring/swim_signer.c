#include "ring/swim.h"

#include <assert.h>

#include <sodium.h>

#include "ring/identity.h"

static void sign(const void *context, const uint8_t *bytes, size_t size,
                 uint8_t signature[SWIM_SIGNATURE_SIZE])
{
    static_assert(SWIM_SIGNATURE_SIZE == crypto_sign_BYTES, "Ed25519");
    (void)crypto_sign_detached(signature, NULL, bytes, size, context);
}

static bool verify(const void *context, const uint8_t public_key[RINGMAP_KEY_SIZE],
                   const uint8_t *bytes, size_t size, const uint8_t signature[SWIM_SIGNATURE_SIZE])
{
    (void)context;
    return crypto_sign_verify_detached(signature, bytes, size, public_key) == 0;
}

struct swim_signer swim_signer_ed25519(const uint8_t *secret_key)
{
    return (struct swim_signer){.sign = sign, .verify = verify, .context = secret_key};
}
