/* Cask format: what cask.c, which reads, and cask_writer.c share. Nothing else includes it. */
#ifndef STORAGE_CASK_FORMAT_H
#define STORAGE_CASK_FORMAT_H

#include "storage/cask.h"

struct cask_footer {
    struct cask_info info;
    uint32_t records_end;
    uint32_t block_count;
    uint64_t index_checksum;
};

void cask_header_encode(uint8_t *out, uint16_t partition, uint64_t number);
/* Writes CASK_FOOTER_SIZE bytes and fills footer->info.stamp. */
void cask_footer_encode(uint8_t *out, struct cask_footer *footer);
/* 0 or CASK_E_CORRUPT. */
int cask_footer_decode(const uint8_t *bytes, struct cask_footer *footer);
void cask_block_encode(uint8_t *out, const struct cask_block *block);
void cask_block_decode(const uint8_t *bytes, struct cask_block *block);
/* One record with padding at the start of bytes, as a cask of that partition may hold it: 0 with
 * its padded size, RECORD_E_SHORT or RECORD_E_CORRUPT. */
int cask_record_decode(const uint8_t *bytes, size_t size, uint16_t partition, struct record *record,
                       size_t *padded);

#endif
