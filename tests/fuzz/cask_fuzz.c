/* The reader of casks: whatever the file holds, it ends, and what it gives lies within the records.
 * Tried as it is, and again with all checksums made right. */
#include "fuzz_vfs.h"

#include "storage/cask.h"
#include "storage/checksum.h"
#include "storage/codec.h"

#include <stdlib.h>
#include <string.h>

static volatile uint8_t sink;

static void try_cursor(const struct cask *cask, const uint8_t *key, size_t key_size)
{
    struct cask_cursor cursor;
    uint32_t last = 0;

    cask_cursor_open(&cursor, cask, 4096);
    cask_cursor_seek(&cursor, key, key_size);
    while (cask_cursor_next(&cursor) == 0) {
        if (cursor.offset < CASK_HEADER_SIZE || cursor.offset <= last ||
            cursor.offset + cursor.size > cask->records_end)
            abort();
        last = cursor.offset;
        for (size_t i = 0; i < cursor.size; i++)
            sink = cursor.bytes[i];
    }
    cask_cursor_close(&cursor);
}

static void try_one(uint8_t *data, size_t size)
{
    struct cask_buffer buffer = {0};
    struct fuzz_vfs fuzz;
    struct record record;
    struct cask cask;

    fuzz_vfs_init(&fuzz, data, size, size);
    if (cask_open(&cask, &fuzz.file) != 0)
        return;
    if (cask.info.length != size || cask.records_end > size)
        abort();
    for (uint32_t i = 0; i < cask.block_count; i++) {
        cask_verify_block(&cask, i, &buffer, NULL);
        cask_read(&cask, cask.blocks[i], &buffer, &record);
    }
    cask_read(&cask, 80, &buffer, &record);
    try_cursor(&cask, NULL, 0);
    try_cursor(&cask, (const uint8_t *)"key-0020", 8);
    cask_buffer_free(&buffer);
    cask_close(&cask);
}

/* Makes the checksums right that can be found. */
static void reseal(uint8_t *data, size_t size)
{
    uint8_t *footer = data + size - CASK_FOOTER_SIZE;
    uint64_t index = codec_get_u32(footer + 24), count = codec_get_u32(footer + 20);

    codec_put_u64(data + 56, checksum(data, 56));
    if (index + count * CASK_INDEX_ITEM_SIZE <= size) {
        for (uint64_t i = 0; i < count; i++) {
            uint8_t *item = data + index + i * CASK_INDEX_ITEM_SIZE;
            uint64_t from = codec_get_u32(item);
            uint64_t to = i + 1 < count ? codec_get_u32(item + CASK_INDEX_ITEM_SIZE) : index;

            if (from < to && to <= size)
                codec_put_u64(item + 8, checksum(data + from, (size_t)(to - from)));
        }
        codec_put_u64(footer + 56, checksum(data + index, (size_t)count * CASK_INDEX_ITEM_SIZE));
    }
    codec_put_u64(footer + 88, checksum(footer, 88));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size + 1);

    if (!copy)
        abort();
    memcpy(copy, data, size);
    try_one(copy, size);
    if (size >= CASK_HEADER_SIZE + CASK_FOOTER_SIZE) {
        reseal(copy, size);
        try_one(copy, size);
    }
    free(copy);
    return 0;
}

static size_t seed_write(struct dice *dice, uint8_t *out)
{
    unsigned count = (unsigned)dice_below(dice, 60);
    struct cask_writer writer;
    struct cask_info info;
    struct fuzz_vfs fuzz;

    fuzz_vfs_init(&fuzz, out, 0, 24 << 10);
    if (cask_writer_begin(&writer, &fuzz.file, 5, 9) != 0)
        abort();
    for (unsigned i = 0; i < count; i++) {
        uint8_t key[8] = {
            'k', 'e', 'y', '-', '0', '0', (uint8_t)('0' + i / 10), (uint8_t)('0' + i % 10)};
        uint8_t value[300] = {0}, bytes[512];
        struct record record = {.partition = 5,
                                .kind = RECORD_KIND_PUT,
                                .sub_count = 1,
                                .index = dice_number(dice, 64),
                                .key = key,
                                .key_size = sizeof(key),
                                .value = value,
                                .value_size = (size_t)dice_below(dice, sizeof(value))};

        if (cask_writer_add(&writer, bytes, record_encode(&record, bytes), NULL) != 0)
            abort();
    }
    if (cask_writer_finish(&writer, &info) != 0)
        abort();
    cask_writer_end(&writer);
    return fuzz.size;
}

/* A few casks serve for all: writing one costs more than reading it. */
size_t fuzz_seed(struct dice *dice, uint8_t *out)
{
    static uint8_t casks[32][24 << 10];
    static size_t sizes[32];
    size_t i = (size_t)dice_below(dice, 32);

    if (sizes[i] == 0) {
        struct dice own = {i};

        sizes[i] = seed_write(&own, casks[i]);
    }
    memcpy(out, casks[i], sizes[i]);
    return sizes[i];
}
