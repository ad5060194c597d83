#include "replication/shard_internal.h"

#include "storage/codec.h"

#include <errno.h>
#include <stdlib.h>

/* A partition's state in a checkpoint, behind what the store itself keeps:
 *   u8 version (1), u8 fenced, u16 configuration size, u64 logged time (ms, 0: none),
 *   configuration (raft_config_encode), sessions (sessions_save) to the end. */
#define STATE_VERSION   1u
#define STATE_HEAD_SIZE 12u

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
    const uint8_t *state = checkpoint->state;
    struct raft_config config;
    uint16_t config_size;
    int r;

    if (checkpoint->state_size < STATE_HEAD_SIZE || state[0] != STATE_VERSION)
        return -EBADMSG;
    config_size = codec_get_u16(state + 2);
    if (STATE_HEAD_SIZE + (size_t)config_size > checkpoint->state_size ||
        raft_config_decode(state + STATE_HEAD_SIZE, config_size, &config) != 0)
        return -EBADMSG;
    raft_restore_config(&replica->raft, 0, &config);
    if (codec_get_u64(state + 4) > replica->logged_ms)
        replica->logged_ms = codec_get_u64(state + 4);
    if (state[1])
        shard_fence(shard, replica, "it was fenced before the restart");
    r = sessions_load(&replica->sessions, state + STATE_HEAD_SIZE + config_size,
                      checkpoint->state_size - STATE_HEAD_SIZE - config_size);
    if (r < 0)
        shard->fatal = r;
    return r == 0 ? 0 : -EBADMSG;
}

static void on_checkpoint(void *context, uint16_t partition,
                          const struct store_checkpoint *checkpoint)
{
    struct shard *shard = context;
    struct replica *replica = shard_replica(shard, partition);

    if (!replica)
        return;
    raft_restore_checkpoint(&replica->raft, checkpoint->term, (uint16_t)checkpoint->vote,
                            checkpoint->applied, checkpoint->applied_term, checkpoint->first_index,
                            checkpoint->first_prev_term);
    /* Sessions first: entries that they already know are then applied to the keydir only. */
    if (checkpoint->applied >= replica->restored_applied) {
        if (load_state(shard, replica, checkpoint) != 0)
            shard_fence(shard, replica, "its checkpoint does not decode");
        replica->restored_applied = checkpoint->applied;
    }
    apply_restored(shard, replica, checkpoint->applied);
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
    pending_add(&replica->pending, &entry);
    for (size_t i = 0; i < count; i++) {
        const struct record *record = &records[i];
        uint32_t record_size = (uint32_t)record_size_padded(record);
        struct hash_digest digest;

        shard_log_time(replica, record);
        if (record->kind == RECORD_KIND_PUT || record->kind == RECORD_KIND_DELETE) {
            digest = hash_key(shard->hash_secret, record->key, record->key_size);
            pending_add_write(
                &replica->pending,
                &(struct pending_write){.digest = {.high = digest.high, .low = digest.low},
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

    if (!replica || replica->fenced || index <= replica->restored_applied)
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

static void on_fence(void *context, uint16_t partition, const char *why)
{
    struct shard *shard = context;
    struct replica *replica = shard_replica(shard, partition);

    if (replica)
        shard_fence(shard, replica, why);
}

static bool state_room(struct shard *shard, size_t size)
{
    uint8_t *grown;

    if (size <= shard->state_capacity)
        return true;
    grown = realloc(shard->state, size);
    if (!grown) {
        shard->fatal = -ENOMEM;
        return false;
    }
    shard->state = grown;
    shard->state_capacity = size;
    return true;
}

static void save_checkpoint(void *context, uint16_t partition, struct store_checkpoint *checkpoint)
{
    struct shard *shard = context;
    struct replica *replica = shard_replica(shard, partition);
    uint8_t config[RAFT_CONFIG_SIZE_MAX];
    const struct raft *raft;
    size_t config_size, sessions_size;

    *checkpoint = (struct store_checkpoint){.first_index = 1};
    if (!replica)
        return;
    raft = &replica->raft;
    config_size = raft_config_encode(raft_config_stable(raft), config);
    sessions_size = sessions_save_size(&replica->sessions);
    if (!state_room(shard, STATE_HEAD_SIZE + config_size + sessions_size))
        return;
    shard->state[0] = STATE_VERSION;
    shard->state[1] = replica->fenced != NULL;
    codec_put_u16(shard->state + 2, (uint16_t)config_size);
    codec_put_u64(shard->state + 4, replica->logged_ms);
    for (size_t i = 0; i < config_size; i++)
        shard->state[STATE_HEAD_SIZE + i] = config[i];
    sessions_save(&replica->sessions, shard->state + STATE_HEAD_SIZE + config_size);
    *checkpoint = (struct store_checkpoint){
        .term = raft->term,
        .vote = raft->vote,
        .applied = raft->applied,
        .applied_term = raft_log_term(&raft->log, raft->applied),
        .first_index = raft->log.first,
        .first_prev_term = raft->log.prev_term,
        .state = shard->state,
        .state_size = STATE_HEAD_SIZE + config_size + sessions_size,
    };
}

void shard_visitor(struct shard *shard, struct store_visitor *visitor)
{
    *visitor = (struct store_visitor){.context = shard,
                                      .on_checkpoint = on_checkpoint,
                                      .on_hard_state = on_hard_state,
                                      .on_entry = on_entry,
                                      .on_commit = on_commit,
                                      .on_fence = on_fence,
                                      .save_checkpoint = save_checkpoint};
}
