#include "transfer_scene.h"

#include <string.h>

#include "replication/quorum.h"
#include "ring/ringmap.h"
#include "tests/dice.h"

struct group {
    struct raft raft;
    struct transfer_view view;
    uint16_t wanted[RAFT_VOTERS_MAX];
    struct transfer_action action;
    uint8_t states[MEMBERS + 1];
};

static void group_init(struct group *group, const uint16_t *voters, uint32_t count)
{
    memset(group, 0, sizeof *group);
    scene_lead(&group->raft, voters, count);
    group->view = scene_view(&group->raft, group->wanted, group->states);
}

static void want(struct group *group, const uint16_t *members, uint32_t count)
{
    memcpy(group->wanted, members, count * sizeof *members);
    group->view.wanted_count = count;
}

static struct raft_progress *peer_of(struct group *group, uint16_t member)
{
    struct raft_progress *peer = (struct raft_progress *)raft_peer(&group->raft, member);

    cr_assert(peer, "member %u is in no configuration", member);
    return peer;
}

static void hear(struct group *group, uint16_t member, bool caught_up)
{
    struct raft_progress *peer = peer_of(group, member);

    peer->heard_ms = group->view.now_ms;
    if (caught_up)
        peer->match = group->raft.log.last;
}

static void hear_all(struct group *group)
{
    for (uint32_t i = 0; i < group->raft.peer_count; i++)
        hear(group, group->raft.peers[i].replica.member, true);
}

static uint8_t next(struct group *group)
{
    transfer_next(&group->view, &group->action);
    return group->action.step;
}

/* What the leader's host and its group make of the proposal. */
static void append(struct group *group)
{
    struct raft *raft = &group->raft;

    cr_assert(raft_config_follows(raft, &group->action.config));
    raft_config_append(raft, ++raft->log.last, &group->action.config, group->view.now_ms);
}

static void commit(struct group *group)
{
    group->raft.commit = group->raft.log.last;
}

static void propose(struct group *group)
{
    cr_assert_eq(next(group), TRANSFER_PROPOSE, "%s", transfer_step_name(group->action.step));
    append(group);
    cr_assert_eq(next(group), TRANSFER_COMMIT);
    commit(group);
}

static bool votes(const struct group *group, uint16_t member)
{
    return scene_has(group->raft.config.voters, group->raft.config.voter_count, member);
}

static bool learns(const struct group *group, uint16_t member)
{
    return scene_has(group->raft.config.learners, group->raft.config.learner_count, member);
}

Test(transfer, what_is_as_wanted_is_left_alone)
{
    struct group group;

    group_init(&group, (uint16_t[]){1, 2, 3}, 3);
    want(&group, (uint16_t[]){3, 1, 2}, 3);
    cr_assert_eq(next(&group), TRANSFER_DONE);
    group.raft.role = RAFT_FOLLOWER;
    want(&group, (uint16_t[]){4, 5, 6}, 3);
    cr_assert_eq(next(&group), TRANSFER_NOT_HERE);
}

Test(transfer, a_replica_moves_by_learning_first)
{
    struct group group;

    group_init(&group, (uint16_t[]){1, 2, 3}, 3);
    want(&group, (uint16_t[]){1, 2, 4}, 3);
    propose(&group);
    cr_assert(learns(&group, 4) && votes(&group, 3));
    cr_assert_eq(peer_of(&group, 4)->replica.life, 3, "its life begins with that entry");
    hear(&group, 2, true);
    peer_of(&group, 4)->heard_ms = 0;
    cr_assert(next(&group) == TRANSFER_SILENT && group.action.member == 4);
    hear(&group, 4, false);
    cr_assert(next(&group) == TRANSFER_CATCH_UP && group.action.member == 4);
    hear(&group, 4, true);
    peer_of(&group, 4)->snapshot_wanted = true;
    cr_assert_eq(next(&group), TRANSFER_CATCH_UP);
    peer_of(&group, 4)->snapshot_wanted = false;
    propose(&group);
    cr_assert_eq(group.raft.config.voter_old_count, 3);
    cr_assert(votes(&group, 4) && !votes(&group, 3) && !learns(&group, 4));
    propose(&group);
    cr_assert_eq(group.raft.config.voter_old_count, 0);
    cr_assert_eq(group.raft.config.voters[2].life, 3, "it keeps its life");
    cr_assert_eq(next(&group), TRANSFER_DONE);
}

Test(transfer, a_learner_behind_in_the_log_gets_no_vote)
{
    struct group group;

    group_init(&group, (uint16_t[]){1, 2, 3}, 3);
    want(&group, (uint16_t[]){1, 2, 4}, 3);
    propose(&group);
    hear_all(&group);
    group.raft.log.last += TRANSFER_LAG_MAX;
    group.raft.commit = group.raft.log.last;
    cr_assert_eq(next(&group), TRANSFER_PROPOSE);
    group.raft.log.last++;
    cr_assert_eq(next(&group), TRANSFER_CATCH_UP);
}

Test(transfer, a_leader_that_is_to_go_hands_over_first)
{
    struct group group;

    group_init(&group, (uint16_t[]){1, 2, 3}, 3);
    want(&group, (uint16_t[]){2, 3, 4}, 3);
    propose(&group);
    hear_all(&group);
    propose(&group);
    cr_assert(!votes(&group, 1));
    for (uint32_t i = 0; i < group.raft.peer_count; i++)
        group.raft.peers[i].match = 0;
    cr_assert_eq(next(&group), TRANSFER_CATCH_UP, "nobody could take it");
    hear(&group, 3, true);
    cr_assert(next(&group) == TRANSFER_HAND_OVER && group.action.member == 3);
    group.raft.options.self = peer_of(&group, 3)->replica;
    propose(&group);
    cr_assert_eq(next(&group), TRANSFER_DONE);
}

Test(transfer, who_is_ready_need_not_wait_for_the_others)
{
    struct group group;

    group_init(&group, (uint16_t[]){1, 2, 3}, 3);
    want(&group, (uint16_t[]){4, 5, 6}, 3);
    propose(&group);
    hear(&group, 2, true);
    hear(&group, 5, true);
    peer_of(&group, 3)->heard_ms = 0;
    propose(&group);
    cr_assert(votes(&group, 5) && votes(&group, 1) && votes(&group, 2) && !votes(&group, 3),
              "the silent one goes first");
    cr_assert(learns(&group, 4) && learns(&group, 6));
}

Test(transfer, no_majority_of_the_silent_is_made)
{
    struct group group;

    group_init(&group, (uint16_t[]){1, 2, 3, 4, 5}, 5);
    want(&group, (uint16_t[]){1, 4, 5}, 3);
    hear(&group, 2, true);
    hear(&group, 3, true);
    peer_of(&group, 4)->heard_ms = peer_of(&group, 5)->heard_ms = 0;
    cr_assert(next(&group) == TRANSFER_SILENT && group.action.member == 4);
    hear(&group, 4, true);
    cr_assert_eq(next(&group), TRANSFER_PROPOSE);
}

/* One of three stays. The two who are to come learn. 3 comes before 4. */
static void begin_new(struct group *group, const uint16_t *wanted, uint32_t count)
{
    group_init(group, (uint16_t[]){2, 3, 4}, 3);
    want(group, wanted, count);
    propose(group);
    group->view.since_ms = group->view.now_ms - 100;
    for (uint32_t i = 0; i < group->raft.peer_count; i++)
        group->raft.peers[i].heard_ms = group->view.since_ms;
}

static void expect_voters(struct group *group, const uint16_t *members, uint32_t count)
{
    cr_assert_eq(next(group), TRANSFER_PROPOSE, "%s", transfer_step_name(group->action.step));
    cr_assert_eq(group->action.config.voter_count, count);
    for (uint32_t i = 0; i < count; i++)
        cr_assert(scene_has(group->action.config.voters, count, members[i]), "%u", members[i]);
}

Test(transfer, who_has_not_answered_a_new_leader_keeps_no_place)
{
    struct group group;

    begin_new(&group, (uint16_t[]){2, 1, 5}, 3);
    hear(&group, 1, true);
    hear(&group, 4, true);
    expect_voters(&group, (uint16_t[]){2, 1, 4}, 3);
    begin_new(&group, (uint16_t[]){2, 1}, 2);
    hear(&group, 3, true);
    cr_assert_eq(next(&group), TRANSFER_SILENT, "%s", transfer_step_name(group.action.step));
}

Test(transfer, who_is_removed_or_fenced_keeps_no_place)
{
    struct group group;

    begin_new(&group, (uint16_t[]){2, 1, 5}, 3);
    hear_all(&group);
    peer_of(&group, 5)->match = 0;
    group.states[3] = RINGMAP_STATE_REMOVED;
    expect_voters(&group, (uint16_t[]){2, 1, 4}, 3);
    group.states[3] = RINGMAP_STATE_ACTIVE;
    expect_voters(&group, (uint16_t[]){2, 1, 3}, 3);
    peer_of(&group, 3)->fenced = 1;
    expect_voters(&group, (uint16_t[]){2, 1, 4}, 3);
}

/* Simulator, seeds 50179 and 51038: two of three were left, of which one was dead and the other to
 * be replaced by a third, who had yet to learn. */
Test(transfer, voters_become_fewer_only_when_all_are_there)
{
    struct group group;

    begin_new(&group, (uint16_t[]){2, 1}, 2);
    hear_all(&group);
    peer_of(&group, 1)->match = 0;
    cr_assert_eq(next(&group), TRANSFER_CATCH_UP, "%s", transfer_step_name(group.action.step));
    hear(&group, 1, true);
    expect_voters(&group, (uint16_t[]){2, 1}, 2);
    begin_new(&group, (uint16_t[]){1, 5}, 2);
    hear_all(&group);
    peer_of(&group, 5)->match = 0;
    expect_voters(&group, (uint16_t[]){2, 1, 3}, 3);
    want(&group, (uint16_t[]){2, 3}, 2);
    propose(&group); /* without learners */
    expect_voters(&group, (uint16_t[]){2, 3}, 2);
}

/* With it they would be four, of whom three are there, and survive nothing. */
Test(transfer, who_will_not_vote_is_not_kept_for_more_voters)
{
    struct group group;

    group_init(&group, (uint16_t[]){1, 2, 3}, 3);
    want(&group, (uint16_t[]){1, 2, 4, 5, 6}, 5);
    propose(&group);
    hear(&group, 2, true);
    hear(&group, 4, true);
    peer_of(&group, 3)->heard_ms = 0;
    expect_voters(&group, (uint16_t[]){1, 2, 4}, 3);
    hear(&group, 3, true);
    expect_voters(&group, (uint16_t[]){1, 2, 4, 3}, 4);
}

/* The other half of the plan is one that came later, when as many learned as may. */
Test(transfer, voters_become_fewer_only_when_nobody_waits_for_its_turn)
{
    struct group group;

    begin_new(&group, (uint16_t[]){1}, 1);
    hear_all(&group);
    want(&group, (uint16_t[]){1, 5}, 2);
    group.view.may_begin = false;
    expect_voters(&group, (uint16_t[]){1, 2, 3}, 3);
    propose(&group);
    propose(&group);
    cr_assert_eq(next(&group), TRANSFER_BUDGET);
    group.view.may_begin = true;
    propose(&group);
    hear_all(&group);
    expect_voters(&group, (uint16_t[]){1, 5}, 2);
}

Test(transfer, who_is_removed_shall_not_lead)
{
    struct group group;

    group_init(&group, (uint16_t[]){1, 2, 3}, 3);
    want(&group, (uint16_t[]){2, 3, 4}, 3);
    propose(&group);
    hear_all(&group);
    propose(&group);
    hear_all(&group);
    group.states[4] = RINGMAP_STATE_REMOVED;
    want(&group, (uint16_t[]){2, 3, 5}, 3);
    cr_assert(next(&group) == TRANSFER_HAND_OVER && group.action.member == 3);
}

Test(transfer, pause_and_budget_begin_nothing_and_end_what_is_joint)
{
    struct group group;

    group_init(&group, (uint16_t[]){1, 2, 3}, 3);
    want(&group, (uint16_t[]){1, 2, 4}, 3);
    group.view.may_begin = false;
    cr_assert_eq(next(&group), TRANSFER_BUDGET);
    group.view.may_begin = true;
    group.view.paused = true;
    cr_assert_eq(next(&group), TRANSFER_PAUSED);
    group.view.paused = false;
    propose(&group);
    hear_all(&group);
    group.view.paused = true;
    cr_assert_eq(next(&group), TRANSFER_PAUSED);
    group.view.paused = false;
    propose(&group);
    group.view.paused = true;
    propose(&group);
    cr_assert_eq(next(&group), TRANSFER_DONE);
}

Test(transfer, an_older_map_changes_nothing)
{
    struct group group;

    group_init(&group, (uint16_t[]){1, 2, 3}, 3);
    want(&group, (uint16_t[]){1, 2, 4}, 3);
    group.view.epoch = 7;
    propose(&group);
    group.view.epoch = 6;
    want(&group, (uint16_t[]){1, 2, 3}, 3);
    cr_assert_eq(next(&group), TRANSFER_MAP);
    group.view.epoch = 8; /* abort: the plan before, under a new epoch */
    propose(&group);
    cr_assert_eq(group.raft.config.learner_count, 0);
    cr_assert_eq(next(&group), TRANSFER_DONE);
}

/* So that no leader with an older map takes it away again. */
Test(transfer, a_group_that_is_as_a_plan_wants_it_says_so_under_its_epoch)
{
    struct group group;

    group_init(&group, (uint16_t[]){1, 2, 3}, 3);
    want(&group, (uint16_t[]){3, 1, 2}, 3);
    group.view.epoch = 5;
    cr_assert_eq(next(&group), TRANSFER_DONE,
                 "a map that is where it wants to be asks for nothing");
    group.view.moving = true;
    group.view.paused = true; /* nothing moves */
    propose(&group);
    cr_assert_eq(group.raft.config.epoch, 5);
    cr_assert(votes(&group, 1) && votes(&group, 2) && votes(&group, 3));
    cr_assert_eq(group.raft.config.voters[0].life, 1);
    cr_assert_eq(next(&group), TRANSFER_DONE);
    group.view.epoch = 4;
    want(&group, (uint16_t[]){1, 2, 4}, 3);
    cr_assert_eq(next(&group), TRANSFER_MAP);
}

/* --- any way from anywhere ----------------------------------------------------------------- */

static void draw_wanted(struct group *group, struct dice *dice)
{
    uint32_t count = 1 + dice_pick(dice, 5), at = 0;

    while (at < count) {
        uint16_t member = (uint16_t)(1 + dice_pick(dice, MEMBERS));
        bool known = false;

        for (uint32_t i = 0; i < at; i++)
            known = known || group->wanted[i] == member;
        if (!known)
            group->wanted[at++] = member;
    }
    group->view.wanted_count = count;
    group->view.epoch++;
    group->view.moving = dice_pick(dice, 2);
}

/* Some are heard of, some have caught up; always enough for this leader to remain one. */
static void draw_peers(struct group *group, struct dice *dice)
{
    struct raft *raft = &group->raft;

    group->view.now_ms += SILENT_MS / 2;
    for (uint32_t i = 0; i < raft->peer_count; i++) {
        struct raft_progress *peer = &raft->peers[i];

        if (peer->voter || peer->voter_old || dice_pick(dice, 2))
            hear(group, peer->replica.member, dice_pick(dice, 2));
    }
}

static void check_proposal(const struct group *group)
{
    const struct raft_config *now = &group->raft.config, *next = &group->action.config;
    uint32_t floor =
        now->voter_count < group->view.wanted_count ? now->voter_count : group->view.wanted_count;

    if (next->voter_old_count == 0 && now->voter_old_count == 0)
        cr_assert_eq(next->voter_count, now->voter_count, "learners change alone");
    else if (next->voter_old_count > 0)
        cr_assert_geq(next->voter_count, floor);
    for (uint32_t i = 0; i < next->voter_count; i++) {
        const struct raft_progress *peer = raft_peer(&group->raft, next->voters[i].member);

        cr_assert(peer, "a voter was a voter or a learner before");
        if (!peer->voter && !peer->voter_old)
            cr_assert(peer->match >= now->index &&
                      peer->match + TRANSFER_LAG_MAX >= group->raft.log.last);
    }
}

static void step(struct group *group, struct dice *dice, bool calm)
{
    struct raft *raft = &group->raft;

    if (next(group) == TRANSFER_PROPOSE) {
        check_proposal(group);
        append(group);
        if (!calm && dice_pick(dice, 8) == 0 && raft_config_truncate(raft, raft->log.last))
            raft->log.last--; /* another leader never had it */
    } else if (group->action.step == TRANSFER_HAND_OVER) {
        cr_assert(votes(group, group->action.member));
        raft->options.self = peer_of(group, group->action.member)->replica;
    }
    commit(group);
}

Test(transfer, every_row_is_reached_from_every_row)
{
    struct dice dice = {.state = 4};

    for (uint32_t round = 0; round < 3000; round++) {
        struct group group;
        uint32_t steps = 0;

        group_init(&group, (uint16_t[]){1, 2, 3, 4, 5}, 1 + dice_pick(&dice, 5));
        draw_wanted(&group, &dice);
        for (uint32_t i = 0; i < 40; i++) {
            if (dice_pick(&dice, 10) == 0)
                draw_wanted(&group, &dice);
            group.view.may_begin = dice_pick(&dice, 3) > 0;
            group.view.paused = dice_pick(&dice, 5) == 0;
            draw_peers(&group, &dice);
            step(&group, &dice, false);
        }
        group.view.may_begin = true;
        group.view.paused = false;
        do {
            hear_all(&group);
            step(&group, &dice, true);
            cr_assert_lt(++steps, 13u, "round %u: %s", round,
                         transfer_step_name(group.action.step));
        } while (group.action.step != TRANSFER_DONE);
        cr_assert_eq(group.raft.config.voter_count, group.view.wanted_count);
        for (uint32_t i = 0; i < group.view.wanted_count; i++)
            cr_assert(votes(&group, group.wanted[i]));
        cr_assert_eq(group.raft.config.learner_count + group.raft.config.voter_old_count, 0);
        cr_assert(!group.view.moving || group.raft.config.epoch == group.view.epoch);
        raft_deinit(&group.raft);
    }
}
