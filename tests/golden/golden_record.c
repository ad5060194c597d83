/* Records: as they are in journals, casks, messages and snapshots. */
#include "golden.h"
#include "storage/compress.h"
#include "storage/record.h"
#include "storage/vault.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SAMPLES     400u
#define SAMPLE_SIZE 160u
#define RECORD_ROOM 4096u

static const struct record plain[] = {
    {.partition = 41,
     .kind = RECORD_KIND_PUT,
     .flags = RECORD_FLAG_EXPIRES | RECORD_FLAG_REQUEST,
     .term = 3,
     .sub_count = 2,
     .index = 1000,
     .expiry_ms = 1700000000123,
     .request = {.session = 0x0102030405060708, .sequence = 6, .floor = 4, .result = -1},
     .key = (const uint8_t *)"{cart:7}:apple",
     .key_size = 14,
     .value = (const uint8_t *)"three",
     .value_size = 5},
    {.partition = 41,
     .kind = RECORD_KIND_PUT,
     .term = 3,
     .sub_index = 1,
     .sub_count = 2,
     .index = 1000,
     .key = (const uint8_t *)"{cart:7}:pear",
     .key_size = 13}, /* an empty value */
    {.partition = 41,
     .kind = RECORD_KIND_DELETE,
     .flags = RECORD_FLAG_RELOCATED,
     .term = 3,
     .sub_count = 1,
     .index = 1001,
     .key = (const uint8_t *)"color",
     .key_size = 5},
    {.partition = 41, .kind = RECORD_KIND_NOOP, .term = 4, .sub_count = 1, .index = 1002},
    {.partition = 0xFFFF,
     .kind = RECORD_KIND_META,
     .term = 4,
     .sub_count = 1,
     .index = 9,
     .value = (const uint8_t *)"a ring map",
     .value_size = 10},
};
#define PLAIN_COUNT (sizeof plain / sizeof *plain)

static void put(struct wire_buffer *out, const struct record *record)
{
    uint8_t bytes[RECORD_ROOM];
    size_t size = record_size_padded(record);

    assert(size <= sizeof bytes);
    wire_put_raw(out, bytes, record_encode(record, bytes));
}

static bool same_bytes(const uint8_t *a, size_t a_size, const uint8_t *b, size_t b_size)
{
    return a_size == b_size && (a_size == 0 || memcmp(a, b, a_size) == 0);
}

static bool same(const struct record *a, const struct record *b)
{
    return a->partition == b->partition && a->kind == b->kind && a->flags == b->flags &&
           a->term == b->term && a->sub_index == b->sub_index && a->sub_count == b->sub_count &&
           a->index == b->index && a->codec == b->codec && a->key_id == b->key_id &&
           a->expiry_ms == b->expiry_ms &&
           memcmp(&a->request, &b->request, sizeof a->request) == 0 &&
           same_bytes(a->key, a->key_size, b->key, b->key_size) &&
           same_bytes(a->value, a->value_size, b->value, b->value_size);
}

/* The next record of the file: decoded, and written again to `again`. */
static int next(const uint8_t *bytes, size_t size, size_t *at, struct record *record,
                struct wire_buffer *again)
{
    int r = record_decode(bytes + *at, size - *at, record);

    if (r != 0)
        return r;
    *at += record_size_padded(record);
    put(again, record);
    return 0;
}

static void make_plain(struct wire_buffer *out)
{
    for (size_t i = 0; i < PLAIN_COUNT; i++)
        put(out, &plain[i]);
}

static const char *check_plain(const uint8_t *bytes, size_t size)
{
    struct wire_buffer again = {0};
    struct record record;
    size_t at = 0;

    for (size_t i = 0; i < PLAIN_COUNT; i++) {
        GOLDEN_EXPECT(next(bytes, size, &at, &record, &again) == 0);
        GOLDEN_EXPECT(same(&record, &plain[i]));
    }
    GOLDEN_EXPECT(golden_same(&again, bytes, size));
    return NULL;
}

/* --- sealed -------------------------------------------------------------------------------- */

static const struct keydir_digest digest = {.high = 0x1122334455667788, .low = 0x99aabbccddeeff00};
static const uint8_t dictionary_value[] = "what values have in common";
static const struct record sealed[] = {
    {.partition = 17,
     .kind = RECORD_KIND_PUT,
     .flags = RECORD_FLAG_EXPIRES,
     .term = 3,
     .sub_count = 1,
     .index = 1000,
     .expiry_ms = 1700000000123,
     .key = (const uint8_t *)"a user's key",
     .key_size = 12,
     .value = (const uint8_t *)"a value that nobody may see",
     .value_size = 27},
    {.partition = 17,
     .kind = RECORD_KIND_DELETE,
     .term = 3,
     .sub_count = 1,
     .index = 1001,
     .key = (const uint8_t *)"a user's key",
     .key_size = 12},
    {.partition = 17,
     .kind = RECORD_KIND_DICTIONARY,
     .term = 3,
     .sub_count = 1,
     .index = 1002,
     .codec = 2,
     .value = dictionary_value,
     .value_size = sizeof dictionary_value},
};
#define SEALED_COUNT (sizeof sealed / sizeof *sealed)

static void open_vault(struct vault *vault)
{
    uint8_t key[VAULT_KEY_SIZE];

    vault_init(vault);
    golden_fill(key, sizeof key, 0x40);
    assert(vault_add(vault, 7, key) == 0);
    vault_use(vault, 7);
}

static void make_sealed(struct wire_buffer *out)
{
    static const struct keydir_digest none = {0};
    uint8_t bytes[512];
    struct vault vault;

    open_vault(&vault);
    for (size_t i = 0; i < SEALED_COUNT; i++) {
        struct record record = sealed[i];

        vault_seal(&vault, &record, record.key_size > 0 ? &digest : &none, 0x5566778899aabbcc + i,
                   bytes);
        put(out, &record);
    }
    vault_wipe(&vault);
}

static const char *check_sealed(const uint8_t *bytes, size_t size)
{
    struct wire_buffer again = {0};
    struct keydir_digest read;
    struct record record;
    struct vault vault;
    uint8_t opened[512];
    size_t at = 0;

    open_vault(&vault);
    for (size_t i = 0; i < SEALED_COUNT; i++) {
        GOLDEN_EXPECT(next(bytes, size, &at, &record, &again) == 0);
        GOLDEN_EXPECT(record.key_id == 7 && (record.flags & RECORD_FLAG_ENCRYPTED));
        if (sealed[i].key_size > 0) {
            GOLDEN_EXPECT(vault_digest(&record, &read));
            GOLDEN_EXPECT((read.high & 0xffff) == (digest.high & 0xffff) && read.low == digest.low);
        }
        GOLDEN_EXPECT(vault_open(&vault, &record, opened) == 0);
        GOLDEN_EXPECT(same(&record, &sealed[i]));
    }
    vault_wipe(&vault);
    GOLDEN_EXPECT(golden_same(&again, bytes, size));
    return NULL;
}

/* --- compressed ---------------------------------------------------------------------------- */

static size_t sample(char text[SAMPLE_SIZE], unsigned i)
{
    return (size_t)snprintf(
        text, SAMPLE_SIZE,
        "{\"user\":%u,\"name\":\"name-%u\",\"address\":\"Example Street %u, 10115 Berlin\","
        "\"state\":\"active\",\"visits\":%u,\"newsletter\":false}",
        i * 7919, i, i % 97, i * 31);
}

static size_t long_value(uint8_t value[600])
{
    for (size_t i = 0; i < 600; i++)
        value[i] = (uint8_t)('a' + i % 13);
    return 600;
}

/* zstd alone; a dictionary; a value compressed with it. What zstd writes depends on its version:
 * the file is what one of them wrote, and every later one must read. */
static void make_compressed(struct wire_buffer *out)
{
    uint8_t *samples = malloc((size_t)SAMPLES * SAMPLE_SIZE), packed[600], value[600];
    uint8_t trained[COMPRESS_DICTIONARY_SIZE_MAX];
    struct compress *context = compress_new();
    struct compress_dictionary *dictionary;
    size_t sizes[SAMPLES], size = 0, trained_size, packed_size;
    struct record record = {.partition = 41,
                            .kind = RECORD_KIND_PUT,
                            .flags = RECORD_FLAG_COMPRESSED,
                            .term = 1,
                            .sub_count = 1,
                            .index = 1,
                            .codec = 1,
                            .key = (const uint8_t *)"key",
                            .key_size = 3,
                            .value = packed};

    assert(samples && context);
    assert(compress_value(context, NULL, 1, value, long_value(value), packed, &packed_size) == 0);
    record.value_size = packed_size;
    put(out, &record);
    for (unsigned i = 0; i < SAMPLES; i++)
        size += sizes[i] = sample((char *)samples + size, i);
    assert(compress_train(samples, sizes, SAMPLES, trained, &trained_size) == 0);
    assert(compress_dictionary_new(trained, trained_size, 1, &dictionary) == 0);
    put(out, &(struct record){.partition = 41,
                              .kind = RECORD_KIND_DICTIONARY,
                              .term = 1,
                              .sub_count = 1,
                              .index = 2,
                              .codec = 2,
                              .value = trained,
                              .value_size = trained_size});
    assert(compress_value(context, dictionary, 1, samples, sizes[0], packed, &packed_size) == 0);
    record.value_size = packed_size;
    record.index = 3;
    record.codec = 2;
    put(out, &record);
    compress_dictionary_free(dictionary);
    compress_free(context);
    free(samples);
}

static bool expands(const struct compress_dictionary *dictionary, const struct record *record,
                    const void *value, size_t size)
{
    struct compress *context = compress_new();
    uint8_t out[600];
    size_t plain_size;
    bool ok = compress_plain_size(record->value, record->value_size, sizeof out, &plain_size) == 0;

    ok = ok && plain_size == size &&
         compress_expand(context, dictionary, record->value, record->value_size, out, size) == 0 &&
         memcmp(out, value, size) == 0;
    compress_free(context);
    return ok;
}

static const char *check_compressed(const uint8_t *bytes, size_t size)
{
    struct compress_dictionary *dictionary;
    struct wire_buffer again = {0};
    struct record record;
    uint8_t value[600];
    char text[SAMPLE_SIZE];
    size_t at = 0;
    bool good;

    GOLDEN_EXPECT(next(bytes, size, &at, &record, &again) == 0);
    GOLDEN_EXPECT(record.codec == 1 && record.flags == RECORD_FLAG_COMPRESSED);
    GOLDEN_EXPECT(expands(NULL, &record, value, long_value(value)));
    GOLDEN_EXPECT(next(bytes, size, &at, &record, &again) == 0);
    GOLDEN_EXPECT(record.kind == RECORD_KIND_DICTIONARY && record.codec == 2);
    GOLDEN_EXPECT(compress_dictionary_new(record.value, record.value_size, 0, &dictionary) == 0);
    GOLDEN_EXPECT(next(bytes, size, &at, &record, &again) == 0);
    GOLDEN_EXPECT(record.codec == 2 && record.index == 3);
    good = expands(dictionary, &record, text, sample(text, 0));
    compress_dictionary_free(dictionary);
    GOLDEN_EXPECT(good);
    GOLDEN_EXPECT(golden_same(&again, bytes, size));
    return NULL;
}

const struct golden golden_record[] = {
    {"record-1", make_plain, check_plain},
    {"record-sealed-1", make_sealed, check_sealed},
    {"record-compressed-1", make_compressed, check_compressed},
};
const size_t golden_record_count = sizeof golden_record / sizeof *golden_record;
