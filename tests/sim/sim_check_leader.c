#include "tests/sim/sim_check.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* A pre-vote that was under way when the cut came may still have been granted. */
#define CUT_OFF_US (1500 * SIM_MS)

/* What a leader counts for a peer that follows it must be in that peer's log. */
static void check_match(struct sim_check *check, uint8_t node, uint32_t group,
                        const struct raft *raft)
{
    for (uint32_t i = 0; i < raft->peer_count; i++) {
        const struct raft_progress *peer = &raft->peers[i];
        const struct sim_node *there = sim_cluster_member(check->cluster, peer->replica.member);
        const struct raft *follower = there ? sim_check_raft(check, there->endpoint, group) : NULL;
        if (!follower || there->endpoint == node || there->rotten || follower->term != raft->term ||
            follower->options.self.life != peer->replica.life)
            continue;
        if (peer->match > follower->log.last)
            sim_fail(check->sim,
                     "node %u p%02u counts on node %u up to %" PRIu64 ", which has %" PRIu64, node,
                     group, there->endpoint, peer->match, follower->log.last);
    }
}

/* Entries of earlier terms are committed only together with one of the leader's own term. */
static void check_commit(struct sim_check *check, uint8_t node, uint32_t group,
                         const struct raft *raft)
{
    const struct sim_replica *replica = &check->replicas[node - 1][group];
    if (!replica->open || replica->role != RAFT_LEADER || replica->term != raft->term ||
        replica->commit == raft->commit)
        return;
    uint32_t term = raft_log_term(&raft->log, raft->commit);
    if (term && term != raft->term)
        sim_fail(check->sim, "node %u p%02u leads term %u and commits %" PRIu64 " of term %u", node,
                 group, raft->term, raft->commit, term);
}

/* With pre-votes, who cannot reach a majority does not begin terms: it would only disturb those who
 * can when it comes back. A leader that hands over may be as cut off, and asks without a pre-vote.
 */
void sim_check_campaign(struct sim_check *check, uint8_t node, uint32_t group,
                        const struct raft *raft)
{
    const struct sim_replica *replica = &check->replicas[node - 1][group];
    uint32_t reached = 1;
    /* Cut one way only, a pre-vote and its answer may both have been on their way. */
    uint64_t patience = CUT_OFF_US + 2 * check->sim->swarm.delay_us_max;
    if (!replica->open || raft->role != RAFT_CANDIDATE || raft->term <= replica->term ||
        (replica->asked_us && replica->asked_us + patience > check->sim->now_us))
        return;
    for (uint32_t i = 0; i < raft->config.voter_count; i++) {
        const struct sim_node *there =
            sim_cluster_member(check->cluster, raft->config.voters[i].member);
        reached += there && there->endpoint != node &&
                   !sim_net_cut_off(check->cluster->net, node, there->endpoint, patience);
    }
    if (reached <= raft->config.voter_count / 2)
        sim_fail(check->sim,
                 "node %u p%02u begins term %u, though it has long been cut off from the majority",
                 node, group, raft->term);
}

void sim_check_leader(struct sim_check *check, uint8_t node, uint32_t group,
                      const struct raft *raft)
{
    struct sim_group *g = &check->groups[group];
    if (raft->term >= g->leader_capacity) {
        uint32_t capacity = (raft->term + 1) * 2;
        g->leaders = realloc(g->leaders, capacity);
        assert(g->leaders);
        memset(g->leaders + g->leader_capacity, 0, capacity - g->leader_capacity);
        g->leader_capacity = capacity;
    }
    if (g->leaders[raft->term] == 0)
        g->leaders[raft->term] = node;
    if (g->leaders[raft->term] != node)
        sim_fail(check->sim, "p%02u has two leaders in term %u: nodes %u and %u", group, raft->term,
                 g->leaders[raft->term], node);
    check_match(check, node, group, raft);
    check_commit(check, node, group, raft);
}
