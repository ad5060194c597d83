/* Journal segments: the files of the journal that are open.
 *
 * A segment is PREPARED (file made, zero-filled, listed in the manifest), becomes CURRENT when the
 * journal rotates into it, SEALED when all its batches are durable and it takes no more, RETIRED
 * when no partition needs it as log (in the order of the journal: behind a retired prefix comes the
 * log), DROPPING once nothing in it is needed. Its slot is given again only after the drop is
 * durable and no read holds a pin.
 *
 * Exact counts decide when it goes: keydir entries that point into it, and for each partition the
 * highest log index that lies in it. Owner: one shard thread.
 */
#ifndef STORAGE_JOURNAL_SEGMENT_H
#define STORAGE_JOURNAL_SEGMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "storage/data_file.h"
#include "storage/manifest.h"
#include "storage/store.h"
#include "storage/vfs.h"

enum journal_segment_state {
    JOURNAL_SEGMENT_PREPARED,
    JOURNAL_SEGMENT_CURRENT,
    JOURNAL_SEGMENT_FULL, /* takes no more; its last batches are on their way */
    JOURNAL_SEGMENT_SEALED,
    JOURNAL_SEGMENT_RETIRED, /* no partition needs it as log; it has a hint */
    JOURNAL_SEGMENT_DROPPING,
};

struct journal_segment {
    struct data_file base; /* length: where the next batch goes */
    uint64_t epoch;
    uint64_t ticket; /* manifest edit that lists (PREPARED) or drops (DROPPING) it */
    enum journal_segment_state state;
    uint32_t capacity; /* written or zero-filled so far */
    uint64_t last_batch;
    uint64_t mark;       /* checkpoints taken when it last lost a record or was left */
    uint64_t left;       /* checkpoints taken when it was left */
    bool seal_listed;    /* the edit that seals it is queued or durable */
    bool hinted;         /* has a hint file */
    uint64_t *index_max; /* by store_partition.slot; 0: no entry */
    uint64_t *index_min; /* the same for the lowest; 0: no entry */
    /* The same for the one appended last: what is above it was truncated in the segment itself,
     * for good when the segment is sealed. */
    uint64_t *index_last;
    uint64_t span_batch;         /* of the newest of spans; 0: durable since before the start */
    struct manifest_span *spans; /* what appends in it truncated in older segments */
    size_t span_count;
    size_t span_capacity;
};

struct journal_segments {
    struct journal_segment **items; /* ascending numbers */
    size_t count;
    size_t capacity;
};

void journal_segments_deinit(struct journal_segments *segments); /* closes files */
/* Adds the segment with the highest number; file is taken over on success. 0, -ENOMEM or -ENFILE
 * when all slots are taken. */
int journal_segments_add(struct journal_segments *segments, struct data_files *files,
                         uint64_t number, uint64_t epoch, struct vfs_file *file, size_t slots,
                         struct journal_segment **out);
/* Closes its file and frees its slot. No pins may be left. */
void journal_segments_remove(struct journal_segments *segments, struct data_files *files,
                             struct journal_segment *segment);

/* Notes that an append at (segment, offset) truncates the partition's entries from `first` on. Kept
 * only when an older segment holds some of them. 0 or -ENOMEM. */
int journal_segments_truncate(const struct journal_segments *segments,
                              struct journal_segment *segment, uint32_t offset, uint16_t partition,
                              size_t slot, uint64_t first);

#endif
