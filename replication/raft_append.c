#include "replication/raft_internal.h"

#include <assert.h>

uint64_t raft_match(const struct raft *raft, const struct raft_progress *peer)
{
    if (!raft_same(peer->replica, raft->options.self))
        return peer->match;
    return mutant(MUTANT_ACK_BEFORE_SYNC) ? raft->log.last : raft->synced;
}

void raft_commit_advance(struct raft *raft, const struct raft_event *event,
                         struct raft_effects *effects)
{
    uint64_t index;

    if (raft->role != RAFT_LEADER)
        return;
    index = raft_quorum(raft, raft_match);
    assert(index <= raft->log.last);
    if (index <= raft->commit)
        return;
    /* An entry of an earlier term may be on a majority and still be overwritten (thesis 3.6.2). */
    if (raft_log_term(&raft->log, index) != raft->term && !mutant(MUTANT_COMMIT_OLD_TERM))
        return;
    raft->commit = index;
    effects->commit_changed = true;
    raft_read_advance(raft, effects);
    if (raft->config.index <= index && !raft_self_votes(raft)) /* its work ends with this change */
        raft_become_follower(raft, event, effects, raft->term, 0);
}

void raft_commit_to(struct raft *raft, uint64_t commit, struct raft_effects *effects)
{
    if (commit > raft->log.last)
        commit = raft->log.last;
    if (commit <= raft->commit)
        return;
    raft->commit = commit;
    effects->commit_changed = true;
}

uint64_t raft_backtrack(const struct raft *raft, uint64_t index, uint32_t term, uint64_t floor)
{
    if (index > raft->log.last)
        index = raft->log.last;
    while (index > floor && index >= raft->log.first && raft_log_term(&raft->log, index) > term)
        index--;
    return index;
}

void raft_on_propose(struct raft *raft, const struct raft_event *event,
                     struct raft_effects *effects)
{
    bool configures = false;

    for (uint32_t i = 0; i < event->entry_count; i++)
        configures |= event->entries[i].config;
    if (raft->role != RAFT_LEADER || raft->transfer_to != 0 || event->entry_count == 0 ||
        (configures && (event->entry_count != 1 || !raft_config_follows(raft, event->configs)))) {
        effects->refused = true;
        return;
    }
    effects->append_first = raft->log.last + 1;
    effects->append_term = raft->term;
    for (uint32_t i = 0; i < event->entry_count; i++)
        raft_log_append(&raft->log, raft->term, event->entries[i].size, RAFT_LOG_LOCATION_NONE);
    effects->append_last = raft->log.last;
    if (configures) {
        raft_config_append(raft, raft->log.last, event->configs, event->now_ms);
        effects->config_changed = true;
    }
    if (mutant(MUTANT_ACK_BEFORE_SYNC))
        raft_commit_advance(raft, event, effects);
}

/* One append to the peer, if there is something up to `limit` and room for it. */
static bool send_append(struct raft *raft, struct raft_progress *peer, uint64_t limit,
                        uint64_t now_ms, struct raft_effects *effects)
{
    const struct raft_log *log = &raft->log;
    uint64_t previous = peer->next - 1;
    uint32_t previous_term = raft_log_term(log, previous);
    struct raft_message *message;

    if (!progress_open(peer, &raft->options))
        return false;
    if (peer->next < log->first || (previous_term == 0 && previous != 0)) {
        raft_snapshot_want(peer, effects);
        return false;
    }
    if (peer->next > limit)
        return false;
    message = raft_message(raft, effects, RAFT_APPEND, peer->replica);
    if (!message)
        return false;
    message->index = previous;
    message->log_term = previous_term;
    message->commit = raft->commit;
    for (uint64_t index = peer->next;
         index <= limit && message->entry_count < raft->options.append_entries_max; index++) {
        uint32_t size = raft_log_at(log, index)->size;

        if (message->entry_count > 0 &&
            (size > raft->options.append_size_max ||
             message->entries_size > raft->options.append_size_max - size))
            break;
        message->entry_count++;
        message->entries_size += size;
    }
    progress_sent(peer, message->entry_count, message->entries_size, now_ms);
    return true;
}

void raft_send_all(struct raft *raft, struct raft_progress *peer, uint64_t now_ms,
                   struct raft_effects *effects)
{
    while (send_append(raft, peer, raft->flushed, now_ms, effects))
        ;
}

void raft_on_flush(struct raft *raft, const struct raft_event *event, struct raft_effects *effects)
{
    bool more = true;

    if (raft->role != RAFT_LEADER)
        return;
    raft->flushed = raft->log.last;
    while (
        more) { /* a message each in turn: one that is far behind takes no room from the others */
        more = false;
        for (uint32_t i = 0; i < raft->peer_count; i++) {
            if (!raft_same(raft->peers[i].replica, raft->options.self))
                more |= send_append(raft, &raft->peers[i], raft->flushed, event->now_ms, effects);
        }
    }
}

void raft_retry(struct raft *raft, const struct raft_event *event, struct raft_effects *effects)
{
    for (uint32_t i = 0; i < raft->peer_count; i++) {
        struct raft_progress *peer = &raft->peers[i];

        if (event->now_ms < progress_deadline_ms(peer, &raft->options))
            continue;
        progress_lost(peer);
        raft_send_all(raft, peer, event->now_ms, effects);
    }
}

/* Bytes of the entries that an answer takes off those in flight. */
static uint64_t accepted_size(const struct raft *raft, const struct raft_progress *peer,
                              uint64_t index)
{
    uint64_t size = 0;

    if (peer->probing || index + 1 >= peer->next)
        return peer->inflight_size;
    for (uint64_t at = peer->match + 1; at <= index; at++) {
        const struct raft_log_entry *entry = raft_log_at(&raft->log, at);

        size += entry ? entry->size : 0;
    }
    return size;
}

void raft_on_append_reply(struct raft *raft, const struct raft_event *event,
                          struct raft_effects *effects)
{
    const struct raft_message *message = event->message;
    struct raft_progress *peer = raft_find(raft, message->from);
    uint64_t hint;

    if (raft->role != RAFT_LEADER || !peer)
        return;
    peer->heard_ms = event->now_ms;
    if (message->reject) {
        if (peer->snapshot_wanted || !progress_refused(peer, message->commit))
            return;
        hint = message->index < message->commit ? message->index : message->commit - 1;
        progress_probe(peer, raft_backtrack(raft, hint, message->log_term, peer->match));
        raft_send_all(raft, peer, event->now_ms, effects);
        return;
    }
    if (message->index > raft->log.last ||
        (peer->fenced != 0 && (peer->snapshot == 0 || message->index < peer->snapshot)))
        return;
    progress_answered(peer, event->now_ms);
    progress_accepted(peer, message->index, accepted_size(raft, peer, message->index),
                      event->now_ms);
    raft_commit_advance(raft, event, effects);
    if (raft->role != RAFT_LEADER)
        return;
    raft_transfer_advance(raft, effects);
    raft_send_all(raft, peer, event->now_ms, effects);
}

/* Does the append connect to our log? What is committed here is in every later leader's log. */
static bool append_fits(const struct raft *raft, const struct raft_message *message)
{
    return message->index <= raft->commit ||
           (message->index <= raft->log.last &&
            raft_log_term(&raft->log, message->index) == message->log_term);
}

static void refuse_append(struct raft *raft, const struct raft_message *message,
                          struct raft_effects *effects)
{
    struct raft_message *reply = raft_message(raft, effects, RAFT_APPEND_REPLY, message->from);

    assert(reply);
    reply->reject = true;
    reply->commit = message->index;
    reply->index = raft_backtrack(raft, message->index - 1, message->log_term, raft->commit);
    reply->log_term = raft_log_term(&raft->log, reply->index);
}

/* Would it change what is committed here? No correct leader asks for that. */
static bool contradicts(const struct raft *raft, uint64_t index, uint32_t term)
{
    uint32_t known = raft_log_term(&raft->log, index);

    return index <= raft->commit && known != 0 && term != 0 && known != term;
}

/* Terms in an append neither fall nor exceed the leader's. */
static bool entries_sound(const struct raft *raft, const struct raft_event *event)
{
    const struct raft_message *message = event->message;
    uint32_t term = message->log_term;

    if (event->entry_count != message->entry_count || contradicts(raft, message->index, term))
        return false;
    for (uint32_t i = 0; i < event->entry_count; i++) {
        if (event->entries[i].term < term || event->entries[i].term > message->term ||
            contradicts(raft, message->index + 1 + i, event->entries[i].term))
            return false;
        term = event->entries[i].term;
    }
    return true;
}

/* Entries of an append that the log has already. Those make no difference: an old message must not
 * truncate what a newer one brought. */
static uint32_t entries_known(const struct raft *raft, const struct raft_event *event)
{
    uint64_t index = event->message->index + 1;
    uint32_t known = 0;

    while (
        known < event->entry_count && index <= raft->log.last &&
        (index <= raft->commit || raft_log_term(&raft->log, index) == event->entries[known].term)) {
        known++;
        index++;
    }
    return known;
}

static void take_entries(struct raft *raft, const struct raft_event *event, uint32_t known,
                         struct raft_effects *effects)
{
    uint64_t first = event->message->index + 1 + known;
    const struct raft_config *config = event->configs;

    if (first <= raft->log.last) {
        assert(first > raft->commit);
        raft_log_truncate(&raft->log, first);
        effects->config_changed |= raft_config_truncate(raft, first);
        if (raft->synced >= first)
            raft->synced = first - 1;
        raft->flushed = raft->log.last;
    }
    for (uint32_t i = 0; i < event->entry_count; i++) {
        const struct raft_entry *entry = &event->entries[i];

        if (i >= known) {
            raft_log_append(&raft->log, entry->term, entry->size, RAFT_LOG_LOCATION_NONE);
            if (entry->config) {
                raft_config_append(raft, raft->log.last, config, event->now_ms);
                effects->config_changed = true;
            }
        }
        config += entry->config;
    }
    effects->append_first = first;
    effects->append_last = raft->log.last;
    effects->append_skip = known;
}

void raft_on_append(struct raft *raft, const struct raft_event *event, struct raft_effects *effects)
{
    const struct raft_message *message = event->message;
    struct raft_message *reply;
    uint32_t known;
    uint64_t match;

    if (!raft_follow(raft, event, effects, message->from.member) || !entries_sound(raft, event))
        return;
    if (!append_fits(raft, message)) {
        refuse_append(raft, message, effects);
        return;
    }
    known = entries_known(raft, event);
    if (known < event->entry_count)
        take_entries(raft, event, known, effects);
    /* Beyond what this message covered the log may hold another leader's leftovers. */
    match = message->index + event->entry_count;
    if (match < raft->commit)
        match = raft->commit;
    raft_commit_to(raft, message->commit < match ? message->commit : match, effects);
    reply = raft_message(raft, effects, RAFT_APPEND_REPLY, message->from);
    assert(reply);
    reply->index = match;
    reply->after_write = !mutant(MUTANT_ACK_BEFORE_SYNC);
}

void raft_on_synced(struct raft *raft, const struct raft_event *event, struct raft_effects *effects)
{
    struct raft_progress *self = raft_find(raft, raft->options.self);

    assert(event->hard_term <= raft->term);
    if (event->hard_term > raft->synced_term)
        raft->synced_term = event->hard_term;
    /* Another term at that index: it was truncated meanwhile, and what replaced it is in a later
     * batch. */
    if (event->index > raft->synced && event->index <= raft->log.last &&
        raft_log_term(&raft->log, event->index) == event->term)
        raft->synced = event->index;
    if (raft->role == RAFT_CANDIDATE && raft->synced_term == raft->term && self) {
        self->vote = 1;
        raft_tally(raft, event, effects);
    } else if (raft->role == RAFT_LEADER) {
        if (self)
            self->match = raft->synced;
        raft_commit_advance(raft, event, effects);
    }
}
