#include "router/commands.h"

#include "router/router_internal.h"

#include <assert.h>
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define COMMANDS_UNKNOWN_ARGS_MAX 128u /* bytes of arguments quoted in an error */

static const struct command_spec specs[] = {
#define X(name, arity, flags, first, last, step, handler, group, since, summary)                   \
    {#name, flags, group, since, summary, handler, arity, first, last, step},
    COMMANDS(X)
#undef X
};
#define SPEC_COUNT (sizeof specs / sizeof specs[0])

static const struct command_sub subs[] = {
#define X(command, name, arity, handler) {#command, name, handler, arity},
    COMMAND_SUBCOMMANDS(X)
#undef X
};
#define SUB_COUNT (sizeof subs / sizeof subs[0])

/* FNV-1a over the lower-case name. */
static uint32_t commands_slot(const char *name, size_t size)
{
    uint32_t hash = 2166136261u;

    for (size_t i = 0; i < size; i++)
        hash = (hash ^ (uint8_t)name[i]) * 16777619u;
    return (hash ^ hash >> 15) & (COMMANDS_SLOTS - 1);
}

void commands_init(struct commands *commands)
{
    static_assert(SPEC_COUNT <= COMMANDS_SLOTS / 2, "the table of commands is too full");
    memset(commands, 0, sizeof *commands);
    for (size_t i = 0; i < SPEC_COUNT; i++) {
        uint32_t slot = commands_slot(specs[i].name, strlen(specs[i].name));

        assert(strlen(specs[i].name) <= COMMANDS_NAME_SIZE_MAX);
        while (commands->slots[slot])
            slot = (slot + 1) & (COMMANDS_SLOTS - 1);
        commands->slots[slot] = &specs[i];
    }
}

uint32_t commands_count(void)
{
    return (uint32_t)SPEC_COUNT;
}

const struct command_spec *commands_at(uint32_t i)
{
    return i < SPEC_COUNT ? &specs[i] : NULL;
}

const struct command_spec *commands_find(const struct commands *commands,
                                         const struct wire_bytes *name)
{
    char lower[COMMANDS_NAME_SIZE_MAX];
    const struct command_spec *spec;
    uint32_t slot;

    if (name->size > sizeof lower)
        return NULL;
    for (size_t i = 0; i < name->size; i++)
        lower[i] = (char)(name->data[i] >= 'A' && name->data[i] <= 'Z' ? name->data[i] | 0x20
                                                                       : name->data[i]);
    slot = commands_slot(lower, name->size);
    while ((spec = commands->slots[slot])) {
        if (strlen(spec->name) == name->size && memcmp(spec->name, lower, name->size) == 0)
            return spec;
        slot = (slot + 1) & (COMMANDS_SLOTS - 1);
    }
    return NULL;
}

bool commands_flag(const struct command_spec *spec, char flag)
{
    return strchr(spec->flags, flag) != NULL;
}

bool commands_is(const struct wire_bytes *bytes, const char *word)
{
    size_t size = strlen(word);

    if (bytes->size != size)
        return false;
    for (size_t i = 0; i < size; i++)
        if (tolower(bytes->data[i]) != word[i])
            return false;
    return true;
}

static void commands_unknown(struct router *router, struct client *client,
                             const struct wire_bytes *args, uint32_t count)
{
    char text[COMMANDS_UNKNOWN_ARGS_MAX * 2 + 128];
    char quoted[COMMANDS_UNKNOWN_ARGS_MAX + 8] = "";
    size_t size = 0;

    for (uint32_t i = 1; i < count && size < COMMANDS_UNKNOWN_ARGS_MAX; i++) {
        size_t left = COMMANDS_UNKNOWN_ARGS_MAX - size;
        size_t take = args[i].size < left ? args[i].size : left;
        int r = snprintf(quoted + size, sizeof quoted - size, "'%.*s' ", (int)take,
                         (const char *)args[i].data);

        assert(r > 0);
        size += (size_t)r;
    }
    snprintf(text, sizeof text, "ERR unknown command '%.*s', with args beginning with: %s",
             (int)(args[0].size < 128 ? args[0].size : 128), (const char *)args[0].data, quoted);
    client_error(router, client, text);
}

static bool commands_arity_ok(int32_t arity, uint32_t count)
{
    return arity >= 0 ? count == (uint32_t)arity : count >= (uint32_t)-arity;
}

static void commands_oversize(struct router *router, struct client *client)
{
    char text[128];

    if (client->parser.out_of_memory)
        snprintf(text, sizeof text, "OOM out of memory: the command was not executed");
    else
        snprintf(text, sizeof text, "ERR string exceeds maximum allowed size (%zu bytes)",
                 router->options.value_size_max);
    client_error(router, client, text);
}

void commands_run(struct router *router, struct client *client, const struct wire_bytes *args,
                  uint32_t count)
{
    const struct command_spec *spec;
    char text[96];

    router->stats.commands++;
    if (count == 0) {
        commands_oversize(router, client);
        return;
    }
    spec = commands_find(&router->commands, &args[0]);
    if (!spec) {
        commands_unknown(router, client, args, count);
        return;
    }
    client->command = spec;
    if (!commands_arity_ok(spec->arity, count)) {
        snprintf(text, sizeof text, "ERR wrong number of arguments for '%s' command", spec->name);
        client_error(router, client, text);
        return;
    }
    if (!client->authenticated && !commands_flag(spec, 'a')) {
        client_error(router, client, "NOAUTH Authentication required.");
        return;
    }
    spec->handler(router, client, args, count);
}

const struct command_sub *commands_sub_next(const char *command, const struct command_sub *sub)
{
    for (sub = sub ? sub + 1 : subs; sub < subs + SUB_COUNT; sub++)
        if (strcmp(sub->command, command) == 0)
            return sub;
    return NULL;
}

static void commands_help(struct router *router, struct client *client, const char *command)
{
    struct buffer *out = client_reply(router, client);
    const struct command_sub *sub = NULL;
    uint64_t count = 1;
    char line[64];

    while ((sub = commands_sub_next(command, sub)))
        count++;
    resp_put_array(out, count);
    snprintf(line, sizeof line, "%s <subcommand>. Subcommands are:", command);
    resp_put_simple(out, line);
    while ((sub = commands_sub_next(command, sub)))
        resp_put_simple(out, sub->name);
    client_reply_end(router, client);
}

void commands_run_sub(struct router *router, struct client *client, const char *command,
                      const struct wire_bytes *args, uint32_t count)
{
    const struct command_sub *sub = NULL;
    char upper[COMMANDS_NAME_SIZE_MAX + 1] = "";
    char text[256];

    assert(count >= 2);
    while ((sub = commands_sub_next(command, sub))) {
        if (!commands_is(&args[1], sub->name))
            continue;
        if (commands_arity_ok(sub->arity, count)) {
            sub->handler(router, client, args, count);
            return;
        }
        snprintf(text, sizeof text, "ERR wrong number of arguments for '%s|%s' command", command,
                 sub->name);
        client_error(router, client, text);
        return;
    }
    if (commands_is(&args[1], "help") && count == 2) {
        commands_help(router, client, command);
        return;
    }
    for (size_t i = 0; command[i]; i++)
        upper[i] = (char)toupper(command[i]);
    snprintf(text, sizeof text, "ERR unknown subcommand '%.*s'. Try %s HELP.",
             (int)(args[1].size < 128 ? args[1].size : 128), (const char *)args[1].data, upper);
    client_error(router, client, text);
}
