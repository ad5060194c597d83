#include "tests/sim/sim_change.h"

#include "ring/next_map.h"
#include "ring/staged.h"
#include "ring/wire.h"
#include "tests/sim/sim_cluster.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define REPLICAS_WANTED_MAX 5u
#define AWAY_US_MAX         (8 * SIM_SECOND)

static struct sim_random *random_of(const struct sim_admin *admin)
{
    return sim_stream(admin->cluster->sim, SIM_STREAM_ADMIN);
}

static uint32_t count_of(const struct ringmap *map, uint8_t state)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < map->member_count; i++)
        count += map->members[i].state == state;
    return count;
}

/* Any of them; NULL: there is none. */
static const struct ringmap_member *any_of(const struct sim_admin *admin, const struct ringmap *map,
                                           uint8_t state)
{
    uint32_t count = count_of(map, state);
    uint32_t at = count ? (uint32_t)sim_random_below(random_of(admin), count) : 0;
    for (uint32_t i = 0; count && i < map->member_count; i++)
        if (map->members[i].state == state && at-- == 0)
            return &map->members[i];
    return NULL;
}

static bool stage(struct staged *staged, const struct ringmap *now, uint8_t op, uint16_t member,
                  uint32_t value)
{
    struct staged_change change = {.op = op, .member = member, .value = value};
    return staged_add(staged, now, &change) == STAGED_E_OK;
}

/* It answers, and not as one that has yet to hear that it was let in. */
static bool knows_itself(const struct sim_admin *admin, const struct ringmap_member *member)
{
    const struct sim_node *node = sim_cluster_node(admin->cluster, member->public_key[0]);
    return node->state != SIM_DOWN && node_map(node->node);
}

static void stage_joining(const struct sim_admin *admin, struct staged *staged,
                          const struct ringmap *now)
{
    for (uint32_t i = 0; i < now->member_count; i++)
        if (now->members[i].state == RINGMAP_STATE_JOINING && knows_itself(admin, &now->members[i]))
            (void)stage(staged, now, STAGED_JOIN, now->members[i].id, 0);
}

/* --- the next map -------------------------------------------------------------------------- */

static void held_of(const struct sim_cluster *cluster,
                    struct next_map_held held[SIM_PARTITIONS + 1]);

/* The map by which the plan begins that leads to what is staged; it may take another's place. */
static bool plan(const struct sim_admin *admin, const struct ringmap *now,
                 const struct staged *staged, struct ringmap *next)
{
    struct next_map_held held[SIM_PARTITIONS + 1];
    struct placement_cost cost;
    struct ringmap wanted, from;
    bool moving = ringmap_moving(now);
    int r = 0;
    if (staged->count == 0)
        return false;
    if (moving) {
        held_of(admin->cluster, held);
        r = next_map_from(now, held, &from);
        assert(r == 0);
    }
    r = staged_wanted(staged, moving ? &from : now, NULL, &wanted, &cost);
    if (moving)
        ringmap_deinit(&from);
    if (r != 0)
        return false;
    r = next_map_commit(now, &wanted, next);
    assert(r == 0);
    ringmap_deinit(&wanted);
    return true;
}

static bool is_removed(const struct ringmap *map, uint16_t member)
{
    return ringmap_member(map, member)->state == RINGMAP_STATE_REMOVED;
}

/* --- machines ------------------------------------------------------------------------------ */

static bool install_spare(struct sim_admin *admin)
{
    struct sim_cluster *cluster = admin->cluster;
    for (uint32_t i = 0; i < cluster->node_count; i++) {
        struct sim_node *node = &cluster->nodes[i];
        if (!node->spare)
            continue;
        node->spare = false;
        sim_net_dial(cluster->net, 0, node->endpoint);
        sim_node_start(node);
        return true;
    }
    return false;
}

/* It hears none of the others; they hear it only if they are to. */
static void cut_off(struct sim_cluster *cluster, uint8_t endpoint, bool heard, bool cut)
{
    for (uint8_t other = 1; other <= cluster->node_count; other++) {
        if (other == endpoint)
            continue;
        sim_net_block(cluster->net, other, endpoint, cut);
        if (!heard)
            sim_net_block(cluster->net, endpoint, other, cut);
    }
}

static struct sim_node *victim_of(const struct sim_admin *admin)
{
    return sim_cluster_node(admin->cluster, (uint8_t)admin->cluster->sim->swarm.victim);
}

/* The one of the group that leads in the latest term; NULL: nobody does. */
static const struct raft *leader_of(const struct sim_cluster *cluster, uint16_t partition)
{
    const struct raft *leader = NULL;
    uint32_t shards = cluster->sim->swarm.shards;
    for (uint32_t i = 0; i < cluster->node_count; i++) {
        const struct sim_node *node = &cluster->nodes[i];
        if (node->state == SIM_DOWN || !node->serving)
            continue;
        const struct shard *shard =
            node->shards[partition == WIRE_PARTITION_META ? 0 : partition % shards].shard;
        const struct raft *raft = shard_raft(shard, partition);
        if (raft && raft->role == RAFT_LEADER && !shard_fenced(shard, partition, NULL) &&
            (!leader || raft->term > leader->term))
            leader = raft;
    }
    return leader;
}

static bool majority_without(const struct sim_cluster *cluster, uint16_t partition,
                             const struct raft_replica *voters, uint32_t count,
                             const struct sim_node *gone)
{
    uint32_t there = 0, shards = cluster->sim->swarm.shards;
    for (uint32_t i = 0; i < count; i++) {
        uint8_t endpoint = cluster->endpoints[voters[i].member];
        const struct sim_node *node = endpoint ? &cluster->nodes[endpoint - 1] : NULL;
        if (!node || node == gone || node->state == SIM_DOWN || !node->serving)
            continue;
        const struct shard *shard =
            node->shards[partition == WIRE_PARTITION_META ? 0 : partition % shards].shard;
        there += shard_raft(shard, partition) && !shard_fenced(shard, partition, NULL);
    }
    return 2 * there > count;
}

/* Every group has a leader, and a majority of its voters that are there, without that node. */
static bool can_do_without(const struct sim_cluster *cluster, const struct sim_node *gone)
{
    for (uint32_t group = 0; group <= SIM_PARTITIONS; group++) {
        uint16_t partition = group == SIM_PARTITIONS ? WIRE_PARTITION_META : (uint16_t)group;
        const struct raft *leader = leader_of(cluster, partition);
        if (!leader ||
            !majority_without(cluster, partition, leader->config.voters, leader->config.voter_count,
                              gone) ||
            (leader->config.voter_old_count > 0 &&
             !majority_without(cluster, partition, leader->config.voters_old,
                               leader->config.voter_old_count, gone)))
            return false;
    }
    return true;
}

/* --- what is asked for --------------------------------------------------------------------- */

static bool change_key(struct sim_admin *admin, const struct ringmap *now, struct ringmap *next)
{
    int r = ringmap_copy(next, now);
    assert(r == 0);
    next->epoch++;
    if (next->key_count > 0 && next->key_count < RINGMAP_KEYS_MAX)
        sim_admin_add_key(next, random_of(admin));
    return true;
}

static bool change_join(struct sim_admin *admin, const struct ringmap *now, struct ringmap *next)
{
    struct staged staged = {.count = 0};
    if (count_of(now, RINGMAP_STATE_JOINING) == 0) {
        (void)install_spare(admin);
        return false;
    }
    stage_joining(admin, &staged, now);
    return plan(admin, now, &staged, next);
}

static bool change_leave(struct sim_admin *admin, const struct ringmap *now, struct ringmap *next)
{
    struct staged staged = {.count = 0};
    const struct ringmap_member *member = any_of(admin, now, RINGMAP_STATE_ACTIVE);
    return count_of(now, RINGMAP_STATE_ACTIVE) > ringmap_copies(now) &&
           stage(&staged, now, STAGED_LEAVE, member->id, 0) && plan(admin, now, &staged, next);
}

/* argument: endpoint << 1 | whether it was heard. */
static void run_rejoin(void *context, uint64_t argument)
{
    struct sim_cluster *cluster = context;
    cut_off(cluster, (uint8_t)(argument >> 1), argument & 1, false);
}

/* The operator takes it for dead: it is, or it hears none of the others, who may hear it or not.
 * Once it is down nothing but this is done to it, and it stays down for a while. */
static void lose(struct sim_admin *admin, struct sim_node *victim, uint8_t kind)
{
    struct sim *sim = admin->cluster->sim;
    uint64_t away_us = sim_random_below(random_of(admin), AWAY_US_MAX);
    uint64_t how = kind == SIM_CHANGE_WIPE ? 0 : sim_random_below(random_of(admin), 3);
    bool heard = how == 2;
    if (how == 0) {
        victim->away_until_us = sim->now_us + away_us;
        sim_node_end(victim, SIM_END_POWER);
        return;
    }
    sim_trace(sim, 1, "node %u hears no other node%s", victim->endpoint,
              heard ? "" : ", nor they it");
    cut_off(admin->cluster, victim->endpoint, heard, true);
    sim_after(sim, away_us, run_rejoin, admin->cluster, (uint64_t)victim->endpoint << 1 | heard);
}

static bool change_remove(struct sim_admin *admin, const struct ringmap *now, struct ringmap *next,
                          uint8_t kind)
{
    struct sim *sim = admin->cluster->sim;
    struct sim_node *victim = victim_of(admin);
    uint16_t id = sim_cluster_member_in(now, victim->endpoint);
    struct staged staged = {.count = 0};
    uint32_t left = count_of(now, RINGMAP_STATE_ACTIVE) -
                    (ringmap_member(now, id)->state == RINGMAP_STATE_ACTIVE);
    if (kind != SIM_CHANGE_REMOVE) {
        stage_joining(admin, &staged, now);
        left += staged.count;
    }
    if (is_removed(now, id) || left < ringmap_copies(now) ||
        !can_do_without(admin->cluster, victim) || !stage(&staged, now, STAGED_REMOVE, id, 0))
        return false;
    if (victim->state != SIM_DOWN)
        lose(admin, victim, kind);
    if (kind == SIM_CHANGE_WIPE && victim->state == SIM_DOWN && !victim->scrapped) {
        victim->scrapped = true;
        sim_trace(sim, 1, "the disk of node %u is lost", victim->endpoint);
    }
    return plan(admin, now, &staged, next);
}

static bool change_weight(struct sim_admin *admin, const struct ringmap *now, struct ringmap *next)
{
    static const uint32_t weights[] = {50, 100, 200};
    struct staged staged = {.count = 0};
    const struct ringmap_member *member = any_of(admin, now, RINGMAP_STATE_ACTIVE);
    uint32_t weight = weights[sim_random_below(random_of(admin), 3)];
    return stage(&staged, now, STAGED_WEIGHT, member->id, weight) &&
           plan(admin, now, &staged, next);
}

static bool change_zone(struct sim_admin *admin, const struct ringmap *now, struct ringmap *next)
{
    struct staged staged = {.count = 0};
    struct staged_change change = {.op = STAGED_ZONE};
    uint32_t zones = admin->cluster->sim->swarm.zones;
    change.member = any_of(admin, now, RINGMAP_STATE_ACTIVE)->id;
    sim_cluster_zone((uint8_t)sim_random_below(random_of(admin), zones), change.zone);
    return staged_add(&staged, now, &change) == STAGED_E_OK && plan(admin, now, &staged, next);
}

static bool change_replicas(struct sim_admin *admin, const struct ringmap *now,
                            struct ringmap *next)
{
    struct staged staged = {.count = 0};
    uint32_t most = count_of(now, RINGMAP_STATE_ACTIVE);
    uint32_t least = admin->cluster->sim->swarm.replicas_min;
    most = most < REPLICAS_WANTED_MAX ? most : REPLICAS_WANTED_MAX;
    if (most < least)
        return false;
    uint32_t replicas = (uint32_t)sim_random_between(random_of(admin), least, most);
    return replicas != ringmap_copies(now) && stage(&staged, now, STAGED_REPLICAS, 0, replicas) &&
           plan(admin, now, &staged, next);
}

static bool change_pause(struct sim_admin *admin, const struct ringmap *now, struct ringmap *next)
{
    (void)admin;
    if (!ringmap_moving(now) && !now->paused)
        return false;
    int r = ringmap_copy(next, now);
    assert(r == 0);
    next->epoch++;
    next->paused = !now->paused;
    return true;
}

/* What every group has; one without a leader cannot be asked. */
static void held_of(const struct sim_cluster *cluster,
                    struct next_map_held held[SIM_PARTITIONS + 1])
{
    memset(held, 0, (SIM_PARTITIONS + 1) * sizeof *held);
    for (uint16_t p = 0; p <= SIM_PARTITIONS; p++) {
        const struct raft *leader =
            leader_of(cluster, p < SIM_PARTITIONS ? p : WIRE_PARTITION_META);
        if (!leader)
            continue;
        const struct raft_config *config = &leader->config;
        if (config->index > leader->commit)
            config = &leader->config_previous;
        held[p].voter_count = config->voter_count;
        for (uint32_t i = 0; i < config->voter_count; i++)
            held[p].voters[i] = config->voters[i].member;
    }
}

static bool change_abort(struct sim_admin *admin, const struct ringmap *now, struct ringmap *next)
{
    struct next_map_held held[SIM_PARTITIONS + 1];
    held_of(admin->cluster, held);
    int r = next_map_abort(now, held, next);
    assert(r >= 0);
    return r == 0;
}

static uint8_t choose(const struct sim_admin *admin)
{
    static const uint32_t weights[] = {
#define X(name, weight) weight,
        SIM_CHANGES(X)
#undef X
    };
    uint32_t mask = admin->cluster->sim->swarm.change_mask, total = 0;
    for (uint32_t i = 0; i < SIM_CHANGE_KINDS; i++)
        total += mask >> i & 1 ? weights[i] : 0;
    uint32_t at = (uint32_t)sim_random_below(random_of(admin), total);
    for (uint8_t i = 0; i < SIM_CHANGE_KINDS; i++) {
        uint32_t weight = mask >> i & 1 ? weights[i] : 0;
        if (at < weight)
            return i;
        at -= weight;
    }
    return SIM_CHANGE_KEY;
}

bool sim_change_next(struct sim_admin *admin, const struct ringmap *now, struct ringmap *next,
                     uint8_t *chosen)
{
    uint8_t kind = *chosen = choose(admin);
    bool moving = ringmap_moving(now), changes = false;
    switch ((enum sim_change)kind) {
    case SIM_CHANGE_KEY:
        changes = change_key(admin, now, next);
        break;
    case SIM_CHANGE_JOIN:
        changes = !moving && change_join(admin, now, next);
        break;
    case SIM_CHANGE_LEAVE:
        changes = !moving && change_leave(admin, now, next);
        break;
    case SIM_CHANGE_REMOVE:
        changes = change_remove(admin, now, next, kind);
        break;
    case SIM_CHANGE_REPLACE:
    case SIM_CHANGE_WIPE:
        if (count_of(now, RINGMAP_STATE_JOINING) == 0)
            (void)install_spare(admin);
        else
            changes = change_remove(admin, now, next, kind);
        break;
    case SIM_CHANGE_WEIGHT:
        changes = !moving && change_weight(admin, now, next);
        break;
    case SIM_CHANGE_REPLICAS:
        changes = !moving && change_replicas(admin, now, next);
        break;
    case SIM_CHANGE_PAUSE:
        changes = change_pause(admin, now, next);
        break;
    case SIM_CHANGE_ABORT:
        changes = change_abort(admin, now, next);
        break;
    case SIM_CHANGE_ZONE:
        changes = !moving && change_zone(admin, now, next);
        break;
    case SIM_CHANGE_KINDS:
        break;
    }
    if (changes)
        sim_trace(admin->cluster->sim, 1, "admin: asks for %s%s, as epoch %u",
                  sim_change_name(kind), moving ? " while a plan is under way" : "",
                  (unsigned)next->epoch);
    return changes;
}

/* Its manifest or journal has rotted so far that no replica of it can be mended. */
static bool is_beyond_repair(const struct sim_node *node)
{
    struct store_stats stats;
    for (uint32_t i = 0; i < node->cluster->sim->swarm.shards; i++) {
        if (node->state == SIM_DOWN || !node->serving)
            return false;
        store_stats(shard_store(node->shards[i].shard), &stats);
        if (stats.fenced)
            return true;
    }
    return false;
}

/* With nobody to take its place there is one replica less of each partition. */
static bool stage_without(const struct ringmap *now, uint8_t op, uint16_t id, struct staged *staged)
{
    uint32_t copies = ringmap_copies(now);
    if (count_of(now, RINGMAP_STATE_ACTIVE) + staged->count <= copies &&
        (copies == 1 || !stage(staged, now, STAGED_REPLICAS, 0, copies - 1)))
        return false;
    return stage(staged, now, op, id, 0);
}

bool sim_change_mend(struct sim_admin *admin, const struct ringmap *now, struct ringmap *next,
                     uint8_t *kind)
{
    struct sim_node *victim = victim_of(admin);
    uint16_t id = sim_cluster_member_in(now, victim->endpoint);
    struct staged staged = {.count = 0};
    *kind = now->paused ? SIM_CHANGE_PAUSE : SIM_CHANGE_REMOVE;
    if (now->paused)
        return change_pause(admin, now, next);
    /* The plan may wait for it. */
    bool broken = !victim->scrapped && ringmap_moving(now) && is_beyond_repair(victim);
    stage_joining(admin, &staged, now);
    if ((!victim->scrapped && !broken) || is_removed(now, id))
        return false;
    bool leaving = ringmap_member(now, id)->state == RINGMAP_STATE_LEAVING;
    bool leaves = broken && !leaving && sim_random_below(random_of(admin), 2) != 0;
    if ((broken && leaving) ||
        !stage_without(now, leaves ? STAGED_LEAVE : STAGED_REMOVE, id, &staged))
        return false;
    if (leaves)
        sim_trace(admin->cluster->sim, 1, "node %u is to leave, as it is", victim->endpoint);
    if (broken && !leaves) {
        sim_trace(admin->cluster->sim, 1, "node %u is given up", victim->endpoint);
        victim->scrapped = true;
        sim_node_end(victim, SIM_END_POWER);
    }
    return plan(admin, now, &staged, next);
}
