#include "cli/top_ask.h"

#include <errno.h>
#include <stdlib.h>

struct top_member *top_members_of(const struct view *view)
{
    struct top_member *members = calloc(view->node_count + 1, sizeof *members);

    for (uint32_t i = 0; members && i < view->node_count; i++)
        members[i].id = view->nodes[i].id;
    return members;
}

static uint16_t shards_of(const struct view_node *node)
{
    return node->reachable ? node->status.shards : 0;
}

/* What was answered, in the order of the questions. Answers that do not decode are none. */
static int take(struct top_view *top, const struct view *view, struct cluster_request *requests)
{
    int r = 0;

    for (uint32_t i = 0; i < view->node_count; i++)
        for (uint16_t shard = 0; shard < shards_of(&view->nodes[i]); shard++, requests++) {
            if (top && requests->answered && r >= 0)
                r = top_view_take(top, i, requests->reply, requests->reply_size);
            cluster_request_deinit(requests);
        }
    return r < 0 ? r : 0;
}

int top_ask(struct top_view *top, struct cluster *cluster, const struct view *view,
            uint32_t sample_ms)
{
    struct cluster_request *requests;
    struct wire_buffer body = {0};
    size_t count = 0;
    int r;

    for (uint32_t i = 0; i < view->node_count; i++)
        count += shards_of(&view->nodes[i]);
    requests = calloc(count + 1, sizeof *requests);
    wire_put_top(&body, sample_ms);
    if (!requests || body.failed) {
        free(requests);
        wire_buffer_deinit(&body);
        return -ENOMEM;
    }
    count = 0;
    for (uint32_t i = 0; i < view->node_count; i++)
        for (uint16_t shard = 0; shard < shards_of(&view->nodes[i]); shard++)
            requests[count++] = (struct cluster_request){
                .node = cluster_dial(cluster, view->nodes[i].address, NULL),
                .type = WIRE_TOP,
                .partition = shard,
                .body = body.data,
                .body_size = body.size};
    cluster_ask(cluster, requests, count, CLUSTER_TIMEOUT_MS);
    r = take(top, view, requests);
    free(requests);
    wire_buffer_deinit(&body);
    return r;
}
