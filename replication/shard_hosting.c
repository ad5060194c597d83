#include "replication/shard_internal.h"

#include <stdlib.h>

/* A replica that comes while the shard runs. It is in the store's manifest, with its life, before
 * it takes part: what it answers must not be forgotten, and one that is told of again must not
 * begin anew. */

static bool belongs(const struct shard *shard, uint16_t partition)
{
    return partition < shard->partition_count &&
           partition % shard->options.shards == shard->options.number;
}

static bool is_arriving(const struct shard *shard, uint16_t partition)
{
    const struct replica *replica = shard->arriving;

    while (replica && replica->partition != partition)
        replica = replica->arriving_next;
    return replica != NULL;
}

static int take_on(struct shard *shard, const struct replica *replica)
{
    struct store_checkpoint checkpoint = {.first_index = 1};

    if (!shard_state_save(shard, replica, &checkpoint.state_size))
        return shard->fatal;
    checkpoint.state = shard->state;
    return store_host(shard->store, replica->partition, &checkpoint);
}

void shard_host(struct shard *shard, uint16_t partition, uint64_t life)
{
    struct replica *replica;

    if (!belongs(shard, partition) || life == 0 || shard_replica(shard, partition) ||
        is_arriving(shard, partition))
        return;
    /* Without memory or manifest nothing has happened: the host is told of it again. */
    if (shard_replica_new(shard, partition, life, NULL, &replica) != 0)
        return;
    if (take_on(shard, replica) != 0) {
        shard_replica_free(shard, replica);
        return;
    }
    replica->arriving_next = shard->arriving;
    shard->arriving = replica;
}

static void take_part(struct shard *shard, struct replica *replica)
{
    shard->hosted[shard->hosted_count++] = replica;
    shard->replicas[replica->partition] = replica;
    shard_share_links(shard);
}

void shard_hosting_step(struct shard *shard)
{
    struct replica **at = &shard->arriving;

    while (*at) {
        struct replica *replica = *at;

        if (store_hosting(shard->store, replica->partition) != STORE_HOSTING_HERE) {
            at = &replica->arriving_next;
            continue;
        }
        *at = replica->arriving_next;
        take_part(shard, replica);
        shard_touch(shard, replica);
    }
}

struct replica *shard_host_restored(struct shard *shard, uint16_t partition, uint64_t life)
{
    struct replica *replica;

    if (!belongs(shard, partition) || life == 0)
        return NULL;
    if (shard_replica_new(shard, partition, life, NULL, &replica) != 0) {
        shard->fatal = -ENOMEM;
        return NULL;
    }
    take_part(shard, replica);
    return replica;
}

void shard_hosting_free(struct shard *shard)
{
    while (shard->arriving) {
        struct replica *replica = shard->arriving;

        shard->arriving = replica->arriving_next;
        shard_replica_free(shard, replica);
    }
}
