/* Data file: what a keydir location points into - a journal segment or a cask - and the table of
 * slots that gives each one its number.
 *
 * A location is 40 bits: the slot in the upper 16, the offset in units of RECORD_ALIGN below. So a
 * shard has at most DATA_FILES_MAX data files of at most 256 MiB. A slot is given again only after
 * the file's drop is durable in the manifest, nothing points into it and no read holds a pin.
 *
 * Exact counts say what a file is worth: keydir entries that point into it, and the upper bounds of
 * their size classes, added and subtracted alike. Owner: one shard thread.
 */
#ifndef STORAGE_DATA_FILE_H
#define STORAGE_DATA_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "storage/record.h"
#include "storage/store.h"
#include "storage/vfs.h"

#define DATA_FILES_MAX            65536u
#define DATA_FILE_LOCATION_BITS   24u
#define DATA_FILE_LOCATION_OFFSET ((UINT64_C(1) << DATA_FILE_LOCATION_BITS) - 1)

enum data_file_kind { DATA_FILE_SEGMENT, DATA_FILE_CASK };

/* What a file adds to the store's totals, see store_totals.h. */
struct data_file_counts {
    uint64_t capacity, bytes, live;
    bool retired, dead, rewrite, small, hint_bad, dropping;
};

#define DATA_FILE_UNREAD_MAX 3u

/* First member of struct journal_segment and struct cask_file. */
struct data_file {
    uint8_t kind;      /* enum data_file_kind */
    bool damaged;      /* a record in it did not check: flush leaves it alone */
    bool damage_stays; /* until the next start: it may be any partition's */
    bool hint_bad;     /* its hint is to be made again */
    bool rewrite;      /* damaged in what is dead: flush takes it soon */
    uint8_t unread;    /* times in a row that the disk did not give it: is it left alone? */
    uint16_t slot;
    uint32_t length; /* bytes that hold data; of the current segment: where the next batch goes */
    uint32_t pins;   /* reads and jobs that are out */
    uint64_t number;
    struct vfs_file *file;
    uint64_t live_records;  /* keydir entries that point here */
    uint64_t live_bytes;    /* the upper bounds of their size classes */
    uint64_t watched_live;  /* what was alive when flush first looked at it, */
    uint64_t watched_since; /* and how much had been appended until then */
    struct data_file_counts counts;
    uint8_t key_id; /* all sealed records in it are sealed with this data key; 0: not known */
};

/* The disk does not give it: nobody waits for it before a scrub could read it, or a start. */
static inline bool data_file_unread(const struct data_file *file)
{
    return file->unread >= DATA_FILE_UNREAD_MAX;
}

struct data_files {
    struct data_file **slots; /* NULL: free */
    size_t slot_count;
    size_t slot_capacity;
    size_t slot_next; /* none below it is free */
    size_t used;
};

void data_files_deinit(struct data_files *files); /* the files themselves are their owners' */
/* Gives the file a slot. 0, -ENOMEM or -ENFILE when all are taken. */
int data_files_add(struct data_files *files, struct data_file *file);
/* Frees its slot. No pins may be left, and nothing may point into it (asserted). */
void data_files_remove(struct data_files *files, struct data_file *file);
/* NULL when the location's slot is free. */
struct data_file *data_files_at(const struct data_files *files, store_location location);

static inline store_location data_file_location(const struct data_file *file, uint32_t offset)
{
    return (store_location)file->slot << DATA_FILE_LOCATION_BITS | offset / RECORD_ALIGN;
}
static inline uint32_t data_file_offset(store_location location)
{
    return (uint32_t)(location & DATA_FILE_LOCATION_OFFSET) * RECORD_ALIGN;
}

#endif
