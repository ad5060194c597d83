#include "tests/sim/sim_check.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

uint16_t sim_group_partition(uint32_t group)
{
    return group == SIM_PARTITIONS ? WIRE_PARTITION_META : (uint16_t)group;
}

static struct sim_shard *group_shard(struct sim_node *node, uint32_t group)
{
    uint32_t shards = node->cluster->sim->swarm.shards;
    return &node->shards[group == SIM_PARTITIONS ? 0 : group % shards];
}

const struct raft *sim_check_raft(const struct sim_check *check, uint8_t number, uint32_t group)
{
    struct sim_node *node = sim_cluster_node(check->cluster, number);
    if (node->state == SIM_DOWN || !node->serving || sim_copy_runs(node))
        return NULL;
    const struct shard *shard = group_shard(node, group)->shard;
    if (shard_fenced(shard, sim_group_partition(group), NULL))
        return NULL;
    return shard_raft(shard, sim_group_partition(group));
}

const struct raft *sim_check_group_leader(const struct sim_check *check, uint32_t group)
{
    const struct raft *leader = NULL;
    for (uint8_t i = 1; i <= check->cluster->node_count; i++) {
        const struct raft *raft = sim_check_raft(check, i, group);
        if (raft && raft->role == RAFT_LEADER && (!leader || raft->term > leader->term))
            leader = raft;
    }
    return leader;
}

struct sim_check *sim_check_new(struct sim_cluster *cluster)
{
    struct sim_check *check = calloc(1, sizeof *check);
    assert(check);
    check->sim = cluster->sim;
    check->cluster = cluster;
    return check;
}

struct sim_check *sim_check_free(struct sim_check *check)
{
    if (!check)
        return NULL;
    sim_check_log_free(check);
    sim_check_tickets_free(check);
    for (uint32_t group = 0; group < SIM_GROUPS; group++) {
        free(check->groups[group].leaders);
        free(check->groups[group].committed);
        free(check->groups[group].configs);
        for (uint32_t node = 0; node < SIM_NODES_MAX; node++)
            free(check->replicas[node][group].mirror.terms);
    }
    if (check->newest.members)
        ringmap_deinit(&check->newest);
    free(check);
    return NULL;
}

static bool replica_changed(const struct sim_replica *replica, const struct raft *raft)
{
    return !replica->open || replica->role != raft->role || replica->term != raft->term ||
           replica->commit != raft->commit || replica->applied != raft->applied ||
           replica->synced != raft->synced || replica->last != raft->log.last ||
           replica->first != raft->log.first || replica->config != raft->config.index ||
           replica->last_term != raft_log_term(&raft->log, raft->log.last);
}

static void trace_role(struct sim_check *check, const struct sim_replica *replica, uint8_t node,
                       uint32_t group, const struct raft *raft)
{
    static const char *const roles[] = {"follower", "pre-candidate", "candidate", "leader"};
    if (replica->open && replica->role == raft->role && replica->term == raft->term)
        return;
    sim_fold(check->sim, 8, (uint64_t)node << 32 | group, (uint64_t)raft->role << 32 | raft->term);
    int level = raft->role == RAFT_LEADER || replica->role == RAFT_LEADER ? 1 : 2;
    if (group == SIM_PARTITIONS)
        sim_trace(check->sim, level, "node %u meta becomes %s term %u", node, roles[raft->role],
                  raft->term);
    else
        sim_trace(check->sim, level, "node %u shard %u p%02u becomes %s term %u", node,
                  group % check->sim->swarm.shards, group, roles[raft->role], raft->term);
}

/* It can be told what lives there. Of a shard that cannot be trusted as a whole only what is wanted
 * there is shown, and nothing is destroyed. */
static bool tells_lives(const struct sim_node *node, struct sim_shard *shard, uint16_t partition)
{
    struct store_stats stats;
    if (!node->rotten)
        return true;
    store_stats(shard_store(shard->shard), &stats);
    return !stats.fenced && !shard_fenced(shard->shard, partition, NULL);
}

static void check_replica(struct sim_check *check, struct sim_node *node, struct sim_shard *shard,
                          uint32_t group)
{
    struct sim_replica *replica = &check->replicas[node->endpoint - 1][group];
    uint16_t partition = sim_group_partition(group);
    const struct raft *raft = sim_check_raft(check, node->endpoint, group);
    const char *why = NULL;
    bool fenced = shard_fenced(shard->shard, partition, &why);
    if (tells_lives(node, shard, partition))
        sim_check_life(check, node, group, shard_raft(shard->shard, partition), false);
    if (shard_leaving(shard->shard, partition) || node_removed(node->node)) {
        replica->open = false;
        return;
    }
    if (fenced) {
        if (!replica->fenced)
            sim_trace(check->sim, 1, "node %u p%02u is fenced: %s", node->endpoint, group, why);
        replica->fenced = true;
        if (!node->rotten)
            sim_fail(check->sim, "node %u p%02u is fenced (%s), but its disk is sound",
                     node->endpoint, group, why);
        return;
    }
    if (!raft || !replica_changed(replica, raft))
        return;
    trace_role(check, replica, node->endpoint, group, raft);
    if (raft->role == RAFT_LEADER) {
        sim_check_leader(check, node->endpoint, group, raft);
        sim_check_quorum(check, node->endpoint, group, raft);
    }
    bool moved = replica->config != raft->config.index || replica->role != raft->role;
    sim_check_config(check, node->endpoint, group, raft);
    if (moved)
        sim_check_overlap(check, group);
    if (replica->open && raft->term < replica->term)
        sim_fail(check->sim, "node %u p%02u goes back from term %u to %u", node->endpoint, group,
                 replica->term, raft->term);
    sim_check_campaign(check, node->endpoint, group, raft);
    sim_check_log(check, node, shard, group, raft);
    sim_check_promise_round(check, node->endpoint, group, raft);
    replica->open = true;
    replica->role = raft->role;
    replica->term = raft->term;
    replica->commit = raft->commit;
    replica->applied = raft->applied;
    replica->synced = raft->synced;
    replica->first = raft->log.first;
    replica->last = raft->log.last;
    replica->last_term = raft_log_term(&raft->log, raft->log.last);
}

static void check_groups(struct sim_check *check, struct sim_node *node, struct sim_shard *shard)
{
    uint32_t shards = check->sim->swarm.shards, number = (uint32_t)(shard - node->shards);
    for (uint32_t group = number; group < SIM_PARTITIONS; group += shards)
        check_replica(check, node, shard, group);
    if (number == 0)
        check_replica(check, node, shard, SIM_PARTITIONS);
}

/* Rounds of flush that were begun since it was asked last, and what scrub found. */
static void count_background(struct sim_check *check, struct sim_shard *shard)
{
    struct store_stats stats;

    store_stats(shard_store(shard->shard), &stats);
    if (stats.flushes > shard->flushes_seen)
        check->flushes += stats.flushes - shard->flushes_seen;
    shard->flushes_seen = stats.flushes;
    if (stats.scrub.faults > shard->faults_seen)
        check->scrub_faults += stats.scrub.faults - shard->faults_seen;
    shard->faults_seen = stats.scrub.faults;
}

void sim_check_round(struct sim_check *check, struct sim_node *node, struct sim_shard *shard)
{
    struct sim_random *random = sim_stream(check->sim, SIM_STREAM_CHECK);
    struct shard_stats stats;
    check->rounds++;
    sim_check_map(check, node);
    sim_check_tickets(check, node);
    sim_check_removed_round(check, node, shard);
    check_groups(check, node, shard);
    shard_stats(shard->shard, &stats);
    if (stats.relocated > shard->relocated_seen)
        check->relocated += stats.relocated - shard->relocated_seen;
    shard->relocated_seen = stats.relocated;
    if (stats.snapshots_installed > shard->installed_seen)
        check->snapshots_installed += stats.snapshots_installed - shard->installed_seen;
    shard->installed_seen = stats.snapshots_installed;
    if (stats.snapshots_kept > shard->kept_seen)
        check->snapshots_kept += stats.snapshots_kept - shard->kept_seen;
    shard->kept_seen = stats.snapshots_kept;
    if (check->rounds % 64 == 0)
        count_background(check, shard);
    sim_check_bounds(check, node, shard);
    sim_check_drain(check, node);
    if (sim_random_below(random, 512) == 0)
        (void)sim_check_digest(check, (uint32_t)sim_random_below(random, SIM_GROUPS));
}

void sim_check_open(struct sim_check *check, struct sim_node *node)
{
    sim_check_map(check, node);
    sim_check_tickets(check, node);
    for (uint32_t group = 0; group < SIM_GROUPS; group++) {
        struct sim_replica *replica = &check->replicas[node->endpoint - 1][group];
        const struct raft *raft = sim_check_raft(check, node->endpoint, group);
        struct sim_shard *shard = group_shard(node, group);
        uint16_t partition = sim_group_partition(group);
        if (tells_lives(node, shard, partition))
            sim_check_life(check, node, group, shard_raft(shard->shard, partition), true);
        replica->open = false;
        replica->commit = replica->applied = 0;
        if (raft)
            sim_check_promise_open(check, node->endpoint, group, raft);
        replica->mirror.last = 0;
        replica->mirror.known = 0;
    }
    for (uint32_t i = 0; i < check->sim->swarm.shards; i++)
        check_groups(check, node, &node->shards[i]);
}

enum sim_phase sim_check_phase(const struct sim_check *check)
{
    bool catching_up = false;
    for (uint8_t i = 1; i <= check->cluster->node_count; i++) {
        const struct sim_node *node = sim_cluster_node(check->cluster, i);
        if (node->state != SIM_DOWN && check->sim->now_us - node->started_us < 500 * SIM_MS &&
            sim_cluster_founded(check->cluster))
            return SIM_PHASE_RECOVERY;
    }
    for (uint32_t group = 0; group < SIM_PARTITIONS; group++) {
        const struct raft *leader = sim_check_group_leader(check, group);
        uint64_t least = UINT64_MAX;
        for (uint8_t i = 1; i <= check->cluster->node_count; i++) {
            const struct raft *raft = sim_check_raft(check, i, group);
            if (raft && raft->log.last < least)
                least = raft->log.last;
        }
        if (!leader)
            return SIM_PHASE_ELECTION;
        catching_up = catching_up || least + 8 < leader->commit;
    }
    return catching_up ? SIM_PHASE_CATCHUP : SIM_PHASE_NORMAL;
}

uint8_t sim_check_chief(const struct sim_check *check)
{
    uint32_t best = 0;
    uint8_t chief = 0;
    for (uint8_t i = 1; i <= check->cluster->node_count; i++) {
        uint32_t leads = 0;
        for (uint32_t group = 0; group < SIM_PARTITIONS; group++) {
            const struct raft *raft = sim_check_raft(check, i, group);
            leads += raft && raft->role == RAFT_LEADER;
        }
        if (leads > best) {
            best = leads;
            chief = i;
        }
    }
    return chief;
}
