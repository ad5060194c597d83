/* Hint format: what hint.c, which reads, and hint_writer.c share. Nothing else includes it. */
#ifndef STORAGE_HINT_FORMAT_H
#define STORAGE_HINT_FORMAT_H

#include "storage/hint.h"

struct hint_footer {
    uint64_t count;
    uint64_t directory; /* its offset */
    uint32_t partition_count;
    uint64_t directory_checksum;
    uint64_t header_checksum;
    uint64_t blocks_checksum;
};

/* Writes HINT_HEADER_SIZE bytes. Returns their checksum. */
uint64_t hint_header_encode(uint8_t *out, const struct hint_subject *subject);
void hint_footer_encode(uint8_t *out, const struct hint_footer *footer);
/* 0 or HINT_E_CORRUPT. */
int hint_footer_decode(const uint8_t *bytes, struct hint_footer *footer);
void hint_partition_encode(uint8_t *out, const struct hint_partition *partition);
void hint_partition_decode(const uint8_t *bytes, struct hint_partition *partition);
void hint_entry_encode(uint8_t *out, const struct hint_entry *entry);
/* 0 or HINT_E_CORRUPT: flags unknown. The partition is not in it. */
int hint_entry_decode(const uint8_t *bytes, struct hint_entry *entry);
/* Checksum of the blocks so far and one more, whose bytes begin here. */
uint64_t hint_blocks_checksum(uint64_t so_far, const uint8_t *block);
/* Counts one entry. */
void hint_partition_add(struct hint_partition *partition, const struct hint_entry *entry);

#endif
