/* The reader of hints: whatever the file holds, it ends, and entries ascend and lie within the data
 * file. Tried as it is, and again with all checksums made right. */
#include "fuzz_vfs.h"

#include "storage/checksum.h"
#include "storage/codec.h"
#include "storage/hint.h"

#include <stdlib.h>
#include <string.h>

static void try_one(uint8_t *data, size_t size)
{
    struct fuzz_vfs fuzz;
    struct hint hint;

    fuzz_vfs_init(&fuzz, data, size, size);
    if (hint_open(&hint, &fuzz.file, NULL) != 0)
        return;
    hint_verify(&hint);
    for (size_t i = 0; i < hint.partition_count; i++) {
        struct hint_cursor cursor;
        struct hint_entry last = {0};
        uint64_t count = 0;

        if (hint_cursor_open(&cursor, &hint, hint.partitions[i].partition) != 0)
            abort();
        while (hint_cursor_next(&cursor) == 0) {
            if (count++ > 0 && hint_entry_compare(&last, &cursor.entry) >= 0)
                abort();
            last = cursor.entry;
            if (last.size == 0 || last.size > hint.subject.length ||
                last.offset > hint.subject.length - last.size)
                abort();
        }
        if (count > hint.partitions[i].count)
            abort();
        hint_cursor_close(&cursor);
    }
    hint_close(&hint);
}

static void reseal(uint8_t *data, size_t size)
{
    uint8_t *footer = data + size - HINT_FOOTER_SIZE;
    uint64_t directory = codec_get_u64(footer + 16), at = HINT_HEADER_SIZE, blocks = 0;
    uint64_t items = codec_get_u32(footer + 24) * (uint64_t)HINT_DIRECTORY_ITEM_SIZE;

    codec_put_u64(data + 56, checksum(data, 56));
    if (directory <= size && items <= size - directory) {
        while (at + HINT_BLOCK_HEAD_SIZE <= directory) {
            uint64_t whole =
                HINT_BLOCK_HEAD_SIZE + (uint64_t)codec_get_u32(data + at + 12) * HINT_ENTRY_SIZE;

            if (whole > directory - at)
                break;
            codec_put_u64(data + at, checksum(data + at + 8, (size_t)whole - 8));
            blocks = checksum_seeded(data + at, 8, blocks);
            at += whole;
        }
        codec_put_u64(footer + 32, checksum(data + directory, (size_t)items));
    }
    codec_put_u64(footer + 40, checksum(data, 56));
    codec_put_u64(footer + 48, blocks);
    codec_put_u64(footer + 56, checksum(footer, 56));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size + 1);

    if (!copy)
        abort();
    memcpy(copy, data, size);
    try_one(copy, size);
    if (size >= HINT_HEADER_SIZE + HINT_FOOTER_SIZE) {
        reseal(copy, size);
        try_one(copy, size);
    }
    free(copy);
    return 0;
}

size_t fuzz_seed(struct dice *dice, uint8_t *out)
{
    struct hint_subject subject = {
        .kind = HINT_KIND_SEGMENT, .number = 3, .stamp = 4, .length = 1u << 20};
    uint16_t partitions = (uint16_t)dice_below(dice, 5);
    struct hint_writer writer;
    struct fuzz_vfs fuzz;

    fuzz_vfs_init(&fuzz, out, 0, FUZZ_INPUT_SIZE_MAX);
    if (hint_writer_begin(&writer, &fuzz.file, &subject) != 0)
        abort();
    for (uint16_t p = 0; p < partitions; p++)
        for (uint64_t i = 0, count = 1 + dice_below(dice, 20); i < count; i++) {
            struct hint_entry entry = {.partition = (uint16_t)(p * 7),
                                       .tombstone = dice_below(dice, 4) == 0,
                                       .offset = 512 + (uint32_t)dice_below(dice, 60000) * 16,
                                       .digest = {.high = i, .low = dice_next(dice)},
                                       .index = dice_number(dice, 64),
                                       .size = 48};

            if (hint_writer_add(&writer, &entry) != 0)
                abort();
        }
    if (hint_writer_finish(&writer) != 0)
        abort();
    hint_writer_end(&writer);
    return fuzz.size;
}
