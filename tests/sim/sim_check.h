/* Checkers: what must hold, looked at after every round of every shard.
 *
 *   sim_check_leader.c   at most one leader a partition and term; it commits by entries of its own
 *                        term and counts only what its peers have; no term is begun by a replica
 *                        that has long been cut off from the majority
 *   sim_check_log.c      log matching; committed entries never change; applied ≤ commit ≤ last
 *   sim_check_promise.c  term, vote and synced entries that were promised survive any crash
 *   sim_check_digest.c   equal content of replicas at equal applied index
 *   sim_check_map.c      one ring map an epoch, which no crash takes from a node
 *   sim_check_zones.c    a settled map spreads each partition over the zones, as placement promises
 *   sim_check_config.c   one configuration after the other, whose majorities meet; a replica lives
 *                        once, and is destroyed only on a committed configuration without it
 *   sim_check_overlap.c  no two replicas of a group are followed, or may come to be, by quorums of
 *                        their configurations that have nobody in common
 *   sim_check_quorum.c   who leads was voted for, and what it commits is held, by a quorum of those
 *                        who vote: no learner counts, and nobody who was removed
 *   sim_check_removed.c  nobody who has heard that a member is removed talks Raft with it; once all
 *                        have, nothing that it says counts, and it serves nothing that comes then
 *   sim_check_drain.c    a drained node leads nothing, once the faults are over, while others can
 *   sim_check_tickets.c  one registry a version, which no crash takes from a node; no use too many,
 *                        none after the revocation, and what an admin was told stays true
 *   sim_check_bounds.c   queues within their limits; x_check() of the cores (costly ones sampled)
 *   sim_check_scrub.c    at the end: what was damaged, or differed in silence, is found and mended
 *   sim_check_history.c  at the end: progress, convergence, and the judge on every key
 *
 * They read the cores through their public views and the frames that leave; they change nothing.
 * A replica that its node says is fenced is left out; so are bytes on a disk that had bits flipped.
 */
#ifndef TESTS_SIM_SIM_CHECK_H
#define TESTS_SIM_SIM_CHECK_H

#include "tests/sim/sim_cluster.h"
#include "tests/sim/sim_workload.h"

#define SIM_GROUPS  (SIM_PARTITIONS + 1u) /* the last is the meta group */
#define SIM_DIGESTS 32u
#define SIM_VOTES   8u
#define SIM_LATE    64u

enum sim_phase {
    SIM_PHASE_ELECTION,
    SIM_PHASE_CATCHUP,
    SIM_PHASE_NORMAL,
    SIM_PHASE_RECOVERY,
    SIM_PHASE_COUNT
};

/* A log as it was last seen: terms of first … last. */
struct sim_mirror {
    uint32_t *terms; /* [index] */
    uint64_t capacity;
    uint64_t last;
    uint64_t known; /* compared with the committed ones up to here */
};

struct sim_replica {
    struct sim_mirror mirror;
    bool open; /* seen in this life */
    uint8_t role;
    uint32_t term;
    uint64_t commit, applied, synced, first, last;
    uint32_t last_term;
    bool fenced;
    /* Promises; they outlive the process. */
    uint32_t term_promised;
    uint32_t vote_term;
    uint16_t vote;
    uint64_t synced_promised;
    uint64_t asked_us; /* when a leader last asked it to campaign */
    /* Which replica it is, of those that the node has had of the group. */
    uint64_t life; /* 0: it hosts none */
    uint64_t life_last;
    uint64_t config;       /* index of the newest that was looked at, and */
    uint64_t config_known; /* of the newest that was taken for committed */
    struct sim_voted {
        uint16_t candidate;
        uint32_t term;
        uint64_t life;
    } voted[SIM_VOTES]; /* granted by it, in turn */
    uint32_t voted_at;
    struct sim_acked {
        uint64_t index; /* the most that it said to hold */
        uint32_t term;
        uint64_t life;
    } acked[SIM_VOTES]; /* of its newest terms, in turn */
    uint32_t acked_at;
};

/* What anyone knew to be committed. */
struct sim_committed {
    uint32_t term;     /* 0: not known */
    uint64_t checksum; /* 0: not known */
};

struct sim_group {
    struct sim_committed *committed; /* [index] */
    uint64_t committed_capacity;
    uint64_t commit_max;
    uint8_t *leaders; /* [term] */
    uint32_t leader_capacity;
    struct {
        uint64_t applied;
        uint64_t digest;
    } digests[SIM_DIGESTS]; /* the newest ones, in turn */
    uint32_t digest_at;
    struct raft_config *configs; /* that were committed, by index */
    uint32_t config_count, config_capacity;
};

/* Entries ever seen: (group, index, term) -> term before it and checksum. Open addressing. */
struct sim_seen {
    uint64_t key; /* 0: free */
    uint32_t term_before;
    uint64_t checksum;
};

/* A request that came to a member when its removal was settled. */
struct sim_late {
    uint64_t link;
    uint32_t id;
};

struct sim_removal {
    uint64_t epoch; /* of the earliest map known that has the member REMOVED; 0: none has */
    bool settled;
    struct sim_late late[SIM_LATE]; /* the newest ones, in turn */
    uint32_t late_count;
};

struct sim_check {
    struct sim *sim;
    struct sim_cluster *cluster;
    struct sim_group groups[SIM_GROUPS];
    struct sim_replica replicas[SIM_NODES_MAX][SIM_GROUPS];
    struct sim_seen *seen;
    size_t seen_count, seen_capacity;
    uint64_t rounds, digests_compared, entries_compared, snapshots_installed, snapshots_kept,
        flushes, relocated;
    uint32_t judge_peak;            /* configurations at once */
    uint64_t epochs[SIM_NODES_MAX]; /* of the newest ring map of each node */
    struct ringmap newest;          /* of all of them; members NULL: none was seen yet */
    uint64_t heard[SIM_NODES_MAX][SIM_SHARDS_MAX];  /* the epoch that each shard went by last */
    struct sim_removal removals[SIM_NODES_MAX + 1]; /* by member */
    uint64_t removals_settled, late_requests;
    bool aborted;     /* the newest plan leads to what the groups had */
    uint64_t spreads; /* settled maps with several zones */
    uint64_t scrub_faults, divergences;
    uint32_t diverged; /* group, when there are any */
    uint64_t configs, lives, destroyed, overlaps;
    struct sim_check_tickets *tickets; /* NULL: none yet */
    uint8_t drained_node;              /* that is to lead nothing, and */
    uint64_t drained_us;               /* when it was last seen to, or became that one */
};

uint16_t sim_group_partition(uint32_t group);
/* The one that leads in the latest term; NULL: nobody does. */
const struct raft *sim_check_group_leader(const struct sim_check *check, uint32_t group);
/* NULL when the node is not up, does not host the group, or is fenced there. */
const struct raft *sim_check_raft(const struct sim_check *check, uint8_t node, uint32_t group);

struct sim_check *sim_check_new(struct sim_cluster *cluster);
struct sim_check *sim_check_free(struct sim_check *check);
void sim_check_round(struct sim_check *check, struct sim_node *node, struct sim_shard *shard);
void sim_check_open(struct sim_check *check, struct sim_node *node);
enum sim_phase sim_check_phase(const struct sim_check *check);
/* The node that leads most partitions; 0: none leads any. */
uint8_t sim_check_chief(const struct sim_check *check);

/* Has every quorum of the one a replica in common with every quorum of the other? */
bool sim_check_configs_overlap(const struct raft_config *one, const struct raft_config *other);
/* Whether those for whom there() is true are a quorum of it, of both halves of a joint one. */
bool sim_check_config_quorum(const struct raft_config *config,
                             bool (*there)(const void *context, struct raft_replica replica),
                             const void *context);
/* A replica of the group has another configuration, or role, than before. */
void sim_check_overlap(struct sim_check *check, uint32_t group);
bool sim_check_config_names(const struct raft_config *config, struct raft_replica replica);
void sim_check_config(struct sim_check *check, uint8_t node, uint32_t group,
                      const struct raft *raft);
/* raft: what the node hosts now, fenced or not; NULL: nothing. opened: the process has just
 * begun. */
void sim_check_life(struct sim_check *check, const struct sim_node *node, uint32_t group,
                    const struct raft *raft, bool opened);
/* A replica grants its vote, or acknowledges an append. */
void sim_check_quorum_send(struct sim_check *check, uint8_t node, uint32_t group,
                           const struct wire_raft *raft);
/* Of a leader; before what is known of it is brought up to date. */
void sim_check_quorum(struct sim_check *check, uint8_t node, uint32_t group,
                      const struct raft *raft);
void sim_check_leader(struct sim_check *check, uint8_t node, uint32_t group,
                      const struct raft *raft);
void sim_check_campaign(struct sim_check *check, uint8_t node, uint32_t group,
                        const struct raft *raft);
void sim_check_log(struct sim_check *check, struct sim_node *node, struct sim_shard *shard,
                   uint32_t group, const struct raft *raft);
void sim_check_log_free(struct sim_check *check);
void sim_check_promise_send(struct sim_check *check, const struct sim_node *node,
                            const struct link_message *message);
void sim_check_promise_round(struct sim_check *check, uint8_t node, uint32_t group,
                             const struct raft *raft);
void sim_check_promise_open(struct sim_check *check, uint8_t node, uint32_t group,
                            const struct raft *raft);
/* Compares the replicas of one group, as far as they can be read now. Returns how many were. */
uint32_t sim_check_digest(struct sim_check *check, uint32_t group);
void sim_check_map(struct sim_check *check, const struct sim_node *node);
/* All members go by the same ring map, and no later one was confirmed. */
bool sim_check_maps_converged(const struct sim_check *check, char *why, size_t size);
/* The newest map has not removed it: it is to be there when all faults are over. */
bool sim_check_belongs(const struct sim_check *check, const struct sim_node *node);
/* No plan is under way, each group has the voters that the map names, and nobody runs whom it has
 * removed. */
bool sim_check_settled(const struct sim_check *check, char *why, size_t size);
/* The newest map of all, and what it was asked for: sim_admin_kind(). */
void sim_check_zones(struct sim_check *check, const struct ringmap *map, uint8_t kind);
/* A committed map is known. */
void sim_check_removed_map(struct sim_check *check, const struct ringmap *map);
void sim_check_removed_round(struct sim_check *check, const struct sim_node *node,
                             const struct sim_shard *shard);
/* All members have heard that this one was removed. */
bool sim_check_removal_settled(const struct sim_check *check, uint16_t member);
/* Operations come to the node. */
void sim_check_removed_ops(struct sim_check *check, const struct sim_node *node,
                           const struct link_message *message, uint64_t link);
void sim_check_removed_send(struct sim_check *check, const struct sim_node *node,
                            const struct shard_send *send);
void sim_check_tickets(struct sim_check *check, const struct sim_node *node);
void sim_check_tickets_free(struct sim_check *check);
/* An admin was told that the command is done; the node lets the key in. */
void sim_check_tickets_told(struct sim_check *check, const struct tickets_command *command,
                            const struct tickets_reply *reply);
void sim_check_tickets_enter(struct sim_check *check, const struct sim_node *node, uint32_t id,
                             const uint8_t key[TICKETS_KEY_SIZE]);
/* All members have the same tickets, and no later ones were confirmed. */
bool sim_check_tickets_converged(const struct sim_check *check, char *why, size_t size);
/* Who is drained does not lead for long, once all faults are over. */
void sim_check_drain(struct sim_check *check, const struct sim_node *node);
/* Now: who is to be drained is, and leads no group that another could lead. */
bool sim_check_drained(const struct sim_check *check, char *why, size_t size);
void sim_check_bounds(struct sim_check *check, struct sim_node *node, struct sim_shard *shard);

/* The end, faults being over. True when it holds now; *why is what is missing otherwise. */
bool sim_check_converged(struct sim_check *check, char *why, size_t size);
/* On the victim a replica loses a key that it has applied, and bits of the disk flip, where there
 * are others to mend that. */
void sim_check_spoil(struct sim_check *check);
bool sim_check_scrubbed(struct sim_check *check, char *why, size_t size);
void sim_check_history(struct sim_check *check, struct sim_workload *workload);

#endif
