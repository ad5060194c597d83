/* Plan: what it takes to get from the present map to a wanted one, before anything is done.
 *
 * It lists the moves and the waves in which they are to go, what each node will send, receive and
 * hold, how long that takes, how many failures any partition can survive meanwhile, what speaks
 * against it (warnings) and what forbids it (refusals), each naming the blocker.
 *
 * Its hash is BLAKE2b-256 over its content only: cluster, the map it starts from, members, moves,
 * leaders and, where it changes them, the meta group's voters, which with the present map determine
 * the wanted one. What was measured or estimated is not in it, so a plan stays the same while sizes
 * grow and nodes come and go, unless others are to vote because of that. Nor are settings of the
 * map that say nothing of who holds what: its epoch, the rate and pause of moves, data keys. Once
 * anything else of the map or what is asked for is another, so is the hash: what somebody was shown
 * before is stale. It has no key and needs none, as who commits a plan makes it again.
 *
 * Fault tolerance: a group of V voters, L of them alive and sound, survives L - (V / 2 + 1) further
 * failures; below zero it has no majority. Who is to be a voter is sound by then, if it is alive. A
 * move adds a learner first, which changes nothing, then both halves of a joint configuration must
 * stand (Ongaro's thesis, section 4.3): the lesser of the two.
 *
 * Waves: a node takes part in at most `moves_per_node_max` moves of a wave, as their target or
 * their source (the leader, who streams); all moves of a partition are of one wave, as one joint
 * configuration ends them. Partitions that survive the fewest failures go first. Waves are an
 * order, not barriers: who has room begins with the next.
 *
 * A group that nobody speaks for while another plan is under way may have the old row or the new
 * one, or be on its way: whoever is taken away then may be the last who could speak. So it forbids
 * every plan, whether that changes it or not.
 *
 * Pure: no I/O, clock or randomness.
 */
#ifndef RING_PLAN_H
#define RING_PLAN_H

#include "ring/ringmap.h"

#define PLAN_HASH_SIZE       32u
#define PLAN_NOTES_MAX       64u
#define PLAN_NOTES_ALIKE_MAX 6u   /* of one code, so that none hides another */
#define PLAN_NOTE_SIZE       192u /* of a note's text */
#define PLAN_PARTITION_ANY   UINT16_MAX

/* What speaks against a plan. name, refuses */
#define PLAN_NOTE_TABLE(X)                                                                         \
    X(NODES, true)        /* N needs more members: need, have */                                   \
    X(META, true)         /* the meta group has no majority: need, have, sound */                  \
    X(QUORUM, true)       /* a partition that is to change has no majority: need, have, sound */   \
    X(UNKNOWN, true)      /* nobody says what a partition has; without one: the meta group */      \
    X(TARGET_DEAD, true)  /* one that is taken in, is to receive or to vote anew is not alive */   \
    X(TARGET_LOST, true)  /* one that is to receive or to vote anew has a shard beyond repair */   \
    X(DISK, true)         /* a member has not room for all it is to receive: need, have, bytes */  \
    X(ZONES_LOST, true)   /* replicas would share a zone, and do not now: need, have */            \
    X(ZONES, false)       /* fewer zones than replicas: need, have */                              \
    X(OVERWEIGHT, false)  /* a member will hold more than its weight says: need its share, have */ \
    X(TOLERANCE, false)   /* fewer failures survived on the way than now: need now, have then */   \
    X(DEAD, false)        /* a member that keeps replicas is not alive */                          \
    X(QUORUM_KEPT, false) /* a partition without majority that the plan does not touch */

enum plan_note_code {
#define PLAN_NOTE_CODE(name, refuses) PLAN_NOTE_##name,
    PLAN_NOTE_TABLE(PLAN_NOTE_CODE)
#undef PLAN_NOTE_CODE
        PLAN_NOTE_COUNT,
};

/* Numbers mean what the table says. */
struct plan_note {
    uint8_t code;
    uint16_t member;    /* 0: none */
    uint16_t partition; /* PLAN_PARTITION_ANY: none */
    uint64_t need;
    uint64_t have;
};

/* Every member that has or had a part in it: all but those removed before. */
struct plan_member {
    uint16_t id;
    uint8_t state_before; /* enum ringmap_state; 0: not in the present map */
    uint8_t state_after;
    uint32_t weight_before;
    uint32_t weight_after;
    char zone[RINGMAP_ZONE_SIZE]; /* after */
    uint16_t holds_before;
    uint16_t holds_after;
    uint16_t leads_before;
    uint16_t leads_after;
    uint16_t moves_in; /* replicas to be copied to it */
    uint64_t bytes_in;
    uint64_t bytes_out;
};

/* A replica that goes from one member to another; to 0: it is given up, from 0: it is new. */
struct plan_move {
    uint16_t partition;
    uint16_t from;
    uint16_t to;
    uint16_t wave;
    uint64_t bytes;
};

/* The preferred leader of a partition that gets another one. */
struct plan_lead {
    uint16_t partition;
    uint16_t to;
};

struct plan {
    uint8_t cluster[RINGMAP_CLUSTER_SIZE];
    uint64_t epoch;               /* of the map it starts from */
    uint8_t base[PLAN_HASH_SIZE]; /* hash of that map, but for what is no part of where data are */
    uint32_t replicas_before;
    uint32_t replicas_after;
    struct plan_member *members; /* by ascending id */
    uint32_t member_count;
    struct plan_move *moves; /* by partition */
    uint32_t move_count;
    struct plan_lead *leads; /* by partition */
    uint32_t lead_count;
    uint16_t voters[RINGMAP_META_VOTERS_MAX]; /* of the meta group, by ascending id, */
    uint32_t voter_count;                     /* if the plan changes them; else 0 */
    uint8_t hash[PLAN_HASH_SIZE];
    /* Measured and estimated: */
    uint32_t wave_count;
    uint64_t bytes;
    uint64_t seconds; /* of the node that sends most, at its rate; UINT64_MAX: the rate is 0 */
    int8_t tolerance_before;
    int8_t tolerance_least; /* on the way */
    int8_t tolerance_after;
    struct plan_note notes[PLAN_NOTES_MAX];
    uint32_t note_count;   /* in the table */
    uint32_t notes_beyond; /* found, but there were enough of their sort */
};

/* What is known of a member now. */
struct plan_node {
    bool alive;
    bool lost;          /* a shard of it is beyond repair: what it is given never comes there */
    uint64_t disk_room; /* bytes that it can take more */
};

/* Everything is borrowed for the call. */
struct plan_input {
    const struct ringmap *now;       /* its `replicas` are what groups have: settled, or of
                                      * next_map_from() */
    const struct ringmap *wanted;    /* same Q; its rows are the goal, see placement_change() */
    const bool *unknown;             /* by partition, then the meta group: nobody says what it has,
                                      * so `now` cannot be believed there; NULL: all do */
    const bool *sound;               /* by partition, then the meta group, and by slot of wanted:
                                      * whether the replica that it has there is up to date and
                                      * serves; NULL: all are */
    const uint64_t *partition_bytes; /* by partition; NULL: unknown, taken as 0 */
    const struct plan_node *nodes;   /* by slot of wanted; NULL: all alive, disks without end */
    uint64_t rate_bytes;             /* a second that a node may send; what comes in is not held */
    uint32_t moves_per_node_max;     /* from 1 */
    bool shares_zones;               /* replicas may share a zone also where they do not now */
};

/* 0 or -ENOMEM. The plan may hold refusals. */
int plan_make(const struct plan_input *input, struct plan *plan);
void plan_deinit(struct plan *plan);
/* Whether anything in it forbids it. */
bool plan_refused(const struct plan *plan);
bool plan_note_refuses(uint8_t code);
/* One line for people, with what would help. */
void plan_note_text(const struct plan_note *note, char text[PLAN_NOTE_SIZE]);
void plan_check(const struct plan *plan);

#endif
