/* Store snapshot: a partition's content, replaced as a whole by what a peer has.
 *
 * The source needs nothing new: store_slice() walks the keydir in the order of digests from any
 * position, and the records it names are read like any other. The target is here. Pieces collect
 * in memory and go to staging casks, a few MiB each, which nothing lists. The commit is one edit of
 * the manifest: the partition's casks until then are dropped, the new ones added, and a floor voids
 * all that the journal holds of it, with the state (hard state, configuration, sessions) that came
 * with the snapshot. A crash before that edit leaves the old content, one behind it the new.
 *
 * A restart need not begin again: the manifest lists each staging cask, once it is durable, beside
 * the casks that count, with the position that all before it is there. What is found so when the
 * store is opened waits for the host to take it up; what does not check is forgotten. So at most
 * what was still in memory is lost, twice options.install_size.
 *
 * Why records and not files: a cask without the tombstones that lie in its journal would bring back
 * what was deleted.
 *
 * From store_install_commit() until it is done or has failed the host appends and applies nothing
 * of the partition, and checkpoints that are taken from the edit on leave it out: what it was
 * would be read behind the floor, what it will be may not come to pass.
 *
 * Owner: the shard thread; the work is in BACKGROUND jobs, each of which touches one of them alone:
 * while one waits for its syncs another one's cask is written. Limits: STORE_INSTALLS_MAX at once,
 * each with options.install_size bytes of records in memory twice over. That memory goes from one
 * to the next and is given back with the last one.
 */
#ifndef STORAGE_STORE_SNAPSHOT_H
#define STORAGE_STORE_SNAPSHOT_H

#include "storage/store.h"

#define STORE_INSTALLS_MAX     8u
#define STORE_INSTALL_RUN_SIZE (4u << 20) /* options.install_size, if that is 0 */

struct store_install;

enum store_install_state {
    STORE_INSTALL_OPEN,   /* takes pieces */
    STORE_INSTALL_COMMIT, /* on its way to the disk */
    STORE_INSTALL_DONE,   /* durable, and what reads give */
    STORE_INSTALL_FAILED, /* everything is as it was */
};

/* Begins one for a partition that has none; one that waits to be taken up is given up. checkpoint:
 * what the host needs to take it up, copied. 0, STORE_E_FULL (as many as may be), STORE_E_FENCED or
 * -ENOMEM. */
int store_install_begin(struct store *store, uint16_t partition,
                        const struct store_checkpoint *checkpoint, struct store_install **install);
/* Takes up what a restart has left of one: all before *position, which is not 0, is there.
 * *checkpoint: as it was begun with; its state is borrowed until the next call. 0 or
 * STORE_E_ABSENT: none waits. */
int store_install_resume(struct store *store, uint16_t partition, struct store_install **install,
                         struct store_checkpoint *checkpoint, uint64_t *position);
/* Adds records, as they lie in a journal, each of a PUT of the partition; digests[i] is the i-th
 * one's. The caller has checked their headers; a value that does not check lets it fail. position:
 * of the host's, all before it is there now; 0 for the last ones. All of them or none: STORE_E_FULL
 * until jobs have run. 0, -ENOMEM or STORE_E_NOSPACE (the disk is full: give it up). */
int store_install_add(struct store_install *install, const uint8_t *bytes, size_t size,
                      const struct keydir_digest *digests, size_t count, uint64_t position);
/* After STORE_E_FULL: whether more can be added by now. What was added goes to the jobs then. */
bool store_install_room(struct store_install *install);
/* Begins the switch to what was added. checkpoint: of the state that belongs to it; copied. 0 or
 * -ENOMEM (nothing happened). */
int store_install_commit(struct store_install *install, const struct store_checkpoint *checkpoint);
enum store_install_state store_install_state(struct store_install *install);
/* Of one that FAILED: the bytes that it would have taken by then, when the disk had no room for
 * them beside options.space_reserve; 0: it failed for another reason. */
uint64_t store_install_lacked(const struct store_install *install);
/* Whether there is room for so many bytes of one now. Asks the disk, which is not read for it. */
bool store_has_room(const struct store *store, uint64_t bytes);
/* Gives it up unless it is DONE; its files go. NULL is fine. Not while COMMIT. When the store is
 * closed before jobs have run, it is there again behind the restart. */
void store_install_end(struct store_install *install);

#endif
