/* Store install: one snapshot that comes in, as store_snapshot.c (collecting, the switch),
 * store_staging.c (what it is put together of) and store_progress.c (what a restart finds of it)
 * see it. Nothing else includes it. */
#ifndef STORAGE_STORE_INSTALL_H
#define STORAGE_STORE_INSTALL_H

#include "storage/install.h"
#include "storage/store_snapshot.h"
#include "storage/store_state.h"

enum install_stage {
    INSTALL_STAGE_OPEN,
    INSTALL_STAGE_LAST,   /* committed by the host: what is in memory goes to its cask first */
    INSTALL_STAGE_LISTED, /* the edit is queued, the keydir replaced */
    INSTALL_STAGE_DONE,
    INSTALL_STAGE_FAILED,
};

struct store_install {
    struct store_install *next;
    struct store *store;
    struct store_partition *part;
    enum install_stage stage;
    bool waits;   /* left by a restart: the host has not taken it up */
    bool ended;   /* the host has let go of it */
    bool job_out; /* `written` is on another thread, */
    struct store_job job;
    uint64_t lacked; /* bytes of it that the disk had no room for together; 0: it had */
    struct install filled, written;
    bool written_full;         /* `written` holds records that have no cask yet */
    uint64_t position;         /* all before it is in casks, `written` or `filled` */
    uint64_t written_position; /* the same without `filled` */
    struct keydir *keydir;
    struct keydir_load *load; /* fills it, as long as digests ascend; or NULL */
    struct cask_file **casks;
    size_t cask_count, cask_capacity;
    uint8_t *state; /* a checkpoint as journal_format.h has it: what it was begun with, until the
                       manifest has that; then what it was committed with */
    size_t state_size;
    uint64_t ticket; /* of the edit that ends it, in one way or the other */
    uint64_t batch;  /* synced with it: what was appended before */
    uint32_t fences; /* of the partition when it began: it lifts those, and none that came later */
};

/* store_snapshot.c */
/* A new one, without state. NULL: no memory. */
struct store_install *store_install_new(struct store *store, struct store_partition *part);
/* NULL: the partition has none. */
struct store_install *store_install_find(const struct store *store,
                                         const struct store_partition *part);
void store_install_delete(struct store_install *install);

/* store_staging.c */
/* Bytes of records that make a cask. */
size_t store_staging_run_size(const struct store *store);
/* Gives it room for a run, which served another one if there is such. 0 or -ENOMEM. */
int store_staging_room_take(struct store *store, struct install *install);
/* Takes the room back, for the next run of any install. */
void store_staging_room_give(struct store *store, struct install *install);
void store_staging_rooms_free(struct store *store); /* that nobody has */
/* A cask of that many bytes gets a slot; file is taken over on success. 0 or -errno. */
int store_staging_add(struct store_install *install, const struct manifest_cask *info,
                      struct vfs_file *file, struct cask_file **cask);
/* It names a record of the cask. 0 or -ENOMEM. */
int store_staging_put(struct store_install *install, const struct cask_file *cask,
                      const struct hint_entry *entry);
/* The cask that was just written gets a slot, and its keys their places. 0 or -errno. */
int store_staging_take(struct store_install *install);
/* Gives back the slot of the newest cask, and lets go of its file. */
void store_staging_drop(struct store_install *install);
/* The keydir has all keys, and may be looked at. 0 or -ENOMEM. */
int store_staging_keys_end(struct store_install *install);

/* store_progress.c */
/* The newest cask is durable: the manifest is to list it. */
void store_progress_note(struct store_install *install);
/* It is to be listed no more; true when that is durable. */
bool store_progress_end(struct store_install *install);

#endif
