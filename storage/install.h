/* Install: one staging cask of a snapshot, made of records in any order.
 *
 * Records collect in memory with their digests. Closed, they are sorted by key and written as a
 * cask with its hint in steps that are jobs, each about INSTALL_STEP_SIZE of I/O. All is written
 * before anything is synced: what the syncs have in common is then done once. Nothing lists the
 * files until store_snapshot.c does. A key that comes twice counts once, as its newest record.
 *
 * Owner: the shard thread until install_close(), whoever runs the step then, the shard thread
 * again when it says that it is over.
 */
#ifndef STORAGE_INSTALL_H
#define STORAGE_INSTALL_H

#include "storage/cask.h"
#include "storage/filename.h"
#include "storage/hint.h"
#include "storage/manifest.h"
#include "storage/vfs.h"

#define INSTALL_STEP_SIZE (1u << 20)

enum install_e {
    INSTALL_E_OK,   /* the cask is whole and durable, and so is its name */
    INSTALL_E_MORE, /* take the next step */
};

struct install_record {
    struct hint_entry entry; /* offset: in the cask, once it is written */
    size_t at;               /* in bytes, */
    size_t key_at;           /* and its key */
    size_t key_size;
    const uint8_t *key; /* once it is sorted; NULL: there is a newer one of that key */
};

/* By their keys: most differ in `head`, eight bytes behind what all have in common. */
struct install_place {
    uint64_t head;
    struct install_record *record;
};

/* Where the records of one collect. It goes from one that is over to the next: pages that were in
 * use cost nothing, new ones a fault each. */
struct install_room {
    uint8_t *bytes;
    size_t capacity;
    struct install_record *records; /* as they came */
    size_t record_capacity;
    struct install_place *places; /* the same but for older ones, sorted */
    size_t place_capacity;
    struct hint_entry *entries; /* and again, by their digests, for hint and keydir */
    size_t entry_capacity;
};

struct install {
    struct vfs *vfs;
    char folder[FILENAME_PATH_SIZE];
    uint64_t space_reserve;
    uint16_t partition;
    struct install_room room;
    size_t used, count; /* bytes and records in it, */
    size_t place_count; /* and places, */
    size_t entry_count; /* and entries once the cask is whole */
    /* Written: */
    struct manifest_cask info;
    struct vfs_file *file;
    struct cask_writer writer;
    bool sorted, writing;
    uint8_t key_id; /* with which all are sealed; 0: none, or several */
    size_t at;      /* the next one of places that is written */
};

void install_room_free(struct install_room *room);

/* Empty; keeps its room. folder and vfs are borrowed for good. */
void install_reset(struct install *install);
void install_free(struct install *install); /* closes the file, removes nothing */
/* Room for so many bytes of records in all, so that it need not grow. 0 or -ENOMEM. */
int install_reserve(struct install *install, size_t size);
/* Copies records, whose headers the caller has checked; their values are when they are written.
 * 0 or -ENOMEM, which changes nothing. */
int install_add(struct install *install, const uint8_t *bytes, size_t size,
                const struct keydir_digest *digests, size_t count);
/* 0 when the disk has room for so many bytes beside the reserve, else -ENOSPC; or -errno. */
int install_space_check(struct vfs *vfs, uint64_t bytes, uint64_t reserve);
/* The next step. INSTALL_E_* or -errno (-EBADMSG: a record does not check): then install_remove()
 * is due. */
int install_step(struct install *install);
/* Closes and removes what was written. Any thread. */
void install_remove(struct install *install);

#endif
