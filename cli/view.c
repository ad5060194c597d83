#include "cli/view.h"

#include "replication/raft.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

/* Dials every node of the view and asks those that are up who they are. */
int view_ask_nodes(struct view *view, struct cluster *cluster, uint32_t timeout_ms)
{
    struct cluster_request *requests = calloc(view->node_count, sizeof *requests);

    if (!requests)
        return -ENOMEM;
    for (uint32_t i = 0; i < view->node_count; i++) {
        const uint8_t *key = view->founded ? view->map.members[i].public_key : NULL;
        int node = cluster_dial(cluster, view->nodes[i].address, key);

        if (node < 0) {
            free(requests);
            return node;
        }
        requests[i] = (struct cluster_request){
            .node = node, .type = WIRE_NODE_STATUS, .partition = WIRE_PARTITION_NODE};
    }
    cluster_wait(cluster, timeout_ms);
    cluster_ask(cluster, requests, view->node_count, timeout_ms);
    for (uint32_t i = 0; i < view->node_count; i++) {
        struct view_node *node = &view->nodes[i];
        struct wire_cursor cursor;

        wire_cursor_init(&cursor, requests[i].reply, requests[i].reply_size);
        node->reachable = requests[i].answered && wire_get_node_status(&cursor, &node->status);
        if (!cluster_is_up(cluster, requests[i].node))
            cluster_why(cluster, requests[i].node, node->why, sizeof node->why);
        else if (!node->reachable)
            snprintf(node->why, sizeof node->why, "no answer in time");
        if (node->reachable && view->founded &&
            memcmp(node->status.public_key, view->map.members[i].public_key, RINGMAP_KEY_SIZE) !=
                0) {
            node->reachable = false;
            snprintf(node->why, sizeof node->why, "another node answers at this address");
        }
        cluster_request_deinit(&requests[i]);
    }
    free(requests);
    return 0;
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

/* The newest map any seed holds. */
static int ask_map(struct view *view, struct cluster *cluster, uint32_t timeout_ms)
{
    struct cluster_request *requests = calloc(view->node_count, sizeof *requests);

    if (!requests)
        return -ENOMEM;
    for (uint32_t i = 0; i < view->node_count; i++)
        requests[i] =
            (struct cluster_request){.node = cluster_dial(cluster, view->nodes[i].address, NULL),
                                     .type = WIRE_MAP_GET,
                                     .partition = WIRE_PARTITION_NODE};
    cluster_ask(cluster, requests, view->node_count, timeout_ms);
    for (uint32_t i = 0; i < view->node_count; i++) {
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

/* From the seeds to the map's members. */
static int name_members(struct view *view)
{
    uint32_t count = view->map.member_count;
    size_t places = (size_t)view->map.partition_count * view->map.replica_count;

    free(view->nodes);
    view->nodes = calloc(count, sizeof *view->nodes);
    view->replicas = calloc(places, sizeof *view->replicas);
    view->node_count = 0;
    if (!view->nodes || !view->replicas)
        return -ENOMEM;
    view->node_count = count;
    for (uint32_t i = 0; i < count; i++) {
        view->nodes[i].id = view->map.members[i].id;
        memcpy(view->nodes[i].address, view->map.members[i].address, sizeof view->nodes[i].address);
    }
    return 0;
}

static void take_meta(struct view *view, uint16_t member,
                      const struct wire_partition_status *status)
{
    for (uint32_t i = 0; i < view->map.meta_voter_count; i++)
        if (view->map.meta_voters[i] == member)
            view->meta[i] = (struct view_replica){.known = true, .status = *status};
}

static void take_partitions(struct view *view, uint16_t member,
                            const struct cluster_request *request)
{
    struct wire_cursor cursor;
    struct wire_partition_status status;

    if (!request->answered)
        return;
    wire_cursor_init(&cursor, request->reply, request->reply_size);
    while (!wire_cursor_done(&cursor) && wire_get_partition_status(&cursor, &status)) {
        const uint16_t *row;

        if (status.partition == WIRE_PARTITION_META)
            take_meta(view, member, &status);
        if (status.partition >= view->map.partition_count)
            continue;
        row = ringmap_row(&view->map, status.partition);
        for (uint32_t place = 0; place < view->map.replica_count; place++) {
            size_t at = (size_t)status.partition * view->map.replica_count + place;

            if (row[place] == member)
                view->replicas[at] = (struct view_replica){.known = true, .status = status};
        }
    }
}

/* Every shard of every node that is there: partition number i reaches shard i. */
static int ask_shards(struct view *view, struct cluster *cluster, uint32_t timeout_ms)
{
    struct cluster_request *requests;
    uint16_t *members;
    size_t count = 0, at = 0;

    for (uint32_t i = 0; i < view->node_count; i++)
        count += view->nodes[i].reachable ? view->nodes[i].status.shards : 0;
    requests = calloc(count + 1, sizeof *requests);
    members = calloc(count + 1, sizeof *members);
    if (!requests || !members) {
        free(requests);
        free(members);
        return -ENOMEM;
    }
    for (uint32_t i = 0; i < view->node_count; i++) {
        const struct view_node *node = &view->nodes[i];

        for (uint16_t shard = 0; node->reachable && shard < node->status.shards; shard++) {
            members[at] = node->id;
            requests[at++] =
                (struct cluster_request){.node = cluster_dial(cluster, node->address, NULL),
                                         .type = WIRE_SHARD_STATUS,
                                         .partition = shard};
        }
    }
    cluster_ask(cluster, requests, at, timeout_ms);
    for (size_t i = 0; i < at; i++) {
        take_partitions(view, members[i], &requests[i]);
        cluster_request_deinit(&requests[i]);
    }
    free(requests);
    free(members);
    return 0;
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
    r = name_members(view);
    if (r == 0)
        r = ask_liveness(view, cluster, seeds, timeout_ms);
    if (r == 0)
        r = view_ask_nodes(view, cluster, timeout_ms);
    if (r == 0)
        r = ask_shards(view, cluster, timeout_ms);
    return r;
}

void view_deinit(struct view *view)
{
    if (view->founded)
        ringmap_deinit(&view->map);
    free(view->nodes);
    free(view->replicas);
    *view = (struct view){0};
}

const struct view_replica *view_row(const struct view *view, uint16_t partition)
{
    return &view->replicas[(size_t)partition * view->map.replica_count];
}

const struct view_node *view_node(const struct view *view, uint16_t id)
{
    for (uint32_t i = 0; i < view->node_count; i++)
        if (view->nodes[i].id == id)
            return &view->nodes[i];
    return NULL;
}

int view_leader(const struct view *view, uint16_t partition)
{
    const struct view_replica *row = view_row(view, partition);
    int leader = -1;

    for (uint32_t place = 0; place < view->map.replica_count; place++)
        if (row[place].known && row[place].status.role == RAFT_LEADER &&
            (leader < 0 || row[place].status.term > row[leader].status.term))
            leader = (int)place;
    return leader;
}

uint16_t view_meta_leader(const struct view *view)
{
    uint16_t leader = 0;
    uint32_t term = 0;

    for (uint32_t i = 0; view->founded && i < view->map.meta_voter_count; i++) {
        const struct view_replica *replica = &view->meta[i];

        if (!replica->known || replica->status.role != RAFT_LEADER || replica->status.term <= term)
            continue;
        leader = view->map.meta_voters[i];
        term = replica->status.term;
    }
    return leader;
}

uint64_t view_lag(const struct view *view, uint16_t partition, uint32_t place)
{
    const struct view_replica *row = view_row(view, partition);
    int leader = view_leader(view, partition);

    if (leader < 0 || !row[place].known || row[leader].status.commit <= row[place].status.last)
        return 0;
    return row[leader].status.commit - row[place].status.last;
}
