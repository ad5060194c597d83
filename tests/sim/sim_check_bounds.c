#include "tests/sim/sim_check.h"

#include <inttypes.h>

/* One operation may be over a limit in bytes when nothing else is in flight, and so may one append
 * of the journal, which is a whole message's; checkpoints come on top. */
#define SLACK_SIZE (64u << 10)

/* What a leader has on its way to each replica; the last message may go over the limit. */
static void check_inflight(struct sim_check *check, const struct sim_node *node, uint32_t group)
{
    const struct sim_swarm *swarm = &check->sim->swarm;
    const struct raft *raft = sim_check_raft(check, node->endpoint, group);
    for (uint32_t i = 0; raft && raft->role == RAFT_LEADER && i < raft->peer_count; i++) {
        const struct raft_progress *peer = &raft->peers[i];
        if (peer->inflight_messages > swarm->inflight_messages_max ||
            peer->inflight_size > swarm->inflight_size_max + swarm->append_size_max + SLACK_SIZE)
            sim_fail(check->sim,
                     "node %u p%02u has %u messages, %zu bytes on their way to node %u, of at most "
                     "%u and %u",
                     node->endpoint, group, (unsigned)peer->inflight_messages,
                     (size_t)peer->inflight_size, (unsigned)peer->replica.member,
                     swarm->inflight_messages_max, swarm->inflight_size_max);
    }
}

/* Read jobs handed out and not given back: as many as one round may hand out. */
static void check_reads(struct sim_check *check, const struct sim_node *node,
                        const struct sim_shard *shard)
{
    size_t reads = 0;
    for (size_t i = 0; i < shard->job_count; i++)
        reads += store_job_class(shard->jobs[i].job) == STORE_JOB_READ;
    if (reads > SHARD_JOBS_MAX)
        sim_fail(check->sim, "node %u has %zu reads at its disk, of at most %u", node->endpoint,
                 reads, SHARD_JOBS_MAX);
}

void sim_check_bounds(struct sim_check *check, struct sim_node *node, struct sim_shard *shard)
{
    const struct sim_swarm *swarm = &check->sim->swarm;
    struct sim_random *random = sim_stream(check->sim, SIM_STREAM_CHECK);
    struct shard_stats stats;
    shard_stats(shard->shard, &stats);
    if (stats.operations_in_flight > swarm->operations_max)
        sim_fail(check->sim, "node %u has %" PRIu64 " operations in flight, of at most %u",
                 node->endpoint, stats.operations_in_flight, swarm->operations_max);
    if (stats.operations_in_flight_size > swarm->operations_size_max + SLACK_SIZE)
        sim_fail(check->sim, "node %u has %zu bytes of operations in flight, of at most %zu",
                 node->endpoint, stats.operations_in_flight_size, swarm->operations_size_max);
    size_t queued = store_queued(shard_store(shard->shard));
    if (queued > swarm->queue_size_max + swarm->append_size_max + SLACK_SIZE)
        sim_fail(check->sim, "node %u has %zu bytes queued for its journal, of at most %u",
                 node->endpoint, queued, swarm->queue_size_max);
    check_reads(check, node, shard);
    for (uint32_t group = 0; group < SIM_GROUPS; group++)
        check_inflight(check, node, group);
    if (sim_random_below(random, 16) == 0)
        shard_check(shard->shard);
    if (sim_random_below(random, 256) == 0)
        store_check(shard_store(shard->shard));
}
