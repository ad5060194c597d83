/* Commands on keys that have to do with deadlines. */
#include "router/expiry.h"
#include "router/router_internal.h"

#include <stdio.h>

/* One operation on args[0]. */
static void expiry_single(struct router *router, struct client *client,
                          const struct wire_bytes *args, uint32_t count, uint8_t operation,
                          uint8_t flags, uint8_t kind)
{
    struct scatter_plan plan = {.args = args,
                                .units = 1,
                                .stride = count,
                                .operation = operation,
                                .flags = flags,
                                .kind = kind};

    scatter_command(router, client, &plan);
}

static uint8_t relative_flag(const struct expiry *expiry)
{
    return expiry_relative(expiry) ? WIRE_EXPIRE_RELATIVE : 0;
}

/* Options of SET. False: the client has got its error. */
static bool set_options(struct router *router, struct client *client, const struct wire_bytes *args,
                        uint32_t count, uint8_t *flags, struct expiry *expiry)
{
    for (uint32_t i = 3; i < count; i++) {
        if (commands_is(&args[i], "nx") && !(*flags & WIRE_SET_XX)) {
            *flags |= WIRE_SET_NX;
        } else if (commands_is(&args[i], "xx") && !(*flags & WIRE_SET_NX)) {
            *flags |= WIRE_SET_XX;
        } else if (commands_is(&args[i], "get")) {
            *flags |= WIRE_SET_GET;
        } else if (!expiry_option(expiry, args, count, &i, EXPIRY_KEEPTTL)) {
            client_error(router, client, "ERR syntax error");
            return false;
        }
    }
    return !expiry->time || expiry_check(router, client, expiry, false);
}

void expiry_set(struct router *router, struct client *client, const struct wire_bytes *args,
                uint32_t count)
{
    struct expiry expiry = {.kind = EXPIRY_NONE};
    struct wire_bytes words[3] = {args[1], args[2]};
    uint8_t flags = 0;

    if (!set_options(router, client, args, count, &flags, &expiry))
        return;
    if (expiry.kind == EXPIRY_KEEPTTL)
        flags |= WIRE_SET_KEEPTTL;
    if (expiry.time)
        flags |= WIRE_SET_EXPIRY | relative_flag(&expiry);
    words[2] = expiry.argument;
    expiry_single(router, client, words, expiry.time ? 3 : 2, WIRE_OP_SET, flags,
                  flags & WIRE_SET_GET ? REQUEST_OLD : REQUEST_SET);
}

static void set_for(struct router *router, struct client *client, const struct wire_bytes *args,
                    uint8_t kind)
{
    struct expiry expiry = {.kind = kind, .time = &args[2]};

    if (!expiry_check(router, client, &expiry, false))
        return;
    expiry_single(router, client, (struct wire_bytes[]){args[1], args[3], expiry.argument}, 3,
                  WIRE_OP_SET, WIRE_SET_EXPIRY | WIRE_SET_RELATIVE, REQUEST_SET);
}

void expiry_setex(struct router *router, struct client *client, const struct wire_bytes *args,
                  uint32_t count)
{
    (void)count;
    set_for(router, client, args, EXPIRY_EX);
}

void expiry_psetex(struct router *router, struct client *client, const struct wire_bytes *args,
                   uint32_t count)
{
    (void)count;
    set_for(router, client, args, EXPIRY_PX);
}

void expiry_getex(struct router *router, struct client *client, const struct wire_bytes *args,
                  uint32_t count)
{
    struct expiry expiry = {.kind = EXPIRY_NONE};

    for (uint32_t i = 2; i < count; i++)
        if (!expiry_option(&expiry, args, count, &i, EXPIRY_PERSIST)) {
            client_error(router, client, "ERR syntax error");
            return;
        }
    if (expiry.kind == EXPIRY_NONE) {
        string_get(router, client, args, 2);
    } else if (expiry.kind == EXPIRY_PERSIST) {
        expiry_single(router, client, args + 1, 1, WIRE_OP_GETEX, WIRE_GETEX_PERSIST, REQUEST_OLD);
    } else if (expiry_check(router, client, &expiry, false)) {
        expiry_single(router, client, (struct wire_bytes[]){args[1], expiry.argument}, 2,
                      WIRE_OP_GETEX, relative_flag(&expiry), REQUEST_OLD);
    }
}

/* Conditions of the EXPIRE family. False: the client has got its error. */
static bool expire_conditions(struct router *router, struct client *client,
                              const struct wire_bytes *args, uint32_t count, uint8_t *flags)
{
    static const struct {
        const char *name;
        uint8_t flag;
    } names[] = {{"nx", WIRE_EXPIRE_NX},
                 {"xx", WIRE_EXPIRE_XX},
                 {"gt", WIRE_EXPIRE_GT},
                 {"lt", WIRE_EXPIRE_LT}};
    char text[160];

    for (uint32_t i = 3; i < count; i++) {
        uint8_t flag = 0;

        for (size_t j = 0; j < sizeof names / sizeof names[0]; j++)
            if (commands_is(&args[i], names[j].name))
                flag = names[j].flag;
        if (!flag) {
            snprintf(text, sizeof text, "ERR Unsupported option %.*s",
                     (int)(args[i].size < 128 ? args[i].size : 128), (const char *)args[i].data);
            client_error(router, client, text);
            return false;
        }
        *flags |= flag;
    }
    if ((*flags & WIRE_EXPIRE_NX) && *flags != WIRE_EXPIRE_NX) {
        client_error(router, client,
                     "ERR NX and XX, GT or LT options at the same time are not compatible");
        return false;
    }
    if ((*flags & WIRE_EXPIRE_GT) && (*flags & WIRE_EXPIRE_LT)) {
        client_error(router, client, "ERR GT and LT options at the same time are not compatible");
        return false;
    }
    return true;
}

static void expire(struct router *router, struct client *client, const struct wire_bytes *args,
                   uint32_t count, uint8_t kind)
{
    struct expiry expiry = {.kind = kind, .time = &args[2]};
    uint8_t flags = 0;

    if (!expire_conditions(router, client, args, count, &flags) ||
        !expiry_check(router, client, &expiry, true))
        return;
    expiry_single(router, client, (struct wire_bytes[]){args[1], expiry.argument}, 2,
                  WIRE_OP_EXPIRE, flags | relative_flag(&expiry), REQUEST_SUM);
}

void expiry_expire(struct router *router, struct client *client, const struct wire_bytes *args,
                   uint32_t count)
{
    expire(router, client, args, count, EXPIRY_EX);
}

void expiry_pexpire(struct router *router, struct client *client, const struct wire_bytes *args,
                    uint32_t count)
{
    expire(router, client, args, count, EXPIRY_PX);
}

void expiry_expireat(struct router *router, struct client *client, const struct wire_bytes *args,
                     uint32_t count)
{
    expire(router, client, args, count, EXPIRY_EXAT);
}

void expiry_pexpireat(struct router *router, struct client *client, const struct wire_bytes *args,
                      uint32_t count)
{
    expire(router, client, args, count, EXPIRY_PXAT);
}

void expiry_ttl(struct router *router, struct client *client, const struct wire_bytes *args,
                uint32_t count)
{
    (void)count;
    expiry_single(router, client, args + 1, 1, WIRE_OP_TTL, WIRE_EXPIRE_RELATIVE, REQUEST_SECONDS);
}

void expiry_pttl(struct router *router, struct client *client, const struct wire_bytes *args,
                 uint32_t count)
{
    (void)count;
    expiry_single(router, client, args + 1, 1, WIRE_OP_TTL, WIRE_EXPIRE_RELATIVE, REQUEST_SUM);
}

void expiry_expiretime(struct router *router, struct client *client, const struct wire_bytes *args,
                       uint32_t count)
{
    (void)count;
    expiry_single(router, client, args + 1, 1, WIRE_OP_TTL, 0, REQUEST_SECONDS);
}

void expiry_pexpiretime(struct router *router, struct client *client, const struct wire_bytes *args,
                        uint32_t count)
{
    (void)count;
    expiry_single(router, client, args + 1, 1, WIRE_OP_TTL, 0, REQUEST_SUM);
}

void expiry_persist(struct router *router, struct client *client, const struct wire_bytes *args,
                    uint32_t count)
{
    (void)count;
    expiry_single(router, client, args + 1, 1, WIRE_OP_PERSIST, 0, REQUEST_SUM);
}
