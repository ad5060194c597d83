#include "shard_cluster_internal.h"
#include "shard_scene.h"

#include "replication/raft.h"
#include "replication/shard_internal.h"

#include <criterion/criterion.h>

#include <stdlib.h>
#include <string.h>

/* How lives of replicas begin and end: never twice, and never before it is proven. */

/* `comes` instead of `goes`. */
static void tell_plan(struct scene *scene)
{
    scene_want(scene, (int[]){scene->leader, scene->other, scene->comes}, 3);
}

static void tell_back(struct scene *scene)
{
    scene_want(scene, (int[]){scene->leader, scene->other, scene->goes}, 3);
}

static void send_raft(struct scene *scene, int from, int to, uint8_t kind, uint64_t to_life)
{
    struct wire_buffer body = {0};
    const struct raft *raft = scene_raft(scene, from);

    wire_put_raft(&body, &(struct wire_raft){.kind = kind,
                                             .group = scene->p,
                                             .from_member = (uint16_t)(from + 1),
                                             .from_life = raft ? raft->options.self.life : 1,
                                             .to_member = (uint16_t)(to + 1),
                                             .to_life = to_life,
                                             .term = raft ? raft->term : 1,
                                             .index = 1,
                                             .log_term = 1});
    cluster_inject(&scene->cluster, from, to, WIRE_RAFT, scene->p, &body);
    wire_buffer_deinit(&body);
}

/* --- the beginning ------------------------------------------------------------------------- */

Test(shard_lives, only_an_append_to_a_life_that_was_never_here_begins_one, .timeout = 120)
{
    struct scene scene;
    uint64_t life;

    scene_begin_joined(&scene);
    send_raft(&scene, scene.leader, scene.comes, RAFT_VOTE, 5);
    send_raft(&scene, scene.leader, scene.comes, RAFT_APPEND, 0);
    cluster_run(&scene.cluster, 200);
    cr_assert_null(scene_raft(&scene, scene.comes));
    tell_plan(&scene);
    scene_await_moved(&scene);
    life = scene_raft(&scene, scene.comes)->options.self.life;
    tell_back(&scene);
    scene_await_moved(&scene);
    cr_assert_null(scene_raft(&scene, scene.comes));
    for (int restarts = 0; restarts < 2; restarts++) {
        for (uint64_t late = 1; late <= life; late++) {
            send_raft(&scene, scene.leader, scene.comes, RAFT_APPEND, late);
            cluster_run(&scene.cluster, 10);
            cr_assert_null(scene_raft(&scene, scene.comes), "what is over is not there again");
        }
        cluster_kill(&scene.cluster, scene.comes);
        cluster_restart(&scene.cluster, scene.comes);
    }
    tell_plan(&scene);
    scene_await_moved(&scene);
    cr_assert_gt(scene_raft(&scene, scene.comes)->options.self.life, life);
    scene_end(&scene);
}

/* Its entry never came to be; it knows no group, disturbs none, and goes. */
Test(shard_lives, a_life_that_no_log_has_ends, .timeout = 120)
{
    struct scene scene;
    uint64_t last;

    scene_begin_joined(&scene);
    writer_run(&scene.writer, 500);
    writer_check(&scene.writer);
    last = scene_raft(&scene, scene.leader)->log.last;
    for (uint64_t ahead = 0; ahead < 200; ahead += 99) {
        last = scene_raft(&scene, cluster_leader(&scene.cluster, scene.p))->log.last;
        send_raft(&scene, scene.leader, scene.comes, RAFT_APPEND, last + ahead);
        cluster_run(&scene.cluster, 100);
        cr_assert(scene_raft(&scene, scene.comes));
        cr_assert_eq(scene_raft(&scene, scene.comes)->config.index, 0);
        cluster_run(&scene.cluster, 8000);
        cr_assert_null(scene_raft(&scene, scene.comes), "%llu ahead", (unsigned long long)ahead);
    }
    tell_plan(&scene); /* another one can begin */
    scene_await_moved(&scene);
    scene_end(&scene);
}

/* A leader that did not last had begun one further on in its log. The next leader wants the same
 * member, from an entry that comes before: the plan ends all the same. */
Test(shard_lives, a_life_that_no_log_has_stands_in_nobody_s_way, .timeout = 120)
{
    struct scene scene;
    uint64_t lost;

    scene_begin_joined(&scene);
    lost = scene_raft(&scene, scene.leader)->log.last + 50;
    send_raft(&scene, scene.leader, scene.comes, RAFT_APPEND, lost);
    cluster_run(&scene.cluster, 100);
    cr_assert_eq(scene_raft(&scene, scene.comes)->options.self.life, lost);
    tell_plan(&scene);
    scene_await_moved(&scene);
    cr_assert_gt(scene_raft(&scene, scene.comes)->options.self.life, lost);
    scene_end(&scene);
}

Test(shard_lives, a_node_that_does_not_take_part_takes_on_nothing, .timeout = 120)
{
    static const uint8_t states[] = {RINGMAP_STATE_JOINING, RINGMAP_STATE_LEAVING,
                                     RINGMAP_STATE_REMOVED};
    struct scene scene;

    scene_begin_joined(&scene);
    for (size_t i = 0; i < sizeof states; i++) {
        cluster_map_state(&scene.cluster, scene.comes, states[i]);
        cluster_map_tell(&scene.cluster);
        send_raft(&scene, scene.leader, scene.comes, RAFT_APPEND, 100);
        cluster_run(&scene.cluster, 300);
        cr_assert_null(scene_raft(&scene, scene.comes));
    }
    scene_end(&scene);
}

/* --- the end ------------------------------------------------------------------------------- */

Test(shard_lives, one_that_was_away_when_it_was_removed_goes_when_it_is_back, .timeout = 120)
{
    struct scene scene;

    scene_begin_joined(&scene);
    cluster_kill(&scene.cluster, scene.goes);
    tell_plan(&scene);
    scene_await_moved(&scene);
    cluster_restart(&scene.cluster, scene.goes);
    cr_assert(scene_raft(&scene, scene.goes));
    writer_run(&scene.writer, 4000);
    cr_assert_null(scene_raft(&scene, scene.goes));
    cluster_kill(&scene.cluster, scene.goes);
    cluster_restart(&scene.cluster, scene.goes);
    cr_assert_null(scene_raft(&scene, scene.goes));
    scene_end(&scene);
}

/* Something refers to it still when a checkpoint is taken: nothing of it is damaged, and if the
 * power fails before it is given up, nothing is when it comes back. */
Test(shard_lives, one_that_is_about_to_go_is_saved_as_what_it_was, .timeout = 120)
{
    for (int damaged = 0; damaged < 2; damaged++) {
        struct raft_config config;
        struct replica *replica;
        struct scene scene;
        struct shard *shard;
        uint8_t *state;
        size_t size;
        bool fenced;

        scene_begin_joined(&scene);
        shard = scene.cluster.shards[scene.goes];
        replica = shard_replica(shard, scene.p);
        if (damaged)
            shard_fence(shard, replica, "it is damaged");
        shard_destroy(shard, scene.p, replica->raft.options.self.life);
        cr_assert(shard_fenced(shard, scene.p, NULL));
        cr_assert(shard_state_save(shard, replica, &size));
        state = malloc(size);
        memcpy(state, shard->state, size);
        cr_assert_eq(shard_state_load(shard, replica, state, size, &config, &fenced), 0);
        cr_assert_eq(fenced, damaged);
        free(state);
        cluster_kill(&scene.cluster, scene.goes);
        cluster_restart(&scene.cluster, scene.goes);
        scene_end(&scene);
    }
}

/* It was removed and is wanted again before it has heard of either. */
Test(shard_lives, a_later_life_takes_the_place_of_one_that_is_over, .timeout = 120)
{
    struct scene scene;

    scene_begin_joined(&scene);
    scene.cluster.cut[scene.goes] = true;
    tell_plan(&scene);
    writer_run(&scene.writer, 4000);
    cr_assert_eq(scene_raft(&scene, scene.goes)->options.self.life, 1);
    tell_back(&scene);
    writer_run(&scene.writer, 2000);
    cr_assert_eq(scene_raft(&scene, scene.goes)->options.self.life, 1);
    scene.cluster.cut[scene.goes] = false;
    scene_await_moved(&scene);
    cr_assert_gt(scene_raft(&scene, scene.goes)->options.self.life, 1);
    send_raft(&scene, scene.leader, scene.goes, RAFT_APPEND, 1);
    cluster_run(&scene.cluster, 500);
    cr_assert_gt(scene_raft(&scene, scene.goes)->options.self.life, 1, "not the other way round");
    scene_end(&scene);
}

/* Its group is there without it for as long as you like: it is still one of it. */
Test(shard_lives, one_that_is_cut_off_is_not_destroyed, .timeout = 120)
{
    struct scene scene;

    scene_begin_joined(&scene);
    scene.cluster.cut[scene.goes] = true;
    writer_run(&scene.writer, 5000);
    scene.cluster.cut[scene.goes] = false;
    writer_run(&scene.writer, 3000);
    cr_assert_eq(scene_raft(&scene, scene.goes)->options.self.life, 1);
    /* Also when the map does not want it, but nothing is committed yet. */
    cluster_kill(&scene.cluster, scene.comes);
    tell_plan(&scene);
    writer_run(&scene.writer, 3000);
    scene.cluster.cut[scene.goes] = true;
    writer_run(&scene.writer, 3000);
    scene.cluster.cut[scene.goes] = false;
    writer_run(&scene.writer, 3000);
    cr_assert_eq(scene_raft(&scene, scene.goes)->options.self.life, 1);
    cluster_restart(&scene.cluster, scene.comes);
    scene_await_moved(&scene);
    cr_assert_null(scene_raft(&scene, scene.goes));
    scene_end(&scene);
}

/* The leader of before, and one other, never hear of the change. The other is told by the rest, and
 * its replica begins anew in a later life: the old leader finds nobody who counts for it. */
Test(shard_lives, an_old_leader_cannot_count_on_a_replica_that_was_destroyed, .timeout = 120)
{
    struct scene scene;
    const struct raft *old;
    uint64_t commit;
    uint32_t id;

    scene_begin_joined(&scene);
    scene.leader = cluster_leader(&scene.cluster, scene.p);
    tell_plan(&scene); /* the group is leader, other, comes */
    scene_await_moved(&scene);
    cr_assert_eq(cluster_leader(&scene.cluster, scene.p), scene.leader);
    /* Alone with what it knows: it led with {leader, other, comes}. */
    scene.cluster.cut[scene.leader] = true;
    old = scene_raft(&scene, scene.leader);
    id = cluster_send(&scene.cluster, scene.leader, WIRE_OP_SET, 0,
                      (const char *const[]){"key-0", "old"}, 2);
    scene.cluster.sequences[scene.p]--;
    commit = old->commit;
    writer_await(&scene.writer, 20);
    /* The others go on to {other, goes, and a fifth}: comes is destroyed, then wanted again. */
    cluster_map_want(&scene.cluster, scene.p,
                     (int[]){scene.other, scene.goes, cluster_map_join(&scene.cluster, true)}, 3);
    cluster_map_tell(&scene.cluster);
    for (int i = 0; i < 2000 && scene_raft(&scene, scene.comes); i++)
        writer_run(&scene.writer, 10);
    cr_assert_null(scene_raft(&scene, scene.comes));
    cluster_map_want(&scene.cluster, scene.p, (int[]){scene.other, scene.goes, scene.comes}, 3);
    cluster_map_tell(&scene.cluster);
    for (int i = 0; i < 2000 && !scene_raft(&scene, scene.comes); i++)
        writer_run(&scene.writer, 10);
    /* Only these two, and the old leader asks for votes and sends its entry. */
    scene.cluster.cut[scene.other] = scene.cluster.cut[scene.goes] = true;
    scene.cluster.cut[scene.leader] = false;
    scene.cluster.cut[4] = true;
    for (int i = 0; i < 500; i++) {
        cluster_run(&scene.cluster, 10);
        old = scene_raft(&scene, scene.leader);
        cr_assert_neq(old->role, RAFT_LEADER, "nobody's vote");
        cr_assert_eq(old->commit, commit, "nothing more is committed");
    }
    cr_assert(!cluster_result(&scene.cluster, id) ||
              cluster_result(&scene.cluster, id)->status != WIRE_STATUS_OK);
    memset(scene.cluster.cut, 0, sizeof scene.cluster.cut);
    scene_await_moved(&scene);
    cr_assert_null(scene_raft(&scene, scene.leader));
    scene_end(&scene);
}

static void send_gone(struct scene *scene, int from, int to, uint64_t life)
{
    struct wire_buffer body = {0};

    wire_put_gone(&body, &(struct wire_gone){.group = scene->p,
                                             .member = (uint16_t)(to + 1),
                                             .life = life,
                                             .config_index = life});
    cluster_inject(&scene->cluster, from, to, WIRE_GONE, scene->p, &body);
    wire_buffer_deinit(&body);
    cluster_run(&scene->cluster, 100);
}

/* Of no member's word alone: a replica that has its leader asks nobody. */
Test(shard_lives, a_replica_that_asked_nobody_is_not_destroyed, .timeout = 120)
{
    struct scene scene;

    scene_begin_joined(&scene);
    for (int from = 0; from < scene.cluster.nodes; from++)
        if (from != scene.goes)
            send_gone(&scene, from, scene.goes, 1);
    cr_assert_eq(scene_raft(&scene, scene.goes)->options.self.life, 1);
    scene_end(&scene);
}

/* One that no log has asks; its questions and the answers to them are lost. */
static uint64_t begin_asking(struct scene *scene)
{
    uint64_t life = scene_raft(scene, scene->leader)->log.last + 50;

    send_raft(scene, scene->leader, scene->comes, RAFT_APPEND, life);
    scene->cluster.cut[scene->comes] = true;
    cluster_run(&scene->cluster, 3000);
    cr_assert_eq(scene_raft(scene, scene->comes)->options.self.life, life);
    return life;
}

Test(shard_lives, only_who_was_asked_for_the_very_life_is_believed, .timeout = 120)
{
    struct scene scene;
    uint64_t life;
    int joining, unasked;

    scene_begin_joined(&scene);
    unasked = cluster_map_join(&scene.cluster, true); /* no group has it */
    joining = cluster_map_join(&scene.cluster, false);
    life = begin_asking(&scene);
    send_gone(&scene, unasked, scene.comes, life);
    send_gone(&scene, joining, scene.comes, life);
    send_gone(&scene, scene.leader, scene.comes, life - 1);
    send_gone(&scene, scene.leader, scene.comes, life + 1);
    cr_assert(scene_raft(&scene, scene.comes));
    send_gone(&scene, scene.leader, scene.comes, life);
    cr_assert_null(scene_raft(&scene, scene.comes));
    scene.cluster.cut[scene.comes] = false;
    scene_end(&scene);
}

Test(shard_lives, an_answer_counts_while_the_link_lasts_and_the_member_takes_part, .timeout = 120)
{
    struct shard_event down = {.kind = SHARD_EVENT_LINK_DOWN, .from.role = LINK_ROLE_NODE};
    struct scene scene;
    uint64_t life;

    scene_begin_joined(&scene);
    life = begin_asking(&scene);
    down.from.member = (uint16_t)(scene.leader + 1);
    cluster_deliver(&scene.cluster, scene.comes, &down);
    send_gone(&scene, scene.leader, scene.comes, life);
    cr_assert(scene_raft(&scene, scene.comes), "it may be the answer to one of before");
    cluster_map_state(&scene.cluster, scene.other, RINGMAP_STATE_JOINING);
    cluster_map_tell(&scene.cluster);
    send_gone(&scene, scene.other, scene.comes, life);
    cr_assert(scene_raft(&scene, scene.comes));
    cluster_map_state(&scene.cluster, scene.other, RINGMAP_STATE_LEAVING);
    cluster_map_tell(&scene.cluster);
    send_gone(&scene, scene.other, scene.comes, life);
    cr_assert_null(scene_raft(&scene, scene.comes));
    scene.cluster.cut[scene.comes] = false;
    writer_check(&scene.writer);
    cluster_stop(&scene.cluster);
}

/* --- members ------------------------------------------------------------------------------- */

static uint32_t map_changes_answered(struct scene *scene, int from)
{
    struct wire_buffer body = {0};
    uint32_t before = scene->cluster.reply_count;

    wire_put_bin(&body, "no map", 6);
    for (int to = 0; to < 3; to++)
        cluster_inject(&scene->cluster, from, to, WIRE_MAP_CHANGE, WIRE_PARTITION_META, &body);
    cluster_run(&scene->cluster, 100);
    wire_buffer_deinit(&body);
    return scene->cluster.reply_count - before;
}

Test(shard_lives, a_member_that_is_only_joining_is_not_heard, .timeout = 120)
{
    struct scene scene;
    int joining;

    scene_begin_joined(&scene);
    joining = cluster_map_join(&scene.cluster, false);
    cr_assert_eq(map_changes_answered(&scene, joining), 0);
    cluster_map_state(&scene.cluster, joining, RINGMAP_STATE_ACTIVE);
    cluster_map_tell(&scene.cluster);
    cr_assert_gt(map_changes_answered(&scene, joining), 0, "it takes part now");
    scene_end(&scene);
}

Test(shard_lives, a_member_that_was_removed_is_neither_heard_nor_serves, .timeout = 120)
{
    struct shard_stats stats;
    struct scene scene;
    uint64_t heard_ms;
    uint32_t term;

    scene_begin_joined(&scene);
    /* It does not hear of it: the others do not listen any more. */
    scene.cluster.deaf[scene.goes] = true;
    cluster_map_state(&scene.cluster, scene.goes, RINGMAP_STATE_REMOVED);
    cluster_map_tell(&scene.cluster);
    writer_run(&scene.writer, 5000);
    term = scene_raft(&scene, scene.leader)->term;
    cr_assert_neq(scene_raft(&scene, scene.goes)->role, RAFT_LEADER);
    heard_ms = raft_peer(scene_raft(&scene, scene.leader), (uint16_t)(scene.goes + 1))->heard_ms;
    send_raft(&scene, scene.goes, scene.leader, RAFT_APPEND_REPLY, 1);
    cr_assert_eq(raft_peer(scene_raft(&scene, scene.leader), (uint16_t)(scene.goes + 1))->heard_ms,
                 heard_ms);
    writer_run(&scene.writer, 3000);
    cr_assert_eq(scene_raft(&scene, scene.leader)->term, term, "nor does it disturb");
    /* It does: it stops at once. */
    scene.cluster.deaf[scene.goes] = false;
    cluster_map_tell_node(&scene.cluster, scene.goes);
    cluster_run(&scene.cluster, 50);
    for (uint16_t p = 0; p < CLUSTER_PARTITIONS; p++)
        cr_assert(shard_fenced(scene.cluster.shards[scene.goes], p, NULL));
    shard_stats(scene.cluster.shards[scene.goes], &stats);
    cr_assert_eq(stats.fenced, 0, "nothing is to be repaired");
    cr_assert_geq(stats.hosted, CLUSTER_PARTITIONS);
    cluster_kill(&scene.cluster, scene.goes);
    scene_end(&scene);
}
