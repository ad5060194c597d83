#include "tests/sim/sim_net_internal.h"

#include "ring/wire.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define HELLO_LATE_PPM 250000u
#define HELLO_LATE_US  (3 * SIM_SECOND)

void sim_message_free(struct sim_message *message)
{
    free(message);
}

struct sim_message *sim_message_copy(const struct link_message *message, uint8_t from)
{
    struct sim_message *copy = malloc(sizeof *copy + message->body_size);
    assert(copy);
    *copy = (struct sim_message){.message = *message, .from = from};
    copy->message.body = (const uint8_t *)(copy + 1);
    if (message->body_size)
        memcpy(copy + 1, message->body, message->body_size);
    return copy;
}

struct sim_net *sim_net_new(struct sim *sim)
{
    struct sim_net *net = calloc(1, sizeof *net);
    assert(net);
    net->sim = sim;
    net->duplicate_ppm = sim->swarm.duplicate_ppm;
    net->reorder_ppm = sim->swarm.reorder_ppm;
    net->kept_ppm = sim->swarm.kept_ppm;
    net->late_ppm = HELLO_LATE_PPM;
    for (unsigned i = 0; i < SIM_ENDPOINTS_MAX; i++)
        for (unsigned j = 0; j < SIM_ENDPOINTS_MAX; j++) {
            struct net_link *link = &net->links[i][j];
            if (sim->swarm.loss_ppm)
                net->loss_ppm[i][j] =
                    (uint32_t)sim_random_below(net_random(net), 2 * sim->swarm.loss_ppm);
            link->net = net;
            link->endpoint[DIALLER] = (uint8_t)i;
            link->endpoint[ACCEPTOR] = (uint8_t)j;
            link->broken = true;
            for (unsigned end = 0; end < 2; end++)
                link->stuck_end[end] = &link->stuck[end];
        }
    return net;
}

static void packet_free(struct packet *packet)
{
    if (packet->all_previous)
        packet->all_previous->all_next = packet->all_next;
    else
        packet->link->net->packets = packet->all_next;
    if (packet->all_next)
        packet->all_next->all_previous = packet->all_previous;
    if (packet->message)
        sim_message_free(packet->message);
    free(packet);
}

struct sim_net *sim_net_free(struct sim_net *net)
{
    while (net && net->packets)
        packet_free(net->packets);
    if (net)
        net_lives_deinit(&net->lives);
    free(net);
    return NULL;
}

static uint64_t delay(struct sim_net *net)
{
    return sim_random_tail(net_random(net), net->sim->swarm.delay_us, net->sim->swarm.delay_us_max);
}

static bool blocked_to(const struct net_link *link, unsigned end)
{
    return link->net->blocks[link->endpoint[1 - end]][link->endpoint[end]] > 0;
}

static void redial(struct net_link *link);

static void end_down(struct net_link *link, unsigned end)
{
    struct endpoint *e = &link->net->endpoints[link->endpoint[end]];
    if (!link->up[end])
        return;
    link->up[end] = false;
    if (e->alive)
        e->handler.on_down(e->handler.context, link->endpoint[1 - end], link->up_id[end],
                           end == DIALLER);
    if (end == DIALLER)
        redial(link);
}

/* argument: connection << 1 | end. */
static void run_end_down(void *context, uint64_t argument)
{
    struct net_link *link = context;
    unsigned end = argument & 1;
    if (link->up[end] && link->up_id[end] == argument >> 1)
        end_down(link, end);
}

/* The connection is dead now; each end learns it after a delay of its own. */
static void link_break(struct net_link *link, uint64_t notice_us_max)
{
    struct sim_net *net = link->net;
    if (link->broken)
        return;
    link->broken = true;
    net->stats.broken++;
    for (unsigned end = 0; end < 2; end++) {
        while (link->stuck[end]) {
            struct packet *packet = link->stuck[end];
            link->stuck[end] = packet->next;
            packet_free(packet);
            net->stats.lost++;
        }
        link->stuck_end[end] = &link->stuck[end];
        uint64_t notice = sim_random_below(net_random(net), notice_us_max + 1);
        if (link->up[end])
            sim_after(net->sim, notice, run_end_down, link, link->up_id[end] << 1 | end);
    }
}

static void end_up(struct net_link *link, unsigned end)
{
    struct endpoint *e = &link->net->endpoints[link->endpoint[end]];
    if (link->up[end]) /* It has not noticed yet that the last one is gone. */
        end_down(link, end);
    link->up[end] = true;
    link->up_id[end] = link->id;
    link->arrival_us[end] = link->net->sim->now_us;
    e->handler.on_up(e->handler.context, link->endpoint[1 - end], link->id, end == DIALLER);
}

static void run_dial(void *context, uint64_t argument)
{
    struct net_link *link = context;
    struct sim_net *net = link->net;
    const struct endpoint *from = &net->endpoints[link->endpoint[DIALLER]];
    const struct endpoint *to = &net->endpoints[link->endpoint[ACCEPTOR]];
    if (from->life != argument) /* of an earlier process */
        return;
    link->dialling = false;
    if (!from->alive || !link->wanted || link->up[DIALLER])
        return;
    bool reachable =
        to->alive && !to->paused && !from->paused && !blocked_to(link, 0) && !blocked_to(link, 1);
    if (!reachable) {
        redial(link);
        return;
    }
    link->broken = false;
    link->id = ++net->id_last;
    end_up(link, ACCEPTOR);
    end_up(link, DIALLER);
}

static void redial(struct net_link *link)
{
    struct sim_net *net = link->net;
    const struct endpoint *from = &net->endpoints[link->endpoint[DIALLER]];
    if (!from->alive || !link->wanted || link->dialling)
        return;
    link->dialling = true;
    uint64_t pause = sim_random_between(net_random(net), 10 * SIM_MS, 300 * SIM_MS);
    sim_after(net->sim, pause + 3 * delay(net), run_dial, link, from->life);
}

void sim_net_dial(struct sim_net *net, uint8_t from, uint8_t to)
{
    struct net_link *link = &net->links[from][to];
    assert(net->endpoints[from].alive);
    assert(from != to);
    if (link->wanted)
        return;
    link->wanted = link->dialling = true;
    sim_after(net->sim, 3 * delay(net), run_dial, link, net->endpoints[from].life);
}

void sim_net_start(struct sim_net *net, uint8_t endpoint, const struct sim_net_handler *handler)
{
    struct endpoint *e = &net->endpoints[endpoint];
    assert(!e->alive);
    e->handler = *handler;
    e->alive = true;
    e->paused = false;
    e->life++;
}

void sim_net_stop(struct sim_net *net, uint8_t endpoint, bool silently)
{
    struct endpoint *e = &net->endpoints[endpoint];
    e->alive = false;
    e->paused = false;
    for (unsigned i = 0; i < SIM_ENDPOINTS_MAX; i++)
        for (unsigned end = 0; end < 2; end++) {
            struct net_link *link =
                end == DIALLER ? &net->links[endpoint][i] : &net->links[i][endpoint];
            if (end == DIALLER)
                link->wanted = link->dialling = false;
            link->up[end] = false;
            link_break(link, silently ? 3 * SIM_SECOND : 2 * SIM_MS);
        }
}

/* argument: the connection. Silence has lasted too long. */
static void run_silence(void *context, uint64_t argument)
{
    struct net_link *link = context;
    const struct endpoint *a = &link->net->endpoints[link->endpoint[DIALLER]];
    const struct endpoint *b = &link->net->endpoints[link->endpoint[ACCEPTOR]];
    bool silent = blocked_to(link, 0) || blocked_to(link, 1) || a->paused || b->paused;
    if (!link->broken && link->id == argument && silent)
        link_break(link, 500 * SIM_MS);
}

static void silence_begins(struct net_link *link)
{
    struct sim_net *net = link->net;
    uint64_t patience = sim_random_between(net_random(net), 1500 * SIM_MS, 3 * SIM_SECOND);
    if (sim_random_below(net_random(net), 4) == 0)
        patience = 0;
    if (!link->broken)
        sim_after(net->sim, patience, run_silence, link, link->id);
}

void sim_net_pause(struct sim_net *net, uint8_t endpoint, bool paused)
{
    net->endpoints[endpoint].paused = paused;
    for (unsigned i = 0; paused && i < SIM_ENDPOINTS_MAX; i++) {
        silence_begins(&net->links[endpoint][i]);
        silence_begins(&net->links[i][endpoint]);
    }
}

static void run_deliver(void *context, uint64_t argument)
{
    struct packet *packet = context;
    struct net_link *link = packet->link;
    struct sim_net *net = link->net;
    struct endpoint *e = &net->endpoints[link->endpoint[packet->to_end]];
    (void)argument;
    bool gone = link->broken || link->id != packet->id || !e->alive || !link->up[packet->to_end];
    if (gone) {
        net->stats.lost++;
    } else {
        struct sim_message *message = packet->message;
        packet->message = NULL;
        net->stats.delivered++;
        e->handler.on_message(e->handler.context, message, packet->to_end == DIALLER);
    }
    packet_free(packet);
}

static struct packet *packet_new(struct net_link *link, unsigned to_end,
                                 const struct link_message *message)
{
    struct packet *packet = calloc(1, sizeof *packet);
    struct sim_message *copy = sim_message_copy(message, link->endpoint[1 - to_end]);
    assert(packet);
    copy->link = link->id;
    *packet =
        (struct packet){.link = link, .id = link->id, .to_end = (uint8_t)to_end, .message = copy};
    packet->all_next = link->net->packets;
    if (packet->all_next)
        packet->all_next->all_previous = packet;
    link->net->packets = packet;
    return packet;
}

static void packet_fly(struct packet *packet, bool in_order)
{
    struct net_link *link = packet->link;
    struct sim *sim = link->net->sim;
    uint64_t arrival = sim->now_us + delay(link->net);
    if (packet->message->message.type == WIRE_HELLO &&
        sim_random_chance(net_random(link->net), link->net->late_ppm)) {
        arrival += sim_random_below(net_random(link->net), HELLO_LATE_US);
        if (arrival > link->net->stats.late_until_us)
            link->net->stats.late_until_us = arrival;
    }
    uint64_t *newest = &link->arrival_us[packet->to_end];
    if (!in_order)
        arrival += sim_random_below(net_random(link->net), 20 * SIM_MS);
    else if (arrival < *newest)
        arrival = *newest;
    if (in_order)
        *newest = arrival;
    sim_after(sim, arrival - sim->now_us, run_deliver, packet, 0);
}

void net_link_send(struct net_link *link, unsigned to_end, const struct link_message *message)
{
    struct sim_net *net = link->net;
    bool raft =
        message->type == WIRE_RAFT || message->type == WIRE_BEAT || message->type == WIRE_BEAT_ACK;
    uint32_t loss_ppm = net->loss_ppm[link->endpoint[1 - to_end]][link->endpoint[to_end]];
    if (raft && sim_random_chance(net_random(net), loss_ppm)) {
        net->stats.lost++;
        return;
    }
    uint32_t copies = 1;
    if (raft && sim_random_chance(net_random(net), net->duplicate_ppm)) {
        net->stats.doubled++;
        copies = 2;
    }
    for (uint32_t i = 0; i < copies; i++) {
        bool reorder = raft && sim_random_chance(net_random(net), net->reorder_ppm);
        net->stats.reordered += reorder;
        struct packet *packet = packet_new(link, to_end, message);
        if (blocked_to(link, to_end)) {
            *link->stuck_end[to_end] = packet;
            link->stuck_end[to_end] = &packet->next;
        } else {
            packet_fly(packet, !reorder && i == 0);
        }
    }
}

void sim_net_send(struct sim_net *net, uint8_t from, uint8_t to, bool by_us, uint64_t link_id,
                  const struct link_message *message)
{
    struct net_link *link = by_us ? &net->links[from][to] : &net->links[to][from];
    unsigned from_end = by_us ? DIALLER : ACCEPTOR;
    net->stats.sent++;
    if (!link->up[from_end] || (link_id && link_id != link->up_id[from_end]) || link->broken ||
        link->up_id[from_end] != link->id) {
        net->stats.lost++;
        return;
    }
    net_link_send(link, 1 - from_end, message);
    net_lives_sent(link, 1 - from_end, message);
}

void sim_net_block(struct sim_net *net, uint8_t from, uint8_t to, bool block)
{
    struct net_link *links[] = {&net->links[from][to], &net->links[to][from]};
    assert(block || net->blocks[from][to] > 0);
    if (block && net->blocks[from][to] == 0)
        net->blocked_us[from][to] = net->sim->now_us;
    net->blocks[from][to] += block ? 1u : -1u;
    if (block) {
        net->stats.blocks++;
        silence_begins(links[0]);
        silence_begins(links[1]);
        return;
    }
    for (unsigned i = 0; i < 2 && net->blocks[from][to] == 0; i++) {
        unsigned end = i == 0 ? ACCEPTOR : DIALLER;
        while (links[i]->stuck[end]) {
            struct packet *packet = links[i]->stuck[end];
            links[i]->stuck[end] = packet->next;
            packet->next = NULL;
            packet_fly(packet, true);
        }
        links[i]->stuck_end[end] = &links[i]->stuck[end];
    }
}

bool sim_net_cut_off(const struct sim_net *net, uint8_t a, uint8_t b, uint64_t for_us)
{
    uint64_t now = net->sim->now_us;
    return (net->blocks[a][b] && net->blocked_us[a][b] + for_us <= now) ||
           (net->blocks[b][a] && net->blocked_us[b][a] + for_us <= now);
}

void sim_net_break(struct sim_net *net, uint8_t from, uint8_t to)
{
    link_break(&net->links[from][to], 5 * SIM_MS);
}

void sim_net_misroute(struct sim_net *net, uint8_t from, uint32_t ppm)
{
    net->endpoints[from].misroute_ppm = ppm;
}

void sim_net_calm(struct sim_net *net)
{
    memset(net->loss_ppm, 0, sizeof net->loss_ppm);
    net->duplicate_ppm = net->reorder_ppm = net->kept_ppm = net->late_ppm = 0;
    for (unsigned i = 0; i < SIM_ENDPOINTS_MAX; i++)
        net->endpoints[i].misroute_ppm = 0;
}

const struct sim_net_stats *sim_net_stats(const struct sim_net *net)
{
    return &net->stats;
}
