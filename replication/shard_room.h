/* Shard room: snapshots and disks that are full.
 *
 * Target. A snapshot that fails because its install found no room is not taken again before there
 * is room for as much as that one was when it failed: its source is told so (FULL) at the
 * beginning, before it has sent more than a piece. The disk is looked at now and then, so that this
 * ends by itself when there is room, and it is forgotten when nobody has come with a snapshot for a
 * while.
 *
 * Source. To a member that said FULL none is begun for a time that doubles with
 * each such answer, and only one at once until one has been installed; then all is as before. None
 * is kept open meanwhile, and so no log is kept for it.
 *
 * Included by shard*.c only.
 */
#ifndef REPLICATION_SHARD_ROOM_H
#define REPLICATION_SHARD_ROOM_H

#include <stdbool.h>
#include <stdint.h>

struct shard;

/* Of this shard as a target. */
struct shard_room {
    uint64_t lacked;   /* bytes that the newest such install would have taken; 0: there was none */
    uint64_t asked_ms; /* a snapshot was to come, the last time */
    uint64_t looked_ms;
};

/* Of a peer as a target. */
struct shard_room_peer {
    uint32_t pause_ms; /* 0: nothing is known against it */
    uint64_t until_ms;
};

/* An install would have taken so many bytes, and they were not there. */
void shard_room_lacked(struct shard *shard, uint64_t bytes);
/* Whether a snapshot that begins can be taken. */
bool shard_room_left(struct shard *shard);
void shard_room_duty(struct shard *shard);

/* The member has said FULL. */
void shard_room_refused(struct shard *shard, uint16_t member);
/* It has installed one. */
void shard_room_taken(struct shard *shard, uint16_t member);
/* Whether one more may be begun to it. */
bool shard_room_try(const struct shard *shard, uint16_t member);
/* Whether what is to go to it waits for room there: it said so, and not so long ago that nobody can
 * have asked since. */
bool shard_room_waits(const struct shard *shard, uint16_t member);

#endif
