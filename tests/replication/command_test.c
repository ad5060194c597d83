#include "replication/command.h"

#include "tests/replication/allocation.h"
#include "tests/dice.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define KEYS           6u
#define ARGS_MAX       12u
#define SIZE_MAX_VALUE 40u
#define NOW            1000u

static const struct command_options options = {.value_size_max = SIZE_MAX_VALUE,
                                               .entry_size_max = 4096};

/* A naive interpreter: values in fixed slots, each command written out in the plainest way. */

struct slot {
    bool found;
    uint8_t bytes[SIZE_MAX_VALUE];
    size_t size;
    uint64_t expiry_ms;
};

struct naive {
    struct slot slots[KEYS];
    char reply[512];
    uint8_t status;
    bool changed;
};

static uint32_t key_of(const struct wire_bytes *arg)
{
    return (uint32_t)(arg->data[0] - 'a');
}

static void slot_set(struct naive *naive, uint32_t key, const void *bytes, size_t size,
                     uint64_t expiry_ms)
{
    struct slot *slot = &naive->slots[key];

    *slot = (struct slot){.found = true, .size = size, .expiry_ms = expiry_ms};
    memcpy(slot->bytes, bytes, size);
    naive->changed = true;
}

static void slot_clear(struct naive *naive, uint32_t key)
{
    naive->slots[key] = (struct slot){0};
    naive->changed = true;
}

static void say_integer(char *reply, int64_t value)
{
    sprintf(reply + strlen(reply), ":%" PRId64, value);
}

static void say_bytes(char *reply, bool found, const uint8_t *bytes, size_t size)
{
    if (!found) {
        strcat(reply, "nil");
        return;
    }
    strcat(reply, "$");
    for (size_t i = 0; i < size; i++)
        sprintf(reply + strlen(reply), "%02x", bytes[i]);
}

static int64_t naive_time(uint8_t flags, const struct wire_bytes *arg)
{
    int64_t time = 0;

    command_parse_integer(arg->data, arg->size, &time);
    if (flags & WIRE_EXPIRE_RELATIVE)
        time = time > INT64_MAX - (int64_t)NOW ? INT64_MAX : time + (int64_t)NOW;
    return time;
}

/* The rules in the order in which Redis's manual gives them. */
static void naive_expiry(struct naive *naive, const struct wire_op *op,
                         const struct wire_bytes *args)
{
    uint32_t key = key_of(&args[0]);
    struct slot old = naive->slots[key];
    int64_t time = op->arg_count > 1 ? naive_time(op->flags, &args[1]) : 0;
    bool wanted = old.found;

    if (op->operation == WIRE_OP_TTL) {
        if (!old.found)
            say_integer(naive->reply, -2);
        else if (old.expiry_ms == 0)
            say_integer(naive->reply, -1);
        else if (op->flags & WIRE_EXPIRE_RELATIVE)
            say_integer(naive->reply, (int64_t)(old.expiry_ms - NOW));
        else
            say_integer(naive->reply, (int64_t)old.expiry_ms);
        return;
    }
    if (op->operation == WIRE_OP_PERSIST || op->arg_count == 1) {
        if (old.found && old.expiry_ms)
            slot_set(naive, key, old.bytes, old.size, 0);
    } else {
        if (op->flags & WIRE_EXPIRE_NX && old.expiry_ms != 0)
            wanted = false;
        if (op->flags & WIRE_EXPIRE_XX && old.expiry_ms == 0)
            wanted = false;
        if (op->flags & WIRE_EXPIRE_GT && (old.expiry_ms == 0 || time <= (int64_t)old.expiry_ms))
            wanted = false;
        if (op->flags & WIRE_EXPIRE_LT && old.expiry_ms != 0 && time >= (int64_t)old.expiry_ms)
            wanted = false;
        if (wanted && time <= (int64_t)NOW)
            slot_clear(naive, key);
        else if (wanted)
            slot_set(naive, key, old.bytes, old.size, (uint64_t)time);
    }
    if (op->operation == WIRE_OP_GETEX)
        say_bytes(naive->reply, old.found, old.bytes, old.size);
    else
        say_integer(naive->reply, naive->changed);
}

static void naive_set(struct naive *naive, uint8_t flags, const struct wire_bytes *args)
{
    uint32_t key = key_of(&args[0]);
    struct slot old = naive->slots[key];
    bool set = true;

    if ((flags & WIRE_SET_NX) && old.found)
        set = false;
    if ((flags & WIRE_SET_XX) && !old.found)
        set = false;
    if (set)
        slot_set(naive, key, args[1].data, args[1].size,
                 flags & WIRE_SET_EXPIRY    ? (uint64_t)naive_time(flags, &args[2])
                 : flags & WIRE_SET_KEEPTTL ? old.expiry_ms
                                            : 0);
    if (flags & WIRE_SET_GET) {
        bool conditional = flags & (WIRE_SET_NX | WIRE_SET_XX);

        if (conditional)
            strcat(naive->reply, "[");
        say_bytes(naive->reply, old.found, old.bytes, old.size);
        if (conditional) {
            strcat(naive->reply, ",");
            say_bytes(naive->reply, true, (const uint8_t *)(set ? "1" : "0"), 1);
            strcat(naive->reply, "]");
        }
    } else {
        say_integer(naive->reply, set);
    }
}

static void naive_incrby(struct naive *naive, const struct wire_bytes *args)
{
    uint32_t key = key_of(&args[0]);
    struct slot *slot = &naive->slots[key];
    int64_t value = 0;
    int64_t delta = 0;
    char text[32];

    command_parse_integer(args[1].data, args[1].size, &delta);
    if (slot->found && !command_parse_integer(slot->bytes, slot->size, &value)) {
        naive->status = WIRE_STATUS_NOT_INTEGER;
        return;
    }
    if ((delta > 0 && value > INT64_MAX - delta) || (delta < 0 && value < INT64_MIN - delta)) {
        naive->status = WIRE_STATUS_OVERFLOW;
        return;
    }
    sprintf(text, "%" PRId64, value + delta);
    slot_set(naive, key, text, strlen(text), slot->expiry_ms);
    say_integer(naive->reply, value + delta);
}

static void naive_append(struct naive *naive, const struct wire_bytes *args)
{
    uint32_t key = key_of(&args[0]);
    struct slot old = naive->slots[key];
    uint8_t bytes[2 * SIZE_MAX_VALUE];

    if (old.size + args[1].size > SIZE_MAX_VALUE) {
        naive->status = WIRE_STATUS_TOO_LARGE;
        return;
    }
    memcpy(bytes, old.bytes, old.size);
    memcpy(bytes + old.size, args[1].data, args[1].size);
    slot_set(naive, key, bytes, old.size + args[1].size, old.expiry_ms);
    say_integer(naive->reply, (int64_t)(old.size + args[1].size));
}

static void naive_many(struct naive *naive, const struct wire_op *op, const struct wire_bytes *args)
{
    int64_t count = 0;

    for (uint32_t i = 0; i < op->arg_count; i++) {
        const struct slot *slot = &naive->slots[key_of(&args[i])];

        if (op->operation == WIRE_OP_GET) {
            strcat(naive->reply, i == 0 ? "[" : ",");
            say_bytes(naive->reply, slot->found, slot->bytes, slot->size);
        }
        count += slot->found;
        if (op->operation == WIRE_OP_DEL && slot->found)
            slot_clear(naive, key_of(&args[i]));
    }
    if (op->operation == WIRE_OP_GET)
        strcat(naive->reply, "]");
    else
        say_integer(naive->reply, count);
}

static void naive_run(struct naive *naive, const struct wire_op *op, const struct wire_bytes *args)
{
    const struct slot *slot = op->arg_count ? &naive->slots[key_of(&args[0])] : NULL;

    naive->reply[0] = '\0';
    naive->status = WIRE_STATUS_OK;
    naive->changed = false;
    switch (op->operation) {
    case WIRE_OP_STRLEN:
        say_integer(naive->reply, (int64_t)slot->size);
        break;
    case WIRE_OP_COUNT:
        say_integer(naive->reply, 1234);
        break;
    case WIRE_OP_SET:
        naive_set(naive, op->flags, args);
        break;
    case WIRE_OP_PUT:
        for (uint32_t i = 0; i < op->arg_count; i += 2)
            slot_set(naive, key_of(&args[i]), args[i + 1].data, args[i + 1].size, 0);
        strcat(naive->reply, "nil");
        break;
    case WIRE_OP_APPEND:
        naive_append(naive, args);
        break;
    case WIRE_OP_INCRBY:
        naive_incrby(naive, args);
        break;
    case WIRE_OP_GETDEL:
        say_bytes(naive->reply, slot->found, slot->bytes, slot->size);
        if (slot->found)
            slot_clear(naive, key_of(&args[0]));
        break;
    case WIRE_OP_TTL:
    case WIRE_OP_EXPIRE:
    case WIRE_OP_PERSIST:
    case WIRE_OP_GETEX:
        naive_expiry(naive, op, args);
        break;
    default:
        naive_many(naive, op, args);
    }
}

/* The other side: the same state, changed only by the writes of outcomes. */

static void describe(const struct wire_result *reply, char *out)
{
    out[0] = '\0';
    if (reply->status != WIRE_STATUS_OK)
        return;
    if (reply->values) {
        for (uint32_t i = 0; i < reply->value_count; i++) {
            strcat(out, i == 0 ? "[" : ",");
            say_bytes(out, reply->values[i].data, reply->values[i].data, reply->values[i].size);
        }
        strcat(out, "]");
    } else if (reply->is_int) {
        say_integer(out, reply->integer);
    } else {
        say_bytes(out, reply->bytes.data, reply->bytes.data, reply->bytes.size);
    }
}

static void replay(struct slot *slots, const struct command_outcome *outcome,
                   const struct wire_bytes *args, uint32_t stride)
{
    bool seen[KEYS] = {false};

    for (uint32_t i = 0; i < outcome->write_count; i++) {
        const struct command_write *write = &outcome->writes[i];
        uint32_t key = key_of(&args[write->key * stride]);
        uint8_t bytes[SIZE_MAX_VALUE]; /* a write may borrow from the value before it */

        cr_assert(!seen[key], "each key is written once");
        seen[key] = true;
        if (!write->remove)
            memcpy(bytes, write->bytes, write->size);
        slots[key] = (struct slot){0};
        cr_assert_eq(write->remove, write->bytes == NULL);
        if (write->remove)
            continue;
        slots[key].found = true;
        slots[key].size = write->size;
        slots[key].expiry_ms = write->expiry_ms;
        memcpy(slots[key].bytes, bytes, write->size);
    }
}

static int evaluate(const struct wire_op *op, const struct wire_bytes *args,
                    const struct slot *slots, struct command_outcome *outcome)
{
    struct keydir_digest digests[ARGS_MAX];
    struct command_value values[ARGS_MAX];
    struct command_input input = {.op = op,
                                  .args = args,
                                  .digests = digests,
                                  .values = values,
                                  .partition_keys = 1234,
                                  .time_ms = NOW};
    uint32_t stride;
    uint32_t keys = command_keys(op->operation, op->arg_count, &stride);
    enum command_needs needs = command_needs(op->operation, op->flags);

    for (uint32_t i = 0; i < keys; i++) {
        uint32_t key = key_of(&args[i * stride]);
        const struct slot *slot = &slots[key];

        digests[i] = (struct keydir_digest){.high = key, .low = key % 2};
        /* Only what it said it needs is there. */
        values[i] = (struct command_value){.size = 999999, .expiry_ms = 999999};
        if (needs >= COMMAND_NEEDS_EXISTENCE)
            values[i].found = slot->found;
        if (needs == COMMAND_NEEDS_VALUE)
            values[i] = (struct command_value){.found = slot->found,
                                               .bytes = slot->size ? slot->bytes : NULL,
                                               .size = slot->size,
                                               .expiry_ms = slot->expiry_ms};
    }
    return command_evaluate(&options, &input, outcome);
}

struct call {
    struct wire_op op;
    struct wire_bytes args[ARGS_MAX];
    char text[ARGS_MAX][32];
};

static void arg_set(struct call *call, uint32_t number, const char *text)
{
    snprintf(call->text[number], sizeof call->text[number], "%s", text);
    call->args[number] = (struct wire_bytes){.data = (const uint8_t *)call->text[number],
                                             .size = strlen(call->text[number])};
    call->op.arg_count = number + 1;
}

static const char *draw_value(struct dice *dice)
{
    static const char *const texts[] = {"",
                                        "0",
                                        "1",
                                        "-5",
                                        "9223372036854775807",
                                        "-9223372036854775808",
                                        "07",
                                        "xy",
                                        "hello",
                                        "12345678901234567890123"};

    return texts[dice_pick(dice, sizeof texts / sizeof texts[0])];
}

static const char *draw_time(struct dice *dice)
{
    static const char *const texts[] = {
        "1", "999", "1000", "1001", "1002", "1003", "9223372036854775807"};

    return texts[dice_pick(dice, sizeof texts / sizeof texts[0])];
}

/* Flags and times of what has to do with expiry; its other arguments are there. */
static void draw_expiry(struct dice *dice, struct call *call)
{
    static const uint8_t conditions[] = {
        0,
        WIRE_EXPIRE_NX,
        WIRE_EXPIRE_XX,
        WIRE_EXPIRE_GT,
        WIRE_EXPIRE_LT,
        WIRE_EXPIRE_XX | WIRE_EXPIRE_GT,
        WIRE_EXPIRE_XX | WIRE_EXPIRE_LT,
    };
    struct wire_op *op = &call->op;
    uint8_t relative = dice_pick(dice, 2) ? WIRE_EXPIRE_RELATIVE : 0;

    if (op->operation == WIRE_OP_TTL) {
        op->flags = relative;
    } else if (op->operation == WIRE_OP_EXPIRE) {
        op->flags = conditions[dice_pick(dice, sizeof conditions)] | relative;
        arg_set(call, 1, dice_pick(dice, 8) ? draw_time(dice) : "-7");
    } else if (op->operation == WIRE_OP_GETEX && dice_pick(dice, 3)) {
        op->flags = relative;
        arg_set(call, 1, draw_time(dice));
    } else if (op->operation == WIRE_OP_GETEX) {
        op->flags = WIRE_GETEX_PERSIST;
    } else if (op->operation == WIRE_OP_SET && !(op->flags & WIRE_SET_KEEPTTL) &&
               dice_pick(dice, 2)) {
        op->flags |= WIRE_SET_EXPIRY | relative;
        arg_set(call, 2, draw_time(dice));
    }
}

static void draw_call(struct dice *dice, struct call *call)
{
    static const uint8_t operations[] = {
#define X(name, number, writes) number,
        WIRE_OPERATIONS(X)
#undef X
    };
    char key[2] = {0};
    uint32_t pairs = 1;
    bool valued;

    *call = (struct call){.op = {.id = 77}};
    do
        call->op.operation = operations[dice_pick(dice, sizeof operations)];
    while (call->op.operation == WIRE_OP_SCAN); /* the host's */
    if (call->op.operation == WIRE_OP_SET) {
        static const uint8_t conditions[] = {0, WIRE_SET_NX, WIRE_SET_XX};

        call->op.flags = conditions[dice_pick(dice, 3)];
        call->op.flags |= (uint8_t)(dice_pick(dice, 4) << 2); /* GET, KEEPTTL */
    }
    if (call->op.operation == WIRE_OP_COUNT)
        return;
    valued = call->op.operation == WIRE_OP_SET || call->op.operation == WIRE_OP_PUT ||
             call->op.operation == WIRE_OP_APPEND || call->op.operation == WIRE_OP_INCRBY;
    if (call->op.operation == WIRE_OP_PUT || call->op.operation == WIRE_OP_GET ||
        call->op.operation == WIRE_OP_DEL || call->op.operation == WIRE_OP_EXISTS)
        pairs = 1 + dice_pick(dice, ARGS_MAX / 2);
    for (uint32_t i = 0; i < pairs; i++) {
        key[0] = (char)('a' + dice_pick(dice, KEYS));
        arg_set(call, valued ? 2 * i : i, key);
        if (valued)
            arg_set(call, 2 * i + 1, draw_value(dice));
    }
    draw_expiry(dice, call);
}

/* A retry finds only the i64: the reply it gets is the first one, to the byte, or UNKNOWN. */
static void check_retry(const struct call *call, const struct command_outcome *outcome,
                        const char *first)
{
    struct wire_result reply = {.id = 77};
    char again[512];

    command_reply_from_result(call->op.operation, call->op.flags, outcome->result, &reply);
    cr_assert_eq(reply.id, 77);
    if (!command_result_kept(call->op.operation, call->op.flags)) {
        cr_assert_eq(reply.status, WIRE_STATUS_UNKNOWN);
        return;
    }
    describe(&reply, again);
    cr_assert_str_eq(again, first);
}

Test(command, does_what_a_naive_interpreter_does)
{
    for (uint64_t seed = 1; seed <= 30; seed++) {
        struct dice dice = {.state = seed};
        struct command_outcome outcome;
        struct slot slots[KEYS] = {0};
        struct naive naive = {0};
        char reply[512];

        command_outcome_init(&outcome);
        for (uint32_t i = 0; i < 1000; i++) {
            struct call call;
            uint32_t stride;
            uint32_t key = dice_pick(&dice, KEYS);
            uint8_t status;

            draw_call(&dice, &call);
            status = command_check(&options, &call.op, call.args);
            if (status != WIRE_STATUS_OK) {
                cr_assert_eq(call.op.operation, WIRE_OP_INCRBY);
                cr_assert_eq(status, WIRE_STATUS_NOT_INTEGER);
                continue;
            }
            if (slots[key].found) {
                slots[key].expiry_ms = dice_pick(&dice, 2) ? NOW + 1 + dice_pick(&dice, 3) : 0;
                naive.slots[key].expiry_ms = slots[key].expiry_ms;
            }
            for (uint32_t k = 0; k < KEYS; k++) /* the host takes out what has expired */
                if (slots[k].expiry_ms && slots[k].expiry_ms <= NOW)
                    slots[k] = naive.slots[k] = (struct slot){0};
            command_keys(call.op.operation, call.op.arg_count, &stride);
            cr_assert_eq(evaluate(&call.op, call.args, slots, &outcome), 0);
            naive_run(&naive, &call.op, call.args);
            cr_assert_eq(outcome.reply.status, naive.status);
            cr_assert_eq(outcome.reply.id, 77);
            describe(&outcome.reply, reply);
            cr_assert_str_eq(reply, naive.reply, "%s flags %u",
                             wire_operation_name(call.op.operation), call.op.flags);
            cr_assert_eq(outcome.write_count > 0, naive.changed);
            if (outcome.write_count > 0)
                check_retry(&call, &outcome, reply);
            replay(slots, &outcome, call.args, stride);
            for (uint32_t k = 0; k < KEYS; k++) {
                cr_assert_eq(slots[k].found, naive.slots[k].found);
                cr_assert_eq(slots[k].size, naive.slots[k].size);
                cr_assert_eq(slots[k].expiry_ms, naive.slots[k].expiry_ms);
                cr_assert_arr_eq(slots[k].bytes, naive.slots[k].bytes, slots[k].size);
            }
        }
        command_outcome_deinit(&outcome);
    }
}

Test(command, reads_write_nothing)
{
    static const uint8_t reads[] = {WIRE_OP_GET, WIRE_OP_EXISTS, WIRE_OP_STRLEN, WIRE_OP_COUNT,
                                    WIRE_OP_TTL};

    for (size_t i = 0; i < sizeof reads; i++) {
        cr_assert(!wire_operation_writes(reads[i]));
        cr_assert(!command_result_kept(reads[i], 0));
    }
}

Test(command, out_of_memory_is_told)
{
    struct command_outcome outcome;
    struct slot slots[KEYS] = {0};
    struct dice dice = {.state = 8};
    uint32_t failures = 0;

    slots[0] = (struct slot){.found = true, .size = 1, .bytes = "1"};
    for (uint32_t i = 0; i < 600; i++) {
        struct call call;
        int r;

        draw_call(&dice, &call);
        if (command_check(&options, &call.op, call.args) != WIRE_STATUS_OK)
            continue;
        command_outcome_init(&outcome);
        allocation_fails_in = dice_pick(&dice, 3);
        r = evaluate(&call.op, call.args, slots, &outcome);
        allocation_fails_in = -1;
        cr_assert(r == 0 || r == -ENOMEM);
        failures += r == -ENOMEM;
        if (r == -ENOMEM)
            cr_assert_eq(evaluate(&call.op, call.args, slots, &outcome), 0);
        command_outcome_deinit(&outcome);
    }
    cr_assert_gt(failures, 100);
}

Test(command, a_large_batch_with_repeats_writes_each_key_once)
{
    enum { PAIRS = WIRE_ARGS_MAX / 2, DIFFERENT = 700 };
    static struct wire_bytes args[WIRE_ARGS_MAX];
    static struct keydir_digest digests[PAIRS];
    static uint8_t bytes[PAIRS];
    const struct command_options wide = {.value_size_max = 64, .entry_size_max = 1u << 20};
    struct wire_op op = {.operation = WIRE_OP_PUT, .arg_count = WIRE_ARGS_MAX};
    struct command_input input = {.op = &op, .args = args, .digests = digests};
    struct command_outcome outcome;

    for (uint32_t i = 0; i < PAIRS; i++) {
        bytes[i] = (uint8_t)(i / DIFFERENT);
        args[2 * i] = (struct wire_bytes){.data = bytes, .size = 1};
        args[2 * i + 1] = (struct wire_bytes){.data = &bytes[i], .size = 1};
        digests[i] = (struct keydir_digest){.low = i % DIFFERENT * 8, .high = 5};
    }
    command_outcome_init(&outcome);
    cr_assert_eq(command_check(&wide, &op, args), WIRE_STATUS_OK);
    cr_assert_eq(command_evaluate(&wide, &input, &outcome), 0);
    cr_assert_eq(outcome.write_count, DIFFERENT);
    for (uint32_t i = 0; i < DIFFERENT; i++) {
        uint32_t last = i + (PAIRS - 1 - i) / DIFFERENT * DIFFERENT;

        cr_assert_eq(outcome.writes[i].key, i);
        cr_assert_eq(outcome.writes[i].bytes, &bytes[last], "the last value wins");
    }
    command_outcome_deinit(&outcome);
}
