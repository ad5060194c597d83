#include "tests/sim/sim_net.h"

#include "ring/wire.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* Kinds of Raft messages that misrouting knows; the network includes nothing of replication. */
#define SIM_NET_VOTE_REPLY   4u
#define SIM_NET_APPEND       5u
#define SIM_NET_APPEND_REPLY 6u
#define SIM_NET_GROUPS       (SIM_PARTITIONS + 1u)
#define OLD_EVERY            64u
#define KEPT_GROUPS          (SIM_NET_GROUPS + 1u) /* the last: messages that end lives */
#define KEPT_LIVES           2u

enum { DIALLER, ACCEPTOR };

struct packet {
    struct packet *next; /* stuck behind the same block */
    struct packet *all_next, *all_previous;
    struct net_link *link;
    uint64_t id; /* of the connection it was sent on */
    uint8_t to_end;
    struct sim_message *message;
};

/* One ordered pair of endpoints. */
struct net_link {
    struct sim_net *net;
    uint8_t endpoint[2]; /* dialler, acceptor */
    bool wanted;
    bool dialling;
    bool broken;             /* the connection is dead, though an end may not know it yet */
    bool up[2];              /* what each end believes */
    uint64_t id;             /* of the newest connection */
    uint64_t up_id[2];       /* the one that the end believes in */
    uint64_t arrival_us[2];  /* of the newest packet to that end, for order */
    struct packet *stuck[2]; /* waiting for a block to end, to that end, oldest first */
    struct packet **stuck_end[2];
};

struct endpoint {
    struct sim_net_handler handler;
    bool alive;
    bool paused;
    uint32_t life; /* counts starts */
    uint32_t misroute_ppm;
};

struct sim_net {
    struct sim *sim;
    struct endpoint endpoints[SIM_ENDPOINTS_MAX];
    struct net_link links[SIM_ENDPOINTS_MAX][SIM_ENDPOINTS_MAX]; /* [dialler][acceptor] */
    uint32_t blocks[SIM_ENDPOINTS_MAX][SIM_ENDPOINTS_MAX];       /* [from][to] */
    uint64_t blocked_us[SIM_ENDPOINTS_MAX][SIM_ENDPOINTS_MAX];   /* since when */
    uint64_t appended[SIM_ENDPOINTS_MAX][SIM_NET_GROUPS];        /* newest index sent to it */
    struct old {
        struct sim_message *message; /* some RAFT message that it sent; NULL: none yet */
        uint8_t to;
    } old[SIM_ENDPOINTS_MAX]; /* by sender */
    struct kept {
        struct sim_message *message; /* the first append to a life; NULL: none yet */
        uint64_t life;
    } kept[SIM_ENDPOINTS_MAX][KEPT_GROUPS][KEPT_LIVES]; /* by receiver; the newest first */
    struct packet *packets;                             /* all that are in flight or stuck */
    uint64_t id_last;
    uint32_t loss_ppm[SIM_ENDPOINTS_MAX][SIM_ENDPOINTS_MAX]; /* [from][to] */
    uint32_t duplicate_ppm, reorder_ppm, kept_ppm;
    struct sim_net_stats stats;
};

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

static struct sim_random *net_random(struct sim_net *net)
{
    return sim_stream(net->sim, SIM_STREAM_NET);
}

struct sim_net *sim_net_new(struct sim *sim)
{
    struct sim_net *net = calloc(1, sizeof *net);
    assert(net);
    net->sim = sim;
    net->duplicate_ppm = sim->swarm.duplicate_ppm;
    net->reorder_ppm = sim->swarm.reorder_ppm;
    net->kept_ppm = sim->swarm.kept_ppm;
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
    for (unsigned i = 0; net && i < SIM_ENDPOINTS_MAX; i++) {
        sim_message_free(net->old[i].message);
        for (unsigned j = 0; j < KEPT_GROUPS * KEPT_LIVES; j++)
            sim_message_free(net->kept[i][j / KEPT_LIVES][j % KEPT_LIVES].message);
    }
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
    uint64_t *newest = &link->arrival_us[packet->to_end];
    if (!in_order)
        arrival += sim_random_below(net_random(link->net), 20 * SIM_MS);
    else if (arrival < *newest)
        arrival = *newest;
    if (in_order)
        *newest = arrival;
    sim_after(sim, arrival - sim->now_us, run_deliver, packet, 0);
}

static void link_send(struct net_link *link, unsigned to_end, const struct link_message *message)
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

/* SIM_NET_GROUPS: there is none. */
static uint32_t group_at(uint16_t group)
{
    uint32_t at = group == WIRE_PARTITION_META ? SIM_PARTITIONS : group;
    return at < SIM_NET_GROUPS ? at : SIM_NET_GROUPS;
}

static uint64_t *appended_at(struct sim_net *net, uint8_t endpoint, uint16_t group)
{
    uint32_t at = group_at(group);
    return at < SIM_NET_GROUPS ? &net->appended[endpoint][at] : NULL;
}

static void keep(struct kept kept[KEPT_LIVES], uint8_t from, const struct link_message *message,
                 uint64_t life)
{
    sim_message_free(kept[1].message);
    kept[1] = kept[0];
    kept[0] = (struct kept){sim_message_copy(message, from), life};
}

/* The first append to a life is what begins it. */
static void append_keep(struct sim_net *net, uint8_t from, uint8_t to,
                        const struct link_message *message, const struct wire_raft *raft)
{
    uint32_t at = group_at(raft->group);
    struct kept *kept = at < SIM_NET_GROUPS ? net->kept[to][at] : NULL;
    if (kept && raft->kind == SIM_NET_APPEND && raft->to_life != kept[0].life &&
        raft->to_life != kept[1].life)
        keep(kept, from, message, raft->to_life);
}

/* Remembers up to where each replica has been sent entries, and what its lives began with. */
static void appends_note(struct sim_net *net, uint8_t from, uint8_t to,
                         const struct link_message *message)
{
    struct wire_cursor cursor;
    struct wire_raft raft;
    wire_cursor_init(&cursor, message->body, message->body_size);
    while (!wire_cursor_done(&cursor) && wire_get_raft(&cursor, &raft)) {
        uint64_t *appended = appended_at(net, to, raft.group);
        if (raft.entry_count && appended && raft.index + raft.entry_count > *appended)
            *appended = raft.index + raft.entry_count;
        append_keep(net, from, to, message, &raft);
    }
}

/* What an earlier life of a replica could have said, or have been told: its log had other entries,
 * its term was another. A later one is believed: the receiver may have yet to hear of it. As the
 * sender it leads in no term in which nobody was elected; meant as the receiver, it proves that the
 * one that is there has been removed. */
static void life_change(struct sim_net *net, uint8_t from, struct wire_raft *raft)
{
    struct sim_random *random = net_random(net);
    const uint64_t *appended = appended_at(net, from, raft->group);
    if (sim_random_below(random, 2))
        raft->to_life = raft->to_life > 0 ? sim_random_below(random, raft->to_life) : 0;
    else if (raft->from_life > 0)
        raft->from_life = sim_random_below(random, raft->from_life);
    if (raft->kind == SIM_NET_APPEND_REPLY && appended && sim_random_below(random, 4)) {
        raft->flags &= (uint8_t)~1u;
        raft->index = *appended;
    } else if (sim_random_below(random, 2)) {
        raft->term += (uint32_t)sim_random_below(random, 3);
    }
    if (raft->kind == SIM_NET_VOTE_REPLY)
        raft->flags &= (uint8_t)~1u;
}

/* Sends the batch once more as another life of the replica would have. */
static void send_misrouted(struct net_link *link, unsigned to_end,
                           const struct link_message *message)
{
    struct wire_cursor cursor;
    struct wire_buffer buffer = {0};
    struct wire_raft raft;
    wire_cursor_init(&cursor, message->body, message->body_size);
    while (!wire_cursor_done(&cursor) && wire_get_raft(&cursor, &raft)) {
        life_change(link->net, link->endpoint[1 - to_end], &raft);
        (void)wire_put_raft(&buffer, &raft);
        link->net->stats.misrouted++;
    }
    struct link_message copy = *message;
    copy.body = buffer.data;
    copy.body_size = buffer.size;
    if (buffer.size)
        link_send(link, to_end, &copy);
    wire_buffer_deinit(&buffer);
}

/* Remembers a message now and then, and sends it once more long after. */
static void send_old(struct sim_net *net, uint8_t from, uint8_t to,
                     const struct link_message *message)
{
    struct old *old = &net->old[from];
    if (old->message && sim_random_below(net_random(net), 2)) {
        struct net_link *link = &net->links[from][old->to];
        if (link->up[DIALLER] && !link->broken && link->up_id[DIALLER] == link->id)
            link_send(link, ACCEPTOR, &old->message->message);
        net->stats.misrouted++;
    }
    if (!old->message || sim_random_below(net_random(net), OLD_EVERY) == 0) {
        sim_message_free(old->message);
        *old = (struct old){sim_message_copy(message, from), to};
    }
}

/* Any of the messages that were kept of this sender for this receiver. */
static void send_kept(struct sim_net *net, uint8_t from, uint8_t to)
{
    const struct sim_message *chosen = NULL;
    uint32_t count = 0;
    for (uint32_t i = 0; i < KEPT_GROUPS * KEPT_LIVES; i++) {
        const struct sim_message *message = net->kept[to][i / KEPT_LIVES][i % KEPT_LIVES].message;
        if (message && message->from == from &&
            sim_random_below(sim_stream(net->sim, SIM_STREAM_KEPT), ++count) == 0)
            chosen = message;
    }
    if (!chosen)
        return;
    link_send(&net->links[from][to], ACCEPTOR, &chosen->message);
    net->stats.kept++;
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
    link_send(link, 1 - from_end, message);
    if (message->type == WIRE_RAFT)
        appends_note(net, from, to, message);
    if (message->type == WIRE_GONE)
        keep(net->kept[to][SIM_NET_GROUPS], from, message, 0);
    if (message->type == WIRE_RAFT &&
        sim_random_chance(net_random(net), net->endpoints[from].misroute_ppm))
        send_misrouted(link, 1 - from_end, message);
    if (message->type == WIRE_RAFT && by_us &&
        sim_random_chance(net_random(net), net->endpoints[from].misroute_ppm))
        send_old(net, from, to, message);
    if (message->type == WIRE_RAFT && by_us &&
        sim_random_chance(sim_stream(net->sim, SIM_STREAM_KEPT), net->kept_ppm))
        send_kept(net, from, to);
}

void sim_net_block(struct sim_net *net, uint8_t from, uint8_t to, bool block)
{
    struct net_link *links[] = {&net->links[from][to], &net->links[to][from]};
    assert(block || net->blocks[from][to] > 0);
    if (block && net->blocks[from][to] == 0)
        net->blocked_us[from][to] = net->sim->now_us;
    net->blocks[from][to] += block ? 1u : -1u;
    if (block) {
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
    net->duplicate_ppm = net->reorder_ppm = net->kept_ppm = 0;
    for (unsigned i = 0; i < SIM_ENDPOINTS_MAX; i++)
        net->endpoints[i].misroute_ppm = 0;
}

const struct sim_net_stats *sim_net_stats(const struct sim_net *net)
{
    return &net->stats;
}
