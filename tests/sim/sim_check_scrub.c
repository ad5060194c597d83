#include "tests/sim/sim_check.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

/* Passes that must be over: the one that was under way when the faults ended may have begun before
 * the last of them. */
#define PASSES     2u
#define KEYS       16u
#define FLIPS      3u
#define ROT_AGE_US (2500 * SIM_MS)

static bool shard_scrubbed(struct sim_check *check, struct sim_node *node, struct sim_shard *shard,
                           char *why, size_t size)
{
    unsigned number = (unsigned)(shard - node->shards);
    struct store_stats stats;
    struct shard_stats shard_stats_now;

    store_stats(shard_store(shard->shard), &stats);
    shard_stats(shard->shard, &shard_stats_now);
    if (stats.fenced) {
        node->lost = true; /* there is no manifest to go by: nothing mends that */
        return true;
    }
    if (shard->scrubs_due == 0)
        shard->scrubs_due = stats.scrub.passes + PASSES;
    if (stats.scrub.passes < shard->scrubs_due) {
        (void)snprintf(why, size,
                       "node %u shard %u has been scrubbed %" PRIu64 " times of %" PRIu64,
                       node->endpoint, number, stats.scrub.passes, shard->scrubs_due);
        return false;
    }
    if (shard_stats_now.fenced > 0) {
        (void)snprintf(why, size, "node %u shard %u has %u fenced partitions still", node->endpoint,
                       number, shard_stats_now.fenced);
        return false;
    }
    /* Everything that is alive there can be read, but for what is fenced and leaves. */
    for (uint32_t group = 0; group < SIM_GROUPS; group++) {
        uint64_t digest;
        uint32_t of = group == SIM_PARTITIONS ? 0 : group % check->sim->swarm.shards;
        uint16_t partition = sim_group_partition(group);

        if (of == number && shard_raft(shard->shard, partition) &&
            !shard_fenced(shard->shard, partition, NULL) &&
            store_digest(shard_store(shard->shard), partition, &digest) == STORE_E_CORRUPT)
            sim_fail(check->sim, "node %u p%02u has been scrubbed, but a record does not check",
                     node->endpoint, group);
    }
    return true;
}

/* All its voters serve it, the node among them, and there are enough to outvote that. */
static bool outvotable(const struct sim_check *check, const struct sim_node *node, uint32_t group)
{
    const struct raft *raft = sim_check_raft(check, node->endpoint, group);
    bool votes = false;

    for (uint32_t i = 0; raft && i < raft->config.voter_count; i++) {
        const struct sim_node *there =
            sim_cluster_member(check->cluster, raft->config.voters[i].member);

        votes |= there == node;
        if (!there || !sim_check_raft(check, there->endpoint, group))
            return false;
    }
    return votes && raft->config.voter_count >= 3;
}

/* A key that stays unless somebody deletes it; false: there is none. */
static bool lasting_key(struct store *store, uint16_t partition, struct keydir_item *item)
{
    struct keydir_item items[KEYS];
    struct keydir_slice slice = {
        .filter = KEYDIR_LIVE, .items_max = KEYS, .walk_max = 1, .items = items};

    store_slice(store, partition, &slice);
    for (uint32_t i = 0; i < slice.count; i++)
        if (!items[i].entry.expires) {
            *item = items[i];
            return true;
        }
    return false;
}

static bool diverge(struct sim_check *check, struct sim_node *node, uint32_t group)
{
    uint16_t partition = sim_group_partition(group);
    struct sim_shard *shard =
        &node->shards[group == SIM_PARTITIONS ? 0 : group % check->sim->swarm.shards];
    struct keydir_item item;
    int r;

    if (!outvotable(check, node, group) || !shard_settled(shard->shard, partition) ||
        !lasting_key(shard_store(shard->shard), partition, &item))
        return false;
    r = store_apply(shard_store(shard->shard), partition, &item.digest, item.entry.location,
                    item.entry.size_max, true, false);
    assert(r == 0);
    check->divergences++;
    check->diverged = group;
    sim_trace(check->sim, 1, "node %u p%02u has lost a key", node->endpoint, group);
    return true;
}

/* Of whatever the node holds there are two copies more: bits flip anywhere. */
static bool all_copied(const struct sim_check *check, const struct sim_node *node)
{
    for (uint32_t group = 0; group < SIM_GROUPS; group++) {
        const struct raft *leader = sim_check_group_leader(check, group);

        for (uint32_t i = 0; leader && i < leader->config.voter_count; i++)
            if (leader->config.voter_count < 3 &&
                sim_cluster_member(check->cluster, leader->config.voters[i].member) == node)
                return false;
    }
    return true;
}

void sim_check_spoil(struct sim_check *check)
{
    struct sim_random *random = sim_stream(check->sim, SIM_STREAM_FAULT);
    struct sim_node *node = sim_cluster_node(check->cluster, (uint8_t)check->sim->swarm.victim);
    uint32_t first = (uint32_t)sim_random_below(random, SIM_GROUPS);
    bool spoilt = false;

    if (!all_copied(check, node))
        return;

    for (uint32_t n = 0; n < SIM_GROUPS && !spoilt; n++)
        spoilt = diverge(check, node, (first + n) % SIM_GROUPS);
    for (uint32_t n = 0; spoilt && n < FLIPS; n++) {
        const char *path;
        uint64_t offset;

        if (sim_disk_flip(node->disk, "shard-", ROT_AGE_US, &path, &offset))
            sim_trace(check->sim, 1, "node %u a bit of %s flips at %" PRIu64, node->endpoint, path,
                      offset);
    }
    node->rotten |= spoilt;
}

/* Does every replica of the group that diverged hold the same again? */
static bool converges(const struct sim_check *check)
{
    uint32_t group = check->diverged, shards = check->sim->swarm.shards;
    uint64_t first = 0, digest;
    bool any = false;

    for (uint8_t i = 1; i <= check->cluster->node_count; i++) {
        struct sim_node *node = sim_cluster_node(check->cluster, i);
        struct sim_shard *shard = &node->shards[group == SIM_PARTITIONS ? 0 : group % shards];

        if (!sim_check_raft(check, i, group))
            continue;
        if (store_digest(shard_store(shard->shard), sim_group_partition(group), &digest) != 0 ||
            (any && digest != first))
            return false;
        first = digest;
        any = true;
    }
    return true;
}

bool sim_check_scrubbed(struct sim_check *check, char *why, size_t size)
{
    bool all = true;

    for (uint8_t i = 1; i <= check->cluster->node_count; i++) {
        struct sim_node *node = sim_cluster_node(check->cluster, i);

        if (!sim_check_belongs(check, node) || sim_node_awaits_key(node))
            continue;
        if (node->state == SIM_DOWN || !node->serving) {
            (void)snprintf(why, size, "node %u does not serve", i);
            return false;
        }
        for (uint32_t j = 0; j < check->sim->swarm.shards; j++)
            all &= shard_scrubbed(check, node, &node->shards[j], why, size);
    }
    if (all && check->divergences > 0 && !converges(check)) {
        (void)snprintf(why, size, "p%02u differs still", check->diverged);
        return false;
    }
    /* From here on the disk is as good as any. */
    for (uint8_t i = 1; all && i <= check->cluster->node_count; i++)
        sim_cluster_node(check->cluster, i)->rotten &= sim_cluster_node(check->cluster, i)->lost;
    return all;
}
