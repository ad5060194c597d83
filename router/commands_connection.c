/* Commands about the connection itself. All are answered at once. */
#include "router/router_internal.h"

#include <assert.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#define CONNECTION_WRONGPASS "WRONGPASS invalid username-password pair or user is disabled."

static void connection_ok(struct router *router, struct client *client)
{
    resp_put_simple(client_reply(router, client), "OK");
    client_reply_end(router, client);
}

void connection_ping(struct router *router, struct client *client, const struct wire_bytes *args,
                     uint32_t count)
{
    if (count > 2) {
        client_error(router, client, "ERR wrong number of arguments for 'ping' command");
        return;
    }
    if (count == 2)
        resp_put_bulk(client_reply(router, client), args[1].data, args[1].size);
    else
        resp_put_simple(client_reply(router, client), "PONG");
    client_reply_end(router, client);
}

void connection_echo(struct router *router, struct client *client, const struct wire_bytes *args,
                     uint32_t count)
{
    (void)count;
    resp_put_bulk(client_reply(router, client), args[1].data, args[1].size);
    client_reply_end(router, client);
}

void connection_select(struct router *router, struct client *client, const struct wire_bytes *args,
                       uint32_t count)
{
    int64_t number;

    (void)count;
    if (!resp_integer(args[1].data, args[1].size, &number) || number < INT32_MIN ||
        number > INT32_MAX)
        client_error(router, client, "ERR value is not an integer or out of range");
    else if (number != 0)
        client_error(router, client, "ERR DB index is out of range");
    else
        connection_ok(router, client);
}

void connection_quit(struct router *router, struct client *client, const struct wire_bytes *args,
                     uint32_t count)
{
    (void)args;
    (void)count;
    connection_ok(router, client);
    client->closing = true;
}

static void connection_authenticated(struct client *client, bool authenticated)
{
    client->authenticated = authenticated;
    client->parser.authenticated = authenticated;
}

void connection_reset(struct router *router, struct client *client, const struct wire_bytes *args,
                      uint32_t count)
{
    (void)args;
    (void)count;
    client->protocol = 2;
    client->name[0] = '\0';
    connection_authenticated(client, router->options.password[0] == '\0');
    resp_put_simple(client_reply(router, client), "RESET");
    client_reply_end(router, client);
}

/* In a time that does not depend on where the two differ. */
static bool connection_password_matches(const struct router *router, const struct wire_bytes *given)
{
    char padded[sizeof router->options.password] = {0};
    bool fits;

    assert(given);
    fits = given->size < sizeof padded;
    if (fits && given->size > 0)
        memcpy(padded, given->data, given->size);
    /* Zeros inside what is given would make it equal to a shorter password. */
    fits = fits && strlen(padded) == given->size;
    return (sodium_memcmp(padded, router->options.password, sizeof padded) == 0) && fits;
}

/* user NULL: the default one. Without a password any will do for the default user, as in Redis. */
static bool connection_login(const struct router *router, struct client *client,
                             const struct wire_bytes *user, const struct wire_bytes *password)
{
    bool known = !user || (user->size == 7 && memcmp(user->data, "default", 7) == 0);

    if (router->options.password[0] != '\0')
        known = connection_password_matches(router, password) && known;
    if (known)
        connection_authenticated(client, true);
    return known;
}

void connection_auth(struct router *router, struct client *client, const struct wire_bytes *args,
                     uint32_t count)
{
    if (count > 3)
        client_error(router, client, "ERR syntax error");
    else if (count == 2 && router->options.password[0] == '\0')
        client_error(router, client,
                     "ERR AUTH <password> called without any password configured for the default "
                     "user. Are you sure your configuration is correct?");
    else if (connection_login(router, client, count == 3 ? &args[1] : NULL, &args[count - 1]))
        connection_ok(router, client);
    else
        client_error(router, client, CONNECTION_WRONGPASS);
}

static bool connection_printable(const struct wire_bytes *text)
{
    for (size_t i = 0; i < text->size; i++)
        if (text->data[i] < '!' || text->data[i] > '~')
            return false;
    return true;
}

/* Sets one of the client's texts; an error for the client otherwise. */
static const char *connection_set_text(char to[CLIENT_NAME_SIZE], const struct wire_bytes *text)
{
    if (!connection_printable(text))
        return "cannot contain spaces, newlines or special characters.";
    if (text->size >= CLIENT_NAME_SIZE)
        return "cannot be longer than 63 bytes.";
    memset(to, 0, CLIENT_NAME_SIZE);
    memcpy(to, text->data, text->size);
    return NULL;
}

static void connection_hello_reply(struct router *router, struct client *client)
{
    struct buffer *out = client_reply(router, client);
    uint8_t protocol = client->protocol;

    resp_put_map(out, 7, protocol);
    resp_put_text(out, "server");
    resp_put_text(out, "redis");
    resp_put_text(out, "version");
    resp_put_text(out, COMMANDS_REDIS_VERSION);
    resp_put_text(out, "proto");
    resp_put_integer(out, protocol);
    resp_put_text(out, "id");
    resp_put_integer(out, (int64_t)client->id);
    resp_put_text(out, "mode");
    resp_put_text(out, "standalone");
    resp_put_text(out, "role");
    resp_put_text(out, "master");
    resp_put_text(out, "modules");
    resp_put_array(out, 0);
    client_reply_end(router, client);
}

/* AUTH and SETNAME of HELLO. False: the client has its error. */
static bool connection_hello_options(struct router *router, struct client *client,
                                     const struct wire_bytes *args, uint32_t count)
{
    const struct wire_bytes *name = NULL;
    char text[160];
    const char *wrong;

    for (uint32_t i = 2; i < count; i++) {
        if (commands_is(&args[i], "auth") && i + 2 < count) {
            if (!connection_login(router, client, &args[i + 1], &args[i + 2])) {
                client_error(router, client, CONNECTION_WRONGPASS);
                return false;
            }
            i += 2;
        } else if (commands_is(&args[i], "setname") && i + 1 < count) {
            name = &args[++i];
        } else {
            snprintf(text, sizeof text, "ERR Syntax error in HELLO option '%.*s'",
                     (int)(args[i].size < 64 ? args[i].size : 64), (const char *)args[i].data);
            client_error(router, client, text);
            return false;
        }
    }
    if (!client->authenticated) {
        client_error(router, client,
                     "NOAUTH HELLO must be called with the client already authenticated, "
                     "otherwise the HELLO <proto> AUTH <user> <pass> option can be used to "
                     "authenticate the client and select the RESP protocol version at the same "
                     "time");
        return false;
    }
    wrong = name ? connection_set_text(client->name, name) : NULL;
    if (wrong) {
        snprintf(text, sizeof text, "ERR Client names %s", wrong);
        client_error(router, client, text);
        return false;
    }
    return true;
}

void connection_hello(struct router *router, struct client *client, const struct wire_bytes *args,
                      uint32_t count)
{
    int64_t protocol = client->protocol;

    if (count > 1 && !resp_integer(args[1].data, args[1].size, &protocol)) {
        client_error(router, client, "ERR Protocol version is not an integer or out of range");
        return;
    }
    if (protocol != 2 && protocol != 3) {
        client_error(router, client, "NOPROTO unsupported protocol version");
        return;
    }
    if (!connection_hello_options(router, client, args, count))
        return;
    client->protocol = (uint8_t)protocol;
    connection_hello_reply(router, client);
}

void connection_client(struct router *router, struct client *client, const struct wire_bytes *args,
                       uint32_t count)
{
    commands_run_sub(router, client, "client", args, count);
}

void connection_client_id(struct router *router, struct client *client,
                          const struct wire_bytes *args, uint32_t count)
{
    (void)args;
    (void)count;
    resp_put_integer(client_reply(router, client), (int64_t)client->id);
    client_reply_end(router, client);
}

void connection_client_getname(struct router *router, struct client *client,
                               const struct wire_bytes *args, uint32_t count)
{
    struct buffer *out = client_reply(router, client);

    (void)args;
    (void)count;
    if (client->name[0])
        resp_put_text(out, client->name);
    else
        resp_put_nil(out, client->protocol);
    client_reply_end(router, client);
}

void connection_client_setname(struct router *router, struct client *client,
                               const struct wire_bytes *args, uint32_t count)
{
    const char *wrong = connection_set_text(client->name, &args[2]);
    char text[96];

    (void)count;
    if (wrong) {
        snprintf(text, sizeof text, "ERR Client names %s", wrong);
        client_error(router, client, text);
        return;
    }
    connection_ok(router, client);
}

void connection_client_setinfo(struct router *router, struct client *client,
                               const struct wire_bytes *args, uint32_t count)
{
    bool library = commands_is(&args[2], "lib-name");
    const char *wrong;
    char text[160];

    (void)count;
    if (!library && !commands_is(&args[2], "lib-ver")) {
        snprintf(text, sizeof text, "ERR Unrecognized option '%.*s'",
                 (int)(args[2].size < 64 ? args[2].size : 64), (const char *)args[2].data);
        client_error(router, client, text);
        return;
    }
    wrong = connection_set_text(library ? client->library : client->library_version, &args[3]);
    if (wrong) {
        snprintf(text, sizeof text, "ERR %s %s", library ? "lib-name" : "lib-ver", wrong);
        client_error(router, client, text);
        return;
    }
    connection_ok(router, client);
}

void connection_client_no_evict(struct router *router, struct client *client,
                                const struct wire_bytes *args, uint32_t count)
{
    (void)count;
    if (commands_is(&args[2], "on") || commands_is(&args[2], "off"))
        connection_ok(router, client);
    else
        client_error(router, client, "ERR syntax error");
}

static void connection_line(const struct router *router, const struct client *client,
                            struct buffer *out)
{
    buffer_printf(out,
                  "id=%" PRIu64 " addr=%s laddr=%s fd=-1 name=%s age=%" PRIu64 " idle=%" PRIu64
                  " flags=N db=0 sub=0 psub=0 ssub=0 multi=-1 qbuf=%zu qbuf-free=%zu obl=%zu "
                  "oll=0 omem=%zu cmd=%s user=default redir=-1 resp=%u pending=%u lib-name=%s "
                  "lib-ver=%s\n",
                  client->id, client->address, router->options.address, client->name,
                  (router->now_ms - client->opened_ms) / 1000,
                  (router->now_ms - client->active_ms) / 1000, client->input.size,
                  client->input.capacity - client->input.size, client->output.size,
                  client_held(client), client->command ? client->command->name : "NULL",
                  client->protocol, client->requests, client->library, client->library_version);
}

static void connection_text_reply(struct router *router, struct client *client, struct buffer *text)
{
    struct buffer *out = client_reply(router, client);

    out->failed |= text->failed;
    resp_put_verbatim(out, text->data, text->size, client->protocol);
    client_reply_end(router, client);
    buffer_deinit(text);
}

void connection_client_info(struct router *router, struct client *client,
                            const struct wire_bytes *args, uint32_t count)
{
    struct buffer text = {0};

    (void)args;
    (void)count;
    connection_line(router, client, &text);
    connection_text_reply(router, client, &text);
}

void connection_client_list(struct router *router, struct client *client,
                            const struct wire_bytes *args, uint32_t count)
{
    struct buffer text = {0};
    bool normal = count == 2 || (count == 4 && commands_is(&args[2], "type"));
    bool by_id = count >= 4 && commands_is(&args[2], "id");

    if (!normal && !by_id) {
        client_error(router, client, "ERR syntax error");
        return;
    }
    if (normal && count == 4 && !commands_is(&args[3], "normal"))
        normal = false; /* of other types there are none */
    for (const struct client *c = router->clients.first; normal && c; c = c->list_next)
        connection_line(router, c, &text);
    for (uint32_t i = 3; by_id && i < count; i++) {
        int64_t id;
        const struct client *c;

        if (!resp_integer(args[i].data, args[i].size, &id) || id < 1) {
            buffer_deinit(&text);
            client_error(router, client, "ERR Invalid client ID");
            return;
        }
        c = clients_find(&router->clients, (uint64_t)id);
        if (c)
            connection_line(router, c, &text);
    }
    connection_text_reply(router, client, &text);
}
