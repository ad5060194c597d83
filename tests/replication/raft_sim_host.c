#include "raft_sim.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define SLOTS_MAX    16384u
#define PAYLOADS_MAX 6000u

uint64_t host_now_ms(const struct sim *sim, const struct sim_node *node)
{
    return node->clock_offset_ms + sim->now_us * node->clock_rate / 1000000;
}

/* Log matching by induction: an (index, term) has one payload and one predecessor, everywhere. */
static void check_entry(struct sim *sim, const struct sim_node *node, uint64_t index)
{
    uint32_t term = raft_log_term(&node->raft.log, index);
    uint32_t previous = raft_log_term(&node->raft.log, index - 1);
    uint64_t at = (index * 31 + term * UINT64_C(2654435761)) % SLOTS_MAX;
    struct sim_slot *slot = &sim->slots[at];

    while (slot->index != 0 && (slot->index != index || slot->term != term)) {
        at = (at + 1) % SLOTS_MAX;
        slot = &sim->slots[at];
    }
    if (slot->index == 0) {
        *slot = (struct sim_slot){index, term, previous, node->payloads[index]};
        return;
    }
    if (slot->payload != node->payloads[index] || slot->previous_term != previous)
        sim_fail(sim, "two logs hold different entries of one index and term");
}

static void write_records(struct sim *sim, struct sim_node *node, const struct raft_event *event,
                          const uint32_t *payloads, uint64_t last_before)
{
    const struct raft_effects *effects = &sim->effects;
    struct raft *raft = &node->raft;
    struct sim_record *record;

    if (effects->write_hard_state) {
        record = journal_add(node, SIM_HARD);
        record->term = raft->term;
        record->vote = raft->vote;
    }
    if (effects->append_first == 0)
        return;
    assert(payloads);
    sim->counts.truncations += effects->append_first <= last_before;
    assert(effects->append_last - effects->append_first + 1 + effects->append_skip ==
           event->entry_count);
    for (uint64_t index = effects->append_first; index <= effects->append_last; index++) {
        uint64_t at = effects->append_skip + (index - effects->append_first);

        node->payloads[index] = payloads[at];
        record = journal_add(node, SIM_ENTRY);
        record->term = raft_log_term(&raft->log, index);
        record->size = event->entries[at].size;
        record->payload = payloads[at];
        record->index = index;
        raft_log_place(&raft->log, index, node->record_count - 1);
        check_entry(sim, node, index);
    }
}

/* From here on it may be known to others. */
static void promise(struct sim_node *node, const struct raft_message *message)
{
    uint16_t vote = 0;

    if (message->kind == RAFT_VOTE)
        vote = message->from.member;
    else if (message->kind == RAFT_VOTE_REPLY && !message->reject)
        vote = message->to.member;
    else if (message->kind != RAFT_APPEND_REPLY || message->reject)
        return;
    if (message->term > node->promised_term) {
        node->promised_term = message->term;
        node->promised_vote = 0;
    }
    if (message->term == node->promised_term && vote != 0)
        node->promised_vote = vote;
}

static void send_out(struct sim *sim, struct sim_node *node, uint32_t packet)
{
    promise(node, &sim->packets[packet].message);
    sim_send(sim, packet);
}

static void take_message(struct sim *sim, struct sim_node *node, const struct raft_message *message)
{
    uint32_t number = sim_packet(sim);
    struct sim_packet *packet = &sim->packets[number];

    packet->kind = SIM_MESSAGE;
    packet->message = *message;
    packet->message.after_write = false;
    sim->counts.refusals += message->kind == RAFT_APPEND_REPLY && message->reject;
    assert(message->entry_count <= SIM_ENTRIES_MAX);
    for (uint32_t i = 0; i < message->entry_count; i++) {
        uint64_t index = message->index + 1 + i;
        const struct raft_log_entry *entry = raft_log_at(&node->raft.log, index);

        packet->entry_terms[i] = entry->term;
        packet->entry_sizes[i] = entry->size;
        packet->entry_payloads[i] = node->payloads[index];
    }
    if (!message->after_write || node->durable >= node->record_count) {
        send_out(sim, node, number);
        return;
    }
    if (node->deferred_count == node->deferred_capacity) {
        node->deferred_capacity = node->deferred_capacity ? node->deferred_capacity * 2 : 16;
        node->deferred = realloc(node->deferred, node->deferred_capacity * sizeof(*node->deferred));
        assert(node->deferred);
    }
    node->deferred[node->deferred_count++] = (struct sim_deferred){node->record_count, number};
}

static void check_committed(struct sim *sim, struct sim_node *node)
{
    const struct raft *raft = &node->raft;

    for (uint64_t index = node->checked + 1; index <= raft->commit; index++) {
        uint32_t term = raft_log_term(&raft->log, index);

        if (index <= sim->committed) {
            if (sim->committed_terms[index] != term ||
                sim->committed_payloads[index] != node->payloads[index])
                sim_fail(sim, "a committed entry changed");
            continue;
        }
        sim->committed = index;
        sim->committed_terms[index] = term;
        sim->committed_payloads[index] = node->payloads[index];
        sim->counts.commits++;
    }
    if (node->checked < raft->commit)
        node->checked = raft->commit;
}

static void complete_reads(struct sim *sim, struct sim_node *node)
{
    const struct raft *raft = &node->raft;
    uint32_t kept = 0;

    for (uint32_t i = 0; i < node->read_count; i++) {
        const struct sim_read *read = &node->reads[i];

        if (raft->role != RAFT_LEADER || raft->term != read->term)
            continue; /* its client is told to ask again */
        if (raft->read_round < read->round) {
            node->reads[kept++] = *read;
            continue;
        }
        sim->counts.reads++;
        if (raft->commit < read->floor)
            sim_fail(sim, "a confirmed read does not see what was committed before it");
    }
    node->read_count = kept;
}

static void lead(struct sim *sim, struct sim_node *node)
{
    uint32_t term = node->raft.term;

    assert(term < SIM_TERM_MAX);
    if (sim->leaders[term] != 0 && sim->leaders[term] != node->raft.options.self.member)
        sim_fail(sim, "two leaders in one term");
    sim->leaders[term] = node->raft.options.self.member;
    sim->counts.elections++;
    host_propose(sim, node, 1);
}

static void tick_schedule(struct sim *sim, struct sim_node *node)
{
    uint64_t deadline_ms = raft_deadline_ms(&node->raft);
    uint64_t now_ms = host_now_ms(sim, node);
    uint64_t delay_us = deadline_ms > now_ms ? (deadline_ms - now_ms) * 1100 : 1000;

    if (deadline_ms == UINT64_MAX || sim->now_us + delay_us >= node->tick_us)
        return;
    node->tick_us = sim->now_us + delay_us;
    sim_at(sim, delay_us, SIM_TICK, sim_number(sim, node), 0);
}

static void mix(struct sim *sim, const struct sim_node *node, const struct raft_event *event)
{
    const struct raft *raft = &node->raft;
    uint64_t words[] = {
        sim_number(sim, node), event->kind, raft->term,       raft->commit,
        raft->log.last,        raft->role,  raft->read_round, sim->effects.message_count};

    for (uint32_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        sim->hash = (sim->hash ^ words[i]) * 0x100000001B3u;
}

void host_step(struct sim *sim, struct sim_node *node, struct raft_event *event,
               const uint32_t *payloads)
{
    struct raft *raft = &node->raft;
    struct raft_effects *effects = &sim->effects;
    uint64_t last_before = raft->log.last;
    bool role_changed, commit_changed;

    event->now_ms = host_now_ms(sim, node);
    event->random = sim_random(sim);
    if (raft_reserve(raft, event->entry_count) != 0)
        abort();
    raft_step(raft, event, effects);
    raft_check(raft);
    sim->counts.steps++;
    mix(sim, node, event);
    write_records(sim, node, event, payloads, last_before);
    if (sim->churn && !sim->quiet && effects->commit_changed && raft->role == RAFT_LEADER &&
        sim_chance(sim, 150)) { /* the worst moment: nobody learns of this commit */
        sim_isolate(sim, sim_number(sim, node), true);
        sim_at(sim, sim_between(sim, 100000, 600000), SIM_HEAL, 0, 0);
    }
    for (uint32_t i = 0; i < effects->message_count; i++)
        take_message(sim, node, &effects->messages[i]);
    role_changed = effects->role_changed;
    commit_changed = effects->commit_changed;
    if (event->kind == RAFT_EVENT_BEAT)
        node->beat_accepted = effects->beat_accepted;
    sim->counts.configs += effects->config_changed;
    sim->counts.transfers += effects->transfer_ended && raft->role != RAFT_LEADER;
    if (role_changed && raft->role == RAFT_LEADER)
        lead(sim, node);
    if (commit_changed) {
        check_committed(sim, node);
        if (sim_chance(sim, 900))
            host_simple(sim, node, RAFT_EVENT_APPLIED, 0);
    }
    complete_reads(sim, node);
    if (raft->role == RAFT_LEADER && event->kind != RAFT_EVENT_FLUSH && !node->flush_due) {
        node->flush_due = true;
        sim_at(sim, sim_between(sim, 0, 300), SIM_FLUSH, sim_number(sim, node), 0);
    }
    journal_sync(sim, node);
    tick_schedule(sim, node);
}

void host_simple(struct sim *sim, struct sim_node *node, uint8_t kind, uint16_t member)
{
    struct raft_event event = {.kind = kind, .from = {.member = member, .life = SIM_LIFE}};

    if (kind == RAFT_EVENT_APPLIED)
        event.index = node->raft.commit;
    host_step(sim, node, &event, NULL);
}

void host_synced(struct sim *sim, struct sim_node *node)
{
    struct raft_event event = {.kind = RAFT_EVENT_SYNCED,
                               .index = node->note_index,
                               .term = node->note_term,
                               .hard_term = node->note_hard_term};
    uint32_t released = 0;

    journal_synced(node);
    while (released < node->deferred_count && node->deferred[released].position <= node->durable) {
        send_out(sim, node, node->deferred[released].packet);
        released++;
    }
    if (released > 0) {
        node->deferred_count -= released;
        memmove(node->deferred, node->deferred + released,
                node->deferred_count * sizeof(*node->deferred));
    }
    host_step(sim, node, &event, NULL);
}

void host_boot(struct sim *sim, struct sim_node *node)
{
    struct raft_options options = sim->options;
    struct raft *raft = &node->raft;
    uint32_t number = sim_number(sim, node);

    options.self = (struct raft_replica){(uint16_t)(number + 1), SIM_LIFE};
    if (raft_init(raft, &options, &sim->configs[0], host_now_ms(sim, node), sim_random(sim)) != 0)
        abort();
    journal_replay(sim, node);
    raft_restore_done(raft, host_now_ms(sim, node), sim_random(sim));
    if (raft->term < node->promised_term)
        sim_fail(sim, "a term went back in a crash");
    if (raft->term == node->promised_term && node->promised_vote != 0 &&
        raft->vote != node->promised_vote)
        sim_fail(sim, "a vote was forgotten in a crash");
    node->up = true;
    node->inflight = 0;
    node->deferred_count = 0;
    node->flush_due = false;
    node->read_count = 0;
    node->round = 0;
    node->tick_us = UINT64_MAX;
    node->commit_recorded = raft->commit;
    node->checked = raft->log.first - 1;
    check_committed(sim, node);
    sim_at(sim, sim_between(sim, 0, sim->beat_ms * UINT64_C(1000)), SIM_BEATS, number, 0);
    tick_schedule(sim, node);
}

static void deliver_message(struct sim *sim, struct sim_node *node, const struct sim_packet *packet)
{
    struct raft_entry entries[SIM_ENTRIES_MAX];
    struct raft_config configs[SIM_ENTRIES_MAX];
    uint32_t config_count = 0;
    struct raft_event event = {.kind = RAFT_EVENT_MESSAGE,
                               .message = &packet->message,
                               .entries = entries,
                               .entry_count = packet->message.entry_count,
                               .configs = configs};

    for (uint32_t i = 0; i < event.entry_count; i++) {
        uint32_t payload = packet->entry_payloads[i];

        entries[i] = (struct raft_entry){.term = packet->entry_terms[i],
                                         .size = packet->entry_sizes[i],
                                         .config = (payload & SIM_CONFIG_FLAG) != 0};
        if (entries[i].config)
            configs[config_count++] = sim->configs[payload & ~SIM_CONFIG_FLAG];
    }
    host_step(sim, node, &event, packet->entry_payloads);
}

static void retain(struct sim *sim, struct sim_node *node, uint64_t first)
{
    struct raft_event event = {.kind = RAFT_EVENT_RETAIN, .index = first};

    if (event.index > node->raft.applied + 1)
        event.index = node->raft.applied + 1;
    host_step(sim, node, &event, NULL);
}

static void answer_beat(struct sim *sim, struct sim_node *node, const struct sim_packet *beat)
{
    uint32_t number = sim_packet(sim);
    struct sim_packet *packet = &sim->packets[number];

    packet->kind = SIM_BEAT_ACK;
    packet->round = beat->round;
    packet->message.from = node->raft.options.self;
    packet->message.to = beat->message.from;
    packet->message.term = beat->message.term;
    sim_send(sim, number);
}

void host_deliver(struct sim *sim, struct sim_node *node, uint32_t number)
{
    struct sim_packet packet = sim->packets[number]; /* the table may move */
    struct raft_event event = {.from = packet.message.from,
                               .to_life = packet.message.to.life,
                               .term = packet.message.term,
                               .commit = packet.message.commit,
                               .round = packet.round};

    switch (packet.kind) {
    case SIM_MESSAGE:
        deliver_message(sim, node, &packet);
        return;
    case SIM_BEAT:
        event.kind = RAFT_EVENT_BEAT;
        host_step(sim, node, &event, NULL);
        if (node->beat_accepted) {
            answer_beat(sim, node, &packet);
            retain(sim, node, packet.message.index);
        }
        return;
    default:
        event.kind = RAFT_EVENT_BEAT_ACK;
        host_step(sim, node, &event, NULL);
    }
}

void host_beats(struct sim *sim, struct sim_node *node)
{
    const struct raft *raft = &node->raft;
    uint64_t first = UINT64_MAX;

    if (raft->role != RAFT_LEADER)
        return;
    node->round++;
    for (uint32_t i = 0; i < raft->peer_count; i++) {
        if (raft->peers[i].match + 1 < first)
            first = raft->peers[i].match + 1;
    }
    for (uint32_t i = 0; i < raft->peer_count; i++) {
        const struct raft_progress *peer = &raft->peers[i];
        uint32_t number;
        struct sim_packet *packet;

        if (peer->replica.member == raft->options.self.member)
            continue;
        number = sim_packet(sim);
        packet = &sim->packets[number];
        packet->kind = SIM_BEAT;
        packet->round = node->round;
        packet->message.from = raft->options.self;
        packet->message.to = peer->replica;
        packet->message.term = raft->term;
        packet->message.commit = raft->commit < peer->match ? raft->commit : peer->match;
        packet->message.index = first;
        sim_send(sim, number);
    }
    if (sim_chance(sim, 200))
        retain(sim, node, first);
    if (raft->role == RAFT_LEADER && raft->config.voter_old_count > 0)
        host_propose_config(sim, node);
}

void host_read(struct sim *sim, struct sim_node *node)
{
    if (node->raft.role != RAFT_LEADER || node->read_count == SIM_READS_MAX)
        return;
    node->reads[node->read_count++] =
        (struct sim_read){node->round + 1, sim->committed, node->raft.term};
    complete_reads(sim, node);
    if (sim_chance(sim, 500))
        host_beats(sim, node);
}

void host_propose(struct sim *sim, struct sim_node *node, uint32_t count)
{
    struct raft_entry entries[SIM_ENTRIES_MAX];
    uint32_t payloads[SIM_ENTRIES_MAX];
    struct raft_event event = {
        .kind = RAFT_EVENT_PROPOSE, .entries = entries, .entry_count = count};

    assert(count <= SIM_ENTRIES_MAX);
    if (sim->payload_next + count > PAYLOADS_MAX || node->raft.log.last + count >= SIM_INDEX_MAX)
        return;
    for (uint32_t i = 0; i < count; i++) {
        entries[i] = (struct raft_entry){.term = 0, .size = (uint32_t)sim_between(sim, 1, 20) * 16};
        payloads[i] = sim->payload_next++;
    }
    host_step(sim, node, &event, payloads);
}

static void add_learners(const struct sim *sim, struct raft_config *config)
{
    config->learner_count = 0;
    for (uint16_t member = 1; member <= sim->node_count; member++) {
        bool votes = false;

        for (uint32_t i = 0; i < config->voter_count; i++)
            votes |= config->voters[i].member == member;
        for (uint32_t i = 0; i < config->voter_old_count; i++)
            votes |= config->voters_old[i].member == member;
        if (!votes)
            config->learners[config->learner_count++] = (struct raft_replica){member, SIM_LIFE};
    }
}

void host_propose_config(struct sim *sim, struct sim_node *node)
{
    struct raft_config *config = &sim->configs[sim->config_count];
    struct raft_entry entry = {.size = 64, .config = true};
    uint32_t payload = SIM_CONFIG_FLAG | sim->config_count;
    struct raft_event event = {
        .kind = RAFT_EVENT_PROPOSE, .entries = &entry, .entry_count = 1, .configs = config};

    if (node->raft.role != RAFT_LEADER || sim->config_count + 2 > SIM_CONFIGS_MAX ||
        node->raft.log.last + 1 >= SIM_INDEX_MAX)
        return;
    sim->config_count++;
    *config = node->raft.config;
    config->index = 0;
    config->epoch++;
    if (config->voter_old_count > 0) {
        config->voter_old_count = 0;
    } else {
        uint32_t wanted = (uint32_t)sim_between(sim, sim->node_count < 3 ? 1 : 2, sim->node_count);
        uint32_t first = (uint32_t)sim_between(sim, 0, sim->node_count - 1);

        memcpy(config->voters_old, config->voters, sizeof(config->voters));
        config->voter_old_count = config->voter_count;
        config->voter_count = 0;
        for (uint32_t i = 0; i < wanted; i++)
            config->voters[config->voter_count++] =
                (struct raft_replica){(uint16_t)((first + i) % sim->node_count + 1), SIM_LIFE};
    }
    add_learners(sim, config);
    host_step(sim, node, &event, &payload);
}
