#include "replication/raft.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "replication/raft_internal.h"
#include "ring/mix.h"

#define CHECK_ENTRIES_MAX 32u /* raft_check looks at so many of the newest entries */

uint64_t raft_random(const struct raft *raft, const struct raft_event *event, uint32_t min,
                     uint32_t max)
{
    /* A host may hand one draw to all its groups: spread it, or they would all campaign at once. */
    uint64_t x = event->random + ((uint64_t)raft->options.group << 32) +
                 ((uint64_t)raft->options.self.member << 16) + raft->term;

    return max > min ? min + mix_word(x) % (max - min) : min;
}

uint64_t raft_election_ms(const struct raft *raft, const struct raft_event *event)
{
    return event->now_ms +
           raft_random(raft, event, raft->options.election_ms_min, raft->options.election_ms_max);
}

int raft_init(struct raft *raft, const struct raft_options *options,
              const struct raft_config *config, uint64_t now_ms, uint64_t random)
{
    struct raft_event event = {.now_ms = now_ms, .random = random};

    assert(options->self.member != 0);
    assert(options->election_ms_min > 0);
    assert(options->election_ms_max > options->election_ms_min);
    assert(options->append_entries_max > 0);
    assert(options->inflight_messages_max > 0);
    memset(raft, 0, sizeof(*raft));
    raft->options = *options;
    raft_log_init(&raft->log);
    if (config && raft_config_valid(config) != RAFT_CONFIG_E_OK)
        return -EINVAL;
    if (config)
        raft_config_set(raft, config, now_ms);
    raft->config_previous = raft->config;
    raft->election_deadline_ms = raft_election_ms(raft, &event);
    return 0;
}

void raft_deinit(struct raft *raft)
{
    raft_log_deinit(&raft->log);
}

int raft_reserve(struct raft *raft, uint32_t count)
{
    return raft_log_reserve(&raft->log, count);
}

void raft_restore_hard_state(struct raft *raft, uint32_t term, uint16_t vote)
{
    if (term < raft->term || (term == raft->term && vote == 0))
        return; /* a checkpoint repeats what is known already */
    raft->term = term;
    raft->vote = vote;
}

void raft_restore_checkpoint(struct raft *raft, uint32_t term, uint16_t vote, uint64_t applied,
                             uint32_t applied_term, uint64_t first_index, uint32_t first_prev_term)
{
    raft_restore_hard_state(raft, term, vote);
    if (raft->log.last < applied) { /* what led up to it has been dropped from the journal */
        raft_log_reset(&raft->log, applied + 1, applied_term);
    } else if (first_index >= raft->log.first && first_index <= applied + 1) {
        raft_log_retain(&raft->log, first_index);
    }
    if (raft->log.first == first_index && raft->log.prev_term == 0)
        raft->log.prev_term = first_prev_term;
    if (raft->applied < applied)
        raft->applied = applied;
    if (raft->commit < applied)
        raft->commit = applied;
}

int raft_restore_entry(struct raft *raft, uint64_t index, uint32_t term, uint32_t size,
                       uint64_t location)
{
    int r;

    if (index > raft->log.last + 1) /* retained away before; a newer checkpoint follows */
        raft_log_reset(&raft->log, index, 0);
    if (index <= raft->log.last) {
        if (index <= raft->commit)
            return -EBADMSG;
        if (mutant(MUTANT_REPLAY_KEEPS_CONFLICT))
            return 0;
        if (index < raft->log.first) /* what it truncates began in a dropped segment */
            raft_log_reset(&raft->log, index, 0);
        else
            raft_log_truncate(&raft->log, index);
        raft_config_truncate(raft, index);
    }
    r = raft_log_reserve(&raft->log, 1);
    if (r < 0)
        return r;
    raft_log_append(&raft->log, term, size, location);
    return 0;
}

void raft_restore_config(struct raft *raft, uint64_t entry_index, const struct raft_config *config)
{
    if (entry_index != 0) {
        raft_config_append(raft, entry_index, config, 0);
        return;
    }
    raft->config_previous = *config;
    if (config->index >= raft->config.index)
        raft_config_set(raft, config, 0);
}

void raft_restore_commit(struct raft *raft, uint64_t commit)
{
    if (commit > raft->commit)
        raft->commit = commit;
}

bool raft_restore_gap(const struct raft *raft)
{
    return raft->log.first > raft->applied + 1;
}

void raft_restore_done(struct raft *raft, uint64_t now_ms, uint64_t random)
{
    struct raft_event event = {.now_ms = now_ms, .random = random};

    assert(raft->commit <= raft->log.last);
    raft->synced = raft->log.last;
    raft->synced_term = raft->term;
    raft->flushed = raft->log.last;
    raft->election_deadline_ms = raft_election_ms(raft, &event);
    raft_check(raft);
}

void raft_become_follower(struct raft *raft, const struct raft_event *event,
                          struct raft_effects *effects, uint32_t term, uint16_t leader)
{
    assert(term >= raft->term);
    if (raft->role == RAFT_LEADER) {
        raft->election_deadline_ms = raft_election_ms(raft, event);
        raft->term_start = 0;
        effects->read_round_changed |= raft->read_round != 0;
        raft->read_round = 0;
        effects->transfer_ended |= raft->transfer_to != 0;
        raft->transfer_to = 0;
    }
    if (term > raft->term) {
        raft->term = term;
        raft->vote = 0;
        effects->write_hard_state = true;
    }
    raft->role = RAFT_FOLLOWER;
    raft->leader = leader;
}

bool raft_follow(struct raft *raft, const struct raft_event *event, struct raft_effects *effects,
                 uint16_t leader)
{
    if (raft->role == RAFT_LEADER || (raft->leader != 0 && raft->leader != leader))
        return false;
    if (raft->role != RAFT_FOLLOWER || raft->leader != leader)
        raft_become_follower(raft, event, effects, raft->term, leader);
    raft->leader_seen_ms = event->now_ms;
    raft->election_deadline_ms = raft_election_ms(raft, event);
    return true;
}

struct raft_message *raft_message(struct raft *raft, struct raft_effects *effects, uint8_t kind,
                                  struct raft_replica to)
{
    struct raft_message *message;

    if (effects->message_count == RAFT_EFFECT_MESSAGES_MAX)
        return NULL;
    message = &effects->messages[effects->message_count++];
    *message = (struct raft_message){.kind = kind,
                                     .group = raft->options.group,
                                     .from = raft->options.self,
                                     .to = to,
                                     .term = raft->term};
    return message;
}

/* The sender lives in an earlier term: tell it, so that a stale leader steps down and a candidate
 * whose term is behind catches up (otherwise unequal terms could deadlock pre-votes). */
static void answer_older(struct raft *raft, const struct raft_message *message,
                         struct raft_effects *effects)
{
    uint8_t kind;
    struct raft_message *reply;

    switch (message->kind) {
    case RAFT_PREVOTE:
        kind = RAFT_PREVOTE_REPLY;
        break;
    case RAFT_VOTE:
        kind = RAFT_VOTE_REPLY;
        break;
    case RAFT_APPEND:
    case RAFT_SNAPSHOT:
        kind = RAFT_APPEND_REPLY;
        break;
    default:
        return;
    }
    reply = raft_message(raft, effects, kind, message->from);
    assert(reply);
    reply->reject = true;
}

/* Steps to the message's term where Raft says so. False: the message goes no further. */
static bool meet_term(struct raft *raft, const struct raft_event *event,
                      struct raft_effects *effects)
{
    const struct raft_message *message = event->message;
    bool precandidate = raft->role == RAFT_PRECANDIDATE;
    uint64_t soon;

    if (message->term < raft->term) {
        answer_older(raft, message, effects);
        return false;
    }
    if (message->term == raft->term)
        return true;
    switch (message->kind) {
    case RAFT_PREVOTE: /* a term that may never be */
        return true;
    case RAFT_VOTE:
        if (!message->transfer && raft_leased(raft, event->now_ms))
            return false;
        raft_become_follower(raft, event, effects, message->term, 0);
        return true;
    case RAFT_APPEND:
    case RAFT_SNAPSHOT:
    case RAFT_TIMEOUT_NOW:
        raft_become_follower(raft, event, effects, message->term, message->from.member);
        return true;
    case RAFT_PREVOTE_REPLY:
        if (!message->reject)
            return true;
        break;
    default:
        break;
    }
    raft_become_follower(raft, event, effects, message->term, 0);
    if (precandidate) { /* the attempt failed for its old term only: try again without the wait */
        soon = event->now_ms + raft_random(raft, event, RAFT_HASTE_MS_MIN, RAFT_HASTE_MS_MAX);
        if (soon < raft->election_deadline_ms)
            raft->election_deadline_ms = soon;
    }
    return true;
}

static void on_message(struct raft *raft, const struct raft_event *event,
                       struct raft_effects *effects)
{
    const struct raft_message *message = event->message;

    if (message->group != raft->options.group || !raft_same(message->to, raft->options.self) ||
        message->from.member == raft->options.self.member || !raft_knows(raft, message->from) ||
        !meet_term(raft, event, effects))
        return;
    switch (message->kind) {
    case RAFT_PREVOTE:
    case RAFT_VOTE:
        raft_on_vote(raft, event, effects);
        return;
    case RAFT_PREVOTE_REPLY:
    case RAFT_VOTE_REPLY:
        raft_on_vote_reply(raft, event, effects);
        return;
    case RAFT_APPEND:
        raft_on_append(raft, event, effects);
        return;
    case RAFT_APPEND_REPLY:
        raft_on_append_reply(raft, event, effects);
        return;
    case RAFT_TIMEOUT_NOW:
        raft_on_timeout_now(raft, event, effects);
        return;
    case RAFT_SNAPSHOT:
        raft_on_snapshot(raft, event, effects);
        return;
    default: /* of a newer version */
        return;
    }
}

static void on_applied(struct raft *raft, const struct raft_event *event,
                       struct raft_effects *effects)
{
    assert(event->index <= raft->commit);
    if (event->index <= raft->applied)
        return;
    raft->applied = event->index;
    raft_transfer_advance(raft, effects);
}

static void on_retain(struct raft *raft, const struct raft_event *event)
{
    uint64_t max = raft_retain_max(raft);

    assert(event->index <= raft->applied + 1);
    raft_log_retain(&raft->log, event->index < max ? event->index : max);
}

static void effects_reset(struct raft_effects *effects)
{
    /* Not a memset: the messages are most of it, and only those below message_count count. */
    effects->refused = false;
    effects->write_hard_state = false;
    effects->append_first = 0;
    effects->append_last = 0;
    effects->append_skip = 0;
    effects->append_term = 0;
    effects->message_count = 0;
    effects->beat_accepted = false;
    effects->role_changed = false;
    effects->config_changed = false;
    effects->commit_changed = false;
    effects->read_round_changed = false;
    effects->transfer_ended = false;
    effects->snapshot_wanted = false;
    effects->snapshot_accepted = false;
}

static void dispatch_snapshot(struct raft *raft, const struct raft_event *event,
                              struct raft_effects *effects)
{
    switch (event->kind) {
    case RAFT_EVENT_SNAPSHOT_BEGIN:
        raft_on_snapshot_begin(raft, event, effects);
        return;
    case RAFT_EVENT_SNAPSHOT_FAILED:
        raft_on_snapshot_failed(raft, event);
        return;
    case RAFT_EVENT_SNAPSHOT_INSTALLED:
        raft_on_snapshot_installed(raft, event, effects);
        return;
    case RAFT_EVENT_PEER_FENCED:
        raft_on_peer_fenced(raft, event, effects);
        return;
    default:
        assert(false && "an event of no known kind");
    }
}

static void dispatch(struct raft *raft, const struct raft_event *event,
                     struct raft_effects *effects)
{
    switch (event->kind) {
    case RAFT_EVENT_TICK:
        raft_on_tick(raft, event, effects);
        return;
    case RAFT_EVENT_MESSAGE:
        on_message(raft, event, effects);
        return;
    case RAFT_EVENT_PROPOSE:
        raft_on_propose(raft, event, effects);
        return;
    case RAFT_EVENT_FLUSH:
        raft_on_flush(raft, event, effects);
        return;
    case RAFT_EVENT_SYNCED:
        raft_on_synced(raft, event, effects);
        return;
    case RAFT_EVENT_APPLIED:
        on_applied(raft, event, effects);
        return;
    case RAFT_EVENT_BEAT:
        raft_on_beat(raft, event, effects);
        return;
    case RAFT_EVENT_BEAT_ACK:
        raft_on_beat_ack(raft, event, effects);
        return;
    case RAFT_EVENT_TRANSFER:
        raft_on_transfer(raft, event, effects);
        return;
    case RAFT_EVENT_CAMPAIGN:
        if (raft->role != RAFT_LEADER)
            raft_campaign(raft, event, effects, false);
        return;
    case RAFT_EVENT_PEER_LOST:
        raft_on_peer_lost(raft, event);
        return;
    case RAFT_EVENT_RETAIN:
        on_retain(raft, event);
        return;
    default:
        dispatch_snapshot(raft, event, effects);
    }
}

void raft_step(struct raft *raft, const struct raft_event *event, struct raft_effects *effects)
{
    uint8_t role = raft->role;
    uint16_t leader = raft->leader;
    uint32_t term = raft->term;

    effects_reset(effects);
    dispatch(raft, event, effects);
    effects->role_changed = role != raft->role || leader != raft->leader || term != raft->term;
}

uint64_t raft_deadline_ms(const struct raft *raft)
{
    uint64_t deadline;

    if (raft->role != RAFT_LEADER)
        return raft_may_campaign(raft) ? raft->election_deadline_ms : UINT64_MAX;
    deadline = raft_quorum_deadline_ms(raft);
    if (raft->transfer_to != 0 && raft->transfer_deadline_ms < deadline)
        deadline = raft->transfer_deadline_ms;
    for (uint32_t i = 0; i < raft->peer_count; i++) {
        uint64_t retry = progress_deadline_ms(&raft->peers[i], &raft->options);

        if (retry < deadline)
            deadline = retry;
    }
    return deadline;
}

const struct raft_progress *raft_peer(const struct raft *raft, uint16_t member)
{
    for (uint32_t i = 0; i < raft->peer_count; i++) {
        if (raft->peers[i].replica.member == member)
            return &raft->peers[i];
    }
    return NULL;
}

static void check_log(const struct raft *raft)
{
    const struct raft_log *log = &raft->log;
    uint64_t first = log->first;
    uint32_t term;

    if (log->last + 1 - first > CHECK_ENTRIES_MAX)
        first = log->last + 1 - CHECK_ENTRIES_MAX;
    term = raft_log_term(log, first - 1);
    for (uint64_t index = first; index <= log->last; index++) {
        assert(raft_log_term(log, index) >= term);
        term = raft_log_term(log, index);
    }
    assert(term <= raft->term);
}

void raft_check(const struct raft *raft)
{
    const struct raft_log *log = &raft->log;

    assert(raft->applied <= raft->commit);
    assert(raft->commit <= log->last);
    assert(log->first <= raft->applied + 1);
    assert(raft->synced <= log->last);
    assert(raft->synced_term <= raft->term);
    assert(raft->flushed <= log->last);
    if (raft->config.index > 0)
        assert(raft_config_valid(&raft->config) == RAFT_CONFIG_E_OK);
    else /* it has yet to learn one */
        assert(raft->peer_count == 0 && raft->role == RAFT_FOLLOWER);
    check_log(raft);
    switch (raft->role) {
    case RAFT_LEADER:
        assert(raft->leader == raft->options.self.member);
        assert(raft->vote == raft->options.self.member);
        assert(raft->term_start > 0);
        assert(raft->term_start <= log->last + 1);
        for (uint32_t i = 0; i < raft->peer_count; i++) {
            const struct raft_progress *peer = &raft->peers[i];

            assert(peer->match <= log->last);
            if (raft_same(peer->replica, raft->options.self))
                continue;
            assert(peer->match < peer->next);
            assert(peer->next <= log->last + 1);
            assert(peer->snapshot == 0 || log->first <= peer->snapshot + 1);
            assert(peer->snapshot <= raft->applied);
        }
        break;
    case RAFT_CANDIDATE:
        assert(raft->vote == raft->options.self.member);
        assert(raft->leader == 0);
        break;
    case RAFT_PRECANDIDATE:
        assert(raft->leader == 0);
        break;
    default:
        assert(raft->leader != raft->options.self.member);
    }
    if (raft->role != RAFT_LEADER) {
        assert(raft->read_round == 0);
        assert(raft->term_start == 0);
        assert(raft->transfer_to == 0);
    }
}
