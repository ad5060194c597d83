/* Commands about the router and the cluster. */
#include "router/router_internal.h"
#include "router/glob.h"
#include "router/info.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static void server_ok(struct router *router, struct client *client)
{
    resp_put_simple(client_reply(router, client), "OK");
    client_reply_end(router, client);
}

static void server_empty(struct router *router, struct client *client)
{
    resp_put_array(client_reply(router, client), 0);
    client_reply_end(router, client);
}

static void server_zero(struct router *router, struct client *client)
{
    resp_put_integer(client_reply(router, client), 0);
    client_reply_end(router, client);
}

static bool server_takes(struct router *router, struct client *client)
{
    char text[ROUTER_DOWN_SIZE];
    const char *down = router_down(router, text);

    if (down)
        client_error(router, client, down);
    return !down;
}

void server_dbsize(struct router *router, struct client *client, const struct wire_bytes *args,
                   uint32_t count)
{
    (void)args;
    (void)count;
    if (server_takes(router, client))
        scatter_count(router, client, REQUEST_SUM, 0, 0);
}

/* The key count, and who leads, need every partition: they are asked, and waited for only so long.
 */
void server_info(struct router *router, struct client *client, const struct wire_bytes *args,
                 uint32_t count)
{
    uint32_t sections = count == 1 ? INFO_ALL : 0;
    char down[ROUTER_DOWN_SIZE];
    struct request *request;
    struct buffer text = {0};
    struct buffer *out;

    for (uint32_t i = 1; i < count; i++)
        sections |= info_section(&args[i]);
    if ((sections & (INFO_KEYSPACE | INFO_RINGCASK)) && !router_down(router, down) &&
        scatter_admitted(router, router->lane_count, 0)) {
        request =
            scatter_count(router, client, REQUEST_INFO, router->now_ms + INFO_WAIT_MS, sections);
        if (request) {
            struct request **last = &router->timed;

            while (*last)
                last = &(*last)->timed_next;
            *last = request;
            router_due(router, request->expires_ms);
        }
        return;
    }
    info_write(router, sections, -1, &text);
    out = client_reply(router, client);
    out->failed |= text.failed;
    resp_put_verbatim(out, text.data, text.size, client->protocol);
    client_reply_end(router, client);
    buffer_deinit(&text);
}

void server_time(struct router *router, struct client *client, const struct wire_bytes *args,
                 uint32_t count)
{
    struct buffer *out = client_reply(router, client);
    char text[32];

    (void)args;
    (void)count;
    resp_put_array(out, 2);
    snprintf(text, sizeof text, "%" PRIu64, router->wall_ms / 1000);
    resp_put_text(out, text);
    snprintf(text, sizeof text, "%" PRIu64, router->wall_ms % 1000 * 1000);
    resp_put_text(out, text);
    client_reply_end(router, client);
}

void server_cluster(struct router *router, struct client *client, const struct wire_bytes *args,
                    uint32_t count)
{
    (void)args;
    (void)count;
    client_error(router, client, "ERR This instance has cluster support disabled");
}

void server_config(struct router *router, struct client *client, const struct wire_bytes *args,
                   uint32_t count)
{
    commands_run_sub(router, client, "config", args, count);
}

#define CONFIG_COUNT 12u

void server_config_get(struct router *router, struct client *client, const struct wire_bytes *args,
                       uint32_t count)
{
    const struct router_options *options = &router->options;
    char numbers[4][24];
    const char *port = strrchr(options->address, ':');
    const char *const values[CONFIG_COUNT][2] = {
        {"appendfsync", "always"},
        {"appendonly", "yes"},
        {"client-output-buffer-limit", numbers[0]},
        {"databases", "1"},
        {"maxclients", numbers[1]},
        {"maxmemory", "0"},
        {"maxmemory-policy", "noeviction"},
        {"port", port ? port + 1 : "0"},
        {"proto-max-bulk-len", numbers[2]},
        {"save", ""},
        {"tcp-keepalive", "300"},
        {"timeout", "0"},
    };
    struct buffer *out = client_reply(router, client);
    bool wanted[CONFIG_COUNT] = {false};
    uint64_t matches = 0;

    snprintf(numbers[0], sizeof numbers[0], "%zu", options->client_output_max);
    snprintf(numbers[1], sizeof numbers[1], "%u", options->clients_max);
    snprintf(numbers[2], sizeof numbers[2], "%zu", options->value_size_max);
    for (uint32_t i = 0; i < CONFIG_COUNT; i++) {
        for (uint32_t a = 2; a < count && !wanted[i]; a++)
            wanted[i] = glob_match((const char *)args[a].data, args[a].size, values[i][0],
                                   strlen(values[i][0]), GLOB_ANY_CASE);
        matches += wanted[i] ? 1 : 0;
    }
    resp_put_map(out, matches, client->protocol);
    for (uint32_t i = 0; i < CONFIG_COUNT; i++) {
        if (!wanted[i])
            continue;
        resp_put_text(out, values[i][0]);
        resp_put_text(out, values[i][1]);
    }
    client_reply_end(router, client);
}

void server_config_set(struct router *router, struct client *client, const struct wire_bytes *args,
                       uint32_t count)
{
    (void)args;
    (void)count;
    client_error(router, client,
                 "ERR CONFIG SET is not supported: nothing here can be changed "
                 "while the router runs");
}

void server_config_resetstat(struct router *router, struct client *client,
                             const struct wire_bytes *args, uint32_t count)
{
    (void)args;
    (void)count;
    memset(&router->stats, 0, sizeof router->stats);
    server_ok(router, client);
}

void server_latency(struct router *router, struct client *client, const struct wire_bytes *args,
                    uint32_t count)
{
    commands_run_sub(router, client, "latency", args, count);
}

void server_latency_latest(struct router *router, struct client *client,
                           const struct wire_bytes *args, uint32_t count)
{
    (void)args;
    (void)count;
    server_empty(router, client);
}

void server_latency_histogram(struct router *router, struct client *client,
                              const struct wire_bytes *args, uint32_t count)
{
    (void)args;
    (void)count;
    resp_put_map(client_reply(router, client), 0, client->protocol);
    client_reply_end(router, client);
}

void server_latency_reset(struct router *router, struct client *client,
                          const struct wire_bytes *args, uint32_t count)
{
    (void)args;
    (void)count;
    server_zero(router, client);
}

void server_slowlog(struct router *router, struct client *client, const struct wire_bytes *args,
                    uint32_t count)
{
    commands_run_sub(router, client, "slowlog", args, count);
}

void server_slowlog_get(struct router *router, struct client *client, const struct wire_bytes *args,
                        uint32_t count)
{
    (void)args;
    (void)count;
    server_empty(router, client);
}

void server_slowlog_len(struct router *router, struct client *client, const struct wire_bytes *args,
                        uint32_t count)
{
    (void)args;
    (void)count;
    server_zero(router, client);
}

void server_slowlog_reset(struct router *router, struct client *client,
                          const struct wire_bytes *args, uint32_t count)
{
    (void)args;
    (void)count;
    server_ok(router, client);
}

void server_module(struct router *router, struct client *client, const struct wire_bytes *args,
                   uint32_t count)
{
    commands_run_sub(router, client, "module", args, count);
}

void server_module_list(struct router *router, struct client *client, const struct wire_bytes *args,
                        uint32_t count)
{
    (void)args;
    (void)count;
    server_empty(router, client);
}
