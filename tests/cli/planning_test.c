#include "cli/planning.h"
#include "replication/raft.h"
#include "ring/swim.h"

#include <criterion/criterion.h>
#include <string.h>

#include "view_scene.h"

static struct view view;
static struct moves moves;
static struct planning planning;

static void plan(const struct staged_change *changes, uint32_t count)
{
    struct staged staged = {.count = 0};

    moves = scene_moves(&view);
    for (uint32_t i = 0; i < count; i++)
        cr_assert_eq(staged_add(&staged, &view.map, &changes[i]), 0);
    cr_assert_eq(planning_make(&planning, &view, &moves, &staged), 0);
}

static void done(void)
{
    planning_deinit(&planning);
    moves_deinit(&moves);
}

Test(planning, a_plan_has_sizes_a_name_and_the_map_that_begins_it)
{
    char hash[PLANNING_HASH_SIZE];

    view = scene_view(3, 1, 16, 3);
    plan(&(struct staged_change){.op = STAGED_JOIN, .member = 4}, 1);
    cr_assert_not(planning.is_empty);
    cr_assert(planning.sizes_known);
    cr_assert_eq(planning.plan.bytes, (uint64_t)planning.cost.moves << 20);
    cr_assert_not_null(planning.next.target);
    cr_assert_null(ringmap_next_problem(&planning.next, &view.map));
    strcpy(hash, planning.hash);
    cr_assert(planning_is(&planning, hash));
    hash[PLANNING_HASH_SHOWN] = 0;
    cr_assert(planning_is(&planning, hash));
    hash[PLANNING_HASH_MIN - 1] = 0;
    cr_assert_not(planning_is(&planning, hash), "too short");
    strcpy(hash, planning.hash);
    hash[3] = hash[3] == '0' ? '1' : '0';
    cr_assert_not(planning_is(&planning, hash));
    done();

    view.map.epoch++;
    moves = scene_moves(&view);
    moves.groups[0].known = moves.groups[1].known = moves.groups[2].known = false;
    cr_assert_eq(
        planning_make(&planning, &view, &moves,
                      &(struct staged){.changes = {{.op = STAGED_JOIN, .member = 4}}, .count = 1}),
        0);
    strcpy(hash, planning.hash);
    done();
    plan(&(struct staged_change){.op = STAGED_JOIN, .member = 4}, 1);
    cr_assert_str_eq(planning.hash, hash, "what is measured is not in it");
    done();
    view_deinit(&view);
}

Test(planning, what_is_there_already_is_an_empty_plan)
{
    view = scene_view(3, 0, 16, 3);
    plan(&(struct staged_change){.op = STAGED_REPLICAS, .value = 3}, 1);
    cr_assert(planning.is_empty);
    cr_assert_null(planning.next.members);
    done();
    plan(NULL, 0);
    cr_assert(planning.is_empty);
    done();
    plan(&(struct staged_change){.op = STAGED_ZONE, .member = 1, .zone = "a"}, 1);
    cr_assert_not(planning.is_empty);
    cr_assert_not_null(planning.next.members);
    done();
    view_deinit(&view);
}

Test(planning, what_cannot_hold_has_no_next_map_and_names_who_is_lacking)
{
    const struct plan_note *note = NULL;
    char text[512];

    view = scene_view(3, 0, 16, 3);
    plan(&(struct staged_change){.op = STAGED_LEAVE, .member = 1}, 1);
    cr_assert(plan_refused(&planning.plan));
    cr_assert_null(planning.next.members);
    planning_note_text(&view, &planning, &planning.plan.notes[0], text, sizeof text);
    cr_assert(strstr(text, "3 replicas need 3 nodes, 2 would be active"), "%s", text);
    done();
    view_deinit(&view);

    view = scene_view(5, 0, 16, 3);
    scene_lose(&view, 1);
    scene_lose(&view, 2);
    plan(&(struct staged_change){.op = STAGED_REMOVE, .member = 1}, 1);
    for (uint32_t i = 0; i < planning.plan.note_count; i++)
        if (planning.plan.notes[i].code == PLAN_NOTE_QUORUM)
            note = &planning.plan.notes[i];
    cr_assert_not_null(note);
    cr_assert_null(planning.next.members);
    planning_note_text(&view, &planning, note, text, sizeof text);
    cr_assert(strstr(text, "has 1 replicas alive and up to date and needs 2 to change"), "%s",
              text);
    cr_assert(strstr(text, "node-1 (127.0.0.1:7001)"), "%s", text);
    cr_assert(strstr(text, "node-2 (127.0.0.1:7002)"), "%s", text);
    done();
    view_deinit(&view);
}

/* Five nodes would have five voters. */
Test(planning, what_a_disk_is_to_keep_free_holds_no_moves)
{
    const uint64_t reserve = 64u << 20;
    const struct plan_note *note;
    struct wire_node_status *status;
    uint64_t bytes;

    view = scene_view(3, 1, 16, 3);
    status = &view.nodes[3].status;
    status->disk_reserve = reserve;
    plan(&(struct staged_change){.op = STAGED_JOIN, .member = 4}, 1);
    bytes = planning.plan.bytes;
    done();

    status->disk_free = reserve + bytes;
    plan(&(struct staged_change){.op = STAGED_JOIN, .member = 4}, 1);
    cr_assert_not(plan_refused(&planning.plan));
    done();

    status->disk_free = reserve + bytes - 1;
    plan(&(struct staged_change){.op = STAGED_JOIN, .member = 4}, 1);
    cr_assert(plan_refused(&planning.plan));
    note = &planning.plan.notes[0];
    cr_assert_eq(note->code, PLAN_NOTE_DISK);
    cr_assert_eq(note->member, 4);
    cr_assert_eq(note->need, bytes);
    cr_assert_eq(note->have, bytes - 1);
    done();

    status->disk_free = reserve / 2;
    plan(&(struct staged_change){.op = STAGED_JOIN, .member = 4}, 1);
    cr_assert_eq(planning.plan.notes[0].have, 0);
    done();

    status->disk_reserve = 0; /* of the version before: it does not say */
    status->disk_free = bytes;
    plan(&(struct staged_change){.op = STAGED_JOIN, .member = 4}, 1);
    cr_assert_not(plan_refused(&planning.plan));
    done();
    view_deinit(&view);
}

Test(planning, a_dead_newcomer_is_refused_and_a_living_one_votes_in_its_place)
{
    const struct plan_note *note;

    view = scene_view(4, 1, 16, 3);
    view.map.members[4].weight = 1;
    scene_lose(&view, 5);
    plan(&(struct staged_change){.op = STAGED_JOIN, .member = 5}, 1);
    note = &planning.plan.notes[0];
    cr_assert_eq(note->code, PLAN_NOTE_TARGET_DEAD);
    cr_assert_eq(note->member, 5);
    cr_assert_null(planning.next.members);
    done();
    view_deinit(&view);

    view = scene_view(6, 1, 16, 3);
    scene_lose(&view, 6);
    plan((const struct staged_change[]){{.op = STAGED_JOIN, .member = 7},
                                        {.op = STAGED_LEAVE, .member = 1}},
         2);
    cr_assert_eq(planning.wanted.meta_voters[4], 7, "not 6");
    done();
    view_deinit(&view);
}

Test(planning, who_has_a_shard_beyond_repair_is_given_nothing_more)
{
    const struct plan_note *note;
    char text[PLANNING_NOTE_SIZE];

    view = scene_view(4, 0, 16, 3);
    view.nodes[1].status.shards_lost = 1;
    plan(&(struct staged_change){.op = STAGED_LEAVE, .member = 1}, 1);
    note = &planning.plan.notes[0];
    cr_assert_eq(note->code, PLAN_NOTE_TARGET_LOST);
    cr_assert_eq(note->member, 2);
    planning_note_text(&view, &planning, note, text, sizeof text);
    cr_assert(strstr(text, "node 2 has a shard that is damaged beyond repair"), "%s", text);
    cr_assert_null(planning.next.members);
    done();
    plan(&(struct staged_change){.op = STAGED_LEAVE, .member = 2}, 1);
    cr_assert_not(plan_refused(&planning.plan));
    done();
    view_deinit(&view);

    view = scene_view(6, 1, 16, 3);
    view.nodes[5].status.shards_lost = 1;
    plan((const struct staged_change[]){{.op = STAGED_JOIN, .member = 7},
                                        {.op = STAGED_LEAVE, .member = 1}},
         2);
    cr_assert_eq(planning.wanted.meta_voters[4], 7, "not 6");
    done();
    view_deinit(&view);
}

Test(planning, the_rate_of_the_map_tells_the_time)
{
    uint64_t seconds, most = 0;

    view = scene_view(3, 1, 16, 3);
    view.map.move_rate = 1;
    plan(&(struct staged_change){.op = STAGED_JOIN, .member = 4}, 1);
    seconds = planning.plan.seconds;
    for (uint32_t i = 0; i < planning.plan.member_count; i++)
        most =
            planning.plan.members[i].bytes_out > most ? planning.plan.members[i].bytes_out : most;
    cr_assert(seconds > 1 && seconds == most >> 20, "the busiest source sends 1 MiB a second");
    done();
    view.map.move_rate = 0;
    plan(&(struct staged_change){.op = STAGED_JOIN, .member = 4}, 1);
    cr_assert_eq(planning.plan.seconds, 1);
    done();
    view_deinit(&view);
}

/* The newcomer dies for good when a part has moved to it. */
Test(planning, a_plan_in_the_place_of_another_begins_at_what_the_groups_have)
{
    uint32_t moved = 0;

    view = scene_view(4, 1, 16, 3);
    scene_begin(&view, &(struct staged_change){.op = STAGED_JOIN, .member = 5});
    scene_lose(&view, 5);
    moves = scene_moves(&view);
    for (uint16_t p = 0; p < 16 && moved < 2; p++)
        if (ringmap_wants(&view.map, p, 5)) {
            scene_move(&view, &moves, p, 20);
            moved++;
        }
    cr_assert_eq(planning_make(
                     &planning, &view, &moves,
                     &(struct staged){.changes = {{.op = STAGED_REMOVE, .member = 5}}, .count = 1}),
                 0);
    cr_assert_not(plan_refused(&planning.plan));
    cr_assert_eq(planning.plan.move_count, moved, "what has not moved stays");
    cr_assert_eq(planning.plan.members[4].holds_before, moved);
    cr_assert_eq(planning.plan.members[4].holds_after, 0);
    cr_assert_null(ringmap_next_problem(&planning.next, &view.map));
    cr_assert_not_null(planning.next.target);
    done();
    view_deinit(&view);
}

static void remove_two(uint16_t one, uint16_t other)
{
    const struct staged staged = {
        .changes = {{.op = STAGED_REMOVE, .member = one}, {.op = STAGED_REMOVE, .member = other}},
        .count = 2};

    cr_assert_eq(planning_make(&planning, &view, &moves, &staged), 0);
}

/* The first partition that goes on to the newcomer, with 2 of the three that have it now. */
static uint16_t gaining(uint16_t newcomer, uint16_t stays)
{
    uint16_t p = 0;

    while (!ringmap_wants(&view.map, p, newcomer) || !ringmap_wants(&view.map, p, stays) ||
           !ringmap_holds(&view.map, p, stays))
        p++;
    return p;
}

/* It has come to its target, and two of those three are lost: with the row before the plan it would
 * seem to have two of three left. */
Test(planning, what_nobody_speaks_for_on_the_way_forbids_every_plan)
{
    char text[512];
    uint16_t p;

    view = scene_view(4, 1, 16, 3);
    scene_begin(&view, &(struct staged_change){.op = STAGED_JOIN, .member = 5});
    p = gaining(5, 4);
    scene_lose(&view, 4);
    scene_lose(&view, 5);
    moves = scene_moves(&view);
    remove_two(4, 5);
    cr_assert_not(plan_refused(&planning.plan), "nothing has moved");
    planning_deinit(&planning);

    scene_move(&view, &moves, p, 20);
    moves.groups[p].known = false;
    remove_two(4, 5);
    cr_assert(plan_refused(&planning.plan));
    cr_assert_null(planning.next.members);
    cr_assert_eq(planning.plan.notes[0].code, PLAN_NOTE_UNKNOWN);
    cr_assert_eq(planning.plan.notes[0].partition, p);
    planning_note_text(&view, &planning, &planning.plan.notes[0], text, sizeof text);
    cr_assert(strstr(text, "says which nodes have it now"), "%s", text);
    cr_assert_null(strstr(text, "it lacks"), "%s", text);
    planning_deinit(&planning);

    moves.groups[p].known = true;
    moves.groups[16].known = false;
    remove_two(4, 5);
    cr_assert_eq(planning.plan.notes[0].code, PLAN_NOTE_UNKNOWN);
    cr_assert_eq(planning.plan.notes[0].partition, PLAN_PARTITION_ANY);
    done();
    view_deinit(&view);
}

/* What it would be told now is that it holds partitions, and its store is empty. */
Test(planning, a_node_that_does_not_know_yet_that_it_has_joined_receives_nothing)
{
    view = scene_view(3, 1, 16, 3);
    view.nodes[3].status.founded = 0;
    plan(&(struct staged_change){.op = STAGED_JOIN, .member = 4}, 1);
    cr_assert(plan_refused(&planning.plan));
    cr_assert_null(planning.next.members);
    done();
    view.nodes[3].reachable = false;
    view.nodes[3].liveness = (struct wire_liveness){.member = 4, .standing = SWIM_ALIVE};
    plan(&(struct staged_change){.op = STAGED_JOIN, .member = 4}, 1);
    cr_assert_eq(planning.plan.notes[0].code, PLAN_NOTE_TARGET_DEAD, "members alone hear of it");
    cr_assert_eq(planning.plan.notes[0].member, 4);
    cr_assert_null(planning.next.members);
    done();
    view.nodes[3].reachable = true;
    view.nodes[3].status.founded = 2;
    plan(&(struct staged_change){.op = STAGED_JOIN, .member = 4}, 1);
    cr_assert_not(plan_refused(&planning.plan));
    done();
    view_deinit(&view);
}

static struct view_replica *replica_of(uint16_t partition, uint16_t member)
{
    for (uint32_t i = 0; i < VIEW_PLACES; i++)
        if (view.replicas[(size_t)partition * VIEW_PLACES + i].member == member)
            return &view.replicas[(size_t)partition * VIEW_PLACES + i];
    return NULL;
}

/* Both other holders run: one of them is fenced, empty or far behind. Then the removal would take
 * the only other copy that is whole. */
Test(planning, who_runs_and_has_not_the_data_is_no_half_of_a_majority)
{
    char text[PLANNING_NOTE_SIZE];

    for (int how = 0; how < 3; how++) {
        uint16_t partition = 0;
        struct view_replica *weak;

        view = scene_view(4, 0, 16, 3);
        while (!ringmap_holds(&view.map, partition, 1) || !ringmap_holds(&view.map, partition, 2))
            partition++;
        scene_lose(&view, 1);
        scene_elect(&view);
        plan(&(struct staged_change){.op = STAGED_REMOVE, .member = 1}, 1);
        cr_assert_not(plan_refused(&planning.plan));
        done();
        weak = replica_of(partition, 2);
        weak->status.role = RAFT_FOLLOWER;
        scene_elect(&view);
        for (uint32_t i = 0; i < VIEW_PLACES && how > 0; i++) {
            struct view_replica *replica = &view.replicas[(size_t)partition * VIEW_PLACES + i];

            if (replica->known && replica != weak) {
                replica->status.role = RAFT_LEADER;
                replica->status.first = how == 1 ? 0 : 50;
                replica->status.commit = replica->status.last = how == 1 ? 100000 : 100;
            }
        }
        weak->status.role = RAFT_FOLLOWER;
        weak->status.fenced = how == 0;
        weak->status.last = how == 2 ? 0 : 100;
        plan(&(struct staged_change){.op = STAGED_REMOVE, .member = 1}, 1);
        cr_assert(plan_refused(&planning.plan), "%d", how);
        cr_assert_null(planning.next.members);
        cr_assert_eq(planning.plan.tolerance_before, -1);
        planning_note_text(&view, &planning, &planning.plan.notes[0], text, sizeof text);
        cr_assert_eq(planning.plan.notes[0].code, PLAN_NOTE_QUORUM);
        cr_assert(strstr(text, "node-1 (127.0.0.1:7001), which is down"), "%s", text);
        cr_assert(strstr(text, how == 0 ? "node-2 (127.0.0.1:7002), which is damaged"
                                        : "node-2 (127.0.0.1:7002), which is catching up"),
                  "%s", text);
        done();
        view_deinit(&view);
    }
}

Test(planning, a_voter_of_the_meta_group_that_is_fenced_does_not_count)
{
    char text[PLANNING_NOTE_SIZE];

    view = scene_view(3, 0, 16, 3);
    scene_lose(&view, 3);
    view.meta[0].status.role = RAFT_LEADER;
    view.meta[1].status.fenced = view.meta[1].known;
    view.meta[2].status.fenced = view.meta[2].known;
    plan(&(struct staged_change){.op = STAGED_WEIGHT, .member = 1, .value = 50}, 1);
    cr_assert(plan_refused(&planning.plan));
    cr_assert_eq(planning.plan.notes[0].code, PLAN_NOTE_META);
    planning_note_text(&view, &planning, &planning.plan.notes[0], text, sizeof text);
    cr_assert(strstr(text, "has 1 voters alive and up to date and needs 2"), "%s", text);
    cr_assert(strstr(text, "which is damaged"), "%s", text);
    done();
    view_deinit(&view);
}
