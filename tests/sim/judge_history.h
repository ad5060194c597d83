/* Judge history: what the clients saw, and what each operation does to an object's state.
 *
 * Values are interned: equal bytes have equal numbers, 0 is "absent". A state is a vector of
 * values, interned too, so that the search compares numbers. Private to judge.c.
 */
#ifndef TESTS_SIM_JUDGE_HISTORY_H
#define TESTS_SIM_JUDGE_HISTORY_H

#include "tests/sim/judge.h"

#define HISTORY_NONE  UINT32_MAX
#define HISTORY_NEVER UINT64_MAX

enum history_outcome { HISTORY_UNKNOWN, HISTORY_KNOWN, HISTORY_FAILED };

struct history_op {
    uint64_t call_time;
    uint64_t return_time; /* HISTORY_NEVER when unknown */
    int64_t delta;
    int64_t integer;    /* the reply's */
    uint64_t goes_from; /* SETPX */
    uint32_t object;
    uint32_t client;
    uint8_t kind;
    uint8_t outcome;
    uint8_t key_count;
    bool error;
    uint8_t keys[JUDGE_OBJECT_KEYS_MAX]; /* places in the object's vector */
    uint32_t values[JUDGE_OBJECT_KEYS_MAX];
    uint32_t results[JUDGE_OBJECT_KEYS_MAX];
};

struct history_object {
    uint32_t name; /* interned: the tag, or the key */
    uint32_t key_count;
    uint32_t keys[JUDGE_OBJECT_KEYS_MAX]; /* interned */
    uint32_t *ops;                        /* in the order of calls */
    uint32_t op_count;
    uint32_t op_capacity;
};

/* Interned byte strings: number -> bytes. Number 0 is taken for "absent". */
struct intern {
    uint8_t *bytes;
    size_t size, capacity;
    struct intern_item {
        size_t offset;
        size_t size;
    } * items;
    uint32_t count, item_capacity;
    uint32_t *table; /* item numbers, 0 for free */
    uint32_t table_capacity;
};

int intern_init(struct intern *intern);
void intern_deinit(struct intern *intern);
/* Returns the number, HISTORY_NONE when out of memory. */
uint32_t intern_put(struct intern *intern, const void *data, size_t size);
const void *intern_at(const struct intern *intern, uint32_t number, size_t *size);

struct history {
    struct intern values; /* keys too */
    struct intern states; /* of each key the value, behind them of each whose deadline it has */
    struct history_op *ops;
    uint32_t op_count, op_capacity;
    struct history_object *objects;
    uint32_t object_count, object_capacity;
    uint32_t *object_of_name; /* by interned name; HISTORY_NONE: none */
    uint32_t object_of_name_capacity;
    uint8_t *scratch; /* for APPEND's new values */
    size_t scratch_capacity;
};

int history_init(struct history *history);
void history_deinit(struct history *history);
int history_call(struct history *history, const struct judge_call *call, uint32_t *op);
int history_return(struct history *history, uint32_t op, uint64_t time,
                   const struct judge_reply *reply);

/* The state in which all keys are absent. */
uint32_t history_state_empty(struct history *history);
/* What the operation makes of the state, HISTORY_NONE when the result it returned is impossible
 * there (unknown operations are always possible). *failed is set when out of memory. */
uint32_t history_apply(struct history *history, const struct history_op *op, uint32_t state,
                       bool *failed);
/* From when on the key at this place may go by itself; HISTORY_NEVER when it may not, or is absent.
 */
uint64_t history_goes_from(const struct history *history, uint32_t state, uint32_t place);
/* The state without that key. */
uint32_t history_expire(struct history *history, uint32_t state, uint32_t place, bool *failed);
void history_print_op(const struct history *history, uint32_t number, FILE *out);

#endif
