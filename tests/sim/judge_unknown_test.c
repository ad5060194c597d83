/* Unknown outcomes, bounds, and histories that were really executed. */
#include "tests/sim/judge_bench.h"
#include "tests/dice.h"

TestSuite(judge_unknown, .init = bench_begin, .fini = bench_end);

Test(judge_unknown, unknown_write_may_never_happen)
{
    set("k", "1");
    (void)call(JUDGE_SET, "k", "2");
    get("k", "1");
    set("k", "3");
    get("k", "3");
    good();
}

Test(judge_unknown, unknown_write_may_happen_late)
{
    set("k", "1");
    (void)call(JUDGE_SET, "k", "2");
    get("k", "1");
    get("k", "1");
    get("k", "2");
    good();
}

Test(judge_unknown, unknown_write_may_overwrite_later_writes)
{
    (void)call(JUDGE_SET, "k", "late");
    set("k", "1");
    get("k", "1");
    get("k", "late");
    good();
}

Test(judge_unknown, unknown_write_seen_then_unseen_is_bad)
{
    set("k", "1");
    (void)call(JUDGE_SET, "k", "2");
    get("k", "2");
    get("k", "1");
    bad_at_last();
}

Test(judge_unknown, unknown_write_happens_once)
{
    (void)call(JUDGE_SET, "k", "late");
    set("k", "1");
    get("k", "late");
    set("k", "2");
    get("k", "late");
    bad_at_last();
}

Test(judge_unknown, failed_write_has_no_effect)
{
    set("k", "1");
    failed(call(JUDGE_SET, "k", "2"));
    get("k", "1");
    good();
}

Test(judge_unknown, failed_write_that_is_seen_is_bad)
{
    set("k", "1");
    failed(call(JUDGE_SET, "k", "2"));
    get("k", "2");
    bad_at_last();
}

Test(judge_unknown, unknown_incr_explains_a_gap)
{
    incr("n", 1);
    (void)call(JUDGE_INCR, "n", NULL);
    incr("n", 3);
    get("n", "3");
    good();
}

Test(judge_unknown, one_unknown_incr_explains_only_one_gap)
{
    incr("n", 1);
    (void)call(JUDGE_INCR, "n", NULL);
    incr("n", 3);
    incr("n", 5);
    bad_at_last();
}

Test(judge_unknown, many_unknown_incrs_stay_cheap)
{
    for (int i = 0; i < 60; i++)
        (void)call(JUDGE_INCR, "n", NULL);
    incr("n", 31);
    incr("n", 61);
    good();
    cr_assert_lt(bench.verdict.peak, 200);
    incr("n", 64);
    bad_at_last();
}

Test(judge_unknown, many_unknown_writes_stay_cheap)
{
    char text[60][16];
    for (int i = 0; i < 60; i++) {
        (void)snprintf(text[i], sizeof text[i], "u%d", i);
        (void)call(JUDGE_SET, "k", text[i]);
    }
    for (int i = 0; i < 60; i++)
        get("k", text[59 - i]);
    good();
    cr_assert_lt(bench.verdict.peak, 200);
    get("k", text[30]);
    bad_at_last();
}

Test(judge_unknown, unknown_append_may_slip_in)
{
    append("k", "aa", 2);
    (void)call(JUDGE_APPEND, "k", "uu");
    append("k", "bb", 6);
    get("k", "aauubb");
    good();
}

Test(judge_unknown, unknown_append_twice_is_bad)
{
    append("k", "aa", 2);
    (void)call(JUDGE_APPEND, "k", "uu");
    append("k", "bb", 6);
    get("k", "aauubbuu");
    bad_at_last();
}

Test(judge_unknown, unknown_batch_is_all_or_nothing)
{
    ok(call2(JUDGE_MSET, "{t}a", "1", "{t}b", "1"));
    (void)call2(JUDGE_MSET, "{t}a", "2", "{t}b", "2");
    get("{t}a", "1");
    get("{t}b", "2");
    get("{t}a", "2");
    good();
    set("{t}a", "3");
    values(call2(JUDGE_MGET, "{t}a", NULL, "{t}b", NULL), "3", "1");
    bad_at_last();
}

Test(judge_unknown, too_many_keys_in_one_object_are_refused)
{
    char key[16];
    for (unsigned i = 0; i < JUDGE_OBJECT_KEYS_MAX; i++) {
        (void)snprintf(key, sizeof key, "{t}%u", i);
        set(key, "1");
    }
    uint32_t op;
    struct judge_call c = {.time = ++bench.time, .kind = JUDGE_SET, .key_count = 1};
    c.keys[0] = bytes("{t}more");
    c.values[0] = bytes("1");
    cr_assert_eq(judge_call(bench.judge, &c, &op), -E2BIG);
    good();
}

Test(judge_unknown, too_many_unknown_outcomes_are_undecided_not_passed)
{
    char text[16];
    for (int i = 0; i < 65; i++) {
        (void)snprintf(text, sizeof text, "u%d", i);
        (void)call(JUDGE_SET, "k", text);
    }
    cr_assert_eq(judge_run(bench.judge, &bench.verdict), JUDGE_E_UNDECIDED);
}

Test(judge_unknown, settled_unknown_outcomes_free_their_slots)
{
    char text[16];
    for (int i = 0; i < 200; i++) {
        (void)snprintf(text, sizeof text, "u%d", i);
        (void)call(JUDGE_SET, "k", text);
        get("k", text);
    }
    good();
}

Test(judge_unknown, bounded_configurations_are_undecided_not_passed)
{
    judge_free(bench.judge);
    struct judge_options options = {.configurations_max = 16, .steps_max = 1000};
    bench.judge = judge_new(&options);
    char text[16];
    for (int i = 0; i < 8; i++) {
        (void)snprintf(text, sizeof text, "a%d", i);
        (void)call(JUDGE_APPEND, "k", text);
    }
    append("k", "zz", 10);
    cr_assert_eq(judge_run(bench.judge, &bench.verdict), JUDGE_E_UNDECIDED);
}

/* Brute force: a history made by really executing operations at a random moment between call and
 * return is good; the same with one reply changed to a value that was never there is bad. */
Test(judge_unknown, executed_histories_are_good_and_spoiled_ones_bad)
{
    struct dice dice = {1};
    for (int round = 0; round < 200; round++) {
        judge_free(bench.judge);
        bench_begin();
        uint32_t open[4];
        int64_t result[4];
        int state[4] = {0}, counter = 0, spoil = round % 2 ? 40 : -1;
        for (int step = 0; step < 300; step++) {
            unsigned c = dice_pick(&dice, 4);
            if (state[c] == 0) {
                open[c] = call(JUDGE_INCR, "n", NULL);
                state[c] = 1;
            } else if (state[c] == 1) {
                result[c] = ++counter;
                state[c] = 2;
                if (counter == spoil)
                    result[c] = counter - 1;
            } else {
                number(open[c], result[c]);
                state[c] = 0;
            }
        }
        int r = judge_run(bench.judge, &bench.verdict);
        cr_assert_eq(r, spoil > 0 ? JUDGE_E_VIOLATION : JUDGE_E_OK, "round %d: %d", round, r);
    }
}
