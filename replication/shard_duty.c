#include "replication/shard_internal.h"

#define DUTY_MS          100u
#define LEADER_SETTLE_MS 1500u /* a new leader, or a peer that came back, is left alone so long */
#define AWAY_MS          2000u /* without any answer */
#define FAR_OVER         8u    /* times the log's bound */
#define FILES_SHARE      4u    /* of all files, that log may take */
#define LOG_SIZE_MIN     (UINT64_C(16) << 20)
#define TRANSFERS_MAX    32u /* begun in one round of duties */

/* The index behind which log is kept for it, if it is heard. None when only a snapshot helps it,
 * unless it has the beginning of one. */
static uint64_t log_held(const struct raft_progress *peer)
{
    if (peer->snapshot_wanted)
        return peer->snapshot_left != 0 ? peer->snapshot_left : UINT64_MAX - 1;
    return peer->match;
}

/* Does it hold log back? Not after a long silence. */
static bool holds_log(const struct shard *shard, const struct raft_progress *peer)
{
    return peer->replica.member == shard->options.self ||
           shard->now_ms < peer->heard_ms + shard->options.log_ms_max;
}

/* The lowest index that such a peer lacks, of those heard within so many ms. */
static uint64_t first_lacked(const struct shard *shard, const struct raft *raft, uint32_t heard_ms)
{
    uint64_t first = raft->applied + 1;

    for (uint32_t i = 0; i < raft->peer_count; i++) {
        const struct raft_progress *peer = &raft->peers[i];

        if (holds_log(shard, peer) && shard->now_ms < peer->heard_ms + heard_ms &&
            log_held(peer) + 1 < first)
            first = log_held(peer) + 1;
    }
    return first;
}

/* Log that is kept beside little data would cost more disk than the snapshot that it spares; that
 * of small segments, more files than there may be. */
static uint64_t log_bound(const struct shard *shard)
{
    uint64_t bound = store_live(shard->store) / 2;
    uint64_t files =
        (uint64_t)shard->options.store.files_max / FILES_SHARE * store_segment_size(shard->store);

    bound = bound > LOG_SIZE_MIN ? bound : LOG_SIZE_MIN;
    bound = files == 0 || bound < files ? bound : files;
    return bound < shard->options.log_size_max ? bound : shard->options.log_size_max;
}

/* Every group keeps a part of so many bytes in proportion, the newest of its log. */
static uint64_t first_within(const struct shard *shard, const struct raft *raft, uint64_t bound)
{
    const struct raft_log *log = &raft->log;
    uint64_t size = log->size, first = log->first, size_max;

    if (shard->log_size <= bound)
        return first;
    size_max = (uint64_t)((double)size * (double)bound / (double)shard->log_size);
    while (first <= raft->applied && size > size_max)
        size -= raft_log_at(log, first++)->size;
    return first;
}

/* Over its bound, the shard's log lets go of those that are away; of those that are there and take
 * what they are sent only when it is far over: their snapshots would never end. */
static uint64_t first_forced(const struct shard *shard, const struct raft *raft)
{
    uint64_t bound = log_bound(shard);
    uint64_t first = first_within(shard, raft, bound);
    uint64_t there = first_lacked(shard, raft, AWAY_MS);
    uint64_t far = first_within(shard, raft, bound * FAR_OVER);

    first = first < there ? first : there;
    return first > far ? first : far;
}

/* What the segments that are log may take together. */
static uint64_t segments_bound(const struct shard *shard)
{
    uint64_t bound = log_bound(shard);
    uint64_t segments = 2 * (uint64_t)store_segment_size(shard->store);

    return bound > segments ? bound : segments;
}

/* An idle group's last entries must not hold up the segments of all the others. */
static uint64_t first_wanted(const struct shard *shard, const struct replica *replica)
{
    return store_retain_wanted(shard->store, replica->partition, segments_bound(shard));
}

/* Log that some replica of the group may still ask for is kept, up to a bound: beyond it a
 * snapshot is the cheaper help. Followers learn the index from the beats. */
static void retain_log(struct shard *shard, struct replica *replica)
{
    struct raft_event event = {.kind = RAFT_EVENT_RETAIN};
    const struct raft *raft = &replica->raft;
    uint64_t first = first_lacked(shard, raft, UINT32_MAX), max = raft_retain_max(raft);
    uint64_t forced = first_forced(shard, raft);
    uint64_t wanted = first_wanted(shard, replica);

    first -= first < shard->options.retain_entries_min ? first : shard->options.retain_entries_min;
    first = first > forced ? first : forced;
    first = first > wanted ? first : wanted;
    first = first < max ? first : max;
    if (first > replica->first_needed)
        replica->first_needed = first;
    if (first <= raft->log.first)
        return;
    event.index = first;
    shard_raft_event(shard, replica, &event);
    store_retain(shard->store, replica->partition, raft->log.first);
}

/* A follower's journal may be another than its leader's: it lets go for itself. */
static void retain_wanted(struct shard *shard, struct replica *replica)
{
    struct raft_event event = {.kind = RAFT_EVENT_RETAIN, .index = first_wanted(shard, replica)};
    const struct raft *raft = &replica->raft;
    uint64_t max = raft_retain_max(raft);

    event.index = event.index < max ? event.index : max;
    if (event.index <= raft->log.first)
        return;
    shard_raft_event(shard, replica, &event);
    store_retain(shard->store, replica->partition, raft->log.first);
}

static void log_measure(struct shard *shard)
{
    shard->log_size = 0;
    for (size_t i = 0; i < shard->hosted_count; i++)
        shard->log_size += shard->hosted[i]->raft.log.size;
}

/* None whose clock is ahead: it would have to hand over again. */
bool shard_ready_to_lead(const struct shard *shard, const struct replica *replica, uint16_t member)
{
    const struct shard_peer *peer = &shard->peers[member];
    const struct raft_progress *progress = raft_peer(&replica->raft, member);

    return peer->up && !peer->full && peer->behind_ms > -SHARD_CLOCK_AHEAD_MS &&
           shard->now_ms >= peer->up_since_ms + LEADER_SETTLE_MS && progress && progress->voter &&
           progress->match + 64 >= replica->raft.log.last &&
           progress->heard_ms + 2 * shard->options.heartbeat_ms >= shard->now_ms;
}

bool shard_leader_settled(const struct shard *shard, const struct replica *replica)
{
    return shard->now_ms >= replica->leader_since_ms + LEADER_SETTLE_MS;
}

/* A leader without disk for values makes room for one that has it; one whose clock is ahead for one
 * whose is not. */
static bool leave(struct shard *shard, struct replica *replica, bool ahead)
{
    struct raft_event event = {.kind = RAFT_EVENT_TRANSFER};
    const struct raft *raft = &replica->raft;

    if (raft->transfer_to || !shard_leader_settled(shard, replica))
        return false;
    for (uint32_t i = 0; i < raft->peer_count && !event.from.member; i++)
        if (raft->peers[i].replica.member != shard->options.self &&
            shard_ready_to_lead(shard, replica, raft->peers[i].replica.member) &&
            (!ahead ||
             shard->peers[raft->peers[i].replica.member].behind_ms >= SHARD_CLOCK_AHEAD_MS))
            event.from.member = raft->peers[i].replica.member;
    if (!event.from.member)
        return false;
    shard_raft_event(shard, replica, &event);
    return true;
}

static bool change_leader(struct shard *shard, struct replica *replica)
{
    bool ahead = shard_clock_ahead(shard, replica);

    return (ahead || store_disk_full(shard->store)) && leave(shard, replica, ahead);
}

void shard_duty(struct shard *shard)
{
    uint32_t transfers = 0;

    if (shard->now_ms < shard->duty_due_ms) {
        shard_moves_in_between(shard);
        return;
    }
    shard->duty_due_ms = shard->now_ms + DUTY_MS;
    shard_operations_expire(shard);
    shard_targets_step(shard);
    shard_room_duty(shard);
    shard_sources_duty(shard);
    log_measure(shard);
    for (size_t i = 0; i < shard->hosted_count; i++) {
        struct replica *replica = shard->hosted[i];

        if (replica->fenced)
            continue;
        shard_relocate(shard, replica, segments_bound(shard));
        if (!replica_leads(replica)) {
            retain_wanted(shard, replica);
            continue;
        }
        retain_log(shard, replica);
        if (!shard->drain_until_ms && transfers < TRANSFERS_MAX)
            transfers += change_leader(shard, replica);
    }
    shard_moves_duty(shard);
    shard_lives_duty(shard);
    shard_expiry_duty(shard);
    shard_dictionary_duty(shard);
    shard_load_duty(shard);
    shard_balance_duty(shard);
    shard_finish_duty(shard);
}

/* Who of those that are there is nearest to the end of the log; 0 when nobody is. */
static uint16_t heir_of(const struct shard *shard, const struct replica *replica)
{
    const struct raft_progress *best = NULL;

    for (uint32_t i = 0; i < replica->raft.peer_count; i++) {
        const struct raft_progress *peer = &replica->raft.peers[i];
        uint16_t member = peer->replica.member;

        if (member != shard->options.self && peer->voter && shard->peers[member].up &&
            (!best || peer->match > best->match))
            best = peer;
    }
    return best ? best->replica.member : 0;
}

/* Hands every leadership to an heir. */
void shard_drain_step(struct shard *shard)
{
    for (size_t i = 0; i < shard->hosted_count; i++) {
        struct replica *replica = shard->hosted[i];
        struct raft_event event = {.kind = RAFT_EVENT_TRANSFER};

        if (!replica_leads(replica) || replica->raft.transfer_to)
            continue;
        event.from.member = heir_of(shard, replica);
        if (event.from.member != 0)
            shard_raft_event(shard, replica, &event);
    }
}

bool shard_drained(const struct shard *shard)
{
    if (!shard->drain_until_ms)
        return false;
    if (shard->now_ms >= shard->drain_until_ms)
        return true;
    for (size_t i = 0; i < shard->hosted_count; i++)
        if (replica_leads(shard->hosted[i]) && heir_of(shard, shard->hosted[i]) != 0)
            return false;
    return shard->in_flight == 0;
}
