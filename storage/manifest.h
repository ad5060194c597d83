/* Manifest: the only truth about which files a shard has, as a checksummed list of edits.
 *
 * An edit is a group of items that becomes durable as a whole: one checksum over it, one write, one
 * sync, and never two in flight. So a bad group at the end is a torn one and is cut; a bad group
 * with a good one behind it is corruption. When the file is full, or after a failed append, its
 * whole state is written to MANIFEST.new and renamed over it: as one group, or as several when it
 * is larger than a group may be. The rename makes them one edit; their last item is COUNTERS, so
 * that a file that ends before it is known to be damaged.
 *
 * The state here is what the shard wants; edits_durable says how much of it is on disk. Items are
 * queued on the shard thread; a manifest_write carries them to the disk on any thread and is given
 * back with manifest_write_end().
 *
 * What is queued between two manifest_write_begin() becomes one group, hence durable as a whole or
 * not at all, also if the write turns out to be a rewrite. All these calls come from the shard
 * thread, so items that belong together (the outputs of a flush and the drops of its victims) need
 * only be queued in one go, with no manifest_write_begin() in between; manifest_reserve() first
 * makes sure that none of them is refused half way.
 *
 * Limits: a group ≤ MANIFEST_GROUP_SIZE_MAX, and so an item is less; what would make a larger one
 * becomes a rewrite. The whole state: memory. Owner: one shard thread, except manifest_write_run(),
 * which touches only its manifest_write. docs/format-manifest.md has every byte.
 */
#ifndef STORAGE_MANIFEST_H
#define STORAGE_MANIFEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "storage/filename.h"
#include "storage/vfs.h"

#define MANIFEST_VERSION         4u
#define MANIFEST_VERSION_MIN     1u /* the oldest that is still read; written anew as the newest */
#define MANIFEST_HASH_SIZE       32u
#define MANIFEST_HEADER_SIZE     32u
#define MANIFEST_GROUP_HEAD_SIZE 32u
#define MANIFEST_ITEM_HEAD_SIZE  8u
#define MANIFEST_ALIGN           16u
#define MANIFEST_GROUP_SIZE_MAX  (64u << 20)
#define MANIFEST_ROOM_SIZE       (16u << 10) /* left for appends when the file is written anew */

/* The kinds of items, once: X(NAME, number, "name in inspect"). */
#define MANIFEST_ITEMS(X)                                                                          \
    X(FOUNDED, 1, "founded")                                                                       \
    X(COUNTERS, 2, "counters")                                                                     \
    X(SEGMENT_ADD, 3, "segment-add")                                                               \
    X(SEGMENT_SEAL, 4, "segment-seal")                                                             \
    X(SEGMENT_DROP, 5, "segment-drop")                                                             \
    X(SPAN, 6, "span")                                                                             \
    X(CASK_ADD, 7, "cask-add")                                                                     \
    X(CASK_DROP, 8, "cask-drop")                                                                   \
    X(SEGMENT_RETIRE, 9, "segment-retire")                                                         \
    X(FLOOR, 10, "floor")                                                                          \
    X(HOST, 11, "host")                                                                            \
    X(UNHOST, 12, "unhost")                                                                        \
    X(ENDED, 13, "ended")                                                                          \
    X(INSTALL, 14, "install")                                                                      \
    X(INSTALL_CASK, 15, "install-cask")                                                            \
    X(INSTALL_END, 16, "install-end")

enum manifest_item_kind {
#define X(name, number, text) MANIFEST_ITEM_##name = (number),
    MANIFEST_ITEMS(X)
#undef X
};

enum manifest_e {
    MANIFEST_E_OK,
    MANIFEST_E_ABSENT,
    MANIFEST_E_CORRUPT,
    MANIFEST_E_NEWER,
};

struct manifest_segment {
    uint64_t number;
    uint64_t epoch; /* seeds the checksums of its batches; unique per use of a file */
    bool sealed;
    bool retired;        /* is a data file only: no partition needs it as log; it has a hint */
    uint32_t length;     /* sealed: bytes that hold data, all of them synced */
    uint64_t last_batch; /* sealed: number of its last batch, 0 for none */
};

/* All entries of a partition with index >= first that lie before (segment, offset) in journal order
 * were truncated by an append at that place, in a segment that is gone. There is no upper end: an
 * entry in between may have truncated others before it was truncated itself. */
struct manifest_span {
    uint64_t segment;
    uint32_t offset;
    uint16_t partition;
    uint64_t first;
};

/* A cask that counts. */
struct manifest_cask {
    uint16_t partition;
    uint64_t number;     /* unique in the shard */
    uint64_t stamp;      /* of the file: cask_info.stamp */
    uint32_t length;     /* of the file */
    uint32_t count;      /* records, tombstones included */
    uint32_t tombstones; /* of count */
    uint64_t index_min;  /* of its records */
    uint64_t index_max;
    uint8_t key_id; /* all sealed records in it are sealed with this data key; 0: not known */
};

/* All records of a partition that lie in the journal before (segment, offset) are void: a snapshot
 * took their place, or they are of a time when the shard had the partition once before. Casks are
 * not meant: those are dropped by the same edit. `state` is what the snapshot brought besides
 * records, and stands for a checkpoint at that place. */
struct manifest_floor {
    uint16_t partition;
    uint64_t segment;
    uint32_t offset;
    uint32_t state_size;
    uint8_t *state; /* of a floor in the manifest: owned by it; NULL when there is none */
    bool held;      /* its state is in no durable checkpoint that is known: it stays */
};

/* The highest of the partition's lives that are over here. */
struct manifest_ended {
    uint16_t partition;
    uint64_t life;
};

/* A snapshot of the partition is on its way in; a restart goes on with what is listed of it. */
struct manifest_install {
    uint16_t partition;
    uint32_t state_size;
    uint8_t *state; /* what it brings besides records; owned by the manifest */
};

/* A cask of such a snapshot: whole and durable, but it does not count. */
struct manifest_install_cask {
    struct manifest_cask cask;
    uint64_t position; /* > 0: all of the snapshot before it is in this cask and earlier ones */
};

struct manifest {
    bool founded;
    bool whole; /* loading: the state that the file begins with has come to its end */
    uint8_t hash[MANIFEST_HASH_SIZE];
    uint16_t *partitions; /* that are hosted, in order of arrival */
    size_t partition_count;
    size_t partition_capacity;
    uint64_t next_number; /* of a segment, from 1 */
    uint64_t next_epoch;  /* from 1 */
    uint64_t next_batch;  /* no segment that is open now begins with a lower batch number */
    struct manifest_segment *segments; /* ascending numbers */
    size_t segment_count;
    size_t segment_capacity;
    struct manifest_span *spans;
    size_t span_count;
    size_t span_capacity;
    uint64_t next_cask;          /* number of the next cask, from 1 */
    struct manifest_cask *casks; /* ascending by partition, then number */
    size_t cask_count;
    size_t cask_capacity;
    struct manifest_floor *floors; /* ascending by partition, one each */
    size_t floor_count;
    size_t floor_capacity;
    struct manifest_ended *ended; /* ascending by partition, one each; for ever */
    size_t ended_count;
    size_t ended_capacity;
    struct manifest_install *installs; /* one a partition, in order of arrival, as are */
    size_t install_count;
    size_t install_capacity;
    struct manifest_install_cask *install_casks; /* those of all */
    size_t install_cask_count;
    size_t install_cask_capacity;

    uint8_t *queued; /* items that no write has taken yet */
    size_t queued_size;
    size_t queued_capacity;
    uint32_t queued_count;
    uint64_t edits; /* items so far; a ticket is its value after the item */
    uint64_t edits_durable;

    struct vfs_file *file;
    uint64_t sequence; /* of the newest group */
    uint64_t position; /* where the next group goes */
    uint64_t capacity; /* of the file */
    bool rewrite;      /* the file's tail is not to be trusted */
    bool writing;
};

/* One write on its way to the disk. */
struct manifest_write {
    struct vfs *vfs;
    struct vfs_file *file; /* append: borrowed; rewrite: opened by the run, taken by the end */
    char folder[FILENAME_PATH_SIZE];
    uint8_t *bytes;
    size_t size;
    uint64_t offset;
    uint64_t position_end;
    uint64_t sequence;
    uint64_t edits;
    bool rewrite;
};

void manifest_init(struct manifest *manifest);
void manifest_deinit(struct manifest *manifest); /* closes the file */

/* Reads <folder>/MANIFEST into an empty manifest. A torn tail is cut in memory and sets `rewrite`.
 * Returns 0, an enum manifest_e or -errno. On anything but 0 nothing may be believed. */
int manifest_load(struct manifest *manifest, struct vfs *vfs, const char *folder);

/* Makes durable what manifest_load() has read: it may have been in the page cache only, even behind
 * a sync that failed, so the same bytes are written once more. 0 or -errno. */
int manifest_settle(struct vfs *vfs, const char *folder);

/* Change the state and queue the item. Return 0 or -ENOMEM, which changes nothing. */
int manifest_found(struct manifest *manifest, const uint8_t hash[MANIFEST_HASH_SIZE],
                   const uint16_t *partitions, size_t count);
/* Takes on a partition that is not hosted, and gives one up that is and has no casks any more. */
int manifest_host(struct manifest *manifest, uint16_t partition);
int manifest_unhost(struct manifest *manifest, uint16_t partition);
/* That life of the partition, and all lower ones, are over here. It only rises. */
int manifest_end(struct manifest *manifest, uint16_t partition, uint64_t life);
int manifest_segment_add(struct manifest *manifest, uint64_t number, uint64_t epoch);
int manifest_segment_seal(struct manifest *manifest, uint64_t number, uint32_t length,
                          uint64_t last_batch);
int manifest_segment_drop(struct manifest *manifest, uint64_t number);
int manifest_span_add(struct manifest *manifest, const struct manifest_span *span);
/* The segment must be sealed, and every older one retired (asserted): the journal is a retired
 * prefix and the log behind it. Its hint is durable before this is queued, but of one that is
 * damaged there is none. */
int manifest_segment_retire(struct manifest *manifest, uint64_t number);
/* A number for a cask that is about to be written; not given out again while the manifest is open.
 * Numbers of casks that are never listed may come again after a restart, which removes the files.
 */
uint64_t manifest_cask_number(struct manifest *manifest);
/* File, hint and folder are synced before this is queued. No cask of that number may be listed. */
int manifest_cask_add(struct manifest *manifest, const struct manifest_cask *cask);
int manifest_cask_drop(struct manifest *manifest, uint16_t partition, uint64_t number);
/* A floor only rises: one below the partition's present floor changes nothing. Copies the state.
 * -EFBIG, too: no group takes a state of that size. */
int manifest_floor_set(struct manifest *manifest, const struct manifest_floor *floor);
/* A snapshot of a hosted partition that has none under way begins to come in; its casks, which are
 * durable as those of manifest_cask_add() are; and it is over: what it has is listed no more, all
 * of it counts by the same edit, or none. Copies the state. -EFBIG as above. */
int manifest_install_begin(struct manifest *manifest, uint16_t partition, const uint8_t *state,
                           size_t state_size);
int manifest_install_add(struct manifest *manifest, const struct manifest_install_cask *cask);
int manifest_install_end(struct manifest *manifest, uint16_t partition);
/* Makes room for `items` calls of the functions above (manifest_found(), floors with a state and
 * manifest_install_begin() aside), so that the next so many of them return 0. 0 or -ENOMEM, which
 * changes nothing. */
int manifest_reserve(struct manifest *manifest, size_t items);

const struct manifest_segment *manifest_segment_find(const struct manifest *manifest,
                                                     uint64_t number);
/* The casks of a partition, ascending numbers; *count is 0 when there is none. Borrowed until the
 * next change. */
const struct manifest_cask *manifest_casks(const struct manifest *manifest, uint16_t partition,
                                           size_t *count);
const struct manifest_cask *manifest_cask_find(const struct manifest *manifest, uint16_t partition,
                                               uint64_t number);
/* NULL: the partition has no floor. */
const struct manifest_floor *manifest_floor_find(const struct manifest *manifest,
                                                 uint16_t partition);
/* NULL: no snapshot of the partition is on its way in. */
const struct manifest_install *manifest_install_find(const struct manifest *manifest,
                                                     uint16_t partition);
/* So many casks are listed of it. */
size_t manifest_install_casks(const struct manifest *manifest, uint16_t partition);
/* The cask of that number is one of a snapshot on its way in. */
bool manifest_install_lists(const struct manifest *manifest, uint64_t number);
/* The highest of the partition's lives that is over here; 0: none is. */
uint64_t manifest_ended(const struct manifest *manifest, uint16_t partition);
/* True when a record of the partition at (segment, offset) of the journal lies before its floor. */
bool manifest_void(const struct manifest *manifest, uint16_t partition, uint64_t segment,
                   uint32_t offset);
/* True when the entry `index` of the partition at (segment, offset) lies in a truncated span. */
bool manifest_truncated(const struct manifest *manifest, uint16_t partition, uint64_t index,
                        uint64_t segment, uint32_t offset);
/* A checkpoint behind the floor is durable, which has the partition. */
void manifest_floor_release(struct manifest *manifest, uint16_t partition);
/* Spans and floors that no segment needs any more are left out of the next rewrite, but for floors
 * whose state nothing else has. */
void manifest_spans_prune(struct manifest *manifest);
/* At open: nothing that was written to the segment or behind it has survived, and the next that is
 * written goes to its start. Floors and spans that lay behind it lie at that start from now on, or
 * what is written would be of the time before them; the whole state is to be written next. */
void manifest_rewind(struct manifest *manifest, uint64_t number);

/* Queues the items that make up the whole state, in place of what is queued. 0 or -ENOMEM. */
int manifest_queue_state(struct manifest *manifest);
/* True when there is something to write and no write is out. */
bool manifest_pending(const struct manifest *manifest);
/* Takes all that is queued. Returns 0 or -ENOMEM. */
int manifest_write_begin(struct manifest *manifest, struct vfs *vfs, const char *folder,
                         struct manifest_write *write);
/* Any thread. vfs_is_full(): nothing was changed that a later write does not mend. */
int manifest_write_run(struct manifest_write *write);
/* Takes the result; frees the write's bytes. After a failure the next write is a rewrite. */
void manifest_write_end(struct manifest *manifest, struct manifest_write *write, int result);
/* The three in one, straight on, always as a rewrite. */
int manifest_rewrite(struct manifest *manifest, struct vfs *vfs, const char *folder);

/* One group of a manifest file, for load and inspect. */
struct manifest_group {
    uint64_t sequence;
    uint32_t item_count;
    const uint8_t *items;
    size_t items_size;
    size_t size; /* of the whole group */
};
struct manifest_item {
    uint16_t kind;
    const uint8_t *payload;
    size_t payload_size;
    size_t size; /* with head and padding */
};
/* MANIFEST_E_OK, CORRUPT (no manifest, or damaged) or NEWER. */
int manifest_header_decode(const uint8_t *bytes, size_t size);
/* Both return 0 or MANIFEST_E_CORRUPT. */
int manifest_group_decode(const uint8_t *bytes, size_t size, struct manifest_group *group);
int manifest_item_decode(const uint8_t *bytes, size_t size, struct manifest_item *item);
/* Applies a decoded item to the state. 0, MANIFEST_E_CORRUPT (contradicts it) or -ENOMEM. */
int manifest_apply(struct manifest *manifest, const struct manifest_item *item);

#endif
