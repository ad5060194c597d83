#include "tests/sim/judge_bench.h"

TestSuite(judge, .init = bench_begin, .fini = bench_end);

Test(judge, empty_history_is_good)
{
    good();
}

Test(judge, absent_key_reads_nil)
{
    get("k", NULL);
    good();
}

Test(judge, value_from_nowhere_is_bad)
{
    get("k", "v");
    bad_at_last();
}

Test(judge, read_of_own_write_is_good)
{
    set("k", "1");
    get("k", "1");
    set("k", "2");
    get("k", "2");
    good();
}

Test(judge, stale_read_is_bad)
{
    set("k", "1");
    set("k", "2");
    get("k", "1");
    bad_at_last();
}

Test(judge, lost_write_is_bad)
{
    set("k", "1");
    get("k", NULL);
    bad_at_last();
}

Test(judge, keys_are_judged_apart)
{
    set("a", "1");
    set("b", "2");
    get("a", "1");
    get("b", "2");
    good();
    get("a", "2");
    bad_at_last();
}

Test(judge, concurrent_write_may_be_read_either_way)
{
    set("k", "1");
    uint32_t w = call(JUDGE_SET, "k", "2");
    get("k", "1");
    get("k", "2");
    ok(w);
    get("k", "2");
    good();
}

Test(judge, read_must_not_go_back_within_a_concurrent_write)
{
    set("k", "1");
    uint32_t w = call(JUDGE_SET, "k", "2");
    get("k", "2");
    uint32_t r = call(JUDGE_GET, "k", NULL);
    value(r, "1");
    ok(w);
    bad(r);
}

Test(judge, concurrent_reads_may_disagree)
{
    set("k", "1");
    uint32_t w = call(JUDGE_SET, "k", "2");
    uint32_t a = call(JUDGE_GET, "k", NULL);
    uint32_t b = call(JUDGE_GET, "k", NULL);
    value(a, "2");
    value(b, "1");
    ok(w);
    good();
}

Test(judge, concurrent_writes_settle_on_one_value)
{
    uint32_t a = call(JUDGE_SET, "k", "a");
    uint32_t b = call(JUDGE_SET, "k", "b");
    ok(a);
    ok(b);
    get("k", "a");
    get("k", "a");
    good();
    get("k", "b");
    bad_at_last();
}

Test(judge, write_after_write_is_not_reordered)
{
    uint32_t slow = call(JUDGE_SET, "k", "slow");
    set("k", "1");
    set("k", "2");
    ok(slow);
    get("k", "1");
    bad_at_last();
}

Test(judge, write_before_its_call_is_bad)
{
    get("k", "1");
    (void)call(JUDGE_SET, "k", "1");
    bad(0);
}

Test(judge, setnx_sets_an_absent_key)
{
    number(call(JUDGE_SETNX, "k", "1"), 1);
    number(call(JUDGE_SETNX, "k", "2"), 0);
    get("k", "1");
    good();
}

Test(judge, failed_setnx_on_absent_key_is_bad)
{
    number(call(JUDGE_SETNX, "k", "1"), 0);
    bad_at_last();
}

Test(judge, setnx_that_overwrites_is_bad)
{
    set("k", "1");
    number(call(JUDGE_SETNX, "k", "2"), 1);
    bad_at_last();
}

Test(judge, two_concurrent_setnx_cannot_both_win)
{
    uint32_t a = call(JUDGE_SETNX, "k", "a");
    uint32_t b = call(JUDGE_SETNX, "k", "b");
    number(a, 1);
    number(b, 1);
    bad(b);
}

Test(judge, failed_setnx_may_see_a_concurrent_write)
{
    uint32_t w = call(JUDGE_SET, "k", "1");
    number(call(JUDGE_SETNX, "k", "2"), 0);
    ok(w);
    get("k", "1");
    good();
}

Test(judge, failed_setnx_after_delete_is_bad)
{
    set("k", "1");
    number(call(JUDGE_DEL, "k", NULL), 1);
    number(call(JUDGE_SETNX, "k", "2"), 0);
    bad_at_last();
}

Test(judge, failed_setnx_may_come_before_a_concurrent_delete)
{
    set("k", "1");
    uint32_t d = call(JUDGE_DEL, "k", NULL);
    number(call(JUDGE_SETNX, "k", "2"), 0);
    number(d, 1);
    get("k", NULL);
    good();
}

Test(judge, counter_counts)
{
    incr("n", 1);
    incr("n", 2);
    get("n", "2");
    good();
}

Test(judge, duplicate_incr_is_bad)
{
    incr("n", 1);
    incr("n", 3);
    bad_at_last();
}

Test(judge, lost_update_of_a_counter_is_bad)
{
    uint32_t a = call(JUDGE_INCR, "n", NULL);
    uint32_t b = call(JUDGE_INCR, "n", NULL);
    number(a, 1);
    number(b, 1);
    bad(b);
}

Test(judge, incr_of_text_errs)
{
    set("k", "abc");
    give(call(JUDGE_INCR, "k", NULL), (struct judge_reply){.error = true});
    get("k", "abc");
    good();
}

Test(judge, incr_error_on_a_number_is_bad)
{
    set("k", "7");
    give(call(JUDGE_INCR, "k", NULL), (struct judge_reply){.error = true});
    bad_at_last();
}

Test(judge, incr_of_text_that_succeeds_is_bad)
{
    set("k", "abc");
    incr("k", 1);
    bad_at_last();
}

Test(judge, appends_add_up)
{
    append("k", "aa", 2);
    append("k", "bbb", 5);
    get("k", "aabbb");
    good();
}

Test(judge, append_applied_twice_is_bad)
{
    append("k", "aa", 2);
    get("k", "aaaa");
    bad_at_last();
}

Test(judge, lost_append_is_bad)
{
    append("k", "aa", 2);
    append("k", "bb", 2);
    bad_at_last();
}

Test(judge, appends_in_another_order_than_their_lengths_are_bad)
{
    append("k", "aa", 2);
    append("k", "bb", 4);
    get("k", "bbaa");
    bad_at_last();
}

Test(judge, delete_counts_what_was_there)
{
    number(call(JUDGE_DEL, "k", NULL), 0);
    set("k", "1");
    number(call(JUDGE_DEL, "k", NULL), 1);
    number(call(JUDGE_DEL, "k", NULL), 0);
    get("k", NULL);
    good();
}

Test(judge, deleted_key_that_comes_back_is_bad)
{
    set("k", "1");
    number(call(JUDGE_DEL, "k", NULL), 1);
    get("k", "1");
    bad_at_last();
}

Test(judge, delete_of_an_acknowledged_key_that_finds_nothing_is_bad)
{
    set("k", "1");
    number(call(JUDGE_DEL, "k", NULL), 0);
    bad_at_last();
}

Test(judge, getset_and_getdel_return_the_old_value)
{
    value(call(JUDGE_GETSET, "k", "1"), NULL);
    value(call(JUDGE_GETSET, "k", "2"), "1");
    value(call(JUDGE_GETDEL, "k", NULL), "2");
    value(call(JUDGE_GETDEL, "k", NULL), NULL);
    good();
}

Test(judge, two_getsets_of_one_old_value_are_bad)
{
    set("k", "1");
    uint32_t a = call(JUDGE_GETSET, "k", "a");
    uint32_t b = call(JUDGE_GETSET, "k", "b");
    value(a, "1");
    value(b, "1");
    bad(b);
}

Test(judge, batch_is_seen_whole)
{
    ok(call2(JUDGE_MSET, "{t}a", "1", "{t}b", "1"));
    values(call2(JUDGE_MGET, "{t}a", NULL, "{t}b", NULL), "1", "1");
    good();
}

Test(judge, torn_batch_is_bad)
{
    ok(call2(JUDGE_MSET, "{t}a", "1", "{t}b", "1"));
    uint32_t w = call2(JUDGE_MSET, "{t}a", "2", "{t}b", "2");
    uint32_t r = call2(JUDGE_MGET, "{t}a", NULL, "{t}b", NULL);
    values(r, "1", "2");
    ok(w);
    bad(r);
}

Test(judge, torn_batch_seen_by_single_reads_is_bad)
{
    (void)call2(JUDGE_MSET, "{t}a", "2", "{t}b", "2");
    get("{t}a", "2");
    get("{t}b", NULL);
    bad_at_last();
}

Test(judge, mixed_single_and_batch_writes_of_one_tag)
{
    ok(call2(JUDGE_MSET, "{t}a", "1", "{t}b", "1"));
    set("{t}b", "2");
    values(call2(JUDGE_MGET, "{t}a", NULL, "{t}b", NULL), "1", "2");
    number(call2(JUDGE_DEL, "{t}a", NULL, "{t}b", NULL), 2);
    values(call2(JUDGE_MGET, "{t}a", NULL, "{t}b", NULL), NULL, NULL);
    good();
}

/* What changes nothing now may be wanted later, after a delete. */
Test(judge, effectless_increment_may_come_after_a_concurrent_delete)
{
    incr("n", 1);
    struct judge_call c = {.time = ++bench.time, .kind = JUDGE_INCR, .key_count = 1, .delta = -1};
    uint32_t a, del, zero;
    c.keys[0] = bytes("n");
    cr_assert_eq(judge_call(bench.judge, &c, &a), 0);
    number(a, 0);
    del = call(JUDGE_DEL, "n", NULL);
    c.time = ++bench.time;
    c.delta = 0;
    cr_assert_eq(judge_call(bench.judge, &c, &zero), 0);
    number(del, 1);
    number(zero, 0);
    number(call(JUDGE_DEL, "n", NULL), 1);
    good();
}

Test(judge, write_of_the_same_value_may_come_after_a_concurrent_delete)
{
    set("k", "1");
    uint32_t del = call(JUDGE_DEL, "k", NULL);
    uint32_t again = call(JUDGE_SET, "k", "1");
    number(del, 1);
    ok(again);
    get("k", "1");
    good();
    number(call(JUDGE_DEL, "k", NULL), 1);
    get("k", "1");
    bad_at_last();
}
