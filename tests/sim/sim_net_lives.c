/* Messages for or from other lives of a replica; see the fault model in sim_net.h. */
#include "tests/sim/sim_net_internal.h"

#include "ring/wire.h"

/* Kinds of Raft messages that misrouting knows; the network includes nothing of replication. */
#define SIM_NET_VOTE_REPLY   4u
#define SIM_NET_APPEND       5u
#define SIM_NET_APPEND_REPLY 6u
#define OLD_EVERY            64u

/* SIM_NET_GROUPS: there is none. */
static uint32_t group_at(uint16_t group)
{
    uint32_t at = group == WIRE_PARTITION_META ? SIM_PARTITIONS : group;
    return at < SIM_NET_GROUPS ? at : SIM_NET_GROUPS;
}

static uint64_t *appended_at(struct sim_net *net, uint8_t endpoint, uint16_t group)
{
    uint32_t at = group_at(group);
    return at < SIM_NET_GROUPS ? &net->lives.appended[endpoint][at] : NULL;
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
    struct kept *kept = at < SIM_NET_GROUPS ? net->lives.kept[to][at] : NULL;
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
 * sender it leads in no term in which nobody was elected: who has just begun knows no configuration
 * and believes it. Meant as the receiver, it proves that the one that is there has been removed. */
static void life_change(struct sim_net *net, uint8_t from, struct wire_raft *raft)
{
    struct sim_random *random = net_random(net);
    const uint64_t *appended = appended_at(net, from, raft->group);
    bool was_meant = sim_random_below(random, 2);
    if (was_meant)
        raft->to_life = raft->to_life > 0 ? sim_random_below(random, raft->to_life) : 0;
    else if (raft->from_life > 0)
        raft->from_life = sim_random_below(random, raft->from_life);
    if (raft->kind == SIM_NET_APPEND_REPLY && appended && sim_random_below(random, 4)) {
        raft->flags &= (uint8_t)~1u;
        raft->index = *appended;
    } else if (sim_random_below(random, 2)) {
        uint32_t later = (uint32_t)sim_random_below(random, 3);
        raft->term += was_meant || raft->kind != SIM_NET_APPEND ? later : 0;
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
        net_link_send(link, to_end, &copy);
    wire_buffer_deinit(&buffer);
}

/* Remembers a message now and then, and sends it once more long after. */
static void send_old(struct sim_net *net, uint8_t from, uint8_t to,
                     const struct link_message *message)
{
    struct old *old = &net->lives.old[from];
    if (old->message && sim_random_below(net_random(net), 2)) {
        struct net_link *link = &net->links[from][old->to];
        if (link->up[DIALLER] && !link->broken && link->up_id[DIALLER] == link->id)
            net_link_send(link, ACCEPTOR, &old->message->message);
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
        const struct sim_message *message =
            net->lives.kept[to][i / KEPT_LIVES][i % KEPT_LIVES].message;
        if (message && message->from == from &&
            sim_random_below(sim_stream(net->sim, SIM_STREAM_KEPT), ++count) == 0)
            chosen = message;
    }
    if (!chosen)
        return;
    net_link_send(&net->links[from][to], ACCEPTOR, &chosen->message);
    net->stats.kept++;
}

void net_lives_sent(struct net_link *link, unsigned to_end, const struct link_message *message)
{
    struct sim_net *net = link->net;
    uint8_t from = link->endpoint[1 - to_end], to = link->endpoint[to_end];
    uint32_t misroute_ppm = net->endpoints[from].misroute_ppm;
    if (message->type == WIRE_GONE)
        keep(net->lives.kept[to][SIM_NET_GROUPS], from, message, 0);
    if (message->type != WIRE_RAFT)
        return;
    appends_note(net, from, to, message);
    if (sim_random_chance(net_random(net), misroute_ppm))
        send_misrouted(link, to_end, message);
    if (to_end == DIALLER)
        return;
    if (sim_random_chance(net_random(net), misroute_ppm))
        send_old(net, from, to, message);
    if (sim_random_chance(sim_stream(net->sim, SIM_STREAM_KEPT), net->kept_ppm))
        send_kept(net, from, to);
}

void net_lives_deinit(struct net_lives *lives)
{
    for (unsigned i = 0; i < SIM_ENDPOINTS_MAX; i++) {
        sim_message_free(lives->old[i].message);
        for (unsigned j = 0; j < KEPT_GROUPS * KEPT_LIVES; j++)
            sim_message_free(lives->kept[i][j / KEPT_LIVES][j % KEPT_LIVES].message);
    }
}
