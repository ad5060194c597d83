#include "replication/transfer.h"

#include "replication/quorum.h"
#include "ring/ringmap.h"
#include "storage/mutant.h"

#include <string.h>

static bool wants(const struct transfer_view *view, uint16_t member)
{
    for (uint32_t i = 0; i < view->wanted_count; i++)
        if (view->wanted[i] == member)
            return true;
    return false;
}

static const struct raft_replica *find(const struct raft_replica *replicas, uint32_t count,
                                       uint16_t member)
{
    for (uint32_t i = 0; i < count; i++)
        if (replicas[i].member == member)
            return &replicas[i];
    return NULL;
}

static bool heard(const struct transfer_view *view, uint16_t member)
{
    const struct raft_progress *peer = raft_peer(view->raft, member);

    return member == view->raft->options.self.member ||
           (peer && peer->heard_ms > view->since_ms &&
            peer->heard_ms + view->silent_ms > view->now_ms);
}

/* Who was removed may answer still, but will not vote again. */
static bool can_vote(const struct transfer_view *view, uint16_t member)
{
    const struct raft_progress *peer = raft_peer(view->raft, member);

    return heard(view, member) && view->states[member] != RINGMAP_STATE_REMOVED &&
           (!peer || peer->fenced == 0);
}

static bool caught_up(const struct transfer_view *view, uint16_t member)
{
    const struct raft_progress *peer = raft_peer(view->raft, member);

    /* The entry that made it a learner is part of what it must have. */
    return peer && heard(view, member) && !peer->snapshot_wanted && peer->snapshot == 0 &&
           peer->match >= view->raft->config.index &&
           peer->match + TRANSFER_LAG_MAX >= view->raft->log.last;
}

static void wait_for(struct transfer_action *action, uint8_t step, uint16_t member)
{
    action->step = step;
    action->member = member;
}

static void propose(struct transfer_action *action, const struct raft_config *config)
{
    action->step = TRANSFER_PROPOSE;
    action->config = *config;
    action->config.index = 0; /* it gets one with its entry */
}

/* --- out of a joint configuration ---------------------------------------------------------- */

/* The wanted voter that is nearest to the end of the log. */
static uint16_t next_leader(const struct transfer_view *view)
{
    const struct raft_config *config = &view->raft->config;
    uint16_t best = 0;
    uint64_t match = 0;

    for (uint32_t i = 0; i < config->voter_count; i++) {
        uint16_t member = config->voters[i].member;
        const struct raft_progress *peer = raft_peer(view->raft, member);

        if (can_vote(view, member) && caught_up(view, member) && peer->match >= match) {
            best = member;
            match = peer->match;
        }
    }
    return best;
}

static void leave_joint(const struct transfer_view *view, struct transfer_action *action)
{
    const struct raft_config *config = &view->raft->config;

    if (!find(config->voters, config->voter_count, view->raft->options.self.member)) {
        uint16_t member = next_leader(view);

        if (member != 0)
            wait_for(action, TRANSFER_HAND_OVER, member);
        else
            wait_for(action, TRANSFER_CATCH_UP, config->voters[0].member);
        return;
    }
    propose(action, config);
    action->config.voter_old_count = 0;
    memset(action->config.voters_old, 0, sizeof action->config.voters_old);
}

/* --- learners ------------------------------------------------------------------------------ */

/* Puts the learners that there should be into *config. How many of them are new. */
static uint32_t learners_wanted(const struct transfer_view *view, struct raft_config *config)
{
    const struct raft_config *now = &view->raft->config;
    uint32_t added = 0;

    config->learner_count = 0;
    memset(config->learners, 0, sizeof config->learners);
    for (uint32_t i = 0; i < view->wanted_count; i++) {
        uint16_t member = view->wanted[i];
        const struct raft_replica *learner = find(now->learners, now->learner_count, member);

        if (member == 0 || find(now->voters, now->voter_count, member) ||
            find(config->learners, config->learner_count, member))
            continue;
        config->learners[config->learner_count++] =
            learner ? *learner : (struct raft_replica){.member = member};
        added += learner == NULL;
    }
    return added;
}

static bool has_unwanted_learner(const struct transfer_view *view)
{
    const struct raft_config *now = &view->raft->config;

    for (uint32_t i = 0; i < now->learner_count; i++)
        if (!wants(view, now->learners[i].member))
            return true;
    return false;
}

/* Proposes other learners when there should be; false: they are as they should be. */
static bool change_learners(const struct transfer_view *view, struct transfer_action *action)
{
    struct raft_config next = view->raft->config;
    uint32_t added = learners_wanted(view, &next);

    if (added > 0 && (view->paused || !view->may_begin)) {
        if (!has_unwanted_learner(view)) {
            action->step = view->paused ? TRANSFER_PAUSED : TRANSFER_BUDGET;
            /* Those who are there already go on. */
            return next.learner_count == added;
        }
        /* Only those who are there already and are wanted stay. */
        uint32_t kept = 0;

        for (uint32_t i = 0; i < next.learner_count; i++)
            if (next.learners[i].life != 0)
                next.learners[kept++] = next.learners[i];
        next.learner_count = (uint8_t)kept;
    } else if (added == 0 && !has_unwanted_learner(view)) {
        return false;
    }
    next.epoch = view->epoch;
    propose(action, &next);
    return true;
}

/* --- voters -------------------------------------------------------------------------------- */

static void take(struct raft_config *config, const struct raft_replica *replica)
{
    config->voters[config->voter_count++] = *replica;
}

/* Voters that are not wanted stay in the places for which nobody is ready yet: this leader first,
 * then who can vote. The others only for there to be no fewer than now. */
static void keep_others(const struct transfer_view *view, struct raft_config *next, uint32_t wanted)
{
    const struct raft_config *now = &view->raft->config;
    uint16_t self = view->raft->options.self.member;

    for (uint32_t pass = 0; pass < 3; pass++) {
        uint32_t places = pass < 2 && wanted > now->voter_count ? wanted : now->voter_count;

        for (uint32_t i = 0; i < now->voter_count && next->voter_count < places; i++) {
            uint16_t member = now->voters[i].member;

            if (!wants(view, member) && !find(next->voters, next->voter_count, member) &&
                (pass > 0 || member == self) && (pass > 1 || can_vote(view, member)))
                take(next, &now->voters[i]);
        }
    }
}

/* The voters that there can be now, and who is still to learn. While somebody who is wanted is to
 * come, also one who waits for its turn to learn, they do not become fewer: one failure more would
 * be too many, for nothing. */
static void voters_possible(const struct transfer_view *view, struct raft_config *next)
{
    const struct raft_config *now = &view->raft->config;
    uint32_t wanted = 0;

    *next = (struct raft_config){.epoch = view->epoch, .voter_old_count = now->voter_count};
    memcpy(next->voters_old, now->voters, sizeof next->voters_old);
    for (uint32_t i = 0; i < view->wanted_count; i++)
        wanted += view->wanted[i] != 0;
    for (uint32_t i = 0; i < now->voter_count; i++)
        if (wants(view, now->voters[i].member))
            take(next, &now->voters[i]);
    for (uint32_t i = 0; i < now->learner_count; i++) {
        const struct raft_replica *learner = &now->learners[i];

        if (caught_up(view, learner->member))
            take(next, learner);
        else
            next->learners[next->learner_count++] = *learner;
    }
    if (next->voter_count < wanted)
        keep_others(view, next, wanted);
}

static bool same_voters(const struct raft_config *one, const struct raft_config *other)
{
    for (uint32_t i = 0; i < one->voter_count; i++)
        if (!find(other->voters, other->voter_count, one->voters[i].member))
            return false;
    return one->voter_count == other->voter_count;
}

/* The first voter of *next that cannot vote, when no majority of them can; else 0. */
static uint16_t silent_majority(const struct transfer_view *view, const struct raft_config *next)
{
    uint32_t there = 0;
    uint16_t silent = 0;

    for (uint32_t i = 0; i < next->voter_count; i++) {
        uint16_t member = next->voters[i].member;

        if (can_vote(view, member))
            there++;
        else if (silent == 0)
            silent = member;
    }
    return there >= quorum_size(next->voter_count) ? 0 : silent;
}

/* Nothing can be changed now: is that the end? Else says who is waited for. */
static void wait_for_learners(const struct transfer_view *view, struct transfer_action *action)
{
    const struct raft_config *now = &view->raft->config;

    for (uint32_t i = 0; i < now->learner_count; i++) {
        uint16_t member = now->learners[i].member;

        wait_for(action, heard(view, member) ? TRANSFER_CATCH_UP : TRANSFER_SILENT, member);
        if (action->step == TRANSFER_CATCH_UP)
            return;
    }
}

static void change_voters(const struct transfer_view *view, struct transfer_action *action)
{
    struct raft_config next;
    uint16_t silent;

    voters_possible(view, &next);
    if (same_voters(&next, &view->raft->config)) {
        wait_for_learners(view, action);
        return;
    }
    silent = silent_majority(view, &next);
    if (silent != 0) {
        wait_for(action, TRANSFER_SILENT, silent);
    } else if (view->paused) {
        action->step = TRANSFER_PAUSED;
    } else {
        propose(action, &next);
    }
}

/* The same configuration for this epoch. */
static void confirm(const struct transfer_view *view, struct transfer_action *action)
{
    propose(action, &view->raft->config);
    action->config.epoch = view->epoch;
}

void transfer_next(const struct transfer_view *view, struct transfer_action *action)
{
    const struct raft *raft = view->raft;

    *action = (struct transfer_action){.step = TRANSFER_DONE};
    if (raft->role != RAFT_LEADER || raft->term_start == 0)
        action->step = TRANSFER_NOT_HERE;
    else if ((raft->config.index > raft->commit && !mutant(MUTANT_TWO_CHANGES)) ||
             (raft->commit < raft->term_start && !mutant(MUTANT_CHANGE_BEFORE_OWN_TERM)))
        action->step = TRANSFER_COMMIT;
    else if (raft->config.voter_old_count > 0)
        leave_joint(view, action);
    else if (view->epoch < raft->config.epoch && !mutant(MUTANT_EPOCH_IGNORED))
        action->step = TRANSFER_MAP;
    else if (!change_learners(view, action))
        change_voters(view, action);
    if (action->step == TRANSFER_DONE && view->moving && raft->config.epoch < view->epoch)
        confirm(view, action);
}

const char *transfer_step_name(uint8_t step)
{
    static const char *names[] = {
        [TRANSFER_DONE] = "done",
        [TRANSFER_NOT_HERE] = "no leader here",
        [TRANSFER_PROPOSE] = "changing the configuration",
        [TRANSFER_HAND_OVER] = "handing over the leadership",
        [TRANSFER_COMMIT] = "committing the configuration",
        [TRANSFER_MAP] = "waiting for the ring map",
        [TRANSFER_BUDGET] = "waiting for its turn",
        [TRANSFER_CATCH_UP] = "catching up",
        [TRANSFER_SILENT] = "not heard of",
        [TRANSFER_PAUSED] = "paused",
        [TRANSFER_CLIENTS] = "catching up behind clients",
        [TRANSFER_ROOM] = "waiting for room on a full disk",
    };

    return step < sizeof names / sizeof *names ? names[step] : "unknown";
}
