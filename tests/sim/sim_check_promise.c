#include "tests/sim/sim_check.h"

#include "ring/wire.h"

#include <inttypes.h>

static void promise_vote(struct sim_check *check, uint8_t node, uint32_t group, uint32_t term,
                         uint16_t candidate)
{
    struct sim_replica *replica = &check->replicas[node - 1][group];
    if (replica->vote_term == term && replica->vote != candidate)
        sim_fail(check->sim, "node %u p%02u votes twice in term %u: for members %u and %u", node,
                 group, term, replica->vote, candidate);
    if (term >= replica->vote_term) {
        replica->vote_term = term;
        replica->vote = candidate;
    }
}

static void trace_message(struct sim_check *check, const struct wire_raft *raft)
{
    static const char *const kinds[] = {"?",          "PREVOTE", "PREVOTE_REPLY", "VOTE",
                                        "VOTE_REPLY", "APPEND",  "APPEND_REPLY",  "TIMEOUT_NOW"};
    if (check->sim->trace >= 3)
        sim_trace(check->sim, 3,
                  "node %u p%02u sends node %u %s%s term %u index %" PRIu64
                  " of term %u, %u entries,"
                  " commit %" PRIu64,
                  raft->from_member, raft->group, raft->to_member,
                  kinds[raft->kind < 8 ? raft->kind : 0], raft->flags & 1 ? " (no)" : "",
                  raft->term, raft->index, raft->log_term, raft->entry_count, raft->commit);
}

/* What these messages say must be durable when they leave. Pre-votes promise nothing; a rejection
 * only tells of a newer term. */
void sim_check_promise_send(struct sim_check *check, const struct sim_node *node,
                            const struct link_message *message)
{
    struct wire_cursor cursor;
    struct wire_raft raft;
    if (message->type != WIRE_RAFT)
        return;
    uint16_t self = node_member(node->node);
    wire_cursor_init(&cursor, message->body, message->body_size);
    while (!wire_cursor_done(&cursor) && wire_get_raft(&cursor, &raft)) {
        bool reject = raft.flags & 1;
        trace_message(check, &raft);
        uint32_t group = raft.group == WIRE_PARTITION_META ? SIM_PARTITIONS : raft.group;
        if (raft.from_member != self || group > SIM_PARTITIONS) {
            sim_fail(check->sim, "node %u sends a message in the name of member %u", node->endpoint,
                     raft.from_member);
            return;
        }
        struct sim_replica *replica = &check->replicas[node->endpoint - 1][group];
        const struct sim_node *to = sim_cluster_member(check->cluster, raft.to_member);
        if (raft.kind == RAFT_TIMEOUT_NOW && to)
            check->replicas[to->endpoint - 1][group].asked_us = check->sim->now_us;
        sim_check_quorum_send(check, node->endpoint, group, &raft);
        if (raft.kind == RAFT_PREVOTE || raft.kind == RAFT_PREVOTE_REPLY || reject)
            continue;
        if (raft.term > replica->term_promised)
            replica->term_promised = raft.term;
        if (raft.kind == RAFT_VOTE)
            promise_vote(check, node->endpoint, group, raft.term, self);
        if (raft.kind == RAFT_VOTE_REPLY)
            promise_vote(check, node->endpoint, group, raft.term, raft.to_member);
    }
    if (cursor.failed)
        sim_fail(check->sim, "node %u sends a RAFT frame that does not decode", node->endpoint);
}

/* Synced is what the leader may count, and what an acknowledgement names. */
void sim_check_promise_round(struct sim_check *check, uint8_t node, uint32_t group,
                             const struct raft *raft)
{
    struct sim_replica *replica = &check->replicas[node - 1][group];
    replica->synced_promised = raft->synced < raft->log.last ? raft->synced : raft->log.last;
}

/* The mirror still shows the log as it was before the crash. What was synced then and is committed
 * anywhere must be there again. */
static void check_synced(struct sim_check *check, uint8_t node, uint32_t group,
                         const struct raft *raft)
{
    const struct sim_replica *replica = &check->replicas[node - 1][group];
    const struct sim_group *g = &check->groups[group];
    /* What lies behind `committed` was heard to be committed, and has not been seen. */
    for (uint64_t index = raft->log.first; index <= replica->synced_promised &&
                                           index <= g->commit_max && index < g->committed_capacity;
         index++) {
        uint32_t committed = g->committed[index].term;
        if (committed == 0 || index > replica->mirror.last ||
            replica->mirror.terms[index] != committed)
            continue;
        if (index > raft->log.last || raft_log_term(&raft->log, index) != committed) {
            sim_fail(check->sim,
                     "node %u p%02u lost entry %" PRIu64
                     " of term %u, which it had synced and which is committed (log now %" PRIu64
                     " … %" PRIu64 ")",
                     node, group, index, committed, raft->log.first, raft->log.last);
            return;
        }
    }
}

/* Whoever gets a snapshot for a damaged journal has voted from then on for the leader that gave it:
 * nobody else can be elected in that term. */
static bool votes_for_leader(const struct sim_check *check, uint8_t node, uint32_t group,
                             const struct raft *raft)
{
    const struct sim_group *g = &check->groups[group];
    const struct sim_node *leader = sim_cluster_member(check->cluster, raft->vote);
    return sim_cluster_node(check->cluster, node)->rotten && leader &&
           raft->term < g->leader_capacity && g->leaders[raft->term] == leader->endpoint;
}

void sim_check_promise_open(struct sim_check *check, uint8_t node, uint32_t group,
                            const struct raft *raft)
{
    const struct sim_replica *replica = &check->replicas[node - 1][group];
    if (raft->term < replica->term_promised)
        sim_fail(check->sim, "node %u p%02u comes back with term %u, but had spoken in term %u",
                 node, group, raft->term, replica->term_promised);
    if (raft->term == replica->vote_term && raft->vote != replica->vote &&
        !votes_for_leader(check, node, group, raft))
        sim_fail(check->sim,
                 "node %u p%02u comes back with vote %u in term %u, but had voted for %u", node,
                 group, raft->vote, raft->term, replica->vote);
    check_synced(check, node, group, raft);
}
