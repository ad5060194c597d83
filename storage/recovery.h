/* Recovery: brings a shard back from its files, by the run-time path replayed.
 *
 * Reads the manifest, fills the keydirs from the hints of casks and retired segments, then reads
 * every segment that is still log, in order, and calls the visitor with what the batches hold: all
 * of that is newer. A hint that does not check is made again; what is damaged in a data file fences
 * the partitions it hit.
 *
 * In the log: What does not check is one of two things. Behind the synced mark it is a torn
 * tail, something that was never promised: the batch is cut whole, with all that follows. At or
 * before the mark it is corruption: the partitions it hit are fenced, or all of them when the
 * directory of the batch cannot tell. Proof that batch k was synced: a seal in the manifest, or
 * any good batch behind it whose synced-through number is k or more - one write is out at a time,
 * so the first batch of a write carries exactly the number of the batch before it.
 *
 * What the disk does not give (vfs_is_unreadable()) counts as damaged, never as an end: the shard
 * is fenced for its manifest and its log, and partitions for data files, store_unreadable(). All
 * other failures end the open.
 *
 * The valid bytes of the last write are written again and synced before they are believed: the
 * page cache may hold what a failed sync never brought to the disk. Then the end of the data is
 * sealed in the manifest and writing goes on in a new segment, so that a cut tail never comes back.
 * A fenced shard is left exactly as it was found.
 */
#ifndef STORAGE_RECOVERY_H
#define STORAGE_RECOVERY_H

#include <stdbool.h>

struct store;

/* Whether r says that the disk does not give the file, or the folder, which is noted for the
 * host. */
bool recovery_unreadable(struct store *store, const char *path, int r);
/* Returns 0, STORE_E_FENCED, STORE_E_NEWER or -errno. */
int recovery_run(struct store *store);

#endif
