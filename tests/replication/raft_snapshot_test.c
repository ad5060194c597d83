#include "tests/replication/raft_script.h"

#include <criterion/criterion.h>

/* A leader of three in term 1 with ten entries, the no-op among them: member 2 has all of them,
 * member 3 none, and the log begins at 8. */
static void lead_short(struct script *s)
{
    script_init(s, 1, 3, 0, NULL);
    script_lead(s);
    script_propose(s, 9, 16);
    script_event(s, RAFT_EVENT_FLUSH);
    script_synced(s);
    script_accept(s, 2, 10);
    script_step(s, (struct raft_event){.kind = RAFT_EVENT_APPLIED, .index = 10});
    script_step(s, (struct raft_event){.kind = RAFT_EVENT_RETAIN, .index = 8});
}

static void peer_event(struct script *s, uint8_t kind, uint16_t member, uint64_t index)
{
    script_step(s,
                (struct raft_event){.kind = kind, .from = script_replica(member), .index = index});
}

/* Member 3 is known to lack what has gone, and gets a snapshot at 10. */
static void begin(struct script *s)
{
    lead_short(s);
    s->now_ms += 200;
    script_event(s, RAFT_EVENT_TICK); /* its probe had gone with the log */
    peer_event(s, RAFT_EVENT_SNAPSHOT_BEGIN, 3, 10);
    cr_assert(!s->effects.refused);
}

/* An entry behind what there is; the peer has it, too. */
static void prove(struct script *s, uint16_t peer)
{
    script_propose(s, 1, 16);
    script_event(s, RAFT_EVENT_FLUSH);
    script_synced(s);
    script_accept(s, peer, s->raft.log.last);
}

static void offer(struct script *s, uint16_t from, uint32_t term, uint64_t index, uint32_t log_term)
{
    script_message(s, from,
                   (struct raft_message){
                       .kind = RAFT_SNAPSHOT, .term = term, .index = index, .log_term = log_term},
                   NULL);
}

static void install(struct script *s, uint64_t index, uint32_t term)
{
    struct raft_config config = s->raft.config;

    script_step(s, (struct raft_event){.kind = RAFT_EVENT_SNAPSHOT_INSTALLED,
                                       .from = script_replica(2),
                                       .index = index,
                                       .term = term,
                                       .configs = &config});
}

Test(raft_snapshot, a_peer_whose_next_entry_has_left_the_log_wants_one)
{
    struct script s;

    lead_short(&s);
    cr_assert(!raft_peer(&s.raft, 3)->snapshot_wanted);
    s.now_ms += 200;
    script_event(&s, RAFT_EVENT_TICK); /* its probe had gone with the log */
    cr_assert(s.effects.snapshot_wanted);
    cr_assert(raft_peer(&s.raft, 3)->snapshot_wanted);
    cr_assert(!raft_peer(&s.raft, 2)->snapshot_wanted);
    cr_assert_eq(s.effects.message_count, 0);
    script_deinit(&s);
}

Test(raft_snapshot, a_peer_that_the_log_can_help_wants_none)
{
    struct script s;

    lead_short(&s);
    s.now_ms += 200;
    script_event(&s, RAFT_EVENT_TICK);
    cr_assert(raft_peer(&s.raft, 3)->snapshot_wanted);
    script_accept(&s, 3, 7); /* it was another's: this one has what leads up to the log */
    cr_assert(!raft_peer(&s.raft, 3)->snapshot_wanted);
    cr_assert_eq(script_sent_count(&s, RAFT_APPEND, 3), 1);
    cr_assert_eq(script_sent(&s, RAFT_APPEND, 3, 0)->index, 7);
    script_deinit(&s);
}

Test(raft_snapshot, nothing_is_appended_while_one_is_under_way)
{
    struct script s;

    begin(&s);
    script_propose(&s, 1, 16);
    script_event(&s, RAFT_EVENT_FLUSH);
    cr_assert_eq(script_sent_count(&s, RAFT_APPEND, 2), 1);
    cr_assert_eq(script_sent_count(&s, RAFT_APPEND, 3), 0);
    s.now_ms += 5000;
    script_beat_ack(&s, 2, 1, 1);
    script_event(&s, RAFT_EVENT_TICK);
    cr_assert_eq(script_sent_count(&s, RAFT_APPEND, 3), 0);
    script_deinit(&s);
}

Test(raft_snapshot, its_answer_lets_appends_go_on_behind_it)
{
    struct script s;

    begin(&s);
    script_propose(&s, 1, 16);
    script_event(&s, RAFT_EVENT_FLUSH);
    script_accept(&s, 3, 10);
    cr_assert_eq(raft_peer(&s.raft, 3)->match, 10);
    cr_assert_eq(raft_peer(&s.raft, 3)->snapshot, 0);
    cr_assert(!raft_peer(&s.raft, 3)->snapshot_wanted);
    cr_assert_eq(script_sent_count(&s, RAFT_APPEND, 3), 1);
    cr_assert_eq(script_sent(&s, RAFT_APPEND, 3, 0)->index, 10);
    script_deinit(&s);
}

Test(raft_snapshot, log_behind_one_under_way_is_kept)
{
    struct script s;

    begin(&s);
    script_propose(&s, 5, 16);
    script_event(&s, RAFT_EVENT_FLUSH);
    script_synced(&s);
    script_accept(&s, 2, 15);
    script_step(&s, (struct raft_event){.kind = RAFT_EVENT_APPLIED, .index = 15});
    cr_assert_eq(raft_retain_max(&s.raft), 11);
    script_step(&s, (struct raft_event){.kind = RAFT_EVENT_RETAIN, .index = 16});
    cr_assert_eq(s.raft.log.first, 11);
    peer_event(&s, RAFT_EVENT_SNAPSHOT_FAILED, 3, 10);
    script_step(&s, (struct raft_event){.kind = RAFT_EVENT_RETAIN, .index = 16});
    cr_assert_eq(s.raft.log.first, 16);
    cr_assert(raft_peer(&s.raft, 3)->snapshot_wanted);
    script_deinit(&s);
}

Test(raft_snapshot, something_is_left_of_one_that_failed_unless_the_peer_has_nothing)
{
    struct script s;

    begin(&s);
    peer_event(&s, RAFT_EVENT_SNAPSHOT_FAILED, 3, 10);
    cr_assert_eq(raft_peer(&s.raft, 3)->snapshot_left, 10);
    peer_event(&s, RAFT_EVENT_SNAPSHOT_BEGIN, 3, 10);
    cr_assert_eq(raft_peer(&s.raft, 3)->snapshot, 10);
    peer_event(&s, RAFT_EVENT_SNAPSHOT_FAILED, 3, 0);
    cr_assert_eq(raft_peer(&s.raft, 3)->snapshot, 0);
    cr_assert_eq(raft_peer(&s.raft, 3)->snapshot_left, 0);
    cr_assert(raft_peer(&s.raft, 3)->snapshot_wanted);
    script_deinit(&s);
}

Test(raft_snapshot, none_begins_unwanted_or_before_the_own_no_op)
{
    static const uint32_t terms[] = {1, 1, 1};
    struct script s;

    lead_short(&s);
    peer_event(&s, RAFT_EVENT_SNAPSHOT_BEGIN, 3, 10);
    cr_assert(s.effects.refused);
    script_deinit(&s);

    script_init(&s, 1, 3, 0, NULL);
    script_follow(&s, 2, terms, 3);
    script_beat(&s, 2, 1, 3, 1);
    script_step(&s, (struct raft_event){.kind = RAFT_EVENT_APPLIED, .index = 3});
    script_step(&s, (struct raft_event){.kind = RAFT_EVENT_PEER_LOST, .from.member = 2});
    script_lead(&s);
    peer_event(&s, RAFT_EVENT_PEER_FENCED, 3, 0);
    peer_event(&s, RAFT_EVENT_SNAPSHOT_BEGIN, 3, 3);
    cr_assert(s.effects.refused);
    cr_assert_eq(raft_peer(&s.raft, 3)->snapshot, 0);
    script_deinit(&s);
}

/* Simulator, seed 18: the only other voter that was left waited for a snapshot, and the leader, to
 * begin one, for its no-op, which that voter had to acknowledge. */
Test(raft_snapshot, one_for_a_peer_that_only_lags_waits_for_no_quorum)
{
    static const uint32_t terms[] = {1, 1, 1};
    struct script s;

    script_init(&s, 1, 3, 0, NULL);
    script_follow(&s, 2, terms, 3);
    script_beat(&s, 2, 1, 3, 1);
    script_step(&s, (struct raft_event){.kind = RAFT_EVENT_APPLIED, .index = 3});
    script_step(&s, (struct raft_event){.kind = RAFT_EVENT_RETAIN, .index = 4});
    script_step(&s, (struct raft_event){.kind = RAFT_EVENT_PEER_LOST, .from.member = 2});
    script_lead(&s);
    script_message(
        &s, 3,
        (struct raft_message){.kind = RAFT_APPEND_REPLY, .term = 2, .reject = true, .commit = 3},
        NULL);
    cr_assert(raft_peer(&s.raft, 3)->snapshot_wanted);
    peer_event(&s, RAFT_EVENT_SNAPSHOT_BEGIN, 3, 3);
    cr_assert(!s.effects.refused);
    script_deinit(&s);
}

Test(raft_snapshot, a_fenced_peer_counts_for_nothing_until_its_snapshot_is_answered)
{
    struct script s;

    lead_short(&s);
    script_accept(&s, 3, 10);
    cr_assert_eq(raft_peer(&s.raft, 3)->match, 10);
    peer_event(&s, RAFT_EVENT_PEER_FENCED, 3, 0);
    cr_assert(s.effects.snapshot_wanted);
    cr_assert_eq(raft_peer(&s.raft, 3)->match, 0);
    script_accept(&s, 3, 9); /* from before */
    cr_assert_eq(raft_peer(&s.raft, 3)->match, 0);
    cr_assert(raft_repair_waits(&s.raft, 3));
    prove(&s, 2);
    cr_assert(!raft_repair_waits(&s.raft, 3));
    peer_event(&s, RAFT_EVENT_SNAPSHOT_BEGIN, 3, 10);
    script_accept(&s, 3, 9);
    cr_assert_eq(raft_peer(&s.raft, 3)->match, 0);
    peer_event(&s, RAFT_EVENT_PEER_FENCED, 3, 0); /* it goes on saying so */
    cr_assert_eq(raft_peer(&s.raft, 3)->snapshot, 10);
    script_accept(&s, 3, 10);
    cr_assert_eq(raft_peer(&s.raft, 3)->match, 10);
    cr_assert_eq(raft_peer(&s.raft, 3)->fenced, 0);
    script_deinit(&s);
}

/* It may have voted, and helped to commit, in a later term, of which this leader has not heard yet:
 * what was committed before the report, with its help, proves nothing. */
Test(raft_snapshot, one_for_a_fenced_peer_waits_for_a_majority_without_it)
{
    struct script s;

    lead_short(&s);
    script_accept(&s, 3, 10);
    peer_event(&s, RAFT_EVENT_PEER_FENCED, 3, 7);
    peer_event(&s, RAFT_EVENT_SNAPSHOT_BEGIN, 3, 10);
    cr_assert(s.effects.refused);
    script_propose(&s, 1, 16);
    script_event(&s, RAFT_EVENT_FLUSH);
    script_synced(&s);
    peer_event(&s, RAFT_EVENT_SNAPSHOT_BEGIN, 3, 10);
    cr_assert(s.effects.refused, "this one alone");
    script_accept(&s, 2, 11);
    peer_event(&s, RAFT_EVENT_SNAPSHOT_BEGIN, 3, 10);
    cr_assert(!s.effects.refused);
    /* It is damaged once more, behind a restart. */
    peer_event(&s, RAFT_EVENT_PEER_FENCED, 3, 7);
    cr_assert_eq(raft_peer(&s.raft, 3)->snapshot, 10, "the same report");
    peer_event(&s, RAFT_EVENT_PEER_FENCED, 3, 8);
    cr_assert_eq(raft_peer(&s.raft, 3)->snapshot, 0);
    peer_event(&s, RAFT_EVENT_SNAPSHOT_BEGIN, 3, 10);
    cr_assert(s.effects.refused);
    script_deinit(&s);
}

/* It may be another process that comes back, fenced once more, and nothing on its way has said so.
 */
Test(raft_snapshot, a_fenced_peer_whose_link_was_lost_says_so_again_or_serves)
{
    struct script s;

    lead_short(&s);
    peer_event(&s, RAFT_EVENT_PEER_FENCED, 3, 7);
    prove(&s, 2);
    peer_event(&s, RAFT_EVENT_SNAPSHOT_BEGIN, 3, 10);
    cr_assert(!s.effects.refused);
    script_step(&s, (struct raft_event){.kind = RAFT_EVENT_PEER_LOST, .from.member = 3});
    peer_event(&s, RAFT_EVENT_SNAPSHOT_BEGIN, 3, 10);
    cr_assert(s.effects.refused);
    script_accept(&s, 3, 10);
    cr_assert_eq(raft_peer(&s.raft, 3)->match, 0);
    peer_event(&s, RAFT_EVENT_PEER_FENCED, 3, 7);
    peer_event(&s, RAFT_EVENT_SNAPSHOT_BEGIN, 3, 10);
    cr_assert(s.effects.refused, "of an older index than what it may have been sent");
    prove(&s, 2);
    script_step(&s, (struct raft_event){.kind = RAFT_EVENT_APPLIED, .index = 12});
    peer_event(&s, RAFT_EVENT_SNAPSHOT_BEGIN, 3, 12);
    cr_assert(!s.effects.refused);
    /* This time it arrives, and only the answer is lost. */
    script_step(&s, (struct raft_event){.kind = RAFT_EVENT_PEER_LOST, .from.member = 3});
    script_step(&s, (struct raft_event){.kind = RAFT_EVENT_BEAT_ACK,
                                        .from = script_replica(3),
                                        .to_life = script_replica(1).life,
                                        .term = s.raft.term,
                                        .round = 1});
    cr_assert_eq(raft_peer(&s.raft, 3)->fenced, 0);
    cr_assert_eq(s.effects.message_count, 1, "what it lacks is asked for");
    script_accept(&s, 3, 12);
    cr_assert_eq(raft_peer(&s.raft, 3)->match, 12);
    script_deinit(&s);
}

Test(raft_snapshot, two_fenced_peers_of_five_count_for_neither)
{
    struct script s;

    script_init(&s, 1, 5, 0, NULL);
    script_lead(&s);
    script_propose(&s, 9, 16);
    script_event(&s, RAFT_EVENT_FLUSH);
    script_synced(&s);
    for (uint16_t peer = 2; peer <= 5; peer++)
        script_accept(&s, peer, 10);
    script_step(&s, (struct raft_event){.kind = RAFT_EVENT_APPLIED, .index = 10});
    peer_event(&s, RAFT_EVENT_PEER_FENCED, 4, 1);
    peer_event(&s, RAFT_EVENT_PEER_FENCED, 5, 2);
    prove(&s, 2);
    script_accept(&s, 4, 11); /* it cannot, and is not believed */
    script_accept(&s, 5, 11);
    peer_event(&s, RAFT_EVENT_SNAPSHOT_BEGIN, 4, 10);
    cr_assert(s.effects.refused);
    peer_event(&s, RAFT_EVENT_SNAPSHOT_BEGIN, 5, 10);
    cr_assert(s.effects.refused);
    script_accept(&s, 3, 11);
    peer_event(&s, RAFT_EVENT_SNAPSHOT_BEGIN, 4, 10);
    cr_assert(!s.effects.refused);
    peer_event(&s, RAFT_EVENT_SNAPSHOT_BEGIN, 5, 10);
    cr_assert(!s.effects.refused);
    script_deinit(&s);
}

/* Each majority of two has the leader in it. */
Test(raft_snapshot, of_two_the_leader_repairs_the_other)
{
    struct script s;

    script_init(&s, 1, 2, 0, NULL);
    script_lead(&s);
    script_event(&s, RAFT_EVENT_FLUSH);
    script_synced(&s);
    script_accept(&s, 2, 1);
    script_step(&s, (struct raft_event){.kind = RAFT_EVENT_APPLIED, .index = 1});
    peer_event(&s, RAFT_EVENT_PEER_FENCED, 2, 1);
    peer_event(&s, RAFT_EVENT_SNAPSHOT_BEGIN, 2, 1);
    cr_assert(s.effects.refused);
    script_propose(&s, 1, 16);
    script_synced(&s);
    peer_event(&s, RAFT_EVENT_SNAPSHOT_BEGIN, 2, 1);
    cr_assert(!s.effects.refused);
    script_deinit(&s);
}

Test(raft_snapshot, one_for_a_fenced_peer_holds_all_that_it_may_still_be_heard_to_hold)
{
    struct script s;

    lead_short(&s);
    script_propose(&s, 1, 16);
    script_event(&s, RAFT_EVENT_FLUSH); /* 11 is on its way to it when its report comes */
    peer_event(&s, RAFT_EVENT_PEER_FENCED, 3, 0);
    peer_event(&s, RAFT_EVENT_SNAPSHOT_BEGIN, 3, 10);
    cr_assert(s.effects.refused);
    prove(&s, 2);
    script_step(&s, (struct raft_event){.kind = RAFT_EVENT_APPLIED, .index = 12});
    peer_event(&s, RAFT_EVENT_SNAPSHOT_BEGIN, 3, 10);
    cr_assert(s.effects.refused);
    peer_event(&s, RAFT_EVENT_SNAPSHOT_BEGIN, 3, 11);
    cr_assert(!s.effects.refused);
    script_deinit(&s);
}

/* What it has of an earlier leader's can be gone on with behind the no-op only. */
Test(raft_snapshot, one_for_a_learner_waits_for_the_own_no_op)
{
    static const uint32_t terms[] = {1, 1, 1};
    struct script s;

    script_init(&s, 1, 3, 1, NULL);
    script_follow(&s, 2, terms, 3);
    script_beat(&s, 2, 1, 3, 1);
    script_step(&s, (struct raft_event){.kind = RAFT_EVENT_APPLIED, .index = 3});
    script_step(&s, (struct raft_event){.kind = RAFT_EVENT_RETAIN, .index = 4});
    script_step(&s, (struct raft_event){.kind = RAFT_EVENT_PEER_LOST, .from.member = 2});
    script_lead(&s);
    script_message(
        &s, 4,
        (struct raft_message){.kind = RAFT_APPEND_REPLY, .term = 2, .reject = true, .commit = 3},
        NULL);
    cr_assert(raft_peer(&s.raft, 4)->snapshot_wanted);
    peer_event(&s, RAFT_EVENT_SNAPSHOT_BEGIN, 4, 3);
    cr_assert(s.effects.refused);
    script_accept(&s, 3, 4);
    script_step(&s, (struct raft_event){.kind = RAFT_EVENT_APPLIED, .index = 4});
    peer_event(&s, RAFT_EVENT_SNAPSHOT_BEGIN, 4, 3);
    cr_assert(!s.effects.refused);
    script_deinit(&s);
}

/* Until it says what it has of an earlier leader's snapshot, log that this may need is kept. */
Test(raft_snapshot, something_may_be_left_of_an_earlier_leaders)
{
    static const uint32_t terms[] = {1, 1, 1};
    struct script s;

    script_init(&s, 1, 3, 0, NULL);
    script_follow(&s, 2, terms, 3);
    script_beat(&s, 2, 1, 3, 1);
    script_step(&s, (struct raft_event){.kind = RAFT_EVENT_APPLIED, .index = 3});
    script_step(&s, (struct raft_event){.kind = RAFT_EVENT_RETAIN, .index = 3});
    script_step(&s, (struct raft_event){.kind = RAFT_EVENT_PEER_LOST, .from.member = 2});
    script_lead(&s);
    cr_assert_eq(raft_peer(&s.raft, 3)->snapshot_left, 2);
    script_accept(&s, 3, 4);
    cr_assert(!raft_peer(&s.raft, 3)->snapshot_wanted);
    peer_event(&s, RAFT_EVENT_PEER_FENCED, 3, 0);
    cr_assert_eq(raft_peer(&s.raft, 3)->snapshot_left, 0);
    script_deinit(&s);
}

Test(raft_snapshot, a_new_leadership_forgets_what_was_under_way)
{
    struct script s;

    begin(&s);
    script_message(
        &s, 2, (struct raft_message){.kind = RAFT_APPEND, .term = 2, .index = 10, .log_term = 1},
        NULL);
    cr_assert_eq(s.raft.role, RAFT_FOLLOWER);
    peer_event(&s, RAFT_EVENT_SNAPSHOT_BEGIN, 3, 10);
    cr_assert(s.effects.refused);
    script_step(&s, (struct raft_event){.kind = RAFT_EVENT_PEER_LOST, .from.member = 2});
    script_lead(&s);
    cr_assert_eq(raft_peer(&s.raft, 3)->snapshot, 0);
    cr_assert(!raft_peer(&s.raft, 3)->snapshot_wanted);
    script_deinit(&s);
}

Test(raft_snapshot, a_follower_takes_what_its_log_does_not_hold)
{
    static const uint32_t terms[] = {1, 1, 1};
    struct script s;

    script_init(&s, 1, 3, 0, NULL);
    script_follow(&s, 2, terms, 3);
    offer(&s, 2, 1, 9, 1);
    cr_assert(s.effects.snapshot_accepted);
    cr_assert_eq(s.effects.message_count, 0);
    offer(&s, 2, 2, 3, 2); /* a later term, and another entry at that index */
    cr_assert(s.effects.snapshot_accepted);
    cr_assert_eq(s.raft.term, 2);
    cr_assert_eq(s.raft.leader, 2);
    script_deinit(&s);
}

Test(raft_snapshot, what_the_log_holds_is_answered_and_committed_instead)
{
    static const uint32_t terms[] = {1, 1, 1};
    struct script s;

    script_init(&s, 1, 3, 0, NULL);
    script_follow(&s, 2, terms, 3);
    cr_assert_eq(s.raft.commit, 0);
    offer(&s, 2, 1, 2, 1);
    cr_assert(!s.effects.snapshot_accepted);
    cr_assert(s.effects.commit_changed);
    cr_assert_eq(s.raft.commit, 2);
    cr_assert_eq(script_sent(&s, RAFT_APPEND_REPLY, 2, 0)->index, 2);
    cr_assert(script_sent(&s, RAFT_APPEND_REPLY, 2, 0)->after_write);
    offer(&s, 2, 1, 1, 1);
    cr_assert(!s.effects.snapshot_accepted);
    cr_assert_eq(s.raft.commit, 2);
    script_deinit(&s);
}

Test(raft_snapshot, an_earlier_terms_offer_is_refused_with_the_term)
{
    struct script s;

    script_init(&s, 1, 3, 0, NULL);
    script_beat(&s, 2, 7, 0, 1);
    offer(&s, 3, 6, 9, 5);
    cr_assert(!s.effects.snapshot_accepted);
    cr_assert(script_sent(&s, RAFT_APPEND_REPLY, 3, 0)->reject);
    cr_assert_eq(script_sent(&s, RAFT_APPEND_REPLY, 3, 0)->term, 7);
    offer(&s, 3, 7, 9, 5); /* this term has another leader */
    cr_assert(!s.effects.snapshot_accepted);
    script_deinit(&s);
}

Test(raft_snapshot, installed_the_log_begins_behind_it)
{
    static const uint32_t terms[] = {1, 1, 1};
    struct script s;

    script_init(&s, 1, 3, 0, NULL);
    script_follow(&s, 2, terms, 3);
    offer(&s, 2, 3, 9, 2);
    install(&s, 9, 2);
    cr_assert(!s.effects.refused);
    cr_assert_eq(s.raft.log.first, 10);
    cr_assert_eq(s.raft.log.last, 9);
    cr_assert_eq(s.raft.log.prev_term, 2);
    cr_assert_eq(s.raft.commit, 9);
    cr_assert_eq(s.raft.applied, 9);
    cr_assert_eq(s.raft.synced, 9);
    cr_assert_eq(script_sent(&s, RAFT_APPEND_REPLY, 2, 0)->index, 9);
    script_message(&s, 2,
                   (struct raft_message){
                       .kind = RAFT_APPEND, .term = 3, .index = 9, .log_term = 2, .entry_count = 1},
                   (const uint32_t[]){3});
    cr_assert_eq(s.effects.append_first, 10);
    raft_check(&s.raft);
    script_deinit(&s);
}

Test(raft_snapshot, what_follows_its_last_entry_stays)
{
    static const uint32_t terms[] = {1, 1, 2, 2};
    struct script s;

    script_init(&s, 1, 3, 0, NULL);
    script_follow(&s, 2, terms, 4);
    install(&s, 3, 2);
    cr_assert(!s.effects.refused);
    cr_assert_eq(s.raft.log.first, 4);
    cr_assert_eq(s.raft.log.last, 4);
    cr_assert_eq(s.raft.commit, 3);
    cr_assert_eq(s.raft.synced, 4);
    install(&s, 4, 1); /* another entry than ours at 4: what we hold from there on was never one */
    cr_assert_eq(s.raft.log.last, 4);
    cr_assert_eq(s.raft.log.first, 5);
    cr_assert_eq(s.raft.log.prev_term, 1);
    script_deinit(&s);
}

Test(raft_snapshot, an_older_one_is_refused_after_newer_entries)
{
    static const uint32_t terms[] = {1, 1, 1, 1};
    struct script s;

    script_init(&s, 1, 3, 0, NULL);
    script_follow(&s, 2, terms, 4);
    script_beat(&s, 2, 1, 3, 1);
    install(&s, 3, 1);
    cr_assert(s.effects.refused);
    cr_assert_eq(s.raft.log.first, 1);
    install(&s, 9, 1);
    cr_assert(!s.effects.refused);
    install(&s, 7, 1); /* two of them: the second to come is the older */
    cr_assert(s.effects.refused);
    cr_assert_eq(s.raft.commit, 9);
    script_deinit(&s);
}

Test(raft_snapshot, one_of_a_term_that_never_was_is_refused)
{
    struct script s;

    script_init(&s, 1, 3, 0, NULL);
    script_beat(&s, 2, 4, 0, 1);
    install(&s, 9, 5);
    cr_assert(s.effects.refused);
    install(&s, 9, 0);
    cr_assert(s.effects.refused);
    script_deinit(&s);
}

Test(raft_snapshot, a_candidate_that_installs_asks_with_its_new_log)
{
    struct script s;

    script_init(&s, 1, 3, 0, NULL);
    script_beat(&s, 2, 4, 0, 1);
    offer(&s, 2, 4, 9, 4);
    script_timeout(&s); /* the leader went silent while the pieces were written */
    cr_assert_eq(s.raft.role, RAFT_PRECANDIDATE);
    install(&s, 9, 4);
    cr_assert(!s.effects.refused);
    script_timeout(&s);
    cr_assert_eq(script_sent(&s, RAFT_PREVOTE, 3, 0)->index, 9);
    cr_assert_eq(script_sent(&s, RAFT_PREVOTE, 3, 0)->log_term, 4);
    script_deinit(&s);
}

Test(raft_snapshot, a_repaired_replica_votes_in_no_term_up_to_its_repair)
{
    struct script s;
    struct raft_config config = script_config(3, 0);

    script_init(&s, 1, 3, 0, NULL);
    raft_restore_snapshot(&s.raft, 6, 2, 9, 5, &config, s.now_ms, 1);
    cr_assert_eq(s.raft.applied, 9);
    cr_assert_eq(s.raft.log.first, 10);
    script_message(&s, 3,
                   (struct raft_message){.kind = RAFT_VOTE, .term = 6, .index = 20, .log_term = 6},
                   NULL);
    cr_assert(script_sent(&s, RAFT_VOTE_REPLY, 3, 0)->reject);
    script_message(&s, 3,
                   (struct raft_message){.kind = RAFT_VOTE, .term = 7, .index = 20, .log_term = 6},
                   NULL);
    cr_assert(!script_sent(&s, RAFT_VOTE_REPLY, 3, 0)->reject);
    script_deinit(&s);
}
