#include "tests/sim/sim_presence.h"

#include <criterion/criterion.h>
#include <string.h>

#define OPEN UINT64_MAX

static struct sim_presence *presence;
static uint32_t op_last;

static void begin(void)
{
    presence = sim_presence_new();
    op_last = 0;
}

/* An operation on key "k" from begin to end; OPEN: it is not answered. */
static uint32_t call(uint8_t kind, uint64_t begun, uint64_t end, int64_t integer)
{
    struct judge_call call = {
        .time = begun, .kind = kind, .key_count = 1, .keys = {{.data = "k", .size = 1}}};
    uint32_t op = ++op_last;

    sim_presence_call(presence, op, &call);
    if (end != OPEN)
        sim_presence_return(presence, op, end, integer);
    return op;
}

static void expect(uint64_t from, uint64_t to, bool must, bool may)
{
    cr_assert_eq(sim_presence_must(presence, 0, from, to), must, "must, %u to %u", (unsigned)from,
                 (unsigned)to);
    cr_assert_eq(sim_presence_may(presence, 0, from, to), may, "may, %u to %u", (unsigned)from,
                 (unsigned)to);
}

Test(sim_presence, an_answered_write_is_there_from_its_answer_on)
{
    begin();
    call(JUDGE_SET, 10, 20, 0);
    expect(1, 9, false, false);
    expect(1, 15, false, true);
    expect(15, 30, false, true);
    expect(21, 30, true, true);
    presence = sim_presence_free(presence);
}

Test(sim_presence, a_delete_takes_it_away_from_its_call_on)
{
    begin();
    call(JUDGE_SET, 10, 20, 0);
    call(JUDGE_DEL, 30, 40, 1);
    expect(21, 29, true, true);
    expect(21, 30, false, true);
    expect(35, 50, false, true);
    expect(41, 50, false, false);
    call(JUDGE_SET, 60, 70, 0);
    expect(71, 80, true, true);
    presence = sim_presence_free(presence);
}

Test(sim_presence, what_is_not_answered_may_happen_at_any_time)
{
    begin();
    call(JUDGE_SET, 10, OPEN, 0);
    expect(1000, 1001, false, true);
    call(JUDGE_DEL, 20, 30, 0);
    expect(1000, 1001, false, true);
    call(JUDGE_SET, 40, 50, 0);
    expect(1000, 1001, true, true);
    call(JUDGE_GETDEL, 60, OPEN, 0);
    expect(1000, 1001, false, true);
    call(JUDGE_SET, 70, 80, 0);
    expect(1000, 1001, false, true);
    presence = sim_presence_free(presence);
}

Test(sim_presence, a_deadline_counts_until_a_write_takes_it_away)
{
    begin();
    call(JUDGE_SETPX, 10, 20, 0);
    expect(21, 30, false, true);
    call(JUDGE_APPEND, 40, 50, 3);
    expect(51, 60, false, true);
    call(JUDGE_GETSET, 70, 80, 0);
    expect(81, 90, true, true);
    presence = sim_presence_free(presence);
}

Test(sim_presence, what_had_no_effect_counts_for_nothing)
{
    begin();
    sim_presence_fail(presence, call(JUDGE_SET, 10, OPEN, 0));
    call(JUDGE_SETNX, 11, 12, 0);
    call(JUDGE_GET, 13, 14, 0);
    call(JUDGE_DEL, 15, 16, 0);
    expect(20, 30, false, false);
    call(JUDGE_SETNX, 40, 50, 1);
    sim_presence_fail(presence, call(JUDGE_DEL, 53, OPEN, 0));
    expect(60, 70, true, true);
    cr_assert_eq(sim_presence_count(presence), 1);
    cr_assert_str_eq(sim_presence_name(presence, 0), "k");
    presence = sim_presence_free(presence);
}
