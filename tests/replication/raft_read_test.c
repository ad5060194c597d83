#include "raft_script.h"

#include <criterion/criterion.h>

Test(raft_read, a_round_is_confirmed_by_a_majority_of_distinct_voters)
{
    struct script s;

    script_init(&s, 1, 5, 1, NULL);
    script_lead(&s);
    script_accept(&s, 2, 1);
    script_accept(&s, 3, 1);
    cr_assert_eq(s.raft.commit, 1);
    script_beat_ack(&s, 2, 1, 7);
    script_beat_ack(&s, 2, 1, 8);
    script_beat_ack(&s, 6, 1, 8); /* a learner */
    cr_assert_eq(s.raft.read_round, 0);
    script_beat_ack(&s, 3, 1, 5);
    cr_assert_eq(s.raft.read_round, 5);
    cr_assert(s.effects.read_round_changed);
    script_beat_ack(&s, 4, 1, 7);
    cr_assert_eq(s.raft.read_round, 7);
    script_beat_ack(&s, 4, 1, 6);
    cr_assert_eq(s.raft.read_round, 7, "an old answer takes nothing back");
    cr_assert_not(s.effects.read_round_changed);
    script_deinit(&s);
}

/* etcd #3879 */
Test(raft_read, no_round_counts_before_an_entry_of_the_own_term_is_committed)
{
    static const uint32_t terms[] = {1, 1};
    struct script s;

    script_init(&s, 1, 3, 0, NULL);
    script_follow(&s, 2, terms, 2);
    script_lead(&s);
    script_beat_ack(&s, 2, 2, 4);
    script_beat_ack(&s, 3, 2, 4);
    cr_assert_eq(s.raft.read_round, 0);
    script_accept(&s, 2, 2);
    cr_assert_eq(s.raft.read_round, 0, "everything old is there, but that proves nothing");
    script_accept(&s, 2, 3);
    cr_assert_eq(s.raft.commit, 3);
    cr_assert_eq(s.raft.read_round, 4);
    script_deinit(&s);
}

Test(raft_read, rounds_of_an_earlier_leadership_count_for_nothing)
{
    struct script s;

    script_init(&s, 1, 3, 0, NULL);
    script_lead(&s);
    script_accept(&s, 2, 1);
    script_beat_ack(&s, 2, 1, 9);
    cr_assert_eq(s.raft.read_round, 9);
    script_beat(&s, 3, 2, 0, 1);
    cr_assert_eq(s.raft.read_round, 0);
    cr_assert(s.effects.read_round_changed);
    s.now_ms += 2000;
    script_lead(&s);
    script_accept(&s, 2, 2);
    cr_assert_eq(s.raft.commit, 2);
    script_beat_ack(&s, 2, 1, 12); /* from term 1, late */
    cr_assert_eq(s.raft.read_round, 0);
    script_beat_ack(&s, 2, 3, 12);
    cr_assert_eq(s.raft.read_round, 12);
    script_deinit(&s);
}

Test(raft_read, an_answer_of_a_later_term_ends_the_leadership)
{
    struct script s;

    script_init(&s, 1, 3, 0, NULL);
    script_lead(&s);
    script_beat_ack(&s, 2, 5, 1);
    cr_assert_eq(s.raft.role, RAFT_FOLLOWER);
    cr_assert_eq(s.raft.term, 5);
    cr_assert(s.effects.write_hard_state);
    script_deinit(&s);
}

Test(raft_read, other_lives_are_not_heard)
{
    struct script s;
    struct raft_event event = {
        .from = {2, SCRIPT_LIFE}, .to_life = SCRIPT_LIFE, .term = 1, .round = 3};

    script_init(&s, 1, 3, 0, NULL);
    event.kind = RAFT_EVENT_BEAT;
    event.to_life = SCRIPT_LIFE - 1;
    script_step(&s, event);
    cr_assert_not(s.effects.beat_accepted);
    event.to_life = SCRIPT_LIFE;
    event.from.life = SCRIPT_LIFE - 1;
    script_step(&s, event);
    cr_assert_not(s.effects.beat_accepted);
    cr_assert_eq(s.raft.leader, 0);
    script_lead(&s);
    script_accept(&s, 3, 1);
    event.kind = RAFT_EVENT_BEAT_ACK;
    script_step(&s, event);
    cr_assert_eq(s.raft.read_round, 0);
    event.from.life = SCRIPT_LIFE;
    script_step(&s, event);
    cr_assert_eq(s.raft.read_round, 3);
    script_deinit(&s);
}

Test(raft_read, a_beat_is_followed_and_carries_the_commit_index)
{
    static const uint32_t terms[] = {1, 1, 1};
    struct script s;

    script_init(&s, 1, 3, 0, NULL);
    script_follow(&s, 2, terms, 3);
    script_beat(&s, 2, 1, 2, 1);
    cr_assert(s.effects.beat_accepted);
    cr_assert(s.effects.commit_changed);
    cr_assert_eq(s.raft.commit, 2);
    script_beat(&s, 2, 1, 99, 2);
    cr_assert_eq(s.raft.commit, 3);
    script_beat(&s, 3, 2, 0, 1);
    cr_assert(s.effects.beat_accepted);
    cr_assert(s.effects.write_hard_state);
    cr_assert_eq(s.raft.term, 2);
    cr_assert_eq(s.raft.leader, 3);
    cr_assert_eq(s.raft.commit, 3);
    script_deinit(&s);
}

Test(raft_read, a_precandidate_returns_to_its_leader)
{
    struct script s;

    script_init(&s, 1, 3, 0, NULL);
    script_beat(&s, 2, 1, 0, 1);
    script_timeout(&s);
    cr_assert_eq(s.raft.role, RAFT_PRECANDIDATE);
    script_beat(&s, 2, 1, 0, 2);
    cr_assert(s.effects.beat_accepted);
    cr_assert_eq(s.raft.role, RAFT_FOLLOWER);
    cr_assert_eq(s.raft.leader, 2);
    cr_assert_eq(s.raft.term, 1);
    script_deinit(&s);
}
