/* Node join scene: a member of a founded cluster, a node that is in none, and the link between
 * them. */
#ifndef TESTS_REPLICATION_NODE_JOIN_SCENE_H
#define TESTS_REPLICATION_NODE_JOIN_SCENE_H

#include "replication/node.h"

#include <criterion/criterion.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINK_OF_NEW 70u /* at the member, and */
#define LINK_TO_OLD 80u /* at the node that joins */

static const uint8_t cluster[RINGMAP_CLUSTER_SIZE] = {1, 2};
static const struct shard_address peer = {.role = LINK_ROLE_NODE, .member = 2};
static const struct shard_address admin = {.role = LINK_ROLE_ADMIN, .link = 9};
static const struct shard_address stranger = {.role = LINK_ROLE_NODE, .link = LINK_OF_NEW};
static const struct shard_address seed = {.role = LINK_ROLE_NODE, .link = LINK_TO_OLD};

/* A node with its disk, and what its newest step wanted. */
struct side {
    struct vfs *vfs;
    struct node *node;
    struct node_options options;
    struct node_effects effects;
};

static struct side old, new;
static uint64_t now_ms = 1;
static uint8_t link_key[RINGMAP_KEY_SIZE];
static bool link_secret; /* what the other end of the link has proven too */
static unsigned wrapped; /* boxes that were made */

static inline int wrap(void *context, uint8_t key_id, const uint8_t key[RINGMAP_KEY_SIZE],
                       uint8_t box[RINGMAP_BOX_SIZE])
{
    (void)context;
    wrapped++;
    memset(box, key_id, RINGMAP_BOX_SIZE);
    memcpy(box, key, RINGMAP_KEY_SIZE);
    return 0;
}

static inline struct ringmap founded(uint8_t keys)
{
    uint8_t(*boxes)[RINGMAP_BOX_SIZE];
    struct ringmap map;

    cr_assert_eq(ringmap_init(&map, 3, 8, 1), 0);
    map.epoch = 1;
    memcpy(map.cluster, cluster, sizeof map.cluster);
    for (uint16_t i = 0; i < 3; i++) {
        map.members[i] = (struct ringmap_member){.id = (uint16_t)(i + 1),
                                                 .state = RINGMAP_STATE_ACTIVE,
                                                 .weight = 100,
                                                 .address = "127.0.0.1:7000"};
        map.members[i].public_key[0] = (uint8_t)(i + 1);
        map.meta_voters[i] = (uint16_t)(i + 1);
    }
    map.meta_voter_count = 3;
    for (int p = 0; p < 8; p++)
        map.replicas[p] = 1;
    for (uint8_t id = 1; id <= keys; id++) {
        cr_assert_eq(ringmap_add_key(&map, id, &boxes), 0);
        memset(boxes, id, 3 * sizeof *boxes);
    }
    return map;
}

static inline void step(struct side *side, uint8_t kind, struct shard_address from,
                        const struct link_message *message)
{
    struct node_event event = {.kind = kind,
                               .now_ms = now_ms,
                               .from = from,
                               .message = message,
                               .secret = link_secret,
                               .epoch = 99,
                               .public_key = from.role == LINK_ROLE_NODE ? link_key : NULL};

    node_step(side->node, &event, &side->effects);
    node_check(side->node);
}

static inline void tick(struct side *side, uint64_t ms)
{
    now_ms += ms;
    step(side, NODE_EVENT_TICK, (struct shard_address){0}, NULL);
}

static inline void bring(struct side *side, struct shard_address from, uint8_t type,
                         struct wire_buffer *body, uint64_t correlation)
{
    struct link_message message = {.type = type,
                                   .partition = WIRE_PARTITION_NODE,
                                   .correlation = correlation,
                                   .body = body->data,
                                   .body_size = body->size};

    step(side, NODE_EVENT_MESSAGE, from, &message);
    wire_buffer_deinit(body);
}

static inline void bring_map(struct side *side, struct shard_address from, uint8_t type,
                             const struct ringmap *map)
{
    struct wire_buffer body = {0};
    uint8_t *out = wire_put_bin_space(&body, ringmap_encoded_size(map));

    ringmap_encode(map, out);
    bring(side, from, type, &body, 0);
}

static const struct shard_send *sent(const struct side *side, uint8_t type)
{
    for (size_t i = 0; i < side->effects.send_count; i++)
        if (side->effects.sends[i].message.type == type)
            return &side->effects.sends[i];
    return NULL;
}

/* What was sent, as a body of its own: the step it is brought to may be the sender's. */
static inline struct wire_buffer body_of(const struct shard_send *send)
{
    struct wire_buffer body = {0};

    cr_assert(send);
    wire_put_raw(&body, send->message.body, send->message.body_size);
    return body;
}

static inline void reopen(struct side *side)
{
    if (side->node)
        node_close(side->node);
    cr_assert_eq(node_open(&side->node, side->vfs, &side->options), 0);
    node_check(side->node);
}

/* A member of a founded cluster, and a node that is in none and has a link to it. */
static inline void begin(uint8_t keys)
{
    struct ringmap genesis = founded(keys);
    struct wire_buffer hash = {0};

    old.options = (struct node_options){
        .public_key = {1}, .shards = 1, .ask_ms = 500, .wrap = keys ? wrap : NULL};
    new.options = (struct node_options){.public_key = {99, 7},
                                        .shards = 1,
                                        .ask_ms = 500,
                                        .weight = 50,
                                        .join = true,
                                        .address = "127.0.0.1:7044",
                                        .zone = "east"};
    memcpy(old.options.cluster, cluster, sizeof cluster);
    memcpy(new.options.cluster, cluster, sizeof cluster);
    memcpy(link_key, new.options.public_key, sizeof link_key);
    old.vfs = vfs_mem_new();
    new.vfs = vfs_mem_new();
    reopen(&old);
    reopen(&new);
    bring_map(&old, admin, WIRE_PREPARE, &genesis);
    cr_assert(node_map_prepared(old.node));
    wire_put_bin(&hash, node_genesis_hash(old.node), RINGMAP_HASH_SIZE);
    bring(&old, admin, WIRE_COMMIT, &hash, 0);
    cr_assert(old.effects.found);
    ringmap_deinit(&genesis);
    step(&new, NODE_EVENT_LINK_UP, seed, NULL);
}

static inline void end(void)
{
    node_close(old.node);
    node_close(new.node);
    vfs_mem_free(old.vfs);
    vfs_mem_free(new.vfs);
    old.node = new.node = NULL;
}

/* The new node asks, the old one hears it. */
static inline void ask(void)
{
    struct wire_buffer body;

    tick(&new, 500);
    cr_assert_eq(sent(&new, WIRE_JOIN)->to.link, LINK_TO_OLD);
    cr_assert_eq(sent(&new, WIRE_JOIN)->to.member, 0);
    body = body_of(sent(&new, WIRE_JOIN));
    bring(&old, stranger, WIRE_JOIN, &body, 0);
}

/* What the meta group's leader says to the change that is on its way. */
static inline void decide(uint8_t outcome, uint64_t epoch, uint64_t name)
{
    struct wire_map_reply reply = {.outcome = outcome, .epoch = epoch};
    struct wire_buffer body = {0};

    wire_put_map_reply(&body, &reply);
    bring(&old, peer, WIRE_MAP_CHANGE_REPLY, &body, name);
}

static inline uint64_t change_name(void)
{
    cr_assert(sent(&old, WIRE_MAP_CHANGE));
    return sent(&old, WIRE_MAP_CHANGE)->message.correlation;
}

static inline void deliver_reply(void)
{
    const struct shard_send *send = sent(&old, WIRE_JOIN_REPLY);
    struct wire_buffer body = body_of(send);

    cr_assert_eq(send->to.link, LINK_OF_NEW);
    cr_assert_eq(send->to.member, 0, "by the link it came on");
    bring(&new, seed, WIRE_JOIN_REPLY, &body, 0);
}

static inline struct wire_join_reply replied(void)
{
    const struct shard_send *send = sent(&old, WIRE_JOIN_REPLY);
    struct wire_join_reply reply;
    struct wire_cursor cursor;

    cr_assert(send);
    wire_cursor_init(&cursor, send->message.body, send->message.body_size);
    cr_assert(wire_get_join_reply(&cursor, &reply));
    return reply;
}

static inline void join(void)
{
    ask();
    decide(WIRE_MAP_DONE, 2, change_name());
    deliver_reply();
}

static inline void bring_epoch(struct side *side, struct shard_address from, uint64_t epoch)
{
    struct wire_buffer body = {0};

    wire_put_map_epoch(&body, epoch);
    bring(side, from, WIRE_MAP_EPOCH, &body, 0);
}

#endif
