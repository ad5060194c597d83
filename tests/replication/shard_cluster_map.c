#include "shard_cluster_internal.h"

#include <criterion/criterion.h>

#include <stdlib.h>
#include <string.h>

#define ADMIN_LINK 78

/* The genesis with room for more nodes and replicas. */
void cluster_map_begin(struct cluster *cluster)
{
    struct ringmap *newest = &cluster->newest;

    cr_assert_eq(ringmap_init(newest, CLUSTER_NODES_MAX, CLUSTER_PARTITIONS, CLUSTER_NODES_MAX), 0);
    newest->epoch = cluster->map.epoch;
    newest->member_count = CLUSTER_NODES;
    memcpy(newest->members, cluster->map.members, CLUSTER_NODES * sizeof *newest->members);
    memcpy(newest->meta_voters, cluster->map.meta_voters, sizeof newest->meta_voters);
    newest->meta_voter_count = cluster->map.meta_voter_count;
    for (uint32_t p = 0; p < CLUSTER_PARTITIONS; p++)
        memcpy(newest->replicas + p * CLUSTER_NODES_MAX,
               cluster->map.replicas + p * cluster->map.replica_count,
               cluster->map.replica_count * sizeof *newest->replicas);
}

void cluster_map_end(struct cluster *cluster)
{
    cluster->newest.member_count = CLUSTER_NODES_MAX;
    ringmap_deinit(&cluster->newest);
}

void cluster_map_tell_node(struct cluster *cluster, int node)
{
    struct shard_event event = {.kind = SHARD_EVENT_MAP, .map = &cluster->newest};

    if (cluster->shards[node])
        cluster_deliver(cluster, node, &event);
}

int cluster_map_join(struct cluster *cluster, bool active)
{
    int node = cluster->nodes++;
    struct ringmap_member *member = &cluster->newest.members[cluster->newest.member_count++];

    cr_assert_lt(node, CLUSTER_NODES_MAX);
    member->id = (uint16_t)(node + 1);
    member->state = active ? RINGMAP_STATE_ACTIVE : RINGMAP_STATE_JOINING;
    member->weight = 100;
    member->public_key[0] = (uint8_t)(node + 1);
    cluster_map_tell(cluster);
    cluster->disks[node] = cluster->media->make((uint64_t)node + 1);
    cluster_open(cluster, node, true);
    cluster_settle(cluster);
    return node;
}

void cluster_map_state(struct cluster *cluster, int node, uint8_t state)
{
    cluster->newest.members[node].state = state;
}

void cluster_map_want(struct cluster *cluster, uint16_t partition, const int *nodes, uint32_t count)
{
    struct ringmap *map = &cluster->newest;
    size_t size = CLUSTER_PARTITIONS * CLUSTER_NODES_MAX * sizeof *map->target;
    uint16_t *row;

    if (!map->target) {
        map->target = malloc(size);
        cr_assert(map->target);
        memcpy(map->target, map->replicas, size);
    }
    row = map->target + (size_t)partition * CLUSTER_NODES_MAX;
    memset(row, 0, CLUSTER_NODES_MAX * sizeof *row);
    for (uint32_t i = 0; i < count; i++)
        row[i] = (uint16_t)(nodes[i] + 1);
}

void cluster_map_meta(struct cluster *cluster, const int *nodes, uint32_t count)
{
    memset(cluster->newest.meta_voters, 0, sizeof cluster->newest.meta_voters);
    for (uint32_t i = 0; i < count; i++)
        cluster->newest.meta_voters[i] = (uint16_t)(nodes[i] + 1);
    cluster->newest.meta_voter_count = count;
}

void cluster_map_finish(struct cluster *cluster)
{
    struct ringmap *map = &cluster->newest;

    cr_assert(map->target);
    free(map->replicas);
    map->replicas = map->target;
    map->target = NULL;
}

void cluster_map_tell(struct cluster *cluster)
{
    cluster->newest.epoch++;
    for (int node = 0; node < cluster->nodes; node++)
        if (!cluster->deaf[node])
            cluster_map_tell_node(cluster, node);
}

void cluster_inject(struct cluster *cluster, int from, int to, uint8_t type, uint16_t partition,
                    const struct wire_buffer *body)
{
    struct link_message message = {
        .type = type, .partition = partition, .body = body->data, .body_size = body->size};
    struct shard_event event = {.kind = SHARD_EVENT_MESSAGE,
                                .from = {.role = LINK_ROLE_NODE, .member = (uint16_t)(from + 1)},
                                .message = &message};

    cluster_deliver(cluster, to, &event);
    cluster_settle(cluster);
}

void cluster_moves(struct cluster *cluster, int node)
{
    struct link_message message = {.type = WIRE_MOVES_GET};
    struct shard_event event = {.kind = SHARD_EVENT_MESSAGE,
                                .from = {.role = LINK_ROLE_ADMIN, .link = ADMIN_LINK},
                                .message = &message};

    cluster->move_count = UINT32_MAX;
    cluster_deliver(cluster, node, &event);
    cluster_settle(cluster);
    cr_assert_neq(cluster->move_count, UINT32_MAX, "it was answered");
}

static bool is_wanted(const struct cluster *cluster, uint16_t partition, uint16_t member)
{
    const struct ringmap *map = &cluster->newest;
    const uint16_t *row =
        (map->target ? map->target : map->replicas) + (size_t)partition * CLUSTER_NODES_MAX;

    if (partition == STORE_PARTITION_META)
        return ringmap_votes(map, member);
    for (uint32_t i = 0; i < CLUSTER_NODES_MAX; i++)
        if (row[i] == member)
            return true;
    return false;
}

static bool is_moved(const struct cluster *cluster, uint16_t partition)
{
    int leader = cluster_leader(cluster, partition);
    const struct raft *raft = leader < 0 ? NULL : shard_raft(cluster->shards[leader], partition);
    uint32_t wanted = 0;

    if (!raft || raft->config.index > raft->commit || raft->config.voter_old_count > 0 ||
        raft->config.learner_count > 0)
        return false;
    for (int node = 0; node < cluster->nodes; node++) {
        uint16_t member = (uint16_t)(node + 1);
        bool there = is_wanted(cluster, partition, member);

        wanted += there;
        if (there != (raft_peer(raft, member) != NULL))
            return false;
        if (cluster->shards[node] &&
            there != (shard_raft(cluster->shards[node], partition) != NULL))
            return false;
    }
    return wanted == raft->config.voter_count;
}

bool cluster_await_moved(struct cluster *cluster, uint16_t partition, uint64_t ms)
{
    for (uint64_t end = cluster->now_ms + ms; cluster->now_ms < end;) {
        if (is_moved(cluster, partition))
            return true;
        cluster_run(cluster, 10);
    }
    return is_moved(cluster, partition);
}
