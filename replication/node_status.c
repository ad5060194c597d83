/* How a node is, as it says itself; and of a member that is JOINING, which opens to nobody yet, as
 * a member that it is linked with passes it on. */
#include "replication/node_internal.h"

#include "storage/datadir.h"

#include <stdio.h>
#include <string.h>

#define USAGE_MS 1000u

static struct wire_buffer *answer(struct node *node, const struct node_event *event,
                                  struct node_effects *effects)
{
    return node_send(node, effects, event->from, WIRE_NODE_STATUS_REPLY,
                     event->message->correlation);
}

struct usage {
    struct node *node;
    const char *folder;
    uint64_t bytes;
};

static int add_usage(void *context, const char *name)
{
    struct usage *usage = context;
    char path[VFS_PATH_SIZE_MAX + 1];
    struct vfs_file *file;
    uint64_t size = 0;

    if (snprintf(path, sizeof path, "%s/%s", usage->folder, name) >= (int)sizeof path ||
        vfs_open(usage->node->vfs, path, VFS_OPEN_READ, &file) != 0)
        return 0;
    if (vfs_size(file, &size) == 0)
        usage->bytes += size;
    vfs_close(file);
    return 0;
}

/* A call for each file: who waits for a plan asks many times a second. */
static uint64_t disk_usage(struct node *node)
{
    if (node->now_ms < node->disk_due_ms)
        return node->disk_bytes;
    node->disk_due_ms = node->now_ms + USAGE_MS;
    node->disk_bytes = 0;
    for (uint16_t shard = 0; shard < node->options.shards; shard++) {
        char folder[DATADIR_FOLDER_SIZE];
        struct usage usage = {.node = node, .folder = folder};

        datadir_shard_folder(folder, shard);
        (void)vfs_list(node->vfs, folder, add_usage, &usage);
        node->disk_bytes += usage.bytes;
    }
    return node->disk_bytes;
}

static void send_status(struct node *node, const struct node_event *event,
                        struct node_effects *effects)
{
    struct wire_buffer *reply = answer(node, event, effects);
    struct wire_node_status status = {.member = node_member(node),
                                      .founded = node->founding,
                                      .shards = node->options.shards,
                                      .uptime_ms = node->now_ms - node->start_ms,
                                      .weight = node->options.weight,
                                      .disk_bytes = disk_usage(node),
                                      .disk_full = event->disk_full,
                                      .cache_hits = event->cache.hits,
                                      .cache_misses = event->cache.misses,
                                      .cache_evictions = event->cache.evictions,
                                      .cache_bytes = event->cache.bytes,
                                      .key_id = event->key_id,
                                      .scrub = event->scrub,
                                      .wall_ms = event->wall_ms,
                                      .memory_bytes = event->memory_bytes,
                                      .disk_reserve = event->disk_reserve,
                                      .disk_lacks = event->disk_lacks,
                                      .twin = event->twin,
                                      .shards_lost = event->shards_lost};

    if (!reply)
        return;
    (void)vfs_space(node->vfs, &status.disk_free);
    if (node->founding == FOUNDING_COMMITTED)
        status.epoch = node_newest(node)->epoch;
    for (size_t i = 1; i <= RINGMAP_MEMBERS_MAX; i++)
        status.links_up += node->peers[i].up;
    status.tickets = node_tickets(node) ? node_tickets(node)->version : 0;
    memcpy(status.public_key, node->options.public_key, sizeof status.public_key);
    memcpy(status.genesis_hash, node->hash, sizeof status.genesis_hash);
    memcpy(status.address, node->options.address, sizeof node->options.address);
    memcpy(status.zone, node->options.zone, sizeof node->options.zone);
    if (event->twin_address)
        snprintf(status.twin_address, sizeof status.twin_address, "%s", event->twin_address);
    snprintf(status.version, sizeof status.version, "%s", RINGCASK_VERSION);
    wire_put_node_status(reply, &status);
}

/* --- of a member that is JOINING ----------------------------------------------------------- */

/* The oldest question gives way: whoever asked it has waited long enough. */
static void pass_on(struct node *node, const struct node_event *event, uint16_t member,
                    struct node_effects *effects)
{
    struct node_passed *passed = &node->passed[++node->passed_name % NODE_PASSED_MAX];
    struct shard_address to = {.role = LINK_ROLE_NODE, .member = member};

    if (!node_send(node, effects, to, WIRE_NODE_STATUS, node->passed_name))
        return;
    *passed = (struct node_passed){.member = member,
                                   .name = node->passed_name,
                                   .asker = event->from,
                                   .correlation = event->message->correlation};
}

static bool is_joining(const struct node *node, uint16_t member)
{
    const struct ringmap_member *found =
        node->founding == FOUNDING_COMMITTED ? ringmap_member(node_newest(node), member) : NULL;

    return found && found->state == RINGMAP_STATE_JOINING;
}

/* The answer is its own word, and of itself alone. */
static void pass_back(struct node *node, const struct node_event *event,
                      struct node_effects *effects)
{
    struct node_passed *passed = &node->passed[event->message->correlation % NODE_PASSED_MAX];
    const struct link_message *message = event->message;
    struct wire_node_status status;
    struct wire_cursor cursor;
    struct wire_buffer *reply;

    wire_cursor_init(&cursor, message->body, message->body_size);
    if (passed->member == 0 || passed->member != event->from.member ||
        passed->name != message->correlation || !wire_get_node_status(&cursor, &status) ||
        status.member != passed->member)
        return;
    reply = node_send(node, effects, passed->asker, WIRE_NODE_STATUS_REPLY, passed->correlation);
    if (reply)
        wire_put_node_status(reply, &status);
    *passed = (struct node_passed){0};
}

void node_status_message(struct node *node, const struct node_event *event,
                         struct node_effects *effects)
{
    struct wire_buffer *reply;
    struct wire_cursor cursor;
    uint64_t member;

    wire_cursor_init(&cursor, event->message->body, event->message->body_size);
    if (event->message->type == WIRE_NODE_STATUS_REPLY) {
        pass_back(node, event, effects);
    } else if (event->from.role != LINK_ROLE_ADMIN || event->message->body_size == 0) {
        send_status(node, event, effects);
    } else {
        member = wire_get_uint(&cursor, RINGMAP_MEMBERS_MAX);
        if (!cursor.failed && is_joining(node, (uint16_t)member) && node->peers[member].up) {
            pass_on(node, event, (uint16_t)member, effects);
            return;
        }
        reply = answer(node, event, effects);
        if (reply)
            wire_put_nil(reply);
    }
}
