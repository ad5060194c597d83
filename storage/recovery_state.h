/* Recovery state: what recovery.c (reading) and recovery_end.c (files before and after it) share.
 */
#ifndef STORAGE_RECOVERY_STATE_H
#define STORAGE_RECOVERY_STATE_H

#include "storage/journal_reader.h"
#include "storage/recovery.h"
#include "storage/store_state.h"

/* A cask or a hint. */
struct recovery_name {
    bool is_cask, is_cask_hint; /* neither: a segment's hint */
    uint16_t partition;
    uint64_t number;
};

struct recovery {
    struct store *store;
    struct record *records;                /* of the entry that is being put together */
    uint64_t next;                         /* number that the next batch must have */
    struct journal_segment *write_segment; /* of the last write seen: unproven unless sealed */
    uint32_t write_offset;
    uint64_t *files; /* journal files that are there */
    size_t file_count;
    size_t file_capacity;
    uint64_t *doomed; /* journal files to remove once the manifest is durable */
    size_t doomed_count;
    size_t doomed_capacity;
    struct recovery_name *names; /* casks and hints that are there */
    size_t name_count;
    size_t name_capacity;
    bool manifest_new; /* a half-written manifest is there */
};

/* recovery_unreadable() of a journal file that is needed: STORE_E_FENCED then, else r. */
int recovery_journal_lost(struct store *store, uint64_t number, int r);

/* Lists the folder. */
int recovery_files(struct recovery *recovery);
/* A file the manifest does not know but which holds batches of an epoch still to come: the manifest
 * has lost its end. 0, STORE_E_FENCED or -errno. */
int recovery_files_check(struct recovery *recovery);
/* Opens what the manifest lists. 0, STORE_E_FENCED, STORE_E_NEWER or -errno. */
int recovery_segments_open(struct recovery *recovery);
/* Opens the casks and fills the keydirs from the hints of casks and retired segments. 0,
 * STORE_E_FENCED or -errno. */
int recovery_data(struct recovery *recovery);
/* Makes what was read durable and the store ready to write. 0, STORE_E_FENCED or -errno. */
int recovery_end(struct recovery *recovery);

#endif
