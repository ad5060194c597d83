/* The decoder of records: what it accepts lies within the input and has no other encoding. Tried as
 * it is, and again with the checksums made right, which random damage never does. */
#include "fuzz.h"

#include "storage/checksum.h"
#include "storage/codec.h"
#include "storage/record.h"
#include "storage/vault.h"

#include <stdlib.h>
#include <string.h>

static volatile uint8_t sink;

/* Nothing that was not sealed with the key opens, and nothing beyond the value is looked at. */
static void try_open(const struct record *sealed)
{
    static struct vault vault;
    struct record record = *sealed;
    uint8_t *out = malloc(record.value_size);

    if (!out)
        abort();
    for (unsigned id = 1; id <= VAULT_KEYS_MAX; id++)
        vault.known[id] = true;
    if (vault_open(&vault, &record, out) == 0)
        abort();
    free(out);
}

static void try_one(const uint8_t *data, size_t size)
{
    struct record record = {0}, head = {0};
    int r = record_decode_header(data, size, &head);
    uint8_t *again;
    size_t plain;

    if (r != RECORD_E_CORRUPT && head.key)
        for (size_t i = 0; i < head.key_size; i++)
            sink = head.key[i];
    if (record_decode(data, size, &record) != 0)
        return;
    if (r != 0)
        abort();
    plain = record_size(&record);
    if (plain > size || record.key + record.key_size > data + size)
        abort();
    for (size_t i = 0; i < record.value_size; i++)
        sink = record.value[i];
    if (record.flags & RECORD_FLAG_ENCRYPTED)
        try_open(&record);
    again = malloc(record_size_padded(&record));
    if (!again)
        abort();
    record_encode(&record, again);
    if (memcmp(again, data, plain) != 0)
        abort();
    free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *copy;
    size_t head, value_size;

    try_one(data, size);
    if (size < RECORD_HEADER_SIZE)
        return 0;
    head = record_head_size(data);
    value_size = codec_get_u32(data + 28);
    if (head > size)
        return 0;
    copy = malloc(size);
    if (!copy)
        abort();
    memcpy(copy, data, size);
    codec_put_u64(copy + 32,
                  checksum_pair(copy, 32, copy + RECORD_HEADER_SIZE, head - RECORD_HEADER_SIZE, 0));
    if (value_size > 0 && value_size <= size - head && size - head - value_size >= 8)
        codec_put_u64(copy + head + value_size, checksum(copy + head, value_size));
    try_one(copy, size);
    free(copy);
    return 0;
}

size_t fuzz_seed(struct dice *dice, uint8_t *out)
{
    uint8_t key[300], value[300];
    bool is_delete = dice_below(dice, 4) == 0;
    struct record record = {
        .partition = (uint16_t)dice_below(dice, 256),
        .kind = is_delete ? RECORD_KIND_DELETE : RECORD_KIND_PUT,
        .flags = (uint8_t)dice_below(dice, 32),
        .term = (uint32_t)dice_number(dice, 32),
        .sub_count = 1,
        .index = dice_number(dice, 64),
        .expiry_ms = dice_number(dice, 64),
        .key = key,
        .key_size = 1 + (size_t)dice_below(dice, sizeof(key) - 1),
        .value = value,
        .value_size = is_delete ? 0 : (size_t)dice_below(dice, sizeof(value)),
    };

    if (record.flags & RECORD_FLAG_ENCRYPTED) {
        record.key_id = (uint8_t)(1 + dice_below(dice, 255));
        record.key_size = RECORD_SEALED_KEY_SIZE;
        record.value_size =
            RECORD_SEALED_OVERHEAD_SIZE + 1 + (size_t)dice_below(dice, sizeof(value) - 30);
    }
    dice_fill(dice, key, sizeof(key));
    dice_fill(dice, value, sizeof(value));
    return record_encode(&record, out);
}
