#include "ring/seal.h"

#include <assert.h>
#include <string.h>

#define TAG_MESSAGE crypto_secretstream_xchacha20poly1305_TAG_MESSAGE
#define TAG_REKEY   crypto_secretstream_xchacha20poly1305_TAG_REKEY
#define TAG_FINAL   crypto_secretstream_xchacha20poly1305_TAG_FINAL

_Static_assert(SEAL_TAG_SIZE == crypto_secretstream_xchacha20poly1305_ABYTES, "tag and mac");
_Static_assert(SEAL_MAC_SIZE == GCM_MAC_SIZE && SEAL_KEY_SIZE == GCM_KEY_SIZE &&
                   SEAL_HEADER_SIZE == SEAL_GCM_HEADER_SIZE,
               "the ciphers have the same sizes");

static void seal_put_size(uint8_t *bytes, size_t size)
{
    for (unsigned i = 0; i < SEAL_LENGTH_SIZE; i++)
        bytes[i] = (uint8_t)(size >> (8 * i));
}

static size_t seal_get_size(const uint8_t *bytes)
{
    size_t size = 0;
    for (unsigned i = 0; i < SEAL_LENGTH_SIZE; i++)
        size |= (size_t)bytes[i] << (8 * i);
    return size;
}

uint16_t seal_ciphers(void)
{
    return gcm_available() ? SEAL_CIPHER_GCM : 0;
}

enum seal_cipher seal_cipher(uint16_t ours, uint16_t theirs)
{
    return (ours & theirs & SEAL_CIPHER_GCM) != 0 ? SEAL_CIPHER_GCM : SEAL_CIPHER_STREAM;
}

const char *seal_cipher_name(enum seal_cipher cipher)
{
    static const char *const names[] = {
#define X(name, bit, text) [bit] = (text),
        SEAL_CIPHERS(X)
#undef X
    };
    return names[cipher];
}

/* Seals a tag byte, size plain bytes behind it, and writes the authenticator. */
static void stream_push(struct seal_stream *stream, uint8_t *packet, size_t size, uint8_t tag)
{
    if (stream->cipher == SEAL_CIPHER_GCM) {
        packet[SEAL_LENGTH_SIZE] = tag;
        seal_gcm_push(&stream->gcm, packet, SEAL_LENGTH_SIZE, packet + SEAL_LENGTH_SIZE, 1 + size);
        if (tag == TAG_REKEY)
            seal_gcm_rekey(&stream->gcm);
        return;
    }
    /* In place: the library writes the tag byte first and the bytes one place behind it, which is
     * where they stand already. */
    int r = crypto_secretstream_xchacha20poly1305_push(&stream->state, packet + SEAL_LENGTH_SIZE,
                                                       NULL, packet + SEAL_PLAIN_OFFSET, size,
                                                       packet, SEAL_LENGTH_SIZE, tag);
    assert(r == 0);
}

/* size: of the plain bytes. */
static bool stream_pull(struct seal_stream *stream, uint8_t *packet, size_t size, uint8_t *tag)
{
    if (stream->cipher == SEAL_CIPHER_GCM) {
        if (!seal_gcm_pull(&stream->gcm, packet, SEAL_LENGTH_SIZE, packet + SEAL_LENGTH_SIZE,
                           1 + size))
            return false;
        *tag = packet[SEAL_LENGTH_SIZE];
        if (*tag == TAG_REKEY)
            seal_gcm_rekey(&stream->gcm);
        return true;
    }
    return crypto_secretstream_xchacha20poly1305_pull(
               &stream->state, packet + SEAL_PLAIN_OFFSET, NULL, tag, packet + SEAL_LENGTH_SIZE,
               size + SEAL_TAG_SIZE, packet, SEAL_LENGTH_SIZE) == 0;
}

static void stream_deinit(struct seal_stream *stream)
{
    if (stream->cipher == SEAL_CIPHER_GCM)
        seal_gcm_deinit(&stream->gcm);
}

int seal_sender_init(struct seal_sender *seal, enum seal_cipher cipher,
                     const uint8_t key[SEAL_KEY_SIZE], uint64_t rekey_size,
                     uint8_t header[SEAL_HEADER_SIZE])
{
    memset(seal, 0, sizeof *seal);
    seal->rekey_size = rekey_size != 0 ? rekey_size : SEAL_REKEY_SIZE;
    seal->stream.cipher = cipher;
    if (cipher == SEAL_CIPHER_GCM)
        return seal_gcm_init(&seal->stream.gcm, true, key, header);
    int r = crypto_secretstream_xchacha20poly1305_init_push(&seal->stream.state, header, key);
    assert(r == 0);
    return 0;
}

void seal_sender_deinit(struct seal_sender *seal)
{
    stream_deinit(&seal->stream);
    sodium_memzero(seal, sizeof *seal);
}

size_t seal_packet(struct seal_sender *seal, uint8_t *packet, size_t plain_size, bool final)
{
    assert(plain_size <= SEAL_PLAIN_SIZE_MAX);
    assert(!seal->ended);
    seal->size += plain_size;
    seal->packets += 1;
    uint8_t tag = TAG_MESSAGE;
    if (final) {
        tag = TAG_FINAL;
        seal->ended = true;
    } else if (seal->size >= seal->rekey_size || seal->packets >= SEAL_REKEY_PACKETS) {
        tag = TAG_REKEY;
        seal->size = 0;
        seal->packets = 0;
    }
    seal_put_size(packet, plain_size + SEAL_TAG_SIZE);
    stream_push(&seal->stream, packet, plain_size, tag);
    return plain_size + SEAL_PACKET_OVERHEAD;
}

int seal_receiver_init(struct seal_receiver *seal, enum seal_cipher cipher,
                       const uint8_t key[SEAL_KEY_SIZE], const uint8_t header[SEAL_HEADER_SIZE])
{
    memset(seal, 0, sizeof *seal);
    seal->stream.cipher = cipher;
    if (cipher == SEAL_CIPHER_GCM)
        return seal_gcm_init(&seal->stream.gcm, false, key, header);
    int r = crypto_secretstream_xchacha20poly1305_init_pull(&seal->stream.state, header, key);
    assert(r == 0);
    return 0;
}

void seal_receiver_deinit(struct seal_receiver *seal)
{
    stream_deinit(&seal->stream);
    sodium_memzero(seal, sizeof *seal);
}

int seal_packet_size(struct seal_receiver *seal, const uint8_t *bytes, size_t size,
                     size_t *packet_size)
{
    if (seal->error != 0)
        return seal->error;
    if (size < SEAL_LENGTH_SIZE)
        return SEAL_E_MORE;
    size_t sealed_size = seal_get_size(bytes);
    if (sealed_size < SEAL_TAG_SIZE || sealed_size > SEAL_SEALED_SIZE_MAX) {
        seal->error = SEAL_E_SIZE;
        return seal->error;
    }
    *packet_size = SEAL_LENGTH_SIZE + sealed_size;
    return 0;
}

int seal_open(struct seal_receiver *seal, uint8_t *packet, size_t packet_size, uint8_t **plain,
              size_t *plain_size)
{
    if (seal->error == 0 && seal->ended)
        seal->error = SEAL_E_ENDED;
    if (seal->error != 0)
        return seal->error;
    assert(packet_size >= SEAL_PACKET_OVERHEAD);
    assert(packet_size <= SEAL_PACKET_SIZE_MAX);
    uint8_t tag = 0;
    size_t size = packet_size - SEAL_PACKET_OVERHEAD;
    if (!stream_pull(&seal->stream, packet, size, &tag)) {
        seal->error = SEAL_E_AUTH;
        return seal->error;
    }
    seal->ended = tag == TAG_FINAL;
    *plain = packet + SEAL_PLAIN_OFFSET;
    *plain_size = size;
    return 0;
}
