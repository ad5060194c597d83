#include "replication/shard_snapshot.h"

#include "replication/shard_internal.h"
#include "storage/checksum.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define IDLE_MS 20000u /* what nobody goes on with makes room for others */

struct shard_target {
    struct raft_replica from;
    uint32_t term;
    uint32_t log_term;
    uint64_t index;
    uint64_t position; /* where the next piece begins */
    uint64_t resumed;  /* where it did behind a restart; 0: there was none */
    uint64_t settled;
    bool busy; /* the source was told so, and waits to hear of room */
    struct store_install *install;
    uint8_t *state;
    size_t state_size;
    uint64_t heard_ms;  /* 0: not since a restart; it counts from the first look at it */
    uint32_t told_term; /* of a newer snapshot whose source was told of this one, */
    uint64_t told_index;
};

/* --- answers ------------------------------------------------------------------------------- */

static void ack_send(struct shard *shard, uint16_t member, const struct wire_snapshot_ack *ack)
{
    struct wire_buffer body = {0};

    if (!shard->peers[member].up)
        return;
    wire_put_snapshot_ack(&body, ack);
    shard_out(shard, shard_to_member(member), WIRE_SNAPSHOT_ACK,
              shard_out_route(shard, member, ack->group), 0, &body);
    wire_buffer_deinit(&body);
}

/* index: of the snapshot that it is about. */
static void answer_of(struct shard *shard, const struct wire_snapshot *piece, uint8_t kind,
                      uint64_t index, uint64_t next)
{
    struct wire_snapshot_ack ack = {.kind = kind,
                                    .group = piece->group,
                                    .from_member = piece->to_member,
                                    .from_life = piece->to_life,
                                    .to_member = piece->from_member,
                                    .to_life = piece->from_life,
                                    .term = piece->term,
                                    .index = index,
                                    .next = next};

    ack_send(shard, piece->from_member, &ack);
}

static void answer(struct shard *shard, const struct wire_snapshot *piece, uint8_t kind,
                   uint64_t next)
{
    answer_of(shard, piece, kind, piece->index, next);
}

/* One that does not know its life believes the leader: whichever it is, a snapshot for a fenced
 * replica holds all that the earlier ones of this member ever helped to commit. */
static bool is_life_of(const struct shard *shard, const struct replica *replica, uint64_t life)
{
    return replica->fence.anonymous ? life > store_ended(shard->store, replica->partition)
                                    : life == replica->raft.options.self.life;
}

void shard_snapshot_want(struct shard *shard, struct replica *replica, struct raft_replica leader,
                         uint64_t to_life)
{
    struct wire_snapshot_ack ack = {.kind = WIRE_SNAPSHOT_WANTED,
                                    .group = replica->partition,
                                    .from_member = shard->options.self,
                                    .from_life = to_life,
                                    .to_member = leader.member,
                                    .to_life = leader.life,
                                    .term = replica->raft.term,
                                    .index = replica->fence.report};

    if (is_life_of(shard, replica, to_life) && shard_takes_snapshot(shard, replica))
        ack_send(shard, leader.member, &ack);
}

/* What the core would have said, were it not fenced. */
static void reply_append(struct shard *shard, struct replica *replica, struct raft_replica to,
                         bool reject)
{
    struct raft_message message = {.kind = RAFT_APPEND_REPLY,
                                   .reject = reject,
                                   .group = replica->partition,
                                   .from = replica->raft.options.self,
                                   .to = to,
                                   .term = replica->raft.term,
                                   .index = reject ? 0 : replica->raft.commit};

    shard_raft_send(shard, replica, &message);
}

/* --- life ---------------------------------------------------------------------------------- */

void shard_target_free(struct replica *replica)
{
    struct shard_target *target = replica->target;

    if (!target)
        return;
    store_install_end(target->install);
    free(target->state);
    free(target);
    replica->target = NULL;
}

/* What the replica begins with behind it. A vote that a damaged journal may have lost counts as
 * cast, up to this term. */
static struct store_checkpoint checkpoint_of(const struct shard_target *target)
{
    return (struct store_checkpoint){.term = target->term,
                                     .vote = target->from.member,
                                     .applied = target->index,
                                     .applied_term = target->log_term,
                                     .first_index = target->index + 1,
                                     .first_prev_term = target->log_term,
                                     .state = target->state,
                                     .state_size = target->state_size};
}

static int target_begin(struct shard *shard, struct replica *replica,
                        const struct wire_snapshot *piece)
{
    struct shard_target *target = calloc(1, sizeof *target);
    struct store_checkpoint checkpoint;
    int r = -ENOMEM;

    if (!target)
        return -ENOMEM;
    *target = (struct shard_target){.from = {piece->from_member, piece->from_life},
                                    .term = piece->term,
                                    .log_term = piece->log_term,
                                    .index = piece->index,
                                    .state_size = piece->state.size,
                                    .state = malloc(piece->state.size)};
    replica->target = target;
    if (target->state) {
        memcpy(target->state, piece->state.data, piece->state.size);
        shard_state_settle(target->state, replica->raft.options.self.life, 0);
        checkpoint = checkpoint_of(target);
        r = store_install_begin(shard->store, replica->partition, &checkpoint, &target->install);
    }
    if (r != 0)
        shard_target_free(replica);
    return r;
}

/* Does what a restart has left help this replica? One that is fenced gets nothing older than its
 * leader's own no-op. */
static bool target_helps(const struct replica *replica, const struct store_checkpoint *checkpoint)
{
    return replica_serves(replica) && checkpoint->applied > replica->raft.commit &&
           shard_state_sound(checkpoint->state, checkpoint->state_size) &&
           shard_state_life(checkpoint->state, checkpoint->state_size) ==
               replica->raft.options.self.life;
}

void shard_target_resume(struct shard *shard, struct replica *replica)
{
    struct store_checkpoint checkpoint;
    struct store_install *install;
    struct shard_target *target;
    uint64_t position;

    if (store_install_resume(shard->store, replica->partition, &install, &checkpoint, &position) !=
        0)
        return;
    target = target_helps(replica, &checkpoint) ? calloc(1, sizeof *target) : NULL;
    if (target)
        target->state = malloc(checkpoint.state_size);
    if (!target || !target->state) {
        free(target);
        store_install_end(install); /* it is sent again */
        return;
    }
    memcpy(target->state, checkpoint.state, checkpoint.state_size);
    target->state_size = checkpoint.state_size;
    target->install = install;
    target->term = checkpoint.term;
    target->log_term = checkpoint.applied_term;
    target->index = checkpoint.applied;
    target->position = position;
    target->resumed = position;
    replica->target = target;
    shard->stats.snapshots_kept++;
}

/* A piece of the snapshot that is under way? A term has one leader, and a later one may go on with
 * what an earlier one began. Another one takes its place only when it is newer. */
static bool target_fits(struct shard_target *target, const struct wire_snapshot *piece)
{
    if (target->term > piece->term || target->index != piece->index ||
        target->log_term != piece->log_term)
        return false;
    target->term = piece->term;
    target->from = (struct raft_replica){piece->from_member, piece->from_life};
    return true;
}

static bool target_older(const struct shard_target *target, const struct wire_snapshot *piece)
{
    return target->term < piece->term ||
           (target->term == piece->term && target->index < piece->index);
}

/* A newer snapshot begins: its source may go on with this one, and is told of it once. False: it
 * does not, or there is nothing to go on with. */
static bool target_stays(struct shard *shard, struct shard_target *target,
                         const struct wire_snapshot *piece)
{
    if (piece->from != 0) /* those behind the beginning, which was answered */
        return true;
    if (target->position == 0 ||
        (target->told_term == piece->term && target->told_index == piece->index))
        return false;
    target->told_term = piece->term;
    target->told_index = piece->index;
    answer_of(shard, piece, WIRE_SNAPSHOT_HELD, target->index, target->position);
    return true;
}

/* --- the switch ---------------------------------------------------------------------------- */

static void commit_begin(struct replica *replica)
{
    struct shard_target *target = replica->target;
    const struct raft *raft = &replica->raft;
    struct store_checkpoint checkpoint = checkpoint_of(target);

    if (replica_serves(replica)) {
        checkpoint.term = raft->term;
        checkpoint.vote = raft->vote;
    }
    shard_state_settle(target->state, raft->options.self.life, target->settled);
    if (store_install_commit(target->install, &checkpoint) != 0) {
        shard_target_free(replica); /* no memory: it is sent again */
        return;
    }
    replica->fence.installing = true;
}

/* The core starts behind the snapshot. */
static int core_restart(struct shard *shard, struct replica *replica,
                        const struct shard_target *target)
{
    struct raft_event event = {.kind = RAFT_EVENT_SNAPSHOT_INSTALLED,
                               .from = target->from,
                               .index = target->index,
                               .term = target->log_term};
    struct raft_config config;
    bool fenced;
    int r = shard_state_load(shard, replica, target->state, target->state_size, &config, &fenced);

    if (r != 0)
        return r;
    if (mutant(MUTANT_SNAPSHOT_WITHOUT_SESSIONS)) {
        struct sessions_options options = replica->sessions.options;

        sessions_deinit(&replica->sessions);
        sessions_init(&replica->sessions, &options);
    }
    pending_deinit(&replica->pending);
    pending_init(&replica->pending);
    replica->placed = target->index;
    replica->note = UINT64_MAX;
    store_retain(shard->store, replica->partition, target->index + 1);
    store_commit(shard->store, replica->partition, target->index);
    if (replica->fence.why) {
        shard->stats.repaired++;
        replica->fence.anonymous = false;
        replica->fence.log_gone = false;
        replica->fence.sound = false;
        raft_restore_snapshot(&replica->raft, target->term, target->from.member, target->index,
                              target->log_term, &config, shard->now_ms, shard_random(shard));
        replica->fence.why = NULL;
        shard_touch(shard, replica);
        if (!replica->fence.again)
            reply_append(shard, replica, target->from, false);
        return 0;
    }
    event.configs = &config;
    shard_raft_event(shard, replica, &event);
    assert(replica->raft.applied == target->index);
    return 0;
}

static void commit_end(struct shard *shard, struct replica *replica, bool done)
{
    struct shard_target *target = replica->target;
    const char *again = replica->fence.again;

    replica->fence.installing = false;
    shard_touch(shard, replica);
    if (done) {
        if (core_restart(shard, replica, target) != 0)
            shard_fence(shard, replica, "a snapshot's state does not decode");
        shard->stats.snapshots_installed++;
    }
    shard_target_free(replica);
    replica->fence.again = NULL;
    if (again)
        shard_fence(shard, replica, again);
}

/* Unasked. */
static void tell(struct shard *shard, const struct replica *replica, uint8_t kind, uint64_t next)
{
    const struct shard_target *target = replica->target;
    struct wire_snapshot_ack ack = {.kind = kind,
                                    .group = replica->partition,
                                    .from_member = shard->options.self,
                                    .from_life = replica->raft.options.self.life,
                                    .to_member = target->from.member,
                                    .to_life = target->from.life,
                                    .term = target->term,
                                    .index = target->index,
                                    .next = next};

    ack_send(shard, target->from.member, &ack);
}

static void target_failed(struct shard *shard, struct replica *replica)
{
    uint64_t lacked = store_install_lacked(replica->target->install);

    if (lacked > 0) {
        shard_room_lacked(shard, replica, lacked);
        tell(shard, replica, WIRE_SNAPSHOT_FULL, 0);
    }
    if (replica->fence.installing)
        commit_end(shard, replica, false);
    else
        shard_target_free(replica);
}

void shard_targets_step(struct shard *shard)
{
    for (size_t i = 0; i < shard->hosted_count; i++) {
        struct replica *replica = shard->hosted[i];
        struct shard_target *target = replica->target;

        if (!target)
            continue;
        switch (store_install_state(target->install)) {
        case STORE_INSTALL_OPEN:
            if (target->heard_ms == 0)
                target->heard_ms = shard->now_ms;
            else if (shard->now_ms >= target->heard_ms + IDLE_MS)
                shard_target_free(replica);
            else if (target->busy && store_install_room(target->install)) {
                target->busy = false;
                tell(shard, replica, WIRE_SNAPSHOT_ROOM, target->position);
            }
            break;
        case STORE_INSTALL_COMMIT:
            break;
        case STORE_INSTALL_DONE:
            commit_end(shard, replica, true);
            break;
        case STORE_INSTALL_FAILED:
            target_failed(shard, replica);
            break;
        }
    }
}

/* --- pieces -------------------------------------------------------------------------------- */

/* Records of the partition, none newer than the snapshot. Fills shard->record_digests. Their values
 * are the piece's by its checksum, and each is checked by its own when its cask is written. */
static bool records_sound(struct shard *shard, const struct replica *replica,
                          const struct wire_snapshot *piece, size_t *count)
{
    const uint8_t *at = piece->records.data;
    size_t left = piece->records.size;

    for (*count = 0; left > 0; (*count)++) {
        struct record record;
        size_t size;

        if (*count == shard->records_max || record_decode_header(at, left, &record) != 0 ||
            record.partition != replica->partition || record.kind != RECORD_KIND_PUT ||
            record.index > piece->index)
            return false;
        size = record_size_padded(&record);
        if (size > left)
            return false;
        shard->record_digests[*count] = shard_record_digest(shard, &record);
        at += size;
        left -= size;
    }
    return true;
}

static bool piece_sound(const struct wire_snapshot *piece)
{
    return piece->checksum == checksum_seeded(piece->records.data, piece->records.size,
                                              checksum(piece->state.data, piece->state.size)) &&
           piece->log_term > 0 && piece->log_term <= piece->term &&
           (piece->next == 0 || piece->next >= piece->from) &&
           (piece->from != 0 ||
            (piece->state.data && shard_state_sound(piece->state.data, piece->state.size)));
}

/* It was told more than is there since the restart. */
static bool target_fell_back(const struct shard_target *target, const struct wire_snapshot *piece)
{
    return target->resumed != 0 && target->position == target->resumed &&
           piece->from > target->position;
}

static void take_piece(struct shard *shard, struct replica *replica,
                       const struct wire_snapshot *piece)
{
    struct shard_target *target = replica->target;
    size_t count;
    int r;

    target->heard_ms = shard->now_ms;
    if (piece->from != target->position) {
        answer(shard, piece,
               target_fell_back(target, piece) ? WIRE_SNAPSHOT_HELD : WIRE_SNAPSHOT_TAKEN,
               target->position);
        return;
    }
    if (!records_sound(shard, replica, piece, &count))
        return;
    r = store_install_add(target->install, piece->records.data, piece->records.size,
                          shard->record_digests, count, piece->next);
    target->busy = r == STORE_E_FULL;
    if (r == STORE_E_FULL) {
        answer(shard, piece, WIRE_SNAPSHOT_BUSY, target->position);
        return;
    }
    if (r != 0) {
        shard_target_free(replica);
        answer(shard, piece, WIRE_SNAPSHOT_BUSY, 0);
        return;
    }
    shard->stats.snapshot_bytes_taken += piece->records.size;
    if (piece->next != 0) {
        target->position = piece->next;
        answer(shard, piece, WIRE_SNAPSHOT_TAKEN, target->position);
        return;
    }
    target->settled = piece->settled;
    commit_begin(replica);
}

static void on_piece(struct shard *shard, struct replica *replica,
                     const struct wire_snapshot *piece)
{
    if (replica->target && !target_fits(replica->target, piece)) {
        if (!target_older(replica->target, piece) || target_stays(shard, replica->target, piece))
            return;
        shard_target_free(replica);
    }
    if (!replica->target) {
        if (piece->from != 0) {
            answer(shard, piece, WIRE_SNAPSHOT_TAKEN, 0);
            return;
        }
        /* Without room it would fail at its end, and begin again. */
        if (!shard_room_left(shard, replica)) {
            answer(shard, piece, WIRE_SNAPSHOT_FULL, 0);
            return;
        }
        if (target_begin(shard, replica, piece) != 0) {
            answer(shard, piece, WIRE_SNAPSHOT_BUSY, 0);
            return;
        }
    }
    take_piece(shard, replica, piece);
}

/* Does the core let it in? One that is fenced has none to ask. */
static bool admitted(struct shard *shard, struct replica *replica,
                     const struct wire_snapshot *piece)
{
    struct raft_message message = {.kind = RAFT_SNAPSHOT,
                                   .group = piece->group,
                                   .from = {piece->from_member, piece->from_life},
                                   .to = {piece->to_member, piece->to_life},
                                   .term = piece->term,
                                   .log_term = piece->log_term,
                                   .index = piece->index};
    struct raft_event event = {.kind = RAFT_EVENT_MESSAGE, .message = &message};

    if (replica_serves(replica)) {
        shard_raft_event(shard, replica, &event);
        if (!shard->snapshot_accepted && replica->target &&
            replica->target->index <= replica->raft.commit)
            shard_target_free(replica);
        return shard->snapshot_accepted;
    }
    if (piece->term >= replica->raft.term)
        return true;
    reply_append(shard, replica, message.from, true);
    return false;
}

/* It keeps the life once the snapshot is installed. */
static void take_life(struct shard *shard, struct replica *replica, uint64_t life)
{
    if (replica->fence.installing || life == replica->raft.options.self.life ||
        !is_life_of(shard, replica, life))
        return;
    shard_target_free(replica);
    replica->raft.options.self.life = life;
}

void shard_snapshot_frame(struct shard *shard, uint16_t member, const struct link_message *message)
{
    struct wire_cursor cursor;
    struct wire_snapshot piece;

    wire_cursor_init(&cursor, message->body, message->body_size);
    while (!wire_cursor_done(&cursor) && wire_get_snapshot(&cursor, &piece)) {
        struct replica *replica = shard_replica(shard, piece.group);

        if (piece.from_member != member || piece.to_member != shard->options.self)
            continue;
        if (replica && replica->fence.anonymous)
            take_life(shard, replica, piece.to_life);
        if (!replica || replica->raft.options.self.life < piece.to_life) {
            shard_life_begin(shard, piece.group, piece.to_life, NULL);
            continue;
        }
        if (!shard_takes_snapshot(shard, replica) ||
            piece.to_life != replica->raft.options.self.life || !piece_sound(&piece))
            continue;
        if (admitted(shard, replica, &piece))
            on_piece(shard, replica, &piece);
    }
}
