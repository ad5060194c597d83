#include "replication/progress.h"

#include <criterion/criterion.h>

static const struct raft_options options = {
    .inflight_messages_max = 3, .inflight_size_max = 1000, .retry_ms = 200};

static struct raft_progress leader_start(uint64_t last)
{
    struct raft_progress progress = {0};

    progress_reset(&progress, last, 1000);
    return progress;
}

Test(progress, one_probe_at_a_time_until_the_logs_meet)
{
    struct raft_progress progress = leader_start(10);

    cr_assert(progress_open(&progress, &options));
    progress_sent(&progress, 2, 50, 1000);
    cr_assert_not(progress_open(&progress, &options));
    cr_assert_eq(progress.next, 11, "a probe does not run ahead");
    progress_accepted(&progress, 12, 50, 1010);
    cr_assert_eq(progress.match, 12);
    cr_assert_eq(progress.next, 13);
    cr_assert_not(progress.probing);
    cr_assert_eq(progress.inflight_messages, 0);
}

Test(progress, pipeline_is_bounded_by_messages_and_bytes)
{
    struct raft_progress progress = leader_start(0);

    progress_accepted(&progress, 0, 0, 1000);
    for (uint32_t i = 0; i < 3; i++) {
        cr_assert(progress_open(&progress, &options));
        progress_sent(&progress, 1, 10, 1000);
    }
    cr_assert_not(progress_open(&progress, &options), "three messages");
    progress_accepted(&progress, 1, 10, 1001);
    cr_assert(progress_open(&progress, &options));
    progress_sent(&progress, 1, 5000, 1001);
    progress_accepted(&progress, 2, 10, 1002);
    cr_assert_not(progress_open(&progress, &options), "bytes");
    progress_accepted(&progress, 4, 5010, 1003);
    cr_assert_eq(progress.inflight_size, 0);
    cr_assert_eq(progress.inflight_messages, 0);
}

Test(progress, an_answer_that_comes_twice_counts_once)
{
    struct raft_progress progress = leader_start(0);

    progress_accepted(&progress, 0, 0, 1000);
    for (uint32_t i = 0; i < 3; i++)
        progress_sent(&progress, 1, 10, 1000);
    progress_accepted(&progress, 1, 10, 1001);
    progress_accepted(&progress, 1, 10, 1001);
    cr_assert_eq(progress.inflight_messages, 2);
    cr_assert_eq(progress.inflight_size, 20);
}

/* Answers to what was sent before a loss come late, and count for what was sent after it. */
Test(progress, silence_is_noticed_while_anything_is_in_flight)
{
    struct raft_progress progress = leader_start(0);

    progress_accepted(&progress, 0, 0, 1000);
    progress_sent(&progress, 4, 40, 1000);
    progress_accepted(&progress, 2, 20, 1001);
    cr_assert_eq(progress.next, 5);
    cr_assert_neq(progress_deadline_ms(&progress, &options), UINT64_MAX);
}

Test(progress, a_lost_probe_is_repeated_where_it_was)
{
    struct raft_progress progress = leader_start(10);

    progress_sent(&progress, 1, 10, 1000);
    cr_assert_eq(progress_deadline_ms(&progress, &options), 1200);
    progress_lost(&progress);
    cr_assert_eq(progress.next, 11);
    cr_assert(progress_open(&progress, &options));
    cr_assert_eq(progress_deadline_ms(&progress, &options), UINT64_MAX);
}

Test(progress, a_lost_pipeline_starts_again_behind_match)
{
    struct raft_progress progress = leader_start(10);

    progress_accepted(&progress, 10, 0, 1000);
    progress_sent(&progress, 5, 10, 1000);
    cr_assert_eq(progress.next, 16);
    progress_lost(&progress);
    cr_assert(progress.probing);
    cr_assert_eq(progress.next, 11);
}

Test(progress, old_refusals_are_known_as_such)
{
    struct raft_progress progress = leader_start(10);

    cr_assert(progress_refused(&progress, 10));
    cr_assert_not(progress_refused(&progress, 9), "of an earlier probe");
    progress_probe(&progress, 4);
    cr_assert_not(progress_refused(&progress, 10));
    cr_assert(progress_refused(&progress, 4));
    progress_accepted(&progress, 6, 0, 1000);
    progress_sent(&progress, 4, 10, 1000);
    cr_assert_not(progress_refused(&progress, 6), "it matches there");
    cr_assert(progress_refused(&progress, 8));
    cr_assert_not(progress_refused(&progress, 11), "never sent");
}

/* A repeated message is answered with a newer match each time; counting its answers must not make
 * what is really on the way forgotten (simulator, seed 602). */
Test(progress, answers_that_come_twice_leave_the_retry_running)
{
    struct raft_progress progress = leader_start(10);

    progress_accepted(&progress, 10, 0, 1000);
    progress_sent(&progress, 2, 10, 1000);
    progress_sent(&progress, 5, 10, 1000);
    progress_accepted(&progress, 11, 5, 1010);
    progress_accepted(&progress, 12, 5, 1020);
    cr_assert_eq(progress.next, 18);
    cr_assert_eq(progress_deadline_ms(&progress, &options), 1220);
}

/* A peer whose queue is long answers late: what waits there must not be sent again and again. */
Test(progress, silence_is_borne_longer_where_answers_take_long)
{
    struct raft_progress progress = leader_start(0);
    uint64_t deadline_ms;

    progress_sent(&progress, 1, 10, 1000);
    cr_assert_eq(progress_deadline_ms(&progress, &options), 1200);
    progress_answered(&progress, 1300);
    cr_assert_eq(progress_deadline_ms(&progress, &options), 1800, "300 ms, twice, and 200");
    progress_answered(&progress, 9000);
    deadline_ms = progress_deadline_ms(&progress, &options);
    cr_assert_eq(deadline_ms, 2000, "not for ever");
    for (int i = 0; i < 60; i++) {
        progress_answered(&progress, 1001);
        cr_assert_leq(progress_deadline_ms(&progress, &options), deadline_ms);
        deadline_ms = progress_deadline_ms(&progress, &options);
    }
    cr_assert_eq(deadline_ms, 1202, "quick answers bring the haste back");
}

/* What a replica drops for want of room is silence, and says nothing of how long answers take. */
Test(progress, losses_alone_do_not_slow_the_retry)
{
    struct raft_progress progress = leader_start(0);

    for (uint64_t now_ms = 1000; now_ms < 5000; now_ms += 200) {
        progress_sent(&progress, 1, 10, now_ms);
        cr_assert_eq(progress_deadline_ms(&progress, &options), now_ms + 200);
        progress_lost(&progress);
    }
}

Test(progress, gains_are_told_by_time)
{
    struct raft_progress progress = leader_start(0);

    cr_assert_eq(progress.match_ms, 1000);
    progress_sent(&progress, 1, 10, 1100);
    progress_accepted(&progress, 1, 10, 1200);
    cr_assert_eq(progress.match_ms, 1200);
    progress_accepted(&progress, 1, 10, 1300);
    progress_accepted(&progress, 0, 0, 1400);
    cr_assert_eq(progress.match_ms, 1200, "what was known before is no gain");
}
