/* Staged: changes of the cluster that are asked for together, before any of them is carried out.
 *
 * Each is checked against the map as it would be after those before it, so what is staged can be
 * applied to the map it was staged on. One asked for twice is there once, as last said; what
 * contradicts an earlier one of the same member (leave after join) takes its place. staged_wanted()
 * gives the map they lead to, placed with the fewest moves; ring/plan.h tells what that takes, and
 * ring/next_map.h how it is begun.
 *
 * "replace DEAD NEW" is REMOVE of the one and JOIN of the other: the new one then gets what the
 * dead one held, for nothing moves fewer. A join takes a member that is in the map as JOINING.
 *
 * Pure, and nothing that any node keeps: whoever commits a plan says its changes again.
 * Limits: STAGED_MAX.
 */
#ifndef RING_STAGED_H
#define RING_STAGED_H

#include "ring/placement.h"
#include "ring/ringmap.h"

#include <stdbool.h>

#define STAGED_MAX 64u

/* name, word for people */
#define STAGED_OP_TABLE(X)                                                                         \
    X(JOIN, "join")                                                                                \
    X(LEAVE, "leave")                                                                              \
    X(REMOVE, "remove")     /* by force: it is not asked to hand over */                           \
    X(WEIGHT, "weight")     /* value */                                                            \
    X(ZONE, "zone")         /* zone */                                                             \
    X(REPLICAS, "replicas") /* value: N; no member */

enum staged_op {
#define STAGED_OP(name, word) STAGED_##name,
    STAGED_OP_TABLE(STAGED_OP)
#undef STAGED_OP
        STAGED_OP_COUNT,
};

struct staged_change {
    uint8_t op;
    uint16_t member; /* 0 of REPLICAS */
    uint32_t value;  /* 0 but for WEIGHT and REPLICAS */
    char zone[RINGMAP_ZONE_SIZE];
};

struct staged {
    struct staged_change changes[STAGED_MAX]; /* in the order they were asked for */
    uint32_t count;
    bool shares_zones; /* replicas may share a zone also where they do not now */
};

enum staged_e {
    STAGED_E_OK,
    STAGED_E_FULL,
    STAGED_E_NO_MEMBER, /* nobody has this id */
    STAGED_E_STATE,     /* the member is in no state for it: removed, not active, not joining */
    STAGED_E_VALUE,     /* a weight, zone or N that there cannot be */
    STAGED_E_NOBODY,    /* no member would be active */
};

/* 0 or why it cannot be staged, and then nothing has changed. */
int staged_add(struct staged *staged, const struct ringmap *now,
               const struct staged_change *change);
/* The map that is wanted: epoch, members, N, rows and meta voters; no target. now: settled, or of
 * next_map_from(), whose N is that of its target. alive: by slot of it, for voters_choose(). The
 * caller deinits it on 0. STAGED_E_NOBODY or -ENOMEM otherwise. */
int staged_wanted(const struct staged *staged, const struct ringmap *now, const bool *alive,
                  struct ringmap *wanted, struct placement_cost *cost);
const char *staged_op_name(uint8_t op);

#endif
