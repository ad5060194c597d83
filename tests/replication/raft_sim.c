#include "raft_sim.h"

#include "ring/mix.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SLOTS_MAX 16384u

void sim_fail(const struct sim *sim, const char *what)
{
    fprintf(stderr, "raft_sim: seed %llu, t=%.3fs: %s\n", (unsigned long long)sim->seed,
            (double)sim->now_us / 1e6, what);
    abort();
}

uint64_t sim_random(struct sim *sim)
{
    return mix_next(&sim->random);
}

uint64_t sim_between(struct sim *sim, uint64_t min, uint64_t max)
{
    return min + sim_random(sim) % (max - min + 1);
}

bool sim_chance(struct sim *sim, uint32_t per_mille)
{
    return sim_random(sim) % 1000 < per_mille;
}

uint32_t sim_number(const struct sim *sim, const struct sim_node *node)
{
    return (uint32_t)(node - sim->nodes);
}

static bool before(const struct sim_event *a, const struct sim_event *b)
{
    return a->time_us < b->time_us || (a->time_us == b->time_us && a->number < b->number);
}

static void push(struct sim *sim, struct sim_event event)
{
    uint32_t at = sim->event_count++;

    if (at == sim->event_capacity) {
        sim->event_capacity = at ? at * 2 : 256;
        sim->events = realloc(sim->events, sim->event_capacity * sizeof(*sim->events));
        assert(sim->events);
    }
    for (; at > 0 && before(&event, &sim->events[(at - 1) / 2]); at = (at - 1) / 2)
        sim->events[at] = sim->events[(at - 1) / 2];
    sim->events[at] = event;
}

static struct sim_event pop(struct sim *sim)
{
    struct sim_event first = sim->events[0];
    struct sim_event last = sim->events[--sim->event_count];
    uint32_t at = 0;

    for (;;) {
        uint32_t child = at * 2 + 1;

        if (child >= sim->event_count)
            break;
        if (child + 1 < sim->event_count && before(&sim->events[child + 1], &sim->events[child]))
            child++;
        if (!before(&sim->events[child], &last))
            break;
        sim->events[at] = sim->events[child];
        at = child;
    }
    sim->events[at] = last;
    return first;
}

void sim_at(struct sim *sim, uint64_t delay_us, uint8_t kind, uint32_t node, uint32_t packet)
{
    push(sim, (struct sim_event){.time_us = sim->now_us + delay_us,
                                 .number = sim->event_number++,
                                 .kind = kind,
                                 .node = (uint8_t)node,
                                 .boot = node < sim->node_count ? sim->nodes[node].boot : 0,
                                 .packet = packet});
}

uint32_t sim_packet(struct sim *sim)
{
    uint32_t packet = sim->packet_free;

    if (packet != UINT32_MAX) {
        sim->packet_free = sim->packets[packet].next_free;
    } else {
        if (sim->packet_count == sim->packet_capacity) {
            sim->packet_capacity = sim->packet_capacity ? sim->packet_capacity * 2 : 64;
            sim->packets = realloc(sim->packets, sim->packet_capacity * sizeof(*sim->packets));
            assert(sim->packets);
        }
        packet = sim->packet_count++;
    }
    memset(&sim->packets[packet], 0, sizeof(sim->packets[packet]));
    return packet;
}

static void packet_free(struct sim *sim, uint32_t packet)
{
    sim->packets[packet].next_free = sim->packet_free;
    sim->packet_free = packet;
}

static uint64_t delay_us(struct sim *sim)
{
    return !sim->quiet && sim_chance(sim, sim->tail) ? sim_between(sim, 1000, 300000)
                                                     : sim_between(sim, 100, 2000);
}

void sim_send(struct sim *sim, uint32_t packet)
{
    const struct raft_message *message = &sim->packets[packet].message;
    uint32_t from = message->from.member - 1u, to = message->to.member - 1u;

    assert(from < sim->node_count && to < sim->node_count);
    if (sim->cut[from][to] || (!sim->quiet && sim_chance(sim, sim->loss))) {
        packet_free(sim, packet);
        return;
    }
    if (!sim->quiet && sim_chance(sim, sim->twice)) {
        uint32_t twin = sim_packet(sim);

        sim->packets[twin] = sim->packets[packet];
        sim_at(sim, delay_us(sim), SIM_DELIVER, to, twin);
    }
    sim_at(sim, delay_us(sim), SIM_DELIVER, to, packet);
}

/* An earlier life of the replica agrees to whatever it hears. */
static void ghost(struct sim *sim, uint32_t packet)
{
    uint32_t answer = sim_packet(sim);
    const struct sim_packet *heard = &sim->packets[packet];
    struct sim_packet *said = &sim->packets[answer];
    const struct raft_message *message = &heard->message;

    said->message = (struct raft_message){.group = message->group,
                                          .term = message->term,
                                          .from = {message->to.member, SIM_LIFE - 1},
                                          .to = message->from};
    said->kind = heard->kind == SIM_BEAT ? SIM_BEAT_ACK : SIM_MESSAGE;
    said->round = heard->round;
    if (heard->kind == SIM_MESSAGE && message->kind == RAFT_APPEND) {
        said->message.kind = RAFT_APPEND_REPLY;
        said->message.index = message->index + message->entry_count;
    } else if (heard->kind == SIM_MESSAGE &&
               (message->kind == RAFT_VOTE || message->kind == RAFT_PREVOTE)) {
        said->message.kind = (uint8_t)(message->kind + 1);
    } else if (heard->kind != SIM_BEAT) {
        packet_free(sim, answer);
        return;
    }
    sim_send(sim, answer);
}

static void deliver(struct sim *sim, const struct sim_event *event)
{
    struct sim_node *node = &sim->nodes[event->node];

    if (node->up && node->paused_until_us > sim->now_us) {
        sim_at(sim, node->paused_until_us - sim->now_us, SIM_DELIVER, event->node, event->packet);
        return;
    }
    if (sim->ghosts && !sim->quiet && sim_chance(sim, 300))
        ghost(sim, event->packet);
    if (node->up)
        host_deliver(sim, node, event->packet);
    packet_free(sim, event->packet);
}

static void cut_some(struct sim *sim)
{
    uint32_t kind = (uint32_t)sim_between(sim, 0, 2);
    uint32_t a = (uint32_t)sim_between(sim, 0, sim->node_count - 1);
    uint32_t b = (uint32_t)sim_between(sim, 0, sim->node_count - 1);
    uint64_t side = sim_random(sim);
    const struct sim_node *leader = sim_leader(sim);

    if (kind == 0) {
        sim->cut[a][b] = true; /* one way */
    } else if (kind == 1) {
        /* A leader that goes on taking proposals alone: logs part. */
        sim_isolate(sim, leader && sim_chance(sim, 700) ? sim_number(sim, leader) : a, true);
    } else {
        for (a = 0; a < sim->node_count; a++) {
            for (b = 0; b < sim->node_count; b++)
                sim->cut[a][b] = ((side >> a) & 1) != ((side >> b) & 1);
        }
    }
    sim_at(sim, sim_between(sim, 20000, 800000), SIM_HEAL, 0, 0);
}

void sim_isolate(struct sim *sim, uint32_t node, bool cut)
{
    for (uint32_t i = 0; i < sim->node_count; i++)
        sim->cut[node][i] = sim->cut[i][node] = cut;
}

static void crash(struct sim *sim, struct sim_node *node)
{
    uint32_t number = sim_number(sim, node);

    host_crash(sim, node);
    for (uint32_t i = 0; i < sim->node_count; i++) {
        if (i != number && sim_chance(sim, 500))
            sim_at(sim, sim_between(sim, 100, 5000), SIM_LOST, i, number + 1);
    }
    sim_at(sim, sim_between(sim, 1000, sim_chance(sim, 200) ? 1500000 : 100000), SIM_RESTART,
           number, 0);
}

/* The leader of the moment is cut off or crashes, before or after it has reached somebody. */
static void churn(struct sim *sim)
{
    struct sim_node *leader = sim_leader(sim);

    sim_at(sim, sim_between(sim, 1000, 25000), SIM_FAULT, 0, 0);
    if (!leader || sim_chance(sim, 500))
        return;
    if (sim_chance(sim, 500)) {
        crash(sim, leader);
        return;
    }
    sim_isolate(sim, sim_number(sim, leader), true);
    sim_at(sim, sim_between(sim, 5000, 300000), SIM_HEAL, 0, 0);
}

static void fault(struct sim *sim)
{
    struct sim_node *node = &sim->nodes[sim_between(sim, 0, sim->node_count - 1)];
    uint16_t member = (uint16_t)sim_between(sim, 0, sim->node_count);

    sim_at(sim, sim_between(sim, 1000, 90000), SIM_FAULT, 0, 0);
    switch (sim_between(sim, 0, 9)) {
    case 0:
    case 1:
        cut_some(sim);
        return;
    case 2:
        if (sim_leader(sim))
            node = sim_leader(sim);
        if (node->up)
            crash(sim, node);
        return;
    case 3:
        if (node->up)
            crash(sim, node);
        return;
    case 4:
        node->paused_until_us = sim->now_us + sim_between(sim, 1000, 500000);
        return;
    case 5:
        node->slow_disk_until_us = sim->now_us + sim_between(sim, 1000, 500000);
        return;
    case 6:
        if (sim_leader(sim))
            host_simple(sim, sim_leader(sim), RAFT_EVENT_TRANSFER, member);
        return;
    case 7:
        if (node->up)
            host_simple(sim, node, RAFT_EVENT_CAMPAIGN, 0);
        return;
    case 8:
        if (node->up)
            host_simple(sim, node, RAFT_EVENT_PEER_LOST, member);
        return;
    default:
        if (node->up)
            host_checkpoint(sim, node);
    }
}

/* Clients ask whoever thinks to lead; there may be several. */
static void client(struct sim *sim)
{
    uint32_t at = (uint32_t)sim_between(sim, 0, sim->node_count - 1);
    struct sim_node *node = NULL;

    sim_at(sim, sim_between(sim, 500, sim->quiet ? 40000 : 8000), SIM_CLIENT, 0, 0);
    for (uint32_t i = 0; i < sim->node_count && !node && !sim->idle; i++) {
        struct sim_node *next = &sim->nodes[(at + i) % sim->node_count];

        if (next->up && next->paused_until_us <= sim->now_us && next->raft.role == RAFT_LEADER)
            node = next;
    }
    if (!node)
        return;
    if (sim_chance(sim, 400))
        host_read(sim, node);
    else
        host_propose(sim, node, (uint32_t)sim_between(sim, 1, 4));
    if (sim->changes && !sim->quiet && sim_chance(sim, 30))
        host_propose_config(sim, node);
}

static void node_event(struct sim *sim, const struct sim_event *event)
{
    struct sim_node *node = &sim->nodes[event->node];

    if (event->kind == SIM_RESTART) {
        if (!node->up)
            host_boot(sim, node);
        return;
    }
    if (!node->up || event->boot != node->boot)
        return;
    if (node->paused_until_us > sim->now_us) {
        push(sim, (struct sim_event){.time_us = node->paused_until_us,
                                     .number = sim->event_number++,
                                     .kind = event->kind,
                                     .node = event->node,
                                     .boot = event->boot,
                                     .packet = event->packet});
        return;
    }
    switch (event->kind) {
    case SIM_SYNCED:
        host_synced(sim, node);
        return;
    case SIM_TICK:
        node->tick_us = UINT64_MAX;
        host_simple(sim, node, RAFT_EVENT_TICK, 0);
        return;
    case SIM_FLUSH:
        node->flush_due = false;
        host_simple(sim, node, RAFT_EVENT_FLUSH, 0);
        return;
    case SIM_BEATS:
        sim_at(sim, sim->beat_ms * UINT64_C(1000), SIM_BEATS, event->node, 0);
        host_beats(sim, node);
        return;
    case SIM_LOST:
        host_simple(sim, node, RAFT_EVENT_PEER_LOST, (uint16_t)event->packet);
        return;
    default:
        assert(false);
    }
}

void sim_run(struct sim *sim, uint64_t until_us)
{
    while (sim->event_count > 0 && sim->events[0].time_us <= until_us) {
        struct sim_event event = pop(sim);

        sim->now_us = event.time_us;
        switch (event.kind) {
        case SIM_DELIVER:
            deliver(sim, &event);
            break;
        case SIM_CLIENT:
            client(sim);
            break;
        case SIM_FAULT:
            if (!sim->quiet && sim->churn && sim_chance(sim, 900))
                churn(sim);
            else if (!sim->quiet)
                fault(sim);
            break;
        case SIM_HEAL:
            if (!sim->quiet)
                memset(sim->cut, 0, sizeof(sim->cut));
            break;
        default:
            node_event(sim, &event);
        }
    }
    sim->now_us = until_us;
}

struct sim_node *sim_leader(struct sim *sim)
{
    struct sim_node *leader = NULL;

    for (uint32_t i = 0; i < sim->node_count; i++) {
        struct sim_node *node = &sim->nodes[i];

        if (node->up && node->raft.role == RAFT_LEADER &&
            (!leader || node->raft.term > leader->raft.term))
            leader = node;
    }
    return leader;
}

bool sim_settled(struct sim *sim)
{
    struct sim_node *leader = sim_leader(sim);

    if (!leader || leader->raft.commit != leader->raft.log.last)
        return false;
    for (uint32_t i = 0; i < sim->node_count; i++) {
        const struct raft *raft = &sim->nodes[i].raft;

        if (!sim->nodes[i].up || raft->term != leader->raft.term ||
            raft->log.last != leader->raft.log.last || raft->commit != leader->raft.commit)
            return false;
    }
    return true;
}

void sim_quiet(struct sim *sim)
{
    sim->quiet = true;
    memset(sim->cut, 0, sizeof(sim->cut));
    for (uint32_t i = 0; i < sim->node_count; i++) {
        struct sim_node *node = &sim->nodes[i];

        if (node->paused_until_us > sim->now_us)
            node->paused_until_us = sim->now_us;
        if (!node->up)
            host_boot(sim, node);
    }
}

/* Small limits, so that every bound is met. */
static void choose_options(struct sim *sim)
{
    sim->options = (struct raft_options){
        .group = 7,
        .election_ms_min = 100,
        .election_ms_max = 200,
        .append_entries_max = (uint32_t)sim_between(sim, 1, SIM_ENTRIES_MAX),
        .append_size_max = (uint32_t)sim_between(sim, 64, 2000),
        .inflight_size_max = (uint32_t)sim_between(sim, 64, 8000),
        .inflight_messages_max = (uint32_t)sim_between(sim, 1, 8),
        .retry_ms = (uint32_t)sim_between(sim, 20, 150),
    };
    sim->beat_ms = 20;
    sim->loss = sim_chance(sim, 300) ? 0 : (uint32_t)sim_between(sim, 0, 200);
    sim->twice = (uint32_t)sim_between(sim, 0, 100);
    sim->tail = sim_chance(sim, 300) ? 0 : (uint32_t)sim_between(sim, 0, 150);
    sim->churn = sim_chance(sim, 300);
    if (sim->churn) {
        sim->options.append_entries_max = 1;
        sim->options.inflight_messages_max = 1;
    }
    sim->ghosts = sim_chance(sim, 500);
    sim->changes = sim_chance(sim, 400);
}

struct sim *sim_new(uint64_t seed)
{
    struct sim *sim = calloc(1, sizeof(*sim));
    struct raft_config *config;

    assert(sim);
    sim->seed = seed;
    sim->random = seed * 0xD1342543DE82EF95u;
    sim->packet_free = UINT32_MAX;
    sim->payload_next = 1;
    choose_options(sim);
    sim->voter_count =
        sim_chance(sim, 50) ? (uint32_t)sim_between(sim, 1, 2) : (uint32_t)sim_between(sim, 3, 5);
    sim->node_count = sim->voter_count + (sim_chance(sim, 200) ? 1 : 0);
    config = &sim->configs[sim->config_count++];
    config->index = SIM_LIFE;
    for (uint32_t i = 0; i < sim->node_count; i++) {
        struct raft_replica replica = {(uint16_t)(i + 1), SIM_LIFE};

        if (i < sim->voter_count)
            config->voters[config->voter_count++] = replica;
        else
            config->learners[config->learner_count++] = replica;
    }
    assert(sim->node_count > 0);
    sim->slots = calloc(SLOTS_MAX, sizeof(*sim->slots));
    sim->nodes = calloc(sim->node_count, sizeof(*sim->nodes));
    assert(sim->slots && sim->nodes);
    for (uint32_t i = 0; i < sim->node_count; i++) {
        sim->nodes[i].clock_rate = (uint32_t)sim_between(sim, 950, 1050);
        sim->nodes[i].clock_offset_ms = sim_between(sim, 0, 100000);
        host_boot(sim, &sim->nodes[i]);
    }
    sim_at(sim, 1000, SIM_CLIENT, 0, 0);
    sim_at(sim, sim_between(sim, 1000, 500000), SIM_FAULT, 0, 0);
    return sim;
}

void sim_free(struct sim *sim)
{
    for (uint32_t i = 0; i < sim->node_count; i++) {
        if (sim->nodes[i].up)
            raft_deinit(&sim->nodes[i].raft);
        for (uint32_t r = 0; r < sim->nodes[i].record_count; r++)
            free(sim->nodes[i].records[r].config);
        free(sim->nodes[i].records);
        free(sim->nodes[i].deferred);
    }
    free(sim->nodes);
    free(sim->slots);
    free(sim->events);
    free(sim->packets);
    free(sim);
}
