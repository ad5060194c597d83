#include "replication/shard_snapshot.h"

#include "replication/shard_internal.h"
#include "replication/shard_source.h"

#include <stdlib.h>
#include <string.h>

#define SOURCES_MAX  8u
#define OUTGOING_MAX 32u    /* messages of the shard that wait: more, and pieces stay behind */
#define RETRY_MS     1000u  /* pieces without answer are sent again, */
#define RETRY_MS_MAX 4000u  /* each time after twice as long: they may still wait in the link */
#define PAUSE_MS     200u   /* the target could not begin */
#define ROOM_MS      1000u  /* it was busy; if it says nothing of room, that was lost */
#define PATIENCE_MS  10000u /* without any progress it is given up, and the log let go */
#define BUSY_MS      60000u /* so long when the target says that its disk is behind */
#define SILENT_MS    3000u  /* of a target whose link is up */

/* --- life ---------------------------------------------------------------------------------- */

void shard_source_free(struct shard_source *source)
{
    free(source->state);
    wire_buffer_deinit(&source->body);
    free(source);
}

static void source_end(struct shard *shard, struct shard_source *source)
{
    struct shard_source **at = &shard->sources;

    while (*at != source)
        at = &(*at)->next;
    *at = source->next;
    shard->source_count--;
    source->ended = true;
    if (!source->reading)
        shard_source_free(source);
}

void shard_sources_free(struct shard *shard)
{
    while (shard->sources) {
        shard->sources->reading = false;
        source_end(shard, shard->sources);
    }
}

static struct shard_source *source_find(const struct shard *shard, const struct replica *replica,
                                        uint16_t member)
{
    for (struct shard_source *source = shard->sources; source; source = source->next)
        if (source->replica == replica && source->to.member == member)
            return source;
    return NULL;
}

static void source_begin(struct shard *shard, struct replica *replica,
                         const struct raft_progress *peer)
{
    struct raft *raft = &replica->raft;
    struct raft_event event = {
        .kind = RAFT_EVENT_SNAPSHOT_BEGIN, .from = peer->replica, .index = raft->applied};
    struct shard_source *source;
    size_t state_size;

    if (raft_log_term(&raft->log, raft->applied) == 0 ||
        !shard_state_save(shard, replica, &state_size))
        return;
    source = calloc(1, sizeof *source);
    if (source)
        source->state = malloc(state_size);
    if (!source || !source->state) {
        free(source);
        return; /* the next duty tries again */
    }
    memcpy(source->state, shard->state, state_size);
    source->state_size = state_size;
    source->replica = replica;
    source->to = peer->replica;
    source->index = raft->applied;
    source->log_term = raft_log_term(&raft->log, raft->applied);
    source->term = raft->term;
    source->patience_ms = PATIENCE_MS;
    source->retry_ms = RETRY_MS;
    source->duty_ms = shard->now_ms;
    shard_raft_event(shard, replica, &event);
    if (raft_peer(raft, source->to.member)->snapshot != source->index) {
        shard_source_free(source);
        return;
    }
    source->next = shard->sources;
    shard->sources = source;
    shard->source_count++;
    shard->peers[source->to.member].begun_ms = shard->now_ms;
    shard->stats.snapshots_begun++;
    shard_move_begun(replica, source->to);
}

/* The target, as long as this is the leader that began and that the same life; else NULL. */
static const struct raft_progress *target_of(const struct shard_source *source)
{
    const struct raft *raft = &source->replica->raft;
    const struct raft_progress *peer = raft_peer(raft, source->to.member);
    bool leads = raft->role == RAFT_LEADER && raft->term == source->term;

    return leads && peer && peer->replica.life == source->to.life ? peer : NULL;
}

bool shard_source_current(const struct shard_source *source)
{
    const struct raft_progress *peer = target_of(source);

    return replica_serves(source->replica) && peer && peer->snapshot == source->index;
}

static void rewind_to(struct shard *shard, struct shard_source *source, uint64_t position)
{
    source->acked = position;
    source->at = position;
    shard_move_sent(source->replica, source->to, position);
    source->walked = false;
    source->piece_count = 0;
    source->sent_ms = shard->now_ms;
}

void shard_sources_peer_lost(struct shard *shard, uint16_t member)
{
    for (struct shard_source *source = shard->sources; source; source = source->next) {
        if (source->to.member != member)
            continue;
        source->retry_ms = RETRY_MS;
        rewind_to(shard, source, source->acked);
    }
}

bool shard_sources_hear(const struct shard *shard, const struct raft_progress *peer)
{
    const struct shard_peer *node = &shard->peers[peer->replica.member];
    uint64_t newest_ms = node->heard_ms > peer->heard_ms ? node->heard_ms : peer->heard_ms;

    newest_ms = newest_ms > node->up_since_ms ? newest_ms : node->up_since_ms;
    return node->up && shard->now_ms < newest_ms + SILENT_MS;
}

static bool target_hears(const struct shard *shard, const struct shard_source *source)
{
    const struct raft_progress *peer = raft_peer(&source->replica->raft, source->to.member);

    return peer && shard_sources_hear(shard, peer);
}

/* Is it for us to go on, and not for the target? */
static bool waits_for_budget(const struct shard *shard, const struct shard_source *source)
{
    return shard->budget.waits && source->piece_count == 0 && !source->reading &&
           shard->now_ms >= source->pause_ms && target_hears(shard, source);
}

/* Nothing is heard of its target, and others may be waiting. */
static bool is_in_the_way(const struct shard *shard, const struct shard_source *source)
{
    return shard->source_count == SOURCES_MAX && !target_hears(shard, source);
}

/* The target has answered for what is behind it. */
static bool is_installed(const struct shard_source *source)
{
    const struct raft_progress *peer = target_of(source);

    return peer && peer->match >= source->index;
}

static void source_duty(struct shard *shard, struct shard_source *source)
{
    struct raft_event failed = {.kind = RAFT_EVENT_SNAPSHOT_FAILED, .from = source->to};
    bool waits = source->piece_count > 0 && !source->reading;

    if (!waits_for_budget(shard, source))
        source->waited_ms += shard->now_ms - source->duty_ms;
    source->duty_ms = shard->now_ms;
    if (!shard_source_current(source)) {
        if (is_installed(source))
            shard_room_taken(shard, source->replica, source->to.member);
        source_end(shard, source);
    } else if (source->failed || source->waited_ms >= source->patience_ms ||
               is_in_the_way(shard, source) || shard_retain_is_over(shard)) {
        struct replica *replica = source->replica;

        failed.index = source->acked > 0 ? source->index : 0;
        source_end(shard, source);
        shard_raft_event(shard, replica, &failed);
    } else if (waits && shard->now_ms >= source->sent_ms + source->retry_ms) {
        source->retry_ms = source->retry_ms < RETRY_MS_MAX ? 2 * source->retry_ms : RETRY_MS_MAX;
        rewind_to(shard, source, source->acked);
    }
}

/* Who has nothing of this shard's groups yet has nothing to say before it is sent something, be it
 * after a while only: it may hear of the map late. */
static bool may_answer(const struct shard *shard, const struct raft_progress *peer)
{
    const struct shard_peer *node = &shard->peers[peer->replica.member];

    return shard_sources_hear(shard, peer) ||
           (node->up && shard->now_ms >= node->begun_ms + PATIENCE_MS);
}

static void peers_duty(struct shard *shard, struct replica *replica)
{
    const struct raft *raft = &replica->raft;

    for (uint32_t i = 0; i < raft->peer_count && shard->source_count < SOURCES_MAX; i++) {
        const struct raft_progress *peer = &raft->peers[i];
        uint16_t member = peer->replica.member;

        if (peer->snapshot_wanted && peer->snapshot == 0 && may_answer(shard, peer) &&
            !source_find(shard, replica, member) && shard_room_try(shard, replica, member))
            source_begin(shard, replica, peer);
    }
}

void shard_sources_duty(struct shard *shard)
{
    struct shard_source *next;

    for (struct shard_source *source = shard->sources; source; source = next) {
        next = source->next;
        source_duty(shard, source);
    }
    /* Another one goes first each time: none waits for ever behind those that are wanted often, or
     * that a full disk refuses. */
    shard->snapshot_turn++;
    if (shard_retain_is_over(shard))
        return; /* what those relied on that were given up is to go first */
    for (size_t i = 0; i < shard->hosted_count && shard->source_count < SOURCES_MAX; i++) {
        struct replica *replica = shard->hosted[shard->snapshot_turn++ % shard->hosted_count];

        if (replica_leads(replica))
            peers_duty(shard, replica);
    }
}

/* A target may have no room to begin: one piece is enough to hear that. */
static uint32_t pieces_max(const struct shard_source *source)
{
    return source->acked > 0 ? SHARD_PIECES_MAX : 1;
}

/* But for the budget. */
static bool is_ready(const struct shard *shard, const struct shard_source *source)
{
    return !source->reading && !source->walked && !source->failed &&
           source->piece_count < pieces_max(source) && shard->now_ms >= source->pause_ms &&
           shard->peers[source->to.member].up && shard_source_current(source) &&
           fifo_count(&shard->outgoing) < OUTGOING_MAX;
}

uint32_t shard_sources_ready(const struct shard *shard)
{
    uint32_t count = 0;

    for (const struct shard_source *source = shard->sources; source; source = source->next)
        count += is_ready(shard, source);
    return count;
}

/* A piece each in turn: whoever has sent goes behind the others, so that all get on. */
void shard_sources_pump(struct shard *shard)
{
    struct shard_source **at = &shard->sources;

    if (shard->sources)
        shard_budget_refill(shard);
    while (!shard->fatal && *at) {
        struct shard_source *source = *at;

        if (!shard_budget_left(shard) || !is_ready(shard, source)) {
            at = &source->next;
            continue;
        }
        shard_piece_begin(shard, source);
        *at = source->next;
        while (*at)
            at = &(*at)->next;
        *at = source;
        source->next = NULL;
        at = &shard->sources;
    }
}

bool shard_sources_of(const struct shard *shard, const struct replica *replica)
{
    for (const struct shard_source *source = shard->sources; source; source = source->next)
        if (source->replica == replica)
            return true;
    return false;
}

/* --- answers ------------------------------------------------------------------------------- */

static void taken(struct shard *shard, struct shard_source *source, uint64_t position)
{
    uint32_t done = 0;

    if (position == 0) { /* it has nothing, or not any more: the next one is of a newer index */
        source->failed |= source->acked > 0;
        if (source->failed || source->piece_count > 1)
            rewind_to(shard, source, 0);
        return;
    }
    if (position <= source->acked)
        return;
    source->acked = position;
    source->waited_ms = 0;
    source->patience_ms = PATIENCE_MS;
    while (done < source->piece_count && source->pieces[done].next != 0 &&
           source->pieces[done].next <= position)
        done++;
    source->piece_count -= done;
    memmove(source->pieces, source->pieces + done, source->piece_count * sizeof *source->pieces);
    if (!source->walked && position > source->at) {
        source->at = position;
        shard_move_sent(source->replica, source->to, position);
    }
}

/* The target has the beginning of an earlier snapshot, or less of this one than it had. Its records
 * of that index are ours, and what came behind it is in the log; what the earlier source had
 * applied when it sent them is applied here too when this term has begun. Else this one is sent
 * from its beginning. */
static void go_on(struct shard *shard, struct shard_source *source, uint64_t index,
                  uint64_t position)
{
    const struct raft *raft = &source->replica->raft;
    const struct raft_progress *peer = raft_peer(raft, source->to.member);
    struct raft_event failed = {
        .kind = RAFT_EVENT_SNAPSHOT_FAILED, .from = source->to, .index = source->index};
    struct raft_event begin = {
        .kind = RAFT_EVENT_SNAPSHOT_BEGIN, .from = source->to, .index = index};
    bool fell_back = index == source->index && position < source->acked; /* it was restarted */

    if (!shard_source_current(source) || (source->acked > 0 && !fell_back))
        return;
    if (peer->fenced != 0 || raft->applied < raft->term_start || index > raft->applied ||
        index + 1 < raft->log.first || raft_log_term(&raft->log, index) == 0) {
        rewind_to(shard, source, 0);
        return;
    }
    shard_raft_event(shard, source->replica, &failed);
    shard_raft_event(shard, source->replica, &begin);
    source->index = index;
    source->log_term = raft_log_term(&raft->log, index);
    shard->stats.snapshots_resumed++;
    rewind_to(shard, source, position);
}

/* It is fenced; or, when it knows of a later term, this leader is over. */
static void on_wanted(struct shard *shard, struct replica *replica,
                      const struct wire_snapshot_ack *ack)
{
    struct raft_replica peer = {.member = ack->from_member, .life = ack->from_life};
    struct raft_event fenced = {.kind = RAFT_EVENT_PEER_FENCED, .from = peer, .index = ack->index};
    struct raft_message news = {.kind = RAFT_APPEND_REPLY,
                                .reject = true,
                                .group = replica->partition,
                                .from = peer,
                                .to = replica->raft.options.self,
                                .term = ack->term};
    struct raft_event later = {.kind = RAFT_EVENT_MESSAGE, .message = &news};

    shard_raft_event(shard, replica, ack->term > replica->raft.term ? &later : &fenced);
    if (raft_repair_waits(&replica->raft, peer.member))
        shard_propose_noop(shard, replica);
}

static void on_ack(struct shard *shard, struct replica *replica,
                   const struct wire_snapshot_ack *ack)
{
    struct shard_source *source = source_find(shard, replica, ack->from_member);

    if (ack->kind == WIRE_SNAPSHOT_WANTED) {
        on_wanted(shard, replica, ack);
        return;
    }
    if (!source || source->to.life != ack->from_life || source->term != ack->term)
        return;
    if (ack->kind == WIRE_SNAPSHOT_HELD && ack->next != 0) {
        go_on(shard, source, ack->index, ack->next);
        return;
    }
    if (source->index != ack->index)
        return;
    if (ack->kind == WIRE_SNAPSHOT_FULL) {
        source->failed = true;
        source->acked = 0; /* it keeps nothing of it */
        shard_room_refused(shard, replica, ack->from_member);
    } else if (ack->kind == WIRE_SNAPSHOT_BUSY) {
        rewind_to(shard, source, source->acked);
        source->pause_ms = shard->now_ms + (ack->next != 0 ? ROOM_MS : PAUSE_MS);
        if (ack->next != 0) /* else it has not even begun */
            source->patience_ms = BUSY_MS;
    } else if (ack->kind == WIRE_SNAPSHOT_ROOM && ack->next == source->acked) {
        source->pause_ms = 0;
    } else if (ack->kind == WIRE_SNAPSHOT_TAKEN) {
        taken(shard, source, ack->next);
    }
}

void shard_snapshot_ack_frame(struct shard *shard, uint16_t member,
                              const struct link_message *message)
{
    struct wire_snapshot_ack ack;
    struct wire_cursor cursor;

    wire_cursor_init(&cursor, message->body, message->body_size);
    while (!wire_cursor_done(&cursor) && wire_get_snapshot_ack(&cursor, &ack)) {
        struct replica *replica = shard_replica(shard, ack.group);

        if (replica && replica_serves(replica) && ack.from_member == member &&
            ack.to_member == shard->options.self && ack.to_life == replica->raft.options.self.life)
            on_ack(shard, replica, &ack);
    }
}
