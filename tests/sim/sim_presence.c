#include "tests/sim/sim_presence.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAME_SIZE 32u
#define OPEN      UINT64_MAX

struct operation {
    uint64_t begin;
    uint64_t end; /* OPEN: not answered */
    uint8_t kind;
    bool idle; /* it had no effect */
};

struct key {
    char name[NAME_SIZE];
    uint32_t *ops;
    uint32_t op_count, op_capacity;
};

struct sim_presence {
    struct operation *ops; /* by the judge's number */
    uint32_t op_count, op_capacity;
    struct key *keys;
    uint32_t key_count, key_capacity;
};

/* Room for one more item. */
static void *grow(void *items, uint32_t count, uint32_t *capacity, size_t item_size)
{
    if (count < *capacity)
        return items;
    *capacity = *capacity ? 2 * *capacity : 64;
    items = realloc(items, *capacity * item_size);
    assert(items);
    return items;
}

struct sim_presence *sim_presence_new(void)
{
    struct sim_presence *presence = calloc(1, sizeof *presence);
    assert(presence);
    return presence;
}

struct sim_presence *sim_presence_free(struct sim_presence *presence)
{
    if (!presence)
        return NULL;
    for (uint32_t i = 0; i < presence->key_count; i++)
        free(presence->keys[i].ops);
    free(presence->keys);
    free(presence->ops);
    free(presence);
    return NULL;
}

uint32_t sim_presence_count(const struct sim_presence *presence)
{
    return presence->key_count;
}

const char *sim_presence_name(const struct sim_presence *presence, uint32_t key)
{
    return presence->keys[key].name;
}

/* The newest first: they are what is mostly asked for. */
uint32_t sim_presence_find(const struct sim_presence *presence, const struct judge_bytes *key)
{
    for (uint32_t i = presence->key_count; i-- > 0;)
        if (strlen(presence->keys[i].name) == key->size &&
            memcmp(presence->keys[i].name, key->data, key->size) == 0)
            return i;
    return SIM_PRESENCE_NONE;
}

static struct key *key_of(struct sim_presence *presence, const struct judge_bytes *name)
{
    uint32_t number = sim_presence_find(presence, name);
    struct key *key;
    if (number != SIM_PRESENCE_NONE)
        return &presence->keys[number];
    presence->keys =
        grow(presence->keys, presence->key_count, &presence->key_capacity, sizeof *key);
    key = &presence->keys[presence->key_count++];
    *key = (struct key){.ops = NULL};
    assert(name->size < NAME_SIZE);
    memcpy(key->name, name->data, name->size);
    return key;
}

void sim_presence_call(struct sim_presence *presence, uint32_t op, const struct judge_call *call)
{
    assert(op >= presence->op_count);
    while (presence->op_count <= op) {
        presence->ops =
            grow(presence->ops, presence->op_count, &presence->op_capacity, sizeof *presence->ops);
        presence->ops[presence->op_count++] = (struct operation){.idle = true};
    }
    presence->ops[op] = (struct operation){.begin = call->time, .end = OPEN, .kind = call->kind};
    for (uint8_t i = 0; i < call->key_count; i++) {
        struct key *key = key_of(presence, &call->keys[i]);
        key->ops = grow(key->ops, key->op_count, &key->op_capacity, sizeof *key->ops);
        key->ops[key->op_count++] = op;
    }
}

void sim_presence_return(struct sim_presence *presence, uint32_t op, uint64_t time, int64_t integer)
{
    struct operation *operation = &presence->ops[op];
    operation->end = time;
    operation->idle =
        integer == 0 && (operation->kind == JUDGE_SETNX || operation->kind == JUDGE_DEL);
}

void sim_presence_fail(struct sim_presence *presence, uint32_t op)
{
    presence->ops[op].idle = true;
}

static bool writes(const struct operation *operation)
{
    switch (operation->kind) {
    case JUDGE_SET:
    case JUDGE_SETNX:
    case JUDGE_INCR:
    case JUDGE_APPEND:
    case JUDGE_GETSET:
    case JUDGE_MSET:
    case JUDGE_SETPX:
        return !operation->idle;
    default:
        return false;
    }
}

/* INCR and APPEND keep a deadline. */
static bool writes_for_good(const struct operation *operation)
{
    return writes(operation) && operation->kind != JUDGE_SETPX && operation->kind != JUDGE_INCR &&
           operation->kind != JUDGE_APPEND;
}

static bool deletes(const struct operation *operation)
{
    return !operation->idle && (operation->kind == JUDGE_DEL || operation->kind == JUDGE_GETDEL);
}

bool sim_presence_must(const struct sim_presence *presence, uint32_t number, uint64_t from,
                       uint64_t to)
{
    const struct key *key = &presence->keys[number];
    uint64_t written = 0; /* when the newest write that counts began */
    for (uint32_t i = 0; i < key->op_count; i++) {
        const struct operation *op = &presence->ops[key->ops[i]];
        if (writes_for_good(op) && op->end < from && op->begin > written)
            written = op->begin;
    }
    for (uint32_t i = 0; i < key->op_count; i++) {
        const struct operation *op = &presence->ops[key->ops[i]];
        bool takes = deletes(op) || (op->kind == JUDGE_SETPX && !op->idle);
        if (takes && op->begin <= to && op->end >= written)
            return false;
    }
    return written > 0;
}

bool sim_presence_may(const struct sim_presence *presence, uint32_t number, uint64_t from,
                      uint64_t to)
{
    const struct key *key = &presence->keys[number];
    uint64_t deleted = 0; /* when the newest delete that was over before the span began */
    for (uint32_t i = 0; i < key->op_count; i++) {
        const struct operation *op = &presence->ops[key->ops[i]];
        bool takes = op->kind == JUDGE_DEL || op->kind == JUDGE_GETDEL;
        if (takes && op->end < from && op->begin > deleted)
            deleted = op->begin;
    }
    for (uint32_t i = 0; i < key->op_count; i++) {
        const struct operation *op = &presence->ops[key->ops[i]];
        if (writes(op) && op->begin <= to && op->end >= deleted)
            return true;
    }
    return false;
}
