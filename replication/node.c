#include "replication/node_internal.h"

#include "storage/datadir.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int node_genesis_decode(const struct node *node, const uint8_t *blob, size_t size,
                        struct ringmap *map, const char **why)
{
    int r = ringmap_decode(blob, size, map);

    if (r != 0) {
        *why = "the genesis does not decode";
        return r < 0 ? r : -EBADMSG;
    }
    if (map->epoch != 1) {
        *why = "the genesis is no ring map of epoch 1";
        r = -EBADMSG;
    } else if (memcmp(map->cluster, node->options.cluster, RINGMAP_CLUSTER_SIZE) != 0) {
        *why = "the genesis is of another cluster than this node's ticket";
        r = -EPROTO;
    }
    if (r != 0)
        ringmap_deinit(map);
    return r;
}

/* One that is prepared here names this node. Other nodes may join later. */
static int decode_own(const struct node *node, const uint8_t *blob, size_t size,
                      struct ringmap *map, const char **why)
{
    int r = node_genesis_decode(node, blob, size, map, why);

    if (r == 0 && !ringmap_member_by_key(map, node->options.public_key)) {
        *why = "the genesis does not name this node's key";
        ringmap_deinit(map);
        r = -EPROTO;
    }
    return r;
}

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

static int write_genesis(struct node *node, uint8_t founding, const uint8_t *blob, size_t size)
{
    struct node_file file = {.state = founding, .blob = (uint8_t *)blob, .size = size};

    return node_file_write(node->vfs, &node_file_genesis, &file);
}

/* Takes over the bytes when it returns 0. */
static int take_genesis(struct node *node, struct node_file *file)
{
    const char *why;
    int r;

    if (file->state < FOUNDING_PREPARED || file->state > FOUNDING_FOUNDED)
        return -EBADMSG;
    if (file->state == FOUNDING_PREPARED)
        r = decode_own(node, file->blob, file->size, &node->genesis, &why);
    else
        r = node_genesis_decode(node, file->blob, file->size, &node->genesis, &why);
    if (r != 0)
        return r;
    node->founded = file->state == FOUNDING_FOUNDED;
    node->founding = node->founded ? FOUNDING_COMMITTED : (uint8_t)file->state;
    node->blob = file->blob;
    node->blob_size = file->size;
    ringmap_hash(node->blob, node->blob_size, node->hash);
    node_know_self(node);
    return 0;
}

static int read_genesis(struct node *node)
{
    struct node_file file;
    int r = node_file_read(node->vfs, &node_file_genesis, &file);

    if (r == -ENOENT)
        return 0;
    if (r == 0) {
        r = take_genesis(node, &file);
        if (r != 0)
            free(file.blob);
    }
    return r;
}

int node_peek_map(struct vfs *vfs, struct ringmap *map)
{
    struct node_file file;
    int r = node_file_read(vfs, &node_file_map, &file);

    if (r == -ENOENT)
        r = node_file_read(vfs, &node_file_genesis, &file);
    if (r != 0)
        return r;
    r = ringmap_decode(file.blob, file.size, map);
    free(file.blob);
    return r > 0 ? -EBADMSG : r;
}

int node_open(struct node **out, struct vfs *vfs, const struct node_options *options)
{
    struct node *node = calloc(1, sizeof *node);
    int r;

    if (!node)
        return -ENOMEM;
    node->options = *options;
    node->vfs = vfs;
    r = read_genesis(node);
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

static void answer_founding(struct node *node, struct node_effects *effects,
                            const struct node_event *event, uint8_t type, const char *why)
{
    struct wire_buffer *reply =
        node_send(node, effects, event->from, type, event->message->correlation);

    if (!reply)
        return;
    wire_put_array(reply, 3);
    wire_put_bool(reply, why == NULL);
    wire_put_string(reply, why ? why : "");
    wire_put_bin(reply, node->hash, sizeof node->hash);
}

/* Takes over the map when it returns 0. */
static int adopt(struct node *node, uint8_t founding, struct ringmap *map, const uint8_t *blob,
                 size_t size)
{
    uint8_t *copy = malloc(size);
    int r = copy ? write_genesis(node, founding, blob, size) : -ENOMEM;

    if (r != 0) {
        free(copy);
        return r;
    }
    memcpy(copy, blob, size);
    if (node->founding != FOUNDING_NONE)
        ringmap_deinit(&node->genesis);
    free(node->blob);
    node->genesis = *map;
    node->blob = copy;
    node->blob_size = size;
    node->founding = founding;
    ringmap_hash(copy, size, node->hash);
    node_know_self(node);
    return 0;
}

int node_genesis_adopt(struct node *node, struct ringmap *genesis, const uint8_t *blob, size_t size)
{
    return adopt(node, FOUNDING_COMMITTED, genesis, blob, size);
}

static int adopt_prepared(struct node *node, const uint8_t *blob, size_t size, const char **why)
{
    struct ringmap map;
    int r = decode_own(node, blob, size, &map, why);

    if (r != 0)
        return r;
    r = adopt(node, FOUNDING_PREPARED, &map, blob, size);
    if (r != 0) {
        ringmap_deinit(&map);
        *why = "the genesis cannot be written: see the node's log";
    }
    return r;
}

static const char *prepare(struct node *node, const struct node_event *event,
                           struct node_effects *effects)
{
    uint8_t hash[RINGMAP_HASH_SIZE];
    struct wire_cursor cursor;
    const char *why = NULL;
    const uint8_t *blob;
    size_t size;

    wire_cursor_init(&cursor, event->message->body, event->message->body_size);
    blob = wire_get_bin(&cursor, RINGMAP_SIZE_MAX, &size);
    if (event->from.role != LINK_ROLE_ADMIN)
        return "only an admin may found a cluster";
    if (cursor.failed || !blob)
        return "the genesis does not decode";
    ringmap_hash(blob, size, hash);
    if (node->founding == FOUNDING_COMMITTED)
        return memcmp(hash, node->hash, sizeof hash) == 0
                   ? NULL
                   : "this node already belongs to a founded cluster";
    if (adopt_prepared(node, blob, size, &why) != 0)
        return why;
    effects->map_changed = true;
    return NULL;
}

static const char *commit(struct node *node, const uint8_t *hash, size_t size,
                          struct node_effects *effects)
{
    int r;

    if (node->founding == FOUNDING_NONE || !hash || size != RINGMAP_HASH_SIZE ||
        memcmp(hash, node->hash, size) != 0)
        return "this genesis was not prepared here";
    if (node->founding == FOUNDING_COMMITTED)
        return NULL;
    r = write_genesis(node, FOUNDING_COMMITTED, node->blob, node->blob_size);
    if (r != 0) {
        effects->fatal = r;
        return "the genesis cannot be written: see the node's log";
    }
    node->founding = FOUNDING_COMMITTED;
    effects->found = true;
    effects->map_changed = true;
    return NULL;
}

static const char *commit_message(struct node *node, const struct node_event *event,
                                  struct node_effects *effects)
{
    struct wire_cursor cursor;
    const uint8_t *hash;
    size_t size;

    wire_cursor_init(&cursor, event->message->body, event->message->body_size);
    hash = wire_get_bin(&cursor, RINGMAP_HASH_SIZE, &size);
    if (event->from.role == LINK_ROLE_ROUTER)
        return "a router may not found a cluster";
    return commit(node, cursor.failed ? NULL : hash, size, effects);
}

static void send_genesis(struct node *node, const struct node_event *event,
                         struct node_effects *effects)
{
    struct wire_buffer *reply =
        node_send(node, effects, event->from, WIRE_GENESIS, event->message->correlation);

    if (!reply)
        return;
    wire_put_array(reply, 2);
    wire_put_uint(reply, node->founding);
    wire_put_bin(reply, node->hash, sizeof node->hash);
}

/* A peer's word that the genesis prepared here was committed. */
static void on_genesis(struct node *node, const struct node_event *event,
                       struct node_effects *effects)
{
    struct wire_cursor cursor;
    const uint8_t *hash;
    uint64_t founding;
    size_t size;

    wire_cursor_init(&cursor, event->message->body, event->message->body_size);
    if (wire_get_array(&cursor, 2) != 2)
        return;
    founding = wire_get_uint(&cursor, FOUNDING_COMMITTED);
    hash = wire_get_bin(&cursor, RINGMAP_HASH_SIZE, &size);
    if (!cursor.failed && event->from.role == LINK_ROLE_NODE && event->from.member != 0 &&
        founding == FOUNDING_COMMITTED)
        (void)commit(node, hash, size, effects);
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

static uint64_t disk_usage(struct node *node)
{
    uint64_t bytes = 0;

    for (uint16_t shard = 0; shard < node->options.shards; shard++) {
        char folder[DATADIR_FOLDER_SIZE];
        struct usage usage = {.node = node, .folder = folder};

        datadir_shard_folder(folder, shard);
        (void)vfs_list(node->vfs, folder, add_usage, &usage);
        bytes += usage.bytes;
    }
    return bytes;
}

static void send_status(struct node *node, const struct node_event *event,
                        struct node_effects *effects)
{
    struct wire_buffer *reply =
        node_send(node, effects, event->from, WIRE_NODE_STATUS_REPLY, event->message->correlation);
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
                                      .memory_bytes = event->memory_bytes};

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
    snprintf(status.version, sizeof status.version, "%s", RINGCASK_VERSION);
    wire_put_node_status(reply, &status);
}

static void on_message(struct node *node, const struct node_event *event,
                       struct node_effects *effects)
{
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
        node_map_epoch(node, event);
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
        answer_founding(node, effects, event, WIRE_PREPARE_REPLY, prepare(node, event, effects));
        break;
    case WIRE_COMMIT:
        answer_founding(node, effects, event, WIRE_COMMIT_REPLY,
                        commit_message(node, event, effects));
        break;
    case WIRE_NODE_STATUS:
        send_status(node, event, effects);
        break;
    case WIRE_GENESIS_GET:
        send_genesis(node, event, effects);
        break;
    case WIRE_GENESIS:
        on_genesis(node, event, effects);
        break;
    default: /* the tickets', or of a newer version */
        (void)node_tickets_message(node, event, effects);
        break;
    }
}

static void ask_peers(struct node *node, struct node_effects *effects)
{
    if (node->founding != FOUNDING_PREPARED || node->now_ms < node->ask_due_ms)
        return;
    node->ask_due_ms = node->now_ms + node->options.ask_ms;
    for (uint32_t i = 0; i < node->genesis.member_count; i++) {
        uint16_t member = node->genesis.members[i].id;

        if (member != node_member(node) && node->peers[member].up)
            (void)node_send(node, effects,
                            (struct shard_address){.role = LINK_ROLE_NODE, .member = member},
                            WIRE_GENESIS_GET, 0);
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
    case NODE_EVENT_TICK:
        break;
    default:
        assert(!"unknown event");
    }
    ask_peers(node, effects);
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

int node_founded(struct node *node)
{
    int r;

    assert(node->founding == FOUNDING_COMMITTED);
    r = write_genesis(node, FOUNDING_FOUNDED, node->blob, node->blob_size);
    node->founded = r == 0;
    return r;
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
