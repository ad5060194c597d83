/* Cask: one partition's records in the order of their keys, in a file that never changes.
 *
 * Flush writes casks out of journal segments and older casks; the bytes of a record are those that
 * the journal had. Each key is in a cask once. A cask counts from the manifest edit that lists it,
 * not from when it is whole: whoever writes one syncs the file and its folder first.
 *
 * Layout, offsets in bytes, all of them multiples of 16:
 *   header, CASK_HEADER_SIZE
 *     0 u64 magic "RCASKCSK"   8 u32 version   12 u16 partition   14 u16 zero   16 u64 number
 *    24 zeros                 56 u64 checksum of 0…55
 *   records, each as storage/record.h has it with its padding, ascending by key (bytewise, a
 *     prefix before what it begins)
 *   block index, one item a block; a block is as many whole records as reach CASK_BLOCK_SIZE
 *     0 u32 offset of the block   4 u32 records   8 u64 checksum of its bytes
 *   footer, CASK_FOOTER_SIZE
 *     0 u64 magic "RCASKEND"   8 u64 number   16 u16 partition   18 u16 zero   20 u32 blocks
 *    24 u32 offset of the index   28 u32 length of the file   32 u32 records   36 u32 tombstones
 *    40 u64 lowest and 48 u64 highest index   56 u64 checksum of the index
 *    64 u64 bytes of the largest record, padded   72 zeros   88 u64 checksum of 0…87
 *
 * The footer's checksum is the cask's `stamp`: manifest and hint name it, so that neither is ever
 * held against another file of that name. A record is proved by its own checksums, padding and
 * order by its block's, the index by the footer.
 *
 * Limits: CASK_SIZE_MAX, which is what the 24 bits of a keydir location reach; CASK_E_FULL says
 * that a record goes to the next cask. Memory: a writer CASK_BUFFER_SIZE and 16 B a block, a reader
 * 4 B a block (0.1 % of the file). Owner: writer and cursor one thread at a time, whichever; a
 * struct cask is constant once open and may be read by many. docs/format-cask.md has an example.
 */
#ifndef STORAGE_CASK_H
#define STORAGE_CASK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "storage/record.h"
#include "storage/vfs.h"

#define CASK_VERSION         1u
#define CASK_HEADER_SIZE     64u
#define CASK_FOOTER_SIZE     96u
#define CASK_INDEX_ITEM_SIZE 16u
#define CASK_BLOCK_SIZE      4096u
#define CASK_BUFFER_SIZE     (256u << 10)
#define CASK_SIZE_MAX        (256u << 20)

enum cask_e {
    CASK_E_OK,
    CASK_E_FULL,    /* the record does not fit any more; nothing was added */
    CASK_E_END,     /* no more records */
    CASK_E_CORRUPT, /* not a cask, not whole, or a checksum does not hold */
    CASK_E_NEWER,   /* of a newer format */
};

/* What the footer says. */
struct cask_info {
    uint16_t partition;
    uint64_t number;
    uint64_t stamp;  /* checksum of the footer */
    uint32_t length; /* of the whole file */
    uint32_t count;
    uint32_t tombstones; /* of count */
    uint64_t index_min;  /* 0 and 0 when there is no record */
    uint64_t index_max;
    uint32_t record_size_max; /* padded */
};

/* The order of keys in a cask: < 0, 0, > 0. */
int cask_key_compare(const uint8_t *a, size_t a_size, const uint8_t *b, size_t b_size);

/* --- writing --- */

struct cask_block {
    uint32_t offset;
    uint32_t count;
    uint64_t checksum;
};

struct cask_writer {
    struct vfs_file *file; /* borrowed */
    struct cask_info info;
    uint8_t *buffer; /* bytes [written, written + buffered) of the file */
    size_t capacity;
    size_t buffered;
    uint32_t written;
    size_t block_from; /* where the open block begins in the buffer */
    uint32_t block_records;
    struct cask_block *blocks; /* that are closed */
    size_t block_count;
    size_t block_capacity;
    uint8_t *key; /* the last one */
    size_t key_size;
    size_t key_capacity;
    bool failed;
};

/* file: new and empty, opened for writing; borrowed until cask_writer_end(). No I/O yet.
 * 0 or -ENOMEM (nothing to end then). */
int cask_writer_begin(struct cask_writer *writer, struct vfs_file *file, uint16_t partition,
                      uint64_t number);
/* Adds one record, `size` bytes with padding as read from a journal or cask, at *offset of the file
 * (NULL: not asked). Both its checksums and its padding are checked first. It must be a PUT or
 * DELETE of the writer's partition with a key above the last one's (asserted: who sorts, knows).
 * Writes at most CASK_BUFFER_SIZE plus the record. 0; CASK_E_FULL or CASK_E_CORRUPT, which change
 * nothing; -errno, after which only cask_writer_end() may follow. */
int cask_writer_add(struct cask_writer *writer, const uint8_t *bytes, size_t size,
                    uint32_t *offset);
/* Bytes of the file if it were finished now. */
uint32_t cask_writer_length(const struct cask_writer *writer);
/* Writes what is left, index and footer; the caller syncs. A cask without any
 * record is valid. 0 with *info, or -errno. */
int cask_writer_finish(struct cask_writer *writer, struct cask_info *info);
/* Frees the memory; to be called after success and failure. The file stays the caller's. */
void cask_writer_end(struct cask_writer *writer);

/* --- reading --- */

struct cask {
    struct vfs_file *file; /* borrowed */
    struct cask_info info;
    uint32_t records_end; /* where the index begins */
    uint32_t *blocks;     /* offsets */
    uint32_t block_count;
};

/* Reads and checks header, footer and index; the records are checked as they are read. `file` must
 * stay open as long as *cask is used. 0, CASK_E_CORRUPT, CASK_E_NEWER or -errno; on anything but 0
 * there is nothing to close. */
int cask_open(struct cask *cask, struct vfs_file *file);
void cask_close(struct cask *cask); /* not the file */

/* Memory for records that are read; grows to the largest one. Start with all zeros. */
struct cask_buffer {
    uint8_t *bytes;
    size_t capacity;
};
void cask_buffer_free(struct cask_buffer *buffer);

/* The record at an offset that a hint, keydir or cursor gave. *record borrows from the buffer until
 * its next use. 0, CASK_E_CORRUPT (also: no record begins there) or -errno. */
int cask_read(const struct cask *cask, uint32_t offset, struct cask_buffer *buffer,
              struct record *record);
/* Reads block `block` < block_count and checks everything in it: its checksum, each record's, order
 * and partition. Writes the offset of its bytes to *offset, if asked. 0, CASK_E_CORRUPT, -errno. */
int cask_verify_block(const struct cask *cask, uint32_t block, struct cask_buffer *buffer,
                      uint32_t *offset);

/* Goes through the records in order of their keys, reading ahead. */
struct cask_cursor {
    const struct cask *cask; /* borrowed */
    struct cask_buffer buffer;
    size_t read_size;
    uint32_t base; /* of the buffer in the file */
    size_t filled;
    uint32_t next; /* where the next record begins */
    /* The record that cask_cursor_next() gave last, valid until the next call: */
    struct record record;
    const uint8_t *bytes; /* of it, with padding */
    size_t size;
    uint32_t offset; /* of it in the file */
};

/* At the first record. read_size: bytes a read, at least a block; a larger record is read whole.
 * No I/O, no memory yet. */
void cask_cursor_open(struct cask_cursor *cursor, const struct cask *cask, size_t read_size);
/* To the first record whose key is not below `key`. log2(blocks) small reads, then one block.
 * 0, also when there is no such record (the next call says END); CASK_E_CORRUPT or -errno. */
int cask_cursor_seek(struct cask_cursor *cursor, const uint8_t *key, size_t key_size);
/* The next record, both checksums checked: 0, CASK_E_END, CASK_E_CORRUPT or -errno. After anything
 * but 0 it stays where it is. */
int cask_cursor_next(struct cask_cursor *cursor);
void cask_cursor_close(struct cask_cursor *cursor);

/* --- bytes --- */

/* 0 (with partition and number in *info, the rest zero), CASK_E_CORRUPT or CASK_E_NEWER. */
int cask_header_decode(const uint8_t *bytes, size_t size, struct cask_info *info);

#endif
