#include "tests/sim/judge_bench.h"

TestSuite(judge_expiry, .init = bench_begin, .fini = bench_end);

static void set_px(const char *key, const char *value, uint64_t in)
{
    ok(call_px(key, value, bench.time + in));
}

static void wait_for(uint64_t time)
{
    bench.time += time;
}

Test(judge_expiry, a_value_may_go_from_its_time_on)
{
    set_px("k", "1", 100);
    get("k", "1");
    wait_for(100);
    get("k", NULL);
    get("k", NULL);
    good();
}

Test(judge_expiry, a_value_may_outlive_its_time)
{
    set_px("k", "1", 100);
    wait_for(1000);
    get("k", "1");
    get("k", NULL);
    good();
}

Test(judge_expiry, a_value_must_not_go_before_its_time)
{
    set_px("k", "1", 100);
    wait_for(50);
    get("k", NULL);
    bad_at_last();
}

Test(judge_expiry, a_value_that_has_gone_does_not_come_back)
{
    set_px("k", "1", 100);
    wait_for(200);
    get("k", NULL);
    get("k", "1");
    bad_at_last();
}

Test(judge_expiry, an_older_value_does_not_show_again)
{
    set("k", "old");
    set_px("k", "new", 100);
    wait_for(200);
    get("k", "old");
    bad_at_last();
}

Test(judge_expiry, a_value_without_a_deadline_stays)
{
    set_px("k", "1", 100);
    set("k", "2");
    wait_for(200);
    get("k", NULL);
    bad_at_last();
}

Test(judge_expiry, who_takes_the_deadline_away_keeps_the_value)
{
    set_px("k", "1", 100);
    number(call(JUDGE_PERSIST, "k", NULL), 1);
    wait_for(200);
    get("k", "1");
    number(call(JUDGE_PERSIST, "k", NULL), 0);
    good();
    get("k", NULL);
    bad_at_last();
}

Test(judge_expiry, persist_of_what_has_no_deadline_must_say_so)
{
    set("k", "1");
    number(call(JUDGE_PERSIST, "k", NULL), 1);
    bad_at_last();
}

Test(judge_expiry, persist_that_finds_nothing_says_that_the_value_has_gone)
{
    set_px("k", "1", 100);
    wait_for(200);
    number(call(JUDGE_PERSIST, "k", NULL), 0);
    get("k", "1");
    bad_at_last();
}

Test(judge_expiry, a_change_keeps_the_deadline)
{
    set_px("n", "1", 100);
    number(call(JUDGE_INCR, "n", NULL), 2);
    number(call(JUDGE_APPEND, "n", "5"), 2);
    get("n", "25");
    wait_for(200);
    get("n", NULL);
    number(call(JUDGE_INCR, "n", NULL), 1);
    good();
    wait_for(200);
    get("n", NULL);
    bad_at_last();
}

Test(judge_expiry, of_two_keys_one_may_go)
{
    ok(call2(JUDGE_MSET, "{t}a", "1", "{t}b", "2"));
    set_px("{t}a", "3", 100);
    wait_for(200);
    values(call2(JUDGE_MGET, "{t}a", NULL, "{t}b", NULL), NULL, "2");
    good();
    values(call2(JUDGE_MGET, "{t}a", NULL, "{t}b", NULL), NULL, NULL);
    bad_at_last();
}

/* The write of unknown outcome may have happened between, and given the value that goes. */
Test(judge_expiry, an_unknown_write_may_go_too)
{
    set("k", "1");
    (void)call_px("k", "2", bench.time + 100);
    get("k", "1");
    wait_for(200);
    get("k", NULL);
    good();
    get("k", "1");
    bad_at_last();
}

/* The read began before the time, and ended behind it. */
Test(judge_expiry, a_read_across_the_time_may_see_either)
{
    for (int seen = 0; seen < 2; seen++) {
        set_px("k", "1", 50);
        uint32_t read = call(JUDGE_GET, "k", NULL);
        wait_for(100);
        value(read, seen ? "1" : NULL);
    }
    good();
}

Test(judge_expiry, setnx_behind_the_time_finds_room)
{
    set_px("k", "1", 100);
    number(call(JUDGE_SETNX, "k", "2"), 0);
    wait_for(200);
    number(call(JUDGE_SETNX, "k", "3"), 1);
    get("k", "3");
    good();
    wait_for(1000);
    get("k", NULL);
    bad_at_last();
}
