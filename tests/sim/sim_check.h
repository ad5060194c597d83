/* Checkers: what must hold, looked at after every round of every shard.
 *
 *   sim_check_leader.c   at most one leader a partition and term; it commits by entries of its own
 *                        term and counts only what its peers have; no term is begun by a replica
 *                        that has long been cut off from the majority
 *   sim_check_log.c      log matching; committed entries never change; applied ≤ commit ≤ last
 *   sim_check_promise.c  term, vote and synced entries that were promised survive any crash
 *   sim_check_digest.c   equal content of replicas at equal applied index
 *   sim_check_map.c      one ring map an epoch, which no crash takes from a node
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
};

/* Entries ever seen: (group, index, term) -> term before it and checksum. Open addressing. */
struct sim_seen {
    uint64_t key; /* 0: free */
    uint32_t term_before;
    uint64_t checksum;
};

struct sim_check {
    struct sim *sim;
    struct sim_cluster *cluster;
    struct sim_group groups[SIM_GROUPS];
    struct sim_replica replicas[SIM_NODES_MAX][SIM_GROUPS];
    struct sim_seen *seen;
    size_t seen_count, seen_capacity;
    uint64_t rounds, digests_compared, entries_compared, snapshots_installed, flushes, relocated;
    uint32_t judge_peak;            /* configurations at once */
    uint64_t epochs[SIM_NODES_MAX]; /* of the newest ring map of each node */
    uint64_t scrub_faults, divergences;
    uint32_t diverged; /* group, when there are any */
};

uint16_t sim_group_partition(uint32_t group);
/* NULL when the node is not up, does not host the group, or is fenced there. */
const struct raft *sim_check_raft(const struct sim_check *check, uint8_t node, uint32_t group);

struct sim_check *sim_check_new(struct sim_cluster *cluster);
struct sim_check *sim_check_free(struct sim_check *check);
void sim_check_round(struct sim_check *check, struct sim_node *node, struct sim_shard *shard);
void sim_check_open(struct sim_check *check, struct sim_node *node);
enum sim_phase sim_check_phase(const struct sim_check *check);
/* The node that leads most partitions; 0: none leads any. */
uint8_t sim_check_chief(const struct sim_check *check);

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
/* All nodes go by the same ring map, and no later one was confirmed. */
bool sim_check_maps_converged(const struct sim_check *check, char *why, size_t size);
void sim_check_bounds(struct sim_check *check, struct sim_node *node, struct sim_shard *shard);

/* The end, faults being over. True when it holds now; *why is what is missing otherwise. */
bool sim_check_converged(struct sim_check *check, char *why, size_t size);
/* On the victim a replica loses a key that it has applied, and bits of the disk flip, where there
 * are others to mend that. */
void sim_check_spoil(struct sim_check *check);
bool sim_check_scrubbed(struct sim_check *check, char *why, size_t size);
void sim_check_history(struct sim_check *check, struct sim_workload *workload);

#endif
