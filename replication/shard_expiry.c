/* Time, and what it ends.
 *
 * A deadline alone removes nothing. A key is there until a delete of it is in the log, so that all
 * replicas agree on when it went, whatever their clocks say, and no older value shows again: a
 * leader that finds an expired value proposes the delete, and what it answers by it waits for that
 * delete to be committed, as for any pending write it has observed. The delete cannot hit another
 * version: look-up and proposal are one step, at the head of the key's queue.
 *
 * Logged time: the delete carries, in the place of a deadline, the time by which the value was
 * found expired. Every replica keeps the highest such time in its log (logged_ms; also in
 * checkpoints), and a leader's time is never behind it. So time, as far as anybody has seen it
 * pass, does not go back with a change of leader: what had a deadline before some key's delete is
 * expired from then on. It is kept when appended, before the commit: an entry that is truncated was
 * still a leader's true reading. Puts need no time of their own: their deadlines are absolute.
 *
 * A clock that is ahead must not end values early, nor push logged time where no other clock will
 * be for long: a leader that is ahead of most voters by a second logs no time. Its time stands
 * still at the logged one, operations that count from its clock are refused (TRYAGAIN), and it
 * hands over to one that is behind (shard_duty.c). With two voters, or while peers are silent,
 * nobody can tell.
 *
 * What nobody reads goes too: the leader takes up what is due (deadlines.h), looks at the record,
 * and proposes deletes of many keys as one entry. What it does between two ticks is bounded in
 * bytes looked at. A key at which operations are queued is left for the next time: their head may
 * have read already what it will write over.
 */
#include "replication/shard_internal.h"

#include <assert.h>
#include <string.h>

#define EXAMINE_SIZE_MAX (4u << 20) /* bytes of records looked at in one round of duties */
#define EXAMINE_COST     512u       /* of any, in bytes */
#define SLICE_MAX        128u
#define SLICE_WALK_MAX   4096u /* entries of the keydir */
#define READS_MAX        32u   /* read jobs at once */
#define DELETES_MAX      256u  /* in one entry */
#define RETRY_MS         60000u

/* What the monotonic clock does not share is a jump. It is known at once, not at the next answer of
 * the peers. */
void shard_clock(struct shard *shard, const struct shard_event *event)
{
    int64_t jump =
        (int64_t)(event->wall_ms - shard->wall_ms) - (int64_t)(event->now_ms - shard->now_ms);

    if (shard->wall_ms == 0 || (jump < SHARD_CLOCK_AHEAD_MS && jump > -SHARD_CLOCK_AHEAD_MS))
        return;
    shard->probe_wall_ms += (uint64_t)jump;
    for (uint16_t member = 1; member <= shard->member_count; member++)
        shard->peers[member].behind_ms += jump;
}

bool shard_clock_ahead(const struct shard *shard, const struct replica *replica)
{
    const struct raft *raft = &replica->raft;
    uint32_t voters = 0, behind = 0;

    for (uint32_t i = 0; i < raft->peer_count; i++) {
        const struct shard_peer *peer = &shard->peers[raft->peers[i].replica.member];

        if (!raft->peers[i].voter)
            continue;
        voters++;
        behind += peer->clock_known && peer->behind_ms >= SHARD_CLOCK_AHEAD_MS;
    }
    return behind * 2 > voters;
}

uint64_t shard_time(const struct shard *shard, const struct replica *replica)
{
    if (shard_clock_ahead(shard, replica))
        return replica->logged_ms;
    return shard->wall_ms > replica->logged_ms ? shard->wall_ms : replica->logged_ms;
}

void shard_log_time(struct replica *replica, const struct record *record)
{
    if (record->kind == RECORD_KIND_DELETE && (record->flags & RECORD_FLAG_EXPIRES) &&
        record->expiry_ms > replica->logged_ms)
        replica->logged_ms = record->expiry_ms;
}

static bool expired(const struct command_value *value, uint64_t time_ms)
{
    return value->found && value->expiry_ms != 0 && value->expiry_ms <= time_ms;
}

/* A key that is named twice is deleted twice, which does no harm. */
static size_t build_deletes(struct shard *shard, const struct shard_request *request,
                            uint64_t time_ms)
{
    size_t count = 0;

    for (uint32_t key = 0; key < request->key_count; key++) {
        const struct wire_bytes *name = &request->args[key * request->stride];

        if (!expired(&shard->values[key], time_ms))
            continue;
        shard->records[count] = (struct record){.kind = RECORD_KIND_DELETE,
                                                .flags = RECORD_FLAG_EXPIRES,
                                                .expiry_ms = time_ms,
                                                .key = name->data,
                                                .key_size = name->size};
        shard->record_digests[count++] = request->digests[key];
    }
    return count;
}

int shard_expire_values(struct shard *shard, struct replica *replica,
                        const struct shard_request *request, uint64_t *observed)
{
    uint64_t time_ms = shard_time(shard, replica);
    size_t count;
    int r;

    if (command_needs(request->op->operation, request->op->flags) == COMMAND_NEEDS_NONE)
        return 0;
    count = build_deletes(shard, request, time_ms);
    if (count == 0)
        return 0;
    if (!mutant(MUTANT_EXPIRED_RESURRECTS)) {
        r = shard_propose(shard, replica, shard->records, shard->record_digests, count);
        if (r != 0)
            return r;
        *observed = replica->raft.log.last;
    }
    for (uint32_t key = 0; key < request->key_count; key++)
        if (expired(&shard->values[key], time_ms))
            shard->values[key] = (struct command_value){0};
    return 0;
}

static bool may_expire(const struct shard *shard, const struct replica *replica)
{
    const struct raft *raft = &replica->raft;

    return replica_leads(replica) && !raft->transfer_to && !replica->noop_owed &&
           raft->applied >= raft->term_start && replica != shard->meta && !shard->drain_until_ms;
}

void shard_expiry_begin(struct replica *replica)
{
    deadlines_clear(&replica->expiry.deadlines);
    replica->expiry.walks = false;
}

void shard_expiry_note(struct replica *replica, const struct record *record,
                       const struct keydir_digest *digest)
{
    if (record->kind == RECORD_KIND_PUT && (record->flags & RECORD_FLAG_EXPIRES))
        deadlines_note(&replica->expiry.deadlines, record->expiry_ms, digest);
}

/* Deletes that cannot be proposed now are due again. */
static void deletes_propose(struct shard *shard, struct replica *replica)
{
    uint32_t count = shard->expiry.deletes;

    shard->expiry.deletes = 0;
    shard->expiry.keys_size = 0;
    if (count == 0 ||
        shard_propose(shard, replica, shard->records, shard->record_digests, count) == 0)
        return;
    for (uint32_t i = 0; i < count; i++)
        deadlines_note(&replica->expiry.deadlines, shard->records[i].expiry_ms,
                       &shard->record_digests[i]);
}

/* There is room for one more, always. */
static void deletes_add(struct shard *shard, struct replica *replica, const struct record *expired,
                        const struct keydir_digest *digest)
{
    uint8_t *key = shard->expiry.keys + shard->expiry.keys_size;

    memcpy(key, expired->key, expired->key_size);
    shard->expiry.keys_size += expired->key_size;
    shard->records[shard->expiry.deletes] = (struct record){.kind = RECORD_KIND_DELETE,
                                                            .flags = RECORD_FLAG_EXPIRES,
                                                            .expiry_ms = shard_time(shard, replica),
                                                            .key = key,
                                                            .key_size = expired->key_size};
    shard->record_digests[shard->expiry.deletes++] = *digest;
    if (shard->expiry.deletes == DELETES_MAX ||
        shard->expiry.keys_size + RECORD_KEY_SIZE_MAX > SHARD_EXPIRY_KEYS_SIZE)
        deletes_propose(shard, replica);
}

/* A record that was at location: is it to go? */
static void examine(struct shard *shard, struct replica *replica, const uint8_t *bytes, size_t size,
                    store_location location)
{
    struct keydir_digest digest;
    struct shard_place place;
    struct record record;
    int r;

    if (record_decode_header(bytes, size, &record) != 0 || record.partition != replica->partition ||
        record.kind != RECORD_KIND_PUT || !(record.flags & RECORD_FLAG_EXPIRES))
        return; /* a read of it will find out */
    digest = shard_record_digest(shard, &record);
    if (record.expiry_ms > shard_time(shard, replica)) {
        deadlines_note(&replica->expiry.deadlines, record.expiry_ms, &digest);
        return;
    }
    shard_find_place(shard, replica, &digest, &place);
    if (!place.found || !place.expires)
        return;
    r = place.location != location ||
                keyqueue_blocked(&shard->keyqueue, replica->partition, &digest, 1)
            ? STORE_E_AGAIN
            : store_decrypt(shard->store, &record);
    if (r == 0)
        deletes_add(shard, replica, &record, &digest);
    else if (r == STORE_E_AGAIN || r == STORE_E_NO_KEY)
        deadlines_note(&replica->expiry.deadlines, record.expiry_ms, &digest);
}

/* False: no more reads can be begun now. */
static bool look_at(struct shard *shard, struct replica *replica, store_location location,
                    uint32_t record_size, size_t *budget)
{
    size_t cost = record_size + EXAMINE_COST;
    const uint8_t *bytes;
    size_t size;
    int r;

    if (shard->expiry.reads == READS_MAX)
        return false;
    *budget -= cost < *budget ? cost : *budget;
    r = store_peek(shard->store, location, record_size, &bytes, &size);
    if (r == 0)
        examine(shard, replica, bytes, size, location);
    else if (r == STORE_E_AGAIN)
        shard->expiry.reads +=
            shard_read_start(shard, SHARD_READ_EXPIRY, replica, 0, location, record_size);
    else
        deadlines_limit(&replica->expiry.deadlines, shard_time(shard, replica) + RETRY_MS);
    return true;
}

void shard_expiry_read(struct shard *shard, struct shard_read *read, const uint8_t *bytes,
                       size_t size)
{
    struct replica *replica = read->owner;

    assert(shard->expiry.reads > 0);
    shard->expiry.reads--;
    if (!may_expire(shard, replica))
        return;
    if (!bytes)
        deadlines_limit(&replica->expiry.deadlines, shard_time(shard, replica) + RETRY_MS);
    else
        examine(shard, replica, bytes, size, read->location);
    deletes_propose(shard, replica);
}

static void take_due(struct shard *shard, struct replica *replica, size_t *budget)
{
    uint64_t time_ms = shard_time(shard, replica);
    struct keydir_digest digest;
    struct shard_place place;
    uint32_t count = replica->expiry.deadlines.count; /* those that are noted again wait */

    while (*budget > 0 && count-- > 0 && shard->expiry.reads < READS_MAX &&
           deadlines_take(&replica->expiry.deadlines, time_ms, &digest)) {
        shard_find_place(shard, replica, &digest, &place);
        if (place.found && place.expires)
            (void)look_at(shard, replica, place.location, place.size, budget);
    }
}

static void walk(struct shard *shard, struct replica *replica, size_t *budget)
{
    struct keydir_item items[SLICE_MAX];
    struct keydir_slice slice = {.filter = KEYDIR_EXPIRING,
                                 .items_max = SLICE_MAX,
                                 .walk_max = SLICE_WALK_MAX,
                                 .items = items};

    if (!replica->expiry.walks) {
        deadlines_cover(&replica->expiry.deadlines);
        replica->expiry.walk_at = 0;
        replica->expiry.walks = store_expiring(shard->store, replica->partition) > 0;
    }
    while (replica->expiry.walks && *budget > 0 && shard->expiry.reads < READS_MAX) {
        slice.from = replica->expiry.walk_at;
        store_slice(shard->store, replica->partition, &slice);
        replica->expiry.walk_at = slice.next;
        replica->expiry.walks = slice.next != 0;
        *budget -= EXAMINE_COST < *budget ? EXAMINE_COST : *budget;
        for (uint32_t i = 0; i < slice.count; i++)
            if (!look_at(shard, replica, items[i].entry.location, items[i].entry.size_max,
                         budget)) {
                replica->expiry.walk_at = keydir_position(&items[i].digest);
                replica->expiry.walks = true;
                return;
            }
    }
}

void shard_expiry_duty(struct shard *shard)
{
    size_t budget = mutant(MUTANT_EXPIRED_RESURRECTS) ? 0 : EXAMINE_SIZE_MAX;

    for (size_t i = 0; i < shard->hosted_count && budget > 0; i++) {
        struct replica *replica = shard->hosted[(shard->expiry.turn + i) % shard->hosted_count];
        const struct deadlines *deadlines = &replica->expiry.deadlines;

        if (!may_expire(shard, replica))
            continue;
        if (deadlines->count > 0)
            take_due(shard, replica, &budget);
        if (replica->expiry.walks || shard_time(shard, replica) >= deadlines->horizon_ms)
            walk(shard, replica, &budget);
        deletes_propose(shard, replica);
    }
    shard->expiry.turn++;
}
