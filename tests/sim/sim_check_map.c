#include "tests/sim/sim_check.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static bool in_row(const uint16_t *row, uint32_t count, uint16_t member)
{
    for (uint32_t i = 0; i < count; i++)
        if (row[i] == member)
            return true;
    return false;
}

/* The configuration is the map's row and nothing else. */
static bool is_row(const struct raft_config *config, uint32_t group, const struct ringmap *map)
{
    const uint16_t *row = map->meta_voters;
    uint32_t count = map->meta_voter_count;
    if (group < SIM_PARTITIONS) {
        row = ringmap_wanted(map, (uint16_t)group);
        count = ringmap_row_count(map, row);
    }
    if (config->voter_old_count > 0 || config->learner_count > 0 || config->voter_count != count)
        return false;
    for (uint32_t i = 0; i < count; i++)
        if (!in_row(row, count, config->voters[i].member))
            return false;
    return true;
}

/* A plan has ended: every group has committed what it wanted. */
static void check_end(struct sim_check *check, const struct ringmap *map)
{
    for (uint32_t i = 0; i < SIM_GROUPS; i++) {
        const struct sim_group *group = &check->groups[i];
        if (group->config_count > 0 && !is_row(&group->configs[group->config_count - 1], i, map))
            sim_fail(check->sim,
                     "ring map %" PRIu64 " ends a plan, and p%02u has not committed its row",
                     map->epoch, i);
    }
}

static void note_newest(struct sim_check *check, const struct ringmap *map, const uint8_t *hash)
{
    struct ringmap *newest = &check->newest;
    if (newest->members && newest->epoch >= map->epoch)
        return;
    if (newest->members && newest->epoch + 1 == map->epoch && ringmap_moving(newest) &&
        !ringmap_moving(map))
        check_end(check, map);
    if (newest->members)
        ringmap_deinit(newest);
    int r = ringmap_copy(newest, map);
    assert(r == 0);
    sim_check_zones(check, map, sim_admin_kind(&check->cluster->admin, hash));
}

/* What a node goes by was committed and is on its disk: nobody has another map of that epoch, and
 * no crash takes it away. */
void sim_check_map(struct sim_check *check, const struct sim_node *node)
{
    const struct ringmap *map = node_map(node->node);
    uint64_t *newest = &check->epochs[node->endpoint - 1];
    uint8_t hash[RINGMAP_HASH_SIZE], *blob;
    size_t size;
    char who[16];
    if (!map || map->epoch == *newest)
        return;
    if (map->epoch < *newest) {
        sim_fail(check->sim, "node %u goes back from ring map %" PRIu64 " to %" PRIu64,
                 node->endpoint, *newest, map->epoch);
        return;
    }
    *newest = map->epoch;
    sim_cluster_meet(check->cluster, map);
    sim_check_removed_map(check, map);
    size = ringmap_encoded_size(map);
    blob = malloc(size);
    assert(blob);
    ringmap_encode(map, blob);
    ringmap_hash(blob, size, hash);
    free(blob);
    note_newest(check, map, hash);
    (void)snprintf(who, sizeof who, "node %u", node->endpoint);
    sim_admin_map_seen(&check->cluster->admin, map->epoch, hash, who);
}

bool sim_check_maps_converged(const struct sim_check *check, char *why, size_t size)
{
    const struct sim_cluster *cluster = check->cluster;
    uint64_t latest = cluster->admin.epoch_done;
    for (uint8_t i = 1; i <= cluster->node_count; i++)
        if (check->epochs[i - 1] > latest)
            latest = check->epochs[i - 1];
    for (uint8_t i = 1; i <= cluster->node_count; i++) {
        if (check->epochs[i - 1] == latest || !sim_check_belongs(check, &cluster->nodes[i - 1]))
            continue;
        (void)snprintf(why, size, "node %u goes by ring map %" PRIu64 ", not %" PRIu64, i,
                       check->epochs[i - 1], latest);
        return false;
    }
    return true;
}

bool sim_check_belongs(const struct sim_check *check, const struct sim_node *node)
{
    const struct ringmap *map = check->newest.members ? &check->newest : &check->cluster->map;
    uint16_t member = sim_cluster_member_in(map, node->endpoint);
    return member && ringmap_member(map, member)->state != RINGMAP_STATE_REMOVED;
}

static void describe(const struct raft *leader, uint32_t group, const struct ringmap *map,
                     char *why, size_t size)
{
    if (!leader) {
        (void)snprintf(why, size, "p%02u has no leader", group);
        return;
    }
    const struct raft_config *config = &leader->config;
    (void)snprintf(why, size,
                   "p%02u has not the voters of ring map %" PRIu64
                   ": member %u leads, with the configuration of %" PRIu64 ", epoch %" PRIu64
                   ": %u voters, %u of before, %u learners",
                   group, map->epoch, leader->options.self.member, config->index, config->epoch,
                   config->voter_count, config->voter_old_count, config->learner_count);
}

bool sim_check_settled(const struct sim_check *check, char *why, size_t size)
{
    const struct sim_cluster *cluster = check->cluster;
    const struct ringmap *map = check->newest.members ? &check->newest : &cluster->map;
    for (uint32_t group = 0; group < SIM_GROUPS; group++) {
        const struct raft *leader = sim_check_group_leader(check, group);
        if (!leader || !is_row(&leader->config, group, map)) {
            describe(leader, group, map, why, size);
            return false;
        }
    }
    if (ringmap_moving(map)) {
        (void)snprintf(why, size, "the plan of ring map %" PRIu64 " has not ended", map->epoch);
        return false;
    }
    for (uint32_t i = 0; i < cluster->node_count; i++) {
        const struct sim_node *node = &cluster->nodes[i];
        bool belongs = sim_check_belongs(check, node);
        if (belongs ? !node->scrapped : node->state == SIM_DOWN)
            continue;
        if (!belongs && !sim_cluster_member_in(map, node->endpoint)) /* it may join yet */
            continue;
        (void)snprintf(why, size, "node %u %s", node->endpoint,
                       belongs ? "is lost, and a member still" : "was removed, and runs still");
        return false;
    }
    return true;
}
