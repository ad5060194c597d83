/* Transfer: the next step by which a leader takes its group from the replicas it has to those that
 * the ring map wants.
 *
 * The way is always the same, and it can be left and taken up anywhere, by any leader, because
 * nothing is remembered: everything is derived from the group's own configuration.
 *   1. who is wanted and not there becomes a learner, and gets the log or a snapshot;
 *   2. learners that have caught up take the place of voters that are not wanted, in one joint
 *      configuration (Ongaro's thesis, section 4.3);
 *   3. a leader that is not wanted hands its leadership to one that is;
 *   4. out of the joint configuration, into the new one.
 * A map that changes on the way - also back, which is how a plan is aborted - is just another row
 * to go to: a joint configuration is left first, learners that nobody wants any more go.
 *
 * While the map is on its way to another, a group that is as it should be says so by a
 * configuration of that epoch, the same but for it: no leader with an older map takes it elsewhere
 * then, so that what was told of as done stays so when the map has arrived.
 *
 * What is never done: fewer voters than before while somebody who is wanted is to come, or than
 * wanted at last; a set of voters of which no majority has answered this leader lately and may
 * still vote; a configuration of a lower epoch than the group's own.
 *
 * A pure function, called by the leader's host at its duties. It owns nothing.
 */
#ifndef REPLICATION_TRANSFER_H
#define REPLICATION_TRANSFER_H

#include "replication/raft.h"

#define TRANSFER_LAG_MAX 64u /* entries that a learner may be behind when it gets its vote */

struct transfer_view {
    const struct raft *raft;
    const uint16_t *wanted; /* the map's row: member ids, 0 for a free place */
    uint32_t wanted_count;
    uint64_t epoch;        /* of that map */
    const uint8_t *states; /* by member id: enum ringmap_state in that map; 0: it has none such */
    uint64_t now_ms;
    uint64_t since_ms;  /* when it began to lead: only who was heard of later was heard of at all */
    uint32_t silent_ms; /* who has not been heard of for so long does not count */
    bool may_begin;     /* this node may take on one more learner now */
    bool paused;        /* nothing new is begun; learners learn on; what is joint ends */
    bool moving;        /* the map is on its way to another: DONE is a configuration of its epoch */
};

enum transfer_step {
    TRANSFER_DONE,      /* the group is as the map wants it */
    TRANSFER_NOT_HERE,  /* not the leader, or its term has not begun yet */
    TRANSFER_PROPOSE,   /* action.config */
    TRANSFER_HAND_OVER, /* leadership to action.member */
    /* It waits, for: */
    TRANSFER_COMMIT,   /* the configuration before to be committed */
    TRANSFER_MAP,      /* a map as new as the group's configuration */
    TRANSFER_BUDGET,   /* may_begin */
    TRANSFER_CATCH_UP, /* action.member to catch up */
    TRANSFER_SILENT,   /* action.member to be heard of */
    TRANSFER_PAUSED,
    TRANSFER_CLIENTS, /* never an action: as people see CATCH_UP while clients go first, */
    TRANSFER_ROOM,    /* and while the disk of action.member is full */
};

struct transfer_action {
    uint8_t step;
    uint16_t member; /* whom it waits for, or who shall lead */
    struct raft_config config;
};

/* *action is filled whole. */
void transfer_next(const struct transfer_view *view, struct transfer_action *action);
/* For people: "catching up" and the like; never NULL. */
const char *transfer_step_name(uint8_t step);

#endif
