#include "raft_script.h"

#include <criterion/criterion.h>

struct raft_options script_options(uint16_t self)
{
    return (struct raft_options){
        .group = SCRIPT_GROUP,
        .self = script_replica(self),
        .election_ms_min = 500,
        .election_ms_max = 1000,
        .append_entries_max = 16,
        .append_size_max = 4096,
        .inflight_size_max = 65536,
        .inflight_messages_max = 8,
        .retry_ms = 200,
    };
}

struct raft_replica script_replica(uint16_t member)
{
    return (struct raft_replica){.member = member, .life = SCRIPT_LIFE};
}

struct raft_config script_config(uint8_t voters, uint8_t learners)
{
    struct raft_config config = {.index = SCRIPT_LIFE, .epoch = 1};

    for (uint16_t member = 1; member <= voters + learners; member++) {
        if (member <= voters)
            config.voters[config.voter_count++] = script_replica(member);
        else
            config.learners[config.learner_count++] = script_replica(member);
    }
    return config;
}

void script_init(struct script *script, uint16_t self, uint8_t voters, uint8_t learners,
                 const struct raft_options *options)
{
    struct raft_options standard = script_options(self);
    struct raft_config config = script_config(voters, learners);

    script->now_ms = 1000;
    script->random = 42;
    cr_assert_eq(raft_init(&script->raft, options ? options : &standard, &config, script->now_ms,
                           script->random),
                 0);
}

void script_deinit(struct script *script)
{
    raft_deinit(&script->raft);
}

void script_step(struct script *script, struct raft_event event)
{
    event.now_ms = script->now_ms;
    event.random = script->random += 0x9E3779B97F4A7C15u;
    cr_assert_eq(raft_reserve(&script->raft, event.entry_count), 0);
    raft_step(&script->raft, &event, &script->effects);
    raft_check(&script->raft);
    raft_log_check(&script->raft.log);
}

void script_event(struct script *script, uint8_t kind)
{
    script_step(script, (struct raft_event){.kind = kind});
}

void script_timeout(struct script *script)
{
    uint64_t deadline_ms = raft_deadline_ms(&script->raft);

    cr_assert_neq(deadline_ms, UINT64_MAX);
    if (script->now_ms < deadline_ms)
        script->now_ms = deadline_ms;
    script_event(script, RAFT_EVENT_TICK);
}

void script_message(struct script *script, uint16_t from, struct raft_message message,
                    const uint32_t *terms)
{
    struct raft_entry entries[SCRIPT_ENTRIES_MAX];

    message.group = SCRIPT_GROUP;
    message.from = script_replica(from);
    message.to = script->raft.options.self;
    for (uint32_t i = 0; i < message.entry_count; i++)
        entries[i] = (struct raft_entry){.term = terms[i], .size = 16};
    script_step(script, (struct raft_event){.kind = RAFT_EVENT_MESSAGE,
                                            .message = &message,
                                            .entries = entries,
                                            .entry_count = message.entry_count});
}

void script_propose(struct script *script, uint32_t count, uint32_t size)
{
    struct raft_entry entries[SCRIPT_ENTRIES_MAX];

    for (uint32_t i = 0; i < count; i++)
        entries[i] = (struct raft_entry){.size = size};
    script_step(script, (struct raft_event){
                            .kind = RAFT_EVENT_PROPOSE, .entries = entries, .entry_count = count});
}

void script_synced(struct script *script)
{
    const struct raft_log *log = &script->raft.log;

    script_step(script, (struct raft_event){.kind = RAFT_EVENT_SYNCED,
                                            .index = log->last,
                                            .term = raft_log_term(log, log->last),
                                            .hard_term = script->raft.term});
}

void script_beat(struct script *script, uint16_t from, uint32_t term, uint64_t commit,
                 uint64_t round)
{
    script_step(script, (struct raft_event){.kind = RAFT_EVENT_BEAT,
                                            .from = script_replica(from),
                                            .to_life = SCRIPT_LIFE,
                                            .term = term,
                                            .commit = commit,
                                            .round = round});
}

void script_beat_ack(struct script *script, uint16_t from, uint32_t term, uint64_t round)
{
    script_step(script, (struct raft_event){.kind = RAFT_EVENT_BEAT_ACK,
                                            .from = script_replica(from),
                                            .to_life = SCRIPT_LIFE,
                                            .term = term,
                                            .round = round});
}

void script_accept(struct script *script, uint16_t from, uint64_t index)
{
    script_message(
        script, from,
        (struct raft_message){.kind = RAFT_APPEND_REPLY, .term = script->raft.term, .index = index},
        NULL);
}

void script_lead(struct script *script)
{
    const struct raft_config *config = &script->raft.config;
    uint16_t self = script->raft.options.self.member;

    script_event(script, RAFT_EVENT_CAMPAIGN);
    for (uint32_t i = 0; i < config->voter_count; i++) {
        if (config->voters[i].member != self)
            script_message(
                script, config->voters[i].member,
                (struct raft_message){.kind = RAFT_PREVOTE_REPLY, .term = script->raft.term + 1},
                NULL);
    }
    cr_assert_eq(script->raft.role, RAFT_CANDIDATE);
    script_synced(script);
    for (uint32_t i = 0; i < config->voter_count; i++) {
        if (config->voters[i].member != self)
            script_message(
                script, config->voters[i].member,
                (struct raft_message){.kind = RAFT_VOTE_REPLY, .term = script->raft.term}, NULL);
    }
    cr_assert_eq(script->raft.role, RAFT_LEADER);
    script_propose(script, 1, 16);
    cr_assert_eq(script->raft.term_start, script->raft.log.last);
    script_event(script, RAFT_EVENT_FLUSH);
    script_synced(script);
}

void script_follow(struct script *script, uint16_t leader, const uint32_t *terms, uint32_t count)
{
    script_message(
        script, leader,
        (struct raft_message){
            .kind = RAFT_APPEND, .term = terms[count - 1], .index = 0, .entry_count = count},
        terms);
    script_synced(script);
    cr_assert_eq(script->raft.log.last, count);
}

const struct raft_message *script_sent(const struct script *script, uint8_t kind, uint16_t member,
                                       uint32_t n)
{
    for (uint32_t i = 0; i < script->effects.message_count; i++) {
        const struct raft_message *message = &script->effects.messages[i];

        if (message->kind != kind || (member != 0 && message->to.member != member))
            continue;
        if (n-- == 0)
            return message;
    }
    return NULL;
}

uint32_t script_sent_count(const struct script *script, uint8_t kind, uint16_t member)
{
    uint32_t count = 0;

    while (script_sent(script, kind, member, count))
        count++;
    return count;
}
