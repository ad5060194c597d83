/* Hint: what a data file - a retired journal segment or a cask - holds, without reading it.
 *
 * For each partition and key the newest record in that file that counts: digest, index, place, size
 * and flags, sorted by (partition, digest), each (partition, digest) once. Entries that were
 * truncated are not in it, nor is any key. Recovery merges the hints of all files of a partition;
 * the highest index of a digest wins. Of records of one index the one behind wins (a later
 * sub-index of the same entry); in two files they are copies of each other.
 *
 * A hint is advisory: it names its data file by kind, number, stamp and length, and when anything
 * about it does not fit it is thrown away and made again from the data file.
 *
 * Layout:
 *   header, HINT_HEADER_SIZE
 *     0 u64 magic "RCASKHNT"   8 u32 version   12 u16 kind   14 u16 zero
 *    16 u64 number of the data file   24 u64 its stamp: a segment's epoch, a cask's stamp
 *    32 u32 length of the data file   36 zeros   56 u64 checksum of 0…55
 *   blocks, ≤ HINT_BLOCK_SIZE_MAX each, of one partition
 *     0 u64 checksum of 8 … end   8 u16 partition   10 u16 zero   12 u32 entries, then those:
 *     0 u16 low 16 bits of the digest's high   2 u16 flags   4 u32 offset in 16 B units
 *     8 u64 the digest's low   16 u64 index   24 u32 padded size in 16 B units
 *   directory, one item a partition, ascending
 *     0 u16 partition   2 u16 zero   4 u32 entries   8 u64 offset of its first block
 *    16 u64 lowest and 24 u64 highest index   32 u64 bytes of its records, padded
 *    40 u32 tombstones   44 u32 zero
 *   footer, HINT_FOOTER_SIZE
 *     0 u64 magic "RCASKHFT"   8 u64 entries   16 u64 offset of the directory
 *    24 u32 partitions   28 u32 zero   32 u64 checksum of the directory
 *    40 u64 checksum of the header   48 u64 checksum over the blocks' checksums, in order
 *    56 u64 checksum of 0…55
 *
 * Limits: offsets and sizes in 28 bits; a block is read whole. Owner: writer and cursor one thread
 * at a time, whichever; an open struct hint is constant. docs/format-hint.md has an example.
 */
#ifndef STORAGE_HINT_H
#define STORAGE_HINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "storage/keydir.h"
#include "storage/vfs.h"

#define HINT_VERSION             1u
#define HINT_HEADER_SIZE         64u
#define HINT_BLOCK_HEAD_SIZE     16u
#define HINT_ENTRY_SIZE          28u
#define HINT_BLOCK_SIZE_MAX      (64u << 10)
#define HINT_BLOCK_ENTRIES_MAX   ((HINT_BLOCK_SIZE_MAX - HINT_BLOCK_HEAD_SIZE) / HINT_ENTRY_SIZE)
#define HINT_DIRECTORY_ITEM_SIZE 48u
#define HINT_FOOTER_SIZE         64u

enum hint_kind {
    HINT_KIND_SEGMENT = 1,
    HINT_KIND_CASK = 2,
};

enum hint_flags {
    HINT_FLAG_TOMBSTONE = 1,
    HINT_FLAG_EXPIRES = 2,
};

enum hint_e {
    HINT_E_OK,
    HINT_E_END,      /* no more entries */
    HINT_E_ABSENT,   /* nothing of that partition */
    HINT_E_CORRUPT,  /* not a hint, not whole, or a checksum does not hold */
    HINT_E_MISMATCH, /* whole, but of another data file */
    HINT_E_NEWER,    /* of a newer format */
};

/* Names a data file as it was when the hint was made. */
struct hint_subject {
    enum hint_kind kind;
    uint64_t number;
    uint64_t stamp;  /* segment: its epoch; cask: cask_info.stamp */
    uint32_t length; /* segment: as sealed; cask: of the file */
};

struct hint_entry {
    uint16_t partition;
    bool tombstone;
    bool expires;
    uint32_t offset;             /* of the record in the data file, bytes */
    struct keydir_digest digest; /* as the keydir knows it: of `high` the low 16 bits */
    uint64_t index;
    uint32_t size; /* of the record, padded, bytes */
};

/* By partition, then digest: < 0, 0, > 0. The order of digests is the keydir's: the 80 bits as one
 * number. Ignores what the keydir does not know of `high`. */
int hint_entry_compare(const struct hint_entry *a, const struct hint_entry *b);
/* Sorts and leaves of each (partition, digest) the newest: highest index, then highest offset.
 * Returns how many are left. */
size_t hint_entries_sort(struct hint_entry *entries, size_t count);

/* --- writing --- */

/* One partition of a hint. */
struct hint_partition {
    uint16_t partition;
    uint32_t count;
    uint32_t tombstones; /* of count */
    uint64_t offset;     /* of its first block */
    uint64_t index_min;
    uint64_t index_max;
    uint64_t bytes; /* of the records, padded */
};

struct hint_writer {
    struct vfs_file *file; /* borrowed */
    uint64_t written;      /* bytes of the file so far */
    uint64_t header_checksum;
    uint64_t blocks_checksum;
    uint8_t *block;
    uint32_t block_count; /* entries in it */
    uint64_t count;
    struct hint_entry last;
    struct hint_partition *partitions;
    size_t partition_count;
    size_t partition_capacity;
    bool failed;
};

/* file: new and empty, opened for writing; borrowed until hint_writer_end(). 0, -ENOMEM or another
 * -errno (nothing to end then). */
int hint_writer_begin(struct hint_writer *writer, struct vfs_file *file,
                      const struct hint_subject *subject);
/* Entries ascend strictly by hint_entry_compare() (asserted). Writes at most one block. 0 or
 * -errno, after which only hint_writer_end() may follow. */
int hint_writer_add(struct hint_writer *writer, const struct hint_entry *entry);
/* Writes the rest; the caller syncs, or leaves it to chance: a hint that does not check is made
 * again. 0 or -errno. */
int hint_writer_finish(struct hint_writer *writer);
void hint_writer_end(struct hint_writer *writer); /* frees; the file stays the caller's */

/* --- reading --- */

struct hint {
    struct vfs_file *file; /* borrowed */
    struct hint_subject subject;
    uint64_t count;
    uint64_t blocks_end; /* where the directory begins */
    uint64_t blocks_checksum;
    struct hint_partition *partitions; /* ascending */
    size_t partition_count;
};

/* Reads and checks header, directory and footer; blocks are checked as they are read. subject: what
 * it must be of, or NULL for any. 0, HINT_E_CORRUPT, HINT_E_MISMATCH, HINT_E_NEWER or -errno; on
 * anything but 0 there is nothing to close. */
int hint_open(struct hint *hint, struct vfs_file *file, const struct hint_subject *subject);
void hint_close(struct hint *hint); /* not the file */
/* NULL: nothing of that partition. */
const struct hint_partition *hint_partition_find(const struct hint *hint, uint16_t partition);
/* Reads and checks every block. 0, HINT_E_CORRUPT or -errno. */
int hint_verify(const struct hint *hint);

/* Goes through the entries of one partition in order of digests. Memory: its largest block. */
struct hint_cursor {
    const struct hint *hint; /* borrowed */
    uint16_t partition;
    uint64_t next; /* offset of the next block */
    uint64_t end;  /* where the partition's blocks end */
    uint32_t left; /* entries of the partition not read yet from the file */
    uint8_t *block;
    size_t block_capacity;
    uint32_t block_count;
    uint32_t at;             /* entry of the block that comes next */
    struct hint_entry entry; /* what hint_cursor_next() gave last */
};

/* 0 or HINT_E_ABSENT (nothing to close). No I/O, no memory yet. */
int hint_cursor_open(struct hint_cursor *cursor, const struct hint *hint, uint16_t partition);
/* The next entry goes to cursor->entry. Reads at most one block. 0, HINT_E_END, HINT_E_CORRUPT or
 * -errno. */
int hint_cursor_next(struct hint_cursor *cursor);
void hint_cursor_close(struct hint_cursor *cursor);

/* --- bytes --- */

/* 0, HINT_E_CORRUPT or HINT_E_NEWER. */
int hint_header_decode(const uint8_t *bytes, size_t size, struct hint_subject *subject);

#endif
