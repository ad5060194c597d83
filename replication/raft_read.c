#include "replication/raft_internal.h"

#include <assert.h>

static uint64_t round_value(const struct raft *raft, const struct raft_progress *peer)
{
    return raft_same(peer->replica, raft->options.self) ? UINT64_MAX : peer->round;
}

/* A round that a majority acknowledged in this term proves that nobody had been elected in a later
 * one when it began (thesis 6.4). The commit index is only known to be up to date once an entry of
 * the own term is committed. */
void raft_read_advance(struct raft *raft, struct raft_effects *effects)
{
    uint64_t round = 0;

    if (raft->role != RAFT_LEADER)
        return;
    if (raft->commit >= raft->term_start || mutant(MUTANT_READ_BEFORE_OWN_TERM))
        round = raft_quorum(raft, round_value);
    if (round == raft->read_round)
        return;
    raft->read_round = round;
    effects->read_round_changed = true;
}

static bool beat_for_us(const struct raft *raft, const struct raft_event *event)
{
    return (event->to_life == raft->options.self.life || mutant(MUTANT_OTHER_LIFE_ACCEPTED)) &&
           event->from.member != raft->options.self.member && raft_knows(raft, event->from);
}

void raft_on_beat(struct raft *raft, const struct raft_event *event, struct raft_effects *effects)
{
    struct raft_message *reply;

    if (!beat_for_us(raft, event))
        return;
    if (event->term < raft->term) {
        reply = raft_message(raft, effects, RAFT_APPEND_REPLY, event->from);
        assert(reply);
        reply->reject = true;
        return;
    }
    if (event->term > raft->term)
        raft_become_follower(raft, event, effects, event->term, event->from.member);
    if (!raft_follow(raft, event, effects, event->from.member))
        return;
    raft_commit_to(raft, event->commit, effects);
    effects->beat_accepted = true;
}

void raft_on_beat_ack(struct raft *raft, const struct raft_event *event,
                      struct raft_effects *effects)
{
    struct raft_progress *peer;

    if (!beat_for_us(raft, event) || event->term < raft->term)
        return;
    if (event->term > raft->term) {
        raft_become_follower(raft, event, effects, event->term, 0);
        return;
    }
    peer = raft_find(raft, event->from);
    if (raft->role != RAFT_LEADER || !peer)
        return;
    if (peer->fenced == RAFT_FENCED_UNHEARD) { /* it serves: its snapshot had arrived */
        progress_reset(peer, raft->log.last - 1, event->now_ms);
        raft_send_all(raft, peer, event->now_ms, effects);
    }
    peer->heard_ms = event->now_ms;
    if (event->round <= peer->round)
        return;
    peer->round = event->round;
    raft_read_advance(raft, effects);
}
