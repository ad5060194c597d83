#include "ring/gcm.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <sodium.h>
#include <string.h>

#define SIZE_MAX_HERE 64u

/* Test cases 13 to 16 of D. McGrew and J. Viega, "The Galois/Counter Mode of Operation (GCM)",
 * appendix B: those of AES-256 with nonces of 96 bits. In hexadecimal. */
struct vector {
    const char *key, *nonce, *ad, *plain, *sealed, *mac;
};

static const struct vector vectors[] = {
    {"0000000000000000000000000000000000000000000000000000000000000000", "000000000000000000000000",
     "", "", "", "530f8afbc74536b9a963b4f1c4cb738b"},
    {"0000000000000000000000000000000000000000000000000000000000000000", "000000000000000000000000",
     "", "00000000000000000000000000000000", "cea7403d4d606b6e074ec5d3baf39d18",
     "d0d1c8a799996bf0265b98b5d48ab919"},
    {"feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308", "cafebabefacedbaddecaf888",
     "",
     "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
     "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b391aafd255",
     "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
     "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662898015ad",
     "b094dac5d93471bdec1a502270e3cc6c"},
    {"feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308", "cafebabefacedbaddecaf888",
     "feedfacedeadbeeffeedfacedeadbeefabaddad2",
     "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
     "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
     "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
     "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662",
     "76fc6ece0f4e1768cddf8853bb2d551b"},
};

#define VECTORS (sizeof vectors / sizeof *vectors)

static struct {
    uint8_t key[GCM_KEY_SIZE], nonce[GCM_NONCE_SIZE], mac[GCM_MAC_SIZE];
    uint8_t ad[SIZE_MAX_HERE], plain[SIZE_MAX_HERE], sealed[SIZE_MAX_HERE];
    size_t ad_size, size;
} v;

static size_t bytes_of(const char *text, uint8_t *bytes, size_t size_max)
{
    size_t size;
    cr_assert_eq(sodium_hex2bin(bytes, size_max, text, strlen(text), NULL, &size, NULL), 0);
    return size;
}

static void take(const struct vector *vector)
{
    cr_assert_eq(bytes_of(vector->key, v.key, sizeof v.key), sizeof v.key);
    cr_assert_eq(bytes_of(vector->nonce, v.nonce, sizeof v.nonce), sizeof v.nonce);
    cr_assert_eq(bytes_of(vector->mac, v.mac, sizeof v.mac), sizeof v.mac);
    v.ad_size = bytes_of(vector->ad, v.ad, sizeof v.ad);
    v.size = bytes_of(vector->plain, v.plain, sizeof v.plain);
    cr_assert_eq(bytes_of(vector->sealed, v.sealed, sizeof v.sealed), v.size);
}

Test(gcm, published_vectors_are_sealed_and_opened)
{
    for (size_t i = 0; i < VECTORS; i++) {
        uint8_t bytes[SIZE_MAX_HERE], mac[GCM_MAC_SIZE];
        struct gcm gcm;
        take(&vectors[i]);
        memcpy(bytes, v.plain, sizeof bytes);
        cr_assert_eq(gcm_init(&gcm, true, v.key), 0);
        gcm_seal(&gcm, v.nonce, v.ad, v.ad_size, bytes, v.size, mac);
        gcm_deinit(&gcm);
        cr_assert_eq(memcmp(bytes, v.sealed, v.size), 0, "%zu", i);
        cr_assert_eq(memcmp(mac, v.mac, sizeof mac), 0, "%zu", i);
        cr_assert_eq(gcm_init(&gcm, false, v.key), 0);
        cr_assert(gcm_open(&gcm, v.nonce, v.ad, v.ad_size, bytes, v.size, mac));
        cr_assert_eq(memcmp(bytes, v.plain, v.size), 0, "%zu", i);
        gcm_deinit(&gcm);
    }
}

/* One context for all: keys and nonces are replaced, and nothing of the last message remains. */
Test(gcm, keys_can_be_replaced)
{
    static const uint8_t other[GCM_KEY_SIZE] = {9};
    uint8_t bytes[SIZE_MAX_HERE], mac[GCM_MAC_SIZE];
    struct gcm gcm;
    cr_assert_eq(gcm_init(&gcm, true, other), 0);
    for (size_t i = 0; i < 2 * VECTORS; i++) {
        take(&vectors[VECTORS - 1 - i % VECTORS]);
        memcpy(bytes, v.plain, sizeof bytes);
        gcm_set_key(&gcm, v.key);
        gcm_seal(&gcm, v.nonce, v.ad, v.ad_size, bytes, v.size, mac);
        cr_assert_eq(memcmp(bytes, v.sealed, v.size), 0);
        cr_assert_eq(memcmp(mac, v.mac, sizeof mac), 0);
    }
    gcm_deinit(&gcm);
}

static bool opens(struct gcm *gcm, uint8_t bytes[SIZE_MAX_HERE])
{
    memcpy(bytes, v.sealed, SIZE_MAX_HERE);
    return gcm_open(gcm, v.nonce, v.ad, v.ad_size, bytes, v.size, v.mac);
}

Test(gcm, every_flipped_bit_is_found_and_leaves_zeros)
{
    static const uint8_t zeros[SIZE_MAX_HERE];
    struct gcm gcm;
    take(&vectors[3]);
    cr_assert_eq(gcm_init(&gcm, false, v.key), 0);
    struct {
        uint8_t *bytes;
        size_t size;
    } parts[] = {
        {v.nonce, sizeof v.nonce}, {v.ad, v.ad_size}, {v.sealed, v.size}, {v.mac, sizeof v.mac}};
    for (size_t part = 0; part < sizeof parts / sizeof *parts; part++) {
        for (size_t bit = 0; bit < 8 * parts[part].size; bit++) {
            uint8_t bytes[SIZE_MAX_HERE];
            parts[part].bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
            cr_assert_not(opens(&gcm, bytes), "part %zu, bit %zu", part, bit);
            cr_assert_eq(memcmp(bytes, zeros, v.size), 0);
            parts[part].bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
            cr_assert(opens(&gcm, bytes), "and opens the next one");
        }
    }
    gcm_deinit(&gcm);
}

Test(gcm, who_opens_does_not_seal, .signal = SIGABRT)
{
    uint8_t mac[GCM_MAC_SIZE];
    struct gcm gcm;
    take(&vectors[0]);
    cr_assert_eq(gcm_init(&gcm, false, v.key), 0);
    gcm_seal(&gcm, v.nonce, v.ad, v.ad_size, v.plain, v.size, mac);
}

Test(gcm, is_available_where_the_processor_has_it)
{
    cr_assert(sodium_init() >= 0);
    cr_assert_eq(gcm_available(), crypto_aead_aes256gcm_is_available() == 1);
}

Test(gcm, deinit_of_zeros_does_nothing)
{
    struct gcm gcm = {0};
    gcm_deinit(&gcm);
    cr_assert_null(gcm.context);
}
