#include "replication/shard_internal.h"

/* A follower has what the leader says every replica has: it need not keep it as log. */
static void retain(struct shard *shard, struct replica *replica, uint64_t first)
{
    struct raft_event event = {.kind = RAFT_EVENT_RETAIN};

    if (first > replica->raft.applied + 1)
        first = replica->raft.applied + 1;
    if (first <= replica->raft.log.first)
        return;
    event.index = first;
    shard_raft_event(shard, replica, &event);
    store_retain(shard->store, replica->partition, replica->raft.log.first);
}

void shard_beat_frame(struct shard *shard, uint16_t member, const struct link_message *message)
{
    struct wire_buffer acks = {0};
    struct wire_cursor cursor;
    struct wire_beat beat;
    struct wire_beat_head head;
    uint16_t group = 0;
    bool any = false;

    wire_cursor_init(&cursor, message->body, message->body_size);
    if (!wire_get_beat_head(&cursor, &head) || head.from != member)
        return;
    shard->peers[member].full = head.full;
    wire_put_beat_head(&acks, &(struct wire_beat_head){.from = shard->options.self,
                                                       .round = head.round,
                                                       .full = store_disk_full(shard->store),
                                                       .wall_ms = shard->wall_ms});
    while (!wire_cursor_done(&cursor) && wire_get_beat(&cursor, &beat, false)) {
        struct replica *replica = shard_replica(shard, beat.group);
        struct raft_event event = {.kind = RAFT_EVENT_BEAT,
                                   .from = {member, beat.from_life},
                                   .to_life = beat.to_life,
                                   .term = beat.term,
                                   .commit = beat.commit,
                                   .round = head.round};

        if (!replica)
            continue;
        if (!replica_serves(replica)) {
            shard_snapshot_want(shard, replica, event.from, beat.to_life);
            continue;
        }
        shard_raft_event(shard, replica, &event);
        if (!shard->beat_accepted)
            continue;
        retain(shard, replica, beat.first);
        wire_put_beat(&acks,
                      &(struct wire_beat){.group = beat.group,
                                          .from_life = beat.to_life,
                                          .to_life = beat.from_life,
                                          .term = beat.term},
                      true);
        group = beat.group;
        any = true;
    }
    if (any && shard->peers[member].up)
        shard_out(shard, shard_to_member(member), WIRE_BEAT_ACK,
                  shard_out_route(shard, member, group), 0, &acks);
    wire_buffer_deinit(&acks);
}

/* Who answers a heartbeat, which goes to all, first is asked first when somebody waits for a read.
 */
static void rank(struct shard *shard, struct shard_peer *peer, uint64_t round)
{
    if (round <= peer->beat_acked)
        return;
    if (round >= shard->probe_round && peer->beat_acked < shard->probe_round)
        peer->beat_rank = shard->probe_answers++;
    peer->beat_acked = round;
}

static void probe(struct shard *shard)
{
    for (uint16_t member = 1; member <= shard->member_count; member++)
        if (shard->peers[member].beat_acked < shard->probe_round)
            shard->peers[member].beat_rank = UINT32_MAX;
    shard->probe_round = shard->round;
    shard->probe_wall_ms = shard->wall_ms;
    shard->probe_answers = 0;
}

/* The peer read its clock after this heartbeat had left: it is behind by that much at least. */
static void compare_clocks(const struct shard *shard, struct shard_peer *peer,
                           const struct wire_beat_head *head)
{
    if (head->round != shard->probe_round || head->wall_ms == 0)
        return;
    peer->clock_known = true;
    peer->behind_ms = (int64_t)(shard->probe_wall_ms - head->wall_ms);
}

void shard_beat_ack_frame(struct shard *shard, uint16_t member, const struct link_message *message)
{
    struct wire_cursor cursor;
    struct wire_beat beat;
    struct wire_beat_head head;

    wire_cursor_init(&cursor, message->body, message->body_size);
    if (!wire_get_beat_head(&cursor, &head) || head.from != member)
        return;
    shard->peers[member].full = head.full;
    compare_clocks(shard, &shard->peers[member], &head);
    rank(shard, &shard->peers[member], head.round);
    while (!wire_cursor_done(&cursor) && wire_get_beat(&cursor, &beat, true)) {
        struct replica *replica = shard_replica(shard, beat.group);
        struct raft_event event = {.kind = RAFT_EVENT_BEAT_ACK,
                                   .from = {member, beat.from_life},
                                   .to_life = beat.to_life,
                                   .term = beat.term,
                                   .round = head.round};

        if (replica)
            shard_raft_event(shard, replica, &event);
    }
}

static void put_beat(struct shard *shard, struct replica *replica, const struct raft_progress *peer)
{
    const struct raft *raft = &replica->raft;
    struct wire_buffer *buffer = shard_out_beat(shard, peer->replica.member, replica->partition);

    if (!buffer)
        return;
    wire_put_beat(buffer,
                  &(struct wire_beat){
                      .group = replica->partition,
                      .from_life = raft->options.self.life,
                      .to_life = peer->replica.life,
                      .term = raft->term,
                      .commit = raft->commit < peer->match ? raft->commit : peer->match,
                      .first = replica->first_needed,
                  },
                  false);
}

/* The voter that is up, was not taken yet and answers quickest; NULL: none. */
static const struct raft_progress *quickest(const struct shard *shard, const struct raft *raft,
                                            uint32_t taken)
{
    const struct raft_progress *best = NULL;

    for (uint32_t i = 0; i < raft->peer_count; i++) {
        const struct raft_progress *peer = &raft->peers[i];
        const struct shard_peer *link = &shard->peers[peer->replica.member];

        if (peer->replica.member == shard->options.self || !peer->voter || !link->up ||
            taken >> i & 1)
            continue;
        if (!best || link->beat_rank < shard->peers[best->replica.member].beat_rank)
            best = peer;
    }
    return best;
}

/* A read needs a majority, not everyone: as many are asked as make one with the leader. Should one
 * of them not answer, the next heartbeat asks all, and puts it behind the others. */
static void beat_majority(struct shard *shard, struct replica *replica)
{
    const struct raft *raft = &replica->raft;
    uint32_t taken = 0;

    for (uint32_t needed = raft->config.voter_count / 2; needed > 0; needed--) {
        const struct raft_progress *peer = quickest(shard, raft, taken);

        if (!peer)
            return;
        taken |= 1u << (peer - raft->peers);
        put_beat(shard, replica, peer);
    }
}

static void beat_replica(struct shard *shard, struct replica *replica, bool all)
{
    const struct raft *raft = &replica->raft;

    replica->beat_wanted = false;
    if (!all && raft->config.voter_old_count == 0) {
        beat_majority(shard, replica);
        return;
    }
    for (uint32_t i = 0; i < raft->peer_count; i++)
        if (raft->peers[i].replica.member != shard->options.self)
            put_beat(shard, replica, &raft->peers[i]);
}

/* Each heartbeat_ms one frame a node pair for all groups that led here; in between one for those
 * that have a read waiting, to as many peers as it takes. */
void shard_beats_build(struct shard *shard)
{
    bool due = shard->now_ms >= shard->beat_due_ms;
    bool any = false;

    for (struct replica *replica = shard->touched_first; replica && !due;
         replica = replica->touched_next) {
        if (replica->raft.role != RAFT_LEADER || !replica_serves(replica) || !replica->beat_wanted)
            continue;
        shard->round += !any;
        any = true;
        beat_replica(shard, replica, false);
    }
    if (!due)
        return;
    shard->round++;
    probe(shard);
    for (size_t i = 0; i < shard->hosted_count; i++)
        if (replica_leads(shard->hosted[i]))
            beat_replica(shard, shard->hosted[i], true);
    shard->beat_due_ms = shard->now_ms + shard->options.heartbeat_ms;
}
