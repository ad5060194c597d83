#include "tests/sim/sim_check.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static bool same_replica(struct raft_replica one, struct raft_replica other)
{
    return one.member == other.member && one.life == other.life;
}

static bool names(const struct raft_replica *replicas, uint32_t count, struct raft_replica replica)
{
    for (uint32_t i = 0; i < count; i++)
        if (same_replica(replicas[i], replica))
            return true;
    return false;
}

bool sim_check_config_names(const struct raft_config *config, struct raft_replica replica)
{
    return names(config->voters, config->voter_count, replica) ||
           names(config->voters_old, config->voter_old_count, replica) ||
           names(config->learners, config->learner_count, replica);
}

/* --- the committed ones -------------------------------------------------------------------- */

static bool same_config(const struct raft_config *one, const struct raft_config *other)
{
    uint8_t bytes[2][RAFT_CONFIG_SIZE_MAX];
    size_t size = raft_config_encode(one, bytes[0]);
    return size == raft_config_encode(other, bytes[1]) && memcmp(bytes[0], bytes[1], size) == 0;
}

/* By index; a replica that learns late of an old one finds it there. */
static void committed(struct sim_check *check, uint8_t node, uint32_t number,
                      const struct raft_config *config)
{
    struct sim_group *group = &check->groups[number];
    uint32_t at = group->config_count;
    while (at > 0 && group->configs[at - 1].index > config->index)
        at--;
    if (at > 0 && group->configs[at - 1].index == config->index) {
        if (!same_config(&group->configs[at - 1], config))
            sim_fail(check->sim,
                     "node %u p%02u has another configuration of index %" PRIu64
                     " than was committed",
                     node, number, config->index);
        return;
    }
    if (group->config_count == group->config_capacity) {
        group->config_capacity = group->config_capacity ? 2 * group->config_capacity : 8;
        group->configs = realloc(group->configs, group->config_capacity * sizeof *group->configs);
        assert(group->configs);
    }
    memmove(&group->configs[at + 1], &group->configs[at],
            (group->config_count - at) * sizeof *group->configs);
    group->configs[at] = *config;
    group->config_count++;
    check->configs++;
    if ((at > 0 && group->configs[at - 1].epoch > config->epoch) ||
        (at + 1 < group->config_count && group->configs[at + 1].epoch < config->epoch))
        sim_fail(check->sim,
                 "p%02u committed a configuration of epoch %" PRIu64 " at %" PRIu64
                 ", against the order of epochs",
                 number, config->epoch, config->index);
}

static void check_step(struct sim_check *check, uint8_t node, uint32_t group,
                       const struct raft *raft)
{
    const struct raft_config *before = &raft->config_previous, *now = &raft->config;
    if (before->index == now->index || before->voter_count == 0)
        return;
    if (before->index > raft->commit)
        sim_fail(check->sim,
                 "node %u p%02u changes its configuration at %" PRIu64
                 ", and the one before it, of %" PRIu64 ", is not committed",
                 node, group, now->index, before->index);
    if (raft->role == RAFT_LEADER && now->index >= raft->term_start &&
        raft->commit < raft->term_start)
        sim_fail(check->sim,
                 "node %u p%02u changes its configuration at %" PRIu64
                 ", and nothing of its term %u is committed",
                 node, group, now->index, raft->term);
    if (now->epoch < before->epoch)
        sim_fail(check->sim,
                 "node %u p%02u goes from a configuration of epoch %" PRIu64 " to one of %" PRIu64,
                 node, group, before->epoch, now->epoch);
    if (!sim_check_configs_overlap(before, now))
        sim_fail(check->sim,
                 "p%02u: a majority before the configuration of %" PRIu64
                 " has nobody in common with one behind it",
                 group, now->index);
}

void sim_check_config(struct sim_check *check, uint8_t node, uint32_t group,
                      const struct raft *raft)
{
    struct sim_replica *replica = &check->replicas[node - 1][group];
    if (raft->config.voter_count == 0) /* it came to be just now, and knows none yet */
        return;
    if (replica->config != raft->config.index)
        check_step(check, node, group, raft);
    replica->config = raft->config.index;
    if (replica->config_known >= raft->config.index)
        return;
    if (raft->config_previous.voter_count > 0 && raft->config_previous.index <= raft->commit &&
        replica->config_known < raft->config_previous.index) {
        committed(check, node, group, &raft->config_previous);
        replica->config_known = raft->config_previous.index;
    }
    if (raft->config.index <= raft->commit) {
        committed(check, node, group, &raft->config);
        replica->config_known = raft->config.index;
    }
}

/* --- lives --------------------------------------------------------------------------------- */

/* What began its life, or something else in that place, is committed, and so is a configuration
 * that it is not in and that is not older than its life's, if that came to be. */
static bool is_gone(const struct sim_group *group, struct raft_replica replica)
{
    if (group->commit_max < replica.life)
        return false;
    if (group->config_count > 0 &&
        !sim_check_config_names(&group->configs[group->config_count - 1], replica))
        return true;
    for (uint32_t i = group->config_count; i > 0; i--) {
        const struct raft_config *config = &group->configs[i - 1];
        if (config->index > replica.life && !sim_check_config_names(config, replica))
            return true;
    }
    return false;
}

/* What the replica before it promised and had is no business of the next one. */
static void forget(struct sim_replica *replica)
{
    struct sim_mirror mirror = {.terms = replica->mirror.terms,
                                .capacity = replica->mirror.capacity};
    struct sim_replica before = *replica;
    *replica = (struct sim_replica){.mirror = mirror,
                                    .life_last = before.life_last,
                                    .voted_at = before.voted_at,
                                    .acked_at = before.acked_at};
    memcpy(replica->voted, before.voted, sizeof replica->voted);
    memcpy(replica->acked, before.acked, sizeof replica->acked);
}

void sim_check_life(struct sim_check *check, const struct sim_node *node, uint32_t group,
                    const struct raft *raft, bool opened)
{
    struct sim_replica *replica = &check->replicas[node->endpoint - 1][group];
    uint64_t life = raft ? raft->options.self.life : 0;
    if (life == UINT64_MAX) /* fenced, and it has forgotten which it is: still the one before */
        return;
    if (replica->life != 0 && life != replica->life) {
        struct raft_replica gone = {.member = node_member(node->node), .life = replica->life};
        if (!is_gone(&check->groups[group], gone))
            sim_fail(check->sim,
                     "node %u p%02u is destroyed in its life %" PRIu64
                     ", and no configuration without it is committed",
                     node->endpoint, group, replica->life);
        sim_trace(check->sim, 1, "node %u p%02u of life %" PRIu64 " is gone", node->endpoint, group,
                  replica->life);
        check->destroyed++;
    }
    if (life == replica->life)
        return;
    forget(replica);
    if (life != 0) {
        bool again = opened ? life < replica->life_last : life <= replica->life_last;
        if (again)
            sim_fail(check->sim,
                     "node %u p%02u lives again in life %" PRIu64 ", after that of %" PRIu64,
                     node->endpoint, group, life, replica->life_last);
        sim_fold(check->sim, 12, (uint64_t)node->endpoint << 32 | group, life);
        sim_trace(check->sim, 1, "node %u p%02u begins life %" PRIu64, node->endpoint, group, life);
        replica->life_last = life > replica->life_last ? life : replica->life_last;
        check->lives++;
    }
    replica->life = life;
}
