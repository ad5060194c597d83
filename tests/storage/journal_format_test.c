#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "storage/journal_format.h"
#include "storage/journal_reader.h"

static const uint8_t example_batch[] = {
    0x42, 0x54, 0x43, 0x48, 0x01, 0x00, 0x00, 0x00, 0x8a, 0xfb, 0x38, 0x92, 0xf4, 0x4c, 0x1d, 0xbb,
    0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0x00, 0x00, 0x00, 0x02, 0x00, 0x00,
    0x20, 0x01, 0x00, 0x00, 0x03, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
};

/* The batch of docs/format-journal.md, in a block of its own. */
static void example_make(uint8_t batch[512])
{
    uint8_t state[JOURNAL_CHECKPOINT_HEAD + 4], hard[JOURNAL_HARD_STATE_SIZE];
    struct store_checkpoint checkpoint = {.term = 2,
                                          .vote = 1,
                                          .applied = 4,
                                          .applied_term = 1,
                                          .first_index = 3,
                                          .first_prev_term = 1};
    struct record records[] = {
        {.partition = 17,
         .kind = RECORD_KIND_CHECKPOINT,
         .term = 2,
         .sub_count = 1,
         .index = 4,
         .value = state,
         .value_size = sizeof(state)},
        {.partition = 17,
         .kind = RECORD_KIND_PUT,
         .term = 2,
         .sub_count = 1,
         .index = 5,
         .key = (const uint8_t *)"key",
         .key_size = 3,
         .value = (const uint8_t *)"value",
         .value_size = 5},
        {.partition = 17,
         .kind = RECORD_KIND_HARD_STATE,
         .term = 2,
         .sub_count = 1,
         .value = hard,
         .value_size = sizeof(hard)},
    };
    uint32_t at = JOURNAL_BATCH_HEADER_SIZE;
    struct journal_run runs[3];

    memset(batch, 0, 512);
    journal_checkpoint_encode(&checkpoint, false, state);
    memcpy(state + JOURNAL_CHECKPOINT_HEAD, "abcd", 4);
    journal_hard_state_encode(&(struct store_hard_state){.term = 2, .vote = 1, .commit = 4}, hard);
    for (size_t i = 0; i < 3; i++) {
        runs[i] = (struct journal_run){.partition = 17, .count = 1, .offset = at, .commit = 4};
        at += (uint32_t)record_encode(&records[i], batch + at);
    }
    runs[1].first_index = runs[1].last_index = 5;
    for (size_t i = 0; i < 3; i++)
        journal_run_encode(&runs[i], batch + at + i * JOURNAL_RUN_ITEM_SIZE);
    journal_batch_header_encode(&(struct journal_batch_header){.flags = JOURNAL_BATCH_CHECKPOINT,
                                                               .number = 1,
                                                               .segment = 1,
                                                               .offset = 512,
                                                               .length = 512,
                                                               .directory_offset = at,
                                                               .run_count = 3},
                                batch);
    journal_batch_finish(batch, 1);
}

Test(journal_format, the_documented_example_has_these_bytes)
{
    static const uint8_t sums[] = {0x24, 0x6f, 0xa1, 0xfe, 0x1d, 0xea, 0xad, 0x46, 0x11, 0x00};
    uint8_t batch[512], block[JOURNAL_BLOCK_SIZE];

    example_make(batch);
    cr_assert_eq(memcmp(batch, example_batch, sizeof(example_batch)), 0);
    cr_assert_eq(memcmp(batch + 0x168, sums, sizeof(sums)), 0);
    journal_segment_header_encode(&(struct journal_segment_header){.number = 1, .epoch = 1}, block);
    cr_assert_eq(memcmp(block, "RCASKJNL\1\0\0\0\0\0\0\0\1", 17), 0);
    cr_assert_eq(block[32], 0xbd);
    cr_assert_eq(block[39], 0x19);
}

Test(journal_format, a_batch_is_good_only_at_its_place_and_in_its_epoch)
{
    struct journal_batch_header header;
    uint8_t batch[512];

    example_make(batch);
    cr_assert_eq(journal_batch_check(batch, 512, 1, 1, 512, &header), JOURNAL_FORMAT_E_OK);
    cr_assert_eq(header.number, 1);
    cr_assert_eq(journal_batch_check(batch, 512, 2, 1, 512, &header), JOURNAL_FORMAT_E_BAD);
    cr_assert_eq(journal_batch_check(batch, 512, 1, 2, 512, &header), JOURNAL_FORMAT_E_BAD);
    cr_assert_eq(journal_batch_check(batch, 512, 1, 1, 1024, &header), JOURNAL_FORMAT_E_BAD);
    cr_assert_eq(journal_batch_check(batch, 511, 1, 1, 512, &header), JOURNAL_FORMAT_E_SHORT);
    cr_assert_eq(journal_batch_check(batch, 63, 1, 1, 512, &header), JOURNAL_FORMAT_E_BAD);
}

Test(journal_format, every_flipped_bit_before_the_padding_is_found_and_assigned)
{
    uint8_t batch[512];

    example_make(batch);
    for (uint32_t bit = 0; bit < (0x120 + 3 * JOURNAL_RUN_ITEM_SIZE) * 8; bit++) {
        struct journal_batch_header header;
        bool in_run = bit / 8 >= JOURNAL_BATCH_HEADER_SIZE && bit / 8 < 0x120;

        batch[bit / 8] ^= (uint8_t)(1u << bit % 8);
        int r = journal_batch_check(batch, 512, 1, 1, 512, &header);

        cr_assert_eq(r == JOURNAL_FORMAT_E_OK, in_run, "bit %u", bit);
        for (uint32_t i = 0; in_run && i < 3; i++) {
            struct journal_run run;
            uint32_t end;

            cr_assert(journal_run_at(batch, &header, i, &run, &end));
            cr_assert_eq(journal_run_check(batch, &run, end, 1),
                         !(bit / 8 >= run.offset && bit / 8 < end));
        }
        batch[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
}

Test(journal_reader, finds_the_next_good_batch_behind_damage)
{
    struct vfs *vfs = vfs_mem_new();
    struct vfs_file *file;
    struct journal_reader reader;
    struct journal_batch_header header;
    const uint8_t *bytes;
    uint8_t batch[512], garbage[4096];
    struct iovec iov[] = {{.iov_base = garbage, .iov_len = sizeof(garbage)},
                          {.iov_base = batch, .iov_len = sizeof(batch)}};
    uint32_t offset = JOURNAL_BLOCK_SIZE;

    memset(garbage, 0x42, sizeof(garbage));
    example_make(batch);
    header = (struct journal_batch_header){.number = 7,
                                           .synced_through = 6,
                                           .segment = 9,
                                           .offset = sizeof(garbage),
                                           .length = 512,
                                           .directory_offset = 64};
    journal_batch_header_encode(&header, batch);
    journal_batch_finish(batch, 5);
    cr_assert_eq(vfs_open(vfs, "j", VFS_OPEN_WRITE | VFS_OPEN_CREATE, &file), 0);
    cr_assert_eq(vfs_pwritev(file, iov, 2, 0), 0);
    cr_assert_eq(journal_reader_open(&reader, file, 9, 5, UINT32_MAX), 0);
    cr_assert_eq(journal_reader_batch(&reader, offset, &header, &bytes), JOURNAL_FORMAT_E_BAD);
    cr_assert_eq(journal_reader_seek(&reader, &offset, &header), 0);
    cr_assert_eq(offset, sizeof(garbage));
    cr_assert_eq(header.number, 7);
    offset += 512;
    cr_assert_eq(journal_reader_seek(&reader, &offset, &header), JOURNAL_FORMAT_E_BAD);
    journal_reader_close(&reader);
    vfs_close(file);
    vfs_mem_free(vfs);
}
