/* Raft: the consensus core of one partition's group (Ongaro's thesis, chapters 3, 4, 6, 9, 10).
 *
 * A pure state machine: raft_step(event) -> effects. It holds no payloads: an entry is (index,
 * term) here, with its place in the journal kept for the host in raft->log.
 *
 * Invariants (raft_check):
 *   applied ≤ commit ≤ last;  first_index ≤ applied + 1;
 *   term never goes back;  at most one vote a term;
 *   a leader never truncates its log;  commit moves only over an entry of the leader's own term
 *   that a majority of distinct voters (of both halves of a joint configuration) hold synced;
 *   own entries count only when the host has said SYNCED;
 *   log that a snapshot under way relies on is kept.
 *
 * Durability is data, not discipline: effects.write is what must be on disk before the messages
 * marked after_write leave. The host puts it into the journal's open batch and keeps those
 * messages until everything the group has appended so far is durable - also when this very step
 * wrote nothing: they may speak of what an earlier step wrote. Then it steps SYNCED, with the last
 * entry and the hard state's term as they were when the batch was closed, batch after batch.
 *
 * Reads: a beat is a numbered round (the host's counter, one frame a node pair for many groups).
 * effects.read_round tells up to which round a majority still knew this leader in its term *after*
 * the round began; a read that was evaluated before round r was sent is good when read_round ≥ r.
 * It stays 0 until an entry of the own term is committed; what is evaluated before the leader has
 * applied that entry may be old whatever the rounds say. A group of one voter needs no round:
 * read_round is UINT64_MAX then.
 *
 * A leader's life: role_changed with role LEADER; the host PROPOSEs one NOOP entry at once (its
 * index is raft->term_start). Appends leave in FLUSH, at the end of a round of events, so that all
 * that was proposed in it shares messages; entries that were flushed once go on by themselves
 * (window opens, retry, backtracking) in the steps of replies and TICKs.
 *
 * Snapshots (thesis, chapter 5): a leader marks a peer whose next entry has left the log with
 * snapshot_wanted and sends it nothing more. The host captures the state at applied, says
 * SNAPSHOT_BEGIN with that index, and carries the state over; each
 * piece is offered to the follower's core as a message RAFT_SNAPSHOT, which refuses older terms,
 * answers what its log holds already with that, and else lets the host go on (snapshot_accepted).
 * Durable there, SNAPSHOT_INSTALLED makes the log begin behind it, and the answer to the leader is
 * that of an append up to there. Nothing ever goes back: a snapshot at or below commit is refused.
 *
 * A replica whose journal is damaged holds nothing that may be counted: PEER_FENCED. It comes back
 * by a snapshot, with raft_restore_snapshot(), when the leader knows by an entry that it appended
 * behind the report (raft_repair_waits(): the host is to propose one) that no leader can come of a
 * vote that was forgotten, nor has come. The capture covers all that it ever helped to commit.
 *
 * Configurations work from the entry on, as soon as it is appended, and are rolled back when it is
 * truncated. One change at a time: simple for learners, joint (voters_old = the voters so far) for
 * voters, then out of the joint one. Anything else is refused.
 *
 * No clock, no randomness, no allocation in a step but the log window's growth (which
 * raft_reserve() does beforehand). Owner: one shard thread. The events' memory is borrowed for
 * the call; effects are the caller's and hold no pointers.
 */
#ifndef REPLICATION_RAFT_H
#define REPLICATION_RAFT_H

#include "replication/raft_log.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RAFT_VOTERS_MAX   7u
#define RAFT_LEARNERS_MAX 7u
#define RAFT_PEERS_MAX    (2u * RAFT_VOTERS_MAX + RAFT_LEARNERS_MAX)
#define RAFT_MEMBER_MAX   1000u /* of a member's number */

/* A replica of the group: which member, and in which of its lives there (the index of the
 * configuration entry that added it; 1 for those of genesis). */
struct raft_replica {
    uint16_t member;
    uint64_t life;
};

/* Voters of the old half are only there while a change is under way (joint consensus). */
struct raft_config {
    uint64_t index; /* of its entry, set when that is appended; 1 at genesis */
    uint64_t epoch; /* of the ring map that asked for it */
    struct raft_replica voters[RAFT_VOTERS_MAX];
    struct raft_replica voters_old[RAFT_VOTERS_MAX];
    struct raft_replica learners[RAFT_LEARNERS_MAX];
    uint8_t voter_count;
    uint8_t voter_old_count;
    uint8_t learner_count;
};

enum raft_role { RAFT_FOLLOWER, RAFT_PRECANDIDATE, RAFT_CANDIDATE, RAFT_LEADER };

struct raft_options {
    uint16_t group;
    struct raft_replica self;
    uint32_t election_ms_min;    /* 500 */
    uint32_t election_ms_max;    /* 1,000 */
    uint32_t append_entries_max; /* entries a message */
    uint32_t append_size_max;    /* bytes a message (one larger entry still goes alone) */
    uint32_t inflight_size_max;  /* bytes sent and not acknowledged, a peer */
    uint32_t inflight_messages_max;
    uint32_t retry_ms; /* an append without answer is sent again after this, or later when answers
                          take long */
};

enum raft_message_kind {
    RAFT_PREVOTE = 1,
    RAFT_PREVOTE_REPLY,
    RAFT_VOTE,
    RAFT_VOTE_REPLY,
    RAFT_APPEND,       /* entries index+1 … index+entry_count, after (index, log_term) */
    RAFT_APPEND_REPLY, /* index: match, or with reject the hint to go on from and commit: the
                          index that was refused */
    RAFT_TIMEOUT_NOW,  /* leadership transfer: campaign at once */
    RAFT_SNAPSHOT,     /* made by the host, a piece of the state at (index, log_term); answered with
                          APPEND_REPLY once all of it is installed, or known */
};

struct raft_message {
    uint8_t kind;
    bool reject;
    bool after_write; /* in effects: wait until all that was appended so far is durable */
    bool transfer;    /* VOTE: a transfer's campaign, granted while a leader is heard */
    uint16_t group;
    struct raft_replica from;
    struct raft_replica to;
    uint32_t term;
    uint32_t log_term; /* term of `index`; VOTE: of the last entry; a reject: term at the hint */
    uint64_t index;
    uint64_t commit;
    uint32_t entry_count;
    uint32_t entries_size; /* bytes of the entries, padded records */
};

/* An entry of an incoming APPEND, as decoded by the host. */
struct raft_entry {
    uint32_t term;
    uint32_t size; /* bytes, all records of the entry, padded */
    bool config;   /* kind RECORD_KIND_CONFIG: its decoded value is the next of event.configs */
};

enum raft_event_kind {
    RAFT_EVENT_TICK,      /* time passed; random: fresh 64 bits for a new election timeout */
    RAFT_EVENT_MESSAGE,   /* message, and for APPEND entries[message.entry_count] */
    RAFT_EVENT_PROPOSE,   /* entries[entry_count]: leader only; else effects.refused */
    RAFT_EVENT_FLUSH,     /* send appends for what was proposed since the last one */
    RAFT_EVENT_SYNCED,    /* durable: the log up to (index, term), a hard state of hard_term */
    RAFT_EVENT_APPLIED,   /* host applied up to index */
    RAFT_EVENT_BEAT,      /* from a leader: from, to_life, term, commit, round */
    RAFT_EVENT_BEAT_ACK,  /* from a peer: from, to_life, term (its own), round */
    RAFT_EVENT_TRANSFER,  /* hand leadership to `from.member`; 0: to the best voter */
    RAFT_EVENT_CAMPAIGN,  /* start an election now (preferred leader of a new group) */
    RAFT_EVENT_PEER_LOST, /* the link to from.member broke: if it is the leader, elect soon */
    RAFT_EVENT_RETAIN,    /* log below index may go; at most applied + 1, and not what a snapshot
                             under way relies on. A peer that lacks more needs a snapshot */
    RAFT_EVENT_SNAPSHOT_BEGIN,     /* leader: one of the state at `index` leaves for `from` */
    RAFT_EVENT_SNAPSHOT_FAILED,    /* leader: that one, of `index`, was given up; it may be wanted
                                      still. index 0: the peer has nothing of it */
    RAFT_EVENT_SNAPSHOT_INSTALLED, /* follower: the state at (index, term) with configs[0], sent by
                                      the leader `from`, is durable here; else effects.refused */
    RAFT_EVENT_PEER_FENCED,        /* leader: `from` has lost its log. index: the report's number */
};

struct raft_event {
    uint8_t kind;
    uint64_t now_ms; /* never goes back */
    uint64_t random; /* fresh 64 bits with every event */
    const struct raft_message *message;
    const struct raft_entry *entries;
    uint32_t entry_count;
    const struct raft_config *configs; /* one for each entry that is a config, in order */
    struct raft_replica from;
    uint64_t to_life; /* BEAT, BEAT_ACK: the life of this replica that the sender means */
    uint32_t term;
    uint32_t hard_term; /* SYNCED: term of the newest durable hard state */
    uint64_t index;
    uint64_t commit;
    uint64_t round;
};

#define RAFT_EFFECT_MESSAGES_MAX (RAFT_PEERS_MAX * 4u)

/* In the order in which the host carries them out: hard state, entries, messages, the rest. */
struct raft_effects {
    bool refused;          /* PROPOSE: not the leader, transferring, or a configuration that may not
                              follow now; SNAPSHOT_*: not now, or too old: nothing was taken */
    bool write_hard_state; /* raft->term, raft->vote */
    uint64_t append_first; /* entries to append: event.entries[append_skip …]; 0: none. What the log
                              had from append_first on is truncated by it */
    uint64_t append_last;
    uint32_t append_skip; /* entries of an APPEND that the log had already */
    uint32_t append_term; /* PROPOSE: the term to encode in the records */
    struct raft_message messages[RAFT_EFFECT_MESSAGES_MAX];
    uint32_t message_count;
    bool beat_accepted;      /* BEAT: acknowledge it, naming raft->term and its round */
    bool role_changed;       /* raft->role, raft->leader or raft->term changed */
    bool config_changed;     /* raft->config: another one, or rolled back to the one before */
    bool commit_changed;     /* raft->commit moved */
    bool read_round_changed; /* raft->read_round moved */
    bool transfer_ended;     /* a TRANSFER succeeded or was given up */
    bool snapshot_wanted;    /* a peer's snapshot_wanted was set */
    bool snapshot_accepted;  /* RAFT_SNAPSHOT: the host may take the piece */
};

struct raft_progress {
    struct raft_replica replica;
    uint64_t match; /* durable there; for self: synced */
    uint64_t next;
    uint64_t inflight_size;
    uint64_t sent_ms;  /* since when an answer is due, while inflight_messages > 0 */
    uint64_t heard_ms; /* any answer of this term: check-quorum */
    uint64_t match_ms; /* when match advanced, or this began */
    uint64_t round;    /* newest beat acknowledged in this term */
    uint64_t fenced;   /* it said that its log is lost, when ours ended here: only the answer to a
                          snapshot of that or more counts, which begins when enough of the others
                          hold the next entry; 0: it did not */
    uint64_t report;   /* the number of that: the same one is heard again and again */
    uint64_t snapshot; /* index of the one under way to it: no appends meanwhile; 0 none */
    uint64_t snapshot_left; /* of the newest that failed, while it wants one: what it has of that
                               may be gone on with, as long as the log reaches back to it; what it
                               has of an earlier leader's as far as ours does; 0 none */
    uint32_t inflight_messages;
    uint32_t answer_ms;   /* how long answers take, lately */
    bool voter;           /* of the configuration's new (or only) half */
    bool voter_old;       /* of the old half; a learner is in neither */
    bool probing;         /* one append at a time until the logs meet */
    bool snapshot_wanted; /* what it lacks has left the log: no append helps it */
    uint8_t vote;         /* 0 none, 1 granted, 2 refused */
};

struct raft {
    struct raft_options options;
    struct raft_config config;          /* the newest in the log, committed or not */
    struct raft_config config_previous; /* what a truncation of that one goes back to */
    uint8_t role;
    uint32_t term;
    uint16_t vote;   /* member, 0 none */
    uint16_t leader; /* member, 0 unknown */
    uint64_t commit;
    uint64_t applied;
    uint64_t synced;      /* own log is durable up to here */
    uint32_t synced_term; /* newest durable hard state */
    uint64_t flushed;     /* entries up to here have been given to FLUSH */
    uint64_t term_start;  /* index of the leader's own no-op; 0 when not leader */
    uint64_t read_round;
    uint64_t election_deadline_ms; /* not for the leader */
    uint64_t leader_seen_ms;       /* follower: newest sign of `leader` */
    uint16_t transfer_to;          /* member, 0 none */
    uint64_t transfer_deadline_ms;
    struct raft_log log;
    struct raft_progress peers[RAFT_PEERS_MAX]; /* self included */
    uint32_t peer_count;
};

/* Prepares an empty group with its genesis configuration. Recovery then replays into it with
 * raft_restore_*; the role is follower. now_ms starts the election timer. config NULL: a replica
 * that is added later (options.self.life says when). It learns the configuration from the leader,
 * and until then neither votes nor campaigns: it knows of no group that it could vote in. */
int raft_init(struct raft *raft, const struct raft_options *options,
              const struct raft_config *config, uint64_t now_ms, uint64_t random);
void raft_deinit(struct raft *raft);
/* Recovery only, in journal order. What is replayed must be durable, not merely readable, when
 * raft_restore_done() is called: from then on it counts as synced. It asserts the invariants: it
 * is not for a partition that the store has fenced. */
void raft_restore_checkpoint(struct raft *raft, uint32_t term, uint16_t vote, uint64_t applied,
                             uint32_t applied_term, uint64_t first_index, uint32_t first_prev_term);
void raft_restore_hard_state(struct raft *raft, uint32_t term, uint16_t vote);
int raft_restore_entry(struct raft *raft, uint64_t index, uint32_t term, uint32_t size,
                       uint64_t location); /* replaces >= index; 0, -ENOMEM, or
                                            -EBADMSG: it would replace what is committed */
/* The configuration of the checkpoint or entry just restored. entry_index 0: a checkpoint's. */
void raft_restore_config(struct raft *raft, uint64_t entry_index, const struct raft_config *config);
/* The configuration that a checkpoint has to carry: the newest that no truncation can take back. */
const struct raft_config *raft_config_stable(const struct raft *raft);
void raft_restore_commit(struct raft *raft, uint64_t commit);
/* Behind all of them: entries between what the newest checkpoint has applied and the log's first
 * are missing. It must not go on with raft_restore_done(). */
bool raft_restore_gap(const struct raft *raft);
void raft_restore_done(struct raft *raft, uint64_t now_ms, uint64_t random);
/* A report of the member waits for an entry behind it: the host proposes a no-op. */
bool raft_repair_waits(const struct raft *raft, uint16_t member);
/* A replica that lost its log, or its hard state with it, starts anew from a snapshot of (index,
 * index_term) which is durable, sent by the leader of `term`. Its vote of that term counts as cast,
 * for that leader: what it promised in earlier ones it need not know. term is at least raft->term.
 */
void raft_restore_snapshot(struct raft *raft, uint32_t term, uint16_t leader, uint64_t index,
                           uint32_t index_term, const struct raft_config *config, uint64_t now_ms,
                           uint64_t random);
/* The index below which log may go: RETAIN takes no more. */
uint64_t raft_retain_max(const struct raft *raft);
/* Room in the log window for `count` more entries: before PROPOSE and APPEND. 0 or -ENOMEM. */
int raft_reserve(struct raft *raft, uint32_t count);

void raft_step(struct raft *raft, const struct raft_event *event, struct raft_effects *effects);
/* Time of the next TICK that could do something. */
uint64_t raft_deadline_ms(const struct raft *raft);
/* The progress of a member, or NULL. */
const struct raft_progress *raft_peer(const struct raft *raft, uint16_t member);
/* The index of the newest configuration that is known to be committed here, when it proves that the
 * replica is none, and that no later one will have it: a life is the index of the entry that began
 * it, and all up to there is decided. Else 0. */
uint64_t raft_config_without(const struct raft *raft, struct raft_replica replica);
/* Asserts the invariants above; looks at the newest entries of the log only. */
void raft_check(const struct raft *raft);

/* Configurations as bytes: the value of a CONFIG record, and in checkpoints.
 *   u8 version (1), u8 voters, u8 old voters, u8 learners, u64 index, u64 epoch,
 *   then each replica, in that order: u16 member, u64 life
 * In an entry index is 0, and so is the life of a replica that this entry adds: both are the
 * entry's index, filled in when it is appended. */
#define RAFT_CONFIG_SIZE_MAX (20u + 10u * RAFT_PEERS_MAX)
enum raft_config_e { RAFT_CONFIG_E_OK, RAFT_CONFIG_E_INVALID };
size_t raft_config_encode(const struct raft_config *config, uint8_t out[RAFT_CONFIG_SIZE_MAX]);
/* Returns 0 or RAFT_CONFIG_E_INVALID: other version, wrong size or counts, a member twice. */
int raft_config_decode(const uint8_t *bytes, size_t size, struct raft_config *config);
/* RAFT_CONFIG_E_INVALID unless counts and members are in their limits, there is a voter, no member
 * is twice in a half and no voter is a learner. */
int raft_config_valid(const struct raft_config *config);

#endif
