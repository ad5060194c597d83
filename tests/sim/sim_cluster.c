#include "tests/sim/sim_cluster.h"

#include "ring/placement.h"
#include "ring/wire.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The admin is endpoint 0: it dials every node and repeats each step until all have answered. */

struct sim_node *sim_cluster_node(struct sim_cluster *cluster, uint8_t number)
{
    assert(number >= 1);
    assert(number <= cluster->node_count);
    return &cluster->nodes[number - 1];
}

bool sim_cluster_founded(const struct sim_cluster *cluster)
{
    return cluster->admin_step == 2;
}

static void genesis_make(struct sim_cluster *cluster)
{
    struct sim *sim = cluster->sim;
    struct ringmap *map = &cluster->map;
    struct sim_random *random = sim_stream(sim, SIM_STREAM_HOST);
    int r = ringmap_init(map, sim->swarm.nodes, SIM_PARTITIONS, sim->swarm.replicas);
    assert(r == 0);
    map->epoch = 1;
    vault_init(&cluster->vault);
    r = vault_add(&cluster->vault, 1, (const uint8_t[VAULT_KEY_SIZE]){1});
    assert(r == 0);
    vault_use(&cluster->vault, 1);
    for (size_t i = 0; i < sizeof map->cluster; i++)
        map->cluster[i] = (uint8_t)sim_random_next(random);
    for (size_t i = 0; i < sizeof map->hash_secret; i++)
        map->hash_secret[i] = (uint8_t)sim_random_next(random);
    for (uint32_t i = 0; i < sim->swarm.nodes; i++) {
        struct ringmap_member *member = &map->members[i];
        member->id = (uint16_t)(i + 1);
        member->state = RINGMAP_STATE_ACTIVE;
        member->weight = RINGMAP_WEIGHT_DEFAULT;
        member->public_key[0] = (uint8_t)(i + 1);
        (void)snprintf(member->address, sizeof member->address, "127.0.0.1:%u", 7000 + i);
    }
    r = placement_solve(map);
    assert(r == 0);
    r = placement_meta_voters(map);
    assert(r == 0);
    ringmap_check(map);
    cluster->blob_size = ringmap_encoded_size(map);
    cluster->blob = malloc(cluster->blob_size);
    assert(cluster->blob);
    ringmap_encode(map, cluster->blob);
    ringmap_hash(cluster->blob, cluster->blob_size, cluster->hash);
}

static void admin_send(struct sim_cluster *cluster, uint8_t node)
{
    struct wire_buffer body = {0};
    bool prepare = cluster->admin_step == 0;
    if (prepare)
        wire_put_bin(&body, cluster->blob, cluster->blob_size);
    else
        wire_put_bin(&body, cluster->hash, sizeof cluster->hash);
    struct link_message message = {.type = prepare ? WIRE_PREPARE : WIRE_COMMIT,
                                   .partition = WIRE_PARTITION_NODE,
                                   .correlation = (uint64_t)cluster->admin_step + 1,
                                   .body = body.data,
                                   .body_size = body.size};
    sim_net_send(cluster->net, 0, node, true, 0, &message);
    wire_buffer_deinit(&body);
}

static void run_admin(void *context, uint64_t argument)
{
    struct sim_cluster *cluster = context;
    (void)argument;
    if (sim_cluster_founded(cluster))
        return;
    for (uint8_t i = 1; i <= cluster->node_count; i++)
        if (!(cluster->admin_replies >> i & 1))
            admin_send(cluster, i);
    sim_after(cluster->sim, 200 * SIM_MS, run_admin, cluster, 0);
}

static void admin_on_link(void *context, uint8_t peer, uint64_t link, bool by_us)
{
    (void)context;
    (void)peer;
    (void)link;
    (void)by_us;
}

static void admin_on_message(void *context, struct sim_message *message, bool by_us)
{
    struct sim_cluster *cluster = context;
    struct wire_cursor cursor;
    (void)by_us;
    wire_cursor_init(&cursor, message->message.body, message->message.body_size);
    bool ok = wire_get_array(&cursor, 3) == 3 && wire_get_bool(&cursor);
    if (message->message.correlation == (uint64_t)cluster->admin_step + 1) {
        size_t size = 0;
        const char *why = ok ? "" : wire_get_string(&cursor, 200, &size);
        if (!ok)
            sim_trace(cluster->sim, 1, "admin: node %u refuses: %.*s", message->from, (int)size,
                      why ? why : "");
        else
            cluster->admin_replies |= 1u << message->from;
    }
    sim_message_free(message);
    if (cluster->admin_replies != (1u << (cluster->node_count + 1)) - 2)
        return;
    cluster->admin_replies = 0;
    cluster->admin_step++;
    sim_trace(cluster->sim, 1, "admin: all nodes have %s",
              cluster->admin_step == 1 ? "prepared" : "committed");
    if (sim_cluster_founded(cluster))
        sim_net_stop(cluster->net, 0, false);
}

void sim_cluster_init(struct sim_cluster *cluster, struct sim *sim,
                      const struct sim_observer *observer)
{
    memset(cluster, 0, sizeof *cluster);
    cluster->sim = sim;
    cluster->observer = *observer;
    cluster->net = sim_net_new(sim);
    cluster->node_count = sim->swarm.nodes;
    cluster->router_count = sim->swarm.routers;
    genesis_make(cluster);
    for (uint32_t i = 0; i < cluster->node_count; i++)
        sim_node_init(&cluster->nodes[i], cluster, (uint8_t)(i + 1));
    for (uint32_t i = 0; i < cluster->router_count; i++)
        sim_router_init(&cluster->routers[i], cluster, (uint8_t)i);
}

void sim_cluster_deinit(struct sim_cluster *cluster)
{
    memset(&cluster->observer, 0, sizeof cluster->observer);
    for (uint32_t i = 0; i < cluster->router_count; i++)
        sim_router_deinit(&cluster->routers[i]);
    for (uint32_t i = 0; i < cluster->node_count; i++)
        sim_node_deinit(&cluster->nodes[i]);
    cluster->net = sim_net_free(cluster->net);
    ringmap_deinit(&cluster->map);
    free(cluster->blob);
}

void sim_cluster_start(struct sim_cluster *cluster)
{
    struct sim_net_handler handler = {cluster, admin_on_link, admin_on_link, admin_on_message};
    for (uint32_t i = 0; i < cluster->node_count; i++)
        sim_node_start(&cluster->nodes[i]);
    for (uint32_t i = 0; i < cluster->router_count; i++)
        sim_router_start(&cluster->routers[i]);
    sim_net_start(cluster->net, 0, &handler);
    for (uint8_t i = 1; i <= cluster->node_count; i++)
        sim_net_dial(cluster->net, 0, i);
    sim_after(cluster->sim, 10 * SIM_MS, run_admin, cluster, 0);
}
