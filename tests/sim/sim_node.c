#include "tests/sim/sim_cluster.h"

#include "ring/wire.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LEAVE_US (5 * SIM_SECOND)

static struct sim *sim_of(const struct sim_node *node)
{
    return node->cluster->sim;
}

static struct sim_random *host_random(const struct sim_node *node)
{
    return sim_stream(sim_of(node), SIM_STREAM_HOST);
}

static uint64_t node_ms(const struct sim_node *node)
{
    return sim_clock_ms(&node->clock, sim_of(node)->now_us);
}

void sim_node_identity(uint8_t number, uint8_t public_key[RINGMAP_KEY_SIZE],
                       char address[RINGMAP_ADDRESS_SIZE])
{
    memset(public_key, 0, RINGMAP_KEY_SIZE);
    public_key[0] = number;
    (void)snprintf(address, RINGMAP_ADDRESS_SIZE, "127.0.0.1:%u", 7000u + number);
}

const struct ringmap *sim_node_map(const struct sim_node *node)
{
    const struct ringmap *map = node->node ? node_map(node->node) : NULL;
    return map || !node->node ? map : node_map_prepared(node->node);
}

void sim_node_init(struct sim_node *node, struct sim_cluster *cluster, uint8_t number)
{
    struct sim *sim = cluster->sim;
    int32_t rate = sim->swarm.clock_rate_ppm_max;
    node->cluster = cluster;
    node->endpoint = number;
    sim_node_identity(number, node->public_key, node->address);
    node->disk = sim_disk_new(sim->seed, SIM_STREAM_DISK + number, &sim->now_us);
    sim_disk_faults(node->disk)->nowait_again_ppm = sim->swarm.nowait_again_ppm;
    sim_inbox_init(&node->inbox);
    for (uint16_t i = 0; i < SIM_SHARDS_MAX; i++) {
        node->shards[i].node = node;
        sim_inbox_init(&node->shards[i].inbox);
    }
    struct sim_random *random = host_random(node);
    node->clock = (struct sim_clock){
        .rate_ppm = (int32_t)sim_random_below(random, 2 * (uint64_t)rate + 1) - rate,
        .boot_us = sim_random_below(random, 1000 * SIM_SECOND),
        .wall_offset_ms = (int64_t)sim_random_below(random, 2001) - 1000,
    };
}

void sim_node_deinit(struct sim_node *node)
{
    if (node->state != SIM_DOWN)
        sim_node_end(node, SIM_END_CLEAN);
    for (uint16_t i = 0; i < SIM_SHARDS_MAX; i++)
        free(node->shards[i].jobs);
    node->disk = sim_disk_free(node->disk);
}

bool sim_node_lives(const struct sim_node *node, uint64_t life)
{
    return node->state != SIM_DOWN && node->life == life;
}

static void run_node_round(void *context, uint64_t life);

void sim_node_wake(struct sim_node *node, struct sim_inbox *inbox, sim_run run, void *context)
{
    if (inbox->round_due)
        return;
    inbox->round_due = true;
    uint64_t pause = sim_random_below(host_random(node), sim_of(node)->swarm.wake_us_max + 1);
    sim_after(sim_of(node), pause, run, context, node->life);
}

struct sim_inbox_item *sim_node_push(struct sim_node *node, uint8_t kind)
{
    sim_node_wake(node, &node->inbox, run_node_round, node);
    return sim_inbox_push(&node->inbox, kind);
}

bool sim_node_halted(struct sim_node *node)
{
    if (node->state == SIM_DOWN || !sim_disk_halted(node->disk))
        return node->state == SIM_DOWN;
    sim_trace(sim_of(node), 1, "node %u is %s", node->endpoint,
              node->dying == SIM_END_POWER ? "without power" : "killed");
    sim_node_end(node, (enum sim_end)node->dying);
    return true;
}

void sim_node_fatal(struct sim_node *node, const char *what, int error)
{
    struct sim *sim = sim_of(node);
    sim_trace(sim, 1, "node %u ends: %s: %s", node->endpoint, what, strerror(-error));
    sim_fold(sim, 1, node->endpoint, (uint64_t)-error);
    if (node->cluster->healing && !node->rotten) {
        sim_fail(sim, "node %u ended by itself after the faults had stopped: %s: %s",
                 node->endpoint, what, strerror(-error));
        return;
    }
    sim_node_end(node, sim_disk_halted(node->disk) ? (enum sim_end)node->dying : SIM_END_KILL);
}

static void dial_members(struct sim_node *node, const struct ringmap *map)
{
    for (uint32_t i = 0; map && i < map->member_count; i++)
        if (map->members[i].public_key[0] != node->endpoint &&
            map->members[i].state != RINGMAP_STATE_REMOVED)
            sim_net_dial(node->cluster->net, node->endpoint, map->members[i].public_key[0]);
}

/* Who has had no data key to serve with may have one now. */
static void follow_map(struct sim_node *node)
{
    node->map_us = sim_of(node)->now_us;
    sim_gossip_map(node);
    dial_members(node, sim_node_map(node));
    if (node->serving)
        (void)sim_node_take_keys(node);
    for (uint16_t i = 0; node->serving && i < sim_of(node)->swarm.shards; i++) {
        (void)sim_inbox_push(&node->shards[i].inbox, SHARD_EVENT_MAP);
        sim_shard_wake(&node->shards[i]);
    }
    sim_links_follow(node);
    if (!node->serving && node_map(node->node) && !node_removed(node->node))
        sim_shards_open(node, node_founding_owed(node->node));
    if (node->state != SIM_DOWN && !node->serving && node->cluster->observer.on_map)
        node->cluster->observer.on_map(node->cluster->observer.context, node);
}

static bool hosts_nothing(const struct sim_node *node)
{
    for (uint32_t group = 0; node->serving && group <= SIM_PARTITIONS; group++) {
        bool meta = group == SIM_PARTITIONS;
        const struct sim_shard *shard =
            &node->shards[meta ? 0 : group % sim_of(node)->swarm.shards];
        if (shard_raft(shard->shard, meta ? WIRE_PARTITION_META : (uint16_t)group))
            return false;
    }
    return true;
}

/* It was removed: it ends once it has nothing any more, or has had time to get rid of it. */
static void leave(struct sim_node *node)
{
    struct sim *sim = sim_of(node);
    if (node->removed_us == 0)
        node->removed_us = sim->now_us;
    if (!hosts_nothing(node) && sim->now_us < node->removed_us + LEAVE_US)
        return;
    sim_trace(sim, 1, "node %u has left", node->endpoint);
    node->left = true;
    sim_node_end(node, SIM_END_CLEAN);
}

static void run_node_tick(void *context, uint64_t life)
{
    struct sim_node *node = context;
    if (!sim_node_lives(node, life))
        return;
    (void)sim_node_push(node, NODE_EVENT_TICK);
    sim_after(sim_of(node), 250 * SIM_MS, run_node_tick, node, life);
}

void sim_node_heard(struct sim_node *node, uint16_t member, uint64_t epoch)
{
    struct sim_inbox_item *item = sim_node_push(node, NODE_EVENT_EPOCH);
    item->from = (struct shard_address){.role = LINK_ROLE_NODE, .member = member};
    item->epoch = epoch;
}

static void run_node_round(void *context, uint64_t life)
{
    struct sim_node *node = context;
    if (!sim_node_lives(node, life))
        return;
    if (node->state == SIM_PAUSED)
        return; /* round_due stays; resuming runs it */
    node->inbox.round_due = false;
    struct sim_inbox_item *item;
    while ((item = sim_inbox_take(&node->inbox))) {
        if (sim_links_takes(node, item) || sim_gossip_takes(node, item)) {
            sim_inbox_item_free(item);
            continue;
        }
        struct node_effects effects;
        struct node_event event = {.kind = item->kind,
                                   .now_ms = node_ms(node),
                                   .wall_ms = sim_clock_wall_ms(&node->clock, sim_of(node)->now_us),
                                   .from = item->from,
                                   .key_id = node->vault.current,
                                   .epoch = item->epoch,
                                   .message = item->message ? &item->message->message : NULL};
        if (item->kind == NODE_EVENT_REDEEM)
            event.command = (const struct tickets_command *)item->bytes;
        if (item->message && item->message->from >= 1 && item->message->from <= SIM_NODES_MAX)
            event.public_key = sim_cluster_node(node->cluster, item->message->from)->public_key;
        node_step(node->node, &event, &effects);
        node_check(node->node);
        sim_inbox_item_free(item);
        if (effects.fatal) {
            sim_node_fatal(node, "control plane", effects.fatal);
            return;
        }
        if (effects.found && !node->serving)
            sim_shards_open(node, true);
        if (!sim_node_lives(node, life))
            return;
        for (size_t i = 0; i < effects.send_count; i++)
            sim_node_send(node, &effects.sends[i]);
        if (effects.map_changed)
            follow_map(node);
        if (!sim_node_lives(node, life))
            return;
    }
    if (sim_node_halted(node))
        return;
    if (node_removed(node->node))
        leave(node);
}

/* Life. */

/* Those who founded the cluster are the seeds, also when they are members no more. */
static void dial_seeds(struct sim_node *node)
{
    for (uint8_t i = 1; i <= sim_of(node)->swarm.nodes; i++)
        sim_net_dial(node->cluster->net, node->endpoint, i);
}

void sim_node_start(struct sim_node *node)
{
    struct sim *sim = sim_of(node);
    assert(node->state == SIM_DOWN);
    struct node_options options = {.weight = RINGMAP_WEIGHT_DEFAULT,
                                   .shards = (uint16_t)sim->swarm.shards,
                                   .ask_ms = 500,
                                   .join = node->endpoint > sim->swarm.nodes,
                                   .wrap = sim_node_wrap,
                                   .wrap_context = node};
    memcpy(options.public_key, node->public_key, sizeof options.public_key);
    memcpy(options.address, node->address, sizeof options.address);
    sim_cluster_zone(sim->swarm.zone_of[node->endpoint - 1], options.zone);
    memcpy(options.cluster, node->cluster->map.cluster, sizeof options.cluster);
    options.has_secret = sim->swarm.tickets_ms && !options.join; /* else it came by a ticket */
    sim_tickets_secret(node->cluster, options.secret);
    node->life++;
    node->state = SIM_UP;
    node->started_us = sim->now_us;
    node->draining = node->left = false;
    node->removed_us = node->map_us = 0;
    node->dying = SIM_END_KILL;
    for (uint16_t i = 0; i < SIM_SHARDS_MAX; i++) {
        node->shards[i].tick_at_us = UINT64_MAX;
        node->shards[i].drained = false;
    }
    sim_trace(sim, 1, "node %u starts", node->endpoint);
    sim_fold(sim, 2, node->endpoint, node->life);
    struct sim_net_handler handler = sim_links_handler(node);
    sim_net_start(node->cluster->net, node->endpoint, &handler);
    int r = sim_counters_open(node);
    if (r == 0)
        r = node_open(&node->node, sim_disk_vfs(node->disk), &options);
    if (r) {
        node->node = NULL;
        sim_node_fatal(node, "opening the node", r);
        return;
    }
    if (node_removed(node->node)) {
        node->left = true;
        sim_node_end(node, SIM_END_CLEAN);
        return;
    }
    uint64_t life = node->life;
    sim_gossip_open(node);
    sim_gossip_map(node);
    if (node_map(node->node))
        sim_shards_open(node, node_founding_owed(node->node));
    if (node->life != life || node->state == SIM_DOWN)
        return;
    dial_members(node, sim_node_map(node));
    if (options.join && !node_map(node->node))
        dial_seeds(node);
    sim_after(sim, 0, run_node_tick, node, node->life);
}

void sim_node_end(struct sim_node *node, enum sim_end how)
{
    struct sim *sim = sim_of(node);
    assert(node->state != SIM_DOWN);
    node->state = SIM_DOWN;
    node->life++;
    sim_fold(sim, 3, node->endpoint, how);
    if (how != SIM_END_CLEAN && !sim_disk_halted(node->disk))
        sim_disk_halt_after(node->disk, (uint32_t)sim_random_below(host_random(node), 8));
    for (uint16_t i = 0; i < SIM_SHARDS_MAX; i++) {
        struct sim_shard *shard = &node->shards[i];
        if (shard->shard) {
            sim_shard_finish(shard);
            shard_close(shard->shard);
            shard->shard = NULL;
        }
        sim_inbox_clear(&shard->inbox);
    }
    if (how == SIM_END_CLEAN && node->serving)
        (void)sim_shards_raise(node);
    sim_gossip_close(node);
    node_close(node->node);
    node->node = NULL;
    node->serving = false;
    vault_init(&node->vault);
    sim_inbox_clear(&node->inbox);
    sim_net_stop(node->cluster->net, node->endpoint, how == SIM_END_POWER);
    sim_links_clear(node);
    if (sim_disk_open_count(node->disk))
        sim_fail(sim, "node %u left %u files open", node->endpoint,
                 sim_disk_open_count(node->disk));
    else if (how == SIM_END_POWER)
        sim_disk_power_loss(node->disk);
    sim_disk_revive(node->disk);
}

void sim_node_drain(struct sim_node *node)
{
    if (node->state != SIM_UP || !node->serving || node->draining)
        return;
    node->draining = true;
    sim_gossip_leave(node);
    for (uint16_t i = 0; i < sim_of(node)->swarm.shards; i++) {
        (void)sim_inbox_push(&node->shards[i].inbox, SHARD_EVENT_DRAIN);
        sim_shard_wake(&node->shards[i]);
    }
}

void sim_node_redeem(struct sim_node *node, const struct tickets_command *command)
{
    struct sim_inbox_item *item = sim_node_push(node, NODE_EVENT_REDEEM);
    item->bytes = malloc(sizeof *command);
    assert(item->bytes);
    memcpy(item->bytes, command, sizeof *command);
}

void sim_node_pause(struct sim_node *node, bool paused)
{
    if (node->state != (paused ? SIM_UP : SIM_PAUSED))
        return;
    node->state = paused ? SIM_PAUSED : SIM_UP;
    sim_net_pause(node->cluster->net, node->endpoint, paused);
    if (paused)
        return;
    node->inbox.round_due = false;
    sim_node_wake(node, &node->inbox, run_node_round, node);
    for (uint16_t i = 0; node->serving && i < sim_of(node)->swarm.shards; i++) {
        node->shards[i].inbox.round_due = false;
        (void)sim_inbox_push(&node->shards[i].inbox, SHARD_EVENT_TICK);
        sim_shard_wake(&node->shards[i]);
    }
}
