#include "tests/sim/sim_check.h"

#include <inttypes.h>

/* One operation may be over a limit in bytes when nothing else is in flight, and so may one append
 * of the journal, which is a whole message's; checkpoints come on top. */
#define SLACK_SIZE (64u << 10)

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
    if (sim_random_below(random, 16) == 0)
        shard_check(shard->shard);
    if (sim_random_below(random, 256) == 0)
        store_check(shard_store(shard->shard));
}
