#include "shard_scene.h"

#include <criterion/criterion.h>

#include <stdio.h>
#include <string.h>

#define VALUE_SIZE_MAX 16000u

void scene_begin(struct scene *scene, uint32_t replicas)
{
    cluster_start_replicas(&scene->cluster, replicas, NULL);
    cluster_await_leaders(&scene->cluster);
    writer_init(&scene->writer, &scene->cluster);
    scene->p = scene->writer.partition;
    writer_await(&scene->writer, 40);
}

void scene_name_nodes(struct scene *scene)
{
    scene->leader = cluster_leader(&scene->cluster, scene->p);
    scene->other = (scene->leader + 1) % 3;
    scene->goes = (scene->leader + 2) % 3;
}

void scene_begin_joined(struct scene *scene)
{
    cluster_start(&scene->cluster);
    cluster_await_leaders(&scene->cluster);
    writer_init(&scene->writer, &scene->cluster);
    scene->p = scene->writer.partition;
    scene->comes = cluster_map_join(&scene->cluster, true);
    writer_await(&scene->writer, 40);
    scene_name_nodes(scene);
}

void scene_end(struct scene *scene)
{
    writer_check(&scene->writer);
    cluster_stop(&scene->cluster);
}

void scene_want(struct scene *scene, const int *nodes, uint32_t count)
{
    cluster_map_want(&scene->cluster, scene->p, nodes, count);
    cluster_map_tell(&scene->cluster);
}

void scene_await_moved(struct scene *scene)
{
    cr_assert(writer_await_moved(&scene->writer, SCENE_MOVE_MS), "in time");
    writer_await(&scene->writer, 20);
}

void scene_fill(struct scene *scene, unsigned count, size_t value_size)
{
    static char value[VALUE_SIZE_MAX + 1];
    char key[16];

    cr_assert_leq(value_size, VALUE_SIZE_MAX);
    memset(value, 'x', value_size);
    value[value_size] = '\0';
    for (unsigned i = 0; i < count; i++) {
        snprintf(key, sizeof key, "fill-%u", i);
        if (cluster_partition(&scene->cluster, key) == scene->p) {
            scene->cluster.epochs[scene->p]++;
            cluster_set(&scene->cluster, key, value);
        }
        scene->cluster.result_count = 0;
    }
}

const struct raft *scene_raft(const struct scene *scene, int node)
{
    return scene->cluster.shards[node] ? shard_raft(scene->cluster.shards[node], scene->p) : NULL;
}
