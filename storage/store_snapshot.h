/* Store snapshot: a partition's content, replaced as a whole by what a peer has.
 *
 * The source needs nothing new: store_slice() walks the keydir in the order of digests from any
 * position, and the records it names are read like any other. The target is here. Pieces collect
 * in memory and go to staging casks, a few MiB each, which nothing lists. The commit is one edit of
 * the manifest: the partition's casks until then are dropped, the new ones added, and a floor voids
 * all that the journal holds of it, with the state (hard state, configuration, sessions) that came
 * with the snapshot. A crash before that edit leaves the old content, one behind it the new.
 *
 * Why records and not files: a cask without the tombstones that lie in its journal would bring back
 * what was deleted.
 *
 * From store_install_commit() until it is done or has failed the host appends and applies nothing
 * of the partition; checkpoints that are taken meanwhile count for the state before it.
 *
 * Owner: the shard thread; the work is in BACKGROUND jobs. Limits: STORE_INSTALLS_MAX at once, each
 * with STORE_INSTALL_RUN_SIZE bytes of records in memory twice over.
 */
#ifndef STORAGE_STORE_SNAPSHOT_H
#define STORAGE_STORE_SNAPSHOT_H

#include "storage/store.h"

#define STORE_INSTALLS_MAX     8u
#define STORE_INSTALL_RUN_SIZE (4u << 20) /* records of a cask; one larger record goes alone */

struct store_install;

enum store_install_state {
    STORE_INSTALL_OPEN,   /* takes pieces */
    STORE_INSTALL_COMMIT, /* on its way to the disk */
    STORE_INSTALL_DONE,   /* durable, and what reads give */
    STORE_INSTALL_FAILED, /* everything is as it was */
};

/* Begins one for a partition that has none. 0, STORE_E_FULL (as many as may be), STORE_E_FENCED or
 * -ENOMEM. */
int store_install_begin(struct store *store, uint16_t partition, struct store_install **install);
/* Adds records, as they lie in a journal, checked by the caller, each of a PUT of the partition;
 * digests[i] is the i-th one's. All of them or none: STORE_E_FULL until jobs have run. 0, -ENOMEM
 * or STORE_E_NOSPACE (the disk is full: give it up). */
int store_install_add(struct store_install *install, const uint8_t *bytes, size_t size,
                      const struct keydir_digest *digests, size_t count);
/* Begins the switch to what was added. checkpoint: of the state that belongs to it; copied. 0 or
 * -ENOMEM (nothing happened). */
int store_install_commit(struct store_install *install, const struct store_checkpoint *checkpoint);
enum store_install_state store_install_state(struct store_install *install);
/* Gives it up unless it is DONE; its files go. NULL is fine. Not while COMMIT. */
void store_install_end(struct store_install *install);

#endif
