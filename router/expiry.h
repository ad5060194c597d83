/* Expiry: the options by which commands give a deadline, and the times in them.
 *
 * EX and PX count from now, EXAT and PXAT from 1970; seconds or milliseconds. The leader of the
 * key's partition turns relative ones into absolute ones by its own clock; here they are only made
 * milliseconds and checked, with Redis's words for what is wrong. */
#ifndef ROUTER_EXPIRY_H
#define ROUTER_EXPIRY_H

#include "ring/wire.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct client;
struct router;

enum expiry_kind {
    EXPIRY_NONE,
    EXPIRY_EX,
    EXPIRY_PX,
    EXPIRY_EXAT,
    EXPIRY_PXAT,
    EXPIRY_KEEPTTL, /* SET */
    EXPIRY_PERSIST, /* GETEX */
};

struct expiry {
    uint8_t kind;
    const struct wire_bytes *time; /* as it was written; NULL for kinds without */
    char text[24];                 /* expiry_check(): ms, decimal */
    struct wire_bytes argument;    /* expiry_check(): points to text, so it must not be copied */
};

static inline bool expiry_relative(const struct expiry *expiry)
{
    return expiry->kind == EXPIRY_EX || expiry->kind == EXPIRY_PX;
}
static inline bool expiry_seconds(const struct expiry *expiry)
{
    return expiry->kind == EXPIRY_EX || expiry->kind == EXPIRY_EXAT;
}

/* Takes args[*i], and its time behind it; *i moves to the last one taken. False: it is no such
 * option, one of another kind came before, or its time is missing: a syntax error. extra:
 * EXPIRY_KEEPTTL or EXPIRY_PERSIST, which is an option too. */
bool expiry_option(struct expiry *expiry, const struct wire_bytes *args, uint32_t count,
                   uint32_t *i, uint8_t extra);
/* Checks the time and sets argument. past: times in the past, and before 1970, are fine (EXPIRE).
 * False: the client has got its error, which names the command. */
bool expiry_check(struct router *router, struct client *client, struct expiry *expiry, bool past);

#endif
