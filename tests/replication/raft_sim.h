/* Raft simulation: a group of raft cores in one thread, driven by one seed.
 *
 * Fault model.
 *   Network: each message is lost, doubled or delayed (with a tail) by chance, so they overtake
 * each other; any direction between two nodes may be cut for a while. Ghosts: earlier lives of the
 *     replicas that agree to everything they are asked.
 *   Disk: appends collect in the open batch; one batch at a time is synced, after a random time. A
 *     crash loses what was not synced; the batch in flight survives it whole or not at all. What
 * was synced stays. Checkpoints let older records go, as segments do. Nodes: crash and restart,
 * pause (time passes, nothing is handled), clocks that run at different rates. Hosts transfer
 * leadership, campaign and report lost peers for no reason. Configurations: replicas change between
 * voter and learner, by joint consensus.
 *
 * Checked after every step: raft_check; one leader a term; log matching (an (index, term) has one
 * payload and one predecessor); committed entries never change; what a node promised (votes, terms)
 * holds after its crash; a read that its round confirms sees all that was committed before it
 * began. A violation prints the seed and aborts.
 */
#ifndef TESTS_REPLICATION_RAFT_SIM_H
#define TESTS_REPLICATION_RAFT_SIM_H

#include "replication/raft.h"

#include <stdbool.h>
#include <stdint.h>

#define SIM_NODES_MAX   6u
#define SIM_ENTRIES_MAX 8u /* an append */
#define SIM_INDEX_MAX   8192u
#define SIM_TERM_MAX    4096u
#define SIM_READS_MAX   16u
#define SIM_LIFE        3u /* of the replicas; their ghosts have the life before */
#define SIM_CONFIGS_MAX 512u
#define SIM_CONFIG_FLAG 0x80000000u /* a payload that is a place in sim->configs */

enum sim_record_kind { SIM_DEAD, SIM_HARD, SIM_ENTRY, SIM_COMMIT, SIM_CHECKPOINT };

struct sim_record {
    uint8_t kind;
    uint16_t vote;
    uint32_t term;    /* CHECKPOINT: the hard state's */
    uint32_t size;    /* ENTRY */
    uint32_t payload; /* ENTRY */
    uint64_t index;   /* ENTRY, COMMIT; CHECKPOINT: applied */
    uint32_t applied_term;
    uint64_t first;
    uint32_t first_prev_term;
    uint32_t dies_with;         /* goes when the checkpoint at that place is durable; 0: stays */
    struct raft_config *config; /* CHECKPOINT: owned */
};

struct sim_deferred {
    uint32_t position; /* records that must be durable */
    uint32_t packet;
};

struct sim_read {
    uint64_t round;
    uint64_t floor; /* committed anywhere when it began */
    uint32_t term;
};

struct sim_node {
    bool up;
    uint32_t boot;
    uint64_t paused_until_us;
    uint32_t clock_rate; /* per mille */
    uint64_t clock_offset_ms;
    struct raft raft;
    uint32_t payloads[SIM_INDEX_MAX];
    struct sim_record *records;
    uint32_t record_count, record_capacity;
    uint32_t durable;  /* records */
    uint32_t inflight; /* records that the running sync covers; 0: none is running */
    uint64_t note_index;
    uint32_t note_term, note_hard_term;
    struct sim_deferred *deferred;
    uint32_t deferred_count, deferred_capacity;
    bool flush_due, beat_accepted;
    uint64_t commit_recorded;
    uint64_t tick_us; /* of the earliest tick queued */
    uint64_t round;
    uint64_t checked; /* committed entries compared so far */
    struct sim_read reads[SIM_READS_MAX];
    uint32_t read_count;
    uint32_t promised_term;
    uint16_t promised_vote;
    uint64_t slow_disk_until_us;
};

enum sim_packet_kind { SIM_MESSAGE, SIM_BEAT, SIM_BEAT_ACK };

struct sim_packet {
    uint8_t kind;
    struct raft_message message; /* BEAT, BEAT_ACK: from, to, term, commit; index: first needed */
    uint64_t round;
    uint32_t entry_terms[SIM_ENTRIES_MAX];
    uint32_t entry_sizes[SIM_ENTRIES_MAX];
    uint32_t entry_payloads[SIM_ENTRIES_MAX];
    uint32_t next_free;
};

enum sim_event_kind {
    SIM_DELIVER,
    SIM_SYNCED,
    SIM_TICK,
    SIM_FLUSH,
    SIM_BEATS,
    SIM_CLIENT,
    SIM_FAULT,
    SIM_RESTART,
    SIM_HEAL,
    SIM_LOST, /* packet: the member */
};

struct sim_event {
    uint64_t time_us;
    uint64_t number;
    uint8_t kind;
    uint8_t node;
    uint32_t boot;
    uint32_t packet;
};

struct sim_slot { /* of the table of all entries that ever were */
    uint64_t index;
    uint32_t term, previous_term, payload;
};

struct sim_counts {
    uint64_t steps, elections, commits, truncations, crashes, reads, configs, transfers, refusals,
        checkpoints;
};

struct sim {
    uint64_t seed, random, now_us, event_number, hash;
    struct sim_node *nodes;
    uint32_t node_count, voter_count;
    struct raft_options options;
    uint32_t beat_ms;
    uint32_t loss, twice, tail; /* per mille */
    bool ghosts, changes;
    bool churn; /* leaders do not last: logs part as in figure 8 of the Raft paper */
    bool quiet; /* faults are over */
    bool idle;  /* clients rest */
    bool cut[SIM_NODES_MAX][SIM_NODES_MAX];
    struct sim_event *events;
    uint32_t event_count, event_capacity;
    struct sim_packet *packets;
    uint32_t packet_count, packet_capacity, packet_free;
    uint32_t payload_next;
    struct raft_config configs[SIM_CONFIGS_MAX];
    uint32_t config_count;
    struct sim_slot *slots;
    uint16_t leaders[SIM_TERM_MAX];
    uint32_t committed_terms[SIM_INDEX_MAX];
    uint32_t committed_payloads[SIM_INDEX_MAX];
    uint64_t committed;
    struct raft_effects effects;
    struct sim_counts counts;
};

/* raft_sim.c: the group, its time and network. nodes: voters first. */
struct sim *sim_new(uint64_t seed);
void sim_free(struct sim *sim);
void sim_run(struct sim *sim, uint64_t until_us);
/* Ends all faults, and starts what is down. */
void sim_quiet(struct sim *sim);
void sim_isolate(struct sim *sim, uint32_t node, bool cut);
/* The node that leads in the highest term, NULL when none does. */
struct sim_node *sim_leader(struct sim *sim);
/* Everyone up, one leader, all logs and commits equal, nothing left to send. */
bool sim_settled(struct sim *sim);
void sim_fail(const struct sim *sim, const char *what);

uint64_t sim_random(struct sim *sim);
/* In [min, max]. */
uint64_t sim_between(struct sim *sim, uint64_t min, uint64_t max);
bool sim_chance(struct sim *sim, uint32_t per_mille);
void sim_at(struct sim *sim, uint64_t delay_us, uint8_t kind, uint32_t node, uint32_t packet);
uint32_t sim_packet(struct sim *sim);
/* Takes over the packet. */
void sim_send(struct sim *sim, uint32_t packet);
uint32_t sim_number(const struct sim *sim, const struct sim_node *node);

/* raft_sim_host.c: one node's host: effects and checks. */
void host_boot(struct sim *sim, struct sim_node *node);
void host_crash(struct sim *sim, struct sim_node *node);
void host_step(struct sim *sim, struct sim_node *node, struct raft_event *event,
               const uint32_t *payloads);
void host_deliver(struct sim *sim, struct sim_node *node, uint32_t packet);
void host_synced(struct sim *sim, struct sim_node *node);
void host_beats(struct sim *sim, struct sim_node *node);
void host_read(struct sim *sim, struct sim_node *node);
void host_propose(struct sim *sim, struct sim_node *node, uint32_t count);
void host_propose_config(struct sim *sim, struct sim_node *node);
void host_checkpoint(struct sim *sim, struct sim_node *node);
void host_simple(struct sim *sim, struct sim_node *node, uint8_t kind, uint16_t member);
uint64_t host_now_ms(const struct sim *sim, const struct sim_node *node);

/* raft_sim_journal.c: what a node keeps through a crash. */
struct sim_record *journal_add(struct sim_node *node, uint8_t kind);
/* Begins a sync unless one is running or there is nothing to sync. */
void journal_sync(struct sim *sim, struct sim_node *node);
void journal_synced(struct sim_node *node);
void journal_replay(struct sim *sim, struct sim_node *node);

#endif
