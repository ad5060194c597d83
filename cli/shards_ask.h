/* Shards ask: one question to every shard of every node of a view that is there. */
#ifndef CLI_SHARDS_ASK_H
#define CLI_SHARDS_ASK_H

#include "cli/cluster.h"
#include "cli/view.h"
#include "ring/wire.h"

struct shards_question {
    uint8_t type;                   /* enum wire_type */
    const struct wire_buffer *body; /* borrowed; NULL: none */
    void *context;
    /* Takes what a shard of the node has answered, if it has. 0 or -errno: it is given no more. */
    int (*take)(void *context, const struct view_node *node, const uint8_t *reply, size_t size);
};

/* 0 or -errno. */
int shards_ask(const struct view *view, struct cluster *cluster,
               const struct shards_question *question, uint32_t timeout_ms);

#endif
