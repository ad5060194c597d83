#include "ring/swim_internal.h"

#define UNHEARD_PERIODS 5u

/* All that is known, in short: the other answers with what differs. */
static void send_digest(struct swim *swim, struct swim_effects *effects, uint16_t to)
{
    struct swim_send *send;

    swim->sync_nonce = swim->sync_nonce + 1;
    swim->stats.syncs++;
    send = swim_begin(effects, to, SWIM_SYNC, swim->sync_nonce, to);
    if (!send)
        return;
    for (uint32_t i = 0; i < swim->member_count; i++)
        if (!swim_add(effects, send, swim->options.sync_size_max, SWIM_ITEM_DIGEST,
                      &swim->members[swim->by_id[i]]))
            return;
}

/* Somebody lives of whom nothing has been heard: it will be known to others. */
static bool somebody_is_unheard(const struct swim *swim)
{
    for (uint32_t i = 0; i < swim->order_count; i++) {
        const struct swim_member *member = &swim->members[swim->order[i]];

        if (member->record_size == 0 && member->standing == SWIM_ALIVE)
            return true;
    }
    return false;
}

/* A newcomer asks each period until it has been answered. */
static void set_due(struct swim *swim)
{
    uint64_t wait_ms = swim->options.sync_ms;

    if (!swim->synced)
        wait_ms = swim->options.period_ms;
    else if (somebody_is_unheard(swim))
        wait_ms = (uint64_t)swim->options.period_ms * UNHEARD_PERIODS;
    swim->sync_due_ms = swim->clock_ms + wait_ms;
}

/* Any; a joiner only where there is nobody else: it is told, and not believed. */
static uint16_t partner(struct swim *swim)
{
    uint32_t start = swim_below(swim, swim->order_count);

    for (uint32_t i = 0; i < swim->order_count; i++) {
        const struct swim_member *member =
            &swim->members[swim->order[(start + i) % swim->order_count]];

        if (!member->joining)
            return member->id;
    }
    return swim->members[swim->order[start]].id;
}

void swim_sync_tick(struct swim *swim, struct swim_effects *effects)
{
    if (swim->clock_ms < swim->sync_due_ms || swim->order_count == 0)
        return;
    set_due(swim);
    send_digest(swim, effects, partner(swim));
}

/* What the sender of the digest lacks, then what it has newer. False: not all fits. */
static bool add_difference(struct swim *swim, struct swim_effects *effects, struct swim_send *send,
                           const struct swim_item *digest)
{
    const struct swim_member *member = swim_get(swim, digest->member);
    uint32_t size_max = swim->options.sync_size_max;
    bool fits = true;

    if (!member)
        return true;
    if (member->record_size > 0 &&
        swim_newer(member->incarnation, member->sequence, digest->incarnation, digest->sequence))
        fits = swim_add(effects, send, size_max, SWIM_ITEM_RECORD, member);
    else if (swim_newer(digest->incarnation, digest->sequence, member->incarnation,
                        member->record_size > 0 ? member->sequence : 0))
        return swim_add(effects, send, size_max, SWIM_ITEM_WANT, member);
    if ((member->standing == SWIM_SUSPECT || member->standing == SWIM_DEAD) &&
        (digest->incarnation != member->incarnation || digest->standing < member->standing))
        fits = swim_add(effects, send, size_max, SWIM_ITEM_STATEMENT, member) && fits;
    return fits;
}

static void answer_digest(struct swim *swim, struct swim_effects *effects, uint16_t from,
                          const struct swim_packet *packet)
{
    struct swim_send *send = swim_begin(effects, from, SWIM_DIFF, packet->nonce, from);

    if (!send)
        return;
    for (uint32_t i = 0; i < packet->item_count; i++)
        if (packet->items[i].kind == SWIM_ITEM_DIGEST &&
            !add_difference(swim, effects, send, &packet->items[i]))
            send->packet.more = true;
}

void swim_sync_packet(struct swim *swim, struct swim_effects *effects, uint16_t from,
                      const struct swim_packet *packet)
{
    if (packet->kind == SWIM_SYNC) {
        answer_digest(swim, effects, from, packet);
        return;
    }
    if (packet->nonce != swim->sync_nonce || packet->nonce == 0 || !swim_believed(swim, from))
        return;
    swim->synced = !packet->more;
    set_due(swim);
}

void swim_answer_wants(struct swim *swim, struct swim_effects *effects, uint16_t from,
                       const struct swim_packet *packet)
{
    struct swim_send *send = NULL;

    for (uint32_t i = 0; i < packet->item_count; i++) {
        const struct swim_item *item = &packet->items[i];
        const struct swim_member *member =
            item->kind == SWIM_ITEM_WANT ? swim_get(swim, item->member) : NULL;

        if (!member || member->record_size == 0)
            continue;
        if (!send)
            send = swim_begin(effects, from, SWIM_DIFF, 0, from);
        if (!send ||
            !swim_add(effects, send, swim->options.sync_size_max, SWIM_ITEM_RECORD, member))
            return;
    }
}
