#include "ring/swim_internal.h"

/* Of those that hear of a suspicion so many probe the suspect out of turn, on average: more than
 * the confirmations that are wanted, for they may hear of it late. */
#define TRIERS_A_CONFIRMATION 4u

static bool is_gone(const struct swim_member *member)
{
    return member->standing == SWIM_DEAD || member->standing == SWIM_LEFT;
}

static uint32_t next_nonce(struct swim *swim)
{
    swim->nonce++;
    swim->nonce += swim->nonce == 0; /* 0 is of pings whose answer nobody waits for */
    return swim->nonce;
}

static void ping(struct swim *swim, struct swim_effects *effects, const struct swim_member *member,
                 uint32_t nonce)
{
    struct swim_send *send = swim_begin(effects, member->id, SWIM_PING, nonce, member->id);

    if (!send)
        return;
    send->packet.standing = member->standing;
    send->packet.incarnation = member->incarnation;
    send->packet.sequence = member->sequence;
    swim_fill(swim, effects, send);
}

void swim_note(struct swim *swim, struct swim_effects *effects, const struct swim_member *member)
{
    ping(swim, effects, member, 0);
}

/* Who is suspected or held dead is told so in every packet; in a PING it is in the head. */
static void fill_to(struct swim *swim, struct swim_effects *effects, struct swim_send *send)
{
    const struct swim_member *to = swim_get(swim, send->to);

    if (to->standing == SWIM_SUSPECT || to->standing == SWIM_DEAD)
        (void)swim_add(effects, send, swim->options.packet_size_max, SWIM_ITEM_STATEMENT, to);
    swim_fill(swim, effects, send);
}

/* A new round, in another order. */
static void shuffle(struct swim *swim)
{
    for (uint32_t i = swim->order_count; i > 1; i--) {
        uint32_t other = swim_below(swim, i);
        uint16_t slot = swim->order[i - 1];

        swim->order[i - 1] = swim->order[other];
        swim->order[other] = slot;
    }
    swim->order_next = 0;
}

/* A suspect this node has not tried to reach itself. */
static struct swim_member *untried_suspect(struct swim *swim)
{
    for (uint32_t i = 0; i < swim->suspect_count; i++) {
        struct swim_member *member = &swim->members[swim->suspects[i]];

        if (member->tried)
            continue;
        member->tried = true;
        if (swim_below(swim, swim->alive_count) <
            swim->options.confirmations * TRIERS_A_CONFIRMATION)
            return member;
    }
    return NULL;
}

/* The next of the round that is thought to be there; the first of those that are gone on the way is
 * pinged too, for it may be back. */
static struct swim_member *next_of_round(struct swim *swim, struct swim_effects *effects)
{
    bool noted = false;

    for (uint32_t i = 0; i < swim->order_count; i++) {
        struct swim_member *member;

        if (swim->order_next >= swim->order_count)
            shuffle(swim);
        member = &swim->members[swim->order[swim->order_next++]];
        if (!is_gone(member))
            return member;
        if (!noted)
            swim_note(swim, effects, member);
        noted = true;
    }
    return NULL;
}

static void begin_probe(struct swim *swim, struct swim_effects *effects)
{
    uint32_t patience = swim->health + 1;
    struct swim_member *target = untried_suspect(swim);

    if (!target)
        target = next_of_round(swim, effects);
    swim->period_until_ms = swim->clock_ms + (uint64_t)swim->options.period_ms * patience;
    swim->probe = (struct swim_probe){.phase = SWIM_PROBE_NONE};
    if (!target)
        return;
    target->tried = true;
    swim->stats.probes++;
    swim->probe.phase = SWIM_PROBE_DIRECT;
    swim->probe.target = target->id;
    swim->probe.nonce = next_nonce(swim);
    swim->probe.ping_until_ms = swim->clock_ms + (uint64_t)swim->options.ping_timeout_ms * patience;
    ping(swim, effects, target, swim->probe.nonce);
}

static bool may_relay(const struct swim *swim, const struct swim_member *member)
{
    if (member->standing != SWIM_ALIVE || member->joining || member->id == swim->probe.target)
        return false;
    for (uint8_t i = 0; i < swim->probe.relay_count; i++)
        if (swim->probe.relays[i] == member->id)
            return false;
    return true;
}

static void ask_others(struct swim *swim, struct swim_effects *effects)
{
    const struct swim_member *target = swim_get(swim, swim->probe.target);
    uint32_t start = swim->order_count ? swim_below(swim, swim->order_count) : 0;

    swim->probe.phase = SWIM_PROBE_INDIRECT;
    for (uint32_t i = 0;
         i < swim->order_count && swim->probe.relay_count < swim->options.indirect_count; i++) {
        const struct swim_member *relay =
            &swim->members[swim->order[(start + i) % swim->order_count]];
        struct swim_send *send;

        if (!may_relay(swim, relay))
            continue;
        send = swim_begin(effects, relay->id, SWIM_PING_REQ, swim->probe.nonce, target->id);
        if (!send)
            return;
        send->packet.incarnation = target->incarnation;
        send->packet.sequence = target->sequence;
        fill_to(swim, effects, send);
        swim->probe.relays[swim->probe.relay_count++] = relay->id;
    }
}

/* Others that were asked and did not even say that they had no luck: it may be us. */
static void worsen(struct swim *swim)
{
    uint32_t by = swim->probe.relay_count == 0;

    for (uint8_t i = 0; i < swim->probe.relay_count; i++)
        by += !(swim->probe.nacked >> i & 1);
    swim->health += by;
    if (swim->health > swim->options.health_max)
        swim->health = swim->options.health_max;
}

static void end_probe(struct swim *swim, struct swim_effects *effects)
{
    struct swim_member *target;

    if (swim->probe.phase == SWIM_PROBE_NONE)
        return;
    target = swim_get(swim, swim->probe.target);
    swim->probe.phase = SWIM_PROBE_NONE;
    worsen(swim);
    if (is_gone(target))
        return;
    swim_accuse(swim, effects, target, &swim->options.self, 1, false, SWIM_REASON_UNREACHED);
    target->tried = true;
    swim_note(swim, effects, target);
}

static void relays_tick(struct swim *swim, struct swim_effects *effects)
{
    for (size_t i = 0; i < SWIM_RELAYS_MAX; i++) {
        struct swim_relay *relay = &swim->relays[i];
        struct swim_send *send;

        if (relay->asker == 0 || swim->clock_ms < relay->until_ms)
            continue;
        if (!relay->nacked) {
            send = swim_begin(effects, relay->asker, SWIM_NACK, relay->asker_nonce, relay->target);
            if (send)
                fill_to(swim, effects, send);
            relay->nacked = true; /* an answer that comes late is passed on still */
            relay->until_ms = swim->clock_ms + swim->options.period_ms;
        } else {
            relay->asker = 0;
        }
    }
}

/* What should not wait goes to somebody each period, besides what travels on probes: these may be
 * few where a node doubts itself. */
static void tell_urgent(struct swim *swim, struct swim_effects *effects)
{
    const struct swim_member *member;

    if (swim->clock_ms < swim->tell_due_ms)
        return;
    swim->tell_due_ms = swim->clock_ms + swim->options.period_ms;
    if (swim->order_count == 0 || !swim_urgent(swim))
        return;
    member = &swim->members[swim->order[swim_below(swim, swim->order_count)]];
    if (!is_gone(member))
        swim_note(swim, effects, member);
}

void swim_probe_tick(struct swim *swim, struct swim_effects *effects)
{
    relays_tick(swim, effects);
    tell_urgent(swim, effects);
    if (swim->clock_ms >= swim->period_until_ms) {
        end_probe(swim, effects);
        begin_probe(swim, effects);
    } else if (swim->probe.phase == SWIM_PROBE_DIRECT &&
               swim->clock_ms >= swim->probe.ping_until_ms) {
        ask_others(swim, effects);
    }
}

/* Packets */

static void on_ping(struct swim *swim, struct swim_effects *effects, uint16_t from,
                    const struct swim_packet *packet)
{
    const struct swim_member *self = swim_self(swim);
    struct swim_send *send;
    bool former =
        swim_newer(packet->incarnation, packet->sequence, self->incarnation, self->sequence);

    if (packet->subject != self->id)
        return;
    if ((packet->standing == SWIM_SUSPECT || packet->standing == SWIM_DEAD) &&
        swim_believed(swim, from) && packet->incarnation == self->incarnation)
        swim_refute(swim);
    send = swim_begin(effects, from, SWIM_ACK, packet->nonce, self->id);
    if (!send)
        return;
    if (former) /* it holds a record of a former life of this node: to be outbid */
        (void)swim_add(effects, send, swim->options.packet_size_max, SWIM_ITEM_WANT, self);
    else if (swim_newer(self->incarnation, self->sequence, packet->incarnation, packet->sequence))
        (void)swim_add(effects, send, swim->options.packet_size_max, SWIM_ITEM_RECORD, self);
    fill_to(swim, effects, send);
}

/* Places are few, and honest members need them. */
static bool relays_for(const struct swim *swim, uint16_t asker)
{
    for (size_t i = 0; i < SWIM_RELAYS_MAX; i++)
        if (swim->relays[i].asker == asker)
            return true;
    return false;
}

static void on_ping_req(struct swim *swim, struct swim_effects *effects, uint16_t from,
                        const struct swim_packet *packet)
{
    const struct swim_member *target = swim_get(swim, packet->subject);

    if (!target || target->id == from || target == swim_self(swim))
        return;
    if (!swim_believed(swim, from) && relays_for(swim, from))
        return;
    for (size_t i = 0; i < SWIM_RELAYS_MAX; i++) {
        struct swim_relay *relay = &swim->relays[i];

        if (relay->asker != 0)
            continue;
        *relay = (struct swim_relay){.asker = from,
                                     .target = target->id,
                                     .asker_nonce = packet->nonce,
                                     .nonce = next_nonce(swim),
                                     .until_ms = swim->clock_ms + swim->options.ping_timeout_ms};
        ping(swim, effects, target, relay->nonce);
        return;
    }
}

static void pass_on(struct swim *swim, struct swim_effects *effects, uint16_t from,
                    const struct swim_packet *packet)
{
    for (size_t i = 0; i < SWIM_RELAYS_MAX; i++) {
        struct swim_relay *relay = &swim->relays[i];
        struct swim_send *send;

        if (relay->asker == 0 || relay->nonce != packet->nonce || relay->target != from)
            continue;
        send = swim_begin(effects, relay->asker, SWIM_ACK, relay->asker_nonce, from);
        if (send)
            fill_to(swim, effects, send);
        relay->asker = 0;
        return;
    }
}

static int relay_index(const struct swim_probe *probe, uint16_t from)
{
    for (uint8_t i = 0; i < probe->relay_count; i++)
        if (probe->relays[i] == from)
            return i;
    return -1;
}

/* Nobody believes a node that is joining, and so nobody objects to what it holds: that they answer
 * it has to do. */
static void believe_answer(struct swim *swim, struct swim_effects *effects, uint16_t from,
                           const struct swim_packet *packet)
{
    struct swim_member *member = swim_get(swim, from);

    if (!swim_self(swim)->joining || packet->subject != from ||
        (member->standing != SWIM_SUSPECT && member->standing != SWIM_DEAD) ||
        effects->change_count == SWIM_ITEMS_MAX)
        return;
    swim_set_standing(swim, member, SWIM_ALIVE);
    (void)swim_report(effects, member, SWIM_REASON_ANSWERED);
}

static void on_answer(struct swim *swim, struct swim_effects *effects, uint16_t from,
                      const struct swim_packet *packet)
{
    struct swim_probe *probe = &swim->probe;
    int relay = relay_index(probe, from);

    if (packet->kind == SWIM_ACK)
        believe_answer(swim, effects, from, packet);
    if (probe->phase == SWIM_PROBE_NONE || packet->nonce != probe->nonce ||
        packet->subject != probe->target || (relay < 0 && from != probe->target)) {
        if (packet->kind == SWIM_ACK)
            pass_on(swim, effects, from, packet);
        return;
    }
    if (packet->kind == SWIM_NACK) {
        if (relay >= 0)
            probe->nacked |= (uint8_t)(1u << relay);
        return;
    }
    probe->phase = SWIM_PROBE_NONE;
    swim->health -= swim->health > 0;
}

void swim_probe_packet(struct swim *swim, struct swim_effects *effects, uint16_t from,
                       const struct swim_packet *packet)
{
    switch (packet->kind) {
    case SWIM_PING:
        on_ping(swim, effects, from, packet);
        break;
    case SWIM_PING_REQ:
        on_ping_req(swim, effects, from, packet);
        break;
    case SWIM_ACK:
    case SWIM_NACK:
        on_answer(swim, effects, from, packet);
        break;
    default: /* of a later version */
        break;
    }
}

uint64_t swim_probe_until(const struct swim *swim)
{
    uint64_t until_ms = swim->period_until_ms;

    if (swim->tell_due_ms < until_ms)
        until_ms = swim->tell_due_ms;
    if (swim->probe.phase == SWIM_PROBE_DIRECT && swim->probe.ping_until_ms < until_ms)
        until_ms = swim->probe.ping_until_ms;
    for (size_t i = 0; i < SWIM_RELAYS_MAX; i++)
        if (swim->relays[i].asker != 0 && swim->relays[i].until_ms < until_ms)
            until_ms = swim->relays[i].until_ms;
    return until_ms;
}
