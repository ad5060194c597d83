#include "router/info.h"

#include "router/router_internal.h"

#include <inttypes.h>
#include <string.h>

static const struct {
    const char *name;
    uint32_t sections;
} names[] = {
    {"server", INFO_SERVER},     {"clients", INFO_CLIENTS},         {"memory", INFO_MEMORY},
    {"stats", INFO_STATS},       {"replication", INFO_REPLICATION}, {"cluster", INFO_CLUSTER},
    {"keyspace", INFO_KEYSPACE}, {"ringcask", INFO_RINGCASK},       {"all", INFO_ALL},
    {"default", INFO_ALL},       {"everything", INFO_ALL},
};

uint32_t info_section(const struct wire_bytes *word)
{
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (commands_is(word, names[i].name))
            return names[i].sections;
    return 0;
}

static void info_server(struct router *router, struct buffer *out)
{
    uint64_t uptime_s = (router->now_ms - router->start_ms) / 1000;
    const char *port = strrchr(router->options.address, ':');

    buffer_printf(out,
                  "# Server\r\nredis_version:%s\r\nredis_mode:standalone\r\n"
                  "ringcask_version:%s\r\narch_bits:%zu\r\nrun_id:%040" PRIx64 "\r\n"
                  "tcp_port:%s\r\nserver_time_usec:%" PRIu64 "\r\nuptime_in_seconds:%" PRIu64
                  "\r\nuptime_in_days:%" PRIu64 "\r\n",
                  COMMANDS_REDIS_VERSION, RINGCASK_VERSION, sizeof(void *) * 8,
                  router->options.session, port ? port + 1 : "0", router->wall_ms * 1000, uptime_s,
                  uptime_s / 86400);
}

static void info_clients(struct router *router, struct buffer *out)
{
    uint32_t paused = 0;

    for (const struct client *c = router->clients.first; c; c = c->list_next)
        paused += client_paused(router, c) ? 1 : 0;
    buffer_printf(out,
                  "# Clients\r\nconnected_clients:%u\r\ncluster_connections:0\r\n"
                  "maxclients:%u\r\nblocked_clients:0\r\npaused_clients:%u\r\n",
                  router->clients.count, router->options.clients_max, paused);
}

static void info_memory(struct router *router, struct buffer *out)
{
    size_t clients = 0;
    size_t used;

    for (const struct client *c = router->clients.first; c; c = c->list_next)
        clients +=
            sizeof *c + c->input.capacity + c->output.capacity + resp_parser_memory(&c->parser);
    used = router->slab.used + clients;
    buffer_printf(out,
                  "# Memory\r\nused_memory:%zu\r\nused_memory_operations:%zu\r\n"
                  "used_memory_clients:%zu\r\nmaxmemory:0\r\nmaxmemory_policy:noeviction\r\n",
                  used, router->operations_size, clients);
}

static void info_stats(struct router *router, struct buffer *out)
{
    const struct router_stats *stats = &router->stats;

    buffer_printf(out,
                  "# Stats\r\ntotal_connections_received:%" PRIu64
                  "\r\ntotal_commands_processed:%" PRIu64 "\r\ntotal_net_input_bytes:%" PRIu64
                  "\r\ntotal_net_output_bytes:%" PRIu64 "\r\ntotal_error_replies:%" PRIu64
                  "\r\noperations:%" PRIu64 "\r\nattempts:%" PRIu64 "\r\nretries:%" PRIu64
                  "\r\nlane_stalls:%" PRIu64 "\r\nrefused_results:%" PRIu64
                  "\r\nunknown_results:%" PRIu64 "\r\n",
                  stats->connections, stats->commands, stats->input_bytes, stats->output_bytes,
                  stats->errors, stats->operations, stats->attempts, stats->retries, stats->stalls,
                  stats->refused, stats->unknown);
}

static void info_ringcask(struct router *router, struct buffer *out)
{
    uint32_t leaders = 0, stalled = 0, nodes = 0;

    for (uint32_t p = 0; p < router->lane_count; p++) {
        const struct lane *lane = &router->lanes[p];

        leaders += pool_up(&router->pool, lane->leader) ? 1 : 0;
        stalled += lane->active && lane->state != LANE_RUNNING ? 1 : 0;
    }
    for (uint32_t i = 0; router->map_known && i < router->map.member_count; i++)
        nodes +=
            router->map.members[i].id != 0 && router->map.members[i].state != RINGMAP_STATE_REMOVED
                ? 1
                : 0;
    buffer_printf(out,
                  "# Ringcask\r\nepoch:%" PRIu64 "\r\nnodes:%u\r\nnodes_up:%u\r\n"
                  "partitions:%u\r\nreplicas:%u\r\npartitions_with_leader:%u\r\n"
                  "lanes_stalled:%u\r\noperations_in_flight:%u\r\nlocked_out:%s\r\n",
                  router->map_known ? router->map.epoch : 0, nodes, router->pool.up_count,
                  router->lane_count, router->map_known ? ringmap_copies(&router->map) : 0, leaders,
                  stalled, router->operations, router->locked_out);
}

static void info_separate(struct buffer *out, size_t start)
{
    if (out->size > start)
        buffer_append_text(out, "\r\n");
}

void info_write(struct router *router, uint32_t sections, int64_t keys, struct buffer *out)
{
    static void (*const writers[])(struct router *, struct buffer *) = {info_server, info_clients,
                                                                        info_memory, info_stats};
    size_t start = out->size;

    for (uint32_t i = 0; i < sizeof writers / sizeof writers[0]; i++) {
        if (!(sections & 1u << i))
            continue;
        info_separate(out, start);
        writers[i](router, out);
    }
    if (sections & INFO_REPLICATION) {
        info_separate(out, start);
        buffer_append_text(out, "# Replication\r\nrole:master\r\nconnected_slaves:0\r\n");
    }
    if (sections & INFO_CLUSTER) {
        info_separate(out, start);
        buffer_append_text(out, "# Cluster\r\ncluster_enabled:0\r\n");
    }
    if (sections & INFO_RINGCASK) {
        info_separate(out, start);
        info_ringcask(router, out);
    }
    if (sections & INFO_KEYSPACE) {
        info_separate(out, start);
        buffer_append_text(out, "# Keyspace\r\n");
        if (keys > 0)
            buffer_printf(out, "db0:keys=%" PRId64 ",expires=0,avg_ttl=0\r\n", keys);
    }
}

void info_reply(struct router *router, struct request *request, struct buffer *out)
{
    struct buffer text = {0};
    bool counted = request->parts_left == 0 && request->outcome == REQUEST_OUTCOME_OK;

    info_write(router, request->sections, counted ? request->sum : -1, &text);
    resp_put_verbatim(out, text.data, text.size, request->protocol);
    out->failed |= text.failed;
    buffer_deinit(&text);
}
