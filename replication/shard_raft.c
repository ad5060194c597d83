#include "replication/shard_internal.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

/* What the entries of one event are made of: own records, or a leader's bytes. */
struct appended {
    const struct record *records;
    const struct keydir_digest *digests; /* one a record */
    size_t count;
    const uint8_t *bytes;
};

struct replica *shard_replica(const struct shard *shard, uint16_t partition)
{
    if (partition == STORE_PARTITION_META)
        return shard->meta;
    return partition < shard->partition_count ? shard->replicas[partition] : NULL;
}

/* Whatever was appended for the replica up to now is durable with the batch just noted. */
static void note_append(struct shard *shard, struct replica *replica)
{
    struct shard_note *note = fifo_at(&shard->notes, replica->note);

    replica->batch = store_batch(shard->store);
    if (!note || note->replica != replica || note->batch != replica->batch) {
        note = fifo_push(&shard->notes);
        if (!note) {
            shard->fatal = -ENOMEM;
            return;
        }
        replica->note = shard->notes.tail - 1;
    }
    note->replica = replica;
    note->batch = replica->batch;
    note->index = replica->placed;
    note->term = raft_log_term(&replica->raft.log, note->index);
    note->hard_term = replica->raft.term;
}

static void write_hard_state(struct shard *shard, struct replica *replica)
{
    struct store_hard_state state = {
        .term = replica->raft.term, .vote = replica->raft.vote, .commit = replica->raft.commit};
    int r = store_append_hard_state(shard->store, replica->partition, &state);

    if (r != 0)
        shard->fatal = r < 0 ? r : -ENOSPC;
    note_append(shard, replica);
}

static void defer(struct shard *shard, struct replica *replica, const struct raft_message *message)
{
    struct shard_deferred *deferred = fifo_push(&shard->deferred);

    if (!deferred) {
        shard->fatal = -ENOMEM;
        return;
    }
    deferred->replica = replica;
    deferred->batch = replica->batch;
    deferred->message = *message;
}

void shard_raft_to_wire(const struct raft_message *message, struct wire_raft *wire)
{
    *wire = (struct wire_raft){
        .kind = message->kind,
        .flags = (uint8_t)((message->reject ? 1 : 0) | (message->transfer ? 2 : 0)),
        .group = message->group,
        .from_member = message->from.member,
        .to_member = message->to.member,
        .from_life = message->from.life,
        .to_life = message->to.life,
        .term = message->term,
        .log_term = message->log_term,
        .index = message->index,
        .commit = message->commit,
        .entry_count = message->entry_count,
        .entries = {.data = NULL, .size = message->entries_size},
    };
}

/* Copies the entries' bytes; false when some of them are not in memory. The first is the oldest. */
static bool copy_entries(struct shard *shard, const struct replica *replica,
                         const struct raft_message *message, uint8_t *out)
{
    if (!store_recent(shard->store, raft_log_at(&replica->raft.log, message->index + 1)->location))
        return false;
    for (uint32_t i = 1; i <= message->entry_count; i++) {
        const struct raft_log_entry *entry = raft_log_at(&replica->raft.log, message->index + i);
        const uint8_t *bytes;
        size_t size;

        if (store_peek(shard->store, entry->location, entry->size, &bytes, &size) != 0 ||
            size < entry->size)
            return false;
        memcpy(out, bytes, entry->size);
        out += entry->size;
    }
    return true;
}

void shard_raft_send(struct shard *shard, struct replica *replica,
                     const struct raft_message *message)
{
    struct wire_buffer *buffer = shard_out_raft(shard, message->to.member, replica->partition);
    struct wire_raft wire;
    size_t before;
    uint8_t *out;

    if (!buffer)
        return;
    shard_raft_to_wire(message, &wire);
    before = buffer->size;
    out = wire_put_raft(buffer, &wire);
    if (message->entry_count == 0 || buffer->failed)
        return;
    if (!copy_entries(shard, replica, message, out)) {
        buffer->size = before;
        shard_fetch_start(shard, replica, message);
    }
}

static void send_messages(struct shard *shard, struct replica *replica)
{
    const struct raft_effects *effects = &shard->effects;
    uint64_t synced = store_synced(shard->store);

    for (uint32_t i = 0; i < effects->message_count; i++) {
        const struct raft_message *message = &effects->messages[i];

        if (message->after_write && replica->batch > synced)
            defer(shard, replica, message);
        else
            shard_raft_send(shard, replica, message);
    }
}

void shard_stop_leading(struct shard *shard, struct replica *replica)
{
    shard_waiters_fail(shard, replica);
    shard_operations_fail(shard, replica);
    sessions_forget_in_flight(&replica->sessions);
    if (replica == shard->meta) {
        shard_record_forget(&shard->ring.record);
        shard_record_forget(&shard->tickets);
    }
    replica->beat_wanted = false;
    replica->noop_owed = false;
}

static void role_changed(struct shard *shard, struct replica *replica)
{
    if (replica->raft.role != RAFT_LEADER) {
        shard_stop_leading(shard, replica);
        return;
    }
    replica->leader_since_ms = shard->now_ms;
    shard_moves_begin(replica);
    shard_expiry_begin(replica);
    replica->noop_owed = true;
    shard_propose_noop(shard, replica);
}

/* Carries out shard->effects, all but appends, in their order. */
static void carry_out(struct shard *shard, struct replica *replica, bool was_leader)
{
    const struct raft_effects *effects = &shard->effects;
    bool role = effects->role_changed, commit = effects->commit_changed;
    bool read_round = effects->read_round_changed;

    if (effects->transfer_ended) /* given up: not again before it has settled */
        replica->leader_since_ms = shard->now_ms;
    if (effects->snapshot_wanted)
        shard_moves_hurry(shard);
    if (effects->write_hard_state)
        write_hard_state(shard, replica);
    send_messages(shard, replica);
    if (role && (was_leader || replica->raft.role == RAFT_LEADER))
        role_changed(shard, replica);
    if (commit) {
        shard_apply(shard, replica);
        shard_moves_committed(shard, replica);
    }
    if (read_round)
        shard_waiters_release(shard, replica);
}

void shard_touch(struct shard *shard, struct replica *replica)
{
    if (replica->touched)
        return;
    replica->touched = true;
    replica->touched_next = NULL;
    if (shard->touched_first)
        shard->touched_last->touched_next = replica;
    else
        shard->touched_first = replica;
    shard->touched_last = replica;
}

void shard_raft_event(struct shard *shard, struct replica *replica, struct raft_event *event)
{
    bool was_leader = replica->raft.role == RAFT_LEADER;
    bool beat_accepted, snapshot_accepted;

    shard->beat_accepted = false;
    shard->snapshot_accepted = false;
    if (!replica_serves(replica))
        return;
    shard_touch(shard, replica);
    event->now_ms = shard->now_ms;
    event->random = shard_random(shard);
    raft_step(&replica->raft, event, &shard->effects);
    assert(shard->effects.append_first == 0);
    beat_accepted = shard->effects.beat_accepted;
    snapshot_accepted = shard->effects.snapshot_accepted;
    carry_out(shard, replica, was_leader);
    shard->snapshot_accepted = snapshot_accepted;
    shard->beat_accepted = beat_accepted; /* last: carrying out may step again */
}

/* Lets pending and the log window know where the entries lie. locations follow each other. */
static void place_entries(struct shard *shard, struct replica *replica,
                          const struct appended *appended, store_location location)
{
    for (size_t i = 0; i < appended->count; i++) {
        const struct record *record = &appended->records[i];
        uint32_t size = (uint32_t)record_size_padded(record);
        struct pending_entry entry = {.index = record->index,
                                      .location = location,
                                      .size = 0,
                                      .term = record->term,
                                      .kind = record->kind,
                                      .has_request = (record->flags & RECORD_FLAG_REQUEST) != 0,
                                      .request = record->request};
        struct pending_write write = {.digest = appended->digests[i],
                                      .location = location,
                                      .size = size,
                                      .tombstone = record->kind == RECORD_KIND_DELETE,
                                      .expires = record->kind == RECORD_KIND_PUT &&
                                                 (record->flags & RECORD_FLAG_EXPIRES)};

        shard_log_time(replica, record);
        if (replica->raft.role == RAFT_LEADER)
            shard_expiry_note(replica, record, &appended->digests[i]);
        if (pending_reserve(&replica->pending, 1) != 0) {
            shard->fatal = -ENOMEM;
            return;
        }
        if (record->sub_index == 0) {
            raft_log_place(&replica->raft.log, record->index, location);
            entry.size = raft_log_at(&replica->raft.log, record->index)->size;
            entry.owned = shard_dictionary_own(shard, record);
            pending_add(&replica->pending, &entry);
            replica->placed = record->index;
        }
        if (record->kind == RECORD_KIND_PUT || record->kind == RECORD_KIND_DELETE) {
            pending_add_write(&replica->pending, &write);
            if (mutant(MUTANT_KEYDIR_UNAPPLIED))
                (void)store_apply(shard->store, replica->partition, &write.digest, location, size,
                                  write.tombstone, write.expires);
        }
        location += size / RECORD_ALIGN;
    }
    note_append(shard, replica);
}

/* Gives the records their place in the log, and seals them for it; not the ring map, which brings
 * the data keys. */
static int records_finish(struct shard *shard, const struct replica *replica,
                          struct record *records, const struct keydir_digest *digests, size_t count,
                          uint32_t *size)
{
    int r = 0;

    for (size_t i = 0; i < count; i++) {
        records[i].partition = replica->partition;
        records[i].term = replica->raft.term;
        records[i].index = replica->raft.log.last + 1;
        records[i].sub_index = (uint16_t)i;
        records[i].sub_count = (uint16_t)count;
    }
    if (replica != shard->meta)
        r = store_encrypt(shard->store, records, digests, count, shard_random(shard));
    for (size_t i = 0; i < count; i++)
        *size += (uint32_t)record_size_padded(&records[i]);
    return r;
}

/* config: what the entry says, if it is a configuration. */
static int propose(struct shard *shard, struct replica *replica, struct record *records,
                   const struct keydir_digest *digests, size_t count,
                   const struct raft_config *config)
{
    struct raft *raft = &replica->raft;
    struct raft_entry entry = {.term = raft->term, .config = config != NULL};
    struct raft_event event = {.kind = RAFT_EVENT_PROPOSE,
                               .now_ms = shard->now_ms,
                               .entries = &entry,
                               .entry_count = 1,
                               .configs = config};
    struct appended appended = {.records = records, .digests = digests, .count = count};
    store_location location;
    uint32_t size;
    int r;

    if (raft->role != RAFT_LEADER || raft->transfer_to || !replica_serves(replica))
        return SHARD_E_REFUSED;
    r = records_finish(shard, replica, records, digests, count, &entry.size);
    if (r != 0)
        return shard->fatal = r;
    r = store_room(shard->store, entry.size);
    if (r == 0 && raft_reserve(raft, 1) != 0)
        r = shard->fatal = -ENOMEM;
    if (r != 0)
        return r;
    shard_touch(shard, replica);
    raft_step(raft, &event, &shard->effects);
    if (shard->effects.refused) { /* a configuration that may not follow now */
        assert(config);
        return SHARD_E_REFUSED;
    }
    assert(shard->effects.append_first == raft->log.last);
    r = store_append(shard->store, records, count, &location, &size);
    assert(r == 0 && size == entry.size);
    place_entries(shard, replica, &appended, location);
    replica->dirty = true;
    shard->stats.proposed++;
    carry_out(shard, replica, true);
    return 0;
}

int shard_propose(struct shard *shard, struct replica *replica, struct record *records,
                  const struct keydir_digest *digests, size_t count)
{
    return propose(shard, replica, records, digests, count, NULL);
}

int shard_propose_config(struct shard *shard, struct replica *replica,
                         const struct raft_config *config)
{
    uint8_t value[RAFT_CONFIG_SIZE_MAX];
    struct record record = {.kind = RECORD_KIND_CONFIG, .value = value};
    struct keydir_digest digest = {0};

    if (raft_config_valid(config) != RAFT_CONFIG_E_OK)
        return SHARD_E_REFUSED;
    record.value_size = raft_config_encode(config, value);
    return propose(shard, replica, &record, &digest, 1, config);
}

void shard_propose_noop(struct shard *shard, struct replica *replica)
{
    struct record record = {.kind = RECORD_KIND_NOOP};
    struct keydir_digest digest = {0};

    if (shard_propose(shard, replica, &record, &digest, 1) == 0)
        replica->noop_owed = false;
}

/* Appends what of the message's entries the log took: the leader's bytes as they are. */
static void append_entries(struct shard *shard, struct replica *replica,
                           const struct wire_raft *wire, size_t record_count)
{
    const struct raft_effects *effects = &shard->effects;
    struct appended appended = {
        .records = shard->records, .digests = shard->record_digests, .count = record_count};
    size_t skipped = 0;
    store_location location;
    int r;

    while (appended.count > 0 && appended.records->index < effects->append_first) {
        skipped += record_size_padded(appended.records);
        appended.records++;
        appended.digests++;
        appended.count--;
    }
    pending_truncate(&replica->pending, effects->append_first);
    r = store_append_bytes(shard->store, replica->partition, effects->append_first,
                           effects->append_last, wire->entries.data + skipped,
                           wire->entries.size - skipped, &location);
    assert(r == 0);
    place_entries(shard, replica, &appended, location);
}

static void raft_message(struct shard *shard, struct replica *replica, const struct wire_raft *wire)
{
    struct raft_message message = {.kind = wire->kind,
                                   .reject = wire->flags & 1,
                                   .transfer = wire->flags & 2,
                                   .group = wire->group,
                                   .from = {wire->from_member, wire->from_life},
                                   .to = {wire->to_member, wire->to_life},
                                   .term = wire->term,
                                   .log_term = wire->log_term,
                                   .index = wire->index,
                                   .commit = wire->commit,
                                   .entry_count = wire->entry_count,
                                   .entries_size = (uint32_t)wire->entries.size};
    struct raft_event event = {.kind = RAFT_EVENT_MESSAGE,
                               .now_ms = shard->now_ms,
                               .random = shard_random(shard),
                               .message = &message,
                               .entries = shard->entries,
                               .entry_count = wire->entry_count};
    bool was_leader = replica->raft.role == RAFT_LEADER;
    size_t record_count = 0;

    if (wire->entry_count > shard->records_max ||
        !shard_entries_decode(shard, replica, wire, &record_count))
        return;
    event.configs = shard->configs;
    if (wire->entry_count > 0) {
        int r = store_room(shard->store, wire->entries.size);

        if (r == STORE_E_FULL)
            shard_hold(shard, wire);
        if (r != 0) /* a full disk is like a lost message: the leader sends it again */
            return;
        if (raft_reserve(&replica->raft, wire->entry_count) != 0) {
            shard->fatal = -ENOMEM;
            return;
        }
    }
    shard_touch(shard, replica);
    raft_step(&replica->raft, &event, &shard->effects);
    if (shard->effects.append_first != 0 && replica->placed >= shard->effects.append_first)
        replica->placed = shard->effects.append_first - 1;
    if (shard->effects.write_hard_state)
        write_hard_state(shard, replica);
    shard->effects.write_hard_state = false;
    if (shard->effects.append_first != 0)
        append_entries(shard, replica, wire, record_count);
    carry_out(shard, replica, was_leader);
    if (replica->raft.role == RAFT_LEADER)
        replica->dirty = true;
    if (wire->kind == RAFT_APPEND_REPLY)
        shard_moves_heard(shard, replica, wire->from_member);
}

void shard_raft_wire(struct shard *shard, const struct wire_raft *wire)
{
    struct replica *replica = shard_replica(shard, wire->group);

    if (wire->to_member != shard->options.self)
        return;
    if (replica && replica->raft.options.self.life >= wire->to_life) {
        if (replica_serves(replica))
            raft_message(shard, replica, wire);
    } else if (wire->kind == RAFT_APPEND) {
        shard_life_begin(shard, wire->group, wire->to_life, wire);
    }
}

/* Reads ahead: while a message is worked on, what the next two need is fetched into the caches. */
void shard_raft_frame(struct shard *shard, uint16_t member, const struct link_message *message)
{
    struct wire_cursor cursor;
    struct wire_raft ring[SHARD_AHEAD + 1];
    size_t read = 0, done = 0;

    wire_cursor_init(&cursor, message->body, message->body_size);
    do {
        for (; read <= done + SHARD_AHEAD && !wire_cursor_done(&cursor); read++) {
            struct wire_raft *wire = &ring[read % (SHARD_AHEAD + 1)];

            if (!wire_get_raft(&cursor, wire))
                break;
            shard_ahead_replica(shard_replica(shard, wire->group));
        }
        if (done + 1 < read)
            shard_ahead_parts(shard_replica(shard, ring[(done + 1) % (SHARD_AHEAD + 1)].group));
        if (done < read && ring[done % (SHARD_AHEAD + 1)].from_member == member)
            shard_raft_wire(shard, &ring[done % (SHARD_AHEAD + 1)]);
    } while (++done < read);
}

void shard_synced(struct shard *shard)
{
    uint64_t synced = store_synced(shard->store);
    struct shard_note *note;
    struct shard_deferred *deferred;

    while ((deferred = fifo_peek(&shard->deferred)) && deferred->batch <= synced) {
        struct raft_message message = deferred->message;
        struct replica *replica = deferred->replica;

        fifo_pop(&shard->deferred);
        if (replica_serves(replica))
            shard_raft_send(shard, replica, &message);
    }
    while ((note = fifo_peek(&shard->notes)) && note->batch <= synced) {
        struct replica *replica = note->replica;
        struct raft_event event = {.kind = RAFT_EVENT_SYNCED,
                                   .index = note->index,
                                   .term = note->term,
                                   .hard_term = note->hard_term};

        fifo_pop(&shard->notes);
        shard_raft_event(shard, replica, &event);
        replica->dirty = true;
    }
}

void shard_apply_entry(struct shard *shard, struct replica *replica,
                       const struct pending_entry *entry)
{
    for (uint32_t i = 0; i < entry->write_count; i++) {
        const struct pending_write *write = pending_write_at(&replica->pending, entry, i);

        if (store_apply(shard->store, replica->partition, &write->digest, write->location,
                        write->size, write->tombstone, write->expires) != 0)
            shard->fatal = -ENOMEM;
    }
    if (entry->kind == RECORD_KIND_DICTIONARY)
        shard_dictionary_apply(shard, replica, entry);
    if (entry->has_request && entry->index > replica->sessions.applied_index) {
        int r = sessions_apply(&replica->sessions, &entry->request, entry->index);

        if (r < 0)
            shard->fatal = r;
        /* A leader asks before it proposes: nothing can come twice. */
        assert(r != SESSIONS_DONE || mutant(MUTANT_RETRY_APPLIED_TWICE));
    }
    shard->stats.applied++;
}

void shard_apply(struct shard *shard, struct replica *replica)
{
    struct raft_event event = {.kind = RAFT_EVENT_APPLIED, .index = replica->raft.commit};
    struct pending_entry *entry;

    shard_ahead_keys(shard, replica);
    store_commit(shard->store, replica->partition, replica->raft.commit);
    while ((entry = pending_first(&replica->pending)) && entry->index <= replica->raft.commit &&
           replica_serves(replica)) {
        uint64_t index = entry->index;

        shard_apply_entry(shard, replica, entry);
        pending_pop(&replica->pending);
        if (index == replica->compare_at)
            shard_compare_reached(shard, replica);
    }
    if (replica->raft.applied < replica->raft.commit)
        shard_raft_event(shard, replica, &event);
    shard_waiters_release(shard, replica);
}
