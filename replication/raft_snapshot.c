#include "replication/raft_internal.h"

#include <assert.h>

/* --- leader -------------------------------------------------------------------------------- */

void raft_snapshot_want(struct raft_progress *peer, struct raft_effects *effects)
{
    peer->inflight_size = 0;
    peer->inflight_messages = 0;
    peer->snapshot_wanted = true;
    effects->snapshot_wanted = true;
}

/* Do so many others of one half of the configuration hold the entry that each of its majorities has
 * one of them in it, beside the peer? */
static bool half_holds(const struct raft *raft, const struct raft_progress *without, bool old,
                       uint64_t index)
{
    uint32_t count = 0, held = 0;
    bool votes = old ? without->voter_old : without->voter;

    for (uint32_t i = 0; i < raft->peer_count; i++) {
        const struct raft_progress *peer = &raft->peers[i];

        if (!(old ? peer->voter_old : peer->voter))
            continue;
        count++;
        held += peer != without && raft_match(raft, peer) >= index;
    }
    return count == 0 || held + (votes && count % 2 == 0) >= quorum_size(count);
}

/* A peer that lost its log may have forgotten a later term, its vote in it, and what it helped to
 * commit there. So this leader must be known to be still the newest, by others, and by more than
 * that they heard of no other yet: a vote that was forgotten may be on its way to a candidate. An
 * entry that was appended behind the report is proof. Who holds it was in no later term when it
 * took it, and votes for nobody without it since; the forgotten votes are for such only.
 * What it may have helped to commit in this term lies before that entry, in an earlier one before
 * the own no-op. One that only lags needs no such care: without it there might be no quorum. */
static bool covers_fenced(const struct raft *raft, const struct raft_progress *peer, uint64_t index)
{
    if (peer->fenced == RAFT_FENCED_UNHEARD)
        return false;
    return peer->fenced == 0 || (index >= raft->term_start && index >= peer->fenced &&
                                 half_holds(raft, peer, false, peer->fenced + 1) &&
                                 half_holds(raft, peer, true, peer->fenced + 1));
}

bool raft_repair_waits(const struct raft *raft, uint16_t member)
{
    const struct raft_progress *peer = raft_peer(raft, member);

    return raft->role == RAFT_LEADER && peer && peer->fenced != 0 && raft->log.last <= peer->fenced;
}

/* What an earlier leader began for a learner can be gone on with only behind the own no-op, and no
 * learner is needed for that one's quorum. */
static bool comes_too_early(const struct raft *raft, const struct raft_progress *peer)
{
    return !peer->voter && !peer->voter_old && raft->applied < raft->term_start;
}

void raft_on_snapshot_begin(struct raft *raft, const struct raft_event *event,
                            struct raft_effects *effects)
{
    struct raft_progress *peer = raft_find(raft, event->from);

    assert(event->index <= raft->applied);
    if (raft->role != RAFT_LEADER || !peer || !peer->snapshot_wanted ||
        !covers_fenced(raft, peer, event->index) || comes_too_early(raft, peer) ||
        event->index + 1 < raft->log.first) {
        effects->refused = true;
        return;
    }
    peer->snapshot = event->index;
}

void raft_on_snapshot_failed(struct raft *raft, const struct raft_event *event)
{
    struct raft_progress *peer = raft_find(raft, event->from);

    if (!peer || peer->snapshot == 0)
        return;
    peer->snapshot_left = event->index != 0 ? peer->snapshot : 0;
    peer->snapshot = 0;
}

void raft_on_peer_fenced(struct raft *raft, const struct raft_event *event,
                         struct raft_effects *effects)
{
    struct raft_progress *peer = raft_find(raft, event->from);
    uint64_t heard_ms;

    if (raft->role != RAFT_LEADER || !peer || raft_same(event->from, raft->options.self) ||
        (peer->fenced != 0 && peer->fenced != RAFT_FENCED_UNHEARD && peer->report == event->index))
        return;
    heard_ms = peer->heard_ms; /* a report is no acknowledgement: check-quorum does without it */
    progress_reset(peer, 0, event->now_ms);
    peer->heard_ms = heard_ms;
    peer->fenced = raft->log.last;
    peer->report = event->index;
    raft_snapshot_want(peer, effects);
}

uint64_t raft_retain_max(const struct raft *raft)
{
    uint64_t max = raft->applied + 1;

    if (raft->role != RAFT_LEADER)
        return max;
    for (uint32_t i = 0; i < raft->peer_count; i++) {
        const struct raft_progress *peer = &raft->peers[i];

        if (peer->snapshot != 0 && peer->snapshot + 1 < max)
            max = peer->snapshot + 1;
    }
    return max;
}

/* --- follower ------------------------------------------------------------------------------ */

static bool log_holds(const struct raft *raft, uint64_t index, uint32_t term)
{
    return index <= raft->commit ||
           (index <= raft->log.last && term != 0 && raft_log_term(&raft->log, index) == term);
}

static void answer(struct raft *raft, struct raft_effects *effects, struct raft_replica to)
{
    struct raft_message *reply = raft_message(raft, effects, RAFT_APPEND_REPLY, to);

    assert(reply);
    reply->index = raft->commit;
    reply->after_write = true;
}

/* What a snapshot holds is committed. */
void raft_on_snapshot(struct raft *raft, const struct raft_event *event,
                      struct raft_effects *effects)
{
    const struct raft_message *message = event->message;

    if (!raft_follow(raft, event, effects, message->from.member))
        return;
    if (!log_holds(raft, message->index, message->log_term)) {
        effects->snapshot_accepted = true;
        return;
    }
    raft_commit_to(raft, message->index, effects);
    answer(raft, effects, message->from);
}

/* The log begins behind the snapshot; what follows an entry that is the snapshot's last stays. */
void raft_on_snapshot_installed(struct raft *raft, const struct raft_event *event,
                                struct raft_effects *effects)
{
    bool holds =
        raft_log_term(&raft->log, event->index) == event->term && event->index <= raft->log.last;

    assert(event->configs);
    if (raft->role == RAFT_LEADER || event->index <= raft->commit || event->term == 0 ||
        event->term > raft->term) {
        effects->refused = true;
        return;
    }
    if (holds) {
        raft_log_retain(&raft->log, event->index + 1);
        if (raft->synced < event->index)
            raft->synced = event->index;
    } else {
        raft_log_reset(&raft->log, event->index + 1, event->term);
        raft->synced = event->index;
        raft->flushed = event->index;
    }
    raft->commit = event->index;
    raft->applied = event->index;
    if ((!holds || raft->config.index <= event->index) && !mutant(MUTANT_SNAPSHOT_WITHOUT_CONFIG)) {
        raft_config_set(raft, event->configs, event->now_ms);
        effects->config_changed = true;
    }
    raft->config_previous = *event->configs;
    raft->election_deadline_ms = raft_election_ms(raft, event); /* nothing was heard meanwhile */
    answer(raft, effects, event->from);
}

void raft_restore_snapshot(struct raft *raft, uint32_t term, uint16_t leader, uint64_t index,
                           uint32_t index_term, const struct raft_config *config, uint64_t now_ms,
                           uint64_t random)
{
    struct raft_event event = {.now_ms = now_ms, .random = random};

    assert(term >= raft->term && term >= index_term);
    raft->role = RAFT_FOLLOWER;
    raft->term = term;
    raft->vote = leader;
    raft->leader = 0;
    raft->term_start = 0;
    raft->read_round = 0;
    raft->transfer_to = 0;
    raft->peer_count = 0;
    raft_log_reset(&raft->log, index + 1, index_term);
    raft_config_set(raft, config, now_ms);
    raft->config_previous = raft->config;
    raft->commit = index;
    raft->applied = index;
    raft->synced = index;
    raft->synced_term = term;
    raft->flushed = index;
    raft->election_deadline_ms = raft_election_ms(raft, &event);
    raft_check(raft);
}
