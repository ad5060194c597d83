#include "cli/top_ask.h"

#include "cli/shards_ask.h"

#include <errno.h>
#include <stdlib.h>

struct top_member *top_members_of(const struct view *view)
{
    struct top_member *members = calloc(view->node_count + 1, sizeof *members);

    for (uint32_t i = 0; members && i < view->node_count; i++)
        members[i].id = view->nodes[i].id;
    return members;
}

struct asking {
    struct top_view *top;
    const struct view *view;
};

static int take(void *context, const struct view_node *node, const uint8_t *reply, size_t size)
{
    const struct asking *asking = context;
    int r = 0;

    if (asking->top)
        r = top_view_take(asking->top, (size_t)(node - asking->view->nodes), reply, size);
    return r < 0 ? r : 0; /* what does not decode is no answer */
}

int top_ask(struct top_view *top, struct cluster *cluster, const struct view *view,
            uint32_t sample_ms)
{
    struct asking asking = {.top = top, .view = view};
    struct wire_buffer body = {0};
    struct shards_question question = {
        .type = WIRE_TOP, .body = &body, .context = &asking, .take = take};
    int r = -ENOMEM;

    wire_put_top(&body, sample_ms);
    if (!body.failed)
        r = shards_ask(view, cluster, &question, CLUSTER_TIMEOUT_MS);
    wire_buffer_deinit(&body);
    return r;
}
