/* Casks: the cask files of a shard that are open, and what they are worth.
 *
 * A cask is NEW while nothing on disk lists it, LIVE from the manifest edit that adds it, DROPPING
 * from when nothing points into it any more; it goes when the edit that drops it is durable and no
 * pin is left. Owner: one shard thread.
 */
#ifndef STORAGE_CASKS_H
#define STORAGE_CASKS_H

#include "storage/cask.h"
#include "storage/data_file.h"
#include "storage/manifest.h"

enum cask_file_state { CASK_FILE_NEW, CASK_FILE_LIVE, CASK_FILE_DROPPING };

struct cask_file {
    struct data_file base;
    uint8_t state;             /* enum cask_file_state */
    bool replaced;             /* LIVE, but an edit is under way that has what counts elsewhere */
    uint64_t ticket;           /* DROPPING: of the manifest edit that drops it */
    struct manifest_cask info; /* as the manifest has it */
    struct cask *reader;       /* opened by a scan; goes with the file */
};

struct casks {
    struct cask_file **items; /* in no order */
    size_t count;
    size_t capacity;
};

void casks_deinit(struct casks *casks); /* closes files */
/* Adds a NEW cask and gives it a slot; file is taken over on success. 0, -ENOMEM or -ENFILE. */
int casks_add(struct casks *casks, struct data_files *files, const struct manifest_cask *info,
              struct vfs_file *file, struct cask_file **out);
/* Closes its file and frees its slot. No pins may be left, and nothing may point into it. */
void casks_remove(struct casks *casks, struct data_files *files, struct cask_file *cask);
/* Of their files, hints not counted. */
uint64_t casks_bytes(const struct casks *casks);

#endif
