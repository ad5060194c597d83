#include "ring/refusal.h"

#include "ring/bytes.h"
#include "ring/link.h"
#include "ring/seal.h"
#include "ring/stamp.h"
#include "ring/ticket.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include <sodium.h>

#define CONTEXT    "refusal1" /* of the key's derivation */
#define NUMBER_MAX ((UINT64_C(1) << 48) - 1)

_Static_assert(REFUSAL_SIZE == REFUSAL_PLAIN_SIZE + crypto_aead_chacha20poly1305_ietf_ABYTES, "");
_Static_assert(REFUSAL_SIZE < SEAL_HEADER_SIZE, "never taken for a stream's header");
_Static_assert(sizeof CONTEXT - 1 == crypto_kdf_CONTEXTBYTES, "context");
_Static_assert(NOISE_KEY_SIZE == crypto_kdf_KEYBYTES, "a key is derived from");
_Static_assert(NOISE_KEY_SIZE == crypto_aead_chacha20poly1305_ietf_KEYBYTES, "and to");

static const uint8_t nonce[crypto_aead_chacha20poly1305_ietf_NPUBBYTES];

void refusal_seal(const struct refusal *refusal, const uint8_t key[NOISE_KEY_SIZE],
                  uint8_t out[REFUSAL_SIZE])
{
    uint64_t number = refusal->number < NUMBER_MAX ? refusal->number : NUMBER_MAX;
    uint8_t plain[REFUSAL_PLAIN_SIZE], own[NOISE_KEY_SIZE];
    struct bytes_writer writer = {plain, 0};

    bytes_put_number(&writer, refusal->kind, 1);
    bytes_put_number(&writer, number, 6);
    assert(writer.size == sizeof plain);
    crypto_kdf_derive_from_key(own, sizeof own, 1, CONTEXT, key);
    crypto_aead_chacha20poly1305_ietf_encrypt(out, NULL, plain, sizeof plain, NULL, 0, NULL, nonce,
                                              own);
    sodium_memzero(own, sizeof own);
}

bool refusal_open(struct refusal *refusal, const uint8_t key[NOISE_KEY_SIZE],
                  const uint8_t bytes[REFUSAL_SIZE])
{
    uint8_t plain[REFUSAL_PLAIN_SIZE], own[NOISE_KEY_SIZE];
    struct bytes_reader reader = {plain, sizeof plain, false};
    int r;

    crypto_kdf_derive_from_key(own, sizeof own, 1, CONTEXT, key);
    r = crypto_aead_chacha20poly1305_ietf_decrypt(plain, NULL, NULL, bytes, REFUSAL_SIZE, NULL, 0,
                                                  nonce, own);
    sodium_memzero(own, sizeof own);
    if (r != 0)
        return false;
    if (plain[0] == REFUSAL_NONE || plain[0] >= REFUSAL_UNANSWERED)
        return false;
    refusal->kind = (uint8_t)bytes_take_number(&reader, 1);
    refusal->number = bytes_take_number(&reader, 6);
    return true;
}

const char *refusal_word(uint8_t kind)
{
    switch (kind) {
#define X(name, number, word)                                                                      \
    case REFUSAL_##name:                                                                           \
        return word;
        REFUSALS(X)
#undef X
    default:
        return "refused for a reason that this version does not know";
    }
}

static void say(const struct refusal *refusal, char text[REFUSAL_TEXT_SIZE])
{
    unsigned long long number = refusal->number;
    char time[STAMP_SIZE];

    switch (refusal->kind) {
    case REFUSAL_REVOKED:
    case REFUSAL_EXPIRED:
        snprintf(text, REFUSAL_TEXT_SIZE, "the ticket %s%s at %s",
                 refusal->kind == REFUSAL_REVOKED ? "was " : "", refusal_word(refusal->kind),
                 stamp_seconds(refusal->number, time));
        break;
    case REFUSAL_SPENT:
        snprintf(text, REFUSAL_TEXT_SIZE, "the ticket is spent: used %llu of %llu times", number,
                 number);
        break;
    case REFUSAL_ROLE:
        snprintf(text, REFUSAL_TEXT_SIZE, "the ticket is for the role %s",
                 ticket_role_name(number <= LINK_ROLE_ADMIN ? (uint8_t)number : 0));
        break;
    case REFUSAL_RETIRED:
    case REFUSAL_UNKNOWN:
        snprintf(text, REFUSAL_TEXT_SIZE, "the ticket is %s", refusal_word(refusal->kind));
        break;
    case REFUSAL_CROWD:
        snprintf(text, REFUSAL_TEXT_SIZE, "%s are open to this node: %llu",
                 refusal_word(refusal->kind), number);
        break;
    case REFUSAL_UNANSWERED:
        snprintf(text, REFUSAL_TEXT_SIZE,
                 "it does not answer: another cluster's ticket, or one that is forgotten");
        break;
    default:
        snprintf(text, REFUSAL_TEXT_SIZE, "%s", refusal_word(refusal->kind));
        break;
    }
}

bool refusal_wants_another(uint8_t kind)
{
    switch (kind) {
    case REFUSAL_REVOKED:
    case REFUSAL_EXPIRED:
    case REFUSAL_SPENT:
    case REFUSAL_ROLE:
    case REFUSAL_RETIRED:
    case REFUSAL_UNKNOWN:
    case REFUSAL_UNANSWERED:
        return true;
    default:
        return false;
    }
}

void refusal_text(const struct refusal *refusal, uint8_t role, char text[REFUSAL_TEXT_SIZE])
{
    size_t size;

    say(refusal, text);
    size = strlen(text);
    if (role != 0 && refusal_wants_another(refusal->kind))
        snprintf(text + size, REFUSAL_TEXT_SIZE - size,
                 "; take one of `ring-admin ticket new --role %s`", ticket_role_name(role));
}
