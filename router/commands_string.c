/* Commands on keys. Each becomes one operation a partition; what they mean is evaluated by the
 * partition's leader. */
#include "router/router_internal.h"

#include <stdio.h>

#define STRING_NOT_INTEGER "ERR value is not an integer or out of range"

/* One operation on the key args[1], with arg_count arguments from there on. */
static void string_single(struct router *router, struct client *client,
                          const struct wire_bytes *args, uint32_t arg_count, uint8_t operation,
                          uint8_t flags, uint8_t kind)
{
    struct scatter_plan plan = {.args = args + 1,
                                .units = 1,
                                .stride = arg_count,
                                .operation = operation,
                                .flags = flags,
                                .kind = kind};

    scatter_command(router, client, &plan);
}

/* args[1…] are keys, or keys with what belongs to each. */
static void string_multiple(struct router *router, struct client *client,
                            const struct wire_bytes *args, uint32_t count, uint32_t stride,
                            uint8_t operation, uint8_t kind)
{
    struct scatter_plan plan = {.args = args + 1,
                                .units = (count - 1) / stride,
                                .stride = stride,
                                .operation = operation,
                                .kind = kind};

    scatter_command(router, client, &plan);
}

void string_get(struct router *router, struct client *client, const struct wire_bytes *args,
                uint32_t count)
{
    (void)count;
    string_single(router, client, args, 1, WIRE_OP_GET, 0, REQUEST_VALUE);
}

void string_setnx(struct router *router, struct client *client, const struct wire_bytes *args,
                  uint32_t count)
{
    (void)count;
    string_single(router, client, args, 2, WIRE_OP_SET, WIRE_SET_NX, REQUEST_SUM);
}

void string_getset(struct router *router, struct client *client, const struct wire_bytes *args,
                   uint32_t count)
{
    (void)count;
    string_single(router, client, args, 2, WIRE_OP_SET, WIRE_SET_GET, REQUEST_OLD);
}

void string_getdel(struct router *router, struct client *client, const struct wire_bytes *args,
                   uint32_t count)
{
    (void)count;
    string_single(router, client, args, 1, WIRE_OP_GETDEL, 0, REQUEST_OLD);
}

void string_append(struct router *router, struct client *client, const struct wire_bytes *args,
                   uint32_t count)
{
    (void)count;
    string_single(router, client, args, 2, WIRE_OP_APPEND, 0, REQUEST_SUM);
}

void string_strlen(struct router *router, struct client *client, const struct wire_bytes *args,
                   uint32_t count)
{
    (void)count;
    string_single(router, client, args, 1, WIRE_OP_STRLEN, 0, REQUEST_SUM);
}

static void string_add(struct router *router, struct client *client, const struct wire_bytes *key,
                       int64_t delta)
{
    char text[24];
    struct wire_bytes args[3] = {{NULL, 0}, *key, {(const uint8_t *)text, 0}};

    args[2].size = (size_t)snprintf(text, sizeof text, "%lld", (long long)delta);
    string_single(router, client, args, 2, WIRE_OP_INCRBY, 0, REQUEST_SUM);
}

void string_incr(struct router *router, struct client *client, const struct wire_bytes *args,
                 uint32_t count)
{
    (void)count;
    string_add(router, client, &args[1], 1);
}

void string_decr(struct router *router, struct client *client, const struct wire_bytes *args,
                 uint32_t count)
{
    (void)count;
    string_add(router, client, &args[1], -1);
}

void string_incrby(struct router *router, struct client *client, const struct wire_bytes *args,
                   uint32_t count)
{
    int64_t delta;

    (void)count;
    if (!resp_integer(args[2].data, args[2].size, &delta))
        client_error(router, client, STRING_NOT_INTEGER);
    else
        string_add(router, client, &args[1], delta);
}

void string_decrby(struct router *router, struct client *client, const struct wire_bytes *args,
                   uint32_t count)
{
    int64_t delta;

    (void)count;
    if (!resp_integer(args[2].data, args[2].size, &delta))
        client_error(router, client, STRING_NOT_INTEGER);
    else if (delta == INT64_MIN) /* has no opposite */
        client_error(router, client, "ERR decrement would overflow");
    else
        string_add(router, client, &args[1], -delta);
}

void string_del(struct router *router, struct client *client, const struct wire_bytes *args,
                uint32_t count)
{
    string_multiple(router, client, args, count, 1, WIRE_OP_DEL, REQUEST_SUM);
}

void string_exists(struct router *router, struct client *client, const struct wire_bytes *args,
                   uint32_t count)
{
    string_multiple(router, client, args, count, 1, WIRE_OP_EXISTS, REQUEST_SUM);
}

void string_mget(struct router *router, struct client *client, const struct wire_bytes *args,
                 uint32_t count)
{
    string_multiple(router, client, args, count, 1, WIRE_OP_GET, REQUEST_GATHER);
}

void string_mset(struct router *router, struct client *client, const struct wire_bytes *args,
                 uint32_t count)
{
    if (count % 2 == 0) {
        client_error(router, client, "ERR wrong number of arguments for 'mset' command");
        return;
    }
    string_multiple(router, client, args, count, 2, WIRE_OP_PUT, REQUEST_OK);
}
