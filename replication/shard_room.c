#include "replication/shard_room.h"

#include "replication/shard_internal.h"
#include "replication/shard_source.h"

#define LOOK_MS      1000u
#define FORGET_MS    30000u /* well above PAUSE_MS_MAX: who still sends has come by then */
#define PAUSE_MS_MIN 500u
#define PAUSE_MS_MAX 10000u

void shard_room_lacked(struct shard *shard, uint64_t bytes)
{
    struct shard_room *room = &shard->room;

    room->lacked = bytes > room->lacked ? bytes : room->lacked;
    room->asked_ms = shard->now_ms;
    room->looked_ms = shard->now_ms;
}

bool shard_room_left(struct shard *shard)
{
    shard->room.asked_ms = shard->now_ms;
    return shard->room.lacked == 0 && !store_disk_full(shard->store);
}

void shard_room_duty(struct shard *shard)
{
    struct shard_room *room = &shard->room;

    if (room->lacked == 0 || shard->now_ms < room->looked_ms + LOOK_MS)
        return;
    room->looked_ms = shard->now_ms;
    if (shard->now_ms >= room->asked_ms + FORGET_MS || store_has_room(shard->store, room->lacked))
        room->lacked = 0;
}

bool shard_room_waits(const struct shard *shard, uint16_t member)
{
    const struct shard_room_peer *peer = &shard->peers[member].room;

    return peer->pause_ms > 0 && shard->now_ms < peer->until_ms + FORGET_MS;
}

void shard_room_refused(struct shard *shard, uint16_t member)
{
    struct shard_room_peer *peer = &shard->peers[member].room;

    if (shard->now_ms < peer->until_ms) /* an answer to what was sent before that one */
        return;
    peer->pause_ms = shard_room_waits(shard, member) ? 2 * peer->pause_ms : PAUSE_MS_MIN;
    if (peer->pause_ms > PAUSE_MS_MAX)
        peer->pause_ms = PAUSE_MS_MAX;
    peer->until_ms = shard->now_ms + peer->pause_ms;
}

void shard_room_taken(struct shard *shard, uint16_t member)
{
    shard->peers[member].room = (struct shard_room_peer){0};
}

bool shard_room_try(const struct shard *shard, uint16_t member)
{
    if (!shard_room_waits(shard, member))
        return true;
    for (const struct shard_source *source = shard->sources; source; source = source->next)
        if (source->to.member == member)
            return false;
    return shard->now_ms >= shard->peers[member].room.until_ms;
}
