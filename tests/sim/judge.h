/* Judge: is a history of client operations linearizable, key by key?
 *
 * The idea is Lowe's just-in-time linearization ("Testing for Linearizability", 2017): walk calls
 * and returns in the order of time and keep the set of all configurations the system could be in,
 * a configuration being (state, which of the open operations have taken effect). A return keeps
 * those configurations in which its operation has taken effect; none left is a violation.
 *
 * What is judged together is an *object*: all keys with the same tag (Redis Cluster's rule), or one
 * key without a tag. Its state is the small vector of its keys' values, so that atomic batches
 * (MSET, MGET on one tag) are operations like any other. Objects are independent, and a history is
 * linearizable when each object's part is (Herlihy and Wing, locality).
 *
 * Outcomes: returned (judge_return), certainly without effect (judge_fail: the operation is left
 * out), or neither, which is unknown: it may take effect at any time after its call, or never.
 *
 * Expiry: a value with a deadline may turn absent by itself at any moment from `goes_from` on,
 * once, or never, and until then it may not. The time is the earliest at which any clock in the
 * system can show the deadline. With a value goes the write that gave it the deadline: APPEND and
 * INCR keep it, all other writes take it away. Gone is gone: a value that was seen absent stays
 * absent until something is written.
 *
 * Reductions, all sound: an open operation whose result says that it changed nothing (a read,
 * a failed SETNX, a DEL of nothing) is taken as soon as the state explains that result; an unknown
 * operation is never taken where it changes nothing; of identical unknown operations the oldest is
 * taken first; of two configurations that differ only in unknown operations, one having taken a
 * subset of the other's, the smaller one is kept (what the larger one can still do, the smaller one
 * can do too, and unknown operations need not happen).
 *
 * Limits: JUDGE_OBJECT_KEYS_MAX keys an object; 64 known operations open at once and 64 unknown
 * ones not yet seen to have happened, an object; options.configurations_max and steps_max bound
 * memory and time. Over a limit the answer is JUDGE_E_UNDECIDED, which is a failure, never a pass.
 *
 * Ownership: the history copies all bytes. One thread. Used by the simulator and by the process
 * tests alike: time is any number that never goes back.
 */
#ifndef TESTS_SIM_JUDGE_H
#define TESTS_SIM_JUDGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define JUDGE_OBJECT_KEYS_MAX 8u

enum judge_kind {
    JUDGE_GET,     /* key -> value or nil */
    JUDGE_SET,     /* key value */
    JUDGE_SETNX,   /* key value -> 1 when set, 0 when the key was there */
    JUDGE_INCR,    /* key delta -> the new number; error when the value is no integer */
    JUDGE_APPEND,  /* key value -> the new length */
    JUDGE_DEL,     /* keys -> how many were there */
    JUDGE_GETSET,  /* key value -> the old value or nil */
    JUDGE_GETDEL,  /* key -> the old value or nil */
    JUDGE_MSET,    /* keys and values, all at once */
    JUDGE_MGET,    /* keys -> values or nils, all at once */
    JUDGE_SETPX,   /* key value, which may go by itself from `goes_from` on */
    JUDGE_PERSIST, /* key -> 1 when there was a deadline, which it takes away, or 0 */
    JUDGE_KINDS
};

struct judge_bytes {
    const void *data; /* NULL: nil */
    size_t size;
};

struct judge_call {
    uint64_t time;
    uint32_t client;
    uint8_t kind;
    uint8_t key_count; /* 1, or up to JUDGE_OBJECT_KEYS_MAX for DEL, MSET and MGET */
    struct judge_bytes keys[JUDGE_OBJECT_KEYS_MAX];
    struct judge_bytes values[JUDGE_OBJECT_KEYS_MAX];
    int64_t delta;
    uint64_t goes_from; /* SETPX */
};

struct judge_reply {
    bool error; /* INCR: the value is no integer, or the sum is out of range */
    int64_t integer;
    struct judge_bytes values[JUDGE_OBJECT_KEYS_MAX];
};

enum judge_e {
    JUDGE_E_OK,        /* linearizable */
    JUDGE_E_VIOLATION, /* certainly not */
    JUDGE_E_UNDECIDED, /* a bound was reached: treat it as a failure */
};

struct judge_options {
    uint32_t configurations_max; /* at once, an object */
    uint64_t steps_max;          /* transitions tried, an object */
};

struct judge_verdict {
    uint32_t object;     /* number of the object that failed */
    uint32_t op;         /* whose return could not be explained, or where a bound was reached */
    const char *why;     /* static text */
    uint32_t peak;       /* most configurations at once, over all objects */
    uint64_t steps;      /* transitions tried, over all objects */
    uint32_t op_count;   /* judged */
    uint32_t unresolved; /* operations of unknown outcome among them */
};

struct judge;

void judge_options_default(struct judge_options *options);
struct judge *judge_new(const struct judge_options *options);
struct judge *judge_free(struct judge *judge);

/* Records a call and gives its number. All keys must belong to one object. Returns 0, -ENOMEM, or
 * -E2BIG: too many keys in an object (nothing was recorded). */
int judge_call(struct judge *judge, const struct judge_call *call, uint32_t *op);
/* Each op returns or fails at most once; time is not before its call. */
int judge_return(struct judge *judge, uint32_t op, uint64_t time, const struct judge_reply *reply);
void judge_fail(struct judge *judge, uint32_t op, uint64_t time);

/* Judges everything recorded so far. Returns enum judge_e or -ENOMEM. */
int judge_run(struct judge *judge, struct judge_verdict *verdict);
/* Writes the failed object's history around the operation in question, one line an operation. */
void judge_explain(const struct judge *judge, const struct judge_verdict *verdict, FILE *out);
uint32_t judge_op_count(const struct judge *judge);
uint32_t judge_object_count(const struct judge *judge);

#endif
