/* Progress: what a leader knows of one replica, and how much it may send it.
 *
 * Probing: one append at a time, because it is not known where the logs meet; next stays until an
 * answer comes. Otherwise pipelined: next runs ahead of match, within the in-flight limits. A lost
 * message shows as silence (retry_ms) or as a refused append, and both lead back to probing.
 * With snapshot_wanted nothing is sent: an answer to the snapshot, or to an append that proves the
 * snapshot needless, ends that.
 * Invariant: match < next.
 */
#ifndef REPLICATION_PROGRESS_H
#define REPLICATION_PROGRESS_H

#include "replication/raft.h"

/* A new leader's start: nothing known, the first append follows `last`. */
void progress_reset(struct raft_progress *progress, uint64_t last, uint64_t now_ms);
/* Forgets what is in flight; the next append follows `index`, or match when that is higher. */
void progress_probe(struct raft_progress *progress, uint64_t index);
/* What is in flight was lost. A probe is repeated as it was; a pipeline starts again after
 * match. */
void progress_lost(struct raft_progress *progress);
/* May another append leave now? */
bool progress_open(const struct raft_progress *progress, const struct raft_options *options);
/* An append of entries next … next + count - 1 left. */
void progress_sent(struct raft_progress *progress, uint32_t count, uint32_t size, uint64_t now_ms);
/* The replica holds everything up to index; size: bytes of the entries match + 1 … index. */
void progress_accepted(struct raft_progress *progress, uint64_t index, uint64_t size,
                       uint64_t now_ms);
/* An answer came, before the call above. Where answers take long, be it the way or a queue on it,
 * silence is borne for longer, or all that waits there would be sent once more. */
void progress_answered(struct raft_progress *progress, uint64_t now_ms);
/* The append after `refused` did not fit. Returns false when that is old news. */
bool progress_refused(const struct raft_progress *progress, uint64_t refused);
/* When silence means loss; UINT64_MAX when no answer is due. */
uint64_t progress_deadline_ms(const struct raft_progress *progress,
                              const struct raft_options *options);

#endif
