#include "ring/swim_internal.h"

#include <assert.h>
#include <string.h>

/* Records */

static bool verify(struct swim *swim, const struct swim_member *member,
                   const struct swim_item *item)
{
    uint8_t signed_bytes[SWIM_SIGNED_PREFIX_SIZE + SWIM_RECORD_SIZE_MAX];

    assert(item->record_size <= SWIM_RECORD_SIZE_MAX);
    swim->stats.verified++;
    swim_signed_prefix(swim->options.cluster, signed_bytes);
    memcpy(signed_bytes + SWIM_SIGNED_PREFIX_SIZE, item->record, item->record_size);
    return swim->options.signer.verify(swim->options.signer.context, member->public_key,
                                       signed_bytes, SWIM_SIGNED_PREFIX_SIZE + item->record_size,
                                       item->signature);
}

/* Too high to be honest. The member's own link may bring any but the absurd: who has not heard of
 * it for long must be able to catch up. */
static bool jumps(const struct swim *swim, const struct swim_member *member, uint16_t from,
                  uint64_t incarnation)
{
    if (incarnation >= SWIM_INCARNATION_MAX)
        return true;
    return from != member->id && member->record_size > 0 &&
           incarnation > member->incarnation + swim->options.incarnation_jump_max;
}

static bool moved(const struct swim_member *member, const struct swim_record *record)
{
    struct swim_record before;

    return !swim_record_of(member, &before) ||
           strcmp(before.local.address, record->local.address) != 0;
}

/* Returns the counter when it is news. */
static uint64_t take_counter(struct swim_member *member, uint64_t counter)
{
    if (counter <= member->counter)
        return 0;
    member->counter = counter;
    return counter;
}

static void take_record(struct swim *swim, struct swim_effects *effects, struct swim_member *member,
                        const struct swim_item *item, const struct swim_record *record,
                        bool exchange)
{
    struct swim_change *change;
    bool is_moved = moved(member, record);
    bool is_ahead = !member->joining && record->local.epoch > swim->local.epoch &&
                    record->local.epoch > member->epoch;
    bool reborn = record->incarnation > member->incarnation;
    uint64_t counter = take_counter(member, record->local.counter);
    uint8_t standing = member->standing;

    if (reborn && swim->probe.target == member->id)
        swim->probe.phase = SWIM_PROBE_NONE; /* it has answered, though not to us */
    if (record->left)
        standing = SWIM_LEFT;
    else if (reborn || standing == SWIM_LEFT)
        standing = SWIM_ALIVE;
    memcpy(member->record, item->record, item->record_size);
    memcpy(member->signature, item->signature, SWIM_SIGNATURE_SIZE);
    member->record_size = item->record_size;
    member->incarnation = record->incarnation;
    member->sequence = record->sequence;
    member->epoch = record->local.epoch;
    if (is_moved || is_ahead || counter != 0 || standing != member->standing) {
        swim_set_standing(swim, member, (enum swim_standing)standing);
        change = swim_report(effects, member, SWIM_REASON_RECORD);
        assert(change);
        change->moved = is_moved;
        change->ahead = is_ahead;
        change->counter = counter;
    }
    if (!exchange) /* else it is old: those it would be news to compare what they know, too */
        swim_enqueue_record(swim, member,
                            is_moved || reborn || record->left ? SWIM_RECORDS : SWIM_ROUTINE);
}

/* This node's former life tells less than this one. */
static void take_former(struct swim *swim, struct swim_effects *effects,
                        const struct swim_record *record)
{
    struct swim_member *self = swim_self(swim);
    uint64_t counter = record->local.counter;

    if (counter > swim->local.counter && take_counter(self, counter) != 0)
        swim_report(effects, self, SWIM_REASON_RECORD)->counter = counter;
    if (record->incarnation + 1 < SWIM_INCARNATION_MAX)
        swim_outbid(swim, record->incarnation);
}

static bool merge_record(struct swim *swim, struct swim_effects *effects, uint16_t from,
                         const struct swim_item *item, bool exchange)
{
    struct swim_record record;
    struct swim_member *member;

    if (swim_record_decode(item->record, item->record_size, &record) != SWIM_CODEC_E_OK) {
        swim->stats.forged++;
        return false;
    }
    member = swim_get(swim, record.member);
    if (!member) {
        swim->stats.strangers++;
        return true;
    }
    if (!swim_newer(record.incarnation, record.sequence, member->incarnation,
                    member->record_size > 0 ? member->sequence : 0)) {
        swim->stats.stale++;
        return true;
    }
    if (member != swim_self(swim) && jumps(swim, member, from, record.incarnation)) {
        swim->stats.jumps++;
        return true;
    }
    if (!verify(swim, member, item)) {
        swim->stats.forged++;
        return false;
    }
    if (member != swim_self(swim))
        take_record(swim, effects, member, item, &record, exchange);
    else
        take_former(swim, effects, &record);
    return true;
}

/* Statements */

bool swim_counts(const struct swim *swim, const struct swim_member *member)
{
    return !member->joining || member->id == swim->options.self;
}

bool swim_believed(const struct swim *swim, uint16_t id)
{
    const struct swim_member *member = swim_find(swim, id);

    return member && swim_counts(swim, member);
}

static bool accuses_already(const struct swim_member *member, uint16_t accuser)
{
    for (uint8_t i = 0; i < member->accuser_count; i++)
        if (member->accusers[i] == accuser)
            return true;
    return false;
}

void swim_accuse(struct swim *swim, struct swim_effects *effects, struct swim_member *member,
                 const uint16_t *accusers, uint32_t count, bool dead, enum swim_reason reason)
{
    bool news = false;

    if (member->standing != SWIM_ALIVE && member->standing != SWIM_SUSPECT)
        return;
    for (uint32_t i = 0; i < count; i++) {
        if (accusers[i] == member->id || !swim_believed(swim, accusers[i]))
            continue;
        if (member->standing == SWIM_ALIVE) {
            swim_set_standing(swim, member, SWIM_SUSPECT);
            (void)swim_report(effects, member, reason);
        }
        if (accuses_already(member, accusers[i]) ||
            member->accuser_count > swim->options.confirmations)
            continue;
        member->accusers[member->accuser_count++] = accusers[i];
        news = true;
    }
    if (member->standing == SWIM_SUSPECT && dead && !member->condemned) {
        member->condemned = true;
        news = true;
    }
    if (news)
        swim_enqueue_statement(swim, member);
}

void swim_refute(struct swim *swim)
{
    struct swim_member *self = swim_self(swim);

    if (self->incarnation + 1 >= SWIM_INCARNATION_MAX)
        return;
    swim->health += swim->health < swim->options.health_max;
    swim_outbid(swim, self->incarnation);
}

/* Of an exchange only a newcomer takes it: for the others it is old, and where two sides of a cut
 * meet again it would put all of them under suspicion at once. */
static void merge_statement(struct swim *swim, struct swim_effects *effects, uint16_t from,
                            const struct swim_item *item, bool exchange)
{
    struct swim_member *member = swim_get(swim, item->member);

    if (!member) {
        swim->stats.strangers++;
        return;
    }
    if (!swim_believed(swim, from)) {
        swim->stats.joiners++;
        return;
    }
    if (item->incarnation != member->incarnation)
        return;
    if (member == swim_self(swim))
        swim_refute(swim);
    else if (!exchange || !swim->synced)
        swim_accuse(swim, effects, member, item->accusers, item->accuser_count,
                    item->standing == SWIM_DEAD, SWIM_REASON_TOLD);
}

bool swim_merge(struct swim *swim, struct swim_effects *effects, uint16_t from,
                const struct swim_item *item, bool exchange)
{
    if (effects->change_count == SWIM_ITEMS_MAX)
        return false;
    switch (item->kind) {
    case SWIM_ITEM_RECORD:
        return merge_record(swim, effects, from, item, exchange);
    case SWIM_ITEM_STATEMENT:
        merge_statement(swim, effects, from, item, exchange);
        return true;
    default: /* swim_sync.c */
        return true;
    }
}

/* Suspicion */

static uint32_t suspicion_ms_min(const struct swim *swim)
{
    uint64_t tens = (uint64_t)swim_log2(swim->member_count) * 30103 / 100000; /* log10, 1/1000 */

    return (uint32_t)(swim->options.period_ms * swim->options.suspicion_factor *
                      (tens > 1000 ? tens : 1000) / 1000);
}

uint64_t swim_suspicion_until(const struct swim *swim, const struct swim_member *member)
{
    uint32_t min_ms = suspicion_ms_min(swim);
    uint32_t max_ms = min_ms * swim->options.suspicion_stretch;
    uint32_t others = swim->alive_count - 1; /* who could confirm it, besides this node */
    uint32_t wanted = others < swim->options.confirmations ? others : swim->options.confirmations;
    uint32_t have = member->accuser_count - 1u;
    uint64_t shrunk_ms;

    if (member->condemned || have >= wanted)
        return member->suspected_ms + min_ms;
    shrunk_ms = (uint64_t)(max_ms - min_ms) * swim_log2(have + 1) / swim_log2(wanted + 1);
    return member->suspected_ms + max_ms - shrunk_ms;
}

void swim_suspects_tick(struct swim *swim, struct swim_effects *effects)
{
    for (uint32_t i = swim->suspect_count; i > 0; i--) {
        struct swim_member *member = &swim->members[swim->suspects[i - 1]];

        if (swim->clock_ms < swim_suspicion_until(swim, member))
            continue;
        swim_set_standing(swim, member, SWIM_DEAD);
        (void)swim_report(effects, member, SWIM_REASON_SILENT);
        swim_enqueue_statement(swim, member);
    }
}
