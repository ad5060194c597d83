#include "ring/seal.h"

#include <assert.h>
#include <string.h>

_Static_assert(SEAL_TAG_SIZE == crypto_secretstream_xchacha20poly1305_ABYTES, "tag and mac");

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

void seal_sender_init(struct seal_sender *seal, const uint8_t key[SEAL_KEY_SIZE],
                      uint64_t rekey_size, uint8_t header[SEAL_HEADER_SIZE])
{
    memset(seal, 0, sizeof *seal);
    seal->rekey_size = rekey_size != 0 ? rekey_size : SEAL_REKEY_SIZE;
    int r = crypto_secretstream_xchacha20poly1305_init_push(&seal->state, header, key);
    assert(r == 0);
}

void seal_sender_deinit(struct seal_sender *seal)
{
    sodium_memzero(seal, sizeof *seal);
}

size_t seal_packet(struct seal_sender *seal, uint8_t *packet, size_t plain_size, bool final)
{
    assert(plain_size <= SEAL_PLAIN_SIZE_MAX);
    assert(!seal->ended);
    seal->size += plain_size;
    seal->packets += 1;
    uint8_t tag = crypto_secretstream_xchacha20poly1305_TAG_MESSAGE;
    if (final) {
        tag = crypto_secretstream_xchacha20poly1305_TAG_FINAL;
        seal->ended = true;
    } else if (seal->size >= seal->rekey_size || seal->packets >= SEAL_REKEY_PACKETS) {
        tag = crypto_secretstream_xchacha20poly1305_TAG_REKEY;
        seal->size = 0;
        seal->packets = 0;
    }
    size_t sealed_size = plain_size + SEAL_TAG_SIZE;
    seal_put_size(packet, sealed_size);
    /* In place: the library writes the tag byte first and the bytes one place behind it, which is
     * where they stand already. */
    int r = crypto_secretstream_xchacha20poly1305_push(&seal->state, packet + SEAL_LENGTH_SIZE,
                                                       NULL, packet + SEAL_PLAIN_OFFSET, plain_size,
                                                       packet, SEAL_LENGTH_SIZE, tag);
    assert(r == 0);
    return SEAL_LENGTH_SIZE + sealed_size;
}

void seal_receiver_init(struct seal_receiver *seal, const uint8_t key[SEAL_KEY_SIZE],
                        const uint8_t header[SEAL_HEADER_SIZE])
{
    memset(seal, 0, sizeof *seal);
    int r = crypto_secretstream_xchacha20poly1305_init_pull(&seal->state, header, key);
    assert(r == 0);
}

void seal_receiver_deinit(struct seal_receiver *seal)
{
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
    unsigned char tag = 0;
    unsigned long long opened = 0;
    int r = crypto_secretstream_xchacha20poly1305_pull(
        &seal->state, packet + SEAL_PLAIN_OFFSET, &opened, &tag, packet + SEAL_LENGTH_SIZE,
        packet_size - SEAL_LENGTH_SIZE, packet, SEAL_LENGTH_SIZE);
    if (r != 0) {
        seal->error = SEAL_E_AUTH;
        return seal->error;
    }
    assert(opened == packet_size - SEAL_PACKET_OVERHEAD);
    seal->ended = tag == crypto_secretstream_xchacha20poly1305_TAG_FINAL;
    *plain = packet + SEAL_PLAIN_OFFSET;
    *plain_size = (size_t)opened;
    return 0;
}
