#include "replication/shard_room.h"

#include "replication/shard_internal.h"
#include "replication/shard_source.h"

#define LOOK_MS      1000u
#define FORGET_MS    30000u /* well above PAUSE_MS_MAX: who still sends has come by then */
#define PAUSE_MS_MIN 500u
#define PAUSE_MS_MAX 10000u

/* --- target -------------------------------------------------------------------------------- */

void shard_room_lacked(struct shard *shard, struct replica *replica, uint64_t bytes)
{
    replica->room.lacked = bytes;
    replica->room.asked_ms = shard->now_ms;
}

bool shard_room_left(struct shard *shard, struct replica *replica)
{
    replica->room.asked_ms = shard->now_ms;
    return replica->room.lacked == 0 && !store_disk_full(shard->store);
}

void shard_room_duty(struct shard *shard)
{
    if (shard->now_ms < shard->room_looked_ms + LOOK_MS)
        return;
    shard->room_looked_ms = shard->now_ms;
    for (size_t i = 0; i < shard->hosted_count; i++) {
        struct replica_room *room = &shard->hosted[i]->room;

        if (room->lacked > 0 && (shard->now_ms >= room->asked_ms + FORGET_MS ||
                                 store_has_room(shard->store, room->lacked)))
            room->lacked = 0;
    }
}

uint64_t shard_room_lacks(const struct shard *shard)
{
    uint64_t most = 0;

    for (size_t i = 0; i < shard->hosted_count; i++)
        if (shard->hosted[i]->room.lacked > most)
            most = shard->hosted[i]->room.lacked;
    return most;
}

/* --- source -------------------------------------------------------------------------------- */

static bool peer_waits(const struct shard *shard, uint16_t member)
{
    const struct shard_room_peer *peer = &shard->peers[member].room;

    return peer->pause_ms > 0 && shard->now_ms < peer->until_ms + FORGET_MS;
}

/* Its place among those who said FULL to this one; UINT32_MAX: it did not. */
static uint32_t find(const struct replica *replica, uint16_t member)
{
    for (uint32_t i = 0; i < RAFT_PEERS_MAX; i++)
        if (replica->room.refused_by[i] == member)
            return i;
    return UINT32_MAX;
}

/* There is always a place that is free, or whose member is no peer any more. */
static void note(struct replica *replica, uint16_t member)
{
    uint16_t *places = replica->room.refused_by;

    if (find(replica, member) != UINT32_MAX)
        return;
    for (uint32_t i = 0; i < RAFT_PEERS_MAX; i++)
        if (places[i] == 0 || !raft_peer(&replica->raft, places[i])) {
            places[i] = member;
            return;
        }
}

bool shard_room_waits(const struct shard *shard, const struct replica *replica, uint16_t member)
{
    return find(replica, member) != UINT32_MAX && peer_waits(shard, member);
}

void shard_room_refused(struct shard *shard, struct replica *replica, uint16_t member)
{
    struct shard_room_peer *peer = &shard->peers[member].room;

    note(replica, member);
    if (shard->now_ms < peer->until_ms) /* an answer to what was sent before that one */
        return;
    peer->pause_ms = peer_waits(shard, member) ? 2 * peer->pause_ms : PAUSE_MS_MIN;
    if (peer->pause_ms > PAUSE_MS_MAX)
        peer->pause_ms = PAUSE_MS_MAX;
    peer->until_ms = shard->now_ms + peer->pause_ms;
}

void shard_room_taken(struct shard *shard, struct replica *replica, uint16_t member)
{
    uint32_t at = find(replica, member);

    shard->peers[member].room = (struct shard_room_peer){0};
    if (at != UINT32_MAX)
        replica->room.refused_by[at] = 0;
}

bool shard_room_try(const struct shard *shard, const struct replica *replica, uint16_t member)
{
    if (!shard_room_waits(shard, replica, member))
        return true;
    for (const struct shard_source *source = shard->sources; source; source = source->next)
        if (source->to.member == member && find(source->replica, member) != UINT32_MAX)
            return false;
    return shard->now_ms >= shard->peers[member].room.until_ms;
}
