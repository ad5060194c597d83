/* Links of the simulated processes, what node_loop_links.c does: who is at the other end, what
 * comes from there and what goes there. */
#include "tests/sim/sim_cluster.h"

#include "ring/wire.h"

#include <assert.h>
#include <stdio.h>
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
        if (node->dialled[peer].link && node->dialled[peer].link == send->to.link)
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
    node->dialled[peer].told = up;
    node->dialled[peer].as = up ? from.member : 0;
}

static void link_gone(struct sim_node *node, uint8_t peer, uint64_t link)
{
    struct shard_address from = {LINK_ROLE_NODE, node->dialled[peer].as, 0};
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
        const struct sim_dialled *dialled = &node->dialled[peer];
        struct shard_address from = sim_node_peer(node, peer, dialled->link);
        if (!dialled->told || dialled->as == from.member)
            continue;
        if (!from.member && is_late(node)) {
            sim_after(sim_of(node), HOST_LATE_US, run_follow, node, node->life);
            continue;
        }
        link_gone(node, peer, dialled->link);
        tell_link(node, peer, from, true);
    }
}

/* HELLO. A process that is paused hears one when it goes on, and all that follows by that link
 * behind it. */

static void on_message(void *context, struct sim_message *message, bool by_us);

static void send_hello(struct sim_node *node, uint8_t peer, uint64_t link,
                       struct node_counters_link *counters)
{
    struct wire_hello hello = wire_hello_own(LINK_ROLE_NODE);
    struct wire_buffer body = {0};
    struct link_message message = {.type = WIRE_HELLO, .partition = WIRE_PARTITION_NODE};
    hello.shards = (uint16_t)sim_of(node)->swarm.shards;
    node_counters_tell(&node->counters, counters, sim_node_peer(node, peer, link).member, &hello);
    wire_put_hello(&body, &hello);
    assert(!body.failed);
    message.body = body.data;
    message.body_size = body.size;
    sim_net_send(node->cluster->net, node->endpoint, peer, counters->dialled, link, &message);
    wire_buffer_deinit(&body);
}

void sim_links_tell(struct sim_node *node)
{
    for (uint8_t peer = 1; peer <= node->cluster->node_count; peer++) {
        struct sim_dialled *dialled = &node->dialled[peer];
        if (dialled->link && node_counters_tells(&node->counters, &dialled->counters))
            send_hello(node, peer, dialled->link, &dialled->counters);
    }
    for (size_t i = 0; i < node->accepted_count; i++) {
        struct sim_accepted *accepted = &node->accepted[i];
        if (node_counters_tells(&node->counters, &accepted->counters))
            send_hello(node, accepted->endpoint, accepted->link, &accepted->counters);
    }
}

/* Of the link that a message came by; NULL: it is down. */
static struct node_counters_link *counters_of(struct sim_node *node,
                                              const struct sim_message *message)
{
    if (node->dialled[message->from].link == message->link)
        return &node->dialled[message->from].counters;
    for (size_t i = 0; i < node->accepted_count; i++)
        if (node->accepted[i].link == message->link)
            return &node->accepted[i].counters;
    return NULL;
}

static void hear_hello(struct sim_node *node, const struct sim_message *message)
{
    struct node_counters_link *counters = counters_of(node, message);
    struct wire_cursor cursor;
    struct wire_hello hello;
    enum node_counters_verdict verdict;
    bool known;
    if (!counters)
        return;
    wire_cursor_init(&cursor, message->message.body, message->message.body_size);
    known = wire_get_hello(&cursor, &hello);
    assert(known);
    verdict = sim_counters_hello(node, message->from, counters, &hello);
    if (!counters->dialled || verdict == NODE_COUNTERS_AGAIN)
        send_hello(node, message->from, message->link, counters);
    else if (verdict == NODE_COUNTERS_IN)
        tell_link(node, message->from, sim_node_peer(node, message->from, message->link), true);
}

/* A HELLO that came by the link while the process was paused has yet to be heard. */
static bool waits_for_hello(const struct sim_node *node, const struct sim_message *message)
{
    const struct sim_inbox_item *item = node->hellos > 0 ? node->inbox.first : NULL;
    while (item && (item->kind != NODE_EVENT_MESSAGE || item->message->link != message->link ||
                    item->message->message.type != WIRE_HELLO))
        item = item->next;
    return item != NULL;
}

bool sim_links_takes(struct sim_node *node, struct sim_inbox_item *item)
{
    if (item->kind == NODE_EVENT_MESSAGE && item->message->message.type == WIRE_HELLO) {
        node->hellos -= !item->behind_hello;
        hear_hello(node, item->message);
        return true;
    }
    if (!item->behind_hello)
        return false;
    struct sim_message *message = item->message;
    item->message = NULL;
    if (counters_of(node, message))
        on_message(node, message, false);
    else
        sim_message_free(message);
    return true;
}

static bool hears(const struct sim_node *node, const struct sim_node *other)
{
    for (size_t i = 0; i < node->accepted_count; i++)
        if (node->accepted[i].endpoint == other->endpoint && node->accepted[i].counters.outdated)
            return false;
    return node->dialled[other->endpoint].told && !node->dialled[other->endpoint].counters.outdated;
}

bool sim_links_converged(const struct sim_cluster *cluster, char *why, size_t size)
{
    for (uint32_t i = 0; cluster->sim->swarm.copies && i < cluster->node_count; i++)
        for (uint32_t j = 0; j < cluster->node_count; j++) {
            const struct sim_node *node = &cluster->nodes[i], *other = &cluster->nodes[j];
            if (i == j || node->state != SIM_UP || other->state != SIM_UP ||
                !sim_node_peer(node, other->endpoint, 0).member || hears(node, other))
                continue;
            (void)snprintf(why, size, "node %u does not hear node %u", node->endpoint,
                           other->endpoint);
            return false;
        }
    return true;
}

/* What the network tells. */

static void on_up(void *context, uint8_t peer, uint64_t link, bool by_us)
{
    struct sim_node *node = context;
    if (by_us) {
        node->dialled[peer] = (struct sim_dialled){.link = link, .counters.dialled = true};
        if (sim_counters_judge(node, peer))
            send_hello(node, peer, link, &node->dialled[peer].counters);
        else
            tell_link(node, peer, sim_node_peer(node, peer, link), true);
        return;
    }
    assert(node->accepted_count < SIM_LINKS_MAX);
    node->accepted[node->accepted_count++] = (struct sim_accepted){.link = link, .endpoint = peer};
    if (peer > SIM_NODES_MAX)
        shards_push_link(node, SHARD_EVENT_LINK_UP,
                         (struct shard_address){LINK_ROLE_ROUTER, 0, link});
}

static void on_down(void *context, uint8_t peer, uint64_t link, bool by_us)
{
    struct sim_node *node = context;
    if (by_us) {
        node->dialled[peer].link = 0;
        sim_counters_unlinked(node, &node->dialled[peer].counters);
        link_gone(node, peer, link);
        return;
    }
    for (size_t i = 0; i < node->accepted_count; i++)
        if (node->accepted[i].link == link) {
            sim_counters_unlinked(node, &node->accepted[i].counters);
            node->accepted[i] = node->accepted[--node->accepted_count];
            if (peer > SIM_NODES_MAX)
                shards_push_link(node, SHARD_EVENT_LINK_DOWN,
                                 (struct shard_address){LINK_ROLE_ROUTER, 0, link});
            return;
        }
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
    const struct node_counters_link *counters = counters_of(node, message);
    (void)by_us;
    if (waits_for_hello(node, message)) {
        struct sim_inbox_item *item = sim_node_push(node, NODE_EVENT_MESSAGE);
        item->message = message;
        item->behind_hello = true;
        return;
    }
    if (message->message.type == WIRE_HELLO && node->state == SIM_UP) {
        hear_hello(node, message);
        sim_message_free(message);
        return;
    }
    node->hellos += message->message.type == WIRE_HELLO;
    if (counters && counters->outdated && message->message.type != WIRE_HELLO) {
        sim_message_free(message);
        return;
    }
    sim_counters_message(node, message);
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
    memset(node->dialled, 0, sizeof node->dialled);
    node->accepted_count = 0;
    node->hellos = 0;
}
