#include "cli/ticket_peers.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const struct output_column field_count = {"old_peers", "connected by the old secret",
                                                 OUTPUT_NUMBER};
static const struct output_column field_complete = {"old_peers_complete", "", OUTPUT_BOOL};
static const struct output_column columns[] = {
    {"role", "ROLE", OUTPUT_TEXT},
    {"address", "ADDRESS", OUTPUT_TEXT},
    {"ticket", "TICKET", OUTPUT_NUMBER},
    {"node", "OF NODE", OUTPUT_NUMBER},
};
#define COLUMN_COUNT (sizeof columns / sizeof *columns)

void ticket_peers_deinit(struct ticket_peers *peers)
{
    free(peers->items);
    *peers = (struct ticket_peers){0};
}

static bool is_known(const struct ticket_peers *peers, const struct wire_peer *peer)
{
    for (uint32_t i = 0; i < peers->count; i++)
        if (memcmp(peers->items[i].peer.public_key, peer->public_key, sizeof peer->public_key) == 0)
            return true;
    return false;
}

/* 0 or -ENOMEM. */
static int add(struct ticket_peers *peers, const struct wire_peer *peer, uint16_t node)
{
    struct ticket_peer *items;

    if (is_known(peers, peer))
        return 0;
    items = realloc(peers->items, (peers->count + 1u) * sizeof *items);
    if (!items)
        return -ENOMEM;
    peers->items = items;
    peers->items[peers->count++] = (struct ticket_peer){*peer, node};
    return 0;
}

/* 0 or -ENOMEM. */
static int take(struct ticket_peers *peers, const struct view_node *node,
                const struct cluster_request *request)
{
    struct wire_cursor cursor;
    struct wire_peer peer;
    uint32_t count = 0, told = 0;
    int r = 0;

    wire_cursor_init(&cursor, request->reply, request->answered ? request->reply_size : 0);
    if (!wire_get_peers_head(&cursor, &count)) {
        peers->silent = node;
        return 0;
    }
    while (r == 0 && !wire_cursor_done(&cursor) && wire_get_peer(&cursor, &peer)) {
        r = add(peers, &peer, node->id);
        told++;
    }
    if (cursor.failed)
        peers->silent = node;
    peers->untold += count > told ? count - told : 0;
    return r;
}

static bool is_asked(const struct view *view, uint32_t i)
{
    return ringmap_takes_part(view->map.members[i].state) && view->nodes[i].reachable;
}

int ticket_peers_ask(struct ticket_peers *peers, struct admin *admin, uint32_t generation)
{
    const struct view *view = &admin->view;
    struct cluster_request *requests = calloc(view->node_count + 1u, sizeof *requests);
    struct wire_buffer body = {0};
    size_t count = 0;
    int r = 0;

    *peers = (struct ticket_peers){0};
    wire_put_peers_get(&body, generation);
    if (!requests || body.failed)
        r = -ENOMEM;
    for (uint32_t i = 0; r == 0 && i < view->node_count; i++)
        if (is_asked(view, i))
            requests[count++] = (struct cluster_request){
                .node = cluster_dial(admin->cluster, view->nodes[i].address, NULL),
                .type = WIRE_PEERS_GET,
                .partition = WIRE_PARTITION_NODE,
                .body = body.data,
                .body_size = body.size};
    if (r == 0)
        cluster_ask(admin->cluster, requests, count, CLUSTER_TIMEOUT_MS);
    count = 0;
    for (uint32_t i = 0; requests && i < view->node_count; i++) {
        if (!is_asked(view, i)) {
            if (ringmap_takes_part(view->map.members[i].state))
                peers->silent = &view->nodes[i];
            continue;
        }
        if (r == 0)
            r = take(peers, &view->nodes[i], &requests[count]);
        cluster_request_deinit(&requests[count++]);
    }
    wire_buffer_deinit(&body);
    free(requests);
    return r;
}

const char *ticket_peer_role(const struct ticket_peer *peer)
{
    return ticket_role_name(peer->peer.role <= LINK_ROLE_ADMIN ? peer->peer.role : 0);
}

void ticket_peers_put(struct output *output, const struct ticket_peers *peers)
{
    output_field(output, &field_count, (struct output_value){.number = peers->count});
    output_field(output, &field_complete,
                 (struct output_value){.number = !peers->silent && peers->untold == 0});
    output_table(output, "old_peer_list", columns, COLUMN_COUNT);
    for (uint32_t i = 0; i < peers->count; i++) {
        const struct ticket_peer *item = &peers->items[i];

        output_row(output, (const struct output_value[COLUMN_COUNT]){
                               {.text = ticket_peer_role(item)},
                               {.text = item->peer.address},
                               {.number = item->peer.ticket, .absent = item->peer.ticket == 0},
                               {.number = item->node}});
    }
}
