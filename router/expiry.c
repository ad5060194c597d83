#include "router/expiry.h"

#include "router/router_internal.h"

#include <assert.h>
#include <stdio.h>

static const char *const option_names[] = {
    [EXPIRY_EX] = "ex",     [EXPIRY_PX] = "px",           [EXPIRY_EXAT] = "exat",
    [EXPIRY_PXAT] = "pxat", [EXPIRY_KEEPTTL] = "keepttl", [EXPIRY_PERSIST] = "persist",
};

bool expiry_option(struct expiry *expiry, const struct wire_bytes *args, uint32_t count,
                   uint32_t *i, uint8_t extra)
{
    for (uint8_t kind = EXPIRY_EX; kind <= EXPIRY_PERSIST; kind++) {
        if ((kind > EXPIRY_PXAT && kind != extra) || !commands_is(&args[*i], option_names[kind]))
            continue;
        if (expiry->kind != EXPIRY_NONE && expiry->kind != kind)
            return false;
        expiry->kind = kind;
        if (kind > EXPIRY_PXAT)
            return true;
        if (*i + 1 == count)
            return false;
        expiry->time = &args[++*i];
        return true;
    }
    return false;
}

bool expiry_check(struct router *router, struct client *client, struct expiry *expiry, bool past)
{
    int64_t base = expiry_relative(expiry) ? (int64_t)router->wall_ms : 0;
    int64_t ms, deadline;
    char error[80];

    assert(expiry->time);
    if (!resp_integer(expiry->time->data, expiry->time->size, &ms)) {
        client_error(router, client, "ERR value is not an integer or out of range");
        return false;
    }
    if ((!past && ms <= 0) || (expiry_seconds(expiry) && __builtin_mul_overflow(ms, 1000, &ms)) ||
        __builtin_add_overflow(ms, base, &deadline)) {
        snprintf(error, sizeof error, "ERR invalid expire time in '%s' command",
                 client->command->name);
        client_error(router, client, error);
        return false;
    }
    expiry->argument.size =
        (size_t)snprintf(expiry->text, sizeof expiry->text, "%lld", (long long)ms);
    expiry->argument.data = (const uint8_t *)expiry->text;
    return true;
}
