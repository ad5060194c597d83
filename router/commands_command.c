/* COMMAND and its subcommands: the command table, told to clients. */
#include "router/router_internal.h"
#include "router/glob.h"

#include <stdio.h>
#include <string.h>

static const struct {
    char letter;
    const char *name;
} flags[] = {
#define X(letter, name) {letter, name},
    COMMAND_FLAGS(X)
#undef X
};
#define FLAG_COUNT (sizeof flags / sizeof flags[0])

static void command_put_flags(struct buffer *out, const char *letters, uint8_t protocol)
{
    resp_put_set(out, strlen(letters), protocol);
    for (size_t i = 0; i < FLAG_COUNT; i++)
        if (strchr(letters, flags[i].letter))
            resp_put_simple(out, flags[i].name);
}

/* The ten fields of COMMAND INFO. */
static void command_put(struct buffer *out, const char *name, int32_t arity, const char *letters,
                        const struct command_spec *spec, uint8_t protocol)
{
    resp_put_array(out, 10);
    resp_put_text(out, name);
    resp_put_integer(out, arity);
    command_put_flags(out, letters, protocol);
    resp_put_integer(out, spec ? spec->key_first : 0);
    resp_put_integer(out, spec ? spec->key_last : 0);
    resp_put_integer(out, spec ? spec->key_step : 0);
    resp_put_set(out, 0, protocol); /* ACL categories */
    resp_put_array(out, 0);         /* tips */
    resp_put_array(out, 0);         /* key specifications */
}

static void command_put_spec(struct buffer *out, const struct command_spec *spec, uint8_t protocol)
{
    const struct command_sub *sub = NULL;
    uint64_t count = 0;
    char name[64];

    command_put(out, spec->name, spec->arity, spec->flags, spec, protocol);
    while ((sub = commands_sub_next(spec->name, sub)))
        count++;
    resp_put_array(out, count);
    while ((sub = commands_sub_next(spec->name, sub))) {
        snprintf(name, sizeof name, "%s|%s", spec->name, sub->name);
        command_put(out, name, sub->arity, spec->flags, NULL, protocol);
        resp_put_array(out, 0);
    }
}

static void command_all(struct router *router, struct client *client)
{
    struct buffer *out = client_reply(router, client);

    resp_put_array(out, commands_count());
    for (uint32_t i = 0; i < commands_count(); i++)
        command_put_spec(out, commands_at(i), client->protocol);
    client_reply_end(router, client);
}

void server_command(struct router *router, struct client *client, const struct wire_bytes *args,
                    uint32_t count)
{
    if (count == 1)
        command_all(router, client);
    else
        commands_run_sub(router, client, "command", args, count);
}

void server_command_count(struct router *router, struct client *client,
                          const struct wire_bytes *args, uint32_t count)
{
    (void)args;
    (void)count;
    resp_put_integer(client_reply(router, client), commands_count());
    client_reply_end(router, client);
}

void server_command_info(struct router *router, struct client *client,
                         const struct wire_bytes *args, uint32_t count)
{
    struct buffer *out;

    if (count == 2) {
        command_all(router, client);
        return;
    }
    out = client_reply(router, client);
    resp_put_array(out, count - 2);
    for (uint32_t i = 2; i < count; i++) {
        const struct command_spec *spec = commands_find(&router->commands, &args[i]);

        if (spec)
            command_put_spec(out, spec, client->protocol);
        else if (client->protocol == 3)
            resp_put_nil(out, 3);
        else
            buffer_append_text(out, "*-1\r\n");
    }
    client_reply_end(router, client);
}

static void command_put_docs(struct buffer *out, const struct command_spec *spec, uint8_t protocol)
{
    const struct command_sub *sub = NULL;
    uint64_t count = 0;
    char name[64];

    while ((sub = commands_sub_next(spec->name, sub)))
        count++;
    resp_put_text(out, spec->name);
    resp_put_map(out, count > 0 ? 4 : 3, protocol);
    resp_put_text(out, "summary");
    resp_put_text(out, spec->summary);
    resp_put_text(out, "since");
    resp_put_text(out, spec->since);
    resp_put_text(out, "group");
    resp_put_text(out, spec->group);
    if (count == 0)
        return;
    resp_put_text(out, "subcommands");
    resp_put_map(out, count, protocol);
    while ((sub = commands_sub_next(spec->name, sub))) {
        snprintf(name, sizeof name, "%s|%s", spec->name, sub->name);
        resp_put_text(out, name);
        resp_put_map(out, 3, protocol);
        resp_put_text(out, "summary");
        resp_put_text(out, spec->summary);
        resp_put_text(out, "since");
        resp_put_text(out, spec->since);
        resp_put_text(out, "group");
        resp_put_text(out, spec->group);
    }
}

void server_command_docs(struct router *router, struct client *client,
                         const struct wire_bytes *args, uint32_t count)
{
    struct buffer *out = client_reply(router, client);
    uint64_t known = 0;

    if (count == 2) {
        resp_put_map(out, commands_count(), client->protocol);
        for (uint32_t i = 0; i < commands_count(); i++)
            command_put_docs(out, commands_at(i), client->protocol);
        client_reply_end(router, client);
        return;
    }
    for (uint32_t i = 2; i < count; i++)
        known += commands_find(&router->commands, &args[i]) ? 1 : 0;
    resp_put_map(out, known, client->protocol);
    for (uint32_t i = 2; i < count; i++) {
        const struct command_spec *spec = commands_find(&router->commands, &args[i]);

        if (spec)
            command_put_docs(out, spec, client->protocol);
    }
    client_reply_end(router, client);
}

void server_command_list(struct router *router, struct client *client,
                         const struct wire_bytes *args, uint32_t count)
{
    bool filtered =
        count == 5 && commands_is(&args[2], "filterby") && commands_is(&args[3], "pattern");
    struct buffer *out;
    uint64_t matches = 0;

    if (count != 2 && !filtered) {
        client_error(router, client, "ERR syntax error");
        return;
    }
    out = client_reply(router, client);
    for (int pass = 0; pass < 2; pass++) {
        if (pass == 1)
            resp_put_set(out, matches, client->protocol);
        for (uint32_t i = 0; i < commands_count(); i++) {
            const char *name = commands_at(i)->name;

            if (filtered && !glob_match((const char *)args[4].data, args[4].size, name,
                                        strlen(name), GLOB_ANY_CASE))
                continue;
            if (pass == 0)
                matches++;
            else
                resp_put_text(out, name);
        }
    }
    client_reply_end(router, client);
}

void server_command_getkeys(struct router *router, struct client *client,
                            const struct wire_bytes *args, uint32_t count)
{
    const struct command_spec *spec = commands_find(&router->commands, &args[2]);
    struct buffer *out;
    uint32_t given = count - 2, last, step;

    if (!spec) {
        client_error(router, client, "ERR Invalid command specified");
        return;
    }
    if (spec->key_first == 0) {
        client_error(router, client, "ERR The command has no key arguments");
        return;
    }
    if (spec->arity >= 0 ? given != (uint32_t)spec->arity : given < (uint32_t)-spec->arity) {
        client_error(router, client, "ERR Invalid number of arguments specified for command");
        return;
    }
    last = spec->key_last < 0 ? given - (uint32_t)-spec->key_last : (uint32_t)spec->key_last;
    step = (uint32_t)spec->key_step;
    out = client_reply(router, client);
    resp_put_array(out, (last - 1) / step + 1);
    for (uint32_t i = 1; i <= last; i += step)
        resp_put_bulk(out, args[2 + i].data, args[2 + i].size);
    client_reply_end(router, client);
}
