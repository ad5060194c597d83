#include "harness.h"

#include "router/resp.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int64_t model_now(const struct harness *h)
{
    return (int64_t)(HARNESS_EPOCH_MS + h->now_ms);
}

static void model_remove(struct harness *h, struct harness_entry *entry)
{
    free(entry->key);
    free(entry->value);
    *entry = h->entries[--h->entry_count];
}

static struct harness_entry *model_find(struct harness *h, const struct wire_bytes *key)
{
    for (size_t i = 0; i < h->entry_count; i++) {
        struct harness_entry *entry = &h->entries[i];

        if (entry->key_size != key->size || memcmp(entry->key, key->data, key->size) != 0)
            continue;
        if (entry->expiry_ms == 0 || entry->expiry_ms > model_now(h))
            return entry;
        model_remove(h, entry);
        return NULL;
    }
    return NULL;
}

static char *model_copy(const void *bytes, size_t size)
{
    char *copy = malloc(size + 1);

    cr_assert(copy);
    if (size > 0)
        memcpy(copy, bytes, size);
    copy[size] = '\0';
    return copy;
}

static void model_put(struct harness *h, const struct wire_bytes *key,
                      const struct wire_bytes *value)
{
    struct harness_entry *entry = model_find(h, key);
    char *copy = model_copy(value->data, value->size);

    if (!entry) {
        cr_assert(h->entry_count < HARNESS_KEYS);
        entry = &h->entries[h->entry_count++];
        *entry = (struct harness_entry){model_copy(key->data, key->size), key->size, NULL, 0, 0};
    }
    free(entry->value);
    entry->value = copy;
    entry->value_size = value->size;
}

static struct wire_bytes model_value(struct harness *h, const struct wire_bytes *key)
{
    static char value[20 << 20]; /* the entry may be gone before the result is encoded */
    const struct harness_entry *entry = model_find(h, key);

    if (!entry)
        return (struct wire_bytes){NULL, 0};
    memcpy(value, entry->value, entry->value_size);
    return (struct wire_bytes){(const uint8_t *)value, entry->value_size};
}

static void model_integer(struct wire_result *result, int64_t integer)
{
    result->is_int = true;
    result->integer = integer;
}

static int64_t model_time(const struct harness *h, uint8_t flags, const struct wire_bytes *arg)
{
    int64_t time = 0;

    cr_assert(resp_integer(arg->data, arg->size, &time), "the router checks times");
    return flags & WIRE_EXPIRE_RELATIVE ? model_now(h) + time : time;
}

static int64_t model_ttl(struct harness *h, const struct wire_op *op, const struct wire_bytes *args)
{
    const struct harness_entry *entry = model_find(h, &args[0]);

    if (!entry)
        return -2;
    if (entry->expiry_ms == 0)
        return -1;
    return entry->expiry_ms - (op->flags & WIRE_EXPIRE_RELATIVE ? model_now(h) : 0);
}

/* EXPIRE, PERSIST and GETEX. Returns whether something was logged. */
static bool model_expiry(struct harness *h, const struct wire_op *op, const struct wire_bytes *args)
{
    struct harness_entry *entry = model_find(h, &args[0]);
    int64_t old = entry ? entry->expiry_ms : 0;
    int64_t time = op->arg_count > 1 ? model_time(h, op->flags, &args[1]) : 0;

    if (!entry || (op->arg_count == 1 && old == 0))
        return false;
    if (op->operation == WIRE_OP_EXPIRE &&
        (((op->flags & WIRE_EXPIRE_NX) && old) || ((op->flags & WIRE_EXPIRE_XX) && !old) ||
         ((op->flags & WIRE_EXPIRE_GT) && (!old || time <= old)) ||
         ((op->flags & WIRE_EXPIRE_LT) && old && time >= old)))
        return false;
    entry->expiry_ms = op->arg_count == 1 ? 0 : time > 0 ? time : 1;
    return true;
}

/* Returns whether something was logged. */
static bool model_set(struct harness *h, const struct wire_op *op, const struct wire_bytes *args,
                      struct wire_result *result)
{
    bool found = model_find(h, &args[0]) != NULL;
    bool set = !((op->flags & WIRE_SET_NX) && found) && !((op->flags & WIRE_SET_XX) && !found);

    if (op->flags & WIRE_SET_GET) {
        h->values[0] = model_value(h, &args[0]);
        h->values[1] = (struct wire_bytes){(const uint8_t *)(set ? "1" : "0"), 1};
        if (op->flags & (WIRE_SET_NX | WIRE_SET_XX)) {
            result->values = h->values;
            result->value_count = 2;
        } else {
            result->bytes = h->values[0];
        }
    } else {
        model_integer(result, set);
    }
    if (!set)
        return false;
    model_put(h, &args[0], &args[1]);
    if (op->flags & WIRE_SET_EXPIRY)
        model_find(h, &args[0])->expiry_ms = model_time(h, op->flags, &args[2]);
    else if (!(op->flags & WIRE_SET_KEEPTTL))
        model_find(h, &args[0])->expiry_ms = 0;
    return true;
}

static bool model_add(struct harness *h, const struct wire_bytes *args, struct wire_result *result)
{
    const struct harness_entry *entry = model_find(h, &args[0]);
    int64_t value = 0, delta;
    char text[32];
    struct wire_bytes bytes = {(const uint8_t *)text, 0};

    if ((entry && !resp_integer(entry->value, entry->value_size, &value)) ||
        !resp_integer(args[1].data, args[1].size, &delta)) {
        result->status = WIRE_STATUS_NOT_INTEGER;
        return false;
    }
    if (__builtin_add_overflow(value, delta, &value)) {
        result->status = WIRE_STATUS_OVERFLOW;
        return false;
    }
    bytes.size = (size_t)snprintf(text, sizeof text, "%lld", (long long)value);
    model_put(h, &args[0], &bytes);
    model_integer(result, value);
    return true;
}

static bool model_append(struct harness *h, const struct wire_bytes *args,
                         struct wire_result *result)
{
    const struct harness_entry *entry = model_find(h, &args[0]);
    size_t old = entry ? entry->value_size : 0;
    char *joined = malloc(old + args[1].size + 1);
    struct wire_bytes bytes = {(const uint8_t *)joined, old + args[1].size};

    cr_assert(joined);
    if (old > 0)
        memcpy(joined, entry->value, old);
    memcpy(joined + old, args[1].data, args[1].size);
    model_put(h, &args[0], &bytes);
    free(joined);
    model_integer(result, (int64_t)bytes.size);
    return true;
}

static int64_t model_del(struct harness *h, const struct wire_op *op, const struct wire_bytes *args)
{
    int64_t count = 0;

    for (uint32_t i = 0; i < op->arg_count; i++) {
        struct harness_entry *entry = model_find(h, &args[i]);

        if (!entry)
            continue;
        model_remove(h, entry);
        count++;
    }
    return count;
}

static int64_t model_count(const struct harness *h, uint16_t partition)
{
    int64_t count = 0;

    for (size_t i = 0; i < h->entry_count; i++)
        count += harness_partition(h, h->entries[i].key) == partition;
    return count;
}

/* Positions count the entries. */
static void model_scan(struct harness *h, uint16_t partition, const struct wire_bytes *args,
                       struct wire_result *result)
{
    static char next[24];
    int64_t position = 0, count = 0;
    size_t i;

    cr_assert(resp_integer(args[0].data, args[0].size, &position));
    cr_assert(resp_integer(args[1].data, args[1].size, &count));
    result->values = h->values;
    result->value_count = 1;
    for (i = (size_t)position; i < h->entry_count && (int64_t)result->value_count <= count; i++)
        if (harness_partition(h, h->entries[i].key) == partition)
            h->values[result->value_count++] =
                (struct wire_bytes){(const uint8_t *)h->entries[i].key, h->entries[i].key_size};
    h->values[0] =
        (struct wire_bytes){(const uint8_t *)next,
                            (size_t)snprintf(next, sizeof next, "%zu", i < h->entry_count ? i : 0)};
}

static void model_read(struct harness *h, const struct wire_op *op, const struct wire_bytes *args,
                       struct wire_result *result)
{
    switch (op->operation) {
    case WIRE_OP_GET:
        result->values = h->values;
        result->value_count = op->arg_count;
        for (uint32_t i = 0; i < op->arg_count; i++) {
            const struct harness_entry *entry = model_find(h, &args[i]);

            h->values[i] =
                entry ? (struct wire_bytes){(const uint8_t *)entry->value, entry->value_size}
                      : (struct wire_bytes){NULL, 0};
        }
        return;
    case WIRE_OP_EXISTS:
        model_integer(result, 0);
        for (uint32_t i = 0; i < op->arg_count; i++)
            result->integer += model_find(h, &args[i]) != NULL;
        return;
    case WIRE_OP_STRLEN:
        model_integer(result, (int64_t)model_value(h, &args[0]).size);
        return;
    case WIRE_OP_SCAN:
        model_scan(h, op->partition, args, result);
        return;
    case WIRE_OP_TTL:
        model_integer(result, model_ttl(h, op, args));
        return;
    default:
        cr_assert_eq(op->operation, WIRE_OP_COUNT);
        model_integer(result, model_count(h, op->partition));
    }
}

static bool model_write(struct harness *h, const struct wire_op *op, const struct wire_bytes *args,
                        struct wire_result *result)
{
    switch (op->operation) {
    case WIRE_OP_SET:
        return model_set(h, op, args, result);
    case WIRE_OP_PUT:
        for (uint32_t i = 0; i < op->arg_count; i += 2)
            model_put(h, &args[i], &args[i + 1]);
        return true;
    case WIRE_OP_DEL:
        model_integer(result, model_del(h, op, args));
        return result->integer > 0;
    case WIRE_OP_APPEND:
        return model_append(h, args, result);
    case WIRE_OP_INCRBY:
        return model_add(h, args, result);
    case WIRE_OP_EXPIRE:
    case WIRE_OP_PERSIST:
        model_integer(result, model_expiry(h, op, args));
        return result->integer == 1;
    case WIRE_OP_GETEX:
        result->bytes = model_value(h, &args[0]);
        return model_expiry(h, op, args);
    default:
        cr_assert_eq(op->operation, WIRE_OP_GETDEL);
        result->bytes = model_value(h, &args[0]);
        return model_del(h, op, args) > 0;
    }
}

static void model_repeat(const struct wire_op *op, int64_t kept, struct wire_result *result)
{
    if (op->operation == WIRE_OP_GETDEL || op->operation == WIRE_OP_GETEX ||
        (op->operation == WIRE_OP_SET && (op->flags & WIRE_SET_GET)))
        result->status = WIRE_STATUS_UNKNOWN;
    else if (op->operation != WIRE_OP_PUT)
        model_integer(result, kept);
}

void harness_apply(struct harness *h, const struct wire_op *op, uint64_t session,
                   const struct wire_bytes *args, struct wire_result *result)
{
    *result = (struct wire_result){.id = op->id, .status = WIRE_STATUS_OK};
    if (!wire_operation_writes(op->operation)) {
        model_read(h, op, args, result);
        return;
    }
    for (size_t i = 0; i < h->request_count && i < HARNESS_REQUESTS; i++)
        if (h->requests[i].session == session && h->requests[i].sequence == op->sequence &&
            h->requests[i].partition == op->partition) {
            model_repeat(op, h->requests[i].result, result);
            return;
        }
    if (!model_write(h, op, args, result))
        return;
    h->requests[h->request_count++ % HARNESS_REQUESTS] =
        (struct harness_request){session, op->sequence, op->partition, result->integer};
}
