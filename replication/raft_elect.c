#include "replication/raft_internal.h"

#include <assert.h>

static bool bypass_prevote(void)
{
    return mutant(MUTANT_PREVOTE_IGNORED);
}

bool raft_leased(const struct raft *raft, uint64_t now_ms)
{
    if (bypass_prevote())
        return false;
    if (raft->role == RAFT_LEADER) /* as long as its quorum answers: check-quorum ends it */
        return true;
    return raft->leader != 0 && now_ms < raft->leader_seen_ms + raft->options.election_ms_min;
}

static uint64_t heard_value(const struct raft *raft, const struct raft_progress *peer)
{
    return raft_same(peer->replica, raft->options.self) ? UINT64_MAX : peer->heard_ms;
}

uint64_t raft_quorum_deadline_ms(const struct raft *raft)
{
    uint64_t heard_ms = raft_quorum(raft, heard_value);

    return heard_ms == UINT64_MAX ? UINT64_MAX : heard_ms + raft->options.election_ms_max;
}

static void transfer_end(struct raft *raft, struct raft_effects *effects)
{
    raft->transfer_to = 0;
    effects->transfer_ended = true;
}

void raft_on_tick(struct raft *raft, const struct raft_event *event, struct raft_effects *effects)
{
    if (raft->role != RAFT_LEADER) {
        if (event->now_ms >= raft->election_deadline_ms)
            raft_campaign(raft, event, effects, false);
        return;
    }
    if (event->now_ms >= raft_quorum_deadline_ms(raft)) {
        raft_become_follower(raft, event, effects, raft->term, 0);
        return;
    }
    if (raft->transfer_to != 0 && event->now_ms >= raft->transfer_deadline_ms)
        transfer_end(raft, effects);
    raft_retry(raft, event, effects);
}

/* Asks every other voter. */
static void ask_votes(struct raft *raft, struct raft_effects *effects, bool pre, bool transfer)
{
    for (uint32_t i = 0; i < raft->peer_count; i++) {
        const struct raft_progress *peer = &raft->peers[i];
        struct raft_message *message;

        if ((!peer->voter && !peer->voter_old) || raft_same(peer->replica, raft->options.self))
            continue;
        message = raft_message(raft, effects, pre ? RAFT_PREVOTE : RAFT_VOTE, peer->replica);
        assert(message);
        message->term = raft->term + (pre ? 1 : 0);
        message->index = raft->log.last;
        message->log_term = raft_log_term(&raft->log, raft->log.last);
        message->transfer = transfer;
        message->after_write = !pre && !mutant(MUTANT_VOTE_NOT_PERSISTED);
    }
}

/* The own vote of a candidate counts when it is durable. */
static void vote_for_self(struct raft *raft)
{
    struct raft_progress *self = raft_find(raft, raft->options.self);

    if (raft->role == RAFT_CANDIDATE && raft->synced_term != raft->term &&
        !mutant(MUTANT_VOTE_NOT_PERSISTED))
        return;
    if (self)
        self->vote = 1;
}

static void become_candidate(struct raft *raft, const struct raft_event *event,
                             struct raft_effects *effects, bool transfer)
{
    if (raft->term == UINT32_MAX)
        return;
    raft->role = RAFT_CANDIDATE;
    raft->leader = 0;
    raft->term++;
    raft->vote = raft->options.self.member;
    effects->write_hard_state = true;
    for (uint32_t i = 0; i < raft->peer_count; i++)
        raft->peers[i].vote = 0;
    vote_for_self(raft);
    ask_votes(raft, effects, false, transfer);
    raft_tally(raft, event, effects);
}

void raft_campaign(struct raft *raft, const struct raft_event *event, struct raft_effects *effects,
                   bool transfer)
{
    assert(raft->role != RAFT_LEADER);
    raft->election_deadline_ms =
        event->now_ms +
        raft_random(raft, event, raft->options.election_ms_min, raft->options.election_ms_max);
    if (!raft_may_campaign(raft))
        return;
    if (transfer || bypass_prevote()) {
        become_candidate(raft, event, effects, transfer);
        return;
    }
    raft->role = RAFT_PRECANDIDATE;
    raft->leader = 0;
    for (uint32_t i = 0; i < raft->peer_count; i++)
        raft->peers[i].vote = 0;
    vote_for_self(raft);
    ask_votes(raft, effects, true, false);
    raft_tally(raft, event, effects);
}

static void become_leader(struct raft *raft, const struct raft_event *event)
{
    raft->role = RAFT_LEADER;
    raft->leader = raft->options.self.member;
    raft->term_start = raft->log.last + 1;
    raft->flushed = raft->log.last;
    raft->read_round = 0;
    raft->transfer_to = 0;
    for (uint32_t i = 0; i < raft->peer_count; i++) {
        progress_reset(&raft->peers[i], raft->log.last, event->now_ms);
        raft->peers[i].snapshot_left = raft->log.first - 1; /* an earlier leader's, maybe */
        if (raft_same(raft->peers[i].replica, raft->options.self))
            raft->peers[i].match = raft->synced;
    }
}

static enum quorum_verdict verdict(const struct raft *raft)
{
    uint32_t granted = 0, refused = 0, granted_old = 0, refused_old = 0;

    for (uint32_t i = 0; i < raft->peer_count; i++) {
        const struct raft_progress *peer = &raft->peers[i];

        granted += peer->voter && peer->vote == 1;
        refused += peer->voter && peer->vote == 2;
        granted_old += peer->voter_old && peer->vote == 1;
        refused_old += peer->voter_old && peer->vote == 2;
    }
    return quorum_joint(quorum_votes(granted, refused, raft->config.voter_count),
                        quorum_votes(granted_old, refused_old, raft->config.voter_old_count));
}

void raft_tally(struct raft *raft, const struct raft_event *event, struct raft_effects *effects)
{
    switch (verdict(raft)) {
    case QUORUM_WON:
        if (raft->role == RAFT_PRECANDIDATE)
            become_candidate(raft, event, effects, false);
        else
            become_leader(raft, event);
        return;
    case QUORUM_LOST:
        /* A candidate that was refused met another one: whoever tries again first will win, so it
         * is worth a try well before the timeout. Pre-votes keep this from doing harm. */
        if (raft->role == RAFT_CANDIDATE)
            raft->election_deadline_ms =
                event->now_ms + raft_random(raft, event, raft->options.election_ms_min / 10,
                                            raft->options.election_ms_min / 2);
        raft_become_follower(raft, event, effects, raft->term, 0);
        return;
    case QUORUM_OPEN:
        return;
    }
}

/* Is the candidate's log at least as new as ours (thesis 3.6.1)? */
static bool log_suffices(const struct raft *raft, const struct raft_message *message)
{
    uint32_t term = raft_log_term(&raft->log, raft->log.last);

    return message->log_term > term ||
           (message->log_term == term && message->index >= raft->log.last);
}

/* Learners answer too: the candidate may know that they are voters before they do, and it counts
 * only those who are. */
void raft_on_vote(struct raft *raft, const struct raft_event *event, struct raft_effects *effects)
{
    const struct raft_message *message = event->message;
    bool pre = message->kind == RAFT_PREVOTE;
    bool may = raft->vote == message->from.member || (raft->vote == 0 && raft->leader == 0);
    struct raft_message *reply;

    if (raft->config.index == 0 || (!message->transfer && raft_leased(raft, event->now_ms)))
        return;
    reply = raft_message(raft, effects, pre ? RAFT_PREVOTE_REPLY : RAFT_VOTE_REPLY, message->from);
    assert(reply);
    may = may || (pre && message->term > raft->term);
    if (!may || !log_suffices(raft, message)) {
        reply->reject = true;
        return;
    }
    reply->term = message->term; /* of a pre-vote: the one that it asked for */
    if (pre)
        return;
    if (raft->vote == 0) {
        raft->vote = message->from.member;
        effects->write_hard_state = true;
    }
    raft->role = RAFT_FOLLOWER;
    raft->election_deadline_ms =
        event->now_ms +
        raft_random(raft, event, raft->options.election_ms_min, raft->options.election_ms_max);
    reply->after_write = !mutant(MUTANT_VOTE_NOT_PERSISTED);
}

void raft_on_vote_reply(struct raft *raft, const struct raft_event *event,
                        struct raft_effects *effects)
{
    const struct raft_message *message = event->message;
    bool pre = message->kind == RAFT_PREVOTE_REPLY;
    struct raft_progress *peer = raft_find(raft, message->from);

    if (!peer || raft->role != (pre ? RAFT_PRECANDIDATE : RAFT_CANDIDATE))
        return;
    if (!message->reject && message->term != raft->term + (pre ? 1 : 0))
        return;
    if (peer->vote != 1) /* a late refusal takes no vote back */
        peer->vote = message->reject ? 2 : 1;
    raft_tally(raft, event, effects);
}

/* The voter that is nearest to the end of the log, among those heard lately. */
static uint16_t best_voter(const struct raft *raft, uint64_t now_ms)
{
    const struct raft_progress *best = NULL;

    for (uint32_t i = 0; i < raft->peer_count; i++) {
        const struct raft_progress *peer = &raft->peers[i];

        if (!peer->voter || raft_same(peer->replica, raft->options.self) ||
            peer->heard_ms + raft->options.election_ms_min <= now_ms)
            continue;
        if (!best || peer->match > best->match)
            best = peer;
    }
    return best ? best->replica.member : 0;
}

void raft_on_transfer(struct raft *raft, const struct raft_event *event,
                      struct raft_effects *effects)
{
    uint16_t member = event->from.member;
    const struct raft_progress *target;

    if (raft->role != RAFT_LEADER) {
        effects->transfer_ended = true;
        return;
    }
    if (member == 0)
        member = best_voter(raft, event->now_ms);
    target = raft_peer(raft, member);
    if (!target || !target->voter || member == raft->options.self.member) {
        transfer_end(raft, effects);
        return;
    }
    if (raft->transfer_to == member)
        return;
    raft->transfer_to = member;
    raft->transfer_deadline_ms = event->now_ms + raft->options.election_ms_max;
    raft_transfer_advance(raft, effects);
}

/* Not before all that was proposed here is applied here: who waits for it gets its answer. After a
 * change of leaders it could be asked for again, but an answer that is not a number is not kept. */
void raft_transfer_advance(struct raft *raft, struct raft_effects *effects)
{
    const struct raft_progress *target;
    struct raft_message *message;

    if (raft->transfer_to == 0 || raft->applied != raft->log.last)
        return;
    target = raft_peer(raft, raft->transfer_to);
    if (!target || target->match != raft->log.last)
        return;
    message = raft_message(raft, effects, RAFT_TIMEOUT_NOW, target->replica);
    assert(message);
}

void raft_on_timeout_now(struct raft *raft, const struct raft_event *event,
                         struct raft_effects *effects)
{
    if (raft->role != RAFT_LEADER)
        raft_campaign(raft, event, effects, true);
}

/* Place among the voters that are left, another order for each group: who goes first is agreed
 * without a word, so that survivors do not split their votes and wait a whole timeout. */
static uint32_t haste_rank(const struct raft *raft, uint16_t lost)
{
    uint32_t rank = 0, count = 0;

    for (uint32_t i = 0; i < raft->peer_count; i++) {
        uint16_t member = raft->peers[i].replica.member;

        if (!raft->peers[i].voter || member == lost)
            continue;
        count++;
        rank += member < raft->options.self.member;
    }
    return count > 0 ? (rank + raft->options.group) % count : 0;
}

void raft_on_peer_lost(struct raft *raft, const struct raft_event *event)
{
    uint64_t soon;

    if (raft->role == RAFT_LEADER) { /* what was in flight to it is lost: the retry is due now */
        for (uint32_t i = 0; i < raft->peer_count; i++) {
            struct raft_progress *peer = &raft->peers[i];

            if (peer->replica.member == event->from.member && peer->fenced != 0) {
                peer->fenced = RAFT_FENCED_UNHEARD;
                peer->snapshot = 0;
            }
            if (peer->replica.member == event->from.member && peer->inflight_messages > 0) {
                peer->answer_ms = 0;
                peer->sent_ms = event->now_ms - raft->options.retry_ms;
            }
        }
        return;
    }
    if (event->from.member == 0 || raft->leader != event->from.member)
        return;
    raft->leader = 0;
    soon = event->now_ms + raft_random(raft, event, RAFT_HASTE_MS_MIN, RAFT_HASTE_MS_MIN * 2) +
           (uint64_t)haste_rank(raft, event->from.member) * RAFT_HASTE_STEP_MS;
    if (soon < raft->election_deadline_ms)
        raft->election_deadline_ms = soon;
}
