#include "shard_cluster.h"

#include "replication/raft.h"

#include <criterion/criterion.h>

#include <stdio.h>

/* A replica comes to a node that had none of the partition: learner, voter, and the one that it is
 * for leaves. Two replicas on three nodes; the third takes the place of the second. */

struct move {
    struct cluster cluster;
    uint16_t p;
    int stays, goes, comes;
    uint64_t life;
    bool restarts; /* all nodes, behind each step */
};

static const struct raft *raft_at(const struct move *move, int node)
{
    return move->cluster.shards[node] ? shard_raft(move->cluster.shards[node], move->p) : NULL;
}

static int leader(struct move *move)
{
    for (int i = 0; i < 500 && cluster_leader(&move->cluster, move->p) < 0; i++)
        cluster_run(&move->cluster, 10);
    return cluster_leader(&move->cluster, move->p);
}

static void begin(struct move *move, unsigned keys)
{
    char key[16];

    *move = (struct move){.restarts = move->restarts};
    cluster_start_replicas(&move->cluster, 2, NULL);
    cluster_await_leaders(&move->cluster);
    move->p = cluster_partition(&move->cluster, "key-0");
    move->stays = move->p % CLUSTER_NODES;
    move->goes = (move->p + 1) % CLUSTER_NODES;
    move->comes = (move->p + 2) % CLUSTER_NODES;
    cr_assert_null(raft_at(move, move->comes));
    for (unsigned i = 0; i < keys; i++) {
        snprintf(key, sizeof key, "key-%u", i);
        if (cluster_partition(&move->cluster, key) == move->p)
            cluster_set(&move->cluster, key, "value");
        move->cluster.result_count = 0;
    }
    cluster_run(&move->cluster, 1000);
}

static void restart(struct move *move)
{
    if (!move->restarts)
        return;
    for (int node = 0; node < CLUSTER_NODES; node++)
        cluster_kill(&move->cluster, node);
    for (int node = 0; node < CLUSTER_NODES; node++)
        cluster_restart(&move->cluster, node);
    cr_assert_geq(leader(move), 0);
}

/* Proposes it and waits for its commit. */
static uint64_t configure(struct move *move, const struct raft_config *next)
{
    const struct raft *raft;
    int by = leader(move);
    uint64_t index;

    cr_assert_geq(by, 0);
    raft = raft_at(move, by);
    for (int i = 0; i < 100 && raft->commit < raft->term_start; i++)
        cluster_run(&move->cluster, 10);
    cluster_configure(&move->cluster, move->p, next);
    index = raft->config.index;
    cr_assert_eq(index, raft->log.last);
    for (int i = 0; i < 300 && raft->commit < index; i++)
        cluster_run(&move->cluster, 10);
    cr_assert_geq(raft->commit, index);
    return index;
}

static bool caught_up(struct move *move)
{
    const struct raft *from = raft_at(move, leader(move)), *to = raft_at(move, move->comes);

    return to && to->applied == from->applied && to->config.index == from->config.index &&
           shard_settled(move->cluster.shards[move->comes], move->p);
}

static void add_learner(struct move *move)
{
    struct raft_config next = raft_at(move, leader(move))->config;

    next.learners[next.learner_count++] =
        (struct raft_replica){.member = (uint16_t)(move->comes + 1)};
    move->life = configure(move, &next);
    restart(move);
    cluster_host(&move->cluster, move->comes, move->p, move->life);
    cluster_host(&move->cluster, move->comes, move->p, move->life); /* told again */
    for (int i = 0; i < 500 && !caught_up(move); i++)
        cluster_run(&move->cluster, 10);
    cr_assert(caught_up(move));
    restart(move);
    for (int i = 0; i < 500 && !caught_up(move); i++)
        cluster_run(&move->cluster, 10);
    cr_assert(caught_up(move));
}

static void replace_voter(struct move *move)
{
    struct raft_config next = raft_at(move, leader(move))->config;

    for (uint8_t i = 0; i < next.voter_count; i++) {
        next.voters_old[i] = next.voters[i];
        if (next.voters[i].member == move->goes + 1)
            next.voters[i] = next.learners[0];
    }
    next.voter_old_count = next.voter_count;
    next.learner_count = 0;
    configure(move, &next);
    restart(move);
    next = raft_at(move, leader(move))->config;
    next.voter_old_count = 0;
    configure(move, &next);
    restart(move);
}

static void check_same(struct move *move)
{
    uint64_t one = 0, other = 1;

    for (int i = 0; i < 300 && !caught_up(move); i++)
        cluster_run(&move->cluster, 10);
    cr_assert_eq(store_digest(shard_store(move->cluster.shards[move->stays]), move->p, &one), 0);
    cr_assert_eq(store_digest(shard_store(move->cluster.shards[move->comes]), move->p, &other), 0);
    cr_assert_eq(one, other);
}

static void move_once(struct move *move)
{
    add_learner(move);
    check_same(move);
    replace_voter(move);
    cluster_set(&move->cluster, "key-0", "new");
    cluster_expect(&move->cluster, "key-0", "new");
    check_same(move);
    cr_assert_eq(raft_at(move, move->comes)->options.self.life, move->life);
    cluster_destroy(&move->cluster, move->goes, move->p, 7); /* another life */
    cluster_run(&move->cluster, 100);
    cr_assert(raft_at(move, move->goes));
    cluster_destroy(&move->cluster, move->goes, move->p, 1);
    cluster_run(&move->cluster, 500);
    cr_assert_null(raft_at(move, move->goes));
    restart(move);
    cr_assert_null(raft_at(move, move->goes));
    cr_assert_geq(leader(move), 0);
    cluster_set(&move->cluster, "key-0", "newer");
    cluster_expect(&move->cluster, "key-0", "newer");
}

/* The same the other way round: who left comes back, in another life. */
static void move_back(struct move *move)
{
    int went = move->goes;

    move->goes = move->comes;
    move->comes = went;
    add_learner(move);
    check_same(move);
    replace_voter(move);
    check_same(move);
    cr_assert_gt(raft_at(move, went)->options.self.life, 1);
    cluster_destroy(&move->cluster, move->goes, move->p,
                    raft_at(move, move->goes)->options.self.life);
    cluster_run(&move->cluster, 500);
    cr_assert_null(raft_at(move, move->goes));
    restart(move);
    cr_assert_null(raft_at(move, move->goes));
    cr_assert_eq(raft_at(move, went)->options.self.life, move->life);
    cluster_expect(&move->cluster, "key-0", "newer");
}

Test(shard_hosting, a_learner_that_comes_takes_a_voters_place, .timeout = 120)
{
    struct move move = {.restarts = false};

    begin(&move, 20);
    move_once(&move);
    move_back(&move);
    cluster_stop(&move.cluster);
}

Test(shard_hosting, a_learner_that_comes_takes_a_voters_place_with_a_restart_at_each_step,
     .timeout = 120)
{
    struct move move = {.restarts = true};

    begin(&move, 20);
    move_once(&move);
    move_back(&move);
    cluster_stop(&move.cluster);
}

/* What has left the log comes as a snapshot. */
Test(shard_hosting, a_learner_that_lacks_more_than_the_log_has_gets_a_snapshot, .timeout = 240)
{
    struct move move = {.restarts = false};
    struct shard_stats stats;

    begin(&move, 3000);
    cr_assert_gt(raft_at(&move, leader(&move))->log.first, 1);
    move_once(&move);
    shard_stats(move.cluster.shards[move.comes], &stats);
    cr_assert_eq(stats.snapshots_installed, 1);
    cluster_stop(&move.cluster);
}

/* Alone, it stays what it is for ever. */
Test(shard_hosting, one_that_knows_no_group_neither_campaigns_nor_votes, .timeout = 120)
{
    struct move move = {.restarts = false};
    struct shard_stats stats;
    const struct raft *raft;

    begin(&move, 3);
    cluster_host(&move.cluster, move.comes, move.p, 99);
    cluster_run(&move.cluster, 5000);
    raft = raft_at(&move, move.comes);
    cr_assert(raft && raft->options.self.life == 99);
    cr_assert(raft->role == RAFT_FOLLOWER && raft->term == 0 && raft->vote == 0);
    cr_assert_eq(raft->config.voter_count, 0);
    cluster_kill(&move.cluster, move.comes);
    cluster_restart(&move.cluster, move.comes);
    cluster_run(&move.cluster, 2000);
    raft = raft_at(&move, move.comes);
    cr_assert(raft && raft->options.self.life == 99);
    cr_assert(raft->term == 0 && raft->config.index == 0);
    shard_stats(move.cluster.shards[move.comes], &stats);
    cr_assert_eq(stats.fenced, 0);
    cluster_stop(&move.cluster);
}

/* Nor what is another shard's, or nobody's. */
Test(shard_hosting, what_does_not_belong_here_is_not_hosted)
{
    struct move move = {.restarts = false};

    begin(&move, 1);
    cluster_host(&move.cluster, move.comes, CLUSTER_PARTITIONS, 9);
    cluster_host(&move.cluster, move.comes, move.p, 0);
    cluster_host(&move.cluster, move.stays, move.p, 9); /* it has one, of life 1 */
    cluster_run(&move.cluster, 500);
    cr_assert_null(raft_at(&move, move.comes));
    cr_assert_eq(raft_at(&move, move.stays)->options.self.life, 1);
    cluster_stop(&move.cluster);
}

/* In the middle of everything: a leader with operations, a learner that is being helped. */
Test(shard_hosting, one_that_goes_answers_what_waits_and_leaves_nothing_behind, .timeout = 120)
{
    struct move move = {.restarts = false};
    struct raft_config next;
    const char *args[] = {"key-0", "value"};
    uint32_t ids[20];
    int by;

    begin(&move, 3000);
    by = leader(&move);
    next = raft_at(&move, by)->config;
    next.learners[next.learner_count++] =
        (struct raft_replica){.member = (uint16_t)(move.comes + 1)};
    move.life = configure(&move, &next);
    cluster_host(&move.cluster, move.comes, move.p, move.life);
    for (int i = 0; i < 20; i++)
        ids[i] = cluster_send(&move.cluster, by, WIRE_OP_SET, 0, args, 2);
    cluster_destroy(&move.cluster, by, move.p, 1);
    cluster_destroy(&move.cluster, by, move.p, 1);
    cluster_run(&move.cluster, 3000);
    cr_assert_null(raft_at(&move, by));
    for (int i = 0; i < 20; i++) {
        const struct cluster_result *result = cluster_result(&move.cluster, ids[i]);

        cr_assert(result);
        cr_assert(result->status == WIRE_STATUS_LOST || result->status == WIRE_STATUS_NOT_LEADER ||
                  result->status == WIRE_STATUS_FENCED || result->status == WIRE_STATUS_TRYAGAIN);
    }
    cluster_host(&move.cluster, by, move.p, 77);
    cluster_run(&move.cluster, 500);
    cr_assert_eq(raft_at(&move, by)->options.self.life, 77);
    cr_assert_eq(store_keys(shard_store(move.cluster.shards[by]), move.p), 0);
    cluster_destroy(&move.cluster, by, move.p, 77);
    cluster_run(&move.cluster, 500);
    cr_assert_null(raft_at(&move, by));
    cluster_stop(&move.cluster);
}
