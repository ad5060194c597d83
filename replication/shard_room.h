/* Shard room: snapshots and disks that are full.
 *
 * Target. A snapshot that fails because its install found no room is not taken again before there
 * is room for as much as that one was when it failed: its source is told so (FULL) at the
 * beginning, before it has sent more than a piece. The disk is looked at now and then, so that this
 * ends by itself when there is room, and it is forgotten when nobody has come with that snapshot
 * for a while. Those of other partitions, which may be smaller, are taken meanwhile.
 *
 * Source. What a member said FULL to is not begun again for a time that doubles with each such
 * answer, and then only one at once until one has been installed; then all is as before. None is
 * kept open meanwhile, and so no log is kept for it.
 *
 * Included by shard*.c only.
 */
#ifndef REPLICATION_SHARD_ROOM_H
#define REPLICATION_SHARD_ROOM_H

#include "replication/raft.h"

#include <stdbool.h>
#include <stdint.h>

struct replica;
struct shard;

/* Of a replica. */
struct replica_room {
    uint64_t lacked;   /* target: bytes that an install would have taken; 0: it had room */
    uint64_t asked_ms; /* a snapshot was to come, the last time */
    uint16_t refused_by[RAFT_PEERS_MAX]; /* source: members that said FULL; 0: a free place */
};

/* Of a peer as a target. */
struct shard_room_peer {
    uint32_t pause_ms; /* 0: nothing is known against it */
    uint64_t until_ms;
};

/* An install would have taken so many bytes, and they were not there. */
void shard_room_lacked(struct shard *shard, struct replica *replica, uint64_t bytes);
/* Whether a snapshot that begins can be taken. */
bool shard_room_left(struct shard *shard, struct replica *replica);
void shard_room_duty(struct shard *shard);
/* The most that an install lacks; 0: none does. */
uint64_t shard_room_lacks(const struct shard *shard);

/* The member has said FULL. */
void shard_room_refused(struct shard *shard, struct replica *replica, uint16_t member);
/* It has installed one. */
void shard_room_taken(struct shard *shard, struct replica *replica, uint16_t member);
/* Whether this one may be begun to it. */
bool shard_room_try(const struct shard *shard, const struct replica *replica, uint16_t member);
/* Whether it waits for room there: the member said so, and not so long ago that nobody can have
 * asked since. */
bool shard_room_waits(const struct shard *shard, const struct replica *replica, uint16_t member);

#endif
