#include "tests/sim/sim_drain.h"

#include "ring/wire.h"
#include "ring/wire_load.h"
#include "tests/sim/sim_cluster.h"

#define TELL_US (300 * SIM_MS)

static struct sim_random *random_of(const struct sim_drain *drain)
{
    return sim_stream(drain->cluster->sim, SIM_STREAM_DRAIN);
}

void sim_drain_choose(struct sim_drain *drain, uint8_t endpoint)
{
    sim_trace(drain->cluster->sim, 1, "node %u is to be drained (0: none)", endpoint);
    drain->node = endpoint;
}

/* The correlation says what was asked. */
static void tell(struct sim_drain *drain, uint8_t endpoint)
{
    bool drained = endpoint == drain->node;
    struct wire_buffer body = {0};
    wire_put_drain(&body, drained);
    for (uint16_t i = 0; i < drain->cluster->sim->swarm.shards; i++) {
        struct link_message message = {.type = WIRE_DRAIN,
                                       .partition = i,
                                       .correlation = drained,
                                       .body = body.data,
                                       .body_size = body.size};
        sim_net_send(drain->cluster->net, 0, endpoint, true, 0, &message);
    }
    wire_buffer_deinit(&body);
}

static void run_drain(void *context, uint64_t argument)
{
    struct sim_drain *drain = context;
    struct sim_cluster *cluster = drain->cluster;
    uint64_t mean_us = cluster->sim->swarm.drain_ms * SIM_MS;
    (void)argument;
    if (!cluster->healing && sim_random_below(random_of(drain), mean_us) < TELL_US)
        sim_drain_choose(
            drain, (uint8_t)sim_random_below(random_of(drain), (uint64_t)cluster->node_count + 1));
    for (uint8_t i = 1; i <= cluster->node_count; i++)
        tell(drain, i);
    sim_after(cluster->sim, TELL_US, run_drain, drain, 0);
}

void sim_drain_start(struct sim_drain *drain, struct sim_cluster *cluster)
{
    drain->cluster = cluster;
    sim_after(cluster->sim, TELL_US, run_drain, drain, 0);
}

void sim_drain_reply(struct sim_drain *drain, const struct link_message *message)
{
    struct wire_cursor cursor;
    uint32_t leaders;
    bool drained;
    wire_cursor_init(&cursor, message->body, message->body_size);
    if (!wire_get_drain_reply(&cursor, &drained, &leaders) || drained != message->correlation)
        sim_fail(drain->cluster->sim, "an answer to drain or undrain is none");
    drain->answers += drained;
}

bool sim_drain_is(const struct sim_node *node)
{
    struct shard_stats stats;
    for (uint32_t i = 0; i < node->cluster->sim->swarm.shards; i++) {
        if (node->state == SIM_DOWN || !node->serving)
            return false;
        shard_stats(node->shards[i].shard, &stats);
        if (!stats.drained)
            return false;
    }
    return true;
}
