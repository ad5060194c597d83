#include "replication/shard_internal.h"

#define DUTY_MS          100u
#define LEADER_SETTLE_MS 1500u /* a new leader, or a peer that came back, is left alone so long */
#define TRANSFERS_MAX    32u   /* begun in one round of duties */

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
    shard_retain_measure(shard);
    for (size_t i = 0; i < shard->hosted_count; i++) {
        struct replica *replica = shard->hosted[i];

        if (!replica_serves(replica)) {
            shard_retain_fenced(shard, replica);
            continue;
        }
        shard_relocate(shard, replica, shard_retain_segments(shard));
        shard_retain(shard, replica);
        if (replica_leads(replica) && !shard->drain_until_ms && transfers < TRANSFERS_MAX)
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
