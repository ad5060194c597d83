/* Record: the one unit of bytes that journal, cask, wire and backup share.
 *
 * An entry of a partition's Raft log is `sub_count` records with the same partition, term and
 * index, sub_index 0 … sub_count-1, one behind the other, each padded with zeros to 16 bytes.
 * The header checksum covers header, extensions and key; the value checksum the value as stored.
 * Both are XXH3-64 without a seed, so that the same bytes are valid wherever they are copied.
 *
 *   0 u32 size          all bytes of the record without the padding
 *   4 u16 partition
 *   6 u8  kind          enum record_kind
 *   7 u8  flags         enum record_flags
 *   8 u32 term
 *  12 u16 sub_index
 *  14 u16 sub_count     1 … 4,096
 *  16 u64 index
 *  24 u16 key_size      0 only for kinds that have no key
 *  26 u8  codec         enum compress_codec: 0 plain; with flag COMPRESSED 1 zstd, 1 + n zstd with
 *                       the partition's dictionary n; of DICTIONARY 1 + n: it is number n
 *  27 u8  key_id        data key of the encryption (with flag ENCRYPTED, then ≥ 1), else 0
 *  28 u32 value_size    as stored
 *  32 u64 header checksum: XXH3-64 over bytes 0…31, then 40 … end of the key
 *  40 [u64 expiry_ms]                      with flag EXPIRES: Unix time, milliseconds
 *     [u64 session, u64 sequence, u64 floor, i64 result]   with flag REQUEST; sub_index 0 only
 *     key, value
 *     [u64 value checksum]                 when value_size > 0
 * With flag ENCRYPTED, of PUT, DELETE and DICTIONARY only, the key, where there is one, is
 * RECORD_SEALED_KEY_SIZE bytes of digest and the value holds key and value: storage/vault.h. Little
 * endian throughout; always through codec.h. docs/format-record.md has a worked example.
 */
#ifndef STORAGE_RECORD_H
#define STORAGE_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RECORD_ALIGN          16u
#define RECORD_HEADER_SIZE    40u
#define RECORD_KEY_SIZE_MAX   65535u
#define RECORD_VALUE_SIZE_MAX (16u << 20)
#define RECORD_SUB_COUNT_MAX  4096u
/* With flag ENCRYPTED: */
#define RECORD_SEALED_KEY_SIZE      16u
#define RECORD_SEALED_OVERHEAD_SIZE 26u /* of the value, beside key and value */
#define RECORD_SEALED_SIZE_MAX                                                                     \
    (RECORD_VALUE_SIZE_MAX + RECORD_KEY_SIZE_MAX + RECORD_SEALED_OVERHEAD_SIZE)

enum record_kind {
    RECORD_KIND_PUT = 1,
    RECORD_KIND_DELETE = 2,     /* a tombstone */
    RECORD_KIND_NOOP = 3,       /* a leader's first entry; also an outcome without effect */
    RECORD_KIND_CONFIG = 4,     /* a Raft configuration, in the value */
    RECORD_KIND_META = 5,       /* a change of the meta group's state, in the value */
    RECORD_KIND_HARD_STATE = 6, /* not an entry: term, vote, commit of the partition */
    RECORD_KIND_CHECKPOINT = 7, /* not an entry: a partition's state at the start of a segment */
    RECORD_KIND_DICTIONARY = 8, /* a compression dictionary of the partition, in the value */
};

enum record_flags {
    RECORD_FLAG_EXPIRES = 1, /* of a delete: expiry_ms is the time by which it was found expired */
    RECORD_FLAG_REQUEST = 2,
    RECORD_FLAG_COMPRESSED = 4,
    RECORD_FLAG_ENCRYPTED = 8,
    RECORD_FLAG_RELOCATED = 16, /* appended again by flush: truncates nothing at replay */
};

/* A request id and what the leader found: lets a retry be answered without applying it twice.
 * See replication/sessions.h. */
struct record_request {
    uint64_t session;
    uint64_t sequence; /* of this partition in this session, from 1 */
    uint64_t floor;    /* lowest sequence that the session still waits for */
    int64_t result;    /* the integer reply, or 0 */
};

/* A record in memory. key and value are borrowed; decoded ones point into the buffer. */
struct record {
    uint16_t partition;
    uint8_t kind;
    uint8_t flags;
    uint32_t term;
    uint16_t sub_index;
    uint16_t sub_count;
    uint64_t index;
    uint8_t codec;
    uint8_t key_id;
    uint64_t expiry_ms;
    struct record_request request;
    const uint8_t *key;
    size_t key_size;
    const uint8_t *value;
    size_t value_size;
};

enum record_e {
    RECORD_E_OK,
    RECORD_E_SHORT,   /* more bytes are needed than there are */
    RECORD_E_CORRUPT, /* a checksum or a bound does not hold */
};

/* Bytes of the record without padding. */
size_t record_size(const struct record *record);
/* Bytes it takes in a file: record_size rounded up to RECORD_ALIGN. */
size_t record_size_padded(const struct record *record);
/* Bytes of header, extensions and key, as the first RECORD_HEADER_SIZE bytes claim: what must be
 * there for record_decode_header() to check them. Nothing about it is proved yet. */
size_t record_head_size(const uint8_t *bytes);
/* Writes record_size_padded() bytes to out, padding included, and returns that count. The
 * record's fields must be within the limits above (asserted: they are checked at the door). */
size_t record_encode(const struct record *record, uint8_t *out);
/* Reads the record at the start of bytes; checks bounds and both checksums, in that order, before
 * any field is believed. key and value borrow from bytes. */
int record_decode(const uint8_t *bytes, size_t size, struct record *record);
/* As record_decode but leaves the value checksum unchecked (scans that only need the key). When
 * only bytes of the value are missing, *record is complete and checked all the same, and the answer
 * is RECORD_E_SHORT; else it stays untouched on SHORT. */
int record_decode_header(const uint8_t *bytes, size_t size, struct record *record);

#endif
