/* The end of a plan: by whom, when, and not before. */
#include "shard_cluster.h"

#include "replication/raft.h"

#include <criterion/criterion.h>

#include <stdlib.h>
#include <string.h>

#define ALL (CLUSTER_PARTITIONS + 1u)

static struct cluster cluster;
static const struct shard_address peer = {.role = LINK_ROLE_NODE, .member = 2};

static void send_to(int node, struct shard_address from, uint8_t type, struct wire_buffer *body)
{
    struct link_message message = {.type = type,
                                   .partition = WIRE_PARTITION_META,
                                   .body = body->data,
                                   .body_size = body->size};
    struct shard_event event = {
        .kind = SHARD_EVENT_MESSAGE, .now_ms = cluster.now_ms, .from = from, .message = &message};

    if (cluster.shards[node])
        shard_step(cluster.shards[node], &event);
    wire_buffer_deinit(body);
}

/* What became of a change that the leader was asked for. */
static uint8_t ask(const struct ringmap *map)
{
    struct wire_buffer body = {0};

    cluster.reply = (struct wire_map_reply){0};
    ringmap_encode(map, wire_put_bin_space(&body, ringmap_encoded_size(map)));
    send_to(cluster_await_meta(&cluster), peer, WIRE_MAP_CHANGE, &body);
    cluster_run(&cluster, 200);
    return cluster.reply.outcome;
}

/* One copy less of everything. Moves are paused, so that nothing happens by itself. */
static struct ringmap plan_of(uint64_t epoch)
{
    struct ringmap plan;

    cr_assert_eq(ringmap_copy(&plan, &cluster.map), 0);
    plan.epoch = epoch;
    plan.paused = true;
    plan.target = calloc(CLUSTER_PARTITIONS * CLUSTER_NODES, sizeof *plan.target);
    for (uint32_t p = 0; p < CLUSTER_PARTITIONS; p++)
        memcpy(plan.target + p * CLUSTER_NODES, plan.replicas + p * CLUSTER_NODES,
               (CLUSTER_NODES - 1) * sizeof *plan.target);
    plan.meta_voters[1] = plan.meta_voters[2] = 0;
    plan.meta_voter_count = 1;
    return plan;
}

/* Epoch 2 is a plan. */
static int begin(void)
{
    struct ringmap plan;

    cluster_begin(&cluster);
    plan = plan_of(2);
    cr_assert_eq(ask(&plan), WIRE_MAP_DONE);
    ringmap_deinit(&plan);
    return cluster_await_meta(&cluster);
}

/* Tells a node of the first groups, the last of all being the meta group. */
static void tell(int node, struct shard_address from, uint64_t epoch, uint32_t count)
{
    uint16_t groups[ALL];
    struct wire_buffer body = {0};

    for (uint16_t i = 0; i < CLUSTER_PARTITIONS; i++)
        groups[i] = i;
    groups[CLUSTER_PARTITIONS] = STORE_PARTITION_META;
    wire_put_moved(&body, epoch, groups, count);
    send_to(node, from, WIRE_MOVED, &body);
}

static void expect_epoch(uint64_t epoch)
{
    for (int node = 0; node < CLUSTER_NODES; node++)
        if (cluster.shards[node])
            cr_assert_eq(cluster.told[node], epoch, "node %d was told of %lu", node,
                         (unsigned long)cluster.told[node]);
}

Test(shard_finish, a_plan_ends_when_all_groups_are_as_it_wants_them)
{
    int leader = begin();

    expect_epoch(2);
    tell(leader, peer, 2, ALL - 1);
    cluster_run(&cluster, 2000);
    expect_epoch(2);
    tell(leader, peer, 2, ALL);
    cluster_run(&cluster, 500);
    expect_epoch(3);
    cluster_run(&cluster, 2000);
    expect_epoch(3);
    cluster_stop(&cluster);
}

/* Not by the leader's duties, which are 100 ms apart. */
Test(shard_finish, it_ends_with_the_message_that_tells_of_the_last_group)
{
    for (uint64_t ms = 10; ms <= 100; ms += 30) {
        int leader = begin();

        cluster_run(&cluster, ms);
        tell(leader, peer, 2, ALL);
        cluster_run(&cluster, 20);
        cr_assert_eq(cluster.told[leader], 3, "%lu", (unsigned long)ms);
        cluster_stop(&cluster);
    }
}

Test(shard_finish, leaders_tell_of_their_groups_one_by_one_and_again)
{
    int leader = begin();

    for (uint16_t i = 0; i < ALL; i++) {
        uint16_t group = i < CLUSTER_PARTITIONS ? i : STORE_PARTITION_META;
        struct wire_buffer body = {0};

        expect_epoch(2);
        for (int times = 0; times < 2; times++) {
            wire_put_moved(&body, 2, &group, 1);
            send_to(leader, peer, WIRE_MOVED, &body);
        }
        tell(leader, peer, 1, ALL); /* late, of the epoch before */
        cluster_run(&cluster, 300);
    }
    expect_epoch(3);
    cluster_stop(&cluster);
}

Test(shard_finish, nobody_else_ends_it)
{
    int leader = begin();
    struct ringmap plan = plan_of(2), next;

    cr_assert_eq(ringmap_finished(&plan, &next), 0);
    tell(leader, peer, 2, ALL - 1);
    cr_assert_eq(ask(&next), WIRE_MAP_REFUSED);
    cr_assert_str_eq(cluster.reply.why,
                     "a plan ends by itself, once all groups are as it wants them");
    expect_epoch(2);
    ringmap_deinit(&next);
    ringmap_deinit(&plan);
    cluster_stop(&cluster);
}

Test(shard_finish, what_was_done_for_another_plan_does_not_count)
{
    int leader = begin();
    struct ringmap plan = plan_of(3);

    tell(leader, peer, 2, ALL - 1);
    tell(leader, peer, 1, ALL);
    tell(leader, peer, 9, ALL);
    cluster_run(&cluster, 500);
    expect_epoch(2);
    cr_assert_eq(ask(&plan), WIRE_MAP_DONE);
    tell(leader, peer, 2, ALL);
    cluster_run(&cluster, 500);
    expect_epoch(3);
    tell(leader, peer, 3, ALL);
    cluster_run(&cluster, 500);
    expect_epoch(4);
    ringmap_deinit(&plan);
    cluster_stop(&cluster);
}

Test(shard_finish, only_members_tell_and_only_of_groups_that_there_are)
{
    static const uint16_t none[] = {CLUSTER_PARTITIONS, CLUSTER_PARTITIONS + 1, 4096, 0xFFFE};
    int leader = begin();
    struct wire_buffer body = {0};

    tell(leader, (struct shard_address){.role = LINK_ROLE_ROUTER, .link = 7}, 2, ALL);
    tell(leader, (struct shard_address){.role = LINK_ROLE_ADMIN, .link = 7}, 2, ALL);
    tell(leader, (struct shard_address){.role = LINK_ROLE_NODE}, 2, ALL);
    tell(leader, peer, 2, ALL - 1);
    for (size_t i = 0; i < 4; i++) {
        wire_put_moved(&body, 2, &none[i], 1);
        send_to(leader, peer, WIRE_MOVED, &body);
        cluster_run(&cluster, 200);
        expect_epoch(2);
    }
    wire_put_array(&body, 2);
    wire_put_uint(&body, 2);
    wire_put_array(&body, 5000);
    send_to(leader, peer, WIRE_MOVED, &body);
    cluster_run(&cluster, 1000);
    expect_epoch(2);
    cluster_stop(&cluster);
}

Test(shard_finish, without_a_plan_nothing_ends)
{
    cluster_begin(&cluster);
    tell(cluster_await_meta(&cluster), peer, 1, ALL);
    cluster_run(&cluster, 1000);
    expect_epoch(1);
    cluster_stop(&cluster);
}

/* All voters are told, so the next leader need not hear it again. */
Test(shard_finish, the_next_leader_ends_it)
{
    int leader = begin();

    for (int node = 0; node < CLUSTER_NODES; node++)
        if (node != leader)
            tell(node, peer, 2, ALL);
    cluster_run(&cluster, 500);
    expect_epoch(2);
    cluster_kill(&cluster, leader);
    (void)cluster_await_meta(&cluster);
    cluster_run(&cluster, 2000);
    expect_epoch(3);
    cluster_restart(&cluster, leader);
    cluster_run(&cluster, 3000);
    expect_epoch(3);
    cluster_stop(&cluster);
}
