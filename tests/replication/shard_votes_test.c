#include "shard_scene.h"

#include "replication/raft.h"

#include <criterion/criterion.h>

#include <string.h>

/* Who votes while a group moves, as each of its nodes knows it. */

/* Whether the newest configuration at the node has the other one among its voters. */
static bool votes(const struct scene *scene, int node, int other)
{
    const struct raft *raft = shard_raft(scene->cluster.shards[node], scene->p);

    for (uint32_t i = 0; raft && i < raft->config.voter_count; i++)
        if (raft->config.voters[i].member == other + 1)
            return true;
    return false;
}

static bool learns(const struct scene *scene, int node)
{
    const struct raft *raft = shard_raft(scene->cluster.shards[node], scene->p);

    return raft && raft->config.learner_count > 0;
}

/* Who comes has a vote, by a configuration that it has not seen: it takes itself for a learner. The
 * leader is gone, and without that vote nobody could follow it (etcd 10998). */
Test(shard_votes, who_was_promoted_without_knowing_gives_its_vote, .timeout = 120)
{
    struct scene scene;
    const struct raft *raft;
    int comes, leader, other;

    scene_begin(&scene, 3);
    comes = cluster_map_join(&scene.cluster, true);
    leader = cluster_leader(&scene.cluster, scene.p);
    other = (leader + 1) % 3;
    scene_want(&scene, (int[]){leader, other, comes}, 3);
    for (int i = 0; i < 5000 && !learns(&scene, comes); i++)
        cluster_run(&scene.cluster, 1);
    scene.cluster.cut[comes] = true;
    raft = shard_raft(scene.cluster.shards[other], scene.p);
    for (int i = 0; i < 500 && raft->config.learner_count > 0; i++)
        cluster_run(&scene.cluster, 10);
    writer_run(&scene.writer, 200);
    cr_assert(votes(&scene, other, comes) && raft->config.voter_old_count == 0);
    cr_assert(learns(&scene, comes) && !votes(&scene, comes, comes), "it knows nothing of it");
    cluster_kill(&scene.cluster, leader);
    scene.cluster.cut[comes] = false;
    writer_await(&scene.writer, 20);
    cr_assert_eq(cluster_leader(&scene.cluster, scene.p), other);
    cluster_restart(&scene.cluster, leader);
    scene_await_moved(&scene);
    scene_end(&scene);
}

/* It leads, for all that it knows, and is alone with its plan (redisraft 17). */
Test(shard_votes, a_leader_that_is_cut_off_changes_nothing_of_its_group, .timeout = 120)
{
    struct scene scene;
    const struct raft *raft;
    uint64_t commit;
    int comes, leader, other, third;

    scene_begin(&scene, 3);
    comes = cluster_map_join(&scene.cluster, true);
    leader = cluster_leader(&scene.cluster, scene.p);
    other = (leader + 1) % 3;
    third = (leader + 2) % 3;
    scene.cluster.cut[leader] = true;
    scene.cluster.deaf[other] = scene.cluster.deaf[third] = scene.cluster.deaf[comes] = true;
    raft = shard_raft(scene.cluster.shards[leader], scene.p);
    commit = raft->commit;
    scene_want(&scene, (int[]){leader, comes}, 2);
    cluster_run(&scene.cluster, 400);
    cr_assert(raft->config.index > commit && raft->config.learner_count == 1, "it tries");
    writer_run(&scene.writer, 3000);
    cr_assert_eq(raft->commit, commit);
    cr_assert_neq(raft->role, RAFT_LEADER);
    cr_assert_null(shard_raft(scene.cluster.shards[comes], scene.p));
    for (int node = 0; node < CLUSTER_NODES; node++)
        cr_assert(votes(&scene, third, node), "the others have their group as it was");
    scene.cluster.cut[leader] = false;
    memset(scene.cluster.deaf, 0, sizeof scene.cluster.deaf);
    for (int node = 0; node < scene.cluster.nodes; node++)
        cluster_map_tell_node(&scene.cluster, node);
    scene_await_moved(&scene);
    cr_assert_null(shard_raft(scene.cluster.shards[other], scene.p));
    scene_end(&scene);
}
