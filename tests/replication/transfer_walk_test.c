#include "transfer_scene.h"

#include <string.h>

#include "replication/quorum.h"
#include "ring/ringmap.h"
#include "tests/dice.h"

/* A group that is taken from row to row while members die and come back, lose their logs, are
 * removed by force, learn nothing, and lead one after another. The walk itself never takes the
 * majority of a half away, as that stops any group; so whatever is proposed must be committed by
 * those who are left, and the last row must be reached. What is proposed is held against what the
 * members are, and not what the leader believes of them. */

#define ROUNDS    20000u
#define STEPS_MAX 14u

struct member {
    bool dead;
    bool removed; /* by the map: it may live on and answer, and will not vote */
    bool fenced;  /* its log is lost: it neither votes nor answers */
    bool stuck;   /* never catches up: its disk is full, or nothing can be written there */
};

struct walk {
    struct dice dice;
    uint32_t round;
    struct raft raft;
    struct transfer_view view;
    struct transfer_action action;
    uint16_t wanted[RAFT_VOTERS_MAX];
    uint8_t states[MEMBERS + 1];
    struct member members[MEMBERS + 1];
    bool all_heard; /* the leader knows of everybody whether it is there */
};

static bool chance(struct walk *walk, uint32_t of)
{
    return dice_pick(&walk->dice, of) == 0;
}

static bool wanted(const struct walk *walk, uint16_t member)
{
    for (uint32_t i = 0; i < walk->view.wanted_count; i++)
        if (walk->wanted[i] == member)
            return true;
    return false;
}

static bool votes(const struct walk *walk, uint16_t member)
{
    const struct member *it = &walk->members[member];

    return !it->dead && !it->removed && !it->fenced;
}

/* Further failures that these voters survive; below zero they commit nothing. */
static int spare(const struct walk *walk, const struct raft_replica *voters, uint32_t count)
{
    int there = 0;

    for (uint32_t i = 0; i < count; i++)
        there += votes(walk, voters[i].member);
    return count == 0 ? 0 : there - (int)quorum_size(count);
}

static bool can_commit(const struct walk *walk, const struct raft_config *config)
{
    return spare(walk, config->voters, config->voter_count) >= 0 &&
           spare(walk, config->voters_old, config->voter_old_count) >= 0;
}

/* --- the world ----------------------------------------------------------------------------- */

static void draw_wanted(struct walk *walk)
{
    uint16_t members[MEMBERS];
    uint32_t count = 0, width = 1 + dice_pick(&walk->dice, 5);

    for (uint16_t member = 1; member <= MEMBERS; member++)
        if (!walk->members[member].removed)
            members[count++] = member;
    width = width < count ? width : count;
    for (uint32_t i = 0; i < width; i++) {
        uint32_t at = i + dice_pick(&walk->dice, count - i);

        walk->wanted[i] = members[at];
        members[at] = members[i];
    }
    walk->view.wanted_count = width;
    walk->view.epoch++;
    walk->view.moving = chance(walk, 2);
}

/* Who leads, as the core begins it: everybody counts as heard of at that moment. */
static void elect(struct walk *walk, uint16_t member)
{
    struct raft *raft = &walk->raft;
    const struct raft_progress *self = raft_peer(raft, member);

    cr_assert(self);
    raft->options.self = self->replica;
    walk->view.now_ms += SILENT_MS;
    walk->view.since_ms = walk->view.now_ms;
    for (uint32_t i = 0; i < raft->peer_count; i++)
        progress_reset(&raft->peers[i], raft->log.last, walk->view.now_ms);
    raft->term_start = raft->commit = ++raft->log.last;
    walk->all_heard = false;
}

static void elect_any(struct walk *walk)
{
    const struct raft *raft = &walk->raft;
    uint32_t from = dice_pick(&walk->dice, raft->peer_count);

    for (uint32_t i = 0; i < raft->peer_count; i++) {
        const struct raft_progress *peer = &raft->peers[(from + i) % raft->peer_count];

        if ((peer->voter || peer->voter_old) && votes(walk, peer->replica.member)) {
            elect(walk, peer->replica.member);
            return;
        }
    }
    cr_assert_fail("round %u: nobody can lead", walk->round);
}

static void hear(struct walk *walk, bool all)
{
    struct raft *raft = &walk->raft;

    walk->view.now_ms += all ? SILENT_MS + 1 : 1;
    for (uint32_t i = 0; i < raft->peer_count; i++) {
        struct raft_progress *peer = &raft->peers[i];
        const struct member *member = &walk->members[peer->replica.member];

        if (member->fenced && peer->match != 0) { /* it answered, and then says so */
            peer->heard_ms = walk->view.now_ms;
            peer->fenced = raft->log.last;
            peer->match = 0;
        }
        if (member->dead || member->fenced || (!all && chance(walk, 2)))
            continue;
        peer->fenced = 0;
        peer->heard_ms = walk->view.now_ms;
        if (peer->voter || peer->voter_old || !member->stuck)
            peer->match = raft->log.last;
    }
    walk->all_heard = all || walk->all_heard;
}

/* Something befalls a member, or no longer. Not what leaves the group without a majority. It is
 * not of this moment: what the leader heard of before is too old to count. */
static void befall(struct walk *walk)
{
    uint16_t member = (uint16_t)(1 + dice_pick(&walk->dice, MEMBERS));
    struct member before = walk->members[member], *now = &walk->members[member];
    uint32_t left = 0;

    for (uint16_t i = 1; i <= MEMBERS; i++)
        left += !walk->members[i].removed;
    switch (dice_pick(&walk->dice, 4)) {
    case 0:
        now->dead = !now->dead;
        break;
    case 1:
        now->fenced = !now->fenced;
        break;
    case 2:
        now->stuck = !now->stuck;
        break;
    default:
        if (left > 4)
            now->removed = true;
    }
    if (!can_commit(walk, &walk->raft.config)) {
        *now = before;
        return;
    }
    if (now->removed && !before.removed) {
        walk->states[member] = RINGMAP_STATE_REMOVED;
        if (wanted(walk, member))
            draw_wanted(walk);
    }
    walk->view.now_ms += SILENT_MS + 1;
    walk->all_heard = false;
    if (!votes(walk, walk->raft.options.self.member))
        elect_any(walk);
}

/* --- steps --------------------------------------------------------------------------------- */

static void check(const struct walk *walk)
{
    const struct raft_config *now = &walk->raft.config, *next = &walk->action.config;
    bool missing = false;

    cr_assert(raft_config_follows(&walk->raft, next), "round %u", walk->round);
    cr_assert(can_commit(walk, next), "round %u: nobody commits that", walk->round);
    for (uint32_t i = 0; i < walk->view.wanted_count; i++)
        missing |= !scene_has(next->voters, next->voter_count, walk->wanted[i]);
    if (next->voter_old_count == 0 || !missing)
        return;
    cr_assert_geq(next->voter_count, now->voter_count, "round %u: fewer, for nothing", walk->round);
    if (!walk->all_heard)
        return;
    cr_assert_geq(spare(walk, next->voters, next->voter_count),
                  spare(walk, now->voters, now->voter_count), "round %u", walk->round);
    for (uint32_t i = 0; next->voter_count > now->voter_count && i < next->voter_count; i++)
        cr_assert(votes(walk, next->voters[i].member) || wanted(walk, next->voters[i].member),
                  "round %u: %u, who only counts", walk->round, next->voters[i].member);
}

static uint8_t step(struct walk *walk, bool calm)
{
    struct raft *raft = &walk->raft;

    transfer_next(&walk->view, &walk->action);
    if (walk->action.step == TRANSFER_PROPOSE) {
        check(walk);
        raft_config_append(raft, ++raft->log.last, &walk->action.config, walk->view.now_ms);
        if (!calm && chance(walk, 8) && raft_config_truncate(raft, raft->log.last)) {
            raft->log.last--;
            elect_any(walk); /* who never had it */
        }
        raft->commit = raft->log.last;
    } else if (walk->action.step == TRANSFER_HAND_OVER) {
        cr_assert(scene_has(raft->config.voters, raft->config.voter_count, walk->action.member));
        if (votes(walk, walk->action.member))
            elect(walk, walk->action.member);
        else
            walk->view.since_ms = walk->view.now_ms; /* given up */
    }
    return walk->action.step;
}

static void begin(struct walk *walk)
{
    static const uint16_t voters[] = {1, 2, 3, 4, 5};

    scene_lead(&walk->raft, voters, 1 + dice_pick(&walk->dice, 5));
    walk->view = scene_view(&walk->raft, walk->wanted, walk->states);
    memset(walk->states, RINGMAP_STATE_ACTIVE, sizeof walk->states);
    draw_wanted(walk);
}

/* Who is to come comes, and of the row that is wanted so many as it takes. */
static void calm_down(struct walk *walk)
{
    const struct raft_config *config = &walk->raft.config;
    uint32_t there = 0, count = walk->view.wanted_count;

    for (uint32_t i = 0; i < count; i++) {
        struct member *member = &walk->members[walk->wanted[i]];

        if (!scene_has(config->voters, config->voter_count, walk->wanted[i]) || chance(walk, 2))
            *member = (struct member){0};
        there += votes(walk, walk->wanted[i]);
    }
    for (uint32_t i = 0; i < count && there < quorum_size(count); i++)
        if (!votes(walk, walk->wanted[i])) {
            walk->members[walk->wanted[i]] = (struct member){0};
            there++;
        }
    walk->view.may_begin = true;
    walk->view.paused = false;
}

static void expect_wanted(const struct walk *walk)
{
    const struct raft_config *config = &walk->raft.config;

    cr_assert_eq(config->voter_count, walk->view.wanted_count);
    cr_assert_eq(config->learner_count + config->voter_old_count, 0);
    for (uint32_t i = 0; i < walk->view.wanted_count; i++)
        cr_assert(scene_has(config->voters, config->voter_count, walk->wanted[i]));
    cr_assert(!walk->view.moving || config->epoch == walk->view.epoch);
}

Test(transfer_walk, whoever_dies_the_wanted_row_is_reached, .timeout = 60)
{
    for (uint32_t round = 0; round < ROUNDS; round++) {
        struct walk walk = {.dice = {.state = round}, .round = round};
        uint32_t steps = 0;

        begin(&walk);
        for (uint32_t i = 0; i < 60; i++) {
            if (chance(&walk, 12))
                draw_wanted(&walk);
            if (chance(&walk, 3))
                befall(&walk);
            if (chance(&walk, 8))
                elect_any(&walk);
            walk.view.may_begin = !chance(&walk, 3);
            walk.view.paused = chance(&walk, 6);
            hear(&walk, chance(&walk, 2));
            step(&walk, false);
        }
        calm_down(&walk);
        do {
            hear(&walk, true);
            cr_assert_lt(++steps, STEPS_MAX, "round %u: %s, for %u", round,
                         transfer_step_name(walk.action.step), walk.action.member);
        } while (step(&walk, true) != TRANSFER_DONE);
        expect_wanted(&walk);
        raft_deinit(&walk.raft);
    }
}
