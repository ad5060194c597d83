#include "replication/node_internal.h"

#include "storage/codec.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHANGE_MS_MAX 10000u /* then the admin is told that nobody took it */
#define HINT_MS       50u    /* two that name each other are not asked faster */

static void answer(struct node *node, struct node_effects *effects, struct shard_address to,
                   uint64_t correlation, const struct wire_map_reply *reply)
{
    struct wire_buffer *body = node_send(node, effects, to, WIRE_MAP_CHANGE_REPLY, correlation);

    if (body)
        wire_put_map_reply(body, reply);
}

static void end(struct node *node, struct node_effects *effects, struct node_change *change,
                const struct wire_map_reply *reply)
{
    answer(node, effects, change->admin, change->correlation, reply);
    free(change->blob);
    *change = (struct node_change){0};
}

void node_changes_free(struct node *node)
{
    for (size_t i = 0; i < NODE_CHANGES_MAX; i++)
        free(node->changes[i].blob);
}

static struct node_change *free_change(struct node *node)
{
    for (size_t i = 0; i < NODE_CHANGES_MAX; i++)
        if (!node->changes[i].blob)
            return &node->changes[i];
    return NULL;
}

/* By its bytes: an answer that comes late, even after a restart, is never taken for another's. */
static uint64_t name_of(const uint8_t *blob, size_t size)
{
    uint8_t hash[RINGMAP_HASH_SIZE];

    ringmap_hash(blob, size, hash);
    return codec_get_u64(hash);
}

/* NULL when the change is on its way, else why it cannot be. */
static const char *begin(struct node *node, const struct node_event *event,
                         struct node_change *change)
{
    struct wire_cursor cursor;
    const uint8_t *blob;
    size_t size;

    wire_cursor_init(&cursor, event->message->body, event->message->body_size);
    blob = wire_get_bin(&cursor, RINGMAP_SIZE_MAX, &size);
    if (event->from.role != LINK_ROLE_ADMIN)
        return "only an admin may change the ring map";
    if (node->founding != FOUNDING_COMMITTED)
        return "this node belongs to no founded cluster";
    if (cursor.failed || !blob || size == 0)
        return "the ring map does not decode";
    *change = (struct node_change){.blob = malloc(size),
                                   .size = size,
                                   .admin = event->from,
                                   .correlation = event->message->correlation,
                                   .name = name_of(blob, size),
                                   .due_ms = node->now_ms,
                                   .until_ms = node->now_ms + CHANGE_MS_MAX};
    if (!change->blob)
        return "out of memory";
    memcpy(change->blob, blob, size);
    return NULL;
}

void node_change_begin(struct node *node, const struct node_event *event,
                       struct node_effects *effects)
{
    struct node_change *change = free_change(node);
    const char *why = change ? begin(node, event, change) : "too many changes at a time";
    struct wire_map_reply reply = {.outcome = change ? WIRE_MAP_REFUSED : WIRE_MAP_AGAIN};

    if (!why)
        return;
    snprintf(reply.why, sizeof reply.why, "%s", why);
    answer(node, effects, event->from, event->message->correlation, &reply);
}

/* AGAIN leaves the change waiting for its next attempt; soon when the leader is named. */
void node_change_answered(struct node *node, const struct node_event *event,
                          struct node_effects *effects)
{
    struct wire_cursor cursor;
    struct wire_map_reply reply;

    wire_cursor_init(&cursor, event->message->body, event->message->body_size);
    if (!wire_get_map_reply(&cursor, &reply) || event->from.role != LINK_ROLE_NODE ||
        event->from.member == 0)
        return;
    for (size_t i = 0; i < NODE_CHANGES_MAX; i++) {
        struct node_change *change = &node->changes[i];

        if (!change->blob || change->name != event->message->correlation)
            continue;
        if (reply.outcome == WIRE_MAP_DONE) /* whoever asks here next finds it */
            node_map_take(node, change->blob, change->size, effects);
        if (reply.outcome != WIRE_MAP_AGAIN) {
            end(node, effects, change, &reply);
        } else if (reply.leader != 0) {
            change->leader = reply.leader;
            change->due_ms = node->now_ms + HINT_MS;
        }
    }
}

/* To the leader that was named last, once; else to one voter after the other. The same bytes may
 * come to the leader any number of times. */
static void try_next(struct node *node, struct node_effects *effects, struct node_change *change)
{
    const struct ringmap *map = node_map(node);
    struct shard_address to = {.role = LINK_ROLE_NODE, .member = change->leader};
    struct wire_buffer *body;

    if (to.member == 0)
        to.member = map->meta_voters[change->attempts % map->meta_voter_count];
    body = node_send(node, effects, to, WIRE_MAP_CHANGE, change->name);
    if (!body)
        return;
    effects->sends[effects->send_count - 1].message.partition = WIRE_PARTITION_META;
    wire_put_bin(body, change->blob, change->size);
    change->leader = 0;
    change->attempts++;
    change->due_ms = node->now_ms + node->options.ask_ms;
}

void node_changes_due(struct node *node, struct node_effects *effects)
{
    for (size_t i = 0; i < NODE_CHANGES_MAX; i++) {
        struct node_change *change = &node->changes[i];
        struct wire_map_reply late = {.outcome = WIRE_MAP_AGAIN,
                                      .epoch = node_map(node)->epoch,
                                      .why = "the meta group has no leader that answers"};

        if (!change->blob || node->now_ms < change->due_ms)
            continue;
        if (node->now_ms >= change->until_ms)
            end(node, effects, change, &late);
        else
            try_next(node, effects, change);
    }
}
