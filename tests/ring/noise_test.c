#include "ring/noise.h"

#include "noise_vectors.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <sodium.h>
#include <string.h>

#define MESSAGE_SIZE_MAX 512

static void setup(void)
{
    cr_assert(sodium_init() >= 0);
}
TestSuite(noise, .init = setup);

static size_t from_hex(const char *hex, uint8_t *bytes, size_t capacity)
{
    size_t size = 0;
    cr_assert_eq(sodium_hex2bin(bytes, capacity, hex, strlen(hex), NULL, &size, NULL), 0);
    return size;
}

static void set_up(struct noise *noise, bool initiator, const struct noise_vector *vector)
{
    struct noise_options options = {.initiator = initiator};
    uint8_t prologue[64];
    from_hex(initiator ? vector->initiator_static : vector->responder_static, options.static_secret,
             NOISE_KEY_SIZE);
    crypto_scalarmult_base(options.static_public, options.static_secret);
    from_hex(initiator ? vector->initiator_ephemeral : vector->responder_ephemeral,
             options.ephemeral_secret, NOISE_KEY_SIZE);
    from_hex(vector->psk, options.psk, NOISE_KEY_SIZE);
    options.prologue = prologue;
    options.prologue_size = from_hex(vector->prologue, prologue, sizeof prologue);
    noise_init(noise, &options);
}

/* The first transport message under key, as Noise defines it: nonce 0, no associated data. */
static void check_transport(const uint8_t *key, const char *payload_hex, const char *cipher_hex)
{
    uint8_t nonce[crypto_aead_chacha20poly1305_ietf_NPUBBYTES] = {0};
    uint8_t payload[64], expected[128], cipher[128];
    size_t size = from_hex(payload_hex, payload, sizeof payload);
    size_t expected_size = from_hex(cipher_hex, expected, sizeof expected);
    unsigned long long cipher_size = 0;
    crypto_aead_chacha20poly1305_ietf_encrypt(cipher, &cipher_size, payload, size, NULL, 0, NULL,
                                              nonce, key);
    cr_assert_eq(cipher_size, expected_size);
    cr_assert_eq(memcmp(cipher, expected, expected_size), 0);
}

static void check_vector(const struct noise_vector *vector)
{
    struct noise ends[2]; /* initiator, responder */
    set_up(&ends[0], true, vector);
    set_up(&ends[1], false, vector);
    for (unsigned i = 0; i < NOISE_MESSAGES; i++) {
        struct noise *from = &ends[i % 2], *to = &ends[1 - i % 2];
        uint8_t payload[64], expected[256], message[MESSAGE_SIZE_MAX], got[MESSAGE_SIZE_MAX];
        size_t size = from_hex(vector->messages[i].payload, payload, sizeof payload);
        size_t expected_size = from_hex(vector->messages[i].ciphertext, expected, sizeof expected);
        size_t message_size = 0, got_size = 0;
        cr_assert(noise_writes(from));
        cr_assert_not(noise_writes(to));
        cr_assert_eq(noise_overhead(from) + size, expected_size);
        cr_assert_eq(noise_write(from, payload, size, message, &message_size), 0);
        cr_assert_eq(message_size, expected_size);
        cr_assert_eq(memcmp(message, expected, expected_size), 0, "message %u", i);
        cr_assert_eq(noise_read(to, message, message_size, got, &got_size), 0);
        cr_assert_eq(got_size, size);
        cr_assert_eq(memcmp(got, payload, size), 0);
    }
    struct noise_keys keys[2];
    cr_assert(noise_done(&ends[0]) && noise_done(&ends[1]));
    cr_assert_eq(memcmp(ends[0].remote_static, ends[1].static_public, NOISE_KEY_SIZE), 0);
    cr_assert_eq(memcmp(ends[1].remote_static, ends[0].static_public, NOISE_KEY_SIZE), 0);
    noise_split(&ends[0], &keys[0]);
    noise_split(&ends[1], &keys[1]);
    cr_assert_eq(memcmp(keys[0].send, keys[1].receive, NOISE_KEY_SIZE), 0);
    cr_assert_eq(memcmp(keys[0].receive, keys[1].send, NOISE_KEY_SIZE), 0);
    cr_assert_eq(memcmp(keys[0].hash, keys[1].hash, NOISE_HASH_SIZE), 0);
    check_transport(keys[0].send, vector->messages[3].payload, vector->messages[3].ciphertext);
    check_transport(keys[1].send, vector->messages[4].payload, vector->messages[4].ciphertext);
}

Test(noise, published_vectors_hold)
{
    for (size_t i = 0; i < sizeof noise_vectors / sizeof *noise_vectors; i++)
        check_vector(&noise_vectors[i]);
}

/* Runs a handshake in which `spoil` changes one byte (at) of message number `number` and returns
 * the error of the reader. */
static int spoiled(unsigned number, size_t at)
{
    struct noise ends[2];
    set_up(&ends[0], true, &noise_vectors[0]);
    set_up(&ends[1], false, &noise_vectors[0]);
    uint8_t message[MESSAGE_SIZE_MAX], payload[MESSAGE_SIZE_MAX];
    for (unsigned i = 0; i < NOISE_MESSAGES; i++) {
        size_t size = 0, payload_size = 0;
        cr_assert_eq(noise_write(&ends[i % 2], NULL, 0, message, &size), 0);
        if (i == number)
            message[at] ^= 1;
        int r = noise_read(&ends[1 - i % 2], message, size, payload, &payload_size);
        if (i == number) {
            message[at] ^= 1;
            cr_assert_eq(noise_read(&ends[1 - i % 2], message, size, payload, &payload_size), r,
                         "the error is sticky");
            return r;
        }
        cr_assert_eq(r, 0);
    }
    return 0;
}

Test(noise, every_altered_byte_of_every_message_is_refused)
{
    static const size_t sizes[NOISE_MESSAGES] = {48, 96, 64};
    for (unsigned number = 0; number < NOISE_MESSAGES; number++)
        for (size_t at = 0; at < sizes[number]; at++)
            cr_assert_eq(spoiled(number, at), NOISE_E_AUTH, "message %u byte %zu", number, at);
}

Test(noise, another_psk_or_prologue_is_refused_at_message_1)
{
    struct noise_vector other = noise_vectors[0];
    uint8_t message[MESSAGE_SIZE_MAX], payload[MESSAGE_SIZE_MAX];
    size_t size = 0, payload_size = 0;
    struct noise initiator, responder;
    set_up(&initiator, true, &noise_vectors[0]);
    cr_assert_eq(noise_write(&initiator, NULL, 0, message, &size), 0);
    other.psk = "3176657279736563726574766572797365637265747665727973656372657421";
    set_up(&responder, false, &other);
    cr_assert_eq(noise_read(&responder, message, size, payload, &payload_size), NOISE_E_AUTH);
    other = noise_vectors[0];
    other.prologue = "00";
    set_up(&responder, false, &other);
    cr_assert_eq(noise_read(&responder, message, size, payload, &payload_size), NOISE_E_AUTH);
}

Test(noise, short_messages_are_refused)
{
    uint8_t message[MESSAGE_SIZE_MAX] = {0}, payload[MESSAGE_SIZE_MAX];
    for (size_t size = 0; size < 48; size++) {
        struct noise responder;
        size_t payload_size = 0;
        set_up(&responder, false, &noise_vectors[0]);
        cr_assert_eq(noise_read(&responder, message, size, payload, &payload_size), NOISE_E_SHORT);
    }
}

Test(noise, ephemeral_of_small_order_is_refused)
{
    /* Whoever has the psk can build a first message around the point 0. */
    struct noise initiator, responder;
    uint8_t message[MESSAGE_SIZE_MAX], payload[MESSAGE_SIZE_MAX];
    size_t size = 0, payload_size = 0;
    set_up(&initiator, true, &noise_vectors[0]);
    memset(initiator.ephemeral_public, 0, NOISE_KEY_SIZE);
    cr_assert_eq(noise_write(&initiator, NULL, 0, message, &size), 0);
    set_up(&responder, false, &noise_vectors[0]);
    cr_assert_eq(noise_read(&responder, message, size, payload, &payload_size), 0);
    cr_assert_eq(noise_write(&responder, NULL, 0, message, &size), NOISE_E_KEY);
    cr_assert_eq(noise_write(&responder, NULL, 0, message, &size), NOISE_E_KEY);
}

Test(noise, writing_out_of_turn_asserts, .signal = SIGABRT)
{
    struct noise responder;
    uint8_t message[MESSAGE_SIZE_MAX];
    size_t size = 0;
    set_up(&responder, false, &noise_vectors[0]);
    (void)noise_write(&responder, NULL, 0, message, &size);
}
