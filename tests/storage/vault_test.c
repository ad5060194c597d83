#include "storage/vault.h"

#include <criterion/criterion.h>

#include <signal.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

static const uint8_t key_a[VAULT_KEY_SIZE] = {1, 2, 3}, key_b[VAULT_KEY_SIZE] = {4, 5, 6};
static const struct keydir_digest digest = {.high = 0x1122334455667788, .low = 0x99AABBCCDDEEFF00};

static void setup(void)
{
    cr_assert_geq(sodium_init(), 0);
}

TestSuite(vault, .init = setup);

static struct record sample(void)
{
    return (struct record){.partition = 17,
                           .kind = RECORD_KIND_PUT,
                           .flags = RECORD_FLAG_EXPIRES | RECORD_FLAG_REQUEST,
                           .term = 3,
                           .sub_count = 2,
                           .index = 1000,
                           .expiry_ms = 1700000000000,
                           .request = {.session = 5, .sequence = 6, .floor = 4, .result = -1},
                           .key = (const uint8_t *)"a user's key",
                           .key_size = 12,
                           .value = (const uint8_t *)"a value that nobody may see",
                           .value_size = 27};
}

static bool holds(const uint8_t *bytes, size_t size, const void *what, size_t what_size)
{
    return memmem(bytes, size, what, what_size) != NULL;
}

/* draft-irtf-cfrg-xchacha-03, appendix A.3.1: the primitive under us is the published one. */
Test(vault, the_published_vector_holds)
{
    static const char plain[] = "Ladies and Gentlemen of the class of '99: If I could offer you "
                                "only one tip for the future, sunscreen would be it.";
    static const char expected[] =
        "bd6d179d3e83d43b9576579493c0e939572a1700252bfaccbed2902c21396cbb"
        "731c7f1b0b4aa6440bf3a82f4eda7e39ae64c6708c54c216cb96b72e1213b452"
        "2f8c9ba40db5d945b11b69b982c1bb9e3f3fac2bc369488f76b2383565d3fff9"
        "21f9664c97637da9768812f615c68b13b52e"
        "c0875924c1c7987947deafd8780acf49";
    uint8_t key[32], nonce[24], out[256];
    static const uint8_t ad[12] = {0x50, 0x51, 0x52, 0x53, 0xc0, 0xc1,
                                   0xc2, 0xc3, 0xc4, 0xc5, 0xc6, 0xc7};
    char hex[600];
    unsigned long long size;

    for (size_t i = 0; i < sizeof key; i++)
        key[i] = (uint8_t)(0x80 + i);
    for (size_t i = 0; i < sizeof nonce; i++)
        nonce[i] = (uint8_t)(0x40 + i);
    crypto_aead_xchacha20poly1305_ietf_encrypt(out, &size, (const uint8_t *)plain, strlen(plain),
                                               ad, sizeof ad, NULL, nonce, key);
    sodium_bin2hex(hex, sizeof hex, out, size);
    cr_assert_str_eq(hex, expected);
}

/* Nonce, associated data and layout as docs/format-record.md has them, made by hand here. */
Test(vault, a_sealed_record_is_laid_out_as_documented)
{
    struct record record = sample();
    uint8_t out[256], nonce[24] = {0}, ad[84] = {0}, plain[256];
    struct vault vault;
    unsigned long long size;

    vault_init(&vault);
    cr_assert_eq(vault_add(&vault, 9, key_a), 0);
    vault_use(&vault, 9);
    vault_seal(&vault, &record, &digest, 0x0807060504030201, out);
    nonce[0] = 17;
    nonce[4] = 3;
    nonce[8] = 1000 & 0xFF;
    nonce[9] = 1000 >> 8;
    for (size_t i = 0; i < 8; i++)
        nonce[16 + i] = (uint8_t)(i + 1);
    record_encode(&record, plain); /* its bytes 4 … 31 and 40 … 96 are the associated data */
    memcpy(ad, plain + 4, 28);
    memcpy(ad + 28, plain + 40, 56);
    cr_assert_eq(memcmp(record.value, nonce + 16, 8), 0);
    cr_assert_eq(crypto_aead_xchacha20poly1305_ietf_decrypt(plain, &size, NULL, record.value + 8,
                                                            record.value_size - 8, ad, sizeof ad,
                                                            nonce, key_a),
                 0);
    cr_assert_eq(size, 2 + 12 + 27);
    cr_assert_eq(memcmp(plain, "\x0c\0a user's keya value that nobody may see", 41), 0);
}

Test(vault, what_is_sealed_comes_back_and_shows_nothing)
{
    struct record record = sample(), before = sample(), decoded;
    uint8_t out[256], bytes[512], plain[256];
    struct keydir_digest found;
    struct vault vault;
    size_t size;

    vault_init(&vault);
    cr_assert_eq(vault_add(&vault, 255, key_a), 0);
    vault_use(&vault, 255);
    cr_assert_not(vault_digest(&record, &found));
    size = vault_sealed_size(&record);
    vault_seal(&vault, &record, &digest, 42, out);
    cr_assert_eq(record.value_size, size);
    size = record_encode(&record, bytes);
    cr_assert_not(holds(bytes, size, "user", 4));
    cr_assert_not(holds(bytes, size, "value", 5));
    cr_assert_eq(record_decode(bytes, size, &decoded), 0);
    cr_assert(vault_digest(&decoded, &found));
    cr_assert_eq(found.high, digest.high);
    cr_assert_eq(found.low, digest.low);
    cr_assert_eq(vault_open(&vault, &decoded, plain), 0);
    cr_assert_eq(decoded.key_size, before.key_size);
    cr_assert_eq(memcmp(decoded.key, before.key, before.key_size), 0);
    cr_assert_eq(decoded.value_size, before.value_size);
    cr_assert_eq(memcmp(decoded.value, before.value, before.value_size), 0);
    cr_assert_eq(decoded.flags, before.flags);
    cr_assert_eq(decoded.key_id, 0);
}

Test(vault, a_tombstone_is_sealed_too)
{
    struct record record = sample();
    uint8_t out[256], plain[256];
    struct vault vault;

    vault_init(&vault);
    cr_assert_eq(vault_add(&vault, 1, key_a), 0);
    vault_use(&vault, 1);
    record.kind = RECORD_KIND_DELETE;
    record.value = NULL;
    record.value_size = 0;
    vault_seal(&vault, &record, &digest, 42, out);
    cr_assert_eq(vault_open(&vault, &record, plain), 0);
    cr_assert_eq(record.key_size, 12);
    cr_assert_eq(record.value_size, 0);
}

/* With the checksums made right again, which an attacker can: everything but the mark of a
 * relocation is bound to the ciphertext. */
/* It has no key, sealed or not, and does not pass for a record that has one. */
Test(vault, a_dictionary_is_sealed_too)
{
    struct record record = sample(), opened;
    uint8_t out[256], plain[256], bytes[256];
    const uint8_t *value = record.value;
    struct vault vault;

    vault_init(&vault);
    cr_assert_eq(vault_add(&vault, 1, (const uint8_t[VAULT_KEY_SIZE]){9}), 0);
    vault_use(&vault, 1);
    record.kind = RECORD_KIND_DICTIONARY;
    record.codec = 3;
    record.flags = 0;
    record.key = NULL;
    record.key_size = 0;
    vault_seal(&vault, &record, &(struct keydir_digest){0}, 77, out);
    cr_assert_eq(record.key_size, 0);
    cr_assert_not(holds(record.value, record.value_size, value, 27));
    (void)record_encode(&record, bytes);
    cr_assert_eq(record_decode(bytes, sizeof bytes, &opened), 0);
    cr_assert_eq(vault_open(&vault, &opened, plain), 0);
    cr_assert_eq(opened.key_size, 0);
    cr_assert_eq(opened.codec, 3);
    cr_assert_eq(opened.value_size, 27);
    cr_assert_arr_eq(opened.value, value, 27);
    opened = record;
    opened.codec = 2;
    cr_assert_eq(vault_open(&vault, &opened, plain), VAULT_E_CORRUPT, "it says its number");
}

Test(vault, a_record_that_was_changed_does_not_open)
{
    struct record record = sample(), changed;
    uint8_t out[256], plain[256];
    struct vault vault;
    size_t size;

    vault_init(&vault);
    cr_assert_eq(vault_add(&vault, 1, key_a), 0);
    cr_assert_eq(vault_add(&vault, 2, key_b), 0);
    vault_use(&vault, 1);
    size = VAULT_DIGEST_SIZE + vault_sealed_size(&record);
    vault_seal(&vault, &record, &digest, 42, out);
    for (size_t bit = 0; bit < size * 8; bit++) {
        out[bit / 8] ^= (uint8_t)(1u << bit % 8);
        changed = record;
        cr_assert_eq(vault_open(&vault, &changed, plain), VAULT_E_CORRUPT, "bit %zu", bit);
        cr_assert_eq(memcmp(&changed, &record, sizeof record), 0);
        out[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
#define DIFFERS(field, mask)                                                                       \
    changed = record;                                                                              \
    changed.field ^= mask;                                                                         \
    cr_assert_eq(vault_open(&vault, &changed, plain), VAULT_E_CORRUPT, #field)
    DIFFERS(partition, 1);
    DIFFERS(kind, 3);
    DIFFERS(flags, RECORD_FLAG_COMPRESSED);
    DIFFERS(flags, RECORD_FLAG_EXPIRES);
    DIFFERS(flags, RECORD_FLAG_REQUEST);
    DIFFERS(term, 1);
    DIFFERS(index, 1);
    DIFFERS(sub_index, 1);
    DIFFERS(sub_count, 4);
    DIFFERS(codec, 1);
    DIFFERS(key_id, 3);
    DIFFERS(expiry_ms, 1);
    DIFFERS(request.session, 1);
    DIFFERS(request.sequence, 1);
    DIFFERS(request.floor, 1);
    DIFFERS(request.result, 1);
    changed = record;
    changed.value_size--;
    cr_assert_eq(vault_open(&vault, &changed, plain), VAULT_E_CORRUPT);
    changed = record;
    changed.flags |= RECORD_FLAG_RELOCATED;
    cr_assert_eq(vault_open(&vault, &changed, plain), 0);
}

Test(vault, without_its_key_a_record_stays_shut)
{
    struct record record = sample(), other;
    uint8_t out[256], plain[256];
    struct vault vault, empty, wrong;

    vault_init(&vault);
    vault_init(&empty);
    vault_init(&wrong);
    cr_assert_eq(vault_add(&vault, 1, key_a), 0);
    cr_assert_eq(vault_add(&wrong, 1, key_b), 0);
    vault_use(&vault, 1);
    vault_seal(&vault, &record, &digest, 42, out);
    other = record;
    cr_assert_eq(vault_open(&empty, &other, plain), VAULT_E_NO_KEY);
    cr_assert_eq(vault_open(NULL, &other, plain), VAULT_E_NO_KEY);
    cr_assert_eq(vault_open(&wrong, &other, plain), VAULT_E_CORRUPT);
    cr_assert_eq(vault_open(&vault, &other, plain), 0);
}

Test(vault, older_keys_open_what_they_sealed)
{
    struct record first = sample(), second = sample();
    uint8_t out[2][256], plain[256];
    struct vault vault;

    vault_init(&vault);
    cr_assert_eq(vault_add(&vault, 1, key_a), 0);
    vault_use(&vault, 1);
    vault_seal(&vault, &first, &digest, 42, out[0]);
    cr_assert_eq(vault_add(&vault, 2, key_b), 0);
    vault_use(&vault, 2);
    vault_seal(&vault, &second, &digest, 42, out[1]);
    cr_assert_eq(first.key_id, 1);
    cr_assert_eq(second.key_id, 2);
    cr_assert_eq(vault_open(&vault, &first, plain), 0);
    cr_assert_eq(vault_open(&vault, &second, plain), 0);
}

Test(vault, a_number_never_gets_another_key)
{
    struct vault vault;

    vault_init(&vault);
    cr_assert_eq(vault_add(&vault, 7, key_a), 0);
    cr_assert_eq(vault_add(&vault, 7, key_a), 0);
    cr_assert_eq(vault_add(&vault, 7, key_b), VAULT_E_CONFLICT);
    cr_assert_eq(memcmp(vault.keys[7], key_a, sizeof key_a), 0);
}

Test(vault, the_same_text_at_another_place_or_with_another_tail_looks_different)
{
    struct record a = sample(), b = sample(), c = sample();
    uint8_t out[3][256];
    struct vault vault;

    vault_init(&vault);
    cr_assert_eq(vault_add(&vault, 1, key_a), 0);
    vault_use(&vault, 1);
    b.index++;
    vault_seal(&vault, &a, &digest, 42, out[0]);
    vault_seal(&vault, &b, &digest, 42, out[1]);
    vault_seal(&vault, &c, &digest, 43, out[2]);
    cr_assert_neq(memcmp(a.value + 8, b.value + 8, 41), 0);
    cr_assert_neq(memcmp(a.value + 8, c.value + 8, 41), 0);
}

Test(vault, a_wrapped_key_opens_for_its_node_only)
{
    uint8_t public_key[2][VAULT_EXCHANGE_SIZE], secret_key[2][VAULT_EXCHANGE_SIZE];
    uint8_t wrapped[VAULT_WRAPPED_SIZE], key[VAULT_KEY_SIZE];
    struct vault vault;

    crypto_box_keypair(public_key[0], secret_key[0]);
    crypto_box_keypair(public_key[1], secret_key[1]);
    randombytes_buf(key, sizeof key);
    cr_assert_eq(vault_wrap(3, key, public_key[0], wrapped), 0);
    cr_assert_not(holds(wrapped, sizeof wrapped, key, sizeof key));
    vault_init(&vault);
    cr_assert_eq(vault_unwrap(&vault, 3, public_key[1], secret_key[1], wrapped), VAULT_E_CORRUPT);
    cr_assert_eq(vault_unwrap(&vault, 4, public_key[0], secret_key[0], wrapped), VAULT_E_CORRUPT);
    cr_assert_not(vault.known[3] || vault.known[4]);
    for (size_t i = 0; i < sizeof wrapped; i++) {
        wrapped[i] ^= 0x40;
        cr_assert_eq(vault_unwrap(&vault, 3, public_key[0], secret_key[0], wrapped),
                     VAULT_E_CORRUPT);
        wrapped[i] ^= 0x40;
    }
    cr_assert_eq(vault_unwrap(&vault, 3, public_key[0], secret_key[0], wrapped), 0);
    cr_assert(vault.known[3]);
    cr_assert_eq(memcmp(vault.keys[3], key, sizeof key), 0);
    cr_assert_eq(vault.current, 0);
    vault_wipe(&vault);
    for (size_t i = 0; i < sizeof vault; i++)
        cr_assert_eq(((const uint8_t *)&vault)[i], 0);
}

Test(vault, without_a_key_nothing_is_sealed, .signal = SIGABRT)
{
    struct record record = sample();
    uint8_t out[256];
    struct vault vault;

    vault_init(&vault);
    vault_seal(&vault, &record, &digest, 42, out);
}

Test(vault, sealed_with_another_key_it_is_the_same_record_at_the_same_place)
{
    struct record record = sample(), again, opened;
    uint8_t first[256], second[256], third[256], plain[256];
    struct vault vault;
    struct keydir_digest found;

    vault_init(&vault);
    cr_assert_eq(vault_newest_of_several(&vault), 0);
    cr_assert_eq(vault_newest_of_several(NULL), 0);
    cr_assert_eq(vault_add(&vault, 1, key_a), 0);
    vault_use(&vault, 1);
    cr_assert_eq(vault_newest_of_several(&vault), 0, "there is but one");
    vault_seal(&vault, &record, &digest, 77, first);
    cr_assert_eq(vault_reseal(&vault, 2, &record, second), VAULT_E_NO_KEY);
    cr_assert_eq(record.key_id, 1);
    cr_assert_eq(vault_add(&vault, 2, key_b), 0);
    vault_use(&vault, 2);
    cr_assert_eq(vault_newest_of_several(&vault), 2);
    again = record;
    cr_assert_eq(vault_reseal(&vault, 2, &record, second), 0);
    cr_assert_eq(record.key_id, 2);
    cr_assert_eq(record.value_size, again.value_size);
    cr_assert(memcmp(record.value, again.value, record.value_size) != 0);
    cr_assert(vault_digest(&record, &found) && found.high == digest.high);
    cr_assert_eq(vault_reseal(&vault, 2, &again, third), 0);
    cr_assert_eq(memcmp(second, third, VAULT_DIGEST_SIZE + record.value_size), 0,
                 "all replicas write the same");
    vault.known[1] = false;
    opened = record;
    cr_assert_eq(vault_open(&vault, &opened, plain), 0);
    cr_assert_eq(opened.key_size, sample().key_size);
    cr_assert_eq(opened.value_size, sample().value_size);
    cr_assert_eq(memcmp(opened.value, sample().value, opened.value_size), 0);
    second[VAULT_DIGEST_SIZE + 12] ^= 1;
    cr_assert_eq(vault_reseal(&vault, 2, &record, third), VAULT_E_CORRUPT);
}
