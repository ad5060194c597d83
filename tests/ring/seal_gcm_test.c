#include "ring/seal_gcm.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <openssl/crypto.h>
#include <signal.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define SIZE 50u

static const uint8_t key[GCM_KEY_SIZE] = {1, 2, 3};
static const uint8_t header[SEAL_GCM_HEADER_SIZE] = {4, 5, 6};
static const uint8_t ad[] = {7, 8, 9, 10};
static struct seal_gcm sender, receiver;

/* libcrypto's allocations, counted; the one with this number fails. */
static unsigned allocations, fails_at;

static void *count_malloc(size_t size, const char *file, int line)
{
    (void)file, (void)line;
    return ++allocations == fails_at ? NULL : malloc(size);
}

static void *count_realloc(void *old, size_t size, const char *file, int line)
{
    (void)file, (void)line;
    return ++allocations == fails_at ? NULL : realloc(old, size);
}

static void count_free(void *old, const char *file, int line)
{
    (void)file, (void)line;
    free(old);
}

/* Before main(): Criterion's own libraries use libcrypto. */
__attribute__((constructor)) static void count_allocations(void)
{
    if (!CRYPTO_set_mem_functions(count_malloc, count_realloc, count_free))
        abort();
}

static void setup(void)
{
    cr_assert(sodium_init() >= 0);
    cr_assert_eq(seal_gcm_init(&sender, true, key, header), 0);
    cr_assert_eq(seal_gcm_init(&receiver, false, key, header), 0);
}

static void teardown(void)
{
    seal_gcm_deinit(&sender);
    seal_gcm_deinit(&receiver);
}
TestSuite(seal_gcm, .init = setup, .fini = teardown);

struct packet {
    uint8_t bytes[SIZE + GCM_MAC_SIZE];
};

static struct packet push(uint8_t fill)
{
    struct packet packet;
    memset(packet.bytes, fill, SIZE);
    seal_gcm_push(&sender, ad, sizeof ad, packet.bytes, SIZE);
    return packet;
}

static bool pull(struct packet packet, uint8_t fill)
{
    if (!seal_gcm_pull(&receiver, ad, sizeof ad, packet.bytes, SIZE))
        return false;
    for (size_t i = 0; i < SIZE; i++)
        cr_assert_eq(packet.bytes[i], fill);
    return true;
}

/* By docs/format-link.md, and with libsodium's AES-256-GCM: another one than the code's. */
static void expect(struct packet packet, uint8_t fill, const uint8_t *aes_key, uint64_t number)
{
    uint8_t nonce[GCM_NONCE_SIZE] = {0}, plain[SIZE], expected[SIZE + GCM_MAC_SIZE];
    unsigned long long size = 0;
    for (unsigned i = 0; i < 8; i++)
        nonce[4 + i] = (uint8_t)(number >> (56 - 8 * i));
    memset(plain, fill, sizeof plain);
    cr_assert_eq(crypto_aead_aes256gcm_encrypt(expected, &size, plain, SIZE, ad, sizeof ad, NULL,
                                               nonce, aes_key),
                 0);
    cr_assert_eq(size, sizeof expected);
    cr_assert_eq(memcmp(packet.bytes, expected, sizeof expected), 0);
}

static void derive(uint8_t out[64], const uint8_t *secret, const uint8_t *input, size_t size)
{
    cr_assert_eq(crypto_generichash_blake2b_salt_personal(out, 64, input, size, secret, 32, NULL,
                                                          (const uint8_t *)"ringcask-aes-gcm"),
                 0);
}

Test(seal_gcm, packets_are_what_the_document_says)
{
    uint8_t first[64], second[64];
    if (!crypto_aead_aes256gcm_is_available())
        return; /* libsodium has none either; the golden file stands for it */
    derive(first, key, header, sizeof header);
    expect(push(1), 1, first, 0);
    expect(push(2), 2, first, 1);
    sender.number = UINT64_C(0x0102030405060708);
    expect(push(3), 3, first, UINT64_C(0x0102030405060708));
    seal_gcm_rekey(&sender);
    derive(second, first + 32, NULL, 0);
    expect(push(4), 4, second, UINT64_C(0x0102030405060709));
}

Test(seal_gcm, numbers_go_on_when_the_key_changes)
{
    for (unsigned i = 0; i < 6; i++) {
        cr_assert_eq(sender.number, i);
        cr_assert(pull(push((uint8_t)i), (uint8_t)i));
        seal_gcm_rekey(&sender);
        seal_gcm_rekey(&receiver);
    }
}

/* Who learns all that a receiver has, reads nothing that was sent before its last change of key;
 * without the change he would. */
Test(seal_gcm, what_was_before_a_change_of_key_stays_closed)
{
    struct packet first = push(1);
    cr_assert(pull(first, 1));
    receiver.number = 0;
    cr_assert(pull(first, 1));
    seal_gcm_rekey(&receiver);
    receiver.number = 0;
    cr_assert_not(pull(first, 1));
}

Test(seal_gcm, headers_and_keys_make_other_streams)
{
    for (unsigned i = 0; i < 2; i++) {
        uint8_t other[GCM_KEY_SIZE], salt[SEAL_GCM_HEADER_SIZE];
        memcpy(other, key, sizeof other);
        memcpy(salt, header, sizeof salt);
        if (i == 0)
            other[31] ^= 1;
        else
            salt[23] ^= 1;
        seal_gcm_deinit(&receiver);
        cr_assert_eq(seal_gcm_init(&receiver, false, other, salt), 0);
        sender.number = 0;
        cr_assert_not(pull(push(1), 1));
    }
}

Test(seal_gcm, no_packet_has_the_last_number, .signal = SIGABRT)
{
    sender.number = UINT64_MAX;
    (void)push(1);
}

Test(seal_gcm, packets_and_changes_of_key_allocate_nothing)
{
    unsigned before = allocations;
    for (unsigned i = 0; i < 10; i++) {
        cr_assert(pull(push((uint8_t)i), (uint8_t)i));
        seal_gcm_rekey(&sender);
        seal_gcm_rekey(&receiver);
    }
    cr_assert_eq(allocations, before);
}

Test(seal_gcm, each_allocation_may_fail)
{
    unsigned failed = 0;
    teardown();
    do {
        allocations = 0;
        fails_at += 1;
        int r = seal_gcm_init(&sender, true, key, header);
        cr_assert(r == 0 || r == -ENOMEM);
        failed += r != 0; /* libcrypto does without what it only keeps for the next time */
        seal_gcm_deinit(&sender);
        cr_assert_lt(fails_at, 5000);
    } while (allocations >= fails_at);
    fails_at = 0;
    cr_assert_geq(failed, 2, "a context, and the cipher's own");
    cr_assert_eq(seal_gcm_init(&sender, true, key, header), 0);
    cr_assert_eq(seal_gcm_init(&receiver, false, key, header), 0);
    cr_assert(pull(push(1), 1));
}
