#include "cli/job_watch.h"

#include <criterion/criterion.h>

static struct job_watch watch;

static void begin(uint16_t shards)
{
    cr_assert_eq(job_watch_init(&watch, shards, 1000), 0);
    cr_assert_eq(watch.state, JOB_WATCH_RUNNING);
}

enum { DISK, FILES, GAINED };

static struct job_watch_answer answer(bool running, uint64_t left_bytes, uint64_t gained)
{
    return (struct job_watch_answer){
        .accepted = true,
        .running = running,
        .demands = 3,
        .failed = 2,
        .left_bytes = left_bytes,
        .counts =
            {[DISK] = 5000 - gained, [FILES] = 40 - left_bytes / 100, [GAINED] = 700 + gained},
    };
}

static void take(uint16_t shard, struct job_watch_answer state, uint64_t now_ms)
{
    job_watch_take(&watch, shard, &state, now_ms);
}

Test(job_watch, a_node_is_done_when_all_its_shards_are)
{
    struct job_watch_sum sum;

    begin(2);
    take(0, answer(true, 1000, 0), 1000);
    job_watch_sum(&watch, &sum);
    cr_assert_not(sum.begun);
    take(1, answer(true, 1000, 0), 1000);
    cr_assert_eq(job_watch_percent(&watch, 1), 0);
    take(0, answer(false, 0, 600), 2000);
    cr_assert_eq(watch.state, JOB_WATCH_RUNNING);
    cr_assert_not(job_watch_wants(&watch, 0));
    cr_assert(job_watch_wants(&watch, 1));
    cr_assert_eq(job_watch_percent(&watch, 1), 49);
    take(1, answer(false, 0, 300), 4500);
    cr_assert_eq(watch.state, JOB_WATCH_DONE);
    cr_assert_not(job_watch_wants(&watch, 1));
    cr_assert_eq(job_watch_percent(&watch, 1), 100);
    cr_assert_eq(watch.end_ms - watch.begin_ms, 3500);
    job_watch_sum(&watch, &sum);
    cr_assert(sum.begun);
    cr_assert_eq(sum.first[DISK], 10000);
    cr_assert_eq(sum.now[DISK], 9100);
    cr_assert_eq(sum.grown[GAINED], 900);
    cr_assert_eq(sum.grown[FILES], 20);
    job_watch_deinit(&watch);
}

Test(job_watch, nothing_to_do_is_done_at_once)
{
    struct job_watch_sum sum;

    begin(1);
    take(0, answer(false, 0, 0), 1000);
    cr_assert_eq(watch.state, JOB_WATCH_DONE);
    job_watch_sum(&watch, &sum);
    cr_assert_eq(sum.grown[FILES], 0);
    cr_assert_eq(sum.grown[GAINED], 0);
    job_watch_deinit(&watch);
}

Test(job_watch, a_node_is_lost_after_some_answers_that_did_not_come)
{
    begin(1);
    take(0, answer(true, 1000, 0), 1000);
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned i = 1; i < JOB_WATCH_MISSES_MAX; i++)
            job_watch_take(&watch, 0, NULL, 1500);
        cr_assert_eq(watch.state, JOB_WATCH_RUNNING);
        take(0, answer(true, 900, 0), 2000);
    }
    for (unsigned i = 0; i < JOB_WATCH_MISSES_MAX; i++)
        job_watch_take(&watch, 0, NULL, 2500);
    cr_assert_eq(watch.state, JOB_WATCH_LOST);
    cr_assert(watch.why);
    cr_assert_eq(job_watch_percent(&watch, 1), 100);
    take(0, answer(false, 0, 10), 3000); /* too late */
    cr_assert_eq(watch.state, JOB_WATCH_LOST);
    job_watch_deinit(&watch);
}

Test(job_watch, a_node_that_was_started_again_is_not_taken_for_done)
{
    struct job_watch_answer again = answer(false, 0, 0);
    struct job_watch_sum sum;

    begin(1);
    take(0, answer(true, 1000, 0), 1000);
    again.demands = again.counts[FILES] = again.counts[GAINED] = 0;
    take(0, again, 2000);
    cr_assert_eq(watch.state, JOB_WATCH_LOST);
    job_watch_sum(&watch, &sum);
    cr_assert_eq(sum.grown[GAINED], 0);
    cr_assert_eq(sum.grown[FILES], 0);
    job_watch_deinit(&watch);
}

Test(job_watch, a_fenced_shard_fails_the_node)
{
    struct job_watch_answer fenced = answer(false, 0, 0);

    begin(2);
    fenced.accepted = false;
    take(1, fenced, 1000);
    cr_assert_eq(watch.state, JOB_WATCH_FAILED);
    cr_assert_not(job_watch_wants(&watch, 0));
    job_watch_deinit(&watch);
}

Test(job_watch, rounds_that_fail_again_and_again_fail_the_node)
{
    struct job_watch_answer state = answer(true, 1000, 0);

    begin(1);
    take(0, state, 1000);
    for (unsigned i = 1; i < JOB_WATCH_FAILS_MAX; i++) {
        state.failed++;
        take(0, state, 1000);
        cr_assert_eq(watch.state, JOB_WATCH_RUNNING);
    }
    state.failed++;
    take(0, state, 1000);
    cr_assert_eq(watch.state, JOB_WATCH_FAILED);
    job_watch_deinit(&watch);
}

Test(job_watch, the_share_is_of_all_nodes_and_the_lost_count_as_over)
{
    struct job_watch watches[2];
    struct job_watch_answer state = answer(true, 1000, 0);

    for (int n = 0; n < 2; n++) {
        cr_assert_eq(job_watch_init(&watches[n], 1, 0), 0);
        job_watch_take(&watches[n], 0, &state, 0);
    }
    state.left_bytes = 500;
    job_watch_take(&watches[0], 0, &state, 0);
    cr_assert_eq(job_watch_percent(watches, 2), 24);
    job_watch_lose(&watches[1], "gone", 10);
    cr_assert_eq(job_watch_percent(watches, 2), 74);
    state.left_bytes = 4000; /* more has come to it since: the bar does not run back */
    job_watch_take(&watches[0], 0, &state, 0);
    cr_assert_eq(job_watch_percent(watches, 2), 49);
    for (int n = 0; n < 2; n++)
        job_watch_deinit(&watches[n]);
}
