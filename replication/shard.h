/* Shard: the data plane's host, one a thread. Raft groups, sessions, evaluation and the store of
 * all partitions p with p mod shards == number meet here; it routes between them, they decide.
 *
 * A round: the thread hands in everything that has arrived with shard_step(), then ends the round
 * with shard_flush() until that returns false. Nothing leaves inside a round, so all that arrived
 * together shares Raft messages, frames and one fdatasync. No I/O, no clock, no randomness here:
 * time and random bits come with events, I/O leaves as store jobs, bytes leave as sends.
 *
 * Where an operation goes: OPS -> lane check -> session check -> key queue -> evaluate against
 * applied state and pending writes -> PROPOSE -> journal (and APPEND to the followers at once) ->
 * commit -> apply -> RESULTS. docs/architecture.md has the picture.
 *
 * Lanes keep program order through refusals: a router numbers its attempts per partition with
 * lane_epoch. Once an operation of (link, partition, lane_epoch) was refused unproposed, every
 * later one of the same lane_epoch is refused too; the router then starts again with the next
 * epoch from its first unanswered operation (go-back-N).
 *
 * Shard 0 of the meta group's voters has that group too. Its state is the ring map: the node is
 * told of a later epoch (MAP_EPOCH to the own member, which the host hands to the node core) and
 * asks for it (MAP_GET); a node's MAP_CHANGE is evaluated by the group's leader. No client gets to
 * it.
 *
 * Replicas come and go. The ring map (SHARD_EVENT_MAP, at start and whenever it changes) says where
 * they are wanted; the leader of each group takes it there step by step (shard_moves.c). A replica
 * comes to be by the first append that is sent to it, and is destroyed when a committed
 * configuration without it is known (shard_lives.c); what is over is never there again. A member
 * that is removed is neither heard nor sent to, and a shard whose own member is serves nothing.
 *
 * Snapshots leave as the node's budget allows, which is the host's (replication/budget.h): a shard
 * says with its effects what it could send, and is given some of it.
 *
 * Ownership: one thread. Memory of an event is borrowed for the call; sends point into buffers of
 * the shard until the next call of shard_step or shard_flush.
 */
#ifndef REPLICATION_SHARD_H
#define REPLICATION_SHARD_H

#include "ring/link.h"
#include "ring/ringmap.h"
#include "storage/store.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct shard;

struct shard_options {
    uint16_t number; /* 0 … shards-1 */
    uint16_t shards;
    uint16_t self;                             /* member id */
    uint32_t election_ms_min, election_ms_max; /* 500, 1,000 */
    uint32_t heartbeat_ms;                     /* 100 */
    uint32_t operations_max;                   /* in evaluation or in flight; over it TRYAGAIN */
    size_t operations_size_max;                /* their bytes */
    uint32_t sessions_max;                     /* a partition */
    uint32_t session_window_max;               /* ids kept a session and partition: 1,024 */
    uint32_t append_entries_max, append_size_max, inflight_size_max, inflight_messages_max;
    uint32_t retain_entries_min; /* log kept behind the slowest replica, entries */
    uint64_t log_size_max;  /* log kept for peers that are behind, about, and no more than half as
                               much as is alive (or 16 MiB); beyond it they get a snapshot */
    uint32_t log_ms_max;    /* or once nothing was heard of them for so long */
    uint64_t snapshot_rate; /* bytes a second of snapshots sent, all shards, unless the ring map
                               says another; 0: as it comes, and none are asked for */
    uint32_t snapshot_piece_size; /* bytes of them in a message, about */
    uint32_t moves_max;           /* learners that are helped to catch up at once, all shards: 16 */
    uint32_t train_samples;       /* values that a dictionary is made of: 400; 0: none is made */
    uint32_t train_again_ms;      /* before a partition is looked at again: 600,000 */
    bool train_sealed;            /* also where values are sealed; default: not */
    uint32_t drain_ms;            /* SIGTERM: hand-over at most this long: 2,000 */
    bool foreign; /* its folder is not this shard's newest (owners.h): nothing of it is trusted */
    struct store_options store;
};

/* Bytes of the disk that every shard of a node leaves free, all of them the same ones. */
#define SHARD_SPACE_RESERVE (64u << 20)

void shard_options_default(struct shard_options *options);

/* Where an event came from or a send goes to. */
struct shard_address {
    uint8_t role;    /* enum link_role */
    uint16_t member; /* NODE: which */
    uint64_t link;   /* ROUTER, ADMIN: the host's id of the link the request came on */
};

enum shard_event_kind {
    SHARD_EVENT_MESSAGE,   /* message, from */
    SHARD_EVENT_JOB,       /* job has run, with job_result */
    SHARD_EVENT_LINK_UP,   /* from; NODE: shards = how many the peer has */
    SHARD_EVENT_LINK_DOWN, /* from */
    SHARD_EVENT_TICK,      /* when effects.deadline_ms has come; more often does no harm */
    SHARD_EVENT_DRAIN,     /* hand over all leaderships, then effects.drained */
    SHARD_EVENT_MAP,       /* map: the newest ring map; one that is not newer changes nothing */
    SHARD_EVENT_BUDGET,    /* bytes of the node's budget, of those that effects.budget_wanted */
};

struct shard_event {
    uint8_t kind;
    uint64_t now_ms;  /* monotonic */
    uint64_t wall_ms; /* Unix time */
    uint64_t random;
    struct shard_address from;
    uint16_t shards;
    const struct ringmap *map;
    const struct link_message *message;
    struct store_job *job;
    int job_result;
    uint32_t job_us; /* how long it took to run */
    uint64_t bytes;
};

struct shard_send {
    struct shard_address to;
    struct link_message message;
};

#define SHARD_SENDS_MAX 64u
#define SHARD_JOBS_MAX  64u

struct shard_effects {
    struct shard_send sends[SHARD_SENDS_MAX];
    size_t send_count;
    struct store_job *jobs[SHARD_JOBS_MAX];
    size_t job_count;
    uint64_t deadline_ms; /* the next TICK is due at the latest then */
    /* For budget_take(), when shard_flush() says that this is all: */
    uint64_t budget_wanted; /* bytes of snapshots that could leave now, */
    uint64_t budget_left;   /* bytes that were given and not needed, */
    uint64_t budget_rate;   /* and the rate of the node; both are 0: nothing is to be asked */
    bool drained;
    int fatal; /* -errno: the process must end now; nothing above is to be carried out */
};

/* Opens the store in vfs and recovers. map: the genesis, borrowed for the call (what is needed is
 * copied); the groups' first configurations are functions of it, the rest is in their logs.
 * found: true at the commit of genesis, on an empty store; nothing is founded in a foreign folder.
 * hash: genesis hash. Returns 0, STORE_E_FENCED (open; every partition says fenced), STORE_E_NEWER
 * or -errno. */
int shard_open(struct shard **shard, struct vfs *vfs, const struct shard_options *options,
               const struct ringmap *map, const uint8_t hash[RINGMAP_HASH_SIZE], bool found,
               uint64_t now_ms, uint64_t random);
void shard_close(struct shard *shard);
void shard_step(struct shard *shard, const struct shard_event *event);
/* Ends the round; true: call again for more effects. */
bool shard_flush(struct shard *shard, uint64_t now_ms, struct shard_effects *effects);
void shard_check(const struct shard *shard);

/* For the simulator's checkers and status: read-only views. NULL when not hosted here. */
struct raft;
const struct raft *shard_raft(const struct shard *shard, uint16_t partition);
struct store *shard_store(struct shard *shard);
bool shard_fenced(const struct shard *shard, uint16_t partition, const char **why);
/* Checksum of the results that it keeps of requests; 0: no memory. */
uint64_t shard_sessions_sum(const struct shard *shard, uint16_t partition);
/* It goes, on a committed configuration without it: nothing of it counts any more. */
bool shard_leaving(const struct shard *shard, uint16_t partition);
/* False while a snapshot is settling: its content is not that of applied yet. */
bool shard_settled(const struct shard *shard, uint16_t partition);
struct shard_stats {
    uint64_t operations, refused, proposed, applied, operations_in_flight;
    size_t operations_in_flight_size;
    uint64_t operation_bytes;            /* of operations that ended: requests and answers */
    uint32_t hosted;                     /* replicas: */
    uint64_t leaders_digest;             /* of which partitions it leads in which terms; 0: none */
    uint32_t leaders, followers, fenced; /* fenced: and not about to go, as all of a removed member
                                            are */
    uint64_t relocated;                  /* undecided entries that were appended again */
    uint64_t snapshots_begun, snapshots_installed, snapshot_bytes_sent;
    uint64_t snapshots_resumed; /* where another leader, or an earlier attempt, left off, or as far
                                   back as a target that was restarted had them */
    uint64_t snapshots_kept;    /* begun before a restart, and gone on with behind it */
    uint64_t snapshot_bytes_taken;
    uint64_t repaired;    /* of those installed, how many ended a fence */
    uint64_t compared;    /* partitions led here, with all their replicas; each time counts */
    uint64_t differences; /* replicas that were outvoted, */
    uint64_t undecided;   /* and ranges for which nobody had a majority */
    bool drained;         /* it is to lead nothing */
    uint64_t lacked;      /* bytes of a snapshot that found no room here; 0: there is room */
    bool slow;            /* its disk is far off its peers', says the meta group's leader */
};
void shard_stats(const struct shard *shard, struct shard_stats *stats);

#endif
