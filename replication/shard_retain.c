#include "replication/shard_retain.h"

#include "replication/shard_internal.h"

#define FILES_SHARE  4u /* of all files, that log may take, */
#define SPARED_SHARE 2u /* and for those who gain */
#define LOG_SIZE_MIN (UINT64_C(16) << 20)

/* --- bounds -------------------------------------------------------------------------------- */

/* Bytes of that part of all files; 0: no bound. */
static uint64_t files_size(const struct shard *shard, uint32_t share)
{
    return (uint64_t)shard->options.store.files_max / share * store_segment_size(shard->store);
}

/* Log that is kept beside little data would cost more disk than the snapshot that it spares; that
 * of small segments, more files than there may be. */
static uint64_t log_bound(const struct shard *shard)
{
    uint64_t bound = store_live(shard->store) / 2, files = files_size(shard, FILES_SHARE);

    bound = bound > LOG_SIZE_MIN ? bound : LOG_SIZE_MIN;
    bound = files == 0 || bound < files ? bound : files;
    return bound < shard->options.log_size_max ? bound : shard->options.log_size_max;
}

uint64_t shard_retain_segments(const struct shard *shard)
{
    uint64_t bound = log_bound(shard);
    uint64_t segments = 2 * (uint64_t)store_segment_size(shard->store);

    return bound > segments ? bound : segments;
}

/* The same for those of this group who gain. */
static uint64_t spared_bound(const struct shard *shard, const struct replica *replica,
                             uint64_t bound)
{
    uint64_t far = bound * SHARD_RETAIN_FAR, files = files_size(shard, SPARED_SHARE);

    if (store_disk_full(shard->store))
        return bound;
    far = far > 2 * replica->kept_size ? far : 2 * replica->kept_size;
    far = files == 0 || far < files ? far : files;
    return far > bound ? far : bound;
}

bool shard_retain_is_over(const struct shard *shard)
{
    uint64_t files = files_size(shard, SPARED_SHARE);

    return files != 0 && shard->tail_size > files;
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

/* The first index that is within both measures. An idle group's last entries must not hold up the
 * segments of all the others. */
static uint64_t first_bounded(const struct shard *shard, const struct replica *replica,
                              uint64_t log_size, uint64_t segments_size)
{
    uint64_t first = first_within(shard, &replica->raft, log_size);
    uint64_t wanted = store_retain_wanted(shard->store, replica->partition, segments_size);

    return first > wanted ? first : wanted;
}

/* --- who needs it -------------------------------------------------------------------------- */

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

/* The lowest index that some peer lacks. */
static uint64_t first_lacked(const struct shard *shard, const struct raft *raft)
{
    uint64_t first = raft->applied + 1;

    for (uint32_t i = 0; i < raft->peer_count; i++)
        if (holds_log(shard, &raft->peers[i]) && log_held(&raft->peers[i]) + 1 < first)
            first = log_held(&raft->peers[i]) + 1;
    return first;
}

static bool gains(const struct shard *shard, const struct raft_progress *peer)
{
    return peer->replica.member != shard->options.self && !peer->snapshot_wanted &&
           shard->now_ms < peer->match_ms + SHARD_RETAIN_GAIN_MS;
}

/* The lowest index that one of those lacks who gain. */
static uint64_t first_gained(const struct shard *shard, const struct raft *raft)
{
    uint64_t first = raft->applied + 1;

    for (uint32_t i = 0; i < raft->peer_count; i++)
        if (gains(shard, &raft->peers[i]) && raft->peers[i].match + 1 < first)
            first = raft->peers[i].match + 1;
    return first;
}

/* --- duties -------------------------------------------------------------------------------- */

void shard_retain_measure(struct shard *shard)
{
    shard->log_size = 0;
    for (size_t i = 0; i < shard->hosted_count; i++)
        shard->log_size += shard->hosted[i]->raft.log.size;
    shard->tail_size = store_log_bytes(shard->store);
}

static bool sends_snapshot(const struct raft *raft)
{
    for (uint32_t i = 0; i < raft->peer_count; i++)
        if (raft->peers[i].snapshot != 0)
            return true;
    return false;
}

/* The first index that is kept when the log is over its bound. */
static uint64_t first_forced(const struct shard *shard, struct replica *replica)
{
    const struct raft *raft = &replica->raft;
    uint64_t log = log_bound(shard), segments = shard_retain_segments(shard);
    uint64_t first = first_bounded(shard, replica, log, segments);
    uint64_t gained = first_gained(shard, raft), spared;

    if (sends_snapshot(raft)) /* what it relies on is kept in any case */
        replica->kept_size = shard->tail_size;
    else if (gained >= first)
        replica->kept_size = 0;
    if (gained >= first)
        return first;
    spared = first_bounded(shard, replica, spared_bound(shard, replica, log),
                           spared_bound(shard, replica, segments));
    return gained > spared ? gained : spared;
}

static void let_go(struct shard *shard, struct replica *replica, uint64_t first)
{
    struct raft_event event = {.kind = RAFT_EVENT_RETAIN, .index = first};

    if (first <= replica->raft.log.first)
        return;
    shard_raft_event(shard, replica, &event);
    store_retain(shard->store, replica->partition, replica->raft.log.first);
}

/* Log that some replica of the group may still ask for is kept, up to a bound: beyond it a
 * snapshot is the cheaper help. Followers learn the index from the beats. */
static void leader_retain(struct shard *shard, struct replica *replica)
{
    uint64_t first = first_lacked(shard, &replica->raft), max = raft_retain_max(&replica->raft);
    uint64_t forced = first_forced(shard, replica);

    first -= first < shard->options.retain_entries_min ? first : shard->options.retain_entries_min;
    first = first > forced ? first : forced;
    first = first < max ? first : max;
    if (first > replica->first_needed)
        replica->first_needed = first;
    let_go(shard, replica, first);
}

/* A follower's journal may be another than its leader's: it lets go for itself. */
static void follower_retain(struct shard *shard, struct replica *replica)
{
    uint64_t max = raft_retain_max(&replica->raft);
    uint64_t first =
        store_retain_wanted(shard->store, replica->partition, shard_retain_segments(shard));

    replica->kept_size = 0;
    let_go(shard, replica, first < max ? first : max);
}

void shard_retain(struct shard *shard, struct replica *replica)
{
    if (replica_leads(replica))
        leader_retain(shard, replica);
    else
        follower_retain(shard, replica);
}

/* As much as for those who gain, and nothing while the disk is full. */
static bool fenced_holds_up(const struct shard *shard)
{
    return shard->tail_size > SHARD_RETAIN_FAR * shard_retain_segments(shard) ||
           shard_retain_is_over(shard) || store_disk_full(shard->store);
}

void shard_retain_fenced(struct shard *shard, struct replica *replica)
{
    /* If a crash brings back one that leaves, or whose content is being replaced, it may be sound.
     * Where the store takes nothing any more, it may know nothing of it. */
    if (!replica_fenced(replica) || !shard_takes_snapshot(shard, replica) ||
        !fenced_holds_up(shard))
        return;
    replica->fence.log_gone = true;
    store_retain(shard->store, replica->partition, UINT64_MAX);
}
