/* Who is no member: a node that wants to become one, and those that it asks. */
#include "replication/node_internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* --- those who are asked ------------------------------------------------------------------- */

/* By the link that it came on: ours to the asker, if there is one, may not be up yet. */
static void answer(struct node *node, struct node_effects *effects, struct shard_address to,
                   uint64_t correlation, const struct wire_join_reply *reply)
{
    struct wire_buffer *body;

    to.member = 0;
    body = node_send(node, effects, to, WIRE_JOIN_REPLY, correlation);
    if (body)
        wire_put_join_reply(body, reply);
}

static struct wire_bytes newest_blob(const struct node *node)
{
    if (node->newest_blob)
        return (struct wire_bytes){node->newest_blob, node->newest_size};
    return (struct wire_bytes){node->blob, node->blob_size};
}

void node_join_answer(struct node *node, struct node_effects *effects, struct shard_address to,
                      uint64_t correlation, const uint8_t key[RINGMAP_KEY_SIZE], const char *why)
{
    struct wire_join_reply reply = {.outcome = WIRE_JOIN_AGAIN};

    if (ringmap_member_by_key(node_newest(node), key))
        reply = (struct wire_join_reply){.outcome = WIRE_JOIN_DONE,
                                         .genesis = {node->blob, node->blob_size},
                                         .map = newest_blob(node)};
    else
        snprintf(reply.why, sizeof reply.why, "%s", why);
    answer(node, effects, to, correlation, &reply);
}

/* The next map, with the asker in it, on its way to the meta group. Data keys it gets from the plan
 * that takes it in. */
static void take_in(struct node *node, const struct node_event *event, const struct wire_join *join,
                    struct wire_join_reply *reply)
{
    const struct ringmap *map = node_map(node);
    struct ringmap_member who = {.weight = join->weight};
    const char *why = node_joins_full(node);
    struct ringmap next;
    int r;

    memcpy(who.public_key, join->public_key, sizeof who.public_key);
    memcpy(who.address, join->address, sizeof who.address);
    memcpy(who.zone, join->zone, sizeof who.zone);
    r = why ? 0 : ringmap_joined(map, &who, &next);
    if (r == RINGMAP_E_FULL || r == RINGMAP_E_MALFORMED)
        reply->outcome = WIRE_JOIN_REFUSED;
    if (r == RINGMAP_E_FULL)
        why = "1,000 members were ever added, and that is the limit";
    else if (r == RINGMAP_E_CROWDED)
        why = "64 members are joining, and that is the limit: commit a plan, or remove who is gone";
    else if (r == RINGMAP_E_MALFORMED)
        why = "its address, zone or weight is not valid";
    else if (r < 0)
        why = "out of memory";
    if (!why) {
        why = node_change_join(node, event, join->public_key, &next);
        ringmap_deinit(&next);
    }
    if (why)
        snprintf(reply->why, sizeof reply->why, "%s", why);
    else
        reply->outcome = 0;
}

/* What can be said at once; outcome 0: the answer comes with that of the change. */
static void judge(struct node *node, const struct node_event *event, const struct wire_join *join,
                  struct wire_join_reply *reply)
{
    const struct ringmap *map = node_map(node);
    const struct ringmap_member *member = map ? ringmap_member_by_key(map, join->public_key) : NULL;

    if (!map || node_removed(node)) {
        snprintf(reply->why, sizeof reply->why, "the node that was asked is in no cluster");
    } else if (!event->public_key ||
               memcmp(event->public_key, join->public_key, sizeof join->public_key) != 0) {
        reply->outcome = WIRE_JOIN_REFUSED;
        snprintf(reply->why, sizeof reply->why, "the key is not that of the link");
    } else if (member && member->state == RINGMAP_STATE_REMOVED) {
        reply->outcome = WIRE_JOIN_REFUSED;
        snprintf(reply->why, sizeof reply->why,
                 "member %u was removed for ever: start with an empty data directory", member->id);
    } else if (!member) {
        take_in(node, event, join, reply);
    } else {
        reply->outcome = WIRE_JOIN_DONE;
        reply->genesis = (struct wire_bytes){node->blob, node->blob_size};
        reply->map = newest_blob(node);
    }
}

void node_join_asked(struct node *node, const struct node_event *event,
                     struct node_effects *effects)
{
    struct wire_join_reply reply = {.outcome = WIRE_JOIN_AGAIN};
    struct wire_cursor cursor;
    struct wire_join join;

    wire_cursor_init(&cursor, event->message->body, event->message->body_size);
    if (event->from.role != LINK_ROLE_NODE || !wire_get_join(&cursor, &join) ||
        node_change_joins(node, join.public_key))
        return;
    judge(node, event, &join, &reply);
    if (reply.outcome != 0)
        answer(node, effects, event->from, event->message->correlation, &reply);
}

/* --- who asks ------------------------------------------------------------------------------ */

void node_join_link(struct node *node, const struct node_event *event)
{
    struct node_join *join = &node->join;

    for (uint32_t i = 0; i < join->seed_count; i++)
        if (join->seeds[i] == event->from.link) {
            join->seeds[i] = join->seeds[--join->seed_count];
            break;
        }
    if (event->kind == NODE_EVENT_LINK_UP && join->seed_count < NODE_SEEDS_MAX)
        join->seeds[join->seed_count++] = event->from.link;
}

static bool is_seed(const struct node *node, uint64_t link)
{
    for (uint32_t i = 0; i < node->join.seed_count; i++)
        if (node->join.seeds[i] == link)
            return true;
    return false;
}

static bool wants_in(const struct node *node)
{
    return node->options.join && node->member == 0;
}

void node_join_due(struct node *node, struct node_effects *effects)
{
    struct shard_address to = {.role = LINK_ROLE_NODE};
    struct wire_join join = {.weight = node->options.weight};
    struct wire_buffer *body;

    if (!wants_in(node) || node->join.seed_count == 0 || node->now_ms < node->join.due_ms)
        return;
    to.link = node->join.seeds[node->join.turn++ % node->join.seed_count];
    body = node_send(node, effects, to, WIRE_JOIN, 0);
    if (!body)
        return;
    memcpy(join.public_key, node->options.public_key, sizeof join.public_key);
    memcpy(join.address, node->options.address, sizeof join.address);
    memcpy(join.zone, node->options.zone, sizeof join.zone);
    wire_put_join(body, &join);
    node->join.due_ms = node->now_ms + node->options.ask_ms;
}

/* Who has votes and entries somewhere, and here nothing: with an empty store it would vote again in
 * terms in which it has voted, and its log would lack what it has acknowledged. */
static const char lost[] = "this member's GENESIS is lost: restore it, or replace the member by a "
                           "node with an empty data directory";

/* 0: both are good. > 0: what was sent is not, *why. */
static int decode(const struct node *node, const struct wire_join_reply *reply,
                  struct ringmap *genesis, struct ringmap *map, const char **why)
{
    const struct ringmap_member *self;
    int r = node_genesis_decode(node, reply->genesis.data, reply->genesis.size, genesis, why);

    if (r != 0)
        return r == -ENOMEM ? r : 1;
    *why = "the ring map does not decode";
    r = ringmap_decode(reply->map.data, reply->map.size, map);
    if (r == 0) {
        self = ringmap_member_by_key(map, node->options.public_key);
        *why = ringmap_follows_problem(map, genesis);
        if (!*why && (!self || self->state == RINGMAP_STATE_REMOVED))
            *why = "the ring map does not name this node";
        if (!*why && self->state != RINGMAP_STATE_JOINING)
            *why = lost;
        if (!*why)
            return 0;
        ringmap_deinit(map);
        r = RINGMAP_E_MALFORMED;
    }
    ringmap_deinit(genesis);
    return r;
}

/* MAP is written first: GENESIS without it would be that of a cluster that this node is not in. A
 * crash between the two leaves a node that is in none, and asks again. */
static void join(struct node *node, const struct wire_join_reply *reply,
                 struct node_effects *effects, const char **why)
{
    struct ringmap genesis, map;
    int r = decode(node, reply, &genesis, &map, why);

    if (r == 0) {
        r = node_map_adopt(node, &map, reply->map.data, reply->map.size);
        ringmap_deinit(&map);
        if (r == 0)
            r = node_genesis_adopt(node, &genesis, reply->genesis.data, reply->genesis.size);
        if (r != 0) {
            ringmap_deinit(&genesis);
            node_map_free(node);
            node_know_self(node);
        }
        *why = "what it was told cannot be written: see the node's log";
    }
    if (r == 0) {
        *why = NULL;
        effects->found = true;
        effects->map_changed = true;
    } else if (r < 0 && !vfs_is_full(r)) {
        effects->fatal = r;
    }
}

void node_join_answered(struct node *node, const struct node_event *event,
                        struct node_effects *effects)
{
    struct wire_join_reply reply;
    struct wire_cursor cursor;
    const char *why = reply.why;

    wire_cursor_init(&cursor, event->message->body, event->message->body_size);
    if (!wants_in(node) || !is_seed(node, event->from.link) ||
        !wire_get_join_reply(&cursor, &reply))
        return;
    if (reply.outcome == WIRE_JOIN_DONE && node->founding == FOUNDING_COMMITTED) {
        node_map_take(node, reply.map.data, reply.map.size, effects);
        why = node->member != 0 ? NULL : "the ring map does not name this node";
    } else if (reply.outcome == WIRE_JOIN_DONE) {
        join(node, &reply, effects, &why);
    }
    if (!why)
        return;
    snprintf(node->join.why, sizeof node->join.why, "%s", why);
    effects->join_refused = reply.outcome == WIRE_JOIN_REFUSED || why == lost;
    effects->join_why = node->join.why;
}

/* --- both ---------------------------------------------------------------------------------- */

/* Who was a member learns that it is none any more, and nothing else. */
static void tell_removed(struct node *node, const struct node_event *event,
                         struct node_effects *effects)
{
    const struct ringmap *map = node_map(node);
    const struct ringmap_member *member =
        map && event->public_key ? ringmap_member_by_key(map, event->public_key) : NULL;

    if (member && member->state == RINGMAP_STATE_REMOVED)
        node_map_send(node, event, effects);
}

void node_join_told(struct node *node, const struct node_event *event, struct node_effects *effects)
{
    struct wire_join_reply reply;
    struct wire_cursor cursor;

    wire_cursor_init(&cursor, event->message->body, event->message->body_size);
    if (event->from.role != LINK_ROLE_NODE || !wire_get_join_reply(&cursor, &reply) ||
        reply.outcome != WIRE_JOIN_REFUSED)
        return;
    memcpy(node->join.why, reply.why, sizeof node->join.why);
    effects->join_why = node->join.why;
}

void node_stranger(struct node *node, const struct node_event *event, struct node_effects *effects)
{
    switch (event->message->type) {
    case WIRE_JOIN:
        node_join_asked(node, event, effects);
        break;
    case WIRE_JOIN_REPLY:
        node_join_answered(node, event, effects);
        break;
    case WIRE_MAP_EPOCH:
    case WIRE_MAP_GET:
        tell_removed(node, event, effects);
        break;
    default:
        break;
    }
}
