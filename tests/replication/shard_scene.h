/* Shard scene: a cluster in which one group moves while a client writes to it. All functions assert
 * what they expect. */
#ifndef TESTS_REPLICATION_SHARD_SCENE_H
#define TESTS_REPLICATION_SHARD_SCENE_H

#include "shard_writer.h"

#define SCENE_MOVE_MS 20000u

struct scene {
    struct cluster cluster;
    struct writer writer;
    uint16_t p; /* that is written to, and moves */
    /* The three that have it, of which the first leads, as scene_name_nodes() found them; and of
     * scene_begin_joined() who joined. */
    int leader, other, goes, comes;
};

void scene_begin(struct scene *scene, uint32_t replicas);
/* Three replicas on three nodes, and a node that has joined. */
void scene_begin_joined(struct scene *scene);
/* The leader may be another than before. */
void scene_name_nodes(struct scene *scene);
void scene_end(struct scene *scene);
/* Tells all nodes that the group is wanted there. */
void scene_want(struct scene *scene, const int *nodes, uint32_t count);
/* It comes there in time, and is written to. */
void scene_await_moved(struct scene *scene);
/* Writes those of `count` other keys that are of this partition: so many more bytes
 * are there, whatever else was written. */
void scene_fill(struct scene *scene, unsigned count, size_t value_size);
/* NULL: the node does not run, or has nothing of the group. */
const struct raft *scene_raft(const struct scene *scene, int node);

#endif
