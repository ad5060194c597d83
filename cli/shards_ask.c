#include "cli/shards_ask.h"

#include <errno.h>
#include <stdlib.h>

static uint16_t shards_of(const struct view_node *node)
{
    return node->reachable ? node->status.shards : 0;
}

/* Partition number i reaches shard i. */
static void put(const struct view *view, struct cluster *cluster,
                const struct shards_question *question, struct cluster_request *requests)
{
    for (uint32_t i = 0; i < view->node_count; i++)
        for (uint16_t shard = 0; shard < shards_of(&view->nodes[i]); shard++)
            *requests++ = (struct cluster_request){
                .node = cluster_dial(cluster, view->nodes[i].address, NULL),
                .type = question->type,
                .partition = shard,
                .body = question->body ? question->body->data : NULL,
                .body_size = question->body ? question->body->size : 0};
}

static int take(const struct view *view, const struct shards_question *question,
                struct cluster_request *requests)
{
    int r = 0;

    for (uint32_t i = 0; i < view->node_count; i++)
        for (uint16_t shard = 0; shard < shards_of(&view->nodes[i]); shard++, requests++) {
            if (r == 0 && requests->answered)
                r = question->take(question->context, &view->nodes[i], requests->reply,
                                   requests->reply_size);
            cluster_request_deinit(requests);
        }
    return r;
}

int shards_ask(const struct view *view, struct cluster *cluster,
               const struct shards_question *question, uint32_t timeout_ms)
{
    struct cluster_request *requests;
    size_t count = 0;
    int r;

    for (uint32_t i = 0; i < view->node_count; i++)
        count += shards_of(&view->nodes[i]);
    requests = calloc(count + 1, sizeof *requests);
    if (!requests)
        return -ENOMEM;
    put(view, cluster, question, requests);
    cluster_ask(cluster, requests, count, timeout_ms);
    r = take(view, question, requests);
    free(requests);
    return r;
}
