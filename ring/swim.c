#include "ring/swim.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ring/mix.h"
#include "ring/swim_internal.h"

#define LEAVE_TOLD_MAX 8u /* members told at once that this one leaves */

void swim_options_default(struct swim_options *options)
{
    *options = (struct swim_options){.members_max = RINGMAP_MEMBERS_MAX,
                                     .period_ms = 150,
                                     .ping_timeout_ms = 60,
                                     .indirect_count = 3,
                                     .suspicion_factor = 5,
                                     .suspicion_stretch = 6,
                                     .confirmations = 3,
                                     .health_max = 8,
                                     .incarnation_jump_max = 1024,
                                     .retransmit_factor = 2,
                                     .packet_size_max = 1400,
                                     .sync_size_max = 128u << 10,
                                     .sync_ms = 10000,
                                     .load_ms = 5000,
                                     .awake_ms_max = 100};
}

int swim_init(struct swim *swim, const struct swim_options *options)
{
    *swim = (struct swim){.options = *options};
    if (options->self == 0 || options->members_max == 0 ||
        options->members_max > RINGMAP_MEMBERS_MAX || options->ping_timeout_ms == 0 ||
        options->ping_timeout_ms >= options->period_ms ||
        options->indirect_count > SWIM_INDIRECT_MAX ||
        options->confirmations >= SWIM_ACCUSERS_MAX || options->suspicion_factor == 0 ||
        options->suspicion_stretch == 0 || options->retransmit_factor == 0 ||
        options->awake_ms_max == 0 || options->packet_size_max < 512 ||
        options->sync_size_max < options->packet_size_max)
        return -EINVAL;
    swim->members = calloc(options->members_max, sizeof *swim->members);
    swim->by_id = calloc(options->members_max, sizeof *swim->by_id);
    swim->order = calloc(options->members_max, sizeof *swim->order);
    swim->suspects = calloc(options->members_max, sizeof *swim->suspects);
    if (swim->members && swim->by_id && swim->order && swim->suspects)
        return 0;
    swim_deinit(swim);
    return -ENOMEM;
}

void swim_deinit(struct swim *swim)
{
    free(swim->members);
    free(swim->by_id);
    free(swim->order);
    free(swim->suspects);
    *swim = (struct swim){0};
}

uint32_t swim_below(struct swim *swim, uint32_t bound)
{
    assert(bound > 0);
    return (uint32_t)(mix_next(&swim->random) % bound);
}

uint32_t swim_log2(uint32_t value)
{
    uint32_t whole = 0;

    assert(value > 0);
    while (value >> (whole + 1))
        whole++;
    return whole * 1000 + (uint32_t)((uint64_t)(value - (1u << whole)) * 1000 >> whole);
}

/* The place of the id in by_id, or where it would be. */
static uint32_t place_of(const struct swim *swim, uint16_t id)
{
    uint32_t low = 0, high = swim->member_count;

    while (low < high) {
        uint32_t middle = (low + high) / 2;

        if (swim->members[swim->by_id[middle]].id < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct swim_member *swim_get(struct swim *swim, uint16_t id)
{
    uint32_t place = place_of(swim, id);

    if (place == swim->member_count || swim->members[swim->by_id[place]].id != id)
        return NULL;
    return &swim->members[swim->by_id[place]];
}

const struct swim_member *swim_find(const struct swim *swim, uint16_t id)
{
    uint32_t place = place_of(swim, id);

    if (place == swim->member_count || swim->members[swim->by_id[place]].id != id)
        return NULL;
    return &swim->members[swim->by_id[place]];
}

bool swim_record_of(const struct swim_member *member, struct swim_record *record)
{
    return member->record_size > 0 &&
           swim_record_decode(member->record, member->record_size, record) == SWIM_CODEC_E_OK;
}

const char *swim_standing_name(uint8_t standing)
{
    static const char *const names[] = {[SWIM_ALIVE] = "alive",
                                        [SWIM_SUSPECT] = "suspect",
                                        [SWIM_DEAD] = "dead",
                                        [SWIM_LEFT] = "left"};

    return standing < sizeof names / sizeof *names ? names[standing] : "?";
}

struct swim_change *swim_report(struct swim_effects *effects, const struct swim_member *member,
                                enum swim_reason reason)
{
    struct swim_change *change;

    if (effects->change_count == SWIM_ITEMS_MAX)
        return NULL;
    change = &effects->changes[effects->change_count++];
    *change = (struct swim_change){
        .member = member->id, .standing = member->standing, .reason = (uint8_t)reason};
    return change;
}

static void unlist_suspect(struct swim *swim, uint16_t slot)
{
    for (uint32_t i = 0; i < swim->suspect_count; i++) {
        if (swim->suspects[i] == slot) {
            swim->suspects[i] = swim->suspects[--swim->suspect_count];
            return;
        }
    }
    assert(!"a suspect is listed");
}

static void set_joining(struct swim *swim, struct swim_member *member, bool joining)
{
    if (member->standing == SWIM_ALIVE)
        swim->alive_count -= swim_counts(swim, member);
    member->joining = joining;
    if (member->standing == SWIM_ALIVE)
        swim->alive_count += swim_counts(swim, member);
}

void swim_set_standing(struct swim *swim, struct swim_member *member, enum swim_standing standing)
{
    if (member->standing == standing)
        return;
    if (member->standing == SWIM_SUSPECT)
        unlist_suspect(swim, swim_slot(swim, member));
    if (standing == SWIM_SUSPECT) {
        swim->suspects[swim->suspect_count++] = swim_slot(swim, member);
        member->suspected_ms = swim->clock_ms;
        member->accuser_count = 0;
        member->condemned = false;
        member->tried = false;
    }
    if (standing == SWIM_ALIVE || standing == SWIM_LEFT)
        swim_dequeue_statement(swim, member);
    swim->alive_count += standing == SWIM_ALIVE && swim_counts(swim, member);
    swim->alive_count -= member->standing == SWIM_ALIVE && swim_counts(swim, member);
    member->standing = (uint8_t)standing;
    member->since_ms = swim->now_ms;
}

static void sign(struct swim *swim, struct swim_member *self)
{
    uint8_t signed_bytes[SWIM_SIGNED_PREFIX_SIZE + SWIM_RECORD_SIZE_MAX];

    swim_signed_prefix(swim->options.cluster, signed_bytes);
    memcpy(signed_bytes + SWIM_SIGNED_PREFIX_SIZE, self->record, self->record_size);
    swim->options.signer.sign(swim->options.signer.context, signed_bytes,
                              SWIM_SIGNED_PREFIX_SIZE + self->record_size, self->signature);
}

void swim_publish(struct swim *swim, enum swim_queue queue)
{
    struct swim_member *self = swim_self(swim);
    struct swim_record record = {
        .member = self->id, .left = swim->left, .incarnation = self->incarnation};

    self->sequence++;
    self->epoch = swim->local.epoch;
    record.sequence = self->sequence;
    record.local = swim->local;
    self->record_size = (uint16_t)swim_record_encode(&record, self->record);
    sign(swim, self);
    swim_set_standing(swim, self, swim->left ? SWIM_LEFT : SWIM_ALIVE);
    swim_enqueue_record(swim, self, queue);
    swim->published_ms = swim->clock_ms;
    swim->local_news = false;
}

void swim_outbid(struct swim *swim, uint64_t seen)
{
    assert(seen + 1 < SWIM_INCARNATION_MAX);
    swim_self(swim)->incarnation = seen + 1;
    swim_publish(swim, SWIM_RECORDS);
}

/* MAP */

static void remove_member(struct swim *swim, uint32_t place)
{
    uint16_t slot = swim->by_id[place];
    struct swim_member *member = &swim->members[slot];

    swim_dequeue_record(swim, member);
    swim_set_standing(swim, member, SWIM_LEFT); /* out of the counts and lists */
    for (uint32_t i = 0; i < swim->order_count; i++) {
        if (swim->order[i] != slot)
            continue;
        memmove(&swim->order[i], &swim->order[i + 1],
                (swim->order_count - i - 1) * sizeof *swim->order);
        swim->order_count--;
        swim->order_next -= swim->order_next > i;
        break;
    }
    if (swim->probe.phase != SWIM_PROBE_NONE && swim->probe.target == member->id)
        swim->probe.phase = SWIM_PROBE_NONE;
    for (size_t i = 0; i < SWIM_RELAYS_MAX; i++)
        if (swim->relays[i].asker == member->id || swim->relays[i].target == member->id)
            swim->relays[i] = (struct swim_relay){0};
    *member = (struct swim_member){0};
    memmove(&swim->by_id[place], &swim->by_id[place + 1],
            (swim->member_count - place - 1) * sizeof *swim->by_id);
    swim->member_count--;
}

static uint16_t free_slot(const struct swim *swim)
{
    uint32_t slot = swim->member_count; /* free unless a member was removed */

    for (uint32_t i = 0; swim->members[slot].id != 0; i++) {
        assert(i < swim->options.members_max);
        slot = i;
    }
    return (uint16_t)slot;
}

/* A new member is thought alive until it does not answer. */
static void add_member(struct swim *swim, const struct swim_map_member *from)
{
    uint32_t place = place_of(swim, from->id);
    uint16_t slot = free_slot(swim);
    struct swim_member *member = &swim->members[slot];

    *member =
        (struct swim_member){.id = from->id, .standing = SWIM_ALIVE, .since_ms = swim->now_ms};
    memcpy(member->public_key, from->public_key, sizeof member->public_key);
    memmove(&swim->by_id[place + 1], &swim->by_id[place],
            (swim->member_count - place) * sizeof *swim->by_id);
    swim->by_id[place] = slot;
    swim->member_count++;
    member->joining = from->joining;
    swim->alive_count += swim_counts(swim, member);
    if (from->id == swim->options.self) {
        swim->self_slot = slot;
        member->incarnation = 1;
        /* Not the number that a former life ended with: of two such records neither would win. */
        member->sequence = mix_next(&swim->random) >> 32;
        return;
    }
    swim->order[swim->order_count] = slot;
    place = swim_below(swim, swim->order_count + 1);
    swim->order[swim->order_count++] = swim->order[place];
    swim->order[place] = slot;
}

static bool names(const struct swim_event *event, uint16_t id)
{
    uint32_t low = 0, high = event->member_count;

    while (low < high) {
        uint32_t middle = (low + high) / 2;

        if (event->members[middle].id < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low < event->member_count && event->members[low].id == id;
}

static void on_map(struct swim *swim, const struct swim_event *event)
{
    if (event->epoch < swim->map_epoch)
        return;
    assert(event->member_count <= swim->options.members_max);
    assert(names(event, swim->options.self));
    swim->map_epoch = event->epoch;
    for (uint32_t place = swim->member_count; place > 0; place--)
        if (!names(event, swim->members[swim->by_id[place - 1]].id))
            remove_member(swim, place - 1);
    for (uint32_t i = 0; i < event->member_count; i++) {
        struct swim_member *member = swim_get(swim, event->members[i].id);

        if (member)
            set_joining(swim, member, event->members[i].joining);
        else
            add_member(swim, &event->members[i]);
    }
    if (swim->local_known && swim_self(swim)->record_size == 0)
        swim_publish(swim, SWIM_RECORDS);
}

/* LOCAL and LEAVE */

static bool same_load(const struct swim_local *a, const struct swim_local *b)
{
    return a->operations == b->operations && a->bytes == b->bytes && a->leaders == b->leaders &&
           a->leaders_digest == b->leaders_digest && a->counter == b->counter;
}

static void on_local(struct swim *swim, const struct swim_local *local)
{
    bool moved = strcmp(swim->local.address, local->address) != 0;
    bool mapped = swim->local.epoch != local->epoch;

    swim->local_news = swim->local_news || !same_load(&swim->local, local);
    swim->local = *local;
    swim->local_known = true;
    if (swim->member_count > 0 && (moved || mapped))
        swim_publish(swim, moved ? SWIM_RECORDS : SWIM_ROUTINE);
}

/* In a large cluster the loads of all would be most of what is said. */
static void load_tick(struct swim *swim)
{
    uint64_t every_ms = swim->options.load_ms * (uint64_t)(1 + swim->member_count / 32);

    if (swim->local_news && swim->clock_ms - swim->published_ms >= every_ms)
        swim_publish(swim, SWIM_ROUTINE);
}

static void on_leave(struct swim *swim, struct swim_effects *effects)
{
    uint32_t told = 0;

    swim->left = true;
    swim_publish(swim, SWIM_RECORDS);
    for (uint32_t i = 0; i < swim->order_count && told < LEAVE_TOLD_MAX; i++) {
        const struct swim_member *member =
            &swim->members[swim->order[(swim->order_next + i) % swim->order_count]];

        if (member->standing == SWIM_DEAD || member->standing == SWIM_LEFT)
            continue;
        swim_note(swim, effects, member);
        told++;
    }
}

/* Steps */

static void on_packet(struct swim *swim, const struct swim_event *event,
                      struct swim_effects *effects)
{
    const struct swim_packet *packet = event->packet;

    if (event->from == swim->options.self || !swim_get(swim, event->from)) {
        swim->stats.strangers++;
        return;
    }
    for (uint32_t i = 0; i < packet->item_count; i++)
        if (!swim_merge(swim, effects, event->from, &packet->items[i], packet->kind == SWIM_DIFF))
            break;
    if (packet->kind == SWIM_SYNC || packet->kind == SWIM_DIFF)
        swim_sync_packet(swim, effects, event->from, packet);
    else
        swim_probe_packet(swim, effects, event->from, packet);
    swim_answer_wants(swim, effects, event->from, packet);
}

static bool ready(const struct swim *swim)
{
    return swim->member_count > 0 && swim->local_known;
}

static void advance(struct swim *swim, const struct swim_event *event)
{
    uint64_t passed_ms = swim->now_ms ? event->now_ms - swim->now_ms : 0;

    assert(event->now_ms >= swim->now_ms);
    if (passed_ms > swim->options.awake_ms_max)
        passed_ms = swim->options.awake_ms_max;
    swim->clock_ms += passed_ms;
    swim->now_ms = event->now_ms;
    swim->random ^= event->random;
    if (swim->nonce == 0)
        swim->nonce = (uint32_t)event->random | 1;
}

void swim_step(struct swim *swim, const struct swim_event *event, struct swim_effects *effects)
{
    effects->send_count = 0;
    effects->change_count = 0;
    effects->item_count = 0;
    advance(swim, event);
    switch (event->kind) {
    case SWIM_EVENT_TICK:
        if (!ready(swim) || swim->left)
            return;
        load_tick(swim);
        swim_suspects_tick(swim, effects);
        swim_probe_tick(swim, effects);
        swim_sync_tick(swim, effects);
        break;
    case SWIM_EVENT_PACKET:
        if (ready(swim) && !swim->left)
            on_packet(swim, event, effects);
        break;
    case SWIM_EVENT_MAP:
        on_map(swim, event);
        break;
    case SWIM_EVENT_LOCAL:
        on_local(swim, event->local);
        break;
    case SWIM_EVENT_LEAVE:
        if (ready(swim) && !swim->left)
            on_leave(swim, effects);
        break;
    default:
        assert(!"unknown event");
    }
}

uint64_t swim_wait_ms(const struct swim *swim)
{
    uint64_t until_ms = swim->clock_ms + swim->options.awake_ms_max;
    uint64_t due_ms;

    if (!ready(swim) || swim->left)
        return swim->options.awake_ms_max;
    due_ms = swim_probe_until(swim);
    if (due_ms < until_ms)
        until_ms = due_ms;
    for (uint32_t i = 0; i < swim->suspect_count; i++) {
        due_ms = swim_suspicion_until(swim, &swim->members[swim->suspects[i]]);
        if (due_ms < until_ms)
            until_ms = due_ms;
    }
    return until_ms > swim->clock_ms ? until_ms - swim->clock_ms : 0;
}

static void check_queues(const struct swim *swim)
{
    uint32_t queued = 0, found = 0;

    for (uint32_t i = 0; i < swim->member_count; i++) {
        const struct swim_member *member = &swim->members[swim->by_id[i]];

        queued += member->record_news.queued + (uint32_t)member->statement_news.queued;
    }
    for (size_t queue = 0; queue < SWIM_QUEUES; queue++) {
        for (size_t sent = 0; sent < SWIM_RETRANSMIT_MAX; sent++) {
            for (uint16_t at = swim->queues[queue][sent]; at != 0; found++) {
                const struct swim_member *member = &swim->members[at - 1];
                const struct swim_queued *news =
                    queue == SWIM_STATEMENTS ? &member->statement_news : &member->record_news;

                assert(news->queued);
                assert(news->queue == queue);
                assert(news->sent == sent);
                at = news->next;
            }
        }
    }
    assert(found == queued);
}

void swim_check(const struct swim *swim)
{
    uint32_t alive = 0, suspects = 0;

    for (uint32_t i = 0; i < swim->member_count; i++) {
        const struct swim_member *member = &swim->members[swim->by_id[i]];

        assert(member->id != 0);
        assert(i == 0 || swim->members[swim->by_id[i - 1]].id < member->id);
        assert(member->standing <= SWIM_LEFT);
        assert(member->incarnation < SWIM_INCARNATION_MAX);
        assert(member->accuser_count <= SWIM_ACCUSERS_MAX);
        assert(member->standing != SWIM_SUSPECT || member->accuser_count > 0);
        alive += member->standing == SWIM_ALIVE && swim_counts(swim, member);
        suspects += member->standing == SWIM_SUSPECT;
    }
    assert(alive == swim->alive_count);
    assert(suspects == swim->suspect_count);
    for (uint32_t i = 0; i < suspects; i++)
        assert(swim->members[swim->suspects[i]].standing == SWIM_SUSPECT);
    if (swim->member_count > 0) {
        const struct swim_member *self = &swim->members[swim->self_slot];

        assert(self->id == swim->options.self);
        assert(self->standing == (swim->left ? SWIM_LEFT : SWIM_ALIVE));
        assert(swim->order_count == swim->member_count - 1);
        assert(swim->order_next <= swim->order_count);
    }
    check_queues(swim);
}
