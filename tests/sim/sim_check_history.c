#include "tests/sim/sim_check.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

/* Every group has one leader that all its replicas follow, and all have applied the same. Rotten
 * nodes need not take part. */
bool sim_check_converged(struct sim_check *check, char *why, size_t size)
{
    for (uint32_t group = 0; group < SIM_GROUPS; group++) {
        const struct raft *leader = sim_check_group_leader(check, group);
        if (!leader) {
            (void)snprintf(why, size, "p%02u has no leader", group);
            return false;
        }
        for (uint32_t i = 0; i < leader->config.voter_count; i++) {
            const struct sim_node *node =
                sim_cluster_member(check->cluster, leader->config.voters[i].member);
            assert(node);
            const struct raft *raft = sim_check_raft(check, node->endpoint, group);
            if (node->rotten && !raft)
                continue;
            if (!raft || raft->term != leader->term || raft->applied != leader->applied ||
                leader->applied != leader->log.last) {
                (void)snprintf(why, size,
                               "p%02u of node %u has applied %" PRIu64 " in term %u, its leader "
                               "(member %u) %" PRIu64 " of %" PRIu64 " in term %u",
                               group, node->endpoint, raft ? raft->applied : 0,
                               raft ? raft->term : 0, leader->options.self.member, leader->applied,
                               leader->log.last, leader->term);
                return false;
            }
        }
        (void)sim_check_digest(check, group);
    }
    return sim_check_maps_converged(check, why, size) &&
           sim_check_tickets_converged(check, why, size);
}

void sim_check_history(struct sim_check *check, struct sim_workload *workload)
{
    struct judge_verdict verdict;
    int r = judge_run(sim_workload_judge(workload), &verdict);
    assert(r >= 0);
    check->judge_peak = verdict.peak;
    if (r == JUDGE_E_OK)
        return;
    sim_fail(check->sim, "%s: op %u: %s",
             r == JUDGE_E_VIOLATION ? "not linearizable" : "the judge is undecided", verdict.op,
             verdict.why);
    if (check->sim->trace)
        judge_explain(sim_workload_judge(workload), &verdict, stdout);
}
