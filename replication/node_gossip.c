#include "replication/node_gossip.h"

#include "replication/hearing.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define IDLE_WAIT_MS 1000u
#define LOAD_MS      1000u /* how long operations and bytes are counted for a rate */

struct node_gossip {
    struct node_gossip_options options;
    struct swim swim;
    bool open; /* the core is there: a map names this node */
    struct swim_local local;
    uint64_t counted_ms, counted_operations, counted_bytes;
    struct swim_event event; /* the core's; kept here because effects must outlive the step */
    struct swim_effects effects;
    struct swim_item items[SWIM_ITEMS_MAX]; /* of the packet received */
    struct swim_map_member members[RINGMAP_MEMBERS_MAX];
    struct wire_buffer bodies; /* of all that one step sends */
};

int node_gossip_open(struct node_gossip **out, const struct node_gossip_options *options)
{
    struct node_gossip *gossip = calloc(1, sizeof *gossip);

    if (!gossip)
        return -ENOMEM;
    gossip->options = *options;
    *out = gossip;
    return 0;
}

void node_gossip_close(struct node_gossip *gossip)
{
    if (!gossip)
        return;
    if (gossip->open)
        swim_deinit(&gossip->swim);
    wire_buffer_deinit(&gossip->bodies);
    free(gossip);
}

bool node_gossip_in_touch(const struct node_gossip *gossip)
{
    for (uint32_t i = 0; gossip->open && i < gossip->swim.member_count; i++) {
        const struct swim_member *member = &gossip->swim.members[gossip->swim.by_id[i]];
        struct swim_record record;

        if (member->id != gossip->swim.options.self && member->standing <= SWIM_SUSPECT &&
            swim_record_of(member, &record))
            return true;
    }
    return false;
}

const struct swim *node_gossip_swim(const struct node_gossip *gossip)
{
    return gossip->open ? &gossip->swim : NULL;
}

uint64_t node_gossip_wait_ms(const struct node_gossip *gossip)
{
    return gossip->open ? swim_wait_ms(&gossip->swim) : IDLE_WAIT_MS;
}

/* An address at which nobody reaches anybody: what --listen has when it means all of a machine's.
 */
static bool is_any(const char *address)
{
    return strncmp(address, "0.0.0.0:", 8) == 0 || strncmp(address, "[::]:", 5) == 0 ||
           address[0] == '\0';
}

/* Messages of what the core wants sent, behind what there is; bodies get their place at the end. */
static void take_packets(struct node_gossip *gossip, struct node_gossip_effects *effects,
                         size_t offsets[SWIM_PACKETS_MAX + 1])
{
    for (uint32_t i = 0; i < gossip->effects.send_count; i++) {
        const struct swim_send *send = &gossip->effects.sends[i];

        if (effects->send_count == SWIM_PACKETS_MAX)
            return;
        offsets[effects->send_count] = gossip->bodies.size;
        swim_put_packet(&gossip->bodies, &send->packet);
        effects->sends[effects->send_count++] =
            (struct shard_send){.to = {.role = LINK_ROLE_NODE, .member = send->to},
                                .message = {.type = WIRE_GOSSIP, .partition = WIRE_PARTITION_NODE}};
    }
}

static void take_moves(struct node_gossip *gossip, struct node_gossip_effects *effects)
{
    for (uint32_t i = 0; i < gossip->effects.change_count; i++) {
        const struct swim_change *change = &gossip->effects.changes[i];
        struct node_gossip_move *move = &effects->moves[effects->move_count];
        struct swim_record record;

        if (!change->moved || effects->move_count == NODE_GOSSIP_MOVES_MAX ||
            !swim_record_of(swim_find(&gossip->swim, change->member), &record) ||
            is_any(record.local.address))
            continue;
        move->member = change->member;
        memcpy(move->address, record.local.address, sizeof move->address);
        effects->move_count++;
    }
}

static void take_ahead(struct node_gossip *gossip, struct node_gossip_effects *effects)
{
    for (uint32_t i = 0; i < gossip->effects.change_count; i++) {
        const struct swim_change *change = &gossip->effects.changes[i];
        uint64_t epoch = swim_find(&gossip->swim, change->member)->epoch;

        if (!change->ahead || epoch <= effects->ahead_epoch)
            continue;
        effects->ahead_epoch = epoch;
        effects->ahead = change->member;
    }
}

/* A step of the core. */
static void step(struct node_gossip *gossip, struct node_gossip_effects *effects,
                 size_t offsets[SWIM_PACKETS_MAX + 1])
{
    swim_step(&gossip->swim, &gossip->event, &gossip->effects);
    take_packets(gossip, effects, offsets);
    take_moves(gossip, effects);
    take_ahead(gossip, effects);
    effects->changes = gossip->effects.changes;
    effects->change_count = gossip->effects.change_count;
}

static int on_map(struct node_gossip *gossip, const struct node_gossip_event *event)
{
    const struct ringmap *map = event->map;
    const struct ringmap_member *self = ringmap_member(map, event->self);
    uint32_t count = 0;

    if (!self || self->state == RINGMAP_STATE_REMOVED) { /* nobody listens to this node */
        if (gossip->open)
            swim_deinit(&gossip->swim);
        gossip->open = false;
        return 0;
    }
    if (!gossip->open) {
        struct swim_options options;
        int r;

        swim_options_default(&options);
        options.self = event->self;
        options.signer = gossip->options.signer;
        memcpy(options.cluster, gossip->options.cluster, sizeof options.cluster);
        r = swim_init(&gossip->swim, &options);
        if (r != 0)
            return r;
        gossip->open = true;
    }
    for (uint32_t i = 0; i < map->member_count; i++)
        if (map->members[i].state != RINGMAP_STATE_REMOVED)
            gossip->members[count++] =
                (struct swim_map_member){.id = map->members[i].id,
                                         .joining = map->members[i].state == RINGMAP_STATE_JOINING,
                                         .public_key = map->members[i].public_key};
    gossip->event.kind = SWIM_EVENT_MAP;
    gossip->event.epoch = map->epoch;
    gossip->event.members = gossip->members;
    gossip->event.member_count = count;
    gossip->local.epoch = map->epoch;
    memcpy(gossip->local.address,
           is_any(gossip->options.address) ? self->address : gossip->options.address,
           sizeof gossip->local.address);
    return 0;
}

static void count_load(struct node_gossip *gossip, const struct node_gossip_event *event)
{
    uint64_t passed_ms = event->now_ms - gossip->counted_ms;
    uint64_t rate;

    if (passed_ms < LOAD_MS)
        return;
    rate = (event->operations - gossip->counted_operations) * 1000 / passed_ms;
    gossip->counted_ms = event->now_ms;
    gossip->counted_operations = event->operations;
    gossip->local.bytes = (event->bytes - gossip->counted_bytes) * 1000 / passed_ms;
    gossip->counted_bytes = event->bytes;
    gossip->local.operations = rate < UINT32_MAX ? (uint32_t)rate : UINT32_MAX;
    gossip->local.leaders = event->leaders;
    gossip->local.leaders_digest = event->leaders_digest;
}

static void tell_local(struct node_gossip *gossip, struct node_gossip_effects *effects,
                       size_t offsets[SWIM_PACKETS_MAX + 1])
{
    gossip->event.kind = SWIM_EVENT_LOCAL;
    gossip->event.local = &gossip->local;
    step(gossip, effects, offsets);
}

static void answer_liveness(struct node_gossip *gossip, const struct node_gossip_event *event,
                            struct node_gossip_effects *effects,
                            size_t offsets[SWIM_PACKETS_MAX + 1])
{
    assert(effects->send_count == 0);
    offsets[effects->send_count] = gossip->bodies.size;
    for (uint32_t i = 0; gossip->open && i < gossip->swim.member_count; i++) {
        const struct swim_member *member = &gossip->swim.members[gossip->swim.by_id[i]];
        struct swim_record record = {0};
        struct wire_liveness liveness = {.member = member->id,
                                         .standing = member->standing,
                                         .heard = swim_record_of(member, &record),
                                         .age_ms = event->now_ms - member->since_ms,
                                         .incarnation = member->incarnation,
                                         .epoch = record.local.epoch,
                                         .operations = record.local.operations,
                                         .leaders = record.local.leaders,
                                         .bytes = record.local.bytes,
                                         .leaders_digest = record.local.leaders_digest};

        if (member->joining) { /* it leads nothing, whatever it says */
            liveness.leaders = 0;
            liveness.leaders_digest = 0;
        }
        memcpy(liveness.address, record.local.address, sizeof liveness.address);
        wire_put_liveness(&gossip->bodies, &liveness);
    }
    effects->sends[effects->send_count++] =
        (struct shard_send){.to = event->from,
                            .message = {.type = WIRE_LIVENESS,
                                        .partition = WIRE_PARTITION_NODE,
                                        .correlation = event->message->correlation}};
}

/* The core knows all members, and who is joining is heard as any other. */
static bool is_heard(const struct node_gossip *gossip, struct shard_address from, uint8_t type)
{
    bool known = gossip->open && swim_find(&gossip->swim, from.member);

    return hearing_node(from.role, known ? RINGMAP_STATE_JOINING : 0, type);
}

static void on_message(struct node_gossip *gossip, const struct node_gossip_event *event,
                       struct node_gossip_effects *effects, size_t offsets[SWIM_PACKETS_MAX + 1])
{
    struct swim_packet packet;

    if (!is_heard(gossip, event->from, event->message->type))
        return;
    if (event->message->type == WIRE_LIVENESS_GET) {
        answer_liveness(gossip, event, effects, offsets);
        return;
    }
    if (event->message->type != WIRE_GOSSIP ||
        swim_get_packet(event->message->body, event->message->body_size, &packet, gossip->items) !=
            SWIM_CODEC_E_OK)
        return;
    gossip->event.kind = SWIM_EVENT_PACKET;
    gossip->event.from = event->from.member;
    gossip->event.packet = &packet;
    step(gossip, effects, offsets);
}

void node_gossip_step(struct node_gossip *gossip, const struct node_gossip_event *event,
                      struct node_gossip_effects *effects)
{
    size_t offsets[SWIM_PACKETS_MAX + 1] = {0};

    effects->send_count = 0;
    effects->move_count = 0;
    effects->change_count = 0;
    effects->ahead_epoch = 0;
    effects->fatal = 0;
    wire_buffer_clear(&gossip->bodies);
    gossip->event = (struct swim_event){.now_ms = event->now_ms, .random = event->random};
    switch (event->kind) {
    case NODE_GOSSIP_TICK:
        if (!gossip->open)
            return;
        count_load(gossip, event);
        gossip->local.counter = event->counter;
        tell_local(gossip, effects, offsets);
        gossip->event.kind = SWIM_EVENT_TICK;
        step(gossip, effects, offsets);
        break;
    case NODE_GOSSIP_MESSAGE:
        on_message(gossip, event, effects, offsets);
        break;
    case NODE_GOSSIP_MAP:
        effects->fatal = on_map(gossip, event);
        if (effects->fatal != 0 || gossip->event.member_count == 0)
            return;
        step(gossip, effects, offsets);
        tell_local(gossip, effects, offsets);
        break;
    case NODE_GOSSIP_LEAVE:
        if (!gossip->open)
            return;
        gossip->event.kind = SWIM_EVENT_LEAVE;
        step(gossip, effects, offsets);
        break;
    default:
        assert(!"unknown event");
    }
    offsets[effects->send_count] = gossip->bodies.size;
    for (size_t i = 0; i < effects->send_count; i++) {
        effects->sends[i].message.body = gossip->bodies.data + offsets[i];
        effects->sends[i].message.body_size = offsets[i + 1] - offsets[i];
    }
    if (gossip->bodies.failed)
        effects->fatal = -ENOMEM;
}
