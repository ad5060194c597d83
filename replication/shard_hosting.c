#include "replication/shard_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Replicas that come and go while the shard runs.
 *
 * One that goes is fenced at once, for good: so it answers nobody, and what is under way for it
 * ends as for any that is fenced. Then it is given up, in the store and here, within one step.
 *
 * A replica that comes while the shard runs. It is in the store's manifest, with its life, before
 * it takes part: what it answers must not be forgotten, and one that is told of again must not
 * begin anew. */

bool shard_belongs(const struct shard *shard, uint16_t partition)
{
    if (partition == STORE_PARTITION_META)
        return shard->options.number == 0;
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

void shard_host(struct shard *shard, uint16_t partition, uint64_t life,
                const struct wire_raft *first)
{
    struct replica *replica;

    if (!shard_belongs(shard, partition) || life == 0 || shard_replica(shard, partition) ||
        is_arriving(shard, partition))
        return;
    /* Without memory or manifest nothing has happened: the leader sends it again. */
    if (shard_replica_new(shard, partition, life, NULL, &replica) != 0)
        return;
    if (take_on(shard, replica) != 0) {
        shard_replica_free(shard, replica);
        return;
    }
    if (first) {
        replica->first = *first;
        replica->first.entry_count = 0;
        replica->first.entries = (struct wire_bytes){0};
    }
    replica->arriving_next = shard->arriving;
    shard->arriving = replica;
}

static void set_replica(struct shard *shard, uint16_t partition, struct replica *replica)
{
    if (partition != STORE_PARTITION_META) {
        shard->replicas[partition] = replica;
        return;
    }
    shard->meta = replica;
    shard_record_reset(&shard->ring.record);
    shard_record_reset(&shard->tickets);
}

static void take_part(struct shard *shard, struct replica *replica)
{
    shard->hosted[shard->hosted_count++] = replica;
    set_replica(shard, replica->partition, replica);
    shard_prefer(shard, replica);
    shard_share_links(shard);
}

static bool notes_refer(const struct shard *shard, const struct replica *replica)
{
    for (uint64_t i = shard->notes.head; i < shard->notes.tail; i++)
        if (((const struct shard_note *)fifo_at(&shard->notes, i))->replica == replica)
            return true;
    for (uint64_t i = shard->deferred.head; i < shard->deferred.tail; i++)
        if (((const struct shard_deferred *)fifo_at(&shard->deferred, i))->replica == replica)
            return true;
    return false;
}

static bool is_idle(const struct shard *shard, const struct replica *replica)
{
    for (const struct shard_fetch *fetch = shard->fetches; fetch; fetch = fetch->next)
        if (fetch->replica == replica)
            return false;
    for (const struct shard_operation *at = shard->operations; at; at = at->next)
        if (at->replica == replica)
            return false;
    return !replica->touched && !replica->fence.failing && replica->reads == 0 &&
           !replica->waiters && shard->trainer.replica != replica &&
           shard->walk.replica != replica && shard->relocation.replica != replica &&
           !notes_refer(shard, replica) && !shard_sources_of(shard, replica) &&
           !shard_compare_of(shard, replica) &&
           !(replica == shard->meta && (shard->ring.record.reading || shard->tickets.reading));
}

/* What ends by itself only while its replica leads. */
static void let_go(struct shard *shard, struct replica *replica)
{
    if (shard->trainer.replica == replica && !shard->trainer.training)
        shard_trainer_free(shard);
    if (shard->walk.replica == replica)
        shard->walk.replica = NULL;
    if (shard->compare.replica == replica)
        shard->compare.replica = NULL;
    if (shard->compare.odd == replica)
        shard->compare.odd = NULL;
}

void shard_host_gone(struct shard *shard, struct replica *replica)
{
    size_t at = 0;

    while (shard->hosted[at] != replica)
        at++;
    shard->hosted_count--;
    memmove(&shard->hosted[at], &shard->hosted[at + 1],
            (shard->hosted_count - at) * sizeof *shard->hosted);
    set_replica(shard, replica->partition, NULL);
    shard_replica_free(shard, replica);
}

void shard_destroy(struct shard *shard, uint16_t partition, uint64_t life)
{
    struct replica *replica =
        shard_belongs(shard, partition) ? shard_replica(shard, partition) : NULL;

    if (!replica || replica->leaving || replica->raft.options.self.life != life)
        return;
    shard_fence_sound(shard, replica, "it has left");
    replica->leaving = true;
}

/* True: it is gone. */
static bool leave(struct shard *shard, struct replica *replica)
{
    let_go(shard, replica);
    if (!is_idle(shard, replica) ||
        (!shard->unreadable &&
         store_unhost(shard->store, replica->partition, replica->raft.options.self.life) != 0))
        return false;
    shard_host_gone(shard, replica);
    return true;
}

void shard_hosting_step(struct shard *shard)
{
    struct replica **at = &shard->arriving;
    size_t i = 0;

    while (i < shard->hosted_count)
        if (!shard->hosted[i]->leaving || !leave(shard, shard->hosted[i]))
            i++;
    while (*at) {
        struct replica *replica = *at;

        if (store_hosting(shard->store, replica->partition) != STORE_HOSTING_HERE) {
            at = &replica->arriving_next;
            continue;
        }
        *at = replica->arriving_next;
        take_part(shard, replica);
        shard_touch(shard, replica);
        if (replica->first.kind != 0) /* the answer says what it lacks: all */
            shard_raft_wire(shard, &replica->first);
    }
}

struct replica *shard_host_restored(struct shard *shard, uint16_t partition, uint64_t life)
{
    struct replica *replica;

    if (!shard_belongs(shard, partition) || life == 0)
        return NULL;
    if (shard_replica_new(shard, partition, life, NULL, &replica) != 0) {
        shard->fatal = -ENOMEM;
        return NULL;
    }
    if (shard_replica(shard, partition)) /* the genesis had one, which was given up */
        shard_host_gone(shard, shard_replica(shard, partition));
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
