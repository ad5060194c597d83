/* View: how it is gathered. */
#include "cli/view.h"

#include "cli/shards_ask.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WAYS_FIRST 3u
#define MAPS_MAX   3u /* newer ones, one after another */

static int name_seeds(struct view *view, const struct address_list *seeds)
{
    view->nodes = calloc(seeds->count, sizeof *view->nodes);
    if (!view->nodes)
        return -ENOMEM;
    view->node_count = (uint32_t)seeds->count;
    for (size_t i = 0; i < seeds->count; i++)
        snprintf(view->nodes[i].address, sizeof view->nodes[i].address, "%s", seeds->items[i]);
    return 0;
}

static void take_status(struct view *view, struct view_node *node, struct cluster *cluster,
                        const struct cluster_request *request)
{
    const struct ringmap_member *member =
        view->founded ? ringmap_member(&view->map, node->id) : NULL;
    struct wire_cursor cursor;

    node->told = false;
    wire_cursor_init(&cursor, request->reply, request->reply_size);
    node->reachable = request->answered && wire_get_node_status(&cursor, &node->status);
    if (!cluster_is_up(cluster, request->node))
        cluster_why(cluster, request->node, node->why, sizeof node->why);
    else if (!node->reachable)
        snprintf(node->why, sizeof node->why, "no answer in time");
    if (node->reachable && member &&
        memcmp(node->status.public_key, member->public_key, RINGMAP_KEY_SIZE) != 0) {
        node->reachable = false;
        snprintf(node->why, sizeof node->why, "another node answers at this address");
    }
}

/* By way of those members: whichever is linked to it. 0 or -ENOMEM. */
static int ask_by_way(struct view *view, struct cluster *cluster, struct view_node *node,
                      const int *ways, size_t count, uint32_t timeout_ms)
{
    struct cluster_request *requests = calloc(count, sizeof *requests);
    struct wire_buffer body = {0};

    wire_put_uint(&body, node->id);
    for (size_t i = 0; requests && i < count; i++)
        requests[i] = (struct cluster_request){.node = ways[i],
                                               .type = WIRE_NODE_STATUS,
                                               .partition = WIRE_PARTITION_NODE,
                                               .body = body.data,
                                               .body_size = body.size};
    if (requests && !body.failed)
        cluster_ask(cluster, requests, count, timeout_ms);
    for (size_t i = 0; requests && i < count; i++) {
        if (!node->told) {
            take_status(view, node, cluster, &requests[i]);
            node->told = node->reachable;
        }
        cluster_request_deinit(&requests[i]);
    }
    wire_buffer_deinit(&body);
    free(requests);
    return requests && !body.failed ? 0 : -ENOMEM;
}

/* Some have it nearly always. When they have not, all others are asked: it may be linked to one
 * alone. */
static int ask_joining(struct view *view, struct cluster *cluster, uint32_t joining,
                       uint32_t timeout_ms)
{
    struct view_node *node = &view->nodes[joining];
    int *ways = calloc(view->node_count, sizeof *ways);
    size_t count = 0, first;
    int r = ways ? 0 : -ENOMEM;

    for (uint32_t i = 0; ways && i < view->node_count; i++)
        if (view->nodes[i].reachable && !view_is_removed(view, &view->nodes[i]) &&
            !view_is_joining(view, &view->nodes[i]))
            ways[count++] = cluster_dial(cluster, view->nodes[i].address, NULL);
    first = count < WAYS_FIRST ? count : WAYS_FIRST;
    node->told = false;
    if (first > 0)
        r = ask_by_way(view, cluster, node, ways, first, timeout_ms / 2);
    if (r == 0 && count > first && !node->told)
        r = ask_by_way(view, cluster, node, ways + first, count - first, timeout_ms / 2);
    free(ways);
    if (node->told)
        node->status.shards = 0;
    else
        snprintf(node->why, sizeof node->why,
                 "it is joining, and no member that answers is linked to it");
    return r;
}

static int ask_all_joining(struct view *view, struct cluster *cluster, uint32_t timeout_ms)
{
    int r = 0;

    for (uint32_t i = 0; i < view->node_count && r == 0; i++)
        if (view_is_joining(view, &view->nodes[i]))
            r = ask_joining(view, cluster, i, timeout_ms);
    return r;
}

/* Dials every node of the view that is not gone for ever and asks those that are up who they are.
 */
int view_ask_nodes(struct view *view, struct cluster *cluster, uint32_t timeout_ms)
{
    struct cluster_request *requests = calloc(view->node_count, sizeof *requests);
    size_t count = 0, at = 0;

    if (!requests)
        return -ENOMEM;
    for (uint32_t i = 0; i < view->node_count; i++) {
        const uint8_t *key = view->founded ? view->map.members[i].public_key : NULL;
        int node;

        if (view_is_removed(view, &view->nodes[i]) || view_is_joining(view, &view->nodes[i]))
            continue;
        node = cluster_dial(cluster, view->nodes[i].address, key);
        if (node < 0) {
            free(requests);
            return node;
        }
        requests[count++] = (struct cluster_request){
            .node = node, .type = WIRE_NODE_STATUS, .partition = WIRE_PARTITION_NODE};
    }
    cluster_wait(cluster, timeout_ms);
    cluster_ask(cluster, requests, count, timeout_ms);
    for (uint32_t i = 0; i < view->node_count; i++) {
        if (view_is_removed(view, &view->nodes[i])) {
            snprintf(view->nodes[i].why, sizeof view->nodes[i].why, "it was removed");
            continue;
        }
        if (view_is_joining(view, &view->nodes[i]))
            continue;
        take_status(view, &view->nodes[i], cluster, &requests[at]);
        cluster_request_deinit(&requests[at++]);
    }
    free(requests);
    return ask_all_joining(view, cluster, timeout_ms);
}

static void take_map(struct view *view, const struct cluster_request *request)
{
    struct wire_cursor cursor;
    struct ringmap map;
    const uint8_t *blob;
    size_t size;

    wire_cursor_init(&cursor, request->reply, request->reply_size);
    if (!request->answered || wire_get_nil(&cursor))
        return;
    blob = wire_get_bin(&cursor, request->reply_size, &size);
    if (cursor.failed || ringmap_decode(blob, size, &map) != 0)
        return;
    if (view->founded && map.epoch <= view->map.epoch) {
        ringmap_deinit(&map);
        return;
    }
    if (view->founded)
        ringmap_deinit(&view->map);
    view->map = map;
    view->founded = true;
}

/* The newest map that any of the nodes holds which answer. */
static int ask_map(struct view *view, struct cluster *cluster, uint32_t timeout_ms)
{
    struct cluster_request *requests = calloc(view->node_count, sizeof *requests);
    size_t count = 0;

    if (!requests)
        return -ENOMEM;
    for (uint32_t i = 0; i < view->node_count; i++)
        if (view->nodes[i].reachable && !view->nodes[i].told)
            requests[count++] = (struct cluster_request){
                .node = cluster_dial(cluster, view->nodes[i].address, NULL),
                .type = WIRE_MAP_GET,
                .partition = WIRE_PARTITION_NODE};
    cluster_ask(cluster, requests, count, timeout_ms);
    for (size_t i = 0; i < count; i++) {
        take_map(view, &requests[i]);
        cluster_request_deinit(&requests[i]);
    }
    free(requests);
    return 0;
}

/* What a seed has heard of the members: also where they are, if that is not where the map says. */
static int ask_liveness(struct view *view, struct cluster *cluster,
                        const struct address_list *seeds, uint32_t timeout_ms)
{
    bool answered = false;

    for (size_t i = 0; i < seeds->count && !answered; i++) {
        int node = cluster_dial(cluster, seeds->items[i], NULL);
        struct cluster_request request = {
            .node = node, .type = WIRE_LIVENESS_GET, .partition = WIRE_PARTITION_NODE};
        struct wire_liveness heard;
        struct wire_cursor cursor;

        if (node < 0)
            return node;
        if (!cluster_is_up(cluster, node))
            continue;
        cluster_ask(cluster, &request, 1, timeout_ms);
        wire_cursor_init(&cursor, request.reply, request.answered ? request.reply_size : 0);
        while (!wire_cursor_done(&cursor) && wire_get_liveness(&cursor, &heard)) {
            answered = true;
            for (uint32_t j = 0; j < view->node_count; j++) {
                if (view->nodes[j].id != heard.member)
                    continue;
                view->nodes[j].liveness = heard;
                if (heard.address[0] != '\0')
                    memcpy(view->nodes[j].address, heard.address, sizeof heard.address);
            }
        }
        cluster_request_deinit(&request);
    }
    return 0;
}

static int take_partitions(void *context, const struct view_node *node, const uint8_t *reply,
                           size_t size)
{
    struct wire_partition_status status;
    struct wire_cursor cursor;

    wire_cursor_init(&cursor, reply, size);
    while (!wire_cursor_done(&cursor) && wire_get_partition_status(&cursor, &status))
        view_take(context, node->id, &status);
    return 0;
}

static int ask_shards(struct view *view, struct cluster *cluster, uint32_t timeout_ms)
{
    struct shards_question question = {
        .type = WIRE_SHARD_STATUS, .context = view, .take = take_partitions};

    return shards_ask(view, cluster, &question, timeout_ms);
}

/* A seed may be behind, or not know yet that it was removed: then the members of its map know of a
 * newer one. */
static bool knows_newer(const struct view *view)
{
    for (uint32_t i = 0; i < view->node_count; i++)
        if (view->nodes[i].reachable && !view->nodes[i].told &&
            view->nodes[i].status.epoch > view->map.epoch)
            return true;
    return false;
}

/* The members of the newest map, how they are. 0 or -errno. */
static int ask_members(struct view *view, struct cluster *cluster, const struct address_list *seeds,
                       uint32_t timeout_ms)
{
    uint64_t epoch;
    int r;

    for (unsigned i = 0; i < MAPS_MAX; i++) {
        epoch = view->map.epoch;
        r = view_name_members(view);
        if (r == 0)
            r = ask_liveness(view, cluster, seeds, timeout_ms);
        if (r == 0)
            r = view_ask_nodes(view, cluster, timeout_ms);
        if (r != 0 || !knows_newer(view))
            return r;
        r = ask_map(view, cluster, timeout_ms);
        if (r != 0 || view->map.epoch == epoch)
            return r;
    }
    r = view_name_members(view);
    return r == 0 ? view_ask_nodes(view, cluster, timeout_ms) : r;
}

int view_gather(struct view *view, struct cluster *cluster, const struct address_list *seeds,
                uint32_t timeout_ms)
{
    bool reachable = false;
    int r;

    *view = (struct view){0};
    r = name_seeds(view, seeds);
    if (r == 0)
        r = view_ask_nodes(view, cluster, timeout_ms);
    for (uint32_t i = 0; r == 0 && i < view->node_count; i++)
        reachable |= view->nodes[i].reachable;
    if (r == 0 && !reachable)
        return VIEW_E_UNREACHABLE;
    if (r == 0)
        r = ask_map(view, cluster, timeout_ms);
    if (r != 0 || !view->founded)
        return r;
    r = ask_members(view, cluster, seeds, timeout_ms);
    if (r == 0)
        r = ask_shards(view, cluster, timeout_ms);
    return r;
}

int view_refresh(struct view *view, struct cluster *cluster, uint32_t timeout_ms)
{
    struct address_list members = {.count = 0};
    struct view now;
    int r;

    for (uint32_t i = 0; i < view->node_count && members.count < ADDRESS_LIST_MAX; i++)
        if (view->nodes[i].reachable && !view->nodes[i].told)
            memcpy(members.items[members.count++], view->nodes[i].address, ADDRESS_SIZE);
    for (uint32_t i = 0; i < view->node_count && members.count < ADDRESS_LIST_MAX; i++)
        if (!view->nodes[i].reachable && !view_is_removed(view, &view->nodes[i]) &&
            !view_is_joining(view, &view->nodes[i]))
            memcpy(members.items[members.count++], view->nodes[i].address, ADDRESS_SIZE);
    r = view_gather(&now, cluster, &members, timeout_ms);
    if (r == 0 && !now.founded)
        r = VIEW_E_UNREACHABLE;
    if (r != 0) {
        view_deinit(&now);
        return r;
    }
    view_deinit(view);
    *view = now;
    return 0;
}
