#include "raft_script.h"

#include <criterion/criterion.h>

#include <errno.h>
#include <signal.h>

Test(raft, a_vote_holds_through_a_restart)
{
    struct script s;

    script_init(&s, 1, 3, 0, NULL);
    raft_restore_hard_state(&s.raft, 4, 0);
    raft_restore_hard_state(&s.raft, 4, 2);
    raft_restore_done(&s.raft, s.now_ms, 7);
    cr_assert_eq(s.raft.term, 4);
    script_message(&s, 3, (struct raft_message){.kind = RAFT_VOTE, .term = 4}, NULL);
    cr_assert(script_sent(&s, RAFT_VOTE_REPLY, 3, 0)->reject);
    script_message(&s, 2, (struct raft_message){.kind = RAFT_VOTE, .term = 4}, NULL);
    cr_assert_not(script_sent(&s, RAFT_VOTE_REPLY, 2, 0)->reject);
    script_deinit(&s);
}

Test(raft, replay_truncates_as_the_run_did)
{
    struct script s;

    script_init(&s, 1, 3, 0, NULL);
    raft_restore_hard_state(&s.raft, 1, 2);
    for (uint64_t index = 1; index <= 5; index++)
        cr_assert_eq(raft_restore_entry(&s.raft, index, 1, 16, 100 + index), 0);
    raft_restore_commit(&s.raft, 2);
    raft_restore_hard_state(&s.raft, 3, 0);
    cr_assert_eq(raft_restore_entry(&s.raft, 4, 3, 32, 200), 0);
    cr_assert_eq(raft_restore_entry(&s.raft, 2, 3, 32, 300), -EBADMSG, "that is committed");
    raft_restore_done(&s.raft, s.now_ms, 7);
    cr_assert_eq(s.raft.log.last, 4);
    cr_assert_eq(raft_log_at(&s.raft.log, 4)->location, 200);
    cr_assert_eq(s.raft.commit, 2);
    cr_assert_eq(s.raft.applied, 0);
    cr_assert_eq(s.raft.synced, 4);
    cr_assert_eq(s.raft.synced_term, 3);
    script_deinit(&s);
}

Test(raft, a_checkpoint_stands_for_what_went_before)
{
    struct script s;

    script_init(&s, 1, 3, 0, NULL);
    raft_restore_checkpoint(&s.raft, 6, 3, 40, 5, 30, 4);
    cr_assert_eq(s.raft.log.last, 40);
    cr_assert_eq(raft_log_term(&s.raft.log, 40), 5);
    cr_assert_eq(raft_restore_entry(&s.raft, 41, 6, 16, 1), 0);
    cr_assert_eq(raft_restore_entry(&s.raft, 42, 6, 16, 2), 0);
    raft_restore_checkpoint(&s.raft, 6, 3, 41, 6, 38, 5); /* of the next segment */
    raft_restore_done(&s.raft, s.now_ms, 7);
    cr_assert_eq(s.raft.term, 6);
    cr_assert_eq(s.raft.vote, 3);
    cr_assert_eq(s.raft.applied, 41);
    cr_assert_eq(s.raft.commit, 41);
    cr_assert_eq(s.raft.log.last, 42);
    script_deinit(&s);
}

Test(raft, entries_before_a_checkpoint_that_are_still_log_stay)
{
    struct script s;

    script_init(&s, 1, 3, 0, NULL);
    raft_restore_hard_state(&s.raft, 2, 0);
    for (uint64_t index = 30; index <= 45; index++) /* the segment with 1 … 29 has gone */
        cr_assert_eq(raft_restore_entry(&s.raft, index, 2, 16, index), 0);
    raft_restore_checkpoint(&s.raft, 2, 0, 40, 2, 30, 1);
    raft_restore_done(&s.raft, s.now_ms, 7);
    cr_assert_eq(s.raft.log.first, 30);
    cr_assert_eq(s.raft.log.last, 45);
    cr_assert_eq(raft_log_term(&s.raft.log, 29), 1);
    cr_assert_eq(s.raft.applied, 40);
    script_deinit(&s);
}

Test(raft, entries_that_no_checkpoint_reaches_are_behind_a_gap)
{
    struct script s;

    script_init(&s, 1, 3, 0, NULL);
    raft_restore_checkpoint(&s.raft, 2, 0, 28, 2, 20, 1);
    cr_assert_not(raft_restore_gap(&s.raft));
    for (uint64_t index = 30; index <= 45; index++)
        cr_assert_eq(raft_restore_entry(&s.raft, index, 2, 16, index), 0);
    cr_assert(raft_restore_gap(&s.raft), "29 is missing");
    raft_restore_checkpoint(&s.raft, 2, 0, 29, 2, 20, 1);
    cr_assert_not(raft_restore_gap(&s.raft), "it was applied");
    raft_restore_done(&s.raft, s.now_ms, 7);
    script_deinit(&s);
}

Test(raft, a_checkpoint_carries_the_configuration_that_cannot_be_taken_back)
{
    struct script s;
    struct raft_config next = script_config(3, 1);

    script_init(&s, 1, 3, 0, NULL);
    raft_restore_hard_state(&s.raft, 1, 0);
    for (uint64_t index = 1; index <= 7; index++)
        cr_assert_eq(raft_restore_entry(&s.raft, index, 1, 16, index), 0);
    raft_restore_config(&s.raft, 7, &next);
    cr_assert_eq(s.raft.config.index, 7);
    cr_assert_eq(raft_config_stable(&s.raft)->index, SCRIPT_LIFE);
    cr_assert_eq(raft_restore_entry(&s.raft, 7, 1, 16, 9), 0);
    cr_assert_eq(s.raft.config.index, SCRIPT_LIFE, "the entry was replaced");
    raft_restore_config(&s.raft, 7, &next);
    raft_restore_checkpoint(&s.raft, 1, 0, 7, 1, 1, 0);
    cr_assert_eq(raft_config_stable(&s.raft)->index, 7);
    raft_restore_config(&s.raft, 0, raft_config_stable(&s.raft));
    raft_restore_done(&s.raft, s.now_ms, 7);
    cr_assert_eq(s.raft.config.learner_count, 1);
    script_deinit(&s);
}

Test(raft, messages_of_other_lives_groups_and_strangers_are_dropped)
{
    struct raft_message vote = {.kind = RAFT_VOTE,
                                .group = SCRIPT_GROUP,
                                .term = 3,
                                .from = {2, SCRIPT_LIFE},
                                .to = {1, SCRIPT_LIFE}};
    struct raft_event event = {.kind = RAFT_EVENT_MESSAGE, .message = &vote};
    struct script s;

    script_init(&s, 1, 3, 0, NULL);
    vote.to.life = SCRIPT_LIFE - 1;
    script_step(&s, event);
    vote.to.life = SCRIPT_LIFE;
    vote.from.life = SCRIPT_LIFE - 1;
    script_step(&s, event);
    vote.from = (struct raft_replica){8, SCRIPT_LIFE};
    script_step(&s, event);
    vote.from = (struct raft_replica){1, SCRIPT_LIFE};
    script_step(&s, event);
    vote.from = (struct raft_replica){2, SCRIPT_LIFE};
    vote.group = SCRIPT_GROUP + 1;
    script_step(&s, event);
    cr_assert_eq(s.raft.term, 0);
    vote.group = SCRIPT_GROUP;
    script_step(&s, event);
    cr_assert_eq(s.raft.term, 3);
    script_deinit(&s);
}

Test(raft, a_replica_that_an_unseen_entry_added_is_heard)
{
    struct raft_entry entry = {.term = 1, .size = 16};
    struct raft_message append = {.kind = RAFT_APPEND,
                                  .group = SCRIPT_GROUP,
                                  .term = 1,
                                  .from = {9, 77}, /* added at index 77 */
                                  .to = {1, SCRIPT_LIFE},
                                  .entry_count = 1};
    struct script s;

    script_init(&s, 1, 3, 0, NULL);
    script_step(&s, (struct raft_event){.kind = RAFT_EVENT_MESSAGE,
                                        .message = &append,
                                        .entries = &entry,
                                        .entry_count = 1});
    cr_assert_eq(s.raft.log.last, 1);
    cr_assert_eq(raft_log_term(&s.raft.log, 1), 1);
    cr_assert_eq(script_sent(&s, RAFT_APPEND_REPLY, 9, 0)->to.life, 77);
    script_deinit(&s);
}

Test(raft, a_group_without_voters_is_refused)
{
    struct raft_options options = script_options(1);
    struct raft_config config = script_config(0, 2);
    struct raft raft;

    cr_assert_eq(raft_init(&raft, &options, &config, 0, 1), -EINVAL);
}

Test(raft, applying_what_is_not_committed_asserts, .signal = SIGABRT)
{
    struct script s;

    script_init(&s, 1, 3, 0, NULL);
    script_step(&s, (struct raft_event){.kind = RAFT_EVENT_APPLIED, .index = 1});
}

Test(raft, dropping_log_that_is_not_applied_asserts, .signal = SIGABRT)
{
    static const uint32_t terms[] = {1, 1};
    struct script s;

    script_init(&s, 1, 3, 0, NULL);
    script_follow(&s, 2, terms, 2);
    script_step(&s, (struct raft_event){.kind = RAFT_EVENT_RETAIN, .index = 2});
}

Test(raft, the_same_event_gives_the_same_effects)
{
    struct script a, b;

    script_init(&a, 1, 3, 0, NULL);
    script_init(&b, 1, 3, 0, NULL);
    for (uint32_t i = 0; i < 20; i++) {
        script_timeout(&a);
        script_timeout(&b);
        cr_assert_eq(raft_deadline_ms(&a.raft), raft_deadline_ms(&b.raft));
        cr_assert_eq(a.effects.message_count, b.effects.message_count);
    }
    script_deinit(&a);
    script_deinit(&b);
}
