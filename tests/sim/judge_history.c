#include "tests/sim/judge_history.h"

#include "ring/hash.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#define STATE_PLACES                                                                               \
    (2 * JUDGE_OBJECT_KEYS_MAX) /* values, then deadlines: 1 + the op that set it */
#define STATE_SIZE (STATE_PLACES * sizeof(uint32_t))

int intern_init(struct intern *intern)
{
    memset(intern, 0, sizeof *intern);
    intern->table_capacity = 1024;
    intern->table = calloc(intern->table_capacity, sizeof *intern->table);
    intern->item_capacity = 512;
    intern->items = calloc(intern->item_capacity, sizeof *intern->items);
    intern->count = 1; /* 0: absent */
    if (!intern->table || !intern->items)
        return -ENOMEM;
    return 0;
}

void intern_deinit(struct intern *intern)
{
    free(intern->bytes);
    free(intern->items);
    free(intern->table);
    memset(intern, 0, sizeof *intern);
}

const void *intern_at(const struct intern *intern, uint32_t number, size_t *size)
{
    assert(number != 0);
    assert(number < intern->count);
    *size = intern->items[number].size;
    return intern->bytes + intern->items[number].offset;
}

static bool intern_grow(struct intern *intern, size_t size)
{
    if (intern->size + size > intern->capacity) {
        size_t capacity = (intern->size + size) * 2 + 4096;
        uint8_t *bytes = realloc(intern->bytes, capacity);
        if (!bytes)
            return false;
        intern->bytes = bytes;
        intern->capacity = capacity;
    }
    if (intern->count == intern->item_capacity) {
        size_t capacity = (size_t)intern->item_capacity * 2;
        struct intern_item *items = realloc(intern->items, capacity * sizeof *items);
        if (!items)
            return false;
        intern->items = items;
        intern->item_capacity = (uint32_t)capacity;
    }
    if (intern->count * 2 >= intern->table_capacity) {
        uint32_t capacity = intern->table_capacity * 2;
        uint32_t *table = calloc(capacity, sizeof *table);
        if (!table)
            return false;
        for (uint32_t i = 1; i < intern->count; i++) {
            uint64_t hash =
                XXH3_64bits(intern->bytes + intern->items[i].offset, intern->items[i].size);
            uint32_t at = (uint32_t)hash & (capacity - 1);
            while (table[at])
                at = (at + 1) & (capacity - 1);
            table[at] = i;
        }
        free(intern->table);
        intern->table = table;
        intern->table_capacity = capacity;
    }
    return true;
}

uint32_t intern_put(struct intern *intern, const void *data, size_t size)
{
    if (!intern_grow(intern, size + 1))
        return HISTORY_NONE;
    uint32_t at = (uint32_t)XXH3_64bits(data, size) & (intern->table_capacity - 1);
    for (; intern->table[at]; at = (at + 1) & (intern->table_capacity - 1)) {
        const struct intern_item *item = &intern->items[intern->table[at]];
        if (item->size == size && memcmp(intern->bytes + item->offset, data, size) == 0)
            return intern->table[at];
    }
    uint32_t number = intern->count++;
    intern->items[number] = (struct intern_item){intern->size, size};
    memcpy(intern->bytes + intern->size, data, size);
    intern->size += size;
    intern->table[at] = number;
    return number;
}

int history_init(struct history *history)
{
    memset(history, 0, sizeof *history);
    int r = intern_init(&history->values);
    return r ? r : intern_init(&history->states);
}

void history_deinit(struct history *history)
{
    for (uint32_t i = 0; i < history->object_count; i++)
        free(history->objects[i].ops);
    free(history->objects);
    free(history->ops);
    free(history->object_of_name);
    free(history->scratch);
    intern_deinit(&history->values);
    intern_deinit(&history->states);
    memset(history, 0, sizeof *history);
}

/* Doubles an array when it is full. */
static int array_grow(void **array, uint32_t count, uint32_t *capacity, size_t item_size)
{
    if (count < *capacity)
        return 0;
    uint32_t wanted = *capacity ? *capacity * 2 : 64;
    void *grown = realloc(*array, (size_t)wanted * item_size);
    if (!grown)
        return -ENOMEM;
    *array = grown;
    *capacity = wanted;
    return 0;
}

static uint32_t object_find(struct history *history, uint32_t name)
{
    while (name >= history->object_of_name_capacity) {
        uint32_t old = history->object_of_name_capacity;
        if (array_grow((void **)&history->object_of_name, old, &history->object_of_name_capacity,
                       sizeof *history->object_of_name))
            return HISTORY_NONE;
        for (uint32_t i = old; i < history->object_of_name_capacity; i++)
            history->object_of_name[i] = HISTORY_NONE;
    }
    if (history->object_of_name[name] != HISTORY_NONE)
        return history->object_of_name[name];
    if (array_grow((void **)&history->objects, history->object_count, &history->object_capacity,
                   sizeof *history->objects))
        return HISTORY_NONE;
    uint32_t number = history->object_count++;
    history->objects[number] = (struct history_object){.name = name};
    history->object_of_name[name] = number;
    return number;
}

/* The key's place in the object's vector; JUDGE_OBJECT_KEYS_MAX when there is none left. */
static uint8_t object_place(struct history_object *object, uint32_t key)
{
    for (uint32_t i = 0; i < object->key_count; i++)
        if (object->keys[i] == key)
            return (uint8_t)i;
    if (object->key_count == JUDGE_OBJECT_KEYS_MAX)
        return JUDGE_OBJECT_KEYS_MAX;
    object->keys[object->key_count] = key;
    return (uint8_t)object->key_count++;
}

static uint32_t value_put(struct history *history, struct judge_bytes value)
{
    return value.data ? intern_put(&history->values, value.data, value.size) : 0;
}

static int call_keys(struct history *history, const struct judge_call *call, struct history_op *op)
{
    for (uint8_t i = 0; i < call->key_count; i++) {
        size_t tag_size;
        const uint8_t *tag = hash_tag(call->keys[i].data, call->keys[i].size, &tag_size);
        uint32_t name = intern_put(&history->values, tag, tag_size);
        uint32_t key = value_put(history, call->keys[i]);
        uint32_t value = value_put(history, call->values[i]);
        if (name == HISTORY_NONE || key == HISTORY_NONE || value == HISTORY_NONE)
            return -ENOMEM;
        uint32_t object = object_find(history, name);
        if (object == HISTORY_NONE)
            return -ENOMEM;
        assert(i == 0 || object == op->object);
        op->object = object;
        op->keys[i] = object_place(&history->objects[object], key);
        if (op->keys[i] == JUDGE_OBJECT_KEYS_MAX)
            return -E2BIG;
        op->values[i] = value;
    }
    return 0;
}

int history_call(struct history *history, const struct judge_call *call, uint32_t *number)
{
    assert(call->key_count > 0);
    assert(call->key_count <= JUDGE_OBJECT_KEYS_MAX);
    struct history_op op = {
        .call_time = call->time,
        .return_time = HISTORY_NEVER,
        .delta = call->delta,
        .goes_from = call->goes_from,
        .client = call->client,
        .kind = call->kind,
        .key_count = call->key_count,
    };
    int r = call_keys(history, call, &op);
    if (r)
        return r;
    struct history_object *object = &history->objects[op.object];
    if (array_grow((void **)&history->ops, history->op_count, &history->op_capacity, sizeof op) ||
        array_grow((void **)&object->ops, object->op_count, &object->op_capacity,
                   sizeof *object->ops))
        return -ENOMEM;
    *number = history->op_count;
    object->ops[object->op_count++] = history->op_count;
    history->ops[history->op_count++] = op;
    return 0;
}

int history_return(struct history *history, uint32_t number, uint64_t time,
                   const struct judge_reply *reply)
{
    struct history_op *op = &history->ops[number];
    assert(op->outcome == HISTORY_UNKNOWN);
    assert(time >= op->call_time);
    for (uint8_t i = 0; i < op->key_count; i++) {
        op->results[i] = value_put(history, reply->values[i]);
        if (op->results[i] == HISTORY_NONE)
            return -ENOMEM;
    }
    op->integer = reply->integer;
    op->error = reply->error;
    op->outcome = HISTORY_KNOWN;
    op->return_time = time;
    return 0;
}

uint32_t history_state_empty(struct history *history)
{
    uint32_t vector[STATE_PLACES] = {0};
    return intern_put(&history->states, vector, STATE_SIZE);
}

/* As Redis reads it: an optional sign and digits without leading zeros or spaces. */
static bool value_integer(const struct history *history, uint32_t value, int64_t *integer)
{
    *integer = 0;
    if (value == 0)
        return true;
    size_t size;
    const char *text = intern_at(&history->values, value, &size);
    char copy[24], canonical[24];
    if (size == 0 || size >= sizeof copy)
        return false;
    memcpy(copy, text, size);
    copy[size] = 0;
    char *end;
    errno = 0;
    *integer = strtoll(copy, &end, 10);
    if (errno || *end)
        return false;
    (void)snprintf(canonical, sizeof canonical, "%" PRId64, *integer);
    return strcmp(copy, canonical) == 0;
}

static uint32_t apply_incr(struct history *history, const struct history_op *op, uint32_t *value)
{
    int64_t old, sum;
    bool good = value_integer(history, *value, &old);
    good = good && !__builtin_add_overflow(old, op->delta, &sum);
    bool known = op->outcome == HISTORY_KNOWN;
    if (!good)
        return !known || op->error ? 0 : HISTORY_NONE;
    if (known && (op->error || op->integer != sum))
        return HISTORY_NONE;
    char text[24];
    int size = snprintf(text, sizeof text, "%" PRId64, sum);
    *value = intern_put(&history->values, text, (size_t)size);
    return 0;
}

static uint32_t apply_append(struct history *history, const struct history_op *op, uint32_t *value)
{
    size_t old_size = 0, tail_size;
    if (*value)
        (void)intern_at(&history->values, *value, &old_size);
    (void)intern_at(&history->values, op->values[0], &tail_size);
    size_t size = old_size + tail_size;
    if (op->outcome == HISTORY_KNOWN && op->integer != (int64_t)size)
        return HISTORY_NONE;
    if (size > history->scratch_capacity) {
        uint8_t *scratch = realloc(history->scratch, size * 2);
        if (!scratch) {
            *value = HISTORY_NONE;
            return 0;
        }
        history->scratch = scratch;
        history->scratch_capacity = size * 2;
    }
    if (*value)
        memcpy(history->scratch, intern_at(&history->values, *value, &old_size), old_size);
    memcpy(history->scratch + old_size, intern_at(&history->values, op->values[0], &tail_size),
           tail_size);
    *value = intern_put(&history->values, history->scratch, size);
    return 0;
}

/* Changes the vector; HISTORY_NONE: impossible. */
static uint32_t apply_to_vector(struct history *history, const struct history_op *op,
                                uint32_t *vector)
{
    bool known = op->outcome == HISTORY_KNOWN;
    uint32_t *value = &vector[op->keys[0]];
    uint32_t *deadline = value + JUDGE_OBJECT_KEYS_MAX;
    int64_t count = 0;
    switch (op->kind) {
    case JUDGE_GET:
    case JUDGE_MGET:
        for (uint8_t i = 0; known && i < op->key_count; i++)
            if (vector[op->keys[i]] != op->results[i])
                return HISTORY_NONE;
        return 0;
    case JUDGE_SET:
    case JUDGE_MSET:
        for (uint8_t i = 0; i < op->key_count; i++) {
            vector[op->keys[i]] = op->values[i];
            vector[JUDGE_OBJECT_KEYS_MAX + op->keys[i]] = 0;
        }
        return 0;
    case JUDGE_SETPX:
        *value = op->values[0];
        *deadline = 1 + (uint32_t)(op - history->ops);
        return 0;
    case JUDGE_PERSIST:
        if (known && (op->integer != 0) != (*deadline != 0))
            return HISTORY_NONE;
        *deadline = 0;
        return 0;
    case JUDGE_SETNX:
        if (known && (op->integer != 0) != (*value == 0))
            return HISTORY_NONE;
        if (*value == 0)
            *value = op->values[0];
        return 0;
    case JUDGE_INCR:
        return apply_incr(history, op, value);
    case JUDGE_APPEND:
        return apply_append(history, op, value);
    case JUDGE_DEL:
        for (uint8_t i = 0; i < op->key_count; i++) {
            count += vector[op->keys[i]] != 0;
            vector[op->keys[i]] = 0;
            vector[JUDGE_OBJECT_KEYS_MAX + op->keys[i]] = 0;
        }
        return known && count != op->integer ? HISTORY_NONE : 0;
    case JUDGE_GETSET:
    case JUDGE_GETDEL:
        if (known && *value != op->results[0])
            return HISTORY_NONE;
        *value = op->kind == JUDGE_GETSET ? op->values[0] : 0;
        *deadline = 0;
        return 0;
    default:
        assert(false);
        return HISTORY_NONE;
    }
}

static uint32_t state_put(struct history *history, const uint32_t *vector, bool *failed)
{
    uint32_t next = *failed ? HISTORY_NONE : intern_put(&history->states, vector, STATE_SIZE);
    *failed = *failed || next == HISTORY_NONE;
    return next;
}

uint32_t history_apply(struct history *history, const struct history_op *op, uint32_t state,
                       bool *failed)
{
    uint32_t vector[STATE_PLACES], before[STATE_PLACES];
    size_t size;
    memcpy(vector, intern_at(&history->states, state, &size), STATE_SIZE);
    assert(size == STATE_SIZE);
    memcpy(before, vector, STATE_SIZE);
    if (apply_to_vector(history, op, vector) == HISTORY_NONE)
        return HISTORY_NONE;
    if (memcmp(before, vector, STATE_SIZE) == 0)
        return state;
    for (uint32_t i = 0; i < JUDGE_OBJECT_KEYS_MAX; i++)
        *failed = *failed || vector[i] == HISTORY_NONE;
    return state_put(history, vector, failed);
}

uint64_t history_goes_from(const struct history *history, uint32_t state, uint32_t place)
{
    size_t size;
    const uint8_t *vector = intern_at(&history->states, state, &size);
    uint32_t deadline;
    memcpy(&deadline, vector + (JUDGE_OBJECT_KEYS_MAX + place) * sizeof deadline, sizeof deadline);
    return deadline ? history->ops[deadline - 1].goes_from : HISTORY_NEVER;
}

uint32_t history_expire(struct history *history, uint32_t state, uint32_t place, bool *failed)
{
    uint32_t vector[STATE_PLACES];
    size_t size;
    memcpy(vector, intern_at(&history->states, state, &size), STATE_SIZE);
    vector[place] = vector[JUDGE_OBJECT_KEYS_MAX + place] = 0;
    return state_put(history, vector, failed);
}

static void print_value(const struct history *history, uint32_t value, FILE *out)
{
    if (value == 0) {
        (void)fprintf(out, " nil");
        return;
    }
    size_t size;
    const char *text = intern_at(&history->values, value, &size);
    (void)fputc(' ', out);
    for (size_t i = 0; i < size && i < 80; i++)
        (void)fputc(text[i] > ' ' && text[i] < 127 ? text[i] : '.', out);
    if (size > 80)
        (void)fprintf(out, "…(%zu)", size);
}

void history_print_op(const struct history *history, uint32_t number, FILE *out)
{
    static const char *const names[] = {"GET",    "SET",    "SETNX", "INCR", "APPEND", "DEL",
                                        "GETSET", "GETDEL", "MSET",  "MGET", "SETPX",  "PERSIST"};
    const struct history_op *op = &history->ops[number];
    const struct history_object *object = &history->objects[op->object];
    (void)fprintf(out, "op %u client %u [%" PRIu64 ", ", number, op->client, op->call_time);
    if (op->return_time == HISTORY_NEVER)
        (void)fprintf(out, "…) %s", names[op->kind]);
    else
        (void)fprintf(out, "%" PRIu64 "] %s", op->return_time, names[op->kind]);
    for (uint8_t i = 0; i < op->key_count; i++) {
        print_value(history, object->keys[op->keys[i]], out);
        if (op->values[i])
            print_value(history, op->values[i], out);
    }
    if (op->kind == JUDGE_INCR)
        (void)fprintf(out, " %+" PRId64, op->delta);
    if (op->kind == JUDGE_SETPX)
        (void)fprintf(out, " goes from %" PRIu64, op->goes_from);
    if (op->outcome == HISTORY_UNKNOWN) {
        (void)fprintf(out, " -> unknown\n");
        return;
    }
    (void)fprintf(out, op->outcome == HISTORY_FAILED ? " -> failed" : " ->");
    if (op->outcome == HISTORY_KNOWN && op->error)
        (void)fprintf(out, " error");
    else if (op->outcome == HISTORY_KNOWN &&
             (op->kind == JUDGE_GET || (op->kind >= JUDGE_GETSET && op->kind <= JUDGE_MGET)))
        for (uint8_t i = 0; op->kind != JUDGE_MSET && i < op->key_count; i++)
            print_value(history, op->results[i], out);
    else if (op->outcome == HISTORY_KNOWN && op->kind != JUDGE_SET && op->kind != JUDGE_SETPX)
        (void)fprintf(out, " %" PRId64, op->integer);
    (void)fputc('\n', out);
}
