#include "view_scene.h"

#include "replication/raft.h"
#include "replication/transfer.h"
#include "ring/next_map.h"
#include "ring/placement.h"
#include "ring/voters.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

void scene_serve(struct view *view, uint16_t partition, const uint16_t *row, uint32_t count)
{
    for (uint32_t i = 0; i < count && row[i] != 0; i++)
        view_take(view, row[i],
                  &(struct wire_partition_status){.partition = partition,
                                                  .role = i == 0 ? RAFT_LEADER : RAFT_FOLLOWER,
                                                  .term = 1,
                                                  .last = 100,
                                                  .commit = 100,
                                                  .applied = 100});
}

void scene_answer(struct view *view)
{
    cr_assert_eq(view_name_members(view), 0);
    for (uint32_t i = 0; i < view->node_count; i++) {
        struct wire_node_status *status = &view->nodes[i].status;

        view->nodes[i].reachable = true;
        *status = (struct wire_node_status){.founded = 2,
                                            .shards = 1,
                                            .epoch = view->map.epoch,
                                            .links_up = view->node_count - 1,
                                            .disk_bytes = UINT64_C(1) << 30,
                                            .disk_free = UINT64_C(100) << 30,
                                            .memory_bytes = UINT64_C(8) << 30,
                                            .wall_ms = 1000000000};
        snprintf(status->version, sizeof status->version, "0.1.0");
    }
    scene_serve(view, WIRE_PARTITION_META, view->map.meta_voters, view->map.meta_voter_count);
    for (uint32_t p = 0; p < view->map.partition_count; p++)
        scene_serve(view, (uint16_t)p, ringmap_row(&view->map, (uint16_t)p),
                    view->map.replica_count);
}

struct view scene_view(uint32_t nodes, uint32_t joining, uint32_t partitions, uint32_t replicas)
{
    struct view view = {.founded = true};

    cr_assert_eq(ringmap_init(&view.map, nodes + joining, partitions, replicas), 0);
    view.map.epoch = 1;
    for (uint32_t i = 0; i < nodes + joining; i++) {
        struct ringmap_member *member = &view.map.members[i];

        member->id = (uint16_t)(i + 1);
        member->state = i < nodes ? RINGMAP_STATE_ACTIVE : RINGMAP_STATE_JOINING;
        member->weight = RINGMAP_WEIGHT_DEFAULT;
        member->public_key[0] = (uint8_t)(i + 1);
        snprintf(member->address, sizeof member->address, "127.0.0.1:%u", 7001 + i);
    }
    cr_assert_eq(placement_solve(&view.map), 0);
    cr_assert_eq(voters_choose(&view.map, NULL), 0);
    ringmap_check(&view.map);
    scene_answer(&view);
    return view;
}

static void silence(struct view_replica *row, uint16_t id)
{
    for (uint32_t i = 0; i < VIEW_PLACES; i++)
        if (row[i].member == id)
            row[i].known = false;
}

void scene_lose(struct view *view, uint16_t id)
{
    struct view_node *node = &view->nodes[id - 1];

    node->reachable = false;
    snprintf(node->why, sizeof node->why, "Connection refused");
    for (uint32_t p = 0; p < view->map.partition_count; p++)
        silence(&view->replicas[(size_t)p * VIEW_PLACES], id);
    silence(view->meta, id);
}

void scene_begin(struct view *view, const struct staged_change *change)
{
    struct staged staged = {.count = 0};

    cr_assert_eq(staged_add(&staged, &view->map, change), 0);
    scene_begin_all(view, &staged);
}

void scene_begin_all(struct view *view, const struct staged *staged)
{
    struct ringmap wanted, next;
    struct placement_cost cost;

    cr_assert_eq(staged_wanted(staged, &view->map, NULL, &wanted, &cost), 0);
    cr_assert_eq(next_map_commit(&view->map, &wanted, &next), 0);
    ringmap_deinit(&wanted);
    ringmap_deinit(&view->map);
    view->map = next;
    scene_answer(view);
}

static void elect_one(struct view_replica *row)
{
    for (uint32_t i = 0; i < VIEW_PLACES && row[i].member != 0; i++)
        if (row[i].known) {
            row[i].status.role = RAFT_LEADER;
            return;
        }
}

void scene_elect(struct view *view)
{
    for (uint32_t p = 0; p < view->map.partition_count; p++)
        if (view_leader(view, (uint16_t)p) < 0)
            elect_one(&view->replicas[(size_t)p * VIEW_PLACES]);
    if (view_meta_leader(view) == 0)
        elect_one(view->meta);
}

static struct wire_members members_of(const uint16_t *row, uint32_t count)
{
    struct wire_members members = {.count = (uint8_t)count};

    memcpy(members.ids, row, count * sizeof *row);
    return members;
}

struct moves scene_moves(const struct view *view)
{
    const struct ringmap *map = &view->map;
    struct moves moves;

    cr_assert_eq(moves_init(&moves, map->partition_count), 0);
    for (uint32_t p = 0; p < map->partition_count; p++) {
        const uint16_t *row = ringmap_row(map, (uint16_t)p);

        moves_take(&moves, row[0],
                   &(struct wire_move){.group = (uint16_t)p,
                                       .step = TRANSFER_BUDGET,
                                       .config_index = 10,
                                       .committed = true,
                                       .voters = members_of(row, ringmap_row_count(map, row)),
                                       .bytes = 1u << 20});
    }
    moves_take(&moves, map->meta_voters[0],
               &(struct wire_move){.group = WIRE_PARTITION_META,
                                   .config_index = 10,
                                   .committed = true,
                                   .voters = members_of(map->meta_voters, map->meta_voter_count)});
    return moves;
}

void scene_move(const struct view *view, struct moves *moves, uint16_t partition, uint64_t index)
{
    const uint16_t *row = ringmap_wanted(&view->map, partition);
    struct wire_move move = moves_group(moves, partition)->move;

    move.step = TRANSFER_DONE;
    move.config_index = index;
    move.voters = members_of(row, ringmap_row_count(&view->map, row));
    moves_take(moves, row[0], &move);
}
