#include "ring/plan.h"
#include "ring/voters.h"

#include <errno.h>
#include <string.h>

#include <criterion/criterion.h>

#include "placement_model.h"
#include "plan_scene.h"
#include "tests/storage/alloc.h"

Test(plan, a_join_is_told_with_its_bytes_and_time)
{
    struct plan_scene scene;
    struct plan plan;
    uint64_t out = 0, most = 0;

    plan_scene_init(&scene, 3, 4, 3);
    plan = plan_scene_plan(&scene);
    cr_assert_eq(plan.move_count, 47, "64 * 3 / 4 - 1");
    cr_assert_eq(plan.bytes, 47 * MIB);
    for (uint32_t i = 0; i < plan.member_count; i++) {
        out += plan.members[i].bytes_out;
        most = plan.members[i].bytes_out > most ? plan.members[i].bytes_out : most;
    }
    cr_assert_eq(out, 47 * MIB);
    cr_assert_eq(plan.seconds, (most + 10 * MIB - 1) / (10 * MIB), "each sends 10 MiB a second");
    cr_assert_lt(plan.seconds, 5, "the new node takes from three at once");
    cr_assert_eq(plan.members[3].id, 4);
    cr_assert_eq(plan.members[3].state_before, 0);
    cr_assert_eq(plan.members[3].moves_in, 47);
    cr_assert_eq(plan.members[3].bytes_in, 47 * MIB);
    cr_assert_eq(plan.members[3].holds_after, 47);
    cr_assert_eq(plan.members[0].holds_before, 64);
    cr_assert_eq(plan.wave_count, 24, "two at a time to the only target");
    cr_assert_eq(plan.tolerance_before, 1);
    cr_assert_eq(plan.tolerance_least, 1);
    cr_assert_eq(plan.note_count, 0);
    cr_assert_not(plan_refused(&plan));
    plan_deinit(&plan);
    plan_scene_deinit(&scene);
}

Test(plan, nothing_to_do_is_an_empty_plan)
{
    struct plan_scene scene;
    struct plan plan;

    plan_scene_init(&scene, 5, 5, 3);
    plan = plan_scene_plan(&scene);
    cr_assert(plan.move_count == 0 && plan.lead_count == 0 && plan.wave_count == 0);
    cr_assert_eq(plan.seconds, 0);
    plan_deinit(&plan);
    plan_scene_deinit(&scene);
}

/* Applies moves and leaders to the present rows, which must then be the wanted ones. */
static void expect_leads_to(const struct plan *plan, const struct ringmap *now,
                            const struct ringmap *wanted)
{
    for (uint32_t p = 0; p < now->partition_count; p++) {
        uint16_t row[2 * RINGMAP_REPLICAS_MAX] = {0};
        uint16_t leader = ringmap_row(now, (uint16_t)p)[0];
        uint32_t count = now->replica_count, kept = 0;

        memcpy(row, ringmap_row(now, (uint16_t)p), count * sizeof *row);
        for (uint32_t i = 0; i < plan->move_count; i++) {
            const struct plan_move *move = &plan->moves[i];

            if (move->partition != p)
                continue;
            for (uint32_t k = 0; k < count; k++)
                row[k] = row[k] == move->from ? 0 : row[k];
            if (move->to != 0)
                row[count++] = move->to;
        }
        for (uint32_t i = 0; i < plan->lead_count; i++)
            leader = plan->leads[i].partition == p ? plan->leads[i].to : leader;
        for (uint32_t k = 0; k < count; k++) {
            cr_assert(row[k] == 0 || ringmap_holds(wanted, (uint16_t)p, row[k]));
            kept += row[k] != 0;
        }
        cr_assert_eq(kept, model_copies(wanted));
        cr_assert_eq(leader, ringmap_row(wanted, (uint16_t)p)[0]);
    }
}

static void expect_waves_bounded(const struct plan *plan, const struct ringmap *now, uint32_t most)
{
    for (uint32_t wave = 0; wave < plan->wave_count; wave++) {
        uint32_t busy[64] = {0}, partitions[64] = {0};

        for (uint32_t i = 0; i < plan->move_count; i++) {
            const struct plan_move *move = &plan->moves[i];
            uint16_t source = ringmap_row(now, move->partition)[0];

            cr_assert(i == 0 || move->partition != move[-1].partition ||
                          move->wave == move[-1].wave,
                      "a partition's moves are of one wave");
            if (move->wave != wave || move->to == 0)
                continue;
            busy[move->to]++;
            busy[source]++;
            partitions[source] +=
                i == 0 || move->partition != move[-1].partition || partitions[source] == 0;
        }
        for (uint32_t i = 0; i < 64; i++)
            cr_assert(busy[i] <= most || partitions[i] == 1, "wave %u node %u: %u", wave, i,
                      busy[i]);
    }
}

Test(plan, random_changes_are_told_completely)
{
    for (uint64_t seed = 0; seed < 150; seed++) {
        struct dice dice = {seed};
        struct ringmap now = model_any(&dice, 40, 128);
        struct plan_input input = {.now = &now, .moves_per_node_max = 1 + (uint32_t)(seed % 4)};
        struct ringmap wanted;
        struct plan plan;
        uint64_t in = 0, out = 0;

        plan_scene_place(NULL, &now);
        wanted = model_changed(&dice, &now);
        plan_scene_place(&now, &wanted);
        input.wanted = &wanted;
        plan = plan_scene_make(&input);
        expect_leads_to(&plan, &now, &wanted);
        expect_waves_bounded(&plan, &now, input.moves_per_node_max);
        for (uint32_t i = 0; i < plan.member_count; i++) {
            in += plan.members[i].bytes_in;
            out += plan.members[i].bytes_out;
        }
        cr_assert(in == plan.bytes && out == plan.bytes);
        plan_deinit(&plan);
        ringmap_deinit(&now);
        ringmap_deinit(&wanted);
    }
}

static bool same_hash(const struct plan *a, const struct plan *b)
{
    return memcmp(a->hash, b->hash, sizeof a->hash) == 0;
}

/* The plan as it is now beside one of before. */
static bool hash_stays(const struct plan_scene *scene, const struct plan *plan)
{
    struct plan other = plan_scene_make(&scene->input);
    bool stays = same_hash(&other, plan);

    plan_deinit(&other);
    return stays;
}

Test(plan, the_hash_is_of_what_would_be_done_and_of_nothing_measured)
{
    struct plan_scene scene;
    struct plan plan, other;

    plan_scene_init(&scene, 5, 6, 3);
    plan = plan_scene_plan(&scene);
    scene.nodes[2].alive = false;
    scene.bytes[5] = 77 * MIB;
    scene.input.rate_bytes = 1;
    scene.input.moves_per_node_max = 1;
    other = plan_scene_make(&scene.input);
    cr_assert_neq(other.bytes, plan.bytes);
    cr_assert(same_hash(&other, &plan));
    plan_deinit(&other);

    scene.wanted.members[1].weight++; /* moves nothing, but is another intent */
    cr_assert_not(hash_stays(&scene, &plan));
    scene.wanted.members[1].weight--;
    cr_assert(hash_stays(&scene, &plan));
    strcpy(scene.wanted.members[1].zone, "b");
    cr_assert_not(hash_stays(&scene, &plan));
    memset(scene.wanted.members[1].zone, 0, sizeof scene.wanted.members[1].zone);
    scene.now.epoch++; /* who only sets the rate of moves makes no plan stale */
    scene.now.move_rate = 5;
    scene.now.paused = !scene.now.paused;
    cr_assert(hash_stays(&scene, &plan));
    scene.now.epoch--;
    scene.now.move_rate = 0;
    scene.now.paused = !scene.now.paused;
    scene.now.members[3].address[0]++;
    cr_assert_not(hash_stays(&scene, &plan));
    scene.now.members[3].address[0]--;
    cr_assert_eq(voters_choose(&scene.wanted, NULL), 0);
    plan_deinit(&plan);
    plan = plan_scene_plan(&scene);
    scene.wanted.meta_voters[scene.wanted.meta_voter_count - 1] = 6; /* for one that died since */
    cr_assert_not(hash_stays(&scene, &plan));
    scene.wanted.meta_voters[scene.wanted.meta_voter_count - 1] = 5;
    cr_assert(hash_stays(&scene, &plan));
    scene.now.cluster[3] ^= 1;
    cr_assert_not(hash_stays(&scene, &plan));
    plan_deinit(&plan);
    plan_scene_deinit(&scene);
}

Test(plan, tolerance_is_that_of_the_weakest_row_on_either_side)
{
    struct plan_scene scene;
    struct plan plan;

    plan_scene_init(&scene, 5, 5, 5);
    ringmap_deinit(&scene.wanted);
    scene.wanted = model_cluster(5, 64, 3);
    plan = plan_scene_plan(&scene);
    cr_assert(plan.tolerance_before == 2 && plan.tolerance_least == 1 && plan.tolerance_after == 1);
    cr_assert_eq(plan_scene_notes(&plan, PLAN_NOTE_TOLERANCE), 1);
    cr_assert_not(plan_refused(&plan));
    plan_deinit(&plan);
    plan_scene_deinit(&scene);

    plan_scene_init(&scene, 5, 6, 3); /* a dead one is replaced */
    scene.nodes[1].alive = false;
    scene.wanted.members[1].state = RINGMAP_STATE_REMOVED;
    plan = plan_scene_plan(&scene);
    cr_assert(plan.tolerance_before == 0 && plan.tolerance_least == 0 && plan.tolerance_after == 1);
    cr_assert_eq(plan.note_count, 0);
    cr_assert_eq(plan.members[1].bytes_out, 0, "the dead send nothing");
    plan_deinit(&plan);
    plan_scene_deinit(&scene);
}

/* Node 1 is dead: what it held can survive nothing more and goes first. */
Test(plan, the_weakest_partitions_go_first)
{
    struct plan_scene scene;
    struct plan plan;
    uint32_t last_weak = 0, first_strong = UINT32_MAX;

    plan_scene_init(&scene, 6, 8, 3);
    scene.nodes[0].alive = false;
    scene.wanted.members[0].state = RINGMAP_STATE_REMOVED;
    plan = plan_scene_plan(&scene);
    for (uint32_t i = 0; i < plan.move_count; i++) {
        bool weak = ringmap_holds(&scene.now, plan.moves[i].partition, 1);

        if (weak && plan.moves[i].wave > last_weak)
            last_weak = plan.moves[i].wave;
        if (!weak && plan.moves[i].wave < first_strong)
            first_strong = plan.moves[i].wave;
    }
    cr_assert_neq(first_strong, UINT32_MAX);
    cr_assert_leq(last_weak, first_strong + 1);
    plan_deinit(&plan);
    plan_scene_deinit(&scene);
}

Test(plan, what_cannot_hold_is_refused_by_name)
{
    struct plan_scene scene;
    struct plan plan;

    plan_scene_init(&scene, 3, 3, 3);
    scene.wanted.members[2].state = RINGMAP_STATE_LEAVING;
    plan_scene_refused(&scene, PLAN_NOTE_NODES, 0, 3, 2);
    plan_scene_deinit(&scene);

    plan_scene_init(&scene, 3, 4, 3);
    scene.nodes[3].disk_room = 46 * MIB;
    plan_scene_refused(&scene, PLAN_NOTE_DISK, 4, 47 * MIB, 46 * MIB);
    scene.nodes[3].disk_room = 47 * MIB;
    plan = plan_scene_plan(&scene);
    cr_assert_not(plan_refused(&plan));
    plan_deinit(&plan);
    scene.nodes[3].alive = false;
    plan_scene_refused(&scene, PLAN_NOTE_TARGET_DEAD, 4, 47 * MIB, 0);
    scene.nodes[3].alive = true;
    scene.nodes[3].lost = true;
    plan_scene_refused(&scene, PLAN_NOTE_TARGET_LOST, 4, 47 * MIB, 0);
    scene.nodes[3].lost = false;
    scene.nodes[0].alive = scene.nodes[2].alive = false;
    plan_scene_refused(&scene, PLAN_NOTE_META, 0, 2, 1);
    scene.nodes[0].alive = scene.nodes[2].alive = true;
    plan_scene_deinit(&scene);
}

/* What it holds may go, and it with it. */
Test(plan, who_is_lost_may_keep_or_give_up_what_it_holds)
{
    struct plan_scene scene;
    struct plan plan;

    plan_scene_init(&scene, 4, 5, 3);
    scene.nodes[0].lost = true;
    plan = plan_scene_plan(&scene);
    cr_assert_not(plan_refused(&plan));
    plan_deinit(&plan);
    plan_scene_deinit(&scene);

    plan_scene_init(&scene, 4, 4, 3);
    scene.wanted.members[0].state = RINGMAP_STATE_LEAVING;
    scene.nodes[0].lost = true;
    plan = plan_scene_plan(&scene);
    cr_assert_not(plan_refused(&plan));
    plan_deinit(&plan);
    plan_scene_deinit(&scene);
}

/* With a weight of 1 it gets no partition: nothing would wait for it, but the next plan. */
Test(plan, who_is_not_alive_is_not_taken_in_and_gets_no_vote)
{
    struct plan_scene scene;
    struct plan plan;

    plan_scene_init(&scene, 4, 5, 3);
    scene.wanted.members[4].weight = 1;
    scene.nodes[4].alive = false;
    plan_scene_refused(&scene, PLAN_NOTE_TARGET_DEAD, 5, 0, 0);
    scene.nodes[4].alive = true;
    plan = plan_scene_plan(&scene);
    cr_assert_eq(plan.members[4].moves_in, 0);
    cr_assert_not(plan_refused(&plan));
    plan_deinit(&plan);
    plan_scene_deinit(&scene);

    plan_scene_init(&scene, 4, 4, 3);
    scene.wanted.meta_voter_count = 3;
    memcpy(scene.wanted.meta_voters, (const uint16_t[]){1, 2, 4}, 3 * sizeof(uint16_t));
    scene.nodes[3].alive = false;
    plan_scene_refused(&scene, PLAN_NOTE_TARGET_DEAD, 4, 0, 0);
    scene.nodes[3].alive = true;
    scene.nodes[1].alive = false;
    plan = plan_scene_plan(&scene);
    cr_assert_not(plan_refused(&plan), "it has its vote already");
    plan_deinit(&plan);
    plan_scene_deinit(&scene);
}

Test(plan, a_partition_without_majority_is_not_changed)
{
    struct plan_scene scene;
    struct plan plan;
    uint32_t touched = 0;

    plan_scene_init(&scene, 6, 6, 3);
    scene.nodes[0].alive = scene.nodes[1].alive = false;
    scene.wanted.members[0].state = RINGMAP_STATE_REMOVED;
    plan = plan_scene_plan(&scene);
    cr_assert(plan_refused(&plan));
    for (uint32_t i = 0; i < plan.note_count; i++) {
        const struct plan_note *note = &plan.notes[i];

        if (note->code != PLAN_NOTE_QUORUM)
            continue;
        cr_assert(ringmap_holds(&scene.now, note->partition, 1) &&
                  ringmap_holds(&scene.now, note->partition, 2));
        cr_assert(note->need == 2 && note->have == 1);
        touched++;
    }
    cr_assert(touched > 0 && touched <= PLAN_NOTES_ALIKE_MAX);
    cr_assert_lt(plan.tolerance_before, 0);
    cr_assert_eq(plan_scene_note(&plan, PLAN_NOTE_TARGET_DEAD)->member, 2,
                 "it would take over from 1");
    plan_deinit(&plan);
    plan_scene_deinit(&scene);

    plan_scene_init(&scene, 6, 6, 3); /* the same dead, and nothing to do: worth a word */
    scene.nodes[0].alive = scene.nodes[1].alive = false;
    plan = plan_scene_plan(&scene);
    cr_assert_not(plan_refused(&plan));
    cr_assert_gt(plan_scene_notes(&plan, PLAN_NOTE_QUORUM_KEPT), 0);
    cr_assert_eq(plan_scene_notes(&plan, PLAN_NOTE_DEAD), 2);
    plan_deinit(&plan);
    plan_scene_deinit(&scene);
}

Test(plan, a_group_that_nobody_speaks_for_forbids_it_changed_or_not)
{
    bool unknown[65] = {false};
    char text[PLAN_NOTE_SIZE];
    struct plan_scene scene;
    struct plan plan;

    plan_scene_init(&scene, 4, 4, 3);
    scene.input.unknown = unknown;
    plan = plan_scene_plan(&scene);
    cr_assert_not(plan_refused(&plan));
    plan_deinit(&plan);
    unknown[9] = unknown[64] = true;
    plan = plan_scene_plan(&scene);
    cr_assert(plan_refused(&plan));
    cr_assert_eq(plan.move_count, 0);
    cr_assert_eq(plan_scene_notes(&plan, PLAN_NOTE_UNKNOWN), 2);
    plan_note_text(&plan.notes[0], text);
    cr_assert(strstr(text, "partition 9"), "%s", text);
    plan_note_text(&plan.notes[1], text);
    cr_assert(strstr(text, "the meta group"), "%s", text);
    plan_deinit(&plan);
    plan_scene_deinit(&scene);
}

Test(plan, no_memory_is_an_answer)
{
    struct plan_scene scene;
    struct plan plan;
    int r;

    plan_scene_init(&scene, 5, 6, 3);
    plan_scene_place(&scene.now, &scene.wanted);
    for (uint64_t n = 1;; n++) {
        alloc_fail_after(n);
        r = plan_make(&scene.input, &plan);
        if (!alloc_failed())
            break;
        cr_assert_eq(r, -ENOMEM);
    }
    alloc_fail_after(0);
    cr_assert_eq(r, 0);
    plan_deinit(&plan);
    plan_scene_deinit(&scene);
}
