/* Scrub: reads a data file again, whole, while there are other copies to repair it from.
 *
 * A disk that loses bits says so when they are read, which for cold data may be when the last good
 * replica has gone too. So all files are read at a set pace, one after the other, in these stages:
 *   DATA  (job)    batches and runs of a segment, blocks of a cask, against their checksums: what
 *                  does not hold is a bad place
 *   HINT  (job)    the file's hint, block by block
 *   LIVE  (thread) what the keydir points at in bad places, a slice a call
 *   READ  (job)    those records, each against its own checksums
 * and MANIFEST (job) at the end of each pass. What a bad place means is decided on the shard
 * thread, store_scrub.c; this file is the half that runs as jobs, each about step_size bytes of
 * I/O. They take turns: whoever has the scrub touches it alone.
 *
 * A bad answer is asked for again before it counts: it may have been the way, not the disk. What
 * lies before a floor is void, and may be damaged. A segment's header is mended on the spot, once
 * nothing is written there any more.
 *
 * Limits: SCRUB_SPANS_MAX bad places a file, then they grow together; SCRUB_RECORDS_MAX records a
 * READ. Reads go past the cache of values. Source: Bairavasundaram et al., An Analysis of Latent
 * Sector Errors in Disk Drives, 2007, section 5: scrubbing finds most of them.
 */
#ifndef STORAGE_SCRUB_H
#define STORAGE_SCRUB_H

#include "storage/cask.h"
#include "storage/data_file.h"
#include "storage/filename.h"
#include "storage/hint.h"
#include "storage/journal_reader.h"

#define SCRUB_STEP_SIZE   (1u << 20)
#define SCRUB_SPANS_MAX   64u
#define SCRUB_RECORDS_MAX 512u

enum scrub_stage {
    SCRUB_IDLE, /* between two files */
    SCRUB_DATA,
    SCRUB_HINT,
    SCRUB_LIVE,
    SCRUB_READ,
    SCRUB_MANIFEST,
    SCRUB_OVER, /* the file is done with */
};

/* Bytes [from, to) of the file do not check. */
struct scrub_span {
    uint32_t from, to;
    bool all; /* they may be any partition's */
    uint16_t partition;
};

/* Void are the partition's records before `offset` of the file. */
struct scrub_floor {
    uint16_t partition;
    uint32_t offset;
};

struct scrub_record {
    struct keydir_item item;
    uint16_t partition;
    bool bad;
};

struct scrub {
    struct vfs *vfs;
    char folder[FILENAME_PATH_SIZE];
    size_t step_size;
    enum scrub_stage stage;
    struct data_file *file; /* pinned; a job reads ->file of it, no more */
    struct hint_subject subject;
    uint16_t partition; /* of a cask */
    bool hinted;        /* it should have a hint */
    bool asked_again;   /* at `offset` or `block` */
    bool written_to;    /* by others, whose failed syncs are theirs to hear of */
    struct scrub_floor *floors;
    size_t floor_count, floor_capacity;

    struct journal_reader reader;
    bool reader_open;
    uint32_t offset;
    struct cask cask;
    bool cask_open;
    uint32_t block;
    struct cask_buffer buffer; /* READ too */

    struct vfs_file *hint_file;
    struct hint hint;
    struct hint_cursor cursor;
    bool hint_open, cursor_open;
    size_t partition_at;

    struct scrub_span spans[SCRUB_SPANS_MAX];
    size_t span_count;
    bool header_bad; /* and mended */
    bool hint_bad;
    bool manifest_bad;
    uint64_t manifest_sequence; /* of what was written last */

    /* The shard thread's own, but in READ. */
    size_t part_at; /* LIVE: partition that is walked, among all of the store */
    uint64_t position;
    struct scrub_record *records;
    size_t record_count;

    uint64_t bytes_done; /* of I/O, by the step */
};

/* Begins with scrub->file, set by the caller as are those up to `floors`. 0 or -ENOMEM. */
int scrub_begin(struct scrub *scrub);
/* One step of DATA, HINT, READ or MANIFEST. 0 or -errno: nothing is lost, it may be tried again. */
int scrub_step(struct scrub *scrub);
/* Frees what the file took; IDLE then. */
void scrub_end(struct scrub *scrub);
/* Is the place in one that does not check, as far as the partition is concerned? */
bool scrub_is_bad(const struct scrub *scrub, uint16_t partition, uint32_t offset, uint32_t size);

#endif
