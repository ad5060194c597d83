#include "cli/moves.h"

#include "replication/transfer.h"

#include <criterion/criterion.h>

#include "view_scene.h"

#define PARTITIONS 16u

static struct view view;
static struct moves moves;

/* Node 4 is taken in: nothing has moved yet. */
static void joining(void)
{
    view = scene_view(3, 1, PARTITIONS, 3);
    scene_begin(&view, &(struct staged_change){.op = STAGED_JOIN, .member = 4});
    moves = scene_moves(&view);
}

static void done(void)
{
    moves_deinit(&moves);
    view_deinit(&view);
}

/* One that gets node 4. */
static uint16_t a_moving(void)
{
    for (uint16_t p = 0; p < PARTITIONS; p++)
        if (ringmap_wants(&view.map, p, 4))
            return p;
    cr_assert_fail("nothing moves");
    return 0;
}

Test(moves, of_several_leaders_the_newest_configuration_counts)
{
    struct wire_move move = {.group = 3, .config_index = 20, .step = TRANSFER_CATCH_UP};

    joining();
    moves_take(&moves, 2, &move);
    cr_assert_eq(moves_group(&moves, 3)->leader, 2);
    move.config_index = 19;
    moves_take(&moves, 1, &move);
    cr_assert_eq(moves_group(&moves, 3)->leader, 2);
    move.group = PARTITIONS; /* no such group */
    moves_take(&moves, 1, &move);
    move.group = WIRE_PARTITION_META;
    moves_take(&moves, 1, &move);
    cr_assert_eq(moves_group(&moves, WIRE_PARTITION_META)->move.config_index, 19);
    done();
}

Test(moves, a_sum_goes_from_nothing_to_all_as_partitions_arrive)
{
    struct moves_sum sum;
    uint32_t held = 0;

    joining();
    for (uint16_t p = 0; p < PARTITIONS; p++)
        held += ringmap_wants(&view.map, p, 4);
    moves_sum(&moves, &view.map, &sum);
    cr_assert_eq(sum.groups, held);
    cr_assert_eq(sum.groups_done, 0);
    cr_assert_eq(sum.bytes, (uint64_t)held << 20);
    cr_assert_eq(sum.bytes_done, 0);
    scene_move(&view, &moves, a_moving(), 12);
    moves_sum(&moves, &view.map, &sum);
    cr_assert_eq(sum.groups_done, 1);
    cr_assert_eq(sum.bytes_done, 1u << 20);
    for (uint16_t p = 0; p < PARTITIONS; p++)
        scene_move(&view, &moves, p, 13);
    moves_sum(&moves, &view.map, &sum);
    cr_assert_eq(sum.groups_done, held);
    cr_assert_eq(sum.bytes_done, sum.bytes);
    cr_assert_eq(sum.groups_unknown, 0);
    cr_assert_eq(sum.waiting, 0);
    moves.groups[PARTITIONS].move.voters.ids[0] = 4;
    moves_sum(&moves, &view.map, &sum);
    cr_assert_eq(sum.waiting, 1, "the meta group has still to come");
    cr_assert_eq(sum.groups_done, sum.groups);
    done();
}

/* As after an abort: a group of a row that stays has a learner still. */
Test(moves, who_only_goes_back_is_counted_apart)
{
    struct moves_sum sum;
    uint32_t waiting;
    uint16_t p = 0;

    joining();
    while (moves_changes(&view.map, p))
        p++;
    moves_sum(&moves, &view.map, &sum);
    cr_assert_eq(sum.going_back, 0);
    moves.groups[p].move.committed = false; /* the same voters, with the new epoch */
    waiting = sum.waiting;
    moves_sum(&moves, &view.map, &sum);
    cr_assert_eq(sum.waiting, waiting + 1);
    cr_assert_eq(sum.going_back, 0, "it was never elsewhere");
    moves.groups[p].move.committed = true;
    moves.groups[p].move.learners = (struct wire_members){1, {4}};
    moves_sum(&moves, &view.map, &sum);
    cr_assert_eq(sum.going_back, 1);
    done();
}

Test(moves, a_learner_has_what_was_sent_to_it_and_a_joint_group_is_not_done)
{
    struct wire_move move;
    uint64_t bytes, got;
    uint16_t p;

    joining();
    p = a_moving();
    move = moves_group(&moves, p)->move;
    move.config_index++;
    move.learners = (struct wire_members){1, {4}};
    move.sent = 1000;
    moves_take(&moves, 1, &move);
    moves_bytes(&moves, &view.map, p, &bytes, &got);
    cr_assert(bytes == 1u << 20 && got == 1000);
    move.sent = UINT64_MAX; /* more than there is: it was sent again */
    moves_take(&moves, 1, &move);
    moves_bytes(&moves, &view.map, p, &bytes, &got);
    cr_assert_eq(got, 1u << 20);
    scene_move(&view, &moves, p, 20);
    cr_assert_not(moves_is_done(&moves, &view.map, p), "it has a learner still");
    move = moves_group(&moves, p)->move;
    move.learners.count = 0;
    move.voters_old = (struct wire_members){3, {1, 2, 3}};
    moves_take(&moves, 1, &move);
    cr_assert_not(moves_is_done(&moves, &view.map, p));
    move.voters_old.count = 0;
    move.committed = false;
    moves_take(&moves, 1, &move);
    cr_assert_not(moves_is_done(&moves, &view.map, p));
    move.committed = true;
    moves_take(&moves, 1, &move);
    cr_assert(moves_is_done(&moves, &view.map, p));
    done();
}

Test(moves, more_replicas_are_copied_to_each_newcomer_one_after_another)
{
    uint64_t bytes, got;
    struct wire_move move;

    view = scene_view(5, 0, PARTITIONS, 3);
    scene_begin(&view, &(struct staged_change){.op = STAGED_REPLICAS, .value = 5});
    moves = scene_moves(&view);
    moves_bytes(&moves, &view.map, 0, &bytes, &got);
    cr_assert(bytes == 2u << 20 && got == 0);
    move = moves_group(&moves, 0)->move;
    for (uint16_t id = 1; id <= 5; id++)
        if (!ringmap_holds(&view.map, 0, id))
            move.learners.ids[move.learners.count++] = id;
    cr_assert_eq(move.learners.count, 2);
    move.sent = 5;
    moves_take(&moves, 1, &move);
    moves_bytes(&moves, &view.map, 0, &bytes, &got);
    cr_assert_eq(got, 5);
    done();
}

Test(moves, what_is_not_known_is_counted_and_proves_nothing)
{
    struct next_map_held held[PARTITIONS + 1];
    struct moves_sum sum;
    uint16_t p;

    joining();
    p = a_moving();
    cr_assert_not(moves_is_without(&moves, p, 1));
    cr_assert(moves_is_without(&moves, p, 4));
    cr_assert(moves_is_without(&moves, WIRE_PARTITION_META, 4));
    cr_assert_not(moves_is_without(&moves, WIRE_PARTITION_META, 1));
    moves.groups[p].move.learners = (struct wire_members){1, {4}};
    cr_assert_not(moves_is_without(&moves, p, 4));
    moves.groups[p].move.learners.count = 0;
    moves.groups[p].move.voters_old = (struct wire_members){1, {4}};
    cr_assert_not(moves_is_without(&moves, p, 4));
    moves.groups[p].move.voters_old.count = 0;
    moves.groups[p].move.committed = false;
    cr_assert_not(moves_is_without(&moves, p, 4));
    moves_held(&moves, held);
    cr_assert_eq(held[p].voter_count, 3);
    cr_assert_eq(held[p].voters[0], moves.groups[p].move.voters.ids[0]);
    cr_assert_eq(held[PARTITIONS].voter_count, view.map.meta_voter_count);
    moves.groups[p] = (struct moves_group){0};
    cr_assert_not(moves_is_without(&moves, p, 4));
    moves_sum(&moves, &view.map, &sum);
    cr_assert_eq(sum.groups_unknown, 1);
    moves_held(&moves, held);
    cr_assert_eq(held[p].voter_count, 0);
    done();
}

/* A joint configuration that is not committed may yet be lost, and then its newcomer has no vote.
 */
Test(moves, an_abort_stays_with_what_is_committed)
{
    struct next_map_held held[PARTITIONS + 1];
    struct wire_move *move;
    uint16_t p;

    joining();
    p = a_moving();
    move = &moves.groups[p].move;
    move->voters_old = move->voters;
    move->voters.ids[2] = 4;
    move->committed = false;
    moves_held(&moves, held);
    cr_assert_arr_eq(held[p].voters, move->voters_old.ids, 3 * sizeof *held[p].voters);
    move->committed = true; /* and is on its way into the new one */
    moves_held(&moves, held);
    cr_assert_eq(held[p].voters[2], 4);
    move->voters_old.count = 0;
    move->committed = false; /* the end of a joint one that is: it has its voters */
    moves_held(&moves, held);
    cr_assert_eq(held[p].voters[2], 4);
    done();
}

Test(moves, who_is_yet_to_get_a_vote_and_is_dead_is_missing)
{
    joining();
    cr_assert(moves_need(&moves, &view.map, 4));
    cr_assert_not(moves_need(&moves, &view.map, 1));
    cr_assert_null(moves_missing(&moves, &view.map, &view));
    scene_lose(&view, 4);
    cr_assert_eq(moves_missing(&moves, &view.map, &view)->id, 4);
    for (uint16_t p = 0; p < PARTITIONS; p++)
        scene_move(&view, &moves, p, 20);
    cr_assert_null(moves_missing(&moves, &view.map, &view));
    moves.groups[PARTITIONS].move.voters.count =
        0; /* the meta group's vote counts like any other */
    scene_lose(&view, view.map.meta_voters[0]);
    cr_assert_eq(moves_missing(&moves, &view.map, &view)->id, view.map.meta_voters[0]);
    moves.groups[PARTITIONS].known = false;
    cr_assert_null(moves_missing(&moves, &view.map, &view));
    done();
}

/* Of its shards one may be sound: what is there answers, and is not fenced. */
Test(moves, who_is_yet_to_get_a_vote_in_a_shard_beyond_repair_is_missing)
{
    const uint16_t here = 4;

    joining();
    view.nodes[3].status.shards_lost = 1;
    cr_assert_eq(moves_missing(&moves, &view.map, &view)->id, 4);
    for (uint16_t p = 0; p < PARTITIONS; p++)
        view_take(&view, here, &(struct wire_partition_status){.partition = p, .last = 100});
    view_take(&view, here, &(struct wire_partition_status){.partition = WIRE_PARTITION_META});
    cr_assert_null(moves_missing(&moves, &view.map, &view));
    view_take(&view, here,
              &(struct wire_partition_status){.partition = a_moving(), .fenced = true});
    cr_assert_eq(moves_missing(&moves, &view.map, &view)->id, 4);
    done();
}

Test(moves, each_replica_has_a_part_in_its_group)
{
    uint16_t group, leaving = 0;
    struct wire_move *move;
    const uint16_t *row;

    joining();
    group = a_moving();
    row = ringmap_row(&view.map, group);
    for (uint32_t i = 0; i < 3; i++)
        if (!ringmap_wants(&view.map, group, row[i]))
            leaving = row[i];
    move = &moves.groups[group].move;
    cr_assert_eq(moves_part(&moves, &view.map, group, leaving), MOVES_PART_LEAVING);
    cr_assert_eq(moves_part(&moves, &view.map, group, 4), MOVES_PART_COMING);
    move->learners = (struct wire_members){.count = 1, .ids = {4}};
    cr_assert_eq(moves_part(&moves, &view.map, group, 4), MOVES_PART_LEARNER);
    move->learners.count = 0;
    move->voters_old = move->voters;
    scene_move(&view, &moves, group, 11);
    cr_assert_eq(moves_part(&moves, &view.map, group, 4), MOVES_PART_VOTER);
    cr_assert_eq(moves_part(&moves, &view.map, group, leaving), MOVES_PART_LEAVING, "it is joint");
    moves.groups[group].move.voters_old.count = 0;
    cr_assert_eq(moves_part(&moves, &view.map, group, leaving), MOVES_PART_NONE);
    moves.groups[group].known = false;
    cr_assert_eq(moves_part(&moves, &view.map, group, 4), MOVES_PART_UNKNOWN);
    done();
}
