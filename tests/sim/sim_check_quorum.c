#include "tests/sim/sim_check.h"

#include <inttypes.h>

/* Who is asked about: has it voted for this candidate, does it hold the log up to index? */
struct question {
    struct sim_check *check;
    uint32_t group;
    uint32_t term;
    uint16_t candidate;
    uint64_t index;
    uint8_t leader; /* endpoint */
};

static const struct sim_replica *replica_of(const struct question *question,
                                            struct raft_replica replica)
{
    const struct sim_node *node = sim_cluster_member(question->check->cluster, replica.member);
    return node ? &question->check->replicas[node->endpoint - 1][question->group] : NULL;
}

static bool has_voted(const void *context, struct raft_replica replica)
{
    const struct question *question = context;
    const struct sim_replica *there = replica_of(question, replica);
    if (replica.member == question->candidate)
        return true;
    for (uint32_t i = 0; there && i < SIM_VOTES; i++)
        if (there->voted[i].term == question->term && there->voted[i].life == replica.life &&
            there->voted[i].candidate == question->candidate)
            return true;
    return false;
}

static bool holds(const void *context, struct raft_replica replica)
{
    const struct question *question = context;
    const struct sim_node *node = sim_cluster_member(question->check->cluster, replica.member);
    const struct sim_replica *there = replica_of(question, replica);
    if (node && node->endpoint == question->leader) {
        const struct raft *raft = sim_check_raft(question->check, node->endpoint, question->group);
        return raft->options.self.life == replica.life && raft->synced >= question->index;
    }
    for (uint32_t i = 0; there && i < SIM_VOTES; i++)
        if (there->acked[i].term == question->term && there->acked[i].life == replica.life &&
            there->acked[i].index >= question->index)
            return true;
    return false;
}

static void note_acked(struct sim_replica *replica, const struct wire_raft *raft)
{
    struct sim_acked *newest = &replica->acked[replica->acked_at % SIM_VOTES];
    if (newest->term != raft->term || newest->life != raft->from_life) {
        newest = &replica->acked[++replica->acked_at % SIM_VOTES];
        *newest = (struct sim_acked){.term = raft->term, .life = raft->from_life};
    }
    if (raft->index > newest->index)
        newest->index = raft->index;
}

void sim_check_quorum_send(struct sim_check *check, uint8_t node, uint32_t group,
                           const struct wire_raft *raft)
{
    struct sim_replica *replica = &check->replicas[node - 1][group];
    if (raft->flags & 1 || sim_check_removal_settled(check, raft->from_member))
        return;
    if (raft->kind == RAFT_VOTE_REPLY) {
        replica->voted[replica->voted_at++ % SIM_VOTES] = (struct sim_voted){
            .candidate = raft->to_member, .term = raft->term, .life = raft->from_life};
    } else if (raft->kind == RAFT_APPEND_REPLY) {
        note_acked(replica, raft);
    }
}

/* The configuration may be newer than what it decided: one that came in this round. */
static bool by_quorum(const struct raft *raft, bool is_new,
                      bool (*there)(const void *context, struct raft_replica replica),
                      const struct question *question)
{
    return sim_check_config_quorum(&raft->config, there, question) ||
           (is_new && raft->config_previous.voter_count > 0 &&
            sim_check_config_quorum(&raft->config_previous, there, question));
}

void sim_check_quorum(struct sim_check *check, uint8_t node, uint32_t group,
                      const struct raft *raft)
{
    const struct sim_replica *replica = &check->replicas[node - 1][group];
    struct question question = {.check = check,
                                .group = group,
                                .term = raft->term,
                                .candidate = raft->options.self.member,
                                .index = raft->commit,
                                .leader = node};
    bool led = replica->open && replica->role == RAFT_LEADER && replica->term == raft->term;
    bool is_new = replica->config != raft->config.index;
    if (!led && !by_quorum(raft, is_new, has_voted, &question))
        sim_fail(check->sim, "node %u p%02u leads term %u, and no quorum has voted for it", node,
                 group, raft->term);
    if (raft->commit >= raft->term_start && (!led || raft->commit > replica->commit) &&
        !by_quorum(raft, is_new, holds, &question))
        sim_fail(check->sim,
                 "node %u p%02u commits %" PRIu64
                 " in term %u, and no quorum of its voters holds it",
                 node, group, raft->commit, raft->term);
}
