#include "raft_script.h"

#include <criterion/criterion.h>

static void append(struct script *script, uint16_t from, struct raft_message message,
                   const uint32_t *terms)
{
    message.kind = RAFT_APPEND;
    script_message(script, from, message, terms);
}

static const struct raft_message *reply(const struct script *script)
{
    const struct raft_message *message = script_sent(script, RAFT_APPEND_REPLY, 0, 0);

    cr_assert_not_null(message);
    return message;
}

static void refuse(struct script *script, uint16_t from, uint64_t refused, uint64_t hint,
                   uint32_t hint_term)
{
    script_message(script, from,
                   (struct raft_message){.kind = RAFT_APPEND_REPLY,
                                         .term = script->raft.term,
                                         .reject = true,
                                         .commit = refused,
                                         .index = hint,
                                         .log_term = hint_term},
                   NULL);
}

Test(raft_append, a_follower_acknowledges_after_its_write)
{
    static const uint32_t terms[] = {1, 1, 1};
    struct script s;

    script_init(&s, 1, 3, 0, NULL);
    append(&s, 2, (struct raft_message){.term = 1, .entry_count = 3}, terms);
    cr_assert(s.effects.write_hard_state);
    cr_assert_eq(s.effects.append_first, 1);
    cr_assert_eq(s.effects.append_last, 3);
    cr_assert_eq(s.effects.append_skip, 0);
    cr_assert(reply(&s)->after_write);
    cr_assert_eq(reply(&s)->index, 3);
    append(&s, 2, (struct raft_message){.term = 1, .entry_count = 3}, terms);
    cr_assert_eq(s.effects.append_first, 0, "nothing new");
    cr_assert(reply(&s)->after_write, "but what is there may not be durable");
    script_deinit(&s);
}

Test(raft_append, an_acknowledgement_covers_only_the_message)
{
    static const uint32_t terms[] = {1, 1, 1, 1};
    struct script s;

    script_init(&s, 1, 3, 0, NULL);
    script_follow(&s, 2, terms, 4);
    append(&s, 3, (struct raft_message){.term = 2, .index = 2, .log_term = 1}, NULL);
    cr_assert_eq(reply(&s)->index, 2);
    append(
        &s, 3,
        (struct raft_message){.term = 2, .index = 1, .log_term = 1, .commit = 9, .entry_count = 1},
        terms);
    cr_assert_eq(reply(&s)->index, 2);
    cr_assert_eq(s.raft.commit, 2, "entries beyond may be another leader's leftovers");
    script_deinit(&s);
}

Test(raft_append, an_old_append_that_matches_truncates_nothing)
{
    static const uint32_t terms[] = {1, 1, 1, 1};
    struct script s;

    script_init(&s, 1, 3, 0, NULL);
    script_follow(&s, 2, terms, 4);
    append(&s, 2, (struct raft_message){.term = 1, .entry_count = 2}, terms);
    cr_assert_eq(s.raft.log.last, 4);
    cr_assert_eq(s.effects.append_first, 0);
    append(&s, 2, (struct raft_message){.term = 1, .index = 2, .log_term = 1, .entry_count = 4},
           terms);
    cr_assert_eq(s.effects.append_skip, 2);
    cr_assert_eq(s.effects.append_first, 5);
    cr_assert_eq(s.effects.append_last, 6);
    script_deinit(&s);
}

Test(raft_append, a_conflict_truncates_and_is_not_synced_any_more)
{
    static const uint32_t old[] = {1, 1, 1, 1};
    static const uint32_t new[] = {1, 3};
    struct script s;

    script_init(&s, 1, 3, 0, NULL);
    script_follow(&s, 2, old, 4);
    cr_assert_eq(s.raft.synced, 4);
    append(&s, 3, (struct raft_message){.term = 3, .index = 1, .log_term = 1, .entry_count = 2},
           new);
    cr_assert_eq(s.raft.log.last, 3);
    cr_assert_eq(raft_log_term(&s.raft.log, 3), 3);
    cr_assert_eq(s.effects.append_skip, 1);
    cr_assert_eq(s.effects.append_first, 3);
    cr_assert_eq(s.raft.synced, 2);
    /* The batch of the old entries is reported late. */
    script_step(
        &s, (struct raft_event){.kind = RAFT_EVENT_SYNCED, .index = 3, .term = 1, .hard_term = 1});
    cr_assert_eq(s.raft.synced, 2);
    script_synced(&s);
    cr_assert_eq(s.raft.synced, 3);
    script_deinit(&s);
}

Test(raft_append, an_append_below_the_commit_index_is_taken_as_known)
{
    static const uint32_t terms[] = {1, 1, 1, 1};
    struct script s;

    script_init(&s, 1, 3, 0, NULL);
    script_follow(&s, 2, terms, 4);
    script_beat(&s, 2, 1, 3, 1);
    append(&s, 2, (struct raft_message){.term = 1, .entry_count = 1}, terms);
    cr_assert_not(reply(&s)->reject);
    cr_assert_eq(reply(&s)->index, 3);
    script_deinit(&s);
}

Test(raft_append, an_append_that_contradicts_what_is_committed_is_dropped)
{
    static const uint32_t old[] = {1, 1, 1};
    static const uint32_t new[] = {1, 2, 2};
    struct script s;

    script_init(&s, 1, 3, 0, NULL);
    script_follow(&s, 2, old, 3);
    script_beat(&s, 2, 1, 2, 1);
    append(&s, 3, (struct raft_message){.term = 2, .entry_count = 3}, new);
    cr_assert_eq(s.effects.message_count, 0);
    cr_assert_eq(s.effects.append_first, 0);
    cr_assert_eq(s.raft.log.last, 3);
    append(&s, 3, (struct raft_message){.term = 2, .index = 2, .log_term = 2}, NULL);
    cr_assert_eq(s.effects.message_count, 0);
    script_deinit(&s);
}

Test(raft_append, unsound_entries_are_dropped)
{
    static const uint32_t falling[] = {2, 1};
    static const uint32_t future[] = {9};
    struct script s;

    script_init(&s, 1, 3, 0, NULL);
    append(&s, 2, (struct raft_message){.term = 3, .entry_count = 2}, falling);
    cr_assert_eq(s.raft.log.last, 0);
    append(&s, 2, (struct raft_message){.term = 3, .entry_count = 1}, future);
    cr_assert_eq(s.raft.log.last, 0);
    cr_assert_eq(s.effects.message_count, 0);
    script_deinit(&s);
}

Test(raft_append, a_refusal_gives_a_hint_by_term)
{
    static const uint32_t terms[] = {1, 1, 2, 2, 2, 2};
    struct script s;

    script_init(&s, 1, 3, 0, NULL);
    script_follow(&s, 2, terms, 6);
    append(&s, 3, (struct raft_message){.term = 9, .index = 20, .log_term = 8}, NULL);
    cr_assert(reply(&s)->reject);
    cr_assert_eq(reply(&s)->commit, 20);
    cr_assert_eq(reply(&s)->index, 6, "the end of the log");
    cr_assert_eq(reply(&s)->log_term, 2);
    append(&s, 3, (struct raft_message){.term = 9, .index = 5, .log_term = 1}, NULL);
    cr_assert_eq(reply(&s)->index, 2, "all of term 2 is skipped");
    cr_assert_eq(reply(&s)->log_term, 1);
    cr_assert_not(reply(&s)->after_write);
    script_deinit(&s);
}

/* The leader's log is 1 1 4 4 …, a follower's 1 1 2 2 2 … 2: two round trips, whatever the length.
 */
Test(raft_append, a_leader_backtracks_by_term)
{
    uint32_t terms[40];
    struct script s;

    for (uint32_t i = 0; i < 40; i++)
        terms[i] = i < 2 ? 1 : 4;
    script_init(&s, 1, 3, 0, NULL);
    script_follow(&s, 2, terms, 40);
    script_lead(&s);
    cr_assert_eq(s.raft.term, 5);
    refuse(&s, 2, 40, 39, 2);
    cr_assert_eq(script_sent_count(&s, RAFT_APPEND, 2), 1);
    cr_assert_eq(script_sent(&s, RAFT_APPEND, 2, 0)->index, 2);
    cr_assert_eq(script_sent(&s, RAFT_APPEND, 2, 0)->log_term, 1);
    refuse(&s, 2, 40, 39, 2);
    cr_assert_eq(s.effects.message_count, 0, "the same refusal again is old news");
    script_accept(&s, 2, 18);
    cr_assert_eq(raft_peer(&s.raft, 2)->match, 18);
    cr_assert_gt(script_sent_count(&s, RAFT_APPEND, 2), 0);
    cr_assert_eq(raft_peer(&s.raft, 2)->next, 42, "it is pipelined from there");
    script_deinit(&s);
}

/* Thesis figure 3.7: an entry of term 2 is on a majority in term 4, and may still be overwritten.
 */
Test(raft_append, an_earlier_terms_entry_is_not_committed_by_counting)
{
    static const uint32_t terms[] = {1, 2};
    struct script s;

    script_init(&s, 1, 5, 0, NULL);
    script_follow(&s, 2, terms, 2);
    script_message(&s, 5, (struct raft_message){.kind = RAFT_VOTE, .term = 3, .transfer = true},
                   NULL); /* S5 led term 3 */
    s.now_ms += 2000;
    script_lead(&s);
    cr_assert_eq(s.raft.term, 4);
    script_accept(&s, 2, 2);
    script_accept(&s, 3, 2);
    cr_assert_eq(s.raft.commit, 0);
    script_accept(&s, 2, 3);
    cr_assert_eq(s.raft.commit, 0);
    script_accept(&s, 3, 3);
    cr_assert_eq(s.raft.commit, 3);
    cr_assert(s.effects.commit_changed);
    script_deinit(&s);
}

Test(raft_append, own_entries_count_only_when_synced)
{
    struct script s;

    script_init(&s, 1, 3, 0, NULL);
    script_lead(&s);
    script_propose(&s, 2, 16);
    cr_assert_eq(s.effects.append_first, 2);
    cr_assert_eq(s.effects.append_last, 3);
    cr_assert_eq(s.effects.append_term, 1);
    cr_assert_eq(s.effects.message_count, 0, "appends leave in FLUSH");
    script_event(&s, RAFT_EVENT_FLUSH);
    script_accept(&s, 2, 1);
    script_accept(&s, 2, 3);
    cr_assert_eq(s.raft.commit, 1);
    script_synced(&s);
    cr_assert_eq(s.raft.commit, 3);
    script_deinit(&s);
}

Test(raft_append, acknowledgements_of_learners_and_of_one_voter_twice_commit_nothing)
{
    struct script s;

    script_init(&s, 1, 5, 2, NULL);
    script_lead(&s);
    script_accept(&s, 6, 1);
    script_accept(&s, 7, 1);
    script_accept(&s, 2, 1);
    script_accept(&s, 2, 1);
    cr_assert_eq(s.raft.commit, 0);
    script_accept(&s, 5, 1);
    cr_assert_eq(s.raft.commit, 1);
    script_deinit(&s);
}

Test(raft_append, a_flush_pipelines_within_the_limits)
{
    struct raft_options options = script_options(1);
    struct script s;

    options.append_entries_max = 4;
    options.append_size_max = 100;
    options.inflight_messages_max = 3;
    script_init(&s, 1, 3, 0, &options);
    script_lead(&s);
    script_accept(&s, 2, 1);
    script_propose(&s, 20, 16);
    script_event(&s, RAFT_EVENT_FLUSH);
    cr_assert_eq(script_sent_count(&s, RAFT_APPEND, 2), 3, "the window");
    cr_assert_eq(script_sent_count(&s, RAFT_APPEND, 3), 0, "a probe is on its way");
    for (uint32_t i = 0; i < 3; i++) {
        const struct raft_message *message = script_sent(&s, RAFT_APPEND, 2, i);

        cr_assert_eq(message->index, 1 + 4 * i);
        cr_assert_eq(message->entry_count, 4);
        cr_assert_eq(message->entries_size, 64);
        cr_assert_eq(message->commit, 1);
    }
    script_accept(&s, 2, 5);
    cr_assert_eq(script_sent_count(&s, RAFT_APPEND, 2), 1, "the window opens by one");
    cr_assert_eq(script_sent(&s, RAFT_APPEND, 2, 0)->index, 13);
    script_propose(&s, 2, 90);
    script_accept(&s, 2, 9);
    script_accept(&s, 2, 21);
    cr_assert_eq(s.effects.message_count, 0, "what was not flushed yet stays");
    script_event(&s, RAFT_EVENT_FLUSH);
    cr_assert_eq(script_sent_count(&s, RAFT_APPEND, 2), 2, "two do not fit in one message");
    script_deinit(&s);
}

Test(raft_append, an_entry_above_the_size_limit_goes_alone)
{
    struct raft_options options = script_options(1);
    struct script s;

    options.append_size_max = 100;
    script_init(&s, 1, 3, 0, &options);
    script_lead(&s);
    script_accept(&s, 2, 1);
    script_propose(&s, 1, 16);
    script_propose(&s, 1, 5000);
    script_propose(&s, 1, 16);
    script_event(&s, RAFT_EVENT_FLUSH);
    cr_assert_eq(script_sent_count(&s, RAFT_APPEND, 2), 3);
    cr_assert_eq(script_sent(&s, RAFT_APPEND, 2, 1)->entry_count, 1);
    cr_assert_eq(script_sent(&s, RAFT_APPEND, 2, 1)->entries_size, 5000);
    script_deinit(&s);
}

Test(raft_append, one_peer_far_behind_takes_no_room_from_the_others)
{
    struct raft_options options = script_options(1);
    struct script s;

    options.append_entries_max = 1;
    options.inflight_messages_max = 1000;
    options.inflight_size_max = 1u << 30;
    script_init(&s, 1, 3, 0, &options);
    script_lead(&s);
    script_propose(&s, 60, 16);
    script_event(&s, RAFT_EVENT_FLUSH);
    script_propose(&s, 60, 16);
    script_accept(&s, 2, 1);
    script_accept(&s, 3, 1);
    script_event(&s, RAFT_EVENT_FLUSH);
    cr_assert_eq(s.effects.message_count, RAFT_EFFECT_MESSAGES_MAX);
    cr_assert_gt(script_sent_count(&s, RAFT_APPEND, 3), RAFT_EFFECT_MESSAGES_MAX / 2 - 2);
    script_deinit(&s);
}

Test(raft_append, what_is_not_answered_is_sent_again)
{
    struct script s;

    script_init(&s, 1, 3, 0, NULL);
    script_lead(&s);
    script_accept(&s, 2, 1);
    script_accept(&s, 3, 1);
    script_propose(&s, 2, 16);
    script_event(&s, RAFT_EVENT_FLUSH);
    script_synced(&s);
    cr_assert_eq(script_sent_count(&s, RAFT_APPEND, 0), 0);
    s.now_ms += 199;
    script_event(&s, RAFT_EVENT_TICK);
    cr_assert_eq(s.effects.message_count, 0);
    cr_assert_eq(raft_deadline_ms(&s.raft), s.now_ms + 1);
    script_accept(&s, 2, 3);
    s.now_ms += 1;
    script_event(&s, RAFT_EVENT_TICK);
    cr_assert_eq(script_sent_count(&s, RAFT_APPEND, 2), 0);
    cr_assert_eq(script_sent_count(&s, RAFT_APPEND, 3), 1);
    cr_assert_eq(script_sent(&s, RAFT_APPEND, 3, 0)->index, 1);
    cr_assert_eq(script_sent(&s, RAFT_APPEND, 3, 0)->entry_count, 2);
    script_deinit(&s);
}

Test(raft_append, a_peer_whose_entries_have_gone_is_sent_nothing)
{
    struct script s;

    script_init(&s, 1, 3, 0, NULL);
    script_lead(&s);
    script_propose(&s, 9, 16);
    script_event(&s, RAFT_EVENT_FLUSH);
    script_synced(&s);
    script_accept(&s, 2, 10);
    script_step(&s, (struct raft_event){.kind = RAFT_EVENT_APPLIED, .index = 10});
    script_step(&s, (struct raft_event){.kind = RAFT_EVENT_RETAIN, .index = 8});
    refuse(&s, 3, 0, 0, 0);
    cr_assert_eq(s.effects.message_count, 0);
    s.now_ms += 200;
    script_event(&s, RAFT_EVENT_TICK);
    cr_assert_eq(s.effects.message_count, 0);
    script_deinit(&s);
}

Test(raft_append, an_answer_beyond_the_log_is_dropped)
{
    struct script s;

    script_init(&s, 1, 3, 0, NULL);
    script_lead(&s);
    script_accept(&s, 2, 99);
    cr_assert_eq(raft_peer(&s.raft, 2)->match, 0);
    cr_assert_eq(s.raft.commit, 0);
    script_deinit(&s);
}

Test(raft_append, followers_refuse_proposals)
{
    struct script s;

    script_init(&s, 1, 3, 0, NULL);
    script_propose(&s, 1, 16);
    cr_assert(s.effects.refused);
    cr_assert_eq(s.raft.log.last, 0);
    script_deinit(&s);
}
