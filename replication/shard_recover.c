#include "replication/shard_internal.h"

#include <errno.h>
#include <string.h>

static void apply_restored(struct shard *shard, struct replica *replica, uint64_t commit)
{
    struct pending_entry *entry;

    while ((entry = pending_first(&replica->pending)) && entry->index <= commit) {
        shard_apply_entry(shard, replica, entry);
        pending_pop(&replica->pending);
    }
}

static int load_state(struct shard *shard, struct replica *replica,
                      const struct store_checkpoint *checkpoint)
{
    struct raft_config config;
    bool fenced = false;
    int r = shard_state_load(shard, replica, checkpoint->state, checkpoint->state_size, &config,
                             &fenced);

    if (r != 0)
        return r;
    raft_restore_config(&replica->raft, 0, &config);
    if (fenced)
        shard_fence(shard, replica, "it was fenced before the restart");
    return 0;
}

static void on_checkpoint(void *context, uint16_t partition,
                          const struct store_checkpoint *checkpoint)
{
    struct shard *shard = context;
    struct replica *replica = shard_replica(shard, partition);
    uint64_t life = shard_state_life(checkpoint->state, checkpoint->state_size);

    if (!replica || (life != 0 && life != replica->raft.options.self.life))
        replica = shard_host_restored(shard, partition, life);
    if (!replica)
        return;
    raft_restore_checkpoint(&replica->raft, checkpoint->term, (uint16_t)checkpoint->vote,
                            checkpoint->applied, checkpoint->applied_term, checkpoint->first_index,
                            checkpoint->first_prev_term);
    /* Sessions first: entries that they already know are then applied to the keydir only. */
    if (checkpoint->applied >= replica->restored_applied) {
        if (load_state(shard, replica, checkpoint) != 0)
            shard_fence(shard, replica, "its checkpoint does not decode");
        replica->dictionary_owed = 0;
        replica->restored_applied = checkpoint->applied;
    }
    apply_restored(shard, replica, checkpoint->applied);
    replica->fence.log_gone = replica_fenced(replica) && checkpoint->first_index == UINT64_MAX;
    store_retain(shard->store, partition, checkpoint->first_index);
}

static void on_commit(void *context, uint16_t partition, uint64_t commit)
{
    struct shard *shard = context;
    struct replica *replica = shard_replica(shard, partition);

    if (!replica)
        return;
    raft_restore_commit(&replica->raft, commit);
    if (commit > replica->raft.log.last)
        commit = replica->raft.log.last;
    if (commit > replica->restored_applied)
        replica->restored_applied = commit;
    apply_restored(shard, replica, commit);
}

static void on_hard_state(void *context, uint16_t partition, const struct store_hard_state *state)
{
    struct shard *shard = context;
    struct replica *replica = shard_replica(shard, partition);

    if (!replica)
        return;
    raft_restore_hard_state(&replica->raft, state->term, (uint16_t)state->vote);
    on_commit(context, partition, state->commit);
}

static void add_pending(struct shard *shard, struct replica *replica, const struct record *records,
                        size_t count, store_location location, uint32_t size)
{
    struct pending_entry entry = {.index = records->index,
                                  .location = location,
                                  .size = size,
                                  .term = records->term,
                                  .kind = records->kind,
                                  .has_request = (records->flags & RECORD_FLAG_REQUEST) != 0,
                                  .request = records->request};

    if (pending_reserve(&replica->pending, (uint32_t)count) != 0) {
        shard->fatal = -ENOMEM;
        return;
    }
    entry.owned = shard_dictionary_own(shard, records);
    pending_add(&replica->pending, &entry);
    for (size_t i = 0; i < count; i++) {
        const struct record *record = &records[i];
        uint32_t record_size = (uint32_t)record_size_padded(record);

        shard_log_time(replica, record);
        if (record->kind == RECORD_KIND_PUT || record->kind == RECORD_KIND_DELETE) {
            pending_add_write(
                &replica->pending,
                &(struct pending_write){.digest = shard_record_digest(shard, record),
                                        .location = location,
                                        .size = record_size,
                                        .tombstone = record->kind == RECORD_KIND_DELETE,
                                        .expires = record->kind == RECORD_KIND_PUT &&
                                                   (record->flags & RECORD_FLAG_EXPIRES)});
        }
        location += record_size / RECORD_ALIGN;
    }
}

/* Entries that lay in dropped segments. Either they were applied, which a later checkpoint says, or
 * something behind truncated them; until then their places stay empty. There are no more of them
 * than were undecided at one time. */
static void fill_gap(struct shard *shard, struct replica *replica, uint64_t index)
{
    struct pending_entry empty = {.kind = RECORD_KIND_NOOP};

    if (pending_count(&replica->pending) == 0)
        return;
    for (empty.index = pending_last(&replica->pending) + 1; empty.index < index; empty.index++) {
        if (pending_reserve(&replica->pending, 0) != 0) {
            shard->fatal = -ENOMEM;
            return;
        }
        pending_add(&replica->pending, &empty);
    }
}

static void on_entry(void *context, uint16_t partition, const struct record *records, size_t count,
                     store_location location, uint32_t size)
{
    struct shard *shard = context;
    struct replica *replica = shard_replica(shard, partition);
    uint64_t index = records->index;
    int r;

    if (!replica || !replica_serves(replica) || index <= replica->restored_applied)
        return;
    fill_gap(shard, replica, index);
    if (pending_count(&replica->pending) > 0 && index <= pending_last(&replica->pending)) {
        if (mutant(MUTANT_REPLAY_KEEPS_CONFLICT))
            apply_restored(shard, replica, UINT64_MAX);
        pending_truncate(&replica->pending, index);
    }
    r = raft_restore_entry(&replica->raft, index, records->term, size, location);
    if (r == -EBADMSG)
        shard_fence(shard, replica, "its journal contradicts what was committed");
    else if (r != 0)
        shard->fatal = r;
    if (r != 0)
        return;
    if (records->kind == RECORD_KIND_CONFIG) {
        struct raft_config config;

        if (raft_config_decode(records->value, records->value_size, &config) == 0)
            raft_restore_config(&replica->raft, index, &config);
    }
    add_pending(shard, replica, records, count, location, size);
}

/* While the store is opened the replica may not be known yet, or be of a life that is over:
 * shard_recover_end() looks again. */
static void on_fence(void *context, uint16_t partition, const char *why)
{
    struct shard *shard = context;
    struct replica *replica = shard_replica(shard, partition);

    if (replica)
        shard_fence(shard, replica, why);
}

static void save_checkpoint(void *context, uint16_t partition, struct store_checkpoint *checkpoint)
{
    struct shard *shard = context;
    struct replica *replica = shard_replica(shard, partition);
    const struct raft *raft;
    size_t size;

    /* Nobody needs the log of one that nothing is known of. */
    *checkpoint = (struct store_checkpoint){
        .first_index = replica && replica->fence.anonymous ? UINT64_MAX : 1};
    if (!replica || replica->fence.anonymous || !shard_state_save(shard, replica, &size))
        return;
    raft = &replica->raft;
    *checkpoint = (struct store_checkpoint){
        .term = raft->term,
        .vote = raft->vote,
        .applied = raft->applied,
        .applied_term = raft_log_term(&raft->log, raft->applied),
        .first_index = replica->fence.log_gone ? UINT64_MAX : raft->log.first,
        .first_prev_term = raft->log.prev_term,
        .state = shard->state,
        .state_size = size,
    };
}

/* It is here, so it may have promised anything; all that told its life is damaged. The genesis may
 * have had one whose life is over. */
static void host_anonymous(struct shard *shard, uint16_t partition)
{
    struct replica *replica = shard_host_restored(shard, partition, UINT64_MAX);

    if (!replica)
        return;
    replica->fence.anonymous = true;
    shard_fence(shard, replica, "nothing tells any more which replica it was");
}

void shard_recover_end(struct shard *shard)
{
    const uint16_t *partitions;
    size_t count = store_partitions(shard->store, &partitions);

    for (size_t i = 0; i < count && !shard->fatal; i++) {
        struct replica *replica = shard_replica(shard, partitions[i]);
        const char *why = store_fenced(shard->store, partitions[i]);

        if (!replica || replica->raft.options.self.life <= store_ended(shard->store, partitions[i]))
            host_anonymous(shard, partitions[i]);
        else if (why || replica->dictionary_owed != 0)
            shard_fence(shard, replica, why ? why : SHARD_DICTIONARY_BAD);
    }
    shard->recovering = false;
}

/* The folder may be that of another shard, of another node or of another cluster: disks get mixed
 * up. Then this shard's votes are elsewhere, and what it lacks must not begin anew. So whatever the
 * founding has put here is here, or has ended here. */
static bool is_own(void *context, const uint8_t hash[32])
{
    const struct shard *shard = context;
    const uint16_t *partitions;
    size_t count = store_partitions(shard->store, &partitions);

    if (shard->options.foreign || memcmp(hash, shard->genesis_hash, RINGMAP_HASH_SIZE) != 0)
        return false;
    for (size_t i = 0; i < count; i++)
        if (!shard_belongs(shard, partitions[i]))
            return false;
    for (size_t i = 0; i < shard->hosted_count; i++) {
        uint16_t partition = shard->hosted[i]->partition;

        if (store_hosting(shard->store, partition) != STORE_HOSTING_HERE &&
            store_ended(shard->store, partition) == 0)
            return false;
    }
    return true;
}

void shard_visitor(struct shard *shard, struct store_visitor *visitor)
{
    *visitor = (struct store_visitor){.context = shard,
                                      .is_own = is_own,
                                      .on_checkpoint = on_checkpoint,
                                      .on_hard_state = on_hard_state,
                                      .on_entry = on_entry,
                                      .on_commit = on_commit,
                                      .on_fence = on_fence,
                                      .save_checkpoint = save_checkpoint};
}
