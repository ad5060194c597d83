/* Shard, replica: what a shard keeps of one of its partitions, and of the meta group.
 *
 * Included by shard_internal.h, with what its parts are; nothing else includes it.
 */
#ifndef REPLICATION_SHARD_REPLICA_H
#define REPLICATION_SHARD_REPLICA_H

#include "replication/deadlines.h"
#include "replication/pending.h"
#include "replication/raft.h"
#include "replication/sessions.h"
#include "replication/shard_fence.h"
#include "replication/shard_load.h"
#include "replication/shard_moves.h"
#include "replication/shard_room.h"
#include "ring/wire.h"

/* An answer that is ready but for what it observed: it leaves when the replica has applied `index`
 * and a majority has confirmed the leader in a round that began at `round` or later. */
struct shard_waiter {
    struct shard_waiter *next;
    uint64_t link;
    uint64_t index;
    uint64_t round;
    uint64_t sequence; /* writes: not 0 */
    uint64_t session;
    uint32_t id;
    uint32_t lane_epoch;
    size_t charge; /* bytes of admission */
    bool proposed;
    struct wire_buffer reply;
};

/* What of a partition expires, as its leader knows it. */
struct replica_expiry {
    struct deadlines deadlines;
    uint64_t walk_at; /* position in the keydir from which the walk goes on */
    bool walks;
};

struct replica {
    uint16_t partition;
    uint16_t preferred; /* member that should lead */
    bool touched;       /* its core was stepped in this round: it is in the shard's list */
    struct replica *touched_next;
    /* shard_hosting.c, until it takes part: */
    struct replica *arriving_next;
    struct wire_raft first; /* that it was begun by, without its entries; kind 0: by none */
    /* shard_lives.c: */
    bool doubted;                      /* a leader sends to a later life of it */
    uint16_t asked[REPLICA_ASKED_MAX]; /* whether it is over, and have not answered; 0: free */

    bool leaving;   /* fenced for good; goes when nothing refers to it any more */
    uint32_t reads; /* jobs under way whose owner it is */
    bool dirty;     /* RAFT_EVENT_FLUSH is owed */
    bool beat_wanted;
    bool noop_owed;
    struct replica_fence fence;
    struct shard_target *target; /* a snapshot that comes in, or NULL */
    struct replica_room room;
    /* shard_dictionary.c: */
    uint64_t train_after_ms;
    uint64_t dictionary_proposed; /* index of the newest that was proposed here */
    uint32_t number_free_in;      /* the term in which no record was found to need the oldest */

    uint64_t settled; /* its content is exact from this applied index on */
    uint64_t batch;   /* of the newest thing appended for it */
    uint64_t placed;  /* index of the newest entry that is in the journal */
    uint64_t note;    /* number of its newest sync note */
    uint64_t leader_since_ms;
    uint64_t first_needed;     /* log below is needed by no replica */
    uint64_t kept_size;        /* shard_retain.c: of segments, for the newest snapshot; 0: none */
    uint64_t restored_applied; /* recovery: what checkpoints and commits vouch for so far */
    uint64_t dictionary_owed;  /* recovery: index of one that a checkpoint has to bring; 0: none */
    uint64_t logged_ms;        /* newest time in the log, see shard_expiry.c */
    struct raft raft;
    struct sessions sessions;
    uint64_t session_named; /* the newest id that a router behind the floor was given */
    struct pending pending;
    struct shard_waiter *waiters;
    struct shard_waiter **waiters_end;
    struct replica_expiry expiry;
    struct replica_move move;
    /* shard_compare.h */
    uint64_t compare_at;       /* the index at which its content is asked for; 0: none */
    uint64_t compare_from;     /* leader: position from which it goes on */
    uint64_t compare_begun_ms; /* the newest time over all of it, and */
    uint64_t compare_due_ms;   /* when the next is due */
    uint64_t odd_until_ms;     /* leader: outvoted, hands over until then; 0: not so */
    struct replica_load load;
};

/* Why it is fenced; NULL: it is not, or only while a snapshot is installed. */
static inline const char *replica_fenced(const struct replica *replica)
{
    return replica->fence.again ? replica->fence.again : replica->fence.why;
}

/* It is not fenced, nor is a snapshot installed: its core is stepped. */
static inline bool replica_serves(const struct replica *replica)
{
    return !replica->fence.why && !replica->fence.installing;
}

/* It leads its group, and serves. */
static inline bool replica_leads(const struct replica *replica)
{
    return replica->raft.role == RAFT_LEADER && replica_serves(replica);
}

#endif
