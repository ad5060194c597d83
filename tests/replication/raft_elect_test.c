#include "raft_script.h"

#include <criterion/criterion.h>

static void prevote_reply(struct script *script, uint16_t from, uint32_t term, bool reject)
{
    script_message(
        script, from,
        (struct raft_message){.kind = RAFT_PREVOTE_REPLY, .term = term, .reject = reject}, NULL);
}

static void vote_reply(struct script *script, uint16_t from, uint32_t term, bool reject)
{
    script_message(script, from,
                   (struct raft_message){.kind = RAFT_VOTE_REPLY, .term = term, .reject = reject},
                   NULL);
}

static void ask(struct script *script, uint8_t kind, uint16_t from, uint32_t term, uint64_t last,
                uint32_t last_term)
{
    script_message(
        script, from,
        (struct raft_message){.kind = kind, .term = term, .index = last, .log_term = last_term},
        NULL);
}

Test(raft_elect, a_campaign_asks_before_it_raises_the_term)
{
    struct script s;

    script_init(&s, 1, 3, 0, NULL);
    script_timeout(&s);
    cr_assert_eq(s.raft.role, RAFT_PRECANDIDATE);
    cr_assert_eq(s.raft.term, 0);
    cr_assert_not(s.effects.write_hard_state);
    cr_assert_eq(script_sent_count(&s, RAFT_PREVOTE, 0), 2);
    cr_assert_eq(script_sent(&s, RAFT_PREVOTE, 2, 0)->term, 1);
    prevote_reply(&s, 3, 1, false);
    cr_assert_eq(s.raft.role, RAFT_CANDIDATE);
    cr_assert_eq(s.raft.term, 1);
    cr_assert_eq(s.raft.vote, 1);
    cr_assert(s.effects.write_hard_state);
    cr_assert_eq(script_sent_count(&s, RAFT_VOTE, 0), 2);
    cr_assert(script_sent(&s, RAFT_VOTE, 2, 0)->after_write);
    script_deinit(&s);
}

Test(raft_elect, the_election_deadline_is_random_within_its_bounds)
{
    struct script s;
    uint64_t least = UINT64_MAX, most = 0;

    script_init(&s, 1, 3, 0, NULL);
    for (uint32_t i = 0; i < 200; i++) {
        uint64_t wait_ms;

        script_beat(&s, 2, 1, 0, i);
        wait_ms = raft_deadline_ms(&s.raft) - s.now_ms;
        least = wait_ms < least ? wait_ms : least;
        most = wait_ms > most ? wait_ms : most;
    }
    cr_assert_geq(least, 500);
    cr_assert_lt(least, 550);
    cr_assert_lt(most, 1000);
    cr_assert_gt(most, 950);
    script_deinit(&s);
}

Test(raft_elect, own_vote_counts_only_when_it_is_durable)
{
    struct script s;

    script_init(&s, 1, 3, 0, NULL);
    script_timeout(&s);
    prevote_reply(&s, 2, 1, false);
    vote_reply(&s, 2, 1, false);
    cr_assert_eq(s.raft.role, RAFT_CANDIDATE, "one durable vote is no majority");
    script_step(&s, (struct raft_event){.kind = RAFT_EVENT_SYNCED, .hard_term = 0});
    cr_assert_eq(s.raft.role, RAFT_CANDIDATE);
    script_step(&s, (struct raft_event){.kind = RAFT_EVENT_SYNCED, .hard_term = 1});
    cr_assert_eq(s.raft.role, RAFT_LEADER);
    cr_assert(s.effects.role_changed);
    cr_assert_eq(s.raft.term_start, 1);
    script_deinit(&s);
}

Test(raft_elect, a_voter_answers_after_its_write_and_votes_once_a_term)
{
    struct script s;

    script_init(&s, 1, 3, 0, NULL);
    ask(&s, RAFT_VOTE, 2, 4, 0, 0);
    cr_assert(s.effects.write_hard_state);
    cr_assert_eq(s.raft.vote, 2);
    cr_assert(script_sent(&s, RAFT_VOTE_REPLY, 2, 0)->after_write);
    ask(&s, RAFT_VOTE, 2, 4, 0, 0);
    cr_assert_not(s.effects.write_hard_state);
    cr_assert(script_sent(&s, RAFT_VOTE_REPLY, 2, 0)->after_write, "the first may not be durable");
    cr_assert_not(script_sent(&s, RAFT_VOTE_REPLY, 2, 0)->reject);
    ask(&s, RAFT_VOTE, 3, 4, 9, 3);
    cr_assert(script_sent(&s, RAFT_VOTE_REPLY, 3, 0)->reject);
    cr_assert_eq(s.raft.vote, 2);
    script_deinit(&s);
}

Test(raft_elect, only_a_log_as_new_as_the_own_gets_a_vote)
{
    static const struct {
        uint64_t last;
        uint32_t last_term;
        bool granted;
    } rows[] = {{2, 2, true}, {1, 2, false}, {9, 1, false},
                {1, 3, true}, {3, 2, true},  {0, 0, false}};
    static const uint32_t terms[] = {1, 2};

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct script s;

        script_init(&s, 1, 3, 0, NULL);
        script_follow(&s, 2, terms, 2);
        s.now_ms += 600;
        ask(&s, RAFT_PREVOTE, 3, 9, rows[i].last, rows[i].last_term);
        cr_expect_eq(script_sent(&s, RAFT_PREVOTE_REPLY, 3, 0)->reject, !rows[i].granted);
        ask(&s, RAFT_VOTE, 3, 9, rows[i].last, rows[i].last_term);
        cr_expect_eq(script_sent(&s, RAFT_VOTE_REPLY, 3, 0)->reject, !rows[i].granted);
        cr_expect_eq(s.raft.vote, rows[i].granted ? 3 : 0);
        script_deinit(&s);
    }
}

Test(raft_elect, no_vote_while_a_leader_is_heard)
{
    struct script s;

    script_init(&s, 1, 3, 0, NULL);
    script_beat(&s, 2, 3, 0, 1);
    s.now_ms += 499;
    ask(&s, RAFT_PREVOTE, 3, 4, 0, 0);
    cr_assert_eq(s.effects.message_count, 0);
    ask(&s, RAFT_VOTE, 3, 4, 0, 0);
    cr_assert_eq(s.effects.message_count, 0);
    cr_assert_eq(s.raft.term, 3, "the term does not grow either");
    s.now_ms += 1;
    ask(&s, RAFT_PREVOTE, 3, 4, 0, 0);
    cr_assert_not(script_sent(&s, RAFT_PREVOTE_REPLY, 3, 0)->reject);
    cr_assert_eq(script_sent(&s, RAFT_PREVOTE_REPLY, 3, 0)->term, 4);
    cr_assert_eq(s.raft.term, 3, "a pre-vote promises nothing");
    cr_assert_eq(s.raft.vote, 0);
    script_deinit(&s);
}

Test(raft_elect, a_transfer_gets_its_vote_while_the_leader_is_heard)
{
    struct script s;

    script_init(&s, 1, 3, 0, NULL);
    script_beat(&s, 2, 3, 0, 1);
    script_message(&s, 3, (struct raft_message){.kind = RAFT_VOTE, .term = 4, .transfer = true},
                   NULL);
    cr_assert_not(script_sent(&s, RAFT_VOTE_REPLY, 3, 0)->reject);
    cr_assert_eq(s.raft.vote, 3);
    script_deinit(&s);
}

Test(raft_elect, a_lost_link_to_the_leader_ends_its_lease_and_hastens_the_election)
{
    struct script s;

    script_init(&s, 1, 3, 0, NULL);
    script_beat(&s, 2, 3, 0, 1);
    script_step(&s, (struct raft_event){.kind = RAFT_EVENT_PEER_LOST, .from = {.member = 3}});
    cr_assert_eq(s.raft.leader, 2);
    script_step(&s, (struct raft_event){.kind = RAFT_EVENT_PEER_LOST, .from = {.member = 2}});
    cr_assert_eq(s.raft.leader, 0);
    cr_assert(s.effects.role_changed);
    cr_assert_geq(raft_deadline_ms(&s.raft), s.now_ms + 20);
    cr_assert_lt(raft_deadline_ms(&s.raft), s.now_ms + 150);
    ask(&s, RAFT_PREVOTE, 3, 4, 0, 0);
    cr_assert_not(script_sent(&s, RAFT_PREVOTE_REPLY, 3, 0)->reject);
    script_beat(&s, 2, 3, 0, 2);
    cr_assert_eq(s.raft.leader, 2, "it was only the link");
    script_deinit(&s);
}

Test(raft_elect, survivors_of_a_lost_leader_do_not_campaign_at_the_same_time)
{
    uint64_t deadlines[2], distance;

    for (uint16_t i = 0; i < 2; i++) {
        struct script s;

        script_init(&s, i ? 3 : 1, 3, 0, NULL);
        script_beat(&s, 2, 3, 0, 1);
        script_step(&s, (struct raft_event){.kind = RAFT_EVENT_PEER_LOST, .from = {.member = 2}});
        deadlines[i] = raft_deadline_ms(&s.raft) - s.now_ms;
        script_deinit(&s);
    }
    distance =
        deadlines[0] < deadlines[1] ? deadlines[1] - deadlines[0] : deadlines[0] - deadlines[1];
    cr_assert_geq(distance, 60, "%lu and %lu", deadlines[0], deadlines[1]);
}

/* etcd #8243: the one with the better log is behind in terms. */
Test(raft_elect, prevotes_with_unequal_terms_do_not_deadlock)
{
    static const uint32_t terms[] = {1, 2, 2};
    struct script behind, ahead;

    script_init(&behind, 1, 3, 0, NULL);
    script_follow(&behind, 3, terms, 3);
    script_init(&ahead, 2, 3, 0, NULL);
    ask(&ahead, RAFT_VOTE, 3, 7, 9, 7); /* leaves it in term 7 with an empty log */
    cr_assert_eq(ahead.raft.term, 7);
    script_timeout(&behind);
    cr_assert_eq(script_sent(&behind, RAFT_PREVOTE, 2, 0)->term, 3);
    ask(&ahead, RAFT_PREVOTE, 1, 3, 3, 2);
    cr_assert(script_sent(&ahead, RAFT_PREVOTE_REPLY, 1, 0)->reject);
    cr_assert_eq(script_sent(&ahead, RAFT_PREVOTE_REPLY, 1, 0)->term, 7);
    prevote_reply(&behind, 2, 7, true);
    cr_assert_eq(behind.raft.term, 7);
    cr_assert(behind.effects.write_hard_state);
    cr_assert_eq(behind.raft.role, RAFT_FOLLOWER);
    cr_assert_lt(raft_deadline_ms(&behind.raft), behind.now_ms + 150, "it tries again soon");
    script_timeout(&behind);
    cr_assert_eq(script_sent(&behind, RAFT_PREVOTE, 2, 0)->term, 8);
    ask(&ahead, RAFT_PREVOTE, 1, 8, 3, 2);
    cr_assert_not(script_sent(&ahead, RAFT_PREVOTE_REPLY, 1, 0)->reject);
    prevote_reply(&behind, 2, 8, false);
    cr_assert_eq(behind.raft.role, RAFT_CANDIDATE);
    script_deinit(&behind);
    script_deinit(&ahead);
}

Test(raft_elect, a_stale_leader_is_told_and_steps_down)
{
    struct script follower, leader;

    script_init(&follower, 1, 3, 0, NULL);
    ask(&follower, RAFT_VOTE, 3, 6, 0, 0);
    script_beat(&follower, 2, 2, 0, 1);
    cr_assert_not(follower.effects.beat_accepted);
    cr_assert(script_sent(&follower, RAFT_APPEND_REPLY, 2, 0)->reject);
    cr_assert_eq(script_sent(&follower, RAFT_APPEND_REPLY, 2, 0)->term, 6);
    script_message(&follower, 2, (struct raft_message){.kind = RAFT_APPEND, .term = 2}, NULL);
    cr_assert_eq(script_sent(&follower, RAFT_APPEND_REPLY, 2, 0)->term, 6);
    script_init(&leader, 2, 3, 0, NULL);
    script_lead(&leader);
    script_message(&leader, 1,
                   (struct raft_message){.kind = RAFT_APPEND_REPLY, .term = 6, .reject = true},
                   NULL);
    cr_assert_eq(leader.raft.role, RAFT_FOLLOWER);
    cr_assert_eq(leader.raft.term, 6);
    cr_assert(leader.effects.write_hard_state);
    script_deinit(&follower);
    script_deinit(&leader);
}

Test(raft_elect, a_leader_that_no_quorum_answers_steps_down)
{
    struct script s;

    script_init(&s, 1, 5, 0, NULL);
    script_lead(&s);
    s.now_ms += 900;
    script_beat_ack(&s, 2, s.raft.term, 1);
    script_beat_ack(&s, 2, s.raft.term, 2);
    script_beat_ack(&s, 2, s.raft.term, 3);
    script_event(&s, RAFT_EVENT_TICK);
    cr_assert_eq(s.raft.role, RAFT_LEADER);
    s.now_ms += 100;
    script_event(&s, RAFT_EVENT_TICK);
    cr_assert_eq(s.raft.role, RAFT_FOLLOWER, "one voter that answers often is one voter");
    cr_assert_eq(s.raft.leader, 0);
    cr_assert_eq(s.raft.term_start, 0);
    script_deinit(&s);
}

Test(raft_elect, a_leader_stays_while_a_quorum_answers)
{
    struct script s;

    script_init(&s, 1, 5, 0, NULL);
    script_lead(&s);
    for (uint32_t round = 1; round < 50; round++) {
        s.now_ms += 100;
        script_beat_ack(&s, 2, s.raft.term, round);
        script_beat_ack(&s, 3, s.raft.term, round);
        script_event(&s, RAFT_EVENT_TICK);
        cr_assert_eq(s.raft.role, RAFT_LEADER);
    }
    script_deinit(&s);
}

Test(raft_elect, refusals_of_a_majority_end_a_candidacy_early)
{
    struct script s;

    script_init(&s, 1, 3, 0, NULL);
    script_timeout(&s);
    prevote_reply(&s, 2, 1, false);
    vote_reply(&s, 2, 1, true);
    cr_assert_eq(s.raft.role, RAFT_CANDIDATE);
    vote_reply(&s, 3, 1, true);
    cr_assert_eq(s.raft.role, RAFT_FOLLOWER);
    cr_assert_eq(s.raft.vote, 1, "the vote stays cast");
    cr_assert_leq(raft_deadline_ms(&s.raft), s.now_ms + 250);
    script_deinit(&s);
}

Test(raft_elect, a_vote_that_comes_twice_is_one_vote)
{
    struct script s;

    script_init(&s, 1, 5, 0, NULL);
    script_timeout(&s);
    prevote_reply(&s, 2, 1, false);
    prevote_reply(&s, 2, 1, false);
    cr_assert_eq(s.raft.role, RAFT_PRECANDIDATE);
    prevote_reply(&s, 3, 1, false);
    script_synced(&s);
    vote_reply(&s, 2, 1, false);
    vote_reply(&s, 2, 1, false);
    cr_assert_eq(s.raft.role, RAFT_CANDIDATE);
    vote_reply(&s, 4, 1, false);
    cr_assert_eq(s.raft.role, RAFT_LEADER);
    script_deinit(&s);
}

Test(raft_elect, a_single_voter_leads_alone)
{
    struct script s;

    script_init(&s, 1, 1, 0, NULL);
    script_timeout(&s);
    cr_assert_eq(s.raft.role, RAFT_CANDIDATE);
    script_synced(&s);
    cr_assert_eq(s.raft.role, RAFT_LEADER);
    script_propose(&s, 1, 16);
    cr_assert_eq(s.raft.commit, 0);
    script_synced(&s);
    cr_assert_eq(s.raft.commit, 1);
    cr_assert_eq(s.raft.read_round, UINT64_MAX);
    cr_assert_eq(raft_deadline_ms(&s.raft), UINT64_MAX);
    script_deinit(&s);
}

Test(raft_elect, learners_answer_votes_and_never_campaign)
{
    struct script s;

    script_init(&s, 4, 3, 1, NULL);
    cr_assert_eq(raft_deadline_ms(&s.raft), UINT64_MAX);
    s.now_ms += 100000;
    script_event(&s, RAFT_EVENT_TICK);
    script_event(&s, RAFT_EVENT_CAMPAIGN);
    cr_assert_eq(s.raft.role, RAFT_FOLLOWER);
    cr_assert_eq(s.effects.message_count, 0);
    ask(&s, RAFT_VOTE, 1, 1, 0, 0); /* it may have been promoted without knowing */
    cr_assert_not(script_sent(&s, RAFT_VOTE_REPLY, 1, 0)->reject);
    script_deinit(&s);
}

Test(raft_elect, transfer_waits_for_the_target_and_takes_no_proposals)
{
    struct script s;

    script_init(&s, 1, 3, 0, NULL);
    script_lead(&s);
    script_step(&s, (struct raft_event){.kind = RAFT_EVENT_TRANSFER, .from = {.member = 3}});
    cr_assert_null(script_sent(&s, RAFT_TIMEOUT_NOW, 0, 0));
    script_propose(&s, 1, 16);
    cr_assert(s.effects.refused);
    cr_assert_eq(s.effects.append_first, 0);
    script_accept(&s, 2, 1);
    cr_assert_null(script_sent(&s, RAFT_TIMEOUT_NOW, 0, 0));
    script_accept(&s, 3, 1);
    cr_assert_eq(s.raft.commit, 1);
    cr_assert_null(script_sent(&s, RAFT_TIMEOUT_NOW, 0, 0), "who waits has no answer yet");
    script_step(&s, (struct raft_event){.kind = RAFT_EVENT_APPLIED, .index = 1});
    cr_assert_not_null(script_sent(&s, RAFT_TIMEOUT_NOW, 3, 0));
    script_message(&s, 3,
                   (struct raft_message){
                       .kind = RAFT_VOTE, .term = 2, .index = 1, .log_term = 1, .transfer = true},
                   NULL);
    cr_assert_eq(s.raft.role, RAFT_FOLLOWER);
    cr_assert(s.effects.transfer_ended);
    script_deinit(&s);
}

Test(raft_elect, transfer_is_given_up_after_the_election_timeout)
{
    struct script s;

    script_init(&s, 1, 3, 0, NULL);
    script_lead(&s);
    script_step(&s, (struct raft_event){.kind = RAFT_EVENT_TRANSFER, .from = {.member = 3}});
    s.now_ms += 999;
    script_beat_ack(&s, 2, s.raft.term, 1);
    script_event(&s, RAFT_EVENT_TICK);
    cr_assert_not(s.effects.transfer_ended);
    s.now_ms += 1;
    script_event(&s, RAFT_EVENT_TICK);
    cr_assert(s.effects.transfer_ended);
    cr_assert_eq(s.raft.role, RAFT_LEADER);
    script_propose(&s, 1, 16);
    cr_assert_not(s.effects.refused);
    script_deinit(&s);
}

Test(raft_elect, transfer_to_nobody_in_particular_takes_the_best_voter)
{
    struct script s;

    script_init(&s, 1, 3, 1, NULL);
    script_lead(&s);
    script_accept(&s, 4, 1);
    script_accept(&s, 3, 1);
    script_step(&s, (struct raft_event){.kind = RAFT_EVENT_APPLIED, .index = 1});
    script_step(&s, (struct raft_event){.kind = RAFT_EVENT_TRANSFER});
    cr_assert_not_null(script_sent(&s, RAFT_TIMEOUT_NOW, 3, 0));
    script_deinit(&s);
}

Test(raft_elect, transfer_without_a_possible_target_ends_at_once)
{
    static const uint16_t targets[] = {1, 4, 9};
    struct script s;

    script_init(&s, 1, 3, 1, NULL);
    script_lead(&s);
    for (size_t i = 0; i < 3; i++) {
        script_step(
            &s, (struct raft_event){.kind = RAFT_EVENT_TRANSFER, .from = {.member = targets[i]}});
        cr_assert(s.effects.transfer_ended);
        cr_assert_eq(s.raft.transfer_to, 0);
    }
    script_deinit(&s);
}

Test(raft_elect, timeout_now_campaigns_without_a_prevote)
{
    struct script s;

    script_init(&s, 1, 3, 0, NULL);
    script_beat(&s, 2, 3, 0, 1);
    script_message(&s, 2, (struct raft_message){.kind = RAFT_TIMEOUT_NOW, .term = 2}, NULL);
    cr_assert_eq(s.raft.role, RAFT_FOLLOWER, "from an earlier term");
    script_message(&s, 2, (struct raft_message){.kind = RAFT_TIMEOUT_NOW, .term = 3}, NULL);
    cr_assert_eq(s.raft.role, RAFT_CANDIDATE);
    cr_assert_eq(s.raft.term, 4);
    cr_assert(script_sent(&s, RAFT_VOTE, 3, 0)->transfer);
    script_deinit(&s);
}

Test(raft_elect, acknowledged_appends_are_signs_of_life_too)
{
    struct script s;

    script_init(&s, 1, 3, 0, NULL);
    script_lead(&s);
    s.now_ms += 900;
    script_accept(&s, 2, 1);
    s.now_ms += 900;
    script_event(&s, RAFT_EVENT_TICK);
    cr_assert_eq(s.raft.role, RAFT_LEADER);
    script_deinit(&s);
}

Test(raft_elect, no_vote_in_a_term_that_has_a_leader)
{
    struct script s;

    script_init(&s, 1, 3, 0, NULL);
    script_beat(&s, 2, 3, 0, 1);
    s.now_ms += 600;
    ask(&s, RAFT_VOTE, 3, 3, 0, 0);
    cr_assert(script_sent(&s, RAFT_VOTE_REPLY, 3, 0)->reject);
    cr_assert_eq(s.raft.vote, 0);
    script_deinit(&s);
}

Test(raft_elect, a_second_leader_of_one_term_is_not_followed)
{
    struct script s;

    script_init(&s, 1, 3, 0, NULL);
    script_beat(&s, 2, 3, 0, 1);
    script_beat(&s, 3, 3, 0, 1);
    cr_assert_not(s.effects.beat_accepted);
    cr_assert_eq(s.raft.leader, 2);
    script_message(&s, 3, (struct raft_message){.kind = RAFT_APPEND, .term = 3}, NULL);
    cr_assert_eq(s.effects.message_count, 0);
    script_deinit(&s);
}

Test(raft_elect, a_late_refusal_takes_no_vote_back)
{
    struct script s;

    script_init(&s, 1, 5, 0, NULL);
    script_timeout(&s);
    prevote_reply(&s, 2, 1, false);
    prevote_reply(&s, 3, 1, false);
    script_synced(&s);
    vote_reply(&s, 2, 1, false);
    vote_reply(&s, 2, 1, true);
    vote_reply(&s, 3, 1, false);
    cr_assert_eq(s.raft.role, RAFT_LEADER);
    script_deinit(&s);
}

Test(raft_elect, a_prevote_for_another_term_does_not_count)
{
    struct script s;

    script_init(&s, 1, 3, 0, NULL);
    script_timeout(&s);
    prevote_reply(&s, 2, 5, false);
    cr_assert_eq(s.raft.role, RAFT_PRECANDIDATE);
    cr_assert_eq(s.raft.term, 0);
    script_deinit(&s);
}

Test(raft_elect, a_transfer_passes_over_voters_that_are_silent)
{
    struct script s;

    script_init(&s, 1, 3, 0, NULL);
    script_lead(&s);
    script_accept(&s, 3, 1);
    s.now_ms += 500;
    script_beat_ack(&s, 2, 1, 1);
    script_step(&s, (struct raft_event){.kind = RAFT_EVENT_TRANSFER});
    cr_assert_eq(s.raft.transfer_to, 2);
    script_deinit(&s);
}

Test(raft_elect, asking_for_a_transfer_again_gives_it_no_more_time)
{
    struct script s;

    script_init(&s, 1, 3, 0, NULL);
    script_lead(&s);
    script_step(&s, (struct raft_event){.kind = RAFT_EVENT_TRANSFER, .from = {.member = 3}});
    s.now_ms += 900;
    script_beat_ack(&s, 2, 1, 1);
    script_step(&s, (struct raft_event){.kind = RAFT_EVENT_TRANSFER, .from = {.member = 3}});
    s.now_ms += 100;
    script_event(&s, RAFT_EVENT_TICK);
    cr_assert(s.effects.transfer_ended);
    script_deinit(&s);
}

/* It is added later: whoever asks it may count it, but in no group that it knows of. */
Test(raft_elect, one_without_a_configuration_gives_no_vote_and_asks_for_none)
{
    struct script s;
    struct raft_options options;

    script_init(&s, 1, 3, 0, NULL);
    options = s.raft.options;
    script_deinit(&s);
    options.self = (struct raft_replica){.member = 1, .life = 1};
    cr_assert_eq(raft_init(&s.raft, &options, NULL, s.now_ms, 7), 0);
    cr_assert_eq(raft_deadline_ms(&s.raft), UINT64_MAX);
    s.now_ms += 5000;
    script_event(&s, RAFT_EVENT_TICK);
    script_event(&s, RAFT_EVENT_CAMPAIGN);
    cr_assert(s.raft.role == RAFT_FOLLOWER && s.effects.message_count == 0);
    ask(&s, RAFT_PREVOTE, 2, 1, 5, 1);
    cr_assert_eq(s.effects.message_count, 0);
    ask(&s, RAFT_VOTE, 2, 1, 5, 1);
    cr_assert_eq(s.effects.message_count, 0);
    script_message(&s, 2, (struct raft_message){.kind = RAFT_TIMEOUT_NOW, .term = 2}, NULL);
    cr_assert(s.raft.role == RAFT_FOLLOWER && s.effects.message_count == 0);
    cr_assert_eq(s.raft.vote, 0);
    script_deinit(&s);
}
