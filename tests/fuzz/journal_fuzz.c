/* The readers of a journal's batch: runs and records lie within the batch, a run that checks holds
 * what it claims. Tried as it is, and again with the checksums made right. */
#include "fuzz.h"

#include "storage/codec.h"
#include "storage/journal_format.h"
#include "storage/journal_reader.h"

#include <stdlib.h>
#include <string.h>

#define EPOCH 7u

static volatile uint8_t sink;

static void try_run(const uint8_t *batch, const struct journal_run *run, uint32_t end)
{
    struct journal_run_cursor cursor = {.batch = batch, .offset = run->offset, .end = end};
    struct record record;
    uint32_t at;

    sink = journal_run_check(batch, run, end, EPOCH);
    while (journal_run_next(&cursor, &record, &at)) {
        struct store_checkpoint checkpoint;
        struct store_hard_state state;
        bool fenced;

        if (at < run->offset || at + record_size_padded(&record) > end)
            abort();
        if (record.kind == RECORD_KIND_HARD_STATE)
            journal_hard_state_decode(record.value, record.value_size, &state);
        if (record.kind == RECORD_KIND_CHECKPOINT &&
            journal_checkpoint_decode(record.value, record.value_size, &checkpoint, &fenced))
            for (size_t i = 0; i < checkpoint.state_size; i++)
                sink = checkpoint.state[i];
    }
    if (!cursor.bad && cursor.offset < end)
        abort();
}

static bool try_one(const uint8_t *data, size_t size)
{
    struct journal_segment_header segment;
    struct journal_batch_header header;

    journal_segment_header_decode(data, size, &segment);
    if (journal_batch_header_peek(data, size, &header) != 0 ||
        journal_batch_check(data, size, EPOCH, header.segment, header.offset, &header) != 0)
        return false;
    if (header.length > size)
        abort();
    for (uint32_t i = 0; i < header.run_count; i++) {
        struct journal_run run;
        uint32_t end;

        if (!journal_run_at(data, &header, i, &run, &end))
            break;
        try_run(data, &run, end);
    }
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct journal_batch_header header;
    uint8_t *copy;
    bool sane;

    try_one(data, size);
    if (journal_batch_header_peek(data, size, &header) != 0 || header.length > size)
        return 0;
    sane = true;
    for (uint32_t i = 0; sane && i < header.run_count; i++) {
        struct journal_run run;
        uint32_t end;

        sane = journal_run_at(data, &header, i, &run, &end);
    }
    if (!sane)
        return 0;
    copy = malloc(size);
    if (!copy)
        abort();
    memcpy(copy, data, size);
    journal_batch_finish(copy, EPOCH);
    if (!try_one(copy, size) && header.synced_through < header.number)
        abort();
    free(copy);
    return 0;
}

static uint32_t seed_record(struct dice *dice, uint16_t partition, uint64_t index, uint8_t *out)
{
    uint8_t key[16] = {1}, value[100];
    struct record record = {.partition = partition,
                            .kind = (uint8_t)(1 + dice_below(dice, 7)),
                            .term = 3,
                            .sub_count = 1,
                            .index = index,
                            .key = key,
                            .value = value,
                            .value_size = (size_t)dice_below(dice, sizeof(value))};

    record.key_size = record.kind <= RECORD_KIND_DELETE ? 1 + dice_below(dice, 15) : 0;
    dice_fill(dice, value, sizeof(value));
    return (uint32_t)record_encode(&record, out);
}

size_t fuzz_seed(struct dice *dice, uint8_t *out)
{
    struct journal_run runs[4];
    uint32_t run_count = 1 + (uint32_t)dice_below(dice, 4), at = JOURNAL_BATCH_HEADER_SIZE;
    uint32_t length;

    memset(out, 0, 8192);
    for (uint32_t i = 0; i < run_count; i++) {
        uint16_t count = (uint16_t)(1 + dice_below(dice, 4));

        runs[i] = (struct journal_run){.partition = (uint16_t)i,
                                       .count = count,
                                       .offset = at,
                                       .first_index = 10,
                                       .last_index = 9u + count,
                                       .commit = 5};
        for (uint16_t k = 0; k < count; k++)
            at += seed_record(dice, (uint16_t)i, 10u + k, out + at);
    }
    length = (uint32_t)journal_block_round(at + run_count * JOURNAL_RUN_ITEM_SIZE);
    for (uint32_t i = 0; i < run_count; i++)
        journal_run_encode(&runs[i], out + at + i * JOURNAL_RUN_ITEM_SIZE);
    journal_batch_header_encode(&(struct journal_batch_header){.number = 4,
                                                               .synced_through = 3,
                                                               .segment = 2,
                                                               .offset = 1024,
                                                               .length = length,
                                                               .directory_offset = at,
                                                               .run_count = run_count},
                                out);
    journal_batch_finish(out, EPOCH);
    return length;
}
