/* Judge bench: a shorthand for writing histories, shared by the judge's suites. */
#ifndef TESTS_SIM_JUDGE_BENCH_H
#define TESTS_SIM_JUDGE_BENCH_H

#include "tests/sim/judge.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

/* Histories are written as calls and returns in the order of time. */
struct bench {
    struct judge *judge;
    uint64_t time;
    struct judge_verdict verdict;
};

static struct bench bench;

static inline void bench_begin(void)
{
    struct judge_options options;
    judge_options_default(&options);
    bench = (struct bench){.judge = judge_new(&options)};
    cr_assert_not_null(bench.judge);
}

static inline void bench_end(void)
{
    judge_free(bench.judge);
}

static inline struct judge_bytes bytes(const char *text)
{
    return (struct judge_bytes){text, text ? strlen(text) : 0};
}

static inline uint32_t call(uint8_t kind, const char *key, const char *value)
{
    uint32_t op;
    struct judge_call c = {.time = ++bench.time, .kind = kind, .key_count = 1, .delta = 1};
    c.keys[0] = bytes(key);
    c.values[0] = bytes(value);
    cr_assert_eq(judge_call(bench.judge, &c, &op), 0);
    return op;
}

/* A write of a value that may go by itself from that time on. */
static inline uint32_t call_px(const char *key, const char *value, uint64_t goes_from)
{
    uint32_t op;
    struct judge_call c = {
        .time = ++bench.time, .kind = JUDGE_SETPX, .key_count = 1, .goes_from = goes_from};
    c.keys[0] = bytes(key);
    c.values[0] = bytes(value);
    cr_assert_eq(judge_call(bench.judge, &c, &op), 0);
    return op;
}

static inline uint32_t call2(uint8_t kind, const char *k1, const char *v1, const char *k2,
                             const char *v2)
{
    uint32_t op;
    struct judge_call c = {.time = ++bench.time, .kind = kind, .key_count = 2};
    c.keys[0] = bytes(k1);
    c.keys[1] = bytes(k2);
    c.values[0] = bytes(v1);
    c.values[1] = bytes(v2);
    cr_assert_eq(judge_call(bench.judge, &c, &op), 0);
    return op;
}

static inline void give(uint32_t op, struct judge_reply reply)
{
    cr_assert_eq(judge_return(bench.judge, op, ++bench.time, &reply), 0);
}

static inline void ok(uint32_t op)
{
    give(op, (struct judge_reply){0});
}

static inline void number(uint32_t op, int64_t integer)
{
    give(op, (struct judge_reply){.integer = integer});
}

static inline void value(uint32_t op, const char *text)
{
    struct judge_reply reply = {0};
    reply.values[0] = bytes(text);
    give(op, reply);
}

static inline void values(uint32_t op, const char *v1, const char *v2)
{
    struct judge_reply reply = {0};
    reply.values[0] = bytes(v1);
    reply.values[1] = bytes(v2);
    give(op, reply);
}

static inline void failed(uint32_t op)
{
    judge_fail(bench.judge, op, ++bench.time);
}

static inline void set(const char *key, const char *text)
{
    ok(call(JUDGE_SET, key, text));
}

static inline void get(const char *key, const char *text)
{
    value(call(JUDGE_GET, key, NULL), text);
}

static inline void incr(const char *key, int64_t result)
{
    number(call(JUDGE_INCR, key, NULL), result);
}

static inline void append(const char *key, const char *text, int64_t length)
{
    number(call(JUDGE_APPEND, key, text), length);
}

static inline void good(void)
{
    cr_assert_eq(judge_run(bench.judge, &bench.verdict), JUDGE_E_OK);
}

static inline void bad(uint32_t op)
{
    cr_assert_eq(judge_run(bench.judge, &bench.verdict), JUDGE_E_VIOLATION);
    cr_assert_eq(bench.verdict.op, op);
}

static inline void bad_at_last(void)
{
    bad(judge_op_count(bench.judge) - 1);
}

#endif
