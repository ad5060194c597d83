#include "tests/sim/sim_cluster.h"

#include "ring/placement.h"
#include "ring/voters.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct sim_node *sim_cluster_node(struct sim_cluster *cluster, uint8_t number)
{
    assert(number >= 1);
    assert(number <= cluster->node_count);
    return &cluster->nodes[number - 1];
}

uint8_t sim_cluster_endpoint_in(const struct ringmap *map, uint16_t member)
{
    const struct ringmap_member *found = map ? ringmap_member(map, member) : NULL;
    return found ? found->public_key[0] : 0;
}

uint16_t sim_cluster_member_in(const struct ringmap *map, uint8_t endpoint)
{
    for (uint32_t i = 0; map && i < map->member_count; i++)
        if (map->members[i].public_key[0] == endpoint)
            return map->members[i].id;
    return 0;
}

void sim_cluster_meet(struct sim_cluster *cluster, const struct ringmap *map)
{
    for (uint32_t i = 0; i < map->member_count; i++) {
        assert(map->members[i].id <= SIM_NODES_MAX);
        cluster->endpoints[map->members[i].id] = map->members[i].public_key[0];
    }
}

struct sim_node *sim_cluster_member(struct sim_cluster *cluster, uint16_t member)
{
    assert(member >= 1);
    assert(member <= SIM_NODES_MAX);
    uint8_t endpoint = cluster->endpoints[member];
    return endpoint ? sim_cluster_node(cluster, endpoint) : NULL;
}

bool sim_cluster_founded(const struct sim_cluster *cluster)
{
    return sim_admin_founded(&cluster->admin);
}

void sim_cluster_zone(uint8_t number, char zone[RINGMAP_ZONE_SIZE])
{
    memset(zone, 0, RINGMAP_ZONE_SIZE);
    if (number > 0)
        (void)snprintf(zone, RINGMAP_ZONE_SIZE, "zone-%u", number);
}

static void genesis_make(struct sim_cluster *cluster)
{
    struct sim *sim = cluster->sim;
    struct ringmap *map = &cluster->map;
    struct sim_random *random = sim_stream(sim, SIM_STREAM_HOST);
    int r = ringmap_init(map, sim->swarm.nodes, SIM_PARTITIONS, sim->swarm.replicas);
    assert(r == 0);
    map->epoch = 1;
    for (size_t i = 0; i < sizeof map->cluster; i++)
        map->cluster[i] = (uint8_t)sim_random_next(random);
    for (size_t i = 0; i < sizeof map->hash_secret; i++)
        map->hash_secret[i] = (uint8_t)sim_random_next(random);
    for (uint32_t i = 0; i < sim->swarm.nodes; i++) {
        struct ringmap_member *member = &map->members[i];
        member->id = (uint16_t)(i + 1);
        member->state = RINGMAP_STATE_ACTIVE;
        member->weight = RINGMAP_WEIGHT_DEFAULT;
        sim_node_identity((uint8_t)(i + 1), member->public_key, member->address);
        sim_cluster_zone(sim->swarm.zone_of[i], member->zone);
    }
    r = placement_solve(map);
    assert(r == 0);
    r = voters_choose(map, NULL);
    assert(r == 0);
    /* Who has no voter's shard learns the map from the others. */
    if (map->meta_voter_count == 5 && sim_random_below(sim_stream(sim, SIM_STREAM_ADMIN), 2)) {
        map->meta_voter_count = 3;
        map->meta_voters[3] = map->meta_voters[4] = 0;
    }
    if (sim->swarm.encrypt)
        sim_admin_add_key(map, sim_stream(sim, SIM_STREAM_ADMIN));
    ringmap_check(map);
    cluster->blob_size = ringmap_encoded_size(map);
    cluster->blob = malloc(cluster->blob_size);
    assert(cluster->blob);
    ringmap_encode(map, cluster->blob);
    ringmap_hash(cluster->blob, cluster->blob_size, cluster->hash);
}

void sim_cluster_init(struct sim_cluster *cluster, struct sim *sim,
                      const struct sim_observer *observer)
{
    memset(cluster, 0, sizeof *cluster);
    cluster->sim = sim;
    cluster->observer = *observer;
    cluster->net = sim_net_new(sim);
    cluster->node_count = sim->swarm.nodes + sim->swarm.spares;
    cluster->router_count = sim->swarm.routers;
    genesis_make(cluster);
    sim_cluster_meet(cluster, &cluster->map);
    for (uint32_t i = 0; i < cluster->node_count; i++)
        sim_node_init(&cluster->nodes[i], cluster, (uint8_t)(i + 1));
    for (uint32_t i = sim->swarm.nodes; i < cluster->node_count; i++)
        cluster->nodes[i].spare = true;
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
    if (cluster->copy.disk)
        sim_disk_free(cluster->copy.disk);
    cluster->net = sim_net_free(cluster->net);
    ringmap_deinit(&cluster->map);
    free(cluster->blob);
}

void sim_cluster_start(struct sim_cluster *cluster)
{
    for (uint32_t i = 0; i < cluster->sim->swarm.nodes; i++)
        sim_node_start(&cluster->nodes[i]);
    for (uint32_t i = 0; i < cluster->router_count; i++)
        sim_router_start(&cluster->routers[i]);
    sim_admin_start(&cluster->admin, cluster);
}

uint64_t sim_cluster_goes_from(const struct sim_cluster *cluster, uint64_t ms)
{
    const struct sim *sim = cluster->sim;
    uint64_t deadline_ms = UINT64_MAX, wait_us = UINT64_MAX;
    if (sim->swarm.fault_mask >> SIM_FAULT_WALL_JUMP & 1)
        return sim->now_us;
    for (uint32_t i = 0; i < cluster->node_count; i++) {
        uint64_t wall_ms = sim_clock_wall_ms(&cluster->nodes[i].clock, sim->now_us);
        deadline_ms = wall_ms + ms < deadline_ms ? wall_ms + ms : deadline_ms;
    }
    for (uint32_t i = 0; i < cluster->node_count; i++) {
        const struct sim_clock *clock = &cluster->nodes[i].clock;
        uint64_t wall_ms = sim_clock_wall_ms(clock, sim->now_us);
        uint64_t left_ms = deadline_ms > wall_ms + 2 ? deadline_ms - wall_ms - 2 : 0;
        uint64_t us = left_ms * 1000 * 1000000 / (uint64_t)(1000000 + clock->rate_ppm);
        wait_us = us < wait_us ? us : wait_us;
    }
    return sim->now_us + wait_us;
}
