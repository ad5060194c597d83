/* Journal reader: goes through the batches of one segment file, in large reads.
 *
 * Straight-line over vfs; used by recovery and inspect. What it gives is borrowed until the next
 * call. Owner: the caller's thread. */
#ifndef STORAGE_JOURNAL_READER_H
#define STORAGE_JOURNAL_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "storage/journal_format.h"
#include "storage/vfs.h"

#define JOURNAL_READ_SIZE (1u << 20)

struct journal_reader {
    struct vfs_file *file; /* borrowed */
    uint64_t segment;
    uint64_t epoch;
    uint32_t limit; /* bytes of the segment that are looked at */
    uint8_t *buffer;
    size_t capacity;
    uint32_t base; /* of the buffer in the file */
    size_t filled;
};

/* limit: UINT32_MAX for the whole file. 0 or -errno; it may be closed in both cases. */
int journal_reader_open(struct journal_reader *reader, struct vfs_file *file, uint64_t segment,
                        uint64_t epoch, uint32_t limit);
void journal_reader_close(struct journal_reader *reader);
/* size bytes at offset, fewer (*got) at the limit. 0 or -errno. */
int journal_reader_bytes(struct journal_reader *reader, uint32_t offset, size_t size,
                         const uint8_t **bytes, size_t *got);
/* The batch at offset: 0 with its header and whole bytes, JOURNAL_FORMAT_E_BAD, or -errno. */
int journal_reader_batch(struct journal_reader *reader, uint32_t offset,
                         struct journal_batch_header *header, const uint8_t **bytes);
/* The first good batch at *offset or behind it, on a block. Same answers; BAD: there is none. */
int journal_reader_seek(struct journal_reader *reader, uint32_t *offset,
                        struct journal_batch_header *header);
/* Whether a good batch at offset or behind it says that batch `number` was synced: then what does
 * not check before it is damage, and no torn tail. 0 or -errno. */
int journal_reader_proves(struct journal_reader *reader, uint32_t offset, uint64_t number,
                          bool *synced);

/* Goes through the records of a run, checked before. Returns false at the end, or when the bytes
 * are no record (*bad): offset is then where. */
struct journal_run_cursor {
    const uint8_t *batch;
    uint32_t offset; /* in the batch, of the next record */
    uint32_t end;
    bool bad;
};
bool journal_run_next(struct journal_run_cursor *cursor, struct record *record, uint32_t *offset);

#endif
