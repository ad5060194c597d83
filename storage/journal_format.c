#include "storage/journal_format.h"

#include <assert.h>
#include <string.h>

#include "storage/checksum.h"
#include "storage/codec.h"

#define JOURNAL_MAGIC          0x4C4E4A4B53414352ull /* "RCASKJNL" */
#define JOURNAL_BATCH_MAGIC    0x48435442u           /* "BTCH" */

#define BATCH_OFFSET_CHECKSUM  8u
#define BATCH_OFFSET_SUMMED    16u
#define RUN_OFFSET_CHECKSUM    32u
#define CHECKPOINT_FLAG_FENCED 1u

void journal_segment_header_encode(const struct journal_segment_header *header, uint8_t *out)
{
    memset(out, 0, JOURNAL_BLOCK_SIZE);
    codec_put_u64(out, JOURNAL_MAGIC);
    codec_put_u32(out + 8, JOURNAL_VERSION);
    codec_put_u64(out + 16, header->number);
    codec_put_u64(out + 24, header->epoch);
    codec_put_u64(out + 32, checksum(out, 32));
}

int journal_segment_header_decode(const uint8_t *bytes, size_t size,
                                  struct journal_segment_header *header)
{
    if (size < JOURNAL_BLOCK_SIZE || codec_get_u64(bytes) != JOURNAL_MAGIC ||
        codec_get_u64(bytes + 32) != checksum(bytes, 32))
        return JOURNAL_FORMAT_E_BAD;
    if (codec_get_u32(bytes + 8) != JOURNAL_VERSION)
        return JOURNAL_FORMAT_E_NEWER;
    header->number = codec_get_u64(bytes + 16);
    header->epoch = codec_get_u64(bytes + 24);
    return JOURNAL_FORMAT_E_OK;
}

void journal_batch_header_encode(const struct journal_batch_header *header, uint8_t *out)
{
    memset(out, 0, JOURNAL_BATCH_HEADER_SIZE);
    codec_put_u32(out, JOURNAL_BATCH_MAGIC);
    codec_put_u32(out + 4, header->flags);
    codec_put_u64(out + 16, header->number);
    codec_put_u64(out + 24, header->synced_through);
    codec_put_u64(out + 32, header->segment);
    codec_put_u32(out + 40, header->offset);
    codec_put_u32(out + 44, header->length);
    codec_put_u32(out + 48, header->directory_offset);
    codec_put_u32(out + 52, header->run_count);
}

void journal_run_encode(const struct journal_run *run, uint8_t *out)
{
    codec_put_u16(out, run->partition);
    codec_put_u16(out + 2, run->count);
    codec_put_u32(out + 4, run->offset);
    codec_put_u64(out + 8, run->first_index);
    codec_put_u64(out + 16, run->last_index);
    codec_put_u64(out + 24, run->commit);
    codec_put_u64(out + RUN_OFFSET_CHECKSUM, 0);
}

/* The header's own checksum covers the flags too: they lie in front of it. */
static uint64_t batch_checksum(const uint8_t *batch, const struct journal_batch_header *header,
                               uint64_t epoch)
{
    uint8_t summed[JOURNAL_BATCH_HEADER_SIZE - 8];

    memcpy(summed, batch, 8);
    memcpy(summed + 8, batch + BATCH_OFFSET_SUMMED,
           JOURNAL_BATCH_HEADER_SIZE - BATCH_OFFSET_SUMMED);
    return checksum_pair(summed, sizeof(summed), batch + header->directory_offset,
                         (size_t)header->run_count * JOURNAL_RUN_ITEM_SIZE, epoch);
}

void journal_batch_finish(uint8_t *batch, uint64_t epoch)
{
    struct journal_batch_header header;
    int r = journal_batch_header_peek(batch, JOURNAL_BATCH_HEADER_SIZE, &header);

    assert(r == 0);
    for (uint32_t i = 0; i < header.run_count; i++) {
        struct journal_run run;
        uint32_t end;
        bool ok = journal_run_at(batch, &header, i, &run, &end);

        assert(ok);
        codec_put_u64(batch + header.directory_offset + (size_t)i * JOURNAL_RUN_ITEM_SIZE +
                          RUN_OFFSET_CHECKSUM,
                      checksum_seeded(batch + run.offset, end - run.offset, epoch));
    }
    codec_put_u64(batch + BATCH_OFFSET_CHECKSUM, batch_checksum(batch, &header, epoch));
}

int journal_batch_header_peek(const uint8_t *bytes, size_t size,
                              struct journal_batch_header *header)
{
    if (size < JOURNAL_BATCH_HEADER_SIZE || codec_get_u32(bytes) != JOURNAL_BATCH_MAGIC)
        return JOURNAL_FORMAT_E_BAD;
    *header = (struct journal_batch_header){
        .flags = codec_get_u32(bytes + 4),
        .number = codec_get_u64(bytes + 16),
        .synced_through = codec_get_u64(bytes + 24),
        .segment = codec_get_u64(bytes + 32),
        .offset = codec_get_u32(bytes + 40),
        .length = codec_get_u32(bytes + 44),
        .directory_offset = codec_get_u32(bytes + 48),
        .run_count = codec_get_u32(bytes + 52),
    };
    uint64_t end =
        (uint64_t)header->directory_offset + (uint64_t)header->run_count * JOURNAL_RUN_ITEM_SIZE;

    if (header->directory_offset < JOURNAL_BATCH_HEADER_SIZE ||
        header->directory_offset % RECORD_ALIGN != 0 || header->length % JOURNAL_BLOCK_SIZE != 0 ||
        header->length > JOURNAL_SEGMENT_SIZE_MAX || end > header->length)
        return JOURNAL_FORMAT_E_BAD;
    return JOURNAL_FORMAT_E_OK;
}

int journal_batch_check(const uint8_t *bytes, size_t size, uint64_t epoch, uint64_t segment,
                        uint32_t offset, struct journal_batch_header *header)
{
    int r = journal_batch_header_peek(bytes, size, header);

    if (r != 0)
        return r;
    if (header->segment != segment || header->offset != offset ||
        header->synced_through >= header->number)
        return JOURNAL_FORMAT_E_BAD;
    if (size < header->length)
        return JOURNAL_FORMAT_E_SHORT;
    if (codec_get_u64(bytes + BATCH_OFFSET_CHECKSUM) != batch_checksum(bytes, header, epoch))
        return JOURNAL_FORMAT_E_BAD;
    return JOURNAL_FORMAT_E_OK;
}

bool journal_run_at(const uint8_t *batch, const struct journal_batch_header *header, uint32_t i,
                    struct journal_run *run, uint32_t *end)
{
    const uint8_t *item = batch + header->directory_offset + (size_t)i * JOURNAL_RUN_ITEM_SIZE;

    assert(i < header->run_count);
    *run = (struct journal_run){
        .partition = codec_get_u16(item),
        .count = codec_get_u16(item + 2),
        .offset = codec_get_u32(item + 4),
        .first_index = codec_get_u64(item + 8),
        .last_index = codec_get_u64(item + 16),
        .commit = codec_get_u64(item + 24),
        .checksum = codec_get_u64(item + RUN_OFFSET_CHECKSUM),
    };
    *end = i + 1 < header->run_count ? codec_get_u32(item + JOURNAL_RUN_ITEM_SIZE + 4)
                                     : header->directory_offset;
    return run->offset >= JOURNAL_BATCH_HEADER_SIZE && run->offset <= *end &&
           *end <= header->directory_offset && (i > 0 || run->offset == JOURNAL_BATCH_HEADER_SIZE);
}

bool journal_run_check(const uint8_t *batch, const struct journal_run *run, uint32_t end,
                       uint64_t epoch)
{
    return run->checksum == checksum_seeded(batch + run->offset, end - run->offset, epoch);
}

void journal_hard_state_encode(const struct store_hard_state *state, uint8_t *out)
{
    codec_put_u32(out, state->term);
    codec_put_u32(out + 4, state->vote);
    codec_put_u64(out + 8, state->commit);
}

bool journal_hard_state_decode(const uint8_t *value, size_t size, struct store_hard_state *state)
{
    if (size != JOURNAL_HARD_STATE_SIZE)
        return false;
    state->term = codec_get_u32(value);
    state->vote = codec_get_u32(value + 4);
    state->commit = codec_get_u64(value + 8);
    return true;
}

void journal_checkpoint_encode(const struct store_checkpoint *checkpoint, bool fenced, uint8_t *out)
{
    codec_put_u32(out, checkpoint->term);
    codec_put_u32(out + 4, checkpoint->vote);
    codec_put_u64(out + 8, checkpoint->applied);
    codec_put_u64(out + 16, checkpoint->first_index);
    codec_put_u32(out + 24, checkpoint->applied_term);
    codec_put_u32(out + 28, checkpoint->first_prev_term);
    codec_put_u32(out + 32, fenced ? CHECKPOINT_FLAG_FENCED : 0);
    codec_put_u32(out + 36, 0);
}

bool journal_checkpoint_decode(const uint8_t *value, size_t size,
                               struct store_checkpoint *checkpoint, bool *fenced)
{
    if (size < JOURNAL_CHECKPOINT_HEAD)
        return false;
    *checkpoint = (struct store_checkpoint){
        .term = codec_get_u32(value),
        .vote = codec_get_u32(value + 4),
        .applied = codec_get_u64(value + 8),
        .first_index = codec_get_u64(value + 16),
        .applied_term = codec_get_u32(value + 24),
        .first_prev_term = codec_get_u32(value + 28),
        .state = value + JOURNAL_CHECKPOINT_HEAD,
        .state_size = size - JOURNAL_CHECKPOINT_HEAD,
    };
    *fenced = codec_get_u32(value + 32) & CHECKPOINT_FLAG_FENCED;
    return true;
}
