#include "ring/handshake.h"

#include <assert.h>
#include <sodium.h>
#include <string.h>

#define HANDSHAKE_PROLOGUE_SIZE (sizeof HANDSHAKE_PROTOCOL - 1 + 1 + TICKET_CLUSTER_SIZE)

_Static_assert(HANDSHAKE_FIRST_MESSAGE_SIZE == NOISE_KEY_SIZE + 16, "e and a tag");
_Static_assert(TICKET_PSK_SIZE == NOISE_KEY_SIZE, "psk");

static void handshake_put(uint8_t *at, uint64_t value, unsigned size)
{
    for (unsigned i = 0; i < size; i++)
        at[i] = (uint8_t)(value >> (8 * i));
}

static uint64_t handshake_get(const uint8_t *at, unsigned size)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < size; i++)
        value |= (uint64_t)at[i] << (8 * i);
    return value;
}

void handshake_init(struct handshake *handshake, const struct handshake_options *options)
{
    memset(handshake, 0, sizeof *handshake);
    handshake->payload[0] = HANDSHAKE_PAYLOAD_VERSION;
    handshake->payload[1] = (uint8_t)options->role;
    handshake_put(handshake->payload + 2, options->ciphers, 2);
    handshake_put(handshake->payload + 4, options->credit_messages, 4);
    handshake_put(handshake->payload + 8, options->credit_size, 8);
    memcpy(handshake->payload + 16, options->identity->public_key, IDENTITY_PUBLIC_SIZE);
    handshake->pinned = options->expected_key != NULL;
    if (handshake->pinned)
        memcpy(handshake->expected_key, options->expected_key, IDENTITY_PUBLIC_SIZE);

    uint8_t prologue[HANDSHAKE_PROLOGUE_SIZE];
    size_t name_size = sizeof HANDSHAKE_PROTOCOL - 1;
    memcpy(prologue, HANDSHAKE_PROTOCOL, name_size);
    prologue[name_size] = HANDSHAKE_PROTOCOL_VERSION;
    memcpy(prologue + name_size + 1, options->ticket->cluster, TICKET_CLUSTER_SIZE);
    struct noise_options noise = {
        .initiator = options->initiator,
        .prologue = prologue,
        .prologue_size = sizeof prologue,
    };
    memcpy(noise.static_secret, options->identity->dh_secret, NOISE_KEY_SIZE);
    memcpy(noise.static_public, options->identity->dh_public, NOISE_KEY_SIZE);
    memcpy(noise.ephemeral_secret, options->ephemeral_secret, NOISE_KEY_SIZE);
    memcpy(noise.psk, options->ticket->psk, NOISE_KEY_SIZE);
    noise_init(&handshake->noise, &noise);
    sodium_memzero(&noise, sizeof noise);
}

void handshake_deinit(struct handshake *handshake)
{
    noise_deinit(&handshake->noise);
}

bool handshake_writes(const struct handshake *handshake)
{
    return handshake->error == 0 && noise_writes(&handshake->noise);
}

bool handshake_done(const struct handshake *handshake)
{
    return handshake->error == 0 && handshake->peer_known && noise_done(&handshake->noise);
}

bool handshake_heard(const struct handshake *handshake)
{
    unsigned own = handshake->noise.initiator ? 1 : 0;
    return handshake->error == 0 && handshake->noise.message > own;
}

int handshake_write(struct handshake *handshake, uint8_t *out, size_t *out_size)
{
    if (handshake->error != 0)
        return handshake->error;
    size_t payload_size = handshake->noise.message == 0 ? 0 : HANDSHAKE_PAYLOAD_SIZE;
    size_t message_size = 0;
    if (noise_write(&handshake->noise, handshake->payload, payload_size,
                    out + HANDSHAKE_LENGTH_SIZE, &message_size) != 0) {
        handshake->error = HANDSHAKE_E_AUTH;
        return handshake->error;
    }
    assert(message_size <= HANDSHAKE_MESSAGE_SIZE_MAX);
    handshake_put(out, message_size, HANDSHAKE_LENGTH_SIZE);
    *out_size = HANDSHAKE_LENGTH_SIZE + message_size;
    return 0;
}

/* The other side's payload, now that Noise has proven its static key. */
static int handshake_take_payload(struct handshake *handshake, const uint8_t *payload, size_t size)
{
    if (size < HANDSHAKE_PAYLOAD_SIZE || payload[0] < 1)
        return HANDSHAKE_E_PAYLOAD;
    struct handshake_peer *peer = &handshake->peer;
    if (payload[1] < LINK_ROLE_NODE || payload[1] > LINK_ROLE_ADMIN)
        return HANDSHAKE_E_PAYLOAD;
    peer->role = (enum link_role)payload[1];
    peer->ciphers = (uint16_t)handshake_get(payload + 2, 2);
    peer->credit_messages = (uint32_t)handshake_get(payload + 4, 4);
    peer->credit_size = handshake_get(payload + 8, 8);
    if (peer->credit_messages == 0 || peer->credit_size == 0)
        return HANDSHAKE_E_PAYLOAD;
    memcpy(peer->public_key, payload + 16, IDENTITY_PUBLIC_SIZE);
    uint8_t dh_public[IDENTITY_PUBLIC_SIZE];
    if (identity_dh_public(dh_public, peer->public_key) != 0)
        return HANDSHAKE_E_KEY;
    if (sodium_memcmp(dh_public, handshake->noise.remote_static, sizeof dh_public) != 0)
        return HANDSHAKE_E_KEY;
    if (handshake->pinned &&
        sodium_memcmp(peer->public_key, handshake->expected_key, IDENTITY_PUBLIC_SIZE) != 0)
        return HANDSHAKE_E_NOT_PINNED;
    handshake->peer_known = true;
    return 0;
}

static int handshake_take_message(struct handshake *handshake, const uint8_t *message, size_t size)
{
    uint8_t payload[HANDSHAKE_MESSAGE_SIZE_MAX];
    size_t payload_size = 0;
    bool first = handshake->noise.message == 0;
    if (noise_read(&handshake->noise, message, size, payload, &payload_size) != 0)
        return HANDSHAKE_E_AUTH;
    return first ? 0 : handshake_take_payload(handshake, payload, payload_size);
}

int handshake_read(struct handshake *handshake, const uint8_t *bytes, size_t size, size_t *used)
{
    *used = 0;
    if (handshake->error != 0)
        return handshake->error;
    assert(!noise_writes(&handshake->noise));
    if (size < HANDSHAKE_LENGTH_SIZE)
        return 0;
    size_t message_size = (size_t)handshake_get(bytes, HANDSHAKE_LENGTH_SIZE);
    size_t size_max = HANDSHAKE_MESSAGE_SIZE_MAX;
    if (handshake->noise.message == 0)
        size_max = HANDSHAKE_FIRST_MESSAGE_SIZE;
    if (message_size > size_max || message_size < noise_overhead(&handshake->noise)) {
        handshake->error = HANDSHAKE_E_SIZE;
        return handshake->error;
    }
    if (size < HANDSHAKE_LENGTH_SIZE + message_size)
        return 0;
    handshake->error =
        handshake_take_message(handshake, bytes + HANDSHAKE_LENGTH_SIZE, message_size);
    if (handshake->error == 0)
        *used = HANDSHAKE_LENGTH_SIZE + message_size;
    return handshake->error;
}

int handshake_read_first(struct handshake *handshake, const struct tickets_candidate *candidates,
                         uint32_t count, const uint8_t *bytes, size_t size, size_t *used,
                         const struct tickets_candidate **opened)
{
    struct handshake fresh = *handshake;
    int r = HANDSHAKE_E_AUTH;
    assert(!handshake->noise.initiator);
    *used = 0;
    for (uint32_t i = 0; i < count && r == HANDSHAKE_E_AUTH; i++) {
        *handshake = fresh;
        noise_set_psk(&handshake->noise, candidates[i].psk);
        r = handshake_read(handshake, bytes, size, used);
        *opened = &candidates[i];
    }
    handshake->error = r;
    sodium_memzero(&fresh, sizeof fresh);
    return r;
}

void handshake_split(struct handshake *handshake, struct noise_keys *keys)
{
    assert(handshake_done(handshake));
    noise_split(&handshake->noise, keys);
}

const char *handshake_error_text(int error)
{
    switch (error) {
    case HANDSHAKE_E_OK:
        return "the handshake is in order";
    case HANDSHAKE_E_SIZE:
        return "these are not the bytes of a ringcask handshake";
    case HANDSHAKE_E_AUTH:
        return "the handshake failed: another cluster's ticket, or another protocol version";
    case HANDSHAKE_E_PAYLOAD:
        return "the handshake's payload is malformed";
    case HANDSHAKE_E_KEY:
        return "the peer's key is not the one its handshake proves";
    case HANDSHAKE_E_NOT_PINNED:
        return "the peer at this address has another key than the ring map says";
    default:
        return "unknown handshake error";
    }
}
