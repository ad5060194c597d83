#include "replication/node_internal.h"

#include "storage/mutant.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define TELL_AGAIN_MS 1000u /* one member after the other: what it was told may have been lost */

static void take(struct node *node, const struct ringmap *map, uint8_t *blob, size_t size)
{
    node_map_free(node);
    node->newest = *map;
    node->newest_blob = blob;
    node->newest_size = size;
    node_know_self(node);
}

void node_map_free(struct node *node)
{
    if (node->newest_blob)
        ringmap_deinit(&node->newest);
    free(node->newest_blob);
    node->newest_blob = NULL;
}

static int read_newest(struct node *node)
{
    struct node_file file;
    struct ringmap map;
    int r = node_file_read(node->vfs, &node_file_map, &file);

    if (r != 0)
        return r;
    r = ringmap_decode(file.blob, file.size, &map);
    if (r == 0 && ringmap_follows_problem(&map, &node->genesis)) {
        ringmap_deinit(&map);
        r = RINGMAP_E_MALFORMED;
    }
    if (r != 0) {
        free(file.blob);
        return r < 0 ? r : -EBADMSG;
    }
    take(node, &map, file.blob, file.size);
    if (node->member == 0) /* the two files are of two nodes */
        return -EPROTO;
    return 0;
}

/* A damaged one costs no more than a missing one: members have it. It is kept, for whoever wants to
 * know what became of it. */
int node_map_read(struct node *node)
{
    int r = read_newest(node);

    if (r == -ENOENT)
        return 0;
    if (r != -EBADMSG)
        return r;
    r = vfs_rename(node->vfs, node_file_map.name, NODE_MAP_BAD);
    if (r == 0)
        r = vfs_sync_dir(node->vfs, ".");
    node->map_damaged = r == 0;
    return r;
}

bool node_map_damaged(const struct node *node)
{
    return node->map_damaged;
}

void node_map_send(struct node *node, const struct node_event *event, struct node_effects *effects)
{
    struct wire_buffer *reply =
        node_send(node, effects, event->from, WIRE_MAP, event->message->correlation);

    if (!reply)
        return;
    if (node->founding != FOUNDING_COMMITTED)
        wire_put_nil(reply);
    else if (node->newest_blob)
        wire_put_bin(reply, node->newest_blob, node->newest_size);
    else
        wire_put_bin(reply, node->blob, node->blob_size);
}

static bool from_member(const struct node *node, const struct node_event *event)
{
    return node->founding == FOUNDING_COMMITTED && event->from.role == LINK_ROLE_NODE &&
           event->from.member != 0;
}

int node_map_adopt(struct node *node, const struct ringmap *map, const uint8_t *blob, size_t size)
{
    struct node_file file = {.blob = malloc(size), .size = size};
    struct ringmap copy;
    int r = file.blob ? ringmap_copy(&copy, map) : -ENOMEM;

    if (r == 0) {
        memcpy(file.blob, blob, size);
        if (!mutant(MUTANT_MAP_BEFORE_DISK))
            r = node_file_write(node->vfs, &node_file_map, &file);
        if (r != 0)
            ringmap_deinit(&copy);
    }
    if (r != 0) {
        free(file.blob);
        return r;
    }
    take(node, &copy, file.blob, size);
    return 0;
}

/* Whom the map removes, as far as there is a link to tell them by. */
static size_t find_going(const struct node *node, const struct ringmap *map,
                         uint16_t going[NODE_SENDS_MAX])
{
    const struct ringmap *now = node_newest(node);
    size_t count = 0;

    for (uint32_t i = 0; i < now->member_count && count < NODE_SENDS_MAX; i++)
        if (map->members[i].state == RINGMAP_STATE_REMOVED &&
            now->members[i].state != RINGMAP_STATE_REMOVED && node->peers[map->members[i].id].up)
            going[count++] = map->members[i].id;
    return count;
}

/* It follows what there is: 0 or -errno. */
static int follow(struct node *node, const struct ringmap *map, const uint8_t *blob, size_t size,
                  struct node_effects *effects)
{
    struct shard_address to = {.role = LINK_ROLE_NODE};
    uint16_t going[NODE_SENDS_MAX];
    size_t count = find_going(node, map, going);
    bool named = node->member != 0;
    int r = node_map_adopt(node, map, blob, size);

    if (r != 0)
        return r;
    for (size_t i = 0; i < count; i++) {
        struct wire_buffer *body;

        to.member = going[i];
        body = node_send(node, effects, to, WIRE_MAP, 0);
        if (body)
            wire_put_bin(body, node->newest_blob, node->newest_size);
    }
    effects->map_changed = true;
    effects->found |= !named && node->member != 0 && !node->founded;
    return 0;
}

/* A full disk: it is asked for again. */
void node_map_take(struct node *node, const uint8_t *blob, size_t size,
                   struct node_effects *effects)
{
    struct ringmap map;
    int r = ringmap_decode(blob, size, &map);

    if (r == 0) {
        if (!ringmap_follows_problem(&map, node_newest(node)) &&
            !(mutant(MUTANT_MAPS_IN_ORDER) && map.epoch > node_newest(node)->epoch + 1))
            r = follow(node, &map, blob, size, effects);
        ringmap_deinit(&map);
    }
    if (r < 0 && !vfs_is_full(r))
        effects->fatal = r;
}

void node_map_message(struct node *node, const struct node_event *event,
                      struct node_effects *effects)
{
    struct wire_cursor cursor;
    const uint8_t *blob;
    size_t size;

    wire_cursor_init(&cursor, event->message->body, event->message->body_size);
    blob = wire_get_bin(&cursor, RINGMAP_SIZE_MAX, &size);
    if (!cursor.failed && from_member(node, event))
        node_map_take(node, blob, size, effects);
}

static void put_epoch(struct node *node, uint16_t member, struct node_effects *effects)
{
    struct wire_buffer *body =
        node_send(node, effects, (struct shard_address){.role = LINK_ROLE_NODE, .member = member},
                  WIRE_MAP_EPOCH, 0);

    if (!body)
        return;
    wire_put_map_epoch(body, node_newest(node)->epoch);
    node->peers[member].told = node_newest(node)->epoch;
}

/* Whoever is behind is told so: the link to it may not be up, only its to us. */
void node_map_epoch(struct node *node, const struct node_event *event, struct node_effects *effects)
{
    struct wire_cursor cursor;
    uint64_t epoch;

    wire_cursor_init(&cursor, event->message->body, event->message->body_size);
    if (!wire_get_map_epoch(&cursor, &epoch) || !from_member(node, event))
        return;
    if (epoch < node_newest(node)->epoch && event->from.member != node->member)
        put_epoch(node, event->from.member, effects);
    node_map_heard(node, epoch, event->from.member);
}

void node_map_heard(struct node *node, uint64_t epoch, uint16_t from)
{
    if (epoch <= node_newest(node)->epoch)
        return;
    if (epoch > node->wanted_epoch) /* what was asked for before is another */
        node->map_ask_due_ms = node->now_ms;
    node->wanted_epoch = epoch;
    node->wanted_from = from;
}

/* Who has it; without a link to that one somebody else, another each time: it will have heard of
 * it, too. */
static uint16_t whom_to_ask(struct node *node)
{
    const struct ringmap *map = node_newest(node);

    if (node->wanted_from == node_member(node) || node->peers[node->wanted_from].up)
        return node->wanted_from;
    for (uint32_t i = 0; i < map->member_count; i++) {
        uint16_t member = map->members[node->ask_turn++ % map->member_count].id;

        if (node->peers[member].up)
            return member;
    }
    return node->wanted_from;
}

/* Our own shard 0, if it votes on the meta group, is asked like a peer. */
static void ask(struct node *node, struct node_effects *effects)
{
    struct shard_address to = {.role = LINK_ROLE_NODE};

    if (node->wanted_epoch <= node_newest(node)->epoch || node->now_ms < node->map_ask_due_ms)
        return;
    to.member = whom_to_ask(node);
    if (!node_send(node, effects, to, WIRE_MAP_GET, 0))
        return;
    if (to.member == node_member(node))
        effects->sends[effects->send_count - 1].message.partition = WIRE_PARTITION_META;
    node->map_ask_due_ms = node->now_ms + node->options.ask_ms;
}

static void tell(struct node *node, uint16_t member, struct node_effects *effects)
{
    if (node->peers[member].up && node->peers[member].told != node_newest(node)->epoch)
        put_epoch(node, member, effects);
}

void node_map_due(struct node *node, struct node_effects *effects)
{
    const struct ringmap *map = node_newest(node);

    ask(node, effects);
    if (node->now_ms >= node->tell_due_ms) {
        node->tell_due_ms = node->now_ms + TELL_AGAIN_MS;
        node->peers[map->members[node->tell_turn++ % map->member_count].id].told = 0;
    }
    for (uint32_t i = 0; i < map->member_count; i++)
        tell(node, map->members[i].id, effects);
}
