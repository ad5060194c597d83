/* Gossip in the simulated processes, of the seeds that have it: what node_loop_gossip.c does. */
#include "tests/sim/sim_cluster.h"

#include "replication/node_gossip.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <sodium.h>

static struct sim *sim_of(const struct sim_node *node)
{
    return node->cluster->sim;
}

/* Stands for a signature, which would cost more than all the rest: anyone could make it who knows
 * the public key, and nobody here does. */
static void sign(const void *context, const uint8_t *bytes, size_t size,
                 uint8_t signature[SWIM_SIGNATURE_SIZE])
{
    memset(signature, 0, SWIM_SIGNATURE_SIZE);
    crypto_shorthash(signature, bytes, size, context);
}

static bool verify(const void *context, const uint8_t public_key[RINGMAP_KEY_SIZE],
                   const uint8_t *bytes, size_t size, const uint8_t signature[SWIM_SIGNATURE_SIZE])
{
    uint8_t expected[crypto_shorthash_BYTES];
    (void)context;
    crypto_shorthash(expected, bytes, size, public_key);
    return memcmp(expected, signature, sizeof expected) == 0;
}

/* Some node knows that this one is removed: nobody has to answer it any more, nor to say why. */
static bool is_removed(const struct sim_node *node)
{
    for (uint32_t i = 0; i < node->cluster->node_count; i++) {
        const struct sim_node *other = &node->cluster->nodes[i];
        const struct ringmap *map = other->node ? node_map(other->node) : NULL;
        uint16_t member = sim_cluster_member_in(map, node->endpoint);
        if (member && ringmap_member(map, member)->state == RINGMAP_STATE_REMOVED)
            return true;
    }
    return false;
}

/* Whether `member`, now held dead, was there all the time: nothing has broken in this run, and it
 * was suspected when it gossiped. Nodes also die while they found, whatever the schedule has, and
 * a HELLO that is held up holds up all that follows on its link. */
static bool is_wrong(const struct sim_node *node, uint16_t member)
{
    const struct sim_cluster *cluster = node->cluster;
    const struct swim *swim = node_gossip_swim(node->gossip);
    uint64_t lasted_ms = swim->clock_ms - swim_find(swim, member)->suspected_ms;
    const struct sim_net_stats *net = sim_net_stats(cluster->net);
    uint64_t since_us = net->late_until_us;
    bool broken = cluster->sim->swarm.fault_every_ms > 0 || net->blocks > 0 || is_removed(node);
    if (since_us < cluster->admin.founded_us)
        since_us = cluster->admin.founded_us;
    for (uint32_t i = 0; i < cluster->node_count; i++)
        broken |= cluster->nodes[i].life != 1;
    return !broken && sim_cluster_founded(cluster) &&
           cluster->sim->now_us > since_us + lasted_ms * SIM_MS;
}

static void step(struct sim_node *node, struct node_gossip_event *event)
{
    static struct node_gossip_effects effects;
    event->now_ms = sim_clock_ms(&node->clock, sim_of(node)->now_us);
    event->random = sim_random_next(sim_stream(sim_of(node), SIM_STREAM_CORE));
    node_gossip_step(node->gossip, event, &effects);
    if (node_gossip_swim(node->gossip))
        swim_check(node_gossip_swim(node->gossip));
    if (effects.fatal) {
        sim_fail(sim_of(node), "gossip of node %u ends: %d", node->endpoint, effects.fatal);
        return;
    }
    for (size_t i = 0; i < effects.send_count; i++)
        sim_node_send(node, &effects.sends[i]);
    for (size_t i = 0; i < effects.change_count; i++) {
        const struct swim_change *change = &effects.changes[i];
        if (change->counter)
            sim_counters_heard(node, change->member, change->counter);
        sim_trace(sim_of(node), 1, "node %u holds %u %s", node->endpoint, change->member,
                  swim_standing_name(change->standing));
        sim_fold(sim_of(node), 11, node->endpoint,
                 (uint64_t)change->member << 8 | change->standing);
        if (change->standing == SWIM_DEAD && is_wrong(node, change->member))
            sim_fail(sim_of(node), "node %u holds %u dead in a run without faults", node->endpoint,
                     change->member);
    }
    if (effects.ahead_epoch != 0)
        sim_node_heard(node, effects.ahead, effects.ahead_epoch);
}

static void run_tick(void *context, uint64_t life)
{
    struct sim_node *node = context;
    if (!sim_node_lives(node, life))
        return;
    uint64_t wait_ms = node_gossip_wait_ms(node->gossip);
    if (node->state == SIM_UP) {
        step(node,
             &(struct node_gossip_event){.kind = NODE_GOSSIP_TICK, .counter = node->counters.own});
        wait_ms = node_gossip_wait_ms(node->gossip);
    }
    sim_after(sim_of(node), (wait_ms < 10 ? 10 : wait_ms) * SIM_MS, run_tick, node, life);
}

void sim_gossip_open(struct sim_node *node)
{
    if (!sim_of(node)->swarm.gossip)
        return;
    struct node_gossip_options options = {
        .signer = {.sign = sign, .verify = verify, .context = node->public_key}};
    memcpy(options.cluster, node->cluster->map.cluster, sizeof options.cluster);
    memcpy(options.address, node->address, sizeof options.address);
    int r = node_gossip_open(&node->gossip, &options);
    assert(r == 0);
    sim_after(sim_of(node), 0, run_tick, node, node->life);
}

void sim_gossip_close(struct sim_node *node)
{
    node_gossip_close(node->gossip);
    node->gossip = NULL;
}

void sim_gossip_map(struct sim_node *node)
{
    if (node->gossip && node_map(node->node))
        step(node, &(struct node_gossip_event){.kind = NODE_GOSSIP_MAP,
                                               .map = node_map(node->node),
                                               .self = node_member(node->node)});
}

bool sim_gossip_takes(struct sim_node *node, const struct sim_inbox_item *item)
{
    if (item->kind != NODE_EVENT_MESSAGE || item->message->message.type != WIRE_GOSSIP)
        return false;
    if (node->gossip)
        step(node, &(struct node_gossip_event){.kind = NODE_GOSSIP_MESSAGE,
                                               .from = item->from,
                                               .message = &item->message->message});
    return true;
}

void sim_gossip_leave(struct sim_node *node)
{
    if (node->gossip)
        step(node, &(struct node_gossip_event){.kind = NODE_GOSSIP_LEAVE});
}

bool sim_gossip_converged(const struct sim_cluster *cluster, char *why, size_t size)
{
    for (uint32_t i = 0; i < cluster->node_count; i++) {
        const struct sim_node *node = &cluster->nodes[i];
        const struct swim *swim = node->gossip ? node_gossip_swim(node->gossip) : NULL;
        for (uint32_t j = 0; swim && j < cluster->node_count; j++) {
            const struct sim_node *other = &cluster->nodes[j];
            const struct ringmap *map = node_map(node->node);
            uint16_t member = sim_cluster_member_in(map, other->endpoint);
            const struct swim_member *seen = member ? swim_find(swim, member) : NULL;
            if (!member || ringmap_member(map, member)->state == RINGMAP_STATE_REMOVED ||
                other->state != SIM_UP || other->draining || node->draining ||
                (seen && seen->standing == SWIM_ALIVE))
                continue;
            (void)snprintf(why, size, "node %u holds %u %s", node->endpoint, member,
                           seen ? swim_standing_name(seen->standing) : "unknown");
            return false;
        }
    }
    return true;
}
