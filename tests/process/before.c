/* Before: what makes ringcask-before speak as version 1 of the wire did, whatever this build is.
 *
 * It says version 1 in its HELLO, in the five fields that HELLO had, and what came after version 1
 * never reaches it, as if it did not know the messages. wire_version_newest() is alone in its file,
 * so this one takes its place; two others get another name where they are called. With
 * RINGCASK_PRETEND_VERSION in its environment it is of that version, and speaks no other. */
#undef fabric_open
#undef wire_hello_own
#include "ring/link_nng.h"
#include "ring/wire.h"

#include <stdbool.h>
#include <stdlib.h>

uint32_t wire_version_newest(void)
{
    const char *text = getenv("RINGCASK_PRETEND_VERSION");

    return text ? (uint32_t)strtoul(text, NULL, 10) : 1;
}

struct wire_hello before_wire_hello_own(uint8_t role);

struct wire_hello before_wire_hello_own(uint8_t role)
{
    struct wire_hello hello = wire_hello_own(role);

    hello.oldest = hello.newest;
    return hello;
}

/* The last numbers of version 1, see docs/format-wire.md. */
static bool is_known(uint8_t type)
{
    return type < 29 || (type > 31 && type < 51) || (type > 52 && type < 59);
}

/* One fabric a process: a node's or a router's. */
static void (*deliver)(void *context, struct link *link, const struct link_message *message);

static void filter(void *context, struct link *link, const struct link_message *message)
{
    if (is_known(message->type))
        deliver(context, link, message);
    else
        link_consumed(link, message->body_size, 1);
}

int before_fabric_open(struct fabric **fabric, const struct fabric_options *options);

int before_fabric_open(struct fabric **fabric, const struct fabric_options *options)
{
    struct fabric_options changed = *options;

    if (deliver) /* a second one would overwrite the first one's */
        abort();
    deliver = options->on_message;
    changed.on_message = filter;
    changed.without_gcm = true; /* it said zero where ciphers are named now */
    return fabric_open(fabric, &changed);
}
