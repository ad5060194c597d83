/* Links of the simulated processes, what node_loop_links.c does: who is at the other end, what
 * comes from there and what goes there. */
#include "tests/sim/sim_cluster.h"

#include "ring/wire.h"

#include <assert.h>
#include <string.h>

#define HOST_LATE_US (150 * SIM_MS)

static struct sim *sim_of(const struct sim_node *node)
{
    return node->cluster->sim;
}

static void deliver(struct sim_node *node, struct sim_message *message, struct shard_address from)
{
    uint16_t partition = message->message.partition;
    if (partition == WIRE_PARTITION_NODE) {
        struct sim_inbox_item *item = sim_node_push(node, NODE_EVENT_MESSAGE);
        item->message = message;
        item->from = from;
        return;
    }
    bool stranger = from.role == LINK_ROLE_NODE && from.member == 0;
    if (!node->serving || stranger) {
        sim_message_free(message);
        return;
    }
    uint32_t number = partition == WIRE_PARTITION_META ? 0 : partition % sim_of(node)->swarm.shards;
    struct sim_inbox_item *item = sim_inbox_push(&node->shards[number].inbox, SHARD_EVENT_MESSAGE);
    item->message = message;
    item->from = from;
    sim_shard_wake(&node->shards[number]);
}

/* By the link that it names, whoever dialled it. */
static void send_to_stranger(struct sim_node *node, const struct shard_send *send)
{
    for (uint8_t peer = 1; peer <= node->cluster->node_count; peer++)
        if (node->links[peer] && node->links[peer] == send->to.link)
            sim_net_send(node->cluster->net, node->endpoint, peer, true, send->to.link,
                         &send->message);
    for (size_t i = 0; i < node->accepted_count; i++)
        if (node->accepted[i].link == send->to.link)
            sim_net_send(node->cluster->net, node->endpoint, node->accepted[i].endpoint, false,
                         send->to.link, &send->message);
}

void sim_node_send(struct sim_node *node, const struct shard_send *send)
{
    struct sim_net *net = node->cluster->net;
    if (node->cluster->observer.on_send)
        node->cluster->observer.on_send(node->cluster->observer.context, node, send);
    if (send->to.role == LINK_ROLE_NODE && send->to.member == 0) {
        send_to_stranger(node, send);
        return;
    }
    if (send->to.role == LINK_ROLE_NODE) {
        uint8_t endpoint = sim_cluster_endpoint_in(sim_node_map(node), send->to.member);
        if (endpoint == node->endpoint)
            deliver(node, sim_message_copy(&send->message, endpoint), send->to);
        else if (endpoint)
            sim_net_send(net, node->endpoint, endpoint, true, 0, &send->message);
        return;
    }
    for (size_t i = 0; i < node->accepted_count; i++)
        if (node->accepted[i].link == send->to.link)
            sim_net_send(net, node->endpoint, node->accepted[i].endpoint, false, send->to.link,
                         &send->message);
}

/* Whose link it is, and that one was hung up, the shards may hear later than a map that says so. */
static bool is_late(const struct sim_node *node)
{
    return sim_of(node)->now_us < node->map_us + HOST_LATE_US;
}

struct shard_address sim_node_peer(const struct sim_node *node, uint8_t endpoint, uint64_t link)
{
    const struct ringmap *map = sim_node_map(node);
    uint16_t member = sim_cluster_member_in(map, endpoint);
    if (member && ringmap_member(map, member)->state == RINGMAP_STATE_REMOVED)
        member = 0;
    return (struct shard_address){LINK_ROLE_NODE, member, member ? 0 : link};
}

static void shards_push_link(struct sim_node *node, uint8_t kind, struct shard_address from)
{
    for (uint16_t i = 0; node->serving && i < sim_of(node)->swarm.shards; i++) {
        struct sim_inbox_item *item = sim_inbox_push(&node->shards[i].inbox, kind);
        item->from = from;
        item->shards = (uint16_t)sim_of(node)->swarm.shards;
        sim_shard_wake(&node->shards[i]);
    }
}

/* A link that this node dialled has come, or gone; to a stranger only the control plane talks. */
static void tell_link(struct sim_node *node, uint8_t peer, struct shard_address from, bool up)
{
    if (from.member)
        shards_push_link(node, up ? SHARD_EVENT_LINK_UP : SHARD_EVENT_LINK_DOWN, from);
    sim_node_push(node, up ? NODE_EVENT_LINK_UP : NODE_EVENT_LINK_DOWN)->from = from;
    node->linked_as[peer] = up ? from.member : 0;
}

static void link_gone(struct sim_node *node, uint8_t peer, uint64_t link)
{
    struct shard_address from = {LINK_ROLE_NODE, node->linked_as[peer], 0};
    if (!from.member)
        from.link = link;
    tell_link(node, peer, from, false);
}

static void run_follow(void *context, uint64_t life)
{
    struct sim_node *node = context;
    if (sim_node_lives(node, life))
        sim_links_follow(node);
}

void sim_links_follow(struct sim_node *node)
{
    for (uint8_t peer = 1; peer <= node->cluster->node_count; peer++) {
        struct shard_address from = sim_node_peer(node, peer, node->links[peer]);
        if (!node->links[peer] || node->outdated[peer] || node->linked_as[peer] == from.member)
            continue;
        if (!from.member && is_late(node)) {
            sim_after(sim_of(node), HOST_LATE_US, run_follow, node, node->life);
            continue;
        }
        link_gone(node, peer, node->links[peer]);
        tell_link(node, peer, from, true);
    }
}

static void on_up(void *context, uint8_t peer, uint64_t link, bool by_us)
{
    struct sim_node *node = context;
    if (by_us) {
        node->links[peer] = link;
        node->outdated[peer] = sim_counters_hello(node, peer);
        if (!node->outdated[peer])
            tell_link(node, peer, sim_node_peer(node, peer, link), true);
        return;
    }
    assert(node->accepted_count < SIM_LINKS_MAX);
    node->accepted[node->accepted_count++] =
        (struct sim_accepted){link, peer, sim_counters_hello(node, peer)};
    if (peer > SIM_NODES_MAX)
        shards_push_link(node, SHARD_EVENT_LINK_UP,
                         (struct shard_address){LINK_ROLE_ROUTER, 0, link});
}

static void on_down(void *context, uint8_t peer, uint64_t link, bool by_us)
{
    struct sim_node *node = context;
    if (by_us) {
        node->links[peer] = 0;
        link_gone(node, peer, link);
        return;
    }
    for (size_t i = 0; i < node->accepted_count; i++)
        if (node->accepted[i].link == link) {
            node->accepted[i] = node->accepted[--node->accepted_count];
            if (peer > SIM_NODES_MAX)
                shards_push_link(node, SHARD_EVENT_LINK_DOWN,
                                 (struct shard_address){LINK_ROLE_ROUTER, 0, link});
            return;
        }
}

static bool is_outdated(const struct sim_node *node, const struct sim_message *message, bool by_us)
{
    for (size_t i = 0; !by_us && i < node->accepted_count; i++)
        if (node->accepted[i].link == message->link)
            return node->accepted[i].outdated;
    return by_us && node->outdated[message->from];
}

static struct shard_address sender_of(const struct sim_node *node,
                                      const struct sim_message *message)
{
    struct shard_address from = {message->from ? LINK_ROLE_ROUTER : LINK_ROLE_ADMIN, 0,
                                 message->link};
    if (message->from == 0 || message->from > SIM_NODES_MAX)
        return from;
    from = sim_node_peer(node, message->from, message->link);
    from.link = message->link;
    if (!from.member && message->message.partition != WIRE_PARTITION_NODE && is_late(node))
        from.member = sim_cluster_member_in(sim_node_map(node), message->from);
    return from;
}

static void on_message(void *context, struct sim_message *message, bool by_us)
{
    struct sim_node *node = context;
    if (is_outdated(node, message, by_us)) {
        sim_message_free(message);
        return;
    }
    if (message->message.type == WIRE_OPS && node->cluster->observer.on_ops)
        node->cluster->observer.on_ops(node->cluster->observer.context, node, &message->message,
                                       message->link);
    deliver(node, message, sender_of(node, message));
}

struct sim_net_handler sim_links_handler(struct sim_node *node)
{
    return (struct sim_net_handler){node, on_up, on_down, on_message};
}

void sim_links_clear(struct sim_node *node)
{
    memset(node->links, 0, sizeof node->links);
    memset(node->linked_as, 0, sizeof node->linked_as);
    memset(node->outdated, 0, sizeof node->outdated);
    node->accepted_count = 0;
}
