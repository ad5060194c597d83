/* How a connection begins, and what seals it. */
#include "golden.h"
#include "ring/handshake.h"
#include "ring/seal.h"

#include <assert.h>
#include <sodium.h>
#include <string.h>

/* --- handshake: its three messages ------------------------------------------------------------ */

static void begin(struct handshake *handshake, bool initiator, uint16_t ciphers)
{
    uint8_t seed[IDENTITY_SEED_SIZE];
    struct identity identity;
    struct ticket ticket = {.id = 0};
    struct handshake_options options = {.initiator = initiator,
                                        .identity = &identity,
                                        .ticket = &ticket,
                                        .role = initiator ? LINK_ROLE_ROUTER : LINK_ROLE_NODE,
                                        .ciphers = ciphers,
                                        .credit_size = 0x0102030405060708,
                                        .credit_messages = 0x090a0b0c};

    golden_fill(seed, sizeof seed, initiator ? 10 : 20);
    identity_from_seed(&identity, seed);
    golden_fill(ticket.cluster, sizeof ticket.cluster, 1);
    golden_fill(ticket.psk, sizeof ticket.psk, 17);
    golden_fill(options.ephemeral_secret, sizeof options.ephemeral_secret, initiator ? 30 : 40);
    handshake_init(handshake, &options);
}

static void put_handshake(uint16_t ciphers, struct wire_buffer *out)
{
    uint8_t message[HANDSHAKE_OUT_SIZE_MAX];
    struct handshake ends[2];
    size_t size, used;

    begin(&ends[0], true, ciphers);
    begin(&ends[1], false, ciphers);
    for (unsigned i = 0; i < NOISE_MESSAGES; i++) {
        assert(handshake_write(&ends[i % 2], message, &size) == 0);
        assert(handshake_read(&ends[1 - i % 2], message, size, &used) == 0 && used == size);
        wire_put_raw(out, message, size);
    }
    handshake_deinit(&ends[0]);
    handshake_deinit(&ends[1]);
}

/* Each end has written the one message and reads the other one's. */
static const char *compare_handshake(const uint8_t *bytes, size_t size, uint16_t ciphers)
{
    uint8_t message[HANDSHAKE_OUT_SIZE_MAX];
    struct wire_buffer again = {0};
    struct handshake ends[2];
    size_t at = 0, used, own;

    begin(&ends[0], true, ciphers);
    begin(&ends[1], false, ciphers);
    for (unsigned i = 0; i < NOISE_MESSAGES; i++) {
        GOLDEN_EXPECT(handshake_write(&ends[i % 2], message, &own) == 0);
        GOLDEN_EXPECT(handshake_read(&ends[1 - i % 2], bytes + at, size - at, &used) == 0);
        GOLDEN_EXPECT(used == own);
        at += used;
    }
    for (unsigned i = 0; i < 2; i++) {
        const struct handshake_peer *peer = &ends[i].peer;

        GOLDEN_EXPECT(handshake_done(&ends[i]) && peer->ciphers == ciphers);
        GOLDEN_EXPECT(peer->role == (i == 0 ? LINK_ROLE_NODE : LINK_ROLE_ROUTER));
        GOLDEN_EXPECT(peer->credit_size == 0x0102030405060708 &&
                      peer->credit_messages == 0x090a0b0c);
        handshake_deinit(&ends[i]);
    }
    put_handshake(ciphers, &again);
    GOLDEN_EXPECT(golden_same(&again, bytes, size));
    return NULL;
}

/* --- stream: its header and packets ----------------------------------------------------------- */

#define REKEY_SIZE  40u
#define PACKETS     5u
#define SMALL_MAX   64u
#define STREAM_SIZE (SEAL_HEADER_SIZE + PACKETS * (SEAL_PACKET_OVERHEAD + SMALL_MAX))

/* The key changes behind the second and the third of them. */
static const size_t sizes[PACKETS] = {1, 39, 64, 0, 16};

static void stream_key(uint8_t key[SEAL_KEY_SIZE])
{
    golden_fill(key, SEAL_KEY_SIZE, 50);
}

static void put_packets(struct seal_sender *sender, const uint8_t *header, struct wire_buffer *out)
{
    uint8_t packet[SEAL_PACKET_OVERHEAD + SMALL_MAX];

    wire_put_raw(out, header, SEAL_HEADER_SIZE);
    for (unsigned i = 0; i < PACKETS; i++) {
        golden_fill(packet + SEAL_PLAIN_OFFSET, sizes[i], (uint8_t)(i * 16));
        wire_put_raw(out, packet, seal_packet(sender, packet, sizes[i], i == PACKETS - 1));
    }
    seal_sender_deinit(sender);
}

static void put_stream(enum seal_cipher cipher, struct wire_buffer *out)
{
    uint8_t key[SEAL_KEY_SIZE], header[SEAL_HEADER_SIZE];
    struct seal_sender sender;

    stream_key(key);
    golden_fill(header, sizeof header, 90);
    assert(seal_sender_init(&sender, cipher, key, REKEY_SIZE, header) == 0);
    put_packets(&sender, header, out);
}

static const char *compare_packets(struct seal_receiver *receiver, uint8_t *bytes, size_t size)
{
    uint8_t expected[SMALL_MAX], *plain;
    size_t packet_size, plain_size;

    for (unsigned i = 0; i < PACKETS; i++) {
        GOLDEN_EXPECT(!receiver->ended);
        GOLDEN_EXPECT(seal_packet_size(receiver, bytes, size, &packet_size) == 0);
        GOLDEN_EXPECT(packet_size <= size);
        GOLDEN_EXPECT(seal_open(receiver, bytes, packet_size, &plain, &plain_size) == 0);
        golden_fill(expected, sizes[i], (uint8_t)(i * 16));
        GOLDEN_EXPECT(plain_size == sizes[i] && memcmp(plain, expected, plain_size) == 0);
        bytes += packet_size;
        size -= packet_size;
    }
    GOLDEN_EXPECT(receiver->ended && size == 0);
    return NULL;
}

/* libsodium draws the header of its own streams; but they begin alike at both ends. */
static const char *compare_stream(const uint8_t *bytes, size_t size, enum seal_cipher cipher)
{
    uint8_t key[SEAL_KEY_SIZE], header[SEAL_HEADER_SIZE], copy[STREAM_SIZE];
    struct wire_buffer again = {0};
    struct seal_receiver receiver;
    struct seal_sender sender;
    const char *wrong;

    GOLDEN_EXPECT(size >= SEAL_HEADER_SIZE && size <= sizeof copy);
    memcpy(copy, bytes, size);
    stream_key(key);
    memcpy(header, bytes, sizeof header);
    assert(seal_sender_init(&sender, cipher, key, REKEY_SIZE, header) == 0);
    assert(seal_receiver_init(&receiver, cipher, key, bytes) == 0);
    if (cipher == SEAL_CIPHER_STREAM)
        sender.stream = receiver.stream;
    wrong = compare_packets(&receiver, copy + SEAL_HEADER_SIZE, size - SEAL_HEADER_SIZE);
    seal_receiver_deinit(&receiver);
    put_packets(&sender, bytes, &again);
    GOLDEN_EXPECT(golden_same(&again, bytes, size));
    return wrong;
}

#define LINK_GOLDEN(name, kind, value)                                                             \
    static void make_##name(struct wire_buffer *out)                                               \
    {                                                                                              \
        put_##kind(value, out);                                                                    \
    }                                                                                              \
    static const char *check_##name(const uint8_t *bytes, size_t size)                             \
    {                                                                                              \
        return compare_##kind(bytes, size, value);                                                 \
    }
LINK_GOLDEN(handshake, handshake, 0)
LINK_GOLDEN(handshake_ciphers, handshake, SEAL_CIPHER_GCM)
LINK_GOLDEN(stream, stream, SEAL_CIPHER_STREAM)
LINK_GOLDEN(stream_gcm, stream, SEAL_CIPHER_GCM)

const struct golden golden_link[] = {
    {"handshake-1", make_handshake, check_handshake},
    {"handshake-1-ciphers", make_handshake_ciphers, check_handshake_ciphers},
    {"stream-1", make_stream, check_stream},
    {"stream-1-gcm", make_stream_gcm, check_stream_gcm},
};
const size_t golden_link_count = sizeof golden_link / sizeof *golden_link;
