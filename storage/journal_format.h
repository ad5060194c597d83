/* Journal format: the bytes of a segment around its records. docs/format-journal.md has a worked
 * example.
 *
 * Segment: one block of JOURNAL_BLOCK_SIZE with the segment's header, then batches, each beginning
 * on a block. Segment header:
 *    0 u64 magic "RCASKJNL"   8 u32 version   12 u32 zero   16 u64 number   24 u64 epoch
 *   32 u64 checksum of 0…31, unseeded; zeros to the end of the block
 * Batch: header, records (in runs of one partition), directory of the runs, zeros to the block.
 *    0 u32 magic "BTCH"        4 u32 flags
 *    8 u64 checksum of 0…7, 16…63 and the directory, seeded with the epoch
 *   16 u64 batch number       24 u64 synced-through batch number
 *   32 u64 segment number     40 u32 offset of the batch in the segment
 *   44 u32 length of the batch, padding included
 *   48 u32 offset of the directory in the batch, which is where the records end
 *   52 u32 runs               56 u64 zero
 * Directory item, one a run:
 *    0 u16 partition   2 u16 records   4 u32 offset in the batch (the run ends at the next one's)
 *    8 u64 first and 16 u64 last index of its entries, both 0 when it has none
 *   24 u64 newest commit known   32 u64 checksum of the run's bytes, seeded with the epoch
 * A good header proves the directory, and each item proves its run: nothing in between is taken
 * on trust, and damage inside a run names the partition it hit. The epoch makes what a recycled
 * file held before fail every check; segment and offset do so for a write that went astray.
 */
#ifndef STORAGE_JOURNAL_FORMAT_H
#define STORAGE_JOURNAL_FORMAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "storage/record.h"
#include "storage/store.h"

#define JOURNAL_VERSION           1u
#define JOURNAL_BLOCK_SIZE        512u
#define JOURNAL_SEGMENT_SIZE_MAX  (256u << 20) /* what 24 bits of 16 B units reach */
#define JOURNAL_BATCH_HEADER_SIZE 64u
#define JOURNAL_RUN_ITEM_SIZE     40u
#define JOURNAL_RUN_COUNT_MAX     UINT16_MAX /* records a run */

enum journal_batch_flags {
    JOURNAL_BATCH_CHECKPOINT = 1, /* has checkpoint records */
    JOURNAL_BATCH_MARK = 2,       /* no records: only carries the synced mark */
};

enum journal_format_e {
    JOURNAL_FORMAT_E_OK,
    JOURNAL_FORMAT_E_SHORT, /* the batch goes on beyond the bytes given */
    JOURNAL_FORMAT_E_BAD,
    JOURNAL_FORMAT_E_NEWER,
};

struct journal_segment_header {
    uint64_t number;
    uint64_t epoch;
};

struct journal_batch_header {
    uint32_t flags;
    uint64_t number;
    uint64_t synced_through;
    uint64_t segment;
    uint32_t offset;
    uint32_t length;
    uint32_t directory_offset;
    uint32_t run_count;
};

struct journal_run {
    uint16_t partition;
    uint16_t count;
    uint32_t offset;
    uint64_t first_index;
    uint64_t last_index;
    uint64_t commit;
    uint64_t checksum;
};

static inline uint64_t journal_block_round(uint64_t size)
{
    return (size + JOURNAL_BLOCK_SIZE - 1) & ~(uint64_t)(JOURNAL_BLOCK_SIZE - 1);
}

/* Writes JOURNAL_BLOCK_SIZE bytes. */
void journal_segment_header_encode(const struct journal_segment_header *header, uint8_t *out);
/* Returns 0, BAD or NEWER. */
int journal_segment_header_decode(const uint8_t *bytes, size_t size,
                                  struct journal_segment_header *header);

/* Writes the header without its checksum, which journal_batch_finish() adds. */
void journal_batch_header_encode(const struct journal_batch_header *header, uint8_t *out);
/* Writes one directory item without its checksum. */
void journal_run_encode(const struct journal_run *run, uint8_t *out);
/* Fills the checksums of all runs and then the header's, in place. */
void journal_batch_finish(uint8_t *batch, uint64_t epoch);
/* Reads the header's fields and checks their bounds, nothing else: enough to know how many bytes
 * journal_batch_check() needs. Returns 0 or BAD. */
int journal_batch_header_peek(const uint8_t *bytes, size_t size,
                              struct journal_batch_header *header);
/* Checks header and directory of a batch at (segment, offset) in bytes. 0, SHORT or BAD. */
int journal_batch_check(const uint8_t *bytes, size_t size, uint64_t epoch, uint64_t segment,
                        uint32_t offset, struct journal_batch_header *header);
/* Run `i` of a checked batch and the end of its bytes. Returns false when the item's own offsets
 * make no sense (never in a checked batch of ours). */
bool journal_run_at(const uint8_t *batch, const struct journal_batch_header *header, uint32_t i,
                    struct journal_run *run, uint32_t *end);
/* True when the run's bytes are those that were written. */
bool journal_run_check(const uint8_t *batch, const struct journal_run *run, uint32_t end,
                       uint64_t epoch);

/* The values of the two kinds of records that are not entries. */
#define JOURNAL_HARD_STATE_SIZE 16u
#define JOURNAL_CHECKPOINT_HEAD 40u

void journal_hard_state_encode(const struct store_hard_state *state, uint8_t *out);
bool journal_hard_state_decode(const uint8_t *value, size_t size, struct store_hard_state *state);
/* Writes the JOURNAL_CHECKPOINT_HEAD bytes in front of checkpoint->state. */
void journal_checkpoint_encode(const struct store_checkpoint *checkpoint, bool fenced,
                               uint8_t *out);
/* state borrows from value. */
bool journal_checkpoint_decode(const uint8_t *value, size_t size,
                               struct store_checkpoint *checkpoint, bool *fenced);

#endif
