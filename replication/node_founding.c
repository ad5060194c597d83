/* The founding: what a node's GENESIS says, and how it comes to be. */
#include "replication/node_internal.h"

#include "storage/datadir.h"
#include "storage/filename.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define JOINED (FOUNDING_JOINED - FOUNDING_COMMITTED)

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

static int write_genesis(struct node *node, uint8_t founding, const struct ringmap *genesis,
                         const uint8_t *blob, size_t size)
{
    bool joined = !ringmap_member_by_key(genesis, node->options.public_key);
    struct node_file file = {.state = (uint16_t)(founding + (joined ? JOINED : 0)),
                             .blob = (uint8_t *)blob,
                             .size = size};

    return node_file_write(node->vfs, &node_file_genesis, &file);
}

/* Takes over the bytes when it returns 0. */
static int take_genesis(struct node *node, struct node_file *file)
{
    uint16_t state = file->state;
    const char *why;
    int r;

    if (state < FOUNDING_PREPARED || state > FOUNDING_JOINED_FOUNDED)
        return -EBADMSG;
    if (state >= FOUNDING_JOINED)
        r = node_genesis_decode(node, file->blob, file->size, &node->genesis, &why);
    else
        r = decode_own(node, file->blob, file->size, &node->genesis, &why);
    if (r != 0)
        return r;
    state = state >= FOUNDING_JOINED ? (uint16_t)(state - JOINED) : state;
    node->founded = state == FOUNDING_FOUNDED;
    node->founding = node->founded ? FOUNDING_COMMITTED : (uint8_t)state;
    node->blob = file->blob;
    node->blob_size = file->size;
    ringmap_hash(node->blob, node->blob_size, node->hash);
    node_know_self(node);
    return 0;
}

/* Files that only a node has that is in a cluster. MAP is none of them: who joins writes it before
 * GENESIS. A shard's folder may be there before, as a link to another disk. */
static int visit_used(void *context, const char *name)
{
    bool is_used =
        strcmp(name, node_file_tickets.name) == 0 || strcmp(name, node_file_counters.name) == 0 ||
        strcmp(name, node_file_generations.name) == 0 || strcmp(name, FILENAME_OWNER) == 0 ||
        strcmp(name, FILENAME_MANIFEST) == 0 || strncmp(name, "journal-", 8) == 0;

    (void)context;
    return is_used ? NODE_OPEN_E_GENESIS_LOST : 0;
}

/* There is no GENESIS. If there was one: who has voted must not be founded again as if empty. */
static int check_unused(struct node *node)
{
    char folder[DATADIR_FOLDER_SIZE];
    int r = vfs_list(node->vfs, ".", visit_used, NULL);

    for (uint16_t shard = 0; shard < node->options.shards && r == 0; shard++) {
        datadir_shard_folder(folder, shard);
        r = vfs_list(node->vfs, folder, visit_used, NULL);
        r = r == -ENOENT ? 0 : r;
    }
    return r;
}

int node_founding_read(struct node *node)
{
    struct node_file file;
    int r = node_file_read(node->vfs, &node_file_genesis, &file);

    if (r == -ENOENT)
        return check_unused(node);
    if (r == 0) {
        r = take_genesis(node, &file);
        if (r != 0)
            free(file.blob);
    }
    return r;
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
    int r = copy ? write_genesis(node, founding, map, blob, size) : -ENOMEM;

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
    r = write_genesis(node, FOUNDING_COMMITTED, &node->genesis, node->blob, node->blob_size);
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

void node_founding_message(struct node *node, const struct node_event *event,
                           struct node_effects *effects)
{
    switch (event->message->type) {
    case WIRE_PREPARE:
        answer_founding(node, effects, event, WIRE_PREPARE_REPLY, prepare(node, event, effects));
        break;
    case WIRE_COMMIT:
        answer_founding(node, effects, event, WIRE_COMMIT_REPLY,
                        commit_message(node, event, effects));
        break;
    case WIRE_GENESIS_GET:
        send_genesis(node, event, effects);
        break;
    default:
        on_genesis(node, event, effects);
        break;
    }
}

void node_founding_due(struct node *node, struct node_effects *effects)
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

int node_founded(struct node *node)
{
    int r;

    assert(node->founding == FOUNDING_COMMITTED);
    r = write_genesis(node, FOUNDING_FOUNDED, &node->genesis, node->blob, node->blob_size);
    node->founded = r == 0;
    return r;
}
