/* Shard retain: what a leader keeps of its log for those who may still ask for it.
 *
 * Two measures are kept, of the shard: the bytes of its groups' logs, each group in proportion, and
 * those of the journal's segments that are log. Over the bound (options.log_size_max, and less
 * where little is alive, or where segments are small) what is oldest goes.
 *
 * A peer that gains is spared: it takes what it is sent, so it is a matter of time until it has all
 * of it, and a snapshot in its place would cost more and end later. Gains are told by time: its
 * match index has advanced in the last SHARD_RETAIN_GAIN_MS. Who only answers, with a disk that is
 * full perhaps, gains nothing, and holds back no more than who is away. What is kept for those who
 * gain is far over the bound at most (SHARD_RETAIN_FAR times), or twice what a snapshot to one of
 * the group had to keep by the time that it was installed: else, beside writers, what follows a
 * snapshot would be gone when it ends, and it would begin again for ever. It is never more than
 * half of all files, and nothing while the own disk is full.
 *
 * What a snapshot under way relies on stays until it ends (raft_retain_max); it is given up when it
 * gets on no more (shard_snapshot.h), and when it gets on too slowly for the writes beside it: when
 * log is half of all files. A leader whose disk is full hands over, which ends it too.
 *
 * Included by shard*.c only.
 */
#ifndef REPLICATION_SHARD_RETAIN_H
#define REPLICATION_SHARD_RETAIN_H

#include <stdbool.h>
#include <stdint.h>

#define SHARD_RETAIN_GAIN_MS 10000u
#define SHARD_RETAIN_FAR     8u

struct replica;
struct shard;

/* Before the duties of replicas: how much log there is. */
void shard_retain_measure(struct shard *shard);
/* Lets go of log: a leader for its group, a follower for its own journal. */
void shard_retain(struct shard *shard, struct replica *replica);
/* The same of one that is fenced: only a snapshot helps it, so nothing needs its log. That is kept
 * all the same, for who wants to look what is in there, but not in the way of the others. */
void shard_retain_fenced(struct shard *shard, struct replica *replica);
/* There is so much log that none is kept for snapshots any more. */
bool shard_retain_is_over(const struct shard *shard);
/* What the segments that are log may take together when nobody is spared. */
uint64_t shard_retain_segments(const struct shard *shard);

#endif
