#include "replication/command_internal.h"

#include "storage/record.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define INTEGER_SIZE_MAX 20u /* "-9223372036854775808" */
/* Around each key and value in a record: header, expiry, request id, value checksum, padding. */
#define WRITE_OVERHEAD (RECORD_HEADER_SIZE + 8u + 32u + 8u + RECORD_ALIGN)

/* What an operation looks like: key i is args[i * stride], the bytes behind it are its value. */
struct shape {
    uint8_t stride; /* ≥ 1, so that argument counts divide by it */
    uint8_t args_min;
    uint16_t args_max;
    uint8_t flags;
};

static const uint8_t set_flags = WIRE_SET_NX | WIRE_SET_XX | WIRE_SET_GET | WIRE_SET_KEEPTTL |
                                 WIRE_SET_EXPIRY | WIRE_SET_RELATIVE;
static const uint8_t expire_flags =
    WIRE_EXPIRE_NX | WIRE_EXPIRE_XX | WIRE_EXPIRE_GT | WIRE_EXPIRE_LT | WIRE_EXPIRE_RELATIVE;

/* Operations on one key may have a time behind their other arguments: their stride is all of
 * them. */
static bool shape_of(uint8_t operation, uint32_t arg_count, struct shape *shape)
{
    switch (operation) {
    case WIRE_OP_GET:
    case WIRE_OP_EXISTS:
    case WIRE_OP_DEL:
        *shape = (struct shape){.stride = 1, .args_min = 1, .args_max = WIRE_ARGS_MAX};
        return true;
    case WIRE_OP_PUT:
        *shape = (struct shape){.stride = 2, .args_min = 2, .args_max = WIRE_ARGS_MAX};
        return true;
    case WIRE_OP_COUNT:
        *shape = (struct shape){.stride = 1};
        return true;
    case WIRE_OP_STRLEN:
    case WIRE_OP_GETDEL:
    case WIRE_OP_PERSIST:
        *shape = (struct shape){.stride = 1, .args_min = 1, .args_max = 1};
        return true;
    case WIRE_OP_SCAN: /* none of them is a key */
        *shape = (struct shape){.stride = 2, .args_min = 2, .args_max = 2};
        return true;
    case WIRE_OP_SET:
        *shape = (struct shape){
            .stride = arg_count == 3 ? 3 : 2, .args_min = 2, .args_max = 3, .flags = set_flags};
        return true;
    case WIRE_OP_TTL:
        *shape = (struct shape){
            .stride = 1, .args_min = 1, .args_max = 1, .flags = WIRE_EXPIRE_RELATIVE};
        return true;
    case WIRE_OP_EXPIRE:
        *shape = (struct shape){.stride = 2, .args_min = 2, .args_max = 2, .flags = expire_flags};
        return true;
    case WIRE_OP_GETEX:
        *shape = (struct shape){.stride = arg_count == 2 ? 2 : 1,
                                .args_min = 1,
                                .args_max = 2,
                                .flags = WIRE_GETEX_PERSIST | WIRE_EXPIRE_RELATIVE};
        return true;
    case WIRE_OP_APPEND:
    case WIRE_OP_INCRBY:
        *shape = (struct shape){.stride = 2, .args_min = 2, .args_max = 2};
        return true;
    default:
        return false;
    }
}

uint8_t command_check(const struct command_options *options, const struct wire_op *op,
                      const struct wire_bytes *args)
{
    uint64_t entry_size = 0;
    int64_t delta;
    struct shape shape;

    if (!shape_of(op->operation, op->arg_count, &shape) || (op->flags & ~shape.flags) != 0 ||
        op->arg_count < shape.args_min || op->arg_count > shape.args_max)
        return WIRE_STATUS_MALFORMED;
    if (op->arg_count % shape.stride != 0)
        return WIRE_STATUS_MALFORMED;
    if (!command_flags_sound(op))
        return WIRE_STATUS_MALFORMED;
    for (uint32_t i = 0; i < op->arg_count; i++) {
        bool key = i % shape.stride == 0;

        if (!args[i].data)
            return WIRE_STATUS_MALFORMED;
        if (key && (args[i].size == 0 || args[i].size > RECORD_KEY_SIZE_MAX))
            return WIRE_STATUS_MALFORMED;
        if (!key && args[i].size > options->value_size_max)
            return WIRE_STATUS_TOO_LARGE;
        entry_size += args[i].size + (key ? WRITE_OVERHEAD : 0);
    }
    if (wire_operation_writes(op->operation) && entry_size > options->entry_size_max)
        return WIRE_STATUS_TOO_LARGE;
    if (op->operation == WIRE_OP_INCRBY &&
        !command_parse_integer(args[1].data, args[1].size, &delta))
        return WIRE_STATUS_NOT_INTEGER;
    return op->operation == WIRE_OP_SCAN ? command_check_scan(args) : command_check_time(op, args);
}

uint32_t command_keys(uint8_t operation, uint32_t arg_count, uint32_t *stride)
{
    struct shape shape;
    bool known = shape_of(operation, arg_count, &shape);

    assert(known);
    assert(arg_count % shape.stride == 0);
    *stride = shape.stride;
    return operation == WIRE_OP_SCAN ? 0 : arg_count / shape.stride;
}

enum command_needs command_needs(uint8_t operation, uint8_t flags)
{
    switch (operation) {
    case WIRE_OP_GET:
    case WIRE_OP_STRLEN:
    case WIRE_OP_APPEND:
    case WIRE_OP_INCRBY:
    case WIRE_OP_GETDEL:
    case WIRE_OP_TTL:
    case WIRE_OP_EXPIRE:
    case WIRE_OP_PERSIST:
    case WIRE_OP_GETEX:
        return COMMAND_NEEDS_VALUE;
    case WIRE_OP_EXISTS:
    case WIRE_OP_DEL:
        return COMMAND_NEEDS_EXISTENCE;
    case WIRE_OP_SET:
        if (flags & (WIRE_SET_GET | WIRE_SET_KEEPTTL))
            return COMMAND_NEEDS_VALUE;
        if (flags & (WIRE_SET_NX | WIRE_SET_XX))
            return COMMAND_NEEDS_EXISTENCE;
        return COMMAND_NEEDS_NONE;
    default:
        return COMMAND_NEEDS_NONE;
    }
}

void command_outcome_init(struct command_outcome *outcome)
{
    *outcome = (struct command_outcome){0};
}

void command_outcome_deinit(struct command_outcome *outcome)
{
    free(outcome->writes);
    free(outcome->values);
    free(outcome->seen);
    free(outcome->scratch);
    command_outcome_init(outcome);
}

static int reserve(void **memory, uint32_t *capacity, uint32_t count, size_t size)
{
    uint32_t grown = *capacity ? *capacity : 8;
    void *bytes;

    if (count <= *capacity)
        return 0;
    while (grown < count)
        grown *= 2;
    bytes = realloc(*memory, grown * size);
    if (!bytes)
        return -ENOMEM;
    *memory = bytes;
    *capacity = grown;
    return 0;
}

int command_reserve_writes(struct command_outcome *outcome, uint32_t count)
{
    void *memory = outcome->writes;
    int r = reserve(&memory, &outcome->writes_capacity, count, sizeof *outcome->writes);

    outcome->writes = memory;
    return r;
}

int command_reserve_values(struct command_outcome *outcome, uint32_t count)
{
    void *memory = outcome->values;
    int r = reserve(&memory, &outcome->values_capacity, count, sizeof *outcome->values);

    outcome->values = memory;
    return r;
}

int command_reserve_scratch(struct command_outcome *outcome, size_t size)
{
    size_t capacity = outcome->scratch_capacity ? outcome->scratch_capacity : 64;
    uint8_t *scratch;

    if (size <= outcome->scratch_capacity)
        return 0;
    while (capacity < size)
        capacity *= 2;
    /* What was there is not needed: no realloc, which would copy it. */
    scratch = malloc(capacity);
    if (!scratch)
        return -ENOMEM;
    free(outcome->scratch);
    outcome->scratch = scratch;
    outcome->scratch_capacity = capacity;
    return 0;
}

/* Keys already met in this operation: places hold a write's number + 1. Nothing for one key. */
struct seen {
    uint32_t *places;
    uint32_t mask;
};

/* Room for a write of each key, and for knowing it again. 0 or -ENOMEM. */
static int seen_init(struct command_outcome *outcome, uint32_t keys, struct seen *seen)
{
    uint32_t size = 4;
    void *memory = outcome->seen;
    int r = command_reserve_writes(outcome, keys);

    *seen = (struct seen){0};
    if (r < 0 || keys <= 1)
        return r;
    while (size < 2 * keys)
        size *= 2;
    r = reserve(&memory, &outcome->seen_capacity, size, sizeof *outcome->seen);
    outcome->seen = memory;
    if (r < 0)
        return r;
    memset(outcome->seen, 0, size * sizeof *outcome->seen);
    *seen = (struct seen){.places = outcome->seen, .mask = size - 1};
    return 0;
}

/* The write of this key so far, or NULL; then the next write is noted as its. */
static struct command_write *seen_find(struct seen *seen, const struct command_input *input,
                                       struct command_outcome *outcome, uint32_t key)
{
    const struct keydir_digest *digest = &input->digests[key];
    uint32_t place;

    if (!seen->places)
        return NULL;
    place = (uint32_t)digest->low & seen->mask;
    while (seen->places[place]) {
        struct command_write *write = &outcome->writes[seen->places[place] - 1];
        const struct keydir_digest *other = &input->digests[write->key];

        if (other->low == digest->low && other->high == digest->high)
            return write;
        place = (place + 1) & seen->mask;
    }
    seen->places[place] = outcome->write_count + 1;
    return NULL;
}

/* Room was reserved. bytes NULL: a tombstone. */
void command_add_write(struct command_outcome *outcome, uint32_t key, const uint8_t *bytes,
                       size_t size, uint64_t expiry_ms)
{
    assert(outcome->write_count < outcome->writes_capacity);
    outcome->writes[outcome->write_count++] = (struct command_write){
        .bytes = bytes,
        .size = size,
        .expiry_ms = expiry_ms,
        .key = key,
        .remove = !bytes,
    };
}

void command_reply_integer(struct command_outcome *outcome, int64_t integer)
{
    outcome->reply.is_int = true;
    outcome->reply.integer = integer;
    outcome->result = integer;
}

/* nil has no data; an empty value must have some. */
struct wire_bytes command_bytes_of(const struct command_value *value)
{
    static const uint8_t empty[1];

    if (!value->found)
        return (struct wire_bytes){0};
    return (struct wire_bytes){.data = value->size ? value->bytes : empty, .size = value->size};
}

static int evaluate_get(const struct command_input *input, struct command_outcome *outcome,
                        uint32_t keys)
{
    int r = command_reserve_values(outcome, keys);

    if (r < 0)
        return r;
    for (uint32_t i = 0; i < keys; i++)
        outcome->values[i] = command_bytes_of(&input->values[i]);
    outcome->reply.values = outcome->values;
    outcome->reply.value_count = keys;
    return 0;
}

static int evaluate_exists(const struct command_input *input, struct command_outcome *outcome,
                           uint32_t keys)
{
    int64_t count = 0;

    for (uint32_t i = 0; i < keys; i++)
        count += input->values[i].found;
    command_reply_integer(outcome, count);
    return 0;
}

static uint64_t set_deadline(const struct command_input *input, const struct command_value *old)
{
    if (input->op->flags & WIRE_SET_EXPIRY)
        return (uint64_t)command_deadline(input, &input->args[2]);
    return (input->op->flags & WIRE_SET_KEEPTTL) && old->found ? old->expiry_ms : 0;
}

static int evaluate_set(const struct command_input *input, struct command_outcome *outcome)
{
    static const uint8_t digits[2] = {'0', '1'};
    const uint8_t flags = input->op->flags;
    const struct command_value absent = {0};
    const struct command_value *old =
        command_needs(WIRE_OP_SET, flags) == COMMAND_NEEDS_NONE ? &absent : input->values;
    bool set = !((flags & WIRE_SET_NX) && old->found) && !((flags & WIRE_SET_XX) && !old->found);
    int r = command_reserve_writes(outcome, 1);

    if (r == 0)
        r = command_reserve_values(outcome, 2);
    if (r < 0)
        return r;
    if (set)
        command_add_write(outcome, 0, input->args[1].data, input->args[1].size,
                          set_deadline(input, old));
    if (!(flags & WIRE_SET_GET)) {
        command_reply_integer(outcome, set);
    } else if (flags & (WIRE_SET_NX | WIRE_SET_XX)) {
        outcome->values[0] = command_bytes_of(old);
        outcome->values[1] = (struct wire_bytes){.data = &digits[set], .size = 1};
        outcome->reply.values = outcome->values;
        outcome->reply.value_count = 2;
    } else {
        outcome->reply.bytes = command_bytes_of(old);
    }
    return 0;
}

static int evaluate_put(const struct command_input *input, struct command_outcome *outcome,
                        uint32_t keys)
{
    struct seen seen;
    int r = seen_init(outcome, keys, &seen);

    if (r < 0)
        return r;
    for (uint32_t i = 0; i < keys; i++) {
        const struct wire_bytes *value = &input->args[2 * i + 1];
        struct command_write *before = seen_find(&seen, input, outcome, i);

        if (before) {
            before->bytes = value->data;
            before->size = value->size;
        } else {
            command_add_write(outcome, i, value->data, value->size, 0);
        }
    }
    return 0;
}

static int evaluate_del(const struct command_input *input, struct command_outcome *outcome,
                        uint32_t keys)
{
    struct seen seen;
    int r = seen_init(outcome, keys, &seen);

    if (r < 0)
        return r;
    for (uint32_t i = 0; i < keys; i++) {
        if (input->values[i].found && !seen_find(&seen, input, outcome, i))
            command_add_write(outcome, i, NULL, 0, 0);
    }
    command_reply_integer(outcome, outcome->write_count);
    return 0;
}

static int evaluate_getdel(const struct command_input *input, struct command_outcome *outcome)
{
    int r = command_reserve_writes(outcome, 1);

    if (r < 0)
        return r;
    outcome->reply.bytes = command_bytes_of(&input->values[0]);
    if (input->values[0].found)
        command_add_write(outcome, 0, NULL, 0, 0);
    return 0;
}

static int evaluate_append(const struct command_options *options, const struct command_input *input,
                           struct command_outcome *outcome)
{
    const struct command_value *old = &input->values[0];
    const struct wire_bytes *more = &input->args[1];
    size_t old_size = old->found ? old->size : 0;
    size_t size = old_size + more->size;
    int r;

    if (size > options->value_size_max) {
        outcome->reply.status = WIRE_STATUS_TOO_LARGE;
        return 0;
    }
    r = command_reserve_writes(outcome, 1);
    if (r == 0)
        r = command_reserve_scratch(outcome, size + 1); /* + 1: there is a place for no bytes too */
    if (r < 0)
        return r;
    if (old_size > 0)
        memcpy(outcome->scratch, old->bytes, old_size);
    if (more->size > 0)
        memcpy(outcome->scratch + old_size, more->data, more->size);
    command_add_write(outcome, 0, outcome->scratch, size, old->found ? old->expiry_ms : 0);
    command_reply_integer(outcome, (int64_t)size);
    return 0;
}

/* Writes the decimal text and returns its size. */
static size_t format_integer(int64_t value, uint8_t out[INTEGER_SIZE_MAX])
{
    uint64_t rest = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    uint8_t reversed[INTEGER_SIZE_MAX];
    size_t count = 0;
    size_t size = 0;

    do {
        reversed[count++] = (uint8_t)('0' + rest % 10);
        rest /= 10;
    } while (rest > 0);
    if (value < 0)
        out[size++] = '-';
    while (count > 0)
        out[size++] = reversed[--count];
    return size;
}

static int evaluate_incrby(const struct command_input *input, struct command_outcome *outcome)
{
    const struct command_value *old = &input->values[0];
    int64_t value = 0;
    int64_t delta = 0;
    bool parsed = command_parse_integer(input->args[1].data, input->args[1].size, &delta);
    int r;

    assert(parsed); /* command_check() has looked */
    if (old->found && !command_parse_integer(old->bytes, old->size, &value)) {
        outcome->reply.status = WIRE_STATUS_NOT_INTEGER;
        return 0;
    }
    if (__builtin_add_overflow(value, delta, &value)) {
        outcome->reply.status = WIRE_STATUS_OVERFLOW;
        return 0;
    }
    r = command_reserve_writes(outcome, 1);
    if (r == 0)
        r = command_reserve_scratch(outcome, INTEGER_SIZE_MAX);
    if (r < 0)
        return r;
    command_add_write(outcome, 0, outcome->scratch, format_integer(value, outcome->scratch),
                      old->found ? old->expiry_ms : 0);
    command_reply_integer(outcome, value);
    return 0;
}

int command_evaluate(const struct command_options *options, const struct command_input *input,
                     struct command_outcome *outcome)
{
    const struct wire_op *op = input->op;
    uint32_t stride;
    uint32_t keys = command_keys(op->operation, op->arg_count, &stride);

    outcome->reply = (struct wire_result){.id = op->id, .status = WIRE_STATUS_OK};
    outcome->write_count = 0;
    outcome->result = 0;
    switch (op->operation) {
    case WIRE_OP_GET:
        return evaluate_get(input, outcome, keys);
    case WIRE_OP_EXISTS:
        return evaluate_exists(input, outcome, keys);
    case WIRE_OP_STRLEN:
        command_reply_integer(outcome, input->values[0].found ? (int64_t)input->values[0].size : 0);
        return 0;
    case WIRE_OP_COUNT:
        command_reply_integer(outcome, (int64_t)input->partition_keys);
        return 0;
    case WIRE_OP_SET:
        return evaluate_set(input, outcome);
    case WIRE_OP_PUT:
        return evaluate_put(input, outcome, keys);
    case WIRE_OP_DEL:
        return evaluate_del(input, outcome, keys);
    case WIRE_OP_APPEND:
        return evaluate_append(options, input, outcome);
    case WIRE_OP_INCRBY:
        return evaluate_incrby(input, outcome);
    case WIRE_OP_TTL:
    case WIRE_OP_EXPIRE:
    case WIRE_OP_PERSIST:
    case WIRE_OP_GETEX:
        return command_evaluate_expiry(input, outcome);
    default:
        assert(op->operation == WIRE_OP_GETDEL);
        return evaluate_getdel(input, outcome);
    }
}

bool command_result_kept(uint8_t operation, uint8_t flags)
{
    switch (operation) {
    case WIRE_OP_SET:
        return !(flags & WIRE_SET_GET);
    case WIRE_OP_PUT:
    case WIRE_OP_DEL:
    case WIRE_OP_APPEND:
    case WIRE_OP_INCRBY:
    case WIRE_OP_EXPIRE:
    case WIRE_OP_PERSIST:
        return true;
    default:
        return false;
    }
}

void command_reply_from_result(uint8_t operation, uint8_t flags, int64_t result,
                               struct wire_result *reply)
{
    *reply = (struct wire_result){.id = reply->id, .status = WIRE_STATUS_OK};
    if (!command_result_kept(operation, flags)) {
        reply->status = WIRE_STATUS_UNKNOWN;
    } else if (operation != WIRE_OP_PUT) {
        reply->is_int = true;
        reply->integer = result;
    }
}

bool command_parse_integer(const void *bytes, size_t size, int64_t *out)
{
    const uint8_t *text = bytes;
    uint64_t limit = INT64_MAX;
    uint64_t value = 0;
    bool negative;

    if (size == 0 || size > INTEGER_SIZE_MAX)
        return false;
    if (size == 1 && text[0] == '0') {
        *out = 0;
        return true;
    }
    negative = text[0] == '-';
    if (negative) {
        text++;
        size--;
        limit++;
    }
    if (size == 0 || text[0] == '0')
        return false;
    for (size_t i = 0; i < size; i++) {
        uint64_t digit = (uint64_t)text[i] - '0';

        if (text[i] < '0' || text[i] > '9' || value > (limit - digit) / 10)
            return false;
        value = value * 10 + digit;
    }
    *out = negative ? (int64_t)(0 - value) : (int64_t)value;
    return true;
}
