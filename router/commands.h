/* Commands: from a parsed command to its handler.
 *
 * The order of refusals is Redis's: unknown command, wrong number of arguments, not
 * authenticated. Handlers answer at once (client_reply) or queue operations (scatter_command).
 * Texts of errors are those of Redis 7.0.15, clients match on them. */
#ifndef ROUTER_COMMANDS_H
#define ROUTER_COMMANDS_H

#include "ring/wire.h"
#include "router/command_table.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct client;
struct router;

#define COMMANDS_REDIS_VERSION "7.0.15"
#define COMMANDS_SLOTS         128u /* a power of two, at most half full */
#define COMMANDS_NAME_SIZE_MAX 16u

/* args[0] is the name; args are borrowed for the call. */
typedef void command_handler(struct router *router, struct client *client,
                             const struct wire_bytes *args, uint32_t count);

struct command_spec {
    const char *name; /* lower case */
    const char *flags;
    const char *group;
    const char *since;
    const char *summary;
    command_handler *handler;
    int32_t arity;
    int32_t key_first, key_last, key_step;
};

struct command_sub {
    const char *command;
    const char *name;
    command_handler *handler;
    int32_t arity;
};

struct commands {
    const struct command_spec *slots[COMMANDS_SLOTS];
};

void commands_init(struct commands *commands);
/* In the order of their names; NULL behind the last. */
const struct command_spec *commands_at(uint32_t i);
uint32_t commands_count(void);
/* Any case. NULL when unknown. */
const struct command_spec *commands_find(const struct commands *commands,
                                         const struct wire_bytes *name);
bool commands_flag(const struct command_spec *spec, char flag);
/* count 0: a command that was not kept because of its size. */
void commands_run(struct router *router, struct client *client, const struct wire_bytes *args,
                  uint32_t count);
/* Runs args[1] as a subcommand of `command`, or answers that it is unknown. */
void commands_run_sub(struct router *router, struct client *client, const char *command,
                      const struct wire_bytes *args, uint32_t count);
/* The next sub of the command after `sub` (NULL: the first). NULL: there is none. */
const struct command_sub *commands_sub_next(const char *command, const struct command_sub *sub);

/* Case-insensitive comparison with a lower-case word. */
bool commands_is(const struct wire_bytes *bytes, const char *word);

#define X(name, arity, flags, first, last, step, handler, group, since, summary)                   \
    command_handler handler;
COMMANDS(X)
#undef X
#define X(command, name, arity, handler) command_handler handler;
COMMAND_SUBCOMMANDS(X)
#undef X

#endif
