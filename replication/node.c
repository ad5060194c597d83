#include "replication/hearing.h"
#include "replication/node_internal.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

const struct ringmap *node_newest(const struct node *node)
{
    assert(node->founding == FOUNDING_COMMITTED);
    return node->newest_blob ? &node->newest : &node->genesis;
}

void node_know_self(struct node *node)
{
    const struct ringmap_member *member;

    member = ringmap_member_by_key(node->newest_blob ? &node->newest : &node->genesis,
                                   node->options.public_key);
    node->member = member ? member->id : 0;
}

static int peek(struct vfs *vfs, const struct node_file_kind *kind, struct ringmap *map)
{
    struct node_file file;
    int r = node_file_read(vfs, kind, &file);

    if (r != 0)
        return r;
    r = ringmap_decode(file.blob, file.size, map);
    free(file.blob);
    return r > 0 ? -EBADMSG : r;
}

int node_peek_map(struct vfs *vfs, struct ringmap *map)
{
    int r = peek(vfs, &node_file_map, map);

    return r == -ENOENT ? peek(vfs, &node_file_genesis, map) : r;
}

int node_peek_genesis(struct vfs *vfs, struct ringmap *map)
{
    return peek(vfs, &node_file_genesis, map);
}

int node_open(struct node **out, struct vfs *vfs, const struct node_options *options)
{
    struct node *node = calloc(1, sizeof *node);
    int r;

    if (!node)
        return -ENOMEM;
    node->options = *options;
    node->vfs = vfs;
    r = node_founding_read(node);
    if (r == 0 && node->founding == FOUNDING_COMMITTED)
        r = node_map_read(node);
    if (r == 0)
        r = node_tickets_read(node);
    if (r != 0) {
        node_close(node);
        return r;
    }
    *out = node;
    return 0;
}

void node_close(struct node *node)
{
    if (!node)
        return;
    if (node->founding != FOUNDING_NONE)
        ringmap_deinit(&node->genesis);
    node_map_free(node);
    node_changes_free(node);
    node_tickets_free(node);
    for (size_t i = 0; i < NODE_SENDS_MAX; i++)
        wire_buffer_deinit(&node->replies[i]);
    free(node->blob);
    free(node);
}

struct wire_buffer *node_send(struct node *node, struct node_effects *effects,
                              struct shard_address to, uint8_t type, uint64_t correlation)
{
    struct shard_send *send;

    if (effects->send_count == NODE_SENDS_MAX)
        return NULL;
    send = &effects->sends[effects->send_count];
    send->to = to;
    send->message = (struct link_message){
        .type = type, .partition = WIRE_PARTITION_NODE, .correlation = correlation};
    wire_buffer_clear(&node->replies[effects->send_count]);
    return &node->replies[effects->send_count++];
}

/* Bodies are given to the sends when the step is over: buffers may have moved until then. */
static void finish_sends(struct node *node, struct node_effects *effects)
{
    for (size_t i = 0; i < effects->send_count; i++) {
        effects->sends[i].message.body = node->replies[i].data;
        effects->sends[i].message.body_size = node->replies[i].size;
        if (node->replies[i].failed)
            effects->fatal = -ENOMEM;
    }
}

/* Of whoever sent it, by our map or the one that is prepared. */
static uint8_t state_of(const struct node *node, const struct node_event *event)
{
    const struct ringmap *map =
        node->founding == FOUNDING_COMMITTED ? node_newest(node) : &node->genesis;
    const struct ringmap_member *member =
        node->founding == FOUNDING_NONE ? NULL : ringmap_member(map, event->from.member);

    if (!member)
        return 0;
    /* It may take part by a map that is still to come. Whoever has the secret needs no such. */
    return member->state == RINGMAP_STATE_JOINING && event->secret ? RINGMAP_STATE_ACTIVE
                                                                   : member->state;
}

static void on_message(struct node *node, const struct node_event *event,
                       struct node_effects *effects)
{
    if (!hearing_node(event->from.role, state_of(node, event), event->message->type))
        return;
    if (event->from.role == LINK_ROLE_NODE && event->from.member == 0) {
        node_stranger(node, event, effects);
        return;
    }
    switch (event->message->type) {
    case WIRE_MAP_GET:
        node_map_send(node, event, effects);
        break;
    case WIRE_MAP:
        node_map_message(node, event, effects);
        break;
    case WIRE_MAP_EPOCH:
        node_map_epoch(node, event, effects);
        break;
    case WIRE_MAP_CHANGE:
        node_change_begin(node, event, effects);
        break;
    case WIRE_MAP_CHANGE_REPLY:
        node_change_answered(node, event, effects);
        break;
    case WIRE_JOIN: /* it has become a member while it asked */
        node_join_asked(node, event, effects);
        break;
    case WIRE_JOIN_REPLY:
        node_join_told(node, event, effects);
        break;
    case WIRE_PREPARE:
    case WIRE_COMMIT:
    case WIRE_GENESIS_GET:
    case WIRE_GENESIS:
        node_founding_message(node, event, effects);
        break;
    case WIRE_NODE_STATUS:
    case WIRE_NODE_STATUS_REPLY:
        node_status_message(node, event, effects);
        break;
    default: /* the tickets', or of a newer version */
        (void)node_tickets_message(node, event, effects);
        break;
    }
}

static void on_link(struct node *node, const struct node_event *event)
{
    if (event->from.role != LINK_ROLE_NODE || event->from.member > RINGMAP_MEMBERS_MAX)
        return;
    if (event->from.member == 0)
        node_join_link(node, event);
    else
        node->peers[event->from.member] =
            (struct node_peer){.up = event->kind == NODE_EVENT_LINK_UP};
    node_tickets_link(node, event->from.member);
}

void node_step(struct node *node, const struct node_event *event, struct node_effects *effects)
{
    effects->send_count = 0;
    effects->found = false;
    effects->map_changed = false;
    effects->tickets_changed = false;
    effects->join_why = NULL;
    effects->join_refused = false;
    effects->fatal = 0;
    if (node->start_ms == 0)
        node->start_ms = event->now_ms;
    node->now_ms = event->now_ms;
    if (event->wall_ms != 0)
        node->wall_ms = event->wall_ms;
    switch (event->kind) {
    case NODE_EVENT_MESSAGE:
        on_message(node, event, effects);
        break;
    case NODE_EVENT_LINK_UP:
    case NODE_EVENT_LINK_DOWN:
        on_link(node, event);
        break;
    case NODE_EVENT_REDEEM:
        node_tickets_redeem(node, event->command);
        break;
    case NODE_EVENT_EPOCH:
        if (node->founding == FOUNDING_COMMITTED &&
            hearing_node(event->from.role, state_of(node, event), WIRE_MAP_EPOCH))
            node_map_heard(node, event->epoch, event->from.member);
        break;
    case NODE_EVENT_TICK:
        break;
    default:
        assert(!"unknown event");
    }
    node_founding_due(node, effects);
    node_join_due(node, effects);
    if (node->founding == FOUNDING_COMMITTED)
        node_map_due(node, effects);
    if (node_map(node)) {
        node_changes_due(node, effects);
        node_tickets_due(node, effects);
    }
    finish_sends(node, effects);
}

const struct ringmap *node_map(const struct node *node)
{
    return node->founding == FOUNDING_COMMITTED && node->member != 0 ? node_newest(node) : NULL;
}

const struct ringmap *node_map_prepared(const struct node *node)
{
    return node->founding != FOUNDING_NONE && !node_map(node) ? &node->genesis : NULL;
}

bool node_removed(const struct node *node)
{
    const struct ringmap *map = node_map(node);

    return map && ringmap_member(map, node->member)->state == RINGMAP_STATE_REMOVED;
}

const struct ringmap *node_genesis(const struct node *node)
{
    return node->founding == FOUNDING_COMMITTED ? &node->genesis : NULL;
}

bool node_founding_owed(const struct node *node)
{
    return node->founding == FOUNDING_COMMITTED && !node->founded;
}

const uint8_t *node_genesis_hash(const struct node *node)
{
    return node->hash;
}

uint16_t node_member(const struct node *node)
{
    return node->member;
}

void node_check(const struct node *node)
{
    uint8_t hash[RINGMAP_HASH_SIZE];

    assert(node->founding <= FOUNDING_COMMITTED);
    assert(!node->founded || node->founding == FOUNDING_COMMITTED);
    assert((node->founding == FOUNDING_NONE) == (node->blob == NULL));
    if (node->tickets.known)
        tickets_check(&node->tickets.newest);
    if (!node->blob) {
        assert(!node->newest_blob && node->member == 0);
        return;
    }
    ringmap_check(&node->genesis);
    ringmap_hash(node->blob, node->blob_size, hash);
    assert(memcmp(hash, node->hash, sizeof hash) == 0);
    assert(memcmp(node->genesis.cluster, node->options.cluster, sizeof node->options.cluster) == 0);
    if (node->founding == FOUNDING_PREPARED)
        assert(ringmap_member_by_key(&node->genesis, node->options.public_key));
    if (node->newest_blob)
        assert(ringmap_follows_problem(&node->newest, &node->genesis) == NULL);
}
