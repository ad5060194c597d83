#include "replication/shard_snapshot.h"

#include "replication/shard_internal.h"
#include "storage/checksum.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SOURCES_MAX   8u
#define PIECES_MAX    4u /* on their way, a source */
#define ITEMS_MAX     256u
#define WALK_MAX      4096u /* entries looked at for a piece, at most so many times: */
#define WALKS_MAX     16u
#define OUTGOING_MAX  32u    /* messages of the shard that wait: more, and pieces stay behind */
#define RETRY_MS      1000u  /* pieces without answer are sent again */
#define PAUSE_MS      200u   /* the target was busy */
#define PATIENCE_MS   10000u /* without any progress it is given up, and the log let go */
#define BUSY_MS       60000u /* so long when the target says that its disk is behind */
#define BUDGET_PERIOD 250u   /* ms of the budget that may be saved up */
#define PIECE_MS      125u   /* of the budget, for a piece: many take turns */
#define PIECE_MIN     4096u

struct shard_piece {
    uint64_t from, next;
};

struct shard_source_item {
    uint32_t offset;
    uint32_t size;
    uint32_t got;
};

struct shard_source {
    struct shard_source *next;
    struct replica *replica;
    struct raft_replica to;
    uint64_t index; /* A */
    uint32_t term;
    uint32_t log_term;
    uint8_t *state;
    size_t state_size;
    uint64_t acked; /* the target has all before */
    uint64_t at;    /* where the next piece begins */
    bool walked;    /* the last piece is on its way */
    bool ended;     /* reads are still out */
    bool failed;    /* one of them */
    struct shard_piece pieces[PIECES_MAX];
    uint32_t piece_count;
    /* The piece that is being put together: */
    bool building;
    struct shard_piece built;
    uint8_t *bytes;
    size_t capacity;
    struct keydir_item items[ITEMS_MAX];
    struct shard_source_item places[ITEMS_MAX];
    uint32_t item_count;
    uint32_t reads_left;
    uint64_t waited_ms; /* for the target, since it took something */
    uint64_t patience_ms;
    uint64_t duty_ms; /* the newest */
    uint64_t sent_ms;
    uint64_t pause_ms;
};

/* --- life ---------------------------------------------------------------------------------- */

static void source_free(struct shard_source *source)
{
    free(source->state);
    free(source->bytes);
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
    if (source->reads_left == 0)
        source_free(source);
}

void shard_sources_free(struct shard *shard)
{
    while (shard->sources) {
        shard->sources->reads_left = 0;
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
    source->duty_ms = shard->now_ms;
    shard_raft_event(shard, replica, &event);
    if (raft_peer(raft, source->to.member)->snapshot != source->index) {
        source_free(source);
        return;
    }
    source->next = shard->sources;
    shard->sources = source;
    shard->source_count++;
    shard->stats.snapshots_begun++;
    shard_move_begun(replica, source->to);
}

/* Still what the core thinks is under way? */
static bool source_current(const struct shard_source *source)
{
    const struct raft *raft = &source->replica->raft;
    const struct raft_progress *peer = raft_peer(raft, source->to.member);

    return !source->replica->fenced && raft->role == RAFT_LEADER && raft->term == source->term &&
           peer && peer->replica.life == source->to.life && peer->snapshot == source->index;
}

static void rewind_to(struct shard *shard, struct shard_source *source, uint64_t position)
{
    source->acked = position;
    source->at = position;
    source->walked = false;
    source->piece_count = 0;
    source->sent_ms = shard->now_ms;
}

static bool budget_left(const struct shard *shard)
{
    return shard_snapshot_rate(shard) == PACE_FREE || shard->snapshot_budget > 0;
}

/* Is it for us to go on, and not for the target? */
static bool waits_for_budget(const struct shard *shard, const struct shard_source *source)
{
    return !budget_left(shard) && source->piece_count == 0 && !source->building &&
           shard->now_ms >= source->pause_ms && shard->peers[source->to.member].up;
}

static void source_duty(struct shard *shard, struct shard_source *source)
{
    struct raft_event failed = {.kind = RAFT_EVENT_SNAPSHOT_FAILED, .from = source->to};
    bool waits = source->piece_count > 0 && !source->building;

    if (!waits_for_budget(shard, source))
        source->waited_ms += shard->now_ms - source->duty_ms;
    source->duty_ms = shard->now_ms;
    if (!source_current(source)) {
        source_end(shard, source);
    } else if (source->failed || source->waited_ms >= source->patience_ms) {
        struct replica *replica = source->replica;

        failed.index = source->acked > 0 ? source->index : 0;
        source_end(shard, source);
        shard_raft_event(shard, replica, &failed);
    } else if (waits && shard->now_ms >= source->sent_ms + RETRY_MS) {
        rewind_to(shard, source, source->acked);
    }
}

static void budget_refill(struct shard *shard)
{
    uint64_t rate = shard_snapshot_rate(shard);
    uint64_t elapsed_ms = shard->now_ms - shard->snapshot_ms;

    elapsed_ms = elapsed_ms < BUDGET_PERIOD ? elapsed_ms : BUDGET_PERIOD;
    shard->snapshot_ms = shard->now_ms;
    if (rate == PACE_FREE) {
        shard->snapshot_budget = 0;
        return;
    }
    shard->snapshot_budget += (int64_t)(rate * elapsed_ms / 1000);
    if (shard->snapshot_budget > (int64_t)(rate * BUDGET_PERIOD / 1000))
        shard->snapshot_budget = (int64_t)(rate * BUDGET_PERIOD / 1000);
}

static void peers_duty(struct shard *shard, struct replica *replica)
{
    const struct raft *raft = &replica->raft;

    for (uint32_t i = 0; i < raft->peer_count && shard->source_count < SOURCES_MAX; i++) {
        const struct raft_progress *peer = &raft->peers[i];
        uint16_t member = peer->replica.member;

        if (peer->snapshot_wanted && peer->snapshot == 0 && shard->peers[member].up &&
            !source_find(shard, replica, member))
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
    budget_refill(shard);
    /* Another one goes first each time: none waits for ever behind those that are wanted often. */
    for (size_t i = 0; i < shard->hosted_count && shard->source_count < SOURCES_MAX; i++) {
        struct replica *replica = shard->hosted[shard->snapshot_turn++ % shard->hosted_count];

        if (replica->raft.role == RAFT_LEADER && !replica->fenced)
            peers_duty(shard, replica);
    }
}

/* --- pieces -------------------------------------------------------------------------------- */

static void piece_send(struct shard *shard, struct shard_source *source, size_t size)
{
    const struct replica *replica = source->replica;
    bool first = source->built.from == 0;
    uint16_t member = source->to.member;
    struct wire_buffer body = {0};
    struct wire_snapshot piece = {
        .group = replica->partition,
        .from_member = replica->raft.options.self.member,
        .from_life = replica->raft.options.self.life,
        .to_member = member,
        .to_life = source->to.life,
        .term = source->term,
        .log_term = source->log_term,
        .index = source->index,
        .from = source->built.from,
        .next = source->built.next,
        .settled = source->built.next == 0 ? replica->raft.applied : 0,
        .records = {source->bytes, size},
    };

    if (first)
        piece.state = (struct wire_bytes){source->state, source->state_size};
    piece.checksum =
        checksum_seeded(source->bytes, size, checksum(piece.state.data, piece.state.size));
    wire_put_snapshot(&body, &piece);
    source->pieces[source->piece_count++] = source->built;
    source->at = source->built.next;
    source->walked = source->built.next == 0;
    source->sent_ms = shard->now_ms;
    shard->snapshot_budget -= (int64_t)(size + piece.state.size);
    shard->stats.snapshot_bytes_sent += size;
    shard_move_sent(source->replica, source->to, size);
    pace_sent(&shard->pace, size);
    shard_out(shard, shard_to_member(member), WIRE_SNAPSHOT,
              shard_out_route(shard, member, replica->partition), 0, &body);
    wire_buffer_deinit(&body);
}

/* Relocation by flush changes no index: the record read is as good as the one it was moved to. */
static bool moved(const struct shard *shard, const struct shard_source *source, uint32_t i)
{
    struct keydir_entry entry;

    return mutant(MUTANT_SNAPSHOT_SKIPS_MOVED) &&
           (store_find(shard->store, source->replica->partition, &source->items[i].digest,
                       &entry) != 0 ||
            entry.location != source->items[i].entry.location);
}

/* Leaves the records that belong to the snapshot, without gaps. False: one of them is damaged. */
static bool piece_pack(struct shard *shard, struct shard_source *source, size_t *size)
{
    *size = 0;
    for (uint32_t i = 0; i < source->item_count; i++) {
        const struct shard_source_item *place = &source->places[i];
        uint8_t *bytes = source->bytes + place->offset;
        struct record record;
        size_t padded;

        if (record_decode(bytes, place->got, &record) != 0 ||
            record.partition != source->replica->partition)
            return false;
        padded = record_size_padded(&record);
        if (padded > place->got)
            return false;
        if (record.index > source->index || moved(shard, source, i))
            continue;
        memmove(source->bytes + *size, bytes, padded);
        *size += padded;
    }
    return true;
}

static void piece_finish(struct shard *shard, struct shard_source *source)
{
    size_t size;

    source->building = false;
    if (source->built.from != source->at || source->walked || source->failed ||
        !source_current(source) || !shard->peers[source->to.member].up)
        return;
    if (!piece_pack(shard, source, &size)) {
        shard_fence(shard, source->replica, "a record that was synced does not check");
        return;
    }
    piece_send(shard, source, size);
}

void shard_source_read(struct shard *shard, struct shard_read *read, const uint8_t *bytes,
                       size_t size)
{
    struct shard_source *source = read->owner;
    struct shard_source_item *place = &source->places[read->part];

    assert(source->reads_left > 0);
    source->reads_left--;
    if (source->ended) {
        if (source->reads_left == 0)
            source_free(source);
        return;
    }
    if (bytes) {
        place->got = (uint32_t)(size < place->size ? size : place->size);
        memcpy(source->bytes + place->offset, bytes, place->got);
    } else {
        source->failed = true;
    }
    if (source->reads_left == 0)
        piece_finish(shard, source);
}

static uint64_t position_of(const struct keydir_item *item)
{
    return item->digest.high << 48 | item->digest.low >> 16;
}

static size_t piece_size_max(const struct shard *shard)
{
    uint64_t size = shard_snapshot_rate(shard) / 1000 * PIECE_MS;
    uint32_t most = shard->options.snapshot_piece_size;

    size = size > PIECE_MIN ? size : PIECE_MIN;
    return size < most ? (size_t)size : most;
}

/* The entries of the next piece, their places in the buffer and where the piece ends. */
static size_t piece_choose(struct shard *shard, struct shard_source *source)
{
    const size_t size_max = piece_size_max(shard);
    struct keydir_slice slice = {.from = source->at,
                                 .filter = KEYDIR_LIVE,
                                 .items_max = ITEMS_MAX,
                                 .walk_max = WALK_MAX,
                                 .items = source->items};
    size_t size = 0;

    source->built.from = source->at;
    for (uint32_t walks = 0; walks < WALKS_MAX; walks++) {
        store_slice(shard->store, source->replica->partition, &slice);
        if (slice.count > 0 || slice.next == 0)
            break;
        slice.from = slice.next;
    }
    source->built.next = slice.next;
    for (source->item_count = 0; source->item_count < slice.count; source->item_count++) {
        const struct keydir_item *item = &source->items[source->item_count];

        /* Ends before a record that makes it too large, but not between two of one position. */
        if (size > 0 && size + item->entry.size_max > size_max &&
            position_of(item) != position_of(item - 1)) {
            source->built.next = position_of(item);
            break;
        }
        source->places[source->item_count] =
            (struct shard_source_item){.offset = (uint32_t)size, .size = item->entry.size_max};
        size += item->entry.size_max;
    }
    return size;
}

static bool piece_room(struct shard_source *source, size_t size)
{
    uint8_t *grown;

    if (size <= source->capacity)
        return true;
    grown = realloc(source->bytes, size);
    if (!grown)
        return false;
    source->bytes = grown;
    source->capacity = size;
    return true;
}

static void piece_begin(struct shard *shard, struct shard_source *source)
{
    size_t size = piece_choose(shard, source);

    if (!piece_room(source, size > 0 ? size : 1)) {
        source->failed = true; /* given up; the next one may find memory */
        return;
    }
    source->building = true;
    source->reads_left = 1; /* until all have been started */
    for (uint32_t i = 0; i < source->item_count; i++) {
        struct shard_source_item *place = &source->places[i];
        store_location location = source->items[i].entry.location;
        const uint8_t *bytes;
        size_t got;

        if (store_peek(shard->store, location, place->size, &bytes, &got) == 0) {
            place->got = (uint32_t)got;
            memcpy(source->bytes + place->offset, bytes, got);
        } else if (shard_read_start(shard, SHARD_READ_SNAPSHOT, source, i, location, place->size)) {
            source->reads_left++;
        }
    }
    if (--source->reads_left == 0)
        piece_finish(shard, source);
}

static bool may_send(const struct shard *shard, const struct shard_source *source)
{
    return !source->building && !source->walked && !source->failed &&
           source->piece_count < PIECES_MAX && shard->now_ms >= source->pause_ms &&
           shard->peers[source->to.member].up && source_current(source) &&
           fifo_count(&shard->outgoing) < OUTGOING_MAX && budget_left(shard);
}

/* A piece each in turn: whoever has sent goes behind the others, so that all get on. */
void shard_sources_pump(struct shard *shard)
{
    struct shard_source **at = &shard->sources;

    if (shard->sources)
        budget_refill(shard);
    while (!shard->fatal && *at) {
        struct shard_source *source = *at;

        if (!may_send(shard, source)) {
            at = &source->next;
            continue;
        }
        piece_begin(shard, source);
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
    if (!source->walked && position > source->at)
        source->at = position;
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

    if (!source_current(source) || (source->acked > 0 && !fell_back))
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

static void on_ack(struct shard *shard, struct replica *replica,
                   const struct wire_snapshot_ack *ack)
{
    struct raft_replica peer = {.member = ack->from_member, .life = ack->from_life};
    struct raft_event fenced = {.kind = RAFT_EVENT_PEER_FENCED, .from = peer};
    struct raft_message news = {.kind = RAFT_APPEND_REPLY,
                                .reject = true,
                                .group = replica->partition,
                                .from = peer,
                                .to = replica->raft.options.self,
                                .term = ack->term};
    struct raft_event later = {.kind = RAFT_EVENT_MESSAGE, .message = &news};
    struct shard_source *source = source_find(shard, replica, ack->from_member);

    if (ack->kind == WIRE_SNAPSHOT_WANTED) {
        if (ack->term > replica->raft.term)
            shard_raft_event(shard, replica, &later);
        else
            shard_raft_event(shard, replica, &fenced);
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
    if (ack->kind == WIRE_SNAPSHOT_BUSY) {
        rewind_to(shard, source, source->acked);
        source->pause_ms = shard->now_ms + PAUSE_MS;
        if (ack->next != 0) /* else it has not even begun */
            source->patience_ms = BUSY_MS;
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

        if (replica && !replica->fenced && ack.from_member == member &&
            ack.to_member == shard->options.self && ack.to_life == replica->raft.options.self.life)
            on_ack(shard, replica, &ack);
    }
}
