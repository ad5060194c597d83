#include "cli/flush_watch.h"

#include <criterion/criterion.h>

static struct flush_watch watch;

static void begin(uint16_t shards)
{
    cr_assert_eq(flush_watch_init(&watch, shards, 1000), 0);
    cr_assert_eq(watch.state, FLUSH_WATCH_RUNNING);
}

static struct wire_flush_state answer(bool flushing, uint64_t left_bytes, uint64_t reclaimed)
{
    return (struct wire_flush_state){.accepted = true,
                                     .flushing = flushing,
                                     .demands = 3,
                                     .disk_bytes = 5000 - reclaimed,
                                     .log_bytes = 100,
                                     .left_files = left_bytes / 100,
                                     .left_bytes = left_bytes,
                                     .files = 40 - left_bytes / 100,
                                     .reclaimed = 700 + reclaimed,
                                     .failed = 2};
}

static void take(uint16_t shard, struct wire_flush_state state, uint64_t now_ms)
{
    flush_watch_take(&watch, shard, &state, now_ms);
}

Test(flush_watch, a_node_is_done_when_all_its_shards_are)
{
    struct flush_watch_sum sum;

    begin(2);
    take(0, answer(true, 1000, 0), 1000);
    flush_watch_sum(&watch, &sum);
    cr_assert_not(sum.begun);
    take(1, answer(true, 1000, 0), 1000);
    cr_assert_eq(flush_watch_percent(&watch, 1), 0);
    take(0, answer(false, 0, 600), 2000);
    cr_assert_eq(watch.state, FLUSH_WATCH_RUNNING);
    cr_assert_not(flush_watch_wants(&watch, 0));
    cr_assert(flush_watch_wants(&watch, 1));
    cr_assert_eq(flush_watch_percent(&watch, 1), 49);
    take(1, answer(false, 0, 300), 4500);
    cr_assert_eq(watch.state, FLUSH_WATCH_DONE);
    cr_assert_not(flush_watch_wants(&watch, 1));
    cr_assert_eq(flush_watch_percent(&watch, 1), 100);
    cr_assert_eq(watch.end_ms - watch.begin_ms, 3500);
    flush_watch_sum(&watch, &sum);
    cr_assert(sum.begun);
    cr_assert_eq(sum.before, 10000);
    cr_assert_eq(sum.after, 9100);
    cr_assert_eq(sum.reclaimed, 900);
    cr_assert_eq(sum.files, 20);
    cr_assert_eq(sum.log, 200);
    flush_watch_deinit(&watch);
}

Test(flush_watch, nothing_to_do_is_done_at_once)
{
    struct flush_watch_sum sum;

    begin(1);
    take(0, answer(false, 0, 0), 1000);
    cr_assert_eq(watch.state, FLUSH_WATCH_DONE);
    flush_watch_sum(&watch, &sum);
    cr_assert_eq(sum.files, 0);
    cr_assert_eq(sum.reclaimed, 0);
    flush_watch_deinit(&watch);
}

Test(flush_watch, a_node_is_lost_after_some_answers_that_did_not_come)
{
    begin(1);
    take(0, answer(true, 1000, 0), 1000);
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned i = 1; i < FLUSH_WATCH_MISSES_MAX; i++)
            flush_watch_take(&watch, 0, NULL, 1500);
        cr_assert_eq(watch.state, FLUSH_WATCH_RUNNING);
        take(0, answer(true, 900, 0), 2000);
    }
    for (unsigned i = 0; i < FLUSH_WATCH_MISSES_MAX; i++)
        flush_watch_take(&watch, 0, NULL, 2500);
    cr_assert_eq(watch.state, FLUSH_WATCH_LOST);
    cr_assert(watch.why);
    cr_assert_eq(flush_watch_percent(&watch, 1), 100);
    take(0, answer(false, 0, 10), 3000); /* too late */
    cr_assert_eq(watch.state, FLUSH_WATCH_LOST);
    flush_watch_deinit(&watch);
}

Test(flush_watch, a_node_that_was_started_again_is_not_taken_for_done)
{
    struct wire_flush_state again = answer(false, 0, 0);
    struct flush_watch_sum sum;

    begin(1);
    take(0, answer(true, 1000, 0), 1000);
    again.demands = again.files = again.reclaimed = 0;
    take(0, again, 2000);
    cr_assert_eq(watch.state, FLUSH_WATCH_LOST);
    flush_watch_sum(&watch, &sum);
    cr_assert_eq(sum.reclaimed, 0);
    cr_assert_eq(sum.files, 0);
    flush_watch_deinit(&watch);
}

Test(flush_watch, a_fenced_shard_fails_the_node)
{
    struct wire_flush_state fenced = answer(false, 0, 0);

    begin(2);
    fenced.accepted = false;
    take(1, fenced, 1000);
    cr_assert_eq(watch.state, FLUSH_WATCH_FAILED);
    cr_assert_not(flush_watch_wants(&watch, 0));
    flush_watch_deinit(&watch);
}

Test(flush_watch, rounds_that_fail_again_and_again_fail_the_node)
{
    struct wire_flush_state state = answer(true, 1000, 0);

    begin(1);
    take(0, state, 1000);
    for (unsigned i = 1; i < FLUSH_WATCH_FAILS_MAX; i++) {
        state.failed++;
        take(0, state, 1000);
        cr_assert_eq(watch.state, FLUSH_WATCH_RUNNING);
    }
    state.failed++;
    take(0, state, 1000);
    cr_assert_eq(watch.state, FLUSH_WATCH_FAILED);
    flush_watch_deinit(&watch);
}

Test(flush_watch, the_share_is_of_all_nodes_and_the_lost_count_as_over)
{
    struct flush_watch watches[2];
    struct wire_flush_state state = answer(true, 1000, 0);

    for (int n = 0; n < 2; n++) {
        cr_assert_eq(flush_watch_init(&watches[n], 1, 0), 0);
        flush_watch_take(&watches[n], 0, &state, 0);
    }
    state.left_bytes = 500;
    flush_watch_take(&watches[0], 0, &state, 0);
    cr_assert_eq(flush_watch_percent(watches, 2), 24);
    flush_watch_lose(&watches[1], "gone", 10);
    cr_assert_eq(flush_watch_percent(watches, 2), 74);
    state.left_bytes = 4000; /* more has come to it since: the bar does not run back */
    flush_watch_take(&watches[0], 0, &state, 0);
    cr_assert_eq(flush_watch_percent(watches, 2), 49);
    for (int n = 0; n < 2; n++)
        flush_watch_deinit(&watches[n]);
}
