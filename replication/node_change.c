#include "replication/node_internal.h"

#include "storage/codec.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHANGE_MS_MAX 10000u /* then the admin is told that nobody took it */
#define KEYS_MS_MAX   2000u /* for a data key of which the admin has heard earlier than this node */
#define HINT_MS       50u   /* two that name each other are not asked faster */

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
    if (change->joins)
        node_join_answer(node, effects, change->asker, change->correlation, change->key,
                         reply->why[0] ? reply->why : "another change of the ring map came first");
    else
        answer(node, effects, change->asker, change->correlation, reply);
    free(change->blob);
    *change = (struct node_change){0};
}

void node_changes_free(struct node *node)
{
    for (size_t i = 0; i < NODE_CHANGES_MAX; i++)
        free(node->changes[i].blob);
}

/* NODE_CHANGES_MAX: there is none. */
static size_t free_change(const struct node *node)
{
    size_t i = 0;

    while (i < NODE_CHANGES_MAX && node->changes[i].blob)
        i++;
    return i;
}

static const char *full(const struct node *node)
{
    return free_change(node) < NODE_CHANGES_MAX ? NULL : "too many changes at a time";
}

const char *node_joins_full(const struct node *node)
{
    uint32_t joins = 0;

    for (size_t i = 0; i < NODE_CHANGES_MAX; i++)
        joins += node->changes[i].blob && node->changes[i].joins;
    return joins < NODE_JOINS_MAX ? full(node) : "too many nodes join at a time";
}

uint64_t node_attempt_name(const uint8_t *value, size_t size)
{
    uint8_t hash[RINGMAP_HASH_SIZE];

    ringmap_hash(value, size, hash);
    return codec_get_u64(hash);
}

/* Not when it is full. Takes over the blob. */
static struct node_change *begin(struct node *node, const struct node_event *event, uint8_t *blob,
                                 size_t size)
{
    struct node_change *change = &node->changes[free_change(node)];

    *change = (struct node_change){.blob = blob,
                                   .size = size,
                                   .asker = event->from,
                                   .correlation = event->message->correlation,
                                   .whole = node_newest(node)->key_count == 0,
                                   .attempt = {.name = node_attempt_name(blob, size),
                                               .due_ms = node->now_ms,
                                               .until_ms = node->now_ms + CHANGE_MS_MAX}};
    return change;
}

static const char *begin_asked(struct node *node, const struct node_event *event, uint8_t *outcome)
{
    struct wire_cursor cursor;
    const uint8_t *bytes;
    const char *why = full(node);
    uint8_t *blob;
    size_t size;

    *outcome = WIRE_MAP_REFUSED;
    wire_cursor_init(&cursor, event->message->body, event->message->body_size);
    bytes = wire_get_bin(&cursor, RINGMAP_SIZE_MAX, &size);
    if (event->from.role != LINK_ROLE_ADMIN)
        return "only an admin may change the ring map";
    if (cursor.failed || !bytes || size == 0)
        return "the ring map does not decode";
    *outcome = WIRE_MAP_UNSENT;
    if (!node_map(node)) /* or not yet: it may have joined and not have heard of it */
        return "this node belongs to no founded cluster";
    if (why)
        return why;
    blob = malloc(size);
    if (!blob)
        return "out of memory";
    memcpy(blob, bytes, size);
    (void)begin(node, event, blob, size);
    return NULL;
}

void node_change_begin(struct node *node, const struct node_event *event,
                       struct node_effects *effects)
{
    struct wire_map_reply reply = {0};
    const char *why = begin_asked(node, event, &reply.outcome);

    if (!why)
        return;
    snprintf(reply.why, sizeof reply.why, "%s", why);
    answer(node, effects, event->from, event->message->correlation, &reply);
}

const char *node_change_join(struct node *node, const struct node_event *event,
                             const uint8_t key[RINGMAP_KEY_SIZE], const struct ringmap *next)
{
    size_t size = ringmap_encoded_size(next);
    uint8_t *blob = malloc(size);
    struct node_change *change;

    assert(!node_joins_full(node));
    if (!blob)
        return "out of memory";
    ringmap_encode(next, blob);
    change = begin(node, event, blob, size);
    change->whole = true;
    change->joins = true;
    memcpy(change->key, key, sizeof change->key);
    return NULL;
}

bool node_change_joins(const struct node *node, const uint8_t key[RINGMAP_KEY_SIZE])
{
    for (size_t i = 0; i < NODE_CHANGES_MAX; i++) {
        const struct node_change *change = &node->changes[i];

        if (change->blob && change->joins && memcmp(change->key, key, sizeof change->key) == 0)
            return true;
    }
    return false;
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

        if (!change->blob || change->attempt.name != event->message->correlation)
            continue;
        if (reply.outcome == WIRE_MAP_DONE) /* whoever asks here next finds it */
            node_map_take(node, change->blob, change->size, effects);
        if (reply.outcome == WIRE_MAP_CONFLICT) /* ours is not the newest */
            node_map_heard(node, reply.epoch, event->from.member);
        if (reply.outcome != WIRE_MAP_AGAIN)
            end(node, effects, change, &reply);
        else
            node_attempt_again(node, &change->attempt, &reply);
    }
}

void node_attempt_again(const struct node *node, struct node_attempt *attempt,
                        const struct wire_map_reply *reply)
{
    if (reply->leader == 0)
        return;
    attempt->leader = reply->leader;
    attempt->due_ms = node->now_ms + HINT_MS;
}

/* To the leader that was named last, once; else to one voter after the other. */
void node_attempt_send(struct node *node, struct node_effects *effects,
                       struct node_attempt *attempt, uint8_t type, const uint8_t *value,
                       size_t size)
{
    const struct ringmap *map = node_map(node);
    struct shard_address to = {.role = LINK_ROLE_NODE, .member = attempt->leader};
    struct wire_buffer *body;

    if (node->now_ms < attempt->due_ms)
        return;
    if (to.member == 0)
        to.member = map->meta_voters[attempt->attempts % map->meta_voter_count];
    body = node_send(node, effects, to, type, attempt->name);
    if (!body)
        return;
    effects->sends[effects->send_count - 1].message.partition = WIRE_PARTITION_META;
    wire_put_bin(body, value, size);
    attempt->leader = 0;
    attempt->attempts++;
    attempt->due_ms = node->now_ms + node->options.ask_ms;
}

/* Whoever takes part from this change on gets its data keys with it. An admin has none, so that its
 * bytes are known only when they are made here; this node may hear of a key a moment later than the
 * admin did. */
static bool make_whole(struct node *node, struct node_change *change)
{
    int r = change->whole ? 0 : node_boxes_make(node, change->blob, change->size, &change->lacking);

    if (!change->whole && r == 0)
        change->attempt.name = node_attempt_name(change->blob, change->size);
    change->whole |= r == 0;
    if (!change->whole && r != NODE_BOXES_E_MORE)
        change->attempt.due_ms = node->now_ms + HINT_MS;
    return change->whole;
}

static bool is_late(const struct node *node, const struct node_change *change)
{
    uint64_t left_ms = change->lacking ? CHANGE_MS_MAX - KEYS_MS_MAX : 0;

    return node->now_ms + left_ms >= change->attempt.until_ms;
}

/* What was never sent on, another node may send. */
static void end_late(struct node *node, struct node_effects *effects, struct node_change *change)
{
    bool sent = change->attempt.attempts > 0;
    struct wire_map_reply reply = {.outcome = sent ? WIRE_MAP_AGAIN : WIRE_MAP_UNSENT,
                                   .epoch = node_map(node)->epoch};

    if (change->lacking)
        snprintf(reply.why, sizeof reply.why, "it has not got data key %u, its log says why",
                 change->lacking);
    else
        snprintf(reply.why, sizeof reply.why, "%s",
                 change->whole ? "the meta group has no leader that answers" : "out of memory");
    end(node, effects, change, &reply);
}

void node_changes_due(struct node *node, struct node_effects *effects)
{
    for (size_t i = 0; i < NODE_CHANGES_MAX; i++) {
        struct node_change *change = &node->changes[i];

        if (!change->blob || node->now_ms < change->attempt.due_ms)
            continue;
        if (is_late(node, change))
            end_late(node, effects, change);
        else if (make_whole(node, change))
            node_attempt_send(node, effects, &change->attempt, WIRE_MAP_CHANGE, change->blob,
                              change->size);
    }
}
