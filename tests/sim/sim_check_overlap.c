#include "tests/sim/sim_check.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>

/* Replicas of two configurations: both halves of a joint one, and who comes. */
#define UNION_MAX (4u * RAFT_VOTERS_MAX)

struct replica_set {
    struct raft_replica replicas[UNION_MAX];
    uint32_t count;
};

/* The quorums of a configuration, by bits of a set. */
struct quorums {
    uint32_t voters, voters_old; /* voters_old 0: it is not joint */
};

static bool same_replica(struct raft_replica one, struct raft_replica other)
{
    return one.member == other.member && one.life == other.life;
}

/* The bit of each; those that are new are taken in. */
static uint32_t set_of(struct replica_set *all, const struct raft_replica *replicas, uint32_t count)
{
    uint32_t bits = 0;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t at = 0;
        while (at < all->count && !same_replica(all->replicas[at], replicas[i]))
            at++;
        assert(at < UNION_MAX);
        if (at == all->count)
            all->replicas[all->count++] = replicas[i];
        bits |= 1u << at;
    }
    return bits;
}

static struct quorums quorums_of(struct replica_set *all, const struct raft_config *config)
{
    struct quorums quorums;
    quorums.voters = set_of(all, config->voters, config->voter_count);
    quorums.voters_old = set_of(all, config->voters_old, config->voter_old_count);
    return quorums;
}

static bool majority(uint32_t of, uint32_t there)
{
    return 2 * __builtin_popcount(of & there) > __builtin_popcount(of);
}

static bool is_quorum(struct quorums quorums, uint32_t there)
{
    return majority(quorums.voters, there) &&
           (quorums.voters_old == 0 || majority(quorums.voters_old, there));
}

/* Is some part of these a quorum of the one, and some part of those, but nobody of both, a quorum
 * of the other? */
static bool split(struct quorums one, uint32_t these, struct quorums other, uint32_t those)
{
    for (uint32_t there = these;; there = (there - 1) & these) {
        if (is_quorum(one, there) && is_quorum(other, those & ~there))
            return true;
        if (there == 0)
            return false;
    }
}

bool sim_check_configs_overlap(const struct raft_config *one, const struct raft_config *other)
{
    struct replica_set all = {.count = 0};
    struct quorums first = quorums_of(&all, one), second = quorums_of(&all, other);
    return !split(first, first.voters | first.voters_old, second,
                  second.voters | second.voters_old);
}

bool sim_check_config_quorum(const struct raft_config *config,
                             bool (*there)(const void *context, struct raft_replica replica),
                             const void *context)
{
    struct replica_set all = {.count = 0};
    struct quorums quorums = quorums_of(&all, config);
    uint32_t have = 0;
    for (uint32_t i = 0; i < all.count; i++)
        have |= there(context, all.replicas[i]) ? 1u << i : 0;
    return is_quorum(quorums, have);
}

/* --- two at once --------------------------------------------------------------------------- */

/* NULL: it is down, fenced, or over. */
static const struct raft *replica_there(const struct sim_check *check, uint32_t group,
                                        struct raft_replica replica)
{
    const struct sim_node *node = sim_cluster_member(check->cluster, replica.member);
    const struct raft *raft = node ? sim_check_raft(check, node->endpoint, group) : NULL;
    return raft && same_replica(raft->options.self, replica) ? raft : NULL;
}

static bool is_newer(const struct raft *one, const struct raft *other)
{
    uint32_t term = raft_log_term(&one->log, one->log.last);
    uint32_t term_other = raft_log_term(&other->log, other->log.last);
    return term > term_other || (term == term_other && one->log.last > other->log.last);
}

/* Would it follow that one? A leader in its term; who does not lead it might yet elect, in a term
 * to come. */
static bool follows(const struct raft *raft, const struct raft *leader)
{
    if (raft == leader)
        return true;
    return leader->role == RAFT_LEADER ? raft->term <= leader->term : !is_newer(raft, leader);
}

/* Who might follow it, of those that vote by its configuration; 0: no quorum of them does. */
static uint32_t followers(const struct sim_check *check, uint32_t group, const struct raft *leader,
                          struct replica_set *all, struct quorums *quorums)
{
    uint32_t there = 0;
    *quorums = quorums_of(all, &leader->config);
    for (uint32_t i = 0; i < all->count; i++) {
        const struct raft *raft = replica_there(check, group, all->replicas[i]);
        bool votes = (quorums->voters | quorums->voters_old) >> i & 1;
        there |= votes && raft && follows(raft, leader) ? 1u << i : 0;
    }
    return is_quorum(*quorums, there) ? there : 0;
}

/* It leads, or may be elected by the configuration that it goes by. */
static bool may_lead(const struct raft *raft)
{
    const struct raft_config *config = &raft->config;
    if (raft->role == RAFT_LEADER)
        return true;
    for (uint32_t i = 0; i < config->voter_count; i++)
        if (same_replica(config->voters[i], raft->options.self))
            return true;
    for (uint32_t i = 0; i < config->voter_old_count; i++)
        if (same_replica(config->voters_old[i], raft->options.self))
            return true;
    return false;
}

static bool both_may_commit(const struct sim_check *check, uint32_t group, const struct raft *one,
                            const struct raft *other)
{
    struct replica_set all = {.count = 0};
    struct quorums first, second;
    uint32_t these = followers(check, group, one, &all, &first);
    uint32_t those = these ? followers(check, group, other, &all, &second) : 0;
    return those && split(first, these, second, those);
}

void sim_check_overlap(struct sim_check *check, uint32_t group)
{
    const struct raft *there[SIM_NODES_MAX];
    uint32_t count = 0;
    for (uint8_t i = 1; i <= check->cluster->node_count; i++) {
        const struct raft *raft = sim_check_raft(check, i, group);
        if (raft && raft->config.voter_count > 0 && may_lead(raft))
            there[count++] = raft;
    }
    for (uint32_t i = 0; i < count; i++)
        for (uint32_t j = i + 1; j < count; j++)
            if (both_may_commit(check, group, there[i], there[j]))
                sim_fail(check->sim,
                         "p%02u: members %u and %u may both commit, by the configurations of "
                         "%" PRIu64 " and %" PRIu64 ": disjoint quorums follow them",
                         group, there[i]->options.self.member, there[j]->options.self.member,
                         there[i]->config.index, there[j]->config.index);
    check->overlaps++;
}
