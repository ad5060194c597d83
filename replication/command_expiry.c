#include "replication/command_internal.h"

#include <assert.h>
#include <string.h>

#define TTL_ABSENT (-2)
#define TTL_NONE   (-1)

/* SET, EXPIRE and GETEX agree on the bit. */
static_assert((int)WIRE_SET_RELATIVE == (int)WIRE_EXPIRE_RELATIVE, "one bit for all");

bool command_flags_sound(const struct wire_op *op)
{
    const uint8_t flags = op->flags;

    switch (op->operation) {
    case WIRE_OP_SET:
        if ((flags & WIRE_SET_NX) && (flags & WIRE_SET_XX))
            return false;
        if ((flags & WIRE_SET_EXPIRY) ? (flags & WIRE_SET_KEEPTTL) : (flags & WIRE_SET_RELATIVE))
            return false;
        return ((flags & WIRE_SET_EXPIRY) != 0) == (op->arg_count == 3);
    case WIRE_OP_EXPIRE:
        if ((flags & WIRE_EXPIRE_NX) &&
            (flags & (WIRE_EXPIRE_XX | WIRE_EXPIRE_GT | WIRE_EXPIRE_LT)))
            return false;
        return !(flags & WIRE_EXPIRE_GT) || !(flags & WIRE_EXPIRE_LT);
    case WIRE_OP_GETEX:
        if ((flags & WIRE_GETEX_PERSIST) && (flags & WIRE_EXPIRE_RELATIVE))
            return false;
        return ((flags & WIRE_GETEX_PERSIST) != 0) == (op->arg_count == 1);
    default:
        return true;
    }
}

uint8_t command_check_scan(const struct wire_bytes *args)
{
    int64_t position, count;

    if (!command_parse_integer(args[0].data, args[0].size, &position) ||
        !command_parse_integer(args[1].data, args[1].size, &count) || position < 0 ||
        position >> WIRE_SCAN_BITS != 0 || count <= 0)
        return WIRE_STATUS_MALFORMED;
    return WIRE_STATUS_OK;
}

void command_scan_numbers(const struct wire_bytes *args, uint64_t *position, uint32_t *count)
{
    int64_t at = 0, wanted = 0;

    (void)command_parse_integer(args[0].data, args[0].size, &at);
    (void)command_parse_integer(args[1].data, args[1].size, &wanted);
    assert(at >= 0 && wanted > 0); /* command_check() has looked */
    *position = (uint64_t)at;
    *count = wanted < WIRE_SCAN_COUNT_MAX ? (uint32_t)wanted : WIRE_SCAN_COUNT_MAX;
}

/* The argument that is a time, or NULL. */
static const struct wire_bytes *time_of(const struct wire_op *op, const struct wire_bytes *args)
{
    if (op->operation == WIRE_OP_SET && (op->flags & WIRE_SET_EXPIRY))
        return &args[2];
    if (op->operation == WIRE_OP_EXPIRE || (op->operation == WIRE_OP_GETEX && op->arg_count == 2))
        return &args[1];
    return NULL;
}

uint8_t command_check_time(const struct wire_op *op, const struct wire_bytes *args)
{
    const struct wire_bytes *time = time_of(op, args);
    int64_t value;

    if (!time)
        return WIRE_STATUS_OK;
    if (!command_parse_integer(time->data, time->size, &value))
        return WIRE_STATUS_NOT_INTEGER;
    if (op->operation != WIRE_OP_EXPIRE && value <= 0)
        return WIRE_STATUS_MALFORMED;
    return WIRE_STATUS_OK;
}

int64_t command_deadline(const struct command_input *input, const struct wire_bytes *time)
{
    int64_t deadline = 0;
    bool parsed = command_parse_integer(time->data, time->size, &deadline);

    assert(parsed); /* command_check() has looked */
    if ((input->op->flags & WIRE_EXPIRE_RELATIVE) &&
        __builtin_add_overflow(deadline, (int64_t)input->time_ms, &deadline))
        deadline = INT64_MAX;
    return deadline;
}

static int64_t ttl_of(const struct command_input *input)
{
    const struct command_value *value = &input->values[0];

    if (!value->found)
        return TTL_ABSENT;
    if (value->expiry_ms == 0)
        return TTL_NONE;
    if (!(input->op->flags & WIRE_EXPIRE_RELATIVE))
        return (int64_t)value->expiry_ms;
    return value->expiry_ms > input->time_ms ? (int64_t)(value->expiry_ms - input->time_ms) : 0;
}

/* No expiry is later than any. */
static bool expire_allowed(uint8_t flags, const struct command_value *old, int64_t deadline)
{
    bool expires = old->expiry_ms != 0;

    if ((flags & WIRE_EXPIRE_NX) && expires)
        return false;
    if ((flags & WIRE_EXPIRE_XX) && !expires)
        return false;
    if ((flags & WIRE_EXPIRE_GT) && (!expires || deadline <= (int64_t)old->expiry_ms))
        return false;
    return !(flags & WIRE_EXPIRE_LT) || !expires || deadline < (int64_t)old->expiry_ms;
}

/* Room was reserved. */
static void write_again(const struct command_input *input, struct command_outcome *outcome,
                        uint64_t expiry_ms)
{
    const struct command_value *old = &input->values[0];

    if (old->size > 0)
        memcpy(outcome->scratch, old->bytes, old->size);
    command_add_write(outcome, 0, outcome->scratch, old->size, expiry_ms);
}

/* The old value with another deadline; one that has passed deletes it. */
static void write_deadline(const struct command_input *input, struct command_outcome *outcome,
                           int64_t deadline)
{
    if (deadline <= (int64_t)input->time_ms)
        command_add_write(outcome, 0, NULL, 0, 0);
    else
        write_again(input, outcome, (uint64_t)deadline);
}

static void write_lasting(const struct command_input *input, struct command_outcome *outcome)
{
    if (input->values[0].found && input->values[0].expiry_ms != 0)
        write_again(input, outcome, 0);
}

int command_evaluate_expiry(const struct command_input *input, struct command_outcome *outcome)
{
    const struct wire_op *op = input->op;
    const struct command_value *old = &input->values[0];
    int64_t deadline = 0;
    int r = command_reserve_writes(outcome, 1);

    if (r == 0 && op->operation != WIRE_OP_TTL) /* + 1: there is a place for no bytes, too */
        r = command_reserve_scratch(outcome, old->size + 1);
    if (r < 0)
        return r;
    if (time_of(op, input->args))
        deadline = command_deadline(input, time_of(op, input->args));
    switch (op->operation) {
    case WIRE_OP_TTL:
        command_reply_integer(outcome, ttl_of(input));
        return 0;
    case WIRE_OP_EXPIRE:
        if (old->found && expire_allowed(op->flags, old, deadline))
            write_deadline(input, outcome, deadline);
        command_reply_integer(outcome, outcome->write_count);
        return 0;
    case WIRE_OP_PERSIST:
        write_lasting(input, outcome);
        command_reply_integer(outcome, outcome->write_count);
        return 0;
    default:
        assert(op->operation == WIRE_OP_GETEX);
        outcome->reply.bytes = command_bytes_of(old);
        if (op->flags & WIRE_GETEX_PERSIST)
            write_lasting(input, outcome);
        else if (old->found)
            write_deadline(input, outcome, deadline);
        return 0;
    }
}
