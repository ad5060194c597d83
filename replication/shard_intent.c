#include "replication/hearing.h"
#include "replication/shard_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* The ring map says where replicas are wanted. What they are is each group's own configuration; the
 * map is only what its leader moves it towards. */

static int take_rows(struct shard *shard, const struct ringmap *map)
{
    struct shard_intent *intent = &shard->intent;
    const uint16_t *wanted = ringmap_wanted(map, 0); /* and behind it the others' */
    size_t size = (size_t)shard->partition_count * map->replica_count * sizeof *wanted;
    uint16_t *rows = malloc(size);

    if (!rows)
        return -ENOMEM;
    memcpy(rows, wanted, size);
    free(intent->wanted);
    intent->wanted = rows;
    intent->width = map->replica_count;
    memcpy(intent->meta, map->meta_voters, sizeof intent->meta);
    intent->meta_count = map->meta_voter_count;
    return 0;
}

/* One that is removed is as good as dead from now on. */
static void take_members(struct shard *shard, const struct ringmap *map)
{
    for (uint32_t i = 0; i < map->member_count; i++) {
        uint16_t member = map->members[i].id;

        shard->intent.states[member] = map->members[i].state;
        if (map->members[i].state == RINGMAP_STATE_REMOVED && shard->peers[member].up &&
            !mutant(MUTANT_REMOVED_HEARD))
            shard_peer_lost(shard, member);
    }
}

static void stop_serving(struct shard *shard)
{
    for (size_t i = 0; i < shard->hosted_count; i++)
        shard_fence(shard, shard->hosted[i], "this node was removed from the cluster");
}

static bool is_wanted(const struct shard *shard, uint16_t partition)
{
    uint32_t count;
    const uint16_t *wanted = shard_wanted(shard, partition, &count);

    for (uint32_t i = 0; i < count; i++)
        if (wanted[i] == shard->options.self)
            return true;
    return false;
}

/* Nobody can tell what came here since the founding: what is wanted here was, or cannot come. Who
 * looks at the cluster is to see it as what it is, and not as something that is still to come. */
static void lose_wanted(struct shard *shard)
{
    for (size_t i = 0; i < shard->hosted_count; i++)
        shard->hosted[i]->leaving |=
            shard->hosted[i]->fence.anonymous && !is_wanted(shard, shard->hosted[i]->partition);
    for (uint32_t p = shard->options.number; p < shard->partition_count;
         p += shard->options.shards) {
        struct replica *replica;

        if (shard_replica(shard, (uint16_t)p) || !is_wanted(shard, (uint16_t)p))
            continue;
        replica = shard_host_restored(shard, (uint16_t)p, UINT64_MAX);
        if (!replica)
            return;
        replica->fence.anonymous = true;
        shard_fence(shard, replica, SHARD_UNREADABLE);
    }
}

void shard_intent_take(struct shard *shard, const struct ringmap *map)
{
    struct shard_intent *intent = &shard->intent;

    if (map->epoch <= intent->epoch || map->partition_count != shard->partition_count)
        return;
    if (take_rows(shard, map) != 0) {
        shard->fatal = -ENOMEM;
        return;
    }
    intent->epoch = map->epoch;
    intent->moving = ringmap_moving(map);
    intent->paused = map->paused;
    intent->rate = (uint64_t)map->move_rate << 20;
    shard->moved_ms = 0; /* nobody was told anything for this one */
    shard->moved_count = 0;
    shard_moves_hurry(shard);
    take_members(shard, map);
    if (shard->unreadable)
        lose_wanted(shard);
    for (size_t i = 0; i < shard->hosted_count; i++)
        shard_prefer(shard, shard->hosted[i]);
    if (intent->states[shard->options.self] == RINGMAP_STATE_REMOVED)
        stop_serving(shard);
}

const uint16_t *shard_wanted(const struct shard *shard, uint16_t group, uint32_t *count)
{
    const struct shard_intent *intent = &shard->intent;

    if (group == STORE_PARTITION_META) {
        *count = intent->meta_count;
        return intent->meta;
    }
    *count = intent->width;
    return intent->wanted ? intent->wanted + (size_t)group * intent->width : NULL;
}

void shard_prefer(const struct shard *shard, struct replica *replica)
{
    uint32_t count;
    const uint16_t *wanted = shard_wanted(shard, replica->partition, &count);

    if (count > 0)
        replica->preferred = wanted[0];
}

bool shard_links(const struct shard *shard, uint16_t member)
{
    return member >= 1 && member <= RINGMAP_MEMBERS_MAX &&
           shard->intent.states[member] != RINGMAP_STATE_REMOVED;
}

/* Before the first map only the founders are there, whose groups have to come up. */
bool shard_heeds(const struct shard *shard, struct shard_address from, uint8_t type)
{
    uint8_t state = 0;

    if (from.role == LINK_ROLE_NODE && shard_links(shard, from.member))
        state = shard->intent.epoch == 0 ? RINGMAP_STATE_ACTIVE : shard->intent.states[from.member];
    return hearing_shard(from.role, state, type);
}
