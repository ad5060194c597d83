#include "replication/raft_log.h"

#include <criterion/criterion.h>

#include <signal.h>

static void fill(struct raft_log *log, uint32_t count, uint32_t term)
{
    cr_assert_eq(raft_log_reserve(log, count), 0);
    for (uint32_t i = 0; i < count; i++)
        raft_log_append(log, term, 16 + i, RAFT_LOG_LOCATION_NONE);
}

Test(raft_log, is_empty_at_first)
{
    struct raft_log log;

    raft_log_init(&log);
    cr_assert_eq(log.first, 1);
    cr_assert_eq(log.last, 0);
    cr_assert_null(raft_log_at(&log, 0));
    cr_assert_null(raft_log_at(&log, 1));
    cr_assert_eq(raft_log_term(&log, 0), 0);
    raft_log_check(&log);
    raft_log_deinit(&log);
}

Test(raft_log, keeps_entries_through_growth_and_wrapping)
{
    struct raft_log log;

    raft_log_init(&log);
    for (uint32_t round = 0; round < 200; round++) {
        fill(&log, 7, round + 1);
        if (log.last - log.first > 40 + round)
            raft_log_retain(&log, log.first + 9);
        raft_log_check(&log);
    }
    for (uint64_t index = log.first; index <= log.last; index++) {
        const struct raft_log_entry *entry = raft_log_at(&log, index);

        cr_assert_eq(entry->term, (index - 1) / 7 + 1);
        cr_assert_eq(entry->size, 16 + (index - 1) % 7);
    }
    cr_assert_eq(raft_log_term(&log, log.first - 1), (log.first - 2) / 7 + 1);
    cr_assert_eq(raft_log_term(&log, log.first - 2), 0);
    raft_log_deinit(&log);
}

Test(raft_log, truncation_drops_the_tail_only)
{
    struct raft_log log;

    raft_log_init(&log);
    fill(&log, 10, 3);
    raft_log_truncate(&log, 6);
    cr_assert_eq(log.last, 5);
    cr_assert_null(raft_log_at(&log, 6));
    raft_log_truncate(&log, 9);
    cr_assert_eq(log.last, 5);
    fill(&log, 1, 4);
    cr_assert_eq(raft_log_term(&log, 6), 4);
    raft_log_check(&log);
    raft_log_deinit(&log);
}

Test(raft_log, everything_may_be_retained_away)
{
    struct raft_log log;

    raft_log_init(&log);
    fill(&log, 5, 2);
    raft_log_retain(&log, 6);
    cr_assert_eq(log.first, 6);
    cr_assert_eq(log.last, 5);
    cr_assert_eq(log.prev_term, 2);
    cr_assert_eq(raft_log_term(&log, 5), 2);
    raft_log_retain(&log, 3);
    cr_assert_eq(log.first, 6, "it never comes back");
    fill(&log, 1, 3);
    cr_assert_eq(raft_log_at(&log, 6)->term, 3);
    raft_log_check(&log);
    raft_log_deinit(&log);
}

Test(raft_log, places_are_kept)
{
    struct raft_log log;

    raft_log_init(&log);
    fill(&log, 3, 1);
    cr_assert_eq(raft_log_at(&log, 2)->location, RAFT_LOG_LOCATION_NONE);
    raft_log_place(&log, 2, 77);
    cr_assert_eq(raft_log_at(&log, 2)->location, 77);
    cr_assert_eq(raft_log_at(&log, 3)->location, RAFT_LOG_LOCATION_NONE);
    raft_log_deinit(&log);
}

Test(raft_log, append_without_room_asserts, .signal = SIGABRT)
{
    struct raft_log log;

    raft_log_init(&log);
    raft_log_append(&log, 1, 16, 0);
}

Test(raft_log, retaining_beyond_the_end_asserts, .signal = SIGABRT)
{
    struct raft_log log;

    raft_log_init(&log);
    fill(&log, 3, 1);
    raft_log_retain(&log, 5);
}
