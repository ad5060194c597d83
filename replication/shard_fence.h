/* Shard fence: a replica that is not to be trusted, or not any more.
 *
 * It neither votes, acknowledges nor serves. What it has stays where it is. It is fenced for damage
 * that was found, because it leaves, because its node was removed, or because a newer program has
 * written what this one cannot read. A snapshot of its leader ends it, if one can help
 * (shard_takes_snapshot); else it lasts, and is found again by the next start, unless it is
 * `sound`.
 *
 * While the store puts a snapshot in the place of its content (`installing`), a replica does not
 * serve either, fenced or not. What is found meanwhile may be of what the snapshot brings: it is
 * kept apart (`again`), and holds whatever comes of the install.
 *
 * Included by shard*.c only.
 */
#ifndef REPLICATION_SHARD_FENCE_H
#define REPLICATION_SHARD_FENCE_H

#include <stdbool.h>
#include <stdint.h>

struct replica;
struct shard;

/* Of a replica. Without `why` and `again` the others but `installing` say nothing. */
struct replica_fence {
    const char *why;   /* the first reason, until a snapshot is installed; NULL: none */
    const char *again; /* the first that was found while installing; then it is `why` */
    bool installing;   /* from the store's going over to the snapshot until it has, or failed */
    bool failing;      /* since this round: what waits is answered at its end */
    uint64_t report;   /* drawn with `why`: the leader knows by it which fence a snapshot ends */
    /* Until a snapshot is installed: */
    bool sound;    /* it is not for damage: the next start does not find it */
    bool log_gone; /* it does not need its log any more, which took too much: so it does */
    bool
        anonymous; /* nothing here tells its life any more: that of its snapshot. Nor is it saved */
};

/* From now on it is fenced; a reason that it has stays. At the round's end what waits is answered.
 */
void shard_fence(struct shard *shard, struct replica *replica, const char *why);
/* The same, not for damage: it is sound, unless it was fenced before. */
void shard_fence_sound(struct shard *shard, struct replica *replica, const char *why);
void shard_fence_finish(struct shard *shard);
/* Whether a snapshot that comes now is of any use: not to one that leaves, or has just got one, nor
 * where the store takes nothing any more. */
bool shard_takes_snapshot(const struct shard *shard, const struct replica *replica);
void shard_fence_check(const struct shard *shard, const struct replica *replica);

#endif
