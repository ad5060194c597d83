#include "ring/seal.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#define PACKETS 4
#define PLAIN   100

static struct seal_sender sender;
static struct seal_receiver receiver;
static enum seal_cipher cipher;

/* A test of each cipher: the body follows. */
#define SEAL_TEST(name)                                                                            \
    static void name(void);                                                                        \
    Test(seal, stream_##name)                                                                      \
    {                                                                                              \
        cipher = SEAL_CIPHER_STREAM;                                                               \
        name();                                                                                    \
    }                                                                                              \
    Test(seal, gcm_##name)                                                                         \
    {                                                                                              \
        cipher = SEAL_CIPHER_GCM;                                                                  \
        name();                                                                                    \
    }                                                                                              \
    static void name(void)

static void close_pair(void)
{
    seal_sender_deinit(&sender);
    seal_receiver_deinit(&receiver);
}
TestSuite(seal, .fini = close_pair);

static void open_pair(uint64_t rekey_size)
{
    cr_assert(sodium_init() >= 0);
    close_pair();
    uint8_t key[SEAL_KEY_SIZE];
    uint8_t header[SEAL_HEADER_SIZE];
    memset(key, 7, sizeof key);
    randombytes_buf(header, sizeof header);
    cr_assert_eq(seal_sender_init(&sender, cipher, key, rekey_size, header), 0);
    cr_assert_eq(seal_receiver_init(&receiver, cipher, key, header), 0);
}

static size_t put(uint8_t *packet, uint8_t fill, size_t size, bool final)
{
    memset(packet + SEAL_PLAIN_OFFSET, fill, size);
    size_t packet_size = seal_packet(&sender, packet, size, final);
    cr_assert_eq(packet_size, size + SEAL_PACKET_OVERHEAD);
    return packet_size;
}

static int take(uint8_t *packet, size_t size, uint8_t fill, size_t expected)
{
    size_t packet_size = 0, plain_size = 0;
    uint8_t *plain = NULL;
    int r = seal_packet_size(&receiver, packet, size, &packet_size);
    if (r != 0)
        return r;
    if (packet_size > size)
        return SEAL_E_MORE;
    r = seal_open(&receiver, packet, packet_size, &plain, &plain_size);
    if (r != 0)
        return r;
    cr_assert_eq(plain_size, expected);
    for (size_t i = 0; i < plain_size; i++)
        cr_assert_eq(plain[i], fill);
    return 0;
}

SEAL_TEST(packets_of_every_kind_of_size_come_back)
{
    open_pair(0);
    static const size_t sizes[] = {0, 1, 15, 16, 17, 1000, 65536, SEAL_PLAIN_SIZE_MAX};
    uint8_t *packet = malloc(SEAL_PACKET_SIZE_MAX);
    cr_assert_not_null(packet);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        size_t size = put(packet, (uint8_t)i, sizes[i], false);
        cr_assert_eq(take(packet, size, (uint8_t)i, sizes[i]), 0);
    }
    free(packet);
}

SEAL_TEST(plain_bytes_do_not_show)
{
    open_pair(0);
    uint8_t packet[PLAIN + SEAL_PACKET_OVERHEAD];
    uint8_t plain[PLAIN];
    memset(plain, 3, sizeof plain);
    size_t size = put(packet, 3, PLAIN, false);
    cr_assert_null(memmem(packet, size, plain, 8));
}

SEAL_TEST(every_flipped_bit_is_found_and_the_error_sticks)
{
    for (size_t bit = 0; bit < 8 * (20 + SEAL_PACKET_OVERHEAD); bit++) {
        uint8_t packet[20 + SEAL_PACKET_OVERHEAD];
        open_pair(0);
        size_t size = put(packet, 1, 20, false);
        packet[bit / 8] ^= (uint8_t)(1u << bit % 8);
        int r = take(packet, size, 1, 20);
        if (bit < 32 && r == SEAL_E_MORE)
            continue; /* a larger length: it waits for bytes that never come */
        cr_assert(r == SEAL_E_AUTH || r == SEAL_E_SIZE, "bit %zu: %d", bit, r);
        packet[bit / 8] ^= (uint8_t)(1u << bit % 8);
        cr_assert_eq(take(packet, size, 1, 20), r);
    }
}

/* Also where the length does not decide where the authenticator is looked for. */
SEAL_TEST(length_is_authenticated)
{
    for (size_t bit = 0; bit < 32; bit++) {
        uint8_t packet[20 + SEAL_PACKET_OVERHEAD], *plain = NULL;
        size_t plain_size = 0;
        open_pair(0);
        size_t size = put(packet, 1, 20, false);
        packet[bit / 8] ^= (uint8_t)(1u << bit % 8);
        cr_assert_eq(seal_open(&receiver, packet, size, &plain, &plain_size), SEAL_E_AUTH);
        cr_assert_null(plain);
    }
}

SEAL_TEST(repeated_dropped_and_swapped_packets_are_found)
{
    uint8_t packets[PACKETS][PLAIN + SEAL_PACKET_OVERHEAD];
    uint8_t again[PLAIN + SEAL_PACKET_OVERHEAD];
    for (unsigned trick = 0; trick < 3; trick++) {
        open_pair(0);
        size_t size = 0;
        for (unsigned i = 0; i < PACKETS; i++)
            size = put(packets[i], (uint8_t)i, PLAIN, false);
        memcpy(again, packets[0], size);
        cr_assert_eq(take(packets[0], size, 0, PLAIN), 0);
        uint8_t *next = trick == 0 ? again : trick == 1 ? packets[2] : packets[3];
        cr_assert_eq(take(next, size, 0, PLAIN), SEAL_E_AUTH);
    }
}

SEAL_TEST(another_key_opens_nothing)
{
    open_pair(0);
    uint8_t packet[PLAIN + SEAL_PACKET_OVERHEAD];
    uint8_t key[SEAL_KEY_SIZE] = {0}, header[SEAL_HEADER_SIZE] = {0};
    size_t size = put(packet, 1, PLAIN, false);
    seal_receiver_deinit(&receiver);
    cr_assert_eq(seal_receiver_init(&receiver, cipher, key, header), 0);
    cr_assert_eq(take(packet, size, 1, PLAIN), SEAL_E_AUTH);
}

/* What the next key depends on. */
static const uint8_t *key_now(void)
{
    return cipher == SEAL_CIPHER_GCM ? sender.stream.gcm.next : sender.stream.state.k;
}

/* Of `count` packets, how many changed the key. */
static unsigned changes_of(unsigned count)
{
    uint8_t before[SEAL_KEY_SIZE], packet[PLAIN + SEAL_PACKET_OVERHEAD];
    unsigned changes = 0;
    for (unsigned i = 0; i < count; i++) {
        memcpy(before, key_now(), sizeof before);
        size_t size = put(packet, (uint8_t)i, PLAIN, false);
        changes += memcmp(before, key_now(), sizeof before) != 0;
        cr_assert_eq(take(packet, size, (uint8_t)i, PLAIN), 0);
    }
    return changes;
}

SEAL_TEST(key_changes_after_so_many_bytes_and_the_stream_goes_on)
{
    open_pair(3 * PLAIN);
    cr_assert_eq(changes_of(30), 10);
}

SEAL_TEST(key_changes_after_so_many_packets_and_the_stream_goes_on)
{
    open_pair(0);
    sender.packets = SEAL_REKEY_PACKETS - 3;
    cr_assert_eq(changes_of(2), 0);
    cr_assert_eq(changes_of(1), 1);
    cr_assert_eq(changes_of(10), 0);
    sender.size = SEAL_REKEY_SIZE - PLAIN;
    cr_assert_eq(changes_of(1), 1);
}

/* A packet of one cipher is none of the other's, whatever header and key. */
SEAL_TEST(the_other_cipher_opens_nothing)
{
    static const uint8_t key[SEAL_KEY_SIZE] = {5};
    uint8_t packet[PLAIN + SEAL_PACKET_OVERHEAD], header[SEAL_HEADER_SIZE] = {6};
    open_pair(0);
    close_pair();
    cr_assert_eq(seal_sender_init(&sender, cipher, key, 0, header), 0);
    cr_assert_eq(seal_receiver_init(
                     &receiver, cipher == SEAL_CIPHER_GCM ? SEAL_CIPHER_STREAM : SEAL_CIPHER_GCM,
                     key, header),
                 0);
    size_t size = put(packet, 1, PLAIN, false);
    cr_assert_eq(take(packet, size, 1, PLAIN), SEAL_E_AUTH);
}

SEAL_TEST(no_two_streams_are_alike)
{
    uint8_t packets[2][PLAIN + SEAL_PACKET_OVERHEAD];
    for (unsigned i = 0; i < 2; i++) {
        open_pair(0);
        (void)put(packets[i], 1, PLAIN, false);
    }
    cr_assert_neq(memcmp(packets[0], packets[1], sizeof packets[0]), 0);
}

Test(seal, gcm_is_used_when_both_ends_name_it)
{
    cr_assert_eq(seal_cipher(0, 0), SEAL_CIPHER_STREAM);
    cr_assert_eq(seal_cipher(1, 0), SEAL_CIPHER_STREAM);
    cr_assert_eq(seal_cipher(0, 0xffff), SEAL_CIPHER_STREAM);
    cr_assert_eq(seal_cipher(0xfffe, 0xffff), SEAL_CIPHER_STREAM);
    cr_assert_eq(seal_cipher(1, 1), SEAL_CIPHER_GCM);
    cr_assert_eq(seal_cipher(0xffff, 1), SEAL_CIPHER_GCM);
    cr_assert_str_eq(seal_cipher_name(SEAL_CIPHER_STREAM), "xchacha20-poly1305");
    cr_assert_str_eq(seal_cipher_name(SEAL_CIPHER_GCM), "aes-256-gcm");
}

SEAL_TEST(final_packet_ends_the_stream)
{
    open_pair(0);
    uint8_t packet[PLAIN + SEAL_PACKET_OVERHEAD];
    size_t size = put(packet, 1, PLAIN, true);
    uint8_t again[sizeof packet];
    memcpy(again, packet, size);
    cr_assert_eq(take(packet, size, 1, PLAIN), 0);
    cr_assert(receiver.ended);
    cr_assert_eq(take(again, size, 1, PLAIN), SEAL_E_ENDED);
}

static void follow_final(void)
{
    open_pair(0);
    uint8_t packet[PLAIN + SEAL_PACKET_OVERHEAD];
    (void)put(packet, 1, PLAIN, true);
    (void)put(packet, 1, PLAIN, false);
}

Test(seal, nothing_follows_a_final_packet, .signal = SIGABRT)
{
    follow_final();
}

Test(seal, gcm_nothing_follows_a_final_packet, .signal = SIGABRT)
{
    cipher = SEAL_CIPHER_GCM;
    follow_final();
}

SEAL_TEST(lengths_out_of_bounds_are_refused_from_four_bytes)
{
    static const uint32_t bad[] = {0, 1, 16, SEAL_SEALED_SIZE_MAX + 1, 1u << 31, UINT32_MAX};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        open_pair(0);
        uint8_t bytes[4];
        size_t packet_size = 0;
        memcpy(bytes, &bad[i], sizeof bytes);
        cr_assert_eq(seal_packet_size(&receiver, bytes, 3, &packet_size), SEAL_E_MORE);
        cr_assert_eq(seal_packet_size(&receiver, bytes, 4, &packet_size), SEAL_E_SIZE);
        cr_assert_eq(seal_packet_size(&receiver, bytes, 4, &packet_size), SEAL_E_SIZE);
    }
}
